"""A scheduler and workers on loopback, each a process of its own, for tests that stop or kill them."""

import asyncio
import multiprocessing
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import distributed
import numpy as np
import psutil
from sklearn.base import BaseEstimator, ClassifierMixin

# Forked from a process that has imported Dask: a cluster starts within a second.
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["distributed", "dask.dataframe", "sklearn"])


def _quietly(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(descriptor, stream)


def _schedule(told: Path, port: int, log: Path) -> None:
    async def until_it_ends() -> None:
        async with distributed.Scheduler(host="127.0.0.1", port=port, dashboard=False) as scheduler:
            # A port that was free a moment ago may be another process's by now.
            told.with_suffix(".part").write_text(scheduler.address)
            told.with_suffix(".part").replace(told)
            await scheduler.finished()

    _quietly(log)
    asyncio.run(until_it_ends())


def _work(address: str, folder: Path, log: Path) -> None:
    async def until_it_ends() -> None:
        options = {"nthreads": 1, "memory_limit": 0, "local_directory": str(folder), "host": "127.0.0.1"}
        async with distributed.Worker(address, dashboard=False, **options) as worker:
            await worker.finished()

    _quietly(log)
    asyncio.run(until_it_ends())


class Processes:
    """A scheduler and its workers, without nannies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[psutil.Process] = []
        self._start(port=0)

    def _start(self, port: int) -> None:
        told = self.folder / f"{uuid.uuid4().hex}.address"
        self.scheduler = self._run(_schedule, told, port, self.folder / "scheduler.log")
        while not told.exists():
            assert self.scheduler.is_running(), (self.folder / "scheduler.log").read_text()
            time.sleep(0.02)
        self.address = told.read_text()

    def restart_scheduler(self) -> None:
        """Kill the scheduler, and start another at the same address; the workers end with the first one."""
        self.scheduler.kill()
        self.scheduler.wait()
        self._start(int(self.address.rpartition(":")[2]))

    def _run(self, function: Callable[..., None], *arguments: object) -> psutil.Process:
        process = _FORKED.Process(target=function, args=arguments, daemon=True)
        process.start()
        return psutil.Process(process.pid)

    def add_worker(self) -> psutil.Process:
        """Start a worker."""
        self.workers.append(self._run(_work, self.address, self.folder, self.folder / "worker.log"))
        return self.workers[-1]

    def await_workers(self, count: int) -> None:
        """Wait until so many workers are there."""
        with distributed.Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)


@contextmanager
def processes(folder: Path, workers: int = 1) -> Iterator[Processes]:
    """Yield a cluster of so many workers; end all its processes, those that are stopped too."""
    found = Processes(folder)
    try:
        for _ in range(workers):
            found.add_worker()
        if workers:
            found.await_workers(workers)
        yield found
    finally:
        for process in (*found.workers, found.scheduler):
            with suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait()


def sleeps(values: np.ndarray, seconds: float) -> None:
    """Compute for a long time."""
    time.sleep(seconds)


class Slow(ClassifierMixin, BaseEstimator):
    """An estimator whose fit does not end."""

    def __init__(self, seconds: int = 300) -> None:
        self.seconds = seconds

    def fit(self, values: np.ndarray, codes: np.ndarray) -> None:
        time.sleep(300)


class Brief(ClassifierMixin, BaseEstimator):
    """An estimator whose fit takes a while, and whose answers are the shares of the classes."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds

    def fit(self, values: np.ndarray, codes: np.ndarray) -> "Brief":
        time.sleep(self.seconds)
        self.classes_, counts = np.unique(codes, return_counts=True)
        self.shares_ = counts / counts.sum()
        return self

    def predict_proba(self, values: np.ndarray) -> np.ndarray:
        """Return the same shares for each row."""
        return np.tile(self.shares_, (len(values), 1))
