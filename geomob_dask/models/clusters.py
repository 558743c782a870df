"""Clusters of units by their features, never by their outcome: k-means, elbow, silhouette, and a step for pipelines.

Missing values are filled by the median and features scaled to unit deviation, from the units that are fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.metrics import silhouette_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from geomob_dask.errors import InputError
from geomob_dask.models.threads import one_thread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Silhouettes compare every two units.
_SILHOUETTE_UNITS = 5000
CLUSTERS = tuple(range(1, 11))
"""Numbers of clusters among which the elbow is sought."""
# K-means shows its elbow on a sample of this size.
_ELBOW_UNITS = 20_000


def fill_and_scale() -> Pipeline:
    """Return a fresh median fill and scaler; a feature missing everywhere becomes 0."""
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())


@dataclass(frozen=True)
class Elbow:
    """K-means for several numbers of clusters.

    Parameters
    ----------
    clusters : shape (n,), int64
        Numbers of clusters tried.
    inertia : shape (n,)
        Sum of squared distances to the nearest center, in scaled features.
    silhouette : shape (n,)
        Mean over units, −1…1; NaN for one cluster.
    knee : int
        The number of clusters where the inertia's curve is farthest below the line between its ends.
    """

    clusters: Ints
    inertia: Floats
    silhouette: Floats
    knee: int


def elbow(values: Floats, clusters: Sequence[int] = CLUSTERS, *, seed: int = 0, starts: int = 10) -> Elbow:
    """Cluster units for several numbers of clusters.

    Parameters
    ----------
    values : shape (n_units, n_features)
        NaN where missing. An outcome is never among them.
    clusters : sequence of int
        Numbers of clusters.
    seed, starts : int
        Of k-means, of which the best start is kept. Silhouettes of more than 5,000 units are those of a sample.

    Raises
    ------
    InputError
        If a number of clusters is below 1 or reaches the number of units.

    References
    ----------
    Thorndike (1953); Rousseeuw (1987); Satopää et al. (2011), "Finding a Kneedle in a Haystack".
    """
    _check_clusters(clusters, len(values))
    scaled = fill_and_scale().fit_transform(values)
    inertia, silhouette = np.empty(len(clusters)), np.full(len(clusters), np.nan)
    for place, number in enumerate(clusters):
        model = _kmeans(scaled, number, seed, starts)
        inertia[place] = model.inertia_
        if number > 1 and len(np.unique(model.labels_)) > 1:
            sample = _SILHOUETTE_UNITS if len(scaled) > _SILHOUETTE_UNITS else None
            silhouette[place] = silhouette_score(scaled, model.labels_, sample_size=sample, random_state=seed)
    numbers = np.array(clusters, dtype=np.int64)
    return Elbow(numbers, inertia, silhouette, _knee(numbers, inertia))


def cluster_table(values: Floats, seed: int) -> pd.DataFrame:
    """Return inertia and silhouette by number of clusters; of more than 20,000 units, those of a sample.

    Parameters
    ----------
    values : shape (n_units, n_features)
        NaN where missing.

    Returns
    -------
    DataFrame
        ``clusters``, ``inertia``, ``silhouette``, ``is_knee``.
    """
    if len(values) > _ELBOW_UNITS:
        draw = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, len(values)])))
        values = values[np.sort(draw.permutation(len(values))[:_ELBOW_UNITS])]
    found = elbow(values, [number for number in CLUSTERS if number < len(values)], seed=seed)
    return pd.DataFrame(
        {
            "clusters": found.clusters,
            "inertia": found.inertia,
            "silhouette": found.silhouette,
            "is_knee": found.clusters == found.knee,
        }
    )


def elbow_table(clusters: pd.DataFrame) -> pd.DataFrame:
    """Return where the elbow is, by the numbers of clusters that are tried: it depends on them.

    Parameters
    ----------
    clusters : DataFrame
        From `cluster_table`.

    Returns
    -------
    DataFrame
        ``fewest`` and ``most`` clusters tried, three numbers or more, and the ``knee`` among them.

    Examples
    --------
    >>> elbow_table(pd.DataFrame({"clusters": [1, 2, 3, 4], "inertia": [10.0, 4.0, 2.5, 1.5]}))
       fewest  most  knee
    0       1     3     2
    1       1     4     2
    2       2     4     3
    """
    numbers, inertia = clusters["clusters"].to_numpy(np.int64), clusters["inertia"].to_numpy(np.float64)
    rows = [
        {"fewest": numbers[first], "most": numbers[last], "knee": _knee(part, inertia[first : last + 1])}
        for first in range(len(numbers))
        for last in range(first + 2, len(numbers))
        for part in [numbers[first : last + 1]]
    ]
    return pd.DataFrame(rows, columns=["fewest", "most", "knee"]).astype("int64")


def cluster_units(values: Floats, clusters: int, *, seed: int = 0, starts: int = 10) -> Ints:
    """Return the cluster of each unit, numbered from the largest to the smallest.

    For maps and reports; as features of a model use `ClusterLabels`.
    """
    _check_clusters([clusters], len(values))
    found = _kmeans(fill_and_scale().fit_transform(values), clusters, seed, starts).labels_
    sizes = np.bincount(found, minlength=clusters)
    place = np.empty(clusters, dtype=np.int64)
    place[np.argsort(-sizes, kind="stable")] = np.arange(clusters)
    return np.asarray(place[found])


def _check_clusters(clusters: Sequence[int], units: int) -> None:
    for number in clusters:
        if not 1 <= number < units:
            raise InputError(f"clusters: found {number}, expected 1 or more and fewer than the {units} units")


def _kmeans(scaled: Floats, clusters: int, seed: int, starts: int) -> KMeans:
    # Threads add up in the order in which they end, which changes the last bit.
    with one_thread():
        return KMeans(clusters, n_init=starts, random_state=seed).fit(scaled)


def _knee(clusters: Ints, inertia: Floats) -> int:
    if len(clusters) < 3 or inertia[0] == inertia[-1]:
        return int(clusters[0])
    across = (clusters - clusters[0]) / (clusters[-1] - clusters[0])
    down = (inertia - inertia[-1]) / (inertia[0] - inertia[-1])
    return int(clusters[np.argmax(1 - across - down)])


class ClusterLabels(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Append the cluster of each unit to its features, as one column of 0 and 1 per cluster.

    Inside a pipeline it is fitted on a fold's training rows alone, and never sees an outcome: `fit` ignores `y`.
    The features themselves pass unchanged, missing values included.

    Parameters
    ----------
    n_clusters : int
    random_state, n_init : int
        Of k-means.

    Examples
    --------
    >>> values = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> ClusterLabels(2).fit(values).transform(values).shape
    (4, 3)
    """

    def __init__(self, n_clusters: int = 4, random_state: int = 0, n_init: int = 10) -> None:
        self.n_clusters = n_clusters
        self.random_state = random_state
        self.n_init = n_init

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit fill, scaler and centers on some rows."""
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        if not 1 <= self.n_clusters < len(values):
            raise InputError(
                f"n_clusters: found {self.n_clusters}, expected 1 or more and fewer than n_samples={len(values)}"
            )
        self.scale_ = fill_and_scale().fit(values)
        self.kmeans_ = _kmeans(self.scale_.transform(values), self.n_clusters, self.random_state, self.n_init)
        return self

    def transform(self, X: Any) -> Floats:
        """Return the features and, after them, 1 in the column of each row's cluster, else 0."""
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        with one_thread():
            found = self.kmeans_.predict(self.scale_.transform(values))
        return np.hstack([values, np.eye(self.n_clusters)[found]])

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> NDArray[np.object_]:
        """Return the features' names, then ``cluster_0``, ``cluster_1``, …."""
        names = [f"x{number}" for number in range(self.n_features_in_)] if input_features is None else input_features
        return np.array([*names, *(f"cluster_{number}" for number in range(self.n_clusters))], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
