"""Maps of actual and of predicted classes, which move together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geomob_dask.errors import InputError
from geomob_dask.outputs.maps import MAP_LIBRARIES, extent_of, outlines
from geomob_dask.outputs.names import short
from geomob_dask.outputs.packing import finite, in_base64, pack_json, pack_numbers
from geomob_dask.outputs.page import Choices, MapBox, Script
from geomob_dask.outputs.palette import CLASSES, LINE
from geomob_dask.outputs.polygons import arrange, grid_step, pack_polygons
from geomob_dask.sources.states import STATES
from geomob_dask.transforms.display import display_tolerance, simplify_for_display

_CODES = {state.letters: code for code, state in STATES.items()}
_LIST = "predictions"


def actual_and_predicted(
    shapes: gpd.GeoDataFrame,
    units: pd.DataFrame,
    predictions: Mapping[str, pd.DataFrame],
    classes: Sequence[str],
    outcome: str,
) -> tuple[list[Any], Script]:
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
    list of Choices and MapBox, and the script that draws the maps

    Raises
    ------
    InputError
        If no unit has a polygon.
    """
    inside = shapes.index.isin(units.index)
    if not inside.any():
        raise InputError("--report: no unit of the study has a polygon; expected polygons of its own units")
    # Units first: rows of those of no unit have no value.
    shapes = pd.concat([shapes[inside], shapes[~inside]])
    states = units["state"].reindex(shapes.index)
    if "state" in shapes:
        states = states.fillna(shapes["state"])
    codes = [_CODES.get(str(letters), "00") for letters in states]
    geometry, insets, _ = arrange(shapes.geometry, codes)
    geometry = simplify_for_display(geometry, 2 * display_tolerance(shapely.total_bounds(geometry)))
    rows = units.loc[shapes.index[: int(inside.sum())]]
    probabilities = [f"p_{number}" for number in range(len(classes))]
    choices = {
        title: {
            "predicted": pack_numbers(finite(table.loc[rows.index, "predicted"]), 0),
            "shares": [pack_numbers(finite(table.loc[rows.index, name]), 2) for name in probabilities],
        }
        for title, table in predictions.items()
    }
    extent = extent_of(geometry, insets)
    step = grid_step(list(extent.values()))
    data = {
        "polygons": in_base64(pack_polygons(geometry, np.arange(len(shapes)), step=step)),
        "borders": outlines(geometry, codes, step),
        "extent": extent,
        "insets": [inset._asdict() for inset in insets],
        "count": len(shapes),
        "labels": pack_json([short(label) for label in rows["label"]]),
        "title": outcome,
        "outcome": pack_numbers(finite(rows["outcome"]), 3),
        "actual": pack_numbers(finite(rows["actual"]), 0),
        "choices": choices,
        "scale": {
            "edges": [place - 0.5 for place in range(len(classes) + 1)],
            "colors": list(CLASSES[len(classes)]),
            "labels": list(classes),
            "kind": "categories",
        },
        "missing": LINE,
        "list": _LIST,
    }
    wide, high = extent["right"] - extent["left"], extent["top"] - extent["bottom"]
    shape = round(min(max(wide / max(high, 1.0), 0.8), 1.7), 3)
    parts = [
        Choices("Predictions of", _LIST, list(choices)),
        MapBox("map-actual", "Actual", shape),
        MapBox("map-predicted", "Predicted, held out", shape),
    ]
    return parts, Script("class_map", data, libraries=MAP_LIBRARIES)
