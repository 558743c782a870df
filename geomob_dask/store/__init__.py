"""Tables and their snapshots in a folder or a bucket."""

from geomob_dask.store.provenance import Provenance
from geomob_dask.store.receipts import Commit, Receipt
from geomob_dask.store.snapshots import Part, Snapshot
from geomob_dask.store.tables import Store

__all__ = ["Commit", "Part", "Provenance", "Receipt", "Snapshot", "Store"]
