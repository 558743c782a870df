"""Sizes and tokens of polygons, and sizes of dataclasses, for Dask.

Dask counts a polygon as a pointer and a dataclass as nothing: it would take polygons for cheap to send, move
partitions between workers without need, and not see where their memory goes.
"""

from dataclasses import fields
from typing import Any

import dask_geopandas.backends
import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from dask.base import normalize_token
from dask.sizeof import sizeof
from geopandas.array import GeometryArray


def count_fields(*kinds: type) -> None:
    """Make the size of these dataclasses, where they travel between tasks, that of their fields."""
    for kind in kinds:
        sizeof.register(kind, _size_of_fields)


def _size_of_fields(value: Any) -> int:
    return int(sum(sizeof(getattr(value, field.name)) for field in fields(value)))


def _size_of_polygons(polygons: gpd.GeoSeries) -> int:
    vertices = shapely.get_num_coordinates(np.asarray(polygons.array)).sum()
    return int(16 * vertices + 200 * len(polygons) + sizeof(polygons.index))


def _size_of_tracts(tracts: gpd.GeoDataFrame) -> int:
    others = pd.DataFrame(tracts.drop(columns=tracts.active_geometry_name))
    return int(_size_of_polygons(tracts.geometry) + sizeof(others))


def _token_of_geometry(polygons: GeometryArray) -> Any:
    """Return the same token for every array without rows.

    dask-geopandas gives each a random one: an expression whose meta has polygons would get another name each time
    that Dask rebuilds it, and the same task would run once for every dependent.
    """
    return dask_geopandas.backends.tokenize_geometryarray(polygons) if len(polygons) else ("no rows", polygons.crs)


sizeof.register(gpd.GeoSeries, _size_of_polygons)
sizeof.register(gpd.GeoDataFrame, _size_of_tracts)
normalize_token.register(GeometryArray, _token_of_geometry)
