"""What a user sees of an ingest."""

from geomob_dask.runs.ingest import Ingested
from geomob_dask.store import Store


def ingested_lines(done: Ingested, store: Store, dry_run: bool) -> list[str]:
    """Return what was read, found and written."""
    rows = sum(done.rows.values())
    verb = "would be" if dry_run else "are"
    states = ", ".join(f"{state} {count:,}" for state, count in done.rows.items())
    return [
        f"{rows:,} tracts in {len(done.rows)} states {verb} in {store.url}/{done.collection}",
        *(f"  {line}" for line in done.lines),
        f"  by state: {states}",
    ]
