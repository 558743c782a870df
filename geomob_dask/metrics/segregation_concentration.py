"""Concentration: how little land a group has for its size (Massey & Denton 1988)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, quotient
from geomob_dask.metrics.segregation_gini import by_region, sums_before
from geomob_dask.metrics.segregation_sums import RegionSums
from geomob_dask.transforms.exact_sums import region_sums

# Indices of this module that PySAL and OasisR compute in another reading of the paper.
READ_OTHERWISE = ("absolute_concentration", "relative_concentration")
READ_OTHERWISE_NOTE = (
    "the unit in which as many people as the group's are reached counts with those who are missing, in PySAL and "
    "OasisR with all its people (docs/segregation.md)"
)


def delta(counts: ArrayLike, areas: ArrayLike, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """Delta: ``½ Σ |x_i / X − a_i / A|``, the share of a group that would have to move for even density.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
        All units of each region; fractions are allowed.
    areas : shape (n_units,), any unit of area
        Land of each unit; empty units count with theirs.
    region : shape (n_units,), integers, optional
        Region of each unit; by default all units are one region.
    n_regions : int, optional

    Returns
    -------
    shape (n_regions, n_groups)
        From 0 to 1; NaN where nobody is in the group or the region has no land.

    Raises
    ------
    CountsError
        If a count is missing or negative.
    DefinitionError
        If an area is missing or negative.

    References
    ----------
    Hoover (1941); Duncan, Cuzzort & Duncan (1961); Massey & Denton (1988).

    Examples
    --------
    >>> delta([[10, 0], [10, 20]], [1.0, 3.0])
    array([[0.25, 0.25]])
    """
    table, land, codes, sums = _with_land(counts, areas, region, n_regions)
    land_totals = region_sums(land, codes, len(sums.totals))
    gap = quotient(table, sums.totals[codes]) - quotient(land, land_totals[codes])[:, None]
    half = 0.5 * region_sums(np.abs(np.nan_to_num(gap)), codes, len(sums.totals))
    return np.where((sums.totals > 0) & (land_totals > 0)[:, None], half, np.nan)


def absolute_concentration(
    counts: ArrayLike, areas: ArrayLike, region: Integers | None = None, n_regions: int | None = None
) -> Floats:
    """ACO: ``1 − (ā_x − ā_1) / (ā_2 − ā_1)``.

    ā_x is the mean area of the units the group lives in, ``Σ x_i a_i / X``; ā_1 is the same for as many
    people in the smallest units, ā_2 in the largest.

    Parameters are those of `delta`.

    Returns
    -------
    shape (n_regions, n_groups)
        From 0 (the group has the largest units) to 1 (the smallest); NaN where nobody is in the group or all units are
        alike in area.

    Notes
    -----
    The paper counts whole units from either end, n₁ and n₂ of them, until their people *equal* the
    group. They seldom do; then the unit that passes X counts here with as many people as are
    missing. Where the paper's equality holds the two are the same; elsewhere only this keeps ACO
    within its bounds and independent of the order of units of equal area.

    References
    ----------
    Massey & Denton (1988).
    """
    own, _, smallest, largest = _mean_areas(counts, areas, region, n_regions)
    return 1.0 - quotient(own - smallest, largest - smallest)


def relative_concentration(
    counts: ArrayLike, areas: ArrayLike, region: Integers | None = None, n_regions: int | None = None
) -> Floats:
    """RCO: ``(ā_x / ā_y − 1) / (ā_1 / ā_2 − 1)``, the group x against its others y.

    Parameters are those of `delta`, ā_1 and ā_2 as in `absolute_concentration`.

    Returns
    -------
    shape (n_regions, n_groups)
        At most 1 (the group has the smallest units and the others the largest), 0 where both have alike,
        negative where the others have smaller ones; NaN where nobody or everybody is in the group or all
        units are alike in area.

    References
    ----------
    Massey & Denton (1988).
    """
    own, others, smallest, largest = _mean_areas(counts, areas, region, n_regions)
    return quotient(quotient(own, others) - 1.0, quotient(smallest, largest) - 1.0)


def _mean_areas(
    counts: ArrayLike, areas: ArrayLike, region: Integers | None, n_regions: int | None
) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean area around a group, around its others, and around as many people at either end."""
    table, land, codes, sums = _with_land(counts, areas, region, n_regions)
    order = by_region(np.argsort(land, kind="stable"), codes, len(sums.totals))
    table, land, codes = table[order], land[order, None], codes[order]
    people = table.sum(axis=1)
    before = sums_before(people, codes)[:, None]
    after = sums.people[codes] - before - people[:, None]
    group = sums.totals[codes]
    parts = [
        table,
        people[:, None] - table,
        np.clip(group - before, 0.0, people[:, None]),
        np.clip(group - after, 0.0, people[:, None]),
    ]
    holders = [sums.totals, sums.people - sums.totals, sums.totals, sums.totals]
    own, others, smallest, largest = (
        quotient(region_sums(part * land, codes, len(sums.totals)), holder)
        for part, holder in zip(parts, holders, strict=True)
    )
    return own, others, smallest, largest


def _with_land(
    counts: ArrayLike, areas: ArrayLike, region: Integers | None, n_regions: int | None
) -> tuple[Floats, Floats, Integers, RegionSums]:
    table, land = checked_counts(counts), np.asarray(areas, dtype=np.float64)
    if land.shape != table.shape[:1]:
        raise DefinitionError(f"found {land.size} areas for {len(table)} units, expected one for each")
    bad = np.flatnonzero(~((land >= 0) & np.isfinite(land)))
    if bad.size:
        raise DefinitionError(f"unit {bad[0]}: found the area {land[bad[0]]}, expected 0 or more")
    sums = RegionSums.of(table, region, n_regions)
    return table, land, sums.units.region, sums
