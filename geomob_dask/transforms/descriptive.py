"""Descriptive statistics of columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Description:
    """Statistics of each column, missing values left out; each of shape (n_columns,).

    Attributes
    ----------
    n, missing : values, and missing ones
    mean, sd : mean and sample standard deviation (n - 1)
    quartiles : shape (5, n_columns)
        Minimum, first quartile, median, third quartile (linear between order statistics), maximum.
    """

    n: NDArray[np.int64]
    missing: NDArray[np.int64]
    mean: Floats
    sd: Floats
    quartiles: Floats


def describe(values: Floats) -> Description:
    """Return descriptive statistics of the columns of `values`, shape (n_rows, n_columns).

    NaN where a column has no value, and for the standard deviation of a single one.

    Examples
    --------
    >>> found = describe(np.array([[1.0], [2], [3], [6], [np.nan]]))
    >>> found.n, found.missing, found.mean, found.sd.round(3), found.quartiles[:, 0]
    (array([4]), array([1]), array([3.]), array([2.16]), array([1.  , 1.75, 2.5 , 3.75, 6.  ]))
    """
    known = ~np.isnan(values)
    n_columns = values.shape[1]
    n = known.sum(axis=0)
    mean, sd, quartiles = np.full(n_columns, np.nan), np.full(n_columns, np.nan), np.full((5, n_columns), np.nan)
    for number, column in enumerate(values.T):
        seen = column[known[:, number]]
        if len(seen):
            mean[number] = seen.mean()
            quartiles[:, number] = np.quantile(seen, [0, 0.25, 0.5, 0.75, 1])
        if len(seen) > 1:
            sd[number] = seen.std(ddof=1)
    return Description(n, len(values) - n, mean, sd, quartiles)
