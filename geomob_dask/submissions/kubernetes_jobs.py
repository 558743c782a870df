"""Drivers as Jobs of Kubernetes, with the cluster file and small files of their arguments in a ConfigMap."""

import contextlib
import socket
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from geomob_dask.clusters.kubernetes import driver_job
from geomob_dask.clusters.kubernetes_api import RefusedError, Server, explained, reached
from geomob_dask.clusters.kubernetes_manifests import CONFIG_FOLDER
from geomob_dask.errors import GeomobError, InputError, RunError, SettingsError
from geomob_dask.messages import reason
from geomob_dask.sections import KubernetesSection, Section
from geomob_dask.sections.driver import Driver
from geomob_dask.settings import load_settings
from geomob_dask.submissions.places import State
from geomob_dask.submissions.records import Asked

_CONFIG = "cluster.yaml"
WRITTEN = frozenset(
    f"--{name}"
    for name in (
        *("describe", "export", "fits", "interactions", "local", "long"),
        *("map", "page", "report", "snapshot", "validation"),
    )
)
"""Flags of jobs whose files are written: one of before is no argument of the next run."""
# Bytes of a ConfigMap, with room for what Kubernetes adds.
_MOST = 900 * 2**10
_EXISTS = 409
# Seconds until a Job of an earlier submission is deleted.
_DELETED = 60.0


class Jobs:
    """Drivers as Jobs; what they are called is the name of the Job."""

    title = "Kubernetes Job"
    elsewhere = True

    def command(self, job: str, script: Path, arguments: Sequence[str]) -> tuple[str, ...]:
        """Return the command of the driver, in the image."""
        inside = (
            f"{flag}{CONFIG_FOLDER}/{file.name}" if file else f"{flag}{value}"
            for flag, value, file in _words(arguments)
        )
        return ("python", f"jobs/{job}.py", *inside)

    def text(self, asked: Asked, driver: Driver, section: Section, arguments: Sequence[str]) -> str:
        """Return the manifests."""
        assert isinstance(section, KubernetesSection)
        store = asked.settings["GEOMOB_STORE"]
        if "://" not in store:
            raise InputError(f"store {store}: pods do not see this folder; expected s3://bucket/prefix")
        files = sorted({file for _, _, file in _words(arguments) if file})
        if len({_CONFIG, *(file.name for file in files)}) != len(files) + 1:
            raise InputError(f"{', '.join(map(str, files))}: expected files with names of their own, not {_CONFIG}")
        data = {file.name: _read(file) for file in files}
        if asked.script:
            # Files of its arguments are as they were.
            data = dict(next(yaml.safe_load_all(asked.script))["data"])
        data[_CONFIG] = _read(Path(asked.config))
        if sum(len(text.encode()) for text in data.values()) > _MOST:
            raise InputError(f"{', '.join(data)}: together more than a ConfigMap holds, 900 KiB")
        name = _name(asked)
        command = ["python", "-m", "geomob_dask.submissions.driver", store, asked.id]
        job = driver_job(section, command, name, config_map=name)
        about = {key: value for key, value in job["metadata"].items() if key in ("name", "namespace", "labels")}
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}
        return str(yaml.safe_dump_all([config_map, job], sort_keys=False))

    def send(self, asked: Asked) -> str:
        """Create the Job and its ConfigMap, which is deleted with it."""
        section = _section(asked)
        files, job = yaml.safe_load_all(asked.script)
        name = str(job["metadata"]["name"])
        with reached(section) as server:
            try:
                with contextlib.suppress(_ExistsError):
                    _create(server, files)
                # One that is there belongs to an earlier Job, whose end would take it along.
                server.patch("ConfigMap", name, {"metadata": {"ownerReferences": None}})
                made = _replaced(server, job)
                owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": made["metadata"]["uid"]}
                server.patch("ConfigMap", name, {"metadata": {"ownerReferences": [owner]}})
            except RefusedError as refused:
                raise explained(refused, section, server, f"create Job {name}") from refused
        return name

    def state(self, asked: Asked, number: str) -> State:
        """Return what the API server says of the Job."""
        try:
            with reached(_section(asked)) as server:
                status = server.get("Job", number).get("status") or {}
        except RefusedError as refused:
            return State("unknown", "it is deleted") if refused.status == 404 else State("not asked", refused.message)
        except GeomobError as error:
            return State("not asked", str(error))
        for condition in status.get("conditions") or []:
            if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
                return State("ended", str(condition.get("reason") or condition["type"]))
        return State("running") if status.get("ready") else State("queued", "its pod does not run yet")

    def there(self, asked: Asked, known: Collection[str]) -> str:
        """Return none: a Job has the name of its submission, and is replaced."""
        return ""

    def end(self, asked: Asked, number: str, *, began: bool) -> None:
        """Delete the Job before it began; a driver that runs finds the record in the store."""
        if began:
            return
        section = _section(asked)
        with reached(section) as server:
            try:
                server.delete("Job", number)
            except RefusedError as refused:
                raise explained(refused, section, server, f"delete Job {number}") from refused

    def here(self) -> str:
        """Return the name of the pod."""
        return socket.gethostname()


class _ExistsError(Exception):
    """An object of this name is there."""


def _create(server: Server, manifest: dict[str, Any]) -> dict[str, Any]:
    try:
        return server.create(manifest)
    except RefusedError as refused:
        if refused.status == _EXISTS:
            raise _ExistsError from refused
        raise


def _replaced(server: Server, job: dict[str, Any]) -> dict[str, Any]:
    """Return the Job that was created, in place of one of an earlier submission."""
    end = time.monotonic() + _DELETED
    while time.monotonic() < end:
        with contextlib.suppress(_ExistsError):
            return _create(server, job)
        server.delete("Job", job["metadata"]["name"])
        time.sleep(1.0)
    raise RunError(f"Job {job['metadata']['name']}: still there after {_DELETED:.0f} s; expected it deleted")


def _section(asked: Asked) -> KubernetesSection:
    settings = load_settings(asked.config or None, cluster=asked.settings["GEOMOB_CLUSTER"])
    section = settings.section
    if not isinstance(section, KubernetesSection):
        raise SettingsError(f"{section.where}: found kind {section.kind}, expected kubernetes as it was submitted with")
    return section


def _name(asked: Asked) -> str:
    return f"geomob-{asked.id}".replace("_", "-").lower()


def _words(arguments: Sequence[str]) -> Iterator[tuple[str, str, Path | None]]:
    """Yield the arguments of a pod, which has its own cluster file: ``--flag=``, a value, the file here that it is."""
    before = ""
    for word in arguments:
        flag, equals, value = word.partition("=") if word.startswith("-") else (before, "", word)
        alone = word.startswith("-") and not equals
        before = flag if alone else ""
        if flag == "--config":
            continue
        is_read = not alone and flag not in WRITTEN and Path(value).is_file()
        yield f"{flag}=" if equals else "", word if alone else value, Path(value) if is_read else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {reason(error)}; expected a text file, which goes into a ConfigMap") from error


PLACES = {"kubernetes": Jobs()}
