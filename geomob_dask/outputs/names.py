"""Names where codes are shown: of regions and tracts in tables, lists, tooltips and terminals, and to search a map by.

Every output asks here. Names come from tables that users bring, so they may be long, missing or the same twice: code
and name are shown together where there is room, and a name that is cut keeps its code.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from geomob_dask.messages import one_line
from geomob_dask.outputs.polygons import pack
from geomob_dask.products.product import Prepared
from geomob_dask.products.reader import Reader
from geomob_dask.products.regions import PREFIX
from geomob_dask.sources.measure_names import Label, label_of, labels_in_use
from geomob_dask.sources.place_names import (
    are_metros,
    county_name,
    known_name,
    metro_name,
    metro_of,
    state_label,
    tract_name,
)
from geomob_dask.sources.states import state_name
from geomob_dask.store import Store

NAME = "region_name"
COUNTY = "county_name"
# Characters of a name in a list, an axis or a line.
_LONGEST = 60
# A table of more regions would make a page large; its names are in exports and reports.
_MOST_REGIONS = 60_000
# Of a tract that is found by a region: half of it lies there, or no tract has as much and this is one that lies there.
_MOSTLY = 0.5
# Digits of the key of a county.
_COUNTY = 5
# Digits of the code of a place, which begins with its state's.
_PLACE = 7
_ISOLATED = "\u2068{}\u2069"
_TURNS = frozenset(("R", "AL", "AN"))


@dataclass(frozen=True)
class RegionNames:
    """Names of the regions of one kind.

    Parameters
    ----------
    by : str
        The kind, such as ``county``.
    own : mapping of str to str
        Names of a table of regions, by code.
    """

    by: str
    own: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, code: str) -> str:
        """Return the name of a region, empty if it is not known: of ``--labels``, its table, or the package."""
        given = labels_in_use().given.get(code)
        return given.text if given else self.own.get(code) or known_name(code, self.by)

    def label(self, code: str, longest: int = _LONGEST) -> str:
        """Return name and code on one line, the code alone where no name is known.

        Examples
        --------
        >>> RegionNames("county").label("39049"), RegionNames("ward", {"7": "Northside"}).label("8")
        ('Franklin County, Ohio (39049)', '8')
        """
        return labeled(code, self.of(code), longest)

    def listed(self, codes: Iterable[str]) -> str:
        """Return the labels of regions, separated by semicolons: names have commas."""
        return "; ".join(self.label(code) for code in codes)

    def axis(self, codes: Sequence[str], longest: int = 34) -> list[str]:
        """Return a name for each region on an axis, all different: with the code where another has that name."""
        names = [short(self.of(code) or code, longest) for code in codes]
        return [name if names.count(name) == 1 else f"{name} ({code})" for name, code in zip(names, codes, strict=True)]

    def column(self, codes: Iterable[str]) -> pd.Series:
        """Return the names of regions as a column of text, empty where none is known."""
        return pd.Series([self.of(str(code)) for code in codes], dtype="str")

    def named(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with the names of its regions in `NAME`.

        Parameters
        ----------
        table : DataFrame
            Regions are in its column ``region``, or else its index. A name that it has stays where no other is known.
        """
        codes = table.get("region", table.index)
        known: dict[str, str] = {code: self.of(str(code)) for code in pd.unique(np.asarray(codes, dtype=object))}
        names = np.array([known[code] for code in codes], dtype=object)
        if NAME in table:
            kept = table[NAME].fillna("").to_numpy(object)
            return table.assign(**{NAME: pd.array(np.where(names == "", kept, names), dtype="str")})
        result = table.copy()
        place = table.columns.get_loc("region") + 1 if "region" in table else 0
        result.insert(place, NAME, pd.array(names, dtype="str"))
        return result


def region_names(store: Store, prepared: Prepared) -> RegionNames:
    """Return the names of the regions of a run: those of its own table of regions, and those that are known."""
    by = str(prepared.options.by)
    if "regions" not in prepared.inputs:
        return RegionNames(by)
    read = Reader(store, prepared.inputs, prepared.whole, prepared.states, lazy=False)
    return RegionNames(by, _own_names(read.frame("regions", ["region", NAME])))


def _own_names(table: pd.DataFrame) -> dict[str, str]:
    named = table[(table["region"] != "") & (table[NAME].fillna("") != "")]
    # As results have them, where rows of one region differ.
    return dict(named.groupby("region", sort=True)[NAME].max())


def labeled(code: str, name: str, longest: int = _LONGEST) -> str:
    """Return name and code of a region; the code alone where it has no name."""
    return code if name in ("", code) else f"{short(name, longest)} ({code})"


def labels_of_regions(table: pd.DataFrame) -> list[str]:
    """Return name and code of each region of a result, which has codes as its index and their names in `NAME`."""
    return [labeled(str(code), str(name)) for code, name in table[NAME].fillna("").items()]


def cube_region_names(store: Store, cube: xr.Dataset) -> RegionNames | None:
    """Return the names of the regions of a cube: of its newest result in the store, and those that are known.

    None where its units are tracts, which have the names of their counties.
    """
    if cube.attrs["unit"] == "tract":
        return None
    for collection in reversed(cube["collection"].to_numpy().astype(str).tolist()):
        snapshot = store.find(collection) if collection else None
        if snapshot is not None and snapshot.runs:
            run = next(iter(snapshot.runs.values()))
            by = str(run.get("options", {}).get("by", ""))
            if NAME not in store.columns(snapshot):
                return RegionNames(by)
            table = store.frame(collection, columns=[NAME]).compute(scheduler="threads")
            return RegionNames(by, _own_names(table.assign(region=table.index)))
    return RegionNames("")


def named_rows(table: pd.DataFrame, names: RegionNames | None) -> pd.DataFrame:
    """Return a table by region with their names, or one by tract, without names, with those of counties."""
    return with_counties(table) if names is None else names.named(table)


def unit_label(key: str, names: RegionNames | None) -> str:
    """Return name and key of a region, or of a tract without names."""
    return labeled(key, tract_name(key)) if names is None else names.label(key)


def short(name: str, longest: int = _LONGEST) -> str:
    """Return a name on one line, cut where it is long, that does not turn around what stands beside it.

    Examples
    --------
    >>> short("Llanfairpwllgwyngyll", 8), short("Ohio")
    ('Llanfai…', 'Ohio')
    """
    text = one_line(name)
    text = text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"
    turns = any(unicodedata.bidirectional(letter) in _TURNS for letter in text)
    return _ISOLATED.format(text) if turns else text


def states_in_words(codes: Iterable[str], most: int = 4) -> str:
    """Return the names of a few states, or the number of many.

    Examples
    --------
    >>> states_in_words(["39", "18"])
    'Indiana and Ohio'
    """
    found = sorted(set(codes))
    if len(found) > most:
        return f"{len(found)} states"
    *others, last = (state_name(code) for code in found)
    return f"{', '.join(others)} and {last}" if others else last


def group_labels(own: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of groups, of ``--labels`` where it has them, by their names."""
    return {name: label_of(name, {name: Label(label)}).text for name, label in own.items()}


def feature_labels(about: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of the features of a study by their titles, which are their names where it knows no other."""
    labels = {}
    for feature in about["features"]:
        name, title = str(feature["name"]), str(feature["title"])
        labels[title] = label_of(name, {} if title == name else {name: Label(title)}).text
    # A plot has one bar for each: two features of one label keep their titles.
    count = Counter(labels.values())
    return {title: label if count[label] == 1 else title for title, label in labels.items()}


def unit_labels(about: Mapping[str, Any], units: pd.DataFrame) -> pd.Series:
    """Return what the zones or tracts of a study are called: of tracts key, county and state."""
    if about["study"] != "tracts":
        return units["label"]
    counties = county_labels(units.index)
    return pd.Series(
        [f"{key}, {counties[key[:5]]}, {state}" for key, state in units["state"].items()], units.index, dtype="str"
    )


def with_counties(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of tracts, by geoid, with the names of their counties as its last column, `COUNTY`."""
    counties = table.index.astype("str").str[:5]
    known = {code: county_name(code) for code in counties.unique()}
    return table.assign(**{COUNTY: pd.array([known[code] for code in counties], dtype="str")})


def county_labels(geoids: Iterable[str]) -> dict[str, str]:
    """Return what a tooltip shows as the county of tracts, by its code: its name, or its number in the state."""
    labels = {}
    for code in sorted({geoid[:5] for geoid in geoids}):
        name = county_name(code)
        labels[code] = name.removesuffix(f", {state_label(code[:2])}") or code[2:]
    return labels


# What a map is searched by ---------------------------------------------------------------------------------------


def places(geoids: Sequence[str], regions: Mapping[str, pd.DataFrame] | None = None) -> list[dict[str, Any]]:
    """Return what can be found by name on a map of tracts, for ``static/map_page.js``.

    Parameters
    ----------
    geoids : sequence of str
        Tracts in the order of the map.
    regions : mapping of str to DataFrame, optional
        Tables of regions by kind, such as ``place``: index geoid, ``region``, ``region_name``, ``afact``.

    Returns
    -------
    list of dict
        ``kind``, ``name``, ``code``, and ``within`` (beginnings of the keys of its tracts) or ``rows`` (their places on
        the map, packed).
    """
    counties = sorted({geoid[:5] for geoid in geoids})
    states = sorted({code[:2] for code in counties})
    found = [{"kind": "state", "name": state_label(code), "code": code, "within": [code]} for code in states]
    found += [{"kind": "county", "name": county_name(code), "code": code, "within": [code]} for code in counties]
    metros: dict[str, list[str]] = {}
    for code in counties:
        metros.setdefault(metro_of(code), []).append(code)
    # A table of the store says which tracts its metros have, of its own year.
    own = {kind for kind in regions or {} if are_metros(kind)}
    found += [
        {"kind": "metro", "name": metro_name(code), "code": code, "within": within}
        for code, within in sorted(metros.items())
        if code and not own
    ]
    for kind, table in (regions or {}).items():
        found += _found_by_rows(geoids, kind, table)
    return [place for place in found if place["name"]]


def kinds_of_regions(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the kinds of regions, besides counties and states, that tracts of a map lie in; see `places`."""
    return [kind for kind in dict.fromkeys(place["kind"] for place in found) if kind not in ("state", "county")]


def kind_title(kind: str) -> str:
    """Return the title of a kind of regions: of metros the word that readers know.

    Examples
    --------
    >>> kind_title("cbsa"), kind_title("place"), kind_title("school_district")
    ('Metro', 'Place', 'School district')
    """
    plain = kind.replace("_", " ")
    return "Metro" if are_metros(kind) else plain[:1].upper() + plain[1:]


def kind_nouns(by: str) -> tuple[str, str]:
    """Return what one region of a kind and several are called in a sentence.

    Examples
    --------
    >>> kind_nouns("county"), kind_nouns("cbsa"), kind_nouns("area")
    (('county', 'counties'), ('metro', 'metros'), ('region', 'regions'))
    """
    if are_metros(by):
        return "metro", "metros"
    known = {"county": "counties", "state": "states", "place": "places", "tract": "tracts"}
    return (by, known[by]) if by in known else ("region", "regions")


def _found_by_rows(geoids: Sequence[str], kind: str, table: pd.DataFrame) -> list[dict[str, Any]]:
    if table.index.str.len().max() <= _COUNTY:
        return _found_by_counties(geoids, kind, table)
    rows = pd.DataFrame(
        {
            "row": pd.Index(geoids).get_indexer(table.index),
            "code": table["region"].to_numpy(object),
            "share": table["afact"].fillna(1.0).to_numpy(np.float64) if "afact" in table else 1.0,
        }
    )
    rows = rows[(rows["row"] >= 0) & (rows["code"] != "")]
    if rows.empty or rows["code"].nunique() > _MOST_REGIONS:
        return []
    names = RegionNames(kind, _own_names(table))
    mostly = rows["share"] >= _MOSTLY
    lies = mostly | ~mostly.groupby(rows["code"]).transform("any")
    return [
        {
            "kind": kind,
            "name": _where(names.of(str(code)), str(code), kind),
            "code": str(code),
            "rows": pack(part.sort_values().to_numpy(np.uint32)),
        }
        for code, part in rows.loc[lies].groupby("code", sort=True)["row"]
    ]


def _where(name: str, code: str, kind: str) -> str:
    """Return the name of a region, of a place with its state: there are many of one name."""
    is_place = kind == "place" and len(code) == _PLACE and "," not in name
    return short(f"{name}, {state_label(code[:2])}" if is_place and name else name)


def _found_by_counties(geoids: Sequence[str], kind: str, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return regions of whole counties; where a county is shared out, its tracts are in no one region."""
    whole = table[(table["region"] != "") & ~table.index.duplicated(keep=False)]
    whole = whole[whole.index.isin({geoid[:_COUNTY] for geoid in geoids})]
    names = RegionNames(kind, _own_names(table))
    return [
        {"kind": kind, "name": _where(names.of(str(code)), str(code), kind), "code": str(code), "within": sorted(part)}
        for code, part in whole.groupby("region", sort=True).groups.items()
    ]


def named_regions(store: Store, vintage: str, states: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the tables of regions that a store has for a vintage, by kind, whose regions have names."""
    found = {}
    for collection in store.collections(PREFIX):
        kind, _, of = collection.removeprefix(f"{PREFIX}/").partition("/")
        if of != vintage:
            continue
        snapshot = store.snapshot(collection)
        there = [state for state in states if state in snapshot.parts]
        if not there:
            continue
        table = store.frame(collection, states=there, columns=["region", NAME, "afact"]).compute(scheduler="threads")
        if (table[NAME].fillna("") != "").any() or are_metros(kind):
            found[kind] = table
    return found
