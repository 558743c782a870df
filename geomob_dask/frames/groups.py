"""People of each group in each tract, from a table's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.sources.groups import Edition
from geomob_dask.transforms.collapse import check_groups_make_up_people, collapse, remainder

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
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    counts: Floats
    moes: Floats
    total: Floats
    total_moe: Floats


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
