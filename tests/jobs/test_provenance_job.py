"""Every file that a job exports tells what it was made from: results, choices, inputs; one choice tells files apart."""

import hashlib
import json
import runpy
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
from golden.commands import SUITES
from golden.definitions import FILES

from geomob_dask import Store, activity, provenance_of
from geomob_dask.outputs import provenance_files
from geomob_dask.store.provenance import canonical_json, sha256

TESTS = Path(__file__).parents[1]
JOBS = TESTS.parent / "jobs"
MADE = "--dataset made --year 2020"
INDEX = f"opportunity {MADE} --definition each.yaml"
EXPOSURE = f"exposure {MADE} --by county --groups tenure.yaml"
MIXING = f"mixing {MADE} --by county --brackets deciles"
APART = f"segregation {MADE} --by county --groups owners,renters --indices dissimilarity"
QUOTIENTS = f"location_quotients {MADE} --by county --groups owners,renters"
HARMONIZE = (
    "harmonize --dataset mine --years 2018 --to 2020 --kinds kinds.yaml --medians missing --crosswalk crosswalk.csv"
)
INGEST = "ingest measures mine.csv --dataset mine --year 2018 --vintage 2010"
ZONES = "mobility --study zones --model logistic --folds stratified:2 --repeats 1 --grid small --features"
STUDY = f"{ZONES} single_mothers_share,married_share"
CHANGE = "cube change index --measure opportunity --years 2020,2021"
FILL = [
    *(SUITES["made"][label] for label in ("ingest 2020", "ingest 2021", "ingest tracts")),
    SUITES["harmonize"]["ingest"],
    SUITES["mobility"]["zones"],
    "neighbors --vintage toy",
    "opportunity --dataset made --year 2020-2021 --definition each.yaml",
    "cube write index --results results/opportunity/each/made/{year}/all-selected --years 2020,2021",
    STUDY,
]
# A command, the flag (or argument) that asks for a file, suffixes, and what the first result says.
SAYS = {"dataset": "made", "year": 2020, "vintage": "toy"}
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("neighbors --vintage toy", "--export", ".csv .csv.gz .parquet", {"product": "neighbors", "vintage": "toy"}),
    (INDEX, "--export", ".csv .csv.gz .parquet .gpkg .geojson", {**SAYS, "product": "opportunity", "norm": "selected"}),
    (f"{INDEX} --norm state", "--map", ".html", {**SAYS, "product": "opportunity", "norm": "state"}),
    (f"{INDEX} --against made:2021:owners", "--validation", ".csv .parquet", {**SAYS, "norm": "selected"}),
    (EXPOSURE, "--export", ".csv .parquet", {**SAYS, "product": "exposure", "by": "county"}),
    (f"{EXPOSURE} --as published", "--long", ".csv", {**SAYS, "product": "exposure", "mode": "published"}),
    (EXPOSURE, "--interactions", ".parquet", {**SAYS, "product": "exposure", "mode": "corrected"}),
    (EXPOSURE, "--report", ".html", {**SAYS, "product": "exposure", "mode": "corrected"}),
    (EXPOSURE, "--map", ".html", {**SAYS, "product": "exposure", "mode": "corrected"}),
    (MIXING, "--export", ".csv .parquet .gpkg .geojson", {**SAYS, "product": "mixing", "by": "county"}),
    (MIXING, "--map", ".html", {**SAYS, "product": "mixing"}),
    (MIXING, "--report", ".html", {**SAYS, "product": "mixing"}),
    (f"{APART} --draws 4 --seed 3", "--export", ".csv .parquet", {**SAYS, "draws": 4, "seed": 3}),
    (f"{APART} --draws 4 --null persons", "--report", ".html", {**SAYS, "product": "segregation", "null": "persons"}),
    (APART, "--local", ".csv .gpkg .geojson", {**SAYS, "product": "segregation", "draws": 0}),
    (QUOTIENTS, "--export", ".csv .parquet .gpkg .geojson", {**SAYS, "product": "location_quotients"}),
    (
        HARMONIZE,
        "--export",
        ".csv .parquet",
        {"product": "harmonize", "vintage": "2020"},
    ),
    (STUDY, "--export", ".csv .parquet .geojson", {"product": "mobility", "seed": 0}),
    (STUDY, "--report", ".html", {"product": "mobility", "seed": 0}),
    (STUDY, "--map", ".html", {"product": "mobility", "seed": 0}),
    ("cube export index", "", ".csv .csv.gz .parquet", {**SAYS, "product": "opportunity"}),
    (CHANGE, "--export", ".csv .parquet .gpkg .geojson", {**SAYS, "product": "opportunity"}),
    (CHANGE, "--map", ".html", {**SAYS, "product": "opportunity"}),
    ("cube series index --measure opportunity", "--page", ".html", {**SAYS, "product": "opportunity"}),
    (
        INGEST,
        "--export",
        ".csv .parquet",
        {"vintage": "2010"},
    ),
    ("ingest tracts made_tracts.geojson --vintage toy --crs EPSG:5070", "--export", ".gpkg .geojson", {}),
]
EVERY = [(command, flag, suffix, says) for command, flag, suffixes, says in CASES for suffix in suffixes.split()]


def run(command: str) -> None:
    """Run a job as a shell would."""
    name, *arguments = shlex.split(command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"jobs/{name}.py", *arguments])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(JOBS / f"{name}.py"), run_name="__main__")
    assert not end.value.code, command


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store with data of every job; the working folder has their files."""
    folder = tmp_path_factory.mktemp("jo_home")
    shutil.copytree(TESTS / "golden" / "data", folder, dirs_exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GEOMOB_STORE", str(folder / "store"))
        patch.setenv("GEOMOB_CLUSTER", "serial")
        for command in FILL:
            run(command)
        yield Store(str(folder / "store"))


def exported(command: str, flag: str, file: str) -> dict[str, Any]:
    """Return the provenance of a file that a command has written."""
    run(f"{command} {flag} {file}")
    return provenance_of(file)


@pytest.mark.parametrize(("command", "flag", "suffix", "says"), EVERY, ids=lambda value: str(value)[:24])
def test_every_file_of_every_job_tells_what_it_is_made_from(
    country: Store, command: str, flag: str, suffix: str, says: dict[str, Any]
) -> None:
    found = exported(command, flag, f"t{suffix}")
    first = found["results"][0]
    assert {name: first.get(name) for name in says} == says
    assert flag in found["option"]
    assert found["written_by"].startswith("geomob-dask ")
    for result in found["results"]:
        snapshot = country.snapshot(result["collection"])
        parts = {name: part.sha256 for name, part in snapshot.parts.items() if name in result["parts"]}
        assert all(parts[name].startswith(checksum) for name, checksum in result["parts"].items())
        assert result["versions"]["geomob-dask"]
        assert isinstance(result["options"], dict)
        for name, one in result["runs"].items():
            recorded = snapshot.runs[name]
            assert one["inputs"] == recorded["inputs"]
            assert one["inputs"]
        whole = recorded["options"].get("definition")
        assert isinstance(whole, dict) or result["product"] != "opportunity"
        if isinstance(whole, dict):
            assert result["definition"] == {"name": whole["name"], "sha256": sha256(canonical_json(whole))}
    told = json.dumps(found)
    assert "jo_home" not in told, "no folder of the user"


def test_geometry_and_rows_are_read_as_before(country: Store) -> None:
    for suffix in (".gpkg", ".geojson"):
        run(f"{INDEX} --export g{suffix}")
        frame = gpd.read_file(f"g{suffix}")
        assert frame.crs.to_epsg() == 5070
        assert frame.geometry.notna().all()
    run(f"{INDEX} --export g.parquet")
    assert len(pd.read_parquet("g.parquet")) == len(frame)
    run("cube export index g.parquet")
    assert gpd.read_parquet("g.parquet").crs.to_epsg() == 5070


APART_BY_ONE: list[tuple[str, str, str, str]] = [
    (f"{INDEX} --norm selected", f"{INDEX} --norm state", "--export", "norm"),
    (f"{APART} --draws 4 --seed 1", f"{APART} --draws 4 --seed 2", "--export", "seed"),
    (f"{APART} --draws 4 --interval persons", f"{APART} --draws 4 --interval units", "--report", "interval"),
    (f"{EXPOSURE} --as corrected", f"{EXPOSURE} --as published", "--report", "mode"),
    (f"{INDEX} --year 2020", f"{INDEX} --year 2021", "--map", "year"),
    (INDEX, INDEX.replace("each.yaml", "nation.yaml"), "--export", "definition.name"),
    ("neighbors --vintage toy", "neighbors --vintage toy --contiguity rook", "--export", "choices.contiguity"),
    (CHANGE, f"{CHANGE} --period 5", "--map", "choices.period"),
]


@pytest.mark.parametrize(("one", "other", "flag", "choice"), APART_BY_ONE, ids=[case[3] for case in APART_BY_ONE])
def test_two_files_that_differ_in_one_choice_are_told_apart(
    country: Store, job: Callable, one: str, other: str, flag: str, choice: str
) -> None:
    suffix = ".parquet" if flag == "--export" else ".html"
    found = [exported(command, flag, f"{place}{suffix}") for place, command in enumerate((one, other))]
    assert found[0] != found[1]
    done = job("store", "provenance", f"0{suffix}", f"1{suffix}")
    assert done.code == 0, done.err
    differing = {line.partition(": ")[0].removeprefix("results.1.") for line in done.out.splitlines()}
    assert {choice, f"options.{choice}"} & differing
    same = job("store", "provenance", f"0{suffix}", f"0{suffix}")
    assert same.out.strip() == "no difference"


def test_the_files_behind_the_inputs_are_told_while_the_store_still_has_them(country: Store) -> None:
    def checksum(file: str) -> dict[str, str]:
        return {file: hashlib.sha256(Path(file).read_bytes()).hexdigest()}

    sources = exported(f"{INDEX} --states 17,18", "--export", "s.parquet")["sources"]
    assert sources["measures/made/2020"] == checksum("made_2020.csv")
    assert sources["tracts/toy"] == checksum("made_tracts.geojson")
    assert sources["neighbors/toy"].keys() == {"tracts/toy"}
    assert exported("cube export index", "", "s.csv")["sources"]["measures/made/2021"] == checksum("made_2021.csv")


def test_draws_of_an_index_are_results_of_their_own(country: Store) -> None:
    found = exported(f"opportunity {MADE} --definition nation.yaml --draws 3 --seed 7", "--export", "d.parquet")
    assert [(one["product"], one.get("draws"), one.get("seed")) for one in found["results"]] == [
        ("opportunity", None, None),
        ("intervals", 3, 7),
    ]


def test_what_is_correlated_with_is_an_input_of_the_table_alone(country: Store) -> None:
    found = exported(f"{INDEX} --against made:2021:owners", "--validation", "v.csv")
    assert found["choices"]["against"] == ["made:2021:owners"]
    assert found["inputs"] == {"measures/made/2021": country.snapshot("measures/made/2021").checksum()}
    assert "inputs" not in exported(INDEX, "--export", "v.csv")


def test_the_command_prints_words_and_json(country: Store, job: Callable) -> None:
    run(f"{INDEX} --export w.csv")
    done = job("store", "provenance", "w.csv")
    assert done.code == 0, done.err
    assert "Opportunity index: dataset made, year 2020, tracts of vintage toy, definition each (checksum" in done.out
    assert "norm selected" in done.out
    assert json.loads(job("store", "provenance", "w.csv", "--json").out) == provenance_of("w.csv")
    absent = job("store", "provenance", "absent.csv")
    assert (absent.code, absent.err.count("\n")) == (2, 1)


def test_nothing_but_json_is_printed_while_it_takes_long(
    country: Store, job: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(f"{INDEX} --export w.csv")
    told: list[str] = []

    def late(file: str) -> dict[str, Any]:
        with activity.heard(told.append, every=0.05):
            time.sleep(1)
        return provenance_of(file)

    monkeypatch.setattr(provenance_files, "provenance_of", late)
    assert job("store", "provenance", "w.csv").code == 0
    assert set(told) == {"working"}
    told.clear()
    assert json.loads(job("store", "provenance", "w.csv", "--json").out) == provenance_of("w.csv")
    assert told == []


def test_a_cube_whose_collections_have_moved_on_tells_of_the_runs_it_holds(
    country: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(shutil.copytree(country.url, tmp_path / "store")))
    monkeypatch.setenv("GEOMOB_STORE", store.url)
    held = exported("cube export index", "", "before.parquet")["results"]
    columns = SUITES["made"]["ingest 2020"].rpartition(" ")[2]
    run(f"ingest measures made_2021.csv --dataset made --year 2020 --vintage toy --columns {columns}")
    run(INDEX)
    collection = "results/opportunity/each/made/2020/all-selected"
    assert not store.snapshot(collection).runs.keys() & held[0]["runs"].keys()
    after = exported("cube export index", "", "after.parquet")
    assert after["results"] == held
    assert after["sources"].keys() == {"measures/made/2021", "neighbors/toy", "tracts/toy"}, "2020 is of another file"
    *old, _ = sorted(Path(store.url, collection, "_snapshots").glob("*.json"))
    for file in old:
        file.unlink()
    gone = exported("cube export index", "", "gone.csv")["results"]
    assert gone[0]["norm"] == gone[0]["options"] == "not recorded"
    assert gone[0]["parts"] == held[0]["parts"]
    assert gone[1] == held[1]
