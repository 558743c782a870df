"""What the page shows, as a file: a map of one measure, and what became of the newest backfill."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.explore.catalog import TITLES, in_words
from geomob_dask.explore.chosen import View
from geomob_dask.explore.classed import classes_of
from geomob_dask.explore.columns import Column, column_of
from geomob_dask.explore.drawn import Snapshots
from geomob_dask.explore.geometry import TRACT, Units, units_of
from geomob_dask.outputs.backfill import status_lines
from geomob_dask.outputs.days import days_stored
from geomob_dask.outputs.map_files import MapContent, write_map
from geomob_dask.outputs.maps import Layer
from geomob_dask.outputs.names import RegionNames
from geomob_dask.outputs.opportunity_map import interval_text
from geomob_dask.outputs.polygons import dissolve
from geomob_dask.outputs.provenance import record, result_record, sources_of
from geomob_dask.outputs.provenance_words import source_line
from geomob_dask.outputs.reasons import suppressed
from geomob_dask.runs.backfill.status import Status, status_of_name
from geomob_dask.runs.display import display_polygons
from geomob_dask.runs.journal import PREFIX, Journal
from geomob_dask.store import Store

_CLASSES = 7
# Reasons of failures below the map.
_REASONS = 5


def write_snapshot(store: Store, view: View, file: str, console: Console) -> None:
    """Write a map of a view, with its provenance; computed in this process.

    Parameters
    ----------
    file : str
        With a suffix of `tables.MAPS`.

    Raises
    ------
    InputError
        If nothing has a value or a polygon, or the file cannot be written.
    """
    tracts = store.snapshot(f"tracts/{view.contents.vintage}")
    states = view.states or tuple(state for state in view.contents.states if state in tracts.parts)
    polygons = display_polygons(store, view.contents.vintage, states or tuple(tracts.parts), None, console)
    units, lines = units_of(store, tracts, view.contents.vintage, polygons.index, only=(view.contents.unit,))
    if not units:
        raise InputError(f"--result {view.entry.id}: no regions to draw{''.join(f'; {line}' for line in lines)}")
    shapes = polygons[["geometry"]] if view.contents.unit == TRACT else _regions(polygons, units[0])
    snapshots = Snapshots(store)
    name = view.shown.measure.name
    codes = pd.Index(shapes.index.astype(str), dtype="str")
    column = column_of(store, snapshots, view.entry, view.year, view.contents, name, codes, bounds=True)
    collection = view.entry.collection(view.year)
    read = [one for one in (collection, view.shown.intervals) if one]
    results = [result_record(store.snapshot(one)) for one in read]
    choices = {"result": collection, "year": view.year, "measure": name, "states": list(view.states)}
    about = record(results, option="explore --snapshot", choices=choices, sources=sources_of(store, results))
    source = source_line(about, days_stored(store, about))
    write_map(_content(store, view, shapes, column, units[0], source), file, about, option="--snapshot")


def _content(
    store: Store, view: View, shapes: gpd.GeoDataFrame, column: Column, units: Units, source: str
) -> MapContent:
    shown, entry = view.shown, view.entry
    scale = classes_of(column.points, "quantiles", _CLASSES, shown.unit, shown.better, False)
    if scale is None:
        raise InputError(f"--measure {shown.measure.name}: has no value in {view.year}, expected some")
    values = pd.DataFrame({"value": column.points.astype(np.float64)}, index=shapes.index)
    bounds = None
    if column.lower is not None and column.upper is not None and column.corrected is None:
        values["lower"], values["upper"] = column.lower.astype(np.float64), column.upper.astype(np.float64)
        bounds = ("lower", "upper")
    values["note"] = _notes(column)
    values["suppressed"] = suppressed(pd.Series([column.reasons[flag] for flag in column.flags], values.index))
    layer = Layer("value", shown.label, shown.unit, scale, "", bounds, "note", suppressed="suppressed")
    own = view.contents.title or ", ".join(filter(None, (TITLES[entry.product], entry.name)))
    pieces = [own, f"dataset {entry.dataset}", in_words(entry.variant)]
    names = RegionNames(units.name, dict(zip(map(str, units.codes), units.names, strict=False)))
    return MapContent(
        shapes,
        values,
        [layer],
        title=f"{shown.label}, {view.year}",
        subtitle="; ".join(filter(None, pieces)),
        source=source,
        notes=run_notes(store),
        missing_note="without a value",
        hint="the tooltip tells the reason",
        level="tract" if units.name == TRACT else "region",
        names=None if units.name == TRACT else {str(code): names.of(str(code)) or str(code) for code in units.codes},
    )


def _notes(column: Column) -> list[str]:
    """Return what tooltips say with each value: the interval of an index, and its quality or what is to be known."""
    grades = [0] * len(column.flags) if column.quality is None else column.quality.tolist()
    notes = [
        column.reasons[flag] if flag else f"quality {grade}" if grade else ""
        for flag, grade in zip(column.flags.tolist(), grades, strict=True)
    ]
    if column.lower is None or column.upper is None or column.corrected is None:
        return notes
    ends = zip(column.lower.tolist(), column.upper.tolist(), column.corrected.tolist(), strict=True)
    intervals = [interval_text(*one) if np.isfinite(one).all() else "" for one in ends]
    return ["; ".join(filter(None, both)) for both in zip(intervals, notes, strict=True)]


def _regions(polygons: gpd.GeoDataFrame, units: Units) -> gpd.GeoDataFrame:
    """Return the regions that tracts lie in; tracts in none are left out."""
    inside = units.row_of >= 0
    codes, geometry = dissolve(
        polygons.geometry.to_numpy()[inside], [str(code) for code in units.codes[units.row_of[inside]]]
    )
    index = pd.Index(codes, dtype="str", name="region")
    return gpd.GeoDataFrame(geometry=gpd.GeoSeries(geometry, index, crs=polygons.crs))


def run_notes(store: Store) -> list[str]:
    """Return what became of the backfill with the newest run, in a few lines; none without a backfill."""
    newest: tuple[str, str] | None = None
    for name in store.objects.folders(PREFIX):
        journal = Journal(store, name)
        runs = journal.runs(most=1)
        if runs and journal.plan() and (newest is None or runs[0].began > newest[0]):
            newest = runs[0].began, name
    return [] if newest is None else _summary(status_of_name(store, newest[1]))


def _summary(status: Status) -> list[str]:
    lines = status_lines(status)
    told = [line for line in lines if line.startswith(("backfill ", "running ", "not "))]
    failures: Sequence[str] = [line for line in lines if line.startswith(("failed: ", "refused: "))]
    more = len(failures) - _REASONS
    return [*told, *failures[:_REASONS], *([f"and {more:,} more reasons of failures"] if more > 0 else [])]
