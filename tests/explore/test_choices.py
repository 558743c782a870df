"""One choice after another on the tab of results: places that others lack, polygons that come late, fail or change."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dask
import distributed
import pandas as pd
import pytest
from backfill_country import fill, write_definitions
from browser import Held, There, Visit, answered, expect
from cube_results import put
from income_country import squares
from made_index import KNOWN, YEARS, put_index
from waits import await_that

from geomob_dask.clusters.page import PRELOAD
from geomob_dask.explore.drawn import _FRESH
from geomob_dask.runs.landing import ingest
from geomob_dask.store import Store

INDEX = "results/opportunity/made_index/made/{year}/all-selected"
OHIO = "results/opportunity/people/made/{year}/39-selected"
BORDER = "results/opportunity/people/made/{year}/17-39-selected"
# On polygons of its own, in states that the package makes up.
SAMPLE = "results/opportunity/people/sample/{year}/all-selected"
REPLACED = "results/opportunity/people/replaced/{year}/all-selected"
STATE_OF = {"17": "91", "18": "92", "39": "93"}
PEOPLE = (52347.0, 1234.56, 123.456)


def put_people(store: Store, entry: str, vintage: str, states: tuple[str, ...]) -> None:
    """Write people of tracts in two years: whole numbers and others."""
    tracts = store.snapshot(f"tracts/{vintage}")
    for year in YEARS:
        parts = {}
        for state in states:
            keys = store.read(tracts.parts[state], ["aland"]).index
            people = [PEOPLE[place] if place < len(PEOPLE) else float(place) for place in range(len(keys))]
            parts[state] = pd.DataFrame({"people_count": people, "older_count": people[::-1]}, index=keys)
        put(store, parts, entry.replace("{year}", str(year)), vintage)


def ingest_others(store: Store, folder: Path, vintage: str, without: str = "") -> None:
    """Ingest the polygons of made-up states, all or without one."""
    others = squares(12)
    others["GEOID"] = [STATE_OF[key[:2]] + key[2:] for key in others["GEOID"]]
    file = folder / f"{vintage}.parquet"
    others[others["GEOID"] != without].to_parquet(file)
    ingest(store, "tracts", files=[str(file)], vintage=vintage)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store with results of all states, of some, and of two other vintages."""
    folder = tmp_path_factory.mktemp("country")
    write_definitions(folder)
    store = fill(str(folder / "store"), folder, years=YEARS, graph=False)
    put_index(store)
    put_people(store, OHIO, "toy", ("39",))
    put_people(store, BORDER, "toy", ("17", "39"))
    for vintage, entry in (("sample", SAMPLE), ("replaced", REPLACED)):
        ingest_others(store, folder, vintage)
        put_people(store, entry, vintage, tuple(STATE_OF.values()))
    return store


@pytest.fixture(scope="module")
def base(store: Store) -> Iterator[str]:
    """Yield the address of a dashboard whose page has the store."""
    settings = {"distributed.scheduler.preload": [PRELOAD], "geomob.store": store.url}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
    ):
        yield f"http://127.0.0.1:{cluster.scheduler.http_server.port}"


def shown(visit: Visit, base: str, entry: str = INDEX, **more: str) -> There:
    """Open the tab of results with a choice, and wait until it is shown."""
    words = "&".join(f"{name}={value}" for name, value in more.items())
    page = visit(f"{base}/geomob#tab=results&entry={entry}&{words}")
    settled(page)
    return page


def settled(page: There) -> None:
    expect(page.get_by_role("region", name="Histogram")).to_contain_text(re.compile("with a value|No values"))
    expect(page.get_by_text("Loading…")).to_have_count(0)


def choose(page: There, entry: str) -> None:
    page.locator("#gm-result").select_option(entry)


def state_of(page: There) -> dict[str, str]:
    """Return what the address says."""
    return {name: value for name, (value,) in parse_qs(urlsplit(page.url).fragment).items()}


def says(page: There, pattern: str) -> None:
    """Have the map say what is in its middle, until that is as expected: a map that is loaded changes."""
    told = page.locator(".tract-map-said").first

    def as_expected() -> bool:
        page.get_by_role("application").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_timeout(100)
        return bool(re.search(pattern, told.inner_text()))

    await_that(as_expected, 30, told.inner_text)


def find(page: There, text: str) -> None:
    page.locator("#gm-find").fill(text)
    page.locator("#gm-find").press("Enter")


class Refused:
    """Requests of a page that are answered with an error, and those that were sent."""

    def __init__(self, visit: Visit, page: There, pattern: str, status: int, most: int = 10**6) -> None:
        self.status, self.most = status, most
        self.addresses: list[str] = []
        visit.expected.append(f"status of {status}")
        page.route(re.compile(pattern), self._asked)

    def _asked(self, route: Any) -> None:
        self.addresses.append(route.request.url)
        if len(self.addresses) > self.most:
            route.continue_()
        else:
            route.fulfill(status=self.status, json={"error": "not now", "status": self.status})

    def forgive(self) -> None:
        """Answer from now on."""
        self.most = 0


# Places -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [OHIO, BORDER])
def test_a_state_that_the_next_result_lacks_is_not_kept(base: str, visit: Visit, entry: str) -> None:
    page = shown(visit, base, within="18")
    expect(page.get_by_text("12 of 12 with a value")).to_be_visible()
    choose(page, entry)
    expect(page.get_by_role("heading", name=re.compile("People")).first).to_be_visible()
    tracts = 12 if entry == OHIO else 24
    expect(page.get_by_text(f"{tracts} of {tracts} with a value")).to_be_visible()
    assert "within" not in state_of(page)
    expect(page.locator("#gm-state")).to_have_value("")
    if entry == OHIO:
        # The map looks at what the result has; two states have another between them.
        says(page, "Ohio.*People.*, 2020: [0-9]")


def test_a_state_that_the_next_result_has_is_kept(base: str, visit: Visit) -> None:
    page = shown(visit, base, within="39")
    choose(page, BORDER)
    expect(page.get_by_text("12 of 12 with a value")).to_be_visible()
    assert state_of(page)["within"] == "39"
    expect(page.locator("#gm-state")).to_have_value("39")


@pytest.mark.parametrize("entry", [INDEX, OHIO])
def test_a_county_that_was_found_is_named_and_can_be_left(base: str, visit: Visit, entry: str) -> None:
    page = shown(visit, base, entry)
    state = page.locator("#gm-state")
    find(page, "39001")
    expect(state.locator("option:checked")).to_have_text("Adams County (39001)")
    expect(state).to_be_visible()
    assert state_of(page)["within"] == "39001"
    state.select_option(label="Ohio")
    expect(state.locator("option", has_text="Adams")).to_have_count(0)
    assert state_of(page)["within"] == "39"
    assert state.is_visible() == (entry == INDEX)


def test_a_county_that_the_result_lacks_is_looked_at_only(base: str, visit: Visit) -> None:
    page = shown(visit, base, OHIO)
    find(page, "18001")
    expect(page.locator("#gm-found-count")).to_contain_text("12 tracts")
    says(page, "Indiana")
    expect(page.get_by_text("12 of 12 with a value")).to_be_visible()
    assert "within" not in state_of(page)


# Texts ------------------------------------------------------------------------------------------


def test_whole_numbers_have_all_their_digits(base: str, visit: Visit) -> None:
    page = shown(visit, base, OHIO, measure="people_count", unit=f"{KNOWN[:-1]}1")
    cells = page.get_by_role("region", name="Ranking").locator("td.gm-value")
    expect(cells.nth(0)).to_have_text("52,347")
    expect(cells.nth(1)).to_have_text("1,235")
    expect(cells.nth(2)).to_have_text("123.5")
    expect(page.get_by_role("region", name="Chosen place")).to_contain_text("52,347")


def test_a_map_is_named_after_what_it_shows_and_its_keys_are_told_once(base: str, visit: Visit) -> None:
    page = shown(visit, base, SAMPLE, measure="people_count", year="2019")
    map_ = page.get_by_role("application")
    expect(map_).to_have_accessible_name(re.compile("^Map: People.*, 2019"))
    assert map_.get_attribute("aria-label").count("zoom") == 1
    page.locator("#gm-year").press("ArrowRight")
    expect(map_).to_have_accessible_name(re.compile("^Map: People.*, 2020"))


def test_a_tract_in_a_county_without_a_name_has_that_of_its_state(base: str, visit: Visit) -> None:
    page = shown(visit, base, SAMPLE)
    find(page, "91001000007")
    says(page, "Census Tract 0.07, Sample State A .made up.")


# Polygons ---------------------------------------------------------------------------------------


def test_a_choice_while_polygons_come_is_drawn(base: str, visit: Visit) -> None:
    page = shown(visit, base)
    held = Held(page, "results/polygons")
    choose(page, SAMPLE)
    expect(page.get_by_role("heading", name=re.compile("People.*, 2020")).first).to_be_visible()
    page.locator("#gm-year").press("ArrowLeft")
    expect(page.get_by_role("heading", name=re.compile("People.*, 2019")).first).to_be_visible()
    held.let_go()
    settled(page)
    says(page, "People.*, 2019: [0-9]")


def test_polygons_that_failed_are_asked_for_again(base: str, visit: Visit) -> None:
    page = shown(visit, base)
    refused = Refused(visit, page, "results/polygons", 503)
    choose(page, SAMPLE)
    expect(page.locator(".gm-problem:not(#gm-problem)")).to_have_text("not now")
    expect(page.locator("#gm-problem")).to_have_text("not now")
    refused.forgive()
    page.locator("#gm-year").press("ArrowLeft")
    settled(page)
    says(page, "People.*, 2019: [0-9]")
    expect(page.locator("#gm-problem")).to_be_hidden()


def test_a_problem_goes_when_it_is_over(base: str, visit: Visit) -> None:
    page = shown(visit, base)
    refused = Refused(visit, page, "results/cells", 503)
    page.get_by_role("application").focus()
    for _ in range(6):
        page.keyboard.press("+")
    expect(page.locator("#gm-problem")).to_have_text("not now")
    refused.forgive()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#gm-problem")).to_be_hidden()


def test_cells_of_a_view_that_was_left_are_not_drawn(base: str, visit: Visit) -> None:
    def as_of_a_nation(route: Any) -> None:
        # The first level is good enough for all of it.
        found = route.fetch()
        route.fulfill(response=found, json={**found.json(), "tolerances": [10, 1, 0.5, 0.1]})

    page = visit(f"{base}/geomob")
    page.route(re.compile("results/units"), as_of_a_nation)
    page.get_by_role("tab", name="Results").click()
    settled(page)
    says(page, "18001000006")
    held = Held(page, "results/cells")
    # At the border of all.
    find(page, "39001000012")
    held.await_one()
    page.get_by_role("application").focus()
    page.keyboard.press("0")
    page.wait_for_timeout(500)
    with answered(page, re.compile("results/polygons.*of=tract.*level=[1-9]")):
        held.let_go()
    # Cells about one tract have not what is in the middle of all.
    says(page, "18001000006")


def test_polygons_that_were_replaced_are_fetched_anew(base: str, visit: Visit) -> None:
    page = shown(visit, base, within="39")
    known = page.evaluate("geomob.json('results/units', {entry: geomob.state.get('entry'), year: 2020})")["drawn"]
    refused = Refused(visit, page, "results/cells", 404, most=1)
    with page.expect_response(re.compile("results/units")):
        find(page, KNOWN)
    says(page, "Opportunity, 2020: 39")
    expect(page.locator("#gm-problem")).to_be_hidden()
    for address in refused.addresses:
        assert parse_qs(urlsplit(address).query)["drawn"] == [known]


def test_rows_are_not_mixed_with_those_of_polygons_that_were_replaced(
    base: str, visit: Visit, store: Store, tmp_path: Path
) -> None:
    visit.expected.append("status of 404")
    page = shown(visit, base, REPLACED)
    ingest_others(store, tmp_path, "replaced", without="91001000001")
    # Until the server sees it.
    page.wait_for_timeout(1000 * _FRESH + 200)
    with page.expect_response(re.compile("results/units")):
        find(page, "93001000012")
    settled(page)
    says(page, "^Census Tract 0.12, Sample State C .*2020: 11. 93001000012")
    expect(page.locator("#gm-problem")).to_be_hidden()
