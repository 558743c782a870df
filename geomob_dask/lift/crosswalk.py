"""Crosswalks made from polygons, and areal interpolation, over partitions and across state lines.

A partition's links do not depend on others, and what it adds to a target is an exact sum: results are the same, bit
for bit, for any partitioning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dask.dataframe as dd
import dask_geopandas
import geopandas as gpd
import numpy as np
import pandas as pd
from dask.delayed import Delayed
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.frames.overlay import block_crosswalk
from geomob_dask.lift.exposure import merge
from geomob_dask.lift.tasks import Run
from geomob_dask.transforms import crosswalk as kernels
from geomob_dask.transforms.crosswalk import Links, check_links, check_mass_balance
from geomob_dask.transforms.exact_sums import ExactSums, region_sums

Floats = NDArray[np.float64]

# Polygons to shares ------------------------------------------------------------------------------


def area_crosswalk(
    tracts: dask_geopandas.GeoDataFrame,
    regions: gpd.GeoDataFrame,
    *,
    least: float = 0.0,
    partitions: Sequence[str] | None = None,
    run: Run | None = None,
) -> dict[str, Delayed]:
    """Return which share of each tract's area lies in which region, by partition. Computes nothing.

    Parameters
    ----------
    tracts : dask_geopandas.GeoDataFrame, index geoid
        Valid polygons, in any partitions.
    regions : GeoDataFrame, index: regions
        Valid polygons that do not overlap; a column ``region_name``, if any, is kept.
    least : float
        Links with a smaller share of the tract are left out: outlines from different sources leave slivers.
    partitions : sequence of str, optional
        Names of the partitions, such as states; by default "0", "1", ….
    run : Run, optional
        Names the tasks.

    Returns
    -------
    dict of str to Delayed
        Of tables as `block_crosswalk` returns them.
    """
    run = run or Run("crosswalk")
    names = [str(number) for number in range(tracts.npartitions)] if partitions is None else list(partitions)
    blocks = zip(names, tracts[["geometry"]].to_delayed(), strict=True)
    return {name: run.task("overlay", name, block_crosswalk, block, regions, least) for name, block in blocks}


# Areal interpolation -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Rate:
    """An intensive variable: what it is a rate of, and its margin.

    Parameters
    ----------
    weight : str
        Column of people, households or area.
    moe : str, optional
        Column of its 90 per cent margin.
    """

    weight: str
    moe: str | None = None


@dataclass(frozen=True)
class Classes:
    """A categorical variable: its classes, and what they are shared out by.

    Parameters
    ----------
    categories : sequence
    weight : str
        Column of people or area.
    """

    categories: tuple[object, ...]
    weight: str


@dataclass(frozen=True)
class Variables:
    """What is carried over.

    Parameters
    ----------
    extensive : mapping of column to its margin's column, or None
        Counts.
    intensive : mapping of column to Rate
    categorical : mapping of column to Classes
    """

    extensive: Mapping[str, str | None]
    intensive: Mapping[str, Rate]
    categorical: Mapping[str, Classes]

    @property
    def columns(self) -> list[str]:
        """Return all columns that are read."""
        rates = [name for rate in self.intensive.values() for name in (rate.weight, rate.moe)]
        classes = [one.weight for one in self.categorical.values()]
        every = [*self.extensive, *self.extensive.values(), *self.intensive, *rates, *self.categorical, *classes]
        return list(dict.fromkeys(name for name in every if name is not None))


def interpolate(
    values: dd.DataFrame,
    links: pd.DataFrame,
    *,
    extensive: Mapping[str, str | None] | None = None,
    intensive: Mapping[str, Rate] | None = None,
    categorical: Mapping[str, Classes] | None = None,
    run: Run | None = None,
) -> Delayed:
    """Carry variables of tracts over to regions. Computes nothing.

    Parameters
    ----------
    values : dask DataFrame, index: tracts
        In any partitions; numbers are decoded, NaN: not known.
    links : DataFrame, index: tracts
        Columns ``region`` (empty: in none) and ``afact``, as `runs.regions.regions_of` or `area_crosswalk` give them.
    extensive : mapping of column to its margin's column, or None
        Counts: Σ w·value, margin √Σ(w·MOE)².
    intensive : mapping of column to Rate
        Rates: averages with the weight w·d, with their margins.
    categorical : mapping of column to Classes
        Classes, shared out by w·d.
    run : Run, optional
        Names the tasks.

    Returns
    -------
    Delayed
        DataFrame, index ``region``, sorted: each count and its margin, each rate, its margin and ``_coverage`` (share
        of the weight whose rate is known), and of each categorical column the class of most of the region and
        ``_CLASS``, the share of each class. It raises RunError if the counts of regions, and what lies in none, do not
        sum to those of the tracts.

    Raises
    ------
    InputError
        If a column is missing, or shares of a tract are no shares or sum to more than 1.
    """
    run = run or Run("interpolation")
    wanted = Variables(extensive or {}, intensive or {}, categorical or {})
    absent = [column for column in wanted.columns if column not in values.columns]
    if absent or not wanted.columns:
        raise InputError(
            f"interpolation: no column {', '.join(absent) or 'named'}; found {', '.join(map(str, values.columns))}"
        )
    names = pd.Index(links.index.unique())
    source = names.get_indexer(links.index).astype(np.int64)
    check_links(Links(source, source, links["afact"].to_numpy(np.float64)), list(names))
    shares = links.loc[links["region"] != "", ["region", "afact"]]
    partials = [
        run.task("interpolate", str(number), _partial, part, shares, wanted)
        for number, part in enumerate(values[wanted.columns].to_delayed())
    ]
    return run.task("interpolated", "all", _combine, partials, wanted)


@dataclass(frozen=True)
class _Partial:
    regions: pd.Index
    sums: ExactSums
    totals: Floats
    left_over: Floats


def _partial(part: pd.DataFrame, links: pd.DataFrame, wanted: Variables) -> _Partial:
    here = links[links.index.isin(part.index)]
    rows = part.index.get_indexer(here.index)
    codes, regions = pd.factorize(here["region"].to_numpy(), sort=True)
    share = here["afact"].to_numpy(np.float64)
    linked = part.iloc[rows]
    terms = np.hstack(_terms(linked, share, wanted))
    counts = np.nan_to_num(_columns(part, list(wanted.extensive)))
    left = 1.0 - region_sums(share, rows.astype(np.int64), len(part))
    return _Partial(
        pd.Index(regions, dtype="str"),
        ExactSums.of(terms, codes.astype(np.int64), len(regions)),
        _added(counts),
        _added(counts * left[:, None]),
    )


def _terms(linked: pd.DataFrame, share: Floats, wanted: Variables) -> list[Floats]:
    """Return the terms of each kind of variable, of rows that are links."""
    blocks = []
    if wanted.extensive:
        names = list(wanted.extensive)
        moes = _columns(linked, list(wanted.extensive.values()))
        blocks.append(kernels.extensive_terms(_columns(linked, names), moes, share))
    for name, rate in wanted.intensive.items():
        weights = np.nan_to_num(_columns(linked, [rate.weight])[:, 0])
        moe = _columns(linked, [rate.moe])
        blocks.append(kernels.intensive_terms(_columns(linked, [name]), moe, weights, share))
    for name, classes in wanted.categorical.items():
        weights = share * np.nan_to_num(_columns(linked, [classes.weight])[:, 0])
        of_class = linked[name].to_numpy(object)[:, None] == np.array(classes.categories, dtype=object)
        unknown = ~of_class.any(axis=1) & linked[name].notna().to_numpy()
        if unknown.any():
            row = int(np.argmax(unknown))
            raise InputError(
                f"column {name}, tract {linked.index[row]}: found {linked[name].iloc[row]!r}, expected one of "
                f"{', '.join(map(str, classes.categories))}"
            )
        blocks.append(weights[:, None] * of_class)
    return blocks


def _columns(part: pd.DataFrame, names: Sequence[str | None]) -> Floats:
    """Return columns as floats; all missing where there is none."""
    columns = [
        np.full(len(part), np.nan) if name is None else part[name].to_numpy(np.float64, na_value=np.nan)
        for name in names
    ]
    return np.column_stack(columns) if columns else np.zeros((len(part), 0))


def _added(columns: Floats) -> Floats:
    return np.array([math.fsum(column.tolist()) for column in columns.T])


def _combine(partials: Sequence[_Partial], wanted: Variables) -> pd.DataFrame:
    regions = pd.Index(sorted(set().union(*(part.regions for part in partials))), dtype="str", name="region")
    if regions.empty:
        raise InputError("interpolation: no tract lies in a region")
    places = [regions.get_indexer(part.regions).astype(np.int64) for part in partials]
    sums = merge([part.sums for part in partials], places, len(regions)).rounded()
    columns: dict[str, object] = {}
    at = 0
    if wanted.extensive:
        n_columns = len(wanted.extensive)
        block, at = sums[:, : 4 * n_columns], 4 * n_columns
        _check_balance(partials, block[:, :n_columns], list(wanted.extensive))
        counts, moes = kernels.extensive_from_sums(block)
        for number, (name, moe) in enumerate(wanted.extensive.items()):
            columns[name] = counts[:, number]
            if moe is not None:
                columns[moe] = moes[:, number]
    for name, rate in wanted.intensive.items():
        value, margin, coverage = kernels.intensive_from_sums(sums[:, at : at + 5])
        at += 5
        columns[name] = value[:, 0]
        if rate.moe is not None:
            columns[rate.moe] = margin[:, 0]
        columns[f"{name}_coverage"] = coverage[:, 0]
    for name, classes in wanted.categorical.items():
        shares, dominant = kernels.categorical_from_sums(sums[:, at : at + len(classes.categories)])
        at += len(classes.categories)
        labels = np.array([*classes.categories, None], dtype=object)
        columns[name] = labels[dominant]
        for number, category in enumerate(classes.categories):
            columns[f"{name}_{category}"] = shares[:, number]
    return pd.DataFrame(columns, index=regions)


def _check_balance(partials: Sequence[_Partial], targets: Floats, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        totals, left = (
            np.array([getattr(part, field)[number] for part in partials]) for field in ("totals", "left_over")
        )
        check_mass_balance(totals, targets[:, number], left, what=name)
