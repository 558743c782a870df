"""The doctor on real clusters and stores, some of which are not as they should be."""

import csv
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import s3fs
from cluster_processes import processes
from host_services import need
from odd_workers import with_versions, without, worker
from stores import ingest_sample
from waits import free_port

import geomob_dask
from geomob_dask.doctor import memory
from geomob_dask.doctor.stores import one_winner
from geomob_dask.doctor.trial import Trial, trial_of
from geomob_dask.store import Store
from geomob_dask.store.cleaning import unreferenced
from geomob_dask.store.objects import Objects

ROOT = Path(__file__).parents[2]
FAULTY_STORAGE = runpy.run_path(str(ROOT / "benchmarks/faulty_storage.py"))["FaultyStorage"]
Findings = list[dict[str, str]]


@pytest.fixture
def doctor(job, tmp_path, monkeypatch) -> Callable[..., tuple[int, Findings, Any]]:
    """Run the doctor; return its exit code, its findings and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, Findings, Any]:
        file = tmp_path / "findings.json"
        file.unlink(missing_ok=True)
        done = job("doctor", *arguments, "--export", file)
        assert "Traceback" not in done.out + done.err
        return done.code, json.loads(file.read_text()), done

    return run


@pytest.fixture
def endpoint(s3_endpoint, monkeypatch) -> Iterator[Callable[[str], None]]:
    """Have buckets at another endpoint; a file system that is open to one would be used again."""

    def at(url: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        s3fs.S3FileSystem.clear_instance_cache()

    yield at
    s3fs.S3FileSystem.clear_instance_cache()


def at(address: str, **more: object) -> tuple[str, ...]:
    """Return the flags for a scheduler that runs; its section is in a file of the current folder."""
    section = {"kind": "address", "address": address, **more}
    Path("cluster.yaml").write_text(json.dumps({"clusters": {"address": section}}))
    return "--cluster", "address"


def of_level(findings: Findings, level: str = "wrong") -> set[tuple[str, str]]:
    """Return check and machine of the findings of a level."""
    return {(one["check"], one["where"]) for one in findings if one["level"] == level}


def objects_in(url: str) -> list[str]:
    return [item.key for item in Store(url).objects.listing()]


def test_a_cluster_and_a_bucket_that_are_well(client, bucket, doctor):
    code, findings, done = doctor(*at(client.scheduler.address), "--store", bucket)
    assert code == 0, done
    assert of_level(findings) == set()
    by_check = {one["check"]: one for one in findings}
    assert "2 workers" in by_check["store"]["found"]
    assert "20 times in 20" in by_check["commits"]["found"]
    assert "the storage's within" in by_check["clocks"]["found"]
    assert objects_in(bucket) == []
    assert "0 wrong" in done.out


def test_without_a_cluster_and_a_folder_that_does_not_exist(doctor, tmp_path, job):
    code, findings, _ = doctor("--cluster", "serial", "--store", tmp_path / "new" / "store")
    assert code == 0
    assert {"versions", "store", "commits", "speed"} <= {one["check"] for one in findings}
    assert not (tmp_path / "new").exists()
    done = job("doctor", "--cluster", "serial", "--export", tmp_path / "a.csv", "--store", tmp_path / "store")
    assert done.code == 0
    with (tmp_path / "a.csv").open() as file:
        assert {"check", "level", "found", "expected", "advice", "where"} == set(next(csv.DictReader(file)))


def test_a_file_of_another_kind_is_bad_usage(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = job("doctor", "--cluster", "serial", "--export", "findings.gpkg")
    assert done.code == 2
    assert "findings.gpkg" in done.err
    assert list(tmp_path.iterdir()) == []


@contextmanager
def odd_cluster(folder: Path, store: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the address of a scheduler with four odd workers, and what those are called."""
    hidden = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs none {store} && exec "$@"', "sh")
    # Timeouts go by the other clock, which runs as it should.
    late = {**os.environ, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    odd = {
        "old": {"environment": with_versions(folder / "versions", geomob_dask="0.0.1", numpy="1.0.0", s3fs="0.1")},
        "bare": {"environment": without(folder / "without", "geomob_dask")},
        "late": {"before": ("faketime", "-f", "+20m"), "environment": late},
        "elsewhere": {"before": hidden},
    }
    names = {}
    with processes(folder, workers=0) as cluster, ExitStack() as stack:
        for name, how in odd.items():
            port = free_port()
            names[name] = f"worker tcp://127.0.0.1:{port}"
            stack.enter_context(worker(cluster.address, folder / name, worker_port=str(port), **how))
        cluster.await_workers(len(odd))
        yield cluster.address, names


@pytest.mark.slow
def test_odd_workers_are_named_with_what_is_odd(doctor, bucket, tmp_path):
    need("clock")
    need("hosts")
    store = tmp_path / "store"
    store.mkdir()
    with odd_cluster(tmp_path, store) as (address, odd):
        code, findings, done = doctor(*at(address), "--store", store)
        assert code == 1
        assert "error: " in done.err
        found = of_level(findings)
        assert ("versions", odd["old"]) in found
        assert ("package", odd["bare"]) in found
        assert ("store", odd["elsewhere"]) in found
        assert {where for check, where in of_level(findings, "warning") if check == "clocks"} == {odd["late"]}
        told = {one["found"]: one for one in findings if one["where"] == odd["old"] and one["check"] == "versions"}
        assert {text.split(" (")[0] for text in told} == {"geomob-dask 0.0.1", "numpy 1.0.0", "s3fs 0.1"}
        assert {one["level"] for text, one in told.items() if text.startswith("s3fs")} == {"warning"}
        assert any(geomob_dask.__version__ in one["expected"] for one in told.values())
        assert list(store.iterdir()) == []
        # Storage refuses what is signed by a clock of its own.
        code, findings, _ = doctor(*at(address), "--store", bucket)
        assert code == 1
        assert ("clocks", odd["late"]) in of_level(findings)
        assert ("store", odd["elsewhere"]) not in of_level(findings)
        assert objects_in(bucket) == []


def test_a_stopped_worker_is_a_line_and_not_a_wait(doctor, tmp_path):
    with processes(tmp_path, workers=2) as cluster:
        cluster.workers[0].send_signal(signal.SIGSTOP)
        code, findings, _ = doctor(*at(cluster.address), "--store", tmp_path / "store", "--timeout", 3)
    assert code == 1
    [(check, where)] = of_level(findings)
    assert check == "answers"
    assert where.startswith("worker tcp://")


def test_no_scheduler_leaves_the_checks_of_this_machine(doctor, tmp_path):
    code, findings, _ = doctor(*at("tcp://127.0.0.1:9", timeout=1), "--store", tmp_path / "store")
    assert code == 1
    assert of_level(findings) == {("cluster", "")}
    assert ("commits", "") in of_level(findings, "ok")


def test_memory_below_the_largest_partition(doctor, tmp_path, monkeypatch):
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    # Partitions of the sample are small: this stands for large ones.
    monkeypatch.setattr(memory, "GROWTH", {"measures": 1e6})
    with processes(tmp_path, workers=0) as cluster, worker(cluster.address, tmp_path / "w", memory_limit="700MiB"):
        cluster.await_workers(1)
        code, findings, _ = doctor(*at(cluster.address), "--store", store.url)
    assert code == 1
    [finding] = [one for one in findings if one["level"] == "wrong"]
    assert finding["check"] == "memory"
    assert "0.7 GiB" in finding["found"] or "700.0 MiB" in finding["found"]
    assert "measures/sample/2020" in finding["expected"]
    assert "memory_limit" in finding["advice"]


def test_an_interrupt_leaves_nothing_in_the_store(bucket, s3_endpoint, tmp_path):
    line = [sys.executable, str(ROOT / "jobs/doctor.py"), "--cluster", "serial", "--store", bucket]
    # Slow for the doctor only: its objects are there for long enough to be seen.
    slow = FAULTY_STORAGE(s3_endpoint, rate=1.0, slow=0.5, faults=("slow",))
    environment = {**os.environ, "AWS_ENDPOINT_URL": slow.url}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with slow.running(), subprocess.Popen(line, cwd=tmp_path, env=environment, **pipes) as process:
        while not (there := objects_in(bucket)) and process.poll() is None:
            pass
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert there
    assert process.returncode == 1
    assert "error: interrupted" in said
    assert "Traceback" not in said
    assert objects_in(bucket) == []


def test_a_race_that_was_interrupted_writes_nothing_after_its_objects_are_removed(tmp_path, monkeypatch):
    """It would last for longer than is looked for what is left."""
    began, create = threading.Event(), Objects.create

    def slow(self, key, data):
        began.set()
        time.sleep(0.3)
        return create(self, key, data)

    monkeypatch.setattr(Objects, "create", slow)
    objects = Objects(tmp_path)
    with suppress(KeyboardInterrupt), trial_of(objects, 30.0) as trial:
        racing = threading.Thread(target=one_winner, args=(trial, None, (), {}, 30.0))
        racing.start()
        assert began.wait(30)
        raise KeyboardInterrupt
    racing.join(60)
    assert not racing.is_alive()
    assert objects.listing(trial.folder) == []


def test_what_a_killed_doctor_leaves_is_cleaned_away(bucket):
    store = Store(bucket)
    left = Trial(store.objects)
    store.objects.put(left.key("client"), b"left")
    assert [item.key for item in unreferenced(store.objects, older_than=0.0).temporary] == [left.key("client")]


# Storage that is not as it should be -------------------------------------------------------------


def test_storage_that_ignores_the_condition_of_a_put(doctor, bucket, s3_endpoint, endpoint):
    proxy = FAULTY_STORAGE(s3_endpoint, rate=0.0, ignored=("If-None-Match",))
    with proxy.running():
        endpoint(proxy.url)
        code, findings, _ = doctor("--cluster", "serial", "--store", bucket)
    assert code == 1
    [finding] = [one for one in findings if one["level"] == "wrong"]
    assert finding["check"] == "commits"
    assert "If-None-Match" in finding["found"]
    assert "8 succeeded" in finding["found"]


def test_storage_that_never_answers(doctor, endpoint):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        endpoint(f"http://127.0.0.1:{silent.getsockname()[1]}")
        code, findings, _ = doctor("--cluster", "serial", "--store", "s3://nowhere/prefix", "--timeout", 2)
    assert code == 1
    assert of_level(findings) == {("store", "client")}
    assert {check for check, _ in of_level(findings, "skipped")} >= {"commits", "speed", "memory"}


def test_a_bucket_that_does_not_exist(doctor, s3_endpoint):
    code, findings, _ = doctor("--cluster", "serial", "--store", "s3://nobody-made-this/prefix")
    assert code == 1
    assert of_level(findings) == {("store", "client")}


@pytest.mark.slow
def test_a_real_gateway(ceph_bucket, doctor):
    code, findings, done = doctor("--cluster", "serial", "--store", ceph_bucket)
    assert code == 0, done
    assert any(one["check"] == "commits" and "20 times in 20" in one["found"] for one in findings)
    assert objects_in(ceph_bucket) == []
