"""Means and standard deviations that do not depend on the order or partitioning of rows, and z-scores.

A rank makes a step of the last bit, so sums are exact: a partition hands over its sum as a fixed-point number
(`exact_sums`), and those of all partitions round to the same float however the rows were spread.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import DefinitionError
from geomob_dask.transforms.exact_sums import ExactSums, merged


@dataclass(frozen=True)
class Sums:
    """What a partition contributes to a moment.

    Parameters
    ----------
    counts : shape (n_columns,)
        Values that are not missing, by column.
    sums : ExactSums
        Their exact sums: one region, one column per measure.
    """

    counts: NDArray[np.int64]
    sums: ExactSums


def column_sums(values: NDArray[np.float64]) -> Sums:
    """Return the exact sums of the columns of `values`, shape (n_tracts, n_columns), NaN left out."""
    known = ~np.isnan(values)
    one_region = np.zeros(len(values), dtype=np.int64)
    return Sums(known.sum(axis=0), ExactSums.of(np.where(known, values, 0.0), one_region, 1))


def merge_sums(parts: Sequence[Sums]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return counts and correctly rounded sums by column: the same for any order and split of the rows."""
    counts = np.sum([part.counts for part in parts], axis=0)
    return counts, merged(part.sums for part in parts).rounded()[0]


def means(parts: Sequence[Sums]) -> NDArray[np.float64]:
    """Return the mean of each column; NaN where every value is missing."""
    counts, sums = merge_sums(parts)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))


def squared_deviations(values: NDArray[np.float64], mean: NDArray[np.float64]) -> Sums:
    """Return the exact sums of (value - mean)² by column: the second pass, after `means`."""
    return column_sums((values - mean) ** 2)


def standard_deviations(
    parts: Sequence[Sums], mean: NDArray[np.float64], measures: Sequence[str]
) -> NDArray[np.float64]:
    """Return the sample standard deviation (n - 1) of each column about its mean, missing values left out.

    Raises
    ------
    DefinitionError
        If a measure has no variance: its z-scores would be 0/0. All such measures are named.
    """
    counts, sums = merge_sums(parts)
    flat = [
        f"{name} ({count} value{'s' if count != 1 else ''}{', all equal' if count > 1 else ''})"
        for name, count, total, center in zip(measures, counts, sums, mean, strict=True)
        if count < 2 or is_flat(total, count, center)
    ]
    if flat:
        raise DefinitionError(
            f"measure without variance over the tracts of this run: {', '.join(flat)}; "
            "expected at least two different values (leave it out of the definition, or add states)"
        )
    return np.sqrt(sums / (counts - 1))


def is_flat(squares: float, count: float, mean: float) -> bool:
    """Return whether square deviations, summed over some (or by weight), are those of equal values.

    Their mean may be off in its last bits, which is no variance.
    """
    return bool(squares <= count * (2 * np.finfo(np.float64).eps * mean) ** 2)


def z_scores(
    values: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (value - mean) / deviation, shape (n_tracts, n_measures); NaN stays NaN."""
    return (values - mean) / deviation
