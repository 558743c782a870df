"""Answers of the page over HTTP: read-only, bounded, and never from the scheduler's event loop where storage is asked.

A route is a function of a `Request` that returns an `Answer`. It runs in a small pool of threads, unless it only looks
at what the scheduler knows, which may be looked at in its event loop alone.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import logging
import math
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import responses
from typing import Any, Protocol, TypeVar

import dask
from tornado import web

from geomob_dask.errors import GeomobError, InputError, StoreFailedError
from geomob_dask.messages import shown, without_passwords
from geomob_dask.names import did_you_mean
from geomob_dask.settings import load_settings
from geomob_dask.store import Store

logger = logging.getLogger(__name__)

# Threads that read storage and prepare answers, beside the scheduler's own; requests that may wait for them.
_THREADS, _WAITING = 3, 100
# Seconds after an answer for which another request is likely, and for which work that nobody waits for rests at most.
_QUIET, _LONGEST_REST = 1.0, 30.0
CACHE_BYTES = 96 * 2**20
# Characters of a URL, and of one value in it.
_LONGEST_URL, _LONGEST_VALUE = 4096, 400
# Bytes from which an answer is compressed.
_COMPRESSED = 1024
_NUMBER = re.compile("-?[0-9]{1,11}")
# Stores that one page shows.
_STORES = 16
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
    # An answer is asked for again, and is `304 Not Modified` where it is the same.
    "Cache-Control": "private, no-cache",
}
# Of everything but the page itself: should a browser show an answer as a page, nothing in it may act.
_NOTHING_ACTS = "default-src 'none'; frame-ancestors 'none'"


class UnknownError(InputError):
    """Something that the page has not: an unknown address, store, run or result."""


class BusyError(GeomobError):
    """More requests than the page answers at once."""


@dataclass(frozen=True)
class Answer:
    """What a route returns.

    Parameters
    ----------
    content : bytes
        As it is sent to a browser that takes gzip.
    kind : str
        Media type.
    packed : bool
        Whether `content` is compressed.
    etag : str
        A checksum of what it says.
    policy : str
        Its Content-Security-Policy.
    """

    content: bytes
    kind: str
    packed: bool
    etag: str
    policy: str = _NOTHING_ACTS

    @property
    def size(self) -> int:
        """Return the bytes of the content."""
        return len(self.content)

    @classmethod
    def of(cls, body: bytes, kind: str, *, compress: bool = True, policy: str = _NOTHING_ACTS) -> Answer:
        """Return an answer of bytes; `compress=False` for those that are compressed already."""
        etag = hashlib.sha256(body).hexdigest()[:32]
        packed = gzip.compress(body, 5, mtime=0) if compress and len(body) > _COMPRESSED else body
        smaller = len(packed) < len(body)
        return cls(packed if smaller else body, kind, smaller, etag, policy)

    @classmethod
    def json(cls, value: Any) -> Answer:
        """Return an answer of plain data; NaN and infinities are refused, as no browser reads them."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return cls.of(text.encode("utf-8", "replace"), "application/json; charset=utf-8")

    def plain(self) -> bytes:
        """Return the content without compression."""
        return gzip.decompress(self.content) if self.packed else self.content


class Sized(Protocol):
    """What a cache keeps."""

    @property
    def size(self) -> int:
        """Return the bytes that it holds."""


_S = TypeVar("_S", bound=Sized)


class Cache:
    """Answers, and what they are made from, by key; the least recently used go where they are too many bytes.

    Each is made once.

    Parameters
    ----------
    limit : int, bytes
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self.limit, self.size = limit, 0
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._made: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()

    def of(self, key: Hashable, make: Callable[[], _S]) -> _S:
        """Return what a key stands for, made if it is not there; others that want it meanwhile wait for it."""
        with self._lock:
            found: _S | None = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
            waited: Future[_S] | None = self._made.get(key)
            if waited is None:
                mine = self._made[key] = Future()
        if waited is not None:
            return waited.result()
        try:
            made = make()
        except BaseException as error:
            with self._lock:
                del self._made[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._made[key]
            if made.size <= self.limit // 4:
                self._kept[key] = made
                self.size += made.size
            while self.size > self.limit:
                self.size -= self._kept.popitem(last=False)[1].size
        mine.set_result(made)
        return made


@dataclass
class Explorer:
    """What the page of one scheduler knows: its stores, its threads, and answers that it has given.

    Parameters
    ----------
    scheduler : distributed.Scheduler or None
        None where nothing runs: a snapshot of the page's contents.
    cache : Cache
    pool : ThreadPoolExecutor
    memory : dict
        What parts of the page keep from one request to the next; small.
    warmed : dict
        The threads that made stores ready for a first visitor, by id.
    """

    scheduler: Any
    cache: Cache = field(default_factory=Cache)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "geomob-explore"))
    memory: dict[Hashable, Any] = field(default_factory=dict)
    warmed: dict[str, threading.Thread] = field(default_factory=dict)
    _stores: dict[str, Store] = field(default_factory=dict)
    problem: str = ""
    waiting: int = 0
    answered: float = -math.inf

    def rest(self) -> None:
        """Wait, for some seconds at most, until nobody waits for an answer or has just been given one."""
        until = time.monotonic() + _LONGEST_REST
        while (now := time.monotonic()) < until and (self.waiting or now - self.answered < _QUIET):
            time.sleep(0.05)

    def add_store(self, url: str, timeout: float | None = None) -> None:
        """Add a store that the page shows, the first one by default; ids in addresses of the page stand for stores."""
        try:
            store = Store(url, timeout)
        except GeomobError as error:
            self.problem = str(error)
            return
        if len(self._stores) < _STORES:
            self._stores.setdefault(store_id(store.url), store)

    def add_configured(self) -> None:
        """Add the store of Dask's settings (``geomob.store``), else of the environment and cluster.yaml."""
        url = dask.config.get("geomob.store", None)
        if url:
            self.add_store(str(url), dask.config.get("geomob.store-timeout", None))
            return
        try:
            settings = load_settings()
        except GeomobError as error:
            self.problem = str(error)
            return
        self.add_store(settings.store, settings.store_timeout)

    def stores(self) -> dict[str, str]:
        """Return the addresses of stores by id, the default first."""
        return {one: without_passwords(store.url) for one, store in self._stores.items()}

    def store(self, one: str = "") -> Store:
        """Return a store by its id, the default without one.

        Raises
        ------
        UnknownError
            If there is none.
        """
        if not self._stores:
            raise UnknownError(
                f"no store: {self.problem or 'none is named'}; expected GEOMOB_STORE or DASK_GEOMOB__STORE where the "
                "scheduler runs"
            )
        if not one:
            return next(iter(self._stores.values()))
        if one not in self._stores:
            raise UnknownError(f"store {shown(one)}: this page has no such store; {did_you_mean(one, self._stores)}")
        return self._stores[one]


def store_id(url: str) -> str:
    """Return the id of a store in addresses of the page: the end of its address, and a checksum."""
    words = "".join(letter if letter.isalnum() else "-" for letter in url.rstrip("/").rpartition("/")[2])[-24:]
    return f"{words.strip('-') or 'store'}-{hashlib.sha256(url.encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Request:
    """A request of a browser.

    Parameters
    ----------
    explorer : Explorer
    path : tuple of str
        The groups of the route's pattern.
    query : mapping of str to str
    """

    explorer: Explorer
    path: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """Return the store that is asked for (``store`` in the query: an id), the page's first by default."""
        return self.explorer.store(self.query.get("store", ""))

    def text(self, name: str, default: str | None = None) -> str:
        """Return a value of the query.

        Raises
        ------
        InputError
            If it is not there and there is no default.
        """
        found = self.query.get(name, default)
        if found is None:
            raise InputError(f"{name}: found none in the address, expected one")
        return found

    def choice(self, name: str, allowed: Collection[str], default: str | None = None) -> str:
        """Return a value of the query that is one of those allowed.

        Raises
        ------
        UnknownError
            If it is none of them.
        """
        found = self.text(name, default)
        if found not in allowed:
            raise UnknownError(f"{name} {shown(found)}: not known; {did_you_mean(found, allowed)}")
        return found

    def number(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number of the query.

        Raises
        ------
        InputError
            If it is none, or outside its bounds.
        """
        text = self.text(name, None if default is None else str(default))
        number = int(text) if _NUMBER.fullmatch(text) else None
        if number is None or not low <= number <= high:
            raise InputError(f"{name} {shown(text)}: expected a whole number from {low:,} to {high:,}")
        return number

    def cached(self, key: Hashable, make: Callable[[], Answer]) -> Answer:
        """Return the answer that is kept under a key, which names the store's contents (checksums), or make it."""
        return self.explorer.cache.of(key, make)


@dataclass(frozen=True)
class Route:
    """An address below ``geomob/`` and what answers it.

    Parameters
    ----------
    pattern : str
        A regular expression of the whole of what follows ``geomob/``; groups go to `Request.path`.
    answer : callable
    live : bool
        Whether it looks at the scheduler, in its event loop: it reads nothing, and is quick.
    """

    pattern: str
    answer: Callable[[Request], Answer]
    live: bool = False


class Handler(web.RequestHandler):
    """Has a route answer requests; see `Route`."""

    def initialize(self, explorer: Explorer, route: Route | None) -> None:
        """Note who answers."""
        self._explorer, self._route = explorer, route

    def set_default_headers(self) -> None:
        """Set what every answer has."""
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.set_header("Content-Security-Policy", _NOTHING_ACTS)
        self.clear_header("Server")

    def compute_etag(self) -> None:
        """Return nothing: answers have their own."""
        return

    async def get(self, *path: str) -> None:
        """Answer."""
        if self._route is None:
            raise UnknownError("nothing here: the page has no such address")
        request = Request(self._explorer, path, self._query())
        if self._route.live:
            answer = self._route.answer(request)
        else:
            answer = await self._in_pool(self._route.answer, request)
        self.set_header("Content-Security-Policy", answer.policy)
        self.set_header("Content-Type", answer.kind)
        takes_gzip = _takes_gzip(self.request.headers.get("Accept-Encoding", ""))
        packed = answer.packed and takes_gzip
        etag = f'"{answer.etag}{"-gzip" if packed else ""}"'
        self.set_header("ETag", etag)
        if etag in _etags(self.request.headers.get("If-None-Match", "")):
            self.set_status(304)
            return
        if packed:
            self.set_header("Content-Encoding", "gzip")
        body = answer.content if packed or not answer.packed else answer.plain()
        self.set_header("Content-Length", str(len(body)))
        self.write(body)

    async def head(self, *path: str) -> None:
        """Answer without the content."""
        await self.get(*path)

    async def _in_pool(self, answer: Callable[[Request], Answer], request: Request) -> Answer:
        explorer = self._explorer
        if explorer.waiting >= _WAITING:
            self.set_header("Retry-After", "2")
            raise BusyError("the page has too many requests at once; try again in a moment")
        explorer.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(explorer.pool, answer, request)
        finally:
            explorer.waiting -= 1
            explorer.answered = time.monotonic()

    def _query(self) -> dict[str, str]:
        if len(self.request.uri or "") > _LONGEST_URL:
            raise InputError(f"the address has {len(self.request.uri or ''):,} characters, expected {_LONGEST_URL:,}")
        found = {}
        for name, values in self.request.query_arguments.items():
            if len(values) > 1:
                raise InputError(f"{shown(name)}: found {len(values)} values in the address, expected one")
            text = values[0].decode("utf-8", "replace")
            if len(text) > _LONGEST_VALUE or not text.isprintable():
                raise InputError(f"{shown(name)}: expected at most {_LONGEST_VALUE} characters, all printable")
            found[name] = text
        return found

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Log what nobody expected; what the browser is told is no news here."""
        if not isinstance(error, (GeomobError, web.HTTPError)):
            logger.error("the page at %s", self.request.path, exc_info=(kind, error, trace))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error as JSON: ``error``, a text without anything secret."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, GeomobError):
            status, text = _status_of(error), str(error)
        else:
            status, known = status_code, responses.get(status_code, "error")
            text = known if isinstance(error, web.HTTPError) else f"{known}; the scheduler's log says why"
        self.set_status(status)
        if status == 405:
            self.set_header("Allow", "GET, HEAD")
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps({"error": text, "status": status}))


def _status_of(error: GeomobError) -> int:
    if isinstance(error, UnknownError):
        return 404
    if isinstance(error, (StoreFailedError, BusyError)):
        return 503
    return 400 if isinstance(error, InputError) else 500


def _takes_gzip(header: str) -> bool:
    parts = [part.strip().replace(" ", "").lower() for part in header.split(",")]
    return any(part.split(";")[0] == "gzip" and not part.endswith(";q=0") for part in parts)


def _etags(header: str) -> set[str]:
    return {part.strip().removeprefix("W/") for part in header.split(",")}


def files_in(folder: str, *endings: str) -> dict[str, str]:
    """Return the paths of the files of a folder by name: all that may be asked for, whatever an address says."""
    return {name: os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(endings)}
