"""Open cells, the few that vertices do not settle, checked with geometric predicates wherever they reach."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geomob_dask.graph.contact import bounds_meet, contact
from geomob_dask.graph.matching import Joined
from geomob_dask.graph.pairs import NOTHING, Pairs
from geomob_dask.graph.points import Ints

Geometries = NDArray[np.object_]


def leaving(geoms: Geometries, first: int, joined: Joined, reach: float) -> Ints:
    """Return the open cells of one partition whose bounds come within `reach` of another partition.

    Parameters
    ----------
    geoms : shape (n_cells,)
        The partition's polygons.
    first : int
        Number of its first cell.
    joined : Joined
    reach : float, map units
        The larger tolerance.
    """
    cell = joined.open_between(first, first + len(geoms))
    meets = bounds_meet(shapely.bounds(geoms[cell - first])[:, None], joined.bounds[None], reach)
    # Each meets the bounds of its own partition.
    reaching: Ints = cell[meets.sum(axis=1) > 1]
    return reaching


@dataclass(frozen=True)
class Checked:
    """Pairs with an open cell, of one partition's cells.

    Attributes
    ----------
    inside : Pairs
        Pairs of two cells of the partition: new ones, and additions to those that vertices found.
    across : Pairs
        Pairs with a cell of another partition.
    """

    inside: Pairs
    across: Pairs


def check(
    geoms: Geometries,
    first: int,
    matched: Pairs,
    joined: Joined,
    far_cells: Ints,
    far_geoms: Geometries,
    snap: float,
    gap: float,
) -> Checked:
    """Return the contacts of open cells, own and of other partitions, with all cells of one partition.

    Parameters
    ----------
    geoms : shape (n_cells,)
        The partition's polygons.
    first : int
        Number of its first cell.
    matched : Pairs
        Its pairs by vertices, numbered over all partitions.
    joined : Joined
        Pairs across partitions, and which cells are open.
    far_cells, far_geoms : shape (n_far,)
        Open cells of other partitions, at least those within reach of this one.
    snap, gap : float, map units
        Tolerances.
    """
    reach = max(snap, gap)
    home = joined.open_between(first, first + len(geoms))
    visitor = np.concatenate([home, far_cells])
    polygon = np.concatenate([geoms[home - first], far_geoms])
    box, bounds = shapely.bounds(polygon), shapely.bounds(geoms)
    k, row = shapely.STRtree(geoms).query(shapely.box(*(box + reach * np.array([-1, -1, 1, 1])).T))
    # Two open cells find each other: keep the pair once, the lower one first, however cells are partitioned.
    one, other = visitor[k], row + first
    once = (one < other) | ((one > other) & ~np.isin(other, home))
    k, row, one, other = k[once], row[once], one[once], other[once]

    known = matched.flags_of(one, other) | joined.pairs.flags_of(one, other)
    near_open = bounds_meet(joined.open_part(one), bounds[row], reach)
    near_open |= bounds_meet(joined.open_part(other), box[k], reach)
    uneven = joined.is_uneven(one) & joined.is_uneven(other)
    # Copies, because they are prepared: another thread may be using the polygons of the frame.
    unknown = np.unique(k[known == NOTHING])
    polygon[unknown] = shapely.force_2d(polygon[unknown])
    shapely.prepare(polygon[unknown])
    found = Pairs.of(one, other, contact(polygon[k], geoms[row], known, near_open, uneven, snap, gap))
    found = found.where(found.flags > 0)
    is_inside = (found.low >= first) & (found.high < first + len(geoms))
    return Checked(found.where(is_inside), found.where(~is_inside))
