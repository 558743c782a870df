"""jobs/submit.py on real Slurm: the driver is a job, which is cancelled, killed, and reaches its wall time."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from backfill_country import shown
from waits import await_that

from geomob_dask.store import Store
from geomob_dask.submissions.records import Records

pytestmark = pytest.mark.slow

SECRET = "a-secret-of-a-test"


@pytest.fixture
def node(here, slurm, tmp_path):
    """Return a function that writes a section `node`, of one process in a job of Slurm; end the jobs that are left."""

    def write(**driver: object) -> None:
        section = {"kind": "serial", "driver": {"kind": "slurm", "memory": "500MiB", "walltime": "5 minutes", **driver}}
        Path("cluster.yaml").write_text(yaml.safe_dump({"clusters": {"node": section}}))

    yield write
    subprocess.run(["scancel", "--user=root"], check=True)
    await_that(lambda: not jobs())


def jobs() -> list[str]:
    asked = ["squeue", "--noheader", "--format=%i"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()


def submitted(job, country, store: str) -> Records:
    """Submit the backfill; return its records."""
    done = job("submit", "backfill", country[1], "--years", "2017:2021", "--cluster", "node")
    assert done.code == 0, done.err
    (id,) = re.findall(r"^submitted (\S+): Slurm job \d+$", done.out, re.MULTILINE)
    return Records(Store(store).objects, id)


def begun(store: str) -> bool:
    return bool(Store(store).collections("results"))


def runs(records: Records) -> list[str]:
    return [str(ended["outcome"]) for _, ended in sorted(records.known().of("ended").items())]


def test_a_driver_that_is_told_of_the_end_of_its_wall_time_goes_on_in_another_job(node, here, country, job):
    node()
    records = submitted(job, country, here)
    await_that(lambda: begun(here))
    number = records.known().number
    script = ["scontrol", "write", "batch_script", number, "-"]
    assert SECRET not in subprocess.run(script, check=True, capture_output=True, text=True).stdout
    # As Slurm does, by --signal=B:USR1@…
    subprocess.run(["scancel", "--batch", "--signal=USR1", number], check=True)
    followed = job("submit", "--follow", records.id)
    assert followed.code == 0, followed.err
    assert runs(records) == ["continued", "done"]
    assert shown(Store(here)) == country[2]
    assert f"goes on as Slurm job {records.known().number}" in followed.out
    assert records.known().number != number


def state(number: str) -> str:
    """Return a job's state and exit code."""
    text = subprocess.run(["scontrol", "show", "job", number], check=True, capture_output=True, text=True).stdout
    return " ".join(re.findall(r"(?:JobState|ExitCode)=(\S+)", text))


def test_a_displaced_driver_that_slurm_starts_again_leaves_the_one_that_it_submitted_alone(node, slow, job):
    node()
    records = slow()
    first = records.known().number
    # As another job does that takes its place: SIGTERM, and into the queue again.
    subprocess.run(["scontrol", "requeue", first], check=True)
    await_that(lambda: records.known().last("began") == 2)
    second = records.known().number
    assert second != first
    await_that(lambda: state(first).startswith("PENDING"))
    subprocess.run(["scontrol", "update", f"JobId={first}", "StartTime=now"], check=True)
    await_that(lambda: state(first) == "FAILED 75:0")
    assert state(second) == "RUNNING 0:0"
    followed = job("submit", "--follow", records.id)
    assert followed.code == 0, followed.err
    assert f"goes on as Slurm job {second}" in followed.out
    assert runs(records) == ["continued", "done"]
    assert followed.out.count("45 of 45") == 1


def test_a_driver_that_slurm_took_without_an_answer_is_in_the_queue_once(node, slow, tmp_path, job, monkeypatch):
    node()
    (tmp_path / "bin").mkdir()
    once = f"test -e {tmp_path}/answered && exit 0; touch {tmp_path}/answered; echo 'Socket timed out' >&2; exit 1\n"
    (tmp_path / "bin/sbatch").write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@" || exit 1\n{once}')
    (tmp_path / "bin/sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    records = slow()
    number = records.known().number
    assert jobs() == [number]
    (tmp_path / "answered").unlink()
    # The driver submits itself by the same command.
    subprocess.run(["scancel", "--batch", "--signal=USR1", number], check=True)
    await_that(lambda: records.known().last("began") == 2)
    assert jobs() == [records.known().number]
    assert job("submit", "--cancel", records.id).code == 0
    await_that(lambda: jobs() == [])


def test_a_driver_that_reaches_its_wall_time_goes_on_in_another_job(node, slow, job):
    node(walltime="1 minute", margin="30s")
    records = slow()
    followed = job("submit", "--follow", records.id)
    assert followed.code == 0, followed.err
    *before, last = runs(records)
    assert (set(before), last) == ({"continued"}, "done")
    assert followed.out.count("45 of 45") == 1
    assert "its wall time is nearly over" in followed.out


def test_a_driver_that_the_queue_ends_comes_back_where_it_is_to(node, here, country, job):
    node()
    records = submitted(job, country, here)
    await_that(lambda: begun(here))
    subprocess.run(["scancel", records.known().number], check=True)
    assert job("submit", "--follow", records.id).code == 0
    assert runs(records) == ["continued", "done"]
    assert shown(Store(here)) == country[2]


def test_a_driver_that_somebody_ends_takes_its_workers_with_it_until_it_is_resumed(node, here, country, job):
    node()
    clusters = yaml.safe_load(Path("cluster.yaml").read_text())["clusters"]
    driver = {**clusters["node"]["driver"], "walltime": "10 minutes", "resume": "walltime"}
    workers = {"kind": "slurm", "workers": 2, "memory": "1GiB", "walltime": "10 minutes", "driver": driver}
    Path("cluster.yaml").write_text(yaml.safe_dump({"clusters": {"node": workers}}))
    records = submitted(job, country, here)
    await_that(lambda: begun(here))
    assert len(jobs()) > 1
    subprocess.run(["scancel", records.known().number], check=True)
    followed = job("submit", "--follow", records.id)
    assert followed.code == 1
    assert "cancelled" in followed.err
    await_that(lambda: not jobs())
    assert begun(here)
    assert job("submit", "--resume", records.id).code == 0
    assert job("submit", "--follow", records.id).code == 0
    assert shown(Store(here)) == country[2]


def test_a_job_that_waits_says_why_and_leaves_the_queue(node, here, country, job):
    node(directives=["--begin=now+1hour"])
    records = submitted(job, country, here)
    assert re.search(rf"{records.id}  queued since .*: BeginTime", job("submit", "--status").out)
    assert job("submit", "--cancel", records.id).code == 0
    assert jobs() == []
    assert "cancelled at" in job("submit", "--status", records.id).out
    assert not begun(here)


def test_a_partition_that_does_not_exist_is_told_and_leaves_no_record(node, here, country, job):
    node(queue="nowhere")
    done = job("submit", "backfill", country[1], "--years", "2017", "--cluster", "node")
    assert done.code == 2
    assert re.search(r"clusters.node: driver: sbatch: .*partition", done.err)
    assert "no submissions" in job("submit", "--status").out
