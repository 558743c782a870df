"""What is known of workers that died, for the message that names the task with which they did."""

from __future__ import annotations

import threading

import distributed
from dask.utils import format_bytes

from geomob_dask.messages import counted

_MORE_MEMORY = "expected a worker with more memory (memory_limit in cluster.yaml), or fewer threads per worker"

# Bytes that workers held when their nannies ended them, by address: noted by who looks after the cluster.
_HELD: dict[str, int] = {}
_NOTED = threading.Condition()
# Seconds by which the nanny's word may come after the death.
_LATER = 1.0


def note_full(worker: str, held: int) -> None:
    """Remember that a worker was ended for the memory that it held."""
    with _NOTED:
        _HELD[worker] = held
        _NOTED.notify_all()


def death_of(error: distributed.KilledWorker) -> str:
    """Return how a task failed whose workers died with it, and what would help."""
    worker = error.last_worker
    limit = f"memory_limit {format_bytes(worker.memory_limit)}" if worker.memory_limit else "no memory_limit"
    with _NOTED:
        _NOTED.wait_for(lambda: worker.address in _HELD, _LATER)
        held = _HELD.get(worker.address)
    memory = limit if held is None else f"which held {format_bytes(held)}; {limit}"
    times = counted(error.allowed_failures + 1, "time")
    return f"the worker died with this task, {times} (last {worker.address}, {memory}); {_MORE_MEMORY}"
