"""Plots of mobility models, each of one finished table."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from bokeh.models import BasicTicker, ColorBar, ColumnDataSource, FactorRange, LinearColorMapper, Span, Whisker
from bokeh.plotting import figure
from numpy.typing import NDArray

from geomob_dask.outputs.palette import CATEGORIES, CLASSES, CORRELATION, GRID, INK, SHARES, SOFT, categories
from geomob_dask.outputs.plots import hover, legend, plain_figure

# Above this many rows names of features no longer fit beside the squares.
_NAMED_CELLS = 45


def score_plot(
    scores: pd.DataFrame, published: pd.DataFrame, titles: Mapping[str, str], score: str, label: str
) -> figure:
    """Return a score of all models on held-out units, one mark per kind of folds, with intervals.

    Parameters
    ----------
    scores : DataFrame
        ``model``, ``folds``, ``sample``, ``score``, ``value``, ``lower``, ``upper``.
    published : DataFrame
        ``model``, ``score``, ``sample``, ``value``: crosses.
    titles : mapping
        Of models.
    """
    test = scores[(scores["score"] == score) & (scores["sample"] == "test") & scores["value"].notna()]
    models = [model for model in dict.fromkeys(scores["model"]) if model in set(test["model"])]
    kinds = list(dict.fromkeys(test["folds"]))
    plot = plain_figure(
        width=560,
        height=90 + (18 + 13 * len(kinds)) * max(len(models), 1),
        title=label,
        y_range=FactorRange(*[titles[model] for model in reversed(models)]),
    )
    step = 0.8 / (len(kinds) + 1)
    for place, (kind, color) in enumerate(zip(kinds, categories(len(kinds)), strict=True), 1):
        rows = test[test["folds"] == kind]
        columns = {name: rows[name].to_numpy() for name in ("value", "lower", "upper", "folds")}
        source = ColumnDataSource({"y": [(titles[model], 0.4 - step * place) for model in rows["model"]], **columns})
        plot.segment("lower", "y", "upper", "y", source=source, color=color, line_width=2.5, alpha=0.65)
        dots = plot.scatter("value", "y", source=source, color=color, size=8, legend_label=kind)
        hover(plot, dots, ("folds", "@folds"), (label, "@value{0.000} (@lower{0.000} to @upper{0.000})"))
    there = published[(published["score"] == score) & (published["sample"] != "train")]
    there = there[there["model"].isin(models)]
    if len(there):
        source = ColumnDataSource(
            {
                "value": there["value"].to_numpy(),
                "y": [titles[model] for model in there["model"]],
                "what": (there["sample"] + ", " + there["what"]).tolist(),
            }
        )
        crosses = plot.scatter(
            "value", "y", source=source, marker="x", size=11, line_width=2.5, color=INK, legend_label="published"
        )
        hover(plot, crosses, ("published", "@value{0.000}, @what"))
    plot.ygrid.grid_line_color = None
    legend(plot, "above", padding=2, margin=2)
    return plot


def interval_bars(
    table: pd.DataFrame, name: str, label: str, *, color: str = CATEGORIES[0], width: int = 560, title: str = ""
) -> figure:
    """Return bars with whiskers, the longest on top.

    Parameters
    ----------
    table : DataFrame, index: titles of bars
        ``value``, ``lower``, ``upper`` (NaN: no whisker).
    name, label : str
        Titles of the bars' kind and of their length.
    """
    shown = (
        table[["value", "lower", "upper"]].sort_values("value", key=abs).rename(str).rename_axis("name").reset_index()
    )
    source = ColumnDataSource(shown.to_dict("list"))
    # Bars alone would set the range, and cut whiskers off.
    ends = np.concatenate([shown[key].dropna().to_numpy() for key in ("value", "lower", "upper")] + [np.zeros(1)])
    margin = 0.03 * max(float(np.ptp(ends)), 1e-9)
    plot = plain_figure(
        width=width,
        height=70 + 20 * len(shown),
        y_range=source.data["name"],
        x_range=(float(ends.min()) - margin, float(ends.max()) + margin),
        x_axis_label=label,
        title=title,
    )
    bars = plot.hbar(y="name", right="value", height=0.68, source=source, color=color, alpha=0.75)
    # A missing whisker would be drawn at the edge.
    known = shown.dropna(subset=["lower", "upper"])
    marks = ColumnDataSource(known.to_dict("list"))
    whisker = Whisker(
        base="name", lower="lower", upper="upper", dimension="width", source=marks, line_color=INK, level="annotation"
    )
    whisker.upper_head.size = whisker.lower_head.size = 6
    whisker.upper_head.line_color = whisker.lower_head.line_color = INK
    plot.add_layout(whisker)
    plot.add_layout(Span(location=0, dimension="height", line_color=SOFT))
    hover(plot, bars, (name, "@name"), (label, "@value{0.000} (@lower{0.000} to @upper{0.000})"))
    plot.ygrid.grid_line_color = None
    return plot


def heat_map(matrix: pd.DataFrame, titles: Mapping[str, str]) -> figure:
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
    plot = plain_figure(width=side + 330, height=side + 230, x_range=names, y_range=list(reversed(names)))
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
    return plot


def distribution_plot(
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    cuts: Sequence[float],
    classes: Sequence[str],
    label: str,
    density: pd.DataFrame,
) -> figure:
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
    plot = plain_figure(width=560, height=300, x_axis_label=label, y_axis_label="units")
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
    return plot


def cumulative_plot(points: pd.DataFrame, cuts: Sequence[float], label: str) -> figure:
    """Return the cumulative distribution of the outcome; `points` has ``value`` and ``share``."""
    plot = plain_figure(width=520, height=300, x_axis_label=label, y_axis_label="share of units at or below")
    source = ColumnDataSource({name: points[name].to_numpy() for name in ("value", "share")})
    line = plot.step("value", "share", source=source, mode="after", color=INK, line_width=2)
    hover(plot, line, (label, "@value{0.00}"), ("share", "@share{0.000}"))
    _cut_lines(plot, cuts)
    return plot


def _cut_lines(plot: figure, cuts: Sequence[float]) -> None:
    for cut in cuts:
        plot.add_layout(Span(location=cut, dimension="height", line_color=SOFT, line_dash="dashed"))


def calibration_plot(table: pd.DataFrame, title: str) -> figure:
    """Return observed shares against predicted probabilities, one line per class, beside the diagonal.

    Parameters
    ----------
    table : DataFrame
        ``class``, ``predicted`` (mean probability of a bin), ``observed`` (share), ``lower``, ``upper``, ``units``.
    """
    plot = plain_figure(
        width=520,
        height=420,
        title=title,
        x_range=(-0.02, 1.02),
        y_range=(-0.02, 1.02),
        x_axis_label="predicted probability",
        y_axis_label="observed share",
    )
    plot.line([0, 1], [0, 1], color=SOFT, line_dash="dashed")
    names = list(dict.fromkeys(table["class"]))
    shown = names[1:] if len(names) == 2 else names
    for name in shown:
        rows = table[table["class"] == name].sort_values("predicted")
        color = CLASSES[len(names)][names.index(name)]
        source = ColumnDataSource(
            {key: rows[key].to_numpy() for key in rows if key != "class"} | {"name": [name] * len(rows)}
        )
        plot.segment("predicted", "lower", "predicted", "upper", source=source, color=color, alpha=0.6, line_width=2)
        plot.line("predicted", "observed", source=source, color=color, line_width=2, legend_label=str(name))
        dots = plot.scatter("predicted", "observed", source=source, color=color, size=7)
        hover(
            plot,
            dots,
            ("class", "@name"),
            ("predicted", "@predicted{0.00}"),
            ("observed", "@observed{0.00} (@lower{0.00} to @upper{0.00})"),
            ("predictions", "@units{0,0}"),
        )
    if plot.legend:
        plot.legend.location, plot.legend.border_line_color = "top_left", None
        plot.legend.background_fill_alpha = 0.6
    return plot


def confusion_plot(table: pd.DataFrame, classes: Sequence[str], title: str) -> figure:
    """Return actual against predicted classes: the number of units, and the share of the row as color.

    Parameters
    ----------
    table : DataFrame
        ``actual``, ``predicted`` (text), ``units`` (may be a mean over repeats), ``share`` of the actual class.
    """
    size = 110 if len(classes) == 2 else 80
    plot = plain_figure(
        width=150 + size * len(classes),
        height=110 + size * len(classes) * 3 // 4,
        title=title,
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
    return plot


def line_plot(table: pd.DataFrame, x: str, y: str, x_label: str, y_label: str) -> figure:
    """Return one column over another, with dots."""
    plot = plain_figure(width=520, height=300, x_axis_label=x_label, y_axis_label=y_label)
    source = ColumnDataSource({x: table[x].to_numpy(), y: table[y].to_numpy()})
    plot.line(x, y, source=source, color=CATEGORIES[0], line_width=2)
    dots = plot.scatter(x, y, source=source, color=CATEGORIES[0], size=8)
    hover(plot, dots, (x_label, f"@{x}"), (y_label, f"@{y}{{0,0.000}}"))
    plot.xaxis.ticker = table[x].tolist()
    return plot
