"""The command line of a product, made from its options: one flag per field, and those of what the job shows."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Annotated, Any

import typer
from rich.markup import escape

from geomob_dask import cli
from geomob_dask.activity import doing
from geomob_dask.clusters import effective
from geomob_dask.outputs.result import Done, Flag, Outputs, notes, option_of
from geomob_dask.outputs.titles import using_title
from geomob_dask.products.catalog import product_named
from geomob_dask.products.product import Prepared, Product
from geomob_dask.runs.engine import run
from geomob_dask.runs.planning import Plan, Reprocess, make_plan
from geomob_dask.settings import load_limits, load_settings, using_limits
from geomob_dask.sources.measure_names import using_labels
from geomob_dask.sources.years import years_of
from geomob_dask.store import Store

# One option of products by year: it takes one year or several.
YEAR_FLAGS = ("--year", "--years")
_COMMON = {
    "force": Annotated[bool, typer.Option("--force", help="Compute again, even if the store holds this result.")],
    "dry_run": cli.DryRunOption,
    "store": cli.StoreOption,
    "cluster": cli.ClusterOption,
    "config": cli.ConfigOption,
}


def product_job(name: str, outputs: Outputs, examples: str) -> typer.Typer:
    """Return the command line of a product.

    Parameters
    ----------
    name : str
        Of the product in the catalog.
    outputs : Outputs
        What the job shows of results, with flags of its own.
    examples : str
        A line each, for `--help`.
    """
    app = cli.application(product_named(name).title, examples)
    app.command()(product_command(name, outputs))
    return app


def product_command(name: str, outputs: Outputs, left_out: Sequence[str] = ()) -> Callable[..., None]:
    """Return a function that typer makes the command of a product of; see `product_job`.

    Parameters
    ----------
    left_out : sequence of str
        Common flags that the command does not have.
    """
    product = product_named(name)
    flags = {flag: kind for flag, kind in _flags(product, outputs).items() if flag not in left_out}

    def command(**given: Any) -> None:
        limits = load_limits(given.get("config"))
        with using_limits(limits), using_labels(given.get("labels")), using_title(given.get("title")):
            run_product(product, outputs, given)

    command.__name__ = name
    command.__doc__ = type(product).__doc__
    command.__signature__ = cli.signature(flags)  # type: ignore[attr-defined]
    command.__annotations__ = {}
    return command


def run_product(product: Product, outputs: Outputs, given: dict[str, Any]) -> None:
    """Plan, compute, commit and show what the flags of a job ask for."""
    common = {flag: given.pop(flag, None) for flag in _COMMON}
    flags = {flag: given.pop(flag) for flag in list(given) if flag in outputs.flags}
    settings = load_settings(common["config"], store=common["store"], cluster=common["cluster"])
    outputs.check(flags)
    store = Store.of(settings)
    reprocess: Reprocess = "all" if common["force"] else "stale"
    with doing("planning"):
        requests = outputs.requests(product, _each(product, {**given, **outputs.options(flags)}), flags)
        plan = make_plan(store, requests, reprocess=reprocess)
        outputs.check_results(store, _prepared(plan), flags)
        more = outputs.more(store, _prepared(plan), flags)
        further = make_plan(store, more, reprocess=reprocess) if more else Plan(())
    shown = outputs.needs_cluster(flags)
    small = plan.small(shown=shown) and further.small(shown=shown)
    if common["dry_run"]:
        return cli.say([*plan.lines(), *further.lines(), *effective(settings, small=small)])
    computes = plan.computes or further.computes or shown
    with cli.cluster(settings, small=small) if computes else nullcontext() as client:
        run(store, plan, client, cli.console)
        run(store, further, client, cli.console)
        prepared = _prepared(plan)
        # Numbers and their provenance are of one commit, whatever other jobs commit meanwhile.
        pinned = store.pinned()
        with doing("reading what was found"):
            for item in prepared:
                cli.say([*outputs.lines(pinned, item), *(f"  note: {line}" for line in notes(pinned, item))])
        with doing("writing files"):
            cli.say(outputs.write(Done(pinned, [*prepared, *_prepared(further)], flags, client, cli.console)))
    return None


def _prepared(plan: Plan) -> list[Prepared]:
    return [group.prepared for group in plan.groups if group.prepared is not None]


def _each(product: Product, given: Mapping[str, Any]) -> list[Any]:
    """Return the options of each result that is asked for: of each year, and of each of its several options."""
    chosen = {name: value for name, value in given.items() if value is not None}
    years: list[dict[str, Any]] = [{}]
    if "year" in product.options.model_fields:
        of_years = years_of(chosen.pop("year"), cli.typed(YEAR_FLAGS))
        years = [product.of_year(of_years, place, chosen) for place in range(len(of_years))]
    lists = [[part.strip() for part in chosen.pop(name).split(",")] for name in product.several]
    several = [dict(zip(product.several, values, strict=True)) for values in itertools.product(*lists)]
    return [product.options.of(**chosen, **year, **values) for year in years for values in several]


def _flags(product: Product, outputs: Outputs) -> dict[str, tuple[Any, Any]]:
    """Return annotation and default of all flags of a job."""
    fields = {
        name: cli.field_flag(name, field, *YEAR_FLAGS[1:], kind=str) if name == "year" else cli.field_flag(name, field)
        for name, field in product.options.model_fields.items()
    }
    flags = {name: _of_flag(name, flag) for name, flag in outputs.flags.items()}
    common = {name: (kind, False if name in ("force", "dry_run") else None) for name, kind in _COMMON.items()}
    return {**fields, **flags, **common}


def _of_flag(name: str, flag: Flag) -> tuple[Any, Any]:
    kind = list[str] if flag.kind is tuple else flag.kind
    optional = kind if flag.default is not None else kind | None
    kept = {"metavar": "|".join(flag.choices) or None} | cli.parsed_as(flag.kind)
    option = typer.Option(option_of(name), help=escape(flag.help), **kept)
    return Annotated[optional, option], flag.default


def main(name: str, outputs: Outputs, examples: str) -> None:
    """Run the job of a product."""
    cli.main(product_job(name, outputs, examples))


__all__: Sequence[str] = ["main", "product_command", "product_job", "run_product"]
