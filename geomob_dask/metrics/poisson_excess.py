"""What sampling adds to the terms n ln n of an entropy."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import gammaln, xlogy

from geomob_dask.metrics.counts import Floats

# Between these means the expectation is read off a table; below, counts above 1 do not matter; above, it is a series.
_LEAST, _MOST = 1e-6, 100.0
_COUNTS = np.arange(400.0)
_POINTS = 2001


def poisson_excess(mean: Floats) -> Floats:
    """Return twice what a Poisson count adds to λ ln λ: 2 (E[x ln x] − λ ln λ).

    The plug-in estimate of an entropy is biased by half of this for each cell. It is 1 for large cells, as Miller and
    Madow have it, and goes to 0 with the cell: nothing is to be found where nobody is.

    Parameters
    ----------
    mean : any shape, 0 or more
        λ, persons that a sample is expected to find in a cell.

    Returns
    -------
    shape of `mean`
        Within 1e-4.

    References
    ----------
    Paninski (2003), "Estimation of entropy and mutual information", on the bias of small cells.

    Examples
    --------
    >>> poisson_excess(np.array([0.0, 1.0, 1000.0])).round(4)
    array([0.    , 1.1468, 1.0002])
    """
    at = np.asarray(mean, dtype=np.float64)
    grid, table = _table()
    inner = np.interp(np.log(np.clip(at, _LEAST, _MOST)), grid, table)
    large = 1.0 + 1.0 / (6.0 * np.maximum(at, _MOST))
    return np.asarray(np.where(at > _MOST, large, np.where(at < _LEAST, 0.0 - 2.0 * xlogy(at, at), inner)))


@cache
def _table() -> tuple[Floats, Floats]:
    grid = np.linspace(np.log(_LEAST), np.log(_MOST), _POINTS)
    mean = np.exp(grid)[:, None]
    weights = np.exp(xlogy(_COUNTS, mean) - mean - gammaln(_COUNTS + 1.0))
    found = 2.0 * ((weights * xlogy(_COUNTS, _COUNTS)).sum(axis=1) - xlogy(mean, mean)[:, 0])
    return grid, found
