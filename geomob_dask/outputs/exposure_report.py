"""Report and map of exposures.

The report has the plots of the source document: exposure against the group's share of its region, coefficient of
variation against the group's count, interpolated against reported people if these are known, and quality by group.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import distributed
import geopandas as gpd
import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, CustomJSTickFormatter, NumeralTickFormatter, Slope, Span
from bokeh.plotting import figure
from rich.console import Console

from geomob_dask.metrics.exposure import Mode
from geomob_dask.metrics.quality import FAIR_CV, GOOD_CV
from geomob_dask.outputs import maps
from geomob_dask.outputs.page import Section, report, sortable, write_page
from geomob_dask.outputs.palette import ACCENT, CATEGORIES, DEPRIVATION, MISSING, SOFT
from geomob_dask.outputs.plots import hover, legend, plain_figure
from geomob_dask.outputs.provenance import record_of
from geomob_dask.outputs.result import report as stored_report
from geomob_dask.outputs.result import result
from geomob_dask.products.exposure import Details, Options, title
from geomob_dask.products.product import Prepared
from geomob_dask.products.reader import Reader
from geomob_dask.products.regions import regions_frame
from geomob_dask.runs.display import display_polygons
from geomob_dask.store import Store

_QUALITY = {
    "1": ("Quality 1: CV below 0.2", CATEGORIES[0]),
    "2": ("Quality 2: CV below 0.4", CATEGORIES[1]),
    "3": ("Quality 3: CV of 0.4 or more", CATEGORIES[3]),
    "?": ("Value known, error unknown", CATEGORIES[4]),
    "missing": ("No value", MISSING),
}
# A few tiny groups' coefficients would press all others against the axis.
_HIGHEST_CV = 1.2
_MODES = {
    Mode.CORRECTED: "tracts are counted by the share of their people in the region, variances by its square",
    Mode.PUBLISHED: "tracts are counted by the share of their people in the region, variances by that share too "
    "(as published since 2023): standard errors are too wide",
    Mode.PUBLISHED_2023: "whole tracts are counted in every region they touch (as published in 2023): "
    "regions that share tracts are overcounted",
}
_FOOTER = (
    "Method: Williams and Pancini (2023), Race/Ethnicity Exposure. Bounds are those of a 90% interval; the standard "
    "error of an exposure is its first-order approximation with independent errors of the groups' counts."
)


def write_report(store: Store, prepared: Prepared, file: str) -> None:
    """Write the report on one result of the store.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    options: Options = prepared.options
    details: Details = prepared.details
    text = report_page(
        result(store, prepared),
        details.labels,
        stored_report(store, prepared),
        title=title(options),
        subtitle=f"{details.grouping.title}. Mode {options.mode}: {_MODES[Mode(options.mode)]}.",
        reported=None if details.reported is None else details.reported.people,
    )
    write_page("--report", file, text, record_of(store, [prepared], option="--report"))


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
    read = Reader(store, prepared.inputs, prepared.whole, prepared.states, lazy=False)
    regions = regions_frame(read, prepared.options.by, read.frame("measures", prepared.details.columns))
    ordered = regions.sort_values("afact", ascending=False, kind="stable")
    return ordered.loc[~ordered.index.duplicated(), "region"].sort_index()


# The map -------------------------------------------------------------------------------------


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
        column = f"{name}_exposure"
        low, high = maps.spread(by_tract[column], step=0.05, none=(0.0, 1.0))
        explanation = f"share of everybody else around the average person of this group: {label}"
        layers.append(maps.Layer(column, label, "0 to 1", DEPRIVATION, low, high, explanation))
        by_tract[f"{name}_text"] = _in_words(by_tract, column)
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


def _in_words(table: pd.DataFrame, column: str) -> pd.Series:
    """Return value, bounds and quality as text, or the reason why there is no value."""
    numbers = [table[name].map("{:.3f}".format) for name in (column, f"{column}_lb", f"{column}_ub")]
    quality = table[f"{column}_quality"].map("{:.0f}".format)
    words = numbers[0] + " (" + numbers[1] + " to " + numbers[2] + "), quality " + quality
    return words.where(table[column].notna(), table[f"{column}_reason"].astype("str")).astype("str")


# The report ----------------------------------------------------------------------------------


def report_page(
    table: pd.DataFrame,
    groups: Mapping[str, str],
    found: Mapping[str, Any],
    *,
    title: str,
    subtitle: str,
    reported: pd.Series | None = None,
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    table : DataFrame, index: regions
        ``region_name``, ``people_count``, and columns of every group as `frames.exposure_tables.exposure_table` returns
        them.
    groups : mapping of name to label
    found : mapping
        Summary: ``regions``, ``tracts``, ``people``, ``people_outside``, and by group in ``groups``: ``known``,
        ``quality``, ``quartiles``, ``reasons``.
    reported : Series, optional
        Reported people by region.
    """
    sources = {group: _points(table, group) for group in groups}
    unknown = any(found["groups"][group]["known"] > sum(found["groups"][group]["quality"]) for group in groups)
    keys = dict(words for grade, words in _QUALITY.items() if grade in "123" or (grade == "?" and unknown))
    sections = [
        Section(
            "Exposure to everybody else",
            "Share of all other groups around the average member of the group, across regions.",
            table=sortable(_summary(found, groups), places=3),
        ),
        Section(
            "Exposure against the group's share of the region",
            "The dashed line is the exposure of a group that lives evenly everywhere: one minus its share. The further "
            "below it, the more the group lives among itself.",
            [_against_share(source, groups[group]) for group, source in sources.items()],
            stretch=True,
            keys=keys,
        ),
        Section(
            "Coefficient of variation against the group's count",
            "CV: the standard error of the region's count divided by the count. Dashed lines at "
            f"{GOOD_CV:g} and {FAIR_CV:g} separate the three quality flags; values above {_HIGHEST_CV:g} are drawn at "
            f"{_HIGHEST_CV:g}. Suppressed groups have no value and are not drawn.",
            [_against_count(source, groups[group]) for group, source in sources.items()],
            stretch=True,
            keys=keys,
        ),
        Section(
            "Quality by group",
            "Regions by quality flag. Gray: no value, because nobody or too few of the group live there, or a tract's "
            "count is missing.",
            [_quality_bars(found, groups)],
            stretch=True,
        ),
    ]
    if reported is not None:
        section = Section(
            "Interpolated against reported people",
            "People of the region summed over its tracts, against the total reported for the region itself.",
            [_against_reported(table, reported)],
            stretch=True,
        )
        sections.insert(3, section)
    people = found["people"]
    facts = [
        (f"{found['regions']:,}", "regions"),
        (f"{found['tracts']:,}", "tracts"),
        (f"{people:,.0f}", "people"),
        (f"{found['people_outside'] / people if people else 0:.1%}", "of them in no region"),
    ]
    return report(title, subtitle, sections, facts=facts, footer=_FOOTER)


def _summary(found: Mapping[str, Any], groups: Mapping[str, str]) -> pd.DataFrame:
    rows = {}
    for group, label in groups.items():
        one = found["groups"][group]
        quartiles = one["quartiles"] or [np.nan] * 3
        rows[label] = {
            "Regions with a value": one["known"],
            **dict(zip(("First quartile", "Median", "Third quartile"), quartiles, strict=True)),
            "Regions without a value, or without its error": "; ".join(
                f"{count:,} {words}" for words, (count, _) in one["reasons"].items()
            )
            or "none",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("Group")


def _points(table: pd.DataFrame, group: str) -> ColumnDataSource:
    """Return the regions that have a value of the group."""
    given = table[table[f"{group}_exposure"].notna()]
    grade = given[f"{group}_exposure_quality"].map({1.0: "1", 2.0: "2", 3.0: "3"}).fillna("?")
    return ColumnDataSource(
        {
            "region": given.index.to_numpy(object),
            "name": given["region_name"].to_numpy(object),
            "exposure": given[f"{group}_exposure"].to_numpy(),
            "lower": given[f"{group}_exposure_lb"].to_numpy(),
            "upper": given[f"{group}_exposure_ub"].to_numpy(),
            "share": (given[f"{group}_count"] / given["people_count"]).to_numpy(),
            "count": given[f"{group}_count"].to_numpy(),
            "cv": given[f"{group}_count_cv"].to_numpy(),
            "cv_shown": given[f"{group}_count_cv"].clip(upper=_HIGHEST_CV).to_numpy(),
            "color": [_QUALITY[one][1] for one in grade],
        }
    )


def _against_share(source: ColumnDataSource, label: str) -> figure:
    plot = _figure(label, "Share of the region's people", "Exposure", x_range=(-0.02, 1.02), y_range=(-0.02, 1.02))
    plot.add_layout(Slope(gradient=-1, y_intercept=1, line_color=SOFT, line_dash="dashed", line_width=1.2))
    plot.xaxis.formatter = plot.yaxis.formatter = NumeralTickFormatter(format="0%")
    _scatter(plot, source, "share", "exposure")
    return plot


def _against_count(source: ColumnDataSource, label: str) -> figure:
    counts, variation = np.asarray(source.data["count"]), np.asarray(source.data["cv"])
    top = min(max(float(np.nanmax(variation, initial=0.0)), 2 * FAIR_CV), _HIGHEST_CV) * 1.05
    ends = (float(counts.min()) / 1.5, float(counts.max()) * 1.5) if len(counts) else (0, 1)
    plot = _figure(
        label,
        "People of the group (logarithmic)",
        "CV of the count",
        x_axis_type="log",
        x_range=ends,
        y_range=(-0.02, top),
    )
    for line in (GOOD_CV, FAIR_CV):
        plot.add_layout(Span(location=line, dimension="width", line_color=SOFT, line_dash="dashed", line_width=1.2))
    plot.xaxis.formatter = _people()
    _scatter(plot, source, "count", "cv_shown")
    return plot


def _against_reported(table: pd.DataFrame, reported: pd.Series) -> figure:
    people = reported.reindex(table.index)
    both = table[(people > 0) & (table["people_count"] > 0)]
    source = ColumnDataSource(
        {
            "region": both.index.to_numpy(object),
            "name": both["region_name"].to_numpy(object),
            "reported": people[both.index].to_numpy(),
            "interpolated": both["people_count"].to_numpy(),
            "off": (both["people_count"] / people[both.index] - 1).to_numpy(),
        }
    )
    every = np.concatenate([source.data["reported"], source.data["interpolated"]])
    ends = (float(every.min()) / 1.3, float(every.max()) * 1.3) if len(both) else (0, 1)
    axes = {"x_axis_type": "log", "y_axis_type": "log", "x_range": ends, "y_range": ends}
    plot = _figure("", "Reported people", "Interpolated people", height=420, **axes)
    plot.line(ends, ends, color=SOFT, line_dash="dashed")
    plot.xaxis.formatter = plot.yaxis.formatter = _people()
    dots = plot.scatter("reported", "interpolated", source=source, size=6, color=ACCENT, alpha=0.6, line_color=None)
    hover(
        plot,
        dots,
        ("", "@region @name"),
        ("reported", "@reported{0,0}"),
        ("interpolated", "@interpolated{0,0}"),
        ("difference", "@off{+0.0%}"),
    )
    return plot


def _quality_bars(found: Mapping[str, Any], groups: Mapping[str, str]) -> figure:
    names = list(groups.values())
    counts: dict[str, list[int]] = {grade: [] for grade in _QUALITY}
    for group in groups:
        one = found["groups"][group]
        graded = [*one["quality"], one["known"] - sum(one["quality"]), found["regions"] - one["known"]]
        for grade, count in zip(_QUALITY, graded, strict=True):
            counts[grade].append(count)
    plot = plain_figure(
        y_range=names[::-1],
        x_range=(0, max(found["regions"], 1)),
        x_axis_label="Regions",
        height=80 + 42 * len(names),
        sizing_mode="stretch_width",
        tools="",
    )
    shown = [grade for grade in counts if any(counts[grade])]
    bars = plot.hbar_stack(
        shown,
        y="group",
        height=0.62,
        color=[_QUALITY[grade][1] for grade in shown],
        source=ColumnDataSource({"group": names, **counts}),
        legend_label=[_QUALITY[grade][0] for grade in shown],
    )
    for bar, grade in zip(bars, shown, strict=True):
        hover(plot, bar, ("", "@group"), (_QUALITY[grade][0], f"@{{{grade}}}{{0,0}} regions"))
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
    legend(plot, "above", label_text_font_size="12px")
    plot.ygrid.grid_line_color = None
    return plot


def _figure(label: str, x: str, y: str, **options: Any) -> figure:
    plot = plain_figure(
        title=label,
        x_axis_label=x,
        y_axis_label=y,
        sizing_mode="stretch_width",
        tools="pan,wheel_zoom,box_zoom,reset",
        toolbar_location="right",
        **{"height": 300, **options},
    )
    plot.toolbar.autohide = True
    return plot


def _scatter(plot: figure, source: ColumnDataSource, x: str, y: str) -> None:
    dots = plot.scatter(x, y, source=source, size=5, color="color", alpha=0.55, line_color=None)
    hover(
        plot,
        dots,
        ("", "@region @name"),
        ("exposure", "@exposure{0.000} (@lower{0.000} to @upper{0.000})"),
        ("people of the group", "@count{0,0}, @share{0.0%} of all"),
        ("CV of the count", "@cv{0.000}"),
    )


def _people() -> CustomJSTickFormatter:
    return CustomJSTickFormatter(code="return Intl.NumberFormat('en-US', {notation: 'compact'}).format(tick)")
