"""Leaks of the published study, reproduced to measure how much accuracy they add.

The source (`sources/mobility_models.txt`) filled and scaled the whole table before splitting it, appended the number of
each unit's k-means cluster, found on a table that held the target, and judged its models by one split without a seed.
Nothing here is meant for models: see `ClusterLabels` for clusters inside a fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from geomob_dask.errors import InputError
from geomob_dask.models.catalog import model_named
from geomob_dask.models.clusters import ClusterLabels, cluster_units, fill_and_scale
from geomob_dask.models.labels import Labels
from geomob_dask.models.study import Study
from geomob_dask.models.threads import one_thread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PREPARATIONS: Mapping[str, str] = {
    "inside": "fill and scaler fitted on training rows alone, no clusters",
    "clusters_inside": "the same, and clusters found on training rows alone, without the target",
    "scaled_before": "fill and scaler fitted on all rows, before the split",
    "clusters_before": "the same, and clusters found on all rows, without the target",
    "clusters_hold_target": "the same, and the target in the table that is clustered: as in the source",
}
"""Preparations of a study, from none of the leaks of the source to all of them."""


def leaky_features(study: Study, seed: int, *, clusters: int = 4, holds_target: bool = True) -> Floats:
    """Return a study's features as the source prepared them.

    Parameters
    ----------
    seed : int
        Of k-means.
    clusters : int
        The source found about four.
    holds_target : bool
        Whether the outcome is a column of the table that is clustered.

    Returns
    -------
    shape (n_units, n_features + 1)
        Features, filled by their median and scaled over all units, and the number of the unit's cluster.
    """
    table = np.column_stack([study.values, study.outcome]) if holds_target else study.values
    number = cluster_units(table, clusters, seed=seed)
    return np.column_stack([fill_and_scale().fit_transform(study.values), number.astype(np.float64)])


def leak_scores(
    study: Study, codes: Ints, model: Any, seed: int, *, clusters: int = 4, test_share: float = 0.25
) -> dict[str, float]:
    """Score a model on one random split, prepared in each of the `PREPARATIONS`.

    Parameters
    ----------
    codes : shape (n_units,)
        Classes.
    model : scikit-learn classifier
        A fresh copy is fitted each time.
    seed : int
        Of the split and of k-means.
    test_share : float
        Share of units held out, the same of each class.

    Returns
    -------
    mapping of str to float
        Accuracy on the units held out, by preparation.
    """
    if not 0 < test_share < 1:
        raise InputError(f"test_share: found {test_share}, expected a share between 0 and 1")
    rows = np.arange(len(codes))
    train, test = train_test_split(rows, test_size=test_share, stratify=codes, random_state=seed)
    prepared = {
        "inside": (study.values, make_pipeline(fill_and_scale(), clone(model))),
        "clusters_inside": (
            study.values,
            make_pipeline(ClusterLabels(clusters, random_state=seed), fill_and_scale(), clone(model)),
        ),
        "scaled_before": (fill_and_scale().fit_transform(study.values), clone(model)),
        "clusters_before": (leaky_features(study, seed, clusters=clusters, holds_target=False), clone(model)),
        "clusters_hold_target": (leaky_features(study, seed, clusters=clusters), clone(model)),
    }
    return {
        name: float(fitted.fit(values[train], codes[train]).score(values[test], codes[test]))
        for name, (values, fitted) in prepared.items()
    }


# Splits of different seeds have different keys.
_SPLITS_PER_SEED = 1_000_003


def split_leaks(
    study: Study, labels: Labels, model: str, settings: Mapping[str, Any], seed: int, split: int
) -> dict[str, float]:
    """Return the accuracy of a model of the catalog on one random split, by preparation of the study.

    Parameters
    ----------
    split : int
        Number of the split.
    """
    classifier = model_named(model).classifier(seed).set_params(**settings)
    with one_thread():
        return leak_scores(study, labels.codes, classifier, seed * _SPLITS_PER_SEED + split)


@dataclass(frozen=True)
class Leak:
    """Accuracy of one preparation of a study, and how much it exceeds that of the preparation without leaks.

    Parameters
    ----------
    preparation : str
        Of `PREPARATIONS`.
    accuracy : float
        Mean over splits.
    lowest, highest : float
        Lowest and highest of single splits.
    worth, lower, upper : float
        Mean difference from ``inside`` on the same splits, and its interval.
    splits : int
    """

    preparation: str
    accuracy: float
    lowest: float
    highest: float
    worth: float
    lower: float
    upper: float
    splits: int


def leaks(scores: Sequence[Mapping[str, float]], *, test_share: float = 0.25, level: float = 0.95) -> list[Leak]:
    """Summarize the scores of several splits.

    Parameters
    ----------
    scores : sequence of mapping
        From `leak_scores`, one per split.
    test_share : float
        As there. Splits share units: the variance of the mean difference is (1/J + test/train)·s², not s²/J.

    Raises
    ------
    InputError
        If there are fewer than two splits.

    References
    ----------
    Nadeau & Bengio (2003), "Inference for the Generalization Error".
    """
    if len(scores) < 2:
        raise InputError(f"splits: found {len(scores)}, expected two or more")
    inside = np.array([one["inside"] for one in scores])
    stretch = float(np.sqrt(1 / len(scores) + test_share / (1 - test_share)))
    reach = float(scipy.stats.t.ppf((1 + level) / 2, len(scores) - 1)) * stretch
    found = []
    for name in PREPARATIONS:
        values = np.array([one[name] for one in scores])
        worth = values - inside
        mean, half = float(worth.mean()), reach * float(worth.std(ddof=1))
        found.append(
            Leak(
                preparation=name,
                accuracy=float(values.mean()),
                lowest=float(values.min()),
                highest=float(values.max()),
                worth=mean,
                lower=mean - half,
                upper=mean + half,
                splits=len(scores),
            )
        )
    return found


def leakage_table(scores: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Return the accuracy of each preparation and the worth of its leaks over several splits; see `leaks`."""
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
