"""The page in a browser, on a LocalCluster and on ``dask scheduler --preload``: a run as it happens, and results."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
from backfill_country import QUIET, backfill_of, fill, write_definitions
from browser import DESKTOP, PHONE, There, Visit, answered, expect, overflow, pixels, screenshot
from gated_outputs import REASON, hold
from made_index import KNOWN, MISSING, SUPPRESSED, YEARS, put_index
from prefix_proxy import behind
from waits import await_that, free_port

from geomob_dask.clusters.page import PRELOAD
from geomob_dask.runs.backfill.plan import Asked, plan_backfill
from geomob_dask.runs.engine import execute
from geomob_dask.store import Store

TESTS = Path(__file__).parents[1]
PREFIX = "/user/ana/proxy/8787"
RED = (0xC2, 0x41, 0x0C)


@contextmanager
def local_cluster(store: Store, folder: Path) -> Iterator[tuple[distributed.Client, str]]:
    settings = {"distributed.scheduler.preload": [PRELOAD], "geomob.store": store.url}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client, cluster.dashboard_link.removesuffix("/status")


@contextmanager
def scheduler_process(store: Store, folder: Path) -> Iterator[tuple[distributed.Client, str]]:
    """Start ``dask scheduler --preload`` and two workers as a user would."""
    web, file = free_port(), folder / "scheduler.json"
    environment = {**os.environ, "DASK_GEOMOB__STORE": store.url, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
    dask_command = [sys.executable, "-m", "dask"]
    scheduler = [*dask_command, "scheduler", "--preload", PRELOAD, "--host", "127.0.0.1", "--port", "0"]
    scheduler += ["--dashboard-address", f"127.0.0.1:{web}", "--scheduler-file", str(file)]
    worker = [*dask_command, "worker", "--scheduler-file", str(file), "--nworkers", "2", "--nthreads", "1"]
    worker += ["--local-directory", str(folder), "--no-dashboard"]
    started = []
    try:
        for name, command in (("scheduler", scheduler), ("worker", worker)):
            log = (folder / f"{name}.log").open("w")
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            log.close()
        await_that(file.exists, 60, (folder / "scheduler.log").read_text)
        with distributed.Client(scheduler_file=str(file)) as client:
            client.wait_for_workers(2, timeout=60)
            yield client, f"http://127.0.0.1:{web}"
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module", params=[local_cluster, scheduler_process])
def ran(request: pytest.FixtureRequest, chromium: There, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Run a backfill of which one state fails, watched on the page; yield the address of the dashboard."""
    folder = tmp_path_factory.mktemp("country")
    write_definitions(folder)
    store = fill(str(folder / "store"), folder, years=YEARS, graph=False)
    put_index(store)
    visit = Visit(chromium)
    with request.param(store, folder) as (client, base), ThreadPoolExecutor(1) as pool:
        client.run(hold, str(folder), ("18",))
        page = visit(f"{base}/status")
        page.get_by_role("link", name=re.compile("^geomob$", re.IGNORECASE)).click()
        expect(page.get_by_role("heading", name="GeoMob")).to_be_visible()
        expect(page.get_by_role("status")).to_have_text("No run yet.")
        plan = plan_backfill(store, backfill_of(folder, "mixed", "counties"), Asked(years=YEARS))
        future = pool.submit(execute, store, plan, client, QUIET)
        expect(page.get_by_role("status")).to_contain_text("night: 0 of 12 outputs done, 2 running")
        (folder / "go").touch()
        expect(page.get_by_role("status")).to_contain_text("night: 8 of 12 outputs done, 4 failed", timeout=60_000)
        assert set(future.result(60).failed) == {
            f"{product}-{year}-18" for product in ("mixed", "counties") for year in YEARS
        }
        assert visit.end() == []
        yield base


@pytest.fixture
def prefixed(ran: str) -> Iterator[str]:
    """Yield the dashboard's address behind a prefix; ``visit`` comes after it: pages ask until they are closed."""
    with behind(int(ran.rpartition(":")[2]), PREFIX) as address:
        yield address


def met(page: There, product: str, title: str) -> tuple[float, float]:
    """Move over the grid of a product until the tooltip has a title; return where that is."""
    canvas = page.get_by_role("application", name=re.compile(f"^{product}:"))
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for y in range(24, int(box["height"]), 8):
        for x in range(40, int(box["width"]), 8):
            at = box["x"] + x, box["y"] + y
            page.mouse.move(*at)
            tip = page.locator("#gm-tip")
            if tip.is_visible() and title in tip.inner_text():
                return at
    pytest.fail(f"no cell says {title}")


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    """Return whether two boxes have a place in common."""
    across = one["x"] < other["x"] + other["width"] and other["x"] < one["x"] + one["width"]
    return across and one["y"] < other["y"] + other["height"] and other["y"] < one["y"] + one["height"]


def within_window(page: There, box: dict[str, float]) -> bool:
    """Return whether a box is in sight: in the window, below the dashboard's own bar."""
    wide, high = page.viewport_size["width"], page.viewport_size["height"]
    bar = page.locator(".navbar").first.bounding_box()
    top = max(0, bar["y"] + bar["height"])
    return box["x"] >= 0 and box["x"] + box["width"] <= wide and top <= box["y"] and box["y"] + box["height"] <= high


def tapped(tip: There, place: Callable[[], tuple[float, float]], text: str) -> None:
    """Tap a place until the tooltip says a text: while a page is loaded, what stands in it moves."""
    page = tip.page

    def said() -> bool:
        page.touchscreen.tap(*place())
        page.wait_for_timeout(300)
        return tip.is_visible() and text in tip.inner_text()

    await_that(said, 30, lambda: f"no tooltip says {text}")


def test_a_failing_state_is_red_and_says_why(ran: str, visit: Visit, screenshots: Path) -> None:
    page = visit(f"{ran}/geomob")
    expect(page.get_by_role("status")).to_contain_text("8 of 12 outputs done, 4 failed")
    expect(page.get_by_text("Failures: 4 outputs, 1 reason")).to_be_visible()
    x, y = met(page, "mixed", "mixed, 2020, Indiana")
    expect(page.locator("#gm-tip")).to_contain_text(REASON)
    shown = pixels(page)[int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7].reshape(-1, 3)
    assert (shown == RED).all(axis=1).any()
    page.mouse.click(x, y)
    page.mouse.move(2, 790)
    expect(page.get_by_role("region", name="Output")).to_contain_text("Indiana")
    expect(page.get_by_role("region", name="Output")).to_contain_text(REASON)
    assert overflow(page) == []
    screenshot(page, screenshots, "explore-run")


# Plans come a second late, asked for and answered are counted, and grids that are put into the page; `again` looks at
# the run anew while the first plan is awaited.
_LATE_PLANS = """
window.asked = window.answered = window.built = 0;
const real = window.fetch;
window.fetch = async (address, ...more) => {
  if (!String(address).includes("/plan")) return real(address, ...more);
  if (!window.asked++ && AGAIN) document.dispatchEvent(new Event("visibilitychange"));
  await new Promise((go) => setTimeout(go, 1000));
  const answer = await real(address, ...more);
  setTimeout(() => { window.answered += 1; }, 200);
  return answer;
};
new MutationObserver((changes) => {
  const grids = ({ target, addedNodes }) => target.className === "gm-grids" && addedNodes.length;
  window.built += changes.filter(grids).length;
}).observe(document, { childList: true, subtree: true });
"""


@pytest.mark.parametrize(("again", "plans"), [("false", 1), ("true", 2)])
def test_the_grid_of_a_run_is_built_once(ran: str, visit: Visit, again: str, plans: int) -> None:
    page = visit(f"{ran}/geomob", before=_LATE_PLANS.replace("AGAIN", again))
    expect(page.get_by_role("status")).to_contain_text("8 of 12 outputs done, 4 failed")
    await_that(lambda: page.evaluate("window.asked === window.answered"), 30)
    assert page.evaluate("[window.asked, window.built]") == [plans, 1]


def test_the_grid_by_keyboard(ran: str, visit: Visit) -> None:
    page = visit(f"{ran}/geomob")
    grid = page.get_by_role("application", name=re.compile("^counties:"))
    expect(grid).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if grid.evaluate("one => one === document.activeElement"):
            break
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    tip = page.locator("#gm-tip")
    expect(tip).to_contain_text("counties, 2020, Indiana")
    expect(tip).to_contain_text(REASON)
    page.keyboard.press("ArrowDown")
    expect(tip).to_contain_text("counties, 2019, Indiana")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Output")).to_contain_text("counties, 2019, Indiana")


def test_a_run_on_a_phone_behind_a_prefix(prefixed: str, visit: Visit, screenshots: Path) -> None:
    page = visit(f"{prefixed}/geomob", PHONE)
    expect(page.get_by_role("status")).to_contain_text("8 of 12 outputs done, 4 failed")
    page.get_by_text("Failures: 4 outputs, 1 reason").tap()
    expect(page.get_by_text(REASON)).to_be_visible()
    assert overflow(page) == []
    screenshot(page, screenshots, "explore-run")
    canvas = page.get_by_role("application").first
    canvas.scroll_into_view_if_needed()
    tip = page.locator("#gm-tip")

    def corner() -> tuple[float, float]:
        box = canvas.bounding_box()
        return box["x"] + box["width"] - 10, box["y"] + box["height"] - 10

    tapped(tip, corner, "Ohio")
    screenshot(page, screenshots, "explore-run-tapped")
    # The grid is small: all of it stays in sight, and the tooltip too.
    assert not overlap(tip.bounding_box(), canvas.bounding_box())
    assert within_window(page, tip.bounding_box())


@pytest.mark.parametrize("height", [844, 420, 300])
def test_on_a_phone_a_tooltip_covers_no_cell_that_it_is_of(ran: str, visit: Visit, height: int) -> None:
    page = visit(f"{ran}/geomob", {**PHONE, "viewport": {"width": 390, "height": height}})
    expect(page.get_by_role("status")).to_contain_text("8 of 12 outputs done, 4 failed")
    canvas, tip = page.get_by_role("application").first, page.locator("#gm-tip")

    def cell(row: int) -> tuple[float, float]:
        box = canvas.bounding_box()
        return box["x"] + box["width"] - 10, box["y"] + 18 + 22 * row + 11

    def shown(row: int) -> tuple[float, float]:
        canvas.evaluate("one => scrollTo(0, one.getBoundingClientRect().top + scrollY - innerHeight / 2)")
        return cell(row)

    for row, name in enumerate(("Illinois", "Indiana", "Ohio")):
        tapped(tip, lambda row=row: shown(row), name)
        expect(tip).to_contain_text("Collection")
        x, y = cell(row)
        assert not overlap(tip.bounding_box(), {"x": x - 8, "y": y - 10, "width": 16, "height": 20})
        assert within_window(page, tip.bounding_box())


def test_the_task_stream_behind_a_prefix(prefixed: str, visit: Visit) -> None:
    page = visit(f"{prefixed}/geomob")
    expect(page.frame_locator("iframe").locator(".bk-Figure").first).to_be_visible()
    page.get_by_role("link", name="Workers", exact=True).click()
    expect(page.locator(".bk-DataTable").first).to_be_visible()
    page.get_by_role("link", name=re.compile("^geomob$", re.IGNORECASE)).click()
    expect(page.get_by_role("status")).to_contain_text("8 of 12 outputs done")


# Results -----------------------------------------------------------------------------------------


def results(visit: Visit, base: str, seen: dict[str, Any] = DESKTOP) -> There:
    """Open the tab of results, and choose the index."""
    page = visit(f"{base}/geomob", seen)
    page.get_by_role("tab", name="Results").click()
    choice = page.locator("#gm-result")
    name = choice.locator("option", has_text="made_index").first.text_content()
    choice.select_option(label=name)
    expect(page.get_by_role("heading", name=re.compile("Opportunity.*, 2020")).first).to_be_visible()
    expect(page.get_by_text("Loading…")).to_have_count(0)
    return page


def pointed_at(page: There, code: str) -> There:
    """Search for a tract, point at it, and return the tooltip."""
    page.locator("#gm-find").fill(code)
    page.locator("#gm-find").press("Enter")
    expect(page.get_by_role("region", name="Chosen place")).to_contain_text(code)
    canvas, tip = page.get_by_role("application").first, page.get_by_role("tooltip").first
    canvas.scroll_into_view_if_needed()

    def said() -> bool:
        # What stands above may become higher, and the map rests some time after it was moved.
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        return tip.is_visible() and code in tip.inner_text()

    await_that(said, 30, lambda: f"no tooltip says {code}")
    return tip


def test_a_result_is_picked_and_read(ran: str, visit: Visit, screenshots: Path) -> None:
    page = results(visit, ran)
    page.locator("#gm-state").select_option(label="Ohio")
    tip = pointed_at(page, KNOWN)
    expect(tip).to_contain_text("39001000005")
    expect(tip).to_contain_text("39")
    expect(pointed_at(page, SUPPRESSED)).to_contain_text("suppressed")
    expect(pointed_at(page, MISSING)).to_contain_text("nobody lives here")
    expect(page.locator(".gm-map-legend").first).to_contain_text(re.compile("Suppressed *1"))
    expect(page.locator(".gm-map-legend").first).to_contain_text(re.compile("No value *1"))
    screenshot(page, screenshots, "explore-results")
    page.locator("#gm-year").press("ArrowLeft")
    expect(page.get_by_role("heading", name=re.compile("Opportunity.*, 2019")).first).to_be_visible()
    expect(pointed_at(page, KNOWN)).to_contain_text("34")
    assert overflow(page) == []


def fetched(page: There, what: str) -> list[str]:
    """Return the addresses that a page has fetched and that have some text in them."""
    names = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
    return [name for name in names if what in name]


def test_an_interval_is_fetched_when_a_place_is_looked_at(ran: str, visit: Visit) -> None:
    page = results(visit, ran)
    assert fetched(page, "/bounds") == []
    expect(pointed_at(page, KNOWN)).to_contain_text("37 to 42")
    [address] = fetched(page, "/bounds")
    assert "within=39" in address
    # The series of the place that the search has chosen.
    expect(page.get_by_role("region", name="Chosen place")).to_contain_text("corrected 35, 32 to 37")
    # By keys it is said as well as shown; its state is there already.
    page.mouse.move(5, 5)
    page.get_by_role("application").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".tract-map-said").first).to_contain_text("Opportunity, 2020: 39 (corrected 40, 37 to 42)")
    assert fetched(page, "/bounds") == [address]


def test_no_interval_of_another_year_is_shown(ran: str, visit: Visit) -> None:
    page = results(visit, ran)
    held: list[Any] = []
    page.route("**/results/bounds?*year=2020*", lambda route: held.append(route))
    tip = pointed_at(page, KNOWN)
    expect(tip).to_contain_text("interval: loading…")
    expect(tip).not_to_contain_text("37 to 42")
    page.locator("#gm-year").evaluate("one => { one.value = 0; one.dispatchEvent(new Event('input')); }")
    expect(page.get_by_role("heading", name=re.compile("Opportunity.*, 2019")).first).to_be_visible()
    expect(pointed_at(page, KNOWN)).to_contain_text("32 to 37")
    with answered(page, "**/results/bounds?*year=2020*"):
        There(page._thread, held.pop()).continue_()
    expect(tip).to_contain_text("Opportunity, 2019")
    expect(tip).to_contain_text("32 to 37")


def test_charts_are_drawn_once_they_are_in_view(ran: str, visit: Visit) -> None:
    page = visit(f"{ran}/geomob#tab=results", {"viewport": {"width": 1280, "height": 600}})
    expect(page.get_by_role("region", name="Histogram")).to_contain_text("Median")
    assert page.evaluate("typeof Bokeh") == "undefined"
    page.get_by_role("region", name="Histogram").scroll_into_view_if_needed()
    expect(page.get_by_role("region", name="Histogram").locator(".bk-Figure")).to_be_visible()


def test_two_years_have_one_view(ran: str, visit: Visit, screenshots: Path) -> None:
    page = results(visit, ran)
    page.locator("#gm-compare").select_option(label="Two maps")
    expect(page.get_by_role("application")).to_have_count(2)
    expect(page.get_by_role("heading", name=re.compile("Opportunity.*, 2019"))).to_be_visible()
    bars = page.locator(".tract-map-bar")
    expect(bars.nth(1)).not_to_be_empty()
    whole = bars.nth(1).inner_text()
    page.get_by_role("application").first.focus()
    for _ in range(3):
        page.keyboard.press("+")
    expect(bars.nth(1)).not_to_have_text(whole)
    assert bars.nth(0).inner_text() == bars.nth(1).inner_text()
    assert overflow(page) == []
    screenshot(page, screenshots, "explore-two-years")


def test_maps_of_unlike_units_have_one_view(ran: str, visit: Visit) -> None:
    page = results(visit, ran)
    page.locator("#gm-compare").select_option(label="Two maps")
    expect(page.get_by_role("heading", name=re.compile("Opportunity.*, 2019"))).to_be_visible()
    result = page.locator("#gm-result")
    page.locator("#gm-result2").select_option(value=result.input_value())
    regions = result.locator("option[value^='results/exposure/']").first.get_attribute("value")
    result.select_option(value=regions)
    expect(page.locator(".gm-notes")).to_contain_text("regions (county)")
    expect(page.get_by_text("Loading…")).to_have_count(0)
    bars = page.locator(".tract-map-bar")
    whole = bars.nth(1).inner_text()
    page.get_by_role("application").first.focus()
    for _ in range(3):
        page.keyboard.press("+")
    expect(bars.nth(1)).not_to_have_text(whole)
    assert bars.nth(0).inner_text() == bars.nth(1).inner_text()


def test_results_on_a_phone_behind_a_prefix(prefixed: str, visit: Visit, screenshots: Path) -> None:
    page = results(visit, prefixed, PHONE)
    assert overflow(page) == []
    canvas = page.get_by_role("application").first
    canvas.scroll_into_view_if_needed()

    def middle() -> tuple[float, float]:
        box = canvas.bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    tapped(page.get_by_role("tooltip").first, middle, "Census Tract")
    expect(page.get_by_role("tooltip").first).to_contain_text(re.compile(r"\d to \d"))
    screenshot(page, screenshots, "explore-results")
    # Intervals of real draws have more digits than these: they break into lines, and nothing of them is cut off.
    table = page.get_by_role("region", name="Ranking").get_by_role("table")
    interval = table.locator(".gm-value .gm-soft").first
    expect(interval).to_have_text(re.compile(r"\d to \d"))
    interval.evaluate("one => { one.textContent = 'corrected 99.78, 99.59 to 99.88'; }")
    assert table.evaluate("one => one.scrollWidth - one.parentElement.clientWidth") <= 1
