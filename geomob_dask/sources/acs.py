"""American Community Survey, 5-year tables by tract, from the Census API or from files of the Census Bureau.

One call reads any number of tables and years. All of them are read before the first is written: an error in one file,
or a server that gives up, leaves the store as it was (answers that came are kept).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed
from geomob_dask.names import Name
from geomob_dask.options import Names, unrecorded
from geomob_dask.options import Options as BaseOptions
from geomob_dask.sources.acs_api import census_client, fetch
from geomob_dask.sources.acs_choice import chosen_files
from geomob_dask.sources.acs_files import LAST_STATE, AcsTable, check_whole_country, combined, read_file
from geomob_dask.sources.acs_tables import Query, query, registry
from geomob_dask.sources.attributes import of_survey
from geomob_dask.sources.download import AnswerCache, Downloader, Politeness
from geomob_dask.sources.states import STATES, StateCodes
from geomob_dask.sources.tables import Table, Tables, split_by_state
from geomob_dask.sources.vintages import vintage_of
from geomob_dask.sources.years import parsed_years

_STATES = tuple(code for code in STATES if code <= LAST_STATE)


def _years(value: Any) -> Any:
    return parsed_years(",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))


def _files(value: Any) -> Any:
    # The name of a file may hold a comma.
    return (value,) if isinstance(value, str) else value or None


class Options(BaseOptions):
    """Options of ``jobs/ingest.py acs``."""

    year: Annotated[tuple[int, ...], BeforeValidator(_years)] = Field(
        description="Releases: the last of their five years, such as 2018 or 2015,2020-2024."
    )
    table: Names | None = Field(
        None, description="Such as B03002 or DP05; several separated by commas. [default: all found in a file]"
    )
    states: StateCodes | None = Field(None, description="Codes or letters, such as 18,39 or IN,OH.")
    file: Annotated[tuple[str, ...] | None, BeforeValidator(_files)] = Field(
        None,
        description="A .csv, .zip or .json of the Bureau or a client of its API, in place of the Census API; a folder, "
        "or a pattern in quotes. May be repeated.",
        json_schema_extra={"repeated": True, "recorded": False},
    )
    key_column: str | None = Field(
        None, description="Column of a file's tracts, or STATE,COUNTY,TRACT. [default: GEO_ID or another known name]"
    )
    dataset: Name | None = Field(None, description="Name of the dataset of one table. [default: acs5_ and the table]")
    vintage: Name | None = Field(
        None, description="Vintage of its tracts. [default: 2000, 2010, 2020 or 2022 by the year]"
    )
    county_wise: bool = Field(False, description="Ask county by county, where states are too much for the server.")
    base_url: str | None = unrecorded(None, "Address of the API or of a mirror.", env="GEOMOB_CENSUS_URL")
    concurrency: int = unrecorded(Politeness.concurrency, "Requests at a time.")
    attempts: int = unrecorded(Politeness.attempts, "Attempts per request.")
    budget: float = unrecorded(Politeness.budget, "Seconds to spend waiting for a busy server.")
    timeout: float = unrecorded(Politeness.timeout, "Seconds without an answer.")

    @property
    def politeness(self) -> Politeness:
        """Return the limits of requests to the server."""
        return Politeness(
            concurrency=self.concurrency, attempts=self.attempts, budget=self.budget, timeout=self.timeout
        )

    def collection(self, table: str, year: int) -> str:
        """Return the collection of a table."""
        return f"measures/{self.dataset or f'acs5_{table.lower()}'}/{year}"


def read(options: Options, cache: AnswerCache, *, downloader: Downloader | None = None) -> list[Tables]:
    """Return each table and year: its rows by state, and the reasons for numbers that are missing or coded.

    Parameters
    ----------
    options : Options
    cache : AnswerCache
        Keeps the answers of the API as they came, under ``acs/``: a run that was stopped asks only for the others.
    downloader : Downloader, optional
        See `acs_api.fetch`.

    Raises
    ------
    InputError
        As `acs_choice.chosen_files`, `acs_files.read_file` and `acs_api.fetch`; if counts of a file do not sum to its
        row of the whole country, or files of one table and year hold the same tract or different columns.
    """
    return _of_files(options, options.file) if options.file else _of_api(options, cache, downloader)


def plan(options: Options, cache: AnswerCache) -> list[str] | None:
    """Return the requests to the API, as lines for the user; None if files are read."""
    return None if options.file else [line for asked in _queries(options) for line in _planned(options, asked, cache)]


def _planned(options: Options, asked: Query, cache: AnswerCache) -> list[str]:
    states = options.states or _STATES
    kept = set(cache.names(_folder(asked.table, asked.year)))
    absent = [state for state in states if f"{state}.json.about" not in kept]
    return [
        f"acs: {asked.table} {asked.year} of {counted(len(states), 'state')} from {asked.path}, "
        f"{counted(len(asked.variables), 'variable')} "
        f"in {counted(len(asked.blocks), 'request')} per state, to {options.collection(asked.table, asked.year)}",
        f"  states to ask for: {listed(absent, 60) or 'none, all answers are kept'}",
    ]


# The API -----------------------------------------------------------------------------------------


def _queries(options: Options) -> list[Query]:
    """Return what to ask the API for: all tables and years are known before the first request."""
    if options.table is None:
        raise InputError(f"--table: expected one of {', '.join(registry().tables)}")
    _check_dataset(options, options.table)
    return [query(table, year) for table in options.table for year in options.year]


def _of_api(options: Options, cache: AnswerCache, downloader: Downloader | None) -> list[Tables]:
    asked, states = _queries(options), options.states or _STATES
    # One client for all: the server's wishes and the budget hold for the whole run.
    client = downloader or census_client(options.politeness)
    tables = []
    for one in asked:
        found = fetch(
            one.table,
            one.year,
            states,
            cache,
            by="county" if options.county_wise else "state",
            base_url=options.base_url,
            politeness=options.politeness,
            downloader=client,
        )
        answers = _answers(cache, one.table, one.year, states)
        tables.append(_tables(options, one.table, one.year, found, "the Census API", inputs=answers))
    return tables


# Files -------------------------------------------------------------------------------------------


def _of_files(options: Options, given: Sequence[str]) -> list[Tables]:
    files, left_out = chosen_files(given, options.year, options.table or ())
    found: dict[tuple[str, int], dict[str, AcsTable]] = {}
    for file in files:
        for table, part in _of_file(options, file.path).items():
            found.setdefault((table, file.year), {})[file.path] = part
    _check_dataset(options, sorted({table for table, _ in found}))
    absent = [table for table in options.table or () if table not in {name for name, _ in found}]
    if absent:
        raise InputError(f"--table {', '.join(absent)}: in none of the files {listed([file.path for file in files])}")
    tables: list[Tables] = []
    for (table, year), parts in found.items():
        whole = _whole(options, table, parts)
        source = listed([Path(file).name for file in parts], 3)
        tables.append(_tables(options, table, year, whole, source, [] if tables else left_out, files=list(parts)))
    return tables


def _of_file(options: Options, file: str) -> dict[str, AcsTable]:
    """Return the tables of a file, which in one of tidycensus may be several, or those that were asked for."""
    found = read_file(file, key=options.key_column)
    columns = [column for column in found.tracts if column != "geoid"]
    there = list(dict.fromkeys(column.split("_")[0] for column in columns))
    wanted = [table for table in there if options.table is None or table in options.table]
    if not wanted:
        raise InputError(
            f"{file}: found the column {columns[0]}, expected those of table {', '.join(options.table or ())}"
        )
    return {
        table: _of_columns(found, [column for column in columns if column.startswith(f"{table}_")]) for table in wanted
    }


def _whole(options: Options, table: str, parts: Mapping[str, AcsTable]) -> AcsTable:
    """Return a table of one year from its files, by file, of the states that were asked for."""
    found, files = combined(parts, table), listed(parts, 3)
    known = registry().tables.get(table)
    if known is not None and not known.annotations:
        for column in found.tracts:
            if column.endswith("E"):
                check_whole_country(found, column, where=files)
    return found if options.states is None else _of_states(found, options.states, files)


def _of_columns(found: AcsTable, columns: list[str]) -> AcsTable:
    others = found.others[["GEO_ID", *(column for column in columns if column in found.others)]]
    return AcsTable(found.tracts[["geoid", *columns]], found.reasons[found.reasons["column"].isin(columns)], others)


def _check_dataset(options: Options, tables: Sequence[str]) -> None:
    if options.dataset is not None and len(tables) > 1:
        raise InputError(
            f"--dataset {options.dataset}: names the dataset of one table, found the tables {listed(tables)}; expected "
            "one, or no --dataset (jobs/ingest.py join makes one dataset of several)"
        )


def _of_states(found: AcsTable, states: Sequence[str], file: str) -> AcsTable:
    there = set(found.tracts["geoid"].str[:2])
    absent = [state for state in states if state not in there]
    if absent:
        raise InputError(f"{file}: no tract of state {', '.join(absent)}; found {', '.join(sorted(there))}")
    tracts, reasons = (frame[frame["geoid"].str[:2].isin(list(states))] for frame in (found.tracts, found.reasons))
    return AcsTable(tracts, reasons, found.others)


def _folder(table: str, year: int) -> str:
    return f"acs/{year}/{table}"


def _answers(cache: AnswerCache, table: str, year: int, states: Sequence[str]) -> dict[str, str]:
    """Return the checksums of the kept answers of some states, by key."""
    folder = _folder(table, year)
    abouts = [name for name in cache.names(folder) if name.endswith(".about") and name[:2] in states]
    return {
        f"{folder}/{name.removesuffix('.about')}": json.loads(cache.get(f"{folder}/{name}"))["sha256"]
        for name in abouts
    }


def _tables(
    options: Options, table: str, year: int, found: AcsTable, source: str, lines: Sequence[str] = (), **inputs: Any
) -> Tables:
    collection = options.collection(table, year)
    vintage = options.vintage or vintage_of("acs5", year)
    parts = split_by_state(found.tracts.set_index("geoid"))
    reasons = found.reasons.set_index("geoid").sort_index(kind="stable").astype("str")
    states = reasons.index.astype("str").str[:2]
    # A state without reasons has an empty part: those of an earlier ingest must not stay.
    reasons_by_state = {state: reasons[states == state] for state in parts}
    return Tables(
        collection=collection,
        parts=parts,
        attributes={"vintage": vintage, **of_survey(list(found.tracts.columns.drop("geoid")))},
        options={"table": table, "year": year, "vintage": vintage},
        lines=[*lines, *_lines(found, table, source, vintage)],
        beside=[Table(collection.replace("measures/", "reasons/", 1), reasons_by_state, {"vintage": vintage})],
        **inputs,
    )


def _lines(found: AcsTable, table: str, source: str, vintage: str) -> list[str]:
    columns = [column for column in found.tracts if column != "geoid"]
    lines = [
        f"{table} from {source}: {counted(len(found.tracts), 'tract')} of vintage {vintage}, "
        f"{counted(len(columns), 'column')}"
    ]
    if len(found.others):
        lines.append(f"rows of other areas left out: {listed(list(found.others['GEO_ID']))}")
    counts = found.reasons["reason"].value_counts()
    return lines + [f"{counted(count, 'number')}: {reason}" for reason, count in counts.items()]
