"""Tables of the region in which each tract or county lies, in the forms in which they are published.

Whatever the form (a crosswalk of Geocorr, a csv with a row per tract or county, JSON of keys and regions), the
result is the same: one row for each part of a county or tract that lies in a region, with keys of one kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed
from geomob_dask.names import Name
from geomob_dask.options import Options as BaseOptions
from geomob_dask.options import argument
from geomob_dask.sources.geocorr import (
    RegionColumns,
    check_crosswalk,
    geocorr_table,
    geocorr_target,
    is_geocorr,
    shares,
)
from geomob_dask.sources.json_files import read_json
from geomob_dask.sources.key_columns import (
    KEY_COLUMNS,
    PIECES,
    first_column,
    key_columns,
    no_such_column,
    piece_columns,
)
from geomob_dask.sources.key_pieces import keys_of_pieces
from geomob_dask.sources.keys import AROUND, exact_texts, is_missing, tract_geoids
from geomob_dask.sources.region_codes import region_codes
from geomob_dask.sources.region_weights import Weights, weights_of_table
from geomob_dask.sources.states import STATES
from geomob_dask.sources.tables import Tables, split_by_state
from geomob_dask.sources.text_tables import TextTable, open_table

COLUMNS = ("region", "region_name", "afact", "afact2")

# Columns of whole keys besides those of tracts; COUNTY and TRACT may be pieces, and come last.
_COUNTY_KEYS = ("COUNTY_GEOID", "COUNTYFIPS", "COUNTY_FIPS")
_PLAIN_KEYS = ("COUNTY", "TRACT")
_COUNTY_PREFIX = r"^050[0-9A-Z]{0,6}US"


# Tracts nest in these: the first digits of a tract's key are the region.
BY_KEY = {"county": 5, "state": 2}


class Options(BaseOptions):
    """Options of ``jobs/ingest.py regions``."""

    file: str = argument("A crosswalk of Geocorr, a .csv with a row per tract or county, or JSON.")
    name: Name = Field(description="Name of the regions, such as cbsa or place: --by NAME of other jobs.")
    vintage: Name = Field(description="Name of the tract vintage, such as 2010, 2020 or 2022.")
    key_column: str | None = Field(None, description="Column of tracts or counties, in a .csv.")
    region_column: str | None = Field(None, description="Column of regions. [default: the name given]")
    region_name_column: str | None = Field(None, description="Column of the regions' names.")
    afact_column: str | None = Field(None, description="Column of the key's share in the region.")
    afact2_column: str | None = Field(None, description="Column of the region's share in the key.")
    shares_of: Literal["people", "housing", "area"] | None = Field(
        None,
        description="What the shares are shares of: people, housing or area. [default: what Geocorr's columns say]",
    )


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
    table = read_regions(options.file, options.name, columns, shares_of=options.shares_of)
    return Tables(
        collection=f"regions/{options.name}/{options.vintage}",
        parts=split_by_state(table.rows),
        attributes={"key": table.key, **table.weights.attributes},
        options=options.plain(),
        files=[options.file],
        lines=table.lines,
        unit="link",
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
    weights : Weights
        What shares are shares of.
    """

    rows: pd.DataFrame
    key: Literal["county", "tract"]
    lines: tuple[str, ...]
    weights: Weights


def read_regions(
    path: str | Path, name: str, columns: RegionColumns | None = None, *, shares_of: str | None = None
) -> RegionTable:
    """Return a table of regions from a file.

    Parameters
    ----------
    path : str or Path
        ``.json`` (a key to a region, or to its ``code`` and ``name``), or a table of any kind of `open_table`: a
        crosswalk of Geocorr (with a column ``afact``), or one row per key.
    name : str
        Name of the regions, such as ``cbsa``; in a csv the column of this name, or ``region``, holds them.
    columns : RegionColumns, optional
        Columns of a csv, where they have other names.
    shares_of : {"people", "housing", "area"}, optional
        What the shares are shares of, where the file does not say.

    Raises
    ------
    InputError
        Naming the file, the column or key, and what was found and expected.
    """
    given = columns or RegionColumns()
    source = str(path)
    if source.lower().removesuffix(".gz").endswith(".json"):
        if given != RegionColumns():
            raise InputError(f"{source}: names of columns are for a csv; found JSON")
        table, lines = _of_json(Path(path))
        names: list[str] = []
    else:
        read = open_table(path)
        names = list(read.names)
        table, lines = _of_csv(read, path, name, given)
    if not (table["region"] != "").any():
        raise InputError(f"{source}: found no region in {counted(len(table), 'row')}, expected codes of regions")
    lengths = table["geoid"].str.len()
    key: Literal["county", "tract"] = "tract" if (lengths == 11).any() else "county"
    if (lengths != lengths.iloc[0]).any():
        raise InputError(f"{source}: found counties (5 digits) and tracts (11) among the keys, expected one of the two")
    known = table["geoid"].str[:2].isin(list(STATES))
    if not known.any():
        raise InputError(f"{source}: no key of a known state; found {listed(list(table['geoid']))}")
    if not known.all():
        unknown = sorted(table["geoid"][~known])
        lines.append(f"{counted(len(unknown), 'row')} left out, of unknown state: {listed(unknown)}")
    rows = check_crosswalk(table[known], source).set_index("geoid")[list(COLUMNS)]
    linked = rows.loc[rows["region"] != "", "region"]
    lines.append(f"{counted(len(linked), 'link')} of a {key} to {counted(linked.nunique(), 'region')}")
    inside = rows.index.isin(linked.index)
    if not inside.all():
        lines.append(f"{counted(rows.index[~inside].nunique(), key)} in no region")
    weights = weights_of_table(rows, names, geocorr=is_geocorr(names, given), named=shares_of)
    lines.append(weights.line)
    return RegionTable(rows.astype({"region": "str", "region_name": "str"}), key, tuple(lines), weights)


def _of_json(path: Path) -> tuple[pd.DataFrame, list[str]]:
    plain = read_json(path, expected="JSON of keys and regions")
    if not (isinstance(plain, dict) and plain):
        raise InputError(f"{path}: found {str(plain)[:60]!r}, expected JSON of keys and regions")
    codes, names = zip(*(_code_and_name(path, key, value) for key, value in plain.items()), strict=True)
    keys = _keys(pd.Series(list(plain), dtype="str"), str(path), "key")
    regions = region_codes(pd.Series(codes, dtype=object), f"{path}: regions")
    return _table(keys, regions, pd.Series(names, dtype="str")), []


def _code_and_name(path: Path, key: str, value: Any) -> tuple[Any, str]:
    code, name = (value.get("code"), value.get("name")) if isinstance(value, dict) else (value, "")
    wrong = isinstance(value, dict) and "code" not in value
    if wrong or isinstance(code, bool) or not isinstance(code, (str, int, float, type(None))):
        raise InputError(f"{path}: key {key}: found {value!r}, expected a region, or an object with its code and name")
    return code, "" if name is None else str(name)


def _of_csv(read: TextTable, path: str | Path, name: str, given: RegionColumns) -> tuple[pd.DataFrame, list[str]]:
    columns = list(read.names)
    if is_geocorr(columns, given):
        target = geocorr_target(columns, name)
        table = geocorr_table(read, path, target=target, names=True, columns=given)
        return table, [f"read as a crosswalk of Geocorr; regions: {given.region or target}"]
    rows = read.texts()
    region = _column(columns, given.region, (name, "region", "code"), path, "--region-column", "regions")
    keys, names = _csv_keys(rows, given.key, region, path)
    read.check_codes([*names, region])
    used = ", ".join(names)
    usual = (f"{region}name", f"{region}_name", f"{name}_name", "region_name", "name")
    label = _optional(columns, given.region_name, usual, path)
    label = None if label == region else label
    codes = region_codes(rows[region], f"{path}: column {region}")
    table = _table(keys, codes, None if label is None else rows[label].mask(is_missing(rows[label]), ""))
    for option, column, plain in (("afact", given.afact, ("afact",)), ("afact2", given.afact2, ("afact2",))):
        found = _optional(columns, column, plain, path)
        if found is not None:
            table[option] = shares(rows, found, path)
    repeated = table.duplicated(["geoid", "region"])
    whole = (table["afact"] == 1).all()
    if repeated.any() and whole:
        table = table[~repeated].reset_index(drop=True)
    return table, [
        f"keys from {used}, regions from {region}" + (f", their names from {label}" if label else ""),
        *(
            [f"{counted(int(repeated.sum()), 'row')} left out as repeats of another"]
            if repeated.any() and whole
            else []
        ),
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


def _optional(columns: Sequence[str], given: str | None, usual: tuple[str, ...], path: str | Path) -> str | None:
    """Return a column that was asked for, else the first of the usual ones, if any."""
    if given is not None:
        return _column(columns, given, (), path, "", "")
    return first_column(columns, usual)


def _column(
    columns: Sequence[str], given: str | None, usual: tuple[str, ...], path: str | Path, option: str, what: str
) -> str:
    found = first_column(columns, usual if given is None else (given,))
    if found is not None:
        return found
    if given is not None:
        raise no_such_column(columns, given, str(path))
    raise InputError(
        f"{path}: found the columns {listed(columns, 12)}, expected one of {', '.join(dict.fromkeys(usual))} "
        f"with the {what} (or its name in {option})"
    )


def _csv_keys(
    rows: pd.DataFrame, given: str | None, region: str, path: str | Path
) -> tuple[pd.Series, tuple[str, ...]]:
    """Return keys from one column, or put together from state, county and tract, and the columns."""
    columns = [str(column) for column in rows if column != region]
    if given is not None:
        names = key_columns(list(map(str, rows)), file=str(path), named=given).names
    else:
        names = _key_names(columns, rows, path)
    if len(names) == 1:
        return _keys(rows[names[0]], str(path), names[0]), names
    pieces = {piece: rows[name] for piece, name in zip(PIECES, names, strict=False)}
    return _keys(keys_of_pieces(pieces, names, file=str(path)), str(path), ", ".join(names)), names


def _key_names(columns: Sequence[str], rows: pd.DataFrame, path: str | Path) -> tuple[str, ...]:
    whole = _optional(columns, None, KEY_COLUMNS, path)
    if whole is not None:
        return (whole,)
    tract = piece_columns(columns)
    if tract is not None:
        return tract
    county = _optional(columns, None, _COUNTY_KEYS, path)
    if county is not None and rows[county].str.fullmatch(r"[0-9]{4,5}(\.0*)?").all():
        # Beside the whole key of a county, the columns of state and county may be names.
        return (county,)
    pieces = piece_columns(columns, PIECES[:2])
    usual = (*KEY_COLUMNS, *_COUNTY_KEYS, *_PLAIN_KEYS)
    return pieces or (_column(columns, None, usual, path, "--key-column", "keys of tracts or counties"),)


def _keys(values: pd.Series, path: str, column: str) -> pd.Series:
    """Return keys of counties as 5 digits, or of tracts as 11."""
    texts = exact_texts(values, f"{path}: column {column}").str.strip(AROUND)
    texts = texts.str.replace(r"\.0*$", "", regex=True).str.replace(_COUNTY_PREFIX, "", regex=True)
    if texts.str.fullmatch("[0-9]{4,5}").all():
        # 1001 is county 01001; a key that has all of its digits begins with no state's single one.
        return texts.str.zfill(5)
    if texts.str.fullmatch("[0-9]{5}|[0-9]{11}").all():
        return texts
    keys, _ = tract_geoids(texts, file=path, column=column)
    # Keys of unknown states are reported and left out later.
    return keys.where(keys.notna(), texts.str[-11:])
