"""The script of faults still runs, its storage fails as it says, and it tells computing twice from having to."""

import json
import os
from pathlib import Path

import pytest
import s3fs
from scripts import benchmark

from geomob_dask.errors import StoreError
from geomob_dask.store.objects import Objects


@pytest.fixture(scope="module")
def storage():
    return benchmark("faulty_storage")


@pytest.fixture(scope="module")
def faults(storage):
    return benchmark("faults")


@pytest.fixture
def through(storage, bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch):
    """Return what makes the same bucket through a proxy and without one."""

    def make(proxy) -> tuple[Objects, Objects]:
        # Clients are kept by their arguments, and look up where the service is when they first need it.
        s3fs.S3FileSystem.clear_instance_cache()
        direct = Objects(bucket)
        assert direct.listing() == []
        s3fs.S3FileSystem.clear_instance_cache()
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        return Objects(bucket), direct

    yield make
    s3fs.S3FileSystem.clear_instance_cache()


def test_what_passes_is_unchanged(storage, through, s3_endpoint: str):
    data = os.urandom(100_000)
    with storage.FaultyStorage(s3_endpoint, rate=0).running() as proxy:
        faulty, direct = through(proxy)
        faulty.put("folder/é +1.bin", data)
        assert direct.get("folder/é +1.bin") == faulty.get("folder/é +1.bin") == data
        with faulty.open("folder/é +1.bin") as stream:
            stream.seek(50_000)
            assert stream.read(10) == data[50_000:50_010]
        assert (faulty.create("marker", b"1"), faulty.create("marker", b"2")) == (True, False)
        assert faulty.listing() == direct.listing()
        faulty.delete("marker")
        assert not faulty.exists("marker")
        assert set(proxy.counts) == {"passed"}


@pytest.mark.parametrize("fault", ["500", "503", "slow", "answer cut", "answer lost"])
def test_a_store_gets_over_single_faults(storage, through, s3_endpoint: str, fault: str):
    with storage.FaultyStorage(s3_endpoint, rate=0.3, seed=4, slow=0.02, faults=[fault]).running() as proxy:
        faulty, direct = through(proxy)
        for number in range(2):
            data = b"%d" % number * 1000
            faulty.put(f"{number}", data)
            assert faulty.get(f"{number}") == data
            faulty.create(f"c{number}", data)
        assert proxy.counts[fault] > 0
    assert [len(direct.get(name)) for name in direct.names("")] == [1000] * 4


def test_a_storage_that_only_fails_is_told_and_holds_nothing(storage, through, s3_endpoint: str):
    with storage.FaultyStorage(s3_endpoint, rate=1, faults=["500", "503"]).running() as proxy:
        faulty, direct = through(proxy)
        with pytest.raises(StoreError, match="cannot write"):
            faulty.put("x", b"1" * 1000)
        assert proxy.counts.total() > 1, "it is tried again"
    assert direct.names("") == []


def note(faults, path: Path, *lines: tuple[float, int, str, str]) -> list:
    path.write_text(
        "".join(json.dumps({"t": t, "pid": pid, "event": event, "unit": unit}) + "\n" for t, pid, event, unit in lines)
    )
    return faults.attempts(path)


def test_computing_twice_is_told_from_having_to(faults, tmp_path):
    found = note(
        faults,
        tmp_path / "log",
        # Cut off by a kill, then computed, then its receipt is found.
        (0, 1, "begin", "a"),
        (0, 1, "compute", "a"),
        (5, 2, "begin", "a"),
        (5, 2, "compute", "a"),
        (7, 2, "end", "a"),
        (8, 2, "begin", "a"),
        (8, 2, "end", "a"),
        # Its storage failed.
        (0, 3, "compute", "b"),
        (1, 3, "error", "b"),
        (2, 3, "compute", "b"),
        (3, 3, "end", "b"),
        # The driver was killed while a worker had it in hand.
        (0, 4, "compute", "c"),
        (1, 5, "compute", "c"),
        (2, 4, "end", "c"),
        (3, 5, "end", "c"),
        # Whole, and computed again.
        (0, 6, "compute", "d"),
        (1, 6, "end", "d"),
        (2, 6, "compute", "d"),
        (3, 6, "end", "d"),
    )
    assert faults.count_work(found) == faults.Work(4, 8, 1, 1, 1, 1)


def test_a_backfill_survives_a_kill(faults, tmp_path):
    told, work, storage = faults.measure(tmp_path, kills=1, years=1, seed=5, pause=0.5)
    assert told.wrong == []
    assert told.seen.bad == []
    assert told.seen.counts["parts"] > 0, "the reader saw results"
    assert told.kills.total() >= 1
    assert told.exits["0"] == told.rounds
    assert (work.outputs, work.needless, storage) == (told.rounds * faults.outputs_a_year(), 0, {})
    shown = faults.lines(told, work, storage, work.outputs)
    assert shown[-1] == "wrong at the end of a round  0"
