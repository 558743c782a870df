"""What a first visitor would wait for is made when the scheduler starts; a store that fails or hangs stops nothing."""

import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import dask
import distributed
import pytest
from dashboard_site import Site
from stores import build_graph, build_index, ingest_sample

from geomob_dask.clusters.page import PRELOAD
from geomob_dask.explore import results, serving
from geomob_dask.explore.geometry import prepare
from geomob_dask.explore.preload import NAME
from geomob_dask.explore.serving import Explorer
from geomob_dask.explore.warm import warm
from geomob_dask.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("sample")
    store = ingest_sample(str(folder / "store"), folder)
    build_graph(store)
    build_index(store)
    prepare(store, "sample")
    return store


@contextmanager
def cluster(url: str) -> Iterator[distributed.Scheduler]:
    """Start a scheduler with the page, in this process."""
    settings = {"distributed.scheduler.preload": [PRELOAD], "geomob.store": url, "geomob.store-timeout": 5}
    options = {"n_workers": 0, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with dask.config.set(settings), distributed.LocalCluster(**options) as started:
        yield started.scheduler


def site_of(scheduler: distributed.Scheduler) -> Site:
    return Site(f"http://127.0.0.1:{scheduler.http_server.port}/")


def first_visit(site: Site) -> list[str]:
    """Ask for what a browser asks for until it has drawn a map and what is below it; return the addresses."""
    assert site.get("geomob")[0] == 200
    found = site.json("geomob/results/catalog")["details"]
    where = {"entry": found["id"], "year": found["year"]}
    shown = {**where, "measure": found["measures"][0]["id"]}
    paths = [f"units?{urlencode(where)}"]
    for what, unit in (("polygons", "tract"), ("borders", "county"), ("borders", "state")):
        paths.append(f"polygons?{urlencode({**where, 'what': what, 'of': unit, 'level': 0})}")
    paths += [f"scale?{urlencode({**shown, 'method': 'quantiles', 'classes': 7})}"]
    paths += [f"{route}?{urlencode(shown)}" for route in ("values", "histogram")]
    paths.append(f"table?{urlencode({**shown, 'by': 'unit', 'order': 'high', 'offset': 0, 'limit': 25})}")
    for path in paths:
        assert site.get(f"geomob/results/{path}", Accept_Encoding="gzip")[0] == 200, path
    return paths


def read_parts(monkeypatch) -> Counter[tuple[str, ...]]:
    """Return a count of what is read from now on, by part and columns."""
    read: Counter[tuple[str, ...]] = Counter()
    original = Store.read

    def counted(self, part, columns=None, *rest):
        read[part.key, *(columns or ())] += 1
        return original(self, part, columns, *rest)

    monkeypatch.setattr(Store, "read", counted)
    return read


def warmed(scheduler: distributed.Scheduler) -> threading.Thread:
    """Return the thread that makes the page's store ready."""
    [thread] = scheduler.plugins[NAME].explorer.warmed.values()
    return thread


def test_the_first_visitor_reads_nothing_from_the_store(store, monkeypatch) -> None:
    with cluster(store.url) as scheduler:
        warmed(scheduler).join(60)
        read = read_parts(monkeypatch)
        assert len(first_visit(site_of(scheduler))) == 8
        assert not read


def test_a_visitor_who_comes_before_it_is_ready_has_nothing_read_twice(store, monkeypatch) -> None:
    read, begun, go_on = read_parts(monkeypatch), threading.Event(), threading.Event()
    original = results.units

    def held(request):
        begun.set()
        assert go_on.wait(60)
        return original(request)

    monkeypatch.setattr(results, "units", held)
    with cluster(store.url) as scheduler:
        assert begun.wait(60)
        # It is held in one thread of the page's three.
        first_visit(site_of(scheduler))
        go_on.set()
        warmed(scheduler).join(60)
    # Rows of the ranking are read alone, with their bounds.
    once = {key: count for key, count in read.items() if key[0].startswith("display/")}
    assert {key[0].split("/")[1] for key in once} == {"tract", "county", "state"}
    assert set(once.values()) == {1}, once


def test_it_ends_with_the_scheduler(store, monkeypatch) -> None:
    begun, go_on, after = threading.Event(), threading.Event(), []

    def held(request):
        begun.set()
        assert go_on.wait(60)

    monkeypatch.setattr(results, "units", held)
    monkeypatch.setattr(results, "values", after.append)
    with cluster(store.url) as scheduler:
        assert begun.wait(60)
        thread = warmed(scheduler)
    # The scheduler did not wait for it.
    assert thread.is_alive()
    go_on.set()
    thread.join(60)
    assert not thread.is_alive()
    assert after == []


def test_it_rests_while_visitors_are_answered_but_not_for_ever(store, monkeypatch) -> None:
    with cluster(store.url) as scheduler:
        warmed(scheduler).join(60)

        def begun(waiting: int, answered: float = -math.inf) -> tuple[Explorer, threading.Thread]:
            explorer = Explorer(scheduler, waiting=waiting, answered=answered)
            explorer.add_store(store.url)
            return explorer, warm(explorer, next(iter(explorer.stores())))

        for waiting, answered in ((1, -math.inf), (0, time.monotonic() + 0.5)):
            explorer, thread = begun(waiting, answered)
            thread.join(0.3)
            assert not explorer.cache._kept
            explorer.waiting = 0
            thread.join(60)
            assert {key[0] for key in explorer.cache._kept} >= {"file", "units", "polygons", "values", "table"}
            explorer.pool.shutdown()
        monkeypatch.setattr(serving, "_LONGEST_REST", 0.1)
        explorer, thread = begun(1)
        thread.join(60)
        assert any(key[0] == "table" for key in explorer.cache._kept)
        explorer.pool.shutdown()


def test_what_no_job_has_prepared_is_not_made_for_nobody(tmp_path) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    with cluster(store.url) as scheduler:
        warmed(scheduler).join(60)
        kept = scheduler.plugins[NAME].explorer.cache._kept
        assert any(key[0] == "contents" for key in kept)
        assert not any(key[0] in ("drawn", "units") for key in kept)


def test_a_store_that_fails_leaves_the_page_and_the_scheduler_well(tmp_path, caplog) -> None:
    with cluster(str(tmp_path / "absent")) as scheduler:
        warmed(scheduler).join(60)
        site = site_of(scheduler)
        assert site.get("geomob")[0] == 200
        assert site.json("geomob/runs/live") == []
        assert site.json("geomob/results/catalog") == {"entries": [], "details": None}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        # Nobody listens there.
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.MonkeyPatch.context() as environment:
            for name, value in environ(endpoint).items():
                environment.setenv(name, value)
            with cluster("s3://bucket/prefix") as scheduler:
                warmed(scheduler).join(60)
                assert not warmed(scheduler).is_alive()
                assert site_of(scheduler).get("geomob")[0] == 200
                assert "error" in site_of(scheduler).json("geomob/results/catalog", 503)
    assert not [record for record in caplog.records if record.exc_info]


def environ(endpoint: str) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


def test_a_bucket_that_never_answers_delays_neither_the_start_nor_the_end(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        environment = {**os.environ, **environ(f"http://127.0.0.1:{silent.getsockname()[1]}")}
        # Whoever waited for an answer of the bucket would wait longer than this test.
        environment |= {"DASK_GEOMOB__STORE": "s3://bucket/prefix", "DASK_GEOMOB__STORE_TIMEOUT": "3000"}
        line = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
        line += ["--dashboard-address", "127.0.0.1:0", "--preload", PRELOAD]
        process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
        try:
            assert process.stderr is not None
            told = []
            for text in process.stderr:
                told.append(text)
                if match := re.search(r"dashboard at:\s+http://[^:]+:([0-9]+)", text):
                    port = match[1]
                    break
            # It has asked.
            silent.settimeout(60)
            connection, _ = silent.accept()
            assert Site(f"http://127.0.0.1:{port}/").get("geomob")[0] == 200
            process.send_signal(signal.SIGTERM)
            _, rest = process.communicate(timeout=60)
            connection.close()
        finally:
            process.kill()
            process.wait()
        assert "Traceback" not in "".join(told) + rest
