"""Manifests of Kubernetes: strict against the operator's own definitions, and with commands that exist."""

import copy
import json
import os
import subprocess
import sys

import pytest
import yaml
from pydantic import ValidationError

from geomob_dask.checked import explain
from geomob_dask.clusters.kubernetes import driver_job, effective, threads
from geomob_dask.clusters.kubernetes_manifests import autoscaler_manifest, cluster_manifest, worker_memory
from geomob_dask.clusters.kubernetes_schema import definition, validate
from geomob_dask.errors import SettingsError
from geomob_dask.sections import KubernetesSection
from geomob_dask.settings import load_settings

EVERYTHING = {
    "image": "registry.example:5000/team/geomob-dask:0.4.0",
    "namespace": "analysis",
    "adapt": {"minimum": 2, "maximum": 40},
    "worker": {"cpu": 2, "memory": "8Gi", "cpu_limit": "2500m"},
    "scheduler": {"cpu": "500m", "memory": "2Gi"},
    "service_account": "geomob",
    "node_selector": {"pool": "batch"},
    "tolerations": [{"key": "cloud.example/spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}],
    "image_pull_policy": "Always",
    "image_pull_secrets": ["registry"],
    "secrets": ["object-store"],
    "config_maps": ["object-store-endpoint"],
    "environ": {"OMP_NUM_THREADS": "1"},
    "tls": "temporary",
    "lifetime": "55 minutes",
    "lifetime_stagger": "5 minutes",
    "labels": {"team": "mobility"},
    "annotations": {"example.com/cost-center": "42 a"},
    "idle_timeout": 600,
    "threads_per_worker": 2,
    "scratch": "/scratch",
}


def section(**changes: object) -> KubernetesSection:
    return KubernetesSection.model_validate({"image": "geomob-dask:0.4.0", "workers": 2, **changes})


def container(manifest: dict, component: str) -> dict:
    [found] = manifest["spec"][component]["spec"]["containers"]
    return found


def test_a_manifest_with_every_setting_is_valid_and_carries_each():
    given = KubernetesSection.model_validate(EVERYTHING)
    manifest = validate(cluster_manifest(given, "geomob-1", "geomob-1-tls"), "here")
    pods = [manifest["spec"][component]["spec"] for component in ("scheduler", "worker")]
    for pod in pods:
        [one] = pod["containers"]
        assert one["image"] == given.image
        assert one["imagePullPolicy"] == "Always"
        assert {"secretRef": {"name": "object-store"}} in one["envFrom"]
        assert {"configMapRef": {"name": "object-store-endpoint"}} in one["envFrom"]
        assert {"name": "OMP_NUM_THREADS", "value": "1"} in one["env"]
        assert {"name": "tls", "secret": {"secretName": "geomob-1-tls"}} in pod["volumes"]
        assert "--tls-ca-file" in one["args"]
        assert pod["serviceAccountName"] == "geomob"
        assert pod["nodeSelector"] == {"pool": "batch"}
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["automountServiceAccountToken"] is False
    scheduler, worker = pods
    assert "tolerations" not in scheduler
    assert worker["tolerations"][0]["key"] == "cloud.example/spot"
    resources = worker["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "8Gi", "cpu": "2500m"}}
    args = worker["containers"][0]["args"]
    assert args[args.index("--lifetime") + 1] == "3300s"
    assert args[args.index("--lifetime-stagger") + 1] == "300s"
    assert args[args.index("--local-directory") + 1] == "/scratch"
    assert manifest["spec"]["idleTimeout"] == 600
    assert manifest["spec"]["worker"]["replicas"] == 2
    assert manifest["metadata"]["labels"]["team"] == "mobility"
    bounds = validate(autoscaler_manifest(given, "geomob-1"), "here")
    assert bounds["spec"] == {"cluster": "geomob-1", "minimum": 2, "maximum": 40}
    assert autoscaler_manifest(section(), "geomob-1") is None
    assert threads(given) == 80


@pytest.mark.parametrize("component", ["scheduler", "worker"])
def test_an_option_of_a_command_is_one_that_the_installed_dask_has(component):
    given = KubernetesSection.model_validate(EVERYTHING)
    args = container(cluster_manifest(given, "geomob-1", "geomob-1-tls"), component)["args"]
    done = subprocess.run([sys.executable, *args[1:], "--help"], capture_output=True, text=True, check=True)
    assert args[0] == "python"
    missing = [option for option in args if option.startswith("--") and option not in done.stdout]
    assert missing == []


def test_a_field_that_the_operator_does_not_know_is_refused_wherever_it_stands():
    good = cluster_manifest(section(), "geomob-1")

    def spoiled(change) -> str:
        manifest = copy.deepcopy(good)
        change(manifest)
        with pytest.raises(SettingsError) as caught:
            validate(manifest, "cluster.yaml: clusters.cloud")
        return str(caught.value)

    said = spoiled(lambda manifest: container(manifest, "worker").update(resorces={}))
    assert "cluster.yaml: clusters.cloud" in said
    assert "spec.worker.spec.containers[0]" in said
    assert "'resources'" in said
    assert "idletimeout" in spoiled(lambda manifest: manifest["spec"].update(idletimeout=3))
    assert "nodeselector" in spoiled(lambda manifest: manifest["spec"]["worker"]["spec"].update(nodeselector={}))
    assert "replicas" in spoiled(lambda manifest: manifest["spec"]["worker"].update(replicas="2"))
    assert "[0].value" in spoiled(lambda manifest: container(manifest, "worker")["env"][0].update(value=1))
    assert "name" in spoiled(lambda manifest: manifest["metadata"].update(name="Geomob_1"))
    assert "service" in spoiled(lambda manifest: manifest["spec"]["scheduler"].pop("service"))


def test_the_operator_s_own_definition_leaves_nothing_of_a_pod_open():
    # Were a part of it free, an unknown field there would pass.
    assert "x-kubernetes-preserve-unknown-fields" not in json.dumps(definition("DaskCluster", "here"))


def test_the_job_of_a_driver_is_valid_and_keeps_the_command():
    given = KubernetesSection.model_validate({**EVERYTHING, "driver": {"cpu": 1, "memory": "6Gi"}})
    job = driver_job(given, ["python", "jobs/mixing.py", "--year", "2020"], "mixing-2020", "mixing-config")
    pod = job["spec"]["template"]["spec"]
    [driver] = pod["containers"]
    assert driver["args"] == ["python", "jobs/mixing.py", "--year", "2020"]
    assert driver["resources"]["limits"]["memory"] == "6Gi"
    assert {"name": "GEOMOB_CONFIG", "value": "/etc/geomob/cluster.yaml"} in driver["env"]
    assert pod["restartPolicy"] == "Never"
    assert pod["serviceAccountName"] == "geomob"
    assert pod["automountServiceAccountToken"] is True
    with pytest.raises(SettingsError, match="Mixing"):
        driver_job(given, ["true"], "Mixing")
    with pytest.raises(SettingsError, match="args"):
        driver_job(given, ["sleep", 3], "mixing")


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"image": None}, ["image"]),
        ({"image": "two words"}, ["image", "registry.example"]),
        ({"worker": {"memory": "8GiB"}}, ["worker.memory", "'8Gi'"]),
        ({"worker": {"memory": "400m"}}, ["worker.memory", "1Mi"]),
        ({"worker": {"memory": "lots"}}, ["worker.memory", "lots", "4Gi"]),
        ({"worker": {"cpu": "2 cores"}}, ["worker.cpu", "500m"]),
        ({"worker": {"cpu": 0}}, ["worker.cpu", "more than 0"]),
        ({"worker": {"cpu": True}}, ["worker.cpu"]),
        ({"worker": {"memory": "4Gi", "memory_limit": "2Gi"}}, ["memory_limit", "below"]),
        ({"worker": {"gpus": 1}}, ["worker", "gpus"]),
        ({"name": "My_Cluster"}, ["name", "My_Cluster"]),
        ({"name": "a" * 41}, ["name", "40"]),
        ({"namespace": "-a"}, ["namespace"]),
        ({"service_account": "Team A"}, ["service_account"]),
        ({"secrets": ["object_store"]}, ["secrets.0", "object_store"]),
        ({"labels": {"a b": "c"}}, ["labels", "a b"]),
        ({"labels": {"team": "two words"}}, ["labels", "team", "two words"]),
        ({"tolerations": [{"operator": "Exists", "value": "x"}]}, ["tolerations.0", "value"]),
        ({"tolerations": [{"operator": "Equal", "key": "x"}]}, ["tolerations.0", "value"]),
        ({"tolerations": [{"key": "x", "effect": "Never"}]}, ["tolerations.0.effect"]),
        ({"image_pull_policy": "Sometimes"}, ["image_pull_policy", "Always"]),
        ({"workers": None}, ["workers", "adapt"]),
        ({"adapt": {"maximum": 3}}, ["workers", "adapt"]),
        ({"workers": None, "adapt": {"minimum": 0, "maximum": 3}}, ["adapt.minimum"]),
        ({"tls_secret": "files"}, ["tls_secret"]),
        ({"tls": "temporary", "keep": True}, ["keep", "temporary"]),
        ({"tls": {"ca": "a", "certificate": "b", "key": "c"}}, ["tls_secret"]),
        ({"environ": {"AWS_SECRET_ACCESS_KEY": "abc"}}, ["AWS_SECRET_ACCESS_KEY", "secret"]),
        ({"idle_timeout": 5}, ["idle_timeout"]),
        ({"dashboard": "everywhere"}, ["dashboard", "everywhere"]),
        ({"replicas": 5}, ["replicas"]),
    ],
)
def test_a_section_that_kubernetes_would_not_take_is_refused(changes, names):
    with pytest.raises(ValidationError) as caught:
        section(**changes)
    said = explain(caught.value)
    assert all(name in said for name in names), said
    assert "abc" not in said


def test_a_worker_has_the_memory_of_its_pod_and_room_for_what_it_imports():
    assert worker_memory(section(worker={"memory": "2Gi"})) < 2 * 2**30
    assert worker_memory(section(worker={"memory": "2Gi"}, memory_limit="1GiB")) == 2**30
    assert worker_memory(section(memory_limit="0")) == 0
    with pytest.raises(SettingsError, match=r"worker\.memory"):
        worker_memory(section(worker={"memory": "512Mi"}))
    with pytest.raises(SettingsError, match="memory_limit 3GiB"):
        worker_memory(section(worker={"memory": "2Gi"}, memory_limit="3GiB"))


def kubeconfig(folder, **more: object):
    file = folder / "kubeconfig"
    contexts = [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("east", "west")]
    file.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": {"token": "sesame-open"}}],
                "contexts": contexts,
                "current-context": "east",
                **more,
            }
        )
    )
    return file


def test_a_dry_run_prints_the_manifests_as_yaml_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path)))
    given = KubernetesSection.model_validate(EVERYTHING)
    lines = effective(given)
    text = "\n".join(line[2:] for line in lines[lines.index("manifest:") + 1 :])
    cluster, bounds = yaml.safe_load_all(text)
    assert validate(cluster, "here")["kind"] == "DaskCluster"
    assert validate(bounds, "here")["kind"] == "DaskAutoscaler"
    assert "&id" not in text
    assert "sesame-open" not in "\n".join(lines)
    assert any("context east" in line for line in lines)


def test_a_dry_run_of_a_job_says_what_is_wrong_with_the_section(tmp_path, job):
    config = tmp_path / "cluster.yaml"
    config.write_text("clusters: {cloud: {kind: kubernetes, image: a, workers: 2, worker: {memory: 8GiB}}}")
    done = job("mixing", "--dataset", "x", "--year", "2020", "--by", "cbsa", "--cluster", "cloud", "--config", config)
    assert done.code == 2
    assert "clusters.cloud" in done.err
    assert "worker.memory" in done.err


def test_access_names_the_files_and_contexts_that_there_are(tmp_path, monkeypatch):
    file = kubeconfig(tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SettingsError, match=r"\.kube/config"):
        effective(section())
    with pytest.raises(SettingsError, match="nowhere"):
        effective(section(kubeconfig=str(tmp_path / "nowhere")))
    with pytest.raises(SettingsError, match=r"'wset'.*'west'"):
        effective(section(kubeconfig=str(file), context="wset"))
    with pytest.raises(SettingsError, match="context"):
        effective(section(kubeconfig=str(kubeconfig(tmp_path, **{"current-context": ""}))))
    assert "context west" in effective(section(kubeconfig=str(file), context="west"))[0]


def test_without_the_library_the_message_says_what_installs_it(tmp_path):
    config = tmp_path / "cluster.yaml"
    config.write_text("clusters: {cloud: {kind: kubernetes, image: a, workers: 2}}")
    program = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'dask_kubernetes' else find(name, *more)\n"
        "sys.modules['dask_kubernetes'] = None\n"
        "from geomob_dask.clusters import effective\n"
        "from geomob_dask.settings import load_settings\n"
        f"effective(load_settings({str(config)!r}, cluster='cloud'))\n"
    )
    env = {**os.environ, "KUBECONFIG": str(kubeconfig(tmp_path))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, check=False)
    assert "pip install 'geomob-dask[kubernetes]'" in done.stderr
    assert load_settings(str(config), cluster="cloud").section.kind == "kubernetes"
