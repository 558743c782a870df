"""Real cells of the matrix of faults, each cell once in its list, and its results as the table of a page."""

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    # Processes of a cluster find the modules of the script there.
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("fault_matrix")
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def matrix(script, tmp_path_factory):
    return script.Matrix(tmp_path_factory.mktemp("matrix"), None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "fault", "moment", "job", "code", "told"),
    [
        ("driver", "killed", "commit", "exposure", -9, ""),
        ("workers", "killed", "middle", "exposure", 1, "no worker is left"),
        ("scheduler", "stopped", "middle", "exposure", 1, "the scheduler does not answer"),
    ],
)
def test_what_a_fault_leaves_is_mended_by_the_same_command(script, matrix, victim, fault, moment, job, code, told):
    cell = script.Cell(victim, fault, moment, job, "folder")
    for _ in range(3):
        seen = matrix.run(cell)
        assert seen.again == 0
        assert seen.equal
        assert not seen.traceback
        # A job may have ended before the fault.
        if seen.hit:
            break
    assert seen.hit
    assert seen.code == code
    assert told in seen.line


def test_the_values_of_a_cube_count(script, tmp_path):
    (one, other), again = [script.Store(str(tmp_path / name)) for name in "ab"], script.Store(str(tmp_path / "c"))
    for store, value in ((one, 1.0), (other, 2.0), (again, 1.0)):
        keys = [f"17001{number:06d}" for number in range(3)]
        table = script.pd.DataFrame({"jobs": [value, 3.0, 4.0]}, index=script.pd.Index(keys, name="geoid"))
        part = store.put("measures/made/2018", "17", table)
        store.commit("measures/made/2018", {"17": part}, script.Provenance("test", {}), {"vintage": "2010"})
        line = script.job("cube", "write", "made", "--results", "measures/made/{year}", "--years", "2018")[1:]
        assert script.ran([*line, "--store", store.url, "--cluster", "serial"], tmp_path / "log") == 0
    assert script.shown(one)["cubes/made"] != script.shown(other)["cubes/made"]
    assert script.shown(one)["cubes/made"] == script.shown(again)["cubes/made"]


def test_a_cell_is_a_row_and_is_not_run_again(script, tmp_path):
    cell = script.Cell("scheduler", "killed", "start", "cube", "folder")
    seen = script.Seen(True, False, 1, 0.4, 1.2, "error: lost", False, 0, True, 3.1, "0123456789")
    results = tmp_path / "results.jsonl"
    results.write_text(json.dumps({"cell": asdict(cell), "seen": asdict(seen)}) + "\n")
    assert script.read_results(results) == {cell: seen}
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- table -->\nearlier\n")
    script.write_table(page, script.read_results(results))
    text = page.read_text()
    assert "| scheduler | killed | start | cube | folder | 1 | 0.4 | 1.2 | 0, same | error: lost |" in text
    assert "commit 0123456789 (1 cells)" in text
    assert "load of the machine 3.1 to 3.1" in text
    assert "earlier" not in text


def test_no_cell_is_there_twice(script):
    cells = list(script.cells("folder"))
    assert len(cells) == len(set(cells)) == 12 * (3 * len(script.JOBS) - 1) + 2 * len(script.JOBS)
