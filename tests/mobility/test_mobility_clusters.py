"""Clusters by features alone: planted groups, the elbow, and the step inside a pipeline."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from geomob_dask.errors import InputError
from geomob_dask.models.clusters import ClusterLabels, cluster_table, cluster_units, elbow, elbow_table, fill_and_scale

CENTRES = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])


def blobs(sizes=(60, 40, 20), seed=0):
    draws = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    values = CENTRES[group] + draws.normal(scale=0.5, size=(len(group), 2))
    values[draws.random(values.shape) < 0.02] = np.nan
    order = draws.permutation(len(group))
    return values[order], group[order]


def test_planted_groups_are_found():
    values, group = blobs()
    values[np.isnan(values)] = 0.0
    values = CENTRES[group] + (values - CENTRES[group]).clip(-1, 1)
    found = cluster_units(values, 3)
    # Numbered by size, as the groups are.
    np.testing.assert_array_equal(found, group)
    np.testing.assert_array_equal(found, cluster_units(values, 3))


def test_elbow_and_silhouette_see_three():
    values, _ = blobs()
    found = elbow(values, range(1, 8))
    assert found.knee == 3
    assert found.clusters[np.nanargmax(found.silhouette)] == 3
    assert np.isnan(found.silhouette[0])
    assert (np.diff(found.inertia) < 0).all()
    # One cluster's inertia is the sum of squares of the scaled table: n a feature.
    assert found.inertia[0] == pytest.approx(values.size, rel=1e-9)
    np.testing.assert_array_equal(found.inertia, elbow(values, range(1, 8)).inertia)


def test_the_elbow_of_each_range_is_that_of_a_search_in_it():
    values, _ = blobs()
    table = cluster_table(values, 0)
    found = elbow_table(table)
    # Ranges of three numbers or more among 1 to 10.
    assert len(found) == 36
    assert ((found["fewest"] <= found["knee"]) & (found["knee"] <= found["most"])).all()
    assert found.set_index(["fewest", "most"]).loc[(1, 10), "knee"] == int(table["clusters"][table["is_knee"]].iloc[0])
    for fewest, most in ((1, 5), (2, 9), (4, 8)):
        knee = found.set_index(["fewest", "most"]).loc[(fewest, most), "knee"]
        assert knee == elbow(values, range(fewest, most + 1)).knee
    # Three planted groups are found wherever 2 and 4 are tried too; elsewhere there is no elbow, and one is named.
    assert set(found.loc[(found["fewest"] < 3) & (found["most"] > 3), "knee"]) == {3}
    assert found["knee"].nunique() > 1
    assert elbow_table(table.iloc[:2]).empty


@pytest.mark.parametrize("clusters", [0, 120])
def test_numbers_of_clusters_that_cannot_be(clusters):
    values, _ = blobs()
    with pytest.raises(InputError, match=f"clusters: found {clusters}"):
        elbow(values, [clusters])
    with pytest.raises(InputError, match=f"clusters: found {clusters}"):
        cluster_units(values, clusters)
    with pytest.raises(InputError, match=f"n_clusters: found {clusters}"):
        ClusterLabels(clusters).fit(values)


def test_step_is_fitted_on_the_rows_it_is_given():
    values, _ = blobs()
    train, test = values[:80], values[80:]
    step = ClusterLabels(3).fit(train)
    found = step.transform(test)
    np.testing.assert_array_equal(found[:, :2], test)
    np.testing.assert_array_equal(found[:, 2:].sum(axis=1), 1.0)
    scale = fill_and_scale().fit(train)
    distance = ((scale.transform(test)[:, None, :] - step.kmeans_.cluster_centers_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(found[:, 2:].argmax(axis=1), distance.argmin(axis=1))
    # What is held out moves nothing.
    np.testing.assert_array_equal(ClusterLabels(3).fit(train).transform(test[:5]), found[:5])
    assert list(step.get_feature_names_out(["a", "b"])) == ["a", "b", "cluster_0", "cluster_1", "cluster_2"]


def test_step_never_sees_the_target():
    values, group = blobs()
    with_target = ClusterLabels(3).fit(values, group).transform(values)
    with_noise = ClusterLabels(3).fit(values, group[::-1]).transform(values)
    np.testing.assert_array_equal(with_target, with_noise)


def test_step_stands_in_a_pipeline_and_its_folds():
    values, group = blobs()
    model = make_pipeline(ClusterLabels(3), fill_and_scale(), LogisticRegression())
    assert cross_val_score(model, values, group, cv=4).mean() > 0.95
    assert clone(model).get_params()["clusterlabels__n_clusters"] == 3


def test_a_feature_missing_everywhere_passes():
    values, _ = blobs()
    values = np.column_stack([values, np.full(len(values), np.nan)])
    found = ClusterLabels(3).fit(values).transform(values)
    assert found.shape == (len(values), 6)
    assert np.isnan(found[:, 2]).all()


def test_step_keeps_the_rules_of_scikit_learn():
    check_estimator(ClusterLabels(2), on_skip=None)
