"""A bucket that falls silent in the middle: no call of Icechunk waits for it without end or without a word."""

import fcntl
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
import s3fs
from cube_results import QUIET, put_year, write_cube

from geomob_dask.errors import StoreFailedError, StoreTimeoutError
from geomob_dask.store import Store
from geomob_dask.store.cubes import Cube, open_cube

# Seconds for what is to succeed, on a busy machine too; what is to be given up has those that `gate` sets.
PATIENT = 60.0


class Gate:
    """What lies between a store and its bucket: from a request that matches a pattern on, nothing gets through."""

    def __init__(self, endpoint: str) -> None:
        self.pattern, self.silent = b"", False
        self._endpoint = (urlsplit(endpoint).hostname, urlsplit(endpoint).port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def opened(self) -> None:
        """Let everything through."""
        self.pattern, self.silent = b"", False

    def close(self) -> None:
        self.opened()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._endpoint)
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other, one is near), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, asks: bool) -> None:
        with suppress(OSError), one, other:
            while data := one.recv(65536):
                self.silent |= bool(asks and self.pattern and re.search(self.pattern, data))
                while self.silent:
                    time.sleep(0.05)
                other.sendall(data)


@pytest.fixture
def gate(bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    one = Gate(s3_endpoint)
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", one.address)
    monkeypatch.setenv("GEOMOB_STORE_TIMEOUT", "4")
    yield one
    one.close()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("request_of", [rb"PUT \S+/manifests/", rb"PUT \S+/refs/", rb"GET \S+/cubes/made/"])
def test_a_cube_that_is_written_is_given_up_and_stays_whole(bucket: str, gate: Gate, capsys, request_of: bytes) -> None:
    store = Store(bucket, timeout=PATIENT)
    results = {year: put_year(store, year) for year in (2015, 2018)}
    write_cube(store, "made", {2015: results[2015]}, None, QUIET)
    before = Cube(store, "made").history()
    assert len(before) == 1
    gate.pattern = request_of
    with pytest.raises(StoreFailedError, match="store_timeout") as failed:
        write_cube(Store(bucket), "made", results, None, QUIET)
    assert isinstance(failed.value, StoreTimeoutError)
    assert failed.value.exit_code == 1
    assert f"still waiting for {bucket}/cubes/made" in capsys.readouterr().err
    gate.opened()
    # A commit that was under way may still arrive: it is there whole, or not at all.
    cube = open_cube(store, "made").load()
    known = cube.attrs["version"] == before[0].id
    assert cube["year"].values.tolist() == ([2015] if known else [2015, 2018])
    assert cube["estimate"].notnull().any(("tract", "measure")).all()
    write_cube(store, "made", results, None, QUIET)
    assert open_cube(store, "made")["estimate"].sel(year=2018).notnull().any()


def test_a_cube_that_is_read_is_given_up_also_after_it_was_opened(bucket: str, gate: Gate, capsys) -> None:
    patient = Store(bucket, timeout=PATIENT)
    write_cube(patient, "made", {2015: put_year(patient, 2015, n=400)}, None, QUIET)
    assert "still waiting" not in capsys.readouterr().err
    store = Store(bucket)
    cube = open_cube(store, "made")
    capsys.readouterr()
    gate.silent = True
    with pytest.raises(StoreTimeoutError, match=r"cubes/made.*store_timeout"):
        cube["estimate"].load(scheduler="sync")
    assert f"still waiting for {bucket}/cubes/made" in capsys.readouterr().err
    for act in (Cube(store, "made").history, Cube(store, "made").state, lambda: open_cube(store, "made")):
        with pytest.raises(StoreTimeoutError, match="store_timeout"):
            act()
    gate.opened()
    assert open_cube(patient, "made")["estimate"].load(scheduler="sync").notnull().any()


def test_another_writer_of_a_folder_is_said_and_not_waited_for_without_end(tmp_path, capsys) -> None:
    store = Store(str(tmp_path), timeout=0.4)
    results = {2015: put_year(store, 2015)}
    (tmp_path / "cubes").mkdir()
    with open(tmp_path / "cubes/.made.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreTimeoutError, match=r"another writer of .*cubes/made"):
            write_cube(store, "made", results, None, QUIET)
    assert "still waiting for another writer" in capsys.readouterr().err
    assert Cube(store, "made").state() is None
    write_cube(store, "made", results, None, QUIET)
    assert list(open_cube(store, "made")["year"]) == [2015]
