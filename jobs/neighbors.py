"""Neighbour graph of a tract vintage; `python jobs/neighbors.py --help` shows examples."""

from typing import Annotated

import typer

from geomob_dask import cli
from geomob_dask.errors import SettingsError
from geomob_dask.outputs import tables
from geomob_dask.outputs.neighbors import summary_lines
from geomob_dask.runs.neighbors import Request, edges, execute, make_plan
from geomob_dask.settings import load_settings
from geomob_dask.sources.states import state_codes
from geomob_dask.store import Store

app = cli.application(
    "Neighbour graph of a tract vintage, across state lines: built once, stored, used for every year of it.",
    """
    python jobs/neighbors.py --vintage 2010
    python jobs/neighbors.py --vintage 2010 --contiguity rook --states OH,IN --export edges.csv
    python jobs/neighbors.py --vintage simplified --snap 10 --gap 10 --islands nearest:1
    """,
)


@app.command()
def neighbors(
    vintage: Annotated[str, typer.Option(help="Name under which the polygons were ingested.")],
    contiguity: Annotated[
        str, typer.Option(help="queen (share a point) or rook (share a line); both are stored.")
    ] = "queen",
    states: cli.StatesOption = None,
    snap: Annotated[
        float | None,
        typer.Option(help="Vertices closer than this are one, in map units. [default: a tenth of a millimetre]"),
    ] = None,
    gap: Annotated[
        float, typer.Option(help="Also join tracts whose outlines come closer than this, in map units.")
    ] = 0.0,
    islands: Annotated[str, typer.Option(help="Tracts without neighbours: none, or nearest:K.")] = "none",
    export: cli.ExportOption = None,
    force: Annotated[bool, typer.Option("--force", help="Build even if the store holds just this graph.")] = False,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Build the graph of all states of the vintage; --states and --contiguity choose what is exported."""
    settings = load_settings(config, store=store, cluster=cluster)
    chosen = None if states is None else state_codes(states)
    if export:
        tables.check_export(export)
    if contiguity not in ("queen", "rook"):
        raise SettingsError(f"--contiguity {contiguity}: expected queen or rook")
    request = Request(vintage, snap=snap, gap=gap, islands=islands)
    where = Store(settings.store)
    plan = make_plan(where, request)
    if dry_run:
        return cli.say(plan.lines())
    if not plan.done or force:
        with cli.cluster(settings) as client:
            execute(where, request, plan, client, cli.console)
    cli.say(summary_lines(where, request))
    if export:
        tables.export(edges(where, vintage, states=chosen, rook=contiguity == "rook").set_index("focal"), export)
    return None


if __name__ == "__main__":
    cli.main(app)
