"""A scheduler that already runs."""

import contextlib
from collections.abc import Iterator

import dask
import distributed

from geomob_dask.clusters.closing import closed_at_the_end
from geomob_dask.clusters.dask_settings import patient_settings, tell_differences
from geomob_dask.clusters.described import waits_line
from geomob_dask.clusters.joining import joined
from geomob_dask.clusters.security import security_of, tls_line
from geomob_dask.clusters.workers import same_package_everywhere
from geomob_dask.errors import SettingsError
from geomob_dask.messages import one_line, tell
from geomob_dask.runs.other_thread import in_other_thread
from geomob_dask.runs.watchdog import watched
from geomob_dask.sections import AddressSection

# Seconds for a scheduler to say how large its cluster is, for a plan.
_ASKED = 5.0


def threads(section: AddressSection) -> int | None:
    """Return the number of threads of all workers; None if the scheduler does not tell."""
    try:
        with (
            security_of(section) as security,
            joined(section.address, min(section.timeout, _ASKED), security, set_as_default=False) as client,
        ):
            found: dict[str, int] = in_other_thread(client.nthreads, _ASKED)
            return sum(found.values())
    except (OSError, TimeoutError):
        return None


@contextlib.contextmanager
def opened(section: AddressSection) -> Iterator[distributed.Client]:
    """Yield a client of the scheduler at the address."""
    with security_of(section) as security, _joined(section, security) as client:
        yield client


def effective(section: AddressSection) -> list[str]:
    """Return what `--dry-run` prints of the section; nobody is asked."""
    return [
        f"scheduler: {section.address}, which already runs with its workers; its answer within {section.timeout:g} s",
        tls_line(section),
        waits_line(section),
    ]


@contextlib.contextmanager
def _joined(section: AddressSection, security: distributed.Security | None) -> Iterator[distributed.Client]:
    try:
        client = joined(section.address, section.timeout, security)
    except ConnectionError as error:
        raise SettingsError(
            f"{section.where}: address {section.address}: no answer ({one_line(error)}); expected a running Dask "
            "scheduler (GEOMOB_ADDRESS wins over the file)"
        ) from error
    with closed_at_the_end(client), watched(client, section, tell), dask.config.set(patient_settings(section)):
        same_package_everywhere(client, section.patience, section.timeout)
        tell_differences(client, section, f"cluster {section.address}", section.timeout)
        yield client
