"""Many products, years and states in one run; `python jobs/backfill.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

from contextlib import nullcontext
from typing import Annotated, cast, get_args

import typer

from geomob_dask import cli
from geomob_dask.activity import doing
from geomob_dask.clusters import effective, threads_of
from geomob_dask.errors import InputError, RunError
from geomob_dask.messages import counted
from geomob_dask.names import check_name
from geomob_dask.outputs.backfill import (
    cube_lines,
    planned_lines,
    planned_table,
    result_lines,
    result_table,
    status_lines,
    status_table,
)
from geomob_dask.outputs.csv_text import check_csv_text
from geomob_dask.outputs.provenance import record
from geomob_dask.outputs.tables import TABLES, check_file
from geomob_dask.outputs.tables import export as export_table
from geomob_dask.runs.backfill.cubes import write_cubes
from geomob_dask.runs.backfill.file import is_backfill_file, read_backfill
from geomob_dask.runs.backfill.plan import Asked, Order, check_runnable, plan_backfill
from geomob_dask.runs.backfill.status import status_of_name, status_of_plan
from geomob_dask.runs.engine import execute
from geomob_dask.runs.planning import Reprocess
from geomob_dask.settings import load_settings
from geomob_dask.sources.states import state_codes
from geomob_dask.sources.years import years_of
from geomob_dask.store import Store

app = cli.application(
    "Compute many products of many years and states; what is there and up to date is not computed again.",
    """
    python jobs/backfill.py night.yaml --years 2009:2023
    python jobs/backfill.py night.yaml --years 2009:2023 --dry-run
    python jobs/backfill.py night.yaml --years 2009:2023 --dry-run --reasons
    python jobs/backfill.py night.yaml --years 2020,2022-2023 --states IN,OH --products counties
    python jobs/backfill.py night.yaml --years 2009:2023 --reprocess failed --order oldest
    python jobs/backfill.py status night.yaml --years 2009:2023
    python jobs/backfill.py status night --export status.csv
    """,
    default=True,
)


@app.command()
def backfill(
    file: Annotated[str, typer.Argument(help="A .yaml file of products: docs/backfill.md.")],
    years: Annotated[
        str | None, typer.Option(help="Such as 2009:2023 or 2018,2020-2023. \\[default: those of the file]")
    ] = None,
    states: cli.StatesOption = None,
    products: Annotated[
        str | None, typer.Option(help="Products of the file, separated by commas. \\[default: all]")
    ] = None,
    reprocess: Annotated[
        str,
        typer.Option(
            help="Which outputs are computed besides missing ones: none; failed; stale (failed, and those of which an "
            "input, definition or version changed); all."
        ),
    ] = "stale",
    order: Annotated[str, typer.Option(help="Which years come first: newest or oldest.")] = "newest",
    max_active: Annotated[
        int | None, typer.Option(help="Outputs that workers hold at once. \\[default: three per thread]")
    ] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out years without measures instead of refusing them.")
    ] = False,
    reasons: Annotated[
        bool,
        typer.Option(
            "--reasons",
            help="List every reason of refused and failed outputs, not the first 20; with --dry-run also those of "
            "earlier runs, from the journal.",
        ),
    ] = False,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Compute what is missing or out of date; a run that was stopped goes on where it ended."""
    settings = load_settings(config, store=store, cluster=cluster)
    for option, given, allowed in (("reprocess", reprocess, get_args(Reprocess)), ("order", order, get_args(Order))):
        if given not in allowed:
            raise InputError(f"--{option} {given}: expected {', '.join(allowed)}")
    if max_active is not None and max_active < 1:
        raise InputError(f"--max-active {max_active}: expected 1 or more")
    asked = _asked(
        products,
        years,
        states,
        reprocess=cast(Reprocess, reprocess),
        order=cast(Order, order),
        skip_missing=skip_missing,
    )
    where = Store.of(settings)
    with doing("planning"):
        plan = plan_backfill(where, read_backfill(file), asked)
    small = plan.small() and not plan.cubes
    if dry_run:
        configuration = effective(settings, small=small)
        cli.say([*planned_table(plan), *planned_lines(where, plan, threads_of(settings), every=reasons)])
        cli.say(configuration)
        return check_runnable(plan, due=True)
    cli.say(list(plan.left_out))
    check_runnable(plan)
    with cli.cluster(settings, small=small) if plan.computes else nullcontext() as client:
        result = execute(where, plan, client, cli.console, max_active=max_active)
        cli.say([*result_table(plan, result), *result_lines(where, plan, result, every=reasons)])
        cubes = [] if result.stopped else write_cubes(where, plan, client, cli.console)
    cli.say(cube_lines(cubes))
    broken = [cube.name for cube in cubes if cube.error]
    if not result.fine or broken:
        why = [result.stopped] if result.stopped else []
        why += [f"{counted(len(result.failed), 'output')} failed"] if result.failed else []
        why += (
            [f"{result.failed_before:,} that failed before are left as they are (--reprocess failed)"]
            if result.failed_before
            else []
        )
        why += [f"{result.left:,} are not done"] if result.left else []
        why += [f"cubes not written: {', '.join(broken)}"] if broken else []
        raise RunError("; ".join(why))
    return None


@app.command()
def status(
    backfill: Annotated[str, typer.Argument(help="The backfill's .yaml file, or its name in the store.")],
    years: Annotated[
        str | None, typer.Option(help="With a file: such as 2009:2023. \\[default: those of the file]")
    ] = None,
    states: cli.StatesOption = None,
    products: Annotated[str | None, typer.Option(help="With a file: products of it. \\[default: all]")] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="With a file: leave out years without measures.")
    ] = False,
    export: Annotated[
        str | None, typer.Option("--export", help="Also write a table, a row per output: .csv or .parquet.")
    ] = None,
    csv_text: cli.CsvTextOption = "safe",
    store: cli.StoreOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Tell which outputs are done, running, failed (every reason), stale or to do; computes and writes nothing there.

    Exit code: 0 all are done; 1 some failed or are refused; 3 none failed, but some are not done; 2 bad usage or input.
    """
    check_csv_text(csv_text)
    if export:
        check_file("--export", export, TABLES)
    where = Store.of(load_settings(config, store=store))
    if is_backfill_file(backfill):
        asked = _asked(products, years, states, skip_missing=skip_missing)
        found = status_of_plan(where, plan_backfill(where, read_backfill(backfill), asked))
    else:
        given = {"--years": years, "--states": states, "--products": products, "--skip-missing": skip_missing}
        for option in (name for name, value in given.items() if value):
            raise InputError(f"{option}: expected the backfill's file; of the name {backfill} all outputs are shown")
        found = status_of_name(where, check_name(backfill, "backfill"))
    cli.say(status_lines(found))
    if export:
        choices = {"backfill": found.name, "planned": found.planned}
        about = record([], option="backfill status --export", choices=choices)
        export_table(status_table(found), export, csv_text=csv_text, record=about)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _asked(
    products: str | None,
    years: str | None,
    states: str | None,
    *,
    reprocess: Reprocess = "stale",
    order: Order = "newest",
    skip_missing: bool,
) -> Asked:
    return Asked(
        products=None if products is None else tuple(name.strip() for name in products.split(",")),
        years=None if years is None else years_of(years),
        states=None if states is None else state_codes(states),
        reprocess=reprocess,
        order=order,
        skip_missing=skip_missing,
    )


if __name__ == "__main__":
    cli.main(app)
