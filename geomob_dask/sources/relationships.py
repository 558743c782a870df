"""Tables of relationships between the tracts of two vintages: from the Census Bureau, or from any csv.

Four forms are recognized by their columns: the Bureau's relationship files of 2020
(``tab20_tract20_tract10_natl.txt``: land of the parts); a table of ``from_…`` and ``to_…`` tracts with amounts;
Connecticut's tracts by both codes; and ``source, target, weight``. Others are read by the names of their columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import and_more, listed
from geomob_dask.sources.keys import is_missing, tract_geoids
from geomob_dask.sources.numbers import required_floats
from geomob_dask.sources.text_tables import TextTable, open_table
from geomob_dask.sources.vintages import recoding, registry, vintage

# Amounts of these are shares of the source already.
_SHARE_COLUMNS = ("weight", "afact", "share")
# A county without a tract: published tables have 26061NA.
_NO_TRACT = r"[0-9]{2,5}na"
# Codes of tracts that are all water, 9900.00 to 9998.99.
_WATER = r"[0-9]{5}99[0-9]{4}"


@dataclass(frozen=True)
class RelationColumns:
    """Columns of a table of another form.

    Attributes
    ----------
    source, target : str, optional
        Columns of tracts.
    weight : str, optional
        Column of the share of the source in the target, or of an amount; without one, every share is 1.
    amounts : bool
        Whether `weight` is an amount (people, housing units, area) from which shares of each source are computed.
    """

    source: str | None = None
    target: str | None = None
    weight: str | None = None
    amounts: bool = False


@dataclass(frozen=True)
class Relation:
    """Links of the tracts of one vintage to those of another.

    Attributes
    ----------
    file : str
    rows : DataFrame
        ``source``, ``target`` (empty: in none) and ``weight``, sorted by source and target.
    amounts : bool
        Whether weights are amounts (people, housing units, land); else shares of the source.
    """

    file: str
    rows: pd.DataFrame
    amounts: bool


def read_relation(file: str | Path, source: str, target: str, *, columns: RelationColumns | None = None) -> Relation:
    """Return the links of the tracts of a vintage to those of another, as a file has them.

    `frames.relations.link_shares` makes shares of amounts.

    Parameters
    ----------
    file : str or Path
        A table (see `text_tables.open_table`) of one of the forms of the module.
    source, target : str
        Vintages. Codes of either are brought to those of the vintage with the same tracts.
    columns : RelationColumns, optional
        Columns of another form; `weight` alone chooses among the amounts of a known form.

    Raises
    ------
    InputError
        If the file cannot be read or is of other vintages, or a key has a wrong form.
    """
    table = open_table(file, expected="a table of tracts in tracts")
    rows, amounts = _links(table, str(file), source, target, columns or RelationColumns())
    rows = _recoded(rows, source, target)
    rows = rows.groupby(["source", "target"], as_index=False, sort=True)["weight"].sum()
    return Relation(str(file), rows, amounts)


def is_water(geoids: pd.Index) -> np.ndarray:
    """Return which tracts are all water by their code, or were (36085008900)."""
    return np.asarray(geoids.str.fullmatch(_WATER) | geoids.isin(_joined_water()), dtype=bool)


@cache
def _joined_water() -> frozenset[str]:
    table = recoding("2010")
    return frozenset(table.loc[table["kind"] == "water", "source"])


def plain_codes(geoids: pd.Index, tracts: str) -> pd.Index:
    """Return keys in the newest codes of their polygons, so that tables of either code meet."""
    table = newest_codes(tracts)
    codes = dict(zip(table["source"], table["target"], strict=True))
    return pd.Index([codes.get(key, key) for key in geoids], dtype="str", name=geoids.name)


def newest_codes(tracts: str) -> pd.DataFrame:
    """Return the older and the newest code (``source``, ``target``) of tracts of these polygons that have two."""
    newest = [name for name, one in registry().vintages.items() if one.tracts == tracts][-1]
    table = recoding(newest)
    return table.loc[table["kind"] != "water", ["source", "target"]]


# A file to its links -----------------------------------------------------------------------------


def _links(read: TextTable, file: str, source: str, target: str, columns: RelationColumns) -> tuple[pd.DataFrame, bool]:
    """Return ``source``, ``target``, ``weight``, and whether the last are amounts."""
    table = read.texts().rename(columns=str.lower)
    here, there = vintage(source).tracts, vintage(target).tracts
    names = set(table)
    number: pd.Series | str | None = None if columns.weight is None else columns.weight.lower()
    amounts = columns.amounts
    if columns.source and columns.target:
        of_source, of_target = columns.source.lower(), columns.target.lower()
    elif {"arealand_part", "areawater_part"} <= names:
        of_source, of_target = (f"geoid_tract_{tracts[-2:]}" for tracts in (here, there))
        amounts, number = True, number or _land(table, file, of_source)
    elif {"from_census_tract", "to_census_tract"} <= names:
        of_source, of_target = "from_census_tract", "to_census_tract"
        _check_years(table, file, here, there)
        left = [name for name in table if not name.startswith(("from_", "to_"))]
        amounts, number = True, number or (left[0] if len(left) == 1 else None)
        if number is None:
            raise InputError(f"{file}: found the amounts {', '.join(left) or 'none'}; expected one of them (--weight)")
    elif {"tract_fips_2020", "tract_fips_2022"} <= names:
        of_source, of_target = f"tract_fips_{source}", f"tract_fips_{target}"
    else:
        of_source, of_target = "source", "target"
        number = number or next((name for name in _SHARE_COLUMNS if name in names), None)
    needed = [of_source, of_target, *([number] if isinstance(number, str) else [])]
    absent = [name for name in needed if name not in names]
    if absent:
        raise InputError(
            f"{file}: no column {', '.join(absent)}, from vintage {source} to {target}; found {listed(table, 16)}"
        )
    read.check_codes([name for name in read.names if name.lower() in (of_source, of_target)])
    if isinstance(number, str):
        given = _numbers(table[number], file)
        if not amounts and given.isna().any():
            row = int(np.argmax(given.isna()))
            raise InputError(f"{file}: column {number}, row {row + 1}: found nothing, expected a share from 0 to 1")
        number = given
    return _keyed(table, of_source, of_target, 1.0 if number is None else number, file), amounts


def _land(table: pd.DataFrame, file: str, source: str) -> pd.Series:
    """Return the land of each part; of tracts that have none, the water."""
    land, water = (_numbers(table[f"area{what}_part"], file) for what in ("land", "water"))
    if source not in table:
        return land
    dry = land.groupby(table[source]).transform("sum") > 0
    return land.where(dry, water)


def _check_years(table: pd.DataFrame, file: str, here: str, there: str) -> None:
    for column, expected in (("from_census_yr", here), ("to_census_yr", there)):
        if column in table:
            found = sorted(f"{year:.0f}" for year in _numbers(table[column], file).dropna().unique())
            if found != [expected]:
                raise InputError(
                    f"{file}: column {column}: found {', '.join(found)}, expected {expected}: a table from tracts of "
                    f"{here} to tracts of {there}"
                )


def _numbers(column: pd.Series, file: str) -> pd.Series:
    found = required_floats(column, f"{file}: column {column.name}", lambda row: f"row {row + 1}")
    return pd.Series(found, index=column.index, name=column.name)


def _keyed(table: pd.DataFrame, source: str, target: str, number: pd.Series | float, file: str) -> pd.DataFrame:
    """Return the links with keys of 11 digits; rows without a source are left out, a target may be empty."""
    empty = {
        side: is_missing(table[side]) | table[side].str.lower().str.fullmatch(_NO_TRACT) for side in (source, target)
    }
    rows = pd.DataFrame({"source": table[source], "target": table[target], "weight": number})[~empty[source]]
    if rows.empty:
        raise InputError(f"{file}: column {source}: found no tract in any row; expected keys of 11 digits")
    rows["source"] = tract_geoids(rows["source"], file=file, column=source)[0].to_numpy()
    inside = ~empty[target][rows.index].to_numpy()
    keys = np.full(len(rows), "", dtype=object)
    if inside.any():
        keys[inside] = tract_geoids(rows["target"][inside], file=file, column=target)[0].to_numpy()
    rows["target"] = keys
    rows = rows[rows["source"].notna() & rows["target"].notna()].astype({"source": "str", "target": "str"})
    twice = rows.duplicated(["source", "target"]) & (rows["target"] != "").to_numpy()
    if twice.any():
        first = rows[twice].iloc[0]
        raise InputError(
            f"{file}: {first['source']} and {first['target']} are linked twice{and_more(twice.sum())}; expected one row"
        )
    return rows


def _recoded(rows: pd.DataFrame, source: str, target: str) -> pd.DataFrame:
    """Bring both sides to codes under which they are looked up: sources to the newest, targets to their vintage's."""
    here, there = vintage(source).tracts, vintage(target).tracts
    if here == there:
        return rows
    rows = rows.assign(source=plain_codes(pd.Index(rows["source"]), here))
    codes = recoding(target)
    found = rows.merge(codes[["source", "target", "weight"]], left_on="target", right_on="source", how="left")
    new = found["target_y"].where(found["target_y"].notna(), found["target_x"])
    share = found["weight_y"].fillna(1.0)
    return pd.DataFrame({"source": found["source_x"], "target": new.astype("str"), "weight": found["weight_x"] * share})
