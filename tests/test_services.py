"""The services of tests: they start, are used with the variables that they tell, and end with all that they ran."""

import subprocess
import time
from pathlib import Path

import psutil
from host_services import SCRIPTS, started

from geomob_dask.store import Store


def test_slurm_runs_jobs_on_both_nodes(slurm: Path, tmp_path: Path) -> None:
    command = [
        "sbatch",
        "--wait",
        "-N",
        "2",
        "-o",
        str(tmp_path / "out"),
        "--wrap",
        "srun hostname -s; echo $SLURM_JOB_NODELIST",
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "out").read_text().splitlines()[-1] == "n[1-2]"


def test_a_gateway_creates_an_object_once(ceph_bucket: str) -> None:
    objects = Store(ceph_bucket).objects
    assert objects.create("a", b"first")
    assert not objects.create("a", b"second")
    assert objects.get("a") == b"first"


def test_a_service_that_crashed_is_ended_with_its_jobs(slurm: Path, tmp_path: Path) -> None:
    with started("slurm", tmp_path / "another", 1) as variables:
        command = ["sbatch", "-o", str(tmp_path / "out"), "--wrap", "sleep 987"]
        subprocess.run(command, check=True, capture_output=True, env={**variables, "PATH": "/usr/bin:/bin"})
        until = time.monotonic() + 60
        while not (job := _sleeping()):
            assert time.monotonic() < until
            time.sleep(0.1)
        for line in (tmp_path / "another" / "daemons").read_text().splitlines():
            if line.startswith("slurm"):
                psutil.Process(int(line.split()[1])).kill()
    assert not any(process.is_running() for process in job)
    # The other one is not touched.
    subprocess.run(["sinfo", "--noheader"], check=True, capture_output=True)


def _sleeping() -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "987"]]


def test_a_start_that_fails_names_the_daemon_and_leaves_nothing(slurm: Path, tmp_path: Path) -> None:
    wrong = {"MEMORY": "nonsense", "PATH": "/usr/sbin:/usr/bin:/bin"}
    folder = tmp_path / "wrong"
    done = subprocess.run([SCRIPTS / "slurm_up.sh", folder], env=wrong, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{folder}/log/slurmctld" in done.stderr
    assert "nonsense" in done.stderr
    named = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or [])
    ]
    assert named == []
