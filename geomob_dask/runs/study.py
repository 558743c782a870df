"""Commuting zones and tract outcomes into the store.

``zones/<vintage>`` is one collection whose parts are tables, not states, so that one commit shows all of them:
``characteristics`` and ``outcomes`` (a row a zone), ``counties`` (the zone of each), and, where their files were given,
``cohort`` (tracts and minority tracts a zone), ``polygons`` and ``neighbors``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import pandas as pd

from geomob_dask.graph.groups import group_neighbors
from geomob_dask.runs.ingest import Ingested, crs_name, file_checksums, put_all
from geomob_dask.sources.commuting_zones import (
    dissolve_zones,
    polygons_lines,
    read_cohort,
    read_zone_counties,
    zones_lines,
)
from geomob_dask.sources.opportunity_insights import (
    ATLAS,
    ATLAS_VINTAGE,
    ATLAS_YEAR,
    ZONE_VINTAGE,
    ZONES,
    read_atlas,
    read_county_zones,
    read_workbook,
)
from geomob_dask.store import Provenance, Store

TABLES = ("characteristics", "outcomes", "counties", "cohort", "polygons", "neighbors")


# Zones into the store ----------------------------------------------------------------------------


def ingest_zones(
    store: Store,
    workbook: str,
    county_zones: str,
    *,
    cohort_counts: str | None = None,
    counties: str | None = None,
    vintage: str = ZONE_VINTAGE,
    dry_run: bool = False,
) -> Ingested:
    """Read and store the commuting zones of the study, all tables in one commit.

    Parameters
    ----------
    workbook : str
        Opportunity Insights' workbook; see `sources.opportunity_insights.read_workbook`.
    county_zones : str
        csv of the zone of each county.
    cohort_counts : str, optional
        Counts of 2000 by tract, for the cohort: see `read_white_shares`.
    counties : str, optional
        Polygons of counties of any year: dissolved, they are the zones' polygons, and tell which are neighbours.
    vintage : str
        Name of the zones.

    Returns
    -------
    Ingested
        `rows` by table, and what was found.

    Raises
    ------
    InputError, GeometryError
        If a file cannot be used. Nothing is written then.
    """
    book, table = read_workbook(workbook), read_county_zones(county_zones)
    known = book.characteristics.index
    lines = [*book.lines, *zones_lines(known, table)]
    tables: dict[str, pd.DataFrame] = {
        "characteristics": book.characteristics,
        "outcomes": book.outcomes,
        "counties": table.to_frame(),
    }
    attributes: dict[str, Any] = {"kind": "commuting zones"}
    if cohort_counts is not None:
        tables["cohort"], mean, found = read_cohort(cohort_counts, table, known)
        attributes["white_share_mean"] = mean
        lines += found
    if counties is not None:
        polygons, tables["neighbors"], found = _polygons(counties, table, book.characteristics)
        tables["polygons"], attributes["crs"] = polygons, crs_name(polygons.crs)
        lines += found
    collection = f"{ZONES}/{vintage}"
    if not dry_run:
        files = [file for file in (workbook, county_zones, cohort_counts, counties) if file is not None]
        provenance = Provenance("ingest", file_checksums(files), {"vintage": vintage}, {"lines": lines})
        with store.all_or_nothing(collection):
            store.commit(collection, put_all(store, collection, tables), provenance, attributes)
    return Ingested(collection, {name: len(tables[name]) for name in TABLES if name in tables}, tuple(lines))


def _polygons(
    file: str, county_zones: pd.Series, characteristics: pd.DataFrame
) -> tuple[gpd.GeoDataFrame, pd.DataFrame, list[str]]:
    """Return the polygons of the zones, their neighbors (both directions), and what to report."""
    areas, read, unmatched = read_zone_counties(file, county_zones)
    polygons = dissolve_zones(areas, characteristics)
    edges = group_neighbors(areas, areas["zone"])
    edges = edges[edges.index.isin(polygons.index) & edges["neighbor"].isin(polygons.index)]
    counts, lacking = polygons_lines(polygons, edges, characteristics.index)
    return polygons, edges, [*read, counts, *unmatched, *lacking]


# Tract outcomes into the store -------------------------------------------------------------------


def ingest_atlas(
    store: Store,
    file: str,
    *,
    dataset: str = ATLAS,
    year: int = ATLAS_YEAR,
    vintage: str = ATLAS_VINTAGE,
    columns: Sequence[str] | None = None,
    dry_run: bool = False,
) -> Ingested:
    """Read and store tract outcomes of the Opportunity Atlas as ``measures/<dataset>/<year>``.

    Parameters
    ----------
    file : str
        See `sources.opportunity_insights.read_atlas`.
    columns : sequence of str, optional
        All columns of numbers by default.
    """
    frame = read_atlas(file, columns)
    lines = [f"{len(frame):,} tracts, {len(frame.columns)} columns of numbers"]
    lines += [f"{name}: {int(count):,} missing" for name, count in frame.isna().sum().items() if count]
    collection = f"measures/{dataset}/{year}"
    parts_of = {str(state): part for state, part in frame.groupby(frame.index.str[:2])}
    if not dry_run:
        options = {"dataset": dataset, "year": year, "vintage": vintage}
        with store.all_or_nothing(collection):
            parts = put_all(store, collection, parts_of)
            store.commit(
                collection,
                parts,
                Provenance("ingest", file_checksums([file]), options),
                {"vintage": vintage},
                keep_others=True,
            )
    return Ingested(collection, {state: len(part) for state, part in parts_of.items()}, tuple(lines))
