"""Carry delayed tasks out, on a cluster or in this process, with a progress bar.

The bar counts tasks by stage, as the dashboard does; the link to the dashboard stands above it.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dask
import distributed
from dask.callbacks import Callback
from dask.delayed import Delayed
from distributed.comm import CommClosedError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from geomob_dask.errors import GeomobError, RunError
from geomob_dask.lift.tasks import Run

# How a run's tasks are carried out: their results, by name.
Carry = Callable[[Mapping[str, Delayed], Run], dict[str, Any]]
_POLL = 0.25


def compute(
    tasks: Mapping[str, Delayed],
    client: distributed.Client | None,
    console: Console,
    *,
    token: str,
    scheduler: str = "synchronous",
) -> dict[str, Any]:
    """Return the results of delayed tasks, by name.

    Parameters
    ----------
    token : str
        The run's token: tasks of this run have it in their keys, others on the same scheduler do not.
    scheduler : {"synchronous", "threads"}
        How tasks run without a client.

    Raises
    ------
    GeomobError
        As raised by a task.
    RunError
        If a task failed otherwise, or its worker died repeatedly; names stage and partition.
    """
    names, delayed = list(tasks), list(tasks.values())
    if not names:
        return {}
    with _bar(console) as progress:
        try:
            results = (
                _in_process(delayed, progress, scheduler)
                if client is None
                else _on_cluster(delayed, client, progress, token)
            )
        except GeomobError:
            raise
        except distributed.KilledWorker as error:
            stage, partition = _of(error.task)
            raise RunError(
                f"{stage} of {partition}: the worker died with this task several times "
                f"(last on {error.last_worker.address}); expected a worker with more memory "
                "(memory_limit in cluster.yaml), or fewer threads a worker"
            ) from error
        except (CommClosedError, TimeoutError) as error:
            raise RunError(f"lost the connection to the scheduler: {error}; the store is as it was before") from error
    return dict(zip(names, results, strict=True))


def on(client: distributed.Client | None, console: Console) -> Carry:
    """Return how tasks are carried out on a cluster, or in this process without one; see `compute`."""

    def carry(tasks: Mapping[str, Delayed], run: Run) -> dict[str, Any]:
        return compute(tasks, client, console, token=run.token)

    return carry


def in_this_thread(tasks: Mapping[str, Delayed], run: Run) -> dict[str, Any]:
    """Carry tasks out one after the other, without a bar: what a worker does with a whole output."""
    return dict(zip(tasks, dask.compute(*tasks.values(), scheduler="synchronous"), strict=True))


@contextlib.contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description:>28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield progress


def _in_process(delayed: list[Delayed], progress: Progress, scheduler: str) -> list[Any]:
    bar = progress.add_task("in this process", total=None)

    def start(graph: Any) -> None:
        progress.update(bar, total=len(graph))

    def finished(key: Any, *_: Any) -> None:
        progress.update(bar, advance=1, description=" ".join(_of(key)))

    with Callback(start=start, posttask=finished):
        return list(dask.compute(*delayed, scheduler=scheduler))


def _on_cluster(delayed: list[Delayed], client: distributed.Client, progress: Progress, token: str) -> list[Any]:
    futures: list[distributed.Future] = client.compute(delayed)
    bars: dict[str, Any] = {}
    try:
        while any(future.status == "pending" for future in futures):
            time.sleep(_POLL)
            _show(client, progress, bars, token)
        return list(client.gather(futures))
    except BaseException:
        client.cancel(futures)
        raise


def _show(client: distributed.Client, progress: Progress, bars: dict[str, Any], token: str) -> None:
    for stage, (done, total) in client.run_on_scheduler(_stages, token=token).items():
        if stage not in bars:
            bars[stage] = progress.add_task(stage, total=total)
        progress.update(bars[stage], completed=done, total=total)


def _stages(dask_scheduler: distributed.Scheduler, token: str) -> dict[str, tuple[int, int]]:
    """Return tasks done and in all, by stage; runs on the scheduler."""
    counts: dict[str, tuple[int, int]] = {}
    for name, group in dask_scheduler.task_groups.items():
        if token in name:
            done = group.states["memory"] + group.states["released"] + group.states["forgotten"]
            counts[name.replace(f"-{token}", "")] = (done, len(group) + group.states["forgotten"])
    return counts


def _of(key: Any) -> tuple[str, str]:
    """Return stage and partition of a task's key."""
    if isinstance(key, str) and key.startswith("('"):
        stage, partition = (part.strip(" '") for part in key.strip("()").split(",")[:2])
    elif isinstance(key, tuple):
        stage, partition = str(key[0]), str(key[1])
    else:
        return str(key), ""
    return stage.rsplit("-", 1)[0], partition
