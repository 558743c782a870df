"""Maps of income mixing: three colors with their triangle, the most frequent class, and choropleths of D, H and W."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, Div, LinearColorMapper, Range1d, Select
from bokeh.plotting import figure
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.frames.mixing import CLASSES
from geomob_dask.graph.sphere import unwrapped
from geomob_dask.outputs.maps import Layer, map_figure, spread
from geomob_dask.outputs.mixing_colors import composition_colors
from geomob_dask.outputs.page import Script, Section
from geomob_dask.outputs.palette import CORRELATION, INCOMES, INK, MISSING, OPPORTUNITY, SOFT
from geomob_dask.outputs.plots import hover
from geomob_dask.outputs.polygons import pack, pack_polygons
from geomob_dask.transforms.display import simplify_for_display

# A region is drawn on some 700 pixels: half a pixel.
_STEPS_ACROSS = 1400
_STEPS = 14
_DEGREES = "EPSG:4326"
_METERS_PER_DEGREE = 111_195.0
_HEIGHT = np.sqrt(3) / 2
_INDICES = ("divergence", "entropy_index", "wasserstein", "wasserstein_signed")
_MEASURES = (*CLASSES, *_INDICES, "people")
_THREE_COLORS, _MODAL = "Low, middle and high: three colors", "Most frequent class: low, middle or high"
# Three further maps of a region with more tracts than this would be slow to draw.
_MOST_DRAWN = 10_000
# The unit of W where brackets lie one apart, and elsewhere.
BRACKETS, POSITIONS = "brackets moved", "distance between positions"
SOURCE = "von Bergmann, “Income mixing and segregation”"

Floats = NDArray[np.float64]
Tables = Mapping[int, pd.DataFrame]


def map_sections(
    tables: Tables,
    shapes: Mapping[int, gpd.GeoSeries],
    cuts: Sequence[float],
    *,
    distance: str = BRACKETS,
    beside: bool = False,
) -> list[Section]:
    """Return the map of one region and year at a time, and perhaps choropleths of D, H and W beside each other.

    Parameters
    ----------
    tables : mapping of year to DataFrame
        By tract: ``region``, shares ``low``, ``middle`` and ``high``, ``modal_class``, measures, ``people``.
    shapes : mapping of year to GeoSeries
        Polygons by tract.
    cuts : (lower, upper)
        Quantiles of the region's incomes between which a household is in the middle.
    distance : str
        The unit of W.
    beside : bool
        Whether there is a second section, with the choropleths of the same region.

    Raises
    ------
    InputError
        If no tract has a polygon.
    """
    own = np.array([cuts[0], cuts[1] - cuts[0], 1 - cuts[1]])
    regions: dict[str, dict[str, Any]] = {}
    for year, table in tables.items():
        regions |= _regions(table, shapes[year], own, year)
    if not regions:
        raise InputError("--map: no tract of the result has a polygon of its vintage")
    layers = index_layers(tables, distance)
    names = ("geoid", "color", "class", "xs", "ys", "tx", "ty", *_MEASURES)
    source = ColumnDataSource({name: [] for name in names})
    plot = map_figure(name="map", width=720, height=720, sizing_mode="scale_width", toolbar_inner=True, min_border=0)
    # Tools are over the map: beside it they would leave less than a square.
    plot.toolbar.autohide = True
    _draw(plot, source, "tracts", "color")
    shown = {
        _THREE_COLORS: {"kind": "mix", "legend": ""},
        _MODAL: {"kind": "class", "legend": _swatches(INCOMES, CLASSES)},
        **{layer.label: _plain(layer) for layer in layers},
    }
    data = {
        "regions": regions,
        "classes": {"names": list(CLASSES), "colors": INCOMES},
        "layers": shown,
        "missing": MISSING,
        "most": _MOST_DRAWN,
        "beside": [f"tracts of {name}" for name in _INDICES[:3]] if beside else [],
    }
    main = Section(
        "Low, middle and high incomes by tract",
        f"A tract's color mixes three: its shares of the region's lowest {own[0]:.0%}, middle {own[1]:.0%} and highest "
        f"{own[2]:.0%} of incomes. Gray is the region's own mix (the cross in the triangle). Each dot in the triangle "
        f"is a tract of the selected region. Other layers show one index, or the class that most are in. After {SOURCE}"
        ": the three-color map and its legend (“Other quantizations”).",
        [plot, _side(source, own, regions, list(shown))],
        stretch=True,
        script=Script("three_color_map", data),
    )
    return [main, _choropleths(layers[:3], source, plot)] if beside else [main]


def index_layers(tables: Tables, distance: str = BRACKETS) -> list[Layer]:
    """Return D, H and W as layers, and W with its sign; one scale for all regions and years, so that they compare."""
    known = {name: pd.concat([table[name] for table in tables.values()]) for name in _INDICES}
    ends = {name: spread(values, _step(values), (0.0, 1.0)) for name, values in known.items()}
    reach = max(map(abs, ends["wasserstein_signed"]))
    far = "0: as the region"
    return [
        Layer("divergence", "D, divergence (nats)", "nats", OPPORTUNITY, *ends["divergence"], far),
        Layer(
            "entropy_index",
            "H, entropy index",
            "",
            OPPORTUNITY,
            *ends["entropy_index"],
            "0: as diverse as the region; below 0: more so; 1: all in one bracket",
        ),
        Layer("wasserstein", f"W, Wasserstein index ({distance})", distance, OPPORTUNITY, *ends["wasserstein"], far),
        Layer(
            "wasserstein_signed",
            f"W with its sign: poorer −, richer + ({distance})",
            distance,
            CORRELATION,
            -reach,
            reach,
            "below 0 (red): poorer than the region; above 0 (blue): richer",
        ),
    ]


def _step(values: pd.Series) -> float:
    """Return a round step, of which some twenty cover the values."""
    known = values.dropna().abs()
    most = float(known.quantile(0.98)) if len(known) else 1.0
    if not most > 0:
        return 1.0
    size = float(10.0 ** np.floor(np.log10(most / 20)))
    return size * next(factor for factor in (1, 2, 5, 10) if factor * size >= most / 20)


def _plain(layer: Layer) -> dict[str, Any]:
    return {
        "kind": "number",
        "column": layer.column,
        "palette": list(layer.palette),
        "low": layer.low,
        "high": layer.high,
        "legend": _scale(layer),
    }


def _scale(layer: Layer) -> str:
    """Return the legend of a layer as HTML: its colors in a row, with the values of its ends."""
    colors = "".join(f'<i style="flex:1;height:14px;background:{color}"></i>' for color in layer.palette)
    ends = f"<span>≤ {layer.low:.3g}</span><span>≥ {layer.high:.3g}</span>"
    return (
        f'<div style="width:min(340px,78vw)"><div style="display:flex">{colors}</div><div style="display:flex;'
        f'justify-content:space-between">{ends}</div><div>{layer.explanation}. Gray: no value.</div></div>'
    )


def _swatches(colors: Sequence[str], names: Sequence[str]) -> str:
    style = "display:inline-block;width:12px;height:12px;margin-right:7px;background:"
    return "".join(
        f'<div><i style="{style}{color}"></i>{name}</div>' for color, name in zip(colors, names, strict=True)
    )


def _draw(plot: figure, source: ColumnDataSource, name: str, fill: Any) -> None:
    tracts = plot.patches("xs", "ys", name=name, source=source, fill_color=fill, line_color="white", line_width=0.3)
    hover(
        plot,
        tracts,
        ("tract", "@geoid"),
        ("low, middle, high", "@low{0.0%}, @middle{0.0%}, @high{0.0%}"),
        ("most frequent", "@class"),
        ("D", "@divergence{0.000}"),
        ("H", "@entropy_index{0.000}"),
        ("W, poorer −, richer +", "@wasserstein_signed{0.00}"),
        ("counted", "@people{0,0}"),
        point_policy="follow_mouse",
    )


def _side(source: ColumnDataSource, own: Floats, regions: Mapping[str, Any], layers: Sequence[str]) -> Any:
    """Return what stands beside the map: lists to choose from, the number of tracts, the legend."""
    _, middle, high = own
    triangle = _triangle(own)
    triangle.scatter("tx", "ty", source=source, size=2.5, color=INK, alpha=0.25)
    for size, width, color in ((18, 5, "white"), (16, 2, INK)):
        at = {"x": [high + middle / 2], "y": [middle * _HEIGHT]}
        triangle.scatter(**at, marker="cross", size=size, color=color, line_width=width)
    wide = {"sizing_mode": "stretch_width", "max_width": 380}
    select = Select(title="Region and year", name="region", value=next(iter(regions)), options=list(regions), **wide)
    layer = Select(title="Layer", name="layer", value=layers[0], options=list(layers), **wide)
    text = {"styles": {"color": SOFT}, "sizing_mode": "stretch_width"}
    return column(
        select, layer, Div(name="count", **text), Div(name="scale", **text), triangle, sizing_mode="stretch_width"
    )


def _choropleths(layers: Sequence[Layer], source: ColumnDataSource, main: figure) -> Section:
    """Return small maps of the tracts of the large one, which move with it."""
    plots = []
    for layer in layers:
        plot = map_figure(width=380, height=380, sizing_mode="scale_width", toolbar_location=None, min_border=0)
        plot.x_range, plot.y_range = main.x_range, main.y_range
        colors = LinearColorMapper(palette=list(layer.palette), low=layer.low, high=layer.high, nan_color=MISSING)
        _draw(plot, source, f"tracts of {layer.column}", {"field": layer.column, "transform": colors})
        text = f'<b style="color:{INK}">{layer.label}</b>{_scale(layer)}'
        legend = Div(text=text, styles={"color": SOFT}, sizing_mode="stretch_width")
        plots.append(column(plot, legend, sizing_mode="stretch_width"))
    return Section(
        "D, H and W by tract",
        "The region and year of the map above; the three maps move with it. Each index has one scale for all regions "
        f"and years of this page. After {SOURCE}: the maps of the D-index, H-index and W-index. There dark tracts "
        f"are like the region; here light ones are. Regions of more than {_MOST_DRAWN:,} tracts are drawn above only.",
        plots,
        stretch=True,
    )


def _regions(table: pd.DataFrame, shapes: gpd.GeoSeries, own: Floats, year: int) -> dict[str, dict[str, Any]]:
    """Return the data of each region for ``static/three_color_map.js``, those with most people first."""
    table = table[(table["region"] != "") & table.index.isin(shapes.index)]
    degrees = shapes.to_crs(_DEGREES)
    found = {}
    for region in by_people(table):
        rows = table[table["region"] == region]
        geometry = _upright(degrees.reindex(rows.index).to_numpy())
        width, height = shapely.total_bounds(geometry)[2:].tolist()
        simple = simplify_for_display(geometry, max(width, height) / _STEPS_ACROSS)
        found[f"{region}, {year}"] = {
            "geoid": rows.index.tolist(),
            "color": composition_colors(rows[list(CLASSES)].to_numpy(), own),
            "class": pack(class_codes(rows["modal_class"])),
            "tracts": pack_polygons(simple),
            "extent": [width / 1000, height / 1000],
            "measures": {name: pack(rows[name].to_numpy(dtype=np.float32)) for name in _MEASURES},
        }
    return found


def by_people(table: pd.DataFrame) -> list[str]:
    """Return the regions of a table, those with most people first."""
    sizes = table[table["region"] != ""].groupby("region")["people"].sum()
    return [str(region) for region in sizes.sort_values(ascending=False, kind="stable").index]


def class_codes(classes: pd.Series) -> NDArray[np.uint8]:
    """Return the position of each tract's class among low, middle and high; 3 where there is none."""
    codes = np.full(len(classes), len(CLASSES), dtype=np.uint8)
    for place, name in enumerate(CLASSES):
        codes[(classes == name).to_numpy()] = place
    return codes


def _upright(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return polygons in meters from the region's corner, north up: degrees stretched at its middle latitude."""
    geometry = unwrapped(geometry, together=True)
    left, bottom, _, top = shapely.total_bounds(geometry)
    scale = _METERS_PER_DEGREE * np.array([np.cos(np.radians((bottom + top) / 2)), 1.0])
    corner = np.array([left, bottom])
    return np.asarray(shapely.transform(geometry, lambda points: (points - corner) * scale), dtype=object)


def _triangle(own: Floats) -> figure:
    """Return the legend: every mix of low, middle and high in its color."""
    plot = figure(
        width=380,
        height=370,
        sizing_mode="scale_width",
        max_width=380,
        x_range=Range1d(-0.17, 1.17),
        y_range=Range1d(-0.16, 1.0),
        tools="",
        toolbar_location=None,
        outline_line_color=None,
        background_fill_color=None,
        name="legend",
    )
    plot.axis.visible = plot.grid.visible = False
    corners = []
    for i in range(_STEPS):
        for j in range(_STEPS - i):
            corners.append([(i, j), (i + 1, j), (i, j + 1)])
            if i + j < _STEPS - 1:
                corners.append([(i + 1, j), (i + 1, j + 1), (i, j + 1)])
    shares = np.array(corners) / _STEPS
    middle, high = shares[..., 0], shares[..., 1]
    centers = np.stack([middle.mean(axis=1), high.mean(axis=1)], axis=1)
    colors = composition_colors(np.column_stack([1 - centers.sum(axis=1), centers]), own)
    plot.patches((high + middle / 2).tolist(), (middle * _HEIGHT).tolist(), fill_color=colors, line_color=colors)
    for x, y, text in ((0, -0.02, "low"), (0.5, _HEIGHT + 0.02, "middle"), (1, -0.02, "high")):
        baseline = "bottom" if y > 0 else "top"
        plot.text([x], [y], [text], text_align="center", text_baseline=baseline, text_color=INK)
    return plot
