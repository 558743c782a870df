"""Segregation of regions, as a function of frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import geopandas as gpd

from geomob_dask.errors import InputError
from geomob_dask.frames.align import aligned
from geomob_dask.frames.halo import Near
from geomob_dask.frames.neighbors import neighbors
from geomob_dask.frames.notes import warn_of_overlaps
from geomob_dask.frames.own_rows import empty_of, is_lazy
from geomob_dask.frames.region_draws import DRAWS_A_TASK, Inference
from geomob_dask.frames.region_table import RegionTable
from geomob_dask.frames.regions import NATION, By, regions_of, shares_tracts
from geomob_dask.frames.sampling import AUTO, COMPLETE
from geomob_dask.frames.units import COUNT, People, units_of
from geomob_dask.metrics.segregation_catalog import ALL, suited
from geomob_dask.metrics.segregation_units import CUTOFF_KM
from geomob_dask.sources.brackets import Categories, categories_of


def segregation(
    measures: Any,
    *,
    groups: str | Sequence[str] | Categories,
    by: By = NATION,
    indices: str | Sequence[str] = ALL,
    tracts: Any = None,
    edges: Any = None,
    levels: Sequence[str] | Mapping[str, Any] = (),
    draws: int = 0,
    null: str = "evenness",
    interval: str = "sampled",
    sampled: str | float = AUTO,
    seed: int = 0,
    year: int = 0,
    since: Any = None,
    since_year: int | None = None,
    merge: str | None = None,
    regions: Sequence[str] | None = None,
    missing: str = "refuse",
    cutoff: float = CUTOFF_KM,
    near: Near | None = None,
    draws_a_task: int = DRAWS_A_TASK,
) -> Any:
    """Return indices of segregation of every region.

    Parameters
    ----------
    measures : DataFrame or GeoDataFrame, in memory or on Dask
        One row per tract, indexed by keys of any kind, with counts of people.
    groups : str, sequence of str, or categories
        Columns of `measures`, a group each; the name of shipped groups or brackets, or a file of them; or what
        `geomob_dask.sources.brackets` reads.
    by : str, DataFrame, or mapping of a name to a DataFrame
        Regions: ``nation`` (all tracts), ``county`` or ``state`` (from keys of tracts), a column of `measures`, or a
        table of regions; see `geomob_dask.frames.regions.regions_of`.
    indices : str or sequence of str
        Names of the catalog, or ``all`` that the groups and the frames allow; see docs/segregation.md.
    tracts : GeoDataFrame, optional
        Polygons of the tracts, for indices of land and distance, with a column ``aland`` (m²) where land is known apart
        from the polygon; by default those of `measures`.
    edges : DataFrame, optional
        Neighbors of the tracts as `neighbors` returns them, for spatial indices; for those that are named they are
        computed from polygons in memory by default.
    levels : sequence of str or mapping of str to DataFrame
        Areas between region and tract, from wide to narrow, for nested indices: each as `by`.
    draws : int
        Random draws for p-values and intervals; 0: none.
    null, interval, seed : str, str, int
        See `geomob_dask.frames.region_draws.Inference`.
    sampled : str or float
        How the counts were taken, which intervals, corrections and the null of evenness follow: ``auto`` (their margins
        of error where every group has them, else complete), ``margins``, ``complete``, a share of people interviewed
        such as 0.1, or a column of the numbers of people interviewed.
    year : int
        Keys the draws, and selects the edition of groups of an ACS table.
    since : DataFrame, optional
        Measures of an earlier year on the same tracts: the change of M and H since then is decomposed.
    since_year : int, optional
        Their year; `year` by default.
    merge : str, optional
        A rule that merges brackets: a named one, a number of equal classes, or the class of each bracket.
    regions : sequence of str, optional
        Only these regions; all by default.
    missing : {"refuse", "leave-out"}
        What to do with a tract without one of its counts.
    cutoff : float, km
        Pairs of tracts further apart are left out of spatial proximity.
    near : sequence of sequence of int, optional
        For each partition, the numbers of those within two steps of the graph of neighbors; all others by default.
    draws_a_task : int
        How draws are shared out; it changes no number.

    Returns
    -------
    DataFrame, in memory or on Dask as `measures`
        One row per region, in one partition: ``region_name``, ``units`` (tracts), ``people``, ``count_<group>``, and
        one column per index, with the group, pair of groups or level behind its name. With draws also ``sampled`` (how
        the counts were taken) and ``interviews`` (how many people stand behind them), and behind the names of indices
        ``_p``, ``_null``, ``_excess``, ``_corrected`` (less the bias of sampling), ``_corrected_lower`` and
        ``_corrected_upper`` (90 % interval), ``_bias``. NaN where an index has nothing to measure.

    Raises
    ------
    CountsError
        If a count is missing or negative, or fractions of persons are to be drawn.
    DefinitionError
        If an index or a column is unknown.
    InputError
        If an index needs what is not given, or a region has no tracts.

    Warns
    -----
    UserWarning
        If a group of frames in memory has at least the people of another in every tract, of five or more: it may
        contain it. Of frames on Dask nothing is computed for that.

    Examples
    --------
    >>> import pandas as pd
    >>> tracts = pd.DataFrame({"white": [80, 20, 50], "black": [20, 80, 50], "metro": ["a", "a", "b"]})
    >>> found = segregation(tracts, groups=["white", "black"], by="metro", indices=["dissimilarity"])
    >>> found["dissimilarity_white"].tolist()
    [0.6, 0.0]
    """
    only = None if regions is None else tuple(regions)
    taken = str(sampled) if draws else COMPLETE
    people = People(categories_of(groups), year, merge, missing, bool(draws) and interval == "moe", only, taken)
    available = list(measures.columns)
    inference = Inference(draws, null, interval, seed, year, people.sampling(available))
    names = people.counts(empty_of(measures)[people.columns(available)]).names
    tracts = measures if tracts is None and isinstance(empty_of(measures), gpd.GeoDataFrame) else tracts
    chosen, _ = suited(
        indices,
        ordered=people.categories.ordered,
        n_groups=len(names),
        lacking=_lacking(indices, by, tracts, edges),
    )
    needed = {need for index in chosen for need in index.strategy.inputs}
    if "neighbors" in needed and edges is None:
        edges = neighbors(tracts)
    areas = levels if isinstance(levels, Mapping) else {name: name for name in levels}
    frames = _aligned(
        measures=measures,
        tracts=tracts if "polygons" in needed else None,
        edges=edges if "neighbors" in needed else None,
        since=since,
    )
    measures = frames["measures"]
    between = areas.items() if "levels" in needed else ()
    where = regions_of(measures, by)
    warn_of_overlaps(groups, measures, where, people)
    units = units_of(
        measures,
        where,
        people,
        levels={name: regions_of(measures, area) for name, area in between},
        tracts=frames.get("tracts"),
        edges=frames.get("edges"),
    )
    earlier = None
    if since is not None:
        before = People(people.categories, year if since_year is None else since_year, merge, missing, False, only)
        earlier = units_of(frames["since"], regions_of(frames["since"], by), before)
        _check_same_groups(earlier, units)
    plan = RegionTable(chosen, inference, names, tuple(areas), cutoff, only, near, draws_a_task)
    return plan.of(units, earlier)


def _lacking(indices: str | Sequence[str], by: By, tracts: Any, edges: Any) -> dict[str, str]:
    """Return the inputs that indices may need and that are not given, with what is missing."""
    lacking = {}
    if getattr(tracts, "crs", None) is None:
        lacking["polygons"] = "needs polygons with a coordinate system (tracts)"
    computable = tracts is not None and not is_lazy(tracts) and indices != ALL
    if edges is None and not computable:
        lacking["neighbors"] = "needs the neighbors of tracts (edges)"
    elif indices == ALL and shares_tracts(by):
        lacking["neighbors"] = "needs every tract in one region; the table of regions may share tracts out"
    return lacking


def _aligned(**frames: Any) -> dict[str, Any]:
    """Return aligned frames by name, without those that are None; one frame may have two names."""
    given = {name: frame for name, frame in frames.items() if frame is not None}
    copies = [name for name, frame in given.items() if name != "measures" and frame is given["measures"]]
    apart = {name: frame for name, frame in given.items() if name not in copies}
    if len(apart) > 1:
        apart = dict(zip(apart, aligned(**apart), strict=True))
    return apart | dict.fromkeys(copies, apart["measures"])


def _check_same_groups(earlier: Any, later: Any) -> None:
    before, now = ([name for name in empty_of(one).columns if name.startswith(COUNT)] for one in (earlier, later))
    if before != now:
        raise InputError(f"since: found the groups {', '.join(before)}, later {', '.join(now)}; expected the same")
