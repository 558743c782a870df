"""What a user sees of an ingest of commuting zones."""

from geomob_dask.runs.ingest import Ingested
from geomob_dask.store import Store


def zones_lines(done: Ingested, store: Store, dry_run: bool) -> list[str]:
    """Return what was read, found and written."""
    verb = "would be" if dry_run else "are"
    tables = ", ".join(f"{name} {count:,}" for name, count in done.rows.items())
    return [
        f"{done.rows['characteristics']:,} commuting zones {verb} in {store.url}/{done.collection}",
        *(f"  {line}" for line in done.lines),
        f"  rows by table: {tables}",
    ]
