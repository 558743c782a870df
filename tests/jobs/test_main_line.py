"""The main line as a user types it: plans, exports, maps, a running scheduler."""

import re

import geopandas as gpd
import pandas as pd
import pytest
from stores import contents

from geomob_dask.store import Store

INDEX = ("--definition", "sample", "--dataset", "sample", "--year", 2020)


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("main") / "store")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def good(done):
    assert done.code == 0, done.err
    return done.out


def test_plan_then_run_on_a_running_scheduler(job, url, client, monkeypatch, tmp_path):
    monkeypatch.setenv("GEOMOB_ADDRESS", client.scheduler.address)
    monkeypatch.setenv("GEOMOB_STORE", url)
    cluster = ("--cluster", "address")
    out = good(job("ingest", "sample", "--dry-run"))
    assert "would be in" in out
    assert contents(Store(url)) == {}, "a dry run writes nothing"
    good(job("ingest", "sample"))
    out = good(job("neighbors", "--vintage", "sample", "--dry-run"))
    assert "neighbors: 6 outputs to neighbors/sample" in out
    assert "to be computed" in out
    out = good(job("neighbors", "--vintage", "sample", *cluster, "--export", "edges.csv"))
    assert "cluster: address, 2 workers; dashboard: http://" in out
    assert "896 tracts, 2,558 queen pairs" in out
    assert "islands: 2, left alone: 94005000100, 95007001400" in out
    edges = pd.read_csv("edges.csv", dtype=str)
    assert list(edges.columns[:2]) == ["focal", "neighbor"]
    assert len(edges) == 2 * 2_558
    before = contents(Store(url))
    out = good(job("opportunity", *INDEX, "--dry-run"))
    assert "opportunity: 6 outputs to results/opportunity/sample/sample/2020/all-selected" in out
    assert contents(Store(url)) == before
    out = good(job("opportunity", *INDEX, *cluster, "--export", "index.parquet", "--map", "map.html"))
    assert "894 of 896 tracts have an index" in out
    assert "364 from direct neighbors, 18 from those once removed" in out
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert "Opportunity index of the sample country (made up)" in page
    assert "minutes_to_hospital" in page
    out = good(job("opportunity", *INDEX, "--dry-run"))
    assert "up to date, nothing to do" in out


def test_the_sample_has_margins_of_error_where_they_are_asked_for(job, tmp_path):
    store = Store(str(tmp_path / "store"))
    good(job("ingest", "sample", "--margins", "--store", store.url))
    survey = store.frame("measures/survey/2020").compute()
    plain = store.frame("measures/sample/2020").compute()
    assert survey[plain.columns].equals(plain)
    margins = [name for name in survey if name.endswith("_moe")]
    assert len(margins) == len(survey.columns) - len(plain.columns) == 12
    assert (survey[margins].min() > 0).all()


def test_ingested_polygons_come_out_as_they_went_in(job, tmp_path):
    good(job("ingest", "sample", "--store", tmp_path / "one"))
    tracts = Store(str(tmp_path / "one")).frame("tracts/sample").compute()
    tracts.reset_index().rename(columns={"geoid": "GEOID"}).to_file("tracts.gpkg")
    good(job("ingest", "tracts", "tracts.gpkg", "--vintage", "v", "--store", tmp_path / "two", "--export", "out.gpkg"))
    found = gpd.read_file("out.gpkg").set_index("geoid").loc[tracts.index]
    assert found.geometry.geom_equals(tracts.geometry).all()


def test_exports_hold_the_same_table(job, url):
    tables = {}
    for suffix in ("csv", "parquet", "gpkg", "geojson"):
        good(job("opportunity", *INDEX, "--store", url, "--export", f"index.{suffix}"))
        reader = {"csv": pd.read_csv, "parquet": pd.read_parquet}.get(suffix, gpd.read_file)
        table = reader(f"index.{suffix}", **({"dtype": {"geoid": str}} if suffix == "csv" else {}))
        tables[suffix] = table if table.index.name == "geoid" else table.set_index("geoid")
    expected = Store(url).frame("results/opportunity/sample/sample/2020/all-selected").compute()
    # Names are added to what is shown, not to what is stored.
    assert tables["parquet"].columns[-1] == "county_name"
    pd.testing.assert_frame_equal(tables["parquet"].drop(columns="county_name"), expected, check_exact=True)
    for suffix in ("csv", "gpkg", "geojson"):
        found = tables[suffix].loc[expected.index]
        # Floats are written so that they come back as they were, but for GeoJSON's fifteen digits.
        pd.testing.assert_series_equal(
            found["opportunity"], expected["opportunity"], rtol=1e-12, check_index_type=False
        )
        assert (found["reason"].fillna("") == expected["reason"]).all()
    assert tables["gpkg"].crs == "EPSG:5070"
    assert tables["gpkg"].geometry.notna().all()


def test_edges_of_some_states_and_of_lines_only(job, url):
    good(
        job(
            "neighbors",
            "--vintage",
            "sample",
            "--store",
            url,
            "--states",
            "91,93",
            "--contiguity",
            "rook",
            "--export",
            "e.csv",
        )
    )
    edges = pd.read_csv("e.csv", dtype=str)
    assert set(edges["focal"].str[:2]) == set(edges["neighbor"].str[:2]) == {"91", "93"}
    assert (edges["rook"] == "True").all()


@pytest.mark.parametrize("name", ["ingest", "neighbors", "opportunity"])
def test_help_shows_examples(job, name):
    out = good(job(name, "--help"))
    assert f"python jobs/{name}.py" in out
    assert "--store" in out or "COMMAND" in out


def test_the_validation_table(job, url, client, monkeypatch):
    monkeypatch.setenv("GEOMOB_ADDRESS", client.scheduler.address)
    monkeypatch.setenv("GEOMOB_STORE", url)
    options = ("--cluster", "address", "--validation", "v.csv", "--against", "sample:2020:poverty_pct")
    out = good(job("opportunity", *INDEX, *options))
    assert "variance of deprivation explained by domain" in out
    table = pd.read_csv("v.csv").set_index("kind")
    domains = table.loc["domain"]
    assert len(table.loc["in common"]) == 2 ** len(domains) - 1 - len(domains)
    # The index is the mean of its domains: together they explain all of it.
    assert domains["unique"].sum() + table.loc["in common", "common"].sum() == pytest.approx(1.0)
    pair = table.loc["correlation"]
    assert pair["what"] == "sample 2020 poverty_pct"
    assert pair["r"] < -0.3
    # Near tracts are alike: they are worth fewer than there are.
    assert 3 < pair["effective_n"] < pair["n"]
    assert 0 < pair["p_unadjusted"] < pair["p_adjusted"] < 1
    assert pair["r_lower_adjusted"] < pair["r"] < pair["r_upper_adjusted"]
    assert "unadjusted p; adjusted for dependence in space" in out
    for against, why in (
        ("sample", "expected DATASET:YEAR"),
        ("sample:2020:nothing", "no column 'nothing'"),
        ("elsewhere:2020", "no dataset .elsewhere."),
    ):
        done = job("opportunity", *INDEX, *options[:2], "--against", against)
        assert done.code == 2
        assert re.search(why, done.err)
