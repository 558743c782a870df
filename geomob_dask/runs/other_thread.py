"""Calls of Dask that have no time limit of their own, and that an interrupt is to break."""

import threading
import time
from collections.abc import Callable
from typing import Any

from geomob_dask import ending

_LOOK_AGAIN = 0.5


def in_other_thread(function: Callable[[], Any], seconds: float | None = None) -> Any:
    """Return what a function returns, or raise what it raises; the wait for it may be interrupted.

    Threads and processes that it starts get no Ctrl-C from the terminal: the driver alone decides what ends.

    Raises
    ------
    TimeoutError
        If it takes longer than these seconds.
    """
    found: list[Any] = []

    def call() -> None:
        try:
            found.extend((function(), None))
        except BaseException as error:
            found.extend((None, error))

    thread = threading.Thread(target=call, daemon=True, name="geomob-cluster")
    with ending.blocked():
        thread.start()
    end = None if seconds is None else time.monotonic() + seconds
    while thread.is_alive():
        thread.join(_LOOK_AGAIN)
        if end is not None and time.monotonic() > end and thread.is_alive():
            raise TimeoutError(f"not done within {seconds:g} s")
    value, error = found
    if error is not None:
        raise error
    return value
