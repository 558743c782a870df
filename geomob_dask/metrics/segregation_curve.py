"""Segregation curve: the group's cumulative share over its others', units sorted by the group's share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.metrics.counts import Floats, checked_counts, quotient, shares


def segregation_curve(counts: ArrayLike, group: int) -> tuple[Floats, Floats]:
    """Points of the segregation (Lorenz) curve of one group against everybody else in one region.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
    group : int
        Column of the group.

    Returns
    -------
    others, members : each shape (n_units + 1,)
        Cumulative shares, from 0 to 1, units where the group is rarest first. The diagonal is
        evenness; the Gini index is twice the area between, D the largest distance below it. NaN after the
        first point where nobody or everybody is in the group, in that of the two that has nobody.

    Raises
    ------
    CountsError
        If a count is missing or negative.

    References
    ----------
    Duncan & Duncan (1955).

    Examples
    --------
    >>> others, members = segregation_curve([[20, 80], [80, 20]], 0)
    >>> others, members
    (array([0. , 0.8, 1. ]), array([0. , 0.2, 1. ]))
    """
    table = checked_counts(counts)
    order = np.argsort(np.nan_to_num(shares(table)[:, group]), kind="stable")
    members = table[order, group]
    others = table[order].sum(axis=1) - members
    return _cumulative(others), _cumulative(members)


def _cumulative(people: Floats) -> Floats:
    curve: Floats = np.r_[0.0, quotient(np.cumsum(people), people.sum())]
    return curve
