"""Jobs on real Grid Engine: a job that is deleted is replaced, and none is left."""

import subprocess
import time
from pathlib import Path

import pytest
from waits import await_that

from geomob_dask.clusters import connect, effective
from geomob_dask.errors import SettingsError
from geomob_dask.sections import SgeSection
from geomob_dask.settings import Settings

PACKAGE = Path(__file__).parents[2]


def jobs() -> list[str]:
    """Return the numbers of jobs that have not ended."""
    lines = subprocess.run(["qstat"], check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.split()[0] for line in lines[2:]]


def settings(tmp_path: Path, **options: object) -> Settings:
    given = {
        "workers": 2,
        "memory": "1500MiB",
        "walltime": "10 minutes",
        "host": "127.0.0.1",
        "dashboard": "127.0.0.1:0",
    }
    # Grid Engine does not hand the environment of the command to its jobs.
    variables = {"environ": {"PYTHONPATH": str(PACKAGE)}, "logs": str(tmp_path / "logs")}
    section = SgeSection.model_validate({**given, **variables, "queue": "main.q", **options})
    return Settings(cluster="sge", clusters={"sge": section})


@pytest.mark.slow
def test_a_job_that_is_deleted_is_replaced_and_none_is_left(sge, tmp_path):
    # Workers cannot import this module.
    def half_a_second(number: int) -> int:
        time.sleep(0.5)
        return number**2

    with connect(settings(tmp_path, cores=2, processes=1, parallel_environment="smp")) as client:
        client.wait_for_workers(2, timeout=60)
        first = jobs()
        futures = client.map(half_a_second, range(40))
        subprocess.run(["qdel", first[0]], check=True, capture_output=True)
        assert client.gather(futures) == [number**2 for number in range(40)]
        await_that(lambda: len(set(jobs()) - set(first)) == 1, 60)
        client.wait_for_workers(2, timeout=60)
    await_that(lambda: not jobs(), 60)


def test_what_grid_engine_refuses_is_shown_in_its_own_words(sge, tmp_path):
    chosen = settings(tmp_path, queue="gpu.q")
    assert "#$ -q gpu.q" in "\n".join(effective(chosen))
    with pytest.raises(SettingsError, match=r"qsub refuses the job: .*gpu\.q"), connect(chosen):
        pass
    assert jobs() == []
