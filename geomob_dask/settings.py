"""Settings: one frozen model, read once from cluster.yaml, the environment and flags.

A flag wins over the environment (``GEOMOB_STORE``, ``GEOMOB_CLUSTER``, ``GEOMOB_LIMIT_BYTES``), which wins over the
file. Secrets are never settings: endpoint and credentials of a bucket come from the usual AWS variables or profile.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

from dask.utils import parse_bytes
from pydantic import BeforeValidator, Field, ValidationError

from geomob_dask.checked import Checked, explain
from geomob_dask.errors import SettingsError
from geomob_dask.messages import shown
from geomob_dask.names import did_you_mean
from geomob_dask.sections import AddressSection, ClusterSection, LocalSection, Section, SerialSection
from geomob_dask.yaml_text import mapping_of, read_yaml

DEFAULT_STORE = "store"
DEFAULT_STORE_TIMEOUT = 120.0


def _bytes(value: Any) -> Any:
    return parse_bytes(value) if isinstance(value, str) else value


class Limits(Checked):
    """The most that one input file may hold; what exceeds it is refused before it fills the memory.

    Parameters
    ----------
    bytes : int
        Decompressed, of all members that are read together (``"2GiB"``).
    columns, rows : int
        Of a table.
    depth : int
        Containers within one another: a ``.csv.gz`` in a ``.zip`` is 2.
    """

    bytes: Annotated[int, BeforeValidator(_bytes), Field(ge=1)] = 2**31
    columns: Annotated[int, Field(ge=1)] = 50_000
    rows: Annotated[int, Field(ge=1)] = 50_000_000
    depth: Annotated[int, Field(ge=1)] = 3


def _default_clusters() -> dict[str, Section]:
    return {"local": LocalSection(), "address": AddressSection(), "serial": SerialSection()}


class Settings(Checked):
    """Everything a job needs to know besides its own arguments.

    Parameters
    ----------
    store : str
        A folder or ``s3://bucket/prefix``.
    store_timeout : float
        Seconds that a request to a bucket may take, all attempts together.
    cluster : str
        The section of `clusters` to use.
    clusters : mapping of str to section
        Named sections of cluster.yaml.
    limits : Limits
        Of input files.
    """

    store: str = DEFAULT_STORE
    store_timeout: Annotated[float, Field(gt=0, le=3600)] = DEFAULT_STORE_TIMEOUT
    cluster: str = "local"
    clusters: dict[str, ClusterSection] = Field(default_factory=_default_clusters)
    limits: Limits = Limits()

    @property
    def section(self) -> Section:
        """Return the chosen section."""
        if self.cluster not in self.clusters:
            raise SettingsError(
                f"cluster {shown(self.cluster)}: no such section; {did_you_mean(self.cluster, self.clusters)}"
            )
        return self.clusters[self.cluster]


def load_settings(file: str | None = None, *, store: str | None = None, cluster: str | None = None) -> Settings:
    """Return the settings from a file, the environment and flags.

    Parameters
    ----------
    file : str, optional
        cluster.yaml; by default ``GEOMOB_CONFIG``, then ``cluster.yaml`` in this folder, then built-in values.

    Raises
    ------
    SettingsError
        Naming the file and key that is unknown or has a wrong value.
    """
    path, plain = _given(file)
    chosen = {
        "store": _chosen(store, "GEOMOB_STORE"),
        "store_timeout": _chosen(None, "GEOMOB_STORE_TIMEOUT"),
        "cluster": _chosen(cluster, "GEOMOB_CLUSTER"),
    }
    plain |= {key: value for key, value in chosen.items() if value is not None}
    # A file adds sections to those that are built in, and may change them.
    built_in = {name: {"kind": name} for name in _default_clusters()}
    if isinstance(plain.get("clusters", {}), dict):
        plain["clusters"] = built_in | (plain.get("clusters") or {})
        address = os.environ.get("GEOMOB_ADDRESS")
        if address:
            plain["clusters"]["address"] = _at(address, plain["clusters"].get("address"))
    plain["limits"] = _given_limits(plain)
    try:
        settings = Settings.model_validate(plain)
    except ValidationError as error:
        raise SettingsError(f"{path}: {explain(error, tagged='clusters')}") from error
    for name, section in settings.clusters.items():
        section.stands_in(str(path), name)
    try:
        _ = settings.section
    except SettingsError as error:
        # The section is named by a flag or variable, or by the file.
        raise error if chosen["cluster"] is not None else SettingsError(f"{path}: {error}") from error
    return settings


def _chosen(flag: str | None, variable: str) -> str | None:
    """Return a flag, or else a variable that is not empty; an empty flag is refused where its value is used."""
    return flag if flag is not None else os.environ.get(variable) or None


def _at(address: str, section: Any) -> dict[str, Any]:
    """Return the section of a running scheduler at another address; what else it says stays."""
    kept = section if isinstance(section, dict) and section.get("kind") == "address" else {"kind": "address"}
    return {**kept, "address": address}


def load_limits(file: str | None = None) -> Limits:
    """Return the limits of input files from a file and the environment; see `load_settings`.

    Raises
    ------
    SettingsError
        Naming the file and the limit that is unknown or has a wrong value.
    """
    path, plain = _given(file)
    try:
        return Limits.model_validate(_given_limits(plain))
    except ValidationError as error:
        raise SettingsError(f"{path}: limits: {explain(error)}") from error


_IN_USE: ContextVar[Limits | None] = ContextVar("limits", default=None)


def limits_in_use() -> Limits:
    """Return the limits of input files: those of `using_limits`, else of cluster.yaml here and the environment."""
    return _IN_USE.get() or load_limits()


@contextmanager
def using_limits(limits: Limits) -> Iterator[None]:
    """Read input files within these limits."""
    token = _IN_USE.set(limits)
    try:
        yield
    finally:
        _IN_USE.reset(token)


def _given(file: str | None) -> tuple[Path, dict[str, Any]]:
    """Return the path of the cluster file, and what it holds: nothing where there is none by default."""
    given = _chosen(file, "GEOMOB_CONFIG")
    if given == "":
        raise SettingsError("--config '': expected the name of a cluster file")
    path = Path(given or "cluster.yaml")
    return path, _read(path) if given or path.exists() else {}


def _given_limits(plain: Mapping[str, Any]) -> Any:
    of_file = plain.get("limits") or {}
    names = {name: f"GEOMOB_LIMIT_{name.upper()}" for name in Limits.model_fields}
    chosen = {name: os.environ[variable] for name, variable in names.items() if os.environ.get(variable)}
    return {**of_file, **chosen} if isinstance(of_file, dict) else of_file


def _read(path: Path) -> dict[str, Any]:
    what = "the cluster file"
    plain = read_yaml(path, SettingsError, what)
    return {} if plain is None else mapping_of(plain, str(path), SettingsError, "keys store, cluster, clusters, limits")
