"""Carry a plan out: submit outputs a few at a time, take what comes, commit each product and year once.

The driver holds no results: workers write parts and receipts, and a commit lists them. Whatever dies, a receipt stays,
and the same command goes on from there.
"""

import heapq
import itertools
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import distributed
from rich.console import Console

from geomob_dask.errors import GeomobError
from geomob_dask.runs.backfill.carriers import Carrier, InThisProcess, OnCluster, SchedulerLostError
from geomob_dask.runs.backfill.interrupts import Interrupts, StopNow
from geomob_dask.runs.backfill.journal import Journal
from geomob_dask.runs.backfill.plan import Plan, Planned, Standing
from geomob_dask.runs.backfill.progress import Shown
from geomob_dask.runs.backfill.retries import Budget, reason_of
from geomob_dask.runs.backfill.unit import Made, make
from geomob_dask.runs.commits import commit_states
from geomob_dask.store import Commit, Store, receipts

_POLL = 0.25
# Outputs handed out at once, for every thread of the cluster: enough that no worker waits for the driver.
_AHEAD = 3
_ATTEMPTS_MORE = 3
_COMMIT_ATTEMPTS = 4


_Act = Callable[[], object]


@dataclass
class Result:
    """How a backfill ended.

    Attributes
    ----------
    computed, kept, committed : list of str
        Names of the outputs that were computed, that were found whole, and that are visible now.
    up_to_date : int
        Outputs of which nothing was to be done.
    as_they_are : int
        Outputs that are stale, or failed before, and that were not to be computed again.
    failed_before : int
        Those of them that failed.
    failed : mapping of str to str
        Why outputs failed, by name.
    left : int
        Outputs that were to be computed and were not begun, or not waited for.
    stopped : str
        Why the run ended early; empty where it did not.
    seconds : float
        Of all computed outputs, on their workers.
    """

    computed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    up_to_date: int = 0
    as_they_are: int = 0
    failed_before: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    left: int = 0
    stopped: str = ""
    seconds: float = 0.0

    @property
    def fine(self) -> bool:
        """Tell whether everything that was asked for is there."""
        return not (self.failed or self.failed_before or self.left or self.stopped)


@dataclass
class _Group:
    """What is known of one product and year while it runs."""

    planned: Planned
    left: int = 0
    made: dict[str, tuple[Commit, ...]] = field(default_factory=dict)
    took: dict[str, tuple[float, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Unit:
    """One output of a group, by its place there; it names itself and nothing else."""

    group: int
    place: int


def execute(
    store: Store,
    plan: Plan,
    client: distributed.Client | None,
    console: Console,
    *,
    max_active: int | None = None,
    retry_wait: float = 1.0,
) -> Result:
    """Compute and commit what a plan lists.

    Parameters
    ----------
    client : distributed.Client, optional
        Without one, outputs are computed in this process.
    max_active : int, optional
        Outputs handed out at once; by default three for every thread of the cluster.
    retry_wait : float
        Seconds before a failed output is tried again, when that may help; each further wait is twice as long.

    Returns
    -------
    Result
        Also where outputs failed or the run was stopped: this raises nothing that concerns outputs.
    """
    carrier: Carrier = InThisProcess() if client is None else OnCluster(client)
    interrupts = Interrupts()
    with interrupts.caught(), Shown(console) as shown:
        interrupts.at_once = client is None
        driver = _Driver(store, plan, carrier, interrupts, shown, max_active, retry_wait)
        return driver.run()


class _Driver:
    def __init__(
        self,
        store: Store,
        plan: Plan,
        carrier: Carrier,
        interrupts: Interrupts,
        shown: Shown,
        max_active: int | None,
        retry_wait: float,
    ) -> None:
        self.store, self.plan, self.carrier = store, plan, carrier
        self.interrupts, self.shown, self.max_active = interrupts, shown, max_active
        self.journal = Journal(store, plan.backfill.name)
        self.result = Result()
        self.token = uuid.uuid4().hex
        self.groups = [_Group(planned) for planned in plan.groups]
        self.active: dict[_Unit, int] = {}
        self.again: list[tuple[float, int, _Unit, int]] = []
        self.number = itertools.count()
        self.stopping = False
        due = self._count()
        self.budget = Budget(_ATTEMPTS_MORE, max(20, due // 10), retry_wait)

    def _count(self) -> int:
        """Count what is to be done, by group; what is not even planned is noted."""
        number_of = {id(planned): number for number, planned in enumerate(self.plan.groups)}
        due = 0
        self.order: list[_Unit] = []
        for planned, place in self.plan.due():
            number = number_of[id(planned)]
            self.groups[number].left += 1
            self.order.append(_Unit(number, place))
            due += 1
        for group in self.groups:
            self.shown.expect(group.planned.group.year, group.left)
        untouched = {how: count for how, count in self.plan.counts().items() if how not in self.plan.wanted}
        self.result.up_to_date = untouched.get(Standing.DONE, 0)
        self.result.failed_before = untouched.get(Standing.FAILED, 0)
        self.result.as_they_are = untouched.get(Standing.STALE, 0) + self.result.failed_before
        self.result.left = due
        return due

    # The run -------------------------------------------------------------------------------

    def run(self) -> Result:
        try:
            self._sweep()
            self._refuse()
            self._loop()
            self._commit_the_rest()
        except StopNow:
            self._stop_now()
        except SchedulerLostError as error:
            self.result.stopped = f"{error}; what is whole is kept, run the same command again"
            self._commit_the_rest()
        except BaseException:
            self.carrier.drop_all()
            raise
        return self.result

    def _loop(self) -> None:
        pending = iter(self.order)
        while True:
            if self.interrupts.count > 1:
                raise StopNow
            if self.interrupts.count and not self.stopping:
                self._stop_after_these()
            if not self.stopping:
                self._submit(pending)
            if not self.active and (self.stopping or not self.again):
                return
            for unit, made, error in self.carrier.ended(_POLL if self.active else self._pause()):
                assert isinstance(unit, _Unit)
                attempts = self.active.pop(unit)
                if error is None:
                    self._succeeded(unit, made)
                else:
                    self._failed(unit, error, attempts)
            self.shown.active([self._named(unit) for unit in itertools.islice(self.active, self.carrier.width())])

    def _pause(self) -> float:
        return min(_POLL, max(0.0, self.again[0][0] - time.monotonic())) if self.again else _POLL

    def _submit(self, pending: Iterator[_Unit]) -> None:
        window = self.max_active or _AHEAD * self.carrier.width()
        while len(self.active) < window:
            if self.again and self.again[0][0] <= time.monotonic():
                _, _, unit, attempts = heapq.heappop(self.again)
            else:
                following = next(pending, None)
                if following is None:
                    return
                unit, attempts = following, 0
            self._hand_out(unit, attempts + 1)

    def _hand_out(self, unit: _Unit, attempt: int) -> None:
        group = self.groups[unit.group].planned.group
        state, identity = group.states[unit.place], group.identities[unit.place]
        again = self.plan.asked.reprocess == "all"
        key = (f"{group.product}-{group.year}-{self.token}", f"{state}-{attempt}" if attempt > 1 else state)
        self.active[unit] = attempt
        prepared = group.prepared(state)
        of_output = (group.collection, state, identity, again, group.also)
        self.carrier.submit(unit, key, make, self.store, group.job, prepared, *of_output)

    def _named(self, unit: _Unit) -> tuple[int, str]:
        group = self.groups[unit.group].planned.group
        return group.year, group.states[unit.place]

    def _name(self, unit: _Unit) -> str:
        planned = self.groups[unit.group].planned
        return planned.name(planned.group.states[unit.place])

    # What came of an output ----------------------------------------------------------------

    def _succeeded(self, unit: _Unit, made: Made) -> None:
        group, name = self.groups[unit.group], self._name(unit)
        state = group.planned.group.states[unit.place]
        group.made[state] = tuple(made.commits)
        if made.computed:
            self.result.computed.append(name)
            self.result.seconds += made.seconds
            group.took[state] = (round(made.seconds, 3), group.planned.group.sizes[unit.place])
        else:
            self.result.kept.append(name)
        self.result.left -= 1
        self.shown.done(group.planned.group.year)
        self._one_less(group)

    def _failed(self, unit: _Unit, error: BaseException, attempts: int) -> None:
        wait = self.budget.wait(error, attempts)
        if wait is not None:
            heapq.heappush(self.again, (time.monotonic() + wait, next(self.number), unit, attempts))
            self.shown.say(f"{self._name(unit)}: tried again in {wait:g} s ({reason_of(error)})")
            return
        group = self.groups[unit.group]
        self.result.left -= 1
        self._note(group.planned, unit.place, reason_of(error), attempts)
        self._one_less(group)

    def _note(self, planned: Planned, place: int, reason: str, attempts: int) -> None:
        name = planned.name(planned.group.states[place])
        identity = planned.group.identities[place] if planned.group.identities else ""
        self.result.failed[name] = reason
        self.shown.failed(planned.group.year)
        self._keep_going(partial(self.journal.fail, name, identity, reason, attempts))

    def _one_less(self, group: _Group) -> None:
        group.left -= 1
        if not group.left:
            self._commit(group)

    # Commits -------------------------------------------------------------------------------

    def _commit(self, group: _Group) -> None:
        planned, made = group.planned, group.made
        if not made:
            return
        group.made = {}
        commits = [commit for state in sorted(made) for commit in made[state]]
        about = planned.group
        error = self._attempt(partial(self._commit_states, planned, commits))
        places = {state: place for place, state in enumerate(about.states)}
        if error is not None:
            for state in made:
                self._note(planned, places[state], reason_of(error), 1)
            return
        for state in made:
            name = planned.name(state)
            self.result.committed.append(name)
            self._keep_going(partial(self._forget, planned, state))
        if group.took:
            self._keep_going(partial(self.journal.took, about.product, about.year, group.took))
        self.shown.say(f"{about.product} {about.year}: {len(made)} outputs in {about.collection}")

    def _commit_states(self, planned: Planned, commits: Sequence[Commit]) -> None:
        snapshots = commit_states(self.store, commits, planned.runs, keep_others=planned.group.by_state)
        for snapshot in snapshots:
            gone = sorted(planned.runs.get(snapshot.collection, {}).keys() - snapshot.parts.keys())
            if gone and planned.group.by_state:
                self.shown.say(
                    f"{snapshot.collection}: {', '.join(gone)} left it, stale: not of {dict(snapshot.attributes)} as "
                    "the states that were committed now"
                )

    def _forget(self, planned: Planned, state: str) -> None:
        """Remove the receipt of an output that is visible, and the note of its failure."""
        group = planned.group
        place = group.states.index(state)
        self.store.objects.delete(receipts.key_of(group.collection, state, group.identities[place]))
        if planned.standings[place] is Standing.FAILED:
            self.journal.succeed(planned.name(state))

    def _attempt(self, act: _Act) -> Exception | None:
        """Act, several times where that may help; return the error of the last time."""
        waits = Budget(_COMMIT_ATTEMPTS - 1, _COMMIT_ATTEMPTS, self.budget.first_wait)
        attempt = 0
        while True:
            attempt += 1
            try:
                act()
            except Exception as error:
                if not isinstance(error, (GeomobError, OSError)):
                    raise
                wait = waits.wait(error, attempt)
                if wait is None:
                    return error
                time.sleep(wait)
            else:
                return None

    def _keep_going(self, act: _Act) -> None:
        """Act on the journal or on receipts: nothing that a result depends on, so a failure is only told."""
        error = self._attempt(act)
        if error is not None:
            self.shown.say(f"not written down: {reason_of(error)}")

    def _commit_the_rest(self) -> None:
        """Commit what is whole of products and years that are not."""
        for group in self.groups:
            self._commit(group)

    def _sweep(self) -> None:
        """Remove receipts of outputs that were committed before, and notes of outputs that are fine by now."""
        for key in (key for planned in self.plan.groups for key in planned.receipts):
            self._keep_going(partial(self.store.objects.delete, key))
        noted = self.journal.failed()
        for planned in self.plan.groups if noted else ():
            for state, how in zip(planned.group.states, planned.standings, strict=True):
                if how is Standing.DONE and planned.name(state) in noted:
                    self._keep_going(partial(self.journal.succeed, planned.name(state)))

    def _refuse(self) -> None:
        """Note the outputs that the store does not allow."""
        for planned in self.plan.groups:
            if planned.group.problem:
                self.shown.expect(planned.group.year, len(planned.standings))
                for place in range(len(planned.standings)):
                    self._note(planned, place, planned.group.problem, 0)

    # Stopping ------------------------------------------------------------------------------

    def _stop_after_these(self) -> None:
        self.stopping = True
        for unit in self.carrier.drop_waiting():
            assert isinstance(unit, _Unit)
            self.active.pop(unit, None)
        self.result.stopped = "interrupted: what was running is finished, and what is whole is committed"
        self.shown.say(f"interrupted: finishing {len(self.active)} outputs; once more to stop now")

    def _stop_now(self) -> None:
        self.carrier.drop_all()
        self.result.stopped = "interrupted twice: stopped at once; receipts of whole outputs are kept for the next run"
