"""Named Dask tasks: the dashboard shows which stage runs and for which partition."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dask.delayed import Delayed, delayed


@dataclass(frozen=True)
class Run:
    """One run on a cluster: tasks of two runs never share a key, those of one run are told apart.

    Parameters
    ----------
    name : str
        What runs, such as ``"opportunity"``; it begins the name of every task.
    """

    name: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def task(self, stage: str, partition: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Delayed:
        """Return the delayed call ``function(*args, **kwargs)``, keyed by stage and partition."""
        key = (f"{self.name}-{stage}-{self.token}", partition)
        return delayed(function, pure=False, traverse=False)(*args, dask_key_name=key, **kwargs)
