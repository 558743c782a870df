"""Tracts within two steps of a partition: the rows that partitions exchange, and the neighborhood they form.

Every partition offers a band: its tracts that have a neighbor in another partition, their edges, and the tracts next to
them. A partition that receives the bands of all partitions it can reach in two steps holds all it needs to walk two
steps from any tract of its own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from geomob_dask.errors import InputError

Keys = NDArray[Any]
Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


def rows_of(keys: Keys, wanted: Keys) -> Rows:
    """Return the rows of keys.

    Parameters
    ----------
    keys : shape (n_keys,), sorted, each once
    wanted : shape (n_wanted,)

    Returns
    -------
    shape (n_wanted,)
        −1 where a key is not among `keys`.

    Raises
    ------
    InputError
        If one side holds integers and the other one text.

    Examples
    --------
    >>> rows_of(np.array([3, 5, 8]), np.array([8, 4, 3]))
    array([ 2, -1,  0])
    """
    if not len(keys) or not len(wanted):
        return np.full(len(wanted), -1, dtype=np.int64)
    if (keys.dtype.kind == "i") != (wanted.dtype.kind == "i"):
        raise InputError(f"keys: found {keys[0]!r} and {wanted[0]!r}; expected keys of one kind in all frames")
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


@dataclass(frozen=True)
class Band:
    """The rows that a partition offers to others.

    Attributes
    ----------
    rows : shape (n_band,)
        Tracts with a neighbor in another partition, and their neighbors.
    leaving : shape (n_edges,), bool
        Edges of the tracts with a neighbor in another partition.
    """

    rows: Rows
    leaving: NDArray[np.bool_]


def band(keys: Keys, focal: Keys, neighbor: Keys) -> Band:
    """Return the tracts within two steps of another partition, and the edges of those within one.

    Parameters
    ----------
    keys : shape (n_tracts,), sorted
        Tracts of this partition.
    focal, neighbor : shape (n_edges,)
        Edges of these tracts: every `focal` is among `keys`, a `neighbor` in another partition is not.
    """
    at, to = rows_of(keys, focal), rows_of(keys, neighbor)
    leaves = np.zeros(len(keys), dtype=bool)
    leaves[at[to < 0]] = True
    near = leaves.copy()
    inside = to >= 0
    near[to[inside][leaves[at[inside]]]] = True
    return Band(np.flatnonzero(near), leaves[at])


@dataclass(frozen=True)
class Neighborhood:
    """A partition's tracts with the halo around them.

    Attributes
    ----------
    keys : shape (n_keys,)
        Own and received tracts, sorted: sums over neighbors run in this order however tracts are partitioned.
    own : shape (n_own,)
        Rows of the partition's own tracts.
    adjacency : sparse array, shape (n_keys, n_keys)
        Complete for own tracts and for every direct neighbor of one.
    """

    keys: Keys
    own: Rows
    adjacency: sparse.csr_array

    def gather(self, own: Floats, far_keys: Keys, far: Floats) -> Floats:
        """Return one array over `keys` from own rows and received rows; received rows out of reach are left out."""
        values = np.full((len(self.keys), own.shape[1]), np.nan)
        values[self.own] = own
        place = rows_of(self.keys, far_keys)
        values[place[place >= 0]] = far[place >= 0]
        return values


def neighborhood(
    keys: Keys, focal: Keys, neighbor: Keys, far_keys: Keys, far_focal: Keys, far_neighbor: Keys
) -> Neighborhood:
    """Return a partition's tracts together with those it received.

    Parameters
    ----------
    keys : shape (n_tracts,), sorted
    focal, neighbor : shape (n_edges,)
        Edges of these tracts.
    far_keys : shape (n_far,)
        Bands of other partitions; tracts that are not within two steps are left out.
    far_focal, far_neighbor : shape (n_far_edges,)
        Edges of the bands.
    """
    first = np.isin(far_focal, neighbor[rows_of(keys, neighbor) < 0])
    far_focal, far_neighbor = far_focal[first], far_neighbor[first]
    reached = np.isin(far_keys, neighbor) | np.isin(far_keys, far_neighbor)
    everything = np.sort(np.concatenate([keys, far_keys[reached]])) if reached.any() else keys
    if reached.any():
        focal, neighbor = np.concatenate([focal, far_focal]), np.concatenate([neighbor, far_neighbor])
    at, to = rows_of(everything, focal), rows_of(everything, neighbor)
    known = (at >= 0) & (to >= 0)
    n = len(everything)
    adjacency = sparse.csr_array((np.ones(known.sum()), (at[known], to[known])), shape=(n, n))
    adjacency.sort_indices()
    return Neighborhood(everything, rows_of(everything, keys), adjacency)


def contacts(focal: Keys, here: Keys, there: Keys) -> set[tuple[Any, Any]]:
    """Return the pairs of partitions between which a walk of two steps leads through one of these tracts.

    Parameters
    ----------
    focal : shape (n_edges,)
        The tract on the way.
    here, there : shape (n_edges,)
        The partitions of the tract and of its neighbor.
    """
    crosses = here != there
    around: dict[Any, set[Any]] = {}
    for tract, at, to in zip(focal[crosses].tolist(), here[crosses].tolist(), there[crosses].tolist(), strict=True):
        around.setdefault(tract, {at}).add(to)
    return {(one, other) for met in around.values() for one in met for other in met if one != other}
