"""People of each group in each tract, from a table's columns: of a grouping's edition, or one column per group."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.frames.numbers import LARGEST
from geomob_dask.messages import listed
from geomob_dask.sources.groups import Edition, Grouping, find_edition, find_grouping, load_grouping, total_of
from geomob_dask.sources.kinds import margin_columns
from geomob_dask.transforms.collapse import (
    check_groups_make_up_people,
    check_within,
    collapse,
    remainder,
    within_people,
)
from geomob_dask.transforms.margins_of_error import sum_moe

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GroupCounts:
    """People of each group in each tract, with margins.

    Attributes
    ----------
    names, labels : of the groups, in order
    counts, moes : shape (n_tracts, n_groups)
        NaN: not known.
    total, total_moe : shape (n_tracts,)
    remainder : int, optional
        Which group is what the others leave of the total, with the margin of a difference.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    counts: Floats
    moes: Floats
    total: Floats
    total_moe: Floats
    remainder: int | None = None


@dataclass(frozen=True)
class GroupColumns:
    """Groups of one column each, which do not overlap.

    Parameters
    ----------
    groups : tuple of str
        Columns of counts.
    margins : tuple of str or None
        Columns of their 90 per cent margins of error; None where there is none.
    total : str, optional
        Column of all people: those in none of the groups are a last group, ``other``. By default the groups are all.
    total_margin : str, optional
    within : str, optional
        Column that is known to hold everybody, where no total was named: the groups together have no more people.
    """

    groups: tuple[str, ...]
    margins: tuple[str | None, ...]
    total: str | None = None
    total_margin: str | None = None
    within: str | None = None

    @property
    def columns(self) -> list[str]:
        """Return all columns that are read."""
        names = [self.total, self.total_margin, self.within, *self.groups, *self.margins]
        return list(dict.fromkeys(name for name in names if name is not None))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the groups."""
        return (*self.groups, *(() if self.total is None else ("other",)))


Groups = Edition | GroupColumns


def find_groups(
    groups: str | Sequence[str] | Grouping | Edition | None,
    columns: Collection[str],
    *,
    total: str | None = None,
    year: int | None = None,
) -> Groups:
    """Return the columns that groups are made of.

    Parameters
    ----------
    groups : str, sequence of str, Grouping or Edition, optional
        The name of a shipped grouping, a YAML file, or columns of counts, whose margins of error are looked for under
        ``<column>_moe``, those of ``B03002_003E`` under ``…M``. By default the shipped grouping that fits the columns.
    columns : collection of str
        Of the table.
    total : str, optional
        With columns of counts: the column of all people; see `GroupColumns`.
    year : int, optional
        Selects among the editions of a grouping.

    Raises
    ------
    DefinitionError
        If a column is missing, or no grouping fits the columns.

    Examples
    --------
    >>> find_groups(["black", "white"], ["black", "black_moe", "white"]).margins
    ('black_moe', None)
    """
    if isinstance(groups, Edition):
        return groups
    if groups is None:
        return find_grouping(columns, year)[1]
    if isinstance(groups, (str, Grouping)):
        return find_edition(load_grouping(groups) if isinstance(groups, str) else groups, columns, year)
    names = tuple(groups)
    if len(set(names)) < len(names) or len(names) + (total is not None) < 2:
        raise DefinitionError(f"groups {', '.join(names)}: expected two or more, each once")
    absent = [name for name in (*names, total) if name is not None and name not in columns]
    if absent:
        raise DefinitionError(f"groups: no column {', '.join(absent)}; found {listed(columns, 40)}")
    margins = margin_columns(columns)
    within = total_of(names, columns) if total is None else None
    return GroupColumns(names, tuple(margins.get(name) for name in names), total, margins.get(total or ""), within)


def names_of(groups: Groups) -> tuple[str, ...]:
    """Return the names of groups, in order."""
    return groups.names if isinstance(groups, GroupColumns) else tuple(group.name for group in groups.groups)


def people_of_groups(table: pd.DataFrame, groups: Groups) -> GroupCounts:
    """Return each group's people and margins from a table's columns; raises as `group_counts`."""
    if isinstance(groups, Edition):
        return group_counts(table, groups, table.index)
    tracts = table.index
    unknown = np.full(len(table), np.nan)
    total = None if groups.total is None else _people(table, groups.total, tracts)
    counts = np.column_stack([_people(table, name, tracts, total, groups.total or "") for name in groups.groups])
    moes = np.column_stack(
        [unknown if name is None else _margins(table, name, "missing", tracts) for name in groups.margins]
    )
    if groups.within is not None:
        check_within(_numbers(table, groups.within), counts, groups.groups, tracts, groups.within)
    if total is None:
        total, total_moe = counts.sum(axis=1), sum_moe(counts, moes)
    else:
        name = groups.total_margin
        total_moe = unknown if name is None else _margins(table, name, "missing", tracts)
        other, other_moe = remainder(total, total_moe, counts, moes)
        _refuse_negative(other, f"other (what {', '.join(groups.groups)} leave of {groups.total})", tracts)
        counts, moes = np.column_stack([counts, other]), np.column_stack([moes, other_moe])
    left = None if groups.total is None else len(groups.groups)
    return GroupCounts(groups.names, groups.names, counts, moes, total, total_moe, left)


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
    total_moe = _margins(table, edition.total[1], edition.blank_moe, tracts)
    estimates, moes = detailed_counts(table, edition, tracts)
    numbers = iter(range(estimates.shape[1]))
    members = [[next(numbers) for _ in group.parts] for group in edition.groups]
    given = [place for place, group in enumerate(edition.groups) if not group.remainder]
    counts, margins = np.empty((2, len(table), len(members)))
    sums, margins[:, given] = collapse(estimates, moes, [members[place] for place in given])
    counts[:, given] = within_people(sums, total)
    names = tuple(group.name for group in edition.groups)
    for place in set(range(len(members))) - set(given):
        others = [names[column] for column in given]
        counts[:, place], margins[:, place] = remainder(total, total_moe, counts[:, given], margins[:, given])
        _refuse_negative(counts[:, place], f"{names[place]} (what {', '.join(others)} leave of the total)", tracts)
    check_groups_make_up_people(counts, total, tracts, names)
    left = next((place for place, group in enumerate(edition.groups) if group.remainder), None)
    return GroupCounts(names, tuple(group.label for group in edition.groups), counts, margins, total, total_moe, left)


def detailed_counts(table: pd.DataFrame, edition: Edition, tracts: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the estimates and margins of all parts of groups, in the order of the edition; see `group_counts`.

    Returns
    -------
    estimates, moes : shape (n_tracts, n_parts)
    """
    total = _people(table, edition.total[0], tracts)
    parts = [part for group in edition.groups for part in group.parts]
    estimates = np.column_stack([_people(table, estimate, tracts, total, edition.total[0]) for estimate, _ in parts])
    moes = np.column_stack([_margins(table, moe, edition.blank_moe, tracts) for _, moe in parts])
    return estimates, moes


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


def _margins(table: pd.DataFrame, column: str, blank: str, tracts: Sequence[str]) -> Floats:
    margins = _numbers(table, column)
    _refuse_negative(margins, f"column {column}", tracts)
    return np.where(np.isnan(margins), 0.0, margins) if blank == "controlled" else margins


def _numbers(table: pd.DataFrame, column: str) -> Floats:
    try:
        return np.asarray(table[column].to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"column {column}: found {table[column].dtype}, expected numbers ({error})") from error


def _refuse_negative(values: Floats, what: str, tracts: Sequence[str]) -> None:
    if (values < 0).any():
        row = int(np.argmax(values < 0))
        raise CountsError(f"tract {tracts[row]}, {what}: found {values[row]:g}, expected zero or more")
    if (values > LARGEST).any():
        row = int(np.argmax(values > LARGEST))
        raise CountsError(f"tract {tracts[row]}, {what}: found {values[row]:g}, expected at most {LARGEST:g}")
