"""Income mixing on a page: the three-colour map with its triangle, and what regions are like, years side by side."""

import base64
from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, CustomJS, Div, HoverTool, Range1d, Select
from bokeh.plotting import figure
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.outputs.mixing import polygons
from geomob_dask.outputs.mixing_colors import composition_colors
from geomob_dask.outputs.segregation_page import INK, SOFT, Section, page, plain_figure, sortable, write_page
from geomob_dask.runs.mixing import Request, result
from geomob_dask.store import Store
from geomob_dask.transforms.display import POLYGONAL, simplify_for_display

# A region is drawn on some 700 pixels: half a pixel.
_STEPS_ACROSS = 1400
_STEPS = 14
_DEGREES = "EPSG:4326"
_METERS_A_DEGREE = 111_195.0
_HEIGHT = np.sqrt(3) / 2
_MEASURES = ("low", "middle", "high", "divergence", "entropy_index", "wasserstein_signed", "people")


def write_map(store: Store, requests: Sequence[Request], file: str) -> None:
    """Write the three-colour map of results."""
    write_page("--map", file, _page(store, requests, [_map_section(store, requests)]))


def write_report(store: Store, requests: Sequence[Request], file: str) -> None:
    """Write a report on results: the map, where the store has polygons, and tables of regions, years side by side."""
    sections = [_tables_section(store, requests), _spread_section(store, requests)]
    if _vintage_is_there(store, requests):
        sections.insert(0, _map_section(store, requests))
    write_page("--report", file, _page(store, requests, sections))


def _page(store: Store, requests: Sequence[Request], sections: Sequence[Section]) -> str:
    universe = requests[0].universe
    years = ", ".join(str(request.universe.year) for request in requests)
    return page(
        f"Income mixing: {universe.categories.title}",
        f"{universe.dataset} {years}, tracts against their region (by {universe.by})",
        sections,
    )


def _vintage_is_there(store: Store, requests: Sequence[Request]) -> bool:
    vintages = {store.snapshot(request.collection).attributes["vintage"] for request in requests}
    return all(store.find(f"tracts/{vintage}") is not None for vintage in vintages)


# The map -------------------------------------------------------------------------------------


def _map_section(store: Store, requests: Sequence[Request]) -> Section:
    drawn: dict[str, dict[str, Any]] = {}
    for request in requests:
        snapshot = store.snapshot(request.collection)
        shapes = polygons(store, snapshot.attributes["vintage"], list(snapshot.parts))
        drawn |= _regions(result(store, request), shapes, request)
    if not drawn:
        raise InputError("--map: no tract of the result has a polygon of its vintage")
    cuts = requests[0].brackets.cuts
    low, middle, high = cuts[0], cuts[1] - cuts[0], 1 - cuts[1]
    return Section(
        "Who lives where: low, middle and high incomes",
        f"A tract's colour mixes three: its shares of the region's lowest {low:.0%}, middle {middle:.0%} and highest "
        f"{high:.0%} of incomes. Grey is the region's own mix (the cross in the triangle); every dot of the triangle "
        "is a tract of the region shown.",
        [three_color_map(drawn, np.array([low, middle, high]))],
    )


def _regions(table: pd.DataFrame, shapes: gpd.GeoSeries, request: Request) -> dict[str, dict[str, Any]]:
    """Return what the page knows of each region, those with most people first."""
    table = table[(table["region"] != "") & table.index.isin(shapes.index)]
    degrees = shapes.to_crs(_DEGREES)
    cuts = request.brackets.cuts
    own = np.array([cuts[0], cuts[1] - cuts[0], 1 - cuts[1]])
    sizes = table.groupby("region")["people"].sum().sort_values(ascending=False)
    found = {}
    for region in sizes.index:
        rows = table[table["region"] == region]
        geometry = _upright(degrees.reindex(rows.index).to_numpy())
        found[f"{region}, {request.universe.year}"] = {
            "geoid": rows.index.tolist(),
            "color": composition_colors(rows[["low", "middle", "high"]].to_numpy(), own),
            **_packed_polygons(geometry),
            **{name: _packed(rows[name].to_numpy(dtype=np.float32)) for name in _MEASURES},
        }
    return found


def _upright(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return polygons in metres, north up: degrees stretched at the region's middle latitude."""
    bounds = shapely.total_bounds(geometry)
    scale = _METERS_A_DEGREE * np.array([np.cos(np.radians((bounds[1] + bounds[3]) / 2)), 1.0])
    return np.asarray(shapely.transform(geometry, lambda points: points * scale), dtype=object)


def _packed_polygons(geometry: NDArray[np.object_]) -> dict[str, Any]:
    """Return outlines in km from their corner: all x, all y, and where each tract's begin; NaN parts rings."""
    left, bottom, right, top = shapely.total_bounds(geometry)
    simple = simplify_for_display(geometry, max(right - left, top - bottom) / _STEPS_ACROSS)
    xs, ys, starts = [], [], [0]
    for polygon in simple:
        there = shapely.get_type_id(polygon) in POLYGONAL if polygon is not None else False
        rings = shapely.get_rings(shapely.get_parts(polygon)) if there else []
        points = [np.vstack([shapely.get_coordinates(ring), [[np.nan, np.nan]]]) for ring in rings]
        joined = np.concatenate(points)[:-1] if points else np.zeros((0, 2))
        xs.append((joined[:, 0] - left) / 1000)
        ys.append((joined[:, 1] - bottom) / 1000)
        starts.append(starts[-1] + len(joined))
    return {
        "x": _packed(np.concatenate(xs).astype(np.float32)),
        "y": _packed(np.concatenate(ys).astype(np.float32)),
        "starts": _packed(np.array(starts, dtype=np.float32)),
        "extent": [float(right - left) / 1000, float(top - bottom) / 1000],
    }


def _packed(values: NDArray[np.float32]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


_SHOW = """
const unpack = (text) => {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Float32Array(bytes.buffer);
};
const region = regions[select.value];
const x = unpack(region.x), y = unpack(region.y), starts = unpack(region.starts);
const data = {geoid: region.geoid, color: region.color, xs: [], ys: []};
for (let i = 0; i < region.geoid.length; i++) {
  data.xs.push(x.slice(starts[i], starts[i + 1]));
  data.ys.push(y.slice(starts[i], starts[i + 1]));
}
for (const name of measures) data[name] = Array.from(unpack(region[name]));
data.tx = data.high.map((high, i) => high + data.middle[i] / 2);
data.ty = data.middle.map((middle) => middle * Math.sqrt(3) / 2);
source.data = data;
const [width, height] = region.extent, half = 0.53 * Math.max(width, height);
x_range.setv({start: width / 2 - half, end: width / 2 + half});
y_range.setv({start: height / 2 - half, end: height / 2 + half});
count.text = `<b>${region.geoid.length.toLocaleString("en-US")}</b> tracts drawn`;
"""


def three_color_map(regions: dict[str, dict[str, Any]], own: NDArray[np.float64]) -> Any:
    """Return the map of one region at a time, with its legend triangle.

    Parameters
    ----------
    regions : mapping
        What the page knows of each region; the first is shown when the page opens.
    own : shape (3,)
        Shares low, middle and high of every region.
    """
    first = next(iter(regions.values()))
    source = ColumnDataSource(_unpacked(first))
    width, height = first["extent"]
    half = 0.53 * max(width, height)
    plot = figure(
        width=720,
        height=720,
        x_range=Range1d(width / 2 - half, width / 2 + half),
        y_range=Range1d(height / 2 - half, height / 2 + half),
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll="wheel_zoom",
        outline_line_color=None,
        background_fill_color="#f4f6f8",
        match_aspect=True,
        name="map",
    )
    plot.axis.visible = plot.grid.visible = False
    plot.toolbar.logo = None
    tracts = plot.patches("xs", "ys", source=source, fill_color="color", line_color="white", line_width=0.3)
    plot.add_tools(
        HoverTool(
            renderers=[tracts],
            point_policy="follow_mouse",
            tooltips=[
                ("tract", "@geoid"),
                ("low, middle, high", "@low{0.0%}, @middle{0.0%}, @high{0.0%}"),
                ("D", "@divergence{0.000}"),
                ("H", "@entropy_index{0.000}"),
                ("W, poorer −, richer +", "@wasserstein_signed{0.00}"),
                ("counted", "@people{0,0}"),
            ],
        )
    )
    legend = _triangle(own)
    legend.scatter("tx", "ty", source=source, size=2.5, color=INK, alpha=0.25)
    legend.scatter([own[2] + own[1] / 2], [own[1] * _HEIGHT], marker="cross", size=18, color="white", line_width=5)
    legend.scatter([own[2] + own[1] / 2], [own[1] * _HEIGHT], marker="cross", size=16, color=INK, line_width=2)
    select = Select(title="Region and year", value=next(iter(regions)), options=list(regions), width=340)
    count = Div(text=f"<b>{len(first['geoid']):,}</b> tracts drawn", styles={"color": SOFT})
    show = CustomJS(
        args={
            "regions": regions,
            "select": select,
            "source": source,
            "measures": list(_MEASURES),
            "x_range": plot.x_range,
            "y_range": plot.y_range,
            "count": count,
        },
        code=_SHOW,
    )
    select.js_on_change("value", show)
    return row(plot, column(select, count, legend))


def _unpacked(region: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a region as the page's script unpacks them."""

    def values(name: str) -> NDArray[np.float32]:
        return np.frombuffer(base64.b64decode(region[name]), dtype="<f4")

    starts = values("starts").astype(np.int64)[1:-1]
    columns: dict[str, Any] = {name: values(name) for name in _MEASURES}
    columns |= {"geoid": region["geoid"], "color": region["color"]}
    columns |= {f"{axis}s": np.split(values(axis), starts) for axis in ("x", "y")}
    columns["tx"] = columns["high"] + columns["middle"] / 2
    columns["ty"] = columns["middle"] * _HEIGHT
    return columns


def _triangle(own: NDArray[np.float64]) -> figure:
    """Return the legend: every mix of low, middle and high in its colour, and where the region lies."""
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
    composition = np.column_stack([1 - centers.sum(axis=1), centers])
    colors = composition_colors(composition, own)
    plot.patches(
        (high + middle / 2).tolist(),
        (middle * _HEIGHT).tolist(),
        fill_color=colors,
        line_color=colors,
    )
    for x, y, text, align in (
        (0, -0.02, "low", "center"),
        (0.5, _HEIGHT + 0.02, "middle", "center"),
        (1, -0.02, "high", "center"),
    ):
        plot.text([x], [y], [text], text_align=align, text_baseline="bottom" if y > 0 else "top", text_color=INK)
    return plot


# Tables --------------------------------------------------------------------------------------


def region_means(table: pd.DataFrame) -> pd.DataFrame:
    """Return each region's means over its people: of D that is M of the region, of H its multi-group H.

    Parameters
    ----------
    table : DataFrame
        As `runs.mixing.result` returns it.
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


def _tables_section(store: Store, requests: Sequence[Request]) -> Section:
    by_year = {request.universe.year: region_means(result(store, request)) for request in requests}
    several = len(by_year) > 1
    table = pd.concat(
        [means.add_suffix(f" {year}") if several else means for year, means in by_year.items()], axis=1
    ).rename_axis("region")
    if several:
        names = [name for means in by_year.values() for name in means.columns]
        table = table[[f"{name} {year}" for name in dict.fromkeys(names) for year in by_year]]
    return Section(
        "Regions" + (", years side by side" if several else ""),
        "Means over the people of a region. The mean of D is the region's mutual information M; the mean of H is how "
        "much less diverse a tract is than its region.",
        table=sortable(table),
    )


def _spread_section(store: Store, requests: Sequence[Request]) -> Section:
    plots = []
    labels = {"divergence": "D", "entropy_index": "H", "wasserstein_signed": "W, poorer − richer +"}
    tables = {request.universe.year: result(store, request) for request in requests}
    for name, label in labels.items():
        plot = plain_figure(width=375, height=260, title=f"{label}: share of tracts")
        known = {year: table[name].dropna() for year, table in tables.items()}
        every = pd.concat(list(known.values()))
        edges = np.linspace(every.quantile(0.005), every.quantile(0.995), 41)
        for number, (year, values) in enumerate(known.items()):
            heights = np.histogram(values, bins=edges)[0] / max(len(values), 1)
            plot.step(
                (edges[:-1] + edges[1:]) / 2,
                heights,
                mode="center",
                line_width=2,
                color=_YEARS[number % len(_YEARS)],
                legend_label=str(year),
            )
        plot.legend.border_line_color = None
        plots.append(plot)
    return Section("How tracts are spread", "Half a percent of the tracts at either end is not shown.", plots)


_YEARS = ("#1d5b8f", "#d9822b", "#3c8f5a", "#8a4fa0")
