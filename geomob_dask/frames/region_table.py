"""The table of regions: counts, indices, what draws say of them, and their change, from units and totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.halo import Near
from geomob_dask.frames.own_rows import empty_of, one_value, own_rows, value_of
from geomob_dask.frames.reduction import reduced_rows
from geomob_dask.frames.region_blocks import whole_regions
from geomob_dask.frames.region_change import change_columns, changed
from geomob_dask.frames.region_draws import DRAWS_A_TASK, INTERVIEWED, SAMPLED, Inference, inferred, no_regions, wide
from geomob_dask.frames.region_reasons import reasons
from geomob_dask.frames.region_sums import sums_around, sums_of_own
from geomob_dask.frames.region_totals import Totals, totals_of
from geomob_dask.frames.units import region_units
from geomob_dask.metrics.segregation_catalog import INDICES, SegregationIndex
from geomob_dask.metrics.segregation_units import CUTOFF_KM

# Whether people of a region live where there is no polygon: a column on the way, not of the result.
_LACKING = "without polygon "


@dataclass(frozen=True)
class RegionTable:
    """What a table of regions holds.

    Attributes
    ----------
    indices : tuple of SegregationIndex
    inference : Inference
    groups : tuple of str
        Names of the categories.
    levels : tuple of str
        Areas between region and unit.
    cutoff : float, km
        Pairs of units further apart are left out of spatial proximity.
    wanted : tuple of str, optional
        Regions that must have units.
    near : sequence of sequence of int, optional
        For each partition, the numbers of those within two steps of the graph.
    chunk : int
        Draws of a task.
    """

    indices: tuple[SegregationIndex, ...]
    inference: Inference
    groups: tuple[str, ...]
    levels: tuple[str, ...] = ()
    cutoff: float = CUTOFF_KM
    wanted: tuple[str, ...] | None = None
    near: Near | None = None
    chunk: int = DRAWS_A_TASK

    def __post_init__(self) -> None:
        if not 0 < self.cutoff < np.inf:
            raise InputError(f"cutoff {self.cutoff}: expected kilometers above 0")
        self.inference.under_null(self.indices)

    def of(self, units: Any, earlier: Any = None) -> Any:
        """Return the table from units, and those of an earlier year: one row per region, in one partition."""
        totals = totals_of(units, self.wanted)
        tables = [own_rows(_counted, totals, meta=lambda: _no_counts(self.groups), groups=self.groups)]
        own, halo, regions = (self._computed_from(rows) for rows in ("own", "halo", "regions"))
        if own:
            tables.append(self._spread(sums_of_own(units, totals, own), totals, own))
        if halo:
            tables.append(self._spread(sums_around(units, totals, halo, self.near), totals, halo))
        whole = (
            whole_regions(units, totals)
            if regions or self.inference.drawn(self.indices) or earlier is not None
            else None
        )
        if regions:
            columns = {name: self.columns(INDICES[name]) for name in regions}
            found = own_rows(
                _of_regions,
                whole,
                meta=lambda: no_regions([*_flat(columns), _LACKING]),
                columns=columns,
                cutoff=self.cutoff,
            )
            tables.append(_merged(found, totals))
        if self.inference.drawn(self.indices):
            tables.append(_merged(inferred(whole, self.indices, self.inference, self.columns, self.chunk), totals))
        if earlier is not None:
            tables.append(_merged(changed(whole_regions(earlier, totals), whole), totals))
        order = self.all_columns(change=earlier is not None)
        drawn = bool(self.inference.drawn(self.indices))
        columns = {index.name: self.columns(index) for index in self.indices}
        return own_rows(
            _side_by_side,
            *tables,
            meta=lambda: _no_table(order),
            order=order,
            columns=columns,
            groups=self.groups,
            sampled=self.inference.sampling.text if drawn else None,
        )

    def columns(self, index: SegregationIndex) -> list[str]:
        """Return the columns of an index."""
        return index.columns(self.groups, self.levels)

    def all_columns(self, *, change: bool = False) -> list[str]:
        """Return the columns of the table, in order."""
        found = list(_no_counts(self.groups).columns)
        if self.inference.drawn(self.indices):
            found += [SAMPLED, INTERVIEWED]
        for index in self.indices:
            suffixes = self.inference.suffixes(index, self.indices)
            found += self.columns(index)
            found += [f"{name}_{suffix}" for suffix in suffixes for name in self.columns(index)]
        return [*found, *(change_columns() if change else []), "reason"]

    def _computed_from(self, rows: str) -> tuple[str, ...]:
        return tuple(index.name for index in self.indices if index.strategy.rows == rows)

    def _spread(self, values: Any, totals: Any, indices: Sequence[str]) -> Any:
        columns = {name: self.columns(INDICES[name]) for name in indices}
        return own_rows(_spread, values, totals, meta=lambda: no_regions(_flat(columns)), columns=columns)


def _counted(totals: pd.DataFrame, *, groups: Sequence[str]) -> pd.DataFrame:
    """Return the people of each region."""
    merged: Totals = value_of(totals)
    columns = {
        "region_name": pd.array(merged.names, dtype="str"),
        "units": merged.units,
        "people": merged.counts.sum(axis=1),
        **{f"count_{group}": merged.counts[:, place] for place, group in enumerate(groups)},
    }
    return pd.DataFrame(columns, index=pd.Index(merged.regions, dtype="str", name="region"))


def _no_counts(groups: Sequence[str]) -> pd.DataFrame:
    empty, none = np.zeros((0, len(groups))), np.zeros(0, dtype=np.int64)
    text = np.zeros(0, dtype=object)
    return _counted(one_value(Totals(text, text, empty, none, none)), groups=groups)


def _spread(values: pd.DataFrame, totals: pd.DataFrame, *, columns: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return indices of all regions as a table."""
    regions = value_of(totals).regions
    return pd.concat([wide(value_of(values)[name], regions, names) for name, names in columns.items()], axis=1)


def _of_regions(gathered: pd.DataFrame, *, columns: Mapping[str, Sequence[str]], cutoff: float) -> pd.DataFrame:
    """Return indices that need whole regions, of the regions of one partition."""
    regions, units = region_units(gathered, cutoff=cutoff)
    if not len(regions):
        return no_regions([*_flat(columns), _LACKING])
    tables = [wide(INDICES[name].of(units), regions, names) for name, names in columns.items()]
    return pd.concat([*tables, wide(units.without_land(), regions, [_LACKING])], axis=1)


def _merged(by_partition: Any, totals: Any) -> Any:
    """Return the rows of all partitions as one, in the order of all regions; NaN where a region has none."""
    return reduced_rows(_in_order, by_partition, totals, meta=empty_of(by_partition))


def _in_order(parts: Sequence[pd.DataFrame], totals: Totals) -> pd.DataFrame:
    filled = [part for part in parts if len(part)] or [parts[0]]
    return pd.concat(filled).reindex(pd.Index(totals.regions, dtype="str", name="region"))


def _side_by_side(
    *tables: pd.DataFrame,
    order: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    groups: Sequence[str],
    sampled: str | None,
) -> pd.DataFrame:
    """Return one table with how counts were taken, and the reasons of values that are missing."""
    more = []
    if sampled is not None:
        more = [pd.Series(sampled, index=tables[0].index, name=SAMPLED, dtype="str")]
    whole = pd.concat([*tables, *more], axis=1)
    lacking = whole[_LACKING] > 0 if _LACKING in whole else None
    values = whole[[name for name in order if name != "reason"]]
    return pd.concat([values, reasons(values, columns, groups, lacking)], axis=1)


def _no_table(order: Sequence[str]) -> pd.DataFrame:
    texts = {name: "str" for name in ("region_name", SAMPLED, "reason") if name in order}
    return no_regions(order).astype({**texts, "units": np.int64})


def _flat(columns: Mapping[str, Sequence[str]]) -> list[str]:
    return [name for names in columns.values() for name in names]
