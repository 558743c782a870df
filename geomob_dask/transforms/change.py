"""The change of an estimate between two years, and whether it is more than its margin of error."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomob_dask.errors import InputError
from geomob_dask.transforms.margins_of_error import difference_moe

KNOWN_NOT, NOT, YES = -1, 0, 1


def shared_sample(first: int, last: int, period: int = 1) -> float:
    """Return the share of two samples' years that they have in common.

    Parameters
    ----------
    first, last : int
        The last year of each sample.
    period : int
        Years that a sample spans: 5 for the American Community Survey's 5-year estimates.

    Raises
    ------
    InputError
        If the period is less than a year.

    Examples
    --------
    2014-2018 and 2016-2020 share three of five years:

    >>> shared_sample(2018, 2020, 5)
    0.6
    """
    if period < 1:
        raise InputError(f"period {period}: expected the years that an estimate spans, 1 or more")
    return max(0.0, (period - abs(last - first)) / period)


def change_moe(before: ArrayLike, after: ArrayLike, shared: float = 0.0) -> NDArray[np.float64]:
    """Return the margin of error of after − before: √(1 − C)·√(MOE₁² + MOE₂²).

    Parameters
    ----------
    before, after : shape (n,)
        Margins of the two estimates, in the units of the estimates; NaN where not known.
    shared : float
        C, the share of the sample that both have in common, from 0 to less than 1.

    Returns
    -------
    shape (n,)
        NaN where a margin is not known, and everywhere where the samples are the same.

    References
    ----------
    U.S. Census Bureau, "American Community Survey Multiyear Accuracy of the Data", comparison of estimates of
    overlapping periods.

    Examples
    --------
    >>> change_moe([3.0, 3.0], [4.0, np.nan])
    array([ 5., nan])
    >>> change_moe([3.0], [4.0], shared=0.64)
    array([3.])
    """
    margin = difference_moe(before, after)
    return np.sqrt(1 - shared) * margin if shared < 1 else np.full_like(margin, np.nan)


def beyond_margin(change: ArrayLike, margin: ArrayLike) -> NDArray[np.int8]:
    """Return whether a change is larger than its margin: 1, 0, or −1 where change or margin is not known.

    Examples
    --------
    >>> beyond_margin([6.0, -6.0, 4.0, 6.0], [5.0, 5.0, 5.0, np.nan])
    array([ 1,  1,  0, -1], dtype=int8)
    """
    difference, moe = np.asarray(change, float), np.asarray(margin, float)
    known = ~(np.isnan(difference) | np.isnan(moe))
    return np.where(known, np.abs(difference) > moe, KNOWN_NOT).astype(np.int8)
