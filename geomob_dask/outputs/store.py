"""A store's collections, and the objects that nothing refers to, as text."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from geomob_dask.messages import counted, shown
from geomob_dask.store.cleaning import Unreferenced
from geomob_dask.store.objects import StoredObject


def listing_lines(table: pd.DataFrame, prefix: str = "") -> list[str]:
    """Return one line per collection of a listing, then their total.

    Parameters
    ----------
    table : DataFrame
        As `geomob_dask.store.listing.listing` returns it.
    prefix : str
        Below which collections were listed.
    """
    notes = list(table.attrs.get("notes", ()))
    if table.empty:
        return [f"nothing is committed{f' below {shown(prefix)}' if prefix else ''}", *notes]
    width = table["collection"].str.len().max()
    lines = [f"{row.collection:<{width}}  {_amounts(row)}  {row.made_by}" for row in table.itertuples()]
    total = f"{counted(table['states'].sum(), 'part')}, {table['size'].sum() / 2**20:,.1f} MiB"
    return [*lines, f"{counted(len(table), 'collection')}, {total}", *notes]


def _amounts(row: Any) -> str:
    # Icechunk keeps the states, rows and commits of a cube.
    counts = " " * 37 if pd.isna(row.states) else f"{row.states:>3} parts {row.rows:>9,} rows {row.commits:>4} commits"
    return f"{counts} {row.size / 2**20:>9.1f} MiB"


def unreferenced_lines(unreferenced: Unreferenced) -> list[str]:
    """Return each object that may be removed, then what is kept and why."""
    kinds = {
        "superseded snapshot": unreferenced.snapshots,
        "receipt of no use": unreferenced.receipts,
        "part that no snapshot lists": unreferenced.parts,
        "unfinished object": unreferenced.temporary,
    }
    lines = [f"{kind}: {item.key}" for kind, items in kinds.items() for item in items]
    lines.append(f"to be removed: {_count(unreferenced.removable)}")
    if unreferenced.young:
        lines.append(f"kept, too young (a running job may be about to commit them): {_count(unreferenced.young)}")
    if unreferenced.waiting:
        lines.append(
            f"kept, outputs that wait for the commit of their backfill: {len(unreferenced.waiting):,} (run the "
            "backfill again, or remove them with --uncommitted)"
        )
    lines += [
        f"newer than the storage's clock, kept (was it set back?): {key}"
        for key in sorted(item.key for item in unreferenced.future)
    ]
    return [*lines, *unreferenced.notes]


def _count(items: Sequence[StoredObject]) -> str:
    return f"{counted(len(items), 'object')}, {sum(item.size for item in items) / 2**20:,.1f} MiB"
