"""Runs as their drivers tell of them: a plugin of the scheduler that keeps the newest standing of every output.

Drivers send events of the topic `telling.TOPIC`. A run takes a few bytes an output; old runs that ended are forgotten
where there are too many. Everything here happens in the scheduler's event loop.
"""

from __future__ import annotations

import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import distributed
from distributed.diagnostics.plugin import SchedulerPlugin

from geomob_dask.explore.serving import Answer, Explorer
from geomob_dask.runs import telling
from geomob_dask.runs.journal import SILENT
from geomob_dask.runs.telling import DONE, FAILED, HANDED, REFUSED, RUNNING, TODO, WHOLE

# Runs that are kept, and their outputs in all; a run of more outputs than that is not.
_RUNS, _OUTPUTS = 20, 600_000
# Seconds for which what workers are at is taken to hold, whoever asks.
_LOOK_AGAIN = 0.4
# An estimate from less is none: outputs that were computed, and seconds of the run.
_LEAST_DONE, _LEAST_SECONDS = 2, 3.0
_ENDED = frozenset((DONE, WHOLE, FAILED, REFUSED))
_DUE = ord("1")


@dataclass
class LiveGroup:
    """One product and year of a run; sequences are by output."""

    product: str
    year: int
    collection: str
    states: tuple[str, ...]
    letters: bytearray
    due: bytes
    sizes: tuple[int, ...]
    attempts: bytearray
    seconds: array[float]
    ended: bytearray
    reasons: dict[int, str] = field(default_factory=dict)
    workers: dict[int, str] = field(default_factory=dict)


@dataclass
class LiveRun:
    """One run, as its driver tells of it.

    Attributes
    ----------
    version : int
        Changes with everything that is told but signs of life.
    heard : float
        When its driver last told something.
    outputs : int
    groups : list of LiveGroup
        Those that were told so far.
    """

    name: str
    token: str
    backfill: str
    title: str
    began: float
    driver: str
    store: str
    journal: str
    outputs: int
    expected: int
    groups: list[LiveGroup] = field(default_factory=list)
    ended: float | None = None
    outcome: str = ""
    version: int = 0
    heard: float = 0.0
    looked: float = 0.0
    running: list[dict[str, Any]] = field(default_factory=list)
    _answers: dict[str, tuple[Hashable, Answer]] = field(default_factory=dict)
    # Bytes of the inputs of outputs to come and of those computed, and how many these are; seconds by product.
    _left_weight: int = 0
    _done_weight: int = 0
    _done: int = 0
    _spent: dict[str, tuple[float, int]] = field(default_factory=dict)

    def answer(self, what: str, key: Hashable, make: Callable[[], Answer]) -> Answer:
        """Return the answer that was made last, if its key is the same: many browsers ask for one run."""
        kept = self._answers.get(what)
        if kept is None or kept[0] != key:
            kept = self._answers[what] = key, make()
        return kept[1]

    @property
    def alive(self) -> bool:
        """Return whether it has not ended and its driver has told something lately."""
        return self.ended is None and time.time() - self.heard <= SILENT

    def take(self, message: dict[str, Any], when: float) -> None:
        """Take an event in, of the time `when`."""
        self.heard = when
        if message["kind"] == "sign":
            return
        self.version += 1
        if message["kind"] == "groups" and message["first"] == len(self.groups):
            for one in message["groups"]:
                group = _group(*one)
                self.groups.append(group)
                self._left_weight += sum(
                    max(size, 1) for size, due in zip(group.sizes, group.due, strict=True) if due == _DUE
                )
        elif message["kind"] == "changes":
            for change in message["changes"]:
                self._change(*change)
        elif message["kind"] == "end":
            self.ended, self.outcome = float(message["ended"]), str(message["outcome"])

    def _change(
        self, number: int, place: int, letter: str, attempt: int, seconds: float | None, worker: str, reason: str
    ) -> None:
        if number >= len(self.groups) or place >= len(self.groups[number].letters):
            # Of a plan that was told before this scheduler listened.
            return
        group = self.groups[number]
        group.letters[place] = ord(letter)
        size = max(group.sizes[place], 1)
        if letter in _ENDED and not group.ended[place]:
            group.ended[place] = 1
            self._left_weight -= size if group.due[place] == _DUE else 0
            if seconds is not None or letter == FAILED:
                self._done, self._done_weight = self._done + 1, self._done_weight + size
        if seconds is not None and group.seconds[place] < 0:
            spent, weight = self._spent.get(group.product, (0.0, 0))
            self._spent[group.product] = (spent + seconds, weight + size)
        if attempt:
            group.attempts[place] = min(attempt, 255)
        if seconds is not None:
            group.seconds[place] = seconds
        for kept, text in ((group.reasons, reason), (group.workers, worker)):
            if text:
                kept[place] = text
            else:
                kept.pop(place, None)

    def left(self, now: float) -> float | None:
        """Return the seconds until all is computed, as long as what was computed took; None if that is not known."""
        if self.ended is not None or not self._left_weight:
            return 0.0
        took = now - self.began
        if self._done < _LEAST_DONE or took < _LEAST_SECONDS:
            return None
        return took * self._left_weight / self._done_weight

    def output_left(self, group: int, place: int, ran: float) -> float | None:
        """Return the seconds that an output has still to run, at the pace of its product; None if that is not known."""
        seconds, weight = self._spent.get(self.groups[group].product, (0.0, 0))
        if not weight:
            return None
        return max(0.0, seconds / weight * max(self.groups[group].sizes[place], 1) - ran)


def _group(
    product: str, year: int, collection: str, states: str, letters: str, due: str, sizes: list[int], reason: str
) -> LiveGroup:
    codes = tuple(states.split(","))
    reasons = dict.fromkeys(range(len(codes)), reason) if reason else {}
    return LiveGroup(
        product,
        year,
        collection,
        codes,
        bytearray(letters.encode()),
        due.encode(),
        tuple(sizes),
        bytearray(len(codes)),
        array("f", [-1.0]) * len(codes),
        bytearray(len(codes)),
        reasons,
    )


class Boards(SchedulerPlugin):  # type: ignore[misc]
    """Keeps what drivers tell of their runs.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    explorer : Explorer
        Of the page of this scheduler.

    Attributes
    ----------
    runs : mapping of str to LiveRun
        The newest last.
    """

    name = "geomob"

    def __init__(self, scheduler: distributed.Scheduler, explorer: Explorer) -> None:
        self.scheduler, self.explorer = scheduler, explorer
        self.runs: OrderedDict[str, LiveRun] = OrderedDict()
        # What was told before this listened: the scheduler keeps the newest events.
        for when, message in scheduler.get_events(telling.TOPIC):
            self._take(message, when)

    async def close(self) -> None:
        """End the threads of the page, with the scheduler."""
        self.explorer.pool.shutdown(wait=False, cancel_futures=True)

    def log_event(self, topic: str, msg: Any) -> None:
        """Take an event of the scheduler in, if it is of a run."""
        if topic == telling.TOPIC:
            self._take(msg, time.time())

    def _take(self, msg: Any, when: float) -> None:
        if not isinstance(msg, dict):
            return
        name = str(msg.get("run", ""))[:100]
        if msg.get("kind") == "begin":
            self._begin(name, msg, when)
        elif name in self.runs:
            self.runs[name].take(msg, when)

    def _begin(self, name: str, told: dict[str, Any], when: float) -> None:
        texts: dict[str, Any] = {
            key: str(told[key]) for key in ("token", "backfill", "title", "driver", "store", "journal")
        }
        run = LiveRun(
            name, began=float(told["began"]), outputs=int(told["outputs"]), expected=int(told["groups"]), **texts
        )
        run.heard = when
        if run.outputs > _OUTPUTS:
            return
        self.runs[name] = run
        while len(self.runs) > _RUNS or sum(one.outputs for one in self.runs.values()) > _OUTPUTS:
            over = [one for one in self.runs if not self.runs[one].alive and one != name]
            self.runs.pop(over[0] if over else next(iter(self.runs)))

    def running(self, run: LiveRun) -> list[dict[str, Any]]:
        """Return the outputs of a run that workers compute now, each with its worker and for how long it has run.

        What was looked up just now is returned again, however many browsers ask.
        """
        now = time.monotonic()
        if now - run.looked > _LOOK_AGAIN:
            run.running, run.looked = list(self._running(run)), now
        return run.running

    def _running(self, run: LiveRun) -> Iterator[dict[str, Any]]:
        if not run.alive:
            return
        for number, group in enumerate(run.groups):
            for place, worker in group.workers.items():
                if group.letters[place] == ord(RUNNING):
                    yield {"group": number, "place": place, "worker": worker, "seconds": None}
        for worker in list(self.scheduler.workers.values()):
            for task in _at_work(worker):
                found = _output_of(task.key, run)
                if found is not None:
                    seconds = worker.executing.get(task)
                    name, where = str(worker.name), worker.address
                    yield {
                        "group": found[0],
                        "place": found[1],
                        "worker": where if name in (where, "None") else f"{name} at {where}",
                        "seconds": None if seconds is None else round(seconds, 1),
                    }


def _at_work(worker: Any) -> list[Any]:
    """Return the tasks that a worker computes: those that it says, and the next ones if it has said fewer."""
    executing = [task for task in worker.processing if task in worker.executing]
    if len(executing) >= worker.nthreads:
        return executing
    others = [task for task in worker.processing if task not in worker.executing]
    others.sort(key=lambda task: task.priority or ())
    return executing + others[: worker.nthreads - len(executing)]


def _output_of(key: Any, run: LiveRun) -> tuple[int, int] | None:
    """Return group and place of the output that a task computes: its key is that of `runs.engine`."""
    if not (isinstance(key, tuple) and len(key) == 2 and str(key[0]).endswith(run.token)):
        return None
    state, _, rest = str(key[1]).partition("-")
    number = int(rest.partition("-")[0])
    if number >= len(run.groups) or state not in run.groups[number].states:
        return None
    return number, run.groups[number].states.index(state)


def state_now(letters: bytes | bytearray, running: set[int], alive: bool) -> str:
    """Return the letters of a group as a reader sees them: what workers are at runs, what waits for one is to do."""
    text = letters.decode().replace(HANDED, TODO)
    if not alive:
        text = text.replace(RUNNING, TODO)
    if not running:
        return text
    return "".join(RUNNING if place in running else letter for place, letter in enumerate(text))
