"""Map of exposures: every tract in the colour of its region."""

from __future__ import annotations

import distributed
import pandas as pd
from rich.console import Console

from geomob_dask.outputs import maps
from geomob_dask.outputs.exposure import labels, title
from geomob_dask.runs.display import display_polygons
from geomob_dask.runs.exposure import Prepared, result
from geomob_dask.store import Store


def map_result(store: Store, item: Prepared, file: str, client: distributed.Client | None, console: Console) -> None:
    """Write an interactive map, a layer a group.

    A tract that lies in several regions takes the one that most of its people live in; one in no region is grey.
    """
    polygons = display_polygons(store, item.vintage, list(item.measures), client, console)
    table = result(store, item)
    region = pd.concat([_region_of_tracts(store, item, state) for state in item.measures])
    by_tract = table.reindex(region["region"]).set_index(region.index)
    by_tract["region"] = region["region"]
    details = {"region": item.request.by, "region_name": "Name"}
    layers = []
    for name, label in labels(item).items():
        column = f"{name}_exposure"
        low, high = maps.spread(by_tract[column], step=0.05)
        explanation = f"share of everybody else around the average person of this group: {label}"
        layers.append(maps.Layer(column, label, "0 to 1", maps.DEPRIVATION_PALETTE, low, high, explanation))
        by_tract[f"{name}_told"] = _told(by_tract, column)
        details[f"{name}_told"] = label
    page = maps.index_map(
        polygons,
        by_tract,
        layers,
        title=title(item),
        subtitle=f"groups {item.grouping.name}, mode {item.request.options.mode}, tracts of vintage {item.vintage}, "
        "each in the colour of its region",
        missing_note="are in a region without a value, or in none",
        details=details,
        tolerance=0,
    )
    maps.write_map(file, page)


def _region_of_tracts(store: Store, item: Prepared, state: str) -> pd.DataFrame:
    """Return the region that holds the largest share of each tract's people."""
    columns = [item.request.by] if item.regions.of_column else list(item.edition.columns)[:1]
    regions = item.regions.of(store, state, store.read(item.measures[state], columns))
    ordered = regions.sort_values("afact", ascending=False, kind="stable")
    return ordered[~ordered.index.duplicated()].sort_index()


def _told(table: pd.DataFrame, column: str) -> pd.Series:
    """Return value, bounds and quality as text, or the reason why there is none."""
    known = table[column].notna()
    numbers = [table[name].map("{:.3f}".format) for name in (column, f"{column}_lb", f"{column}_ub")]
    quality = table[f"{column}_quality"].map("{:.0f}".format)
    told = numbers[0] + " (" + numbers[1] + " to " + numbers[2] + "), quality " + quality
    return told.where(known, table[f"{column}_reason"].astype("str")).astype("str")
