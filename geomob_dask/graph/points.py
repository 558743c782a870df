"""Equal points and points near each other, found by sorting.

Points are complex numbers: one number to pick, to compare, to measure from.
"""

from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Points = NDArray[np.complex128]

# Two points of one grid square of this side (in units of the tolerance) lie within the tolerance:
# a little under 1/sqrt(2), so that rounding cannot carry them beyond it.
_SIDE = 0.7


def as_floats(points: Points) -> Floats:
    """Return points as rows of x and y."""
    return np.ascontiguousarray(points).view(np.float64).reshape(-1, 2)


def as_points(xy: Floats) -> Points:
    """Return rows of x and y as points."""
    return np.ascontiguousarray(xy).view(np.complex128).reshape(-1)


def snapped(points: Points, snap: float) -> Points:
    """Return the grid square of each point; points of one square lie within `snap` of each other.

    Parameters
    ----------
    points : shape (n,), map units
    snap : float, map units
        Zero keeps the coordinates: only equal points share a square.
    """
    xy = as_floats(points)
    if snap > 0:
        xy = np.rint(xy / (_SIDE * snap))
    # Adding zero makes one of the two zeros, whose bits differ.
    return as_points(xy + 0.0)


def mix(points: Points, salt: int) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each point's two coordinates."""
    bits = as_floats(points).view(np.uint64)
    odd = np.uint64((0x9E3779B97F4A7C15 + 2 * salt * 0xD1342543DE82EF95) % 2**64)
    key: NDArray[np.uint64] = bits[:, 0] * odd
    key ^= key >> np.uint64(29)
    key += bits[:, 1] * np.uint64(0xBF58476D1CE4E5B9)
    key ^= key >> np.uint64(32)
    return key * np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Groups:
    """Equal points together.

    Attributes
    ----------
    order : shape (n,)
        Rows of the points, equal ones side by side.
    start : shape (n_distinct,)
        Where in `order` each group of equal points begins.
    """

    order: Ints
    start: Ints

    @property
    def size(self) -> Ints:
        """Points in each group."""
        return np.diff(self.start, append=len(self.order))

    @property
    def first(self) -> Ints:
        """Row of one point of each group."""
        return self.order[self.start]

    def spread(self, of_group: NDArray[Any]) -> NDArray[Any]:
        """Return for each point the value of its group."""
        of_point = np.empty(len(self.order), of_group.dtype)
        of_point[self.order] = np.repeat(of_group, self.size)
        return of_point

    def any(self, flag: Bools) -> Bools:
        """Return for each group whether `flag` holds for one of its points."""
        return self._at(np.flatnonzero(flag[self.order]))

    def differing(self, points: Points) -> Bools:
        """Return for each group whether its members differ in `points`."""
        moved = _moves(points, self.order)
        moved[self.start] = False
        return self._at(np.flatnonzero(moved))

    def _at(self, places: Ints) -> Bools:
        found = np.zeros(len(self.start), bool)
        found[np.searchsorted(self.start, places, side="right") - 1] = True
        return found


def group(points: Points) -> Groups:
    """Return groups of equal points, by one sort of their hashes.

    Different points with the same hash would come out as one group or split one, so the sorted points are
    compared; if there are any, everything is hashed again with another salt.
    """
    for salt in count():
        key = mix(points, salt)
        # Sixteen bits less to sort by: 48 tell a million points apart.
        order = radix_argsort(key, range(16, 64))
        moved = _moves(points, order)
        key = key[order] >> np.uint64(16)
        if not np.any(moved[1:] & (key[1:] == key[:-1])):
            break
    return Groups(order, np.flatnonzero(moved))


def radix_argsort(key: NDArray[np.integer[Any]], bits: range) -> Ints:
    """Return rows in ascending order of some bits of `key`, which is not negative.

    NumPy sorts 16-bit numbers in linear time, so this takes 16 bits after 16 bits, the lowest first.
    """
    digits = [(key >> key.dtype.type(shift)).astype(np.uint16) for shift in bits[::16]]
    order = np.argsort(digits[0], kind="stable")
    for digit in digits[1:]:
        order = order[np.argsort(digit[order], kind="stable")]
    return order


def _moves(points: Points, order: Ints) -> Bools:
    """Return where a point differs from the one before it in `order`; the first always does."""
    ordered = points[order]
    moved = np.ones(len(order), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=moved[1:])
    return moved


def is_short(start: Points, end: Points, snap: float) -> Bools:
    """Return which edges are no longer than the tolerance."""
    step = end - start
    short: Bools = step.real**2 + step.imag**2 <= snap**2
    return short


def crowded(points: Points, radius: float) -> Bools:
    """Return which of the distinct `points` have another one within `radius`.

    Points near each other are near on any line: one sort of their places on a line leaves a handful
    of candidates, where the radius is small against the space between the points.
    """
    near = np.zeros(len(points), bool)
    if radius == 0 or len(points) < 2:
        return near
    place = (points * (0.8191520442889918 - 0.573576436351046j)).real
    scale = (2**32 - 1) / max(np.ptp(place), radius)
    step = ((place - place.min()) * scale).astype(np.int64)
    order = radix_argsort(step, range(32))
    close = np.diff(step[order]) <= radius * scale + 2
    candidates = order[np.append(close, False) | np.append(False, close)]
    if len(candidates):
        xy = as_floats(points[candidates])
        distance, _ = KDTree(xy).query(xy, k=2, distance_upper_bound=1.001 * radius)
        near[candidates[np.isfinite(distance[:, 1])]] = True
    return near
