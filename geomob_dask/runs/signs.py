"""Signs of life of a run of a backfill: what it planned, what it is at, and that it ended, as notes in the journal.

Nothing is decided by them: they tell a reader, in another process or on another machine, what is running. A driver that
is killed writes no end, so a run without one whose last sign is old was probably killed, or is cut off from the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from geomob_dask.errors import GeomobError
from geomob_dask.runs.journal import Journal
from geomob_dask.runs.planning import Group, Plan

# Seconds between two signs of a run.
EVERY = 15.0


def now() -> str:
    """Return the time as text, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


class Signs:
    """The notes of one run.

    Parameters
    ----------
    journal : Journal, optional
        Without one nothing is written.
    plan : Plan
    counts : callable
        Returns what has become of outputs so far: ``done``, ``failed`` and ``left``.
    token : str
        Tells the run apart from others that began in the same second.

    Attributes
    ----------
    run : str
        The name of the run.
    """

    def __init__(self, journal: Journal | None, plan: Plan, counts: Callable[[], dict[str, int]], token: str) -> None:
        self._journal, self._plan, self._counts = journal, plan, counts
        self._began, self._start, self._last = now(), time.monotonic(), time.monotonic()
        self.run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{token[:8]}"

    def begin(self) -> None:
        """Note that the run begins, and what it planned."""
        if self._journal is None:
            return
        with suppress(GeomobError, OSError):
            self._journal.keep_plan({"run": self.run, "planned": self._began, **planned(self._plan)})
        self._write(())
        with suppress(GeomobError, OSError):
            self._journal.forget_runs()

    def beat(self, running: Sequence[str]) -> None:
        """Note the outputs that run, if the last sign is not of just now."""
        if time.monotonic() - self._last >= EVERY:
            self._write(running)

    def end(self, outcome: str) -> None:
        """Note that the run ended, and how."""
        self._write((), ended=now(), outcome=outcome)

    def _write(self, running: Sequence[str], **more: str) -> None:
        if self._journal is None:
            return
        self._last = time.monotonic()
        note: dict[str, Any] = {"began": self._began, "seconds": round(self._last - self._start, 1)}
        note |= {**self._counts(), "running": list(running), **more}
        # A store that does not take a note must not end a run that it takes results of.
        with suppress(GeomobError, OSError):
            self._journal.note_run(self.run, note)


def planned(plan: Plan) -> dict[str, Any]:
    """Return the outputs of a plan as plain data, from which their standing can be told without the backfill's file."""
    return {"groups": [_planned(group) for group in plan.groups]}


def _planned(group: Group) -> dict[str, Any]:
    prepared = group.prepared
    parts: dict[str, list[str]] = {}
    if prepared is not None:
        parts = {target.collection: list(prepared.parts_of(role)) for role, target in prepared.targets.items()}
    return {
        "product": group.product,
        "year": group.year,
        "collection": group.collection,
        "states": list(group.states),
        "identities": list(group.identities),
        "sizes": list(group.sizes),
        # The parts of each collection that is written, and whether others may be there.
        "parts": parts,
        "keep_others": prepared is not None and prepared.keep_others,
        "problem": "" if group.problem is None else str(group.problem),
    }
