"""Fixtures shared by all tests: real data, a real cluster, a bucket."""

import os
import runpy
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Serve S3 on loopback, or use the gateway that GEOMOB_TEST_S3 names; workers inherit how to reach it."""
    endpoint = os.environ.get("GEOMOB_TEST_S3")
    server = None
    if endpoint is None:
        from moto.server import ThreadedMotoServer

        port = _free_port()
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
