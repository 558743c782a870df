"""Tables of the American Community Survey as data: lines, variables and years; ``definitions/acs/tables.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated

from pydantic import Field

from geomob_dask.checked import Checked
from geomob_dask.errors import DefinitionError
from geomob_dask.messages import shown
from geomob_dask.names import did_you_mean
from geomob_dask.yaml_text import shipped_yaml

# The API takes 50 variables at a time.
_MOST_VARIABLES = 50


class Dataset(Checked):
    """Path of a kind of table in the API, with ``{year}`` in it, and its years."""

    path: str
    years: tuple[int, int | None]


class TableEdition(Checked):
    """The lines of a table in some years."""

    years: tuple[int, int | None]
    lines: Annotated[dict[str, str], Field(min_length=1)]


class Table(Checked):
    """A table: its dataset, the unit of its numbers, and its lines by year."""

    title: str
    unit: str = ""
    dataset: str
    annotations: bool = False
    editions: Annotated[tuple[TableEdition, ...], Field(min_length=1)]


class Registry(Checked):
    """The tables of the API that the package knows."""

    version: int
    base_url: str
    datasets: dict[str, Dataset]
    tables: dict[str, Table]


@dataclass(frozen=True)
class Query:
    """A query of the API for one table and year.

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


@cache
def registry() -> Registry:
    """Return the tables, years and variables that the package knows."""
    return Registry.model_validate(shipped_yaml("acs", "tables.yaml"))


def query(table: str, year: int) -> Query:
    """Return the query for a table in a year.

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
        raise DefinitionError(f"table {shown(table)}: not known; {did_you_mean(table, known.tables)}")
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


def column_label(column: str, year: int | None = None) -> str:
    """Return what a variable of the API counts, or its name where its table or line is not known.

    Examples
    --------
    >>> column_label("B03002_006E"), column_label("DP05_0080E", 2021), column_label("AsianE")
    ('Not Hispanic or Latino, Asian alone', 'Not Hispanic, Asian alone', 'AsianE')
    """
    table, _, line = column.rstrip("EMA").partition("_")
    known = registry().tables.get(table)
    for edition in () if known is None else known.editions:
        if line in edition.lines and (year is None or _within(year, edition.years)):
            return edition.lines[line]
    return column


def _within(year: int, years: tuple[int, int | None]) -> bool:
    first, last = years
    return first <= year and (last is None or year <= last)
