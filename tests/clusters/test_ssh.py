"""Machines reached by SSH, of a server of the tests on loopback: runs, losses, refusals, and nothing left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import distributed
import psutil
import pytest
import s3fs
import yaml
from dask.utils import parse_timedelta
from host_services import started
from waits import await_that

from geomob_dask.clusters import connect, effective, ssh, threads_of
from geomob_dask.errors import SettingsError
from geomob_dask.sections import SshSection
from geomob_dask.settings import Settings
from geomob_dask.store import Store

ROOT = Path(__file__).parents[2]
SECRET = "hunter2-of-the-bucket"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with started("ssh", tmp_path_factory.mktemp("ssh") / "server") as variables:
        yield variables


def section(server: dict[str, str], **options: object) -> SshSection:
    given = {
        "hosts": ["127.0.0.1", "127.0.0.2"],
        "port": int(server["GEOMOB_SSH_PORT"]),
        "key": server["GEOMOB_SSH_KEY"],
        "known_hosts": server["GEOMOB_SSH_KNOWN_HOSTS"],
        "dashboard": "127.0.0.1:0",
        "memory_limit": "2GiB",
        "environ": {"PYTHONPATH": str(ROOT)},
    }
    return SshSection(**(given | options))


def settings(server: dict[str, str], **options: object) -> Settings:
    return Settings(cluster="two", clusters={"two": section(server, **options)})


def remote(server: dict[str, str]) -> list[psutil.Process]:
    """Return the processes that the server's sessions run, without shells."""
    folder = os.path.dirname(server["GEOMOB_SSH_KEY"])
    servers = [
        one for one in psutil.process_iter(["cmdline"]) if f"{folder}/sshd_config" in (one.info["cmdline"] or [])
    ]
    found = []
    for one in servers:
        # They may be ending just now.
        with suppress(psutil.Error):
            found += one.children(recursive=True)
    return [process for process in found if "python" in _name(process)]


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return process.name()
    return ""


@pytest.fixture(scope="module")
def cluster(server: dict[str, str]) -> Iterator[distributed.Client]:
    with connect(settings(server, tls="temporary", lifetime="01:00:00", lifetime_stagger="00:01:00")) as client:
        yield client
    await_that(lambda: not remote(server))


def workers(client: distributed.Client) -> dict[str, str]:
    """Return the name of each worker by its address."""
    found = client.scheduler_info(n_workers=-1)["workers"]
    return {address: worker["name"] for address, worker in found.items()}


def test_workers_run_where_they_should_encrypted_and_on_loopback(cluster, server):
    assert client_hosts(cluster) == {"127.0.0.1-0": "127.0.0.1", "127.0.0.2-1": "127.0.0.2"}
    assert cluster.scheduler.address.startswith("tls://127.0.0.1:")
    listening = {
        found.laddr.ip
        for process in remote(server)
        for found in process.net_connections("inet")
        if found.status == psutil.CONN_LISTEN
    }
    assert listening <= {"127.0.0.1", "127.0.0.2"}
    assert cluster.submit(sum, [1, 2]).result() == 3
    assert cluster.dashboard_link.startswith("http://127.0.0.1:")


def test_a_lifetime_as_on_a_clock_is_that_of_the_workers(cluster):
    lives = cluster.run(lambda dask_worker: dask_worker.lifetime)
    assert len(lives) == 2
    assert all(3540 <= seconds <= 3660 for seconds in lives.values())


@pytest.mark.parametrize(("text", "seconds"), [("00:55:00", 3300), ("1-00:00:00", 86400), ("55 minutes", 3300)])
def test_a_worker_is_told_its_lifetime_as_dask_reads_it(text, seconds):
    host = SshSection(hosts=["a"], lifetime=text, lifetime_stagger="05:00")
    told = ssh._Worker(shared=ssh._Shared(host, None, asyncio.Semaphore()), host="a", name=0).options("")
    assert parse_timedelta(told["lifetime"]) == seconds
    assert parse_timedelta(told["lifetime_stagger"]) == 300


def client_hosts(client: distributed.Client) -> dict[str, str]:
    return {name: address.split("//")[1].split(":")[0] for address, name in workers(client).items()}


def test_the_dashboard_of_another_machine_is_reached_through_ssh(cluster, server):
    port = cluster.cluster.scheduler.dashboard
    [link] = ssh.link_of(section(server, scheduler="127.0.0.2"), cluster).values()
    assert link.startswith(f"http://127.0.0.1:{port}/status after ssh -p {server['GEOMOB_SSH_PORT']} ")
    assert link.endswith(f" -N -L {port}:127.0.0.1:{port} 127.0.0.2")
    assert ssh.link_of(section(server, scheduler="127.0.0.2", dashboard="0.0.0.0:8787"), cluster) == {}


def test_orders_and_keys_are_in_no_list_of_processes(cluster, server):
    assert len(remote(server)) >= 5
    for process in remote(server):
        seen = " ".join(process.cmdline())
        assert "-----BEGIN" not in seen
        assert "memory_limit" not in seen


def test_a_killed_worker_is_replaced(cluster):
    before = workers(cluster)
    address = next(iter(before))
    pid = cluster.run(os.getpid, workers=[address])[address]
    psutil.Process(pid).kill()
    await_that(lambda: len(set(workers(cluster)) - {address}) == 2)
    assert cluster.submit(sum, [1, 2], pure=False).result(60) == 3


def test_a_killed_nanny_is_replaced_and_told(cluster, capsys):
    before = workers(cluster)
    [address] = [address for address, name in before.items() if name == "127.0.0.2-1"]
    pid = cluster.run(os.getppid, workers=[address])[address]
    psutil.Process(pid).kill()
    await_that(lambda: "127.0.0.2-1-2" in workers(cluster).values() and len(workers(cluster)) == 2)
    said: list[str] = []

    def back() -> bool:
        said.append(capsys.readouterr().err)
        return "the worker on 127.0.0.2 is back" in "".join(said)

    await_that(back)
    assert "the worker on 127.0.0.2 was lost; it is started again" in "".join(said)


@pytest.mark.slow
def test_a_job_over_ssh_has_the_same_bytes_and_tells_no_secret(server, tmp_path, bucket, job, monkeypatch):
    credentials = tmp_path / "credentials"
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    secret = SECRET if "GEOMOB_TEST_S3" not in os.environ else os.environ["AWS_SECRET_ACCESS_KEY"]
    credentials.write_text(f"[default]\naws_access_key_id = {os.environ[names[0]]}\naws_secret_access_key = {secret}\n")
    own = {name: os.environ[name] for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")}
    environ = {"PYTHONPATH": str(ROOT), "AWS_SHARED_CREDENTIALS_FILE": str(credentials), **own}
    file = tmp_path / "cluster.yaml"
    keys = section(server, environ=environ, tls="temporary").model_dump(mode="json", exclude_defaults=True)
    file.write_text(yaml.safe_dump({"clusters": {"two": keys | {"kind": "ssh", "tls": "temporary"}}}))
    for name in names:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    s3fs.S3FileSystem.clear_instance_cache()
    said = ""
    for part in ("ssh", "serial"):
        monkeypatch.setenv("GEOMOB_STORE", f"{bucket}/{part}")
        assert job("ingest", "sample").code == 0
        where = ("--config", file, "--cluster", "two" if part == "ssh" else part)
        for more in (("--dry-run",), ()):
            done = job("neighbors", "--vintage", "sample", *where, *more)
            assert done.code == 0, done.err
            said += done.out + done.err
    stores = [Store(f"{bucket}/{part}") for part in ("ssh", "serial")]
    made = [
        {name: store.objects.get(part.key) for name, part in store.snapshot("neighbors/sample").parts.items()}
        for store in stores
    ]
    assert made[0] == made[1]
    assert "cluster: two, 2 workers; dashboard: http://127.0.0.1:" in said
    assert secret not in said
    for entry in stores[0].objects.listing():
        assert secret.encode() not in stores[0].objects.get(entry.key)
    s3fs.S3FileSystem.clear_instance_cache()


def refused(server: dict[str, str], tmp_path: Path) -> dict[str, tuple[dict[str, object], str]]:
    """Return wrong options, and what is said of them."""
    nobody = tmp_path / "known_hosts"
    nobody.write_text("")
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("import geomob_dask\ngeomob_dask.__version__ = '0.0.1'\n")
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    bare.chmod(0o755)
    stranger = server["GEOMOB_SSH_KEY"].replace("user", "stranger")
    key = (Path(server["GEOMOB_SSH_KEY"]).parent / "stranger").as_posix()
    return {
        "port": ({"port": 9}, r"host 127\.0\.0\.1: not reached at port 9"),
        "host key": ({"known_hosts": str(nobody)}, rf"host 127\.0\.0\.1: its key is not in {nobody}"),
        "user": ({"username": "nobody-here"}, r"host 127\.0\.0\.1: refuses user nobody-here"),
        "key": ({"key": key}, rf"host 127\.0\.0\.1: refuses this user with key {stranger}"),
        "python": ({"python": "/no/python"}, r"host 127\.0\.0\.1: python /no/python cannot be run there"),
        "package": ({"python": str(bare)}, rf"python {bare} there cannot import .*expected geomob_dask \d"),
        "version": (
            {"environ": {"PYTHONPATH": f"{other}:{ROOT}"}},
            r"host 127\.0\.0\.1: found geomob_dask 0\.0\.1, expected \d",
        ),
        "second host": ({"hosts": ["127.0.0.1", "127.0.0.4"]}, r"host 127\.0\.0\.4: not reached"),
        "no file": ({"key": "/no/key"}, r"key /no/key: cannot be read"),
        "memory": ({"memory_limit": "300MiB"}, r"memory_limit 300MiB: found 300 MiB for a worker"),
        "no known hosts": ({"known_hosts": "/no/hosts"}, r"known_hosts /no/hosts: cannot be read"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "port",
        "host key",
        "user",
        "key",
        "python",
        "package",
        "version",
        "second host",
        "no file",
        "memory",
        "no known hosts",
    ],
)
def test_what_cannot_start_names_the_host_and_leaves_nothing(case, server, tmp_path):
    options, told = refused(server, tmp_path)[case]
    before = set(remote(server))
    with pytest.raises(SettingsError, match=told), connect(settings(server, **options)):
        pass
    await_that(lambda: set(remote(server)) <= before)


@pytest.mark.slow
def test_a_driver_that_is_killed_leaves_nothing(server, tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import time
            from geomob_dask.clusters import connect
            from geomob_dask.sections import SshSection
            from geomob_dask.settings import Settings
            section = SshSection.model_validate({section(server, hosts=["127.0.0.1"]).model_dump(mode="json")})
            with connect(Settings(cluster="two", clusters={{"two": section}})):
                print("up", flush=True)
                time.sleep(600)
            """
        )
    )
    before = set(remote(server))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, cwd=ROOT) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"up\n"
        assert len(set(remote(server)) - before) >= 3
        driver.send_signal(signal.SIGKILL)
    await_that(lambda: set(remote(server)) <= before)


def test_the_effective_configuration_names_hosts_and_commands(server):
    lines = "\n".join(effective(settings(server, workers=3, scheduler="127.0.0.2", lifetime="1 hour")))
    assert "scheduler: on 127.0.0.2" in lines
    assert "workers: 3 processes: 2 on 127.0.0.1, 1 on 127.0.0.2" in lines
    assert f"ssh -p {server['GEOMOB_SSH_PORT']} -i {server['GEOMOB_SSH_KEY']}" in lines
    assert f"env PYTHONPATH={ROOT} {sys.executable} -m geomob_dask.clusters.remote" in lines
    assert "lifetime: a worker retires after 1 hour" in lines
    assert threads_of(settings(server, workers=3, threads_per_worker=2)) == 6


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hosts": []}, "hosts"),
        ({"hosts": ["a b"]}, "hosts"),
        ({"hosts": ["-oProxyCommand=x"]}, "hosts"),
        ({"port": 70_000}, "port"),
        ({"adapt": {"maximum": 3}}, "adapt"),
        ({"password": "x"}, "unknown keys"),
    ],
)
def test_a_wrong_section_is_refused(options, told):
    with pytest.raises(ValueError, match=told):
        SshSection(**({"hosts": ["a"]} | options))
