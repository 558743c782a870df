"""Capacity by resolution, computed from measured runs: cores, memory, hours, storage, requests and cost.

CPU seconds grow in proportion to cells, as the runs show; the figures of the largest run are taken, which have the most
of what grows. Nothing here is typed in by hand but prices and the sizes of the country.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

RESOLUTIONS = {"tracts": (85_000, 56), "block groups": (240_000, 56), "blocks": (8_000_000, 300)}
"""Cells, and partitions."""

YEARS = 15
# Products that belong to a vintage, not to a year.
_ONCE = ("neighbors",)


def guide(
    runs: Sequence[Mapping[str, Any]],
    requests: Mapping[str, float],
    *,
    core_hour: float,
    gib_month: float,
    per_million: float,
) -> pd.DataFrame:
    """Return a row by resolution and product.

    Parameters
    ----------
    runs : sequence of mapping
        Fields of `scale.Run`.
    requests : mapping of str to float
        Requests to an object store by product, for each partition.
    core_hour, gib_month, per_million : float
        Prices of a core for an hour, of a GiB stored for a month, and of a million requests.
    """
    rows = []
    for resolution, (cells, partitions) in RESOLUTIONS.items():
        for product in dict.fromkeys(run["product"] for run in runs):
            run = max((one for one in runs if one["product"] == product), key=lambda one: one["cells"])
            years = 1 if product in _ONCE else YEARS
            scale = cells / run["cells"]
            core_hours = years * scale * (run["cpu_s"] + run["driver_cpu_s"]) / 3600
            stored = years * scale * run["written_mib"] / 1024
            asked = years * partitions * requests.get(product, float("nan"))
            rows.append(
                {
                    "cells": resolution,
                    "product": product,
                    "years": years,
                    "core hours": core_hours,
                    "hours, 2 cores": core_hours / 2,
                    "hours, 16 cores": core_hours / 16,
                    "GiB written": stored,
                    "1,000 requests": asked / 1000,
                    "cost": core_hours * core_hour + stored * gib_month + asked / 1e6 * per_million,
                    "measured at": f"{run['cells']:,}",
                }
            )
    return pd.DataFrame(rows)


def growth(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return by product and size the CPU time of a cell and the memory of a worker."""
    rows = [
        {
            "product": run["product"],
            "cells": run["cells"],
            "partitions": run["partitions"],
            "workers": run["workers"],
            "wall s": run["wall_s"],
            "CPU s": run["cpu_s"],
            "CPU us a cell": 1e6 * run["cpu_s"] / run["cells"],
            "worker's peak MiB": run["peak_mib"],
            "tasks": run["tasks"],
        }
        for run in sorted(runs, key=lambda run: (run["product"], run["cells"], run["workers"]))
    ]
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Return a table as text of a page: three digits of numbers that are not whole."""
    lines = [f"| {' | '.join(map(str, table.columns))} |", "|" + "---|" * len(table.columns)]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
