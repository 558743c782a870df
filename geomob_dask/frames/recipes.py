"""Recipes of an index: how imputed measures become scores of domains."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.definition import Definition
from geomob_dask.errors import DefinitionError
from geomob_dask.frames.by_column import by_column
from geomob_dask.frames.dask_types import count_fields
from geomob_dask.frames.own_rows import own_rows, value_of
from geomob_dask.frames.reduction import partials, reduced
from geomob_dask.transforms import opportunity as index
from geomob_dask.transforms.principal_component import correlations, cross_products, first_component
from geomob_dask.transforms.rank_exponential import (
    Ranking,
    exponential,
    joined,
    percentile_ranks,
    ranked,
    ranking,
    scaled_ranks,
)
from geomob_dask.transforms.standardize import (
    Sums,
    column_sums,
    is_flat,
    means,
    merge_sums,
    squared_deviations,
    standard_deviations,
    z_scores,
)

Floats = NDArray[np.float64]
count_fields(Ranking)


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each measure, each of shape (n_measures,)."""

    mean: Floats
    deviation: Floats


@dataclass(frozen=True)
class Norms:
    """What ranks are taken among: the moments of each measure and the ranking of each domain's sums.

    Of the tracts of the run itself, or kept from a reference year.

    Attributes
    ----------
    moments : DataFrame of one row, in memory or on Dask
        Its value is `Moments`.
    rankings : DataFrame of one row per value, in memory or on Dask with a partition per value
        Values are `Ranking`: for each domain its pieces, as many for one as for the other.
    """

    moments: Any
    rankings: Any


@dataclass(frozen=True)
class Scored:
    """The result of a recipe: aligned frames.

    Attributes
    ----------
    standard : one column per measure
        z-scores or percentile ranks.
    sums, scores : one column per domain
        Sums over each domain's measures, and the domains' scores.
    overall : one column, optional
        Deprivation, where it is not the mean of the scores.
    norms : Norms, optional
        What the scores were ranked among.
    """

    standard: Any
    sums: Any
    scores: Any
    overall: Any = None
    norms: Norms | None = None


def _opportunity(imputed: Any, definition: Definition, given: Norms | None, pieces: int = 1) -> Scored:
    """z-scores, summed by domain, ranked, transformed exponentially."""
    moments = _moments(imputed, definition) if given is None else given.moments
    standard = _each_measure(_standardized, imputed, moments, definition=definition)
    sums = _sums(standard, definition)
    options = {"tolerance": definition.parameters.tie_tolerance, "pieces": pieces}
    if given is None:
        ranks, rankings = by_column(_ranks, sums, further=pieces, options=options)
        norms = Norms(moments, rankings)
    else:
        (ranks, _), norms = by_column(_ranks_among, sums, given=given.rankings), given
    scores = _each_domain(_scored, ranks, definition=definition)
    return Scored(standard, sums, scores, norms=norms)


def _z_mean(imputed: Any, definition: Definition, given: Norms | None, pieces: int = 1) -> Scored:
    """z-scores, averaged over each domain; the index is the mean of the domains."""
    standard = _each_measure(_standardized, imputed, _moments(imputed, definition), definition=definition)
    sums = _sums(standard, definition)
    return Scored(standard, sums, _each_domain(_averaged, sums, definition=definition))


def _svi(imputed: Any, definition: Definition, given: Norms | None, pieces: int = 1) -> Scored:
    """Percentile ranks of measures, of their sums by domain, and of the sum of those sums."""
    measured = _each_measure(_measured, imputed, definition=definition)
    standard = _percentiles(measured, definition, mirrored=[sign < 0 for sign in definition.directions])
    sums = _sums(standard, definition)
    overall = _percentiles(own_rows(_total, sums, meta=_no_total), definition)
    scores = _percentiles(sums, definition)
    return Scored(standard, sums, scores, overall=overall)


def _principal_component(imputed: Any, definition: Definition, given: Norms | None, pieces: int = 1) -> Scored:
    """First principal component of the complete rows, scaled to 0…1; a domain's score is its part of it."""
    mean = reduced(_weighted_mean, partials(_weighted_sums, imputed, definition=definition))
    products = partials(_cross_products, imputed, mean, definition=definition)
    component = reduced(_component, products, mean, measures=definition.measures)
    standard = _each_measure(_on_component, imputed, mean, component, definition=definition)
    sums = _sums(standard, definition)
    totals = own_rows(_total, sums, meta=_no_total)
    overall = own_rows(_unit_scale, totals, extremes_of(totals), meta=_no_total)
    return Scored(standard, sums, sums, overall=overall)


RECIPES: dict[str, Callable[[Any, Definition, Norms | None, int], Scored]] = {
    "opportunity": _opportunity,
    "z_mean": _z_mean,
    "svi": _svi,
    "principal_component": _principal_component,
    "weighted_principal_component": _principal_component,
}


# Small reductions ------------------------------------------------------------------------------


def _moments(imputed: Any, definition: Definition) -> Any:
    mean = reduced(means, partials(_column_sums, imputed, definition=definition))
    squares = partials(_squares, imputed, mean, definition=definition)
    return reduced(_deviations, squares, mean, measures=definition.measures)


def extremes_of(frame: Any) -> Any:
    """Return the smallest and largest mean over the columns of all rows: one row, whose value is a pair."""
    return reduced(_extremes, partials(_range, frame))


def _column_sums(imputed: pd.DataFrame, *, definition: Definition) -> Sums:
    return column_sums(_matrix(imputed, definition))


def _squares(imputed: pd.DataFrame, mean: pd.DataFrame, *, definition: Definition) -> Sums:
    return squared_deviations(_matrix(imputed, definition), value_of(mean))


def _deviations(squares: Sequence[Sums], mean: Floats, *, measures: Sequence[str]) -> Moments:
    return Moments(mean, standard_deviations(squares, mean, measures))


def _weights(imputed: pd.DataFrame, definition: Definition) -> Floats:
    """Return the weight of each row: 0 for one with a missing value, else 1 or its people."""
    complete = np.asarray(~np.isnan(_matrix(imputed, definition)).any(axis=1))
    by_people = definition.parameters.recipe == "weighted_principal_component"
    people = np.nan_to_num(imputed["population "].to_numpy()) if by_people else np.ones(len(complete))
    return np.where(complete, people, 0.0)


def _weighted_sums(imputed: pd.DataFrame, *, definition: Definition) -> Sums:
    weights = _weights(imputed, definition)
    counted = weights > 0
    columns = np.column_stack([np.ones(len(weights)), _matrix(imputed, definition)])
    return column_sums(columns[counted] * weights[counted, np.newaxis])


def _weighted_mean(parts: Sequence[Sums]) -> Floats:
    _, sums = merge_sums(parts)
    if not sums[0] > 0:
        raise DefinitionError("no tract has all measures of the definition; expected some complete rows")
    return np.asarray(sums[1:] / sums[0])


def _cross_products(imputed: pd.DataFrame, mean: pd.DataFrame, *, definition: Definition) -> Sums:
    weights = _weights(imputed, definition)
    counted = weights > 0
    products = cross_products(_matrix(imputed, definition)[counted], value_of(mean), weights[counted])
    return column_sums(np.column_stack([weights[counted], products]))


def _component(parts: Sequence[Sums], mean: Floats, *, measures: Sequence[str]) -> Floats:
    """Return the weight of a centered value of each measure: its loading over its spread."""
    _, (weight, *products) = merge_sums(parts)
    correlation, spread = correlations(np.array(products), len(measures))
    flat = [
        name
        for name, width, center in zip(measures, spread, mean, strict=True)
        if not width > 0 or is_flat(width**2, weight, center)
    ]
    if flat:
        raise DefinitionError(
            f"measure without variance over the complete rows: {', '.join(flat)}; expected two values"
        )
    return first_component(correlation) / spread


def _range(frame: pd.DataFrame) -> tuple[float, float]:
    values = index.deprivation(frame.to_numpy()) if frame.shape[1] > 1 else frame.to_numpy()[:, 0]
    known = values[~np.isnan(values)]
    return (float(known.min()), float(known.max())) if len(known) else (np.inf, -np.inf)


def _extremes(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


# Ranks -----------------------------------------------------------------------------------------


def _percentiles(frame: Any, definition: Definition, mirrored: Sequence[bool] = ()) -> Any:
    options = {"tolerance": definition.parameters.tie_tolerance, "mirrored": tuple(mirrored)}
    return by_column(_percentile_ranks, frame, options=options)[0]


def _ranks(
    values: Floats, place: int, given: Sequence[Any], *, tolerance: float, pieces: int
) -> tuple[Floats, list[Ranking]]:
    """Return the scaled ranks of a column, and its ranking in pieces."""
    among = ranking(values, tolerance)
    return ranked(values, partial(scaled_ranks, among=among)), among.split(pieces)


def _ranks_among(values: Floats, place: int, given: Sequence[Ranking]) -> tuple[Floats, list[Ranking]]:
    """Return the scaled ranks of a column in another one, of which the ranking is given."""
    return ranked(values, partial(scaled_ranks, among=joined(given))), []


def _percentile_ranks(
    values: Floats, place: int, given: Sequence[Any], *, tolerance: float, mirrored: Sequence[bool]
) -> tuple[Floats, list[Any]]:
    among, turned = ranking(values, tolerance), bool(mirrored) and mirrored[place]
    return ranked(values, partial(percentile_ranks, among=among, mirrored=turned)), []


# Own rows ------------------------------------------------------------------------------------


def _matrix(imputed: pd.DataFrame, definition: Definition) -> Floats:
    return np.asarray(imputed[list(definition.measures)], dtype=np.float64)


def _each_measure(function: Callable[..., pd.DataFrame], *frames: Any, definition: Definition) -> Any:
    return own_rows(function, *frames, meta=lambda: _no_columns(definition.measures), definition=definition)


def _each_domain(function: Callable[..., pd.DataFrame], *frames: Any, definition: Definition) -> Any:
    return own_rows(function, *frames, meta=lambda: _no_columns(list(definition.domains)), definition=definition)


def _no_columns(names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({name: np.zeros(0) for name in names}, index=pd.Index([], dtype=np.int64, name="geoid"))


def _no_total() -> pd.DataFrame:
    return _no_columns(["total"])


def _like(values: Floats, frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(values, index=frame.index, columns=list(columns))


def _measured(imputed: pd.DataFrame, *, definition: Definition) -> pd.DataFrame:
    return imputed[list(definition.measures)]


def _standardized(imputed: pd.DataFrame, moments: pd.DataFrame, *, definition: Definition) -> pd.DataFrame:
    kept: Moments = value_of(moments)
    z = z_scores(_matrix(imputed, definition), kept.mean, kept.deviation)
    return _like(z, imputed, definition.measures)


def _on_component(
    imputed: pd.DataFrame, mean: pd.DataFrame, component: pd.DataFrame, *, definition: Definition
) -> pd.DataFrame:
    parts = (_matrix(imputed, definition) - value_of(mean)) * value_of(component)
    return _like(np.asarray(parts), imputed, definition.measures)


def _sums(standard: Any, definition: Definition) -> Any:
    return _each_domain(_domain_sums, standard, definition=definition)


def _domain_sums(standard: pd.DataFrame, *, definition: Definition) -> pd.DataFrame:
    return _like(index.domain_sums(standard.to_numpy(), definition.domain_of), standard, list(definition.domains))


def _scored(ranks: pd.DataFrame, *, definition: Definition) -> pd.DataFrame:
    return _like(exponential(ranks.to_numpy(), definition.parameters.scale), ranks, ranks.columns)


def _averaged(sums: pd.DataFrame, *, definition: Definition) -> pd.DataFrame:
    return _like(sums.to_numpy() / np.bincount(definition.domain_of), sums, sums.columns)


def _total(sums: pd.DataFrame) -> pd.DataFrame:
    """Return the sum over domains as one column."""
    return _like(index.domain_sums(sums.to_numpy(), (0,) * sums.shape[1]), sums, ["total"])


def _unit_scale(totals: pd.DataFrame, extremes: pd.DataFrame) -> pd.DataFrame:
    low, high = value_of(extremes)
    return (totals - low) / (high - low)
