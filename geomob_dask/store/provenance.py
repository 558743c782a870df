"""Where an output comes from: inputs with checksums, definition, options and versions.

It holds no time and no host, so that the same inputs give the same bytes; the storage knows when it was written.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import shapely

# The packages whose version can change a result.
_PACKAGES = ("geomob-dask", "geopandas", "numpy", "pandas", "pyarrow", "pyogrio", "scipy", "shapely")


def versions() -> dict[str, str]:
    """Return the versions of the packages that can change a result."""
    return dict(_versions())


# Every look-up reads a file, and a plan needs thousands of them.
@functools.cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES} | {"geos": shapely.geos_version_string}


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return the JSON text of a value that every writer gives it: sorted keys, no NaN.

    Checksums are of this text: another form of it would make every stored result look out of date.
    """
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    # A file's name may hold bytes that are no UTF-8: Python has half a pair of letters for each, which JSON can escape.
    return f"{text}\n".encode(errors="backslashreplace")


@dataclass(frozen=True)
class Provenance:
    """The provenance of an output.

    Parameters
    ----------
    job : str
        The job that wrote it.
    inputs : mapping of str to str
        Every file or collection that was read, with its SHA-256.
    options : mapping
        All options: flags, definition, parameters.
    report : mapping
        Observations of the job, such as repairs or rows left out; not part of the identity.
    versions : mapping of str to str
        Versions of the packages that can change a result.
    """

    job: str
    inputs: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)

    @functools.cached_property
    def identity(self) -> str:
        """Return a short checksum of job, inputs, options and versions: runs with equal ones have equal results."""
        return identity_of(canonical_json(self.identifying()))

    def identifying(self) -> dict[str, Any]:
        """Return the plain data that the identity is a checksum of."""
        # Not `asdict`: it copies every nested value, which takes longer than all else.
        return {
            "job": self.job,
            "inputs": dict(self.inputs),
            "options": dict(self.options),
            "versions": dict(self.versions),
        }

    def plain(self) -> dict[str, Any]:
        """Return plain data for a snapshot."""
        return {**self.identifying(), "report": dict(self.report)}


def identity_of(text: bytes) -> str:
    """Return the identity of a run from the canonical JSON of `Provenance.identifying`."""
    return sha256(text)[:16]
