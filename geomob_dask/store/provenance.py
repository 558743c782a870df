"""Where an output comes from: inputs with checksums, definition, options and versions.

No clock and no host: the same inputs give the same bytes. When an object was written, the storage knows.
"""

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from json.encoder import encode_basestring
from typing import Any

import shapely

# The packages whose version can move a result.
_PACKAGES = ("geomob-dask", "geopandas", "numpy", "pandas", "pyarrow", "pyogrio", "scipy", "shapely")


def versions() -> dict[str, str]:
    """Return the versions of the packages that can move a result."""
    return dict(_versions())


# Every lookup reads a file, and a plan of a night asks for thousands.
@functools.cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES} | {"geos": shapely.geos_version_string}


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, no NaN."""
    return f"{_written(value, chr(10))}\n".encode()


def _written(value: Any, newline: str) -> str:
    """Return what `json.dumps` does with sorted keys and indent 1; slow there, where the C encoder knows no indent."""
    if isinstance(value, str):
        return encode_basestring(value)
    if type(value) is int:
        return repr(value)
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value, allow_nan=False)
    inner = f"{newline} "
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        pairs = [f"{encode_basestring(key)}: {_written(value[key], inner)}" for key in sorted(value)]
        return f"{{{inner}{f',{inner}'.join(pairs)}{newline}}}" if pairs else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{inner}{f',{inner}'.join(_written(one, inner) for one in value)}{newline}]" if value else "[]"
    plain = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return plain.replace("\n", newline)


# Private characters of Unicode, which JSON leaves as they are, around the name of what is filled in.
_HOLE = re.compile("\ue000(.*?)\ue001")


def hole(name: str) -> str:
    """Return a text that `Template` fills in."""
    return f"\ue000{name}\ue001"


class Template:
    """The canonical JSON of many values that differ in a few texts only, written once.

    Parameters
    ----------
    value
        Plain data with `hole` where texts (or the one key of a mapping) differ.

    Examples
    --------
    >>> Template({"a": hole("x"), "b": 1}).filled(x="7") == canonical_json({"a": "7", "b": 1})
    True
    """

    def __init__(self, value: Any) -> None:
        pieces = _HOLE.split(canonical_json(value).decode())
        self._texts, self._names = pieces[::2], pieces[1::2]

    def filled(self, **texts: str) -> bytes:
        """Return the bytes with these texts, which need no escapes in JSON."""
        parts = [self._texts[0]]
        for name, text in zip(self._names, self._texts[1:], strict=True):
            parts += (texts[name], text)
        return "".join(parts).encode()


@dataclass(frozen=True)
class Provenance:
    """What made an output.

    Parameters
    ----------
    job : str
        The job that wrote it.
    inputs : mapping of str to str
        Every file or collection read, with its SHA-256.
    options : mapping
        Everything that was chosen: flags, definition, parameters.
    report : mapping
        What the job found and did: repairs, rows left out. It does not belong to the identity of the run.
    """

    job: str
    inputs: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)

    @property
    def identity(self) -> str:
        """Return a short checksum of job, inputs, options and versions: equal runs, equal identities."""
        return identity_of(canonical_json(self.identifying()))

    def identifying(self) -> dict[str, Any]:
        """Return what the identity is made of, as plain data."""
        plain = asdict(self)
        plain.pop("report")
        return plain

    def plain(self) -> dict[str, Any]:
        """Return plain data for a snapshot."""
        return asdict(self)


def identity_of(data: bytes) -> str:
    """Return the identity of a run from the canonical JSON of `Provenance.identifying`."""
    return sha256(data)[:16]
