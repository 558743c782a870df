"""Which failures are tried again, and how often."""

import distributed

from geomob_dask.errors import ConflictError, GeomobError, NewerStoreError

# Raised by clients of object storage without being OSErrors.
_STORAGE = ("botocore", "aiobotocore", "aiohttp", "s3fs", "fsspec")


def may_pass(error: BaseException) -> bool:
    """Tell whether the same may succeed later: a worker was lost, or storage did not answer; bad data stay bad."""
    if isinstance(error, (ConflictError, NewerStoreError)):
        return False
    if isinstance(error, distributed.KilledWorker):
        return True
    if isinstance(error, GeomobError):
        return isinstance(error, OSError)
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in _STORAGE


def reason_of(error: BaseException) -> str:
    """Return in one line why an output failed."""
    if isinstance(error, distributed.KilledWorker):
        return (
            f"its worker died with it several times (last on {error.last_worker.address}); expected a worker with more "
            "memory (memory_limit in cluster.yaml), or fewer threads a worker"
        )
    text = " ".join(str(error).split())
    return text if isinstance(error, GeomobError) else f"{type(error).__name__}: {text}"


class Budget:
    """How often may be tried again.

    Parameters
    ----------
    of_each : int
        Attempts of one output after the first.
    of_all : int
        Of all outputs together: where storage is out of order, a night of waiting helps nobody.
    wait : float
        Seconds before the first; each further wait is twice as long.
    """

    def __init__(self, of_each: int, of_all: int, wait: float = 1.0) -> None:
        self.of_each, self.left, self.first_wait = of_each, of_all, wait

    def wait(self, error: BaseException, attempts: int) -> float | None:
        """Return how long to wait before another attempt, in seconds; None where there is none."""
        if attempts > self.of_each or self.left <= 0 or not may_pass(error):
            return None
        self.left -= 1
        return float(self.first_wait * 2 ** (attempts - 1))
