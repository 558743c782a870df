"""The sums over units from which most indices of segregation are made.

An index such as ``D = Σ_i t_i |p_i − P| / (2TP(1 − P))`` needs the totals of its region and one sum
over its units. A *term* says what a unit adds to such a sum, given the totals. So a region whose
units lie in several partitions takes two passes: its totals, added up; then the terms of each
partition's units, added up. Both sums are exact (`transforms.exact_sums`), so the index is the same
bit for bit in any partitioning. Each index names its terms; a term that several indices
name is added up once.

Notation: unit i, group k; counts n_ik, t_i = Σ_k n_ik, p_ik = n_ik/t_i; totals N_k = Σ_i n_ik,
T = Σ_k N_k, P_k = N_k/T. An empty unit adds nothing to any sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, checked_regions, log_ratio_weighted, shares
from geomob_dask.metrics.entropy import entropy_of_shares
from geomob_dask.transforms.exact_sums import ExactSums, region_sums


@dataclass(frozen=True)
class Units:
    """Units of one partition, with the totals of the regions they lie in.

    Attributes
    ----------
    counts : shape (n_units, n_groups), persons or households
    region : shape (n_units,), integers in [0, n_regions)
    totals : shape (n_regions, n_groups)
        Counts of the whole regions, over all partitions.
    environment : shape (n_units, n_groups), optional
        Shares of the groups around each unit, which spatial indices put in place of its own
        (`segregation_spatial.environment`). Units weigh as many as live in them all the same.
    """

    counts: Floats
    region: Integers
    totals: Floats
    environment: Floats | None = None

    @cached_property
    def people(self) -> Floats:
        """t_i, as a column, shape (n_units, 1)."""
        people: Floats = self.counts.sum(axis=1, keepdims=True)
        return people

    @cached_property
    def share(self) -> Floats:
        """p_ik, shape (n_units, n_groups); the region's where the unit is empty, since it weighs nothing."""
        own = shares(self.counts) if self.environment is None else self.environment
        return np.where(self.people > 0, own, self.region_share)

    @cached_property
    def region_share(self) -> Floats:
        """P_k of each unit's region, shape (n_units, n_groups)."""
        return np.nan_to_num(shares(self.totals))[self.region]


@dataclass(frozen=True)
class Term:
    """What a unit adds to a sum over its region.

    Attributes
    ----------
    name : str
        Names the sum in tables and in the catalog; terms of one name are one sum.
    of : function of Units
        Returns shape (n_units, n_columns).
    spatial : bool
        Whether it holds when the environment takes the place of the units' own shares. The
        divergences do not: the average environment is not the region.
    """

    name: str
    of: Callable[[Units], Floats]
    spatial: bool = False


class RegionSums:
    """Totals and sums of regions: all that an index made of sums needs to know.

    Made from all units at once by `of`, or by `merged` from sums that partitions have added up.

    Parameters
    ----------
    totals : shape (n_regions, n_groups)
    units : Units, optional
        Where sums that are not given are added up from, when they are first needed.
    sums : dict of name to shape (n_regions, n_columns), optional
        Sums already added up.
    exact : bool
        Add up exactly (the default), or in the order of the units, which is faster: for draws,
        whose units are in one fixed order.
    """

    def __init__(
        self,
        totals: Floats,
        *,
        units: Units | None = None,
        sums: dict[str, Floats] | None = None,
        exact: bool = True,
    ) -> None:
        self.totals = totals
        self._units = units
        self._sums = dict(sums or {})
        self._add_up = region_sums if exact else ordered_sums

    @classmethod
    def of(
        cls,
        counts: ArrayLike,
        region: Integers | None = None,
        n_regions: int | None = None,
        *,
        environment: Floats | None = None,
        exact: bool = True,
    ) -> RegionSums:
        """Return the sums of regions from all their units.

        Parameters
        ----------
        counts : shape (n_units, n_groups), persons or households
            Fractions are allowed.
        region : shape (n_units,), integers, optional
            Region of each unit, in any order; by default all units are one region.
        n_regions : int, optional
            Number of regions; by default one more than the largest code.
        environment, exact
            As in `Units` and `RegionSums`.

        Raises
        ------
        CountsError
            If a count is missing or negative, or a region is no code: it names the unit.
        """
        table = checked_counts(counts)
        codes, number = checked_regions(region, len(table), n_regions)
        add_up = region_sums if exact else ordered_sums
        totals = add_up(table, codes, number)
        return cls(totals, units=Units(table, codes, totals, environment), exact=exact)

    @classmethod
    def merged(cls, totals: Floats, parts: Iterable[dict[str, ExactSums]]) -> RegionSums:
        """Merge the exact sums (`partial_sums`) of several partitions, in any order."""
        whole: dict[str, ExactSums] = {}
        for part in parts:
            for name, sums in part.items():
                whole[name] = whole[name] + sums if name in whole else sums
        return cls(totals, sums={name: sums.rounded() for name, sums in whole.items()})

    def __getitem__(self, term: Term) -> Floats:
        """Return a sum, shape (n_regions, n_columns)."""
        if term.name not in self._sums:
            if self._units is None:
                raise DefinitionError(f"the sum {term.name!r} was not gathered; found {sorted(self._sums)}")
            _check_spatial(term, self._units)
            self._sums[term.name] = self._add_up(term.of(self._units), self._units.region, len(self.totals))
        return self._sums[term.name]

    @property
    def units(self) -> Units:
        """The units themselves, for indices that sort them.

        Raises
        ------
        DefinitionError
            If only sums were gathered.
        """
        if self._units is None:
            raise DefinitionError("an index that sorts units needs the units themselves, found only their sums")
        return self._units

    @cached_property
    def people(self) -> Floats:
        """T, as a column, shape (n_regions, 1)."""
        people: Floats = self.totals.sum(axis=1, keepdims=True)
        return people

    @cached_property
    def share(self) -> Floats:
        """P_k, shape (n_regions, n_groups); NaN where nobody lives in the region."""
        return shares(self.totals)

    @cached_property
    def interaction(self) -> Floats:
        """Simpson's I = Σ_k P_k (1 − P_k), shape (n_regions,)."""
        different: Floats = (self.share * (1.0 - self.share)).sum(axis=1)
        return different


# Counts of shape (n_units, n_groups), or what was added up of them.
Counted = ArrayLike | RegionSums


def sums_over(counts: Counted, region: Integers | None = None, n_regions: int | None = None) -> RegionSums:
    """Return the sums of regions: those given, or those of counts as `RegionSums.of` gathers them."""
    return counts if isinstance(counts, RegionSums) else RegionSums.of(counts, region, n_regions)


def partial_sums(units: Units, terms: Iterable[Term]) -> dict[str, ExactSums]:
    """Add up the terms of one partition's units; to be merged by `RegionSums.merged`."""
    gathered = {}
    for term in terms:
        _check_spatial(term, units)
        gathered[term.name] = ExactSums.of(term.of(units), units.region, len(units.totals))
    return gathered


def ordered_sums(values: Floats, region: Integers, n_regions: int) -> Floats:
    """Return the sums of the rows of each region, in the order of the rows, shape (n_regions, n_columns)."""
    columns = [np.bincount(region, weights=column, minlength=n_regions) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.zeros((n_regions, 0))


def _check_spatial(term: Term, units: Units) -> None:
    if units.environment is not None and not term.spatial:
        raise DefinitionError(f"the sum {term.name!r} has no meaning with environments in place of units")


def _absolute_deviation(units: Units) -> Floats:
    deviation: Floats = units.people * np.abs(units.share - units.region_share)
    return deviation


def _square_deviation(units: Units) -> Floats:
    deviation: Floats = units.people * (units.share - units.region_share) ** 2
    return deviation


def _divergence(units: Units) -> Floats:
    divergence: Floats = units.people * log_ratio_weighted(units.share, units.region_share)
    return divergence


def _binary_divergence(units: Units) -> Floats:
    share, region = units.share, units.region_share
    of_group, of_others = log_ratio_weighted(share, region), log_ratio_weighted(1.0 - share, 1.0 - region)
    divergence: Floats = units.people * (of_group + of_others)
    return divergence


def _entropy(units: Units) -> Floats:
    entropy: Floats = units.people * entropy_of_shares(units.share)[:, None]
    return entropy


def _interaction(units: Units) -> Floats:
    different: Floats = units.people * (units.share * (1.0 - units.share)).sum(axis=1, keepdims=True)
    return different


def _own_exposure(units: Units) -> Floats:
    return units.counts * units.share


def _pair_exposure(units: Units) -> Floats:
    n_units, n_groups = units.counts.shape
    return (units.counts[:, :, None] * units.share[:, None, :]).reshape(n_units, n_groups**2)


ABSOLUTE_DEVIATION = Term("absolute_deviation", _absolute_deviation, spatial=True)
"""``t_i |p_ik − P_k|``, one column per group."""
SQUARE_DEVIATION = Term("square_deviation", _square_deviation)
"""``t_i (p_ik − P_k)²``, one column per group."""
DIVERGENCE = Term("divergence", _divergence)
"""``n_ik ln(p_ik / P_k)``, one column per group."""
BINARY_DIVERGENCE = Term("binary_divergence", _binary_divergence)
"""``n_ik ln(p_ik / P_k) + (t_i − n_ik) ln((1 − p_ik) / (1 − P_k))``, one column per group."""
ENTROPY = Term("entropy", _entropy, spatial=True)
"""``−t_i Σ_k p_ik ln p_ik``, one column."""
INTERACTION = Term("interaction", _interaction, spatial=True)
"""``t_i Σ_k p_ik (1 − p_ik)``, one column."""
OWN_EXPOSURE = Term("own_exposure", _own_exposure, spatial=True)
"""``n_ik p_ik``, one column per group."""
PAIR_EXPOSURE = Term("pair_exposure", _pair_exposure, spatial=True)
"""``n_ik p_il``, one column per pair of groups, the second running fastest."""
