"""Tables of the American Community Survey by tract, from files of the Census Bureau.

Whatever the form (csv of data.census.gov with its second header row, csv with the API's columns and annotations, the
API's answer saved as JSON), a table comes out the same: one row per tract, plain numbers, and the reasons for those
that are missing or coded.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.sources.census_codes import Role, decode_table
from geomob_dask.sources.download import IncompleteAnswerError
from geomob_dask.sources.keys import tract_geoids

# Wyoming; codes above it are those of Puerto Rico and the islands.
LAST_STATE = "56"
_GEO_ID_OF_TRACT = r"(140[0-9A-Z]{0,6}US[0-9]{11})"
_NUMBER_COLUMN = re.compile(r"[A-Z][A-Z0-9]*_[0-9]{3,4}(E|M|N)")


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


def read_file(path: str | Path) -> AcsTable:
    """Return a table by tract from a file of the Bureau.

    Parameters
    ----------
    path : str or Path
        ``.csv``, ``.csv.gz`` or ``.zip`` of data.census.gov, with or without its second header row; a csv with the
        API's columns; or an answer of the API saved as ``.json``. Tracts are identified by ``GEO_ID``, or by state,
        county and tract.

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
    return decoded(_with_geoid(rows, name), name)


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
    in_it = table.tracts["geoid"].str[:2] <= LAST_STATE
    expected, found = float(country.iloc[0]), float(table.tracts.loc[in_it, column].sum())
    if abs(found - expected) > tolerance:
        raise InputError(f"{column}: tracts sum to {found:,.0f}, expected the country's {expected:,.0f}")


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


def decoded(rows: pd.DataFrame, source: str) -> AcsTable:
    """Return a table with all numbers decoded, and the rows of other areas apart."""
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
