"""The matrix of faults has each cell once, and its results become the table of a page."""

import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def matrix():
    for name in ("faults", "fault_matrix"):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return module


def test_a_cell_is_a_row_and_is_not_run_again(matrix, tmp_path):
    cell = matrix.Cell("scheduler", "killed", "start", "cube", "folder")
    seen = matrix.Seen(True, 1, 0.4, 1.2, "error: lost", False, 0, True)
    results = tmp_path / "results.jsonl"
    results.write_text(json.dumps({"cell": asdict(cell), "seen": asdict(seen)}) + "\n")
    assert matrix.read_results(results) == {cell: seen}
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- table -->\nearlier\n")
    matrix.write_table(page, matrix.read_results(results))
    row = "| scheduler | killed | start | cube | folder | 1 | 0.4 | 1.2 | 0, same bytes | error: lost |"
    assert row in page.read_text()
    assert "earlier" not in page.read_text()


def test_no_cell_is_there_twice(matrix):
    cells = list(matrix.cells("folder"))
    assert len(cells) == len(set(cells)) == 3 * len(matrix.JOBS) * 11 + len(matrix.JOBS) + 1
