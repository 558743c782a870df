"""Dollars of one year from dollars of another, by an index of prices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import InputError

Floats = NDArray[np.float64]


def deflate(values: Floats, index: float, index_of_dollars: float) -> Floats:
    """Return money, or its margins of error, in dollars of another year: value · index of that year / index.

    The index is taken as known without error, so a margin is scaled as its estimate is. A median may be deflated: all
    values are multiplied by one number, which keeps their order.

    Parameters
    ----------
    values : any shape, dollars of the year of `index`
        NaN: not known, and stays so.
    index : float
        Of prices in the year of the values.
    index_of_dollars : float
        In the year whose dollars are wanted.

    Raises
    ------
    InputError
        If an index is not above zero.

    Examples
    --------
    >>> deflate(np.array([50000.0]), 200.0, 300.0)
    array([75000.])
    """
    for found in (index, index_of_dollars):
        if not found > 0 or not np.isfinite(found):
            raise InputError(f"index of prices: found {found:g}, expected a number above zero")
    return np.asarray(values * (index_of_dollars / index), dtype=np.float64)
