"""What a user sees of an ingest of regions or of survey tables."""

from geomob_dask.runs.ingest import Ingested
from geomob_dask.store import Store


def regions_lines(done: Ingested, store: Store, dry_run: bool) -> list[str]:
    """Return what was read, found and written."""
    verb = "would be" if dry_run else "are"
    states = ", ".join(f"{state} {count:,}" for state, count in done.rows.items())
    return [
        f"{sum(done.rows.values()):,} links in {len(done.rows)} states {verb} in {store.url}/{done.collection}",
        *(f"  {line}" for line in done.lines),
        f"  by state: {states}",
    ]
