"""Map of the change between two years of a cube, and a page of a measure over all years."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import distributed
import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from bokeh.models import ColumnDataSource, Legend, LegendItem, NumeralTickFormatter, Whisker
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.outputs import maps
from geomob_dask.outputs.change_tables import check_keys, measure_of, quantiles_by_state, series_of
from geomob_dask.outputs.page import Section, report, sortable, write_page
from geomob_dask.outputs.palette import CATEGORIES, CHANGE, DEPRIVATION, SOFT
from geomob_dask.outputs.plots import hover, plain_figure
from geomob_dask.outputs.provenance import Record
from geomob_dask.runs.display import display_polygons
from geomob_dask.sources.states import state_name
from geomob_dask.store import Store
from geomob_dask.transforms.change import KNOWN_NOT

_COMPARED = {1: "larger than its margin", 0: "within its margin", KNOWN_NOT: "of unknown margin"}
_MOST_LINES = len(CATEGORIES)


def map_change(
    store: Store,
    cube: xr.Dataset,
    table: pd.DataFrame,
    measure: str,
    years: tuple[int, int],
    file: str,
    client: distributed.Client | None,
    console: Console,
    record: Record | None = None,
) -> None:
    """Write the map of a change on the polygons of the cube's vintage, with its provenance."""
    vintage = str(cube.attrs["vintage"])
    states = sorted({geoid[:2] for geoid in table.index})
    polygons = display_polygons(store, vintage, states, client, console)
    subtitle = f"{cube.attrs['product']}, tracts of vintage {vintage}, cube at version {cube.attrs['version']}"
    write_page("--map", file, change_map(polygons, table, measure, *years, subtitle=subtitle), record)


def change_map(
    polygons: gpd.GeoDataFrame, table: pd.DataFrame, measure: str, first: int, last: int, *, subtitle: str
) -> str:
    """Return a page with a map of a change: the change, the change larger than its margin, and both years.

    Parameters
    ----------
    polygons : GeoDataFrame
        By geoid, for display.
    table : DataFrame
        As `change_table` returns it.
    """
    shown = table.copy()
    name = measure.replace("_", " ")
    far = _round_up(float(shown["change"].abs().quantile(0.98)))
    explanation = f"{last} minus {first}; red: rose, blue: fell"
    layers = [maps.Layer("change", f"Change {first} to {last}", name, CHANGE, -far, far, explanation)]
    known = shown["beyond"] != KNOWN_NOT
    if known.any():
        shown["sure"] = shown["change"].where(shown["beyond"] == 1)
        layers.append(
            maps.Layer(
                "sure",
                "Change larger than its margin",
                name,
                CHANGE,
                -far,
                far,
                "gray: within the 90% margin of error of the difference, or unknown",
            )
        )
    both = pd.concat([shown["before"], shown["after"]])
    low, high = maps.spread(both, step=_round_up(float(both.std()) / 4))
    for column, year in (("before", first), ("after", last)):
        layers.append(maps.Layer(column, str(year), name, DEPRIVATION, low, high, "the same colors in both years"))
    shown["text"] = [_in_words(*row) for row in shown[["before", "after", "change", "margin"]].to_numpy().tolist()]
    details = {"text": f"{first} → {last}"}
    if known.any():
        shown["compared"] = shown["beyond"].map(_COMPARED).where(shown["change"].notna(), "")
        details["compared"] = "The change is"
    details["reason"] = "No change because"
    return maps.index_map(
        polygons,
        shown,
        layers,
        title=f"Change of {name}, {first} to {last}",
        subtitle=subtitle,
        missing_note="without a value in this layer; hover for the reason",
        details=details,
        tolerance=0,
    )


def _in_words(before: float, after: float, change: float, margin: float) -> str:
    if np.isnan(change):
        known = [f"{value:,.4g}" if not np.isnan(value) else "no value" for value in (before, after)]
        return " → ".join(known)
    words = f"{before:,.4g} → {after:,.4g}, change {change:+,.3g}"
    return words if np.isnan(margin) else f"{words} ± {margin:,.3g}"


def _round_up(value: float) -> float:
    """Return the next larger of 1, 2, 2.5 or 5 times a power of ten.

    Examples
    --------
    >>> _round_up(0.031), _round_up(7.0), _round_up(float("nan"))
    (0.05, 10.0, 1.0)
    """
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9)))


# Series -------------------------------------------------------------------------------------------


def series_page(cube: xr.Dataset, measure: str, keys: Sequence[str] = (), states: Sequence[str] = ()) -> str:
    """Return a page of a measure over all years: quartiles of states, and chosen tracts with their intervals.

    Parameters
    ----------
    keys : sequence of str
        Tracts or regions to draw, at most eight.
    states : sequence of str
        State codes to draw beside all tracts, at most seven; by default those with the most tracts.

    Raises
    ------
    InputError
        If a measure, tract or state is not in the cube, or there are more lines than colors.
    """
    for option, chosen, most in (("--tracts", keys, _MOST_LINES), ("--states", states, _MOST_LINES - 1)):
        if len(chosen) > most:
            raise InputError(
                f"{option}: found {len(chosen)}, expected at most {most} lines that a reader can tell apart"
            )
    measure_of(cube, measure)
    check_keys(cube, keys)
    there = sorted(set(cube["state"].to_numpy().astype(str).tolist()) - {"all"})
    absent = [state for state in states if state not in there]
    if absent:
        raise InputError(f"--states {absent[0]}: not in the cube; expected one of: {', '.join(there) or 'none'}")
    quantiles = quantiles_by_state(cube, measure)
    counts = quantiles[quantiles["state"] != "all"].groupby("state")["tracts"].max()
    largest = counts.sort_values(ascending=False, kind="stable").index[: _MOST_LINES - 1].tolist()
    drawn = ["all", *(states or sorted(largest))]
    name = measure.replace("_", " ")
    units = str(cube["measure_units"].sel(measure=measure).item())
    label = name if units in ("", "1") else f"{name} ({units})"
    unit = cube.attrs["unit"]
    # Years as text: a table writes numbers with a comma.
    named = quantiles.assign(
        state=[_state(code, unit) for code in quantiles["state"]], year=quantiles["year"].astype(str)
    ).set_index("state")
    titles = {"state": "State", "year": "Year", "tracts": f"{unit.title()}s", "low": "First quartile"}
    titles |= {"median": "Median", "high": "Third quartile"}
    sections = [
        Section(
            f"All {unit}s" if drawn == ["all"] else "States",
            f"Lines are medians; the band is the interquartile range of all {unit}s. Click the legend to hide a line.",
            [_quantile_plot(quantiles, drawn, label, unit)],
            table=sortable(named, titles),
        )
    ]
    if keys:
        series = series_of(cube, measure, keys)
        heads = {"key": unit.title(), "year": "Year", "estimate": name, "low": "Lower", "high": "Upper", "flag": "Note"}
        sections.append(
            Section(
                f"Selected {unit}s",
                "Bars are 90% intervals, if known; a gap is a year without a value.",
                [_series_plot(series, label)],
                table=sortable(series.assign(year=series["year"].astype(str)).set_index("key"), heads),
            )
        )
    years = cube["year"].to_numpy().tolist()
    subtitle = f"{cube.attrs['product']}, {years[0]} to {years[-1]}, cube at version {cube.attrs['version']}"
    return report(f"{name[:1].upper()}{name[1:]} over the years", subtitle, sections)


def _state(code: str, unit: str) -> str:
    return f"All {unit}s" if code == "all" else state_name(code)


def _time_axis(label: str, years: Sequence[int]) -> Any:
    plot = plain_figure(width=1180, height=420, x_axis_label="Year", y_axis_label=label)
    plot.xaxis.ticker = list(years)
    plot.xgrid.grid_line_color = None
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[000]")
    return plot


def _quantile_plot(quantiles: pd.DataFrame, drawn: Sequence[str], label: str, unit: str) -> Any:
    plot = _time_axis(label, sorted(quantiles["year"].unique().tolist()))
    items = []
    for number, state in enumerate(drawn):
        rows = quantiles[quantiles["state"] == state].assign(name=_state(state, unit))
        source = ColumnDataSource(rows.reset_index(drop=True).to_dict("list"))
        color = SOFT if state == "all" else CATEGORIES[number % len(CATEGORIES)]
        drawing = []
        if state == "all":
            drawing.append(plot.varea("year", "low", "high", source=source, fill_color=SOFT, fill_alpha=0.14))
        line = plot.line("year", "median", source=source, color=color, line_width=3.2 if state == "all" else 1.8)
        dots = plot.scatter("year", "median", source=source, color=color, size=7)
        drawing += [line, dots]
        hover(
            plot,
            dots,
            ("", "@name @year"),
            ("Median", "@median{0,0.[000]}"),
            ("Interquartile range", "@low{0,0.[000]} to @high{0,0.[000]}"),
            (f"{unit.title()}s", "@tracts{0,0}"),
        )
        items.append(LegendItem(label=_state(state, unit), renderers=drawing))
    _legend(plot, items)
    return plot


def _series_plot(series: pd.DataFrame, label: str) -> Any:
    keys = list(dict.fromkeys(series["key"]))
    plot = _time_axis(label, sorted(series["year"].unique().tolist()))
    items = []
    # Beside each other, so that bars of one year do not cover each other.
    apart = min(0.07, 0.012 * float(series["year"].max() - series["year"].min()))
    for number, key in enumerate(keys):
        rows = series[series["key"] == key].copy()
        rows["x"] = rows["year"] + apart * (number - (len(keys) - 1) / 2)
        color = CATEGORIES[number % len(CATEGORIES)]
        source = ColumnDataSource(rows.reset_index(drop=True).to_dict("list"))
        known = ColumnDataSource(rows.dropna(subset=["low", "high"]).reset_index(drop=True).to_dict("list"))
        line = plot.line("x", "estimate", source=source, color=color, line_width=2)
        dots = plot.scatter("x", "estimate", source=source, color=color, size=8)
        whisker = Whisker(source=known, base="x", lower="low", upper="high", line_color=color, line_width=1.4)
        for head in (whisker.upper_head, whisker.lower_head):
            head.line_color, head.size = color, 6
        plot.add_layout(whisker)
        hover(
            plot,
            dots,
            ("", "@key @year"),
            ("Value", "@estimate{0,0.[000]}"),
            ("Interval", "@low{0,0.[000]} to @high{0,0.[000]}"),
            ("Note", "@flag"),
        )
        items.append(LegendItem(label=key, renderers=[line, dots]))
    # Whiskers do not count for the range that a figure finds by itself.
    around = series[["estimate", "low", "high"]].to_numpy()
    if np.isfinite(around).any():
        low, high = float(np.nanmin(around)), float(np.nanmax(around))
        gap = 0.06 * (high - low) or 1.0
        plot.y_range.start, plot.y_range.end = low - gap, high + gap
    _legend(plot, items)
    return plot


def _legend(plot: Any, items: Sequence[LegendItem]) -> None:
    legend = Legend(items=list(items), click_policy="hide", border_line_color=None, label_text_font_size="13px")
    plot.add_layout(legend, "right")
