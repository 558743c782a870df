"""Workers on this machine."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from geomob_dask.sections.driver import OfOneMachine
from geomob_dask.sections.quantities import Count
from geomob_dask.sections.shared import WorkerOptions


def _processes(value: Any) -> Any:
    if value != "auto" and not isinstance(value, bool):
        raise ValueError("expected true, false or auto")
    return value


class LocalSection(WorkerOptions, OfOneMachine):
    """Workers on this machine: processes, or for a small plan threads of the driver's own.

    Parameters
    ----------
    workers : int, optional
        As many as cores by default.
    processes : bool or "auto"
        Whether workers are processes. They take seconds to start, compute at the same time whatever the code, and are
        restarted when they die. ``auto`` is threads for a plan whose work takes less time than their start.
    memory_limit : str
        Memory of one worker (``"4GiB"``); ``auto`` shares the machine's memory out.
    driver : Driver, optional
        See `OfOneMachine`.
    **options
        See `WorkerOptions`.
    """

    kind: Literal["local"] = "local"
    workers: Count | None = None
    processes: Annotated[bool | Literal["auto"], BeforeValidator(_processes)] = "auto"
