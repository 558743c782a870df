"""Counts of people by unit and group: what every index of mixing and segregation starts from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomob_dask.errors import CountsError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def checked_counts(counts: ArrayLike, *, whole: bool = False) -> Floats:
    """Return counts as floats after checking that a population can have them.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
    whole : bool
        Whether fractions are refused. Indices allow them, because draws from margins of error and
        counts shared out by a crosswalk have them; draws of single persons do not.

    Raises
    ------
    CountsError
        If a count is missing, infinite, negative or (with `whole`) fractional; the message names
        the unit and the group by their positions.

    Examples
    --------
    >>> checked_counts([[1, 2], [3, float("nan")]])
    Traceback (most recent call last):
    geomob_dask.errors.CountsError: unit 1, group 1: found nan, expected a count of 0 or more
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2:
        raise CountsError(f"counts have shape {table.shape}, expected (units, groups)")
    # A comparison with NaN is false, so missing counts fail here too.
    _refuse(table, ~((table >= 0) & (table < np.inf)), "a count of 0 or more")
    if whole:
        _refuse(table, table != np.floor(table), "a whole number of persons")
    return table


def checked_regions(region: ArrayLike | None, n_units: int, n_regions: int | None = None) -> tuple[Integers, int]:
    """Return the region of each unit and the number of regions.

    Parameters
    ----------
    region : shape (n_units,), integers from 0, optional
        By default all units are one region.
    n_units : int
    n_regions : int, optional
        By default one more than the largest code.

    Raises
    ------
    CountsError
        If there is not one code for each unit, or a code is no integer or out of range.
    """
    if region is None:
        return np.zeros(n_units, dtype=np.int64), 1 if n_regions is None else n_regions
    codes = np.asarray(region)
    if codes.shape != (n_units,):
        raise CountsError(f"found {codes.size} regions for {n_units} units, expected one for each")
    if codes.dtype.kind not in "iu":
        raise CountsError(f"found regions of type {codes.dtype}, expected integer codes")
    number = int(codes.max(initial=-1)) + 1 if n_regions is None else n_regions
    outside = np.flatnonzero((codes < 0) | (codes >= number))
    if outside.size:
        unit = outside[0]
        raise CountsError(f"unit {unit}: found the region {codes[unit]}, expected one of 0 to {number - 1}")
    return codes.astype(np.int64), number


def shares(counts: Floats) -> Floats:
    """Return each unit's shares of its groups, shape (n_units, n_groups); NaN where a unit is empty."""
    total = counts.sum(axis=-1, keepdims=True)
    return quotient(counts, total)


def quotient(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, NaN where the whole is zero: a share of nothing is missing."""
    result: Floats = part / np.where(whole != 0, whole, np.nan)
    return result


def log_ratio_weighted(share: Floats, reference: Floats) -> Floats:
    """Return share · ln(share / reference), with 0 · ln 0 = 0, elementwise; NaN stays NaN."""
    # Where the share is 0 the ratio is 1, whose logarithm is 0.
    ratio = np.where(share != 0, share, 1.0) / np.where(share != 0, reference, 1.0)
    weighted: Floats = share * np.log(ratio)
    return weighted


def at_least(counts: Floats, *, rest: bool = False) -> NDArray[np.bool_]:
    """Return whether a group has at least the people of another in every unit.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
    rest : bool
        Whether a group is compared with all others together.

    Returns
    -------
    shape (n_groups, n_groups)
        True on the diagonal, and everywhere without units.

    Examples
    --------
    >>> at_least(np.array([[9.0, 4.0, 5.0], [7.0, 3.0, 2.0]]))[0].tolist()
    [True, True, True]
    """
    if rest:
        most = (2 * counts >= counts.sum(axis=1, keepdims=True)).all(axis=0)
        return np.asarray(most[:, None] | np.eye(len(most), dtype=bool))
    return np.array([(counts[:, [group]] >= counts).all(axis=0) for group in range(counts.shape[1])])


def _refuse(table: Floats, bad: NDArray[np.bool_], expected: str) -> None:
    if bad.any():
        unit, group = np.argwhere(bad)[0]
        raise CountsError(f"unit {unit}, group {group}: found {table[unit, group]:g}, expected {expected}")
