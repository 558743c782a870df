"""Why values of regions are missing, as text beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.frames.region_change import PARTS, change_columns
from geomob_dask.frames.region_draws import INTERVIEWED, SAMPLED
from geomob_dask.frames.units import EMPTY
from geomob_dask.messages import listed
from geomob_dask.metrics.quality import Reason
from geomob_dask.metrics.segregation_catalog import INDICES

NO_POLYGON = "a tract with people has no polygon"
NO_MARGIN = "no tract has a margin of error"
NOBODY_DRAWN = "some draws hold nobody of a group"
_SUFFIXES = ("p", "null", "excess", "corrected", "corrected_lower", "corrected_upper")
_OF_DRAWS = ("p", "null", "excess", "corrected", "lower", "upper", "bias")
_NOT_BEFORE = "the index of the earlier year is not defined"
_NOT_FITTED = "change: no tract and group is in both years, or margins cannot be reached by fitting"
_NAMED = 3

Flags = NDArray[np.bool_]


def reasons(
    table: pd.DataFrame, columns: Mapping[str, Sequence[str]], groups: Sequence[str], lacking: pd.Series | None = None
) -> pd.Series:
    """Return why values of each region are missing; empty where all are there.

    Parameters
    ----------
    table : DataFrame, index ``region``
        ``people``, ``count_<group>`` and values.
    columns : mapping of str to sequence of str
        Columns of each index, one per region, group or pair of groups.
    groups : sequence of str
    lacking : Series of bool, index ``region``, optional
        Whether a tract with people has no polygon.
    """
    about = ["region_name", "units", "people", SAMPLED, *(f"count_{group}" for group in groups)]
    missing = table.drop(columns=about, errors="ignore").isna()
    some = missing.any(axis=1).to_numpy()
    texts = pd.Series("", index=table.index, dtype="str", name="reason")
    if not some.any():
        return texts
    rows, missing = table[some], missing[some]
    counts = rows[[f"count_{group}" for group in groups]].to_numpy(np.float64)
    empty = ~(rows["people"].to_numpy(np.float64) > 0)
    without = np.zeros(len(rows), dtype=bool) if lacking is None else lacking.reindex(rows.index).to_numpy(bool)
    absent = (counts == 0) & ~empty[:, None]
    alone = (absent.sum(axis=1) >= len(groups) - 1) & ~empty
    explained = _explained(missing, columns, absent, alone, without, len(groups))
    found = []
    for row, (_, lost) in enumerate(missing.iterrows()):
        names = [str(name) for name in lost.index[lost.to_numpy()]]
        if empty[row]:
            found.append(EMPTY)
            continue
        why = []
        if alone[row]:
            why.append(f"all people are of one group, {groups[int(np.argmax(counts[row]))]}")
        elif explained["absent"][row].any():
            gone = [groups[place] for place in np.flatnonzero(absent[row]).tolist()]
            why.append(f"{Reason.ABSENT.words}: {listed(gone, _NAMED)}")
        if explained["polygon"][row].any():
            why.append(NO_POLYGON)
        why += _of_change(names)
        told = {*missing.columns[explained["any"][row]], *change_columns()}
        if INTERVIEWED in names:
            why.append(NO_MARGIN)
            told |= {INTERVIEWED, *(name for name in names if name.rsplit("_", 1)[-1] in _OF_DRAWS)}
        drawn = {
            name: index for name in names if name not in told and (index := _index_of(name, missing.columns, names))
        }
        if drawn:
            why.append(f"{NOBODY_DRAWN}: {listed(list(dict.fromkeys(drawn.values())), _NAMED)}")
        rest = [name for name in names if name not in told and name not in drawn]
        if rest:
            why.append(f"not defined: {listed(rest, _NAMED)}")
        found.append("; ".join(why))
    texts[some] = found
    return texts


def _index_of(name: str, columns: Sequence[str], missing: Sequence[str]) -> str:
    """Return the column of an index that is there where a statistic of its draws is missing; empty for others."""
    bases = (name.removesuffix(f"_{suffix}") for suffix in _SUFFIXES if name.endswith(f"_{suffix}"))
    return next((base for base in bases if base in columns and base not in missing), "")


def _explained(
    missing: pd.DataFrame,
    columns: Mapping[str, Sequence[str]],
    absent: Flags,
    alone: Flags,
    without: Flags,
    n_groups: int,
) -> dict[str, Flags]:
    """Return which missing values an absent group, a group alone or an absent polygon explains, by row and column."""
    by_group, by_polygon = (np.zeros(missing.shape, dtype=bool) for _ in range(2))
    at = {name: place for place, name in enumerate(missing.columns)}
    for index, names in columns.items():
        known = INDICES[index]
        for number, name in enumerate(names):
            of_groups = {"group": [number], "pair": list(divmod(number, n_groups))}.get(known.shape, [])
            for column, place in at.items():
                if column == name or (column.startswith(f"{name}_") and column not in names):
                    gone = missing[column].to_numpy()
                    by_group[:, place] |= gone & (absent[:, of_groups].any(axis=1) | alone)
                    if "polygons" in known.strategy.inputs:
                        by_polygon[:, place] |= gone & without
    return {"absent": by_group, "polygon": by_polygon, "any": by_group | by_polygon}


def _of_change(names: Sequence[str]) -> list[str]:
    if any(name.endswith("_before") for name in names):
        return [_NOT_BEFORE]
    return [_NOT_FITTED] if any(name.endswith(f"_change_{part}") for name in names for part in PARTS) else []
