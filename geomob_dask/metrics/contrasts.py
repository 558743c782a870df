"""Pairs of units that one measure holds for alike and another tells apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.counts import Floats, Integers


def contrasting_pairs(
    alike: ArrayLike, different: ArrayLike, keys: Sequence[str], tolerance: float, number: int = 3
) -> Integers:
    """Return pairs of units with (almost) the same value of one measure that differ most in another.

    Units are sorted by `alike` and split into bands of equally many; each band gives its pair with
    the largest difference in `different` among those within the tolerance. Without bands all pairs
    would lie where both measures are large.

    Parameters
    ----------
    alike, different : shape (n_units,)
        A unit without one of them is in no pair.
    keys : sequence of str, each once
        Decide ties: units with the same value of `alike` are sorted by key. Of pairs that differ
        equally, the one whose second unit comes first in this order is returned, then the one whose first does.
    tolerance : float, 0 or more
        Largest difference in `alike`, in its unit.
    number : int
        Of bands.

    Returns
    -------
    shape (n_pairs, 2), positions of units
        At most a pair for each band, from low to high `alike`; the first unit of a pair has the
        lower value of `different`. No unit is in two pairs. A band in which no two units within the
        tolerance differ gives none.

    Raises
    ------
    DefinitionError
        If the tolerance is negative or missing, or there is no band.

    References
    ----------
    von Bergmann, "Income mixing and segregation", "W-index": pairs with the same D and other W, and the reverse.

    Examples
    --------
    >>> contrasting_pairs([0.10, 0.10, 0.11, 0.50], [0.2, 0.9, 2.0, 9.0], list("abcd"), tolerance=0.001, number=1)
    array([[0, 1]])
    """
    if not tolerance >= 0 or number < 1:
        raise DefinitionError(f"found the tolerance {tolerance} and {number} bands, expected 0 or more, and a band")
    same, other = np.asarray(alike, dtype=np.float64), np.asarray(different, dtype=np.float64)
    rank = np.argsort(np.argsort(np.asarray(keys, dtype=object), kind="stable"), kind="stable")
    order = np.lexsort((rank, same))
    order = order[np.isfinite(same[order]) & np.isfinite(other[order])]
    pairs = []
    for band in np.array_split(order, number):
        found = _widest(same[band], other[band], tolerance)
        if found is not None:
            pairs.append(sorted(band[list(found)], key=lambda unit: other[unit]))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _widest(same: Floats, other: Floats, tolerance: float) -> tuple[int, int] | None:
    """Return the pair of a band that differs most, as positions in it; `same` rises."""
    if len(same) < 2:
        return None
    # Units that may be paired with unit i lie from first[i] to i.
    first = np.searchsorted(same, same - tolerance)
    apart = np.maximum(_over(np.maximum, other, first) - other, other - _over(np.minimum, other, first))
    second = int(np.argmax(apart))
    if not apart[second] > 0:
        return None
    window = np.abs(other[first[second] : second] - other[second])
    return int(first[second] + np.argmax(window == apart[second])), second


def _over(extreme: Callable[..., Floats], values: Floats, first: Integers) -> Floats:
    """Return the extreme of ``values[first[i] : i + 1]`` for each i: two overlapping spans of a power of two."""
    at = np.arange(len(values))
    level = np.frexp(at - first + 1)[1] - 1
    found, spans = values.copy(), values
    for step in range(int(level.max()) + 1):
        here = level == step
        found[here] = extreme(spans[at[here]], spans[first[here] + 2**step - 1])
        longer = spans.copy()
        # spans[i] ends at i; where it would begin before the first value it is not asked for.
        longer[2**step :] = extreme(spans[2**step :], spans[: -(2**step)])
        spans = longer
    return found
