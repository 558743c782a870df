"""Crosswalks: which share of a tract lies in which region, from Geocorr, from any table, or from polygons.

All give one kind of table: ``geoid`` (the tract or county, text), ``region`` (empty: in none), ``afact`` (share of the
tract in the region) and ``afact2`` (share of the region in the tract). A tract may have several rows or none; what
its shares leave to 1 lies in no region.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import and_more, counted, listed
from geomob_dask.sources.key_columns import find_column, no_such_column
from geomob_dask.sources.key_pieces import keys_of_pieces
from geomob_dask.sources.keys import AROUND, is_missing
from geomob_dask.sources.numbers import required_floats
from geomob_dask.sources.region_codes import region_codes
from geomob_dask.sources.text_tables import TextTable, open_table

COLUMNS = ("geoid", "region", "afact", "afact2")
# Shares are published with four decimals: those of one source may sum to this much more than 1.
_ROUNDING = 1e-3

# Geocorr's code for "in no place".
_NO_REGION = "99999"
_COUNTY_COLUMNS = ("county", "countyfip", "ctregion")
_PLACE_COLUMNS = ("place", "placefp")
_PLACE_DIGITS = 5
_CODE = re.compile(r"[0-9]+(\.[0-9]*)?")
_LABELLED = re.compile(r"[a-z].*[a-z]", re.IGNORECASE)
# Newer editions put the year of their areas behind a name: county14, placefp14, cbsa20.
_VINTAGE = re.compile(r"(?<=[a-z])[0-9]{2}$")


@dataclass(frozen=True)
class RegionColumns:
    """Names of a file's columns, where they are not the usual ones.

    Parameters
    ----------
    key, region, region_name, afact, afact2 : str, optional
    """

    key: str | None = None
    region: str | None = None
    region_name: str | None = None
    afact: str | None = None
    afact2: str | None = None


def read_geocorr(
    path: str | Path,
    *,
    target: str = "place",
    complete: bool = False,
    names: bool = False,
    columns: RegionColumns | None = None,
) -> pd.DataFrame:
    """Return a crosswalk from a file of the Missouri Census Data Center's Geocorr.

    Parameters
    ----------
    path : str or Path
        csv or csv.gz; with a second header row of labels, rows of labels further down, or neither. Names of columns may
        end in two digits of a year (``county14``).
    target : str
        The column of regions; ``place`` is found under either of Geocorr's names and gets its state's code in front.
    complete : bool
        Whether the shares of every tract must sum to 1, rows of no region among them.
    names : bool
        Whether to return the names of regions too, as ``region_name`` (empty where the file has none).
    columns : RegionColumns, optional
        Columns to read in place of the usual ones. A key of counties is that of tracts beside a column ``tract``.

    Raises
    ------
    InputError
        Naming the file and what is wrong: no such columns, shares outside 0 to 1, summing to more than 1 or, if they
        are `complete`, to less; a place in two states; a link given twice.
    """
    return geocorr_table(open_table(path), path, target=target, complete=complete, names=names, columns=columns)


def geocorr_table(
    read: TextTable,
    path: str | Path,
    *,
    target: str,
    complete: bool = False,
    names: bool = False,
    columns: RegionColumns | None = None,
) -> pd.DataFrame:
    """Return a crosswalk from a table of Geocorr that was opened; see `read_geocorr`."""
    given = columns or RegionColumns()
    rows, labels = _without_labels(read.texts(), given, path)
    geoids, counties, used = _geocorr_keys(rows, given.key, path)
    usual = _PLACE_COLUMNS if target == "place" else (target,)
    column = _column(rows, given.region, usual, path)
    kind = _VINTAGE.sub("", column.lower())
    read.check_codes([*used, column])
    regions = region_codes(rows[column], f"{path}: column {column}").set_axis(rows.index)
    regions = regions.mask(regions == _NO_REGION, "")
    if kind in _PLACE_COLUMNS:
        state = _find(rows, "state", path)
        states = counties.str[:2] if state is None else rows[state].str.zfill(2)
        # A place with its state's code is seven digits already.
        regions = regions.where((regions == "") | (regions.str.len() > _PLACE_DIGITS), states + regions.str.zfill(5))
    _check_direction(labels, column, kind, path)
    afact, afact2 = _column(rows, given.afact, ("afact",), path), given.afact2 or _find(rows, "afact2", path)
    table = pd.DataFrame(
        {
            "geoid": geoids,
            "region": regions,
            "afact": shares(rows, afact, path),
            "afact2": np.nan if afact2 is None else shares(rows, _column(rows, afact2, (), path), path),
        }
    )
    if names:
        label = given.region_name or _name_column(rows, column, kind, path)
        table["region_name"] = (
            "" if label is None else rows[_column(rows, label, (), path)].where(table["region"] != "", "")
        )
    return check_crosswalk(table, str(path), complete=complete)


def is_geocorr(columns: Sequence[str], given: RegionColumns) -> bool:
    """Return whether a table with these columns is a crosswalk of Geocorr: shares ``afact`` of tracts of counties."""
    kinds = {_VINTAGE.sub("", column.lower()) for column in columns}
    return (
        find_column(columns, "afact") is not None
        and (given.key is not None or not kinds.isdisjoint(_COUNTY_COLUMNS))
        and (given.afact or "afact").lower() == "afact"
    )


def geocorr_target(columns: Sequence[str], name: str) -> str:
    """Return the regions of a crosswalk: those of a name if it has such a column, else its places.

    Examples
    --------
    >>> geocorr_target(["county14", "tract", "cbsa14", "afact"], "cbsa")
    'cbsa'
    """
    kinds = {_VINTAGE.sub("", column.lower()) for column in columns} | {column.lower() for column in columns}
    return name if name.lower() in kinds else "place"


def _geocorr_keys(rows: pd.DataFrame, key: str | None, path: str | Path) -> tuple[pd.Series, pd.Series, list[str]]:
    """Return the keys of tracts or counties, the counties, and the columns of both: counties and perhaps tracts."""
    county, tract = _column(rows, key, _COUNTY_COLUMNS, path), _find(rows, "tract", path)
    if key is not None and rows[county].str.fullmatch("[0-9]{10,11}").all():
        geoids = rows[county].str.zfill(11)
        return geoids, geoids.str[:5], [county]
    pieces, names = {"county": rows[county]}, [county]
    counties = keys_of_pieces(pieces, names, file=str(path))
    if tract is None or tract == county:
        return counties, counties, names
    names = [county, tract]
    return keys_of_pieces({**pieces, "tract": rows[tract]}, names, file=str(path)), counties, names


def _name_column(rows: pd.DataFrame, column: str, kind: str, path: str | Path) -> str | None:
    usual = ("placenm", "placename") if kind in _PLACE_COLUMNS else (f"{kind}name", f"{kind}_name", f"{kind}nm")
    found = (_find(rows, name, path) for name in (f"{column}name", *usual))
    return next((name for name in found if name is not None), None)


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
        named = listed(unknown, 3) or "none of these states"
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


def _without_labels(rows: pd.DataFrame, given: RegionColumns, path: str | Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Take out rows of labels (one below the header, in some files more), and return the first of them.

    The others keep their index, which is their place in the file.
    """
    column = _column(rows, given.afact, ("afact",), path)
    keys = {_column(rows, given.key, _COUNTY_COLUMNS, path), _find(rows, "tract", path)} - {None}
    cells = rows[sorted(map(str, keys))].apply(lambda texts: texts.str.strip(AROUND))
    # Text in place of the share of a tract, or a word for a missing one, is no label: its row would be gone unnoticed.
    labelled = (
        rows[column].str.contains(_LABELLED)
        & ~is_missing(rows[column])
        & ~cells.apply(lambda texts: texts.str.fullmatch(_CODE)).any(axis=1)
        & cells.apply(lambda texts: texts.str.contains("[A-Za-z]")).any(axis=1)
    )
    labels = {column.lower(): label for column, label in rows[labelled].iloc[0].items()} if labelled.any() else {}
    if labelled.all():
        raise InputError(
            f"{path}: found {counted(len(rows), 'row')} of labels and none of shares, expected a crosswalk"
        )
    return rows[~labelled], labels


def _check_direction(labels: dict[str, str], column: str, kind: str, path: str | Path) -> None:
    """Refuse a file made the other way round: its afact is the share of the place in the tract."""
    label = labels.get("afact", "").lower().replace("-", " ")
    if label.startswith((f"{column.lower()} to ", f"{kind} to ", "place to ")):
        raise InputError(
            f"{path}: afact is labeled {labels['afact']!r}, expected the share of the source in the target"
        )


def _column(rows: pd.DataFrame, given: str | None, usual: tuple[str, ...], path: str | Path) -> str:
    """Return a column that was asked for, else the first of the usual ones."""
    columns = list(map(str, rows))
    if given is not None:
        named = find_column(columns, given)
        if named is None:
            raise no_such_column(columns, given, str(path))
        return named
    for name in usual:
        found = _find(rows, name, path)
        if found is not None:
            return found
    raise InputError(f"{path}: found the columns {listed(columns, 12)}, expected {' or '.join(usual)}")


def _find(rows: pd.DataFrame, name: str, path: str | Path) -> str | None:
    """Return the column of a name, in any case and perhaps with two digits of a year behind it."""
    columns = list(map(str, rows))
    found = find_column(columns, name)
    if found is not None:
        return found
    dated = [column for column in columns if _VINTAGE.sub("", column.lower()) == name.lower()]
    if len(dated) > 1:
        raise InputError(f"{path}: found the columns {', '.join(dated)}, expected one of {name}, or one named")
    return dated[0] if dated else None


def shares(rows: pd.DataFrame, column: str, path: str | Path) -> pd.Series:
    """Return a column of text as numbers; the index of the rows is their place in the file.

    Raises
    ------
    InputError
        Naming the row that holds none.
    """
    where = f"{path}: column {column}"
    found = required_floats(rows[column], where, lambda row: f"row {rows.index[row] + 1}")
    empty = np.flatnonzero(np.isnan(found))
    if empty.size:
        row = rows.index[empty[0]]
        raise InputError(
            f"{where}, row {row + 1}: found {rows[column][row]!r}, expected a share from 0 to 1{and_more(empty.size)}"
        )
    return pd.Series(found, index=rows.index)
