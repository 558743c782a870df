"""Islands, the cells without neighbors, joined to their nearest cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import shapely
from numpy.typing import NDArray

from geomob_dask.graph.pairs import NEAREST, Pairs
from geomob_dask.graph.points import Floats, Ints


def centroids(geoms: NDArray[np.object_]) -> Floats:
    """Return the centroids of polygons in map units, NaN for empty ones: shape (n_cells, 2)."""
    points = shapely.centroid(geoms)
    points[shapely.is_empty(points)] = None
    return np.column_stack([shapely.get_x(points), shapely.get_y(points)])


@dataclass(frozen=True)
class Candidates:
    """The nearest cells of islands among some cells.

    Attributes
    ----------
    island, cell : shape (n,)
        Numbers of cells.
    distance : shape (n,)
    """

    island: Ints
    cell: Ints
    distance: Floats

    @property
    def pairs(self) -> Pairs:
        """Return each island with each of its candidates."""
        return Pairs.of(self.island, self.cell, np.full(len(self.island), NEAREST))

    @classmethod
    def concatenate(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Return the candidates of all parts."""
        none = cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        names = ("island", "cell", "distance")
        return cls(*(np.concatenate([getattr(part, name) for part in (none, *parts)]) for name in names))


def candidates(islands: Ints, points: Floats, k: int, first: int, centroids: Floats) -> Candidates:
    """Return the nearest `k` cells of each island among the cells of a partition, by centroid.

    Parameters
    ----------
    islands : shape (m,)
        Numbers of the islands.
    points : shape (m, 2), map units, or (m, 3), points on the sphere
        Their centroids; an island without one has no candidates.
    k : int
        How many; all others where there are fewer.
    first : int
        Number of the partition's first cell.
    centroids : shape (n, 2) or (n, 3)
        Centroids of the partition's cells; NaN is never a neighbor.
    """
    found = []
    for island, point in zip(islands.tolist(), points, strict=True):
        distance = reduce(np.hypot, (centroids - point).T)
        if first <= island < first + len(centroids):
            distance[island - first] = np.nan
        known = np.flatnonzero(np.isfinite(distance))
        chosen = known[np.argsort(distance[known], kind="stable")[:k]]
        found.append(Candidates(np.full(len(chosen), island), first + chosen, distance[chosen]))
    return Candidates.concatenate(found)


def nearest(found: Candidates, k: int) -> Candidates:
    """Return the `k` nearest of the candidates of each island, nearest first; the lower number wins a tie.

    Examples
    --------
    Two cells are equally far from the first:

    >>> centers = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [5.0, 0.0]])
    >>> nearest(candidates(np.array([0]), centers[:1], 3, 0, centers), 2).cell
    array([1, 2])
    """
    order = np.lexsort([found.cell, found.distance, found.island])
    start = np.flatnonzero(np.diff(found.island[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(start, np.diff(start, append=len(order)))
    chosen = order[rank < k]
    return Candidates(found.island[chosen], found.cell[chosen], found.distance[chosen])
