"""Notes on a run: what a user should know of its data or result, computed with it and kept in its report.

A note is a line of text. A frame of notes has one row, whose value is a list of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.frames.categories import category_counts
from geomob_dask.frames.own_rows import is_lazy, no_value, one_value, own_rows, value_of
from geomob_dask.frames.reduction import partials, reduced
from geomob_dask.frames.units import People
from geomob_dask.messages import counted, listed
from geomob_dask.metrics.counts import Floats, at_least
from geomob_dask.sources.brackets import AcsGroups, Brackets, Categories

# In fewer tracts one group is often the larger one in all of them.
_FEW = 5


def together(*notes: Any) -> Any:
    """Return several frames of notes as one."""
    return own_rows(_together, *notes, meta=no_value)


def _together(*notes: pd.DataFrame) -> pd.DataFrame:
    return one_value([line for one in notes for line in value_of(one)])


def left_out_notes(parts: Sequence[pd.DataFrame]) -> list[str]:
    """Return notes on tracts that are in no result, by reason; see `frames.units.left_out`."""
    rest = pd.concat(parts)["reason"]
    return [
        f"left out: {counted(len(rows), 'tract')}, {reason} ({listed(rows.index, 3)})"
        for reason, rows in rest.groupby(rest)
    ]


@dataclass(frozen=True)
class Comparison:
    """Comparison of the categories of one partition's tracts.

    Attributes
    ----------
    labels : tuple of str
    larger : shape (n_categories, n_categories)
        Whether one category has at least the people of another in every tract.
    people : shape (n_categories,)
    tracts : int
        With people.
    """

    labels: tuple[str, ...]
    larger: NDArray[np.bool_]
    people: Floats
    tracts: int

    @classmethod
    def of(cls, labels: Sequence[str], counts: Floats, *, rest: bool = False) -> Comparison:
        """Compare counts of shape (n_tracts, n_categories); `rest` as in `metrics.counts.at_least`."""
        lived_in = counts[counts.sum(axis=1) > 0]
        return cls(tuple(labels), at_least(lived_in, rest=rest), lived_in.sum(axis=0), len(lived_in))


def overlap_notes(measures: Any, where: Any, people: People) -> Any:
    """Return notes on groups that may contain others: each has at least the people of the other in every tract.

    Groups of a survey's table, and brackets with a total, were compared with their total. Of brackets one is named that
    has at least the people of all others together: neighboring brackets may well be alike.

    Parameters
    ----------
    measures : DataFrame, in memory or on Dask
    where : DataFrame, aligned
        See `frames.regions.regions_of`.
    people : People
    """
    return reduced(overlaps, partials(_compared, measures, where, people=people))


def _compared(measures: pd.DataFrame, where: pd.DataFrame, *, people: People) -> Comparison | None:
    categories = people.categories
    checked = isinstance(categories, Brackets) and categories.total in measures.columns
    if checked or isinstance(categories, AcsGroups):
        return None
    table = people.known(measures)
    if people.regions is not None:
        table = table[table.index.isin(where.index[where["region"].isin(people.regions)])]
    found = category_counts(table, categories, people.year)
    return Comparison.of(found.labels, found.counts, rest=isinstance(categories, Brackets))


def warn_of_overlaps(groups: Any, measures: Any, where: Any, people: People) -> None:
    """Warn of what `overlap_notes` finds in frames in memory; nothing is computed of frames on Dask.

    Parameters
    ----------
    groups
        As a caller gave them. A run gives categories that were read before, and keeps its notes in its report.
    measures, where, people
        See `overlap_notes`.
    """
    if not (isinstance(groups, Categories) or is_lazy(measures) or is_lazy(where)):
        warn(value_of(overlap_notes(measures, where, people)))


def warn(notes: Sequence[str]) -> None:
    """Warn of each note, at the line that called a function of the package."""
    for line in notes:
        warnings.warn(line, UserWarning, stacklevel=4)


def overlaps(parts: Sequence[Comparison | None]) -> list[str]:
    """Return notes on categories from comparisons of all partitions; None where they were not compared."""
    compared = [part for part in parts if part is not None]
    if sum(part.tracts for part in compared) < _FEW:
        return []
    labels = compared[0].labels
    larger = np.logical_and.reduce([part.larger for part in compared])
    present = np.sum([part.people for part in compared], axis=0) > 0
    notes = []
    for place, label in enumerate(labels):
        smaller = [other for at, other in enumerate(labels) if at != place and larger[place, at] and present[at]]
        if smaller and present[place]:
            notes.append(
                f"groups: {label} has at least the people of {listed(smaller)} in every tract; if it contains them, "
                "they are counted twice: expected groups that do not overlap"
            )
    return notes
