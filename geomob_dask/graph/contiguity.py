"""Contiguity: which cells are neighbors, by which rule, as queen and as rook.

Two cells are neighbors (*queen*) by one of these rules:

- ``vertex``: a vertex of one lies within `snap` of a vertex of the other;
- ``intersects``: the closed polygons have a point in common;
- ``gap``: neither, but they lie within `gap` of each other, and one of them has an open edge (see below):
  across a gap, not across a narrow third cell.

*Rook* neighbors have a line or an area in common, or edges longer than `snap` with their ends within `snap`.
Islands, cells without neighbors, may be joined to their nearest cells (``nearest``).

The graph is built by partition: `matching.match` finds cells that share vertices inside each partition, `matching.join`
matches the vertices that are still open over all partitions, open cells that are `residual.leaving` travel to
the partitions they reach, `residual.check` compares them there with geometric predicates, `settle` merges what
crosses partitions, and `edges` lists the neighbors of each partition's cells. `geomob_dask.frames.neighbors` lifts
these steps to frames.

Why this finds every pair. An edge is *closed* if exactly one other cell has it, on its other side, and
*open* otherwise; a vertex is open if, in any cell, an edge at it is open; so is a cell with an open vertex.

1. Around a closed vertex cells follow each other across closed edges, and all of them have that vertex.
   They are found by it, corner contacts too: to have equal vertices (grid squares) is transitive.
2. Let A and B have a point in common but no vertex, and let x be such a point on the boundary of one.
   If A's edges at x are closed, A and its partners there cover all around x, and B lies over one of
   them. The same holds for B. If both are closed, two complete layers lie over each other at x: the
   exception below. Otherwise A or B has an open edge there, so the cell is open, and it is
   checked against all cells that its bounds reach.
3. Vertices within `snap` of each other may fall into two grid squares; then one of them is open, or
   there is a strip narrower than `snap` between two cells. Such strips are looked for (`crowded`) and their
   vertices taken for open. So are vertices that match without being equal: their cells may overlap or gap.
4. Two cells found by a vertex can overlap, or share a line that is no matched edge, only near an open
   edge of one of them, for the reason of step 2.

The exception: two layers, each complete, that lie over each other, such as one coverage given twice. Pairs deep
inside both without a vertex in common are missed; and if the layers lie in different partitions, those
with a vertex in common too. The outlines of the layers are open, so this does not go unnoticed: the report
counts the pairs that overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geomob_dask.graph.islands import to_nearest
from geomob_dask.graph.matching import Joined
from geomob_dask.graph.near_touch import Close
from geomob_dask.graph.pairs import ROOK, Flags, Pairs
from geomob_dask.graph.points import Floats, Ints
from geomob_dask.graph.residual import Checked

COUNTS = ("tracts", "queen", "rook", "interstate")


@dataclass(frozen=True)
class Summary:
    """Pairs that can concern other partitions, and counts: small beside all pairs of a partition.

    Attributes
    ----------
    across : Pairs
        Pairs with a cell of another partition.
    differing : Pairs
        Pairs inside the partition on which rules differ.
    alone : shape (n_alone,)
        Cells without a neighbor inside the partition.
    counts : shape (4,)
        As `COUNTS`: cells, and pairs inside the partition.
    close : Close
        Pairs inside the partition that nearly touch, and that no rule joins.
    """

    across: Pairs
    differing: Pairs
    alone: Ints
    counts: Ints
    close: Close


def summarize(
    matched: Pairs, checked: Checked, close: Close, first: int, n_cells: int, state: Ints, *, rook: bool
) -> Summary:
    """Return the summary of a partition for other partitions and the report.

    Parameters
    ----------
    matched : Pairs
        Its pairs by vertices, numbered over all partitions.
    checked : Checked
        Its pairs with an open cell.
    close : Close
        Pairs of all partitions that nearly touch.
    first, n_cells : int
        Number of its first cell, and how many it has.
    state : shape (n_all_cells,)
        Number of the state of each cell of all partitions.
    rook : bool
        Whether cells without rook neighbors are islands.
    """
    pairs = Pairs.union(matched, checked.inside)
    joined = pairs.neighbors(rook=rook)
    is_alone = np.ones(n_cells, bool)
    is_alone[joined.low - first] = is_alone[joined.high - first] = False
    alone = first + np.flatnonzero(is_alone)
    apart = close.where((close.low >= first) & (close.high < first + n_cells)).apart(pairs)
    return Summary(checked.across, pairs.differing(), alone, np.array([n_cells, *_counts(pairs, state)]), apart)


def _counts(pairs: Pairs, state: Ints) -> tuple[int, int, int]:
    queen = pairs.neighbors()
    crossing = state[queen.low] != state[queen.high]
    return len(queen.code), int(queen.has(ROOK).sum()), int(crossing.sum())


@dataclass(frozen=True)
class Settled:
    """Pairs across partitions, islands, and what the report needs of all partitions.

    Attributes
    ----------
    across : Pairs
        Pairs across partitions, and islands with their nearest cells.
    differing : Pairs
        Pairs on which rules differ.
    islands : shape (n_islands,)
        Cells that no rule joins to another.
    counts : shape (4,)
        As `COUNTS`; islands' nearest cells are not counted.
    close : Close
        Pairs that nearly touch, and that no rule joins.
    """

    across: Pairs
    differing: Pairs
    islands: Ints
    counts: Ints
    close: Close


def settle(
    joined: Joined, summaries: Sequence[Summary], state: Ints, k: int, centroids: Floats | None, *, rook: bool
) -> Settled:
    """Return the pairs across partitions, the islands and the counts of all partitions.

    Parameters
    ----------
    joined : Joined
        Pairs across partitions by vertices.
    summaries : sequence of Summary
        By partition.
    state : shape (n_cells,)
        Number of the state of each cell.
    k : int
        How many nearest cells an island is joined to; 0 for none.
    centroids : shape (n_cells, 2), map units, or (n_cells, 3), points on the sphere
        Of all cells; not needed where `k` is 0.
    rook : bool
        Whether cells without rook neighbors are islands.
    """
    across = Pairs.union(joined.pairs, *(part.across for part in summaries))
    ends = across.neighbors(rook=rook)
    islands = np.setdiff1d(np.concatenate([part.alone for part in summaries]), [ends.low, ends.high])
    counts = np.sum([part.counts for part in summaries], axis=0)
    counts[1:] += _counts(across, state)
    differing = Pairs.union(across.differing(), *(part.differing for part in summaries))
    home = np.searchsorted(joined.offset, [joined.close.low, joined.close.high], side="right")
    apart = joined.close.where(home[0] != home[1]).apart(across)
    close = Close.concatenate([apart, *(part.close for part in summaries)]).sorted()
    if k and centroids is not None:
        across = Pairs.union(across, to_nearest(islands, k, centroids))
    return Settled(across, differing, islands, counts, close)


def edges(
    matched: Pairs, inside: Pairs, across: Pairs, first: int, n_cells: int, *, rook: bool
) -> tuple[Ints, Ints, Flags]:
    """Return focal and neighbor cells and flags of the edges that leave one partition's cells, sorted.

    Parameters
    ----------
    matched, inside, across : Pairs
        Pairs of the partition by vertices, by predicates, and pairs across partitions, numbered over all partitions.
    first, n_cells : int
        Number of the partition's first cell, and how many it has.
    rook : bool
        Whether to leave out neighbors that are not rook.
    """
    return Pairs.union(matched, inside, across).neighbors(rook=rook).directed(first, first + n_cells)
