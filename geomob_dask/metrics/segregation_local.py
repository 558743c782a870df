"""Local segregation: what each group adds to the segregation of its region.

What each unit adds is its divergence from the region (`divergence.divergence`): the mean of the
units' divergences, weighted by their people, is M. Shares against the region are in `location_quotient`.
"""

from __future__ import annotations

from geomob_dask.metrics.counts import Floats, Integers, quotient
from geomob_dask.metrics.segregation_sums import DIVERGENCE, Counted, sums_over


def group_mutual_information(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """Local M of a group: ``Σ_i (n_ik / N_k) ln(p_ik / P_k)``.

    Returns
    -------
    shape (n_regions, n_groups), nats
        From 0 (the group lives where everybody lives) to −ln P_k; ``M = Σ_k P_k M_k``. NaN where nobody
        is in the group.

    References
    ----------
    Alonso-Villar & Del Río (2010); Mora & Ruiz-Castillo (2011).

    Examples
    --------
    >>> group_mutual_information([[10, 10, 0], [10, 10, 20]])
    array([[0.0588915, 0.0588915, 0.405465]])
    """
    sums = sums_over(counts, region, n_regions)
    return quotient(sums[DIVERGENCE], sums.totals)
