"""What a store holds, and what nothing in it refers to, as text."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from geomob_dask.store.audit import Unreferenced
from geomob_dask.store.objects import Found


def listing_lines(table: pd.DataFrame) -> list[str]:
    """Return one line per collection of a listing, then their total.

    Parameters
    ----------
    table : DataFrame
        As `geomob_dask.store.listing.listing` returns it.
    """
    if table.empty:
        return ["nothing is committed"]
    width = table["collection"].str.len().max()
    lines = [f"{row.collection:<{width}}  {_amounts(row)}  {row.made_by}" for row in table.itertuples()]
    total = f"{table['states'].sum():,} parts, {table['size'].sum() / 2**20:,.1f} MiB"
    return [*lines, f"{len(table):,} collections, {total}"]


def _amounts(row: Any) -> str:
    # Icechunk keeps the states, rows and commits of a cube.
    counts = " " * 37 if pd.isna(row.states) else f"{row.states:>3} parts {row.rows:>9,} rows {row.commits:>4} commits"
    return f"{counts} {row.size / 2**20:>9.1f} MiB"


def unreferenced_lines(found: Unreferenced) -> list[str]:
    """Return what may be removed, object by object, then what is kept and why."""
    kinds = {
        "superseded snapshot": found.snapshots,
        "receipt of no use": found.receipts,
        "part that no snapshot lists": found.parts,
        "unfinished object": found.temporary,
    }
    lines = [f"{kind}: {one.key}" for kind, some in kinds.items() for one in some]
    lines.append(f"to be removed: {_count(found.removable)}")
    if found.young:
        lines.append(f"kept, too young (a running job may be about to commit them): {_count(found.young)}")
    if found.waiting:
        lines.append(
            f"kept, outputs that wait for the commit of their backfill: {len(found.waiting):,} (run the backfill "
            "again, or remove them with --uncommitted)"
        )
    lines += [
        f"newer than the storage's clock, kept (was it set back?): {one.key}"
        for one in sorted(found.future, key=lambda one: one.key)
    ]
    return lines


def _count(some: Sequence[Found]) -> str:
    return f"{len(some):,} objects, {sum(one.size for one in some) / 2**20:,.1f} MiB"
