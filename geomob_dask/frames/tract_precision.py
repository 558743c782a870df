"""Precision of tracts' counts by group: each partition counts its tracts, one reduction adds up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.frames.groups import Groups, detailed_counts, names_of, people_of_groups
from geomob_dask.frames.own_rows import no_value, one_value, own_rows, value_of
from geomob_dask.frames.reduction import partials, reduced
from geomob_dask.metrics.tract_precision import TALLIES, Cells, Integers, cv_tallies
from geomob_dask.sources.groups import Edition
from geomob_dask.transforms.margins_of_error import difference_moe

USED, ALL_MARGINS, DETAILED = "used", "all margins", "detailed"
"""What the margins of a row of tallies are.

Those of the group as it is used: where it is a sum of detailed groups, with one zero estimate's margin at most (the
source's "reduced"). The same sum with every zero estimate's margin (its "original"). Those of one detailed group.
"""


@dataclass(frozen=True)
class TractPrecision:
    """Precision of tracts' counts as frames, in memory or on Dask.

    Attributes
    ----------
    cells : DataFrame
        Index ``group``; one row for each cell of tracts (`metrics.tract_precision.Cells`): ``count_from``,
        ``count_to``, ``se_from``, ``se_to`` (people), ``tracts``.
    report : DataFrame of one row
        Its value (see `value_of`) is plain data: a list of mappings with ``group``, ``margin`` (`USED`, `ALL_MARGINS`
        or `DETAILED`), ``column`` (of a detailed group) and the numbers of `TALLIES`.
    """

    cells: Any
    report: Any


def tract_precision(measures: Any, groups: Groups) -> TractPrecision:
    """Return how many tracts have a poor coefficient of variation, by group, and where they lie.

    Parameters
    ----------
    measures : DataFrame, in memory or on Dask
        Counts and margins, one row per tract.
    groups : Edition or GroupColumns
        See `find_groups`.
    """
    found = reduced(_merged, partials(precision_of_tracts, measures, groups=groups), names=names_of(groups))
    return TractPrecision(
        cells=own_rows(_cells, found, meta=_no_cells),
        report=own_rows(_report, found, meta=no_value),
    )


@dataclass(frozen=True)
class Tallied:
    """What one part of the tracts adds: ``rows`` name the rows of ``tallies``; ``cells`` are of each group."""

    rows: tuple[tuple[str, str, str], ...]
    tallies: Integers
    cells: tuple[Cells, ...]


def precision_of_tracts(measures: pd.DataFrame, *, groups: Groups) -> Tallied:
    """Return what the tracts of one partition add."""
    people = people_of_groups(measures, groups)
    rows = [(name, USED, "") for name in people.names]
    counts, moes = list(people.counts.T), list(people.moes.T)
    if isinstance(groups, Edition):
        estimates, margins = detailed_counts(measures, groups, measures.index)
        columns = iter(range(estimates.shape[1]))
        for group, count in zip(groups.groups, people.counts.T, strict=True):
            parts = [next(columns) for _ in group.parts]
            if len(parts) > 1:
                rows += [(group.name, ALL_MARGINS, "")]
                rows += [(group.name, DETAILED, column) for column, _ in group.parts]
                counts += [count, *estimates.T[parts]]
                moes += [difference_moe(*margins.T[parts]), *margins.T[parts]]
    tallies = cv_tallies(np.column_stack(counts), np.column_stack(moes), people.total)
    of_groups = zip(people.counts.T, people.moes.T, strict=True)
    return Tallied(tuple(rows), tallies, tuple(Cells.of(*one, people.total) for one in of_groups))


def _merged(parts: Sequence[Tallied], *, names: tuple[str, ...]) -> Mapping[str, Any]:
    tallies = np.sum([part.tallies for part in parts], axis=0).tolist()
    cells = {name: Cells.merged([part.cells[place] for part in parts]) for place, name in enumerate(names)}
    named = ("group", "margin", "column", *TALLIES)
    rows = [
        dict(zip(named, [*row, *numbers], strict=True)) for row, numbers in zip(parts[0].rows, tallies, strict=True)
    ]
    return {"tallies": rows, "cells": cells}


def _cells(found: pd.DataFrame) -> pd.DataFrame:
    parts = [_no_cells()]
    for name, cells in value_of(found)["cells"].items():
        ends = dict(zip(("count_from", "count_to", "se_from", "se_to"), cells.edges(), strict=True))
        index = pd.Index([name] * len(cells.tracts), dtype="str", name="group")
        parts.append(pd.DataFrame({**ends, "tracts": cells.tracts}, index=index))
    return pd.concat([part for part in parts if len(part)] or parts[:1])


def _no_cells() -> pd.DataFrame:
    ends = {name: np.zeros(0) for name in ("count_from", "count_to", "se_from", "se_to")}
    return pd.DataFrame({**ends, "tracts": np.zeros(0, np.int64)}, index=pd.Index([], dtype="str", name="group"))


def _report(found: pd.DataFrame) -> pd.DataFrame:
    return one_value(value_of(found)["tallies"])


def poor_share(row: Mapping[str, Any]) -> float:
    """Return the share of tracts with a coefficient of variation of 0.4 or more; NaN where none has one."""
    return float(row["over_fair"] / row["with_cv"]) if row["with_cv"] else np.nan
