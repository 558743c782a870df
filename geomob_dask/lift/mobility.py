"""What a mobility study shows beside its models, as tables: each from arrays, so that a task can make it anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from geomob_dask.errors import InputError
from geomob_dask.models.catalog import MODELS
from geomob_dask.models.clusters import elbow
from geomob_dask.models.exploration import correlation_matrix, correlations, distribution
from geomob_dask.models.feature_ranking import mutual_information, permutation_importance
from geomob_dask.models.folds import Fold
from geomob_dask.models.labels import Labels
from geomob_dask.models.leakage import PREPARATIONS, leak_scores, leaks
from geomob_dask.models.scores import BASELINES, baseline_shares, calibration_curve, interval
from geomob_dask.models.study import Study

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The elbow is looked for among these.
CLUSTERS = tuple(range(1, 11))
# K-means of very many units needs no more than these to show an elbow.
_CLUSTERED_UNITS = 20_000
# Shuffles of more held-out units than these tell no more.
_SHUFFLED_UNITS = 4_000
_KEYED_BY = 1_000_003
# Neighbours of the mutual information; a random half of a class must still have one more.
_NEAREST = 3


def check_informative(study: Study, labels: Labels) -> None:
    """Refuse features whose mutual information with the class could not be told; cheap, so before any model is fitted.

    Raises
    ------
    InputError
        If too few units of a class have a feature; it names both.
    """
    least = 2 * (_NEAREST + 1)
    for code, name in enumerate(labels.names):
        known = (~np.isnan(study.values[labels.codes == code])).sum(axis=0)  # noqa: PD011
        few = np.flatnonzero(known < least)
        if len(few):
            raise InputError(
                f"feature {study.feature_names[few[0]]!r}: found {known[few[0]]} units of class {name} that have it, "
                f"expected {least} or more for its mutual information (leave the feature out)"
            )


def units_table(study: Study, labels: Labels) -> pd.DataFrame:
    """Return the units with their outcome and class, by key."""
    return pd.DataFrame(
        {
            "label": pd.array(study.labels, dtype="str"),
            "state": pd.array(study.states, dtype="str"),
            "outcome": study.outcome,
            "actual": labels.codes,
            "missing_count": np.isnan(study.values).sum(axis=1),
        },
        index=pd.Index(study.keys, dtype="str", name="unit"),
    )


def distribution_tables(outcome: Floats) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the outcome's histogram (``left``, ``right``, ``units``) and cumulative distribution.

    The second has ``value`` and ``share``, at most 500 points of it.
    """
    found = distribution(outcome)
    bins = pd.DataFrame({"left": found.edges[:-1], "right": found.edges[1:], "units": found.counts})
    points = np.unique(np.linspace(0, len(found.points) - 1, 500).astype(int))
    return bins, pd.DataFrame({"value": found.points[points], "share": found.cumulative[points]})


def correlation_table(study: Study) -> pd.DataFrame:
    """Return Pearson's r of the outcome and all features with each other; the outcome comes first."""
    names = [study.outcome_name, *study.feature_names]
    table = np.column_stack([study.outcome, study.values])  # noqa: PD011
    matrix, _ = correlation_matrix(table)
    return pd.DataFrame(matrix, index=pd.Index(names, name="feature"), columns=names)


def feature_row(studied: tuple[Study, Labels], number: int, seed: int, repeats: int) -> dict[str, float]:
    """Return what one feature tells by itself: mutual information with the class, correlations with the outcome.

    Parameters
    ----------
    number : int
        The feature's place.
    repeats : int
        Random halves for the interval of the mutual information.
    """
    study, labels = studied
    column, name = study.values[:, number], study.feature_names[number]  # noqa: PD011
    both = mutual_information(column[:, None], labels.codes, names=[name], repeats=repeats, seed=seed, nearest=_NEAREST)
    row = {
        "mutual_information": float(both.nats[0]),
        "mutual_information_lower": float(both.lower[0]),
        "mutual_information_upper": float(both.upper[0]),
    }
    for method in ("pearson", "spearman"):
        found = correlations(column[:, None], study.outcome, method=method)
        row |= {
            method: float(found.r[0]),
            f"{method}_lower": float(found.lower[0]),
            f"{method}_upper": float(found.upper[0]),
        }
    return row | {"units": float(both.units[0])}


def ranking_table(names: Sequence[str], rows: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Return `feature_row` of all features, the most informative first."""
    table = pd.DataFrame(list(rows), index=pd.Index(list(names), dtype="str", name="feature"))
    return table.sort_values("mutual_information", ascending=False, kind="stable")


def cluster_table(studied: tuple[Study, Labels], seed: int) -> pd.DataFrame:
    """Return inertia and silhouette by number of clusters; of more than 20,000 units, of a sample of them."""
    values = studied[0].values  # noqa: PD011
    if len(values) > _CLUSTERED_UNITS:
        draw = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, len(values)])))
        values = values[np.sort(draw.permutation(len(values))[:_CLUSTERED_UNITS])]
    tried = [number for number in CLUSTERS if number < len(values)]
    found = elbow(values, tried, seed=seed)
    return pd.DataFrame(
        {
            "clusters": found.clusters,
            "inertia": found.inertia,
            "silhouette": found.silhouette,
            "is_knee": found.clusters == found.knee,
        }
    )


# Importance ----------------------------------------------------------------------------------


def fold_importance(
    estimator: Any, values: Floats, codes: Ints, groups: Mapping[str, Sequence[int]], seed: int, repeats: int
) -> dict[str, float]:
    """Return the accuracy that shuffling each group of features costs a fitted model on units held out."""
    found = permutation_importance(estimator, values, codes, groups, _accuracy, repeats=repeats, seed=seed)
    return dict(zip(found.names, found.loss.tolist(), strict=True))


def _accuracy(estimator: Any, values: Floats, codes: Ints) -> float:
    return float((estimator.predict(values) == codes).mean())


def importance_rows(losses: Sequence[Mapping[str, float]], test_share: float, level: float = 0.95) -> pd.DataFrame:
    """Return the mean loss of each group over folds, and its interval.

    Parameters
    ----------
    losses : sequence of mapping
        From `fold_importance`, a fold each.
    test_share : float
        Units held out in a fold, as a share of those fitted on; see `models.scores.interval`.
    """
    if not losses:
        raise InputError("importance: found no folds, expected one or more")
    table = pd.DataFrame(list(losses))
    rows = [interval(table[name].to_numpy(), test_share, level) for name in table]
    index = pd.Index([str(name) for name in table], dtype="str", name="name")
    found = pd.DataFrame(rows, index=index, columns=["value", "lower", "upper"])
    return found.sort_values("value", ascending=False, kind="stable")


# What leaked ---------------------------------------------------------------------------------


def split_leaks(
    studied: tuple[Study, Labels], name: str, settings: Mapping[str, Any], seed: int, split: int
) -> dict[str, float]:
    """Return a model's accuracy on one random split, by way of preparing the study; see `models.leakage`."""
    study, labels = studied
    classifier = MODELS[name].classifier(seed).set_params(**settings)
    with threadpool_limits(limits=1):
        return leak_scores(study, labels.codes, classifier, seed * _KEYED_BY + split)


def leakage_table(scores: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Return what each leak was worth over several splits."""
    rows = {
        PREPARATIONS[leak.preparation]: {
            "accuracy": leak.accuracy,
            "lowest split": leak.lowest,
            "highest split": leak.highest,
            "worth": leak.worth,
            "worth from": leak.lower,
            "worth to": leak.upper,
        }
        for leak in leaks(scores)
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("preparation")


# Held-out predictions ------------------------------------------------------------------------


def mean_shares(parts: Sequence[tuple[Ints, Floats]], n_units: int) -> Floats:
    """Return each unit's mean predicted probabilities over the folds that held it out.

    Parameters
    ----------
    parts : sequence of (shape (n_rows,), shape (n_rows, n_classes))
        The units of a fold, and what was predicted of them.

    Returns
    -------
    shape (n_units, n_classes)
        NaN for a unit that no fold held out.

    Examples
    --------
    >>> mean_shares([(np.array([0]), np.array([[0.25, 0.75]])), (np.array([0]), np.array([[0.75, 0.25]]))], 2)
    array([[0.5, 0.5],
           [nan, nan]])
    """
    total = np.zeros((n_units, parts[0][1].shape[1]))
    times = np.zeros(n_units)
    for rows, shares in parts:
        total[rows] += shares
        times[rows] += 1
    with np.errstate(invalid="ignore"):
        return np.asarray(total / times[:, None])


def predictions_table(study: Study, shares: Floats) -> pd.DataFrame:
    """Return the likeliest class by mean probabilities, and these, by unit; of equal ones the lower class."""
    columns = {f"p_{number}": shares[:, number] for number in range(shares.shape[1])}
    return pd.DataFrame(
        {"predicted": shares.argmax(axis=1).astype(np.int64), **columns},
        index=pd.Index(study.keys, dtype="str", name="unit"),
    )


def calibration_rows(
    parts: Sequence[tuple[Ints, Floats]], codes: Ints, names: Sequence[str], repeats: int
) -> pd.DataFrame:
    """Return mean predicted probabilities and shares that are so, by class and bin of the probability.

    Parameters
    ----------
    parts : sequence of (shape (n_rows,), shape (n_rows, n_classes))
        The units of a fold, and what its model predicted of them: not a mean over repeats, which no model says.
    repeats : int
        How often each unit was held out: ``units`` and intervals take it once.

    Returns
    -------
    DataFrame
        ``class``, and what `models.scores.calibration_curve` returns.
    """
    rows = np.concatenate([rows for rows, _ in parts])
    shares = np.concatenate([shares for _, shares in parts])
    tables = []
    for number, name in enumerate(names):
        table = calibration_curve(codes[rows] == number, shares[:, number])
        table["units"] = table["units"] / repeats
        table["lower"], table["upper"] = _wilson(table["observed"].to_numpy(), table["units"].to_numpy())
        table.insert(0, "class", pd.array([name] * len(table), dtype="str"))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _wilson(share: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Return Wilson's interval of 95 % of shares of n units each."""
    z = 1.959963984540054
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def confusion_rows(
    parts: Sequence[tuple[Ints, Floats]], codes: Ints, names: Sequence[str], repeats: int
) -> pd.DataFrame:
    """Return how many units of each class were taken for each, as means over repeats.

    Returns
    -------
    DataFrame
        ``actual``, ``predicted``, ``units``, ``share`` (of the actual class).
    """
    counts = np.zeros((len(names), len(names)))
    for rows, shares in parts:
        np.add.at(counts, (codes[rows], shares.argmax(axis=1)), 1 / repeats)
    actual, predicted = (index.ravel() for index in np.indices(counts.shape))
    words = np.array(list(names), dtype=object)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
    return pd.DataFrame(
        {
            "actual": pd.array(words[actual], dtype="str"),
            "predicted": pd.array(words[predicted], dtype="str"),
            "units": counts.ravel(),
            "share": share.ravel(),
        }
    )


@dataclass(frozen=True)
class HeldOut:
    """What one model says of the units that one fold holds out.

    Parameters
    ----------
    model, folds : str
        The model, and the kind of folds.
    fold : Fold
    settings : mapping
        Of the model, chosen inside the fold.
    shares : shape (n_test, n_classes)
        Predicted probabilities of the units held out.
    train : shape (n_train, n_classes)
        Of the units fitted on.
    losses : mapping of str to mapping of str to float
        By kind of group (domain, feature) and group: accuracy lost when it is shuffled; empty where not asked for.
    """

    model: str
    folds: str
    fold: Fold
    settings: Mapping[str, Any]
    shares: Floats
    train: Floats
    losses: Mapping[str, Mapping[str, float]]


def hold_out(
    studied: tuple[Study, Labels],
    name: str,
    folds: str,
    fold: Fold,
    settings: Mapping[str, Any],
    seed: int,
    shuffles: int,
) -> HeldOut:
    """Fit a model on a fold's training rows, and predict what it holds out.

    Parameters
    ----------
    shuffles : int
        Of each group of features, for its importance; 0: none.
    """
    study, labels = studied
    values, codes = study.values, labels.codes  # noqa: PD011
    model = MODELS[name].build(len(labels.names), seed, **settings)
    with threadpool_limits(limits=1):
        model.fit(values[fold.train], codes[fold.train])
        shares, train = (np.asarray(model.predict_proba(values[rows])) for rows in (fold.test, fold.train))
        losses: dict[str, dict[str, float]] = {}
        if shuffles:
            rows = _sample(fold.test, [seed, fold.repeat, fold.number])
            kinds = {"domain": study.domains, "feature": {one: [at] for at, one in enumerate(study.feature_names)}}
            losses = {
                kind: fold_importance(model, values[rows], codes[rows], groups, seed, shuffles)
                for kind, groups in kinds.items()
            }
    return HeldOut(name, folds, fold, dict(settings), shares, train, losses)


@dataclass(frozen=True)
class Naive:
    """What costs nothing says of the units that one fold holds out: probabilities by name of the rule."""

    folds: str
    fold: Fold
    shares: Mapping[str, Floats]


def naive(studied: tuple[Study, Labels], folds: str, fold: Fold) -> Naive:
    """Return every naive prediction of a fold's held-out units from its training rows."""
    study, labels = studied
    values = study.values  # noqa: PD011
    with threadpool_limits(limits=1):
        shares = {
            name: baseline_shares(name, fold, values, labels.codes, study.states, len(labels.names))
            for name in BASELINES
        }
    return Naive(folds, fold, shares)


def _sample(rows: Ints, key: Sequence[int]) -> Ints:
    """Return at most as many rows as shuffles need, in order."""
    if len(rows) <= _SHUFFLED_UNITS:
        return rows
    draw = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
    return np.sort(draw.permutation(rows)[:_SHUFFLED_UNITS])


def fit_all(studied: tuple[Study, Labels], name: str, settings: Mapping[str, Any], seed: int) -> Any:
    """Return a model fitted on all units."""
    study, labels = studied
    model = MODELS[name].build(len(labels.names), seed, **settings)
    with threadpool_limits(limits=1):
        return model.fit(study.values, labels.codes)
