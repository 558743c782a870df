"""What is left of a backfill whose workers, driver, scheduler and storage fail at random: the same store, all of it.

    python benchmarks/faults.py --kills 100
    python benchmarks/faults.py --kills 100 --store s3://bucket/prefix --storage-faults 0.1

A small store (five products, several years, six states) is backfilled on a scheduler and two workers, each a process
of its own. At random moments one of the processes is killed (SIGKILL), and the same command is run again until it ends
well; then the next round begins with a fresh copy of the store. With ``--storage-faults`` a share of all requests of
driver and workers to the gateway fail: 500, 503, late answers, bodies cut both ways, answers lost. All the while a
reader reads whatever the store shows. Every round ends with these questions, and the script with exit code 1 if any is
answered with no:

- Is every newest snapshot and every part byte-identical to those of a run that nobody disturbed?
- Was everything whole that the reader has ever seen?
- Does ``jobs/store.py verify`` find nothing damaged or stale, and does ``clean --history`` leave exactly the objects of
  the undisturbed run?
- Was no output computed again after it was whole?
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
from rich.console import Console

from geomob_dask.errors import GeomobError
from geomob_dask.products import neighbors
from geomob_dask.runs import engine, planning
from geomob_dask.runs.landing import ingest
from geomob_dask.sources.sample import write_sample
from geomob_dask.store import Provenance, Snapshot, Store
from geomob_dask.store.checks import check_part
from geomob_dask.store.contents import JOURNALS, contents
from geomob_dask.store.objects import concurrently
from geomob_dask.store.provenance import sha256
from geomob_dask.store.snapshots import snapshot_key

ROOT = Path(__file__).parents[1]
LOG = "GEOMOB_FAULTS_LOG"
KINDS = {"worker": 0.45, "driver": 0.4, "scheduler": 0.15}
QUIET = Console(quiet=True)
FIRST_YEAR = 2015
BACKFILL = """
name: faults
products:
  index: {job: opportunity, dataset: sample, definition: sample, norm: state}
  nation: {job: opportunity, dataset: sample, definition: sample}
  counties: {job: exposure, dataset: people, by: county, groups: b03002_four, interactions: true}
  income: {job: mixing, dataset: people, by: county}
  uneven: {job: segregation, dataset: people, by: county, groups: b19001, indices: [multigroup_gini]}
"""


# On a worker: what is computed, and when -----------------------------------------------------------


def dask_setup(worker: Any) -> None:
    """Let a worker write down when it begins and ends an output; called by ``dask worker --preload``."""
    from geomob_dask.runs import output

    path = os.environ[LOG]
    local = threading.local()

    def note(event: str, **more: Any) -> None:
        line = json.dumps({"t": time.time(), "pid": os.getpid(), "event": event, "unit": local.unit, **more}) + "\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def of_output(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def make(store: Store, prepared: Any, *rest: Any, **more: Any) -> Any:
            local.unit = f"{store.url}|{prepared.collection}|{prepared.part}"
            note("begin")
            try:
                made = function(store, prepared, *rest, **more)
            except BaseException as error:
                note("error", why=f"{type(error).__name__}: {error}"[:300])
                raise
            note("end", computed=made.computed)
            return made

        return make

    def of_kernels(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def produce(*arguments: Any, **more: Any) -> Any:
            note("compute")
            return function(*arguments, **more)

        return produce

    output.make = of_output(output.make)
    output.frame_of = of_kernels(output.frame_of)


@dataclass
class Attempt:
    """One time that a worker began to compute an output."""

    unit: str
    pid: int
    begun: float
    ended: float | None = None
    failed: bool = False


def attempts(log: Path) -> list[Attempt]:
    """Return what workers wrote down."""
    found: list[Attempt] = []
    running: dict[tuple[int, str], Attempt] = {}
    for line in log.read_text().splitlines() if log.exists() else []:
        plain = json.loads(line)
        who = (plain["pid"], plain["unit"])
        if plain["event"] == "compute":
            running[who] = Attempt(plain["unit"], plain["pid"], plain["t"])
            found.append(running[who])
        elif plain["event"] in ("end", "error") and who in running:
            attempt = running.pop(who)
            attempt.ended, attempt.failed = plain["t"], plain["event"] == "error"
    return found


@dataclass(frozen=True)
class Work:
    """How often outputs were computed.

    Attributes
    ----------
    outputs : int
        That were computed at all.
    begun, cut_off, failed, meanwhile, needless : int
        Times that workers began; of them those that a kill cut off, that failed for the storage, that ran while another
        worker had the same output in hand (its driver was gone), and that began after the output was whole.
    """

    outputs: int
    begun: int
    cut_off: int
    failed: int
    meanwhile: int
    needless: int


def count_work(found: list[Attempt]) -> Work:
    """Return how often outputs were computed, and why."""
    by_unit: dict[str, list[Attempt]] = {}
    for one in found:
        by_unit.setdefault(one.unit, []).append(one)
    meanwhile = needless = 0
    for same in by_unit.values():
        for number, one in enumerate(same):
            before = [other for other in same[:number] if not other.failed and other.ended is not None]
            needless += any(other.ended is not None and other.ended < one.begun for other in before)
            meanwhile += any(other.ended is not None and other.ended >= one.begun for other in before)
    return Work(
        outputs=len(by_unit),
        begun=len(found),
        cut_off=sum(one.ended is None for one in found),
        failed=sum(one.failed for one in found),
        meanwhile=meanwhile,
        needless=needless,
    )


# The store ------------------------------------------------------------------------------------------


def people(keys: pd.Index, year: int) -> pd.DataFrame:
    """Return made-up counts by group and by income of some tracts."""
    random_numbers = np.random.default_rng(year)
    columns: dict[str, np.ndarray] = {}
    for table, lines in (("B03002", (3, 4, 5, 6, 7, 8, 9, 12)), ("B19001", tuple(range(2, 18)))):
        counts = random_numbers.poisson(random_numbers.gamma(0.7, 120, size=(len(keys), len(lines)))).astype(float)
        columns[f"{table}_001E"] = counts.sum(axis=1)
        columns[f"{table}_001M"] = np.full(len(keys), 150.0)
        for place, line in enumerate(lines):
            columns[f"{table}_{line:03d}E"] = counts[:, place]
            columns[f"{table}_{line:03d}M"] = np.round(12 + 2 * np.sqrt(counts[:, place]))
    return pd.DataFrame(columns, index=keys.rename("geoid"))


def fill(folder: Path, years: int) -> Store:
    """Return a store of the sample country: tracts, neighbors, and two datasets of some years."""
    store = Store(str(folder / "inputs"))
    paths = write_sample(folder)
    ingest(store, "tracts", files=[str(paths.tracts)], vintage="sample")
    graph = planning.Request("neighbors", neighbors.Options(vintage="sample"))
    engine.run(store, planning.make_plan(store, [graph]), None, QUIET)
    for year in range(FIRST_YEAR, FIRST_YEAR + years):
        ingest(store, "measures", file=str(paths.measures), dataset="sample", year=year, vintage="sample")
        collection = f"measures/people/{year}"
        parts = {
            state: store.put(collection, state, people(store.read(part, ["aland"]).index, year))
            for state, part in store.snapshot("tracts/sample").parts.items()
        }
        store.commit(collection, parts, Provenance("benchmark", {}), {"vintage": "sample"})
    return store


def copy(source: Store, target: Store) -> None:
    """Copy every object."""
    concurrently(lambda found: target.objects.put(found.key, source.objects.get(found.key)), source.objects.listing())


def empty(store: Store) -> None:
    """Remove every object."""
    concurrently(lambda found: store.objects.delete(found.key), store.objects.listing())


def visible(store: Store) -> dict[str, str]:
    """Return the checksum of every newest snapshot and of every part that it lists, journals left out."""
    there = contents(store.objects)
    found = {}
    for name, numbers in there.snapshots.items():
        data = store.objects.get(snapshot_key(name, max(numbers)))
        found[name] = sha256(data)
        for part in Snapshot.from_bytes(data, name).parts.values():
            found[part.key] = sha256(store.objects.get(part.key))
    return found


def objects(store: Store) -> set[str]:
    """Return every key but journals, commits of whatever number as one."""
    keys = (found.key for found in store.objects.listing() if not found.key.startswith(JOURNALS))
    return {re.sub(r"/_snapshots/\d{8}\.json$", "/_snapshots", key) for key in keys}


# The reader -----------------------------------------------------------------------------------------


def read_on(url: str, report: Path) -> None:
    """Read all that a store shows, again and again, until this process is told to end; tell what was not whole."""
    store = Store(url)
    counts: Counter[str] = Counter()
    bad: list[str] = []
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    last = False
    while not last:
        # The last round begins after the end was told, and so finds all that the run has left.
        last = stopped.is_set()
        counts["rounds"] += 1
        for collection in [*store.collections("results"), *store.collections("norms")]:
            try:
                snapshot = store.find(collection)
                counts["snapshots"] += 1
                for state, part in snapshot.parts.items() if snapshot else ():
                    bad += [finding.line for finding in check_part(store.objects, state, part)]
                    counts["parts"] += 1
            except GeomobError as error:
                bad.append(str(error))
        report.write_text(json.dumps({**counts, "bad": bad}))
        stopped.wait(1.0)


@dataclass
class Seen:
    """What readers have seen."""

    counts: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    def add(self, report: Path) -> None:
        """Add the report of one reader."""
        plain = json.loads(report.read_text())
        self.bad += plain.pop("bad")
        self.counts.update(plain)


# The cluster ----------------------------------------------------------------------------------------


class Cluster:
    """A scheduler and two workers, each a process of its own, that come back when they are killed.

    Parameters
    ----------
    folder : Path
        For logs.
    environment : mapping
        Of the processes.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._environment = environment
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[Cluster]:
        """Run the processes until the block ends."""
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def start(self) -> None:
        """Start the scheduler and the workers, and wait until all are there."""
        self._scheduler = self._run("scheduler", "--port", str(self.port))
        self._workers = [self._start_worker() for _ in range(2)]
        with distributed.Client(self.address, timeout=300, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=300)

    def _start_worker(self) -> subprocess.Popen[bytes]:
        options = ("--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--death-timeout", "60")
        folder = ("--local-directory", str(self.folder / "scratch"))
        return self._run("worker", self.address, *options, *folder, "--preload", __file__)

    def _run(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        loopback = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard")
        line = [sys.executable, "-m", "dask", what, *arguments, *loopback]
        with open(self.folder / f"{what}.log", "ab") as log:
            return subprocess.Popen(line, stdout=log, stderr=log, env=self._environment)

    def kill_worker(self, number: int) -> None:
        """Kill one worker, and start another."""
        _kill(self._workers[number])
        self._workers[number] = self._start_worker()

    def kill_scheduler(self) -> None:
        """Kill the scheduler; its workers are lost with it."""
        if self._scheduler is not None:
            _kill(self._scheduler)

    def stop(self) -> None:
        """End all processes."""
        for process in (*self._workers, self._scheduler):
            if process is not None:
                _kill(process)
        self._workers, self._scheduler = [], None

    @property
    def pids(self) -> set[int]:
        """Return the living workers."""
        return {worker.pid for worker in self._workers if worker.poll() is None}


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


# A round --------------------------------------------------------------------------------------------


@dataclass
class Told:
    """What is to be printed."""

    kills: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    runs: int = 0
    seen: Seen = field(default_factory=Seen)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Trial:
    """A backfill of one fresh store, killed at random until it ends well."""

    store: Store
    cluster: Cluster
    command: list[str]
    environment: dict[str, str]
    draws: random.Random
    told: Told
    enough: Callable[[], bool]
    pause: float
    folder: Path

    @property
    def log(self) -> Path:
        """Return where workers write."""
        return Path(self.environment[LOG])

    def run(self, limit: float = 3600.0) -> None:
        """Run the command until it ends well."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            self.told.runs += 1
            if self._run_once(end):
                return
        self.told.wrong.append(f"{self.store.url}: no good end within {limit:.0f} s")

    def _run_once(self, end: float) -> bool:
        """Run the command, kill on the way; return whether it ended well."""
        with open(self.folder / "driver.log", "ab") as log:
            driver = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.environment)
        try:
            while driver.poll() is None and time.monotonic() < end:
                kind = self._next(driver)
                if kind is None:
                    continue
                self.told.kills[kind] += 1
                if kind == "worker":
                    self.cluster.kill_worker(self.draws.randrange(2))
                elif kind == "driver":
                    _kill(driver)
                else:
                    self.cluster.kill_scheduler()
                    self._wait(driver, 120.0, "its scheduler was killed")
                    self.cluster.stop()
                    self.cluster.start()
            code = driver.poll()
            self.told.exits["still running" if code is None else "killed" if code < 0 else str(code)] += 1
            return code == 0
        finally:
            _kill(driver)

    def _next(self, driver: subprocess.Popen[bytes]) -> str | None:
        """Wait for the next moment to kill; return what, None if the driver ended before or nothing is to be killed."""
        # Most kills fall while outputs are computed, some while the run plans, starts or commits.
        known = self._size()
        if self.draws.random() < 0.85:
            while driver.poll() is None and self._size() == known:
                time.sleep(0.02)
            wait = self.draws.uniform(0.0, self.pause)
        else:
            wait = self.draws.uniform(0.0, 3 * self.pause)
        with contextlib.suppress(subprocess.TimeoutExpired):
            driver.wait(wait)
        if driver.poll() is not None:
            return None
        if self.enough():
            driver.wait()
            return None
        return self.draws.choices(list(KINDS), list(KINDS.values()))[0]

    def _wait(self, driver: subprocess.Popen[bytes], limit: float, why: str) -> None:
        try:
            driver.wait(limit)
        except subprocess.TimeoutExpired:
            self.told.wrong.append(f"{self.store.url}: the driver hung for {limit:.0f} s after {why}")

    def _size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def settle(self) -> None:
        """Wait until no worker has an output in hand: those of killed drivers go on with theirs."""
        for _ in range(1200):
            alive = self.cluster.pids
            if not any(one.ended is None and one.pid in alive for one in attempts(self.log)):
                return
            time.sleep(0.1)


def job(name: str, *arguments: str) -> list[str]:
    """Return the command of a job."""
    return [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *arguments]


def check(trial: Trial, direct: dict[str, str], wanted: dict[str, str], keys: set[str]) -> None:
    """Ask the questions of a round about its store."""
    store, wrong = trial.store, trial.told.wrong
    trial.settle()
    found = visible(store)
    differ = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
    if differ:
        wrong.append(f"{store.url}: {len(differ)} snapshots or parts differ, the first {differ[0]}")
    for command in (
        job("store", "verify", "--store", store.url, "--cluster", "serial"),
        job("store", "clean", "--older-than", "0s", "--history", "--store", store.url),
    ):
        done = subprocess.run(command, env=direct, capture_output=True, text=True, check=False)
        if done.returncode:
            wrong.append(f"{' '.join(command[1:3])}: exit code {done.returncode}: {done.stderr.strip()[-300:]}")
        elif command[2] == "verify" and "0 damaged, 0 stale" not in done.stdout:
            wrong.append(f"{store.url}: verify found {done.stdout.strip()[-300:]}")
    left = objects(store)
    if left != keys:
        more, fewer = sorted(left - keys), sorted(keys - left)
        wrong.append(
            f"{store.url}: after clean {len(more)} objects too many {more[:2]}, {len(fewer)} too few {fewer[:2]}"
        )


def measure(
    folder: Path,
    *,
    kills: int,
    years: int,
    seed: int,
    url: str | None = None,
    rate: float = 0.0,
    minutes: float = float("inf"),
    pause: float = 3.0,
) -> tuple[Told, Work, dict[str, int]]:
    """Run rounds until so many kills have been dealt out.

    Parameters
    ----------
    folder : Path
        For logs, and for stores where no URL is given.
    url : str, optional
        Below which stores are made.
    rate : float
        Share of requests to the gateway of ``AWS_ENDPOINT_URL`` that fail.
    minutes : float
        After which nothing more is killed.
    pause : float
        Longest wait before a kill, in seconds, counted from when a worker has something in hand.

    Returns
    -------
    told : Told
    work : Work
    storage : dict
        Requests by what happened to them; empty without a proxy.
    """
    from faulty_storage import FaultyStorage

    told, draws = Told(), random.Random(seed)
    end = time.monotonic() + 60 * minutes

    def enough() -> bool:
        return told.kills.total() >= kills or time.monotonic() > end

    source = fill(folder, years)
    base = url.rstrip("/") if url else str(folder / "stores")
    direct = {**os.environ, LOG: str(folder / "work.jsonl"), "GEOMOB_STORE": ""}
    faulty = dict(direct)
    file = folder / "faults.yaml"
    file.write_text(BACKFILL)
    span = f"{FIRST_YEAR}-{FIRST_YEAR + years - 1}"
    config = folder / "cluster.yaml"

    def command(store: Store, cluster: str) -> list[str]:
        options = ("--years", span, "--store", store.url, "--cluster", cluster, "--config", str(config))
        return job("backfill", str(file), *options)

    with contextlib.ExitStack() as stack:
        proxy = None
        if rate:
            proxy = stack.enter_context(FaultyStorage(os.environ["AWS_ENDPOINT_URL"], rate=rate, seed=seed).running())
            faulty["AWS_ENDPOINT_URL"] = proxy.url
        cluster = Cluster(folder, faulty)
        config.write_text(f"clusters:\n  faults: {{kind: address, address: '{cluster.address}', timeout: 10}}\n")
        reference = Store(f"{base}/undisturbed")
        copy(source, reference)
        subprocess.run(command(reference, "serial"), env=direct, check=True, capture_output=True)
        wanted = visible(reference)
        clean = job("store", "clean", "--older-than", "0s", "--history", "--store", reference.url)
        subprocess.run(clean, env=direct, check=True, capture_output=True)
        keys = objects(reference)
        stack.enter_context(cluster.running())
        while not enough():
            store = Store(f"{base}/round-{told.rounds}")
            copy(source, store)
            report = folder / f"reader-{told.rounds}.json"
            reader = subprocess.Popen([sys.executable, __file__, "--read", store.url, str(report)], env=direct)
            trial = Trial(store, cluster, command(store, "faults"), faulty, draws, told, enough, pause, folder)
            while not report.exists() and reader.poll() is None:
                time.sleep(0.05)
            try:
                trial.run()
            finally:
                reader.terminate()
                reader.wait()
            told.seen.add(report)
            check(trial, direct, wanted, keys)
            told.rounds += 1
            print(f"round {told.rounds}: {told.kills.total()} kills, {len(told.wrong)} wrong", flush=True)
            if not told.wrong:
                empty(store)
        empty(reference)
    return told, count_work(attempts(folder / "work.jsonl")), dict(proxy.counts) if proxy else {}


def lines(told: Told, work: Work, storage: dict[str, int], expected: int) -> list[str]:
    """Return the result as text."""
    kills = ", ".join(f"{told.kills[kind]} {kind}" for kind in KINDS)
    exits = ", ".join(f"{count} × {code}" for code, count in sorted(told.exits.items()))
    found = [
        f"kills                        {told.kills.total()} ({kills}) in {told.rounds} rounds",
        f"runs of the command          {told.runs}; exit codes: {exits}",
    ]
    if storage:
        broken = sum(count for what, count in storage.items() if what != "passed")
        kinds = ", ".join(f"{count} {what}" for what, count in sorted(storage.items()) if what != "passed")
        found.append(f"requests to the storage      {sum(storage.values())}, of them {broken} failed ({kinds})")
    seen = told.seen
    return [
        *found,
        f"read meanwhile               {seen.counts['parts']} parts of {seen.counts['snapshots']} snapshots in "
        f"{seen.counts['rounds']} rounds; not whole: {len(seen.bad)}",
        f"outputs                      {expected} wanted, {work.outputs} computed by workers",
        f"computations begun           {work.begun}: {work.cut_off} cut off by a kill, {work.failed} failed for the "
        f"storage, {work.meanwhile} while another worker had the output in hand, {work.needless} without need",
        f"wrong at the end of a round  {len(told.wrong)}",
        *(f"  {what}" for what in (*told.wrong, *seen.bad[:5])),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which nothing more is killed")
    parser.add_argument("--years", type=int, default=4, help="of the small store")
    parser.add_argument("--seed", type=int, default=1, help="of what is killed when, and of the storage's faults")
    parser.add_argument("--store", help="below which stores are made and removed; a temporary folder by default")
    parser.add_argument("--storage-faults", type=float, default=0.0, metavar="SHARE", help="of requests to a bucket")
    parser.add_argument("--logs", help="folder for logs, which is kept")
    parser.add_argument("--read", nargs=2, metavar=("URL", "REPORT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.read:
        read_on(options.read[0], Path(options.read[1]))
        return 0
    in_bucket = (options.store or "").startswith("s3://") and "AWS_ENDPOINT_URL" in os.environ
    if options.storage_faults and not in_bucket:
        parser.error("--storage-faults: expected --store s3://bucket/prefix and AWS_ENDPOINT_URL")
    # Told to end, it ends the processes that it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with contextlib.ExitStack() as stack:
        folder = Path(options.logs or stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        told, work, storage = measure(
            folder,
            kills=options.kills,
            years=options.years,
            seed=options.seed,
            url=options.store,
            rate=options.storage_faults,
            minutes=options.minutes,
        )
    expected = told.rounds * options.years * outputs_a_year()
    print("\n".join(lines(told, work, storage, expected)))
    print(f"seed {options.seed}, {options.years} years, {time.monotonic() - start:.0f} s")
    return int(bool(told.wrong or told.seen.bad or work.needless or work.outputs != expected))


def outputs_a_year() -> int:
    """Return how many outputs the backfill has in a year: four products of six states, one of all together."""
    return 4 * 6 + 1


if __name__ == "__main__":
    sys.exit(main())
