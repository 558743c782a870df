"""Logistic regression with an elastic net, for a whole path of penalties at once, two classes or more.

The objective is scikit-learn's: ``C·Σ log loss + l1_ratio·‖w‖₁ + (1 − l1_ratio)/2·‖w‖²``, intercepts free; with more
than two classes the loss is the multinomial one and every class has its coefficients. Each fit starts where the one
before it ended, from the strongest penalty to the weakest.

A step replaces the loss by its quadratic model. The rows enter it once, through their weighted Gram matrix; the
penalized model is then solved by coordinate descent on that matrix, whose size does not depend on the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from geomob_dask.errors import InputError, RunError
from geomob_dask.models.coordinate_descent import descend

Floats = NDArray[np.float64]

TOLERANCE = 1e-9
"""Gradient at which a fit stops, as a share of the largest that the residuals could cause."""
_ACCEPTED = 1e-6
"""Gradient up to which a fit that rounding stopped earlier is accepted, in the same units."""
_MAX_STEPS = 200
# A decrease below this is within the rounding of the objective.
_ROUNDING = 1e-15


@dataclass(frozen=True)
class LogisticPath:
    """Fits along a path of penalties.

    Parameters
    ----------
    coefficients : shape (n_penalties, n_rows, n_features)
        One row for two classes (log odds of the second), else one per class.
    intercepts : shape (n_penalties, n_rows)
    steps : shape (n_penalties,), int
        Quadratic models that each fit took.
    optimality : shape (n_penalties,)
        Largest gradient left at each fit, in the units of `TOLERANCE`.
    """

    coefficients: Floats
    intercepts: Floats
    steps: NDArray[np.int64]
    optimality: Floats

    def probabilities(self, values: Floats) -> Floats:
        """Return the probability of each class at each penalty, shape (n_penalties, n_units, n_classes)."""
        scores = np.einsum("nf,pkf->pnk", values, self.coefficients, optimize=True) + self.intercepts[:, None, :]
        return _probabilities(scores)


def logistic_path(
    values: Floats, classes: NDArray[np.int64], n_classes: int, penalties: Sequence[float], l1_ratio: float
) -> LogisticPath:
    """Fit along a path of penalties at one l1 ratio.

    Parameters
    ----------
    values : shape (n_units, n_features)
        Features on comparable scales; no NaN.
    classes : shape (n_units,), int
        Class of each unit, 0…n_classes − 1; each has members.
    n_classes : int
        2 or more.
    penalties : sequence of float
        C, the inverse strength of the penalty, above 0, in rising order.
    l1_ratio : float
        Share of the absolute penalty, 0…1.

    Returns
    -------
    LogisticPath

    Raises
    ------
    InputError
        If a value is missing, a class has no members, penalties do not rise or the ratio is no share.
    RunError
        If a fit does not reach its optimum.

    References
    ----------
    Friedman, Hastie & Tibshirani (2010), "Regularization Paths for Generalized Linear Models via Coordinate
    Descent"; Lee, Sun & Saunders (2014), "Proximal Newton-Type Methods", for the step and its line search.

    Examples
    --------
    Under the strongest penalty only the intercept is left: the log odds of three units in four.

    >>> path = logistic_path(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 1, 1, 1]), 2, [1e-6, 1.0], 0.5)
    >>> path.coefficients[0, 0, 0].item(), path.intercepts[0, 0].item()
    (0.0, 1.098612)
    >>> bool(path.coefficients[1, 0, 0] > 0)
    True
    """
    values = np.ascontiguousarray(values, dtype=np.float64)
    _check(values, classes, n_classes, penalties, l1_ratio)
    members = np.eye(n_classes)[classes]
    if n_classes == 2:
        members = members[:, 1:]
    fit = _start(values, members)
    coefficients, intercepts, steps, optimality = [], [], [], []
    for penalty in penalties:
        fit, taken, left = _fit(values, members, fit, l1_ratio / penalty, (1 - l1_ratio) / penalty)
        coefficients.append(fit.coefficients)
        intercepts.append(fit.intercepts)
        steps.append(taken)
        optimality.append(left)
        if not left <= _ACCEPTED:
            raise RunError(
                f"elastic net: C={penalty:g}, l1_ratio={l1_ratio:g}: a gradient of {left:.2g} is left after {taken} "
                f"steps, expected at most {_ACCEPTED:g}; are features scaled?"
            )
    return LogisticPath(np.stack(coefficients), np.stack(intercepts), np.array(steps), np.array(optimality))


class ElasticNetLogistic(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression with an elastic net, as an estimator of scikit-learn.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty.
    l1_ratio : float
        Share of the absolute penalty, 0…1.

    Attributes
    ----------
    classes_ : shape (n_classes,)
    coef_ : shape (1 or n_classes, n_features)
    intercept_ : shape (1 or n_classes,)
    n_iter_ : int
        Quadratic models that the fit took.
    """

    def __init__(self, C: float = 1.0, l1_ratio: float = 0.5) -> None:
        self.C = C
        self.l1_ratio = l1_ratio

    def fit(self, X: Any, y: Any) -> ElasticNetLogistic:
        """Fit to features, shape (n_units, n_features), and classes, shape (n_units,)."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        # A warm start: the last fit alone, from nothing, may take many more steps.
        penalties = [*np.geomspace(self.C * 1e-6, self.C, 7)[:-1], self.C]
        path = logistic_path(X, codes, len(self.classes_), penalties, self.l1_ratio)
        self.coef_, self.intercept_ = path.coefficients[-1], path.intercepts[-1]
        self.n_iter_ = int(path.steps.sum())
        return self

    def decision_function(self, X: Any) -> Floats:
        """Return log odds, shape (n_units,), or the scores of each class, shape (n_units, n_classes)."""
        check_is_fitted(self)
        scores = self._scores(X)
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each class, shape (n_units, n_classes)."""
        return _probabilities(self._scores(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest class, shape (n_units,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def _scores(self, X: Any) -> Floats:
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(values @ self.coef_.T + self.intercept_)


def _check(
    values: Floats, classes: NDArray[np.int64], n_classes: int, penalties: Sequence[float], l1_ratio: float
) -> None:
    if not np.isfinite(values).all():
        column = int(np.flatnonzero(~np.isfinite(values).all(axis=0))[0])
        raise InputError(f"elastic net: column {column} has missing or infinite values; expected finite ones")
    counts = np.bincount(classes, minlength=n_classes)
    if n_classes < 2 or len(counts) > n_classes or not counts.all():
        raise InputError(
            f"elastic net: found {counts.tolist()} units by class, expected units in each of {n_classes} classes"
        )
    if not all(penalty > 0 for penalty in penalties) or any(np.diff(penalties) < 0):
        raise InputError(f"elastic net: found C {list(penalties)}, expected values above 0 in rising order")
    if not 0 <= l1_ratio <= 1:
        raise InputError(f"elastic net: found l1_ratio {l1_ratio}, expected 0…1")


# One fit -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fit:
    """Coefficients (n_rows, n_features), intercepts (n_rows,), and the units' scores under them (n_units, n_rows)."""

    coefficients: Floats
    intercepts: Floats
    scores: Floats

    def moved(self, values: Floats, step: Floats, shift: Floats) -> _Fit:
        return _Fit(self.coefficients + step, self.intercepts + shift, self.scores + values @ step.T + shift)


def _start(values: Floats, members: Floats) -> _Fit:
    """No coefficients, intercepts that give the classes their shares."""
    share = members.mean(axis=0)
    intercepts = np.log(share) - (np.log(1 - share) if len(share) == 1 else np.log(share).mean())
    empty = np.zeros((members.shape[1], values.shape[1]))
    return _Fit(empty, intercepts, np.tile(intercepts, (len(values), 1)))


def _fit(values: Floats, members: Floats, fit: _Fit, l1: float, l2: float) -> tuple[_Fit, int, float]:
    """Return the fit at one penalty, the steps it took, and how far from the optimum it is."""
    longest = np.sqrt(max(np.einsum("nf,nf->f", values, values).max(), len(values)))
    objective = _loss(fit.scores, members) + _penalty(fit.coefficients, l1, l2)
    left = np.inf
    for step in range(_MAX_STEPS):
        shares = _shares(fit.scores)
        residuals = members - shares
        gradient, pull = residuals.T @ values, residuals.sum(axis=0)
        left = _distance(gradient, pull, fit.coefficients, l1, l2) / (np.linalg.norm(residuals) * longest)
        if left <= TOLERANCE:
            return fit, step, left
        model = _quadratic(values, shares, gradient, pull)
        moved, decrease = _minimum(model, fit.coefficients, l1, l2)
        shift = model.shift(moved)
        fit, objective, gained = _line_search(values, members, fit, moved, shift, objective, decrease, l1, l2)
        if not gained:
            return fit, step + 1, left
    return fit, _MAX_STEPS, left


def _line_search(
    values: Floats,
    members: Floats,
    fit: _Fit,
    step: Floats,
    shift: Floats,
    objective: float,
    decrease: float,
    l1: float,
    l2: float,
) -> tuple[_Fit, float, bool]:
    """Halve the step until the objective falls by a part of what the model promises."""
    length = 1.0
    while length > 1e-10:
        tried = fit.moved(values, length * step, length * shift)
        reached = _loss(tried.scores, members) + _penalty(tried.coefficients, l1, l2)
        if reached <= objective - 1e-4 * length * decrease + _ROUNDING * abs(objective):
            return tried, reached, True
        length /= 2
    return fit, objective, False


def _distance(gradient: Floats, pull: Floats, coefficients: Floats, l1: float, l2: float) -> float:
    """Return the largest distance of zero from the subdifferential of the objective."""
    slope = gradient - l2 * coefficients
    at_zero = np.maximum(np.abs(slope) - l1, 0)
    apart = np.where(coefficients == 0, at_zero, np.abs(slope - l1 * np.sign(coefficients)))
    return float(max(apart.max(initial=0), np.abs(pull).max()))


def _shares(scores: Floats) -> Floats:
    """Return the probability of each row of coefficients."""
    return np.asarray(expit(scores) if scores.shape[1] == 1 else softmax(scores, axis=1))


def _probabilities(scores: Floats) -> Floats:
    if scores.shape[-1] > 1:
        return np.asarray(softmax(scores, axis=-1))
    return np.concatenate([expit(-scores), expit(scores)], axis=-1)


def _loss(scores: Floats, members: Floats) -> float:
    """Return the summed log loss, to full relative precision where it is nearly zero."""
    if scores.shape[1] == 1:
        return float(np.logaddexp(0, np.where(members == 1, -scores, scores)).sum())
    own = scores[members == 1]
    others = np.where(members == 1, -np.inf, scores)
    return float(np.logaddexp(0, logsumexp(others, axis=1) - own).sum())


def _penalty(coefficients: Floats, l1: float, l2: float) -> float:
    return float(l1 * np.abs(coefficients).sum() + l2 / 2 * (coefficients**2).sum())


# The quadratic model -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Quadratic:
    """The loss around a fit, least over the intercepts: ½·d'gram·d − gradient'd for a step d.

    `gram` has shape (n_rows·n_features,) twice; the intercepts follow by `shift`.
    """

    gram: Floats
    gradient: Floats
    cross: Floats
    inverse: Floats
    pull: Floats

    def shift(self, step: Floats) -> Floats:
        return np.asarray(self.inverse @ (self.pull - self.cross @ step.ravel()))


def _quadratic(values: Floats, shares: Floats, gradient: Floats, pull: Floats) -> _Quadratic:
    """Build the model of the loss: its curvature is the weighted Gram matrix of the rows."""
    n_rows, n_features = shares.shape[1], values.shape[1]
    gram = np.empty((n_rows, n_features, n_rows, n_features))
    cross = np.empty((n_rows, n_rows, n_features))
    middle = np.empty((n_rows, n_rows))
    for a in range(n_rows):
        for b in range(a, n_rows):
            # Of one row the weights are p(1 - p), of two -pq: one sign, so that the product of a matrix with itself
            # does, at half the cost.
            weight = np.abs(shares[:, a] * ((a == b) - shares[:, b]))
            sign = 1.0 if a == b else -1.0
            rooted = values * np.sqrt(weight)[:, None]
            block = sign * (rooted.T @ rooted)
            gram[a, :, b, :] = gram[b, :, a, :] = block
            cross[a, b] = cross[b, a] = sign * (weight @ values)
            middle[a, b] = middle[b, a] = sign * weight.sum()
    # With one row per class, a common shift of all intercepts changes nothing: the inverse leaves it at zero.
    inverse = np.asarray(np.linalg.pinv(middle, hermitian=True), dtype=np.float64)
    flat = cross.reshape(n_rows, n_rows * n_features)
    whole = gram.reshape(n_rows * n_features, n_rows * n_features) - flat.T @ inverse @ flat
    return _Quadratic(whole, gradient.ravel() - flat.T @ inverse @ pull, flat, inverse, pull)


def _minimum(model: _Quadratic, coefficients: Floats, l1: float, l2: float) -> tuple[Floats, float]:
    """Return the step to the minimum of model and penalty, and the decrease that the model promises."""
    start = coefficients.ravel()
    target = model.gram @ start + model.gradient
    if l1 == 0:
        found = np.asarray(np.linalg.solve(model.gram + l2 * np.eye(len(start)), target), dtype=np.float64)
    else:
        found = descend(model.gram, target, start, len(coefficients), l1, l2)
    step = found - start
    penalty = _penalty(start, l1, l2) - _penalty(found, l1, l2)
    slope = float(model.gradient @ step)
    # The decrease by the intercepts alone counts too.
    alone = float(model.pull @ model.inverse @ model.pull)
    return step.reshape(coefficients.shape), slope + penalty + alone
