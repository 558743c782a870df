"""Ctrl-C once: finish what runs, then stop. Twice: stop now."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopNow(KeyboardInterrupt):
    """The second interrupt."""


class Interrupts:
    """The number of requests to stop the run.

    Attributes
    ----------
    count : int
    at_once : bool
        Whether the second request breaks into what this process computes; a cluster's work is cancelled instead.
    """

    def __init__(self) -> None:
        self.count = 0
        self.at_once = False

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self.count = max(self.count, 1) if number == signal.SIGTERM else self.count + 1
        if self.count > 1 and self.at_once:
            raise StopNow

    @contextlib.contextmanager
    def caught(self) -> Iterator["Interrupts"]:
        """Count SIGINT and SIGTERM instead of ending the process; in the main thread only, others get none."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
