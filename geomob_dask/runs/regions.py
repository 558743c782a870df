"""Regions of tracts: tables of them into the store, and which region each tract of a state lies in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import distributed
import geopandas as gpd
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.frames.overlay import block_crosswalk
from geomob_dask.frames.regions import BY_KEY, NATION, tract_regions
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.execute import compute
from geomob_dask.runs.ingest import Ingested, crs_name, file_checksums
from geomob_dask.sources.areas import areas_by_state, read_areas
from geomob_dask.sources.keys import listed
from geomob_dask.sources.regions import COLUMNS, RegionColumns, read_regions
from geomob_dask.store import Part, Provenance, Snapshot, Store

PREFIX = "regions"


def ingest_regions(
    store: Store,
    file: str,
    name: str,
    vintage: str,
    *,
    columns: RegionColumns | None = None,
    dry_run: bool = False,
) -> Ingested:
    """Read and store a table of regions; states that are not in this file stay as they are.

    Parameters
    ----------
    file : str
        See `sources.regions.read_regions`.
    name, vintage : str
        Under which jobs find it: ``--by NAME`` for measures of this vintage.
    """
    if name in BY_KEY:
        raise InputError(f"--name {name}: is known from every tract's key; expected another name")
    table = read_regions(file, name, columns)
    collection = f"{PREFIX}/{name}/{vintage}"
    by_state = {str(state): rows for state, rows in table.rows.groupby(table.rows.index.str[:2])}
    if not dry_run:
        provenance = Provenance("ingest", file_checksums([file]), {"name": name, "vintage": vintage})
        with store.all_or_nothing(collection):
            parts = {state: store.put(collection, state, rows) for state, rows in by_state.items()}
            store.commit(collection, parts, provenance, {"key": table.key}, keep_others=True)
    return Ingested(collection, {state: len(rows) for state, rows in by_state.items()}, table.lines)


def ingest_areas(
    store: Store,
    files: Sequence[str],
    name: str,
    vintage: str,
    client: distributed.Client | None,
    console: Console,
    *,
    key: str | None = None,
    crs: str | None = None,
    least: float = 0.0,
    dry_run: bool = False,
) -> Ingested:
    """Make a table of regions from polygons: the share of each tract's area in each region, a task a state.

    Parameters
    ----------
    files : sequence of str
        Polygons of regions; see `sources.areas.read_areas`.
    name, vintage : str
        Under which jobs find them; the vintage's tracts are in the store.
    key : str, optional
        Column of codes.
    crs : str, optional
        Of files that do not state theirs.
    least : float
        Links with a smaller share of the tract are left out.

    Raises
    ------
    InputError
        If no tract of any state lies near the polygons, or a file cannot be used.
    GeometryError
        If regions overlap.
    """
    if name in BY_KEY:
        raise InputError(f"--name {name}: is known from every tract's key; expected another name")
    if not 0 <= least < 1:
        raise InputError(f"--least {least}: expected a share from 0 to 1")
    tracts = store.snapshot(f"tracts/{vintage}")
    areas, lines = read_areas(files, key=key, crs=crs)
    shares, polygons = f"{PREFIX}/{name}/{vintage}", f"areas/{name}/{vintage}"
    by_state = areas_by_state(areas, list(tracts.parts))
    run = Run("places")
    with store.all_or_nothing(*([] if dry_run else [shares, polygons])):
        layers: dict[str, gpd.GeoDataFrame | Part] = dict(by_state)
        if not dry_run:
            layers = {state: store.put(polygons, state, layer) for state, layer in by_state.items()}
        tasks = {
            state: run.task(
                "overlay",
                state,
                _overlay,
                store,
                tracts.parts[state],
                layers[state if state in layers else "all"],
                least,
                None if dry_run else (shares, state),
            )
            for state in tracts.parts
            if state in layers or "all" in layers
        }
        done = compute(tasks, client, console, token=run.token)
        if not any(one.links for one in done.values()):
            raise InputError(
                f"{listed(files)}: no polygon shares an area with a tract of vintage {vintage} "
                f"(states {listed(list(tasks), 60)})"
            )
        if not dry_run:
            options = {"name": name, "vintage": vintage, "least": least, "crs": crs, "key": key}
            inputs = {**file_checksums(files), tracts.collection: tracts.checksum(list(tasks))}
            provenance = Provenance("places", inputs, options)
            parts = {state: one.part for state, one in done.items() if one.part is not None}
            store.commit(shares, parts, provenance, {"key": "tract"}, keep_others=True)
            put = {state: layer for state, layer in layers.items() if isinstance(layer, Part)}
            store.commit(polygons, put, provenance, {"crs": crs_name(areas.crs)}, keep_others=True)
    lines += [
        f"{sum(one.links for one in done.values()):,} links of {sum(one.tracts for one in done.values()):,} tracts, "
        f"by area; {sum(one.outside for one in done.values()):,} tracts lie in none",
    ]
    return Ingested(shares, {state: one.links for state, one in done.items()}, tuple(lines))


@dataclass(frozen=True)
class _Overlaid:
    part: Part | None
    links: int
    tracts: int
    outside: int


def _overlay(
    store: Store,
    tracts: Part,
    layer: gpd.GeoDataFrame | Part,
    least: float,
    where: tuple[str, str] | None,
) -> _Overlaid:
    regions = store.read(layer) if isinstance(layer, Part) else layer
    polygons = store.read(tracts, ["geometry"])
    table = block_crosswalk(gpd.GeoDataFrame(polygons), gpd.GeoDataFrame(regions), least)
    table = table[list(COLUMNS)]
    linked = table[table["region"] != ""]
    part = None if where is None else store.put(*where, table)
    return _Overlaid(part, len(linked), len(polygons), len(polygons) - linked.index.nunique())


@dataclass(frozen=True)
class Regions:
    """What tells the region of a tract; small plain data that travels to workers.

    Attributes
    ----------
    by : str
    key : {"county", "tract"}, optional
        Of the table; None: no table is needed.
    parts : mapping of state to Part
        Of the table; empty where none is needed.
    collection, checksum : str
        Of the table, as an input; empty where none is needed.
    """

    by: str
    key: str | None
    parts: dict[str, Part]
    collection: str = ""
    checksum: str = ""

    @property
    def of_column(self) -> bool:
        """Tell whether a column of the measures says it."""
        return self.key is None and self.by not in BY_KEY

    def of_states(self, states: Sequence[str]) -> Regions:
        """Return the same of some states alone."""
        return replace(self, parts={state: part for state, part in self.parts.items() if state in states})

    def of(self, store: Store, state: str, measures: pd.DataFrame) -> pd.DataFrame:
        """Return the regions of the tracts of one state; see `regions_of`."""
        if self.key is None:
            return tract_regions(measures, by=self.by)
        if state not in self.parts:
            return tract_regions(measures.iloc[:0], by=NATION)
        return tract_regions(measures, store.read(self.parts[state]), by=self.by)


def find_regions(
    store: Store, by: str, vintage: str, columns: Collection[str], states: Sequence[str] | None = None
) -> Regions:
    """Return where the regions come from.

    Parameters
    ----------
    by : str
        ``county``, ``state``, a table of regions in the store, or a column of the measures.
    vintage : str
        Of the measures' tracts.
    columns : of the measures
    states : sequence of str, optional
        Whose tables count as an input.

    Raises
    ------
    InputError
        If there is no such thing: it names what there is.
    """
    if by in BY_KEY:
        return Regions(by, None, {})
    found = store.find(f"{PREFIX}/{by}/{vintage}") if by.isprintable() and "/" not in by and by else None
    if found is not None:
        return Regions(by, found.attributes["key"], dict(found.parts), found.collection, found.checksum(states))
    if by in columns:
        return Regions(by, None, {})
    there = [collection.removeprefix(f"{PREFIX}/") for collection in store.collections(PREFIX)]
    raise InputError(
        f"--by {by}: expected county, state, a column of the measures ({listed(sorted(columns), 8)}), or regions of "
        f"vintage {vintage} in the store ({', '.join(there) or 'none yet'}): "
        f"jobs/ingest.py regions FILE --name {by} --vintage {vintage}"
    )


def region_tables(store: Store, regions: Regions | None) -> list[Snapshot]:
    """Return the table that regions are read from; none where none is needed."""
    return [store.snapshot(regions.collection)] if regions is not None and regions.collection else []


def regions_of(store: Store, by: str, vintage: str, state: str, measures: pd.DataFrame) -> pd.DataFrame:
    """Return the regions of the tracts of one state.

    Parameters
    ----------
    by, vintage : str
        See `find_regions`.
    state : str
    measures : DataFrame
        Index ``geoid``: the tracts.

    Returns
    -------
    DataFrame
        Index ``geoid``, sorted: a row for each part of a tract that lies in a region, none for a tract in no region.
        Columns ``region``, ``region_name`` (empty where it is not known), ``afact`` (share of the tract in the region)
        and ``afact2`` (share of the region in the tract; NaN where it is not known).

    Raises
    ------
    InputError
        If there are no such regions, the table is of other tracts than the measures, or it says which share of a
        county lies in a region, which does not tell where its tracts lie.
    """
    return find_regions(store, by, vintage, list(measures.columns)).of(store, state, measures)
