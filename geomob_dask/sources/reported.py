"""Published totals of regions, to compare interpolated totals with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import listed
from geomob_dask.sources.numbers import required_floats
from geomob_dask.sources.region_rows import region_column, row_codes, rows_of_year
from geomob_dask.sources.text_tables import read_texts

_PEOPLE = ("population", "people", "people_count", "reported")


def read_reported(path: str | Path, by: str, year: int | None = None) -> pd.Series:
    """Return reported people by region.

    Parameters
    ----------
    path : str or Path
        A table (see `text_tables.open_table`) with a column of regions (named as `by`, or ``region``; codes of places
        or counties without their state's beside a column ``state``) and one of people (``population``, ``people``,
        ``people_count`` or ``reported``).
    by : str
        Kind of region, such as ``county``.
    year : int, optional
        Year of the rows to read, where there is a column ``year``.

    Raises
    ------
    InputError
        If there are no such columns, or a region is there twice.
    """
    return read_reported_groups(path, by, year)["people"]


def read_reported_groups(
    path: str | Path, by: str, year: int | None = None, groups: Sequence[str] = ()
) -> pd.DataFrame:
    """Return reported people by region, all and of groups.

    Parameters
    ----------
    path, by, year
        See `read_reported`.
    groups : sequence of str
        Their columns are ``<group>`` or ``<group>_count``, as in an exported table; none is required. A cell may be
        empty.

    Returns
    -------
    DataFrame
        Index ``region``; ``people``, and a column for each of the groups that the table has.

    Raises
    ------
    InputError
        See `read_reported`; and if a group has fewer than no people.
    """
    rows = rows_of_year(read_texts(path), year, path)
    region = region_column(rows.columns, by)
    people = next((name for name in _PEOPLE if name in rows), None)
    if region is None or people is None:
        raise InputError(
            f"{path}: found the columns {listed(rows, 12)}, expected {by} or region, and one of {', '.join(_PEOPLE)}"
        )
    codes = row_codes(rows, region, by, path)
    twice = codes.duplicated()
    if twice.any():
        raise InputError(f"{path}: region {codes[twice].iloc[0]} occurs twice, expected one row per region")
    columns = {"people": people}
    for group in groups:
        named = next((name for name in (f"{group}_count", group) if name in rows), None)
        if named is not None:
            columns[group] = named
    found = {name: _people(rows, column, codes, path, required=name == "people") for name, column in columns.items()}
    return pd.DataFrame(found, index=pd.Index(codes, name="region"))


def _people(rows: pd.DataFrame, column: str, codes: pd.Series, path: str | Path, *, required: bool) -> np.ndarray:
    numbers = required_floats(rows[column], f"{path}: column {column}", lambda row: f"region {codes.iloc[row]}")
    wrong = ~(numbers >= 0) if required else numbers < 0
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{path}: column {column}, region {codes.iloc[row]}: found {rows[column].iloc[row]!r}, expected people, 0 "
            "or more"
        )
    return numbers
