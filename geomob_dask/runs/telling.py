"""What a run tells the scheduler of its cluster: its plan, and what becomes of each output, as structured events.

Whoever listens there (the page in the dashboard) shows the run while it happens. Events are messages of the topic
`TOPIC`; of many changes of one output between two messages the last one is told. Nothing waits for them: where the
scheduler does not take them, the run goes on, and the journal alone knows of it. A driver that is killed tells no end:
signs of life that cease say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import distributed

from geomob_dask.messages import without_passwords
from geomob_dask.runs.planning import Plan, Standing

TOPIC = "geomob"
# What becomes of an output, a letter each: done (committed), running, failed, refused, stale, whole (computed, to be
# committed), to do; handed to the scheduler, not necessarily to a worker yet.
DONE, RUNNING, FAILED, REFUSED, STALE, WHOLE, TODO, HANDED = "drfxswth"
LETTERS = {
    Standing.DONE: DONE,
    Standing.STALE: STALE,
    Standing.WHOLE: WHOLE,
    Standing.FAILED: FAILED,
    Standing.MISSING: TODO,
    Standing.REFUSED: REFUSED,
}
# Seconds between two messages; between two signs of life, which say nothing else; and those that the last message may
# take, of a run that was stopped and of any other.
_EVERY, _SIGN = 0.5, 15.0
_HURRIED, _LAST = 2.0, 20.0
# Outputs in one message, of a plan and of changes.
_PLANNED, _CHANGED = 10_000, 2_000
_LONGEST_REASON = 1_000


class Telling:
    """Tells the scheduler of a run.

    Parameters
    ----------
    client : distributed.Client, optional
        Without one nothing is told.
    plan : Plan
    run : str
        Its name in the journal, or any that no other run has.
    token : str
        In the keys of its tasks.
    where : str
        The folder of its journal; empty without one.
    store : str
        Its address.
    """

    def __init__(
        self, client: distributed.Client | None, plan: Plan, run: str, token: str, *, where: str, store: str
    ) -> None:
        self._client, self._plan, self._run, self._token = client, plan, run, token
        self._where, self._store = where, store
        self._changes: dict[tuple[int, int], list[Any]] = {}
        self._sent, self._busy, self._over = 0.0, False, False

    def begin(self) -> None:
        """Tell the plan."""
        if self._client is None:
            return
        plan = self._plan
        title = plan.name or ", ".join(sorted({group.request.product for group in plan.groups}))
        self._send(
            [
                {
                    "kind": "begin",
                    "token": self._token,
                    "backfill": plan.name,
                    "title": title,
                    "began": time.time(),
                    "driver": socket.gethostname(),
                    "store": without_passwords(self._store),
                    "journal": without_passwords(self._where),
                    "groups": len(plan.groups),
                    "outputs": sum(len(group.states) for group in plan.groups),
                },
                *_planned(plan),
            ]
        )
        self._call(self._live)

    def change(
        self,
        group: int,
        place: int,
        letter: str,
        *,
        attempt: int = 0,
        seconds: float | None = None,
        worker: str = "",
        reason: str = "",
    ) -> None:
        """Note what became of an output.

        Parameters
        ----------
        group, place : int
            In the plan.
        letter : str
            See `LETTERS`.
        attempt : int
            Which one it is, or was.
        seconds : float, optional
            That it took.
        worker : str
            Where it runs, if no task of the scheduler says so.
        reason : str
            Why it failed, or is tried again.
        """
        if self._client is None:
            return
        before = self._changes.get((group, place))
        if before is not None:
            # What is not said again still holds.
            attempt, seconds = attempt or before[3], before[4] if seconds is None else seconds
        self._changes[group, place] = [group, place, letter, attempt, seconds, worker, reason[:_LONGEST_REASON]]

    def beat(self, *, at_once: bool = False) -> None:
        """Tell what changed; unless `at_once`, not if the last message is of just now or still on its way."""
        if self._client is None or not self._changes:
            return
        if not at_once and (self._busy or time.monotonic() - self._sent < _EVERY):
            return
        chosen = [self._changes.pop(key) for key in list(self._changes)[:_CHANGED]]
        self._send([{"kind": "changes", "changes": chosen}])

    def end(self, outcome: str, *, hurried: bool = False) -> None:
        """Tell the rest, and how the run ended; wait for the scheduler to take it, not for long if `hurried`."""
        client = self._client
        self._over = True
        if client is None or client.status != "running":
            return
        rest = list(self._changes.values())
        chunks = [rest[start : start + _CHANGED] for start in range(0, len(rest), _CHANGED)]
        messages: list[dict[str, Any]] = [{"kind": "changes", "changes": chunk} for chunk in chunks]
        messages.append({"kind": "end", "ended": time.time(), "outcome": outcome})
        with contextlib.suppress(Exception):
            client.sync(self._deliver, messages, callback_timeout=_HURRIED if hurried else _LAST)

    def _send(self, messages: list[dict[str, Any]]) -> None:
        client = self._client
        if client is None or client.status != "running":
            return
        self._busy, self._sent = True, time.monotonic()
        self._call(self._deliver, messages)

    def _call(self, function: Callable[..., object], *args: object) -> None:
        assert self._client is not None
        # The loop may be closed.
        with contextlib.suppress(RuntimeError):
            self._client.loop.add_callback(function, *args)

    def _live(self) -> None:
        """Give a sign of life from time to time, whatever the driver's own thread is at."""
        client = self._client
        assert client is not None
        if self._over or client.status in ("closing", "closed"):
            return
        if not self._busy:
            self._send([{"kind": "sign"}])
        client.loop.call_later(_SIGN, self._live)

    async def _deliver(self, messages: list[dict[str, Any]]) -> None:
        """Deliver messages in their order, those before them first."""
        client = self._client
        assert client is not None
        try:
            async with self._order:
                for message in messages:
                    await client.scheduler.log_event(topic=TOPIC, msg={"run": self._run, **message})
        except (Exception, asyncio.CancelledError):
            # The journal tells of the run.
            pass
        finally:
            self._busy = False

    @property
    def _order(self) -> asyncio.Lock:
        # Made in the client's event loop, where it is used.
        if not hasattr(self, "_lock"):
            self._lock = asyncio.Lock()
        return self._lock


def _planned(plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield the outputs of a plan, some groups a message."""
    chosen: list[list[Any]] = []
    first = count = 0
    for number, group in enumerate(plan.groups):
        letters = [_letter(plan, how) for how in group.standings]
        due = "".join("1" if how in plan.wanted else "0" for how in group.standings)
        reason = "" if group.problem is None else str(group.problem)[:_LONGEST_REASON]
        states = ",".join(group.states)
        where = [group.product, group.year, group.collection, states, "".join(letters), due, list(group.sizes), reason]
        chosen.append(where)
        count += len(group.states)
        if count >= _PLANNED or number == len(plan.groups) - 1:
            yield {"kind": "groups", "first": first, "groups": chosen}
            chosen, first, count = [], number + 1, 0


def _letter(plan: Plan, how: Standing) -> str:
    # What is computed again though it is up to date is to do for this run.
    return TODO if how is Standing.DONE and how in plan.wanted else LETTERS[how]
