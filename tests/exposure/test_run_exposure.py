"""Exposure from the store to the store: any cluster, folder or bucket, to the same bytes; checked before it is seen."""

import json

import numpy as np
import pandas as pd
import pytest
from exposure_sample import metro_json, race_table, saved
from rich.console import Console
from stores import contents

from geomob_dask.errors import CountsError, InputError, RunError
from geomob_dask.frames.exposure import Reported
from geomob_dask.frames.groups import group_counts
from geomob_dask.lift.exposure import Options
from geomob_dask.lift.tasks import Run
from geomob_dask.metrics.exposure import exposure_by_region
from geomob_dask.runs import exposure
from geomob_dask.runs.exposure import Request, execute, prepare, result
from geomob_dask.runs.landing import ingest
from geomob_dask.sources.groups import find_grouping
from geomob_dask.store import Store

QUIET = Console(quiet=True)
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


def requests(**options):
    return [Request("race", year, by, options=Options(**options)) for year in YEARS for by in KINDS]


def run(store, client=None, **options):
    prepared = [prepare(store, request) for request in requests(**options)]
    execute(store, prepared, client, QUIET)
    return prepared


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    store = filled(str(folder / "store"), folder)
    run(store, interactions=True)
    return contents(store, "results")


def test_same_bytes_in_a_folder_and_a_bucket_on_a_cluster(expected, client, bucket, tmp_path):
    assert len(expected) == 2 * 2 * 6
    for url in (str(tmp_path / "store"), bucket):
        store = filled(url, tmp_path)
        run(store, client, interactions=True)
        assert contents(store, "results") == expected


def test_an_area_across_a_state_line_has_both_sides(tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    prepared = prepare(store, Request("race", 2018, "cbsa"))
    execute(store, [prepared], None, QUIET)
    found = result(store, prepared)
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
    report = exposure.stored_report(store, prepared)
    assert report["people_outside"] == table.loc[region.isna(), "B03002_001E"].sum()
    assert report["tracts_outside"] == region.isna().sum()


def test_what_is_up_to_date_is_told_and_a_change_of_input_is_not(tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    request = Request("race", 2018, "cbsa")
    execute(store, [prepare(store, request)], None, QUIET)
    assert prepare(store, request).plan.done
    assert not prepare(store, Request("race", 2018, "cbsa", options=Options(threshold=50))).plan.done
    # Interactions are another result of the same run.
    assert not prepare(store, Request("race", 2018, "cbsa", options=Options(interactions=True))).plan.done
    other = metro_json() | {"93005": {"code": "10002", "name": "Second"}}
    (tmp_path / "metro.json").write_text(json.dumps(other))
    ingest(store, "regions", file=str(tmp_path / "metro.json"), name="cbsa", vintage="2010")
    assert not prepare(store, request).plan.done


def test_states_chosen_are_all_that_is_read(tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    prepared = prepare(store, Request("race", 2018, "county", states=("92",)))
    execute(store, [prepared], None, QUIET)
    assert set(result(store, prepared).index.str[:2]) == {"92"}
    with pytest.raises(InputError, match="no state 95"):
        prepare(store, Request("race", 2018, "county", states=("95",)))


def test_requests_of_other_states_in_one_run_are_told_apart(tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    asked = [Request("race", 2018, "county"), Request("race", 2018, "state", states=("92",))]
    alone = []
    for request in asked:
        execute(store, [prepare(store, request)], None, QUIET)
        alone.append(result(store, prepare(store, request)))
    other = filled(str(tmp_path / "other"), tmp_path, years=(2018,))
    together = [prepare(other, request) for request in asked]
    execute(other, together, None, QUIET)
    for item, expected_alone in zip(together, alone, strict=True):
        pd.testing.assert_frame_equal(result(other, item), expected_alone, check_exact=True)


def test_two_tasks_of_one_name_are_refused():
    run_of_two = Run("test")
    run_of_two.task("load", "39", abs, 1)
    with pytest.raises(KeyError, match="two tasks test load 39"):
        run_of_two.task("load", "39", abs, 2)


def test_reported_people_that_differ_fail_the_run_and_nothing_is_seen(client, tmp_path):
    store = filled(str(tmp_path / "store"), tmp_path, years=(2018,))
    before = contents(store)
    prepared = prepare(store, Request("race", 2018, "state"))
    people = race_table(2018)["B03002_001E"]
    by_state = people.groupby(people.index.str[:2]).sum()
    wrong = by_state.copy()
    wrong["92"] *= 1.2
    with pytest.raises(RunError, match=r"region 92: .* interpolated people, .* reported; .*\(1 of 3 regions\)"):
        execute(store, [prepared], client, QUIET, reported=Reported(wrong))
    assert contents(store) == before
    with pytest.raises(InputError, match="none of their regions"):
        execute(store, [prepared], None, QUIET, reported=Reported(pd.Series({"39": 5.0})))
    execute(store, [prepared], client, QUIET, reported=Reported(by_state, tolerance=1e-12))
    assert prepare(store, Request("race", 2018, "state")).plan.done


def test_counts_that_cannot_be_fail_the_run_on_a_worker_and_name_the_tract(client, tmp_path):
    table = race_table()
    table.loc["92003000300", "B03002_012E"] = 1e6
    store = Store(str(tmp_path / "store"))
    ingest(store, "measures", file=saved(table, tmp_path / "t.csv"), dataset="race", year=2018, vintage="2010")
    before = contents(store)
    with pytest.raises(CountsError, match=r"tract 92003000300, column B03002_012E: found 1e\+06 people"):
        execute(store, [prepare(store, Request("race", 2018, "county"))], client, QUIET)
    assert contents(store) == before
