"""A job on a cluster, and one fault: what the user reads, when the job ends, and whether a second run mends it.

    python benchmarks/fault_matrix.py --jobs backfill,cube --victims scheduler,workers
    python benchmarks/fault_matrix.py --store s3://bucket/prefix --minutes 20
    python benchmarks/fault_matrix.py --table docs/faults.md

A cell is a victim, a fault, a moment, a job and a place (a folder, or a bucket with ``--store``). The job runs on a
scheduler and two workers with their nannies, each a process of its own, over a small store. Cells that the results
(``--results``, a line each) hold are not run again, so a run may be stopped at any time; ``--table`` writes them down.
``workers`` are both of them with their nannies, which would replace them. ``stopped`` is SIGSTOP: until the job ends
for the scheduler and for all workers, for twenty seconds otherwise. ``memory`` is a worker that allocates until its
nanny ends it, or a driver that gets no more memory (RLIMIT_AS). ``start`` is when the job has its cluster, ``middle``
when workers have tasks, ``commit`` when all parts (of a cube: a manifest) are in the store. A job without a fault, and
two at once, are cells too. Afterwards the same command runs without a cluster: it has to end with 0, and every
snapshot, part and value of a cube must be as after an undisturbed run.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, astuple
from pathlib import Path

import distributed
import numpy as np
import pandas as pd
import psutil
from fault_cells import FAULTS, JOBS, MOMENTS, PATIENCE, VICTIMS, Cell, Seen, cells, read_results, write_table
from fault_cluster import Cluster, ran
from faults import BACKFILL, FIRST_YEAR, ROOT, copy, empty, fill, job, visible

from geomob_dask.store import Provenance, Store
from geomob_dask.store.cubes import cube_names, open_cube
from geomob_dask.store.objects import StoredObject

YEAR = str(FIRST_YEAR)
_PEOPLE = ("--dataset", "people", "--year", YEAR, "--by", "county")
_COMMANDS: dict[str, tuple[str, ...]] = {
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
_STOPPED_FOR = 20.0
_LIMIT = 240.0


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
        self._before = visible(self.source).keys()
        self._commit = commit_of(ROOT)
        self._draws = random.Random(1)
        self._number = itertools.count()

    def command(self, name: str, store: Store, cluster: str) -> list[str]:
        """Return the command of a job."""
        script, *rest = (text.format(folder=self.folder) for text in _COMMANDS[name])
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
                log = self.folder / f"undisturbed-{name}.log"
                if ran(self.command(name, store, "serial")[1:], log):
                    raise RuntimeError(f"{name} fails undisturbed: {log.read_text()[-2000:]}")
                self._wanted[name] = shown(store)
        return self._wanted[name]

    def _configure(self, address: str) -> None:
        section = f"clusters: {{faults: {{kind: address, address: '{address or 'tcp://127.0.0.1:1'}', "
        (self.folder / "cluster.yaml").write_text(
            f"{section}timeout: 30, patience: {PATIENCE}, silence: {PATIENCE}}}}}\n"
        )

    def run(self, cell: Cell) -> Seen:
        """Run a cell."""
        wanted = self.wanted(cell.job)
        with self.store() as store, Cluster(self.folder).running() as cluster:
            self._configure(cluster.address)
            command = self.command(cell.job, store, "faults")
            other = Driver(command) if cell.victim == "two at once" else None
            driver = Driver(command)
            try:
                hit, committed, began, code = self._disturb(cell, cluster, driver, store, wanted)
                ended = time.monotonic() - began
                if other is not None and other.wait(_LIMIT) != 0:
                    code = other.process.returncode
            finally:
                driver.end()
                if other is not None:
                    other.end()
            again = ran(self.command(cell.job, store, "serial")[1:], self.folder / "again.log")
            said = [when - began for when, _ in driver.err if when >= began]
            return Seen(
                hit=hit,
                committed=committed,
                code=code,
                said=round(said[0], 1) if said else None,
                ended=round(ended, 1),
                line=driver.err[-1][1][:300] if driver.err else "",
                traceback=any(line.startswith("Traceback") for _, line in driver.err),
                again=again,
                equal=shown(store) == wanted,
                load=round(os.getloadavg()[0], 1),
                commit=self._commit,
            )

    def _disturb(
        self, cell: Cell, cluster: Cluster, driver: Driver, store: Store, wanted: dict[str, str]
    ) -> tuple[bool, bool, float, int | None]:
        """Wait for the moment, bring about the fault, and wait for the end."""
        self._await(cell.moment, cluster, driver, store, wanted)
        committed = any(_is_commit(found.key) for found in self._new(store))
        hit = driver.process.poll() is None
        began = time.monotonic()
        if cell.fault == "none" or not hit:
            return hit, committed, began, driver.wait(_LIMIT)
        victims = cluster.victims(cell.victim, driver.process.pid)
        if cell.fault == "memory" and cell.victim == "driver":
            used = victims[0].memory_info().vms
            victims[0].rlimit(psutil.RLIMIT_AS, (used, used))
            return hit, committed, began, driver.wait(_LIMIT)
        send(victims, {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP, "memory": signal.SIGUSR1}[cell.fault])
        if cell.fault != "stopped":
            return hit, committed, began, driver.wait(_LIMIT)
        code = driver.wait(_LIMIT if cell.victim in ("scheduler", "workers") else _STOPPED_FOR)
        send(victims, signal.SIGCONT)
        return hit, committed, began, driver.wait(_LIMIT) if code is None else code

    def _await(self, moment: str, cluster: Cluster, driver: Driver, store: Store, wanted: dict[str, str]) -> None:
        def goes_on() -> bool:
            return driver.process.poll() is None

        while goes_on() and not any(line.startswith("cluster:") for line in driver.out):
            time.sleep(0.02)
        if moment == "commit":
            parts = {key for key in wanted.keys() - self._before if "." in key.rpartition("/")[2]}
            while goes_on() and not _whole({found.key for found in store.objects.listing()}, parts):
                time.sleep(0.005)
        if moment != "middle" or not goes_on():
            return
        with distributed.Client(cluster.address, timeout=30, set_as_default=False) as client:
            while goes_on() and not any(client.processing().values()):
                time.sleep(0.02)
        time.sleep(self._draws.uniform(0.0, 0.5))

    def _new(self, store: Store) -> list[StoredObject]:
        """Return the objects of a store that its job has made."""
        old = {found.key for found in self.source.objects.listing()}
        return [found for found in store.objects.listing() if found.key not in old]


def send(victims: list[psutil.Process], number: int) -> None:
    """Send a signal to processes, those that are gone left out."""
    for process in victims:
        with suppress(psutil.Error):
            process.send_signal(number)


def commit_of(folder: Path) -> str:
    """Return the commit of the code, and whether it was changed since."""

    def git(*arguments: str) -> str:
        line = ["git", "-C", str(folder), *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "geomob_dask", "jobs")
    return f"{git('rev-parse', '--short=10', 'HEAD') or 'unknown'}{', changed' if changed else ''}"


def _is_commit(key: str) -> bool:
    return "/_snapshots/" in key


def _whole(there: set[str], parts: set[str]) -> bool:
    """Return whether all parts are in the store; of a cube, whether a manifest is."""
    return parts <= there if parts else any(key.startswith("cubes/") and "/manifests/" in key for key in there)


def shown(store: Store) -> dict[str, str]:
    """Return the checksums of what readers see: snapshots, parts, and the values of cubes, whose files are random."""
    return visible(store) | {f"cubes/{name}": _values(store, name) for name in cube_names(store)}


def _values(store: Store, name: str) -> str:
    cube = open_cube(store, name).compute(scheduler="synchronous")
    found = hashlib.sha256()
    for variable in sorted(map(str, cube.variables)):
        values = cube[variable].to_numpy()
        plain = repr(values.tolist()).encode() if values.dtype.kind in "OUST" else values.tobytes()
        found.update(f"{variable} {values.dtype} {values.shape} ".encode() + plain)
    return found.hexdigest()


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


# The command ---------------------------------------------------------------------------------------


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
    for name, allowed in (("jobs", JOBS), ("victims", VICTIMS), ("faults", FAULTS), ("moments", MOMENTS)):
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
