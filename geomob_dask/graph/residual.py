"""Open cells, the few that vertices do not settle, checked with geometric predicates wherever they reach."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geomob_dask.graph.contact import bounds_meet, contact
from geomob_dask.graph.matching import Joined, OpenCells
from geomob_dask.graph.pairs import NOTHING, Pairs
from geomob_dask.graph.points import Bools, Floats

Geometries = NDArray[np.object_]


def leaving(geoms: Geometries, bounds: Floats, reach: float) -> Bools:
    """Return which open cells of one partition have bounds that come within `reach` of another partition.

    Parameters
    ----------
    geoms : shape (n_open,)
        Their polygons.
    bounds : shape (n_partitions, 4)
        Of all partitions.
    reach : float, map units
        The larger tolerance.
    """
    meets = bounds_meet(shapely.bounds(geoms)[:, None], bounds[None], reach)
    # Each meets the bounds of its own partition.
    reaching: Bools = meets.sum(axis=1) > 1
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
    far: OpenCells,
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
        Its pairs with others, and which of its cells are open.
    far, far_geoms : OpenCells, shape (n_far,)
        Open cells of other partitions, at least those within reach of this one.
    snap, gap : float, map units
        Tolerances.
    """
    reach = max(snap, gap)
    home, cells = joined.open.number, OpenCells.concatenate([joined.open, far])
    visitor = np.concatenate([home, far.number])
    polygon = np.concatenate([geoms[home - first], far_geoms])
    box, bounds = shapely.bounds(polygon), shapely.bounds(geoms)
    k, row = shapely.STRtree(geoms).query(shapely.box(*(box + reach * np.array([-1, -1, 1, 1])).T))
    # Two open cells find each other: keep the pair once, the lower one first, however cells are partitioned.
    one, other = visitor[k], row + first
    once = (one < other) | ((one > other) & ~np.isin(other, home))
    k, row, one, other = k[once], row[once], one[once], other[once]

    known = matched.flags_of(one, other) | joined.pairs.flags_of(one, other)
    near_open = bounds_meet(cells.open_part(one), bounds[row], reach)
    near_open |= bounds_meet(cells.open_part(other), box[k], reach)
    uneven = cells.is_uneven(one) & cells.is_uneven(other)
    # Copies, because they are prepared: another thread may be using the polygons of the frame.
    unknown = np.unique(k[known == NOTHING])
    polygon[unknown] = shapely.force_2d(polygon[unknown])
    shapely.prepare(polygon[unknown])
    found = Pairs.of(one, other, contact(polygon[k], geoms[row], known, near_open, uneven, snap, gap))
    found = found.where(found.flags > 0)
    is_inside = (found.low >= first) & (found.high < first + len(geoms))
    return Checked(found.where(is_inside), found.where(~is_inside))
