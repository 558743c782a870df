"""The part of the page that shows runs: a grid of product, year and state, of runs as they happen and of those kept.

A run of this scheduler is what its driver tells (`live`); a backfill of the store is what its journal says, as
``jobs/backfill.py status`` shows it. Both have the same form:

- ``plan``: the run, and its groups (product, year, states);
- ``now``: a letter an output, as in `runs.telling`, counts, what runs where, and the time left;
- ``output``: one output with its reason, file, worker, attempts and times;
- ``failures``: every reason, with its outputs and where it is recorded.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from geomob_dask.explore.live import Boards, LiveGroup, LiveRun, state_now
from geomob_dask.explore.preload import NAME
from geomob_dask.explore.routes import Part
from geomob_dask.explore.serving import Answer, Request, Route, UnknownError
from geomob_dask.messages import shown, without_passwords
from geomob_dask.names import did_you_mean
from geomob_dask.runs.backfill.status import Output, State, Status, status_of_name
from geomob_dask.runs.journal import PREFIX, Journal, RunNote, name_of
from geomob_dask.runs.telling import DONE, FAILED, REFUSED, RUNNING, STALE, TODO, WHOLE
from geomob_dask.sources.states import STATES
from geomob_dask.store import Store

STATUS = {
    DONE: State.DONE,
    RUNNING: State.RUNNING,
    FAILED: State.FAILED,
    REFUSED: State.REFUSED,
    STALE: State.STALE,
    WHOLE: State.WHOLE,
    TODO: State.TODO,
}
_LETTERS = {status: letter for letter, status in STATUS.items()}
# Reasons of failures, and outputs of one reason, that an answer names; it says how many there are.
_REASONS, _OUTPUTS = 1_000, 2_000
# Outputs that run, named with their workers.
_RUNNING = 1_000
# Seconds for which what a run is at is taken to hold, however many browsers ask.
_LIVE = 0.5
# Seconds for which the status of a backfill is taken to hold: as many times as long as finding it out took, at least.
_FRESH, _TIMES = 3.0, 10
# Statuses of backfills that are kept meanwhile.
_STATUSES = 3
_ID = r"([A-Za-z0-9_.-]{1,120})"


# Runs of this scheduler ------------------------------------------------------------------------


def live_runs(request: Request) -> Answer:
    """Answer the runs of this scheduler, the newest first."""
    return Answer.json([_about(run) for run in reversed(_boards(request).runs.values())])


def live_plan(request: Request) -> Answer:
    """Answer what a run of this scheduler planned."""
    run = _run(request)

    def made() -> Answer:
        plain = [_plain(group) for group in run.groups]
        return Answer.json({**_about(run), "groups": plain, "states": _names(run.groups)})

    return run.answer("plan", (len(run.groups), run.alive), made)


def live_now(request: Request) -> Answer:
    """Answer what of a run of this scheduler is done, running, failed and to do."""
    run, boards = _run(request), _boards(request)
    return run.answer("now", (int(time.monotonic() / _LIVE), run.ended), lambda: _live_now(run, boards))


def _live_now(run: LiveRun, boards: Boards) -> Answer:
    running = boards.running(run)
    by_group: dict[int, set[int]] = {}
    for one in running:
        by_group.setdefault(one["group"], set()).add(one["place"])
    letters = [
        state_now(group.letters, by_group.get(number, set()), run.alive) for number, group in enumerate(run.groups)
    ]
    left = run.left(time.time())
    return Answer.json(
        {
            **_about(run),
            "letters": letters,
            "counts": _counts(letters),
            "running": running[:_RUNNING],
            "left": None if left is None else round(left),
        }
    )


def live_output(request: Request) -> Answer:
    """Answer one output of a run of this scheduler."""
    run = _run(request)
    number, place = _place(request, run.groups)
    group = run.groups[number]
    runs = {(one["group"], one["place"]): one for one in _boards(request).running(run)}.get((number, place))
    letter = state_now(group.letters, {place} if runs else set(), run.alive)[place]
    ran = None if runs is None else runs["seconds"]
    left = run.output_left(number, place, ran or 0.0) if letter == RUNNING else None
    name = name_of(group.product, group.year, group.states[place])
    seconds = group.seconds[place]
    reason = group.reasons.get(place, "")
    return Answer.json(
        {
            **_output(group.product, group.year, group.states[place], STATUS[letter], group.collection),
            "reason": reason,
            "file": f"{run.journal}/failed/{name}.json" if run.journal and letter in (FAILED, REFUSED) else "",
            "worker": "" if runs is None else runs["worker"],
            "attempt": group.attempts[place],
            "seconds": None if seconds < 0 else round(seconds, 3),
            "ran": ran,
            "left": None if left is None else round(left, 1),
            "size": group.sizes[place],
            "handed": chr(group.letters[place]) == "h" and runs is None,
        }
    )


def live_failures(request: Request) -> Answer:
    """Answer all reasons of a run of this scheduler."""
    run = _run(request)
    found = (
        (STATUS[chr(letter)], group.reasons.get(place, ""), group.product, group.year, group.states[place])
        for group in run.groups
        for place, letter in enumerate(group.letters)
        if chr(letter) in (FAILED, REFUSED)
    )
    return run.answer("failures", run.version, lambda: Answer.json(_failures(found, run.journal)))


def _boards(request: Request) -> Boards:
    scheduler = request.explorer.scheduler
    plugin = None if scheduler is None else scheduler.plugins.get(NAME)
    if not isinstance(plugin, Boards):
        raise UnknownError("no scheduler runs here")
    return plugin


def _run(request: Request) -> LiveRun:
    runs = _boards(request).runs
    if request.path[0] not in runs:
        raise UnknownError(f"run {shown(request.path[0])}: not known here; {did_you_mean(request.path[0], runs)}")
    return runs[request.path[0]]


def _about(run: LiveRun) -> dict[str, Any]:
    end = time.time() if run.alive else run.ended or run.heard
    return {
        "name": run.name,
        "title": run.title,
        "backfill": run.backfill,
        "began": run.began,
        "ended": run.ended,
        "outcome": run.outcome,
        "alive": run.alive,
        "ran": round(end - run.began),
        "driver": run.driver,
        "store": run.store,
        "journal": run.journal,
        "outputs": run.outputs,
        "told": len(run.groups) == run.expected,
    }


# Backfills of the store ------------------------------------------------------------------------


def kept_backfills(request: Request) -> Answer:
    """Answer the backfills that the store knows, the one with the newest run first."""
    store = request.store

    def made() -> Answer:
        found = [{"name": name, **_newest(Journal(store, name).runs(most=1))} for name in store.objects.folders(PREFIX)]
        found.sort(key=lambda one: str(one["began"]), reverse=True)
        return Answer.json(found)

    # Every open page asks again and again.
    return request.cached(("kept", store.url, int(time.monotonic() / _FRESH)), made)


def kept_plan(request: Request) -> Answer:
    """Answer what the newest run of a backfill planned."""
    board = _kept(request)
    groups = board.groups()
    plain = [_plain(group) for group in groups]
    return Answer.json({**board.about(), "groups": plain, "states": _names(groups)})


def kept_now(request: Request) -> Answer:
    """Answer the status of a backfill."""
    board = _kept(request)
    letters = board.letters()
    running = [
        {"group": number, "place": place, "worker": "", "seconds": None}
        for number, text in enumerate(letters)
        for place, letter in enumerate(text)
        if letter == RUNNING
    ]
    alive = board.status.alive
    ended = sum(run.done + run.failed for run in alive)
    left = sum(run.left * run.seconds / (run.done + run.failed) for run in alive if run.done + run.failed)
    return Answer.json(
        {
            **board.about(),
            "letters": letters,
            "counts": _counts(letters),
            "running": running[:_RUNNING],
            "left": round(left) if ended else None if alive else 0,
        }
    )


def kept_output(request: Request) -> Answer:
    """Answer one output of a backfill."""
    board = _kept(request)
    number, place = _place(request, board.groups())
    output = board.members[number][place]
    since = next((run.began for run in board.status.alive if output.name in run.running), "")
    return Answer.json(
        {
            **_output(output.product, output.year, output.state, output.status, output.collection),
            "reason": output.reason,
            "file": without_passwords(output.recorded_in),
            "worker": "",
            "attempt": 0,
            "seconds": output.seconds,
            "since": since,
            "ran": None,
            "left": None,
            "size": output.size,
            "handed": False,
        }
    )


def kept_failures(request: Request) -> Answer:
    """Answer all reasons of a backfill."""
    board = _kept(request)
    found = (
        (output.status, output.reason, output.product, output.year, output.state)
        for output in board.status.outputs
        if output.status in (State.FAILED, State.REFUSED)
    )
    return Answer.json(_failures(found, without_passwords(board.status.where)))


@dataclass(frozen=True)
class _Kept:
    """The status of a backfill by product and year."""

    status: Status
    members: tuple[tuple[Output, ...], ...]
    until: float

    def about(self) -> dict[str, Any]:
        status = self.status
        return {
            "name": status.name,
            "title": status.name,
            "backfill": status.name,
            "planned": status.planned,
            "journal": without_passwords(status.where),
            "outputs": len(status.outputs),
            "told": True,
            **_newest(status.runs),
        }

    def groups(self) -> list[LiveGroup | _Group]:
        return [_Group(one[0].product, one[0].year, tuple(output.state for output in one)) for one in self.members]

    def letters(self) -> list[str]:
        return ["".join(_LETTERS[output.status] for output in one) for one in self.members]


@dataclass(frozen=True)
class _Group:
    product: str
    year: int
    states: tuple[str, ...]


@dataclass
class _Statuses:
    """Statuses of backfills, each found out once for a while."""

    kept: dict[tuple[str, str], _Kept] = field(default_factory=dict)
    locks: dict[tuple[str, str], threading.Lock] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, store: Store, name: str) -> _Kept:
        key = (store.url, name)
        with self.lock:
            mine = self.locks.setdefault(key, threading.Lock())
        with mine:
            found = self.kept.get(key)
            if found is not None and found.until > time.monotonic():
                return found
            start = time.monotonic()
            status = status_of_name(store, name)
            groups: dict[tuple[str, int], list[Output]] = {}
            for output in status.outputs:
                groups.setdefault((output.product, output.year), []).append(output)
            took = time.monotonic() - start
            members = tuple(map(tuple, groups.values()))
            found = _Kept(status, members, start + took + max(_FRESH, _TIMES * took))
            with self.lock:
                self.kept.pop(key, None)
                self.kept[key] = found
                while len(self.kept) > _STATUSES:
                    self.kept.pop(next(iter(self.kept)))
            return found


_STATUSES_KNOWN = _Statuses()


def _kept(request: Request) -> _Kept:
    store, name = request.store, request.path[0]
    known = store.objects.folders(PREFIX)
    if name not in known:
        raise UnknownError(f"backfill {shown(name)}: not in this store; {did_you_mean(name, known)}")
    return _STATUSES_KNOWN.of(store, name)


def _newest(runs: Iterable[RunNote]) -> dict[str, Any]:
    run = next(iter(runs), None)
    if run is None:
        return {"began": "", "ended": "", "outcome": "", "alive": False, "ran": None, "run": "", "silent": None}
    return {
        "run": run.run,
        "began": run.began,
        "ended": run.ended,
        "outcome": run.outcome,
        "alive": run.alive,
        "ran": round(run.seconds),
        "silent": round(run.silent),
    }


# Both ------------------------------------------------------------------------------------------


def _plain(group: Any) -> dict[str, Any]:
    return {"product": group.product, "year": group.year, "states": list(group.states)}


def _names(groups: Iterable[Any]) -> dict[str, list[str]]:
    """Return letters and name of the states of groups, by their codes."""
    codes = sorted({state for group in groups for state in group.states})
    return {code: [STATES[code].letters, STATES[code].name] for code in codes if code in STATES}


def _counts(letters: Iterable[str]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for text in letters:
        found.update(text)
    return {STATUS[letter].value: found[letter] for letter in STATUS if found[letter]}


def _output(product: str, year: int, state: str, status: State, collection: str) -> Mapping[str, Any]:
    name = STATES[state].name if state in STATES else "all states" if state == "all" else state
    return {
        "product": product,
        "year": year,
        "state": state,
        "state_name": name,
        "status": status.value,
        "collection": collection,
    }


def _place(request: Request, groups: Any) -> tuple[int, int]:
    number = request.number("group", 0, len(groups) - 1)
    return number, request.number("place", 0, len(groups[number].states) - 1)


def _failures(found: Iterator[tuple[State, str, str, int, str]], journal: str) -> dict[str, Any]:
    """Return reasons, each with its outputs; `file` of an output is ``<folder>/<output>.json``."""
    by_reason: dict[tuple[State, str], list[str]] = {}
    for status, reason, product, year, state in found:
        by_reason.setdefault((status, reason), []).append(name_of(product, year, state))
    return {
        "folder": f"{journal}/failed" if journal else "",
        "reasons": len(by_reason),
        "outputs": sum(map(len, by_reason.values())),
        "failures": [
            {"status": status.value, "reason": reason, "count": len(names), "outputs": names[:_OUTPUTS]}
            for (status, reason), names in list(by_reason.items())[:_REASONS]
        ],
    }


PART = Part(
    name="runs",
    title="Runs",
    routes=(
        Route(r"runs/live", live_runs, live=True),
        Route(rf"runs/live/{_ID}/plan", live_plan, live=True),
        Route(rf"runs/live/{_ID}/now", live_now, live=True),
        Route(rf"runs/live/{_ID}/output", live_output, live=True),
        Route(rf"runs/live/{_ID}/failures", live_failures, live=True),
        Route(r"runs/kept", kept_backfills),
        Route(rf"runs/kept/{_ID}/plan", kept_plan),
        Route(rf"runs/kept/{_ID}/now", kept_now),
        Route(rf"runs/kept/{_ID}/output", kept_output),
        Route(rf"runs/kept/{_ID}/failures", kept_failures),
    ),
    scripts=("board.js",),
    styles=("board.css",),
)
