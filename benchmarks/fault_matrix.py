"""A job on a cluster, and one fault: what the user reads, when the job ends, and whether a second run mends it.

    python benchmarks/fault_matrix.py --jobs backfill,cube --victims scheduler,workers
    python benchmarks/fault_matrix.py --store s3://bucket/prefix --minutes 20
    python benchmarks/fault_matrix.py --table docs/faults.md

A cell is a victim, a fault, a moment, a job and a place (a folder, or a bucket with ``--store``). The job runs on a
scheduler and two workers with their nannies, each a process of its own, over a small store. Cells that the results
(``--results``, a line each) hold are not run again, so a run may be stopped at any time; ``--table`` writes them down.
``workers`` are both of them with their nannies, which would replace them. ``stopped`` is SIGSTOP: until the job ends
for a scheduler, for twenty seconds otherwise. ``memory`` is a worker that allocates until its nanny ends it. A job
without a fault, and two at once, are cells too. Afterwards the same command runs without a cluster: it has to end with
0, and every snapshot and part must have the bytes of an undisturbed run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
import psutil
from faults import BACKFILL, FIRST_YEAR, copy, empty, fill, job, visible

from geomob_dask.store import Provenance, Store

VICTIMS = ("driver", "worker", "workers", "scheduler", "nanny", "nobody", "two at once")
FAULTS = ("killed", "stopped", "memory", "none")
MOMENTS = ("start", "middle", "commit")
YEAR = str(FIRST_YEAR)
_PEOPLE = ("--dataset", "people", "--year", YEAR, "--by", "county")
JOBS: dict[str, tuple[str, ...]] = {
    "backfill": ("backfill", "{folder}/faults.yaml", "--years", YEAR),
    "cube": ("cube", "write", "people", "--results", "measures/people/{{year}}", "--years", YEAR),
    "mobility": (
        *("mobility", "--study", "tracts", "--measures", "made:2018", "--grid", "small", "--folds", "states:3"),
        *("--repeats", "1", "--model", "elastic_net,forest"),
    ),
    "opportunity": ("opportunity", "--definition", "sample", "--dataset", "sample", "--year", YEAR),
    "exposure": ("exposure", *_PEOPLE, "--groups", "b03002_four"),
    "neighbors": ("neighbors", "--vintage", "sample", "--contiguity", "rook"),
    "segregation": ("segregation", *_PEOPLE, "--groups", "b19001", "--indices", "multigroup_gini", "--draws", "20"),
    "mixing": ("mixing", *_PEOPLE),
    "location_quotients": ("location_quotients", *_PEOPLE, "--groups", "b03002_four"),
    "join": ("ingest", "join", "people", "sample", "--as", "both", "--years", YEAR),
    "verify": ("store", "verify"),
}
# Seconds: longer than a scheduler on a busy machine takes to import what a graph needs.
_PATIENCE = 20
_STOPPED_FOR = 20.0
_LIMIT = 240.0


@dataclass(frozen=True)
class Cell:
    """One case of the matrix."""

    victim: str
    fault: str
    moment: str
    job: str
    place: str


@dataclass
class Seen:
    """What came of a cell.

    Attributes
    ----------
    hit : bool
        Whether the job still ran when its fault came.
    code : int, optional
        Exit code; None if the job had not ended after four minutes.
    said : float, optional
        Seconds from the fault to the first line on standard error.
    ended : float
        Seconds from the fault to the end.
    line : str
        The last line on standard error.
    traceback : bool
        Whether the user saw one.
    again : int
        Exit code of the second run.
    equal : bool
        Whether the store then had the bytes of an undisturbed run.
    """

    hit: bool
    code: int | None
    said: float | None
    ended: float
    line: str
    traceback: bool
    again: int
    equal: bool


def cells(place: str) -> Iterator[Cell]:
    """Yield the cells of a place, what differs most first."""
    faults = [
        *itertools.product(("scheduler", "workers", "driver", "worker", "nanny"), ("killed", "stopped")),
        ("worker", "memory"),
    ]
    for moment, name, (victim, fault) in itertools.product(("middle", "commit", "start"), JOBS, faults):
        yield Cell(victim, fault, moment, name, place)
    for name in JOBS:
        yield Cell("nobody", "none", "middle", name, place)
    yield Cell("two at once", "none", "middle", "backfill", place)


# On a worker ---------------------------------------------------------------------------------------


def dask_setup(worker: Any) -> None:
    """Let a signal fill a worker's memory; called by ``dask worker --preload``."""

    def fill_up() -> None:
        held = []
        while True:
            held.append(np.ones(2**21))
            time.sleep(0.01)

    signal.signal(signal.SIGUSR1, lambda *_: threading.Thread(target=fill_up, daemon=True).start())


# The cluster ---------------------------------------------------------------------------------------


class Cluster:
    """A scheduler and two workers with nannies, on loopback, each a process of its own.

    Parameters
    ----------
    folder : Path
        For logs and the cluster file.
    memory : str
        Limit of a worker.
    """

    def __init__(self, folder: Path, memory: str = "1500MiB") -> None:
        self.folder, self.memory = folder, memory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.nannies: list[subprocess.Popen[bytes]] = []

    @contextmanager
    def running(self) -> Iterator[Cluster]:
        """Run the processes until the block ends."""
        loopback = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard")
        try:
            self.scheduler = self._run("scheduler", "--port", str(self.port), *loopback)
            options = ("--nthreads", "1", "--memory-limit", self.memory, "--preload", __file__)
            folder = ("--local-directory", str(self.folder / "scratch"))
            self.nannies = [self._run("worker", self.address, *options, *folder, *loopback) for _ in range(2)]
            with distributed.Client(self.address, timeout=120, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=120)
            yield self
        finally:
            for process in self.processes():
                with suppress(psutil.Error):
                    process.kill()
            for popen in (*self.nannies, self.scheduler):
                if popen is not None:
                    popen.wait()

    def _run(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{what}.log", "ab") as log:
            line = [sys.executable, "-m", "dask", what, *arguments]
            return subprocess.Popen(line, stdout=log, stderr=log)

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes."""
        found = []
        for nanny in self.nannies:
            with suppress(psutil.Error):
                children = psutil.Process(nanny.pid).children()
                found += [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        return found

    def processes(self) -> list[psutil.Process]:
        """Return all processes, workers last."""
        found = []
        for popen in (*self.nannies, self.scheduler):
            with suppress(psutil.Error):
                found += [psutil.Process(popen.pid)] if popen is not None else []
        return [*found, *self.workers()]

    def victims(self, who: str, driver: int) -> list[psutil.Process]:
        """Return the processes of a victim."""
        if who == "driver":
            return [psutil.Process(driver)]
        if who == "scheduler":
            assert self.scheduler is not None
            return [psutil.Process(self.scheduler.pid)]
        if who == "worker":
            return self.workers()[:1]
        nannies = [psutil.Process(nanny.pid) for nanny in self.nannies]
        return nannies[:1] if who == "nanny" else [*nannies, *self.workers()]


# A cell --------------------------------------------------------------------------------------------


class Driver:
    """A job that runs, and the times of what it writes to standard error."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.out: list[str] = []
        self.err: list[tuple[float, str]] = []
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_out, self._read_err)]
        for reader in self._readers:
            reader.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        self.out.extend(self.process.stdout)

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.err.append((time.monotonic(), line.rstrip()))

    def wait(self, seconds: float) -> int | None:
        """Return the exit code; None if the job runs on."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        for reader in self._readers:
            reader.join(5)
        return code

    def end(self) -> None:
        """Kill the job if it runs, and let it have ended."""
        with suppress(OSError):
            self.process.kill()
        self.wait(10)


class Matrix:
    """The inputs of all cells, and what undisturbed runs make of them."""

    def __init__(self, folder: Path, base: str | None) -> None:
        self.folder = folder
        self.base = (base or str(folder / "stores")).rstrip("/")
        self.source = _inputs(folder)
        (folder / "faults.yaml").write_text(BACKFILL)
        self._wanted: dict[str, dict[str, str]] = {}
        self._draws = random.Random(1)
        self._number = itertools.count()

    def command(self, name: str, store: Store, cluster: str) -> list[str]:
        """Return the command of a job."""
        script, *rest = (text.format(folder=self.folder) for text in JOBS[name])
        config = str(self.folder / "cluster.yaml")
        return job(script, *rest, "--store", store.url, "--cluster", cluster, "--config", config)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Yield a store of the inputs, and remove it."""
        store = Store(f"{self.base}/{os.getpid()}-{next(self._number)}")
        copy(self.source, store)
        try:
            yield store
        finally:
            empty(store)

    def wanted(self, name: str) -> dict[str, str]:
        """Return the checksums of a store after an undisturbed run."""
        if name not in self._wanted:
            with self.store() as store:
                self._configure("")
                subprocess.run(self.command(name, store, "serial"), check=True, capture_output=True)
                self._wanted[name] = _shown(store)
        return self._wanted[name]

    def _configure(self, address: str) -> None:
        section = f"clusters: {{faults: {{kind: address, address: '{address or 'tcp://127.0.0.1:1'}', "
        (self.folder / "cluster.yaml").write_text(f"{section}timeout: 10, patience: {_PATIENCE}}}}}\n")

    def run(self, cell: Cell) -> Seen:
        """Run a cell."""
        wanted = self.wanted(cell.job)
        with self.store() as store, Cluster(self.folder).running() as cluster:
            self._configure(cluster.address)
            command = self.command(cell.job, store, "faults")
            other = Driver(command) if cell.victim == "two at once" else None
            driver = Driver(command)
            try:
                hit, began, code = self._disturb(cell, cluster, driver, store, wanted)
                ended = time.monotonic() - began
                if other is not None and other.wait(_LIMIT) != 0:
                    code = other.process.returncode
            finally:
                driver.end()
            again = subprocess.run(self.command(cell.job, store, "serial"), capture_output=True, text=True, check=False)
            said = [when - began for when, _ in driver.err if when >= began]
            return Seen(
                hit=hit,
                code=code,
                said=round(said[0], 1) if said else None,
                ended=round(ended, 1),
                line=driver.err[-1][1][:300] if driver.err else "",
                traceback=any(line.startswith("Traceback") for _, line in driver.err),
                again=again.returncode,
                equal=_shown(store) == wanted,
            )

    def _disturb(
        self, cell: Cell, cluster: Cluster, driver: Driver, store: Store, wanted: dict[str, str]
    ) -> tuple[bool, float, int | None]:
        """Wait for the moment, bring about the fault, and wait for the end."""
        self._await(cell.moment, cluster, driver, store, wanted)
        hit = driver.process.poll() is None
        began = time.monotonic()
        if cell.fault == "none" or not hit:
            return hit, began, driver.wait(_LIMIT)
        victims = cluster.victims(cell.victim, driver.process.pid)
        sent = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP, "memory": signal.SIGUSR1}[cell.fault]
        for process in victims:
            with suppress(psutil.Error):
                process.send_signal(sent)
        if cell.fault != "stopped":
            return hit, began, driver.wait(_LIMIT)
        code = driver.wait(_LIMIT if cell.victim == "scheduler" else _STOPPED_FOR)
        for process in victims:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)
        return hit, began, driver.wait(_LIMIT) if code is None else code

    def _await(self, moment: str, cluster: Cluster, driver: Driver, store: Store, wanted: dict[str, str]) -> None:
        def goes_on() -> bool:
            return driver.process.poll() is None

        while goes_on() and not any(line.startswith("cluster:") for line in driver.out):
            time.sleep(0.02)
        if moment == "start" or not goes_on():
            return
        if moment == "commit":
            parts = {key for key in wanted if "/" in key and not key.endswith(".json") and "." in key}
            while goes_on() and not parts <= {found.key for found in store.objects.listing()}:
                time.sleep(0.05)
            return
        with distributed.Client(cluster.address, timeout=30, set_as_default=False) as client:
            while goes_on() and not client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
                time.sleep(0.05)
        time.sleep(self._draws.uniform(0.0, 0.5))


def _shown(store: Store) -> dict[str, str]:
    """Return what readers see; a cube's objects have names of chance, so its commit alone counts."""
    found = visible(store)
    cubes = sorted({key.split("/")[1] for key in store.objects.names("") if key.startswith("cubes/")})
    return found | {f"cubes/{name}": "there" for name in cubes}


def _inputs(folder: Path) -> Store:
    """Return a store of the sample country, and of tracts with an outcome for a study of mobility."""
    store = fill(folder, 1)
    draws = np.random.default_rng(1)
    keys = [f"{state}001{number:06d}" for state in ("17", "18", "39") for number in range(40)]
    table = pd.DataFrame(draws.normal(size=(len(keys), 2)), index=pd.Index(keys, name="geoid"), columns=["jobs", "age"])
    outcome = pd.DataFrame({"kir_pooled_p25": 45 + 3 * table["jobs"] + draws.normal(0, 1, len(keys))})
    for dataset, frame in (("made", table), ("opportunity_atlas", outcome)):
        collection = f"measures/{dataset}/2018"
        parts = {state: store.put(collection, state, part) for state, part in frame.groupby(frame.index.str[:2])}
        store.commit(collection, parts, Provenance("benchmark", {}), {"vintage": "2010"})
    return store


# The table -----------------------------------------------------------------------------------------


def read_results(file: Path) -> dict[Cell, Seen]:
    """Return the cells that were run."""
    lines = file.read_text().splitlines() if file.exists() else []
    found = [json.loads(line) for line in lines]
    return {Cell(**plain["cell"]): Seen(**plain["seen"]) for plain in found}


def table(results: dict[Cell, Seen]) -> list[str]:
    """Return the results as a Markdown table, and the number of cells that were not run."""
    head = ["victim", "fault", "moment", "job", "place", "exit", "first line, s", "end, s", "second run", "last line"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for cell, seen in sorted(results.items(), key=lambda item: astuple(item[0])):
        exit_code = "none in 4 min" if seen.code is None else str(seen.code)
        said = "–" if seen.said is None else f"{seen.said:.1f}"
        again = f"{seen.again}, {'same bytes' if seen.equal else 'OTHER BYTES'}"
        moment = cell.moment if seen.hit else f"{cell.moment} (ended before)"
        shown = ("TRACEBACK: " if seen.traceback else "") + seen.line.replace("|", "\\|")
        where = [cell.victim, cell.fault, moment, cell.job, cell.place]
        lines.append("| " + " | ".join([*where, exit_code, said, f"{seen.ended:.1f}", again, shown]) + " |")
    wanted = {cell for place in ("folder", "bucket") for cell in cells(place)}
    return [*lines, "", f"{len(results)} cells; of the whole matrix, {len(wanted - results.keys())} were not run."]


def write_table(file: Path, results: dict[Cell, Seen]) -> None:
    """Put the table below the last heading of a page."""
    text = file.read_text(encoding="utf-8")
    start = text.index("<!-- table -->")
    file.write_text(text[:start] + "\n".join(["<!-- table -->", "", *table(results)]) + "\n", encoding="utf-8")


def measure(folder: Path, chosen: list[Cell], results: Path, minutes: float, base: str | None) -> None:
    """Run cells that the results do not hold, and add them there."""
    matrix, end = Matrix(folder, base), time.monotonic() + 60 * minutes
    for cell in chosen:
        if time.monotonic() > end:
            return
        if cell in read_results(results):
            continue
        seen = matrix.run(cell)
        with open(results, "a", encoding="utf-8") as file:
            file.write(json.dumps({"cell": asdict(cell), "seen": asdict(seen)}) + "\n")
        print(*astuple(cell), "→", *astuple(seen), flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, allowed in (("jobs", tuple(JOBS)), ("victims", VICTIMS), ("faults", FAULTS), ("moments", MOMENTS)):
        parser.add_argument(f"--{name}", default=",".join(allowed), help=f"some of {', '.join(allowed)}")
    parser.add_argument("--store", help="a bucket below which stores are made and removed; a temporary folder without")
    parser.add_argument("--results", type=Path, default=Path("fault_matrix.jsonl"), help="a line per cell")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no cell is begun")
    parser.add_argument("--table", type=Path, help="only write the results into this page")
    options = parser.parse_args(arguments)
    if options.table:
        write_table(options.table, read_results(options.results))
        return 0
    chosen = [
        cell
        for cell in cells("bucket" if options.store else "folder")
        if cell.job in options.jobs.split(",")
        and cell.victim in options.victims.split(",")
        and cell.fault in options.faults.split(",")
        and cell.moment in options.moments.split(",")
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        measure(folder, chosen, options.results, options.minutes, options.store)
    return 0


if __name__ == "__main__":
    sys.exit(main())
