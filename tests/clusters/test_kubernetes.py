"""Kubernetes' own control plane, the operator of dask-kubernetes, and pods as processes: runs, losses, refusals."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from backfill_country import command, fill, shown, write_file
from host_services import need, started
from kubernetes_node import MISSING, Network, Node, operator
from stores import build_graph, build_index, ingest_sample
from waits import await_that

from geomob_dask.clusters import connect
from geomob_dask.clusters.kubernetes import driver_job
from geomob_dask.clusters.kubernetes_api import reached
from geomob_dask.clusters.kubernetes_manifests import autoscaler_manifest, cluster_manifest
from geomob_dask.clusters.kubernetes_schema import definitions
from geomob_dask.errors import RunError, SettingsError
from geomob_dask.sections import KubernetesSection
from geomob_dask.settings import Settings

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Kubernetes:
    """A control plane, a node, and the operator."""

    folder: Path
    kubeconfig: str
    node: Node


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    need("kubernetes")
    folder, crds = tmp_path_factory.mktemp("kubernetes"), definitions("tests")
    with Network() as network, started("kubernetes", folder / "server", crds, network.here) as variables:
        config = variables["KUBECONFIG"]
        with Node(folder, network, config) as node, operator(folder, network, config):
            yield Kubernetes(folder, config, node)


def section(there: Kubernetes, **options: object) -> KubernetesSection:
    given = {"image": "here", "workers": 2, "worker": {"memory": "2Gi"}, "dashboard": "127.0.0.1:0"}
    access = {"kubeconfig": there.kubeconfig, "context": "driver", "starts": 120.0}
    return KubernetesSection.model_validate({**given, **access, **options})


def settings(there: Kubernetes, **options: object) -> Settings:
    return Settings(cluster="cloud", clusters={"cloud": section(there, **options)})


def left(there: Kubernetes) -> list[str]:
    """Return what of clusters is there, as an administrator sees it."""
    with reached(section(there, context="admin")) as server:
        kinds = ("DaskCluster", "DaskAutoscaler", "Deployment", "Pod", "Secret")
        return [one["metadata"]["name"] for kind in kinds for one in server.items(kind)]


@pytest.fixture
def nothing_left(kubernetes: Kubernetes) -> Iterator[None]:
    """Hold that a test leaves no resource and no process behind."""
    yield
    await_that(lambda: not left(kubernetes) and not kubernetes.node.pods)


def test_an_encrypted_run_has_the_same_bytes_though_a_pod_is_killed(kubernetes, tmp_path, nothing_left):
    plain, store = (ingest_sample(str(tmp_path / name), tmp_path) for name in ("plain", "store"))
    build_graph(plain)
    build_index(plain)
    with connect(settings(kubernetes, tls="temporary")) as client:
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        client.wait_for_workers(2, timeout=120)
        build_graph(store, client)
        [lost, *_] = [pod for pod in kubernetes.node.pods.values() if "worker" in pod.name]
        lost.process.kill()
        build_index(store, client)
        # Its pod starts another in its place.
        client.wait_for_workers(2, timeout=120)
        assert left(kubernetes)[-1].endswith("-tls")
    assert shown(store) == shown(plain)


def test_workers_come_with_the_work_within_bounds(kubernetes, nothing_left):
    chosen = settings(kubernetes, workers=None, adapt={"minimum": 1, "maximum": 2})
    with connect(chosen) as client:
        waits = client.map(time.sleep, [1.0] * 60, pure=False)
        client.wait_for_workers(2, timeout=120)
        client.cancel(waits)


def test_what_a_driver_leaves_when_it_is_interrupted_or_killed(kubernetes, tmp_path, nothing_left):
    """Interrupted, it deletes its cluster; killed, the operator does, once the cluster has been idle."""
    store = fill(str(tmp_path / "store"), tmp_path, years=(2019,), per_state=60)
    line = command(write_file(tmp_path, "nation", "apart"), store.url, "--years", "2019", cluster="cloud")
    for number in (signal.SIGTERM, signal.SIGKILL):
        given = section(kubernetes, workers=1, idle_timeout=60).model_dump(mode="json", exclude_defaults=True)
        (tmp_path / "cluster.yaml").write_text(yaml.safe_dump({"clusters": {"cloud": {"kind": "kubernetes", **given}}}))
        environment = {**os.environ, "GEOMOB_CONFIG": str(tmp_path / "cluster.yaml")}
        with subprocess.Popen(
            line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as running:
            try:
                await_that(lambda: "cluster: cloud" in running.stdout.readline())
                running.send_signal(number)
                said = running.communicate(timeout=60)[0]
            finally:
                running.kill()
        assert "Traceback" not in said
        assert running.returncode == (1 if number == signal.SIGTERM else -number)
        await_that(lambda: not left(kubernetes), 100 if number == signal.SIGTERM else 250)


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"context": "visitor"}, SettingsError, 'not allowed .*"visitor" cannot create resource "daskclusters"'),
        ({"context": "stranger"}, SettingsError, "does not take the credentials"),
        ({"context": "admin", "namespace": "nowhere"}, SettingsError, 'no such namespace .*"nowhere"'),
        ({"image": f"{MISSING}geomob:1"}, RunError, f"cannot be pulled: {MISSING}geomob:1 .*ImagePullBackOff"),
        ({"node_selector": {"pool": "gpu"}, "starts": 5.0}, RunError, "no node takes it .*gpu"),
        ({"secrets": ["no-such"]}, RunError, 'secret "no-such" not found'),
        ({"environ": {"PYTHONHOME": "/nowhere"}}, RunError, "again and again .*exit code"),
    ],
)
def test_what_cannot_work_is_said_with_its_reason(kubernetes, nothing_left, options, kind, told):
    with pytest.raises(kind, match=told), connect(settings(kubernetes, **options)):
        pass


def test_the_server_takes_every_field_of_the_manifests(kubernetes, nothing_left):
    """A field that the server does not know would not come back."""
    everything = section(
        kubernetes,
        workers=None,
        adapt={"minimum": 1, "maximum": 2},
        node_selector={"pool": "none"},
        tolerations=[{"key": "spot", "operator": "Equal", "value": "true", "effect": "NoExecute", "seconds": 60}],
        image_pull_policy="Always",
        image_pull_secrets=["registry"],
        secrets=["store"],
        config_maps=["endpoint"],
        labels={"team": "a"},
        annotations={"example.com/b": "c d"},
        service_account="default",
        lifetime="55 minutes",
    )
    manifests = [
        cluster_manifest(everything, "whole", "files"),
        autoscaler_manifest(everything, "whole"),
        driver_job(everything, ["true"], "whole", "config"),
    ]
    with reached(everything.model_copy(update={"context": "admin"})) as server:
        try:
            lost = [lost for one in manifests for lost in lost_fields(one, server.create(one), one["kind"])]
        finally:
            for manifest in manifests:
                server.delete(manifest["kind"], "whole")
        assert lost == []


def lost_fields(sent: Any, made: Any, where: str) -> list[str]:
    """Return the fields that were sent and are not there, or are others."""
    if isinstance(sent, dict):
        gone = [f"{where}.{key}" for key in sent if key not in made and sent[key] not in ([], {}, False)]
        return gone + [
            lost for key in sent if key in made for lost in lost_fields(sent[key], made[key], f"{where}.{key}")
        ]
    if isinstance(sent, list):
        pairs = zip(sent, made, strict=True)
        return [lost for place, pair in enumerate(pairs) for lost in lost_fields(*pair, f"{where}[{place}]")]
    return [] if sent == made else [where]
