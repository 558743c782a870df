"""Indices that are made of sums: each partition adds up the terms of its own units, and the sums are merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.frames.halo import Near, halo
from geomob_dask.frames.own_rows import empty_of, own_rows, value_of
from geomob_dask.frames.reduction import partials, reduced
from geomob_dask.frames.region_totals import Totals, merged_sums
from geomob_dask.frames.units import COUNT, coded, counts_of, edges_of, one_region_each
from geomob_dask.graph.bands import band, neighborhood
from geomob_dask.metrics.counts import Floats, Integers
from geomob_dask.metrics.segregation_catalog import chosen, terms_of
from geomob_dask.metrics.segregation_spatial import environment, neighborhood_weights
from geomob_dask.metrics.segregation_sums import RegionSums, Units, partial_sums
from geomob_dask.transforms.exact_sums import ExactSums

Values = dict[str, Floats]
# Sums of some regions, by the name of the sum: positions of the regions, and their sums.
PartialSums = tuple[Integers, dict[str, ExactSums]]


def sums_of_own(units: Any, totals: Any, indices: Sequence[str]) -> Any:
    """Return indices made of sums over own rows: a frame of one row whose value holds them by name."""
    parts = partials(_own_sums, units, totals, indices=tuple(indices))
    return reduced(_evaluated, parts, totals, indices=tuple(indices))


def sums_around(units: Any, totals: Any, indices: Sequence[str], near: Near | None = None) -> Any:
    """Return indices made of sums over units with the people around them; units hold their neighbors.

    Parameters
    ----------
    near : sequence of sequence of int, optional
        For each partition, the numbers of those within two steps of the graph; all others by default.
    """
    border = own_rows(_border, units, totals, meta=lambda: _border_columns(empty_of(units)))
    parts = partials(_sums_around, units, totals, halo(border, near), indices=tuple(indices))
    return reduced(_evaluated, parts, totals, indices=tuple(indices))


def _own_sums(units: pd.DataFrame, totals: pd.DataFrame, *, indices: Sequence[str]) -> PartialSums:
    codes, rows = _rows(units, value_of(totals))
    return codes, partial_sums(rows, terms_of(chosen(indices)))


def _rows(units: pd.DataFrame, totals: Totals) -> tuple[Integers, Units]:
    regions, local = coded(units["region"])
    codes = totals.codes(regions)
    return codes, Units(counts_of(units), local, totals.counts[codes])


def _evaluated(parts: Sequence[PartialSums], totals: Totals, *, indices: Sequence[str]) -> Values:
    """Return indices of all regions, each of shape (n_regions, …)."""
    wanted = chosen(indices)
    merged = {
        term.name: merged_sums(((codes, sums[term.name]) for codes, sums in parts), len(totals.regions))
        for term in terms_of(wanted)
    }
    sums = RegionSums(totals.counts, sums=merged)
    return {index.name: index.function(sums) for index in wanted}


def _border(units: pd.DataFrame, totals: pd.DataFrame) -> pd.DataFrame:
    """Return the units near other partitions, with counts and regions; those at the border list their neighbors."""
    one_region_each(units)
    keys = units.index.to_numpy()
    focal, neighbor = edges_of(units)
    found = band(keys, focal, neighbor)
    near = units.iloc[found.rows]
    border = _border_columns(near)
    border["code"] = value_of(totals).codes(near["region"].to_numpy(object)).astype(np.float64)
    lists = near["neighbors"].to_numpy(copy=True)
    for row in np.flatnonzero(~near.index.isin(focal[found.leaving])):
        lists[row] = keys[:0]
    return border.assign(neighbors=lists)


def _border_columns(units: pd.DataFrame) -> pd.DataFrame:
    counts = [name for name in units.columns if str(name).startswith(COUNT)]
    return units[[*counts, "neighbors"]].assign(code=np.zeros(len(units)))


def _sums_around(
    units: pd.DataFrame, totals: pd.DataFrame, far: pd.DataFrame, *, indices: Sequence[str]
) -> PartialSums:
    merged: Totals = value_of(totals)
    codes, rows = _rows(units, merged)
    around = neighborhood(units.index.to_numpy(), *edges_of(units), far.index.to_numpy(), *edges_of(far))
    own_code = merged.codes(units["region"].to_numpy(object)).astype(np.float64)
    own = np.column_stack([rows.counts, own_code])
    others = np.column_stack([counts_of(far), far["code"].to_numpy()])
    values = around.gather(own, far.index.to_numpy(), others)
    is_own = np.isin(np.arange(len(around.keys)), around.own)
    weights = neighborhood_weights(around.adjacency, values[:, -1].astype(np.int64), is_own)
    shares = environment(np.ascontiguousarray(values[:, :-1]), weights)
    return codes, partial_sums(replace(rows, environment=shares), terms_of(chosen(indices)))
