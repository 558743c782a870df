"""What a user sees of an ingest."""

import geopandas as gpd

from geomob_dask.outputs import tables
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


def export_collection(store: Store, done: Ingested, file: str) -> None:
    """Write what the store now holds of a collection as one table; with polygons where the file can hold them."""
    frame = store.frame(done.collection).compute(scheduler="threads")
    if not isinstance(frame, gpd.GeoDataFrame):
        return tables.export(frame, file)
    return tables.export(frame.drop(columns="geometry"), file, lambda: frame.geometry)
