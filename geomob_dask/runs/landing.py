"""Tables of any source into the store: written as parts, committed together, with their provenance.

Files are read where the command runs, on its threads: workers of a cluster need not see them.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pandas as pd

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
    unit: str = "tracts"
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
        If an option or a file cannot be used; nothing is written then.
    """
    return land(store, find_source(source).read(options, store.objects), dry_run=dry_run)


def land(store: Store, tables: Tables, *, dry_run: bool = False) -> Ingested:
    """Write and commit tables, all of them or none.

    Parameters
    ----------
    store : Store
    tables : Tables
    dry_run : bool
        Whether nothing is written.
    """
    lines = [*tables.lines, *_compared(store, tables)]
    if not dry_run:
        provenance = Provenance(
            "ingest", {**file_checksums(tables.files), **tables.inputs}, dict(tables.options), dict(tables.report)
        )
        collections: list[Table] = [*tables.beside, tables]
        with store.all_or_nothing(*(table.collection for table in collections)):
            parts = [put_all(store, table.collection, table.parts) for table in collections]
            for table, written in zip(collections, parts, strict=True):
                store.commit(table.collection, written, provenance, table.attributes, keep_others=tables.keep_others)
    rows = {name: len(part) for name, part in tables.parts.items()}
    return Ingested(tables.collection, rows, tuple(lines), tables.unit, tables.count)


def put_all(store: Store, collection: str, parts: Mapping[str, pd.DataFrame]) -> dict[str, Part]:
    """Write parts, several at a time; return when none is under way any more, also after a failure."""
    with ThreadPoolExecutor(_REQUESTS) as pool:
        written = pool.map(lambda name: store.put(collection, name, parts[name]), parts)
        return dict(zip(parts, written, strict=True))


def _compared(store: Store, tables: Tables) -> list[str]:
    """Return how the keys of measures and those of their vintage's polygons match."""
    if not tables.collection.startswith("measures/"):
        return []
    vintage = tables.attributes["vintage"]
    polygons = store.find(f"tracts/{vintage}")
    if polygons is None:
        return [f"no polygons of vintage {vintage} in the store yet: keys were not compared with them"]
    states = [state for state in tables.parts if state in polygons.parts]
    with ThreadPoolExecutor(_REQUESTS) as pool:
        tracts = _keys(pool.map(lambda state: store.read(polygons.parts[state], ["aland"]), states))
    measures = _keys(tables.parts.values())
    lines = match_keys(measures, tracts).lines()
    differing = [one.line("these measures", f"polygons of {vintage}") for one in differing_codes(measures, tracts)]
    if differing:
        lines += [*differing, "  ingest them under the vintage of their codes, then use jobs/harmonize.py"]
    return lines


def _keys(parts: Any) -> pd.Index:
    return pd.Index([key for part in parts for key in part.index], dtype="str")
