"""Measures of small areas drawn from what their margins of error and their neighbors leave open.

A tract's true measures are taken as jointly normal about what its neighbors' mean predicts (the linking model), what
was observed as normal about the truth with the standard error of its margin (the sampling model). Draws from the
posterior of both are narrower than the margins where neighbors say more than the sample, and as wide as tracts scatter
about their neighbors where nothing was observed.

References
----------
Fay & Herriot (1979), "Estimates of income for small places: an application of James-Stein procedures to census data";
Rao & Molina (2015), *Small Area Estimation*, chapters 5 and 6, and section 8.1 for several measures at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_STEPS = 40
# Of a measure's variance: neighbors never explain all of it.
_LEAST_LEFT = 1e-4
_LEAST_EIGENVALUE = 1e-6
_BINS, _LEAST_IN_BIN, _LEAST_FACTOR = 10, 50, 0.05
_FEWEST_PAIRS = 20
# In squared standard deviations of the linking model: what counts as known, and what as unknown.
_KNOWN, _UNKNOWN = 1e-8, 1e8
_CHUNK = 4096


@dataclass(frozen=True)
class Prior:
    """What neighbors say of each tract's measures.

    Attributes
    ----------
    mean, spread : shape (n_tracts, n_measures)
        Mean and standard deviation of the true value.
    correlation : shape (n_measures, n_measures)
        Of the deviations of several measures of one tract.
    """

    mean: Floats
    spread: Floats
    correlation: Floats


@dataclass(frozen=True)
class Field:
    """Moments of one measure's true values over all tracts.

    Attributes
    ----------
    mean, variance : float
    weights : shape (n_tracts,)
        1 / (variance + squared standard error); 0 where there is no value.
    """

    mean: float
    variance: float
    weights: Floats


def neighbor_prior(
    values: Floats, errors: Floats, direct: sparse.csr_array | None = None, removed: sparse.csr_array | None = None
) -> Prior:
    """Return the linking model of measures: each tract about the mean of its neighbors' observed values.

    The best linear predictor from that mean under covariances that are the same everywhere: of a tract with its
    neighbors, and of two neighbors of one tract. So few or uncertain neighbors say less. The squared
    deviations from it may depend on the predicted value. Tracts without a neighbor that has a value are predicted from
    those once removed, tracts without either by the mean of all.

    Parameters
    ----------
    values, errors : shape (n_tracts, n_measures)
        Observed values, NaN where missing, and their standard errors.
    direct, removed : sparse array, shape (n_tracts, n_tracts), optional
        One where the column's tract is a neighbor of the row's, and where it is once removed (neither itself nor a
        neighbor).
    """
    graphs = [graph for graph in (direct, removed) if graph is not None]
    columns = [_of_one(x, error, graphs) for x, error in zip(values.T, errors.T, strict=True)]
    mean, spread = (np.column_stack(parts) for parts in zip(*columns, strict=True))
    return Prior(mean, spread, _correlation(values, errors, mean, spread))


def _of_one(x: Floats, error: Floats, graphs: list[sparse.csr_array]) -> tuple[Floats, Floats]:
    noise = np.where(np.isnan(x), 0.0, error) ** 2
    field = moments(x, noise)
    mean, variance = np.full(len(x), field.mean), np.full(len(x), field.variance)
    open_ = np.ones(len(x), dtype=bool)
    for graph in graphs:
        predicted, left, found = _predicted(x, noise, field, graph)
        here = open_ & found
        mean[here], variance[here] = predicted[here], left[here]
        open_ &= ~found
    if not open_.all():
        variance = np.where(open_, variance, variance * _by_level(x, noise, mean, variance, ~open_))
    return mean, np.sqrt(variance)


def moments(x: Floats, noise: Floats) -> Field:
    """Return mean and variance of true values, given observed ones with known error variances.

    The variance v solves Σ (x - mean)² / (v + noise) = n - 1. Where it would be 0 or less it is what n values could not
    tell from 0: their variance times √(2/n).

    Parameters
    ----------
    x, noise : shape (n_tracts,)
        NaN in `x` is missing.

    Examples
    --------
    >>> x = np.array([1.0, 2, 3, 4, 5, np.nan])
    >>> exact, noisy = moments(x, np.zeros(6)), moments(x, np.full(6, 0.5))
    >>> round(exact.variance, 9), round(noisy.variance, 9), round(noisy.mean, 9)
    (2.5, 2.0, 3.0)
    """
    known = ~np.isnan(x)
    n = int(known.sum())
    weights = np.zeros(len(x))
    if n < 2 or np.ptp(x[known]) == 0:
        weights[known] = 1.0
        return Field(float(x[known][0]) if n else np.nan, 0.0, weights)
    seen, squares = x[known], noise[known]
    all_of_it = float(seen.var(ddof=1))
    least = all_of_it * min(1.0, float(np.sqrt(2 / n)))
    variance, mean = least, float(seen.mean())
    for _ in range(_STEPS):
        weight = 1 / (variance + squares)
        mean = float((weight * seen).sum() / weight.sum())
        parts = weight * (seen - mean) ** 2
        # Newton from below: the left side falls ever more slowly.
        variance = max(least, variance + float((parts.sum() - (n - 1)) / (weight * parts).sum()))
    weights[known] = 1 / (variance + squares)
    return Field(mean, variance, weights)


def _predicted(x: Floats, noise: Floats, field: Field, graph: sparse.csr_array) -> tuple[Floats, Floats, Flags]:
    """Return the prediction from neighbors, the variance that it leaves, and where there is one."""
    known = ~np.isnan(x)
    if field.variance == 0:
        return np.full(len(x), field.mean), np.zeros(len(x)), np.zeros(len(x), dtype=bool)
    deviation = np.where(known, x - field.mean, 0.0)
    weights, weighted = field.weights, field.weights * deviation
    around, around_weights = graph @ weighted, graph @ weights
    one = _divided((weighted * around).sum(), (weights * around_weights).sum())
    pairs = (around_weights**2 - graph @ weights**2).sum()
    # Where no tract has two neighbors they are as alike as a tract and its neighbor.
    two = _divided((around**2 - graph @ weighted**2).sum(), pairs) if pairs > 0 else one
    counts = graph @ known.astype(float)
    found = counts > 0
    k = np.where(found, counts, 1.0)
    of_mean = (k * field.variance + k * (k - 1) * two + graph @ noise) / k**2
    of_mean = np.maximum(of_mean, one**2 / ((1 - _LEAST_LEFT) * field.variance))
    slope = np.divide(one, of_mean, out=np.zeros(len(x)), where=of_mean > 0)
    predicted = field.mean + slope * (graph @ deviation) / k
    return predicted, np.maximum(field.variance - slope * one, _LEAST_LEFT * field.variance), found


def _divided(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom > 0 else 0.0


def _by_level(x: Floats, noise: Floats, mean: Floats, variance: Floats, near: Flags) -> Floats:
    """Return squared deviations over `variance`, by the predicted value: means of bins, joined by lines."""
    rows = np.flatnonzero(near & ~np.isnan(x) & (variance > 0))
    n_bins = min(_BINS, len(rows) // _LEAST_IN_BIN)
    if n_bins < 2:
        return np.ones(len(x))
    rows = rows[np.argsort(mean[rows], kind="stable")]
    reliable = (variance[rows] / (variance[rows] + noise[rows])) ** 2
    excess = ((x[rows] - mean[rows]) ** 2 - noise[rows]) / variance[rows]
    centers, factors = [], []
    for part in np.array_split(np.arange(len(rows)), n_bins):
        weight = reliable[part]
        centers.append((weight * mean[rows[part]]).sum() / weight.sum())
        factors.append(max((weight * excess[part]).sum() / weight.sum(), _LEAST_FACTOR))
    return np.asarray(np.interp(mean, centers, factors))


def _correlation(values: Floats, errors: Floats, mean: Floats, spread: Floats) -> Floats:
    """Return the correlation of true deviations: errors of measures are independent, so products are free of them."""
    known = ~np.isnan(values) & (spread > 0)
    variance = np.where(known, spread, 1.0) ** 2
    reliable = np.where(known, variance / (variance + np.where(known, errors, 0.0) ** 2), 0.0)
    deviations = reliable * np.where(known, values - mean, 0.0) / np.sqrt(variance)
    n_measures = values.shape[1]
    found = np.eye(n_measures)
    # Column by column: the order of additions does not depend on a library's threads.
    y, w, there = (np.ascontiguousarray(one.T) for one in (deviations, reliable, known))
    for i in range(n_measures):
        for j in range(i):
            if (there[i] & there[j]).sum() >= _FEWEST_PAIRS:
                found[i, j] = found[j, i] = np.clip(_divided((y[i] * y[j]).sum(), (w[i] * w[j]).sum()), -1.0, 1.0)
    eigenvalues, vectors = np.linalg.eigh(found)
    fixed = (vectors * np.maximum(eigenvalues, _LEAST_EIGENVALUE)) @ vectors.T
    size = np.sqrt(np.diag(fixed))
    return np.asarray(fixed / np.outer(size, size))


def drawn(values: Floats, errors: Floats, prior: Prior, linked: Floats, sampled: Floats) -> Floats:
    """Return one draw of the true measures given the observed ones.

    A draw of truth and observation from the models, moved by what the actual observation differs from the drawn one
    (conditioning by kriging): exact for normal models, and needs no factor of each tract's posterior.

    Parameters
    ----------
    values, errors : shape (n_tracts, n_measures)
        As in `neighbor_prior`. A missing value is drawn too; one without error stays as it is.
    prior : Prior
    linked, sampled : shape (n_tracts, n_measures)
        Independent standard normal numbers.

    References
    ----------
    Hoffman & Ribak (1991), "Constrained realizations of Gaussian fields: a simple algorithm".

    Examples
    --------
    An observed 10 ± 1 (standard error) about a predicted 0 ± 1 lies half-way:

    >>> prior = Prior(np.zeros((2, 1)), np.ones((2, 1)), np.eye(1))
    >>> numbers = np.zeros((2, 1))
    >>> drawn(np.array([[10.0], [np.nan]]), np.array([[1.0], [0.0]]), prior, numbers, numbers).round(6)
    array([[5.],
           [0.]])
    """
    missing = np.isnan(values)
    free = prior.spread > 0
    exact = ~missing & ((errors == 0) | ~free)
    out = np.where(missing, prior.mean, values)
    rows = np.flatnonzero((~exact).any(axis=1))
    factor = np.linalg.cholesky(prior.correlation)
    for start in range(0, len(rows), _CHUNK):
        at = rows[start : start + _CHUNK]
        spread = np.where(free[at], prior.spread[at], 1.0)
        error = np.where(missing[at], 0.0, errors[at]) / spread
        noise = np.where(missing[at], _UNKNOWN, np.maximum(error**2, _KNOWN))
        # Without BLAS, whose sums may depend on its threads.
        deviation = np.einsum("nj,mj->nm", linked[at], factor)
        seen = np.where(missing[at] | ~free[at], 0.0, values[at] - prior.mean[at]) / spread
        gap = np.where(missing[at], 0.0, seen - deviation - error * sampled[at])
        weighed = prior.correlation + noise[:, :, np.newaxis] * np.eye(values.shape[1])
        moved = np.linalg.solve(weighed, gap[:, :, np.newaxis])[:, :, 0]
        deviation += np.einsum("nj,mj->nm", moved, prior.correlation)
        out[at] = np.where(exact[at], out[at], prior.mean[at] + np.where(free[at], spread * deviation, 0.0))
    return out


def reflected(values: Floats, low: Floats, high: Floats) -> Floats:
    """Return values, those beyond an end of their range folded back into it.

    So a value observed at the end of its range has draws on the inner side alone, and ties of many
    at the end do not arise as by cutting off.

    Parameters
    ----------
    values : shape (n_tracts, n_measures)
    low, high : broadcast to it
        Infinite where there is no end.

    Examples
    --------
    >>> reflected(np.array([-3.0, 40, 101]), np.array(0.0), np.array(100.0))
    array([ 3., 40., 99.])
    """
    folded = np.where(values < low, 2 * low - values, values)
    folded = np.where(folded > high, 2 * high - folded, folded)
    return np.asarray(np.clip(folded, low, high))
