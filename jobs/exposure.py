"""Exposure between groups by region; `python jobs/exposure.py --help` shows examples."""

from typing import Annotated

import typer

from geomob_dask import cli
from geomob_dask.errors import InputError
from geomob_dask.frames.exposure import Reported
from geomob_dask.lift.exposure import Options
from geomob_dask.metrics.exposure import Mode
from geomob_dask.metrics.quality import SUPPRESSION_THRESHOLD
from geomob_dask.outputs import exposure as outputs
from geomob_dask.outputs.exposure_report import map_result, write_report
from geomob_dask.outputs.tables import check_export, check_folder
from geomob_dask.runs.exposure import Request, execute, prepare, result
from geomob_dask.settings import load_settings
from geomob_dask.sources.reported import read_reported
from geomob_dask.sources.states import state_codes
from geomob_dask.sources.years import years_of
from geomob_dask.store import Store

app = cli.application(
    "Exposure of each group to everybody else in each region, with errors, bounds, quality and reasons.",
    """
    python jobs/exposure.py --dataset acs5_b03002 --year 2018 --by county --export counties.csv
    python jobs/exposure.py --dataset acs5_b03002 --year 2009-2023 --by county,cbsa,state --long counties_long.csv
    python jobs/exposure.py --dataset acs5_b03002 --year 2018 --by place --as published --report places.html
    python jobs/exposure.py --dataset acs5_b03002 --year 2018 --by place --reported place-populations.csv --least 75000
    python jobs/exposure.py --dataset mine --year 2018 --by county --groups my_groups.yaml --interactions pairs.csv
    """,
)


@app.command()
def exposure(
    dataset: Annotated[str, typer.Option(help="Name under which the counts were ingested.")],
    year: Annotated[str, typer.Option(help="A year, several separated by commas, or a span such as 2009-2023.")],
    by: Annotated[
        str,
        typer.Option(help="county, state, regions in the store (cbsa, place, …) or a column; several with commas."),
    ],
    states: cli.StatesOption = None,
    groups: Annotated[
        str | None, typer.Option(help="A .yaml file or a shipped grouping. [default: found from the columns]")
    ] = None,
    mode: Annotated[
        str, typer.Option("--as", help="How tracts partly in a region count: corrected, published, published-2023.")
    ] = Mode.CORRECTED.value,
    threshold: Annotated[
        float, typer.Option(help="Groups of this many people or fewer are suppressed.")
    ] = SUPPRESSION_THRESHOLD,
    reported: Annotated[
        str | None, typer.Option(help="A .csv of regions and reported people; a large difference fails the run.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Largest relative difference from reported people.")] = 0.05,
    least: Annotated[float, typer.Option(help="Only regions of this many reported people are compared.")] = 0.0,
    long: Annotated[str | None, typer.Option(help="Also write the published long form (county, place).")] = None,
    interactions: Annotated[
        str | None, typer.Option(help="Also write the share of each group around each other.")
    ] = None,
    map_file: Annotated[
        str | None, typer.Option("--map", help="Also write an interactive map (.html), offline.")
    ] = None,
    report: Annotated[str | None, typer.Option(help="Also write a one-page report (.html), for offline use.")] = None,
    export: cli.ExportOption = None,
    force: Annotated[bool, typer.Option("--force", help="Compute even if the store holds just this result.")] = False,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Compute, check and store exposures."""
    settings = load_settings(config, store=store, cluster=cluster)
    for file in (export, interactions):
        if file:
            check_export(file)
    for option, page in (("--report", report), ("--map", map_file)):
        if page:
            check_folder(option, page)
    options = Options(Mode.of(mode), threshold, interactions is not None)
    chosen = None if states is None else state_codes(states)
    kinds = [name.strip() for name in by.split(",")]
    years = years_of(year, "--year")
    where = Store(settings.store)
    prepared = [prepare(where, Request(dataset, one, kind, chosen, groups, options)) for one in years for kind in kinds]
    if long:
        outputs.check_long(long, prepared)
    if (report or map_file) and len(prepared) > 1:
        option = f"--report {report}" if report else f"--map {map_file}"
        raise InputError(f"{option}: found {len(prepared)} results, expected one year and kind of region")
    totals = None
    if reported:
        if len(prepared) > 1:
            raise InputError(f"--reported {reported}: found several years or regions, expected one of each")
        totals = Reported(read_reported(reported, kinds[0], years[0]), tolerance, least)
    if dry_run:
        return cli.say([line for item in prepared for line in item.plan.lines()])
    todo = [item for item in prepared if force or not item.plan.done]
    if todo or map_file:
        with cli.cluster(settings) as client:
            if todo:
                execute(where, todo, client, cli.console, reported=totals)
            if map_file:
                map_result(where, prepared[0], map_file, client, cli.console)
    if totals is not None and not todo:
        totals.check(result(where, prepared[0])["people_count"])
    for item in prepared:
        cli.say(outputs.summary_lines(where, item))
    if export:
        outputs.export_results(where, prepared, export)
    if interactions:
        outputs.export_interactions(where, prepared, interactions)
    if long:
        outputs.export_long(where, prepared, long)
    if report:
        write_report(where, prepared[0], report, totals)
    return None


if __name__ == "__main__":
    cli.main(app)
