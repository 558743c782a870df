"""Machines that are reached by SSH."""

import os
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from geomob_dask.sections.quantities import Seconds
from geomob_dask.sections.shared import RemoteWorkers


def _host(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.:%][A-Za-z0-9_.:%-]*", value, re.ASCII):
        raise ValueError("expected the name or address of a machine")
    return value


def _some(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and not value:
        raise ValueError("expected one machine or more")
    return value


Host = Annotated[str, BeforeValidator(_host)]
OwnFile = Annotated[str, AfterValidator(os.path.expanduser)]


class SshSection(RemoteWorkers):
    """Machines that are reached by SSH; a scheduler and workers are started there for the run, and end with it.

    Connections use the keys, the agent, ``~/.ssh/config`` and ``~/.ssh/known_hosts`` of this account, as the command
    ``ssh`` does. Passwords are never settings.

    Parameters
    ----------
    hosts : list of str
        Names or addresses of the machines of workers, as this machine and they themselves reach them.
    scheduler : str, optional
        The machine of the scheduler; the first of `hosts` by default.
    username : str, optional
        On all of them.
    port : int, optional
    key : str, optional
        Path of a private key.
    known_hosts : str, optional
        Path of a file with the keys of the machines.
    python : str, optional
        Path of the Python there that has this package, in the same version; that of this process by default.
    workers : int, optional
        On all machines together, in turn; one on each by default.
    connects : float
        Seconds within which a machine answers.
    **options
        See `RemoteWorkers`; `adapt` is refused, since the machines are there anyhow.
    """

    kind: Literal["ssh"] = "ssh"
    hosts: Annotated[tuple[Host, ...], BeforeValidator(_some)]
    scheduler: Host | None = None
    username: Annotated[str, Field(min_length=1)] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    key: OwnFile | None = None
    known_hosts: OwnFile | None = None
    python: str | None = None
    connects: Seconds = 30.0

    @model_validator(mode="after")
    def _fixed(self) -> Self:
        if self.adapt is not None:
            raise ValueError("adapt is not for machines that are there anyhow; expected workers, or neither")
        return self

    @property
    def first(self) -> str:
        """Return the machine of the scheduler."""
        return self.scheduler or self.hosts[0]

    @property
    def placed(self) -> list[str]:
        """Return the machine of each worker."""
        count = self.workers or len(self.hosts)
        return [self.hosts[place % len(self.hosts)] for place in range(count)]
