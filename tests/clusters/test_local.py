"""A cluster of this machine: what it listens on, what it refuses at the door, and workers that do not start."""

import os
import re
import signal
import threading
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from distributed.core import Status

from geomob_dask.clusters import connect, dask_settings, threads_of
from geomob_dask.clusters import local as local_cluster
from geomob_dask.errors import RunError, SettingsError
from geomob_dask.frames.futures import Call, completed
from geomob_dask.runs.planning import Group, Plan, Request, Standing
from geomob_dask.sections import AddressSection, LocalSection, SerialSection
from geomob_dask.settings import Settings


def local(**options: object) -> Settings:
    return Settings(clusters={"local": LocalSection(**options)})


def listening() -> dict[int, set[str]]:
    """Return the addresses that this process and its children listen on."""
    here = psutil.Process()
    return {
        process.pid: {found.laddr.ip for found in process.net_connections("inet") if found.status == psutil.CONN_LISTEN}
        for process in (here, *here.children(recursive=True))
    }


def test_scheduler_nannies_and_workers_listen_on_loopback_only():
    before = listening().get(os.getpid(), set())
    with connect(local(workers=2, dashboard="127.0.0.1:0")) as client:
        found = listening()
        workers = {nanny.pid for nanny in client.cluster.workers.values()}
        assert workers <= found.keys()
        assert all(found[pid] == {"127.0.0.1"} for pid in workers)
        assert found[os.getpid()] - before <= {"127.0.0.1"}
        assert client.dashboard_link.startswith("http://127.0.0.1:")


def test_the_default_section_asks_for_loopback():
    assert LocalSection().dashboard.startswith("127.0.0.1:")


def test_another_address_may_be_asked_for():
    with connect(local(workers=1, dashboard="0.0.0.0:0")):
        assert "0.0.0.0" in listening()[os.getpid()]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"memory_limit": "300MiB"}, "memory_limit 300MiB: found 300 MiB"),
        ({"memory_limit": "480MiB"}, "found 480 MiB"),
        ({"memory_limit": "auto", "workers": 10_000}, "memory_limit auto"),
    ],
)
def test_memory_that_imports_fill_is_refused(options, told):
    with pytest.raises(SettingsError, match=told), connect(local(**options)):
        pass


def test_auto_shares_the_memory_among_the_workers():
    whole = local_cluster.memory_of(LocalSection(workers=1))
    assert local_cluster.memory_of(LocalSection(workers=4)) == pytest.approx(whole / 4, rel=0.01)


def test_a_worker_killed_while_it_starts_is_named():
    done = threading.Event()
    here = psutil.Process()
    # Workers of other tests' clusters live on.
    others = here.children()

    def kill() -> None:
        while not done.wait(0.05):
            for child in here.children():
                if child not in others and "spawn_main" in " ".join(child.cmdline()):
                    child.send_signal(signal.SIGKILL)
                    return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        one = connect(local(workers=1, dashboard="127.0.0.1:0"))
        with pytest.raises(RunError, match="cluster local: a worker ended while it started"), one:
            pass
    finally:
        done.set()
        killer.join()


def test_a_worker_that_is_stopped_holds_up_no_end():
    with connect(local(workers=1, dashboard="127.0.0.1:0")) as client:
        [nanny] = client.cluster.workers.values()
        worker = psutil.Process(nanny.pid)
        worker.send_signal(signal.SIGSTOP)
    until = time.monotonic() + 10
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.1)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_the_size_of_a_cluster_is_its_own(client):
    def at(address: str, timeout: float = 30.0) -> Settings:
        section = AddressSection(address=address, timeout=timeout)
        return Settings(cluster="address", clusters={"address": section})

    assert threads_of(at(client.scheduler.address)) == 2
    assert threads_of(at("tcp://127.0.0.1:9", timeout=1.0)) is None
    assert threads_of(local(workers=3, threads_per_worker=2)) == 6
    assert threads_of(Settings(cluster="serial", clusters={"serial": SerialSection()})) == 1


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_small_work_has_threads_of_this_process_that_nobody_else_reaches():
    before, listened = children(), listening()[os.getpid()]
    with connect(local(workers=2), small=True) as client:
        assert set(children()) <= set(before)
        assert listening()[os.getpid()] - listened <= {"127.0.0.1"}
        assert client.nthreads() == {next(iter(client.nthreads())): 2}
        assert client.submit(os.getpid).result() == os.getpid()
        assert client.dashboard_link == "none"


def test_threads_have_a_dashboard_where_the_section_names_one():
    with connect(local(workers=1, dashboard="127.0.0.1:0"), small=True) as client:
        assert client.dashboard_link.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(client.dashboard_link, timeout=30) as page:
            assert page.status == 200


def test_processes_may_be_asked_for_or_not():
    with connect(local(workers=1, dashboard="127.0.0.1:0", processes=True), small=True) as client:
        assert client.submit(os.getpid).result() != os.getpid()
    with connect(local(workers=1, processes=False)) as client:
        assert client.submit(os.getpid).result() == os.getpid()


_ENDS = threading.Event()


def _waits() -> None:
    _ENDS.wait(600)


def test_a_thread_that_computes_holds_up_no_end():
    try:
        with connect(local(workers=1), small=True) as client:
            future = client.submit(_waits, pure=False)
            until = time.monotonic() + 60
            while not client.processing()[next(iter(client.nthreads()))]:
                assert time.monotonic() < until
            del future
        # The end of the cluster has not waited for it, and was no end that is given up.
        assert not _ENDS.is_set()
        assert client.cluster.status is Status.closed
    finally:
        _ENDS.set()


def test_a_task_without_memory_fails_and_not_the_run():
    with connect(local(workers=1), small=True) as client:
        with pytest.raises(MemoryError):
            client.submit(bytearray, 2**60).result()
        assert client.submit(sum, [1, 2]).result() == 3


def test_the_same_bytes_from_threads_and_one_by_one(tmp_path, job, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = {}
    for cluster in ("local", "serial"):
        monkeypatch.setenv("GEOMOB_STORE", cluster)
        index = ("opportunity", "--definition", "sample", "--dataset", "sample", "--year", 2020)
        said = "".join(
            job(*command, "--cluster", cluster).out
            for command in (("ingest", "sample"), ("neighbors", "--vintage", "sample"), index)
        )
        assert ("of this process; dashboard: none" in said) == (cluster == "local"), said
        made[cluster] = {path.name: path.read_bytes() for path in Path(cluster).rglob("*.parquet")}
    assert len(made["local"]) > 20
    assert made["local"] == made["serial"]


def of_size(count: int, size: int, product: str = "neighbors", **options: object) -> Plan:
    request = Request(product, SimpleNamespace(year=2020, **options))
    group = Group(request, None, ("01",) * count, (), (size // count,) * count, (Standing.MISSING,) * count)
    return Plan((group,))


def test_a_plan_is_small_by_its_outputs_its_bytes_and_what_is_done_with_them():
    assert of_size(1, 2**20).small()
    assert not of_size(1, 2**30).small()
    assert not of_size(1000, 2**20).small()
    assert not of_size(1, 2**20, "segregation", draws=100).small()
    assert of_size(1, 2**20, "segregation", draws=0).small()
    assert not of_size(1, 2**20, "mobility").small()
    assert of_size(1, 8 * 2**20).small()
    assert not of_size(1, 8 * 2**20).small(shown=True)
    assert Plan(()).small(shown=True)


def fills(values: np.ndarray) -> int:
    """Take memory until this process is ended."""
    held = []
    while True:
        held.append(np.ones(2**20))
        time.sleep(0.005)


def test_a_worker_without_memory_is_named_with_what_it_held(monkeypatch, capfd):
    monkeypatch.setattr(dask_settings, "_FAILURES", 0)
    section = local(workers=1, memory_limit="700MiB", pause=0.9, dashboard="127.0.0.1:0")
    told = r"stage one: the worker died .*1 time \(last tcp.*, which held \d+\.\d+ [MG]iB; memory_limit 700.00 MiB\)"
    with pytest.raises(RunError, match=told), connect(section) as client:
        list(completed([Call("stage", "one", fills, ())], [np.ones(3)], client))
    said = r"worker tcp\S+ is restarted, it held \d+\.\d+ [MG]iB of its memory_limit 700.00 MiB; its tasks are computed"
    assert re.search(f"{said} again", capfd.readouterr().err)
