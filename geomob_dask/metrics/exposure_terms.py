"""The terms of each tract in the sums of its region, from which contacts between groups are computed.

A *contact* of a group g with a set of people Z is their share around its average member,

    C = Σ_i a_i x_i (z_i / t_i) / Σ_i a_i x_i

over the tracts i of a region, with x_i the tract's people of g, z_i those of Z, t_i all, and a_i the share of the
tract's people that live in the region (1 where tracts nest). Exposure is the contact with everybody else, interaction
that with one other group. `contact.contacts` makes values and errors of the sums.

References
----------
Williams & Pancini (2023), "Race/Ethnicity Exposure - City", steps 3 to 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import CountsError, InputError, SettingsError
from geomob_dask.transforms.margins_of_error import standard_error

Floats = NDArray[np.float64]

# Shares are published with four decimals, and outlines from two sources leave slivers.
_WHOLE = 1e-3
# Terms of a region, of each group in it, and of each contact; the order is that of the columns of `exposure_terms`.
REGION_TERMS = ("tracts", "people", "overlap", "shared")
GROUP_TERMS = ("count", "count_variance", "missing_counts", "missing_moes")
CONTACT_TERMS = ("met", "unmet", "noise", "u", "u_r", "u_r2", "u_q", "u_q2", "others", "second", "missing_moes")


class Mode(StrEnum):
    """How tracts that lie partly in a region are counted, and which value bounds belong to.

    ``published-2023``: whole, in every region they touch, as the source's code does. ``published``: by their share,
    with the variance Σ a·MOE² of the later publications. ``corrected``: by their share, with Σ (a·MOE)². Where tracts
    nest (a = 1) all three count the same. Errors and bounds of ``corrected`` are those of the value without the bias
    of noise; in the published modes those of the value as published.
    """

    PUBLISHED_2023 = "published-2023"
    PUBLISHED = "published"
    CORRECTED = "corrected"

    @property
    def corrects_noise(self) -> bool:
        """Return whether errors and bounds are those of the value without the bias of noise."""
        return self is Mode.CORRECTED

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


def exposure_terms(
    counts: Floats,
    moes: Floats,
    total: Floats,
    *,
    share: Floats | None = None,
    overlap: Floats | None = None,
    mode: Mode | str = Mode.CORRECTED,
    remainder: int | None = None,
) -> Floats:
    """Return the terms of each row in the sums of its region.

    Parameters and errors are those of `exposure.exposure_by_region`. Rows are computed one by one: their terms do not
    depend on which rows they are with.

    Returns
    -------
    shape (n_rows, 4 + 15·n_groups)
        Finite. Sums of these columns over rows merge by addition.
    """
    rows = _Rows.of(counts, moes, total, share, mode, remainder)
    # Nothing is added where afact2 is not known: a sum of zero says so, for with it no region's sum is zero.
    overlaps = np.zeros(len(rows.total)) if overlap is None else _within_one(overlap, "afact2")
    people = rows.weight * rows.total
    shared = np.where(rows.share < 1 - _WHOLE, people, 0.0)
    columns = [rows.populated, people, rows.populated * rows.share * overlaps, shared]
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
    remainder: int | None = None,
) -> Floats:
    """Return the terms of each row in the sums of its region, for every ordered pair of groups.

    Parameters and errors are those of `exposure.exposure_by_region`.

    Returns
    -------
    shape (n_rows, 4·n_groups + 11·n_groups²)
    """
    rows = _Rows.of(counts, moes, total, share, mode, remainder)
    columns = rows.group_terms()
    for group in range(rows.n_groups):
        for met in range(rows.n_groups):
            # Isolation is what the contact with all others leaves to one.
            columns += rows.exposure_contact(group) if met == group else rows.interaction_contact(group, met)
    return np.array(columns).T


@dataclass(frozen=True)
class _Rows:
    """Rows from which terms are computed: unknown numbers are zero, and counted as missing.

    `weight` is a in the counts, zero for a tract without people as `populated` is; `variance_weight` multiplies the
    variance of a count, where an estimate of zero people has its margin like any other: the published flags of
    counties hold it (Pacific County, WA, has an empty tract of ±12). `met_variance` is that of contacts: as published,
    but for a remainder (`_with_sampled_remainder`). `noise` is the same without zero estimates: where nobody was
    counted, nobody can be too many. `proportion` is p = x/t.
    """

    counts: Floats
    total: Floats
    share: Floats
    populated: Floats
    weight: Floats
    variance_weight: Floats
    variance: Floats
    met_variance: Floats
    noise: Floats
    proportion: Floats
    missing_count: NDArray[np.bool_]
    missing_moe: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        counts: Floats,
        moes: Floats,
        total: Floats,
        share: Floats | None,
        mode: Mode | str,
        remainder: int | None = None,
    ) -> _Rows:
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
        variance = np.where(np.isnan(moes), 0.0, standard_error(moes)) ** 2
        proportion = per(known, people[:, None])
        met_variance = variance
        if remainder is not None and Mode.of(mode).corrects_noise:
            met_variance = _with_sampled_remainder(variance, known, proportion, remainder)
        return cls(
            counts=known,
            total=people,
            share=given,
            populated=populated,
            weight=populated * weight,
            variance_weight=variance_weight,
            variance=variance,
            met_variance=met_variance,
            noise=np.where(known > 0, met_variance, 0.0),
            proportion=proportion,
            missing_count=missing_count & (populated > 0)[:, None],
            missing_moe=np.isnan(moes) & (populated > 0)[:, None],
        )

    @property
    def n_groups(self) -> int:
        return int(self.counts.shape[1])

    def group_terms(self) -> list[Floats]:
        """Return the columns of `GROUP_TERMS`, group by group."""
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
        """Return the columns of `CONTACT_TERMS` for a group and a set of others.

        With s = z/t, the contact's derivatives are a/X·(s(1 − p) − C) by x, a/X·p(1 − s) by a group that is met and
        −a/X·ps by one that is not. In the first, C is known only when all rows are added, so the square is expanded
        about C in r = s(1 − p), and once more about 1 − C in q = 1 − r: the one that loses no digits is taken.

        ``noise`` is what the people met, x z/t, lack on average for the noise of the counts: half of their second
        derivatives times the variances. ``second`` is what the squares of their first derivatives have too much for it.
        """
        p, not_p = self.proportion[:, group], self._not(group)
        s = per(people_met, self.total)
        not_s = per(self.total - people_met, self.total)
        r = s * not_p
        q = not_s + s * p
        x = self.weight * self.counts[:, group]
        u = self.weight**2 * self.met_variance[:, group]
        others = (p * not_s) ** 2 * _added(self.met_variance, members)
        others += (p * s) ** 2 * _added(self.met_variance, rest)
        noise, of_members = self.noise[:, group], _added(self.noise, members)
        lacking = r * noise + p * not_s * of_members
        # By two numbers: xx, zz, xz; the rest's are zero where there is no rest.
        second = 2 * (r * noise) ** 2 + 2 * (p * not_s * of_members) ** 2
        second += (not_p * not_s + p * s) ** 2 * noise * of_members
        if rest:
            of_rest = _added(self.noise, rest)
            lacking = lacking - p * s * of_rest
            second += 2 * (p * s * of_rest) ** 2 + (s * (p - not_p)) ** 2 * noise * of_rest
            second += (p * (s - not_s)) ** 2 * of_members * of_rest
        held = self.held[group]
        missing = reduce(np.logical_or, (self.missing_moe[:, other] for other in [group, *members, *rest]))
        return [
            x * s,
            x * not_s,
            self.weight * held * per(lacking, self.total),
            u,
            u * r,
            u * r**2,
            u * q,
            u * q**2,
            self.weight**2 * others,
            self.weight**2 * held * per(second, self.total**2),
            missing.astype(np.float64),
        ]

    def _not(self, group: int) -> Floats:
        return per(self.total - self.counts[:, group], self.total)

    @cached_property
    def held(self) -> list[Floats]:
        """The part of the correction of each group that is made, 1 but where the expansion fails.

        A tract's correction of the exposure of a group is at most its people of the group, since no noise can move more
        of them: a margin far above the count, or a tract with next to nobody, would give any number. The contacts of a
        group with each of the others are held by the same factor: together they are that of the exposure.
        """
        parts = []
        for group in range(self.n_groups):
            p, not_p = self.proportion[:, group], self._not(group)
            others = [other for other in range(self.n_groups) if other != group]
            lacking = not_p**2 * self.noise[:, group] + p**2 * _added(self.noise, others)
            parts.append(np.minimum(per(self.counts[:, group] * self.total, lacking, 1.0), 1.0))
        return parts


def _with_sampled_remainder(variance: Floats, counts: Floats, proportion: Floats, remainder: int) -> Floats:
    """Return variances in which that of what the other groups leave is of people who were sampled as these.

    The margin of a difference takes the errors of the total and of the groups for independent, and is mostly far too
    wide. In a sample of households the variance of a count is φ·x (1 − p); φ is that of the tract's other groups.
    """
    spread = counts * (1.0 - proportion)
    others = [group for group in range(counts.shape[1]) if group != remainder]
    # A count of nobody, or without a margin, says nothing of φ.
    tells = (counts > 0) & (variance > 0)
    known = _added(np.where(tells, variance, 0.0), others)
    sampled = spread[:, remainder] * per(known, _added(np.where(tells, spread, 0.0), others))
    own = variance[:, remainder]
    narrowed = variance.copy()
    narrowed[:, remainder] = np.where(counts[:, remainder] > 0, np.minimum(own, sampled), own)
    return narrowed


def _added(variances: Floats, groups: list[int]) -> Floats:
    # One after another: the order of additions, hence the last bit, is the same for every row.
    whole = np.zeros(len(variances))
    for group in groups:
        whole = whole + variances[:, group]
    return whole


def per(numerator: Floats, denominator: Floats, where_empty: float = 0.0) -> Floats:
    """Return the quotients, and a value where nobody is to be divided by."""
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
