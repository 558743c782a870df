"""Own rows and halo: partition i also sees what the partitions within its reach offer."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from dask._task_spec import List, Task, TaskRef
from dask.dataframe.dask_expr._collection import new_collection
from dask.dataframe.dask_expr._expr import Expr

from geomob_dask.errors import InputError
from geomob_dask.frames.own_rows import is_lazy
from geomob_dask.messages import listed

Near = Sequence[Sequence[int]]


class Halo(Expr):  # type: ignore[misc]
    """Partition i holds the rows of the partitions ``near[i]`` of a frame, in that order; see `halo`."""

    _parameters = ["frame", "near", "to"]  # noqa: RUF012 - as in dask

    @functools.cached_property
    def _meta(self) -> pd.DataFrame:
        return self.frame._meta

    def _divisions(self) -> tuple[Any, ...]:
        # Rows of other partitions: the keys do not tell where they are.
        return (None,) * (len(self.near) + 1)

    def _layer(self) -> dict[Any, Any]:
        layer = {}
        for number, partitions in enumerate(self.near):
            parts = List(*(TaskRef((self.frame._name, one)) for one in partitions))
            key = (self._name, number)
            layer[key] = Task(key, _received, self.frame._meta, parts, number, self.operand("to"))
        return layer


def halo(frame: Any, near: Near | None = None, *, to: str | None = None) -> Any:
    """Return for every partition the rows that the partitions near it offer.

    Parameters
    ----------
    frame : DataFrame, in memory or on Dask
        What each partition offers.
    near : sequence of sequence of int, optional
        For each partition, the numbers of the others within its reach. All others by default: what they offer is then
        sent everywhere, and each partition picks what it needs.
    to : str, optional
        Column that holds the number of the partition that each row is for; by default, rows are for all.

    Returns
    -------
    DataFrame
        Partition i holds the rows of ``near[i]``. A frame in memory has no others: no rows.
    """
    if not is_lazy(frame):
        return frame.iloc[:0]
    if near is None:
        numbers = range(frame.npartitions)
        near = [[other for other in numbers if other != one] for one in numbers]
    return new_collection(Halo(frame.expr, tuple(tuple(one) for one in near), to))


def apart(frame: Any) -> Any:
    """Return a frame whose partitions are tasks of their own: Dask fuses own rows of own rows into one task."""
    if not is_lazy(frame):
        return frame
    return halo(frame, [[number] for number in range(frame.npartitions)])


def near_partitions(reach: Mapping[str, Sequence[str]] | None, names: Sequence[str]) -> Near | None:
    """Return the numbers of the partitions near each, from a mapping of names; None where that is not known."""
    if reach is None:
        return None
    number = {name: place for place, name in enumerate(names)}
    return [
        sorted(number[other] for other in reach.get(name, ()) if other in number and other != name) for name in names
    ]


def _received(empty: pd.DataFrame, parts: Sequence[pd.DataFrame], number: int, to: str | None) -> pd.DataFrame:
    if to is None:
        return stacked(empty, parts)
    masks = [part[to].to_numpy() == number for part in parts]
    return stacked(empty, [part[mask] for part, mask in zip(parts, masks, strict=True) if mask.any()])


def stacked(empty: pd.DataFrame, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of several partitions.

    Raises
    ------
    InputError
        If one partition has codes of tracts as keys, and another one other text.
    """
    filled = [part for part in parts if len(part)]
    if not filled:
        return empty
    kinds = {part.index.dtype.kind for part in filled}
    if len(kinds) > 1:
        keys = listed((part.index[0] for part in filled), 3)
        raise InputError(
            f"keys: found {keys} in partitions of one frame; expected codes of 11 digits in all or in none"
        )
    return filled[0] if len(filled) == 1 else pd.concat(filled)
