"""Income mixing of every tract against its region, from the store to the store."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import distributed
import numpy as np
import pandas as pd
from dask.delayed import Delayed
from rich.console import Console

from geomob_dask.errors import DefinitionError
from geomob_dask.frames.categories import read_positions
from geomob_dask.lift import segregation as lift
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.commits import commit_all
from geomob_dask.runs.execute import Carry, on
from geomob_dask.runs.people import Found, Loaded, Seen, Universe, check_regions, find, load, look, slug
from geomob_dask.runs.plan import EachState, Output, Plan
from geomob_dask.sources.brackets import Brackets
from geomob_dask.store import Commit, Part, Provenance, Store

NOWHERE = "in no region"
UNKNOWN = "a count is missing"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Parameters
    ----------
    universe : Universe
        Of brackets.
    positions : str
        Where brackets lie, for W: ``unit``, ``middle``, or rising numbers separated by commas.
    weight : float in [0, 1]
        Of D in the mixture of D and W.
    states : tuple of str, optional
        Whose tracts are written; regions are those of all states in the store.
    each : bool
        Whether states are computed each by itself, with regions of its own tracts only, in runs of their own, and lie
        together as parts of one result.
    """

    universe: Universe
    positions: str = "unit"
    weight: float = 0.5
    states: tuple[str, ...] | None = None
    each: bool = False

    @property
    def brackets(self) -> Brackets:
        """Return the brackets."""
        if not isinstance(self.universe.categories, Brackets):
            raise DefinitionError(f"{self.universe.categories.name}: holds groups without an order, expected brackets")
        return self.universe.categories

    @property
    def mixture(self) -> lift.Mixture:
        """Return what the kernels are asked.

        Raises
        ------
        DefinitionError
            If positions, merging rule or weight do not fit.
        """
        if not 0.0 <= self.weight <= 1.0:
            raise DefinitionError(f"--weight {self.weight}: expected a number between 0 and 1")
        brackets, classes = self.brackets, self.universe.classes
        left = len(brackets.brackets) if classes is None else int(classes[-1]) + 1
        positions = read_positions(brackets, self.positions, left)
        return lift.Mixture(positions, brackets.cuts, self.weight, tuple(leaf.path for leaf in brackets.parts))

    @property
    def collection(self) -> str:
        """Return where the result goes."""
        universe = self.universe
        states = "each" if self.each else "-".join(self.states) if self.states else "all"
        options = {"merge": universe.merge, "positions": None if self.positions == "unit" else self.positions}
        if universe.regions:
            options["regions"] = ",".join(universe.regions)
        if self.weight != 0.5:
            options["weight"] = str(self.weight)
        more = "".join(f"-{name}-{slug(value)}" for name, value in options.items() if value)
        name = f"{states}-{universe.by}{more}"
        return f"results/mixing/{universe.categories.name}/{universe.dataset}/{universe.year}/{name}"


@dataclass(frozen=True)
class Summary:
    """What an analyst wants to know of one state's rows.

    Parameters
    ----------
    tracts, computed : int
        Rows, and those with D.
    reasons : mapping of str to (int, sequence of str)
        Why tracts have none: how many, and the first of them.
    """

    tracts: int
    computed: int
    reasons: Mapping[str, tuple[int, Sequence[str]]]


@dataclass(frozen=True)
class Prepared:
    """A request and what it needs; small plain data that travels to workers.

    Attributes
    ----------
    request : Request
    found : Found
    plan : Plan
    """

    request: Request
    found: Found
    plan: Plan


def make_plan(store: Store, request: Request) -> Plan:
    """Return what a run would read and write; nothing is computed.

    Raises
    ------
    InputError
        If the dataset, year, columns, regions or states are not there.
    """
    return prepare(store, request).plan


def prepare(store: Store, request: Request) -> Prepared:
    """Return what a run would read and write, and where that is; see `make_plan`."""
    _ = request.mixture
    found = find(store, request.universe)
    states = tuple(store.chosen(found.measures, request.states))
    options = {**_options(request), "states": list(request.states or ()) or "all"}
    provenance = Provenance("mixing", found.inputs(), options)
    outputs = tuple(
        Output(state, tuple(part.key for part in found.parts(state)), sum(part.size for part in found.parts(state)))
        for state in states
    )
    existing = store.find(request.collection)
    done = existing is not None and {part.run for part in existing.parts.values()} == {provenance.identity}
    return Prepared(request, found, Plan(request.collection, outputs, provenance, done))


def _options(request: Request) -> dict[str, Any]:
    return {**request.universe.plain(), "positions": request.positions, "weight": request.weight}


@dataclass(frozen=True)
class Each:
    """The outputs of one year, each state by itself.

    Attributes
    ----------
    request : Request
    outputs : EachState
    """

    request: Request
    outputs: EachState
    _found: Found

    @property
    def collection(self) -> str:
        """Return where they go."""
        return self.request.collection

    def prepared(self, state: str) -> Prepared:
        """Return what the output of one state needs, and nothing of others."""
        request = replace(self.request, states=(state,))
        plan = Plan(request.collection, self.outputs.outputs([state]), self.outputs.provenance(state), False)
        return Prepared(request, self._found.of_states([state]), plan)


def prepare_each(store: Store, request: Request) -> Each:
    """Return what a run of every state by itself would read and write; raises as `make_plan`."""
    request = replace(request, each=True)
    _ = request.mixture
    found = find(store, request.universe)
    return Each(request, EachState("mixing", _options(request), found.tables(store)), found)


def execute(store: Store, request: Request, plan: Plan, client: distributed.Client | None, console: Console) -> None:
    """Compute and commit the mixing of all tracts of the plan's states."""
    prepared = replace(prepare(store, request), plan=plan)
    with store.all_or_nothing(plan.collection):
        commit_all(store, produce(store, prepared, on(client, console)))


def produce(store: Store, prepared: Prepared, carry: Carry) -> list[Commit]:
    """Compute and write a plan's outputs; return what is to be committed."""
    run = Run("mixing")
    return _settled(prepared, carry(_work(store, prepared, run), run))


def _work(store: Store, prepared: Prepared, run: Run) -> dict[str, Delayed]:
    """Return the tasks that write each state's part."""
    request, found, plan = prepared.request, prepared.found, prepared.plan
    largest_first = sorted(found.states, key=lambda state: (-found.measures.parts[state].size, state))
    loaded = {state: run.task("load", state, load, store, found, state) for state in largest_first}
    seen = [run.task("tally", state, look, loaded[state]) for state in found.states]
    totals = run.task("totals", "all", _totals, seen, request.universe)
    writes: dict[str, Delayed] = {}
    for output in plan.outputs:
        state = output.state
        table = run.task("mix", state, _table, loaded[state], totals, request.mixture)
        writes[state] = run.task("write", state, _write, store, plan.collection, state, table)
    return writes


def _settled(prepared: Prepared, written: Mapping[str, tuple[Part, Summary]]) -> list[Commit]:
    """Return what is committed of what the tasks wrote."""
    report = {state: asdict(summary) for state, (_, summary) in sorted(written.items())}
    parts = {state: part for state, (part, _) in written.items()}
    provenance = replace(prepared.plan.provenance, report=report)
    return [Commit(prepared.plan.collection, parts, provenance, {"vintage": prepared.found.vintage})]


def summaries(store: Store, request: Request) -> dict[str, Summary]:
    """Return the summary of each state of a result in the store."""
    snapshot = store.snapshot(request.collection)
    return {state: Summary(**snapshot.runs[part.run]["report"][state]) for state, part in snapshot.parts.items()}


def result(store: Store, request: Request) -> pd.DataFrame:
    """Return a result in the store as one frame in memory, a row a tract and region."""
    snapshot = store.snapshot(request.collection)
    return pd.concat([store.read(part) for part in snapshot.parts.values()])


def _totals(seen: Sequence[Seen], universe: Universe) -> lift.Totals:
    check_regions(seen, universe)
    return lift.merge_tallies([one.tally for one in seen])


def _table(loaded: Loaded, totals: lift.Totals, asked: lift.Mixture) -> pd.DataFrame:
    table = lift.mixing(loaded.block, totals, asked)
    left_out = [(NOWHERE, loaded.nowhere), (UNKNOWN, loaded.unknown)]
    rows = [
        pd.DataFrame({"region": "", "reason": reason}, index=pd.Index(geoids, dtype="str", name="geoid"))
        for reason, geoids in left_out
        if geoids
    ]
    if not rows:
        return table
    more = pd.concat(rows).reindex(columns=table.columns)
    more = more.astype({name: kind for name, kind in table.dtypes.items() if kind == np.float64})
    return pd.concat([table, more.astype({"region": "str", "reason": "str"})]).sort_index(kind="stable")


def _write(store: Store, collection: str, state: str, table: pd.DataFrame) -> tuple[Part, Summary]:
    without = table["reason"][table["reason"] != ""]
    reasons = {str(why): (len(rows), tuple(rows.index[:3])) for why, rows in without.groupby(without)}
    summary = Summary(len(table), int(table["divergence"].notna().sum()), reasons)
    return store.put(collection, state, table), summary
