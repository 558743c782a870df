"""The indices of segregation as data: how each is computed, its bounds and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.errors import DefinitionError, InputError
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
from geomob_dask.metrics.segregation_inference import bias_of_mutual_information
from geomob_dask.metrics.segregation_strategies import DISTANCE, ENVIRONMENT, LAND, NESTING, REGION, SUMS, Strategy
from geomob_dask.metrics.segregation_sums import Term
from geomob_dask.metrics.segregation_units import RegionUnits

Kind = Literal["two-group", "multi-group", "local", "ordinal", "rank-order", "nested", "spatial"]
Shape = Literal["region", "group", "pair", "level"]
Bounds = tuple[float, float]
ALL = "all"
# Pairs of groups make a column each: with more groups they are computed only where they are named.
_FEW_GROUPS = 6


@dataclass(frozen=True)
class SegregationIndex:
    """One index of segregation; called with plain arrays, it returns its values.

    Attributes
    ----------
    name : str
        Names its column, its option of a job and its line in the docs.
    function : function
        Its kernel, called as its strategy says.
    kind : str
        ``ordinal`` and ``rank-order`` take the groups in their order; the others take them in any.
    strategy : Strategy
        What it needs besides counts, and how it is computed.
    shape : str
        One value for each ``region``, for each region and ``group``, ``pair`` of groups, or ``level`` of nesting.
    bounds : (float, float)
        Least and greatest value.
    reference : str
    terms : tuple of Term
        Partial sums, besides the totals, that make the index.
    bias : function, optional
        Returns the bias of its plug-in estimate from `RegionUnits`, where one is known.
    """

    name: str
    function: Callable[..., Floats]
    kind: Kind
    strategy: Strategy
    shape: Shape
    bounds: Bounds
    reference: str
    terms: tuple[Term, ...] = ()
    bias: Callable[[RegionUnits], Floats] | None = None

    @property
    def ordered(self) -> bool:
        """Whether the order of the groups matters."""
        return self.kind in ("ordinal", "rank-order")

    def of(self, units: RegionUnits) -> Floats:
        """Return the index of each region, shape (n_regions, …).

        Raises
        ------
        DefinitionError
            If the units lack what the index needs besides counts.
        """
        return self.strategy.call(self.function, units)

    def __call__(
        self, counts: ArrayLike, region: ArrayLike | None = None, n_regions: int | None = None, **inputs: Any
    ) -> Floats:
        """Return the index of each region from plain arrays.

        Parameters
        ----------
        counts : shape (n_units, n_groups), persons or households
        region : shape (n_units,), integers from 0, optional
            Region of each unit; by default all units are one region.
        n_regions : int, optional
        inputs
            What some indices need besides: ``land``, ``points``, ``levels``, ``adjacency``, ``cutoff``; see
            `RegionUnits`.

        Returns
        -------
        shape (n_regions,), with the groups, pairs of groups or levels behind it as `shape` says

        Raises
        ------
        CountsError
            If a count is missing or negative.
        DefinitionError
            If an input that the index needs is not given.

        Examples
        --------
        >>> INDICES["dissimilarity"]([[80, 20], [20, 80]])
        array([[0.6, 0.6]])
        >>> INDICES["delta"]([[10, 0], [10, 20]], land=[1.0, 3.0])
        array([[0.25, 0.25]])
        """
        return self.of(RegionUnits.of(counts, region, n_regions, **inputs))

    def columns(self, groups: Sequence[str], levels: Sequence[str] = ()) -> list[str]:
        """Return the names of its columns: its own, with the group, the pair of groups or the level behind it.

        Parameters
        ----------
        groups : of the counts
        levels : between the region and the unit; that of the units, ``tract``, is added
        """
        behind: dict[Shape, list[str]] = {
            "region": [""],
            "group": [f"_{group}" for group in groups],
            "pair": [f"_{one}_{other}" for one in groups for other in groups],
            "level": [f"_{level}" for level in (*levels, "tract")],
        }
        return [f"{self.name}{text}" for text in behind[self.shape]]


_UNIT, _ABOVE, _BELOW, _ANY = (0.0, 1.0), (0.0, np.inf), (-np.inf, 1.0), (-np.inf, np.inf)


def _index(
    function: Callable[..., Floats],
    strategy: Strategy,
    reference: str,
    *terms: Term,
    kind: Kind,
    shape: Shape = "region",
    bounds: Bounds = _UNIT,
    name: str = "",
    bias: Callable[[RegionUnits], Floats] | None = None,
) -> SegregationIndex:
    return SegregationIndex(name or function.__name__, function, kind, strategy, shape, bounds, reference, terms, bias)


_of_two = partial(_index, kind="two-group", shape="group")
_of_many = partial(_index, kind="multi-group")
_of_steps = partial(_index, kind="ordinal")
_of_ranks = partial(_index, kind="rank-order", bounds=_ANY)
_around = partial(_index, kind="spatial")

INDICES: dict[str, SegregationIndex] = {
    index.name: index
    for index in (
        _of_two(two_group.dissimilarity, SUMS, "Duncan & Duncan (1955)", sums.ABSOLUTE_DEVIATION),
        _of_two(sorted_pairs.gini, REGION, "Duncan & Duncan (1955)"),
        _of_two(two_group.isolation, SUMS, "Lieberson (1981)", sums.OWN_EXPOSURE),
        _of_two(two_group.interaction, SUMS, "Lieberson (1981)", sums.PAIR_EXPOSURE, shape="pair"),
        _of_two(two_group.correlation_ratio, SUMS, "Bell (1954); White (1986)", sums.SQUARE_DEVIATION),
        _of_two(two_group.theil, SUMS, "Theil & Finizza (1971)", sums.BINARY_DIVERGENCE),
        _of_two(two_group.atkinson, SUMS, "James & Taeuber (1985)", two_group.atkinson_term(0.5)),
        _of_two(two_group.minimum_maximum, SUMS, "O'Sullivan & Wong (2007)", sums.ABSOLUTE_DEVIATION),
        _of_two(concentration.delta, LAND, "Massey & Denton (1988)"),
        _of_two(concentration.absolute_concentration, LAND, "Massey & Denton (1988)"),
        _of_two(concentration.relative_concentration, LAND, "Massey & Denton (1988)", bounds=_BELOW),
        _of_two(proximity.spatial_proximity, DISTANCE, "White (1986)", bounds=_ABOVE),
        _of_many(multi_group.multigroup_dissimilarity, SUMS, "Sakoda (1981)", sums.ABSOLUTE_DEVIATION),
        _of_many(sorted_pairs.multigroup_gini, REGION, "Reardon & Firebaugh (2002)"),
        _of_many(
            multi_group.mutual_information,
            SUMS,
            "Theil & Finizza (1971); Mora & Ruiz-Castillo (2011)",
            sums.DIVERGENCE,
            bounds=_ABOVE,
            bias=bias_of_mutual_information,
        ),
        _of_many(multi_group.information_theory, SUMS, "Theil (1972)", sums.DIVERGENCE),
        _of_many(multi_group.relative_diversity, SUMS, "Carlson (1992)", sums.SQUARE_DEVIATION),
        _of_many(multi_group.normalized_exposure, SUMS, "James (1986)", sums.SQUARE_DEVIATION),
        _of_many(
            multi_group.squared_coefficient_of_variation, SUMS, "Reardon & Firebaugh (2002)", sums.SQUARE_DEVIATION
        ),
        _of_many(multi_group.simpson_interaction, SUMS, "Simpson (1949)"),
        _of_many(multi_group.diversity, SUMS, "Theil (1972)", bounds=_ABOVE),
        _index(
            local.group_mutual_information,
            SUMS,
            "Mora & Ruiz-Castillo (2011)",
            sums.DIVERGENCE,
            kind="local",
            shape="group",
            bounds=_ABOVE,
        ),
        _of_steps(ordinal.ordinal_information_theory, SUMS, "Reardon (2009)", ordinal.ORDINAL_ENTROPY),
        _of_steps(ordinal.ordinal_variation_ratio, SUMS, "Reardon (2009)", ordinal.ORDINAL_VARIANCE),
        _of_steps(ordinal.ordinal_square_root, SUMS, "Reardon (2009)", ordinal.ORDINAL_DEVIATION),
        _of_steps(ordinal.ordinal_absolute_difference, SUMS, "Reardon (2009)", ordinal.ORDINAL_DIFFERENCE),
        _of_ranks(rank_order.rank_order_information_theory, SUMS, "Reardon (2011)", ordinal.ORDINAL_ENTROPY),
        _of_ranks(rank_order.rank_order_variance_ratio, SUMS, "Reardon (2011)", ordinal.ORDINAL_VARIANCE),
        _of_ranks(rank_order.rank_order_square_root, SUMS, "Reardon (2011)", ordinal.ORDINAL_DEVIATION),
        _index(nested.nested_mutual_information, NESTING, "Theil (1972)", kind="nested", shape="level", bounds=_ABOVE),
        _index(nested.nested_information_theory, NESTING, "Theil (1972)", kind="nested", shape="level"),
        _around(
            multi_group.multigroup_dissimilarity,
            ENVIRONMENT,
            "Reardon & O'Sullivan (2004)",
            sums.ABSOLUTE_DEVIATION,
            bounds=_ABOVE,
            name="spatial_dissimilarity",
        ),
        _around(
            two_group.interaction,
            ENVIRONMENT,
            "Reardon & O'Sullivan (2004)",
            sums.PAIR_EXPOSURE,
            shape="pair",
            name="spatial_exposure",
        ),
        _around(
            spatial.spatial_information_theory, ENVIRONMENT, "Reardon & O'Sullivan (2004)", sums.ENTROPY, bounds=_BELOW
        ),
        _around(
            spatial.spatial_relative_diversity,
            ENVIRONMENT,
            "Reardon & O'Sullivan (2004)",
            sums.INTERACTION,
            bounds=_BELOW,
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
    wanted = (names,) if isinstance(names, str) else tuple(names)
    unknown = [name for name in wanted if name not in INDICES]
    if unknown:
        raise DefinitionError(f"found no index {unknown[0]!r}, expected one of {', '.join(INDICES)}")
    return tuple(INDICES[name] for name in wanted)


def suited(
    names: str | Sequence[str], *, ordered: bool, n_groups: int, lacking: Mapping[str, str]
) -> tuple[tuple[SegregationIndex, ...], dict[str, str]]:
    """Return the indices that groups and inputs allow.

    Parameters
    ----------
    names : sequence of str, or ``all``
    ordered : bool
        Whether the groups have an order.
    n_groups : int
    lacking : mapping of str to str
        Inputs (keys of `segregation_units.INPUTS`) that are not available, with the reason for the user.

    Returns
    -------
    indices : tuple of SegregationIndex
    left_out : dict of str to str
        Why others are not among ``all``.

    Raises
    ------
    DefinitionError
        If there is no index of a name.
    InputError
        If an index that is named does not suit.
    """
    every = names in (ALL, (ALL,), [ALL])
    indices = tuple(INDICES.values()) if every else chosen(names)
    left_out: dict[str, str] = {}
    for index in indices:
        reasons = [lacking[need] for need in index.strategy.inputs if need in lacking]
        if index.ordered and not ordered:
            reasons.append("needs ordered brackets; these groups have no order")
        if every and index.shape == "pair" and n_groups > _FEW_GROUPS:
            reasons.append(f"a column for each of {n_groups**2} pairs of groups; name it")
        if reasons and not every:
            raise InputError(f"index {index.name!r}: {reasons[0]}")
        if reasons:
            left_out[index.name] = reasons[0]
    return tuple(index for index in indices if index.name not in left_out), left_out


def terms_of(indices: Iterable[SegregationIndex]) -> tuple[Term, ...]:
    """Return the terms that indices need, each once."""
    return tuple({term.name: term for index in indices for term in index.terms}.values())
