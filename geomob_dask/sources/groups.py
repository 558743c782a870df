"""Groupings as data: which columns of a table make up which group of people, by year.

A grouping is a YAML file: those shipped lie in ``definitions/groups``, a user's may lie anywhere. Each of its editions
names the columns of one form of the table; which edition fits is found from a table's columns and year.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.settings import explain
from geomob_dask.transforms.collapse import check_groups_make_up_people, collapse, remainder

Floats = NDArray[np.float64]

# Where a table fits several groupings: these first, in this order.
_PREFERRED = ("b03002_four", "dp05_four")

Columns = tuple[str, str]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Group(_Frozen):
    """One group.

    Parameters
    ----------
    name : str
        Begins the group's columns in results, such as ``black_nh``.
    label : str
        What tables in the long form call it.
    parts : sequence of (estimate, MOE) columns
        Detailed groups that are added up.
    remainder : bool
        In place of parts: all people of the tract in none of the other groups.
    """

    name: Name
    label: str
    parts: tuple[Columns, ...] = ()
    remainder: bool = False

    @model_validator(mode="after")
    def _has_people(self) -> Group:
        if bool(self.parts) == self.remainder:
            raise ValueError(f"group {self.name}: expected either parts or `remainder: true`")
        return self


class Edition(_Frozen):
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
        What a blank margin means: not known, or no sampling error.
    """

    years: tuple[int | None, int | None] = (None, None)
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
        """Return all columns it reads, the total's first."""
        return [*self.total, *(column for group in self.groups for part in group.parts for column in part)]

    def covers(self, year: int | None) -> bool:
        """Tell whether the edition is of this year; any, where the year is not known."""
        first, last = self.years
        return year is None or ((first is None or first <= year) and (last is None or year <= last))


class Grouping(_Frozen):
    """A grouping and its editions.

    Parameters
    ----------
    name, title : str
    subgroup_type : str
        What tables in the long form call the kind of group.
    editions : sequence of Edition
    """

    name: Name
    title: str
    subgroup_type: str
    editions: Annotated[tuple[Edition, ...], Field(min_length=1)]


@dataclass(frozen=True)
class GroupCounts:
    """People of each group in each tract, with margins.

    Attributes
    ----------
    names, labels : of the groups, in order
    counts, moes : shape (n_tracts, n_groups)
        NaN: not known.
    total, total_moe : shape (n_tracts,)
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    counts: Floats
    moes: Floats
    total: Floats
    total_moe: Floats


def shipped_groupings() -> list[str]:
    """Return the names of the groupings that come with the package, the default's first."""
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
        entry = resources.files("geomob_dask").joinpath("definitions", "groups", f"{name_or_file}.yaml")
        return _parse(entry.read_text(encoding="utf-8"), name_or_file)
    path = Path(name_or_file)
    if not path.is_file():
        raise DefinitionError(
            f"groups {name_or_file!r}: neither a file nor one of those shipped: {', '.join(shipped_groupings())}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(f"groups {path}: cannot be read ({error}); expected a YAML file") from error
    return _parse(text, str(path))


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
            f"groups {grouping.name}: the table has no column {', '.join(missing)}; "
            f"found {', '.join(sorted(present)[:12])}{', …' if len(present) > 12 else ''}"
        )
    return fitting[0]


def find_grouping(columns: Collection[str], year: int | None = None) -> tuple[Grouping, Edition]:
    """Return the shipped grouping that fits a table's columns, and its edition.

    Where several fit, the four groups of the source come first; among others the choice is the user's.

    Raises
    ------
    DefinitionError
        If none fits, or several of no preference do.
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
        given = f"{', '.join(sorted(columns)[:12])}{', …' if len(columns) > 12 else ''}"
        raise DefinitionError(
            f"no grouping fits the columns {given}; "
            f"expected those of {', '.join(shipped_groupings())}, or a file of groups"
        )
    return next(iter(found.values()))


def group_counts(table: pd.DataFrame, edition: Edition, tracts: Sequence[str]) -> GroupCounts:
    """Return each group's people and margins from a table's columns.

    Parameters
    ----------
    table : DataFrame
        Decoded numbers (no special codes), one row a tract.
    edition : Edition
        Of the table's columns.
    tracts : sequence of str
        The rows' keys, for messages.

    Raises
    ------
    CountsError
        If a count or margin is negative, a group exceeds its tract's people, or the groups do not sum to them: it
        names the tract and the column.
    DefinitionError
        If a column is missing.
    """
    missing = sorted(set(edition.columns) - set(table.columns))
    if missing:
        raise DefinitionError(f"the table has no column {', '.join(missing)}, which the groups are made of")
    total = _people(table, edition.total[0], tracts)
    total_moe = _margins(table, edition.total[1], edition, tracts)
    parts = [part for group in edition.groups for part in group.parts]
    estimates = np.column_stack([_people(table, estimate, tracts, total, edition.total[0]) for estimate, _ in parts])
    moes = np.column_stack([_margins(table, moe, edition, tracts) for _, moe in parts])
    numbers = iter(range(len(parts)))
    members = [[next(numbers) for _ in group.parts] for group in edition.groups]
    given = [place for place, group in enumerate(edition.groups) if not group.remainder]
    counts, margins = np.empty((2, len(table), len(members)))
    counts[:, given], margins[:, given] = collapse(estimates, moes, [members[place] for place in given])
    names = tuple(group.name for group in edition.groups)
    for place in set(range(len(members))) - set(given):
        others = [names[column] for column in given]
        counts[:, place], margins[:, place] = remainder(total, total_moe, counts[:, given], margins[:, given])
        _refuse_negative(counts[:, place], f"{names[place]} (what {', '.join(others)} leave of the total)", tracts)
    check_groups_make_up_people(counts, total, tracts, names)
    return GroupCounts(names, tuple(group.label for group in edition.groups), counts, margins, total, total_moe)


def _people(
    table: pd.DataFrame, column: str, tracts: Sequence[str], total: Floats | None = None, total_column: str = ""
) -> Floats:
    people = _numbers(table, column)
    _refuse_negative(people, f"column {column}", tracts)
    if total is not None and (people > total).any():
        row = int(np.argmax(people > total))
        raise CountsError(
            f"tract {tracts[row]}, column {column}: found {people[row]:g} people, expected no more than "
            f"the {total[row]:g} of {total_column}"
        )
    return people


def _margins(table: pd.DataFrame, column: str, edition: Edition, tracts: Sequence[str]) -> Floats:
    margins = _numbers(table, column)
    _refuse_negative(margins, f"column {column}", tracts)
    return np.where(np.isnan(margins), 0.0, margins) if edition.blank_moe == "controlled" else margins


def _numbers(table: pd.DataFrame, column: str) -> Floats:
    try:
        return np.asarray(table[column].to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"column {column}: found {table[column].dtype}, expected numbers ({error})") from error


def _refuse_negative(values: Floats, what: str, tracts: Sequence[str]) -> None:
    if (values < 0).any():
        row = int(np.argmax(values < 0))
        raise CountsError(f"tract {tracts[row]}, {what}: found {values[row]:g}, expected zero or more")


def _span(edition: Edition) -> str:
    first, last = edition.years
    return f"{first or '…'} to {last or 'now'} ({edition.total[0]})"


def _parse(text: str, where: str) -> Grouping:
    try:
        plain = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DefinitionError(f"groups {where}: not YAML ({' '.join(str(error).split())})") from error
    try:
        return Grouping.model_validate(plain)
    except ValidationError as error:
        raise DefinitionError(f"groups {where}: {explain(error)}") from error
