"""Map of exposures: regions in the color of their exposure, two layers per group."""

from __future__ import annotations

from collections.abc import Mapping

import geopandas as gpd
import pandas as pd

from geomob_dask.frames.exposure_tables import points
from geomob_dask.frames.regions import chosen_regions
from geomob_dask.outputs.classes import categories, natural_breaks
from geomob_dask.outputs.days import days_stored
from geomob_dask.outputs.map_files import MapContent, write_map
from geomob_dask.outputs.maps import Layer
from geomob_dask.outputs.names import group_labels, kind_nouns, labels_of_regions, region_names, states_in_words
from geomob_dask.outputs.palette import NEUTRAL, shades
from geomob_dask.outputs.polygons import dissolve
from geomob_dask.outputs.provenance import record_of
from geomob_dask.outputs.provenance_words import source_line
from geomob_dask.outputs.reasons import suppressed
from geomob_dask.outputs.result import Done, reader, result
from geomob_dask.products.exposure import Details, Options, title
from geomob_dask.products.product import Prepared
from geomob_dask.products.regions import regions_frame
from geomob_dask.runs.display import display_polygons
from geomob_dask.store import Store

_ACCURACY = (
    "1: margin and correction below 2 points of 100",
    "2: below 5 points of 100",
    "3: 5 points of 100 or more",
)


def map_result(done: Done, prepared: Prepared, file: str) -> None:
    """Write the map of one result of the store."""
    store = done.store
    options: Options = prepared.options
    details: Details = prepared.details
    vintage = str(prepared.attributes["vintage"])
    record = record_of(store, [prepared], option="--map", choices={"layer": done.given.get("layer")})
    content = exposure_map(
        display_polygons(store, vintage, list(prepared.states), done.client, done.console),
        region_names(store, prepared).named(result(store, prepared)),
        _region_of_tracts(store, prepared),
        group_labels(details.labels),
        by=options.by,
        title=title(options),
        subtitle=f"{states_in_words(prepared.states)}, groups {details.grouping.name}, mode {options.mode}, "
        f"tracts of vintage {vintage}",
        source=source_line(record, days_stored(store, record)),
    )
    write_map(content, file, record, layer=done.given.get("layer"))


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
    source: str = "",
) -> MapContent:
    """Return a map of regions, with a layer of the exposure of each group and a layer of its accuracy.

    Parameters
    ----------
    polygons : GeoDataFrame
        Tracts by geoid, for display: a region is drawn as the tracts of which it holds the largest share.
    table : DataFrame, index: regions
        ``region_name``, ``people_count``, ``tracts``, and columns of every group as
        `frames.exposure_tables.exposure_table` returns them.
    regions : Series of str
        The region of each tract; a tract in no region is not drawn.
    groups : mapping of name to label
    by : str
        The kind of region, such as ``county``.
    """
    one, several = kind_nouns(by)
    shown = pd.DataFrame(index=table.index)
    # Names of groups have no spaces.
    shown["number of people"] = [f"{people:,.0f}" for people in table["people_count"]]
    shown["number of tracts"] = table["tracts"]
    layers, flags = [], []
    for name, label in groups.items():
        column = f"{name}_exposure"
        shown[name] = points(table, name)
        shown[f"{name}_lb"], shown[f"{name}_ub"] = table[f"{column}_lb"], table[f"{column}_ub"]
        shown[f"{name}_note"] = _in_words(table, name)
        shown[f"{name}_suppressed"] = suppressed(table[f"{column}_reason"])
        shown[f"{name}_accuracy"] = table[f"{column}_accuracy"].astype(float) - 1
        layers.append(
            Layer(
                name,
                label,
                "0 to 1",
                natural_breaks(shown[name], NEUTRAL),
                "share of everybody else around the average person of this group",
                bounds=(f"{name}_lb", f"{name}_ub"),
                note=f"{name}_note",
                suppressed=f"{name}_suppressed",
            )
        )
        flags.append(
            Layer(
                f"{name}_accuracy",
                f"Accuracy: {label}",
                "grade of the exposure",
                categories(shades(NEUTRAL, 7)[1::2], _ACCURACY),
                "darker: less accurate",
                note=f"{name}_note",
                always=False,
                suppressed=f"{name}_suppressed",
            )
        )
    return MapContent(
        _dissolved(polygons, regions, table.index),
        shown,
        [*layers, *flags],
        title=title,
        subtitle=subtitle,
        source=source,
        notes=[
            f"A {one} is drawn as the tracts of which it holds the largest share; tracts in no {one} are not drawn."
        ],
        missing_note=f"{several} without a value",
        hint="the tooltip tells the reason",
        details={"number of people": "People", "number of tracts": "Tracts"},
        level="region",
        names=dict(zip(table.index, labels_of_regions(table), strict=True)),
    )


def _dissolved(polygons: gpd.GeoDataFrame, regions: pd.Series, known: pd.Index) -> gpd.GeoDataFrame:
    """Return the polygon of each region of a table that holds a tract, by region."""
    there = polygons[~(polygons.geometry.isna() | polygons.geometry.is_empty)]
    of_tracts = regions.reindex(there.index)
    inside = of_tracts.isin(known).to_numpy()
    keys, shapes = dissolve(there.geometry.to_numpy()[inside], of_tracts[inside].astype(str).tolist())
    return gpd.GeoDataFrame(geometry=shapes, index=pd.Index(keys, dtype=object), crs=polygons.crs)


def _in_words(table: pd.DataFrame, group: str) -> pd.Series:
    """Return grades and the uncorrected value as text, or the reason why there is no value."""
    column = f"{group}_exposure"
    counted = table[column].map("{:.3f}".format)
    quality, accuracy = (table[f"{column}_{name}"].map("{:.0f}".format) for name in ("quality", "accuracy"))
    words = "accuracy " + accuracy + ", quality of the count " + quality + " (1 to 3); uncorrected " + counted
    return words.where(table[column].notna(), table[f"{column}_reason"].astype("str")).astype("str")
