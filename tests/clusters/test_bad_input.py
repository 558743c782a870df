"""Sections of cluster.yaml and variables that cannot work, of every kind, through the command line.

Each ends with its exit code and one line that names what was found and what was expected, before anything starts;
nothing is written, and no process is left.
"""

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import distributed
import psutil
import pytest
from certificates import make_files
from cluster_processes import processes
from host_services import need
from odd_workers import with_versions, without, worker

import geomob_dask

ROOT = Path(__file__).parents[2]
KUBERNETES = {"kind": "kubernetes", "image": "site/geomob:1", "workers": 2}
SLURM = {"kind": "slurm", "workers": 1, "memory": "4GiB"}
GATEWAY = {"kind": "gateway", "address": "http://127.0.0.1:9", "workers": 1, "request_timeout": 2}
SSH = {"kind": "ssh", "hosts": ["127.0.0.1"], "connects": 2}
# Seconds for answers of what does not answer.
ADDRESS = {"kind": "address", "timeout": 2, "patience": 2}


@pytest.fixture
def refused(job, tmp_path, monkeypatch) -> Callable[..., str]:
    """Run a job on a cluster; return its error after checking exit code, form, and that nothing is left."""
    monkeypatch.chdir(tmp_path)
    for name in ("GEOMOB_STORE", "GEOMOB_CLUSTER", "GEOMOB_CONFIG", "GEOMOB_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "store").mkdir()

    def run(section: object, *, code: int = 2, cluster: str = "big") -> str:
        (tmp_path / "cluster.yaml").write_text(json.dumps({"clusters": {"big": section}} if section else {}))
        before, children = sorted(tmp_path.rglob("*")), psutil.Process().children(recursive=True)
        done = job("store", "verify", "--store", "store", "--cluster", cluster)
        assert done.code == code, done
        *notes, last = done.err.splitlines()
        assert last.startswith("error: ")
        assert "Traceback" not in done.out + done.err
        assert all("waiting" in line for line in notes), notes
        assert sorted(tmp_path.rglob("*")) == before
        assert {one.pid for one in psutil.Process().children(recursive=True)} <= {one.pid for one in children}
        return last

    return run


# What the file says ------------------------------------------------------------------------------

SECTIONS = [
    ("no section", None, "no such section"),
    ("a list", ["local"], "clusters.big"),
    ("no kind", {"workers": 2}, "kind"),
    ("unknown kind", {"kind": "mainframe"}, "'mainframe'"),
    ("key of another kind", {"kind": "local", "image": "site/geomob:1"}, "'image'"),
    ("misspelled key", {"kind": "local", "worker": 2}, "did you mean 'workers'"),
    ("workers of no number", {"kind": "local", "workers": "many"}, "found 'many'"),
    ("no workers", {"kind": "local", "workers": 0}, "found 0"),
    ("memory below the imports", {"kind": "local", "workers": 1, "memory_limit": "300MiB"}, "found 300 MiB"),
    ("dashboard of no port", {"kind": "local", "dashboard": "nonsense"}, "dashboard: expected host and port"),
    ("dashboard as a link", {"kind": "local", "dashboard": "http://127.0.0.1:8787"}, "dashboard: expected host and"),
    ("port above all", {"kind": "local", "dashboard": "127.0.0.1:99999"}, "found '127.0.0.1:99999'"),
    ("dashboard elsewhere", {"kind": "local", "dashboard": "192.0.2.77:8787"}, "cannot listen there"),
    ("scratch is a file", {"kind": "local", "scratch": "cluster.yaml"}, "scratch cluster.yaml"),
    ("scratch in nothing", {"kind": "local", "scratch": "/proc/nowhere"}, "scratch /proc/nowhere"),
    ("tls of a word", {"kind": "local", "tls": "yes"}, "tls: expected temporary"),
    ("tls without files", {"kind": "local", "tls": {"ca": "a", "certificate": "b", "key": "c"}}, "tls.ca a"),
    ("patience of a word", {**ADDRESS, "patience": "long"}, "found 'long'"),
    ("both sizes", {**SLURM, "adapt": {"maximum": 3}}, "both workers and adapt"),
    ("adapt of words", {**SLURM, "workers": None, "adapt": {"minimum": "few", "maximum": 3}}, "found 'few'"),
    ("adapt upside down", {**SLURM, "workers": None, "adapt": {"minimum": 4, "maximum": 3}}, "above maximum 3"),
    ("adapt of a number", {**SLURM, "workers": None, "adapt": 4}, "adapt"),
    ("secret in environ", {**SLURM, "environ": {"AWS_SECRET_ACCESS_KEY": "hunter2hunter2"}}, "looks like a secret"),
    ("walltime of nonsense", {**SLURM, "walltime": "soon"}, "walltime: expected a time"),
    ("walltime without a unit", {**SLURM, "walltime": "90"}, "walltime: expected a time"),
    ("walltime of seconds", {**SLURM, "walltime": "20s"}, "expected a minute or more"),
    ("lifetime beyond it", {**SLURM, "walltime": "1 hour", "lifetime": "2 hours"}, "before walltime 1 hour"),
    ("partition with a space", {**SLURM, "partition": "a b"}, "found 'a b'"),
    ("cores of no process", {**SLURM, "cores": 3, "processes": 2}, "cores 3"),
    ("no hosts", {"kind": "ssh", "hosts": []}, "hosts"),
    ("host of a shell", {"kind": "ssh", "hosts": ["a; rm -r b"]}, "hosts"),
    ("no image", {"kind": "kubernetes", "workers": 2}, "image: found nothing, expected a value"),
    ("name that is no label", {**KUBERNETES, "name": "My_Cluster"}, "found 'My_Cluster'"),
    ("memory of Dask in a pod", {**KUBERNETES, "worker": {"memory": "4GiB"}}, "4GiB"),
    ("toleration of nothing", {**KUBERNETES, "tolerations": [{"operator": "Sometimes"}]}, "tolerations"),
    ("gateway of no URL", {**GATEWAY, "address": "gateway.example"}, "expected a URL"),
    ("gateway with a password", {**GATEWAY, "address": "https://me:hunter2hunter2@gateway.example"}, "password"),
    ("gateway with no size", {"kind": "gateway", "address": "http://127.0.0.1:9"}, "neither workers nor adapt"),
]


@pytest.mark.parametrize(("section", "told"), [case[1:] for case in SECTIONS], ids=[case[0] for case in SECTIONS])
def test_a_section_that_cannot_work(refused, section, told):
    message = refused(section)
    assert told in message
    assert section is None or "big" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://scheduler.example:8786", "found 'http://scheduler.example:8786'"),
        ("ucx://scheduler.example:8786", "found 'ucx:"),
        ("scheduler.example", "found 'scheduler.example'"),
        ("tcp://scheduler.example", "found 'tcp:"),
        ("tcp://scheduler.example:port", "found 'tcp:"),
        ("tcp://scheduler.example:99999", "found 'tcp:"),
        ("tcp://:8786", "found 'tcp:"),
        ("tcp://me:hunter2hunter2@scheduler.example:8786", "found a user or password"),
    ],
)
def test_a_variable_that_is_no_address_of_dask(refused, monkeypatch, address, told):
    monkeypatch.setenv("GEOMOB_ADDRESS", address)
    message = refused({}, cluster="address")
    assert told in message
    assert "GEOMOB_ADDRESS" in message
    assert "hunter2" not in message


# What is there, and is something else ------------------------------------------------------------


@pytest.fixture(scope="module")
def silent_port() -> Iterator[int]:
    """Return a port that accepts connections and never answers."""
    with socket.socket() as listens:
        listens.bind(("127.0.0.1", 0))
        listens.listen(64)
        yield listens.getsockname()[1]


@pytest.fixture(scope="module")
def web_port() -> Iterator[int]:
    """Return the port of a web server."""

    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_what_is_no_scheduler(refused, client, silent_port, web_port):
    """None of them is waited for longer than stated, and each is named."""
    some_worker = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
    for address, told in (
        ("tcp://127.0.0.1:9", "no scheduler answers"),
        (f"tcp://127.0.0.1:{silent_port}", "no scheduler answers within 2 s"),
        (f"tcp://127.0.0.1:{web_port}", "no scheduler answers within 2 s"),
        (some_worker, "found a worker, not a scheduler"),
    ):
        message = refused({**ADDRESS, "address": address})
        assert address in message
        assert told in message


def test_the_plan_is_not_held_up_by_what_is_no_scheduler(silent_port):
    from geomob_dask.clusters import threads_of
    from geomob_dask.sections import AddressSection
    from geomob_dask.settings import Settings

    section = AddressSection(address=f"tcp://127.0.0.1:{silent_port}", timeout=1.0)
    assert threads_of(Settings(cluster="address", clusters={"address": section})) is None


def test_tls_of_others(refused, client, tmp_path):
    """An expired certificate and the key of another one; a scheduler without TLS; one of another authority."""
    folder = tmp_path / "tls"
    folder.mkdir()
    own, other, old = make_files(folder, "own"), make_files(folder, "other"), make_files(folder, "old", (-30, -2))
    tls = client.scheduler.address.replace("tcp://", "tls://")
    assert "expired on" in refused({**ADDRESS, "address": tls, "tls": old.section()})
    mixed = {**own.section(), "key": other.key}
    assert "found the key of another certificate" in refused({**ADDRESS, "address": tls, "tls": mixed})
    assert tls in refused({**ADDRESS, "address": tls, "tls": own.section()})
    roles = ("client", "scheduler", "worker")
    files = {f"tls_{role}_cert": own.certificate for role in roles} | {f"tls_{role}_key": own.key for role in roles}
    security = distributed.Security(require_encryption=True, tls_ca_file=own.ca, **files)
    with distributed.LocalCluster(n_workers=0, security=security, dashboard_address="127.0.0.1:0") as cluster:
        address = cluster.scheduler_address
        message = refused({**ADDRESS, "address": address, "tls": other.section()})
        assert address in message
        assert address.replace("tls", "tcp") in refused({**ADDRESS, "address": address.replace("tls", "tcp")})


def test_workers_of_another_version_and_without_the_package(refused, tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    for name, environment, told in (
        ("old", with_versions(folder / "versions", geomob_dask="0.0.1"), ("0.0.1", geomob_dask.__version__)),
        ("bare", without(folder / "without", "geomob_dask"), ("cannot import geomob_dask",)),
    ):
        with (
            processes(folder, workers=0) as cluster,
            worker(cluster.address, folder / name, environment=environment),
        ):
            cluster.await_workers(1)
            message = refused({**ADDRESS, "address": cluster.address, "timeout": 30, "patience": 30})
            assert all(text in message for text in (*told, "worker tcp://"))


def test_hosts_that_are_not_reached_and_gateways_that_are_none(refused, silent_port, web_port):
    assert "127.0.0.1" in refused({**SSH, "port": 9})
    assert "not reached" in refused({**SSH, "port": silent_port})
    assert "no.such.host.invalid" in refused({**SSH, "hosts": ["no.such.host.invalid"]})
    for port in (9, silent_port, web_port):
        address = f"http://127.0.0.1:{port}"
        message = refused({**GATEWAY, "address": address})
        assert address in message
        assert "Dask Gateway" in message


def test_kubernetes_without_a_cluster(refused, monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    message = refused({**KUBERNETES, "kubeconfig": "nowhere.yaml"})
    assert "nowhere.yaml" in message


EXTRAS = {
    "ssh": (SSH, "asyncssh"),
    "queue": (SLURM, "dask_jobqueue"),
    "kubernetes": (KUBERNETES, "dask_kubernetes"),
    "gateway": (GATEWAY, "dask_gateway"),
    "tls": ({"kind": "local", "workers": 1, "tls": "temporary"}, "cryptography"),
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_library_that_is_not_installed(extra, tmp_path):
    """In a process that cannot import it, the message says what installs it."""
    section, library = EXTRAS[extra]
    (tmp_path / "cluster.yaml").write_text(json.dumps({"clusters": {"big": section}}))
    line = [sys.executable, str(ROOT / "jobs/store.py"), "verify", "--store", "store", "--cluster", "big"]
    environment = without(tmp_path / "without", library)
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert f"pip install 'geomob-dask[{extra}]'" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"cluster.yaml", "without"}


def test_a_machine_without_a_queue(refused, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for kind in ("slurm", "pbs", "lsf", "sge", "htcondor"):
        message = refused({**SLURM, "kind": kind})
        assert "expected a machine from which jobs are submitted" in message


@pytest.mark.slow
def test_a_partition_that_does_not_exist_and_a_wall_time_above_its_limit(refused, slurm):
    need("slurm")
    assert "partition nowhere" in refused({**SLURM, "partition": "nowhere"})


def test_a_scratch_folder_without_the_right_to_write():
    """Of another user than root, whom nothing stops."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, which becomes another user")
    code = (
        "import geomob_dask.clusters.local as local\n"
        "from geomob_dask.sections import LocalSection\n"
        "local._check_places(LocalSection(scratch='/usr', dashboard='127.0.0.1:0'))"
    )
    line = ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-B", "-c", code]
    done = subprocess.run(line, cwd="/", capture_output=True, text=True, timeout=120)
    assert "no right to write" in done.stderr


def test_an_interrupt_while_nobody_answers_ends_at_once(silent_port, tmp_path):
    section = {**ADDRESS, "address": f"tcp://127.0.0.1:{silent_port}", "timeout": 120}
    (tmp_path / "cluster.yaml").write_text(json.dumps({"clusters": {"big": section}}))
    line = [sys.executable, str(ROOT / "jobs/store.py"), "verify", "--store", "store", "--cluster", "big"]
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not any(one.raddr and one.raddr.port == silent_port for one in connections(process.pid)):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.startswith("error: interrupted")


def connections(pid: int) -> list:
    return psutil.Process(pid).net_connections("tcp")
