"""Map and report on income mixing: a three-color map with its triangle, and means of regions, years side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, Div, Range1d, Select
from bokeh.plotting import figure
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.graph.sphere import unwrapped
from geomob_dask.outputs.maps import map_figure
from geomob_dask.outputs.mixing_colors import composition_colors
from geomob_dask.outputs.page import Script, Section, report, sortable, write_page
from geomob_dask.outputs.palette import INK, SOFT, categories
from geomob_dask.outputs.plots import hover, plain_figure
from geomob_dask.outputs.polygons import pack, pack_polygons
from geomob_dask.outputs.provenance import record_of
from geomob_dask.outputs.result import notes_of_years, polygons, result
from geomob_dask.products.mixing import Options
from geomob_dask.products.product import Prepared
from geomob_dask.store import Store
from geomob_dask.transforms.display import simplify_for_display

# A region is drawn on some 700 pixels: half a pixel.
_STEPS_ACROSS = 1400
_STEPS = 14
_DEGREES = "EPSG:4326"
_METERS_PER_DEGREE = 111_195.0
_HEIGHT = np.sqrt(3) / 2
_MEASURES = ("low", "middle", "high", "divergence", "entropy_index", "wasserstein_signed", "people")

Floats = NDArray[np.float64]
Tables = Mapping[int, pd.DataFrame]


def write_map(store: Store, results: Sequence[Prepared], file: str) -> None:
    """Write the three-color map of results of the store."""
    notes = notes_of_years(store, results)
    page = report(*_titles(results), [_stored_map(store, results)], notes=notes)
    write_page("--map", file, page, record_of(store, results, option="--map"))


def write_report(store: Store, results: Sequence[Prepared], file: str) -> None:
    """Write the report on results of the store, with the map if the store has polygons."""
    tables = {item.options.year: result(store, item) for item in results}
    sections = [means_section(tables), spread_section(tables)]
    vintages = {store.snapshot(item.collection).attributes["vintage"] for item in results}
    if all(store.find(f"tracts/{vintage}") is not None for vintage in vintages):
        sections.insert(0, _stored_map(store, results))
    page = report(*_titles(results), sections, notes=notes_of_years(store, results))
    write_page("--report", file, page, record_of(store, results, option="--report"))


def _titles(results: Sequence[Prepared]) -> tuple[str, str]:
    options: Options = results[0].options
    years = ", ".join(str(item.options.year) for item in results)
    return (
        f"Income mixing: {options.brackets.title}",
        f"{options.dataset} {years}, tracts against their region (by {options.by})",
    )


def _stored_map(store: Store, results: Sequence[Prepared]) -> Section:
    shapes = {item.options.year: polygons(store, [item]) for item in results}
    tables = {item.options.year: result(store, item) for item in results}
    options: Options = results[0].options
    return map_section(tables, shapes, options.brackets.cuts)


# The map -------------------------------------------------------------------------------------


def map_section(tables: Tables, shapes: Mapping[int, gpd.GeoSeries], cuts: Sequence[float]) -> Section:
    """Return the map of one region and year at a time, with its legend triangle.

    Parameters
    ----------
    tables : mapping of year to DataFrame
        By tract: ``region``, shares ``low``, ``middle`` and ``high``, measures, ``people``.
    shapes : mapping of year to GeoSeries
        Polygons by tract.
    cuts : (lower, upper)
        Quantiles of the region's incomes between which a household is in the middle.

    Raises
    ------
    InputError
        If no tract has a polygon.
    """
    low, middle, high = cuts[0], cuts[1] - cuts[0], 1 - cuts[1]
    own = np.array([low, middle, high])
    regions: dict[str, dict[str, Any]] = {}
    for year, table in tables.items():
        regions |= _regions(table, shapes[year], own, year)
    if not regions:
        raise InputError("--map: no tract of the result has a polygon of its vintage")
    source = ColumnDataSource({name: [] for name in ("geoid", "color", "xs", "ys", "tx", "ty", *_MEASURES)})
    plot = map_figure(name="map", width=720, height=720)
    tracts = plot.patches(
        "xs", "ys", name="tracts", source=source, fill_color="color", line_color="white", line_width=0.3
    )
    hover(
        plot,
        tracts,
        ("tract", "@geoid"),
        ("low, middle, high", "@low{0.0%}, @middle{0.0%}, @high{0.0%}"),
        ("D", "@divergence{0.000}"),
        ("H", "@entropy_index{0.000}"),
        ("W, poorer −, richer +", "@wasserstein_signed{0.00}"),
        ("counted", "@people{0,0}"),
        point_policy="follow_mouse",
    )
    triangle = _triangle(own)
    triangle.scatter("tx", "ty", source=source, size=2.5, color=INK, alpha=0.25)
    for size, width, color in ((18, 5, "white"), (16, 2, INK)):
        at = {"x": [high + middle / 2], "y": [middle * _HEIGHT]}
        triangle.scatter(**at, marker="cross", size=size, color=color, line_width=width)
    select = Select(title="Region and year", name="region", value=next(iter(regions)), options=list(regions), width=340)
    count = Div(name="count", styles={"color": SOFT})
    return Section(
        "Low, middle and high incomes by tract",
        f"A tract's color mixes three: its shares of the region's lowest {low:.0%}, middle {middle:.0%} and highest "
        f"{high:.0%} of incomes. Gray is the region's own mix (the cross in the triangle). Each dot in the triangle "
        "is a tract of the selected region.",
        [row(plot, column(select, count, triangle))],
        script=Script("three_color_map", regions),
    )


def _regions(table: pd.DataFrame, shapes: gpd.GeoSeries, own: Floats, year: int) -> dict[str, dict[str, Any]]:
    """Return the data of each region for ``static/three_color_map.js``, those with most people first."""
    table = table[(table["region"] != "") & table.index.isin(shapes.index)]
    degrees = shapes.to_crs(_DEGREES)
    sizes = table.groupby("region")["people"].sum().sort_values(ascending=False)
    found = {}
    for region in sizes.index:
        rows = table[table["region"] == region]
        geometry = _upright(degrees.reindex(rows.index).to_numpy())
        width, height = shapely.total_bounds(geometry)[2:].tolist()
        simple = simplify_for_display(geometry, max(width, height) / _STEPS_ACROSS)
        found[f"{region}, {year}"] = {
            "geoid": rows.index.tolist(),
            "color": composition_colors(rows[["low", "middle", "high"]].to_numpy(), own),
            "tracts": pack_polygons(simple),
            "extent": [width / 1000, height / 1000],
            "measures": {name: pack(rows[name].to_numpy(dtype=np.float32)) for name in _MEASURES},
        }
    return found


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


# Tables --------------------------------------------------------------------------------------


def region_means(table: pd.DataFrame) -> pd.DataFrame:
    """Return the means of each region, weighted by people: the mean of D is M of the region, of H its multi-group H.

    Parameters
    ----------
    table : DataFrame
        By tract: ``region``, ``people``, ``divergence``, ``entropy_index``, ``wasserstein``, ``mixture``.
    """
    known = table[table["divergence"].notna() & (table["people"] > 0)]
    people = known["people"]
    columns = ["divergence", "entropy_index", "wasserstein", "mixture"]
    weighted = known[columns].mul(people, axis=0).groupby(known["region"]).sum()
    total = people.groupby(known["region"]).sum()
    means = weighted.div(total, axis=0)
    means.insert(0, "people", total)
    means.insert(0, "tracts", known.groupby("region").size())
    return means.sort_values("people", ascending=False)


def means_section(tables: Tables) -> Section:
    """Return a table of the means of regions, years side by side."""
    by_year = {year: region_means(table) for year, table in tables.items()}
    several = len(by_year) > 1
    table = pd.concat(
        [means.add_suffix(f" {year}") if several else means for year, means in by_year.items()], axis=1
    ).rename_axis("region")
    if several:
        names = [name for means in by_year.values() for name in means.columns]
        table = table[[f"{name} {year}" for name in dict.fromkeys(names) for year in by_year]]
    return Section(
        "Means by region" + (", years side by side" if several else ""),
        "Means over the people of a region. The mean of D is the region's mutual information M; the mean of H is how "
        "much less diverse tracts are than their region.",
        table=sortable(table),
    )


def spread_section(tables: Tables) -> Section:
    """Return histograms of the measures of tracts, years as lines."""
    plots = []
    labels = {"divergence": "D", "entropy_index": "H", "wasserstein_signed": "W (poorer −, richer +)"}
    for name, label in labels.items():
        plot = plain_figure(width=375, height=260, title=f"{label}: share of tracts")
        known = {year: table[name].dropna() for year, table in tables.items()}
        every = pd.concat(list(known.values()))
        edges = np.linspace(every.quantile(0.005), every.quantile(0.995), 41)
        for (year, values), color in zip(known.items(), categories(len(known)), strict=True):
            heights = np.histogram(values, bins=edges)[0] / max(len(values), 1)
            middle = (edges[:-1] + edges[1:]) / 2
            plot.step(middle, heights, mode="center", line_width=2, color=color, legend_label=str(year))
        plot.legend.border_line_color = None
        plots.append(plot)
    return Section("Distribution over tracts", "The lowest and highest 0.5% of tracts are not shown.", plots)
