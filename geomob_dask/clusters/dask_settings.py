"""Dask's own settings, of every scheduler and worker that this package starts; one place for all kinds of clusters.

A kind sets them while it starts processes here (`dask.config.set`), and hands them to processes elsewhere as variables
of their environment. A scheduler that another started can only be looked at: `differences` says what it does otherwise.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

import dask
import distributed
from dask.utils import parse_timedelta

from geomob_dask.clusters.page import page_settings
from geomob_dask.messages import tell
from geomob_dask.runs.other_thread import in_other_thread
from geomob_dask.sections import Waits
from geomob_dask.sections.shared import WorkerOptions

# Workers that may die with a task before it is named as the cause: one more than this. Fewer would blame tasks that a
# queue's wall time or a spot price met three times by chance; more would cost a worker's start each.
_FAILURES = 3
# Where another's scheduler goes beyond these, a run may wait long: its user is told. Dask's own settings do not.
_MANY_FAILURES, _LONG = 10, 600.0
# Seconds until a connection whose other side is gone is given up. Dask refuses less than 11; much less would break
# connections to processes that compute without listening while their buffers are full.
_CONNECTION = 30
# Seconds within which workers start, however busy their machine is.
STARTS = 300.0
# Bytes above which memory is taken from the system page by page.
_MMAP_THRESHOLD = 32 * 2**20
_MALLOC = "MALLOC_MMAP_THRESHOLD_"


def dask_settings(section: Waits) -> dict[str, Any]:
    """Return Dask's settings for the processes of a cluster, by their dotted names.

    Parameters
    ----------
    section : Waits
        Of any kind; shares of memory are those of a section that starts workers.
    """
    found = {
        "distributed.scheduler.allowed-failures": _FAILURES,
        # A worker that is stopped, or deaf, keeps its tasks until then; the same time ends a run of which all are.
        "distributed.scheduler.worker-ttl": f"{section.silence:g}s",
        "distributed.comm.timeouts.connect": f"{_CONNECTION}s",
        "distributed.comm.timeouts.tcp": f"{_CONNECTION}s",
        # On a busy machine a worker takes longer to start again than Dask waits before it gives its place up.
        "distributed.deploy.lost-worker-timeout": f"{max(section.patience, STARTS):g}s",
        # Freed arrays of some MiB go back to the allocator and not to the system, which hands them out page by page.
        f"distributed.nanny.pre-spawn-environ.{_MALLOC}": _MMAP_THRESHOLD,
        # A small frame's shuffle costs less in tasks than peer to peer.
        "dataframe.shuffle.method": "tasks",
        **page_settings(),
    }
    if isinstance(section, WorkerOptions):
        for name in ("target", "spill", "pause", "terminate"):
            found[f"distributed.worker.memory.{name}"] = getattr(section, name)
    return found


def death_timeout(section: Waits) -> float:
    """Return the seconds for which a worker that starts looks for its scheduler (``--death-timeout``).

    As long as the run itself waits, and a worker's start; one that never gives up holds its place in a queue after the
    driver has died. A worker that has lost its scheduler ends at once, with its nanny, whatever is set here: a kind of
    cluster starts another in its place.
    """
    return max(section.patience, STARTS)


def as_environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return Dask's settings as variables of the environment of a process.

    Examples
    --------
    >>> as_environment({"distributed.scheduler.worker-ttl": "300s"})
    {'DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL': '300s'}
    """
    found = {}
    for name, value in settings.items():
        if name.endswith(_MALLOC):
            # Dask reads names in lower case: the variable itself is what the process needs.
            found[_MALLOC] = str(value)
        else:
            found["DASK_" + name.upper().replace(".", "__").replace("-", "_")] = str(value)
    return found


def patient_settings(section: Waits) -> dict[str, str]:
    """Return Dask's settings of a client whose scheduler another started.

    A busy one may take longer to accept a connection, or to read, than Dask waits: the watchdog alone decides.
    """
    wait = f"{max(section.patience, _CONNECTION):g}s"
    return {f"distributed.comm.timeouts.{name}": wait for name in ("connect", "tcp")}


def tell_differences(client: distributed.Client, section: Waits, where: str, timeout: float) -> None:
    """Tell the user what a scheduler that another started does otherwise; see `differences`."""
    with contextlib.suppress(TimeoutError):
        for line in differences(client, section, timeout):
            tell(f"{where}: {line}")


def differences(client: distributed.Client, section: Waits, timeout: float) -> list[str]:
    """Return what a scheduler that another started does otherwise, where that matters; a line each, for the user.

    Parameters
    ----------
    timeout : float
        Seconds to wait for its answer.

    Raises
    ------
    TimeoutError
        If it does not answer in time.
    """
    failures, ttl = in_other_thread(
        lambda: [
            client.run_on_scheduler(dask.config.get, f"distributed.scheduler.{name}")
            for name in ("allowed-failures", "worker-ttl")
        ],
        timeout,
    )
    found = []
    if failures > _MANY_FAILURES:
        found.append(
            f"the scheduler tries a task that kills its workers {failures + 1} times "
            f"(distributed.scheduler.allowed-failures: {failures}); expected {_FAILURES}"
        )
    seconds = parse_timedelta(ttl) if ttl else None
    if seconds is None or seconds > max(_LONG, 2 * section.silence):
        lasts = "forever" if seconds is None else f"for {seconds:g} s"
        found.append(
            f"the scheduler leaves tasks {lasts} with a worker that does not answer (distributed.scheduler.worker-ttl: "
            f"{ttl}); expected {section.silence:g} s (silence in cluster.yaml)"
        )
    return found
