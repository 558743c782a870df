"""An interactive map of tracts or regions in one HTML file, which opens without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed
from geomob_dask.outputs import names as known_names
from geomob_dask.outputs.classes import Scale
from geomob_dask.outputs.packing import finite, in_base64, pack_json, pack_numbers, rounded_to
from geomob_dask.outputs.page import Script, render
from geomob_dask.outputs.palette import NO_VALUE, SEA, SUPPRESSED
from geomob_dask.outputs.polygons import OUTLYING, Inset, arrange, dissolve, grid_step, pack_borders, pack_polygons
from geomob_dask.sources.place_names import county_name, state_label
from geomob_dask.transforms.display import Geometry, display_tolerance, simplify_for_display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What a script needs to draw maps and to save them.
MAP_LIBRARIES = ("arrays", "tract_map", "packed", "saving")
Level = Literal["tract", "region"]
# Where the outlying areas lie, by their first state: west, south, east, north in degrees.
_LIES = {
    "02": (172.0, 51.0, -129.0, 72.0),
    "15": (-179.0, 18.0, -154.0, 29.0),
    "66": (144.0, 13.0, 147.0, 21.0),
    "60": (-172.0, -15.5, -168.0, -10.0),
    "72": (-68.0, 17.0, -64.0, 19.0),
}


@dataclass(frozen=True)
class Layer:
    """A column to show on the map.

    Parameters
    ----------
    column : str
        Its name in the table of values.
    label, unit, explanation : str
        Texts of the legend; tooltips show the unit too.
    scale : Scale
        Classes, their colors and texts.
    bounds : (lower, upper), optional
        Columns of an interval, which the tooltip shows beside the value.
    note : str, optional
        Column of text that the tooltip shows with the value, such as its quality or why there is none.
    always : bool
        Whether the tooltip shows the value also while another layer is drawn.
    suppressed : str, optional
        Column of whether a missing value is known and not shown.
    colors : str, optional
        Column of colors as #rrggbb, which a picture for print shows in place of those of classes.
    key : callable, optional
        Draws what the legend of a picture shows in place of classes, on axes of equal steps.
    """

    column: str
    label: str
    unit: str
    scale: Scale
    explanation: str = ""
    bounds: tuple[str, str] | None = None
    note: str | None = None
    always: bool = True
    suppressed: str | None = None
    colors: str | None = None
    key: Callable[[Axes], None] | None = None


def first_layer(layers: Sequence[Layer], name: str | None) -> list[Layer]:
    """Return layers, the one of a name first: its column, or its label in any case.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if not name:
        return list(layers)
    chosen = [one for one in layers if name.casefold() in (one.column.casefold(), one.label.casefold())]
    if not chosen:
        there = listed([one.column for one in layers], 40)
        raise InputError(f"--layer {name}: not a layer of this map; expected one of: {there}")
    return [chosen[0], *(one for one in layers if one is not chosen[0])]


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


def map_page(
    shapes: gpd.GeoDataFrame,
    values: pd.DataFrame,
    layers: Sequence[Layer],
    *,
    title: str,
    missing_note: str,
    hint: str = "",
    subtitle: str = "",
    source: str = "",
    notes: Sequence[str] = (),
    details: Mapping[str, str] | None = None,
    regions: Mapping[str, pd.DataFrame] | None = None,
    level: Level = "tract",
    tolerance: float | None = None,
    names: Mapping[str, str] | None = None,
) -> str:
    """Return a page with a map of tracts or regions, colored by one layer at a time.

    Parameters
    ----------
    shapes : GeoDataFrame
        Polygons by key: the geoid of a tract (text; the first two characters are the state, the next three the
        county), or the code of a region.
    values : DataFrame
        The columns of layers (NaN is missing), their bounds and notes, and the details, by key. Rows without a polygon
        are counted in a note.
    layers : sequence of Layer
        The first is shown when the page opens.
    title, subtitle, source, missing_note : str
        Plain text. The legend shows the last after the number of tracts without a value.
    hint : str
        What the legend of the page says after it, but not that of a picture which is saved from the page.
    notes : sequence of str
        Further lines below the map.
    details : mapping of column to label, optional
        Further columns to show on hover; empty text is shown as a dash.
    regions : mapping of str to DataFrame, optional
        Tables of further regions to find by name, by their kind; see `names.named_regions`.
    level : "tract" or "region"
        What the keys are.
    tolerance : float, optional
        Meters by which borders may be simplified, by default from the extent of the map; 0 for shapes that
        `geomob_dask.frames.display.simplify` has simplified.
    names : mapping of str to str, optional
        What keys are called; by default tracts have their names of the Census Bureau, and regions their codes.

    Raises
    ------
    InputError
        If there are no shapes, no layers, no coordinate system, a key twice, or a column that is absent or not of
        numbers.
    """
    details = dict(details or {})
    noun = "tract" if level == "tract" else "region"
    _check(shapes, values, layers, details)
    drawn = shapes[~(shapes.geometry.isna() | shapes.geometry.is_empty)]
    if drawn.empty:
        raise InputError(f"map {title!r}: found no {noun} with a polygon, expected at least one")
    keys = drawn.index.to_numpy(dtype=object)
    states = states_of(drawn, level)
    geometry, insets, arranged = arrange(drawn.geometry, states)
    if tolerance is None:
        tolerance = display_tolerance(shapely.total_bounds(geometry))
    if tolerance > 0:
        # State by state, as a store does: all at once takes many times as long.
        for state in sorted(set(states)):
            rows = np.array(states) == state
            geometry[rows] = simplify_for_display(geometry[rows], tolerance)
    there = ~(shapely.is_missing(geometry) | shapely.is_empty(geometry))
    keys, geometry = keys[there], geometry[there]
    left_over = len(values.index.difference(drawn.index))
    if left_over:
        arranged.append(f"Not drawn (no polygon): {left_over:,} of the {counted(len(values), noun)} in the table.")
    rows = values.reindex(keys)
    extent = extent_of(geometry, insets)
    step = grid_step(list(extent.values()))
    page: dict[str, Any] = {
        "title": title,
        "subtitle": subtitle,
        "source": source,
        "missing_note": missing_note,
        "hint": hint,
        "missing_color": NO_VALUE,
        "suppressed_color": SUPPRESSED,
        "background": SEA,
        "level": level,
        "noun": noun,
        "keys": pack_json(keys.tolist()),
        "polygons": in_base64(pack_polygons(geometry, np.arange(len(keys)), step=step)),
        "borders": _borders(keys, geometry, level, step),
        "layers": [layer_data(layer, rows) for layer in layers],
        "details": [{"label": label, **_texts(rows[column])} for column, label in details.items()],
        "extent": extent,
        "insets": [inset._asdict() for inset in insets],
        **(_of_tracts(keys.tolist(), regions) if level == "tract" else {"places": [], "kinds": [], "kind_titles": {}}),
    }
    if names is not None or level == "region":
        page["names"] = pack_json([str((names or {}).get(key) or key) for key in keys])
    wide, high = extent["right"] - extent["left"], extent["top"] - extent["bottom"]
    return render(
        "map.html",
        {},
        [Script("map_page", page, libraries=MAP_LIBRARIES)],
        title=title,
        subtitle=subtitle,
        source=source,
        notes=[*arranged, *notes],
        shape=round(min(max(wide / max(high, 1.0), 0.6), 2.2), 3),
    )


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
    for column in [*(name for layer in layers for name in _columns(layer)), *details]:
        if column not in values.columns:
            raise InputError(f"map: column {column!r} is absent; found {listed(values.columns, 40)}")
    for layer in layers:
        for column in (layer.column, *(layer.bounds or ())):
            if not pd.api.types.is_numeric_dtype(values[column]):
                raise InputError(f"map: column {column!r}: found {values[column].dtype}, expected numbers")


def _columns(layer: Layer) -> tuple[str, ...]:
    return (layer.column, *(layer.bounds or ()), *(one for one in (layer.note, layer.suppressed) if one))


def _of_tracts(geoids: list[str], regions: Mapping[str, pd.DataFrame] | None) -> dict[str, Any]:
    """Return what tracts are called and found by: names of their counties, and places."""
    places = known_names.places(geoids, regions)
    kinds = known_names.kinds_of_regions(places)
    counties = sorted({geoid[:5] for geoid in geoids})
    return {
        "county_names": {code: county_name(code) or state_label(code[:2]) for code in counties},
        "places": places,
        "kinds": kinds,
        "kind_titles": {kind: known_names.kind_title(kind) for kind in ("state", "county", *kinds)},
    }


def _borders(keys: NDArray[np.object_], geometry: Geometry, level: Level, step: float) -> list[dict[str, str]]:
    """Return lines to draw above the polygons: of states and counties, or of regions."""
    if level == "tract":
        codes, counties = dissolve(geometry, [key[:5] for key in keys])
        _, states = dissolve(counties, [code[:2] for code in codes])
        found = {"county": pack_borders(counties, step=step, without=states), "state": pack_borders(states, step=step)}
    else:
        found = {"region": pack_borders(geometry, step=step)}
        if lie_in_states(keys, level):
            found["state"] = pack_borders(dissolve(geometry, [key[:2] for key in keys])[1], step=step)
    return [{"kind": kind, "lines": in_base64(lines)} for kind, lines in found.items()]


def outlines(geometry: Geometry, states: Sequence[str], step: float) -> list[dict[str, str]]:
    """Return the borders of polygons, and of their states, as a map's script draws them."""
    _, whole = dissolve(geometry, states)
    found = {"region": pack_borders(geometry, step=step, without=whole), "state": pack_borders(whole, step=step)}
    return [{"kind": kind, "lines": in_base64(lines)} for kind, lines in found.items()]


def states_of(shapes: gpd.GeoDataFrame, level: Level) -> list[str]:
    """Return the state of each tract, or one in the same area of the map as a region: codes of regions do not tell."""
    if level == "tract":
        return [str(key)[:2] for key in shapes.index]
    inside = gpd.GeoSeries(shapely.point_on_surface(shapes.geometry.to_numpy()), crs=shapes.crs).to_crs("EPSG:4269")
    found = np.full(len(shapes), "00", dtype=object)
    for area in OUTLYING:
        west, south, east, north = _LIES[area.states[0]]
        longitude = inside.x.to_numpy() % 360
        at = (longitude > west % 360) & (longitude < east % 360) & inside.y.between(south, north).to_numpy()
        found[at] = area.states[0]
    return [str(state) for state in found]


def lie_in_states(keys: Sequence[str] | NDArray[np.object_], level: Level) -> bool:
    """Return whether keys begin with the code of a state: those of tracts and counties."""
    return level == "tract" or bool(np.mean([county_name(key) != "" for key in keys]) > 0.5)


def layer_data(layer: Layer, rows: pd.DataFrame) -> dict[str, Any]:
    """Return a layer as a map's script draws it.

    Parameters
    ----------
    rows : DataFrame
        Its columns, in the order of the map.
    """
    known = finite(rows[layer.column])
    decimals = _decimals(layer.scale, known)
    packed = pack_numbers(known, decimals)
    result: dict[str, Any] = {
        "label": layer.label,
        "unit": layer.unit,
        "explanation": layer.explanation,
        "always": layer.always,
        "scale": asdict(layer.scale),
        "values": packed,
        "fixes": _fixes(layer.scale, known, decimals),
    }
    if layer.bounds:
        result["bounds"] = [pack_numbers(finite(rows[column]), decimals) for column in layer.bounds]
    if layer.suppressed:
        result["suppressed"] = np.flatnonzero(suppressed(layer, rows)).tolist()
    if layer.note:
        result["note"] = _texts(rows[layer.note])
    return result


def suppressed(layer: Layer, rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows have a value that is known and not shown."""
    if not layer.suppressed:
        return np.zeros(len(rows), dtype=bool)
    # A polygon without a row in the table has no value and no reason.
    return np.asarray(rows[layer.suppressed].eq(True) & rows[layer.column].isna(), dtype=bool)


def _decimals(scale: Scale, values: NDArray[np.float64]) -> int:
    """Return how many decimal places a tooltip shows: those that tell classes apart, some three digits."""
    known = values[~np.isnan(values)]
    if scale.kind == "categories" or (known == np.round(known)).all():
        return 0
    low, high = scale.edges[0], scale.edges[-1]
    narrowest = float(np.diff(scale.edges).min())
    return int(np.clip(max(3 - np.ceil(np.log10(high - low)), np.ceil(-np.log10(narrowest))), 0, 6))


def _fixes(scale: Scale, values: NDArray[np.float64], decimals: int) -> list[list[int]]:
    """Return the rows, with their class, whose rounded values are on the other side of a bound."""
    inner = np.array(scale.edges[1:-1])
    there = ~np.isnan(values)
    exact = np.searchsorted(inner, values, side="right")
    rounded = np.searchsorted(inner, rounded_to(values, decimals), side="right")
    rows = np.flatnonzero(there & (exact != rounded))
    return [[int(row), int(exact[row])] for row in rows]


def _texts(column: pd.Series) -> dict[str, Any]:
    """Return a column of text: distinct texts, and the number of each row's; a dash where there is none."""
    text = [
        "—" if pd.isna(value) or value in ("", False) else "yes" if value is True else str(value) for value in column
    ]
    codes, texts = pd.factorize(np.array(text, dtype=object))
    return {"texts": texts.tolist(), "codes": pack_numbers(codes.astype(np.float64), 0)}


def extent_of(geometry: Geometry, insets: Sequence[Inset]) -> dict[str, float]:
    """Return the bounds that the page opens with, in meters."""
    boxes = np.array([shapely.total_bounds(geometry), *(inset[1:] for inset in insets)])
    lowest, highest = boxes.min(axis=0).tolist(), boxes.max(axis=0).tolist()
    return {"left": lowest[0], "bottom": lowest[1], "right": highest[2], "top": highest[3]}
