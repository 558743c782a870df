"""What a user sees of an opportunity index: the summary, the exported table, the map."""

from collections import Counter
from collections.abc import Mapping, Sequence

import distributed
import geopandas as gpd
import pandas as pd
from rich.console import Console

from geomob_dask.definition import Definition
from geomob_dask.outputs import maps, tables
from geomob_dask.runs.display import display_polygons
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
    lines = [
        f"{_title(request)}, {request.dataset} {request.year}, norm {request.norm}: "
        f"{computed:,} of {total:,} tracts have an index",
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


def interval_lines(bounds: pd.DataFrame, margins: Mapping[str, str], definition: Definition) -> list[str]:
    """Return how wide intervals are, and which measures were taken for exact."""
    known = bounds.dropna()
    exact = [measure for measure in definition.measures if measure not in margins]
    width = (known["opportunity_ub"] - known["opportunity_lb"]).quantile([0.25, 0.5, 0.75])
    ranks = (known["rank_ub"] - known["rank_lb"]).quantile([0.25, 0.5, 0.75])
    lines = [
        f"  90 % intervals of {len(known):,} tracts, width at the quartiles: opportunity "
        f"{', '.join(f'{value:.2g}' for value in width)}; rank (0 to 1) {', '.join(f'{value:.2g}' for value in ranks)}"
    ]
    if exact:
        lines.append(f"  without margins, taken for exact: {', '.join(exact)}")
    return lines


def _title(request: Request) -> str:
    return request.definition.title or f"Opportunity index {request.definition.name}"


def _reason_lines(every: list[Summary]) -> list[str]:
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for item in every:
        for reason, (count, first) in item.reasons.items():
            counts[reason] += count
            examples.setdefault(reason, []).extend(first)
    lines = []
    for reason, count in counts.most_common():
        named = ", ".join(examples[reason][:3]) + (", …" if count > 3 else "")
        lines.append(f"  no index: {count:,} {'tract' if count == 1 else 'tracts'}, {reason} ({named})")
    return lines


def result(store: Store, request: Request) -> pd.DataFrame:
    """Return a result in the store as one frame in memory."""
    return store.frame(request.collection()).compute(scheduler="threads")


def polygons(store: Store, request: Request) -> gpd.GeoSeries:
    """Return the polygons of a result's tracts; those without one are absent."""
    snapshot = store.snapshot(request.collection())
    collection = f"tracts/{snapshot.attributes['vintage']}"
    there = [state for state in snapshot.parts if state in store.snapshot(collection).parts]
    return store.frame(collection, states=there, columns=["geometry"]).compute(scheduler="threads").geometry


def export_result(store: Store, request: Request, file: str, more: pd.DataFrame | None = None) -> None:
    """Write a result as one table, perhaps with more columns; with polygons where the file can hold them."""
    table = result(store, request)
    if more is not None:
        table = table.join(more)
    tables.export(table, file, lambda: polygons(store, request))


def map_result(store: Store, request: Request, file: str, client: distributed.Client | None, console: Console) -> None:
    """Write the interactive map of a result: the index, then each domain."""
    table = result(store, request)
    snapshot = store.snapshot(request.collection())
    polygons = display_polygons(store, snapshot.attributes["vintage"], list(snapshot.parts), client, console)
    definition = request.definition
    page = maps.index_map(
        polygons,
        table,
        _layers(table, definition),
        title=_title(request),
        subtitle=f"{request.dataset} {request.year}, tracts of vintage {snapshot.attributes['vintage']}, "
        f"definition “{definition.name}”, norm: {request.norm}",
        missing_note="have no value; the pointer says why",
        details={
            "filled_domains": "Filled from neighbours",
            "imputed_direct": "Imputed from neighbours",
            "imputed_once_removed": "Imputed from neighbours once removed",
            "reason": "No index because",
        },
        tolerance=0,
    )
    maps.write_map(file, page)


def _layers(table: pd.DataFrame, definition: Definition) -> list[maps.Layer]:
    unit = _UNITS[definition.parameters.recipe]

    def layer(column: str, label: str, explanation: str, palette: Sequence[str]) -> maps.Layer:
        low, high = maps.spread(table[column], step=definition.parameters.top / 20 or 0.1)
        return maps.Layer(column, label, unit, palette, low, high, explanation)

    more = maps.DEPRIVATION_PALETTE
    overall = [
        layer("opportunity", "Opportunity", "higher: more opportunity", maps.OPPORTUNITY_PALETTE),
        layer("deprivation", "Deprivation", "higher: more deprivation", more),
    ]
    domains = [
        layer(name, name, f"deprivation in {', '.join(item.measure for item in items)}", more)
        for name, items in definition.domains.items()
    ]
    return overall + domains


_UNITS = {
    "opportunity": "0 to 100",
    "svi": "percentile rank, 0 to 1",
    "z_mean": "standard deviations",
    "principal_component": "0 to 1",
    "weighted_principal_component": "0 to 1",
}
