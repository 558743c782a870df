"""Intervals of an index from the margins of error of its measures: the index again, of measures drawn anew."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import dask
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.definition import Definition
from geomob_dask.errors import DefinitionError
from geomob_dask.lift import opportunity as lift
from geomob_dask.lift.tasks import Run
from geomob_dask.metrics.segregation_draws import DrawKey
from geomob_dask.transforms.margins_of_error import standard_error
from geomob_dask.transforms.rank_exponential import ranking, scaled_ranks

Floats = NDArray[np.float64]

_OF_THE_BUREAU = re.compile(r"[A-Z][A-Z0-9]*_[0-9]{3,4}E")
# 90 %, as the Bureau's margins.
_QUANTILES = (0.05, 0.95)


def margin_columns(definition: Definition, columns: Sequence[str]) -> dict[str, str]:
    """Return the column of the margin of each measure that has one: ``x_moe`` of ``x``, ``B19013_001M`` of ``…E``.

    Raises
    ------
    DefinitionError
        If no measure has one.
    """
    found = {}
    for measure in definition.measures:
        names = [f"{measure}_moe", *([f"{measure[:-1]}M"] if _OF_THE_BUREAU.fullmatch(measure) else [])]
        there = [name for name in names if name in columns]
        found.update({measure: there[0]} if there else {})
    if not found:
        raise DefinitionError(
            f"definition {definition.name!r}: none of its measures has a column of margins; expected one such as "
            f"{definition.measures[0]}_moe among: {', '.join(map(str, columns))}"
        )
    return found


@dataclass(frozen=True)
class Drawable:
    """The block of a state, and the standard errors of what it observed.

    Parameters
    ----------
    block : Block
    errors : shape (n_tracts, n_measures)
        0 where a measure has no margin: it is taken for exact.
    """

    block: lift.Block
    errors: Floats

    def draw(self, key: DrawKey, number: int) -> lift.Block:
        """Return the block with normal errors added to what was observed; missing values stay missing."""
        noise = key.generator(number).standard_normal(self.errors.shape)
        return replace(self.block, observed=self.block.observed + noise * self.errors)


def drawable(block: lift.Block, measures: pd.DataFrame, definition: Definition, margins: Mapping[str, str]) -> Drawable:
    """Bring a block and the margins of its measures together.

    Raises
    ------
    DefinitionError
        If a margin is negative.
    """
    errors = np.zeros(block.observed.shape)
    for place, measure in enumerate(definition.measures):
        if measure in margins:
            column = measures.loc[block.keys, margins[measure]]
            if (column < 0).any():
                tract = column.index[column < 0][0]
                raise DefinitionError(
                    f"column {margins[measure]}, tract {tract}: found {column[tract]:g}, expected a margin, 0 or more"
                )
            errors[:, place] = np.nan_to_num(standard_error(column.to_numpy(np.float64)))
    return Drawable(block, errors)


Drawn = dict[str, tuple[Floats, Floats]]


def one_draw(
    states: Sequence[tuple[str, Drawable]],
    reach: Mapping[str, Sequence[str]],
    definition: Definition,
    seed: int,
    year: int,
    number: int,
) -> Drawn:
    """Compute the index of one draw of all states, in this process.

    Returns
    -------
    mapping of state to (index, rank), each of shape (n_tracts,)
        Opportunity, and its rank over all these tracts, 0…1. The stream of a state is named by seed, state, year and
        draw: neither workers nor other states move it.
    """
    run = Run("draw")
    blocks = {state: run.task("load", state, one.draw, DrawKey(seed, state, year), number) for state, one in states}
    lifted = lift.opportunity(blocks, reach, definition, run=run)
    (tables,) = dask.compute(dict(lifted.results), scheduler="synchronous")
    values = {state: tables[state]["opportunity"].reindex(one.block.keys).to_numpy(np.float64) for state, one in states}
    among = ranking(np.concatenate(list(values.values())), definition.parameters.tie_tolerance)
    return {state: (value, scaled_ranks(value, among)) for state, value in values.items()}


def intervals(keys: pd.Index, draws: Sequence[tuple[Floats, Floats]]) -> pd.DataFrame:
    """Return bounds and standard errors over draws.

    Parameters
    ----------
    keys : Index
        The state's tracts.
    draws : sequence of (index, rank)

    Returns
    -------
    DataFrame
        ``opportunity_lb``, ``_ub`` (5th and 95th percentile of the draws), ``_se`` (their sample standard deviation),
        the same of ``rank``, and ``draws``: how many gave the tract an index. NaN where fewer than two did.
    """
    columns: dict[str, Floats] = {}
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
    return pd.DataFrame(columns, index=keys)
