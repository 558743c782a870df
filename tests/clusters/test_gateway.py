"""Clusters of a real gateway on loopback: the same bytes, losses, refusals, and nothing left running."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dask_gateway
import psutil
import pytest
import yaml
from backfill_country import command, fill, receipts_in, run_command, shown, write_file
from dask_gateway.auth import BasicAuth
from host_services import BIN, started
from pydantic import ValidationError
from waits import await_that

from geomob_dask.checked import explain
from geomob_dask.clusters import connect, effective, threads_of
from geomob_dask.errors import SettingsError
from geomob_dask.sections import GatewaySection
from geomob_dask.settings import Settings

PRODUCTS = ("nation", "index", "counties")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start a gateway; return its folder."""
    folder = tmp_path_factory.mktemp("gateway") / "server"
    with started("gateway", folder, BIN) as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield folder


def given(**options: object) -> dict[str, object]:
    where = {"address": os.environ["GATEWAY_ADDRESS"], "proxy_address": os.environ["GATEWAY_PROXY"]}
    return {"kind": "gateway", **where, "workers": 2, **options}


def settings(**options: object) -> Settings:
    return Settings(cluster="gate", clusters={"gate": GatewaySection.model_validate(given(**options))})


def write_section(folder: Path, **options: object) -> dict[str, str]:
    """Write cluster.yaml; return the environment of a job that reads it."""
    file = folder / "cluster.yaml"
    file.write_text(yaml.safe_dump({"clusters": {"gate": given(**options)}}))
    return {**os.environ, "GEOMOB_CONFIG": str(file)}


def processes(folder: Path, what: str) -> list[psutil.Process]:
    """Return the schedulers or workers that a gateway has started."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            words = one.cmdline()
            if [what, *words[1:2]] == [*words[2:3], str(BIN / "dask")] and one.cwd().startswith(str(folder)):
                found.append(one)
    return found


@pytest.fixture
def nothing_left(gateway: Path) -> Iterator[None]:
    """Hold that a test leaves no scheduler and no worker behind."""
    yield
    await_that(lambda: not [*processes(gateway, "scheduler"), *processes(gateway, "worker")], 60)


@pytest.mark.slow
def test_a_backfill_has_the_same_bytes_though_a_worker_is_killed(gateway, bucket, tmp_path, nothing_left):
    # So many that outputs are left to compute when the first is seen.
    years = tuple(range(2013, 2021))
    plain = fill(str(tmp_path / "plain"), tmp_path, years=years)
    file = write_file(tmp_path, *PRODUCTS)
    assert run_command(command(file, plain.url, "--years", "2013:2020")).returncode == 0
    store = fill(bucket, tmp_path, years=years)
    line = command(file, store.url, "--years", "2013:2020", cluster="gate")
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(line, env=write_section(tmp_path), stdout=log, stderr=log)
    try:
        await_that(lambda: receipts_in(store) or running.poll() is not None)
        [nanny, *_] = processes(gateway, "worker")
        # A worker whose nanny is gone ends by itself.
        for process in (*nanny.children(recursive=True), nanny):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        code = running.wait(240)
    finally:
        running.kill()
    said = (tmp_path / "log").read_text()
    assert code == 0, said
    assert shown(store) == shown(plain)
    assert "cluster: gate" in said
    assert f"{os.environ['GATEWAY_ADDRESS']}/clusters/" in said
    assert os.environ["GEOMOB_GATEWAY_PASSWORD"] not in said


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["scheduler", "driver"])
def test_a_run_whose_scheduler_or_driver_ends_leaves_nothing(gateway, tmp_path, nothing_left, lost):
    store = fill(str(tmp_path / "store"), tmp_path, years=(2019,), per_state=60)
    line = command(write_file(tmp_path, "nation", "apart"), store.url, "--years", "2019", cluster="gate")
    running = subprocess.Popen(
        line, env=write_section(tmp_path, patience=15), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        await_that(lambda: len(processes(gateway, "worker")) == 2)
        if lost == "scheduler":
            await_that(lambda: "cluster: gate" in running.stdout.readline())
            [scheduler] = processes(gateway, "scheduler")
            scheduler.kill()
        else:
            running.send_signal(signal.SIGTERM)
        said = running.communicate(timeout=120)[0]
    finally:
        running.kill()
    assert running.returncode == 1, said
    assert "Traceback" not in said
    assert ("interrupted" if lost == "driver" else "scheduler") in said


@pytest.mark.slow
def test_a_cluster_that_is_kept_is_used_again(gateway, nothing_left):
    chosen = settings(workers=None, adapt={"minimum": 1, "maximum": 2}, keep=True, options={"worker_memory": 1.5})
    assert threads_of(chosen) is None
    with connect(chosen) as client:
        first = client.scheduler.address
        assert client.submit(os.getpid, pure=False).result() != os.getpid()
        assert "1.50 GiB" in repr(client)
        assert "/clusters/" in client.dashboard_link
    with (
        pytest.raises(SettingsError, match=r"'nobody' of .* runs at"),
        connect(settings(cluster="nobody", workers=None)),
    ):
        pass
    [name] = asyncio.run(running_clusters())
    with connect(settings(cluster=name, workers=None)) as client:
        assert client.scheduler.address == first
    assert asyncio.run(running_clusters(stop=True)) == [name]


async def running_clusters(stop: bool = False) -> list[str]:
    """Return the names of the clusters that a gateway runs; stop them if asked to."""
    auth = BasicAuth(None, os.environ["GEOMOB_GATEWAY_PASSWORD"])
    async with dask_gateway.Gateway(os.environ["GATEWAY_ADDRESS"], auth=auth, asynchronous=True) as plain:
        found = [report.name for report in await plain.list_clusters()]
        for name in found if stop else []:
            await plain.stop_cluster(name)
    return found


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"options": {"worker_coers": 1}}, r"options: the gateway has no option 'worker_coers'; .*'worker_cores'"),
        ({"options": {"worker_cores": 9}}, r"options\.worker_cores: found 9; .*<= 4"),
        ({"options": {"worker_memory": "2GiB"}}, r"options\.worker_memory: found '2GiB'"),
        ({"address": "http://127.0.0.1:1"}, r"gateway http://127\.0\.0\.1:1: cannot be reached"),
        ({"password_variable": "NO_SUCH_PASSWORD"}, r"does not let in user .* NO_SUCH_PASSWORD, which is not set"),
        ({"auth": "jupyterhub"}, r"auth jupyterhub: JUPYTERHUB_API_TOKEN is not set"),
        ({"proxy_address": "127.0.0.1:1"}, r"the scheduler of cluster .* does not answer at gateway://127"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(gateway, monkeypatch, nothing_left, options, told):
    monkeypatch.delenv("JUPYTERHUB_API_TOKEN", raising=False)
    with pytest.raises(SettingsError, match=told) as caught, connect(settings(**options)):
        pass
    assert "\n" not in str(caught.value)


def test_a_server_that_is_no_gateway_and_one_that_does_not_answer_are_named(gateway, s3_endpoint):

    with (
        pytest.raises(SettingsError, match=f"gateway {s3_endpoint}: .*expected"),
        connect(settings(address=s3_endpoint)),
    ):
        pass
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        chosen = settings(address=address, request_timeout=1)
        with pytest.raises(SettingsError, match=r"no answer within 1 s \(request_timeout\)"), connect(chosen):
            pass


def test_a_dry_run_says_what_would_be_asked_for_without_the_password(gateway):
    text = "\n".join(effective(settings(options={"worker_cores": 2})))
    assert "worker_cores: 2" in text
    assert "GEOMOB_GATEWAY_PASSWORD (set)" in text
    assert os.environ["GEOMOB_GATEWAY_PASSWORD"] not in text


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"address": "gateway.example"}, ["address", "https://"]),
        ({"address": "https://me:sesame@gateway.example"}, ["address", "password_variable"]),
        ({"proxy_address": "gateway.example"}, ["proxy_address"]),
        ({"auth": "ldap"}, ["auth", "kerberos"]),
        ({"password": "sesame"}, ["password", "password_variable"]),
        ({"options": {"environment": {"AWS_SECRET_ACCESS_KEY": "sesame"}}}, ["options", "AWS_SECRET_ACCESS_KEY"]),
        ({"workers": None}, ["workers", "adapt"]),
        ({"cluster": "abc"}, ["cluster abc", "workers"]),
        ({"workers": None, "adapt": {"minimum": 0, "maximum": 2}}, ["adapt.minimum"]),
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(options, names):
    with pytest.raises(ValidationError) as caught:
        GatewaySection.model_validate({"address": "https://gateway.example", "workers": 1, **options})
    said = explain(caught.value)
    assert all(name in said for name in names), said
    assert "sesame" not in said


@pytest.mark.slow
def test_a_run_ends_when_its_gateway_does(tmp_path_factory):
    """The gateway's own processes carry the connection: without them the run says so."""
    folder = tmp_path_factory.mktemp("gateway") / "server"
    with started("gateway", folder, BIN) as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        where = folder.parent
        store = fill(str(where / "store"), where, years=(2019,), per_state=60)
        line = command(write_file(where, "nation", "apart"), store.url, "--years", "2019", cluster="gate")
        environment = write_section(where, request_timeout=3, patience=15)
        running = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            await_that(lambda: "cluster: gate" in running.stdout.readline())
            for one in psutil.process_iter(["cmdline"]):
                if (
                    str(folder) in " ".join(one.info["cmdline"] or [])
                    and "dask-gateway-server" in one.info["cmdline"][1]
                ):
                    one.kill()
            said = running.communicate(timeout=120)[0]
        finally:
            running.kill()
        assert running.returncode == 1, said
        assert "Traceback" not in said
        assert "could not be stopped" in said
