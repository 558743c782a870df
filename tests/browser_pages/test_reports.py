"""Reports as readers use them: known values beside the right names, tooltips in the window, plots on paper."""

import re
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bokeh.models import ColumnDataSource
from browser import DESKTOP, OLDER_CLICKS, PHONE, Visit, overflow, screenshot, swipe
from rich.console import Console

from geomob_dask.outputs.exposure_report import write_report
from geomob_dask.outputs.page import Choice, Figure, Section, report
from geomob_dask.outputs.plots import hover, plain_figure
from geomob_dask.products.exposure import Options
from geomob_dask.runs.engine import run
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.store import Store

LABELS = {
    "black_nh": "Black, Non-Hispanic",
    "hispanic": "Hispanic",
    "other_nh": "Other Races and Ethnicities",
    "white_nh": "White, Non-Hispanic",
}
KNOWN = {"39049": "Franklin County, Ohio", "53033": "King County, Washington", "39035": "Cuyahoga County, Ohio"}


# Known values ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published_report(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of Ohio's and Washington's counties, of 2018, as the method was published."""
    folder = tmp_path_factory.mktemp("real")
    store = Store(str(folder / "store"))
    race = str(real_data / "exposure" / "acs5_2018_race_10_states.csv.gz")
    ingest(store, "measures", file=race, dataset="race", year=2018, vintage="2010")
    options = Options(dataset="race", year=2018, by="county", mode="published", precision=True, states=("39", "53"))
    plan = make_plan(store, [Request("exposure", options)])
    run(store, plan, None, Console(file=StringIO()))
    write_report(store, plan.groups[0].prepared, str(folder / "exposure.html"))
    return folder / "exposure.html"


@pytest.mark.real_data
@pytest.mark.parametrize("seen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_counties_have_their_published_exposures_beside_their_names(
    published_report: Path, real_data: Path, visit: Visit, screenshots: Path, seen: dict
) -> None:
    file = real_data / "exposure" / "published_county_exposure_2018_OH_WA.csv"
    published = pd.read_csv(file, dtype={"state": str, "county": str})
    published.index = published["state"] + published["county"]
    page = visit(published_report, seen)
    screenshot(page, screenshots, "exposure-report")
    assert overflow(page) == []
    for group, label in LABELS.items():
        page.select_option(".ranking .measure", label)
        value = published[f"share_{group}_exposure"]
        for code, name in KNOWN.items():
            page.fill(".ranking input", name)
            (row,) = page.query_selector_all(".ranking tbody tr")
            assert row.query_selector(".name").inner_text() == f"{name} {code}"
            assert row.query_selector(".value").inner_text() == f"{value[code]:.3f}"
            low, high = map(
                float, re.fullmatch(r"(\S+) to (\S+)", row.query_selector(".interval").inner_text()).groups()
            )
            assert low <= round(value[code], 3) <= high
            # The dot lies in the row, as high as the name's row is.
            box, dot = row.bounding_box(), row.query_selector(".dot").bounding_box()
            assert box["y"] <= dot["y"] <= box["y"] + box["height"]
        page.fill(".ranking input", "")
        answer = page.text_content(".ranking .answer")
        assert f"Highest of {value.notna().sum()} counties" in answer
        lowest = value.idxmin()
        assert f"{value[lowest]:.3f} (90% interval" in answer.split("Lowest: ")[1]
        page.click(".ranking thead .value button")
        first = page.query_selector(".ranking tbody tr .name").inner_text()
        assert first.endswith(f" {lowest}")


@pytest.mark.real_data
def test_the_report_repeats_itself(published_report: Path, visit: Visit) -> None:
    page = visit(published_report)
    assert page.text_content(".provenance code") == (
        "python jobs/exposure.py --dataset race --year 2018 --states 39,53 --by county --groups b03002_four "
        "--as published --report FILE"
    )
    said = page.text_content(".provenance")
    for text in ("dataset race, year 2018, tracts of vintage 2010", "geomob-dask", "measures/race/2018"):
        assert text in said
    assert re.search(r"Page of \d{4}-\d{2}-\d{2}\.", said)


# Tooltips, taps and lists -----------------------------------------------------------------------------


def square() -> Figure:
    """Return a plot that is covered by nine squares, with long texts in their tooltips."""
    at = [float(k % 3) for k in range(9)], [float(k // 3) for k in range(9)]
    source = ColumnDataSource(
        {"x": at[0], "y": at[1], "text": [f"{k}: " + "a long text of words " * 9 for k in range(9)]}
    )
    plot = plain_figure(height=300, x_range=(-0.5, 2.5), y_range=(-0.5, 2.5))
    drawn = plot.rect("x", "y", 0.98, 0.98, source=source)
    hover(plot, drawn, ("text", "@text"), ("x", "@x"))
    numbers = {"x": "Across", "y": "Up", "text": "Text"}
    return Figure(plot, "nine squares", title="Squares", numbers=numbers, sources=[source])


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    file = tmp_path / "page.html"
    sections = [
        Section("Squares", "Nine.", [square()]),
        Section("Chosen", "", [Choice("Which", {"first": [square()], "second": [square()]})]),
        *(Section(f"Section {k}", "text " * 200) for k in range(6)),
    ]
    file.write_text(report("A", "b", sections), encoding="utf-8")
    return file


TIPS = """() => Array.from(document.querySelectorAll(".bk-Tooltip"), (one) => {
  const box = one.getBoundingClientRect();
  return [box.left, box.top, innerWidth - box.right, innerHeight - box.bottom];
})"""


@pytest.mark.parametrize("seen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_tooltips_stay_in_the_window(squares: Path, visit: Visit, seen: dict) -> None:
    page = visit(squares, seen)
    box = page.query_selector("#plot-1-1").bounding_box()
    for across in (0.2, 0.5, 0.95):
        for down in (0.1, 0.5, 0.8):
            x, y = box["x"] + across * box["width"], box["y"] + down * box["height"]
            if seen is PHONE:
                page.touchscreen.tap(x, y)
            else:
                page.mouse.move(x, y)
            page.wait_for_selector(".bk-Tooltip")
            (room,) = page.evaluate(TIPS)
            assert min(room) >= 0, (across, down)
    if seen is PHONE:
        page.touchscreen.tap(box["x"] + 5, box["y"] - 60)
        page.wait_for_selector(".bk-Tooltip", state="detached")


@pytest.mark.parametrize("before", OLDER_CLICKS, ids=["nothing", "mouse"])
def test_a_tap_shows_a_tooltip_in_older_browsers(squares: Path, visit: Visit, before: str) -> None:
    page = visit(squares, PHONE, before)
    box = page.query_selector("#plot-1-1").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".bk-Tooltip")
    page.touchscreen.tap(box["x"] + 5, box["y"] - 60)
    page.wait_for_selector(".bk-Tooltip", state="detached")


def test_one_finger_scrolls_the_page_from_a_plot(squares: Path, visit: Visit) -> None:
    page = visit(squares, PHONE)
    box = page.query_selector("#plot-1-1").bounding_box()
    swipe(page, box["x"] + box["width"] / 2, box["y"] + 250, up=200)
    page.wait_for_function("scrollY > 100")


def test_numbers_are_listed_and_sorted_and_choices_are_shown(squares: Path, visit: Visit) -> None:
    page = visit(squares, PHONE)
    page.query_selector("details[data-of=plot-1-1] summary").click()
    cells = "rows => rows.map((row) => row.cells[0].innerText + row.cells[1].innerText)"
    rows = "details[data-of=plot-1-1] tbody tr"
    page.wait_for_selector(rows)
    assert page.eval_on_selector_all(rows, cells) == [f"{k % 3}{k // 3}" for k in range(9)]
    page.get_by_role("button", name="Across").press("Enter")
    assert page.eval_on_selector_all(rows, cells) == [f"{x}{y}" for x in range(3) for y in range(3)]
    assert page.get_attribute("details[data-of=plot-1-1] th", "aria-sort") == "ascending"
    assert overflow(page) == []
    assert not page.is_visible("#plot-2-2")
    page.select_option(".choice select", "second")
    assert page.is_visible("#plot-2-2")
    assert not page.is_visible("#plot-2-1")
    # A plot that was not shown at first is as wide as its place.
    page.wait_for_function("document.querySelector('#plot-2-2 > *').getBoundingClientRect().width > 300")


def test_on_paper_nothing_is_cut(squares: Path, visit: Visit, tmp_path: Path) -> None:
    page = visit(squares)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    page.wait_for_timeout(300)
    # What is to the right of 720 px would be beside the paper.
    ends = page.eval_on_selector_all(
        "figure > .wide > [id], section", "all => all.map((one) => one.getBoundingClientRect().right)"
    )
    assert np.max(ends) <= 721
    assert not page.is_visible("details.numbers")
