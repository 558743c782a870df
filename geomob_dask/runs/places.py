"""Regions from polygons into the store: the share of each tract's area in each region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import distributed
import geopandas as gpd
from pydantic import Field
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.frames.overlay import block_crosswalk
from geomob_dask.lift.tasks import Run
from geomob_dask.options import Options as BaseOptions
from geomob_dask.options import argument
from geomob_dask.runs.execute import compute
from geomob_dask.runs.landing import Ingested, put_all
from geomob_dask.sources.areas import areas_by_state, read_areas
from geomob_dask.sources.keys import listed
from geomob_dask.sources.regions import COLUMNS, refuse_nested
from geomob_dask.sources.tables import crs_name, file_checksums
from geomob_dask.store import Part, Provenance, Store


class Options(BaseOptions):
    """Options of ``jobs/ingest.py places``."""

    files: tuple[str, ...] = argument("Polygons of regions: shapefile, GeoPackage, GeoJSON, GeoParquet.")
    vintage: str = Field(description="Name of the tract vintage, such as 2010, 2020 or 2022.")
    name: str = Field("place", description="Name of the regions: --by NAME of other jobs.")
    key_column: str | None = Field(None, description="Column of their codes. [default: GEOID]")
    crs: str | None = Field(None, description="Coordinate system of files that do not state theirs.")
    least: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Leave out links with a smaller share of the tract: slivers."
    )


def ingest_areas(
    store: Store,
    options: Options,
    client: distributed.Client | None,
    console: Console,
    *,
    dry_run: bool = False,
) -> Ingested:
    """Put polygons of regions into the store, and the share of each tract's area in each of them.

    Parameters
    ----------
    store : Store
        Holds the vintage's tracts.
    options : Options
    client : Client, optional
        Without one, states are overlaid in this process.
    console : Console
    dry_run : bool
        Whether nothing is written.

    Raises
    ------
    InputError
        If no tract of any state lies near the polygons, or a file cannot be used.
    GeometryError
        If regions overlap.
    """
    refuse_nested(options.name)
    tracts = store.snapshot(f"tracts/{options.vintage}")
    areas, lines = read_areas(options.files, key=options.key_column, crs=options.crs)
    shares, polygons = (f"{folder}/{options.name}/{options.vintage}" for folder in ("regions", "areas"))
    by_state = areas_by_state(areas, list(tracts.parts))
    run = Run("places")
    with store.all_or_nothing(*([] if dry_run else [shares, polygons])):
        layers: dict[str, gpd.GeoDataFrame | Part] = dict(by_state)
        if not dry_run:
            layers = dict(put_all(store, polygons, by_state))
        tasks = {
            state: run.task(
                "overlay",
                state,
                _overlay,
                store,
                tracts.parts[state],
                layers[state if state in layers else "all"],
                options.least,
                None if dry_run else (shares, state),
            )
            for state in tracts.parts
            if state in layers or "all" in layers
        }
        done = compute(tasks, client, console, token=run.token)
        if not any(one.links for one in done.values()):
            raise InputError(
                f"{listed(options.files)}: no polygon shares an area with a tract of vintage {options.vintage} "
                f"(states {listed(list(tasks), 60)})"
            )
        if not dry_run:
            inputs = {**file_checksums(options.files), tracts.collection: tracts.checksum(list(tasks))}
            provenance = Provenance("places", inputs, options.plain())
            parts = {state: one.part for state, one in done.items() if one.part is not None}
            store.commit(shares, parts, provenance, {"key": "tract"}, keep_others=True)
            put = {state: layer for state, layer in layers.items() if isinstance(layer, Part)}
            store.commit(polygons, put, provenance, {"crs": crs_name(areas.crs)}, keep_others=True)
    lines += [
        f"{sum(one.links for one in done.values()):,} links of {sum(one.tracts for one in done.values()):,} tracts, "
        f"by area; {sum(one.outside for one in done.values()):,} tracts lie in none",
    ]
    return Ingested(shares, {state: one.links for state, one in done.items()}, tuple(lines), unit="links")


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
