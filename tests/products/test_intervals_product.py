"""Intervals of an index in the store: the same on a cluster and without one, kept, and asked for as a user does."""

import numpy as np
import pandas as pd
import pytest
from stores import DEFINITION, QUIET, build_graph, build_index, contents, done, ingest_sample, make, plan_of

from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.outputs.result import result
from geomob_dask.products.intervals import Options
from geomob_dask.products.opportunity import Options as Index
from geomob_dask.runs.engine import run
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.store import Provenance, Store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("intervals")
    store = ingest_sample(str(folder / "store"), folder)
    build_graph(store)
    measures = store.frame("measures/sample/2020").compute(scheduler="threads")
    margins = measures.assign(poverty_pct_moe=1.645 * 2, uninsured_pct_moe=np.nan)
    margins.to_csv(folder / "margins.csv")
    ingest(store, "measures", file=str(folder / "margins.csv"), dataset="margins", year=2020, vintage="sample")
    return store


def options(dataset="margins", draws=6, **more):
    return Options(definition=DEFINITION, dataset=dataset, year=2020, draws=draws, seed=1, **more)


def planned(store, **more):
    return plan_of(store, options(**more), "intervals")


def test_the_same_on_a_cluster_and_without_one(store, client):
    plan = make(store, "intervals", options())
    margins = plan.groups[0].prepared.found["margins"]
    assert margins == {"poverty_pct": "poverty_pct_moe", "uninsured_pct": "uninsured_pct_moe"}
    before = contents(store, "intervals")
    for key in before:
        store.objects.delete(key)
    assert not done(planned(store))
    make(store, "intervals", options(), client=client)
    assert contents(store, "intervals") == before
    assert done(planned(store))
    assert not done(planned(store, draws=7))


def test_a_run_computes_from_the_inputs_of_its_plan(store, client):
    expected = result(store, make(store, "intervals", options(draws=3)).groups[0].prepared)
    plan = make_plan(store, [Request("intervals", options(draws=3))], reprocess="all")
    measures = store.snapshot("measures/margins/2020")
    other = {
        state: store.put(measures.collection, state, store.read(part) + 1) for state, part in measures.parts.items()
    }
    store.commit(measures.collection, other, Provenance("test", {}), measures.attributes)
    run(store, plan, client, QUIET)
    pd.testing.assert_frame_equal(result(store, plan.groups[0].prepared), expected, check_exact=True)
    store.commit(measures.collection, measures.parts, Provenance("test again", {}), measures.attributes)


def test_the_index_lies_within_its_interval(store):
    bounds = result(store, make(store, "intervals", options(draws=8)).groups[0].prepared)
    index = Index(definition=DEFINITION, dataset="margins", year=2020)
    build_index(store, options=index)
    index = store.frame(index.collection()).compute(scheduler="threads")["opportunity"]
    both = bounds.join(index).dropna()
    assert len(both) > 800
    assert (both["opportunity_lb"] < both["opportunity_ub"]).mean() > 0.99
    # Draws scatter around the index; ranks make steps of it, and the mean of few draws lies beside it.
    middle = (both["opportunity_lb"] + both["opportunity_ub"]) / 2
    assert np.corrcoef(middle, both["opportunity"])[0, 1] > 0.99
    assert both["rank_lb"].between(0, 1).all()
    assert both["rank_ub"].between(0, 1).all()


def test_what_cannot_be_drawn(store):
    with pytest.raises(DefinitionError, match=r"none of its measures has a column of margins"):
        planned(store, dataset="sample")
    with pytest.raises(InputError, match="--draws 1: expected 2 or more"):
        planned(store, draws=1)
    with pytest.raises(InputError, match="--draws: found --norm state, expected selected"):
        planned(store, norm="state")


def test_intervals_as_a_user_asks_for_them(store, job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--definition", DEFINITION.name, "--dataset", "margins", "--year", 2020, "--store", store.url)
    done = job("opportunity", *options, "--draws", 3, "--cluster", "serial", "--export", "index.csv")
    assert done.code == 0, done.err
    assert "90 % intervals of 894 tracts" in done.out
    # A column of margins may be empty.
    assert "without margins, treated as exact: " in done.out
    exact = done.out.split("treated as exact: ")[1].splitlines()[0].casefold()
    assert all(label in exact for label in ("median income", "public assistance", "uninsured"))
    assert "poverty_pct" not in exact
    assert "tracts without imputed measures, width at the quartiles" in done.out
    assert "tracts with imputed measures, width at the quartiles" in done.out
    table = pd.read_csv("index.csv", dtype={"geoid": str})
    assert {"opportunity", "opportunity_lb", "opportunity_ub", "rank_se", "draws"} <= set(table.columns)
    assert len(table) == 896
    both = table.dropna(subset=["opportunity_lb"])
    assert (both["opportunity_corrected"].between(both["opportunity_lb"], both["opportunity_ub"])).all()
    assert both["without_margin"].str.contains("uninsured_pct (no margin in any tract, exact)", regex=False).any()
    assert (both["cells_imputed"] > 0).any()
