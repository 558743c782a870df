"""Tables of the American Community Survey by tract, from files of the Census Bureau.

Whatever the form (csv of data.census.gov with its second header row, csv with the API's columns and annotations or of
tidycensus and censusdis, the API's answer saved as JSON), a table comes out the same: one row per tract, plain numbers,
and the reasons for those that are missing or coded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import and_more, listed
from geomob_dask.sources.census_codes import Role, decode_table
from geomob_dask.sources.download import IncompleteAnswerError, is_page, page_title
from geomob_dask.sources.files import Archive, Content, unpacked
from geomob_dask.sources.key_columns import find_column, key_columns
from geomob_dask.sources.keys import AROUND, exact_texts, tract_geoids
from geomob_dask.sources.text_tables import SUFFIXES, parsed

# Wyoming; codes above it are those of Puerto Rico and the islands.
LAST_STATE = "56"
_VARIABLE = r"[A-Z][A-Z0-9]*_[0-9]{3,4}"
_NUMBER_COLUMN = re.compile(rf"{_VARIABLE}(E|M|N|EA|MA)")
# Such as 0100000US, the whole country; 140 is that of tracts.
_OTHER_AREA = r"(?!140)[0-9]{3}[0-9A-Z]{0,6}US"
_EXPECTED = "a table of the Bureau by tract: csv, zip or JSON"


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
        Rows of other areas (the whole country, states), with their ``GEO_ID``.
    """

    tracts: pd.DataFrame
    reasons: pd.DataFrame
    others: pd.DataFrame


def read_file(path: str | Path, *, key: str | None = None) -> AcsTable:
    """Return a table by tract from a file of the Bureau, or of a client of its API.

    Parameters
    ----------
    path : str or Path
        ``.csv`` (or another kind of `open_table`), ``.csv.gz`` or ``.zip`` of data.census.gov, with or without its
        second header row; a table with the API's columns, as of tidycensus and censusdis; tidycensus' long table
        (``variable``, ``estimate``, ``moe``); or an answer of the API saved as ``.json``.
    key : str, optional
        Column of keys, or those of state, county and tract; see `key_columns`.

    Raises
    ------
    InputError
        Naming the file, and what in it was found and expected.
    """
    content = _content(path)
    if content.name.lower().endswith(".json"):
        rows = _json_rows(content)
    else:
        if is_page(content.data):
            start = content.data.lstrip()[:60].decode("latin-1")
            raise InputError(f"{content.label}: found {start!r}, expected {_EXPECTED}")
        table = parsed(content, expected=_EXPECTED)
        table.check_codes(key_columns(table.names, file=content.label, named=key).names)
        rows = _without_labels(table.texts())
    return decoded(widened(_with_geoid(rows, key, content.label), content.label), content.label)


def combined(parts: Mapping[str, AcsTable], table: str) -> AcsTable:
    """Return one table from several files of it, such as one of each state.

    Parameters
    ----------
    parts : mapping of str to AcsTable
        By file.
    table : str
        For messages.

    Raises
    ------
    InputError
        If the files have other columns than the first, or a tract is in two of them; it names both files.
    """
    (first, start), *rest = parts.items()
    for file, part in rest:
        odd = sorted(set(start.tracts) ^ set(part.tracts))
        if odd:
            lacking, having = (file, first) if odd[0] in start.tracts else (first, file)
            raise InputError(
                f"{lacking}: table {table} has no column {odd[0]}, which {having} has{and_more(len(odd))}; expected "
                "the same columns in all files of one table and year"
            )
    tracts = pd.concat({file: part.tracts[list(start.tracts)] for file, part in parts.items()}, names=["file", None])
    tracts = tracts.sort_values("geoid", kind="stable")
    twice = tracts["geoid"].duplicated()
    if twice.any():
        tract = tracts["geoid"][twice].iloc[0]
        files = tracts.index.get_level_values("file")[tracts["geoid"] == tract]
        raise InputError(
            f"{files[1]}: table {table}, tract {tract}: is in {files[0]} too{and_more(int(twice.sum()))}; expected "
            "each tract in one file"
        )
    reasons = pd.concat([part.reasons for part in parts.values()], ignore_index=True)
    others = pd.concat([part.others for part in parts.values()], ignore_index=True).drop_duplicates("GEO_ID")
    return AcsTable(tracts.reset_index(drop=True), reasons, others.reset_index(drop=True))


def check_whole_country(table: AcsTable, column: str, *, where: str = "table", tolerance: float = 0.0) -> None:
    """Check that tracts sum to the row of the whole country, where the file has one.

    The Bureau's United States are the 50 states and the District of Columbia; Puerto Rico's tracts are not added.

    Parameters
    ----------
    table : AcsTable
    column : str
        A count.
    where : str
        The file, for the message.
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
    in_it = table.tracts["geoid"].str[:2] <= LAST_STATE
    expected, found = float(country.iloc[0]), float(table.tracts.loc[in_it, column].sum())
    if abs(found - expected) > tolerance:
        raise InputError(
            f"{where}: column {column}: tracts sum to {found:,.0f}, expected the country's {expected:,.0f}"
        )


def read_answer(body: bytes, columns: Iterable[str], what: str, level: str = "tract") -> list[dict[str, Any]]:
    """Return the rows of an answer of the API: a JSON list of lists, the first of them the columns.

    Raises
    ------
    IncompleteAnswerError
        If it is not JSON, or incomplete: the server may answer when asked again.
    InputError
        If it is complete and lacks columns or rows; the message names them.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        found = f"a web page ({page_title(body)!r})" if is_page(body) else "text that is not JSON or breaks off"
        raise IncompleteAnswerError(f"found {found} ({len(body)} bytes), expected JSON") from error
    if not (isinstance(answer, list) and answer and all(isinstance(row, list) for row in answer)):
        raise InputError(f"{what}: found {str(answer)[:80]!r}, expected a list of rows")
    header, rows = answer[0], answer[1:]
    if not all(isinstance(name, str) for name in header) or len(set(header)) < len(header):
        raise InputError(f"{what}: found the header {str(header)[:80]}, expected different names of columns")
    missing = [column for column in columns if column not in header]
    if missing:
        raise InputError(f"{what}: the answer has no column {listed(missing, 12)}; found {listed(header, 40)}")
    if not rows:
        raise InputError(f"{what}: the answer has no rows, expected at least one {level}")
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise InputError(f"{what}, row {number + 1}: found {len(row)} cells, expected {len(header)}")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _content(path: str | Path) -> Content:
    """Return the table in a file; in a .zip of data.census.gov it lies beside descriptions of its columns."""
    if not str(path).lower().endswith(".zip"):
        return unpacked(path, (*SUFFIXES, ".json"), expected=_EXPECTED)
    archive = Archive(str(path), expected=_EXPECTED)
    tables = [name for name in archive.names if re.search(r"\.(csv|json)$", name, re.IGNORECASE)]
    data = [name for name in tables if re.search(r"data[^/]*\.csv$", name, re.IGNORECASE) and not describes(name)]
    member = archive.only(lambda name: name in (data or tables), _EXPECTED)
    return Content(f"{path}, member {member}", PurePosixPath(member).name, archive.read(member))


def describes(name: str) -> bool:
    """Return whether a file of data.census.gov describes the columns of another."""
    return "metadata" in name.lower()


def _json_rows(content: Content) -> pd.DataFrame:
    try:
        rows = read_answer(content.data, (), content.label)
    except IncompleteAnswerError as error:
        raise InputError(f"{content.label}: {error}") from error
    return pd.DataFrame(rows, dtype=object)


def _without_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Take out the second header row of data.census.gov."""
    key = find_column(list(rows), "GEO_ID")
    labelled = key is not None and len(rows) and rows[key].iloc[0] in ("id", "Geography")
    return rows.iloc[1:].reset_index(drop=True) if labelled else rows


def _with_geoid(rows: pd.DataFrame, key: str | None, name: str) -> pd.DataFrame:
    """Add the tract's key, and the GEO_ID of the row; rows of other areas have no key."""
    keys = key_columns(list(rows), file=name, named=key)
    if len(keys.names) > 1:
        geoids, _ = keys.geoids(rows, file=name)
        return rows.assign(geoid=geoids, GEO_ID="1400000US" + geoids)
    given = exact_texts(rows[keys.names[0]], f"{name}: column {keys.label}").str.strip(AROUND)
    tract = ~given.str.match(_OTHER_AREA)
    if not tract.any():
        found = ", ".join(given.head(3))
        raise InputError(f"{name}: found no tract among {len(rows)} rows ({found}), expected 1400000US and 11 digits")
    # A row is named by its place in the file, whatever is left out before it.
    geoids, _ = tract_geoids(given.where(tract, given[tract].iloc[0]), file=name, column=keys.label)
    return rows.assign(geoid=geoids.where(tract), GEO_ID=given)


def widened(rows: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return a row per area: of a long table of tidycensus, its variables become columns; others stay as they are."""
    columns = list(map(str, rows))
    variable, estimate, moe = (find_column(columns, name) for name in ("variable", "estimate", "moe"))
    if variable is None or estimate is None:
        return rows
    where = f"{source}: column {variable}"
    odd = ~rows[variable].astype("str").str.fullmatch(_VARIABLE)
    if odd.any():
        row = int(np.argmax(odd))
        raise InputError(f"{where}, row {row + 1}: found {rows[variable].iloc[row]!r}, expected such as B01003_001")
    twice = rows.duplicated(["GEO_ID", variable])
    if twice.any():
        area, name = rows.loc[twice, ["GEO_ID", variable]].iloc[0]
        raise InputError(f"{where}: area {area} has {name} twice, expected once{and_more(int(twice.sum()))}")
    areas = rows[["GEO_ID", "geoid"]].drop_duplicates("GEO_ID").set_index("GEO_ID")
    for name in sorted(rows[variable].unique()):
        numbers = rows[rows[variable] == name].set_index("GEO_ID")
        for column, role in ((estimate, "E"), (moe, "M")):
            if column is not None:
                areas[f"{name}{role}"] = numbers[column]
    return areas.reset_index()


def decoded(rows: pd.DataFrame, source: str) -> AcsTable:
    """Return a table with all numbers decoded, and the rows of other areas apart."""
    rows = rows.rename(columns=lambda name: str(name).upper() if _NUMBER_COLUMN.fullmatch(str(name).upper()) else name)
    roles: dict[str, Role] = {
        column: "moe" if column.endswith("M") else "estimate"
        for column in rows.columns
        if _NUMBER_COLUMN.fullmatch(str(column)) and not column.endswith("A")
    }
    if not roles:
        found = listed([column for column in rows if column not in ("geoid", "GEO_ID")], 20)
        raise InputError(
            f"{source}: found the columns {found}, expected estimates such as B01003_001E (a table of other columns: "
            "jobs/ingest.py measures)"
        )
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
