"""Several datasets of one vintage as one: a definition or a grouping reads its columns from a single dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import distributed
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.execute import compute
from geomob_dask.runs.harmonize import money_of
from geomob_dask.runs.landing import Ingested
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
    reasons : sequence of Snapshot or None
        Why numbers are missing or coded, of each dataset that has them.
    attributes : mapping
        Of the result: the vintage of all, and the dollars that money is in where a dataset says.
    plan : Plan
    """

    inputs: Sequence[Snapshot]
    reasons: Sequence[Snapshot | None]
    attributes: Mapping[str, Any]
    plan: Plan

    @property
    def vintage(self) -> str:
        """Return the vintage of all datasets."""
        return str(self.attributes["vintage"])

    @property
    def told(self) -> str:
        """Return where the reasons go."""
        return _reasons_of(self.plan.collection)


def prepare(store: Store, datasets: Sequence[str], years: Sequence[int], name: str) -> list[Prepared]:
    """Return what a run would read and write, by year; nothing is computed.

    Raises
    ------
    InputError
        If fewer than two datasets are named, one is not there, vintages or the dollars of money differ, or a column is
        in two of them.
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
    attributes = {"vintage": next(iter(vintages)), **_money(inputs)}
    reasons = [store.find(_reasons_of(one.collection)) for one in inputs]
    provenance = Provenance(
        "join",
        {one.collection: one.checksum() for one in (*inputs, *reasons) if one is not None},
        {"datasets": list(datasets), "year": year, "name": name},
    )
    collection = f"measures/{name}/{year}"
    existing = store.find(collection)
    done = existing is not None and {part.run for part in existing.parts.values()} == {provenance.identity}
    outputs = []
    for state in sorted({state for one in inputs for state in one.parts}):
        parts = [one.parts[state] for one in inputs if state in one.parts]
        outputs.append(Output(state, tuple(part.key for part in parts), sum(part.size for part in parts)))
    return Prepared(inputs, reasons, attributes, Plan(collection, tuple(outputs), provenance, done))


def _reasons_of(collection: str) -> str:
    return collection.replace("measures/", "reasons/", 1)


def _money(inputs: Sequence[Snapshot]) -> dict[str, Any]:
    """Return the dollars that money is in; a dataset that says nothing of them has none, or names its year's own."""
    said = [(one.collection, money_of(one.attributes)) for one in inputs]
    said = [(where, money) for where, money in said if money]
    for where, money in said[1:]:
        first, found = said[0]
        for key in found:
            if found[key] != money.get(key):
                raise InputError(
                    f"{first} is of {key} {found[key]!r}, {where} of {money.get(key)!r}; expected money in dollars of "
                    f"one year: jobs/harmonize.py --dataset NAME --dollars {found['dollars']}"
                )
    return said[0][1] if said else {}


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
    # Reasons of an earlier join of that name must not stay beside numbers that have none.
    with_reasons = [item for item in prepared if any(item.reasons) or store.find(item.told) is not None]
    for item in with_reasons:
        for output in item.plan.outputs:
            name = f"{item.told}/{output.state}"
            why = [one.parts[output.state] for one in item.reasons if one is not None and output.state in one.parts]
            named[name] = run.task("reasons", name, _write_reasons, store, item.told, output.state, why)
    with store.all_or_nothing(*(item.plan.collection for item in prepared), *(item.told for item in with_reasons)):
        written = compute(named, client, console, token=run.token)
        for item in prepared:
            for collection in (item.told, item.plan.collection) if item in with_reasons else (item.plan.collection,):
                parts = {one.state: written[f"{collection}/{one.state}"] for one in item.plan.outputs}
                store.commit(collection, parts, item.plan.provenance, item.attributes)
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


def _write_reasons(store: Store, collection: str, state: str, parts: Sequence[Part]) -> Part:
    """Put the reasons of one state together, by tract and in the order of the datasets."""
    told = [store.read(part) for part in parts]
    empty = pd.DataFrame({"column": [], "reason": []}, dtype="str", index=pd.Index([], dtype="str", name="geoid"))
    whole = pd.concat(told).sort_index(kind="stable") if told else empty
    return store.put(collection, state, whole)
