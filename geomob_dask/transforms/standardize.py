"""Means and standard deviations that do not depend on the order or partitioning of rows, and z-scores.

A rank makes a step of the last bit, so sums are exact: every partition hands over its sum as an expansion (floats whose
exact sum it is), and a merged expansion rounds to the same float however the rows were spread.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import DefinitionError

Expansion = tuple[float, ...]


def expansion(values: Iterable[float]) -> Expansion:
    """Return floats whose exact sum is the exact sum of `values`, the largest first.

    Examples
    --------
    >>> expansion([1e16, 1.0, 1.0, -1e16, 1e-3])
    (2.001, -5.52e-18)
    """
    values = list(values)
    parts: list[float] = []
    while rest := math.fsum([*values, *(-part for part in parts)]):
        parts.append(rest)
    return tuple(parts)


@dataclass(frozen=True)
class Sums:
    """Exact sums of columns: what a partition contributes to a moment.

    Parameters
    ----------
    counts : tuple of int
        Values that are not missing, by column.
    sums : tuple of expansion
        Their exact sums, by column.
    """

    counts: tuple[int, ...]
    sums: tuple[Expansion, ...]


def column_sums(values: NDArray[np.float64]) -> Sums:
    """Return the exact sums of the columns of `values`, shape (n_tracts, n_columns), NaN left out."""
    columns = [column[~np.isnan(column)].tolist() for column in values.T]
    return Sums(tuple(len(column) for column in columns), tuple(expansion(column) for column in columns))


def merge_sums(parts: Sequence[Sums]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return counts and correctly rounded sums by column: the same for any order and split of the rows."""
    counts = np.array([part.counts for part in parts], dtype=np.int64).sum(axis=0)
    sums = [math.fsum(term for expansion in column for term in expansion) for column in _transposed(parts)]
    return counts, np.array(sums)


def _transposed(parts: Sequence[Sums]) -> Iterable[tuple[Expansion, ...]]:
    return zip(*(part.sums for part in parts), strict=True)


def means(parts: Sequence[Sums]) -> NDArray[np.float64]:
    """Return the mean of each column; NaN where every value is missing."""
    counts, sums = merge_sums(parts)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))


def squared_deviations(values: NDArray[np.float64], mean: NDArray[np.float64]) -> Sums:
    """Return the exact sums of (value - mean)² by column: the second pass, after `means`."""
    return column_sums((values - mean) ** 2)


def standard_deviations(parts: Sequence[Sums], measures: Sequence[str]) -> NDArray[np.float64]:
    """Return the sample standard deviation (n - 1) of each column, missing values left out.

    Raises
    ------
    DefinitionError
        If a measure has no variance: its z-scores would be 0/0. All such measures are named.
    """
    counts, sums = merge_sums(parts)
    flat = [
        f"{name} ({count} value{'s' if count != 1 else ''}{', all equal' if count > 1 else ''})"
        for name, count, total in zip(measures, counts, sums, strict=True)
        if count < 2 or total == 0
    ]
    if flat:
        raise DefinitionError(
            f"measure without variance over the tracts of this run: {', '.join(flat)}; "
            "expected at least two different values (leave it out of the definition, or add states)"
        )
    return np.sqrt(sums / (counts - 1))


def z_scores(
    values: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (value - mean) / deviation, shape (n_tracts, n_measures); NaN stays NaN."""
    return (values - mean) / deviation
