"""Commuting zones and their neighbors, from Opportunity Insights' files.

``zones/<vintage>`` is one collection whose parts are tables, not states, so that one commit shows all of them:
``characteristics`` and ``outcomes`` (one row per zone), ``counties`` (the zone of each), and, where their files are
given, ``cohort`` (tracts and minority tracts per zone), ``polygons`` and ``neighbors``.
"""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import pandas as pd
from pydantic import Field

from geomob_dask.frames.group_neighbors import group_neighbors
from geomob_dask.names import Name
from geomob_dask.options import Options as BaseOptions
from geomob_dask.options import argument, unrecorded
from geomob_dask.sources.commuting_zones import (
    dissolve_zones,
    polygons_lines,
    read_cohort,
    read_zone_counties,
    zones_lines,
)
from geomob_dask.sources.county_zones import read_county_zones
from geomob_dask.sources.opportunity_insights import ZONE_VINTAGE, ZONES, read_workbook
from geomob_dask.sources.tables import Tables, crs_name

TABLES = ("characteristics", "outcomes", "counties", "cohort", "polygons", "neighbors")


class Options(BaseOptions):
    """Options of ``jobs/ingest.py zones``."""

    workbook: str = argument("Opportunity Insights' workbook (.xls or .xlsx): tables 5 and 8.")
    county_zones: str = unrecorded(..., "csv of each county's zone: cz, state, county.")
    cohort_counts: str | None = unrecorded(
        None, "People of tracts in 2000 (pop2000, nh.white), which define minority communities."
    )
    counties: str | None = unrecorded(None, "Polygons of counties of any year: dissolved into zones.")
    layer: str | None = Field(None, description="Layer of the polygons, or member of a zip file.")
    crs: str | None = Field(None, description="Coordinate system of polygons that do not state theirs.")
    vintage: Name = Field(ZONE_VINTAGE, description="Name of the zones.")


def read(options: Options) -> Tables:
    """Return the tables of the commuting zones, by name.

    Raises
    ------
    InputError, GeometryError
        If a file cannot be used.
    """
    book, county_zones = read_workbook(options.workbook), read_county_zones(options.county_zones)
    known = book.characteristics.index
    lines = [*book.lines, *zones_lines(known, county_zones)]
    tables: dict[str, pd.DataFrame] = {
        "characteristics": book.characteristics,
        "outcomes": book.outcomes,
        "counties": county_zones.to_frame(),
    }
    attributes: dict[str, Any] = {"kind": "commuting zones"}
    if options.cohort_counts is not None:
        tables["cohort"], attributes["white_share_mean"], found = read_cohort(
            options.cohort_counts, county_zones, known
        )
        lines += found
    if options.counties is not None:
        polygons, tables["neighbors"], found = _polygons(
            options.counties, county_zones, book.characteristics, layer=options.layer, crs=options.crs
        )
        tables["polygons"], attributes["crs"] = polygons, crs_name(polygons.crs)
        lines += found
    files = (options.workbook, options.county_zones, options.cohort_counts, options.counties)
    return Tables(
        collection=f"{ZONES}/{options.vintage}",
        parts={name: tables[name] for name in TABLES if name in tables},
        attributes=attributes,
        options=options.plain(),
        files=[file for file in files if file is not None],
        lines=lines,
        keep_others=False,
        unit="commuting zone",
        count=len(known),
        report={"lines": lines},
    )


def _polygons(
    file: str, county_zones: pd.Series, characteristics: pd.DataFrame, *, layer: str | None, crs: str | None
) -> tuple[gpd.GeoDataFrame, pd.DataFrame, list[str]]:
    """Return the polygons of the zones, their neighbors (both directions), and what to report."""
    areas, read, unmatched = read_zone_counties(file, county_zones, layer=layer, crs=crs)
    polygons = dissolve_zones(areas, characteristics)
    edges = group_neighbors(areas, areas["zone"])
    edges = edges[edges.index.isin(polygons.index) & edges["neighbor"].isin(polygons.index)]
    counts, lacking = polygons_lines(polygons, edges, characteristics.index)
    return polygons, edges, [*read, counts, *unmatched, *lacking]
