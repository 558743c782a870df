"""What mixing and segregation read: counts of people by category and region, state by state."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.frames.categories import category_counts, merge_categories, merge_classes
from geomob_dask.lift.halo import Edges
from geomob_dask.lift.segregation import Block, Tally, tally
from geomob_dask.metrics.counts import Floats, Integers
from geomob_dask.runs.plan import of_states
from geomob_dask.runs.regions import Regions, find_regions, region_tables
from geomob_dask.sources.brackets import Brackets, Categories
from geomob_dask.sources.keys import listed
from geomob_dask.store import Part, Snapshot, Store
from geomob_dask.store.provenance import sha256
from geomob_dask.transforms.projection import EQUAL_AREA

NATION = "nation"
MISSING = ("refuse", "leave-out")
_DEGREES = "EPSG:4326"


@dataclass(frozen=True)
class Universe:
    """Who is counted, and where.

    Parameters
    ----------
    dataset, year : str, int
        The measures.
    categories : Brackets or groups
    by : str
        Regions: ``county``, ``state``, ``nation``, a table of regions in the store, or a column of the measures.
    regions : tuple of str, optional
        Only these; all by default.
    merge : str, optional
        A rule that merges brackets; see `frames.categories.merge_classes`.
    missing : {"refuse", "leave-out"}
        What to do with a tract without one of its counts.
    margins : bool
        Whether margins of error are read.
    """

    dataset: str
    year: int
    categories: Categories
    by: str = "cbsa"
    regions: tuple[str, ...] | None = None
    merge: str | None = None
    missing: str = "refuse"
    margins: bool = False

    @property
    def collection(self) -> str:
        """Return where the measures are."""
        return f"measures/{self.dataset}/{self.year}"

    @property
    def classes(self) -> Integers | None:
        """Return the class of each bracket; None where they are not merged."""
        if self.merge is None:
            return None
        if not isinstance(self.categories, Brackets):
            raise DefinitionError(f"--merge {self.merge}: {self.categories.name} has no order, expected brackets")
        return merge_classes(self.categories, self.merge)

    def plain(self) -> dict[str, Any]:
        """Return the options as plain data."""
        return {
            "categories": self.categories.model_dump(mode="json"),
            "dataset": self.dataset,
            "year": self.year,
            "by": self.by,
            "regions": list(self.regions) if self.regions else "all",
            "merge": self.merge,
            "missing": self.missing,
        }


@dataclass(frozen=True)
class Found:
    """Where the inputs of a universe lie; small plain data that travels to workers.

    Attributes
    ----------
    universe : Universe
    measures : Snapshot
    columns : list of str
        To read from the measures.
    of_people : list of str
        Those of them that hold counts.
    regions : Regions, optional
        None: the nation is one region.
    levels : mapping of str to Regions
        Areas between the region and the tract.
    tracts, edges : Snapshot, optional
        Read where indices need polygons, neighbours.
    """

    universe: Universe
    measures: Snapshot
    columns: list[str]
    of_people: list[str]
    regions: Regions | None
    levels: Mapping[str, Regions]
    tracts: Snapshot | None = None
    edges: Snapshot | None = None

    @property
    def vintage(self) -> str:
        """Return the vintage of the measures' tracts."""
        return str(self.measures.attributes["vintage"])

    @property
    def states(self) -> tuple[str, ...]:
        """Return the states of the measures."""
        return tuple(self.measures.parts)

    def inputs(self) -> dict[str, str]:
        """Return the inputs with their checksums."""
        found = {self.measures.collection: self.measures.checksum()}
        for regions in [self.regions, *self.levels.values()]:
            if regions is not None and regions.collection:
                found[regions.collection] = regions.checksum
        for snapshot in (self.tracts, self.edges):
            if snapshot is not None:
                found[snapshot.collection] = snapshot.checksum()
        return found

    def parts(self, state: str) -> tuple[Part, ...]:
        """Return the parts of a state that are read."""
        known = [snapshot for snapshot in (self.measures, self.tracts, self.edges) if snapshot is not None]
        return tuple(snapshot.parts[state] for snapshot in known if state in snapshot.parts)

    def tables(self, store: Store) -> list[Snapshot]:
        """Return everything that is read, state by state."""
        regions = [table for one in (self.regions, *self.levels.values()) for table in region_tables(store, one)]
        return [one for one in (self.measures, *regions, self.tracts, self.edges) if one is not None]

    def of_states(self, states: Sequence[str]) -> Found:
        """Return the same of some states alone: what a worker needs of it."""
        return replace(
            self,
            measures=of_states(self.measures, states),
            regions=None if self.regions is None else self.regions.of_states(states),
            levels={name: level.of_states(states) for name, level in self.levels.items()},
            tracts=None if self.tracts is None else of_states(self.tracts, states),
            edges=None if self.edges is None else of_states(self.edges, states),
        )

    def without_geography(self) -> Found:
        """Return the same without polygons, neighbours and levels."""
        return replace(self, tracts=None, edges=None, levels={})


def find(store: Store, universe: Universe, *, levels: Sequence[str] = ()) -> Found:
    """Return where the inputs of a universe lie.

    Raises
    ------
    InputError
        If the measures, a column or the regions are not there, naming what there is.
    """
    if universe.missing not in MISSING:
        raise InputError(f"--missing {universe.missing}: expected {' or '.join(MISSING)}")
    measures = store.snapshot(universe.collection)
    available = store.columns(measures)
    people = universe.categories.columns(available, universe.year, margins=universe.margins)
    _ = universe.classes
    vintage = str(measures.attributes["vintage"])
    regions = None if universe.by == NATION else find_regions(store, universe.by, vintage, available)
    between = {level: find_regions(store, level, vintage, available) for level in levels}
    named = [one.by for one in [regions, *between.values()] if one is not None and one.by in available]
    return Found(universe, measures, list(dict.fromkeys([*people, *named])), people, regions, between)


@dataclass(frozen=True)
class Loaded:
    """What was read of one state.

    Attributes
    ----------
    block : Block
        Units in regions.
    names : mapping of str to str
        Of the regions; empty where they are not known.
    categories : tuple of str
        Names of the columns of the counts.
    labels : tuple of str
    nowhere : tuple of str
        Tracts in no region.
    unknown : tuple of str
        Tracts left out for want of a count.
    """

    block: Block
    names: Mapping[str, str]
    categories: tuple[str, ...]
    labels: tuple[str, ...]
    nowhere: tuple[str, ...]
    unknown: tuple[str, ...]


def load(store: Store, found: Found, state: str) -> Loaded:
    """Read the units of one state, with their polygons and neighbours where those are among the inputs."""
    universe = found.universe
    table = store.read(found.measures.parts[state], found.columns)
    table.index = table.index.astype("str")
    lacking = table[found.of_people].isna().any(axis=1).to_numpy()
    unknown: tuple[str, ...] = ()
    if universe.missing == "leave-out":
        unknown = tuple(table.index[lacking])
        table = table[~lacking]
    people = category_counts(table, universe.categories, universe.year, margins=universe.margins)
    classes = universe.classes
    if classes is not None and isinstance(universe.categories, Brackets):
        people = merge_categories(people, universe.categories, classes)
    where = _regions_of(store, found, state, table)
    nowhere = tuple(table.index.difference(where.index))
    if universe.regions is not None:
        where = where[where["region"].isin(universe.regions)]
    where = where[where["afact"] > 0].reset_index().sort_values(["geoid", "region"])
    rows = table.index.get_indexer(where["geoid"])
    share = where["afact"].to_numpy(dtype=np.float64)[:, None]
    geoids = where["geoid"].to_numpy(dtype=object)
    block = Block(
        geoids=geoids,
        region=where["region"].to_numpy(dtype=object),
        counts=np.ascontiguousarray(people.counts[rows] * share),
        standard_errors=None if people.standard_errors is None else people.standard_errors[rows] * share,
        leaves=None if people.leaves is None else people.leaves[rows] * share[..., None],
    )
    names = dict(zip(where["region"], where["region_name"], strict=True))
    block = _with_geography(store, found, state, block, table)
    return Loaded(block, names, people.names, people.labels, nowhere, unknown)


@dataclass(frozen=True)
class Seen:
    """What the first pass finds in one state."""

    tally: Tally
    names: Mapping[str, str]
    categories: tuple[str, ...]
    labels: tuple[str, ...]
    nowhere: int
    unknown: tuple[str, ...]
    shared: bool


def look(loaded: Loaded) -> Seen:
    """Return the totals of one state's units, and what is to be told of them."""
    geoids = loaded.block.geoids
    shared = bool((geoids[1:] == geoids[:-1]).any())
    return Seen(
        tally(loaded.block),
        loaded.names,
        loaded.categories,
        loaded.labels,
        len(loaded.nowhere),
        loaded.unknown,
        shared,
    )


def check_regions(seen: Sequence[Seen], universe: Universe) -> None:
    """Raise InputError if a region that was asked for has no units."""
    there = {region for one in seen for region in one.tally.regions.tolist()}
    absent = sorted(set(universe.regions or ()) - there)
    if absent:
        raise InputError(
            f"--regions: no tract of {universe.dataset} {universe.year} lies in {universe.by} {listed(absent)}; "
            "expected codes of regions with tracts"
        )


def codes_of(text: str | None, option: str) -> tuple[str, ...] | None:
    """Return codes that an option lists, None where it was not given.

    Raises
    ------
    InputError
        If it lists none.
    """
    if text is None:
        return None
    codes = tuple(sorted({code.strip() for code in text.split(",")} - {""}))
    if not codes:
        raise InputError(f"{option} {text!r}: found none, expected codes separated by commas")
    return codes


def slug(text: str) -> str:
    """Return a short text that a path can hold."""
    return text if re.fullmatch(r"[A-Za-z0-9_]{1,24}", text) else sha256(text.encode())[:8]


def _regions_of(store: Store, found: Found, state: str, table: pd.DataFrame) -> pd.DataFrame:
    if found.regions is not None:
        return found.regions.of(store, state, table).rename_axis("geoid")
    frame = pd.DataFrame({"region": NATION, "region_name": "", "afact": 1.0}, index=table.index)
    return frame.astype({"region": "str"}).rename_axis("geoid")


def _with_geography(store: Store, found: Found, state: str, block: Block, table: pd.DataFrame) -> Block:
    if found.levels:
        columns = [_level(store, level, state, table, block.geoids) for level in found.levels.values()]
        block = replace(block, levels=np.stack(columns, axis=1))
    if found.tracts is not None:
        land, points = _polygons(store, found.tracts, state, block.geoids)
        block = replace(block, land=land, points=points)
    if found.edges is not None:
        block = replace(block, edges=_edges(store, found.edges, state, block.geoids))
    return block


def _level(store: Store, level: Regions, state: str, table: pd.DataFrame, geoids: np.ndarray) -> np.ndarray:
    """Return the area of each unit; that of most of its people where several share it, its own where none holds it."""
    areas = level.of(store, state, table).sort_values("afact", kind="stable")["region"]
    areas = areas[~areas.index.duplicated(keep="last")]
    return np.asarray(areas.reindex(geoids).fillna("").to_numpy(dtype=object))


def _polygons(store: Store, tracts: Snapshot, state: str, geoids: np.ndarray) -> tuple[Floats, Floats]:
    """Return land (km²) and centroids (degrees); NaN where there is no polygon."""
    if state not in tracts.parts:
        return np.full(len(geoids), np.nan), np.full((len(geoids), 2), np.nan)
    frame = gpd.GeoDataFrame(store.read(tracts.parts[state], ["aland", "geometry"])).reindex(geoids)
    land = frame["aland"].to_numpy(dtype=np.float64, na_value=np.nan)
    land = np.where(np.isnan(land), frame.geometry.to_crs(EQUAL_AREA).area.to_numpy(), land) / 1e6
    centers = gpd.GeoSeries(shapely.centroid(frame.geometry.to_numpy()), crs=frame.crs).to_crs(_DEGREES)
    points = np.column_stack([shapely.get_x(centers.to_numpy()), shapely.get_y(centers.to_numpy())])
    there = ~np.isnan(points).any(axis=1)
    return np.where(there, land, np.nan), points


def _edges(store: Store, edges: Snapshot, state: str, geoids: np.ndarray) -> Edges:
    empty = np.zeros(0, dtype=object)
    if state not in edges.parts:
        return Edges(empty, empty)
    pairs = store.read(edges.parts[state], ["neighbor"])
    focal = pairs.index.to_numpy(dtype=object)
    return Edges(focal, pairs["neighbor"].to_numpy(dtype=object)).where(np.isin(focal, geoids))
