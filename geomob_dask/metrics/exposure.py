"""Exposure between groups in many regions at once, with the standard error of each value.

Exposure of a group is the share of everybody else around its average member; isolation is one minus the exposure, the
share of its own; interaction is the share of one other group. All are a *contact* of a group g with a set of people Z:

    C = Σ_i (a_i x_i / Σ a x) · z_i / t_i

over the tracts i of a region, with x_i the tract's people of g, z_i those of Z, t_i all, and a_i the share of the
tract's people that live in the region (1 where tracts nest).

A value is computed in three steps, so that tracts may lie in any number of partitions: `exposure_terms` gives each row
its terms, any function adds them by region (`exact_sums.region_sums` in any order to the same bits), and
`exposure_from_sums` makes values, errors and flags from the sums alone.

References
----------
Williams & Pancini (2023), "Race/Ethnicity Exposure - City", steps 3 to 7. The standard error of the exposure is the
first-order (delta) approximation with independent errors of the groups' counts; the source does not give one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import CountsError, InputError, SettingsError
from geomob_dask.metrics.quality import (
    SUPPRESSION_THRESHOLD,
    is_missing,
    missing_reason,
    quality_flag,
)
from geomob_dask.transforms.exact_sums import region_sums
from geomob_dask.transforms.margins_of_error import coefficient_of_variation, margin_of_error, standard_error

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Summing = Callable[[Floats, Integers, int], Floats]

# Terms of a region, of each group in it, and of each contact; the order is that of the columns of `exposure_terms`.
_REGION_TERMS = ("tracts", "people", "overlap")
_GROUP_TERMS = ("count", "count_variance", "missing_counts", "missing_moes")
_CONTACT_TERMS = ("met", "unmet", "u", "u_r", "u_r2", "u_q", "u_q2", "others", "missing_moes")


class Mode(StrEnum):
    """How tracts that lie partly in a region are counted.

    ``published-2023``: whole, in every region they touch, as the source's code does. ``published``: by their share,
    with the variance Σ a·MOE² of the later publications. ``corrected``: by their share, with Σ (a·MOE)².
    Where tracts nest (a = 1) all three are the same.
    """

    PUBLISHED_2023 = "published-2023"
    PUBLISHED = "published"
    CORRECTED = "corrected"

    @classmethod
    def of(cls, name: Mode | str) -> Mode:
        """Return the mode of this name.

        Raises
        ------
        SettingsError
            If there is none.
        """
        if name not in list(cls):
            raise SettingsError(f"mode {name!r}: expected one of {', '.join(cls)}")
        return cls(name)


@dataclass(frozen=True)
class Exposures:
    """Exposure of each group in each region, with errors, quality and reasons.

    Attributes
    ----------
    tracts : shape (n_regions,)
        Populated tracts of the region, whole or in part.
    people : shape (n_regions,)
        All its people, interpolated.
    overlap : shape (n_regions,)
        Σ afact·afact2: near 1 where the region's data come from tracts of its own; NaN where afact2 was not given.
    count, count_se, count_cv : shape (n_regions, n_groups)
        People of the group; NaN where a tract's count (or, for the error, its margin) is missing.
    value, se, lower, upper : shape (n_regions, n_groups)
        Exposure in [0, 1], its standard error and its 90 per cent bounds, held within [0, 1]. The value is NaN where
        the group is absent, suppressed or has a tract without a count; the error also where a margin is missing.
    isolation : shape (n_regions, n_groups)
        1 − exposure, computed by itself; its standard error is that of the exposure.
    shares : shape (n_regions, n_groups)
        Sum over tracts of the shares of the group: the people whose tracts entered the exposure (met and unmet, added
        up) per person of `count`, which is added up by itself. 1 but for rounding, NaN where the group is absent.
    quality : shape (n_regions, n_groups)
        1, 2 or 3; NaN where the value or the count's error is missing.
    reason : shape (n_regions, n_groups), uint8
        Values of `quality.Reason`.
    """

    tracts: Floats
    people: Floats
    overlap: Floats
    count: Floats
    count_se: Floats
    count_cv: Floats
    value: Floats
    se: Floats
    lower: Floats
    upper: Floats
    isolation: Floats
    shares: Floats
    quality: Floats
    reason: NDArray[np.uint8]


@dataclass(frozen=True)
class Interactions:
    """Share of group h around the average person of group g, for every ordered pair.

    Attributes
    ----------
    value, se, lower, upper : shape (n_regions, n_groups, n_groups)
        [r, g, h]; the diagonal is the isolation of g. Missing where the exposure of g is.
    reason : shape (n_regions, n_groups, n_groups), uint8
        Values of `quality.Reason`.
    """

    value: Floats
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
        How shares enter.
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
    terms = exposure_terms(counts, moes, total, share=share, overlap=overlap, mode=mode)
    return exposure_from_sums(add(terms, region, n_regions), counts.shape[1], threshold=threshold)


def interactions_by_region(
    counts: Floats,
    moes: Floats,
    total: Floats,
    region: Integers,
    n_regions: int,
    *,
    share: Floats | None = None,
    mode: Mode | str = Mode.CORRECTED,
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
    terms = interaction_terms(counts, moes, total, share=share, mode=mode)
    return interactions_from_sums(add(terms, region, n_regions), counts.shape[1], threshold=threshold)


def plain_sums(values: Floats, region: Integers, n_regions: int) -> Floats:
    """Return sums by region of floating-point numbers as they come: faster, their last bits depend on the order.

    For `add` where all rows are in one array and nothing has to be repeated elsewhere to the same bits.
    """
    return np.array([np.bincount(region, weights=column, minlength=n_regions) for column in values.T]).T


def exposure_terms(
    counts: Floats,
    moes: Floats,
    total: Floats,
    *,
    share: Floats | None = None,
    overlap: Floats | None = None,
    mode: Mode | str = Mode.CORRECTED,
) -> Floats:
    """Return the terms of each row in the sums of its region.

    Parameters are those of `exposure_by_region`. Rows are computed one by one: their terms do not depend on which rows
    they are with.

    Returns
    -------
    shape (n_rows, 3 + 13·n_groups)
        Finite. Sums of these columns over rows merge by addition.
    """
    rows = _Rows.of(counts, moes, total, share, mode)
    # Nothing is added where afact2 is not known: a sum of zero says so, for with it no region's sum is zero.
    overlaps = np.zeros(len(rows.total)) if overlap is None else _within_one(overlap, "afact2")
    columns = [rows.populated, rows.weight * rows.total, rows.populated * rows.share * overlaps]
    columns += rows.group_terms()
    for group in range(rows.n_groups):
        columns += rows.exposure_contact(group)
    return np.array(columns).T


def interaction_terms(
    counts: Floats,
    moes: Floats,
    total: Floats,
    *,
    share: Floats | None = None,
    mode: Mode | str = Mode.CORRECTED,
) -> Floats:
    """Return the terms of each row in the sums of its region, for every ordered pair of groups.

    Parameters are those of `exposure_by_region`.

    Returns
    -------
    shape (n_rows, 4·n_groups + 9·n_groups²)
    """
    rows = _Rows.of(counts, moes, total, share, mode)
    columns = rows.group_terms()
    for group in range(rows.n_groups):
        for met in range(rows.n_groups):
            # Isolation is what the contact with all others leaves to one.
            columns += rows.exposure_contact(group) if met == group else rows.interaction_contact(group, met)
    return np.array(columns).T


def exposure_from_sums(sums: Floats, n_groups: int, *, threshold: float = SUPPRESSION_THRESHOLD) -> Exposures:
    """Return the exposures of regions from the sums of their rows' `exposure_terms`.

    Parameters
    ----------
    sums : shape (n_regions, 3 + 13·n_groups)
    n_groups : int
    threshold : float
        A group of this many people or fewer is suppressed.

    Raises
    ------
    InputError
        If the sums are not those of this many groups.
    """
    n_group_terms = len(_GROUP_TERMS) * n_groups
    _expect_columns(sums, len(_REGION_TERMS) + n_group_terms + len(_CONTACT_TERMS) * n_groups)
    region, group, contact = np.split(sums, [len(_REGION_TERMS), len(_REGION_TERMS) + n_group_terms], axis=1)
    tracts, people, overlap = region.T
    groups = dict(zip(_GROUP_TERMS, np.moveaxis(group.reshape(-1, n_groups, len(_GROUP_TERMS)), 2, 0), strict=True))
    by_group = contact.reshape(-1, n_groups, len(_CONTACT_TERMS))
    people_met, people_unmet = by_group[..., 0], by_group[..., 1]
    met, unmet, se, missing_moes = _contacts(by_group)
    count = np.where(groups["missing_counts"] > 0, np.nan, groups["count"])
    unknown = (groups["missing_counts"] > 0) | (groups["missing_moes"] > 0)
    count_se = np.where(unknown, np.nan, np.sqrt(groups["count_variance"]))
    reason = missing_reason(count, groups["missing_counts"], missing_moes, threshold)
    value, se = _withheld(met, se, reason)
    cv = coefficient_of_variation(count, count_se)
    lower, upper = _bounds(value, se)
    return Exposures(
        tracts=tracts,
        people=people,
        overlap=np.where(overlap > 0, overlap, np.nan),
        count=count,
        count_se=count_se,
        count_cv=cv,
        value=value,
        se=se,
        lower=lower,
        upper=upper,
        isolation=np.where(is_missing(reason), np.nan, unmet),
        shares=_per(people_met + people_unmet, groups["count"], np.nan),
        quality=quality_flag(cv, value),
        reason=reason,
    )


def interactions_from_sums(sums: Floats, n_groups: int, *, threshold: float = SUPPRESSION_THRESHOLD) -> Interactions:
    """Return the interactions of regions from the sums of their rows' `interaction_terms`.

    Parameters and errors are those of `exposure_from_sums`, with shape (n_regions, 4·n_groups + 9·n_groups²).
    """
    n_group_terms = len(_GROUP_TERMS) * n_groups
    _expect_columns(sums, n_group_terms + len(_CONTACT_TERMS) * n_groups**2)
    group, contact = np.split(sums, [n_group_terms], axis=1)
    count, _, missing_counts, _ = np.moveaxis(group.reshape(-1, n_groups, len(_GROUP_TERMS)), 2, 0)
    met, unmet, se, missing_moes = _contacts(contact.reshape(-1, n_groups, n_groups, len(_CONTACT_TERMS)))
    any_missing = np.broadcast_to(missing_counts.sum(axis=1)[:, None, None], met.shape)
    reason = missing_reason(np.broadcast_to(count[:, :, None], met.shape), any_missing, missing_moes, threshold)
    value, se = _withheld(np.where(np.eye(n_groups, dtype=bool), unmet, met), se, reason)
    lower, upper = _bounds(value, se)
    return Interactions(value, se, lower, upper, reason)


@dataclass(frozen=True)
class _Rows:
    """Rows from which terms are computed: unknown numbers are zero, and counted as missing.

    `weight` is a in the counts, zero for a tract without people as `populated` is; `variance_weight` multiplies the
    variance of a count, where an estimate of zero people has its margin like any other: the published flags of
    counties hold it (Pacific County, WA, has an empty tract of ±12). `proportion` is p = x/t.
    """

    counts: Floats
    total: Floats
    share: Floats
    populated: Floats
    weight: Floats
    variance_weight: Floats
    variance: Floats
    proportion: Floats
    missing_count: NDArray[np.bool_]
    missing_moe: NDArray[np.bool_]

    @classmethod
    def of(cls, counts: Floats, moes: Floats, total: Floats, share: Floats | None, mode: Mode | str) -> _Rows:
        _check_counts(counts, moes, total)
        given = np.ones(len(total)) if share is None else _within_one(share, "afact")
        weight, variance_weight = {
            Mode.PUBLISHED_2023: (np.ones(len(total)), np.ones(len(total))),
            Mode.PUBLISHED: (given, given),
            Mode.CORRECTED: (given, given**2),
        }[Mode.of(mode)]
        populated = np.where(total == 0, 0.0, 1.0)
        missing_count = np.isnan(counts) | np.isnan(total)[:, None]
        known = np.where(missing_count, 0.0, counts)
        people = np.where(np.isnan(total), 0.0, total)
        return cls(
            counts=known,
            total=people,
            share=given,
            populated=populated,
            weight=populated * weight,
            variance_weight=variance_weight,
            variance=np.where(np.isnan(moes), 0.0, standard_error(moes)) ** 2,
            proportion=_per(known, people[:, None]),
            missing_count=missing_count & (populated > 0)[:, None],
            missing_moe=np.isnan(moes) & (populated > 0)[:, None],
        )

    @property
    def n_groups(self) -> int:
        return int(self.counts.shape[1])

    def group_terms(self) -> list[Floats]:
        """Return the columns of `_GROUP_TERMS`, group by group."""
        columns: list[Floats] = []
        for group in range(self.n_groups):
            columns += [
                self.weight * self.counts[:, group],
                self.variance_weight * self.variance[:, group],
                self.missing_count[:, group].astype(np.float64),
                self.missing_moe[:, group].astype(np.float64),
            ]
        return columns

    def exposure_contact(self, group: int) -> list[Floats]:
        """Return the terms of the contact of a group with everybody else."""
        others = [other for other in range(self.n_groups) if other != group]
        return self._contact_terms(group, self.total - self.counts[:, group], members=others, rest=[])

    def interaction_contact(self, group: int, met: int) -> list[Floats]:
        """Return the terms of the contact of one group with another."""
        rest = [other for other in range(self.n_groups) if other not in (group, met)]
        return self._contact_terms(group, self.counts[:, met], members=[met], rest=rest)

    def _contact_terms(self, group: int, people_met: Floats, members: list[int], rest: list[int]) -> list[Floats]:
        """Return the columns of `_CONTACT_TERMS` for a group and a set of others.

        With s = z/t, the contact's derivatives are a/X·(s(1 − p) − C) by x, a/X·p(1 − s) by a group that is met and
        −a/X·ps by one that is not. In the first, C is known only when all rows are added, so the square is expanded
        about C in r = s(1 − p), and once more about 1 − C in q = 1 − r: the one that loses no digits is taken.
        """
        p = self.proportion[:, group]
        s = _per(people_met, self.total)
        not_s = _per(self.total - people_met, self.total)
        r = s * _per(self.total - self.counts[:, group], self.total)
        q = not_s + s * p
        x = self.weight * self.counts[:, group]
        u = self.weight**2 * self.variance[:, group]
        others = (p * not_s) ** 2 * self._variance_of(members) + (p * s) ** 2 * self._variance_of(rest)
        missing = reduce(np.logical_or, (self.missing_moe[:, other] for other in [group, *members, *rest]))
        return [
            x * s,
            x * not_s,
            u,
            u * r,
            u * r**2,
            u * q,
            u * q**2,
            self.weight**2 * others,
            missing.astype(np.float64),
        ]

    def _variance_of(self, groups: list[int]) -> Floats:
        # One after another: the order of additions, hence the last bit, is the same for every row.
        variance = np.zeros(len(self.total))
        for group in groups:
            variance = variance + self.variance[:, group]
        return variance


def _contacts(sums: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return value, complement, standard error and missing margins of contacts, terms along the last axis.

    The shares of the group with which the sums are divided are its own: met and unmet people of each member.
    """
    met, unmet, u, u_r, u_r2, u_q, u_q2, others, missing_moes = np.moveaxis(sums, -1, 0)
    people = met + unmet
    value, complement = _per(met, people, np.nan), _per(unmet, people, np.nan)
    about_value = u_r2 - 2 * value * u_r + value**2 * u
    about_complement = u_q2 - 2 * complement * u_q + complement**2 * u
    own = np.maximum(np.where(value <= complement, about_value, about_complement), 0.0)
    se = _per(np.sqrt(own + others), people, np.nan)
    return value, complement, np.where(missing_moes > 0, np.nan, se), missing_moes


def _withheld(value: Floats, se: Floats, reason: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    missing = is_missing(reason)
    return np.where(missing, np.nan, value), np.where(missing, np.nan, se)


def _bounds(value: Floats, se: Floats) -> tuple[Floats, Floats]:
    margin = margin_of_error(se)
    return np.maximum(value - margin, 0.0), np.minimum(value + margin, 1.0)


def _per(numerator: Floats, denominator: Floats, where_empty: float = 0.0) -> Floats:
    top, bottom = np.broadcast_arrays(numerator, denominator)
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, where_empty), where=bottom > 0))


def _check_counts(counts: Floats, moes: Floats, total: Floats) -> None:
    if counts.ndim != 2 or counts.shape != moes.shape or total.shape != counts.shape[:1]:
        raise InputError(
            f"found counts of shape {counts.shape}, margins of {moes.shape} and totals of {total.shape}; "
            "expected (rows, groups), the same, and (rows,)"
        )
    wrong = (counts < 0) | (counts > total[:, None])
    if wrong.any():
        row, group = np.argwhere(wrong)[0]
        raise CountsError(
            f"row {row}, group {group}: found {counts[row, group]:g} people in a tract of {total[row]:g}; "
            "expected from none to all of them"
        )
    if (total < 0).any():
        row = int(np.argmax(total < 0))
        raise CountsError(f"row {row}: found {total[row]:g} people in all, expected zero or more")


def _within_one(shares: Floats, name: str) -> Floats:
    given = np.asarray(shares, dtype=np.float64)
    wrong = ~((given >= 0) & (given <= 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"{name}, row {row}: found {given[row]:g}, expected a share from 0 to 1")
    return given


def _expect_columns(sums: Floats, expected: int) -> None:
    if sums.ndim != 2 or sums.shape[1] != expected:
        raise InputError(f"found sums of shape {sums.shape}, expected (regions, {expected})")
