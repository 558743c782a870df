"""What flags and metadata show to be wrong is refused before anything is computed, by every job."""

from pathlib import Path

import pandas as pd
import pytest
from income_country import counts, fill, geoids
from stores import contents, ingest_sample

from geomob_dask.runs.landing import ingest
from geomob_dask.sources.sample import write_sample
from geomob_dask.store import Store

MADE = ("--dataset", "made", "--year", 2020)
SHARES = (*MADE, "--by", "area", "--groups", "owners,renters")
INDEX = ("--definition", "index.yaml", "--dataset", "made", "--year", 2020)
MIXING = (*MADE, "--by", "area", "--brackets", "deciles")
DEFINITION = """
name: small
population: owners
domains: {low: [{measure: decile_1}], high: [{measure: decile_9, direction: -1}]}
"""


def add_outcomes(store: Store, folder: Path) -> None:
    """Ingest outcomes of one state, one of them text, and measures of a vintage without polygons."""
    keys = [key for key in geoids(12) if key[:2] == "17"]
    table = pd.DataFrame({"GEOID": keys, "outcome": range(len(keys)), "word": "high"})
    table.to_csv(folder / "outcomes.csv", index=False)
    ingest(
        store,
        "measures",
        file=str(folder / "outcomes.csv"),
        dataset="atlas",
        year=2018,
        vintage="toy",
        columns=["outcome", "word"],
    )
    ingest(
        store,
        "measures",
        file=str(folder / "counts_2020.parquet"),
        dataset="bare",
        year=2020,
        vintage="bare",
        columns=list(counts(2).columns),
    )


@pytest.fixture(scope="module")
def country(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("files")
    store = fill(str(tmp_path_factory.mktemp("store")), folder)
    add_outcomes(store, folder)
    return store


@pytest.fixture
def refused(job, country, tmp_path, monkeypatch):
    """Run a job; return its message after checking that it ended with 2 and computed nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    (tmp_path / "index.yaml").write_text(DEFINITION)
    (tmp_path / "folder.csv").mkdir()
    before = contents(country)

    def run(name: str, *arguments: object) -> str:
        done = job(name, *arguments, "--store", country.url)
        assert done.code == 2, done
        assert contents(country) == before, "nothing was computed"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.csv", "index.yaml"], "nothing was written"
        return str(done.err)

    return run


WRONG = {
    "no dataset": ("opportunity", (*INDEX, "--against", "atlaz:2018"), ["--against atlaz:2018", "atlas"]),
    "no year": ("opportunity", (*INDEX, "--against", "atlas:2017"), ["--against atlas:2017", "2018"]),
    "no column": ("opportunity", (*INDEX, "--against", "atlas:2018:kfr"), ["--against atlas:2018", "kfr", "outcome"]),
    "column of text": ("opportunity", (*INDEX, "--against", "atlas:2018:word"), ["--against", "word", "numbers"]),
    "no common state": (
        "opportunity",
        (*INDEX, "--states", "18", "--against", "atlas:2018"),
        ["--against atlas:2018", "17", "18"],
    ),
    "no form": ("opportunity", (*INDEX, "--against", "atlas"), ["--against 'atlas'", "DATASET:YEAR"]),
    "validation on a map": ("opportunity", (*INDEX, "--validation", "v.gpkg"), ["--validation v.gpkg", ".csv"]),
    "map that is no page": ("opportunity", (*INDEX, "--map", "map.pdf"), ["--map map.pdf", ".html", ".png"]),
    "text of no kind": ("opportunity", (*INDEX, "--csv-text", "odd"), ["--csv-text odd", "safe", "plain"]),
    "a folder": ("opportunity", (*INDEX, "--export", "folder.csv"), ["--export folder.csv", "folder"]),
    "export of regions": ("segregation", (*SHARES, "--export", "s.gpkg"), ["--export s.gpkg", ".csv"]),
    "report to nowhere": ("segregation", (*SHARES, "--report", "no/s.html"), ["--report no/s.html"]),
    "local that is no table": ("segregation", (*SHARES, "--local", "s.xlsx"), ["--local s.xlsx", ".gpkg"]),
    "local without polygons": (
        "segregation",
        ("--dataset", "bare", *SHARES[2:], "--local", "s.gpkg"),
        ["--local s.gpkg", "vintage bare"],
    ),
    "map without polygons": (
        "mixing",
        ("--dataset", "bare", *MIXING[2:], "--map", "m.html"),
        ["--map m.html", "vintage bare"],
    ),
    "export without polygons": (
        "location_quotients",
        ("--dataset", "bare", *SHARES[2:], "--export", "q.geojson"),
        ["--export q.geojson", "vintage bare", "jobs/ingest.py tracts"],
    ),
    "no such region": ("mixing", (*MIXING, "--regions", "west,nope"), ["--regions nope,west", "east"]),
    "no such county": (
        "segregation",
        (*MADE, "--by", "county", "--groups", "owners,renters", "--regions", "17001,99999"),
        ["99999", "17001", "18001"],
    ),
    "edges on a map": ("neighbors", ("--vintage", "toy", "--export", "e.gpkg"), ["--export e.gpkg", ".parquet"]),
    "edges of no kind": ("neighbors", ("--vintage", "toy", "--contiguity", "king"), ["--contiguity king", "rook"]),
    "edges of no state": ("neighbors", ("--vintage", "toy", "--states", "55"), ["--states 55", "17"]),
    "measures on a map": (
        "ingest",
        ("measures", "index.yaml", "--dataset", "n", "--year", 2020, "--vintage", "toy", "--export", "n.gpkg"),
        ["--export n.gpkg", ".parquet"],
    ),
    "mode by its flag": (
        "exposure",
        (*MADE, "--by", "county", "--as", "published-1999"),
        ["--as published-1999", "published-2023"],
    ),
    "joined without polygons": (
        "ingest",
        ("join", "bare", "bore", "--as", "both", "--year", 2020, "--export", "b.gpkg"),
        ["bore"],
    ),
    "a model trains nothing": (
        "mobility",
        ("--with-model", "m.model", "--apply", "made:2020", "--report", "r.html"),
        ["--report r.html", "--with-model"],
    ),
}


@pytest.mark.parametrize(("name", "arguments", "words"), WRONG.values(), ids=WRONG)
def test_nothing_is_computed_for_a_flag_that_is_wrong(refused, name, arguments, words):
    message = refused(name, *arguments)
    assert all(word in message for word in words), message


def test_a_dry_run_refuses_what_the_run_would(refused):
    assert "--against atlas:1999" in refused("opportunity", *INDEX, "--against", "atlas:1999", "--dry-run")


def test_a_tag_that_is_taken_is_refused_before_the_cube_is_written(job, country, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    write = ("write", "counts", "--results", "measures/made/{year}", "--years", "2020", "--store", country.url)
    assert job("cube", *write, "--tag", "first").code == 0
    again = job("cube", *write, "--tag", "first", "--dry-run")
    assert (again.code, "'first'" in again.err) == (2, True), again
    assert job("cube", *write, "--tag", "a/b", "--dry-run").code == 2


@pytest.mark.parametrize("flag", ["--year", "--years"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("opportunity", INDEX[:4]), ("mixing", MIXING[:2]), ("ingest", ("join", "one", "two", "--as", "both"))],
)
def test_the_flag_that_was_typed_is_named(job, tmp_path, monkeypatch, flag, name, arguments):
    monkeypatch.chdir(tmp_path)
    for typed in ((flag, "foo"), (f"{flag}=foo",)):
        done = job(name, *arguments, *typed, "--store", "store")
        assert (done.code, done.err.split(":")[0], f"{flag} foo" in done.err) == (2, "error", True), done


def test_years_of_an_option_and_of_a_file_are_read_by_one_parser(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = job("cube", "write", "one", "--results", "measures/a/{year}", "--years", "20x8", "--store", "store")
    assert done.code == 2
    assert all(word in done.err for word in ("--years", "'20x8'", "2009-2023"))
    product = "{job: mixing, dataset: made, brackets: deciles, by: county}"
    Path("night.yaml").write_text(f"name: night\nyears: 2009-2005\nproducts:\n  mixed: {product}\n")
    done = job("backfill", "night.yaml", "--store", "store")
    assert done.code == 2
    assert all(word in done.err for word in ("night.yaml", "years", "'2009-2005'"))
    assert "--years" not in done.err


def test_every_year_has_a_map_and_a_table_of_its_own(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    file = write_sample(str(tmp_path)).measures
    ingest(store, "measures", file=str(file), dataset="sample", year=2021, vintage="sample")
    assert job("neighbors", "--vintage", "sample", "--store", store.url).code == 0
    done = job(
        *("opportunity", "--definition", "sample", "--dataset", "sample", "--year", "2020-2021"),
        *("--map", "map.html", "--validation", "table.csv", "--store", store.url),
    )
    assert done.code == 0, done.err
    assert {path.name for path in tmp_path.glob("*-2021*")} == {
        "map-2021.html",
        "table-2021.csv",
        "table-2021.csv-metadata.json",
    }
    for year in (2020, 2021):
        assert f"sample {year}, 6 states, tracts of vintage sample" in Path(f"map-{year}.html").read_text(
            encoding="utf-8"
        )
        assert set(pd.read_csv(f"table-{year}.csv")["kind"]) == {"domain", "in common"}
        assert f"wrote map-{year}.html" in done.out
    assert not Path("map.html").exists()
