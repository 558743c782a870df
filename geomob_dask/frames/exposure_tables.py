"""Exposures as tables: one row a region, or the published long form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.metrics.exposure import Exposures
from geomob_dask.metrics.quality import Reason

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


def exposure_table(found: Exposures, region: str, regions: Sequence[str], groups: Sequence[str]) -> pd.DataFrame:
    """Return one row a region.

    Parameters
    ----------
    found : Exposures
    region : str
        Name of the column of regions, such as ``county``.
    regions, groups : sequence of str
        Their names, in order.

    Returns
    -------
    DataFrame
        `region`; ``tracts``, ``people_count``, ``overlap`` (Σ afact·afact2); and for each group ``_exposure``,
        ``_exposure_se``, ``_exposure_lb``, ``_exposure_ub``, ``_exposure_quality``, ``_exposure_reason`` (text, empty
        where nothing is missing), ``_isolation``, ``_count``, ``_count_se``, ``_count_cv``.
    """
    columns: dict[str, object] = {
        region: np.asarray(regions, dtype=object),
        "tracts": found.tracts.astype(np.int64),
        "people_count": found.people,
        "overlap": found.overlap,
    }
    for place, group in enumerate(groups):
        for name, attribute in _BY_GROUP.items():
            columns[f"{group}_{name}"] = getattr(found, attribute)[:, place]
        columns[f"{group}_exposure_reason"] = [Reason(reason).words for reason in found.reason[:, place]]
    return pd.DataFrame(columns).astype({region: "str"})


def long_table(
    table: pd.DataFrame, region: str, groups: Mapping[str, str], *, year: int, subgroup_type: str
) -> pd.DataFrame:
    """Return the published long form: one row a region and group.

    Parameters
    ----------
    table : DataFrame, index: regions
        Codes that begin with the state's two digits; columns as those of `exposure_table`.
    region : str
        ``county`` or ``place``: codes are split into ``state`` and the rest, as published.
    groups : mapping of name to label
        What the groups are called.
    year : int
    subgroup_type : str

    Returns
    -------
    DataFrame
        ``year``, ``state``, `region`, ``subgroup_type``, ``subgroup``, ``value``, ``value_lb``, ``value_ub``,
        ``value_quality``; sorted as the regions are, groups in their order.

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
