"""Connections from this machine to a pod, carried by the API server; kr8s' own finds no pods of a service."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

# Of a message; the API server sends smaller ones.
_LARGEST = 2**24
_PIECE = 2**16
# Channels of the protocol, one port: the first message of each tells the port.
_DATA = b"\x00"


class Forward:
    """A port of this machine, from which each connection is carried to a port of a pod that is ready then.

    Parameters
    ----------
    api : kr8s.asyncio.Api
    namespace : str
    pod : callable
        Returns the name of a pod, when a connection is made.
    port : int
        Of the pod.
    """

    def __init__(self, api: Any, namespace: str, pod: Callable[[], Awaitable[str]], port: int) -> None:
        self._api, self._namespace, self._pod, self._port = api, namespace, pod, port
        self._server: asyncio.Server | None = None

    async def open(self, host: str, local_port: int) -> int:
        """Return the port of this machine; 0 asks for any that is free."""
        self._server = await asyncio.start_server(self._carry, host, local_port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whatever ends a connection: Dask notices, and makes another.
        with contextlib.closing(writer), contextlib.suppress(Exception):
            async with self._api.open_websocket(
                version="v1",
                namespace=self._namespace,
                url=f"pods/{await self._pod()}/portforward",
                params={"ports": str(self._port)},
                max_message_size_bytes=_LARGEST,
            ) as there:
                ways = [asyncio.ensure_future(way) for way in (_out(reader, there), _back(there, writer))]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)


async def _out(reader: asyncio.StreamReader, there: Any) -> None:
    while data := await reader.read(_PIECE):
        await there.send_bytes(_DATA + data)


async def _back(there: Any, writer: asyncio.StreamWriter) -> None:
    told: set[bytes] = set()
    while True:
        message = await there.receive_bytes()
        channel = message[:1]
        if channel not in told:
            told.add(channel)
        elif channel != _DATA:
            # What the node says of an error ends the connection.
            return
        else:
            writer.write(message[1:])
            await writer.drain()
