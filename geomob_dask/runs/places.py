"""Regions from polygons into the store: the share of each tract's area in each region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import dask.dataframe as dd
import distributed
import geopandas as gpd
from pydantic import Field
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.frames.overlay import area_weights
from geomob_dask.messages import counted, listed
from geomob_dask.names import Name
from geomob_dask.options import Options as BaseOptions
from geomob_dask.options import argument
from geomob_dask.runs.computed import computed
from geomob_dask.runs.landing import Ingested, put_all
from geomob_dask.sources.areas import ALL, areas_by_state, read_areas
from geomob_dask.sources.polygon_files import FORMATS
from geomob_dask.sources.regions import COLUMNS, refuse_nested
from geomob_dask.sources.tables import crs_name, file_checksums, split_by_state
from geomob_dask.store import Provenance, Snapshot, Store


class Options(BaseOptions):
    """Options of ``jobs/ingest.py places``."""

    files: tuple[str, ...] = argument(FORMATS)
    vintage: Name = Field(description="Name of the tract vintage, such as 2010, 2020 or 2022.")
    name: Name = Field("place", description="Name of the regions: --by NAME of other jobs.")
    key_column: str | None = Field(None, description="Column of their codes. [default: GEOID]")
    crs: str | None = Field(None, description="Coordinate system of files that do not state theirs.")
    layer: str | None = Field(None, description="Layer of a file that has several, or member of a zip file.")
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
    areas, lines = read_areas(options.files, key=options.key_column, crs=options.crs, layer=options.layer)
    layers = areas_by_state(areas, list(tracts.parts))
    states = [state for state in tracts.parts if state in layers or ALL in layers]
    shares, polygons = (f"{folder}/{options.name}/{options.vintage}" for folder in ("regions", "areas"))
    with store.all_or_nothing(*([] if dry_run else [shares, polygons])):
        written = {} if dry_run else put_all(store, polygons, layers)
        # Workers read the layers from the store, where they are written; else they are sent along.
        regions = _sent(layers, states) if dry_run else _read(store, Snapshot(polygons, written), states)
        outlines = store.aligned(tracts, states, ["geometry"])
        table = computed(area_weights(outlines, regions, least=options.least), client, console)[list(COLUMNS)]
        linked = table[table["region"] != ""]
        if linked.empty:
            raise InputError(
                f"{listed(options.files)}: no polygon shares an area with a tract of vintage {options.vintage} "
                f"(states {listed(states, 60)})"
            )
        if not dry_run:
            inputs = {**file_checksums(options.files), tracts.collection: tracts.checksum(states)}
            provenance = Provenance("places", inputs, options.plain())
            parts = put_all(store, shares, split_by_state(table))
            store.commit(shares, parts, provenance, {"key": "tract"}, keep_others=True)
            store.commit(polygons, written, provenance, {"crs": crs_name(areas.crs)}, keep_others=True)
    n_tracts = sum(tracts.parts[state].rows for state in states)
    outside = n_tracts - linked.index.nunique()
    lines += [
        f"{counted(len(linked), 'link')} of {counted(n_tracts, 'tract')}, by area; {counted(outside, 'tract')} in none"
    ]
    by_state = linked.index.str[:2].value_counts()
    return Ingested(shares, {state: int(by_state.get(state, 0)) for state in states}, tuple(lines), unit="link")


def _read(store: Store, layers: Snapshot, states: Sequence[str]) -> dd.DataFrame:
    """Return the layers as a frame aligned with the states, or of the one partition that all of them share."""
    return store.frame(layers) if ALL in layers.parts else store.aligned(layers, states)


def _sent(layers: Mapping[str, gpd.GeoDataFrame], states: Sequence[str]) -> dd.DataFrame:
    given = [layers[ALL]] if ALL in layers else [layers[state] for state in states]
    return dd.from_map(_same, given, meta=given[0].iloc[:0])


def _same(layer: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return layer
