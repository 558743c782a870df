"""Who can reach a cluster: TLS between its processes, and its dashboard."""

import datetime
import http.client
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from geomob_dask.clusters.described import is_loopback_host, link_and_tunnel
from geomob_dask.clusters.security import check
from geomob_dask.doctor.findings import Finding, Level, skipped, well
from geomob_dask.messages import listed, reason
from geomob_dask.sections.shared import Tls

_SOON = datetime.timedelta(days=7)
_ANSWERS = 5.0
# The page of a dashboard is not there.
_ABSENT = "status 404"


def encryption(scheduler: str, tls: Tls | None, section: str, now: datetime.datetime) -> list[Finding]:
    """Return whether connections are encrypted, and until when the certificate is valid.

    Parameters
    ----------
    scheduler : str
        Its address.
    tls : Tls, optional
        Of the section.
    section : str
        File and name of the section.
    """
    protocol, _, rest = scheduler.partition("://")
    if protocol not in ("tls", "wss", "gateway"):
        if protocol == "inproc" or is_loopback_host(rest.rpartition(":")[0].strip("[]")):
            return [well("tls", f"{scheduler}: not encrypted, on this machine alone")]
        return [
            Finding(
                "tls",
                Level.WARNING,
                f"{scheduler}: not encrypted: whoever reaches its port can run code as you",
                "a network of your own, or TLS",
                "tls: temporary, or files ca, certificate and key, in the section",
            )
        ]
    if tls is None or tls.temporary:
        return [well("tls", f"{scheduler}: encrypted")]
    until = check(tls, section)
    if until - now < _SOON:
        return [
            Finding(
                "tls",
                Level.WARNING,
                f"the certificate {tls.certificate} expires on {until:%Y-%m-%d %H:%M} UTC",
                f"one that is valid for more than {_SOON.days} days",
                "have it renewed before a long run",
            )
        ]
    return [well("tls", f"{scheduler}: encrypted, the certificate is valid until {until:%Y-%m-%d}")]


def dashboard(link: str, listens: Sequence[Sequence[Any]]) -> list[Finding]:
    """Return whether the dashboard can be reached from here, and what it listens on.

    Parameters
    ----------
    link : str
        Its address, as the client shows it.
    listens : sequence of (host, port)
        What the scheduler's server listens on; empty where it has none.
    """
    if not listens:
        return [skipped("dashboard", "the scheduler has none")]
    text = listed(f"{host}:{port}" for host, port in listens)
    found = []
    if not all(is_loopback_host(str(host)) for host, _ in listens):
        found.append(
            Finding(
                "dashboard",
                Level.WARNING,
                f"listens on {text}: whoever reaches it sees names of tasks, data and logs",
                "loopback, or a network of your own",
                "dashboard: 127.0.0.1:8787 in the section, and a tunnel: ssh -L 8787:127.0.0.1:8787 HOST",
            )
        )
    link, tunnel = link_and_tunnel(link)
    if tunnel:
        return [*found, well("dashboard", f"{link} after {tunnel}; it listens on {text} there")]
    why = _not_reached(link)
    if why == _ABSENT:
        return [*found, skipped("dashboard", f"the scheduler has none; it answers on {text} for its health alone")]
    if why:
        found.append(
            Finding(
                "dashboard",
                Level.WARNING,
                f"{link} cannot be reached from here ({why}); it listens on {text}",
                "an answer",
                f"a tunnel to the scheduler's machine: ssh -L 8787:{_of_tunnel(listens[0])} HOST",
            )
        )
    return found or [well("dashboard", f"{link} answers; it listens on {text}")]


def _of_tunnel(address: Sequence[Any]) -> str:
    host, port = address[:2]
    return f"{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"


def _not_reached(link: str) -> str:
    """Return why a page cannot be reached; empty if it answers."""
    parts = urlsplit(link)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_ANSWERS)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return reason(error)
    finally:
        connection.close()
    return "" if status < 400 else f"status {status}"
