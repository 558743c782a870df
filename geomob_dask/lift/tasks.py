"""Named Dask tasks: the dashboard shows which stage runs and for which partition."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dask.core import quote
from dask.delayed import Delayed
from dask.utils import apply


@dataclass(frozen=True)
class Run:
    """One run on a cluster: tasks of two runs never share a key, those of one run are told apart.

    All tasks of a run stand in one graph. `dask.delayed` would copy the graph of its inputs for every call, so
    that a stage after a reduction over n partitions costs n².

    Parameters
    ----------
    name : str
        What runs, such as ``"opportunity"``; it begins the name of every task.
    """

    name: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    _graph: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def task(self, stage: str, partition: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Delayed:
        """Return the delayed call ``function(*args, **kwargs)``, keyed by stage and partition.

        Parameters
        ----------
        args, kwargs
            Delayed values, lists of them, or plain values.
        """
        key = (f"{self.name}-{stage}-{self.token}", partition)
        if key in self._graph:
            raise KeyError(f"two tasks {self.name} {stage} {partition}: one would take the other's place")
        inputs = [self._input(value) for value in args]
        named = [[name, self._input(value)] for name, value in kwargs.items()]
        self._graph[key] = (apply, function, inputs, (dict, named)) if named else (function, *inputs)
        return Delayed(key, self._graph)

    def _input(self, value: Any) -> Any:
        if isinstance(value, Delayed):
            if value.dask is not self._graph:
                self._graph.update(value.dask)
            return value.key
        if isinstance(value, list):
            return [self._input(item) for item in value]
        return quote(value)
