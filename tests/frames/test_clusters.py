"""K-means over partitions: the same clusters however rows are partitioned."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from geomob_dask.errors import InputError
from geomob_dask.frames.clusters import fit_clusters


def test_clusters_are_the_same_from_one_and_fifty_partitions(client):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 500)
    rows = pd.DataFrame(rng.standard_normal((500, 4)) + 6 * np.eye(4)[truth], columns=list("abcd"))
    frames = [rows, *(dd.from_pandas(rows, npartitions=number) for number in (1, 50))]
    found = [fit_clusters(frame, 3, seed=1) for frame in frames]
    labels = [one.predict(frame) for one, frame in zip(found, frames, strict=True)]
    assert isinstance(labels[0], pd.DataFrame)
    assert labels[2].npartitions == 50
    assert adjusted_rand_score(truth, labels[0]["cluster"]) > 0.95
    for one, label in zip(found[1:], labels[1:], strict=True):
        pd.testing.assert_frame_equal(label.compute(), labels[0])
        np.testing.assert_allclose(one.centers, found[0].centers, atol=1e-9)
        assert one.inertia == pytest.approx(found[0].inertia)


def test_rows_that_cannot_be_clustered():
    rows = pd.DataFrame(np.random.default_rng(0).standard_normal((500, 4)), columns=list("abcd"))
    with pytest.raises(InputError, match="expected 1…500"):
        fit_clusters(rows, 501)
    rows.loc[3, "c"] = np.nan
    with pytest.raises(InputError, match="missing"):
        fit_clusters(rows, 3)
    assert fit_clusters(rows, 3, features=["a", "b"]).features == ("a", "b")
