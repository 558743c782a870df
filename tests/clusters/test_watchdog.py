"""No wait for a cluster is endless or silent: stopped and killed schedulers and workers, in every kind of wait."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace

import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd
import psutil
import pytest
from cluster_processes import Brief, Slow, processes, sleeps

from geomob_dask.clusters import connect, gateway, kubernetes
from geomob_dask.clusters.described import waits_line
from geomob_dask.errors import ClusterLostError, RunError, SettingsError
from geomob_dask.frames.futures import Call, completed
from geomob_dask.frames.grid_search import grid_scores
from geomob_dask.frames.stages import computed_by_stage
from geomob_dask.models.catalog import MODELS, Model
from geomob_dask.models.folds import stratified_folds
from geomob_dask.models.search import Sample, Search
from geomob_dask.runs import watchdog
from geomob_dask.runs.watchdog import trouble_of
from geomob_dask.sections import AddressSection, GatewaySection, KubernetesSection, LocalSection, Waits
from geomob_dask.settings import Settings


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Looks follow each other three times as fast."""
    for name, seconds in (("_EVERY", 1.0), ("_ANSWER", 1.5), ("_SHORT", 2.0), ("_SILENT", 4.0)):
        monkeypatch.setattr(watchdog, name, seconds)


def settings(address: str, patience: float = 1.0, timeout: float = 30.0, silence: float = 300.0) -> Settings:
    section = AddressSection(address=address, patience=patience, timeout=timeout, silence=silence)
    return Settings(cluster="address", clusters={"address": section})


@contextmanager
def soon(victim: psutil.Process, sent: signal.Signals) -> Iterator[None]:
    """Send a signal when a block has lasted for a while."""
    threading.Timer(1.5, victim.send_signal, [sent]).start()
    yield


def worker(status: str = "running", seen: float = 100.0, executing: int = 0) -> dict:
    return {"status": status, "last_seen": seen, "metrics": {"task_counts": {"executing": executing}}}


@pytest.mark.parametrize(
    ("workers", "told", "patience"),
    [
        ([], "no worker", 90),
        ([worker(), worker("paused")], None, None),
        ([worker("paused"), worker("paused", executing=1)], None, None),
        ([worker("paused"), worker("paused")], "2 workers .*memory_limit", 90),
        ([worker(seen=97.0), worker(seen=99.0)], None, None),
        ([worker(seen=88.0), worker(seen=99.0)], "1 of 2 workers has not answered for 12 s .*the others go on", 0),
        ([worker(seen=88.0), worker(seen=20.0)], "2 workers have not answered for 12 s .*waiting up to 288 s", 300),
        ([worker(seen=88.0)], "the worker has not answered for 12 s", 300),
        # A sign of life comes less often where there are many.
        ([worker(seen=88.0)] * 600, None, None),
    ],
)
def test_why_workers_compute_nothing(workers, told, patience):
    found = trouble_of({str(place): one for place, one in enumerate(workers)}, 100.0, Waits())
    if told is None:
        assert found is None
        return
    assert re.search(told, found.told(found.lasts))
    assert found.patience == patience


def sleep_on_a_worker(client: distributed.Client) -> None:
    client.submit(time.sleep, 300, pure=False).result()


def named_futures(client: distributed.Client) -> None:
    list(completed([Call("stage", "one", sleeps, (300,))], [np.ones(3)], client))


def late(values: np.ndarray) -> np.ndarray:
    """Return what was given, after a while."""
    time.sleep(2.0)
    return values


def a_grid_search(client: distributed.Client) -> None:
    draws = np.random.default_rng(0)
    sample = Sample(draws.normal(size=(30, 2)), np.arange(30) % 2, 2, ("a", "b"))
    search = Search("slow", tuple(stratified_folds(sample.codes, 2)))
    grid_scores(sample, search, client, 0)


@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        ("scheduler stopped", sleep_on_a_worker),
        ("scheduler stopped", a_grid_search),
        ("scheduler killed", named_futures),
        ("scheduler killed", a_grid_search),
        ("worker killed", named_futures),
        ("worker killed", a_grid_search),
    ],
)
def test_every_wait_ends(fault, wait, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(MODELS, "slow", Model("slow", "slow", lambda seed: Slow(), {"seconds": [1, 2]}))
    with processes(tmp_path) as cluster:
        victim = cluster.scheduler if "scheduler" in fault else cluster.workers[0]
        sent = signal.SIGSTOP if "stopped" in fault else signal.SIGKILL
        lost = pytest.raises(ClusterLostError, match=cluster.address if "worker" in fault else "scheduler")
        with lost, connect(settings(cluster.address, 4.0)) as client, soon(victim, sent):
            wait(client)
    assert fault == "scheduler killed" or "; waiting up to" in capfd.readouterr().err


def test_workers_that_are_stopped_are_told_of_and_waited_for_as_long_as_stated(tmp_path, capfd):
    with processes(tmp_path) as cluster:
        lost = pytest.raises(ClusterLostError, match=r"the worker has not answered for \d+ s .*silence in cluster.yaml")
        with lost, connect(settings(cluster.address, silence=9.0)) as client, soon(cluster.workers[0], signal.SIGSTOP):
            sleep_on_a_worker(client)
    told = re.search(r"the worker has not answered for (\d+) s .*; waiting up to", capfd.readouterr().err)
    assert int(told[1]) < 9


def test_a_task_that_computes_for_ever_ends_a_run_that_limits_it():
    limited = LocalSection(workers=1, processes=True, dashboard="127.0.0.1:0", longest_task=2.0)
    told = (
        r"task endless of state 18 has computed for \d+ s on worker tcp://127.*; expected at most 2 s \(longest_task in"
    )
    with (
        pytest.raises(ClusterLostError, match=told),
        connect(Settings(cluster="local", clusters={"local": limited})) as client,
    ):
        client.submit(time.sleep, 300, key=("endless-0f3a", "18"), pure=False).result()


def test_tasks_are_limited_one_by_one():
    """Together they take longer than each may."""
    limited = LocalSection(workers=1, processes=True, dashboard="127.0.0.1:0", longest_task=3.0)
    with connect(Settings(cluster="local", clusters={"local": limited})) as client:
        futures = [client.submit(time.sleep, 1.0, pure=False) for _ in range(5)]
        assert client.gather(futures) == [None] * 5


def test_a_scheduler_that_answers_late_is_not_lost(tmp_path):
    """It is busy for longer than a question is to take, again and again, and for longer than the patience in all."""

    async def busy(dask_scheduler: distributed.Scheduler) -> None:
        for _ in range(4):
            time.sleep(2.8)
            await asyncio.sleep(0.01)

    with processes(tmp_path) as cluster, connect(settings(cluster.address, patience=6.0)) as client:
        future = client.submit(lambda: time.sleep(1) or 7, pure=False)
        client.run_on_scheduler(busy, wait=False)
        time.sleep(11)
        assert future.result() == 7


def test_a_worker_that_comes_back_in_time_computes(tmp_path, capfd):
    with processes(tmp_path) as cluster, connect(settings(cluster.address, patience=60.0)) as client:
        future = client.submit(lambda: time.sleep(2) or 7, pure=False)
        cluster.workers[0].kill()
        while "no worker is left" not in capfd.readouterr().err:
            time.sleep(0.1)
        cluster.add_worker()
        assert future.result() == 7


def kubernetes_opened(address: str, patch: pytest.MonkeyPatch) -> AbstractContextManager[distributed.Client]:
    """Return a client of a scheduler that a cluster of pods is said to have started."""
    for name in ("reached", "_created"):
        patch.setattr(kubernetes, name, lambda *_: nullcontext())
    for name in ("_await_scheduler", "_await_first_worker"):
        patch.setattr(kubernetes, name, lambda *_: None)
    patch.setattr(kubernetes, "_address", lambda *_: nullcontext((address, "")))
    worker = {"cpu": 1, "memory": "2Gi"}
    return kubernetes.opened(KubernetesSection(image="geomob:1", workers=1, worker=worker, patience=3.0))


def gateway_opened(address: str, patch: pytest.MonkeyPatch) -> AbstractContextManager[distributed.Client]:
    """Return a client of a scheduler that a gateway is said to have started."""
    report = SimpleNamespace(name="one", scheduler_address=address, security=None, dashboard_link=None)
    for name in ("_asked", "_cluster"):
        patch.setattr(gateway, name, lambda *_: nullcontext())
    patch.setattr(gateway, "_await_scheduler", lambda *_: report)
    return gateway.opened(GatewaySection(address="http://127.0.0.1:9", workers=1, patience=3.0))


@pytest.mark.parametrize("opened", [kubernetes_opened, gateway_opened])
def test_another_pod_may_take_as_long_as_the_first(opened, tmp_path, monkeypatch, capfd):
    with processes(tmp_path) as cluster, opened(cluster.address, monkeypatch) as client:
        future = client.submit(lambda: time.sleep(1) or 7, pure=False)
        cluster.workers[0].kill()
        threading.Timer(8.0, cluster.add_worker).start()
        assert future.result() == 7
    assert re.search(r"no worker is left; waiting up to 29\d s for another", capfd.readouterr().err)


def test_a_dry_run_says_for_how_long_a_worker_is_waited_for():
    assert "90 s for a worker if none is left" in waits_line(LocalSection())
    assert "300 s for a worker if none is left" in waits_line(GatewaySection(address="http://127.0.0.1:9", workers=1))


@pytest.mark.slow
def test_tasks_lost_with_a_scheduler_that_is_restarted_are_submitted_again(tmp_path, monkeypatch, capfd):
    """Named futures, a frame and a search of dask-ml in turn: each begins with a worker whose scheduler then goes."""
    monkeypatch.setitem(MODELS, "brief", Model("brief", "brief", lambda seed: Brief(), {"seconds": [1.0, 1.5]}))
    draws = np.random.default_rng(0)
    sample = Sample(draws.normal(size=(30, 2)), np.arange(30) % 2, 2, ("a", "b"))
    search = Search("brief", tuple(stratified_folds(sample.codes, 2)))
    frame = dd.from_pandas(pd.DataFrame({"x": [1.0, 2.0]}), npartitions=1).map_partitions(late, meta={"x": float})

    def begin_again() -> None:
        cluster.restart_scheduler()
        cluster.add_worker()

    with processes(tmp_path) as cluster, connect(settings(cluster.address, 60.0)) as client:
        for wait, expected in (
            (lambda: [value for _, value in completed([Call("stage", "one", late, ())], [np.ones(3)], client)], 3.0),
            (lambda: computed_by_stage(frame, client, lambda counts: None).to_numpy(), 3.0),
            (lambda: grid_scores(sample, search, client, 0)[1] > 0, 4.0),
        ):
            timer = threading.Timer(1.0, begin_again)
            timer.start()
            assert np.sum(wait()) == expected
            timer.join()
    assert "Traceback" not in capfd.readouterr().err


DRIVER = """
import asyncio, os, signal, sys, time
from geomob_dask.clusters import connect
from geomob_dask.runs import watchdog
from geomob_dask.sections import AddressSection
from geomob_dask.settings import Settings

answer, stops = watchdog._state_of, []

async def slow_answer(client, waits):
    if stops:
        # Meanwhile the watchdog waits for it.
        await asyncio.sleep(0.2)
        os.kill(os.getpid(), stops.pop())
    return await answer(client, waits)

watchdog._state_of = slow_answer
section = AddressSection(address=sys.argv[1], patience=5.0, silence=5.0)
with connect(Settings(cluster="address", clusters={"address": section})) as client:
    future = client.submit(lambda: time.sleep(12) or 7, pure=False)
    print("begun", flush=True)
    if sys.argv[2] == "asks":
        stops.append(signal.SIGSTOP)
    print(future.result())
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["waits", "asks"])
def test_a_driver_that_was_stopped_itself_loses_nothing(tmp_path, when):
    """A laptop sleeps for longer than the patience: between two looks of the watchdog, or while it asks."""
    with processes(tmp_path) as cluster:
        line = [sys.executable, "-c", DRIVER, cluster.address, when]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
            assert driver.stdout.readline() == "begun\n"
            if when == "waits":
                driver.send_signal(signal.SIGSTOP)
            while psutil.Process(driver.pid).status() != psutil.STATUS_STOPPED:
                time.sleep(0.1)
            time.sleep(8)
            driver.send_signal(signal.SIGCONT)
            assert driver.communicate(timeout=60) == ("7\n", "")


def test_no_worker_is_silent_because_its_driver_was_stopped_while_it_asked():
    """Each of the two questions takes a minute; the worker gives signs of life all the time."""
    clock = 0.0

    async def ask_for_workers(n_workers):
        nonlocal clock
        clock += 60
        return {"workers": {"one": worker(seen=clock)}}

    async def ask_for_the_time(function):
        nonlocal clock
        clock += 60
        return clock

    client = SimpleNamespace(scheduler=SimpleNamespace(identity=ask_for_workers), run_on_scheduler=ask_for_the_time)
    workers, now, _ = asyncio.run(watchdog._state_of(client, Waits()))
    assert not watchdog.silent_of(workers, now)


def test_a_cluster_without_workers_is_waited_for(tmp_path, capfd):
    with processes(tmp_path, workers=0) as cluster:
        with pytest.raises(RunError, match=f"{cluster.address}.*no worker"), connect(settings(cluster.address)):
            pass
        assert "no worker yet; waiting up to 1 s" in capfd.readouterr().err
        threading.Timer(1, cluster.add_worker).start()
        with connect(settings(cluster.address, patience=60.0)) as client:
            assert client.submit(int, "7").result() == 7


def test_a_stopped_worker_holds_up_no_start_for_long(tmp_path, capfd):
    with processes(tmp_path, workers=2) as cluster:
        cluster.workers[0].send_signal(signal.SIGSTOP)
        with connect(settings(cluster.address, timeout=3.0)):
            pass
    assert "not all workers told their version" in capfd.readouterr().err


def test_no_scheduler_is_bad_usage(tmp_path):
    nobody = connect(settings("tcp://127.0.0.1:9", timeout=1.0))
    with pytest.raises(SettingsError, match=r"tcp://127\.0\.0\.1:9.*no answer"), nobody:
        pass


def test_a_killed_worker_is_not_one_without_the_package(tmp_path, monkeypatch, capfd):
    """The worker ends with the question for its version: that says nothing about what it can import."""
    monkeypatch.setattr("geomob_dask.clusters.workers._package_version", end_this_worker)
    with (
        processes(tmp_path) as cluster,
        pytest.raises(RunError, match=cluster.address),
        connect(settings(cluster.address)) as client,
    ):
        sleep_on_a_worker(client)
    assert "lost while connecting" in capfd.readouterr().err


def end_this_worker() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""
