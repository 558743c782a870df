"""Whole regions in one partition each: a region's units come together in its home, the first partition that holds any.

Which partition that is follows from the totals, so nothing is read to build the graph: every partition offers the units
of regions at home elsewhere, and every partition takes from all offers what is at home with it.
"""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from geomob_dask.frames.halo import Near, halo
from geomob_dask.frames.own_rows import empty_of, is_lazy, own_rows, value_of
from geomob_dask.frames.region_totals import Totals


def whole_regions(units: Any, totals: Any, near: Near | None = None) -> Any:
    """Return the units of whole regions: partition i holds those of all regions whose home it is.

    Parameters
    ----------
    units : DataFrame, in memory or on Dask
        See `frames.units.units_of`; those of regions without totals are left out.
    totals : DataFrame of one row
        See `frames.region_totals.totals_of`.
    near : sequence of sequence of int, optional
        For each partition, those that may hold units of its regions; all others by default.

    Returns
    -------
    DataFrame, in memory or on Dask as `units`
        Sorted by key and region, whatever the partitions.
    """
    number = _numbers(units)
    offered = halo(own_rows(_offered, units, totals, number, meta=_no_offer), near)
    meta = empty_of(units)
    return own_rows(_at_home, units, totals, number, offered, meta=meta)


def _numbers(frame: Any) -> Any:
    """Return the number of each partition, as a frame of one row each."""
    if not is_lazy(frame):
        return _number(0)
    return dd.from_map(_number, range(frame.npartitions), meta=_number(0).iloc[:0], label="number")


def _number(number: int) -> pd.DataFrame:
    return pd.DataFrame({"value": [number]})


def _offered(units: pd.DataFrame, totals: pd.DataFrame, number: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each other partition that is the home of some units: its number, and a frame of them."""
    home = _homes(units, value_of(totals))
    elsewhere = np.unique(home[(home >= 0) & (home != value_of(number))])
    offers = np.empty(len(elsewhere), dtype=object)
    for place, other in enumerate(elsewhere):
        offers[place] = units[home == other]
    return pd.DataFrame({"home": elsewhere, "units": offers})


def _no_offer() -> pd.DataFrame:
    return pd.DataFrame({"home": np.zeros(0, dtype=np.int64), "units": np.zeros(0, dtype=object)})


def _at_home(units: pd.DataFrame, totals: pd.DataFrame, number: pd.DataFrame, offered: pd.DataFrame) -> pd.DataFrame:
    here = value_of(number)
    own = units[_homes(units, value_of(totals)) == here]
    parts = [part for part in (own, *offered.loc[offered["home"] == here, "units"]) if len(part)]
    if len(parts) < 2:
        return parts[0] if parts else own
    together = pd.concat(parts)
    order = pd.DataFrame({"geoid": together.index, "region": together["region"].to_numpy()})
    return together.iloc[order.sort_values(["geoid", "region"]).index]


def _homes(units: pd.DataFrame, totals: Totals) -> np.ndarray:
    """Return the home of each unit's region; −1 where the region has no totals."""
    place = pd.Index(totals.regions).get_indexer(units["region"].to_numpy(object))
    return np.where(place >= 0, totals.home[place], -1)
