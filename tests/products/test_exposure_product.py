"""Exposure from the store to the store: any cluster, folder or bucket, to the same bytes; checked before it is seen."""

import json

import numpy as np
import pandas as pd
import pytest
from exposure_sample import metro_json, race_table, saved
from stores import QUIET, contents, done, plan_of

from geomob_dask.errors import CountsError, InputError, RunError
from geomob_dask.frames.groups import group_counts
from geomob_dask.metrics.exposure import exposure_by_region
from geomob_dask.outputs.result import report, result
from geomob_dask.products.exposure import Options
from geomob_dask.runs.engine import run
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.sources.groups import find_grouping
from geomob_dask.store import Store

KINDS = ("county", "cbsa", "state")
YEARS = (2018, 2019)


def filled(url, folder, years=YEARS):
    store = Store(url)
    for year in years:
        file = saved(race_table(year), folder / f"{year}.csv")
        ingest(store, "measures", file=file, dataset="race", year=year, vintage="2010")
    (folder / "metro.json").write_text(json.dumps(metro_json()))
    ingest(store, "regions", file=str(folder / "metro.json"), name="cbsa", vintage="2010")
    return store


def options(by, year=2018, **more):
    return Options(dataset="race", year=year, by=by, **more)


def execute(store, chosen, client=None):
    """Compute results; return the plan."""
    plan = make_plan(store, [Request("exposure", one) for one in chosen])
    run(store, plan, client, QUIET)
    return plan


def computed(store, plan, place=0):
    return result(store, plan.groups[place].prepared)


def every(**more):
    return [options(by, year, **more) for year in YEARS for by in KINDS]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    store = filled(str(folder / "store"), folder)
    execute(store, every(interactions=True))
    return contents(store, "results")


def test_same_bytes_in_a_folder_and_a_bucket_on_a_cluster(expected, client, bucket, tmp_path):
    assert len(expected) == 2 * 2 * 6
    for url in (str(tmp_path / "store"), bucket):
        store = filled(url, tmp_path)
        execute(store, every(interactions=True), client)
        assert contents(store, "results") == expected


def test_an_area_across_a_state_line_has_both_sides(tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    plan = execute(store, [options("cbsa")])
    found = computed(store, plan)
    table = race_table(2018)
    metro = {county: area["code"] for county, area in metro_json().items()}
    region = table.index.str[:5].map(metro)
    inside = table[region.notna()]
    codes, names = pd.factorize(region[region.notna()], sort=True)
    groups = group_counts(inside, find_grouping(table.columns)[1], inside.index)
    direct = exposure_by_region(groups.counts, groups.moes, groups.total, codes, len(names))
    assert found.index.tolist() == list(names)
    assert found["region_name"].tolist() == ["Twin Cities", "Second", "Third"]
    for place, group in enumerate(groups.names):
        np.testing.assert_array_equal(found[f"{group}_exposure"], direct.value[:, place])
        np.testing.assert_array_equal(found[f"{group}_exposure_se"], direct.se[:, place])
    found_in_checks = report(store, plan.groups[0].prepared)
    assert found_in_checks["people_outside"] == table.loc[region.isna(), "B03002_001E"].sum()
    assert found_in_checks["tracts_outside"] == region.isna().sum()


def test_what_is_up_to_date_is_not_computed_again(tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    execute(store, [options("cbsa")])
    assert done(plan_of(store, options("cbsa"), "exposure"))
    assert not done(plan_of(store, options("cbsa", threshold=50), "exposure"))
    # Interactions are another result of the same run.
    assert not done(plan_of(store, options("cbsa", interactions=True), "exposure"))
    other = metro_json() | {"93005": {"code": "10002", "name": "Second"}}
    (tmp_path / "metro.json").write_text(json.dumps(other))
    ingest(store, "regions", file=str(tmp_path / "metro.json"), name="cbsa", vintage="2010")
    assert not done(plan_of(store, options("cbsa"), "exposure"))


def test_interactions_leave_exposures_up_to_date(tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    execute(store, [options("cbsa", interactions=True)])
    assert done(plan_of(store, options("cbsa"), "exposure"))


@pytest.mark.parametrize("by", ["county", "cbsa"])
def test_a_run_computes_from_the_inputs_of_its_plan(tmp_path, client, by):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    expected = computed(store, execute(store, [options(by)]))
    other = filled(str(tmp_path / "other"), tmp_path, years=(2018,))
    plan = plan_of(other, options(by), "exposure")
    ingest(
        other, "measures", file=saved(race_table(7), tmp_path / "later.csv"), dataset="race", year=2018, vintage="2010"
    )
    (tmp_path / "later.json").write_text(json.dumps({"91001": {"code": "10009", "name": "Later"}}))
    ingest(other, "regions", file=str(tmp_path / "later.json"), name="cbsa", vintage="2010")
    run(other, plan, client, QUIET)
    pd.testing.assert_frame_equal(computed(other, plan), expected, check_exact=True)
    assert not done(plan_of(other, options(by), "exposure"))


def test_states_chosen_are_all_that_is_read(tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    plan = execute(store, [options("county", states=("92",))])
    assert set(computed(store, plan).index.str[:2]) == {"92"}
    with pytest.raises(InputError, match="95"):
        plan_of(store, options("county", states=("95",)), "exposure")


def test_each_state_by_itself_equals_that_state_alone(tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    each = make_plan(store, [Request("exposure", options("county", interactions=True), by_state=True)])
    run(store, each, None, QUIET)
    alone = execute(store, [options("county", states=("92",), interactions=True)])
    for role in ("result", "interactions"):
        parts = store.snapshot(each.groups[0].prepared.targets[role].collection).parts
        assert list(parts) == ["91", "92", "93"]
        found = store.read(parts["92"])
        pd.testing.assert_frame_equal(found, result(store, alone.groups[0].prepared, role), check_exact=True)


def test_requests_of_other_states_in_one_run_are_told_apart(tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    asked = [options("county"), options("state", states=("92",))]
    alone = [computed(store, execute(store, [one])) for one in asked]
    other = filled(str(tmp_path / "other"), tmp_path, years=(2018,))
    together = execute(other, asked)
    for place, expected_alone in enumerate(alone):
        pd.testing.assert_frame_equal(computed(other, together, place), expected_alone, check_exact=True)


def test_reported_people_that_differ_fail_the_run_and_nothing_is_seen(client, tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    before = contents(store)
    people = race_table(2018)["B03002_001E"]
    by_state = people.groupby(people.index.str[:2]).sum().rename_axis("state").rename("people")

    def reported(series, **more):
        series.to_csv(tmp_path / "reported.csv")
        return options("state", reported=str(tmp_path / "reported.csv"), **more)

    wrong = by_state.astype(float)
    wrong["92"] *= 1.2
    with pytest.raises(RunError, match=r"region 92: .* \(1 of 3 regions\)"):
        execute(store, [reported(wrong)], client)
    assert contents(store) == before
    with pytest.raises(InputError, match="none of their regions"):
        execute(store, [reported(by_state.set_axis(["39", "40", "41"]).rename_axis("state"))])
    execute(store, [reported(by_state, tolerance=1e-12)], client)
    # What totals are compared with is no part of a result.
    assert done(plan_of(store, options("state"), "exposure"))


def test_counts_that_cannot_be_fail_the_run_on_a_worker_and_name_the_tract(client, tmp_path):
    table = race_table()
    table.loc["92003000300", "B03002_012E"] = 1e6
    store = Store(str(tmp_path / "store"))
    ingest(store, "measures", file=saved(table, tmp_path / "t.csv"), dataset="race", year=2018, vintage="2010")
    before = contents(store)
    with pytest.raises(CountsError, match=r"tract 92003000300, column B03002_012E: found 1e\+06 people"):
        execute(store, [options("county")], client)
    assert contents(store) == before
