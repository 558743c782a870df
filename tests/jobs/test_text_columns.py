"""Every job on a dataset with columns of text: its numbers are those without them, and its regions those of a key."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from stores import build_graph

from geomob_dask.runs.landing import ingest
from geomob_dask.store import Store
from geomob_dask.store.cubes import open_cube

STATES, COUNTIES, TRACTS, SIDE = ("17", "18", "39"), ("001", "003"), 15, 1500.0
KEYS = [
    f"{state}{county}{number:06d}"
    for state in STATES
    for county in COUNTIES
    for number in range(100100, 100100 + TRACTS)
]
COUNTS = ("owners", "renters", "people")
NUMBERS = [*(f"{name}_count" for name in COUNTS), *(f"{name}_moe" for name in COUNTS), "rent", "age"]
# A region's name, one that is missing here and there, codes, and text that one state has none of.
TEXTS = ["area", "ward", "code", "note"]
FILES = {
    "tenure.yaml": "name: tenure\ntitle: Tenure\nsubgroup_type: tenure\neditions:\n"
    "  - total: [people_count, people_moe]\n    groups:\n"
    "      - {name: owners, label: Owners, parts: [[owners_count, owners_moe]]}\n"
    "      - {name: renters, label: Renters, parts: [[renters_count, renters_moe]]}\n",
    "index.yaml": "name: index\npopulation: people_count\ndomains:\n  one: [{measure: rent}, {measure: age}]\n",
    "brackets.yaml": "name: brackets\ntitle: Tenure\nbrackets:\n"
    "  - {column: owners_count, moe: owners_moe, from: 0, to: 10}\n"
    "  - {column: renters_count, moe: renters_moe, from: 10, to: 20}\n",
    "kinds.yaml": "rent: index\nage: index\n",
}


def numbers() -> pd.DataFrame:
    draws = np.random.default_rng(4)
    owners, renters = draws.integers(1, 90, (2, len(KEYS)))
    counts, others = (owners, renters, owners + renters), draws.uniform(1, 9, (len(COUNTS) + 2, len(KEYS)))
    table = pd.DataFrame(dict(zip(NUMBERS, [*counts, *others], strict=True)), index=pd.Index(KEYS, name="GEOID"))
    table.loc[KEYS[4], "rent"] = np.nan
    return table


def texts() -> pd.DataFrame:
    keys = pd.Series(KEYS, index=pd.Index(KEYS, name="GEOID"))
    columns = {
        "area": "County " + keys.str[:5],
        "ward": np.where(keys.str[-1] == "0", "", "Ward " + keys.str[-1]),
        "code": "0" + keys.str[2:5],
        "note": np.where(keys.str[:2] == "39", "", "Cañon, “Ward”"),
    }
    return pd.DataFrame(columns, index=keys.index)


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store with dataset `plain` (numbers) and `mixed` (text too)."""
    folder = tmp_path_factory.mktemp("country")
    store = Store(str(folder / "store"))
    places = [(SIDE * (number % 9), SIDE * (number // 9)) for number in range(len(KEYS))]
    boxes = [shapely.box(x, y, x + SIDE, y + SIDE) for x, y in places]
    gpd.GeoDataFrame({"GEOID": KEYS}, geometry=boxes, crs="EPSG:5070").to_parquet(folder / "tracts.parquet")
    ingest(store, "tracts", files=[str(folder / "tracts.parquet")], vintage="2010")
    build_graph(store, vintage="2010")
    for name, table in (("plain", numbers()), ("mixed", texts().join(numbers()))):
        table.to_csv(folder / f"{name}.csv", encoding="utf-8")
        ingest(store, "measures", file=str(folder / f"{name}.csv"), dataset=name, year=2018, vintage="2010")
    return store


@pytest.fixture
def run(country, tmp_path, monkeypatch, job):
    """Return how to run a job that must succeed on that store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOB_STORE", country.url)
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    for name, text in FILES.items():
        Path(name).write_text(text)

    def succeed(line: str) -> str:
        done = job(*line.split())
        assert done.code == 0, f"{line}: {done.err}"
        return done.out

    return succeed


def stored(store: Store, collection: str) -> pd.DataFrame:
    return store.frame(collection).compute(scheduler="synchronous")


def test_text_stays_text_in_the_store(country) -> None:
    found = stored(country, "measures/mixed/2018")
    pd.testing.assert_frame_equal(found[TEXTS].fillna(""), texts()[TEXTS], check_names=False)
    np.testing.assert_array_equal(found[NUMBERS], numbers()[NUMBERS])


def test_a_cube_has_the_same_measures(country, run) -> None:
    for name in ("plain", "mixed"):
        run(f"cube write {name} --results measures/{name}/{{year}} --years 2018")
        run(f"cube export {name} {name}_cube.csv")
        run(f"cube export {name} {name}_cube.parquet")
    plain, mixed = (open_cube(country, name).load().sel(year=2018) for name in ("plain", "mixed"))
    estimates = [name for name in NUMBERS if not name.endswith("_moe")]
    assert sorted(plain["measure"].values) == sorted(estimates)
    assert set(mixed["measure"].values) >= set(estimates)
    for name in ("estimate", "moe"):
        np.testing.assert_array_equal(mixed[name].sel(measure=estimates), plain[name].sel(measure=estimates))
    wide = pd.read_parquet("mixed_cube.parquet")
    for name in TEXTS:
        assert mixed[name].to_numpy().tolist() == texts()[name].tolist()
        assert wide[name].fillna("").tolist() == texts()[name].tolist()
    np.testing.assert_array_equal(wide[NUMBERS[:6]], pd.read_parquet("plain_cube.parquet")[NUMBERS[:6]])


@pytest.mark.parametrize(
    "line",
    [
        "exposure --groups tenure.yaml --interactions {out}_pairs.csv --report {out}.html --map {out}_map.html",
        "segregation --groups owners_count,renters_count --indices dissimilarity,spatial_information_theory",
        "mixing --brackets brackets.yaml",
    ],
)
def test_regions_of_a_column_are_those_of_the_key(run, line) -> None:
    job, *more = line.split()
    tables = {}
    for by, dataset in (("area", "mixed"), ("county", "mixed"), ("county", "plain")):
        out = f"{by}_{dataset}"
        options = " ".join(more).replace("{out}", out)
        run(f"{job} --dataset {dataset} --year 2018 --by {by} {options} --export {out}.csv")
        tables[out] = pd.read_csv(f"{out}.csv", dtype={"region": str, "county": str, "area": str})
    names = ["region", "region_name", "county", "area"]
    values = {out: table.drop(columns=names, errors="ignore") for out, table in tables.items()}
    for other in ("area_mixed", "county_mixed"):
        pd.testing.assert_frame_equal(values[other], values["county_plain"])
    assert "County 17003" in tables["area_mixed"].iloc[:, :2].to_numpy()


def test_tracts_without_text_are_in_no_region(run) -> None:
    for job in ("exposure --groups tenure.yaml", "segregation --groups owners_count,renters_count"):
        for by, regions, tracts in (("ward", 9, 78), ("note", 1, 60)):
            run(f"{job} --dataset mixed --year 2018 --by {by} --export {by}.csv")
            found = pd.read_csv(f"{by}.csv")
            counted = found["tracts" if "tracts" in found else "units"]
            assert (len(found), counted.sum()) == (regions, tracts)


def test_an_index_and_its_validation_have_the_same_scores(run) -> None:
    for name in ("plain", "mixed"):
        run(
            f"opportunity --dataset {name} --year 2018 --definition index.yaml --export {name}.csv "
            f"--validation {name}_validation.csv --against {name}:2018:people_count --map {name}.html"
        )
    pd.testing.assert_frame_equal(pd.read_csv("mixed.csv"), pd.read_csv("plain.csv"))


def test_joined_text_keeps_its_tracts(country, run) -> None:
    (texts() + " again").add_suffix("_other").join(numbers()["age"].rename("years")).iloc[30:].to_csv("other.csv")
    run("ingest measures other.csv --dataset other --year 2018 --vintage 2010")
    run("ingest join mixed other --as both --years 2018")
    found = stored(country, "measures/both/2018")
    assert found["area_other"].isna().sum() == 30
    assert found["area_other"].iloc[30] == "County 18001 again"
    run("exposure --dataset both --year 2018 --by area_other --groups tenure.yaml --export joined.csv")
    assert pd.read_csv("joined.csv")["tracts"].sum() == 60


def test_harmonized_text_stays_with_its_tract(country, run) -> None:
    links = [f"{key},{key},1" for key in KEYS]
    Path("crosswalk.csv").write_text("\n".join(["source,target,weight", *links]))
    for name in ("plain", "mixed"):
        run(
            f"harmonize --dataset {name} --years 2018 --to 2020 --kinds kinds.yaml --crosswalk crosswalk.csv "
            f"--as {name}_2020 --export {name}.csv"
        )
    found = stored(country, "measures/mixed_2020/2018")
    pd.testing.assert_frame_equal(found[NUMBERS], stored(country, "measures/plain_2020/2018")[NUMBERS])
    pd.testing.assert_frame_equal(found[TEXTS], stored(country, "measures/mixed/2018")[TEXTS])


def test_a_study_of_tracts_has_the_same_features(run) -> None:
    columns = [pd.Series(KEYS).str[:2], pd.Series(KEYS).str[2:5], pd.Series(KEYS).str[5:]]
    atlas = pd.DataFrame(dict(zip(("state", "county", "tract"), columns, strict=True))).astype(int)
    atlas["kir_pooled_p25"] = numbers()["age"].to_numpy() + numbers()["people_moe"].to_numpy() + 30
    atlas.to_csv("atlas.csv", index=False)
    run("ingest atlas atlas.csv")
    for name in ("plain", "mixed"):
        run(
            f"mobility --study tracts --measures {name}:2018 --grid small --folds states:3 --repeats 1 "
            f"--model elastic_net --apply {name}:2018 --export {name}.csv --report {name}.html"
        )
    pd.testing.assert_frame_equal(pd.read_csv("mixed.csv"), pd.read_csv("plain.csv"))
