"""Tables of commuting zones from their source files: the cohort, and polygons dissolved from counties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed
from geomob_dask.sources.areas import read_areas
from geomob_dask.sources.county_zones import zones_of_counties
from geomob_dask.sources.matching import by_state
from geomob_dask.sources.opportunity_insights import minority_tracts, read_white_shares
from geomob_dask.sources.states import STATES


def zones_lines(known: pd.Index, county_zones: pd.Series) -> list[str]:
    """Return lines about the zones of the workbook and those of the counties.

    Parameters
    ----------
    known : Index
        Zones of the workbook.
    county_zones : Series
        Zone of each county; see `county_zones.read_county_zones`.
    """
    lines = [f"{counted(len(county_zones), 'county')} in {counted(county_zones.nunique(), 'zone')}"]
    without_county = known.difference(pd.Index(county_zones.unique()))
    if len(without_county):
        lines.append(
            f"{counted(len(without_county), 'zone')} of the workbook without a county: {listed(_plain(without_county))}"
        )
    unknown = pd.Index(county_zones.unique()).difference(known)
    if len(unknown):
        lines.append(
            f"{counted(len(unknown), 'zone')} of the counties that the workbook lacks: {listed(_plain(unknown))}"
        )
    return lines


def _plain(zones: Iterable[str]) -> list[str]:
    return [str(int(zone)) for zone in zones]


def read_cohort(file: str, county_zones: pd.Series, known: pd.Index) -> tuple[pd.DataFrame, float, list[str]]:
    """Return the number of tracts and of minority tracts in each zone.

    Parameters
    ----------
    file : str
        Counts of 2000 by tract; see `opportunity_insights.read_white_shares`.
    county_zones : Series
        Zone of each county.
    known : Index
        Zones of the workbook: the rows of the result.

    Returns
    -------
    cohort : DataFrame
        Index ``zone``; ``tracts_count``, ``minority_tracts_count``.
    white_share_mean : float
        Mean white share over tracts.
    lines : list of str
        What to report.

    Raises
    ------
    InputError
        If the file cannot be used, or no minority tract lies in a zone of the workbook.
    """
    shares = read_white_shares(file)
    minority = minority_tracts(shares.to_numpy(np.float64))
    counties = shares.index.str[:5]
    zones, reasons = zones_of_counties(counties, county_zones)
    tracts = pd.DataFrame({"zone": zones.reindex(counties).to_numpy(object), "minority": minority})
    by_zone = tracts.dropna(subset=["zone"]).groupby("zone")["minority"].agg(["size", "sum"]).reindex(known).fillna(0)
    cohort = by_zone.set_axis(["tracts_count", "minority_tracts_count"], axis=1).astype("int64").rename_axis("zone")
    mean = float(np.nanmean(shares.to_numpy(np.float64)))
    lines = [
        f"{counted(len(shares), 'tract')} of 2000, mean white share {mean:.4f}: "
        f"{counted(int(minority.sum()), 'minority tract')}, "
        f"in {int((cohort['minority_tracts_count'] > 0).sum()):,} of {counted(len(cohort), 'zone')}",
        *_county_lines("tracts of 2000", reasons, zones),
    ]
    if not cohort["minority_tracts_count"].any():
        raise InputError(f"{file}: no minority tract lies in a zone of the workbook; expected tracts of its counties")
    return cohort, mean, lines


def _county_lines(source: str, reasons: Mapping[str, str], zones: pd.Series) -> list[str]:
    mapped = [f"{county} {reason}" for county, reason in reasons.items() if county in zones.index]
    without = {county: reason for county, reason in reasons.items() if county not in zones.index}
    lines = [f"{source}: counties whose code changed: {listed(mapped, 12)}"] if mapped else []
    for state, codes in by_state(list(without)).items():
        name = STATES[state].name if state in STATES else "unknown state"
        lines.append(f"{source}: {counted(len(codes), 'county')} without a zone in {state} {name}: {listed(codes)}")
    return lines


def read_zone_counties(
    file: str, county_zones: pd.Series, *, layer: str | None = None, crs: str | None = None
) -> tuple[gpd.GeoDataFrame, list[str], list[str]]:
    """Return polygons of counties with the zone of each.

    Parameters
    ----------
    file : str
        Polygons of the counties of any year.
    county_zones : Series
        Zone of each county.
    layer, crs : str, optional
        See `read_areas`.

    Returns
    -------
    counties : GeoDataFrame
        Indexed by county code; column ``zone``. Counties without a zone are left out.
    read, unmatched : list of str
        What to report about the file, and about counties without a zone.

    Raises
    ------
    InputError, GeometryError
        If the file cannot be used, or has no county of the zones.
    """
    areas, lines = read_areas([file], layer=layer, crs=crs)
    zones, reasons = zones_of_counties(areas.index, county_zones)
    counties = areas.loc[zones.index].assign(zone=zones.to_numpy(object))
    if counties.empty:
        raise InputError(f"{file}: no polygon is of a county of the zones; expected codes such as 47019")
    return counties, lines, _county_lines("polygons", reasons, zones)


def dissolve_zones(counties: gpd.GeoDataFrame, characteristics: pd.DataFrame) -> gpd.GeoDataFrame:
    """Return the polygons of zones: the union of their counties.

    Parameters
    ----------
    counties : GeoDataFrame
        From `read_zone_counties`.
    characteristics : DataFrame
        ``name`` and ``state`` by zone; only these zones are returned.

    Returns
    -------
    GeoDataFrame
        Index ``zone``; ``name``, ``state``, ``counties_count`` and the geometry.
    """
    known = characteristics.index.intersection(pd.Index(counties["zone"].unique()))
    shapes = {zone: shapely.union_all(np.asarray(part.geometry.array)) for zone, part in counties.groupby("zone")}
    counts = counties.groupby("zone").size()
    return gpd.GeoDataFrame(
        {
            "name": characteristics.loc[known, "name"],
            "state": characteristics.loc[known, "state"],
            "counties_count": counts.reindex(known).astype("int64"),
        },
        geometry=[shapes[zone] for zone in known],
        crs=counties.crs,
        index=known,
    )


def polygons_lines(polygons: gpd.GeoDataFrame, edges: pd.DataFrame, known: pd.Index) -> tuple[str, list[str]]:
    """Return lines about polygons and neighbors of zones: the counts, and the zones that lack either."""
    counts = (
        f"{counted(len(polygons), 'zone')} with a polygon, "
        f"{counted(len(edges) // 2, 'pair of neighbors', 'pairs of neighbors')}"
    )
    lacking = []
    without_polygon = known.difference(polygons.index)
    if len(without_polygon):
        lacking.append(f"{counted(len(without_polygon), 'zone')} without a polygon: {listed(_plain(without_polygon))}")
    without_neighbor = polygons.index.difference(edges.index)
    if len(without_neighbor):
        lacking.append(
            f"{counted(len(without_neighbor), 'zone')} without a neighbor: {listed(_plain(without_neighbor))}"
        )
    return counts, lacking
