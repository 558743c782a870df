"""Coordinates of polygons compared with their coordinate system: degrees that are meters, or in the other order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geomob_dask.errors import GeometryError
from geomob_dask.sources.keys import and_more

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
    xy, row = shapely.get_coordinates(shapes, return_index=True)
    wrong = np.flatnonzero(~np.isfinite(xy).all(axis=1))
    if wrong.size:
        reason = "a coordinate that is no number; expected finite coordinates"
    elif crs.is_geographic:
        wrong, reason = _wrong_degrees(xy)
    else:
        wrong, reason = _wrong_meters(xy, crs)
    if wrong.size:
        x, y = xy[wrong[0]]
        more = and_more(np.unique(row[wrong]).size)
        raise GeometryError(f"{where}: {what} {names[row[wrong[0]]]}: found ({x:.10g}, {y:.10g}), {reason}{more}")


def _wrong_degrees(xy: NDArray[np.float64]) -> tuple[NDArray[np.int64], str]:
    x, y = xy.T
    beyond = (np.abs(x) > 180 + _ROUNDING) | (np.abs(y) > 90 + _ROUNDING)
    south = y < _SOUTHERNMOST
    wrong = np.flatnonzero(beyond | south)
    if not wrong.size:
        return wrong, ""
    first_x, first_y = x[wrong[0]], y[wrong[0]]
    if abs(first_x) <= 90 and abs(first_y) <= 180 + _ROUNDING:
        return wrong, "latitude before longitude, it seems; expected longitude first"
    if np.abs(y).max() <= 90 + _ROUNDING and x.min() >= 0 and x.max() <= 360 + _ROUNDING:
        return wrong, "a longitude from 0 to 360; expected -180 to 180 (subtract 360 from those above 180)"
    return wrong, "no degrees; expected ±180 and ±90, or the coordinate system of the coordinates (--crs)"


def _wrong_meters(xy: NDArray[np.float64], crs: CRS) -> tuple[NDArray[np.int64], str]:
    far = np.flatnonzero((np.abs(xy) > _FARTHEST).any(axis=1))
    if far.size:
        return far, f"further away than the earth is wide; expected coordinates of {crs.name}"
    west, south, east, north = _STATES
    inside = (xy[:, 0] > west) & (xy[:, 0] < east) & (xy[:, 1] > south) & (xy[:, 1] < north)
    if len(xy) and inside.all():
        return np.arange(len(xy)), f"degrees, it seems; expected coordinates of {crs.name}, or the system of degrees"
    return np.zeros(0, np.int64), ""
