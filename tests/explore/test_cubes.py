"""Cubes on the page: of which results each is another form, whether it has what they have now, and how it is opened."""

import json
import shutil
from pathlib import Path

import pytest
from cube_results import PRODUCT, put_year, write_cube
from stores import ingest_sample

import geomob_dask
from geomob_dask.explore import results
from geomob_dask.explore.serving import Explorer, Request
from geomob_dask.store import Store

ENTRY = f"{PRODUCT}/{{year}}/all-selected"
YEARS = (2019, 2020, 2021)


def listed(store: Store) -> dict[str, dict]:
    """Return the cubes that the page lists, by name, as a page that has just been opened."""
    explorer = Explorer(None)
    explorer.add_store(store.url)
    answer = results.cubes(Request(explorer, (), {}))
    return {one["name"]: one for one in json.loads(answer.plain())["cubes"]}


@pytest.fixture
def store(tmp_path) -> Store:
    """Return three years of results, and a cube of them."""
    store = Store(str(tmp_path / "store"))
    write_cube(store, "all", {year: put_year(store, year) for year in YEARS})
    return store


def standings(cube: dict) -> dict[int, tuple[str, str]]:
    return {one["year"]: (one["entry"], one["standing"]) for one in cube["of"]}


def test_a_cube_is_listed_with_its_axes_and_the_results_that_it_is_a_form_of(store) -> None:
    cube = listed(store)["all"]
    assert standings(cube) == dict.fromkeys(YEARS, (ENTRY, "same"))
    assert (cube["vintage"], cube["geometry"]) == ("2010", "tracts/2010")
    opened = eval(cube["open"], {"geomob_dask": geomob_dask})
    assert cube["axes"] == {name: opened.sizes[name] for name in ("year", "tract", "measure")}
    assert set(cube["variables"]) <= set(opened.data_vars)
    assert [one["id"] for one in cube["measures"]] == opened.measure.to_numpy().tolist()
    assert {one["id"]: one["unit"] for one in cube["measures"]}["rent_usd_2023"] == "USD"
    assert cube["version"] == opened.attrs["version"]


def test_what_was_computed_again_or_removed_since_is_said(store) -> None:
    put_year(store, 2020, seed=1)
    shutil.rmtree(Path(store.url, PRODUCT, "2019"))
    assert standings(listed(store)["all"]) == {2019: ("", "gone"), 2020: (ENTRY, "older"), 2021: (ENTRY, "same")}
    write_cube(store, "all", {2020: ENTRY.replace("{year}", "2020")})
    assert standings(listed(store)["all"])[2020] == (ENTRY, "same")


def test_a_cube_that_cannot_be_read_is_a_sentence_and_hides_no_other(store) -> None:
    for name in ("broken", "<img src=x onerror=alert(1)>"):
        Path(store.url, "cubes", name).mkdir()
    for path in Path(store.url, "cubes", "all").rglob("*"):
        if path.is_file():
            copy = Path(store.url, "cubes", "spoiled", path.relative_to(Path(store.url, "cubes", "all")))
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(b"nothing that could be read")
    found = listed(store)
    assert standings(found["all"]) == dict.fromkeys(YEARS, (ENTRY, "same"))
    assert (
        {name for name, one in found.items() if "problem" in one}
        == set(found) - {"all"}
        == {
            "broken",
            "spoiled",
            "<img src=x onerror=alert(1)>",
        }
    )


def test_a_store_without_cubes_has_none(tmp_path) -> None:
    assert listed(ingest_sample(str(tmp_path / "store"), tmp_path)) == {}
