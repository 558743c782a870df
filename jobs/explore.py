"""Runs and results of a store in the browser; `python jobs/explore.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

import time
import webbrowser
from collections.abc import Mapping
from typing import Annotated

import distributed
import typer

from geomob_dask import cli, ending
from geomob_dask.activity import doing
from geomob_dask.clusters import effective
from geomob_dask.errors import InputError
from geomob_dask.explore import geometry
from geomob_dask.explore.chosen import View, view_of
from geomob_dask.explore.opening import STAYS, place_of, with_dashboard
from geomob_dask.explore.snapshot import write_snapshot
from geomob_dask.names import did_you_mean
from geomob_dask.outputs.tables import MAPS, check_file
from geomob_dask.runs.watchdog import check
from geomob_dask.settings import Settings, load_settings
from geomob_dask.sources.states import state_codes
from geomob_dask.store import Store

app = cli.application(
    "Open the page of runs and results in the Dask dashboard, for a store.",
    """
    python jobs/explore.py
    python jobs/explore.py --store s3://bucket/prefix --open
    python jobs/explore.py --cluster address
    python jobs/explore.py --result opportunity/mine --year 2023 --measure opportunity --states IN,OH
    python jobs/explore.py --result opportunity/mine --states OH --snapshot ohio.html
    python jobs/explore.py --prepare 2020
    """,
)


@app.command()
def explore(
    result: Annotated[
        str | None,
        typer.Option(help="A product, or more of a path, such as opportunity/mine. \\[default: the first]"),
    ] = None,
    year: Annotated[int | None, typer.Option(help="Of the result. \\[default: the newest]")] = None,
    measure: Annotated[str | None, typer.Option(help="Name or label of a measure. \\[default: the first]")] = None,
    states: cli.StatesOption = None,
    snapshot: Annotated[
        str | None,
        typer.Option(
            help="Write a map of the choice and what became of the newest backfill (.html, .png, .svg); start nothing."
        ),
    ] = None,
    prepare: Annotated[
        str | None, typer.Option(help="Only prepare the polygons of a vintage for the page, and end.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Also open it in this machine's browser.")] = False,
    dry_run: cli.EffectiveOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Start a cluster whose dashboard has the page, and say where it is; Ctrl-C ends both.

    Of a scheduler that runs already (--cluster address) the page stays there, and the job ends at once. Polygons are
    prepared for the page where they are not yet.
    """
    settings = load_settings(config, store=store, cluster=cluster)
    if snapshot:
        check_file("--snapshot", snapshot, MAPS)
    where = Store.of(settings)
    with doing("looking into the store"):
        _check_contents(where)
        view = _view(where, result, year, measure, states, always=bool(snapshot))
    if snapshot:
        assert view is not None  # a store without results was refused
        with doing(f"drawing {snapshot}"):
            write_snapshot(where, view, snapshot, cli.console)
        return cli.say([f"written: {snapshot}"])
    vintages = _vintages(where, prepare)
    if prepare is None:
        settings = with_dashboard(settings)
    if dry_run:
        return cli.say(effective(settings))
    with cli.cluster(settings) as client:
        for vintage in vintages:
            with doing(f"preparing polygons of vintage {vintage}"):
                cli.say(geometry.prepare(where, vintage, client, cli.console))
        if prepare is None:
            assert client is not None  # a section without a scheduler was refused
            _show(settings, client, where, {} if view is None else view.choices(), open_browser=open_browser)
    return None


def _show(
    settings: Settings, client: distributed.Client, store: Store, choices: Mapping[str, str], *, open_browser: bool
) -> None:
    """Say where the page is, and wait if the cluster ends with this job."""
    place = place_of(client, store, choices)
    cli.say([f"page: {place.url}"])
    if place.elsewhere:
        cli.say([f"the scheduler is on another machine: first run {place.tunnel}, then open the address where it runs"])
    elif place.tunnel:
        cli.say([f"from another machine: {place.tunnel}, then the same address there"])
    if open_browser and (place.elsewhere or not webbrowser.open(place.url)):
        # Before the tunnel a browser would find nothing.
        cli.say(["no browser was opened on this machine: open the address above in one"])
    if settings.section.kind in STAYS:
        return cli.say(["the page stays there as long as the scheduler runs"])
    return _wait(client)


def _view(
    store: Store, result: str | None, year: int | None, measure: str | None, states: str | None, *, always: bool
) -> View | None:
    """Return what is chosen; None where nothing is and the page, unlike a file, chooses by itself."""
    codes = None if states is None else state_codes(states)
    asked = any(one is not None for one in (result, year, measure, states))
    return view_of(store, result, year, measure, codes) if asked or always else None


def _vintages(store: Store, chosen: str | None) -> list[str]:
    """Return the vintages whose polygons are prepared: one, or all of the store."""
    there = [name.removeprefix("tracts/") for name in store.collections("tracts")]
    if chosen is not None and chosen not in there:
        raise InputError(f"--prepare {chosen}: no polygons of this vintage in the store; {did_you_mean(chosen, there)}")
    return there if chosen is None else [chosen]


def _wait(client: distributed.Client) -> None:
    """Wait for Ctrl-C; an error if the cluster is lost meanwhile."""
    try:
        # Whoever reads it may press it at once.
        cli.say(["Ctrl-C ends it"])
        # Nothing is being done that could be told of.
        with doing(list):
            while True:
                check(client)
                time.sleep(0.5)
    except ending.Interrupted:
        cli.say(["closing"])


def _check_contents(store: Store) -> None:
    if not store.objects.folders(""):
        raise InputError(
            f"store {store.url}: nothing is in it; expected a store that a job has written (--store, GEOMOB_STORE, or "
            "store in cluster.yaml)"
        )


if __name__ == "__main__":
    cli.main(app)
