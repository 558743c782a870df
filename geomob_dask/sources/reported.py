"""Published totals of regions, to compare interpolated totals with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import listed
from geomob_dask.sources.numbers import required_floats
from geomob_dask.sources.region_codes import region_codes
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
    rows = read_texts(path)
    if "year" in rows and year is not None:
        years = sorted(rows["year"].unique())
        rows = rows[rows["year"] == str(year)].reset_index(drop=True)
        if rows.empty:
            raise InputError(f"{path}: no rows of {year}; found {', '.join(years)}")
    region = next((name for name in (by, "region") if name in rows), None)
    people = next((name for name in _PEOPLE if name in rows), None)
    if region is None or people is None:
        raise InputError(
            f"{path}: found the columns {listed(rows, 12)}, expected {by} or region, and one of {', '.join(_PEOPLE)}"
        )
    codes = region_codes(rows[region], f"{path}: column {region}")
    if (codes == "").any():
        row = int(np.argmax(codes == ""))
        raise InputError(f"{path}: column {region}, row {row + 1}: found {rows[region].iloc[row]!r}, expected a region")
    width = {"place": 5, "county": 3}.get(by)
    if "state" in rows and width is not None and codes.str.len().max() <= width:
        codes = region_codes(rows["state"], f"{path}: column state").str.zfill(2) + codes.str.zfill(width)
    twice = codes.duplicated()
    if twice.any():
        raise InputError(f"{path}: region {codes[twice].iloc[0]} occurs twice, expected one row per region")
    numbers = required_floats(rows[people], f"{path}: column {people}", lambda row: f"region {codes.iloc[row]}")
    wrong = ~(numbers >= 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{path}: column {people}, region {codes.iloc[row]}: found {rows[people].iloc[row]!r}, expected people, 0 "
            "or more"
        )
    return pd.Series(numbers, index=pd.Index(codes, name="region"), name="people")
