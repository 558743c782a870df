"""Compute a lazy frame at once, on a cluster or in this process, with a bar for each stage."""

import time
from collections import Counter
from typing import Any

import distributed
from dask.callbacks import Callback
from distributed.comm import CommClosedError
from rich.console import Console

from geomob_dask.errors import GeomobError, RunError
from geomob_dask.runs.carriers import stages_of
from geomob_dask.runs.progress import Progress
from geomob_dask.runs.retries import reason_of

_POLL = 0.25


def computed(frame: Any, client: distributed.Client | None, console: Console) -> Any:
    """Return a lazy frame in memory.

    Parameters
    ----------
    frame : Dask DataFrame or GeoDataFrame
    client : distributed.Client, optional
        Without one, partitions are computed in this process, one after the other.

    Raises
    ------
    GeomobError
        As raised by a task.
    RunError
        If a worker died repeatedly with a task, or the connection to the scheduler was lost.
    """
    with Progress(console) as progress:
        try:
            return _in_process(frame, progress) if client is None else _on_cluster(frame, client, progress)
        except GeomobError:
            raise
        except distributed.KilledWorker as error:
            raise RunError(reason_of(error)) from error
        except (CommClosedError, TimeoutError) as error:
            raise RunError(f"lost the connection to the scheduler ({error}); the store is as it was before") from error


def _in_process(frame: Any, progress: Progress) -> Any:
    done: Counter[str] = Counter()
    total: Counter[str] = Counter()

    def show() -> None:
        progress.stages({stage: (done[stage], total[stage]) for stage in total})

    def start(graph: Any) -> None:
        total.update(_stage(key) for key in graph)
        show()

    def finished(key: Any, *_: Any) -> None:
        done[_stage(key)] += 1
        show()

    with Callback(start=start, posttask=finished):
        return frame.compute(scheduler="synchronous")


def _stage(key: Any) -> str:
    return str(key[0] if isinstance(key, tuple) else key).rsplit("-", 1)[0]


def _on_cluster(frame: Any, client: distributed.Client, progress: Progress) -> Any:
    frame = frame.optimize()
    names = sorted({key[0] for key in frame.__dask_graph__() if isinstance(key, tuple)})
    future = client.compute(frame)
    try:
        while future.status == "pending":
            progress.stages(client.run_on_scheduler(stages_of, names=names))
            time.sleep(_POLL)
        return future.result()
    except BaseException:
        client.cancel([future])
        raise
