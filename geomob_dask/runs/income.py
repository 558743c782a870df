"""Archives of income brackets into the store, as measures with a column of areas."""

from geomob_dask.runs.ingest import Ingested, file_checksums
from geomob_dask.sources.income_tables import read_income
from geomob_dask.store import Provenance, Store


def ingest_brackets(
    store: Store, file: str, dataset: str, year: int, vintage: str, *, dry_run: bool = False
) -> Ingested:
    """Read and store household income brackets; see `sources.income_tables.read_income`.

    The collection becomes that of this archive: an area lies in several states, so none is kept from another.
    """
    table = read_income(file, year)
    collection = f"measures/{dataset}/{year}"
    by_state = {str(state): rows for state, rows in table.rows.groupby(table.rows.index.str[:2])}
    if not dry_run:
        options = {"dataset": dataset, "year": year, "vintage": vintage}
        provenance = Provenance("ingest", file_checksums([file]), options)
        with store.all_or_nothing(collection):
            parts = {state: store.put(collection, state, rows) for state, rows in by_state.items()}
            store.commit(collection, parts, provenance, {"vintage": vintage})
    return Ingested(collection, {state: len(rows) for state, rows in by_state.items()}, table.lines)
