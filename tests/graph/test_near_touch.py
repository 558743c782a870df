"""Outlines that nearly touch: how many there are, and the tolerance that joins them."""

from typing import Any

import dask_geopandas
import geopandas as gpd
import numpy as np
import pytest
import shapely

from geomob_dask.frames.neighbors import neighbor_graph
from geomob_dask.graph import near_touch
from geomob_dask.graph.near_touch import close_cells
from geomob_dask.outputs.neighbors import _near_touches

APART = 1e-7


def grid(apart: float, crs: Any = 4269) -> gpd.GeoSeries:
    """Return 16 squares of a tenth of a degree, each moved east and north by its row and column."""
    row, column = np.divmod(np.arange(16), 4)
    left, bottom = -83 + 0.1 * column + apart * (column % 2), 40 + 0.1 * row + apart * (row % 2)
    keys = [f"390010{number:03d}00" for number in range(16)]
    return gpd.GeoSeries(shapely.box(left, bottom, left + 0.1, bottom + 0.1), index=keys, crs=crs)


def report(polygons: Any, **options: Any) -> Any:
    graph = neighbor_graph(polygons, **options)
    lazy = hasattr(graph.report, "compute")
    return (graph.report.compute(scheduler="synchronous") if lazy else graph.report).iloc[0, 0]


@pytest.mark.parametrize("parts", [None, 1, 3])
def test_the_tolerance_that_is_named_joins_them(parts: int | None) -> None:
    polygons = grid(APART)
    frame = polygons if parts is None else dask_geopandas.from_geopandas(polygons, npartitions=parts)
    found = report(frame)
    assert found.near_touches.count > 0
    # Sixteen squares of a grid: 24 sides and 18 corners.
    assert found.queen + found.near_touches.count == 42
    assert found.near_touches.snap == 2e-7
    joined = report(frame, snap=found.near_touches.snap)
    assert (joined.queen, joined.near_touches.count) == (42, 0)


def test_nothing_is_said_of_a_clean_grid_nor_of_one_with_streets() -> None:
    assert report(grid(0.0)).near_touches.count == 0
    assert report(grid(1e-3)).near_touches.count == 0
    assert report(grid(APART, crs=None)).near_touches.count == 0


def test_distances_are_the_least_of_each_pair() -> None:
    at = np.array([0, 1 + 0j, 1.004 + 0j, 1.001 + 0j, 1.001 + 0j, 5])
    found = close_cells(at, np.array([0, 0, 1, 1, 2, 2]), 0.01)
    assert list(zip(found.low, found.high, found.distance.round(6), strict=True)) == [
        (0, 1, 0.001),
        (0, 2, 0.001),
        (1, 2, 0.0),
    ]


def test_a_great_many_vertices_are_not_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_touch, "_MOST", 20)
    found = report(grid(APART))
    assert 0 < found.near_touches.count < 23


def test_the_job_says_what_joins_them() -> None:
    found = {"count": 23, "sample": [("a", "b")], "snap": 2e-7}
    assert "23" in _near_touches(found, "map units")[0]
    assert "--snap 2e-07" in _near_touches(found, "map units")[0]
    assert _near_touches({"count": 0, "sample": [], "snap": 0.0}, "map units") == []
