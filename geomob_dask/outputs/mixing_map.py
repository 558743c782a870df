"""Maps of income mixing: three colors with their triangle, the most frequent class, and choropleths of D, H and W."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.frames.mixing import CLASSES
from geomob_dask.graph.sphere import unwrapped
from geomob_dask.outputs.classes import categories, even
from geomob_dask.outputs.map_files import MapContent
from geomob_dask.outputs.maps import MAP_LIBRARIES, Layer, first_layer, layer_data, spread
from geomob_dask.outputs.mixing_colors import composition_colors
from geomob_dask.outputs.names import RegionNames
from geomob_dask.outputs.packing import finite, in_base64, pack_json, pack_numbers
from geomob_dask.outputs.page import Choices, Figure, MapBox, Script, Section
from geomob_dask.outputs.palette import CORRELATION, INCOMES, INK, NO_VALUE, OPPORTUNITY
from geomob_dask.outputs.polygons import pack_polygons
from geomob_dask.sources.place_names import tract_name
from geomob_dask.transforms.display import simplify_for_display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A region is drawn on some 700 pixels: half a pixel.
_STEPS_ACROSS = 1400
_STEPS = 14
_DEGREES = "EPSG:4326"
_METERS_PER_DEGREE = 111_195.0
_HEIGHT = np.sqrt(3) / 2
_CORNERS = ((0, -0.02, "low"), (0.5, _HEIGHT + 0.02, "middle"), (1, -0.02, "high"))
_INDICES = ("divergence", "entropy_index", "wasserstein", "wasserstein_signed")
_THREE_COLORS, _MODAL = "Low, middle and high: three colors", "Most frequent class: low, middle or high"
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
    region_names: RegionNames | None = None,
    source: str = "",
    layer: str | None = None,
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
    region_names : RegionNames, optional
        Of the regions to choose from.
    source : str
        A line below the maps.
    layer : str, optional
        That the map opens with; see `maps.first_layer`.

    Raises
    ------
    InputError
        If no tract has a polygon, or there is no such layer.
    """
    own = _own(cuts)
    regions: dict[str, dict[str, Any]] = {}
    known = region_names or RegionNames("")
    for year, table in tables.items():
        regions |= _regions(table, shapes[year], own, year, known)
    if not regions:
        raise InputError("--map: no tract of the result has a polygon of its vintage")
    mix, modal, *layers = all_layers(tables, own, distance)
    listed = [one.label for one in first_layer([mix, modal, *layers], layer)]
    for region in regions.values():
        rows = region.pop("rows")
        region["layers"] = [layer_data(one, rows) for one in layers]
    data = {
        "regions": regions,
        "mix": mix.label,
        "examples": [
            {"color": mix.scale.colors[k], "label": mix.scale.labels[k]} for k in range(len(mix.scale.colors))
        ],
        "modal": {"label": modal.label, "scale": asdict(modal.scale)},
        "missing": NO_VALUE,
        "beside": [one.column for one in layers[:3]] if beside else [],
    }
    main = Section(
        "Low, middle and high incomes by tract",
        f"A tract's color mixes three: its shares of the region's lowest {own[0]:.0%}, middle {own[1]:.0%} and highest "
        f"{own[2]:.0%} of incomes. Gray is the region's own mix (the cross in the triangle). Each dot in the triangle "
        f"is a tract of the selected region. Other layers show one index, or the class that most are in. After {SOURCE}"
        ": the three-color map and its legend (“Other quantizations”).",
        [
            Choices("Region and year", "map-region", list(regions), together="region"),
            Choices("Layer", "map-layer", listed),
            MapBox("map-mixing", "Tracts"),
            Figure(
                _triangle(own),
                "Every mix of low, middle and high in its color; dots are the tracts of the selected region",
                "Colors of mixes, and the tracts of the region",
                widest=420,
            ),
        ],
        script=Script("three_color_map", data, libraries=MAP_LIBRARIES),
        source=source,
    )
    return [main, _choropleths(layers[:3], source)] if beside else [main]


def picture(
    shapes: gpd.GeoDataFrame,
    tables: Tables,
    year: int,
    cuts: Sequence[float],
    *,
    distance: str = BRACKETS,
    title: str,
    subtitle: str,
    source: str,
    notes: Sequence[str] = (),
) -> MapContent:
    """Return a map of all regions of a year, for print; see `map_sections` for parameters.

    Parameters
    ----------
    shapes : GeoDataFrame
        Tracts by geoid, for display; those in no region are left out.
    """
    own = _own(cuts)
    table = tables[year][tables[year]["region"] != ""]
    shares, codes = table[list(CLASSES)], class_codes(table["modal_class"])
    shown = table.assign(
        mix=shares.sum(axis=1, skipna=False) * 0,
        color=composition_colors(shares.to_numpy(), own),
        modal=np.where(codes < len(CLASSES), codes, np.nan),
    )
    return MapContent(
        shapes[shapes.index.isin(shown.index)],
        shown,
        all_layers(tables, own, distance),
        title=title,
        subtitle=subtitle,
        source=source,
        notes=notes,
        missing_note="no value",
        areas="region",
    )


def _own(cuts: Sequence[float]) -> Floats:
    """Return the shares of a region's own mix."""
    return np.array([cuts[0], cuts[1] - cuts[0], 1 - cuts[1]])


def all_layers(tables: Tables, own: Floats, distance: str = BRACKETS) -> list[Layer]:
    """Return the three-color map, whose classes are examples of mixes, the most frequent class, and the indices."""
    examples = composition_colors(np.vstack([np.eye(len(CLASSES)), own]), own)
    labels = [*(f"all {name}" for name in CLASSES), "the region's own mix"]
    return [
        Layer(
            "mix",
            _THREE_COLORS,
            "",
            categories(examples, labels),
            f"the region's lowest {own[0]:.0%}, middle {own[1]:.0%} and highest {own[2]:.0%} of incomes; the cross is "
            "the region's own mix, dark lines are borders of regions",
            colors="color",
            key=partial(_draw_triangle, own),
        ),
        Layer("modal", _MODAL, "", categories(INCOMES, CLASSES)),
        *index_layers(tables, distance),
    ]


def index_layers(tables: Tables, distance: str = BRACKETS) -> list[Layer]:
    """Return D, H and W as layers, and W with its sign; one scale for all regions and years, so that they compare."""
    known = {name: pd.concat([table[name] for table in tables.values()]) for name in _INDICES}
    ends = {name: spread(values, _step(values), (0.0, 1.0)) for name, values in known.items()}
    reach = max(map(abs, ends["wasserstein_signed"]))
    far = "0: as the region"
    return [
        Layer("divergence", "D, divergence (nats)", "nats", even(OPPORTUNITY, *ends["divergence"]), far),
        Layer(
            "entropy_index",
            "H, entropy index",
            "",
            even(OPPORTUNITY, *ends["entropy_index"]),
            "0: as diverse as the region; below 0: more so; 1: all in one bracket",
        ),
        Layer(
            "wasserstein", f"W, Wasserstein index ({distance})", distance, even(OPPORTUNITY, *ends["wasserstein"]), far
        ),
        Layer(
            "wasserstein_signed",
            f"W with its sign: poorer −, richer + ({distance})",
            distance,
            even(CORRELATION, -reach, reach, kind="diverging"),
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


def _choropleths(layers: Sequence[Layer], source: str) -> Section:
    """Return small maps of the tracts of the large one, which move with it."""
    return Section(
        "D, H and W by tract",
        "The region and year of the map above; the three maps move with it. Each index has one scale for all regions "
        f"and years of this page. After {SOURCE}: the maps of the D-index, H-index and W-index. There dark tracts "
        "are like the region; here light ones are.",
        [MapBox(f"map-{layer.column}", layer.label) for layer in layers],
        source=source,
    )


def _regions(
    table: pd.DataFrame, shapes: gpd.GeoSeries, own: Floats, year: int, names: RegionNames
) -> dict[str, dict[str, Any]]:
    """Return the data of each region for ``static/three_color_map.js``, those with most people first."""
    table = table[(table["region"] != "") & table.index.isin(shapes.index)]
    degrees = shapes.to_crs(_DEGREES)
    found = {}
    for region in by_people(table):
        rows = table[table["region"] == region]
        geometry = _upright(degrees.reindex(rows.index).to_numpy())
        width, height = shapely.total_bounds(geometry)[2:].tolist()
        simple = simplify_for_display(geometry, max(width, height) / _STEPS_ACROSS)
        codes, shares = class_codes(rows["modal_class"]), rows[list(CLASSES)]
        missing, colors = shares.isna().any(axis=1), composition_colors(shares.to_numpy(), own)
        step = max(width, height) / _STEPS_ACROSS / 3
        found[option_of_region(names, region, year)] = {
            "geoid": pack_json(rows.index.tolist()),
            "name": pack_json([tract_name(geoid) for geoid in rows.index]),
            "color": pack_json([None if lost else color for lost, color in zip(missing, colors, strict=True)]),
            "class": pack_numbers(np.where(codes < len(CLASSES), codes, np.nan), 0),
            "tracts": in_base64(pack_polygons(simple, np.arange(len(rows)), step=step)),
            "extent": {"left": 0.0, "bottom": 0.0, "right": width, "top": height},
            "shares": [pack_numbers(finite(rows[name]), 3) for name in CLASSES],
            "people": pack_numbers(finite(rows["people"]), 0),
            "rows": rows.reset_index(drop=True),
        }
    return found


def option_of_region(names: RegionNames, region: str, year: int) -> str:
    """Return what a region and year are called in the lists of maps and of figures, which are chosen together."""
    return f"{names.label(region)}, {year}"


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
    """Return the legend: every mix of low, middle and high in its color, and dots that the script fills."""
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
    across, up, colors = _cells(own)
    plot.patches(across.tolist(), up.tolist(), fill_color=colors, line_color=colors)
    for x, y, text in _CORNERS:
        baseline = "bottom" if y > 0 else "top"
        plot.text([x], [y], [text], text_align="center", text_baseline=baseline, text_color=INK)
    plot.scatter("x", "y", source=ColumnDataSource({"x": [], "y": []}, name="mixes"), size=2.5, color=INK, alpha=0.25)
    for size, line_width, color in ((18, 5, "white"), (16, 2, INK)):
        at = {"x": [own[2] + own[1] / 2], "y": [own[1] * _HEIGHT]}
        plot.scatter(**at, marker="cross", size=size, color=color, line_width=line_width)
    return plot


def _cells(own: Floats) -> tuple[Floats, Floats, list[str]]:
    """Return the small triangles of the legend: x and y of their corners, and their colors."""
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
    return high + middle / 2, middle * _HEIGHT, colors


def _draw_triangle(own: Floats, axes: Axes) -> None:
    """Draw the legend for print."""
    from matplotlib.collections import PolyCollection

    across, up, colors = _cells(own)
    axes.add_collection(PolyCollection(list(np.stack([across, up], axis=-1)), facecolors=colors, edgecolors=colors))
    for x, y, text in _CORNERS:
        axes.text(x, y, text, ha="center", va="bottom" if y > 0 else "top", fontsize=8, color=INK)
    for size, width, color in ((13, 3.5, "white"), (12, 1.5, INK)):
        axes.plot(own[2] + own[1] / 2, own[1] * _HEIGHT, "+", markersize=size, markeredgewidth=width, color=color)
    axes.set_xlim(-0.1, 1.1)
    axes.set_ylim(-0.12, _HEIGHT + 0.12)
