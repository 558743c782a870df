"""Pods of Kubernetes, through the operator of dask-kubernetes."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from geomob_dask.messages import shown
from geomob_dask.sections.pods import (
    Annotations,
    ClusterName,
    Image,
    Labels,
    Namespace,
    ObjectName,
    PodSize,
    Toleration,
)
from geomob_dask.sections.quantities import Seconds
from geomob_dask.sections.shared import RemoteWorkers


class KubernetesSection(RemoteWorkers):
    """Pods of Kubernetes, through the operator of dask-kubernetes.

    Parameters
    ----------
    image : str
        Image of scheduler and workers, with this package in this version. Its entrypoint, if any, runs its arguments.
    namespace : str, optional
        By default that of the context, or of the pod that the driver runs in.
    kubeconfig, context : str, optional
        File and name of the access to use; by default ``KUBECONFIG`` or ``~/.kube/config``, and its current context.
        Inside a pod, its service account.
    name : str
        Beginning of the names of what is created; with `keep` the whole name.
    worker, scheduler, driver : PodSize
        Sizes of pods; that of a driver is for a job that runs in the cluster.
    service_account : str, optional
        Of all pods.
    node_selector : mapping of str to str
        Labels of the nodes on which pods run.
    tolerations : sequence of Toleration
        Taints of nodes on which workers may run, such as that of spot instances; scheduler and driver run elsewhere.
    image_pull_policy : str, optional
    image_pull_secrets : sequence of str
        Names of Secrets.
    secrets, config_maps : sequence of str
        Names of Secrets and ConfigMaps whose keys become environment variables of all pods, such as the credentials of
        an object store.
    tls : Tls, optional
        Files of the driver's own, with `tls_secret`; or a certificate made for this run, in a Secret of its own.
    tls_secret : str, optional
        Name of a Secret with keys ``ca.crt``, ``tls.crt`` and ``tls.key`` for scheduler and workers.
    labels, annotations : mapping of str to str
        Of all that is created.
    idle_timeout : int
        Seconds without a task after which the operator deletes the cluster: so it does not outlive a driver that died.
    keep : bool
        Whether the cluster stays after the run, and one of this name that is there is used, with its settings.
    reach : str
        How the driver reaches the scheduler: by its ``service`` inside the cluster, through a ``forward`` of the
        API server from outside; ``auto`` finds out.
    dashboard : str
        Where the dashboard is forwarded to on the driver's machine. In its pod it listens for operator and probes.
    request_timeout : float
        Seconds within which the API server answers.
    **options
        See `RemoteWorkers`.
    """

    kind: Literal["kubernetes"] = "kubernetes"
    image: Image
    namespace: Namespace | None = None
    kubeconfig: str | None = None
    context: str | None = None
    name: ClusterName = "geomob"
    worker: PodSize = PodSize()
    scheduler: PodSize = PodSize(memory="2Gi")
    driver: PodSize = PodSize()
    service_account: ObjectName | None = None
    node_selector: Labels = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: tuple[ObjectName, ...] = ()
    secrets: tuple[ObjectName, ...] = ()
    config_maps: tuple[ObjectName, ...] = ()
    tls_secret: ObjectName | None = None
    labels: Labels = Field(default_factory=dict)
    annotations: Annotations = Field(default_factory=dict)
    idle_timeout: Annotated[int, Field(ge=60, le=366 * 86400)] = 1800
    keep: bool = False
    reach: Literal["auto", "service", "forward"] = "auto"
    request_timeout: Seconds = 20.0

    @model_validator(mode="after")
    def _some_workers(self) -> Self:
        if self.workers is None and self.adapt is None:
            raise ValueError("neither workers nor adapt is given; expected one of them")
        if self.adapt is not None and self.adapt.minimum == 0:
            raise ValueError("adapt.minimum: found 0, expected 1 or more: a run begins with a worker")
        return self

    @model_validator(mode="after")
    def _dashboard_here(self) -> Self:
        if not re.fullmatch(r"[A-Za-z0-9.-]*:[0-9]{1,5}", self.dashboard, re.ASCII):
            raise ValueError(
                f"dashboard: found {shown(self.dashboard)}, expected host and port, such as 127.0.0.1:8787"
            )
        return self

    @model_validator(mode="after")
    def _tls_of_both_sides(self) -> Self:
        files = self.tls is not None and not self.tls.temporary
        if self.keep and self.tls is not None and self.tls.temporary:
            raise ValueError("keep: expected files under tls; another run has no part in a temporary certificate")
        if self.tls_secret is not None and not files:
            raise ValueError("tls_secret: expected the driver's own files under tls: ca, certificate and key")
        if files and self.tls_secret is None:
            raise ValueError("tls: expected tls_secret too, the Secret with the files of scheduler and workers")
        return self
