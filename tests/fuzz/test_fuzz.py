"""Mutants of valid files, for every reader: each is read soundly, or refused by one error that names the file.

Seeds are fixed. GEOMOB_FUZZ_MUTANTS is their number for each reader.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz.readers import READERS

MUTANTS = int(os.environ.get("GEOMOB_FUZZ_MUTANTS", "45"))
# A bound for what never ends, however slow the machine.
DEADLINE = 60.0
WORKER = Path(__file__).with_name("worker.py")


class Worker:
    """A process that reads mutants; another takes its place when it ends or is stopped."""

    def __init__(self, folder: Path):
        self._folder, self._process = folder, None
        self._started = 0

    def fault(self, reader: str, seed: int) -> str | None:
        """Return what is wrong with how a mutant is read."""
        process = self._process or self._start()
        process.stdin.write(json.dumps([reader, seed]) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], DEADLINE)[0]:
            self.stop()
            return f"does not end within {DEADLINE:.0f} seconds"
        answer = process.stdout.readline()
        if not answer:
            code = process.wait()
            self.stop()
            return f"ends the process with exit code {code}"
        return json.loads(answer)

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen:
        self._started += 1
        folder = self._folder / f"{self._started}"
        folder.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        return self._process


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    one = Worker(tmp_path_factory.mktemp("fuzz"))
    yield one
    one.stop()


@pytest.mark.parametrize("name", READERS)
def test_every_mutant_is_read_soundly_or_refused_by_name(name: str, worker: Worker) -> None:
    found = {}
    for seed in range(MUTANTS + 1):
        fault = worker.fault(name, seed)
        if fault is not None:
            found[seed] = fault
    shown = "\n\n".join(
        f"{fault}\nagain: {Path(sys.executable).name} tests/fuzz/worker.py {name!r} {seed}"
        for seed, fault in list(found.items())[:5]
    )
    assert not found, f"{len(found)} of {MUTANTS} mutants of {name!r}, seeds {list(found)[:50]}:\n{shown}"
