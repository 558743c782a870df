"""Shares of tracts' people in other areas, from the points where they live."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geomob_dask.frames.overlay import block_crosswalk
from geomob_dask.frames.own_rows import is_lazy, own_rows
from geomob_dask.sources.coordinates import reprojected


def people_weights(tracts: Any, regions: Any, points: Any, *, least: float = 0.0) -> Any:
    """Return the share of each tract's people in each region.

    Parameters
    ----------
    tracts, regions : GeoDataFrame, in memory or on Dask
        As those of `area_weights`.
    points : GeoDataFrame, in memory or on Dask as `tracts`
        Indexed by the key of the tract; ``people`` who live at a point. On Dask, each partition has those of the
        partition of tracts, or there is one for all.
    least : float
        Links with a smaller share of the tract are left out.

    Returns
    -------
    DataFrame, in memory or on Dask as `tracts`
        As that of `area_weights`, with ``people``: those of the points of the tract that lie in the region; NaN where
        no point of the tract has anybody, whose shares are those of its area. ``afact2`` needs the people of all
        tracts: see `region_shares`.

    Examples
    --------
    A quarter of a tract's area, and three quarters of its people:

    >>> tracts = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 2000, 2000)], index=["a"], crs=5070)
    >>> regions = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1000, 1000)], index=["town"], crs=5070)
    >>> places = gpd.points_from_xy([500, 1500], [500, 1500])
    >>> points = gpd.GeoDataFrame({"people": [30.0, 10.0]}, geometry=places, index=["a", "a"], crs=5070)
    >>> people_weights(tracts, regions, points)[["region", "afact", "people"]].to_numpy().tolist()
    [['', 0.25, 10.0], ['town', 0.75, 30.0]]
    """
    outlines = tracts[[tracts.geometry.name]]
    layers = (outlines, regions, points)
    nothing = [layer._meta if is_lazy(layer) else layer.iloc[:0] for layer in layers]
    return own_rows(block_shares, *layers, meta=lambda: block_shares(*nothing), least=least)


def block_shares(
    tracts: gpd.GeoDataFrame, regions: gpd.GeoDataFrame, points: gpd.GeoDataFrame, least: float = 0.0
) -> pd.DataFrame:
    """Return the share of the people of each tract of one partition in each region; see `people_weights`."""
    by_area = block_crosswalk(tracts, regions, least).assign(people=np.nan)
    points = points[points.index.isin(tracts.index)]
    if not len(points):
        return by_area
    regions = regions.set_axis(regions.index.astype("str")).sort_index()
    found = pd.DataFrame(
        {"geoid": points.index, "region": _region_of(points, regions), "people": points["people"].to_numpy(np.float64)}
    )
    table = found.groupby(["geoid", "region"], as_index=False)["people"].sum()
    everybody = table.groupby("geoid")["people"].transform("sum")
    table["afact"] = table["people"] / everybody
    table = table[(table["region"] == "") | (table["afact"] >= least)]
    # What is left out lives in no region.
    left = 1.0 - table.groupby("geoid")["afact"].sum()
    names = regions["region_name"].to_dict() if "region_name" in regions else {}
    table["region_name"] = [names.get(region, "") for region in table["region"]]
    table["afact2"] = np.nan
    nowhere = left[left > 1e-12].index.difference(table.loc[table["region"] == "", "geoid"])
    more = pd.DataFrame({"geoid": nowhere, "region": "", "region_name": "", "afact": left[nowhere].to_numpy()})
    of_people = pd.concat([table, more.assign(afact2=np.nan, people=0.0)]) if len(more) else table
    of_people = of_people.set_index("geoid")[list(by_area.columns)]
    others = by_area[~by_area.index.isin(of_people.index)]
    both = pd.concat([of_people, others]) if len(others) else of_people
    both = both.rename_axis("geoid").reset_index().sort_values(["geoid", "region"]).set_index("geoid")
    both.index = both.index.astype(by_area.index.dtype)
    return both.astype(by_area.dtypes.to_dict())


def region_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return shares of `people_weights` of all tracts with ``afact2``: the share of the region's people in the tract.

    A tract without people at any point has none of its region's; a region of such tracts alone keeps shares of area.
    """
    people = table["people"].fillna(0.0).where(table["region"] != "")
    whole = people.groupby(table["region"]).transform("sum")
    return table.assign(afact2=(people / whole.where(whole > 0)).where(whole > 0, table["afact2"]))


def _region_of(points: gpd.GeoDataFrame, regions: gpd.GeoDataFrame) -> NDArray[np.object_]:
    """Return the region of each point, the first where it lies on a border; empty for none."""
    where = points.geometry
    if points.crs is not None and regions.crs is not None and points.crs != regions.crs:
        where = reprojected(where, regions.crs, "points of people", "tract")
    point, region = shapely.STRtree(np.asarray(regions.geometry.array)).query(
        np.asarray(where.array), predicate="intersects"
    )
    first = np.full(len(points), len(regions))
    np.minimum.at(first, point, region)
    names = np.append(regions.index.to_numpy(object), "")
    return np.asarray(names[first], dtype=object)
