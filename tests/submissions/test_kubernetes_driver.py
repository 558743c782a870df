"""jobs/submit.py on Kubernetes: the manifests, and their life at a real API server, without a node."""

import importlib
import re
from pathlib import Path

import pytest
import yaml
from host_services import need, started
from stores import build_graph, ingest_sample

from geomob_dask.clusters.kubernetes_api import RefusedError, reached
from geomob_dask.clusters.kubernetes_schema import definitions
from geomob_dask.outputs import result
from geomob_dask.outputs.result import Outputs, option_of
from geomob_dask.settings import load_settings
from geomob_dask.store import Store
from geomob_dask.submissions.kubernetes_jobs import WRITTEN
from geomob_dask.submissions.records import every_id
from geomob_dask.submissions.submitting import driver_of, prepared

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


def test_arguments_of_a_pod_are_those_of_the_job_with_its_files_inside(tmp_path, monkeypatch, bucket):
    monkeypatch.chdir(tmp_path)
    write_section()
    Path("my.yaml").write_text("name: mine\n")
    # Written by a run before, as the next one will.
    Path("index.csv").write_text("of before\n")
    Path("map.png").write_bytes(b"\x89PNG")
    settings = load_settings(store=bucket, cluster="pods")
    written = ("--export", "index.csv", "--map=map.png")
    config = ("--config", "cluster.yaml", "--config=cluster.yaml")
    arguments = ("--definition=my.yaml", *config, *written, "--dry-run", "my.yaml")
    script = tmp_path / "opportunity.py"
    asked, place = prepared("opportunity", script, arguments, settings, Store.of(settings), "cluster.yaml")
    inside = "/etc/geomob/my.yaml"
    assert asked.command[2:] == (f"--definition={inside}", *written, "--dry-run", inside)
    files, _ = yaml.safe_load_all(asked.script)
    assert files["data"].keys() == {"cluster.yaml", "my.yaml"}
    Path("my.yaml").unlink()
    write_section(driver={"memory": "5Gi"})
    section = load_settings(cluster="pods").section
    again, job = yaml.safe_load_all(place.text(asked, driver_of(section), section, ()))
    assert again["data"]["my.yaml"] == "name: mine\n"
    assert "5Gi" in again["data"]["cluster.yaml"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["memory"] == "5Gi"


def test_flags_whose_files_are_written_are_those_of_the_jobs():
    jobs = Path(__file__).parents[2] / "jobs"
    for file in sorted(Path(result.__file__).parent.glob("*.py")):
        importlib.import_module(f"geomob_dask.outputs.{file.stem}")
    every = [Outputs, *(one for one in Outputs.__subclasses__() if one.__module__.startswith("geomob_dask."))]
    flags = {option_of(name) for outputs in every for name, flag in outputs.flags.items() if flag.files}
    # Those that are no product's.
    text = "".join(file.read_text() for file in jobs.glob("*.py"))
    flags |= set(re.findall(r'check_file\("(--\w+)"', text))
    assert flags == WRITTEN


def test_the_cluster_file_of_a_flag_is_that_of_the_check(tmp_path, monkeypatch, bucket, job):
    """The driver has another, in its pod."""
    monkeypatch.chdir(tmp_path)
    write_section(kubeconfig=str(tmp_path / "kubeconfig"))
    Path("cluster.yaml").rename("cloud.yaml")
    access = {"contexts": [{"name": "a", "context": {"cluster": "a"}}], "current-context": "a"}
    Path("kubeconfig").write_text(yaml.safe_dump(access))
    monkeypatch.setenv("GEOMOB_STORE", bucket)
    build_graph(ingest_sample(bucket, tmp_path))
    arguments = ("--definition", "sample", "--dataset", "sample", "--year", 2020, "--cluster", "pods")
    done = job("submit", "--dry-run", "--config", "cloud.yaml", "opportunity", *arguments)
    assert done.code == 0, done.err
    assert "submission: Kubernetes Job" in done.out


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
