"""Random draws of whole regions: p-values, intervals and bias of indices.

Draws come in chunks, an `own_rows` frame each. A draw is keyed by seed, region, year and its number: neither chunks nor
partitions change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.frames.halo import apart
from geomob_dask.frames.own_rows import own_rows, value_of
from geomob_dask.frames.reduction import partials
from geomob_dask.frames.sampling import FULL_COUNT, Sampling
from geomob_dask.frames.units import region_units
from geomob_dask.metrics import segregation_draws as random
from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.effective_interviews import without_noise
from geomob_dask.metrics.segregation_catalog import INDICES, SegregationIndex, chosen
from geomob_dask.metrics.segregation_inference import (
    bootstrap_corrected,
    drawn_indices,
    evaluation,
    excess_over_evenness,
    interval,
    mean_of_draws,
    p_value,
)
from geomob_dask.metrics.segregation_intervals import WORLDS, inverted
from geomob_dask.metrics.segregation_units import RegionUnits

Values = dict[str, Floats]

NULLS: dict[str, Callable[[RegionUnits], random.Sampler]] = {
    "evenness": lambda units: (
        random.evenness(units.counts)
        if units.interviews is None
        else random.sampled_evenness(units.counts, units.interviews)
    ),
    "units": lambda units: random.permuted_units(units.counts),
    "persons": lambda units: random.permuted_persons(units.counts),
}
INTERVALS: dict[str, Callable[[RegionUnits], random.Sampler]] = {
    "persons": lambda units: random.resampled_persons(units.counts),
    "units": lambda units: random.resampled_units(units.counts),
    "moe": lambda units: random.margin_of_error_draws(units.counts, _errors(units)),
}
# Counts held at a time while drawing: memory of a task is about ten times this.
_CELLS = 2_000_000
# Equal up to rounding counts as at least as large: sums over draws run in another order.
_TIE = 1e-12
DRAWS_A_TASK = 100
# Column of the people interviewed, of all tracts of a region: an effective number where counts have margins.
INTERVIEWED = "interviews"
# How the counts were taken; and draws for intervals that are samples taken so.
SAMPLED = "sampled"


@dataclass(frozen=True)
class Inference:
    """Which random draws are made.

    Parameters
    ----------
    draws : int
        Of the null, and as many for the intervals; 0: none.
    null : {"evenness", "units", "persons"}
        People drawn from the region's shares; units changing places; persons changing places.
    interval : {"sampled", "persons", "units", "moe", "none"}
        What is drawn for intervals: samples as the counts were taken, persons of a full count, units, or counts from
        their margins of error, one by one.
    seed, year : int
        Key the random streams, together with the region and the number of the draw.
    sampling : Sampling
        How the counts were taken: intervals and nulls follow.
    """

    draws: int = 0
    null: str = "evenness"
    interval: str = "sampled"
    seed: int = 0
    year: int = 0
    sampling: Sampling = FULL_COUNT

    def __post_init__(self) -> None:
        if self.draws < 0 or self.seed < 0:
            raise InputError(f"draws {self.draws}, seed {self.seed}: expected 0 or more")
        if self.null not in NULLS:
            raise InputError(f"null {self.null!r}: expected one of {', '.join(NULLS)}")
        if self.interval not in (SAMPLED, *INTERVALS, "none"):
            expected = ", ".join((SAMPLED, *INTERVALS, "none"))
            raise InputError(f"interval {self.interval!r}: expected one of {expected}")

    @property
    def margins(self) -> bool:
        """Whether counts are drawn from their margins of error one by one: each needs its own."""
        return self.draws > 0 and self.interval == "moe"

    def drawn(self, indices: Sequence[SegregationIndex]) -> tuple[str, ...]:
        """Return the names of the indices that are computed over draws."""
        return tuple(index.name for index in indices if index.strategy.drawable) if self.draws else ()

    def under_null(self, indices: Sequence[SegregationIndex]) -> tuple[str, ...]:
        """Return those among them that the null can change.

        Raises
        ------
        InputError
            If it can change none.
        """
        drawn = self.drawn(indices)
        if self.null != "units" or not self.draws:
            return drawn
        moved = tuple(index.name for index in chosen(drawn) if index.strategy.spatial)
        if not moved:
            raise InputError(
                "null 'units': none of the indices looks at where units lie, so a change of places changes none; "
                "expected spatial indices, or the null evenness or persons"
            )
        return moved

    def suffixes(self, index: SegregationIndex, indices: Sequence[SegregationIndex]) -> list[str]:
        """Return the suffixes of the columns that draws add to those of an index."""
        found: list[str] = []
        if index.name in self.under_null(indices):
            found += ["p", "null"]
            if self.null == "evenness" and index.bounds == (0.0, 1.0):
                found.append("excess")
        if index.name in self.drawn(indices) and self.interval != "none":
            found += list(_AROUND)
        return [*found, "bias"] if index.name in self.drawn(indices) and index.bias is not None else found

    def of_units(self, units: RegionUnits) -> RegionUnits:
        """Return units with the interviews that stand behind their counts."""
        if self.sampling.kind == "rate":
            return replace(units, interviews=self.sampling.rate * units.counts.sum(axis=1), total_errors=None)
        return replace(units, interviews=None, total_errors=None) if self.sampling.kind == "complete" else units


def inferred(
    gathered: Any,
    indices: Sequence[SegregationIndex],
    inference: Inference,
    names: Callable[[SegregationIndex], list[str]],
    chunk: int = DRAWS_A_TASK,
) -> Any:
    """Return p-values, intervals and bias, one row per region, and how many people were interviewed.

    Parameters
    ----------
    gathered : DataFrame
        Units of whole regions; see `frames.region_blocks.whole_regions`.
    indices : sequence of SegregationIndex
    inference : Inference
    names : function
        Returns the columns of an index, to which suffixes are added.
    chunk : int
        Draws of a task.

    Raises
    ------
    DefinitionError
        If counts are drawn from margins of error that are not known.
    CountsError
        If single persons are drawn from fractions.
    """
    drawn, under_null = inference.drawn(indices), inference.under_null(indices)
    null = _draws(gathered, "null", inference.null, under_null, inference, chunk)
    around = _draws(gathered, "interval", inference.interval, drawn, inference, chunk)
    columns = {
        index.name: {
            suffix: [f"{name}_{suffix}" for name in names(index)] for suffix in inference.suffixes(index, indices)
        }
        for index in chosen(drawn)
    }
    return own_rows(
        _inferred,
        gathered,
        *null,
        *around,
        meta=lambda: _no_inference(columns),
        n_null=len(null),
        columns=columns,
        inference=inference,
    )


# The columns of each index by suffix.
Columns = Mapping[str, Mapping[str, Sequence[str]]]


def _no_inference(columns: Columns) -> pd.DataFrame:
    names = [name for suffixes in columns.values() for names in suffixes.values() for name in names]
    return no_regions([INTERVIEWED, *names])


def no_regions(columns: Sequence[str]) -> pd.DataFrame:
    """Return a table of regions without rows."""
    return pd.DataFrame({name: np.zeros(0) for name in columns}, index=pd.Index([], dtype="str", name="region"))


def _draws(
    gathered: Any, purpose: str, kind: str, indices: Sequence[str], inference: Inference, chunk: int
) -> list[Any]:
    """Return a frame for each chunk of draws, whose rows hold the indices of each partition's regions."""
    if kind == "none" or not indices:
        return []
    function = {"null": _drawn_null, "interval": _drawn_interval}[purpose]
    options = {"kind": kind, "indices": tuple(indices), "inference": inference}
    chunks = [(first, min(first + chunk, inference.draws)) for first in range(0, inference.draws, chunk)]
    return [apart(partials(function, gathered, numbers=numbers, **options)) for numbers in chunks]


def _drawn_null(
    gathered: pd.DataFrame, *, kind: str, indices: Sequence[str], inference: Inference, numbers: tuple[int, int]
) -> Values:
    return _drawn(gathered, NULLS[kind], indices, inference, numbers, "")


def _drawn_interval(
    gathered: pd.DataFrame, *, kind: str, indices: Sequence[str], inference: Inference, numbers: tuple[int, int]
) -> Values:
    # Nulls and intervals have streams of their own.
    if kind != SAMPLED:
        return _drawn(gathered, INTERVALS[kind], indices, inference, numbers, "/interval")
    worlds = [
        _drawn(gathered, partial(_sample, errors=errors), indices, inference, numbers, "/interval") for errors in WORLDS
    ]
    return {name: np.stack([world[name] for world in worlds], axis=-1) for name in worlds[0]}


def _drawn(
    gathered: pd.DataFrame,
    sampler: Callable[[RegionUnits], random.Sampler],
    indices: Sequence[str],
    inference: Inference,
    numbers: tuple[int, int],
    stream: str,
) -> Values:
    """Return indices over some draws, each of shape (n_draws, n_regions, …); none without regions."""
    by_region = []
    for region, units in _each_region(gathered, inference):
        key = random.DrawKey(inference.seed, f"{region}{stream}", inference.year)
        evaluate = evaluation({index.name: index.of for index in chosen(indices)}, units)
        if _unknown(units) and sampler not in (NULLS["units"], NULLS["persons"], *INTERVALS.values()):
            shapes = evaluate(units.counts[None])
            drawn = {name: np.full((numbers[1] - numbers[0], *one.shape[1:]), np.nan) for name, one in shapes.items()}
        else:
            drawn = drawn_indices(sampler(units), evaluate, key, range(*numbers), cells=_CELLS)
        by_region.append(drawn)
    return {name: np.stack([values[name] for values in by_region], axis=1) for name in indices if by_region}


def _each_region(gathered: pd.DataFrame, inference: Inference) -> list[tuple[str, RegionUnits]]:
    regions, units = region_units(gathered)
    units = inference.of_units(units)
    return [(region, units.alone(rows)) for region, rows in zip(regions, units.rows_by_region(), strict=True)]


def _unknown(units: RegionUnits) -> bool:
    """Return whether nothing is known of the sample behind the counts of a region."""
    return units.interviews is not None and bool(np.isnan(units.interviews).any())


def _interviews(units: RegionUnits) -> Floats:
    people: Floats = units.counts.sum(axis=1)
    return people if units.interviews is None else units.interviews


def _world(units: RegionUnits, errors: float) -> Floats:
    """Return the counts that samples are drawn from: they differ as much as the true ones, not as the estimates."""
    return units.counts if _unknown(units) else without_noise(units.counts, _interviews(units), errors=errors)


def _sample(units: RegionUnits, errors: float) -> random.Sampler:
    return random.sampled_people(_world(units, errors), _interviews(units), units.total_errors)


def _errors(units: RegionUnits) -> Floats:
    if units.standard_errors is None:
        raise DefinitionError("draws from margins of error need them, found counts alone")
    return units.standard_errors


def _inferred(
    gathered: pd.DataFrame, *draws: pd.DataFrame, n_null: int, columns: Columns, inference: Inference
) -> pd.DataFrame:
    """Return the statistics of draws of each region of one partition."""
    values = [value_of(one) for one in draws]
    regions, units = region_units(gathered)
    if not len(regions):
        return _no_inference(columns)
    units = inference.of_units(units)
    observed = _observed(gathered, chosen(columns), inference, lambda one: one.counts)
    around: dict[str, dict[str, Floats]] = {}
    if inference.interval == SAMPLED:
        worlds = [_observed(gathered, chosen(columns), inference, partial(_world, errors=one)) for one in WORLDS]
        for name in columns:
            centers = np.stack([world[name] for world in worlds], axis=-1)
            found = inverted(observed[name], _together(values[n_null:], name), centers)
            around[name] = {
                suffix: np.clip(one, *INDICES[name].bounds) for suffix, one in zip(_AROUND, found, strict=True)
            }
    interviewed = np.bincount(units.region, _interviews(units), units.n_regions).astype(np.float64)
    tables = [wide(interviewed, regions, [INTERVIEWED])]
    for name, suffixes in columns.items():
        null, drawn = _together(values[:n_null], name), _together(values[n_null:], name)
        for suffix, names in suffixes.items():
            biased = INDICES[name].bias
            if suffix == "bias" and biased is not None:
                value = biased(units)
            elif suffix in around.get(name, {}):
                value = around[name][suffix]
            else:
                value = _STATISTICS[suffix](observed[name], null if suffix in _OF_NULL else drawn)
            tables.append(wide(value, regions, names))
    return pd.concat(tables, axis=1)


def _together(values: Sequence[Values], name: str) -> Floats:
    parts = [part[name] for part in values if name in part]
    return np.concatenate(parts) if parts else np.zeros(0)


def _lower(value: Floats, draws: Floats) -> Floats:
    # Draws lie around the estimate as it does around what it estimates: their bias is turned round too, which is the
    # basic interval, 2 · estimate − quantile (Davison & Hinkley 1997, §5.2).
    return 2 * value - interval(draws)[1]


def _upper(value: Floats, draws: Floats) -> Floats:
    return 2 * value - interval(draws)[0]


_STATISTICS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "p": lambda value, draws: p_value(value - _TIE, draws),
    "null": lambda _, draws: mean_of_draws(draws),
    "excess": excess_over_evenness,
    "corrected": bootstrap_corrected,
    "corrected_lower": _lower,
    "corrected_upper": _upper,
}
_AROUND = ("corrected", "corrected_lower", "corrected_upper")
_OF_NULL = ("p", "null", "excess")


def _observed(
    gathered: pd.DataFrame,
    indices: Sequence[SegregationIndex],
    inference: Inference,
    counts: Callable[[RegionUnits], Floats],
) -> Values:
    by_region = [
        evaluation({index.name: index.of for index in indices}, units)(counts(units)[None])
        for _, units in _each_region(gathered, inference)
    ]
    return {index.name: np.concatenate([values[index.name] for values in by_region]) for index in indices}


def wide(values: Floats, regions: Any, names: Sequence[str]) -> pd.DataFrame:
    """Return the values of an index as a table, one row per region."""
    return pd.DataFrame(
        np.reshape(values, (len(regions), len(names))),
        index=pd.Index(regions, dtype="str", name="region"),
        columns=list(names),
    )
