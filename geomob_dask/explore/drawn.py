"""Polygons of a vintage as the page reads them: those that a job has prepared, or of a small vintage made here."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.explore.geometry import (
    ALL,
    COUNTY,
    STATE,
    TRACT,
    attributes_of,
    collection_of,
    overview,
    pieces_of,
    tract_bounds,
    units_in,
    units_of,
)
from geomob_dask.explore.serving import Cache
from geomob_dask.messages import counted
from geomob_dask.outputs.polygons import placement
from geomob_dask.store import Part, Snapshot, Store
from geomob_dask.store.objects import concurrently

# Tracts of a vintage that are drawn without having been prepared.
SMALL = 6_000
# Units whose borders are drawn on every map.
_NESTED = (TRACT, COUNTY, STATE)
_CELL = ["level", "left", "bottom", "right", "top"]
# Seconds for which a snapshot is taken to be the newest.
_FRESH = 3.0
_MOST_SNAPSHOTS = 512


class NotPreparedError(InputError):
    """Polygons that a job must prepare before the page can draw them."""


class Snapshots:
    """The newest snapshots of collections, looked up again after some seconds.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[str, tuple[float, Snapshot | None]] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def find(self, collection: str) -> Snapshot | None:
        """Return the newest snapshot, None where there is none; looked up once for requests that come together."""
        with self._locks[collection]:
            return self._find(collection)

    def _find(self, collection: str) -> Snapshot | None:
        known = self._found.get(collection)
        if known is not None and time.monotonic() - known[0] < _FRESH:
            return known[1]
        snapshot = self._store.find(collection)
        if len(self._found) >= _MOST_SNAPSHOTS:
            self._found.clear()
            self._locks.clear()
        self._found[collection] = (time.monotonic(), snapshot)
        return snapshot


class Moment(Snapshots):
    """The snapshots of one request, each looked up once: its answer is made from one state of the store.

    Parameters
    ----------
    snapshots : Snapshots
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._look_up = cache(snapshots.find)

    def find(self, collection: str) -> Snapshot | None:
        """Return the snapshot that was the newest when it was looked up first."""
        return self._look_up(collection)


@dataclass(frozen=True)
class Drawn:
    """The units of a vintage, and the cells that their polygons are packed in.

    Attributes
    ----------
    unit, vintage : str
    codes : shape (n,), text
        Sorted; values of a map are in this order.
    names : sequence of str
        Of regions of a table; empty for others.
    boxes : shape (n, 4), meters
        Of each unit; NaN where it has no polygon.
    cells : DataFrame, index cell
        ``level`` and bounds in meters.
    attributes : mapping
        See `geometry.attributes_of`.
    parts : mapping of str to Part or DataFrame
        By state: where polygons are read, or the polygons.
    checksum : str
        Of all of it.
    """

    unit: str
    vintage: str
    codes: NDArray[Any]
    names: Sequence[str]
    boxes: NDArray[np.float32]
    cells: pd.DataFrame
    attributes: Mapping[str, Any]
    parts: Mapping[str, Part | pd.DataFrame]
    checksum: str
    size: int

    @cached_property
    def index(self) -> pd.Index:
        """Return the codes as an index, to find rows by code."""
        return pd.Index(self.codes, dtype="str")

    def in_view(self, level: int, box: Sequence[float]) -> list[str]:
        """Return the cells of a level that a box (left, bottom, right, top) touches."""
        left, bottom, right, top = box
        at = self.cells[self.cells["level"] == level]
        touches = (at["left"] <= right) & (at["right"] >= left) & (at["bottom"] <= top) & (at["top"] >= bottom)
        return list(at.index[touches.to_numpy()])

    def of_level(self, level: int) -> list[str]:
        """Return all cells of a level."""
        return list(self.cells.index[(self.cells["level"] == level).to_numpy()])

    def packs(self, store: Store, level: int, cells: Iterable[str], what: str) -> list[bytes]:
        """Return the packed polygons or borders of cells, in their order."""
        wanted = list(cells)
        column = f"{what}_{level}"
        parts = sorted({cell.partition("-")[0] for cell in wanted}) if level else [ALL]
        found: dict[str, bytes] = {}
        for packed in concurrently(lambda name: self._column(store, name, column), parts):
            found |= packed
        return [found[cell] for cell in wanted]

    def _column(self, store: Store, name: str, column: str) -> dict[str, bytes]:
        part = self.parts[name]
        table = store.read(part, [column]) if isinstance(part, Part) else part
        return dict(table[column].dropna())


def drawn(store: Store, snapshots: Snapshots, cache: Cache, vintage: str, unit: str) -> Drawn:
    """Return the units of a vintage.

    Raises
    ------
    NotPreparedError
        If they are too many to be made ready here.
    InputError
        If the store has no polygons of the vintage, or no such regions.
    """
    tracts = snapshots.find(f"tracts/{vintage}")
    if tracts is None:
        raise InputError(f"no polygons of vintage {vintage} in the store; expected them from: jobs/ingest.py tracts")
    found = snapshots.find(collection_of(unit, vintage))
    if found is not None and is_of(found, tracts):
        stored = ("drawn", store.url, found.collection, found.checksum())
        return cache.of(stored, lambda: _stored(store, found, vintage, unit))
    rows = sum(part.rows for part in tracts.parts.values())
    if rows > SMALL:
        state = "has not been" if found is None else "has changed since it was"
        raise NotPreparedError(
            f"vintage {vintage} ({counted(rows, 'tract')}) {state} prepared for this page; expected it from: "
            f"{prepare_command(store, vintage)}"
        )
    if unit in _NESTED:
        # What is drawn together is made together.
        together = ("drawn", store.url, vintage, tracts.checksum())
        return cache.of(together, lambda: _made(store, tracts, vintage, _NESTED)).units[unit]
    regions = snapshots.find(f"regions/{unit}/{vintage}")
    own = None if regions is None else regions.checksum()
    key = ("drawn", store.url, unit, vintage, tracts.checksum(), own)
    return cache.of(key, lambda: _made(store, tracts, vintage, (unit,))).units[unit]


def is_of(polygons: Snapshot | None, tracts: Snapshot | None) -> bool:
    """Return whether polygons were prepared from the tracts of a vintage as they are now."""
    return polygons is not None and tracts is not None and polygons.attributes.get("tracts") == tracts.checksum()


def prepare_command(store: Store, vintage: str) -> str:
    """Return the command that prepares a vintage."""
    return f"python jobs/explore.py --store {store.url} --prepare {vintage}"


def _stored(store: Store, found: Snapshot, vintage: str, unit: str) -> Drawn:
    table = store.read(found.parts[ALL], [*_CELL, "codes", "boxes"])
    return _drawn(unit, vintage, table, found.attributes, found.parts, found.checksum())


@dataclass(frozen=True)
class _Together:
    """Kinds of units that were made ready together."""

    units: Mapping[str, Drawn]

    @property
    def size(self) -> int:
        return sum(one.size for one in self.units.values())


def _made(store: Store, tracts: Snapshot, vintage: str, wanted: Sequence[str]) -> _Together:
    shapes = {state: store.read(part, ["geometry"]) for state, part in tracts.parts.items() if part.rows}
    bounds = pd.concat([tract_bounds(frame) for frame in shapes.values()])
    where = placement(bounds.to_numpy(), [str(geoid)[:2] for geoid in bounds.index])
    found, lines = units_of(store, tracts, vintage, bounds.index, only=wanted)
    if not found:
        what = f"no regions {wanted[0]} of vintage {vintage} to draw"
        raise InputError(f"{what}{': ' if lines else ''}{'; '.join(lines)}")
    pieces = [piece for frame in shapes.values() for piece in pieces_of(frame, found, where, bounds.index)]
    ready = {}
    for one in found:
        own = [piece for piece in pieces if piece.unit == one.name]
        table = overview(one, own)
        parts = {piece.state: piece.cells for piece in own} | {ALL: table}
        attributes = attributes_of(one, vintage, bounds, where, tracts)
        checksum = f"{tracts.checksum()}-{one.provenance().identity}"
        ready[one.name] = _drawn(one.name, vintage, table, attributes, parts, checksum)
    return _Together(ready)


def _drawn(
    unit: str,
    vintage: str,
    table: pd.DataFrame,
    attributes: Mapping[str, Any],
    parts: Mapping[str, Part | pd.DataFrame],
    checksum: str,
) -> Drawn:
    codes, names, boxes = units_in(table)
    cells = table.loc[table["level"] >= 0, _CELL]
    held = [part for part in parts.values() if isinstance(part, pd.DataFrame)]
    size = 200 * len(codes) + 200 * len(cells) + sum(int(part.memory_usage(deep=True).sum()) for part in held)
    return Drawn(unit, vintage, codes, names, boxes, cells, attributes, parts, checksum, size)
