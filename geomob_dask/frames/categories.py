"""Counts of people by tract and category, from a table's columns; the merging of brackets, and their positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.frames.groups import group_counts
from geomob_dask.frames.numbers import LARGEST
from geomob_dask.metrics.brackets import bracket_positions, equal_classes, merge_brackets
from geomob_dask.metrics.effective_interviews import composition_noise
from geomob_dask.sources.brackets import AcsGroups, Brackets, Categories, GroupList
from geomob_dask.sources.groups import find_edition
from geomob_dask.sources.kinds import margin_columns
from geomob_dask.transforms.collapse import check_within
from geomob_dask.transforms.margins_of_error import standard_error, sum_moe

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
    noise : shape (n_tracts, 3), optional
        What margins say of the sample; see `metrics.effective_interviews.composition_noise`.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    counts: Floats
    standard_errors: Floats | None = None
    leaves: Floats | None = None
    noise: Floats | None = None


def category_counts(
    table: pd.DataFrame, categories: Categories, year: int, *, margins: bool = False, noise: bool = False
) -> CategoryCounts:
    """Return the counts of each category in each tract of a table.

    Parameters
    ----------
    table : DataFrame, index geoid
        With the columns that ``categories.columns`` lists.
    categories : Brackets or groups
    year : int
        Selects the edition of groups of an ACS table.
    margins : bool
        Whether standard errors are computed from the margins of error; then none may be missing.
    noise : bool
        Whether the noise of the sample is computed from them; those that are missing are left out. A group that is the
        remainder of a total has no margin of its own: its people are sampled as those of the other groups.

    Raises
    ------
    CountsError
        If a count is missing, negative or infinite, or the categories do not add up to the total: it names the tract
        and the column.
    DefinitionError
        If a column holds text.
    """
    if isinstance(categories, Brackets):
        found, moes, total = _bracket_counts(table, categories, margins=margins or noise)
    elif isinstance(categories, GroupList):
        found, moes, total = _listed_counts(table, categories, margins=margins or noise)
    else:
        found, moes, total = _acs_counts(table, categories, year)
    if margins and moes is not None:
        _refuse_unknown(moes, [f"margin of {name}" for name in found.names], table, categories.name)
        found = replace(found, standard_errors=standard_error(moes))
    if noise and moes is not None:
        own = moes.copy()
        own[:, _remainders(categories, list(table.columns), year)] = np.nan
        variance = None if total is None else standard_error(total) ** 2
        sampled = composition_noise(found.counts, standard_error(own) ** 2, variance)
        found = replace(found, noise=np.column_stack(sampled))
    return found


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
    return CategoryCounts(names, labels, merge_brackets(people.counts, classes), errors, leaves, people.noise)


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


# Counts, the margins of the categories and those of all people, each where it is known.
Found = tuple[CategoryCounts, Floats | None, Floats | None]


def _remainders(categories: Categories, columns: Sequence[str], year: int) -> list[int]:
    """Return the places of groups that are what others leave of a total."""
    if not isinstance(categories, AcsGroups):
        return []
    groups = find_edition(categories.grouping, columns, year).groups
    return [place for place, group in enumerate(groups) if group.remainder]


def _bracket_counts(table: pd.DataFrame, brackets: Brackets, *, margins: bool) -> Found:
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
    moes = of_total = None
    if margins:
        moes = _margins(table, [bracket.moe or "" for bracket in brackets.brackets], brackets.name)
        column = brackets.total_margin(table.columns)
        of_total = None if column is None else _margins(table, [column], brackets.name)[:, 0]
    return CategoryCounts(names, labels, counts, leaves=leaves), moes, of_total


def _listed_counts(table: pd.DataFrame, groups: GroupList, *, margins: bool) -> Found:
    by_group = [_counts(table, group.columns, groups.name).sum(axis=1) for group in groups.groups]
    counts = np.stack(by_group, axis=1)
    labels = tuple(group.label or group.name for group in groups.groups)
    total = groups.total(table.columns)
    if total is not None:
        people = table[total].to_numpy(dtype=np.float64, na_value=np.nan)
        check_within(people, counts, labels, [str(key) for key in table.index], total)
    moes = None
    if margins:
        known = margin_columns(table.columns)
        moes = np.column_stack(
            [
                sum_moe(
                    _counts(table, group.columns, groups.name),
                    _margins(table, [known[column] for column in group.columns], groups.name),
                )
                for group in groups.groups
            ]
        )
    return CategoryCounts(tuple(group.name for group in groups.groups), labels, counts), moes, None


def _acs_counts(table: pd.DataFrame, groups: AcsGroups, year: int) -> Found:
    edition = find_edition(groups.grouping, list(table.columns), year)
    found = group_counts(table, edition, list(table.index))
    _refuse_unknown(found.counts, found.names, table, groups.name)
    return CategoryCounts(found.names, found.labels, found.counts), found.moes, found.total_moe


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


def _margins(table: pd.DataFrame, columns: Sequence[str], name: str) -> Floats:
    """Return margins of error; NaN where they are missing."""
    text = [column for column in columns if not pd.api.types.is_numeric_dtype(table[column])]
    if text:
        raise DefinitionError(f"{name}: column {text[0]} holds text, expected margins of error")
    margins: Floats = np.ascontiguousarray(table[list(columns)].to_numpy(dtype=np.float64, na_value=np.nan))
    known = np.where(np.isnan(margins), 0.0, margins)
    _refuse_unknown(known, columns, table, name)
    return margins


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
