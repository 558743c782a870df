"""Scores of predictions with intervals, calibration, confusion, and naive rules to compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from scipy.stats import t as student
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geomob_dask.errors import InputError
from geomob_dask.models.folds import Fold

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# As in scikit-learn: the log loss of a model that is certain and wrong is finite.
_SMALLEST = np.finfo(np.float64).eps


def accuracy(codes: Ints, shares: Floats) -> float:
    """Return the share of units whose most probable class is their own.

    Parameters
    ----------
    codes : shape (n_units,), int
        Class of each unit, from 0.
    shares : shape (n_units, n_classes)
        Predicted probabilities; rows sum to one.

    Examples
    --------
    >>> accuracy(np.array([0, 1]), np.array([[0.8, 0.2], [0.6, 0.4]]))
    0.5
    """
    return float((shares.argmax(axis=1) == codes).mean())


def auc(codes: Ints, shares: Floats) -> float:
    """Return the area under the ROC curve: of the second class of two, else the mean over one class against the rest.

    Returns
    -------
    float
        0…1; 0.5 is chance. NaN where a class has no units, or all of them.

    References
    ----------
    Hanley & McNeil (1982), "The meaning and use of the area under a receiver operating characteristic curve".

    Examples
    --------
    >>> auc(np.array([0, 1]), np.array([[0.8, 0.2], [0.6, 0.4]]))
    1.0
    """
    chosen = [1] if shares.shape[1] == 2 else range(shares.shape[1])
    return float(np.mean([_area(codes == one, shares[:, one]) for one in chosen]))


def _area(inside: NDArray[np.bool_], score: Floats) -> float:
    """Share of pairs (one inside, one outside) that the score puts in order; ties count half."""
    n_in, n_out = int(inside.sum()), int((~inside).sum())
    if not n_in or not n_out:
        return np.nan
    return float((rankdata(score)[inside].sum() - n_in * (n_in + 1) / 2) / (n_in * n_out))


def log_loss(codes: Ints, shares: Floats) -> float:
    """Return the mean of −ln of the probability given to the true class, nats; 0 is perfect.

    Examples
    --------
    >>> log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]]))
    0.693147
    """
    return float(-np.log(np.maximum(shares[np.arange(len(codes)), codes], _SMALLEST)).mean())


def brier(codes: Ints, shares: Floats) -> float:
    """Return the Brier score: the mean squared distance of probabilities from the outcome; 0 is perfect.

    With two classes it is twice the mean squared error of the second class's probability (Brier 1950 as he wrote it).

    Examples
    --------
    >>> brier(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]]))
    0.5
    """
    return float(((shares - np.eye(shares.shape[1])[codes]) ** 2).sum(axis=1).mean())


SCORES: dict[str, tuple[str, Callable[[Ints, Floats], float]]] = {
    "accuracy": ("Accuracy", accuracy),
    "auc": ("AUC", auc),
    "log_loss": ("Log loss", log_loss),
    "brier": ("Brier score", brier),
}
"""Scores by name: title and function."""


def interval(values: Sequence[float] | Floats, test_share: float, level: float = 0.95) -> tuple[float, float, float]:
    """Return mean and interval of a score over (repeated) folds, corrected for the overlap of their training sets.

    Folds train on nearly the same units, so their scores vary less than those of new samples would: the variance of
    the mean is taken as (1/J + n_test/n_train)·s² instead of s²/J, with J − 1 degrees of freedom.

    Parameters
    ----------
    values : shape (n_folds,)
        Score of each fold; NaN for a fold without one, which is left out.
    test_share : float
        Tested units as a share of those trained on.

    Returns
    -------
    mean, lower, upper : float
        Bounds are NaN with fewer than two folds.

    References
    ----------
    Nadeau & Bengio (2003), "Inference for the Generalization Error", section 5; Bouckaert & Frank (2004) for
    repeated cross-validation.

    Examples
    --------
    >>> interval([0.8, 0.9], 0.25)
    (0.85, 0.071907, 1.628093)
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return np.nan, np.nan, np.nan
    mean = float(known.mean())
    if len(known) < 2:
        return mean, np.nan, np.nan
    error = np.sqrt((1 / len(known) + test_share) * known.var(ddof=1))
    half = float(student.ppf((1 + level) / 2, len(known) - 1) * error)
    return mean, mean - half, mean + half


def score_table(
    codes: Ints, predictions: Sequence[tuple[Fold, Floats]], *, sample: str = "test", level: float = 0.95
) -> pd.DataFrame:
    """Return each score over folds, with its interval.

    Parameters
    ----------
    codes : shape (n_units,), int
        Classes of all units of the study.
    predictions : sequence of (fold, shape (n, n_classes))
        Probabilities for the units that each fold tests (or trained on).
    sample : {"test", "train"}
        Whether these are the units that a fold tests, or those it trains on.

    Returns
    -------
    DataFrame
        Indexed by ``score``: ``title``, ``value``, ``lower``, ``upper`` (see `interval`; NaN for training rows, which
        do not measure performance on new units), ``folds``: number of folds with the score (AUC needs all classes
        among those tested).

    Raises
    ------
    InputError
        If there are no folds.
    """
    if not predictions:
        raise InputError("scores: found no folds, expected at least one")
    share = float(np.mean([len(fold.test) / len(fold.train) for fold, _ in predictions]))
    rows = []
    for name, (title, function) in SCORES.items():
        values = np.array(
            [function(codes[fold.test if sample == "test" else fold.train], p) for fold, p in predictions]
        )
        mean, lower, upper = interval(values, share, level)
        if sample == "train":
            lower = upper = np.nan
        rows.append((name, title, mean, lower, upper, int((~np.isnan(values)).sum())))
    return pd.DataFrame(rows, columns=["score", "title", "value", "lower", "upper", "folds"]).set_index("score")


def calibration_curve(hit: NDArray[np.bool_], share: Floats, n_bins: int = 10) -> pd.DataFrame:
    """Return mean predicted probability and observed share, in bins of equal numbers of units.

    Parameters
    ----------
    hit : shape (n_units,), bool
        Whether a unit is in the class.
    share : shape (n_units,)
        Its predicted probability.

    Returns
    -------
    DataFrame
        ``predicted`` and ``observed``: means of a bin; ``lower`` and ``upper``: Wilson's 95 % interval of the latter;
        ``units``. Equal predictions are in one bin.

    Examples
    --------
    >>> calibration_curve(np.array([False, True, True]), np.array([0.25, 0.25, 0.75]), 2)[["predicted", "observed"]]
       predicted  observed
    0       0.25       0.5
    1       0.75       1.0
    """
    edges = np.unique(np.quantile(share, np.linspace(0, 1, n_bins + 1)[1:-1]))
    bins = np.searchsorted(edges, share, side="left")
    grouped = pd.DataFrame({"share": share, "hit": hit}).groupby(bins)
    table = grouped.agg(predicted=("share", "mean"), observed=("hit", "mean"), units=("hit", "size"))
    lower, upper = wilson(table["observed"].to_numpy(), table["units"].to_numpy())
    return table.assign(lower=lower, upper=upper).reset_index(drop=True)


def wilson(share: Floats, n: Floats | Ints) -> tuple[Floats, Floats]:
    """Return Wilson's interval of 95 % around shares of n units each.

    References
    ----------
    Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference".

    Examples
    --------
    >>> lower, upper = wilson(np.array([0.5]), np.array([10]))
    >>> lower.item(), upper.item()
    (0.236593, 0.763407)
    """
    z = 1.959963984540054
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def confusion(codes: Ints, shares: Floats) -> Ints:
    """Return the number of units by actual class (rows) and predicted class (columns).

    Examples
    --------
    >>> confusion(np.array([0, 1, 1]), np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]]))
    array([[1, 0],
           [1, 1]])
    """
    n_classes = shares.shape[1]
    flat = np.bincount(codes * n_classes + shares.argmax(axis=1), minlength=n_classes**2)
    return flat.reshape(n_classes, n_classes).astype(np.int64)


# Naive rules ---------------------------------------------------------------------------------

BASELINES = {
    "majority": "Always the commonest class",
    "prior": "The shares of the classes",
    "state": "The classes of the same state",
    "feature": "Logistic regression on the best single feature",
}
"""Naive predictions that a model must beat, by name."""


def baseline_shares(
    name: str, fold: Fold, values: Floats, codes: Ints, states: NDArray[np.object_], n_classes: int
) -> Floats:
    """Return a naive prediction of a fold's tested units from its training rows.

    Parameters
    ----------
    name : str
        Of `BASELINES`. ``state``: the shares of the classes among the state's training units, with one unit of the
        nation's shares added; the nation's alone where the state has none. ``feature``: the feature is chosen, filled
        and scaled on the training rows.
    values : shape (n_units, n_features)
    codes, states : shape (n_units,)

    Returns
    -------
    shape (n_test, n_classes)

    Raises
    ------
    InputError
        If there is no such baseline.
    """
    if name not in BASELINES:
        raise InputError(f"baseline {name!r}: no such baseline; expected one of: {', '.join(BASELINES)}")
    known = codes[fold.train]
    prior = np.bincount(known, minlength=n_classes) / len(known)
    if name == "majority":
        return np.tile(np.eye(n_classes)[prior.argmax()], (len(fold.test), 1))
    if name == "prior":
        return np.tile(prior, (len(fold.test), 1))
    if name == "state":
        return _by_state(fold, known, states, prior)
    return _by_best_feature(fold, values, known)


def _by_state(fold: Fold, known: Ints, states: NDArray[np.object_], prior: Floats) -> Floats:
    names, places = np.unique(np.asarray(states, dtype=str), return_inverse=True)
    counts = np.zeros((len(names), len(prior)))
    np.add.at(counts, (places[fold.train], known), 1)
    counts += prior
    return np.asarray((counts / counts.sum(axis=1, keepdims=True))[places[fold.test]])


def _by_best_feature(fold: Fold, values: Floats, known: Ints) -> Floats:
    """Logistic regression on the feature that is closest to the classes by itself: lowest log loss in training."""
    best, least = None, np.inf
    for column in range(values.shape[1]):
        one = values[fold.train][:, [column]]
        if np.isnan(one).all():
            continue
        model = make_pipeline(
            SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(solver="newton-cholesky")
        ).fit(one, known)
        loss = log_loss(known, model.predict_proba(one))
        if loss < least:
            best, least = (column, model), loss
    if best is None:
        raise InputError(f"{fold.name}: all features are missing in the training rows; expected values")
    return np.asarray(best[1].predict_proba(values[fold.test][:, [best[0]]]))
