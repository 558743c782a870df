"""Wasserstein index W: the work of turning a tract's incomes into its region's."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.brackets import bracket_positions
from geomob_dask.metrics.counts import Floats, checked_counts, quotient, shares

# Means closer than this, relative to the distance between the ends, differ by rounding alone.
_SAME_MEAN = 1e-13


def wasserstein(counts: ArrayLike, region_counts: ArrayLike, positions: ArrayLike | None = None) -> Floats:
    """W: optimal transport of order 1 between each unit's shares and its region's.

    ``W = Σ_q (x_(q+1) − x_q) |F_i(q) − F_r(q)|`` over the edges between brackets, F the cumulative
    shares: the least average distance people would have to move.

    Parameters
    ----------
    counts : shape (n_units, n_brackets), persons or households
        Brackets from low to high. Fractions are allowed.
    region_counts : shape (n_brackets,) or (n_units, n_brackets)
        The whole region of each unit.
    positions : rising numbers, shape (n_brackets,), optional
        Where the brackets lie, such as their middle incomes. By default neighbors are 1 apart.

    Returns
    -------
    shape (n_units,), in the unit of the positions
        From 0 to the distance between the first and the last bracket; NaN where a unit is empty.

    Raises
    ------
    CountsError
        If a count is missing or negative.
    DefinitionError
        If the positions do not fit the brackets or do not rise.

    References
    ----------
    von Bergmann, "Income mixing and segregation", "W-index".

    Examples
    --------
    The two scenarios of the source, alike in D, are a step apart and a whole range apart:

    >>> middle = [0.1, 0.1, 0.1, 0.1, 0.15, 0.05, 0.1, 0.1, 0.1, 0.1]
    >>> ends = [0.15, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05]
    >>> wasserstein([middle, ends], [1.0] * 10)
    array([0.05, 0.45])
    """
    own, region = _both(counts, region_counts)
    steps = np.diff(bracket_positions(own.shape[1], positions))
    gaps = np.cumsum(shares(own) - shares(region), axis=1)[:, :-1]
    return _kept_missing(_weighted(np.abs(gaps), steps), own, region)


def wasserstein_sign(counts: ArrayLike, region_counts: ArrayLike, positions: ArrayLike | None = None) -> Floats:
    """Return −1 where a unit's mean position is below its region's (poorer), 1 above, 0 at it.

    Parameters are those of `wasserstein`. A unit may differ in dispersion alone: its sign is 0
    although its W is not. NaN where the unit is empty.
    """
    own, region = _both(counts, region_counts)
    places = bracket_positions(own.shape[1], positions)
    # Distances from the first position keep the numbers small, so that equal means compare equal.
    distance = places - places[0]
    span = distance[-1] if distance.size else 0.0
    shift = _weighted(shares(own) - shares(region), distance)
    sign = np.where(np.abs(shift) <= _SAME_MEAN * span, 0.0, np.sign(shift))
    return _kept_missing(sign, own, region)


def scaled_wasserstein(distances: Floats, n_brackets: int, positions: ArrayLike | None = None) -> Floats:
    """W over the distance between the first and the last bracket: 0 to 1. NaN with one bracket."""
    places = bracket_positions(n_brackets, positions)
    return quotient(np.asarray(distances, dtype=np.float64), places[-1] - places[0])


def divergence_wasserstein_mixture(divergence_scale: Floats, wasserstein_scale: Floats, weight: float = 0.5) -> Floats:
    """Mixture of D and W, both on their 0 to 1 scale: ``weight · D/ln Q + (1 − weight) · W/span``.

    The source suggests "a mixture of the two" without giving one; the weight is the caller's.

    Parameters
    ----------
    divergence_scale : shape (n_units,)
        From `divergence.scaled_divergence`.
    wasserstein_scale : shape (n_units,)
        From `scaled_wasserstein`.
    weight : float in [0, 1]
        Weight of D.

    Raises
    ------
    DefinitionError
        If the weight lies outside [0, 1].
    """
    if not 0.0 <= weight <= 1.0:
        raise DefinitionError(f"found the weight {weight} of D, expected a number between 0 and 1")
    return weight * divergence_scale + (1.0 - weight) * wasserstein_scale


def _both(counts: ArrayLike, region_counts: ArrayLike) -> tuple[Floats, Floats]:
    own, region = checked_counts(counts), np.asarray(region_counts, dtype=np.float64)
    region = checked_counts(region[None] if region.ndim == 1 else region)
    return own, np.broadcast_to(region, own.shape)


def _weighted(rows: Floats, weights: Floats) -> Floats:
    """Return the weighted sum of each row: as a matrix product its last bits would depend on the rows around it."""
    sums: Floats = np.ascontiguousarray(rows * weights).sum(axis=1)
    return sums


def _kept_missing(values: Floats, own: Floats, region: Floats) -> Floats:
    """Missing where there is nobody: with one bracket the sums above are empty and would be 0."""
    return np.where((own.sum(axis=1) > 0) & (region.sum(axis=1) > 0), values, np.nan)
