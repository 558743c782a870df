"""The opportunity index of a dataset and year, from the store to the store."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import distributed
import numpy as np
import pandas as pd
from dask.delayed import Delayed
from rich.console import Console

from geomob_dask.definition import Definition
from geomob_dask.errors import InputError, StoreError
from geomob_dask.lift import opportunity as lift
from geomob_dask.lift.halo import Edges
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.commits import commit_all
from geomob_dask.runs.execute import Carry, on
from geomob_dask.runs.plan import EachState, Output, Plan, of_states
from geomob_dask.store import Commit, Part, Provenance, Snapshot, Store
from geomob_dask.transforms.rank_exponential import Ranking

NORMS = "selected, state, nation or frozen:YEAR"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Parameters
    ----------
    definition : Definition
    dataset, year : str, int
        The measures.
    states : tuple of str, optional
        State codes; all of the store by default.
    norm : str
        Whose neighbours, moments and ranks count: those of the ``selected`` states together, of each ``state`` by
        itself, of the ``nation`` (all states of the store), or the stored moments and ranks of another year,
        ``frozen:YEAR``.
    steps : bool
        Whether the result also holds every step (z-scores, domain sums, …).
    each : bool
        Whether states are computed each by itself, in runs of their own, and lie together as parts of one result.
    """

    definition: Definition
    dataset: str
    year: int
    states: tuple[str, ...] | None = None
    norm: str = "selected"
    steps: bool = False
    each: bool = False

    @property
    def frozen_year(self) -> int | None:
        """Return the reference year, None where the run has its own norms."""
        if not self.norm.startswith("frozen:"):
            return None
        text = self.norm.removeprefix("frozen:")
        if not text.isdigit():
            raise InputError(f"--norm {self.norm}: found the year {text!r}, expected digits, such as frozen:2018")
        return int(text)

    def collection(self, product: str = "results", year: int | None = None) -> str:
        """Return where the result goes."""
        states = "-".join(self.states) if self.states and not self.each else "all"
        if self.each and product == "results":
            states = "each"
        norm = self.norm.replace(":", "-") if product == "results" else "selected"
        steps = "-steps" if self.steps and product == "results" else ""
        name = f"{states}-{norm}{steps}"
        return f"{product}/opportunity/{self.definition.name}/{self.dataset}/{year or self.year}/{name}"


@dataclass(frozen=True)
class Inputs:
    """What an index is made from.

    Attributes
    ----------
    tracts, edges, measures : Snapshot
        Tracts and edges hold nothing where the definition does not ask for neighbours.
    reference : Snapshot, optional
        The norms of another year.
    """

    tracts: Snapshot
    edges: Snapshot
    measures: Snapshot
    reference: Snapshot | None = None

    @property
    def read(self) -> tuple[Snapshot, ...]:
        """Return those that hold something."""
        return tuple(one for one in (self.tracts, self.edges, self.measures) if one.parts)


@dataclass(frozen=True)
class Prepared:
    """A request and what it needs; small plain data that travels to workers.

    Attributes
    ----------
    request : Request
    found : Inputs
    plan : Plan
    """

    request: Request
    found: Inputs
    plan: Plan


@dataclass(frozen=True)
class Summary:
    """What an analyst wants to know of one state's rows.

    Parameters
    ----------
    tracts, computed : int
        Rows, and those with an index.
    empty : int
        Tracts where nobody lives.
    imputed_direct, imputed_once_removed : int
        Cells filled from direct neighbours and from those once removed.
    filled : int
        Tracts some of whose domain scores are their neighbours' mean.
    reasons : mapping
        Why tracts have no index: how many, and the first of them.
    quartiles : three floats, optional
        Of the opportunity index.
    """

    tracts: int
    computed: int
    empty: int
    imputed_direct: int
    imputed_once_removed: int
    filled: int
    reasons: Mapping[str, tuple[int, Sequence[str]]]
    quartiles: Sequence[float] | None


def make_plan(store: Store, request: Request) -> Plan:
    """Return what a run would read and write; nothing is computed.

    Raises
    ------
    InputError
        If the dataset, year, vintage, states or neighbours are not there, or the neighbours belong to other polygons.
    """
    return prepare(store, request).plan


def prepare(store: Store, request: Request) -> Prepared:
    """Return what a run would read and write, and where that is; see `make_plan`."""
    found = _inputs(store, request)
    states = _all_states(found) if request.norm == "nation" else _selected(store, request, found)
    inputs = {one.collection: one.checksum(states) for one in found.read} | _reference_input(found)
    provenance = Provenance("opportunity", inputs, _options(request))
    outputs = tuple(_output(found, state) for state in _selected(store, request, found))
    existing = store.find(request.collection())
    done = existing is not None and {part.run for part in existing.parts.values()} == {provenance.identity}
    return Prepared(request, found, Plan(request.collection(), outputs, provenance, done))


@dataclass(frozen=True)
class Each:
    """The outputs of one year, each state by itself.

    Attributes
    ----------
    request : Request
    found : Inputs
    outputs : EachState
    """

    request: Request
    found: Inputs
    outputs: EachState

    @property
    def collection(self) -> str:
        """Return where they go."""
        return self.request.collection()

    def prepared(self, state: str) -> Prepared:
        """Return what the output of one state needs, and nothing of others."""
        request = replace(self.request, states=(state,))
        tracts, edges, measures = (
            of_states(one, [state]) for one in (self.found.tracts, self.found.edges, self.found.measures)
        )
        found = Inputs(tracts, edges, measures, self.found.reference)
        plan = Plan(request.collection(), self.outputs.outputs([state]), self.outputs.provenance(state), False)
        return Prepared(request, found, plan)


def prepare_each(store: Store, request: Request) -> Each:
    """Return what a run of every state by itself would read and write.

    Raises
    ------
    InputError
        As `make_plan`, or if the norms are those of several states.
    """
    if request.norm != "state" and request.frozen_year is None:
        raise InputError(f"--norm {request.norm}: each state by itself expects the norm state or frozen:YEAR")
    request = replace(request, each=True)
    found = _inputs(store, request)
    options = _options(request)
    options.pop("states")
    return Each(request, found, EachState("opportunity", options, found.read, _reference_input(found)))


def _options(request: Request) -> dict[str, Any]:
    return {
        "definition": request.definition.model_dump(mode="json"),
        "dataset": request.dataset,
        "year": request.year,
        "states": list(request.states or ()) or "all",
        "norm": request.norm,
        "steps": request.steps,
    }


def _reference_input(found: Inputs) -> dict[str, str]:
    return {} if found.reference is None else {found.reference.collection: found.reference.checksum()}


def _inputs(store: Store, request: Request) -> Inputs:
    if request.norm not in ("selected", "state", "nation") and request.frozen_year is None:
        raise InputError(f"--norm {request.norm}: expected {NORMS}")
    measures = store.snapshot(f"measures/{request.dataset}/{request.year}")
    reference = None
    if request.frozen_year is not None:
        recipe = request.definition.parameters.recipe
        if recipe != "opportunity":
            raise InputError(f"--norm {request.norm}: found the recipe {recipe!r}, expected opportunity: it has norms")
        reference = store.snapshot(request.collection("norms", request.frozen_year))
    vintage = measures.attributes["vintage"]
    if not request.definition.parameters.uses_neighbors:
        nothing = Snapshot(f"neighbors/{vintage}", {}, attributes={"reach": {}})
        return Inputs(Snapshot(f"tracts/{vintage}", {}), nothing, measures, reference)
    tracts = store.snapshot(f"tracts/{vintage}")
    edges = store.find(f"neighbors/{vintage}")
    if edges is None:
        raise InputError(
            f"store {store.url}: no neighbours of vintage {vintage}, which {request.dataset} {request.year} is on; "
            f"expected them from: jobs/neighbors.py --vintage {vintage}"
        )
    if edges.attributes["tracts"] != tracts.checksum():
        raise InputError(
            f"store {store.url}: the neighbours of vintage {vintage} were built from other polygons than those now; "
            f"expected them anew from: jobs/neighbors.py --vintage {vintage}"
        )
    return Inputs(tracts, edges, measures, reference)


def _all_states(found: Inputs) -> tuple[str, ...]:
    return tuple(sorted({*found.tracts.parts, *found.measures.parts}))


def _selected(store: Store, request: Request, found: Inputs) -> tuple[str, ...]:
    if request.states is None:
        return _all_states(found)
    store.chosen(found.measures, request.states)
    if found.tracts.parts:
        store.chosen(found.tracts, request.states)
    return tuple(sorted(request.states))


def _output(found: Inputs, state: str) -> Output:
    parts = [snapshot.parts[state] for snapshot in found.read if state in snapshot.parts]
    return Output(state, tuple(part.key for part in parts), sum(part.size for part in parts))


def execute(store: Store, request: Request, plan: Plan, client: distributed.Client | None, console: Console) -> None:
    """Compute and commit the plan's outputs, with a summary of each state in their provenance.

    Nothing is visible in the store before all states are there; if the run fails, what it wrote is removed.
    """
    prepared = replace(prepare(store, request), plan=plan)
    with store.all_or_nothing(plan.collection, request.collection("norms")):
        commit_all(store, produce(store, prepared, on(client, console)))


def produce(store: Store, prepared: Prepared, carry: Carry) -> list[Commit]:
    """Compute and write a plan's outputs; return what is to be committed."""
    run = Run("opportunity")
    return _settled(prepared, carry(_work(store, prepared, run), run))


def _work(store: Store, prepared: Prepared, run: Run) -> dict[str, Delayed]:
    """Return the tasks that write each state's part, and the norms where the run has its own."""
    request, found, plan = prepared.request, prepared.found, prepared.plan
    selected = [output.state for output in plan.outputs]
    groups = (
        {state: [state] for state in selected} if request.norm == "state" else {"all": _group(request, found, selected)}
    )
    frozen = None if found.reference is None else _frozen_reference(store, request, found.reference)
    writes = {}
    for name, states in groups.items():
        blocks = {state: _load(store, request, found, run, state, states) for state in _largest_first(found, states)}
        lifted = lift.opportunity(
            blocks,
            found.edges.attributes["reach"],
            request.definition,
            reference=frozen,
            steps=request.steps,
            run=run,
            group=name,
        )
        for state in states:
            if state in selected:
                table = lifted.results[state]
                writes[state] = run.task(
                    "write", state, _write, store, plan.collection, state, table, request.definition
                )
        if request.norm == "selected" and lifted.reference is not None:
            collection = request.collection("norms")
            writes["norms"] = run.task("write-norms", name, _write_reference, store, collection, lifted.reference)
    return writes


def _settled(prepared: Prepared, written: dict[str, Any]) -> list[Commit]:
    """Return what is committed of what the tasks wrote."""
    request, plan = prepared.request, prepared.plan
    norms = written.pop("norms", None)
    report = {state: asdict(summary) for state, (_, summary) in sorted(written.items())}
    parts = {state: part for state, (part, _) in written.items()}
    attributes = {"vintage": prepared.found.measures.attributes["vintage"]}
    result = Commit(plan.collection, parts, replace(plan.provenance, report=report), attributes)
    if norms is None:
        return [result]
    return [Commit(request.collection("norms"), {"all": norms}, plan.provenance), result]


def summaries(store: Store, plan: Plan) -> dict[str, Summary]:
    """Return the summary of each state of a result in the store."""
    snapshot = store.snapshot(plan.collection)
    return {state: Summary(**snapshot.runs[part.run]["report"][state]) for state, part in snapshot.parts.items()}


def _group(request: Request, found: Inputs, selected: Sequence[str]) -> list[str]:
    return list(_all_states(found)) if request.norm == "nation" else list(selected)


def _largest_first(found: Inputs, states: Sequence[str]) -> list[str]:
    return sorted(states, key=lambda state: (-_output(found, state).size, state))


def _load(store: Store, request: Request, found: Inputs, run: Run, state: str, group: Sequence[str]) -> Any:
    small = of_states(found.tracts, [state]), of_states(found.edges, [state]), of_states(found.measures, [state])
    return run.task("load", state, block_of, store, Inputs(*small), state, tuple(group), request.definition)


def block_of(store: Store, found: Inputs, state: str, group: Sequence[str], definition: Definition) -> lift.Block:
    """Read what one state needs: keys of its polygons, its columns of the measures, its edges within the group."""
    tracts, measures, edges = (one.parts.get(state) for one in (found.tracts, found.measures, found.edges))
    names = list(definition.columns)
    nothing = pd.DataFrame({name: np.zeros(0) for name in names}, index=pd.Index([], dtype="str"))
    keys = store.read(tracts, ["aland"]).index if tracts else nothing.index
    rows = store.read(measures, names) if measures else nothing
    pairs = pd.DataFrame({"neighbor": [], "rook": []}, index=nothing.index, dtype=object)
    if edges:
        pairs = store.read(edges, ["neighbor", "rook"])
    if definition.parameters.contiguity == "rook":
        pairs = pairs[pairs["rook"].astype(bool)]
    pairs = pairs[pairs["neighbor"].str[:2].isin(group)]
    return lift.block(keys, rows, Edges(pairs.index.to_numpy(object), pairs["neighbor"].to_numpy(object)), definition)


def _write(
    store: Store, collection: str, state: str, table: pd.DataFrame, definition: Definition
) -> tuple[Part, Summary]:
    return store.put(collection, state, table), summarize(table, definition)


def summarize(table: pd.DataFrame, definition: Definition) -> Summary:
    """Return the counts of a result's rows."""

    def cells(column: str) -> int:
        named = table[column][table[column] != ""]
        return int((named.str.count(";") + 1).sum())

    missing = table["reason"][table["reason"] != ""]
    known = table["opportunity"].dropna()
    return Summary(
        tracts=len(table),
        computed=len(known),
        empty=int(table["population_zero"].sum()),
        imputed_direct=cells("imputed_direct"),
        imputed_once_removed=cells("imputed_once_removed"),
        filled=int((table["filled_domains"] != "").sum()),
        reasons={str(why): (len(rows), tuple(rows.index[:3])) for why, rows in missing.groupby(missing)},
        quartiles=np.quantile(known, [0.25, 0.5, 0.75]).tolist() if len(known) else None,
    )


# The reference of a year, as a table ---------------------------------------------------------


def _write_reference(store: Store, collection: str, reference: lift.Reference) -> Part:
    moments = {"mean": reference.mean, "deviation": reference.deviation}
    frames = [
        pd.DataFrame({"kind": kind, "number": 0, "first": values, "last": values, "upto": 0})
        for kind, values in moments.items()
    ]
    frames += [
        pd.DataFrame(
            {"kind": "ranking", "number": number, "first": ranks.first, "last": ranks.last, "upto": ranks.upto}
        )
        for number, ranks in enumerate(reference.rankings)
    ]
    table = pd.concat(frames, ignore_index=True)
    return store.put(collection, "all", table.set_index(pd.Index(table.index.astype(str), name="row")))


def _frozen_reference(store: Store, request: Request, snapshot: Snapshot) -> lift.Reference:
    year = request.frozen_year
    part = snapshot.parts["all"]
    kept = snapshot.runs[part.run]["options"]["definition"]
    now = request.definition.model_dump(mode="json")
    if kept != now:
        changed = [key for key in now if now[key] != kept.get(key)]
        raise InputError(
            f"{store.url}/{snapshot.collection}: the norms of {year} were computed with another definition of the same "
            f"name (it differs in {', '.join(changed)}); expected the same, or the index of {year} computed anew"
        )
    table = store.read(part)
    kinds = dict(list(table.groupby("kind")))
    rankings = tuple(
        Ranking(group["first"].to_numpy(), group["last"].to_numpy(), group["upto"].to_numpy())
        for _, group in kinds["ranking"].groupby("number")
    )
    if len(rankings) != len(request.definition.domains):
        raise StoreError(
            f"{store.url}/{part.key}: holds {len(rankings)} domains, expected {len(request.definition.domains)}"
        )
    return lift.Reference(kinds["mean"]["first"].to_numpy(), kinds["deviation"]["first"].to_numpy(), rankings)
