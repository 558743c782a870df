"""Jobs on real Slurm, with their store on a real S3 gateway: whatever happens to workers, the same bytes."""

import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest
import yaml
from backfill_country import command, fill, run_command, shown, write_file
from waits import await_that

from geomob_dask.clusters import connect, effective
from geomob_dask.errors import RunError, SettingsError
from geomob_dask.sections import SlurmSection
from geomob_dask.settings import Settings
from geomob_dask.store import Store

YEARS = (2019, 2020, 2021, 2022, 2023)
PRODUCTS = ("nation", "index", "counties", "mixed", "apart")
SECTION = {
    "kind": "slurm",
    "host": "127.0.0.1",
    "dashboard": "127.0.0.1:0",
    "memory": "1500MiB",
    "walltime": "5 minutes",
}


def asked(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def jobs(*states: str) -> list[str]:
    """Return the numbers of this test's jobs in some states; by default those that have not ended."""
    chosen = ",".join(states or ("PENDING", "RUNNING", "COMPLETING"))
    lines = asked("squeue", "--noheader", f"--states={chosen}", "--format=%i %j").splitlines()
    return [line.split()[0] for line in lines if line.split()[1].startswith("geomob-")]


def no_job_is_left() -> bool:
    return not jobs()


def section(tmp_path: Path, **options: object) -> SlurmSection:
    given = {**SECTION, "workers": 1, "logs": str(tmp_path / "logs"), **options}
    return SlurmSection.model_validate(given)


def settings(tmp_path: Path, **options: object) -> Settings:
    return Settings(cluster="slurm", clusters={"slurm": section(tmp_path, **options)})


def write_section(tmp_path: Path, **options: object) -> dict[str, str]:
    """Write cluster.yaml; return the environment of a job that reads it."""
    file = tmp_path / "cluster.yaml"
    given = {**SECTION, "workers": 2, "logs": str(tmp_path / "logs"), **options}
    file.write_text(yaml.safe_dump({"clusters": {"slurm": given}}))
    return {**os.environ, "GEOMOB_CONFIG": str(file)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what a run without a cluster shows."""
    folder = tmp_path_factory.mktemp("undisturbed")
    store = fill(str(folder / "store"), folder, years=YEARS)
    done = run_command(command(write_file(folder, *PRODUCTS), store.url, "--years", "2019:2023"))
    assert done.returncode == 0, done.stderr
    return shown(store)


@pytest.mark.slow
def test_a_backfill_ends_by_itself_whatever_happens_to_its_jobs(slurm, ceph_bucket, tmp_path, undisturbed):
    """A worker's job is canceled and its node drained, then all jobs are canceled."""
    store = fill(ceph_bucket, tmp_path, years=YEARS)
    environment = write_section(tmp_path)
    line = command(write_file(tmp_path, *PRODUCTS), store.url, "--years", "2019:2023", cluster="slurm")
    earlier = set(jobs("CANCELLED"))
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(line, env=environment, stdout=log, stderr=log)
    try:
        await_that(lambda: (outputs(store) >= 1 and jobs("RUNNING")) or running.poll() is not None)
        asked("scancel", jobs("RUNNING")[0])
        asked("scontrol", "update", "node=n1", "state=drain", "reason=test")
        await_that(lambda: outputs(store) >= 10 or running.poll() is not None)
        asked("scancel", *jobs())
        code = running.wait(240)
    finally:
        running.kill()
        # Refused where the node was not drained: then something else has failed, and is what is reported.
        subprocess.run(["scontrol", "update", "node=n1", "state=resume"], check=False)
    said = (tmp_path / "log").read_text()
    assert code == 0, said
    assert shown(store) == undisturbed
    assert "Traceback" not in said
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in said
    # The first two, and those that took their place.
    assert len(set(jobs("CANCELLED")) - earlier) >= 4
    await_that(no_job_is_left)


def outputs(store: Store) -> int:
    return sum(
        1 for found in store.objects.listing("results") if "/_outputs/" in found.key or "/_snapshots/" in found.key
    )


@pytest.mark.slow
def test_workers_retire_before_the_queue_ends_their_job(slurm, tmp_path):
    """What they hold is handed over, and other jobs take their place; nothing ends for its time."""

    # Workers cannot import this module.
    def half_a_second(number: int) -> int:
        time.sleep(0.5)
        return number**2

    earlier = set(jobs("COMPLETED", "CANCELLED", "TIMEOUT"))
    chosen = settings(tmp_path, workers=2, walltime="1 minute", lifetime="12 s", lifetime_stagger="3 s")
    with connect(chosen) as client:
        held = client.map(half_a_second, range(80))
        assert client.gather(held) == [number**2 for number in range(80)]
        assert all(task.suspicious == 0 for task in client.cluster.scheduler.tasks.values())
    await_that(no_job_is_left)
    # The first two, and those that took their place.
    assert len(set(jobs("COMPLETED", "CANCELLED")) - earlier) >= 4
    assert set(jobs("TIMEOUT")) <= earlier


@pytest.mark.slow
def test_jobs_end_with_their_driver(slurm, tmp_path):
    """Interrupted, it cancels them; killed, it leaves workers that leave by themselves."""
    store = fill(str(tmp_path / "store"), tmp_path, years=(2019,), per_state=40)
    line = command(write_file(tmp_path, "nation", "apart"), store.url, "--years", "2019", cluster="slurm")
    for number in (signal.SIGTERM, signal.SIGKILL):
        running = subprocess.Popen(
            line, env=write_section(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            await_that(lambda: len(jobs("RUNNING")) == 2)
            if number == signal.SIGKILL:
                await_that(partial(registered, tmp_path, jobs("RUNNING")))
            running.send_signal(number)
            said = running.communicate(timeout=60)[1]
            assert running.returncode == (1 if number == signal.SIGTERM else -number)
            assert "Traceback" not in said
            await_that(no_job_is_left, 60)
        finally:
            running.kill()


def registered(tmp_path: Path, numbers: list[str]) -> bool:
    """Return whether the workers of these jobs have found their scheduler."""
    logs = [path for number in numbers for path in (tmp_path / "logs").glob(f"*-{number}.err")]
    return len(logs) == len(numbers) and all("Registered to" in path.read_text() for path in logs)


def test_an_encrypted_cluster_leaves_no_file_of_its_certificate(slurm, tmp_path):
    chosen = settings(tmp_path, tls="temporary", processes=2, cores=2, memory="2GiB", workers=2)
    with connect(chosen) as client:
        [worker, *_] = client.scheduler_info()["workers"]
        assert worker.startswith("tls://")
        client.wait_for_workers(2, timeout=60)
        [number] = jobs("RUNNING")
        script = asked("scontrol", "write", "batch_script", number, "-")
        assert len(list((tmp_path / "logs").glob("geomob-tls-*/key.pem"))) == 1
    assert "--tls-key" in script
    assert "PRIVATE" not in script
    assert list((tmp_path / "logs").glob("geomob-tls-*")) == []
    await_that(no_job_is_left)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"partition": "gpu"}, r"partition gpu: .*expected one of main, short"),
        (
            {"partition": "short", "walltime": "2 hours"},
            r"walltime 2 hours is above the limit of partition short, 5:00",
        ),
        ({"directives": ["--constraint=gpus"]}, r"sbatch refuses the job: .*Invalid feature specification"),
        ({"memory": "64GiB"}, r"sbatch refuses the job: .*Requested node configuration is not available"),
        ({"memory": "400MiB"}, r"memory 400MiB: found 272 MiB for a worker, expected at least"),
        (
            {"interface": "ib7", "host": None},
            r"interface ib7: no such network interface on this machine; expected one of",
        ),
        ({"host": "203.0.113.1"}, r"the scheduler cannot listen at 203\.0\.113\.1"),
    ],
)
def test_what_cannot_work_is_refused_before_a_job_starts(slurm, tmp_path, options, told):
    chosen = settings(tmp_path, **options)
    with pytest.raises(SettingsError, match=f"^cluster slurm: .*{told}"), connect(chosen):
        pass
    # Whether it can listen is not known before it does.
    if "host" not in options or "interface" in options:
        with pytest.raises(SettingsError, match=told):
            effective(chosen)
    assert no_job_is_left()


def test_a_dry_run_prints_the_script_and_what_slurm_says_of_it(slurm, tmp_path):
    lines = effective(settings(tmp_path, modules=["python/3.11"], account="census"))
    text = "\n".join(lines)
    assert "#SBATCH -A census" in text
    assert "module load python/3.11" in text
    assert "to start at" in text
    assert no_job_is_left()


def test_a_machine_without_slurm_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingsError, match=r"sbatch: no such command on this machine"), connect(settings(tmp_path)):
        pass
    assert "sbatch: no such command" in "\n".join(effective(settings(tmp_path)))


def test_a_job_that_waits_for_ever_is_given_up_with_its_reason(slurm, tmp_path, capsys):
    chosen = settings(tmp_path, directives=["--begin=now+1hour"], starts=15.0)
    with (
        pytest.raises(RunError, match=r"no worker within 15 s .*waiting for 1 job: 1 in the queue \(BeginTime\)"),
        connect(chosen),
    ):
        pass
    assert "BeginTime" in capsys.readouterr().err
    await_that(no_job_is_left)


def test_jobs_that_fail_at_once_show_the_end_of_their_log(slurm, tmp_path):
    chosen = settings(tmp_path, setup=["echo no such module; exit 3"])
    with pytest.raises(RunError, match=r"3 jobs in a row gave no worker: .*FAILED.*no such module"), connect(chosen):
        pass
    await_that(no_job_is_left)


def test_as_many_jobs_as_there_is_work_for(slurm, tmp_path):
    chosen = settings(tmp_path, workers=None, adapt={"minimum": 1, "maximum": 2})
    with connect(chosen) as client:
        assert len(jobs()) == 1
        futures = client.map(time.sleep, [0.5] * 30, pure=False)
        await_that(lambda: len(jobs()) == 2)
        client.cancel(futures)
