"""Intervals of an index in the store: the same on a cluster and without one, kept, and asked for as a user does."""

import numpy as np
import pandas as pd
import pytest
from stores import DEFINITION, QUIET, REQUEST, build_graph, build_index, contents, ingest_sample

from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.runs import intervals, opportunity
from geomob_dask.runs.landing import ingest
from geomob_dask.store import Store


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


def asked(store, dataset="margins", draws=6, **options):
    request = opportunity.Request(DEFINITION, dataset, 2020, **options)
    return intervals.ask(store, opportunity.prepare(store, request), draws, seed=1)


def test_the_same_on_a_cluster_and_without_one(store, client):
    one = asked(store)
    assert one.margins == {"poverty_pct": "poverty_pct_moe", "uninsured_pct": "uninsured_pct_moe"}
    intervals.execute(store, one, None, QUIET)
    before = contents(store, "intervals")
    for key in before:
        store.objects.delete(key)
    assert not asked(store).plan.done
    intervals.execute(store, one, client, QUIET)
    assert contents(store, "intervals") == before
    assert asked(store).plan.done
    assert not asked(store, draws=7).plan.done


def test_the_index_lies_within_its_interval(store):
    one = asked(store, draws=8)
    intervals.execute(store, one, None, QUIET)
    bounds = intervals.result(store, one)
    build_index(store, request=one.prepared.request)
    index = store.frame(one.prepared.plan.collection).compute(scheduler="threads")["opportunity"]
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
        asked(store, dataset="sample")
    with pytest.raises(InputError, match="--draws 1: expected 2 or more"):
        asked(store, draws=1)
    with pytest.raises(InputError, match="--draws: found --norm state, expected selected"):
        asked(store, norm="state")


def test_intervals_as_a_user_asks_for_them(store, job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--definition", REQUEST.definition.name, "--dataset", "margins", "--year", 2020, "--store", store.url)
    done = job("opportunity", *options, "--draws", 3, "--cluster", "serial", "--export", "index.csv")
    assert done.code == 0, done.err
    assert "90 % intervals of 894 tracts" in done.out
    assert "without margins, taken for exact: median_income_usd, public_assistance_pct" in done.out
    table = pd.read_csv("index.csv", dtype={"geoid": str})
    assert {"opportunity", "opportunity_lb", "opportunity_ub", "rank_se", "draws"} <= set(table.columns)
    assert len(table) == 896
