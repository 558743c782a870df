"""Values such as -999 that stand for a missing one, told from measures by how far they lie from all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geomob_dask.sources.special_codes import SPECIAL_CODES

Floats = NDArray[np.float64]

CODES = np.array([special.code for special in SPECIAL_CODES], dtype=np.float64)
# Codes of the Bureau that were rounded on their way: -6.67e8, or -666666688 in single precision.
_ROUNDED = 1e-3
# -99, -999, … and the same of eights, sevens and sixes; of positive ones, only many nines.
NEGATIVE = np.array([-float(digit * count) for digit in "9876" for count in range(2, 11)])
POSITIVE = np.array([float("9" * count) for count in range(4, 11)])
# A positive code is that many times larger than all else.
_TIMES_LARGER = 20.0


def sentinel(values: Floats) -> float | None:
    """Return a value that stands for a missing one; None where there is none.

    It has the form of one (-99, -999, -888, …, a code of the Census Bureau that was rounded, 9999, 99999, …) and lies
    far outside of all values of other forms: a negative one below others that are not negative, or below them by more
    than they span; a positive one 20 times as large as all others.

    Parameters
    ----------
    values : shape (n,)
        Finite.

    Examples
    --------
    >>> sentinel(np.array([21.0, 38.0, -999.0])), sentinel(np.array([-1200.0, 1500.0, -999.0]))
    (-999.0, None)
    """
    suspected = _suspected(values)
    rest = values[~suspected]
    for value in np.unique(values[suspected]):
        if _is_far(float(value), rest, int((values == value).sum())):
            return float(value)
    return None


def _suspected(values: Floats) -> NDArray[np.bool_]:
    low, high = np.flatnonzero(values <= NEGATIVE.max()), np.flatnonzero(values >= POSITIVE.min())
    found = np.zeros(len(values), dtype=bool)
    found[low] = np.isin(values[low], NEGATIVE)
    for code in CODES:
        found[low] |= np.abs(values[low] - code) < abs(code) * _ROUNDED
    for value in POSITIVE:
        found[high] |= values[high] == value
    return found


def _is_far(value: float, rest: Floats, count: int) -> bool:
    if not len(rest):
        # One value alone may be anything; a column of the same code is not.
        return value < 0 and count > 1
    lowest, highest = float(rest.min()), float(rest.max())
    if value > 0:
        return value >= _TIMES_LARGER * max(abs(lowest), abs(highest))
    return lowest >= 0 or value < lowest - (highest - lowest)
