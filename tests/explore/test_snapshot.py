"""What the page shows, as a file: of tracts, of regions, with what became of a run; and choices that are not there."""

import html
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from backfill_country import QUIET, backfill_of, fill, write_definitions
from pages import data_of, json_of, lines, numbers
from stores import DEFINITION, INDEX, build_graph, build_index, ingest_sample, make

from geomob_dask.explore.geometry import units_of
from geomob_dask.outputs.provenance_files import provenance_of
from geomob_dask.products import intervals
from geomob_dask.runs.backfill.plan import Asked, plan_backfill
from geomob_dask.runs.engine import execute
from geomob_dask.runs.landing import ingest
from geomob_dask.sources.sample_survey import write_survey
from geomob_dask.store import Provenance, Store


@pytest.fixture
def store(tmp_path):
    return ingest_sample(str(tmp_path / "store"), tmp_path)


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> Store:
    """Return the country after a backfill of which one state has failed in 2020, and with it a table of all states."""
    folder = tmp_path_factory.mktemp("night")
    write_definitions(folder)
    store = fill(str(folder / "store"), folder, years=(2019, 2020), graph=False)
    plan = plan_backfill(store, backfill_of(folder, "counties", "areas"), Asked(years=(2019, 2020)))
    part = store.snapshot("measures/made/2020").parts["18"]
    Path(store.url, part.key).write_bytes(b"nothing that could be read")
    assert set(execute(store, plan, None, QUIET, retry_wait=0.01).failed) == {"counties-2020-18", "areas-2020-all"}
    return store


def test_a_choice_is_written_to_a_file_and_others_have_near_names(store, tmp_path, job) -> None:
    at = ("--store", store.url, "--states", "XA", "--snapshot")
    for name, head in (("map.html", b"<!"), ("map.png", b"\x89PNG")):
        done = job("explore", *at, str(tmp_path / name))
        assert done.code == 0, done
        assert (tmp_path / name).read_bytes()[: len(head)].lower() == head.lower()
    for option, text in (("--result", "mesures"), ("--measure", "nothing"), ("--year", "1999"), ("--states", "OH")):
        refused = job("explore", "--store", store.url, option, text, "--snapshot", str(tmp_path / "no.html"))
        assert (refused.code, option in refused.err) == (2, True), refused
    assert not (tmp_path / "no.html").exists()


def test_an_index_has_the_value_that_its_interval_lies_about(store, tmp_path, job) -> None:
    build_graph(store)
    ingest(store, "measures", file=str(write_survey(tmp_path)), dataset="survey", year=2020, vintage="sample")
    build_index(store, options=INDEX.model_copy(update={"dataset": "survey"}))
    drawn = intervals.Options(definition=DEFINITION, dataset="survey", year=2020, draws=5)
    make(store, "intervals", drawn)
    done = job("explore", "--store", store.url, "--result", "opportunity", "--snapshot", str(tmp_path / "map.html"))
    assert done.code == 0, done
    page = (tmp_path / "map.html").read_text()
    assert [one["collection"] for one in provenance_of(tmp_path / "map.html")["results"]] == [
        INDEX.model_copy(update={"dataset": "survey"}).collection(),
        drawn.collection(),
    ]
    data = data_of(page)
    keys, bounds = json_of(data["keys"]), store.frame(drawn.collection()).compute()
    own = bounds.reindex(keys)[["opportunity_lb", "opportunity_ub", "opportunity_corrected"]]
    [layer] = data["layers"]
    assert "bounds" not in layer
    notes = [layer["note"]["texts"][int(code)] for code in numbers(layer["note"]["codes"])]
    assert own["opportunity_lb"].notna().any()
    for note, low, high, middle in zip(notes, *own.to_numpy(np.float32).T.tolist(), strict=True):
        expected = "" if np.isnan(low) else f"90% interval {low:.3g} to {high:.3g}, about {middle:.3g}"
        assert note.startswith(expected), note
        assert "value as computed" not in note


def test_regions_whose_name_begins_as_another_kind_are_drawn_as_they_are(store, tmp_path, job) -> None:
    name, by = "results/segregation/two/sample/2020/county_subdivision-00000000", "county_subdivision"
    geoids = store.frame("tracts/sample", columns=["aland"]).compute().index
    rows = pd.DataFrame({"geoid": geoids, "region": np.where(np.arange(len(geoids)) % 2, "b", "a")})
    rows.to_csv(tmp_path / "regions.csv", index=False)
    ingest(store, "regions", file=str(tmp_path / "regions.csv"), name=by, vintage="sample")
    table = pd.DataFrame({"people": [3.0, 4.0], "dissimilarity": [0.25, 0.5]}, pd.Index(["a", "b"], name="region"))
    made = Provenance("segregation", {}, {"by": by, "dataset": "sample", "year": 2020})
    store.commit(name, {"all": store.put(name, "all", table)}, made, {"vintage": "sample"})
    ask = ("--result", "segregation", "--measure", "dissimilarity", "--snapshot", str(tmp_path / "map.html"))
    done = job("explore", "--store", store.url, *ask)
    assert done.code == 0, done
    data = data_of((tmp_path / "map.html").read_text())
    assert dict(zip(json_of(data["keys"]), numbers(data["layers"][0]["values"]), strict=True)) == {"a": 0.25, "b": 0.5}


def test_no_result_is_read_for_what_tracts_themselves_say(store, monkeypatch) -> None:
    tracts = store.snapshot("tracts/sample")
    geoids = store.frame(tracts, columns=["aland"]).compute().index
    monkeypatch.setattr(Store, "collections", lambda self, *rest: pytest.fail("listed the store"))
    found, lines = units_of(store, tracts, "sample", geoids, only=("tract", "state"))
    assert ([one.name for one in found], lines) == (["tract", "state"], [])


@pytest.mark.parametrize(
    ("variant", "year", "noted"),
    [("each-county-corrected-30", 2020, "each, county, corrected, 30"), ("all-area-corrected-30", 2019, "all, area")],
)
def test_regions_are_drawn_whole_with_the_values_of_the_store_and_what_became_of_the_run(
    night, variant, year, noted, tmp_path, job
) -> None:
    collection = f"results/exposure/tenure/made/{year}/{variant}"
    ask = ("--store", night.url, "--result", collection, "--year", str(year), "--measure", "renters_exposure")
    for suffix in ("html", "svg", "png"):
        done = job("explore", *ask, "--snapshot", str(tmp_path / f"map.{suffix}"))
        assert done.code == 0, done
    stored = night.frame(collection).compute()
    page = (tmp_path / "map.html").read_text()
    data = data_of(page)
    keys = json_of(data["keys"])
    assert set(keys) == set(stored.index)
    assert data["noun"] == "region"
    shown = stored["renters_exposure_corrected"].where(stored["bounds_of"] == "exposure_corrected")
    expected = shown.fillna(stored["renters_exposure"]).reindex(keys)
    np.testing.assert_allclose(numbers(data["layers"][0]["values"]), expected, rtol=1e-3)
    assert len(lines(page, "region").rings)
    text = html.unescape(re.sub("<[^>]+>", " ", re.sub("(?s)<(script|style).*?</\\1>", "", page)))
    # Text is drawn there, and said beside it.
    drawing = " ".join(re.findall("<!-- (.*?) -->", (tmp_path / "map.svg").read_text()))
    for words in (text, html.unescape(drawing)):
        words = " ".join(words.split())
        assert noted in words
        assert "backfill night: 6 of 8 outputs done, 2 failed" in words
        assert "failed: counties-2020-18" in words
    # A picture has no tooltip that could tell a reason.
    assert "tooltip" not in drawing


def test_the_command_below_a_file_makes_it_again(night, tmp_path, job, monkeypatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    first, again = tmp_path / "first.html", tmp_path / "again.html"
    asked = ("--result", "exposure/tenure/made/each-county-corrected-30", "--states", "39")
    done = job("explore", "--store", night.url, *asked, "--snapshot", str(first))
    assert done.code == 0, done
    (command,) = re.findall("python jobs/explore.py [^<]*", html.unescape(first.read_text()))
    words = [str(again) if word == "FILE" else word for word in shlex.split(command)]
    done = job("explore", *words[2:], "--store", night.url)
    assert done.code == 0, done
    assert again.read_bytes() == first.read_bytes()
