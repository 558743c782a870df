"""Workers on this machine: processes, or for small work threads of this process."""

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

import dask
import distributed
from dask.utils import format_bytes
from distributed.worker_memory import parse_memory_limit

from geomob_dask.clusters.closing import closed_at_the_end
from geomob_dask.clusters.dask_settings import STARTS, dask_settings
from geomob_dask.clusters.described import waits_line, worker_lines
from geomob_dask.clusters.security import security_of
from geomob_dask.clusters.workers import enough_memory
from geomob_dask.errors import RunError, SettingsError
from geomob_dask.messages import counted, one_line, reason, shown_path, tell
from geomob_dask.models.threads import one_thread
from geomob_dask.runs.other_thread import in_other_thread
from geomob_dask.runs.watchdog import watched
from geomob_dask.sections import LocalSection

_LOOPBACK = "127.0.0.1:0"


def threads(section: LocalSection) -> int:
    """Return the number of threads of all workers."""
    return _count(section) * section.threads_per_worker


@contextlib.contextmanager
def opened(section: LocalSection) -> Iterator[distributed.Client]:
    """Yield a client of a new cluster."""
    # Another cluster on this machine has the port: the dashboard moves to a free one, and its link is printed.
    warnings.filterwarnings("ignore", message=r"(?s)Port \d+ is already in use", category=UserWarning)
    limit = memory_of(section)
    _check_places(section)
    alike = contextlib.nullcontext() if section.processes else one_thread()
    with security_of(section) as security, dask.config.set(dask_settings(section)), alike:
        try:
            if section.processes:
                # Started by a thread, it would let through there what is blocked.
                resource_tracker.ensure_running()
            client = in_other_thread(lambda: _started(section, limit, security), STARTS)
        except Exception as error:
            raise RunError(
                f"{section.title}: a worker ended while it started ({one_line(error)}); expected "
                f"{_count(section)} worker processes: run again, or set workers and memory_limit in cluster.yaml"
            ) from error
        with closed_at_the_end(client), watched(client, section, tell), dask.config.set(_link(section, client)):
            yield client


def effective(section: LocalSection) -> list[str]:
    """Return what `--dry-run` prints of the section, after the same checks as before a start."""
    limit = memory_of(section)
    memory = "0" if limit is None else format_bytes(limit)
    if section.processes:
        processes = counted(_count(section), "process", "processes")
        return [f"workers: {processes} on this machine", *worker_lines(section, memory)]
    shown = section.dashboard if _wants_dashboard(section) else "none, as cluster.yaml names no address for it"
    return [
        f"workers: {counted(threads(section), 'thread')} of this process; processes: true starts processes instead",
        f"dashboard: {shown}",
        waits_line(section),
    ]


def _link(section: LocalSection, client: distributed.Client) -> dict[str, str]:
    """Return the setting of the dashboard's link, where Dask's own would not do: threads may have none."""
    if section.processes:
        return {}
    # The scheduler has no address of its own, from which Dask would take the host.
    host, port = section.dashboard.rpartition(":")[0] or "127.0.0.1", client.cluster.scheduler.http_server.port
    return {"distributed.dashboard.link": f"http://{host}:{port}/status" if _wants_dashboard(section) else "none"}


def _wants_dashboard(section: LocalSection) -> bool:
    """Return whether the section itself names an address: loading the dashboard takes longer than small work."""
    return section.processes is not False or "dashboard" in section.model_fields_set


def _started(section: LocalSection, limit: int | None, security: distributed.Security | None) -> distributed.Client:
    if not section.processes:
        return distributed.Client(_threads(section))
    cluster = distributed.LocalCluster(
        n_workers=_count(section),
        threads_per_worker=section.threads_per_worker,
        memory_limit=limit or 0,
        local_directory=section.scratch,
        dashboard_address=section.dashboard,
        # Of scheduler, workers and nannies; the dashboard has an address of its own.
        host="127.0.0.1",
        silence_logs="CRITICAL",
        security=security,
    )
    return distributed.Client(cluster)


def _threads(section: LocalSection) -> distributed.SpecCluster:
    """Return a cluster of threads: its scheduler and worker are objects of this process, which speak in memory."""
    shown = _wants_dashboard(section)
    # Both have a page on their health, whose address would be that of all interfaces.
    alike = {"protocol": "inproc://", "dashboard_address": _LOOPBACK}
    scheduler = {**alike, "dashboard": shown} | ({"dashboard_address": section.dashboard} if shown else {})
    worker = {
        **alike,
        "dashboard": False,
        "nthreads": threads(section),
        # Nobody could restart this process: the system alone limits its memory.
        "memory_limit": 0,
        "local_directory": section.scratch,
    }
    return distributed.SpecCluster(
        scheduler={"cls": distributed.Scheduler, "options": scheduler},
        workers={0: {"cls": _Threads, "options": worker}},
        silence_logs="CRITICAL",
        name="threads",
    )


class _Threads(distributed.Worker):  # type: ignore[misc]
    """A worker in this process, which waits for no thread when it closes: none can be ended."""

    async def close(self, *args: Any, **options: Any) -> str | None:
        """Close the worker."""
        found: str | None = await super().close(*args, **(options | {"executor_wait": False}))
        return found


def _check_places(section: LocalSection) -> None:
    """Raise SettingsError if workers cannot spill where the section says, or the dashboard cannot listen there."""
    if section.scratch is not None:
        where = f"{section.where}: scratch {shown_path(section.scratch)}"
        try:
            os.makedirs(section.scratch, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"{where}: {reason(error)}; expected a folder that can be written") from error
        if not os.access(section.scratch, os.W_OK | os.X_OK):
            raise SettingsError(f"{where}: no right to write; expected a folder that can be written")
    host = section.dashboard.rpartition(":")[0].strip("[]")
    try:
        # Any free port: one that is taken is no reason, the dashboard moves to another.
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise SettingsError(
            f"{section.where}: dashboard {section.dashboard}: this machine cannot listen there ({reason(error)}); "
            "expected one of its addresses, such as 127.0.0.1:8787"
        ) from error


def _count(section: LocalSection) -> int:
    return int(section.workers or dask.system.CPU_COUNT)


def memory_of(section: LocalSection) -> int | None:
    """Return the memory of a worker in bytes, None for no limit.

    Raises
    ------
    SettingsError
        If it is no size, or the imports fill it: such workers are restarted, or start no task, forever.
    """
    logger = logging.getLogger("distributed.nanny")
    try:
        limit: int | None = parse_memory_limit(section.memory_limit, 1, _count(section), logger=logger)
    except ValueError as error:
        raise SettingsError(
            f"{section.where}: memory_limit {section.memory_limit}: {error}; expected a size, such as 4GiB, or auto"
        ) from error
    if limit is not None:
        enough_memory(section, limit, f"memory_limit {section.memory_limit}")
    return limit
