"""Tables with a row per region: their codes, and lists of regions to choose."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import listed
from geomob_dask.sources.region_codes import region_codes
from geomob_dask.sources.text_tables import SUFFIXES, read_texts

# Of codes without those of their state, which are beside them in a column `state`.
_WIDTHS = {"place": 5, "county": 3}
_STATE = 2


def is_table_file(text: str) -> bool:
    """Return whether a text names a table (see `text_tables.SUFFIXES`) rather than codes.

    Examples
    --------
    >>> is_table_file("cities.csv"), is_table_file("cities.csv.gz"), is_table_file("39001,39003")
    (True, True, False)
    """
    plain = text.lower()
    for packed in (".gz", ".zip"):
        plain = plain.removesuffix(packed)
    return plain.endswith(SUFFIXES) or plain != text.lower()


def region_column(columns: Collection[str], by: str) -> str | None:
    """Return the column of regions, named after their kind or ``region``; None where there is none."""
    return next((name for name in (by, "region") if name in columns), None)


def rows_of_year(rows: pd.DataFrame, year: int | None, path: str | Path) -> pd.DataFrame:
    """Return the rows of a year, where a table has a column ``year``.

    Raises
    ------
    InputError
        If there are none: it names the years that are there.
    """
    if "year" not in rows or year is None:
        return rows
    found = rows[rows["year"] == str(year)].reset_index(drop=True)
    if found.empty:
        raise InputError(f"{path}: no rows of {year}; found {', '.join(sorted(rows['year'].unique()))}")
    return found


def row_codes(rows: pd.DataFrame, column: str, by: str, path: str | Path) -> pd.Series:
    """Return the code of each row's region, with its state's where that is in a column ``state``.

    Raises
    ------
    InputError
        If a row has no region.
    """
    codes = region_codes(rows[column], f"{path}: column {column}")
    if (codes == "").any():
        row = int(np.argmax(codes == ""))
        raise InputError(f"{path}: column {column}, row {row + 1}: found {rows[column].iloc[row]!r}, expected a region")
    width = _WIDTHS.get(by)
    if "state" in rows and width is not None and codes.str.len().max() <= width:
        return row_states(rows, path) + codes.str.zfill(width)
    return codes


def row_states(rows: pd.DataFrame, path: str | Path) -> pd.Series:
    """Return the code of each row's state, from the column ``state``."""
    return region_codes(rows["state"], f"{path}: column state").str.zfill(_STATE)


def read_region_codes(
    path: str | Path, by: str, year: int | None = None, states: Collection[str] | None = None
) -> tuple[str, ...]:
    """Return the codes of regions in a table.

    Parameters
    ----------
    path : str or Path
        A table (see `text_tables.open_table`) with a column of regions, named as `by` or ``region``; codes of places
        and counties may be without their state's beside a column ``state``.
    by : str
        Kind of region, such as ``place``.
    year : int, optional
        Year of the rows to read, where there is a column ``year``.
    states : collection of str, optional
        Codes of states whose rows are read, where there is a column ``state``.

    Returns
    -------
    tuple of str
        Sorted, each once.

    Raises
    ------
    InputError
        If there is no such column, a row has no region, or no row is left.
    """
    rows = rows_of_year(read_texts(path), year, path)
    column = region_column(rows.columns, by)
    if column is None:
        raise InputError(f"{path}: found the columns {listed(rows, 12)}, expected {by} or region")
    if states is not None and "state" in rows:
        found = row_states(rows, path)
        rows = rows[found.isin(states).to_numpy()].reset_index(drop=True)
        if rows.empty:
            raise InputError(
                f"{path}: no regions of the states {listed(sorted(states))}; found those of "
                f"{listed(sorted(set(found)))}"
            )
    if rows.empty:
        raise InputError(f"{path}: found no rows, expected one per region")
    return tuple(sorted(set(row_codes(rows, column, by, path))))
