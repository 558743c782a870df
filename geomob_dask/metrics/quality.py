"""Reliability of regional values: suppression, grades, and why a value is missing.

Williams & Pancini (2023), "Race/Ethnicity Exposure - City", step 7. The published quality grades the count of a
group in a region. A count can be good where the exposure, computed from small tracts, is not: that has its own grade.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomob_dask.errors import SettingsError
from geomob_dask.transforms.margins_of_error import margin_of_error

Floats = NDArray[np.float64]

SUPPRESSION_THRESHOLD = 30
GOOD_CV = 0.2
FAIR_CV = 0.4
GOOD_ERROR = 0.02
FAIR_ERROR = 0.05
SPREAD = 0.05


class Reason(IntEnum):
    """Why a value, its error or its flag is missing; the most basic reason is named where several apply."""

    NONE = 0
    COUNT_MISSING = 1
    ABSENT = 2
    SUPPRESSED = 3
    MOE_MISSING = 4

    @property
    def words(self) -> str:
        """Return the reason as tables say it; empty where nothing is missing."""
        return _WORDS[self]


_WORDS = {
    Reason.NONE: "",
    Reason.COUNT_MISSING: "a tract's count is missing",
    Reason.ABSENT: "nobody of the group lives here",
    Reason.SUPPRESSED: "suppressed: too few people of the group",
    Reason.MOE_MISSING: "value given; a tract's margin of error is missing, so its error is not known",
}


def missing_reason(
    count: ArrayLike, missing_counts: ArrayLike, missing_moes: ArrayLike, threshold: float = SUPPRESSION_THRESHOLD
) -> NDArray[np.uint8]:
    """Return the reason why the value of a group in a region, or its error, is missing.

    Parameters
    ----------
    count : persons of the group in the region
    missing_counts, missing_moes : number of its tracts whose count or margin of error is missing
    threshold : float
        A group of this many people or fewer is suppressed.

    Returns
    -------
    uint8, values of `Reason`
        All but ``NONE`` and ``MOE_MISSING`` mean that the value itself is missing.

    Examples
    --------
    >>> missing_reason([31, 30, 0], 0, 0).tolist()
    [0, 3, 2]
    """
    if not threshold >= 0:
        raise SettingsError(f"suppression threshold: found {threshold!r}, expected zero or more people")
    people = np.asarray(count, dtype=np.float64)
    # Later assignments win: from the mildest reason to the most basic.
    reason = np.where(np.asarray(missing_moes) > 0, np.uint8(Reason.MOE_MISSING), np.uint8(Reason.NONE))
    reason = np.where(people <= threshold, np.uint8(Reason.SUPPRESSED), reason)
    reason = np.where(people == 0, np.uint8(Reason.ABSENT), reason)
    return np.where(np.asarray(missing_counts) > 0, np.uint8(Reason.COUNT_MISSING), reason)


def is_missing(reason: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which reasons leave the value itself missing."""
    return np.isin(reason, [Reason.COUNT_MISSING, Reason.ABSENT, Reason.SUPPRESSED])


def quality_flag(cv: ArrayLike, value: ArrayLike) -> Floats:
    """Return the published quality of a value: that of its region's count, from the coefficient of variation.

    Returns
    -------
    1 below 0.2, 2 below 0.4, 3 from there on; NaN where the value or the coefficient is missing

    Examples
    --------
    >>> quality_flag([0.1, 0.2, 0.4, 0.1], [0.5, 0.5, 0.5, np.nan])
    array([ 1.,  2.,  3., nan])
    """
    variation = np.asarray(cv, dtype=np.float64)
    grade = 1.0 + (variation >= GOOD_CV) + (variation >= FAIR_CV)
    return np.where(np.isnan(variation) | np.isnan(np.asarray(value, np.float64)), np.nan, grade)


def accuracy_grade(se: ArrayLike, correction: ArrayLike, spread: ArrayLike = 0.0) -> Floats:
    """Return how accurate an exposure itself is.

    Its error is its 90 per cent margin and the whole size of its correction for noise, which is an estimate too.

    Parameters
    ----------
    se : share
        Standard error.
    correction : share
        Corrected minus uncorrected value.
    spread : share
        Of the region's people, those who live in tracts that lie in it in part, if they are taken as evenly spread over
        the tract's area. What that does to an exposure no margin says: where they are more than a twentieth, the grade
        is one lower.

    Returns
    -------
    1 where the error is below 2 points of 100, 2 below 5, 3 from there on; NaN where error or correction is missing

    Examples
    --------
    >>> accuracy_grade([0.01, 0.01, 0.03, np.nan], [0.0, -0.02, 0.02, 0.0])
    array([ 1.,  2.,  3., nan])
    >>> accuracy_grade(0.01, 0.0, [0.04, 0.5])
    array([1., 2.])
    """
    error = margin_of_error(se) + np.abs(np.asarray(correction, dtype=np.float64))
    lower = np.asarray(spread, dtype=np.float64) > SPREAD
    grade = np.minimum(1.0 + (error >= GOOD_ERROR) + (error >= FAIR_ERROR) + lower, 3.0)
    return np.where(np.isnan(error), np.nan, grade)
