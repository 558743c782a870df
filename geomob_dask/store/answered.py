"""Waits for what belongs to a cube, none of them without end or without a word.

Icechunk has no time limit for an answer: a bucket that falls silent would hold a run for ever. A call is waited for in
another thread, while the bucket itself is asked whether it still answers.
"""

import asyncio
import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, ParamSpec, Self, TypeVar

from zarr.storage import WrapperStore

from geomob_dask.errors import StoreTimeoutError
from geomob_dask.messages import tell
from geomob_dask.store.objects import Objects

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Seconds without a result before a user is told and the bucket is asked.
_NOTICE = 10.0
# A bucket that answers others and not this call is given up after so many times its time.
_TIMES = 5
_POLL = 0.05
_INSIDE = threading.local()


def answered(objects: Objects, where: str, act: Callable[[], _T]) -> _T:
    """Return what a call returns.

    Parameters
    ----------
    objects : Objects
        The store; in a folder the call is made as it is.
    where : str
        What is read or written, for messages.
    act : callable
        May make further such calls: they are waited for together.

    Raises
    ------
    StoreTimeoutError
        If the bucket does not answer meanwhile, or the call takes five times as long as a request may.
    """
    if objects.local or getattr(_INSIDE, "yes", False):
        return act()
    future: Future[_T] = Future()
    threading.Thread(target=_run, args=(future, act), name="geomob-icechunk", daemon=True).start()
    began, notice, most = time.monotonic(), min(_NOTICE, objects.timeout / 2), _TIMES * objects.timeout
    while not wait([future], notice).done:
        waited = time.monotonic() - began
        if waited > most:
            raise StoreTimeoutError(
                f"{where}: not done within {most:g} s, though the bucket answers; expected a storage service that "
                "answers every request (store_timeout)"
            )
        _say(where, waited, most)
        objects.reach()
    return future.result()


def _run(future: "Future[Any]", act: Callable[[], Any]) -> None:
    _INSIDE.yes = True
    try:
        future.set_result(act())
    except BaseException as error:
        future.set_exception(error)


def patient(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return a method of a cube whose calls of Icechunk are waited for as by `answered`."""

    @functools.wraps(method)
    def waited_for(*args: _P.args, **options: _P.kwargs) -> _T:
        cube: Any = args[0]
        return answered(cube.objects, cube.where, lambda: method(*args, **options))

    return waited_for


def lasting(ready: Callable[[], bool], whom: str, seconds: float) -> None:
    """Return when another process is ready; StoreTimeoutError if that takes longer than these seconds."""
    began, notice, told = time.monotonic(), min(_NOTICE, seconds / 2), False
    while not ready():
        waited = time.monotonic() - began
        if waited > seconds:
            raise StoreTimeoutError(f"{whom}: not done within {seconds:g} s (store_timeout); expected it to end")
        if waited > notice and not told:
            told = True
            _say(whom, waited, seconds)
        time.sleep(_POLL)


class Answering(WrapperStore[Any]):  # type: ignore[misc]
    """A store of Zarr whose values are read within the time of a request, whoever reads them, and when.

    Parameters
    ----------
    store : zarr Store
        Of a session of Icechunk.
    where : str
        The cube, for messages.
    seconds : float
        That one value may take.
    """

    def __init__(self, store: Any, where: str, seconds: float) -> None:
        super().__init__(store)
        self._where, self._seconds = where, seconds

    def _with_store(self, store: Any) -> Self:
        return type(self)(store, self._where, self._seconds)

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        """Return a value, None if there is none."""
        reading = asyncio.ensure_future(self._store.get(key, *args, **options))
        notice = min(_NOTICE, self._seconds / 2)
        done, _ = await asyncio.wait({reading}, timeout=notice)
        if not done:
            _say(self._where, notice, self._seconds)
            done, _ = await asyncio.wait({reading}, timeout=self._seconds - notice)
        if done:
            return reading.result()
        reading.cancel()
        raise StoreTimeoutError(f"{self._where}: no answer for {key} within {self._seconds:g} s (store_timeout)")

    async def _get_many(self, requests: Any) -> Any:
        for key, *how in requests:
            yield key, await self.get(key, *how)


def _say(where: str, waited: float, most: float) -> None:
    line = f"still waiting for {where} after {waited:.0f} s; given up after {most:g} s (store_timeout)"
    tell(line)
