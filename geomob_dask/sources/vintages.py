"""Tract vintages: the vintage of a dataset in a year, and changes in the codes of counties and tracts.

A vintage is a set of tracts with one set of codes: ``2000``, ``census2010`` and ``2010`` (the same polygons, codes as
of the census and as of the last releases), ``2020`` and ``2022`` (the same polygons, Connecticut by its counties and by
its planning regions). Vintages of the same tracts differ in codes only (`recoding`); between others a table of
relationships is needed. All of it is data: ``definitions/vintages``.

A join of keys of two code systems would silently lose whole counties, all of Connecticut among them:
`check_same_codes` raises instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import pandas as pd

from geomob_dask.checked import Checked
from geomob_dask.errors import InputError
from geomob_dask.messages import and_more, listed, shown
from geomob_dask.names import did_you_mean
from geomob_dask.sources.states import state_name
from geomob_dask.yaml_text import shipped_yaml

_FOLDER = ("definitions", "vintages")
_CONNECTICUT = "09"


class Vintage(Checked):
    """A set of tracts with one set of codes.

    Attributes
    ----------
    tracts : str
        Vintages with the same value have the same polygons.
    note : str
    """

    tracts: str
    note: str


class Span(Checked):
    """The vintage of a dataset in some years; the last year may be open."""

    years: tuple[int, int | None]
    vintage: str


class CountyChange(Checked):
    """Counties that changed their codes.

    Attributes
    ----------
    was, now : tuple of str
        Codes of five digits.
    kind : str
        recode (same land, another code), merge (into a county that was there before), split (into several), part
        (made from parts of several), reshaped (several into several).
    year : int
        First year of the new codes.
    note : str
    went_on : bool
        Whether the older codes are still codes of counties: they do not show the age of a table.
    """

    was: tuple[str, ...]
    now: tuple[str, ...]
    kind: Literal["recode", "merge", "split", "part", "reshaped"]
    year: int
    note: str
    went_on: bool = False


class Registry(Checked):
    """The vintages that the package knows."""

    version: int
    vintages: dict[str, Vintage]
    datasets: dict[str, tuple[Span, ...]]
    counties: tuple[CountyChange, ...]


@cache
def registry() -> Registry:
    """Return the vintages, the datasets on them and the changes of counties that the package knows."""
    return Registry.model_validate(shipped_yaml("vintages", "registry.yaml"))


def _text(name: str) -> str:
    return resources.files("geomob_dask").joinpath(*_FOLDER, name).read_text(encoding="utf-8")


def vintage_of(dataset: str, year: int) -> str:
    """Return the vintage of a dataset's tracts in a year.

    Parameters
    ----------
    dataset : str
        ``acs5`` or ``decennial``, or a name that begins so (``acs5_b19001``).
    year : int
        For an ACS release, the last of its five years.

    Raises
    ------
    InputError
        If the dataset or year is not known.

    Examples
    --------
    >>> [vintage_of("acs5", year) for year in (2009, 2019, 2021, 2022)]
    ['2000', '2010', '2020', '2022']
    """
    known = registry().datasets
    spans = known.get(dataset.split("_", 1)[0])
    if spans is None:
        raise InputError(f"dataset {shown(dataset)}: its vintage is not known; {did_you_mean(dataset, known)}")
    for span in spans:
        first, last = span.years
        if first <= year <= (year if last is None else last):
            return span.vintage
    years = ", ".join(f"{span.years[0]} to {span.years[1] or 'now'}" for span in spans)
    raise InputError(f"dataset {dataset}: no vintage is known for {year}; expected {years}")


def vintage(name: str) -> Vintage:
    """Return a vintage by its name.

    Raises
    ------
    InputError
        If it is not known.
    """
    known = registry().vintages
    if name not in known:
        raise InputError(f"vintage {shown(name)}: not known; {did_you_mean(name, known)}")
    return known[name]


def county_changes(kind: str | None = None) -> tuple[CountyChange, ...]:
    """Return the changes of counties, oldest first; those of a kind, if it is given."""
    return tuple(change for change in registry().counties if kind is None or change.kind == kind)


def changed_states() -> tuple[str, ...]:
    """Return the states in which a tract changed its code between vintages of the same polygons.

    Examples
    --------
    >>> changed_states()
    ('02', '04', '06', '09', '36', '46', '51')
    """
    return tuple(sorted(_tract_pairs()["source"].str[:2].unique()))


# New codes for the same tracts -------------------------------------------------------------------


def recoding(target: str) -> pd.DataFrame:
    """Return the codes that tracts of a vintage have in another vintage of the same polygons; all others keep theirs.

    Between releases on the tracts of 2010, codes changed one state after the other: a table may hold older and newer
    codes. So each key is recoded by itself, whatever the table's vintage.

    Returns
    -------
    DataFrame
        ``source``, ``target`` (its code in the vintage), ``weight`` (share of the source in the target: 1, but for
        water that was divided) and ``kind``: recode; part (the land changed a little too); water (nobody lives there).
        Sorted by source and target.

    Raises
    ------
    InputError
        If the vintage is not known.

    Examples
    --------
    >>> recoding("2022")["source"].iloc[0], recoding("2022")["target"].iloc[0]
    ('09001010101', '09190010101')
    """
    tracts = vintage(target).tracts
    table = _changes(tracts)
    # Of two vintages of the same tracts, the registry lists the older one first.
    if len(table) and target == _twins(tracts)[0]:
        table = table.rename(columns={"source": "target", "target": "source"})
        if tracts == "2010":
            # Water that was joined to another tract stays with it: nobody lives there.
            table = table[table["kind"] != "water"]
    size = table.groupby("source")["target"].transform("size")
    table = table.assign(weight=1.0 / size.to_numpy(np.float64))
    return table.sort_values(["source", "target"], ignore_index=True)[_RECODING]


def _twins(tracts: str) -> list[str]:
    return [name for name, one in registry().vintages.items() if one.tracts == tracts]


_RECODING = ["source", "target", "weight", "kind"]


@cache
def _changes(tracts: str) -> pd.DataFrame:
    """Return the tracts of two codes: ``source`` the older, ``target`` the newer, ``kind``."""
    if tracts == "2010":
        table = _csv("tracts_2010.csv").rename(columns={"was": "source", "now": "target"})
        return table[["source", "target", "kind"]]
    if tracts == "2020":
        rows = _csv("connecticut.csv")
        return pd.DataFrame(
            {
                "source": _CONNECTICUT + rows["county"] + rows["tract"],
                "target": _CONNECTICUT + rows["region"] + rows["tract"],
                "kind": np.where(rows["tract"].str.startswith("99"), "water", "recode"),
            }
        )
    return pd.DataFrame({"source": [], "target": [], "kind": []}, dtype="str")


def _csv(name: str) -> pd.DataFrame:
    lines = [line.split(",", 4) for line in _text(name).splitlines()]
    return pd.DataFrame(lines[1:], columns=lines[0], dtype="str")


# Two tables of different codes -------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """Keys that a table has under other codes than another table.

    Attributes
    ----------
    state : str
        Its code.
    left, right : tuple of str
        Keys without a partner of the same code: the same places, in different codes.
    left_vintage, right_vintage : str
        Vintages of their codes.
    """

    state: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    left_vintage: str
    right_vintage: str

    def line(self, left: str, right: str) -> str:
        """Return the difference as text; `left` and `right` are the names of the tables."""
        return (
            f"{state_name(self.state)}: {len(self.left):,} of {left} ({listed(self.left, 2)}) have codes of vintage "
            f"{self.left_vintage}, {len(self.right):,} of {right} ({listed(self.right, 2)}) of vintage "
            f"{self.right_vintage}"
        )


def differing_codes(left: Sequence[str] | pd.Index, right: Sequence[str] | pd.Index) -> list[Difference]:
    """Return the states in which two tables name the same tracts, or counties, by different codes.

    Parameters
    ----------
    left, right : sequences of str
        Keys of tracts (11 digits) or of counties (5 digits). Where one table is of counties and the other of tracts,
        counties are compared. A key that one table simply lacks is no difference, but for a county that was joined to
        another: with that one alone, its people would be lost.

    Returns
    -------
    list of Difference
        By state; empty where nothing differs.

    Examples
    --------
    >>> [one.state for one in differing_codes(["09110528100"], ["09013528100"])]
    ['09']
    >>> [one.left for one in differing_codes(["51515", "51019"], ["51019"])]
    [('51515',)]
    """
    keys = [_of_changed_states(pd.Index(given)) for given in (left, right)]
    if not len(keys[0]) or not len(keys[1]) or keys[0].equals(keys[1]):
        return []
    pairs = _tract_pairs()
    if any(len(str(given[0])) == _COUNTY for given in keys):
        keys = [given.str[:_COUNTY].unique() for given in keys]
        pairs = _county_pairs()
    only_left, only_right = keys[0].difference(keys[1]), keys[1].difference(keys[0])
    found = []
    for here, there in (("source", "target"), ("target", "source")):
        stays = pairs["stays"].to_numpy(bool)
        # Of two codes of one place each table has its own; a county that others were joined to may be in both.
        mine, theirs = (keys[0], only_right) if here == "target" else (only_left, keys[1])
        rows = pairs[
            np.where(stays, pairs[here].isin(mine), pairs[here].isin(only_left))
            & np.where(stays, pairs[there].isin(theirs), pairs[there].isin(only_right))
        ]
        for (state, mine, theirs), some in rows.groupby([rows[here].str[:2], f"{here}_vintage", f"{there}_vintage"]):
            sides = [tuple(sorted(some[side].unique())) for side in (here, there)]
            found.append(Difference(str(state), sides[0], sides[1], str(mine), str(theirs)))
    return sorted(found, key=lambda one: (one.state, one.left_vintage))


_COUNTY = 5


def _of_changed_states(keys: pd.Index) -> pd.Index:
    """Return the different keys of states in which codes changed at all: of others there is nothing to compare."""
    text = keys.astype("str")
    states = text.str[:2].to_numpy(object)
    return text[np.isin(states, changed_states())].unique()


@cache
def _tract_pairs() -> pd.DataFrame:
    """Return the two codes of tracts that people live in, and whose codes they are."""
    tables = []
    for tracts in dict.fromkeys(one.tracts for one in registry().vintages.values()):
        twins = _twins(tracts)
        table = _changes(tracts)
        pairs = table[table["kind"] != "water"]
        tables.append(pairs.assign(source_vintage=twins[0], target_vintage=twins[-1], stays=False))
    return pd.concat(tables, ignore_index=True)


@cache
def _county_pairs() -> pd.DataFrame:
    """Return the two codes of counties; ``stays``: the newer one may have been there before, and be in both tables."""
    rows = [
        (was, now, *_vintages_around(change.year), change.kind in ("merge", "part"))
        for change in registry().counties
        if not change.went_on
        for was in change.was
        for now in change.now
    ]
    return pd.DataFrame(rows, columns=["source", "target", "source_vintage", "target_vintage", "stays"])


def _vintages_around(year: int) -> tuple[str, str]:
    """Return the vintages with the codes of counties before and after a year."""
    if year < 2010:
        return "2000", "census2010"
    if year < 2019:
        return "census2010", "2010"
    return ("2010", "2020") if year < 2022 else ("2020", "2022")


def check_same_codes(
    left: Sequence[str] | pd.Index,
    right: Sequence[str] | pd.Index,
    *,
    left_name: str = "measures",
    right_name: str = "tracts",
    convert: str = "jobs/harmonize.py --dataset NAME --years YEARS --to",
) -> None:
    """Check that two tables that are to be joined name the same places by the same codes.

    Parameters
    ----------
    left, right : sequences of str
        Keys of tracts or counties; see `differing_codes`.
    left_name, right_name : str
        Names of the tables, for the message.
    convert : str
        Command that converts the left table; the vintage follows.

    Raises
    ------
    InputError
        Naming the states, examples of both codes, and the command that converts.

    Examples
    --------
    >>> check_same_codes(["39001961400"], ["39001961400", "39001961500"])
    """
    found = differing_codes(left, right)
    if found:
        lines = "; ".join(one.line(left_name, right_name) for one in found[:3])
        raise InputError(
            f"{left_name} and {right_name}: {lines}{and_more(max(len(found) - 2, 0))}; expected one set of codes, or "
            f"these tracts would be lost: {convert} {found[0].right_vintage}"
        )
