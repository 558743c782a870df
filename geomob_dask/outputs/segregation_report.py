"""Report on segregation: indices of regions, years side by side, and segregation curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.segregation_catalog import INDICES
from geomob_dask.metrics.segregation_curve import segregation_curve
from geomob_dask.outputs.names import RegionNames, group_labels, kind_nouns, region_names
from geomob_dask.outputs.page import Figure, Section, report, sortable, write_page
from geomob_dask.outputs.palette import SOFT, categories
from geomob_dask.outputs.plots import choose_data, hover, plain_figure
from geomob_dask.outputs.provenance import record_of
from geomob_dask.outputs.ranking import Estimates, Measure, Ranking
from geomob_dask.outputs.result import notes_of_years, reader, result
from geomob_dask.outputs.result import report as kept_report
from geomob_dask.outputs.segregation import headline_columns, with_corrected
from geomob_dask.products.product import Prepared
from geomob_dask.products.segregation import Options, region_counts
from geomob_dask.store import Store

_CURVES_OF = 12
_AT = np.linspace(0, 1, 101)
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
    tables = {item.options.year: region_names(store, item).named(result(store, item)) for item in results}
    found = kept_report(store, results[-1])
    options: Options = results[-1].options
    groups = group_labels(dict(zip(found["groups"], found["labels"], strict=True)))
    regions = curve_regions(tables)
    counts = {
        year: region_counts(reader(store, item), item, [one for one in regions if one in tables[year].index])
        for item in results
        for year in [item.options.year]
    }
    text = report_page(
        tables,
        counts,
        groups,
        title=f"Segregation: {options.groups.title or ', '.join(groups.values())}",
        subtitle=f"{options.dataset} {', '.join(map(str, tables))}, regions by {options.by}, tracts as units",
        notes=notes_of_years(store, results),
        by=results[-1].options.by,
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
    by: str = "region",
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
    by : str
        The kind of the regions.
    """
    own = pd.concat([tables[year]["region_name"].fillna("") for year in sorted(tables)])
    names = RegionNames(by, {str(code): str(name) for code, name in own.items()})
    sections = [
        _ranked(tables, groups, names),
        _curves(tables, counts, list(groups.values()), names),
        _by_group(tables, groups),
        _every_column(tables, groups, names),
    ]
    return report(title, subtitle, [section for section in sections if section is not None], notes=notes)


def curve_regions(tables: Tables) -> list[str]:
    """Return the regions to draw curves of: those of most years first, then those with most people."""
    people = pd.concat([table["people"] for table in tables.values()], axis=1)
    order = pd.DataFrame({"years": people.notna().sum(axis=1), "people": people.max(axis=1)})
    return [str(region) for region in order.sort_values(["years", "people"], ascending=False).index[:_CURVES_OF]]


# Indices of regions --------------------------------------------------------------------------


def _ranked(tables: Tables, groups: Mapping[str, str], known: RegionNames) -> Section | None:
    """Return the regions by one index at a time, one mark per year, with intervals where they are known."""
    last = tables[max(tables)]
    names = [name for name in headline_columns(last) if last[name].notna().any()]
    if not names:
        return None
    years = sorted(tables)
    regions = list(dict.fromkeys(region for year in reversed(years) for region in tables[year].index))
    by_year, shades = {year: tables[year].reindex(regions) for year in years}, categories(len(years))
    measures = [
        Measure(
            index_title(name, groups),
            [_estimates(by_year[year], name, str(year), color) for year, color in zip(years, shades, strict=True)],
        )
        for name in names
    ]
    drawn = any(f"{name}_corrected" in last for name in names)
    taken = last["sampled"].iloc[0] if "sampled" in last else ""
    sampled = _SAMPLED.get(taken, f" The counts are estimates from interviews ({taken})." if taken else "")
    ranking = Ranking(
        kind_nouns(known.by),
        [known.of(str(region)) or str(region) for region in regions],
        measures,
        codes=[str(region) for region in regions],
        label="Index",
        raw="as computed from the counts",
        flag="p",
        places=4,
    )
    return Section(
        "Regions by index" + (", years side by side" if len(tables) > 1 else ""),
        "One index at a time." + (_INTERVALS if drawn else " Without draws (--draws) no interval is known.") + sampled,
        ranking=ranking,
    )


def index_title(name: str, groups: Mapping[str, str]) -> str:
    """Return the title of an index, with the label of the group that it is of.

    Examples
    --------
    >>> index_title("information_theory", {}), index_title("dissimilarity_renters", {"renters": "Renters"})
    ('Information theory', 'Dissimilarity: Renters')
    """
    index, group = name, ""
    if name not in INDICES:
        for key, label in groups.items():
            if name.endswith(f"_{key}"):
                index, group = name.removesuffix(f"_{key}"), f": {label}"
    plain = index.replace("_", " ")
    return f"{plain[:1].upper()}{plain[1:]}{group}"


def _estimates(table: pd.DataFrame, name: str, year: str, color: str) -> Estimates:
    """Return an index of one year: corrected with its interval, and as computed; as computed alone without draws."""
    raw = table[name].to_numpy(dtype=np.float64) if name in table else np.full(len(table), np.nan)
    if f"{name}_corrected" not in table:
        return Estimates(raw, label=year, color=color)
    value, lower, upper = (
        table[f"{name}_{column}"].to_numpy(dtype=np.float64)
        for column in ("corrected", "corrected_lower", "corrected_upper")
    )
    p = table[f"{name}_p"].to_numpy(dtype=np.float64) if f"{name}_p" in table else np.empty(0)
    flags = ["" if np.isnan(one) else f"p {one:.3f}" for one in p]
    return Estimates(value, lower, upper, label=year, raw=raw, flags=flags, color=color)


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


def _every_column(tables: Tables, groups: Mapping[str, str], known: RegionNames) -> Section:
    """Return the indices with one value per region, years side by side."""
    several = len(tables) > 1
    shown = [
        ["units", "people", *with_corrected(table, headline_columns(table)), *_changes(table)]
        for table in tables.values()
    ]
    columns = {
        (name, year): table[name]
        for name in dict.fromkeys(name for names in shown for name in names)
        for year, table in tables.items()
        if name in table
    }
    table = pd.DataFrame(columns).rename_axis("Region")
    latest = max(year for name, year in columns if name == "people")
    table = table.sort_values(("people", latest), ascending=False)
    table.index = pd.Index([known.label(str(region)) for region in table.index], name="Region")
    titles = {"units": "Tracts", "people": "People"}
    table.columns = pd.Index(
        [f"{titles.get(name) or _title(name, groups)}{f' {year}' if several else ''}" for name, year in columns]
    )
    text = "All regions, those with most people first."
    if any(name.endswith("_corrected") for name, _ in columns):
        text += " Corrected: less the bias that sampling adds."
    if any(_changes(one) for one in tables.values()):
        text += " Changes are from the year before, decomposed by iterative fitting (Elbers 2021)."
    return Section("Indices by region", text, table=sortable(table))


def _title(column: str, groups: Mapping[str, str]) -> str:
    """Return the title of a column of an index, corrected or not."""
    name = column.removesuffix("_corrected")
    return index_title(name, groups) + (", corrected" if name != column else "")


def _changes(table: pd.DataFrame) -> list[str]:
    return [name for name in table if "_change" in str(name)]


# Curves --------------------------------------------------------------------------------------


def _curves(
    tables: Tables, counts: Mapping[int, Mapping[str, Floats]], labels: Sequence[str], names: RegionNames
) -> Section | None:
    """Return segregation curves of the largest regions, one region at a time, one plot per year."""
    regions = curve_regions(tables)
    if not regions:
        return None
    colors = categories(len(labels))
    years = {str(year): counts[year] for year in sorted(tables)}
    options, findings = {}, {}
    for region in regions:
        name = names.label(region)
        options[name] = {year: _lines(found.get(region), labels) for year, found in years.items()}
        findings[name] = {f"curves-{year}": _found(name, year, data) for year, data in options[name].items()}
    legend = {"label": list(labels), "color": colors, "x": [_AT.tolist()] * len(labels)}
    sources = {year: ColumnDataSource(legend) for year in years}
    chosen, script = choose_data("Region", "curves", options, sources, findings)
    figures = [
        Figure(
            _curve_plot(source),
            next(iter(findings.values()))[f"curves-{year}"],
            title=year,
            numbers={"label": "Group", "gini": "Gini index", "dissimilarity": "Dissimilarity"},
            sources=[source],
            widest=620,
            id=f"curves-{year}",
        )
        for year, source in sources.items()
    ]
    return Section(
        "Segregation curves" + (", years side by side" if len(years) > 1 else ""),
        "Cumulative share of a group against that of everybody else, over tracts in order of the group's share. The "
        "diagonal is evenness; the Gini index is twice the area between diagonal and curve, dissimilarity their "
        "largest distance.",
        plots=[chosen, *figures],
        keys=dict(zip(labels, colors, strict=True)),
        script=script,
    )


def _lines(counts: Floats | None, labels: Sequence[str]) -> dict[str, Any]:
    """Return the curves of all groups, at as many points as a reader can tell apart, and their indices."""
    ys: list[list[float]] = [[] for _ in labels]
    gini: list[float | None] = [None for _ in labels]
    dissimilarity = list(gini)
    if counts is not None:
        for group in range(len(labels)):
            others, members = segregation_curve(counts, group)
            if not (np.isnan(others).any() or np.isnan(members).any()):
                ys[group] = np.interp(_AT, others, members).round(4).tolist()
                gini[group] = round(1 - 2 * float(np.trapezoid(members, others)), 4)
                dissimilarity[group] = round(float(np.max(others - members)), 4)
    return {"y": ys, "gini": gini, "dissimilarity": dissimilarity, "label": list(labels)}


def _found(region: str, year: str, data: Mapping[str, Any]) -> str:
    """Return what the curves of a region show in a sentence."""
    known = [(gini, label) for gini, label in zip(data["gini"], data["label"], strict=True) if gini is not None]
    if not known:
        return f"{region}, {year}: no curve is known."
    (low, even), (high, uneven) = min(known), max(known)
    return (
        f"Segregation curves of {region}, {year}: farthest from evenness is {uneven} (Gini index {high:.3f}), nearest "
        f"to it {even} ({low:.3f})."
    )


def _curve_plot(source: ColumnDataSource) -> figure:
    plot = plain_figure(
        height=420,
        x_range=(0, 1),
        y_range=(0, 1),
        x_axis_label="share of everybody else",
        y_axis_label="share of the group",
    )
    plot.line([0, 1], [0, 1], color=SOFT, line_dash="dashed")
    lines = plot.multi_line("x", "y", source=source, line_color="color", line_width=2)
    hover(plot, lines, ("group", "@label"), ("Gini index", "@gini{0.000}"), line_policy="interp")
    return plot
