"""Neighbors by shared vertices: inside each partition, then across partitions.

In a coverage of polygons nearly every vertex belongs to two cells or more. One sort brings equal vertices together and
finds, without a geometric predicate, which cells meet, along which edges, and which edges are open: those that
not exactly one other cell shares.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from geomob_dask.errors import SettingsError
from geomob_dask.graph.pairs import INTERSECTS, NOTHING, ROOK, VERTEX, Pairs
from geomob_dask.graph.points import (
    Bools,
    Floats,
    Groups,
    Ints,
    Points,
    as_floats,
    crowded,
    group,
    is_short,
    radix_argsort,
    snapped,
)
from geomob_dask.graph.vertices import Vertices, vertices

Geometries = NDArray[np.object_]

# So many vertices in one grid square mean a tolerance as large as the cells, and pairs without end.
_MOST_PER_SQUARE = 4096


@dataclass(frozen=True)
class OpenVertices:
    """The part of a partition that can match other partitions.

    Attributes
    ----------
    n_cells : int
        Number of cells of the partition.
    bounds : shape (4,)
        Bounds of all its cells; NaN where there is none.
    vertices : Vertices
        Open vertices, all occurrences of each; cells are numbered within the partition.
    """

    n_cells: int
    bounds: Floats
    vertices: Vertices


@dataclass(frozen=True)
class Matched:
    """Pairs inside a partition by their vertices, numbered within it, and the vertices that stay open."""

    pairs: Pairs
    open: OpenVertices


def match(geoms: Geometries, snap: float) -> Matched:
    """Return the cells of one partition that share vertices, and the vertices that stay open.

    Parameters
    ----------
    geoms : shape (n_cells,)
        Polygons and multipolygons; missing and empty ones have no neighbors.
    snap : float, map units
        Tolerance within which two vertices are one.

    Raises
    ------
    SettingsError
        If the tolerance is as large as the cells.
    """
    met = meet(vertices(geoms), snap)
    bounds = shapely.total_bounds(geoms) if len(geoms) else np.full(4, np.nan)
    return Matched(_pairs(met), OpenVertices(len(geoms), bounds, met.vertices.pick(np.flatnonzero(met.is_open))))


@dataclass(frozen=True)
class OpenCells:
    """Cells with a vertex that is open over all partitions.

    Attributes
    ----------
    number : shape (n_open,)
        Over all partitions, ascending.
    bounds : shape (n_open, 4)
        Of the open part of each.
    uneven : shape (n_open,)
        Whether a vertex of theirs lies near another one without being equal to it.
    """

    number: Ints
    bounds: Floats
    uneven: Bools

    @classmethod
    def concatenate(cls, parts: Sequence["OpenCells"]) -> "OpenCells":
        """Return the cells of all parts, each of which is there once."""
        none = cls(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0, bool))
        number, bounds, uneven = (
            np.concatenate([getattr(part, name) for part in (none, *parts)]) for name in ("number", "bounds", "uneven")
        )
        order = np.argsort(number)
        return cls(number[order], bounds[order], uneven[order])

    def where(self, which: Bools) -> "OpenCells":
        """Return some of the cells."""
        return OpenCells(self.number[which], self.bounds[which], self.uneven[which])

    def open_part(self, cell: Ints) -> Floats:
        """Return the bounds of the open part of each cell; NaN where nothing of it is open."""
        return np.vstack([self.bounds, np.full(4, np.nan)])[self._place(cell)]

    def is_uneven(self, cell: Ints) -> Bools:
        """Return which cells have a vertex near another one."""
        return np.append(self.uneven, False)[self._place(cell)]

    def extents(self) -> Floats:
        """Return the larger side of the open part of each cell, map units."""
        extents: Floats = (self.bounds[:, 2:] - self.bounds[:, :2]).max(axis=1)
        return extents

    def _place(self, cell: Ints) -> Ints:
        place = np.searchsorted(self.number, cell)
        return np.where(np.append(self.number, -1)[place] == cell, place, len(self.number))


@dataclass(frozen=True)
class Joined:
    """The open vertices of one partition, matched with those of others; cells are numbered over all partitions.

    Attributes
    ----------
    pairs : Pairs
        Pairs with a cell of another partition, by their vertices.
    open : OpenCells
        Cells of the partition with a vertex that is still open.
    still : Points
        Those vertices, in the order of their cells.
    still_cell : shape (n_still,)
    """

    pairs: Pairs
    open: OpenCells
    still: Points
    still_cell: Ints


def join(own: Vertices, far: Vertices, first: int, n_cells: int, snap: float) -> Joined:
    """Return the pairs of one partition with others by their vertices, and its cells that stay open.

    A vertex that is open in a partition comes with all its occurrences there, so the partners of its edges are counted
    over all partitions: the open cells are the same however the cells are partitioned. (A cell that lies
    over closed vertices of another partition has open edges itself.)

    Parameters
    ----------
    own, far : Vertices
        Open vertices of the partition, and of others: at least those within `join_reach` of its bounds.
    first, n_cells : int
        Number of the partition's first cell, and how many it has.
    snap : float, map units
        Tolerance within which two vertices are one.
    """
    corners = Vertices.concatenate([own, far])
    # The first vertex of a grid square represents it: in the order of all cells, it is the same in every partition.
    met = meet(corners.pick(np.argsort(corners.cell, kind="stable")), snap)
    is_own = (met.vertices.cell >= first) & (met.vertices.cell < first + n_cells)

    still = met.vertices.pick(np.flatnonzero(met.is_open & is_own))
    start = np.flatnonzero(np.diff(still.cell, prepend=-1))
    xy = as_floats(still.at)
    bounds, uneven = np.zeros((0, 4)), np.zeros(0, bool)
    if len(start):
        bounds = np.hstack([np.minimum.reduceat(xy, start), np.maximum.reduceat(xy, start)])
        uneven = np.logical_or.reduceat(still.uneven, start)
    pairs = _pairs(met, is_own[met.first] != is_own[met.second])
    return Joined(pairs, OpenCells(still.cell[start], bounds, uneven), still.at, still.cell)


def join_reach(snap: float) -> float:
    """Return how far from a partition vertices of others lie on which its own depend, map units.

    Vertices within four tolerances of each other are uneven, and the squares of the snap grid that hold them are
    represented by vertices up to a tolerance away.
    """
    return 8 * snap


@dataclass(frozen=True)
class Meetings:
    """Every two occurrences of a vertex in different cells, and which vertices stay open.

    Attributes
    ----------
    first, second : shape (n_meetings,)
        Rows of the two occurrences.
    first_cell, second_cell : shape (n_meetings,)
        Their cells.
    exact : shape (n_meetings,)
        Whether they are one point, not only one grid square.
    edge : shape (n_meetings,)
        Whether the two cells also share an edge there.
    vertices : Vertices
        All vertices; `uneven` includes what this matching found.
    is_open : shape (n_vertices,)
        Whether in some cell an edge at this vertex is not shared with exactly one cell on its other
        side, or the vertex is uneven.
    """

    first: Ints
    second: Ints
    first_cell: Ints
    second_cell: Ints
    exact: Bools
    edge: Bools
    vertices: Vertices
    is_open: Bools


def meet(corners: Vertices, snap: float) -> Meetings:
    """Return where vertices and edges of different cells match.

    Parameters
    ----------
    corners : Vertices
        All occurrences of the vertices in question.
    snap : float, map units
        Tolerance within which two vertices are one.

    Raises
    ------
    SettingsError
        If thousands of vertices fall into one square: the tolerance is as large as the cells.
    """
    at, ahead, behind = (snapped(points, snap) for points in (corners.at, corners.ahead, corners.behind))
    squares = group(at)
    crowd = squares.size.max(initial=0)
    if crowd > _MOST_PER_SQUARE:
        raise SettingsError(
            f"snap: {crowd} vertices fall into one square of the snap grid; "
            f"expected a tolerance far smaller than a cell (at most {_MOST_PER_SQUARE} in a square)"
        )
    first, second = _every_two(squares)
    first_cell, second_cell = corners.cell[first], corners.cell[second]
    apart = first_cell != second_cell
    if not apart.all():
        first, second, first_cell, second_cell = (x[apart] for x in (first, second, first_cell, second_cell))

    # An edge no longer than the tolerance is a point at that tolerance: NaN, it matches nothing.
    ahead[is_short(corners.at, corners.ahead, snap)] = np.nan
    behind[is_short(corners.at, corners.behind, snap)] = np.nan
    ahead_1, behind_1, ahead_2, behind_2 = ahead[first], behind[first], ahead[second], behind[second]
    # With the inside always on the left, a cell on the other side of an edge walks it the other way.
    out_in, in_out = ahead_1 == behind_2, behind_1 == ahead_2
    out_out, in_in = ahead_1 == ahead_2, behind_1 == behind_2

    partners_ahead = np.bincount(np.concatenate([first[out_in], second[in_out]]), minlength=len(at))
    partners_behind = np.bincount(np.concatenate([first[in_out], second[out_in]]), minlength=len(at))
    is_open = (partners_ahead != 1) | (partners_behind != 1)
    # Two cells on one side of an edge overlap.
    for same_side in (out_out, in_in):
        is_open[first[same_side]] = True
        is_open[second[same_side]] = True

    uneven, unequal = squares.any(corners.uneven), squares.differing(corners.at)
    exact = corners.at[first] == corners.at[second] if unequal.any() else np.ones(len(first), bool)
    # Vertices within `snap` of each other may each lie up to `snap` from the one that represents their
    # square here, and so may the far side of a strip that another partition has matched: 4 in all.
    uneven |= unequal | crowded(corners.at[squares.first], 4 * snap)
    state = squares.spread(squares.any(is_open) + 2 * uneven)
    return Meetings(
        first,
        second,
        first_cell,
        second_cell,
        exact,
        out_in | in_out | out_out | in_in,
        replace(corners, uneven=state >= 2),
        state > 0,
    )


def _every_two(groups: Groups) -> tuple[Ints, Ints]:
    """Return every two members of each group: those one place apart in the order, two places, and so on."""
    has_next = np.ones(len(groups.order), bool)
    has_next[groups.start - 1] = False
    first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    at, apart = np.flatnonzero(has_next), 1
    while len(at):
        first.append(groups.order[at])
        second.append(groups.order[at + apart])
        at = at[has_next[at + apart]]
        apart += 1
    return np.concatenate(first), np.concatenate(second)


def _pairs(met: Meetings, which: Bools | slice = slice(None)) -> Pairs:
    low, high = np.minimum(met.first_cell, met.second_cell), np.maximum(met.first_cell, met.second_cell)
    # Two cells meet at many vertices: one sort of small numbers drops nearly all of these meetings.
    n = int(high.max(initial=0)) + 1
    meeting = ((low * n + high) * 4 + met.edge * 2 + met.exact)[which]
    meeting = meeting[radix_argsort(meeting, range((4 * n * n).bit_length()))]
    meeting = meeting[np.diff(meeting, prepend=-1) > 0]
    low, high = np.divmod(meeting >> 2, n)
    flags = VERTEX | np.where(meeting & 2, ROOK, NOTHING) | np.where(meeting & 1, INTERSECTS, NOTHING)
    return Pairs.of(low, high, flags)
