"""Tables of the region in which each tract or county lies, in the forms in which they are published.

Whatever the form (a crosswalk of Geocorr, a csv with a row per tract or county, JSON of keys and regions), the
result is the same: one row for each part of a county or tract that lies in a region, with keys of one kind.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from geomob_dask.errors import InputError
from geomob_dask.options import Options as BaseOptions
from geomob_dask.options import argument
from geomob_dask.sources.geocorr import check_crosswalk, read_geocorr, shares
from geomob_dask.sources.keys import KEY_COLUMNS, listed, tract_geoids
from geomob_dask.sources.states import STATES
from geomob_dask.sources.tables import Tables, split_by_state
from geomob_dask.sources.text_tables import read_texts

COLUMNS = ("region", "region_name", "afact", "afact2")

_COUNTY_KEYS = ("county_geoid", "county_fips", "countyfips", "county")
_TRACT_KEYS = (*KEY_COLUMNS, "tract_geoid", "tract")
_PIECES = {"state": 2, "county": 3, "tract": 6}


# Tracts nest in these: the first digits of a tract's key are the region.
BY_KEY = {"county": 5, "state": 2}


class Options(BaseOptions):
    """Options of ``jobs/ingest.py regions``."""

    file: str = argument("A crosswalk of Geocorr, a .csv with a row per tract or county, or JSON.")
    name: str = Field(description="Name of the regions, such as cbsa or place: --by NAME of other jobs.")
    vintage: str = Field(description="Name of the tract vintage, such as 2010, 2020 or 2022.")
    key_column: str | None = Field(None, description="Column of tracts or counties, in a .csv.")
    region_column: str | None = Field(None, description="Column of regions. [default: the name given]")
    region_name_column: str | None = Field(None, description="Column of the regions' names.")
    afact_column: str | None = Field(None, description="Column of the key's share in the region.")
    afact2_column: str | None = Field(None, description="Column of the region's share in the key.")


def read(options: Options) -> Tables:
    """Return a table of regions by state; see `read_regions`."""
    refuse_nested(options.name)
    columns = RegionColumns(
        options.key_column,
        options.region_column,
        options.region_name_column,
        options.afact_column,
        options.afact2_column,
    )
    table = read_regions(options.file, options.name, columns)
    return Tables(
        collection=f"regions/{options.name}/{options.vintage}",
        parts=split_by_state(table.rows),
        attributes={"key": table.key},
        options=options.plain(),
        files=[options.file],
        lines=table.lines,
        unit="links",
    )


def refuse_nested(name: str) -> None:
    """Raise InputError for regions that every tract's key names."""
    if name in BY_KEY:
        raise InputError(f"name {name}: known from every tract's key; expected another name")


@dataclass(frozen=True)
class RegionTable:
    """Regions of counties or tracts.

    Attributes
    ----------
    rows : DataFrame
        Index ``geoid``, sorted: counties (5 digits) or tracts (11). Columns ``region`` (empty: in none),
        ``region_name``, ``afact`` and ``afact2`` (1 and NaN where the table has none: its keys nest in regions).
    key : {"county", "tract"}
    lines : tuple of str
        What was read, for the user.
    """

    rows: pd.DataFrame
    key: Literal["county", "tract"]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class RegionColumns:
    """Names of a csv's columns, where they are not the usual ones.

    Parameters
    ----------
    key, region, region_name, afact, afact2 : str, optional
    """

    key: str | None = None
    region: str | None = None
    region_name: str | None = None
    afact: str | None = None
    afact2: str | None = None


def read_regions(path: str | Path, name: str, columns: RegionColumns | None = None) -> RegionTable:
    """Return a table of regions from a file.

    Parameters
    ----------
    path : str or Path
        ``.json`` (a key to a region, or to its ``code`` and ``name``), or ``.csv``, ``.csv.gz``: a crosswalk of Geocorr
        (with a column ``afact``), or one row per key.
    name : str
        Name of the regions, such as ``cbsa``; in a csv the column of this name, or ``region``, holds them.
    columns : RegionColumns, optional
        Columns of a csv, where they have other names.

    Raises
    ------
    InputError
        Naming the file, the column or key, and what was found and expected.
    """
    given = columns or RegionColumns()
    source = str(path)
    if source.endswith(".json"):
        if given != RegionColumns():
            raise InputError(f"{source}: names of columns are for a csv; found JSON")
        table, lines = _of_json(Path(path))
    else:
        table, lines = _of_csv(path, name, given)
    lengths = table["geoid"].str.len()
    key: Literal["county", "tract"] = "tract" if (lengths == 11).any() else "county"
    if (lengths != lengths.iloc[0]).any():
        raise InputError(f"{source}: found counties (5 digits) and tracts (11) among the keys, expected one of the two")
    known = table["geoid"].str[:2].isin(list(STATES))
    if not known.any():
        raise InputError(f"{source}: no key of a known state; found {listed(list(table['geoid']))}")
    if not known.all():
        unknown = sorted(table["geoid"][~known])
        lines.append(f"{len(unknown):,} rows left out, their state is unknown: {listed(unknown)}")
    rows = check_crosswalk(table[known], source).set_index("geoid")[list(COLUMNS)]
    lines.append(f"{(rows['region'] != '').sum():,} links of a {key} to {rows['region'].nunique():,} regions")
    return RegionTable(rows.astype({"region": "str", "region_name": "str"}), key, tuple(lines))


def _of_json(path: Path) -> tuple[pd.DataFrame, list[str]]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected JSON of keys and regions") from error
    if not (isinstance(plain, dict) and plain):
        raise InputError(f"{path}: found {str(plain)[:60]!r}, expected JSON of keys and regions")
    codes, names = zip(*(_code_and_name(path, key, value) for key, value in plain.items()), strict=True)
    keys = _keys(pd.Series(list(plain), dtype="str"), str(path), "key")
    return _table(keys, pd.Series(codes, dtype="str"), pd.Series(names, dtype="str")), []


def _code_and_name(path: Path, key: str, value: Any) -> tuple[str, str]:
    if isinstance(value, str):
        return value, ""
    if isinstance(value, dict) and isinstance(value.get("code"), str):
        return value["code"], str(value.get("name", ""))
    raise InputError(f"{path}: key {key}: found {value!r}, expected a region, or an object with its code and name")


def _of_csv(path: str | Path, name: str, given: RegionColumns) -> tuple[pd.DataFrame, list[str]]:
    rows = read_texts(path)
    if given == RegionColumns() and "afact" in {column.lower() for column in rows}:
        places = {"place", "placefp"} & {column.lower() for column in rows}
        table = read_geocorr(path, target=name if name.lower() in map(str.lower, rows) else "place", names=True)
        return table, [f"read as a crosswalk of Geocorr, to {'place' if places else name}"]
    region = _named(rows, given.region, (name, "region", "code"), path, "--region-column", "regions")
    keys, used = _csv_keys(rows, given.key, region, path)
    label = given.region_name or next(
        (
            column
            for column in (f"{region}name", f"{region}_name", f"{name}_name", "region_name", "name")
            if column in rows and column != region
        ),
        None,
    )
    for column in (label, given.afact, given.afact2):
        if column is not None:
            _named(rows, column, (), path, "", "")
    table = _table(keys, rows[region], None if label is None else rows[label])
    for option, column in (("afact", given.afact), ("afact2", given.afact2)):
        if column is not None:
            table[option] = shares(rows, column, path)
    repeated = table.duplicated(["geoid", "region"])
    if repeated.any() and given.afact is None:
        table = table[~repeated].reset_index(drop=True)
    return table, [
        f"keys from {used}, regions from {region}" + (f", their names from {label}" if label else ""),
        *([f"{int(repeated.sum()):,} rows left out, they repeat another"] if repeated.any() else []),
    ]


def _table(keys: pd.Series, regions: pd.Series, names: pd.Series | None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "geoid": keys,
            "region": regions,
            "afact": 1.0,
            "afact2": np.nan,
            "region_name": "" if names is None else names,
        }
    )


def _named(
    rows: pd.DataFrame, given: str | None, usual: tuple[str, ...], path: str | Path, option: str, what: str
) -> str:
    for column in (given,) if given is not None else usual:
        if column in rows:
            return str(column)
    if given is not None:
        raise InputError(f"{path}: no column {given!r}; found {', '.join(map(repr, rows))}")
    raise InputError(
        f"{path}: found the columns {', '.join(rows)}, expected one of {', '.join(dict.fromkeys(usual))} "
        f"with the {what} (or its name in {option})"
    )


def _csv_keys(rows: pd.DataFrame, given: str | None, region: str, path: str | Path) -> tuple[pd.Series, str]:
    """Return keys from one column, or put together from state, county and tract."""
    if given is not None:
        _named(rows, given, (), path, "", "")
        return _keys(rows[given], str(path), given), given
    pieces = [piece for piece in _PIECES if piece in rows]
    if pieces in (["state", "county"], ["state", "county", "tract"]):
        whole = rows[pieces[0]].str.zfill(2)
        for piece in pieces[1:]:
            whole = whole + rows[piece].str.zfill(_PIECES[piece])
        return _keys(whole, str(path), ", ".join(pieces)), ", ".join(pieces)
    candidates = tuple(column for column in (*_TRACT_KEYS, *_COUNTY_KEYS) if column != region)
    column = _named(rows, None, candidates, path, "--key-column", "keys of tracts or counties")
    return _keys(rows[column], str(path), column), column


def _keys(values: pd.Series, path: str, column: str) -> pd.Series:
    """Return keys of counties as 5 digits, or of tracts as 11."""
    texts = values.reset_index(drop=True)
    if texts.str.fullmatch("[0-9]{4,5}").all():
        # 1001 is county 01001; a key that has all of its digits begins with no state's single one.
        return texts.str.zfill(5)
    if texts.str.fullmatch("[0-9]{5}|[0-9]{11}").all():
        return texts
    keys, _ = tract_geoids(texts, file=path, column=column)
    # Keys of unknown states are reported and left out later.
    return keys.where(keys.notna(), texts.str[-11:])
