"""The results page of the Dask dashboard on a national store: 70,534 real tracts, five years of a made-up index.

Polygons are those of GEOMOB_DATA; numbers follow from a seed, vary by county and tract, and move from year to year.
Some are suppressed, some missing. What is there already stays, so that the store is built once.

    GEOMOB_DATA=/data python benchmarks/explore.py /tmp/national
    GEOMOB_DATA=/data python benchmarks/explore.py /tmp/national --part page
    GEOMOB_DATA=/data python benchmarks/explore.py /tmp/national --part readers --readers 10

`page`: a browser (Debian's Chromium) opens the page, changes the year, goes to Ohio, points at a tract until its
interval is shown, and scrolls to the charts; seconds and bytes over the wire. The first visit is also the scheduler's
first. `readers`: tasks through the scheduler, alone and while so many
readers ask for what a browser asks for; they keep nothing, so that every answer is sent whole.
"""

import argparse
import contextlib
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
import psutil

from geomob_dask.explore.geometry import prepare
from geomob_dask.runs.landing import ingest
from geomob_dask.store import Provenance, Store

VINTAGE, DATASET, NAME = "2010", "made", "made_index"
YEARS = (2018, 2019, 2020, 2021, 2022)
DOMAINS = ("income", "housing", "health")
# Seconds without an answer after which a page is taken to ask for nothing more.
_IDLE = 1.5
SUPPRESSED, EMPTY = "fewer than 50 people: suppressed", "nobody lives here"
DEFINITION = {
    "name": NAME,
    "title": "Made-up index",
    "population": "people",
    "domains": {name: [{"measure": f"{name}_pct", "direction": 1}] for name in DOMAINS},
}


def national_store(folder: str | Path) -> Store:
    """Return the store, with polygons ready to be drawn; built if it is not there."""
    store = Store(str(Path(folder) / "store"))
    if store.find(f"tracts/{VINTAGE}") is None:
        file = Path(os.environ["GEOMOB_DATA"]) / "tracts" / "cb500k_2010_vintage.parquet"
        ingest(store, "tracts", files=[str(file)], vintage=VINTAGE)
    tracts = store.snapshot(f"tracts/{VINTAGE}")
    for year in YEARS:
        path = f"opportunity/{NAME}/{DATASET}/{year}/all-selected"
        for product, name, table_of in (
            ("opportunity", f"results/{path}", index_of),
            ("intervals", f"intervals/{path}-200-0", intervals_of),
        ):
            if store.find(name) is not None:
                continue
            parts = {}
            for state, part in tracts.parts.items():
                geoids = store.read(part, ["aland"]).index
                parts[state] = store.put(name, state, table_of(geoids, year))
            about = Provenance(
                product, {tracts.collection: tracts.checksum()}, {"definition": DEFINITION, "norm": "selected"}
            )
            store.commit(name, parts, about, {"vintage": VINTAGE})
    prepare(store, VINTAGE)
    return store


def index_of(geoids: pd.Index, year: int) -> pd.DataFrame:
    """Return an index and its domains, of a year."""
    numbers = geoids.astype("int64").to_numpy()
    county = numbers // 10**6
    first = 30 * np.sin(county * 0.7) + 12 * _noise(numbers, 1) + 50
    table = {"opportunity": np.clip(first + (year - 2018) * 1.5 * _noise(numbers, year), 0, 100)}
    table["deprivation"] = 100 - table["opportunity"]
    for place, name in enumerate(DOMAINS):
        table[name] = np.clip(table["deprivation"] / 100 + 0.1 * _noise(numbers, year + place), 0, 1)
    chance = _share(numbers, 7)
    reason = np.select([chance < 0.01, chance < 0.015], [SUPPRESSED, EMPTY], "")
    frame = pd.DataFrame(table, index=geoids).mask(pd.Series(reason != "", geoids), np.nan)
    return frame.assign(reason=pd.array(reason, dtype="str"), population_zero=reason == EMPTY)


def intervals_of(geoids: pd.Index, year: int) -> pd.DataFrame:
    """Return intervals of the index of a year."""
    index = index_of(geoids, year)["opportunity"]
    width = 2 + 6 * _share(geoids.astype("int64").to_numpy(), year)
    columns = {"opportunity_corrected": index, "opportunity_lb": index - width, "opportunity_ub": index + width}
    return pd.DataFrame({**columns, "opportunity_se": width / 1.645}, index=geoids)


def _share(numbers: np.ndarray, salt: int) -> np.ndarray:
    """Return a number from 0 to 1 that follows from a key."""
    mixed = (numbers.astype(np.uint64) + np.uint64(salt * 7919)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2**53


def _noise(numbers: np.ndarray, salt: int) -> np.ndarray:
    return np.sqrt(12.0) * (_share(numbers, salt) - 0.5)


# The page in a browser ----------------------------------------------------------------------------


@contextlib.contextmanager
def served(url: str) -> Iterator[tuple[str, str, psutil.Process]]:
    """Start a scheduler with the page and one worker; yield the scheduler's address, the page's and its process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        line = [sys.executable, "-m", "dask", "scheduler", "--preload", "geomob_dask.explore.preload", "--port", "0"]
        line += ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        scheduler = subprocess.Popen(line, env={**os.environ, "DASK_GEOMOB__STORE": url}, **quiet)
        try:
            while not file.exists() or not file.stat().st_size:
                time.sleep(0.1)
            about = json.loads(file.read_text())
            address = about["address"]
            line = [sys.executable, "-m", "dask", "worker", address, "--nthreads", "1", "--no-dashboard"]
            worker = subprocess.Popen(line, **quiet)
            try:
                page = f"http://127.0.0.1:{about['services']['dashboard']}/geomob"
                yield address, page, psutil.Process(scheduler.pid)
            finally:
                worker.terminate()
                worker.wait()
        finally:
            scheduler.terminate()
            scheduler.wait()


class Wire:
    """What a page of a browser has received: seconds since the step began, bytes and address of each answer."""

    def __init__(self, page: Any) -> None:
        self.page, self.answers, self._asked, self._began = page, [], {}, time.perf_counter()
        session = page.context.new_cdp_session(page)
        session.send("Network.enable", {})
        session.on("Network.requestWillBeSent", lambda event: self._asked.update({event["requestId"]: event}))
        session.on("Network.loadingFinished", self._ended)

    def _ended(self, event: dict[str, Any]) -> None:
        address = self._asked.get(event["requestId"], {}).get("request", {}).get("url", "")
        self.answers.append((time.perf_counter() - self._began, event["encodedDataLength"], address))

    def step(self, name: str, act: Callable[[], None], last: str = "") -> dict[str, Any]:
        """Return what a step took until its picture was there, and what came until nothing more was asked for.

        Parameters
        ----------
        last : str
            A part of addresses: the picture is there with the last of these answers. Else it is there after `act`.
        """
        self.answers, self._began = [], time.perf_counter()
        act()
        seconds = time.perf_counter() - self._began
        while time.perf_counter() - self._began < max([seconds, *(when for when, _, _ in self.answers)]) + _IDLE:
            self.page.wait_for_timeout(100)
        if last:
            seconds = max(when for when, _, address in self.answers if last in address)
        until = sum(size for when, size, _ in self.answers if when <= seconds)
        everything = sum(size for _, size, _ in self.answers)
        return {"step": name, "s": seconds, "MB until then": until / 1e6, "MB in all": everything / 1e6}


def visit(browser: Any, url: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the steps of a visit by a new browser, and the addresses that its page has asked for."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    wire, ready = Wire(page), page.locator(".gm-panel:not([aria-busy])")

    def first() -> None:
        page.goto(f"{url}#tab=results")
        ready.locator(".gm-classes li").first.wait_for()

    def year() -> None:
        page.locator("#gm-year").press("ArrowLeft")
        page.get_by_role("heading", name=str(YEARS[-2])).first.wait_for()
        ready.first.wait_for()

    steps = [wire.step("first picture", first)]
    asked = [address for _, _, address in wire.answers]
    steps.append(wire.step("another year", year))
    asked += [address for _, _, address in wire.answers]
    steps.append(wire.step("to Ohio", lambda: page.locator("#gm-state").select_option(label="Ohio"), "/polygons"))
    box = page.get_by_role("application").first.bounding_box()

    def interval() -> None:
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.get_by_role("tooltip").filter(has_text=re.compile("[0-9] to [0-9]")).wait_for()

    def charts() -> None:
        page.get_by_role("region", name="Histogram").scroll_into_view_if_needed()
        page.locator(".bk-Figure").first.wait_for()

    steps += [wire.step("a tract's interval", interval), wire.step("charts", charts)]
    context.close()
    return steps, [address for address in asked if "/geomob/" in address]


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Yield a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def pages(url: str, visits: int) -> list[dict[str, Any]]:
    """Return the steps of the scheduler's first visit, and the medians of further visits."""
    with served(url) as (_, page, scheduler), chromium() as browser:
        rows = []
        for number in range(visits + 1):
            steps, _ = visit(browser, page)
            held = scheduler.memory_info().rss / 2**20
            rows += [{"visit": "first" if number == 0 else "further", **step, "held MiB": held} for step in steps]
        table = pd.DataFrame(rows)
        return table.groupby(["visit", "step"], sort=False).median().reset_index().to_dict("records")


# Readers beside a computation -----------------------------------------------------------------------


def readers(url: str, count: int, tasks: int, rounds: int) -> dict[str, float]:
    """Return seconds of a computation alone and beside readers, alternating, and their ratio."""
    with served(url) as (address, page, scheduler), distributed.Client(address) as client:
        with chromium() as browser:
            _, asked = visit(browser, page)
        client.wait_for_workers(1)
        alone, beside, answers = [], [], 0
        computed(client, tasks)
        for _ in range(rounds):
            alone.append(computed(client, tasks))
            with reading(asked, count) as read:
                beside.append(computed(client, tasks))
            answers += read[0]
        found = {"tasks": tasks, "readers": count, "alone s": statistics.median(alone)}
        found |= {"beside readers s": statistics.median(beside), "answers a s": answers / sum(beside)}
        found |= {"ratio": found["beside readers s"] / found["alone s"]}
        return found | {"scheduler MiB": scheduler.memory_info().rss / 2**20}


def computed(client: distributed.Client, tasks: int) -> float:
    """Return the seconds of so many tasks of some milliseconds, one after the other on one worker."""
    start = time.perf_counter()
    distributed.wait(client.map(_spin, range(tasks), pure=False))
    return time.perf_counter() - start


def _spin(number: int) -> int:
    return sum(value * value for value in range(40_000)) + number


@contextlib.contextmanager
def reading(asked: list[str], count: int) -> Iterator[list[int]]:
    """Have readers ask, each for one address after the other, half a second apart, as a slider that is moved."""
    stopped, read = threading.Event(), [0]

    def reader(first: int) -> None:
        for address in itertools.islice(itertools.cycle(asked), first, None):
            if stopped.is_set():
                return
            request = urllib.request.Request(address, headers={"Accept-Encoding": "gzip"})
            with urllib.request.urlopen(request) as answer:
                answer.read()
            read[0] += 1
            stopped.wait(0.5)

    threads = [threading.Thread(target=reader, args=(number * 3,)) for number in range(count)]
    for thread in threads:
        thread.start()
    yield read
    stopped.set()
    for thread in threads:
        thread.join()


def main() -> None:
    """Build the store, and measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of the store")
    parser.add_argument("--part", choices=["store", "page", "readers", "all"], default="store")
    parser.add_argument("--visits", type=int, default=5, help="after the first")
    parser.add_argument("--readers", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    url = national_store(asked.folder).url
    print(url)
    if asked.part in ("page", "all"):
        print(pd.DataFrame(pages(url, asked.visits)).to_string(index=False, float_format="{:.2f}".format))
    if asked.part in ("readers", "all"):
        found = readers(url, asked.readers, asked.tasks, asked.rounds)
        print(pd.DataFrame([found]).to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
