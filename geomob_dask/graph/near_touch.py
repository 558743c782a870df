"""Cells whose outlines nearly touch: they have vertices within a distance at which a larger tolerance joins them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from geomob_dask.graph.pairs import Bools, Pairs
from geomob_dask.graph.points import Floats, Ints, Points, as_floats, crowded, group

# Outlines that are apart everywhere have millions of such vertices: a part of them says enough.
_MOST = 300_000


@dataclass(frozen=True)
class Close:
    """Pairs of cells and the least distance of their vertices.

    Attributes
    ----------
    low, high : shape (n_pairs,)
        Cells, each pair once.
    distance : shape (n_pairs,), map units
    """

    low: Ints
    high: Ints
    distance: Floats

    @classmethod
    def concatenate(cls, parts: Sequence[Close]) -> Close:
        """Return the pairs of all parts."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("low", "high", "distance")))

    def where(self, which: Bools) -> Close:
        """Return some of the pairs."""
        return Close(self.low[which], self.high[which], self.distance[which])

    def sorted(self) -> Close:
        """Return the pairs in ascending order."""
        order = np.lexsort([self.high, self.low])
        return Close(self.low[order], self.high[order], self.distance[order])

    def apart(self, joined: Pairs) -> Close:
        """Return the pairs that no rule joins, nor reports."""
        return self.where(joined.flags_of(self.low, self.high) == 0)


def close_cells(at: Points, cell: Ints, reach: float) -> Close:
    """Return the pairs of cells with vertices within a distance of each other.

    Parameters
    ----------
    at : shape (n_vertices,), map units
        Vertices that no other cell shares wholly, in the order of their cells. Of a great many, the first are compared.
    cell : shape (n_vertices,)
    reach : float, map units
        Zero: none.

    Examples
    --------
    >>> found = close_cells(np.array([0, 1 + 0j, 1.001 + 0j, 5]), np.array([0, 0, 1, 1]), 0.01)
    >>> found.low, found.high, found.distance.round(4)
    (array([0]), array([1]), array([0.001]))
    """
    equal = group(at)
    rows = np.flatnonzero(equal.spread(crowded(at[equal.first], reach)))[:_MOST] if reach > 0 else np.zeros(0, np.int64)
    if not len(rows):
        return Close(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    points = as_floats(at[rows])
    first, second = KDTree(points).query_pairs(reach, output_type="ndarray").T
    one, other = cell[rows[first]], cell[rows[second]]
    apart = one != other
    low, high = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
    distance = np.hypot(*(points[first[apart]] - points[second[apart]]).T)
    order = np.lexsort([distance, high, low])
    low, high, distance = low[order], high[order], distance[order]
    new = np.append(True, (np.diff(low) > 0) | (np.diff(high) > 0))[: len(low)]
    return Close(low[new], high[new], distance[new])
