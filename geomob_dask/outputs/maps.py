"""An interactive map of tracts in one HTML file, which opens without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from bokeh.models import (
    BoxZoomTool,
    ColumnDataSource,
    CustomJSHover,
    HoverTool,
    LinearColorMapper,
    MetricLength,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    ScaleBar,
    WheelZoomTool,
    ZoomInTool,
    ZoomOutTool,
)
from bokeh.plotting import figure

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed
from geomob_dask.outputs.page import Script, render
from geomob_dask.outputs.palette import INK, MISSING, SEA, SOFT
from geomob_dask.outputs.polygons import Inset, arrange, dissolve, pack, pack_polygons
from geomob_dask.sources.states import state_name
from geomob_dask.transforms.display import Geometry, display_tolerance, simplify_for_display

_OUTLINE = "rgba(255, 255, 255, 0.7)"
# Tracts in view: below the first two, outlines of tracts and of counties are drawn; above the last, drawing is slow.
LIMITS = {"tracts": 2500, "counties": 15000, "heavy": 6000}


@dataclass(frozen=True)
class Layer:
    """A column to show on the map.

    Parameters
    ----------
    column : str
        Its name in the table of values.
    label, unit, explanation : str
        Texts of the legend.
    palette : sequence of str
        Colors as #rrggbb, from low to high; equal steps.
    low, high : float
        Values of the palette's two ends; values beyond have the color of the end.
    """

    column: str
    label: str
    unit: str
    palette: Sequence[str]
    low: float
    high: float
    explanation: str = ""


def spread(values: pd.Series, step: float = 5.0, none: tuple[float, float] = (0.0, 100.0)) -> tuple[float, float]:
    """Return round bounds within which 96 of 100 values lie, as the two ends of a palette.

    Parameters
    ----------
    values : Series
        NaN is left out.
    step : float
        Bounds are multiples of this.
    none : (float, float)
        Bounds where there is no value.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> spread(pd.Series(np.arange(101.0)))
    (0.0, 100.0)
    >>> spread(pd.Series([41.0, 44.0, np.nan]))
    (40.0, 45.0)
    """
    known = values.dropna()
    if known.empty:
        return none
    low = float(np.floor(known.quantile(0.02) / step) * step)
    high = float(np.ceil(known.quantile(0.98) / step) * step)
    return low, high if high > low else low + step


def index_map(
    tracts: gpd.GeoDataFrame,
    values: pd.DataFrame,
    layers: Sequence[Layer],
    *,
    title: str,
    subtitle: str,
    missing_note: str,
    details: Mapping[str, str] | None = None,
    tolerance: float | None = None,
) -> str:
    """Return a page with a map of tracts, colored by one layer at a time.

    Beside the map are the list of layers, a legend with the number of tracts of each color, and a field that finds a
    tract, county or state by its code. Hovering shows a tract's code, state and county, its value in every layer, and
    the details. Alaska, Hawaii and island areas are in insets.

    Parameters
    ----------
    tracts : GeoDataFrame
        Polygons by geoid (text; the first two characters are the state, the next three the county).
    values : DataFrame
        The layers' columns (NaN is missing) and the details', by geoid. Rows without a polygon are counted in a note.
    layers : sequence of Layer
        The first is shown when the page opens.
    title, subtitle, missing_note : str
        Plain text. The legend shows the note after the number of tracts without a value.
    details : mapping of column to label, optional
        Further columns to show on hover; empty text is shown as a dash.
    tolerance : float, optional
        Meters by which borders may be simplified, by default from the extent of the map; 0 for tracts that
        `geomob_dask.frames.display.simplify` has simplified.

    Raises
    ------
    InputError
        If there are no tracts, no layers, no coordinate system, a geoid twice, or a column that is absent or not of
        numbers; or a layer's palette has fewer than two colors or no extent.
    """
    details = dict(details or {})
    _check(tracts, values, layers, details)
    drawn = tracts[~(tracts.geometry.isna() | tracts.geometry.is_empty)]
    if drawn.empty:
        raise InputError(f"map {title!r}: found no tract with a polygon, expected at least one")
    geoids = drawn.index.to_numpy(dtype=object)
    geometry, insets, notes = arrange(drawn.geometry, [geoid[:2] for geoid in geoids])
    if tolerance is None:
        tolerance = display_tolerance(shapely.total_bounds(geometry))
    if tolerance > 0:
        geometry = simplify_for_display(geometry, tolerance)
    there = ~shapely.is_empty(geometry)
    geoids, geometry = geoids[there], geometry[there]
    left_over = len(values.index.difference(drawn.index))
    if left_over:
        notes.append(f"Not drawn (no polygon): {left_over:,} of the {counted(len(values), 'tract')} in the table.")
    codes, counties = dissolve(geometry, [geoid[:5] for geoid in geoids])
    states, outlines = dissolve(counties, [code[:2] for code in codes])
    rows = values.reindex(geoids)
    page = {
        "geoids": geoids.tolist(),
        "state_names": {code: state_name(code) for code in states},
        "tracts": pack_polygons(geometry),
        "outlines": {"counties": pack_polygons(counties), "states": pack_polygons(outlines)},
        "layers": [_layer(layer, rows[layer.column]) for layer in layers],
        "details": [_detail(rows[column]) for column in details],
        "extent": _extent(geometry, insets),
        "limits": LIMITS,
        "outline_color": _OUTLINE,
    }
    return render(
        "map.html",
        {"map": _figure(layers, list(details.values()), insets)},
        [Script("index_map", page)],
        title=title,
        subtitle=subtitle,
        missing_note=missing_note,
        notes=notes,
    )


def map_figure(**options: Any) -> figure:
    """Return a figure to draw polygons on, in km: no axes; drag to pan, wheel to zoom."""
    plot = figure(
        x_range=Range1d(),
        y_range=Range1d(),
        lod_threshold=None,  # or nine tracts of ten vanish while the map is moved
        tools=[],
        background_fill_color=SEA,
        outline_line_color=None,
        **options,
    )
    plot.axis.visible = plot.grid.visible = False
    plot.toolbar.logo = None
    pan, wheel = PanTool(), WheelZoomTool()
    plot.add_tools(pan, wheel, BoxZoomTool(match_aspect=True), ZoomInTool(), ZoomOutTool(), ResetTool(), SaveTool())
    plot.toolbar.active_drag, plot.toolbar.active_scroll = pan, wheel
    return plot


def _check(tracts: gpd.GeoDataFrame, values: pd.DataFrame, layers: Sequence[Layer], details: Mapping[str, str]) -> None:
    if not len(tracts):
        raise InputError("map: found no tracts, expected at least one")
    if tracts.crs is None:
        raise InputError("map: the tracts have no coordinate system, expected one, such as EPSG:4269")
    for name, index in (("tracts", tracts.index), ("values", values.index)):
        if not all(isinstance(geoid, str) for geoid in index):
            raise InputError(f"map: {name}: found an index of {index.dtype}, expected geoids as text")
        if not index.is_unique:
            twice = index[index.duplicated()][0]
            raise InputError(f"map: {name}: found geoid {twice!r} twice, expected every tract once")
    if not layers:
        raise InputError("map: found no layers, expected at least one")
    for column in [*(layer.column for layer in layers), *details]:
        if column not in values.columns:
            raise InputError(f"map: column {column!r} is absent; found {listed(values.columns, 40)}")
    for layer in layers:
        if not pd.api.types.is_numeric_dtype(values[layer.column]):
            raise InputError(f"map: column {layer.column!r}: found {values[layer.column].dtype}, expected numbers")
        if len(layer.palette) < 2 or not -np.inf < layer.low < layer.high < np.inf:
            raise InputError(
                f"map: layer {layer.column!r}: found {len(layer.palette)} colors from {layer.low} to {layer.high}, "
                "expected two or more from a lower to a higher number"
            )


def _layer(layer: Layer, column: pd.Series) -> dict[str, Any]:
    return {
        "label": layer.label,
        "unit": layer.unit,
        "explanation": layer.explanation,
        "palette": list(layer.palette),
        "low": float(layer.low),
        "high": float(layer.high),
        "values": pack(column.to_numpy(dtype=np.float32, na_value=np.nan)),
    }


def _detail(column: pd.Series) -> dict[str, Any]:
    text = [
        "—" if pd.isna(value) or value in ("", False) else "yes" if value is True else str(value) for value in column
    ]
    codes, texts = pd.factorize(np.array(text, dtype=object))
    return {"texts": texts.tolist(), "codes": pack(codes.astype(np.uint32))}


def _figure(layers: Sequence[Layer], details: Sequence[str], insets: Sequence[Inset]) -> figure:
    """Return the map without its polygons and values, which ``static/index_map.js`` adds."""
    plot = map_figure(name="map", sizing_mode="stretch_both", border_fill_color=SEA)
    names = [f"layer_{number}" for number in range(len(layers))]
    more = [f"detail_{number}" for number in range(len(details))]
    tracts = plot.patches(
        "xs",
        "ys",
        name="tracts",
        source=ColumnDataSource({name: [] for name in ("xs", "ys", "geoid", "state", "county", *names, *more)}),
        fill_color={
            "field": names[0],
            "transform": LinearColorMapper(
                name="colors",
                palette=list(layers[0].palette),
                low=layers[0].low,
                high=layers[0].high,
                nan_color=MISSING,
            ),
        },
        line_color=None,
        line_width=0.5,
    )
    states = ColumnDataSource({"xs": [], "ys": []})
    counties = ColumnDataSource({"xs": [], "ys": []})
    for name, source, color, width in (
        ("counties", counties, SOFT, 0.5),
        # A light line below the dark one, so that it shows on any color.
        ("states", states, "rgba(255, 255, 255, 0.75)", 2.6),
        ("state lines", states, INK, 1.0),
    ):
        plot.patches("xs", "ys", name=name, source=source, fill_color=None, line_color=color, line_width=width)
    _draw_insets(plot, insets)
    say = CustomJSHover(
        code="return isNaN(value) ? 'no value' : value.toLocaleString('en-US', "
        "value > -1 && value < 1 ? {maximumSignificantDigits: 2} : {maximumFractionDigits: 1})"
    )
    hover = HoverTool(
        renderers=[tracts],
        point_policy="follow_mouse",
        formatters={f"@{name}": say for name in names},
        tooltips=[
            ("Tract", "@geoid"),
            ("State", "@state"),
            ("County", "@county"),
            *((layer.label, f"@{name}{{custom}}") for layer, name in zip(layers, names, strict=True)),
            *((label, f"@{name}") for label, name in zip(details, more, strict=True)),
        ],
    )
    plot.add_tools(hover)
    plot.add_layout(
        ScaleBar(
            range=plot.x_range,
            unit="km",
            dimensional=MetricLength(exclude=["Mm", "dm", "hm"]),
            bar_length=0.1,
            location="bottom_right",
            background_fill_color=SEA,
            background_fill_alpha=0.8,
            border_line_color=None,
        )
    )
    return plot


def _extent(geometry: Geometry, insets: Sequence[Inset]) -> dict[str, float]:
    """Return the bounds that the page opens with, in km."""
    boxes = np.array([shapely.total_bounds(geometry), *(inset[1:] for inset in insets)]) / 1000
    lowest, highest = boxes.min(axis=0).round(3).tolist(), boxes.max(axis=0).round(3).tolist()
    return {"left": lowest[0], "bottom": lowest[1], "right": highest[2], "top": highest[3]}


def _draw_insets(plot: figure, insets: Sequence[Inset]) -> None:
    for inset in insets:
        left, bottom, right, top = (value / 1000 for value in inset[1:])
        margin = 0.05 * (top - bottom)
        plot.quad(
            left=left - margin,
            right=right + margin,
            bottom=bottom - margin,
            top=top + margin,
            fill_color=None,
            line_color="#9aa7b3",
            line_width=0.8,
        )
        plot.text(
            x=left - margin,
            y=top + margin,
            text=[inset.label],
            y_offset=-3,
            text_font_size="11px",
            text_color=SOFT,
        )
