"""A cluster of this machine: what it listens on, what it refuses at the door, and workers that do not start."""

import os
import signal
import threading
import time

import psutil
import pytest

from geomob_dask import cluster
from geomob_dask.cluster import connect, threads_of
from geomob_dask.errors import RunError, SettingsError
from geomob_dask.settings import AddressSection, LocalSection, SerialSection, Settings


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
        ({"memory_limit": "much"}, "memory_limit much"),
    ],
)
def test_memory_that_imports_fill_is_refused(options, told):
    with pytest.raises(SettingsError, match=told), connect(local(**options)):
        pass


def test_auto_shares_the_memory_among_the_workers():
    whole = cluster._memory_of(LocalSection(workers=1))
    assert cluster._memory_of(LocalSection(workers=4)) == pytest.approx(whole / 4, rel=0.01)


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
    def at(address: str) -> Settings:
        section = AddressSection(address=address, timeout=1.0)
        return Settings(cluster="address", clusters={"address": section})

    assert threads_of(at(client.scheduler.address)) == 2
    assert threads_of(at("tcp://127.0.0.1:9")) is None
    assert threads_of(local(workers=3, threads_per_worker=2)) == 6
    assert threads_of(Settings(cluster="serial", clusters={"serial": SerialSection()})) == 1
