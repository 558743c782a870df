"""Plots and rankings of mobility models, each of one finished table."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from bokeh.models import BasicTicker, ColorBar, ColumnDataSource, LinearColorMapper, Span
from bokeh.plotting import figure
from numpy.typing import NDArray

from geomob_dask.outputs.page import Figure
from geomob_dask.outputs.palette import CATEGORIES, CLASSES, CORRELATION, GRID, INK, SHARES, SOFT, categories
from geomob_dask.outputs.plots import hover, plain_figure
from geomob_dask.outputs.ranking import Estimates, Measure, Ranking

# Above this many rows names of features no longer fit beside the squares.
_NAMED_CELLS = 45


def score_ranking(
    scores: pd.DataFrame, published: pd.DataFrame, titles: Mapping[str, str], labels: Mapping[str, str]
) -> Ranking:
    """Return all models by one score at a time on held-out units, a mark for each kind of folds, with intervals.

    Parameters
    ----------
    scores : DataFrame
        ``model``, ``folds``, ``sample``, ``score``, ``value``, ``lower``, ``upper``.
    published : DataFrame
        ``model``, ``score``, ``sample``, ``value``: of the published study.
    titles : mapping
        Of models.
    labels : mapping
        Of scores; those that are lower where they are better say so.
    """
    test = scores[(scores["sample"] == "test") & scores["value"].notna()]
    models = [model for model in titles if model in set(test["model"])]
    kinds = list(dict.fromkeys(test["folds"]))
    there = published[published["sample"] != "train"]
    measures = []
    for score, label in labels.items():
        rows = test[test["score"] == score]
        theirs = there[there["score"] == score].groupby("model")["value"].first().reindex(models)
        estimates = (
            [Estimates(theirs.to_numpy(np.float64), label="published", color=INK)] if theirs.notna().any() else []
        )
        for kind, color in zip(kinds, categories(len(kinds)), strict=True):
            own = rows[rows["folds"] == kind].set_index("model")[["value", "lower", "upper"]].reindex(models)
            value, lower, upper = own.to_numpy(np.float64).T
            estimates.append(Estimates(value, lower, upper, label=str(kind), color=color))
        if rows["value"].notna().any():
            measures.append(Measure(label, estimates, compares=False, falling="lower is better" not in label))
    return Ranking(("model", "models"), [titles[model] for model in models], measures, label="Score", level="95%")


def intervals_of(table: pd.DataFrame, names: Sequence[str]) -> Estimates:
    """Return the ``value``, ``lower`` and ``upper`` of a table by name (NaN: no interval), in the order of names."""
    rows = table[["value", "lower", "upper"]].rename(str).reindex(list(names)).to_numpy(np.float64)
    return Estimates(*rows.T)


def heat_map(matrix: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Return correlations of all pairs as colored squares: red below zero, blue above, gray if unknown.

    Parameters
    ----------
    matrix : DataFrame
        Square; index and columns are the same names.
    """
    names = [str(name) for name in matrix.index]
    values = matrix.to_numpy(dtype=np.float64)
    rows, columns = (index.ravel() for index in np.indices(values.shape))
    known = ~np.isnan(values.ravel())
    source = ColumnDataSource(
        {
            "x": np.array(names, dtype=object)[columns][known].tolist(),
            "y": np.array(names, dtype=object)[rows][known].tolist(),
            "first": [titles.get(names[column], names[column]) for column in columns[known]],
            "second": [titles.get(names[row], names[row]) for row in rows[known]],
            "value": values.ravel()[known],
        }
    )
    side = int(np.clip(15 * len(names), 240, 660))
    plot = plain_figure(height=side + 230, x_range=names, y_range=list(reversed(names)))
    colors = LinearColorMapper(palette=CORRELATION, low=-1, high=1)
    plot.background_fill_color = GRID
    squares = plot.rect(
        "x", "y", 1, 1, source=source, fill_color={"field": "value", "transform": colors}, line_color="white",
        line_width=0.4,
    )  # fmt: skip
    hover(plot, squares, ("", "@first"), ("with", "@second"), ("r", "@value{0.00}"))
    plot.xaxis.major_label_orientation = 1.2
    plot.axis.major_label_text_font_size = "10px" if len(names) <= _NAMED_CELLS else "0px"
    plot.grid.visible = False
    plot.add_layout(ColorBar(color_mapper=colors, ticker=BasicTicker(desired_num_ticks=5), width=12), "right")
    numbers = {"first": "Attribute", "second": "With", "value": "r"}
    finding = f"Correlations of {len(names)} columns with each other. {_strongest(matrix, titles)}"
    return Figure(plot, finding, numbers=numbers, sources=[source], narrowest=side + 240, widest=side + 330)


def _strongest(matrix: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """Return the pair of different columns that correlate most, in a sentence."""
    below = np.tril(np.abs(matrix.to_numpy(dtype=np.float64)), -1)
    if not below.size or not np.nanmax(below) > 0:
        return "No pair correlates."
    row, column = np.unravel_index(np.nanargmax(below), below.shape)
    first, second = (str(matrix.index[place]) for place in (row, column))
    pair = f"{titles.get(first, first)} and {titles.get(second, second)}"
    return f"The strongest is that of {pair}: r {matrix.iloc[row, column]:.2f}."


def distribution_plot(
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    cuts: Sequence[float],
    classes: Sequence[str],
    label: str,
    density: pd.DataFrame,
) -> Figure:
    """Return a histogram of the outcome, colored by class, and its density on the scale of the bars.

    Parameters
    ----------
    edges : shape (n_bins + 1,)
    counts : shape (n_bins,)
    cuts : sequence of float
        Values that separate the classes: dashed lines.
    density : DataFrame
        ``value`` and ``density``, by unit of the outcome.
    """
    plot = plain_figure(height=300, x_axis_label=label, y_axis_label="units")
    middle = (edges[:-1] + edges[1:]) / 2
    number = np.searchsorted(np.asarray(cuts), middle, side="right")
    colors = [CLASSES[len(classes)][place] for place in number]
    source = ColumnDataSource({"left": edges[:-1], "right": edges[1:], "top": counts, "color": colors})
    bars = plot.quad(left="left", right="right", top="top", bottom=0, source=source, color="color", line_color="white")
    hover(plot, bars, (label, "@left{0.0} to @right{0.0}"), ("units", "@top"))
    # As many units as a bar of a histogram would hold there: bars have one width.
    expected = density["density"].to_numpy() * counts.sum() * float(np.diff(edges).mean())
    curve = ColumnDataSource({"value": density["value"].to_numpy(), "expected": expected})
    line = plot.line("value", "expected", source=curve, color=INK, line_width=2)
    hover(plot, line, (label, "@value{0.0}"), ("density, units a bar", "@expected{0.0}"))
    _cut_lines(plot, cuts)
    plot.y_range.start = 0
    most, there = int(np.argmax(counts)), np.flatnonzero(counts)
    finding = (
        f"most units, {counts[most]:,} of {counts.sum():,}, have between {edges[most]:.1f} and {edges[most + 1]:.1f}; "
        f"all between {edges[there[0]]:.1f} and {edges[there[-1] + 1]:.1f}."
    )
    numbers = {"left": f"{label}, from", "right": "To", "top": "Units"}
    keys = dict(zip(classes, CLASSES[len(classes)], strict=True))
    return Figure(plot, finding, title=label, keys=keys, numbers=numbers, sources=[source], widest=640)


def cumulative_plot(points: pd.DataFrame, cuts: Sequence[float], label: str) -> Figure:
    """Return the cumulative distribution of the outcome; `points` has ``value`` and ``share``."""
    plot = plain_figure(height=300, x_axis_label=label, y_axis_label="share of units at or below")
    source = ColumnDataSource({name: points[name].to_numpy() for name in ("value", "share")})
    line = plot.step("value", "share", source=source, mode="after", color=INK, line_width=2)
    hover(plot, line, (label, "@value{0.00}"), ("share", "@share{0.000}"))
    _cut_lines(plot, cuts)
    values = points["value"].to_numpy(np.float64)
    middle = values[int(np.searchsorted(points["share"].to_numpy(np.float64), 0.5))]
    numbers = {"value": label, "share": "Share at or below"}
    finding = f"half of the units have {middle:.1f} or less."
    return Figure(plot, finding, title="Cumulative distribution", numbers=numbers, sources=[source], widest=640)


def _cut_lines(plot: figure, cuts: Sequence[float]) -> None:
    for cut in cuts:
        plot.add_layout(Span(location=cut, dimension="height", line_color=SOFT, line_dash="dashed"))


def calibration_plot(table: pd.DataFrame, title: str) -> Figure:
    """Return observed shares against predicted probabilities, one line per class, beside the diagonal.

    Parameters
    ----------
    table : DataFrame
        ``class``, ``predicted`` (mean probability of a bin), ``observed`` (share), ``lower``, ``upper``, ``units``.
    """
    plot = plain_figure(
        height=420,
        x_range=(-0.02, 1.02),
        y_range=(-0.02, 1.02),
        x_axis_label="predicted probability",
        y_axis_label="observed share",
    )
    plot.line([0, 1], [0, 1], color=SOFT, line_dash="dashed")
    names = list(dict.fromkeys(table["class"]))
    shown = names[1:] if len(names) == 2 else names
    keys, sources, inside = {}, [], 0
    for name in shown:
        rows = table[table["class"] == name].sort_values("predicted")
        color = CLASSES[len(names)][names.index(name)]
        source = ColumnDataSource(
            {key: rows[key].to_numpy() for key in rows if key != "class"} | {"name": [name] * len(rows)}
        )
        plot.segment("predicted", "lower", "predicted", "upper", source=source, color=color, alpha=0.6, line_width=2)
        plot.line("predicted", "observed", source=source, color=color, line_width=2)
        dots = plot.scatter("predicted", "observed", source=source, color=color, size=7)
        hover(
            plot,
            dots,
            ("class", "@name"),
            ("predicted", "@predicted{0.00}"),
            ("observed", "@observed{0.00} (@lower{0.00} to @upper{0.00})"),
            ("predictions", "@units{0,0}"),
        )
        keys[str(name)] = color
        sources.append(source)
        inside += int(((rows["lower"] <= rows["predicted"]) & (rows["predicted"] <= rows["upper"])).sum())
    total = sum(len(source.data["predicted"]) for source in sources)
    finding = f"the prediction lies within the 95% interval of the observed share in {inside} of {total} bins."
    numbers = {
        "name": "Class",
        "predicted": "Predicted",
        "observed": "Observed",
        "lower": "Lower",
        "upper": "Upper",
        "units": "Predictions",
    }
    return Figure(plot, finding, title=title, keys=keys, numbers=numbers, sources=sources, widest=620)


def confusion_plot(table: pd.DataFrame, classes: Sequence[str], title: str) -> Figure:
    """Return actual against predicted classes: the number of units, and the share of the row as color.

    Parameters
    ----------
    table : DataFrame
        ``actual``, ``predicted`` (text), ``units`` (may be a mean over repeats), ``share`` of the actual class.
    """
    size = 110 if len(classes) == 2 else 80
    plot = plain_figure(
        height=110 + size * len(classes) * 3 // 4,
        x_range=list(classes),
        y_range=list(reversed(classes)),
        x_axis_label="predicted",
        y_axis_label="actual",
    )
    colors = LinearColorMapper(palette=SHARES, low=0, high=1)
    source = ColumnDataSource(
        {
            **{name: table[name].tolist() for name in ("actual", "predicted", "units", "share")},
            "text": [f"{units:,.0f}\n{share:.0%}" for units, share in zip(table["units"], table["share"], strict=True)],
        }
    )
    squares = plot.rect(
        "predicted", "actual", 0.97, 0.97, source=source, fill_color={"field": "share", "transform": colors},
        line_color=None,
    )  # fmt: skip
    plot.text(
        "predicted", "actual", "text", source=source, text_align="center", text_baseline="middle", text_color=INK,
        text_font_size="13px",
    )  # fmt: skip
    hover(
        plot,
        squares,
        ("actual", "@actual"),
        ("predicted", "@predicted"),
        ("units", "@units{0,0.0}"),
        ("share", "@share{0%}"),
    )
    plot.grid.visible = False
    right = table.loc[table["actual"] == table["predicted"], "units"].sum() / max(table["units"].sum(), 1)
    finding = f"{right:.0%} of the units are predicted in their actual class."
    numbers = {"actual": "Actual", "predicted": "Predicted", "units": "Units", "share": "Share of the actual class"}
    widest = 170 + size * len(classes)
    return Figure(plot, finding, title=title, numbers=numbers, sources=[source], widest=widest)


def line_plot(table: pd.DataFrame, x: str, y: str, x_label: str, y_label: str) -> Figure:
    """Return one column over another, with dots."""
    plot = plain_figure(height=300, x_axis_label=x_label, y_axis_label=y_label)
    source = ColumnDataSource({x: table[x].to_numpy(), y: table[y].to_numpy()})
    plot.line(x, y, source=source, color=CATEGORIES[0], line_width=2)
    dots = plot.scatter(x, y, source=source, color=CATEGORIES[0], size=8)
    hover(plot, dots, (x_label, f"@{x}"), (y_label, f"@{y}{{0,0.000}}"))
    plot.xaxis.ticker = table[x].tolist()
    finding = "no value is known."
    if len(table):
        low, high = table.loc[table[y].idxmin()], table.loc[table[y].idxmax()]
        finding = f"highest {high[y]:,.3f} at {x_label} {high[x]:g}, lowest {low[y]:,.3f} at {low[x]:g}."
    numbers = {x: x_label, y: y_label}
    return Figure(plot, finding, title=f"{y_label} by {x_label}", numbers=numbers, sources=[source], widest=620)
