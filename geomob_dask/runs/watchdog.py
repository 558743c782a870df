"""Every wait for a cluster has an end: what is wrong is said within seconds, and ends the run after a stated time.

A thread asks the scheduler every few seconds whether it is there and who works. Where a main thread waits for the
cluster, in whatever call of Dask or dask-ml, a signal breaks the wait; it breaks into nothing else, such as a commit.
"""

import asyncio
import contextlib
import signal
import sys
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from types import FrameType
from typing import Any

import distributed
from distributed.scheduler import heartbeat_interval

from geomob_dask.errors import ClusterLostError, GeomobError
from geomob_dask.frames.futures import lost
from geomob_dask.settings import Waits

# Seconds between two looks, and from a question on within which an answer is no delay.
_EVERY = 3.0
_ANSWER = 4.0
# Trouble shorter than this is not reported: a nanny replaces a worker meanwhile.
_SHORT = 5.0
# A worker sends a sign of life every half second, or less often where there are hundreds.
_SILENT = 9.0
_SIGNS = 4
# Harmless where it arrives late: by default it is ignored.
_SIGNAL = signal.SIGURG
# Where a thread that waits for the cluster is found, below the standard library.
_WAITS = ("distributed", "geomob_dask.frames.stages", "geomob_dask.runs.carriers", "geomob_dask.runs.other_thread")

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
    quiet = [now - worker["last_seen"] for worker in workers.values()]
    silent = [seconds for seconds in quiet if seconds > max(_SILENT, _SIGNS * heartbeat_interval(len(workers)))]
    why = "stopped, or in one long computation"
    if len(silent) == len(workers):
        lasts = min(silent)
        what = f"{count} ha{'ve' if len(workers) > 1 else 's'} not answered for {lasts:.0f} s ({why})"
        return Trouble("silent", what, "for an answer", "silence", waits.silence, lasts)
    if silent:
        some = f"{len(silent)} of {len(workers)} workers ha{'ve' if len(silent) > 1 else 's'} not answered"
        return Trouble("some", f"{some} for {max(silent):.0f} s ({why})", "the others go on", "", 0.0, max(silent))
    return None


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

    Attributes
    ----------
    lost : str
        Why the cluster is given up; empty while it is not.
    """

    def __init__(self, client: distributed.Client, waits: Waits, say: Say) -> None:
        self.client, self.waits, self._say = client, waits, say
        self.address = client.scheduler.address
        self.lost = ""
        self._question: Future[tuple[dict[str, Any], float]] | None = None
        self._stopped = threading.Event()
        self._breaks = threading.current_thread() is threading.main_thread()
        self._thread = threading.Thread(target=self._run, name="geomob-watchdog", daemon=True)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look after the cluster until the block ends."""
        before = signal.signal(_SIGNAL, self._break_in) if self._breaks else None
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            if self._question is not None:
                self._question.cancel()
            if self._breaks:
                signal.signal(_SIGNAL, before)

    def _break_in(self, number: int, frame: FrameType | None) -> None:
        if self.lost and waits(frame):
            raise ClusterLostError(self.lost)

    def _run(self) -> None:
        known: Trouble | None = None
        waited, told = 0.0, False
        began = time.monotonic()
        while not self._stopped.wait(_EVERY):
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
            return Trouble("lost", "the connection to the scheduler is lost", "", "patience", 0.0)
        try:
            workers, now = self._answer()
        except (Exception, CancelledError):
            return Trouble("scheduler", "the scheduler does not answer", "for it", "patience", self.waits.patience)
        return trouble_of(workers, now, self.waits)

    def _answer(self) -> tuple[dict[str, Any], float]:
        """Return the answer to the question that is open, or to a new one; a late answer is one too."""
        if self._question is None:
            loop = self.client.loop.asyncio_loop
            self._question = asyncio.run_coroutine_threadsafe(_state_of(self.client), loop)
        asked = self._question
        try:
            return asked.result(_ANSWER)
        finally:
            if asked.done():
                self._question = None

    def _give_up(self, why: str) -> None:
        self.lost = f"cluster {self.address}: {why}"
        if self._breaks:
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)


async def _state_of(client: distributed.Client) -> tuple[dict[str, Any], float]:
    """Return the workers as their scheduler identifies them, and its clock."""
    found = await client.scheduler.identity(n_workers=-1)
    now = await client.run_on_scheduler(time.time)
    return found["workers"], now


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
    """Raise ClusterLostError if the cluster of a client was given up, or does not hold the connection."""
    error = _loss_of(client)
    if error is not None:
        raise error


def _loss_of(client: distributed.Client) -> ClusterLostError | None:
    """Return the error of a cluster that was lost, None if it was not."""
    watchdog = _watchdogs.get(id(client))
    if watchdog is not None and watchdog.lost:
        return ClusterLostError(watchdog.lost)
    return None if client.status == "running" else lost(client)


@contextlib.contextmanager
def watched(client: distributed.Client, waits: Waits, say: Say) -> Iterator[None]:
    """Look after a cluster while a block uses it.

    Raises
    ------
    ClusterLostError
        In place of whatever Dask raises where the cluster was lost.
    """
    watchdog = _watchdogs[id(client)] = Watchdog(client, waits, say)
    try:
        with watchdog.watching():
            yield
    except GeomobError:
        raise
    except (Exception, CancelledError) as error:
        explained = _loss_of(client)
        if explained is None:
            raise
        raise explained from error
    finally:
        del _watchdogs[id(client)]
