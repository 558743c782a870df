"""The page on schedulers of every origin: with the preload, already running, of own clusters; and what runs tell it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import distributed
import pytest
from backfill_country import QUIET, ROOT, backfill_of, fill, write_definitions
from dashboard_site import Site
from waits import await_that

from geomob_dask.clusters import connect, ssh
from geomob_dask.clusters.page import PRELOAD, offered
from geomob_dask.explore import live, opening
from geomob_dask.explore.live import Boards
from geomob_dask.explore.preload import NAME
from geomob_dask.explore.serving import store_id
from geomob_dask.runs import output, telling
from geomob_dask.runs.backfill.plan import Asked, plan_backfill
from geomob_dask.runs.engine import execute
from geomob_dask.runs.telling import RUNNING, TOPIC, WHOLE, Telling
from geomob_dask.sections import AddressSection, LocalSection, SshSection
from geomob_dask.settings import Settings
from geomob_dask.store import Store

ASKED = Asked(years=(2019, 2020))


@pytest.fixture
def store(tmp_path):
    write_definitions(tmp_path)
    return fill(str(tmp_path / "store"), tmp_path, years=(2019, 2020), graph=False)


@contextmanager
def scheduler(*arguments: str, **environ: str) -> Iterator[tuple[str, int]]:
    """Run `dask scheduler` with two workers; yield its address and the port of its dashboard."""
    line = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    line += ["--dashboard-address", "127.0.0.1:0", *arguments]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env={**os.environ, **environ})
    started = [process]
    try:
        found: dict[str, str] = {}
        assert process.stderr is not None
        for text in process.stderr:
            if match := re.search(r"Scheduler at:\s+(\S+)", text):
                found["address"] = match[1]
            if match := re.search(r"dashboard at:\s+http://[^:]+:([0-9]+)", text):
                found["port"] = match[1]
            if "Registering" in text or len(found) == 2:
                break
        threading.Thread(target=process.stderr.read, daemon=True).start()
        for _ in range(2):
            work = [sys.executable, "-m", "distributed.cli.dask_worker", found["address"], "--nthreads", "1"]
            work += ["--no-dashboard", "--no-nanny", "--host", "127.0.0.1"]
            started.append(subprocess.Popen(work, stderr=subprocess.DEVNULL))
        yield found["address"], int(found["port"])
    finally:
        for one in reversed(started):
            one.kill()
            one.wait()


def spoil(store: Store, state: str) -> None:
    """Have the measures of a state be no table, in all years."""
    for year in (2019, 2020):
        part = store.snapshot(f"measures/made/{year}").parts[state]
        Path(store.url, part.key).write_bytes(b"nothing that could be read")


def test_a_failing_state_turns_red_with_its_reason_and_its_file(store, tmp_path) -> None:
    plan = plan_backfill(store, backfill_of(tmp_path, "mixed"), ASKED)
    with scheduler("--preload", PRELOAD, "--dashboard-prefix", "/a/b", DASK_GEOMOB__STORE=store.url) as (address, port):
        site = Site(f"http://127.0.0.1:{port}/a/b/")
        status, _, page = site.get("geomob")
        assert status == 200
        assert site.json("geomob/about")["stores"][0]["url"] == store.url
        # Every address in the page is relative: it is right behind any prefix.
        assert not re.findall(rb'(?:src|href)="/', page)
        for name in set(re.findall(rb'(?:src|href)="(geomob/[^"]+)"', page)):
            assert site.get(name.decode())[0] == 200
        assert site.get("individual-task-stream")[0] == 200
        spoil(store, "18")
        with distributed.Client(address) as client:
            client.wait_for_workers(2, timeout=60)
            result = execute(store, plan, client, QUIET, retry_wait=0.01)
        assert sorted(result.failed) == ["mixed-2019-18", "mixed-2020-18"]
        run = site.json("geomob/runs/live")[0]
        for board in (f"geomob/runs/live/{run['name']}", "geomob/runs/kept/night"):
            now = site.json(f"{board}/now")
            assert now["counts"] == {"done": 4, "failed": 2}
            assert now["letters"] == ["dfd", "dfd"]
            output = site.json(f"{board}/output?group=0&place=1")
            assert output["reason"] == result.failed["mixed-2020-18"]
            assert json.loads(Path(output["file"]).read_text())["reason"] == output["reason"]
            failures = site.json(f"{board}/failures")
            assert failures["outputs"] == 2
            assert {name for one in failures["failures"] for name in one["outputs"]} == set(result.failed)
            assert Path(failures["folder"], "mixed-2019-18.json").is_file()


def test_a_scheduler_that_runs_is_given_the_page_and_each_driver_adds_its_store(store, tmp_path) -> None:
    other = fill(str(tmp_path / "other"), tmp_path, years=(2020,), graph=False)
    with scheduler() as (address, port):
        site = Site(f"http://127.0.0.1:{port}/")
        assert site.get("geomob")[0] == 404
        section = AddressSection(address=address)
        for one in (store, other, store):
            with connect(Settings(store=one.url, cluster="address", clusters={"address": section})):
                pass
        assert site.get("geomob")[0] == 200
        assert b'href="geomob"' in site.get("status")[2]
        assert site.get("status")[2].count(b'href="geomob"') == 1
        stores = site.json("geomob/about")["stores"]
        assert [one["url"] for one in stores] == [store.url, other.url]
        assert site.json(f"geomob/runs/kept?store={stores[1]['id']}") == []
        assert "did you mean" in site.json(f"geomob/runs/kept?store={stores[1]['id']}x", 404)["error"]


def test_own_clusters_have_the_page_and_show_the_store(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-indeed")
    section = LocalSection(workers=1, processes=False, dashboard="127.0.0.1:0")
    settings = Settings(store=store.url, cluster="local", clusters={"local": section})
    with connect(settings) as client:
        port = client.cluster.scheduler.http_server.port
        assert client.cluster.scheduler.http_server.address == "127.0.0.1"
        site = Site(f"http://127.0.0.1:{port}/")
        assert site.json("geomob/about")["stores"][0]["url"] == store.url
        assert execute(store, plan_backfill(store, backfill_of(tmp_path, "mixed"), ASKED), client, QUIET).fine
        [run] = site.json("geomob/runs/live")
        paths = ["geomob", "geomob/about", "geomob/runs/kept", "geomob/runs/kept/night/now"]
        for path in [*paths, *(f"geomob/runs/live/{run['name']}/{what}" for what in ("plan", "now", "failures"))]:
            assert b"very-secret" not in site.get(path)[2]
    assert PRELOAD not in dask.config.get("distributed.scheduler.preload")


def test_a_cluster_without_a_dashboard_does_without_the_page(store) -> None:
    section = LocalSection(workers=1, processes=False)
    with connect(Settings(store=store.url, cluster="local", clusters={"local": section})) as client:
        assert NAME not in client.cluster.scheduler.plugins
        assert offered(client) is None


def test_two_runs_at_once_are_two_boards_and_those_that_began_before_are_known(store, tmp_path, monkeypatch) -> None:
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    products = {"before": "mixed", "one": "counties", "two": "areas"}
    go, real = threading.Event(), output.frame_of

    def gated(*arguments: Any, **options: Any) -> Any:
        assert go.wait(120)
        return real(*arguments, **options)

    with distributed.LocalCluster(**settings) as cluster, ThreadPoolExecutor() as pool:

        def drive(name: str) -> bool:
            (tmp_path / name).mkdir()
            plan = plan_backfill(store, backfill_of(tmp_path / name, products[name], name=name), ASKED)
            with distributed.Client(cluster, set_as_default=False) as client:
                return execute(store, plan, client, QUIET).fine

        assert drive("before")
        monkeypatch.setattr(output, "frame_of", gated)
        first = pool.submit(drive, "one")
        await_that(lambda: any(told["kind"] == "groups" for told in events(cluster, "one")))
        with distributed.Client(cluster, set_as_default=False) as client:
            # One run has ended, and one has begun: the scheduler has kept what they told.
            assert offered(client, store.url) is not None
            site = Site(f"http://127.0.0.1:{cluster.scheduler.http_server.port}/")
            second = pool.submit(drive, "two")
            await_that(lambda: len(site.json("geomob/runs/live")) == 3)
            runs = site.json("geomob/runs/live")
            assert [(run["title"], run["alive"]) for run in runs] == [("two", True), ("one", True), ("before", False)]
            go.set()
            assert first.result(120)
            assert second.result(120)
        for run in site.json("geomob/runs/live"):
            plan = site.json(f"geomob/runs/live/{run['name']}/plan")
            assert {group["product"] for group in plan["groups"]} == {products[run["title"]]}
            now = site.json(f"geomob/runs/live/{run['name']}/now")
            assert (now["alive"], now["counts"]) == (False, {"done": 2 if run["title"] == "two" else 6})


def events(cluster: distributed.LocalCluster, backfill: str) -> list[dict[str, Any]]:
    """Return what the run of a backfill has told a scheduler so far."""
    told = [message for _, message in cluster.scheduler.get_events(TOPIC)]
    runs = {message["run"] for message in told if message.get("backfill") == backfill}
    return [message for message in told if message["run"] in runs]


def test_what_is_told_is_bounded_and_damaged_messages_stop_nothing(store) -> None:
    settings = {"n_workers": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        assert offered(client, store.url) is not None
        site = Site(f"http://127.0.0.1:{cluster.scheduler.http_server.port}/")
        about = {"token": "t", "backfill": "", "title": "<script>alert(1)</script>", "driver": "d", "store": "s"}
        about |= {"journal": "", "began": time.time(), "groups": 1, "outputs": 2}
        for number in range(30):
            client.log_event(TOPIC, {"run": f"run-{number}", "kind": "begin", **about})
        client.log_event(TOPIC, {"run": "large", "kind": "begin", **about, "outputs": 10**9})
        client.log_event(TOPIC, "nothing known")
        client.log_event(TOPIC, {"run": "run-29", "kind": "changes", "changes": [[7, 7, "d", 1, 1.0, "", ""]]})
        group = ["mixed", 2020, "results/x", "18,39", "tt", "11", [10, 20], ""]
        client.log_event(TOPIC, {"run": "run-29", "kind": "groups", "first": 0, "groups": [group]})
        client.log_event(TOPIC, {"run": "run-29", "kind": "changes", "changes": [[0, 1, "r", 2, None, "w", ""]]})
        runs = site.json("geomob/runs/live")
        assert len(runs) == 20
        assert runs[0]["title"] == about["title"]
        now = site.json("geomob/runs/live/run-29/now")
        assert (now["letters"], now["running"][0]["worker"]) == (["tr"], "w")
        assert site.json("geomob/runs/live/run-29/output?group=0&place=1")["attempt"] == 2
        assert b"<script>alert" not in site.get("geomob")[2]


def test_a_run_whose_driver_is_killed_runs_no_more(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(telling, "_SIGN", 0.2)
    monkeypatch.setattr(live, "SILENT", 3.0)
    plan = plan_backfill(store, backfill_of(tmp_path, "mixed"), ASKED)
    settings = {"n_workers": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        assert offered(client, store.url) is not None
        site = Site(f"http://127.0.0.1:{cluster.scheduler.http_server.port}/")
        with distributed.Client(cluster, set_as_default=False) as driver:
            told = Telling(driver, plan, "killed", "t", where="", store=store.url)
            told.begin()
            told.change(0, 0, RUNNING, worker="the driver")
            told.beat(at_once=True)
            # Its own thread computes, and says nothing meanwhile.
            time.sleep(4)
            now = site.json("geomob/runs/live/killed/now")
            assert (now["alive"], now["counts"]) == (True, {"running": 1, "to do": 5})
        await_that(lambda: not site.json("geomob/runs/live")[0]["alive"], 30)
        now = site.json("geomob/runs/live/killed/now")
        assert (now["counts"], now["running"]) == ({"to do": 6}, [])
        # A page that comes later knows when the driver was heard.
        boards = cluster.scheduler.plugins[NAME]
        assert not Boards(cluster.scheduler, boards.explorer).runs["killed"].alive


def test_a_busy_scheduler_is_told_the_end(store, tmp_path) -> None:
    def busy(dask_scheduler: distributed.Scheduler) -> None:
        dask_scheduler.loop.call_later(0.1, time.sleep, 5)

    plan = plan_backfill(store, backfill_of(tmp_path, "mixed"), ASKED)
    with (
        scheduler("--preload", PRELOAD, DASK_GEOMOB__STORE=store.url) as (address, port),
        distributed.Client(address) as client,
    ):
        told = Telling(client, plan, "late", "t", where="", store=store.url)
        told.begin()
        told.change(0, 0, WHOLE)
        client.run_on_scheduler(busy)
        time.sleep(0.5)
        told.end("all done")
        [run] = Site(f"http://127.0.0.1:{port}/").json("geomob/runs/live")
        assert (run["alive"], run["outcome"]) == (False, "all done")


def test_the_job_opens_the_page_and_ends_at_ctrl_c(store) -> None:
    line = [sys.executable, str(ROOT / "jobs" / "explore.py"), "--store", store.url]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = []
    for text in process.stdout:
        told.append(text)
        if "Ctrl-C" in text:
            break
    [url] = re.findall(r"page: (http://127\.0\.0\.1:[0-9]+/)geomob$", "".join(told), re.MULTILINE)
    assert "ssh -N -L" in "".join(told)
    assert Site(url).json("geomob/about")["stores"][0]["url"] == store.url
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_a_page_on_the_loopback_of_another_machine_needs_a_tunnel_from_here_too(store, monkeypatch) -> None:
    section = SshSection(hosts=["node1"], key="/home/me/.ssh/key", dashboard="127.0.0.1:8787")
    cluster = SimpleNamespace(scheduler=SimpleNamespace(dashboard="8787"))
    link = ssh.link_of(section, SimpleNamespace(cluster=cluster))["distributed.dashboard.link"]
    monkeypatch.setattr(opening, "offered", lambda *_: {"stores": [store_id(store.url)]})
    place = opening.place_of(SimpleNamespace(dashboard_link=link), store, {"year": "2020"})
    assert place.url == "http://127.0.0.1:8787/geomob#year=2020"
    assert place.tunnel == "ssh -i /home/me/.ssh/key -N -L 8787:127.0.0.1:8787 node1"
    assert place.elsewhere


def test_the_job_says_what_is_wrong(job, store, tmp_path) -> None:
    absent = job("explore", "--store", str(tmp_path / "absent"))
    assert absent.code == 2
    assert "nothing is in it" in absent.err
    serial = job("explore", "--store", store.url, "--cluster", "serial")
    assert serial.code == 2
    assert "no scheduler" in serial.err
    assert job("explore", "--store", store.url, "--dry-run").code == 0
