"""Centroids of polygons in degrees."""

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geomob_dask.errors import GeometryError
from geomob_dask.frames.own_rows import own_rows
from geomob_dask.graph import sphere
from geomob_dask.graph.islands import centroids as planar_centroids
from geomob_dask.metrics.counts import Floats

POINT = ("longitude", "latitude")
_DEGREES = "EPSG:4326"


def centroids(polygons: gpd.GeoSeries) -> Floats:
    """Return longitude and latitude of centroids, shape (n_polygons, 2); NaN for missing and empty polygons."""
    shapes = np.asarray(polygons.array, dtype=object)
    points = sphere.centroids(shapes) if polygons.crs.is_geographic else planar_centroids(shapes)
    there = ~np.isnan(points).any(axis=1)
    degrees = gpd.GeoSeries(shapely.points(points[there]), crs=polygons.crs).to_crs(_DEGREES)
    points[there] = shapely.get_coordinates(degrees.to_numpy())
    return points


def points_of(polygons: Any) -> Any:
    """Return the centroids of a frame of polygons, in memory or on Dask: ``longitude`` and ``latitude``.

    Raises
    ------
    GeometryError
        If no coordinate system is given.
    """
    empty = pd.DataFrame({name: np.zeros(0) for name in POINT})
    return own_rows(_points, polygons[["geometry"]], meta=lambda: empty.set_axis(polygons._meta.index))


def _points(polygons: gpd.GeoDataFrame) -> pd.DataFrame:
    if not len(polygons):
        return pd.DataFrame({name: np.zeros(0) for name in POINT}, index=polygons.index)
    if polygons.crs is None:
        raise GeometryError("polygons: no coordinate system is given; expected one, for distances")
    return pd.DataFrame(centroids(polygons.geometry), index=polygons.index, columns=list(POINT))
