"""Ctrl-C and SIGTERM at any moment of a job: one line that says what happened, exit code 1, no traceback."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from stores import build_graph, ingest_sample, with_processes

from geomob_dask import ending
from geomob_dask.store import Store

JOBS = Path(__file__).parents[2] / "jobs"
INDEX = ("--definition", "sample", "--dataset", "sample", "--year", "2020")
NAMES = sorted(path.stem for path in JOBS.glob("*.py"))


class Job:
    """A job in a session of its own, so that a signal reaches all its processes, as from a terminal or a queue."""

    def __init__(self, name: str, *arguments: str) -> None:
        command = [sys.executable, str(JOBS / f"{name}.py"), *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def await_line(self, pattern: str, seconds: float = 60.0) -> None:
        """Wait until the job has printed a line."""
        until = time.monotonic() + seconds
        while not any(re.search(pattern, line) for line in list(self.lines)):
            assert time.monotonic() < until, self.lines
            assert self.process.poll() is None, self.lines
            time.sleep(0.01)

    def await_import(self, module: str) -> None:
        """Wait until the process has read a file of the package."""
        until = time.monotonic() + 60
        while module not in Path(f"/proc/{self.process.pid}/maps").read_text():
            assert time.monotonic() < until
            time.sleep(0.005)

    def send(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """End the job, if it did not end by itself."""
        if self.process.poll() is None:
            self.send(signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()

    def end(self) -> tuple[int, str]:
        """Return the exit code, and all that the processes of the job printed."""
        code = self.process.wait(60)
        self._reader.join(60)
        return code, "".join(self.lines)


@pytest.fixture
def start() -> Iterator[Callable[..., Job]]:
    """Start jobs, which end with the test."""
    with contextlib.ExitStack() as stack:

        def job(*arguments: str) -> Job:
            found = Job(*arguments)
            stack.callback(found.kill)
            return found

        yield job


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("sample")
    store = ingest_sample(str(folder / "store"), folder)
    build_graph(store)
    return store


def ended_in_order(job: Job) -> str:
    code, text = job.end()
    assert code == ending.INTERRUPTED, text
    assert "Traceback" not in text, text
    assert "leaked" not in text, text
    return text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_a_job_imports(number, start):
    job = start("opportunity", *INDEX)
    job.await_import("_multiarray_umath")
    job.send(number)
    assert ended_in_order(job) == "error: interrupted before anything began\n"


@pytest.mark.parametrize("name", NAMES)
def test_every_job_imports_first_what_ends_it_in_order(name):
    lines = (JOBS / f"{name}.py").read_text().splitlines()
    first = next(line for line in lines if line.startswith(("import ", "from ")))
    assert first.startswith("import geomob_dask.ending")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_a_cluster_starts(number, store, start, tmp_path):
    job = start("opportunity", *INDEX, "--force", "--store", store.url, *with_processes(tmp_path))
    until = time.monotonic() + 60
    while len(_workers(job.process.pid)) < 1:
        assert time.monotonic() < until, job.lines
        time.sleep(0.01)
    job.send(number)
    assert "error: interrupted; " in ended_in_order(job)


def _workers(pid: int) -> list[int]:
    found = []
    for child in psutil.Process(pid).children():
        try:
            found += [child.pid] if "spawn_main" in " ".join(child.cmdline()) else []
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("times", [1, 2])
def test_when_a_cluster_is_there(times, store, start, tmp_path):
    before = store.collections("results")
    # Parts of a run before this one would leave nothing to start a cluster for.
    job = start("opportunity", *INDEX, "--force", "--store", store.url, *with_processes(tmp_path))
    job.await_line("^cluster:")
    for _ in range(times):
        job.send(signal.SIGINT)
        time.sleep(0.3)
    assert "error: interrupted" in ended_in_order(job)
    assert store.collections("results") == before


@pytest.mark.parametrize("processes", [True, False])
def test_while_a_cluster_is_closed(store, tmp_path, start, processes):
    """The result is there; whether the interrupt is in time to be told of or not, nothing else is printed."""
    kind = with_processes(tmp_path) if processes else ()
    job = start("opportunity", *INDEX, "--force", "--store", store.url, *kind, "--export", str(tmp_path / "index.csv"))
    job.await_line(r"in .*all-selected")
    while not (tmp_path / "index.csv").exists() and job.process.poll() is None:
        time.sleep(0.005)
    for _ in range(2):
        job.send(signal.SIGINT)
        time.sleep(0.05)
    code, text = job.end()
    assert code in (0, ending.INTERRUPTED)
    assert "Traceback" not in text, text
    assert "leaked" not in text, text
    assert ("error: interrupted" in text) == (code == ending.INTERRUPTED)


@pytest.mark.parametrize("times", [1, 2])
def test_while_threads_of_the_driver_compute(times, store, start):
    """They may end before the interrupt; it is never more than one line."""
    job = start("opportunity", *INDEX, "--force", "--store", store.url)
    job.await_line("^cluster: local, .* of this process")
    for _ in range(times):
        job.send(signal.SIGINT)
    code, text = job.end()
    assert code in (0, ending.INTERRUPTED)
    assert "Traceback" not in text, text
    assert ("error: interrupted" in text) == (code == ending.INTERRUPTED), text


def test_the_end_of_a_job_in_a_process_of_others_is_theirs():
    """A notebook or a test that runs a job goes on."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as end:
        ending.leave(2)
    assert end.value.code == 2
    with pytest.raises(ending.Interrupted), ending.interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_is_blocked_is_blocked_in_threads_that_start_meanwhile():
    masks = []
    with ending.blocked():
        thread = threading.Thread(target=lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        thread.start()
        thread.join()
    assert {signal.SIGINT, signal.SIGTERM} <= masks[0]
    assert not {signal.SIGINT, signal.SIGTERM} & signal.pthread_sigmask(signal.SIG_BLOCK, ())
