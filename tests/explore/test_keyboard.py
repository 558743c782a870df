"""The tab of results without a mouse: all that it offers is reached, done and read by keys, and the focus is seen."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import distributed
import numpy as np
import pytest
from backfill_country import fill, write_definitions
from browser import PHONE, Held, There, Visit, answered, expect, overflow, pixels, screenshot
from cube_results import write_cube
from made_index import IMPUTED, KNOWN, MISSING, SUPPRESSED, YEARS, put_index
from PIL import Image
from waits import await_that

from geomob_dask.clusters.page import PRELOAD

# What has the focus has a line of one of these colors around it: controls, and the map.
RINGS = ((0x0B, 0x5C, 0xAD), (0x1D, 0x5B, 0x8F))
FOCUSED = "document.activeElement"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a dashboard whose page has the made index, its measures, and a cube of these."""
    folder = tmp_path_factory.mktemp("country")
    write_definitions(folder)
    store = fill(str(folder / "store"), folder, years=YEARS, graph=False)
    put_index(store)
    # Of the measures: the index is chosen first.
    write_cube(store, "kept", {year: f"measures/made/{year}" for year in YEARS})
    settings = {"distributed.scheduler.preload": [PRELOAD], "geomob.store": store.url}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
    ):
        yield f"http://127.0.0.1:{cluster.scheduler.http_server.port}"


class Keys:
    """A page that is used by keys alone; after every key something of it has the focus."""

    def __init__(self, page: There) -> None:
        self.page = page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.check()

    def check(self) -> None:
        lost = self.page.evaluate(f"!{FOCUSED} || {FOCUSED} === document.body")
        assert not lost, "nothing has the focus"

    def has(self, locator: There) -> bool:
        return locator.evaluate(f"one => one === {FOCUSED}")

    def to(self, locator: There, key: str = "Tab", most: int = 70) -> None:
        """Move on until an element has the focus, and check that this is seen."""
        expect(locator).to_be_enabled()
        for _ in range(most):
            if self.has(locator):
                break
            self.press(key)
        else:
            pytest.fail(f"not reached by {key}")
        self.seen()

    def where(self) -> dict[str, Any]:
        """Return the name of what has the focus, where it is, and whether something covers it."""
        return self.page.evaluate(
            f"""() => {{
              const one = {FOCUSED}, box = one.getBoundingClientRect();
              const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
              const above = document.elementFromPoint(x, y);
              return {{ name: one.id || one.textContent.slice(0, 40) || one.tagName, left: box.left, top: box.top,
                width: box.width, height: box.height, covered: !(above && (one.contains(above) || above.contains(one)
                  || one.parentElement.contains(above))) }};
            }}"""
        )

    def seen(self) -> None:
        """Check that what has the focus is in the window, that nothing covers it, and that it has a line around it."""
        about: dict[str, Any] = {}
        picture = np.empty(0)

        def still() -> bool:
            # What comes late moves what is below it: a picture is of a place that was the same before and after it.
            nonlocal about, picture
            before, picture, about = self.where(), pixels(self.page), self.where()
            return before == about

        await_that(still, 30, lambda: f"{about['name']}: it moves")
        assert not about["covered"], f"{about['name']}: something covers it"
        top, left = max(0, int(about["top"]) - 5), max(0, int(about["left"]) - 5)
        bottom, right = int(about["top"] + about["height"]) + 6, int(about["left"] + about["width"]) + 6
        shown = picture[top:bottom, left:right].reshape(-1, 3)
        line = max(int((shown == ring).all(axis=1).sum()) for ring in RINGS)
        assert line > 2 * (min(about["width"], 1200) + min(about["height"], 600)), f"{about['name']}: no line around it"


@pytest.fixture
def keys(base: str, visit: Visit) -> Keys:
    """Open the page, and its tab of results by keys."""
    page = visit(f"{base}/geomob")
    keys = Keys(page)
    runs, results = (page.get_by_role("tab", name=name) for name in ("Runs", "Results"))
    page.keyboard.press("Tab")
    keys.to(runs)
    keys.press("ArrowRight")
    assert keys.has(results)
    keys.seen()
    expect(results).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel", name="Results")).to_be_visible()
    expect(page.get_by_role("heading", name="Opportunity, 2020", exact=True)).to_be_visible()
    expect(page.get_by_text("Loading…")).to_have_count(0)
    return keys


def told(page: There, number: int = 0) -> There:
    """Return what a map says to those who do not see it."""
    return page.locator(".tract-map-said").nth(number)


def find(keys: Keys, text: str, key: str = "Tab") -> None:
    """Search for a place, and look at it."""
    page = keys.page
    keys.to(page.locator("#gm-find"), key)
    keys.press("Control+a", *text, "Enter")
    expect(page.get_by_role("region", name="Chosen place")).to_contain_text(text)


def read(keys: Keys, map_: int = 0) -> There:
    """Go to a map, and have it say what is in its middle."""
    keys.to(keys.page.get_by_role("application").nth(map_))
    keys.press("Enter")
    return told(keys.page, map_)


def test_tabs_are_chosen_by_arrows_and_their_ends(keys: Keys) -> None:
    runs, results = (keys.page.get_by_role("tab", name=name) for name in ("Runs", "Results"))
    for key, chosen, other in (
        ("ArrowRight", runs, results),
        ("ArrowLeft", results, runs),
        ("Home", runs, results),
        ("End", results, runs),
    ):
        keys.press(key)
        assert keys.has(chosen)
        assert (chosen.get_attribute("aria-selected"), chosen.get_attribute("tabindex")) == ("true", "0")
        assert (other.get_attribute("aria-selected"), other.get_attribute("tabindex")) == ("false", "-1")


def test_everything_is_reached_and_seen_one_after_the_other(keys: Keys) -> None:
    page, met = keys.page, []
    last = page.locator("#gm-part-results button:not(:disabled), #gm-part-results [tabindex='0']").last
    while not keys.has(last):
        keys.press("Tab")
        keys.seen()
        met.append(page.evaluate(f"{FOCUSED}.id || {FOCUSED}.textContent || {FOCUSED}.getAttribute('role')"))
        assert len(met) < 70
    controls = ["gm-result", "gm-measure", "gm-year", "gm-find", "gm-state", "gm-method", "gm-classes", "gm-compare"]
    assert met[: len(controls)] == controls
    assert {"application", "PNG", "SVG", "gm-by", "gm-order", "Later"} <= set(met)


def test_a_result_a_year_and_a_state_are_chosen(keys: Keys) -> None:
    page = keys.page
    result, measure, year, state = (page.locator(f"#gm-{name}") for name in ("result", "measure", "year", "state"))
    keys.to(result)
    keys.press("ArrowDown")
    expect(page.get_by_role("heading", name=re.compile(", 2020$")).first).not_to_have_text("Opportunity, 2020")
    assert keys.has(result)
    keys.press("ArrowUp")
    expect(page.get_by_role("heading", name="Opportunity, 2020", exact=True)).to_be_visible()
    keys.to(measure)
    keys.press("ArrowDown")
    expect(page.get_by_role("heading", name="Deprivation, 2020")).to_be_visible()
    assert keys.has(measure)
    keys.press("ArrowUp")
    keys.to(year)
    # Faster than the store answers: each key is a year.
    keys.press("ArrowLeft", "ArrowRight", "ArrowLeft")
    expect(page.get_by_role("heading", name="Opportunity, 2019", exact=True)).to_be_visible()
    expect(year).to_have_attribute("aria-valuetext", "2019")
    assert keys.has(year)
    keys.to(state)
    keys.press("O")
    expect(page.get_by_text("of 12 with a value")).to_contain_text("10 of 12 with a value")
    assert keys.has(state)
    expect(state).to_have_value("39")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (KNOWN, ("Opportunity, 2020: 39 (corrected 40, 37 to 42)", "Quality: 2 of 3 (fair)", KNOWN)),
        (IMPUTED, ("Opportunity, 2020: 40 (corrected 41, 38 to 43)", "Note: imputed from direct neighbours")),
        (SUPPRESSED, ("Opportunity, 2020: no value", "Reason: fewer than 50 people: suppressed")),
        (MISSING, ("Opportunity, 2020: no value", "Reason: nobody lives here")),
    ],
)
def test_a_tract_is_found_and_read(keys: Keys, code: str, said: tuple[str, ...]) -> None:
    find_by_list(keys, code)
    spoken = read(keys)
    for text in said:
        expect(spoken).to_contain_text(text)
        # What is said is what is shown.
    tip = keys.page.get_by_role("tooltip").first
    expect(tip).to_contain_text(said[-1].partition(": ")[2] or said[-1])
    keys.press("Escape")
    expect(tip).to_be_hidden()
    keys.seen()


def find_by_list(keys: Keys, code: str) -> None:
    """Search for a tract, and choose it in the list of what was found."""
    page = keys.page
    field, found = page.locator("#gm-find"), page.locator("#gm-found button")
    keys.to(field)
    keys.press(*code)
    expect(page.locator("#gm-found-count")).to_have_text("1 place")
    keys.press("ArrowDown")
    assert keys.has(found.first)
    keys.seen()
    keys.press("ArrowUp")
    assert keys.has(field)
    keys.press("ArrowDown", "Enter")
    assert keys.has(field)
    expect(found).to_have_count(0)
    expect(page.get_by_role("region", name="Chosen place")).to_contain_text(code)


def test_what_was_found_goes_with_escape_and_where_the_focus_goes_on(keys: Keys) -> None:
    page = keys.page
    field, found = page.locator("#gm-find"), page.locator("#gm-found button")
    keys.to(field)
    for leave in (("ArrowDown", "Escape"), ("Shift+Tab",)):
        keys.press("Control+a", *"Ohio")
        expect(found).not_to_have_count(0)
        keys.press(*leave)
        expect(found).to_have_count(0)
    keys.to(field)
    keys.press("Escape")
    assert field.input_value() == ""


def test_a_place_of_the_ranking_has_a_series(keys: Keys) -> None:
    page = keys.page
    keys.to(page.locator("#gm-order"))
    keys.press("ArrowDown")
    links = page.locator(".gm-table .gm-link")
    first = page.get_by_role("region", name="Ranking").locator("tbody tr").first
    expect(first).to_contain_text("17001000001")
    keys.to(links.first)
    keys.press("Enter")
    place = page.get_by_role("region", name="Chosen place")
    expect(place).to_contain_text("17001000001")
    assert keys.has(links.first)
    keys.seen()
    expect(place.locator("tbody tr")).to_have_text(
        [re.compile("^2019 *8 *corrected 9, 6 to 11"), re.compile("^2020 *13 *corrected 14, 11 to 16")]
    )
    expect(page.locator("#gm-part-results > .gm-results > [aria-live]").last).to_contain_text("8 in 2019, 13 in 2020")
    # The order changes, and the place stays chosen.
    keys.to(page.locator("#gm-order"), "Shift+Tab")
    keys.press("ArrowUp")
    expect(first).not_to_contain_text("17001000001")
    expect(place).to_contain_text("17001000001")


def test_pages_of_the_ranking(keys: Keys) -> None:
    page = keys.page
    ranking = page.get_by_role("region", name="Ranking")
    earlier, later = (ranking.get_by_role("button", name=name) for name in ("Earlier", "Later"))
    keys.to(later)
    keys.press("Enter")
    expect(ranking.get_by_role("status")).to_have_text("26 to 36 of 36")
    # The last page: only the way back is left.
    assert keys.has(earlier)
    keys.seen()
    keys.press("Enter")
    expect(ranking.get_by_role("status")).to_have_text("1 to 25 of 36")
    assert keys.has(later)


def test_the_results_that_a_cube_is_a_form_of_are_shown(keys: Keys) -> None:
    page = keys.page
    cubes = page.get_by_role("region", name="Cubes")
    expect(cubes).to_contain_text("year 2 × tract 36 × measure")
    expect(cubes).to_contain_text("2019, 2020: the same as Measures · made")
    expect(cubes.locator("code", has_text="open_cube")).to_contain_text("'kept')")
    keys.to(cubes.get_by_role("button", name="Measures · made"))
    keys.press("Enter")
    result = page.locator("#gm-result")
    assert keys.has(result)
    expect(result).to_have_value("measures/made/{year}")
    expect(page.get_by_role("heading", name="Opportunity, 2020")).to_have_count(0)


def test_cubes_are_no_wider_than_a_phone(base: str, visit: Visit, screenshots: Path) -> None:
    page = visit(f"{base}/geomob#tab=results", PHONE)
    cubes = page.get_by_role("region", name="Cubes")
    cubes.get_by_text(re.compile("^[0-9]+ measures$")).tap()
    expect(cubes.get_by_text("decile_10", exact=True)).to_be_visible()
    assert overflow(page) == []
    cubes.scroll_into_view_if_needed()
    screenshot(page, screenshots, "explore-cubes")


def test_two_years_are_compared(keys: Keys) -> None:
    page = keys.page
    compare = page.locator("#gm-compare")
    keys.to(compare)
    keys.press("T")
    expect(page.get_by_role("heading", name="Opportunity, 2019")).to_be_visible()
    assert keys.has(compare)
    find(keys, KNOWN, "Shift+Tab")
    expect(read(keys, 0)).to_contain_text("Opportunity, 2020: 39 (corrected 40, 37 to 42)")
    expect(read(keys, 1)).to_contain_text("Opportunity, 2019: 34 (corrected 35, 32 to 37)")
    keys.to(page.locator("#gm-year2"), "Shift+Tab")
    keys.press("ArrowRight")
    expect(page.get_by_role("heading", name="Opportunity, 2019")).to_have_count(0)
    keys.press("ArrowLeft")
    keys.to(compare, "Shift+Tab")
    keys.press("D")
    expect(page.get_by_role("heading", name="Opportunity, 2020 minus Opportunity, 2019")).to_be_visible()
    assert keys.has(compare)
    expect(read(keys)).to_contain_text("2020 minus Opportunity, 2019: 5")


def test_a_map_is_saved(keys: Keys, tmp_path: Path) -> None:
    page = keys.page

    def saved(kind: str) -> Path:
        keys.to(page.get_by_role("group", name="Save map").get_by_role("button", name=kind))
        with page.expect_download() as download:
            keys.press("Enter")
        assert download.value.suggested_filename == f"opportunity-2020.{kind.lower()}"
        download.value.save_as(str(tmp_path / kind))
        return tmp_path / kind

    with Image.open(saved("PNG")) as picture:
        colors: Any = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colors, axis=0)) > 7
    drawing = saved("SVG").read_text()
    for text in ("Opportunity, 2020", "Suppressed", "results/opportunity/made_index/made/2020/all-selected"):
        assert text in drawing


# Answers that come late -------------------------------------------------------------------------


def test_an_answer_that_comes_after_another_choice_is_not_shown(keys: Keys) -> None:
    page = keys.page
    find(keys, KNOWN)
    held = Held(page, "values.*year=2019")
    keys.to(page.locator("#gm-year"), "Shift+Tab")
    keys.press("ArrowLeft")
    expect(page.locator(".gm-panel")).to_have_attribute("aria-busy", "true")
    # No value of one year is read under another.
    expect(read(keys)).to_contain_text("Opportunity, 2020: 39")
    keys.to(page.locator("#gm-year"), "Shift+Tab")
    keys.press("ArrowRight")
    expect(page.locator(".gm-panel")).not_to_have_attribute("aria-busy", "true")
    with answered(page, re.compile("values.*year=2019")):
        held.let_go()
    expect(read(keys)).to_contain_text("Opportunity, 2020: 39")
    expect(page.get_by_role("heading", name="Opportunity, 2020", exact=True)).to_be_visible()


def test_a_choice_while_the_map_is_loaded_is_of_what_it_then_shows(keys: Keys) -> None:
    page = keys.page
    held = Held(page, "values.*year=2019")
    keys.to(page.locator("#gm-year"))
    keys.press("ArrowLeft")
    expect(page.locator(".gm-panel")).to_have_attribute("aria-busy", "true")
    keys.to(page.locator("#gm-state"))
    keys.press("O")
    keys.to(page.locator("#gm-order"))
    keys.press("ArrowDown")
    held.let_go()
    expect(page.get_by_role("heading", name="Opportunity, 2019", exact=True)).to_be_visible()
    expect(page.get_by_text("Loading…")).to_have_count(0)
    expect(page.get_by_text("of 12 with a value")).to_contain_text("10 of 12 with a value")
    # The lowest of Ohio in that year.
    expect(page.get_by_role("region", name="Ranking").locator("tbody tr").first).to_contain_text(
        re.compile("39001000001 *30")
    )


def test_a_place_of_another_result_is_not_kept(keys: Keys) -> None:
    page = keys.page
    find(keys, KNOWN)
    keys.to(page.locator("#gm-result"), "Shift+Tab")
    keys.press("ArrowDown")
    expect(page.get_by_role("region", name="Chosen place")).not_to_contain_text(KNOWN)


def address_of_view(page: There) -> str:
    """Return the address of a page once it says where its map looks now."""

    def told() -> bool:
        before = page.url
        # Longer than the map rests before it is written.
        page.wait_for_timeout(700)
        return "scale=" in before and before == page.url

    await_that(told, 30, lambda: page.url)
    return page.url


def test_a_map_stays_where_it_was_moved_while_another_year_was_loaded(keys: Keys) -> None:
    page = keys.page
    map_, bar = page.get_by_role("application"), page.locator(".tract-map-bar")
    keys.to(map_)
    keys.press("+")
    address_of_view(page)
    held = Held(page, "values.*year=2019")
    keys.to(page.locator("#gm-year"), "Shift+Tab")
    keys.press("ArrowLeft")
    held.await_one()
    keys.to(map_)
    before = bar.inner_text()
    keys.press("+", "+", "+")
    moved = bar.inner_text()
    assert moved != before
    with answered(page, re.compile("values.*year=2019")):
        held.let_go()
    expect(page.get_by_role("heading", name="Opportunity, 2019", exact=True)).to_be_visible()
    expect(page.get_by_text("Loading…")).to_have_count(0)
    assert bar.inner_text() == moved


def test_another_address_is_looked_at(keys: Keys) -> None:
    page = keys.page
    bar = page.locator(".tract-map-bar")
    keys.to(page.get_by_role("application"))
    keys.press("+", "+")
    address, there = address_of_view(page), bar.inner_text()
    keys.press("0", "-")
    expect(bar).not_to_have_text(there)
    assert address_of_view(page) != address
    page.evaluate("to => { location.hash = to; }", address.partition("#")[2] + "&year=2019")
    expect(page.get_by_role("heading", name="Opportunity, 2019", exact=True)).to_be_visible()
    expect(bar).to_have_text(there)


def test_the_view_of_an_address_stays_when_the_window_changes(keys: Keys) -> None:
    page = keys.page
    bar = page.locator(".tract-map-bar")
    keys.to(page.get_by_role("application"))
    keys.press("+", "+")
    address_of_view(page)
    there = bar.inner_text()
    page.reload()
    expect(page.get_by_text("Loading…")).to_have_count(0)
    expect(bar).to_have_text(there)
    page.set_viewport_size({"width": 1240, "height": 800})
    page.wait_for_timeout(500)
    assert bar.inner_text() == there


@pytest.mark.parametrize("leave", [("Shift+Tab",), ("ArrowDown", "Escape"), ("ArrowDown", "Enter")])
def test_places_that_come_late_are_not_offered(keys: Keys, leave: tuple[str, ...]) -> None:
    page = keys.page
    field, found = page.locator("#gm-find"), page.locator("#gm-found button")
    keys.to(field)
    keys.press(*"Ohio")
    expect(found).not_to_have_count(0)
    held = Held(page, "results/search")
    keys.press("Space")
    held.await_one()
    keys.press(*leave)
    with answered(page, re.compile("results/search")):
        held.let_go()
    assert found.count() == 0
    assert keys.has(field) == (leave != ("Shift+Tab",))
    keys.check()


def test_nothing_is_searched_for_once_it_is_left(keys: Keys) -> None:
    page = keys.page
    held = Held(page, "results/search")
    keys.to(page.locator("#gm-find"))
    page.evaluate(
        f"""() => {{
          {FOCUSED}.value = "Ohio";
          {FOCUSED}.dispatchEvent(new Event("input"));
          document.getElementById("gm-state").focus();
        }}"""
    )
    page.wait_for_timeout(500)
    assert held.routes == []


def test_a_place_is_gone_to_though_the_focus_has_gone_on(keys: Keys) -> None:
    page = keys.page
    held = Held(page, "results/search")
    keys.to(page.locator("#gm-find"))
    keys.press(*KNOWN, "Enter", "Tab")
    held.let_go()
    expect(page.get_by_role("region", name="Chosen place")).to_contain_text(KNOWN)
    assert keys.has(page.locator("#gm-state"))


@pytest.mark.parametrize(("more", "left"), [("o", True), ("x", False)])
def test_the_focus_is_not_lost_when_other_places_come(keys: Keys, more: str, left: bool) -> None:
    page = keys.page
    field, found = page.locator("#gm-find"), page.locator("#gm-found button")
    keys.to(field)
    keys.press(*"Ohi")
    expect(found).not_to_have_count(0)
    held = Held(page, "results/search")
    keys.press(more)
    held.await_one()
    keys.press("ArrowDown")
    with answered(page, re.compile("results/search")):
        held.let_go()
    assert (found.count() > 0) == left
    assert keys.has(found.first if left else field)
    keys.seen()
