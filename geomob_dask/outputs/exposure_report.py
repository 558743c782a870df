"""One page on an exposure result: what the source document plots, to be read without a network.

Exposure against the group's share of its region, the coefficient of variation against the group's count with the
lines of the quality flags, interpolated against reported people where these are given, and quality by group.
"""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import pandas as pd
from bokeh.embed import components
from bokeh.models import ColumnDataSource, CustomJSTickFormatter, HoverTool, NumeralTickFormatter, Slope, Span
from bokeh.plotting import figure
from bokeh.resources import Resources

from geomob_dask.metrics.exposure import Mode
from geomob_dask.metrics.quality import FAIR_CV, GOOD_CV
from geomob_dask.outputs.exposure import labels, title
from geomob_dask.outputs.tables import written_whole
from geomob_dask.runs.exposure import Prepared, Reported, result, stored_report
from geomob_dask.store import Store

_QUALITY = {
    "1": ("Quality 1: CV below 0.2", "#1b5e8c"),
    "2": ("Quality 2: CV below 0.4", "#d98c00"),
    "3": ("Quality 3: CV of 0.4 or more", "#c0392b"),
    "?": ("Value given, error not known", "#7b5aa6"),
}
_MISSING = "#c9d1d8"
# A few tiny groups' coefficients would press all others against the axis.
_HIGHEST_CV = 1.2
_INK, _SOFT, _GRID = "#1c2733", "#5b6977", "#e6eaee"
_MODES = {
    Mode.CORRECTED: "tracts are counted by the share of their people in the region, variances by its square",
    Mode.PUBLISHED: "tracts are counted by the share of their people in the region, variances by that share too "
    "(as published since 2023): standard errors are too wide",
    Mode.PUBLISHED_2023: "whole tracts are counted in every region they touch (as published in 2023): "
    "regions that share tracts are overcounted",
}


def write_report(store: Store, item: Prepared, file: str, reported: Reported | None = None) -> None:
    """Write the report of one result.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    page = report_page(
        result(store, item),
        labels(item),
        stored_report(store, item),
        title=title(item),
        subtitle=f"{item.grouping.title}. Mode {item.request.options.mode}: {_MODES[item.request.options.mode]}.",
        reported=None if reported is None else reported.people,
    )
    with written_whole("--report", file, ".html") as temporary:
        temporary.write_text(page, encoding="utf-8")


def report_page(
    table: pd.DataFrame,
    groups: dict[str, str],
    found: dict[str, Any],
    *,
    title: str,
    subtitle: str,
    reported: pd.Series | None = None,
) -> str:
    """Return the page as HTML that needs no network.

    Parameters
    ----------
    table : DataFrame, index: regions
        As `runs.exposure.result` returns it.
    groups : mapping of name to label
    found : mapping
        As `runs.exposure.stored_report` returns it.
    title, subtitle : str
    reported : Series, optional
        Reported people by region.
    """
    plots: dict[str, Any] = {}
    for group in groups:
        source = _points(table, group)
        plots[f"share-{group}"] = _against_share(source, groups[group])
        plots[f"cv-{group}"] = _against_count(source, groups[group])
    plots["quality"] = _quality_bars(found, groups)
    if reported is not None:
        plots["reported"] = _against_reported(table, reported)
    script, divs = components(plots)
    bokeh = Resources(mode="inline", components=["bokeh"]).render_js()

    def row(prefix: str) -> str:
        return f'<div class="plots">{"".join(divs[f"{prefix}-{group}"] for group in groups)}</div>'

    unknown = any(found["groups"][group]["known"] > sum(found["groups"][group]["quality"]) for group in groups)
    keys = "".join(
        f'<span><i style="background:{color}"></i>{name}</span>'
        for grade, (name, color) in _QUALITY.items()
        if grade != "?" or unknown
    )
    sections = [
        _section(
            "Exposure against the group's share of the region",
            "The dashed line is where the group would be exposed if it lived evenly everywhere: one less its share. "
            "The further below it, the more the group lives among itself.",
            f'<p class="keys">{keys}</p>{row("share")}',
        ),
        _section(
            "Coefficient of variation against the group's count",
            "Standard error of the region's count in units of the count. Lines at "
            f"{GOOD_CV:g} and {FAIR_CV:g} part the three quality flags; what lies above {_HIGHEST_CV:g} is drawn "
            "there. Groups that are suppressed have no value, hence no point.",
            f'<p class="keys">{keys}</p>{row("cv")}',
        ),
        _section(
            "Quality by group",
            "Regions by quality flag; grey: the value is missing, as nobody of the group lives there, too few do, or a "
            "tract's count is missing.",
            f'<div class="wide">{divs["quality"]}</div>',
        ),
    ]
    if reported is not None:
        sections.insert(
            2,
            _section(
                "Interpolated against reported people",
                "People of the region added up from its tracts, beside the total reported for the region itself.",
                f'<div class="wide">{divs["reported"]}</div>',
            ),
        )
    return _PAGE.format(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        facts=_facts(found),
        table=_summary_table(found, groups),
        sections="".join(sections),
        bokeh=bokeh,
        script=script,
    )


def _points(table: pd.DataFrame, group: str) -> ColumnDataSource:
    """Return the regions that have a value of the group."""
    given = table[table[f"{group}_exposure"].notna()]
    quality = given[f"{group}_exposure_quality"]
    grade = quality.map({1.0: "1", 2.0: "2", 3.0: "3"}).fillna("?")
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
    plot = _figure(label, "Share of the region's people", "Exposure")
    plot.x_range.start, plot.x_range.end = -0.02, 1.02
    plot.y_range.start, plot.y_range.end = -0.02, 1.02
    plot.add_layout(Slope(gradient=-1, y_intercept=1, line_color=_SOFT, line_dash="dashed", line_width=1.2))
    plot.xaxis.formatter = plot.yaxis.formatter = NumeralTickFormatter(format="0%")
    _scatter(plot, source, "share", "exposure")
    return plot


def _against_count(source: ColumnDataSource, label: str) -> figure:
    counts, variation = np.asarray(source.data["count"]), np.asarray(source.data["cv"])
    plot = _figure(label, "People of the group (logarithmic)", "CV of the count", x_axis_type="log")
    if len(counts):
        plot.x_range.start, plot.x_range.end = float(counts.min()) / 1.5, float(counts.max()) * 1.5
    highest = float(np.nanmax(variation, initial=0.0))
    plot.y_range.start, plot.y_range.end = -0.02, min(max(highest, 2 * FAIR_CV), _HIGHEST_CV) * 1.05
    for line in (GOOD_CV, FAIR_CV):
        plot.add_layout(Span(location=line, dimension="width", line_color=_SOFT, line_dash="dashed", line_width=1.2))
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
    plot = _figure("", "Reported people", "Interpolated people", x_axis_type="log", y_axis_type="log")
    plot.height, plot.sizing_mode = 420, "stretch_width"
    if len(both):
        low = float(min(source.data["reported"].min(), source.data["interpolated"].min())) / 1.3
        high = float(max(source.data["reported"].max(), source.data["interpolated"].max())) * 1.3
        plot.x_range.start = plot.y_range.start = low
        plot.x_range.end = plot.y_range.end = high
        plot.line([low, high], [low, high], color=_SOFT, line_dash="dashed")
    plot.xaxis.formatter = plot.yaxis.formatter = _people()
    dots = plot.scatter("reported", "interpolated", source=source, size=6, color="#1b5e8c", alpha=0.6, line_color=None)
    plot.add_tools(
        HoverTool(
            renderers=[dots],
            tooltips=[
                ("", "@region @name"),
                ("reported", "@reported{0,0}"),
                ("interpolated", "@interpolated{0,0}"),
                ("difference", "@off{+0.0%}"),
            ],
        )
    )
    return plot


def _quality_bars(found: dict[str, Any], groups: dict[str, str]) -> figure:
    names = list(groups.values())
    counts: dict[str, list[int]] = {grade: [] for grade in (*_QUALITY, "missing")}
    for group in groups:
        one = found["groups"][group]
        for grade, count in zip(("1", "2", "3"), one["quality"], strict=True):
            counts[grade].append(count)
        counts["?"].append(one["known"] - sum(one["quality"]))
        counts["missing"].append(found["regions"] - one["known"])
    plot = figure(
        y_range=names[::-1],
        x_range=(0, max(found["regions"], 1)),
        height=80 + 42 * len(names),
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
    )
    colors = {grade: color for grade, (_, color) in _QUALITY.items()} | {"missing": _MISSING}
    words = {grade: words for grade, (words, _) in _QUALITY.items()} | {"missing": "No value"}
    shown = [grade for grade in counts if any(counts[grade])]
    bars = plot.hbar_stack(
        shown,
        y="group",
        height=0.62,
        color=[colors[grade] for grade in shown],
        source=ColumnDataSource({"group": names, **counts}),
        legend_label=[words[grade] for grade in shown],
    )
    for bar, grade in zip(bars, shown, strict=True):
        plot.add_tools(
            HoverTool(renderers=[bar], tooltips=[("", "@group"), (words[grade], f"@{{{grade}}}{{0,0}} regions")])
        )
    plot.xaxis.axis_label = "Regions"
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
    plot.legend.orientation = "horizontal"
    plot.add_layout(plot.legend[0], "above")
    plot.legend.label_text_font_size = "12px"
    plot.legend.border_line_color = None
    _style(plot)
    plot.ygrid.grid_line_color = None
    return plot


def _figure(label: str, x: str, y: str, **options: str) -> figure:
    plot = figure(
        title=label,
        height=300,
        sizing_mode="stretch_width",
        tools="pan,wheel_zoom,box_zoom,reset",
        toolbar_location="right",
        x_range=(0, 1),
        y_range=(0, 1),
        **options,
    )
    plot.xaxis.axis_label, plot.yaxis.axis_label = x, y
    plot.toolbar.autohide = True
    plot.toolbar.logo = None
    _style(plot)
    return plot


def _style(plot: figure) -> None:
    plot.outline_line_color = None
    plot.grid.grid_line_color = _GRID
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = "#9aa7b3"
    plot.axis.minor_tick_line_color = None
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.axis_label_text_color = _SOFT
    plot.axis.axis_label_text_font_size = plot.axis.major_label_text_font_size = "12px"
    plot.axis.major_label_text_color = _INK
    plot.title.text_color = _INK
    plot.title.text_font_size = "14px"


def _scatter(plot: figure, source: ColumnDataSource, x: str, y: str) -> None:
    dots = plot.scatter(x, y, source=source, size=5, color="color", alpha=0.55, line_color=None)
    plot.add_tools(
        HoverTool(
            renderers=[dots],
            tooltips=[
                ("", "@region @name"),
                ("exposure", "@exposure{0.000} (@lower{0.000} to @upper{0.000})"),
                ("people of the group", "@count{0,0}, @share{0.0%} of all"),
                ("CV of the count", "@cv{0.000}"),
            ],
        )
    )


def _people() -> CustomJSTickFormatter:
    return CustomJSTickFormatter(code="return Intl.NumberFormat('en-US', {notation: 'compact'}).format(tick)")


def _section(heading: str, text: str, body: str) -> str:
    return f"<section><h2>{html.escape(heading)}</h2><p>{html.escape(text)}</p>{body}</section>"


def _facts(found: dict[str, Any]) -> str:
    people = found["people"]
    outside = found["people_outside"] / people if people else 0.0
    facts = [
        (f"{found['regions']:,}", "regions"),
        (f"{found['tracts']:,}", "tracts"),
        (f"{people:,.0f}", "people"),
        (f"{outside:.1%}", "of them in no region"),
    ]
    return "".join(f"<div><b>{value}</b><span>{what}</span></div>" for value, what in facts)


def _summary_table(found: dict[str, Any], groups: dict[str, str]) -> str:
    rows = []
    for group, label in groups.items():
        one = found["groups"][group]
        quartiles = one["quartiles"]
        cells = [f"{value:.3f}" for value in quartiles] if quartiles else ["–"] * 3
        reasons = "; ".join(f"{count:,} {words}" for words, (count, _) in one["reasons"].items()) or "none"
        numbers = "".join(f"<td class='n'>{cell}</td>" for cell in [f"{one['known']:,}", *cells])
        rows.append(f"<tr><th>{html.escape(label)}</th>{numbers}<td>{html.escape(reasons)}</td></tr>")
    return "".join(rows)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
* {{ box-sizing: border-box; }}
body {{ margin: 0; color: #1c2733; background: #fff;
  font: 15px/1.5 "Source Sans 3", "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }}
main, header > div {{ max-width: 1240px; margin: 0 auto; padding: 0 28px; }}
header {{ border-bottom: 1px solid #dde3e9; padding: 22px 0 18px; }}
h1 {{ margin: 0; font-size: 26px; line-height: 1.25; font-weight: 650; letter-spacing: -.01em; }}
header p {{ margin: 4px 0 0; color: #5b6977; max-width: 90ch; }}
.facts {{ display: flex; flex-wrap: wrap; gap: 12px 44px; margin: 18px 0 0; }}
.facts b {{ display: block; font-size: 22px; font-weight: 650; font-variant-numeric: tabular-nums; }}
.facts span {{ color: #5b6977; font-size: 13px; }}
section {{ padding: 24px 0 8px; }}
h2 {{ margin: 0; font-size: 18px; font-weight: 650; }}
section > p {{ margin: 2px 0 10px; color: #5b6977; max-width: 90ch; }}
.plots {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(270px, 1fr)); gap: 18px 22px; }}
.plots > div, .wide > div {{ min-width: 0; }}
section > p.keys {{ display: flex; max-width: none; flex-wrap: wrap; gap: 4px 22px; font-size: 13px; color: #1c2733; }}
.keys i {{ display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 7px; }}
table {{ border-collapse: collapse; width: 100%; font-size: 14px; }}
th, td {{ text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid #e6eaee; vertical-align: top; }}
thead th {{ color: #5b6977; font-weight: 500; font-size: 13px; }}
tbody th {{ font-weight: 600; white-space: nowrap; }}
.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
footer {{ color: #5b6977; font-size: 13px; padding: 18px 0 36px; }}
</style>
</head>
<body>
<header><div><h1>{title}</h1><p>{subtitle}</p><div class="facts">{facts}</div></div></header>
<main>
<section><h2>Exposure to everybody else</h2>
<p>The share of all other groups around the average member of the group, across regions.</p>
<table><thead><tr><th>Group</th><th class="n">Regions with a value</th><th class="n">First quartile</th>
<th class="n">Median</th><th class="n">Third quartile</th><th>Regions without a value, or its error</th></tr></thead>
<tbody>{table}</tbody></table></section>
{sections}
<footer>Method: Williams and Pancini (2023), Race/Ethnicity Exposure. Bounds are those of a 90 per cent interval; the
standard error of an exposure is its first-order approximation with independent errors of the groups' counts.</footer>
</main>
{bokeh}
{script}
</body>
</html>
"""
