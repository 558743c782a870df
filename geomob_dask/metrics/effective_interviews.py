"""How many people were interviewed: the effective number behind the published margins of error of each unit.

A simple random sample of m of a unit's t people gives its group k, a share p of them, the variance p (1 − p) t² / m:
t / m people for each interview. A survey of households with unequal weights has larger variances; the effective number
of its interviews is the m of a simple random sample that has the same (Kish 1965).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.errors import CountsError
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, checked_regions, quotient, shares
from geomob_dask.transforms.exact_sums import region_sums

# Of a typical unit: with so much of its evidence, each unit is drawn to its region.
_BORROWED = 0.25


def composition_noise(
    counts: ArrayLike, variances: ArrayLike, total_variance: ArrayLike | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return what margins say of the noise in each unit's shares, as sums over its groups.

    A share p = n / t has the variance (v − p² v_t) / t², v and v_t those of count and total: the formula of the Census
    Bureau for proportions. In a simple random sample it is p (1 − p) / m.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
    variances : shape (n_units, n_groups)
        Of the counts; NaN where they are not known, as for a group that is the remainder of the others: it is sampled
        as these are. Empty cells are left out: their margins tell the sampling rate, not the sample.
    total_variance : shape (n_units,), optional
        Of the units' people; by default, and where it is NaN, the sum of the variances that are known, raised to all
        people of the unit.

    Returns
    -------
    noise : shape (n_units,), people²
        Σ_k (v_ik − p_ik² v_i).
    spread : shape (n_units,), people
        Σ_k n_ik (1 − p_ik) over the same groups: noise / spread are the people that stand behind one interview.
    total : shape (n_units,), people²
        Variance of the unit's people; NaN where no variance is known.

    Raises
    ------
    CountsError
        If a count is missing or negative, a variance is negative, or shapes differ.

    References
    ----------
    U.S. Census Bureau, *Understanding and Using American Community Survey Data*, chapter 8. Kish (1965), Survey
    Sampling, §8.2.

    Examples
    --------
    100 of 400 people, weights of 4: 100 interviews, 25 of them of the first group.

    >>> noise, spread, _ = composition_noise([[100, 300]], [[400.0, 1200.0]])
    >>> (noise / spread).tolist()
    [4.0]
    """
    table = checked_counts(counts)
    given = np.asarray(variances, dtype=np.float64)
    if given.shape != table.shape:
        raise CountsError(f"the variances have shape {given.shape}, expected {table.shape} as the counts")
    if (given < 0).any():
        raise CountsError(f"found a variance of {given[given < 0][0]:g}, expected 0 or more")
    known = ~np.isnan(given)
    used = known & (table > 0)
    told = np.where(used, table, 0.0).sum(axis=1)
    summed = np.where(used, given, 0.0).sum(axis=1) * np.where(told > 0, table.sum(axis=1), 1.0)
    total = np.where(known.any(axis=1), summed / np.where(told > 0, told, 1.0), np.nan)
    if total_variance is not None:
        of_total = np.asarray(total_variance, dtype=np.float64)
        total = np.where(np.isnan(of_total), total, of_total)
    share = np.nan_to_num(shares(table))
    noise = np.where(used, given - share**2 * np.nan_to_num(total)[:, None], 0.0).sum(axis=1)
    spread = np.where(used, table * (1.0 - share), 0.0).sum(axis=1)
    return noise, spread, total


def effective_interviews(
    people: Floats, noise: Floats, spread: Floats, total_variance: Floats, region: Integers, n_regions: int
) -> Floats:
    """Return the effective number of interviews of each unit.

    A unit of one group alone tells nothing of the noise of shares, and margins are estimates themselves: each unit's
    noise and spread are added to a quarter of those of its region's typical unit.

    Parameters
    ----------
    people : shape (n_units,)
    noise, spread, total_variance : shape (n_units,)
        See `composition_noise`.
    region : shape (n_units,), integers in [0, n_regions)
    n_regions : int

    Returns
    -------
    shape (n_units,)
        From 1 to its people; 0 where nobody lives, NaN in a region without margins.

    Examples
    --------
    >>> one = np.zeros(2, dtype=np.int64)
    >>> effective_interviews(np.array([400.0, 800]), np.array([600.0, 0]), np.array([150.0, 0]), np.ones(2), one, 1)
    array([100., 200.])
    """
    informed = (spread > 0).astype(np.float64)
    weighed = np.where(np.isnan(total_variance), 0.0, people)
    stacked = np.column_stack([noise, spread, informed, np.nan_to_num(total_variance), weighed])
    sums = region_sums(stacked, region, n_regions)
    typical = np.nan_to_num(quotient(sums[:, 1], sums[:, 2]))
    # Where every unit has one group alone, its own noise is that of its people.
    weight = np.where(sums[:, 1] > 0, quotient(sums[:, 0], sums[:, 1]), quotient(sums[:, 3], sums[:, 4]))
    borrowed = np.where(typical > 0, _BORROWED * typical, 1.0)[region]
    per_interview = (noise + borrowed * weight[region]) / (spread + borrowed)
    found = quotient(people, np.clip(per_interview, 1.0, np.maximum(people, 1.0)))
    return np.where(people > 0, np.maximum(found, np.minimum(people, 1.0)), 0.0)


def without_noise(
    counts: ArrayLike,
    interviews: Floats,
    region: Integers | None = None,
    n_regions: int | None = None,
    *,
    errors: float = 0.0,
) -> Floats:
    """Return counts whose shares differ among units by as much as the true ones, not as the estimates do.

    Shares of a sample vary more than those of the people: S = Σ w (p̂ − P)² has the mean τ² (1 − u) + P (1 − P) u, w the
    shares of people, u = Σ w (1 − w) / m. Solved for the variance τ² of the true shares, estimates are drawn to the
    region's share by √(τ² / (τ² + σ²)), σ² = (P (1 − P) − τ²) / m the noise of a unit, and scaled to have the variance
    τ² (constrained empirical Bayes). Drawn from p̂ itself, another sample would vary by the noise of two.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
    interviews : shape (n_units,)
        Effective number of interviews; 0 where nobody lives.
    region, n_regions : as in `RegionSums.of`
    errors : float
        So many standard errors of S, √Σ w² (2 σ⁴ + 4 σ² τ²), are added to τ², which stays 0 or more: a world that is
        more segregated than the estimates say, or less.

    Returns
    -------
    shape (n_units, n_groups)
        Units keep their people.

    Raises
    ------
    CountsError
        If a count is missing or negative.

    References
    ----------
    Ghosh (1992), "Constrained Bayes estimation with applications". Weir & Cockerham (1984), for the variance τ².

    Examples
    --------
    What differs by no more than ten interviews do is even:

    >>> without_noise([[60, 40], [40, 60]], np.array([10.0, 10.0]))
    array([[50., 50.],
           [50., 50.]])
    """
    table = checked_counts(counts)
    codes, number = checked_regions(region, len(table), n_regions)
    people = table.sum(axis=1)
    totals = region_sums(np.column_stack([table, people]), codes, number)
    share = np.nan_to_num(quotient(totals[:, :-1], totals[:, -1:]))[codes]
    weight = np.nan_to_num(quotient(people, totals[codes, -1]))[:, None]
    apart = np.where(people[:, None] > 0, np.nan_to_num(shares(table)) - share, 0.0)
    noise = np.nan_to_num(1.0 / np.where(interviews > 0, interviews, np.nan))[:, None]
    even = share * (1.0 - share)
    sums = region_sums(np.hstack([weight * apart**2, weight * (1.0 - weight) * noise]), codes, number)[codes]
    lost = sums[:, -1:]
    true = np.clip(quotient(sums[:, :-1] - even * lost, 1.0 - lost), 0.0, even)
    if errors:
        own = (even - true) * noise
        squared = region_sums(weight**2 * (2.0 * own**2 + 4.0 * own * true), codes, number)[codes]
        true = np.clip(true + errors * np.sqrt(squared), 0.0, even)
    kept = apart * np.sqrt(np.nan_to_num(quotient(true, true + (even - true) * noise)))
    found = region_sums(weight * kept**2, codes, number)[codes]
    drawn = np.maximum(share + kept * np.sqrt(np.nan_to_num(quotient(true, found))), 0.0)
    whole = drawn.sum(axis=1, keepdims=True)
    return np.asarray(people[:, None] * drawn / np.where(whole > 0, whole, 1.0))
