"""Regions from polygons into the store: the share of each tract's area, or of its people, in each region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import dask.dataframe as dd
import distributed
import geopandas as gpd
import pandas as pd
from pydantic import Field
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.frames.overlay import area_weights
from geomob_dask.frames.people_weights import people_weights, region_shares
from geomob_dask.messages import counted, listed
from geomob_dask.names import Name
from geomob_dask.options import FILE, argument
from geomob_dask.options import Options as BaseOptions
from geomob_dask.runs.computed import computed
from geomob_dask.runs.landing import Ingested, put_all
from geomob_dask.sources.areas import ALL, areas_by_state, read_areas
from geomob_dask.sources.people_points import read_people
from geomob_dask.sources.polygon_files import FORMATS
from geomob_dask.sources.region_weights import Kind, Weights
from geomob_dask.sources.regions import COLUMNS, refuse_nested
from geomob_dask.sources.tables import crs_name, file_checksums, split_by_state
from geomob_dask.store import Provenance, Snapshot, Store
from geomob_dask.transforms.projection import EQUAL_AREA


class Options(BaseOptions):
    """Options of ``jobs/ingest.py places``."""

    files: tuple[str, ...] = argument(FORMATS)
    vintage: Name = Field(description="Name of the tract vintage, such as 2010, 2020 or 2022.")
    name: Name = Field("place", description="Name of the regions: --by NAME of other jobs.")
    key_column: str | None = Field(None, description="Column of their codes. [default: GEOID]")
    crs: str | None = Field(None, description="Coordinate system of files that do not state theirs.")
    layer: str | None = Field(None, description="Layer of a file that has several, or member of a zip file.")
    weights: Annotated[str | None, FILE] = Field(
        None, description="A table of blocks with people, longitude and latitude: shares are of people, not of area."
    )
    people_column: str | None = Field(
        None, description="Column of people in --weights. [default: POP20, population, …]"
    )
    least: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Leave out links with a smaller share of the tract: slivers."
    )


@dataclass(frozen=True)
class Given:
    """What files and the store hold of regions that are to be compared with tracts.

    Parameters
    ----------
    tracts : Snapshot
    areas : GeoDataFrame
    layers : mapping of str to GeoDataFrame
        By state, or one of all.
    states : list of str
        Those of the vintage that have a layer.
    points : GeoDataFrame, optional
        Blocks with their people.
    weights : Weights
    lines : list of str
        What was read, for the user.
    """

    tracts: Snapshot
    areas: gpd.GeoDataFrame
    layers: Mapping[str, gpd.GeoDataFrame]
    states: list[str]
    points: gpd.GeoDataFrame | None
    weights: Weights
    lines: list[str]


def read_given(store: Store, options: Options) -> Given:
    """Read and check the files; nothing is compared with tracts yet.

    Raises
    ------
    InputError
        If a file cannot be used, or its places are of no state of the vintage.
    """
    refuse_nested(options.name)
    tracts = store.snapshot(f"tracts/{options.vintage}")
    areas, lines = read_areas(options.files, key=options.key_column, crs=options.crs, layer=options.layer)
    points, weights = None, Weights(Kind.AREA, f"of polygons in {EQUAL_AREA}")
    if options.weights is not None:
        points, found = read_people(options.weights, people=options.people_column)
        lines += found
        weights = Weights(Kind.PEOPLE, f"points of {Path(options.weights).name}")
    elif options.people_column is not None:
        raise InputError(f"--people-column {options.people_column}: expected --weights FILE, which has it")
    layers = areas_by_state(areas, list(tracts.parts))
    states = [state for state in tracts.parts if state in layers or ALL in layers]
    if not states:
        raise InputError(
            f"{listed(options.files)}: found places of the states {listed(sorted(set(areas.index.str[:2])), 60)}, "
            f"expected some of {listed(list(tracts.parts), 60)}, which vintage {options.vintage} has"
        )
    return Given(tracts, areas, layers, states, points, weights, lines)


def planned_areas(store: Store, options: Options) -> list[str]:
    """Return what `ingest_areas` would compare, one text per line; files are read and checked, nothing is computed."""
    given = read_given(store, options)
    n_tracts = sum(given.tracts.parts[state].rows for state in given.states)
    return [
        f"shares of {counted(n_tracts, 'tract')} in {counted(len(given.states), 'state')} would be in "
        f"{store.url}/{_collections(options)[0]}",
        *(f"  {line}" for line in (*given.lines, given.weights.line)),
    ]


def _collections(options: Options) -> tuple[str, str]:
    """Return the collections of shares and of polygons."""
    return f"regions/{options.name}/{options.vintage}", f"areas/{options.name}/{options.vintage}"


def ingest_areas(store: Store, options: Options, client: distributed.Client | None, console: Console) -> Ingested:
    """Put polygons of regions into the store, and the share of each tract's area or people in each of them.

    Parameters
    ----------
    store : Store
        Holds the vintage's tracts.
    options : Options
    client : Client, optional
        Without one, states are overlaid in this process.
    console : Console

    Raises
    ------
    InputError
        If no tract of any state lies near the polygons, or a file cannot be used.
    GeometryError
        If regions overlap.
    """
    given = read_given(store, options)
    tracts, states, points = given.tracts, given.states, given.points
    lines = list(given.lines)
    shares, polygons = _collections(options)
    with store.all_or_nothing(shares, polygons):
        # Workers read the layers from the store.
        written = put_all(store, polygons, given.layers)
        regions = _read(store, Snapshot(polygons, written), states)
        outlines = store.aligned(tracts, states, ["geometry"])
        if points is None:
            table = computed(area_weights(outlines, regions, least=options.least), client, console)
        else:
            people = dd.from_map(_same, [_of_state(points, state) for state in states], meta=points.iloc[:0])
            shares_of = people_weights(outlines, regions, people, least=options.least)
            table = region_shares(computed(shares_of, client, console))
            lines += _people_lines(table, points, str(options.weights))
        table = table[list(COLUMNS)]
        linked = table[table["region"] != ""]
        if linked.empty:
            raise InputError(
                f"{listed(options.files)}: no polygon shares an area with a tract of vintage {options.vintage} "
                f"(states {listed(states, 60)})"
            )
        files = [*options.files, *([] if options.weights is None else [options.weights])]
        inputs = {**file_checksums(files), tracts.collection: tracts.checksum(states)}
        provenance = Provenance("places", inputs, options.plain())
        parts = put_all(store, shares, split_by_state(table))
        store.commit(shares, parts, provenance, {"key": "tract", **given.weights.attributes}, keep_others=True)
        store.commit(polygons, written, provenance, {"crs": crs_name(given.areas.crs)}, keep_others=True)
    n_tracts = sum(tracts.parts[state].rows for state in states)
    outside = n_tracts - linked.index.nunique()
    lines += [
        f"{counted(len(linked), 'link')} of {counted(n_tracts, 'tract')}; {counted(outside, 'tract')} in none",
        given.weights.line,
    ]
    by_state = linked.index.str[:2].value_counts()
    return Ingested(shares, {state: int(by_state.get(state, 0)) for state in states}, tuple(lines), unit="link")


def _of_state(points: gpd.GeoDataFrame, state: str) -> gpd.GeoDataFrame:
    return points[points.index.str[:2] == state]


def _people_lines(table: pd.DataFrame, points: gpd.GeoDataFrame, file: str) -> list[str]:
    """Return how many tracts have no people in the file, and how many people of it are in no tract.

    Raises
    ------
    InputError
        If none of its tracts is among those of the table.
    """
    known = table["people"].notna()
    if not known.any():
        raise InputError(
            f"{file}: found blocks of tracts such as {points.index[0]}, none of which is among "
            f"{counted(table.index.nunique(), 'tract')} such as {table.index[0]}; expected blocks of their vintage"
        )
    by_area = table.index[~known].nunique()
    lost = points.loc[~points.index.isin(table.index), "people"].sum()
    lines = [f"{counted(by_area, 'tract')} without people in {file}: by area"] if by_area else []
    return lines + ([f"{lost:,.0f} people of {file} in tracts that are not there"] if lost else [])


def _read(store: Store, layers: Snapshot, states: Sequence[str]) -> dd.DataFrame:
    """Return the layers as a frame aligned with the states, or of the one partition that all of them share."""
    return store.frame(layers) if ALL in layers.parts else store.aligned(layers, states)


def _same(layer: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return layer
