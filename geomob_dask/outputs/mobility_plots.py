"""Plots of mobility models, each from one finished table; they decide nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.layouts import column
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    CustomJS,
    FactorRange,
    HoverTool,
    LinearColorMapper,
    Select,
    Span,
    Whisker,
)
from bokeh.palettes import RdBu11
from bokeh.plotting import figure
from numpy.typing import NDArray

from geomob_dask.outputs.segregation_page import GRID, INK, SOFT, plain_figure

FOLDS_COLORS = ("#1d5b8f", "#d9822b", "#3c8f5a", "#8a4fa0")
PUBLISHED_COLOR = "#c0392b"
_CLASS_COLORS = {
    2: ("#b4532a", "#2a6ea3"),
    4: ("#a63f1f", "#e3a36f", "#8db9d8", "#1f5f99"),
}
# Above this many rows names of features no longer fit beside the squares.
_NAMED_CELLS = 45


def class_colors(number: int) -> tuple[str, ...]:
    """Return a colour for each class, from the lowest to the highest."""
    return _CLASS_COLORS[number]


def score_plot(
    scores: pd.DataFrame, published: pd.DataFrame, titles: Mapping[str, str], score: str, label: str, *, legend: bool
) -> figure:
    """Return a score of all models on held-out units, a mark a kind of folds, with intervals.

    Parameters
    ----------
    scores : DataFrame
        ``model``, ``folds``, ``sample``, ``score``, ``value``, ``lower``, ``upper``.
    published : DataFrame
        ``model``, ``score``, ``sample``, ``value``: red crosses.
    titles : mapping
        Of models.
    """
    test = scores[(scores["score"] == score) & (scores["sample"] == "test") & scores["value"].notna()]
    models = [model for model in dict.fromkeys(scores["model"]) if model in set(test["model"])]
    kinds = list(dict.fromkeys(test["folds"]))
    plot = plain_figure(
        width=560 if legend else 520,
        height=90 + (18 + 13 * len(kinds)) * max(len(models), 1),
        title=label,
        y_range=FactorRange(*[titles[model] for model in reversed(models)]),
    )
    step = 0.8 / (len(kinds) + 1)
    for number, kind in enumerate(kinds):
        rows = test[test["folds"] == kind]
        shift = 0.4 - step * (number + 1)
        source = ColumnDataSource(
            {
                "y": [(titles[model], shift) for model in rows["model"]],
                **{name: rows[name].to_numpy() for name in ("value", "lower", "upper", "folds")},
            }
        )
        color = FOLDS_COLORS[number % len(FOLDS_COLORS)]
        named = {"legend_label": kind} if legend else {}
        plot.segment("lower", "y", "upper", "y", source=source, color=color, line_width=2.5, alpha=0.65)
        dots = plot.scatter("value", "y", source=source, color=color, size=8, **named)
        plot.add_tools(
            HoverTool(
                renderers=[dots],
                tooltips=[("folds", "@folds"), (label, "@value{0.000} (@lower{0.000} to @upper{0.000})")],
            )
        )
    there = published[(published["score"] == score) & (published["sample"] != "train")]
    there = there[there["model"].isin(models)]
    if len(there):
        named = {"legend_label": "published"} if legend else {}
        source = ColumnDataSource(
            {
                "value": there["value"].to_numpy(),
                "y": [titles[model] for model in there["model"]],
                "what": (there["sample"] + ", " + there["what"]).tolist(),
            }
        )
        crosses = plot.scatter(
            "value", "y", source=source, marker="x", size=11, line_width=2.5, color=PUBLISHED_COLOR, **named
        )
        plot.add_tools(HoverTool(renderers=[crosses], tooltips=[("published", "@value{0.000}, @what")]))
    plot.ygrid.grid_line_color = None
    if legend and plot.legend:
        plot.add_layout(plot.legend[0], "above")
        plot.legend.orientation = "horizontal"
        plot.legend.border_line_color = None
        plot.legend.padding = plot.legend.margin = 2
        plot.legend.label_text_color = INK
    return plot


def interval_bars(
    table: pd.DataFrame, name: str, label: str, *, color: str = FOLDS_COLORS[0], width: int = 560, title: str = ""
) -> figure:
    """Return bars with whiskers, the longest on top.

    Parameters
    ----------
    table : DataFrame
        Index: what each bar is called; ``value``, ``lower``, ``upper`` (NaN: no whisker).
    name, label : str
        What a bar stands for, and its length.
    """
    shown = table.sort_values("value", key=abs)
    source = ColumnDataSource(
        {"name": [str(one) for one in shown.index], **{key: shown[key] for key in ("value", "lower", "upper")}}
    )
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
    # A whisker that is not there would be drawn at the edge.
    known = shown.dropna(subset=["lower", "upper"])
    marks = ColumnDataSource(
        {"name": [str(one) for one in known.index], **{key: known[key] for key in ("lower", "upper")}}
    )
    whisker = Whisker(
        base="name", lower="lower", upper="upper", dimension="width", source=marks, line_color=INK, level="annotation"
    )
    whisker.upper_head.size = whisker.lower_head.size = 6
    whisker.upper_head.line_color = whisker.lower_head.line_color = INK
    plot.add_layout(whisker)
    plot.add_layout(Span(location=0, dimension="height", line_color=SOFT))
    plot.add_tools(
        HoverTool(
            renderers=[bars], tooltips=[(name, "@name"), (label, "@value{0.000} (@lower{0.000} to @upper{0.000})")]
        )
    )
    plot.ygrid.grid_line_color = None
    return plot


def one_of(titles: Mapping[str, str], plots: Mapping[str, Any], label: str) -> Any:
    """Return plots of which one is shown at a time, with a list to choose from."""
    names = list(plots)
    for name in names[1:]:
        plots[name].visible = False
    if len(names) == 1:
        return plots[names[0]]
    select = Select(title=label, value=names[0], options=[(name, titles[name]) for name in names], width=320)
    code = "for (const [name, plot] of Object.entries(plots)) plot.visible = name === this.value;"
    select.js_on_change("value", CustomJS(args={"plots": dict(plots)}, code=code))
    return column(select, *[plots[name] for name in names])


def heat_map(matrix: pd.DataFrame, titles: Mapping[str, str]) -> figure:
    """Return correlations of all pairs as coloured squares, red below zero and blue above, grey where unknown.

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
    # Bokeh's palette runs from blue to red: turned round, blue is high, as in the other plots.
    colors = LinearColorMapper(palette=tuple(reversed(RdBu11)), low=-1, high=1)
    plot.background_fill_color = GRID
    squares = plot.rect(
        "x", "y", 1, 1, source=source, fill_color={"field": "value", "transform": colors}, line_color="white",
        line_width=0.4,
    )  # fmt: skip
    plot.add_tools(
        HoverTool(renderers=[squares], tooltips=[("", "@first"), ("with", "@second"), ("r", "@value{0.00}")])
    )
    plot.xaxis.major_label_orientation = 1.2
    plot.axis.major_label_text_font_size = "10px" if len(names) <= _NAMED_CELLS else "0px"
    plot.grid.visible = False
    plot.add_layout(ColorBar(color_mapper=colors, ticker=BasicTicker(desired_num_ticks=5), width=12), "right")
    return plot


def distribution_plot(
    edges: NDArray[np.float64], counts: NDArray[np.int64], cuts: Sequence[float], classes: Sequence[str], label: str
) -> figure:
    """Return a histogram of the outcome, coloured by class.

    Parameters
    ----------
    edges : shape (n_bins + 1,)
    counts : shape (n_bins,)
    cuts : sequence of float
        Where a class ends and the next begins: dashed lines.
    """
    plot = plain_figure(width=560, height=300, x_axis_label=label, y_axis_label="units")
    middle = (edges[:-1] + edges[1:]) / 2
    number = np.searchsorted(np.asarray(cuts), middle, side="right")
    source = ColumnDataSource(
        {
            "left": edges[:-1],
            "right": edges[1:],
            "top": counts,
            "color": [class_colors(len(classes))[place] for place in number],
        }
    )
    bars = plot.quad(left="left", right="right", top="top", bottom=0, source=source, color="color", line_color="white")
    plot.add_tools(HoverTool(renderers=[bars], tooltips=[(label, "@left{0.0} to @right{0.0}"), ("units", "@top")]))
    _cut_lines(plot, cuts)
    plot.y_range.start = 0
    return plot


def cumulative_plot(points: pd.DataFrame, cuts: Sequence[float], label: str) -> figure:
    """Return the cumulative distribution of the outcome; `points` has ``value`` and ``share``."""
    plot = plain_figure(width=520, height=300, x_axis_label=label, y_axis_label="share of units at or below")
    source = ColumnDataSource({name: points[name].to_numpy() for name in ("value", "share")})
    line = plot.step("value", "share", source=source, mode="after", color=INK, line_width=2)
    plot.add_tools(HoverTool(renderers=[line], tooltips=[(label, "@value{0.00}"), ("share", "@share{0.000}")]))
    _cut_lines(plot, cuts)
    return plot


def _cut_lines(plot: figure, cuts: Sequence[float]) -> None:
    for cut in cuts:
        plot.add_layout(Span(location=cut, dimension="height", line_color=SOFT, line_dash="dashed"))


def calibration_plot(table: pd.DataFrame, title: str) -> figure:
    """Return how often what is predicted with a probability is so, a line a class, against the diagonal.

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
        y_axis_label="share that is so",
    )
    plot.line([0, 1], [0, 1], color=SOFT, line_dash="dashed")
    names = list(dict.fromkeys(table["class"]))
    shown = names[1:] if len(names) == 2 else names
    for name in shown:
        rows = table[table["class"] == name].sort_values("predicted")
        color = class_colors(len(names))[names.index(name)]
        source = ColumnDataSource(
            {key: rows[key].to_numpy() for key in rows if key != "class"} | {"name": [name] * len(rows)}
        )
        plot.segment("predicted", "lower", "predicted", "upper", source=source, color=color, alpha=0.6, line_width=2)
        plot.line("predicted", "observed", source=source, color=color, line_width=2, legend_label=str(name))
        dots = plot.scatter("predicted", "observed", source=source, color=color, size=7)
        plot.add_tools(
            HoverTool(
                renderers=[dots],
                tooltips=[
                    ("class", "@name"),
                    ("predicted", "@predicted{0.00}"),
                    ("is so", "@observed{0.00} (@lower{0.00} to @upper{0.00})"),
                    ("predictions", "@units{0,0}"),
                ],
            )
        )
    if plot.legend:
        plot.legend.location, plot.legend.border_line_color = "top_left", None
        plot.legend.background_fill_alpha = 0.6
    return plot


def confusion_plot(table: pd.DataFrame, classes: Sequence[str], title: str) -> figure:
    """Return actual classes against predicted ones: units in numbers, the share of the row as colour.

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
    palette = [
        f"#{int(255 - 190 * k / 20):02x}{int(255 - 130 * k / 20):02x}{int(255 - 80 * k / 20):02x}" for k in range(21)
    ]
    colors = LinearColorMapper(palette=palette, low=0, high=1)
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
    plot.add_tools(
        HoverTool(
            renderers=[squares],
            tooltips=[
                ("actual", "@actual"),
                ("predicted", "@predicted"),
                ("units", "@units{0,0.0}"),
                ("share", "@share{0%}"),
            ],
        )
    )
    plot.grid.visible = False
    return plot


def line_plot(table: pd.DataFrame, x: str, y: str, x_label: str, y_label: str) -> figure:
    """Return one column over another, with dots."""
    plot = plain_figure(width=520, height=300, x_axis_label=x_label, y_axis_label=y_label)
    source = ColumnDataSource({x: table[x].to_numpy(), y: table[y].to_numpy()})
    plot.line(x, y, source=source, color=FOLDS_COLORS[0], line_width=2)
    dots = plot.scatter(x, y, source=source, color=FOLDS_COLORS[0], size=8)
    plot.add_tools(HoverTool(renderers=[dots], tooltips=[(x_label, f"@{x}"), (y_label, f"@{y}{{0,0.000}}")]))
    plot.xaxis.ticker = table[x].tolist()
    return plot


__all__ = [
    "FOLDS_COLORS",
    "GRID",
    "calibration_plot",
    "class_colors",
    "confusion_plot",
    "cumulative_plot",
    "distribution_plot",
    "heat_map",
    "interval_bars",
    "line_plot",
    "one_of",
    "score_plot",
]
