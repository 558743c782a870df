"""Every wait for a cluster has an end: what is wrong is said within seconds, and ends the run after its patience.

A thread asks the scheduler every few seconds whether it is there and who works. Where a main thread waits for the
cluster, in whatever call of Dask or dask-ml, a signal breaks the wait; it breaks into nothing else, such as a commit.
"""

import contextlib
import signal
import sys
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import distributed

from geomob_dask.errors import ClusterLostError, GeomobError

# Seconds between two questions, and within which the scheduler answers.
_EVERY = 3.0
_ANSWER = 4.0
# Trouble shorter than this is not reported: a nanny replaces a worker meanwhile.
_SHORT = 5.0
# A worker in one long computation may say nothing for a while.
_SILENT = 60.0
_SILENT_PATIENCE = 300.0
# Harmless where it arrives late: by default it is ignored.
_SIGNAL = signal.SIGURG
# Where a thread that waits for the cluster is found, below the standard library.
_WAITS = ("distributed", "geomob_dask.frames.stages", "geomob_dask.runs.carriers", "geomob_dask.runs.other_thread")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Trouble:
    """Why nothing goes on.

    Parameters
    ----------
    what : str
    wanted : str
        What would end it.
    patience : float
        Seconds that the run waits for that.
    """

    what: str
    wanted: str
    patience: float


def trouble_of(workers: dict[str, Any], now: float, patience: float) -> Trouble | None:
    """Return why the workers of a cluster compute nothing, None if one of them does or may.

    Parameters
    ----------
    workers : mapping of str to mapping
        As the scheduler identifies them, by address.
    now : float
        Seconds, by the clock of the scheduler.
    patience : float
        Seconds that the run waits.
    """
    if not workers:
        return Trouble("no worker is left", "for one", patience)
    count = f"{len(workers)} workers" if len(workers) > 1 else "the worker"
    if all(worker["status"] == "paused" and not _executes(worker) for worker in workers.values()):
        what = f"{count} cannot start a task: their memory is full (memory_limit in cluster.yaml)"
        return Trouble(what, "for memory", patience)
    if all(now - worker["last_seen"] > _SILENT for worker in workers.values()):
        what = f"{count} said nothing for {_SILENT:.0f} s (stopped, or in one long computation)"
        return Trouble(what, "for an answer", max(patience, _SILENT_PATIENCE))
    return None


def _executes(worker: dict[str, Any]) -> bool:
    return bool(worker.get("metrics", {}).get("task_counts", {}).get("executing"))


class Watchdog:
    """The thread that looks after one cluster.

    Parameters
    ----------
    client : distributed.Client
    patience : float
        Seconds that the run waits for a scheduler that does not answer, or for a worker if none is left.
    say : callable
        Called with a line for the user.

    Attributes
    ----------
    lost : str
        Why the cluster is given up; empty while it is not.
    """

    def __init__(self, client: distributed.Client, patience: float, say: Say) -> None:
        self.client, self.patience, self._say = client, patience, say
        self.address = client.scheduler.address
        self.lost = ""
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
            if known is not None and known.what != trouble.what:
                told = False
            waited += took
            known = trouble
            if waited >= trouble.patience:
                self._give_up(f"{trouble.what}, for {waited:.0f} s (patience in cluster.yaml)")
            elif waited >= _SHORT and not told:
                told = True
                left = trouble.patience - waited
                self._say(f"cluster {self.address}: {trouble.what}; waiting up to {left:.0f} s {trouble.wanted}")

    def _look(self) -> Trouble | None:
        if self.client.status != "running":
            return Trouble("the connection to the scheduler is lost", "", 0.0)
        try:
            workers, now = self.client.sync(_state_of, self.client, callback_timeout=_ANSWER)
        except (Exception, CancelledError):
            return Trouble("the scheduler does not answer", "for it", self.patience)
        return trouble_of(workers, now, self.patience)

    def _give_up(self, why: str) -> None:
        self.lost = f"cluster {self.address}: {why}"
        if self._breaks:
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)

    def error(self) -> ClusterLostError | None:
        """Return the error of a cluster that was lost, None if it was not."""
        if self.lost:
            return ClusterLostError(self.lost)
        if self.client.status == "running":
            return None
        return ClusterLostError(f"cluster {self.address}: the connection to the scheduler is lost")


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
    watchdog = _watchdogs.get(id(client))
    if watchdog is not None and watchdog.lost:
        raise ClusterLostError(watchdog.lost)
    if client.status != "running":
        where = "" if watchdog is None else f"cluster {watchdog.address}: "
        raise ClusterLostError(f"{where}the connection to the scheduler is lost")


@contextlib.contextmanager
def watched(client: distributed.Client, patience: float, say: Say) -> Iterator[None]:
    """Look after a cluster while a block uses it.

    Raises
    ------
    ClusterLostError
        In place of whatever Dask raises where the cluster was lost.
    """
    watchdog = _watchdogs[id(client)] = Watchdog(client, patience, say)
    try:
        with watchdog.watching():
            yield
    except GeomobError:
        raise
    except (Exception, CancelledError) as error:
        lost = watchdog.error()
        if lost is None:
            raise
        raise lost from error
    finally:
        del _watchdogs[id(client)]
