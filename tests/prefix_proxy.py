"""A proxy that serves another server below a prefix, as JupyterHub and Open OnDemand do; WebSockets pass too."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def behind(port: int, prefix: str) -> Iterator[str]:
    """Yield the address below which the server at a port of this machine is reached; anything else is a 404."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, port, prefix.encode()), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{prefix}"
        # Wakes the thread that accepts.
        listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, port: int, prefix: bytes) -> None:
    with suppress(OSError):
        while True:
            asking, _ = listening.accept()
            threading.Thread(target=_serve, args=(asking, port, prefix), daemon=True).start()


def _serve(asking: socket.socket, port: int, prefix: bytes) -> None:
    with asking, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            if not (more := asking.recv(65536)):
                return
            head += more
        method, path, rest = head.split(b" ", 2)
        if not path.startswith(prefix + b"/"):
            asking.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        if not re.search(rb"^upgrade:", rest, re.IGNORECASE | re.MULTILINE):
            # One request a connection: the next one's head would need to be read as well.
            rest = re.sub(rb"(?im)^connection:[^\r]*", b"Connection: close", rest)
        with socket.create_connection(("127.0.0.1", port)) as serving:
            serving.sendall(b" ".join([method, path.removeprefix(prefix), rest]))
            threading.Thread(target=_pass_on, args=(asking, serving), daemon=True).start()
            _pass_on(serving, asking)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
