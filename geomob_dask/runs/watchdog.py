"""Every wait for a cluster has an end: what is wrong is said within seconds, and ends the run after a stated time.

A thread asks the scheduler every few seconds whether it is there and who works. Where a main thread waits for the
cluster, in whatever call of Dask or dask-ml, a signal breaks the wait; it breaks into nothing else, such as a commit.
"""

import asyncio
import contextlib
import math
import signal
import sys
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from types import FrameType
from typing import Any

import distributed
from dask.utils import format_bytes
from distributed.comm import CommClosedError
from distributed.scheduler import heartbeat_interval

from geomob_dask.errors import ClusterLostError, GeomobError
from geomob_dask.frames.deaths import note_full
from geomob_dask.frames.futures import lost
from geomob_dask.runs.links import Links
from geomob_dask.runs.retries import stage_of
from geomob_dask.sections import Waits

# Seconds between two looks, and from a question on within which an answer is no delay.
_EVERY = 3.0
_ANSWER = 4.0
# Parts in which an answer is waited for: who is stopped meanwhile loses one of them, and finds the answer after it.
_PARTS = 10
# Trouble shorter than this is not reported: a nanny replaces a worker meanwhile.
_SHORT = 5.0
# A worker sends a sign of life every half second, or less often where there are hundreds.
_SILENT = 9.0
_SIGNS = 4
# Seconds without any progress that are reported: a task may be on its way.
_STILL = 20.0
# Harmless where it arrives late: by default it is ignored.
_SIGNAL = signal.SIGURG
# Raised by tasks that are lost with their scheduler, though the client has it again.
_DROPPED = (CommClosedError, CancelledError, distributed.CancelledError)
# Where a thread that waits for the cluster is found, below the standard library.
_WAITS = (
    "distributed",
    "geomob_dask.frames.futures",
    "geomob_dask.frames.stages",
    "geomob_dask.runs.carriers",
    "geomob_dask.runs.other_thread",
    "geomob_dask.runs.watchdog",
)
# Where the user of a client waits for the scheduler to come back: seconds between two looks.
_LOOK_AGAIN = 0.2
# The topic under which nannies tell that they ended a worker for its memory.
_FULL = "worker-restart-memory"
# States of tasks that wait on a worker.
_WAITING = ("waiting", "ready", "constrained", "fetch", "flight", "missing")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Trouble:
    """Why nothing goes on, or less than could.

    Parameters
    ----------
    kind, what : str
        What is reported once while it lasts, and what is said of it.
    wanted : str
        What would end it.
    setting : str
        The setting that says how long the run waits for that; empty where it goes on anyhow.
    patience : float
        That time, in seconds.
    lasts : float
        Seconds for which it has lasted, where they are known.
    """

    kind: str
    what: str
    wanted: str
    setting: str
    patience: float
    lasts: float = 0.0

    def told(self, waited: float) -> str:
        """Return what is said of it."""
        return f"{self.what}; " + (
            f"waiting up to {self.patience - waited:.0f} s {self.wanted}" if self.setting else self.wanted
        )


Absent = Callable[[], Trouble]


@dataclass(frozen=True)
class Computing:
    """A task that computes, on which worker, and for how many seconds."""

    key: Any
    worker: str
    seconds: float

    def trouble(self, most: float) -> Trouble:
        """Return that it has computed for longer than it may."""
        what = f"task {stage_of(self.key)} has computed for {self.seconds:.0f} s on worker {self.worker}"
        return Trouble("long", f"{what}; expected at most {most:g} s", "", "longest_task", most, self.seconds)


# The workers of a cluster by address, the clock of its scheduler, and the task that has computed longest, if asked for.
State = tuple[dict[str, Any], float, Computing | None]


def trouble_of(workers: dict[str, Any], now: float, waits: Waits) -> Trouble | None:
    """Return why the workers of a cluster compute nothing, or some of them do not; None if all do or may.

    Parameters
    ----------
    workers : mapping of str to mapping
        As the scheduler identifies them, by address.
    now : float
        Seconds, by the clock of the scheduler.
    waits : Waits
        How long the run waits.
    """
    if not workers:
        return Trouble("none", "no worker is left", "for one", "patience", waits.patience)
    count = f"{len(workers)} workers" if len(workers) > 1 else "the worker"
    if all(worker["status"] == "paused" and not _executes(worker) for worker in workers.values()):
        what = f"{count} cannot start a task: their memory is full (memory_limit in cluster.yaml)"
        return Trouble("memory", what, "for memory", "patience", waits.patience)
    silent = list(silent_of(workers, now).values())
    why = "stopped, or in one long computation"
    if len(silent) == len(workers):
        lasts = min(silent)
        what = f"{count} ha{'ve' if len(workers) > 1 else 's'} not answered for {lasts:.0f} s ({why})"
        return Trouble("silent", what, "for an answer", "silence", waits.silence, lasts)
    if silent:
        some = f"{len(silent)} of {len(workers)} workers ha{'ve' if len(silent) > 1 else 's'} not answered"
        return Trouble("some", f"{some} for {max(silent):.0f} s ({why})", "the others go on", "", 0.0, max(silent))
    return None


def silent_of(workers: dict[str, Any], now: float) -> dict[str, float]:
    """Return the workers that have not sent signs of life as often as they should, and for how many seconds."""
    quiet = {address: now - worker["last_seen"] for address, worker in workers.items()}
    most = max(_SILENT, _SIGNS * heartbeat_interval(len(workers)))
    return {address: seconds for address, seconds in quiet.items() if seconds > most}


class _Stillness:
    """For how long tasks have waited on workers, while none computes and nothing changes."""

    def __init__(self) -> None:
        self._counts: dict[str, Any] = {}
        self._since = 0.0

    def look(self, workers: dict[str, Any], waits: Waits) -> Trouble | None:
        counts = {address: worker.get("metrics", {}).get("task_counts", {}) for address, worker in workers.items()}
        # Data that are fetched again and again are in one of these states after the other.
        seen = {one: sum(count.get(state, 0) for state in _WAITING) for one, count in counts.items()}
        now = {one: (seen[one], count.get("memory", 0)) for one, count in counts.items()}
        if now != self._counts or not any(seen.values()) or any(count.get("executing") for count in counts.values()):
            self._counts, self._since = now, time.monotonic()
            return None
        lasts = time.monotonic() - self._since
        if lasts < _STILL:
            return None
        most = max(seen, key=lambda one: seen[one])
        what = f"no task has moved for {lasts:.0f} s, {seen[most]} wait on worker {most}"
        return Trouble("still", what, "for one", "progress", waits.progress, lasts)


def _executes(worker: dict[str, Any]) -> bool:
    return bool(worker.get("metrics", {}).get("task_counts", {}).get("executing"))


class Watchdog:
    """The thread that looks after one cluster.

    Parameters
    ----------
    client : distributed.Client
    waits : Waits
        How long the run waits, and for what.
    say : callable
        Called with a line for the user.
    absent : callable, optional
        Returns why there is no worker, where the kind of cluster knows it.

    Attributes
    ----------
    lost : str
        Why the cluster is given up; empty while it is not.
    """

    def __init__(self, client: distributed.Client, waits: Waits, say: Say, absent: Absent | None = None) -> None:
        self.client, self.waits, self._say, self._absent = client, waits, say, absent
        self.address = client.scheduler.address
        self.lost = ""
        self._heard: Any = None
        self._links, self._stillness = Links(client), _Stillness()
        self._limits: dict[str, int] = {}
        self._question: Future[State] | None = None
        self._stopped = threading.Event()
        self._breaks = threading.current_thread() is threading.main_thread()
        self._thread = threading.Thread(target=self._run, name="geomob-watchdog", daemon=True)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look after the cluster until the block ends."""
        before = signal.signal(_SIGNAL, self._break_in) if self._breaks else None
        # A client looks for a scheduler that it has lost for as long as for its first one: longer, where it is stated.
        self.client._timeout = max(self.client._timeout, self.waits.patience + _ANSWER)
        self._listen()
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._links.stop()
            if self._question is not None:
                self._question.cancel()
            if self._breaks:
                signal.signal(_SIGNAL, before)

    def _break_in(self, number: int, frame: FrameType | None) -> None:
        if self.lost and waits(frame):
            raise ClusterLostError(self.lost)

    def _listen(self) -> None:
        """Ask to be told of full workers: a scheduler that was started again has not been asked."""
        if self.client.scheduler_comm is not self._heard:
            self._heard = self.client.scheduler_comm
            self.client.subscribe_topic(_FULL, self._full)

    def _full(self, event: tuple[float, Any]) -> None:
        """Report a worker that its nanny ended for its memory."""
        _, told = event
        worker, held = str(told["worker"]), int(told["rss"])
        note_full(worker, held)
        limit = self._limits.get(worker)
        of = f" of its memory_limit {format_bytes(limit)}" if limit else ""
        self._say(
            f"cluster {self.address}: worker {worker} is restarted, it held {format_bytes(held)}{of}; "
            "its tasks are computed again"
        )

    def _run(self) -> None:
        known: Trouble | None = None
        waited, told = 0.0, False
        began = time.monotonic()
        # It looks at once: what a worker may hold must be known when its nanny ends it.
        pause = 0.0
        while not self._stopped.wait(pause):
            pause = _EVERY
            trouble = self._look()
            if self._stopped.is_set():
                return
            took, began = time.monotonic() - began, time.monotonic()
            if took > 2 * (_EVERY + _ANSWER):
                # This process itself was stopped, or had no time: it has asked nobody meanwhile.
                continue
            if trouble is None:
                if told:
                    self._say(f"cluster {self.address}: it works again, the run goes on")
                known, waited, told, self.lost = None, 0.0, False, ""
                continue
            if known is not None and known.kind != trouble.kind:
                waited, told = 0.0, False
            known, waited = trouble, trouble.lasts or waited + took
            if trouble.setting and waited >= trouble.patience:
                after = "" if trouble.lasts else f", for {waited:.0f} s"
                self._give_up(f"{trouble.what}{after} ({trouble.setting} in cluster.yaml)")
            elif waited >= _SHORT and not told:
                told = True
                self._say(f"cluster {self.address}: {trouble.told(waited)}")

    def _look(self) -> Trouble | None:
        if self.client.status != "running":
            # Meanwhile the client looks for it, at the same address.
            patience = self.waits.patience if self.client.status == "connecting" else 0.0
            return Trouble(
                "lost", "the connection to the scheduler is lost", "for it to come back", "patience", patience
            )
        self._listen()
        try:
            workers, now, longest = self._answer()
        except (Exception, CancelledError):
            return Trouble("scheduler", "the scheduler does not answer", "for it", "patience", self.waits.patience)
        self._limits |= {address: worker.get("memory_limit") or 0 for address, worker in workers.items()}
        if not workers and self._absent is not None:
            return self._absent()
        if longest is not None and longest.seconds > (most := self.waits.longest_task or math.inf):
            return longest.trouble(most)
        trouble = trouble_of(workers, now, self.waits)
        if trouble is not None and trouble.setting:
            return trouble
        return self._link(workers, now) or self._stillness.look(workers, self.waits) or trouble

    def _link(self, workers: dict[str, Any], now: float) -> Trouble | None:
        for line in self._links.look(workers, silent_of(workers, now)):
            self._say(f"cluster {self.address}: {line}")
        if not self._links.hopeless:
            return None
        what = f"{self._links.hopeless[0]}; workers of these hosts were closed, and came back"
        return Trouble("link", what, "", "progress", 0.0)

    def _answer(self) -> State:
        """Return the answer to the question that is open, or to a new one; a late answer is one too."""
        if self._question is None:
            loop = self.client.loop.asyncio_loop
            self._question = asyncio.run_coroutine_threadsafe(_state_of(self.client, self.waits), loop)
        asked = self._question
        for _ in range(_PARTS):
            if wait([asked], _ANSWER / _PARTS).done:
                break
        try:
            return asked.result(0)
        finally:
            if asked.done():
                self._question = None

    def _give_up(self, why: str) -> None:
        self.lost = f"cluster {self.address}: {why}"
        if self._breaks:
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)


async def _state_of(client: distributed.Client, waits: Waits) -> State:
    """Return the workers as their scheduler identifies them, its clock, and the longest task where it is limited."""
    # The clock first: this process may be stopped in between, and no worker is silent for that.
    now = await client.run_on_scheduler(time.time)
    found = await client.scheduler.identity(n_workers=-1)
    longest = None if waits.longest_task is None else await client.run_on_scheduler(_longest)
    return found["workers"], now, longest


def _longest(dask_scheduler: distributed.Scheduler) -> Computing | None:
    """Return the task that has computed longest, as workers have told with their last signs of life."""
    computing = [
        Computing(task.key, worker.address, seconds)
        for worker in dask_scheduler.workers.values()
        for task, seconds in worker.executing.items()
    ]
    return max(computing, key=lambda one: one.seconds, default=None)


def waits(frame: FrameType | None) -> bool:
    """Return whether a thread waits for the cluster: its innermost frame outside the standard library tells."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] not in sys.stdlib_module_names:
            return name.startswith(_WAITS)
        frame = frame.f_back
    return False


_watchdogs: dict[int, Watchdog] = {}


def check(client: distributed.Client) -> None:
    """Return when a client has its scheduler; wait while it looks for it.

    Raises
    ------
    ClusterLostError
        If the cluster was given up, or the connection to the scheduler is lost for good.
    """
    while True:
        error = _loss_of(client)
        if error is not None:
            raise error
        if client.status == "running":
            return
        time.sleep(_LOOK_AGAIN)


def waits_of(client: distributed.Client) -> Waits:
    """Return what the section of a cluster says of runs on it; the defaults for a client that is not looked after."""
    watchdog = _watchdogs.get(id(client))
    return Waits() if watchdog is None else watchdog.waits


def _loss_of(client: distributed.Client) -> ClusterLostError | None:
    """Return the error of a cluster that was lost, None if it was not."""
    watchdog = _watchdogs.get(id(client))
    if watchdog is not None and watchdog.lost:
        return ClusterLostError(watchdog.lost)
    return None if client.status in ("running", "connecting") else lost(client)


@contextlib.contextmanager
def watched(client: distributed.Client, waits: Waits, say: Say, absent: Absent | None = None) -> Iterator[None]:
    """Look after a cluster while a block uses it; see `Watchdog`.

    Raises
    ------
    ClusterLostError
        In place of whatever Dask raises where the cluster was lost.
    """
    watchdog = _watchdogs[id(client)] = Watchdog(client, waits, say, absent)
    try:
        with watchdog.watching():
            yield
    except GeomobError:
        raise
    except (Exception, CancelledError) as error:
        explained = _loss_of(client)
        if explained is None and (client.status != "running" or isinstance(error, _DROPPED)):
            explained = lost(client)
        if explained is None:
            raise
        raise explained from error
    finally:
        del _watchdogs[id(client)]
