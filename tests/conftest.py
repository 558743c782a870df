"""Fixtures shared by all tests: real data, a real cluster, a bucket."""

import os
import runpy
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from browser import chromium, screenshots, seen, visit  # noqa: F401
from host_services import started
from waits import free_port

# How long an example takes depends on the machine.
hypothesis.settings.register_profile("geomob", deadline=None)
hypothesis.settings.load_profile("geomob")

JOBS = Path(__file__).parents[1] / "jobs"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real tables; tests on it are skipped by name where it is not set."""
    folder = os.environ.get("GEOMOB_DATA")
    if not folder:
        pytest.skip("GEOMOB_DATA is not set: no real data")
    return Path(folder)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Serve S3 on loopback, or use the gateway that GEOMOB_TEST_S3 names; workers inherit how to reach it."""
    endpoint = os.environ.get("GEOMOB_TEST_S3")
    server = None
    if endpoint is None:
        from moto.s3.responses import S3Response
        from moto.server import ThreadedMotoServer

        lock, put = threading.Lock(), S3Response.put_object

        def one_at_a_time(self: S3Response) -> object:
            # It looks whether an object is there, and stores it: two at once would both succeed.
            with lock:
                return put(self)

        S3Response.put_object = one_at_a_time
        port = free_port()
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
        server.start()
        endpoint = f"http://127.0.0.1:{port}"
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": os.environ.get("GEOMOB_TEST_S3_KEY", "testkey"),
        "AWS_SECRET_ACCESS_KEY": os.environ.get("GEOMOB_TEST_S3_SECRET", "testsecret"),
        "AWS_DEFAULT_REGION": "us-east-1",
        # Older gateways know no checksums in trailers.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    yield endpoint
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if server is not None:
        server.stop()
        S3Response.put_object = put


@contextmanager
def in_use(service: str, folder: Path) -> Iterator[Path]:
    """Start a service, whose commands here find it by their variables; yield its folder."""
    with started(service, folder) as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield folder


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start Slurm with two nodes; return its folder."""
    with in_use("slurm", tmp_path_factory.mktemp("services") / "slurm") as folder:
        yield folder


@pytest.fixture(scope="session")
def sge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start Grid Engine with one node; return its folder."""
    with in_use("sge", tmp_path_factory.mktemp("services") / "sge") as folder:
        yield folder


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start Ceph's S3 gateway; return the AWS variables of its user, which this process does not get yet."""
    with started("ceph", tmp_path_factory.mktemp("services") / "ceph") as variables:
        yield variables


@pytest.fixture
def ceph_bucket(ceph: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of a bucket of this test's own on Ceph's gateway; jobs that it starts reach it too."""
    import boto3
    import s3fs

    for name, value in ceph.items():
        monkeypatch.setenv(name, value)
    # One that is open to another endpoint would be used again.
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"test-{uuid.uuid4().hex}"
    boto3.session.Session().client("s3").create_bucket(Bucket=name)
    yield f"s3://{name}/prefix"
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(s3_endpoint: str) -> str:
    """Return the URL of a bucket of this test's own."""
    import boto3

    name = f"test-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/prefix"


@pytest.fixture(scope="session")
def client(s3_endpoint: str) -> Iterator[object]:
    """Return a client of a real cluster of two worker processes."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", memory_limit="2GiB"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@dataclass(frozen=True)
class Done:
    """How a job ended: exit code, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a job's script in this process, as the shell would."""

    def run(name: str, *arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", [f"jobs/{name}.py", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            runpy.run_path(str(JOBS / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return run
