"""Tables of any source into the store: written as parts, committed together, with their provenance.

Files are read where the command runs, on its threads: workers of a cluster need not see them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import listed
from geomob_dask.runs.sources import find_source
from geomob_dask.sources.matching import match_keys
from geomob_dask.sources.tables import Table, Tables, file_checksums
from geomob_dask.sources.vintages import differing_codes
from geomob_dask.store import Part, Provenance, Store

# Remote storage answers slowly, but many requests at a time.
_REQUESTS = 8


@dataclass(frozen=True)
class Ingested:
    """Summary of what was read and where it is.

    Attributes
    ----------
    collection : str
    rows : mapping of str to int
        By state, or by table.
    lines : tuple of str
        What a user should know.
    unit : str
        What a row is.
    count : int, optional
        Number of units; all rows by default.
    """

    collection: str
    rows: Mapping[str, int]
    lines: tuple[str, ...]
    unit: str = "tract"
    count: int | None = None


def ingest(store: Store, source: str, *, dry_run: bool = False, **options: Any) -> Ingested:
    """Read a source and put its tables into the store.

    Parameters
    ----------
    store : Store
    source : str
        A name in `runs.sources.SOURCES`, such as ``"tracts"`` or ``"measures"``.
    dry_run : bool
        Whether nothing is written.
    **options
        Those of the source: the flags of ``jobs/ingest.py SOURCE``, with underscores.

    Raises
    ------
    InputError
        If an option or a file cannot be used, or the options name several tables; nothing is written then.
    """
    tables = find_source(source).read(options, store.objects)
    if len(tables) > 1:
        raise InputError(
            f"{source}: found {listed([one.collection for one in tables])}, expected one collection; "
            "ingest_all takes several"
        )
    return land(store, tables[0], dry_run=dry_run)


def ingest_all(store: Store, source: str, *, dry_run: bool = False, **options: Any) -> list[Ingested]:
    """Read a source and put all tables and years that its options name into the store; see `ingest`."""
    return land_all(store, find_source(source).read(options, store.objects), dry_run=dry_run)


def land(store: Store, tables: Tables, *, dry_run: bool = False) -> Ingested:
    """Write and commit the tables of one reading; see `land_all`."""
    return land_all(store, [tables], dry_run=dry_run)[0]


def land_all(store: Store, several: Sequence[Tables], *, dry_run: bool = False) -> list[Ingested]:
    """Write all tables, then commit them, each with its provenance; where one cannot be written, none is committed.

    Parameters
    ----------
    store : Store
    several : sequence of Tables
    dry_run : bool
        Whether nothing is written.
    """
    polygons: dict[tuple[str, ...], pd.Index] = {}
    lines = [[*tables.lines, *_compared(store, tables, polygons)] for tables in several]
    if not dry_run:
        _commit(store, several)
    return [
        Ingested(
            tables.collection,
            {name: len(part) for name, part in tables.parts.items()},
            tuple(own),
            tables.unit,
            tables.count,
        )
        for tables, own in zip(several, lines, strict=True)
    ]


def _commit(store: Store, several: Sequence[Tables]) -> None:
    collections: list[tuple[Table, Tables, Provenance]] = []
    for tables in several:
        inputs = {**file_checksums(tables.files), **tables.inputs}
        provenance = Provenance("ingest", inputs, dict(tables.options), dict(tables.report))
        collections += [(one, tables, provenance) for one in (*tables.beside, tables)]
    with store.all_or_nothing(*(one.collection for one, *_ in collections)):
        parts = [put_all(store, one.collection, one.parts) for one, *_ in collections]
        for (one, tables, provenance), written in zip(collections, parts, strict=True):
            store.commit(one.collection, written, provenance, one.attributes, keep_others=tables.keep_others)


def put_all(store: Store, collection: str, parts: Mapping[str, pd.DataFrame]) -> dict[str, Part]:
    """Write parts, several at a time; return when none is under way any more, also after a failure."""
    with ThreadPoolExecutor(_REQUESTS) as pool:
        written = pool.map(lambda name: store.put(collection, name, parts[name]), parts)
        return dict(zip(parts, written, strict=True))


def _compared(store: Store, tables: Tables, known: dict[tuple[str, ...], pd.Index]) -> list[str]:
    """Return how the keys of measures and those of their vintage's polygons match; `known` keeps the latter."""
    if not tables.collection.startswith("measures/"):
        return []
    vintage = tables.attributes["vintage"]
    polygons = store.find(f"tracts/{vintage}")
    if polygons is None:
        return [f"no polygons of vintage {vintage} in the store yet: keys were not compared with them"]
    states = [state for state in tables.parts if state in polygons.parts]
    key = (vintage, *states)
    if key not in known:
        with ThreadPoolExecutor(_REQUESTS) as pool:
            known[key] = _keys(pool.map(lambda state: store.read(polygons.parts[state], ["aland"]), states))
    tracts = known[key]
    measures = _keys(tables.parts.values())
    lines = match_keys(measures, tracts).lines()
    differing = [one.line("these measures", f"polygons of {vintage}") for one in differing_codes(measures, tracts)]
    if differing:
        lines += [*differing, "  ingest them under the vintage of their codes, then use jobs/harmonize.py"]
    return lines


def _keys(parts: Any) -> pd.Index:
    return pd.Index([key for part in parts for key in part.index], dtype="str")
