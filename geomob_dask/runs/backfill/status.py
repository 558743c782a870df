"""The status of a backfill: what of its outputs is done, running, failed, stale or to do.

From the backfill's file it is a plan, as a dry run makes it: inputs, definitions and versions are those of now. From
its name alone it is what the newest run planned, held against what the store has: inputs that changed since are not
seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from geomob_dask.errors import InputError
from geomob_dask.names import did_you_mean
from geomob_dask.products.product import ALL
from geomob_dask.runs.journal import PREFIX, Journal, RunNote, Timings, name_of
from geomob_dask.runs.planning import Plan, Standing, made_by, runs_of
from geomob_dask.store import Store, receipts
from geomob_dask.store.objects import concurrently


class State(StrEnum):
    """What has become of an output.

    As `planning.Standing`; ``running``: a run that is alive has handed it to a worker. ``to do``: none of the others.
    """

    DONE = "done"
    RUNNING = "running"
    FAILED = "failed"
    REFUSED = "refused"
    STALE = "stale"
    WHOLE = "whole"
    TODO = "to do"


_STATES = {
    Standing.DONE: State.DONE,
    Standing.STALE: State.STALE,
    Standing.WHOLE: State.WHOLE,
    Standing.FAILED: State.FAILED,
    Standing.MISSING: State.TODO,
    Standing.REFUSED: State.REFUSED,
}


@dataclass(frozen=True)
class Output:
    """One output of a backfill.

    Attributes
    ----------
    product : str
    year : int
    state : str
        Two digits, or ``all``.
    status : State
    reason : str
        Why it failed or is refused; empty otherwise.
    recorded_in : str
        Where the store keeps that reason; empty where it is of this plan alone.
    collection : str
        Where it is, or will be.
    seconds : float or None
        How long it took when it was last computed.
    size : int, bytes
        Of its inputs.
    """

    product: str
    year: int
    state: str
    status: State
    reason: str
    recorded_in: str
    collection: str
    seconds: float | None
    size: int

    @property
    def name(self) -> str:
        """Return its name in the journal."""
        return name_of(self.product, self.year, self.state)


@dataclass(frozen=True)
class Status:
    """The status of a backfill.

    Attributes
    ----------
    name : str
    outputs : tuple of Output
    runs : tuple of RunNote
        The newest first.
    planned : str
        When the newest run planned the outputs; empty where they are of a file, planned now.
    where : str
        The folder of the journal.
    """

    name: str
    outputs: tuple[Output, ...]
    runs: tuple[RunNote, ...]
    planned: str
    where: str

    @property
    def alive(self) -> list[RunNote]:
        """Return the runs that are alive."""
        return [run for run in self.runs if run.alive]

    @property
    def exit_code(self) -> int:
        """Return 0 if all outputs are done, 1 if one failed or is refused, 3 if none did and some are not done."""
        states = {output.status for output in self.outputs}
        if states & {State.FAILED, State.REFUSED}:
            return 1
        return 0 if states <= {State.DONE} and self.outputs else 3


@dataclass(frozen=True)
class _Planned:
    product: str
    year: int
    collection: str
    state: str
    standing: Standing
    size: int
    problem: str


def status_of_plan(store: Store, plan: Plan) -> Status:
    """Return the status of the outputs of a plan."""
    planned = [
        _Planned(
            group.product,
            group.year,
            group.collection,
            state,
            group.standings[place],
            group.sizes[place],
            "" if group.problem is None else str(group.problem),
        )
        for group in plan.groups
        for place, state in enumerate(group.states)
    ]
    journal = Journal(store, plan.name)
    return _status(journal, plan.name, planned, journal.failed(), "")


def status_of_name(store: Store, name: str) -> Status:
    """Return the status of what the newest run of a backfill planned.

    Raises
    ------
    InputError
        If the store knows no run of this name.
    """
    journal = Journal(store, name)
    plain = journal.plan()
    if not plain:
        known = [one for one in store.objects.folders(PREFIX) if Journal(store, one).plan()]
        raise InputError(
            f"backfill {name}: no run of this name has planned anything in store {store.url}; expected the backfill's "
            f"file, or a name: {did_you_mean(name, known)}"
        )
    failed = journal.failed()
    groups = concurrently(lambda group: list(_of_group(store, group, failed)), plain["groups"])
    return _status(journal, name, [one for group in groups for one in group], failed, str(plain.get("planned", "")))


def _of_group(store: Store, group: Mapping[str, Any], failed: set[str]) -> Iterator[_Planned]:
    """Yield the outputs of one product and year, held against what the store has now."""
    product, year, collection = str(group["product"]), int(group["year"]), str(group["collection"])
    # A plan of an earlier version names no parts: all that are there count.
    parts: Mapping[str, Sequence[str]] = group.get("parts") or ({collection: ()} if collection else {})
    runs = {name: runs_of(store.find(name)) for name in parts}
    waiting = set(receipts.names(store.objects, collection)) if collection else set()
    identities = group["identities"] or [""] * len(group["states"])
    for state, identity, size in zip(group["states"], identities, group["sizes"], strict=True):
        alone = state != ALL
        keep_others = alone or bool(group.get("keep_others"))
        made = {
            name: made_by((state,) if alone else names, runs[name], keep_others=keep_others)
            for name, names in parts.items()
        }
        if group["problem"]:
            standing = Standing.REFUSED
        elif set(made.values()) == {identity}:
            standing = Standing.DONE
        elif receipts.name_of(state, identity) in waiting:
            standing = Standing.WHOLE
        elif name_of(product, year, state) in failed:
            standing = Standing.FAILED
        else:
            standing = Standing.STALE if made[collection] else Standing.MISSING
        yield _Planned(product, year, collection, state, standing, int(size), str(group["problem"]))


def _status(journal: Journal, name: str, planned: Sequence[_Planned], noted: set[str], when: str) -> Status:
    runs = tuple(journal.runs())
    active = {output for run in runs if run.alive for output in run.running}
    timings: dict[str, Timings] = {product: journal.timings(product) for product in {one.product for one in planned}}
    failed = [name_of(one.product, one.year, one.state) for one in planned if _STATES[one.standing] is State.FAILED]
    reasons = dict(zip(failed, concurrently(journal.reason, failed), strict=True))
    outputs = []
    for one in planned:
        output = name_of(one.product, one.year, one.state)
        status = _STATES[one.standing]
        if output in active and status not in (State.DONE, State.REFUSED):
            status = State.RUNNING
        reason = one.problem
        if status is State.FAILED:
            reason = reasons[output]
        took = timings[one.product].get(str(one.year), {}).get(one.state)
        outputs.append(
            Output(
                one.product,
                one.year,
                one.state,
                status,
                reason,
                f"{journal.where}/failed/{output}.json" if reason and output in noted else "",
                one.collection,
                None if took is None else took[0],
                one.size,
            )
        )
    return Status(name, tuple(outputs), runs, when, journal.where)
