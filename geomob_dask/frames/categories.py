"""Counts of people by tract and category, from a table's columns; the merging of brackets, and their positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.frames.groups import group_counts
from geomob_dask.frames.numbers import LARGEST
from geomob_dask.metrics.brackets import bracket_positions, equal_classes, merge_brackets
from geomob_dask.sources.brackets import AcsGroups, Brackets, Categories, GroupList
from geomob_dask.sources.groups import find_edition
from geomob_dask.transforms.collapse import check_within
from geomob_dask.transforms.margins_of_error import standard_error

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class CategoryCounts:
    """Counts of people by tract and category.

    Attributes
    ----------
    names, labels : of the categories, in order
    counts : shape (n_tracts, n_categories)
    standard_errors : shape (n_tracts, n_categories), optional
        From margins of error.
    leaves : shape (n_tracts, n_leaves, n_categories), optional
        The counts of the finest parts of each tract, which add up to `counts`.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    counts: Floats
    standard_errors: Floats | None = None
    leaves: Floats | None = None


def category_counts(table: pd.DataFrame, categories: Categories, year: int, *, margins: bool = False) -> CategoryCounts:
    """Return the counts of each category in each tract of a table.

    Parameters
    ----------
    table : DataFrame, index geoid
        With the columns that ``categories.columns`` lists.
    categories : Brackets or groups
    year : int
        Selects the edition of groups of an ACS table.
    margins : bool
        Whether standard errors are computed from the margins of error.

    Raises
    ------
    CountsError
        If a count is missing, negative or infinite, or the categories do not add up to the total: it names the tract
        and the column.
    DefinitionError
        If a column holds text.
    """
    if isinstance(categories, Brackets):
        return _bracket_counts(table, categories, margins=margins)
    if isinstance(categories, GroupList):
        return _listed_counts(table, categories)
    return _acs_counts(table, categories, year, margins=margins)


def merge_categories(people: CategoryCounts, brackets: Brackets, classes: Integers) -> CategoryCounts:
    """Return the counts of merged brackets, with their standard errors and leaves.

    Parameters
    ----------
    people : CategoryCounts
        Of `brackets`.
    brackets : Brackets
    classes : shape (n_brackets,)
        As `merge_classes` returns them.
    """
    names = tuple(f"class_{number}" for number in range(1, int(classes[-1]) + 2))
    leaves = people.leaves
    if leaves is not None:
        flat = merge_brackets(leaves.reshape(-1, leaves.shape[2]), classes)
        leaves = flat.reshape(len(leaves), leaves.shape[1], -1)
    errors = people.standard_errors
    if errors is not None:
        errors = np.sqrt(merge_brackets(errors**2, classes))
    labels = brackets.class_labels(classes.tolist())
    return CategoryCounts(names, labels, merge_brackets(people.counts, classes), errors, leaves)


def merge_classes(brackets: Brackets, rule: str) -> Integers:
    """Return the class of each bracket under a merging rule, shape (n_brackets,).

    Parameters
    ----------
    brackets : Brackets
    rule : str
        The name of one of ``brackets.merges``, a number of equal classes, or the class of each bracket, such as
        ``0,0,1,1``.

    Raises
    ------
    DefinitionError
        If it is none of them, or does not fit the brackets.

    Examples
    --------
    >>> from geomob_dask.sources.brackets import load_brackets
    >>> merge_classes(load_brackets("deciles"), "quintiles")
    array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    """
    n_brackets = len(brackets.brackets)
    merge = brackets.merges.get(rule)
    if merge is None:
        expected = f"one of {', '.join(brackets.merges) or '(none named)'}, or numbers"
        numbers = _numbers(rule, f"merge {rule!r}", expected)
        if not all(number.is_integer() for number in numbers):
            raise DefinitionError(f"merge {rule!r}: expected whole numbers")
        merge = int(numbers[0]) if len(numbers) == 1 else tuple(int(number) for number in numbers)
    classes = equal_classes(n_brackets, merge) if isinstance(merge, int) else np.array(merge)
    # Checks the rule: as many classes as brackets, in order.
    merge_brackets(np.zeros((1, n_brackets)), classes)
    if classes[-1] == 0:
        raise DefinitionError(f"merge {rule!r}: leaves one bracket, expected two or more")
    return classes


def read_positions(brackets: Brackets, text: str, n_brackets: int | None = None) -> Floats | None:
    """Return the positions of the brackets, shape (n_brackets,); None: neighbors are 1 apart.

    Parameters
    ----------
    brackets : Brackets
    text : str
        ``unit``, ``middle`` (those of the definition), or rising numbers separated by commas.
    n_brackets : int, optional
        The number of brackets after merging; all of them by default.

    Raises
    ------
    DefinitionError
        If there are not as many positions as brackets, or they do not rise.
    """
    number = len(brackets.brackets) if n_brackets is None else n_brackets
    if text == "unit":
        return None
    if text != "middle":
        return bracket_positions(number, _numbers(text, f"positions {text!r}", "unit, middle or numbers"))
    if number != len(brackets.brackets):
        raise DefinitionError(f"positions 'middle': brackets are merged into {number}, expected numbers for these")
    places = [bracket.place for bracket in brackets.brackets]
    middles = [place for place in places if place is not None]
    if len(middles) < number:
        lacking = brackets.brackets[places.index(None)].column
        raise DefinitionError(
            f"brackets {brackets.name}: {lacking} has neither both ends nor a position, expected one for 'middle'"
        )
    return bracket_positions(number, middles)


def _bracket_counts(table: pd.DataFrame, brackets: Brackets, *, margins: bool) -> CategoryCounts:
    names = tuple(bracket.column for bracket in brackets.brackets)
    labels = tuple(bracket.text for bracket in brackets.brackets)
    leaves = None
    if brackets.parts:
        leaves = np.stack([_counts(table, leaf.columns, brackets.name) for leaf in brackets.parts], axis=1)
        counts: Floats = leaves.sum(axis=1)
    else:
        counts = _counts(table, names, brackets.name)
    if brackets.total is not None and brackets.total in table.columns:
        _check_total(counts, table, brackets.total, brackets.name)
    errors = None
    if margins:
        moes = [bracket.moe for bracket in brackets.brackets if bracket.moe is not None]
        errors = standard_error(_counts(table, moes, brackets.name))
    return CategoryCounts(names, labels, counts, errors, leaves)


def _listed_counts(table: pd.DataFrame, groups: GroupList) -> CategoryCounts:
    by_group = [_counts(table, group.columns, groups.name).sum(axis=1) for group in groups.groups]
    counts = np.stack(by_group, axis=1)
    labels = tuple(group.label or group.name for group in groups.groups)
    total = groups.total(table.columns)
    if total is not None:
        people = table[total].to_numpy(dtype=np.float64, na_value=np.nan)
        check_within(people, counts, labels, [str(key) for key in table.index], total)
    return CategoryCounts(tuple(group.name for group in groups.groups), labels, counts)


def _acs_counts(table: pd.DataFrame, groups: AcsGroups, year: int, *, margins: bool) -> CategoryCounts:
    edition = find_edition(groups.grouping, list(table.columns), year)
    found = group_counts(table, edition, list(table.index))
    _refuse_unknown(found.counts, found.names, table, groups.name)
    errors = standard_error(found.moes) if margins else None
    if errors is not None:
        _refuse_unknown(errors, [f"margin of {name}" for name in found.names], table, groups.name)
    return CategoryCounts(found.names, found.labels, found.counts, errors)


def _numbers(text: str, what: str, expected: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise DefinitionError(f"{what}: expected {expected} separated by commas") from error


def _counts(table: pd.DataFrame, columns: Sequence[str], name: str) -> Floats:
    text = [column for column in columns if not pd.api.types.is_numeric_dtype(table[column])]
    if text:
        raise DefinitionError(f"{name}: column {text[0]} holds text, expected counts")
    # One memory layout, so that sums along a row always add in one order.
    counts: Floats = np.ascontiguousarray(table[list(columns)].to_numpy(dtype=np.float64, na_value=np.nan))
    _refuse_unknown(counts, columns, table, name)
    return counts


def _refuse_unknown(counts: Floats, columns: Sequence[str], table: pd.DataFrame, name: str) -> None:
    bad = ~((counts >= 0) & (counts <= LARGEST))
    if bad.any():
        row, place = np.argwhere(bad)[0]
        raise CountsError(
            f"{name}: tract {table.index[row]}, column {columns[place]}: found {counts[row, place]:g}, "
            f"expected a count of 0 or more, at most {LARGEST:g}"
        )


def _check_total(counts: Floats, table: pd.DataFrame, total: str, name: str) -> None:
    given, found = _counts(table, [total], name)[:, 0], counts.sum(axis=1)
    off = np.abs(found - given) > 1e-6 * np.maximum(given, found)
    if off.any():
        row = int(np.argmax(off))
        raise CountsError(
            f"{name}: tract {table.index[row]}: the brackets add up to {found[row]:g}, "
            f"expected {given[row]:g} ({total})"
        )
