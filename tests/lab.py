"""Hosts on this machine, each a network namespace: a scheduler on one, a worker with its nanny on each other one."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from host_services import SCRIPTS

from geomob_dask.clusters.dask_settings import as_environment, dask_settings
from geomob_dask.sections import Waits

PORT = 8786
# The shortest that Dask takes: a host that is gone is noticed soon.
CONNECTION = {f"distributed.comm.timeouts.{name}": "12s" for name in ("connect", "tcp")}


class Lab:
    """The hosts; `s` has the scheduler, and is where drivers run."""

    def __init__(self, folder: Path, waits: Waits) -> None:
        self.folder, self.waits = folder, waits
        self._names = {"LAB": f"gm{uuid.uuid4().hex[:6]}", "HOSTS": "s w1 w2"}
        self.address = f"tcp://{self.script('address', 's').strip()}:{PORT}"

    def script(self, *arguments: str) -> str:
        """Return what `lab.sh` prints."""
        line = [str(SCRIPTS / "lab.sh"), *arguments]
        return subprocess.run(
            line, env={**os.environ, **self._names}, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def start(self, host: str, *command: str, **options: object) -> subprocess.Popen:
        """Start a command of this Python on a host."""
        settings = as_environment({**dask_settings(self.waits), **CONNECTION})
        line = [str(SCRIPTS / "lab.sh"), "run", host, sys.executable, *command]
        return subprocess.Popen(line, env={**os.environ, **settings, **self._names}, text=True, **options)

    def worker(self, host: str) -> subprocess.Popen:
        """Start a worker with its nanny."""
        place = ("--host", self.script("address", host).strip(), "--local-directory", str(self.folder / host))
        return self._dask(host, "worker", self.address, *place, "--nthreads", "1", "--memory-limit", "1GiB")

    def _dask(self, host: str, *command: str) -> subprocess.Popen:
        with open(self.folder / f"{host}.log", "w") as log:
            return self.start(host, "-m", "dask", *command, "--no-dashboard", stdout=log, stderr=log)

    @contextmanager
    def up(self) -> Iterator["Lab"]:
        """Run scheduler and workers until the block ends."""
        started = []
        try:
            self.script("up")
            host = self.address.removeprefix("tcp://").partition(":")[0]
            started.append(self._dask("s", "scheduler", "--host", host, "--port", str(PORT)))
            self._await("s", "Scheduler at")
            started += [self.worker("w1"), self.worker("w2")]
            for host in ("w1", "w2"):
                self._await(host, "Registered to")
            yield self
        finally:
            self.script("down")
            for process in started:
                process.wait(20)

    def _await(self, host: str, told: str) -> None:
        log, until = self.folder / f"{host}.log", time.monotonic() + 120
        while told not in log.read_text():
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
