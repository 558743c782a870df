"""Coordinates of polygons compared with their coordinate system: degrees that are meters, or in the other order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geomob_dask.errors import GeometryError
from geomob_dask.sources.keys import and_more

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
_NOWHERE = np.zeros(0, np.int64)
# Published outlines end at 180 degrees, some programs' rounding a little beyond.
_ROUNDING = 1e-6
# No unit of a map is so small that the earth has more of them around it.
_FARTHEST = 1e9
# No tract lies further south, American Samoa's among them.
_SOUTHERNMOST = -60.0
# Longitudes and latitudes of the contiguous states, Alaska and Hawaii: as meters, all of them on one football field.
_STATES = (-180.0, 15.0, -60.0, 75.0)


def refuse_coordinates(shapes: NDArray[np.object_], names: Sequence[str], crs: CRS, where: str, what: str) -> None:
    """Raise an error if coordinates cannot be those of their system.

    Parameters
    ----------
    shapes : shape (n,), geometries
        None where there is none.
    names : shape (n,)
        Of tracts or regions, for the message.
    crs : CRS
    where, what : str
        File, and "tract" or "region".

    Raises
    ------
    GeometryError
        If a coordinate is no number; if degrees lie beyond ±180 and ±90, or longitude and latitude are swapped; if
        coordinates of a map lie further away than the earth is wide, or are degrees.
    """
    xy = shapely.get_coordinates(shapes)
    if not len(xy):
        return
    # Least and greatest tell nearly always that all is well, and of any number that is none.
    wrong, reason = _wrong(xy, np.concatenate([xy.min(axis=0), xy.max(axis=0)]), crs)
    if wrong.size:
        row = shapely.get_coordinates(shapes, return_index=True)[1]
        x, y = xy[wrong[0]]
        more = and_more(np.unique(row[wrong]).size)
        raise GeometryError(f"{where}: {what} {names[row[wrong[0]]]}: found ({x:.10g}, {y:.10g}), {reason}{more}")


def _wrong(xy: Floats, bounds: Floats, crs: CRS) -> tuple[Rows, str]:
    if not np.isfinite(bounds).all():
        return np.flatnonzero(~np.isfinite(xy).all(axis=1)), "a coordinate that is no number; expected finite numbers"
    return _wrong_degrees(xy, bounds) if crs.is_geographic else _wrong_meters(xy, bounds, crs)


def _wrong_degrees(xy: Floats, bounds: Floats) -> tuple[Rows, str]:
    west, south, east, north = bounds
    if max(-west, east) <= 180 + _ROUNDING and south >= _SOUTHERNMOST and north <= 90 + _ROUNDING:
        return _NOWHERE, ""
    x, y = xy.T
    wrong = np.flatnonzero((np.abs(x) > 180 + _ROUNDING) | (y > 90 + _ROUNDING) | (y < _SOUTHERNMOST))
    if abs(x[wrong[0]]) <= 90 and abs(y[wrong[0]]) <= 180 + _ROUNDING:
        return wrong, "latitude before longitude, it seems; expected longitude first"
    if south >= -90 and north <= 90 + _ROUNDING and west >= 0 and east <= 360 + _ROUNDING:
        return wrong, "a longitude from 0 to 360; expected -180 to 180 (subtract 360 from those above 180)"
    return wrong, "no degrees; expected ±180 and ±90, or the coordinate system of the coordinates (--crs)"


def _wrong_meters(xy: Floats, bounds: Floats, crs: CRS) -> tuple[Rows, str]:
    if np.abs(bounds).max() > _FARTHEST:
        far = np.flatnonzero((np.abs(xy) > _FARTHEST).any(axis=1))
        return far, f"further away than the earth is wide; expected coordinates of {crs.name}"
    west, south, east, north = _STATES
    if bounds[0] > west and bounds[1] > south and bounds[2] < east and bounds[3] < north:
        return np.arange(len(xy)), f"degrees, it seems; expected coordinates of {crs.name}, or the system of degrees"
    return _NOWHERE, ""
