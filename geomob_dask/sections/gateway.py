"""Clusters of a gateway: a server of Dask Gateway starts them, as its administrator has set it up."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from geomob_dask.messages import shown, without_passwords
from geomob_dask.sections.quantities import Count, Seconds
from geomob_dask.sections.secrets import is_secret
from geomob_dask.sections.shared import Adapt, Waits

PASSWORD_VARIABLE, TOKEN_VARIABLE = "GEOMOB_GATEWAY_PASSWORD", "JUPYTERHUB_API_TOKEN"

_SCHEMES = ("http://", "https://")


def _url(given: Any) -> Any:
    if not isinstance(given, str) or not given.startswith(_SCHEMES) or len(given.split("://", 1)[1]) == 0:
        raise ValueError("expected a URL such as https://gateway.example")
    if without_passwords(given) != given:
        raise PydanticCustomError(
            "secret", "found a password in the URL, expected it in a variable (password_variable)"
        )
    return given.rstrip("/")


def _options(given: Any) -> Any:
    """Return options of a cluster; the error about one that looks like a secret never shows its value."""
    if isinstance(given, Mapping):
        for name, value in _leaves(given):
            if is_secret(str(name), str(value)):
                what = f"{shown(name)} looks like a secret, which does not belong into this file"
                raise PydanticCustomError("secret", "{what}", {"what": what})
    return given


def _leaves(given: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for name, value in given.items():
        found += _leaves(value) if isinstance(value, Mapping) else [(name, value)]
    return found


Url = Annotated[str, BeforeValidator(_url)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Options = Annotated[dict[str, Any], BeforeValidator(_options)]


class GatewaySection(Waits):
    """A cluster that a server of Dask Gateway starts, or one that runs there.

    Parameters
    ----------
    address : str
        URL of the gateway.
    proxy_address : str, optional
        Host and port of its proxy of schedulers, such as ``gateway.example:8786``; by default those of `address`.
    public_address : str, optional
        URL of the gateway as a browser sees it, for the link of the dashboard; by default `address`.
    auth : str
        ``basic`` for a user and password, ``jupyterhub`` for a token of JupyterHub, ``kerberos`` for a ticket.
    user : str, optional
        For ``basic``; by default the one who runs the job.
    password_variable, token_variable : str
        Names of the environment variables with password and token.
    options : mapping
        Options of the cluster, as the gateway names them.
    workers : int, optional
        A fixed number of them; the gateway replaces lost ones.
    adapt : Adapt, optional
        Bounds, instead of a fixed number.
    cluster : str, optional
        Name of a cluster that runs there, instead of a new one. It stays as it is, and stays after the run.
    keep : bool
        Whether a new cluster stays after the run.
    starts : float
        Seconds to wait for the scheduler, and for the first worker, or for another if none is left.
    request_timeout : float
        Seconds within which the gateway answers.
    patience, silence : float
        See `Waits`.
    """

    kind: Literal["gateway"] = "gateway"
    address: Url
    proxy_address: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.\[\]:-]+:[0-9]{1,5}$")] | None = None
    public_address: Url | None = None
    auth: Literal["basic", "jupyterhub", "kerberos"] = "basic"
    user: str | None = None
    password_variable: Variable = PASSWORD_VARIABLE
    token_variable: Variable = TOKEN_VARIABLE
    options: Options = Field(default_factory=dict)
    workers: Count | None = None
    adapt: Adapt | None = None
    cluster: str | None = None
    keep: bool = False
    starts: Seconds = 300.0
    request_timeout: Seconds = 20.0

    @model_validator(mode="after")
    def _new_or_running(self) -> Self:
        sizes = [name for name in ("workers", "adapt") if getattr(self, name) is not None]
        if self.cluster is not None:
            more = [*sizes, *(["options"] if self.options else []), *(["keep"] if self.keep else [])]
            if more:
                raise ValueError(f"cluster {self.cluster} is one that runs; expected no {', '.join(more)} with it")
        elif len(sizes) != 1:
            found = "both workers and adapt are" if sizes else "neither workers nor adapt is"
            raise ValueError(f"{found} given; expected one of them")
        if self.adapt is not None and self.adapt.minimum == 0:
            raise ValueError("adapt.minimum: found 0, expected 1 or more: a run begins with a worker")
        return self
