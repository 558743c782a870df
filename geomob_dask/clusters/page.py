"""The page `/geomob` of the dashboard: what schedulers that this package starts load, and how others get it."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import dask
import distributed

from geomob_dask.errors import GeomobError
from geomob_dask.runs.other_thread import in_other_thread
from geomob_dask.settings import Settings
from geomob_dask.store.address import parse_address

PRELOAD = "geomob_dask.explore.preload"
# Dask's settings of the page: the store that it shows, and the seconds that a request to it may take.
STORE, TIMEOUT = "geomob.store", "geomob.store-timeout"
# Seconds for a scheduler that already runs to load the page.
_LOADS = 20.0


def page_settings() -> dict[str, Any]:
    """Return Dask's settings of a scheduler that loads the page; it shows the store that is `shown` here."""
    others = [one for one in dask.config.get("distributed.scheduler.preload") if one != PRELOAD]
    store = {name: dask.config.get(name, None) for name in (STORE, TIMEOUT)}
    return {
        "distributed.scheduler.preload": [*others, PRELOAD],
        **{name: value for name, value in store.items() if value is not None},
    }


@contextlib.contextmanager
def shown(settings: Settings) -> Iterator[None]:
    """Have schedulers that are started meanwhile show the store of the settings."""
    try:
        url = parse_address(settings.store).url
    except GeomobError:
        # Whoever uses the store says what is wrong with it.
        yield
        return
    with dask.config.set({STORE: url, TIMEOUT: settings.store_timeout}):
        yield


def offered(client: distributed.Client, url: str | None = None, timeout: float | None = None) -> dict[str, Any] | None:
    """Add the page to the dashboard of a scheduler that already runs, or the store to those that its page shows.

    Parameters
    ----------
    client : distributed.Client
    url : str, optional
        Of the store; by default the one that is `shown`.
    timeout : float, optional
        Seconds that a request to it may take.

    Returns
    -------
    dict or None
        ``path`` of the page and ``stores`` that it shows, by id; None where the scheduler has no dashboard, does not
        allow it, or has no such package: a run does without.
    """
    given = (url, timeout) if url is not None else (dask.config.get(STORE, None), dask.config.get(TIMEOUT, None))
    with contextlib.suppress(Exception):
        found: dict[str, Any] | None = in_other_thread(lambda: client.run_on_scheduler(_install, *given), _LOADS)
        return found
    return None


def _install(url: str | None, timeout: float | None, *, dask_scheduler: Any = None) -> Any:
    return importlib.import_module(PRELOAD).install(url, timeout, dask_scheduler=dask_scheduler)
