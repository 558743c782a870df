"""Computation of outputs: on a cluster, as one task each or spread over it, or in this process one by one."""

import contextlib
import logging
import math
import queue
import threading
import time
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any, Protocol

import distributed
from distributed.comm import CommClosedError

from geomob_dask.errors import ClusterLostError, GeomobError, RunError
from geomob_dask.frames.futures import lost
from geomob_dask.frames.own_rows import value_of
from geomob_dask.frames.stages import stages_of
from geomob_dask.messages import one_line
from geomob_dask.runs.other_thread import in_other_thread
from geomob_dask.runs.watchdog import check, waits_of

Outcome = tuple[Hashable, Any, BaseException | None]
_LOOK_AGAIN = 2.0
_ANSWER = 10.0
# Times that a scheduler is asked that went away meanwhile.
_QUESTIONS = 3
# Bytes of inputs, as stored, that one task may hold where the memory of workers is not limited.
_ONE_TASK = 256 * 2**20
# What calls of a client raise whose scheduler is lost.
_LOST = (OSError, TimeoutError, distributed.CancelledError)


class DroppedError(RunError):
    """A task that is lost with its scheduler, or with the client's connection to it, while the cluster is there."""


class Carrier(Protocol):
    """The interface between the driver of a run and the place where outputs are computed."""

    def width(self) -> int:
        """Return the number of outputs that run at once."""
        ...

    def one_task(self) -> float:
        """Return the bytes of inputs, as stored, that a thread's share of memory holds for an output in one task."""
        ...

    def submit(self, output: Hashable, key: tuple[str, str], function: Callable[..., Any], *args: Any) -> None:
        """Have an output computed by one task."""
        ...

    def spread(self, output: Hashable, label: tuple[str, ...], build: Callable[[], Any]) -> None:
        """Have an output computed whose value is in a lazy frame of one row; `build` returns the frame."""
        ...

    def here(self, output: Hashable, function: Callable[..., Any], *args: Any) -> None:
        """Have an output computed in the driver's own process, when it next waits."""
        ...

    def stages(self) -> dict[str, tuple[int, int]]:
        """Return tasks done and in all, by stage, of the outputs that are spread over the cluster."""
        ...

    def ended(self, seconds: float) -> list[Outcome]:
        """Wait for outputs to end, so long at most; return each with its result or its error."""
        ...

    def drop_waiting(self) -> list[Hashable]:
        """Take back the outputs that have not begun; return them."""
        ...

    def drop_all(self) -> None:
        """Take everything back."""
        ...


class InThisProcess:
    """Outputs one after the other, in the driver itself."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Hashable, Callable[..., Any], tuple[Any, ...]]] = deque()

    def width(self) -> int:
        """Return 1."""
        return 1

    def one_task(self) -> float:
        """Return infinity: there is nowhere else."""
        return math.inf

    def submit(self, output: Hashable, key: tuple[str, str], function: Callable[..., Any], *args: Any) -> None:
        """Put an output in the queue."""
        self._waiting.append((output, function, args))

    def spread(self, output: Hashable, label: tuple[str, ...], build: Callable[[], Any]) -> None:
        """Put an output in the queue."""
        self.here(output, _computed, build)

    def here(self, output: Hashable, function: Callable[..., Any], *args: Any) -> None:
        """Put an output in the queue."""
        self._waiting.append((output, function, args))

    def stages(self) -> dict[str, tuple[int, int]]:
        """Return nothing: no stage is seen from outside."""
        return {}

    def ended(self, seconds: float) -> list[Outcome]:
        """Compute the next output."""
        if not self._waiting:
            time.sleep(seconds)
            return []
        output, function, args = self._waiting.popleft()
        try:
            return [(output, function(*args), None)]
        except Exception as error:
            return [(output, None, error)]

    def drop_waiting(self) -> list[Hashable]:
        """Empty the queue."""
        dropped = [output for output, _, _ in self._waiting]
        self._waiting.clear()
        return dropped

    def drop_all(self) -> None:
        """Empty the queue."""
        self._waiting.clear()


class OnCluster:
    """Outputs on the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: distributed.Client) -> None:
        self._client = client
        self._futures: dict[Hashable, distributed.Future] = {}
        self._ended: queue.SimpleQueue[Hashable] = queue.SimpleQueue()
        self._own: deque[tuple[Hashable, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._stages: dict[Hashable, frozenset[str]] = {}
        self._width, self._one_task, self._looked = 1, float(_ONE_TASK), 0.0
        # What the client logs of a lost scheduler is reported in one line.
        for name in ("distributed.client", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if client.cluster is not None:
            # Ctrl-C in a terminal goes to every process there: what runs is to be finished.
            # A worker that dies at this moment fails the call, but not what the scheduler has noted for all.
            with contextlib.suppress(CommClosedError, OSError):
                client.register_plugin(_IgnoreInterrupts())

    def width(self) -> int:
        """Return the number of threads of all workers."""
        self._look()
        return self._width

    def one_task(self) -> float:
        """Return the section's share of the least memory that a thread of the workers has."""
        self._look()
        return self._one_task

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked > _LOOK_AGAIN:
            self._check()
            threads, memory = self._asked(lambda: self._client.run_on_scheduler(_capacity))
            self._width = max(1, threads)
            self._one_task = waits_of(self._client).spread_above * memory if memory else _ONE_TASK
            self._looked = now

    def submit(self, output: Hashable, key: tuple[str, str], function: Callable[..., Any], *args: Any) -> None:
        """Submit a task."""
        future = self._asked(lambda: self._client.submit(function, *args, key=key, pure=False))
        self._futures[output] = future
        future.add_done_callback(lambda _: self._ended.put(output))

    def spread(self, output: Hashable, label: tuple[str, ...], build: Callable[[], Any]) -> None:
        """Submit the graph of an output."""
        frame = build().optimize()
        names = {key[0] for key in frame.__dask_graph__() if isinstance(key, tuple)}
        with distributed.span(*label):
            future = self._client.compute(frame)
        self._stages[output] = frozenset(names)
        self._futures[output] = future
        future.add_done_callback(lambda _: self._ended.put(output))

    def here(self, output: Hashable, function: Callable[..., Any], *args: Any) -> None:
        """Keep an output for this process."""
        self._own.append((output, function, args))

    def stages(self) -> dict[str, tuple[int, int]]:
        """Ask the scheduler for the task groups of outputs that are spread."""
        names = sorted({name for output in self._futures for name in self._stages.get(output, ())})
        if not names:
            return {}
        found: dict[str, tuple[int, int]] = self._asked(lambda: self._client.run_on_scheduler(stages_of, names=names))
        return found

    def ended(self, seconds: float) -> list[Outcome]:
        """Wait for tasks.

        Raises
        ------
        ClusterLostError
            If the scheduler does not answer any more, or no worker is left.
        """
        if self._own:
            output, function, args = self._own.popleft()
            try:
                return [(output, function(*args), None)]
            except ClusterLostError:
                raise
            except Exception as error:
                return [(output, None, error)]
        found = []
        try:
            found.append(self._ended.get(timeout=seconds))
            while True:
                found.append(self._ended.get_nowait())
        except queue.Empty:
            pass
        self._check()
        # Dask tells of the end in a thread of its own, which it cannot start where memory is short.
        found = found or list(self._futures)
        # A result that was lost with its worker is computed again.
        runs = {output for output, future in self._futures.items() if future.status in ("pending", "lost")}
        there = [one for one in dict.fromkeys(found) if one in self._futures and one not in runs]
        futures = {output: self._futures.pop(output) for output in there}
        results = self._gathered([one for one in futures.values() if one.status == "finished"])
        return [
            self._plain((output, results[one.key], None) if one.key in results else self._outcome(output, one))
            for output, one in futures.items()
        ]

    def _plain(self, outcome: Outcome) -> Outcome:
        """Return the outcome of an output that was spread as its value, not as the frame that holds it."""
        output, value, error = outcome
        if self._stages.pop(output, None) is None or error is not None:
            return outcome
        return output, value_of(value), None

    def _gathered(self, futures: list[distributed.Future]) -> dict[Any, Any]:
        """Return results by key, fetched at once; none where one of them is gone with its worker."""
        try:
            return dict(zip([one.key for one in futures], self._client.gather(futures), strict=True))
        except ClusterLostError:
            raise
        except Exception:
            return {}

    def _outcome(self, output: Hashable, future: distributed.Future) -> Outcome:
        """Return the outcome of one output: its result or its error."""
        try:
            error = future.exception()
            return (output, future.result(), None) if error is None else (output, None, error)
        except (*_LOST, CommClosedError, CancelledError):
            self._check()
            return output, None, DroppedError("its scheduler has lost the task")

    def _check(self) -> None:
        """Wait while the client looks for its scheduler, for as long as it may."""
        check(self._client)

    def drop_waiting(self) -> list[Hashable]:
        """Cancel the tasks that no worker has begun; an output that is spread has."""
        begun = {str(key) for keys in self._asked(self._executing) for key in keys}
        waiting = [
            output
            for output, future in self._futures.items()
            if output not in self._stages and str(future.key) not in begun
        ]
        self._cancel([output for output in waiting if self._futures[output].status == "pending"])
        own = [output for output, _, _ in self._own]
        self._own.clear()
        return [*own, *(output for output in waiting if output not in self._futures)]

    def _executing(self) -> list[list[Any]]:
        """Return the keys of the tasks that each worker has begun."""
        try:
            # A worker that dies at this moment does not answer.
            ask = partial(self._client.run, _executing, on_error="ignore")
            return list(in_other_thread(ask, _ANSWER).values())
        except TimeoutError:
            # Which tasks a worker that is stopped has begun is not known.
            return [[future.key for future in self._futures.values()]]

    def drop_all(self) -> None:
        """Cancel all tasks; a worker still ends what it has begun, and its receipt is kept."""
        self._own.clear()
        self._cancel(list(self._futures))

    def _cancel(self, outputs: Iterable[Hashable]) -> None:
        futures = [self._futures.pop(output) for output in outputs]
        if futures and self._client.status == "running":
            # Tasks of a scheduler that is lost run no more.
            with contextlib.suppress(*_LOST, CancelledError, ClusterLostError):
                self._client.cancel(futures)

    def _asked(self, question: Callable[[], Any]) -> Any:
        """Return an answer of the scheduler; it is asked again where it came back meanwhile.

        Raises
        ------
        ClusterLostError
            In place of what a client raises whose scheduler is lost.
        """
        for _ in range(_QUESTIONS):
            try:
                return question()
            except GeomobError:
                raise
            except (Exception, CancelledError) as error:
                if self._client.status == "running" and not isinstance(error, (*_LOST, CancelledError)):
                    raise
                self._check()
                last = error
        raise lost(self._client, f"the scheduler does not answer ({one_line(last)})") from last


def _computed(build: Callable[[], Any]) -> Any:
    return value_of(build().compute(scheduler="synchronous"))


def _capacity(dask_scheduler: distributed.Scheduler) -> tuple[int, float]:
    """Return the threads of all workers, and the least memory that one of them has; 0 where it is not limited."""
    workers = dask_scheduler.workers.values()
    each = [worker.memory_limit / worker.nthreads for worker in workers if worker.memory_limit and worker.nthreads]
    return sum(worker.nthreads for worker in workers), min(each, default=0.0)


def _executing(dask_worker: distributed.Worker) -> list[Any]:
    return [task.key for task in dask_worker.state.executing]


class _IgnoreInterrupts(distributed.WorkerPlugin):  # type: ignore[misc]
    """Have worker processes ignore SIGINT; also those that start later."""

    name = "geomob-ignore-interrupts"

    def setup(self, worker: distributed.Worker) -> None:
        import signal

        if worker.nanny and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
