"""Intervals of indices of estimates: the worlds whose samples would look as this one does."""

from __future__ import annotations

import numpy as np

from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.segregation_inference import mean_of_draws

# Standard errors of the variance of shares by which worlds differ from what is most likely; see `without_noise`.
WORLDS = (-2.5, 0.0, 2.5)
# A world must move an index by this part of its standard deviation to tell how draws change with it.
_MOVED = 0.25
# What draws of other worlds move at least where the index moves by 1: below, nothing could be told.
_LEAST_SLOPE = 0.1


def inverted(estimate: Floats, draws: Floats, centers: Floats, level: float = 0.9) -> tuple[Floats, Floats, Floats]:
    """Return the index whose samples have the estimate as their mean, and those of which it is an end quantile.

    Draws are samples of three worlds. Their means and quantiles, and where they lie beside the index of the world, are
    taken to change on a line from one world to the next. The lower end of an interval is the index of the world whose
    upper quantile is the estimate: anything less segregated would hardly give so much.

    Parameters
    ----------
    estimate : shape (…)
    draws : shape (n_draws, …, 3)
        Indices of samples of worlds that are less, as and more segregated than is most likely.
    centers : shape (…, 3)
        Indices of the worlds.
    level : float

    Returns
    -------
    corrected, lower, upper : shape (…)
        Not held within bounds; NaN where a draw is missing.

    References
    ----------
    Davison & Hinkley (1997), Bootstrap Methods and their Application, §5.2 (the basic interval, which this is where
    draws lie beside their worlds alike) and §5.5 (inversion of tests).

    Examples
    --------
    Samples of worlds at 0.1, 0.2 and 0.3 lie 0.05 above them, give or take 0.01:

    >>> centers = np.array([0.1, 0.2, 0.3])
    >>> draws = centers + 0.05 + np.array([[-0.01], [0.0], [0.01]])
    >>> np.round(inverted(np.array(0.25), draws, centers), 2).tolist()
    [0.2, 0.19, 0.21]
    """
    tail = (1.0 - level) / 2.0
    # Of n draws the next is below the least with the probability 1 / (n + 1).
    low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0, method="weibull")
    moved = _MOVED * draws[..., 1].std(axis=0)
    corrected, lower, upper = (_solved(estimate, at, centers, moved) for at in (mean_of_draws(draws), high, low))
    return corrected, lower, upper


def _solved(estimate: Floats, drawn: Floats, centers: Floats, moved: Floats) -> Floats:
    """Return the index of the world in which what is drawn, a mean or quantile, is the estimate."""
    beside = drawn - centers
    slopes = []
    for one, other in ((0, 1), (1, 2)):
        step = centers[..., other] - centers[..., one]
        far = np.abs(step) > moved
        slopes.append(np.where(far, (beside[..., other] - beside[..., one]) / np.where(far, step, 1.0), 0.0))
    gap = estimate - drawn[..., 1]
    less = np.sign(gap) == np.sign(centers[..., 0] - centers[..., 1])
    slope = np.maximum(1.0 + np.where(less, slopes[0], slopes[1]), _LEAST_SLOPE)
    return np.asarray(centers[..., 1] + gap / slope)
