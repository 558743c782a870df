"""Two-group indices of segregation, of each group against everybody else.

Each takes counts of shape (n_units, n_groups), persons or households, with the region of each unit (all units are one
region by default), or sums of regions already added up (`RegionSums`), and returns one value for each region and
group: group k against all who are not in k. Two groups against each other, leaving out others, are counts with
two columns.

NaN means that the index has nothing to measure: nobody lives in the region, nobody is in the group
or (for those that compare with the others) everybody is. A region with a single unit is perfectly
even: 0, with exposures equal to the shares.

Notation as in `segregation_sums`; x_i and X of the group, y_i = t_i − x_i and Y of the others.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.counts import Floats, Integers, quotient
from geomob_dask.metrics.segregation_sums import (
    ABSOLUTE_DEVIATION,
    BINARY_DIVERGENCE,
    OWN_EXPOSURE,
    PAIR_EXPOSURE,
    SQUARE_DEVIATION,
    Counted,
    RegionSums,
    Term,
    Units,
    sums_over,
)


def dissimilarity(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """D: ``Σ t_i |p_i − P| / (2 T P (1 − P))``, the share of the group that would have to move.

    Returns
    -------
    shape (n_regions, n_groups)
        From 0 (even) to 1; NaN as in the module.

    References
    ----------
    Duncan & Duncan (1955); Massey & Denton (1988).

    Examples
    --------
    >>> dissimilarity([[80, 20], [20, 80]])
    array([[0.6, 0.6]])
    """
    sums = sums_over(counts, region, n_regions)
    return quotient(sums[ABSOLUTE_DEVIATION], 2.0 * sums.people * _variance(sums))


def isolation(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """xPx: ``Σ (x_i / X)(x_i / t_i)``, the group's share around its average member.

    Returns
    -------
    shape (n_regions, n_groups)
        From P (even) to 1; NaN where nobody is in the group.

    References
    ----------
    Bell (1954); Lieberson (1981); Massey & Denton (1988).
    """
    sums = sums_over(counts, region, n_regions)
    return quotient(sums[OWN_EXPOSURE], sums.totals)


def interaction(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """xPy: ``Σ (x_i / X)(y_i / t_i)``, the share of group y around the average member of group x.

    Returns
    -------
    shape (n_regions, n_groups, n_groups)
        First group x, then group y; the diagonal is the isolation, and the shares around a group
        add up to 1. NaN where nobody is in group x.

    References
    ----------
    Bell (1954); Lieberson (1981); Massey & Denton (1988).
    """
    sums = sums_over(counts, region, n_regions)
    n_regions, n_groups = sums.totals.shape
    return quotient(sums[PAIR_EXPOSURE].reshape(n_regions, n_groups, n_groups), sums.totals[:, :, None])


def correlation_ratio(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """η²: ``(xPx − P) / (1 − P) = Σ t_i (p_i − P)² / (T P (1 − P))``, isolation freed of the share.

    Returns
    -------
    shape (n_regions, n_groups)
        From 0 (even) to 1; NaN as in the module.

    References
    ----------
    Bell (1954); White (1986); Massey & Denton (1988).
    """
    sums = sums_over(counts, region, n_regions)
    return quotient(sums[SQUARE_DEVIATION], sums.people * _variance(sums))


def theil(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """H: ``Σ t_i (E − E_i) / (T E)``, E the entropy of the group against the others.

    Returns
    -------
    shape (n_regions, n_groups)
        From 0 (even) to 1; NaN as in the module.

    Notes
    -----
    Added up as the divergence of each unit from the region, whose sum is the same and whose terms
    are never negative.

    References
    ----------
    Theil & Finizza (1971); Massey & Denton (1988).
    """
    sums = sums_over(counts, region, n_regions)
    P = sums.share
    logarithms = np.log(np.where(_mixed(P), P, 1.0)), np.log(np.where(_mixed(P), 1.0 - P, 1.0))
    entropy = -(P * logarithms[0] + (1.0 - P) * logarithms[1])
    index: Floats = np.maximum(quotient(sums[BINARY_DIVERGENCE], sums.people * entropy), 0.0)
    return index


def atkinson(
    counts: Counted, region: Integers | None = None, n_regions: int | None = None, *, b: float = 0.5
) -> Floats:
    """A(b): ``1 − P/(1 − P) · (Σ (1 − p_i)^(1−b) p_i^b t_i / (P T))^(1/(1−b))``.

    Parameters
    ----------
    counts, region, n_regions
        See the module.
    b : float in (0, 1)
        Below 0.5 units where the group is rare weigh more, above it those where it is common.

    Returns
    -------
    shape (n_regions, n_groups)
        From 0 (even) to 1; NaN as in the module.

    Raises
    ------
    DefinitionError
        If b does not lie strictly between 0 and 1.

    References
    ----------
    James & Taeuber (1985); Massey & Denton (1988).

    Examples
    --------
    >>> counts = [[80, 20], [20, 80]]
    >>> float(atkinson(counts)[0, 0]), float(atkinson(counts, b=0.1)[0, 0])
    (0.36, 0.08168)
    """
    sums = sums_over(counts, region, n_regions)
    term = atkinson_term(b)
    P = np.where(_mixed(sums.share), sums.share, np.nan)
    mean = quotient(sums[term], sums.people * P)
    return 1.0 - P / (1.0 - P) * mean ** (1.0 / (1.0 - b))


def atkinson_term(b: float) -> Term:
    """``t_i p_i^b (1 − p_i)^(1−b)``, one column per group."""
    if not 0.0 < b < 1.0:
        raise DefinitionError(f"found the shape b = {b} of Atkinson's index, expected a number between 0 and 1")
    return Term(f"atkinson({b!r})", partial(_atkinson, b=b))


def minimum_maximum(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """MM: ``1 − Σ min(x_i/X, y_i/Y) / Σ max(x_i/X, y_i/Y) = 2D / (1 + D)``.

    Returns
    -------
    shape (n_regions, n_groups)
        From 0 (even) to 1; NaN as in the module.

    References
    ----------
    O'Sullivan & Wong (2007), "A surface-based approach to measuring spatial segregation".
    """
    D = dissimilarity(counts, region, n_regions)
    return 2.0 * D / (1.0 + D)


def _atkinson(units: Units, b: float) -> Floats:
    weighted: Floats = units.people * units.share**b * (1.0 - units.share) ** (1.0 - b)
    return weighted


def _mixed(share: Floats) -> NDArray[np.bool_]:
    """Whether some but not all are in the group."""
    return (share > 0) & (share < 1)


def _variance(sums: RegionSums) -> Floats:
    """P (1 − P), zero where there is nobody to compare with."""
    return np.nan_to_num(sums.share * (1.0 - sums.share))
