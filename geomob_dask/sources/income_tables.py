"""Household income brackets (ACS table B19001) of areas, from archives with one file per area.

Two forms are known: JSON files named by the code of a metropolitan or micropolitan area, whose rows are
``[GEOID, total, b1, …, b16]``; and CSV files named ``<Metro>census_summ_<year>.csv`` with a column of keys, one of
households ``hh_YY`` and sixteen ``I_<upper end>_YY``. Both become the columns of the Bureau, ``B19001_001E`` (all
households) to ``B19001_017E``, and a column of the area.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from geomob_dask.errors import CountsError, InputError
from geomob_dask.messages import counted, listed
from geomob_dask.names import Name, Year
from geomob_dask.options import Options as BaseOptions
from geomob_dask.options import argument
from geomob_dask.sources.attributes import of_survey
from geomob_dask.sources.brackets import load_brackets
from geomob_dask.sources.files import Archive, Content
from geomob_dask.sources.json_files import parsed_json
from geomob_dask.sources.key_columns import key_column
from geomob_dask.sources.keys import tract_geoids
from geomob_dask.sources.numbers import required_floats
from geomob_dask.sources.tables import Tables, split_by_state
from geomob_dask.sources.text_tables import member_table

Floats = NDArray[np.float64]

_AREA_FILE = re.compile(r"^([0-9]{5})\.json$")
_METRO_FILE = re.compile(r"^(.+)census_summ_([0-9]{4})\.csv$")
_BRACKET = re.compile(r"^I_([0-9]+)_([0-9]{2})$")
# The last bracket is open: these files name it by 201000.
_OPEN_TOP = 201_000


@dataclass(frozen=True)
class IncomeTable:
    """Households by bracket.

    Attributes
    ----------
    rows : DataFrame
        Index ``geoid``, sorted; the columns of the Bureau (float) and the column of the area (text).
    area : str
        Name of the column of the area: ``cbsa`` or ``metro``.
    lines : tuple of str
        What was read, for the user.
    """

    rows: pd.DataFrame
    area: str
    lines: tuple[str, ...]


class Options(BaseOptions):
    """Options of ``jobs/ingest.py brackets``."""

    file: str = argument("A .zip of income brackets, with a .json or .csv per area.")
    dataset: Name = Field(description="Name of the dataset.")
    year: Year = Field(description="Year of the brackets.")
    vintage: Name = Field(description="Name of the tract vintage, such as 2010, 2020 or 2022.")


def read(options: Options) -> Tables:
    """Return household income brackets by state; see `read_income`.

    The collection becomes that of this archive: an area lies in several states, so none is kept from another archive.
    """
    table = read_income(options.file, options.year)
    return Tables(
        collection=f"measures/{options.dataset}/{options.year}",
        parts=split_by_state(table.rows),
        attributes={"vintage": options.vintage, **of_survey(list(table.rows.columns))},
        options=options.plain(),
        files=[options.file],
        lines=table.lines,
        keep_others=False,
    )


def read_income(file: str | Path, year: int) -> IncomeTable:
    """Read an archive of income brackets.

    Parameters
    ----------
    file : str or Path
        A .zip of one of the two forms of this module.
    year : int
        Year of the tables; an archive of several years is read for this one.

    Raises
    ------
    InputError
        If the file is no such archive or has no table of the year, a row has another form, or a tract is in two areas.
    CountsError
        If a count is missing, negative or fractional, or the brackets do not add up to all households.
    """
    label = str(file)
    archive = Archive(label, expected="a .zip of income brackets")
    names = archive.names
    areas = [name for name in names if _AREA_FILE.match(PurePosixPath(name).name)]
    metros = [name for name in names if _METRO_FILE.match(PurePosixPath(name).name)]
    if areas:
        return _gathered(label, "cbsa", [_area(archive, name) for name in sorted(areas)])
    if metros:
        return _gathered(label, "metro", [_metro(archive, name, year) for name in _of_year(metros, year, label)])
    raise InputError(
        f"{label}: found {listed(names) or 'no file'}; expected files named 31080.json or Bostoncensus_summ_2018.csv"
    )


@dataclass(frozen=True)
class _Area:
    name: str
    key: str
    keys: list[object]
    households: Floats


@lru_cache(maxsize=1)
def _columns() -> list[str]:
    brackets = load_brackets("b19001")
    return [str(brackets.total), *(bracket.column for bracket in brackets.brackets)]


def _area(archive: Archive, name: str) -> _Area:
    where = f"{archive.label}/{name}"
    width = len(_columns()) + 1
    rows = parsed_json(Content(where, name, archive.read(name)), expected="rows [GEOID, total, b1, …, b16]")
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], start=1):
        if not isinstance(row, list) or len(row) != width:
            found = f"{counted(len(row), 'value')}" if isinstance(row, list) else type(row).__name__
            raise InputError(f"{where}, row {number}: found {found}, expected {width}: GEOID, total, b1, …, b16")
    return _checked(PurePosixPath(name).stem, [row[0] for row in rows], [row[1:] for row in rows], where, "GEOID")


def _of_year(names: Sequence[str], year: int, label: str) -> list[str]:
    years = {name: int(_matched(_METRO_FILE, PurePosixPath(name).name)[1]) for name in names}
    chosen = sorted(name for name, of in years.items() if of == year)
    if not chosen:
        there = ", ".join(str(number) for number in sorted(set(years.values())))
        raise InputError(f"{label}: no file of {year}; expected one of the years {there}")
    return chosen


def _matched(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    found = pattern.match(text)
    return tuple(found.groups()) if found else ()


def _metro(archive: Archive, name: str, year: int) -> _Area:
    where = f"{archive.label}/{name}"
    table = member_table(archive, name)
    suffix = f"{year % 100:02d}"
    brackets = {column: _matched(_BRACKET, column) for column in table.names}
    uppers = {int(found[0]): column for column, found in brackets.items() if found and found[1] == suffix}
    closed = [bracket.upper for bracket in load_brackets("b19001").brackets if bracket.upper is not None]
    expected = [*(int(end) for end in closed), _OPEN_TOP]
    if sorted(uppers) != expected or f"hh_{suffix}" not in table.names:
        raise InputError(
            f"{where}: found brackets up to {sorted(uppers)}, expected hh_{suffix} and I_<upper end>_{suffix} "
            f"up to {expected}"
        )
    # Some of the files have a GEO_ID besides: all keys must be of one column.
    key = "FIPS" if "FIPS" in table.names else key_column(table.names, file=where)
    keys = table.texts([key])[key].tolist()
    columns = table.columns([f"hh_{suffix}", *(uppers[end] for end in expected)])
    households = [
        required_floats(values, f"{where}: column {column}", lambda row: f"tract {keys[row]}")
        for column, values in columns.items()
    ]
    metro = _matched(_METRO_FILE, PurePosixPath(name).name)[0]
    return _checked(metro, keys, np.stack(households, axis=1), where, key)


def _checked(name: str, keys: Sequence[object], counts: list[list[object]] | Floats, where: str, column: str) -> _Area:
    try:
        households = np.array(counts, dtype=np.float64).reshape(len(keys), len(_columns()))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: found values that are no numbers ({error}), expected households") from error
    bad = ~((households >= 0) & (households == np.floor(households)) & (households < np.inf))
    if bad.any():
        row, place = np.argwhere(bad)[0]
        raise CountsError(
            f"{where}, tract {keys[row]}, {_columns()[place]}: found {households[row, place]:g}, "
            "expected a whole number of households"
        )
    off = households[:, 1:].sum(axis=1) != households[:, 0]
    if off.any():
        row = int(np.argmax(off))
        raise CountsError(
            f"{where}, tract {keys[row]}: the brackets add up to {households[row, 1:].sum():g} households, "
            f"expected the {households[row, 0]:g} of the total"
        )
    return _Area(name, column, list(keys), households)


def _gathered(label: str, column: str, areas: Sequence[_Area]) -> IncomeTable:
    # All keys at once: whether a short one has lost its zero is seen from the others.
    keys = [key for area in areas for key in area.keys]
    geoids, report = tract_geoids(keys, file=label, column=areas[0].key)
    rows = pd.DataFrame(np.concatenate([area.households for area in areas]), columns=_columns())
    rows[column] = pd.Series(np.repeat([area.name for area in areas], [len(area.keys) for area in areas]), dtype="str")
    rows.index = pd.Index(geoids, dtype="str", name="geoid")
    rows = rows[geoids.notna().to_numpy()].sort_index()
    twice = rows.index[rows.index.duplicated()]
    if len(twice):
        there = " and ".join(rows.loc[twice[0], column])
        raise InputError(f"{label}: tract {twice[0]} is in {column} {there}, expected it in one")
    states = pd.DataFrame({"state": rows.index.str[:2], "area": rows[column].to_numpy()}).drop_duplicates()
    lines = (
        f"{counted(len(rows), 'tract')} of {counted(len(areas), 'area')} read from {Path(label).name}, "
        f"{rows[_columns()[0]].sum():,.0f} households",
        f"areas that cross state lines: {int((states['area'].value_counts() > 1).sum())}; "
        f"the column {column} names the area (--by {column})",
        *report.lines(),
    )
    return IncomeTable(rows, column, lines)
