"""Polygons made ready for a map: projected, and simplified by less than is visible."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

Geometry = NDArray[np.object_]

POLYGONAL = (3, 6)  # polygon, multipolygon
# A map as wide as a screen shows its extent on about 1,200 pixels: half a pixel at eight times that.
STEPS_ACROSS = 20_000
WIDEST = 4_700_000.0  # meters: the contiguous states; areas outside them are moved, not shown where they lie


def display_tolerance(bounds: Sequence[float]) -> float:
    """Return how far a line may move on a map of some bounds without being seen to, in meters.

    Parameters
    ----------
    bounds : left, bottom, right, top
        In meters of EPSG:5070.

    Examples
    --------
    >>> display_tolerance((0, 0, 400_000, 300_000))
    20.0
    """
    left, bottom, right, top = bounds
    return float(min(max(right - left, top - bottom), WIDEST) / STEPS_ACROSS)


def simplify_for_display(geometry: Geometry, tolerance: float) -> Geometry:
    """Return polygons with fewer points, whose shared borders stay shared.

    Parameters
    ----------
    geometry : shape (n_tracts,), polygons
        Any part of a coverage, such as a state; None or empty where there is none. The outline of the part is
        simplified too: two parts simplified apart may differ there, by less than the tolerance.
    tolerance : float
        In the units of the geometry: a corner goes where it spans less than the tolerance squared.

    Returns
    -------
    shape (n_tracts,), polygons
        Overlapping or invalid input comes out simplified all the same, and as invalid as it went in.

    Examples
    --------
    A corner that both squares share goes from both:

    >>> left = shapely.Polygon([(0, 0), (1, 0), (1.01, 0.5), (1, 1), (0, 1)])
    >>> right = shapely.Polygon([(1, 0), (2, 0), (2, 1), (1, 1), (1.01, 0.5)])
    >>> [part.area for part in simplify_for_display(np.array([left, right]), 0.1)]
    [1.0, 1.0]
    """
    geometry = np.asarray(geometry, dtype=object).copy()
    try:
        return _simplified(geometry, tolerance)
    except shapely.errors.GEOSException:
        # A part without an area, such as a sliver whose corners fell together when it was projected.
        return _simplified(shapely.make_valid(geometry, method="structure", keep_collapsed=False), tolerance)


def _simplified(geometry: Geometry, tolerance: float) -> Geometry:
    there = np.isin(shapely.get_type_id(geometry), POLYGONAL) & ~shapely.is_empty(geometry)
    if there.any():
        geometry[there] = shapely.coverage_simplify(geometry[there], tolerance)
    return geometry
