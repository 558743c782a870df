"""Ctrl-C once: finish what runs, then stop. Twice: stop now."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from geomob_dask import ending
from geomob_dask.runs.watchdog import waits


class StopNow(ending.Interrupted):
    """The second interrupt."""


class Interrupts:
    """The number of requests to stop the run.

    Attributes
    ----------
    count : int
    at_once : bool
        Whether this process itself computes: then the first request is reported at once, and the second one breaks
        into what is computed. Otherwise it breaks into waiting for the cluster, and into nothing else.
    """

    def __init__(self) -> None:
        self.count = 0
        self.at_once = False

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self.count = max(self.count, 1) if number == signal.SIGTERM else self.count + 1
        if self.count > 1 and (self.at_once or waits(frame)):
            raise StopNow
        if self.at_once:
            ending.say("interrupted: finishing what runs; interrupt again to stop now")

    @contextlib.contextmanager
    def caught(self) -> Iterator["Interrupts"]:
        """Count SIGINT and SIGTERM instead of ending the process; in the main thread only, others get none."""
        with ending.handled(self._asked):
            yield self
