"""What is created in Kubernetes for a section, as plain data: a cluster, its bounds, the Job of a driver.

The commands are those of the installed Dask; `make_cluster_spec` of dask-kubernetes names some that it has no more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dask
import distributed.scheduler  # noqa: F401  # its configuration
from dask.utils import parse_bytes

import geomob_dask
from geomob_dask.clusters.dask_settings import as_environment, dask_settings, death_timeout
from geomob_dask.clusters.workers import enough_memory
from geomob_dask.errors import SettingsError
from geomob_dask.sections import KubernetesSection
from geomob_dask.sections.pods import PodSize, Toleration, quantity
from geomob_dask.sections.quantities import seconds_of

SCHEDULER_PORT, DASHBOARD_PORT = 8786, 8787
CONFIG_FOLDER = "/etc/geomob"
_COMM, _HTTP = "tcp-comm", "http-dashboard"
_TLS_FOLDER = "/etc/dask-tls"
_TLS_FILES = {"ca": "ca.crt", "certificate": "tls.crt", "key": "tls.key"}
_SCRATCH = "/tmp/geomob-scratch"
# MiB of the process beside a worker that watches over it: 150 measured.
_NANNY = 160
# A driver's pod that ends with its node is started again, and goes on where the store says it was.
_DRIVER_STARTS_AGAIN = 3
_KEEPS_JOB = 7 * 24 * 3600


def cluster_manifest(section: KubernetesSection, name: str, tls_secret: str | None = None) -> dict[str, Any]:
    """Return the DaskCluster of a section.

    Parameters
    ----------
    section : KubernetesSection
    name : str
    tls_secret : str, optional
        Name of the Secret with the files of TLS, if connections are encrypted.

    Raises
    ------
    SettingsError
        If the imports fill the memory of a worker.
    """
    protocol = "tcp" if tls_secret is None else "tls"
    tls = _tls_options() if tls_secret is not None else []
    settings = dask_settings(section)
    # By these routes the operator asks whether the cluster is idle, how many workers it needs, and which may go; its
    # own Dask, of another version, may not understand the other way.
    routes = [*dask.config.get("distributed.scheduler.http.routes"), "distributed.http.scheduler.api"]
    variables = {**as_environment({**settings, "distributed.scheduler.http.routes": routes}), **section.environ}
    # The operator would name a domain that not every cluster has, and no TLS.
    address = {"DASK_SCHEDULER_ADDRESS": f"{protocol}://{name}-scheduler:{SCHEDULER_PORT}"}
    scheduler = {
        "name": "scheduler",
        "args": [
            *("python", "-m", "distributed.cli.dask_scheduler", "--host", "0.0.0.0", "--port", str(SCHEDULER_PORT)),
            *("--protocol", protocol, "--dashboard-address", f":{DASHBOARD_PORT}", *tls),
        ],
        "ports": [
            {"name": _COMM, "containerPort": SCHEDULER_PORT, "protocol": "TCP"},
            {"name": _HTTP, "containerPort": DASHBOARD_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": _probe(periodSeconds=2, timeoutSeconds=10, failureThreshold=30),
        # A scheduler that is busy for a minute is not restarted: that would end the run.
        "livenessProbe": _probe(initialDelaySeconds=30, periodSeconds=20, timeoutSeconds=15, failureThreshold=9),
    }
    worker = {
        "name": "worker",
        "args": [
            *("python", "-m", "distributed.cli.dask_worker", "--name", "$(DASK_WORKER_NAME)", "--nworkers", "1"),
            *("--nthreads", str(section.threads_per_worker), "--memory-limit", str(worker_memory(section))),
            *("--no-dashboard", "--local-directory", section.scratch or _SCRATCH),
            *("--death-timeout", f"{death_timeout(section):g}"),
            *_lifetime(section),
            *tls,
        ],
        "volumeMounts": [{"name": "scratch", "mountPath": section.scratch or _SCRATCH}],
    }
    replicas = section.workers if section.adapt is None else section.adapt.minimum
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": _metadata(section, name),
        "spec": {
            "idleTimeout": section.idle_timeout,
            "scheduler": {
                "spec": _pod(section, scheduler, section.scheduler, variables, tls_secret),
                "service": {
                    "type": "ClusterIP",
                    "selector": {"dask.org/cluster-name": name, "dask.org/component": "scheduler"},
                    "ports": [
                        {"name": port, "protocol": "TCP", "port": number, "targetPort": port}
                        for port, number in ((_COMM, SCHEDULER_PORT), (_HTTP, DASHBOARD_PORT))
                    ],
                },
            },
            "worker": {
                "replicas": replicas,
                "spec": {
                    **_pod(section, worker, section.worker, variables | address, tls_secret, {"scratch": {}}),
                    "tolerations": [_toleration(one) for one in section.tolerations],
                },
            },
        },
    }


def autoscaler_manifest(section: KubernetesSection, name: str) -> dict[str, Any] | None:
    """Return the DaskAutoscaler of a section; None if its number of workers is fixed."""
    if section.adapt is None:
        return None
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskAutoscaler",
        "metadata": _metadata(section, name),
        "spec": {"cluster": name, "minimum": section.adapt.minimum, "maximum": section.adapt.maximum},
    }


def job_manifest(
    section: KubernetesSection, command: Sequence[str], name: str, config_map: str | None = None
) -> dict[str, Any]:
    """Return the Job of a driver; see `geomob_dask.clusters.kubernetes.driver_job`."""
    container: dict[str, Any] = {"name": "driver", "args": list(command)}
    variables, volumes = dict(section.environ), []
    if config_map is not None:
        volumes = [{"name": "config", "configMap": {"name": config_map}}]
        container["volumeMounts"] = [{"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True}]
        variables["GEOMOB_CONFIG"] = f"{CONFIG_FOLDER}/cluster.yaml"
    pod = _pod(section, container, section.driver, variables, None)
    pod["volumes"] = volumes
    # It creates the cluster of its run.
    pod["automountServiceAccountToken"] = True
    metadata = _metadata(section, name)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": _DRIVER_STARTS_AGAIN,
            "ttlSecondsAfterFinished": _KEEPS_JOB,
            "template": {
                "metadata": {key: metadata[key] for key in ("labels", "annotations")},
                "spec": {**pod, "restartPolicy": "Never"},
            },
        },
    }


def tls_secret_manifest(section: KubernetesSection, name: str, ca: str, certificate: str, key: str) -> dict[str, Any]:
    """Return the Secret with the files of TLS of a run, each in base64; it is never printed."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": _metadata(section, name),
        "data": dict(zip(_TLS_FILES.values(), (ca, certificate, key), strict=True)),
    }


def worker_memory(section: KubernetesSection) -> int:
    """Return the memory of a worker process in bytes, 0 for no limit: that of its pod without its nanny's.

    Raises
    ------
    SettingsError
        If it is more than the pod has, or the imports fill it: such workers are killed, or start no task, forever.
    """
    pod = int(quantity(section.worker.memory_limit or section.worker.memory))
    if section.memory_limit == "0":
        return 0
    rest = pod - _NANNY * 2**20
    limit = rest if section.memory_limit == "auto" else int(parse_bytes(section.memory_limit))
    if limit > pod:
        raise SettingsError(
            f"{section.where}: memory_limit {section.memory_limit}: found more than a pod of a worker has "
            f"({pod / 2**20:,.0f} MiB, worker.memory_limit or worker.memory), expected at most {rest / 2**20:,.0f} MiB"
        )
    enough_memory(section, limit, "worker.memory", f"its nanny takes {_NANNY} MiB of the pod besides")
    return limit


def _metadata(section: KubernetesSection, name: str) -> dict[str, Any]:
    own = {"app.kubernetes.io/name": "geomob-dask", "app.kubernetes.io/instance": name}
    found: dict[str, Any] = {
        "name": name,
        "labels": {**own, **section.labels},
        "annotations": {"geomob-dask/version": geomob_dask.__version__, **section.annotations},
    }
    if section.namespace is not None:
        found["namespace"] = section.namespace
    return found


def _pod(
    section: KubernetesSection,
    container: dict[str, Any],
    size: PodSize,
    variables: Mapping[str, str],
    tls_secret: str | None,
    scratch: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a pod of one container with what all pods of a section have."""
    limits = {"memory": size.memory_limit or size.memory}
    if size.cpu_limit is not None:
        limits["cpu"] = size.cpu_limit
    mounts = list(container.get("volumeMounts", ()))
    volumes: list[dict[str, Any]] = [{"name": name, "emptyDir": {}} for name in scratch or {}]
    if tls_secret is not None:
        mounts.append({"name": "tls", "mountPath": _TLS_FOLDER, "readOnly": True})
        volumes.append({"name": "tls", "secret": {"secretName": tls_secret}})
    whole = {
        **container,
        "image": section.image,
        "resources": {"requests": {"cpu": size.cpu, "memory": size.memory}, "limits": limits},
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "envFrom": [
            *({"configMapRef": {"name": name}} for name in section.config_maps),
            *({"secretRef": {"name": name}} for name in section.secrets),
        ],
        "volumeMounts": mounts,
    }
    if section.image_pull_policy is not None:
        whole["imagePullPolicy"] = section.image_pull_policy
    pod: dict[str, Any] = {
        "containers": [whole],
        "volumes": volumes,
        "nodeSelector": section.node_selector,
        "imagePullSecrets": [{"name": name} for name in section.image_pull_secrets],
        # Scheduler and workers do not talk to Kubernetes, and services of the namespace are no settings of theirs.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
    }
    if section.service_account is not None:
        pod["serviceAccountName"] = section.service_account
    return pod


def _toleration(one: Toleration) -> dict[str, Any]:
    found = {"key": one.key, "operator": one.operator, "value": one.value, "effect": one.effect}
    found["tolerationSeconds"] = one.seconds  # type: ignore[assignment]
    return {key: value for key, value in found.items() if value is not None}


def _probe(**times: int) -> dict[str, Any]:
    return {"httpGet": {"port": _HTTP, "path": "/health"}, **times}


def _tls_options() -> list[str]:
    return [
        *("--tls-ca-file", f"{_TLS_FOLDER}/{_TLS_FILES['ca']}"),
        *("--tls-cert", f"{_TLS_FOLDER}/{_TLS_FILES['certificate']}"),
        *("--tls-key", f"{_TLS_FOLDER}/{_TLS_FILES['key']}"),
    ]


def _lifetime(section: KubernetesSection) -> list[str]:
    """Return the options of a worker that retires; the pod then starts another in its place."""
    found = []
    for option, text in (("--lifetime", section.lifetime), ("--lifetime-stagger", section.lifetime_stagger)):
        if text is not None:
            found += [option, f"{seconds_of(text):g}s"]
    return found
