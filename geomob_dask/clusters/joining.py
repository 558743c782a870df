"""A client of a scheduler that runs at an address, within a stated time.

Dask's own client has no time limit once a connection is open: a server of something else that accepts it, or a worker,
would be waited for without end.
"""

import asyncio

import distributed
from distributed.core import rpc

from geomob_dask.messages import one_line
from geomob_dask.runs.other_thread import in_other_thread

# Seconds beyond the stated time in which a thread that waits is left to end.
_MORE = 2.0


def joined(
    address: str, timeout: float, security: distributed.Security | None = None, *, set_as_default: bool = True
) -> distributed.Client:
    """Return a client of the scheduler at an address.

    Parameters
    ----------
    address : str
    timeout : float
        Seconds for its first answer, and again for the connection.
    security : distributed.Security, optional
    set_as_default : bool
        As of `distributed.Client`.

    Raises
    ------
    ConnectionError
        If nothing answers in time, or something that is no scheduler does.
    """

    async def asked() -> str:
        arguments = {} if security is None else security.get_connection_args("client")
        async with rpc(address, timeout=timeout, connection_args=arguments) as server:
            found = await asyncio.wait_for(server.identity(), timeout)
        return str(found["type"])

    try:
        kind = in_other_thread(lambda: asyncio.run(asyncio.wait_for(asked(), timeout)), timeout + _MORE)
    except Exception as error:
        # Dask tells of its own time limit in an error of another class.
        if isinstance(error, TimeoutError) or "Timed out" in str(error):
            raise ConnectionError(f"no scheduler answers within {timeout:g} s") from error
        raise ConnectionError(one_line(error) or type(error).__name__) from error
    if kind != "Scheduler":
        raise ConnectionError(f"found a {kind.lower()}, not a scheduler")
    try:
        client: distributed.Client = in_other_thread(
            lambda: distributed.Client(address, timeout=timeout, security=security, set_as_default=set_as_default),
            timeout + _MORE,
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise ConnectionError(one_line(error)) from error
    return client
