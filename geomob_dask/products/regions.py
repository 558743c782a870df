"""Regions as an input of products: a table of regions in the store, unless keys of tracts or a column tell them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from geomob_dask.errors import InputError
from geomob_dask.frames.regions import NATION, regions_of
from geomob_dask.messages import listed, shown
from geomob_dask.names import is_name, nearest
from geomob_dask.products.options import ByRegion
from geomob_dask.products.reader import Reader
from geomob_dask.sources.region_weights import Kind, Weights
from geomob_dask.sources.regions import BY_KEY
from geomob_dask.store import Snapshot, Store

PREFIX = "regions"


def region_table(
    store: Store, by: str, vintage: str, columns: Collection[str], *, nation: bool = False, option: str = "--by"
) -> Snapshot | None:
    """Return the table of regions that a product reads; None where none is needed.

    Parameters
    ----------
    by : str
        ``county``, ``state``, regions in the store, or a column of the measures.
    vintage : str
        Of the measures' tracts.
    columns : collection of str
        Of the measures.
    nation : bool
        Whether ``nation`` is a region too.
    option : str
        The flag that names the regions, for the message.

    Raises
    ------
    InputError
        If there are no such regions: it names what there is.
    """
    if by in BY_KEY or (nation and by == NATION):
        return None
    found = store.find(f"{PREFIX}/{by}/{vintage}") if is_name(by) else None
    if found is not None or by in columns:
        return found
    there = [collection.removeprefix(f"{PREFIX}/") for collection in store.collections(PREFIX)]
    close = nearest(by, [*BY_KEY, *columns, *(name.split("/")[0] for name in there)])
    guess = "" if close in (None, by) else f"did you mean {close!r}? "
    raise InputError(
        f"{option} {by if is_name(by) else shown(by)}: {guess}expected county, state, a column of the measures "
        f"({listed(sorted(columns), 8)}), or regions of vintage {vintage} in the store "
        f"({listed(there) or 'none yet'}): jobs/ingest.py regions FILE --name NAME --vintage {vintage}"
    )


def region_weights(table: Snapshot | None) -> Weights:
    """Return what shares of tracts in regions are shares of; without a table, tracts lie in regions as a whole."""
    return Weights(Kind.NESTED) if table is None else Weights.of(table.attributes)


def region_columns(by: str, table: Snapshot | None, columns: Collection[str]) -> list[str]:
    """Return the columns of the measures that tell the regions of their tracts."""
    return [by] if table is None and by in columns and by not in BY_KEY else []


@dataclass(frozen=True)
class RegionInputs:
    """What a product by region reads.

    Attributes
    ----------
    measures : Snapshot
    regions : Snapshot or None
        None where no table is needed.
    vintage : str
        Of the measures' tracts.
    available, columns : tuple of str
        Columns that the measures have, and those that are read: counts, and the column of regions, if any.
    """

    measures: Snapshot
    regions: Snapshot | None
    vintage: str
    available: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def inputs(self) -> dict[str, Snapshot]:
        """Return the collections by role."""
        return {"measures": self.measures} | ({} if self.regions is None else {"regions": self.regions})


def region_inputs(
    store: Store, options: ByRegion, counts: Callable[[Sequence[str]], Sequence[str]], *, nation: bool = False
) -> RegionInputs:
    """Return what a product reads whose `counts` are chosen among the columns of its measures.

    Raises
    ------
    InputError
        If there are no such regions; see `region_table`.
    """
    measures = store.snapshot(options.measures)
    available, vintage = tuple(store.columns(measures)), str(measures.attributes["vintage"])
    chosen = counts(available)
    regions = region_table(store, options.by, vintage, available, nation=nation)
    columns = tuple(dict.fromkeys([*chosen, *region_columns(options.by, regions, available)]))
    return RegionInputs(measures, regions, vintage, available, columns)


def read_by(read: Reader, by: str, role: str = "regions") -> Any:
    """Return what `regions_of` takes: the table by its name, from the input `role` where it was found."""
    return {by: read.frame(role)} if role in read.inputs else by


def regions_frame(read: Reader, by: str, measures: Any, role: str = "regions") -> Any:
    """Return the regions of measures, from the input `role` where it was found; see `regions_of`."""
    return regions_of(measures, read_by(read, by, role))
