"""The models by name: how each is built, and the settings that a search compares.

A further model is an entry here; searches, validation and jobs find it by its name. A name such as ``forest_clusters``
or ``forest_clusters6`` is an entry's model that also gets the cluster of each unit, found inside each fold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from geomob_dask.errors import InputError
from geomob_dask.models.clusters import ClusterLabels
from geomob_dask.models.elastic_net import ElasticNetLogistic
from geomob_dask.models.ordinal import OrdinalLogistic

PENALTIES: tuple[float, ...] = tuple(float(C) for C in np.logspace(-10, 10, 50))
"""C of the published search."""
L1_RATIOS: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(20))
"""l1 ratios of the published search, 0…0.95."""

_CLASSIFIER = "classifier"
# A ridge whose penalty is below the rounding of the loss. Without one, classes that a plane separates have no fit.
_NO_PENALTY = 1e12


@dataclass(frozen=True)
class Model:
    """An entry of the catalog.

    Parameters
    ----------
    name, title : str
        Name on the command line, and in words.
    classifier : callable of a seed
        Returns the estimator that follows fill and scale in the pipeline.
    grid : mapping
        Settings that a search compares: parameter of the classifier → values; none: there is nothing to search.
    n_classes : sequence of int
        Numbers of classes that it can predict.
    path : bool
        Whether a whole path of its penalties is fitted at once.
    clusters : int
        Number of clusters of units whose labels are features too, found among the rows that it is fitted to; 0: none.
    """

    name: str
    title: str
    classifier: Callable[[int], Any]
    grid: Mapping[str, Sequence[Any]]
    n_classes: tuple[int, ...] = (2, 4)
    path: bool = False
    clusters: int = 0

    def build(self, n_classes: int, seed: int, **settings: Any) -> Pipeline:
        """Return an unfitted pipeline: clusters, if wanted; fill by the median, scale, classify.

        Every step is fitted to the same rows.

        Raises
        ------
        InputError
            If the model is not for this number of classes.
        """
        if n_classes not in self.n_classes:
            raise InputError(
                f"model {self.name}: found {n_classes} classes, expected {' or '.join(map(str, self.n_classes))}"
            )
        labels = [("clusters", ClusterLabels(self.clusters, random_state=seed))] if self.clusters else []
        return Pipeline(
            [
                *labels,
                # Features without any value are refused earlier; keeping them here keeps all columns in place.
                ("fill", SimpleImputer(strategy="median", keep_empty_features=True)),
                ("scale", StandardScaler()),
                (_CLASSIFIER, self.classifier(seed).set_params(**settings)),
            ]
        )

    @property
    def search_grid(self) -> dict[str, list[Any]]:
        """Return the grid with the parameters' names in the pipeline."""
        return {name: list(values) for name, values in pipeline_settings(self.grid).items()}


def pipeline_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the classifier's settings under their names in the pipeline.

    Examples
    --------
    >>> pipeline_settings({"C": 1.0})
    {'classifier__C': 1.0}
    """
    return {f"{_CLASSIFIER}__{name}": value for name, value in settings.items()}


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under the classifier's own names.

    Examples
    --------
    >>> plain_settings({"classifier__C": 1.0})
    {'C': 1.0}
    """
    return {name.removeprefix(f"{_CLASSIFIER}__"): value for name, value in settings.items()}


def _entries(*models: Model) -> dict[str, Model]:
    return {model.name: model for model in models}


MODELS: dict[str, Model] = _entries(
    Model(
        "logistic",
        "Logistic regression, weak ridge",
        lambda seed: LogisticRegression(solver="newton-cholesky", max_iter=1_000),
        {"C": [0.01, 0.1, 1.0, 10.0, 100.0]},
    ),
    Model(
        "elastic_net",
        "Elastic-net logistic regression",
        lambda seed: ElasticNetLogistic(),
        {"C": PENALTIES, "l1_ratio": L1_RATIOS},
        path=True,
    ),
    Model(
        "forest",
        "Random forest",
        # Shares of the units, so that the same grid suits 500 zones and 72,000 tracts.
        lambda seed: RandomForestClassifier(n_estimators=200, random_state=seed, n_jobs=1),
        {"min_samples_leaf": [0.001, 0.005, 0.02], "max_features": ["sqrt", 0.5]},
    ),
    Model(
        "boosting",
        "Gradient boosting of trees on histograms",
        lambda seed: HistGradientBoostingClassifier(early_stopping=False, random_state=seed),
        {"learning_rate": [0.03, 0.1], "max_iter": [50, 150], "max_leaf_nodes": [4, 12]},
    ),
    Model(
        "ordinal",
        "Proportional-odds logistic regression",
        lambda seed: OrdinalLogistic(),
        {"C": [0.001, 0.01, 0.1, 1.0, 10.0]},
    ),
    Model(
        "unpenalized",
        "Logistic regression, no penalty",
        lambda seed: LogisticRegression(C=_NO_PENALTY, solver="newton-cholesky", tol=1e-6, max_iter=1_000),
        {},
    ),
)
"""Models by name."""


_CLUSTERS = re.compile(r"(.+)_clusters([0-9]{0,3})")
# The elbow of the zones when 1 to 10 clusters are tried, as in the published study.
_N_CLUSTERS = 4


def base_name(name: str) -> str:
    """Return the name of a model's entry.

    Examples
    --------
    >>> base_name("forest_clusters6")
    'forest'
    """
    found = _CLUSTERS.fullmatch(name)
    return name if found is None else found[1]


def model_named(name: str) -> Model:
    """Return a model of the catalog, or one of it with clusters as features.

    Raises
    ------
    InputError
        If there is none of this name; it names those there are. If it cannot have clusters, or not so many.

    Examples
    --------
    >>> model_named("forest_clusters").title
    'Random forest, and 4 clusters'
    """
    base = base_name(name)
    if base not in MODELS:
        raise InputError(f"model {name!r}: no such model; expected one of: {', '.join(MODELS)}")
    if base == name:
        return MODELS[name]
    entry = MODELS[base]
    if entry.path:
        raise InputError(
            f"model {name}: the path of {base} is fitted to features alone; expected another model with it"
        )
    clusters = int(name.removeprefix(f"{base}_clusters") or _N_CLUSTERS)
    if clusters < 2:
        raise InputError(f"model {name}: found {clusters} clusters, expected 2 or more")
    return replace(entry, name=name, title=f"{entry.title}, and {clusters} clusters", clusters=clusters)
