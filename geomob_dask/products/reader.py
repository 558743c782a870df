"""Frames of a request's inputs: lazy ones over a cluster, or in memory where one task makes a whole output."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from geomob_dask.frames.own_rows import lazy_values, rows_of_values
from geomob_dask.store import Snapshot, Store


@dataclass(frozen=True)
class Reader:
    """What a product reads its inputs with.

    Parameters
    ----------
    store : Store
    inputs, whole : mapping of str to Snapshot
        By role.
    states : tuple of str
        Partitions of all frames.
    lazy : bool
        Whether frames are Dask's.
    attempt : int
        See `Store.aligned`.
    """

    store: Store
    inputs: Mapping[str, Snapshot]
    whole: Mapping[str, Snapshot]
    states: tuple[str, ...]
    lazy: bool
    attempt: int = 1

    def frame(self, role: str, columns: Sequence[str] | None = None, *, again: bool = False) -> Any:
        """Return an input as a frame with a partition per state, or with the rows of all states in memory.

        Parameters
        ----------
        again : bool
            Whether it is read by tasks of its own, where another frame reads the same.
        """
        snapshot = self.inputs[role]
        if self.lazy:
            # Numbers of attempts are positive: no other task has this name.
            attempt = -self.attempt if again else self.attempt
            return self.store.aligned(snapshot, self.states, columns, attempt=attempt)
        parts = [snapshot.parts[state] for state in self.states if state in snapshot.parts]
        tables = [self.store.read(part, columns) for part in parts if part.rows]
        if not tables:
            return self.store.empty(snapshot, columns)
        return tables[0] if len(tables) == 1 else pd.concat(tables)

    def values(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Any:
        """Return a frame whose values are those of a function of each item; on Dask, a task and a partition each."""
        if self.lazy:
            return lazy_values(function, items)
        return rows_of_values([function(item) for item in items])
