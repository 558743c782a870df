"""Cubes as tables, their changes and series, and the job."""

import dask
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from cube_results import PRODUCT, QUIET, STATES, geoids, put, put_year, scores, whole, write_cube
from hypothesis import given
from hypothesis import strategies as st

from geomob_dask.errors import InputError
from geomob_dask.outputs import change_maps, change_tables
from geomob_dask.outputs.cube_tables import export_cube
from geomob_dask.store import Provenance, Store
from geomob_dask.store.cubes import open_cube
from geomob_dask.transforms.change import beyond_margin, change_moe, shared_sample

YEARS = (2015, 2018)
TEMPLATE = f"{PRODUCT}/{{year}}/all-selected"


@pytest.fixture(autouse=True)
def in_this_process():
    """Read cubes here, whatever client another test has made the default."""
    with dask.config.set(scheduler="synchronous"):
        yield


def put_polygons(store: Store, states=STATES) -> gpd.GeoDataFrame:
    """Commit a square for every tract but the last of each state."""
    frames = []
    for row, state in enumerate(states):
        keys = geoids(state)[:-1]
        boxes = [shapely.box(1500 * n, 1500 * row, 1500 * (n + 1), 1500 * (row + 1)) for n in range(len(keys))]
        index = pd.Index(keys, name="geoid")
        frames.append(gpd.GeoDataFrame({"aland": 1.0, "awater": 0.0}, geometry=boxes, index=index, crs=5070))
    parts = {state: store.put("tracts/2010", state, frame) for state, frame in zip(states, frames, strict=True)}
    store.commit("tracts/2010", parts, Provenance("ingest", {}), {"crs": "EPSG:5070"})
    return pd.concat(frames)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("store")))
    results = {year: put_year(store, year) for year in YEARS}
    put_polygons(store)
    write_cube(store, "made", results, None, QUIET, block=16)
    return store


# Tables -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_the_long_table_holds_every_value_once(store, tmp_path, suffix) -> None:
    file = tmp_path / f"long{suffix}"
    assert export_cube(store, "made", str(file)) == [f"360 rows in {file}"]
    long = pd.read_csv(file, dtype={"geoid": str, "state": str}, keep_default_na=False)
    assert list(long.columns[:5]) == ["year", "geoid", "state", "measure", "units"]
    assert long["year"].is_monotonic_increasing
    assert not long.duplicated(["year", "geoid", "measure"]).any()
    for year in YEARS:
        table = whole(store, f"{PRODUCT}/{year}/all-selected")
        score = long[(long["year"] == year) & (long["measure"] == "score")].set_index("geoid").loc[table.index]
        for variable, column in (("estimate", "score"), ("moe", "score_moe")):
            np.testing.assert_array_equal(pd.to_numeric(score[variable]), table[column])
        assert score.loc["17001000003", "flag"] == "suppressed"
        assert score.loc["18001000004", "flag"] == "nobody lives here"
        assert (score["flag"] == "").sum() == 54
    again = tmp_path / f"again{suffix}"
    export_cube(store, "made", str(again))
    assert again.read_bytes() == file.read_bytes()


def test_the_wide_table_holds_the_columns_of_the_results_and_polygons(store, tmp_path) -> None:
    file = tmp_path / "wide.parquet"
    export_cube(store, "made", str(file))
    wide = gpd.read_parquet(file)
    assert wide.crs.to_epsg() == 5070
    polygons = store.frame("tracts/2010").compute()
    for year in YEARS:
        table = whole(store, f"{PRODUCT}/{year}/all-selected")
        found = wide[wide["year"] == year].set_index("geoid")
        assert found.index.tolist() == table.index.tolist()
        for column in table.columns.drop(["score_reason", "reason"]):
            expected = table[column].fillna(0) if column == "score_quality" else table[column]
            np.testing.assert_array_equal(found[column].to_numpy(), expected.to_numpy())
        assert found.loc["17001000003", "score_reason"] == "suppressed"
        drawn = found.loc[polygons.index].geometry
        assert drawn.geom_equals(gpd.GeoSeries(polygons.geometry, crs=5070)).all()
        assert found.geometry.isna().sum() == 3
    one_year = tmp_path / "one.parquet"
    assert export_cube(store, "made", str(one_year), years=[2018]) == [f"60 rows in {one_year}"]


def test_exports_of_regions_and_of_tracts_without_polygons_say_so(tmp_path) -> None:
    store = Store(str(tmp_path / "s"))
    write_cube(store, "made", {2015: put_year(store, 2015)}, None, QUIET)
    file = tmp_path / "a.parquet"
    assert "without polygons: the store has no tracts/2010" in export_cube(store, "made", str(file))[0]
    assert "geometry" not in pd.read_parquet(file)
    table = scores("17", 2020).drop(columns="region")
    table.index = pd.Index([f"area {number}" for number in range(len(table))], name="region")
    put(store, {"all": table}, "results/exposure/made/counts/2020/all-area")
    write_cube(store, "areas", {2020: "results/exposure/made/counts/2020/all-area"}, None, QUIET)
    assert "of regions it has none" in export_cube(store, "areas", str(file))[0]
    assert pd.read_parquet(file)["region"].tolist() == sorted(table.index)


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("a.xlsx", {}, "found the suffix '.xlsx', expected one of: .csv"),
        ("no/such/a.csv", {}, "no folder"),
        ("a.csv", {"years": [2018, 1999]}, "--years 1999: not in the cube; expected one of: 2015, 2018"),
        ("a.csv", {"tag": "nope"}, "no tag 'nope'"),
    ],
)
def test_exports_that_cannot_be(store, tmp_path, file, options, message) -> None:
    with pytest.raises(InputError, match=message):
        export_cube(store, "made", str(tmp_path / file), **options)
    assert list(tmp_path.iterdir()) == []


# Changes ------------------------------------------------------------------------------------------


@given(
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.integers(1990, 2024),
    st.integers(1990, 2024),
    st.integers(1, 5),
)
def test_margins_of_a_change(before, after, first, last, period) -> None:
    shared = shared_sample(first, last, period)
    # Years that both samples have, counted one by one.
    years = [set(range(year - period + 1, year + 1)) for year in (first, last)]
    assert shared == pytest.approx(len(years[0] & years[1]) / period)
    margin = change_moe([before], [after], shared)[0]
    if first == last:
        assert np.isnan(margin)
    else:
        assert margin == pytest.approx(((before**2 + after**2) * (1 - shared)) ** 0.5, abs=1e-9)
        assert change_moe([after], [before], shared)[0] == pytest.approx(margin, abs=1e-9)
        assert margin <= change_moe([before], [after])[0] * (1 + 1e-12)
        assert beyond_margin([margin * 1.01 + 1e-6, margin / 2], [margin, margin])[0] == 1


def test_the_change_of_two_years(store) -> None:
    cube = open_cube(store, "made")
    table = change_tables.change_table(cube, "score", 2015, 2018)
    one, other = (whole(store, f"{PRODUCT}/{year}/all-selected") for year in YEARS)
    assert table.index.tolist() == one.index.tolist()
    for geoid, row in table.iterrows():
        before, after = one.loc[geoid], other.loc[geoid]
        if np.isnan(before["score"]):
            assert np.isnan(row["change"])
            assert row["beyond"] == -1
        else:
            assert row["change"] == after["score"] - before["score"]
            margin = (before["score_moe"] ** 2 + after["score_moe"] ** 2) ** 0.5
            assert row["margin"] == pytest.approx(margin)
            assert row["beyond"] == (abs(row["change"]) > margin)
    assert table.loc["17001000003", "reason"] == "2015: suppressed, 2018: suppressed"
    assert set(table["beyond"]) == {-1, 0, 1}
    # Estimates of five years that share two of them.
    shared = change_tables.change_table(cube, "score", 2015, 2018, period=5)
    np.testing.assert_allclose(shared["margin"], table["margin"] * np.sqrt(3 / 5))
    # Where there are bounds only, half their distance is the margin.
    rent = change_tables.change_table(cube, "rent_usd_2023", 2018, 2015)
    np.testing.assert_allclose(rent["margin"].dropna(), np.sqrt(200))
    none = change_tables.change_table(cube, "households_count", 2015, 2018)
    assert none["margin"].isna().all()
    assert (
        "cannot" in change_tables.change_summary(none, "x", 2015, 2018)[-1]
        or "no margin" in (change_tables.change_summary(none, "x", 2015, 2018)[-1])
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope", 2015, 2018), "--measure nope: not in the cube; expected one of: score, rent_usd_2023"),
        (("score", 2015, 2016), "--years 2016: not in the cube; expected one of: 2015, 2018"),
        (("score", 2018, 2018), "the same year twice"),
    ],
)
def test_changes_that_are_none(store, arguments, message) -> None:
    with pytest.raises(InputError, match=message):
        change_tables.change_table(open_cube(store, "made"), *arguments)
    with pytest.raises(InputError, match="period 0"):
        change_tables.change_table(open_cube(store, "made"), "score", 2015, 2018, period=0)


# Series -------------------------------------------------------------------------------------------


def test_quartiles_and_series(store) -> None:
    cube = open_cube(store, "made")
    found = change_tables.quantiles_by_state(cube, "score").set_index(["state", "year"])
    for year in YEARS:
        table = whole(store, f"{PRODUCT}/{year}/all-selected")
        for state, rows in [("all", table), *((state, table[table.index.str[:2] == state]) for state in STATES)]:
            expected = [rows["score"].count(), *rows["score"].quantile([0.25, 0.5, 0.75])]
            assert found.loc[(state, year)].tolist() == pytest.approx(expected)
    keys = ["39001000003", "17001000001"]
    lines = change_tables.series_of(cube, "score", keys).set_index(["key", "year"])
    assert lines.index.tolist() == [(key, year) for key in keys for year in YEARS]
    row = scores("17", 2018).loc["17001000001"]
    assert lines.loc[("17001000001", 2018), ["estimate", "low", "high"]].tolist() == pytest.approx(
        [row["score"], row["score"] - row["score_moe"], row["score"] + row["score_moe"]]
    )
    assert lines.loc[("39001000003", 2015), "flag"] == "suppressed"
    rent = change_tables.series_of(cube, "rent_usd_2023", ["17001000001"])
    np.testing.assert_allclose(rent["high"] - rent["low"], 20)


@pytest.mark.parametrize(
    ("keys", "states", "message"),
    [
        (["17001999999"], [], "tract '17001999999' is not in the cube; expected one such as 17001000001"),
        ([], ["55"], "--states 55: not in the cube; expected one of: 17, 18, 39"),
        (geoids("17")[:9], [], "tracts: found 9, expected at most 8 lines"),
    ],
)
def test_series_that_cannot_be(store, keys, states, message) -> None:
    with pytest.raises(InputError, match=message):
        change_maps.series_page(open_cube(store, "made"), "score", keys, states)


# The job ------------------------------------------------------------------------------------------


def test_overlapping_samples_and_dollars_of_two_years_are_noted(job, tmp_path) -> None:
    store = Store(str(tmp_path / "store"))
    columns = {"B19113_001E": [50000.0], "B19113_001M": [300.0], "rent_usd_2023": [9.0], "B19083_001E": [0.4]}
    table = pd.DataFrame(columns, index=pd.Index(["39001000100"], dtype="str", name="geoid"))
    for dataset in ("acs5_b19113_2020", "mine"):
        for year in (2018, 2020):
            collection = f"measures/{dataset}/{year}"
            parts = {"39": store.put(collection, "39", table)}
            store.commit(collection, parts, Provenance("test", {}), {"vintage": "2020"})
        results = {year: f"measures/{dataset}/{year}" for year in (2018, 2020)}
        write_cube(store, dataset, results, None, QUIET)

    def change(cube, measure, *more):
        out = tmp_path / "change.csv"
        options = ["--measure", measure, "--years", "2018,2020", "--export", out, "--store", store.url]
        done = job("cube", "change", cube, *options, "--cluster", "serial", *more)
        assert (done.code, done.err) == (0, "")
        return done.out, pd.read_csv(out)["margin"][0]

    apart = np.hypot(300, 300)
    said, margin = change("acs5_b19113_2020", "B19113_001E")
    assert margin == pytest.approx(apart * np.sqrt(1 - 3 / 5))
    assert "an estimate spans 5 years" in said
    assert "in dollars of 2018 and of 2020" in said
    said, margin = change("acs5_b19113_2020", "B19113_001E", "--period", "1")
    assert margin == pytest.approx(apart)
    assert "spans" not in said
    said, margin = change("mine", "B19113_001E")
    assert margin == pytest.approx(apart)
    assert "spans" not in said
    for measure in ("rent_usd_2023", "B19083_001E"):
        assert "dollars" not in change("mine", measure)[0]


def test_the_job_from_results_to_pages(job, tmp_path) -> None:
    url = str(tmp_path / "store")
    store = Store(url)
    for year in YEARS:
        put_year(store, year)
    put_polygons(store)
    here = ["--store", url, "--cluster", "serial"]
    write = ["write", "made", "--results", TEMPLATE, "--years", "2015,2018", *here]
    dry = job("cube", *write, "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    assert "2 of 2 years to be written" in dry.out
    assert store.objects.names("cubes") == []
    done = job("cube", *write, "--tag", "first")
    assert (done.code, done.err) == (0, "")
    assert "2015 added (3 parts: 17, 18, 39); 2018 added" in done.out
    assert "0 of 2 years to be written" in job("cube", *write).out
    history = job("cube", "history", "made", *here).out
    assert "[first]  2015 added" in history
    assert job("cube", "history", *here).out == "made\n"
    assert "tag second: version" in job("cube", "tag", "made", "second", *here).out
    assert job("cube", "export", "made", tmp_path / "long.csv", "--tag", "first", *here).code == 0
    assert len(pd.read_csv(tmp_path / "long.csv")) == 360
    pages = {name: tmp_path / f"{name}.html" for name in ("map", "series")}
    change = ["change", "made", "--measure", "score", "--years", "2015,2018", *here]
    found = job("cube", *change, "--map", pages["map"], "--export", tmp_path / "change.gpkg")
    assert (found.code, found.err) == (0, "")
    assert "score, 2015 to 2018: change known for 54 of 60" in found.out
    assert "with a known margin" in found.out
    assert gpd.read_file(tmp_path / "change.gpkg")["change"].notna().sum() == 54
    found = job(
        "cube", "series", "made", "--measure", "score", "--page", pages["series"], "--tracts", "17001000001", *here
    )
    assert (found.code, found.err) == (0, "")
    for page in pages.values():
        text = page.read_text()
        assert "<script src" not in text
        assert "Change of score, 2015 to 2018" in text or "Score over the years" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["write", "made", "--results", TEMPLATE, "--years", "2015,2015"], "found 2015 twice"),
        (["write", "made", "--results", TEMPLATE, "--years", "2015-2018,2017-2019"], "found 2017-2018 twice"),
        (["write", "made", "--results", f"{PRODUCT}/2015/all-selected", "--years", "2015"], "expected {year}"),
        (["write", "made", "--results", TEMPLATE, "--years", "1999"], "no results/opportunity/made/counts/1999"),
        (["export", "nope", "a.csv"], "no such cube; available: made"),
        (["change", "made", "--measure", "score", "--years", "2015"], "--years: found 1 (2015), expected two"),
        (["tag", "made", "a/b"], "tag 'a/b': expected a name of letters"),
    ],
)
def test_the_job_says_what_is_wrong(store, job, arguments, message) -> None:
    done = job("cube", *arguments, "--store", store.url, "--cluster", "serial")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert message in done.err
