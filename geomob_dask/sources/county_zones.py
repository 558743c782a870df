"""Counties of commuting zones: the published table, and the zone of a county of any year.

Counties that changed since 1990 are data, in ``definitions/mobility/county_changes.yaml``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import and_more, listed
from geomob_dask.sources.key_pieces import keys_of_pieces
from geomob_dask.sources.text_tables import read_texts
from geomob_dask.yaml_text import shipped_yaml

ZONE_DIGITS = 5


@dataclass(frozen=True)
class Change:
    """Codes of counties that cover the same land, or share in it, before and since."""

    was: tuple[str, ...]
    now: tuple[str, ...]
    note: str


def county_changes() -> tuple[Change, ...]:
    """Return the counties whose code changed, split or merged since 1990."""
    plain = shipped_yaml("mobility", "county_changes.yaml")
    return tuple(Change(tuple(one["was"]), tuple(one["now"]), one["note"]) for one in plain)


def read_county_zones(file: str | Path) -> pd.Series:
    """Read which commuting zone each county lies in.

    Parameters
    ----------
    file : str or Path
        csv (UTF-8 or Latin-1) with the columns ``cz``, ``state`` and ``county``: numbers, with or without leading
        zeros.

    Returns
    -------
    Series of str
        Zones by ``county`` (five digits), sorted.

    Raises
    ------
    InputError
        If the file or a column is missing, a code is no number, or a county lies in two zones.
    """
    rows = read_texts(file)
    for column in ("cz", "state", "county"):
        if column not in rows:
            raise InputError(f"{file}: no column {column!r}; found {listed([repr(name) for name in rows], 12)}")
    zones = _zone_codes(rows["cz"], f"{file}: column cz")
    pieces = ("state", "county")
    counties = keys_of_pieces({piece: rows[piece] for piece in pieces}, pieces, file=str(file))
    table = pd.Series(zones.to_numpy(object), index=pd.Index(counties, name="county"), name="zone", dtype="str")
    table = table[~table.reset_index().duplicated().to_numpy()]
    twice = table.index[table.index.duplicated()]
    if len(twice):
        found = listed([str(int(zone)) for zone in table[twice[0]]])
        raise InputError(f"{file}: county {twice[0]} lies in the zones {found}; expected one{and_more(len(twice))}")
    return table.sort_index()


def _zone_codes(texts: pd.Series, where: str) -> pd.Series:
    """Return numeric codes of zones as text of a fixed width.

    Raises
    ------
    InputError
        If a value has more digits, or is no number.
    """
    plain = texts.str.replace(r"\.0*$", "", regex=True)
    wrong = ~plain.str.fullmatch(f"0*[0-9]{{1,{ZONE_DIGITS}}}")
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{where}, row {row + 1}: found {texts.iloc[row]!r}, expected up to {ZONE_DIGITS} digits"
            f"{and_more(wrong.sum())}"
        )
    return plain.str.lstrip("0").str.zfill(ZONE_DIGITS)


def zones_of_counties(
    counties: Iterable[str], county_zones: pd.Series, changes: Sequence[Change] | None = None
) -> tuple[pd.Series, dict[str, str]]:
    """Return the zone of each county, of whatever year its code is.

    A code that the table lacks takes the zone of the codes it came from or became, if they all lie in one.

    Parameters
    ----------
    counties : iterable of str
        Codes of five digits.
    county_zones : Series
        From `read_county_zones`.
    changes : sequence of Change, optional
        `county_changes` by default.

    Returns
    -------
    zones : Series of str
        By county, sorted; counties without a zone are not there.
    reasons : mapping of str to str
        Why a county has no zone, or how an absent code got one.

    Examples
    --------
    >>> table = pd.Series(["34103"], index=["02261"])
    >>> zones, reasons = zones_of_counties(["02063", "72001"], table)
    >>> dict(zones), reasons["72001"]
    ({'02063': '34103'}, 'not in the table of zones, by any of its codes')
    """
    links = _links(county_changes() if changes is None else changes)
    found: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for county in sorted(set(counties)):
        same = _nearest_listed(county, links, county_zones.index)
        zones = sorted({county_zones[code] for code in same})
        if len(zones) == 1:
            found[county] = zones[0]
        if same != {county}:
            reasons[county] = _reason(sorted(same), zones)
    index = pd.Index(list(found), name="county", dtype="str")
    return pd.Series(list(found.values()), index=index, name="zone", dtype="str"), reasons


def _links(changes: Sequence[Change]) -> dict[str, set[str]]:
    links: dict[str, set[str]] = {}
    for change in changes:
        for was in change.was:
            for now in change.now:
                links.setdefault(was, set()).add(now)
                links.setdefault(now, set()).add(was)
    return links


def _nearest_listed(county: str, links: dict[str, set[str]], listed_counties: pd.Index) -> set[str]:
    """Return the codes in the table that are the fewest changes away: the county itself, if it is there."""
    ring, seen = {county}, {county}
    while ring:
        there = {code for code in ring if code in listed_counties}
        if there:
            return there
        ring = {code for one in ring for code in links.get(one, set())} - seen
        seen |= ring
    return set()


def _reason(same: Sequence[str], zones: Sequence[str]) -> str:
    if not same:
        return "not in the table of zones, by any of its codes"
    if len(zones) > 1:
        return f"{', '.join(same)} lie in several zones: {', '.join(zones)}"
    return f"as {' and '.join(same)}"
