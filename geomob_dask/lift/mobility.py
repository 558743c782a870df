"""What a mobility study shows beside its models, as tables: each from arrays, so that a task can make it anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.models.clusters import elbow
from geomob_dask.models.exploration import correlation_matrix, correlations, distribution
from geomob_dask.models.feature_ranking import mutual_information, permutation_importance
from geomob_dask.models.labels import Labels
from geomob_dask.models.leakage import PREPARATIONS, leak_scores, leaks
from geomob_dask.models.study import Study

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The elbow is looked for among these.
CLUSTERS = tuple(range(1, 11))
# K-means of very many units needs no more than these to show an elbow.
_CLUSTERED_UNITS = 20_000
_KEYED_BY = 1_000_003


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


def feature_row(
    column: Floats, outcome: Floats, codes: Ints, *, seed: int, number: int, repeats: int
) -> dict[str, float]:
    """Return what one feature tells by itself: mutual information with the class, correlations with the outcome.

    Parameters
    ----------
    column : shape (n_units,)
        NaN where missing.
    seed, number : int
        Key the draws: the study's seed and the feature's place.
    repeats : int
        Random halves for the interval of the mutual information.
    """
    both = mutual_information(column[:, None], codes, repeats=repeats, seed=seed * _KEYED_BY + number)
    row = {
        "mutual_information": float(both.nats[0]),
        "mutual_information_lower": float(both.lower[0]),
        "mutual_information_upper": float(both.upper[0]),
    }
    for method in ("pearson", "spearman"):
        found = correlations(column[:, None], outcome, method=method)
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


def cluster_table(values: Floats, seed: int) -> pd.DataFrame:
    """Return inertia and silhouette by number of clusters; of more than 20,000 units, of a sample of them."""
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
        Units held out in a fold, as a share of those fitted on: folds share units to fit on, so that the variance of
        the mean is (1/J + test_share)·s², not s²/J.

    References
    ----------
    Nadeau & Bengio (2003), "Inference for the Generalization Error".
    """
    if not losses:
        raise InputError("importance: found no folds, expected one or more")
    table = pd.DataFrame(list(losses))
    mean, count = table.mean(), len(table)
    reach = pd.Series(np.nan, index=mean.index)
    if count > 1:
        quantile = scipy.stats.t.ppf((1 + level) / 2, count - 1)
        reach = quantile * np.sqrt(1 / count + test_share) * table.std(ddof=1)
    rows = pd.DataFrame({"value": mean, "lower": mean - reach, "upper": mean + reach}).rename_axis("name")
    return rows.sort_values("value", ascending=False, kind="stable")


# What leaked ---------------------------------------------------------------------------------


def split_leaks(study: Study, codes: Ints, model: Any, seed: int) -> dict[str, float]:
    """Return the accuracy on one random split, by way of preparing the study; see `models.leakage`."""
    return leak_scores(study, codes, model, seed)


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
    """Return the likeliest class and the probabilities of each unit, by key; of equal ones the lower class."""
    columns = {f"p_{number}": shares[:, number] for number in range(shares.shape[1])}
    return pd.DataFrame(
        {"predicted": shares.argmax(axis=1).astype(np.int64), **columns},
        index=pd.Index(study.keys, dtype="str", name="unit"),
    )


def calibration_rows(
    parts: Sequence[tuple[Ints, Floats]], codes: Ints, names: Sequence[str], repeats: int, bins: int = 10
) -> pd.DataFrame:
    """Return mean predicted probabilities and shares that are so, by class and bin of the probability.

    Parameters
    ----------
    parts : as in `mean_shares`
    repeats : int
        How often each unit was held out: its predictions are no further units, and the interval is not narrower
        for them.

    Returns
    -------
    DataFrame
        ``class``, ``predicted``, ``observed``, ``lower``, ``upper`` (Wilson, 95 %), ``units`` (a mean over repeats).

    References
    ----------
    Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    rows = np.concatenate([rows for rows, _ in parts])
    shares = np.concatenate([shares for _, shares in parts])
    found = []
    for number, name in enumerate(names):
        place = np.minimum((shares[:, number] * bins).astype(np.int64), bins - 1)
        is_so = codes[rows] == number
        for one in np.unique(place):
            inside = place == one
            units, observed = inside.sum() / repeats, float(is_so[inside].mean())
            lower, upper = _wilson(observed, units)
            found.append((name, float(shares[inside, number].mean()), observed, lower, upper, units))
    return pd.DataFrame(found, columns=["class", "predicted", "observed", "lower", "upper", "units"])


def _wilson(share: float, count: float, level: float = 0.95) -> tuple[float, float]:
    z = float(scipy.stats.norm.ppf((1 + level) / 2))
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


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
