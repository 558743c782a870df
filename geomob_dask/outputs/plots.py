"""Plots in the style of the pages, and lists to choose what is shown."""

from collections.abc import Mapping
from typing import Any

from bokeh.layouts import column
from bokeh.models import ColumnDataSource, CustomJS, FactorRange, HoverTool, Select
from bokeh.plotting import figure

from geomob_dask.outputs.page import static
from geomob_dask.outputs.palette import GRID, INK, SOFT


def plain_figure(**options: Any) -> figure:
    """Return an empty figure in the style of the pages."""
    plot = figure(**{"toolbar_location": None, "outline_line_color": None, **options})
    plot.toolbar.logo = None
    plot.grid.grid_line_color = GRID
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = SOFT
    plot.axis.minor_tick_line_color = None
    plot.axis.axis_label_text_color = plot.axis.major_label_text_color = INK
    plot.axis.axis_label_text_font_style = "normal"
    plot.title.text_color = INK
    return plot


def hover(plot: figure, renderer: Any, *tooltips: tuple[str, str], **options: Any) -> None:
    """Show texts while the pointer is on what a renderer has drawn."""
    renderers = renderer if isinstance(renderer, list) else [renderer]
    plot.add_tools(HoverTool(renderers=renderers, tooltips=list(tooltips), **options))


def legend(plot: figure, place: str = "right", **options: Any) -> None:
    """Move the legend out of the plot: to the right, or above it in one line."""
    if not plot.legend:
        return
    plot.add_layout(plot.legend[0], place)
    plot.legend.update(
        border_line_color=None,
        label_text_color=INK,
        orientation="horizontal" if place == "above" else "vertical",
        **options,
    )


def choose_plot(label: str, plots: Mapping[str, Any]) -> Any:
    """Return plots of which one is shown at a time, with a list to choose from by their titles."""
    if len(plots) == 1:
        return next(iter(plots.values()))
    first = next(iter(plots))
    for title, plot in plots.items():
        plot.visible = title == first
    select = Select(title=label, value=first, options=list(plots), width=420)
    select.js_on_change("value", CustomJS(args={"plots": dict(plots)}, code=str(static("choose_plot.js"))))
    return column(select, *plots.values())


def choose_data(
    label: str,
    options: Mapping[str, Mapping[str, Any]],
    sources: Mapping[str, ColumnDataSource],
    axis: FactorRange | None = None,
) -> Select:
    """Return a list of options; the chosen one's data go to the sources.

    Parameters
    ----------
    options : mapping of str to mapping
        For each option, columns of every source by its name.
    sources : mapping of str to ColumnDataSource
    axis : FactorRange, optional
        Lists the column ``row`` of the sources.
    """
    first = next(iter(options))
    for name, source in sources.items():
        source.data = {**source.data, **options[first][name]}
    if axis is not None:
        axis.factors = next(iter(options[first].values()))["row"]
    select = Select(title=label, value=first, options=list(options), width=320)
    args = {"options": {name: dict(data) for name, data in options.items()}, "sources": dict(sources), "axis": axis}
    select.js_on_change("value", CustomJS(args=args, code=str(static("choose_data.js"))))
    return select
