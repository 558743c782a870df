"""Exposures as tables: one row per region, one per region and pair of groups, or the published long form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.metrics.exposure import Exposures, Interactions
from geomob_dask.metrics.quality import Reason
from geomob_dask.sources.region_weights import Kind

LOW_OVERLAP = 0.75
# The titles of the distribution of the overlap, in the order of R's summary, which the source shows.
OVERLAP_STATISTICS = {
    "minimum": "Minimum",
    "first_quartile": "First quartile",
    "median": "Median",
    "mean": "Mean",
    "third_quartile": "Third quartile",
    "maximum": "Maximum",
}
_LOWEST = 3

LONG_COLUMNS = ("subgroup_type", "subgroup", "value", "value_lb", "value_ub", "value_quality")

_BY_GROUP = {
    "exposure": "value",
    "exposure_corrected": "corrected",
    "exposure_se": "se",
    "exposure_lb": "lower",
    "exposure_ub": "upper",
    "exposure_quality": "quality",
    "exposure_accuracy": "accuracy",
    "isolation": "isolation",
    "isolation_corrected": "isolation_corrected",
    "count": "count",
    "count_se": "count_se",
    "count_cv": "count_cv",
}


def exposure_table(
    found: Exposures, names: pd.Series, groups: Sequence[str], weights: Kind = Kind.NOT_RECORDED
) -> pd.DataFrame:
    """Return one row per region.

    Parameters
    ----------
    found : Exposures
    names : Series
        Index: codes of the regions, in order; values: their names, empty where they are not known.
    groups : sequence of str
    weights : Kind
        What shares of tracts are shares of.

    Returns
    -------
    DataFrame
        Index ``region``; ``region_name``, ``mode``, ``tracts``, ``people_count``, ``overlap`` (Σ afact·afact2),
        ``bounds_of`` (``exposure_corrected`` or, in the published modes, ``exposure``: the value that errors and bounds
        belong to), ``weights`` (see `Kind`), ``people_shared`` (share of the region's people who live in tracts that
        lie in it only in part); and for each group ``_exposure``, ``_exposure_corrected``, ``_exposure_se``,
        ``_exposure_lb``, ``_exposure_ub``, ``_exposure_quality`` (of the count), ``_exposure_accuracy`` (of the
        exposure), ``_exposure_reason`` (text, empty where nothing is missing), ``_isolation``,
        ``_isolation_corrected``, ``_count``, ``_count_se``, ``_count_cv``.
    """
    columns: dict[str, Any] = {
        "region_name": names.to_numpy(),
        "mode": str(found.mode),
        "tracts": found.tracts.astype(np.int64),
        "people_count": found.people,
        "overlap": found.overlap,
        "bounds_of": "exposure_corrected" if found.mode.corrects_noise else "exposure",
        "weights": str(weights),
        "people_shared": found.shared,
    }
    texts = ["region_name", "mode", "bounds_of", "weights"]
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
        "interaction_corrected": found.corrected.ravel(),
        "interaction_se": found.se.ravel(),
        "interaction_lb": found.lower.ravel(),
        "interaction_ub": found.upper.ravel(),
        "reason": [Reason(code).words for code in found.reason.ravel().tolist()],
    }
    return pd.DataFrame(columns, index=index).astype({"group": "str", "other": "str", "reason": "str"})


def points(table: pd.DataFrame, group: str) -> pd.Series:
    """Return the exposures of a group around which the bounds of an `exposure_table` lie.

    Returns
    -------
    Series
        Where a margin of error is missing nothing can be corrected, and the exposure is that of the counts.
    """
    exposure = table[f"{group}_exposure"]
    corrected = table["bounds_of"] == "exposure_corrected"
    return table[f"{group}_exposure_corrected"].where(corrected).fillna(exposure)


def exposure_summary(found: Exposures, regions: pd.Index, groups: Sequence[str]) -> dict[str, Any]:
    """Return the summary of the exposures of each group, as plain data.

    Returns
    -------
    mapping of group to mapping
        ``known``: regions with a value. ``quartiles``: of the values that bounds belong to (of others where a margin is
        missing), None where there is none. ``correction``: the median of corrected minus uncorrected values, and the
        one farthest from zero, None where nothing is corrected. ``quality``, ``accuracy``: regions of grade 1, 2 and 3.
        ``reasons``: why values are missing, in how many regions, and the first of them.
    """
    by_group = {}
    for place, group in enumerate(groups):
        value, reason = found.value[:, place], found.reason[:, place]
        point = np.where(np.isnan(found.point[:, place]), value, found.point[:, place])
        known = point[~np.isnan(point)]
        by_group[group] = {
            "known": len(known),
            "quartiles": np.quantile(known, [0.25, 0.5, 0.75]).tolist() if len(known) else None,
            "correction": _correction(found.corrected[:, place] - value),
            "quality": _grades(found.quality[:, place]),
            "accuracy": _grades(found.accuracy[:, place]),
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


def _correction(differences: np.ndarray) -> list[float] | None:
    known = differences[~np.isnan(differences)]
    return [float(np.median(known)), float(known[np.argmax(np.abs(known))])] if len(known) else None


def _grades(column: np.ndarray) -> list[int]:
    return [int((column == grade).sum()) for grade in (1, 2, 3)]


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
        ``year``, ``state``, `region`, ``subgroup_type``, ``subgroup``, ``value`` (see `points`), ``value_lb``,
        ``value_ub``, ``value_quality``; regions in the order of the table, groups in theirs.

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

    of_groups = pd.concat([points(table, group) for group in groups], axis=1)

    return pd.DataFrame(
        {
            "year": year,
            "state": codes.str[:2],
            region: codes.str[2:],
            "subgroup_type": subgroup_type,
            "subgroup": np.tile(np.asarray(list(groups.values()), dtype=object), len(table)),
            "value": of_groups.to_numpy(np.float64).ravel(),
            "value_lb": values("exposure_lb"),
            "value_ub": values("exposure_ub"),
            "value_quality": values("exposure_quality"),
        }
    )
