"""The report of a neighbor graph: counts, and the pairs on which the rules differ."""

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
    islands: tuple[str, ...]
    policy: str
    snap: float
    gap: float


def report_of(
    counts: Mapping[str, int],
    differing: pd.DataFrame,
    islands: Sequence[object],
    *,
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
        islands=tuple(map(str, islands)),
        policy=policy,
        snap=snap,
        gap=gap,
    )


def _finding(pairs: pd.DataFrame) -> Finding:
    sample = pairs["neighbor"].head(_SAMPLE)
    return Finding(len(pairs), tuple((str(focal), str(neighbor)) for focal, neighbor in sample.items()))
