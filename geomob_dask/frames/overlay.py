"""Crosswalks from the areas that tracts and regions share, and crosswalk tables as links between rows."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geomob_dask.errors import GeometryError
from geomob_dask.transforms.crosswalk import Links, area_links
from geomob_dask.transforms.projection import EQUAL_AREA

# Of a tract's area: a smaller rest is a rounding of the overlay.
_NOTHING = 1e-9


def crosswalk_by_area(
    tracts: gpd.GeoDataFrame, regions: gpd.GeoDataFrame, *, key: str = "geoid", region: str = "GEOID"
) -> pd.DataFrame:
    """Return a crosswalk made of the areas that tracts and regions share.

    People are taken as evenly spread over a tract, water included. Both layers are projected to EPSG:5070, where
    areas are right; any block of tracts may be done by itself, with all regions.

    Parameters
    ----------
    tracts, regions : GeoDataFrame
        With a coordinate system each.
    key, region : str
        Their columns of names.

    Raises
    ------
    GeometryError
        If a layer does not say its coordinate system, or a polygon is missing or invalid, or regions overlap.
    """
    projected = [_projected(layer, what) for layer, what in ((tracts, "tracts"), (regions, "regions"))]
    sources, targets = (layer.geometry.to_numpy() for layer in projected)
    links = area_links(sources, targets, source_names=tracts[key].tolist())
    table = pd.DataFrame(
        {
            "geoid": tracts[key].to_numpy()[links.source],
            "region": regions[region].to_numpy()[links.target],
            "afact": links.share,
            "afact2": links.share_of_target,
        }
    )
    return table.sort_values(["geoid", "region"], ignore_index=True)


def block_crosswalk(tracts: gpd.GeoDataFrame, regions: gpd.GeoDataFrame, least: float = 0.0) -> pd.DataFrame:
    """Return which share of each tract of one block lies in which region, by area.

    Returns
    -------
    DataFrame
        Index ``geoid``, sorted; ``region`` (empty: in none), ``region_name``, ``afact``, ``afact2`` (NaN without a
        region). The shares of every tract sum to 1.

    Raises
    ------
    GeometryError
        As `crosswalk_by_area`.
    """
    near = regions
    if len(tracts) and tracts.crs == regions.crs:
        left, bottom, right, top = tracts.total_bounds
        near = regions.cx[left:right, bottom:top]
    if near.empty:
        links = pd.DataFrame({"geoid": [], "region": [], "afact": [], "afact2": []})
    else:
        layers = (
            _measurable(tracts.reset_index(names="geoid")),
            _measurable(near.reset_index(names="region")),
        )
        links = crosswalk_by_area(*layers, key="geoid", region="region")
    links = links[links["afact"] >= max(least, _NOTHING)]
    within = links.groupby("geoid")["afact"].sum().reindex(tracts.index).fillna(0.0)
    rest = (1.0 - within)[lambda left: left > _NOTHING]
    nowhere = pd.DataFrame({"geoid": rest.index, "region": "", "afact": rest.to_numpy(), "afact2": np.nan})
    table = pd.concat([links, nowhere]) if len(links) else nowhere
    table = table.sort_values(["geoid", "region"]).set_index("geoid")
    names = near["region_name"].to_dict() if "region_name" in near else {}
    table.insert(1, "region_name", [names.get(region, "") for region in table["region"]])
    table.index = table.index.astype("str")
    return table.astype({"region": "str", "region_name": "str", "afact": "float64", "afact2": "float64"})


def link_tracts(crosswalk: pd.DataFrame, tracts: pd.Series | np.ndarray) -> tuple[Links, list[str], np.ndarray]:
    """Return a crosswalk's rows as links between the rows of a table and regions.

    Parameters
    ----------
    crosswalk : DataFrame
    tracts : geoids, in the order of the table

    Returns
    -------
    links : Links
        Rows without a region, and tracts that are not in the table, are left out.
    regions : list of str
        Names of the targets, sorted.
    share_of_target : shape (n_links,)
        ``afact2``.
    """
    rows = pd.Index(np.asarray(tracts)).get_indexer(crosswalk["geoid"])
    linked = crosswalk[(rows >= 0) & (crosswalk["region"] != "").to_numpy()]
    codes, regions = pd.factorize(linked["region"], sort=True)
    source = pd.Index(np.asarray(tracts)).get_indexer(linked["geoid"])
    links = Links(source.astype(np.int64), codes.astype(np.int64), linked["afact"].to_numpy(float))
    return links, list(regions), linked["afact2"].to_numpy(float)


def _projected(layer: gpd.GeoDataFrame, what: str) -> gpd.GeoDataFrame:
    if layer.crs is None:
        raise GeometryError(f"{what}: no coordinate system is given; expected one, for areas in {EQUAL_AREA}")
    return layer.to_crs(EQUAL_AREA)


def _measurable(layer: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return a layer in metres; projecting can make an outline touch itself."""
    if layer.crs is None:
        return layer
    projected = layer.to_crs(EQUAL_AREA)
    invalid = ~projected.is_valid
    if invalid.any():
        projected.loc[invalid, "geometry"] = shapely.make_valid(projected.geometry[invalid].to_numpy())
    return projected
