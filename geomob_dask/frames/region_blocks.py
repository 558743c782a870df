"""Whole regions in one partition each: a region's units come together in its home, the first partition that holds any.

Which partition that is follows from the totals, so nothing is read to build the graph: every partition offers the units
of regions at home elsewhere, and every partition takes from all offers what is at home with it.
"""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from geomob_dask.frames.halo import Near, halo, stacked
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
    number, meta = _numbers(units), empty_of(units)
    offered = own_rows(_offered, units, totals, number, meta=lambda: meta.assign(home=np.zeros(0, dtype=np.int64)))
    return own_rows(_at_home, units, totals, number, halo(offered, near, to="home"), meta=meta)


def _numbers(frame: Any) -> Any:
    """Return the number of each partition, as a frame of one row each."""
    if not is_lazy(frame):
        return _number(0)
    return dd.from_map(_number, range(frame.npartitions), meta=_number(0).iloc[:0], label="number")


def _number(number: int) -> pd.DataFrame:
    return pd.DataFrame({"value": [number]})


def _offered(units: pd.DataFrame, totals: pd.DataFrame, number: pd.DataFrame) -> pd.DataFrame:
    """Return the units of regions at home in other partitions, with the numbers of those."""
    home = _homes(units, value_of(totals))
    elsewhere = (home >= 0) & (home != value_of(number))
    return units[elsewhere].assign(home=home[elsewhere])


def _at_home(units: pd.DataFrame, totals: pd.DataFrame, number: pd.DataFrame, offered: pd.DataFrame) -> pd.DataFrame:
    """Return the units of regions at home here: own ones, and those that others offer."""
    own = units[_homes(units, value_of(totals)) == value_of(number)]
    if not len(offered):
        return own
    together = stacked(own, [own, offered[own.columns]])
    order = pd.DataFrame({"geoid": together.index, "region": together["region"].to_numpy()})
    return together.iloc[order.sort_values(["geoid", "region"]).index]


def _homes(units: pd.DataFrame, totals: Totals) -> np.ndarray:
    """Return the home of each unit's region; −1 where the region has no totals."""
    place = pd.Index(totals.regions).get_indexer(units["region"].to_numpy(object))
    return np.where(place >= 0, totals.home[place], -1)
