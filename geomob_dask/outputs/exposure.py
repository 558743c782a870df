"""What a user sees of exposures: the summary, exported tables, the long form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.exposure_tables import long_table
from geomob_dask.outputs import tables
from geomob_dask.runs.exposure import Prepared, interactions, result, stored_report
from geomob_dask.store import Store

_LONG = ("county", "place")


def labels(item: Prepared) -> dict[str, str]:
    """Return what each group of a result is called, by its name."""
    return {group.name: group.label for group in item.edition.groups}


def title(item: Prepared) -> str:
    """Return what a result is, in a line."""
    request = item.request
    return f"Exposure by {request.by}, {request.dataset} {request.year}"


def summary_lines(store: Store, item: Prepared) -> list[str]:
    """Return what an analyst wants to know of a result in the store."""
    found = stored_report(store, item)
    request = item.request
    lines = [
        f"{title(item)}: {found['regions']:,} regions from {found['tracts']:,} tracts, groups {item.grouping.name}, "
        f"mode {request.options.mode}",
        f"  in no region: {found['tracts_outside']:,} tracts whole; {found['people_outside']:,.0f} of "
        f"{found['people']:,.0f} people",
        "  exposure to everybody else: first quartile, median, third quartile of regions; regions by quality 1, 2, 3",
    ]
    width = max(map(len, labels(item).values()))
    for name, label in labels(item).items():
        group = found["groups"][name]
        quartiles = group["quartiles"]
        spread = "  ".join(f"{value:5.3f}" for value in quartiles) if quartiles else "no region has a value"
        grades = " / ".join(f"{count:,}" for count in group["quality"])
        lines.append(f"    {label:<{width}} {spread}   {grades}")
        for words, (count, first) in group["reasons"].items():
            more = ", …" if count > len(first) else ""
            lines.append(f"      {count:,} {'region' if count == 1 else 'regions'}: {words} ({', '.join(first)}{more})")
    lines.append("  checked: shares sum to 1, values within 0 to 1 and their bounds, missing exactly where there is a")
    lines.append("    reason, groups sum to the tract's people, people of regions and outside balance")
    return [*lines, f"  in {store.url}/{item.plan.collection}"]


def check_long(file: str, prepared: Sequence[Prepared]) -> None:
    """Raise InputError if the long form cannot be written, before anything is computed."""
    tables.check_export(file)
    wrong = [item.request.by for item in prepared if item.request.by not in _LONG]
    if wrong:
        raise InputError(f"--long {file}: found --by {wrong[0]}, expected the published form's county or place")


def export_results(store: Store, prepared: Sequence[Prepared], file: str) -> None:
    """Write results as one table: by region, and by year and kind of region where there are several."""
    tables.export(joined([(item, result(store, item)) for item in prepared]), file)


def export_interactions(store: Store, prepared: Sequence[Prepared], file: str) -> None:
    """Write the shares of each group around each other as one table."""
    tables.export(joined([(item, interactions(store, item)) for item in prepared]), file)


def joined(results: Sequence[tuple[Prepared, pd.DataFrame]]) -> pd.DataFrame:
    """Return results as one table indexed by region; several with columns ``year`` and ``by`` in front."""
    if len(results) == 1:
        item, table = results[0]
        return table.rename_axis(item.request.by)
    parts = []
    for item, table in results:
        part = table.copy()
        part.insert(0, "year", item.request.year)
        part.insert(1, "by", item.request.by)
        parts.append(part)
    return pd.concat(parts)


def export_long(store: Store, prepared: Sequence[Prepared], file: str) -> None:
    """Write the published long form of all results."""
    parts = [
        long_table(
            result(store, item),
            item.request.by,
            labels(item),
            year=item.request.year,
            subgroup_type=item.grouping.subgroup_type,
        )
        for item in prepared
    ]
    index = pd.Index(np.concatenate([part["year"].to_numpy() for part in parts]), name="year")
    tables.export(pd.concat(parts).drop(columns="year").set_index(index), file)
