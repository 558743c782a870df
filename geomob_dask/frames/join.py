"""Measures of several datasets in one frame: own rows of aligned frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.align import aligned
from geomob_dask.frames.own_rows import empty_of, own_rows
from geomob_dask.messages import and_more
from geomob_dask.sources.kinds import text_columns


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
        If a column of numbers is in two of the frames, a column of text in two of them differs between them, or
        divisions are not known.

    Examples
    --------
    >>> people = pd.DataFrame({"people": [1.0, 2.0]}, index=["01001000100", "01001000200"])
    >>> homes = pd.DataFrame({"homes": [20.0]}, index=["01001000200"])
    >>> join(people, homes).to_numpy().tolist()
    [[1.0, nan], [2.0, 20.0]]
    """
    named = list(names) if names is not None else [f"frame {number + 1}" for number in range(len(measures))]
    refuse_same_columns({name: empty_of(one) for name, one in zip(named, measures, strict=True)})
    frames = aligned(**dict(zip(named, measures, strict=True)))
    empty = [empty_of(frame) for frame in frames]
    return own_rows(joined_rows, *frames, meta=lambda: joined_rows(*empty))


def refuse_same_columns(frames: Mapping[str, pd.DataFrame]) -> None:
    """Raise InputError if a column of numbers is in two frames, given by name without their rows.

    Columns of text, such as the region of each tract, may be in several: `joined_rows` compares them.
    """
    where: dict[Any, str] = {}
    numbers: set[Any] = set()
    for name, frame in frames.items():
        texts = text_columns(frame)
        for column in frame.columns:
            if column not in texts:
                numbers.add(column)
            if column in where and column in numbers:
                raise InputError(f"column {column!r}: found in {where[column]} and {name}, expected it in one of them")
            where.setdefault(column, name)


def joined_rows(*tables: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of tables of one partition; of text that several have, what any of them says.

    Raises
    ------
    InputError
        If two of them differ in the text of a tract.
    """
    keys = _text(tables[0].index)
    for table in tables[1:]:
        keys = keys.union(_text(table.index))
    columns: dict[Any, pd.Series] = {}
    for table in tables:
        aligned_table = table.set_axis(_text(table.index)).reindex(keys)
        for column in table.columns:
            values = aligned_table[column]
            columns[column] = _same_text(columns[column], values) if column in columns else values
    return pd.DataFrame(columns, index=keys).rename_axis("geoid")


def _same_text(first: pd.Series, other: pd.Series) -> pd.Series:
    differ = first.notna() & other.notna() & (first != other)
    if differ.any():
        tract = first.index[int(np.argmax(differ))]
        raise InputError(
            f"column {first.name!r}, tract {tract}: found {first[tract]!r} and {other[tract]!r} in two datasets, "
            f"expected the same text{and_more(int(differ.sum()))}"
        )
    return first.where(first.notna(), other)


def joined_reasons(*reasons: pd.DataFrame) -> pd.DataFrame:
    """Return the reasons of one partition by tract, and of a tract in the order of the tables."""
    return pd.concat(reasons).sort_index(kind="stable")


def _text(keys: pd.Index) -> pd.Index:
    return keys.astype("str") if pd.api.types.is_string_dtype(keys.dtype) else keys
