"""The part of the page that shows results: a map of any measure and year of a store, and what is read off it.

Nothing is computed but what is shown: classes, counts and orders of values that the store holds. What an address may
name comes from the catalog of the store (`catalog`) or is a number within bounds, so that nothing else is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import struct
import threading
import time
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import GeomobError, InputError
from geomob_dask.explore.catalog import Contents, Entry, Shown, contents_of, entries, intervals_of, with_intervals
from geomob_dask.explore.classed import classes_of
from geomob_dask.explore.columns import Column, column_of
from geomob_dask.explore.cubes import cubes_of
from geomob_dask.explore.drawn import Drawn, Moment, Snapshots, drawn, is_of
from geomob_dask.explore.geometry import COUNTY, LEVELS, STATE, TRACT, collection_of
from geomob_dask.explore.routes import Part
from geomob_dask.explore.serving import Answer, Request, Route, UnknownError
from geomob_dask.messages import shown as quoted
from geomob_dask.outputs.classes import METHODS
from geomob_dask.outputs.names import RegionNames, county_labels, kind_title, labeled, places, short
from geomob_dask.sources.place_names import tract_name
from geomob_dask.sources.states import STATES, state_name
from geomob_dask.store import Store
from geomob_dask.store.cube_form import NO_ROW
from geomob_dask.store.objects import concurrently

# Cells of one request; rows of a page of a table; places that a search names; bins of a histogram.
_CELLS, _ROWS, _FOUND, _BINS = 40, 200, 12, 40
_MOST_YEARS = 100
# Seconds for which a listing of the store is taken to hold, and for which cubes are taken to be as they were found.
_FRESH, _CUBES_FRESH = 5, 30
# Meters from the middle of the map within which a view lies.
_FAR = 20_000_000
_KINDS = ("polygons", "borders")


@dataclass(frozen=True)
class Chosen:
    """What a request asks for: a measure of an entry in a year."""

    entry: Entry
    year: int
    contents: Contents
    shown: Shown

    @property
    def name(self) -> str:
        """Return the name of the measure."""
        return self.shown.measure.name


@dataclass(frozen=True)
class _Kept:
    """Plain data in the cache, with its size in bytes."""

    value: Any
    size: int


class _Listing:
    """The entries of a store as they were listed last: every folder of results is asked for, one after the other."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        self._found: dict[str, Entry] = {}
        self._until = -math.inf

    def newest(self) -> dict[str, Entry]:
        """Return the entries, listed again if that is some seconds ago."""
        with self._lock:
            if time.monotonic() > self._until:
                self._found = entries(self._store)
                self._until = time.monotonic() + _FRESH
            return self._found

    def with_one(self, name: str, year: str) -> dict[str, Entry]:
        """Return the entries, listed again only if one (of a year, where it is named) is not among them."""
        known = self._found.get(name)
        there = known is not None and (not year or year in map(str, known.years))
        return self._found if there else self.newest()

    def some(self) -> dict[str, Entry]:
        """Return the entries, listed now if they never were."""
        return self._found or self.newest()


class _Asked:
    """A request, with the snapshots that its answer is made from."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.store: Store = request.store
        self.cache = request.explorer.cache
        memory, url = request.explorer.memory, self.store.url
        self.snapshots = Moment(memory.setdefault(("snapshots", url), Snapshots(self.store)))
        self.listing: _Listing = memory.setdefault(("listing", url), _Listing(self.store))

    def entry(self, prefix: str = "") -> Entry:
        name = self.request.text(f"{prefix}entry")
        found = self.listing.with_one(name, self.request.text(f"{prefix}year", ""))
        return found[self.request.choice(f"{prefix}entry", found)]

    def year(self, entry: Entry) -> int:
        """Return the year that is asked for, by default the newest of an entry."""
        return int(self.request.choice("year", [str(year) for year in entry.years], str(entry.years[-1])))

    def chosen(self, prefix: str = "") -> Chosen:
        entry = self.entry(prefix)
        year = int(self.request.choice(f"{prefix}year", [str(year) for year in entry.years]))
        contents = self.contents(entry, year)
        measure = self.request.choice(f"{prefix}measure", contents.measures)
        return Chosen(entry, year, contents, contents.measures[measure])

    def contents(self, entry: Entry, year: int) -> Contents:
        checksum = self.checksum(entry, year)
        made: Contents = self.cache.of(
            ("contents", self.store.url, entry.id, year, checksum),
            lambda: contents_of(self.store, self.snapshots, entry, year),
        )
        # Others may be there since the index was looked at first.
        key = ("intervals", self.store.url, entry.id, year, _now())
        listed = self.cache.of(key, lambda: _Kept(intervals_of(self.store, entry, year), 1_000)).value
        return with_intervals(made, self.snapshots, entry, year, listed)

    def checksum(self, entry: Entry, year: int) -> str:
        snapshot = self.snapshots.find(entry.collection(year))
        return "" if snapshot is None else snapshot.checksum()

    def drawn(self, vintage: str, unit: str) -> Drawn:
        return drawn(self.store, self.snapshots, self.cache, vintage, unit)

    def on(self, chosen: Chosen) -> Drawn:
        return self.drawn(chosen.contents.vintage, chosen.contents.unit)

    def key(self, chosen: Chosen, on: Drawn) -> tuple[Any, ...]:
        intervals = self.snapshots.find(chosen.shown.intervals) if chosen.shown.intervals else None
        own = self.checksum(chosen.entry, chosen.year), "" if intervals is None else intervals.checksum()
        return (self.store.url, chosen.entry.id, chosen.year, chosen.name, own, on.checksum)

    def column(self, chosen: Chosen, on: Drawn) -> Column:
        """Return all units of a map, without bounds: these are read of the units that somebody looks at."""
        made: Column = self.cache.of(
            ("column", *self.key(chosen, on)), lambda: self.read(chosen, on.index, bounds=False)
        )
        return made

    def read(self, chosen: Chosen, units: pd.Index, *, bounds: bool = True) -> Column:
        entry, year, contents = chosen.entry, chosen.year, chosen.contents
        return column_of(self.store, self.snapshots, entry, year, contents, chosen.name, units, bounds=bounds)

    def difference(self) -> tuple[Chosen, Drawn, Column, tuple[Any, ...]]:
        """Return what is asked for, less what ``minus_…`` names if it does; with a key of both."""
        chosen = self.chosen()
        on = self.on(chosen)
        column, key = self.column(chosen, on), self.key(chosen, on)
        if "minus_entry" not in self.request.query:
            return chosen, on, column, key
        other = self.chosen("minus_")
        if (other.contents.vintage, other.contents.unit) != (chosen.contents.vintage, chosen.contents.unit):
            raise InputError(
                f"difference: found {chosen.contents.unit} of vintage {chosen.contents.vintage} and "
                f"{other.contents.unit} of vintage {other.contents.vintage}, expected the same"
            )
        if other.shown.unit != chosen.shown.unit:
            units = " and ".join(f"{one.name} in {one.shown.unit or 'no unit'}" for one in (chosen, other))
            raise InputError(f"difference: found {units}, expected one unit")
        less = self.column(other, on)
        reasons = tuple(dict.fromkeys([*column.reasons, *less.reasons]))
        place = np.array([reasons.index(reason) for reason in less.reasons], np.uint16)
        flags = np.where(np.isnan(column.points), column.flags, np.where(np.isnan(less.points), place[less.flags], 0))
        both = Column(column.points - less.points, None, None, None, None, flags.astype(np.uint16), reasons)
        return chosen, on, both, (*key, *self.key(other, on))


def _now() -> int:
    """Return a number that changes every few seconds: what a store holds is looked up again then."""
    return int(time.monotonic() // _FRESH)


# What there is ----------------------------------------------------------------------------------


def catalog(request: Request) -> Answer:
    """Answer what the store holds: one entry a product, name, dataset and choice of states, with its years.

    With it come the details of what the page shows first, if it can be shown: what ``entry`` and ``year`` say, else
    the first entry and its newest year.
    """
    asked = _Asked(request)
    entries, details = asked.listing.newest(), None
    if entries:
        entry = entries.get(request.text("entry", ""), next(iter(entries.values())))
        year = next((year for year in entry.years if str(year) == request.text("year", "")), entry.years[-1])
        with contextlib.suppress(GeomobError):
            details = _details(asked, entry, year)
    return Answer.json({"entries": [entry.plain() for entry in entries.values()], "details": details})


def details(request: Request) -> Answer:
    """Answer the measures of an entry in a year, and what its rows are."""
    asked = _Asked(request)
    entry = asked.entry()
    return Answer.json(_details(asked, entry, asked.year(entry)))


def _details(asked: _Asked, entry: Entry, year: int) -> dict[str, Any]:
    found = asked.contents(entry, year)
    return {
        **entry.plain(),
        "year": year,
        "vintage": found.vintage,
        "unit": found.unit,
        "unit_title": "Tract" if found.unit == TRACT else kind_title(found.unit),
        "index_title": short(found.title) if found.title else "",
        "measures": [one.plain() for one in found.measures.values()],
        "states": [{"code": code, "name": state_name(code)} for code in found.states],
    }


def cubes(request: Request) -> Answer:
    """Answer the cubes of the store, each with the entries that it is another form of."""
    asked = _Asked(request)
    known = asked.listing.some()
    # Their axes are read whole: not again for every browser.
    key = ("cubes", asked.store.url, int(time.monotonic() // _CUBES_FRESH))
    return request.cached(key, lambda: Answer.json({"cubes": cubes_of(asked.store, asked.snapshots, known)}))


# Where it is ------------------------------------------------------------------------------------


def is_prepared(request: Request, vintage: str) -> bool:
    """Return whether a job has prepared the polygons of a vintage: looking at them makes nothing."""
    asked = _Asked(request)
    polygons, tracts = collection_of(TRACT, vintage), f"tracts/{vintage}"
    return is_of(asked.snapshots.find(polygons), asked.snapshots.find(tracts))


def units(request: Request) -> Answer:
    """Answer the units of an entry in the order of values, what their places are called, and the frame of the map."""
    asked = _Asked(request)
    on = _own(asked)
    return request.cached(("units", asked.store.url, on.checksum), lambda: Answer.json(_units(on)))


def _units(on: Drawn) -> dict[str, Any]:
    about: dict[str, Any] = {
        "vintage": on.vintage,
        "unit": on.unit,
        "drawn": on.checksum,
        "count": len(on.codes),
        "tolerances": [level.tolerance for level in LEVELS],
        **{name: on.attributes[name] for name in ("extent", "insets", "notes")},
    }
    if on.unit == TRACT:
        # By county, the six digits of its tracts one after the other: a fifth of the bytes of all codes.
        by_county: dict[str, list[str]] = {}
        for code in on.codes.tolist():
            by_county.setdefault(code[:5], []).append(code[5:])
        about["tracts"] = {county: "".join(own) for county, own in by_county.items()}
        about["counties"] = county_labels(on.codes.tolist())
        states = sorted({code[:2] for code in by_county} & STATES.keys())
        about["states"] = {code: state_name(code) for code in states}
    else:
        names = names_of(on)
        about["codes"] = on.codes.tolist()
        about["names"] = [short(names(code)) for code in on.codes.tolist()]
    if on.unit in (TRACT, COUNTY, STATE):
        state_of = np.array([code[:2] for code in on.codes.tolist()])
        about["boxes"] = {code: _box(on, np.flatnonzero(state_of == code)) for code in np.unique(state_of).tolist()}
    return about


def names_of(on: Drawn) -> Any:
    """Return a function from the code of a unit to its name, empty where none is known."""
    if on.unit == TRACT:
        return tract_name
    own = dict(zip(on.codes.tolist(), on.names, strict=True)) if len(on.names) else {}
    return RegionNames(on.unit, own).of


def cells(request: Request) -> Answer:
    """Answer the cells of a zoom level that a view touches: of units, and of the borders of counties and states."""
    asked = _Asked(request)
    level = request.number("level", 0, len(LEVELS) - 1)
    box = [request.number(name, -_FAR, _FAR) for name in ("left", "bottom", "right", "top")]
    own = _own(asked)
    found = {"polygons": own.in_view(level, box)}
    for unit in (COUNTY, STATE):
        found[unit] = asked.drawn(own.vintage, unit).in_view(level, box)
    return Answer.json(found)


def polygons(request: Request) -> Answer:
    """Answer packed polygons or borders of cells, each after its length in bytes (32 bits, least significant first).

    Those of the first level are inflated, and compressed together.
    """
    asked = _Asked(request)
    level = request.number("level", 0, len(LEVELS) - 1)
    own = _own(asked)
    what = request.choice("what", _KINDS, "polygons")
    on = asked.drawn(own.vintage, request.choice("of", (own.unit, COUNTY, STATE), own.unit))
    if what == "borders" and on.unit == TRACT:
        raise UnknownError("borders of tracts: are those of their polygons; expected county, state or regions")
    text = request.text("cells", "")
    if not text:
        if level:
            raise InputError(f"cells: found none, expected some of level {level}")
        wanted = on.of_level(0)
    else:
        wanted = text.split(",")
        if len(wanted) > _CELLS:
            raise InputError(f"cells: found {len(wanted)}, expected {_CELLS} at most")
        known = set(on.of_level(level))
        for cell in wanted:
            if cell not in known:
                raise UnknownError(f"cell {quoted(cell)}: not known at level {level}")

    def made() -> Answer:
        packs = on.packs(asked.store, level, wanted, what)
        if not level:
            # Everybody asks for these: once for all they become one gzip, which a browser inflates while it receives.
            packs = [zlib.decompress(pack) for pack in packs]
        body = b"".join(struct.pack("<I", len(pack)) + pack for pack in packs)
        return Answer.of(body, "application/octet-stream", compress=not level)

    return request.cached(("polygons", asked.store.url, on.checksum, level, what, tuple(wanted)), made)


def _own(asked: _Asked) -> Drawn:
    """Return the units of the entry that is asked for.

    ``drawn`` of the query, as `units` and `values` tell it, says which units a browser has: polygons name them by their
    places, which others in their stead may have changed.
    """
    entry = asked.entry()
    contents = asked.contents(entry, asked.year(entry))
    own = asked.drawn(contents.vintage, contents.unit)
    if asked.request.text("drawn", own.checksum) != own.checksum:
        raise UnknownError(f"polygons of vintage {own.vintage}: have been replaced; expected what units answers now")
    return own


# Values -----------------------------------------------------------------------------------------


def values(request: Request) -> Answer:
    """Answer the values of a measure (float32, in the order of units) and their flags (16 bits); see `_arrays`.

    ``version`` is that of what they were read from.
    """
    asked = _Asked(request)
    _, on, column, key = asked.difference()

    def made() -> Answer:
        about = {"version": _version(key), "reasons": list(column.reasons), "kinds": column.kinds()}
        # Of which units, in their order: a browser may know those of polygons that have been replaced.
        about["drawn"] = on.checksum
        return _arrays(about, {"values": column.points, "flags": column.flags})

    return request.cached(("values", key), made)


def bounds(request: Request) -> Answer:
    """Answer bounds and quality, where there are any, of the units within a place; see `_arrays`.

    With the bounds of an index comes the value that they lie about, ``corrected``.
    ``first`` is the place of the first of these units among all. ``version`` is that of the values which the bounds
    belong to: values of another have other bounds.
    """
    asked = _Asked(request)
    chosen = asked.chosen()
    on, within = asked.on(chosen), _within(request)
    key = asked.key(chosen, on)

    def made() -> Answer:
        first, end = on.codes.searchsorted([within, f"{within}~"]).tolist() if within else (0, len(on.codes))
        column = asked.read(chosen, on.index[first:end])
        found = {name: getattr(column, name) for name in ("lower", "upper", "corrected", "quality")}
        about = {"version": _version(key), "first": first}
        return _arrays(about, {name: array for name, array in found.items() if array is not None})

    return request.cached(("bounds", within, key), made)


def _version(key: tuple[Any, ...]) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()[:16]


def _arrays(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Answer:
    """Return arrays after a head: its length (32 bits), JSON with types and lengths, spaces to a multiple of 8."""
    plain = {name: {"type": array.dtype.name, "length": len(array)} for name, array in arrays.items()}
    head = json.dumps({**about, "arrays": plain}, ensure_ascii=False, allow_nan=False).encode()
    head += b" " * (-(len(head) + 4) % 8)
    body = [struct.pack("<I", len(head)), head]
    for array in arrays.values():
        data = array.astype(array.dtype.newbyteorder("<")).tobytes()
        body += [data, b"\0" * (-len(data) % 8)]
    return Answer.of(b"".join(body), "application/octet-stream")


def scale(request: Request) -> Answer:
    """Answer classes of a measure, their colors and texts; with ``minus_…`` classes of a difference, about zero."""
    asked = _Asked(request)
    method = request.choice("method", METHODS, "quantiles")
    count = request.number("classes", 3, 9, 7)
    chosen, _, column, key = asked.difference()
    differs = "minus_entry" in request.query

    def made() -> Answer:
        found = classes_of(column.points, method, count, chosen.shown.unit, chosen.shown.better, differs)
        return Answer.json(None if found is None else asdict(found))

    return request.cached(("scale", method, count, differs, key), made)


def series(request: Request) -> Answer:
    """Answer a measure of one unit over all years of its entry, with bounds and reasons."""
    asked = _Asked(request)
    chosen = asked.chosen()
    on = asked.on(chosen)
    code = request.text("unit")
    if code not in on.index:
        raise UnknownError(f"unit {quoted(code)}: not on this map")

    def of_year(year: int) -> Chosen | None:
        contents = asked.contents(chosen.entry, year)
        shown = contents.measures.get(chosen.name)
        return None if shown is None else replace(chosen, year=year, contents=contents, shown=shown)

    def row(one: Chosen) -> dict[str, Any]:
        return {"year": one.year, **_row(asked.read(one, pd.Index([code], dtype="str")), 0)}

    years = [one for one in concurrently(of_year, chosen.entry.years[-_MOST_YEARS:]) if one is not None]

    def made() -> Answer:
        return Answer.json({"unit": code, "name": names_of(on)(code), "rows": concurrently(row, years)})

    return request.cached(("series", code, *(asked.key(one, on) for one in years)), made)


def _row(column: Column, place: int) -> dict[str, Any]:
    return {
        "value": _number(column.points[place]),
        "lower": None if column.lower is None else _number(column.lower[place]),
        "upper": None if column.upper is None else _number(column.upper[place]),
        "corrected": None if column.corrected is None else _number(column.corrected[place]),
        "quality": None if column.quality is None else int(column.quality[place]) or None,
        "reason": column.reasons[column.flags[place]] if column.flags[place] else "",
    }


def _number(value: Any) -> float | None:
    """Return a number of single precision as few digits; None for none."""
    return float(np.format_float_positional(value, unique=True)) if math.isfinite(value) else None


def histogram(request: Request) -> Answer:
    """Answer the number of units by value, in bins of equal width, of all units or of those within a place."""
    asked = _Asked(request)
    _, on, column, key = asked.difference()
    within = _within(request)

    def made() -> Answer:
        inside = column.points[_inside(on, column, within)]
        known = inside[np.isfinite(inside)]
        if not len(known):
            return Answer.json({"edges": [], "counts": [], "known": 0, "all": len(inside)})
        low, high = np.quantile(known, [0.005, 0.995])
        if high - low <= 1e-9 * max(abs(low), abs(high)):
            # Of one value: bins about it, which its precision can tell apart.
            half = max(0.5, abs(low) * 1e-6)
            low, high = low - half, high + half
        counts, edges = np.histogram(np.clip(known, low, high), _BINS, (float(low), float(high)))
        middle = [float(value) for value in np.quantile(known, [0.25, 0.5, 0.75])]
        return Answer.json(
            {
                "edges": [float(edge) for edge in edges],
                "counts": counts.tolist(),
                "quartiles": middle,
                "known": len(known),
                "all": len(inside),
            }
        )

    return request.cached(("histogram", within, key), made)


def table(request: Request) -> Answer:
    """Answer a page of units, or of their counties, in the order of values or of codes.

    The value of a county is the median of its tracts.
    """
    asked = _Asked(request)
    chosen, on, column, key = asked.difference()
    order = request.choice("order", ("high", "low", "code"), "high")
    by = request.choice("by", ("unit", COUNTY) if on.unit == TRACT else ("unit",), "unit")
    offset, limit = request.number("offset", 0, 10**9, 0), request.number("limit", 1, _ROWS, 50)
    within = _within(request)

    def made() -> Answer:
        inside = np.flatnonzero(_inside(on, column, within))
        if by == COUNTY:
            return Answer.json(_counties(on, column, inside, order, offset, limit))
        known = column.points[inside]
        sort = inside if order == "code" else inside[np.argsort(-known if order == "high" else known, kind="stable")]
        page = sort[offset : offset + limit]
        if "minus_entry" in request.query:
            numbers = [_row(column, row) for row in page.tolist()]
        else:
            bounded = asked.read(chosen, on.index[page])
            numbers = [_row(bounded, place) for place in range(len(page))]
        names = names_of(on)
        rows = [
            {"code": code, "name": short(names(code)), "row": row, **own}
            for code, row, own in zip(on.codes[page].tolist(), page.tolist(), numbers, strict=True)
        ]
        return Answer.json({"rows": rows, "count": len(inside), "known": int(np.isfinite(known).sum())})

    return request.cached(("table", order, by, offset, limit, within, key), made)


def _counties(
    on: Drawn, column: Column, inside: NDArray[np.int64], order: str, offset: int, limit: int
) -> dict[str, Any]:
    own = pd.DataFrame({"code": on.index[inside].str[:5], "value": column.points[inside]})
    groups = own.groupby("code", sort=True)["value"]
    found = pd.DataFrame({"value": groups.median(), "tracts": groups.size(), "known": groups.count()})
    if order != "code":
        found = found.sort_values("value", ascending=order == "low", kind="stable", na_position="last")
    names = RegionNames(COUNTY)
    rows = [
        {
            "code": str(row.Index),
            "name": short(names.of(str(row.Index))),
            "value": _number(np.float32(row.value)),
            "tracts": int(row.tracts),
            "known": int(row.known),
        }
        for row in found[offset : offset + limit].itertuples()
    ]
    return {"rows": rows, "count": len(found), "known": int(found["value"].notna().sum())}


def _within(request: Request) -> str:
    """Return the beginning of the codes of the units that are asked for: a state or county; empty for all."""
    code = request.text("within", "")
    if code and not (code.isascii() and code.isdecimal() and len(code) in (2, 5)):
        raise InputError(f"within {quoted(code)}: expected the code of a state or county")
    return code


def _inside(on: Drawn, column: Column, within: str) -> NDArray[np.bool_]:
    """Return which units of a place have a row in the result, with a value or without."""
    rows = np.asarray(column.flags != NO_ROW)
    return np.asarray(rows & on.index.str.startswith(within)) if within else rows


# Names ------------------------------------------------------------------------------------------


def search(request: Request) -> Answer:
    """Answer places by name or code: states, counties, metros, regions, tracts; with their bounds in meters."""
    asked = _Asked(request)
    on = _own(asked)
    typed = _plain(request.text("q"))
    key = ("places", asked.store.url, on.checksum)
    known: list[_Place] = asked.cache.of(key, lambda: _sized(_places(asked, on))).value
    code = request.text("q").strip()
    found = []
    for place in known if typed else []:
        rank = place.rank(typed, code)
        if rank is not None:
            found.append((rank, -place.count, place))
    rows = [place.plain() for _, _, place in sorted(found, key=lambda item: item[:2])[:_FOUND]]
    if not rows and on.unit == TRACT and code in on.index:
        row = int(on.index.get_loc(code))
        place = _Place(TRACT, code, tract_name(code), "", 1, _box(on, [row]), row)
        rows = [place.plain()]
    return Answer.json({"places": rows, "count": len(found) or len(rows)})


@dataclass(frozen=True)
class _Place:
    """A place that can be found by its name."""

    kind: str
    code: str
    name: str
    plain_name: str
    count: int
    box: list[int]
    row: int

    def rank(self, typed: str, code: str) -> int | None:
        """Return how well a name fits what was typed, best first; None if it does not; as ``static`` maps do."""
        if self.code == code or self.plain_name == typed:
            return 0
        spaced = f" {self.plain_name}"
        if not all(f" {word}" in spaced for word in typed.split()):
            return None
        if self.plain_name.startswith(f"{typed} "):
            return 1
        if f" {typed} " in spaced:
            return 2
        return 3 if self.plain_name.startswith(typed) else 4

    def plain(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "kind": kind_title(self.kind),
            "code": self.code,
            "name": short(self.name, 120),
            "count": self.count,
            "box": self.box,
            "row": self.row,
        }


def _places(asked: _Asked, on: Drawn) -> list[_Place]:
    found = []
    if on.unit != TRACT:
        names = names_of(on)
        for row, code in enumerate(on.codes.tolist()):
            name = names(code)
            found.append(_Place(on.unit, code, labeled(code, name), _plain(name), 1, _box(on, [row]), row))
    tracts = on if on.unit == TRACT else asked.drawn(on.vintage, TRACT)
    for place in places(tracts.codes.tolist()):
        if on.unit != TRACT and place["kind"] == on.unit:
            continue
        ranges = [tracts.codes.searchsorted([begin, f"{begin}~"]) for begin in place["within"]]
        rows = np.concatenate([np.arange(first, end) for first, end in ranges])
        name = str(place["name"])
        found.append(_Place(place["kind"], place["code"], name, _plain(name), len(rows), _box(tracts, rows), -1))
    return [place for place in found if place.box]


def _box(on: Drawn, rows: Sequence[int] | NDArray[np.int64]) -> list[int]:
    own = on.boxes[np.asarray(rows, dtype=np.int64)]
    own = own[~np.isnan(own).any(axis=1)]
    if not len(own):
        return []
    return [int(value) for value in (*own[:, :2].min(axis=0), *own[:, 2:].max(axis=0))]


def _plain(text: str) -> str:
    """Return a name without accents, capitals and points: "dona ana" finds Doña Ana, "st louis" St. Louis."""
    bare = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    return " ".join("".join(letter if letter.isalnum() else " " for letter in bare.casefold()).split())


def _sized(found: list[_Place]) -> _Kept:
    return _Kept(found, 400 * len(found))


PART = Part(
    name="results",
    title="Results",
    routes=(
        Route(r"results/catalog", catalog),
        Route(r"results/details", details),
        Route(r"results/cubes", cubes),
        Route(r"results/units", units),
        Route(r"results/cells", cells),
        Route(r"results/polygons", polygons),
        Route(r"results/values", values),
        Route(r"results/bounds", bounds),
        Route(r"results/scale", scale),
        Route(r"results/series", series),
        Route(r"results/histogram", histogram),
        Route(r"results/table", table),
        Route(r"results/search", search),
    ),
    scripts=("tract_map.js", "explore_results.js"),
    styles=("tract_map.css", "explore_results.css"),
)
