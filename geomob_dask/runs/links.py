"""Links cut between two workers that the scheduler both sees: found, and mended by closing one of the two.

Dask has a worker fetch data again and again from another that it cannot reach, for ever, and the other keeps the data.
So a worker whose tasks wait for data and do not move is asked to connect to those that it waits for. If it cannot,
twice in a row, while both send signs of life to the scheduler, the link is cut: one of them is closed, with its nanny,
and what it held is computed again elsewhere.
"""

import asyncio
import uuid
from asyncio import CancelledError
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import distributed
from distributed.comm import connect
from distributed.comm.addressing import get_address_host

# Looks for which nothing of a worker may change before it is asked.
_STILL = 3
# Seconds for which it tries to connect; longer than a slow link takes.
_CONNECT = 10.0
# Workers asked at once, and others that each of them tries to reach: with more, the next question finds the rest.
_ASKED, _TRIED = 50, 8
# Examinations in a row that must find the same link cut.
_TWICE = 2
# Workers that are closed for the link between the same two hosts: where they come back, it is not mended by that.
_CLOSED = 3
_FETCHING = ("fetch", "flight", "missing")
_MOVING = ("executing", "memory", "ready", *_FETCHING)


@dataclass(frozen=True)
class Cut:
    """A link that is cut, by the addresses of both workers, and one of the tasks whose data do not arrive."""

    waiting: str
    holding: str
    task: str = field(compare=False)

    @property
    def hosts(self) -> frozenset[str]:
        """Return the two hosts."""
        return frozenset({get_address_host(self.waiting), get_address_host(self.holding)})

    def __str__(self) -> str:
        task = f" for {self.task}" if self.task else ""
        return f"worker {self.waiting} cannot reach worker {self.holding}{task}, and the scheduler sees both"


async def unreachable(dask_worker: distributed.Worker, seconds: float) -> dict[str, str]:
    """Return the workers that this one waits for and cannot connect to, with a task whose data they hold each."""
    wanted: dict[str, str] = {}
    for address, keys in dask_worker.state.in_flight_workers.items():
        wanted[address] = str(next(iter(keys), ""))
    for address in (*dask_worker.rpc._connecting, *(one for one, open_ in dask_worker.rpc.occupied.items() if open_)):
        wanted.setdefault(address, "")
    wanted.pop(dask_worker.scheduler.address, None)
    tried = list(wanted)[:_TRIED]
    there = await asyncio.gather(*(_connects(dask_worker, address, seconds) for address in tried))
    return {address: wanted[address] for address, found in zip(tried, there, strict=True) if not found}


async def _connects(worker: distributed.Worker, address: str, seconds: float) -> bool:
    try:
        comm = await asyncio.wait_for(connect(address, timeout=seconds, **worker.connection_args), seconds + 1)
    except (OSError, TimeoutError):
        return False
    comm.abort()
    return True


def to_close(cuts: Iterable[Cut], held: Mapping[str, int]) -> list[str]:
    """Return workers without which none of these links is needed: first those of most links, then of least data.

    Examples
    --------
    >>> to_close([Cut("a", "b", ""), Cut("c", "b", "")], {"a": 0, "b": 9, "c": 0})
    ['b']
    >>> to_close([Cut("a", "b", "")], {"a": 0, "b": 9})
    ['a']
    """
    left, found = set(cuts), []
    while left:
        links = Counter(end for cut in left for end in (cut.waiting, cut.holding))
        worst = min(links, key=lambda worker: (-links[worker], held.get(worker, 0), worker))
        found.append(worst)
        left = {cut for cut in left if worst not in (cut.waiting, cut.holding)}
    return found


class Links:
    """What is known of the links between the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client

    Attributes
    ----------
    hopeless : list of Cut
        Links that closing workers did not mend.
    """

    def __init__(self, client: distributed.Client) -> None:
        self._client = client
        self._moves: dict[str, tuple[Any, int]] = {}
        self._asked: Future[list[Cut]] | None = None
        self._times: Counter[Cut] = Counter()
        self._closed: Counter[frozenset[str]] = Counter()
        self.hopeless: list[Cut] = []

    def look(self, workers: Mapping[str, Any], silent: Collection[str]) -> list[str]:
        """Examine links if something seems to wait for one; return what was done, a line each, for the user.

        Parameters
        ----------
        workers : mapping of str to mapping
            As the scheduler identifies them, by address.
        silent : collection of str
            Those that have sent no sign of life lately: nothing is said of their links.
        """
        self._observe(workers)
        if self._asked is None:
            if suspects := self._suspects(workers, silent):
                self._ask(suspects)
            else:
                self._forget()
            return []
        if not self._asked.done():
            return []
        try:
            found = [cut for cut in self._asked.result() if cut.holding in workers and cut.holding not in silent]
        except (Exception, CancelledError):
            found = []
        self._asked = None
        self._times = Counter({cut: self._times[cut] + 1 for cut in found})
        if not found:
            # The next question is asked only after as many looks again.
            self._moves.clear()
        return self._mend([cut for cut in found if self._times[cut] >= _TWICE], workers)

    def stop(self) -> None:
        """Wait for no answer any more."""
        if self._asked is not None:
            self._asked.cancel()

    def _observe(self, workers: Mapping[str, Any]) -> None:
        before, self._moves = self._moves, {}
        for address, worker in workers.items():
            counts = worker.get("metrics", {}).get("task_counts", {})
            now = tuple(counts.get(state, 0) for state in _MOVING)
            known, looks = before.get(address, (None, 0))
            self._moves[address] = (now, looks + 1 if known == now else 0)

    def _suspects(self, workers: Mapping[str, Any], silent: Collection[str]) -> list[str]:
        """Return workers that wait for data and do not move; all of them, where none of the cluster moves."""
        still = [one for one, (_, looks) in self._moves.items() if looks >= _STILL and one not in silent]
        counts = {one: workers[one].get("metrics", {}).get("task_counts", {}) for one in workers}
        if len(still) == len(workers) > 1 and not any(count.get("executing") for count in counts.values()):
            return still[:_ASKED]
        return [one for one in still if any(counts[one].get(state) for state in _FETCHING)][:_ASKED]

    def _ask(self, suspects: list[str]) -> None:
        loop = self._client.loop.asyncio_loop
        self._asked = asyncio.run_coroutine_threadsafe(_examined(self._client, suspects), loop)

    def _forget(self) -> None:
        self.hopeless = []
        self._times.clear()

    def _mend(self, cuts: list[Cut], workers: Mapping[str, Any]) -> list[str]:
        self.hopeless = [cut for cut in cuts if self._closed[cut.hosts] >= _CLOSED]
        mended = [cut for cut in cuts if cut not in self.hopeless]
        held = {one: worker.get("metrics", {}).get("managed_bytes", 0) for one, worker in workers.items()}
        said = []
        for worker in to_close(mended, held):
            cut = next(cut for cut in mended if worker in (cut.waiting, cut.holding))
            self._closed[cut.hosts] += 1
            loop = self._client.loop.asyncio_loop
            asyncio.run_coroutine_threadsafe(_close(self._client, worker), loop)
            said.append(f"{cut}: the link between them is cut; {worker} is closed, others compute what it held")
        if said:
            self._times.clear()
            self._moves.clear()
        return said


async def _examined(client: distributed.Client, suspects: list[str]) -> list[Cut]:
    asked = client.run(unreachable, seconds=_CONNECT, workers=suspects, on_error="ignore")
    found = await asyncio.wait_for(asked, 3 * _CONNECT)
    return [Cut(waiting, holding, task) for waiting, others in found.items() for holding, task in others.items()]


async def _close(client: distributed.Client, worker: str) -> None:
    # Expected: the tasks that it had are not to blame.
    await client.scheduler.unregister(address=worker, stimulus_id=f"cut-link-{uuid.uuid4().hex}", expected=True)
