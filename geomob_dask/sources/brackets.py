"""Categories of people as data: ordered brackets and lists of groups, and the columns that hold their counts.

A definition is a YAML file: those shipped are in ``definitions/brackets``, a user's may be anywhere. Brackets are
ordered; groups are not. Groupings of ACS tables (`sources.groups`) can be loaded here too.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from geomob_dask.checked import Checked, explain
from geomob_dask.errors import DefinitionError
from geomob_dask.messages import LONGEST_PATH, listed, shown
from geomob_dask.names import Name, did_you_mean
from geomob_dask.sources.groups import Grouping, Prefix, find_edition, load_grouping, shipped_groupings, total_of
from geomob_dask.sources.kinds import margin_columns
from geomob_dask.yaml_text import mapping_of, read_yaml, shipped_yaml

Merge = Annotated[int, Field(ge=2)] | tuple[int, ...]


class _Named(Checked):
    model_config = ConfigDict(populate_by_name=True)


class Bracket(_Named):
    """One bracket.

    Parameters
    ----------
    column : str
        Holds its counts.
    moe : str, optional
        Holds their margins of error.
    lower, upper : float, optional
        ``from`` and ``to`` in the file: where the bracket begins and ends; it is open where one is left out.
    position : float, optional
        Value that represents its people; its middle by default.
    label : str, optional
    """

    column: str
    moe: str | None = None
    lower: float | None = Field(None, alias="from")
    upper: float | None = Field(None, alias="to")
    position: float | None = None
    label: str | None = None

    @property
    def place(self) -> float | None:
        """Return its position, else its middle; None where it is open and has no position."""
        if self.position is not None or self.lower is None or self.upper is None:
            return self.position
        return (self.lower + self.upper) / 2

    @property
    def text(self) -> str:
        """Return its label, else its bounds, else its column."""
        if self.label is not None:
            return self.label
        if self.lower is None and self.upper is None:
            return self.column
        if self.upper is None:
            return f"{self.lower:,g} and more"
        return f"under {self.upper:,g}" if self.lower is None else f"{self.lower:,g} to {self.upper:,g}"


class Leaf(_Named):
    """One of the finest parts of a tract: a dwelling type, or a building of one.

    Parameters
    ----------
    path : sequence of str
        The parts it lies in, from the widest to itself, such as ``[apartments, tower_a]``.
    columns : sequence of str
        Columns of its counts, one per bracket, in the order of the brackets.
    """

    path: Annotated[tuple[str, ...], Field(min_length=1)]
    columns: tuple[str, ...]


class Brackets(_Named):
    """Ordered brackets, from low to high.

    Parameters
    ----------
    name, title : str
    brackets : sequence of Bracket
        At least two. Where they have bounds, each begins where the one before ends.
    total : str, optional
        Column of all people of a tract; the brackets must add up to it.
    parts : sequence of Leaf
        Parts of a tract whose counts add up to the brackets' (optional): D has a part for each level of their paths.
    merges : mapping of str to rule
        Named rules for merging brackets: a number of equal classes, or the class of each bracket.
    cuts : two or more rising numbers between 0 and 1
        Quantiles of a region between low, middle and high.
    """

    name: Name
    title: str
    brackets: tuple[Bracket, ...]
    total: str | None = None
    parts: tuple[Leaf, ...] = ()
    merges: dict[str, Merge] = Field(default_factory=dict)
    cuts: tuple[float, float] = (0.3, 0.7)

    @model_validator(mode="after")
    def _fits_itself(self) -> Brackets:
        columns = [bracket.column for bracket in self.brackets]
        if len(columns) < 2:
            raise ValueError(f"found {len(columns)} bracket, expected two or more")
        _refuse_repeated(columns, "brackets")
        for bracket in self.brackets:
            if bracket.lower is not None and bracket.upper is not None and not bracket.lower < bracket.upper:
                raise ValueError(f"bracket {bracket.column}: from {bracket.lower:g} to {bracket.upper:g} is not rising")
        for before, after in pairwise(self.brackets):
            _check_neighbors(before, after)
        places = [place for place in (bracket.place for bracket in self.brackets) if place is not None]
        if any(not low < high for low, high in pairwise(places)):
            raise ValueError(f"positions {', '.join(f'{place:g}' for place in places)}: expected rising numbers")
        if not 0 < self.cuts[0] < self.cuts[1] < 1:
            raise ValueError(f"cuts {self.cuts}: expected two numbers rising between 0 and 1")
        for leaf in self.parts:
            if len(leaf.columns) != len(columns):
                raise ValueError(f"part {'/'.join(leaf.path)}: {len(leaf.columns)} columns, expected {len(columns)}")
        _refuse_repeated([column for leaf in self.parts for column in leaf.columns], "parts")
        _refuse_repeated(["/".join(leaf.path) for leaf in self.parts], "parts")
        return self

    ordered: ClassVar[bool] = True

    def columns(self, available: Collection[str], year: int, *, margins: bool = False) -> list[str]:
        """Return the columns to read.

        Parameters
        ----------
        available : of the table
        year : int
        margins : bool
            Whether margins of error are needed.

        Raises
        ------
        DefinitionError
            If one is not there.
        """
        needed = [column for leaf in self.parts for column in leaf.columns]
        needed = needed or [bracket.column for bracket in self.brackets]
        needed += [self.total] if self.total in available and self.total is not None else []
        if margins:
            needed += _margin_columns(self.name, {bracket.column: bracket.moe for bracket in self.brackets})
            total = self.total_margin(available)
            needed += [] if total is None else [total]
        return _present(self.name, needed, available)

    def total_margin(self, available: Collection[str]) -> str | None:
        """Return the column of the margin of error of the total; None if there is none."""
        return None if self.total is None else margin_columns(available).get(self.total)

    def class_labels(self, classes: Sequence[int]) -> tuple[str, ...]:
        """Return the labels of merged brackets, from the first and the last bracket of each class."""
        labels = []
        for number in range(classes[-1] + 1):
            own = [bracket for bracket, own_class in zip(self.brackets, classes, strict=True) if own_class == number]
            first, last = own[0], own[-1]
            whole = Bracket.model_construct(column=first.column, lower=first.lower, upper=last.upper, label=None)
            bounded = first.lower is not None or last.upper is not None
            labels.append(whole.text if bounded or len(own) == 1 else f"{first.text} … {last.text}")
        return tuple(labels)


class ListedGroup(_Named):
    """One group of a list.

    Parameters
    ----------
    name : str
    columns : sequence of str
        Detailed groups that are added up.
    label : str, optional
    """

    name: Prefix
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    label: str | None = None


class GroupList(_Named):
    """Groups in no order, which must not overlap.

    Parameters
    ----------
    name, title : str
    groups : sequence of ListedGroup
        At least two.
    """

    name: Name
    title: str = ""
    groups: tuple[ListedGroup, ...]

    ordered: ClassVar[bool] = False

    @model_validator(mode="after")
    def _is_a_partition(self) -> GroupList:
        names = [group.name for group in self.groups]
        if len(names) < 2:
            raise ValueError(f"found {len(names)} group, expected two or more")
        _refuse_repeated(names, "groups")
        _refuse_repeated([column for group in self.groups for column in group.columns], "groups")
        return self

    def columns(self, available: Collection[str], year: int, *, margins: bool = False) -> list[str]:
        """Return the columns to read; see `Brackets.columns`."""
        total = self.total(available)
        needed = [*self._parts, *([] if total is None else [total])]
        if margins:
            known = margin_columns(available)
            lacking = [column for column in self._parts if column not in known]
            if lacking:
                raise DefinitionError(
                    f"groups {self.name}: {lacking[0]} has no column of margins of error, expected one such as "
                    f"{lacking[0]}_moe"
                )
            needed += [known[column] for column in self._parts]
        return _present(self.name, needed, available)

    def total(self, available: Collection[str]) -> str | None:
        """Return the column that is known to hold all people of the groups' tables; see `sources.groups.total_of`."""
        return total_of(self._parts, available)

    @property
    def _parts(self) -> list[str]:
        return [column for group in self.groups for column in group.columns]


@dataclass(frozen=True)
class AcsGroups:
    """The groups of an ACS table, with their margins of error."""

    grouping: Grouping

    ordered: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Return the grouping's name."""
        return self.grouping.name

    @property
    def title(self) -> str:
        """Return the grouping's title."""
        return self.grouping.title

    def columns(self, available: Collection[str], year: int, *, margins: bool = False) -> list[str]:
        """Return the columns to read; see `Brackets.columns`."""
        return find_edition(self.grouping, available, year).columns

    def model_dump(self, mode: str = "json") -> dict[str, Any]:
        """Return plain data."""
        return self.grouping.model_dump(mode=mode)


Categories = Brackets | GroupList | AcsGroups


def shipped_brackets() -> list[str]:
    """Return the names of the brackets that come with the package."""
    folder = resources.files("geomob_dask").joinpath("definitions", "brackets")
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_brackets(name_or_file: str) -> Brackets:
    """Return brackets by the name of those that are shipped, or from a YAML file.

    Raises
    ------
    DefinitionError
        If there is no such name or file, or the file holds no brackets: it names the file, the key and what was found.

    Examples
    --------
    >>> len(load_brackets("b19001").brackets)
    16
    """
    return _ordered(load_categories(name_or_file), name_or_file)


def load_categories(text: str) -> Categories:
    """Return brackets or groups.

    Parameters
    ----------
    text : str
        The name of brackets or of a grouping that is shipped, a YAML file of either or with a list of groups, or
        columns separated by commas, a group each.

    Raises
    ------
    DefinitionError
        As `load_brackets`.

    Examples
    --------
    >>> [group.name for group in load_categories("owners,renters").groups]
    ['owners', 'renters']
    """
    if text in shipped_brackets():
        return _parsed(Brackets, shipped_yaml("brackets", f"{text}.yaml"), text)
    if text in shipped_groupings():
        return AcsGroups(load_grouping(text))
    if not os.path.lexists(text):
        if "," in text:
            return _listed([column.strip() for column in text.split(",")])
        shipped = [*shipped_brackets(), *shipped_groupings()]
        raise DefinitionError(
            f"{shown(text, LONGEST_PATH)}: neither a file, nor columns separated by commas, nor categories that are "
            f"shipped; {did_you_mean(Path(text).stem, shipped)}"
        )
    what = "brackets or groups"
    plain = mapping_of(
        read_yaml(text, DefinitionError, what), text, DefinitionError, "keys name, title, brackets or groups"
    )
    if "brackets" in plain:
        return _parsed(Brackets, plain, text)
    if "groups" in plain:
        return _parsed(GroupList, plain, text)
    return AcsGroups(load_grouping(text))


def categories_of(groups: str | Sequence[str] | Categories) -> Categories:
    """Return categories from their name or file (see `load_categories`), or a list of columns, a group each.

    Examples
    --------
    >>> [group.name for group in categories_of(["Owners", "Renters"]).groups]
    ['owners', 'renters']
    """
    if isinstance(groups, str):
        return load_categories(groups)
    return groups if isinstance(groups, Categories) else _listed(groups)


def brackets_of(brackets: str | Sequence[str] | Brackets) -> Brackets:
    """Return brackets from their name or file, or a list of columns from low to high.

    Raises
    ------
    DefinitionError
        If they are groups without an order.
    """
    if isinstance(brackets, str):
        return load_brackets(brackets)
    if isinstance(brackets, Categories):
        return _ordered(brackets, brackets.name)
    plain = {"name": "listed", "title": ", ".join(brackets), "brackets": [{"column": column} for column in brackets]}
    return _parsed(Brackets, plain, "brackets")


def _ordered(categories: Categories, name: str) -> Brackets:
    if not isinstance(categories, Brackets):
        raise DefinitionError(f"brackets {name!r}: holds groups without an order, expected `brackets:`")
    return categories


def _listed(columns: Sequence[str]) -> GroupList:
    groups = [{"name": _as_name(column), "columns": [column], "label": column} for column in columns]
    return _parsed(GroupList, {"name": "listed", "title": ", ".join(columns), "groups": groups}, ",".join(columns))


def _as_name(column: str) -> str:
    plain = "".join(letter if letter.isalnum() else "_" for letter in column.lower())
    return plain if plain[:1].isalpha() else f"group_{plain}"


_Model = TypeVar("_Model", bound=BaseModel)


def _parsed(model: type[_Model], plain: Mapping[str, Any], where: str) -> _Model:
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        raise DefinitionError(f"{where}: {explain(error)}") from error


def _check_neighbors(before: Bracket, after: Bracket) -> None:
    if before.upper is None and before.lower is not None and after.lower is not None:
        raise ValueError(f"bracket {before.column} is open at the top, expected that of the last one only")
    if before.upper is None or after.lower is None:
        return
    if after.lower < before.upper:
        raise ValueError(
            f"bracket {after.column} begins at {after.lower:g}, before {before.column} ends at {before.upper:g}: "
            "expected brackets from low to high that do not overlap"
        )
    if after.lower > before.upper:
        raise ValueError(f"nothing covers {before.upper:g} to {after.lower:g}, expected brackets without gaps")


def _refuse_repeated(names: Sequence[str], what: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} used twice; {what} must not overlap")


def _margin_columns(name: str, moes: Mapping[str, str | None]) -> list[str]:
    lacking = [column for column, moe in moes.items() if moe is None]
    if lacking:
        raise DefinitionError(f"brackets {name}: {lacking[0]} names no column of margins of error (`moe`)")
    return [moe for moe in moes.values() if moe is not None]


def _present(name: str, needed: Sequence[str], available: Collection[str]) -> list[str]:
    absent = [column for column in needed if column not in available]
    if absent:
        raise DefinitionError(
            f"{name}: the measures have no column {listed(absent)}; found {listed(sorted(available), 20)}"
        )
    return list(dict.fromkeys(needed))
