"""Tract outcomes of the Opportunity Atlas.

Chetty, Friedman, Hendren, Jones, Porter (2018), "The Opportunity Atlas".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from geomob_dask.errors import InputError
from geomob_dask.messages import and_more, counted, listed
from geomob_dask.names import Name, Year
from geomob_dask.options import Listed, argument
from geomob_dask.options import Options as BaseOptions
from geomob_dask.sources.key_columns import KeyColumns
from geomob_dask.sources.numbers import Missing, required_floats
from geomob_dask.sources.opportunity_insights import ATLAS, ATLAS_VINTAGE, ATLAS_YEAR
from geomob_dask.sources.plausible import refuse_implausible
from geomob_dask.sources.tables import Tables, split_by_state
from geomob_dask.sources.text_tables import read_texts


class Options(BaseOptions):
    """Options of ``jobs/ingest.py atlas``."""

    file: str = argument("Tract outcomes, .csv or .csv.gz: state, county, tract, kir_pooled_p25, …")
    dataset: Name = Field(ATLAS, description="Name of the dataset.")
    year: Year = Field(ATLAS_YEAR, description="Year of the outcomes.")
    vintage: Name = Field(ATLAS_VINTAGE, description="Name of the tract vintage.")
    columns: Listed | None = Field(None, description="Columns to read, separated by commas. [default: all numbers]")
    missing: Listed | None = Field(None, description="Further values that stand for a missing one, such as -999,-888.")
    sentinels: Literal["refuse", "keep"] = Field("refuse", description="Values such as -999 far outside of all others.")


def read(options: Options) -> Tables:
    """Return tract outcomes by state, as measures; see `read_atlas`."""
    outcomes = read_atlas(options.file, options.columns, missing=options.missing or (), sentinels=options.sentinels)
    lines = [
        f"{counted(len(outcomes), 'tract')}, "
        f"{counted(len(outcomes.columns), 'column of numbers', 'columns of numbers')}"
    ]
    lines += [f"{name}: {int(count):,} missing" for name, count in outcomes.isna().sum().items() if count]
    return Tables(
        collection=f"measures/{options.dataset}/{options.year}",
        parts=split_by_state(outcomes),
        attributes={"vintage": options.vintage},
        options=options.plain(),
        files=[options.file],
        lines=lines,
    )


def read_atlas(
    file: str | Path,
    columns: Collection[str] | None = None,
    *,
    missing: Sequence[str] = (),
    sentinels: str = "refuse",
) -> pd.DataFrame:
    """Read tract outcomes of the Opportunity Atlas.

    Parameters
    ----------
    file : str or Path
        csv or csv.gz with ``state``, ``county`` and ``tract`` as numbers, and columns of numbers such as
        ``kir_pooled_p25`` (mean individual income rank, 0…100, of children whose parents were at the 25th percentile).
    columns : collection of str, optional
        Columns to read; all but the keys by default.
    missing, sentinels
        As for `measures.read_measures`.

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
    geoids, _ = KeyColumns(keys).geoids(rows, file=str(file))
    chosen = [name for name in rows if name not in keys] if columns is None else list(columns)
    stands_for = Missing.declared(missing)
    outcomes = {}
    for name in chosen:
        where, unit = f"{file}: column {name!r}", lambda row: f"tract {geoids.iloc[row]}"
        outcomes[name] = required_floats(rows[name], where, unit, stands_for)
        refuse_implausible(outcomes[name], name, where, unit, sentinels=sentinels)
    frame = pd.DataFrame(outcomes, index=pd.Index(geoids, name="geoid", dtype="str"))
    frame = frame[geoids.notna().to_numpy()].sort_index()
    twice = frame.index[frame.index.duplicated()]
    if len(twice):
        raise InputError(f"{file}: tract {twice[0]} is there twice, expected once{and_more(len(twice))}")
    return frame
