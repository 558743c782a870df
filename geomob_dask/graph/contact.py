"""Contact of two polygons by geometric predicates: which rules make them neighbors."""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree

from geomob_dask.graph.pairs import GAP, INTERSECTS, NEAR_MISS, NOTHING, OVERLAP, ROOK, VERTEX, Bools, Flags
from geomob_dask.graph.points import Floats, Points, as_floats, is_short
from geomob_dask.graph.vertices import vertices

Geometries = NDArray[np.object_]


def bounds_meet(bounds: Floats, others: Floats, reach: float) -> Any:
    """Return whether bounds lie within `reach` of other bounds; NaN reaches nothing.

    Examples
    --------
    >>> bounds_meet(np.array([0, 0, 1, 1]), np.array([[1, 1, 2, 2], [3, 0, 4, 1]]), 0)
    array([ True, False])
    """
    low, high = bounds[..., :2], bounds[..., 2:]
    return np.all((low <= others[..., 2:] + reach) & (high >= others[..., :2] - reach), axis=-1)


def contact(
    first: Geometries, second: Geometries, known: Flags, near_open: Bools, uneven: Bools, snap: float, gap: float
) -> Flags:
    """Return the flags of pairs of polygons: rules by which they are neighbors, and the kind of contact.

    Parameters
    ----------
    first, second : shape (n_pairs,)
        Polygons; it is quicker if the first are prepared.
    known : shape (n_pairs,)
        Flags of the pairs that vertices have found; 0 for others.
    near_open : shape (n_pairs,)
        Whether an open part of one comes near the other. Pairs found by vertices can overlap, or share a
        line that is no matched edge, only there; elsewhere their flags are complete.
    uneven : shape (n_pairs,)
        Whether both have a vertex near another one without being equal to it. Only then can two cells have
        edges whose ends match within the tolerance but not on the grid.
    snap, gap : float, map units
        Tolerances.

    Returns
    -------
    shape (n_pairs,)
        Flags; 0 where the polygons lie apart.
    """
    flags = known.copy()
    new = np.flatnonzero(known == NOTHING)
    reach = max(snap, gap)
    near = shapely.dwithin(first[new], second[new], reach) if reach else shapely.intersects(first[new], second[new])
    new = new[near]
    related = np.concatenate([new, np.flatnonzero((known > 0) & near_open)])
    flags[related] |= _relation(first[related], second[related])
    matching = new[shapely.dwithin(_corners(first[new]), _corners(second[new]), snap)]
    flags[matching] |= VERTEX
    maybe = np.concatenate([matching, np.flatnonzero((known > 0) & uneven)])
    for pair in maybe[flags[maybe] & ROOK == 0]:
        if share_edge(first[pair], second[pair], snap):
            flags[pair] |= ROOK

    apart = new[flags[new] == NOTHING]
    flags[apart] = NEAR_MISS
    if gap > 0:
        flags[apart[shapely.dwithin(first[apart], second[apart], gap)]] = GAP
    return flags


def _relation(first: Geometries, second: Geometries) -> Flags:
    """Return the flags that follow from the DE-9IM matrix of two polygons."""
    matrix = shapely.relate(first, second).astype("S9").view("S1").reshape(-1, 9)
    area, line = matrix[:, 0] == b"2", matrix[:, 4] == b"1"
    meets = (matrix[:, [0, 1, 3, 4]] != b"F").any(axis=1)
    flags: Flags = np.where(meets, INTERSECTS, NOTHING)
    flags |= np.where(area | line, ROOK, NOTHING)
    flags |= np.where(area, OVERLAP, NOTHING)
    return flags


def _corners(polygons: Geometries) -> Geometries:
    """Return the vertices of each polygon as one multipoint."""
    xy, index = shapely.get_coordinates(polygons, return_index=True)
    corners: Geometries = shapely.multipoints(xy, indices=index, out=np.full(len(polygons), None))
    return corners


def share_edge(one: Any, two: Any, snap: float) -> bool:
    """Return whether an edge of each, longer than `snap`, has its ends within `snap` of the other's.

    Examples
    --------
    >>> share_edge(shapely.box(0, 0, 1, 1), shapely.box(1.01, 0, 2, 1), 0.02)
    True
    >>> share_edge(shapely.box(0, 0, 1, 1), shapely.box(1.01, 1, 2, 2), 0.02)
    False
    """
    (start_1, end_1), (start_2, end_2) = _long_edges(one, snap), _long_edges(two, snap)
    start_2, end_2 = np.concatenate([start_2, end_2]), np.concatenate([end_2, start_2])
    if not len(start_1) or not len(start_2):
        return False
    near = KDTree(as_floats(start_1)).sparse_distance_matrix(KDTree(as_floats(start_2)), snap, output_type="ndarray")
    return bool(is_short(end_1[near["i"]], end_2[near["j"]], snap).any())


def _long_edges(polygon: Any, snap: float) -> tuple[Points, Points]:
    corners = vertices(np.array([polygon], dtype=object))
    long = ~is_short(corners.at, corners.ahead, snap)
    return corners.at[long], corners.ahead[long]
