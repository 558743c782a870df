"""What a user sees of a conversion between vintages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from geomob_dask.outputs import tables
from geomob_dask.runs.harmonize import Prepared
from geomob_dask.sources.keys import listed
from geomob_dask.store import Store


def summary_lines(store: Store, item: Prepared, report: Mapping[str, Any]) -> list[str]:
    """Return what was converted, and where people went."""
    dollars = f", money in dollars of {item.request.dollars}" if item.request.dollars else ""
    lines = [
        f"{item.request.dataset} {item.request.year}: {report['sources']:,} tracts of vintage {item.source} are "
        f"{report['targets']:,} of vintage {item.request.to}{dollars}, in {store.url}/{item.plan.collection}",
        *(f"  {line}" for line in item.lines),
    ]
    for column, balance in report["balance"].items():
        line = f"  {column}: {balance['before']:,.10g} before, {balance['after']:,.10g} after"
        for what, where in (("lost", "in no target"), ("withheld", "in targets that lack another of their sources")):
            if balance[what]:
                line += f", {balance[what]:,.6g} {where}"
        lines.append(line)
    for column, count in report["refused"].items():
        lines.append(f"  {column}: missing in {count:,} tracts that are made of parts of others")
    for what, words in (("absent", "sources without a row"), ("unlisted", "tracts in no target")):
        count, first = report[what]
        if count:
            lines.append(
                f"  {count:,} {words}: {listed(first, 3) if count <= len(first) else ', '.join(first[:3]) + ', …'}"
            )
    return lines


def export_results(store: Store, items: Sequence[Prepared], file: str) -> None:
    """Write the results, of the states that were asked for, as one long table: ``geoid``, ``year`` and the columns."""
    frames = []
    for item in items:
        table = store.frame(item.plan.collection, states=item.targets).compute(scheduler="threads")
        table.insert(0, "year", item.request.year)
        frames.append(table.set_index("year", append=True))
    together = pd.concat(frames).sort_index()
    tables.export(together.reset_index("year"), file)
