"""Draws of the measures of an index: what is fitted to all tracts once, and the rows of each draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.definition import Definition
from geomob_dask.errors import DefinitionError
from geomob_dask.frames.keys import to_codes, to_text
from geomob_dask.frames.opportunity import included, index_of, named
from geomob_dask.graph.bands import neighborhood
from geomob_dask.graph.neighborhoods import others_once_removed
from geomob_dask.metrics.segregation_draws import DrawKey
from geomob_dask.transforms.fay_herriot import Prior, drawn, neighbor_prior, reflected
from geomob_dask.transforms.margins_of_error import standard_error
from geomob_dask.transforms.normal_scores import Scale, normal_scale
from geomob_dask.transforms.rank_exponential import ranking, scaled_ranks

Floats = NDArray[np.float64]

_STATE = 10**9
_ERROR = "error "
# Of a measure's standard errors: where a cell has none.
UNKNOWN_ERROR = 0.95
# After the name of a measure whose column of margins is empty.
EXACT = " (no margin in any tract, exact)"


@dataclass(frozen=True)
class Fitted:
    """What all draws share.

    Attributes
    ----------
    rows : DataFrame
        The tracts that take part, as `rows_and_pairs` returns them.
    errors : shape (n_tracts, n_measures)
        Standard errors of observed values.
    scales : sequence of Scale
        Of each measure: models are fitted to normal scores.
    scores, score_errors : shape (n_tracts, n_measures)
        Scores of observed values, and their standard errors.
    prior : Prior
        Of scores.
    low, high : shape (n_tracts, n_measures)
        Ends of the range of each value.
    published : shape (2, n_tracts)
        Index and rank of the measures as they are.
    imputed : shape (n_tracts,)
        How many missing values of a tract are drawn.
    unknown : sequence of str
        Names of measures of a tract that have a column of margins, and no margin here.
    """

    rows: pd.DataFrame
    errors: Floats
    scales: list[Scale]
    scores: Floats
    score_errors: Floats
    prior: Prior
    low: Floats
    high: Floats
    published: Floats
    imputed: Floats
    unknown: list[str]


def drawable(
    rows: pd.DataFrame, measures: pd.DataFrame, *, definition: Definition, margins: Mapping[str, str]
) -> pd.DataFrame:
    """Return the tracts that take part, with the standard errors of their measures.

    0 of a measure that has no margins; NaN where a measure has some, and none here.
    """
    own = included(rows)
    found = measures.set_axis(to_codes(measures.index))
    errors = {f"{_ERROR}{measure}": np.zeros(len(own)) for measure in definition.measures}
    for measure, column in margins.items():
        moe = found.loc[own.index, column].to_numpy(np.float64) if len(own) else np.zeros(0)
        if (moe < 0).any():
            row = int(np.argmax(moe < 0))
            raise DefinitionError(
                f"column {column}, tract {to_text(own.index)[row]}: found {moe[row]:g}, expected a margin, 0 or more"
            )
        errors[f"{_ERROR}{measure}"] = standard_error(moe)
    return own.assign(**errors)


def no_drawable(rows: pd.DataFrame, definition: Definition) -> pd.DataFrame:
    """Return the meta of `drawable`."""
    return rows.assign(**{f"{_ERROR}{measure}": np.zeros(0) for measure in definition.measures})


def fit(
    rows: pd.DataFrame, pairs: pd.DataFrame, *, definition: Definition, ranges: Mapping[str, tuple[float, float]]
) -> Fitted:
    """Return what all draws share, from all tracts and edges.

    Parameters
    ----------
    rows : DataFrame
        As `drawable` returns them, of all partitions.
    pairs : DataFrame
        The edges of these tracts.
    ranges : mapping of str to pair of float
        Least and greatest value of measures that have such.
    """
    measures = list(definition.measures)
    errors = rows[[f"{_ERROR}{measure}" for measure in measures]].to_numpy(np.float64)
    rows = rows.drop(columns=[f"{_ERROR}{measure}" for measure in measures])
    values = rows[measures].to_numpy(np.float64)
    published = index_and_rank(rows, pairs, definition)
    empty = np.isnan(errors).all(axis=0)
    names = [f"{name}{EXACT if without else ''}" for name, without in zip(measures, empty, strict=True)]
    errors, unknown = _with_unknown(errors, ~np.isnan(values))
    low, high = _ends(values, definition, ranges)
    _open_at_codes(values, unknown & (errors > 0), low, high)
    scales = [normal_scale(column) for column in values.T]
    scores = np.column_stack([scale.to_scores(x) for scale, x in zip(scales, values.T, strict=True)])
    score_errors = np.column_stack(
        [scale.errors(x, error) for scale, x, error in zip(scales, values.T, errors.T, strict=True)]
    )
    prior = _prior(scores, score_errors, rows, pairs, definition)
    # A tract without an index has none in draws: nothing tells what it lacks.
    imputed = np.isnan(values) & ~np.isnan(published[0])[:, np.newaxis]
    imputed[rows["population "].to_numpy() == 0] = False
    counts = imputed.sum(axis=1).astype(np.float64)
    return Fitted(
        rows, errors, scales, scores, score_errors, prior, low, high, published, counts, named(unknown, names)
    )


def index_and_rank(
    rows: pd.DataFrame, pairs: pd.DataFrame, definition: Definition, published: Floats | None = None
) -> Floats:
    """Return index and rank (0 to 1) of all tracts, shape (2, n_tracts); missing where those that are published are."""
    opportunity = index_of(rows, pairs, definition).table["opportunity"].to_numpy(np.float64)
    if published is not None:
        # What is drawn near a tract could serve to impute it.
        opportunity = np.where(np.isnan(published[0]), np.nan, opportunity)
    among = ranking(opportunity, definition.parameters.tie_tolerance)
    return np.stack([opportunity, scaled_ranks(opportunity, among)])


def rows_of_draw(fitted: Fitted, definition: Definition, seed: int, year: int, number: int) -> pd.DataFrame:
    """Return rows with drawn measures: the stream of a state has its own name."""
    measures = list(definition.measures)
    values = fitted.rows[measures].to_numpy(np.float64)
    numbers = np.empty((len(values), 2, len(measures)))
    states, first = np.unique(_states(fitted.rows.index), return_index=True)
    order = np.argsort(first)
    for state, own in zip(states[order], np.split(numbers, np.sort(first)[1:]), strict=True):
        own[:] = DrawKey(seed, str(state), year).generator(number).standard_normal(own.shape)
    scores = drawn(fitted.scores, fitted.score_errors, fitted.prior, numbers[:, 1], numbers[:, 0])
    truth = np.column_stack([scale.to_values(y) for scale, y in zip(fitted.scales, scores.T, strict=True)])
    # To a score and back costs a last bit.
    truth = np.where(~np.isnan(values) & (fitted.errors == 0), values, truth)
    truth = reflected(truth, fitted.low, fitted.high)
    missing = np.isnan(values) & (fitted.imputed == 0)[:, np.newaxis]
    rows = fitted.rows.copy()
    rows[measures] = np.where(missing, np.nan, truth)
    return rows


def _prior(values: Floats, errors: Floats, rows: pd.DataFrame, pairs: pd.DataFrame, definition: Definition) -> Prior:
    if not definition.parameters.uses_neighbors:
        return neighbor_prior(values, errors)
    keys, none = rows.index.to_numpy(), rows.index.to_numpy()[:0]
    direct = neighborhood(keys, pairs.index.to_numpy(), pairs["neighbor"].to_numpy(), none, none, none).adjacency
    return neighbor_prior(values, errors, direct, others_once_removed(direct))


def _with_unknown(errors: Floats, observed: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return errors, a high one where a measure has some and none here, and where that is."""
    filled, unknown = np.where(observed, errors, 0.0), np.zeros(errors.shape, dtype=bool)
    for number, column in enumerate(errors.T):
        without = observed[:, number] & np.isnan(column)
        known = column[~np.isnan(column)]
        unknown[:, number] = without
        filled[without, number] = np.quantile(known, UNKNOWN_ERROR) if len(known) else 0.0
    return filled, unknown


def _ends(values: Floats, definition: Definition, ranges: Mapping[str, tuple[float, float]]) -> tuple[Floats, Floats]:
    """Return the ends of the ranges of coded values, those that were observed beyond included."""
    low, high = np.full(values.shape, -np.inf), np.full(values.shape, np.inf)
    for number, (measure, sign) in enumerate(zip(definition.measures, definition.directions, strict=True)):
        seen = values[~np.isnan(values[:, number]), number]
        if measure in ranges and len(seen):
            ends = sorted(sign * end for end in ranges[measure])
            low[:, number], high[:, number] = min(ends[0], seen.min()), max(ends[1], seen.max())
    return low, high


def _open_at_codes(values: Floats, unknown: NDArray[np.bool_], low: Floats, high: Floats) -> None:
    """Take a value without a margin that is the greatest or least of its measure for a code: the truth lies beyond."""
    for number, column in enumerate(values.T):
        seen = column[~np.isnan(column)]
        if len(seen) and seen.min() < seen.max():
            top, bottom = (unknown[:, number] & (column == end) for end in (seen.max(), seen.min()))
            low[top, number] = seen.max()
            high[bottom, number] = seen.min()


def _states(keys: pd.Index) -> NDArray[np.str_]:
    """Return the first two digits of the keys of tracts."""
    if keys.dtype.kind == "i":
        return np.char.zfill((keys.to_numpy() // _STATE).astype(str), 2)
    return np.array([str(key)[:2] for key in keys], dtype=str)
