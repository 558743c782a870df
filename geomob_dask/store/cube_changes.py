"""The difference between years of results and the cube that holds them: what is to be written, and whether it fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed
from geomob_dask.sources.attributes import together
from geomob_dask.store.cube_arrays import State
from geomob_dask.store.snapshots import Part, Snapshot

_NAMED = 3
# Digits of the key of a tract.
TRACT_DIGITS = 11
# Attributes of a collection that must be equal in all years of a cube.
_COMMON = ("vintage", "by", "mode", "dollars", "period")


@dataclass(frozen=True)
class YearChange:
    """The parts of one year that are to be written.

    Parameters
    ----------
    collection : str
    parts : mapping of str to Part
        All parts of the year.
    changed, removed : tuple of str
        Parts that differ from those in the cube, and parts in the cube that the year no longer has.
    """

    collection: str
    parts: Mapping[str, Part]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class CubeChange:
    """The difference between some years and a cube.

    Parameters
    ----------
    name : str
    attributes : mapping
        Of the product: the same for all years.
    years : mapping of int to YearChange
        Ascending.
    state : State, optional
        What the cube holds; None if there is no cube.
    margins : mapping of str to str
        Columns that are known to be margins of error, and their estimates.
    """

    name: str
    attributes: Mapping[str, Any]
    years: Mapping[int, YearChange]
    state: State | None
    margins: Mapping[str, str] = field(default_factory=dict)

    @property
    def todo(self) -> dict[int, YearChange]:
        """Return the years that are to be written."""
        return {year: change for year, change in self.years.items() if change.changed or change.removed}

    def changed_parts(self) -> dict[str, tuple[Part, ...]]:
        """Return the changed parts that have rows, in the order of the years, by the name of the part."""
        parts: dict[str, tuple[Part, ...]] = {}
        for change in self.todo.values():
            for part_name in change.changed:
                if change.parts[part_name].rows:
                    parts[part_name] = (*parts.get(part_name, ()), change.parts[part_name])
        return parts

    def lines(self) -> list[str]:
        """Return the difference as text."""
        todo = self.todo
        size = sum(change.parts[part].size for change in todo.values() for part in change.changed)
        present = "none" if self.state is None else year_spans(sorted(self.state.years)) or "none"
        lines = [
            f"cube {self.name} of {self.attributes['product']}: {len(todo)} of {len(self.years)} years to be written, "
            f"from {size / 2**20:.1f} MiB; years in the cube: {present}"
        ]
        for year, change in self.years.items():
            what = f"{_with_names(change.changed, 'part')} to be written" if year in todo else "up to date"
            blanked = f", {_with_names(change.removed, 'part')} to be blanked" if change.removed else ""
            lines.append(f"  {year}: {what}{blanked}, from {change.collection}")
        return lines

    def message(self, before: State, after: State) -> str:
        """Return the message of the commit, in one line."""
        pieces = []
        for year, change in self.todo.items():
            verb = "rewritten" if year in before.years else "added"
            blanked = f", {_with_names(change.removed, 'part')} blanked" if change.removed else ""
            pieces.append(f"{year} {verb} ({_with_names(change.changed, 'part')}{blanked})")
        more = len(after.keys) - len(before.keys)
        if more and before.years:
            pieces.append(f"{counted(more, after.form.unit)} added at the end")
        return "; ".join(pieces)

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the commit: collection, written and blanked parts of each year."""
        return {
            "product": self.attributes["product"],
            "years": {
                str(year): {
                    "collection": change.collection,
                    "written": list(change.changed),
                    "blanked": list(change.removed),
                }
                for year, change in self.todo.items()
            },
        }


def cube_change(name: str, snapshots: Mapping[int, Snapshot], state: State | None) -> CubeChange:
    """Return the difference between snapshots of years and a cube.

    Parameters
    ----------
    name : str
        Of the cube, for messages.
    snapshots : mapping of int to Snapshot
        By year.
    state : State, optional
        What the cube holds; None if there is no cube.

    Raises
    ------
    InputError
        If there is no year, or product, vintage or kind of region differ between the years, or from the cube.
    """
    if not snapshots:
        raise InputError(f"cube {name!r}: found no year, expected at least one")
    snapshots = dict(sorted(snapshots.items()))
    attributes = _attributes(name, snapshots, state)
    years = {}
    for year, snapshot in snapshots.items():
        held = {} if state is None else state.identities(year)
        now = {part_name: identity_of(part) for part_name, part in snapshot.parts.items()}
        moved = state is not None and year in state.years and collection_in(state, year) != snapshot.collection
        changed = tuple(part_name for part_name in now if moved or held.get(part_name) != now[part_name])
        removed = tuple(part_name for part_name in held if part_name not in now)
        years[year] = YearChange(snapshot.collection, dict(snapshot.parts), changed, removed)
    margins = {column: estimate for one in snapshots.values() for column, estimate in _margins(one)}
    return CubeChange(name, attributes, years, state, margins)


def identity_of(part: Part) -> tuple[int, int]:
    """Return the first 64 bits of the checksum of a part and of the identity of the run that made it."""
    return int(part.sha256[:16], 16), int(part.run[:16] or "0", 16)


def collection_in(state: State, year: int) -> str:
    """Return the collection from which a year of a cube was written."""
    return state.collections[state.years.index(year)]


def _attributes(name: str, snapshots: Mapping[int, Snapshot], state: State | None) -> dict[str, Any]:
    """Return the attributes of all years, after comparing them with each other and with the cube."""
    attributes: dict[str, Any] = {}
    owner = ""
    if state is not None and state.years:
        attributes, owner = dict(state.attributes), f"cube {name!r}"
    for snapshot in snapshots.values():
        own = _own_attributes(snapshot)
        if not attributes:
            attributes, owner = own, snapshot.collection
        both = together(attributes, own)
        if both is None:
            key = next(key for key in sorted({*own, *attributes}) if own.get(key) != attributes.get(key))
            raise InputError(_difference(key, owner, attributes.get(key), snapshot.collection, own.get(key)))
        attributes = both
    return attributes


def _margins(snapshot: Snapshot) -> list[tuple[str, str]]:
    kinds = snapshot.attributes.get("kinds", {})
    return [(column, kind["of"][0]) for column, kind in kinds.items() if kind["kind"] == "moe"]


def _own_attributes(snapshot: Snapshot) -> dict[str, Any]:
    pieces = snapshot.collection.split("/")
    product = "/".join(pieces[:3] if pieces[0] == "results" else pieces[:2])
    first = next((part for part in snapshot.parts.values() if part.rows), None)
    if first is None:
        raise InputError(f"{snapshot.collection}: found no row, expected at least one")
    unit = "tract" if len(first.first) == TRACT_DIGITS and first.first.isdigit() else "region"
    more = {key: value for key, value in snapshot.attributes.items() if key in _COMMON}
    attributes = {"Conventions": "CF-1.11", "product": product, "unit": unit, **more}
    if unit == "tract" and "vintage" in more:
        attributes["geometry"] = f"tracts/{more['vintage']}"
    return attributes


def _difference(key: str, owner: str, value: Any, collection: str, own: Any) -> str:
    if key in ("vintage", "geometry"):
        vintage = str(value).removeprefix("tracts/")
        other = str(own).removeprefix("tracts/")
        dataset, year = dataset_and_year(collection)
        which = f"--dataset {dataset} --years {year} " if year else ""
        return (
            f"{owner} is on tracts of vintage {vintage}, {collection} on tracts of vintage {other}; expected years of "
            f"one vintage: harmonize the measures (python jobs/harmonize.py {which}--to {vintage}) and compute the "
            "result again, or choose another name for the cube"
        )
    found = f"{owner} has {key} {value!r}, {collection} has {key} {own!r}"
    if key == "product":
        return f"{found}; expected years of one product, or another name for the cube"
    return f"{found}; expected the same in all years of a cube"


def dataset_and_year(collection: str) -> tuple[str, str]:
    """Return the year in the name of a collection and what precedes it; empty if there is none."""
    pieces = collection.split("/")
    place = next((place for place, piece in enumerate(pieces) if piece.isdigit() and len(piece) == 4), 0)
    return (pieces[place - 1], pieces[place]) if place else ("", "")


def _with_names(names: Sequence[str], noun: str) -> str:
    return counted(len(names), noun) + (f": {listed(names, _NAMED)}" if names else "")


def year_spans(years: Sequence[int]) -> str:
    """Return years as text, consecutive ones as a span.

    Examples
    --------
    >>> year_spans([2009, 2010, 2011, 2018])
    '2009-2011, 2018'
    """
    spans: list[list[int]] = []
    for year in years:
        if spans and year == spans[-1][1] + 1:
            spans[-1][1] = year
        else:
            spans.append([year, year])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
