"""Exposure between groups in many regions at once, with the standard error of each value.

Exposure of a group is the share of everybody else around its average member; isolation is one minus the exposure, the
share of its own; interaction is the share of one other group. All are contacts, whose terms `exposure_terms` defines.

A value is computed in three steps, so that tracts may lie in any number of partitions: `exposure_terms` gives each row
its terms, any function adds them by region (`exact_sums.region_sums` in any order to the same bits), and
`exposure_from_sums` makes values, errors and flags from the sums alone.

References
----------
Williams & Pancini (2023), "Race/Ethnicity Exposure - City", steps 3 to 7. The correction for noise in the counts and
the standard error are expansions with independent errors of the groups' counts (see `contact`); the source gives none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.metrics.contact import contacts
from geomob_dask.metrics.exposure_terms import (
    CONTACT_TERMS,
    GROUP_TERMS,
    REGION_TERMS,
    Mode,
    exposure_terms,
    interaction_terms,
    per,
)
from geomob_dask.metrics.quality import (
    SUPPRESSION_THRESHOLD,
    accuracy_grade,
    is_missing,
    missing_reason,
    quality_flag,
)
from geomob_dask.transforms.exact_sums import region_sums
from geomob_dask.transforms.margins_of_error import coefficient_of_variation, margin_of_error

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Summing = Callable[[Floats, Integers, int], Floats]


@dataclass(frozen=True)
class Exposures:
    """Exposure of each group in each region, with errors, quality and reasons.

    Attributes
    ----------
    tracts : shape (n_regions,)
        Populated tracts of the region, whole or in part.
    people : shape (n_regions,)
        All its people, interpolated.
    shared : shape (n_regions,)
        Share of its people who live in tracts that lie in it only in part; NaN where it has nobody.
    overlap : shape (n_regions,)
        Σ afact·afact2: near 1 where the region's data come from tracts of its own; NaN where afact2 was not given.
    count, count_se, count_cv : shape (n_regions, n_groups)
        People of the group; NaN where a tract's count (or, for the error, its margin) is missing.
    value : shape (n_regions, n_groups)
        Exposure in [0, 1], of the counts as they are. NaN where the group is absent, suppressed or has a tract without
        a count.
    corrected : shape (n_regions, n_groups)
        Exposure without the bias that noise in the counts gives it (see `contact`); NaN also where a margin is missing.
    se, lower, upper : shape (n_regions, n_groups)
        Standard error and 90 per cent bounds, held within [0, 1], of `corrected`; in the published modes those of
        `value`, to first order. NaN where `corrected` is.
    isolation, isolation_corrected : shape (n_regions, n_groups)
        1 − exposure, computed by itself; its standard error is that of the exposure.
    shares : shape (n_regions, n_groups)
        Sum over tracts of the shares of the group: the people whose tracts entered the exposure (met and unmet, added
        up) per person of `count`, which is added up by itself. 1 but for rounding, NaN where the group is absent.
    quality : shape (n_regions, n_groups)
        Of the region's count of the group, by its coefficient of variation: 1, 2 or 3; NaN where the value or the
        count's error is missing.
    accuracy : shape (n_regions, n_groups)
        Of the exposure, see `quality.accuracy_grade`: 1, 2 or 3; NaN where `corrected` is.
    reason : shape (n_regions, n_groups), uint8
        Values of `quality.Reason`.
    """

    tracts: Floats
    people: Floats
    shared: Floats
    overlap: Floats
    count: Floats
    count_se: Floats
    count_cv: Floats
    value: Floats
    corrected: Floats
    se: Floats
    lower: Floats
    upper: Floats
    isolation: Floats
    isolation_corrected: Floats
    shares: Floats
    quality: Floats
    accuracy: Floats
    reason: NDArray[np.uint8]
    mode: Mode

    @property
    def point(self) -> Floats:
        """Return the values around which the bounds lie."""
        return self.corrected if self.mode.corrects_noise else self.value


@dataclass(frozen=True)
class Interactions:
    """Share of group h around the average person of group g, for every ordered pair.

    Attributes
    ----------
    value, corrected, se, lower, upper : shape (n_regions, n_groups, n_groups)
        [r, g, h], as in `Exposures`; the diagonal is the isolation of g. Missing where the exposure of g is.
    reason : shape (n_regions, n_groups, n_groups), uint8
        Values of `quality.Reason`.
    """

    value: Floats
    corrected: Floats
    se: Floats
    lower: Floats
    upper: Floats
    reason: NDArray[np.uint8]


def exposure_by_region(
    counts: Floats,
    moes: Floats,
    total: Floats,
    region: Integers,
    n_regions: int,
    *,
    share: Floats | None = None,
    overlap: Floats | None = None,
    mode: Mode | str = Mode.CORRECTED,
    remainder: int | None = None,
    threshold: float = SUPPRESSION_THRESHOLD,
    add: Summing = region_sums,
) -> Exposures:
    """Return the exposure of each group to all others, in each region.

    Parameters
    ----------
    counts, moes : shape (n_rows, n_groups), persons
        Estimates and 90 per cent margins of groups that do not overlap and together are the tract's people. One row for
        each tract, or for each part of a tract that lies in a region. NaN: not known.
    total : shape (n_rows,), persons
        All people of the tract. A tract without people weighs nothing in an exposure, but its margins are part of
        the errors of counts.
    region : shape (n_rows,)
        Region of each row, in [0, n_regions).
    n_regions : int
        Number of regions.
    share, overlap : shape (n_rows,), optional
        ``afact``, share of the tract's people in the region (1 by default); ``afact2``, share of the region's
        people in the tract.
    mode : Mode
        How shares enter, and whether bounds are those of the corrected value.
    remainder : int, optional
        The group that has no margin of its own but that of a difference, being what the others leave of the total: it
        enters corrected exposures with the noise of a group that was sampled as the others.
    threshold : float
        A group of this many people or fewer is suppressed.
    add : function (values, region, n_regions) -> sums by region
        Exact sums by default, the same in any order of the rows.

    Raises
    ------
    CountsError
        If a count or margin is negative, or a group exceeds its tract's people.
    InputError
        If a share lies outside [0, 1].

    Examples
    --------
    80 % of the group live where 10 % are others, 20 % where 50 % are (the source's worked example):

    >>> counts = np.array([[720.0, 80.0], [180.0, 180.0]])
    >>> found = exposure_by_region(counts, np.zeros((2, 2)), counts.sum(axis=1), np.array([0, 0]), 1)
    >>> float(found.value[0, 0])
    0.18
    """
    terms = exposure_terms(counts, moes, total, share=share, overlap=overlap, mode=mode, remainder=remainder)
    return exposure_from_sums(add(terms, region, n_regions), counts.shape[1], mode=mode, threshold=threshold)


def interactions_by_region(
    counts: Floats,
    moes: Floats,
    total: Floats,
    region: Integers,
    n_regions: int,
    *,
    share: Floats | None = None,
    mode: Mode | str = Mode.CORRECTED,
    remainder: int | None = None,
    threshold: float = SUPPRESSION_THRESHOLD,
    add: Summing = region_sums,
) -> Interactions:
    """Return the share of each group around the average person of each group, in each region.

    Parameters and errors are those of `exposure_by_region`.

    Examples
    --------
    >>> counts = np.array([[720.0, 80.0], [180.0, 180.0]])
    >>> interactions_by_region(counts, np.zeros((2, 2)), counts.sum(axis=1), np.array([0, 0]), 1).value[0].round(3)
    array([[0.82 , 0.18 ],
           [0.623, 0.377]])
    """
    terms = interaction_terms(counts, moes, total, share=share, mode=mode, remainder=remainder)
    return interactions_from_sums(add(terms, region, n_regions), counts.shape[1], mode=mode, threshold=threshold)


def plain_sums(values: Floats, region: Integers, n_regions: int) -> Floats:
    """Return sums by region of floating-point numbers as they come: faster, their last bits depend on the order.

    For `add` where all rows are in one array and nothing has to be repeated elsewhere to the same bits.
    """
    return np.array([np.bincount(region, weights=column, minlength=n_regions) for column in values.T]).T


def exposure_from_sums(
    sums: Floats,
    n_groups: int,
    *,
    mode: Mode | str = Mode.CORRECTED,
    threshold: float = SUPPRESSION_THRESHOLD,
    spread_evenly: bool = False,
) -> Exposures:
    """Return the exposures of regions from the sums of their rows' `exposure_terms`.

    Parameters
    ----------
    sums : shape (n_regions, 4 + 15·n_groups)
    n_groups : int
    mode : Mode
        That of the terms.
    threshold : float
        A group of this many people or fewer is suppressed.
    spread_evenly : bool
        Whether shares of tracts are shares of area, or may be, so that exposures by them are less accurate.

    Raises
    ------
    InputError
        If the sums are not those of this many groups.
    """
    n_group_terms = len(GROUP_TERMS) * n_groups
    _expect_columns(sums, len(REGION_TERMS) + n_group_terms + len(CONTACT_TERMS) * n_groups)
    region, group, contact = np.split(sums, [len(REGION_TERMS), len(REGION_TERMS) + n_group_terms], axis=1)
    tracts, people, overlap, people_shared = region.T
    shared = per(people_shared, people, np.nan)
    groups = dict(zip(GROUP_TERMS, np.moveaxis(group.reshape(-1, n_groups, len(GROUP_TERMS)), 2, 0), strict=True))
    found = contacts(contact.reshape(-1, n_groups, len(CONTACT_TERMS)))
    mode = Mode.of(mode)
    count = np.where(groups["missing_counts"] > 0, np.nan, groups["count"])
    unknown = (groups["missing_counts"] > 0) | (groups["missing_moes"] > 0)
    count_se = np.where(unknown, np.nan, np.sqrt(groups["count_variance"]))
    reason = missing_reason(count, groups["missing_counts"], found.missing_moes, threshold)
    missing = is_missing(reason)
    value, corrected, se, isolation, isolation_corrected = (
        np.where(missing, np.nan, column)
        for column in (
            found.value,
            found.corrected,
            found.se if mode.corrects_noise else found.first_order,
            found.complement,
            found.corrected_complement,
        )
    )
    cv = coefficient_of_variation(count, count_se)
    lower, upper = _bounds(corrected if mode.corrects_noise else value, se)
    return Exposures(
        tracts=tracts,
        people=people,
        shared=shared,
        overlap=np.where(overlap > 0, overlap, np.nan),
        count=count,
        count_se=count_se,
        count_cv=cv,
        value=value,
        corrected=corrected,
        se=se,
        lower=lower,
        upper=upper,
        isolation=isolation,
        isolation_corrected=isolation_corrected,
        shares=per(found.met + found.unmet, groups["count"], np.nan),
        quality=quality_flag(cv, value),
        accuracy=accuracy_grade(se, corrected - value, (spread_evenly * shared)[:, None]),
        reason=reason,
        mode=mode,
    )


def interactions_from_sums(
    sums: Floats, n_groups: int, *, mode: Mode | str = Mode.CORRECTED, threshold: float = SUPPRESSION_THRESHOLD
) -> Interactions:
    """Return the interactions of regions from the sums of their rows' `interaction_terms`.

    Parameters and errors are those of `exposure_from_sums`, with shape (n_regions, 4·n_groups + 11·n_groups²).
    """
    n_group_terms = len(GROUP_TERMS) * n_groups
    _expect_columns(sums, n_group_terms + len(CONTACT_TERMS) * n_groups**2)
    group, contact = np.split(sums, [n_group_terms], axis=1)
    count, _, missing_counts, _ = np.moveaxis(group.reshape(-1, n_groups, len(GROUP_TERMS)), 2, 0)
    found = contacts(contact.reshape(-1, n_groups, n_groups, len(CONTACT_TERMS)))
    shape = found.value.shape
    any_missing = np.broadcast_to(missing_counts.sum(axis=1)[:, None, None], shape)
    reason = missing_reason(np.broadcast_to(count[:, :, None], shape), any_missing, found.missing_moes, threshold)
    itself, mode = np.eye(n_groups, dtype=bool), Mode.of(mode)
    value, corrected, se = (
        np.where(is_missing(reason), np.nan, column)
        for column in (
            np.where(itself, found.complement, found.value),
            np.where(itself, found.corrected_complement, found.corrected),
            found.se if mode.corrects_noise else found.first_order,
        )
    )
    lower, upper = _bounds(corrected if mode.corrects_noise else value, se)
    return Interactions(value, corrected, se, lower, upper, reason)


def _bounds(point: Floats, se: Floats) -> tuple[Floats, Floats]:
    margin = margin_of_error(se)
    return np.maximum(point - margin, 0.0), np.minimum(point + margin, 1.0)


def _expect_columns(sums: Floats, expected: int) -> None:
    if sums.ndim != 2 or sums.shape[1] != expected:
        raise InputError(f"found sums of shape {sums.shape}, expected (regions, {expected})")
