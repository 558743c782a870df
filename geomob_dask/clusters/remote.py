"""A scheduler, or a worker with its nanny, that a driver runs on another machine and directs by standard input.

``python -m geomob_dask.clusters.remote`` says on standard output, as JSON, who it is; then reads an order, a line of
JSON: Dask's settings, the options of the process, and what TLS needs, none of which is in a list of processes. It then
says where it listens. It ends with standard input, or when that is silent for too long: nothing outlives its driver.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
from typing import Any

import dask
import distributed

import geomob_dask
from geomob_dask.messages import one_line

# Seconds that a process has for an orderly end.
_ENDS = 8.0


def address_here() -> str:
    """Return the address at which the driver reached this machine; empty if SSH does not tell."""
    parts = os.environ.get("SSH_CONNECTION", "").split()
    return parts[2] if len(parts) == 4 else ""


def main() -> None:
    """Introduce this process, be what the order says, and end with standard input."""
    _say(
        package=geomob_dask.__version__,
        python=sys.version.split()[0],
        distributed=distributed.__version__,
        host=socket.gethostname(),
        address=address_here(),
    )
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    with contextlib.suppress(KeyboardInterrupt):
        dask.config.set(order["settings"])
        asyncio.run(_until_the_end(order))


async def _until_the_end(order: dict[str, Any]) -> None:
    ends, loop = asyncio.Event(), asyncio.get_running_loop()
    heard = _Heard(loop)
    threading.Thread(target=_listen, args=(loop, heard, ends), daemon=True).start()
    security = distributed.Security(require_encryption=True, **order["tls"]) if order["tls"] else distributed.Security()
    started = (
        distributed.Scheduler(security=security, **order["options"])
        if order["role"] == "scheduler"
        else distributed.Nanny(order["scheduler"], security=security, config=dask.config.config, **order["options"])
    )
    try:
        server = await started
    except Exception as error:
        _say(failed=one_line(error) or type(error).__name__)
        return
    _say(address=server.address, dashboard=_dashboard(server))
    waits = [asyncio.ensure_future(one) for one in (ends.wait(), server.finished(), heard.silent(order["silence"]))]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    with contextlib.suppress(Exception):
        await asyncio.wait_for(server.close(), _ENDS)
    _say(ended=True)
    sys.stdout.flush()
    # A worker that does not end is ended by its nanny's end.
    os._exit(0)


class _Heard:
    """When standard input was last heard."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self.at = loop, loop.time()

    async def silent(self, seconds: float) -> None:
        """Wait until nothing was heard for so long."""
        while self._loop.time() - self.at < seconds:
            await asyncio.sleep(1.0)


def _listen(loop: asyncio.AbstractEventLoop, heard: _Heard, ends: asyncio.Event) -> None:
    for _ in sys.stdin:
        heard.at = loop.time()
    loop.call_soon_threadsafe(ends.set)


def _dashboard(server: Any) -> str:
    """Return the address of a scheduler's dashboard; empty without one."""
    http = getattr(server, "http_server", None)
    port = getattr(http, "port", None)
    return "" if port is None else str(port)


def _say(**what: Any) -> None:
    with contextlib.suppress(OSError):
        print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
