"""Totals of all regions: a small reduction that later stages are broadcast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.frames.own_rows import one_value
from geomob_dask.frames.reduction import partials, reduced
from geomob_dask.frames.units import coded, counts_of
from geomob_dask.messages import listed
from geomob_dask.metrics.counts import Floats, Integers
from geomob_dask.transforms.exact_sums import ExactSums

Names = NDArray[Any]


@dataclass(frozen=True)
class Tally:
    """The terms of one partition in the totals of its regions.

    Attributes
    ----------
    regions, names : shape (n_regions,), text
        Sorted codes, and names (empty where they are not known).
    counts : ExactSums over these regions
    units : shape (n_regions,)
        Number of units in each.
    """

    regions: Names
    names: Names
    counts: ExactSums
    units: Integers


@dataclass(frozen=True)
class Totals:
    """The totals of all regions.

    Attributes
    ----------
    regions, names : shape (n_regions,), text, sorted by region
    counts : shape (n_regions, n_categories)
    units : shape (n_regions,)
    home : shape (n_regions,)
        Number of the first partition that holds units of the region.
    """

    regions: Names
    names: Names
    counts: Floats
    units: Integers
    home: Integers

    def codes(self, regions: Names) -> Integers:
        """Return the positions of regions, all of which must be among these."""
        return np.searchsorted(self.regions, regions).astype(np.int64)


def totals_of(units: Any, wanted: Sequence[str] | None = None) -> Any:
    """Return the totals of all regions of units: a frame of one row, whose value is `Totals`.

    Parameters
    ----------
    units : DataFrame, in memory or on Dask
        See `frames.units.units_of`.
    wanted : sequence of str, optional
        Regions that must have units.

    Raises
    ------
    InputError
        If no unit lies in a region, or none in one that is wanted.
    """
    return reduced(_merged_tallies, partials(_tally, units), wanted=None if wanted is None else tuple(wanted))


def no_totals(units: pd.DataFrame) -> pd.DataFrame:
    """Return the totals of no regions."""
    none, text = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=object)
    return one_value(Totals(text, text, counts_of(units)[:0], none, none))


def _tally(units: pd.DataFrame) -> Tally:
    regions, codes = coded(units["region"])
    names = np.full(len(regions), "", dtype=object)
    names[codes] = units["region_name"].to_numpy(object)
    counts = ExactSums.of(counts_of(units), codes, len(regions))
    return Tally(regions, names, counts, np.bincount(codes, minlength=len(regions)))


def _merged_tallies(tallies: Sequence[Tally], *, wanted: Sequence[str] | None) -> Totals:
    regions = np.array(sorted({region for one in tallies for region in one.regions.tolist()}), dtype=object)
    absent = sorted(set(wanted or ()) - set(regions.tolist()))
    if absent:
        raise InputError(f"regions: no tract lies in {listed(absent)}; expected codes of regions with tracts")
    if not len(regions):
        raise InputError("no tract lies in a region; expected regions of these tracts")
    places = [np.searchsorted(regions, one.regions) for one in tallies]
    counts = merged_sums(zip(places, (one.counts for one in tallies), strict=True), len(regions))
    units, home = np.zeros(len(regions), dtype=np.int64), np.full(len(regions), len(tallies))
    names = np.full(len(regions), "", dtype=object)
    for number, (place, one) in enumerate(zip(places, tallies, strict=True)):
        units[place] += one.units
        home[place] = np.minimum(home[place], number)
        names[place] = one.names
    return Totals(regions, names, counts, units, home)


def merged_sums(parts: Iterable[tuple[Integers, ExactSums]], n_regions: int) -> Floats:
    """Return the sums of all regions from sums over some of them, with the positions of those."""
    known = list(parts)
    lowest = min(sums.lowest for _, sums in known)
    highest = max(sums.lowest + sums.digits.shape[2] for _, sums in known)
    digits = np.zeros((n_regions, known[0][1].digits.shape[1], highest - lowest), dtype=np.int64)
    for places, sums in known:
        start = sums.lowest - lowest
        digits[places, :, start : start + sums.digits.shape[2]] += sums.digits
    return ExactSums(digits, lowest).rounded()
