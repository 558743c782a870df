"""What the page consists of: one list of parts, their addresses, and how they are added to a dashboard.

A part is a tab of the page. It is a module with a `PART`, named in `PARTS`::

    PART = Part(
        name="results",                       # of the tab: #tab=results
        title="Results",
        routes=(Route(r"results/catalog", catalog),                 # geomob/results/catalog?store=…
                Route(r"results/([A-Za-z0-9_.-]{1,60})/values", values)),
        scripts=("tract_map.js", "results.js"),                     # of explore/static or outputs/static
        styles=("map.css", "results.css"),
    )

    def values(request: Request) -> Answer:
        name = request.choice(…)                                    # what is not of the catalog is a 404
        return request.cached(("values", checksum), lambda: Answer.of(body, "application/octet-stream"))

Addresses are relative everywhere, so that the page works behind any prefix. In the browser (`static/shell.js`)::

    geomob.tab("results", { start(element) {…}, show() {…}, hide() {…} });
    await geomob.json("results/catalog", { year: 2020 });           // also geomob.bytes(…); adds the store
    geomob.state.get("year"); geomob.state.set({ year: 2020 });     // in the URL's fragment; geomob.state.listen(f)
    const Bokeh = await geomob.bokeh();                             // loaded when it is first needed

Text from data goes into pages by `textContent`, never as HTML.
"""

from __future__ import annotations

import importlib
import mimetypes
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bokeh.util.paths import bokehjs_path

from geomob_dask.explore.serving import Answer, Explorer, Handler, Request, Route, UnknownError, files_in

# Modules of the parts, in the order of their tabs.
PARTS = ("geomob_dask.explore.board", "geomob_dask.explore.results")

_ENDINGS = (".js", ".css", ".svg")


@dataclass(frozen=True)
class Part:
    """A tab of the page; see the module.

    Parameters
    ----------
    name, title : str
    routes : tuple of Route
    scripts, styles : tuple of str
        Files, in order.
    """

    name: str
    title: str
    routes: tuple[Route, ...]
    scripts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()


def parts() -> tuple[Part, ...]:
    """Return the parts of the page."""
    return tuple(importlib.import_module(name).PART for name in PARTS)


@cache
def _files() -> dict[str, str]:
    """Return the paths of all files that may be asked for, by name."""
    import geomob_dask.outputs as outputs

    package = os.path.dirname(os.path.abspath(outputs.__file__))
    here = os.path.dirname(os.path.abspath(__file__))
    bokeh = os.path.join(bokehjs_path(), "js")
    return {
        **files_in(bokeh, ".min.js"),
        **files_in(os.path.join(package, "static"), *_ENDINGS),
        **files_in(os.path.join(here, "static"), *_ENDINGS),
    }


def static(request: Request) -> Answer:
    """Answer a file of the page, or one of BokehJS."""
    name = request.path[0]
    if name not in _files():
        raise UnknownError(f"no file {name!r} here")

    def made() -> Answer:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Answer.of(Path(_files()[name]).read_bytes(), f"{kind}; charset=utf-8")

    return request.cached(("file", name), made)


def _about(request: Request) -> Answer:
    """Answer what the page shows: its stores, and whether a scheduler runs."""
    scheduler = request.explorer.scheduler
    stores = [{"id": one, "url": url} for one, url in request.explorer.stores().items()]
    address = "" if scheduler is None else str(scheduler.address)
    return Answer.json({"stores": stores, "scheduler": address, "problem": request.explorer.problem})


def routes() -> Iterator[Route]:
    """Yield all routes below ``geomob/``."""
    yield Route(r"static/([A-Za-z0-9_.-]{1,80})", static)
    yield Route(r"about", _about, live=True)
    for part in parts():
        yield from part.routes


def add_to(scheduler: Any, explorer: Explorer) -> None:
    """Add the page to the dashboard of a scheduler: its addresses, and its link to the navigation bar."""
    from distributed.dashboard.scheduler import template_variables

    from geomob_dask.explore.page import page

    prefix = prefix_of(scheduler)
    base = f"/{prefix}/geomob" if prefix else "/geomob"
    rules = [(re.escape(base), Handler, {"explorer": explorer, "route": Route("", page)})]
    for route in routes():
        rules.append((f"{re.escape(base)}/{route.pattern}", Handler, {"explorer": explorer, "route": route}))
    # A slash more would turn every relative address of the page into another.
    rules.append((f"{re.escape(base)}(/.*)", Handler, {"explorer": explorer, "route": None}))
    scheduler.http_application.add_handlers(r".*$", rules)
    # The same list that every page of the dashboard renders.
    pages = template_variables(scheduler)["pages"]
    if "geomob" not in pages:
        pages.insert(len(pages) - 1, "geomob")


def dashboard_of(scheduler: Any) -> Any:
    """Return the Bokeh application of a scheduler's dashboard; None where it has none."""
    found = getattr(scheduler.http_application, "applications", [])
    return next((one for one in found if hasattr(one, "app_paths")), None)


def prefix_of(scheduler: Any) -> str:
    """Return the prefix of a scheduler's dashboard, without slashes; empty without one."""
    return str(dashboard_of(scheduler).prefix or "").strip("/")
