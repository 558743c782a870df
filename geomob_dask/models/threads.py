"""One thread for linear algebra, so that sums have the same bits in the driver and on workers."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


@functools.cache
def _controller() -> ThreadpoolController:
    # Finding the libraries takes longer than most fits.
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which linear algebra uses one thread."""
    limited: AbstractContextManager[Any] = _controller().limit(limits=1)
    return limited
