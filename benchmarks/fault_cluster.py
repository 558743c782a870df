"""A scheduler and two workers with their nannies, each a process of its own, whose faults are brought about.

Scheduler and nannies are forked from a process that has imported Dask; nannies start their workers as always.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import psutil

_FORKED = multiprocessing.get_context("forkserver")
_NUMBERS = itertools.count()
_FORKED.set_forkserver_preload(["__main__", "distributed", "geomob_dask.job"])


def dask_setup(worker: Any) -> None:
    """Let a signal fill a worker's memory; called by a worker that preloads this module."""

    def fill_up() -> None:
        held = []
        while True:
            held.append(np.ones(2**21))
            time.sleep(0.01)

    signal.signal(signal.SIGUSR1, lambda *_: threading.Thread(target=fill_up, daemon=True).start())


def _schedule(told: str) -> None:
    async def until_it_ends() -> None:
        async with distributed.Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
            # A port that was free a moment ago may be another process's by now.
            Path(f"{told}.part").write_text(scheduler.address)
            os.replace(f"{told}.part", told)
            await scheduler.finished()

    asyncio.run(until_it_ends())


def _nurse(address: str, folder: str, memory: str) -> None:
    async def until_it_ends() -> None:
        options = {"nthreads": 1, "memory_limit": memory, "local_directory": folder, "host": "127.0.0.1"}
        async with distributed.Nanny(address, preload=[__name__], dashboard=False, **options) as nanny:
            await nanny.finished()

    asyncio.run(until_it_ends())


def _job(command: list[str]) -> None:
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")


def _logged(log: str, function: Callable[..., None], *arguments: Any) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    function(*arguments)


def forked(log: Path, function: Callable[..., None], *arguments: Any) -> multiprocessing.process.BaseProcess:
    """Return a process that calls a function; what it prints is in a log."""
    # Modules beside this one are found there too.
    path = os.environ.get("PYTHONPATH", "")
    if str(Path(__file__).parent) not in path.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), path])
    process = _FORKED.Process(target=_logged, args=(str(log), function, *arguments))
    process.start()
    return process


def ran(command: list[str], log: Path) -> int:
    """Return the exit code of a job; `command` is its script and arguments."""
    process = forked(log, _job, command)
    process.join()
    return int(process.exitcode or 0)


def _await(there: Callable[[], bool], started: list[multiprocessing.process.BaseProcess], log: Path) -> None:
    until = time.monotonic() + 120
    while not there():
        if time.monotonic() > until or not all(process.is_alive() for process in started):
            raise RuntimeError(f"the cluster does not start: {log}")
        time.sleep(0.05)


class Cluster:
    """The processes, on loopback.

    Parameters
    ----------
    folder : Path
        For logs and scratch files.
    memory : str
        Limit of a worker.
    """

    def __init__(self, folder: Path, memory: str = "1500MiB") -> None:
        self.folder, self.memory, self.address = folder, memory, ""
        self.scheduler: psutil.Process | None = None
        self.nannies: list[psutil.Process] = []

    @contextmanager
    def running(self) -> Iterator[Cluster]:
        """Run the processes until the block ends.

        Raises
        ------
        RuntimeError
            If they do not start; it names their log.
        """
        number = next(_NUMBERS)
        log, told = self.folder / f"cluster-{number}.log", self.folder / f"cluster-{number}.address"
        try:
            scheduler = forked(log, _schedule, str(told))
            self.scheduler = psutil.Process(scheduler.pid)
            _await(told.exists, [scheduler], log)
            self.address = told.read_text()
            scratch = str(self.folder / "scratch")
            started = [forked(log, _nurse, self.address, scratch, self.memory) for _ in range(2)]
            self.nannies = [psutil.Process(nanny.pid) for nanny in started]
            with distributed.Client(self.address, timeout=120, set_as_default=False) as client:
                _await(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == 2, started, log)
            yield self
        finally:
            for process in self.processes():
                with suppress(psutil.Error):
                    process.kill()
            for process in (*self.nannies, *([self.scheduler] if self.scheduler else [])):
                with suppress(psutil.Error):
                    process.wait(10)

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes."""
        found = []
        for nanny in self.nannies:
            with suppress(psutil.Error):
                found += [child for child in nanny.children() if "spawn_main" in " ".join(child.cmdline())]
        return found

    def processes(self) -> list[psutil.Process]:
        """Return all processes, nannies first: they would replace their workers."""
        workers = self.workers()
        return [*self.nannies, *([self.scheduler] if self.scheduler else []), *workers]

    def victims(self, who: str, driver: int) -> list[psutil.Process]:
        """Return the processes of a victim."""
        if who == "driver":
            return [psutil.Process(driver)]
        if who == "scheduler":
            return [self.scheduler] if self.scheduler else []
        if who == "worker":
            return self.workers()[:1]
        if who == "nanny":
            return self.nannies[:1]
        workers = self.workers()
        return [*self.nannies, *workers]
