"""The models by name: how each is built, and the settings that a search compares.

A further model is an entry here; searches, validation and jobs find it by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from geomob_dask.errors import InputError
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
    """

    name: str
    title: str
    classifier: Callable[[int], Any]
    grid: Mapping[str, Sequence[Any]]
    n_classes: tuple[int, ...] = (2, 4)
    path: bool = False

    def build(self, n_classes: int, seed: int, **settings: Any) -> Pipeline:
        """Return an unfitted pipeline: fill by the median, scale, classify; every step is fitted to the same rows.

        Raises
        ------
        InputError
            If the model is not for this number of classes.
        """
        if n_classes not in self.n_classes:
            raise InputError(
                f"model {self.name}: found {n_classes} classes, expected {' or '.join(map(str, self.n_classes))}"
            )
        return Pipeline(
            [
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


def model_named(name: str) -> Model:
    """Return a model of the catalog.

    Raises
    ------
    InputError
        If there is none of this name; it names those there are.
    """
    if name not in MODELS:
        raise InputError(f"model {name!r}: no such model; expected one of: {', '.join(MODELS)}")
    return MODELS[name]
