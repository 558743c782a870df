"""Why segregation changed between two years (Elbers 2021): margins or structure.

A table of units and groups is made of its two margins, the people of the units and of the groups,
and of its structure, the odds ratios that scaling rows and columns leaves alone. Iterative proportional
fitting (IPF) gives one year's structure the margins of another, so that each can be changed in turn;
the Shapley value averages over the turns, so that the years can be exchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, checked_regions, quotient
from geomob_dask.metrics.segregation_multi_group import information_theory, mutual_information
from geomob_dask.metrics.segregation_sums import RegionSums, ordered_sums

# Of the region's people, so that the unit of counts does not matter.
ZERO_FILL = 1e-12
TOLERANCE = 1e-10
MAX_ITERATIONS = 10_000


@dataclass(frozen=True)
class SegregationChange:
    """Parts of the change of an index, each of shape (n_regions,); the five parts add up to second − first.

    Attributes
    ----------
    first, second : the index in either year, over all units and groups of the year.
    removals, additions : change from units and groups that only the first, only the second year has.
    unit_marginal, group_marginal : change from the sizes of the units, of the groups.
    structural : change at fixed margins.
    """

    first: Floats
    second: Floats
    removals: Floats
    additions: Floats
    unit_marginal: Floats
    group_marginal: Floats
    structural: Floats


def segregation_change(
    first: ArrayLike,
    second: ArrayLike,
    region: Integers | None = None,
    n_regions: int | None = None,
    *,
    index: Callable[[RegionSums], Floats] = mutual_information,
    zero_fill: float = ZERO_FILL,
) -> SegregationChange:
    """Decompose the change of M or H between two years.

    Parameters
    ----------
    first, second : shape (n_units, n_groups), persons or households
        The same units and groups in two years; those that one year lacks are zeros there.
    region : shape (n_units,), integers, optional
        Region of each unit; by default all units are one region.
    n_regions : int, optional
    index : function
        `mutual_information` (M, the default) or `information_theory` (H).
    zero_fill : float
        Share of the region's people of the year put in a cell that is empty in that year and not in the other: fitting
        cannot fill an empty cell. So small a share is its limit, as in the current version of the paper's own program,
        and the unit of counts does not matter. Cells empty in both years stay empty.

    Returns
    -------
    SegregationChange
        NaN in the three last parts where no unit or group is in both years, or where the margins cannot be
        reached by fitting (10,000 rounds); NaN throughout where the index is missing in a year.

    Raises
    ------
    CountsError
        If a count is missing or negative, or the years differ in shape.
    DefinitionError
        If the index is another one.

    References
    ----------
    Elbers (2021), "A method for studying differences in segregation across time and space", Sociological
    Methods & Research; Deutsch, Flückiger & Silber (2009).

    Examples
    --------
    All units and groups grow, but the odds ratio stays: nothing structural.

    >>> change = segregation_change([[30, 10], [20, 40]], [[60, 10], [80, 80]])
    >>> round(float(change.structural[0]), 9)
    0.0
    """
    if index not in (mutual_information, information_theory):
        raise DefinitionError("found another index than mutual_information or information_theory to decompose")
    years = checked_counts(first), checked_counts(second)
    if years[0].shape != years[1].shape:
        raise CountsError(f"the second year has shape {years[1].shape}, expected {years[0].shape} as the first")
    codes, number = checked_regions(region, len(years[0]), n_regions)

    def value(table: Floats) -> Floats:
        return index(RegionSums.of(table, codes, number))

    common = _common_cells(*years, codes, number)
    kept = [np.where(common, year, 0.0) for year in years]
    filled = [_filled(table, common, codes, number, zero_fill) for table in kept]
    row_shares, column_shares = zip(*(_margins(table, codes, number) for table in filled), strict=True)
    # Keys: the years of the group margin, the unit margin and the structure.
    values = {
        (group, unit, structure): value(kept[structure])
        if group == unit == structure
        else value(_fitted(filled[structure], row_shares[unit], column_shares[group], codes, number))
        for group, unit, structure in product((0, 1), repeat=3)
    }
    whole = [value(year) for year in years]
    return SegregationChange(
        first=whole[0],
        second=whole[1],
        removals=values[0, 0, 0] - whole[0],
        additions=whole[1] - values[1, 1, 1],
        unit_marginal=_turns(values, lambda group, structure: (group, 1, structure), lambda g, s: (g, 0, s)),
        group_marginal=_turns(values, lambda unit, structure: (1, unit, structure), lambda u, s: (0, u, s)),
        structural=0.5 * (values[0, 0, 1] - values[0, 0, 0] + values[1, 1, 1] - values[1, 1, 0]),
    )


_Key = tuple[int, int, int]


def _turns(values: dict[_Key, Floats], after: Callable[[int, int], _Key], before: Callable[[int, int], _Key]) -> Floats:
    """Mean change of one margin over the years of the other margin and of the structure."""
    changes = [values[after(a, b)] - values[before(a, b)] for a, b in product((0, 1), repeat=2)]
    mean: Floats = np.mean(changes, axis=0)
    return mean


def _common_cells(first: Floats, second: Floats, region: Integers, n_regions: int) -> Floats:
    """Whether unit and group of a cell are present in both years, and the cell itself in one of them."""
    units = (first.sum(axis=1) > 0) & (second.sum(axis=1) > 0)
    groups = (ordered_sums(first, region, n_regions) > 0) & (ordered_sums(second, region, n_regions) > 0)
    common: Floats = units[:, None] & groups[region] & ((first > 0) | (second > 0))
    return common


def _filled(table: Floats, common: Floats, region: Integers, n_regions: int, share: float) -> Floats:
    """Fill the empty cells among those in common with a share of their region's people."""
    people = ordered_sums(table, region, n_regions).sum(axis=1)
    filled: Floats = np.where(common & (table == 0), share * people[region][:, None], table)
    return filled


def _margins(table: Floats, region: Integers, n_regions: int) -> tuple[Floats, Floats]:
    """Shares of the units, shape (n_units, 1), and of the groups, shape (n_regions, n_groups), in their region."""
    columns = ordered_sums(table, region, n_regions)
    people = columns.sum(axis=1, keepdims=True)
    return quotient(table.sum(axis=1, keepdims=True), people[region]), quotient(columns, people)


def _fitted(table: Floats, rows: Floats, columns: Floats, region: Integers, n_regions: int) -> Floats:
    """Scale rows and columns of each region's table in turn until both margins are those given.

    A region stops at the round that brings it within the tolerance: others do not change it. One
    that never gets there is emptied, so that its index is missing.
    """
    fitted = table.copy()
    open_regions = ordered_sums(table, region, n_regions).sum(axis=1) > 0
    for _ in range(MAX_ITERATIONS):
        active = open_regions[region]
        if not active.any():
            return fitted
        cells, codes = fitted[active], region[active]
        cells = cells * np.nan_to_num(quotient(rows[active], cells.sum(axis=1, keepdims=True)))
        cells = cells * np.nan_to_num(quotient(columns, ordered_sums(cells, codes, n_regions)))[codes]
        fitted[active] = cells
        # Columns fit as they were scaled last; rows are off by what that changed.
        off = np.abs(cells.sum(axis=1) / np.where(rows[active, 0] > 0, rows[active, 0], 1.0) - (rows[active, 0] > 0))
        worst = np.zeros(n_regions)
        np.maximum.at(worst, codes, off)
        open_regions &= worst > TOLERANCE
    fitted[open_regions[region]] = 0.0
    return fitted
