"""Income mixing of tracts; `python jobs/mixing.py --help` shows examples."""

from typing import Annotated

import typer

from geomob_dask import cli
from geomob_dask.outputs.mixing import export_results, summary_lines
from geomob_dask.outputs.mixing_report import write_map, write_report
from geomob_dask.outputs.tables import check_export, check_folder
from geomob_dask.runs.mixing import Request, execute, make_plan
from geomob_dask.runs.people import Universe, codes_of
from geomob_dask.settings import load_settings
from geomob_dask.sources.brackets import load_brackets
from geomob_dask.sources.states import state_codes
from geomob_dask.sources.years import years_of
from geomob_dask.store import Store

app = cli.application(
    "Income mixing of every tract against its region: divergence D, entropy index H, Wasserstein W, composition.",
    """
    python jobs/mixing.py --dataset income --year 2023 --by cbsa --export mixing.csv
    python jobs/mixing.py --dataset income --year 2023 --regions 31080,41860 --positions middle --map mixing.html
    python jobs/mixing.py --dataset census --year 2016 --brackets deciles --merge quintiles --by county
    python jobs/mixing.py --dataset metros --year 2017,2018 --by metro --report mixing.html
    """,
)


@app.command()
def mixing(
    dataset: Annotated[str, typer.Option(help="Name under which the measures were ingested.")],
    year: Annotated[str, typer.Option(help="A year, several separated by commas, or a span such as 2017-2023.")],
    by: Annotated[
        str, typer.Option(help="Regions: county, state, nation, regions in the store, or a column of the measures.")
    ] = "cbsa",
    brackets: Annotated[str, typer.Option(help="A .yaml file, or the name of one that is shipped.")] = "b19001",
    positions: Annotated[
        str, typer.Option(help="Where brackets lie, for W: unit (1 apart), middle, or numbers separated by commas.")
    ] = "unit",
    merge: Annotated[
        str | None, typer.Option(help="Merge brackets: a named rule, a number of equal classes, or classes 0,0,1,1,…")
    ] = None,
    weight: Annotated[float, typer.Option(help="Weight of D in the mixture of D and W, 0 to 1.")] = 0.5,
    regions: Annotated[str | None, typer.Option(help="Only these, codes separated by commas. [default: all]")] = None,
    states: cli.StatesOption = None,
    missing: Annotated[str, typer.Option(help="A tract without one of its counts: refuse, or leave-out.")] = "refuse",
    export: cli.ExportOption = None,
    map_file: Annotated[
        str | None, typer.Option("--map", help="Write the three-colour map (.html), for offline use.")
    ] = None,
    report: Annotated[str | None, typer.Option(help="Write a report (.html) with map and tables.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute even if the store holds just this result.")] = False,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Compute D, H, W and the low, middle and high shares of every tract."""
    settings = load_settings(config, store=store, cluster=cluster)
    if export:
        check_export(export)
    for option, file in (("--map", map_file), ("--report", report)):
        if file:
            check_folder(option, file)
    definition, chosen = load_brackets(brackets), None if states is None else state_codes(states)
    only = codes_of(regions, "--regions")
    where = Store(settings.store)
    requests = [
        Request(
            Universe(dataset, one, definition, by, regions=only, merge=merge, missing=missing),
            positions=positions,
            weight=weight,
            states=chosen,
        )
        for one in years_of(year, "--year")
    ]
    plans = [make_plan(where, request) for request in requests]
    if dry_run:
        return cli.say([line for plan in plans for line in plan.lines()])
    due = [pair for pair in zip(requests, plans, strict=True) if force or not pair[1].done]
    if due:
        with cli.cluster(settings) as client:
            for request, plan in due:
                execute(where, request, plan, client, cli.console)
    cli.say([line for request in requests for line in summary_lines(where, request)])
    if export:
        export_results(where, requests, export)
    if map_file:
        write_map(where, requests, map_file)
    if report:
        write_report(where, requests, report)
    return None


if __name__ == "__main__":
    cli.main(app)
