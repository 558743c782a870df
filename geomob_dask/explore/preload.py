"""Add the page to the dashboard of a scheduler.

``dask scheduler --preload geomob_dask.explore.preload``, or ``distributed.scheduler.preload`` in Dask's settings, which
this package's own clusters have. A scheduler that already runs gets it by `client.run_on_scheduler(install, url)`.
Nothing is added to a scheduler without a dashboard.
"""

from __future__ import annotations

from typing import Any

# Of the plugin that keeps what drivers tell, by which the page of a scheduler is found.
NAME = "geomob"


async def dask_setup(dask_scheduler: Any) -> None:
    """Add the page, with the store of the settings: ``geomob.store`` of Dask's, else those of jobs."""
    added(dask_scheduler)


def install(
    url: str | None = None, timeout: float | None = None, *, dask_scheduler: Any = None
) -> dict[str, Any] | None:
    """Add the page to a scheduler that already runs; where it is there, add the store to those that it shows.

    Parameters
    ----------
    url : str, optional
        Of a store.
    timeout : float, optional
        Seconds that a request to a bucket may take.

    Returns
    -------
    dict or None
        ``path`` of the page, and ``stores`` that it shows, by id; None where the scheduler has no dashboard.
    """
    explorer = added(dask_scheduler, url, timeout)
    if explorer is None:
        return None
    from geomob_dask.explore.routes import prefix_of

    prefix = prefix_of(dask_scheduler)
    return {"path": f"/{prefix}/geomob" if prefix else "/geomob", "stores": explorer.stores()}


def added(scheduler: Any, url: str | None = None, timeout: float | None = None) -> Any:
    """Return the explorer of a scheduler's page, which is added if it is not there; None without a dashboard."""
    # Loaded here: a scheduler without a dashboard does without Bokeh.
    if not any(hasattr(one, "app_paths") for one in getattr(scheduler.http_application, "applications", ())):
        return None
    from geomob_dask.explore.live import Boards
    from geomob_dask.explore.routes import add_to
    from geomob_dask.explore.serving import Explorer
    from geomob_dask.explore.warm import warm

    plugin = scheduler.plugins.get(NAME)
    if plugin is None:
        explorer = Explorer(scheduler)
        plugin = Boards(scheduler, explorer)
        scheduler.add_plugin(plugin, name=NAME)
        add_to(scheduler, explorer)
        if url is None:
            explorer.add_configured()
    if url is not None:
        plugin.explorer.add_store(url, timeout)
    explorer = plugin.explorer
    for one in explorer.stores().keys() - explorer.warmed.keys():
        explorer.warmed[one] = warm(explorer, one)
    return explorer
