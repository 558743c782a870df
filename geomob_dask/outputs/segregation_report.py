"""Segregation on a page: indices of regions, years side by side, and segregation curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, CustomJS, HoverTool, Legend, LegendItem, Select
from bokeh.palettes import Category10_10, Viridis256
from bokeh.plotting import figure

from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.segregation_catalog import INDICES
from geomob_dask.metrics.segregation_curve import segregation_curve
from geomob_dask.outputs.segregation import headline_columns
from geomob_dask.outputs.segregation_page import INK, SOFT, Section, page, plain_figure, sortable, write_page
from geomob_dask.runs.segregation import Request, result, stored_report, units_of
from geomob_dask.store import Store

_CURVES_OF = 12
_POINTS = 101
_RANKED = 25
_YEARS = ("#1d5b8f", "#d9822b", "#3c8f5a", "#8a4fa0", "#7a6a58", "#c0392b")


def write_report(store: Store, requests: Sequence[Request], file: str) -> None:
    """Write a report on results, a year each.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    tables = {request.universe.year: result(store, request) for request in requests}
    found = stored_report(store, requests[-1])
    universe = requests[-1].universe
    sections = [
        _ranked(tables),
        _curves(store, requests, tables, found["labels"]),
        *_of_groups(tables, found),
        _every_column(tables),
    ]
    title = universe.categories.title or ", ".join(found["labels"])
    text = page(
        f"Segregation: {title}",
        f"{universe.dataset} {', '.join(map(str, tables))}, regions by {universe.by}, tracts as units",
        [section for section in sections if section is not None],
    )
    write_page("--report", file, text)


# Indices of regions --------------------------------------------------------------------------


def _ranked(tables: dict[int, pd.DataFrame]) -> Section | None:
    """Return the largest regions by one index at a time, a mark a year, with intervals where draws were made."""
    last = tables[max(tables)]
    names = [name for name in headline_columns(last) if last[name].notna().any()]
    if not names:
        return None
    regions = last["people"].nlargest(_RANKED).index
    sources = {}
    for name in names:
        order = last.loc[regions, name].sort_values().index
        sources[name] = {str(year): _marks(table.reindex(order), name) for year, table in tables.items()}
    plot = plain_figure(
        width=760,
        height=60 + 22 * len(regions),
        y_range=[str(region) for region in sources[names[0]][str(max(tables))]["region"]],
    )
    marks = {}
    for number, year in enumerate(sorted(tables)):
        source = ColumnDataSource(sources[names[0]][str(year)])
        color = _YEARS[number % len(_YEARS)]
        plot.segment("lower", "region", "upper", "region", source=source, color=color, line_width=2, alpha=0.6)
        dots = plot.scatter("value", "region", source=source, color=color, size=8, legend_label=str(year))
        plot.add_tools(
            HoverTool(
                renderers=[dots], tooltips=[("region", "@region @name"), (str(year), "@value{0.0000}"), ("p", "@p")]
            )
        )
        marks[str(year)] = source
    plot.legend.location, plot.legend.border_line_color = "bottom_right", None
    select = Select(title="Index", value=names[0], options=names, width=320)
    select.js_on_change(
        "value",
        CustomJS(
            args={"all": sources, "marks": marks, "y_range": plot.y_range},
            code="""
const chosen = all[this.value], years = Object.keys(marks);
y_range.factors = chosen[years[years.length - 1]].region;
for (const year of years) marks[year].data = chosen[year];
""",
        ),
    )
    text = f"The {len(regions)} regions with most people" if len(last) > len(regions) else "All regions"
    drawn = any(f"{name}_lower" in last for name in names)
    return Section(
        "Regions by index" + (", years side by side" if len(tables) > 1 else ""),
        f"{text}, by one index at a time." + (" Lines are intervals of 90 % from random draws." if drawn else ""),
        [column(select, plot)],
    )


def _marks(table: pd.DataFrame, name: str) -> dict[str, Any]:
    nothing = pd.Series(np.nan, index=table.index)
    p = table.get(f"{name}_p", nothing)
    return {
        "region": [str(region) for region in table.index],
        "name": table["region_name"].fillna("").tolist(),
        "value": table[name].to_numpy(dtype=np.float64),
        "lower": table.get(f"{name}_lower", nothing).to_numpy(dtype=np.float64),
        "upper": table.get(f"{name}_upper", nothing).to_numpy(dtype=np.float64),
        "p": ["—" if np.isnan(value) else f"{value:.3f}" for value in p],
    }


def _of_groups(tables: dict[int, pd.DataFrame], found: dict[str, Any]) -> list[Section]:
    """Return a table of group indices of all regions together: the mean over regions, weighted by the group."""
    last = tables[max(tables)]
    names = [
        index.name
        for index in INDICES.values()
        if index.shape == "group" and f"{index.name}_{found['groups'][0]}" in last
    ]
    if not names:
        return []
    rows = {}
    for group, label in zip(found["groups"], found["labels"], strict=True):
        rows[label] = {
            f"{name} {year}" if len(tables) > 1 else name: _mean(table[f"{name}_{group}"], table[f"count_{group}"])
            for name in names
            for year, table in tables.items()
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("group")
    return [
        Section(
            "Groups",
            "Each group against everybody else: means over the regions, weighted by the group's people there.",
            table=sortable(table),
        )
    ]


def _mean(values: pd.Series, weights: pd.Series) -> float:
    known = values.notna() & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else np.nan


def _every_column(tables: dict[int, pd.DataFrame]) -> Section:
    """Return the indices with one value a region, years side by side."""
    several = len(tables) > 1
    named = list(
        dict.fromkeys(
            name
            for table in tables.values()
            for name in ["units", "people", *headline_columns(table), *_changes(table)]
        )
    )
    columns = {
        f"{name} {year}" if several else name: table[name]
        for name in named
        for year, table in tables.items()
        if name in table
    }
    table = pd.DataFrame(columns).rename_axis("region")
    latest = [str(name) for name in table if str(name).startswith("people")][-1]
    table = table.sort_values(latest, ascending=False)
    names = tables[max(tables)]["region_name"]
    if (names != "").any():
        table.insert(0, "name", names.reindex(table.index).fillna(""))
    text = "All regions, those with most people first; a click on a title sorts."
    if any(_changes(one) for one in tables.values()):
        text += " Changes are against the year before, decomposed by iterative fitting (Elbers 2021)."
    return Section("Indices of every region", text, table=sortable(table))


def _changes(table: pd.DataFrame) -> list[str]:
    return [name for name in table if "_change" in str(name)]


# Curves --------------------------------------------------------------------------------------


def _curves(
    store: Store, requests: Sequence[Request], tables: dict[int, pd.DataFrame], labels: Sequence[str]
) -> Section | None:
    """Return segregation curves of the largest regions, one at a time, a plot a year."""
    # Those of every year first: they can be compared.
    people = pd.concat([table["people"] for table in tables.values()], axis=1)
    order = pd.DataFrame({"years": people.notna().sum(axis=1), "people": people.max(axis=1)})
    order = order.sort_values(["years", "people"], ascending=False)
    regions = [str(region) for region in order.index[:_CURVES_OF]]
    lines: dict[str, dict[str, Any]] = {region: {} for region in regions}
    for request in requests:
        there = [region for region in regions if region in tables[request.universe.year].index]
        for region, counts in units_of(store, request, there).items():
            lines[region][str(request.universe.year)] = _lines(counts)
    years = [str(year) for year in sorted(tables)]
    if not regions:
        return None
    colors = _colors(len(labels))
    empty = {"x": [[] for _ in labels], "y": [[] for _ in labels], "label": list(labels), "color": colors}
    sources = {year: ColumnDataSource({**empty, **lines[regions[0]].get(year, {})}) for year in years}
    plots = [_curve_plot(year, sources[year], with_legend=year == years[-1], labels=labels) for year in years]
    select = Select(title="Region", value=regions[0], options=regions, width=320)
    select.js_on_change(
        "value",
        CustomJS(
            args={"lines": lines, "sources": sources, "empty": empty},
            code="""
for (const [year, source] of Object.entries(sources)) {
  source.data = {...empty, ...(lines[this.value][year] || {})};
}
""",
        ),
    )
    return Section(
        "Segregation curves" + (", years side by side" if len(years) > 1 else ""),
        "Tracts in order of a group's share: how much of the group lives in those where it is rarest. The diagonal is "
        "evenness; the Gini index is twice the area between, dissimilarity the largest distance below.",
        [column(select, row(*plots))],
    )


def _lines(counts: Floats) -> dict[str, Any]:
    """Return the curves of all groups, thinned to points that a reader can tell apart."""
    at = np.linspace(0, 1, _POINTS)
    xs: list[Any] = []
    ys: list[Any] = []
    for group in range(counts.shape[1]):
        others, members = segregation_curve(counts, group)
        missing = np.isnan(others).any() or np.isnan(members).any()
        xs.append([] if missing else at)
        ys.append([] if missing else np.interp(at, others, members))
    return {"x": xs, "y": ys}


def _colors(number: int) -> list[str]:
    if number <= len(Category10_10):
        return list(Category10_10[:number])
    return [Viridis256[place] for place in np.linspace(0, 235, number).astype(int)]


def _curve_plot(year: str, source: ColumnDataSource, *, with_legend: bool, labels: Sequence[str]) -> figure:
    plot = plain_figure(
        width=420 + (170 if with_legend else 0),
        height=420,
        title=year,
        x_range=(0, 1),
        y_range=(0, 1),
        x_axis_label="share of all others",
        y_axis_label="share of the group",
    )
    plot.line([0, 1], [0, 1], color=SOFT, line_dash="dashed")
    lines = plot.multi_line("x", "y", source=source, line_color="color", line_width=2)
    plot.add_tools(HoverTool(renderers=[lines], tooltips=[("group", "@label")], line_policy="interp"))
    if with_legend:
        items = [LegendItem(label=label, renderers=[lines], index=place) for place, label in enumerate(labels)]
        legend = Legend(
            items=items, border_line_color=None, label_text_color=INK, label_text_font_size="11px", spacing=0
        )
        plot.add_layout(legend, "right")
    return plot
