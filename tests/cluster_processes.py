"""A scheduler and workers on loopback, each a process of its own, for tests that stop or kill them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import distributed
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Processes:
    """A scheduler and its workers, without nannies."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.folder = folder
        self.scheduler = self._run("scheduler", "--port", str(self.port))
        self.workers: list[subprocess.Popen[bytes]] = []

    def _run(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        loopback = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard")
        with open(self.folder / f"{what}.log", "ab") as log:
            line = [sys.executable, "-m", "dask", what, *arguments, *loopback]
            # Workers find the functions of this module.
            path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
            return subprocess.Popen(line, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": path})

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker."""
        options = ("--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--local-directory", str(self.folder))
        self.workers.append(self._run("worker", self.address, *options))
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
