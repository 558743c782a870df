"""Polygons and points in degrees as they lie on the sphere: across 180 degrees, and at any latitude."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from geomob_dask.graph.islands import centroids as planar_centroids

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]

EARTH_KM = 6371.0088
"""Mean radius of the earth."""


def unwrapped(shapes: Geometries, *, together: bool = False) -> Geometries:
    """Return polygons in degrees, those on both sides of 180 degrees with longitudes from 0 to 360.

    Parameters
    ----------
    shapes : shape (n,)
        None where there is none.
    together : bool
        Whether all polygons are one area, such as those of a map, rather than each for itself.

    Examples
    --------
    >>> both = shapely.union(shapely.box(-180, 51, -178, 52), shapely.box(179, 51, 180, 52))
    >>> unwrapped(np.array([both, shapely.box(-80, 40, -79, 41)]))[0].bounds
    (179.0, 51.0, 182.0, 52.0)
    """
    bounds = shapely.bounds(shapes)
    if together and not np.isnan(bounds).all():
        bounds = np.broadcast_to([np.nanmin(bounds[:, 0]), 0, np.nanmax(bounds[:, 2]), 0], bounds.shape)
    # No tract is half as wide as the earth; of one that seems to be, two parts lie near each other across 180 degrees.
    wide = bounds[:, 2] - bounds[:, 0] > 180
    if not wide.any():
        return shapes
    shapes = shapes.copy()
    shapes[wide] = shapely.transform(shapes[wide], _eastward)
    return shapes


def centroids(shapes: Geometries) -> Floats:
    """Return the centroids of polygons in degrees: longitude from −180 to 180 and latitude, shape (n, 2).

    NaN for missing and empty polygons.

    Examples
    --------
    >>> both = shapely.union(shapely.box(-180, 51, -178, 52), shapely.box(179, 51, 180, 52))
    >>> centroids(np.array([both]))
    array([[-179.5,   51.5]])
    """
    longitude, latitude = planar_centroids(unwrapped(shapes)).T
    return np.column_stack([np.where(longitude > 180, longitude - 360, longitude), latitude])


def on_sphere(points: Floats) -> Floats:
    """Return points in degrees as points on a sphere whose radius is 1, shape (n, 3).

    Straight lines through the sphere are as long as ways on the ground, where these are short, and in the same order
    everywhere.

    Parameters
    ----------
    points : shape (n, 2)
        Longitude and latitude.

    Examples
    --------
    A degree of longitude at 60 degrees north is half a degree of latitude:

    >>> east, north, here = on_sphere(np.array([[1.0, 60.0], [0.0, 60.5], [0.0, 60.0]]))
    >>> np.round([np.linalg.norm(east - here), np.linalg.norm(north - here)], 5)
    array([0.00873, 0.00873])
    """
    longitude, latitude = np.radians(points).T
    level = np.cos(latitude)
    return np.column_stack([level * np.cos(longitude), level * np.sin(longitude), np.sin(latitude)])


def in_kilometers(points: Floats) -> Floats:
    """Return points in degrees as positions whose straight distances, through the earth, are kilometers, shape (n, 3).

    Parameters
    ----------
    points : shape (n, 2)
        Longitude and latitude.

    Examples
    --------
    A degree of latitude:

    >>> one, other = in_kilometers(np.array([[-80.0, 40.0], [-80.0, 41.0]]))
    >>> np.linalg.norm(one - other).round(2).item()
    111.19
    """
    return np.asarray(EARTH_KM * on_sphere(points))


def _eastward(xy: Floats) -> Floats:
    return np.column_stack([np.where(xy[:, 0] < 0, xy[:, 0] + 360, xy[:, 0]), xy[:, 1]])
