"""Measures of any shape as normal scores, and back: a normal model then holds for skewed ones too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]

_MOST_KNOTS, _FEWEST_KNOTS, _LEAST_PER_KNOT = 101, 5, 20


@dataclass(frozen=True)
class Scale:
    """A rising line through quantiles of a measure and of the standard normal distribution, continued at both ends.

    Attributes
    ----------
    values, scores : shape (n_knots,), rising
    """

    values: Floats
    scores: Floats

    def to_scores(self, x: Floats) -> Floats:
        """Return the scores of values; NaN stays NaN."""
        return _along(x, self.values, self.scores)

    def to_values(self, scores: Floats) -> Floats:
        """Return the values of scores; NaN stays NaN."""
        return _along(scores, self.scores, self.values)

    def errors(self, x: Floats, error: Floats) -> Floats:
        """Return standard errors of scores: half the way between the scores of one standard error to both sides."""
        return (self.to_scores(x + error) - self.to_scores(x - error)) / 2


def normal_scale(x: Floats) -> Scale:
    """Return the scale of a measure, from up to 101 quantiles of its values.

    Quantiles that coincide, as of many zeros, are one knot at the mean of their scores. A measure with fewer than 100
    values, or one that hardly varies, stays as it is.

    Parameters
    ----------
    x : shape (n_tracts,)
        NaN is missing.

    References
    ----------
    Conover (1999), *Practical Nonparametric Statistics*, section 5.10, on van der Waerden's scores.

    Examples
    --------
    >>> scale = normal_scale(np.exp(np.linspace(-2, 2, 4_001)))
    >>> scale.to_scores(np.array([1.0])).round(3), scale.to_values(np.array([0.0])).round(3)
    (array([0.]), array([1.]))
    """
    seen = np.sort(x[~np.isnan(x)])
    n_knots = min(_MOST_KNOTS, len(seen) // _LEAST_PER_KNOT)
    at = (np.arange(n_knots) + 0.5) / max(n_knots, 1)
    values = np.quantile(seen, at) if n_knots >= _FEWEST_KNOTS else seen[:0]
    rising, which = np.unique(values, return_inverse=True)
    if len(rising) < 2:
        return Scale(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    return Scale(rising, np.bincount(which, ndtri(at)) / np.bincount(which))


def _along(x: Floats, start: Floats, end: Floats) -> Floats:
    inside = np.interp(x, start, end)
    first, last = ((end[i + 1] - end[i]) / (start[i + 1] - start[i]) for i in (0, len(start) - 2))
    below, above = np.minimum(x - start[0], 0.0), np.maximum(x - start[-1], 0.0)
    return np.asarray(inside + below * first + above * last)
