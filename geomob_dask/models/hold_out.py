"""Models and naive rules fitted on the training rows of a fold, and their predictions for the rows it holds out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomob_dask.models.catalog import model_named
from geomob_dask.models.folds import Fold
from geomob_dask.models.labels import Labels
from geomob_dask.models.permutation_importance import permutation_importance
from geomob_dask.models.scores import BASELINES, baseline_shares
from geomob_dask.models.study import Study
from geomob_dask.models.threads import one_thread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Shuffling more held-out units than these changes no digit that is read.
_SHUFFLED_UNITS = 4_000


@dataclass(frozen=True)
class HeldOut:
    """Predictions of one model for the units that one fold holds out.

    Parameters
    ----------
    model, folds : str
        The model, and the kind of folds.
    fold : Fold
    settings : mapping
        Of the model, chosen inside the fold.
    shares : shape (n_test, n_classes)
        Predicted probabilities of the held-out units.
    train : shape (n_train, n_classes)
        Predicted probabilities of the units fitted on.
    losses : mapping of str to mapping of str to float
        By kind of group (domain, feature) and group: accuracy lost when it is shuffled; empty if not computed.
    impurity : mapping of str to float
        By feature: its share of the decrease of impurity in the trees of the model; empty if not computed or if the
        model has none.
    """

    model: str
    folds: str
    fold: Fold
    settings: Mapping[str, Any]
    shares: Floats
    train: Floats
    losses: Mapping[str, Mapping[str, float]]
    impurity: Mapping[str, float]


def hold_out(
    study: Study,
    labels: Labels,
    model: str,
    folds: str,
    fold: Fold,
    settings: Mapping[str, Any],
    seed: int,
    shuffles: int,
) -> HeldOut:
    """Return a model's predictions for the rows that a fold holds out.

    Parameters
    ----------
    model : str
        Name in the catalog.
    folds : str
        Kind of the folds.
    settings : mapping
        Of the model.
    shuffles : int
        Shuffles of each group of features, for its importance; 0: importance is not computed.
    """
    values, codes = study.values, labels.codes
    estimator = model_named(model).build(len(labels.names), seed, **settings)
    with one_thread():
        estimator.fit(values[fold.train], codes[fold.train])
        shares, train = (np.asarray(estimator.predict_proba(values[rows])) for rows in (fold.test, fold.train))
        losses: dict[str, dict[str, float]] = {}
        impurity: dict[str, float] = {}
        if shuffles:
            impurity = impurity_importance(estimator, study.feature_names)
            rows = _at_most(fold.test, [seed, fold.repeat, fold.number])
            losses = {
                kind: _importance(estimator, values[rows], codes[rows], groups, seed, shuffles)
                for kind, groups in study.groups.items()
            }
    return HeldOut(model, folds, fold, dict(settings), shares, train, losses, impurity)


def impurity_importance(estimator: Any, names: Sequence[str]) -> dict[str, float]:
    """Return each feature's share of the decrease of Gini impurity in a fitted forest; nothing of other models.

    It is measured on the rows that the trees were fitted on, and favors features with many different values.

    References
    ----------
    Breiman (2001), "Random Forests"; Strobl et al. (2007), "Bias in Random Forest Variable Importance Measures".
    """
    shares = getattr(estimator[-1], "feature_importances_", None)
    if shares is None:
        return {}
    # Clusters come after the features.
    given = estimator[:-1].get_feature_names_out(np.asarray(names, dtype=object))
    return dict(zip(map(str, given), np.asarray(shares).tolist(), strict=True))


def _importance(
    estimator: Any, values: Floats, codes: Ints, groups: Mapping[str, Sequence[int]], seed: int, repeats: int
) -> dict[str, float]:
    found = permutation_importance(estimator, values, codes, groups, _accuracy, repeats=repeats, seed=seed)
    return dict(zip(found.names, found.loss.tolist(), strict=True))


def _accuracy(estimator: Any, values: Floats, codes: Ints) -> float:
    return float((estimator.predict(values) == codes).mean())


def _at_most(rows: Ints, key: Sequence[int]) -> Ints:
    """Return at most as many rows as are shuffled, drawn with a key, in order."""
    if len(rows) <= _SHUFFLED_UNITS:
        return rows
    draw = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
    return np.sort(draw.permutation(rows)[:_SHUFFLED_UNITS])


@dataclass(frozen=True)
class Baselines:
    """Predictions of naive rules for the units that one fold holds out.

    Parameters
    ----------
    folds : str
        Kind of the folds.
    fold : Fold
    shares : mapping of str to shape (n_test, n_classes)
        Predicted probabilities by rule; see `scores.BASELINES`.
    """

    folds: str
    fold: Fold
    shares: Mapping[str, Floats]


def baselines(study: Study, labels: Labels, folds: str, fold: Fold) -> Baselines:
    """Return the predictions of all naive rules for the rows that a fold holds out; by state if states are known."""
    with one_thread():
        shares = {
            name: baseline_shares(name, fold, study.values, labels.codes, study.states, len(labels.names))
            for name in BASELINES
            if name != "state" or any(study.states)
        }
    return Baselines(folds, fold, shares)


def fit_all(study: Study, labels: Labels, model: str, settings: Mapping[str, Any], seed: int) -> Any:
    """Return a model fitted on all units."""
    estimator = model_named(model).build(len(labels.names), seed, **settings)
    with one_thread():
        return estimator.fit(study.values, labels.codes)
