"""Precision of the counts of single tracts: how many have a poor coefficient of variation, and where they lie.

Both are small, whatever the number of tracts, and merge by addition: any parts of the tracts give the same.

References
----------
Williams & Pancini (2023), "Race/Ethnicity Exposure - City", steps 1 and 2: shares of tracts with a coefficient of
variation of 0.4 or more, and scatter plots of standard errors against counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomob_dask.metrics.quality import FAIR_CV, GOOD_CV
from geomob_dask.transforms.margins_of_error import coefficient_of_variation, standard_error

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TALLIES = ("with_cv", "nobody", "over_good", "over_fair", "without_cv")
"""Columns of `cv_tallies`."""

# Cells of a scatter are squares in the square roots of counts and standard errors: small ones do not fall into one
# cell, as they would on a linear scale, nobody has a place, and a coefficient of variation is a line from the origin.
COUNT_STEP, ERROR_STEP = 2.0, 0.5
MOST_CELLS = 1500


def cv_tallies(counts: Floats, moes: Floats, total: Floats) -> Integers:
    """Return numbers of tracts by the coefficient of variation (CV) of their counts.

    Parameters
    ----------
    counts, moes : shape (n_tracts, n_groups), persons
        Estimates and 90 per cent margins. NaN: not known.
    total : shape (n_tracts,), persons
        Tracts without people are left out, as in the source.

    Returns
    -------
    shape (n_groups, 5)
        Tracts with a CV; those of them with nobody of the group, whose CV is infinite; with a CV of 0.2 or more, and
        of 0.4 or more, which includes these; tracts without a CV: the count or its margin is not known, or both are
        zero.

    Examples
    --------
    Standard errors of 10 for 100, 40 and 20 people, and for none; nobody lives in the last tract:

    >>> counts = np.array([[100.0], [40.0], [20.0], [0.0], [0.0]])
    >>> cv_tallies(counts, np.full((5, 1), 16.45), np.array([500.0, 500.0, 500.0, 500.0, 0.0])).tolist()
    [[4, 1, 3, 2, 0]]
    """
    populated = ~(np.asarray(total) == 0)
    people, errors = counts[populated], standard_error(moes)[populated]
    nobody = (people == 0) & (errors > 0)
    cv = np.where(nobody, np.inf, coefficient_of_variation(people, errors))
    columns = [~np.isnan(cv), nobody, cv >= GOOD_CV, cv >= FAIR_CV, np.isnan(cv)]
    return np.stack([column.sum(axis=0) for column in columns], axis=1).astype(np.int64)


@dataclass(frozen=True)
class Cells:
    """Tracts counted in cells of count and standard error.

    Attributes
    ----------
    level : int
        Cells have 2^level times the smallest sides.
    count, error : shape (n_cells,)
        Cell k of a side s reaches from (k·s)² to ((k + 1)·s)², with s = `COUNT_STEP` or `ERROR_STEP` at level 0.
    tracts : shape (n_cells,)
        One or more.
    """

    level: int
    count: Integers
    error: Integers
    tracts: Integers

    @classmethod
    def of(cls, counts: Floats, moes: Floats, total: Floats, *, most: int = MOST_CELLS) -> Cells:
        """Return the cells of the tracts that have people, a count and a margin.

        Parameters
        ----------
        counts, moes : shape (n_tracts,), persons
        total : shape (n_tracts,), persons
        most : int
            Where there are more cells, their sides are doubled until there are not.

        Examples
        --------
        >>> cells = Cells.of(np.array([0.0, 3.0, 100.0]), np.array([19.74, 19.74, 41.125]), np.full(3, 500.0))
        >>> cells.count.tolist(), cells.error.tolist(), cells.tracts.tolist()
        ([0, 5], [6, 10], [2, 1])
        """
        errors = standard_error(moes)
        given = ~(total == 0) & ~np.isnan(counts) & ~np.isnan(errors)
        count = np.floor(np.sqrt(counts[given]) / COUNT_STEP).astype(np.int64)
        error = np.floor(np.sqrt(errors[given]) / ERROR_STEP).astype(np.int64)
        return cls._merged(0, count, error, np.ones(len(count), np.int64), most)

    @classmethod
    def merged(cls, parts: Sequence[Cells], *, most: int = MOST_CELLS) -> Cells:
        """Return the cells of all parts.

        A part has no more cells than the whole at any level, so that none is coarser than the whole will be: the
        result does not depend on how tracts are parted.
        """
        level = max(part.level for part in parts)
        count = np.concatenate([part.count >> (level - part.level) for part in parts])
        error = np.concatenate([part.error >> (level - part.level) for part in parts])
        return cls._merged(level, count, error, np.concatenate([part.tracts for part in parts]), most)

    @classmethod
    def _merged(cls, level: int, count: Integers, error: Integers, tracts: Integers, most: int) -> Cells:
        while True:
            cells, places = np.unique(np.column_stack([count, error]), axis=0, return_inverse=True)
            if len(cells) <= most:
                sums = np.bincount(places.ravel(), weights=tracts, minlength=len(cells)).astype(np.int64)
                return cls(level, cells[:, 0], cells[:, 1], sums)
            level, count, error = level + 1, count >> 1, error >> 1

    def edges(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the ends of each cell in people: count from, count to, standard error from, standard error to."""
        wide, high = COUNT_STEP * 2**self.level, ERROR_STEP * 2**self.level
        return (
            (self.count * wide) ** 2,
            ((self.count + 1) * wide) ** 2,
            (self.error * high) ** 2,
            ((self.error + 1) * high) ** 2,
        )
