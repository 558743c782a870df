"""Where an output comes from: inputs with checksums, definition, options and versions.

No clock and no host: the same inputs give the same bytes. When an object was written, the storage knows.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import shapely

# The packages whose version can move a result.
_PACKAGES = ("geomob-dask", "geopandas", "numpy", "pandas", "pyarrow", "pyogrio", "scipy", "shapely")


def versions() -> dict[str, str]:
    """Return the versions of the packages that can move a result."""
    return {name: version(name) for name in _PACKAGES} | {"geos": shapely.geos_version_string}


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, no NaN."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


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
        plain = asdict(self)
        plain.pop("report")
        return sha256(canonical_json(plain))[:16]

    def plain(self) -> dict[str, Any]:
        """Return plain data for a snapshot."""
        return asdict(self)
