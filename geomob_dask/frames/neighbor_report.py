"""The report of a neighbor graph: counts, and the pairs on which the rules differ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

# Pairs named as a sample of each kind.
_SAMPLE = 5


@dataclass(frozen=True)
class Finding:
    """The number of pairs of a kind, and the keys of the first few."""

    count: int = 0
    sample: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class NearTouch(Finding):
    """Pairs that nearly touch, and the tolerance that would join all of them.

    Attributes
    ----------
    snap : float, map units
    """

    snap: float = 0.0


@dataclass(frozen=True)
class Report:
    """Counts of neighbors, and where the rules differ.

    Attributes
    ----------
    tracts, queen, rook : int
        Tracts, and pairs of neighbors by any rule (islands' nearest tracts left out).
    interstate : int
        Pairs whose geoids begin with different states.
    only_vertex, only_intersects, only_gap : Finding
        Pairs that only one rule finds.
    overlapping : Finding
        Pairs whose interiors intersect, which the predicate `touches` leaves out.
    near_misses : Finding
        Pairs within `snap` of each other that no rule finds: not joined.
    near_touches : NearTouch
        Pairs further apart than `snap`, but by less than a meter, that no rule finds: not joined.
    islands : tuple of str
        Tracts that no rule joins to another.
    policy : str
        How islands were treated: ``none`` or ``nearest:K``.
    snap, gap : float, map units
        Tolerances.
    """

    tracts: int
    queen: int
    rook: int
    interstate: int
    only_vertex: Finding
    only_intersects: Finding
    only_gap: Finding
    overlapping: Finding
    near_misses: Finding
    near_touches: NearTouch
    islands: tuple[str, ...]
    policy: str
    snap: float
    gap: float


def report_of(
    counts: Mapping[str, int],
    differing: pd.DataFrame,
    islands: Sequence[object],
    *,
    nearly: pd.DataFrame,
    policy: str,
    snap: float,
    gap: float,
) -> Report:
    """Return the report.

    Parameters
    ----------
    counts : mapping
        Tracts, and queen, rook and interstate pairs.
    differing : DataFrame
        Pairs on which the rules differ, with the columns of edges.
    islands : sequence
        Keys of the tracts that no rule joins.
    nearly : DataFrame
        Pairs that nearly touch: ``neighbor`` and ``distance``, by the other tract.
    policy : str
        How islands were treated.
    snap, gap : float, map units
        Tolerances.
    """
    rule = differing["rule"]
    return Report(
        **counts,
        only_vertex=_finding(differing[rule == "vertex"]),
        only_intersects=_finding(differing[rule == "intersects"]),
        only_gap=_finding(differing[rule == "gap"]),
        overlapping=_finding(differing[differing["overlap"]]),
        near_misses=_finding(differing[rule == "near miss"]),
        near_touches=_near_touch(nearly),
        islands=tuple(map(str, islands)),
        policy=policy,
        snap=snap,
        gap=gap,
    )


def _finding(pairs: pd.DataFrame) -> Finding:
    sample = pairs["neighbor"].head(_SAMPLE)
    return Finding(len(pairs), tuple((str(focal), str(neighbor)) for focal, neighbor in sample.items()))


def _near_touch(pairs: pd.DataFrame) -> NearTouch:
    found = _finding(pairs)
    return NearTouch(found.count, found.sample, _rounded_up(float(pairs["distance"].max())) if found.count else 0.0)


def _rounded_up(distance: float) -> float:
    """Return the next number of one digit: a tolerance to type.

    Examples
    --------
    >>> _rounded_up(9.99e-8), _rounded_up(1.2e-7)
    (1e-07, 2e-07)
    """
    power = 10 ** -math.floor(math.log10(distance))
    # The last bits of coordinates must not cost a whole digit, and the tolerance must reach them.
    return float(f"{math.ceil(distance * power * (1 + 1e-9)) / power:.0e}")
