"""Groupings as data: the columns of a table that make up each group of people, by year.

A grouping is a YAML file: those shipped are in ``definitions/groups``, a user's may be anywhere. Each of its editions
names the columns of one form of the table; the edition is chosen by a table's columns and year.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from geomob_dask.checked import Checked, explain
from geomob_dask.errors import DefinitionError
from geomob_dask.messages import LONGEST_PATH, listed, shown
from geomob_dask.names import Name, Year, did_you_mean
from geomob_dask.yaml_text import read_yaml, shipped_yaml

# Where a table fits several groupings: these first, in this order.
_PREFERRED = ("b03002_four", "dp05_four")

# Detailed tables of the Bureau, whose first line is everybody.
_OF_TABLE = re.compile(r"([BC][0-9]+[A-Z]*|P[0-9]+[A-Z]*)_[0-9]{3}(E|N)")

Columns = tuple[str, str]
Prefix = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


class Group(Checked):
    """One group.

    Parameters
    ----------
    name : str
        Prefix of the group's columns in results, such as ``black_nh``.
    label : str
        Its name in tables in long form.
    parts : sequence of (estimate, MOE) columns
        Detailed groups that are added up.
    remainder : bool
        In place of parts: all people of the tract who are in none of the other groups.
    """

    name: Prefix
    label: str
    parts: tuple[Columns, ...] = ()
    remainder: bool = False

    @model_validator(mode="after")
    def _has_people(self) -> Group:
        if bool(self.parts) == self.remainder:
            raise ValueError(f"group {self.name}: expected either parts or `remainder: true`")
        return self


class Edition(Checked):
    """The columns of one form of a table.

    Parameters
    ----------
    years : (first, last)
        Years of the columns; None: open.
    total : (estimate, MOE) columns
        All people of the tract.
    groups : sequence of Group
        At least two, that do not overlap and together are the total.
    blank_moe : {"missing", "controlled"}
        Meaning of a blank margin: unknown, or no sampling error.
    """

    years: tuple[Year | None, Year | None] = (None, None)
    total: Columns
    groups: tuple[Group, ...]
    blank_moe: Literal["missing", "controlled"] = "missing"

    @model_validator(mode="after")
    def _is_a_partition(self) -> Edition:
        names = [group.name for group in self.groups]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"groups {', '.join(names)}: expected two or more, each once")
        if sum(group.remainder for group in self.groups) > 1:
            raise ValueError("found several remainders, expected one at most")
        columns = self.columns
        repeated = sorted({column for column in columns if columns.count(column) > 1})
        if repeated:
            raise ValueError(f"columns {', '.join(repeated)} are used twice; groups must not overlap")
        return self

    @property
    def columns(self) -> list[str]:
        """Return all columns that are read, the total's first."""
        return [*self.total, *(column for group in self.groups for part in group.parts for column in part)]

    def covers(self, year: int | None) -> bool:
        """Return whether the edition covers a year; True where the year is not known."""
        first, last = self.years
        return year is None or ((first is None or first <= year) and (last is None or year <= last))


class Grouping(Checked):
    """A grouping and its editions.

    Parameters
    ----------
    name, title : str
    subgroup_type : str
        Kind of group, in tables in long form.
    editions : sequence of Edition
    """

    name: Name
    title: str
    subgroup_type: str
    editions: Annotated[tuple[Edition, ...], Field(min_length=1)]


def total_of(columns: Sequence[str], available: Collection[str]) -> str | None:
    """Return the column that is known to hold all people of those in some columns; None if none is known.

    Parameters
    ----------
    columns : sequence of str
        Counts of parts: all of one table of the Bureau (``B03002_003E``: its ``…_001E``), or of one edition of the
        shipped groupings.
    available : collection of str
        Of the table; the total is one of them.

    Examples
    --------
    >>> total_of(["B03002_003E", "B03002_012E"], ["B03002_001E", "B03002_003E", "B03002_012E"])
    'B03002_001E'
    """
    matches = [_OF_TABLE.fullmatch(column) for column in columns]
    tables = {(match[1], match[2]) for match in matches if match}
    if len(tables) == 1 and all(matches):
        table, role = tables.pop()
        total = f"{table}_001{role}"
        return total if total in available else None
    totals = (total for parts, total in _totals() if parts.issuperset(columns) and total in available)
    return next(totals, None)


@cache
def _totals() -> list[tuple[frozenset[str], str]]:
    editions = [edition for name in shipped_groupings() for edition in load_grouping(name).editions]
    return [(frozenset(edition.columns), edition.total[0]) for edition in editions]


def shipped_groupings() -> list[str]:
    """Return the names of the groupings that come with the package, the defaults first."""
    folder = resources.files("geomob_dask").joinpath("definitions", "groups")
    names = {Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return [*_PREFERRED, *sorted(names - set(_PREFERRED))]


def load_grouping(name_or_file: str) -> Grouping:
    """Return a grouping by the name of one that is shipped, or from a YAML file.

    Raises
    ------
    DefinitionError
        If there is no such name or file, or the file is no grouping: it names the file, the key and what was found.

    Examples
    --------
    >>> [group.name for group in load_grouping("b03002_four").editions[0].groups]
    ['black_nh', 'hispanic', 'other_nh', 'white_nh']
    """
    if name_or_file in shipped_groupings():
        return _parsed(shipped_yaml("groups", f"{name_or_file}.yaml"), name_or_file)
    if not os.path.lexists(name_or_file):
        raise DefinitionError(
            f"groups {shown(str(name_or_file), LONGEST_PATH)}: neither a file nor groups that are shipped; "
            f"{did_you_mean(Path(name_or_file).stem, shipped_groupings())}"
        )
    return _parsed(read_yaml(name_or_file, DefinitionError, "groups of people"), name_or_file)


def find_edition(grouping: Grouping, columns: Collection[str], year: int | None = None) -> Edition:
    """Return the edition of a grouping that fits a table's columns and year.

    Raises
    ------
    DefinitionError
        If none fits (it names the columns that are missing from the nearest), or more than one.
    """
    present = set(columns)
    editions = [edition for edition in grouping.editions if edition.covers(year)]
    if not editions:
        spans = ", ".join(_span(edition) for edition in grouping.editions)
        raise DefinitionError(f"groups {grouping.name}: no edition for {year}; there are {spans}")
    fitting = [edition for edition in editions if present.issuperset(edition.columns)]
    if len(fitting) > 1:
        spans = ", ".join(_span(edition) for edition in fitting)
        raise DefinitionError(f"groups {grouping.name}: the columns fit the editions of {spans}; expected a year")
    if not fitting:
        missing = min((sorted(set(edition.columns) - present) for edition in editions), key=len)
        raise DefinitionError(
            f"groups {grouping.name}: the table has no column {', '.join(missing)}; found {listed(sorted(present), 12)}"
        )
    return fitting[0]


def find_grouping(columns: Collection[str], year: int | None = None) -> tuple[Grouping, Edition]:
    """Return the shipped grouping that fits a table's columns, and its edition.

    Where several fit, those with the four groups of the source come first.

    Raises
    ------
    DefinitionError
        If none fits, or several others do.
    """
    found: dict[str, tuple[Grouping, Edition]] = {}
    for name in shipped_groupings():
        grouping = load_grouping(name)
        editions = [edition for edition in grouping.editions if edition.covers(year)]
        if any(set(columns).issuperset(edition.columns) for edition in editions):
            found[name] = grouping, find_edition(grouping, columns, year)
    for name in _PREFERRED:
        if name in found:
            return found[name]
    if len(found) > 1:
        raise DefinitionError(f"groups {', '.join(found)} all fit the table's columns; expected one to be named")
    if not found:
        given = listed(sorted(columns), 12)
        raise DefinitionError(
            f"no grouping fits the columns {given}; "
            f"expected those of {', '.join(shipped_groupings())}, or a file of groups"
        )
    return next(iter(found.values()))


def _span(edition: Edition) -> str:
    first, last = edition.years
    return f"{first or '…'} to {last or 'now'} ({edition.total[0]})"


def _parsed(plain: Any, where: str) -> Grouping:
    try:
        return Grouping.model_validate(plain)
    except ValidationError as error:
        raise DefinitionError(f"groups {where}: {explain(error)}") from error
