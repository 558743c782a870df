"""Pods of Kubernetes, through the operator of dask-kubernetes.

The manifest is created as it is printed, and the scheduler connected to, rather than through `KubeCluster`: that waits
without an end for pods that never start, and deletes what it made only where the interpreter ends in peace.
"""

import base64
import contextlib
import functools
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask
import distributed
import yaml

from geomob_dask.clusters.closing import closed_at_the_end, tried
from geomob_dask.clusters.dask_settings import dask_settings
from geomob_dask.clusters.described import waits_line
from geomob_dask.clusters.joining import joined
from geomob_dask.clusters.kubernetes_api import (
    INSTALLS_THE_OPERATOR,
    RefusedError,
    Server,
    UnansweredError,
    access_of,
    explained,
    reached,
)
from geomob_dask.clusters.kubernetes_manifests import (
    DASHBOARD_PORT,
    SCHEDULER_PORT,
    autoscaler_manifest,
    cluster_manifest,
    job_manifest,
    tls_secret_manifest,
)
from geomob_dask.clusters.kubernetes_pods import problem_of, scheduler_is_ready, scheduler_labels
from geomob_dask.clusters.kubernetes_schema import validate
from geomob_dask.clusters.security import security_of, tls_line
from geomob_dask.clusters.workers import any_worker, none_left, same_package_everywhere
from geomob_dask.errors import GeomobError, RunError, SettingsError
from geomob_dask.messages import one_line, reason, tell
from geomob_dask.runs.watchdog import watched
from geomob_dask.sections import KubernetesSection

# Seconds between two looks at pods, after which a delay is told, and within which the operator takes a cluster up.
_LOOK_AGAIN = 1.0
_TELL = 10.0
_TAKES_UP = 60.0


def driver_job(
    section: KubernetesSection, command: Sequence[str], name: str, config_map: str | None = None
) -> dict[str, Any]:
    """Return the manifest of a Kubernetes Job that runs a driver in the cluster, as plain data for JSON or YAML.

    It has the section's image, size `driver`, service account, node selector and environment. The container's `args`
    are the command: the image's entrypoint, if it has one, is kept. A pod that ends with its node, or with an exit code
    other than 0, is started again up to three times; a finished Job is deleted after a week. The service account needs
    the permissions of a driver: to create, get and delete DaskClusters and DaskAutoscalers, and to get and list pods,
    their logs, deployments, services and events.

    Parameters
    ----------
    section : KubernetesSection
    command : sequence of str
        Such as ``["python", "jobs/exposure.py", "--dataset", "acs"]``.
    name : str
        Of the Job: lower-case letters, digits and hyphens.
    config_map : str, optional
        Name of a ConfigMap with a key ``cluster.yaml``, which the driver reads (``GEOMOB_CONFIG``).

    Raises
    ------
    SettingsError
        If the manifest is not valid, or the extra ``kubernetes`` is not installed.
    """
    return validate(job_manifest(section, command, name, config_map), section.where)


def threads(section: KubernetesSection) -> int:
    """Return the number of threads of all workers, where they come and go with the work of the most."""
    count = section.workers if section.adapt is None else section.adapt.maximum
    return int(count or 1) * section.threads_per_worker


def effective(section: KubernetesSection) -> list[str]:
    """Return what `--dry-run` prints of the section, with its manifests as ``kubectl apply`` takes them."""
    access = access_of(section)
    name = section.name if section.keep else f"{section.name}-{'x' * 8}"
    where = "that of this pod" if access.inside else f"context {access.context} of {access.kubeconfig}"
    lines = [
        f"access: {where}, namespace {access.namespace}",
        f"cluster: {name}" + ("" if section.keep else ", with eight letters of its own for every run"),
        "after the run: " + ("kept" if section.keep else "deleted") + f", or after {section.idle_timeout} s without "
        "a task (by the operator)",
        f"dashboard: {section.dashboard} on this machine",
        tls_line(section),
        waits_line(section),
        "manifest:",
    ]
    return lines + [f"  {line}" for line in _text(_manifests(section, name)).splitlines()]


@contextlib.contextmanager
def opened(section: KubernetesSection) -> Iterator[distributed.Client]:
    """Yield a client of a cluster of pods; it is deleted at the end, unless it is to be kept.

    Raises
    ------
    SettingsError
        If there is no access, the API server does not answer, something is not allowed or not installed there, or the
        workers have another version of this package.
    RunError
        If the pods do not start.
    """
    name = section.name if section.keep else f"{section.name}-{uuid.uuid4().hex[:8]}"
    manifests = _manifests(section, name)
    with (
        security_of(section) as security,
        reached(section) as server,
        _created(server, section, name, manifests, security),
    ):
        _await_scheduler(server, section, name)
        with (
            _address(server, section, name, security) as (address, dashboard),
            dask.config.set({**dask_settings(section), "distributed.dashboard.link": dashboard}),
        ):
            client = _connected(section, address, security)
            with closed_at_the_end(client):
                # The watchdog would wait for a worker no longer than `patience`.
                _await_first_worker(server, section, name, client)
                with watched(client, section, tell, lambda: none_left(section)):
                    same_package_everywhere(client, section.patience, section.starts)
                    yield client


def _manifests(section: KubernetesSection, name: str) -> list[dict[str, Any]]:
    found = [cluster_manifest(section, name, _secret_of(section, name)), autoscaler_manifest(section, name)]
    return [validate(manifest, section.where) for manifest in found if manifest is not None]


def _secret_of(section: KubernetesSection, name: str) -> str | None:
    """Return the name of the Secret with the files of TLS."""
    if section.tls is None:
        return None
    return f"{name}-tls" if section.tls.temporary else section.tls_secret


def _text(manifests: Sequence[Mapping[str, Any]]) -> str:
    """Return manifests as YAML; what stands in them twice is written twice, not by reference."""
    copied = json.loads(json.dumps(list(manifests)))
    return str(yaml.safe_dump_all(copied, sort_keys=False, width=1000))


@contextlib.contextmanager
def _created(
    server: Server,
    section: KubernetesSection,
    name: str,
    manifests: Sequence[Mapping[str, Any]],
    security: distributed.Security | None,
) -> Iterator[None]:
    """Create what the manifests say, and delete it at the end, however that comes."""
    temporary = section.tls is not None and section.tls.temporary
    made: list[tuple[str, str]] = []

    def create(manifest: Mapping[str, Any]) -> dict[str, Any]:
        # Noted before: an interrupt may come while the server is asked, which creates it all the same.
        made.insert(0, (manifest["kind"], manifest["metadata"]["name"]))
        try:
            return _create(server, section, manifest)
        except UnansweredError:
            # It may be created all the same.
            raise
        except GeomobError:
            made.pop(0)
            raise

    try:
        if not (section.keep and _is_there(server, section, name)):
            if temporary and security is not None:
                create(_secret(section, name, security))
            for manifest in manifests:
                one = create(manifest)
                if manifest["kind"] == "DaskCluster" and temporary:
                    _owned(server, section, one)
        yield
    finally:
        if not section.keep:
            _delete(server, section, made)


def _is_there(server: Server, section: KubernetesSection, name: str) -> bool:
    """Return whether a cluster that was kept is there."""
    try:
        server.get("DaskCluster", name)
    except RefusedError as refused:
        if refused.status == 404:
            return False
        raise explained(refused, section, server, f"get DaskCluster {name}") from refused
    tell(f"{section.title}: uses DaskCluster {name}, which was kept, as it is; namespace {server.namespace}")
    return True


def _create(server: Server, section: KubernetesSection, manifest: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return server.create(manifest)
    except RefusedError as refused:
        what = f"create {manifest['kind']} {manifest['metadata']['name']}"
        raise explained(refused, section, server, what) from refused


def _secret(section: KubernetesSection, name: str, security: distributed.Security) -> dict[str, Any]:
    files = (security.tls_ca_file, security.tls_scheduler_cert, security.tls_scheduler_key)
    texts = [base64.b64encode(Path(file).read_bytes()).decode() for file in files]
    return tls_secret_manifest(section, f"{name}-tls", *texts)


def _owned(server: Server, section: KubernetesSection, cluster: Mapping[str, Any]) -> None:
    """Have the Secret deleted with its cluster, also where the operator deletes that."""
    metadata = cluster["metadata"]
    owner = {key: cluster[key] for key in ("apiVersion", "kind")} | {key: metadata[key] for key in ("name", "uid")}
    name = f"{metadata['name']}-tls"
    try:
        server.patch("Secret", name, {"metadata": {"ownerReferences": [owner]}})
    except RefusedError as refused:
        raise explained(refused, section, server, f"patch Secret {name}") from refused


def _delete(server: Server, section: KubernetesSection, made: Sequence[tuple[str, str]]) -> None:
    """Delete what the run has made; where that fails, say how it is done by hand."""
    for kind, name in made:
        error = tried(functools.partial(server.delete, kind, name), RefusedError, GeomobError)
        if error is not None:
            tell(
                f"{section.title}: {kind} {name} could not be deleted ({one_line(error)}); delete it: kubectl delete "
                f"{kind.lower()} {name} -n {server.namespace}; the operator deletes the cluster "
                f"{section.idle_timeout} s after its last task"
            )


def _await_scheduler(server: Server, section: KubernetesSection, name: str) -> None:
    """Wait until the scheduler takes connections."""
    began = time.monotonic()

    def ready() -> bool:
        if scheduler_is_ready(server, name):
            return True
        phase = server.get("DaskCluster", name).get("status", {}).get("phase")
        waited = time.monotonic() - began
        if phase is None and waited > min(_TAKES_UP, section.starts):
            raise RunError(
                f"{section.title}: the operator has not taken up DaskCluster {name} within {waited:.0f} s; expected it "
                f"to run in the cluster, and to watch namespace {server.namespace}: {INSTALLS_THE_OPERATOR}"
            )
        return False

    _await(server, section, name, "scheduler", ready)


def _await_first_worker(server: Server, section: KubernetesSection, name: str, client: distributed.Client) -> None:
    """Wait until a worker has found its scheduler."""
    _await(server, section, name, "worker", lambda: any_worker(client, section.title, section.starts))


def _await(server: Server, section: KubernetesSection, name: str, component: str, ready: Callable[[], bool]) -> None:
    """Wait for pods no longer than the section says; where they do not start, say why."""
    began, told = time.monotonic(), False
    try:
        while not ready():
            waited = time.monotonic() - began
            problem = problem_of(server, name, component)
            what = f"no pod of a {component} has said why" if problem is None else problem.what
            if (problem is not None and problem.final) or waited > section.starts:
                raise RunError(f"{section.title}: no {component} after {waited:.0f} s: {what} (starts in cluster.yaml)")
            if waited > _TELL and not told:
                tell(f"{section.title}: {what}; waiting up to {section.starts:g} s for a {component}")
                told = True
            time.sleep(_LOOK_AGAIN)
    except RefusedError as refused:
        raise explained(refused, section, server, f"look at {name}") from refused


@contextlib.contextmanager
def _address(
    server: Server, section: KubernetesSection, name: str, security: distributed.Security | None
) -> Iterator[tuple[str, str]]:
    """Yield where this process reaches the scheduler, and the link of its dashboard."""
    protocol = "tcp" if security is None else "tls"
    service = f"{name}-scheduler"
    if section.reach == "service" or (section.reach == "auto" and server.access.inside):
        host = f"{service}.{server.namespace}"
        yield f"{protocol}://{host}:{SCHEDULER_PORT}", f"http://{host}:{DASHBOARD_PORT}/status"
        return
    try:
        with (
            server.forwarded(scheduler_labels(name), SCHEDULER_PORT) as port,
            _forwarded_dashboard(server, section, name) as dashboard,
        ):
            yield f"{protocol}://127.0.0.1:{port}", dashboard
    except RefusedError as refused:
        raise explained(refused, section, server, f"forward to the scheduler of {name}") from refused


@contextlib.contextmanager
def _forwarded_dashboard(server: Server, section: KubernetesSection, name: str) -> Iterator[str]:
    host, _, port = section.dashboard.rpartition(":")
    host = host or "127.0.0.1"
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(server.forwarded(scheduler_labels(name), DASHBOARD_PORT, host, int(port)))
        except SettingsError:
            # Another cluster has the port.
            found = stack.enter_context(server.forwarded(scheduler_labels(name), DASHBOARD_PORT, host))
        yield f"http://{host}:{found}/status"


def _connected(section: KubernetesSection, address: str, security: distributed.Security | None) -> distributed.Client:
    try:
        return joined(address, section.starts, security)
    except ConnectionError as error:
        raise RunError(
            f"{section.title}: the scheduler at {address} does not answer ({reason(error)}); expected its pod to be "
            "reached (reach in cluster.yaml)"
        ) from error
