"""Summary of an ingest, and its export."""

from collections.abc import Mapping

import geopandas as gpd

from geomob_dask.messages import counted
from geomob_dask.outputs import tables
from geomob_dask.outputs.provenance import record, result_record
from geomob_dask.runs.landing import Ingested
from geomob_dask.sources.states import STATES
from geomob_dask.store import Store

# More states than this are not listed one by one.
_LISTED = 8


def ingested_lines(done: Ingested, store: Store, *, dry_run: bool = False, verbose: bool = False) -> list[str]:
    """Return the tables that were read and their collections, one text per line.

    Parameters
    ----------
    done : Ingested
    store : Store
    dry_run : bool
        Whether nothing was written.
    verbose : bool
        Whether the rows of all states are listed.
    """
    count = sum(done.rows.values()) if done.count is None else done.count
    by_state = all(name in STATES for name in done.rows)
    verb = "would be" if dry_run else "is" if count == 1 else "are"
    where = f" in {counted(len(done.rows), 'state')}" if by_state else ""
    return [
        f"{counted(count, done.unit)}{where} {verb} in {store.url}/{done.collection}",
        *(f"  {line}" for line in done.lines),
        f"  {_state_line(done.rows, verbose) if by_state else _table_line(done.rows)}",
    ]


def export_collection(store: Store, done: Ingested, file: str, csv_text: str = "safe") -> None:
    """Write what the store now holds of a collection as one table; with polygons where the file can hold them."""
    snapshot = store.snapshot(done.collection)
    frame = store.frame(snapshot).compute(scheduler="threads")
    choices = {"csv_text": csv_text} if file.endswith(tables.CSV) else {}
    found = record([result_record(snapshot)], option="--export", choices=choices)
    if not isinstance(frame, gpd.GeoDataFrame):
        return tables.export(frame, file, csv_text=csv_text, record=found)
    rows = frame.drop(columns="geometry")
    return tables.export(rows, file, lambda: frame.geometry, csv_text=csv_text, record=found)


def _state_line(rows: Mapping[str, int], verbose: bool) -> str:
    if verbose or len(rows) <= _LISTED:
        return "rows per state: " + ", ".join(f"{STATES[state].name} {count:,}" for state, count in rows.items())
    least, most = min(rows, key=lambda state: rows[state]), max(rows, key=lambda state: rows[state])
    return (
        f"rows per state: from {rows[least]:,} in {STATES[least].name} to {rows[most]:,} in {STATES[most].name}; "
        "--verbose lists all states"
    )


def _table_line(rows: Mapping[str, int]) -> str:
    return "rows per table: " + ", ".join(f"{name} {count:,}" for name, count in rows.items())
