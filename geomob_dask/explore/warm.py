"""What the first visitor of a page would wait for, made beforehand: files, and answers about a store's first result."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

from geomob_dask.explore import results
from geomob_dask.explore.page import page
from geomob_dask.explore.routes import parts, static
from geomob_dask.explore.serving import Answer, Explorer, Request

logger = logging.getLogger(__name__)

# Of the ranking, as `static/explore_results.js` asks for them where there is room.
_ROWS = 25


def warm(explorer: Explorer, store: str) -> threading.Thread:
    """Begin to make ready what a first visitor asks for, in a thread that nobody waits for; return it.

    What fails is given up: whoever asks for it is told why. It ends with the explorer's pool. It rests between two
    answers while visitors are answered; what one of them asks for meanwhile is made once, as always (`Cache.of`).

    Parameters
    ----------
    explorer : Explorer
    store : str
        Id of one of its stores.
    """
    # A daemon: the end of the process would wait for others, and storage that does not answer is waited for in it.
    # What is computed is computed by the pool, whose threads the end of the process waits for.
    thread = threading.Thread(target=_tried, args=(explorer, store), name="geomob-warm", daemon=True)
    thread.start()
    return thread


def _tried(explorer: Explorer, store: str) -> None:
    try:
        _warm(explorer, store)
    except Exception as error:
        logger.debug("the page of store %s is not made ready before it is asked for: %s", store, error)


def _warm(explorer: Explorer, store: str) -> None:
    def ask(route: Callable[[Request], Answer], *path: str, **query: Any) -> Any:
        asked = Request(explorer, path, {"store": store, **{name: str(value) for name, value in query.items()}})
        explorer.rest()
        return explorer.pool.submit(route, asked).result()

    ask(page)
    for name in (name for part in parts() for name in (*part.scripts, *part.styles)):
        ask(static, name)
    explorer.rest()
    details = json.loads(results.catalog(Request(explorer, (), {"store": store})).plain())["details"]
    if details is None or not results.is_prepared(Request(explorer, (), {"store": store}), details["vintage"]):
        # Polygons of a small vintage are made for those who look at them.
        return
    where = {"entry": details["id"], "year": details["year"]}
    ask(results.units, **where)
    for what, unit in (("polygons", details["unit"]), ("borders", "county"), ("borders", "state")):
        ask(results.polygons, **where, level=0, what=what, of=unit)
    shown = {**where, "measure": details["measures"][0]["id"]}
    for route in (results.values, results.scale, results.histogram):
        ask(route, **shown)
    ask(results.table, **shown, limit=_ROWS)
    ask(results.search, **where, q="-")
