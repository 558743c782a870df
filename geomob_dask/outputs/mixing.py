"""What a user sees of income mixing: the summary and the exported table."""

from collections import Counter
from collections.abc import Sequence

import geopandas as gpd
import pandas as pd

from geomob_dask.outputs import tables
from geomob_dask.runs.mixing import Request, result, summaries
from geomob_dask.store import Store


def summary_lines(store: Store, request: Request) -> list[str]:
    """Return what an analyst wants to know of a result in the store."""
    universe = request.universe
    every = list(summaries(store, request).values())
    table = result(store, request)
    known = table[table["divergence"].notna()]
    units = known.groupby("region").size()
    lines = [
        f"{universe.categories.title}, {universe.dataset} {universe.year}, by {universe.by}: "
        f"{sum(item.computed for item in every):,} of {sum(item.tracts for item in every):,} tracts in "
        f"{len(units):,} regions",
    ]
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for item in every:
        for reason, (count, first) in item.reasons.items():
            counts[reason] += count
            examples.setdefault(reason, []).extend(first)
    for reason, count in counts.most_common():
        named = ", ".join(examples[reason][:3]) + (", …" if count > 3 else "")
        lines.append(f"  without: {count:,} tracts, {reason} ({named})")
    single = units.index[units == 1]
    if len(single):
        lines.append(f"  regions of one tract, which is like itself (D = 0): {len(single):,} ({single[0]}, …)")
    for column in ("divergence", "entropy_index", "wasserstein", "wasserstein_signed"):
        low, middle, high = known[column].quantile([0.25, 0.5, 0.75])
        lines.append(f"  {column}: quartiles {low:.4f}  {middle:.4f}  {high:.4f}, largest {known[column].max():.4f}")
    return [*lines, f"  in {store.url}/{request.collection}"]


def polygons(store: Store, vintage: str, states: list[str]) -> gpd.GeoSeries:
    """Return the polygons of a vintage's tracts in some states; those without one are absent."""
    there = store.snapshot(f"tracts/{vintage}")
    known = [state for state in states if state in there.parts]
    return store.frame(there.collection, states=known, columns=["geometry"]).compute(scheduler="threads").geometry


def export_results(store: Store, requests: Sequence[Request], file: str) -> None:
    """Write results as one table, with the year where there are several; with polygons where the file can hold them."""
    found = [result(store, request) for request in requests]
    if len(found) > 1:
        for request, table in zip(requests, found, strict=True):
            table.insert(0, "year", request.universe.year)
    snapshot = store.snapshot(requests[0].collection)
    vintage = snapshot.attributes["vintage"]
    tables.export(pd.concat(found), file, lambda: polygons(store, vintage, list(snapshot.parts)))
