"""What tests wait for, and ports that nobody uses."""

import socket
import time
from collections.abc import Callable


def await_that(true: Callable[[], object], seconds: float = 120.0, told: Callable[[], object] = str) -> None:
    """Wait until something is true; fail after so many seconds, with what ``told`` then returns."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, told()
        time.sleep(0.1)


def free_port() -> int:
    """Return a port of this machine that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
