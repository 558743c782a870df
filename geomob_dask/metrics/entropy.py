"""Entropy index H of a tract: how much less diverse its incomes are than its region's."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.metrics.counts import Floats, checked_counts, quotient, shares


def entropy(counts: ArrayLike) -> Floats:
    """Entropy ``−Σ π ln π`` of each row, with 0 · ln 0 = 0.

    Parameters
    ----------
    counts : shape (n_units, n_brackets), persons or households
        Fractions are allowed.

    Returns
    -------
    shape (n_units,), nats
        From 0 (one bracket) to ln of the number of brackets; NaN where a unit is empty.
    """
    return entropy_of_shares(shares(checked_counts(counts)))


def entropy_of_shares(share: Floats) -> Floats:
    """Entropy over the last axis of shares that sum to one; NaN stays NaN."""
    logarithm = np.log(share, out=np.zeros_like(share), where=share > 0)
    # Subtracted from 0: a unit with one bracket has the entropy 0, not −0.
    entropies: Floats = 0.0 - (share * logarithm).sum(axis=-1)
    return entropies


def entropy_index(counts: ArrayLike, region_counts: ArrayLike) -> Floats:
    """H: 1 − entropy of the unit / entropy of its region.

    Parameters
    ----------
    counts : shape (n_units, n_brackets), persons or households
    region_counts : shape (n_brackets,) or (n_units, n_brackets)
        The whole region of each unit.

    Returns
    -------
    shape (n_units,)
        1 where all are in one bracket, 0 where the unit is as diverse as the region, negative where
        it is more so. NaN where the unit is empty or all the region is in one bracket.

    Raises
    ------
    CountsError
        If a count is missing or negative.

    References
    ----------
    von Bergmann, "Income mixing and segregation", "H-index".

    Examples
    --------
    Against an even region H is D / ln Q, and as blind to order as D:

    >>> entropy_index([[0.1, 0.1, 0.1, 0.1, 0.15, 0.05, 0.1, 0.1, 0.1, 0.1]], [1.0] * 10) * np.log(10)
    array([0.0261624])
    """
    own = entropy(counts)
    table = np.asarray(region_counts, dtype=np.float64)
    region = entropy(table[None] if table.ndim == 1 else table)
    return 1.0 - quotient(own, region)
