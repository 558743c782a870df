"""Compute a lazy frame at once, on a cluster or in this process, with a bar for each stage."""

from typing import Any

import distributed
from rich.console import Console

from geomob_dask.errors import GeomobError, RunError
from geomob_dask.frames.stages import computed_by_stage
from geomob_dask.runs.progress import Progress
from geomob_dask.runs.retries import reason_of


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
    ClusterLostError
        If the connection to the scheduler was lost.
    RunError
        If a worker died repeatedly with a task.
    """
    with Progress(console) as progress:
        try:
            return computed_by_stage(frame, client, progress.stages)
        except GeomobError:
            raise
        except distributed.KilledWorker as error:
            raise RunError(reason_of(error)) from error
