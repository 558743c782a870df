"""A map of one layer for print: PNG of 300 dots per inch, or SVG; the same content gives the same bytes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.messages import counted
from geomob_dask.outputs.maps import Layer, Level, lie_in_states, states_of, suppressed
from geomob_dask.outputs.packing import finite
from geomob_dask.outputs.palette import INK, LINE, MISSING, SOFT
from geomob_dask.outputs.polygons import Inset, arrange, dissolve
from geomob_dask.outputs.provenance import Record
from geomob_dask.outputs.provenance_files import png_text, svg_with
from geomob_dask.outputs.tables import written_whole
from geomob_dask.transforms.display import Geometry, simplify_for_display

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path as Outline

    from geomob_dask.outputs.map_files import MapContent

DOTS_PER_INCH = 300
# Inches: the width of a page of print, and what stands beside and around the map.
_WIDTH, _KEY, _MARGIN = 10.0, 2.5, 0.3
_LEAST, _MOST = 3.6, 9.0
# Tracts' own borders are drawn of so few tracts that they can be seen.
_FEW = 3000
# In place of a color: the hatch and the color of its lines.
_NO_VALUE, _SUPPRESSED = "no value", "suppressed"
_HATCHES = {_NO_VALUE: ("//////", MISSING), _SUPPRESSED: ("xxxxxx", "#5c6168")}
_SETTINGS = {
    "svg.hashsalt": "geomob_dask",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "hatch.linewidth": 0.5,
    "path.simplify": False,
}


def write_print(option: str, file: str, content: MapContent, record: Record | None = None) -> None:
    """Write a picture of the first layer of a map, with its provenance.

    Raises
    ------
    InputError
        If nothing has a polygon, or the file cannot be written.
    """
    from matplotlib import rc_context

    with rc_context(_SETTINGS):
        drawn = print_map(content)
        suffix = ".svg" if file.endswith(".svg") else ".png"
        with written_whole(option, file, suffix) as temporary:
            if suffix == ".png":
                metadata = png_text(record) if record else {"Software": None}
                drawn.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata=metadata)
            else:
                about = {"Date": None, "Creator": None, "Title": content.title}
                drawn.savefig(temporary, format="svg", metadata=about)
                _complete(temporary, record)


def _complete(file: Path, record: Record | None) -> None:
    text = file.read_text(encoding="utf-8")
    file.write_text(svg_with(record, text) if record else text, encoding="utf-8")


def print_map(content: MapContent) -> Figure:
    """Return a figure of the first layer: map with insets and borders of states, title, legend, scale, source, notes.

    Raises
    ------
    InputError
        If nothing has a polygon.
    """
    from matplotlib.figure import Figure

    shapes, values, layer, level = content.shapes, content.table, content.layers[0], content.level
    there = shapes[~(shapes.geometry.isna() | shapes.geometry.is_empty)]
    if there.empty:
        raise InputError(f"map {content.title!r}: found no polygon, expected at least one")
    keys = there.index.to_numpy(dtype=object)
    geometry, insets, arranged = arrange(there.geometry, states_of(there, level))
    left_over = len(values.index.difference(there.index))
    noun = "tract" if level == "tract" else "region"
    if left_over:
        arranged.append(f"Not drawn (no polygon): {left_over:,} of the {counted(len(values), noun)} in the table.")
    box = _box(geometry, insets)
    height = float(np.clip((_WIDTH - _KEY - 2 * _MARGIN) * (box[3] - box[1]) / (box[2] - box[0]), _LEAST, _MOST))
    # Half a dot of the print.
    dot = max((box[2] - box[0]) / (_WIDTH - _KEY), (box[3] - box[1]) / height) / DOTS_PER_INCH
    geometry = simplify_for_display(geometry, dot / 2)
    rows = values.reindex(keys)
    classes = np.where(suppressed(layer, rows), -2, _classes(layer, rows[layer.column]))
    head = _heading(content.title, content.subtitle)
    foot = _footing(content.source, [*arranged, *content.notes])
    whole = height + _inches(head) + _inches(foot) + 2 * _MARGIN
    figure = Figure(figsize=(_WIDTH, whole), facecolor="white")
    y = whole - _MARGIN
    for text, size, options in head:
        figure.text(_MARGIN / _WIDTH, y / whole, text, fontsize=size, va="top", linespacing=1.25, **options)
        y -= _inches([(text, size, options)])
    axes = figure.add_axes(
        (
            _MARGIN / _WIDTH,
            (y - height) / whole,
            (_WIDTH - _KEY - 2 * _MARGIN) / _WIDTH,
            height / whole,
        )
    )
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(box[0], box[2])
    axes.set_ylim(box[1], box[3])
    _draw(axes, geometry, _fills(layer, rows, classes), level, _areas(content, keys, rows))
    for inset in insets:
        _draw_inset(axes, inset)
    _draw_scale(axes, box)
    _draw_key(figure, layer, classes, content.missing_note, noun, y / whole)
    y -= height
    for text, size, options in foot:
        figure.text(_MARGIN / _WIDTH, y / whole, text, fontsize=size, va="top", linespacing=1.25, **options)
        y -= _inches([(text, size, options)])
    return figure


def _classes(layer: Layer, values: pd.Series) -> NDArray[np.intp]:
    """Return the class of each value, -1 where it is missing."""
    known = finite(values)
    place = np.searchsorted(layer.scale.edges, known, side="right") - 1
    return np.where(np.isnan(known), -1, np.clip(place, 0, len(layer.scale.colors) - 1))


def _fills(layer: Layer, rows: pd.DataFrame, classes: NDArray[np.intp]) -> list[str]:
    """Return the color of each shape, or in place of one why it has none."""
    colors = rows[layer.colors].tolist() if layer.colors else [layer.scale.colors[max(place, 0)] for place in classes]
    without = {-1: _NO_VALUE, -2: _SUPPRESSED}
    return [without.get(int(place), color) for place, color in zip(classes, colors, strict=True)]


def _areas(content: MapContent, keys: NDArray[np.object_], rows: pd.DataFrame) -> list[str]:
    """Return the area that each shape lies in, empty for none; no areas where they are not known."""
    if content.areas is not None:
        return [str(one) if isinstance(one, str) else "" for one in rows[content.areas]]
    return [key[:2] for key in keys] if lie_in_states(keys, content.level) else []


def _draw(axes: Axes, geometry: Geometry, fills: Sequence[str], level: Level, areas: Sequence[str]) -> None:
    """Draw a shape per color, so that no seams show between neighbors of one color; then borders."""
    from matplotlib.patches import PathPatch

    for name, shape in zip(*dissolve(geometry, fills), strict=True):
        missing = name in _HATCHES
        color = "white" if missing else name
        # A line of the same color closes the gap that smoothing leaves between colors.
        hatch, edge = _HATCHES.get(name, (None, color))
        width = 0.0 if missing else 0.15
        axes.add_patch(PathPatch(_outline([shape]), facecolor=color, linewidth=width, hatch=hatch, edgecolor=edge))
    if level == "region" or len(geometry) <= _FEW:
        axes.add_patch(PathPatch(_outline(geometry), fill=False, edgecolor="white", linewidth=0.25))
    inside = np.array([area != "" for area in areas], dtype=bool)
    if inside.any():
        _, whole = dissolve(geometry[inside], [area for area in areas if area])
        axes.add_patch(PathPatch(_outline(whole), fill=False, edgecolor="white", linewidth=1.3, alpha=0.8))
        axes.add_patch(PathPatch(_outline(whole), fill=False, edgecolor=INK, linewidth=0.5))


def _outline(shapes: Sequence[shapely.Geometry] | Geometry) -> Outline:
    """Return polygons with their holes as one path."""
    from matplotlib.path import Path as Outline

    rings = shapely.get_rings(shapely.get_parts(np.asarray(shapes, dtype=object)))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    codes = np.full(len(points), Outline.LINETO, dtype=Outline.code_type)
    first = np.append(True, ring[1:] != ring[:-1])[: len(ring)]
    codes[first] = Outline.MOVETO
    codes[np.append(first[1:], True)[: len(ring)]] = Outline.CLOSEPOLY
    return Outline(points, codes)


def _draw_inset(axes: Axes, inset: Inset) -> None:
    from matplotlib.patches import Rectangle

    margin = 0.05 * (inset.top - inset.bottom)
    corner = (inset.left - margin, inset.bottom - margin)
    width, height = inset.right - inset.left + 2 * margin, inset.top - inset.bottom + 2 * margin
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=SOFT, linewidth=0.5, clip_on=False))
    axes.text(corner[0], inset.top + margin, f" {inset.label}", fontsize=6.5, color=SOFT, va="bottom")


def _draw_scale(axes: Axes, box: Sequence[float]) -> None:
    """Draw a bar of a round number of kilometers in the lower right corner; insets have their own scale."""
    wide = (box[2] - box[0]) / 6000
    power = 10.0 ** np.floor(np.log10(wide))
    length = max(factor * power for factor in (1, 2, 5) if factor * power <= wide)
    right, y = box[2], box[1]
    axes.plot([right - 1000 * length, right], [y, y], color=SOFT, linewidth=1.4, solid_capstyle="butt", clip_on=False)
    axes.text(
        right - 500 * length, y + 0.008 * (box[3] - box[1]), f"{length:,g} km", fontsize=7, color=SOFT, ha="center"
    )


def _draw_key(
    figure: Figure, layer: Layer, classes: NDArray[np.intp], missing_note: str, noun: str, top: float
) -> None:
    """Draw the legend: name and unit of the layer, a text and the number of places of each class, missing values."""
    from matplotlib.patches import Patch

    counts = np.bincount(classes + 2, minlength=len(layer.scale.colors) + 2)
    rows = list(zip(layer.scale.colors, layer.scale.labels, counts[2:].tolist(), strict=True))
    if layer.scale.kind != "categories":
        rows.reverse()
    if layer.key is not None:
        rows = []
    counted_as = f"[number of {noun}s]" if rows else ""
    handles: list[Any] = [
        Patch(facecolor=color, edgecolor=LINE, linewidth=0.4, label=textwrap.fill(_plain(f"{label}   [{count:,}]"), 30))
        for color, label, count in rows
    ]
    for name, label, count in zip((_SUPPRESSED, _NO_VALUE), (_SUPPRESSED, missing_note), counts[:2], strict=True):
        if count:
            text = textwrap.fill(
                _plain(f"{label}   [{int(count):,}]" if rows else f"{label}: {counted(count, noun)}"), 30
            )
            hatch, edge = _HATCHES[name]
            handles.append(Patch(facecolor="white", edgecolor=edge, hatch=hatch, linewidth=0.4, label=text))
    x = (_WIDTH - _KEY) / _WIDTH
    name = textwrap.fill(_plain(layer.label), 28)
    about = "\n".join(textwrap.fill(_plain(text), 36) for text in (layer.unit, layer.explanation, counted_as) if text)
    figure.text(x, top, name, fontsize=9.5, fontweight="bold", color=INK, va="top", linespacing=1.2)
    below = top - (0.19 * (name.count("\n") + 1)) / figure.get_figheight()
    figure.text(x, below, about, fontsize=7.5, color=SOFT, va="top", linespacing=1.25)
    below -= (0.14 * (about.count("\n") + 1) * bool(about) + 0.06) / figure.get_figheight()
    if layer.key is not None:
        width, height = (_KEY - _MARGIN) / _WIDTH, (_KEY - _MARGIN) / figure.get_figheight()
        axes = figure.add_axes((x, below - height, width, height), anchor="NW")
        axes.set_axis_off()
        axes.set_aspect("equal")
        layer.key(axes)
        below -= height
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(x, below),
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        handlelength=1.8,
        handleheight=1.3,
        borderpad=0,
        borderaxespad=0,
        labelspacing=0.35,
    )


def _heading(title: str, subtitle: str) -> list[tuple[str, float, dict[str, Any]]]:
    lines = [(textwrap.fill(_plain(title), 78), 15.0, {"fontweight": "bold", "color": INK})]
    if subtitle:
        lines.append((textwrap.fill(_plain(subtitle), 130), 9.0, {"color": SOFT}))
    return lines


def _footing(source: str, notes: Sequence[str]) -> list[tuple[str, float, dict[str, Any]]]:
    text = "\n".join(textwrap.fill(_plain(one), 170) for one in (source, " ".join(notes)) if one)
    return [("", 8.0, {}), (text, 7.0, {"color": SOFT})] if text else []


def _plain(text: str) -> str:
    # A dollar sign would begin a formula.
    return text.replace("$", r"\$")


def _inches(lines: Sequence[tuple[str, float, dict[str, Any]]]) -> float:
    return sum((text.count("\n") + 1) * size * 1.35 / 72 + 0.04 for text, size, _ in lines)


def _box(geometry: Geometry, insets: Sequence[Inset]) -> tuple[float, float, float, float]:
    """Return what the map shows, with a little room around it."""
    boxes = np.array([shapely.total_bounds(geometry), *(inset[1:] for inset in insets)])
    low, high = boxes.min(axis=0)[:2], boxes.max(axis=0)[2:]
    room = 0.015 * float((high - low).max())
    return (float(low[0]) - room, float(low[1]) - 2 * room, float(high[0]) + room, float(high[1]) + room)
