"""Margins of error of numbers derived from published estimates.

The approximations of the Census Bureau for users of published margins (no covariances): U.S. Census Bureau,
*Understanding and Using American Community Survey Data*, chapter 8, "Calculating Measures of Error for Derived
Estimates". A margin is the half-width of a 90 per cent interval, 1.645 standard errors.

In all functions a margin that is not known is NaN, as is any margin that depends on it. The Bureau's special codes
(−555555555 and the like) are no margins: they are decoded where data enter, and a negative margin is an error here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomob_dask.errors import CountsError

Floats = NDArray[np.float64]

Z_90 = 1.645
# Of a square: what rounding leaves of a difference of two.
_ROUNDING = 1e-12


def standard_error(moe: ArrayLike) -> Floats:
    """Return the standard error of a published 90 per cent margin: MOE / 1.645.

    Examples
    --------
    >>> standard_error([164.5, 0.0])
    array([100., 0.])
    """
    return np.asarray(_margins(moe) / Z_90)


def margin_of_error(se: ArrayLike) -> Floats:
    """Return the 90 per cent margin of a standard error: 1.645 · SE."""
    return np.asarray(Z_90 * np.asarray(se, dtype=np.float64))


def coefficient_of_variation(estimate: ArrayLike, se: ArrayLike) -> Floats:
    """Return the standard error in units of the estimate: SE / |estimate|.

    Returns
    -------
    broadcast shape of `estimate` and `se`
        NaN where the estimate is zero (its relative error is not defined) or either is missing.

    Examples
    --------
    >>> coefficient_of_variation([50.0, 0.0], [10.0, 7.0])
    array([0.2, nan])
    """
    size, error = np.broadcast_arrays(np.abs(np.asarray(estimate, np.float64)), np.asarray(se, np.float64))
    return np.asarray(np.divide(error, size, out=np.full(size.shape, np.nan), where=size > 0))


def sum_moe(estimates: ArrayLike, moes: ArrayLike) -> Floats:
    """Return the margin of a sum of estimates, counting at most one zero estimate.

    √(Σ over non-zero estimates MOE² + the largest MOE² among zero estimates). A zero estimate's margin reflects the
    sampling rate, not the sample, so adding several of them overstates the error of the sum.

    Parameters
    ----------
    estimates, moes : shape (..., n_parts)
        The parts lie along the last axis.

    Returns
    -------
    shape (...)
        NaN where any part's estimate or margin is missing.

    Raises
    ------
    CountsError
        If a margin is negative.

    References
    ----------
    U.S. Census Bureau, "Using American Community Survey Estimates and Margins of Error" (2018), and Williams &
    Pancini (2023), "Race/Ethnicity Exposure - City", step 2.

    Examples
    --------
    Two zero estimates; only the larger of their margins, 4, is kept:

    >>> sum_moe([10, 0, 0], [3, 4, 2])
    array(5.)
    """
    parts, margins = np.broadcast_arrays(np.asarray(estimates, dtype=np.float64), _margins(moes))
    zero = parts == 0
    # Part by part: the order of additions, hence the last bit, does not depend on the memory layout.
    squares = np.zeros(parts.shape[:-1])
    largest_zero = np.zeros(parts.shape[:-1])
    for part in range(parts.shape[-1]):
        margin = np.where(np.isnan(parts[..., part]), np.nan, margins[..., part])
        squares = squares + np.where(zero[..., part], 0.0, margin**2)
        largest_zero = np.where(zero[..., part], np.maximum(largest_zero, margin), largest_zero)
    return np.asarray(np.sqrt(squares + largest_zero**2))


def difference_moe(*moes: ArrayLike) -> Floats:
    """Return the margin of a sum or difference of estimates, none of them a zero of its kind: √(Σ MOE²).

    For the remainder of a total after its parts it is mostly too wide: the total's error is taken as independent of
    the parts', though it is largely theirs.

    Examples
    --------
    >>> difference_moe(3.0, 4.0)
    array(5.)
    """
    squares: Floats = np.zeros(())
    for moe in moes:
        squares = squares + _margins(moe) ** 2
    return np.asarray(np.sqrt(squares))


def weighted_sum_moe(weights: ArrayLike, moes: ArrayLike) -> Floats:
    """Return the margin of Σ w·estimate with weights known without error: √(Σ (w·MOE)²), over the last axis.

    Examples
    --------
    >>> weighted_sum_moe([0.5, 1.0], [6.0, 4.0])
    array(5.)
    """
    weight, margins = np.broadcast_arrays(np.asarray(weights, dtype=np.float64), _margins(moes))
    squares = np.zeros(margins.shape[:-1])
    for part in range(margins.shape[-1]):
        squares = squares + (weight[..., part] * margins[..., part]) ** 2
    return np.asarray(np.sqrt(squares))


def product_moe(x: ArrayLike, x_moe: ArrayLike, y: ArrayLike, y_moe: ArrayLike) -> Floats:
    """Return the margin of x·y: √(x²·MOE_y² + y²·MOE_x²).

    Examples
    --------
    >>> product_moe(2.0, 3.0, 5.0, 4.0)
    array(17.)
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return np.asarray(np.sqrt((first * _margins(y_moe)) ** 2 + (second * _margins(x_moe)) ** 2))


def ratio_moe(
    numerator: ArrayLike, numerator_moe: ArrayLike, denominator: ArrayLike, denominator_moe: ArrayLike
) -> Floats:
    """Return the margin of a ratio whose numerator is no part of its denominator.

    √(MOE_n² + R²·MOE_d²) / d with R = n/d; NaN where the denominator is zero.

    Examples
    --------
    >>> ratio_moe(1.0, 3.0, 1.0, 4.0)
    array(5.)
    """
    root, size = _under_the_root(numerator, numerator_moe, denominator, denominator_moe, sign=1.0)
    return _divided(np.sqrt(root), size)


def proportion_moe(
    numerator: ArrayLike, numerator_moe: ArrayLike, denominator: ArrayLike, denominator_moe: ArrayLike
) -> Floats:
    """Return the margin of a proportion, whose numerator is part of its denominator.

    √(MOE_n² − P²·MOE_d²) / d with P = n/d; where the root's argument is negative, the Bureau's fallback is the
    formula of the ratio, with a plus. So it is where the argument is zero but for rounding: uncertain estimates have no
    certain proportion. Where P is 1 the margin is MOE_n / d, as it is where P is 0: all of a sample in the part says
    as little of the rest as none of it. NaN where the denominator is zero.

    Raises
    ------
    CountsError
        If a margin is negative, or a numerator exceeds its denominator.

    Examples
    --------
    The second argument is negative (3² − ½²·8²), so the ratio's formula serves:

    >>> proportion_moe([1.0, 1.0], [5.0, 3.0], [2.0, 2.0], [8.0, 8.0])
    array([1.5, 2.5])

    All 90 ± 106 people of a tract of 90 ± 106, and none of them:

    >>> proportion_moe([90.0, 0.0], [106.0, 12.0], [90.0, 90.0], [106.0, 106.0]).round(3)
    array([1.178, 0.133])
    """
    part, whole = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    above = (part > whole).reshape(-1)
    if above.any():
        at = int(np.argmax(above))
        raise CountsError(
            f"row {at}: found a part of {part.reshape(-1)[at]:g} in a whole of {whole.reshape(-1)[at]:g}; "
            "expected the numerator of a proportion to be part of its denominator (use ratio_moe where it is not)"
        )
    root, size = _under_the_root(numerator, numerator_moe, denominator, denominator_moe, sign=-1.0)
    fallback, _ = _under_the_root(numerator, numerator_moe, denominator, denominator_moe, sign=1.0)
    own = _margins(numerator_moe) ** 2
    root = np.where(part == whole, own, np.where(root <= _ROUNDING * own, fallback, root))
    return _divided(np.sqrt(root), size)


def _under_the_root(
    numerator: ArrayLike, numerator_moe: ArrayLike, denominator: ArrayLike, denominator_moe: ArrayLike, sign: float
) -> tuple[Floats, Floats]:
    size = np.asarray(denominator, dtype=np.float64)
    quotient = _divided(np.asarray(numerator, dtype=np.float64), size)
    squares = _margins(numerator_moe) ** 2 + sign * quotient**2 * _margins(denominator_moe) ** 2
    return np.asarray(squares), size


def _divided(numerator: Floats, denominator: Floats) -> Floats:
    top, bottom = np.broadcast_arrays(numerator, denominator)
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0))


def _margins(moe: ArrayLike) -> Floats:
    margins = np.asarray(moe, dtype=np.float64)
    negative = (margins < 0).reshape(-1)
    if negative.any():
        at = int(np.argmax(negative))
        raise CountsError(
            f"margin of error {at}: found {margins.reshape(-1)[at]:.0f}, expected zero or more "
            "(special codes must be decoded before any formula)"
        )
    return margins
