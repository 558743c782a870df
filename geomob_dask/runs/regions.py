"""The region that each tract of a state lies in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.regions import NATION, tract_regions
from geomob_dask.sources.keys import listed
from geomob_dask.sources.regions import BY_KEY
from geomob_dask.store import Part, Snapshot, Store

PREFIX = "regions"


@dataclass(frozen=True)
class Regions:
    """Source of the regions of tracts; small plain data that travels to workers.

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
        """Return whether the regions are a column of the measures."""
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
