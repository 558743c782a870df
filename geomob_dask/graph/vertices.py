"""Polygons as arrays of ring vertices, walked with the inside of the cell on the left."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import shapely
from numpy.typing import NDArray

from geomob_dask.graph.points import Bools, Floats, Ints, Points, as_points


@dataclass(frozen=True)
class Vertices:
    """Vertices of cells, one row for each ring that has it; the closing vertex of a ring is left out.

    Attributes
    ----------
    at : shape (n_vertices,), map units
        The point.
    ahead, behind : shape (n_vertices,), map units
        The next and the previous point of the ring, walked with the inside of the cell on the left.
    cell : shape (n_vertices,)
        Number of the cell.
    uneven : shape (n_vertices,)
        Whether another vertex lies near this one without being equal to it, as far as is known.
    """

    at: Points
    ahead: Points
    behind: Points
    cell: Ints
    uneven: Bools

    def pick(self, rows: Ints) -> "Vertices":
        """Return the vertices in these rows."""
        return Vertices(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence["Vertices"]) -> "Vertices":
        """Return the rows of all parts."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def vertices(geoms: NDArray[np.object_]) -> Vertices:
    """Return the vertices of polygons and multipolygons, whatever the orientation of their rings.

    Parameters
    ----------
    geoms : shape (n_cells,)
        Polygons and multipolygons; heights are left out, empty and missing ones have no vertex.

    Examples
    --------
    A triangle that goes round clockwise is walked the other way:

    >>> triangle = vertices(shapely.polygons([[[0, 0], [0, 1], [1, 0], [0, 0]]]))
    >>> triangle.at[:1], triangle.ahead[:1]
    (array([0.+0.j]), array([1.+0.j]))
    """
    if (shapely.is_missing(geoms) | shapely.is_empty(geoms)).all():
        nowhere = np.zeros(0, complex)
        return Vertices(nowhere, nowhere, nowhere, np.zeros(0, np.int64), np.zeros(0, bool))
    _, xy, offsets = shapely.to_ragged_array(geoms, include_z=False)
    ring_end, polygon_end = offsets[0].astype(np.int64), offsets[1].astype(np.int64)
    polygons_of_cell = np.diff(offsets[2]) if len(offsets) == 3 else np.ones(len(geoms), np.int64)
    cell_of_polygon = np.repeat(np.arange(len(geoms)), polygons_of_cell)
    cell_of_ring = np.repeat(cell_of_polygon, np.diff(polygon_end))
    is_hole = np.ones(len(cell_of_ring), bool)
    is_hole[polygon_end[:-1][np.diff(polygon_end) > 0]] = False

    closing = np.zeros(len(xy), bool)
    closing[ring_end[1:] - 1] = True
    at = as_points(xy)[~closing]
    length = np.diff(ring_end) - 1
    end = np.cumsum(length)
    start = end - length
    following, preceding = np.empty_like(at), np.empty_like(at)
    following[:-1], following[end - 1] = at[1:], at[start]
    preceding[1:], preceding[start] = at[:-1], at[end - 1]

    clockwise = _signed_area(at, following, start, length) < 0
    turned = np.repeat(clockwise != is_hole, length)
    return Vertices(
        at,
        np.where(turned, preceding, following),
        np.where(turned, following, preceding),
        np.repeat(cell_of_ring, length),
        np.zeros(len(at), bool),
    )


def _signed_area(at: Points, following: Points, start: Ints, length: Ints) -> Floats:
    # Relative to a vertex of the ring: far from the origin the plain products lose every digit.
    origin = np.repeat(at[start], length)
    twice: Floats = np.add.reduceat(((at - origin).conj() * (following - origin)).imag, start)
    return twice / 2
