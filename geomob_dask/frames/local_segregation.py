"""Segregation of single tracts: divergence from their region, and location quotients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.frames.keys import has_text_keys, to_text
from geomob_dask.frames.notes import warn_of_overlaps
from geomob_dask.frames.own_rows import empty_of, own_rows, value_of
from geomob_dask.frames.region_totals import Totals, no_totals, totals_of
from geomob_dask.frames.regions import NATION, By, regions_of
from geomob_dask.frames.units import COUNT, EMPTY, People, counts_of, units_of
from geomob_dask.messages import listed
from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.divergence import divergence
from geomob_dask.metrics.location_quotient import location_quotient
from geomob_dask.metrics.quality import Reason
from geomob_dask.sources.brackets import Categories, categories_of


def local(
    measures: Any,
    *,
    groups: str | Sequence[str] | Categories,
    by: By = NATION,
    year: int = 0,
    merge: str | None = None,
    regions: Sequence[str] | None = None,
    missing: str = "refuse",
) -> Any:
    """Return scores of single tracts: how far each lies from its region.

    Parameters
    ----------
    measures, groups, by, year, merge, regions, missing
        See `geomob_dask.segregation`.

    Returns
    -------
    DataFrame, in memory or on Dask as `measures`
        One row per tract and region: ``region``, ``people``, ``local_divergence`` (nats; its mean by people is M of the
        region), ``location_quotient_<group>``, and ``reason``: why values are missing, empty where they are not. A
        tract where nobody lives has none, and no tract of a region without the group has its quotient.

    Raises
    ------
    CountsError
        If a count is missing or negative.
    InputError
        If a region has no tracts.

    Warns
    -----
    UserWarning
        As `geomob_dask.segregation`.

    Examples
    --------
    >>> tracts = pd.DataFrame({"white": [90, 30], "black": [10, 70]})
    >>> local(tracts, groups=["white", "black"])["location_quotient_white"].tolist()
    [1.5, 0.5]
    """
    only = None if regions is None else tuple(regions)
    people = People(categories_of(groups), year, merge, missing, regions=only)
    where = regions_of(measures, by)
    warn_of_overlaps(groups, measures, where, people)
    units = units_of(measures, where, people)
    empty, text, totals = empty_of(units), has_text_keys(measures), totals_of(units, only)
    return own_rows(_scored, units, totals, meta=lambda: _scored(empty, no_totals(empty), text=text), text=text)


def _scored(units: pd.DataFrame, totals: pd.DataFrame, *, text: bool) -> pd.DataFrame:
    merged: Totals = value_of(totals)
    counts, region = counts_of(units), units["region"].to_numpy(object)
    reference = merged.counts[merged.codes(region)]
    quotients = location_quotient(counts, reference)
    groups = [str(name).removeprefix(COUNT) for name in units.columns if str(name).startswith(COUNT)]
    columns = {
        "region": pd.array(region, dtype="str"),
        "people": counts.sum(axis=1),
        "local_divergence": divergence(counts, reference),
        **{f"location_quotient_{group}": quotients[:, place] for place, group in enumerate(groups)},
        "reason": pd.array(_reasons(counts, reference, groups), dtype="str"),
    }
    index = to_text(units.index) if text else units.index
    return pd.DataFrame(columns, index=index.rename("geoid"))


def _reasons(counts: Floats, reference: Floats, groups: Sequence[str]) -> list[str]:
    """Return why values of tracts are missing: nobody lives there, or nobody of a group in their region."""
    texts = np.where(counts.sum(axis=1) > 0, "", EMPTY).astype(object)
    for row in np.flatnonzero((reference == 0).any(axis=1) & (texts == "")).tolist():
        absent = [group for group, people in zip(groups, reference[row], strict=True) if people == 0]
        texts[row] = f"{Reason.ABSENT.words}: {listed(absent, 3)}"
    return list(texts)
