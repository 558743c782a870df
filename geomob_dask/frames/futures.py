"""Named futures, for work that is no function of the partitions of a frame.

A mobility study is one table of units that every task needs whole; its tasks differ by model, fold and settings. There
are no partitions to map over, and results must be kept as they arrive, so that a run that is broken off goes on where
it was. So tasks are submitted one by one: the table is sent to all workers once, and the dashboard shows each task by
its stage. Without a client they run in this process, one after the other.
"""

from __future__ import annotations

import contextlib
import uuid
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import distributed
from distributed.comm import CommClosedError

from geomob_dask.errors import ClusterLostError, GeomobError, InputError, RunError

# How often the data is sent again after all workers that held it were lost.
ATTEMPTS = 5
MORE_MEMORY = "expected a worker with more memory (memory_limit in cluster.yaml), or fewer threads per worker"


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
        If the connection to the scheduler was lost.
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
        # What is left was cancelled: the shared values were lost with the last worker that held them.
    if left:
        stage, name = next(iter(left))
        raise RunError(
            f"{stage} {name}: {len(left)} tasks lost their data {ATTEMPTS} times; expected workers that stay alive"
        )


def lost(client: distributed.Client, why: str = "the connection to the scheduler is lost") -> ClusterLostError:
    """Return the error of a cluster that does not go on; it names the address."""
    where = "" if client.scheduler is None else f"cluster {client.scheduler.address}: "
    return ClusterLostError(f"{where}{why}")


@contextlib.contextmanager
def connected(client: distributed.Client) -> Iterator[None]:
    """Raise ClusterLostError in place of what a client raises, or does not, whose scheduler is lost."""
    try:
        yield
    except GeomobError:
        raise
    except (Exception, CancelledError) as error:
        if client.status == "running" and not isinstance(error, CommClosedError):
            raise
        raise lost(client) from error
    if client.status != "running":
        raise lost(client)


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
    # On every worker: a copy that is on one of them only is lost with it.
    sent = client.scatter(list(shared), broadcast=True, hash=False)
    firsts: dict[tuple[str, str], distributed.Future] = {}
    futures = {}
    for call in calls:
        first = call.first
        if first is not None and first.key not in firsts:
            firsts[first.key] = _submit(first, sent, client, token)
        futures[_submit(call, sent if first is None else [firsts[first.key]], client, token)] = call
    return futures


def _submit(call: Call, values: Sequence[Any], client: distributed.Client, token: str) -> distributed.Future:
    key = (f"{call.stage}-{token}", call.name)
    return client.submit(call.function, *values, *call.arguments, key=key, pure=False)


def _explained(call: Call, error: BaseException | None) -> BaseException:
    if isinstance(error, GeomobError):
        return error
    if isinstance(error, distributed.KilledWorker):
        return RunError(f"{call.stage} {call.name}: the worker died with this task several times; {MORE_MEMORY}")
    return RunError(f"{call.stage} {call.name}: {type(error).__name__}: {error}")
