"""Classes of a measure on the page: the same as those of maps in files, by how many and which way is better."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geomob_dask.outputs.classes import METHODS, Scale, diverging
from geomob_dask.outputs.palette import CHANGES, LEVELS


def classes_of(
    values: NDArray[np.float32], method: str, classes: int, unit: str, better: int, differs: bool
) -> Scale | None:
    """Return classes of values; None where there is none.

    Parameters
    ----------
    values : shape (n,), float32
        NaN is missing.
    method : str
        One of `METHODS`: as many units in each class, breaks where values differ least, or steps of equal width.
    classes : int
        Of a difference there are always seven.
    unit : str
    better : int
        1 where more is better, -1 where it is worse, 0 where neither is said.
    differs : bool
        Whether values are differences, whose classes are on both sides of zero.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return None
    if differs:
        return diverging(known, CHANGES[better], unit=unit)
    return METHODS[method](known, LEVELS[better], classes=classes, unit=unit)
