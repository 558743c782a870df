"""Cells that share vertices and edges: polygons as arrays of ring vertices, matched by sorting.

In a coverage of polygons nearly every vertex belongs to two cells or more. One sort brings equal
vertices together and finds, without a geometric predicate, which cells meet, along which edges, and
which edges nobody shares. Points are complex numbers here: one number to pick, to compare, to measure from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import count
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree

from geomob_dask.errors import SettingsError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Points = NDArray[np.complex128]

# Two points of one grid square of this side (in units of the tolerance) lie within the tolerance:
# a little under 1/sqrt(2), so that rounding cannot carry them beyond it.
_SIDE = 0.7
# So many vertices in one grid square mean a tolerance as large as the cells, and pairs without end.
_MOST_PER_SQUARE = 4096


@dataclass(frozen=True)
class Vertices:
    """Vertices of cells, one row for each ring that has it; the closing vertex of a ring is left out.

    Parameters
    ----------
    at : shape (n_vertices,), map units
        The point.
    ahead, behind : shape (n_vertices,), map units
        The next and the last point of the ring, walked with the inside of the cell on the left.
    cell : shape (n_vertices,)
        Number of the cell.
    uneven : shape (n_vertices,)
        Whether another vertex lies near this one without being equal to it, as far as is known.
    """

    at: Points
    ahead: Points
    behind: Points
    cell: Ints
    uneven: Bools

    def pick(self, rows: Ints) -> "Vertices":
        """Return some of the rows."""
        return Vertices(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence["Vertices"]) -> "Vertices":
        """Return the rows of all parts."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def as_floats(points: Points) -> Floats:
    """Return points as rows of x and y."""
    return np.ascontiguousarray(points).view(np.float64).reshape(-1, 2)


def as_points(xy: Floats) -> Points:
    """Return rows of x and y as points."""
    return np.ascontiguousarray(xy).view(np.complex128).reshape(-1)


def vertices(geoms: NDArray[np.object_]) -> Vertices:
    """Return the vertices of polygons and multipolygons, whatever the orientation of their rings.

    Parameters
    ----------
    geoms : shape (n_cells,)
        Polygons and multipolygons; heights are left out, empty and missing ones have no vertex.

    Examples
    --------
    A triangle that goes round clockwise is walked the other way:

    >>> triangle = vertices(shapely.polygons([[[0, 0], [0, 1], [1, 0], [0, 0]]]))
    >>> triangle.at[:1], triangle.ahead[:1]
    (array([0.+0.j]), array([1.+0.j]))
    """
    if (shapely.is_missing(geoms) | shapely.is_empty(geoms)).all():
        nowhere = np.zeros(0, complex)
        return Vertices(nowhere, nowhere, nowhere, np.zeros(0, np.int64), np.zeros(0, bool))
    _, xy, offsets = shapely.to_ragged_array(geoms, include_z=False)
    ring_end, polygon_end = offsets[0].astype(np.int64), offsets[1].astype(np.int64)
    polygons_of_cell = np.diff(offsets[2]) if len(offsets) == 3 else np.ones(len(geoms), np.int64)
    cell_of_polygon = np.repeat(np.arange(len(geoms)), polygons_of_cell)
    cell_of_ring = np.repeat(cell_of_polygon, np.diff(polygon_end))
    is_hole = np.ones(len(cell_of_ring), bool)
    is_hole[polygon_end[:-1][np.diff(polygon_end) > 0]] = False

    closing = np.zeros(len(xy), bool)
    closing[ring_end[1:] - 1] = True
    at = as_points(xy)[~closing]
    length = np.diff(ring_end) - 1
    end = np.cumsum(length)
    start = end - length
    following, preceding = np.empty_like(at), np.empty_like(at)
    following[:-1], following[end - 1] = at[1:], at[start]
    preceding[1:], preceding[start] = at[:-1], at[end - 1]

    clockwise = _signed_area(at, following, start, length) < 0
    turned = np.repeat(clockwise != is_hole, length)
    return Vertices(
        at,
        np.where(turned, preceding, following),
        np.where(turned, following, preceding),
        np.repeat(cell_of_ring, length),
        np.zeros(len(at), bool),
    )


def _signed_area(at: Points, following: Points, start: Ints, length: Ints) -> Floats:
    # Relative to a vertex of the ring: far from the origin the plain products lose every digit.
    origin = np.repeat(at[start], length)
    twice: Floats = np.add.reduceat(((at - origin).conj() * (following - origin)).imag, start)
    return twice / 2


def snapped(points: Points, snap: float) -> Points:
    """Return the grid square of each point; points of one square lie within `snap` of each other.

    Parameters
    ----------
    points : shape (n,), map units
    snap : float, map units
        Zero keeps the coordinates: only equal points share a square.
    """
    xy = as_floats(points)
    if snap > 0:
        xy = np.rint(xy / (_SIDE * snap))
    # Adding zero makes one of the two zeros, whose bits differ.
    return as_points(xy + 0.0)


def mix(points: Points, salt: int) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each point's two coordinates."""
    bits = as_floats(points).view(np.uint64)
    odd = np.uint64((0x9E3779B97F4A7C15 + 2 * salt * 0xD1342543DE82EF95) % 2**64)
    key: NDArray[np.uint64] = bits[:, 0] * odd
    key ^= key >> np.uint64(29)
    key += bits[:, 1] * np.uint64(0xBF58476D1CE4E5B9)
    key ^= key >> np.uint64(32)
    return key * np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Groups:
    """Equal points together.

    Parameters
    ----------
    order : shape (n,)
        Rows of the points, equal ones side by side.
    start : shape (n_distinct,)
        Where in `order` each group of equal points begins.
    """

    order: Ints
    start: Ints

    @property
    def size(self) -> Ints:
        """Points in each group."""
        return np.diff(self.start, append=len(self.order))

    @property
    def first(self) -> Ints:
        """Row of one point of each group."""
        return self.order[self.start]

    def spread(self, of_group: NDArray[Any]) -> NDArray[Any]:
        """Return for each point the value of its group."""
        of_point = np.empty(len(self.order), of_group.dtype)
        of_point[self.order] = np.repeat(of_group, self.size)
        return of_point

    def any(self, flag: Bools) -> Bools:
        """Return for each group whether `flag` holds for one of its points."""
        return self._at(np.flatnonzero(flag[self.order]))

    def differing(self, points: Points) -> Bools:
        """Return for each group whether its members differ in `points`."""
        moved = _moves(points, self.order)
        moved[self.start] = False
        return self._at(np.flatnonzero(moved))

    def _at(self, places: Ints) -> Bools:
        found = np.zeros(len(self.start), bool)
        found[np.searchsorted(self.start, places, side="right") - 1] = True
        return found


def group(points: Points) -> Groups:
    """Bring equal points together by one sort of their hashes.

    Different points of equal hash would come out as one group or as a torn one, so they are looked
    for after the sort; if there are any, everything is hashed again with another salt.
    """
    for salt in count():
        key = mix(points, salt)
        # Sixteen bits less to sort by: 48 tell a million points apart.
        order = radix_argsort(key, range(16, 64))
        moved = _moves(points, order)
        key = key[order] >> np.uint64(16)
        if not np.any(moved[1:] & (key[1:] == key[:-1])):
            break
    return Groups(order, np.flatnonzero(moved))


def radix_argsort(key: NDArray[np.integer[Any]], bits: range) -> Ints:
    """Return rows in ascending order of some bits of `key`, which is not negative.

    NumPy sorts 16-bit numbers in linear time, so this takes 16 bits after 16 bits, the lowest first.
    """
    digits = [(key >> key.dtype.type(shift)).astype(np.uint16) for shift in bits[::16]]
    order = np.argsort(digits[0], kind="stable")
    for digit in digits[1:]:
        order = order[np.argsort(digit[order], kind="stable")]
    return order


def _moves(points: Points, order: Ints) -> Bools:
    """Return where the next point in `order` is another one than the last; the first always is."""
    ordered = points[order]
    moved = np.ones(len(order), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=moved[1:])
    return moved


@dataclass(frozen=True)
class Meetings:
    """Every two occurrences of a vertex in different cells, and what that makes of the vertices.

    Parameters
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
        All vertices, with what is known now of those that are uneven.
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
    """Match the vertices of different cells, and the edges between them.

    Parameters
    ----------
    corners : Vertices
        All occurrences of the vertices in question.
    snap : float, map units
        Tolerance within which two vertices are one.

    Raises
    ------
    SettingsError
        If thousands of vertices are one: the snapping tolerance is as large as the cells.
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
    ahead[_short(corners.at, corners.ahead, snap)] = np.nan
    behind[_short(corners.at, corners.behind, snap)] = np.nan
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
    # Vertices within `snap` of each other may each stand up to `snap` from the one that stands for their
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


def _short(start: Points, end: Points, snap: float) -> Bools:
    step = end - start
    short: Bools = step.real**2 + step.imag**2 <= snap**2
    return short


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


def crowded(points: Points, radius: float) -> Bools:
    """Return which of the distinct `points` have another one within `radius`.

    Points near each other are near on any line: one sort of their places on a line leaves a handful
    of candidates, where the radius is small against the space between the points.
    """
    near = np.zeros(len(points), bool)
    if radius == 0 or len(points) < 2:
        return near
    place = (points * (0.8191520442889918 - 0.573576436351046j)).real
    scale = (2**32 - 1) / max(np.ptp(place), radius)
    step = ((place - place.min()) * scale).astype(np.int64)
    order = radix_argsort(step, range(32))
    close = np.diff(step[order]) <= radius * scale + 2
    candidates = order[np.append(close, False) | np.append(False, close)]
    if len(candidates):
        xy = as_floats(points[candidates])
        distance, _ = KDTree(xy).query(xy, k=2, distance_upper_bound=1.001 * radius)
        near[candidates[np.isfinite(distance[:, 1])]] = True
    return near


def share_edge(one: Any, two: Any, snap: float) -> bool:
    """Return whether an edge of each, longer than `snap`, has its ends within `snap` of the other's.

    Examples
    --------
    >>> share_edge(shapely.box(0, 0, 1, 1), shapely.box(1.01, 0, 2, 1), 0.02)
    True
    >>> share_edge(shapely.box(0, 0, 1, 1), shapely.box(1.01, 1, 2, 2), 0.02)
    False
    """
    (start_1, end_1), (start_2, end_2) = _long_edges(one, snap), _long_edges(two, snap)
    start_2, end_2 = np.concatenate([start_2, end_2]), np.concatenate([end_2, start_2])
    if not len(start_1) or not len(start_2):
        return False
    near = KDTree(as_floats(start_1)).sparse_distance_matrix(KDTree(as_floats(start_2)), snap, output_type="ndarray")
    return bool(_short(end_1[near["i"]], end_2[near["j"]], snap).any())


def _long_edges(polygon: Any, snap: float) -> tuple[Points, Points]:
    corners = vertices(np.array([polygon], dtype=object))
    long = ~_short(corners.at, corners.ahead, snap)
    return corners.at[long], corners.ahead[long]
