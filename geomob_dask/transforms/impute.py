"""Missing values from neighbors' observed ones, with a flag for every value so found."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from geomob_dask.graph.neighborhoods import once_removed

OBSERVED, DIRECT, ONCE_REMOVED, MISSING = 0, 1, 2, 3


def neighbor_mean(adjacency: sparse.csr_array, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each tract's neighbors' values, those that are missing left out.

    Parameters
    ----------
    adjacency : sparse array, shape (n_tracts, n_around)
        One where the column's tract is a neighbor of the row's. Indices are sorted, so that a sum is taken in
        the order of the tracts and not of the partitions they came from.
    values : shape (n_around, n_measures)
        NaN is missing.

    Returns
    -------
    shape (n_tracts, n_measures)
        NaN where no neighbor has a value.
    """
    known = ~np.isnan(values)
    counts = adjacency @ known.astype(float)
    sums = adjacency @ np.where(known, values, 0.0)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))


def impute(
    own: NDArray[np.intp], adjacency: sparse.csr_array, values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Fill missing cells from direct neighbors, else from those once removed.

    Only observed values serve, never imputed ones. Tracts once removed are reached by a walk of two steps: the
    non-zero entries of A·A. They contain the direct neighbors that share a neighbor, and the tract itself.

    Parameters
    ----------
    own : shape (n_own,)
        The rows to fill; all others only serve them.
    adjacency : sparse array, shape (n_tracts, n_tracts)
        Symmetric among all tracts within one step of an own one; indices sorted.
    values : shape (n_tracts, n_measures)
        Observed values, NaN where missing.

    Returns
    -------
    filled : shape (n_own, n_measures)
        NaN where no tract within two steps has a value.
    how : shape (n_own, n_measures)
        OBSERVED, DIRECT, ONCE_REMOVED or MISSING.

    References
    ----------
    Ohio Opportunity Index (2024), "impute missing values with the mean of neighboring tracts".
    """
    filled = values[own]
    how = np.where(np.isnan(filled), MISSING, OBSERVED).astype(np.uint8)
    for flag in (DIRECT, ONCE_REMOVED):
        rows = np.flatnonzero((how == MISSING).any(axis=1))
        if not len(rows):
            break
        around = adjacency[own[rows]] if flag == DIRECT else once_removed(adjacency, own[rows])
        means = neighbor_mean(around, values)
        found = (how[rows] == MISSING) & ~np.isnan(means)
        filled[rows] = np.where(found, means, filled[rows])
        how[rows] = np.where(found, np.uint8(flag), how[rows])
    return filled, how
