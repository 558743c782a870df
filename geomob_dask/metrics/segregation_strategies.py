"""How indices of segregation are computed: what a kernel is called with, and how its work is shared out.

A strategy holds what an index needs besides counts, the call of its kernel on all units of some regions, whether it is
computed over random draws, whether it looks at where units lie, and how partitions share the work. An index of sums is
made of what each partition adds up over its own rows; one of environments needs rows of neighbors too (halo); all
others need whole regions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from geomob_dask.graph.sphere import in_kilometers
from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.segregation_proximity import proximity_term, proximity_weights
from geomob_dask.metrics.segregation_sums import RegionSums
from geomob_dask.metrics.segregation_units import RegionUnits

Kernel = Callable[..., Floats]
Rows = Literal["own", "halo", "regions"]


@dataclass(frozen=True)
class Strategy:
    """How some indices are computed.

    Attributes
    ----------
    name : str
    call : function
        Calls a kernel with all units of some regions.
    rows : {"own", "halo", "regions"}
        What a partition must see: its own rows, those of neighbors too (both give sums that merge), or whole regions.
    inputs : tuple of str
        Besides counts: keys of `segregation_units.INPUTS`.
    drawable : bool
        Whether indices are computed over random draws.
    spatial : bool
        Whether they change where units change places.
    """

    name: str
    call: Callable[[Kernel, RegionUnits], Floats]
    rows: Rows = "regions"
    inputs: tuple[str, ...] = ()
    drawable: bool = True
    spatial: bool = False


def _of_sums(kernel: Kernel, units: RegionUnits) -> Floats:
    return kernel(units.sums)


def _of_environments(kernel: Kernel, units: RegionUnits) -> Floats:
    return kernel(units.spatial_sums)


def _of_units(kernel: Kernel, units: RegionUnits) -> Floats:
    return kernel(units.counts, units.region, units.n_regions)


def _of_land(kernel: Kernel, units: RegionUnits) -> Floats:
    values = kernel(units.counts, np.nan_to_num(units.known_land), units.region, units.n_regions)
    return _blanked(values, units)


def _of_distances(kernel: Kernel, units: RegionUnits) -> Floats:
    values = np.full((units.n_regions, units.counts.shape[1]), np.nan)
    land, points = units.known_land, np.nan_to_num(units.known_points)
    for region, rows in enumerate(units.rows_by_region()):
        here = rows[~np.isnan(land[rows])]
        if here.size:
            alone, counts = np.zeros(len(here), dtype=np.int64), units.counts[here]
            weights = proximity_weights(in_kilometers(points[here]), land[here], alone, units.cutoff)
            values[region] = kernel(RegionSums.of(counts, alone), proximity_term(weights, counts))[0]
    return _blanked(values, units)


def _of_paths(kernel: Kernel, units: RegionUnits) -> Floats:
    return kernel(units.counts, units.paths)


def _blanked(values: Floats, units: RegionUnits) -> Floats:
    """Return values, NaN in regions that have people where there is no polygon."""
    return np.where((units.without_land() > 0)[:, None], np.nan, values)


SUMS = Strategy("sums", _of_sums, rows="own")
"""The region's totals and terms, added up over partitions."""
ENVIRONMENT = Strategy("environment", _of_environments, rows="halo", inputs=("neighbors",), spatial=True)
"""Terms of units with the people around them."""
REGION = Strategy("region", _of_units)
"""All counts of a region together, to be sorted."""
LAND = Strategy("land", _of_land, inputs=("polygons",), spatial=True)
"""The same with the land of each unit."""
DISTANCE = Strategy("distance", _of_distances, inputs=("polygons",), drawable=False, spatial=True)
"""Pairs of units by their distance."""
NESTING = Strategy("nesting", _of_paths, inputs=("levels",), drawable=False)
"""All counts of a region with the areas that each unit lies in."""
