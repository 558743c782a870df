"""Where the page of a cluster is, and what its address chooses there."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

import distributed

from geomob_dask.clusters.described import is_loopback_host, link_and_tunnel
from geomob_dask.clusters.page import offered
from geomob_dask.errors import RunError, SettingsError
from geomob_dask.explore.serving import store_id
from geomob_dask.sections import LocalSection
from geomob_dask.settings import Settings
from geomob_dask.store import Store

# Kinds whose cluster stays when a job ends.
STAYS = ("address", "gateway")
_ALL_INTERFACES = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Place:
    """Where the page is.

    Attributes
    ----------
    url : str
        With the choices in its fragment.
    tunnel : str
        The command by which another machine reaches it; empty where it needs none.
    elsewhere : bool
        Whether this machine too needs that command, since the scheduler is on another one.
    """

    url: str
    tunnel: str
    elsewhere: bool = False


def with_dashboard(settings: Settings) -> Settings:
    """Return the settings with a cluster for the page: this machine's workers are threads, and have a dashboard.

    Raises
    ------
    SettingsError
        If the cluster has no scheduler.
    """
    section = settings.section
    if section.kind == "serial":
        raise SettingsError(
            f"--cluster {settings.cluster}: has no scheduler, and so no dashboard; expected local, or another section "
            "of cluster.yaml"
        )
    if not isinstance(section, LocalSection):
        return settings
    shown = section.model_copy(update={"processes": False, "dashboard": section.dashboard})
    return settings.model_copy(update={"clusters": {**settings.clusters, settings.cluster: shown}})


def place_of(client: distributed.Client, store: Store, choices: Mapping[str, str]) -> Place:
    """Return where the page of a cluster is; it is added where it is not there.

    Parameters
    ----------
    client : distributed.Client
    store : Store
        That the page shows.
    choices : mapping of str to str
        What it shows of it; see `fragment`.

    Raises
    ------
    RunError
        If the scheduler has no dashboard, or does not take the page.
    """
    found = offered(client, store.url, store.objects.timeout)
    if found is None:
        raise RunError(
            f"scheduler {client.scheduler.address}: has no dashboard, or does not take the page; expected a scheduler "
            "with a dashboard and this package: dask scheduler --preload geomob_dask.explore.preload"
        )
    mine = store_id(store.url)
    if mine not in found["stores"]:
        raise RunError(
            f"scheduler {client.scheduler.address}: its page shows {len(found['stores'])} other stores already; "
            "expected a scheduler that was started again"
        )
    first = next(iter(found["stores"]))
    chosen = {**choices} if mine == first else {"store": mine, **choices}
    link, tunnel = link_and_tunnel(client.dashboard_link)
    parts = urlsplit(link)
    # The dashboard's link leads to its page of the status, behind whatever proxy the site has.
    path = f"{parts.path.rpartition('/')[0]}/geomob"
    host = parts.hostname or "127.0.0.1"
    if host in _ALL_INTERFACES:
        parts = parts._replace(netloc=f"{socket.gethostname()}:{parts.port}" if parts.port else socket.gethostname())
    url = urlunsplit((parts.scheme, parts.netloc, path, "", urlencode(chosen)))
    if tunnel:
        return Place(url, tunnel, elsewhere=True)
    if not is_loopback_host(host) or parts.port is None:
        return Place(url, "")
    tunnel = f"ssh -N -L {parts.port}:{host}:{parts.port} {getpass.getuser()}@{socket.gethostname()}"
    return Place(url, tunnel)
