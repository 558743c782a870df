"""The indices of segregation as data: what each needs, its bounds and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics import segregation_concentration as concentration
from geomob_dask.metrics import segregation_gini as sorted_pairs
from geomob_dask.metrics import segregation_local as local
from geomob_dask.metrics import segregation_multi_group as multi_group
from geomob_dask.metrics import segregation_nested as nested
from geomob_dask.metrics import segregation_ordinal as ordinal
from geomob_dask.metrics import segregation_proximity as proximity
from geomob_dask.metrics import segregation_rank_order as rank_order
from geomob_dask.metrics import segregation_spatial as spatial
from geomob_dask.metrics import segregation_sums as sums
from geomob_dask.metrics import segregation_two_group as two_group
from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.segregation_sums import RegionSums, Term

Kind = Literal["two-group", "multi-group", "local", "ordinal", "rank-order", "nested", "spatial"]
Shape = Literal["region", "group", "pair", "level"]
Needs = Literal["sums", "units", "areas", "environment", "proximity", "paths"]
INFINITE = np.inf


@dataclass(frozen=True)
class SegregationIndex:
    """One index of segregation.

    Attributes
    ----------
    name : str
        Names its column, its option of a job and its line in the docs.
    function : function
        Its kernel. What it is called with follows from `needs`.
    kind : str
        ``ordinal`` and ``rank-order`` take the groups in their order; the others take them in any.
    needs : str
        ``sums``: the region's totals and `terms`, merged over partitions. ``units``: all counts of a region
        together, to be sorted. ``areas``: the same with the land of each unit. ``environment``: `terms` of units
        with the people around them. ``proximity``: sums of `proximity_term`. ``paths``: all counts of a
        region with the areas each unit lies in.
    shape : str
        One value a ``region``, a region and ``group``, a ``pair`` of groups, or a ``level`` of nesting.
    bounds : (float, float)
        Least and greatest value.
    terms : tuple of Term
        Partial sums, besides the totals, that make the index.
    reference : str
    """

    name: str
    function: Callable[..., Floats]
    kind: Kind
    needs: Needs
    shape: Shape
    bounds: tuple[float, float]
    terms: tuple[Term, ...]
    reference: str

    def evaluate(self, region_sums: RegionSums) -> Floats:
        """Return the index from counts alone, or from environments where it is spatial.

        Raises
        ------
        DefinitionError
            If the index needs areas, distances or nesting besides.
        """
        if self.needs in ("sums", "environment"):
            return self.function(region_sums)
        if self.needs == "units":
            units = region_sums.units
            return self.function(units.counts, units.region, len(units.totals))
        raise DefinitionError(f"the index {self.name!r} needs {self.needs} besides counts")


INDICES: dict[str, SegregationIndex] = {
    index.name: index
    for index in (
        SegregationIndex(
            "dissimilarity",
            two_group.dissimilarity,
            "two-group",
            "sums",
            "group",
            (0.0, 1.0),
            (sums.ABSOLUTE_DEVIATION,),
            "Duncan & Duncan (1955)",
        ),
        SegregationIndex(
            "gini", sorted_pairs.gini, "two-group", "units", "group", (0.0, 1.0), (), "Duncan & Duncan (1955)"
        ),
        SegregationIndex(
            "isolation",
            two_group.isolation,
            "two-group",
            "sums",
            "group",
            (0.0, 1.0),
            (sums.OWN_EXPOSURE,),
            "Lieberson (1981)",
        ),
        SegregationIndex(
            "interaction",
            two_group.interaction,
            "two-group",
            "sums",
            "pair",
            (0.0, 1.0),
            (sums.PAIR_EXPOSURE,),
            "Lieberson (1981)",
        ),
        SegregationIndex(
            "correlation_ratio",
            two_group.correlation_ratio,
            "two-group",
            "sums",
            "group",
            (0.0, 1.0),
            (sums.SQUARE_DEVIATION,),
            "Bell (1954); White (1986)",
        ),
        SegregationIndex(
            "theil",
            two_group.theil,
            "two-group",
            "sums",
            "group",
            (0.0, 1.0),
            (sums.BINARY_DIVERGENCE,),
            "Theil & Finizza (1971)",
        ),
        SegregationIndex(
            "atkinson",
            two_group.atkinson,
            "two-group",
            "sums",
            "group",
            (0.0, 1.0),
            (two_group.atkinson_term(0.5),),
            "James & Taeuber (1985)",
        ),
        SegregationIndex(
            "minimum_maximum",
            two_group.minimum_maximum,
            "two-group",
            "sums",
            "group",
            (0.0, 1.0),
            (sums.ABSOLUTE_DEVIATION,),
            "O'Sullivan & Wong (2007)",
        ),
        SegregationIndex(
            "delta", concentration.delta, "two-group", "areas", "group", (0.0, 1.0), (), "Massey & Denton (1988)"
        ),
        SegregationIndex(
            "absolute_concentration",
            concentration.absolute_concentration,
            "two-group",
            "areas",
            "group",
            (0.0, 1.0),
            (),
            "Massey & Denton (1988)",
        ),
        SegregationIndex(
            "relative_concentration",
            concentration.relative_concentration,
            "two-group",
            "areas",
            "group",
            (-INFINITE, 1.0),
            (),
            "Massey & Denton (1988)",
        ),
        SegregationIndex(
            "spatial_proximity",
            proximity.spatial_proximity,
            "two-group",
            "proximity",
            "group",
            (0.0, INFINITE),
            (),
            "White (1986)",
        ),
        SegregationIndex(
            "multigroup_dissimilarity",
            multi_group.multigroup_dissimilarity,
            "multi-group",
            "sums",
            "region",
            (0.0, 1.0),
            (sums.ABSOLUTE_DEVIATION,),
            "Sakoda (1981)",
        ),
        SegregationIndex(
            "multigroup_gini",
            sorted_pairs.multigroup_gini,
            "multi-group",
            "units",
            "region",
            (0.0, 1.0),
            (),
            "Reardon & Firebaugh (2002)",
        ),
        SegregationIndex(
            "mutual_information",
            multi_group.mutual_information,
            "multi-group",
            "sums",
            "region",
            (0.0, INFINITE),
            (sums.DIVERGENCE,),
            "Theil & Finizza (1971); Mora & Ruiz-Castillo (2011)",
        ),
        SegregationIndex(
            "information_theory",
            multi_group.information_theory,
            "multi-group",
            "sums",
            "region",
            (0.0, 1.0),
            (sums.DIVERGENCE,),
            "Theil (1972)",
        ),
        SegregationIndex(
            "relative_diversity",
            multi_group.relative_diversity,
            "multi-group",
            "sums",
            "region",
            (0.0, 1.0),
            (sums.SQUARE_DEVIATION,),
            "Carlson (1992)",
        ),
        SegregationIndex(
            "normalized_exposure",
            multi_group.normalized_exposure,
            "multi-group",
            "sums",
            "region",
            (0.0, 1.0),
            (sums.SQUARE_DEVIATION,),
            "James (1986)",
        ),
        SegregationIndex(
            "squared_coefficient_of_variation",
            multi_group.squared_coefficient_of_variation,
            "multi-group",
            "sums",
            "region",
            (0.0, 1.0),
            (sums.SQUARE_DEVIATION,),
            "Reardon & Firebaugh (2002)",
        ),
        SegregationIndex(
            "simpson_interaction",
            multi_group.simpson_interaction,
            "multi-group",
            "sums",
            "region",
            (0.0, 1.0),
            (),
            "Simpson (1949)",
        ),
        SegregationIndex(
            "diversity", multi_group.diversity, "multi-group", "sums", "region", (0.0, INFINITE), (), "Theil (1972)"
        ),
        SegregationIndex(
            "group_mutual_information",
            local.group_mutual_information,
            "local",
            "sums",
            "group",
            (0.0, INFINITE),
            (sums.DIVERGENCE,),
            "Mora & Ruiz-Castillo (2011)",
        ),
        SegregationIndex(
            "ordinal_information_theory",
            ordinal.ordinal_information_theory,
            "ordinal",
            "sums",
            "region",
            (0.0, 1.0),
            (ordinal.ORDINAL_ENTROPY,),
            "Reardon (2009)",
        ),
        SegregationIndex(
            "ordinal_variation_ratio",
            ordinal.ordinal_variation_ratio,
            "ordinal",
            "sums",
            "region",
            (0.0, 1.0),
            (ordinal.ORDINAL_VARIANCE,),
            "Reardon (2009)",
        ),
        SegregationIndex(
            "ordinal_square_root",
            ordinal.ordinal_square_root,
            "ordinal",
            "sums",
            "region",
            (0.0, 1.0),
            (ordinal.ORDINAL_DEVIATION,),
            "Reardon (2009)",
        ),
        SegregationIndex(
            "ordinal_absolute_difference",
            ordinal.ordinal_absolute_difference,
            "ordinal",
            "sums",
            "region",
            (0.0, 1.0),
            (ordinal.ORDINAL_DIFFERENCE,),
            "Reardon (2009)",
        ),
        SegregationIndex(
            "rank_order_information_theory",
            rank_order.rank_order_information_theory,
            "rank-order",
            "sums",
            "region",
            (-INFINITE, INFINITE),
            (ordinal.ORDINAL_ENTROPY,),
            "Reardon (2011)",
        ),
        SegregationIndex(
            "rank_order_variance_ratio",
            rank_order.rank_order_variance_ratio,
            "rank-order",
            "sums",
            "region",
            (-INFINITE, INFINITE),
            (ordinal.ORDINAL_VARIANCE,),
            "Reardon (2011)",
        ),
        SegregationIndex(
            "rank_order_square_root",
            rank_order.rank_order_square_root,
            "rank-order",
            "sums",
            "region",
            (-INFINITE, INFINITE),
            (ordinal.ORDINAL_DEVIATION,),
            "Reardon (2011)",
        ),
        SegregationIndex(
            "nested_mutual_information",
            nested.nested_mutual_information,
            "nested",
            "paths",
            "level",
            (0.0, INFINITE),
            (),
            "Theil (1972)",
        ),
        SegregationIndex(
            "nested_information_theory",
            nested.nested_information_theory,
            "nested",
            "paths",
            "level",
            (0.0, 1.0),
            (),
            "Theil (1972)",
        ),
        SegregationIndex(
            "spatial_dissimilarity",
            multi_group.multigroup_dissimilarity,
            "spatial",
            "environment",
            "region",
            (0.0, INFINITE),
            (sums.ABSOLUTE_DEVIATION,),
            "Reardon & O'Sullivan (2004)",
        ),
        SegregationIndex(
            "spatial_exposure",
            two_group.interaction,
            "spatial",
            "environment",
            "pair",
            (0.0, 1.0),
            (sums.PAIR_EXPOSURE,),
            "Reardon & O'Sullivan (2004)",
        ),
        SegregationIndex(
            "spatial_information_theory",
            spatial.spatial_information_theory,
            "spatial",
            "environment",
            "region",
            (-INFINITE, 1.0),
            (sums.ENTROPY,),
            "Reardon & O'Sullivan (2004)",
        ),
        SegregationIndex(
            "spatial_relative_diversity",
            spatial.spatial_relative_diversity,
            "spatial",
            "environment",
            "region",
            (-INFINITE, 1.0),
            (sums.INTERACTION,),
            "Reardon & O'Sullivan (2004)",
        ),
    )
}


def chosen(names: Iterable[str]) -> tuple[SegregationIndex, ...]:
    """Return the indices of these names.

    Raises
    ------
    DefinitionError
        If there is no index of a name.
    """
    asked = tuple(names)
    unknown = [name for name in asked if name not in INDICES]
    if unknown:
        raise DefinitionError(f"found no index {unknown[0]!r}, expected one of {', '.join(INDICES)}")
    return tuple(INDICES[name] for name in asked)


def terms_of(indices: Iterable[SegregationIndex]) -> tuple[Term, ...]:
    """Return the terms that indices need, each once."""
    return tuple({term.name: term for index in indices for term in index.terms}.values())
