"""Opportunity index of a dataset and year; `python jobs/opportunity.py --help` shows examples."""

from typing import Annotated

import typer

from geomob_dask import cli
from geomob_dask.definition import read_definition
from geomob_dask.outputs.opportunity import export_result, interval_lines, map_result, summary_lines
from geomob_dask.outputs.tables import check_export, check_folder
from geomob_dask.outputs.validation import Against, validation_lines, validation_table, write_validation
from geomob_dask.runs import intervals
from geomob_dask.runs.opportunity import Request, execute, prepare
from geomob_dask.settings import load_settings
from geomob_dask.sources.states import state_codes
from geomob_dask.store import Store

app = cli.application(
    "Opportunity index: imputed, standardised, ranked and transformed domains of each tract.",
    """
    python jobs/opportunity.py --definition sample --dataset sample --year 2020 --map map.html
    python jobs/opportunity.py --definition my_index.yaml --dataset acs --year 2018 --states IN,OH --export index.csv
    python jobs/opportunity.py --definition my_index.csv --dataset acs --year 2018 --norm state --dry-run
    python jobs/opportunity.py --definition my.yaml --dataset acs --year 2018 --validation v.csv --against atlas:2018
    python jobs/opportunity.py --definition my_index.csv --dataset acs --year 2019 --norm frozen:2018 --store s3://bucket/x
    """,
)


@app.command()
def opportunity(
    definition: Annotated[str, typer.Option(help="A .yaml or .csv file, or the name of one that is shipped.")],
    dataset: Annotated[str, typer.Option(help="Name under which the measures were ingested.")],
    year: Annotated[int, typer.Option(help="Year of the measures.")],
    states: cli.StatesOption = None,
    norm: Annotated[
        str,
        typer.Option(
            help="Whose neighbours, moments and ranks count: the selected states' together, each state's by itself, "
            "the nation's, or moments and ranks of a year already computed: selected, state, nation, frozen:YEAR."
        ),
    ] = "selected",
    population: Annotated[
        str | None, typer.Option(help="Population column, where the definition does not name it.")
    ] = None,
    steps: Annotated[bool, typer.Option("--steps", help="Keep every step in the result: z-scores, sums, …")] = False,
    export: cli.ExportOption = None,
    map_file: Annotated[
        str | None, typer.Option("--map", help="Write an interactive map (.html), for offline use.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Write what each domain explains, and correlations, as a table (.csv, .parquet).")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Correlate with DATASET:YEAR or DATASET:YEAR:COLUMN,… of the store; may be repeated."),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(help="Also draw the measures so often from their margins: 90 % intervals of index and rank."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Compute even if the store holds just this result.")] = False,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Compute the index of every tract of the chosen states, and what it is made of."""
    settings = load_settings(config, store=store, cluster=cluster)
    for file in (export, validation):
        if file:
            check_export(file)
    others = [Against.of(text) for text in against or []]
    if map_file:
        check_folder("--map", map_file)
    request = Request(
        read_definition(definition, population=population),
        dataset,
        year,
        states=None if states is None else state_codes(states),
        norm=norm,
        steps=steps,
    )
    where = Store(settings.store)
    prepared = prepare(where, request)
    plan = prepared.plan
    drawn = None if draws is None else intervals.ask(where, prepared, draws, seed)
    if dry_run:
        return cli.say(plan.lines() + ([] if drawn is None else drawn.plan.lines()))
    to_draw = drawn is not None and (force or not drawn.plan.done)
    if not plan.done or force or map_file or to_draw:
        with cli.cluster(settings) as client:
            if not plan.done or force:
                execute(where, request, plan, client, cli.console)
            if drawn is not None and to_draw:
                intervals.execute(where, drawn, client, cli.console)
            if map_file:
                map_result(where, request, map_file, client, cli.console)
    cli.say(summary_lines(where, request, plan))
    bounds = None
    if drawn is not None:
        bounds = intervals.result(where, drawn)
        cli.say(interval_lines(bounds, drawn.margins, request.definition))
    if validation or others:
        table = validation_table(where, request, others)
        cli.say(validation_lines(table))
        if validation:
            write_validation(table, validation)
    if export:
        export_result(where, request, export, bounds)
    return None


if __name__ == "__main__":
    cli.main(app)
