"""Multi-group indices of segregation (Reardon & Firebaugh 2002).

Each takes counts of shape (n_units, n_groups), persons or households, with the region of each unit (all units are one
region by default), or sums of regions already added up (`RegionSums`), and returns one value for each region.
Groups that nobody in a region belongs to change nothing. NaN means that the index has nothing to measure: nobody lives
in the region, or all are in one group (M is 0 then). A region with a single unit is perfectly even: 0.

Notation as in `segregation_sums`; I = Σ_k P_k (1 − P_k), E = −Σ_k P_k ln P_k.
"""

from __future__ import annotations

import numpy as np

from geomob_dask.metrics.counts import Floats, Integers, quotient
from geomob_dask.metrics.entropy import entropy_of_shares
from geomob_dask.metrics.segregation_sums import (
    ABSOLUTE_DEVIATION,
    DIVERGENCE,
    SQUARE_DEVIATION,
    Counted,
    RegionSums,
    sums_over,
)


def multigroup_dissimilarity(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """D: ``Σ_k Σ_i t_i |p_ik − P_k| / (2 T I)``.

    Returns
    -------
    shape (n_regions,)
        From 0 (even) to 1 (no unit has two groups); NaN as in the module.

    References
    ----------
    Morgan (1975); Sakoda (1981); Reardon & Firebaugh (2002).

    Examples
    --------
    >>> multigroup_dissimilarity([[10, 0, 0], [0, 5, 5]])
    array([0.8])
    """
    sums = sums_over(counts, region, n_regions)
    return quotient(sums[ABSOLUTE_DEVIATION].sum(axis=1), 2.0 * sums.people[:, 0] * sums.interaction)


def mutual_information(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """M: ``Σ_i Σ_k (n_ik / T) ln(p_ik / P_k)``, also the mean divergence of the units (Roberto 2016).

    Returns
    -------
    shape (n_regions,), nats
        From 0 (even) to E; NaN where nobody lives in the region.

    References
    ----------
    Theil & Finizza (1971); Frankel & Volij (2011); Mora & Ruiz-Castillo (2011).

    Examples
    --------
    >>> mutual_information([[10, 0], [0, 10]])
    array([0.693147])
    """
    sums = sums_over(counts, region, n_regions)
    # Rounding may leave the zero of an even region a hair below it.
    index: Floats = np.maximum(quotient(sums[DIVERGENCE].sum(axis=1), sums.people[:, 0]), 0.0)
    return index


def information_theory(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """H: ``M / E``, Theil's information theory index; E over the groups that are present.

    Returns
    -------
    shape (n_regions,)
        From 0 (even) to 1; NaN as in the module.

    References
    ----------
    Theil (1972); Reardon & Firebaugh (2002).
    """
    sums = sums_over(counts, region, n_regions)
    return quotient(mutual_information(sums), diversity(sums))


def relative_diversity(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """R: ``Σ_k Σ_i t_i (p_ik − P_k)² / (T I)``.

    Returns
    -------
    shape (n_regions,)
        From 0 (even) to 1; NaN as in the module.

    References
    ----------
    Goodman & Kruskal (1954); Carlson (1992); Reardon & Firebaugh (2002).
    """
    sums = sums_over(counts, region, n_regions)
    return quotient(sums[SQUARE_DEVIATION].sum(axis=1), sums.people[:, 0] * sums.interaction)


def normalized_exposure(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """P: ``Σ_k Σ_i t_i (p_ik − P_k)² / (T (1 − P_k))``, the mean of η² weighted by P_k.

    Returns
    -------
    shape (n_regions,)
        From 0 (even) to 1; NaN as in the module.

    References
    ----------
    James (1986); Reardon & Firebaugh (2002).
    """
    sums = sums_over(counts, region, n_regions)
    of_group = quotient(sums[SQUARE_DEVIATION], sums.people * (1.0 - sums.share))
    return _with_two_groups(sums, np.nansum(of_group, axis=1))


def squared_coefficient_of_variation(
    counts: Counted, region: Integers | None = None, n_regions: int | None = None
) -> Floats:
    """C: ``Σ_k Σ_i t_i (p_ik − P_k)² / (T (K − 1) P_k)``, K the groups that are present.

    Returns
    -------
    shape (n_regions,)
        From 0 (even) to 1; NaN as in the module.

    References
    ----------
    Reardon & Firebaugh (2002).
    """
    sums = sums_over(counts, region, n_regions)
    of_group = quotient(sums[SQUARE_DEVIATION], sums.totals)
    groups = (sums.totals > 0).sum(axis=1)
    return _with_two_groups(sums, quotient(np.nansum(of_group, axis=1), np.maximum(groups - 1.0, 0.0)))


def simpson_interaction(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """I: ``Σ_k P_k (1 − P_k)``, the chance that two people of the region differ in group.

    Returns
    -------
    shape (n_regions,)
        From 0 (one group) to 1 − 1/K; NaN where nobody lives in the region.

    References
    ----------
    Simpson (1949); Lieberson (1969); Reardon & Firebaugh (2002).
    """
    sums = sums_over(counts, region, n_regions)
    return sums.interaction


def diversity(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """E: ``−Σ_k P_k ln P_k``, the entropy of the region.

    Returns
    -------
    shape (n_regions,), nats
        From 0 (one group) to ln K; NaN where nobody lives in the region.

    References
    ----------
    Shannon (1948); Theil (1972); Reardon & Firebaugh (2002).
    """
    sums = sums_over(counts, region, n_regions)
    return entropy_of_shares(sums.share)


def _with_two_groups(sums: RegionSums, index: Floats) -> Floats:
    return np.where((sums.totals > 0).sum(axis=1) >= 2, index, np.nan)
