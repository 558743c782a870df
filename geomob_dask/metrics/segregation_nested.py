"""Nested segregation: how much of M and H lies between the areas of each level.

Tracts lie in counties, counties in metropolitan areas, these in states and those in a nation. M is
the divergence of the tracts from the nation; by the chain rule of divergence it is the sum, over
the levels, of the divergence of each level's areas from the area above them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, quotient
from geomob_dask.metrics.divergence import nested_divergence
from geomob_dask.metrics.entropy import entropy
from geomob_dask.metrics.segregation_sums import ordered_sums


def nested_mutual_information(counts: ArrayLike, paths: Integers) -> Floats:
    """Parts of M by level: ``Σ_a (T_a / T) KL(P_a ‖ P_parent(a))`` over the areas a of each level.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
    paths : shape (n_units, depth), integers
        The areas each unit lies in, from the widest to the unit itself: the position of its region
        in 0 … n_regions − 1, then its state, metropolitan area, county, tract. Codes need only differ within
        the area above; an area that crosses the border of one above is as many areas as it has parts.

    Returns
    -------
    shape (n_regions, depth − 1), nats
        Part of each level below the region, adding up to M of the units in the region, each 0 or
        more; NaN where nobody lives in the region.

    Raises
    ------
    CountsError
        If a count is missing or negative.
    DefinitionError
        If there are fewer than two levels.

    Notes
    -----
    Parts are added up in the order of the codes, so the order of the units changes nothing.

    References
    ----------
    Theil (1972); Reardon & Firebaugh (2002), on organizational decomposability.

    Examples
    --------
    Two counties alike, each with two tracts apart: all segregation lies within counties.

    >>> paths = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]])
    >>> nested_mutual_information([[10, 0], [0, 10], [10, 0], [0, 10]], paths)
    array([[0. , 0.693147]])
    """
    table, paths = checked_counts(counts), _checked_paths(paths)
    parts = nested_divergence(table, paths, _region_totals(table, paths))
    return parts[:, 1:]


def nested_information_theory(counts: ArrayLike, paths: Integers) -> Floats:
    """Parts of H by level: those of M over the entropy of the region, adding up to H.

    Parameters are those of `nested_mutual_information`.

    Returns
    -------
    shape (n_regions, depth − 1)
        NaN also where all of the region are in one group.
    """
    table = checked_counts(counts)
    totals = _region_totals(table, _checked_paths(paths))
    return quotient(nested_mutual_information(table, paths), entropy(totals)[:, None])


def _checked_paths(paths: Integers) -> Integers:
    codes = np.asarray(paths)
    if codes.ndim != 2 or codes.shape[1] < 2:
        raise DefinitionError(f"paths have shape {codes.shape}, expected a region and at least one level below it")
    return codes


def _region_totals(table: Floats, paths: Integers) -> Floats:
    return ordered_sums(table, paths[:, 0], int(paths[:, 0].max(initial=-1)) + 1)
