"""Two processes that run jobs on one store at the same time: nothing is lost, and the store is whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from geomob_dask.store import Store

RUNNER = Path(__file__).parents[1] / "watched.py"
YEARS = range(2010, 2016)
STATES = {"18": 1.0, "39": 2.0}


@pytest.fixture(params=["folder", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("bucket")


def started(folder: Path, lines: list[str]) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, str(RUNNER)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=os.environ,
    )  # fmt: skip
    process.stdin.write(json.dumps([line.split() for line in lines]))
    process.stdin.close()
    process.stdin = None
    return process


def test_two_jobs_at_once_lose_nothing(job, tmp_path: Path, url: str) -> None:
    for state, value in STATES.items():
        rows = "".join(f"{state}0010{number:05d},{value + number}\n" for number in range(1, 4))
        (tmp_path / f"{state}.csv").write_text(f"GEOID,people\n{rows}")
    # Each brings a state of its own into the same collections, and both the same file into another.
    processes = [
        started(
            tmp_path,
            [
                *(f"ingest measures {s}.csv --dataset d --year {y} --vintage 2010 --store {url}" for y in YEARS),
                *(f"ingest measures 18.csv --dataset same --year {y} --vintage 2010 --store {url}" for y in YEARS),
            ],
        )
        for s in STATES
    ]
    for process in processes:
        out, err = process.communicate()
        found = [json.loads(line) for line in out.splitlines()]
        assert [one["code"] for one in found] == [0] * 2 * len(YEARS), [*(one["said"] for one in found), err]

    store = Store(url)
    for year in YEARS:
        parts = store.find(f"measures/d/{year}").parts
        assert {state: list(store.read(part)["people"]) for state, part in parts.items()} == {
            state: [value + number for number in range(1, 4)] for state, value in STATES.items()
        }
        assert list(store.find(f"measures/same/{year}").parts) == ["18"]
    assert job("store", "verify", "--store", url, "--cluster", "serial").code == 0
