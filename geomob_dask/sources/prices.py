"""Price indices by year: the one that is shipped, or a user's table.

Shipped is ``cpi_u``: U.S. Bureau of Labor Statistics, Consumer Price Index for All Urban Consumers (CPI-U), U.S. city
average, all items, not seasonally adjusted, annual averages, 1982-84 = 100 (series CUUR0000SA0).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.sources.files import Content, read_bytes
from geomob_dask.sources.numbers import required_floats
from geomob_dask.sources.text_tables import parsed, read_texts

SHIPPED = "cpi_u"
_EXPECTED = f"{SHIPPED}, or a table of the columns year and index"


@dataclass(frozen=True)
class Prices:
    """An index of prices.

    Attributes
    ----------
    name : str
        ``cpi_u``, or the file.
    index : dict of int to float
        By year.
    checksum : str
        SHA-256 of the table.
    """

    name: str
    index: dict[int, float]
    checksum: str

    def of(self, year: int) -> float:
        """Return the index of a year.

        Raises
        ------
        InputError
            If the table does not have it.

        Examples
        --------
        >>> read_prices().of(2023)
        304.702
        """
        if year not in self.index:
            raise InputError(
                f"prices {self.name}: no index for {year}; found {min(self.index)} to {max(self.index)}, expected a "
                "table with that year (--prices FILE with the columns year, index)"
            )
        return self.index[year]


def read_prices(table: str = SHIPPED) -> Prices:
    """Return an index of prices.

    Parameters
    ----------
    table : str
        ``cpi_u``, or a table (see `text_tables.open_table`) with the columns ``year`` and ``index``.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or a year is there twice or has no number above zero.
    """
    if table == SHIPPED:
        entry = resources.files("geomob_dask").joinpath("definitions", "prices", f"{SHIPPED}.csv")
        data = entry.read_bytes()
        return _prices(parsed(Content(SHIPPED, entry.name, data)).texts(), table, data)
    data = read_bytes(table, expected=_EXPECTED)
    return _prices(read_texts(table, expected=_EXPECTED), table, data)


def _prices(rows: pd.DataFrame, name: str, data: bytes) -> Prices:
    label = f"prices {name}"
    absent = [column for column in ("year", "index") if column not in rows]
    if absent:
        raise InputError(f"{label}: no column {', '.join(absent)}; expected year and index, one row per year")
    years, values = (required_floats(rows[column], f"{label}: column {column}", _row) for column in ("year", "index"))
    index: dict[int, float] = {}
    for row, (year, value) in enumerate(zip(years.tolist(), values.tolist(), strict=True)):
        if not year.is_integer():
            raise InputError(f"{label}, {_row(row)}: found {rows['year'].iloc[row]!r}, expected a year")
        if int(year) in index or not value > 0:
            found = "the year twice" if int(year) in index else f"{rows['index'].iloc[row]!r}"
            raise InputError(f"{label}, {int(year)}: found {found}, expected one number above zero")
        index[int(year)] = value
    return Prices(name, index, hashlib.sha256(data).hexdigest())


def _row(row: int) -> str:
    return f"row {row + 1}"
