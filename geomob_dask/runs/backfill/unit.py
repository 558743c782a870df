"""What a worker does with one output: all of it, in one task."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geomob_dask.errors import RunError
from geomob_dask.runs.backfill.products import produce
from geomob_dask.runs.execute import in_this_thread
from geomob_dask.store import Commit, Receipt, Store, receipts


@dataclass(frozen=True)
class Made:
    """What came of one output.

    Parameters
    ----------
    commits : sequence of Commit
        What is to be committed of it.
    seconds : float
        How long it took; 0 where a receipt was found.
    computed : bool
        Whether it was computed, or a receipt was found.
    """

    commits: Sequence[Commit]
    seconds: float
    computed: bool


def make(store: Store, job: str, prepared: Any, collection: str, state: str, identity: str, again: bool) -> Made:
    """Compute one output and write its parts, then its receipt; or find the receipt.

    A task that runs twice, since its worker died or two backfills want the same, finds what the first one left.

    Parameters
    ----------
    prepared
        What its job's `produce` needs.
    collection, state, identity : str
        Of the output.
    again : bool
        Whether it is computed even if a receipt is there.
    """
    key = receipts.key_of(collection, state, identity)
    kept = None if again else receipts.read(store.objects, key)
    if kept is not None:
        return Made(kept.commits, 0.0, False)
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
