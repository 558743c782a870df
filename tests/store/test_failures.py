"""Stores that fail: full, read-only, without rights, answering with errors, slowly, or never."""

import errno
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pytest

from geomob_dask.errors import StoreError, StoreFailedError, StoreTimeoutError
from geomob_dask.runs.retries import may_pass
from geomob_dask.settings import load_settings
from geomob_dask.sources.sample import write_sample
from geomob_dask.store import Store, bucket
from geomob_dask.store.cube_form import form_of
from geomob_dask.store.cubes import Cube
from geomob_dask.store.objects import Objects

INGEST = Path(__file__).parents[2] / "jobs" / "ingest.py"
FRAME = pd.DataFrame({"a": [1.0]}, index=pd.Index(["18001000100"], name="geoid"))


# Folders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO", "EFBIG"])
def test_a_folder_that_cannot_be_written_fails_the_run(tmp_path, monkeypatch, job, code):
    store = Store(str(tmp_path / "store"))

    def refuses(_: int) -> None:
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuses)
    with pytest.raises(StoreFailedError, match="cannot write") as failed:
        store.put("measures/x/2020", "18", FRAME)
    assert failed.value.exit_code == 1
    done = job("ingest", "sample", "--store", store.url)
    assert done.code == 1
    assert os.strerror(getattr(errno, code)) in done.err
    assert store.objects.listing() == []


def test_a_disk_that_is_full_fails_the_run_and_leaves_nothing(tmp_path):
    file = str(write_sample(tmp_path).tracts)
    arguments = [str(INGEST), "tracts", file, "--vintage", "sample", "--store", str(tmp_path / "store")]
    code = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000)); "
        f"sys.argv = {arguments!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert done.returncode == 1, done.stderr
    assert os.strerror(errno.EFBIG) in done.stderr
    assert Objects(str(tmp_path / "store")).listing() == []


def test_a_disk_that_is_full_fails_the_writing_of_a_cube(tmp_path):
    cube = Cube(Store(str(tmp_path / "store")), "made")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(StoreFailedError, match="cubes/made: cannot be created"):
            cube.create(form_of({"a": "number"}, "tract"), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_a_user_must_change_is_bad_input(tmp_path, job):
    (tmp_path / "file").write_text("not a folder")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError) as refused:
            Store(str(place)).put("measures/x/2020", "18", FRAME)
        assert refused.value.exit_code == 2
        assert job("ingest", "sample", "--store", place).code == 2


def test_a_folder_that_cannot_be_listed_is_not_empty(tmp_path, job):
    # Root may list what has no rights, but not a link to itself.
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(StoreError, match=r"cannot list .*loop"):
        Store(tmp_path / "loop").objects.listing()
    for command in ("list", "verify", "clean"):
        done = job("store", command, "--store", tmp_path / "loop")
        assert done.code == 1, done
        assert os.strerror(errno.ELOOP) in done.err
    assert Store(tmp_path / "absent").objects.listing() == []


# Buckets -------------------------------------------------------------------------------------------


@contextmanager
def serving(answer) -> Iterator[str]:
    """Serve connections by a function that is given each of them; yield the address."""
    listening = socket.create_server(("127.0.0.1", 0))
    open_ones: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            open_ones.append(connection)
            threading.Thread(target=guarded, args=(connection,), daemon=True).start()

    def guarded(connection: socket.socket) -> None:
        with suppress(OSError):
            answer(connection)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()
        for connection in open_ones:
            connection.close()


def never(connection: socket.socket) -> None:
    connection.recv(65536)


def drips(connection: socket.socket) -> None:
    asked = connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: 100000\r\n")
    # An answer to HEAD has no body: its headers never end.
    connection.sendall(b"X-A: " if asked.startswith(b"HEAD") else b"\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.2)


def status(number: int):
    def answer(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % number)

    return answer


def resets(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()


@pytest.fixture
def at(monkeypatch):
    """Return what makes the store of a server, with a bucket of its own so that no other test's silence counts."""
    import s3fs

    def make(address: str, bucket: str, timeout: float = 1.5) -> Store:
        s3fs.S3FileSystem.clear_instance_cache()
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("GEOMOB_STORE_TIMEOUT", str(timeout))
        return Store(f"s3://{bucket}/x")

    yield make
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(("answer", "name"), [(never, "never"), (drips, "drips")])
def test_a_store_that_does_not_answer_is_said_and_given_up(at, capsys, job, answer, name):
    with serving(answer) as address:
        store = at(address, f"bucket-{name}")
        assert store.objects.timeout == 1.5
        for act in (
            store.objects.listing,
            lambda: store.find("measures/x/2020"),
            lambda: store.put("measures/x/2020", "18", FRAME),
            lambda: store.objects.open("a").__enter__(),
            lambda: Cube(store, "made").exists(),
        ):
            with pytest.raises(StoreTimeoutError, match=rf"bucket-{name}.*store_timeout") as failed:
                act()
            assert failed.value.exit_code == 1
            assert not may_pass(failed.value), "another attempt would wait as long"
        assert f"still waiting for s3://bucket-{name}/x" in capsys.readouterr().err
        for arguments in (
            ("opportunity", "--definition", "sample", "--dataset", "a", "--year", "2020", "--dry-run"),
            ("ingest", "sample"),
        ):
            done = job(*arguments, "--store", store.url)
            assert done.code == 1, done.err
            assert "within 1.5 s (store_timeout)" in done.err


@pytest.mark.parametrize(
    ("answer", "name"), [(status(500), "five-hundred"), (status(503), "slow-down"), (resets, "resets")]
)
def test_a_store_that_only_fails_fails_the_run(at, job, monkeypatch, answer, name):
    monkeypatch.setattr(bucket, "_FIRST_WAIT", 0.01)
    with serving(answer) as address:
        store = at(address, f"bucket-{name}", timeout=30)
        with pytest.raises(StoreFailedError) as failed:
            store.find("measures/x/2020")
        assert not isinstance(failed.value, StoreTimeoutError)
        assert may_pass(failed.value)
        for arguments in (("store", "list"), ("ingest", "sample")):
            done = job(*arguments, "--store", store.url)
            assert done.code == 1, done.err
            assert f"s3://bucket-{name}/x" in done.err


def test_nobody_at_the_address_fails_the_run(at, job, monkeypatch):
    monkeypatch.setattr(bucket, "_FIRST_WAIT", 0.01)
    with serving(never) as address:
        pass
    done = job("store", "list", "--store", at(address, "bucket-nobody", timeout=30).url)
    assert done.code == 1
    assert "AWS_ENDPOINT_URL" in done.err


def test_rights_that_are_refused_are_bad_input_until_something_is_written(at, job):
    with serving(status(403)) as address:
        store = at(address, "bucket-forbidden", timeout=30)
        with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID") as refused:
            store.find("measures/x/2020")
        assert refused.value.exit_code == 2
        with pytest.raises(StoreFailedError):
            store.put("measures/x/2020", "18", FRAME)


def test_a_request_is_tried_again_within_one_budget(at, monkeypatch):
    monkeypatch.setattr(bucket, "_FIRST_WAIT", 0.01)
    asked: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            asked.append(data)
            connection.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")

    with serving(answer) as address:
        store = at(address, "bucket-budget", timeout=30)
        with pytest.raises(StoreFailedError):
            store.objects.get("a")
    assert len(asked) == 6, "one layer tries again, not three that multiply"


# Settings ------------------------------------------------------------------------------------------


def test_the_time_comes_from_the_file_and_the_environment(tmp_path, monkeypatch, job):
    (tmp_path / "cluster.yaml").write_text("store_timeout: 7\nstore: s3://some-bucket/x\n")
    monkeypatch.delenv("GEOMOB_STORE_TIMEOUT", raising=False)
    settings = load_settings(str(tmp_path / "cluster.yaml"))
    store = Store.of(settings)
    assert store.objects.timeout == store.pinned().objects.timeout == 7
    monkeypatch.setenv("GEOMOB_STORE_TIMEOUT", "9")
    assert load_settings(str(tmp_path / "cluster.yaml")).store_timeout == 9
    assert Store("s3://some-bucket/x").objects.timeout == 9
    for wrong in ("0", "-1", "soon", "nan", "inf"):
        monkeypatch.setenv("GEOMOB_STORE_TIMEOUT", wrong)
        done = job("store", "list", "--store", tmp_path / "store")
        assert done.code == 2
        assert "store_timeout" in done.err
