"""Closing a client and its cluster, within a stated time."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import distributed

from geomob_dask.runs.other_thread import in_other_thread

# Attempts to end what was started elsewhere, a second apart: the network may be away for a moment just then.
_ATTEMPTS, _AGAIN = 3, 1.0
# Seconds after which a cluster that does not close is left behind.
_CLOSES = 10.0


@contextlib.contextmanager
def closed_at_the_end(client: distributed.Client) -> Iterator[None]:
    """Close a client, and its cluster if it is of this process; one that does not answer is left behind."""
    try:
        yield
    finally:
        cluster = client.cluster
        nannies = [] if cluster is None else list(cluster.workers.values())
        if isinstance(cluster, distributed.LocalCluster):
            # At the end of the process Dask would close one that is left behind once more, beside the thread that still
            # does, and print what comes of that.
            cluster.shutdown_on_close = False
        try:
            # What a connection that is lost makes of closing is nobody's concern: the run has ended.
            with contextlib.suppress(Exception):
                in_other_thread(lambda: _close(client), _CLOSES)
        finally:
            for nanny in nannies:
                # A worker that is stopped, or deaf in a long computation, does not end by itself.
                pid = getattr(nanny, "pid", None)
                if pid:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)


def tried(act: Callable[[], object], *errors: type[Exception]) -> Exception | None:
    """Act, again after an error of these classes, and return the last one; None if the act is done."""
    last: Exception | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_AGAIN)
        try:
            act()
            return None
        except errors as error:
            last = error
    return last


def _close(client: distributed.Client) -> None:
    cluster = client.cluster
    client.close(timeout=_CLOSES / 2)
    if cluster is not None:
        cluster.close(timeout=_CLOSES)
