"""Overlap of regions and tracts: how much of what is known of a region comes from tracts of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, NumeralTickFormatter, Span

from geomob_dask.frames.exposure_tables import LOW_OVERLAP, OVERLAP_STATISTICS
from geomob_dask.outputs.names import labeled
from geomob_dask.outputs.page import Figure, Section, sortable
from geomob_dask.outputs.palette import ACCENT, SOFT
from geomob_dask.outputs.plots import hover, plain_figure

_BINS = 40


def overlap_section(table: pd.DataFrame, found: Mapping[str, Any], *, source: str) -> Section:
    """Return the distribution of the overlap over regions.

    Parameters
    ----------
    table : DataFrame, index: regions
        ``overlap``.
    found : mapping
        See `frames.exposure_tables.overlap_summary`.
    source : str
        What the counts are.
    """
    row = {title: found[name] for name, title in OVERLAP_STATISTICS.items()}
    row |= {"Regions": found["known"], f"Below {LOW_OVERLAP:g}": found["low"], "Lowest": _lowest(table, found)}
    return Section(
        "Overlap of regions and tracts",
        "Sum over the tracts of a region of afact, the share of the tract in the region, times afact2, the share of "
        "the region in the tract (0 to 1): 1 where all of a region's people come from tracts that lie wholly in it; "
        f"the lower, the more rests on interpolation (dashed line: {LOW_OVERLAP:g}). Rounded shares may sum to "
        "a little more than 1. Reproduces the summary of step 7.3 of the method, which has for 486 cities of 2021: "
        "minimum 0.7694, first quartile 0.9338, "
        f"median 0.9716, mean 0.9578, third quartile 0.9948, maximum 1.0008. Data: {source}.",
        plots=[_histogram(table["overlap"].dropna().to_numpy(np.float64), found)],
        table=sortable(pd.DataFrame([row], index=pd.Index(["Overlap"], name="Distribution")), places=4),
    )


def _lowest(table: pd.DataFrame, found: Mapping[str, Any]) -> str:
    names = table["region_name"]
    lowest = ((labeled(region, names.get(region, "")), value) for region, value in found["lowest"])
    return "; ".join(f"{label} {value:.3f}" for label, value in lowest) or "none"


def _histogram(values: np.ndarray, found: Mapping[str, Any]) -> Figure:
    top = max(float(values.max()), 1.0)
    counts, edges = np.histogram(values, bins=_BINS, range=(0.0, top))
    source = ColumnDataSource({"left": edges[:-1], "right": edges[1:], "regions": counts})
    plot = plain_figure(
        x_axis_label="Overlap",
        y_axis_label="Regions",
        x_range=(0, top),
        height=260,
    )
    bars = plot.quad(left="left", right="right", bottom=0, top="regions", source=source, color=ACCENT, line_color=None)
    plot.y_range.start = 0
    plot.add_layout(Span(location=LOW_OVERLAP, dimension="height", line_color=SOFT, line_dash="dashed"))
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    hover(plot, bars, ("overlap", "@left{0.000} to @right{0.000}"), ("regions", "@regions{0,0}"))
    finding = (
        f"Half of the regions have an overlap of {found['median']:.3f} or more; {found['low']:,} of {found['known']:,} "
        f"are below {LOW_OVERLAP:g}."
    )
    numbers = {"left": "Overlap from", "right": "To", "regions": "Regions"}
    return Figure(plot, finding, numbers=numbers, sources=[source])
