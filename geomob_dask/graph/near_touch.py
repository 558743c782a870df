"""Cells whose outlines nearly touch: they have vertices within a distance at which a larger tolerance joins them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from geomob_dask.graph.pairs import Bools, Pairs
from geomob_dask.graph.points import Floats, Ints, Points, as_floats, crowded, group

# Outlines that are apart everywhere have millions of such vertices: a part of them says enough.
_MOST = 300_000
# Share of the extent of cells: what is further apart was not meant to touch.
_NEARLY = 0.01


@dataclass(frozen=True)
class Close:
    """Pairs of cells and the least distance of their vertices.

    Attributes
    ----------
    low, high : shape (n_pairs,)
        Cells, each pair once, ascending.
    distance : shape (n_pairs,), map units
    """

    low: Ints
    high: Ints
    distance: Floats

    def where(self, which: Bools) -> Close:
        """Return some of the pairs."""
        return Close(self.low[which], self.high[which], self.distance[which])

    def apart(self, joined: Pairs) -> Close:
        """Return the pairs that no rule joins, nor reports."""
        return self.where(joined.flags_of(self.low, self.high) == 0)


def nearly(extents: Floats, most: float) -> float:
    """Return the distance within which cells nearly touch: a hundredth of their usual extent, at most `most`.

    Parameters
    ----------
    extents : shape (n_open,), map units
        Of the open parts of all cells.
    most : float, map units
    """
    return min(most, _NEARLY * float(np.median(extents))) if len(extents) else 0.0


def close_vertices(at: Points, far: Points, reach: float) -> Ints:
    """Return the rows of the vertices of one partition within a distance of a different vertex; of many, the first.

    Parameters
    ----------
    at, far : shape (n,), map units
        Vertices of the partition that no other cell shares wholly, in the order of their cells, and those of others.
    reach : float, map units
        Zero: none.
    """
    if not reach:
        return np.zeros(0, np.int64)
    points = np.concatenate([at, far])
    equal = group(points)
    is_close = equal.spread(crowded(points[equal.first], reach))
    return np.flatnonzero(is_close[: len(at)])[:_MOST]


def close_cells(at: Points, cell: Ints, reach: float) -> Close:
    """Return the pairs of cells with vertices within a distance of each other.

    Parameters
    ----------
    at : shape (n_vertices,), map units
        See `close_vertices`, of all partitions in their order. Of a great many, the first are compared.
    cell : shape (n_vertices,)
    reach : float, map units

    Examples
    --------
    >>> found = close_cells(np.array([0, 1 + 0j, 1.001 + 0j, 5]), np.array([0, 0, 1, 1]), 0.01)
    >>> found.low, found.high, found.distance.round(4)
    (array([0]), array([1]), array([0.001]))
    """
    at, cell = at[:_MOST], cell[:_MOST]
    if not len(at):
        return Close(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    points = as_floats(at)
    first, second = KDTree(points).query_pairs(reach, output_type="ndarray").T
    one, other = cell[first], cell[second]
    apart = one != other
    low, high = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
    distance = np.hypot(*(points[first[apart]] - points[second[apart]]).T)
    order = np.lexsort([distance, high, low])
    low, high, distance = low[order], high[order], distance[order]
    new = np.append(True, (np.diff(low) > 0) | (np.diff(high) > 0))[: len(low)]
    return Close(low[new], high[new], distance[new])
