"""No cluster: every task in turn, in this process."""

import contextlib
from collections.abc import Iterator

import dask

from geomob_dask.sections import SerialSection


def threads(section: SerialSection) -> int:
    """Return 1."""
    return 1


@contextlib.contextmanager
def opened(section: SerialSection) -> Iterator[None]:
    """Yield None; meanwhile Dask computes in this thread."""
    with dask.config.set(scheduler="synchronous"):
        yield None


def effective(section: SerialSection) -> list[str]:
    """Return what `--dry-run` prints of the section."""
    return ["workers: none, every task in turn in this process"]
