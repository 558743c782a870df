"""A cube as a product: planned once, written from the snapshots of the plan, never removed by a run that fails."""

import os
import signal
import time

import numpy as np
import pytest
from cube_results import PRODUCT, QUIET, STATES, geoids, put_year, scores

from geomob_dask.errors import InputError
from geomob_dask.products import cube as products
from geomob_dask.products.cube import Options
from geomob_dask.runs.engine import execute, run
from geomob_dask.runs.planning import Request, Standing, make_plan
from geomob_dask.store import Provenance, Store
from geomob_dask.store.cubes import Cube, open_cube

TEMPLATE = f"{PRODUCT}/{{year}}/all-selected"
REQUEST = Request("cube", Options.of(name="made", results=TEMPLATE, years="2015,2018"))


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(str(tmp_path))
    for year in (2015, 2018):
        put_year(store, year)
    return store


def test_the_cube_holds_the_snapshots_of_the_plan(store: Store, client) -> None:
    plan = make_plan(store, [REQUEST])
    planned = plan.groups[0].prepared
    # Results of other inputs are committed after the plan.
    put_year(store, 2018, seed=7)
    run(store, plan, client, QUIET)
    cube = open_cube(store, "made").load()
    for year in (2015, 2018):
        found = cube["estimate"].sel(year=year, measure="score", tract=geoids("17"))
        np.testing.assert_array_equal(found, scores("17", year)["score"])
    identities = Cube(store, "made").state().identities(2018)
    assert identities["17"][0] == int(planned.whole["2018"].parts["17"].sha256[:16], 16)
    version = Cube(store, "made").version_of(planned.provenance.identity)
    assert (version.metadata["chunks"], version.metadata["tracts"]) == (2, 60)
    # A further plan sees the newer results.
    again = make_plan(store, [REQUEST])
    assert again.groups[0].standings == (Standing.STALE,)
    run(store, again, None, QUIET)
    found = open_cube(store, "made")["estimate"].sel(year=2018, measure="score", tract=geoids("17"))
    np.testing.assert_array_equal(found, scores("17", 2018, seed=7)["score"])


def test_nothing_is_computed_for_a_cube_that_is_up_to_date(store: Store, monkeypatch) -> None:
    run(store, make_plan(store, [REQUEST]), None, QUIET)
    plan = make_plan(store, [REQUEST])
    assert plan.groups[0].standings == (Standing.DONE,)
    assert not plan.computes
    monkeypatch.setattr(products, "write_cube", None)
    run(store, plan, None, QUIET)
    put_year(store, 2015, states=STATES[:2])
    plan = make_plan(store, [REQUEST])
    assert plan.computes
    assert any("39 to be blanked" in line for line in plan.lines())


def test_the_collections_of_some_years_need_no_template(store: Store) -> None:
    years = {2015: TEMPLATE.format(year=2018), 2016: TEMPLATE.format(year=2015)}
    options = Options.of(name="made", results=years)
    assert options.collections == years
    assert options.plain() == {
        "name": "made",
        "results": {str(year): name for year, name in years.items()},
        "years": None,
    }
    run(store, make_plan(store, [Request("cube", options)]), None, QUIET)
    assert open_cube(store, "made")["year"].values.tolist() == [2015, 2016]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"results": TEMPLATE}, "--years"),
        ({"results": f"{PRODUCT}/2015/all-selected", "years": "2015"}, "--results results/opportunity.*{year}"),
        ({"results": TEMPLATE, "years": "2015,2015"}, "2015 twice"),
    ],
)
def test_options_that_do_not_fit(given, message) -> None:
    with pytest.raises(InputError, match=message):
        Options.of(name="made", **given)


def test_a_run_that_fails_removes_nothing_of_a_cube(store: Store, monkeypatch) -> None:
    plan = make_plan(store, [REQUEST])

    def fails_after_a_commit(*arguments, **options):
        write_cube(*arguments, **options)
        raise InputError("failed afterwards")

    write_cube = products.write_cube
    monkeypatch.setattr(products, "write_cube", fails_after_a_commit)
    with pytest.raises(InputError, match="failed afterwards"):
        run(store, plan, None, QUIET)
    assert open_cube(store, "made").load()["year"].values.tolist() == [2015, 2018]


def test_an_error_of_a_task_is_that_of_the_run(store: Store, client) -> None:
    table = scores("17", 2018)
    part = store.put(TEMPLATE.format(year=2018), "17", table.iloc[[0, 0, 1]])
    snapshot = store.snapshot(TEMPLATE.format(year=2018))
    run_of = snapshot.runs[snapshot.parts["17"].run]
    store.commit(snapshot.collection, {"17": part}, Provenance(**run_of), snapshot.attributes)
    with pytest.raises(InputError, match="geoid '17001000001'"):
        run(store, make_plan(store, [REQUEST]), client, QUIET)
    result = execute(store, make_plan(store, [REQUEST]), client, QUIET)
    assert list(result.failed) == ["cube-0-all"]


def test_a_second_interrupt_stops_a_run_that_waits_for_the_cluster(store: Store, client, monkeypatch) -> None:
    def waits(*arguments, **options):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    monkeypatch.setattr(products, "write_cube", waits)
    started = time.monotonic()
    result = execute(store, make_plan(store, [REQUEST]), client, QUIET)
    assert time.monotonic() - started < 30
    assert result.stopped
    assert (result.left, result.committed) == (1, [])
