"""K-means over partitions, by dask-ml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask_ml.cluster import KMeans
from dask_ml.preprocessing import StandardScaler
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus

from geomob_dask.errors import InputError
from geomob_dask.frames.own_rows import is_lazy, own_rows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RowClusters:
    """Clusters of rows.

    Parameters
    ----------
    features : tuple of str
    mean, scale : shape (n_features,)
        Which standardize the features.
    centers : shape (n_clusters, n_features)
        On the standardized scale.
    inertia : float
        Sum of squared distances to the nearest center.
    """

    features: tuple[str, ...]
    mean: Floats
    scale: Floats
    centers: Floats
    inertia: float

    def predict(self, frame: Any) -> Any:
        """Return the nearest cluster of each row: column ``cluster``, lazy for a Dask frame."""
        empty = frame._meta if is_lazy(frame) else frame.iloc[:0]
        return own_rows(_nearest, frame, meta=lambda: _nearest(empty, clusters=self), clusters=self)


def _nearest(rows: pd.DataFrame, *, clusters: RowClusters) -> pd.DataFrame:
    values = (rows[list(clusters.features)].to_numpy(np.float64) - clusters.mean) / clusters.scale
    distances = ((values[:, None, :] - clusters.centers) ** 2).sum(axis=2)
    return pd.DataFrame({"cluster": distances.argmin(axis=1).astype(np.int64)}, index=rows.index)


def fit_clusters(
    frame: Any, n_clusters: int, *, features: Sequence[str] | None = None, seed: int = 0, n_start: int = 5_000
) -> RowClusters:
    """Fit k-means to the standardized rows of a frame.

    The first centers are k-means++ on rows chosen by their position, so that the clusters do not depend on the
    partitions, as dask-ml's own first centers (k-means||) do. dask-ml computes as it fits.

    Parameters
    ----------
    frame : DataFrame, in memory or on Dask
        No missing values among the features.
    n_clusters : int
    features : sequence of str, optional
        Columns; all numbers by default.
    seed : int
        Of the first centers.
    n_start : int
        Rows among which they are sought.

    Raises
    ------
    InputError
        If there are fewer rows than clusters, or values are missing.

    Examples
    --------
    >>> towns = pd.DataFrame({"income": [1.0, 1.1, 5.0, 5.1], "rent": [1.0, 1.2, 4.0, 4.2]})
    >>> clusters = fit_clusters(towns, 2)
    >>> int(clusters.predict(towns)["cluster"].nunique())
    2
    """
    lazy = frame if is_lazy(frame) else dd.from_pandas(frame, npartitions=1, sort=False)
    names = tuple(map(str, lazy._meta.select_dtypes("number") if features is None else features))
    values = lazy[list(names)].to_dask_array(lengths=True)
    n_rows = values.shape[0]
    if n_clusters < 1 or n_rows < n_clusters:
        raise InputError(f"clusters: found {n_clusters} clusters of {n_rows} rows, expected 1…{n_rows}")
    if bool(np.isnan(values).any().compute()):
        raise InputError("clusters: values are missing; expected them filled")
    scaler = StandardScaler().fit(values)
    scaled = scaler.transform(values).persist()
    rows = np.sort(np.random.default_rng(seed).permutation(n_rows)[:n_start])
    first, _ = kmeans_plusplus(np.asarray(scaled[rows].compute()), n_clusters, random_state=seed)
    found = KMeans(n_clusters, init=first, random_state=seed).fit(scaled)
    mean, scale = (np.asarray(part, dtype=np.float64) for part in (scaler.mean_, scaler.scale_))
    return RowClusters(names, mean, scale, np.asarray(found.cluster_centers_), float(found.inertia_))
