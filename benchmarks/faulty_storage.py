"""A storage service that fails now and then: an HTTP proxy in front of an S3 gateway.

It answers 500 and 503, takes its time, cuts requests half-way through their body, cuts answers half-way through theirs,
and does what it was asked and then says nothing. What it lets pass it passes unchanged, so that signatures hold.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("500", "503", "slow", "request cut", "answer cut", "answer lost")
_BODY = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>on purpose</Message>'
    "<RequestId>0</RequestId></Error>"
)
_CODES = {"500": "InternalError", "503": "SlowDown"}
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}


class FaultyStorage:
    """The proxy; `start` it before use.

    Parameters
    ----------
    upstream : str
        Where the gateway is, such as ``http://127.0.0.1:9103``.
    rate : float
        Share of requests that meet a fault.
    seed : int
        Of the draws; which request meets which depends on the order in which they come.
    slow : float
        Longest delay, in seconds.
    faults : sequence of str
        Which of `FAULTS` there are.
    ignored : sequence of str
        Headers of requests that are not passed on, as if the gateway did not know them.

    Attributes
    ----------
    counts : Counter
        Requests by what happened to them; ``"passed"`` for most.
    """

    def __init__(
        self,
        upstream: str,
        *,
        rate: float = 0.1,
        seed: int = 0,
        slow: float = 1.0,
        faults: Sequence[str] = FAULTS,
        ignored: Sequence[str] = (),
    ) -> None:
        parts = urlsplit(upstream)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.rate, self.slow, self.faults = rate, slow, faults
        self.ignored = {name.lower() for name in ignored} | _HOP_BY_HOP
        self.counts: Counter[str] = Counter()
        self._draws = random.Random(seed)
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[FaultyStorage]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def draw(self) -> tuple[str, float]:
        """Return what happens to a request, and how long it waits."""
        with self._lock:
            fault = self._draws.choice(self.faults) if self._draws.random() < self.rate else "passed"
            self.counts[fault] += 1
            return fault, self._draws.uniform(0.0, self.slow) if fault == "slow" else 0.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients are killed in the middle of a request."""


def _handler(proxy: FaultyStorage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave together: small answers would wait for the other side's acknowledgement.
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def handle_expect_100(self) -> bool:
            """Have the body sent; the client waits for this line."""
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()
            return True

        def _serve(self) -> None:
            body = self._body()
            fault, wait = proxy.draw()
            time.sleep(wait)
            if fault in _CODES:
                self._send(int(fault), {"Content-Type": "application/xml"}, _BODY.format(code=_CODES[fault]).encode())
                return
            try:
                answer = self._pass_on(body, cut=fault == "request cut")
            except (OSError, http.client.HTTPException):
                answer = None
            if answer is None or fault == "answer lost":
                self._hang_up()
                return
            self._send(*answer, cut=fault == "answer cut")

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - names that http.server calls

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _pass_on(self, body: bytes, *, cut: bool) -> tuple[int, dict[str, str], bytes] | None:
            connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=60)
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in proxy.ignored:
                        connection.putheader(name, value)
                connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body[: len(body) // 2] if cut else body)
                if cut:
                    return None
                answer = connection.getresponse()
                headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
                data = answer.read()
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
                return answer.status, {**headers, "Content-Length": length or "0"}, data
            finally:
                connection.close()

        def _send(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                if self.command != "HEAD":
                    self.wfile.write(data[: len(data) // 2] if cut else data)
            if cut:
                self._hang_up()

        def _hang_up(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

    return Handler
