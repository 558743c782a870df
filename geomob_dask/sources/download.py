"""Polite downloads: few at a time, with waits for a busy server and a budget for waiting."""

from __future__ import annotations

import email.utils
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import urllib3

from geomob_dask.errors import InputError, RunError, SettingsError
from geomob_dask.messages import tell

_T = TypeVar("_T")

_FAILED = {408, 425, 500, 502, 504}
# The whole server is busy: no request of ours is sent until it has had its rest.
_BUSY = {429, 503}
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_PAGE = re.compile(rb"\s*<")
_REDIRECTS = 3
_REDIRECT_STATUSES = {301, 302, 303, 307, 308}
# A server that is there takes a connection sooner than it answers.
_LONGEST_CONNECT = 15.0
# These do not pass, if the host has never answered: there is no such host, no network, or another in its place.
_NO_HOST = ("NameResolutionError", "NewConnectionError", "SSLError", "CertificateError")
_FIRST_LINE = 5.0
_KEY_REFUSED = re.compile(r"(invalid|missing|valid) key", re.IGNORECASE)


class AnswerCache(Protocol):
    """Keeps answers as they came, by key; `store.objects.Objects` is one."""

    def names(self, folder: str) -> Sequence[str]:
        """Return the names of the answers in a folder."""

    def exists(self, key: str) -> bool:
        """Return whether there is an answer."""

    def get(self, key: str) -> bytes:
        """Return its bytes."""

    def put(self, key: str, data: bytes) -> None:
        """Write it whole."""


class IncompleteAnswerError(Exception):
    """An incomplete answer: the request is sent again."""


@dataclass(frozen=True)
class Politeness:
    """The limits of requests to a server.

    Parameters
    ----------
    concurrency : int
        Requests at a time.
    attempts : int
        Attempts per request, including the first.
    first_wait, longest_wait : float
        Seconds before the second attempt, doubled for each further one up to the longest. A ``Retry-After`` of the
        server wins over both.
    budget : float
        Seconds that all requests together may spend waiting to ask again.
    timeout : float
        Seconds without an answer, or without more of it.
    """

    concurrency: int = 4
    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    budget: float = 600.0
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.attempts < 1:
            raise SettingsError(
                f"found concurrency {self.concurrency} and attempts {self.attempts}, expected at least 1 of each"
            )


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    redirects: tuple[str, ...] = ()


class Downloader:
    """Client that returns complete answers; threads may share it.

    Parameters
    ----------
    politeness : Politeness
    secret : str, optional
        Key that is sent with every request and never appears in messages.
    say : function, optional
        Called with a line when a request is sent again, and while requests take long; by default it goes to standard
        error.
    line_every : float
        Seconds between lines while requests take long.
    sleep, clock : functions
        Those of the time module by default.
    """

    def __init__(
        self,
        politeness: Politeness | None = None,
        *,
        secret: str = "",
        say: Callable[[str], None] | None = None,
        line_every: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.politeness = politeness or Politeness()
        self.secret = secret
        self._say = say or tell
        self._line_every = line_every
        self._reached: set[str] = set()
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._waited = 0.0
        self._quiet_until = 0.0
        self._pool = urllib3.PoolManager(
            maxsize=self.politeness.concurrency,
            block=True,
            timeout=urllib3.Timeout(
                connect=min(self.politeness.timeout, _LONGEST_CONNECT), read=self.politeness.timeout
            ),
            # Only redirects are followed here: what else is tried again, and when, is decided below.
            retries=urllib3.Retry(
                total=None, connect=0, read=0, status=0, other=0, redirect=_REDIRECTS, raise_on_redirect=False
            ),
        )

    def get(self, url: str, fields: Mapping[str, str], read: Callable[[bytes], _T], what: str) -> _T:
        """Return what `read` makes of the whole answer to a request.

        Parameters
        ----------
        url : str
        fields : mapping of str to str
            Of the query.
        read : function
            Parses the answer's bytes; after `IncompleteAnswerError` the request is sent again, other errors are final.
        what : str
            Name of the request, for messages.

        Raises
        ------
        SettingsError
            If the server refuses the key.
        InputError
            If the server knows no such thing.
        RunError
            If all attempts failed, or the next wait would exceed the budget; at once if there is no such host or no
            connection to it, if it redirects in a circle, or another host's page comes in its place.
        """
        failure, host = "", urlsplit(url).netloc
        for attempt in range(1, self.politeness.attempts + 1):
            self._keep_quiet()
            wait = min(self.politeness.first_wait * 2 ** (attempt - 1), self.politeness.longest_wait)
            try:
                answer = self._request(url, fields)
                if answer.status not in _BUSY | _FAILED:
                    return self._read(answer, read, host, what)
                failure = f"{host}: status {answer.status}"
                busy = answer.status in _BUSY
                asked = _retry_after(answer.headers.get("Retry-After"))
                wait = wait if asked is None else asked
            except (IncompleteAnswerError, urllib3.exceptions.HTTPError) as error:
                failure, busy = f"{host}: {self._redacted(_reason(error))}", False
                self._refuse_no_host(error, host, what, failure)
            if attempt < self.politeness.attempts:
                self._wait(wait, busy, what, failure)
        raise RunError(f"{what}: {failure}, {self.politeness.attempts} times; gave up (what came before it is kept)")

    def all(self, tasks: Sequence[Callable[[], _T]], what: str) -> list[_T]:
        """Return the results of tasks that ask this client, several at a time, in their order.

        After a failure no others are started; that is raised when the running ones have ended.

        Parameters
        ----------
        tasks : sequence of function
        what : str
            What they are together, for the lines that are said while they take long.
        """
        with ThreadPoolExecutor(self.politeness.concurrency, thread_name_prefix="download") as pool:
            # Threads of a pool know nothing of the limits that a job has set, unless they are given.
            running = [pool.submit(copy_context().run, task) for task in tasks]
            try:
                self._until_done(running, what)
            finally:
                for future in running:
                    future.cancel()
        errors = [future.exception() for future in running if not future.cancelled() and future.exception()]
        if errors:
            done = sum(not future.cancelled() and future.exception() is None for future in running)
            first = errors[0]
            if isinstance(first, RunError):
                raise RunError(f"{first} ({done} of {len(tasks)} parts are here)") from first
            raise first  # type: ignore[misc]
        return [future.result() for future in running]

    def _until_done(self, running: Sequence[Future[_T]], what: str) -> None:
        """Wait for all, or for the first failure; say how many are here after some seconds, and again and again."""
        patience = min(_FIRST_LINE, self._line_every)
        while True:
            ended, pending = wait(running, timeout=patience, return_when=FIRST_EXCEPTION)
            if not pending or any(future.exception() for future in ended):
                return
            self._say(f"{what}: {len(ended)} of {len(running)} answers are here; waiting for the server")
            patience = self._line_every

    def _request(self, url: str, fields: Mapping[str, str]) -> _Answer:
        response = self._pool.request("GET", url, fields=dict(fields))
        places = [url]
        for step in response.retries.history if response.retries else ():
            if step.redirect_location:
                places.append(urljoin(places[-1], step.redirect_location))
        return _Answer(response.status, response.headers, response.data, tuple(places[1:]))

    def _read(self, answer: _Answer, read: Callable[[bytes], _T], host: str, what: str) -> _T:
        """Return what `read` makes of a final answer, after checking that it is that of the host."""
        self._refuse_redirects(answer, host, what)
        found = read(self._accepted(answer, what))
        with self._lock:
            self._reached.add(host)
        return found

    def _refuse_redirects(self, answer: _Answer, host: str, what: str) -> None:
        last = answer.redirects[-1] if answer.redirects else ""
        if answer.status in _REDIRECT_STATUSES:
            target = self._redacted(urljoin(last or f"//{host}", answer.headers.get("Location", "")))
            raise RunError(
                f"{what}: {host} redirects {_REDIRECTS + 1} times, last to {target or 'nowhere'}; expected an answer"
            )
        other = urlsplit(last).netloc
        if other not in ("", host) and is_page(answer.body):
            raise RunError(
                f"{what}: {host} redirects to {other}, which sends a web page ({page_title(answer.body)!r}): the login "
                "page of a network, or a proxy; expected an answer of the server"
            )

    def _refuse_no_host(self, error: Exception, host: str, what: str, failure: str) -> None:
        """Give up at once where the host has never answered and its connection fails before any request is sent."""
        with self._lock:
            known = host in self._reached
        if not known and _kind(error) in _NO_HOST:
            raise RunError(
                f"{what}: {failure}; is there a connection to the internet, and is this the address of the server? "
                "(what came before is kept)"
            ) from error

    def _accepted(self, answer: _Answer, what: str) -> bytes:
        """Return the body of a good answer; raise for one that is final and not good."""
        text = self._redacted(page_title(answer.body))
        if answer.status in (401, 403) or (not answer.body.startswith((b"[", b"{")) and _KEY_REFUSED.search(text)):
            raise SettingsError(f"{what}: the server refuses the key ({text}); expected a valid one in CENSUS_API_KEY")
        if answer.status == 204:
            raise InputError(f"{what}: the server has nothing for it (status 204)")
        if answer.status in (400, 404):
            raise InputError(f"{what}: the server knows no such thing (status {answer.status}: {text})")
        if answer.status != 200:
            raise RunError(f"{what}: status {answer.status} ({text}), expected 200")
        return answer.body

    def _keep_quiet(self) -> None:
        """Wait as long as a busy server has asked us to."""
        with self._lock:
            wait = self._quiet_until - self._clock()
        if wait > 0:
            self._sleep(wait)

    def _wait(self, wait: float, busy: bool, what: str, failure: str) -> None:
        budget = self.politeness.budget
        with self._lock:
            if self._waited + wait > budget:
                raise RunError(
                    f"{what}: {failure}; the next attempt would be in {wait:.0f} s, beyond the {budget:.0f} s that "
                    f"may be spent waiting ({self._waited:.0f} s are); run again later, what came is kept"
                )
            self._waited += wait
            self._say(f"{what}: {failure}; asking again in {wait:.0f} s")
            if busy:
                self._quiet_until = max(self._quiet_until, self._clock() + wait)
        if not busy:
            self._sleep(wait)

    def _redacted(self, text: str) -> str:
        return text.replace(self.secret, "…") if self.secret else text


def _reason(error: Exception) -> str:
    if isinstance(error, IncompleteAnswerError):
        return str(error)
    cause = getattr(error, "reason", None)
    system = getattr(cause, "__cause__", None)
    number = getattr(system, "errno", None)
    why = os.strerror(number).lower() if isinstance(number, int) and number > 0 else ""
    kind = _kind(error)
    return {
        "ReadTimeoutError": "no answer in time",
        "ConnectTimeoutError": "no connection in time",
        "NewConnectionError": f"no connection ({why or 'refused'})",
        "NameResolutionError": "no such host",
        "SSLError": "its certificate is not that of the server",
        "CertificateError": "its certificate is not that of the server",
        "ProtocolError": "the answer broke off",
        "IncompleteRead": "the answer broke off",
    }.get(kind, kind)


def _kind(error: Exception) -> str:
    cause = getattr(error, "reason", None)
    return type(cause if isinstance(cause, Exception) else error).__name__


def is_page(body: bytes) -> bool:
    """Return whether an answer is a web page, or XML, in place of what was asked for."""
    return _PAGE.match(body) is not None


def page_title(body: bytes) -> str:
    """Return the beginning of an answer as one line: the title of a page, else its first words."""
    title = _TITLE.search(body[:4000])
    text = (title[1] if title else body[:200]).decode("utf-8", errors="replace")
    return " ".join(text.split())[:200]


def _retry_after(value: str | None) -> float | None:
    """Return the seconds a server asks to wait, given as seconds or as a date."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None
