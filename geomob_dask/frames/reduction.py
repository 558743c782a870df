"""Small reductions: each partition contributes a part, and one task merges them into a frame of one partition.

`own_rows` broadcasts the result. The merge is an expression of its own: Dask would fuse a `map_partitions` of one
partition into every task that it is broadcast to, and merge again in each of them.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from dask._task_spec import List, Task, TaskRef
from dask.dataframe.dask_expr._collection import new_collection
from dask.dataframe.dask_expr._expr import Expr
from dask.utils import funcname

from geomob_dask.frames.own_rows import is_lazy, no_value, one_value, own_rows, stage_name, value_of


def partials(function: Callable[..., Any], frame: Any, *others: Any, **options: Any) -> Any:
    """Return the contribution of each partition: a frame with one row per partition that holds the function's value."""
    return own_rows(_Partial(function), frame, *others, meta=no_value, **options)


def reduced(merge: Callable[..., Any], contributions: Any, *others: Any, **options: Any) -> Any:
    """Return the merged contributions of all partitions.

    Parameters
    ----------
    merge : callable
        Takes the list of all contributions, in the order of the partitions, then the values of `others`.
    contributions : DataFrame
        See `partials`.
    others : DataFrame
        Results of other reductions.

    Returns
    -------
    DataFrame
        One partition and one row, whose value is the result: see `value_of`.
    """
    return _merged(_Values(merge), no_value(), contributions, others, options)


def reduced_rows(
    merge: Callable[..., Any], frame: Any, *others: Any, meta: pd.DataFrame | None = None, **options: Any
) -> Any:
    """Return the merged rows of all partitions; `merge` takes the list of their frames, and may return a frame.

    Parameters
    ----------
    meta : DataFrame, optional
        The result without rows, where it is a frame; otherwise the result is a value as of `reduced`.
    """
    wrapped = _Rows(merge) if meta is None else _Frames(merge)
    return _merged(wrapped, no_value() if meta is None else meta, frame, others, options)


class Staged(Expr):  # type: ignore[misc]
    """An expression whose operands say by which `stage` the dashboard names its tasks, and what it is without rows."""

    @functools.cached_property
    def _name(self) -> str:
        return f"{self.operand('stage')}-{self.deterministic_token}"

    @functools.cached_property
    def _meta(self) -> pd.DataFrame:
        return self.operand("meta")


class Reduction(Staged):
    """One partition, made of all partitions of a frame by one task."""

    _parameters = ["frame", "merge", "stage", "meta", "options"]  # noqa: RUF012 - as in dask

    def _divisions(self) -> tuple[Any, ...]:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        key, frame = (self._name, 0), self.frame
        parts = List(*(TaskRef((frame._name, number)) for number in range(frame.npartitions)))
        others = [TaskRef((other._name, 0)) for other in self.operands[len(self._parameters) :]]
        return {key: Task(key, self.operand("merge"), parts, *others, **self.operand("options"))}


def _merged(
    merge: Callable[..., pd.DataFrame], meta: pd.DataFrame, frame: Any, others: Sequence[Any], options: dict[str, Any]
) -> Any:
    if not is_lazy(frame):
        return merge([frame], *others, **options)
    lazy = [own_rows(_same, frame, other, meta=no_value) if not is_lazy(other) else other for other in others]
    return new_collection(Reduction(frame.expr, merge, funcname(merge), meta, options, *(other.expr for other in lazy)))


def _same(_: pd.DataFrame, value: pd.DataFrame) -> pd.DataFrame:
    return value


class _Named:
    """A function with the name of the one it wraps: the dashboard shows that."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = stage_name(function)


class _Partial(_Named):
    def __call__(self, *frames: pd.DataFrame, **options: Any) -> pd.DataFrame:
        return one_value(self.function(*frames, **options))


class _Values(_Named):
    def __call__(self, parts: Sequence[pd.DataFrame], *others: pd.DataFrame, **options: Any) -> pd.DataFrame:
        values = [value for part in parts for value in part["value"].tolist()]
        return one_value(self.function(values, *map(value_of, others), **options))


class _Rows(_Named):
    def __call__(self, parts: Sequence[pd.DataFrame], *others: pd.DataFrame, **options: Any) -> pd.DataFrame:
        return one_value(self.function(parts, *map(value_of, others), **options))


class _Frames(_Named):
    def __call__(self, parts: Sequence[pd.DataFrame], *others: pd.DataFrame, **options: Any) -> pd.DataFrame:
        merged: pd.DataFrame = self.function(parts, *map(value_of, others), **options)
        return merged
