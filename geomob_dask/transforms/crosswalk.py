"""Areal interpolation: numbers of one set of areas on another, by shares, with margins of error.

A link says that a share of a source area (of its people, or of its land) lies in a target area. Terms are computed
for each link by itself and then added by target, so links may lie in any number of partitions: the `…_terms` of a
partition, any addition by target (`exact_sums.region_sums`: in any order to the same bits), and `…_from_sums`.

Three kinds of variables: *extensive* ones (counts) are split; *intensive* ones (rates, medians) are averaged with a
weight; *categorical* ones (classes) are shared out.

References
----------
Goodchild & Lam (1980), "Areal interpolation: a variant of the traditional spatial problem"; U.S. Census Bureau on the
margin of a weighted sum, √Σ(w·MOE)².
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geomob_dask.errors import GeometryError, InputError, RunError
from geomob_dask.transforms.exact_sums import region_sums

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Geometries = NDArray[Any]
Summing = Callable[[Floats, Integers, int], Floats]

# Shares are published with four decimals: a source in ten targets can sum to this much more than 1.
PUBLISHED_ROUNDING = 1e-3
_BALANCE = 1e-12


@dataclass(frozen=True)
class Links:
    """Shares of source areas in target areas.

    Parameters
    ----------
    source, target : shape (n_links,), integers
        Rows of the source and target tables.
    share : shape (n_links,)
        Share of the source in the target (``afact``), in [0, 1].
    """

    source: Integers
    target: Integers
    share: Floats


def check_links(
    links: Links, sources: Sequence[str], *, complete: bool = False, tolerance: float = PUBLISHED_ROUNDING
) -> None:
    """Check that the shares of each source lie within 0 to 1 and sum to 1 at most.

    Parameters
    ----------
    links : Links
    sources : sequence of str
        Names of the sources, in order, for messages.
    complete : bool
        Whether the shares of every source must sum to 1; otherwise the rest lies in no target.
    tolerance : float
        How far from 1 the shares of a source may sum.

    Raises
    ------
    InputError
        Naming the source whose share lies outside [0, 1], whose shares sum to more than 1, or (`complete`) to less.
    """
    wrong = ~((links.share >= 0) & (links.share <= 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        name = sources[links.source[row]]
        raise InputError(f"crosswalk, {name}: found the share {links.share[row]:g}, expected one from 0 to 1")
    given = region_sums(links.share, links.source, len(sources))
    wrong = given > 1 + tolerance
    if complete:
        wrong |= given < 1 - tolerance
    if wrong.any():
        row = int(np.argmax(np.where(wrong, np.abs(given - 1), -1)))
        raise InputError(
            f"crosswalk, {sources[row]}: shares sum to {given[row]:.6g}, expected {'1' if complete else '1 at most'} "
            f"({int(wrong.sum())} of {len(sources)} sources)"
        )


def outside(links: Links, n_sources: int) -> Floats:
    """Return the share of each source that lies in no target, shape (n_sources,).

    Below zero by a rounding where published shares of a source sum to a little more than 1, so that totals balance.
    """
    return 1.0 - region_sums(links.share, links.source, n_sources)


def interpolate_extensive(
    values: Floats, moes: Floats, links: Links, n_targets: int, *, add: Summing = region_sums
) -> tuple[Floats, Floats]:
    """Return counts of the targets: Σ w·value, with the margin √Σ(w·MOE)².

    Parameters
    ----------
    values, moes : shape (n_sources, n_columns)
        Counts and their margins; NaN: not known.
    links : Links
    n_targets : int
    add : function (values, region, n_regions) -> sums by region

    Returns
    -------
    values, moes : shape (n_targets, n_columns)
        NaN where a source with a share above zero is not known; 0 in a target without sources.

    Examples
    --------
    Half of the first tract and all of the second:

    >>> links = Links(np.array([0, 1]), np.array([0, 0]), np.array([0.5, 1.0]))
    >>> interpolate_extensive(np.array([[100.0], [40.0]]), np.array([[6.0], [4.0]]), links, 1)
    (array([[90.]]), array([[5.]]))
    """
    terms = extensive_terms(values[links.source], moes[links.source], links.share)
    return extensive_from_sums(add(terms, links.target, n_targets))


def extensive_terms(values: Floats, moes: Floats, share: Floats) -> Floats:
    """Return the terms of each link: w·value, (w·MOE)², and whether either is missing; shape (n_links, 4·n_columns)."""
    weight = share[:, None]
    linked = weight > 0
    return np.hstack(
        [
            weight * np.nan_to_num(values),
            (weight * np.nan_to_num(moes)) ** 2,
            (linked & np.isnan(values)).astype(np.float64),
            (linked & np.isnan(moes)).astype(np.float64),
        ]
    )


def extensive_from_sums(sums: Floats) -> tuple[Floats, Floats]:
    """Return counts and margins from the sums of `extensive_terms` by target."""
    value, squares, missing_values, missing_moes = np.split(sums, 4, axis=1)
    counts = np.where(missing_values > 0, np.nan, value)
    return counts, np.where((missing_values > 0) | (missing_moes > 0), np.nan, np.sqrt(squares))


def interpolate_intensive(
    values: Floats,
    moes: Floats,
    weights: Floats,
    links: Links,
    n_targets: int,
    *,
    add: Summing = region_sums,
) -> tuple[Floats, Floats, Floats]:
    """Return rates of the targets: Σ w·d·value / Σ w·d with d the weight of a source (people, households, area).

    Parameters
    ----------
    values, moes : shape (n_sources, n_columns)
        Rates and their margins; NaN: not known. A source without a value is left out.
    weights : shape (n_sources,)
        What the rate is a rate of; zero or more, taken as known without error.
    links : Links
    n_targets : int
    add : function (values, region, n_regions) -> sums by region

    Returns
    -------
    values, moes : shape (n_targets, n_columns)
        NaN where no source has a value; the margin √Σ(w·d·MOE)² / Σ w·d also where a margin is missing.
    coverage : shape (n_targets, n_columns)
        Share of the target's weight whose value is known.

    Raises
    ------
    InputError
        If a weight is negative or missing.

    Examples
    --------
    >>> links = Links(np.array([0, 1]), np.array([0, 0]), np.array([0.5, 1.0]))
    >>> rates, moes = np.array([[0.1], [0.4]]), np.zeros((2, 1))
    >>> interpolate_intensive(rates, moes, np.array([200.0, 50.0]), links, 1)
    (array([[0.2]]), array([[0.]]), array([[1.]]))
    """
    wrong = ~(weights >= 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"weight of source {row}: found {weights[row]:g}, expected zero or more")
    terms = intensive_terms(values[links.source], moes[links.source], weights[links.source], links.share)
    return intensive_from_sums(add(terms, links.target, n_targets))


def intensive_terms(values: Floats, moes: Floats, weights: Floats, share: Floats) -> Floats:
    """Return the terms of each link: w·d, w·d where known, w·d·value, (w·d·MOE)², missing margins."""
    weight = (share * weights)[:, None]
    known = ~np.isnan(values)
    return np.hstack(
        [
            np.broadcast_to(weight, values.shape),
            weight * known,
            weight * np.nan_to_num(values),
            (weight * known * np.nan_to_num(moes)) ** 2,
            ((weight > 0) & known & np.isnan(moes)).astype(np.float64),
        ]
    )


def intensive_from_sums(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Return rates, margins and coverage from the sums of `intensive_terms` by target."""
    weight, known, value, squares, missing_moes = np.split(sums, 5, axis=1)
    rate = _per(value, known)
    moe = np.where(missing_moes > 0, np.nan, _per(np.sqrt(squares), known))
    return rate, moe, _per(known, weight)


def interpolate_categorical(
    categories: Integers,
    n_categories: int,
    weights: Floats,
    links: Links,
    n_targets: int,
    *,
    add: Summing = region_sums,
) -> tuple[Floats, Integers]:
    """Return the share of each class in each target, and the class of most of it.

    Parameters
    ----------
    categories : shape (n_sources,), integers
        Class of each source in [0, n_categories); −1: not known, left out.
    n_categories : int
    weights : shape (n_sources,)
        People or area of each source.
    links : Links
    n_targets : int
    add : function (values, region, n_regions) -> sums by region

    Returns
    -------
    shares : shape (n_targets, n_categories)
        They sum to 1; NaN where no source has a class.
    dominant : shape (n_targets,), integers
        The class with the largest share, the first of equals; −1 where there is none.

    Raises
    ------
    InputError
        If a class is none of them.

    Examples
    --------
    >>> links = Links(np.array([0, 1]), np.array([0, 0]), np.array([0.5, 1.0]))
    >>> interpolate_categorical(np.array([2, 0]), 3, np.array([20.0, 30.0]), links, 1)
    (array([[0.75, 0.  , 0.25]]), array([0]))
    """
    wrong = (categories < -1) | (categories >= n_categories)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"class of source {row}: found {categories[row]}, expected −1 to {n_categories - 1}")
    classes = categories[links.source, None] == np.arange(n_categories)
    terms = (links.share * weights[links.source])[:, None] * classes
    return categorical_from_sums(add(terms, links.target, n_targets))


def categorical_from_sums(sums: Floats) -> tuple[Floats, Integers]:
    """Return shares and the dominant class from the weight of each class by target."""
    # Class by class: the order of additions does not depend on the memory layout.
    total = np.zeros((len(sums), 1))
    for category in range(sums.shape[1]):
        total = total + sums[:, [category]]
    dominant = np.where(total[:, 0] > 0, np.argmax(sums, axis=1), -1)
    return _per(sums, total), dominant.astype(np.int64)


def check_mass_balance(sources: Floats, targets: Floats, left_over: Floats, what: str = "people") -> None:
    """Check that everybody in the sources is in the targets or left over, to the last person.

    Parameters
    ----------
    sources, targets, left_over : persons, any shape
        Source counts, interpolated counts, and source counts times `outside`. NaN: not known, left out.
    what : str
        For the message.

    Raises
    ------
    RunError
        With both totals.
    """
    before = _total(sources)
    after = math.fsum([_total(targets), _total(left_over)])
    if abs(after - before) > _BALANCE * abs(before):
        raise RunError(
            f"areal interpolation: {before:,.6f} {what} before, {after:,.6f} after; expected the same to the last one"
        )


@dataclass(frozen=True)
class AreaLinks(Links):
    """Links made from polygons.

    Parameters
    ----------
    share_of_target : shape (n_links,)
        Share of the target's area in the source (``afact2``).
    """

    share_of_target: Floats


def area_links(sources: Geometries, targets: Geometries, *, source_names: Sequence[str] | None = None) -> AreaLinks:
    """Link polygons by the area of their intersections.

    Any block of sources may be linked by itself, with all targets: its links do not depend on other sources.

    Parameters
    ----------
    sources, targets : arrays of valid polygons
        In one equal-area system, in meters (for the United States EPSG:5070).
    source_names : sequence of str, optional
        For messages; their rows by default.

    Returns
    -------
    AreaLinks
        Pairs that share an area, sorted by source and target. Shares are of area: people are taken as evenly spread.

    Raises
    ------
    GeometryError
        If a polygon is missing or invalid, if coordinates are degrees, or if targets overlap, so that more of a
        source is given away than there is.

    Examples
    --------
    A quarter of a square of 2 km lies in a square of 1 km, all of which it covers:

    >>> links = area_links(np.array([shapely.box(0, 0, 2000, 2000)]), np.array([shapely.box(0, 0, 1000, 1000)]))
    >>> links.share, links.share_of_target
    (array([0.25]), array([1.]))
    """
    for what, polygons in (("source", sources), ("target", targets)):
        _check_polygons(polygons, what)
    source, target = shapely.STRtree(targets).query(sources, predicate="intersects")
    area = shapely.area(shapely.intersection(sources[source], targets[target]))
    shared = area > 0
    order = np.lexsort((target[shared], source[shared]))
    source, target, area = (column[shared][order] for column in (source, target, area))
    share = area / shapely.area(sources)[source]
    given = region_sums(share, source, len(sources))
    if (given > 1 + PUBLISHED_ROUNDING).any():
        row = int(np.argmax(given))
        name = row if source_names is None else source_names[row]
        raise GeometryError(
            f"source {name}: targets cover {given[row]:.4f} of its area, expected 1 at most (they overlap)"
        )
    # Rounding in the overlay, or slivers between digitized outlines, must not create people.
    share = np.minimum(share / np.maximum(given, 1.0)[source], 1.0)
    of_target = np.minimum(area / shapely.area(targets)[target], 1.0)
    return AreaLinks(source.astype(np.int64), target.astype(np.int64), share, of_target)


def _check_polygons(polygons: Geometries, what: str) -> None:
    missing = shapely.is_missing(polygons) | shapely.is_empty(polygons)
    if missing.any():
        raise GeometryError(f"{what} {int(np.argmax(missing))}: found no polygon, expected one to measure")
    invalid = ~shapely.is_valid(polygons)
    if invalid.any():
        row = int(np.argmax(invalid))
        raise GeometryError(f"{what} {row}: {shapely.is_valid_reason(polygons[row])}; expected a valid polygon")
    # Areas of the size of tracts in meters lie far outside of this box; degrees lie inside.
    left, bottom, right, top = shapely.total_bounds(polygons)
    if left >= -180 and right <= 180 and bottom >= -90 and top <= 90:
        raise GeometryError(
            f"{what}s lie within {left:.2f} … {right:.2f}, {bottom:.2f} … {top:.2f}: degrees have no area; "
            "expected meters in an equal-area system (EPSG:5070)"
        )


def _per(numerator: Floats, denominator: Floats) -> Floats:
    top, bottom = np.broadcast_arrays(numerator, denominator)
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0))


def _total(counts: Floats) -> float:
    return math.fsum(counts[~np.isnan(counts)].ravel().tolist())
