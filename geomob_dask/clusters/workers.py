"""The workers of a cluster that another process started: they must have this package, at this version."""

import contextlib
import time
import warnings
from collections.abc import Iterator
from contextvars import ContextVar

import distributed
from distributed.versions import VersionMismatchWarning

import geomob_dask
from geomob_dask.errors import RunError, SettingsError
from geomob_dask.messages import tell
from geomob_dask.runs.other_thread import in_other_thread
from geomob_dask.runs.watchdog import Trouble
from geomob_dask.sections import GatewaySection
from geomob_dask.sections.shared import RemoteWorkers, WorkerOptions

_LOOK_AGAIN = 0.5
IMPORTS = 420 * 2**20
"""Bytes that a worker process holds once it has imported what outputs need: 410 MiB measured."""
_ANY_VERSION = ContextVar("any version", default=False)


@contextlib.contextmanager
def of_any_version() -> Iterator[None]:
    """Join clusters whose workers have other versions of this package, or none: to find out which."""
    token = _ANY_VERSION.set(True)
    try:
        with warnings.catch_warnings():
            # Dask's own table of what differs.
            warnings.simplefilter("ignore", VersionMismatchWarning)
            yield
    finally:
        _ANY_VERSION.reset(token)


def enough_memory(
    section: WorkerOptions, limit: int, given: str, more: str = "fewer workers have more memory each"
) -> None:
    """Refuse workers that the imports fill: they are restarted, or start no task, forever.

    Parameters
    ----------
    section : section of cluster.yaml
    limit : int
        Bytes of a worker.
    given : str
        What the section says of it, for the message.
    more : str
        What the message says last.

    Raises
    ------
    SettingsError
        If it does not suffice.
    """
    share = min(section.pause, section.terminate)
    if limit * share < IMPORTS:
        raise SettingsError(
            f"{section.where}: {given}: found {max(limit, 0) / 2**20:,.0f} MiB for a worker, expected at least "
            f"{IMPORTS / share / 2**20:,.0f} MiB: imports take {IMPORTS >> 20} MiB, and no task starts above "
            f"{share:.0%} of the limit; {more}"
        )


def none_left(section: RemoteWorkers | GatewaySection) -> Trouble:
    """Return that no worker is left: what started them starts others, which may take as long as the first."""
    return Trouble("none", "no worker is left", "for another", "starts", section.starts)


def same_package_everywhere(client: distributed.Client, patience: float, timeout: float) -> None:
    """Refuse workers without this package, or with another version of it: results would differ in silence.

    Parameters
    ----------
    patience : float
        Seconds to wait for a first worker.
    timeout : float
        Seconds to wait for the versions.

    Raises
    ------
    SettingsError
        Naming the worker that lacks the package, or has another version.
    RunError
        If no worker comes.
    """
    where = f"cluster {client.scheduler.address}"
    await_worker(client, where, patience)
    if _ANY_VERSION.get():
        return
    try:
        found = in_other_thread(lambda: client.run(_package_version, on_error="return"), timeout)
    except TimeoutError:
        tell(f"{where}: not all workers told their version within {timeout:g} s; going on without")
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


def await_worker(client: distributed.Client, where: str, patience: float) -> None:
    """Wait until a worker is there; say so once."""
    end, told = time.monotonic() + patience, False
    while not any_worker(client, where, patience):
        if not told:
            tell(f"{where}: no worker yet; waiting up to {patience:g} s for one")
            told = True
        if time.monotonic() > end:
            raise RunError(f"{where}: has no workers, for {patience:g} s; expected at least one")
        time.sleep(_LOOK_AGAIN)


def any_worker(client: distributed.Client, where: str, seconds: float) -> bool:
    """Return whether the scheduler knows a worker.

    Raises
    ------
    RunError
        If it does not answer in time.
    """
    try:
        return bool(in_other_thread(lambda: client.scheduler_info(n_workers=-1)["workers"], seconds))
    except TimeoutError as error:
        raise RunError(f"{where}: the scheduler does not answer within {seconds:g} s") from error


def _package_version() -> str:
    return geomob_dask.__version__
