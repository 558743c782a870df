"""All units of some regions, with what indices need of them besides counts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, checked_regions
from geomob_dask.metrics.segregation_spatial import environment, neighborhood_weights
from geomob_dask.metrics.segregation_sums import RegionSums

# c = e^(−d): all pairs further apart than this add up to 5e-6 of the proximity of an even plain.
CUTOFF_KM = 15.0
_ARRAYS = ("land", "points", "levels", "standard_errors", "interviews", "total_errors")
# What `RegionUnits` holds besides counts, and how messages name it.
INPUTS = {"polygons": "land and centroids", "neighbors": "the neighbors of units", "levels": "areas of levels"}


@dataclass(frozen=True)
class RegionUnits:
    """All units of some regions, in the order of their identifiers.

    Attributes
    ----------
    counts : shape (n_units, n_groups), persons or households
    region : shape (n_units,), integers in [0, n_regions)
    n_regions : int
    land : shape (n_units,), any unit of area (km² for proximity), optional
        NaN where the unit has no polygon.
    points : shape (n_units, 2), degrees, optional
        Longitude and latitude of the centroids.
    levels : shape (n_units, n_levels), text or numbers, optional
        Areas between the region and the unit, from wide to narrow.
    adjacency : sparse array, shape (n_units, n_units), optional
        Non-zero for the neighbors of each unit; those in other regions are left out.
    standard_errors : shape (n_units, n_groups), optional
        Of the counts, from margins of error.
    interviews : shape (n_units,), optional
        Effective number of interviews behind the counts; without it they are a full count. NaN in a region of which
        nothing is known.
    total_errors : shape (n_units,), optional
        Standard errors of the units' people.
    around : shape (n_units, n_groups), optional
        Shares of the groups around each unit, where they are known already.
    cutoff : float, km
        Pairs of units further apart are left out of proximity.
    exact : bool
        Whether sums are exact; in the order of the units they are faster (for draws).
    """

    counts: Floats
    region: Integers
    n_regions: int
    land: Floats | None = None
    points: Floats | None = None
    levels: NDArray[Any] | None = None
    adjacency: csr_array | None = None
    standard_errors: Floats | None = None
    interviews: Floats | None = None
    total_errors: Floats | None = None
    around: Floats | None = field(default=None, repr=False)
    cutoff: float = CUTOFF_KM
    exact: bool = True

    @classmethod
    def of(
        cls, counts: ArrayLike, region: ArrayLike | None = None, n_regions: int | None = None, **inputs: Any
    ) -> RegionUnits:
        """Return units after checking counts and regions; `inputs` are the optional attributes, as arrays or lists."""
        table = checked_counts(counts)
        codes, number = checked_regions(region, len(table), n_regions)
        arrays: dict[str, Any] = {
            name: np.asarray(value, dtype=None if name == "levels" else np.float64)
            if name in _ARRAYS and value is not None
            else value
            for name, value in inputs.items()
        }
        return cls(table, codes, number, **arrays)

    @cached_property
    def sums(self) -> RegionSums:
        """Totals and sums of the regions."""
        return RegionSums.of(self.counts, self.region, self.n_regions, exact=self.exact)

    @cached_property
    def spatial_sums(self) -> RegionSums:
        """The same with the people around each unit in place of its own."""
        around = self.around
        if around is None:
            if self.adjacency is None:
                raise _lacking("neighbors")
            around = environment(self.counts, neighborhood_weights(self.adjacency, self.region))
        return RegionSums.of(self.counts, self.region, self.n_regions, environment=around, exact=self.exact)

    @property
    def known_land(self) -> Floats:
        """Land of the units; NaN where there is no polygon.

        Raises
        ------
        DefinitionError
            If there are no polygons.
        """
        if self.land is None:
            raise _lacking("polygons")
        return self.land

    @property
    def known_points(self) -> Floats:
        """Centroids of the units; raises as `known_land`."""
        if self.points is None:
            raise _lacking("polygons")
        return self.points

    def without_land(self) -> Floats:
        """Return how many units with people have no polygon in each region; none where no polygons are given."""
        if self.land is None:
            return np.zeros(self.n_regions)
        lacking = (np.isnan(self.land) & (self.counts.sum(axis=1) > 0)).astype(np.float64)
        return np.asarray(np.bincount(self.region, weights=lacking, minlength=self.n_regions), dtype=np.float64)

    @cached_property
    def paths(self) -> Integers:
        """Positions of each unit's region, of its area at each level, and of the unit itself."""
        levels = self.levels if self.levels is not None else np.zeros((len(self.counts), 0))
        inner = [np.unique(column, return_inverse=True)[1] for column in levels.T]
        return np.column_stack([self.region, *inner, np.arange(len(self.counts))]).astype(np.int64)

    def rows_by_region(self) -> list[Integers]:
        """Return the rows of each region, in their order."""
        order = np.argsort(self.region, kind="stable").astype(np.int64)
        pieces = np.split(order, np.searchsorted(self.region[order], np.arange(1, self.n_regions)))
        return pieces[: self.n_regions]

    def alone(self, rows: Integers) -> RegionUnits:
        """Return some of the units as one region."""
        some: dict[str, Any] = {
            name: None if (values := getattr(self, name)) is None else values[rows]
            for name in ("counts", *_ARRAYS, "around")
        }
        adjacency = None if self.adjacency is None else self.adjacency[rows][:, rows]
        one = np.zeros(len(rows), dtype=np.int64)
        return replace(self, **some, region=one, n_regions=1, adjacency=adjacency)


def _lacking(name: str) -> DefinitionError:
    return DefinitionError(f"found counts without {INPUTS[name]}; expected them for this index")
