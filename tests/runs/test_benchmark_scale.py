"""The benchmark of scale still runs, and its guide follows from the results it is given."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import shapely

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def path(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_the_nation_is_a_coverage_in_partitions_of_unequal_size():
    from nation import Nation

    nation = Nation(600, 9)
    parts = [nation.polygons(block) for block in nation.blocks()]
    cells = pd.concat(parts)
    rows, columns = nation.shape
    assert len(cells) == rows * columns
    assert len({len(part) for part in parts}) > 3
    assert cells.index.is_monotonic_increasing
    assert shapely.coverage_is_valid(cells.geometry.array)
    vertices = shapely.get_num_coordinates(cells.geometry.array) - 1
    assert (vertices.min(), vertices.max()) == (6, 12)


def test_a_guide_grows_with_cells_and_years():
    from guide import RESOLUTIONS, YEARS, guide, markdown

    run = {
        "cells": 100_000, "partitions": 10, "workers": 2, "cpu_s": 30.0, "driver_cpu_s": 6.0, "written_mib": 10.24,
    }  # fmt: skip
    runs = [run | {"product": name} for name in ("neighbors", "exposure")]
    table = guide(runs, {"neighbors": 4.0, "exposure": 2.0}, core_hour=1.0, gib_month=0.0, per_million=0.0)
    found = table.set_index(["cells", "product"])
    cells, partitions = RESOLUTIONS["blocks"]
    assert found.loc[("blocks", "neighbors"), "core hours"] == pytest.approx(36 / 3600 * cells / 100_000)
    assert found.loc[("blocks", "exposure"), "core hours"] == pytest.approx(YEARS * 36 / 3600 * cells / 100_000)
    assert found.loc[("blocks", "exposure"), "1,000 requests"] == pytest.approx(YEARS * partitions * 2 / 1000)
    assert (found["cost"] == found["core hours"]).all()
    assert markdown(table).count("\n") == len(table) + 1


def test_one_command_runs_and_keeps_its_results(tmp_path):
    kept = tmp_path / "results.json"
    line = [sys.executable, BENCHMARKS / "scale.py", "--cells", "300", "--partitions", "5", "--workers", "1"]
    line += ["--products", "neighbors", "exposure", "--folder", tmp_path / "stores", "--results", kept]
    shown = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=True).stdout
    runs = json.loads(kept.read_text())["runs"]
    assert [run["product"] for run in runs] == ["neighbors", "exposure"]
    assert all(run["cpu_s"] > 0 and run["tasks"] >= 1 for run in runs)
    assert "neighbors" in shown
    assert not any((tmp_path / "stores").iterdir())
    guide = [sys.executable, str(BENCHMARKS / "scale.py"), "--guide", "--results", str(kept)]
    assert "blocks" in subprocess.run(guide, capture_output=True, text=True, check=True).stdout
