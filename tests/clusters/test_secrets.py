"""A secret of the environment is in nothing that a cluster shows: pages, logs, processes, configuration, results."""

import urllib.error
import urllib.request
from pathlib import Path

import distributed
import psutil
import pytest
from pydantic import ValidationError

from geomob_dask.checked import explain
from geomob_dask.clusters import connect
from geomob_dask.sections import AddressSection, LocalSection
from geomob_dask.settings import Settings

SECRET = "hunter2hunter2hunter2"
PAGES = (
    "status workers tasks info/main/workers.html info/main/logs.html json/identity.json json/counts.json sitemap.json "
    "metrics info/logs individual-workers individual-cluster-map"
)


@pytest.fixture(params=["processes", "threads"])
def client(request, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    section = LocalSection(workers=1, dashboard="127.0.0.1:0", processes=request.param == "processes", tls="temporary")
    with connect(Settings(clusters={"local": section})) as found:
        yield found


def pages(client: distributed.Client) -> str:
    root = client.dashboard_link.removesuffix("status")
    info = client.scheduler_info(n_workers=-1)["workers"].values()
    more = [f"info/worker/{worker['id']}.html" for worker in info]
    said = []
    for page in (*PAGES.split(), *more):
        try:
            with urllib.request.urlopen(root + page, timeout=30) as answer:
                said.append(answer.read().decode(errors="replace"))
        except urllib.error.HTTPError as error:
            said.append(str(error))
    return "\n".join(said)


def test_nothing_that_a_cluster_shows_has_it(client):
    assert client.submit(lambda: __import__("os").environ["AWS_SECRET_ACCESS_KEY"]).result() == SECRET
    logs = f"{client.get_scheduler_logs()} {client.get_worker_logs()} {client.get_versions()}"
    found = pages(client)
    assert "Dask" in found
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    lines = " ".join(" ".join(process.cmdline()) for process in processes)
    known = f"{client.scheduler_info(n_workers=-1)} {client.cluster.security if client.cluster else ''}"
    for text in (found, logs, lines, known):
        assert SECRET not in text
        assert "PRIVATE KEY" not in text


def test_an_address_with_a_password_is_refused_and_not_shown():
    with pytest.raises(ValidationError, match="password") as refused:
        AddressSection(address=f"tcp://me:{SECRET}@127.0.0.1:8786")
    assert SECRET not in str(refused.value)
    assert SECRET not in explain(refused.value)


def test_a_job_tells_it_nowhere(tmp_path, job, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("GEOMOB_STORE", "store")
    index = ("opportunity", "--definition", "sample", "--dataset", "sample", "--year", 2020, "--export", "index.csv")
    said = ""
    for command in (("ingest", "sample"), ("neighbors", "--vintage", "sample"), (*index, "--dry-run"), index):
        done = job(*command)
        assert done.code == 0, done.err
        said += done.out + done.err
    files = [path for path in Path().rglob("*") if path.is_file()]
    assert len(files) > 20
    assert SECRET not in said
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
