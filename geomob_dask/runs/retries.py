"""The failures that are tried again, and the number of attempts."""

from collections.abc import Sequence
from typing import Any

import distributed

from geomob_dask.errors import ConflictError, GeomobError, NewerStoreError, StoreTimeoutError
from geomob_dask.frames.deaths import death_of
from geomob_dask.messages import bounded, one_line, without_passwords

# Attempts more of a task with which several workers died: the scheduler has tried it several times itself.
_KILLED_MORE = 1
# Raised by clients of object storage without being OSErrors.
_STORAGE = ("botocore", "aiobotocore", "aiohttp", "s3fs", "fsspec")


def may_pass(error: BaseException) -> bool:
    """Return whether another attempt may succeed: a worker was lost, or storage failed; bad data stay bad."""
    if isinstance(error, (ConflictError, NewerStoreError, StoreTimeoutError)):
        return False
    if isinstance(error, distributed.KilledWorker):
        return True
    if isinstance(error, GeomobError):
        return isinstance(error, OSError)
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in _STORAGE


def reason_of(error: BaseException, states: Sequence[str] = ()) -> str:
    """Return in one line why an output failed; `states` are the names of its partitions.

    Examples
    --------
    >>> reason_of(OSError("cannot reach http://me:secret@store.example"))
    'OSError: cannot reach http://…@store.example'
    """
    if isinstance(error, distributed.KilledWorker):
        return f"{stage_of(error.task, states)}: {death_of(error)}"
    text = one_line(error)
    # Errors of libraries name addresses as they were given; the journal and pages keep the reason.
    return text if isinstance(error, GeomobError) else bounded(without_passwords(f"{type(error).__name__}: {text}"))


def stage_of(key: Any, states: Sequence[str] = ()) -> str:
    """Return stage and state of a task, as the dashboard names them.

    Examples
    --------
    >>> stage_of("('imputed-0f3a', 1)", ["18", "39"])
    'imputed of state 39'
    >>> stage_of(("exposure-2018-77ab", "39"))
    'exposure-2018 of state 39'
    """
    if isinstance(key, str) and key.startswith("("):
        stage, _, partition = key.strip("()").partition(",")
        key = (stage.strip(" '"), partition.strip(" '"))
    if not isinstance(key, tuple):
        return str(key)
    partition = str(key[1])
    if states and partition.isdigit() and int(partition) < len(states):
        partition = states[int(partition)]
    return f"{str(key[0]).rsplit('-', 1)[0]} of state {partition}"


class Budget:
    """The limits of further attempts.

    Parameters
    ----------
    of_each : int
        Attempts of one output after the first.
    of_all : int
        Attempts of all outputs together after the first: if storage is down, the run ends soon.
    wait : float
        Seconds before the first of them; each further wait is twice as long.
    """

    def __init__(self, of_each: int, of_all: int, wait: float = 1.0) -> None:
        self.of_each, self.left, self.first_wait = of_each, of_all, wait

    def wait(self, error: BaseException, attempts: int) -> float | None:
        """Return the seconds to wait before another attempt; None if there is none."""
        of_each = min(self.of_each, _KILLED_MORE) if isinstance(error, distributed.KilledWorker) else self.of_each
        if attempts > of_each or self.left <= 0 or not may_pass(error):
            return None
        self.left -= 1
        return float(self.first_wait * 2 ** (attempts - 1))
