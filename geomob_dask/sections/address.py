"""A scheduler that already runs."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator
from pydantic_core import PydanticCustomError

from geomob_dask.sections.quantities import Seconds
from geomob_dask.sections.shared import Tls, Waits

# Without a scheme it is tcp.
_ADDRESS = re.compile(
    r"(?:(?P<scheme>[A-Za-z][\w+.-]*)://)?(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})"
)
_SCHEMES = (None, "tcp", "tls", "ws", "wss")


def _address(given: Any) -> Any:
    """Return an address that Dask can have; what is found is not repeated where it may hold a password."""
    found = _ADDRESS.fullmatch(given) if isinstance(given, str) else None
    if found is None or found["scheme"] not in _SCHEMES or not 0 < int(found["port"]) < 2**16:
        text = (
            "expected an address such as tcp://scheduler.example:8786, or tls://… (GEOMOB_ADDRESS wins over the file)"
        )
        if "@" in str(given):
            raise PydanticCustomError("secret", "{what}", {"what": f"found a user or password in it, {text}"})
        raise ValueError(text)
    return given


class AddressSection(Waits):
    """A scheduler that already runs.

    Parameters
    ----------
    address : str
        Such as ``tcp://scheduler.example:8786``; ``GEOMOB_ADDRESS`` wins over the file.
    timeout : float
        Seconds to wait for its first answer.
    tls : Tls, optional
        Files of a scheduler whose address is ``tls://…``.
    patience, silence : float
        See `Waits`.
    """

    kind: Literal["address"] = "address"
    address: Annotated[str, BeforeValidator(_address)] = "tcp://127.0.0.1:8786"
    timeout: Seconds = 30.0
    tls: Tls | None = None

    @model_validator(mode="after")
    def _tls_or_none(self) -> Self:
        if self.tls is not None and self.tls.temporary:
            raise ValueError(
                "tls: found temporary; expected the files ca, certificate and key that the scheduler was started with"
            )
        if self.address.startswith("tls://") and self.tls is None:
            raise ValueError(f"address {self.address}: found no tls; expected its files ca, certificate and key")
        if self.tls is not None and not self.address.startswith("tls://"):
            raise ValueError(f"address {self.address}: found tls for it; expected an address tls://…")
        return self
