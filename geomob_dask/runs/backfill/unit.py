"""What a worker does with one output: all of it, in one task."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geomob_dask.errors import RunError
from geomob_dask.runs.backfill.products import ALL, produce
from geomob_dask.runs.execute import in_this_thread
from geomob_dask.store import Commit, Provenance, Receipt, Store, receipts


@dataclass(frozen=True)
class Made:
    """What came of one output.

    Parameters
    ----------
    commits : sequence of Commit
        What is to be committed of it.
    seconds : float
        How long it took; 0 where it was found.
    computed : bool
        Whether it was computed, or its receipt or its commit was found.
    """

    commits: Sequence[Commit]
    seconds: float
    computed: bool


def make(
    store: Store,
    job: str,
    prepared: Any,
    collection: str,
    state: str,
    identity: str,
    again: bool,
    also: Sequence[str] = (),
) -> Made:
    """Compute one output and write its parts, then its receipt; or find the receipt, or its commit.

    A task that runs twice, since its worker died or two backfills want the same, finds what the first one left.

    Parameters
    ----------
    prepared
        What its job's `produce` needs.
    collection, state, identity : str
        Of the output.
    again : bool
        Whether it is computed even if it is there.
    also : sequence of str
        Further collections that a whole output is in.
    """
    key = receipts.key_of(collection, state, identity)
    if not again:
        kept = receipts.read(store.objects, key)
        # Another backfill that wanted the same has removed the receipt when it committed.
        commits = _committed(store, (*also, collection), state, identity) if kept is None else kept.commits
        if commits is not None:
            return Made(commits, 0.0, False)
    start = time.perf_counter()
    commits = tuple(produce(job, store, prepared, in_this_thread))
    found = commits[-1].provenance.identity
    if found != identity:
        raise RunError(
            f"{collection}, {state}: found run {found}, planned {identity}; expected the same version of the package "
            "and its libraries on workers as where the plan was made"
        )
    store.objects.put(key, Receipt(state, commits).to_bytes())
    return Made(commits, time.perf_counter() - start, True)


def _committed(store: Store, collections: Sequence[str], state: str, identity: str) -> tuple[Commit, ...] | None:
    """Return an output as it was committed; None where any of its collections does not hold it."""
    found = []
    for collection in collections:
        snapshot = store.find(collection)
        parts = {} if snapshot is None else snapshot.parts
        own = {state: parts[state]} if state in parts else dict(parts) if state == ALL else {}
        if snapshot is None or {part.run for part in own.values()} != {identity}:
            return None
        found.append(Commit(collection, own, Provenance(**snapshot.runs[identity]), snapshot.attributes))
    return tuple(found)
