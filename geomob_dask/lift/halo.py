"""Rows of other partitions within two steps of one's own: what travels between partitions.

Every partition offers a band of its tracts (those with a neighbour elsewhere, and their neighbours) together with the
edges of those with a neighbour elsewhere. A partition that receives the bands of all partitions it can reach in two
steps holds all it needs to walk two steps from any tract of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class Edges:
    """Neighbour pairs by key, both directions; ``focal[i]`` has the neighbour ``neighbor[i]``."""

    focal: NDArray[np.object_]
    neighbor: NDArray[np.object_]

    def where(self, mask: NDArray[np.bool_]) -> "Edges":
        """Return some of the pairs."""
        return Edges(self.focal[mask], self.neighbor[mask])


@dataclass(frozen=True)
class Band:
    """What a partition offers to others: positions of the tracts in it, their keys, and edges that leave it."""

    rows: NDArray[np.intp]
    keys: pd.Index
    edges: Edges


def band(keys: pd.Index, edges: Edges) -> Band:
    """Return the tracts within two steps of another partition, and the edges of those within one.

    Parameters
    ----------
    keys : Index
        Tracts of this partition, sorted.
    edges : Edges
        All whose focal tract is in this partition.
    """
    focal = keys.get_indexer(edges.focal)
    neighbor = keys.get_indexer(edges.neighbor)
    leaves = np.zeros(len(keys), dtype=bool)
    leaves[focal[neighbor < 0]] = True
    near = leaves.copy()
    inside = neighbor >= 0
    near[neighbor[inside][leaves[focal[inside]]]] = True
    rows = np.flatnonzero(near)
    return Band(rows, keys[rows], edges.where(leaves[focal]))


@dataclass(frozen=True)
class Neighborhood:
    """A partition's tracts with the halo around them.

    Parameters
    ----------
    keys : Index
        All tracts, own and received, sorted: sums over neighbours run in this order however tracts are partitioned.
    own : shape (n_own,)
        Positions of the partition's tracts among `keys`.
    adjacency : sparse array, shape (n_keys, n_keys)
        Complete for own tracts and for every direct neighbour of one.
    """

    keys: pd.Index
    own: NDArray[np.intp]
    adjacency: sparse.csr_array

    def gather(
        self, own: NDArray[np.float64], received: Sequence[tuple[pd.Index, NDArray[np.float64]]]
    ) -> NDArray[np.float64]:
        """Return one array over `keys` from the partition's rows and those received with their keys."""
        values = np.full((len(self.keys), own.shape[1]), np.nan)
        values[self.own] = own
        for keys, rows in received:
            values[self.keys.get_indexer(keys)] = rows
        return values


def neighborhood(keys: pd.Index, edges: Edges, bands: Sequence[Band]) -> Neighborhood:
    """Put a partition's tracts and the bands it received together."""
    everything = keys.append([band.keys for band in bands]).sort_values()
    focal = everything.get_indexer(np.concatenate([edges.focal, *(band.edges.focal for band in bands)]))
    neighbor = everything.get_indexer(np.concatenate([edges.neighbor, *(band.edges.neighbor for band in bands)]))
    known = (focal >= 0) & (neighbor >= 0)
    n = len(everything)
    adjacency = sparse.csr_array((np.ones(known.sum()), (focal[known], neighbor[known])), shape=(n, n))
    adjacency.sort_indices()
    return Neighborhood(everything, everything.get_indexer(keys), adjacency)


def partition_contacts(
    focal: NDArray[np.object_], here: NDArray[np.object_], there: NDArray[np.object_]
) -> set[tuple[str, str]]:
    """Return the pairs of partitions between which a walk of two steps leads through one of these tracts.

    Parameters
    ----------
    focal : shape (n_edges,)
        The tract on the way.
    here, there : shape (n_edges,)
        The partitions of the tract and of its neighbour.
    """
    crosses = here != there
    around: dict[str, set[str]] = {}
    for tract, at, to in zip(focal[crosses], here[crosses], there[crosses], strict=True):
        around.setdefault(tract, {at}).add(to)
    return {(one, other) for met in around.values() for one in met for other in met if one != other}
