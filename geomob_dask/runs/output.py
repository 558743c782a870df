"""One output of a product: its frames, its parts in the store, and the commits that will make it visible."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from geomob_dask.errors import RunError
from geomob_dask.frames.own_rows import no_value, one_value, own_rows, value_of
from geomob_dask.frames.reduction import reduced
from geomob_dask.products.catalog import product_named
from geomob_dask.products.product import NOTES, Prepared
from geomob_dask.products.reader import Reader
from geomob_dask.store import Commit, Part, Provenance, Receipt, Store, receipts
from geomob_dask.store.provenance import versions


@dataclass(frozen=True)
class Made:
    """The result of one output.

    Parameters
    ----------
    commits : sequence of Commit
        What is to be committed, the result last.
    seconds : float
        How long it took; 0 where it was found.
    computed : bool
        Whether it was computed, or its receipt or its commit was found.
    """

    commits: Sequence[Commit]
    seconds: float
    computed: bool


def make(store: Store, prepared: Prepared, identity: str, again: bool) -> Made:
    """Compute one output in memory and write its parts, then its receipt; or find the receipt, or its commit.

    A task that runs twice, since its worker died or two runs want the same, finds what the first one left.

    Parameters
    ----------
    identity : str
        Of the output, as planned.
    again : bool
        Whether it is computed even if it exists.
    """
    found = None if again else find(store, prepared, identity)
    if found is not None:
        return found
    start = time.perf_counter()
    made: Made = value_of(frame_of(store, prepared, identity, lazy=False))
    return replace(made, seconds=time.perf_counter() - start)


def find(store: Store, prepared: Prepared, identity: str) -> Made | None:
    """Return an existing output: its receipt, or its commit; None if it is to be computed."""
    kept = receipts.read(store.objects, receipts.key_of(prepared.collection, prepared.part, identity))
    if kept is not None and {commit.collection for commit in kept.commits} != set(prepared.collections):
        # The receipt of a request with other further targets, which are not part of the identity.
        kept = None
    # Another run that wanted the same has removed the receipt when it committed.
    commits = _committed(store, prepared, identity) if kept is None else kept.commits
    return None if commits is None else Made(commits, 0.0, False)


def frame_of(store: Store, prepared: Prepared, identity: str, *, lazy: bool, attempt: int = 1) -> Any:
    """Return a frame of one row whose value is the `Made` output, written with its receipt once it is computed.

    Parameters
    ----------
    lazy : bool
        Whether the output is spread over a cluster, a partition per state; otherwise it is computed now, in memory.
    attempt : int
        See `Store.aligned`.
    """
    product = product_named(prepared.product)
    read = Reader(store, prepared.inputs, prepared.whole, prepared.states, lazy, attempt)
    frames = product.compute(read, prepared)
    written = [_written(store, prepared, role, frames[role], lazy) for role in prepared.targets]
    values = {role: frame for role, frame in frames.items() if role not in prepared.targets}
    # Snapshots of all states would weigh down the last task: the provenance is all that it needs of them.
    about = replace(prepared, inputs={}, whole={})
    return own_rows(
        settle,
        *written,
        *values.values(),
        meta=no_value,
        store=store,
        prepared=about,
        provenance=prepared.provenance,
        identity=identity,
        values=tuple(values),
    )


@dataclass(frozen=True)
class _Written:
    name: str
    part: Part
    summary: Mapping[str, Any]


def _written(store: Store, prepared: Prepared, role: str, frame: Any, lazy: bool) -> Any:
    """Return the parts of one target: a frame of one row whose value lists them."""
    # Nor do tasks that write need what is computed from.
    about = replace(prepared, inputs={}, whole={}, details=None)
    options = {"store": store, "prepared": about, "role": role}
    if own := prepared.targets[role].parts:
        names = dd.from_map(_name, list(own), meta=_names(()), label="name") if lazy else _names(own)
        tables = own_rows(write_values, frame, names, meta=no_value, **options)
        return reduced(_listed, tables)
    if not prepared.targets[role].by_state:
        return own_rows(write_all, frame, meta=no_value, **options)
    if not lazy:
        whole = len(prepared.states) == 1
        return own_rows(write, frame, _names(prepared.written), meta=no_value, whole=whole, **options)
    places = [prepared.states.index(state) for state in prepared.written]
    chosen = frame if len(places) == frame.npartitions else frame.partitions[places]
    names = dd.from_map(_name, list(prepared.written), meta=_names(()), label="name")
    return reduced(_listed, own_rows(write, chosen, names, meta=no_value, whole=True, **options))


def _name(state: str) -> pd.DataFrame:
    return _names((state,))


def _names(states: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({"state": pd.Series(list(states), dtype=object)})


def write(
    table: pd.DataFrame, names: pd.DataFrame, *, store: Store, prepared: Prepared, role: str, whole: bool
) -> pd.DataFrame:
    """Write the parts of some states: the table belongs to one of them, or its keys name the states."""
    product, collection = product_named(prepared.product), prepared.targets[role].collection
    written = []
    for state in names["state"]:
        rows = table if whole else table[np.asarray(table.index.astype("str").str[: len(state)] == state)]
        part = store.put(collection, state, rows)
        written.append(_Written(state, part, product.summarize(role, rows, prepared)))
    return one_value(written)


def write_all(table: pd.DataFrame, *, store: Store, prepared: Prepared, role: str) -> pd.DataFrame:
    """Write the single part of a target."""
    product, collection = product_named(prepared.product), prepared.targets[role].collection
    part = store.put(collection, prepared.part, table)
    return one_value([_Written(prepared.part, part, product.summarize(role, table, prepared))])


def write_values(
    tables: pd.DataFrame, names: pd.DataFrame, *, store: Store, prepared: Prepared, role: str
) -> pd.DataFrame:
    """Write parts of a target whose tables are values of a frame."""
    product, collection = product_named(prepared.product), prepared.targets[role].collection
    written = []
    for name, table in zip(names["state"], tables["value"], strict=True):
        written.append(_Written(name, store.put(collection, name, table), product.summarize(role, table, prepared)))
    return one_value(written)


def _listed(parts: Sequence[Sequence[_Written]]) -> list[_Written]:
    return [one for written in parts for one in written]


def settle(
    *frames: pd.DataFrame,
    store: Store,
    prepared: Prepared,
    provenance: Provenance,
    identity: str,
    values: Sequence[str],
) -> pd.DataFrame:
    """Write the receipt of an output whose parts are written; return it."""
    product = product_named(prepared.product)
    # Versions of where this runs: a worker may have others than the plan was made with.
    provenance = replace(provenance, versions=versions())
    roles = list(prepared.targets)
    by_role: dict[str, list[_Written]] = dict(zip(roles, map(value_of, frames), strict=False))
    summaries = {role: {one.name: one.summary for one in written} for role, written in by_role.items()}
    found = dict(zip(values, map(value_of, frames[len(roles) :]), strict=True))
    notes = found.pop(NOTES, [])
    report = {**product.report(prepared, summaries, found), **({NOTES: notes} if notes else {})}
    attributes = product.attributes(prepared, summaries)
    if provenance.identity != identity:
        raise RunError(
            f"{prepared.collection}, {prepared.part}: found run {provenance.identity}, planned {identity}; expected "
            "the same version of the package and its libraries on workers as where the plan was made"
        )
    commits = tuple(
        Commit(
            prepared.targets[role].collection,
            {one.name: one.part for one in by_role[role]},
            replace(provenance, report=report) if role == roles[0] else provenance,
            attributes,
        )
        for role in reversed(roles)
    )
    key = receipts.key_of(prepared.collection, prepared.part, identity)
    store.objects.put(key, Receipt(prepared.part, commits).to_bytes())
    return one_value(Made(commits, 0.0, True))


def _committed(store: Store, prepared: Prepared, identity: str) -> tuple[Commit, ...] | None:
    """Return an output as it was committed; None where any of its collections does not hold it."""
    found = []
    for role in reversed(list(prepared.targets)):
        target = prepared.targets[role]
        snapshot = store.find(target.collection)
        parts = {} if snapshot is None else snapshot.parts
        names = prepared.parts_of(role)
        own = {name: parts[name] for name in names if name in parts}
        if snapshot is None or len(own) < len(names) or {part.run for part in own.values()} != {identity}:
            return None
        found.append(Commit(target.collection, own, Provenance(**snapshot.runs[identity]), snapshot.attributes))
    return tuple(found)
