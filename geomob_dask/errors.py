"""The only errors raised on purpose.

A message names the file, column, tract or setting, what was found and what was expected.
`exit_code` is what a job returns to the shell: 2 for bad usage or input, 1 for a run that failed.
"""

from collections.abc import Callable
from typing import Any

from geomob_dask.messages import bounded, printable, without_passwords


class GeomobError(Exception):
    """Any failure that the package can explain; its text is bounded, without control characters and passwords."""

    exit_code = 2

    def __str__(self) -> str:
        return printable(bounded(without_passwords(super().__str__())))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # OSError rewrites its arguments when it is unpickled; errors travel from workers.
        return type(self), self.args


class InputError(GeomobError, ValueError):
    """A file, table, column or key that cannot be used as it is."""


class GeometryError(InputError):
    """Polygons that are missing, invalid or in no common coordinate system."""


class CountsError(InputError):
    """Counts that no population can have: negative, or a part above its whole."""


class DefinitionError(InputError):
    """A definition (of an index, of groups, of brackets) that does not fit itself or its table."""


class SettingsError(InputError):
    """An unknown, missing or contradictory setting."""


class StoreError(GeomobError, OSError):
    """A store that cannot be read or written, or that holds something other than was asked for."""


class StoreFailedError(StoreError):
    """A store that failed while it was used: full, read-only, out of reach, or with an error of its own."""

    exit_code = 1


class StoreTimeoutError(StoreFailedError):
    """A store that did not answer in time; another attempt would wait as long."""


class NewerStoreError(StoreError):
    """A store that a newer version of this package has written."""


class ConflictError(StoreError):
    """Two runs that want different things under one name."""


class RunError(GeomobError, RuntimeError):
    """A run that started from good input and did not end."""

    exit_code = 1


class ClusterLostError(RunError):
    """A cluster whose scheduler does not answer any more, or that has no worker left."""
