"""Scatter plots of exposures by region."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, CustomJSTickFormatter, NumeralTickFormatter, Slope, Span
from bokeh.plotting import figure

from geomob_dask.metrics.quality import FAIR_CV, GOOD_CV
from geomob_dask.outputs.page import Figure
from geomob_dask.outputs.palette import SOFT
from geomob_dask.outputs.plots import hover, plain_figure

# A few tiny groups' coefficients would press all others against the axis.
HIGHEST_CV = 1.2


# Columns of a source of regions, with their titles in the table of its numbers.
NUMBERS = {
    "label": "Region",
    "exposure": "Exposure",
    "lower": "Lower bound",
    "upper": "Upper bound",
    "share": "Share of the region's people",
    "count": "People of the group",
    "cv": "CV of the count",
}


def against_share(source: ColumnDataSource, label: str) -> Figure:
    """Return exposure against the share of the group, a point for each region of a source."""
    plot = exposure_figure("Share of the region's people", "Exposure", x_range=(-0.02, 1.02), y_range=(-0.02, 1.02))
    plot.add_layout(Slope(gradient=-1, y_intercept=1, line_color=SOFT, line_dash="dashed", line_width=1.2))
    plot.xaxis.formatter = plot.yaxis.formatter = NumeralTickFormatter(format="0%")
    _scatter(plot, source, "share", "exposure")
    exposure, share = (np.asarray(source.data[name], dtype=np.float64) for name in ("exposure", "share"))
    finding = "no region has a value."
    if len(exposure):
        below = 1 - share - exposure
        far = int(np.argmax(below))
        finding = (
            f"exposure is {below.mean():.3f} below that of an even group on average over {len(exposure):,} regions, "
            f"farthest below in {source.data['label'][far]}: {exposure[far]:.3f} at a share of {share[far]:.1%}."
        )
    return Figure(plot, finding, title=label, numbers=NUMBERS, sources=[source])


def against_count(source: ColumnDataSource, label: str) -> Figure:
    """Return the coefficient of variation against the group's count, a point for each region of a source."""
    counts, variation = np.asarray(source.data["count"]), np.asarray(source.data["cv"])
    top = min(max(float(np.nanmax(variation, initial=0.0)), 2 * FAIR_CV), HIGHEST_CV) * 1.05
    ends = (float(counts.min()) / 1.5, float(counts.max()) * 1.5) if len(counts) else (0, 1)
    plot = exposure_figure(
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
    poor = int((variation >= FAIR_CV).sum())
    finding = f"the count of {poor:,} of {len(counts):,} regions has a CV of {FAIR_CV:g} or more."
    return Figure(plot, finding, title=label, numbers=NUMBERS, sources=[source])


def exposure_figure(x: str, y: str, **options: Any) -> figure:
    """Return an empty plot with axes; a reader enlarges a part of it with its tool."""
    plot = plain_figure(
        x_axis_label=x, y_axis_label=y, tools="box_zoom,reset", toolbar_location="right", **{"height": 280, **options}
    )
    plot.toolbar.autohide = True
    return plot


def _scatter(plot: figure, source: ColumnDataSource, x: str, y: str) -> None:
    dots = plot.scatter(x, y, source=source, size=5, color="color", alpha=0.55, line_color=None)
    hover(
        plot,
        dots,
        ("", "@label"),
        ("exposure", "@exposure{0.000} (@lower{0.000} to @upper{0.000}), accuracy @accuracy"),
        ("uncorrected", "@uncorrected{0.000}"),
        ("people of the group", "@count{0,0}, @share{0.0%} of all"),
        ("CV of the count", "@cv{0.000}"),
    )


def people_ticks() -> CustomJSTickFormatter:
    """Return labels of people on an axis, such as 20K."""
    return CustomJSTickFormatter(code="return Intl.NumberFormat('en-US', {notation: 'compact'}).format(tick)")
