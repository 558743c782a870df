"""Opportunity Insights' files: the commuting-zone workbook, and the tracts of its cohort.

Chetty, Hendren, Kline, Saez (2014), "Where is the Land of Opportunity?", online data tables 5 and 8; Chetty, Friedman,
Hendren, Jones, Porter (2018), "The Opportunity Atlas". Names, units and domains of the workbook's columns are
data, in ``definitions/mobility/zones.csv``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.messages import and_more, counted, listed
from geomob_dask.settings import limits_in_use
from geomob_dask.sources.county_zones import ZONE_DIGITS
from geomob_dask.sources.files import Content, read_bytes
from geomob_dask.sources.keys import MISSING_WORDS
from geomob_dask.sources.measures import read_measures
from geomob_dask.sources.states import STATES
from geomob_dask.sources.workbooks import Row
from geomob_dask.sources.workbooks import Workbook as SheetBook

CHARACTERISTICS = "Online Data Table 8"
OUTCOMES = "Online Data Table 5"
UPWARD_MOBILITY = "upward_mobility_1980_82_rank"
"""The study's outcome: mean national income rank of children (born 1980-82) of parents at the 25th percentile."""
ZONES = "zones"
ZONE_VINTAGE = "1990"
"""Commuting zones are made of the counties of 1990."""
ATLAS, ATLAS_YEAR, ATLAS_VINTAGE, ATLAS_OUTCOME = "opportunity_atlas", 2018, "2010", "kir_pooled_p25"
"""The Opportunity Atlas: dataset, year, vintage, and the mean rank of children of parents at the 25th percentile."""

_KEYS = ("CZ", "CZ Name", "State")
_COLUMN_NUMBER = re.compile(r"\(\d+\)|-\d+(\.0)?")
_LETTERS = {state.letters for state in STATES.values()}


@dataclass(frozen=True)
class Column:
    """A column of the workbook.

    Parameters
    ----------
    sheet, heading : str
        Where it is.
    name, title, domain, unit : str
        What it is here: the name ends in the unit or kind.
    is_feature : bool
        Whether it is one of the 36 attributes of the published study; others can be chosen by name.
    """

    sheet: str
    heading: str
    name: str
    title: str
    domain: str
    unit: str
    is_feature: bool


def zone_columns(sheet: str | None = None) -> tuple[Column, ...]:
    """Return the columns of the workbook that are read, of one sheet or both.

    Examples
    --------
    >>> sum(column.is_feature for column in zone_columns())
    36
    """
    path = resources.files("geomob_dask").joinpath("definitions", "mobility", "zones.csv")
    with io.StringIO(path.read_text(encoding="utf-8"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    return tuple(
        Column(
            row["sheet"],
            row["heading"],
            row["name"],
            row["title"],
            row["domain"],
            row["unit"],
            row["feature"] == "yes",
        )
        for row in rows
        if sheet in (None, row["sheet"])
    )


# The workbook ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workbook:
    """Contents of the workbook.

    Parameters
    ----------
    characteristics, outcomes : DataFrame
        Index ``zone`` (five digits, as text), sorted; ``name``, ``state`` (letters) and the columns of
        `zone_columns`, float64, NaN where a cell is empty.
    lines : tuple of str
        Lines for the user.
    """

    characteristics: pd.DataFrame
    outcomes: pd.DataFrame
    lines: tuple[str, ...]


def read_workbook(file: str | Path) -> Workbook:
    """Read the commuting-zone workbook.

    Parameters
    ----------
    file : str or Path
        ``online_data_tables-8.xls`` as published, or the same sheets as ``.xlsx``. The form is
        recognized by its first bytes, the header by its text.

    Raises
    ------
    InputError
        If the file is no workbook; a sheet, its header or a column is missing; a zone is there twice, has no whole
        number, no state, or text where a number should be. It names sheet, row (as a spreadsheet counts) and column.
    """
    sheets = _sheets(Path(file), (CHARACTERISTICS, OUTCOMES))
    tables = {name: _zone_table(rows, zone_columns(name), f"{file}: sheet {name!r}") for name, rows in sheets.items()}
    characteristics, outcomes = tables[CHARACTERISTICS], tables[OUTCOMES]
    lines = [
        f"{counted(len(characteristics), 'zone')} with characteristics, {len(outcomes):,} with a row of outcomes "
        f"({int(outcomes[UPWARD_MOBILITY].notna().sum()):,} with {UPWARD_MOBILITY})"
    ]
    alone = characteristics.index.symmetric_difference(outcomes.index)
    if len(alone):
        lines.append(f"zones on one sheet only: {listed(alone)}")
    missing = characteristics.isna().sum()
    worst = [f"{name} {count:,}" for name, count in missing[missing > 0].sort_values(ascending=False).items()]
    if worst:
        lines.append(
            f"missing cells, kept missing: {int(missing.sum()):,} in {counted(len(worst), 'column')}; {listed(worst)}"
        )
    return Workbook(characteristics, outcomes, tuple(lines))


def _sheets(path: Path, names: Sequence[str]) -> dict[str, list[Row]]:
    limits = limits_in_use()
    content = Content(str(path), path.name, read_bytes(path, expected="a workbook", limits=limits))
    book = SheetBook(content, limits)
    return {name: book.rows(name) for name in names}


def _zone_table(rows: list[Row], columns: Sequence[Column], where: str) -> pd.DataFrame:
    header = _header_row(rows, where)
    place = _places(rows[header], columns, f"{where}, row {header + 1}")
    # Rows may end with their last filled cell.
    rows = [[*row, *[""] * (len(rows[header]) - len(row))] for row in rows]
    filled = [number for number in range(header + 1, len(rows)) if any(_text(cell) for cell in rows[number])]
    kept = filled[1:] if filled and _is_numbering(rows[filled[0]]) else filled
    if not kept:
        raise InputError(f"{where}: no zone below the header in row {header + 1}; expected one row per zone")
    zones = [_zone(rows[number][place["CZ"]], f"{where}, row {number + 1}") for number in kept]
    _refuse_twice(zones, kept, where)
    frame: dict[str, Any] = {
        "name": [_text(rows[number][place["CZ Name"]]) for number in kept],
        "state": [_state(rows[number][place["State"]], f"{where}, row {number + 1}") for number in kept],
    }
    for column in columns:
        cells = [rows[number][place[column.heading]] for number in kept]
        frame[column.name] = [
            _number(cell, f"{where}, row {number + 1}, column {column.heading!r}")
            for cell, number in zip(cells, kept, strict=True)
        ]
    table = pd.DataFrame(frame, index=pd.Index(zones, name="zone", dtype="str"))
    return table.astype({"name": "str", "state": "str"}).sort_index()


def _header_row(rows: list[Row], where: str) -> int:
    # The word CZ also begins a row of the list of variables above the table.
    keys = [_plain(key) for key in _KEYS]
    for number, row in enumerate(rows):
        if [_plain(cell) for cell in row[: len(keys)]] == keys:
            return number
    raise InputError(f"{where}: no header; expected a row that begins with {', '.join(_KEYS)}")


def _places(header: Row, columns: Sequence[Column], where: str) -> dict[str, int]:
    found = [_plain(cell) for cell in header]
    places = {}
    for heading in (*_KEYS, *(column.heading for column in columns)):
        count = found.count(_plain(heading))
        if count != 1:
            expected = "expected it once" if count else f"found {listed([str(cell) for cell in header], 8)}"
            raise InputError(f"{where}: column {heading!r} is there {count} times; {expected}")
        places[heading] = found.index(_plain(heading))
    return places


def _plain(cell: Any) -> str:
    return " ".join(str(cell).split()).casefold()


def _text(cell: Any) -> str:
    return str(cell).strip()


def _is_numbering(row: Row) -> bool:
    """Return whether a row numbers the columns: (1), (2), …, which a spreadsheet may have turned into -1, -2."""
    cells = [cell for cell in row[: len(_KEYS)] if _text(cell)]
    return bool(cells) and all(_COLUMN_NUMBER.fullmatch(_text(cell)) for cell in cells)


def _is_zone(cell: Any) -> bool:
    return isinstance(cell, (int, float)) and not isinstance(cell, bool) and cell > 0


def _zone(cell: Any, where: str) -> str:
    number = float(cell) if _is_zone(cell) or _text(cell).isdigit() else float("nan")
    if not (number.is_integer() and 0 < number < 10**ZONE_DIGITS):
        raise InputError(f"{where}: found {cell!r} for a zone, expected a whole number of up to {ZONE_DIGITS} digits")
    return zone_key(int(number))


def zone_key(number: int) -> str:
    """Return a zone's key: its number as five digits, so that text sorts as numbers do.

    Examples
    --------
    >>> zone_key(302)
    '00302'
    """
    return f"{number:0{ZONE_DIGITS}d}"


def _refuse_twice(zones: list[str], kept: list[int], where: str) -> None:
    rows: dict[str, int] = {}
    for zone, number in zip(zones, kept, strict=True):
        if zone in rows:
            raise InputError(
                f"{where}: zone {int(zone)} is there twice, in rows {rows[zone] + 1} and {number + 1}; expected once"
            )
        rows[zone] = number


def _state(cell: Any, where: str) -> str:
    letters = _text(cell).upper()
    if letters not in _LETTERS:
        raise InputError(f"{where}, column 'State': found {cell!r}, expected the two letters of a state")
    return letters


def _number(cell: Any, where: str) -> float:
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return float(cell)
    text = _text(cell)
    if text.lower() in MISSING_WORDS:
        return float("nan")
    try:
        number = float(text)
    except ValueError:
        number = float("inf")
    if not np.isfinite(number):
        raise InputError(f"{where}: found {text!r}, expected a number or an empty cell")
    return number


# The cohort --------------------------------------------------------------------------------------


def read_white_shares(file: str | Path, white: str = "nh.white") -> pd.Series:
    """Read the share of white people in each tract of 2000.

    Parameters
    ----------
    file : str or Path
        csv, csv.gz or parquet with a key column, ``pop2000`` and the column of white people.
    white : str
        By default those who are not Hispanic; ``white``: Hispanic or not.

    Returns
    -------
    Series of float64
        By ``geoid``; NaN in tracts without people.

    Raises
    ------
    InputError
        If a column is missing, or a count is missing, negative or more than the tract's people.
    """
    table, _ = read_measures(file, columns=["pop2000", white], sentinels="keep")
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]):
            found = table[name].iloc[0]
            raise InputError(
                f"{file}: column {name!r}, tract {table.index[0]}: found {found!r}, expected numbers of people"
            )
    people, part = table["pop2000"].to_numpy(np.float64), table[white].to_numpy(np.float64)
    wrong = ~((people >= 0) & (part >= 0) & (part <= people))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{file}: tract {table.index[row]}: found {part[row]:g} in {white!r} of {people[row]:g} in 'pop2000', "
            f"expected 0 or more and no more than all{and_more(int(wrong.sum()))}"
        )
    share = np.divide(part, people, out=np.full(len(people), np.nan), where=people > 0)
    return pd.Series(share, index=table.index, name="white_share")


def minority_tracts(white_share: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which tracts have a white share below the mean over tracts.

    Parameters
    ----------
    white_share : shape (n_tracts,)
        NaN where nobody lives: such a tract does not count in the mean and is no minority tract.

    Returns
    -------
    shape (n_tracts,), bool

    Examples
    --------
    >>> minority_tracts(np.array([0.2, 0.9, np.nan, 0.7]))
    array([ True, False, False, False])
    """
    return np.asarray(white_share < np.nanmean(white_share))
