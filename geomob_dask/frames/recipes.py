"""Recipes of an index: how imputed measures become scores of domains."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.definition import Definition
from geomob_dask.errors import DefinitionError
from geomob_dask.frames.own_rows import one_value, own_rows, value_of
from geomob_dask.frames.reduction import partials, reduced, reduced_rows
from geomob_dask.transforms import opportunity as index
from geomob_dask.transforms.principal_component import correlations, cross_products, first_component
from geomob_dask.transforms.rank_exponential import Ranking, percentile_ranks, ranking
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


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each measure, each of shape (n_measures,)."""

    mean: Floats
    deviation: Floats


@dataclass(frozen=True)
class Reference:
    """The reference of ranks: the moments of each measure and the sorted sums of each domain.

    Computed from the tracts of the run itself, or kept from a reference year.
    """

    mean: Floats
    deviation: Floats
    rankings: tuple[Ranking, ...]


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
    reference : one row, optional
        Its value is a `Reference`.
    """

    standard: Any
    sums: Any
    scores: Any
    overall: Any = None
    reference: Any = None


def _opportunity(imputed: Any, definition: Definition, given: Reference | None) -> Scored:
    """z-scores, summed by domain, ranked, transformed exponentially."""
    moments = _moments(imputed, definition) if given is None else one_value(Moments(given.mean, given.deviation))
    standard = _each_measure(_standardized, imputed, moments, definition=definition)
    sums = _sums(standard, definition)
    if given is None:
        rankings = _ranked(sums, definition)
        reference = reduced(_reference, rankings, moments)
    else:
        rankings, reference = one_value(given.rankings), one_value(given)
    scores = _each_domain(_scored, sums, rankings, definition=definition)
    return Scored(standard, sums, scores, reference=reference)


def _z_mean(imputed: Any, definition: Definition, given: Reference | None) -> Scored:
    """z-scores, averaged over each domain; the index is the mean of the domains."""
    standard = _each_measure(_standardized, imputed, _moments(imputed, definition), definition=definition)
    sums = _sums(standard, definition)
    return Scored(standard, sums, _each_domain(_averaged, sums, definition=definition))


def _svi(imputed: Any, definition: Definition, given: Reference | None) -> Scored:
    """Percentile ranks of measures, of their sums by domain, and of the sum of those sums."""
    measured = _each_measure(_measured, imputed, definition=definition)
    standard = _each_measure(_coded_percentiles, measured, _ranked(measured, definition), definition=definition)
    sums = _sums(standard, definition)
    scores = _each_domain(_percentiles, sums, _ranked(sums, definition), definition=definition)
    totals = own_rows(_total, sums, meta=_no_total)
    overall = own_rows(_percentiles, totals, _ranked(totals, definition), meta=_no_total, definition=definition)
    return Scored(standard, sums, scores, overall=overall)


def _principal_component(imputed: Any, definition: Definition, given: Reference | None) -> Scored:
    """First principal component of the complete rows, scaled to 0…1; a domain's score is its part of it."""
    mean = reduced(_weighted_mean, partials(_weighted_sums, imputed, definition=definition))
    products = partials(_cross_products, imputed, mean, definition=definition)
    component = reduced(_component, products, mean, measures=definition.measures)
    standard = _each_measure(_on_component, imputed, mean, component, definition=definition)
    sums = _sums(standard, definition)
    totals = own_rows(_total, sums, meta=_no_total)
    overall = own_rows(_unit_scale, totals, extremes_of(totals), meta=_no_total)
    return Scored(standard, sums, sums, overall=overall)


RECIPES: dict[str, Callable[[Any, Definition, Reference | None], Scored]] = {
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


def _ranked(frame: Any, definition: Definition) -> Any:
    """Return the ranking of each column over all partitions."""
    return reduced_rows(_rankings, frame, tolerance=definition.parameters.tie_tolerance)


def extremes_of(frame: Any) -> Any:
    """Return the smallest and largest mean over the columns of all rows: one row, whose value is a pair."""
    return reduced(_extremes, partials(_range, frame))


def _column_sums(imputed: pd.DataFrame, *, definition: Definition) -> Sums:
    return column_sums(_matrix(imputed, definition))


def _squares(imputed: pd.DataFrame, mean: pd.DataFrame, *, definition: Definition) -> Sums:
    return squared_deviations(_matrix(imputed, definition), value_of(mean))


def _deviations(squares: Sequence[Sums], mean: Floats, *, measures: Sequence[str]) -> Moments:
    return Moments(mean, standard_deviations(squares, mean, measures))


def _rankings(frames: Sequence[pd.DataFrame], *, tolerance: float) -> tuple[Ranking, ...]:
    columns = np.concatenate([frame.to_numpy(np.float64) for frame in frames])
    return tuple(ranking(column, tolerance) for column in columns.T)


def _reference(rankings: Sequence[tuple[Ranking, ...]], moments: Moments) -> Reference:
    return Reference(moments.mean, moments.deviation, rankings[0])


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


def _scored(sums: pd.DataFrame, rankings: pd.DataFrame, *, definition: Definition) -> pd.DataFrame:
    return _like(index.score(sums.to_numpy(), value_of(rankings), definition.parameters.scale), sums, sums.columns)


def _averaged(sums: pd.DataFrame, *, definition: Definition) -> pd.DataFrame:
    return _like(sums.to_numpy() / np.bincount(definition.domain_of), sums, sums.columns)


def _coded_percentiles(frame: pd.DataFrame, rankings: pd.DataFrame, *, definition: Definition) -> pd.DataFrame:
    return _percentiles(frame, rankings, definition=definition, mirrored=[sign < 0 for sign in definition.directions])


def _percentiles(
    frame: pd.DataFrame, rankings: pd.DataFrame, *, definition: Definition, mirrored: Sequence[bool] = ()
) -> pd.DataFrame:
    turned = mirrored or [False] * frame.shape[1]
    columns = [
        percentile_ranks(column, groups, mirrored=turn)
        for column, groups, turn in zip(frame.to_numpy().T, value_of(rankings), turned, strict=True)
    ]
    return _like(np.stack(columns, axis=1), frame, frame.columns)


def _total(sums: pd.DataFrame) -> pd.DataFrame:
    """Return the sum over domains as one column."""
    return _like(index.domain_sums(sums.to_numpy(), (0,) * sums.shape[1]), sums, ["total"])


def _unit_scale(totals: pd.DataFrame, extremes: pd.DataFrame) -> pd.DataFrame:
    low, high = value_of(extremes)
    return (totals - low) / (high - low)
