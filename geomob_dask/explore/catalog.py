"""What a store holds that the page can show: results and measures by year, with their measures, labels and units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from geomob_dask.definition import Definition
from geomob_dask.errors import InputError
from geomob_dask.explore.drawn import Snapshots
from geomob_dask.explore.geometry import COUNTY, STATE, TRACT
from geomob_dask.frames.regions import NATION
from geomob_dask.sources.measure_names import Label, definition_labels, label_of
from geomob_dask.sources.states import STATES
from geomob_dask.store import Snapshot, Store
from geomob_dask.store.cube_form import Form, Measure, form_of, kinds_of

# Products with one row a tract or region. Intervals are shown with the index that they belong to.
TITLES = {
    "opportunity": "Opportunity index",
    "exposure": "Exposure",
    "mixing": "Income mixing",
    "segregation": "Segregation",
    "location_quotients": "Location quotients",
    "mobility-applied": "Predicted mobility",
    "measures": "Measures",
}
_YEAR = re.compile("[0-9]{4}")
_TRACT_KEY = re.compile("[0-9]{11}")
# Measures of one result that the page lists.
_MOST_MEASURES = 2_000
# Columns of results that say how large a region is: what was asked for comes first.
_SIZES = ("units", "people", "tracts", "people_count", "people_shared", "overlap")
_POPULATION = ("population_zero", "excluded")
# Columns of the bounds of an index among its intervals, and of the value that they lie about: not that of the index.
INTERVALS = {"lower": "opportunity_lb", "upper": "opportunity_ub"}
CORRECTED = "opportunity_corrected"


@dataclass(frozen=True)
class Entry:
    """A result of several years.

    Parameters
    ----------
    id : str
        The path of its collections, with ``{year}`` in place of the year.
    product, name, dataset, variant : str
        Pieces of the path; `variant` is its end, which tells states and norm, or other choices.
    years : tuple of int
        Ascending.
    """

    id: str
    product: str
    name: str
    dataset: str
    variant: str
    years: tuple[int, ...]

    def collection(self, year: int) -> str:
        """Return the collection of a year."""
        return self.id.replace("{year}", str(year))

    def plain(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "id": self.id,
            "product": self.product,
            "title": TITLES[self.product],
            "name": self.name,
            "dataset": self.dataset,
            "variant": in_words(self.variant),
            "years": list(self.years),
        }


@dataclass(frozen=True)
class Shown:
    """A measure of an entry that can be shown.

    Parameters
    ----------
    measure : Measure
        Its columns.
    label, unit : str
    better : int
        1 where more is better, -1 where more is worse, 0 where neither is said.
    corrected : str
        The column of values that its bounds belong to, if it is another than that of the estimate.
    intervals : str
        The collection that holds its bounds and the value that they lie about, where that is another than its own.
    """

    measure: Measure
    label: str
    unit: str
    better: int
    corrected: str = ""
    intervals: str = ""

    def plain(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "id": self.measure.name,
            "label": self.label,
            "unit": self.unit,
            "better": self.better,
            "bounds": bool(self.intervals or self.measure.columns.keys() & {"lower", "moe", "quality"}),
        }


@dataclass(frozen=True)
class Contents:
    """An entry in a year: its measures, and what its rows are.

    Parameters
    ----------
    vintage : str
    unit : str
        ``tract``, ``county``, ``state``, or the name of a table of regions.
    measures : mapping of str to Shown
        By id.
    has_reasons : bool
        Whether it has a column ``reason`` for all measures.
    title : str
        Of the definition of an index.
    states : tuple of str
    lists : tuple of str
        Columns that list measures which were filled or imputed.
    """

    vintage: str
    unit: str
    measures: Mapping[str, Shown]
    has_reasons: bool
    title: str = ""
    states: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    size: int = field(default=20_000)


def entries(store: Store) -> dict[str, Entry]:
    """Return what a store holds by id, from the names of its collections alone."""
    found: dict[str, Entry] = {}
    for collection in [*store.collections("results"), *store.collections("measures")]:
        path = collection.split("/")
        pieces = ["measures", "", *path[1:]] if path[0] == "measures" else path[1:]
        if len(pieces) not in (4, 5) or pieces[0] not in TITLES or not _YEAR.fullmatch(pieces[3]):
            continue
        path[len(path) - len(pieces) + 3] = "{year}"
        one = "/".join(path)
        known = found[one].years if one in found else ()
        variant = pieces[4] if len(pieces) == 5 else ""
        found[one] = Entry(one, pieces[0], pieces[1], pieces[2], variant, tuple(sorted((*known, int(pieces[3])))))
    order = list(TITLES)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[1].product), item[0])))


def in_words(variant: str) -> str:
    """Return the end of a path with letters of states in place of their codes.

    Examples
    --------
    >>> in_words("18-39-selected"), in_words("39-county-corrected-30")
    ('IN, OH, selected', 'OH, county, corrected, 30')
    """
    pieces = variant.split("-")
    codes = next((place for place, piece in enumerate(pieces) if piece not in STATES), len(pieces))
    return ", ".join([*(STATES[code].letters for code in pieces[:codes]), *pieces[codes:]])


def contents_of(store: Store, snapshots: Snapshots, entry: Entry, year: int) -> Contents:
    """Return the measures of an entry in a year, without the intervals of an index; see `with_intervals`.

    Raises
    ------
    InputError
        If it has no rows, or none that could have polygons.
    """
    snapshot = snapshots.find(entry.collection(year))
    if snapshot is None or not any(part.rows for part in snapshot.parts.values()):
        raise InputError(f"{entry.collection(year)}: found no rows, expected a result")
    options = next(iter(snapshot.runs.values()), {}).get("options", {})
    vintage, unit = str(snapshot.attributes.get("vintage") or ""), _unit_of(snapshot, options)
    if not vintage or not unit:
        what = "is of no vintage of tracts" if unit else "has rows that are neither tracts nor regions of a kind"
        raise InputError(f"{snapshot.collection}: {what}: it has no map")
    empty = store.empty(snapshot)
    kinds = {name: kind for name, kind in kinds_of(empty).items() if kind != "other" and empty[name].dtype != bool}
    form = form_of(kinds, "tract" if unit == TRACT else "region", "" if entry.product == "measures" else "1")
    definition = _definition_of(options)
    shown = [_shown(one, entry, definition, options, form) for one in form.measures if one.name not in _POPULATION]
    return Contents(
        vintage,
        unit,
        {one.measure.name: one for one in _ordered(shown, entry.product)[:_MOST_MEASURES]},
        "reason" in kinds,
        "" if definition is None else definition.title,
        tuple(state for state in snapshot.parts if state in STATES),
        tuple(name for name in ("imputed_direct", "imputed_once_removed", "filled_domains") if name in kinds),
    )


def _unit_of(snapshot: Snapshot, options: Mapping[str, Any]) -> str:
    first = next(part.first for part in snapshot.parts.values() if part.rows)
    if _TRACT_KEY.fullmatch(first) and "all" not in snapshot.parts:
        return TRACT
    by = str(snapshot.attributes.get("by") or options.get("by") or "")
    if by == NATION:
        raise InputError(f"{snapshot.collection}: is of the whole nation, which has no map; expected regions")
    if not by:
        by = TRACT if _TRACT_KEY.fullmatch(first) else {5: COUNTY, 2: STATE}.get(len(first), "")
    return by


def _definition_of(options: Mapping[str, Any]) -> Definition | None:
    plain = options.get("definition")
    try:
        return Definition.model_validate(plain) if isinstance(plain, Mapping) else None
    except ValueError:
        # Of another version: names are shown as they are.
        return None


def intervals_of(store: Store, entry: Entry, year: int) -> list[str]:
    """Return the intervals that a store has for an index, those of the most draws first; see `products.intervals`."""
    if entry.product != "opportunity":
        return []
    folder = f"intervals/opportunity/{entry.name}/{entry.dataset}/{year}"
    # An index that keeps its steps has the same intervals as one that does not.
    choice = re.escape(entry.variant.removesuffix("-steps"))
    draws = {}
    for name in store.objects.folders(folder):
        if match := re.fullmatch(f"{choice}-([0-9]+)-([0-9]+)", name):
            draws[int(match[1]), -int(match[2])] = f"{folder}/{name}"
    return [draws[key] for key in sorted(draws, reverse=True)]


def with_intervals(
    contents: Contents, snapshots: Snapshots, entry: Entry, year: int, intervals: Iterable[str]
) -> Contents:
    """Return the contents of an index with the first of some intervals that are of the same inputs and definition."""
    made_from = _made_from(snapshots.find(entry.collection(year)))
    own = next((name for name in intervals if _made_from(snapshots.find(name)) == made_from), None)
    if own is None or "opportunity" not in contents.measures:
        return contents
    index = replace(contents.measures["opportunity"], intervals=own)
    return replace(contents, measures={**contents.measures, "opportunity": index})


def _made_from(snapshot: Snapshot | None) -> list[tuple[Any, Any]] | None:
    """Return inputs and definition of the runs of a collection; None without a collection."""
    if snapshot is None:
        return None
    return [(run.get("inputs"), run.get("options", {}).get("definition")) for run in snapshot.runs.values()]


def _shown(
    measure: Measure, entry: Entry, definition: Definition | None, options: Mapping[str, Any], form: Form
) -> Shown:
    name = measure.name
    if entry.product == "opportunity" and definition is not None:
        parameters = definition.parameters
        if name == "opportunity":
            return Shown(measure, "Opportunity", parameters.opportunity_range.text, 1)
        if name == "deprivation":
            return Shown(measure, "Deprivation", parameters.deprivation_range.text, -1)
        if name in definition.domains:
            return Shown(measure, f"Deprivation in {label_of(name).text}", parameters.domain_range.text, -1)
        own = definition_labels(definition)
        direction = dict(zip(definition.measures, definition.directions, strict=True)).get(name, 0)
        return Shown(measure, *label_of(name, own), -direction)
    groups = _group_labels(options)
    for group, text in groups.items():
        if name.startswith(f"{group}_"):
            rest = name.removeprefix(f"{group}_")
            label = label_of(rest)
            columns = {one.name for one in form.measures}
            corrected = f"{name}_corrected" if rest == "exposure" and f"{name}_corrected" in columns else ""
            return Shown(measure, f"{text}: {label.text}", label.unit or _units(measure), 0, corrected)
    label = label_of(name)
    return Shown(measure, label.text[:1].upper() + label.text[1:], label.unit or _units(measure), 0)


def _units(measure: Measure) -> str:
    return "" if measure.units in ("", "1") else measure.units


def _group_labels(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of the groups of a run by name, the longest name first."""
    edition = options.get("edition")
    groups = edition.get("groups", ()) if isinstance(edition, Mapping) else ()
    found = {
        str(one["name"]): label_of(str(one["name"]), {str(one["name"]): Label(str(one["label"]))}).text
        for one in groups
        if isinstance(one, Mapping) and "name" in one and "label" in one
    }
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _ordered(shown: list[Shown], product: str) -> list[Shown]:
    """Return what a reader looks for first in front."""

    def rank(one: Shown) -> int:
        name = one.measure.name
        if product == "opportunity":
            return {"opportunity": 0, "deprivation": 1}.get(name, 2)
        if name.startswith("count_") or name in _SIZES:
            return 2
        return 0 if name.endswith("_exposure") else 1

    return sorted(shown, key=rank)
