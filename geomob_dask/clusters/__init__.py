"""Bring up or join the cluster that the settings name; nothing else is known here.

The module of a kind of cluster has three functions of its section: `opened`, a context that yields a client (None where
tasks run in this process), `threads`, how many it has (None if that is not known before), and `effective`, what
`--dry-run` prints of it.
"""

import contextlib
import importlib
from collections.abc import Iterator
from types import ModuleType

import distributed

from geomob_dask.clusters import page
from geomob_dask.messages import without_passwords
from geomob_dask.sections import LocalSection, Section
from geomob_dask.settings import Settings

# The module of each kind; it is imported when its kind is used, since it may need a library that is an extra.
_MODULES = {
    "local": "local",
    "address": "address",
    "serial": "serial",
    "ssh": "ssh",
    "kubernetes": "kubernetes",
    "gateway": "gateway",
} | dict.fromkeys(("slurm", "pbs", "lsf", "sge", "htcondor"), "queue")
# Kinds whose scheduler another process starts: it has not loaded the page of the dashboard.
_OF_OTHERS = ("address", "gateway")


@contextlib.contextmanager
def connect(settings: Settings, *, small: bool = False) -> Iterator[distributed.Client | None]:
    """Yield a client of the cluster that the settings name, None where tasks run in this process.

    Parameters
    ----------
    settings : Settings
    small : bool
        Whether the work takes less time than worker processes need to start: this machine then does without them.

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
    section = sized(settings.section, small)
    with page.shown(settings), _module_of(section).opened(section) as client:
        if section.kind in _OF_OTHERS:
            page.offered(client)
        yield client


def sized(section: Section, small: bool) -> Section:
    """Return a section whose choice between processes and threads is made, for work that is small or not."""
    if isinstance(section, LocalSection) and section.processes == "auto":
        return section.model_copy(update={"processes": not small})
    return section


def threads_of(settings: Settings) -> int | None:
    """Return the number of threads of the cluster that the settings name; None if it is not known."""
    section = settings.section
    found: int | None = _module_of(section).threads(section)
    return found


def effective(settings: Settings, *, small: bool = False) -> list[str]:
    """Return the effective configuration of the cluster that the settings name, as text; nothing is started.

    Parameters
    ----------
    settings : Settings
    small : bool
        See `connect`.

    Raises
    ------
    SettingsError
        If the section cannot work: a library or a file is missing, or does not do.
    """
    section = sized(settings.section, small)
    lines: list[str] = _module_of(section).effective(section)
    return [
        f"cluster: {settings.cluster}, of the kind {section.kind}",
        *(f"  {without_passwords(line)}" for line in lines),
    ]


def _module_of(section: Section) -> ModuleType:
    return importlib.import_module(f"geomob_dask.clusters.{_MODULES[section.kind]}")
