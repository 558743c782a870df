"""The commands of the manifests, run as processes of this machine: a cluster that computes the same bytes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import distributed
import httpx
import pytest
from backfill_country import shown
from stores import build_graph, build_index, ingest_sample
from waits import await_that, free_port

from geomob_dask.clusters import connect
from geomob_dask.clusters.kubernetes_manifests import cluster_manifest, worker_memory
from geomob_dask.clusters.security import certificate_and_key
from geomob_dask.sections import AddressSection, KubernetesSection
from geomob_dask.settings import Settings

FILES = {"ca.crt": "ca", "tls.crt": "certificate", "tls.key": "key"}


@contextmanager
def process(container: dict, folder: Path, replaced: dict[str, str], **more: str) -> Iterator[None]:
    """Run a container's command, with other ports and folders than in a pod."""

    def here(text: str) -> str:
        for pattern, other in replaced.items():
            text = re.sub(pattern, other, text)
        return text

    variables = {one["name"]: here(one["value"]) for one in container["env"]} | more
    args = [here(re.sub(r"\$\((\w+)\)", lambda name: variables[name[1]], word)) for word in container["args"]]
    assert args[0] == "python"
    with (folder / f"{container['name']}.log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, *args[1:]], env={**os.environ, **variables}, stdout=log, stderr=log, cwd=folder
        )
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(60)
        finally:
            running.kill()


@pytest.mark.slow
def test_the_commands_of_a_manifest_are_a_cluster_that_computes_the_same(tmp_path):
    certificate, key = certificate_and_key("here")
    for name, data in zip(FILES, (certificate, certificate, key), strict=True):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_bytes(data)
    files = {name: str(tmp_path / file) for file, name in FILES.items()}
    given = {"image": "here", "workers": 2, "worker": {"memory": "2Gi"}, "tls": files, "tls_secret": "files"}
    section = KubernetesSection.model_validate({**given, "scratch": "/scratch"})
    spec = cluster_manifest(section, "geomob-1", section.tls_secret)["spec"]
    [scheduler], [worker] = (spec[name]["spec"]["containers"] for name in ("scheduler", "worker"))
    port, web = str(free_port()), str(free_port())
    replaced = {
        r"geomob-1-scheduler": "127.0.0.1",
        r"^0\.0\.0\.0$": "127.0.0.1",
        r"\b8786\b": port,
        r"^:8787$": f"127.0.0.1:{web}",
        r"^/etc/dask-tls": str(tmp_path),
        r"^/scratch": str(tmp_path),
    }
    with ExitStack() as stack:
        stack.enter_context(process(scheduler, tmp_path, replaced))
        for number in range(2):
            stack.enter_context(process(worker, tmp_path, replaced, DASK_WORKER_NAME=f"geomob-1-worker-{number}"))
        # What the probes of its pod ask, and the operator: is it there, how many workers does it need, is it idle?
        probe = scheduler["readinessProbe"]["httpGet"]["path"]
        await_that(lambda: answers(f"http://127.0.0.1:{web}{probe}"), 60, (tmp_path / "scheduler.log").read_text)
        address = AddressSection.model_validate({"address": f"tls://127.0.0.1:{port}", "tls": files})
        plain, store = (ingest_sample(str(tmp_path / name), tmp_path) for name in ("plain", "store"))
        build_graph(plain)
        build_index(plain)
        with connect(Settings(cluster="there", clusters={"there": address})) as client:
            build_graph(store, client)
            build_index(store, client)
            client.wait_for_workers(2, timeout=60)
            workers = client.scheduler_info()["workers"].values()
            assert {one["memory_limit"] for one in workers} == {worker_memory(section)}
        assert shown(store) == shown(plain)
        asked = httpx.get(f"http://127.0.0.1:{web}/api/v1/get_workers").json()
        assert sorted(one["name"] for one in asked["workers"]) == ["geomob-1-worker-0", "geomob-1-worker-1"]
        assert httpx.get(f"http://127.0.0.1:{web}/api/v1/adaptive_target").json() == {"workers": 0}
        assert "idle_since" in httpx.get(f"http://127.0.0.1:{web}/api/v1/check_idle").json()
        # Without a certificate nobody gets in.
        with pytest.raises(OSError, match="tcp:"):
            distributed.Client(f"tcp://127.0.0.1:{port}", timeout=3)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False
