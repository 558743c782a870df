"""Polite downloads: few at a time, with waits for a busy server and a budget for waiting."""

from __future__ import annotations

import email.utils
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import urllib3

from geomob_dask.errors import InputError, RunError, SettingsError

_T = TypeVar("_T")

_FAILED = {408, 425, 500, 502, 504}
# The whole server is busy: no request of ours is sent until it has had its rest.
_BUSY = {429, 503}
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
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


class Downloader:
    """Client that returns complete answers; threads may share it.

    Parameters
    ----------
    politeness : Politeness
    secret : str, optional
        Key that is sent with every request and never appears in messages.
    sleep, clock : functions
        Those of the time module by default.
    """

    def __init__(
        self,
        politeness: Politeness | None = None,
        *,
        secret: str = "",
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.politeness = politeness or Politeness()
        self.secret = secret
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._waited = 0.0
        self._quiet_until = 0.0
        self._pool = urllib3.PoolManager(
            maxsize=self.politeness.concurrency,
            block=True,
            timeout=urllib3.Timeout(self.politeness.timeout),
            # Only redirects are followed here: what else is tried again, and when, is decided below.
            retries=urllib3.Retry(
                total=None, connect=0, read=0, status=0, other=0, redirect=3, raise_on_redirect=False
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
            If all attempts failed, or the next wait would exceed the budget.
        """
        failure = ""
        for attempt in range(1, self.politeness.attempts + 1):
            self._keep_quiet()
            wait = min(self.politeness.first_wait * 2 ** (attempt - 1), self.politeness.longest_wait)
            try:
                answer = self._request(url, fields)
                if answer.status not in _BUSY | _FAILED:
                    return read(self._accepted(answer, what))
                failure = f"status {answer.status}"
                busy = answer.status in _BUSY
                asked = _retry_after(answer.headers.get("Retry-After"))
                wait = wait if asked is None else asked
            except (IncompleteAnswerError, urllib3.exceptions.HTTPError) as error:
                failure, busy = self._redacted(_reason(error)), False
            if attempt < self.politeness.attempts:
                self._wait(wait, busy, what, failure)
        raise RunError(f"{what}: {failure}, {self.politeness.attempts} times; gave up (what came before it is kept)")

    def _request(self, url: str, fields: Mapping[str, str]) -> _Answer:
        response = self._pool.request("GET", url, fields=dict(fields))
        return _Answer(response.status, response.headers, response.data)

    def _accepted(self, answer: _Answer, what: str) -> bytes:
        """Return the body of a good answer; raise for one that is final and not good."""
        text = self._redacted(_plain(answer.body))
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
    kind = type(cause if isinstance(cause, Exception) else error).__name__
    return {
        "ReadTimeoutError": "no answer in time",
        "ConnectTimeoutError": "no connection in time",
        "NewConnectionError": "no connection",
        "NameResolutionError": "no such host",
        "ProtocolError": "the answer broke off",
        "IncompleteRead": "the answer broke off",
    }.get(kind, kind)


def _plain(body: bytes) -> str:
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
