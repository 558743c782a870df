"""Measures of several datasets in one frame: own rows of aligned frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.align import aligned
from geomob_dask.frames.own_rows import is_lazy, own_rows


def join(*measures: Any, names: Sequence[str] | None = None) -> Any:
    """Return the columns of several frames in one, with a row for every tract of any of them.

    Parameters
    ----------
    measures : DataFrame, in memory or on Dask
        Two or more of the same vintage, indexed by geoid. On Dask, sorted by it with known divisions.
    names : sequence of str, optional
        Of the frames, for messages.

    Returns
    -------
    DataFrame, in memory or on Dask as the first one
        Index ``geoid``, sorted. NaN where a frame does not have a tract.

    Raises
    ------
    InputError
        If a column is in two of the frames, or divisions are not known.

    Examples
    --------
    >>> people = pd.DataFrame({"people": [1.0, 2.0]}, index=["01001000100", "01001000200"])
    >>> homes = pd.DataFrame({"homes": [20.0]}, index=["01001000200"])
    >>> join(people, homes).to_numpy().tolist()
    [[1.0, nan], [2.0, 20.0]]
    """
    named = list(names) if names is not None else [f"frame {number + 1}" for number in range(len(measures))]
    refuse_same_columns(dict(zip(named, ([*one.columns] for one in measures), strict=True)))
    frames = aligned(**dict(zip(named, measures, strict=True)))
    empty = [frame._meta if is_lazy(frame) else frame.iloc[:0] for frame in frames]
    return own_rows(joined_rows, *frames, meta=lambda: joined_rows(*empty))


def refuse_same_columns(columns: dict[str, list[Any]]) -> None:
    """Raise InputError if a column is in two frames, given the columns of each by name."""
    where: dict[Any, str] = {}
    for name, of_one in columns.items():
        for column in of_one:
            if column in where:
                raise InputError(f"column {column!r}: found in {where[column]} and {name}, expected it in one of them")
            where[column] = name


def joined_rows(*tables: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of tables of one partition."""
    keys = _text(tables[0].index)
    for table in tables[1:]:
        keys = keys.union(_text(table.index))
    whole = pd.concat([table.set_axis(_text(table.index)).reindex(keys) for table in tables], axis=1)
    return whole.rename_axis("geoid")


def joined_reasons(*reasons: pd.DataFrame) -> pd.DataFrame:
    """Return the reasons of one partition by tract, and of a tract in the order of the tables."""
    return pd.concat(reasons).sort_index(kind="stable")


def _text(keys: pd.Index) -> pd.Index:
    return keys.astype("str") if pd.api.types.is_string_dtype(keys.dtype) else keys
