"""Named futures, for work that is no function of the partitions of a frame.

A mobility study is one table of units that every task needs whole; its tasks differ by model, fold and settings. There
are no partitions to map over, and results must be kept as they arrive, so that a run that is broken off goes on where
it was. So tasks are submitted one by one: the table is sent to all workers once, and the dashboard shows each task by
its stage. Without a client they run in this process, one after the other.
"""

from __future__ import annotations

import contextlib
import time
import uuid
import warnings
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import distributed
from distributed import CancelledError as DaskCancelledError
from distributed.comm import CommClosedError

from geomob_dask.errors import ClusterLostError, GeomobError, InputError, RunError
from geomob_dask.frames.deaths import death_of

# How often tasks are submitted that are lost with their scheduler.
ATTEMPTS = 5
_LOOK_AGAIN = 0.2


@dataclass(frozen=True)
class Call:
    """A function call to be made by a worker.

    Parameters
    ----------
    stage : str
        Name of its group in the dashboard.
    name : str
        Its own name, unique in the stage; errors show it.
    function : callable
        Takes the shared values, or the result of `first`, and then `arguments`.
    arguments : tuple
        Small plain values.
    first : Call, optional
        A call whose result it needs; computed once for all calls that share it.
    """

    stage: str
    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    first: Call | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Return what distinguishes it from other calls."""
        return self.stage, self.name


def check_client(client: Any) -> None:
    """Refuse a client that cannot be waited for.

    Raises
    ------
    InputError
        If it is asynchronous.
    """
    if client is not None and client.asynchronous:
        raise InputError(
            "client: found an asynchronous client; expected a synchronous one, distributed.Client(address), or None to "
            "compute in this process"
        )


def completed(
    calls: Sequence[Call], shared: Sequence[Any], client: distributed.Client | None
) -> Iterator[tuple[Call, Any]]:
    """Yield calls with their results as they finish.

    Parameters
    ----------
    calls : sequence of Call
    shared : sequence
        Values that all calls take first. Each worker gets one copy.
    client : Client, optional
        None: in this process, in the order given.

    Raises
    ------
    GeomobError
        As raised by a call.
    InputError
        If the client is asynchronous.
    ClusterLostError
        If the scheduler was lost, and did not come back.
    RunError
        If a call failed otherwise, or its worker died repeatedly; it names the call.
    """
    if client is None:
        yield from _in_process(calls, shared)
        return
    check_client(client)
    left = {call.key: call for call in calls}
    for _ in range(ATTEMPTS):
        if not left:
            return
        with connected(client):
            futures = _submitted(list(left.values()), shared, client)
            try:
                for future, result in distributed.as_completed(futures, with_results=True, raise_errors=False):
                    call = futures[future]
                    if future.status == "finished":
                        del left[call.key]
                        # The result is here: no loss of a worker takes it away.
                        future.release()
                        yield call, result
                    elif future.status == "error":
                        raise _explained(call, future.exception())
            finally:
                if client.status == "running":
                    client.cancel(list(futures))
        # What is left was cancelled: it was lost with the scheduler.
    if left:
        stage, name = next(iter(left))
        raise lost(client, f"{stage} {name}: the scheduler lost {len(left)} tasks, {ATTEMPTS} times")


def lost(client: distributed.Client, why: str = "the connection to the scheduler is lost") -> ClusterLostError:
    """Return the error of a cluster that does not go on; it names the address."""
    where = "" if client.scheduler is None else f"cluster {client.scheduler.address}: "
    return ClusterLostError(f"{where}{why}")


@contextlib.contextmanager
def connected(client: distributed.Client) -> Iterator[None]:
    """Leave a block whose tasks were lost with their scheduler, which is there again: they are to be submitted again.

    Raises
    ------
    ClusterLostError
        In place of what a client raises, or does not, whose scheduler does not come back.
    """
    try:
        yield
    except GeomobError:
        raise
    except (Exception, CancelledError) as error:
        if client.status == "running" and not isinstance(error, (CommClosedError, CancelledError, DaskCancelledError)):
            raise
        if not came_back(client):
            raise lost(client) from error
    if not came_back(client):
        raise lost(client)


def came_back(client: distributed.Client) -> bool:
    """Return whether a client has its scheduler; wait while it looks for it."""
    while client.status == "connecting":
        time.sleep(_LOOK_AGAIN)
    return bool(client.status == "running")


def _in_process(calls: Sequence[Call], shared: Sequence[Any]) -> Iterator[tuple[Call, Any]]:
    made: tuple[tuple[str, str], Any] | None = None
    for call in calls:
        if call.first is None:
            yield call, call.function(*shared, *call.arguments)
            continue
        # Only the last one is kept: calls that share one follow each other.
        if made is None or made[0] != call.first.key:
            made = call.first.key, call.first.function(*shared, *call.first.arguments)
        yield call, call.function(made[1], *call.arguments)


def _submitted(
    calls: Sequence[Call], shared: Sequence[Any], client: distributed.Client
) -> dict[distributed.Future, Call]:
    token = uuid.uuid4().hex
    sent = sent_once(shared, client, token)
    firsts: dict[tuple[str, str], distributed.Future] = {}
    futures = {}
    for call in calls:
        first = call.first
        if first is not None and first.key not in firsts:
            firsts[first.key] = _submit(first, sent, client, token)
        futures[_submit(call, sent if first is None else [firsts[first.key]], client, token)] = call
    return futures


def sent_once(values: Sequence[Any], client: distributed.Client, token: str) -> list[distributed.Future]:
    """Return values as the results of tasks, from which workers fetch them as they need them.

    What is scattered is lost with the workers that held it, and with it the count of the deaths that a task has caused:
    one that kills its workers was tried for ever. A broadcast never ends where a worker is lost, or out of reach.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s)Sending large graph", category=UserWarning)
        return [
            client.submit(_itself, value, key=(f"shared-{token}", str(number)), pure=False)
            for number, value in enumerate(values)
        ]


def _itself(value: Any) -> Any:
    return value


def _submit(call: Call, values: Sequence[Any], client: distributed.Client, token: str) -> distributed.Future:
    key = (f"{call.stage}-{token}", call.name)
    return client.submit(call.function, *values, *call.arguments, key=key, pure=False)


def _explained(call: Call, error: BaseException | None) -> BaseException:
    if isinstance(error, GeomobError):
        return error
    if isinstance(error, distributed.KilledWorker):
        return RunError(f"{call.stage} {call.name}: {death_of(error)}")
    return RunError(f"{call.stage} {call.name}: {type(error).__name__}: {error}")
