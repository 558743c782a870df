"""What a user sees of segregation: the summary and the exported tables."""

from collections.abc import Sequence

import pandas as pd

from geomob_dask.metrics.segregation_catalog import INDICES
from geomob_dask.outputs import tables
from geomob_dask.runs.segregation import Request, local_result, result, stored_report
from geomob_dask.store import Store

_SHOWN_COLUMNS = 12


def summary_lines(store: Store, request: Request) -> list[str]:
    """Return what an analyst wants to know of a result in the store."""
    universe = request.universe
    table, found = result(store, request), stored_report(store, request)
    lines = [
        f"{universe.categories.title or universe.categories.name}, {universe.dataset} {universe.year}, "
        f"by {universe.by}: "
        f"{len(table):,} regions, {int(table['units'].sum()):,} tracts, {table['people'].sum():,.0f} counted"
    ]
    if found["nowhere"]:
        lines.append(f"  left out: {found['nowhere']:,} tracts in no region")
    if found["unknown"]:
        named = ", ".join(found["first_unknown"])
        lines.append(f"  left out: {found['unknown']:,} tracts without one of their counts ({named}, …)")
    single = table.index[table["units"] == 1]
    if len(single):
        lines.append(f"  regions of one tract, which is like itself: {len(single):,} ({single[0]}, …)")
    for reason, names in _by_reason(found["left_out"]).items():
        lines.append(f"  not computed: {', '.join(names)}: {reason}")
    shown = [name for name in headline_columns(table) if table[name].notna().any()]
    lines.append("  quartiles over regions")
    for name in shown[:_SHOWN_COLUMNS]:
        low, middle, high = table[name].quantile([0.25, 0.5, 0.75])
        lines.append(f"    {name:<36} {low:8.4f} {middle:8.4f} {high:8.4f}")
    if len(shown) > _SHOWN_COLUMNS:
        lines.append(f"    … and {len(shown) - _SHOWN_COLUMNS} more")
    return [*lines, f"  in {store.url}/{request.collection}"]


def _by_reason(left_out: dict[str, str]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def headline_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns with one value a region, those of groups where there are no others."""
    single = [name for name in table.columns if name in INDICES and INDICES[name].shape == "region"]
    return single or [name for name in table.columns if any(name.startswith(f"{index}_") for index in INDICES)]


def export_results(store: Store, requests: Sequence[Request], file: str) -> None:
    """Write results as one table, a row a region, with the year where there are several."""
    tables.export(_stacked([(request, result(store, request)) for request in requests]), file)


def export_local(store: Store, requests: Sequence[Request], file: str) -> None:
    """Write the scores of single tracts as one table."""
    tables.export(_stacked([(request, local_result(store, request)) for request in requests]), file)


def _stacked(found: Sequence[tuple[Request, pd.DataFrame]]) -> pd.DataFrame:
    if len(found) > 1:
        for request, table in found:
            table.insert(0, "year", request.universe.year)
    return pd.concat([table for _, table in found])
