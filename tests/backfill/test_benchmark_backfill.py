"""The benchmark of backfills still runs, on next to nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
from scripts import benchmark

FILE = Path(__file__).parents[2] / "benchmarks" / "backfill.py"


@pytest.fixture(scope="module")
def script():
    return benchmark("backfill")


def test_a_rerun_of_what_is_done_does_nothing(script):
    found = script.rerun(2, 3, 1)
    assert found["outputs"] == 2 * 3 * 5
    assert all(seconds > 0 for seconds in found.values())


def test_plans_hold_memory_in_proportion_to_their_outputs(script):
    few, many = script.plans([100, 400], years=2, states=10)
    assert (few["outputs"], many["outputs"]) == (100, 400)
    assert many["held MiB"] < 6 * few["held MiB"]


def test_outputs_alone_and_in_a_backfill(script):
    alone, serial = script.work(1, 2, 60, [])
    assert alone["how"].startswith("outputs alone")
    assert serial["CPU s"] > 0


def test_help():
    shown = subprocess.run([sys.executable, FILE, "--help"], capture_output=True, text=True, check=True).stdout
    assert "python benchmarks/backfill.py --part plan --outputs 100000" in shown


def test_many_workers_are_kept_busy(script):
    (found,) = script.scale([4], 0.05, 3)
    assert (found["workers"], found["outputs"]) == (4, 12)
    assert 0 < found["busy"] <= 1
