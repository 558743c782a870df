"""The examination of a cluster and a store: what is asked, in which order, and what is made of the answers."""

import contextlib
import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import distributed

from geomob_dask.activity import doing
from geomob_dask.clusters import connect
from geomob_dask.clusters.workers import of_any_version
from geomob_dask.doctor import clocks, lifetimes, links, machines, memory, stores
from geomob_dask.doctor.asked import all_within, ask_scheduler, ask_workers
from geomob_dask.doctor.clocks import Reading
from geomob_dask.doctor.facts import clock, facts_of_machine
from geomob_dask.doctor.findings import Finding, Level, skipped, well
from geomob_dask.doctor.machines import CLIENT, SCHEDULER, Facts, address_of, named
from geomob_dask.doctor.trial import trial_of
from geomob_dask.errors import GeomobError
from geomob_dask.messages import counted, reason
from geomob_dask.runs import journal
from geomob_dask.runs.other_thread import in_other_thread
from geomob_dask.sections.quantities import seconds_of
from geomob_dask.settings import Settings
from geomob_dask.store import Store

_T = TypeVar("_T")

# Readings of each clock, and requests that a look through a store may make, as a multiple of the time of one.
_READINGS, _LOOKS = 5, 6
_LOOK_AGAIN = 0.5


@dataclass
class Examination:
    """Checks of one cluster and one store.

    Parameters
    ----------
    settings : Settings
    seconds : float
        That a machine or the store may take to answer a question.
    say : callable
        Called with the findings of each check as they are made.

    Attributes
    ----------
    findings : list of Finding
    """

    settings: Settings
    seconds: float
    say: Callable[[Sequence[Finding]], None]
    findings: list[Finding] = field(default_factory=list)

    def run(self) -> list[Finding]:
        """Make all checks; return the findings, in their order."""
        store = Store(self.settings.store, min(self.seconds, self.settings.store_timeout))
        with contextlib.ExitStack() as stack:
            with doing("starting or joining the cluster"):
                client = self._joined(stack)
            with doing("asking every machine"):
                facts = self._of_machines(client)
                readings = self._clocks(client, facts)
            with doing("trying the store"):
                self._of_store(store, client, facts, readings)
            with doing("looking through the store"):
                self._look_through(store, facts)
            if client is not None:
                self._links(client, facts)
        return self.findings

    def _note(self, findings: Sequence[Finding]) -> None:
        self.findings += findings
        self.say(findings)

    def _joined(self, stack: contextlib.ExitStack) -> distributed.Client | None:
        """Return a client of the cluster; None where there is none, or none that can be used."""
        section = self.settings.section
        try:
            stack.enter_context(of_any_version())
            client = stack.enter_context(connect(self.settings))
        except GeomobError as error:
            advice = "mend it; the checks below are of this machine alone"
            self._note([Finding("cluster", Level.WRONG, str(error), "a cluster that starts or answers", advice)])
            return None
        if client is None:
            self._note([well("cluster", "none, every task in this process: checks are of this machine alone")])
            return None
        wanted = getattr(section, "workers", None) or 1
        count = self._await_workers(client, wanted)
        text = f"{self.settings.cluster}, {counted(count, 'worker')}; scheduler {client.scheduler.address}"
        if count < wanted:
            self._note(
                [
                    Finding(
                        "cluster",
                        Level.WARNING,
                        text,
                        f"{counted(wanted, 'worker')} as the section says, within {self.seconds:g} s",
                        "look at the queue, or at the logs of what starts them; the checks below are of these",
                    )
                ]
            )
        else:
            self._note([well("cluster", text)])
        return client

    def _await_workers(self, client: distributed.Client, wanted: int) -> int:
        end = time.monotonic() + self.seconds
        while (count := len(_addresses(client))) < wanted and time.monotonic() < end:
            time.sleep(_LOOK_AGAIN)
        return count

    def _of_machines(self, client: distributed.Client | None) -> Facts:
        """Ask every machine for what it says of itself."""
        asked: dict[str, Any] = {CLIENT: facts_of_machine()()}
        if client is not None:
            scheduler = f"{SCHEDULER} {client.scheduler.address}"
            asked[scheduler] = ask_scheduler(client, facts_of_machine(), self.seconds)
            calls = {worker: facts_of_machine() for worker in _addresses(client)}
            asked |= {named(worker): found for worker, found in ask_workers(client, calls, self.seconds).items()}
        facts, found = machines.answers(asked)
        if client is not None:
            self._note(found)
        for check in (machines.versions, machines.package, machines.open_files, machines.settings_of_buckets):
            self._note(check(facts))
        self._note(machines.scratch(facts))
        return facts

    def _clocks(self, client: distributed.Client | None, facts: Facts) -> dict[str, Reading]:
        """Return how far the clock of each machine that answers is ahead of the client's."""
        if client is None:
            return {}
        readings: dict[str, list[Reading]] = {where: [] for where in facts if where != CLIENT}
        for _ in range(_READINGS):
            questions = {where: _question(client, where) for where in readings}
            for where, found in all_within(client, questions, self.seconds).items():
                if isinstance(found, Reading):
                    readings[where].append(found)
        return {where: clocks.best(found) for where, found in readings.items() if found}

    def _of_store(
        self, store: Store, client: distributed.Client | None, facts: Facts, readings: dict[str, Reading]
    ) -> None:
        """Try the store from everywhere; what is written for it is removed."""
        able = [address_of(where) for where in machines.workers(facts)]
        with trial_of(store.objects, self.seconds) as tried:
            found, sharing = stores.visible(tried, client, able, self.seconds)
            self._note(found)
            here = not any(one.level is Level.WRONG and one.where == CLIENT for one in found)
            storage = stores.clock_of_storage(tried, self.seconds) if here else None
            self._note(clocks.clocks(readings, storage))
            if not here:
                self._note([skipped(check, "the client cannot use the store") for check in ("commits", "speed")])
                return
            by_worker = {address_of(where): one for where, one in readings.items()}
            self._note(stores.one_winner(tried, client, sharing, by_worker, self.seconds))
            self._note(stores.speed(tried, client, sharing, self.seconds))

    def _look_through(self, store: Store, facts: Facts) -> None:
        """Compare what the store holds with what workers have."""
        if any(one.check == "store" and one.level is Level.WRONG and one.where == CLIENT for one in self.findings):
            self._note([skipped(check, "the client cannot use the store") for check in ("memory", "lifetime")])
            return
        largest, why = self._within(lambda: memory.largest_of(store))
        self._note([skipped("memory", why)] if why else memory.memory(facts, largest))
        if not machines.workers(facts):
            return
        longest, why = self._within(lambda: journal.longest(store))
        walltime = getattr(self.settings.section, "walltime", None)
        seconds = None if walltime is None else seconds_of(str(walltime))
        self._note([skipped("lifetime", why)] if why else lifetimes.lifetimes(facts, longest, seconds))

    def _within(self, look: Callable[[], _T]) -> tuple[_T | None, str]:
        """Return what a look through the store finds, and why it found nothing."""
        try:
            return in_other_thread(look, _LOOKS * self.seconds), ""
        except TimeoutError:
            return None, f"the store was not looked through within {_LOOKS * self.seconds:g} s"
        except GeomobError as error:
            return None, reason(error)

    def _links(self, client: distributed.Client, facts: Facts) -> None:
        section = self.settings.section
        scheduler = client.scheduler.address
        now = datetime.datetime.now(datetime.UTC)
        self._note(links.encryption(scheduler, getattr(section, "tls", None), getattr(section, "where", ""), now))
        said = facts.get(f"{SCHEDULER} {scheduler}", {})
        self._note(links.dashboard(client.dashboard_link, said.get("dashboard", ())))


def _addresses(client: distributed.Client) -> list[str]:
    return list(client.scheduler_info(n_workers=-1)["workers"])


def _question(client: distributed.Client, where: str) -> Callable[[], Any]:
    """Return a question for the clock of a machine, with the times of the client's around it."""

    async def ask() -> Reading:
        sent = time.time()
        if where.startswith(SCHEDULER):
            theirs = await client._run_on_scheduler(clock())
        else:
            worker = address_of(where)
            theirs = (await client._run(clock(), workers=[worker]))[worker]
        return clocks.reading(sent, theirs, time.time())

    return ask


def examine(settings: Settings, seconds: float, say: Callable[[Sequence[Finding]], None]) -> list[Finding]:
    """Return what is wrong with the cluster and the store of settings, and what is well.

    Parameters
    ----------
    settings : Settings
    seconds : float
        That a machine or the store may take to answer a question: what does not is a finding.
    say : callable
        Called with the findings of each check as they are made.

    Raises
    ------
    SettingsError, StoreError
        If the settings name no cluster or store; whatever is wrong with those is a finding.
    """
    return Examination(settings, seconds, say).run()
