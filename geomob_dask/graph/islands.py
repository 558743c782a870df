"""Islands, the cells without neighbors, joined to their nearest cells."""

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


def to_nearest(islands: Ints, k: int, centroids: Floats) -> Pairs:
    """Return pairs of each island with its `k` nearest cells; parameters as `nearest`."""
    chosen = nearest(centroids, islands, k)
    island, rank = np.nonzero(chosen >= 0)
    return Pairs.of(islands[island], chosen[island, rank], np.full(len(island), NEAREST))


def nearest(centroids: NDArray[np.float64], islands: Ints, k: int) -> Ints:
    """Return the nearest `k` tracts of each island by centroid; the first row wins a tie.

    Parameters
    ----------
    centroids : shape (n, 2), map units, or (n, 3), points on the sphere
        Centroids of all tracts, in the order in which ties are settled; NaN is never a neighbor.
    islands : shape (m,)
        Rows of the islands.
    k : int
        How many; all others where there are fewer.

    Returns
    -------
    shape (m, min(k, n − 1))
        Rows of the nearest tracts, nearest first; −1 where fewer have a centroid, or the island has none.

    Examples
    --------
    Two tracts are equally far from the first:

    >>> nearest(np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [5.0, 0.0]]), np.array([0]), 2)
    array([[1, 2]])
    """
    k = min(k, max(len(centroids) - 1, 0))
    found = np.full((len(islands), k), -1, np.int64)
    for row, island in enumerate(islands):
        distance = reduce(np.hypot, (centroids - centroids[island]).T)
        distance[island] = np.nan
        known = np.flatnonzero(np.isfinite(distance))
        chosen = known[np.argsort(distance[known], kind="stable")[:k]]
        found[row, : len(chosen)] = chosen
    return found
