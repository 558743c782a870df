"""Contiguity: which cells are neighbors, by which rule, as queen and as rook.

Two cells are neighbors (*queen*) by one of these rules:

- ``vertex``: a vertex of one lies within `snap` of a vertex of the other;
- ``intersects``: the closed polygons have a point in common;
- ``gap``: neither, but they lie within `gap` of each other, and one of them has an open edge (see below):
  across a gap, not across a narrow third cell.

*Rook* neighbors have a line or an area in common, or edges longer than `snap` with their ends within `snap`.
Islands, cells without neighbors, may be joined to their nearest cells (``nearest``).

The graph is built by partition: `matching.match` finds cells that share vertices inside each partition, `matching.join`
matches the vertices that are still open with those of the partitions around, open cells that are `residual.leaving`
travel to the partitions they reach, `residual.check` compares them there with geometric predicates, `settle` brings
together what the partitions on both sides of a border have found, and `edges` lists the neighbors of each partition's
cells. `geomob_dask.frames.neighbors` lifts these steps to frames.

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

from dataclasses import dataclass

import numpy as np

from geomob_dask.graph.near_touch import Close
from geomob_dask.graph.pairs import ROOK, Flags, Pairs
from geomob_dask.graph.points import Ints

COUNTS = ("tracts", "queen", "rook", "interstate")


@dataclass(frozen=True)
class Settled:
    """What is known of one partition's cells when pairs with other partitions have come together.

    A pair belongs to the partition of its lower cell.

    Attributes
    ----------
    across : Pairs
        All pairs of its cells with those of other partitions.
    differing : Pairs
        Pairs that belong to it on which rules differ.
    islands : shape (n_islands,)
        Its cells that no rule joins to another.
    counts : shape (4,)
        As `COUNTS`: its cells, and pairs that belong to it.
    close : Close
        Pairs that belong to it that nearly touch, and that no rule joins.
    """

    across: Pairs
    differing: Pairs
    islands: Ints
    counts: Ints
    close: Close


def settle(
    inside: Pairs, across: Pairs, close: Close, first: int, n_cells: int, cells: Ints, state: Ints, *, rook: bool
) -> Settled:
    """Return what is known of one partition's cells.

    Parameters
    ----------
    inside, across : Pairs
        All its pairs, and all with cells of other partitions, numbered over all partitions.
    close : Close
        Pairs of all partitions that nearly touch.
    first, n_cells : int
        Number of its first cell, and how many it has.
    cells, state : shape (n_known,)
        Its cells and those of other partitions that are among its pairs, ascending, and the number of each one's state.
    rook : bool
        Whether cells without rook neighbors are islands.
    """
    pairs = Pairs.union(inside, across)
    last = first + n_cells
    joined = pairs.neighbors(rook=rook)
    is_alone = np.ones(n_cells, bool)
    for end in (joined.low, joined.high):
        is_alone[end[(first <= end) & (end < last)] - first] = False
    own = pairs.where((first <= pairs.low) & (pairs.low < last))
    queen = own.neighbors()
    low, high = (state[np.searchsorted(cells, end)] for end in (queen.low, queen.high))
    counts = np.array([n_cells, len(queen.code), queen.has(ROOK).sum(), (low != high).sum()])
    apart = close.where((first <= close.low) & (close.low < last)).apart(pairs)
    return Settled(across, own.differing(), first + np.flatnonzero(is_alone), counts, apart)


def edges(inside: Pairs, across: Pairs, first: int, n_cells: int, *, rook: bool) -> tuple[Ints, Ints, Flags]:
    """Return focal and neighbor cells and flags of the edges that leave one partition's cells, sorted.

    Parameters
    ----------
    inside, across : Pairs
        Pairs of the partition, and with others, numbered over all partitions; of islands, with their nearest cells.
    first, n_cells : int
        Number of the partition's first cell, and how many it has.
    rook : bool
        Whether to leave out neighbors that are not rook.
    """
    return Pairs.union(inside, across).neighbors(rook=rook).directed(first, first + n_cells)
