"""Exposures as tables: one row per region, one per region and pair of groups, or the published long form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.metrics.exposure import Exposures, Interactions, Mode
from geomob_dask.metrics.quality import Reason

LOW_OVERLAP = 0.75
_LOWEST = 3

LONG_COLUMNS = ("subgroup_type", "subgroup", "value", "value_lb", "value_ub", "value_quality")

_BY_GROUP = {
    "exposure": "value",
    "exposure_se": "se",
    "exposure_lb": "lower",
    "exposure_ub": "upper",
    "exposure_quality": "quality",
    "isolation": "isolation",
    "count": "count",
    "count_se": "count_se",
    "count_cv": "count_cv",
}


def exposure_table(found: Exposures, names: pd.Series, groups: Sequence[str], mode: Mode | str) -> pd.DataFrame:
    """Return one row per region.

    Parameters
    ----------
    found : Exposures
    names : Series
        Index: codes of the regions, in order; values: their names, empty where they are not known.
    groups : sequence of str
    mode : Mode
        How shares of tracts entered.

    Returns
    -------
    DataFrame
        Index ``region``; ``region_name``, ``mode``, ``tracts``, ``people_count``, ``overlap`` (Σ afact·afact2); and for
        each group ``_exposure``, ``_exposure_se``, ``_exposure_lb``, ``_exposure_ub``, ``_exposure_quality``,
        ``_exposure_reason`` (text, empty where nothing is missing), ``_isolation``, ``_count``, ``_count_se``,
        ``_count_cv``.
    """
    columns: dict[str, Any] = {
        "region_name": names.to_numpy(),
        "mode": str(mode),
        "tracts": found.tracts.astype(np.int64),
        "people_count": found.people,
        "overlap": found.overlap,
    }
    texts = ["region_name", "mode"]
    for place, group in enumerate(groups):
        for name, attribute in _BY_GROUP.items():
            columns[f"{group}_{name}"] = getattr(found, attribute)[:, place]
        reason = f"{group}_exposure_reason"
        columns[reason] = [Reason(code).words for code in found.reason[:, place]]
        texts.append(reason)
    index = pd.Index(names.index, dtype="str", name="region")
    return pd.DataFrame(columns, index=index).astype(dict.fromkeys(texts, "str"))


def interaction_table(found: Interactions, regions: Sequence[str], groups: Sequence[str]) -> pd.DataFrame:
    """Return one row per region and ordered pair: the share of ``other`` around the average person of ``group``."""
    n_groups = len(groups)
    index = pd.Index(np.repeat(np.asarray(regions, dtype=object), n_groups**2), dtype="str", name="region")
    columns = {
        "group": np.tile(np.repeat(np.asarray(groups, dtype=object), n_groups), len(regions)),
        "other": np.tile(np.asarray(groups, dtype=object), len(regions) * n_groups),
        "interaction": found.value.ravel(),
        "interaction_se": found.se.ravel(),
        "interaction_lb": found.lower.ravel(),
        "interaction_ub": found.upper.ravel(),
        "reason": [Reason(code).words for code in found.reason.ravel().tolist()],
    }
    return pd.DataFrame(columns, index=index).astype({"group": "str", "other": "str", "reason": "str"})


def exposure_summary(found: Exposures, regions: pd.Index, groups: Sequence[str]) -> dict[str, Any]:
    """Return the summary of the exposures of each group, as plain data.

    Returns
    -------
    mapping of group to mapping
        ``known``: regions with a value. ``quartiles``: of the values, None where there is none. ``quality``: regions of
        quality 1, 2 and 3. ``reasons``: why values are missing, in how many regions, and the first of them.
    """
    by_group = {}
    for place, group in enumerate(groups):
        value, quality, reason = (column[:, place] for column in (found.value, found.quality, found.reason))
        known = value[~np.isnan(value)]
        by_group[group] = {
            "known": len(known),
            "quartiles": np.quantile(known, [0.25, 0.5, 0.75]).tolist() if len(known) else None,
            "quality": [int((quality == grade).sum()) for grade in (1, 2, 3)],
            "reasons": {
                Reason(code).words: [int(count), regions[reason == code][:3].tolist()]
                for code, count in zip(*np.unique(reason[reason > 0], return_counts=True), strict=True)
            },
        }
    return by_group


def overlap_summary(overlap: NDArray[np.float64], regions: pd.Index) -> dict[str, Any] | None:
    """Return the distribution of Σ afact·afact2 over regions, as plain data; None where no region's is known.

    Parameters
    ----------
    overlap : shape (n_regions,)
        NaN where it is not known.
    regions : Index of str
        In the same order.

    Returns
    -------
    mapping
        ``known`` (regions), ``minimum``, ``first_quartile``, ``median``, ``mean``, ``third_quartile``, ``maximum``;
        ``low``: regions below `LOW_OVERLAP`; ``lowest``: the first few of them with their value, from the lowest.

    References
    ----------
    Williams & Pancini (2023), "Race/Ethnicity Exposure - City", step 7.3: of its 486 places none is below 0.75.

    Examples
    --------
    >>> found = overlap_summary(np.array([0.5, 1.0, np.nan]), pd.Index(["a", "b", "c"]))
    >>> found["median"], found["low"], found["lowest"]
    (0.75, 1, [['a', 0.5]])
    """
    known = ~np.isnan(overlap)
    values = overlap[known]
    if not len(values):
        return None
    order = np.argsort(values, kind="stable")
    low = [place for place in order if values[place] < LOW_OVERLAP]
    quantiles = np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0]).tolist()
    named = ("minimum", "first_quartile", "median", "third_quartile", "maximum")
    return {
        "known": len(values),
        **dict(zip(named, quantiles, strict=True)),
        "mean": math.fsum(values.tolist()) / len(values),
        "low": len(low),
        "lowest": [[str(regions[known][place]), float(values[place])] for place in low[:_LOWEST]],
    }


def long_table(
    table: pd.DataFrame, region: str, groups: Mapping[str, str], *, year: int, subgroup_type: str
) -> pd.DataFrame:
    """Return the published long form: one row per region and group.

    Parameters
    ----------
    table : DataFrame, index: regions
        Codes that begin with the state's two digits; columns as those of `exposure_table`.
    region : str
        ``county`` or ``place``: codes are split into ``state`` and the rest, as published.
    groups : mapping of name to label
    year : int
    subgroup_type : str

    Returns
    -------
    DataFrame
        ``year``, ``state``, `region`, ``subgroup_type``, ``subgroup``, ``value``, ``value_lb``, ``value_ub``,
        ``value_quality``; regions in the order of the table, groups in theirs.

    Raises
    ------
    InputError
        If a region is neither a county nor a place.
    """
    width = {"county": 5, "place": 7}.get(region)
    wrong = [code for code in table.index if width is None or len(code) != width]
    if width is None or wrong:
        found_text = wrong[0] if wrong else region
        raise InputError(f"long form by {region}: found {found_text!r}, expected counties of 5 or places of 7 digits")
    codes = pd.Series(np.repeat(table.index.to_numpy(object), len(groups)), dtype="str")

    def values(column: str) -> np.ndarray:
        return np.asarray(table[[f"{group}_{column}" for group in groups]].to_numpy(np.float64).ravel())

    return pd.DataFrame(
        {
            "year": year,
            "state": codes.str[:2],
            region: codes.str[2:],
            "subgroup_type": subgroup_type,
            "subgroup": np.tile(np.asarray(list(groups.values()), dtype=object), len(table)),
            "value": values("exposure"),
            "value_lb": values("exposure_lb"),
            "value_ub": values("exposure_ub"),
            "value_quality": values("exposure_quality"),
        }
    )
