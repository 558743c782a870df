"""Own rows: a function of each partition of aligned frames, and nothing else.

Frames in memory are their own single partition: the function is called at once, without Dask.
"""

from collections.abc import Callable, Sequence
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd
from dask.utils import funcname

Frame = pd.DataFrame | dd.DataFrame


def is_lazy(frame: Any) -> bool:
    """Return whether a frame is a Dask frame."""
    return isinstance(frame, (dd.DataFrame, dd.Series, dd.Index))


def empty_of(frame: Any) -> pd.DataFrame:
    """Return a frame's columns and types without rows; nothing is computed."""
    empty: pd.DataFrame = frame._meta if is_lazy(frame) else frame.iloc[:0]
    return empty


def own_rows(
    function: Callable[..., pd.DataFrame],
    frame: Any,
    *others: Any,
    meta: pd.DataFrame | Callable[[], pd.DataFrame],
    **options: Any,
) -> Any:
    """Return a function of the partitions of aligned frames.

    Parameters
    ----------
    function : callable
        Takes one partition of each frame and the options, and returns a frame. Its name is what the dashboard shows.
    frame, others : DataFrame, in memory or on Dask
        Aligned: partition i of each belongs together. Frames of one partition are broadcast to all.
    meta : DataFrame or callable
        The result without rows, or what returns it. Without it Dask would call the function with made-up rows.
    options
        Plain values, the same for all partitions.

    Returns
    -------
    DataFrame
        Lazy where one of the frames is; otherwise the result.
    """
    frames = (frame, *others)
    if not any(is_lazy(one) for one in frames):
        return function(*frames, **options)
    empty = meta() if callable(meta) else meta
    # Partitions come as the function returns them: columns and dtypes are what tests compare with meta.
    return dd.map_partitions(_Stage(function), *map(_broadcast, frames), meta=empty, enforce_metadata=False, **options)


class _Stage:
    """A function under the name that the dashboard shows."""

    def __init__(self, function: Callable[..., pd.DataFrame]) -> None:
        self.function = function
        self.__name__ = stage_name(function)

    def __call__(self, *frames: pd.DataFrame, **options: Any) -> pd.DataFrame:
        return self.function(*frames, **options)


def stage_name(function: Callable[..., Any]) -> str:
    """Return the name of a stage in the dashboard and in errors."""
    return str(funcname(function)).strip("_").replace("_", "-")


def _broadcast(frame: Any) -> Any:
    """Return a frame in memory as a Dask frame of one partition, which is sent to a worker once."""
    if not isinstance(frame, (pd.DataFrame, pd.Series)):
        return frame
    # Values of any kind in a column of objects must not become text.
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(frame, npartitions=1, sort=False)


def value_of(frame: pd.DataFrame) -> Any:
    """Return the value in a frame of one row; see `one_value`."""
    return frame["value"].iloc[0]


def one_value(value: Any) -> pd.DataFrame:
    """Return a frame of one row that holds a value of any kind: what partitions contribute to a reduction."""
    return rows_of_values([value])


def rows_of_values(values: Sequence[Any]) -> pd.DataFrame:
    """Return a frame in memory of one row per value."""
    return pd.DataFrame({"value": pd.Series(list(values), dtype=object)})


def lazy_values(function: Callable[[Any], Any], items: Sequence[Any]) -> dd.DataFrame:
    """Return a Dask frame of the values of a function of each item, with a task and a partition for each."""
    # Values of any kind in a column of objects must not become text.
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_map(_value, items, function=function, meta=no_value(), label=stage_name(function))


def _value(item: Any, function: Callable[[Any], Any]) -> pd.DataFrame:
    return one_value(function(item))


def no_value() -> pd.DataFrame:
    """Return the meta of `one_value`."""
    return rows_of_values([])
