"""Interpolated against reported people of regions, all and by group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource

from geomob_dask.outputs.exposure_plots import exposure_figure, people_ticks
from geomob_dask.outputs.names import labeled
from geomob_dask.outputs.page import Figure, Section, sortable
from geomob_dask.outputs.palette import ACCENT, CATEGORIES, SOFT
from geomob_dask.outputs.plots import hover

# The source draws regions below and above apart: large ones would press all others into a corner.
SPLIT = 200_000
_CLOSE = 0.05
_FARTHEST = CATEGORIES[3]


def reported_section(table: pd.DataFrame, reported: pd.DataFrame, groups: Mapping[str, str], *, source: str) -> Section:
    """Return interpolated against reported people.

    Parameters
    ----------
    table : DataFrame, index: regions
        ``region_name``, ``people_count`` and ``<group>_count``.
    reported : DataFrame, index: regions
        ``people``, and perhaps a column for a group.
    groups : mapping of name to label
    source : str
        What the counts of tracts are.
    """
    labels = {"people": "All people", **{name: label for name, label in groups.items() if name in reported}}
    small = (table["people_count"] < SPLIT).to_numpy()
    classes = {f"fewer than {SPLIT:,}": small, f"{SPLIT:,} or more": ~small}
    rows, plots = [], []
    for name, label in labels.items():
        both = compared(table, reported, name)
        for words, chosen in classes.items():
            part = both[both.index.isin(table.index[chosen])]
            if len(part):
                plots.append(_scatter(part, f"{label}: {words} people"))
                rows.append({"People": label, "Regions with people": words, **_differences(part)})
    return Section(
        "Interpolated against reported people",
        "People of each region summed over its tracts, by their shares in the region, against the number reported for "
        f"the region itself; regions of fewer than {SPLIT:,} interpolated people and of {SPLIT:,} or more are drawn "
        "apart. On the dashed line both are equal. The difference is that of interpolation alone where both are of one "
        "survey. Reproduces the plots after step 5 of the method (486 cities of 2021; there, Houston stands out, as "
        "whole tracts are counted in it). "
        f"Data: {source}; reported people from --reported.",
        plots=plots,
        table=sortable(pd.DataFrame(rows).set_index("People"), places=3) if rows else (),
        keys={"Region": ACCENT, "Largest difference in people": _FARTHEST},
    )


def compared(table: pd.DataFrame, reported: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the regions that have both numbers.

    Parameters
    ----------
    table, reported
        See `reported_section`.
    name : str
        ``people``, or a group.

    Returns
    -------
    DataFrame, index: regions
        ``name``, ``interpolated``, ``reported``, ``off`` (of the reported; NaN where that is zero).
    """
    there = reported[name].reindex(table.index)
    both = pd.DataFrame(
        {"name": table["region_name"], "interpolated": table[f"{name}_count"], "reported": there}
    ).dropna(subset=["interpolated", "reported"])
    size = both["reported"].where(both["reported"] > 0)
    return both.assign(off=both["interpolated"] / size - 1)


def _differences(both: pd.DataFrame) -> dict[str, object]:
    off = both["off"].dropna()
    farthest = both.loc[_farthest(both)]
    return {
        "Regions": len(both),
        "Reported": both["reported"].sum().round(),
        "Interpolated": both["interpolated"].sum().round(),
        "Median difference": off.median(),
        f"Share within {_CLOSE:.0%}": float((off.abs() <= _CLOSE).mean()) if len(off) else np.nan,
        "Largest difference in people": f"{farthest['interpolated'] - farthest['reported']:+,.0f}"
        + (f" ({farthest['off']:+.1%})" if pd.notna(farthest["off"]) else "")
        + f" in {labeled(str(farthest.name), farthest['name'])}",
    }


def _farthest(both: pd.DataFrame) -> str:
    return str((both["interpolated"] - both["reported"]).abs().idxmax())


def _scatter(both: pd.DataFrame, title: str) -> Figure:
    farthest = _farthest(both)
    # The farthest is drawn last, on top.
    both = pd.concat([both.drop(farthest), both.loc[[farthest]]])
    source = ColumnDataSource(
        {
            "label": [labeled(str(code), name) for code, name in both["name"].items()],
            "reported": both["reported"].to_numpy(),
            "interpolated": both["interpolated"].to_numpy(),
            "off": both["off"].to_numpy(),
            "color": [ACCENT] * (len(both) - 1) + [_FARTHEST],
        }
    )
    end = float(both[["reported", "interpolated"]].max().max()) * 1.05 or 1.0
    plot = exposure_figure("Reported people", "Interpolated people", x_range=(0, end), y_range=(0, end))
    plot.line([0, end], [0, end], color=SOFT, line_dash="dashed")
    plot.xaxis.formatter = plot.yaxis.formatter = people_ticks()
    plot.xaxis.ticker.desired_num_ticks = 4
    dots = plot.scatter("reported", "interpolated", source=source, size=5, color="color", alpha=0.6, line_color=None)
    hover(
        plot,
        dots,
        ("", "@label"),
        ("reported", "@reported{0,0}"),
        ("interpolated", "@interpolated{0,0}"),
        ("difference", "@off{+0.0%}"),
    )
    found = _differences(both)
    finding = (
        f"interpolated people are within {_CLOSE:.0%} of the reported ones in "
        f"{found[f'Share within {_CLOSE:.0%}']:.0%} of {len(both):,} regions; the largest difference is "
        f"{found['Largest difference in people']}."
    )
    numbers = {"label": "Region", "reported": "Reported", "interpolated": "Interpolated", "off": "Difference (share)"}
    return Figure(plot, finding, title=title, numbers=numbers, sources=[source])
