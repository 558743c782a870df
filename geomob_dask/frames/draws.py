"""Intervals of an index from the margins of error of its measures: the index again, of measures drawn from them.

The index of a draw needs all tracts, and draws are many: the rows of all partitions are gathered once, a frame of draw
numbers computes an index per draw in memory, and the bounds go back to the partitions of their tracts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.definition import Definition
from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.frames.align import aligned
from geomob_dask.frames.halo import stacked
from geomob_dask.frames.keys import has_text_keys, to_codes, to_text
from geomob_dask.frames.opportunity import included, index_of, rows_and_pairs
from geomob_dask.frames.own_rows import is_lazy, no_value, one_value, own_rows
from geomob_dask.frames.reduction import reduced_rows
from geomob_dask.messages import listed
from geomob_dask.metrics.segregation_draws import DrawKey
from geomob_dask.sources.kinds import Kind, margin_columns
from geomob_dask.transforms.margins_of_error import standard_error
from geomob_dask.transforms.rank_exponential import ranking, scaled_ranks

Floats = NDArray[np.float64]

# 90 %, as the Bureau's margins.
_QUANTILES = (0.05, 0.95)
_STATE = 10**9
_ERROR = "error "
TOO_FEW = "fewer than two draws give an index"


def intervals(
    tracts: Any,
    measures: Any,
    edges: Any,
    definition: Definition,
    *,
    draws: int = 100,
    seed: int = 0,
    year: int = 0,
    kinds: Mapping[str, Kind] | None = None,
) -> Any:
    """Return 90 % intervals of the opportunity index of every tract, and of its rank, from margins of error.

    Parameters
    ----------
    tracts, measures, edges, definition
        As `opportunity`; margins of error of a measure ``x`` are in ``x_moe``, those of ``B19013_001E`` in
        ``B19013_001M``, both also where they end in ``_usd_2023``. A measure without margins is treated as exact.
    draws : int, 2 or more
        Normal errors are added to what was observed so many times. Missing values stay missing.
    seed, year : int
        Each state's errors depend on these, its code and the number of the draw, on nothing else.
    kinds : mapping of str to Kind, optional
        Of columns of other names: a margin of error names its measure.

    Returns
    -------
    DataFrame, in memory or on Dask as `tracts`
        One row for every tract that takes part: ``opportunity_lb``, ``_ub`` (5th and 95th percentile of the draws) and
        ``_se`` (their sample standard deviation), the same of ``rank`` (among all these tracts, 0 to 1), and ``draws``:
        how many gave the tract an index. NaN where fewer than two did, and ``reason`` says so; else it is empty.

    Raises
    ------
    DefinitionError
        If no measure has margins, or a margin is negative.
    InputError
        If there are fewer than 2 draws.

    Examples
    --------
    >>> geoids = ["01001020100", "01001020200", "01001020300"]
    >>> measures = pd.DataFrame({"poverty": [10.0, 20.0, 30.0], "poverty_moe": [1.0, 0.0, 1.0]}, index=geoids)
    >>> edges = pd.DataFrame({"neighbor": geoids[1:]}, index=geoids[:2])
    >>> definition = Definition.model_validate(
    ...     {"name": "poor", "population": None, "domains": {"income": [{"measure": "poverty"}]}}
    ... )
    >>> intervals(measures, measures, edges, definition, draws=4)["rank_lb"].tolist()
    [1.0, 0.5, 0.0]
    """
    if draws < 2:
        raise InputError(f"draws {draws}: expected 2 or more")
    margins = margins_of(definition, list(measures.columns), kinds)
    tracts, measures, edges = aligned(tracts=tracts, measures=measures, edges=edges)
    rows, pairs = rows_and_pairs(tracts, measures, edges, definition)
    drawable = own_rows(
        _drawable, rows, measures, meta=lambda: _no_errors(rows, definition), definition=definition, margins=margins
    )
    drawn = own_rows(
        _indices,
        _numbers(draws, lazy=is_lazy(rows)),
        _gathered(drawable),
        _gathered(pairs),
        meta=no_value,
        definition=definition,
        seed=seed,
        year=year,
    )
    bounds = reduced_rows(_bounds, drawn, meta=_no_bounds())
    text = has_text_keys(measures)
    return own_rows(_own_bounds, rows, bounds, meta=lambda: _no_bounds(text), text_keys=text)


def margins_of(
    definition: Definition, columns: Sequence[str], kinds: Mapping[str, Kind] | None = None
) -> dict[str, str]:
    """Return the column of the margin of each measure that has one; see `sources.kinds.margin_columns`.

    Raises
    ------
    DefinitionError
        If no measure has one.
    """
    known = margin_columns(columns, kinds)
    margins = {measure: known[measure] for measure in definition.measures if measure in known}
    if not margins:
        raise DefinitionError(
            f"definition {definition.name!r}: none of its measures has a column of margins; expected one such as "
            f"{next(iter(definition.measures))}_moe among: {listed(columns, 40)}"
        )
    return margins


# One partition -----------------------------------------------------------------------------------


def _drawable(
    rows: pd.DataFrame, measures: pd.DataFrame, *, definition: Definition, margins: Mapping[str, str]
) -> pd.DataFrame:
    """Return the tracts that take part, with the standard errors of their measures: 0 where there is no margin."""
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
        errors[f"{_ERROR}{measure}"] = np.nan_to_num(standard_error(moe))
    return own.assign(**errors)


def _own_bounds(rows: pd.DataFrame, bounds: pd.DataFrame, *, text_keys: bool) -> pd.DataFrame:
    own = bounds.loc[included(rows).index]
    return own.set_axis((to_text(own.index) if text_keys else own.index).rename("geoid"))


# Draws -------------------------------------------------------------------------------------------


def _numbers(draws: int, *, lazy: bool) -> Any:
    """Return the numbers of the draws as a frame; on Dask, with a partition per draw."""
    if lazy:
        return dd.from_map(_number, range(draws), meta=_number(0).iloc[:0], label="draw")
    return pd.concat([_number(draw) for draw in range(draws)])


def _number(draw: int) -> pd.DataFrame:
    return pd.DataFrame({"draw": [draw]})


def _gathered(frame: Any) -> Any:
    empty = frame._meta if is_lazy(frame) else frame.iloc[:0]
    return reduced_rows(_stacked, frame, meta=empty, empty=empty)


def _stacked(frames: Sequence[pd.DataFrame], *, empty: pd.DataFrame) -> pd.DataFrame:
    return stacked(empty, frames)


def _indices(
    numbers: pd.DataFrame,
    rows: pd.DataFrame,
    pairs: pd.DataFrame,
    *,
    definition: Definition,
    seed: int,
    year: int,
) -> pd.DataFrame:
    """Return the index and rank of all tracts in each of some draws; with the first draw, their keys."""
    values = []
    for number in numbers["draw"].tolist():
        index = index_of(_drawn(rows, definition, seed, year, number), pairs, definition).table
        opportunity = index["opportunity"].to_numpy(np.float64)
        among = ranking(opportunity, definition.parameters.tie_tolerance)
        drawn = np.stack([opportunity, scaled_ranks(opportunity, among)])
        values.append(one_value((rows.index if number == 0 else None, drawn)))
    return pd.concat(values, ignore_index=True)


def _drawn(rows: pd.DataFrame, definition: Definition, seed: int, year: int, number: int) -> pd.DataFrame:
    """Return rows with normal errors added to their measures: the stream of a state has its own name."""
    measures = list(definition.measures)
    errors = rows[[f"{_ERROR}{measure}" for measure in measures]].to_numpy()
    noise = np.empty(errors.shape)
    states, first = np.unique(_states(rows.index), return_index=True)
    order = np.argsort(first)
    for state, own in zip(states[order], np.split(noise, np.sort(first)[1:]), strict=True):
        own[:] = DrawKey(seed, str(state), year).generator(number).standard_normal(own.shape)
    drawn = rows.drop(columns=[f"{_ERROR}{measure}" for measure in measures])
    drawn[measures] = rows[measures].to_numpy() + noise * errors
    return drawn


def _states(keys: pd.Index) -> NDArray[np.str_]:
    """Return the first two digits of the keys of tracts."""
    if keys.dtype.kind == "i":
        return np.char.zfill((keys.to_numpy() // _STATE).astype(str), 2)
    return np.array([str(key)[:2] for key in keys], dtype=str)


# All draws ---------------------------------------------------------------------------------------


def _bounds(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    draws = [value for frame in frames for value in frame["value"].tolist()]
    keys = next(keys for keys, _ in draws if keys is not None)
    return bounds_of(keys, [drawn for _, drawn in draws])


def bounds_of(keys: pd.Index, draws: Sequence[Floats]) -> pd.DataFrame:
    """Return bounds and standard errors over draws.

    Parameters
    ----------
    keys : Index
        Of the tracts.
    draws : sequence of shape (2, n_tracts)
        Index and rank.

    Returns
    -------
    DataFrame
        See `intervals`.
    """
    columns: dict[str, Any] = {}
    for place, name in enumerate(("opportunity", "rank")):
        values = np.stack([draw[place] for draw in draws])
        known = ~np.isnan(values)
        enough = known.sum(axis=0) >= 2
        low, high, error = (np.full(len(keys), np.nan) for _ in range(3))
        if enough.any():
            low[enough], high[enough] = np.nanquantile(values[:, enough], _QUANTILES, axis=0)
            error[enough] = np.nanstd(values[:, enough], axis=0, ddof=1)
        columns |= {f"{name}_lb": low, f"{name}_ub": high, f"{name}_se": error}
        columns["draws"] = known.sum(axis=0).astype(np.float64)
        columns["reason"] = pd.array(np.where(enough, "", TOO_FEW), dtype="str")
    return pd.DataFrame(columns, index=keys)


# Frames without rows -----------------------------------------------------------------------------


def _no_errors(rows: Any, definition: Definition) -> pd.DataFrame:
    empty = rows._meta if is_lazy(rows) else rows.iloc[:0]
    return empty.assign(**{f"{_ERROR}{measure}": np.zeros(0) for measure in definition.measures})


def _no_bounds(text_keys: bool = False) -> pd.DataFrame:
    keys = pd.Index([], dtype="str" if text_keys else "int64", name="geoid")
    return bounds_of(keys, [np.zeros((2, 0))])
