"""Spatial segregation (Reardon & O'Sullivan 2004): the people around each unit in place of its own.

The environment of a unit is the mix of groups among itself and its neighbors. Units keep their own
people as weights, and the region its own mix: environments overlap, so their average is not the
region's mix, and indices may be below 0. The exposures and D of the other modules hold with
environments unchanged (`multigroup_dissimilarity`, `interaction`, `isolation` on sums gathered
with ``environment=``); H and R are here, in the form that does not assume the average.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, quotient, shares
from geomob_dask.metrics.entropy import entropy_of_shares
from geomob_dask.metrics.segregation_sums import ENTROPY, INTERACTION, Counted, sums_over


def neighborhood_weights(adjacency: csr_array, region: Integers, own: NDArray[np.bool_] | None = None) -> csr_array:
    """Weights of a unit's environment: 1 for itself and for each neighbor in its region.

    Parameters
    ----------
    adjacency : shape (n_units, n_units)
        Neighbors of each unit: non-zero entries, without the unit itself.
    region : shape (n_units,), integers
        Regions; people across the border of a region are not part of its environments.
    own : shape (n_units,), bool, optional
        The units of this partition; the others are its halo. By default all.

    Returns
    -------
    csr_array of shape (n_own, n_units)

    Raises
    ------
    DefinitionError
        If the matrix is not square or does not fit the regions.
    """
    n_units = len(region)
    if adjacency.shape != (n_units, n_units):
        raise DefinitionError(f"the neighbors have shape {adjacency.shape}, expected {(n_units, n_units)}")
    rows, columns = adjacency.nonzero()
    inside = (region[rows] == region[columns]) & (rows != columns)
    units = np.arange(n_units)
    rows, columns = np.r_[rows[inside], units], np.r_[columns[inside], units]
    weights = csr_array((np.ones(len(rows)), (rows, columns)), shape=(n_units, n_units))
    return weights if own is None else weights[own]


def environment(counts: ArrayLike, weights: csr_array) -> Floats:
    """Shares of the groups around each unit: ``Σ_j w_ij n_jk / Σ_j w_ij t_j``.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons
        Of the partition and its halo, in the order of the units' identifiers: sums over neighbors
        then run in one order in any partitioning.
    weights : shape (n_own, n_units), non-negative
        From `neighborhood_weights`, or any other.

    Returns
    -------
    shape (n_own, n_groups)
        NaN where nobody lives around.

    Raises
    ------
    CountsError
        If a count is missing or negative, or the shapes differ.
    """
    table = checked_counts(counts)
    if weights.shape[1] != len(table):
        raise CountsError(f"found {len(table)} units for weights of {weights.shape[1]}, expected one for each")
    around = weights.sorted_indices() @ table
    return shares(around)


def spatial_information_theory(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """Spatial H: ``1 − Σ t_i Ẽ_i / (T E)``, Ẽ_i the entropy of the environment.

    Parameters
    ----------
    counts : RegionSums
        Gathered with ``environment=``. Without it, and of plain counts, this is H.
    region, n_regions : as in `RegionSums.of`

    Returns
    -------
    shape (n_regions,)
        1 where no environment has two groups, 0 where each is as diverse as the region, negative
        where they are more so. NaN where nobody lives in the region or all are in one group.

    References
    ----------
    Reardon & O'Sullivan (2004), "Measures of spatial segregation".
    """
    sums = sums_over(counts, region, n_regions)
    return 1.0 - quotient(sums[ENTROPY][:, 0], sums.people[:, 0] * entropy_of_shares(sums.share))


def spatial_relative_diversity(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> Floats:
    """Spatial R: ``1 − Σ t_i Ĩ_i / (T I)``; otherwise as `spatial_information_theory`."""
    sums = sums_over(counts, region, n_regions)
    return 1.0 - quotient(sums[INTERACTION][:, 0], sums.people[:, 0] * sums.interaction)
