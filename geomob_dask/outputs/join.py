"""Output of joined datasets."""

from __future__ import annotations

from collections.abc import Mapping

from geomob_dask.messages import listed
from geomob_dask.outputs.ingest import ingested_lines
from geomob_dask.outputs.result import Done, Flag, Outputs
from geomob_dask.products.product import Prepared
from geomob_dask.runs.landing import Ingested
from geomob_dask.store import Store


class JoinOutputs(Outputs):
    """Summary and export of joined datasets."""

    flags: Mapping[str, Flag] = {
        **Outputs.flags,
        "verbose": Flag("List the rows of every state.", bool, False, decides=()),
    }

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return nothing: `write` knows how much to list."""
        return []

    def write(self, done: Done) -> list[str]:
        """Write the export; return how many tracts of which datasets are in how many states."""
        lines = []
        for item in done.prepared:
            names = [name for name in item.inputs if name.startswith("measures/")]
            rows = {name: part.rows for name, part in done.store.snapshot(item.collection).parts.items()}
            about = f"vintage {item.attributes['vintage']}; from {listed(names, 12)}"
            lines += ingested_lines(
                Ingested(item.collection, rows, (about,)), done.store, verbose=done.given["verbose"]
            )
        return lines + super().write(done)
