"""American Community Survey, 5-year tables by tract, from the Census API or from files of the Census Bureau."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from geomob_dask.errors import InputError
from geomob_dask.names import Name, Year
from geomob_dask.options import Options as BaseOptions
from geomob_dask.options import unrecorded
from geomob_dask.sources.acs_api import fetch
from geomob_dask.sources.acs_files import LAST_STATE, AcsTable, check_whole_country, read_file
from geomob_dask.sources.acs_tables import query, registry
from geomob_dask.sources.attributes import of_survey
from geomob_dask.sources.download import AnswerCache, Downloader, Politeness
from geomob_dask.sources.keys import listed
from geomob_dask.sources.states import STATES, StateCodes
from geomob_dask.sources.tables import Table, Tables, split_by_state
from geomob_dask.sources.vintages import vintage_of

_STATES = tuple(code for code in STATES if code <= LAST_STATE)


class Options(BaseOptions):
    """Options of ``jobs/ingest.py acs``."""

    year: Year = Field(description="Release: the last of its five years.")
    table: Name | None = Field(None, description="Such as B03002 or DP05. [default: found in a file]")
    states: StateCodes | None = Field(None, description="Codes or letters, such as 18,39 or IN,OH.")
    file: str | None = Field(None, description="A .csv, .zip or .json of the Bureau, in place of the Census API.")
    dataset: Name | None = Field(None, description="Name of the dataset. [default: acs5_ and the table]")
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

    def collection(self, table: str) -> str:
        """Return the collection of a table."""
        return f"measures/{self.dataset or f'acs5_{table.lower()}'}/{self.year}"


def read(options: Options, cache: AnswerCache, *, downloader: Downloader | None = None) -> Tables:
    """Return a table by state, and the reasons for numbers that are missing or coded.

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
        As `acs_files.read_file` and `acs_api.fetch`; if counts of a file do not sum to its row of the whole country.
    """
    if options.file is not None:
        table, found = _of_file(options, options.file)
        return _tables(options, table, found, Path(options.file).name, files=[options.file])
    table = _table(options)
    states = options.states or _STATES
    found = fetch(
        table,
        options.year,
        states,
        cache,
        by="county" if options.county_wise else "state",
        base_url=options.base_url,
        politeness=options.politeness,
        downloader=downloader,
    )
    return _tables(options, table, found, "the Census API", inputs=_answers(cache, table, options.year, states))


def plan(options: Options, cache: AnswerCache) -> list[str] | None:
    """Return the requests to the API, as lines for the user; None if a file is read."""
    if options.file is not None:
        return None
    table, states = _table(options), options.states or _STATES
    asked = query(table, options.year)
    kept = set(cache.names(_folder(table, options.year)))
    absent = [state for state in states if f"{state}.json.about" not in kept]
    return [
        f"acs: {table} {options.year} of {len(states)} states from {asked.path}, {len(asked.variables)} variables in "
        f"{len(asked.blocks)} requests per state, to {options.collection(table)}",
        f"  states to ask for: {listed(absent, 60) or 'none, all answers are kept'}",
    ]


def _of_file(options: Options, file: str) -> tuple[str, AcsTable]:
    found = read_file(file)
    columns = [column for column in found.tracts if column != "geoid"]
    table = options.table or columns[0].split("_")[0]
    strangers = [column for column in columns if not column.startswith(f"{table}_")]
    if strangers:
        raise InputError(f"{file}: found the column {strangers[0]}, expected those of table {table} only")
    known = registry().tables.get(table)
    if known is not None and not known.annotations:
        for column in columns:
            if column.endswith("E"):
                check_whole_country(found, column)
    return table, found if options.states is None else _of_states(found, options.states, file)


def _of_states(found: AcsTable, states: Sequence[str], file: str) -> AcsTable:
    there = set(found.tracts["geoid"].str[:2])
    absent = [state for state in states if state not in there]
    if absent:
        raise InputError(f"{file}: no tract of state {', '.join(absent)}; found {', '.join(sorted(there))}")
    tracts, reasons = (frame[frame["geoid"].str[:2].isin(list(states))] for frame in (found.tracts, found.reasons))
    return AcsTable(tracts, reasons, found.others)


def _table(options: Options) -> str:
    if options.table is None:
        raise InputError(f"--table: expected one of {', '.join(registry().tables)}")
    return options.table


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


def _tables(options: Options, table: str, found: AcsTable, source: str, **inputs: Any) -> Tables:
    collection = options.collection(table)
    vintage = options.vintage or vintage_of("acs5", options.year)
    parts = split_by_state(found.tracts.set_index("geoid"))
    reasons = found.reasons.set_index("geoid").sort_index(kind="stable").astype("str")
    states = reasons.index.astype("str").str[:2]
    # A state without reasons has an empty part: those of an earlier ingest must not stay.
    reasons_by_state = {state: reasons[states == state] for state in parts}
    return Tables(
        collection=collection,
        parts=parts,
        attributes={"vintage": vintage, **of_survey(list(found.tracts.columns.drop("geoid")))},
        options={"table": table, "year": options.year, "vintage": vintage},
        lines=_lines(found, table, source, vintage),
        beside=[Table(collection.replace("measures/", "reasons/", 1), reasons_by_state, {"vintage": vintage})],
        **inputs,
    )


def _lines(found: AcsTable, table: str, source: str, vintage: str) -> list[str]:
    columns = [column for column in found.tracts if column != "geoid"]
    lines = [f"{table} from {source}: {len(found.tracts):,} tracts of vintage {vintage}, {len(columns)} columns"]
    if len(found.others):
        lines.append(f"rows of other areas left out: {listed(list(found.others['GEO_ID']))}")
    counts = found.reasons["reason"].value_counts()
    return lines + [f"{count:,} numbers: {reason}" for reason, count in counts.items()]
