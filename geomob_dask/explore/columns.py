"""Values of a measure for the units of a map, with bounds, quality, and why some have no value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.explore.catalog import CORRECTED, INTERVALS, Contents, Entry, Shown
from geomob_dask.explore.drawn import Snapshots
from geomob_dask.frames.exposure_tables import points
from geomob_dask.outputs.reasons import is_suppressed
from geomob_dask.store import Part, Snapshot, Store
from geomob_dask.store.cube_form import FIRST_REASONS, NO_ROW, Form, Measure, longer, reasons_of, values_of
from geomob_dask.store.objects import concurrently

Floats = NDArray[np.float32]
# Different reasons of one column that are told apart; the others are one.
_MOST_REASONS = 2_000
_MISSING, _IS_SUPPRESSED = 1, 2
# Among `FIRST_REASONS`.
_NO_VALUE = np.uint16(2)


@dataclass(frozen=True)
class Column:
    """A measure of a year on a map.

    Attributes
    ----------
    points : shape (n_units,), float32
        NaN where there is none.
    lower, upper : shape (n_units,), float32, or None
        Bounds of an interval, of 90 % where the result has draws or margins.
    corrected : shape (n_units,), float32, or None
        The value that the bounds of an index lie about: its points are the published ones, which may be outside.
    quality : shape (n_units,), uint8, or None
        Grade, 1 best; 0 for none.
    flags : shape (n_units,), uint16
        Places among `reasons`: 0 where there is nothing to say.
    reasons : tuple of str
    """

    points: Floats
    lower: Floats | None
    upper: Floats | None
    corrected: Floats | None
    quality: NDArray[np.uint8] | None
    flags: NDArray[np.uint16]
    reasons: tuple[str, ...]

    @property
    def size(self) -> int:
        """Return the bytes that it holds."""
        arrays = (self.points, self.lower, self.upper, self.corrected, self.quality, self.flags)
        return sum(array.nbytes for array in arrays if array is not None) + 100 * len(self.reasons)

    def kinds(self) -> list[int]:
        """Return for each reason whether a unit without a value that has it is missing (1) or suppressed (2)."""
        return [_IS_SUPPRESSED if is_suppressed(reason) else _MISSING for reason in self.reasons]


def column_of(
    store: Store,
    snapshots: Snapshots,
    entry: Entry,
    year: int,
    contents: Contents,
    name: str,
    index: pd.Index,
    *,
    bounds: bool,
) -> Column:
    """Return a measure of a year for units.

    Parameters
    ----------
    index : Index
        Codes of units: all of a map, or some, of which only the parts that may hold them are read.
    bounds : bool
        Whether bounds and quality are read too.

    Raises
    ------
    InputError
        If the result has several rows of one unit.
    """
    snapshot = snapshots.find(entry.collection(year))
    shown = contents.measures[name]
    if snapshot is None:
        return _no_rows(index)
    needed = shown.measure.columns if bounds else shown.measure.columns.keys() & {"estimate", "flag"}
    columns = [shown.measure.columns[variable] for variable in sorted(needed)]
    columns += [column for column in (shown.corrected, "bounds_of") if shown.corrected]
    columns += [*(["reason"] if contents.has_reasons else []), *contents.lists]
    table = _read(store, _parts_with(snapshot, index), columns)
    if bounds and table is not None and shown.intervals:
        found = snapshots.find(shown.intervals)
        more = None if found is None else _read(store, _parts_with(found, index), [*INTERVALS.values(), CORRECTED])
        if more is not None:
            table = table.join(more)
    return _no_rows(index) if table is None else _column(table, shown, index, entry.collection(year))


def _parts_with(snapshot: Snapshot, index: pd.Index) -> list[Part]:
    parts = [part for part in snapshot.parts.values() if part.rows]
    codes = np.sort(index.to_numpy(dtype=str))
    begins = codes.searchsorted(np.array([part.first for part in parts], dtype=str))
    ends = codes.searchsorted(np.array([part.last for part in parts], dtype=str), side="right")
    return [part for part, begin, end in zip(parts, begins, ends, strict=True) if begin < end]


def _no_rows(index: pd.Index) -> Column:
    nothing = np.full(len(index), np.nan, np.float32)
    flags = np.full(len(index), NO_ROW, np.uint16)
    return Column(nothing, None, None, None, None, flags, FIRST_REASONS)


def _read(store: Store, parts: Sequence[Part], columns: Sequence[str]) -> pd.DataFrame | None:
    wanted = list(dict.fromkeys(columns))
    tables = concurrently(lambda part: store.read(part, wanted), parts) if parts else []
    return pd.concat(tables) if tables else None


def _column(table: pd.DataFrame, shown: Shown, index: pd.Index, where: str) -> Column:
    keys = pd.Index(table.index.astype(str), dtype="str")
    if not keys.is_unique:
        raise InputError(f"{where}: found several rows of {keys[keys.duplicated()][0]}, expected one row a unit")
    measure = shown.measure
    if shown.corrected:
        table = table.assign(**{measure.name: points(table, measure.name.removesuffix("_exposure"))})
    columns = {**measure.columns, **(INTERVALS if shown.intervals else {})}
    columns = {name: column for name, column in columns.items() if column in table}
    form = Form("tract", (Measure(measure.name, columns, measure.units, measure.dollars_of),))
    reasons = longer(FIRST_REASONS, reasons_of(table, form))[:_MOST_REASONS]
    known = values_of(_within(table, form, reasons), form, reasons)
    rows = keys.get_indexer(index)
    there = rows >= 0

    def taken(name: str, dtype: Any, fill: float) -> NDArray[Any]:
        return placed(known[name][:, 0], dtype, fill)

    def placed(values: NDArray[Any], dtype: Any, fill: float) -> NDArray[Any]:
        result = np.full(len(index), fill, dtype)
        with np.errstate(over="ignore"):
            result[there] = values[rows[there]].astype(dtype)
        # Infinities, and what is beyond single precision, have no place among colors.
        return np.where(np.isinf(result), dtype(np.nan), result) if dtype is np.float32 else result

    values = taken("estimate", np.float32, np.nan)
    lower = upper = None
    if "lower" in known and "upper" in known:
        lower, upper = taken("lower", np.float32, np.nan), taken("upper", np.float32, np.nan)
    elif "moe" in known:
        margin = taken("moe", np.float32, np.nan)
        lower, upper = values - margin, values + margin
    about = shown.intervals and CORRECTED in table
    corrected = placed(table[CORRECTED].to_numpy(float), np.float32, np.nan) if about else None
    quality = taken("quality", np.uint8, 0) if "quality" in known else None
    flags = taken("flag", np.uint16, NO_ROW)
    flags = np.where(np.isnan(values) & (flags == 0), _NO_VALUE, flags)
    return Column(values, lower, upper, corrected, quality, flags, reasons)


def _within(table: pd.DataFrame, form: Form, reasons: Sequence[str]) -> pd.DataFrame:
    """Return a table whose reasons are all among those given: others become the first of them that says nothing."""
    known = {*reasons, ""}
    columns = [measure.columns["flag"] for measure in form.measures if "flag" in measure.columns]
    columns += ["reason"] if "reason" in table else []
    changes = {name: table[name].where(table[name].isin(known), FIRST_REASONS[_NO_VALUE]) for name in columns}
    return table.assign(**changes) if changes else table
