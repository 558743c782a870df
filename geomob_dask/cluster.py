"""Bring up or join the cluster that the settings name; nothing else is known here.

A further kind of cluster is a section class in `settings` and a function in `_OPENERS`.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dask
import distributed

import geomob_dask
from geomob_dask.errors import GeomobError, RunError, SettingsError
from geomob_dask.settings import AddressSection, LocalSection, SerialSection, Settings


@contextlib.contextmanager
def connect(settings: Settings) -> Iterator[distributed.Client | None]:
    """Yield a client of the cluster that the settings name, None where tasks run in this process."""
    section = settings.section
    with _OPENERS[type(section)](section) as client:
        yield client


@contextlib.contextmanager
def _local(section: LocalSection) -> Iterator[distributed.Client]:
    # Another cluster on this machine has the port: the dashboard moves to a free one, and its link is printed.
    warnings.filterwarnings("ignore", message=r"(?s)Port \d+ is already in use", category=UserWarning)
    memory = {
        f"distributed.worker.memory.{name}": getattr(section, name)
        for name in ("target", "spill", "pause", "terminate")
    }
    # Freed arrays of some MiB go back to the allocator and not to the system, which would hand them out page by page.
    memory["distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_"] = 32 * 2**20
    # A small frame's shuffle costs less in tasks than peer to peer.
    with (
        dask.config.set({**memory, "dataframe.shuffle.method": "tasks"}),
        distributed.LocalCluster(
            n_workers=section.workers or dask.system.CPU_COUNT,
            threads_per_worker=section.threads_per_worker,
            memory_limit=section.memory_limit,
            local_directory=section.scratch,
            dashboard_address=section.dashboard,
            silence_logs="CRITICAL",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@contextlib.contextmanager
def _address(section: AddressSection) -> Iterator[distributed.Client]:
    try:
        client = distributed.Client(section.address, timeout=section.timeout)
    except (OSError, TimeoutError, ValueError) as error:
        raise SettingsError(
            f"cluster address {section.address}: no answer ({error}); expected a running Dask scheduler "
            "(cluster.yaml, GEOMOB_ADDRESS)"
        ) from error
    with client:
        _same_package_everywhere(client)
        yield client


@contextlib.contextmanager
def _serial(section: SerialSection) -> Iterator[None]:
    with dask.config.set(scheduler="synchronous"):
        yield None


_OPENERS: dict[type, Callable[[Any], contextlib.AbstractContextManager[distributed.Client | None]]] = {
    LocalSection: _local,
    AddressSection: _address,
    SerialSection: _serial,
}


def _same_package_everywhere(client: distributed.Client) -> None:
    """Refuse workers without this package, or with another version of it: results would differ in silence."""
    if not client.scheduler_info(n_workers=-1)["workers"]:
        raise RunError(f"cluster {client.scheduler.address}: has no workers; expected at least one")
    try:
        found = client.run(_package_version)
    except GeomobError:
        raise
    except Exception as error:
        raise SettingsError(
            f"cluster {client.scheduler.address}: its workers cannot import geomob_dask ({error}); "
            f"expected version {geomob_dask.__version__} installed there"
        ) from error
    for worker, version in found.items():
        if version != geomob_dask.__version__:
            raise SettingsError(
                f"worker {worker}: found geomob_dask {version}, expected {geomob_dask.__version__} as on this side"
            )


def _package_version() -> str:
    return geomob_dask.__version__
