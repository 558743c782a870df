"""What a store holds, and what nothing in it refers to, as text."""

from collections.abc import Sequence

from geomob_dask.runs.verify import Listed
from geomob_dask.store.audit import Unreferenced
from geomob_dask.store.objects import Found


def listed_lines(collections: Sequence[Listed]) -> list[str]:
    """Return a line a collection."""
    if not collections:
        return ["nothing is committed"]
    width = max(len(one.name) for one in collections)
    lines = [
        f"{one.name:<{width}}  {one.states:>3} parts {one.rows:>9,} rows {one.size / 2**20:>9.1f} MiB "
        f"{one.commits:>4} commits  {', '.join(one.jobs)}"
        for one in collections
    ]
    parts, size = sum(one.states for one in collections), sum(one.size for one in collections)
    return [*lines, f"{len(collections)} collections, {parts:,} parts, {size / 2**20:,.1f} MiB"]


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
