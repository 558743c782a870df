"""Execute a plan: submit outputs a few at a time, collect results, commit each product and year once.

The driver holds no results: workers write parts and receipts, and a commit lists them. Whatever dies, a receipt stays,
and the same command goes on from there. An output is one task; where there are fewer outputs than threads, or an
output is larger than a thread's share of memory holds, its frames are spread over the cluster instead: so many at once
as the memory of all workers holds.
"""

import heapq
import itertools
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import distributed
from rich.console import Console

from geomob_dask import activity
from geomob_dask.errors import ClusterLostError, GeomobError, RunError
from geomob_dask.frames.futures import ATTEMPTS
from geomob_dask.messages import counted
from geomob_dask.products.catalog import product_named
from geomob_dask.products.product import DriverProduct, Prepared
from geomob_dask.runs.carriers import Carrier, DroppedError, InThisProcess, OnCluster
from geomob_dask.runs.commits import commit_states
from geomob_dask.runs.interrupts import Interrupts, StopNow
from geomob_dask.runs.journal import Journal
from geomob_dask.runs.output import Made, find, frame_of, make
from geomob_dask.runs.planning import Group, Plan, Standing
from geomob_dask.runs.progress import Progress
from geomob_dask.runs.retries import Budget, reason_of
from geomob_dask.runs.signs import Signs
from geomob_dask.runs.telling import DONE, FAILED, HANDED, REFUSED, RUNNING, TODO, WHOLE, Telling
from geomob_dask.store import Commit, Store, receipts
from geomob_dask.store.snapshots import refuse_another_run

_POLL = 0.25
# Outputs handed out at once, for every thread of the cluster: enough that no worker waits for the driver.
_AHEAD = 3
_ATTEMPTS_MORE = 3
_COMMIT_ATTEMPTS = 4


_Act = Callable[[], object]


@dataclass
class Result:
    """The result of a run.

    Attributes
    ----------
    computed, kept, committed : list of str
        Names of the outputs that were computed, that were found whole, and that are visible now.
    up_to_date : int
        Outputs that were up to date.
    as_they_are : int
        Outputs that are stale, or failed before, and that were not to be computed again.
    failed_before : int
        Those of them that failed.
    failed : mapping of str to str
        Why outputs failed, by name.
    errors : list of exception
        The same, as they were raised.
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
    errors: list[BaseException] = field(default_factory=list)
    left: int = 0
    stopped: str = ""
    seconds: float = 0.0

    @property
    def fine(self) -> bool:
        """Return whether all requested outputs are in the store."""
        return not (self.failed or self.failed_before or self.left or self.stopped)


@dataclass
class _Running:
    """The state of one product and year while it runs."""

    group: Group
    number: int
    left: int = 0
    size: int = 0
    made: dict[str, tuple[Commit, ...]] = field(default_factory=dict)
    took: dict[str, tuple[float, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Unit:
    """One output of a group, by its place there."""

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
    together: bool = False,
) -> Result:
    """Compute and commit the outputs of a plan.

    Parameters
    ----------
    client : distributed.Client, optional
        Without one, outputs are computed in this process.
    max_active : int, optional
        Outputs handed out at once; by default three for every thread of the cluster.
    retry_wait : float
        Seconds before a failed output is tried again, when that may help; each further wait is twice as long.
    together : bool
        Whether all groups are committed at the end, and none of them if an output failed; otherwise each is when all
        its outputs have ended, and the outputs that are whole are committed.

    Returns
    -------
    Result
        Also where outputs failed or the run was stopped: this raises nothing that concerns outputs.
    """
    carrier: Carrier = InThisProcess() if client is None else OnCluster(client)
    interrupts = Interrupts()
    with interrupts.caught(), Progress(console, quiet=together) as progress:
        interrupts.at_once = client is None
        driver = _Driver(store, plan, client, carrier, interrupts, progress, max_active, retry_wait, together)
        return driver.run()


def run(
    store: Store, plan: Plan, client: distributed.Client | None, console: Console, *, retry_wait: float = 1.0
) -> None:
    """Compute the outputs of a plan and commit all of them, or none.

    Raises
    ------
    GeomobError
        As raised by an output that failed.
    RunError
        If an output failed otherwise, or the run was interrupted.
    """
    collections = [name for group in plan.groups if not _commits_itself(group) for name in group.collections]
    with store.all_or_nothing(*collections):
        result = execute(store, plan, client, console, retry_wait=retry_wait, together=True)
        if result.errors:
            error = result.errors[0]
            if isinstance(error, GeomobError):
                raise error
            raise RunError(next(iter(result.failed.values()))) from error
        if not result.fine:
            raise RunError(result.stopped or f"not computed: {counted(result.left, 'output')}")


class _Driver:
    def __init__(
        self,
        store: Store,
        plan: Plan,
        client: distributed.Client | None,
        carrier: Carrier,
        interrupts: Interrupts,
        progress: Progress,
        max_active: int | None,
        retry_wait: float,
        together: bool,
    ) -> None:
        self.store, self.plan, self.client, self.carrier = store, plan, client, carrier
        self.interrupts, self.progress, self.max_active, self.together = interrupts, progress, max_active, together
        self.journal = Journal(store, plan.name) if plan.name else None
        self.result = Result()
        self.token = uuid.uuid4().hex
        self.groups = [_Running(group, number) for number, group in enumerate(plan.groups)]
        self.active: dict[_Unit, int] = {}
        self.again: list[tuple[float, int, _Unit, int]] = []
        self.number = itertools.count()
        self.dropped: Counter[_Unit] = Counter()
        # Outputs that are spread, with the bytes of their inputs, and those that wait until they may be.
        self.spread: dict[_Unit, int] = {}
        self.held: deque[tuple[_Unit, int]] = deque()
        self.stopping = False
        due = self._count()
        self.signs = Signs(self.journal, plan, self._counts, self.token)
        where = "" if self.journal is None else self.journal.where
        self.telling = Telling(client, plan, self.signs.run, self.token, where=where, store=store.url)
        self.budget = Budget(_ATTEMPTS_MORE, max(20, due // 10), retry_wait)

    def _count(self) -> int:
        """Count what is to be done, by group."""
        self.order = [_Unit(number, place) for number, place in self.plan.due()]
        for unit in self.order:
            running = self.groups[unit.group]
            running.left += 1
            running.size += running.group.sizes[unit.place]
        for running in self.groups:
            self.progress.expect(_bar_of(running.group), running.left, running.size)
        untouched = {how: count for how, count in self.plan.counts().items() if how not in self.plan.wanted}
        self.result.up_to_date = untouched.get(Standing.DONE, 0)
        self.result.failed_before = untouched.get(Standing.FAILED, 0)
        self.result.as_they_are = untouched.get(Standing.STALE, 0) + self.result.failed_before
        self.result.left = len(self.order)
        return len(self.order)

    # The run -------------------------------------------------------------------------------

    def run(self) -> Result:
        try:
            self.signs.begin()
            self.telling.begin()
            self._sweep()
            self._refuse()
            self._loop()
            self._commit_the_rest()
        except StopNow:
            self._stop_now()
        except ClusterLostError as error:
            self.result.stopped = f"{error}; outputs that are whole are kept, run the same command again"
            self._commit_the_rest()
        except BaseException as error:
            self.carrier.drop_all()
            self._ended(reason_of(error) or type(error).__name__)
            raise
        self._ended(self.result.stopped or ("all done" if self.result.fine else "some outputs are not done"))
        return self.result

    def _ended(self, outcome: str) -> None:
        self.signs.end(outcome)
        for unit in [*self.active, *(unit for _, _, unit, _ in self.again)]:
            # It was handed out and has not ended: another run may.
            self.telling.change(unit.group, unit.place, TODO)
        self.telling.end(outcome, hurried=bool(self.result.stopped))

    def _counts(self) -> dict[str, int]:
        """Return what has become of outputs so far; see `Signs`."""
        done = len(self.result.computed) + len(self.result.kept)
        return {"done": done, "failed": len(self.result.failed), "left": self.result.left}

    def _loop(self) -> None:
        pending = iter(self.order)
        self.spreads = len(self.order) < self.carrier.width()
        while True:
            if self.interrupts.count > 1:
                raise StopNow
            if self.interrupts.count and not self.stopping:
                self._stop_after_these()
            if not self.stopping:
                self._submit(pending)
            if not self.active and (self.stopping or not self.again):
                return
            self._show()
            for unit, made, error in self.carrier.ended(_POLL if self.active else self._pause()):
                assert isinstance(unit, _Unit)
                attempts = self.active.pop(unit)
                self.spread.pop(unit, None)
                if error is None:
                    self._succeeded(unit, made, attempts)
                else:
                    self._failed(unit, error, attempts)

    def _show(self) -> None:
        width = self.carrier.width()
        running = list(itertools.islice(self.active, width))
        self.signs.beat([self._name(unit) for unit in running])
        self.telling.beat()
        groups = [(self.groups[unit.group].group, unit.place) for unit in running]
        self.progress.active([(_bar_of(group), group.states[place]) for group, place in groups])
        self.progress.stages(self.carrier.stages())

    def _pause(self) -> float:
        return min(_POLL, max(0.0, self.again[0][0] - time.monotonic())) if self.again else _POLL

    def _submit(self, pending: Iterator[_Unit]) -> None:
        window = self.max_active or _AHEAD * self.carrier.width()
        while len(self.active) < window:
            following = self._following(pending)
            if following is None:
                return
            unit, attempt = following
            spread = self._is_spread(unit)
            if spread and not self._has_room(unit):
                self.held.append(following)
            else:
                self._hand_out(unit, attempt, spread)

    def _following(self, pending: Iterator[_Unit]) -> tuple[_Unit, int] | None:
        """Return the output to be handed out next, and which attempt it is."""
        if self.held and self._has_room(self.held[0][0]):
            return self.held.popleft()
        if self.again and self.again[0][0] <= time.monotonic():
            _, _, unit, attempts = heapq.heappop(self.again)
            return unit, attempts + 1
        unit_or_none = next(pending, None)
        return None if unit_or_none is None else (unit_or_none, 1)

    def _is_spread(self, unit: _Unit) -> bool:
        """Return whether an output is spread: it is large, or threads are free and it gains by them."""
        group = self.groups[unit.group].group
        product = product_named(group.request.product)
        if self.client is None or group.by_state or isinstance(product, DriverProduct):
            return False
        return (self.spreads and product.spreads) or group.sizes[unit.place] > self.carrier.one_task()

    def _has_room(self, unit: _Unit) -> bool:
        """Return whether the memory of all workers holds one more output that is spread; it holds one at least."""
        size = self.groups[unit.group].group.sizes[unit.place]
        most = self.carrier.width() * self.carrier.one_task()
        return not self.spread or sum(self.spread.values()) + size <= most

    def _hand_out(self, unit: _Unit, attempt: int, spread: bool) -> None:
        group = self.groups[unit.group].group
        state, identity = group.states[unit.place], group.identities[unit.place]
        prepared, again = group.output(unit.place), self.plan.reprocess == "all"
        self.active[unit] = attempt
        product = product_named(prepared.product)
        if isinstance(product, DriverProduct):
            self.telling.change(unit.group, unit.place, RUNNING, attempt=attempt, worker="the driver")
            self.carrier.here(unit, self._executed, product, prepared)
            return
        if spread:
            self.telling.change(unit.group, unit.place, RUNNING, attempt=attempt, worker="spread over all workers")
            self.spread[unit] = group.sizes[unit.place]
            self._spread(unit, prepared, identity, again, attempt)
            return
        self.telling.change(unit.group, unit.place, HANDED, attempt=attempt)
        # Several groups may be of one product and year.
        part = f"{state}-{unit.group}" if attempt == 1 else f"{state}-{unit.group}-{attempt}"
        key = (f"{group.product}-{group.year}-{self.token}", part)
        self.carrier.submit(unit, key, make, self.store, prepared, identity, again)

    def _spread(self, unit: _Unit, prepared: Prepared, identity: str, again: bool, attempt: int) -> None:
        group = self.groups[unit.group].group
        try:
            found = None if again else find(self.store, prepared, identity)
            if found is None:
                build = partial(frame_of, self.store, prepared, identity, lazy=True, attempt=attempt)
                self.carrier.spread(unit, (group.product, str(group.year)), build)
            else:
                self.carrier.here(unit, _same, found)
        except ClusterLostError:
            raise
        except Exception as error:
            # Frames that cannot be built fail their output, and no other.
            self.carrier.here(unit, _raised, error)

    def _executed(self, product: DriverProduct, prepared: Prepared) -> Made:
        self.telling.beat(at_once=True)
        start = time.perf_counter()
        # The driver itself computes: the second interrupt must not wait for it.
        before, self.interrupts.at_once = self.interrupts.at_once, True
        try:
            commits = product.execute(self.store, prepared, self.client, self.progress)
        finally:
            self.interrupts.at_once = before
        return Made(commits, time.perf_counter() - start, True)

    def _name(self, unit: _Unit) -> str:
        return self.groups[unit.group].group.name(unit.place)

    # What came of an output ----------------------------------------------------------------

    def _succeeded(self, unit: _Unit, made: Made, attempts: int) -> None:
        running, name = self.groups[unit.group], self._name(unit)
        state = running.group.states[unit.place]
        running.made[state] = tuple(made.commits)
        if made.computed:
            activity.completed()
            self.result.computed.append(name)
            self.result.seconds += made.seconds
            running.took[state] = (round(made.seconds, 3), running.group.sizes[unit.place])
        else:
            self.result.kept.append(name)
        self.telling.change(
            unit.group, unit.place, WHOLE, attempt=attempts, seconds=made.seconds if made.computed else None
        )
        self.result.left -= 1
        self.progress.done(_bar_of(running.group), running.group.sizes[unit.place], found=not made.computed)
        self._one_less(running)

    def _failed(self, unit: _Unit, error: BaseException, attempts: int) -> None:
        if isinstance(error, DroppedError) and self.dropped[unit] < ATTEMPTS:
            # It did not fail: a task of the same attempt takes its place.
            self.dropped[unit] += 1
            heapq.heappush(self.again, (time.monotonic(), next(self.number), unit, attempts - 1))
            return
        wait = self.budget.wait(error, attempts)
        if wait is not None:
            heapq.heappush(self.again, (time.monotonic() + wait, next(self.number), unit, attempts))
            self.telling.change(unit.group, unit.place, TODO, attempt=attempts, reason=reason_of(error))
            self.progress.say(f"{self._name(unit)}: tried again in {wait:g} s ({reason_of(error)})")
            return
        running = self.groups[unit.group]
        self.result.left -= 1
        self._note(running, unit.place, error, attempts)
        self._one_less(running)

    def _note(self, running: _Running, place: int, error: BaseException, attempts: int) -> None:
        group = running.group
        states = () if group.prepared is None or group.by_state else group.prepared.states
        name, reason = group.name(place), reason_of(error, states)
        identity = group.identities[place] if group.identities else ""
        self.result.failed[name] = reason
        self.result.errors.append(error)
        letter = FAILED if group.problem is None else REFUSED
        self.telling.change(running.number, place, letter, attempt=attempts, reason=reason)
        self.progress.failed(_bar_of(group), group.sizes[place] if group.sizes else 0)
        if self.journal is not None:
            self._keep_going(partial(self.journal.fail, name, identity, reason, attempts))

    def _one_less(self, running: _Running) -> None:
        running.left -= 1
        if not running.left and not self.together:
            self._commit(running)

    # Commits -------------------------------------------------------------------------------

    def _commit(self, running: _Running) -> None:
        group, made = running.group, running.made
        if not made:
            return
        running.made = {}
        commits = [commit for state in sorted(made) for commit in made[state]]
        error = self._attempt(partial(self._commit_states, group, commits))
        places = {state: place for place, state in enumerate(group.states)}
        if error is not None:
            for state in made:
                self._note(running, places[state], error, 1)
            return
        for state in made:
            self.telling.change(running.number, places[state], DONE)
            self.result.committed.append(group.name(places[state]))
            self._keep_going(partial(self._forget, group, places[state]))
        product = product_named(group.request.product)
        if isinstance(product, DriverProduct) and group.prepared is not None:
            self._keep_going(partial(product.committed, self.store, group.prepared))
        if running.took and self.journal is not None:
            self._keep_going(partial(self.journal.took, group.product, group.year, running.took))
        self.progress.committed(f"{group.product} {group.year}: {counted(len(made), 'output')} in {group.collection}")

    def _commit_states(self, group: Group, commits: Sequence[Commit]) -> None:
        keep_others = group.by_state or (group.prepared is not None and group.prepared.keep_others)
        for snapshot in commit_states(self.store, commits, group.runs, keep_others=keep_others):
            gone = sorted(group.runs.get(snapshot.collection, {}).keys() - snapshot.parts.keys())
            if gone and group.by_state:
                self.progress.say(
                    f"{snapshot.collection}: {', '.join(gone)} removed: their attributes are not "
                    f"{dict(snapshot.attributes)}, which the states committed now have"
                )

    def _forget(self, group: Group, place: int) -> None:
        """Remove the receipt of an output that is visible, and the note of its failure."""
        key = receipts.key_of(group.collection, group.states[place], group.identities[place])
        self.store.objects.delete(key)
        if group.standings[place] is Standing.FAILED and self.journal is not None:
            self.journal.succeed(group.name(place))

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
        """Act on the journal or on receipts: no result depends on it, so a failure is only reported."""
        error = self._attempt(act)
        if error is not None:
            self.progress.say(f"not written to the journal: {reason_of(error)}")

    def _commit_the_rest(self) -> None:
        """Commit the outputs that are whole of groups that are not."""
        with activity.doing("committing"):
            self._commit_whole()

    def _commit_whole(self) -> None:
        if not self.together:
            for running in self.groups:
                self._commit(running)
            return
        # All or nothing: no group is committed before each of them may be, and none after one that failed.
        for running in self.groups:
            if self.result.fine:
                self._refuse_another_run(running)
        for running in self.groups:
            if self.result.fine:
                self._commit(running)

    def _refuse_another_run(self, running: _Running) -> None:
        for state, commits in running.made.items():
            for commit in commits:
                expected = running.group.runs.get(commit.collection)
                if expected is not None:
                    check = partial(refuse_another_run, self.store.objects, commit.collection, commit.made(), expected)
                    error = self._attempt(check)
                    if error is not None:
                        self._note(running, running.group.states.index(state), error, 1)
                        return

    def _sweep(self) -> None:
        """Remove receipts of outputs that were committed before, and notes of outputs that are done by now."""
        for key in (key for group in self.plan.groups for key in group.leftover):
            self._keep_going(partial(self.store.objects.delete, key))
        noted = set() if self.journal is None else self.journal.failed()
        for group in self.plan.groups if noted else ():
            for place, how in enumerate(group.standings):
                if how is Standing.DONE and group.name(place) in noted:
                    assert self.journal is not None
                    self._keep_going(partial(self.journal.succeed, group.name(place)))

    def _refuse(self) -> None:
        """Note the outputs that the store does not allow."""
        for running in self.groups:
            group = running.group
            if group.problem is not None:
                self.progress.expect(_bar_of(group), len(group.standings))
                for place in range(len(group.standings)):
                    self._note(running, place, group.problem, 0)

    # Stopping ------------------------------------------------------------------------------

    def _stop_after_these(self) -> None:
        self.stopping = True
        for unit in self.carrier.drop_waiting():
            assert isinstance(unit, _Unit)
            self.active.pop(unit, None)
            self.telling.change(unit.group, unit.place, TODO)
        whole = (
            "nothing is committed, the store is as it was; outputs that are whole are kept for the next run"
            if self.together
            else "outputs that were running are finished, and whole ones are committed"
        )
        self.result.stopped = f"interrupted: {whole}"
        self.progress.say(f"interrupted: finishing {counted(len(self.active), 'output')}; interrupt again to stop now")

    def _stop_now(self) -> None:
        self.carrier.drop_all()
        self.result.stopped = "interrupted twice: stopped at once; receipts of whole outputs are kept for the next run"


def _bar_of(group: Group) -> str:
    """Return which progress bar an output counts in: a bar per year, or per product without one."""
    return str(group.year or group.product)


def _commits_itself(group: Group) -> bool:
    product = product_named(group.request.product)
    return isinstance(product, DriverProduct) and product.commits_itself


def _same(made: Made) -> Made:
    return made


def _raised(error: Exception) -> Made:
    raise error
