"""What changed between two years of a cube, as a map, and a measure over all years, as a page of series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import distributed
import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from bokeh.models import ColumnDataSource, HoverTool, Legend, LegendItem, NumeralTickFormatter, Whisker
from bokeh.palettes import RdBu11
from numpy.typing import NDArray
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.outputs import maps
from geomob_dask.outputs.segregation_page import SOFT, Section, page, plain_figure, sortable
from geomob_dask.runs.display import display_polygons
from geomob_dask.sources.kinds import kinds_of
from geomob_dask.sources.states import state_name
from geomob_dask.store import Store
from geomob_dask.store.cube_form import NO_ROW
from geomob_dask.transforms.change import KNOWN_NOT, beyond_margin, change_moe, shared_sample
from geomob_dask.transforms.margins_of_error import margin_of_error

# From blue to red, without the two ends, on which state lines would be lost. The middle colour is about zero.
CHANGE_PALETTE = tuple(RdBu11[1:-1])
_SAID = {1: "more than its margin", 0: "within its margin", KNOWN_NOT: "margin not known"}
_MOST_LINES = 8
# Quartiles of numbers as large as this are whole.
_LARGE = 1000.0
# Okabe and Ito's colours, which the colour-blind tell apart; a dark yellow, for theirs is lost on white.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8A7A00", "#000000")


def measure_of(cube: xr.Dataset, name: str) -> xr.Dataset:
    """Return one measure of a cube, lazily.

    Raises
    ------
    InputError
        If the cube has none of this name.
    """
    there = cube["measure"].to_numpy().tolist()
    if name not in there:
        raise InputError(f"measure {name!r}: not in the cube; expected one of: {', '.join(there)}")
    return cube.sel(measure=name)


def _year(measure: xr.Dataset, year: int) -> xr.Dataset:
    there = measure["year"].to_numpy().tolist()
    if year not in there:
        raise InputError(f"year {year}: not in the cube; expected one of: {', '.join(map(str, there))}")
    names = [name for name in ("estimate", "moe", "se", "lower", "upper", "flag") if name in measure]
    return measure[names].sel(year=year).load()


def margins(one: xr.Dataset) -> NDArray[np.float64]:
    """Return the 90 per cent margins of a measure as the cube has them: its margin, 1.645 SE, or half its interval.

    Returns
    -------
    array of the shape of the estimates
        NaN where none is known.
    """
    found = np.full(one["estimate"].shape, np.nan)
    half = (one["upper"] - one["lower"]).to_numpy() / 2 if "upper" in one and "lower" in one else found
    errors = margin_of_error(one["se"].to_numpy()) if "se" in one else found
    published = one["moe"].to_numpy() if "moe" in one else found
    for known in (published, errors, half):
        found = np.where(np.isnan(found), known, found)
    return found


def intervals(one: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper bounds of a measure: its own, or estimate ∓ margin; NaN where none is known."""
    estimate, margin = one["estimate"].to_numpy(), margins(one)
    low, high = estimate - margin, estimate + margin
    if "upper" in one and "lower" in one:
        lower, upper = one["lower"].to_numpy(), one["upper"].to_numpy()
        low, high = np.where(np.isnan(lower), low, lower), np.where(np.isnan(upper), high, upper)
    return low, high


def change_table(cube: xr.Dataset, measure: str, first: int, last: int, *, period: int = 1) -> pd.DataFrame:
    """Return the change of a measure between two years; only those two are read.

    Parameters
    ----------
    cube : Dataset
        As `open_cube` returns it.
    measure : str
    first, last : int
        Years of the cube.
    period : int
        Years that an estimate spans (5 for the ACS 5-year estimates): what two samples share varies less.

    Returns
    -------
    DataFrame
        By tract or region, sorted: before, after, change (after − before), margin (90 per cent, of the change; NaN
        where one of the two is not known), beyond (1: more than the margin, 0: within, −1: not known), reason (why
        there is no change).

    Raises
    ------
    InputError
        If measure or year is not in the cube, or the two years are the same.
    """
    if first == last:
        raise InputError(f"years {first} and {last}: found the same year twice, expected two")
    chosen = measure_of(cube, measure)
    before, after = _year(chosen, first), _year(chosen, last)
    unit = cube.attrs["unit"]
    table = pd.DataFrame(index=pd.Index(cube[unit].to_numpy().astype(str), name="geoid" if unit == "tract" else unit))
    table["before"], table["after"] = before["estimate"].to_numpy(), after["estimate"].to_numpy()
    table["change"] = table["after"] - table["before"]
    table["margin"] = change_moe(margins(before), margins(after), shared_sample(first, last, period))
    table["beyond"] = beyond_margin(table["change"], table["margin"])
    reasons = np.array(cube["flag"].attrs["flag_reasons"], dtype=object)
    why = [
        np.where(np.isnan(one["estimate"].to_numpy()), f"{year}: " + reasons[one["flag"].to_numpy()], "")
        for year, one in ((first, before), (last, after))
    ]
    table["reason"] = [", ".join(filter(None, pair)) for pair in zip(*why, strict=True)]
    here = (before["flag"].to_numpy() != NO_ROW) | (after["flag"].to_numpy() != NO_ROW)
    return table[here].sort_index()


def change_summary(table: pd.DataFrame, measure: str, first: int, last: int) -> list[str]:
    """Return what an analyst wants to know of a change."""
    change = table["change"].dropna()
    lines = [f"{measure}, {first} to {last}: change known of {len(change):,} of {len(table):,}"]
    if len(change):
        low, middle, high = np.quantile(change, [0.25, 0.5, 0.75])
        lines.append(f"  first quartile, median, third quartile: {low:+.4g}, {middle:+.4g}, {high:+.4g}")
        lines.append(f"  rose in {int((change > 0).sum()):,}, fell in {int((change < 0).sum()):,}")
    known = table["beyond"] != KNOWN_NOT
    if known.any():
        lines.append(
            f"  more than its margin of error (90 per cent): {int((table['beyond'] == 1).sum()):,} of "
            f"{int(known.sum()):,} whose margin is known"
        )
    else:
        lines.append("  no margin of error is known, so none of it can be told from chance")
    return lines


def period_of(cube: xr.Dataset, first: int, last: int) -> int:
    """Return the years that an estimate spans: 5 where both years are of a dataset ``acs5`` or ``acs5_…``, else 1."""
    names = [str(cube["collection"].sel(year=year).item()) for year in (first, last) if year in cube["year"]]
    five = [any(piece.split("_")[0] == "acs5" for piece in name.split("/")) for name in names]
    return 5 if five and all(five) else 1


def change_notes(
    cube: xr.Dataset, measure: str, first: int, last: int, *, period: int, given: bool = False
) -> list[str]:
    """Return what the numbers of a change rest on: the years of a sample, and dollars of two different years."""
    lines = []
    if not given and period != 1:
        lines.append(f"  an estimate spans {period} years, as the dataset is named acs5 (--period says otherwise)")
    one = measure_of(cube, measure)
    if int(one["measure_dollars_of"]) == 0 and (str(one["measure_units"].item()) == "USD" or _is_money(measure)):
        lines.append(
            f"  money as it stands, in dollars of {first} and of {last}: part of the change is that of prices; "
            "jobs/harmonize.py --dollars brings it to dollars of one year"
        )
    return lines


def _is_money(measure: str) -> bool:
    try:
        return kinds_of([measure])[measure].unit == "usd"
    except InputError:
        return False


def change_map(
    polygons: gpd.GeoDataFrame, table: pd.DataFrame, measure: str, first: int, last: int, *, subtitle: str
) -> str:
    """Return a page with a map of a change: the change, what of it is beyond its margin, and both years.

    Parameters
    ----------
    polygons : GeoDataFrame
        By geoid, for display.
    table : DataFrame
        As `change_table` returns it.
    """
    shown = table.copy()
    name = measure.replace("_", " ")
    # All that falls into the middle colour is nearer to zero than to any other.
    far = _round_up(float(shown["change"].abs().quantile(0.98)))
    explanation = f"{last} minus {first}; red: rose, blue: fell"
    layers = [maps.Layer("change", f"Change {first} to {last}", name, CHANGE_PALETTE, -far, far, explanation)]
    known = shown["beyond"] != KNOWN_NOT
    if known.any():
        shown["sure"] = shown["change"].where(shown["beyond"] == 1)
        layers.append(
            maps.Layer(
                "sure",
                "Change beyond its margin",
                name,
                CHANGE_PALETTE,
                -far,
                far,
                "grey: within the margin of error of the difference (90 per cent), or not known",
            )
        )
    both = pd.concat([shown["before"], shown["after"]])
    low, high = maps.spread(both, step=_round_up(float(both.std()) / 4))
    for column, year in (("before", first), ("after", last)):
        layers.append(
            maps.Layer(column, str(year), name, maps.DEPRIVATION_PALETTE, low, high, "the same colours in both years")
        )
    shown["told"] = [_told(*row) for row in shown[["before", "after", "change", "margin"]].to_numpy().tolist()]
    details = {"told": f"{first} → {last}"}
    if known.any():
        shown["said"] = shown["beyond"].map(_SAID).where(shown["change"].notna(), "")
        details["said"] = "The change is"
    details["reason"] = "No change because"
    return maps.index_map(
        polygons,
        shown,
        layers,
        title=f"Change of {name}, {first} to {last}",
        subtitle=subtitle,
        missing_note="have no value in this layer; the pointer says why",
        details=details,
        tolerance=0,
    )


def map_change(
    store: Store,
    cube: xr.Dataset,
    table: pd.DataFrame,
    measure: str,
    years: tuple[int, int],
    file: str,
    client: distributed.Client | None,
    console: Console,
) -> None:
    """Write the map of a change on the polygons of the cube's vintage.

    Raises
    ------
    InputError
        If it is a cube of regions, or the store has no polygons of its tracts.
    """
    if "geometry" not in cube.coords:
        raise InputError("--map: a cube of regions has no polygons; expected a cube of tracts, or --series or --export")
    vintage = str(cube.attrs["vintage"])
    states = sorted({geoid[:2] for geoid in table.index})
    polygons = display_polygons(store, vintage, states, client, console)
    subtitle = f"{cube.attrs['product']}, tracts of vintage {vintage}, cube at version {cube.attrs['version']}"
    maps.write_map(file, change_map(polygons, table, measure, *years, subtitle=subtitle))


def polygons_of(store: Store, cube: xr.Dataset) -> gpd.GeoSeries:
    """Return the polygons of a cube's vintage, of the states that it has.

    Raises
    ------
    InputError
        If it is a cube of regions, or the store has no polygons of its tracts.
    """
    if "geometry" not in cube.coords:
        raise InputError("--export: a cube of regions has no polygons; expected .csv or .parquet")
    polygons = store.snapshot(str(cube.coords["geometry"].item()))
    there = sorted(set(cube["state"].to_numpy().tolist()) & set(polygons.parts))
    if not there:
        raise InputError(f"{store.url}/{polygons.collection}: has no state of the cube, expected at least one")
    return store.frame(polygons.collection, states=there, columns=["geometry"]).compute(scheduler="threads").geometry


def _told(before: float, after: float, change: float, margin: float) -> str:
    if np.isnan(change):
        known = [f"{value:,.4g}" if not np.isnan(value) else "no value" for value in (before, after)]
        return " → ".join(known)
    told = f"{before:,.4g} → {after:,.4g}, change {change:+,.3g}"
    return told if np.isnan(margin) else f"{told} ± {margin:,.3g}"


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


def quantiles_by_state(cube: xr.Dataset, measure: str) -> pd.DataFrame:
    """Return the quartiles of a measure by state and year, one year at a time in memory.

    Returns
    -------
    DataFrame
        Columns state (``all`` first: of all tracts), year, tracts (with a value), low, median, high.
    """
    chosen = measure_of(cube, measure)
    states = cube["state"].to_numpy().astype(str)
    rows = []
    for year in cube["year"].to_numpy().tolist():
        estimate = _year(chosen, year)["estimate"].to_numpy()
        groups = pd.Series(estimate).groupby(states)
        for state, values in [("all", pd.Series(estimate)), *([] if set(states) == {"all"} else groups)]:
            known = values.dropna()
            if len(known):
                rows.append((str(state), year, len(known), *np.quantile(known, [0.25, 0.5, 0.75]).tolist()))
    table = pd.DataFrame(rows, columns=["state", "year", "tracts", "low", "median", "high"])
    first = table["state"] != "all"
    if table["high"].abs().max() >= _LARGE:
        table[["low", "median", "high"]] = table[["low", "median", "high"]].round()
    return table.iloc[np.lexsort((table["year"], table["state"], first))].reset_index(drop=True)


def series_of(cube: xr.Dataset, measure: str, keys: Sequence[str]) -> pd.DataFrame:
    """Return a measure of some tracts or regions over all years, with its interval where one is known.

    Returns
    -------
    DataFrame
        Columns key, year, estimate, low, high, flag.

    Raises
    ------
    InputError
        If a key is not in the cube.
    """
    unit = cube.attrs["unit"]
    there = pd.Index(cube[unit].to_numpy().astype(str))
    absent = [key for key in keys if key not in there]
    if absent:
        near = sorted(key for key in there if key[:5] == absent[0][:5])[:3]
        raise InputError(
            f"{unit} {absent[0]!r}: not in the cube; expected one such as {', '.join(near or list(there[:3]))}"
        )
    names = [name for name in ("estimate", "moe", "se", "lower", "upper", "flag") if name in cube]
    one = measure_of(cube, measure)[names].isel({unit: there.get_indexer(list(keys))}).transpose("year", unit).load()
    low, high = intervals(one)
    reasons = np.array(["", *cube["flag"].attrs["flag_reasons"][1:]], dtype=object)
    years, columns = np.indices(one["estimate"].shape)
    return pd.DataFrame(
        {
            "key": np.array(list(keys), object)[columns.T.ravel()],
            "year": one["year"].to_numpy()[years.T.ravel()],
            "estimate": one["estimate"].to_numpy().T.ravel(),
            "low": low.T.ravel(),
            "high": high.T.ravel(),
            "flag": reasons[one["flag"].to_numpy().T.ravel()],
        }
    )


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
        If measure, tract or state is not in the cube, or there are more than can be told apart.
    """
    for what, chosen, most in (("tracts", keys, _MOST_LINES), ("states", states, _MOST_LINES - 1)):
        if len(chosen) > most:
            raise InputError(f"{what}: found {len(chosen)}, expected at most {most} lines that a reader can tell apart")
    quantiles = quantiles_by_state(cube, measure)
    there = quantiles["state"].unique().tolist()
    absent = [state for state in states if state not in there]
    if absent:
        raise InputError(f"state {absent[0]}: not in the cube; expected one of: {', '.join(there[1:])}")
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
            f"The line is the median {unit}; the band of all {unit}s holds the middle half of them. A click on the "
            "legend hides a line.",
            [_quantile_plot(quantiles, drawn, label, unit)],
            sortable(named, titles),
        )
    ]
    if keys:
        series = series_of(cube, measure, keys)
        heads = {"key": unit.title(), "year": "Year", "estimate": name, "low": "Lower", "high": "Upper", "flag": "Note"}
        sections.append(
            Section(
                f"Chosen {unit}s",
                "Bars are 90 per cent intervals, where they are known; a gap is a year without a value.",
                [_series_plot(series, label)],
                sortable(series.assign(year=series["year"].astype(str)).set_index("key"), heads),
            )
        )
    years = cube["year"].to_numpy().tolist()
    subtitle = f"{cube.attrs['product']}, {years[0]} to {years[-1]}, cube at version {cube.attrs['version']}"
    return page(f"{name[:1].upper()}{name[1:]} over the years", subtitle, sections)


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
        color = SOFT if state == "all" else _COLORS[number % len(_COLORS)]
        drawing = []
        if state == "all":
            drawing.append(plot.varea("year", "low", "high", source=source, fill_color=SOFT, fill_alpha=0.14))
        line = plot.line("year", "median", source=source, color=color, line_width=3.2 if state == "all" else 1.8)
        dots = plot.scatter("year", "median", source=source, color=color, size=7)
        drawing += [line, dots]
        plot.add_tools(
            HoverTool(
                renderers=[dots],
                tooltips=[
                    ("", "@name @year"),
                    ("Median", "@median{0,0.[000]}"),
                    ("Middle half", "@low{0,0.[000]} to @high{0,0.[000]}"),
                    (f"{unit.title()}s", "@tracts{0,0}"),
                ],
            )
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
        color = _COLORS[number % len(_COLORS)]
        source = ColumnDataSource(rows.reset_index(drop=True).to_dict("list"))
        known = ColumnDataSource(rows.dropna(subset=["low", "high"]).reset_index(drop=True).to_dict("list"))
        line = plot.line("x", "estimate", source=source, color=color, line_width=2)
        dots = plot.scatter("x", "estimate", source=source, color=color, size=8)
        whisker = Whisker(source=known, base="x", lower="low", upper="high", line_color=color, line_width=1.4)
        for head in (whisker.upper_head, whisker.lower_head):
            head.line_color, head.size = color, 6
        plot.add_layout(whisker)
        plot.add_tools(
            HoverTool(
                renderers=[dots],
                tooltips=[
                    ("", "@key @year"),
                    ("Value", "@estimate{0,0.[000]}"),
                    ("Interval", "@low{0,0.[000]} to @high{0,0.[000]}"),
                    ("Note", "@flag"),
                ],
            )
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
