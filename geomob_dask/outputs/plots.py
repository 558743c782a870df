"""Plots in the style of the pages, and lists to choose what is shown."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.models import ColumnDataSource, HoverTool
from bokeh.plotting import figure

from geomob_dask.outputs.page import Choices, Script
from geomob_dask.outputs.palette import GRID, INK, SOFT

# Characters of a line beside a bar: labels are long, and telephones narrow.
_LINE = 24
# Of things that lie on top of each other, a tooltip shows so many.
_MOST_SHOWN = 3


def plain_figure(**options: Any) -> figure:
    """Return an empty figure in the style of the pages: as wide as its place, and still when a finger scrolls the page.

    Titles and legends are the page's (`page.Figure`): it wraps them where a plot would cut them.
    """
    still = {"tools": "", "toolbar_location": None, "active_drag": None, "active_scroll": None}
    style = {"outline_line_color": None, "sizing_mode": "stretch_width", "min_border_right": 12}
    plot = figure(**{**still, **style, **options})
    plot.toolbar.logo = None
    plot.grid.grid_line_color = GRID
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = SOFT
    plot.axis.minor_tick_line_color = None
    plot.axis.axis_label_text_color = plot.axis.major_label_text_color = INK
    plot.axis.axis_label_text_font_style = "normal"
    return plot


def hover(plot: figure, renderer: Any, *tooltips: tuple[str, str], **options: Any) -> None:
    """Show texts while the pointer is on what a renderer has drawn, or where a finger has tapped it."""
    renderers = renderer if isinstance(renderer, list) else [renderer]
    plot.add_tools(HoverTool(renderers=renderers, tooltips=list(tooltips), **{"limit": _MOST_SHOWN, **options}))


def wrapped_rows(names: Sequence[str]) -> dict[int, str]:
    """Return labels of several lines for the rows 0, -1, … of an axis: a factor is its own label, in one line."""
    return {-row: "\n".join(textwrap.wrap(name, _LINE)) for row, name in enumerate(names)}


def choose_data(
    label: str,
    place: str,
    options: Mapping[str, Mapping[str, Mapping[str, Any]]],
    sources: Mapping[str, ColumnDataSource],
    findings: Mapping[str, Mapping[str, str]],
) -> tuple[Choices, Script]:
    """Return a list of options, and the script by which the chosen one's data go to the sources.

    Parameters
    ----------
    label : str
    place : str
        Names the list's element.
    options : mapping of str to mapping
        For each option, columns of every source by its name, as plain data.
    sources : mapping of str to ColumnDataSource
        They get the first option's data.
    findings : mapping of str to mapping
        For each option, what the figures show then, by their ids.
    """
    for name, source in sources.items():
        source.name = f"{place} {name}"
        source.data = {**source.data, **next(iter(options.values()))[name]}
    data = [
        {"sources": {f"{place} {name}": dict(columns) for name, columns in given.items()}, "findings": findings[option]}
        for option, given in options.items()
    ]
    return Choices(label, place, list(options)), Script("choose_data", {"list": place, "options": data})
