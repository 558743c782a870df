"""Models of mobility; `python jobs/mobility.py --help` shows examples."""

from typing import Annotated

import typer

from geomob_dask import cli
from geomob_dask.definition import read_definition
from geomob_dask.errors import InputError
from geomob_dask.outputs import mobility as outputs
from geomob_dask.outputs.mobility_report import write_map, write_report
from geomob_dask.outputs.tables import check_export, check_folder
from geomob_dask.products.mobility_study import Universe
from geomob_dask.runs.mobility import Request, make_plan, result
from geomob_dask.runs.mobility_apply import (
    apply_model,
    apply_plan,
    check_target,
    dataset_year,
    given_model,
    stored_model,
)
from geomob_dask.runs.mobility_execute import execute, read_design
from geomob_dask.settings import load_settings
from geomob_dask.sources.states import state_codes
from geomob_dask.store import Store

app = cli.application(
    "Which attributes of a community go along with its children's mobility, how well they tell it, and where.",
    """
    python jobs/mobility.py --study zones --model elastic_net,forest,boosting --report mobility.html
    python jobs/mobility.py --study zones --classes 4 --folds stratified:5,states:5,contiguity:5:1 --export zones.csv
    python jobs/mobility.py --study tracts --measures opportunity:2018 --model elastic_net --map tracts.html
    python jobs/mobility.py --study zones --model all --repeats 10 --seed 7 --save models
    python jobs/mobility.py --with-model models/elastic_net.model --apply opportunity:2018 --export predicted.csv
    """,
)


def _listed(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


@app.command()
def mobility(
    study: Annotated[str, typer.Option(help="Units: zones (commuting zones) or tracts.")] = "zones",
    model: Annotated[
        str, typer.Option(help="all, or logistic, elastic_net, forest, boosting, ordinal, separated by commas.")
    ] = "elastic_net",
    classes: Annotated[int, typer.Option(help="2: below and above the mean; 4: quartiles.")] = 2,
    folds: Annotated[
        str,
        typer.Option(
            help="How units are held out: stratified:FOLDS, states:FOLDS (whole states), contiguity:FOLDS:BUFFER "
            "(blocks of neighbours, and a buffer of so many steps left out); several separated by commas."
        ),
    ] = "stratified:5",
    repeats: Annotated[int, typer.Option(help="How often units are dealt out anew.")] = 5,
    seed: Annotated[int, typer.Option(help="Of folds, models and draws: the same seed, the same bytes.")] = 0,
    grid: Annotated[str, typer.Option(help="Settings that are searched: full, or small (a few of them).")] = "full",
    outcome: Annotated[
        str | None, typer.Option(help="Column of the outcome. [default: upward mobility; kir_pooled_p25 for tracts]")
    ] = None,
    features: Annotated[str | None, typer.Option(help="Only these columns, separated by commas.")] = None,
    every_zone: Annotated[
        bool, typer.Option("--every-zone", help="Zones: also those without a minority tract.")
    ] = False,
    vintage: Annotated[str, typer.Option(help="Zones: under which name they were ingested.")] = "1990",
    measures: Annotated[
        str | None, typer.Option(help="Tracts: datasets of the features, NAME:YEAR, separated by commas.")
    ] = None,
    outcomes: Annotated[
        str, typer.Option(help="Tracts: dataset of the outcome, NAME:YEAR.")
    ] = "opportunity_atlas:2018",
    definition: Annotated[
        str | None, typer.Option(help="Tracts: an index's definition; its measures are the features, with domains.")
    ] = None,
    population: Annotated[
        str | None, typer.Option(help="Population column, where the definition does not name it.")
    ] = None,
    states: cli.StatesOption = None,
    apply: Annotated[
        str | None, typer.Option(help="Also apply the fitted model to tracts of a dataset, NAME:YEAR.")
    ] = None,
    with_model: Annotated[
        str | None, typer.Option("--with-model", help="With --apply: a model file; nothing is trained.")
    ] = None,
    save: Annotated[str | None, typer.Option(help="Also write model files and cards to a folder.")] = None,
    report: Annotated[str | None, typer.Option(help="Also write a report (.html), for offline use.")] = None,
    map_file: Annotated[
        str | None, typer.Option("--map", help="Also write a large map of the first model (.html), offline.")
    ] = None,
    export: cli.ExportOption = None,
    force: Annotated[bool, typer.Option("--force", help="Compute even if the store holds just this result.")] = False,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Validate, fit, explain and store models of mobility."""
    settings = load_settings(config, store=store, cluster=cluster)
    if export:
        check_export(export)
    for option, file in (("--report", report), ("--map", map_file), ("--save", f"{save}/file" if save else None)):
        if file:
            check_folder(option, file)
    where = Store(settings.store)
    target = None if apply is None else dataset_year(apply, "--apply")
    if with_model:
        if target is None:
            raise InputError("--with-model: found no --apply; expected a dataset, such as --apply opportunity:2018")
        given = given_model(with_model)
        applying = apply_plan(where, given, target)
        if dry_run:
            return cli.say(applying.lines())
        with cli.cluster(settings) as client:
            applied = apply_model(where, given, applying, client, cli.console, force=force)
        cli.say(outputs.applied_lines(where, applied))
        return outputs.export_applied(where, applied, export) if export else None
    universe = Universe(
        study,
        outcome=outcome,
        features=_listed(features),
        vintage=vintage,
        cohort=not every_zone,
        measures=tuple(dataset_year(one, "--measures") for one in _listed(measures) or ()),
        outcomes=dataset_year(outcomes, "--outcomes"),
        definition=None if definition is None else read_definition(definition, population=population),
        states=None if states is None else state_codes(states),
    )
    request = Request(universe, _listed(model) or (), classes, _listed(folds) or (), repeats, seed, grid)
    plan = make_plan(where, request)
    if target:
        check_target(where, target, request.universe.features or ())
    if dry_run:
        # Of zones, all that a run would be refused for is cheap to find out.
        if study == "zones" and (force or not plan.done):
            read_design(where, request, plan, target)
        return cli.say(plan.lines())
    if force or not plan.done or target:
        with cli.cluster(settings) as client:
            if force or not plan.done:
                execute(where, request, plan, client, cli.console, target)
            if target:
                for name in request.names:
                    one = stored_model(where, request, name)
                    applying = apply_plan(where, one, target)
                    applied = apply_model(where, one, applying, client, cli.console, force=force)
                    cli.say(outputs.applied_lines(where, applied))
    found = result(where, request)
    cli.say(outputs.summary_lines(where, request, found))
    if save:
        cli.say([f"  wrote {file}" for file in outputs.save_models(where, found, save)])
    if export:
        outputs.export_result(where, request, found, export)
    if report:
        write_report(found, outputs.polygons(where, request, found), report)
    if map_file:
        write_map(found, outputs.polygons(where, request, found), map_file)
    return None


if __name__ == "__main__":
    cli.main(app)
