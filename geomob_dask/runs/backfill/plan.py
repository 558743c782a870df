"""What a backfill will do: every output of every product, year and state, and how it stands."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from geomob_dask.errors import InputError
from geomob_dask.runs.backfill.file import Backfill
from geomob_dask.runs.backfill.journal import Journal, name_of
from geomob_dask.runs.backfill.products import Group, Product
from geomob_dask.sources.keys import listed
from geomob_dask.store import Snapshot, Store, receipts

Reprocess = Literal["none", "failed", "stale", "all"]
Order = Literal["newest", "oldest"]


class Standing(StrEnum):
    """How an output stands when a backfill is planned.

    ``done``: in the store, of just these inputs, definition and versions. ``stale``: in the store, of others.
    ``whole``: computed, its receipt is there, not committed yet. ``failed``: it failed, and was not computed since.
    ``missing``: none of these. ``refused``: what the store holds does not allow it.
    """

    DONE = "done"
    STALE = "stale"
    WHOLE = "whole"
    FAILED = "failed"
    MISSING = "missing"
    REFUSED = "refused"


REPROCESS: Mapping[Reprocess, frozenset[Standing]] = {
    "none": frozenset({Standing.WHOLE, Standing.MISSING}),
    "failed": frozenset({Standing.WHOLE, Standing.MISSING, Standing.FAILED}),
    "stale": frozenset({Standing.WHOLE, Standing.MISSING, Standing.FAILED, Standing.STALE}),
    "all": frozenset({Standing.WHOLE, Standing.MISSING, Standing.FAILED, Standing.STALE, Standing.DONE}),
}


@dataclass(frozen=True)
class Asked:
    """What is asked for on top of the file.

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


@dataclass(frozen=True)
class Planned:
    """The outputs of one product and year, and how they stand.

    Attributes
    ----------
    group : Group
    standings : tuple of Standing
        By output.
    runs : mapping of str to mapping
        By collection that the outputs go to, the run that each of its states is of.
    receipts : tuple of str
        Receipts of outputs that are committed: a run was stopped just before it removed them.
    """

    group: Group
    standings: tuple[Standing, ...]
    runs: Mapping[str, Mapping[str, str]]
    receipts: tuple[str, ...] = ()

    def name(self, state: str) -> str:
        """Return the name of an output in the journal."""
        return name_of(self.group.product, self.group.year, state)


@dataclass(frozen=True)
class Plan:
    """All outputs of a backfill, in the order of its years.

    Attributes
    ----------
    backfill : Backfill
    asked : Asked
    groups : tuple of Planned
    left_out : tuple of str
        What is not among them, and why.
    """

    backfill: Backfill
    asked: Asked
    groups: tuple[Planned, ...]
    left_out: tuple[str, ...] = ()

    @property
    def wanted(self) -> frozenset[Standing]:
        """Return how an output stands that is to be computed or committed."""
        return REPROCESS[self.asked.reprocess]

    def due(self) -> Iterator[tuple[Planned, int]]:
        """Return the outputs to be computed or committed: years in order, the large ones of a year first."""
        years: dict[int, list[tuple[Planned, int]]] = {}
        for planned in self.groups:
            of_year = years.setdefault(planned.group.year, [])
            of_year += [(planned, place) for place, how in enumerate(planned.standings) if how in self.wanted]
        for outputs in years.values():
            yield from sorted(outputs, key=_large_first)

    def counts(self) -> Counter[Standing]:
        """Return how many outputs stand in each way."""
        return Counter(how for planned in self.groups for how in planned.standings)

    @property
    def computes(self) -> bool:
        """Tell whether anything is to be computed: where only receipts wait, no cluster is needed."""
        if self.asked.reprocess == "all":
            return any(self.due())
        return any(planned.standings[place] is not Standing.WHOLE for planned, place in self.due())


def _large_first(output: tuple[Planned, int]) -> tuple[int, str, str]:
    planned, place = output
    group = planned.group
    return -group.sizes[place], group.product, group.states[place]


def make_plan(store: Store, backfill: Backfill, asked: Asked) -> Plan:
    """Return what a backfill would do; nothing is computed.

    Every collection is looked up once: all outputs see the same one, whatever other jobs commit meanwhile.

    Raises
    ------
    InputError
        If years, products or states are not there, or two products go to one place.
    """
    years = asked.years or backfill.years
    if years is None:
        raise InputError("--years: found none there and none in the file, expected years such as 2009:2023")
    pinned = store.pinned()
    entries = backfill.chosen(asked.products)
    products = [Product(name, entry, backfill.states) for name, entry in entries.items()]
    wanted, left_out = _years_of(pinned, products, years, asked)
    failed = Journal(store, backfill.name).failed()
    only = asked.states or backfill.states
    _refuse_unknown(pinned, products, wanted, only or ())
    groups: list[Planned] = []
    for year in sorted(years, reverse=asked.order == "newest"):
        for product in products:
            if year not in wanted[product.name]:
                continue
            whole = not product.entry.of_states
            group = product.group(pinned, year, asked.states if whole else only)
            if group is not None:
                groups.append(_planned(pinned, group, failed))
            absent = product.absent(pinned, year, only)
            if absent is not None and asked.skip_missing:
                left_out.append(f"{product.name} {year}: {absent.problem}: left out")
            elif absent is not None:
                groups.append(_planned(pinned, absent, failed))
    if asked.states is not None:
        all_states = [product.name for product in products if not product.entry.of_states]
        if all_states:
            left_out.append(f"{listed(all_states)}: of all states together, left out by --states")
    _refuse_one_place(groups)
    settled = [_refuse_old_norms(planned, groups, REPROCESS[asked.reprocess]) for planned in groups]
    return Plan(backfill, asked, tuple(settled), tuple(left_out))


def _years_of(
    store: Store, products: Sequence[Product], years: Sequence[int], asked: Asked
) -> tuple[dict[str, set[int]], list[str]]:
    """Return the years of each product that have measures; refuse or tell the others."""
    wanted: dict[str, set[int]] = {}
    told: list[str] = []
    for product in products:
        limits = product.entry.years
        of_product = [year for year in years if limits is None or year in limits]
        there = {year for year in of_product if store.find(product.measures(year)) is not None}
        absent = sorted(set(of_product) - there)
        if absent:
            text = f"{product.name}: no measures/{product.entry.dataset} of {listed(list(map(str, absent)), 40)}"
            if not asked.skip_missing:
                raise InputError(
                    f"{text} in store {store.url}; expected them from jobs/ingest.py, years: for this product in the "
                    "file, or --skip-missing"
                )
            told.append(f"{text}: left out")
        wanted[product.name] = there
    return wanted, told


def _planned(store: Store, group: Group, failed: set[str]) -> Planned:
    if group.problem:
        return Planned(group, tuple(Standing.REFUSED for _ in group.states), {})
    runs = {collection: _runs(store.find(collection)) for collection in (group.collection, *group.also)}
    waiting = set(receipts.names(store.objects, group.collection))
    standings = []
    committed = []
    for state, identity in zip(group.states, group.identities, strict=True):
        receipt = receipts.name_of(state, identity)
        now = _run_of(runs[group.collection], state)
        if all(_run_of(of_states, state) == identity for of_states in runs.values()):
            standings.append(Standing.DONE)
            if receipt in waiting:
                committed.append(receipts.key_of(group.collection, state, identity))
        elif receipt in waiting:
            standings.append(Standing.WHOLE)
        elif name_of(group.product, group.year, state) in failed:
            standings.append(Standing.FAILED)
        else:
            standings.append(Standing.STALE if now else Standing.MISSING)
    return Planned(group, tuple(standings), runs, tuple(committed))


def _runs(snapshot: Snapshot | None) -> dict[str, str]:
    return {} if snapshot is None else {state: part.run for state, part in snapshot.parts.items()}


def _run_of(runs: Mapping[str, str], state: str) -> str:
    """Return the run of an output; that of an output of all states is the one run of all its parts."""
    if state != "all" or state in runs:
        return runs.get(state, "")
    every = set(runs.values())
    return next(iter(every)) if len(every) == 1 else "several" if every else ""


def _refuse_unknown(
    store: Store, products: Sequence[Product], wanted: Mapping[str, set[int]], only: Sequence[str]
) -> None:
    """Refuse states that no year of any product has: they are misspelt, not missing."""
    measures = {
        product.measures(year) for product in products if product.entry.of_states for year in wanted[product.name]
    }
    there = {state for collection in measures for state in store.snapshot(collection).parts}
    unknown = sorted(set(only) - there)
    if unknown and measures:
        raise InputError(
            f"store {store.url}: no state {', '.join(unknown)} in the measures of any year that was asked for; "
            f"expected some of {', '.join(sorted(there))}"
        )


def _refuse_old_norms(planned: Planned, groups: Sequence[Planned], wanted: frozenset[Standing]) -> Planned:
    """Refuse outputs of the norms of another year that the same plan makes, or makes anew: they would have the old."""
    group = planned.group
    due = wanted - {Standing.DONE}
    for other in groups:
        if group.reference and group.reference in other.group.also and due & set(other.standings):
            problem = (
                f"its norms, {group.reference}, are to be computed anew in this run ({other.group.product} "
                f"{other.group.year}); expected them to be there: run that product and year first, then this again"
            )
            refused = replace(group, problem=problem)
            return Planned(refused, tuple(Standing.REFUSED for _ in group.states), planned.runs)
    return planned


def _refuse_one_place(groups: Sequence[Planned]) -> None:
    places: dict[str, str] = {}
    for planned in groups:
        product = planned.group.product
        for collection in filter(None, (planned.group.collection, *planned.group.also)):
            other = places.setdefault(collection, product)
            if other != product:
                raise InputError(
                    f"products {other} and {product}: both go to {collection}; expected different names of their "
                    "definitions, or one of them"
                )
