"""American Community Survey, 5-year: tables by tract, from the Census API or from files of the Bureau.

Whatever the form (the API's JSON, fetched or saved; csv of data.census.gov with its second header row; csv with the
API's columns and annotations), a table comes out the same: one row a tract, plain numbers, and the reasons for those
that are missing or coded. Which variables make up a table in which year is data: ``definitions/acs/tables.yaml``.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field

from geomob_dask.errors import DefinitionError, InputError, RunError
from geomob_dask.sources.census_codes import Role, decode_table
from geomob_dask.sources.download import Downloader, IncompleteAnswerError, Politeness
from geomob_dask.sources.keys import tract_geoids
from geomob_dask.sources.states import state_codes

KEY_VARIABLE = "CENSUS_API_KEY"

# Wyoming; codes above it are those of Puerto Rico and the islands.
_LAST_STATE = "56"
# The API takes 50 variables at a time.
_MOST_VARIABLES = 50
_GEO_ID_OF_TRACT = r"(140[0-9A-Z]{0,6}US[0-9]{11})"
_NUMBER_COLUMN = re.compile(r"[A-Z][A-Z0-9]*_[0-9]{3,4}(E|M|N)")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(_Frozen):
    """Where the API keeps a kind of table, with ``{year}`` in the path, and since when."""

    path: str
    years: tuple[int, int | None]


class TableEdition(_Frozen):
    """The lines of a table in some years."""

    years: tuple[int, int | None]
    lines: Annotated[dict[str, str], Field(min_length=1)]


class Table(_Frozen):
    """A table: its dataset, and its lines by year."""

    title: str
    dataset: str
    annotations: bool = False
    editions: Annotated[tuple[TableEdition, ...], Field(min_length=1)]


class Registry(_Frozen):
    """What is known of the API's tables."""

    version: int
    base_url: str
    datasets: dict[str, Dataset]
    tables: dict[str, Table]


@dataclass(frozen=True)
class Query:
    """What to ask the API for one table and year.

    Attributes
    ----------
    table, year : the table's name and the release
    path : str
        Of the dataset, below the base address.
    variables : tuple of str
        Estimates, margins and, where the table has them, annotations.
    """

    table: str
    year: int
    path: str
    variables: tuple[str, ...]

    @property
    def blocks(self) -> list[tuple[str, ...]]:
        """Return the variables in blocks that the API takes in one request."""
        return [
            self.variables[start : start + _MOST_VARIABLES] for start in range(0, len(self.variables), _MOST_VARIABLES)
        ]


@dataclass(frozen=True)
class AcsTable:
    """A table by tract.

    Attributes
    ----------
    tracts : DataFrame
        ``geoid`` (11 characters) and the columns of estimates and margins, floats; sorted by ``geoid``.
    reasons : DataFrame
        ``geoid``, ``column``, ``reason``: why a number is missing, or is coded.
    others : DataFrame
        Rows that are no tracts (the whole country, states), with their ``GEO_ID``.
    """

    tracts: pd.DataFrame
    reasons: pd.DataFrame
    others: pd.DataFrame


class Landing(Protocol):
    """Where answers are kept as they came, by key; `store.objects.Objects` is one."""

    def exists(self, key: str) -> bool:
        """Tell whether there is an object."""

    def get(self, key: str) -> bytes:
        """Return its bytes."""

    def put(self, key: str, data: bytes) -> None:
        """Write it whole."""


@cache
def registry() -> Registry:
    """Return the tables, years and variables that the package knows."""
    entry = resources.files("geomob_dask").joinpath("definitions", "acs", "tables.yaml")
    return Registry.model_validate(yaml.safe_load(entry.read_text(encoding="utf-8")))


def query(table: str, year: int) -> Query:
    """Return what to ask for a table in a year.

    Raises
    ------
    DefinitionError
        If the table is not known, or not in that year.

    Examples
    --------
    >>> query("DP05", 2021).variables[2:4]
    ('DP05_0071E', 'DP05_0071M')
    >>> query("DP05", 2024).variables[2:4]
    ('DP05_0090E', 'DP05_0090M')
    """
    known = registry()
    if table not in known.tables:
        raise DefinitionError(f"table {table!r}: expected one of {', '.join(known.tables)}")
    entry = known.tables[table]
    dataset = known.datasets[entry.dataset]
    editions = [edition for edition in entry.editions if _within(year, edition.years)]
    if not editions or not _within(year, dataset.years):
        spans = ", ".join(
            f"{first} to {last or 'now'}" for first, last in (edition.years for edition in entry.editions)
        )
        raise DefinitionError(f"table {table}: no variables are listed for {year}; they are for {spans}")
    suffixes = ("E", "M", "EA", "MA") if entry.annotations else ("E", "M")
    variables = tuple(f"{table}_{line}{suffix}" for line in editions[0].lines for suffix in suffixes)
    return Query(table, year, dataset.path.format(year=year), variables)


def fetch(
    table: str,
    year: int,
    states: Sequence[str],
    landing: Landing,
    *,
    by: Literal["state", "county"] = "state",
    base_url: str | None = None,
    politeness: Politeness | None = None,
    downloader: Downloader | None = None,
) -> AcsTable:
    """Return a table by tract from the Census API, asking only for what has not come yet.

    Answers are kept as they come, each with its checksum; a run that was stopped goes on at the state or county that
    is missing, or whose kept answer no longer has its checksum.

    Parameters
    ----------
    table : str
        Such as ``"B19001"``.
    year : int
        Release: the last of its five years.
    states : sequence of str
        Codes or letters.
    landing : Landing
        Keeps the answers under ``acs/YEAR/TABLE/``.
    by : {"state", "county"}
        How much to ask for at a time; counties where a state is too large for the server.
    base_url : str, optional
        Of the API or of a mirror.
    politeness : Politeness, optional
    downloader : Downloader, optional
        In place of one made from `politeness` and the key in ``CENSUS_API_KEY``; its `secret` is sent as the key.

    Raises
    ------
    DefinitionError, SettingsError
        If table or year are not known, or the key is refused.
    InputError
        If a state is unknown, the server knows no such thing, or an answer holds no tracts or those of another state.
    RunError
        If it gives up: it names the state or county. Answers that came are kept.
    """
    asked = query(table, year)
    politeness = politeness or Politeness()
    client = downloader or Downloader(politeness, secret=os.environ.get(KEY_VARIABLE, ""))
    source = _Api(client, (base_url or registry().base_url).rstrip("/"), asked, landing)
    parts = [part for state in state_codes(",".join(states)) for part in source.parts(state, by)]
    answers = _all_of(source, parts, politeness.concurrency)
    frames = [_tract_frame(answer, asked.variables, part.what) for part, answer in zip(parts, answers, strict=True)]
    return _finish(pd.concat(frames, ignore_index=True), f"{base_url or 'Census API'}, {table} {year}")


@dataclass(frozen=True)
class _Part:
    """One request: a state or county, and a block of variables."""

    state: str
    county: str
    what: str

    @property
    def within(self) -> str:
        return f"state:{self.state} county:{self.county or '*'}"

    @property
    def name(self) -> str:
        return f"{self.state}{self.county}"


@dataclass(frozen=True)
class _Api:
    client: Downloader
    base_url: str
    asked: Query
    landing: Landing

    def parts(self, state: str, by: Literal["state", "county"]) -> list[_Part]:
        what = f"{self.asked.table} {self.asked.year}, state {state}"
        if by == "state":
            return [_Part(state, "", what)]
        place = {"get": self.asked.variables[0], "for": "county:*", "in": f"state:{state}"}
        rows = self._kept(f"{state}-counties", place, ("state", "county"), f"{what}, its counties", "county")
        return [_Part(state, row["county"], f"{what}, county {row['county']}") for row in rows]

    def rows(self, part: _Part) -> list[dict[str, Any]]:
        """Return the rows of a part, its blocks of variables joined."""
        joined: dict[str, dict[str, Any]] = {}
        for number, block in enumerate(self.asked.blocks):
            place = {"get": ",".join(block), "for": "tract:*", "in": part.within}
            name = part.name if number == 0 else f"{part.name}-{number}"
            columns = (*block, "state", "county", "tract")
            for row in self._kept(name, place, columns, part.what, "tract"):
                geoid = row["state"] + row["county"] + row["tract"]
                joined.setdefault(geoid, {"geoid": geoid}).update(row)
        wrong = [geoid for geoid in joined if not geoid.startswith(part.name)]
        if wrong:
            raise InputError(f"{part.what}: the answer holds tract {wrong[0]}, expected those of {part.name} only")
        return list(joined.values())

    def _kept(
        self, name: str, place: dict[str, str], columns: tuple[str, ...], what: str, level: str
    ) -> list[dict[str, Any]]:
        """Return the rows of an answer: the kept one if it is whole and to this question, else a new one."""
        key = f"acs/{self.asked.year}/{self.asked.table}/{name}.json"
        question = f"{self.asked.path}?" + "&".join(f"{field}={value}" for field, value in place.items())
        if self.landing.exists(key) and self.landing.exists(f"{key}.about"):
            body = self.landing.get(key)
            about = json.loads(self.landing.get(f"{key}.about"))
            if about == _about(question, body):
                return read_answer(body, columns, what, level)
        fields = {**place, "key": self.client.secret} if self.client.secret else place

        def whole(body: bytes) -> bytes:
            read_answer(body, columns, what, level)
            return body

        body = self.client.get(f"{self.base_url}/{self.asked.path}", fields, whole, what)
        # The checksum comes after the answer: a run that stops between the two asks again.
        self.landing.put(key, body)
        self.landing.put(f"{key}.about", json.dumps(_about(question, body), sort_keys=True).encode())
        return read_answer(body, columns, what, level)


def read_answer(body: bytes, columns: Iterable[str], what: str, level: str = "tract") -> list[dict[str, Any]]:
    """Return the rows of an answer of the API: a JSON list of lists, the first of them the columns.

    Raises
    ------
    IncompleteAnswerError
        If it is not JSON or broken off: the server may do better when asked again.
    InputError
        If it is whole and not what was asked for: it names the columns that are missing, or what is odd in it.
    """
    try:
        answer = json.loads(body)
    except ValueError as error:
        page = b"<html" in body[:1000].lower() or b"<!doctype" in body[:1000].lower()
        found = "a web page" if page else "text that is not JSON or breaks off"
        raise IncompleteAnswerError(f"found {found} ({len(body)} bytes), expected JSON") from error
    if not (isinstance(answer, list) and answer and all(isinstance(row, list) for row in answer)):
        raise InputError(f"{what}: found {str(answer)[:80]!r}, expected a list of rows")
    header, rows = answer[0], answer[1:]
    missing = [column for column in columns if column not in header]
    if missing:
        raise InputError(f"{what}: the answer has no column {', '.join(missing)}; found {', '.join(map(str, header))}")
    if not rows:
        raise InputError(f"{what}: the answer has no rows, expected at least one {level}")
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise InputError(f"{what}, row {number}: found {len(row)} cells, expected {len(header)}")
    return [dict(zip(header, row, strict=True)) for row in rows]


def read_file(path: str | Path) -> AcsTable:
    """Return a table by tract from a file of the Bureau.

    Parameters
    ----------
    path : str or Path
        ``.csv``, ``.csv.gz`` or ``.zip`` of data.census.gov, with or without its second header row; a csv with the
        API's columns; or the API's answer saved as ``.json``. Tracts are told by ``GEO_ID`` or by state, county, tract.

    Raises
    ------
    InputError
        Naming the file, and what in it was found and expected.
    """
    source = Path(path)
    try:
        name, body = _table_in(source)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{source}: cannot be read ({error}); expected a csv, zip or JSON of the Bureau") from error
    rows = _json_rows(body, name) if name.endswith(".json") else _csv_rows(body, name)
    return _finish(_with_geoid(rows, name), name)


def check_whole_country(table: AcsTable, column: str, *, tolerance: float = 0.0) -> None:
    """Check that tracts sum to the row of the whole country, where the file has one.

    The Bureau's United States are the 50 states and the District of Columbia; Puerto Rico's tracts are not added.

    Parameters
    ----------
    table : AcsTable
    column : str
        A count.
    tolerance : float
        Largest difference; none by default, as the Bureau's tables of tracts add up.

    Raises
    ------
    InputError
        With both totals.
    """
    rows = table.others["GEO_ID"] == "0100000US"
    if not rows.any():
        return
    country = table.others.loc[rows, column]
    in_it = table.tracts["geoid"].str[:2] <= _LAST_STATE
    expected, found = float(country.iloc[0]), float(table.tracts.loc[in_it, column].sum())
    if abs(found - expected) > tolerance:
        raise InputError(f"{column}: tracts sum to {found:,.0f}, expected the country's {expected:,.0f}")


def _all_of(source: _Api, parts: Sequence[_Part], concurrency: int) -> list[list[dict[str, Any]]]:
    """Return the rows of all parts; on a failure let the running ones end, start no others, and name it."""
    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="acs") as pool:
        running: list[Future[list[dict[str, Any]]]] = [pool.submit(source.rows, part) for part in parts]
        wait(running, return_when=FIRST_EXCEPTION)
        for future in running:
            future.cancel()
    errors = [future.exception() for future in running if not future.cancelled() and future.exception()]
    if errors:
        done = sum(not future.cancelled() and future.exception() is None for future in running)
        first = errors[0]
        if isinstance(first, RunError):
            raise RunError(f"{first} ({done} of {len(parts)} parts are here)") from first
        raise first  # type: ignore[misc]
    return [future.result() for future in running]


def _about(question: str, body: bytes) -> dict[str, Any]:
    return {"question": question, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def _within(year: int, years: tuple[int, int | None]) -> bool:
    first, last = years
    return first <= year and (last is None or year <= last)


def _tract_frame(rows: list[dict[str, Any]], variables: tuple[str, ...], what: str) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["geoid", *variables], dtype=object)
    incomplete = ~frame["geoid"].str.fullmatch(r"[0-9]{11}").astype(bool)
    if incomplete.any():
        raise InputError(f"{what}: found the tract {frame['geoid'][incomplete].iloc[0]!r}, expected 11 digits")
    return frame


def _table_in(path: Path) -> tuple[str, bytes]:
    """Return the name and the bytes of the table in a file."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if re.search(r"data[^/]*\.csv$", name, re.IGNORECASE)]
            members = [name for name in members if "metadata" not in name.lower()]
            if len(members) != 1:
                raise InputError(f"{path}: found {len(members)} tables among {archive.namelist()}, expected one")
            return f"{path}, {members[0]}", archive.read(members[0])
    if path.suffix == ".gz":
        return str(path.with_suffix("")), gzip.decompress(path.read_bytes())
    return str(path), path.read_bytes()


def _json_rows(body: bytes, name: str) -> pd.DataFrame:
    try:
        rows = read_answer(body, (), name)
    except IncompleteAnswerError as error:
        raise InputError(f"{name}: {error}") from error
    return pd.DataFrame(rows, dtype=object)


def _csv_rows(body: bytes, name: str) -> pd.DataFrame:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 ({error}); expected a csv of the Bureau") from error
    header = next(csv.reader(io.StringIO(text)), [])
    if text.lstrip()[:1] == "<" or len(header) < 2:
        raise InputError(f"{name}: found {text[:60]!r}, expected a csv with columns")
    repeated = sorted({column for column in header if column and header.count(column) > 1})
    if repeated:
        raise InputError(f"{name}: column {', '.join(repeated)} is there twice")
    try:
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, index_col=False)
    except pd.errors.ParserError as error:
        raise InputError(f"{name}: {error}; expected a csv whose rows have as many cells as its header") from error
    # The Bureau ends the rows of newer files with a comma.
    table = table.loc[:, [column for column in table if not str(column).startswith("Unnamed:")]]
    if "GEO_ID" in table and len(table) and table["GEO_ID"].iloc[0] in ("id", "Geography"):
        table = table.iloc[1:]
    return table.reset_index(drop=True)


def _with_geoid(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Put the tract's key first: from GEO_ID, or from state, county and tract, padded."""
    if "GEO_ID" in rows:
        keys = rows["GEO_ID"].str.extract(f"^{_GEO_ID_OF_TRACT}$", expand=False)
    elif {"state", "county", "tract"} <= set(rows):
        parts = [
            rows[column].astype(str).str.zfill(width) for column, width in (("state", 2), ("county", 3), ("tract", 6))
        ]
        keys = parts[0] + parts[1] + parts[2]
        rows = rows.assign(GEO_ID="1400000US" + keys)
    else:
        raise InputError(f"{name}: found the columns {', '.join(rows)}, expected GEO_ID, or state, county and tract")
    if keys.notna().sum() == 0:
        found = ", ".join(map(str, rows["GEO_ID"].head(3)))
        raise InputError(f"{name}: found no tract among {len(rows)} rows ({found}), expected 1400000US and 11 digits")
    known = keys.notna()
    keys[known] = tract_geoids(keys[known], file=name, column="GEO_ID")[0].to_numpy()
    return rows.assign(geoid=keys)


def _finish(rows: pd.DataFrame, source: str) -> AcsTable:
    """Decode all numbers and set the rows that are no tracts apart."""
    roles: dict[str, Role] = {
        column: "moe" if column.endswith("M") else "estimate"
        for column in rows.columns
        if _NUMBER_COLUMN.fullmatch(str(column))
    }
    if not roles:
        raise InputError(f"{source}: found the columns {', '.join(rows)}, expected estimates such as B01003_001E")
    annotations = [f"{column}A" for column in roles if f"{column}A" in rows]
    is_tract = rows["geoid"].notna()
    tracts = rows.loc[is_tract, ["geoid", *roles, *annotations]].reset_index(drop=True)
    twice = tracts["geoid"].duplicated()
    if twice.any():
        raise InputError(
            f"{source}: tract {tracts['geoid'][twice].iloc[0]} is there twice ({int(twice.sum())} such rows)"
        )
    decoded = decode_table(tracts.sort_values("geoid", ignore_index=True), roles, source=source)
    others = pd.DataFrame({"GEO_ID": []}, dtype=str)
    if not is_tract.all():
        left = rows.loc[~is_tract, ["GEO_ID", *roles, *annotations]].reset_index(drop=True)
        others = decode_table(left, roles, source=source, key="GEO_ID").table
    return AcsTable(decoded.table, decoded.reasons, others)
