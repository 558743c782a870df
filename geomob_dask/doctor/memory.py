"""Whether the memory of workers suffices for the largest partition of a store.

A task of one state holds its inputs many times over: as Arrow's columns, as shapes, in tables between two steps. How
many times was measured: `benchmarks/partition_memory.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geomob_dask.clusters.workers import IMPORTS
from geomob_dask.doctor.findings import Finding, Level, skipped, unless_found, well
from geomob_dask.doctor.machines import Facts, workers
from geomob_dask.messages import counted
from geomob_dask.store import Store

# Bytes that a task takes for each byte of its inputs in the store, by kind of the collection that it reads, and the
# least that it takes: neighbors and exposure, which take most, in benchmarks/partition_memory.py.
GROWTH: Mapping[str, float] = {"tracts": 9.0, "measures": 131.0}
LEAST = 64 * 2**20


@dataclass(frozen=True)
class Largest:
    """The partition whose task takes most memory.

    Parameters
    ----------
    collection, state : str
    size : int
        Its bytes in the store.
    needs : float
        Bytes that its task takes.
    """

    collection: str
    state: str
    size: int
    needs: float


def largest_of(store: Store) -> Largest | None:
    """Return the partition of a store whose task takes most memory; None where there are no polygons and measures."""
    found = None
    for kind, growth in GROWTH.items():
        for collection in store.collections(kind):
            snapshot = store.find(collection)
            for state, part in snapshot.parts.items() if snapshot else ():
                needs = LEAST + growth * part.size
                if found is None or needs > found.needs:
                    found = Largest(collection, state, part.size, needs)
    return found


def memory(facts: Facts, largest: Largest | None) -> list[Finding]:
    """Return which workers have too little memory for the task of the largest partition.

    Parameters
    ----------
    facts : mapping
        Of the workers; of the client alone where there are none.
    """
    if largest is None:
        return [skipped("memory", "the store holds no polygons or measures yet")]
    found = [
        finding for where, one in (workers(facts) or facts).items() if (finding := _of_worker(where, one, largest))
    ]
    text = (
        f"{_size(IMPORTS + largest.needs)} suffices for the largest partition, state {largest.state} of "
        f"{largest.collection} ({_size(largest.size)} in the store)"
    )
    return unless_found(found, well("memory", text))


def _of_worker(where: str, one: Mapping[str, Any], largest: Largest) -> Finding | None:
    """Return what is wrong with the memory of a worker; None if nothing is."""
    limit, threads = one["memory_limit"], one["threads"] or 1
    has = limit or one["memory"]
    # Share of a limit above which it starts no task; a worker may have none.
    share = (one["pause"] or 1.0) if limit else 1.0
    alone = (IMPORTS + largest.needs) / share
    together = (IMPORTS + threads * largest.needs) / share
    if has >= together:
        return None
    what = f"{_size(has)} of memory for {counted(threads, 'thread')}" + ("" if limit else ", of the whole machine")
    needs = f"state {largest.state} of {largest.collection}, {_size(largest.size)} in the store"
    if has < alone:
        return Finding(
            "memory",
            Level.WRONG,
            what,
            f"{_size(alone)} for a task of the largest partition ({needs})",
            f"memory_limit: {alone / 2**30:.1f}GiB or more in cluster.yaml, with fewer workers on a machine if need be",
            where,
        )
    return Finding(
        "memory",
        Level.WARNING,
        what,
        f"{_size(together)} for as many tasks of the largest partition at once ({needs})",
        "threads_per_worker: 1, or more memory_limit, in cluster.yaml",
        where,
    )


def _size(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
