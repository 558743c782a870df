"""Scatter plots of exposures by region."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, CustomJSTickFormatter, NumeralTickFormatter, Slope, Span
from bokeh.plotting import figure

from geomob_dask.metrics.quality import FAIR_CV, GOOD_CV
from geomob_dask.outputs.palette import SOFT
from geomob_dask.outputs.plots import hover, plain_figure

# A few tiny groups' coefficients would press all others against the axis.
HIGHEST_CV = 1.2


def against_share(source: ColumnDataSource, label: str) -> figure:
    """Return exposure against the share of the group, a point for each region of a source."""
    plot = exposure_figure(
        label, "Share of the region's people", "Exposure", x_range=(-0.02, 1.02), y_range=(-0.02, 1.02)
    )
    plot.add_layout(Slope(gradient=-1, y_intercept=1, line_color=SOFT, line_dash="dashed", line_width=1.2))
    plot.xaxis.formatter = plot.yaxis.formatter = NumeralTickFormatter(format="0%")
    _scatter(plot, source, "share", "exposure")
    return plot


def against_count(source: ColumnDataSource, label: str) -> figure:
    """Return the coefficient of variation against the group's count, a point for each region of a source."""
    counts, variation = np.asarray(source.data["count"]), np.asarray(source.data["cv"])
    top = min(max(float(np.nanmax(variation, initial=0.0)), 2 * FAIR_CV), HIGHEST_CV) * 1.05
    ends = (float(counts.min()) / 1.5, float(counts.max()) * 1.5) if len(counts) else (0, 1)
    plot = exposure_figure(
        label,
        "People of the group (logarithmic)",
        "CV of the count",
        x_axis_type="log",
        x_range=ends,
        y_range=(-0.02, top),
    )
    for line in (GOOD_CV, FAIR_CV):
        plot.add_layout(Span(location=line, dimension="width", line_color=SOFT, line_dash="dashed", line_width=1.2))
    plot.xaxis.formatter = people_ticks()
    _scatter(plot, source, "count", "cv_shown")
    return plot


def exposure_figure(label: str, x: str, y: str, **options: Any) -> figure:
    """Return an empty plot with a title and axes that a reader can move."""
    plot = plain_figure(
        title=label,
        x_axis_label=x,
        y_axis_label=y,
        sizing_mode="stretch_width",
        tools="pan,wheel_zoom,box_zoom,reset",
        toolbar_location="right",
        **{"height": 300, **options},
    )
    plot.toolbar.autohide = True
    return plot


def _scatter(plot: figure, source: ColumnDataSource, x: str, y: str) -> None:
    dots = plot.scatter(x, y, source=source, size=5, color="color", alpha=0.55, line_color=None)
    hover(
        plot,
        dots,
        ("", "@region @name"),
        ("exposure", "@exposure{0.000} (@lower{0.000} to @upper{0.000}), accuracy @accuracy"),
        ("uncorrected", "@uncorrected{0.000}"),
        ("people of the group", "@count{0,0}, @share{0.0%} of all"),
        ("CV of the count", "@cv{0.000}"),
    )


def people_ticks() -> CustomJSTickFormatter:
    """Return labels of people on an axis, such as 20K."""
    return CustomJSTickFormatter(code="return Intl.NumberFormat('en-US', {notation: 'compact'}).format(tick)")
