"""Plots and tables of the precision of single tracts' counts, which exposures are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, FixedTicker, NumeralTickFormatter, Slope

from geomob_dask.frames.tract_precision import ALL_MARGINS, DETAILED, USED, poor_share
from geomob_dask.metrics.quality import FAIR_CV, GOOD_CV
from geomob_dask.outputs.exposure_plots import exposure_figure
from geomob_dask.outputs.page import Figure, Section, sortable
from geomob_dask.outputs.palette import ACCENT, INK, OPPORTUNITY, SOFT
from geomob_dask.outputs.plots import hover, plain_figure, wrapped_rows
from geomob_dask.sources.acs_tables import column_label

# Tracts in a cell: from this number on, in words, and the color.
_CLASSES: tuple[tuple[int, str, str], ...] = (
    (1, "1 tract", OPPORTUNITY[1]),
    (2, "2 to 4 tracts", OPPORTUNITY[2]),
    (5, "5 to 19 tracts", OPPORTUNITY[4]),
    (20, "20 to 99 tracts", OPPORTUNITY[5]),
    (100, "100 tracts or more", OPPORTUNITY[7]),
)
_TICKS = (0, 10, 50, 200, 500, 1000, 2000, 4000, 8000, 15000, 30000, 60000)
_SMALL_TICKS = (0, 10, 50, 100, 200, 400, 800, 1500, 3000)
_MARGINS = {USED: "one zero estimate's at most", ALL_MARGINS: "all", DETAILED: "its own"}


def tract_sections(
    tallies: Sequence[Mapping[str, Any]], cells: pd.DataFrame, groups: Mapping[str, str], *, year: int, source: str
) -> list[Section]:
    """Return what the precision of tracts' counts is.

    Parameters
    ----------
    tallies, cells
        See `frames.tract_precision.TractPrecision`.
    groups : mapping of name to label
    year : int
        For the labels of detailed groups.
    source : str
        What the counts are.
    """
    table = _table(tallies, groups, year)
    return [
        Section(
            "Tracts with a coefficient of variation of 0.4 or more",
            "Share of the tracts with people whose count of the group has a standard error of 0.4 times the count or "
            "more (very poor); in the lighter bar 0.2 or more. A count of nobody with a margin has an infinite "
            "coefficient. A group that is a sum is shown with the margins of all its parts (in the method's words "
            "original), and as it is used, with the largest margin among its zero estimates alone (reduced). "
            "Reproduces the tables of steps 1 and 2 of the method, which have, for all tracts of 2021: Hispanic 0.480, "
            "Black 0.631, white 0.066; others 0.524 with all margins, 0.513 with one zero estimate's at most. "
            f"Data: {source}, all tracts with people, whether in a region or not.",
            plots=[_bars(table)],
            table=sortable(table, places=3),
            keys={f"CV of {FAIR_CV:g} or more": ACCENT, f"CV of {GOOD_CV:g} or more": OPPORTUNITY[2]},
        ),
        Section(
            "Standard error against count, by tract",
            "People of the group in a tract, and the standard error of that number (people). Axes are square roots, on "
            "which a coefficient of variation is a line from the origin: above and to the left of the black line it "
            f"is above {FAIR_CV:g}, of the dashed one above {GOOD_CV:g}. Tracts are counted in cells. Reproduces the "
            "scatter plots of step 2 of the method, with standard errors as they are used. "
            f"Data: {source}, all tracts with people.",
            plots=[_scatter(cells.loc[cells.index == name], label) for name, label in groups.items()],
            keys=_keys(),
        ),
    ]


def _table(tallies: Sequence[Mapping[str, Any]], groups: Mapping[str, str], year: int) -> pd.DataFrame:
    summed = {row["group"] for row in tallies if row["margin"] == ALL_MARGINS}
    rows = {}
    # Each group as it is used, what it is made of below it.
    order = sorted(tallies, key=lambda row: list(groups).index(row["group"]))
    for row in order:
        label = groups[row["group"]]
        if row["margin"] == ALL_MARGINS:
            label = f"{label} (all margins)"
        elif row["margin"] == DETAILED:
            label = f"– {column_label(row['column'], year)}"
        with_cv = row["with_cv"]
        rows[label] = {
            "Margins": _MARGINS[row["margin"]] if row["group"] in summed else _MARGINS[DETAILED],
            "Tracts": with_cv,
            f"CV ≥ {GOOD_CV:g}": row["over_good"] / with_cv if with_cv else np.nan,
            f"CV ≥ {FAIR_CV:g}": poor_share(row),
            "Nobody of the group": row["nobody"] / with_cv if with_cv else np.nan,
            "Without a CV": row["without_cv"] / (with_cv + row["without_cv"]) if with_cv else np.nan,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("Group")


def _bars(table: pd.DataFrame) -> Figure:
    names = table.index.tolist()
    rows = [-row for row in range(len(names))]
    labels = wrapped_rows([_short(name) for name in names])
    source = ColumnDataSource(
        {
            "row": rows,
            "group": names,
            "good": table[f"CV ≥ {GOOD_CV:g}"].to_numpy(),
            "fair": table[f"CV ≥ {FAIR_CV:g}"].to_numpy(),
            "tracts": table["Tracts"].to_numpy(),
        }
    )
    plot = plain_figure(
        y_range=(0.6 - len(names), 0.6),
        x_range=(0, 1.02),
        x_axis_label="Share of tracts",
        height=70 + 24 * len(names) + 11 * sum(text.count("\n") for text in labels.values()),
    )
    wide = plot.hbar(y="row", right="good", height=0.7, color=OPPORTUNITY[2], source=source)
    narrow = plot.hbar(y="row", right="fair", height=0.7, color=ACCENT, source=source)
    hover(
        plot,
        [wide, narrow],
        ("", "@group"),
        (f"CV of {FAIR_CV:g} or more", "@fair{0.0%}"),
        (f"CV of {GOOD_CV:g} or more", "@good{0.0%}"),
        ("tracts with a CV", "@tracts{0,0}"),
    )
    plot.yaxis.ticker = FixedTicker(ticks=rows)
    plot.yaxis.major_label_overrides = labels
    plot.xaxis.ticker = FixedTicker(ticks=[0, 0.25, 0.5, 0.75, 1])
    plot.xgrid.ticker = plot.xaxis[0].ticker
    plot.xaxis.formatter = NumeralTickFormatter(format="0%")
    plot.ygrid.grid_line_color = None
    poor = table[f"CV ≥ {FAIR_CV:g}"].dropna()
    finding = "No tract has a CV."
    if len(poor):
        finding = (
            f"Most tracts with a CV of {FAIR_CV:g} or more: {poor.idxmax()}, {poor.max():.1%}; fewest: "
            f"{poor.idxmin()}, {poor.min():.1%}. The table below has the numbers."
        )
    return Figure(plot, finding)


def _short(label: str) -> str:
    for words in ("Not Hispanic or Latino, ", "Not Hispanic, "):
        label = label.replace(words, "")
    return label


def _scatter(cells: pd.DataFrame, label: str) -> Figure:
    ends = {name: np.sqrt(cells[name].to_numpy()) for name in ("count_from", "count_to", "se_from", "se_to")}
    across, high = (max(float(ends[name].max(initial=1.0)), 1.0) for name in ("count_to", "se_to"))
    plot = exposure_figure(
        "People of the group (square root)",
        "Standard error (square root)",
        x_range=(0, across * 1.02),
        y_range=(0, high * 1.02),
    )
    # Labels are wider than they are high.
    for axis, ticks, end, room in ((plot.xaxis, _TICKS, across, 0.21), (plot.yaxis, _SMALL_TICKS, high, 0.13)):
        places = _apart(ticks, end, room)
        axis.ticker = FixedTicker(ticks=list(places))
        axis.major_label_overrides = {place: f"{tick:,}" for place, tick in places.items()}
    for grid, axis in ((plot.xgrid, plot.xaxis), (plot.ygrid, plot.yaxis)):
        grid.ticker = axis[0].ticker
    source = ColumnDataSource(
        {
            "left": ends["count_from"],
            "right": ends["count_to"],
            "bottom": ends["se_from"],
            "top": ends["se_to"],
            "color": [_color(tracts) for tracts in cells["tracts"]],
            **{name: cells[name].to_numpy() for name in cells},
        }
    )
    sides = {name: name for name in ("left", "right", "bottom", "top")}
    drawn = plot.quad(**sides, source=source, fill_color="color", line_color=None)
    for cv, color, dash in ((FAIR_CV, INK, "solid"), (GOOD_CV, SOFT, "dashed")):
        line = Slope(gradient=float(np.sqrt(cv)), y_intercept=0, line_color=color, line_dash=dash, line_width=1.3)
        plot.add_layout(line)
    hover(
        plot,
        drawn,
        ("people", "@count_from{0,0} to @count_to{0,0}"),
        ("standard error", "@se_from{0,0} to @se_to{0,0}"),
        ("tracts", "@tracts{0,0}"),
    )
    middle = (ends["se_from"] + ends["se_to"]) ** 2 / 4 > FAIR_CV * (ends["count_from"] + ends["count_to"]) ** 2 / 4
    tracts = cells["tracts"].to_numpy()
    finding = (
        f"of {tracts.sum():,} tracts, those in cells above the line of a CV of {FAIR_CV:g} are "
        f"{tracts[middle].sum() / max(tracts.sum(), 1):.0%}."
    )
    numbers = {
        "count_from": "People from",
        "count_to": "To",
        "se_from": "Standard error from",
        "se_to": "To",
        "tracts": "Tracts",
    }
    return Figure(plot, finding, title=label, numbers=numbers, sources=[source])


def _apart(ticks: Sequence[int], end: float, room: float) -> dict[float, int]:
    """Return the ticks that have room (a share of the axis) on square roots up to an end, by their place."""
    places: dict[float, int] = {}
    for tick in ticks:
        place = float(np.sqrt(tick))
        if place <= end and all(place - other >= room * end for other in places):
            places[place] = tick
    return places


def _color(tracts: int) -> str:
    return next(color for least, _, color in reversed(_CLASSES) if tracts >= least)


def _keys() -> dict[str, str]:
    return {
        **{words: color for _, words, color in _CLASSES},
        f"CV {FAIR_CV:g} (solid)": INK,
        f"CV {GOOD_CV:g} (dashed)": SOFT,
    }
