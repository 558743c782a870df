"""Map of the change between two years of a cube, and a page of a measure over all years."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import distributed
import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from bokeh.models import ColumnDataSource, NumeralTickFormatter, Whisker
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.outputs.change_tables import check_keys, measure_of, quantiles_by_state, series_of
from geomob_dask.outputs.classes import diverging, quantiles
from geomob_dask.outputs.days import days_stored
from geomob_dask.outputs.map_files import MapContent, write_map
from geomob_dask.outputs.maps import Layer
from geomob_dask.outputs.names import named_regions, states_in_words
from geomob_dask.outputs.page import Figure, Section, report, sortable
from geomob_dask.outputs.palette import CATEGORIES, CHANGES, LEVELS, SOFT
from geomob_dask.outputs.plots import hover, plain_figure
from geomob_dask.outputs.provenance import Record
from geomob_dask.outputs.provenance_words import source_line
from geomob_dask.outputs.reasons import suppressed
from geomob_dask.runs.display import display_polygons
from geomob_dask.sources.measure_names import label_of
from geomob_dask.sources.states import state_name
from geomob_dask.store import Store
from geomob_dask.transforms.change import KNOWN_NOT

_COMPARED = {1: "larger than its margin", 0: "within its margin", KNOWN_NOT: "of unknown margin"}
_MOST_LINES = len(CATEGORIES)
# Whether more of a measure is more opportunity, more deprivation, or neither.
Direction = Literal[1, -1, 0]
_MEANINGS: Mapping[Direction, str] = {
    1: "blue: rose, toward more opportunity; red: fell",
    -1: "red: rose, toward more deprivation; blue: fell",
    0: "violet: rose; orange: fell; neither is said to be better",
}


def map_change(
    store: Store,
    cube: xr.Dataset,
    table: pd.DataFrame,
    measure: str,
    years: tuple[int, int],
    file: str,
    client: distributed.Client | None,
    console: Console,
    record: Record,
    layer: str | None = None,
) -> None:
    """Write the map of a change on the polygons of the cube's vintage, with its provenance."""
    vintage = str(cube.attrs["vintage"])
    states = sorted({geoid[:2] for geoid in table.index})
    content = change_map(
        display_polygons(store, vintage, states, client, console),
        table,
        measure,
        *years,
        direction=direction_of(measure, record),
        subtitle=f"{cube.attrs['product']}, {states_in_words(states)}, tracts of vintage {vintage}, "
        f"cube at version {cube.attrs['version']}",
        source=source_line(record, days_stored(store, record)),
        regions=named_regions(store, vintage, states),
    )
    write_map(content, file, record, layer=layer)


def direction_of(measure: str, record: Record) -> Direction:
    """Return whether more of a measure is more opportunity (1), more deprivation (-1), or neither is known (0).

    Parameters
    ----------
    measure : str
        A column of the result of an index, or a measure of its definition.
    record : dict
        The provenance of the values; see `provenance.record_of`. Without a definition in it no direction is known.
    """
    options = [one["options"] for one in record["results"] if isinstance(one["options"], Mapping)]
    definitions = [one["definition"] for one in options if isinstance(one.get("definition"), Mapping)]
    for definition in definitions:
        domains = definition.get("domains") or {}
        if measure in ("opportunity", "opportunity_corrected", "rank", "rank_corrected"):
            return 1
        if measure == "deprivation" or measure in domains:
            return -1
        for item in itertools.chain.from_iterable(domains.values()):
            if item.get("measure") == measure:
                return 1 if item.get("direction") == -1 else -1
    return 0


def change_map(
    polygons: gpd.GeoDataFrame,
    table: pd.DataFrame,
    measure: str,
    first: int,
    last: int,
    *,
    subtitle: str,
    direction: Direction = 0,
    source: str = "",
    regions: Mapping[str, pd.DataFrame] | None = None,
) -> MapContent:
    """Return a map of a change: the change, the change larger than its margin, and both years.

    Parameters
    ----------
    polygons : GeoDataFrame
        By geoid, for display.
    table : DataFrame
        As `change_table` returns it.
    direction : {1, -1, 0}
        Whether more of the measure is more opportunity, more deprivation, or neither; see `direction_of`.
    regions : mapping of str to DataFrame, optional
        See `maps.map_page`.
    """
    shown = table.copy()
    label = label_of(measure)
    name, unit = label.text, label.unit or label.text
    changes = diverging(
        shown["change"], CHANGES[direction], unit=label.unit, fell="fell by", rose="rose by", none="no change"
    )
    meaning = f"{last} minus {first}; {_MEANINGS[direction]}"
    known = shown["beyond"] != KNOWN_NOT
    bounds = None
    if known.any():
        shown["low"], shown["high"] = shown["change"] - shown["margin"], shown["change"] + shown["margin"]
        bounds = ("low", "high")
    shown["suppressed"] = suppressed(shown["reason"])
    layers = [
        Layer("change", f"Change {first} to {last}", unit, changes, meaning, bounds=bounds, suppressed="suppressed")
    ]
    if known.any():
        shown["sure"] = shown["change"].where(shown["beyond"] == 1)
        within = "hatched: within the 90% margin of error of the difference, of unknown margin, or without a value"
        layers.append(
            Layer("sure", "Change larger than its margin", unit, changes, f"{meaning}; {within}", bounds=bounds)
        )
    # One scale, so that the two years compare.
    levels = quantiles(pd.concat([shown["before"], shown["after"]]), LEVELS[direction], unit=label.unit)
    layers += [
        Layer(column, str(year), unit, levels, "the same classes in both years")
        for column, year in (("before", first), ("after", last))
    ]
    shown["text"] = [_in_words(*row) for row in shown[["before", "after", "change", "margin"]].to_numpy().tolist()]
    details = {"text": f"{first} → {last}"}
    if known.any():
        shown["compared"] = shown["beyond"].map(_COMPARED).where(shown["change"].notna(), "")
        details["compared"] = "The change is"
    details["reason"] = "No change because"
    return MapContent(
        polygons,
        shown,
        layers,
        title=f"Change of {name}, {first} to {last}",
        subtitle=subtitle,
        source=source,
        missing_note="without a value in this layer",
        hint="the tooltip tells the reason",
        details=details,
        regions=regions,
    )


def _in_words(before: float, after: float, change: float, margin: float) -> str:
    if np.isnan(change):
        known = [f"{value:,.4g}" if not np.isnan(value) else "no value" for value in (before, after)]
        return " → ".join(known)
    words = f"{before:,.4g} → {after:,.4g}, change {change:+,.3g}"
    return words if np.isnan(margin) else f"{words} ± {margin:,.3g}"


# Series -------------------------------------------------------------------------------------------


def series_page(
    cube: xr.Dataset,
    measure: str,
    keys: Sequence[str] = (),
    states: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> str:
    """Return a page of a measure over all years: quartiles of states, and chosen tracts with their intervals.

    Parameters
    ----------
    keys : sequence of str
        Tracts or regions to draw, at most eight.
    states : sequence of str
        State codes to draw beside all tracts, at most seven; by default those with the most tracts.
    names : mapping of str to str, optional
        What keys are called; themselves by default.

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
    name, unit_of = label_of(measure)
    units = unit_of or str(cube["measure_units"].sel(measure=measure).item())
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
            f"Lines are medians; the band is the interquartile range of all {unit}s.",
            [_quantile_figure(quantiles, drawn, label, unit)],
            table=sortable(named, titles),
        )
    ]
    if keys:
        series = series_of(cube, measure, keys)
        series["key"] = series["key"].map(lambda key: (names or {}).get(key, key))
        heads = {"key": unit.title(), "year": "Year", "estimate": name, "low": "Lower", "high": "Upper", "flag": "Note"}
        sections.append(
            Section(
                f"Selected {unit}s",
                "Bars are 90% intervals, if known; a gap is a year without a value.",
                [_series_figure(series, label)],
                table=sortable(series.assign(year=series["year"].astype(str)).set_index("key"), heads),
            )
        )
    years = cube["year"].to_numpy().tolist()
    subtitle = f"{cube.attrs['product']}, {years[0]} to {years[-1]}, cube at version {cube.attrs['version']}"
    return report(f"{name[:1].upper()}{name[1:]} over the years", subtitle, sections)


def _state(code: str, unit: str) -> str:
    return f"All {unit}s" if code == "all" else state_name(code)


def _time_axis(label: str, years: Sequence[int]) -> Any:
    plot = plain_figure(height=400, x_axis_label="Year", y_axis_label=label)
    plot.xaxis.ticker = list(years)
    plot.xgrid.grid_line_color = None
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[000]")
    return plot


def _quantile_figure(quantiles: pd.DataFrame, drawn: Sequence[str], label: str, unit: str) -> Figure:
    plot = _time_axis(label, sorted(quantiles["year"].unique().tolist()))
    keys, words = {}, []
    for number, state in enumerate(drawn):
        rows = quantiles[quantiles["state"] == state].assign(name=_state(state, unit))
        source = ColumnDataSource(rows.reset_index(drop=True).to_dict("list"))
        color = SOFT if state == "all" else CATEGORIES[number % len(CATEGORIES)]
        if state == "all":
            plot.varea("year", "low", "high", source=source, fill_color=SOFT, fill_alpha=0.14)
        plot.line("year", "median", source=source, color=color, line_width=3.2 if state == "all" else 1.8)
        dots = plot.scatter("year", "median", source=source, color=color, size=7)
        hover(
            plot,
            dots,
            ("", "@name @year"),
            ("Median", "@median{0,0.[000]}"),
            ("Interquartile range", "@low{0,0.[000]} to @high{0,0.[000]}"),
            (f"{unit.title()}s", "@tracts{0,0}"),
        )
        keys[_state(state, unit)] = color
        words.append(_from_to(_state(state, unit), rows["year"], rows["median"]))
    return Figure(plot, f"Medians: {'; '.join(words)}.", keys=keys)


def _from_to(name: str, years: pd.Series, values: pd.Series) -> str:
    known = values.notna().to_numpy()
    if not known.any():
        return f"{name} no value"
    pairs = list(zip(years[known], values[known], strict=True))
    ends = pairs[:1] if len(pairs) == 1 else [pairs[0], pairs[-1]]
    return f"{name} " + ", ".join(f"{value:,.4g} in {year}" for year, value in ends)


def _series_figure(series: pd.DataFrame, label: str) -> Figure:
    keys = list(dict.fromkeys(series["key"]))
    plot = _time_axis(label, sorted(series["year"].unique().tolist()))
    legend, words = {}, []
    # Beside each other, so that bars of one year do not cover each other.
    apart = min(0.07, 0.012 * float(series["year"].max() - series["year"].min()))
    for number, key in enumerate(keys):
        rows = series[series["key"] == key].copy()
        rows["x"] = rows["year"] + apart * (number - (len(keys) - 1) / 2)
        color = CATEGORIES[number % len(CATEGORIES)]
        source = ColumnDataSource(rows.reset_index(drop=True).to_dict("list"))
        known = ColumnDataSource(rows.dropna(subset=["low", "high"]).reset_index(drop=True).to_dict("list"))
        plot.line("x", "estimate", source=source, color=color, line_width=2)
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
        legend[str(key)] = color
        words.append(_from_to(str(key), rows["year"], rows["estimate"]))
    # Whiskers do not count for the range that a figure finds by itself.
    around = series[["estimate", "low", "high"]].to_numpy()
    if np.isfinite(around).any():
        low, high = float(np.nanmin(around)), float(np.nanmax(around))
        gap = 0.06 * (high - low) or 1.0
        plot.y_range.start, plot.y_range.end = low - gap, high + gap
    return Figure(plot, f"{'; '.join(words)}.", keys=legend)
