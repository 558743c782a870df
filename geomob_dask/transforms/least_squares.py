"""Multiple regression of an outcome on the domains of an index, by ordinary least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Regression:
    """A regression with a constant.

    Attributes
    ----------
    n : int
        Rows with the outcome and all domains.
    r_squared, adjusted : float
        Share of the outcome's variance that all domains explain together, and the same with variances divided by their
        degrees of freedom; NaN where there are too few rows or the outcome does not vary.
    coefficients, errors : shape (1 + n_domains,)
        The constant, then each domain, with standard errors under independent errors of equal variance. Where domains
        repeat each other the coefficients are those of least length, and the errors are NaN.
    """

    n: int
    r_squared: float
    adjusted: float
    coefficients: Floats
    errors: Floats


def least_squares(outcome: Floats, domains: Floats) -> Regression:
    """Return the regression of an outcome on all domains.

    Parameters
    ----------
    outcome : shape (n_tracts,)
    domains : shape (n_tracts, n_domains)
        Rows with a missing value are left out.

    References
    ----------
    Ohio Opportunity Index (2024), validation: "Multiple Regression R-squared".

    Examples
    --------
    >>> domains = np.array([[0.0, 1], [1, 0], [2, 1], [3, 0], [4, 4]])
    >>> found = least_squares(1 + 2 * domains[:, 0] - domains[:, 1], domains)
    >>> found.n, round(found.r_squared, 9), found.coefficients.round(9)
    (5, 1.0, array([ 1.,  2., -1.]))
    """
    rows = ~np.isnan(np.column_stack([outcome, domains])).any(axis=1)
    y, design = outcome[rows], np.column_stack([np.ones(rows.sum()), domains[rows]])
    n, n_terms = design.shape
    none = np.full(n_terms, np.nan)
    if n <= n_terms or np.ptp(y) == 0:
        return Regression(n, np.nan, np.nan, none, none)
    # Columns of one size: a domain in small units is not taken for one that repeats others.
    scale = np.sqrt((design**2).sum(axis=0))
    scale[scale == 0] = 1.0
    left, singular, right = np.linalg.svd(design / scale, full_matrices=False)
    kept = singular > singular[0] * n * np.finfo(np.float64).eps
    inverse = np.divide(1.0, singular, out=np.zeros(n_terms), where=kept)
    coefficients = (right.T @ (inverse * (left.T @ y))) / scale
    unexplained = float(((y - design @ coefficients) ** 2).sum())
    whole = float(((y - y.mean()) ** 2).sum())
    free = n - int(kept.sum())
    errors = none
    if kept.all():
        errors = np.sqrt(unexplained / free * ((right.T * inverse) ** 2).sum(axis=1)) / scale
    adjusted = 1 - (unexplained / free) / (whole / (n - 1))
    return Regression(n, 1 - unexplained / whole, adjusted, coefficients, errors)
