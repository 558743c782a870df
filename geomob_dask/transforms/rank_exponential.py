"""Ranks scaled to 0…1, ties averaged, and the exponential transform of a domain's score.

A domain's sums that are equal on paper may differ in their last bits, and a rank makes a step of that. So values
closer than a relative tolerance are ties: in the sorted column of all tracts, neighbors no further apart
than `tolerance` times the column's largest magnitude belong to one group.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Values that are ranked at a time.
_BLOCK = 2**17


@dataclass(frozen=True)
class Ranking:
    """The sorted column of all tracts, as groups of ties: what a partition needs to rank its own.

    Parameters
    ----------
    first, last : shape (n_groups,)
        The smallest and largest value of each group, ascending.
    upto : shape (n_groups,)
        How many tracts lie in this group or below.
    """

    first: NDArray[np.float64]
    last: NDArray[np.float64]
    upto: NDArray[np.int64]

    def split(self, pieces: int) -> list["Ranking"]:
        """Return the ranking in pieces of about equally many groups; see `joined`."""
        if pieces == 1:
            return [self]
        parts = (np.array_split(values, pieces) for values in (self.first, self.last, self.upto))
        return [Ranking(*own) for own in zip(*parts, strict=True)]


def joined(pieces: Sequence[Ranking]) -> Ranking:
    """Return the ranking that `Ranking.split` has cut into pieces."""
    if len(pieces) == 1:
        return pieces[0]
    fields = ([getattr(piece, name) for piece in pieces] for name in ("first", "last", "upto"))
    return Ranking(*map(np.concatenate, fields))


def ranking(values: NDArray[np.float64], tolerance: float = 0.0) -> Ranking:
    """Sort a column and group its ties.

    Parameters
    ----------
    values : shape (n_tracts,)
        In any order; NaN is left out.
    tolerance : float
        Relative to the largest magnitude; 0 ties only equal values.
    """
    ordered = values[~np.isnan(values)]
    ordered.sort()
    if not len(ordered):
        return Ranking(ordered, ordered, np.zeros(0, dtype=np.int64))
    reach = tolerance * np.abs(ordered[[0, -1]]).max()
    ends = np.append(np.flatnonzero(np.diff(ordered) > reach), len(ordered) - 1)
    starts = np.concatenate([[0], ends[:-1] + 1])
    return Ranking(ordered[starts], ordered[ends], ends + 1)


def scaled_ranks(values: NDArray[np.float64], among: Ranking) -> NDArray[np.float64]:
    """Return (rank - 1) divided by its maximum, ranks of ties averaged.

    Parameters
    ----------
    values : shape (n_tracts,)
        NaN stays NaN. A value that is not in the column (of a reference year, say) ranks half-way
        between its neighbors there, and never outside 0…1.

    References
    ----------
    Ohio Opportunity Index (2024), "rank" and "scale to [0,1]": ``rank(…, na.last = "keep") - 1``.

    Examples
    --------
    >>> scores = np.array([3.0, 1.0, 1.0, np.nan, 2.0])
    >>> scaled_ranks(scores, ranking(scores))
    array([1.        , 0.16666667, 0.16666667,        nan, 0.66666667])
    """
    if not len(among.upto):
        return np.full(values.shape, np.nan)
    below = np.concatenate([[0], among.upto])
    average = (below[:-1] + among.upto - 1) / 2
    group = np.searchsorted(among.last, values)
    at = np.minimum(group, len(average) - 1)
    is_there = (values >= among.first[at]) & (values <= among.last[at])
    rank_less_one = np.where(is_there, average[at], below[group] - 0.5)
    with np.errstate(invalid="ignore", divide="ignore"):  # one tract only: 0/0, as in the source
        scaled = np.clip(rank_less_one / average[-1], 0.0, 1.0)
    return np.where(np.isnan(values), np.nan, scaled)


def percentile_ranks(
    values: NDArray[np.float64], among: Ranking, decimals: int = 4, *, mirrored: bool = False
) -> NDArray[np.float64]:
    """Return (rank - 1) / (N - 1), tied tracts at their lowest rank, rounded.

    Parameters
    ----------
    values : shape (n_tracts,)
        All of them in `among`; NaN stays NaN.
    mirrored : bool
        Whether the values are a measure with its sign turned, such as income as deprivation: the lowest rank is that of
        the measure itself, and its percentile is taken from 1. So ties have the highest of the values' own ranks.

    References
    ----------
    CDC/ATSDR Social Vulnerability Index (2018, 2020), documentation: "PERCENTRANK.INC … with 4 significant digits";
    per capita income, of which a higher value is less vulnerable, is ranked as it is and then reversed.

    Examples
    --------
    >>> scores = np.array([3.0, 1.0, 1.0, np.nan, 2.0])
    >>> percentile_ranks(scores, ranking(scores))
    array([1.    , 0.    , 0.    ,    nan, 0.6667])
    >>> percentile_ranks(-scores, ranking(-scores), mirrored=True)
    array([0.    , 1.    , 1.    ,    nan, 0.3333])
    """
    if not len(among.upto) or among.upto[-1] < 2:
        return np.full(values.shape, np.nan)
    n_less_one = among.upto[-1] - 1
    below = np.concatenate([[0], among.upto[:-1]])
    above = among.upto[-1] - among.upto
    group = np.minimum(np.searchsorted(among.last, values), len(below) - 1)
    ranks = np.round((above if mirrored else below)[group] / n_less_one, decimals)
    return np.where(np.isnan(values), np.nan, np.round(1 - ranks, decimals) if mirrored else ranks)


def ranked(
    values: NDArray[np.float64], rank: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return ``rank(values)``, asked for in ascending order and in blocks.

    Values of many millions in order are found among each other by short steps through memory, and what a block takes on
    the way is small.

    Parameters
    ----------
    values : shape (n_tracts,)
        NaN stays NaN.
    rank : callable
        Of each value by itself, such as `scaled_ranks` among a ranking.
    """
    if len(values) <= _BLOCK:
        return rank(values)
    result = np.full(len(values), np.nan)
    order = np.argsort(values)
    known = order[: np.count_nonzero(~np.isnan(values))]
    for start in range(0, len(known), _BLOCK):
        block = known[start : start + _BLOCK]
        result[block] = rank(values[block])
    return result


def exponential(scaled_rank: NDArray[np.float64], scale: float = 23.0) -> NDArray[np.float64]:
    """Return -s·ln(1 - R·(1 - e^(-100/s))): 0 for rank 0, 100 for rank 1.

    Parameters
    ----------
    scaled_rank : any shape, in [0, 1]
        NaN stays NaN.
    scale : float
        s. With 23, only the upper tenth lies above 50.

    References
    ----------
    Noble, Wright, Smith & Dibbens (2006); Ohio Opportunity Index (2024), "exponential transform".

    Examples
    --------
    >>> exponential(np.array([0.0, 0.9, 1.0]))
    array([  0. ,  50.4, 100. ])
    """
    return np.asarray(-scale * np.log1p(scaled_rank * np.expm1(-100.0 / scale)))
