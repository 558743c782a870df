"""Map of exposures: every tract in the color of its region, one layer per group."""

from __future__ import annotations

from collections.abc import Mapping

import distributed
import geopandas as gpd
import pandas as pd
from rich.console import Console

from geomob_dask.frames.exposure_tables import points
from geomob_dask.frames.regions import chosen_regions
from geomob_dask.outputs import maps
from geomob_dask.outputs.page import write_page
from geomob_dask.outputs.palette import DEPRIVATION
from geomob_dask.outputs.provenance import record_of
from geomob_dask.outputs.result import reader, result
from geomob_dask.products.exposure import Details, Options, title
from geomob_dask.products.product import Prepared
from geomob_dask.products.regions import regions_frame
from geomob_dask.runs.display import display_polygons
from geomob_dask.store import Store


def map_result(
    store: Store, prepared: Prepared, file: str, client: distributed.Client | None, console: Console
) -> None:
    """Write the interactive map of one result of the store."""
    options: Options = prepared.options
    details: Details = prepared.details
    vintage = str(prepared.attributes["vintage"])
    text = exposure_map(
        display_polygons(store, vintage, list(prepared.states), client, console),
        result(store, prepared),
        _region_of_tracts(store, prepared),
        details.labels,
        by=options.by,
        title=title(options),
        subtitle=f"groups {details.grouping.name}, mode {options.mode}, tracts of vintage {vintage}, "
        "each in the color of its region",
    )
    write_page("--map", file, text, record_of(store, [prepared], option="--map"))


def _region_of_tracts(store: Store, prepared: Prepared) -> pd.Series:
    """Return the region that holds the largest share of each tract's people."""
    read = reader(store, prepared)
    where = regions_frame(read, prepared.options.by, read.frame("measures", prepared.details.columns))
    regions = chosen_regions(where, prepared.options.regions)
    ordered = regions.sort_values("afact", ascending=False, kind="stable")
    return ordered.loc[~ordered.index.duplicated(), "region"].sort_index()


def exposure_map(
    polygons: gpd.GeoDataFrame,
    table: pd.DataFrame,
    regions: pd.Series,
    groups: Mapping[str, str],
    *,
    by: str,
    title: str,
    subtitle: str,
) -> str:
    """Return a page with a map of tracts in the color of their region, one layer per group.

    Parameters
    ----------
    polygons : GeoDataFrame
        By geoid, for display.
    table : DataFrame, index: regions
        ``region_name``, and columns of every group as `frames.exposure_tables.exposure_table` returns them.
    regions : Series of str
        The region of each tract; a tract in no region is gray.
    groups : mapping of name to label
    by : str
        The kind of region, such as ``county``.
    """
    by_tract = table.reindex(regions).set_index(regions.index)
    by_tract["region"] = regions
    details = {"region": by, "region_name": "Name"}
    layers = []
    for name, label in groups.items():
        column = f"{name}_shown"
        by_tract[column] = points(by_tract, name)
        low, high = maps.spread(by_tract[column], step=0.05, none=(0.0, 1.0))
        explanation = f"share of everybody else around the average person of this group: {label}"
        layers.append(maps.Layer(column, label, "0 to 1", DEPRIVATION, low, high, explanation))
        by_tract[f"{name}_text"] = _in_words(by_tract, name)
        details[f"{name}_text"] = label
    return maps.index_map(
        polygons,
        by_tract,
        layers,
        title=title,
        subtitle=subtitle,
        missing_note="without a value, or in no region",
        details=details,
        tolerance=0,
    )


def _in_words(table: pd.DataFrame, group: str) -> pd.Series:
    """Return value, bounds and grades as text, or the reason why there is no value."""
    column = f"{group}_exposure"
    numbers = (table[f"{group}_shown"], table[f"{column}_lb"], table[f"{column}_ub"], table[column])
    shown, lower, upper, counted = (one.map("{:.3f}".format) for one in numbers)
    quality, accuracy = (table[f"{column}_{name}"].map("{:.0f}".format) for name in ("quality", "accuracy"))
    words = shown + " (" + lower + " to " + upper + "), accuracy " + accuracy
    words = words + "; uncorrected " + counted + ", quality of the count " + quality
    return words.where(table[column].notna(), table[f"{column}_reason"].astype("str")).astype("str")
