"""Report on segregation: indices of regions, years side by side, and segregation curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, FactorRange, Legend, LegendItem
from bokeh.plotting import figure

from geomob_dask.messages import counted
from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.segregation_catalog import INDICES
from geomob_dask.metrics.segregation_curve import segregation_curve
from geomob_dask.outputs.page import Section, report, sortable, write_page
from geomob_dask.outputs.palette import INK, SOFT, categories
from geomob_dask.outputs.plots import choose_data, hover, plain_figure
from geomob_dask.outputs.provenance import record_of
from geomob_dask.outputs.result import notes_of_years, reader, result
from geomob_dask.outputs.result import report as kept_report
from geomob_dask.outputs.segregation import headline_columns, with_corrected
from geomob_dask.products.product import Prepared
from geomob_dask.products.segregation import Options, region_counts
from geomob_dask.store import Store

_CURVES_OF = 12
_AT = np.linspace(0, 1, 101)
_RANKED = 25
_INTERVALS = (
    " Filled dots are indices less the bias that sampling adds, lines their 90% intervals; hollow dots "
    "are the indices as computed from the counts."
)
_SAMPLED = {
    "complete": " The counts are taken as complete: intervals and p-values leave the error of a sample out.",
    "margins": " The counts are estimates, sampled as their margins of error say.",
}

Tables = Mapping[int, pd.DataFrame]


def write_report(store: Store, results: Sequence[Prepared], file: str) -> None:
    """Write the report on results of the store, one per year.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    tables = {item.options.year: result(store, item) for item in results}
    found = kept_report(store, results[-1])
    options: Options = results[-1].options
    regions = curve_regions(tables)
    counts = {
        year: region_counts(reader(store, item), item, [one for one in regions if one in tables[year].index])
        for item in results
        for year in [item.options.year]
    }
    text = report_page(
        tables,
        counts,
        dict(zip(found["groups"], found["labels"], strict=True)),
        title=f"Segregation: {options.groups.title or ', '.join(found['labels'])}",
        subtitle=f"{options.dataset} {', '.join(map(str, tables))}, regions by {options.by}, tracts as units",
        notes=notes_of_years(store, results),
    )
    write_page("--report", file, text, record_of(store, results, option="--report"))


def report_page(
    tables: Tables,
    counts: Mapping[int, Mapping[str, Floats]],
    groups: Mapping[str, str],
    *,
    title: str,
    subtitle: str,
    notes: Sequence[str] = (),
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    tables : mapping of year to DataFrame, index: regions
        ``region_name``, ``people``, ``units``, indices, and perhaps ``sampled`` and, behind the names of indices,
        ``_corrected``, ``_corrected_lower``, ``_corrected_upper`` and ``_p``.
    counts : mapping of year to mapping of region to array, shape (n_units, n_groups), persons
        For the curves, of the regions that `curve_regions` names.
    groups : mapping of name to label
    notes : sequence of str
        See `page.report`.
    """
    sections = [
        _ranked(tables),
        _curves(tables, counts, list(groups.values())),
        _by_group(tables, groups),
        _every_column(tables),
    ]
    return report(title, subtitle, [section for section in sections if section is not None], notes=notes)


def curve_regions(tables: Tables) -> list[str]:
    """Return the regions to draw curves of: those of most years first, then those with most people."""
    people = pd.concat([table["people"] for table in tables.values()], axis=1)
    order = pd.DataFrame({"years": people.notna().sum(axis=1), "people": people.max(axis=1)})
    return [str(region) for region in order.sort_values(["years", "people"], ascending=False).index[:_CURVES_OF]]


# Indices of regions --------------------------------------------------------------------------


def _ranked(tables: Tables) -> Section | None:
    """Return the largest regions by one index at a time, one mark per year, with intervals where they are known."""
    last = tables[max(tables)]
    names = [name for name in headline_columns(last) if last[name].notna().any()]
    if not names:
        return None
    regions = last["people"].nlargest(_RANKED).index
    options: dict[str, dict[str, Any]] = {}
    for name in names:
        order = last.loc[regions, name].sort_values().index
        options[name] = {str(year): _marks(table.reindex(order), name) for year, table in tables.items()}
    drawn = any(f"{name}_corrected" in last for name in names)
    plot = plain_figure(width=760, height=60 + 22 * len(regions), y_range=FactorRange())
    sources = {str(year): ColumnDataSource() for year in sorted(tables)}
    select = choose_data("Index", options, sources, plot.y_range)
    for (year, source), color in zip(sources.items(), categories(len(sources)), strict=True):
        plot.segment("lower", "row", "upper", "row", source=source, color=color, line_width=2, alpha=0.6)
        if not drawn:
            dots = plot.scatter("value", "row", source=source, color=color, size=8, legend_label=year)
            hover(plot, dots, ("region", "@row @name"), (year, "@value{0.0000}"))
            continue
        raw = plot.scatter("value", "row", source=source, fill_color=None, line_color=color, size=8)
        dots = plot.scatter("corrected", "row", source=source, color=color, size=8, legend_label=year)
        hover(
            plot,
            [raw, dots],
            ("region", "@row @name"),
            (f"{year}, corrected", "@corrected{0.0000} (@lower{0.0000} to @upper{0.0000})"),
            ("from the counts", "@value{0.0000}"),
            ("p", "@p"),
        )
    plot.legend.location, plot.legend.border_line_color = "bottom_right", None
    text = f"The {counted(len(regions), 'region')} with most people" if len(last) > len(regions) else "All regions"
    taken = last["sampled"].iloc[0] if "sampled" in last else ""
    sampled = _SAMPLED.get(taken, f" The counts are estimates from interviews ({taken})." if taken else "")
    return Section(
        "Regions by index" + (", years side by side" if len(tables) > 1 else ""),
        f"{text}, by one index at a time." + (_INTERVALS if drawn else "") + sampled,
        [column(select, plot)],
    )


def _marks(table: pd.DataFrame, name: str) -> dict[str, Any]:
    unknown = pd.Series(np.nan, index=table.index)
    p = table.get(f"{name}_p", unknown)
    return {
        "row": [str(region) for region in table.index],
        "name": table["region_name"].fillna("").tolist(),
        "value": table[name].to_numpy(dtype=np.float64),
        **{
            part: table.get(f"{name}_{column}", unknown).to_numpy(dtype=np.float64)
            for part, column in (("corrected",) * 2, ("lower", "corrected_lower"), ("upper", "corrected_upper"))
        },
        "p": ["—" if np.isnan(value) else f"{value:.3f}" for value in p],
    }


def _by_group(tables: Tables, groups: Mapping[str, str]) -> Section | None:
    """Return a table of group indices: the mean over regions, weighted by the group's people."""
    last = tables[max(tables)]
    names = [
        index.name
        for index in INDICES.values()
        if index.shape == "group" and f"{index.name}_{next(iter(groups))}" in last
    ]
    if not names:
        return None
    rows = {
        label: {
            f"{name} {year}" if len(tables) > 1 else name: _mean(table[f"{name}_{group}"], table[f"count_{group}"])
            for name in names
            for year, table in tables.items()
        }
        for group, label in groups.items()
    }
    return Section(
        "Indices by group",
        "Each group against everybody else: means over the regions, weighted by the group's people in each.",
        table=sortable(pd.DataFrame.from_dict(rows, orient="index").rename_axis("group")),
    )


def _mean(values: pd.Series, weights: pd.Series) -> float:
    known = values.notna() & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else np.nan


def _every_column(tables: Tables) -> Section:
    """Return the indices with one value per region, years side by side."""
    several = len(tables) > 1
    shown = [
        ["units", "people", *with_corrected(table, headline_columns(table)), *_changes(table)]
        for table in tables.values()
    ]
    columns = {
        f"{name} {year}" if several else name: table[name]
        for name in dict.fromkeys(name for names in shown for name in names)
        for year, table in tables.items()
        if name in table
    }
    table = pd.DataFrame(columns).rename_axis("region")
    latest = [str(name) for name in table if str(name).startswith("people")][-1]
    table = table.sort_values(latest, ascending=False)
    names = tables[max(tables)]["region_name"]
    if (names != "").any():
        table.insert(0, "name", names.reindex(table.index).fillna(""))
    text = "All regions, those with most people first. Click a column title to sort."
    if any(name.endswith("_corrected") for name in table):
        text += " Corrected: less the bias that sampling adds."
    if any(_changes(one) for one in tables.values()):
        text += " Changes are from the year before, decomposed by iterative fitting (Elbers 2021)."
    return Section("Indices by region", text, table=sortable(table))


def _changes(table: pd.DataFrame) -> list[str]:
    return [name for name in table if "_change" in str(name)]


# Curves --------------------------------------------------------------------------------------


def _curves(tables: Tables, counts: Mapping[int, Mapping[str, Floats]], labels: Sequence[str]) -> Section | None:
    """Return segregation curves of the largest regions, one region at a time, one plot per year."""
    regions = curve_regions(tables)
    if not regions:
        return None
    years = {str(year): counts[year] for year in sorted(tables)}
    options = {region: {year: _lines(found.get(region), labels) for year, found in years.items()} for region in regions}
    legend = {"label": list(labels), "color": categories(len(labels)), "x": [_AT] * len(labels)}
    sources = {year: ColumnDataSource(legend) for year in years}
    select = choose_data("Region", options, sources)
    plots = [_curve_plot(year, source, labels if year == max(years) else ()) for year, source in sources.items()]
    return Section(
        "Segregation curves" + (", years side by side" if len(years) > 1 else ""),
        "Cumulative share of a group against that of everybody else, over tracts in order of the group's share. The "
        "diagonal is evenness; the Gini index is twice the area between diagonal and curve, dissimilarity their "
        "largest distance.",
        [column(select, row(*plots))],
    )


def _lines(counts: Floats | None, labels: Sequence[str]) -> dict[str, Any]:
    """Return the curves of all groups, at as many points as a reader can tell apart; empty if unknown."""
    ys: list[Any] = [[] for _ in labels]
    if counts is not None:
        for group in range(len(labels)):
            others, members = segregation_curve(counts, group)
            if not (np.isnan(others).any() or np.isnan(members).any()):
                ys[group] = np.interp(_AT, others, members)
    return {"y": ys}


def _curve_plot(year: str, source: ColumnDataSource, labels: Sequence[str]) -> figure:
    plot = plain_figure(
        width=420 + (170 if labels else 0),
        height=420,
        title=year,
        x_range=(0, 1),
        y_range=(0, 1),
        x_axis_label="share of everybody else",
        y_axis_label="share of the group",
    )
    plot.line([0, 1], [0, 1], color=SOFT, line_dash="dashed")
    lines = plot.multi_line("x", "y", source=source, line_color="color", line_width=2)
    hover(plot, lines, ("group", "@label"), line_policy="interp")
    if labels:
        items = [LegendItem(label=label, renderers=[lines], index=place) for place, label in enumerate(labels)]
        style = {"border_line_color": None, "label_text_color": INK, "label_text_font_size": "11px", "spacing": 0}
        plot.add_layout(Legend(items=items, **style), "right")
    return plot
