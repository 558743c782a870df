"""Polygons for a map: projected and simplified, own rows."""

from typing import Any

import geopandas as gpd
import shapely

from geomob_dask.frames.own_rows import is_lazy, own_rows
from geomob_dask.transforms.display import display_tolerance, simplify_for_display
from geomob_dask.transforms.projection import EQUAL_AREA


def simplified(tracts: Any) -> Any:
    """Return tracts projected to EPSG:5070 and simplified for a map of all of them.

    Parameters
    ----------
    tracts : GeoDataFrame, in memory or on Dask
        In any coordinate system. On Dask, with known bounds of its partitions (`spatial_partitions`).

    Returns
    -------
    GeoDataFrame, in memory or on Dask as `tracts`
    """
    boxes = tracts.spatial_partitions if is_lazy(tracts) else [shapely.box(*tracts.total_bounds)]
    tolerance = display_tolerance(gpd.GeoSeries(boxes, crs=tracts.crs).to_crs(EQUAL_AREA).total_bounds)
    return own_rows(simplify, tracts, meta=lambda: tracts._meta.to_crs(EQUAL_AREA), tolerance=tolerance)


def simplify(tracts: gpd.GeoDataFrame, *, tolerance: float) -> gpd.GeoDataFrame:
    """Return tracts (all, or one partition) projected and simplified.

    Parameters
    ----------
    tracts : GeoDataFrame
    tolerance : float, meters
        See `display_tolerance`.
    """
    projected = tracts.to_crs(EQUAL_AREA)
    return projected.set_geometry(
        gpd.GeoSeries(simplify_for_display(projected.geometry.to_numpy(), tolerance), projected.index, crs=EQUAL_AREA)
    )
