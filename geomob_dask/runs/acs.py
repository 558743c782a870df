"""Tables of the American Community Survey into the store, from the Census API or from files of the Bureau."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.runs.ingest import Ingested, file_checksums
from geomob_dask.sources import acs
from geomob_dask.sources.download import Downloader, Politeness
from geomob_dask.sources.keys import listed
from geomob_dask.sources.states import STATES
from geomob_dask.sources.vintages import vintage_of
from geomob_dask.store import Provenance, Store

# Codes above Wyoming's are Puerto Rico and the islands, below 90 all real.
_STATES = tuple(code for code in STATES if code <= "56")


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Parameters
    ----------
    year : int
        Release: the last of its five years.
    table : str, optional
        Such as ``B19001``; found from the columns of a file by default.
    states : tuple of str, optional
        State codes; the fifty states and the District of Columbia by default, or all of a file.
    dataset : str, optional
        Name in the store; ``acs5_`` and the table's, in lower case, by default.
    vintage : str, optional
        Of its tracts; by default that of the release, see `sources.vintages`.
    """

    year: int
    table: str | None = None
    states: tuple[str, ...] | None = None
    dataset: str | None = None
    vintage: str | None = None

    def collection(self, table: str) -> str:
        """Return where the numbers go."""
        return f"measures/{self.dataset or f'acs5_{table.lower()}'}/{self.year}"


def planned_lines(store: Store, request: Request) -> list[str]:
    """Return what would be asked of the API; nothing is."""
    table, states = _table(request), request.states or _STATES
    asked = acs.query(table, request.year)
    kept = set(store.objects.names(_landing(table, request.year)))
    absent = [state for state in states if f"{state}.json.about" not in kept]
    return [
        f"acs: {table} {request.year} of {len(states)} states from {asked.path}, {len(asked.variables)} variables in "
        f"{len(asked.blocks)} requests a state, to {request.collection(table)}",
        f"  to be asked for: {listed(absent, 60) or 'nothing, all answers are kept'}",
    ]


def ingest_api(
    store: Store,
    request: Request,
    *,
    by: Literal["state", "county"] = "state",
    base_url: str | None = None,
    politeness: Politeness | None = None,
    downloader: Downloader | None = None,
) -> Ingested:
    """Fetch a table and store it; answers are kept as they came, under ``acs/`` in the store.

    Parameters and errors are those of `sources.acs.fetch`.
    """
    table, states = _table(request), request.states or _STATES
    found = acs.fetch(
        table,
        request.year,
        states,
        store.objects,
        by=by,
        base_url=base_url,
        politeness=politeness,
        downloader=downloader,
    )
    return _store(store, request, table, found, _answers(store, table, request.year, states))


def ingest_file(store: Store, file: str, request: Request, *, dry_run: bool = False) -> Ingested:
    """Read a file of the Bureau and store it.

    Tracts of counts must sum to the row of the whole country, where the file has one.

    Raises
    ------
    InputError
        As `sources.acs.read_file` and `sources.acs.check_whole_country`.
    """
    found = acs.read_file(file)
    columns = [column for column in found.tracts if column != "geoid"]
    table = request.table or columns[0].split("_")[0]
    strangers = [column for column in columns if not column.startswith(f"{table}_")]
    if strangers:
        raise InputError(f"{file}: found the column {strangers[0]}, expected those of table {table} only")
    known = acs.registry().tables.get(table)
    if known is not None and not known.annotations:
        for column in columns:
            if column.endswith("E"):
                acs.check_whole_country(found, column)
    if request.states is not None:
        found = _of_states(found, request.states, file)
    return _store(store, request, table, found, file_checksums([file]), dry_run=dry_run, name=Path(file).name)


def _of_states(found: acs.AcsTable, states: Sequence[str], file: str) -> acs.AcsTable:
    there = set(found.tracts["geoid"].str[:2])
    absent = [state for state in states if state not in there]
    if absent:
        raise InputError(f"{file}: no tract of state {', '.join(absent)}; found {', '.join(sorted(there))}")
    tracts, reasons = (frame[frame["geoid"].str[:2].isin(list(states))] for frame in (found.tracts, found.reasons))
    return acs.AcsTable(tracts, reasons, found.others)


def _table(request: Request) -> str:
    if request.table is None:
        raise InputError(f"--table: expected one of {', '.join(acs.registry().tables)}")
    return request.table


def _landing(table: str, year: int) -> str:
    return f"acs/{year}/{table}"


def _answers(store: Store, table: str, year: int, states: Sequence[str]) -> dict[str, str]:
    """Return the checksums of the kept answers of some states, by key."""
    folder = _landing(table, year)
    abouts = [name for name in store.objects.names(folder) if name.endswith(".about") and name[:2] in states]
    return {
        f"{folder}/{name.removesuffix('.about')}": json.loads(store.objects.get(f"{folder}/{name}"))["sha256"]
        for name in abouts
    }


def _store(
    store: Store,
    request: Request,
    table: str,
    found: acs.AcsTable,
    inputs: dict[str, str],
    *,
    dry_run: bool = False,
    name: str = "the Census API",
) -> Ingested:
    collection = request.collection(table)
    reasons = collection.replace("measures/", "reasons/", 1)
    vintage = request.vintage or vintage_of("acs5", request.year)
    tracts = found.tracts.set_index("geoid")
    why = found.reasons.set_index("geoid").sort_index(kind="stable").astype("str")
    state_of_reason = why.index.astype("str").str[:2]
    by_state = {str(state): rows for state, rows in tracts.groupby(tracts.index.str[:2])}
    if not dry_run:
        options = {"table": table, "year": request.year, "vintage": vintage}
        provenance = Provenance("ingest", inputs, options)
        with store.all_or_nothing(collection, reasons):
            parts = {state: store.put(collection, state, rows) for state, rows in by_state.items()}
            told = {state: store.put(reasons, state, why[state_of_reason == state]) for state in by_state}
            store.commit(reasons, told, provenance, {"vintage": vintage}, keep_others=True)
            store.commit(collection, parts, provenance, {"vintage": vintage}, keep_others=True)
    return Ingested(
        collection, {state: len(rows) for state, rows in by_state.items()}, tuple(_lines(found, table, name, vintage))
    )


def _lines(found: acs.AcsTable, table: str, name: str, vintage: str) -> list[str]:
    columns = [column for column in found.tracts if column != "geoid"]
    lines = [f"{table} from {name}: {len(found.tracts):,} tracts of vintage {vintage}, {len(columns)} columns"]
    if len(found.others):
        lines.append(f"set apart, they are no tracts: {listed(list(found.others['GEO_ID']))}")
    counts = found.reasons["reason"].value_counts()
    lines += [f"{count:,} numbers: {reason}" for reason, count in counts.items()]
    return lines


def reasons_of(store: Store, dataset: str, year: int, states: Sequence[str] | None = None) -> pd.DataFrame:
    """Return why numbers of a dataset are missing or coded: index ``geoid``, columns ``column`` and ``reason``."""
    snapshot = store.snapshot(f"reasons/{dataset}/{year}")
    return pd.concat([store.read(part) for part in store.chosen(snapshot, states).values()])
