"""The jobs on real tables against published values; skipped by name without GEOMOB_DATA."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from stores import contents

from geomob_dask.errors import InputError
from geomob_dask.metrics.exposure_terms import Mode
from geomob_dask.outputs.result import report, result
from geomob_dask.products.exposure import Options
from geomob_dask.runs import places
from geomob_dask.runs.engine import run
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.store import Store

pytestmark = pytest.mark.real_data
QUIET = Console(quiet=True)
PLACE_STATES = ("08", "39", "53")


def options(by, **more):
    return Options(dataset="race", year=2018, by=by, **more)


def computed(store, chosen, client, **more):
    """Compute results; return their tables and reports."""
    plan = make_plan(store, [Request("exposure", one) for one in chosen], **more)
    run(store, plan, client, QUIET)
    prepared = [group.prepared for group in plan.groups]
    return [result(store, item) for item in prepared], [report(store, item) for item in prepared]


@pytest.fixture(scope="module")
def store(real_data, tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("real") / "store"))
    ingest(
        store,
        "measures",
        file=str(real_data / "exposure" / "acs5_2018_race_10_states.csv.gz"),
        dataset="race",
        year=2018,
        vintage="2010",
    )
    return store


def test_counties_of_the_job_are_the_published_ones(real_data, store, client):
    (found,), _ = computed(store, [options("county")], client)
    assert len(found) == 711
    file = real_data / "exposure" / "published_county_exposure_2018_OH_WA.csv"
    published = pd.read_csv(file, dtype={"state": str, "county": str})
    rows = found.loc[published["state"] + published["county"]]
    for group in ("black_nh", "hispanic", "other_nh", "white_nh"):
        value = published[f"share_{group}_exposure"].to_numpy()
        # A NaN equals a NaN only: missing exactly where suppressed.
        np.testing.assert_allclose(rows[f"{group}_exposure"], value, rtol=0, atol=1e-9)
        if group != "other_nh":
            quality = published[f"share_{group}_exposure_quality"].to_numpy()
            np.testing.assert_array_equal(rows[f"{group}_exposure_quality"], quality)


def test_places_by_area_in_three_modes(real_data, store, client, tmp_path):
    tracts = gpd.read_parquet(real_data / "tracts" / "cb500k_2010_vintage.parquet")
    tracts[tracts["GEOID"].str[:2].isin(PLACE_STATES)].to_parquet(tmp_path / "tracts.parquet")
    ingest(store, "tracts", files=[str(tmp_path / "tracts.parquet")], vintage="2010")
    files = [str(real_data / "places" / f"tl_2019_{state}_place.zip") for state in PLACE_STATES]
    done = places.ingest_areas(store, places.Options(files=files, vintage="2010"), client, QUIET)
    assert set(done.rows) == set(PLACE_STATES)
    # Totals are balanced to the last person by the run itself.
    chosen = [options("place", states=PLACE_STATES, mode=mode) for mode in Mode]
    (whole, published, corrected), reports = computed(store, chosen, client)
    assert len(corrected) == 2299
    np.testing.assert_array_equal(published["hispanic_exposure"], corrected["hispanic_exposure"])
    assert (corrected["hispanic_count_se"] <= published["hispanic_count_se"] + 1e-9).all()
    assert whole["people_count"].sum() > 1.5 * corrected["people_count"].sum()
    assert 0.7 < corrected.loc["3918000", "overlap"] <= 1
    outside, people = (reports[2][name] for name in ("people_outside", "people"))
    assert corrected["people_count"].sum() + outside == pytest.approx(people, abs=1e-4)


def test_the_whole_country_by_county_metro_and_state_in_one_run(real_data, client, tmp_path):
    file = str(real_data / "exposure" / "acs5_2018_B02001_all_states.zip")
    store = Store(str(tmp_path / "store"))
    done = ingest(store, "acs", file=file, year=2018)
    assert sum(done.rows.values()) == 74_001
    ingest(store, "regions", file=str(real_data / "income" / "county-to-cbsa_2023.json"), name="cbsa", vintage="2010")
    acs_options = {"dataset": "acs5_b02001", "year": 2018}
    # Areas of 2023 know Connecticut by its planning regions only, counts of 2018 by its counties.
    with pytest.raises(InputError, match="Connecticut: 8 of measures"):
        computed(store, [Options(**acs_options, by="cbsa", states=("09",))], None)
    others = tuple(state for state in done.rows if state != "09")
    kinds = {"county": None, "cbsa": others, "state": None}
    chosen = [Options(**acs_options, by=by, states=states) for by, states in kinds.items()]
    (county, metro, state), _ = computed(store, chosen, client)
    kept = contents(store, "results")
    # Other bytes would be other parts, and another snapshot beside the first.
    computed(store, chosen, None, reprocess="all")
    assert contents(store, "results") == kept
    assert (len(county), len(state)) == (3220, 52)
    assert county["people_count"].sum() == state["people_count"].sum() == 326_289_971
    # New York's area lies in several states.
    assert 19_000_000 < metro.loc["35620", "people_count"] < 21_000_000
