"""Map of actual beside predicted classes: polygons of zones, or a point for each of very many tracts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, Div, Select
from markupsafe import Markup

from geomob_dask.errors import InputError
from geomob_dask.outputs.maps import map_figure
from geomob_dask.outputs.page import Script
from geomob_dask.outputs.palette import CLASSES, INK, LINE, SOFT
from geomob_dask.outputs.plots import hover
from geomob_dask.outputs.polygons import arrange, pack, pack_polygons
from geomob_dask.sources.states import STATES
from geomob_dask.transforms.display import display_tolerance, simplify_for_display

# More units than this are points: their outlines would hide what they enclose.
MOST_POLYGONS = 4000
_CODES = {state.letters: code for code, state in STATES.items()}
_WIDTH, _HEIGHT = 590, 430
_ASPECT = _WIDTH / (_HEIGHT - 30)


def actual_and_predicted(
    shapes: gpd.GeoDataFrame,
    units: pd.DataFrame,
    predictions: Mapping[str, pd.DataFrame],
    classes: Sequence[str],
    outcome: str,
) -> tuple[Any, Script]:
    """Return two maps side by side that move together: actual classes, and those predicted by one model at a time.

    Parameters
    ----------
    shapes : GeoDataFrame
        Polygons by unit; those of no unit are drawn gray.
    units : DataFrame
        By unit: ``label``, ``state`` (letters), ``outcome``, ``actual`` (number of the class).
    predictions : mapping of title to DataFrame
        For each model and kind of folds, by unit: ``predicted`` (number of the class) and ``p_0``, ``p_1``, …
    classes : sequence of str
        From low to high.
    outcome : str
        Title of what is predicted.

    Returns
    -------
    Bokeh model, and the script that fills it

    Raises
    ------
    InputError
        If no unit has a polygon.
    """
    inside = shapes.index.isin(units.index)
    if not inside.any():
        raise InputError("--report: no unit of the study has a polygon; expected polygons of its own units")
    geometry = _arranged(shapes, units)
    many = int(inside.sum()) > MOST_POLYGONS
    if not many:
        geometry = simplify_for_display(geometry, 2 * display_tolerance(shapely.total_bounds(geometry)))
    rows = units.loc[shapes.index[inside]]
    probabilities = [f"p_{number}" for number in range(len(classes))]
    choices = {
        title: {
            "predicted": pack(table.loc[rows.index, "predicted"].to_numpy(dtype=np.uint8)),
            "shares": pack(np.round(100 * table.loc[rows.index, probabilities].to_numpy()).astype(np.uint8).ravel()),
        }
        for title, table in predictions.items()
    }
    colors = CLASSES[len(classes)]
    data = {
        **(_points(geometry[inside]) if many else {"polygons": pack_polygons(geometry[inside])}),
        "others": pack_polygons(geometry[~inside & (not many)]),
        "labels": rows["label"].tolist(),
        "outcome": pack(rows["outcome"].to_numpy(dtype=np.float32)),
        "actual": pack(rows["actual"].to_numpy(dtype=np.uint8)),
        "choices": choices,
        "classes": list(classes),
        "colors": list(colors),
    }
    plots = _maps(shapely.total_bounds(geometry) / 1000, outcome, many=many)
    select = Select(
        title="Predictions of", name="predictions", value=next(iter(choices)), options=list(choices), width=420
    )
    count = Div(name="count", styles={"color": SOFT})
    style = "margin-left:14px;font-size:20px;vertical-align:-2px"
    squares = "".join(f'<span style="color:{color};{style}">■</span> {{}}' for color in colors)
    legend = Div(text=str(Markup(squares).format(*classes)), styles={"color": INK})
    return column(row(select, column(count, legend)), row(*plots)), Script("class_map", data)


def _arranged(shapes: gpd.GeoDataFrame, units: pd.DataFrame) -> Any:
    """Return polygons in meters of the map, far states in insets."""
    states = units["state"].reindex(shapes.index)
    if "state" in shapes:
        states = states.fillna(shapes["state"])
    geometry, _, _ = arrange(shapes.geometry, [_CODES.get(str(letters), "00") for letters in states])
    return geometry


def _points(geometry: Any) -> dict[str, Any]:
    middle = (shapely.get_coordinates(shapely.centroid(geometry)) / 1000).astype(np.float32)
    return {"x": pack(middle[:, 0]), "y": pack(middle[:, 1])}


def _maps(bounds: Any, outcome: str, *, many: bool) -> list[Any]:
    """Return the two maps without their units, which ``static/class_map.js`` adds."""
    left, bottom, right, top = bounds.tolist()
    half = max((right - left) / 2 / _ASPECT, (top - bottom) / 2, 1.0) * 1.04
    units = ["xs", "ys", "label", "outcome", "actual", "actual_color", "predicted", "color", "probabilities"]
    source = ColumnDataSource({name: [] for name in units})
    plots: list[Any] = []
    for name, title, fill in (("actual", "Actual", "actual_color"), ("predicted", "Predicted, held out", "color")):
        plot = map_figure(width=_WIDTH, height=_HEIGHT, title=title, toolbar_location="above")
        plot.title.text_color = INK
        if plots:
            plot.x_range, plot.y_range = plots[0].x_range, plots[0].y_range
        else:
            plot.x_range.update(start=(left + right) / 2 - half * _ASPECT, end=(left + right) / 2 + half * _ASPECT)
            plot.y_range.update(start=(bottom + top) / 2 - half, end=(bottom + top) / 2 + half)
        others = ColumnDataSource({"xs": [], "ys": []})
        edge = {"line_color": "white", "line_width": 0.4}
        plot.patches("xs", "ys", name=f"others of {name}", source=others, fill_color=LINE, **edge)
        if many:
            drawn = plot.scatter("xs", "ys", name=name, source=source, size=2, color=fill, line_color=None)
        else:
            drawn = plot.patches("xs", "ys", name=name, source=source, fill_color=fill, **edge)
        hover(
            plot,
            drawn,
            ("", "@label"),
            (outcome, "@outcome{0.0[00]}"),
            ("actual", "@actual"),
            ("predicted", "@predicted"),
            ("probabilities", "@probabilities"),
            point_policy="follow_mouse",
        )
        plots.append(plot)
    return plots
