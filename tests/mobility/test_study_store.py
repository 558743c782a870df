"""Zones and tract outcomes into the store, and studies out of it."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from mobility_sample import COUNTIES, sample_sheets, write_atlas, write_files, write_xlsx
from stores import build_graph, contents, ingest_sample

from geomob_dask.definition import read_definition
from geomob_dask.errors import GeometryError, InputError
from geomob_dask.models.study import Feature, Study, check_features
from geomob_dask.products.mobility_study import Universe
from geomob_dask.products.zones_study import zones_counts, zones_polygons
from geomob_dask.runs.landing import ingest
from geomob_dask.sources.opportunity_insights import UPWARD_MOBILITY, read_workbook
from geomob_dask.store import Store


def zones_of(store, **options):
    return Universe("zones", **options).read(store)


def tracts_of(store, measures, **options):
    return Universe("tracts", measures=tuple(measures), **options).read(store)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("zones"))


@pytest.fixture(scope="module")
def store(files, tmp_path_factory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("store")))
    fill(store, files)
    return store


def fill(store, files, **options):
    given = {name: str(getattr(files, name)) for name in ("workbook", "county_zones", "counties")}
    return ingest(store, "zones", **{**given, "cohort_counts": str(files.counts), **options})


def test_all_tables_in_one_commit(store, files, tmp_path):
    snapshot = store.snapshot("zones/1990")
    assert set(snapshot.parts) == {"characteristics", "outcomes", "counties", "cohort", "polygons", "neighbors"}
    again = Store(str(tmp_path / "again"))
    done = fill(again, files)
    assert contents(again) == contents(store), "same files, same bytes"
    assert done.rows["counties"] == len(COUNTIES)


def test_dry_run_writes_nothing(files, tmp_path):
    store = Store(str(tmp_path / "store"))
    fill(store, files, dry_run=True)
    assert contents(store) == {}


def test_study_of_the_cohort(store, files):
    study = zones_of(store)
    # 5000 has a minority tract and no outcome, 200 and 6000 have an outcome and no minority tract.
    assert list(study.keys) == ["00100", "00302", "00401"]
    assert list(study.labels) == ["Town 100, IN", "Town 302, IN", "Town 401, OH"]
    assert list(study.states) == ["IN", "IN", "OH"]
    assert study.values.shape == (3, 36)  # noqa: PD011
    book = read_workbook(files.workbook)
    for column, feature in enumerate(study.features):
        expected = book.characteristics.loc[study.keys, feature.name].to_numpy()
        np.testing.assert_array_equal(study.values[:, column], expected)  # noqa: PD011
    np.testing.assert_array_equal(study.outcome, book.outcomes.loc[study.keys, UPWARD_MOBILITY].to_numpy())
    # 100 · 200 · 302 · 401 · 5000 in a row: 200 and 5000 are no units, but nodes 3 and 4 of the graph.
    assert study.pairs.tolist() == [[0, 3], [1, 2], [1, 3], [2, 1], [2, 4], [3, 0], [3, 1], [4, 2]]


def test_study_of_all_zones_keeps_missing_values(store):
    study = zones_of(store, cohort=False)
    assert list(study.keys) == ["00100", "00200", "00302", "00401", "06000"]
    # 5000 has no outcome: node 5.
    assert study.pairs.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1], [2, 3], [3, 2], [3, 5], [5, 3]]
    missing = np.argwhere(np.isnan(study.values))
    assert missing.tolist() == [[1, study.feature_names.index("college_tuition_usd")]]


def test_some_features_and_another_outcome(store):
    study = zones_of(store, cohort=False, features=["gini_index", "population_count"], outcome="above_poverty_slope")
    assert study.feature_names == ("gini_index", "population_count")
    assert study.features[0].domain == "income inequality"
    assert study.outcome_name == "above_poverty_slope"


def test_counts_of_zones(store):
    assert zones_counts(store, store.snapshot("zones/1990")) == {
        "zones": 6,
        "zones_with_outcome": 5,
        "cohort": 4,
        "cohort_with_outcome": 3,
        "white_share_mean": pytest.approx(10.3 / 14, abs=1e-15),
    }


def test_polygons_are_their_counties(store):
    polygons = zones_polygons(store, store.snapshot("zones/1990"))
    assert polygons.loc["00302", "counties_count"] == 2
    assert polygons.loc["00302", "geometry"].equals(shapely.box(2, 40, 4, 41))
    assert polygons.loc["06000", "geometry"].equals(shapely.box(9, 40, 10, 41))
    assert polygons.crs.to_epsg() == 4326


def test_counties_of_another_year_are_said(store, files, tmp_path):
    later = gpd.read_file(files.counties)
    later.loc[0, "geoid"] = "02158"
    later.to_file(tmp_path / "later.geojson", driver="GeoJSON")
    done = fill(Store(str(tmp_path / "store")), files, counties=str(tmp_path / "later.geojson"))
    lines = "\n".join(done.lines)
    assert "polygons: 1 county without a zone in 02 Alaska: 02158" in lines
    assert "1 zone without a polygon: 100" in lines


def test_without_counts_or_polygons(files, tmp_path):
    store = Store(str(tmp_path / "store"))
    fill(store, files, cohort_counts=None, counties=None)
    assert zones_of(store, cohort=False).pairs.shape == (0, 2)
    with pytest.raises(InputError, match=r"no table 'cohort' .*--cohort-counts"):
        zones_of(store)
    with pytest.raises(InputError, match=r"no table 'polygons' .*--counties"):
        zones_polygons(store, store.snapshot("zones/1990"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"outcome": "happiness"}, "outcome 'happiness': not in the table of zones"),
        ({"features": ["gini_index", "wealth"]}, "feature 'wealth': not in the table"),
        ({"features": [UPWARD_MOBILITY]}, "the target is among the features"),
        ({"features": ["above_poverty_slope"]}, "is an outcome; expected characteristics"),
        ({"features": ["gini_index", "gini_index"]}, "gini_index named more than once"),
        ({"features": []}, "none named"),
        ({"vintage": "2000"}, "no zones/2000"),
    ],
)
def test_studies_that_cannot_be(store, options, words):
    with pytest.raises(InputError) as error:
        zones_of(store, **options)
    assert words in str(error.value)


def test_constant_feature_is_named(files, tmp_path):
    sheets = sample_sheets()
    rows = sheets["Online Data Table 8"]
    column = rows[4].index("Gini")
    for row in rows[6:]:
        row[column] = 0.4
    write_xlsx(tmp_path / "flat.xlsx", sheets)
    store = Store(str(tmp_path / "store"))
    ingest(store, "zones", workbook=str(tmp_path / "flat.xlsx"), county_zones=str(files.county_zones))
    with pytest.raises(InputError, match=r"feature 'gini_index' is constant \(0.4 in all 5 units\)"):
        zones_of(store, cohort=False)


def test_feature_missing_everywhere_is_named():
    study = Study(
        name="s",
        keys=np.array(["a", "b"], dtype=object),
        labels=np.array(["a", "b"], dtype=object),
        states=np.array(["a", "b"], dtype=object),
        features=(Feature("x", "x", "d", ""),),
        values=np.full((2, 1), np.nan),
        outcome=np.array([1.0, 2.0]),
        outcome_name="y",
        outcome_title="y",
        pairs=np.zeros((0, 2), dtype=np.int64),
    )
    with pytest.raises(InputError, match="feature 'x' is missing everywhere"):
        check_features(study)


def test_nothing_is_left_of_a_failure(files, tmp_path):
    no_crs = gpd.read_file(files.counties).set_crs(None, allow_override=True)
    no_crs.to_parquet(tmp_path / "no_crs.parquet")
    store = Store(str(tmp_path / "store"))
    with pytest.raises(GeometryError, match="no coordinate system"):
        fill(store, files, counties=str(tmp_path / "no_crs.parquet"))
    foreign = gpd.read_file(files.counties).assign(geoid=[f"7200{number}" for number in range(1, 8)])
    foreign.to_file(tmp_path / "foreign.geojson", driver="GeoJSON")
    with pytest.raises(InputError, match="no polygon is of a county of the zones"):
        fill(store, files, counties=str(tmp_path / "foreign.geojson"))
    assert contents(store) == {}


# Tracts --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def country(tmp_path_factory) -> Store:
    """Return a store with the sample country, its graph and outcomes for all but two of its tracts."""
    folder = tmp_path_factory.mktemp("country")
    store = ingest_sample(str(folder / "store"), folder)
    build_graph(store)
    keys = list(store.frame("measures/sample/2020").compute().index)
    ingest(store, "atlas", file=str(write_atlas(folder / "atlas.csv", keys[2:])), vintage="sample")
    return store


def test_tracts_join_measures_and_outcomes(country):
    study = tracts_of(country, [("sample", 2020)])
    measures = country.frame("measures/sample/2020").compute()
    outcome = country.frame("measures/opportunity_atlas/2018").compute()["kir_pooled_p25"]
    assert list(study.keys) == sorted(outcome.index)
    assert study.feature_names == tuple(measures.columns)
    np.testing.assert_array_equal(study.values, measures.loc[study.keys].to_numpy())
    np.testing.assert_array_equal(study.outcome, outcome.loc[study.keys].to_numpy())
    edges = country.frame("neighbors/sample").compute().reset_index()
    inside = edges[edges["focal"].isin(study.keys) & edges["neighbor"].isin(study.keys)]
    outside = sorted(set(edges["focal"]) - set(study.keys))
    assert outside, "tracts without an outcome"
    nodes = [*study.keys, *outside]
    found = [(nodes[one], nodes[other]) for one, other in study.pairs]
    assert sorted(found) == sorted(zip(edges["focal"], edges["neighbor"], strict=True))
    units = study.pairs[(study.pairs < len(study.keys)).all(axis=1)]
    assert len(units) == len(inside)
    # Steps of one state's tracts may lead through another's.
    one_state = tracts_of(country, [("sample", 2020)], states=["91"])
    assert len(one_state.pairs) == len(edges)


def test_tracts_of_a_definition_have_its_domains(country):
    definition = read_definition("sample")
    study = tracts_of(country, [("sample", 2020)], definition=definition, states=["91", "93"])
    assert study.feature_names == definition.measures
    assert set(study.domains) == set(definition.domains)
    assert set(study.states) == {"XA", "XC"}


def test_tracts_of_two_datasets(country, tmp_path):
    table = country.frame("measures/sample/2020").compute().iloc[:, :1]
    other = table.rename(columns={table.columns[0]: "twin"})
    other.to_csv(tmp_path / "twin.csv")
    ingest(country, "measures", file=str(tmp_path / "twin.csv"), dataset="twin", year=2020, vintage="sample")
    study = tracts_of(country, [("sample", 2020), ("twin", 2020)])
    assert study.feature_names[-1] == "twin"
    assert study.features[-1].domain == "twin"
    table.to_csv(tmp_path / "same.csv")
    ingest(country, "measures", file=str(tmp_path / "same.csv"), dataset="same", year=2020, vintage="sample")
    with pytest.raises(InputError, match="is in measures/sample/2020 and measures/same/2020"):
        tracts_of(country, [("sample", 2020), ("same", 2020)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"outcome": "kfr_pooled_p25"}, "outcome 'kfr_pooled_p25': not in measures/opportunity_atlas/2018"),
        ({"features": ["wealth"]}, "feature 'wealth': in none of the measures"),
        ({"features": ["kir_pooled_p25"]}, "the target is among the features"),
        ({"measures": []}, "measures: none named"),
        ({"measures": [("opportunity_atlas", 2018)]}, "is where the target is"),
        (
            {"measures": [("sample", 2020), ("opportunity_atlas", 2018)], "features": ["wealth"]},
            "measures/opportunity_atlas/2018 is where the target",
        ),
        ({"measures": [("sample", 1999)]}, "no measures/sample/1999"),
        ({"outcomes": ("survey", 2018)}, "no measures/survey/2018"),
    ],
)
def test_tract_studies_that_cannot_be(country, options, words):
    with pytest.raises(InputError) as error:
        tracts_of(country, options.pop("measures", [("sample", 2020)]), **options)
    assert words in str(error.value)


def test_the_target_under_another_name_is_refused(country, tmp_path):
    outcome = country.frame("measures/opportunity_atlas/2018").compute()["kir_pooled_p25"]
    for year, noise in ((1, 0.0), (2, 0.1)):
        other = 3 - 2 * outcome + noise * outcome.std() * np.random.default_rng(0).standard_normal(len(outcome))
        other.rename("copy").to_csv(tmp_path / "copy.csv")
        ingest(country, "measures", file=str(tmp_path / "copy.csv"), dataset="copy", year=2000 + year, vintage="sample")
    with pytest.raises(InputError, match=r"feature 'copy': its correlation with the target .* is -1\.0"):
        tracts_of(country, [("copy", 2001)])
    assert tracts_of(country, [("copy", 2002)]).feature_names == ("copy",)


def test_other_code_systems_are_refused(tmp_path):
    store = Store(str(tmp_path / "store"))
    new = ["09110000100", "09110000200", "39001000100", "39001000200"]
    old = ["09003000100", "09003000200", "39001000100", "39001000200"]
    pd.DataFrame({"GEOID": old, "x": [1.0, 2.0, 3.0, 4.0]}).to_csv(tmp_path / "old.csv", index=False)
    ingest(store, "measures", file=str(tmp_path / "old.csv"), dataset="m", year=2018, vintage="2010")
    ingest(store, "measures", file=str(tmp_path / "old.csv"), dataset="m", year=2021, vintage="2020")
    ingest(store, "atlas", file=str(write_atlas(tmp_path / "atlas.csv", new)))
    with pytest.raises(InputError, match=r"m/2021 is on tracts of vintage 2020, .* on those of 2010"):
        tracts_of(store, [("m", 2021)])
    with pytest.raises(InputError, match=r"no tract in common in state 09; .* 09110000100 and 09003000100"):
        tracts_of(store, [("m", 2018)])
    assert list(tracts_of(store, [("m", 2018)], states=["39"]).keys) == new[2:]


# The job -------------------------------------------------------------------------------------


def test_job_ingests_zones_and_the_atlas(job, store, files, tmp_path):
    url = str(tmp_path / "store")
    arguments = ["zones", files.workbook, "--county-zones", files.county_zones]
    arguments += ["--cohort-counts", files.counts, "--counties", files.counties, "--store", url]
    planned = job("ingest", *arguments, "--dry-run")
    assert planned.code == 0
    assert "would be in" in planned.out
    assert contents(Store(url)) == {}
    done = job("ingest", *arguments)
    assert done.code == 0, done.err
    assert "6 commuting zones are in" in done.out
    assert "4 of 6 zones" in done.out
    assert contents(Store(url), "zones") == contents(store, "zones")
    atlas = write_atlas(tmp_path / "atlas.csv", ["39001000100", "39001000200"])
    done = job("ingest", "atlas", atlas, "--store", url)
    assert done.code == 0, done.err
    assert "2 tracts in 1 state" in done.out


def test_job_says_what_is_wrong(job, files, tmp_path):
    url = str(tmp_path / "store")
    done = job("ingest", "zones", files.counts, "--county-zones", files.county_zones, "--store", url)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "counts.csv: not a workbook" in done.err
    done = job("ingest", "atlas", files.county_zones, "--store", url)
    assert done.code == 2
    assert "cz.csv: no column 'tract'" in done.err
    assert contents(Store(url)) == {}


def test_bucket_holds_the_same_bytes(store, files, bucket):
    far = Store(bucket)
    fill(far, files)
    assert contents(far, "zones") == contents(store, "zones")
    assert list(zones_of(far).keys) == list(zones_of(store).keys)
    shapes = [zones_polygons(one, one.snapshot("zones/1990")).geometry for one in (far, store)]
    assert shapes[0].geom_equals(shapes[1]).all()
