"""The neighbour graph of a tract vintage, from the store to the store."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import distributed
import numpy as np
import pandas as pd
from rich.console import Console

from geomob_dask.lift.contiguity import contiguity
from geomob_dask.lift.halo import partition_contacts
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.execute import compute
from geomob_dask.runs.plan import Output, Plan
from geomob_dask.store import Part, Provenance, Store


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Parameters
    ----------
    vintage : str
        Whose polygons.
    snap, gap : float, optional
        See `contiguity`; snap is a tenth of a millimetre by default.
    islands : str
        ``none`` or ``nearest:K``.
    """

    vintage: str
    snap: float | None = None
    gap: float = 0.0
    islands: str = "none"

    @property
    def collection(self) -> str:
        """Return where the graph goes."""
        return f"neighbors/{self.vintage}"

    @property
    def differences(self) -> str:
        """Return where the pairs go on which the rules differ."""
        return f"differences/{self.vintage}"


def make_plan(store: Store, request: Request) -> Plan:
    """Return what a run would read and write; nothing is computed."""
    tracts = store.snapshot(f"tracts/{request.vintage}")
    options = {"vintage": request.vintage, "snap": request.snap, "gap": request.gap, "islands": request.islands}
    provenance = Provenance("neighbors", {tracts.collection: tracts.checksum()}, options)
    outputs = tuple(Output(state, (part.key,), part.size) for state, part in tracts.parts.items())
    existing = store.find(request.collection)
    done = existing is not None and {part.run for part in existing.parts.values()} == {provenance.identity}
    return Plan(request.collection, outputs, provenance, done)


def execute(store: Store, request: Request, plan: Plan, client: distributed.Client | None, console: Console) -> None:
    """Build and commit the graph of all states of the vintage."""
    tracts = store.snapshot(f"tracts/{request.vintage}")
    run = Run("neighbors")
    graph = contiguity(
        store.frame(tracts.collection, columns=["geometry"]),
        snap=request.snap,
        gap=request.gap,
        islands=request.islands,
        partitions=list(tracts.parts),
        run=run,
    )
    tasks: dict[str, Any] = {
        state: run.task("write", state, _write, store, plan.collection, state, edges)
        for state, edges in graph.edges.items()
    }
    tasks["differences"] = run.task(
        "write-differences", "all", _write_differences, store, request.differences, graph.differences
    )
    with store.all_or_nothing(plan.collection, request.differences):
        written = compute({**tasks, "report": graph.report}, client, console, token=run.token)
        report, differences = written.pop("report"), written.pop("differences")
        reach: dict[str, list[str]] = {state: [] for state in tracts.parts}
        for one, other in sorted(set().union(*(contacts for _, contacts in written.values()))):
            reach[one].append(other)
        attributes = {"tracts": tracts.checksum(), "reach": reach, "crs": tracts.attributes["crs"]}
        provenance = replace(plan.provenance, report=asdict(report))
        store.commit(request.differences, {"all": differences}, plan.provenance)
        store.commit(plan.collection, {state: part for state, (part, _) in written.items()}, provenance, attributes)


def _write(store: Store, collection: str, state: str, edges: pd.DataFrame) -> tuple[Part, set[tuple[str, str]]]:
    focal, neighbor = edges["focal"].to_numpy(object), edges["neighbor"].to_numpy(object)
    contacts = partition_contacts(focal, _states(focal), _states(neighbor))
    return store.put(collection, state, edges.astype({"rule": "str"}).set_index("focal")), contacts


def _write_differences(store: Store, collection: str, pairs: pd.DataFrame) -> Part:
    return store.put(collection, "all", pairs.astype({"rule": "str"}).set_index("focal"))


def _states(keys: np.ndarray) -> np.ndarray:
    return np.array([key[:2] for key in keys], dtype=object)


def report(store: Store, request: Request) -> dict[str, Any]:
    """Return what was found when the graph in the store was built: the fields of `graph.contiguity.Report`."""
    snapshot = store.snapshot(request.collection)
    (run,) = {part.run for part in snapshot.parts.values()}
    return dict(snapshot.runs[run]["report"])


def differences(store: Store, request: Request) -> pd.DataFrame:
    """Return the pairs that only one rule finds, that overlap, or that just miss each other."""
    return store.read(store.snapshot(request.differences).parts["all"])


def edges(store: Store, vintage: str, *, states: Sequence[str] | None = None, rook: bool = False) -> pd.DataFrame:
    """Return the edges of a vintage, those between the given states only: focal, neighbor, rook, overlap, rule."""
    table = store.frame(f"neighbors/{vintage}", states=states).compute(scheduler="threads")
    if states is not None:
        table = table[table["neighbor"].str[:2].isin(list(states))]
    return (table[table["rook"]] if rook else table).reset_index()
