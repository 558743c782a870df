"""jobs/submit.py on Kubernetes: the manifests, and their life at a real API server, without a node."""

import re
from pathlib import Path

import pytest
import yaml
from host_services import need, started
from stores import build_graph, ingest_sample

from geomob_dask.clusters.kubernetes_api import RefusedError, reached
from geomob_dask.clusters.kubernetes_schema import definitions
from geomob_dask.settings import load_settings
from geomob_dask.store import Store
from geomob_dask.submissions.records import every_id
from geomob_dask.submissions.submitting import prepared

SECTION = {"kind": "kubernetes", "image": "here", "workers": 2, "driver": {"memory": "3Gi"}, "secrets": ["bucket"]}


def write_section(**more: object) -> None:
    clusters = {"pods": {**SECTION, **more}}
    Path("cluster.yaml").write_text(yaml.safe_dump({"clusters": clusters}))


def test_the_manifests_hold_the_files_of_the_arguments_and_no_secret(tmp_path, monkeypatch, bucket):
    monkeypatch.chdir(tmp_path)
    write_section()
    Path("night.yaml").write_text("name: night\n")
    settings = load_settings(store=bucket, cluster="pods")
    arguments = ["night.yaml", "--years", "2020"]
    asked, _ = prepared("backfill", tmp_path / "backfill.py", arguments, settings, Store.of(settings), None)
    files, job = yaml.safe_load_all(asked.script)
    assert asked.command == ("python", "jobs/backfill.py", "/etc/geomob/night.yaml", "--years", "2020")
    assert files["data"]["night.yaml"] == "name: night\n"
    assert "kind: kubernetes" in files["data"]["cluster.yaml"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["python", "-m", "geomob_dask.submissions.driver", bucket, asked.id]
    assert container["resources"]["requests"]["memory"] == "3Gi"
    assert files["metadata"]["name"] == job["metadata"]["name"] == f"geomob-{asked.id}"
    assert "testsecret" not in asked.script
    assert "GEOMOB_CONFIG" not in asked.settings, "that of the pod"


def test_a_store_that_no_pod_sees_is_refused(tmp_path, monkeypatch, job):
    monkeypatch.chdir(tmp_path)
    write_section()
    done = job("submit", "backfill", "night.yaml", "--store", tmp_path / "store", "--cluster", "pods")
    assert done.code == 2
    assert "pods do not see this folder" in done.err


@pytest.mark.slow
def test_a_job_is_created_waits_and_is_deleted(tmp_path, monkeypatch, bucket, job):
    need("kubernetes")
    with started("kubernetes", tmp_path / "server", definitions("tests"), "127.0.0.1") as variables:
        monkeypatch.chdir(tmp_path)
        write_section(kubeconfig=variables["KUBECONFIG"], context="admin")
        monkeypatch.setenv("GEOMOB_STORE", bucket)
        build_graph(ingest_sample(bucket, tmp_path))
        arguments = ("--definition", "sample", "--dataset", "sample", "--year", 2020, "--cluster", "pods")
        done = job("submit", "opportunity", *arguments)
        assert done.code == 0, done.err
        (id,) = re.findall(r"^submitted (\S+): Kubernetes Job geomob-", done.out, re.MULTILINE)
        assert every_id(Store(bucket).objects) == [id]
        assert re.search(r"queued since .*: its pod does not run yet", job("submit", "--status", id).out)
        section = load_settings(cluster="pods").section
        name = f"geomob-{id}"
        with reached(section) as server:
            made = server.get("Job", name)
            (owner,) = server.get("ConfigMap", name)["metadata"]["ownerReferences"]
            assert owner["uid"] == made["metadata"]["uid"]
        cancelled = job("submit", "--cancel", id)
        assert cancelled.code == 0, cancelled.err
        assert "cancelled at" in cancelled.out
        with reached(section) as server, pytest.raises(RefusedError, match="not found"):
            server.get("Job", name)
        again = job("submit", "--resume", id)
        assert again.code == 0, again.err
        with reached(section) as server:
            assert server.get("Job", name)["metadata"]["uid"] != made["metadata"]["uid"]
