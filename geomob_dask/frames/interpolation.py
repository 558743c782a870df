"""Areal interpolation of frames: numbers of tracts on other areas, by the shares of tracts in them.

What a partition adds to an area is an exact sum, so results are the same, bit for bit, for any partitioning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.frames.align import aligned
from geomob_dask.frames.numbers import check_numbers
from geomob_dask.frames.own_rows import Frame, is_lazy
from geomob_dask.frames.reduction import partials, reduced_rows
from geomob_dask.messages import listed
from geomob_dask.sources.kinds import margin_columns
from geomob_dask.transforms import crosswalk as kernels
from geomob_dask.transforms.crosswalk import Links, check_links, check_mass_balance
from geomob_dask.transforms.exact_sums import ExactSums, merged_regions, region_sums

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rate:
    """An intensive variable: the column that it is a rate of, and that of its margin.

    Parameters
    ----------
    weight : str
        Column of people, households or area.
    moe : str, optional
        Column of its 90 per cent margin of error.
    """

    weight: str
    moe: str | None = None


@dataclass(frozen=True)
class Classes:
    """A categorical variable: its classes, and the column by which they are shared out.

    Parameters
    ----------
    categories : tuple
    weight : str
        Column of people or area.
    """

    categories: tuple[object, ...]
    weight: str


@dataclass(frozen=True)
class Variables:
    """Columns to be interpolated.

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

    @property
    def weights_and_counts(self) -> list[str]:
        """Return the columns of people and of margins of error: zero or more."""
        rates = [name for rate in self.intensive.values() for name in (rate.weight, rate.moe)]
        every = [*self.extensive, *self.extensive.values(), *rates, *(one.weight for one in self.categorical.values())]
        return list(dict.fromkeys(name for name in every if name is not None))

    @property
    def n_terms(self) -> int:
        """Return the number of sums that each region has."""
        classes = sum(len(one.categories) for one in self.categorical.values())
        return 4 * len(self.extensive) + 5 * len(self.intensive) + classes


def interpolate(
    values: Any,
    links: Frame,
    *,
    extensive: Sequence[str] | Mapping[str, str | None] = (),
    intensive: Mapping[str, str | Rate] | None = None,
    categorical: Mapping[str, Classes] | None = None,
) -> Any:
    """Return variables of tracts on other areas.

    Parameters
    ----------
    values : DataFrame, in memory or on Dask
        Indexed by tract. NaN: not known.
    links : DataFrame, in memory or on Dask
        Indexed by tract: ``region`` (empty: in none) and ``afact`` (share of the tract in the region), as
        `area_weights` and `regions_of` return them. On Dask, it must be sorted by its index, as `values`.
    extensive : sequence of columns, or mapping of column to its margin's column or None
        Counts: Σ w·value, with the margin √Σ(w·MOE)². Of a sequence, margins are looked for under ``<column>_moe``.
    intensive : mapping of column to Rate, or to the column of its weight
        Rates: averages with the weight w·d, with their margins.
    categorical : mapping of column to Classes
        Classes, shared out by w·d.

    Returns
    -------
    DataFrame, in memory or on Dask as `values`
        Index ``region``, sorted: each count and its margin; each rate, its margin and ``_coverage`` (share of the
        weight whose rate is known); of each categorical column, the class of most of the region and ``_CLASS``, the
        share of each class. NaN where a count of a tract of the region, or all rates, are not known: ``reason`` names
        the columns, and is empty elsewhere.

    Raises
    ------
    InputError
        If a column is missing, a share lies outside 0 to 1, or shares of a tract sum to more than 1.
    RunError
        If the counts of regions and those in no region do not sum to those of the tracts.

    References
    ----------
    Goodchild & Lam (1980), "Areal interpolation: a variant of the traditional spatial problem".

    Examples
    --------
    Half of the first tract and all of the second lie in a town:

    >>> tracts = pd.DataFrame({"people": [100, 40], "poverty": [0.1, 0.4]}, index=["a", "b"])
    >>> links = pd.DataFrame({"region": ["town", "town"], "afact": [0.5, 1.0]}, index=["a", "b"])
    >>> interpolate(tracts, links, extensive=["people"], intensive={"poverty": "people"}).iloc[0, :3].round(3).to_dict()
    {'people': 90.0, 'poverty': 0.233, 'poverty_coverage': 1.0}
    """
    wanted = _variables(list(values.columns), extensive, intensive or {}, categorical or {})
    absent = [column for column in wanted.columns if column not in values.columns]
    if absent or not wanted.columns:
        raise InputError(f"interpolation: no column {', '.join(absent) or 'named'}; found {listed(values.columns, 40)}")
    values, links = values[wanted.columns], links[["region", "afact"]]
    if is_lazy(links):
        values, links = aligned(values=values, links=links)
    sums = partials(_interpolation_sums, values, links, wanted=wanted)
    nothing = _table(np.zeros((0, wanted.n_terms)), pd.Index([], dtype="str", name="region"), wanted)
    return reduced_rows(_interpolated, sums, meta=nothing, wanted=wanted)


def _variables(
    columns: Sequence[str],
    extensive: Sequence[str] | Mapping[str, str | None],
    intensive: Mapping[str, str | Rate],
    categorical: Mapping[str, Classes],
) -> Variables:
    if not isinstance(extensive, Mapping):
        margins = margin_columns(columns)
        extensive = {name: margins.get(name) for name in extensive}
    rates = {name: rate if isinstance(rate, Rate) else Rate(rate) for name, rate in intensive.items()}
    return Variables(dict(extensive), rates, dict(categorical))


# One partition -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class InterpolationSums:
    """The terms of one partition in the sums of its areas.

    Attributes
    ----------
    regions : Index
    sums : ExactSums
        Of the terms of all variables.
    totals, outside : shape (n_extensive,)
        All counts of the partition, and those in no region.
    """

    regions: pd.Index
    sums: ExactSums
    totals: Floats
    outside: Floats


def _interpolation_sums(values: pd.DataFrame, links: pd.DataFrame, *, wanted: Variables) -> InterpolationSums:
    people = wanted.weights_and_counts
    check_numbers(values, [*dict.fromkeys([*people, *wanted.intensive])], counts=people, name="interpolation")
    links = links[links.index.isin(values.index)]
    rows = values.index.get_indexer(links.index).astype(np.int64)
    share = links["afact"].to_numpy(np.float64)
    check_links(Links(rows, rows, share), values.index)
    inside = (links["region"] != "").to_numpy()
    rows, share = rows[inside], share[inside]
    codes, regions = pd.factorize(links["region"].to_numpy(object)[inside], sort=True)
    terms = np.hstack(_terms(values.iloc[rows], share, wanted))
    counts = np.nan_to_num(_columns(values, list(wanted.extensive)))
    left = 1.0 - region_sums(share, rows, len(values))
    return InterpolationSums(
        pd.Index(regions, dtype="str"),
        ExactSums.of(terms, codes.astype(np.int64), len(regions)),
        _added(counts),
        _added(counts * left[:, None]),
    )


def _terms(linked: pd.DataFrame, share: Floats, wanted: Variables) -> list[Floats]:
    """Return the terms of each kind of variable; `linked` has one row per link."""
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


def _columns(table: pd.DataFrame, names: Sequence[str | None]) -> Floats:
    """Return columns as floats; all missing where there is none."""
    columns = [
        np.full(len(table), np.nan) if name is None else table[name].to_numpy(np.float64, na_value=np.nan)
        for name in names
    ]
    return np.column_stack(columns) if columns else np.zeros((len(table), 0))


def _added(columns: Floats) -> Floats:
    return np.array([math.fsum(column.tolist()) for column in columns.T])


# All partitions ----------------------------------------------------------------------------------


def _interpolated(frames: Sequence[pd.DataFrame], *, wanted: Variables) -> pd.DataFrame:
    parts: list[InterpolationSums] = [value for frame in frames for value in frame["value"]]
    regions = pd.Index(sorted(set().union(*(part.regions for part in parts))), dtype="str", name="region")
    if regions.empty:
        raise InputError("interpolation: no tract lies in a region")
    places = [regions.get_indexer(part.regions).astype(np.int64) for part in parts]
    sums = merged_regions([part.sums for part in parts], places, len(regions)).rounded()
    for number, name in enumerate(wanted.extensive):
        totals, outside = (
            np.array([getattr(part, field)[number] for part in parts]) for field in ("totals", "outside")
        )
        check_mass_balance(totals, sums[:, number], outside, what=name)
    return _table(sums, regions, wanted)


def _table(sums: Floats, regions: pd.Index, wanted: Variables) -> pd.DataFrame:
    columns: dict[str, object] = {}
    at = 4 * len(wanted.extensive)
    counts, moes = kernels.extensive_from_sums(sums[:, :at])
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
        text = all(isinstance(category, str) for category in classes.categories)
        columns[name] = pd.Series(labels[dominant], index=regions, dtype="str" if text else object)
        for number, category in enumerate(classes.categories):
            columns[f"{name}_{category}"] = shares[:, number]
    table = pd.DataFrame(columns, index=regions)
    return table.assign(reason=_reasons(table, wanted))


def _reasons(table: pd.DataFrame, wanted: Variables) -> pd.Series:
    """Return why values of regions are missing; empty where all are there."""
    texts = pd.Series("", index=table.index, dtype="str")
    for names, why in (
        (list(wanted.extensive), "a tract's count is missing"),
        (list(wanted.intensive), "no tract has a rate with a weight"),
        (list(wanted.categorical), "no tract has a class with a weight"),
    ):
        missing = table[names].isna()
        for row in np.flatnonzero(missing.any(axis=1)).tolist():
            told = f"{why}: {listed(list(missing.columns[missing.iloc[row]]), 3)}"
            texts.iloc[row] = f"{texts.iloc[row]}; {told}" if texts.iloc[row] else told
    return texts
