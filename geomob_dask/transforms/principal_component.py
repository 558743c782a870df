"""The first principal component of a table of measures, from sums that merge."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def cross_products(values: Floats, mean: Floats, weights: Floats) -> Floats:
    """Return w·(x_i - mean_i)·(x_j - mean_j) of each row for all i <= j, to be summed over the rows.

    Parameters
    ----------
    values : shape (n_rows, n_measures)
        Complete rows.
    mean : shape (n_measures,)
    weights : shape (n_rows,)

    Returns
    -------
    shape (n_rows, n_measures·(n_measures + 1)/2)
        The upper triangle, row by row.
    """
    i, j = np.triu_indices(values.shape[1])
    centered = values - mean
    return weights[:, np.newaxis] * centered[:, i] * centered[:, j]


def correlations(products: Floats, n_measures: int) -> tuple[Floats, Floats]:
    """Return the correlation matrix and the roots of the summed squares, from summed cross products.

    Returns
    -------
    correlation : shape (n_measures, n_measures)
    spread : shape (n_measures,)
        0 for a measure without variance, whose correlations are NaN.
    """
    summed = np.zeros((n_measures, n_measures))
    i, j = np.triu_indices(n_measures)
    summed[i, j] = products
    summed[j, i] = products
    spread = np.sqrt(np.diag(summed))
    with np.errstate(invalid="ignore"):
        return summed / np.outer(spread, spread), spread


def first_component(correlation: Floats) -> Floats:
    """Return the loadings of the first principal component of standardized measures.

    Parameters
    ----------
    correlation : shape (n_measures, n_measures)

    Returns
    -------
    shape (n_measures,)
        Of unit length. An eigenvector has no sign of its own: it is turned so that its loadings add up to
        a positive number, so that measures coded "higher is worse" give a component that is.

    Examples
    --------
    >>> first_component(np.array([[1.0, 0.5], [0.5, 1.0]]))
    array([0.707107, 0.707107])
    """
    _, vectors = np.linalg.eigh(correlation)
    loadings = vectors[:, -1]
    return np.asarray(loadings if loadings.sum() >= 0 else -loadings)
