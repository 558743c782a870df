"""Checks that run with every exposure: each returns nothing, or raises and names the region.

The `stopifnot` checks of Williams & Pancini (2023), "Race/Ethnicity Exposure - City", on results as they are
published, and the comparison with reported totals that the source draws. That the groups of a tract sum to its
people is checked where they are formed (`collapse.check_groups_make_up_people`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import RunError
from geomob_dask.metrics.exposure import Exposures
from geomob_dask.metrics.quality import SUPPRESSION_THRESHOLD, is_missing

Floats = NDArray[np.float64]

# Rounding of a ratio of two exact sums, each rounded once.
_ROUNDING = 1e-9


def check_exposures(
    found: Exposures,
    regions: Sequence[str],
    groups: Sequence[str],
    *,
    threshold: float = SUPPRESSION_THRESHOLD,
) -> None:
    """Run all checks that need only the exposures.

    Parameters
    ----------
    found : Exposures
    regions, groups : sequence of str
        Their names, in order.
    threshold : float
        That of the run.

    Raises
    ------
    RunError
        Naming the check, the region and the group.
    """
    check_shares_sum_to_one(found.shares, regions, groups)
    check_bounds(found, regions, groups)
    check_missing(found, regions, groups, threshold=threshold)


def check_shares_sum_to_one(shares: Floats, regions: Sequence[str], groups: Sequence[str]) -> None:
    """Check that a group's shares over the tracts of a region sum to 1, where there is anybody of it.

    A tract that is in the region's count and not in its exposure, or the other way round, is found here.
    """
    _refuse(
        np.abs(shares - 1) > _ROUNDING,
        shares,
        regions,
        groups,
        "shares of the group over tracts sum to {:.12g}, expected 1",
    )


def check_bounds(found: Exposures, regions: Sequence[str], groups: Sequence[str]) -> None:
    """Check 0 <= lower <= exposure <= upper <= 1: the corrected exposure, in the published modes the exposure."""
    for name, values in (("exposure", found.value), ("corrected exposure", found.corrected)):
        _refuse((values < 0) | (values > 1), values, regions, groups, f"{name} is {{:.12g}}, expected 0 to 1")
    point = found.point
    outside = (found.lower > point) | (found.upper < point) | (found.lower < 0) | (found.upper > 1)
    _refuse(outside, point, regions, groups, "exposure {:.12g} lies outside its bounds, or these outside 0 to 1")


def check_missing(
    found: Exposures, regions: Sequence[str], groups: Sequence[str], *, threshold: float = SUPPRESSION_THRESHOLD
) -> None:
    """Check that values are missing exactly where the group is absent, suppressed or without a count.

    Where a value is missing, so are its bounds, error and flag; exactly these have a reason.
    """
    expected = ~(found.count > threshold)
    _refuse(
        expected & ~np.isnan(found.value),
        found.count,
        regions,
        groups,
        "a value is given for {:.12g} people of the group",
    )
    _refuse(~expected & np.isnan(found.value), found.count, regions, groups, "no value for {:.12g} people of the group")
    _refuse(
        expected != is_missing(found.reason), found.count, regions, groups, "the reason does not fit {:.12g} people"
    )
    for name in ("corrected", "se", "lower", "upper", "quality", "accuracy"):
        column: Floats = getattr(found, name)
        _refuse(
            expected & ~np.isnan(column), column, regions, groups, f"{name} is {{:.12g}} though the value is missing"
        )


def check_reported_totals(
    interpolated: Floats, reported: Floats, regions: Sequence[str], *, tolerance: float = 0.05, least: float = 0.0
) -> None:
    """Compare interpolated totals with those reported for the regions themselves.

    Parameters
    ----------
    interpolated, reported : shape (n_regions,), persons
        NaN in `reported`: not given, not compared.
    regions : sequence of str
    tolerance : float
        Largest relative difference.
    least : float
        Regions with fewer reported people are not compared; the interpolation of small places is coarse.

    Raises
    ------
    RunError
        Naming the region that is farthest off, and how many are.
    """
    compared = (reported >= least) & (reported > 0)
    off = np.where(compared, np.abs(interpolated - reported) / np.where(compared, reported, 1.0), 0.0)
    # A NaN that should have been a number fails the comparison too.
    wrong = compared & ~(off <= tolerance)
    if wrong.any():
        row = int(np.argmax(np.where(wrong, np.nan_to_num(off, nan=np.inf), -1.0)))
        raise RunError(
            f"region {regions[row]}: {interpolated[row]:,.1f} interpolated people, {reported[row]:,.0f} reported; "
            f"expected a difference of {tolerance:.1%} at most ({int(wrong.sum())} of {int(compared.sum())} regions)"
        )


def _refuse(
    wrong: NDArray[np.bool_], values: Floats, regions: Sequence[str], groups: Sequence[str], message: str
) -> None:
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise RunError(f"region {regions[row]}, {groups[column]}: {message.format(values[row, column])}")
