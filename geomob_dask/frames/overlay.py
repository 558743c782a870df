"""Shares of tracts in other areas, from the polygons of both."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geomob_dask.errors import GeometryError
from geomob_dask.frames.own_rows import is_lazy, own_rows
from geomob_dask.sources.coordinates import refuse_coordinates, reprojected
from geomob_dask.transforms.crosswalk import area_links
from geomob_dask.transforms.projection import EQUAL_AREA

# Share of a tract's area: a smaller rest is a rounding of the overlay.
_NOTHING = 1e-9


def area_weights(tracts: Any, regions: Any, *, least: float = 0.0) -> Any:
    """Return the share of each tract's area in each region.

    People are taken as evenly spread over a tract, water included. Layers with a coordinate system are projected to
    EPSG:5070, where areas are right; without one, coordinates are taken as meters in a plane.

    Parameters
    ----------
    tracts : GeoDataFrame, in memory or on Dask
        Polygons, indexed by key.
    regions : GeoDataFrame, in memory or on Dask
        Polygons that do not overlap, indexed by code; a column ``region_name`` is kept. Every partition of the tracts
        gets all of them, or on Dask its own partition of them.
    least : float
        Links with a smaller share of the tract are left out: outlines from different sources leave slivers.

    Returns
    -------
    DataFrame, in memory or on Dask as `tracts`
        Index ``geoid``, sorted: ``region`` (empty: in none), ``region_name``, ``afact`` (share of the tract in the
        region) and ``afact2`` (share of the region in the tract; NaN without a region). The shares of every tract sum
        to 1.

    Raises
    ------
    GeometryError
        If one layer alone has a coordinate system, coordinates without one are degrees, a polygon is missing or
        invalid, or regions overlap.

    Examples
    --------
    A quarter of a square of 2 km lies in a region:

    >>> tracts = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 2000, 2000)], index=["a"], crs=5070)
    >>> regions = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1000, 1000)], index=["town"], crs=5070)
    >>> area_weights(tracts, regions)[["region", "afact"]].to_numpy().tolist()
    [['', 0.75], ['town', 0.25]]
    """
    outlines = tracts[[tracts.geometry.name]]
    nothing = [layer._meta if is_lazy(layer) else layer.iloc[:0] for layer in (outlines, regions)]
    return own_rows(block_crosswalk, outlines, regions, meta=lambda: block_crosswalk(*nothing), least=least)


def block_crosswalk(tracts: gpd.GeoDataFrame, regions: gpd.GeoDataFrame, least: float = 0.0) -> pd.DataFrame:
    """Return the share of each tract of one partition in each region; see `area_weights`."""
    for what, layer in (("tract", tracts), ("region", regions)):
        refuse_coordinates(np.asarray(layer.geometry.array), layer.index, layer.crs, f"{what}s", what)
    near = _near(tracts, regions)
    links = pd.DataFrame({"geoid": tracts.index[:0], "region": [], "afact": [], "afact2": []})
    if len(near):
        links = _links(tracts, near)
    links = links[links["afact"] >= max(least, _NOTHING)]
    within = links.groupby("geoid")["afact"].sum().reindex(tracts.index).fillna(0.0)
    rest = (1.0 - within)[lambda left: left > _NOTHING]
    nowhere = pd.DataFrame({"geoid": rest.index, "region": "", "afact": rest.to_numpy(), "afact2": np.nan})
    table = pd.concat([links, nowhere]) if len(links) else nowhere
    table = table.sort_values(["geoid", "region"]).set_index("geoid")
    names = near["region_name"].to_dict() if "region_name" in near else {}
    table.insert(1, "region_name", [names.get(region, "") for region in table["region"]])
    if pd.api.types.is_string_dtype(table.index.dtype):
        table.index = table.index.astype("str")
    return table.astype({"region": "str", "region_name": "str", "afact": "float64", "afact2": "float64"})


def _near(tracts: gpd.GeoDataFrame, regions: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the regions that may share an area with one of the tracts."""
    for what, layer, other in (("tracts", tracts, regions), ("regions", regions, tracts)):
        if layer.crs is None and other.crs is not None:
            raise GeometryError(f"{what}: no coordinate system is given; expected one, for areas in {EQUAL_AREA}")
    regions = regions.set_axis(regions.index.astype("str"))
    if not len(tracts):
        return regions.iloc[:0]
    if tracts.crs != regions.crs:
        return regions
    left, bottom, right, top = tracts.total_bounds
    return regions.cx[left:right, bottom:top]


def _links(tracts: gpd.GeoDataFrame, regions: gpd.GeoDataFrame) -> pd.DataFrame:
    sources = _measurable(tracts.geometry, "tracts", "tract")
    targets = _measurable(regions.geometry, "regions", "region")
    links = area_links(sources.to_numpy(), targets.to_numpy(), source_names=tracts.index.tolist())
    return pd.DataFrame(
        {
            "geoid": tracts.index[links.source],
            "region": regions.index[links.target],
            "afact": links.share,
            "afact2": links.share_of_target,
        }
    )


def _measurable(polygons: gpd.GeoSeries, where: str, what: str) -> gpd.GeoSeries:
    """Return polygons in meters; projecting can make an outline touch itself."""
    if polygons.crs is None:
        return polygons
    projected = reprojected(polygons, EQUAL_AREA, where, what)
    invalid = ~projected.is_valid
    if invalid.any():
        projected[invalid] = shapely.make_valid(projected[invalid].to_numpy())
    return projected
