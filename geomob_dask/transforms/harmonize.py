"""Numbers of one set of tracts on another: counts by weight, shares from their counts, medians one to one.

A link is the share of a source tract's people in a target tract. Counts are split and added up. Shares and means are
computed from converted counts. The median or index of a whole does not follow from those of its parts: it is carried
over where a source is one target, and refused elsewhere.

References
----------
U.S. Census Bureau, *Understanding and Using American Community Survey Data*, chapter 8 (the margin of a weighted sum,
√Σ(w·MOE)²); Logan, Xu & Stults (2014), "Interpolating U.S. decennial census tract data from as early as 1970 to 2010".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import InputError, RunError
from geomob_dask.transforms.crosswalk import (
    PUBLISHED_ROUNDING,
    Links,
    check_links,
    extensive_from_sums,
    extensive_terms,
)
from geomob_dask.transforms.exact_sums import region_sums
from geomob_dask.transforms.margins_of_error import proportion_moe, ratio_moe

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Codes = NDArray[np.uint8]

# Of a whole: what rounding leaves.
_ROUNDING = 1e-9


class Why(IntEnum):
    """Why a number of a target is missing."""

    KNOWN = 0
    NO_SOURCE = 1
    SOURCE_MISSING = 2
    NOT_ONE_TO_ONE = 3
    NOT_DEFINED = 4


@dataclass(frozen=True)
class Converted:
    """Numbers on the targets.

    Attributes
    ----------
    values, moes : shape (n_targets, n_columns)
        NaN: missing.
    why : shape (n_targets, n_columns), of `Why`
    """

    values: Floats
    moes: Floats
    why: Codes


def weights_of(amounts: Floats, source: Integers, n_sources: int) -> tuple[Floats, int]:
    """Return the share of its source that each link has, from amounts (people, housing units, land) of the links.

    Parameters
    ----------
    amounts : shape (n_links,)
        Zero or more. NaN counts as zero: nothing is known to lie there.
    source : shape (n_links,), integers in [0, n_sources)
    n_sources : int

    Returns
    -------
    weights : shape (n_links,)
        Those of a source sum to 1. Where all its amounts are zero, its links share it equally.
    divided : int
        Sources of several links that were shared out equally.

    Raises
    ------
    InputError
        If an amount is negative or infinite.

    Examples
    --------
    >>> weights_of(np.array([30.0, 10.0, 0.0]), np.array([0, 0, 1]), 2)
    (array([0.75, 0.25, 1.  ]), 0)
    """
    known = np.nan_to_num(amounts, nan=0.0, posinf=np.inf, neginf=-np.inf)
    wrong = ~((known >= 0) & np.isfinite(known))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"amount of link {row}: found {amounts[row]:g}, expected zero or more")
    total = region_sums(known, source, n_sources)[source]
    links = np.bincount(source, minlength=n_sources)[source]
    nothing = total == 0
    weights = np.where(nothing, 1.0 / np.maximum(links, 1), known / np.where(nothing, 1.0, total))
    return weights, len(np.unique(source[nothing & (links > 1)]))


def whole_weights(weights: Floats, source: Integers, n_sources: int, names: list[str]) -> tuple[Floats, int]:
    """Return weights as given, those of a source scaled to sum to 1 where only rounding keeps them from it.

    Parameters
    ----------
    weights : shape (n_links,)
    source : shape (n_links,), integers in [0, n_sources)
    n_sources : int
    names : list of str
        Of the sources, for messages.

    Returns
    -------
    weights : shape (n_links,)
    short : int
        Sources whose weights sum to less than 1 by more than rounding: part of them lies in no target.

    Raises
    ------
    InputError
        Naming the source of a weight outside [0, 1], or whose weights sum to more than 1.
    """
    check_links(Links(source, source, weights), names)
    given = region_sums(weights, source, n_sources)
    near = np.abs(given - 1.0) <= PUBLISHED_ROUNDING
    scale = np.where(near, given, 1.0)
    there = np.bincount(source, minlength=n_sources) > 0
    return weights / scale[source], int((there & ~near).sum())


def convert_counts(values: Floats, moes: Floats, links: Links, n_targets: int) -> tuple[Converted, Floats]:
    """Return counts of the targets: Σ w·value with the margin √Σ(w·MOE)².

    Parameters
    ----------
    values, moes : shape (n_sources, n_columns)
        NaN: not known.
    links : Links
    n_targets : int

    Returns
    -------
    converted : Converted
        A target is missing if one of its sources is, or if it has none.
    withheld : shape (n_columns,)
        Known counts of sources in targets that are missing.

    Examples
    --------
    Half of the first tract and all of the second:

    >>> links = Links(np.array([0, 1]), np.array([0, 0]), np.array([0.5, 1.0]))
    >>> converted, withheld = convert_counts(np.array([[100.0], [40.0]]), np.array([[6.0], [4.0]]), links, 1)
    >>> converted.values, converted.moes, withheld
    (array([[90.]]), array([[5.]]), array([0.]))
    """
    terms = extensive_terms(values[links.source], moes[links.source], links.share)
    sums = region_sums(terms, links.target, n_targets)
    counts, margins = extensive_from_sums(sums)
    linked = (np.bincount(links.target[links.share > 0], minlength=n_targets) > 0)[:, None]
    why = np.where(linked, np.where(np.isnan(counts), Why.SOURCE_MISSING, Why.KNOWN), Why.NO_SOURCE)
    missing = why != Why.KNOWN
    known = sums[:, : values.shape[1]]
    withheld = np.array([math.fsum(column[gone]) for column, gone in zip(known.T, missing.T, strict=True)])
    return Converted(np.where(missing, np.nan, counts), np.where(missing, np.nan, margins), _codes(why)), withheld


def only_sources(links: Links, n_targets: int) -> Integers:
    """Return the source that equals each target, whole and alone; −1 where there is none.

    Returns
    -------
    shape (n_targets,)

    Examples
    --------
    The first target is the first source; the second is made of parts:

    >>> only_sources(Links(np.array([0, 1, 2]), np.array([0, 1, 1]), np.array([1.0, 1.0, 0.5])), 2)
    array([ 0, -1])
    """
    linked = links.share > 0
    count = np.bincount(links.target[linked], minlength=n_targets)
    whole = linked & (links.share >= 1.0 - _ROUNDING) & (count[links.target] == 1)
    found = np.full(n_targets, -1, dtype=np.int64)
    found[links.target[whole]] = links.source[whole]
    return found


@dataclass(frozen=True)
class Origins:
    """The sources of every target.

    Attributes
    ----------
    count : shape (n_targets,)
    first, absent : shape (n_targets,)
        The first source, and the first that has no row; −1 where there is none.
    """

    count: Integers
    first: Integers
    absent: Integers

    @classmethod
    def of(cls, links: Links, n_targets: int, n_rows: int) -> Origins:
        """Return the sources of links, of which those from `n_rows` on have no row."""
        linked = links.share > 0
        source, target = links.source[linked][::-1], links.target[linked][::-1]
        first = np.full(n_targets, -1, dtype=np.int64)
        absent = first.copy()
        # Backwards: the first of them is written last.
        first[target] = source
        gone = source >= n_rows
        absent[target[gone]] = source[gone]
        return cls(np.bincount(target, minlength=n_targets), first, absent)


def carry_over(values: Floats, moes: Floats, links: Links, n_targets: int) -> tuple[Converted, Integers]:
    """Return medians, indices and other numbers that do not add up, of targets that equal one source.

    Parameters
    ----------
    values, moes : shape (n_sources, n_columns)
        NaN: not known.
    links : Links
    n_targets : int

    Returns
    -------
    converted : Converted
        Missing in targets made of parts or of several sources.
    refused : shape (n_columns,)
        Targets whose value is missing for that, though one of their sources has one.
    """
    only = only_sources(links, n_targets)
    alone = (only >= 0)[:, None]
    linked = links.share > 0
    sources = np.bincount(links.target[linked], minlength=n_targets)[:, None]
    with_value = region_sums((~np.isnan(values[links.source]) & linked[:, None]).astype(float), links.target, n_targets)
    carried = np.where(alone, values[only], np.nan)
    margins = np.where(alone, moes[only], np.nan)
    lost = ~alone & (sources > 0) & (with_value > 0)
    why = np.where(sources == 0, Why.NO_SOURCE, np.where(lost, Why.NOT_ONE_TO_ONE, Why.SOURCE_MISSING))
    why = np.where(np.isnan(carried), why, Why.KNOWN)
    return Converted(carried, np.where(np.isnan(carried), np.nan, margins), _codes(why)), lost.sum(axis=0)


def recompute(part: Converted, whole: Converted, *, proportion: bool, scale: float = 1.0) -> Converted:
    """Return shares or means of converted counts: scale · part / whole, with the Bureau's margin.

    Parameters
    ----------
    part, whole : Converted
        Of one column each.
    proportion : bool
        Whether the part is part of the whole (a share); else their ratio is a mean.
    scale : float
        100 for per cent.

    Raises
    ------
    CountsError
        If the part of a share is more than the whole.
    """
    top, bottom = part.values, whole.values
    if proportion:
        # Sums of the same weights may differ in their last bit.
        top = np.where((top > bottom) & (top <= bottom * (1 + _ROUNDING)), bottom, top)
    margin = proportion_moe if proportion else ratio_moe
    share = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    moe = margin(top, part.moes, bottom, whole.moes)
    why = np.where(part.why > 0, part.why, whole.why)
    why = np.where((why == Why.KNOWN) & np.isnan(share), Why.NOT_DEFINED, why)
    return Converted(scale * share, np.where(np.isnan(share), np.nan, scale * moe), _codes(why))


@dataclass(frozen=True)
class Balance:
    """The counts of a column before and after.

    Attributes
    ----------
    before, after : float
        Known in the sources, known in the targets.
    lost : float
        In sources, or parts of them, that lie in no target.
    withheld : float
        In targets that are missing because another of their sources is.
    """

    before: float
    after: float
    lost: float
    withheld: float

    def check(self, column: str, tolerance: float, examples: str) -> None:
        """Check that no more was lost than is tolerated, and that the rest adds up.

        Parameters
        ----------
        column : str
            For the message.
        tolerance : float
            Largest share of the people that may lie in no target.
        examples : str
            The sources that lost most, for the message.

        Raises
        ------
        InputError
            If more is lost.
        RunError
            If the numbers do not add up.
        """
        if self.lost > (tolerance + _ROUNDING) * abs(self.before):
            share = self.lost / self.before if self.before else math.nan
            raise InputError(
                f"crosswalk, column {column}: {self.lost:,.6g} of {self.before:,.6g} ({share:.3%}) lie in no target, "
                f"expected {tolerance:.3%} at most (--lost); most of it in {examples}"
            )
        off = math.fsum([self.before, -self.after, -self.lost, -self.withheld])
        if abs(off) > _ROUNDING * abs(self.before):
            raise RunError(
                f"column {column}: {self.before:,.6f} before, {self.after:,.6f} after, {self.lost:,.6f} lost and "
                f"{self.withheld:,.6f} withheld do not add up; expected the same to the last one"
            )


def _codes(why: NDArray[np.int64]) -> Codes:
    return np.asarray(why).astype(np.uint8)
