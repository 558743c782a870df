"""What a user sees of an opportunity index: the summary, the exported table, the map."""

from collections import Counter

import distributed
import geopandas as gpd
import pandas as pd
from rich.console import Console

from geomob_dask.outputs import tables
from geomob_dask.runs.opportunity import Request, Summary, summaries
from geomob_dask.runs.plan import Plan
from geomob_dask.sources.states import state_name
from geomob_dask.store import Store

_SHOWN_STATES = 60


def summary_lines(store: Store, request: Request, plan: Plan) -> list[str]:
    """Return what an analyst wants to know of a result in the store."""
    by_state = summaries(store, plan)
    every = list(by_state.values())
    total = sum(item.tracts for item in every)
    computed = sum(item.computed for item in every)
    title = request.definition.title or f"Opportunity index {request.definition.name}"
    lines = [
        f"{title}, {request.dataset} {request.year}, norm {request.norm}: {computed:,} of {total:,} tracts have an index",
        f"  imputed cells: {sum(item.imputed_direct for item in every):,} from direct neighbours, "
        f"{sum(item.imputed_once_removed for item in every):,} from those once removed",
        f"  tracts where nobody lives: {sum(item.empty for item in every):,}; "
        f"tracts with a domain score filled from neighbours: {sum(item.filled for item in every):,}",
        *_reason_lines(every),
        "  opportunity by state (0 least … 100 most): first quartile, median, third quartile",
    ]
    shown = sorted(by_state.items(), key=lambda item: -(item[1].quartiles or [0, -1])[1])
    for state, item in shown[:_SHOWN_STATES]:
        quartiles = (
            "  ".join(f"{value:5.1f}" for value in item.quartiles) if item.quartiles else "  no tract with an index"
        )
        lines.append(f"    {state} {state_name(state):<32} {item.computed:>6,} tracts  {quartiles}")
    return [*lines, f"  in {store.url}/{plan.collection}"]


def _reason_lines(every: list[Summary]) -> list[str]:
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for item in every:
        for reason, (count, first) in item.reasons.items():
            counts[reason] += count
            examples.setdefault(reason, []).extend(first)
    return [
        f"  no index: {count:,} tracts, {reason} ({', '.join(examples[reason][:3])}{', …' if count > 3 else ''})"
        for reason, count in counts.most_common()
    ]


def result(store: Store, request: Request) -> pd.DataFrame:
    """Return a result in the store as one frame in memory."""
    return store.frame(request.collection()).compute(scheduler="threads")


def polygons(store: Store, request: Request) -> gpd.GeoSeries:
    """Return the polygons of a result's tracts; those without one are absent."""
    snapshot = store.snapshot(request.collection())
    collection = f"tracts/{snapshot.attributes['vintage']}"
    there = [state for state in snapshot.parts if state in store.snapshot(collection).parts]
    return store.frame(collection, states=there, columns=["geometry"]).compute(scheduler="threads").geometry


def export_result(store: Store, request: Request, file: str) -> None:
    """Write a result as one table; with polygons where the file can hold them."""
    tables.export(result(store, request), file, lambda: polygons(store, request))


def map_result(store: Store, request: Request, file: str, client: distributed.Client | None, console: Console) -> None:
    """Write the interactive map of a result."""
