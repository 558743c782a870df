"""Searches on a real cluster: the same scores everywhere, kept as they come, and never a wrong answer of dask-ml."""

import json
import os
import signal

import dask
import dask.array as da
import distributed
import numpy as np
import pytest
from dask_ml.linear_model import LogisticRegression as DaskLogistic
from dask_ml.model_selection import HyperbandSearchCV
from deadly_product import DeadlyEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from geomob_dask.errors import InputError, RunError
from geomob_dask.frames.grid_search import grid_scores, refuse_wrong_answers
from geomob_dask.frames.model_search import search, stream
from geomob_dask.models.catalog import MODELS, Model
from geomob_dask.models.fold_plans import FoldPlan
from geomob_dask.models.folds import stratified_folds
from geomob_dask.models.search import Sample, Search
from geomob_dask.products.mobility import StoredFits
from geomob_dask.store.objects import Objects

SMALL = {"C": [0.01, 0.1, 1.0], "l1_ratio": [0.0, 0.5]}
GRIDS = {
    "logistic": {"C": [0.1, 1.0]},
    "forest": {"min_samples_leaf": [0.02, 0.1]},
    "boosting": {"learning_rate": [0.1], "max_iter": [10], "max_leaf_nodes": [4]},
    "ordinal": {"C": [0.1, 1.0]},
}


def made_up(n_classes=2, n=90, p=5, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n, p))
    score = values[:, 0] - values[:, 1] + 0.7 * rng.standard_normal(n)
    values[rng.random(values.shape) < 0.05] = np.nan
    codes = np.digitize(score, np.quantile(score, np.arange(1, n_classes) / n_classes))
    return Sample(values, codes, n_classes, tuple(f"x{column}" for column in range(p)))


def all_searches(sample, n_folds=3):
    folds = tuple(stratified_folds(sample.codes, n_folds))
    searches = {name: Search(name, folds, grid) for name, grid in GRIDS.items()}
    return {"elastic_net": Search("elastic_net", folds, SMALL)} | searches


class Kept(dict):
    """Fits in memory, counting what is written."""

    def __init__(self):
        super().__init__()
        self.writes = 0

    def put(self, key, data):
        self.writes += 1
        self[key] = data


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].tried == other[name].tried
        # Bit for bit where the code is ours; rounding at the ninth digit may fall either way elsewhere.
        slack = 0 if one[name].model == "elastic_net" else 2e-9
        np.testing.assert_allclose(one[name].losses, other[name].losses, rtol=0, atol=slack, err_msg=name)
        assert (one[name].accuracies == other[name].accuracies).all(), name


@pytest.mark.parametrize("n_classes", [2, 4])
def test_every_search_is_that_of_scikit_learn_on_the_same_folds(client, n_classes):
    sample = made_up(n_classes)
    searches = all_searches(sample)
    found = search(sample, searches, client=client, seed=3)
    for name, one in searches.items():
        entry = MODELS[name]
        theirs = GridSearchCV(
            entry.build(n_classes, 3),
            {f"classifier__{key}": values for key, values in one.settings.items()},
            scoring={"log_loss": "neg_log_loss", "accuracy": "accuracy"},
            cv=[(fold.train, fold.test) for fold in one.folds],
            refit=False,
        ).fit(sample.values, sample.codes)
        tried = [{k.removeprefix("classifier__"): v for k, v in s.items()} for s in theirs.cv_results_["params"]]
        order = [tried.index(setting) for setting in found[name].tried]
        losses = -np.column_stack([theirs.cv_results_[f"split{fold}_test_log_loss"] for fold in range(3)])[order]
        hits = np.column_stack([theirs.cv_results_[f"split{fold}_test_accuracy"] for fold in range(3)])[order]
        np.testing.assert_allclose(found[name].losses, losses, rtol=0, atol=1e-6, err_msg=name)
        # Kept to nine digits.
        np.testing.assert_allclose(found[name].accuracies, hits, rtol=0, atol=2e-9, err_msg=name)
        assert found[name].best() == tried[order[losses.mean(axis=1).argmin()]]


def test_the_same_scores_in_this_process_and_from_one_two_and_three_workers(client):
    sample = made_up()
    searches = all_searches(sample)
    here = search(sample, searches)
    same(search(sample, searches, client=client), here)
    for workers in (1, 3):
        with (
            distributed.LocalCluster(
                workers,
                threads_per_worker=1,
                processes=False,
                dashboard_address="127.0.0.1:0",
            ) as cluster,
            distributed.Client(cluster) as other,
        ):
            same(search(sample, searches, client=other), here)


def test_nested_searches_are_one_a_fold(client):
    sample = made_up(4, n=160)
    states = np.array(["IN", "OH", "KY", "IL", "MI", "WI", "TN", "MO"])[np.arange(160) % 8]
    plan = FoldPlan("states", n_folds=4)
    outer = plan.folds(sample.codes, states, np.empty((0, 2), int))
    searches = {
        fold.name: Search(
            "elastic_net", tuple(plan.inside(fold, sample.codes, states, np.empty((0, 2), int), 3)), SMALL
        )
        for fold in outer
    }
    for fold in outer:
        for inside in searches[fold.name].folds:
            assert not np.isin(inside.train, fold.test).any()
            assert not np.isin(inside.test, fold.test).any()
            assert not set(states[inside.train]) & set(states[inside.test])
    seen = []
    found = dict(stream(sample, searches, client=client, progress=lambda name, done, of: seen.append((name, done, of))))
    assert sorted(found) == sorted(searches)
    assert sorted(seen) == sorted((name, done, 6) for name in searches for done in range(1, 7))
    same({name: found[name] for name in searches}, search(sample, searches))


def test_a_search_resumes_where_it_was_stopped(client, tmp_path):
    sample = made_up()
    searches = all_searches(sample)
    whole, kept = Kept(), Kept()
    expected = search(sample, searches, client=client, fits=whole)
    # Paths: three folds, two ratios. The others: a search each.
    assert whole.writes == 6 + len(GRIDS)

    def stop(name, done, of):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(stream(sample, searches, client=client, fits=kept, progress=stop))
    assert kept.writes == 4
    before = dict(kept)
    same(search(sample, searches, client=client, fits=kept), expected)
    assert kept.writes == whole.writes
    assert before.items() <= kept.items()
    # The same paths are the same bytes, and a finished search computes nothing.
    assert kept.keys() == whole.keys()
    assert all(kept[key] == whole[key] for key in kept if "/" in key)
    same(search(sample, searches, fits=kept), expected)
    assert kept.writes == whole.writes
    # Other data, folds or settings are other fits.
    search(made_up(seed=1), {"elastic_net": searches["elastic_net"]}, fits=kept)
    assert kept.writes == whole.writes + 6
    stored = StoredFits(Objects(str(tmp_path)))
    assert stored.get("elastic_net-0/0-0") is None
    stored.put("elastic_net-0/0-0", b"[1]")
    assert json.loads(stored.get("elastic_net-0/0-0")) == [1]


def test_killed_workers_lose_no_finished_fit():
    sample = made_up(n=200, p=8)
    folds = tuple(stratified_folds(sample.codes, 5, 4))
    searches = {"elastic_net": Search("elastic_net", folds, {"C": np.logspace(-3, 3, 20), "l1_ratio": [0.1, 0.9]})}
    expected = search(sample, searches)
    kept = Kept()
    with (
        distributed.LocalCluster(
            2,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            memory_limit="2GiB",
            silence_logs="CRITICAL",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        killed = []

        def kill(name, done, of):
            # First one of the two, then both: the sample is then nowhere on the cluster.
            pids = [nanny.pid for nanny in cluster.workers.values() if nanny.pid] if done in (5, 15) else []
            for pid in pids[:1] if done == 5 else pids:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

        found = dict(stream(sample, searches, client=client, fits=kept, progress=kill))
    same(found, expected)
    assert len(killed) == 3
    assert kept.writes == 40


def test_a_fit_that_kills_its_workers_ends_the_search(monkeypatch):
    """dask-ml by itself would try it again forever; data that each death takes along must not reset the count."""
    monkeypatch.setitem(MODELS, "deadly", Model("deadly", "deadly", lambda seed: DeadlyEstimator(), {"c": [1.0]}))
    sample = made_up()
    one = Search("deadly", tuple(stratified_folds(sample.codes, 2)))
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            1, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs="CRITICAL"
        ) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(RunError, match=r"model deadly, task .*2 times .*memory_limit"),
    ):
        grid_scores(sample, one, client, 0)


def test_dask_ml_is_refused_where_it_answers_wrongly(monkeypatch):
    # What is refused is really wrong: four classes become two.
    sample = made_up(4, n=200)
    rows = da.from_array(np.nan_to_num(sample.values), chunks=(200, -1))
    wrong = DaskLogistic(max_iter=5).fit(rows, da.from_array(sample.codes, chunks=200))
    assert len(np.unique(wrong.predict(rows).compute())) <= 2
    with pytest.raises(InputError, match="makes two classes of 4"):
        refuse_wrong_answers(Pipeline([("classifier", DaskLogistic())]), 4)
    refuse_wrong_answers(DaskLogistic(), 2)
    refuse_wrong_answers(LogisticRegression(), 4)
    with pytest.raises(InputError, match="HyperbandSearchCV does not run"):
        refuse_wrong_answers(HyperbandSearchCV(LogisticRegression(), {"C": [1]}), 2)
    monkeypatch.setitem(MODELS, "dask", Model("dask", "dask-ml's", lambda seed: DaskLogistic(), {"C": [1.0]}))
    one = Search("dask", tuple(stratified_folds(sample.codes, 3)))
    with pytest.raises(InputError, match="makes two classes of 4"):
        search(sample, {"dask": one})


def test_a_fit_that_fails_ends_the_search(client, monkeypatch):
    entry = Model("broken", "Fails", lambda seed: LogisticRegression(), {"C": [1.0, -1.0]})
    monkeypatch.setitem(MODELS, "broken", entry)
    sample = made_up()
    one = Search("broken", tuple(stratified_folds(sample.codes, 3)))
    with pytest.raises(RunError, match=r"model broken, fold 1 of repeat 1: the fit with \{'C': -1.0\} failed"):
        search(sample, {"broken": one}, client=client)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("unknown", "model 'svm': no such model; expected one of: logistic, elastic_net, forest, boosting, ordinal"),
        ("classes", "model elastic_net: found 3 classes, expected 2 or 4"),
        ("empty", "search all: fold 1 of repeat 1: feature 'x1' is missing in all"),
        ("constant", r"search all: fold 1 of repeat 1: feature 'x2' is constant \(7\) in all"),
        ("grid", "expected values for: C, l1_ratio"),
        ("by", "expected one of: log_loss, accuracy"),
    ],
)
def test_bad_input_is_named(change, message):
    sample = made_up(3 if change == "classes" else 2)
    folds = tuple(stratified_folds(sample.codes, 3))
    values = sample.values
    if change == "empty":
        values[folds[0].train, 1] = np.nan
    if change == "constant":
        values[folds[0].train, 2] = 7
    one = Search("svm" if change == "unknown" else "elastic_net", folds, {"D": [1]} if change == "grid" else SMALL)
    with pytest.raises(InputError, match=message):
        search(sample, {"all": one})["all"].best("auc")
