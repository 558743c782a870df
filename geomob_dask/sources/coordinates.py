"""Coordinates of polygons compared with their coordinate system: degrees that are meters, or in the other order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geomob_dask.errors import GeometryError
from geomob_dask.messages import and_more

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
# Published outlines end at 180 degrees, some programs' rounding a little beyond.
_ROUNDING = 1e-6
# No unit of a map is so small that the earth has more of them around it.
_FARTHEST = 1e9
# No tract lies further south, American Samoa's among them.
_SOUTHERNMOST = -60.0
# Longitudes and latitudes of the contiguous states, Alaska and Hawaii: as meters, all of them on one football field.
_STATES = (-180.0, 15.0, -60.0, 75.0)


def refuse_coordinates(
    shapes: NDArray[np.object_],
    names: Sequence[Any] | pd.Index,
    crs: CRS | None,
    where: str,
    what: str,
    *,
    flag: str = "",
) -> None:
    """Raise an error if coordinates cannot be those of their system.

    Parameters
    ----------
    shapes : shape (n,), geometries
        None where there is none.
    names : shape (n,)
        Of tracts or regions, for the message.
    crs : CRS, optional
        Without one, coordinates must be numbers.
    where, what : str
        File or argument, and "tract" or "region".
    flag : str
        The flag that gives another system, where the file states none.

    Raises
    ------
    GeometryError
        If a coordinate is no number; if degrees lie beyond ±180 and ±90, or longitude and latitude are swapped; if
        coordinates of a map lie further away than the earth is wide, or are degrees.
    """
    there = shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
    # Bounds pass over what is no number; an area does not.
    if not len(there) or (_fits(shapely.total_bounds(there), crs) and not np.isnan(shapely.area(there)).any()):
        return
    xy, row = shapely.get_coordinates(shapes, return_index=True)
    wrong, reason = _wrong(xy, crs, flag)
    if wrong.size:
        x, y = xy[wrong[0]]
        more = and_more(np.unique(row[wrong]).size)
        raise GeometryError(f"{where}: {what} {names[row[wrong[0]]]}: found ({x:.10g}, {y:.10g}), {reason}{more}")


def reprojected(polygons: gpd.GeoSeries, crs: Any, where: str, what: str) -> gpd.GeoSeries:
    """Return polygons in another coordinate system.

    Raises
    ------
    GeometryError
        If they cannot be projected: their distances and areas would be missing.
    """
    found = polygons.to_crs(crs)
    lost = np.isinf(shapely.bounds(np.asarray(found.array))).any(axis=1)
    if lost.any():
        name = polygons.index[int(np.argmax(lost))]
        raise GeometryError(
            f"{where}: {what} {name}: cannot be projected to {found.crs.name}; expected coordinates of "
            f"{polygons.crs.name}{and_more(int(lost.sum()))}"
        )
    return found


def _fits(bounds: Floats, crs: CRS | None) -> bool:
    west, south, east, north = bounds
    if not np.isfinite(bounds).all() or crs is None:
        return bool(np.isfinite(bounds).all())
    if crs.is_geographic:
        return bool(max(-west, east) <= 180 + _ROUNDING and south >= _SOUTHERNMOST and north <= 90 + _ROUNDING)
    return bool(np.abs(bounds).max() <= _FARTHEST and not _in_states(bounds))


def _in_states(bounds: Floats) -> bool:
    west, south, east, north = _STATES
    return bool(bounds[0] > west and bounds[1] > south and bounds[2] < east and bounds[3] < north)


def _wrong(xy: Floats, crs: CRS | None, flag: str) -> tuple[Rows, str]:
    """Return the rows of coordinates that cannot be, and why the first of them cannot."""
    wrong = np.flatnonzero(~np.isfinite(xy).all(axis=1))
    if wrong.size or crs is None:
        return wrong, "a coordinate that is no number; expected finite numbers"
    return _wrong_degrees(xy, crs, flag) if crs.is_geographic else _wrong_meters(xy, crs)


def _wrong_degrees(xy: Floats, crs: CRS, flag: str) -> tuple[Rows, str]:
    x, y = xy.T
    wrong = np.flatnonzero((np.abs(x) > 180 + _ROUNDING) | (y > 90 + _ROUNDING) | (y < _SOUTHERNMOST))
    if wrong.size and abs(x[wrong[0]]) <= 90 and abs(y[wrong[0]]) <= 180 + _ROUNDING:
        return wrong, "latitude before longitude, it seems; expected longitude first"
    if np.abs(y).max() <= 90 + _ROUNDING and x.min() >= 0 and x.max() <= 360 + _ROUNDING:
        return wrong, "a longitude from 0 to 360; expected -180 to 180 (subtract 360 from those above 180)"
    system = f"the coordinate system of the coordinates ({flag})" if flag else f"another system than {crs.name}"
    return wrong, f"no degrees; expected ±180 and ±90, or {system}"


def _wrong_meters(xy: Floats, crs: CRS) -> tuple[Rows, str]:
    far = np.flatnonzero((np.abs(xy) > _FARTHEST).any(axis=1))
    if far.size:
        return far, f"further away than the earth is wide; expected coordinates of {crs.name}"
    if _in_states(np.concatenate([xy.min(axis=0), xy.max(axis=0)])):
        return np.arange(len(xy)), f"degrees, it seems; expected coordinates of {crs.name}, or the system of degrees"
    return np.zeros(0, np.int64), ""
