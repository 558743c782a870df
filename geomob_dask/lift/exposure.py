"""Exposure over partitions: each gives the exact sums of its rows by region, and one small task merges them.

Regions cross partitions and no row moves: what travels is a few numbers a region. As the sums are exact, the result is
the same, bit for bit, for any partitioning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.delayed import Delayed

from geomob_dask.errors import InputError, SettingsError
from geomob_dask.frames.groups import GroupCounts, group_counts
from geomob_dask.lift.tasks import Run
from geomob_dask.metrics.checks_exposure import check_exposures
from geomob_dask.metrics.exposure import (
    Exposures,
    Interactions,
    Mode,
    exposure_from_sums,
    exposure_terms,
    interaction_terms,
    interactions_from_sums,
)
from geomob_dask.metrics.quality import SUPPRESSION_THRESHOLD
from geomob_dask.sources.groups import Edition
from geomob_dask.transforms.crosswalk import check_mass_balance
from geomob_dask.transforms.exact_sums import ExactSums, merged_regions


@dataclass(frozen=True)
class Options:
    """How exposure is computed.

    Parameters
    ----------
    mode : Mode
    threshold : float
        A group of this many people or fewer is suppressed.
    interactions : bool
        Whether the share of each group around each other is computed too.
    """

    mode: Mode = Mode.CORRECTED
    threshold: float = SUPPRESSION_THRESHOLD
    interactions: bool = False

    def __post_init__(self) -> None:
        if not self.threshold >= 0:
            raise SettingsError(f"--threshold {self.threshold}: expected zero or more people")


@dataclass(frozen=True)
class Partial:
    """What one partition adds to the regions its tracts lie in.

    Attributes
    ----------
    names : Series
        Index: the regions, sorted; values: what they are called.
    sums : ExactSums
        Of `exposure_terms`.
    interactions : ExactSums, optional
        Of `interaction_terms`.
    people, outside : float
        All people of the partition's tracts, and those who live in no region.
    tracts, tracts_outside : int
        Its tracts, and those of which nothing lies in a region.
    """

    names: pd.Series
    sums: ExactSums
    interactions: ExactSums | None
    people: float
    outside: float
    tracts: int
    tracts_outside: int


@dataclass(frozen=True)
class Found:
    """Exposures of all regions, once the checks have passed.

    Attributes
    ----------
    names : Series
        Index: the regions, sorted; values: what they are called.
    groups : tuple of str
    exposures : Exposures
    interactions : Interactions, optional
    people, outside : float
    tracts, tracts_outside : int
        As `Partial`, of all partitions.
    """

    names: pd.Series
    groups: tuple[str, ...]
    exposures: Exposures
    interactions: Interactions | None
    people: float
    outside: float
    tracts: int
    tracts_outside: int


def exposure(
    measures: dd.DataFrame,
    edition: Edition,
    regions: str | pd.DataFrame,
    options: Options | None = None,
    *,
    run: Run | None = None,
) -> Delayed:
    """Return the exposure of each group in each region, of tracts in any partitions. Computes nothing.

    Parameters
    ----------
    measures : dask DataFrame, index geoid
        With the columns of `edition`, decoded numbers.
    edition : Edition
        See `sources.groups.find_grouping`.
    regions : str or DataFrame
        A column of `measures`, or a table with index ``geoid`` and columns ``region``, ``afact`` and ``afact2`` as
        `runs.regions.regions_of` returns it.
    options : Options, optional
    run : Run, optional
        Names the tasks.

    Returns
    -------
    Delayed
        `Found`; `frames.exposure_tables.exposure_table` makes a table of it. The same to the last bit for any
        partitions.
    """
    run = run or Run("exposure")
    chosen = options or Options()
    if isinstance(regions, str) and regions not in measures.columns:
        raise InputError(f"no column {regions!r} of regions; found {', '.join(map(str, measures.columns))}")
    links = regions if isinstance(regions, str) else regions[["region", "afact", "afact2"]]
    partials = [
        run.task("sums", str(number), _partial_of, part, edition, links, chosen)
        for number, part in enumerate(measures.to_delayed())
    ]
    names = tuple(group.name for group in edition.groups)
    return run.task("exposure", "all", combine, partials, names, chosen)


def _partial_of(part: pd.DataFrame, edition: Edition, regions: str | pd.DataFrame, options: Options) -> Partial:
    if isinstance(regions, str):
        given = part[regions].dropna()
        links = pd.DataFrame({"region": given.astype("str"), "afact": 1.0, "afact2": np.nan}, index=given.index)
    else:
        links = regions[regions.index.isin(part.index)]
    return partial(group_counts(part, edition, part.index), part.index, links, options)


def partial(groups: GroupCounts, tracts: pd.Index, links: pd.DataFrame, options: Options) -> Partial:
    """Return what the tracts of one partition add to their regions.

    Parameters
    ----------
    groups : GroupCounts
        Of the tracts, in order.
    tracts : Index of str
    links : DataFrame
        Index: tracts, all of them among `tracts`; columns ``region``, ``afact``, ``afact2`` and, if known,
        ``region_name``.
    options : Options
    """
    rows = tracts.get_indexer(links.index)
    codes, regions = pd.factorize(links["region"].to_numpy(), sort=True)
    codes = codes.astype(np.int64)
    share, overlap = links["afact"].to_numpy(np.float64), links["afact2"].to_numpy(np.float64)
    counts, moes, total = groups.counts[rows], groups.moes[rows], groups.total[rows]
    terms = exposure_terms(
        counts, moes, total, share=share, overlap=None if np.isnan(overlap).all() else overlap, mode=options.mode
    )
    pairs = None
    if options.interactions:
        pairs = ExactSums.of(
            interaction_terms(counts, moes, total, share=share, mode=options.mode), codes, len(regions)
        )
    people = np.nan_to_num(groups.total)
    within = np.bincount(rows, weights=share, minlength=len(tracts))
    return Partial(
        names=_names(links, regions),
        sums=ExactSums.of(terms, codes, len(regions)),
        interactions=pairs,
        people=math.fsum(people.tolist()),
        outside=math.fsum((people * (1.0 - within)).tolist()),
        tracts=len(tracts),
        tracts_outside=int((within == 0).sum()),
    )


def _names(links: pd.DataFrame, regions: np.ndarray) -> pd.Series:
    index = pd.Index(regions, dtype="str", name="region")
    if "region_name" not in links:
        return pd.Series("", index=index, dtype="str", name="region_name")
    named = links.groupby("region", sort=True)["region_name"].max()
    return named.reindex(index).astype("str").rename("region_name")


def combine(partials: Sequence[Partial], groups: Sequence[str], options: Options) -> Found:
    """Merge the sums of all partitions, make exposures of them, and check these.

    Raises
    ------
    RunError
        If a check fails: it names the region and the group, or the totals that do not balance.
    InputError
        If no tract lies in any region.
    """
    every = pd.concat([part.names for part in partials])
    names = every.groupby(level=0, sort=True).max().astype("str").rename("region_name")
    if names.empty:
        raise InputError(f"none of {sum(part.tracts for part in partials):,} tracts lies in a region")
    places = [names.index.get_indexer(part.names.index).astype(np.int64) for part in partials]
    sums = merged_regions([part.sums for part in partials], places, len(names)).rounded()
    exposures = exposure_from_sums(sums, len(groups), threshold=options.threshold)
    check_exposures(exposures, list(names.index), groups, threshold=options.threshold)
    people = math.fsum(part.people for part in partials)
    outside = math.fsum(part.outside for part in partials)
    if options.mode != Mode.PUBLISHED_2023:
        check_mass_balance(np.array([people]), exposures.people, np.array([outside]))
    pairs = [part.interactions for part in partials if part.interactions is not None]
    interactions = None
    if options.interactions:
        interactions = interactions_from_sums(
            merged_regions(pairs, places, len(names)).rounded(), len(groups), threshold=options.threshold
        )
    return Found(
        names=names,
        groups=tuple(groups),
        exposures=exposures,
        interactions=interactions,
        people=people,
        outside=outside,
        tracts=sum(part.tracts for part in partials),
        tracts_outside=sum(part.tracts_outside for part in partials),
    )
