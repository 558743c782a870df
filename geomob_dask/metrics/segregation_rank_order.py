"""Rank-order segregation by income (Reardon 2011): free of where the brackets are cut.

At each bracket edge, a percentile p of the region's incomes, those below are segregated from those
above by a two-group index Λ(p). A polynomial fitted to these gives Λ at all percentiles, and the
rank-order index is its mean weighted by ``w(p)``, the variation at p:
``Λ^R = ∫ w(p) Λ(p) dp / ∫ w(p) dp = Σ_m β_m δ_m``, β the coefficients, ``δ_m = ∫ w p^m / ∫ w``.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import comb

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.counts import Floats, Integers, quotient
from geomob_dask.metrics.segregation_ordinal import (
    ORDINAL_DEVIATION,
    ORDINAL_ENTROPY,
    ORDINAL_VARIANCE,
    binary_deviation,
    binary_entropy,
    binary_variance,
    cumulative_shares,
)
from geomob_dask.metrics.segregation_sums import Counted, RegionSums, Term, sums_over

ORDER = 4


def rank_order_information_theory(
    counts: Counted, region: Integers | None = None, n_regions: int | None = None, *, order: int = ORDER
) -> Floats:
    """H^R: rank-order information theory index.

    Parameters
    ----------
    counts : shape (n_units, n_brackets), persons or households
        Columns are the brackets, from low to high; or `RegionSums` of such counts.
    region, n_regions : as in `RegionSums.of`
    order : int
        Degree M of the polynomial.

    Returns
    -------
    shape (n_regions,)
        0 where all units are alike, 1 where each has a single income. It is not held within these bounds,
        as a polynomial need not be. NaN where fewer than M + 1 percentiles lie between brackets with
        people: no polynomial is determined.

    Raises
    ------
    DefinitionError
        If the order is negative.

    Notes
    -----
    Least squares weighted by w(p)², as in the paper. Empty brackets add no percentile.

    References
    ----------
    Reardon (2011), "Measures of income segregation".
    """
    sums = sums_over(counts, region, n_regions)
    return _rank_order(sums, order, binary_entropy, ORDINAL_ENTROPY, entropy_weights)


def rank_order_variance_ratio(
    counts: Counted, region: Integers | None = None, n_regions: int | None = None, *, order: int = ORDER
) -> Floats:
    """R^R: rank-order variance ratio index; otherwise as `rank_order_information_theory`."""
    sums = sums_over(counts, region, n_regions)
    return _rank_order(sums, order, binary_variance, ORDINAL_VARIANCE, variance_weights)


def rank_order_square_root(
    counts: Counted, region: Integers | None = None, n_regions: int | None = None, *, order: int = ORDER
) -> Floats:
    """S^R: rank-order square root index; otherwise as `rank_order_information_theory`."""
    sums = sums_over(counts, region, n_regions)
    return _rank_order(sums, order, binary_deviation, ORDINAL_DEVIATION, deviation_weights)


def entropy_weights(order: int) -> Floats:
    """δ_m for H^R: ``2/(m+2)² + 2 Σ_{n=0}^m (−1)^(m−n) C(m,n) / (m−n+2)²``, m = 0 … order.

    The alternating sum is taken in fractions: in floats it would lose its digits as m grows.

    Examples
    --------
    >>> entropy_weights(2)
    array([1. , 0.5 , 0.3056])
    """
    return np.array([float(_entropy_weight(m)) for m in range(order + 1)])


def variance_weights(order: int) -> Floats:
    """δ_m for R^R: ``6 / ((m+2)(m+3))``, m = 0 … order."""
    m = np.arange(order + 1.0)
    weights: Floats = 6.0 / ((m + 2.0) * (m + 3.0))
    return weights


def deviation_weights(order: int) -> Floats:
    """δ_m for S^R: ``4 Π_{n=0}^m (2n+1)/(2n+4)``, m = 0 … order."""
    n: Floats = np.arange(order + 1, dtype=np.float64)
    products: Floats = np.cumprod((2.0 * n + 1.0) / (2.0 * n + 4.0), dtype=np.float64)
    return 4.0 * products


def _entropy_weight(m: int) -> Fraction:
    alternating = sum(Fraction((-1) ** (m - n) * comb(m, n), (m - n + 2) ** 2) for n in range(m + 1))
    return Fraction(2, (m + 2) ** 2) + 2 * alternating


def _rank_order(
    sums: RegionSums,
    order: int,
    variation: Callable[[Floats], Floats],
    term: Term,
    weights: Callable[[int], Floats],
) -> Floats:
    if order < 0:
        raise DefinitionError(f"found the order {order} of the polynomial, expected 0 or more")
    percentile = cumulative_shares(sums.totals)
    weight = np.where(_new_percentiles(sums.totals), variation(percentile), 0.0)
    segregation = 1.0 - np.nan_to_num(quotient(quotient(sums[term], sums.people), weight))
    # Not a matrix product: its last bits would depend on which regions are computed together.
    index: Floats = (_fitted(percentile, segregation, weight, order) * weights(order)).sum(axis=1)
    return index


def _new_percentiles(totals: Floats) -> NDArray[np.bool_]:
    """Whether a bracket edge lies above some people, below some, and above the edge before it."""
    cumulative = np.cumsum(totals, axis=1)
    return (totals[:, :-1] > 0) & (cumulative[:, :-1] < cumulative[:, -1:])


def _fitted(percentile: Floats, segregation: Floats, weight: Floats, order: int) -> Floats:
    """Return the coefficients β of least squares weighted by `weight`², shape (n_regions, order + 1)."""
    determined = (weight > 0).sum(axis=1) > order
    coefficients = np.full((len(percentile), order + 1), np.nan)
    if not determined.any():
        return coefficients
    powers = percentile[determined, :, None] ** np.arange(order + 1)
    q, r = np.linalg.qr(weight[determined, :, None] * powers)
    right = np.swapaxes(q, 1, 2) @ (weight * segregation)[determined, :, None]
    coefficients[determined] = np.linalg.solve(r, right)[:, :, 0]
    return coefficients
