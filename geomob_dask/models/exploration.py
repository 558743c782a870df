"""Correlations with intervals, and distributions of values.

Missing values are left out pair by pair. Every random draw is keyed by the seed and the draw's number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.metrics.modified_t_test import fisher_intervals

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Method = Literal["pearson", "spearman"]
METHODS: tuple[Method, ...] = ("pearson", "spearman")


@dataclass(frozen=True)
class Correlations:
    """Correlation of each feature with an outcome.

    Parameters
    ----------
    r, lower, upper : shape (n_features,)
        NaN where fewer than four units have both, or one of them is constant there.
    units : shape (n_features,)
        Units that have both.
    method : str
        ``pearson`` or ``spearman``.
    level : float
        Of the intervals.
    interval : str
        ``fisher`` or ``bootstrap``.
    """

    r: Floats
    lower: Floats
    upper: Floats
    units: Ints
    method: str
    level: float
    interval: str


def correlations(
    values: Floats,
    outcome: Floats,
    *,
    method: Method = "pearson",
    level: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
) -> Correlations:
    """Correlate each feature with the outcome; intervals take units for independent.

    Near units are alike: `metrics.modified_t_test` has the intervals that allow for it.

    Parameters
    ----------
    values : shape (n_units, n_features)
        NaN where missing.
    outcome : shape (n_units,)
    method : {"pearson", "spearman"}
    level : float
        Of the intervals, such as 0.95.
    bootstrap : int
        Draws of units with replacement, whose percentiles are the interval; 0: by Fisher's z, whose standard error is
        1/√(n − 3), and √((1 + r²/2)/(n − 3)) for Spearman's.

    Raises
    ------
    InputError
        If the method is unknown, or the level is not between 0 and 1.

    References
    ----------
    Fisher (1921); Bonett & Wright (2000), "Sample size requirements for estimating Pearson, Kendall and Spearman
    correlations".

    Examples
    --------
    >>> found = correlations(np.array([[1.0], [2.0], [3.0], [5.0]]), np.array([1.0, 3.0, 2.0, 5.0]))
    >>> round(float(found.r[0]), 4)
    0.8857
    """
    _check(method, level)
    rows = [_correlate(column, outcome, method, level, bootstrap, seed) for column in values.T]
    r, lower, upper, units = (np.array(part) for part in zip(*rows, strict=True)) if rows else [np.zeros(0)] * 4
    kind = "bootstrap" if bootstrap else "fisher"
    return Correlations(r, lower, upper, units.astype(np.int64), method, level, kind)


def _check(method: str, level: float) -> None:
    if method not in METHODS:
        raise InputError(f"method: found {method!r}, expected 'pearson' or 'spearman'")
    if not 0 < level < 1:
        raise InputError(f"level: found {level}, expected a share between 0 and 1, such as 0.95")


def _correlate(
    x: Floats, y: Floats, method: Method, level: float, bootstrap: int, seed: int
) -> tuple[float, float, float, int]:
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    r = _r(x, y, method)
    if np.isnan(r):
        return np.nan, np.nan, np.nan, len(x)
    if bootstrap:
        lower, upper = _bootstrap(x, y, method, level, bootstrap, seed)
    else:
        bounds = fisher_intervals(np.array([r]), np.array([float(len(x))]), level, ranks=method == "spearman")
        lower, upper = (bound[0] for bound in bounds)
    return r, float(lower), float(upper), len(x)


def _r(x: Floats, y: Floats, method: Method) -> float:
    if len(x) < 4:
        return float("nan")
    if method == "spearman":
        x, y = scipy.stats.rankdata(x), scipy.stats.rankdata(y)
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x @ x) * (y @ y))
    return float(np.clip(x @ y / size, -1, 1)) if size > 0 else float("nan")


def _bootstrap(x: Floats, y: Floats, method: Method, level: float, draws: int, seed: int) -> Floats:
    found = np.empty(draws)
    for draw in range(draws):
        chosen = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, draw]))).integers(
            len(x), size=len(x)
        )
        found[draw] = _r(x[chosen], y[chosen], method)
    return np.asarray(np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2]))


def correlation_matrix(values: Floats, *, method: Method = "pearson") -> tuple[Floats, Ints]:
    """Return the correlation of every two features, and the number of units that have both.

    Parameters
    ----------
    values : shape (n_units, n_features)
        NaN where missing.

    Returns
    -------
    r : shape (n_features, n_features)
        Symmetric, 1 on its diagonal; NaN as in `Correlations`.
    units : shape (n_features, n_features)
    """
    _check(method, 0.5)
    size = values.shape[1]
    r, there = np.full((size, size), np.nan), ~np.isnan(values)
    for one in range(size):
        for other in range(one, size):
            both = there[:, one] & there[:, other]
            r[one, other] = r[other, one] = _r(values[both, one], values[both, other], method)
    diagonal = np.einsum("ii->i", r)
    diagonal[~np.isnan(diagonal)] = 1.0
    return r, (there.T.astype(np.int64) @ there).astype(np.int64)


@dataclass(frozen=True)
class Distribution:
    """Histogram and empirical distribution function of values.

    Parameters
    ----------
    edges : shape (n_bins + 1,)
        Of the histogram's bins, in units of the values; closed on the left, the last one on both sides.
    counts : shape (n_bins,)
    points, cumulative : shape (n_distinct,)
        Distinct values in order, and the share of values up to and including each.
    mean, deviation, median : float
        Deviation with n − 1.
    missing : int
        Values left out.
    """

    edges: Floats
    counts: Ints
    points: Floats
    cumulative: Floats
    mean: float
    deviation: float
    median: float
    missing: int


def distribution(values: Floats, bins: int | None = None) -> Distribution:
    """Return the histogram and the empirical distribution function of values.

    Parameters
    ----------
    values : shape (n_units,)
        NaN where missing.
    bins : int, optional
        Number of bins of equal width; by the rule of Freedman and Diaconis by default.

    Raises
    ------
    InputError
        If fewer than two values are there, or the number of bins is not positive.

    Examples
    --------
    >>> distribution(np.array([1.0, 1.0, 2.0, 4.0]), bins=3).cumulative
    array([0.5 , 0.75, 1.  ])
    """
    if bins is not None and bins < 1:
        raise InputError(f"bins: found {bins}, expected 1 or more")
    known = values[~np.isnan(values)]
    if len(known) < 2:
        raise InputError(f"distribution: found {len(known)} values, expected two or more")
    counts, edges = np.histogram(known, bins="fd" if bins is None else bins)
    points, repeats = np.unique(known, return_counts=True)
    return Distribution(
        edges=edges,
        counts=counts.astype(np.int64),
        points=points,
        cumulative=np.cumsum(repeats) / len(known),
        mean=float(known.mean()),
        deviation=float(known.std(ddof=1)),
        median=float(np.median(known)),
        missing=len(values) - len(known),
    )


def density(values: Floats, points: Floats) -> Floats:
    """Return the density of values at points: a sum of normal curves, one at each value.

    Parameters
    ----------
    values : shape (n_units,)
        NaN where missing; two different ones or more.
    points : shape (n_points,)

    Returns
    -------
    shape (n_points,)
        By unit of the values; its integral is 1. The curves' deviation is that of the values (n − 1) times n^(−1/5).

    References
    ----------
    Scott (1992), "Multivariate Density Estimation", for the width.

    Examples
    --------
    >>> density(np.array([0.0, 1.0]), np.array([0.5])).round(3)
    array([0.466])
    """
    known = values[~np.isnan(values)]
    return np.asarray(scipy.stats.gaussian_kde(known)(points))
