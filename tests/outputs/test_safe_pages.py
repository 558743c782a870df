"""Text of data is text on every page and map: it adds no element, ends no script, and no browser runs it."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from browser import PHONE, There, Visit, overflow
from pages import NASTY, Elements, json_scripts, seen_in, structure

from geomob_dask.definition import read_definition
from geomob_dask.frames.exposure_tables import overlap_summary
from geomob_dask.frames.tract_precision import ALL_MARGINS, DETAILED, USED
from geomob_dask.models.model_card import markdown_table as table_of
from geomob_dask.outputs import change_maps
from geomob_dask.outputs.exposure_map import exposure_map
from geomob_dask.outputs.exposure_report import report_page as exposure_report
from geomob_dask.outputs.mixing_figures import figure_sections
from geomob_dask.outputs.mixing_map import map_sections
from geomob_dask.outputs.mixing_report import means_section, spread_section
from geomob_dask.outputs.mobility_map import actual_and_predicted
from geomob_dask.outputs.mobility_report import card_html
from geomob_dask.outputs.opportunity_map import opportunity_map
from geomob_dask.outputs.page import Section, report, sortable, write_page
from geomob_dask.outputs.provenance import harmless, record, result_record
from geomob_dask.outputs.segregation_report import report_page as segregation_report
from geomob_dask.store import Part, Snapshot, Store
from geomob_dask.store.plotting import EXTRA, explored

KEYS = ["39001000100", "39001000200", "39003000100"]


def boxes(keys=KEYS) -> gpd.GeoDataFrame:
    shapes = [shapely.box(1000 * k, 0, 1000 * (k + 1), 1000) for k in range(len(keys))]
    return gpd.GeoDataFrame(geometry=shapes, index=pd.Index(keys, name="geoid"), crs="EPSG:5070")


def plain_report(text: str) -> str:
    table = pd.DataFrame({text: [text, "b"], "n": [1.5, 2.0]}, index=pd.Index([text, "b"], name=f"key {text}"))
    cards = {text: card_html(table_of([text], [[text]]))}
    section = Section(text, text, table=sortable(table), keys={text: "#000000"}, cards=cards)
    return report(text, text, [section], facts=[(text, text)], footer=text)


def opportunities(text: str) -> str:
    columns = {name: [10.0, 50.0, 90.0] for name in ("opportunity", "deprivation", text)}
    more = {name: [text, "", text] for name in ("filled_domains", "reason")}
    numbers = dict.fromkeys(("imputed_direct", "imputed_once_removed"), 1)
    table = pd.DataFrame({**columns, **more, **numbers}, index=pd.Index(KEYS, name="geoid"))
    parameters = read_definition("sample").parameters
    measure = SimpleNamespace(measure=text, label=text, unit=text)
    definition = SimpleNamespace(parameters=parameters, domains={text: [measure]}, name=text)
    regions = {text: pd.DataFrame({"region": [text, "b", "b"], "region_name": text, "afact": 1.0}, index=KEYS)}
    return opportunity_map(boxes(), table, definition, title=text, subtitle=text, regions=regions, source=text).page()


def exposure_table(text: str) -> pd.DataFrame:
    numbers = {"exposure": 0.25, "exposure_lb": 0.2, "exposure_ub": 0.3, "count": 9.0, "count_cv": 0.1}
    group = {f"g_{name}": [value, np.nan] for name, value in numbers.items()}
    group |= {"g_exposure_corrected": [0.26, np.nan], "g_exposure_accuracy": [2.0, np.nan]}
    quality = {"g_exposure_quality": [1.0, np.nan], "g_exposure_reason": ["", text]}
    names = {"region_name": [text, "b"], "people_count": [10.0, 20.0], "tracts": [2, 1], "overlap": [0.7, 1.0]}
    names |= {"bounds_of": "exposure_corrected"}
    return pd.DataFrame({**names, **group, **quality}, index=pd.Index([text, "b"]))


def exposures(text: str) -> str:
    regions = pd.Series([text, text, "b"], index=KEYS)
    return exposure_map(boxes(), exposure_table(text), regions, {"g": text}, by=text, title=text, subtitle=text).page()


def exposures_report(text: str) -> str:
    group = {"known": 1, "quality": [1, 0, 0], "quartiles": [0.2, 0.25, 0.3], "reasons": {text: [1, [text]]}}
    group |= {"accuracy": [0, 1, 0], "correction": [0.01, 0.01]}
    overlap = overlap_summary(np.array([0.7, 1.0]), pd.Index([text, "b"]))
    numbers = {"with_cv": 3, "nobody": 1, "over_good": 2, "over_fair": 1, "without_cv": 0}
    margins = ((USED, ""), (ALL_MARGINS, ""), (DETAILED, text))
    tallies = [{"group": "g", "margin": margin, "column": column, **numbers} for margin, column in margins]
    found = {"regions": 2, "tracts": 3, "people": 30.0, "people_outside": 0.0, "groups": {"g": group}}
    found |= {"overlap": overlap, "tract_cv": tallies}
    ends = {"count_from": [0.0], "count_to": [4.0], "se_from": [0.0], "se_to": [0.25], "tracts": [3]}
    cells = pd.DataFrame(ends, index=["g"])
    reported = pd.DataFrame({"people": [11.0, 21.0], "g": [9.0, np.nan]}, index=[text, "b"])
    more = {"year": 2018, "by": text, "source": text, "cells": cells, "reported": reported, "outside": text}
    return exposure_report(exposure_table(text), {"g": text}, found, title=text, subtitle=text, **more)


def mixing(text: str) -> str:
    shares = {"low": [0.5, 0.2, 0.3], "middle": [0.3, 0.3, 0.4], "high": [0.2, 0.5, 0.3]}
    names = ("divergence_quintiles", "entropy_index", "wasserstein", "wasserstein_signed", "mixture")
    scores = {"divergence": [0.1, 0.1, 0.3], **{name: [0.1, 0.2, 0.3] for name in names}}
    texts = {"region": [text, text, "b"], "modal_class": ["low", "high", "middle"]}
    keys = [text, *KEYS[1:]]
    table = pd.DataFrame({**texts, "people": [10.0, 20.0, 15.0], **shares, **scores}, index=keys)
    brackets = pd.DataFrame({text: [9.0, 5.0, 3.0], "b": [1.0, 15.0, 12.0]}, index=keys)
    counts = {2020: {region: brackets[table["region"] == region] for region in (text, "b")}}
    shapes = boxes().geometry.set_axis(keys)
    sections = [
        *map_sections({2020: table}, {2020: shapes}, [0.3, 0.7], beside=True),
        *figure_sections({2020: table}, counts, [0.3, 0.7]),
    ]
    return report(text, text, [*sections, means_section({2020: table}), spread_section({2020: table})])


def segregation(text: str) -> str:
    scores = {"theil": [0.5, 0.4], "multigroup_dissimilarity": [0.1, 0.2], "theil_p": 0.1}
    scores |= {"theil_corrected": 0.45, "theil_corrected_lower": 0.3, "theil_corrected_upper": 0.6, "sampled": text}
    table = pd.DataFrame({"region_name": text, "units": 2, "people": [10.0, 9.0], **scores}, index=[text, "b"])
    counts = {year: dict.fromkeys((text, "b"), np.array([[1.0, 3.0], [3.0, 1.0]])) for year in (2020, 2021)}
    return segregation_report({2020: table, 2021: table}, counts, {"g": text, "h": "H"}, title=text, subtitle=text)


def change(text: str) -> str:
    numbers = {"before": [1.0, 2.0, np.nan], "after": [2.0, 1.0, 3.0], "change": [1.0, -1.0, np.nan], "margin": 0.5}
    table = pd.DataFrame({**numbers, "beyond": [1, 1, -1], "reason": ["", "", text]}, index=KEYS)
    return change_maps.change_map(boxes(), table, text, 2015, 2020, subtitle=text).page()


def series(text: str) -> str:
    values = np.arange(4.0).reshape(2, 2, 1)
    cube = xr.Dataset(
        {
            "estimate": (("year", "region", "measure"), values),
            "moe": (("year", "region", "measure"), values / 10),
            "flag": (("year", "region", "measure"), np.zeros((2, 2, 1), np.uint8), {"flag_reasons": ["", text]}),
            "measure_units": (("measure",), np.array([text], object)),
        },
        coords={
            "year": [2015, 2020],
            "region": np.array([text, "b"], object),
            "measure": np.array([text], object),
            "state": (("region",), np.array(["39", "39"])),
        },
        attrs={"unit": "region", "product": text, "version": text},
    )
    return change_maps.series_page(cube, text, [text])


def classes(text: str) -> str:
    shapes = boxes(["a", "b", "c"]).assign(state="OH")
    labels = {"label": [text, "B"], "state": "OH"}
    units = pd.DataFrame({**labels, "outcome": [4.0, 5.0], "actual": [0, 1]}, index=["a", "b"])
    predicted = pd.DataFrame({"predicted": [1, 1], "p_0": [0.4, 0.1], "p_1": [0.6, 0.9]}, index=["a", "b"])
    parts, script = actual_and_predicted(shapes, units, {text: predicted}, [text, "high"], text)
    return report(text, text, [Section("Map", "", parts, script=script)])


def provenance(text: str) -> str:
    part = Part("k", "0" * 64, 1, 1, "a", "b", run="r")
    options = {"norm": text, "definition": {"name": text, text: [text]}, text: text, "dataset": text, "year": 2020}
    run = {"job": "opportunity", "inputs": {text: text}, "options": options, "versions": {text: text}}
    snapshot = Snapshot(text, {text: part}, {"r": {**run, "report": {"notes": [text]}}}, {"vintage": text, "a": text})
    shown = record([result_record(snapshot)], option=text, choices={text: text}, inputs={text: text})
    with tempfile.TemporaryDirectory() as folder:
        write_page("--report", f"{folder}/p.html", report(text, text, []), shown)
        return Path(folder, "p.html").read_text(encoding="utf-8")


PAGES: dict[str, Callable[[str], str]] = {
    one.__name__: one
    for one in (
        plain_report,
        opportunities,
        exposures,
        exposures_report,
        mixing,
        segregation,
        change,
        series,
        classes,
        provenance,
    )
}


@pytest.mark.parametrize("name", PAGES)
def test_text_of_data_changes_no_element_and_ends_no_script(name: str) -> None:
    page = PAGES[name](NASTY)
    assert structure(page) == structure(PAGES[name]("plain"))
    scripts = json_scripts(page)
    assert not [text for text in scripts if "<" in text]
    # Provenance has the same text with its control characters written out.
    held = [bool({NASTY, harmless(NASTY)} & texts_of(json.loads(text))) for text in scripts]
    assert held == ["plain" in texts_of(json.loads(text)) for text in json_scripts(PAGES[name]("plain"))]


def texts_of(value: object) -> set[str]:
    """Return all texts of a JSON value, keys included."""
    if isinstance(value, dict):
        return set().union(*map(texts_of, value), *map(texts_of, value.values()))
    if isinstance(value, list):
        return set().union(*map(texts_of, value))
    return {value} if isinstance(value, str) else set()


# Their points are large enough to be met by one that goes over the plot.
POINTED_AT = ("opportunities", "exposures", "change", "classes", "mixing")


@pytest.mark.parametrize("name", PAGES)
def test_a_browser_runs_no_text_of_data(name: str, visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(PAGES[name](NASTY), encoding="utf-8")
    seen = seen_in(visit, file)
    tooltips = seen.pop("tooltips")
    assert seen == {"ran": False, "injected": 0, "computed": 0}
    assert tooltips or name not in POINTED_AT


REPORTS = ("plain_report", "exposures_report", "mixing", "segregation", "series", "provenance")
LONG = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch and Fort-Dodge-Grand-Rapids-Sioux-Falls County (1)"
# What a reader who does not see a page, or has no mouse, would miss.
BARRIERS = """() => {
  const found = [], shown = (one) => one.getClientRects().length > 0;
  if (!document.documentElement.lang) found.push("no language");
  let level = 0;
  for (const head of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const own = Number(head.tagName[1]);
    if (own > level + 1) found.push(`${head.tagName} "${head.textContent}" after level ${level}`);
    level = own;
  }
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  for (const one of document.querySelectorAll("button, select, input, [role=img], summary"))
    if (shown(one) && !(one.innerText || one.ariaLabel || one.labels?.[0]?.innerText || one.title || "").trim())
      found.push(`no name: ${one.outerHTML.slice(0, 80)}`);
  const plots = "figure .wide > :is([id^=plot], [id^=figure], [id^=curves])";
  for (const one of document.querySelectorAll(`${plots}:not([role=img])`))
    found.push(`not described: ${one.id}`);
  for (const one of document.querySelectorAll("table"))
    if (!one.closest(".provenance") && !one.querySelector("th")) found.push("a table without heads");
  return found;
}"""


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_fits_a_phone_and_has_words_for_all_it_shows(name: str, visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(PAGES[name](LONG), encoding="utf-8")
    page = visit(file, PHONE)
    page.wait_for_selector("body[data-ready=yes]")
    assert overflow(page) == []
    assert page.evaluate(BARRIERS) == []
    for details in page.query_selector_all("details"):
        details.evaluate("one => { one.open = true }")
    page.wait_for_timeout(100)
    assert overflow(page) == []


def test_a_browser_that_runs_text_of_data_is_noticed(chromium: There, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    text = NASTY.replace("<!--", "")
    file.write_text(f"<html><body data-ready='yes'>{text}<p>{7 * 191}</p></body></html>", encoding="utf-8")
    visit = Visit(chromium)
    assert seen_in(visit, file) == {"ran": True, "tooltips": 0, "injected": 1, "computed": 1}
    assert any("ERR_FILE_NOT_FOUND" in one for one in visit.end())


def test_a_store_shows_names_as_text(tmp_path: Path) -> None:
    page = Store(f"{tmp_path}/<img src=x onerror=alert(1)>")._repr_html_()
    assert "img" not in {tag for tag, _ in Elements(page).found}


@pytest.mark.parametrize("column", ["score", "label"])
def test_explore_shows_text_of_data_as_text(column: str, tmp_path: Path) -> None:
    pytest.importorskip("folium", reason=f"folium is not installed: {EXTRA}")

    def page(text: str) -> str:
        frame = boxes().assign(score=[1.0, 2.0, 3.0], label=[text, "b", text])
        frame[text] = 1
        return str(explored(frame, column)._repr_html_())

    nasty, plain = (explored_document(page(text)) for text in (NASTY, "plain"))
    assert structure(nasty) == structure(plain)
    assert "<img src=x" not in nasty


def explored_document(frame: str) -> str:
    """Return the document that folium puts into an attribute of a frame."""
    (inside,) = [attributes["srcdoc"] for tag, attributes in Elements(frame).found if tag == "iframe"]
    assert inside is not None
    return inside
