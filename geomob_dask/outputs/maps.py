"""An interactive map of tracts in one HTML file, which opens without a network and stays legible for all of them."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from bokeh.embed import json_item
from bokeh.models import (
    BoxZoomTool,
    ColumnDataSource,
    CustomJS,
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
from bokeh.palettes import YlGnBu9, YlOrRd9
from bokeh.plotting import figure
from bokeh.resources import Resources
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.outputs.map_page import PAGE, SCRIPT
from geomob_dask.outputs.tables import written_whole
from geomob_dask.sources.states import state_name
from geomob_dask.transforms.display import Geometry, display_tolerance, simplify_for_display
from geomob_dask.transforms.projection import EQUAL_AREA

# The darkest step of each is left out: state lines would be lost on it.
OPPORTUNITY_PALETTE = tuple(reversed(YlGnBu9[1:]))
DEPRIVATION_PALETTE = tuple(reversed(YlOrRd9[1:]))
MISSING_COLOR = "#a9afb5"
SEA_COLOR = "#f1f4f7"
OUTLINE_COLOR = "rgba(255, 255, 255, 0.7)"
# Tracts in view: below which their own and the counties' outlines are drawn; above which painting them takes long.
LIMITS = {"tracts": 2500, "counties": 15000, "heavy": 6000}


class Area(NamedTuple):
    """States outside the contiguous ones: name, codes, centre of their projection, and frame on a map of all.

    Parameters
    ----------
    center : longitude, latitude
        Of a Lambert azimuthal equal-area projection.
    frame : width, height
        As shares of the width of the rest of the map.
    """

    name: str
    states: tuple[str, ...]
    center: tuple[float, float]
    frame: tuple[float, float]


OUTLYING = (
    Area("Alaska", ("02",), (-152.0, 63.0), (0.21, 0.17)),
    Area("Hawaii", ("15",), (-157.3, 20.4), (0.13, 0.09)),
    Area("Guam, N. Marianas", ("66", "69"), (145.2, 15.5), (0.1, 0.07)),
    Area("American Samoa", ("60",), (-170.0, -14.2), (0.1, 0.07)),
    Area("Puerto Rico, Virgin Islands", ("72", "78"), (-66.2, 18.1), (0.14, 0.05)),
)
HAWAII, PUERTO_RICO = OUTLYING[1], OUTLYING[4]
# Metres west of Hawaii's centre. Beyond lie atolls up to Midway, which would make the islands a stamp.
HAWAII_WEST = -400_000.0


@dataclass(frozen=True)
class Layer:
    """A column to show on the map.

    Parameters
    ----------
    column : str
        Of the values.
    label, unit, explanation : str
        Of the legend, in plain words.
    palette : sequence of str
        Colours as #rrggbb, from low to high; equal steps.
    low, high : float
        Values of the palette's two ends; values beyond take the colour of the end.
    """

    column: str
    label: str
    unit: str
    palette: Sequence[str]
    low: float
    high: float
    explanation: str = ""


class _Inset(NamedTuple):
    label: str
    left: float
    bottom: float
    right: float
    top: float


def spread(values: pd.Series, step: float = 5.0) -> tuple[float, float]:
    """Return round bounds within which 96 of 100 values lie, as the two ends of a palette.

    Parameters
    ----------
    values : Series
        NaN is left out.
    step : float
        Bounds are multiples of this.

    Returns
    -------
    low, high : float
        0 and 100 where there is no value.

    Examples
    --------
    >>> spread(pd.Series(np.arange(101.0)))
    (0.0, 100.0)
    >>> spread(pd.Series([41.0, 44.0, np.nan]))
    (40.0, 45.0)
    """
    known = values.dropna()
    if known.empty:
        return 0.0, 100.0
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
    """Return a page with a map of tracts, coloured by one layer at a time, in one self-contained HTML text.

    Beside the map stand the list of layers, a legend that counts the tracts under each colour, and a field that
    finds a tract, county or state by its code. Under the pointer appear a tract's code, state and county, its value
    in every layer, and the details. Alaska, Hawaii and island areas stand in insets beside the others.

    Parameters
    ----------
    tracts : GeoDataFrame
        Polygons by geoid (text; the first two characters are the state, the next three the county).
    values : DataFrame
        The layers' columns (NaN is missing) and the details', by geoid. Rows without a polygon are counted in a note.
    layers : sequence of Layer
        The first is shown when the page opens.
    title, subtitle, missing_note : str
        Plain text. The note follows the grey swatch of the legend and the number of tracts without a value.
    details : mapping, optional
        Further columns for the pointer and what to call them; empty text is shown as a dash.
    tolerance : float, optional
        Metres by which borders may be simplified: by the extent of the map, by default; 0 for tracts that
        `for_display` has simplified.

    Raises
    ------
    InputError
        If there are no tracts, no layers, no coordinate system, a geoid twice, or a column that is absent or not of
        numbers; or a layer's palette has no two colours or no extent.
    """
    details = dict(details or {})
    _check(tracts, values, layers, details)
    drawn = tracts[~(tracts.geometry.isna() | tracts.geometry.is_empty)]
    if drawn.empty:
        raise InputError(f"map {title!r}: found no tract with a polygon, expected at least one")
    geoids = drawn.index.to_numpy(dtype=object)
    geometry, insets, notes = arrange(drawn)
    if tolerance is None:
        tolerance = display_tolerance(shapely.total_bounds(geometry))
    if tolerance > 0:
        geometry = simplify_for_display(geometry, tolerance)
    there = ~shapely.is_empty(geometry)
    geoids, geometry = geoids[there], geometry[there]
    left_over = len(values.index.difference(drawn.index))
    if left_over:
        notes.append(f"Not drawn, for want of a polygon: {left_over:,} of the {len(values):,} tracts in the table.")
    codes, counties = _dissolve(geometry, [geoid[:5] for geoid in geoids])
    states, outlines = _dissolve(counties, [code[:2] for code in codes])
    rows = values.reindex(geoids)
    page = {
        "geoids": geoids.tolist(),
        "state_names": {code: state_name(code) for code in states},
        "tracts": _pack_polygons(geometry),
        "outlines": {"counties": _pack_polygons(counties), "states": _pack_polygons(outlines)},
        "layers": [_layer(layer, rows[layer.column]) for layer in layers],
        "details": [_detail(rows[column]) for column in details],
        "extent": _extent(geometry, insets),
        "limits": LIMITS,
        "outline_color": OUTLINE_COLOR,
    }
    return PAGE % {
        "title": html.escape(title),
        "subtitle": html.escape(subtitle),
        "missing_note": html.escape(missing_note),
        "notes": "".join(f"<p>{html.escape(note)}</p>" for note in notes),
        "missing_color": MISSING_COLOR,
        "sea_color": SEA_COLOR,
        "figure": _json(_with_stable_ids(json_item(_figure(layers, list(details.values()), insets), "map"))),
        "data": _json(page),
        "bokeh": "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw),
        "script": SCRIPT,
    }


def write_map(path: str | Path, page: str) -> None:
    """Write a map whole: a reader sees all of it or nothing.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with written_whole("map", path, ".html") as temporary:
        temporary.write_text(page, encoding="utf-8")


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
            raise InputError(f"map: column {column!r} is absent; found {', '.join(map(str, values.columns))}")
    for layer in layers:
        if not pd.api.types.is_numeric_dtype(values[layer.column]):
            raise InputError(f"map: column {layer.column!r}: found {values[layer.column].dtype}, expected numbers")
        if len(layer.palette) < 2 or not -np.inf < layer.low < layer.high < np.inf:
            raise InputError(
                f"map: layer {layer.column!r}: found {len(layer.palette)} colours from {layer.low} to {layer.high}, "
                "expected two or more from a lower to a higher number"
            )


def arrange(tracts: gpd.GeoDataFrame) -> tuple[Geometry, list[_Inset], list[str]]:
    """Return polygons in metres of the map, areas far off moved beside the rest; their frames; what to say of it."""
    codes = np.array([geoid[:2] for geoid in tracts.index])
    rows_of = {area: np.flatnonzero(np.isin(codes, area.states)) for area in OUTLYING}
    present = [area for area in OUTLYING if len(rows_of[area])]
    mainland = np.flatnonzero(~np.isin(codes, [code for area in OUTLYING for code in area.states]))
    geometry = np.empty(len(tracts), dtype=object)
    scales: list[str] = []
    if len(mainland):
        geometry[mainland] = tracts.geometry.iloc[mainland].to_crs(EQUAL_AREA).to_numpy()
        moved = present
    else:
        mainland, moved = rows_of[present[0]], present[1:]
        geometry[mainland] = _project(tracts, mainland, present[0])
    insets: list[_Inset] = []
    bounds = shapely.bounds(geometry[mainland])
    for area in moved:
        own = _project(tracts, rows_of[area], area)
        inset = _place(area, bounds, insets)
        insets.append(inset)
        left, bottom, right, top = shapely.total_bounds(own)
        scale = min((inset.right - inset.left) / (right - left), (inset.top - inset.bottom) / (top - bottom), 1.0)
        to = np.array([inset.left + inset.right, inset.bottom + inset.top]) / 2
        middle = np.array([left + right, bottom + top]) / 2
        geometry[rows_of[area]] = shapely.transform(own, lambda xy, a=scale, b=to - scale * middle: a * xy + b)
        scales.append(f"{area.name} ({'at the same scale' if scale > 0.995 else f'{scale:.0%} of the scale'})")
    notes = [f"Moved beside the rest: {', '.join(scales)}."] if scales else []
    if HAWAII in present:
        notes.append("Hawaii is drawn without the Northwestern Hawaiian Islands.")
    return geometry, insets, notes


def _project(tracts: gpd.GeoDataFrame, rows: NDArray[np.intp], area: Area) -> Geometry:
    longitude, latitude = area.center
    crs = f"+proj=laea +lat_0={latitude} +lon_0={longitude} +datum=NAD83 +units=m"
    own = tracts.geometry.iloc[rows].to_crs(crs).to_numpy()
    if area is HAWAII:
        far = 1e8
        near = shapely.clip_by_rect(own, HAWAII_WEST, -far, far, far)
        own = own if shapely.is_empty(near).all() else near
    return np.asarray(own, dtype=object)


def _place(area: Area, mainland: NDArray[np.float64], placed: Sequence[_Inset]) -> _Inset:
    """Return where an area goes: below the mainland, or in a corner that it leaves free.

    Parameters
    ----------
    mainland : shape (n_tracts, 4)
        Bounds of the tracts that stay where they are.
    placed : sequence of _Inset
        Already there, from left to right.
    """
    left, bottom, right = mainland[:, 0].min(), mainland[:, 1].min(), mainland[:, 2].max()
    width, height = (share * (right - left) for share in area.frame)
    gap = 0.025 * (right - left)
    x = max([left, *(inset.right + gap for inset in placed)])
    if area is PUERTO_RICO:
        x = max(x, right - width)
    above = (mainland[:, 0] < x + width + gap) & (mainland[:, 2] > x - gap)
    floor = mainland[above, 1].min() if above.any() else np.inf
    y = min(bottom, floor - 2 * gap - height)
    return _Inset(area.name, x, y, x + width, y + height)


def _dissolve(geometry: Geometry, keys: Sequence[str]) -> tuple[list[str], Geometry]:
    """Return the keys in order, and the union of the polygons of each."""
    found, numbers = np.unique(keys, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    pieces = np.split(geometry[order], np.cumsum(np.bincount(numbers))[:-1])
    union = np.empty(len(found), dtype=object)
    union[:] = [_union(piece) for piece in pieces]
    return found.tolist(), union


def _union(polygons: Geometry) -> shapely.Geometry:
    # The quick way wants a coverage; some published tracts overlap by a sliver.
    try:
        union = shapely.coverage_union_all(polygons)
    except shapely.GEOSException:
        union = None
    return union if shapely.is_valid(union) else shapely.union_all(shapely.make_valid(polygons))


def _pack_polygons(geometry: Geometry) -> dict[str, Any]:
    """Return polygons in km as the page's script unpacks them: steps across each one's own bounds.

    Two tracts round their shared border by less than 1/65,535 of their own width: nothing that can be seen.
    """
    parts, owner = shapely.get_parts(geometry, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    last = np.append(ring[1:] != ring[:-1], True)
    points, ring = points[~last], ring[~last]
    bounds = shapely.bounds(geometry)
    around = bounds[owner[part[ring]]]
    extent = np.maximum(around[:, 2:] - around[:, :2], 1e-9)
    steps = np.round((points - around[:, :2]) / extent * 65535).astype(np.uint16)
    return {
        "rings": _pack(np.bincount(owner[part], minlength=len(geometry)).astype(np.uint32)),
        "points": _pack(np.bincount(ring, minlength=len(rings)).astype(np.uint32)),
        "bounds": _pack((bounds / 1000).astype(np.float32).ravel()),
        "x": _pack(steps[:, 0]),
        "y": _pack(steps[:, 1]),
    }


def _pack(array: NDArray[Any]) -> dict[str, str]:
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"type": array.dtype.name, "bytes": base64.b64encode(little.tobytes()).decode()}


def _layer(layer: Layer, column: pd.Series) -> dict[str, Any]:
    return {
        "label": layer.label,
        "unit": layer.unit,
        "explanation": layer.explanation,
        "palette": list(layer.palette),
        "low": float(layer.low),
        "high": float(layer.high),
        "values": _pack(column.to_numpy(dtype=np.float32, na_value=np.nan)),
    }


def _detail(column: pd.Series) -> dict[str, Any]:
    text = [
        "—" if pd.isna(value) or value in ("", False) else "yes" if value is True else str(value) for value in column
    ]
    codes, texts = pd.factorize(np.array(text, dtype=object))
    return {"texts": texts.tolist(), "codes": _pack(codes.astype(np.uint32))}


def _figure(layers: Sequence[Layer], details: Sequence[str], insets: Sequence[_Inset]) -> figure:
    """Return the map without its tracts, which the page's script adds."""
    plot = figure(
        name="map",
        sizing_mode="stretch_both",
        x_range=Range1d(),
        y_range=Range1d(),
        lod_threshold=None,  # or nine tracts of ten vanish while the map is moved
        tools=[],
        toolbar_location="right",
        background_fill_color=SEA_COLOR,
        border_fill_color=SEA_COLOR,
        outline_line_color=None,
    )
    plot.axis.visible = False
    plot.grid.visible = False
    plot.toolbar.logo = None
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
                nan_color=MISSING_COLOR,
            ),
        },
        line_color=None,
        line_width=0.5,
    )
    states = ColumnDataSource({"xs": [], "ys": []})
    counties = ColumnDataSource({"xs": [], "ys": []})
    for name, source, color, width in (
        ("counties", counties, "#5b6977", 0.5),
        # A light line under the dark one, which shows on any colour.
        ("states", states, "rgba(255, 255, 255, 0.75)", 2.6),
        ("state lines", states, "#1c2733", 1.0),
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
    pan, wheel = PanTool(), WheelZoomTool()
    plot.add_tools(pan, wheel, BoxZoomTool(match_aspect=True), ZoomInTool(), ZoomOutTool(), ResetTool(), SaveTool())
    plot.add_tools(hover)
    plot.toolbar.active_drag = pan
    plot.toolbar.active_scroll = wheel
    plot.add_layout(
        ScaleBar(
            range=plot.x_range,
            unit="km",
            dimensional=MetricLength(exclude=["Mm", "dm", "hm"]),
            bar_length=0.1,
            location="bottom_right",
            background_fill_color=SEA_COLOR,
            background_fill_alpha=0.8,
            border_line_color=None,
        )
    )
    for model, properties, event in (
        (plot.x_range, ("start", "end"), "map-moved"),
        (plot.y_range, ("start", "end"), "map-moved"),
        (plot, ("inner_width", "inner_height"), "map-resized"),
    ):
        for name in properties:
            model.js_on_change(name, CustomJS(code=f"window.dispatchEvent(new Event('{event}'))"))
    return plot


def _extent(geometry: Geometry, insets: Sequence[_Inset]) -> dict[str, float]:
    """Return what the page shows when it opens, in km."""
    boxes = np.array([shapely.total_bounds(geometry), *(inset[1:] for inset in insets)]) / 1000
    lowest, highest = boxes.min(axis=0).round(3).tolist(), boxes.max(axis=0).round(3).tolist()
    return {"left": lowest[0], "bottom": lowest[1], "right": highest[2], "top": highest[3]}


def _draw_insets(plot: figure, insets: Sequence[_Inset]) -> None:
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
            text_color="#5b6977",
        )


def _with_stable_ids(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item with its models numbered from one: Bokeh counts on from map to map."""
    numbers: dict[str, str] = {}

    def renamed(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [renamed(part) for part in value]
        if not isinstance(value, dict):
            return value
        return {
            key: numbers.setdefault(part, f"m{len(numbers) + 1}")
            if key in ("id", "root_id") and isinstance(part, str)
            else renamed(part)
            for key, part in value.items()
        }

    return dict(renamed(item))


def _json(value: Any) -> str:
    """Return JSON that no text in it can end, or begin, an element with."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
