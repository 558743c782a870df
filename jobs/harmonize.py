"""Measures of many years on the tracts of one vintage; `python jobs/harmonize.py --help` shows examples."""

from typing import Annotated

import typer

from geomob_dask import cli
from geomob_dask.errors import InputError
from geomob_dask.outputs.harmonize import export_results, summary_lines
from geomob_dask.outputs.tables import check_export
from geomob_dask.runs.harmonize import Request, execute, prepare, stored_report
from geomob_dask.settings import load_settings
from geomob_dask.sources.kinds import read_kinds
from geomob_dask.sources.prices import SHIPPED
from geomob_dask.sources.relationships import RelationColumns
from geomob_dask.sources.states import state_codes
from geomob_dask.sources.years import years_of
from geomob_dask.store import Store

app = cli.application(
    "Bring measures of any year to the tracts of one vintage: counts by weight, shares anew, medians one to one.",
    """
    python jobs/harmonize.py --dataset acs5_b01003 --years 2020-2024 --to 2022
    python jobs/harmonize.py --dataset acs5_b19113 --years 2020-2024 --to 2022 --dollars 2023 --as income
    python jobs/harmonize.py --dataset acs5_b03002 --years 2015-2019 --to 2022 --relationship tab20_tract20_tract10.txt
    python jobs/harmonize.py --dataset race --years 2000 --to 2020 --crosswalk tract_2000_to_2020.parquet --lost 0.01
    python jobs/harmonize.py --dataset mine --years 2018 --to 2020 --crosswalk mine.csv --kinds kinds.yaml
    """,
)


@app.command()
def harmonize(
    dataset: Annotated[str, typer.Option(help="Name under which the measures were ingested.")],
    years: Annotated[str, typer.Option(help="A year, several separated by commas, or a span such as 2020-2024.")],
    to: Annotated[str, typer.Option(help="Vintage of the result: 2000, census2010, 2010, 2020 or 2022.")],
    source: Annotated[
        str | None, typer.Option("--from", help="Vintage of the measures. [default: as they were ingested]")
    ] = None,
    crosswalk: Annotated[
        str | None, typer.Option(help="Shares of tracts in tracts: source, target, weight, or a form that is known.")
    ] = None,
    relationship: Annotated[
        str | None, typer.Option(help="A relationship file of the Census Bureau (tab20_tract20_tract10_….txt).")
    ] = None,
    source_column: Annotated[str | None, typer.Option(help="Of a crosswalk of another form.")] = None,
    target_column: Annotated[str | None, typer.Option(help="Of a crosswalk of another form.")] = None,
    weight: Annotated[
        str | None, typer.Option(help="Column of shares or amounts. [default: by the form; land]")
    ] = None,
    amounts: Annotated[
        bool, typer.Option("--amounts", help="The weights are amounts (people, area), not shares.")
    ] = False,
    least: Annotated[float, typer.Option(help="Leave out links with a smaller share of the source: slivers.")] = 0.0,
    kinds: Annotated[
        str | None, typer.Option(help="A .yaml that says of columns: count, moe, share, mean, median, index, key.")
    ] = None,
    new: Annotated[
        str | None, typer.Option("--as", help="Name of the result. [default: dataset, vintage and dollars]")
    ] = None,
    dollars: Annotated[int | None, typer.Option(help="State money in dollars of this year.")] = None,
    prices: Annotated[str, typer.Option(help="Index of prices: cpi_u, or a .csv of year, index.")] = SHIPPED,
    lost: Annotated[float, typer.Option(help="Largest share of a count that may lie in no target.")] = 0.0,
    medians: Annotated[
        str, typer.Option(help="A median that would be split or merged: refuse, or missing there.")
    ] = "refuse",
    states: cli.StatesOption = None,
    export: cli.ExportOption = None,
    force: Annotated[bool, typer.Option("--force", help="Compute even if the store holds just this result.")] = False,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Convert, check that nobody is lost, and store."""
    settings = load_settings(config, store=store, cluster=cluster)
    if export:
        check_export(export)
    if crosswalk and relationship:
        raise InputError(f"--crosswalk {crosswalk}, --relationship {relationship}: found both, expected one of them")
    if amounts and weight is None:
        raise InputError("--amounts: found no --weight, expected the column of the amounts")
    given = {} if kinds is None else read_kinds(kinds)
    columns = RelationColumns(source_column, target_column, weight, amounts)
    chosen = None if states is None else state_codes(states)
    where = Store(settings.store)
    requests = [
        Request(
            dataset,
            year,
            to,
            new,
            source,
            crosswalk or relationship,
            columns,
            least,
            given,
            dollars,
            prices,
            lost,
            medians,
            chosen,
        )
        for year in years_of(years)
    ]
    prepared = prepare(where, requests)
    if dry_run:
        return cli.say([line for item in prepared for line in item.plan.lines()])
    todo = [item for item in prepared if force or not item.plan.done]
    if todo:
        with cli.cluster(settings) as client:
            execute(where, todo, client, cli.console)
    for item in prepared:
        cli.say(summary_lines(where, item, stored_report(where, item)))
    if export:
        export_results(where, prepared, export)
    return None


if __name__ == "__main__":
    cli.main(app)
