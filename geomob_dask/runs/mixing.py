"""Income mixing of every tract against its region, from the store to the store."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import distributed
import numpy as np
import pandas as pd
from rich.console import Console

from geomob_dask.errors import DefinitionError
from geomob_dask.lift import segregation as lift
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.execute import compute
from geomob_dask.runs.people import Loaded, Seen, Universe, check_regions, find, load, look, slug
from geomob_dask.runs.plan import Output, Plan
from geomob_dask.sources.brackets import Brackets
from geomob_dask.store import Part, Provenance, Store

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
    """

    universe: Universe
    positions: str = "unit"
    weight: float = 0.5
    states: tuple[str, ...] | None = None

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
        positions = brackets.positions(self.positions, left)
        return lift.Mixture(positions, brackets.cuts, self.weight, tuple(leaf.path for leaf in brackets.parts))

    @property
    def collection(self) -> str:
        """Return where the result goes."""
        universe = self.universe
        states = "-".join(self.states) if self.states else "all"
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


def make_plan(store: Store, request: Request) -> Plan:
    """Return what a run would read and write; nothing is computed.

    Raises
    ------
    InputError
        If the dataset, year, columns, regions or states are not there.
    """
    _ = request.mixture
    found = find(store, request.universe)
    states = tuple(store.chosen(found.measures, request.states))
    options = {
        **request.universe.plain(),
        "positions": request.positions,
        "weight": request.weight,
        "states": list(request.states or ()) or "all",
    }
    provenance = Provenance("mixing", found.inputs(), options)
    outputs = tuple(
        Output(state, tuple(part.key for part in found.parts(state)), sum(part.size for part in found.parts(state)))
        for state in states
    )
    existing = store.find(request.collection)
    done = existing is not None and {part.run for part in existing.parts.values()} == {provenance.identity}
    return Plan(request.collection, outputs, provenance, done)


def execute(store: Store, request: Request, plan: Plan, client: distributed.Client | None, console: Console) -> None:
    """Compute and commit the mixing of all tracts of the plan's states."""
    found = find(store, request.universe)
    run = Run("mixing")
    largest_first = sorted(found.states, key=lambda state: (-found.measures.parts[state].size, state))
    loaded = {state: run.task("load", state, load, store, found, state) for state in largest_first}
    seen = [run.task("tally", state, look, loaded[state]) for state in found.states]
    totals = run.task("totals", "all", _totals, seen, request.universe)
    writes: dict[str, Any] = {}
    for output in plan.outputs:
        state = output.state
        table = run.task("mix", state, _table, loaded[state], totals, request.mixture)
        writes[state] = run.task("write", state, _write, store, plan.collection, state, table)
    with store.all_or_nothing(plan.collection):
        written = compute(writes, client, console, token=run.token)
        report = {state: asdict(summary) for state, (_, summary) in sorted(written.items())}
        parts = {state: part for state, (part, _) in written.items()}
        provenance = replace(plan.provenance, report=report)
        store.commit(plan.collection, parts, provenance, {"vintage": found.vintage})


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
