"""By column: a function that needs the values of all rows of a column, such as a rank.

Each column of all partitions goes to one task, and only its own rows come back to a partition: no task holds more than
one column of all rows, whatever the number of columns, and no worker more than the columns that it works on.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from dask._task_spec import List, Task, TaskRef
from dask.dataframe.dask_expr._collection import new_collection
from dask.utils import funcname
from numpy.typing import NDArray

from geomob_dask.frames.own_rows import (
    empty_of,
    is_lazy,
    lazy_values,
    no_value,
    one_value,
    own_rows,
    rows_of_values,
    stage_name,
    value_of,
)
from geomob_dask.frames.reduction import Staged

Column = NDArray[np.float64]
# Takes the values of a column, the column's number, the values given to it, and options; returns as many values, and
# further ones of any kind.
Function = Callable[..., tuple[Column, Sequence[Any]]]


def by_column(
    function: Function,
    frame: Any,
    *,
    given: Any = None,
    further: int = 0,
    options: Mapping[str, Any] | None = None,
) -> tuple[Any, Any]:
    """Return a function of each column over the rows of all partitions.

    Parameters
    ----------
    function : callable
        See `Function`. Its name is what the dashboard shows.
    frame : DataFrame of floats, in memory or on Dask
    given : DataFrame of one row per value, in memory or on Dask with a partition per value, optional
        Equally many values for each column, those of the first column first; see `one_value`.
    further : int
        How many further values the function returns for a column.
    options : mapping
        Plain values, the same for all columns.

    Returns
    -------
    result : DataFrame
        Rows, columns and partitions of `frame`.
    values : DataFrame
        The further values, as `given`; without rows where there are none.
    """
    names, plain = list(empty_of(frame).columns), dict(options or {})
    if not is_lazy(frame):
        values = [] if given is None else given["value"].tolist()
        found = [
            function(column, place, share, **plain)
            for place, (column, share) in enumerate(zip(frame.to_numpy().T, _shares(values, len(names)), strict=True))
        ]
        result = pd.DataFrame(np.stack([own for own, _ in found], axis=1), index=frame.index, columns=names)
        return result, rows_of_values([value for _, more in found for value in more])
    if given is not None and not is_lazy(given):
        given = lazy_values(_given, given["value"].tolist())
    stage, empty = stage_name(function), empty_of(frame)
    more = [] if given is None else [given.expr]
    columns = Columns(frame.expr, function, len(names), plain, stage, no_value(), *more)
    # Where rows belong: the frame itself need not stay in memory.
    keys = own_rows(_keys, frame, meta=_keys(empty))
    result = new_collection(Rows(columns, keys.expr, f"{stage}-rows", empty))
    if not further:
        return result, no_value()
    return result, new_collection(Further(columns, frame.npartitions, len(names), further, "further", no_value()))


class Columns(Staged):
    """A partition per column: what its function returns, cut into the pieces of partitions, and further values."""

    _parameters = ["frame", "function", "n", "options", "stage", "meta"]  # noqa: RUF012 - as in dask

    def _divisions(self) -> tuple[Any, ...]:
        return tuple([None] * (self.n + 1))

    def _layer(self) -> dict[Any, Any]:
        layer: dict[Any, Any] = {}
        token, frame, function = self.deterministic_token, self.frame, _ByPartition(self.operand("function"))
        given = self.operands[len(self._parameters) :]
        share = given[0].npartitions // self.n if given else 0
        for place in range(self.n):
            pieces = []
            for number in range(frame.npartitions):
                own = (f"column-{token}", place, number)
                layer[own] = Task(own, _column, TaskRef((frame._name, number)), place)
                pieces.append(TaskRef(own))
            values = [TaskRef((given[0]._name, place * share + number)) for number in range(share)]
            key = (self._name, place)
            layer[key] = Task(key, function, List(*pieces), place, List(*values), **self.operand("options"))
        return layer


class Rows(Staged):
    """The pieces of each partition, of all columns."""

    _parameters = ["columns_", "keys", "stage", "meta"]  # noqa: RUF012 - as in dask

    def _divisions(self) -> tuple[Any, ...]:
        return tuple(self.keys.divisions)

    def _layer(self) -> dict[Any, Any]:
        layer: dict[Any, Any] = {}
        columns, keys, names = self.operand("columns_"), self.keys, list(self._meta.columns)
        for number in range(keys.npartitions):
            pieces = []
            for place in range(columns.n):
                # Tasks of their own: they run where the column is, and once all have run it is let go.
                own = (f"piece-{self.deterministic_token}", place, number)
                layer[own] = Task(own, _piece, TaskRef((columns._name, place)), number)
                pieces.append(TaskRef(own))
            key = (self._name, number)
            layer[key] = Task(key, _together, TaskRef((keys._name, number)), List(*pieces), names)
        return layer


class Further(Staged):
    """The further values of all columns, a partition each."""

    _parameters = ["columns_", "partitions_", "n", "each", "stage", "meta"]  # noqa: RUF012 - as in dask

    def _divisions(self) -> tuple[Any, ...]:
        return tuple([None] * (self.n * self.each + 1))

    def _layer(self) -> dict[Any, Any]:
        layer, columns = {}, self.operand("columns_")
        for number in range(self.n * self.each):
            place, own = divmod(number, self.each)
            key = (self._name, number)
            layer[key] = Task(key, _further, TaskRef((columns._name, place)), self.operand("partitions_") + own)
        return layer


class _ByPartition:
    """A function of a column, of the pieces of its partitions."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.__name__ = funcname(function)

    def __call__(self, pieces: list[Column], place: int, given: Sequence[pd.DataFrame], /, **options: Any) -> list[Any]:
        ends = np.cumsum([len(piece) for piece in pieces])
        values = np.concatenate(pieces)
        result, further = self.function(values, place, [value_of(one) for one in given], **options)
        return [*np.split(result, ends[:-1]), *further]


def _given(value: Any) -> Any:
    return value


def _shares(values: list[Any], n: int) -> list[list[Any]]:
    each = len(values) // n
    return [values[place * each : (place + 1) * each] for place in range(n)]


def _keys(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[[]]


def _column(frame: pd.DataFrame, place: int) -> Column:
    return np.array(frame.iloc[:, place], dtype=np.float64)


def _piece(column: Sequence[Any], number: int) -> Column:
    # A view would keep the whole column in memory.
    return np.array(column[number])


def _further(column: Sequence[Any], number: int) -> pd.DataFrame:
    return one_value(column[number])


def _together(keys: pd.DataFrame, pieces: Sequence[Column], names: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame(np.stack(pieces, axis=1), index=keys.index, columns=names)
