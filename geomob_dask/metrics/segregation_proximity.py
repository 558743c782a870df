"""Spatial proximity (White 1986): whether members of a group live nearer to each other than all do."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.counts import Floats, Integers, quotient
from geomob_dask.metrics.segregation_sums import RegionSums, Term, Units

# Mean distance between two points of a unit is about √(0.6 · area) (White 1983).
_WITHIN = 0.6


def proximity_weights(
    points: Floats, areas: Floats, region: Integers, cutoff: float, own: NDArray[np.bool_] | None = None
) -> csr_array:
    """Proximity ``c_ij = e^(−d_ij)`` of the units of a region, with ``d_ii = √(0.6 a_i)``.

    Proximity falls with distance: an index whose c grows with it turns the answer round.

    Parameters
    ----------
    points : shape (n_units, 2) or (n_units, 3), km
        Centroids, in a plane or on the earth's sphere: within the cut-off the straight line through it is as long as
        the way on the ground. The kilometer is part of the definition: e^(−d) has its unit.
    areas : shape (n_units,), km²
    region : shape (n_units,), integers
        Pairs in different regions do not count.
    cutoff : km
        Pairs further apart are left out: at 20 km c is 2e-9.
    own : shape (n_units,), bool, optional
        The units of this partition; the others are its halo. By default all.

    Returns
    -------
    csr_array of shape (n_own, n_units)

    Raises
    ------
    DefinitionError
        If an area, the cut-off or a coordinate is missing or negative.
    """
    if not cutoff > 0 or not np.isfinite(cutoff):
        raise DefinitionError(f"found the cut-off {cutoff} km, expected a finite distance above 0")
    bad = np.flatnonzero(~(np.isfinite(points).all(axis=1) & (areas >= 0) & np.isfinite(areas)))
    if bad.size:
        unit = bad[0]
        raise DefinitionError(f"unit {unit}: found the point {points[unit]} and area {areas[unit]}, expected numbers")
    mine = np.flatnonzero(np.ones(len(points), dtype=bool) if own is None else own)
    # A third coordinate keeps regions out of each other's reach, so that one tree holds them all.
    apart = np.column_stack([points, 3.0 * cutoff * region])
    pairs = KDTree(apart[mine]).sparse_distance_matrix(KDTree(apart), cutoff, output_type="ndarray")
    rows, columns, distance = pairs["i"], pairs["j"], pairs["v"]
    distance = np.where(mine[rows] == columns, np.sqrt(_WITHIN * areas[columns]), distance)
    return csr_array((np.exp(-distance), (rows, columns)), shape=(len(mine), len(points))).sorted_indices()


def proximity_term(weights: csr_array, counts: Floats) -> Term:
    """``x_i Σ_j c_ij x_j`` a group, the same of its others, and ``t_i Σ_j c_ij t_j``.

    Parameters
    ----------
    weights : shape (n_own, n_units)
        From `proximity_weights`.
    counts : shape (n_units, n_groups)
        Of the partition and its halo, in the order of the units' identifiers.
    """
    return Term("proximity", partial(_proximity, weights=weights, around=counts))


def spatial_proximity(sums: RegionSums, term: Term) -> Floats:
    """SP: ``(X P_xx + Y P_yy) / (T P_tt)``, ``P_xx = Σ_i Σ_j x_i x_j c_ij / X²``.

    Parameters
    ----------
    sums : RegionSums
    term : Term
        From `proximity_term`.

    Returns
    -------
    shape (n_regions, n_groups)
        Above 1 where members of the group, or its others, live nearer to each other than all do; 1 where there is
        no such difference; below 1 where groups live nearer to each other. NaN where
        nobody or everybody is in the group.

    References
    ----------
    White (1986); Massey & Denton (1988).
    """
    n_groups = sums.totals.shape[1]
    group, others, everybody = np.split(sums[term], [n_groups, 2 * n_groups], axis=1)
    apart = quotient(group, sums.totals) + quotient(others, sums.people - sums.totals)
    return quotient(apart, quotient(everybody, sums.people))


def _proximity(units: Units, weights: csr_array, around: Floats) -> Floats:
    people = around.sum(axis=1, keepdims=True)
    return np.concatenate(
        [
            units.counts * (weights @ around),
            (units.people - units.counts) * (weights @ (people - around)),
            units.people * (weights @ people),
        ],
        axis=1,
    )
