"""Gini indices of segregation, by one sort for each group instead of all pairs of units.

``G = Σ_i Σ_j t_i t_j |p_i − p_j| / (2 T² P (1 − P))``. With units sorted by p the pairs with an
earlier unit add up to ``x_i T_(<i) − t_i X_(<i)``, capital letters with < being the sums over
the units before. For whole numbers all of these are integers and exact below 2**53, so that neither
the order of units nor of ties matters; G itself is rounded once.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.metrics.counts import Floats, Integers, checked_counts, quotient
from geomob_dask.metrics.segregation_sums import RegionSums, ordered_sums

_SHORT_CODES = 1 << 16
# Whole numbers up to here are exact; terms are at most twice the people and the group of a region.
_EXACT = 2.0**52


def gini(counts: ArrayLike, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """G of each group against everybody else.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
        All units of each region. Fractions are allowed.
    region : shape (n_units,), integers, optional
        Region of each unit; by default all units are one region.
    n_regions : int, optional

    Returns
    -------
    shape (n_regions, n_groups)
        From 0 (even) to 1; NaN where nobody or everybody is in the group.

    Raises
    ------
    CountsError
        If a count is missing or negative.

    References
    ----------
    Duncan & Duncan (1955); Massey & Denton (1988).

    Examples
    --------
    >>> gini([[80, 20], [20, 80]])
    array([[0.6, 0.6]])
    """
    pairs, sums = _all_pairs(counts, region, n_regions)
    return quotient(pairs, sums.totals * (sums.people - sums.totals))


def multigroup_gini(counts: ArrayLike, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """Multi-group G: ``Σ_k Σ_i Σ_j t_i t_j |p_ik − p_jk| / (2 T² I)``.

    Parameters are those of `gini`.

    Returns
    -------
    shape (n_regions,)
        From 0 (even) to 1; NaN where nobody lives in the region or all are in one group.

    References
    ----------
    Reardon & Firebaugh (2002).
    """
    pairs, sums = _all_pairs(counts, region, n_regions)
    return quotient(pairs.sum(axis=1), sums.people[:, 0] ** 2 * sums.interaction)


def _all_pairs(counts: ArrayLike, region: Integers | None, n_regions: int | None) -> tuple[Floats, RegionSums]:
    """Return ``Σ_(i>j) t_i t_j (p_ik − p_jk)`` over units sorted by p_k, shape (n_regions, n_groups)."""
    table = checked_counts(counts)
    whole = bool((table == np.floor(table)).all())
    sums = RegionSums.of(table, region, n_regions, exact=not whole)
    codes = sums.units.region
    people = sums.units.people[:, 0]
    n_groups = table.shape[1]
    exact = whole and bool((sums.totals * sums.people < _EXACT).all())
    # The order of ties among whole numbers does not matter; with fractions it would change the last bits of sums.
    kind: Literal["stable"] | None = None if whole else "stable"
    of_group = _whole_pairs_of_group if exact else partial(_pairs_of_group, kind=kind)
    columns = np.ascontiguousarray(table.T)
    # Two groups mirror each other: one sort serves both.
    pairs = [of_group(columns[k], people, codes, len(sums.totals)) for k in range(1 if n_groups == 2 else n_groups)]
    return np.stack(pairs * 2 if n_groups == 2 else pairs, axis=1), sums


def _pairs_of_group(
    group: Floats, people: Floats, region: Integers, n_regions: int, kind: Literal["stable"] | None
) -> Floats:
    x, t, codes = _sorted_by_share(group, people, region, n_regions, kind=kind)
    terms = x * sums_before(t, codes) - t * sums_before(x, codes)
    return ordered_sums(terms[:, None], codes, n_regions)[:, 0]


def _whole_pairs_of_group(group: Floats, people: Floats, region: Integers, n_regions: int) -> Floats:
    """Return the same with one running sum: ``Σ_i t_i X_(<i) = X T − Σ_i x_i (T_(<i) + t_i)``.

    All of it is whole and below 2**53, hence exact, whatever the order of ties.
    """
    x, t, codes = _sorted_by_share(group, people, region, n_regions, kind=None)
    if n_regions == 1:
        return np.array([x @ (2.0 * np.cumsum(t) - t) - x.sum() * t.sum()])
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else codes
    running = np.cumsum(t)
    before_region = np.r_[0.0, running][starts]
    sizes = np.diff(np.r_[starts, len(codes)])
    terms = x * (2.0 * (running - np.repeat(before_region, sizes)) - t)
    sums = np.zeros((3, n_regions))
    if len(codes):
        sums[:, codes[starts]] = [np.add.reduceat(values, starts) for values in (terms, x, t)]
    pairs: Floats = sums[0] - sums[1] * sums[2]
    return pairs


def _sorted_by_share(
    group: Floats, people: Floats, region: Integers, n_regions: int, kind: Literal["stable"] | None
) -> tuple[Floats, Floats, Integers]:
    """Return the group, all people and the region of the units by region and, within it, rising share."""
    share = group / np.where(people > 0, people, 1.0)
    order = by_region(np.argsort(share, kind=kind), region, n_regions)
    return group[order], people[order], region[order] if n_regions > 1 else region


def by_region(order: Integers, region: Integers, n_regions: int) -> Integers:
    """Bring an order of units together by region, keeping the order within each."""
    if n_regions <= 1:
        return order
    codes = region[order]
    # NumPy sorts 16-bit integers by radix, many times faster.
    short = codes.astype(np.uint16) if n_regions <= _SHORT_CODES else codes
    return order[np.argsort(short, kind="stable")]


def sums_before(values: Floats, region: Integers) -> Floats:
    """Return, for units sorted by region, the sum over the units before in the same region."""
    starts = np.flatnonzero(np.r_[True, region[1:] != region[:-1]]) if len(region) else np.zeros(0, dtype=np.int64)
    if (values == np.floor(values)).all():
        # Integers: one running sum over all regions is exact, and so is what is taken off it.
        before = np.cumsum(values) - values
        return before - np.repeat(before[starts], np.diff(np.r_[starts, len(values)]))
    # Fractions: a running sum over all regions would let one region round another's.
    pieces = np.split(values, starts[1:])
    return np.concatenate([np.r_[0.0, np.cumsum(piece)[:-1]] for piece in pieces])
