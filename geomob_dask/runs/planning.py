"""The plan of a run: every output of every product and year, with its standing; frozen plain data."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from geomob_dask.errors import GeomobError, InputError, NewerStoreError
from geomob_dask.messages import counted
from geomob_dask.products.catalog import product_named
from geomob_dask.products.options import Options
from geomob_dask.products.product import ALL, Prepared
from geomob_dask.runs.journal import name_of
from geomob_dask.store import Snapshot, Store, receipts

# Outputs and bytes of inputs, compressed, of a plan that is computed while worker processes would start.
_FEW, _SMALL = 32, 32 * 2**20
# Bytes of polygons for each byte of a result's inputs, at most.
_DRAWN = 8

Reprocess = Literal["none", "failed", "stale", "all"]


class Standing(StrEnum):
    """The standing of an output when a run is planned.

    ``done``: in the store, from the same inputs, options and versions. ``stale``: in the store, from others.
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
class Request:
    """One product with its options.

    Parameters
    ----------
    product : str
        Name in the catalog.
    options : Options
    by_state : bool
        Whether there is an output per state, of its own rows alone.
    label : str
        Its name in the plan: that of the product, or of an entry of a backfill file.
    only : tuple of str, optional
        Of outputs per state, those of these states.
    """

    product: str
    options: Options
    by_state: bool = False
    label: str = ""
    only: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Return the label."""
        return self.label or self.product

    @property
    def year(self) -> int:
        """Return the year of the options, 0 where the product has none."""
        return int(getattr(self.options, "year", 0))


@dataclass(frozen=True)
class Group:
    """The outputs of one request, which are committed together, and their standings.

    Parameters
    ----------
    request : Request
    prepared : Prepared, optional
        None where the store does not allow the outputs.
    states : tuple of str
        One per output; ``("all",)`` for one output of all states.
    identities : tuple of str
        Of their provenance.
    sizes : tuple of int, bytes
        Of their inputs.
    standings : tuple of Standing
    runs : mapping of str to mapping
        By collection that is written, the run that made each of its parts.
    leftover : tuple of str
        Receipts of outputs that are committed: a run was stopped just before it removed them.
    problem : GeomobError, optional
        Why the outputs cannot be computed.
    """

    request: Request
    prepared: Prepared | None
    states: tuple[str, ...]
    identities: tuple[str, ...]
    sizes: tuple[int, ...]
    standings: tuple[Standing, ...]
    runs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    leftover: tuple[str, ...] = ()
    problem: GeomobError | None = None

    @property
    def product(self) -> str:
        """Return the label of the product in the plan."""
        return self.request.name

    @property
    def year(self) -> int:
        """Return the year."""
        return self.request.year

    @property
    def by_state(self) -> bool:
        """Return whether there is an output per state."""
        return self.states != (ALL,)

    @property
    def collections(self) -> tuple[str, ...]:
        """Return the collections that are written, the result last."""
        return () if self.prepared is None else self.prepared.collections

    @property
    def collection(self) -> str:
        """Return the collection of the result; empty if the request is refused."""
        return "" if self.prepared is None else self.prepared.collection

    def name(self, place: int) -> str:
        """Return the name of an output in the journal."""
        return name_of(self.product, self.year, self.states[place])

    def output(self, place: int) -> Prepared:
        """Return the request of one output, for a worker."""
        assert self.prepared is not None  # outputs that are refused are not asked for
        return self.prepared.of_state(self.states[place]) if self.by_state else self.prepared

    def refused(self, problem: GeomobError) -> "Group":
        """Return the same outputs, none of which can be computed."""
        standings = tuple(Standing.REFUSED for _ in self.states)
        return replace(self, prepared=None, standings=standings, leftover=(), problem=problem)


@dataclass(frozen=True)
class Plan:
    """All outputs of a run, in the order in which they are computed.

    Parameters
    ----------
    groups : tuple of Group
    reprocess : {"none", "failed", "stale", "all"}
        What is computed besides what is missing: nothing; what failed; that and what is stale; everything.
    name : str
        Of the journal that failures and times are kept in; empty where none is.
    left_out : tuple of str
        What is not among the outputs, and why.
    cubes : mapping of str to str
        The cube that the years of a product are brought into once they are committed, by label of the product.
    """

    groups: tuple[Group, ...]
    reprocess: Reprocess = "stale"
    name: str = ""
    left_out: tuple[str, ...] = ()
    cubes: Mapping[str, str] = field(default_factory=dict)

    @property
    def wanted(self) -> frozenset[Standing]:
        """Return the standing of an output that is to be computed or committed."""
        return REPROCESS[self.reprocess]

    def due(self) -> Iterator[tuple[int, int]]:
        """Return group and place of the outputs to be computed or committed: years in order, large ones first."""
        years: dict[int, list[tuple[int, int]]] = {}
        for number, group in enumerate(self.groups):
            of_year = years.setdefault(group.year, [])
            of_year += [(number, place) for place, how in enumerate(group.standings) if how in self.wanted]
        for outputs in years.values():
            yield from sorted(outputs, key=self._large_first)

    def _large_first(self, output: tuple[int, int]) -> tuple[int, str, str]:
        group = self.groups[output[0]]
        return -group.sizes[output[1]], group.product, group.states[output[1]]

    def counts(self) -> Counter[Standing]:
        """Return the number of outputs by standing."""
        return Counter(how for group in self.groups for how in group.standings)

    def small(self, *, shown: bool = False) -> bool:
        """Return whether the work takes less time than worker processes need to start.

        Parameters
        ----------
        shown : bool
            Whether results are drawn as well, up to date or not: from polygons, which are larger than they.
        """
        due = list(self.due())
        requests = [self.groups[number].request for number in {number for number, _ in due}]
        if any(product_named(request.product).heavy(request.options) for request in requests):
            return False
        size = sum(self.groups[number].sizes[place] for number, place in due)
        if shown:
            size += _DRAWN * sum(sum(group.sizes) for group in self.groups)
        return len(due) <= _FEW and size <= _SMALL

    @property
    def computes(self) -> bool:
        """Return whether anything is to be computed; receipts alone need no cluster."""
        if self.reprocess == "all":
            return any(True for _ in self.due())
        return any(self.groups[number].standings[place] is not Standing.WHOLE for number, place in self.due())

    def lines(self) -> list[str]:
        """Return the plan as text: the inputs and standing of each request, and its outputs, the largest first."""
        return [line for group in self.groups for line in _lines(group, self)]


def make_plan(store: Store, requests: Sequence[Request], *, reprocess: Reprocess = "stale") -> Plan:
    """Return the plan of a run of these requests; nothing is computed.

    Every collection is looked up once: all outputs see the same one, whatever other jobs commit meanwhile.

    Raises
    ------
    GeomobError
        If the store does not allow a request.
    """
    pinned = store.pinned()
    groups = tuple(group_of(pinned, request) for request in requests)
    for group in groups:
        if group.problem is not None:
            raise group.problem
    refuse_one_place(groups)
    return Plan(groups, reprocess)


def group_of(store: Store, request: Request, failed: frozenset[str] = frozenset()) -> Group:
    """Return the outputs of a request and their standings.

    Parameters
    ----------
    store : Store
        Pinned, so that all outputs of a plan see the same collections.
    failed : set of str
        Names of outputs in the journal that failed.
    """
    product = product_named(request.product)
    try:
        product.check_scope(request.options, request.by_state)
        prepared = product.prepare(store, request.options, by_state=request.by_state)
    except GeomobError as error:
        # A store that cannot be read is no property of one product and year.
        if isinstance(error, (NewerStoreError, OSError)):
            raise
        states = (request.only or (ALL,)) if request.by_state else (ALL,)
        return Group(
            request, None, states, (), tuple(0 for _ in states), (Standing.REFUSED,) * len(states), problem=error
        )
    states = (ALL,)
    if request.by_state:
        states = tuple(state for state in prepared.written if request.only is None or state in request.only)
    identities = tuple(prepared.identities(states))
    sizes = tuple(prepared.size(state if request.by_state else None) for state in states)
    group = Group(request, prepared, states, identities, sizes, ())
    return _with_standings(store, group, failed)


def _with_standings(store: Store, group: Group, failed: frozenset[str]) -> Group:
    prepared = group.prepared
    assert prepared is not None
    done = product_named(prepared.product).is_done(store, prepared)
    if done is not None:
        return replace(group, standings=(Standing.DONE if done else Standing.STALE,))
    runs = {name: runs_of(store.find(name)) for name in group.collections}
    waiting = set(receipts.names(store.objects, group.collection))
    standings, leftover = [], []
    for place, (state, identity) in enumerate(zip(group.states, group.identities, strict=True)):
        receipt = receipts.name_of(state, identity)
        made = {_made_by(prepared, role, runs[target.collection], state) for role, target in prepared.targets.items()}
        if made == {identity}:
            standings.append(Standing.DONE)
            if receipt in waiting:
                leftover.append(receipts.key_of(group.collection, state, identity))
        elif receipt in waiting:
            standings.append(Standing.WHOLE)
        elif group.name(place) in failed:
            standings.append(Standing.FAILED)
        else:
            there = _made_by(prepared, next(iter(prepared.targets)), runs[group.collection], state)
            standings.append(Standing.STALE if there else Standing.MISSING)
    return replace(group, standings=tuple(standings), runs=runs, leftover=tuple(leftover))


def runs_of(snapshot: Snapshot | None) -> dict[str, str]:
    """Return the run that made each part of a collection; none where there is no collection."""
    return {} if snapshot is None else {name: part.run for name, part in snapshot.parts.items()}


def _made_by(prepared: Prepared, role: str, runs: Mapping[str, str], state: str) -> str:
    if prepared.by_state:
        return made_by((state,), runs, keep_others=True)
    return made_by(prepared.parts_of(role), runs, keep_others=prepared.keep_others)


def made_by(names: Sequence[str], runs: Mapping[str, str], *, keep_others: bool) -> str:
    """Return the run that made an output; empty if it is missing, ``several`` if several runs made it.

    Parameters
    ----------
    names : sequence of str
        Of the parts that it has.
    runs : mapping of str to str
        By name, the run of each part that is there.
    keep_others : bool
        Whether parts of other names may stay: else they do not belong to the result any more.

    Examples
    --------
    >>> made_by(("39",), {"39": "a", "53": "b"}, keep_others=True)
    'a'
    >>> made_by(("39",), {"39": "a", "53": "b"}, keep_others=False)
    'several'
    """
    if not keep_others:
        names = tuple(dict.fromkeys((*names, *runs)))
    every = {runs.get(name, "") for name in names}
    return next(iter(every)) if len(every) == 1 else "several" if every - {""} else ""


def refuse_one_place(groups: Sequence[Group]) -> None:
    """Raise InputError if two requests write the same collection."""
    places: dict[str, Group] = {}
    for group in groups:
        for collection in group.collections:
            other = places.setdefault(collection, group)
            if other is not group:
                raise InputError(
                    f"products {other.product} and {group.product}: both go to {collection}; expected different names "
                    "of their definitions, or one of them"
                )


def refuse_outdated_inputs(groups: Sequence[Group], wanted: frozenset[Standing]) -> list[Group]:
    """Return the groups; those that read a result which the same plan computes again are refused."""
    due = wanted - {Standing.DONE}
    writers = {name: group for group in groups if due & set(group.standings) for name in group.collections}
    settled = []
    for group in groups:
        outdated = [name for name in (group.prepared.read if group.prepared else ()) if name in writers]
        if outdated:
            writer = writers[outdated[0]]
            group = group.refused(
                InputError(
                    f"its input {outdated[0]} is to be computed in this run ({writer.product} {writer.year}); expected "
                    "it to be there: run that product and year first, then this again"
                )
            )
        settled.append(group)
    return settled


def _lines(group: Group, plan: Plan) -> list[str]:
    prepared = group.prepared
    if prepared is None:
        return [f"{group.product} {group.year or ''}: refused: {group.problem}"]
    size = sum(group.sizes)
    parts = len(prepared.written) if next(iter(prepared.targets.values())).by_state else 1
    counts = Counter(how in plan.wanted for how in group.standings)
    state = "up to date, nothing to do" if not counts[True] else "to be computed"
    lines = [
        f"{prepared.product}: {counted(parts, 'output')} to {prepared.collection}, from {size / 2**20:.1f} MiB",
        f"state: {state} ({', '.join(group.identities[:1])})",
        *(f"  reads {name} ({checksum[:16]})" for name, checksum in prepared.provenance.inputs.items()),
        *(f"  {line}" for line in prepared.lines),
    ]
    largest_first = sorted(prepared.states, key=lambda name: (-prepared.size(name), name))
    for name in largest_first:
        keys = [one.parts[name].key for one in prepared.inputs.values() if name in one.parts]
        lines.append(f"  {name}: {prepared.size(name) / 2**10:,.0f} KiB in {', '.join(keys) or 'no file'}")
    return lines
