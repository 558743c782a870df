"""Geometry of maps: far areas moved into insets, tracts dissolved into counties and states, polygons packed."""

import base64
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from geomob_dask.transforms.display import Geometry, display_tolerance
from geomob_dask.transforms.projection import EQUAL_AREA


class Area(NamedTuple):
    """States outside the contiguous ones, which a map shows in an inset.

    Parameters
    ----------
    center : longitude, latitude
        Center of their Lambert azimuthal equal-area projection.
    frame : width, height
        Size of the inset, as shares of the width of the main map.
    """

    name: str
    states: tuple[str, ...]
    center: tuple[float, float]
    frame: tuple[float, float]


OUTLYING = (
    Area("Alaska", ("02",), (-152.0, 63.0), (0.21, 0.17)),
    Area("Hawaii", ("15",), (-157.3, 20.4), (0.13, 0.09)),
    Area("Guam, N. Marianas", ("66", "69"), (145.2, 15.5), (0.1, 0.07)),
    Area("American Samoa", ("60",), (-170.0, -14.2), (0.1, 0.07)),
    Area("Puerto Rico, Virgin Islands", ("72", "78"), (-66.2, 18.1), (0.14, 0.05)),
)
HAWAII, PUERTO_RICO = OUTLYING[1], OUTLYING[4]
# Meters west of Hawaii's center. The atolls beyond, up to Midway, would leave little room for the islands.
HAWAII_WEST = -400_000.0


class Inset(NamedTuple):
    """The frame of an inset, in meters of the map."""

    label: str
    left: float
    bottom: float
    right: float
    top: float


class Placement(NamedTuple):
    """Where the areas of a map lie that are not drawn where they are.

    Parameters
    ----------
    moved : mapping of str to (scale, x, y)
        By state: coordinates of its own projection times the scale, and then moved by x and y meters.
    insets : list of Inset
    notes : list of str
        Which areas were moved, and at what scale.
    """

    moved: Mapping[str, tuple[float, float, float]]
    insets: list[Inset]
    notes: list[str]


def arrange(shapes: gpd.GeoSeries, states: Sequence[str]) -> tuple[Geometry, list[Inset], list[str]]:
    """Return polygons in meters of the map, with far areas moved into insets.

    Parameters
    ----------
    shapes : GeoSeries
        With a coordinate system.
    states : sequence of str
        Two-digit code of each polygon's state.

    Returns
    -------
    geometry : shape (n_shapes,), polygons
    insets : list of Inset
    notes : list of str
        Which areas were moved, and at what scale.
    """
    own = projected(shapes, states)
    where = placement(shapely.bounds(own), states)
    return placed(own, states, where), where.insets, where.notes


def projected(shapes: gpd.GeoSeries, states: Sequence[str]) -> Geometry:
    """Return polygons in meters, each in the projection of its area; see `arrange`."""
    codes = np.asarray(states)
    geometry = np.empty(len(shapes), dtype=object)
    mainland = np.flatnonzero(~np.isin(codes, [code for area in OUTLYING for code in area.states]))
    if len(mainland):
        geometry[mainland] = shapes.iloc[mainland].to_crs(EQUAL_AREA).to_numpy()
    for area in OUTLYING:
        rows = np.flatnonzero(np.isin(codes, area.states))
        if len(rows):
            geometry[rows] = _project(shapes, rows, area)
    return geometry


def placement(bounds: NDArray[np.float64], states: Sequence[str]) -> Placement:
    """Return where the areas of a map lie.

    Parameters
    ----------
    bounds : shape (n_shapes, 4)
        Of polygons as `projected` returns them; NaN where there is none.
    states : sequence of str
        Two-digit code of each polygon's state.
    """
    codes = np.asarray(states)
    bounds_of = {area: bounds[np.isin(codes, area.states)] for area in OUTLYING}
    present = [area for area in OUTLYING if len(bounds_of[area])]
    mainland = bounds[~np.isin(codes, [code for area in OUTLYING for code in area.states])]
    if not len(mainland):
        # The first of them is the map itself.
        mainland, moved = (bounds_of[present[0]], present[1:]) if present else (bounds, [])
    else:
        moved = present
    insets: list[Inset] = []
    where: dict[str, tuple[float, float, float]] = {}
    scales: list[str] = []
    for area in moved:
        inset = _place(area, mainland, insets)
        insets.append(inset)
        left, bottom = np.nanmin(bounds_of[area][:, :2], axis=0)
        right, top = np.nanmax(bounds_of[area][:, 2:], axis=0)
        scale = min((inset.right - inset.left) / (right - left), (inset.top - inset.bottom) / (top - bottom), 1.0)
        to = np.array([inset.left + inset.right, inset.bottom + inset.top]) / 2
        x, y = to - scale * np.array([left + right, bottom + top]) / 2
        where |= dict.fromkeys(area.states, (float(scale), float(x), float(y)))
        scales.append(f"{area.name} ({'same scale' if scale > 0.995 else f'{scale:.0%} of the scale'})")
    notes = [f"Insets: {', '.join(scales)}."] if scales else []
    if HAWAII in present:
        notes.append("The Northwestern Hawaiian Islands are not drawn.")
    return Placement(where, insets, notes)


def placed(geometry: Geometry, states: Sequence[str], where: Placement) -> Geometry:
    """Return polygons as `projected` returns them, moved to where their areas lie on the map."""
    codes = np.asarray(states)
    result = geometry.copy()
    for state in sorted(where.moved.keys() & set(codes.tolist())):
        scale, x, y = where.moved[state]
        rows, shift = codes == state, np.array([x, y])
        result[rows] = shapely.transform(geometry[rows], lambda xy, a=scale, b=shift: a * xy + b)
    return result


def _project(shapes: gpd.GeoSeries, rows: NDArray[np.intp], area: Area) -> Geometry:
    longitude, latitude = area.center
    crs = f"+proj=laea +lat_0={latitude} +lon_0={longitude} +datum=NAD83 +units=m"
    own = shapes.iloc[rows].to_crs(crs).to_numpy()
    if area is HAWAII:
        far = 1e8
        near = shapely.clip_by_rect(own, HAWAII_WEST, -far, far, far)
        own = own if shapely.is_empty(near).all() else near
    return np.asarray(own, dtype=object)


def _place(area: Area, mainland: NDArray[np.float64], earlier: Sequence[Inset]) -> Inset:
    """Return the inset of an area: below the mainland, or in a free corner.

    Parameters
    ----------
    mainland : shape (n_tracts, 4)
        Bounds of the tracts that are not moved.
    earlier : sequence of Inset
        From left to right.
    """
    left, bottom, right = np.nanmin(mainland[:, 0]), np.nanmin(mainland[:, 1]), np.nanmax(mainland[:, 2])
    width, height = (share * (right - left) for share in area.frame)
    gap = 0.025 * (right - left)
    x = max([left, *(inset.right + gap for inset in earlier)])
    if area is PUERTO_RICO:
        x = max(x, right - width)
    above = (mainland[:, 0] < x + width + gap) & (mainland[:, 2] > x - gap)
    floor = mainland[above, 1].min() if above.any() else np.inf
    y = min(bottom, floor - 2 * gap - height)
    return Inset(area.name, x, y, x + width, y + height)


def dissolve(geometry: Geometry, keys: Sequence[str]) -> tuple[list[str], Geometry]:
    """Return the distinct keys, sorted, and the union of the polygons of each."""
    found, numbers = np.unique(keys, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    pieces = np.split(geometry[order], np.cumsum(np.bincount(numbers))[:-1])
    union = np.empty(len(found), dtype=object)
    union[:] = [_union(piece) for piece in pieces]
    return found.tolist(), union


def _union(polygons: Geometry) -> shapely.Geometry:
    # The fast union needs a coverage, and some published tracts overlap by a sliver.
    try:
        union = shapely.coverage_union_all(polygons)
    except shapely.GEOSException:
        union = None
    return union if shapely.is_valid(union) else shapely.union_all(shapely.make_valid(polygons))


def grid_step(bounds: Sequence[float]) -> float:
    """Return the distance of the grid that borders are rounded to on a map of some bounds, in meters.

    A third of what a line may move without being seen to (`display_tolerance`).

    Examples
    --------
    >>> round(grid_step((0, 0, 400_000, 300_000)), 3)
    6.667
    """
    left, bottom, right, top = bounds
    # Coordinates of 16 bits are half the memory of a browser.
    return float(max(display_tolerance(bounds) / 3, max(right - left, top - bottom) / 65_000, 1e-9))


def pack_polygons(geometry: Geometry, rows: ArrayLike, *, step: float | None = None) -> bytes:
    """Return polygons as few bytes, which ``unpackPolygons`` in ``static/tract_map.js`` unpacks.

    Coordinates are rounded to one grid, so that shared borders stay shared, also those of polygons that are packed
    apart with the same step. Points that fall together are one; a hole or part of less than three points is left out,
    and a polygon that has no other part is a square of one step.

    Parameters
    ----------
    geometry : shape (n,), polygons
        In meters of the map; one that is missing or empty is left out.
    rows : shape (n,), integers
        Number of each polygon's row in the table of values.
    step : float, optional
        Distance of the grid in meters, by default `grid_step` of the bounds.

    Returns
    -------
    bytes
        Compressed with zlib. Inside, least significant first: the integers version (1), closed (1), polygons, rings,
        points (32 bits each), then step and the grid's origin x and y in meters (64 bits each), then as integers of
        variable length (7 bits a byte, the last byte below 128; differences zigzag): differences of rows, rings a
        polygon, points a ring, differences of x in steps from point to point, differences of y.

    Raises
    ------
    ValueError
        If numbers of polygons and rows differ.
    """
    geometry = np.asarray(geometry, dtype=object)
    numbers = np.asarray(rows, dtype=np.int64)
    if geometry.shape != numbers.shape:
        raise ValueError(f"found {len(geometry)} polygons and {len(numbers)} rows, expected as many")
    there = ~(shapely.is_missing(geometry) | shapely.is_empty(geometry))
    geometry, numbers = geometry[there], numbers[there]
    bounds = shapely.total_bounds(geometry) if len(geometry) else np.zeros(4)
    size = grid_step(bounds.tolist()) if step is None else step
    origin = np.floor(bounds[:2] / size).astype(np.int64)
    points, ring, owner = _rounded(geometry, size)
    return _packed(points - origin, ring, owner, numbers, size, origin * size, closed=True)


def pack_borders(geometry: Geometry, *, step: float, without: Geometry | None = None) -> bytes:
    """Return the borders of polygons as lines, each stretch once, in the form of `pack_polygons`.

    Parameters
    ----------
    geometry : shape (n,), polygons
        In meters of the map.
    step : float
        Distance of the grid in meters; that of the polygons whose borders they are.
    without : shape (m,), polygons, optional
        Stretches that are borders of these too are left out: those of states from those of counties.
    """
    segments = _segments(geometry, step)
    if without is not None and len(segments):
        others = _segments(without, step)
        both, back = np.unique(np.concatenate([others, segments]), axis=0, return_inverse=True)
        known = np.zeros(len(both), dtype=bool)
        known[back[: len(others)]] = True
        segments = segments[~known[back[len(others) :]]]
    merged = shapely.line_merge(shapely.multilinestrings(shapely.linestrings(segments.reshape(-1, 2, 2))))
    points, ring = shapely.get_coordinates(shapely.get_parts(merged), return_index=True)
    cells = np.round(points).astype(np.int64)
    origin = cells.min(axis=0) if len(cells) else np.zeros(2, dtype=np.int64)
    rows = np.arange(ring[-1] + 1 if len(ring) else 0)
    return _packed(cells - origin, ring, rows, rows, step, origin * step, closed=False)


def _segments(geometry: Geometry, step: float) -> NDArray[np.int64]:
    """Return the stretches between points of borders, each once: x and y of its two ends in steps."""
    points, ring, _ = _rounded(geometry[~(shapely.is_missing(geometry) | shapely.is_empty(geometry))], step)
    following = np.arange(1, len(points) + 1)
    starts = np.flatnonzero(np.diff(ring, prepend=-1))
    following[np.append(starts[1:], len(points))[: len(starts)] - 1] = starts
    ends = points[following]
    turned = (points[:, 0] > ends[:, 0]) | ((points[:, 0] == ends[:, 0]) & (points[:, 1] > ends[:, 1]))
    first, last = np.where(turned[:, None], ends, points), np.where(turned[:, None], points, ends)
    return np.unique(np.column_stack([first, last]), axis=0)


def _rounded(geometry: Geometry, step: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return points of a grid, the ring of each and the polygon of each ring; rings are not closed.

    Rings are numbered from 0 without gaps, in the order of the polygons; each polygon has one at least.
    """
    parts, owner_of_part = shapely.get_parts(geometry, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    coordinates, ring = shapely.get_coordinates(rings, return_index=True)
    owner = owner_of_part[part]
    points = np.round(coordinates / step).astype(np.int64)
    # The last point of a ring is its first; points that fell together are one.
    last = np.append(ring[1:] != ring[:-1], True)[: len(ring)]
    repeated = np.append(False, (ring[1:] == ring[:-1]) & (points[1:] == points[:-1]).all(axis=1))[: len(ring)]
    first_of = np.searchsorted(ring, np.arange(len(rings)))
    closing = ~last & np.append(last[1:], False)[: len(ring)] & (points == points[first_of[ring]]).all(axis=1)
    keep = ~last & ~repeated & ~(closing & (np.arange(len(ring)) != first_of[ring]))
    count = np.bincount(ring[keep], minlength=len(rings))
    whole = count >= 3
    alone = np.setdiff1d(owner, owner[whole])
    corner = points[first_of[np.searchsorted(owner, alone)]]
    squares = (corner[:, None, :] + np.array([[0, 0], [1, 0], [1, 1], [0, 1]])).reshape(-1, 2)
    kept = keep & whole[ring]
    order = np.argsort(np.concatenate([owner[whole], alone]), kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    new = np.cumsum(whole) - 1
    numbered = place[np.concatenate([new[ring[kept]], np.repeat(whole.sum() + np.arange(len(alone)), 4)])]
    inside = np.argsort(numbered, kind="stable")
    return (
        np.concatenate([points[kept], squares])[inside],
        numbered[inside],
        np.concatenate([owner[whole], alone])[order],
    )


def _packed(
    points: NDArray[np.int64],
    ring: NDArray[np.int64],
    owner: NDArray[np.int64],
    rows: NDArray[np.int64],
    step: float,
    origin: NDArray[np.floating[Any]],
    *,
    closed: bool,
) -> bytes:
    head = np.array([1, closed, len(rows), len(owner), len(points)], dtype="<u4").tobytes()
    frame = np.array([step, *origin], dtype="<f8").tobytes()
    body = [
        _variable(_zigzag(np.diff(rows, prepend=0))),
        _variable(np.bincount(owner, minlength=len(rows))),
        _variable(np.bincount(ring, minlength=len(owner))),
        *(_variable(_zigzag(np.diff(points[:, axis], prepend=0))) for axis in (0, 1)),
    ]
    return zlib.compress(b"".join([head, frame, *body]), 9)


def _zigzag(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return (numbers << 1) ^ (numbers >> 63)


def _variable(numbers: NDArray[np.int64]) -> bytes:
    """Return integers from 0 as bytes of 7 bits, least significant first; all but the last of each are 128 or more."""
    digits = (numbers[:, None] >> np.arange(0, 35, 7)) & 127
    length = 1 + (numbers[:, None] >= 1 << np.arange(7, 35, 7)).sum(axis=1)
    place = np.arange(5)
    digits[place < length[:, None] - 1] |= 128
    return bytes(digits[place < length[:, None]].astype(np.uint8))


def pack(array: NDArray[Any]) -> dict[str, str]:
    """Return an array as `unpack` in ``static/arrays.js`` unpacks it: its type, and its bytes in base64."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"type": array.dtype.name, "bytes": base64.b64encode(little.tobytes()).decode()}
