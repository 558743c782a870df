"""Segregation of regions; `python jobs/segregation.py --help` shows examples."""

from typing import Annotated

import typer

from geomob_dask import cli
from geomob_dask.errors import InputError
from geomob_dask.outputs.segregation import export_local, export_results, summary_lines
from geomob_dask.outputs.segregation_report import write_report
from geomob_dask.outputs.tables import check_export, check_folder
from geomob_dask.runs.people import Universe, codes_of
from geomob_dask.runs.segregation import CUTOFF_KM, LEVELS, Inference, Request, execute, has_local, prepare
from geomob_dask.settings import load_settings
from geomob_dask.sources.brackets import load_categories
from geomob_dask.sources.years import years_of
from geomob_dask.store import Store

app = cli.application(
    "Segregation of regions: two-group, multi-group, ordinal, rank-order, nested and spatial indices, with inference.",
    """
    python jobs/segregation.py --dataset income --year 2023 --by cbsa --groups b19001 --export segregation.csv
    python jobs/segregation.py --dataset acs5_b03002 --year 2018 --by county --groups b03002_four --report page.html
    python jobs/segregation.py --dataset income --year 2023 --groups b19001 --indices multigroup_gini --draws 1000
    python jobs/segregation.py --dataset metros --year 2017,2018 --by metro --groups b19001 --change --export years.csv
    """,
)


@app.command()
def segregation(
    dataset: Annotated[str, typer.Option(help="Name under which the counts were ingested.")],
    year: Annotated[str, typer.Option(help="A year, several separated by commas, or a span such as 2017-2023.")],
    groups: Annotated[
        str,
        typer.Option(help="Shipped brackets or groups, a .yaml file, or columns separated by commas, a group each."),
    ],
    by: Annotated[
        str, typer.Option(help="Regions: county, state, nation, regions in the store, or a column of the measures.")
    ] = "cbsa",
    indices: Annotated[str, typer.Option(help="all, or names of the catalogue separated by commas.")] = "all",
    merge: Annotated[
        str | None, typer.Option(help="Merge brackets: a named rule, a number of equal classes, or classes 0,0,1,1,…")
    ] = None,
    regions: Annotated[str | None, typer.Option(help="Only these, codes separated by commas. [default: all]")] = None,
    missing: Annotated[str, typer.Option(help="A tract without one of its counts: refuse, or leave-out.")] = "refuse",
    draws: Annotated[int, typer.Option(help="Random draws for p-values and intervals.")] = 0,
    null: Annotated[
        str, typer.Option(help="What is drawn for p-values: evenness, or units or persons that change places.")
    ] = "evenness",
    interval: Annotated[
        str, typer.Option(help="What is resampled for intervals: persons, units, moe (margins of error), or none.")
    ] = "persons",
    seed: Annotated[int, typer.Option(help="Of the draws: the same seed gives the same draws anywhere.")] = 0,
    cutoff: Annotated[
        float, typer.Option(help="Spatial proximity: pairs further apart, in km, are left out.")
    ] = CUTOFF_KM,
    levels: Annotated[
        str, typer.Option(help="Nested indices: areas between region and tract, from wide to narrow.")
    ] = ",".join(LEVELS),
    change: Annotated[
        bool, typer.Option("--change", help="Decompose the change of M and H from each year to the next.")
    ] = False,
    export: cli.ExportOption = None,
    local: Annotated[
        str | None, typer.Option(help="Also write scores of single tracts: local divergence, location quotients.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(help="Write a report (.html): curves, indices, years side by side.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute even if the store holds just this result.")] = False,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Compute indices of segregation for every region."""
    settings = load_settings(config, store=store, cluster=cluster)
    for file in (export, local):
        if file:
            check_export(file)
    if report:
        check_folder("--report", report)
    years = years_of(year, "--year")
    if change and len(years) < 2:
        raise InputError(f"--change: found the year {year} alone, expected two or more")
    categories, only = load_categories(groups), codes_of(regions, "--regions")
    inference = Inference(draws, null, interval, seed)
    where = Store(settings.store)
    prepared = [
        prepare(
            where,
            Request(
                Universe(dataset, one, categories, by, regions=only, merge=merge, missing=missing),
                indices=tuple(name.strip() for name in indices.split(",")),
                inference=inference,
                cutoff=cutoff,
                levels=tuple(level.strip() for level in levels.split(",")),
                since=years[place - 1] if change and place else None,
            ),
        )
        for place, one in enumerate(years)
    ]
    if dry_run:
        return cli.say([line for item in prepared for line in item.plan.lines()])
    due = [item for item in prepared if force or not item.plan.done or (local and not has_local(where, item))]
    if due:
        with cli.cluster(settings) as client:
            for item in due:
                execute(where, item, client, cli.console, local=local is not None)
    requests = [item.request for item in prepared]
    cli.say([line for request in requests for line in summary_lines(where, request)])
    if export:
        export_results(where, requests, export)
    if local:
        export_local(where, requests, local)
    if report:
        write_report(where, requests, report)
    return None


if __name__ == "__main__":
    cli.main(app)
