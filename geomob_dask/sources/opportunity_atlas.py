"""Tract outcomes of the Opportunity Atlas.

Chetty, Friedman, Hendren, Jones, Porter (2018), "The Opportunity Atlas".
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from geomob_dask.errors import InputError
from geomob_dask.names import Name, Year
from geomob_dask.options import Listed, argument
from geomob_dask.options import Options as BaseOptions
from geomob_dask.sources.keys import MISSING_WORDS, and_more, listed, tract_geoids
from geomob_dask.sources.opportunity_insights import ATLAS, ATLAS_VINTAGE, ATLAS_YEAR, digit_codes
from geomob_dask.sources.tables import Tables, split_by_state
from geomob_dask.sources.text_tables import read_texts


class Options(BaseOptions):
    """Options of ``jobs/ingest.py atlas``."""

    file: str = argument("Tract outcomes, .csv or .csv.gz: state, county, tract, kir_pooled_p25, …")
    dataset: Name = Field(ATLAS, description="Name of the dataset.")
    year: Year = Field(ATLAS_YEAR, description="Year of the outcomes.")
    vintage: Name = Field(ATLAS_VINTAGE, description="Name of the tract vintage.")
    columns: Listed | None = Field(None, description="Columns to read, separated by commas. [default: all numbers]")


def read(options: Options) -> Tables:
    """Return tract outcomes by state, as measures; see `read_atlas`."""
    outcomes = read_atlas(options.file, options.columns)
    lines = [f"{len(outcomes):,} tracts, {len(outcomes.columns)} columns of numbers"]
    lines += [f"{name}: {int(count):,} missing" for name, count in outcomes.isna().sum().items() if count]
    return Tables(
        collection=f"measures/{options.dataset}/{options.year}",
        parts=split_by_state(outcomes),
        attributes={"vintage": options.vintage},
        options=options.plain(),
        files=[options.file],
        lines=lines,
    )


def read_atlas(file: str | Path, columns: Collection[str] | None = None) -> pd.DataFrame:
    """Read tract outcomes of the Opportunity Atlas.

    Parameters
    ----------
    file : str or Path
        csv or csv.gz with ``state``, ``county`` and ``tract`` as numbers, and columns of numbers such as
        ``kir_pooled_p25`` (mean individual income rank, 0…100, of children whose parents were at the 25th percentile).
    columns : collection of str, optional
        Columns to read; all but the keys by default.

    Returns
    -------
    DataFrame of float64
        Index ``geoid``, sorted; NaN where an outcome is missing.

    Raises
    ------
    InputError
        If the file, a key or a column is missing, a value is no number, or a tract is there twice.
    """
    rows = read_texts(file)
    keys = ("state", "county", "tract")
    for key in (*keys, *(columns or ())):
        if key not in rows:
            raise InputError(f"{file}: no column {key!r}; found {listed([repr(name) for name in rows], 20)}")
    state, county, tract = (
        digit_codes(rows[key], digits, f"{file}: column {key}") for key, digits in zip(keys, (2, 3, 6), strict=True)
    )
    geoids, _ = tract_geoids(state + county + tract, file=str(file), column="state, county, tract")
    chosen = [name for name in rows if name not in keys] if columns is None else list(columns)
    frame = pd.DataFrame(
        {name: _outcome(rows[name], f"{file}: column {name!r}", geoids) for name in chosen},
        index=pd.Index(geoids, name="geoid", dtype="str"),
    )
    frame = frame[geoids.notna().to_numpy()].sort_index()
    twice = frame.index[frame.index.duplicated()]
    if len(twice):
        raise InputError(f"{file}: tract {twice[0]} is there twice, expected once{and_more(len(twice))}")
    return frame


def _outcome(texts: pd.Series, where: str, geoids: pd.Series) -> NDArray[np.float64]:
    missing = texts.str.lower().isin(MISSING_WORDS)
    numbers: NDArray[np.float64] = pd.to_numeric(texts.mask(missing), errors="coerce").to_numpy(np.float64)
    wrong = ~(np.isfinite(numbers) | missing.to_numpy())
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{where}, tract {geoids.iloc[row]}: found {texts.iloc[row]!r}, expected a number{and_more(wrong.sum())}"
        )
    return numbers
