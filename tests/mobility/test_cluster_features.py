"""Clusters of units as features of a model, found inside each fold."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import InputError
from geomob_dask.frames.mobility import mobility
from geomob_dask.models.catalog import model_named
from geomob_dask.models.folds import stratified_folds
from geomob_dask.models.hold_out import hold_out
from geomob_dask.models.model_files import from_bytes, to_bytes


@pytest.fixture(scope="module")
def towns():
    """Return towns of four corners of a plane; mobility is high in two opposite ones, which no straight line parts."""
    draws = np.random.default_rng(0)
    corner = draws.integers(0, 4, 160)
    places = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])[corner] + 0.15 * draws.normal(size=(160, 2))
    towns = pd.DataFrame(places, columns=["east", "north"])
    towns["rank"] = 45 + 5 * np.isin(corner, [0, 3]) + draws.normal(size=160)
    return towns


@pytest.fixture(scope="module")
def result(towns):
    models = ["logistic", "logistic_clusters", "forest_clusters3"]
    return mobility(towns, "rank", models=models, folds=["stratified:4"], repeats=1, grid="small")


def test_clusters_tell_a_line_what_it_cannot_see(result):
    scores = result.tables["scores"]
    accuracy = scores[(scores["score"] == "accuracy") & (scores["sample"] == "test")].set_index("model")["value"]
    assert accuracy["logistic_clusters"] > 0.9
    assert accuracy["logistic"] < 0.7


def test_nothing_of_the_held_out_rows_is_in_them(result):
    fold = stratified_folds(result.labels.codes, 4, 1)[0]
    values = np.array(result.study.values)
    other = values.copy()
    other[fold.test] += 1000

    def train(found):
        study = replace(result.study, values=found)
        return hold_out(study, result.labels, "logistic_clusters", "stratified:4", fold, {}, 0, 0).train

    assert (train(other) == train(values)).all()


def test_clusters_are_of_the_features_alone(towns):
    values, codes = towns[["east", "north"]].to_numpy(), (towns["rank"] > 47).to_numpy().astype(int)
    fitted = model_named("logistic_clusters").build(2, 0).fit(values[:120], codes[:120])
    assert fitted[0].kmeans_.cluster_centers_.shape == (4, 2)
    # The classes are not looked at.
    shuffled = model_named("logistic_clusters").build(2, 0).fit(values[:120], codes[:120][::-1])
    assert (shuffled[0].kmeans_.cluster_centers_ == fitted[0].kmeans_.cluster_centers_).all()


def test_impurity_has_a_row_for_each_cluster(result):
    table = result.tables["impurity"]
    assert sorted(table["name"]) == ["cluster_0", "cluster_1", "cluster_2", "east", "north"]
    assert table["value"].sum() == pytest.approx(1)
    assert set(table.loc[table["name"] == "cluster_1", "title"]) == {"Cluster 1"}
    assert set(result.tables["importance"]["name"]) == {"east", "north"}


def test_the_model_can_be_kept(result, towns):
    model = result.models["forest_clusters3"]
    assert model.title == "Random forest, and 3 clusters"
    found = from_bytes(to_bytes(model), "file")
    values = towns[["east", "north"]].to_numpy()
    np.testing.assert_array_equal(found.predict(values), model.predict(values))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("svm_clusters", "model 'svm_clusters': no such model"),
        ("forest_clusters1", "model forest_clusters1: found 1 clusters, expected 2 or more"),
        ("elastic_net_clusters", "model elastic_net_clusters: the path of elastic_net is fitted to features alone"),
    ],
)
def test_models_that_have_no_clusters_are_refused(name, told):
    with pytest.raises(InputError, match=told):
        model_named(name)
