"""Links between hosts that are cut: a run completes by itself, with the same bytes, or ends with the reason."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from host_services import need
from lab import Lab
from stores import contents, ingest_sample

from geomob_dask.sections import Waits

DRIVER = str(Path(__file__).parents[1] / "lab_driver.py")
WAITS = Waits(patience=60.0, silence=60.0, progress=60.0)


@pytest.fixture
def lab(tmp_path):
    need("hosts")
    with Lab(tmp_path, WAITS).up() as lab:
        waits = "".join(f"    {name}: {value}\n" for name, value in WAITS.model_dump(exclude_none=True).items())
        (tmp_path / "cluster.yaml").write_text(
            f"cluster: lab\nclusters:\n  lab:\n    kind: address\n    address: {lab.address}\n{waits}"
        )
        yield lab


def drive(lab: Lab, *arguments: str) -> tuple[int, str]:
    """Return exit code and output of a driver."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "cwd": lab.folder}
    with lab.start("s", DRIVER, *arguments, **pipes) as driver:
        try:
            out, _ = driver.communicate(timeout=240)
        finally:
            driver.kill()
    return driver.returncode, out


@pytest.mark.slow
def test_a_link_cut_between_two_workers_only(lab, tmp_path):
    """The scheduler sees both: Dask alone would have one fetch from the other for ever."""
    here = ingest_sample(str(tmp_path / "here"), tmp_path / "files")
    there = ingest_sample(str(tmp_path / "there"), tmp_path / "files")
    lab.script("isolate", "on")
    code, out = drive(lab, "job", "neighbors", "--vintage", "sample", "--store", there.url)
    assert code == 0, out
    told = re.search(r"worker (tcp\S+) cannot reach worker (tcp\S+) .*the link between them is cut; (tcp\S+) is", out)
    assert told is not None, out
    assert told[3] in (told[1], told[2])
    line = [
        sys.executable,
        DRIVER,
        "job",
        "neighbors",
        "--vintage",
        "sample",
        "--store",
        here.url,
        "--cluster",
        "serial",
    ]
    subprocess.run(line, check=True, capture_output=True)
    assert contents(there) == contents(here)


@pytest.mark.slow
def test_a_host_that_is_gone(lab):
    code, out = drive(lab, "futures", str(lab.folder / "cluster.yaml"), "cut", "w1")
    assert (code, out.splitlines()[-1]) == (0, "all 12 computed"), out
