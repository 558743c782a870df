"""What describes an outcome and its models beside scores: density, elbows by range, impurity in trees, and the page."""

import numpy as np
import pandas as pd
import pytest

from geomob_dask.frames.mobility import mobility
from geomob_dask.models.catalog import MODELS
from geomob_dask.models.clusters import elbow_table
from geomob_dask.models.hold_out import impurity_importance
from geomob_dask.outputs.mobility_attributes import (
    cluster_section,
    cut_text,
    elbow_text,
    importance_section,
    outcome_section,
    ranking_section,
)

DOMAINS = {"jobs": "work", "wages": "work"}


@pytest.fixture(scope="module")
def result():
    draws = np.random.default_rng(0)
    towns = pd.DataFrame(draws.normal(size=(90, 4)), columns=["jobs", "wages", "rain", "wind"])
    towns["rank"] = 45 + 3 * towns["jobs"] + draws.normal(size=90)
    return mobility(
        towns,
        "rank",
        models=["unpenalized", "forest"],
        folds=["stratified:3"],
        repeats=1,
        grid="small",
        domains=DOMAINS,
    )


@pytest.fixture(scope="module")
def about(result):
    return {
        "models": {name: MODELS[name].title for name in result.models},
        "folds": {"stratified:3": "3 random folds"},
        "features": [{"name": name, "title": f"The {name}"} for name in result.study.feature_names],
        "edges": result.labels.edges.tolist(),
        "classes": list(result.labels.names),
        "outcome": "Mean rank",
        "outcome_name": "rank",
    }


def test_density_covers_the_outcome(result):
    table, outcome = result.tables["density"], result.study.outcome
    assert table["value"].iloc[0] < outcome.min() < outcome.max() < table["value"].iloc[-1]
    assert np.trapezoid(table["density"], table["value"]) == pytest.approx(1, abs=0.01)


def test_elbows_are_those_of_the_clusters(result):
    pd.testing.assert_frame_equal(result.tables["elbow"], elbow_table(result.tables["clusters"]))
    text = elbow_text(result.tables["elbow"])
    whole = result.tables["elbow"].set_index(["fewest", "most"])["knee"]
    assert f"at {whole[1, 10]} when 1 to 10 clusters are tried" in text
    assert f"at {whole[1].min()} to {whole[1].max()} when fewer are from 1 on" in text
    assert f"at {whole.min()} to {whole.max()} over all ranges" in text


def test_impurity_is_of_the_forest_alone_and_shares_out_one(result):
    table = result.tables["impurity"].set_index("name")
    assert set(table["model"]) == {"forest"}
    assert sorted(table.index) == ["jobs", "rain", "wages", "wind"]
    assert table["value"].sum() == pytest.approx(1)
    assert table["value"].idxmax() == "jobs"
    assert (table["lower"] <= table["value"]).all()
    forest = result.models["forest"].estimator
    found = impurity_importance(forest, result.study.feature_names)
    assert list(found.values()) == forest[-1].feature_importances_.tolist()
    assert impurity_importance(result.models["unpenalized"].estimator, result.study.feature_names) == {}


def test_without_a_forest_there_is_no_impurity():
    draws = np.random.default_rng(1)
    towns = pd.DataFrame(draws.normal(size=(60, 2)), columns=["jobs", "rank"])
    found = mobility(towns, "rank", models=["unpenalized"], folds=["stratified:3"], repeats=1, grid="small")
    assert "impurity" not in found.tables
    assert found.tables["settings"]["settings"].eq("").all()


def test_cuts_are_those_of_the_training_units(result, about):
    table, outcome = result.tables["cuts"], result.study.outcome
    assert table["test_units"].sum() == 90
    # One repeat: every unit is held out once, and the means of the other two thirds have the mean of all as their mean.
    weights = (90 - table["test_units"]) / (2 * 90)
    assert (table["edge_1"] * weights).sum() == pytest.approx(outcome.mean())
    assert table["edge_1"].nunique() == 3
    edge = result.labels.edges[0]
    between = sum(
        int(((outcome > min(edge, cut)) & (outcome <= max(edge, cut))).sum()) for cut in table["edge_1"].to_numpy()
    )
    assert table["moved_units"].sum() <= between
    assert (table["moved_units"] <= table["test_units"]).all()
    text = cut_text(about, table)
    assert "classes are cut at the mean of all units" in text
    assert f"put {table['moved_units'].sum()} of 90 (stratified:3) held-out units" in text
    two = pd.concat([table, table.assign(folds="states:3")])
    assert "of 90 (stratified:3), " in cut_text(about, two)


def test_the_page_says_so(result, about):
    tables = result.tables
    text = importance_section(about, tables).text
    assert "share of the decrease of Gini impurity" in text
    assert "Gini" not in importance_section(about, {k: v for k, v in tables.items() if k != "impurity"}).text
    clusters = cluster_section(tables)
    assert "it depends on the range" in clusters.text
    assert [column.title for column in clusters.table][:2] == ["Clusters tried: at least", "at most 3"]
    assert len(clusters.table[0].texts) == 8
    assert "The curve is the density" in outcome_section(about, tables).text
    assert "classes are cut at the mean of all units" in outcome_section(about, tables).text
    ranking = ranking_section(about, tables)
    assert "not adjusted here, as no polygons" in ranking.text
    assert [column.title for column in ranking.table] == [
        *("Attribute", "r", "Units", "p, unadjusted", "95% interval, unadjusted")
    ]
