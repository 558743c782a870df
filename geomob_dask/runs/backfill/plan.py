"""The plan of a backfill: the outputs of its products and years; those without measures are left out or refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from geomob_dask.errors import InputError
from geomob_dask.messages import listed
from geomob_dask.names import did_you_mean
from geomob_dask.runs.backfill.file import Backfill, Product
from geomob_dask.runs.journal import Journal
from geomob_dask.runs.planning import (
    REPROCESS,
    Group,
    Plan,
    Reprocess,
    Standing,
    group_of,
    refuse_one_place,
    refuse_outdated_inputs,
)
from geomob_dask.store import Store

Order = Literal["newest", "oldest"]


@dataclass(frozen=True)
class Asked:
    """Options of a backfill besides its file.

    Parameters
    ----------
    products : tuple of str, optional
        All of the file by default.
    years : tuple of int, optional
        Those of the file by default.
    states : tuple of str, optional
        Outputs of these states only; products of the scope ``all`` are then left out.
    reprocess : {"none", "failed", "stale", "all"}
        What is computed besides what is missing: nothing; what failed; that and what is stale; everything.
    order : {"newest", "oldest"}
        Which years come first.
    skip_missing : bool
        Whether years without measures are left out, or refused.
    """

    products: tuple[str, ...] | None = None
    years: tuple[int, ...] | None = None
    states: tuple[str, ...] | None = None
    reprocess: Reprocess = "stale"
    order: Order = "newest"
    skip_missing: bool = False


def plan_backfill(store: Store, backfill: Backfill, asked: Asked) -> Plan:
    """Return the plan of a backfill; nothing is computed.

    Every collection is looked up once: all outputs see the same one, whatever other jobs commit meanwhile.

    Raises
    ------
    InputError
        If years, products or states do not exist, or two products write the same collection.
    """
    years = asked.years or backfill.years
    if years is None:
        raise InputError("--years: found none there and none in the file, expected years such as 2009:2023")
    pinned = store.pinned()
    entries = backfill.chosen(asked.products)
    products = [Product.of(name, entry, backfill.states) for name, entry in entries.items()]
    wanted, left_out = _years_of(pinned, products, years, asked)
    failed = frozenset(Journal(store, backfill.name).failed())
    only = asked.states or backfill.states
    _refuse_unknown(pinned, products, wanted, only or ())
    groups: list[Group] = []
    for year in sorted(years, reverse=asked.order == "newest"):
        for product in (one for one in products if year in wanted[one.name]):
            if not product.by_state:
                if asked.states is None:
                    groups.append(group_of(pinned, product.request(year, None), failed))
                continue
            groups.append(group_of(pinned, product.request(year, _with_rows(pinned, product, year, only)), failed))
            absent = _absent(pinned, product, year, only)
            if absent is not None and asked.skip_missing:
                left_out.append(f"{product.name} {year}: {absent.problem}: left out")
            elif absent is not None:
                groups.append(absent)
    groups = [group for group in groups if group.states]
    if asked.states is not None:
        of_all = [product.name for product in products if not product.by_state]
        if of_all:
            left_out.append(f"{listed(of_all)}: of all states together, left out by --states")
    refuse_one_place(groups)
    settled = refuse_outdated_inputs(groups, REPROCESS[asked.reprocess])
    cubes = {product.name: product.entry.cube for product in products if product.entry.cube is not None}
    return Plan(tuple(settled), asked.reprocess, backfill.name, tuple(left_out), cubes)


def check_runnable(plan: Plan, *, due: bool = False) -> None:
    """Raise InputError if a plan has no outputs, or the store allows none of them.

    Parameters
    ----------
    due : bool
        Whether outputs that are done do not count: some are refused, and nothing else is to be computed.
    """
    counts = plan.counts()
    refused = [group for group in plan.groups if group.problem is not None]
    if not counts.total():
        why = "; ".join(plan.left_out) or "no product has any of these years and states"
        raise InputError(f"backfill {plan.name}: there are no outputs, so there is nothing to compute: {why}")
    if refused and counts[Standing.REFUSED] == counts.total():
        first = refused[0]
        more = f" (and {len(refused) - 1:,} more products and years, each with its reason)" if len(refused) > 1 else ""
        raise InputError(
            f"backfill {plan.name}: all of its outputs ({counts.total():,}) are refused, so there is nothing to "
            f"compute: "
            f"{first.product} {first.year}: {first.problem}{more}"
        )
    if due and refused and not any(True for _ in plan.due()):
        first = refused[0]
        raise InputError(
            f"backfill {plan.name}: nothing can be computed: {counts[Standing.REFUSED]:,} of its outputs "
            f"({counts.total():,}) are refused, and no other is to be computed: {first.product} {first.year}: "
            f"{first.problem}"
        )


def _with_rows(store: Store, product: Product, year: int, only: Sequence[str] | None) -> list[str]:
    """Return the states that have measures of a year, of some states alone."""
    parts = store.snapshot(product.measures(year)).parts
    return [state for state, part in parts.items() if part.rows and (only is None or state in only)]


def _absent(store: Store, product: Product, year: int, only: Sequence[str] | None) -> Group | None:
    """Return the outputs of those of some states that have no measures of a year; None where all have them."""
    measures = store.snapshot(product.measures(year))
    states = tuple(sorted(set(only or ()) - set(measures.parts)))
    if not states:
        return None
    there = ", ".join(measures.parts)
    problem = InputError(f"no state {', '.join(states)} in {measures.collection}; expected {there}")
    nothing = tuple(0 for _ in states)
    refused = tuple(Standing.REFUSED for _ in states)
    return Group(product.request(year, states), None, states, (), nothing, refused, problem=problem)


def _years_of(
    store: Store, products: Sequence[Product], years: Sequence[int], asked: Asked
) -> tuple[dict[str, set[int]], list[str]]:
    """Return the years of each product that have measures, and what is left out."""
    wanted: dict[str, set[int]] = {}
    left_out: list[str] = []
    for product in products:
        limits = product.entry.years
        of_product = [year for year in years if limits is None or year in limits]
        there = {year for year in of_product if store.find(product.measures(year)) is not None}
        absent = sorted(set(of_product) - there)
        if absent:
            text = f"{product.name}: no measures/{product.options.dataset} of {listed(absent, 40)}"
            if not asked.skip_missing:
                datasets = store.objects.folders("measures")
                known = product.options.dataset in datasets
                guess = "" if known else f"{did_you_mean(product.options.dataset, datasets)}; "
                raise InputError(
                    f"{text} in store {store.url}; {guess}expected them from jobs/ingest.py, years: for this product "
                    "in the file, or --skip-missing"
                )
            left_out.append(f"{text}: left out")
        wanted[product.name] = there
    return wanted, left_out


def _refuse_unknown(
    store: Store, products: Sequence[Product], wanted: Mapping[str, set[int]], only: Sequence[str]
) -> None:
    """Refuse states that no year of any product has: they are misspelled, not missing."""
    measures = {product.measures(year) for product in products if product.by_state for year in wanted[product.name]}
    there = {state for collection in measures for state in store.snapshot(collection).parts}
    unknown = sorted(set(only) - there)
    if unknown and measures:
        raise InputError(
            f"store {store.url}: no state {', '.join(unknown)} in the measures of any year that was asked for; "
            f"expected some of {', '.join(sorted(there))}"
        )
