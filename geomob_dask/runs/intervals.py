"""Intervals of a result in the store from the margins of error of its measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import distributed
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.lift.draws import Drawable, Drawn, drawable, intervals, margin_columns, one_draw
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.execute import compute
from geomob_dask.runs.opportunity import Prepared, block_of
from geomob_dask.runs.plan import Plan
from geomob_dask.store import Part, Store


@dataclass(frozen=True)
class Asked:
    """How many draws of which result.

    Parameters
    ----------
    prepared : Prepared
        The index.
    draws : int, 2 or more
    seed : int
    margins : mapping of str to str
        Columns of margins, by measure.
    plan : Plan
    """

    prepared: Prepared
    draws: int
    seed: int
    margins: dict[str, str]
    plan: Plan


def ask(store: Store, prepared: Prepared, draws: int, seed: int) -> Asked:
    """Return what a run of draws would read and write; nothing is computed.

    Raises
    ------
    InputError
        If there are too few draws, no measure has margins, or the norms are not those of the tracts drawn.
    """
    request = prepared.request
    if draws < 2:
        raise InputError(f"--draws {draws}: expected 2 or more")
    if request.norm != "selected":
        raise InputError(f"--draws: found --norm {request.norm}, expected selected: its moments are drawn as well")
    measures = prepared.found.measures
    first = next(state for state, part in measures.parts.items() if part.rows)
    columns = [str(name) for name in store.frame(measures.collection, states=[first]).columns]
    margins = margin_columns(request.definition, columns)
    index = prepared.plan.provenance
    options = {**index.options, "draws": draws, "seed": seed, "margins": margins}
    provenance = replace(index, job="intervals", options=options, report={})
    collection = f"{request.collection('intervals')}-{draws}-{seed}"
    existing = store.find(collection)
    done = existing is not None and {part.run for part in existing.parts.values()} == {provenance.identity}
    return Asked(prepared, draws, seed, margins, Plan(collection, prepared.plan.outputs, provenance, done))


def execute(store: Store, asked: Asked, client: distributed.Client | None, console: Console) -> None:
    """Draw, compute and commit: a task a draw computes the index of all states."""
    run = Run("intervals")
    prepared, definition = asked.prepared, asked.prepared.request.definition
    states = [output.state for output in asked.plan.outputs]
    loaded = [run.task("load", state, _load, store, prepared, state, states, asked.margins) for state in states]
    reach = prepared.found.edges.attributes["reach"]
    drawn = [
        run.task(
            "draw", f"{number:05d}", one_draw, loaded, reach, definition, asked.seed, prepared.request.year, number
        )
        for number in range(asked.draws)
    ]
    writes = {
        state: run.task("write", state, _write, store, asked.plan.collection, state, one, drawn)
        for state, one in zip(states, loaded, strict=True)
    }
    with store.all_or_nothing(asked.plan.collection):
        parts: dict[str, Part] = compute(writes, client, console, token=run.token)
        vintage = prepared.found.measures.attributes["vintage"]
        store.commit(asked.plan.collection, parts, asked.plan.provenance, {"vintage": vintage})


def _load(
    store: Store, prepared: Prepared, state: str, states: Sequence[str], margins: dict[str, str]
) -> tuple[str, Drawable]:
    found, definition = prepared.found, prepared.request.definition
    block = block_of(store, found, state, states, definition)
    part = found.measures.parts.get(state)
    columns = list(margins.values())
    rows = store.read(part, columns) if part else pd.DataFrame(columns=columns, index=block.keys, dtype=float)
    return state, drawable(block, rows, definition, margins)


def _write(store: Store, collection: str, state: str, one: tuple[str, Drawable], drawn: Sequence[Drawn]) -> Part:
    table = intervals(one[1].block.keys, [draw[state] for draw in drawn])
    return store.put(collection, state, table.rename_axis("geoid"))


def result(store: Store, asked: Asked) -> pd.DataFrame:
    """Return the intervals in the store as one frame in memory, index ``geoid``."""
    return store.frame(asked.plan.collection).compute(scheduler="threads")
