"""Bring up or join the cluster that the settings name; nothing else is known here.

A further kind of cluster is a section class in `settings` and a function in `_OPENERS`.
"""

import contextlib
import logging
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from typing import Any

import dask
import distributed
from distributed.worker_memory import parse_memory_limit

import geomob_dask
from geomob_dask.errors import RunError, SettingsError
from geomob_dask.messages import one_line, tell
from geomob_dask.runs.other_thread import in_other_thread
from geomob_dask.runs.watchdog import watched
from geomob_dask.settings import AddressSection, LocalSection, SerialSection, Settings

# MiB that a worker process holds once it has imported what outputs need: 410 measured.
_IMPORTS = 420
# Seconds within which workers of this machine start, however busy it is.
_STARTS = 300.0
# Seconds after which a cluster that does not close is left behind.
_CLOSES = 10.0
_LOOK_AGAIN = 0.5
# Seconds that Dask itself waits for a connection.
_DASK_WAITS = 30.0

Say = Callable[[str], None]
_Opened = contextlib.AbstractContextManager[distributed.Client | None]


@contextlib.contextmanager
def connect(settings: Settings) -> Iterator[distributed.Client | None]:
    """Yield a client of the cluster that the settings name, None where tasks run in this process.

    Raises
    ------
    SettingsError
        If nothing answers at the address, the workers have another version of this package or none, or their memory
        does not suffice for its imports.
    ClusterLostError
        If the scheduler does not answer any more, or no worker is left, for longer than the section's `patience`.
    RunError
        If the workers do not start.
    """
    section = settings.section
    with _OPENERS[type(section)](section) as client:
        yield client


def threads_of(settings: Settings) -> int | None:
    """Return the number of threads of the cluster that the settings name; None if its scheduler does not tell."""
    section = settings.section
    if isinstance(section, SerialSection):
        return 1
    if isinstance(section, LocalSection):
        return _count(section) * section.threads_per_worker
    try:
        with distributed.Client(section.address, timeout=min(section.timeout, 5.0), set_as_default=False) as client:
            threads: dict[str, int] = client.nthreads()
            return sum(threads.values())
    except (OSError, TimeoutError, ValueError):
        return None


@contextlib.contextmanager
def _local(section: LocalSection) -> Iterator[distributed.Client]:
    # Another cluster on this machine has the port: the dashboard moves to a free one, and its link is printed.
    warnings.filterwarnings("ignore", message=r"(?s)Port \d+ is already in use", category=UserWarning)
    limit = _memory_of(section)
    config = {
        f"distributed.worker.memory.{name}": getattr(section, name)
        for name in ("target", "spill", "pause", "terminate")
    }
    # Freed arrays of some MiB go back to the allocator and not to the system, which would hand them out page by page.
    config["distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_"] = 32 * 2**20
    # On a busy machine a worker takes longer to start again than Dask waits before it gives its place up.
    config["distributed.deploy.lost-worker-timeout"] = max(section.patience, _STARTS)
    # A small frame's shuffle costs less in tasks than peer to peer.
    with dask.config.set({**config, "dataframe.shuffle.method": "tasks"}):
        try:
            # Started by a thread, it would let through there what is blocked.
            resource_tracker.ensure_running()
            client = in_other_thread(lambda: _started(section, limit), _STARTS)
        except Exception as error:
            raise RunError(
                f"cluster local: a worker ended while it started ({one_line(error)}); expected "
                f"{_count(section)} worker processes: run again, or set workers and memory_limit in cluster.yaml"
            ) from error
        with _closed_at_the_end(client), watched(client, section, tell):
            yield client


def _started(section: LocalSection, limit: int | None) -> distributed.Client:
    cluster = distributed.LocalCluster(
        n_workers=_count(section),
        threads_per_worker=section.threads_per_worker,
        memory_limit=limit or 0,
        local_directory=section.scratch,
        dashboard_address=section.dashboard,
        # Of scheduler, workers and nannies; the dashboard has an address of its own.
        host="127.0.0.1",
        silence_logs="CRITICAL",
    )
    return distributed.Client(cluster)


def _count(section: LocalSection) -> int:
    return int(section.workers or dask.system.CPU_COUNT)


def _memory_of(section: LocalSection) -> int | None:
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
            f"cluster local: memory_limit {section.memory_limit}: {error}; expected a size, such as 4GiB, or auto"
        ) from error
    share = min(section.pause, section.terminate)
    if limit is not None and limit * share < _IMPORTS * 2**20:
        raise SettingsError(
            f"cluster local: memory_limit {section.memory_limit}: found {limit / 2**20:,.0f} MiB for a worker, "
            f"expected at least {_IMPORTS / share:,.0f} MiB: imports take {_IMPORTS} MiB, and no task starts above "
            f"{share:.0%} of the limit; fewer workers have more memory each"
        )
    return limit


@contextlib.contextmanager
def _address(section: AddressSection) -> Iterator[distributed.Client]:
    try:
        client = distributed.Client(section.address, timeout=section.timeout)
    except (OSError, TimeoutError, ValueError) as error:
        raise SettingsError(
            f"cluster address {section.address}: no answer ({error}); expected a running Dask scheduler "
            "(cluster.yaml, GEOMOB_ADDRESS)"
        ) from error
    # A busy scheduler may take longer to accept a connection, or to read, than Dask waits: the watchdog alone decides.
    wait = f"{max(section.patience, _DASK_WAITS):g}s"
    waits = {f"distributed.comm.timeouts.{name}": wait for name in ("connect", "tcp")}
    with _closed_at_the_end(client), watched(client, section, tell), dask.config.set(waits):
        _same_package_everywhere(client, section)
        yield client


@contextlib.contextmanager
def _serial(section: SerialSection) -> Iterator[None]:
    with dask.config.set(scheduler="synchronous"):
        yield None


_OPENERS: dict[type, Callable[[Any], _Opened]] = {
    LocalSection: _local,
    AddressSection: _address,
    SerialSection: _serial,
}


# Starting and closing ------------------------------------------------------------------------------


@contextlib.contextmanager
def _closed_at_the_end(client: distributed.Client) -> Iterator[None]:
    """Close a client, and its cluster if it is of this process; one that does not answer is left behind."""
    try:
        yield
    finally:
        cluster = client.cluster
        nannies = [] if cluster is None else list(cluster.workers.values())
        # What a connection that is lost makes of closing is nobody's concern: the run has ended.
        with contextlib.suppress(Exception):
            in_other_thread(lambda: _close(client), _CLOSES)
        for nanny in nannies:
            # A worker that is stopped, or deaf in a long computation, does not end by itself.
            if nanny.pid:
                with contextlib.suppress(OSError):
                    os.kill(nanny.pid, signal.SIGKILL)


def _close(client: distributed.Client) -> None:
    cluster = client.cluster
    client.close(timeout=_CLOSES / 2)
    if cluster is not None:
        cluster.close(timeout=_CLOSES)


# The workers of another's cluster ------------------------------------------------------------------


def _same_package_everywhere(client: distributed.Client, section: AddressSection) -> None:
    """Refuse workers without this package, or with another version of it: results would differ in silence."""
    where = f"cluster {client.scheduler.address}"
    _await_worker(client, where, section.patience)
    try:
        found = in_other_thread(lambda: client.run(_package_version, on_error="return"), section.timeout)
    except TimeoutError:
        tell(f"{where}: not all workers told their version within {section.timeout:g} s; going on without")
        return
    lost = {worker: answer for worker, answer in found.items() if isinstance(answer, OSError)}
    for worker, answer in found.items():
        if worker in lost:
            tell(f"{where}: worker {worker} was lost while connecting ({answer}); going on without")
        elif isinstance(answer, BaseException):
            raise SettingsError(
                f"{where}: worker {worker} cannot import geomob_dask ({answer}); expected version "
                f"{geomob_dask.__version__} installed there"
            ) from answer
        elif answer != geomob_dask.__version__:
            raise SettingsError(
                f"{where}: worker {worker}: found geomob_dask {answer}, expected {geomob_dask.__version__} as on this "
                "side"
            )


def _await_worker(client: distributed.Client, where: str, patience: float) -> None:
    end, told = time.monotonic() + patience, False
    while not client.scheduler_info(n_workers=-1)["workers"]:
        if not told:
            tell(f"{where}: no worker yet; waiting up to {patience:g} s for one")
            told = True
        if time.monotonic() > end:
            raise RunError(f"{where}: has no workers, for {patience:g} s; expected at least one")
        time.sleep(_LOOK_AGAIN)


def _package_version() -> str:
    return geomob_dask.__version__
