"""Actual beside predicted classes on a map: polygons of zones, or a point for each of very many tracts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, CustomJS, Div, HoverTool, Range1d, Select
from bokeh.plotting import figure

from geomob_dask.errors import InputError
from geomob_dask.outputs.maps import SEA_COLOR, arrange
from geomob_dask.outputs.mobility_plots import class_colors
from geomob_dask.outputs.segregation_page import INK, SOFT
from geomob_dask.sources.states import STATES
from geomob_dask.transforms.display import display_tolerance, simplify_for_display

# More units than this are points: their outlines would hide what they enclose.
MOST_POLYGONS = 4000
_OTHERS_COLOR = "#dde2e7"
_CODES = {state.letters: code for code, state in STATES.items()}

Sources = tuple[ColumnDataSource, ColumnDataSource | None]


def actual_and_predicted(
    shapes: gpd.GeoDataFrame,
    units: pd.DataFrame,
    predictions: Mapping[str, pd.DataFrame],
    titles: Mapping[str, str],
    classes: Sequence[str],
    outcome: str,
) -> Any:
    """Return two maps side by side that move together: actual classes, and those predicted by one model at a time.

    Parameters
    ----------
    shapes : GeoDataFrame
        Polygons by unit; those of no unit are drawn grey.
    units : DataFrame
        By unit: ``label``, ``state`` (letters), ``outcome``, ``actual`` (number of the class).
    predictions : mapping of str to DataFrame
        By choice (a model and its folds), by unit: ``predicted`` (number of the class) and ``p_0``, ``p_1``, …
    titles : mapping of str to str
        Of the choices.
    classes : sequence of str
        From low to high.
    outcome : str
        What is predicted, in words.

    Raises
    ------
    InputError
        If no unit has a polygon.
    """
    drawn = shapes[shapes.index.isin(units.index)]
    if drawn.empty:
        raise InputError("--report: no unit of the study has a polygon; expected polygons of its own units")
    many = len(drawn) > MOST_POLYGONS
    geometry, others = _geometry(shapes, units, points=many)
    rows = units.loc[drawn.index]
    colors = np.array(class_colors(len(classes)))
    names = np.array(classes, dtype=object)
    data: dict[str, Any] = {
        **geometry,
        "label": rows["label"].tolist(),
        "outcome": rows["outcome"].to_numpy(dtype=np.float32),
        "actual": names[rows["actual"]].tolist(),
        "actual_color": colors[rows["actual"]].tolist(),
    }
    choices = {name: _choice(table.loc[drawn.index], len(classes)) for name, table in predictions.items()}
    first = next(iter(choices))
    data |= _shown(choices[first], names, colors)
    source = ColumnDataSource(data)
    x_range, y_range = _ranges(geometry, others)
    plots = [
        _map(source, others, title, fill, (x_range, y_range), many=many)
        for title, fill in (("Actual", "actual_color"), ("Predicted, held out", "color"))
    ]
    for plot, renderers in plots:
        plot.add_tools(
            HoverTool(
                renderers=renderers,
                point_policy="follow_mouse",
                tooltips=[
                    ("", "@label"),
                    (outcome, "@outcome{0.0[00]}"),
                    ("actual", "@actual"),
                    ("predicted", "@predicted"),
                    ("probabilities", "@probabilities"),
                ],
            )
        )
    select = Select(title="Predictions of", value=first, options=[(name, titles[name]) for name in choices], width=420)
    count = Div(text=_count(choices[first]["predicted"], rows["actual"].to_numpy()), styles={"color": SOFT})
    select.js_on_change(
        "value",
        CustomJS(
            args={
                "choices": json.dumps({name: _plain(choice) for name, choice in choices.items()}),
                "actual": rows["actual"].tolist(),
                "classes": list(classes),
                "colors": colors.tolist(),
                "source": source,
                "count": count,
            },
            code=_SHOW,
        ),
    )
    legend = Div(
        text="".join(
            f'<span style="display:inline-block;width:14px;height:14px;background:{color};margin:0 6px 0 14px;'
            f'vertical-align:-2px"></span>{name}'
            for name, color in zip(classes, colors, strict=True)
        ),
        styles={"color": INK},
    )
    return column(row(select, column(count, legend)), row(*[plot for plot, _ in plots]))


_SHOW = """
const choice = JSON.parse(choices)[this.value], n = actual.length, k = classes.length;
const data = {...source.data}, right = [0];
data.predicted = choice.predicted.map((one) => classes[one]);
data.color = choice.predicted.map((one) => colors[one]);
data.probabilities = choice.predicted.map((_, i) =>
  classes.map((name, j) => name + " " + (choice.p[i * k + j] / 100).toFixed(2)).join(", "));
source.data = data;
for (let i = 0; i < n; i++) if (choice.predicted[i] === actual[i]) right[0]++;
const say = (number) => number.toLocaleString("en-US");
count.text = `<b>${say(right[0])}</b> of ${say(n)} units drawn are predicted as they are ` +
  `(${(100 * right[0] / n).toFixed(1)} %)`;
"""


def _choice(table: pd.DataFrame, n_classes: int) -> dict[str, Any]:
    shares = table[[f"p_{number}" for number in range(n_classes)]].to_numpy(dtype=np.float64)
    return {"predicted": table["predicted"].to_numpy(dtype=np.int64), "p": np.round(100 * shares).astype(np.int64)}


def _plain(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {"predicted": choice["predicted"].tolist(), "p": choice["p"].ravel().tolist()}


def _shown(choice: Mapping[str, Any], names: Any, colors: Any) -> dict[str, Any]:
    return {
        "predicted": names[choice["predicted"]].tolist(),
        "color": colors[choice["predicted"]].tolist(),
        "probabilities": [
            ", ".join(f"{name} {share / 100:.2f}" for name, share in zip(names, shares, strict=True))
            for shares in choice["p"]
        ],
    }


def _count(predicted: Any, actual: Any) -> str:
    right = int((predicted == actual).sum())
    return (
        f"<b>{right:,}</b> of {len(actual):,} units drawn are predicted as they are ({100 * right / len(actual):.1f} %)"
    )


# Geometry ------------------------------------------------------------------------------------


def _geometry(
    shapes: gpd.GeoDataFrame, units: pd.DataFrame, *, points: bool
) -> tuple[dict[str, Any], ColumnDataSource | None]:
    """Return the columns of the units' shapes in km of the map, and the outlines of what else there is."""
    inside = shapes.index.isin(units.index)
    states = units["state"].reindex(shapes.index)
    if "state" in shapes:
        states = states.fillna(shapes["state"])
    # The map places far states by the first two characters of a unit's code: the state's.
    codes = [_CODES.get(str(letters), "00") for letters in states]
    coded = shapes.set_axis([f"{code}{key}" for code, key in zip(codes, shapes.index, strict=True)])
    arranged, _, _ = arrange(coded[["geometry"]])
    if points:
        middle = shapely.get_coordinates(shapely.centroid(arranged[inside])) / 1000
        return {"x": middle[:, 0].astype(np.float32), "y": middle[:, 1].astype(np.float32)}, None
    simple = simplify_for_display(arranged, 2 * display_tolerance(shapely.total_bounds(arranged)))
    xs, ys = _rings(simple[inside])
    others = None
    if not inside.all():
        other_xs, other_ys = _rings(simple[~inside])
        others = ColumnDataSource({"xs": other_xs, "ys": other_ys})
    return {"xs": xs, "ys": ys}, others


def _rings(polygons: Any) -> tuple[list[Any], list[Any]]:
    """Return each unit's outlines in km, rings parted by NaN."""
    xs, ys = [], []
    for polygon in polygons:
        parts = [shapely.get_coordinates(part.exterior) / 1000 for part in shapely.get_parts(polygon)]
        joined = np.concatenate([np.vstack([part, [[np.nan, np.nan]]]) for part in parts])[:-1]
        xs.append(joined[:, 0].astype(np.float32))
        ys.append(joined[:, 1].astype(np.float32))
    return xs, ys


def _ranges(geometry: Mapping[str, Any], others: ColumnDataSource | None) -> tuple[Range1d, Range1d]:
    if "x" in geometry:
        every_x, every_y = geometry["x"], geometry["y"]
    else:
        more = others.data if others is not None else {"xs": [], "ys": []}
        every_x = np.concatenate([*geometry["xs"], *more["xs"]])
        every_y = np.concatenate([*geometry["ys"], *more["ys"]])
    left, right = float(np.nanmin(every_x)), float(np.nanmax(every_x))
    bottom, top = float(np.nanmin(every_y)), float(np.nanmax(every_y))
    middle = (left + right) / 2, (bottom + top) / 2
    half = max((right - left) / 2 / _ASPECT, (top - bottom) / 2, 1.0) * 1.04
    return (
        Range1d(middle[0] - half * _ASPECT, middle[0] + half * _ASPECT),
        Range1d(middle[1] - half, middle[1] + half),
    )


_WIDTH, _HEIGHT = 590, 430
_ASPECT = _WIDTH / (_HEIGHT - 30)


def _map(
    source: ColumnDataSource,
    others: ColumnDataSource | None,
    title: str,
    fill: str,
    ranges: tuple[Range1d, Range1d],
    *,
    many: bool,
) -> tuple[figure, list[Any]]:
    plot = figure(
        width=_WIDTH,
        height=_HEIGHT,
        title=title,
        x_range=ranges[0],
        y_range=ranges[1],
        tools="pan,wheel_zoom,reset,save",
        active_scroll="wheel_zoom",
        background_fill_color=SEA_COLOR,
        outline_line_color=None,
        toolbar_location="above",
        lod_threshold=None,
    )
    plot.axis.visible = plot.grid.visible = False
    plot.toolbar.logo = None
    plot.title.text_color = INK
    if others is not None:
        plot.patches("xs", "ys", source=others, fill_color=_OTHERS_COLOR, line_color="white", line_width=0.4)
    if many:
        drawn = plot.scatter("x", "y", source=source, size=2, color=fill, line_color=None)
    else:
        drawn = plot.patches("xs", "ys", source=source, fill_color=fill, line_color="white", line_width=0.4)
    return plot, [drawn]
