"""Geometry of maps: far areas moved into insets, tracts dissolved into counties and states, polygons packed."""

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from geomob_dask.transforms.display import Geometry
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
    codes = np.asarray(states)
    rows_of = {area: np.flatnonzero(np.isin(codes, area.states)) for area in OUTLYING}
    present = [area for area in OUTLYING if len(rows_of[area])]
    mainland = np.flatnonzero(~np.isin(codes, [code for area in OUTLYING for code in area.states]))
    geometry = np.empty(len(shapes), dtype=object)
    scales: list[str] = []
    if len(mainland):
        geometry[mainland] = shapes.iloc[mainland].to_crs(EQUAL_AREA).to_numpy()
        moved = present
    else:
        mainland, moved = rows_of[present[0]], present[1:]
        geometry[mainland] = _project(shapes, mainland, present[0])
    insets: list[Inset] = []
    bounds = shapely.bounds(geometry[mainland])
    for area in moved:
        own = _project(shapes, rows_of[area], area)
        inset = _place(area, bounds, insets)
        insets.append(inset)
        left, bottom, right, top = shapely.total_bounds(own)
        scale = min((inset.right - inset.left) / (right - left), (inset.top - inset.bottom) / (top - bottom), 1.0)
        to = np.array([inset.left + inset.right, inset.bottom + inset.top]) / 2
        middle = np.array([left + right, bottom + top]) / 2
        geometry[rows_of[area]] = shapely.transform(own, lambda xy, a=scale, b=to - scale * middle: a * xy + b)
        scales.append(f"{area.name} ({'same scale' if scale > 0.995 else f'{scale:.0%} of the scale'})")
    notes = [f"Insets: {', '.join(scales)}."] if scales else []
    if HAWAII in present:
        notes.append("The Northwestern Hawaiian Islands are not drawn.")
    return geometry, insets, notes


def _project(shapes: gpd.GeoSeries, rows: NDArray[np.intp], area: Area) -> Geometry:
    longitude, latitude = area.center
    crs = f"+proj=laea +lat_0={latitude} +lon_0={longitude} +datum=NAD83 +units=m"
    own = shapes.iloc[rows].to_crs(crs).to_numpy()
    if area is HAWAII:
        far = 1e8
        near = shapely.clip_by_rect(own, HAWAII_WEST, -far, far, far)
        own = own if shapely.is_empty(near).all() else near
    return np.asarray(own, dtype=object)


def _place(area: Area, mainland: NDArray[np.float64], placed: Sequence[Inset]) -> Inset:
    """Return the inset of an area: below the mainland, or in a free corner.

    Parameters
    ----------
    mainland : shape (n_tracts, 4)
        Bounds of the tracts that are not moved.
    placed : sequence of Inset
        Earlier insets, from left to right.
    """
    left, bottom, right = mainland[:, 0].min(), mainland[:, 1].min(), mainland[:, 2].max()
    width, height = (share * (right - left) for share in area.frame)
    gap = 0.025 * (right - left)
    x = max([left, *(inset.right + gap for inset in placed)])
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


def pack_polygons(geometry: Geometry) -> dict[str, Any]:
    """Return polygons as `polygons` in ``static/polygons.js`` unpacks them, in km.

    Each coordinate is a step, of 65,535, across its polygon's own bounds: neighbors round their shared border by less
    than a step, which is not visible.
    """
    parts, owner = shapely.get_parts(geometry, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    last = np.append(ring[1:] != ring[:-1], True)[: len(ring)]
    points, ring = points[~last], ring[~last]
    bounds = shapely.bounds(geometry)
    around = bounds[owner[part[ring]]]
    extent = np.maximum(around[:, 2:] - around[:, :2], 1e-9)
    steps = np.round((points - around[:, :2]) / extent * 65535).astype(np.uint16)
    return {
        "rings": pack(np.bincount(owner[part], minlength=len(geometry)).astype(np.uint32)),
        "points": pack(np.bincount(ring, minlength=len(rings)).astype(np.uint32)),
        "bounds": pack((bounds / 1000).astype(np.float32).ravel()),
        "x": pack(steps[:, 0]),
        "y": pack(steps[:, 1]),
    }


def pack(array: NDArray[Any]) -> dict[str, str]:
    """Return an array as `unpack` in ``static/polygons.js`` unpacks it: its type, and its bytes in base64."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"type": array.dtype.name, "bytes": base64.b64encode(little.tobytes()).decode()}
