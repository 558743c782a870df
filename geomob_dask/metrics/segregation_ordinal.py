"""Segregation by ordered categories, such as education or income brackets (Reardon 2009).

With c_ij the share of unit i in categories up to j and C_j that of the region, the variation of an
ordered population is ``v = Σ_j f(C_j) / (J − 1)`` over the J − 1 thresholds, largest where half are in the
lowest category and half in the highest (a category that nobody is in still lies between the others, and
sets them further apart); segregation is ``Λ = Σ_i t_i (v − v_i) / (T v)``, what the
units lack of it. Four functions f, each 0 at 0 and 1 and largest at 1/2, give the four indices.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from geomob_dask.metrics.counts import Floats, Integers, quotient
from geomob_dask.metrics.segregation_sums import Counted, RegionSums, Term, Units, sums_over


def binary_entropy(c: Floats) -> Floats:
    """f₁: ``−c log₂ c − (1 − c) log₂(1 − c)``."""
    logarithms = np.log2(c, out=np.zeros_like(c), where=c > 0), np.log2(1 - c, out=np.zeros_like(c), where=c < 1)
    weighted: Floats = 0.0 - c * logarithms[0] - (1.0 - c) * logarithms[1]
    return weighted


def binary_variance(c: Floats) -> Floats:
    """f₂: ``4c(1 − c)``."""
    return 4.0 * c * (1.0 - c)


def binary_deviation(c: Floats) -> Floats:
    """f₃: ``2√(c(1 − c))``."""
    root: Floats = 2.0 * np.sqrt(c * (1.0 - c))
    return root


def binary_difference(c: Floats) -> Floats:
    """f₄: ``1 − |2c − 1|``."""
    difference: Floats = 1.0 - np.abs(2.0 * c - 1.0)
    return difference


def ordinal_information_theory(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """Ordinal information theory index, Λ with f₁.

    Parameters
    ----------
    counts : shape (n_units, n_categories), persons or households
        Columns are the categories in their order; or `RegionSums` of such counts.
    region, n_regions : as in `RegionSums.of`

    Returns
    -------
    shape (n_regions,)
        From 0 (all units alike) to 1 (each unit in one category); with two categories it is H. NaN where
        nobody lives in the region or all are in one category.

    References
    ----------
    Reardon (2009), "Measures of ordinal segregation".
    """
    sums = sums_over(counts, region, n_regions)
    return _ordinal(sums, binary_entropy, ORDINAL_ENTROPY)


def ordinal_variation_ratio(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """Ordinal variation ratio index, Λ with f₂; otherwise as `ordinal_information_theory`.

    Examples
    --------
    Neighboring categories apart are less segregated than distant ones:

    >>> ordinal_variation_ratio([[10, 0, 10, 0], [0, 10, 0, 10]])
    array([0.2])
    >>> ordinal_variation_ratio([[10, 10, 0, 0], [0, 0, 10, 10]])
    array([0.6])
    """
    sums = sums_over(counts, region, n_regions)
    return _ordinal(sums, binary_variance, ORDINAL_VARIANCE)


def ordinal_square_root(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """Ordinal square root index, Λ with f₃; otherwise as `ordinal_information_theory`."""
    sums = sums_over(counts, region, n_regions)
    return _ordinal(sums, binary_deviation, ORDINAL_DEVIATION)


def ordinal_absolute_difference(
    counts: Counted, region: Integers | None = None, n_regions: int | None = None
) -> Floats:
    """Ordinal absolute difference index, Λ with f₄; otherwise as `ordinal_information_theory`."""
    sums = sums_over(counts, region, n_regions)
    return _ordinal(sums, binary_difference, ORDINAL_DIFFERENCE)


def cumulative_shares(counts: Floats) -> Floats:
    """Shares up to each category but the last, shape (n_rows, n_categories − 1); 0 where a row is empty.

    Cumulative counts are divided, so that the last category's absence gives exactly 1.
    """
    cumulative = np.cumsum(counts, axis=1)
    return np.nan_to_num(quotient(cumulative[:, :-1], cumulative[:, -1:]))


def _ordinal(sums: RegionSums, variation: Callable[[Floats], Floats], term: Term) -> Floats:
    of_region = variation(cumulative_shares(sums.totals)).sum(axis=1)
    of_units = quotient(sums[term].sum(axis=1), sums.people[:, 0])
    return 1.0 - quotient(of_units, of_region)


def _variation(units: Units, variation: Callable[[Floats], Floats]) -> Floats:
    return units.people * variation(cumulative_shares(units.counts))


ORDINAL_ENTROPY = Term("ordinal_entropy", partial(_variation, variation=binary_entropy))
"""``t_i f₁(c_ij)``, one column per threshold."""
ORDINAL_VARIANCE = Term("ordinal_variance", partial(_variation, variation=binary_variance))
"""``t_i f₂(c_ij)``, one column per threshold."""
ORDINAL_DEVIATION = Term("ordinal_deviation", partial(_variation, variation=binary_deviation))
"""``t_i f₃(c_ij)``, one column per threshold."""
ORDINAL_DIFFERENCE = Term("ordinal_difference", partial(_variation, variation=binary_difference))
"""``t_i f₄(c_ij)``, one column per threshold."""
