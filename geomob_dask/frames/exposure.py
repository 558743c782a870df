"""Exposure by region: each partition adds up its rows by region, one reduction merges the sums and checks them.

Regions cross partitions and no row moves: what travels is a few numbers per region. The sums are exact, so results are
the same, bit for bit, for any partitioning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError, SettingsError
from geomob_dask.frames.exposure_tables import exposure_summary, exposure_table, interaction_table, overlap_summary
from geomob_dask.frames.groups import GroupColumns, Groups, find_groups, names_of, people_of_groups
from geomob_dask.frames.notes import Comparison, overlaps, warn
from geomob_dask.frames.own_rows import Frame, is_lazy, no_value, one_value, own_rows, value_of
from geomob_dask.frames.reduction import partials, reduced
from geomob_dask.frames.regions import check_by, chosen_regions, regions_of
from geomob_dask.messages import listed
from geomob_dask.metrics.checks_exposure import check_exposures, check_reported_totals
from geomob_dask.metrics.exposure import Exposures, Interactions, exposure_from_sums, interactions_from_sums
from geomob_dask.metrics.exposure_terms import Mode, exposure_terms, interaction_terms
from geomob_dask.metrics.quality import SPREAD, SUPPRESSION_THRESHOLD
from geomob_dask.sources.groups import Edition, Grouping
from geomob_dask.sources.region_weights import Kind
from geomob_dask.transforms.crosswalk import check_mass_balance
from geomob_dask.transforms.exact_sums import ExactSums, merged_regions

GroupsArgument = str | Sequence[str] | Grouping | Edition | None


@dataclass(frozen=True)
class Reported:
    """Totals reported for the regions themselves.

    Parameters
    ----------
    people : Series
        By region.
    tolerance : float
        Largest relative difference of interpolated totals.
    least : float
        Regions with fewer reported people are not compared.
    """

    people: pd.Series
    tolerance: float = 0.05
    least: float = 0.0

    def check(self, interpolated: pd.Series) -> None:
        """Compare the people of regions with those reported.

        Raises
        ------
        RunError
            Naming the region that is farthest off.
        InputError
            If there is no total of any of the regions.
        """
        reported = self.people.reindex(interpolated.index)
        if reported.notna().sum() == 0:
            raise InputError(
                f"reported totals: none of their regions ({listed(self.people.index, 3)}) is among "
                f"{listed(interpolated.index, 3)}; expected the same codes"
            )
        check_reported_totals(
            interpolated.to_numpy(np.float64),
            reported.to_numpy(np.float64),
            list(interpolated.index),
            tolerance=self.tolerance,
            least=self.least,
        )


@dataclass(frozen=True)
class ExposureFrames:
    """Exposures as frames, in memory or on Dask.

    Attributes
    ----------
    table : DataFrame
        See `exposure`.
    interactions : DataFrame or None
        See `interactions`.
    report : DataFrame of one row
        Its value (see `value_of`) is plain data: ``regions``, ``tracts``, ``tracts_outside``, ``people``,
        ``people_outside``, ``people_shared`` (regions where more than a twentieth of the people live in tracts that lie
        there in part, and regions with any), ``overlap`` as `overlap_summary` and ``groups`` as `exposure_summary`
        return them.
    """

    table: Any
    interactions: Any
    report: Any


def exposure(
    measures: Any,
    *,
    by: str | Frame,
    groups: GroupsArgument = None,
    total: str | None = None,
    mode: Mode | str = Mode.CORRECTED,
    threshold: float = SUPPRESSION_THRESHOLD,
    year: int | None = None,
    reported: Reported | None = None,
    regions: Sequence[str] | None = None,
    weights: Kind | str | None = None,
) -> Any:
    """Return the exposure of each group to everybody else, by region.

    Parameters
    ----------
    measures : DataFrame or GeoDataFrame, in memory or on Dask
        Counts of people, one row per tract; each key of the index occurs once. NaN: not known.
    by : str or DataFrame
        A column of `measures`, ``county`` or ``state`` (the first digits of a tract's geoid), ``nation``, or a table of
        regions; see `regions_of`.
    groups : str, sequence of str, Grouping or Edition, optional
        Columns of counts, one per group, whose margins of error are in ``<column>_moe`` if anywhere; or the name of a
        shipped grouping of Census columns, or its YAML file. By default the shipped grouping that fits the columns.
    total : str, optional
        With columns of counts: the column of all people. Those in none of the groups are the group ``other``; by
        default the groups are all people.
    mode : {"corrected", "published", "published-2023"}
        How tracts partly in a region count, and which value errors and bounds belong to; see `Mode`.
    threshold : float
        Groups of this many people or fewer in a region are suppressed.
    year : int, optional
        Selects among the editions of a grouping.
    reported : Reported, optional
        Totals that regions must have.
    regions : sequence of str, optional
        Only these regions; all by default.
    weights : {"people", "housing", "area", "nested"}, optional
        What the shares of a table of regions are shares of; those of `area_weights` are of area. By default it is not
        known, and accuracy is graded as if they were. See `Kind`.

    Returns
    -------
    DataFrame, in memory or on Dask as `measures`
        Index ``region``; see `exposure_table` for the columns. Exposures are shares in [0, 1]; NaN where nobody of the
        group lives in the region, the group is suppressed or a count is missing, with its ``_exposure_reason``.

    Raises
    ------
    CountsError
        If a count or margin is negative, or groups do not add up to a tract's people.
    DefinitionError
        If a column is missing.
    InputError
        If there are no such regions, no tract lies in any, or a key occurs twice.
    RunError
        If a check fails: it names the region and the group, or the totals that do not balance.

    References
    ----------
    Williams & Pancini (2023), "Race/Ethnicity Exposure - City".

    Warns
    -----
    UserWarning
        If no total is given, and a group of frames in memory has at least the people of another in every tract, of five
        or more: it may contain it.

    Examples
    --------
    80 % of the first group live where 10 % are others, 20 % where 50 % are:

    >>> tracts = pd.DataFrame({"a": [720, 180], "b": [80, 180], "town": ["x", "x"]})
    >>> exposure(tracts, by="town", groups=["a", "b"])["a_exposure"].to_dict()
    {'x': 0.18}
    """
    rows, where, columns = _inputs(measures, by, groups, total, year)
    where = chosen_regions(where, regions)
    kind = Kind.NESTED if isinstance(by, str) else Kind.NOT_RECORDED if weights is None else Kind.of(weights)
    found = exposures(rows, where, columns, mode=mode, threshold=threshold, reported=reported, weights=kind)
    return found.table


def interactions(
    measures: Any,
    *,
    by: str | Frame,
    groups: GroupsArgument = None,
    total: str | None = None,
    mode: Mode | str = Mode.CORRECTED,
    threshold: float = SUPPRESSION_THRESHOLD,
    year: int | None = None,
    regions: Sequence[str] | None = None,
) -> Any:
    """Return the share of each group around the average person of each group, by region.

    Parameters are those of `exposure`.

    Returns
    -------
    DataFrame, in memory or on Dask as `measures`
        Index ``region``, one row for each ordered pair: ``group``, ``other``, ``interaction`` (share in [0, 1]; of a
        group with itself: its isolation), ``interaction_corrected``, ``interaction_se``, ``interaction_lb``,
        ``interaction_ub``, as those of exposures.

    Examples
    --------
    >>> tracts = pd.DataFrame({"a": [720, 180], "b": [80, 180], "town": ["x", "x"]})
    >>> interactions(tracts, by="town", groups=["a", "b"])["interaction"].round(3).tolist()
    [0.82, 0.18, 0.623, 0.377]
    """
    rows, where, columns = _inputs(measures, by, groups, total, year)
    where = chosen_regions(where, regions)
    return exposures(rows, where, columns, mode=mode, threshold=threshold, interactions=True).interactions


def _inputs(
    measures: Any, by: str | Frame, groups: GroupsArgument, total: str | None, year: int | None
) -> tuple[Any, Any, Groups]:
    """Return the columns that are needed, the regions, and the groups."""
    columns = find_groups(groups, list(measures.columns), total=total, year=year)
    if isinstance(by, str):
        check_by(by, measures.columns)
    of_regions = [by] if isinstance(by, str) and by in measures.columns else []
    rows = measures[list(dict.fromkeys([*columns.columns, *of_regions]))]
    if isinstance(columns, GroupColumns) and columns.total is None and not is_lazy(measures):
        warn(overlaps([Comparison.of(columns.groups, people_of_groups(rows, columns).counts)]))
    return rows, regions_of(rows, by), columns


def exposures(
    measures: Any,
    regions: Any,
    groups: Groups,
    *,
    mode: Mode | str = Mode.CORRECTED,
    threshold: float = SUPPRESSION_THRESHOLD,
    interactions: bool = False,
    reported: Reported | None = None,
    weights: Kind = Kind.NOT_RECORDED,
) -> ExposureFrames:
    """Return exposures with their report and, if asked for, interactions.

    Parameters
    ----------
    measures : DataFrame
        See `exposure`.
    regions : DataFrame
        Aligned with `measures`: see `regions_of`.
    groups : Edition or GroupColumns
        See `find_groups`.
    mode, threshold, reported
        See `exposure`.
    interactions : bool
    weights : Kind
        What shares of tracts in regions are shares of.
    """
    if not threshold >= 0:
        raise SettingsError(f"threshold {threshold}: expected zero or more people")
    mode, names = Mode.of(mode), names_of(groups)
    sums = partials(region_sums, measures, regions, groups=groups, mode=mode, interactions=interactions)
    options = {"mode": mode, "threshold": threshold, "reported": reported, "weights": weights}
    found = reduced(merged_exposures, sums, groups=names, **options)
    empty = partial(_no_exposures, names, mode)
    return ExposureFrames(
        table=own_rows(_table, found, meta=lambda: _table(empty())),
        interactions=own_rows(_pairs, found, meta=lambda: _pairs(empty())) if interactions else None,
        report=own_rows(_report, found, meta=no_value),
    )


# One partition -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class RegionSums:
    """The terms of one partition in the sums of its regions.

    Attributes
    ----------
    names : Series
        Index: the regions, sorted; values: their names.
    sums : ExactSums
        Of `exposure_terms`.
    interactions : ExactSums, optional
        Of `interaction_terms`.
    people, outside : float
        All people of the partition's tracts, and those who live in no region.
    tracts, tracts_outside : int
        Its tracts, and those that lie wholly in no region.
    """

    names: pd.Series
    sums: ExactSums
    interactions: ExactSums | None
    people: float
    outside: float
    tracts: int
    tracts_outside: int


def region_sums(
    measures: pd.DataFrame, regions: pd.DataFrame, *, groups: Groups, mode: Mode, interactions: bool
) -> RegionSums:
    """Return the terms of one partition in the sums of its regions."""
    tracts = measures.index
    if tracts.has_duplicates:
        raise InputError(f"measures: found two rows of {tracts[tracts.duplicated()][0]}, expected one per tract")
    people = people_of_groups(measures, groups)
    rows = tracts.get_indexer(regions.index)
    codes, names = pd.factorize(regions["region"].to_numpy(), sort=True)
    codes = codes.astype(np.int64)
    share, overlap = regions["afact"].to_numpy(np.float64), regions["afact2"].to_numpy(np.float64)
    counts, moes, total = people.counts[rows], people.moes[rows], people.total[rows]
    known = None if np.isnan(overlap).all() else overlap
    remainder = people.remainder
    terms = exposure_terms(counts, moes, total, share=share, overlap=known, mode=mode, remainder=remainder)
    pairs = None
    if interactions:
        of_pairs = interaction_terms(counts, moes, total, share=share, mode=mode, remainder=remainder)
        pairs = ExactSums.of(of_pairs, codes, len(names))
    everybody = np.nan_to_num(people.total)
    within = np.bincount(rows, weights=share, minlength=len(tracts))
    return RegionSums(
        names=_named(regions, names),
        sums=ExactSums.of(terms, codes, len(names)),
        interactions=pairs,
        people=math.fsum(everybody.tolist()),
        outside=math.fsum((everybody * (1.0 - within)).tolist()),
        tracts=len(tracts),
        tracts_outside=int((within == 0).sum()),
    )


def _named(regions: pd.DataFrame, codes: np.ndarray) -> pd.Series:
    index = pd.Index(codes, dtype="str", name="region")
    names = regions.groupby("region", sort=True)["region_name"].max()
    return names.reindex(index).astype("str").rename("region_name")


# All partitions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class RegionExposures:
    """Exposures of all regions, after the checks have passed; attributes as `RegionSums`, of all partitions."""

    names: pd.Series
    groups: tuple[str, ...]
    weights: Kind
    exposures: Exposures
    interactions: Interactions | None
    people: float
    outside: float
    tracts: int
    tracts_outside: int


def merged_exposures(
    parts: Sequence[RegionSums],
    *,
    groups: tuple[str, ...],
    mode: Mode,
    threshold: float,
    reported: Reported | None,
    weights: Kind = Kind.NOT_RECORDED,
) -> RegionExposures:
    """Return the exposures of all regions from the sums of all partitions; raises as `exposure`."""
    every = pd.concat([part.names for part in parts])
    names = every.groupby(level=0, sort=True).max().astype("str").rename("region_name")
    if names.empty:
        raise InputError(f"none of {sum(part.tracts for part in parts):,} tracts lies in a region")
    places = [names.index.get_indexer(part.names.index).astype(np.int64) for part in parts]
    sums = merged_regions([part.sums for part in parts], places, len(names)).rounded()
    found = exposure_from_sums(
        sums, len(groups), mode=mode, threshold=threshold, spread_evenly=not weights.counts_people
    )
    check_exposures(found, list(names.index), groups, threshold=threshold)
    people = math.fsum(part.people for part in parts)
    outside = math.fsum(part.outside for part in parts)
    # Whole tracts count in every region that they touch: there is no balance.
    if mode != Mode.PUBLISHED_2023:
        check_mass_balance(np.array([people]), found.people, np.array([outside]))
    if reported is not None:
        reported.check(pd.Series(found.people, index=names.index))
    pairs = [part.interactions for part in parts if part.interactions is not None]
    interactions = None
    if pairs:
        of_pairs = merged_regions(pairs, places, len(names)).rounded()
        interactions = interactions_from_sums(of_pairs, len(groups), mode=mode, threshold=threshold)
    return RegionExposures(
        names=names,
        groups=groups,
        weights=weights,
        exposures=found,
        interactions=interactions,
        people=people,
        outside=outside,
        tracts=sum(part.tracts for part in parts),
        tracts_outside=sum(part.tracts_outside for part in parts),
    )


def _table(found: pd.DataFrame) -> pd.DataFrame:
    one: RegionExposures = value_of(found)
    return exposure_table(one.exposures, one.names, one.groups, one.weights)


def _pairs(found: pd.DataFrame) -> pd.DataFrame:
    one: RegionExposures = value_of(found)
    assert one.interactions is not None
    return interaction_table(one.interactions, list(one.names.index), one.groups)


def _report(found: pd.DataFrame) -> pd.DataFrame:
    one: RegionExposures = value_of(found)
    return one_value(
        {
            "regions": len(one.names),
            "tracts": one.tracts,
            "tracts_outside": one.tracts_outside,
            "people": one.people,
            "people_outside": one.outside,
            "people_shared": _spread_people(one.exposures),
            "overlap": overlap_summary(one.exposures.overlap, one.names.index),
            "groups": exposure_summary(one.exposures, one.names.index, one.groups),
        }
    )


def _spread_people(found: Exposures) -> list[int]:
    """Return the number of regions where more than a twentieth of the people live in tracts that lie there in part."""
    return [int((found.shared > SPREAD).sum()), int((found.shared > 0).sum())]


def _no_exposures(groups: tuple[str, ...], mode: Mode) -> pd.DataFrame:
    """Return the exposures of no region."""
    n_groups = len(groups)
    no_rows = (np.zeros((0, n_groups)), np.zeros((0, n_groups)), np.zeros(0))
    terms, pairs = exposure_terms(*no_rows), interaction_terms(*no_rows)
    names = pd.Series([], index=pd.Index([], dtype="str", name="region"), dtype="str", name="region_name")
    return one_value(
        RegionExposures(
            names=names,
            groups=groups,
            weights=Kind.NOT_RECORDED,
            exposures=exposure_from_sums(terms, n_groups, mode=mode),
            interactions=interactions_from_sums(pairs, n_groups),
            people=0.0,
            outside=0.0,
            tracts=0,
            tracts_outside=0,
        )
    )
