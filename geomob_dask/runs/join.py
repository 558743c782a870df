"""Several datasets of one vintage as one: a definition or a grouping reads its columns from a single dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import distributed
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.execute import compute
from geomob_dask.runs.ingest import Ingested
from geomob_dask.runs.plan import Output, Plan
from geomob_dask.sources.keys import listed
from geomob_dask.store import Part, Provenance, Snapshot, Store


@dataclass(frozen=True)
class Prepared:
    """A year to be joined.

    Attributes
    ----------
    inputs : sequence of Snapshot
        Datasets, in the order named.
    vintage : str
        Of all of them.
    plan : Plan
    """

    inputs: Sequence[Snapshot]
    vintage: str
    plan: Plan


def prepare(store: Store, datasets: Sequence[str], years: Sequence[int], name: str) -> list[Prepared]:
    """Return what a run would read and write, by year; nothing is computed.

    Raises
    ------
    InputError
        If fewer than two datasets are named, one is not there, vintages differ, or a column is in two of them.
    """
    if len(set(datasets)) < 2 or len(set(datasets)) < len(datasets):
        raise InputError(f"datasets {listed(datasets)}: expected two or more, each once")
    return [_prepared(store, datasets, year, name) for year in years]


def _prepared(store: Store, datasets: Sequence[str], year: int, name: str) -> Prepared:
    inputs = [store.snapshot(f"measures/{dataset}/{year}") for dataset in datasets]
    vintages = {str(one.attributes["vintage"]): one.collection for one in inputs}
    if len(vintages) > 1:
        (first, one), (second, other) = list(vintages.items())[:2]
        raise InputError(
            f"{one} is on tracts of vintage {first}, {other} on those of {second}; expected one vintage: "
            f"jobs/harmonize.py --dataset NAME --years {year} --to {second}"
        )
    _refuse_same_columns(store, inputs)
    provenance = Provenance(
        "join",
        {one.collection: one.checksum() for one in inputs},
        {"datasets": list(datasets), "year": year, "name": name},
    )
    collection = f"measures/{name}/{year}"
    existing = store.find(collection)
    done = existing is not None and {part.run for part in existing.parts.values()} == {provenance.identity}
    outputs = []
    for state in sorted({state for one in inputs for state in one.parts}):
        parts = [one.parts[state] for one in inputs if state in one.parts]
        outputs.append(Output(state, tuple(part.key for part in parts), sum(part.size for part in parts)))
    return Prepared(inputs, next(iter(vintages)), Plan(collection, tuple(outputs), provenance, done))


def _refuse_same_columns(store: Store, inputs: Sequence[Snapshot]) -> None:
    where: dict[str, str] = {}
    for one in inputs:
        for column in store.frame(one.collection).columns:
            if column in where:
                raise InputError(
                    f"column {column!r}: found in {where[column]} and {one.collection}, expected it in one of them"
                )
            where[column] = one.collection


def execute(
    store: Store, prepared: Sequence[Prepared], client: distributed.Client | None, console: Console
) -> list[Ingested]:
    """Join and commit: a task a year and state."""
    run = Run("join")
    columns = {item.plan.collection: [_columns(store, one) for one in item.inputs] for item in prepared}
    writes = {
        (item.plan.collection, output.state): run.task(
            "write",
            f"{item.plan.collection}-{output.state}",
            _write,
            store,
            item.plan.collection,
            output.state,
            [one.parts.get(output.state) for one in item.inputs],
            columns[item.plan.collection],
        )
        for item in prepared
        for output in item.plan.outputs
    }
    named = {"/".join(key): task for key, task in writes.items()}
    with store.all_or_nothing(*(item.plan.collection for item in prepared)):
        written = compute(named, client, console, token=run.token)
        for item in prepared:
            parts = {one.state: written[f"{item.plan.collection}/{one.state}"] for one in item.plan.outputs}
            store.commit(item.plan.collection, parts, item.plan.provenance, {"vintage": item.vintage})
    return [joined(store, item) for item in prepared]


def joined(store: Store, item: Prepared) -> Ingested:
    """Return what is in the store of a year that was joined."""
    parts = store.snapshot(item.plan.collection).parts
    lines = [f"vintage {item.vintage}; from {listed([one.collection for one in item.inputs], 12)}"]
    return Ingested(item.plan.collection, {state: part.rows for state, part in parts.items()}, tuple(lines))


def _columns(store: Store, snapshot: Snapshot) -> Mapping[str, str]:
    """Return the types of a dataset's columns, for states that it does not have."""
    return {str(name): str(kind) for name, kind in store.frame(snapshot.collection).dtypes.items()}


def _write(
    store: Store,
    collection: str,
    state: str,
    parts: Sequence[Part | None],
    columns: Sequence[Mapping[str, str]],
) -> Part:
    """Join the rows of one state: a tract of any dataset has a row, NaN where a dataset does not have it."""
    tables = [
        store.read(part) if part is not None else pd.DataFrame(columns=list(kinds)).astype(dict(kinds))
        for part, kinds in zip(parts, columns, strict=True)
    ]
    keys = tables[0].index.astype("str")
    for table in tables[1:]:
        keys = keys.union(table.index.astype("str"))
    whole = pd.concat([table.reindex(keys) for table in tables], axis=1)
    return store.put(collection, state, whole.rename_axis("geoid"))
