"""Sections of batch queues: what they refuse, when their workers retire, and the scripts of dask-jobqueue's classes."""

import asyncio

import pytest
from pydantic import TypeAdapter

from geomob_dask.clusters import effective
from geomob_dask.clusters.queue import job_script
from geomob_dask.clusters.queue_commands import QUEUES
from geomob_dask.clusters.queue_jobs import Keeper
from geomob_dask.errors import SettingsError
from geomob_dask.sections import ClusterSection, SlurmSection
from geomob_dask.settings import Settings, load_settings

SECTION = TypeAdapter(ClusterSection)
KINDS = tuple(QUEUES)


def section(kind: str = "slurm", **options):
    return SECTION.validate_python({"kind": kind, "workers": 2, "memory": "4GiB", "host": "127.0.0.1", **options})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"walltime": "soon"}, "expected a time such as"),
        ({"walltime": 60}, "expected a time such as"),
        ({"walltime": "60"}, "expected a time such as"),
        ({"walltime": "30 s"}, "walltime 30 s: expected a minute or more"),
        ({"walltime": "1 hour", "lifetime": "1 hour"}, "do not end before walltime 1 hour"),
        ({"walltime": "1 hour", "lifetime": "55 minutes", "lifetime_stagger": "5 minutes"}, "do not end before"),
        ({"workers": None}, "found neither workers nor adapt"),
        ({"adapt": {"maximum": 3}}, "both workers and adapt"),
        ({"memory": None}, "one of them"),
        ({"memory_limit": "2GiB"}, "one of them"),
        ({"memory": None, "memory_limit": "0"}, "memory_limit 0"),
        ({"memory": "lots"}, "expected a size"),
        ({"cores": 5, "processes": 2}, "cores 5 cannot be shared by 2 processes"),
        ({"cores": 5, "threads_per_worker": 2}, "no multiple of threads_per_worker 2"),
        ({"cores": 8, "processes": 4, "threads_per_worker": 4}, "expected cores 16, found 8"),
        ({"partition": "main\n#SBATCH --uid=0"}, "expected a name"),
        ({"partition": "$(id)"}, "expected a name"),
        ({"modules": ["python; rm -rf x"]}, "expected a name"),
        ({"directives": ["--exclusive\nrm -rf x"]}, "several lines in one"),
        ({"setup": ["export AWS_SECRET_ACCESS_KEY=hunter2"]}, "looks like a secret"),
        ({"environ": {"AWS_SECRET_ACCESS_KEY": "hunter2"}}, "looks like a secret"),
        ({"queue": "main"}, "unknown key"),
        ({"port": 70000}, "65535"),
        ({"container": "docker"}, "apptainer"),
    ],
)
def test_nonsense_is_refused_with_its_key(options, told, tmp_path):
    import yaml

    given = {"kind": "slurm", "workers": 2, "memory": "4GiB", **options}
    given = {key: value for key, value in given.items() if value is not None}
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump({"cluster": "big", "clusters": {"big": given}}))
    with pytest.raises(SettingsError, match=rf"clusters\.big.*{told}") as refused:
        load_settings(str(file))
    assert "hunter2" not in str(refused.value)


def test_further_checks_of_other_kinds():
    with pytest.raises(ValueError, match="parallel_environment"):
        section("sge", cores=4)
    with pytest.raises(ValueError, match="key = value"):
        section("htcondor", directives=["--exclusive"])


@pytest.mark.parametrize("walltime", ["1 minute", "2 minutes", "10 minutes", "1 hour", "1-00:00:00", "30-00:00:00"])
def test_workers_retire_before_the_wall_time_with_time_to_spare(walltime):
    from geomob_dask.sections.quantities import seconds_of

    wall = seconds_of(walltime)
    chosen = section(walltime=walltime)
    lifetime, stagger = chosen.retirement
    assert 0 <= stagger < lifetime
    assert lifetime + stagger < chosen.last_call < wall
    assert 0.4 * wall <= lifetime - stagger
    assert lifetime + stagger <= wall - min(60, wall / 2)


def test_a_job_holds_its_workers_and_what_looks_after_them():
    by_job = section(cores=4, processes=2, memory="4GiB")
    assert (by_job.threads, by_job.workers_of_a_job) == (2, 2)
    assert by_job.worker_memory < by_job.job_memory / 2
    by_worker = section(cores=4, memory=None, memory_limit="2GiB")
    assert (by_worker.threads, by_worker.workers_of_a_job) == (1, 4)
    assert by_worker.worker_memory == 2 * 2**30
    assert by_worker.job_memory > 4 * by_worker.worker_memory


DIRECTIVES = {
    "slurm": (
        {"partition": "long", "account": "census"},
        ["#SBATCH -p long", "#SBATCH -A census", "#SBATCH --mem=4096M", "#SBATCH -t 26:00:00", "#SBATCH --no-requeue"],
    ),
    "pbs": (
        {"queue": "long", "account": "census"},
        ["#PBS -q long", "#PBS -A census", "#PBS -l select=1:ncpus=2:mem=4096MB", "#PBS -l walltime=26:00:00"],
    ),
    "lsf": (
        {"queue": "long", "project": "census"},
        ["#BSUB -q long", '#BSUB -P "census"', "#BSUB -n 2", "#BSUB -W 26:00"],
    ),
    "sge": (
        {"queue": "long", "project": "census", "parallel_environment": "smp", "resources": "h_vmem=2G"},
        ["#$ -q long", "#$ -P census", "#$ -l h_rt=26:00:00", "#$ -l h_vmem=2G", "#$ -pe smp 2"],
    ),
    "htcondor": (
        {"account": "census", "directives": ["+Wants = True"]},
        ["accounting_group = census", "allowed_job_duration = 93600", "+Wants = True", "MY.DaskWorkerCores = 2"],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_script_of_a_job(kind, monkeypatch):
    """By the classes of dask-jobqueue itself; no command of the queue is needed."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    options, told = DIRECTIVES[kind]
    given = {"modules": ["python/3.11"], "setup": ["ulimit -n 4096"], "environ": {"AWS_PROFILE": "my own"}}
    script = job_script(section(kind, cores=2, walltime="26 hours", **given, **options))
    for line in told:
        assert line in script.splitlines()
    for part in (
        "module load python/3.11",
        "ulimit -n 4096",
        "--nthreads 1",
        "--nworkers 2",
        "--lifetime 93400s",
        "--dashboard-address 127.0.0.1:0",
        "--death-timeout",
        "WORKER_TTL=300s",
    ):
        assert part in script
    assert script.count("--memory-limit") == 1
    assert "AWS_PROFILE" in script
    assert "hunter2" not in script


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_holds_the_python_of_the_workers(kind):
    script = job_script(section(kind, image="/images/geo mob.sif", container_options=["--bind /scratch"]))
    assert "apptainer exec --bind /scratch" in script
    assert "geo mob.sif" in script
    assert "python -m distributed.cli.dask_worker" in script


@pytest.mark.parametrize("kind", KINDS)
def test_a_script_names_files_of_tls(kind, tmp_path):
    tls = {"ca": "/tls/ca.pem", "certificate": "/tls/certificate.pem", "key": "/tls/key.pem"}
    script = job_script(section(kind, tls=tls))
    assert "tls://" in script
    assert "--tls-key /tls/key.pem" in script


def test_a_dry_run_elsewhere_prints_the_script_unasked(monkeypatch):
    monkeypatch.setenv("PATH", "")
    lines = effective(Settings(cluster="q", clusters={"q": section("lsf", cores=2)}))
    text = "\n".join(lines)
    assert "bsub: no such command on this machine" in text
    assert "#BSUB -n 2" in text
    assert "job: 2 workers, 2 cores, 4.00 GiB" in text


def test_without_the_library_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(SettingsError, match=r"pip install 'geomob-dask\[queue\]'"):
        effective(Settings(cluster="q", clusters={"q": SlurmSection(workers=1, memory="4GiB")}))


ANSWERS = {
    "slurm": "7|PENDING|Resources\n8|RUNNING|None\n9|TIMEOUT|TimeLimit\n",
    "pbs": (
        "Job id            Name             User              Time Use S Queue\n"
        "----------------  ---------------- ----------------  -------- - -----\n"
        "7.server          geomob-1         me                       0 Q workq\n"
        "8.server          geomob-1         me                00:00:01 R workq\n"
        "9.server          geomob-1         me                00:00:01 F workq\n"
    ),
    "lsf": "7 PEND\n8 RUN\n9 EXIT\n",
    "sge": (
        "job-ID  prior   name       user   state submit/start at     queue          slots ja-task-ID\n"
        "-----------------------------------------------------------------------------------------\n"
        "      7 0.00000 geomob-1   me     qw    11/30/2026 01:00:00                    1\n"
        "      8 0.55500 geomob-1   me     r     11/30/2026 01:00:00 all.q@node         1\n"
    ),
    "htcondor": "7.0 1\n8.0 2\n9.0 4\n",
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_queue_says_of_jobs(kind):
    found = {number.partition(".")[0]: state.kind for number, state in QUEUES[kind].read(ANSWERS[kind]).items()}
    assert found["7"] == "waits"
    assert found["8"] == "runs"
    assert found.get("9", "ended") == "ended"


def test_a_fault_that_lasts_is_told_once(monkeypatch):
    """It would fill the log of a run, a line every two seconds."""
    monkeypatch.setattr("geomob_dask.clusters.queue_jobs._EVERY", 0.001)
    faults = iter(["a", "a", "a", "", "a", "b"])
    said: list[str] = []
    keeper = Keeper(None, SlurmSection(workers=1, memory="4GiB"), QUEUES["slurm"], "geomob-1", said.append)

    async def step() -> None:
        fault = next(faults, None)
        if fault is None:
            keeper._stopped.set()
        elif fault:
            raise ValueError(fault)

    monkeypatch.setattr(keeper, "_step", step)
    asyncio.run(keeper._run())
    assert [line[-2] for line in said] == ["a", "a", "b"]
