"""The output of a job: lines, a table, further files; products extend it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import distributed
import geopandas as gpd
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.outputs import tables
from geomob_dask.outputs.tables import check_export, check_folder
from geomob_dask.products.product import Prepared, Product
from geomob_dask.runs.planning import Request
from geomob_dask.store import Part, Snapshot, Store


@dataclass(frozen=True)
class Flag:
    """A flag of a job besides the options of its product.

    Parameters
    ----------
    help : str
    kind : type
        bool, int, float or str; a tuple of str may be given several times.
    default : any
    table, page : bool
        Whether it names a table or a page to write: its suffix or folder is checked before anything runs.
    """

    help: str
    kind: Any = str
    default: Any = None
    table: bool = False
    page: bool = False


Flags = Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """What a job has computed, and the files that are asked of it.

    Parameters
    ----------
    store : Store
        It holds the results.
    prepared : sequence of Prepared
        The runs of the results.
    given : mapping of str to any
        Values of flags.
    client : distributed.Client or None
        Of the job's cluster, if it has one.
    console : Console
        For progress.
    """

    store: Store
    prepared: Sequence[Prepared]
    given: Flags
    client: distributed.Client | None
    console: Console


class Outputs:
    """The output of a job for results of one product.

    Attributes
    ----------
    flags : mapping of str to Flag
        By name, without the dashes.
    """

    flags: Mapping[str, Flag] = {
        "export": Flag("Also write the result as one table: .csv, .parquet, .gpkg or .geojson.", table=True)
    }

    def check(self, given: Flags) -> None:
        """Raise InputError if a file that a flag names cannot be written."""
        for name, flag in self.flags.items():
            if given.get(name) and flag.table:
                check_export(given[name])
            elif given.get(name) and flag.page:
                check_folder(f"--{name}", given[name])

    def options(self, given: Flags) -> dict[str, Any]:
        """Return options of the product that flags imply."""
        return {}

    def requests(self, product: Product, options: Sequence[Any], given: Flags) -> list[Request]:
        """Return the requests of a command: one per options of its product."""
        return [Request(product.name, one) for one in options]

    def more(self, store: Store, prepared: Sequence[Prepared], given: Flags) -> list[Request]:
        """Return further requests that follow from flags and need these results."""
        return []

    def needs_cluster(self, given: Flags) -> bool:
        """Return whether files are computed on the cluster."""
        return False

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return the summary of a result in the store, one text per line."""
        snapshot = store.snapshot(prepared.collection)
        rows = sum(part.rows for part in snapshot.parts.values())
        return [f"{prepared.product}: {rows:,} rows", f"  in {store.url}/{prepared.collection}"]

    def write(self, done: Done) -> list[str]:
        """Write the files that flags name; return lines about them."""
        if done.given.get("export"):
            tables.export(
                self.table(done.store, done.prepared), done.given["export"], lambda: polygons(done.store, done.prepared)
            )
        return []

    def table(self, store: Store, prepared: Sequence[Prepared], role: str | None = None) -> pd.DataFrame:
        """Return the results, or other targets, as one table; with several years, the first column is the year."""
        found = {getattr(item.options, "year", 0): result(store, item, role) for item in prepared}
        if len(found) == 1:
            return next(iter(found.values()))
        return pd.concat([_with_year(table, year) for year, table in found.items()])


def _with_year(table: pd.DataFrame, year: int) -> pd.DataFrame:
    table = table.copy()
    table.insert(0, "year", year)
    return table


def result(store: Store, prepared: Prepared, role: str | None = None) -> pd.DataFrame:
    """Return a result in the store as one frame in memory."""
    target = prepared.targets[role] if role else next(iter(prepared.targets.values()))
    return pd.concat([store.read(part) for part in _parts(store.snapshot(target.collection), prepared)])


def _parts(snapshot: Snapshot, prepared: Prepared) -> list[Part]:
    """Return the parts of a result; other parts of the collection may belong to another run."""
    return [part for name, part in snapshot.parts.items() if name in (*prepared.written, prepared.part)]


def report(store: Store, prepared: Prepared) -> dict[str, Any]:
    """Return the report of a run, from the provenance of its result."""
    snapshot = store.snapshot(prepared.collection)
    reports = [snapshot.runs[part.run]["report"] for part in _parts(snapshot, prepared)]
    whole: dict[str, Any] = {}
    for found in reports:
        whole |= found
    return whole


def polygons(store: Store, prepared: Sequence[Prepared]) -> gpd.GeoSeries:
    """Return the polygons of the tracts of results; those without one are absent.

    Raises
    ------
    InputError
        If results are on several vintages.
    """
    vintages = {str(store.snapshot(item.collection).attributes["vintage"]) for item in prepared}
    if len(vintages) > 1:
        raise InputError(f"--export: found years on tracts of the vintages {', '.join(sorted(vintages))}, expected one")
    tracts = store.snapshot(f"tracts/{vintages.pop()}")
    states = sorted({state for item in prepared for state in store.snapshot(item.collection).parts})
    there = [state for state in states if state in tracts.parts]
    return store.frame(tracts, states=there, columns=["geometry"]).compute(scheduler="threads").geometry
