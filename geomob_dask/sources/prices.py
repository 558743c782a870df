"""Price indices by year: the one that is shipped, or a user's table.

Shipped is ``cpi_u``: U.S. Bureau of Labor Statistics, Consumer Price Index for All Urban Consumers (CPI-U), U.S. city
average, all items, not seasonally adjusted, annual averages, 1982-84 = 100 (series CUUR0000SA0).
"""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from geomob_dask.errors import InputError

SHIPPED = "cpi_u"


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
        ``cpi_u``, or a .csv with the columns ``year`` and ``index``.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or a year is there twice or has no number above zero.
    """
    if table == SHIPPED:
        entry = resources.files("geomob_dask").joinpath("definitions", "prices", f"{SHIPPED}.csv")
        return _parsed(entry.read_text(encoding="utf-8"), table)
    try:
        return _parsed(Path(table).read_text(encoding="utf-8-sig"), table)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"prices {table}: cannot be read ({error}); expected cpi_u or a .csv") from error


def _parsed(text: str, name: str) -> Prices:
    rows = list(csv.DictReader(text.splitlines()))
    absent = [column for column in ("year", "index") if not rows or column not in rows[0]]
    if absent:
        raise InputError(f"prices {name}: no column {', '.join(absent)}; expected year and index, one row per year")
    index: dict[int, float] = {}
    for number, row in enumerate(rows, start=1):
        try:
            year, value = int(row["year"]), float(row["index"])
        except (TypeError, ValueError):
            raise InputError(f"prices {name}, row {number}: found {row!r}, expected a year and a number") from None
        if year in index or not value > 0 or not math.isfinite(value):
            found = "the year twice" if year in index else f"{value:g}"
            raise InputError(f"prices {name}, {year}: found {found}, expected one number above zero")
        index[year] = value
    return Prices(name, index, hashlib.sha256(text.encode()).hexdigest())
