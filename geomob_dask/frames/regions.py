"""Regions of tracts: from their keys, from a column of measures, or from a table of regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.align import aligned
from geomob_dask.frames.keys import to_text
from geomob_dask.frames.own_rows import Frame, empty_of, is_lazy, own_rows
from geomob_dask.messages import listed
from geomob_dask.sources.geocorr import check_years_agree
from geomob_dask.sources.region_codes import region_codes
from geomob_dask.sources.regions import BY_KEY, COLUMNS
from geomob_dask.sources.states import STATES
from geomob_dask.sources.vintages import check_same_codes

NATION = "nation"
_TRACT, _COUNTY, _STATE = 11, 5, 2
# As a number, the key of a tract has ten digits at least: a state's code and nine more.
_FIRST = 1_000_000_000
# Share of the tracts of a table that a crosswalk of the same tracts may lack, and the other way round.
_STRANGERS = 0.01
_WHOLE = 1e-3
_TEXT = {"region": "str", "region_name": "str"}
_CONVERT = "leave the state out (--states), or jobs/harmonize.py --dataset NAME --years YEARS --to"


# What names regions: text, a table, or a table by its name.
By: TypeAlias = str | Frame | Mapping[str, Frame]


def regions_of(measures: Any, by: By) -> Any:
    """Return the regions of tracts.

    Parameters
    ----------
    measures : DataFrame, in memory or on Dask
        Indexed by geoid.
    by : str, DataFrame, or mapping of a name to a DataFrame
        ``county`` or ``state`` (the first digits of a tract's key), ``nation``, a column of `measures` (missing where a
        tract lies in no region), or a table of regions, indexed by the geoids of tracts or counties, with the columns
        ``region``, ``region_name``, ``afact`` and ``afact2``, whose name is for messages.

    Returns
    -------
    DataFrame, in memory or on Dask as `measures`
        Index ``geoid``: one row for each part of a tract that lies in a region, none for a tract in no region. Columns
        ``region``, ``region_name`` (empty where it is not known), ``afact`` (share of the tract in the region) and
        ``afact2`` (share of the region in the tract; NaN where it is not known).

    Raises
    ------
    InputError
        If there is no such column, the table has other tracts than the measures, or it holds shares of counties, which
        do not say where their tracts lie.

    Examples
    --------
    >>> measures = pd.DataFrame({"people": [10, 20]}, index=["39001000100", "39003000100"])
    >>> regions_of(measures, "county")["region"].tolist()
    ['39001', '39003']
    """
    if isinstance(by, str):
        check_by(by, measures.columns)
        return own_rows(tract_regions, measures, meta=lambda: tract_regions(empty_of(measures), by=by), by=by)
    ((name, table),) = by.items() if isinstance(by, Mapping) else [("table", by)]
    if is_lazy(table) and not _same(measures, table) and short_keys(table):
        # Keys of counties lie between other divisions than those of tracts: each partition gets all of them.
        table = table.repartition(npartitions=1)
    elif not short_keys(table):
        measures, table = aligned(measures=measures, regions=table)
    empty = empty_of(measures), empty_of(table)
    return own_rows(tract_regions, measures, table, meta=lambda: tract_regions(*empty, by=name), by=name)


def chosen_regions(where: Any, regions: Sequence[str] | None) -> Any:
    """Return the rows of some regions alone; tracts of others are then in no region.

    Parameters
    ----------
    where : DataFrame, in memory or on Dask
        See `regions_of`.
    regions : sequence of str, optional
        Codes; all by default.
    """
    if regions is None:
        return where
    return own_rows(_chosen, where, meta=empty_of(where), regions=tuple(regions))


def _chosen(where: pd.DataFrame, *, regions: tuple[str, ...]) -> pd.DataFrame:
    return where[where["region"].isin(regions)]


def shares_tracts(by: By) -> bool:
    """Return whether a table of regions may share a tract out among several."""
    if isinstance(by, str):
        return False
    (table,) = by.values() if isinstance(by, Mapping) else (by,)
    if is_lazy(table):
        # Divisions of frames from a store are states, whatever the keys are.
        return not short_keys(table) or all(len(key) <= _STATE for key in table.divisions)
    return not short_keys(table) and bool(table.index.has_duplicates)


def check_by(by: str, columns: Any) -> None:
    """Raise InputError if regions are neither known from the keys of tracts nor a column."""
    if by not in BY_KEY and by != NATION and by not in columns:
        raise InputError(
            f"by {by!r}: expected county, state, nation, a table of regions, or a column of the measures "
            f"({listed(sorted(map(str, columns)), 8)})"
        )


def tract_regions(measures: pd.DataFrame, table: pd.DataFrame | None = None, *, by: str) -> pd.DataFrame:
    """Return the regions of the tracts of one partition; see `regions_of`.

    Parameters
    ----------
    measures : DataFrame, index geoid
    table : DataFrame, index geoid, optional
        Regions of these tracts or their counties.
    by : str
        Name of the table; without one, what `regions_of` takes as text.
    """
    tracts = measures.index
    if table is not None:
        return _from_table(table, tracts, by)
    if by == NATION:
        return _nested(tracts, NATION)
    if by in BY_KEY and (by not in measures or _are_tracts(tracts)):
        return _from_keys(tracts, by)
    return _from_column(measures[by])


def _from_keys(tracts: pd.Index, by: str) -> pd.DataFrame:
    if len(tracts) and not _are_tracts(tracts):
        raise InputError(f"by {by!r}: found the key {tracts[0]!r}, expected keys of tracts, 11 digits each")
    codes = to_text(tracts).str[: BY_KEY[by]]
    names = {code: STATES[code].name for code in codes.unique() if by == "state" and code in STATES}
    return _nested(tracts, codes.to_numpy(), [names.get(code, "") for code in codes])


def _from_column(column: pd.Series) -> pd.DataFrame:
    known = column[column.notna()]
    if pd.api.types.is_numeric_dtype(known):
        whole = known == known.round()
        if not whole.all():
            row = int(np.argmax(~whole))
            raise InputError(
                f"regions {column.name}, tract {known.index[row]}: found {known.iloc[row]:g}, expected codes of regions"
            )
    regions = region_codes(known, f"regions {column.name}").set_axis(known.index)
    regions = regions[regions != ""]
    return _nested(regions.index, regions.to_numpy())


def _from_table(table: pd.DataFrame, tracts: pd.Index, by: str) -> pd.DataFrame:
    # Keys of tracts and of tables may be integers on either side.
    keys, texts = to_text(tracts), to_text(table.index)
    if not len(table) or not len(tracts):
        return _nested(tracts[:0], "")
    check_same_codes(keys, texts, left_name="measures", right_name=f"regions {by}", convert=_CONVERT)
    table = table.set_axis(texts)
    found = (_from_counties if short_keys(table) else _from_tracts)(table, keys, by)
    if tracts.dtype != keys.dtype:
        found = found.set_axis(tracts[keys.get_indexer(found.index)])
    return found.rename_axis("geoid").astype(_TEXT)


def _from_counties(table: pd.DataFrame, tracts: pd.Index, by: str) -> pd.DataFrame:
    linked = table[table["region"] != ""]
    parted = linked["afact"] < 1 - _WHOLE
    if parted.any():
        county = linked.index[int(np.argmax(parted))]
        raise InputError(
            f"regions {by}: {linked['afact'][parted].iloc[0]:g} of county {county} lies in region "
            f"{linked['region'][parted].iloc[0]}; which of its tracts, a table of counties does not say: expected one "
            "of tracts (from Geocorr, or jobs/ingest.py places)"
        )
    counties = pd.Series(tracts.str[:_COUNTY], index=tracts)
    in_one = counties[counties.isin(linked.index)]
    rows = linked.loc[in_one.to_numpy(), list(COLUMNS)].set_index(pd.Index(in_one.index, name="geoid"))
    # The shares are of the county's people, not of the tract's.
    return rows.assign(afact=1.0, afact2=np.nan)


def _from_tracts(table: pd.DataFrame, tracts: pd.Index, by: str) -> pd.DataFrame:
    listed_tracts = table.index.unique()
    # Tracts between those of this partition: a table may reach further.
    listed_tracts = listed_tracts[(listed_tracts >= tracts.min()) & (listed_tracts <= tracts.max())]
    for state in listed_tracts.str[:2].unique():
        own, here = (keys[keys.str[:2] == state] for keys in (tracts, listed_tracts))
        # A table may leave out tracts in no region, and measures tracts of few people; both at once are other tracts.
        if len(own) and len(own.difference(here)) > _STRANGERS * len(own):
            crosswalk = pd.DataFrame({"geoid": here})
            check_years_agree(crosswalk, own.to_numpy(), f"regions {by} and the measures", tolerance=_STRANGERS)
    rows = table[(table["region"] != "") & table.index.isin(tracts)]
    return rows[list(COLUMNS)].sort_index(kind="stable")


def _nested(tracts: pd.Index, regions: Any, names: Any = "") -> pd.DataFrame:
    """Return regions that tracts lie in as a whole."""
    table = pd.DataFrame({"region": regions, "region_name": names, "afact": 1.0, "afact2": np.nan}, index=tracts)
    return table.rename_axis("geoid").astype(_TEXT)


def _are_tracts(keys: pd.Index) -> bool:
    if not len(keys):
        return True
    if keys.dtype.kind == "i":
        return bool(keys[0] >= _FIRST)
    return str(keys[0]).isdigit() and len(str(keys[0])) == _TRACT


def short_keys(table: Frame) -> bool:
    """Return whether keys are those of counties, or divisions those of states."""
    keys = [key for key in table.divisions if key != "~"] if is_lazy(table) else table.index[:1]
    return len(keys) > 0 and all(isinstance(key, str) and len(key) <= _COUNTY for key in keys)


def _same(measures: Any, table: Any) -> bool:
    return is_lazy(measures) and bool(measures.divisions == table.divisions)
