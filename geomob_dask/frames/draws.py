"""Intervals of an index from what its measures leave open: the index again, of measures drawn given what was observed.

The index of a draw needs all tracts, and draws are many: the rows of all partitions are gathered once, the models of
the measures are fitted to them once, a frame of draw numbers computes an index per draw in memory, and the
bounds go back to the partitions of their tracts.
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
from geomob_dask.frames.drawn_measures import Fitted, drawable, fit, index_and_rank, no_drawable, rows_of_draw
from geomob_dask.frames.halo import stacked
from geomob_dask.frames.keys import has_text_keys, to_text
from geomob_dask.frames.opportunity import included, rows_and_pairs
from geomob_dask.frames.own_rows import empty_of, is_lazy, no_value, one_value, own_rows, value_of
from geomob_dask.frames.reduction import reduced_rows
from geomob_dask.messages import listed
from geomob_dask.sources.kinds import Kind, margin_columns, range_of

Floats = NDArray[np.float64]

# 90 %, as the Bureau's margins; the middle is the point that the interval belongs to.
_QUANTILES = (0.05, 0.5, 0.95)
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
    """Return 90 % intervals of the opportunity index of every tract, and of its rank.

    The index is computed again for measures drawn from the posterior of their true values: observed ones given their
    margins of error, missing ones that are imputed given how tracts scatter about their neighbors; see
    `transforms.fay_herriot`, applied to normal scores. Errors are independent between tracts and between measures; the
    true deviations of the measures of one tract from what its neighbors predict are correlated as those of all tracts.

    Parameters
    ----------
    tracts, measures, edges, definition
        As `opportunity`; margins of error of a measure ``x`` are in ``x_moe``, those of ``B19013_001E`` in
        ``B19013_001M``, both also where they end in ``_usd_2023``. A measure without margins is treated as exact. A
        value without a margin, of a measure that has some, is given the 95th percentile of the measure's
        standard errors; where it is the greatest or least value of the measure it is taken for a top or bottom code,
        and the truth lies beyond.
    draws : int, 2 or more
        At least 19 for the stated level: the interval of fewer is their range.
    seed, year : int
        Each state's draws depend on these, its code and the number of the draw, on nothing else.
    kinds : mapping of str to Kind, optional
        Of columns of other names: a margin of error names its measure; draws of shares stay between 0 and the
        whole, those of counts and money are not negative.

    Returns
    -------
    DataFrame, in memory or on Dask as `tracts`
        One row for every tract that takes part: ``opportunity_corrected`` (median of the draws), ``opportunity_lb``,
        ``_ub`` (5th and 95th percentile) and ``_se`` (sample standard deviation); ``rank`` of the index as
        published, among all these tracts, 0 to 1, and of the draws ``rank_corrected``, ``_lb``, ``_ub``, ``_se``. The
        interval belongs to the corrected value: where data are noisy, the published one is too far from the middle.
        ``draws``: how many gave the tract an index; ``cells_imputed``: how many missing values were drawn;
        ``without_margin``: names of measures whose error is not known. NaN where fewer than two draws did, and
        ``reason`` says so; else it is empty.

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
    ranges = {name: ends for name in definition.measures if (ends := range_of(name, kinds)) is not None}
    tracts, measures, edges = aligned(tracts=tracts, measures=measures, edges=edges)
    rows, pairs = rows_and_pairs(tracts, measures, edges, definition)
    with_errors = own_rows(
        drawable,
        rows,
        measures,
        meta=lambda: no_drawable(empty_of(rows), definition),
        definition=definition,
        margins=margins,
    )
    every, all_pairs = _gathered(with_errors), _gathered(pairs)
    fitted = own_rows(_fitted, every, all_pairs, meta=no_value, definition=definition, ranges=ranges)
    drawn = own_rows(
        _indices,
        _numbers(draws, lazy=is_lazy(rows)),
        fitted,
        all_pairs,
        meta=no_value,
        definition=definition,
        seed=seed,
        year=year,
    )
    bounds = reduced_rows(_bounds, drawn, fitted, meta=_no_bounds())
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
    empty = empty_of(frame)
    return reduced_rows(_stacked, frame, meta=empty, empty=empty)


def _stacked(frames: Sequence[pd.DataFrame], *, empty: pd.DataFrame) -> pd.DataFrame:
    return stacked(empty, frames)


def _fitted(
    rows: pd.DataFrame, pairs: pd.DataFrame, *, definition: Definition, ranges: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    return one_value(fit(rows, pairs, definition=definition, ranges=ranges))


def _indices(
    numbers: pd.DataFrame,
    fitted: pd.DataFrame,
    pairs: pd.DataFrame,
    *,
    definition: Definition,
    seed: int,
    year: int,
) -> pd.DataFrame:
    """Return the index and rank of all tracts in each of some draws."""
    values = []
    for number in numbers["draw"].tolist():
        models: Fitted = value_of(fitted)
        rows = rows_of_draw(models, definition, seed, year, number)
        values.append(one_value(index_and_rank(rows, pairs, definition, models.published)))
    return pd.concat(values, ignore_index=True)


# All draws ---------------------------------------------------------------------------------------


def _bounds(frames: Sequence[pd.DataFrame], fitted: Fitted) -> pd.DataFrame:
    draws = [value for frame in frames for value in frame["value"].tolist()]
    return bounds_of(fitted.rows.index, draws, fitted)


def bounds_of(keys: pd.Index, draws: Sequence[Floats], fitted: Fitted | None = None) -> pd.DataFrame:
    """Return middles, bounds and standard errors over draws.

    Parameters
    ----------
    keys : Index
        Of the tracts.
    draws : sequence of shape (2, n_tracts)
        Index and rank.
    fitted : Fitted, optional
        What the draws were made from.

    Returns
    -------
    DataFrame
        See `intervals`.
    """
    columns: dict[str, Any] = {}
    none = np.full(len(keys), np.nan)
    for place, name in enumerate(("opportunity", "rank")):
        values = np.stack([draw[place] for draw in draws])
        known = ~np.isnan(values)
        enough = known.sum(axis=0) >= 2
        low, middle, high, error = (none.copy() for _ in range(4))
        if enough.any():
            # (k - 0.5)-th of n draws as k/(n + 1): the truth, one more draw, lies between these bounds in 90 %.
            found = np.nanquantile(values[:, enough], _QUANTILES, axis=0, method="weibull")
            low[enough], middle[enough], high[enough] = found
            error[enough] = np.nanstd(values[:, enough], axis=0, ddof=1)
        if name == "rank":
            columns[name] = none if fitted is None else np.where(enough, fitted.published[1], np.nan)
        columns |= {f"{name}_corrected": middle, f"{name}_lb": low, f"{name}_ub": high, f"{name}_se": error}
        columns["draws"] = known.sum(axis=0).astype(np.float64)
        columns["reason"] = np.where(enough, "", TOO_FEW)
    columns["cells_imputed"] = np.zeros(len(keys)) if fitted is None else fitted.imputed
    columns["without_margin"] = [""] * len(keys) if fitted is None else fitted.unknown
    order = [name for name in columns if name not in ("draws", "reason")]
    table = pd.DataFrame(columns, index=keys)[[*order[:-2], "draws", *order[-2:], "reason"]]
    return table.astype({"without_margin": "str", "reason": "str"})


# Frames without rows -----------------------------------------------------------------------------


def _no_bounds(text_keys: bool = False) -> pd.DataFrame:
    keys = pd.Index([], dtype="str" if text_keys else "int64", name="geoid")
    return bounds_of(keys, [np.zeros((2, 0))])
