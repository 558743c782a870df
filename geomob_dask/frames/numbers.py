"""Numbers of tracts that no method can take: negative people, and values whose squares overflow."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import CountsError
from geomob_dask.frames.keys import to_text

# Sums over all tracts of the squares of smaller numbers are finite.
LARGEST = 1e150


def check_numbers(table: pd.DataFrame, columns: Sequence[str], *, counts: Collection[str] = (), name: str = "") -> None:
    """Raise CountsError for a number that cannot be computed with: it names the tract and the column.

    Parameters
    ----------
    table : DataFrame
        By tract; NaN is not known, and is passed over.
    columns : sequence of str
        Those that are checked.
    counts : collection of str
        Those among them that hold people, or margins of error: zero or more.
    name : str
        Of the table, for the message.

    Raises
    ------
    CountsError
        If a number is infinite or beyond 1e150, or a count is negative.

    Examples
    --------
    >>> tracts = pd.DataFrame({"people": [5.0, -1.0]}, ["01001020100", "01001020200"])
    >>> check_numbers(tracts, ["people"], counts=["people"])
    Traceback (most recent call last):
    geomob_dask.errors.CountsError: column people, tract 01001020200: found -1, expected zero or more
    """
    where = f"{name}: " if name else ""
    numbers = table[list(columns)].to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(invalid="ignore"):
        large, negative = np.abs(numbers) > LARGEST, numbers < 0
    negative[:, [column not in counts for column in columns]] = False
    for wrong, expected in ((negative, "zero or more"), (large, f"a number of at most {LARGEST:g}")):
        if wrong.any():
            row, place = _first(wrong)
            tract = to_text(table.index)[row] if len(table) else ""
            raise CountsError(
                f"{where}column {columns[place]}, tract {tract}: found {numbers[row, place]:g}, expected {expected}"
            )


def _first(wrong: NDArray[np.bool_]) -> tuple[int, int]:
    row, place = np.argwhere(wrong)[0].tolist()
    return row, place
