"""Compute a lazy frame and count its tasks by stage: by the name of their function, as the dashboard shows them."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import distributed
from dask.callbacks import Callback

from geomob_dask.frames.futures import ATTEMPTS, connected, lost

_POLL = 0.25

# Tasks done and all tasks, by stage.
Counts = Mapping[str, tuple[int, int]]


def computed_by_stage(frame: Any, client: distributed.Client | None, show: Callable[[Counts], None]) -> Any:
    """Return a lazy frame in memory.

    Parameters
    ----------
    frame : Dask DataFrame or GeoDataFrame
    client : distributed.Client, optional
        Without one, partitions are computed in this process, one after the other.
    show : callable
        Called with the counts now and then.
    """
    return _in_process(frame, show) if client is None else _on_cluster(frame, client, show)


def _in_process(frame: Any, show: Callable[[Counts], None]) -> Any:
    done: Counter[str] = Counter()
    total: Counter[str] = Counter()

    def start(graph: Any) -> None:
        total.update(_stage(key) for key in graph)
        show({stage: (0, total[stage]) for stage in total})

    def finished(key: Any, *_: Any) -> None:
        stage = _stage(key)
        done[stage] += 1
        show({stage: (done[stage], total[stage])})

    with Callback(start=start, posttask=finished):
        return frame.compute(scheduler="synchronous")


def _stage(key: Any) -> str:
    return str(key[0] if isinstance(key, tuple) else key).rsplit("-", 1)[0]


def _on_cluster(frame: Any, client: distributed.Client, show: Callable[[Counts], None]) -> Any:
    frame = frame.optimize()
    names = sorted({key[0] for key in frame.__dask_graph__() if isinstance(key, tuple)})
    for _ in range(ATTEMPTS):
        with connected(client):
            future = client.compute(frame)
            try:
                while future.status == "pending":
                    show(client.run_on_scheduler(stages_of, names=names))
                    time.sleep(_POLL)
                return future.result()
            except BaseException:
                if client.status == "running":
                    client.cancel([future])
                raise
    raise lost(client, f"the scheduler was lost {ATTEMPTS} times")


def stages_of(dask_scheduler: distributed.Scheduler, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the counts of the task groups of these names; runs on the scheduler."""
    counts: dict[str, tuple[int, int]] = {}
    for name in names:
        group = dask_scheduler.task_groups.get(name)
        if group is not None:
            done, total = counts.get(_stage(name), (0, 0))
            finished = group.states["memory"] + group.states["released"] + group.states["forgotten"]
            counts[_stage(name)] = (done + finished, total + len(group) + group.states["forgotten"])
    return counts
