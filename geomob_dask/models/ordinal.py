"""Proportional-odds logistic regression: classes in an order, one set of coefficients for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from geomob_dask.errors import InputError, RunError

Floats = NDArray[np.float64]

_SMALLEST = 1e-300


class OrdinalLogistic(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Cumulative logistic regression: ``P(class ≤ k) = 1 / (1 + exp(w·x − θ_k))``, thresholds θ rising.

    The objective is ``C·Σ log loss + ½‖w‖²``, thresholds free. With two classes it is logistic regression.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty, above 0.

    Attributes
    ----------
    classes_ : shape (n_classes,)
        In rising order, which is taken for the order of the classes.
    coef_ : shape (n_features,)
        Change of the log odds of a higher class by a unit of each feature.
    thresholds_ : shape (n_classes − 1,)
    n_iter_ : int

    References
    ----------
    McCullagh (1980), "Regression Models for Ordinal Data", section 2.

    Examples
    --------
    >>> x = np.arange(12.0)[:, None]
    >>> model = OrdinalLogistic(C=1.0).fit(x, np.repeat([0, 1, 2], 4))
    >>> model.predict(np.array([[0.0], [5.5], [11.0]]))
    array([0, 1, 2])
    """

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    def fit(self, X: Any, y: Any) -> OrdinalLogistic:
        """Fit to features, shape (n_units, n_features), and classes, shape (n_units,).

        Raises
        ------
        InputError
            If there is one class only, or C is not above 0.
        RunError
            If no optimum is found.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"ordinal: found one class only, {self.classes_[0]}; expected two or more")
        if not self.C > 0:
            raise InputError(f"ordinal: found C {self.C}, expected a value above 0")
        n_features, n_units = X.shape[1], len(X)
        below = np.cumsum(np.bincount(codes))[:-1] / n_units
        thresholds = np.log(below / (1 - below))
        # Thresholds are a first one and the logarithms of the steps to the next: they cannot cross.
        start = np.concatenate([np.zeros(n_features), thresholds[:1], np.log(np.diff(thresholds))])
        found = minimize(
            _objective,
            start,
            args=(X, codes, self.C * n_units),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 5_000, "maxfun": 20_000, "ftol": 0.0, "gtol": 1e-12, "maxcor": 30},
        )
        # The line search may end on rounding with the optimum reached: the gradient decides.
        if not np.abs(found.jac).max() < 1e-4:
            raise RunError(f"ordinal: C={self.C:g}: no optimum was found ({found.message}); are features scaled?")
        self.coef_ = found.x[:n_features]
        self.thresholds_ = _thresholds(found.x[n_features:])
        self.n_iter_ = int(found.nit)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Its checks in scikit-learn have classes without an order.
        tags.classifier_tags.poor_score = True
        return tags

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each class, shape (n_units, n_classes)."""
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        return _class_shares(self.thresholds_ - (values @ self.coef_)[:, None])

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest class, shape (n_units,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


def _thresholds(free: Floats) -> Floats:
    return np.asarray(np.cumsum(np.concatenate([free[:1], np.exp(free[1:])])))


def _class_shares(margins: Floats) -> Floats:
    """Return shares of classes from log odds of being at or below each; differences are taken where they are exact."""
    low = np.concatenate([np.full((len(margins), 1), -np.inf), margins], axis=1)
    high = np.concatenate([margins, np.full((len(margins), 1), np.inf)], axis=1)
    # In the upper tail both are nearly one: there the difference of the complements is exact.
    upper = low > 0
    shares = np.where(upper, expit(-low) - expit(-high), expit(high) - expit(low))
    return np.asarray(np.maximum(shares, 0))


def _objective(free: Floats, values: Floats, codes: NDArray[np.int64], weight: float) -> tuple[float, Floats]:
    """Return mean log loss plus penalty, and its gradient, at coefficients and free thresholds."""
    n_units, n_features = values.shape
    w, rest = free[:n_features], free[n_features:]
    thresholds = _thresholds(rest)
    margins = thresholds - (values @ w)[:, None]
    share = np.maximum(_class_shares(margins)[np.arange(n_units), codes], _SMALLEST)
    density = expit(margins) * expit(-margins)
    padded = np.concatenate([np.zeros((n_units, 1)), density, np.zeros((n_units, 1))], axis=1)
    rows = np.arange(n_units)
    at_high, at_low = padded[rows, codes + 1] / share, padded[rows, codes] / share
    by_score = (at_high - at_low) / n_units
    by_threshold = np.zeros(len(thresholds))
    for k in range(len(thresholds)):
        by_threshold[k] = (at_low[codes == k + 1].sum() - at_high[codes == k].sum()) / n_units
    # Every later threshold moves with a step before it.
    later = np.cumsum(by_threshold[::-1])[::-1]
    by_rest = later * np.concatenate([[1.0], np.exp(rest[1:])])
    value = -np.log(share).mean() + w @ w / (2 * weight)
    return float(value), np.concatenate([values.T @ by_score + w / weight, by_rest])
