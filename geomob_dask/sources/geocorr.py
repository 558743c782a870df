"""Crosswalks: which share of a tract lies in which region, from Geocorr, from any table, or from polygons.

All give one kind of table: ``geoid`` (the tract or county, text), ``region`` (empty: in none), ``afact`` (share of the
tract in the region) and ``afact2`` (share of the region in the tract). A tract may have several rows or none; what
its shares leave to 1 lies in no region.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.sources.text_tables import read_texts

COLUMNS = ("geoid", "region", "afact", "afact2")
# Shares are published with four decimals: those of one source may sum to this much more than 1.
_ROUNDING = 1e-3

# Geocorr's code for "in no place".
_NO_REGION = {"99999", ""}
_COUNTY_COLUMNS = ("county", "countyfip", "ctregion")
_PLACE_COLUMNS = ("place", "placefp")
_NAME_COLUMNS = ("placenm", "placename")
_LABELLED = re.compile(r"[a-z].*[a-z]", re.IGNORECASE)


def read_geocorr(
    path: str | Path, *, target: str = "place", complete: bool = False, names: bool = False
) -> pd.DataFrame:
    """Return a crosswalk from a file of the Missouri Census Data Center's Geocorr.

    Parameters
    ----------
    path : str or Path
        csv or csv.gz; with a second header row of labels, rows of labels further down, or neither.
    target : str
        The column of regions; ``place`` is found under either of Geocorr's names and gets its state's code in front.
    complete : bool
        Whether the shares of every tract must sum to 1, rows of no region among them.
    names : bool
        Whether to return the names of regions too, as ``region_name`` (empty where the file has none).

    Raises
    ------
    InputError
        Naming the file and what is wrong: no such columns, shares outside 0 to 1, summing to more than 1 or, if they
        are `complete`, to less; a place in two states; a link given twice.
    """
    rows, labels = _without_labels(read_texts(path), path)
    county = _one_of(rows, _COUNTY_COLUMNS, path)
    counties = rows[county].str.zfill(5)
    if "tract" in rows:
        # 0201.00 and 201 are tract 020100.
        whole, _, hundredths = (rows["tract"].str.partition(".")[part] for part in range(3))
        plain = rows["tract"].str.fullmatch(r"[0-9]{6}")
        tracts = rows["tract"].where(plain, whole.str.zfill(4) + hundredths.str.ljust(2, "0"))
        sources = counties + tracts
    else:
        sources = counties
    column = _one_of(rows, _PLACE_COLUMNS, path) if target == "place" else _one_of(rows, (target.lower(),), path)
    regions = rows[column]
    if target == "place":
        states = rows["state"].str.zfill(2) if "state" in rows else counties.str[:2]
        regions = (states + regions.str.zfill(5)).where(~regions.isin(_NO_REGION), "")
    _check_direction(labels, column, path)
    table = pd.DataFrame(
        {
            "geoid": sources,
            "region": regions.where(~regions.isin(_NO_REGION), ""),
            "afact": shares(rows, "afact", path),
            "afact2": shares(rows, "afact2", path) if "afact2" in rows else np.nan,
        }
    )
    if names:
        named = next((name for name in (*_NAME_COLUMNS, f"{column}name") if name in rows), None)
        table["region_name"] = "" if named is None else rows[named].where(table["region"] != "", "")
    return check_crosswalk(table, str(path), complete=complete)


def check_years_agree(
    crosswalk: pd.DataFrame, tracts: pd.Series | np.ndarray, what: str, *, tolerance: float = 0.01
) -> None:
    """Check that a crosswalk and a table have the same tracts, in the states that both cover.

    Parameters
    ----------
    crosswalk : DataFrame
    tracts : geoids of the table it is used with
    what : str
        Names of both, for the message.
    tolerance : float
        Share of the crosswalk's tracts that the table may lack: tables leave out water and empty tracts.

    Raises
    ------
    InputError
        If more are lacking: the crosswalk is for tracts of another year.
    """
    known = pd.Index(np.asarray(tracts))
    linked = pd.Index(crosswalk["geoid"].unique())
    linked = linked[linked.str[:2].isin(known.str[:2].unique())]
    unknown = linked.difference(known)
    if len(linked) == 0 or len(unknown) > tolerance * len(linked):
        named = ", ".join(unknown[:3]) or "none of these states"
        raise InputError(
            f"{what}: {len(unknown)} of {len(linked)} tracts of the crosswalk are not in the table ({named}); "
            "expected a crosswalk of the table's own tracts and year"
        )


def check_crosswalk(table: pd.DataFrame, source: str, *, complete: bool = False) -> pd.DataFrame:
    """Return a crosswalk sorted by tract and region, after checking that its shares add up.

    Parameters
    ----------
    table : DataFrame
        The columns of `COLUMNS`, and others.
    source : str
        For messages.
    complete : bool
        Whether the shares of every tract must sum to 1.

    Raises
    ------
    InputError
        As `read_geocorr`.
    """
    if table.empty:
        raise InputError(f"{source}: found no rows, expected a crosswalk")
    odd = ~table["geoid"].str.fullmatch(r"[0-9]{5}|[0-9]{11}").fillna(False).astype(bool)
    if odd.any():
        raise InputError(
            f"{source}: found {table['geoid'][odd].iloc[0]!r}, expected a county of 5 or a tract of 11 digits"
        )
    twice = table.duplicated(["geoid", "region"])
    if twice.any():
        geoid, region = table.loc[twice, ["geoid", "region"]].iloc[0]
        raise InputError(f"{source}: {geoid} and region {region or '(none)'} are linked twice")
    _check_one_state(table, source)
    _check_shares(table, "afact", "geoid", source, complete=complete)
    _check_shares(table[table["region"] != ""], "afact2", "region", source, complete=False)
    others = [column for column in table if column not in COLUMNS]
    return table.sort_values(["geoid", "region"], ignore_index=True)[[*COLUMNS, *others]]


def _check_shares(table: pd.DataFrame, column: str, name: str, source: str, *, complete: bool) -> None:
    """Refuse shares outside 0 to 1, and those of a tract or region that sum to more than 1, or (`complete`) to less."""
    known = table[table[column].notna()]
    outside = ~known[column].between(0, 1)
    if outside.any():
        row = known[outside].iloc[0]
        raise InputError(
            f"{source}, column {column}: crosswalk, {row[name]}: found the share {row[column]:g}, "
            "expected one from 0 to 1"
        )
    total = known.groupby(name, sort=True)[column].sum()
    wrong = total[(total > 1 + _ROUNDING) | (complete & (total < 1 - _ROUNDING))]
    if len(wrong):
        farthest = (wrong - 1).abs().idxmax()
        raise InputError(
            f"{source}, column {column}: crosswalk, {farthest}: shares sum to {wrong[farthest]:.6g}, "
            f"expected {'1' if complete else '1 at most'} ({len(wrong)} of {len(total)})"
        )


def _check_one_state(table: pd.DataFrame, source: str) -> None:
    """Places lie in one state each: their codes are seven digits, and repeat between states without the first two."""
    places = table[table["region"].str.fullmatch(r"[0-9]{7}")]
    wrong = places["region"].str[:2] != places["geoid"].str[:2]
    if wrong.any():
        geoid, region = places.loc[wrong, ["geoid", "region"]].iloc[0]
        raise InputError(f"{source}: place {region} is linked to {geoid}, which lies in another state")


def _without_labels(rows: pd.DataFrame, path: str | Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Take out rows of labels (one below the header, in some files more), and return the first of them."""
    rows = rows.rename(columns=str.lower)
    if "afact" not in rows:
        raise InputError(f"{path}: found the columns {', '.join(rows)}, expected afact")
    labelled = rows["afact"].str.contains(_LABELLED)
    labels = dict(rows[labelled].iloc[0]) if labelled.any() else {}
    if labelled.all():
        raise InputError(f"{path}: found {len(rows)} rows of labels and none of shares, expected a crosswalk")
    return rows[~labelled].reset_index(drop=True), labels


def _check_direction(labels: dict[str, str], column: str, path: str | Path) -> None:
    """Refuse a file made the other way round: its afact is the share of the place in the tract."""
    label = labels.get("afact", "").lower().replace("-", " ")
    if label.startswith((f"{column} to ", "place to ")):
        raise InputError(
            f"{path}: afact is labeled {labels['afact']!r}, expected the share of the source in the target"
        )


def _one_of(rows: pd.DataFrame, names: tuple[str, ...], path: str | Path) -> str:
    for name in names:
        if name in rows:
            return name
    raise InputError(f"{path}: found the columns {', '.join(rows)}, expected {' or '.join(names)}")


def shares(rows: pd.DataFrame, column: str, path: str | Path) -> pd.Series:
    """Return a column of text as numbers.

    Raises
    ------
    InputError
        Naming the row that holds none.
    """
    found = pd.to_numeric(rows[column], errors="coerce")
    if found.isna().any():
        row = int(np.argmax(found.isna()))
        raise InputError(f"{path}, column {column}, row {row}: found {rows[column].iloc[row]!r}, expected a share")
    return found
