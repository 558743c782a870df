"""The jobs of a run in a batch queue are kept at their number: those that end are replaced, at last all are canceled.

dask-jobqueue submits what it is told to and looks no further: after ``scale(2)`` a job that is canceled, or reaches its
wall time, is missing for good. Here the queue is asked every few seconds which jobs wait, run or have ended.

Before its wall time a job is retired from here. Dask's own ``--lifetime`` loses what a worker holds if no other worker
is there at that moment, and counts each such end against the tasks that ran: after four of them a task is given up as
one that kills its workers. It is the second line of defense.
"""

import asyncio
import contextlib
import glob
import itertools
import math
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from distributed.core import Status

from geomob_dask.clusters.queue_commands import JobState, Queue, QueueError, States, answer, run
from geomob_dask.errors import RunError, SettingsError
from geomob_dask.messages import counted, one_line, without_passwords
from geomob_dask.runs.watchdog import Trouble
from geomob_dask.sections.queue import QueueSection

# Seconds between two looks at the queue: its controller serves others too.
_EVERY = 2.0
# Seconds after which a job that the queue never named has ended.
_UNNAMED = 60.0
_NOT_NAMED = "the queue does not name it"
# Jobs that are submitted at once.
_AT_ONCE = 10
# So many jobs that end one after another, before a worker of them came, are no accident.
_FAILURES = 3
# Seconds after which jobs are submitted again where that failed; twice as long each time.
_AGAIN = (2.0, 120.0)
# Seconds for which fewer workers suffice before jobs are given back.
_SURPLUS = 30.0
# Seconds that handing over what a worker holds may take.
_HANDS_OVER = 60.0
# Seconds between two looks at whether the tasks of a worker have ended; it tells every half second.
_ENDS = 1.0
# Seconds between two lines on a wait.
_SAY = 10.0
# Seconds that canceling all jobs may take.
_CANCELS = 25.0
_LAST_LINES = 3


@dataclass
class _Kept:
    """A job of this run.

    Parameters
    ----------
    job : dask_jobqueue.core.Job
    submitted : float
    arrived : bool
        Whether a worker of it has come.
    named : bool
        Whether the queue has named it.
    absent : float, optional
        Since when none of its workers is there, after one had come.
    state : JobState, optional
        What the queue said of it last.
    retires, leaves : float
        When another job is asked for in its place, and when its workers leave whether that has come or not.
    handing_over : asyncio.Task, optional
        What retires its workers.
    """

    job: Any
    submitted: float
    arrived: bool = False
    named: bool = False
    absent: float | None = None
    state: JobState | None = None
    retires: float = math.inf
    leaves: float = math.inf
    handing_over: "asyncio.Task[None] | None" = None

    @property
    def number(self) -> str:
        return str(self.job.job_id)


class Keeper:
    """Keeps the jobs of a run at their number.

    Parameters
    ----------
    cluster : dask_jobqueue.JobQueueCluster
    section : QueueSection
    queue : Queue
    name : str
        Of all jobs.
    say : callable
        Called with a line for the user.

    Attributes
    ----------
    failed : str
        Why no worker will come; empty while one may.
    """

    def __init__(
        self, cluster: Any, section: QueueSection, queue: Queue, name: str, say: Callable[[str], None]
    ) -> None:
        self.failed = ""
        self._cluster, self._section, self._queue, self._name = cluster, section, queue, name
        self._say = say
        self._accepted = self._refused = False
        self._jobs: dict[str, _Kept] = {}
        self._numbers = itertools.count()
        self._failures, self._again, self._pause = 0, 0.0, _AGAIN[0]
        self._surplus: float | None = None
        self._silent = False
        self._stopped = asyncio.Event()
        self._submits = asyncio.Lock()

    # --- for the thread of the run

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep the jobs at their number until the block ends; then cancel all."""
        loop = self._cluster.loop.asyncio_loop
        running = asyncio.run_coroutine_threadsafe(self._run(), loop)
        try:
            yield
        finally:
            try:
                asyncio.run_coroutine_threadsafe(self._end(), loop).result(2 * _CANCELS)
            except TimeoutError:
                self._tell(f"the queue does not answer; jobs named {self._name} may be left")
            running.cancel()

    def await_worker(self) -> None:
        """Wait until a worker has come, and say meanwhile what the jobs wait for.

        Raises
        ------
        SettingsError
            If the queue refuses the job.
        RunError
            If jobs end before a worker of them comes, or none comes in time.
        """
        began, last = time.monotonic(), ""
        told = began
        while not self._cluster.scheduler.workers:
            if self.failed:
                kind = SettingsError if self._refused else RunError
                raise kind(f"{self._section.where if self._refused else self._section.title}: {self.failed}")
            now, waits = time.monotonic(), self.waits_for()
            if now > began + self._section.starts:
                raise RunError(
                    f"{self._section.title}: no worker within {self._section.starts:g} s (starts in cluster.yaml); "
                    f"{waits}"
                )
            if (waits != last and now > told + 1.0) or now > told + _SAY:
                left = began + self._section.starts - now
                self._tell(f"{waits}; waiting up to {left:.0f} s for the first worker")
                told, last = now, waits
            time.sleep(0.1)

    def trouble(self) -> Trouble:
        """Return why no worker is there, and how long a run waits for one."""
        if self.failed:
            return Trouble("failed", self.failed, "for a worker", "starts", 0.0, 1.0)
        what = f"no worker is left; {self.waits_for()}"
        return Trouble("none", what, "for a worker", "starts", self._section.starts)

    def waits_for(self) -> str:
        """Return what the jobs wait for, in the queue's words.

        Such as ``waiting for 3 jobs: 2 in the queue (Resources), 1 started, without a worker yet``.
        """
        states = [kept.state for kept in list(self._jobs.values()) if not kept.arrived or kept.absent is not None]
        if not states:
            return "no job is in the queue yet"
        waits = Counter(state.reason or "no reason given" for state in states if state and state.kind == "waits")
        runs = sum(1 for state in states if state and state.kind == "runs")
        others = len(states) - runs - waits.total()
        parts = [f"{waits.total()} in the queue ({', '.join(sorted(waits))})"] if waits else []
        parts += [f"{runs} started, without a worker yet"] if runs else []
        parts += [f"{others} submitted"] if others else []
        return f"waiting for {counted(len(states), 'job')}: {', '.join(parts)}"

    def _tell(self, line: str) -> None:
        self._say(f"{self._section.title}: {line}")

    # --- in the loop of the cluster

    async def _run(self) -> None:
        told = ""
        while not self._stopped.is_set():
            try:
                await self._step()
                told = ""
            except Exception as error:
                # A fault of Dask's own, or of this module, must not leave the run without its jobs.
                what = f"{type(error).__name__}: {one_line(error)}"
                if what != told:
                    self._tell(f"the queue is looked at again every {_EVERY:g} s ({what})")
                told = what
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), _EVERY)

    async def _step(self) -> None:
        states = await self._ask() if self._jobs else {}
        for name, kept in list(self._jobs.items()):
            await self._look_at(name, kept, states)
        await self._adjust()

    async def _ask(self) -> States | None:
        """Return the states of the jobs; None if the queue does not tell."""
        numbers = [kept.number for kept in self._jobs.values()]
        try:
            found = self._queue.read(await run(self._queue.listing(self._name, numbers)))
        except QueueError as error:
            if not self._silent:
                self._tell(f"the queue does not answer ({error}); the run goes on with the workers that it has")
            self._silent = True
            return None
        if self._silent:
            self._tell("the queue answers again")
        self._silent = False
        return found

    async def _look_at(self, name: str, kept: _Kept, states: States | None) -> None:
        now = time.monotonic()
        if self._workers_of(name):
            kept.arrived, kept.absent = True, None
            self.failed, self._failures, self._pause = "", 0, _AGAIN[0]
        elif kept.arrived and kept.absent is None:
            kept.absent = now
        if states is not None:
            state = states.get(kept.number)
            if state is None and (kept.named or now > kept.submitted + _UNNAMED) and not self._workers_of(name):
                state = JobState("ended", _NOT_NAMED)
            kept.named = kept.named or kept.number in states
            kept.state = state
        if kept.leaves == math.inf and (kept.arrived or (kept.state is not None and kept.state.kind == "runs")):
            lifetime, stagger = self._section.retirement
            kept.retires = now + lifetime + random.uniform(-stagger, stagger)
            kept.leaves = now + self._section.last_call
        if kept.state is not None and kept.state.kind == "ended":
            self._forget(name)
            if kept.state.reason == _NOT_NAMED:
                # An answer may be misread: no job goes on without its run.
                await self._cancel([kept.number])
            if not kept.arrived:
                self._note_failure(kept)
        elif kept.handing_over is not None:
            return
        elif now > kept.retires and (now > kept.leaves or self._others_work(name)):
            kept.handing_over = asyncio.create_task(self._retire(name, kept.leaves))
        elif kept.absent is not None and now > kept.absent + self._section.patience:
            # The job is there and its workers are not: the node is lost, or they are deaf.
            self._tell(f"job {kept.number} has had no worker for {self._section.patience:g} s and is replaced")
            self._forget(name)
            await self._cancel([kept.number])

    def _note_failure(self, kept: _Kept) -> None:
        self._failures += 1
        self._wait_longer()
        how = kept.state.reason if kept.state else ""
        said = f"job {kept.number} ended before a worker of it came ({how}); {self._last_lines(kept.number)}"
        if self._failures >= _FAILURES and not self._cluster.scheduler.workers:
            self.failed = f"{self._failures} jobs in a row gave no worker: {said}"
        else:
            self._tell(said)

    def _wait_longer(self) -> None:
        self._again = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _AGAIN[1])

    def _last_lines(self, number: str) -> str:
        """Return the end of a job's log."""
        # Every queue puts the number into the name of the file, each elsewhere.
        own = re.compile(rf"(?<!\d){re.escape(number)}(?!\d)")
        paths = [
            path
            for path in glob.glob(os.path.join(glob.escape(self._section.logs), "*"))
            if own.search(os.path.basename(path).replace(self._name, ""))
        ]
        for path in sorted(paths, key=os.path.getmtime, reverse=True):
            with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
                lines = [one_line(line) for line in file if line.strip()][-_LAST_LINES:]
                if lines:
                    return f"the end of {path}: {without_passwords(' | '.join(lines))}"
        return f"no log of it in {self._section.logs}"

    def _workers_of(self, name: str) -> list[Any]:
        """Return the workers of a job that the scheduler knows."""
        return [worker for worker in self._cluster.scheduler.workers.values() if self._job_of(worker) == name]

    def _job_of(self, worker: Any) -> str:
        name = str(worker.name)
        return name.rpartition("-")[0] if self._section.workers_of_a_job > 1 else name

    def _target(self) -> int:
        """Return the number of jobs that there should be."""
        section, each = self._section, self._section.workers_of_a_job
        if section.adapt is None:
            wanted = section.workers or 1
        else:
            # A run whose last worker is given back would wait in the queue for its next task.
            least = max(section.adapt.minimum, 1)
            wanted = min(max(self._cluster.scheduler.adaptive_target(), least), section.adapt.maximum)
        return -(-wanted // each)

    async def _adjust(self) -> None:
        """Submit the jobs that are missing, or give back those that are too many."""
        now = time.monotonic()
        staying = [name for name, kept in self._jobs.items() if now <= kept.retires]
        missing = self._target() - len(staying)
        if missing >= 0:
            self._surplus = None
        if missing > 0 and now >= self._again and not self.failed:
            async with self._submits:
                if not self._stopped.is_set():
                    await self._submit(min(missing, _AT_ONCE))
        elif missing < 0:
            self._surplus = self._surplus or now
            if now > self._surplus + _SURPLUS:
                await self._give_back(staying, -missing)
                self._surplus = None

    async def _submit(self, count: int) -> None:
        cluster = self._cluster
        names = [f"{self._name}-{next(self._numbers)}" for _ in range(count)]
        cluster.worker_spec.update(dict.fromkeys(names, cluster.new_spec))
        refusal = ""
        try:
            await cluster
        except Exception as error:
            refusal = answer(str(error).rpartition("stderr:\n")[2])
        for name in names:
            job = cluster.workers.get(name)
            if job is not None and job.job_id:
                self._jobs[name], self._accepted = _Kept(job, time.monotonic()), True
            else:
                self._drop(name, job)
        if not refusal:
            return
        self._wait_longer()
        if not self._accepted:
            self._refused, self.failed = True, f"{self._queue.submit} refuses the job: {refusal}"
        else:
            self._tell(f"{self._queue.submit} refuses a job ({refusal}); again in {self._pause:.0f} s")

    async def _give_back(self, names: Sequence[str], count: int) -> None:
        """Cancel jobs that wait, then those whose workers have nothing to do."""
        waiting = [name for name in names if not self._workers_of(name)]
        idle = [name for name in names if name not in waiting and not any(w.processing for w in self._workers_of(name))]
        for name in (waiting + idle)[:count]:
            kept = self._jobs[name]
            kept.retires = 0.0
            kept.handing_over = asyncio.create_task(self._retire(name, time.monotonic()))

    def _others_work(self, name: str) -> bool:
        """Return whether workers of other jobs are there, which do not retire themselves."""
        now = time.monotonic()
        return any(
            now <= kept.retires and self._workers_of(other) for other, kept in self._jobs.items() if other != name
        )

    async def _retire(self, name: str, until: float) -> None:
        """Let the workers of a job end their tasks until a time, hand over what they hold, and cancel it."""
        scheduler = self._cluster.scheduler
        addresses = [worker.address for worker in self._workers_of(name)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(until - time.monotonic(), 0.0)):
                # Without the two flags it starts no further task.
                await scheduler.retire_workers(workers=addresses, close_workers=False, remove=False)
                await asyncio.sleep(_ENDS)
                while any(worker.executing for worker in self._workers_of(name)):
                    await asyncio.sleep(_ENDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HANDS_OVER):
                await scheduler.retire_workers(workers=addresses, close_workers=True)
        for address in addresses:
            # Nobody was there to hand over to: what it holds is computed again, and no task is blamed.
            await scheduler.remove_worker(address, stimulus_id=f"geomob-retire-{name}", expected=True)
        if name in self._jobs:
            number = self._jobs[name].number
            self._forget(name)
            await self._cancel([number])

    def _forget(self, name: str) -> None:
        self._drop(name, self._jobs.pop(name).job)

    def _drop(self, name: str, job: Any) -> None:
        self._cluster.worker_spec.pop(name, None)
        self._cluster.workers.pop(name, None)
        if job is not None:
            # Dask asks of all that it ever started that they are closed.
            job.status = Status.closed

    async def _cancel(self, numbers: Sequence[str]) -> str:
        """Cancel jobs; return what the queue says if it does not."""
        if not numbers:
            return ""
        try:
            await run([self._queue.cancel, *numbers])
        except QueueError as error:
            return str(error)
        return ""

    async def _end(self) -> None:
        """Cancel all jobs, also those that are being submitted."""
        self._stopped.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CANCELS):
                await self._submits.acquire()
        for kept in self._jobs.values():
            if kept.handing_over is not None:
                kept.handing_over.cancel()
        jobs = {name: kept.job for name, kept in self._jobs.items()} | dict(self._cluster.workers)
        numbers = [str(job.job_id) for job in jobs.values() if job.job_id]
        refusal = await self._cancel(numbers)
        for name, job in jobs.items():
            self._drop(name, job)
        self._jobs.clear()
        if refusal:
            # It also refuses if some of them have ended by themselves.
            with contextlib.suppress(QueueError):
                states = self._queue.read(await run(self._queue.listing(self._name, numbers)))
                numbers = [number for number in numbers if number in states and states[number].kind != "ended"]
        if refusal and numbers:
            self._tell(f"these jobs may be left ({refusal}); end them with: {self._queue.cancel} {' '.join(numbers)}")
