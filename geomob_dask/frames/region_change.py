"""The change of segregation between two years, decomposed for whole regions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.frames.own_rows import own_rows
from geomob_dask.frames.region_draws import no_regions, wide
from geomob_dask.frames.units import coded, counts_of
from geomob_dask.metrics.segregation_change import segregation_change
from geomob_dask.metrics.segregation_multi_group import information_theory, mutual_information

_INDICES = {"mutual_information": mutual_information, "information_theory": information_theory}
PARTS = ("removals", "additions", "unit_marginal", "group_marginal", "structural")


def change_columns() -> list[str]:
    """Return the columns of a change: the index before, its change, and the parts of that."""
    return [
        f"{name}_{text}" for name in _INDICES for text in ("before", "change", *(f"change_{part}" for part in PARTS))
    ]


def changed(earlier: Any, later: Any) -> Any:
    """Return the parts of the change of M and H from one year to another, one row per region of the later year.

    Parameters
    ----------
    earlier, later : DataFrame, in memory or on Dask
        Units of whole regions; see `frames.region_blocks.whole_regions`. Units that one year lacks are empty there.
    """
    return own_rows(_changed, later, earlier, meta=lambda: no_regions(change_columns()))


def _changed(later: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    regions, _ = coded(later["region"])
    if not len(regions):
        return no_regions(change_columns())
    years = [later, earlier]
    pairs = [pd.MultiIndex.from_arrays([year["region"].to_numpy(object), year.index]) for year in years if len(year)]
    keys = pairs[0].append(pairs[1:]).unique().sort_values()
    tables = []
    for year in years:
        table = np.zeros((len(keys), counts_of(later).shape[1]))
        if len(year):
            place = keys.get_indexer(pd.MultiIndex.from_arrays([year["region"].to_numpy(object), year.index]))
            table[place] = counts_of(year)
        tables.append(table)
    codes = np.searchsorted(regions, keys.get_level_values(0).to_numpy(object)).astype(np.int64)
    columns = []
    for index in _INDICES.values():
        found = segregation_change(tables[1], tables[0], codes, len(regions), index=index)
        columns += [found.first, found.second - found.first, *(getattr(found, part) for part in PARTS)]
    return wide(np.stack(columns, axis=1), regions, change_columns())
