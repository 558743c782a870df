"""Requests to a bucket, each within one time and with one budget of attempts.

The libraries below would try again on their own, each for itself: 4 times 5 times 5 attempts of a minute. Here they try
once, and a request that fails for a reason that may pass is tried again until its time is over. A server that accepts
connections and never answers, or sends a byte a second, is said on standard error and given up.
"""

import asyncio
import io
import random
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import fsspec
import fsspec.asyn
from fsspec.caching import ReadAheadCache

from geomob_dask.messages import one_line, tell

_T = TypeVar("_T")

ATTEMPTS = 6
_FIRST_WAIT = 0.2
_CONNECT = 10.0
# Seconds without an answer before a user is told.
_NOTICE = 10.0
# Slower than this, an object does not count as being read or written: bytes per second.
_SLOWEST_READ = 16 * 2**10
_SLOWEST_WRITE = 256 * 2**10
_BLOCK = 50 * 2**20
_CHUNK = 2**20
# A store that has just not answered is not waited for as long again: seconds.
_ONCE_SILENT = 5.0

_LIBRARIES = {"botocore", "aiobotocore", "aiohttp", "http", "urllib3", "s3fs", "fsspec"}
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError, IsADirectoryError)
_PASSING = (408, 429)


class SilentError(OSError):
    """A request that got no answer, or not all of it, in time."""


class _Said:
    """When this process last said that it waits, and the buckets that have not answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = -_NOTICE
        self.silent: set[str] = set()

    def say(self, line: str) -> None:
        """Print a line on standard error, unless another thread has just said so."""
        with self._lock:
            now = time.monotonic()
            if now - self._last < _NOTICE / 2:
                return
            self._last = now
        tell(line)


_SAID = _Said()


class _Progress:
    """The seconds that a request may still take, of which every byte that arrives buys some, and its last failure."""

    def __init__(self, limit: float) -> None:
        self._began, self._limit, self._received = time.monotonic(), limit, 0
        self.failed: Exception | None = None

    def add(self, size: int) -> None:
        self._received += size

    @property
    def waited(self) -> float:
        return time.monotonic() - self._began

    @property
    def left(self) -> float:
        return self._limit + self._received / _SLOWEST_READ - self.waited


class Bucket:
    """A bucket's objects, by path, as `fsspec` names the functions of a file system.

    Parameters
    ----------
    url : str
        Of the store, for messages.
    limit : float
        Seconds that a request may take, all attempts together; more for large objects that do arrive.
    """

    def __init__(self, url: str, limit: float) -> None:
        self.url, self.limit = url, limit
        # A listing must show what another process has just committed.
        self._fs: Any = fsspec.filesystem(
            "s3",
            use_listings_cache=False,
            config_kwargs={
                "connect_timeout": min(_CONNECT, limit),
                "read_timeout": max(limit / 2, 1.0),
                "retries": {"total_max_attempts": 1, "mode": "standard"},
            },
        )
        self._fs.retries = 1

    def cat_file(self, path: str) -> bytes:
        """Return the bytes of an object."""
        return self._range(path, None)

    def open(self, path: str, mode: str = "rb") -> "_Ranges":
        """Return an object as a file; what is read ahead is transferred in blocks."""
        return _Ranges(int(self.info(path)["size"]), lambda start, end: self._range(path, (start, end)))

    def pipe_file(self, path: str, data: bytes, mode: str = "overwrite") -> None:
        """Write an object; in the mode ``create`` only if there is none of its name."""
        self._within(lambda _: self._fs._pipe_file(path, data, mode=mode), more=len(data) / _SLOWEST_WRITE)

    def info(self, path: str) -> dict[str, Any]:
        """Return type, size and time of an object or folder."""
        return self._within(lambda _: self._fs._info(path))

    def ls(self, path: str, detail: bool = True) -> list[Any]:
        """Return what is directly below a path."""
        return self._within(lambda _: self._fs._ls(path, detail=detail))

    def find(self, path: str, detail: bool = True) -> dict[str, Any]:
        """Return every object below a path."""
        return self._within(lambda _: self._fs._find(path, detail=detail))

    def rm_file(self, path: str) -> None:
        """Remove an object."""
        self._within(lambda _: self._fs._rm_file(path))

    def head(self) -> dict[str, Any]:
        """Return the answer to a request for the bucket itself."""
        bucket = self.url.removeprefix("s3://").split("/", 1)[0]
        return self._within(lambda _: self._fs._call_s3("head_bucket", Bucket=bucket))

    def _range(self, path: str, span: tuple[int, int] | None) -> bytes:
        if span is not None and span[0] >= span[1]:
            return b""
        bucket, key, _ = self._fs.split_path(path)
        of_range = {} if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}

        async def read(progress: _Progress) -> bytes:
            answer = await self._fs._call_s3("get_object", Bucket=bucket, Key=key, **of_range)
            body, chunks = answer["Body"], []
            try:
                while chunk := await body.read(_CHUNK):
                    progress.add(len(chunk))
                    chunks.append(chunk)
            finally:
                body.close()
            return b"".join(chunks)

        return self._within(read)

    def _within(self, act: Callable[[_Progress], Awaitable[_T]], more: float = 0.0) -> _T:
        """Return what a request returns; SilentError if that takes too long."""
        limit = min(self.limit, _ONCE_SILENT) if self.url in _SAID.silent else self.limit
        result: _T = fsspec.asyn.sync(self._fs.loop, self._patiently, act, _Progress(limit + more), limit)
        _SAID.silent.discard(self.url)
        return result

    async def _patiently(self, act: Callable[[_Progress], Awaitable[_T]], progress: _Progress, limit: float) -> _T:
        work = asyncio.ensure_future(_attempted(act, progress))
        notice = min(_NOTICE, limit / 2)
        while True:
            pause = progress.left if progress.waited >= notice else min(notice - progress.waited, progress.left)
            done, _ = await asyncio.wait({work}, timeout=max(pause, 0.01))
            if done:
                return work.result()
            if progress.left <= 0:
                work.cancel()
                await asyncio.wait({work}, timeout=1)
                if progress.failed is not None:
                    raise progress.failed
                _SAID.silent.add(self.url)
                raise SilentError(f"no answer, or not all of it, within {limit:g} s (store_timeout)")
            if progress.waited >= notice:
                why = "no answer" if progress.failed is None else one_line(progress.failed)
                _SAID.say(
                    f"still waiting for {self.url} after {progress.waited:.0f} s: {why}; given up after {limit:g} s "
                    "(store_timeout)"
                )


async def _attempted(act: Callable[[_Progress], Awaitable[_T]], progress: _Progress) -> _T:
    """Return what a request returns, after several attempts if need be."""
    for attempt in range(1, ATTEMPTS):
        try:
            return await act(progress)
        except Exception as error:
            if not _may_pass(error):
                raise
            # A time that the library itself keeps is no failure that is worth telling.
            progress.failed = None if "Timeout" in type(error).__name__ else error
        await asyncio.sleep(_FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.8, 1.2))
    return await act(progress)


def _may_pass(error: Exception) -> bool:
    status = status_of(error)
    if status is not None:
        return status >= 500 or status in _PASSING
    if isinstance(error, _FINAL):
        return False
    # Without credentials, or with a client that is set up wrongly, another attempt is of no use.
    known = type(error).__module__.split(".")[0] in _LIBRARIES
    return isinstance(error, OSError) or (known and "redential" not in type(error).__name__)


def status_of(error: BaseException | None) -> int | None:
    """Return the HTTP status behind an error of s3fs, whose cause is the error of botocore; None if there is none."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) or None
        error = error.__cause__
    return None


class _Ranges(io.RawIOBase):
    """A file whose ranges are fetched when they are read."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size, self._place = size, 0
        self._cache = ReadAheadCache(_BLOCK, fetch, size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(start + offset, 0)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._place + size, self._size)
        data = b"" if self._place >= end else bytes(self._cache._fetch(self._place, end))
        self._place += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
