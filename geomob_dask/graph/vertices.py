"""Cells that share vertices and edges: polygons as arrays of ring vertices, matched by sorting.

In a coverage of polygons nearly every vertex belongs to two cells or more. One sort brings equal
vertices together and finds, without a geometric predicate, which cells meet, along which edges, and
which edges nobody shares.
"""

from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree

from geomob_dask.errors import GeometryError, SettingsError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Two points of one grid square of this side (in units of the tolerance) lie within the tolerance:
# a little under 1/sqrt(2), so that rounding cannot carry them beyond it.
_SIDE = 0.7
# So many vertices in one grid square mean a tolerance as large as the cells, and pairs without end.
_MOST_PER_SQUARE = 4096


@dataclass(frozen=True)
class Rings:
    """Ring vertices of cells, closing vertices left out; walking ahead has the cell's inside on the left.

    Parameters
    ----------
    xy : shape (n_vertices, 2), map units
        Coordinates, ring after ring.
    cell : shape (n_vertices,)
        Row of the cell each vertex belongs to.
    ahead, behind : shape (n_vertices,)
        Row of the next and of the last vertex of the same ring.
    """

    xy: Floats
    cell: Ints
    ahead: Ints
    behind: Ints


def rings(geoms: NDArray[np.object_]) -> Rings:
    """Return the ring vertices of polygons and multipolygons, whatever the orientation of their rings.

    Parameters
    ----------
    geoms : shape (n_cells,)
        Polygons and multipolygons; heights are left out, empty and missing ones have no vertex.

    Raises
    ------
    GeometryError
        If a geometry is neither a polygon nor a multipolygon.

    Examples
    --------
    A triangle that goes round clockwise is walked the other way:

    >>> triangle = rings(shapely.polygons([[[0, 0], [0, 1], [1, 0], [0, 0]]]))
    >>> triangle.xy[triangle.ahead[0]]
    array([1., 0.])
    """
    kind = shapely.get_type_id(geoms)
    areal = (kind == shapely.GeometryType.POLYGON) | (kind == shapely.GeometryType.MULTIPOLYGON)
    wrong = np.flatnonzero(~areal & (kind != shapely.GeometryType.MISSING))
    if len(wrong):
        found = geoms[wrong[0]].geom_type
        raise GeometryError(f"row {wrong[0]} of the cells is a {found}; expected Polygon or MultiPolygon")
    if not areal.any():
        none = np.zeros(0, np.int64)
        return Rings(np.zeros((0, 2)), none, none, none)
    _, xy, offsets = shapely.to_ragged_array(geoms, include_z=False)
    ring_end, polygon_end = offsets[0].astype(np.int64), offsets[1].astype(np.int64)
    polygons_of_cell = np.diff(offsets[2]) if len(offsets) == 3 else np.ones(len(geoms), np.int64)
    cell_of_polygon = np.repeat(np.arange(len(geoms)), polygons_of_cell)
    cell_of_ring = np.repeat(cell_of_polygon, np.diff(polygon_end))
    is_hole = np.ones(len(cell_of_ring), bool)
    is_hole[polygon_end[:-1][np.diff(polygon_end) > 0]] = False

    length = np.diff(ring_end) - 1
    closing = np.zeros(len(xy), bool)
    closing[ring_end[1:] - 1] = True
    xy = xy[~closing]
    end = np.cumsum(length)
    start = end - length
    following = np.arange(1, len(xy) + 1)
    following[end - 1] = start
    preceding = np.arange(-1, len(xy) - 1)
    preceding[start] = end - 1

    clockwise = _signed_area(xy, following, start, length) < 0
    turned = np.repeat(clockwise != is_hole, length)
    return Rings(
        xy,
        np.repeat(cell_of_ring, length),
        np.where(turned, preceding, following),
        np.where(turned, following, preceding),
    )


def _signed_area(xy: Floats, following: Ints, start: Ints, length: Ints) -> Floats:
    # Relative to a vertex of the ring: far from the origin the plain products lose every digit.
    x, y = (xy - np.repeat(xy[start], length, axis=0)).T
    twice: Floats = np.add.reduceat(x * y[following] - x[following] * y, start)
    return twice / 2


def snapped(xy: Floats, snap: float) -> Floats:
    """Return the grid square of each point; points of one square lie within `snap` of each other.

    Parameters
    ----------
    xy : shape (n, 2), map units
    snap : float, map units
        Zero keeps the coordinates: only equal points share a square.
    """
    # Adding zero makes one of the two zeros, whose bits differ.
    return (np.rint(xy / (_SIDE * snap)) if snap > 0 else xy) + 0.0


def mix(points: Floats, salt: int) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each point's two coordinates."""
    bits = points.view(np.uint64)
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
    def label(self) -> Ints:
        """Group of each point."""
        return self.spread(np.arange(len(self.start)))

    def spread(self, of_group: NDArray[Any]) -> NDArray[Any]:
        """Return for each point the value of its group."""
        of_point = np.empty(len(self.order), of_group.dtype)
        of_point[self.order] = np.repeat(of_group, self.size)
        return of_point

    def any(self, flag: Bools) -> Bools:
        """Return for each group whether `flag` holds for one of its points."""
        found = np.zeros(len(self.start), bool)
        rows = np.flatnonzero(flag[self.order])
        found[np.searchsorted(self.start, rows, side="right") - 1] = True
        return found

    def differing(self, points: Floats) -> Bools:
        """Return for each group whether its members differ in `points`."""
        moved = _moves(points, self.order)
        moved[self.start] = False
        found = np.zeros(len(self.start), bool)
        found[np.searchsorted(self.start, np.flatnonzero(moved), side="right") - 1] = True
        return found


def group(points: Floats) -> Groups:
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
    order = np.arange(len(key))
    for shift in bits[::16]:
        digit = (key >> key.dtype.type(shift)).astype(np.uint16)
        order = order[np.argsort(digit[order], kind="stable")]
    return order


def _moves(points: Floats, order: Ints) -> Bools:
    """Return where the next point in `order` is another one than the last; the first always is."""
    ordered = as_complex(points)[order]
    moved = np.ones(len(order), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=moved[1:])
    return moved


def as_complex(points: Floats) -> NDArray[np.complex128]:
    """Return points as one number each, which is quicker to pick and to compare."""
    return np.ascontiguousarray(points).view(np.complex128)[:, 0]


@dataclass(frozen=True)
class Meetings:
    """Every two occurrences of a vertex in different cells, and what that makes of its edges.

    Parameters
    ----------
    first, second : shape (n_meetings,)
        Rows of the two occurrences.
    edge : shape (n_meetings,)
        Whether the two cells also share an edge at this vertex.
    open_ : shape (n_vertices,)
        Whether an edge at this occurrence is open: not shared with exactly one cell on its other side.
    """

    first: Ints
    second: Ints
    edge: Bools
    open_: Bools


def meet(groups: Groups, vertex: NDArray[Any], ahead: NDArray[Any], behind: NDArray[Any], cell: Ints) -> Meetings:
    """Match occurrences of the same vertex, and the edges that leave it, over different cells.

    Parameters
    ----------
    groups : Groups
        Occurrences that are the same vertex.
    vertex, ahead, behind : shape (n_vertices,)
        Identity of each occurrence's vertex and of its ring neighbours: equal where they match.
    cell : shape (n_vertices,)
        Cell of each occurrence.

    Raises
    ------
    SettingsError
        If thousands of vertices are one: the snapping tolerance is as large as the cells.
    """
    crowd = groups.size.max(initial=0)
    if crowd > _MOST_PER_SQUARE:
        raise SettingsError(
            f"snap: {crowd} vertices fall into one square of the snap grid; "
            f"expected a tolerance far smaller than a cell (at most {_MOST_PER_SQUARE} in a square)"
        )
    first, second = _every_two(groups)
    apart = cell[first] != cell[second]
    first, second = first[apart], second[apart]

    n, at = len(vertex), vertex[first]
    ahead_1, behind_1, ahead_2, behind_2 = ahead[first], behind[first], ahead[second], behind[second]
    # An edge shorter than a grid square begins and ends at one vertex. It matches nothing.
    long_ahead, long_behind = ahead_1 != at, behind_1 != at
    # With the inside always on the left, a cell on the other side of an edge walks it the other way.
    out_in, in_out = (ahead_1 == behind_2) & long_ahead, (behind_1 == ahead_2) & long_behind
    out_out, in_in = (ahead_1 == ahead_2) & long_ahead, (behind_1 == behind_2) & long_behind

    def partners(*which: Ints) -> Ints:
        return sum((np.bincount(rows, minlength=n) for rows in which), np.zeros(n, np.int64))

    edge_ahead = partners(first[out_in], second[in_out])
    edge_behind = partners(first[in_out], second[out_in])
    shut = (edge_ahead == 1) & (edge_behind == 1)
    # Two cells on one side of an edge overlap.
    for same_side in (out_out, in_in):
        shut[first[same_side]] = False
        shut[second[same_side]] = False
    return Meetings(first, second, out_in | in_out | out_out | in_in, ~shut)


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


def crowded(points: Floats, radius: float) -> Bools:
    """Return which of the distinct `points` have another one within `radius`.

    Points near each other are near on any line: one sort of their places on a line leaves a handful
    of candidates, where the radius is small against the space between the points.
    """
    near = np.zeros(len(points), bool)
    if radius == 0 or len(points) < 2:
        return near
    place = 0.8191520442889918 * points[:, 0] + 0.573576436351046 * points[:, 1]
    scale = (2**32 - 1) / max(np.ptp(place), radius)
    step = ((place - place.min()) * scale).astype(np.int64)
    order = radix_argsort(step, range(32))
    close = np.diff(step[order]) <= radius * scale + 2
    candidates = order[np.append(close, False) | np.append(False, close)]
    if len(candidates):
        distance, _ = KDTree(points[candidates]).query(points[candidates], k=2, distance_upper_bound=1.001 * radius)
        near[candidates[np.isfinite(distance[:, 1])]] = True
    return near
