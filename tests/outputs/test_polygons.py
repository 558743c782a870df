"""Packed polygons hold what they were made of: rounded to one grid, shared borders shared."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pages import Block, block

from geomob_dask.outputs.polygons import arrange, dissolve, grid_step, pack_borders, pack_polygons
from geomob_dask.transforms.display import display_tolerance, simplify_for_display


def area(rings: list[list[tuple[float, float]]]) -> float:
    """Return the area of rings that even and odd fill: shells less holes."""
    total = shapely.Polygon()
    for ring in rings:
        total = shapely.symmetric_difference(total, shapely.Polygon(ring))
    return float(total.area)


def lines_of(packed: Block) -> float:
    return float(sum(shapely.LineString(line).length for (line,) in packed.rings))


def test_holes_parts_and_rows_survive() -> None:
    ring = shapely.difference(shapely.box(-90, 0, 90, 90), shapely.box(30, 30, 60, 60))
    two = shapely.MultiPolygon([shapely.box(200, 0, 210, 10), shapely.box(250, 50, 260, 70)])
    packed = block(pack_polygons(np.array([two, None, ring, shapely.Polygon()]), [70_000, 1, 3, 4], step=1.0))
    assert packed.rows == [70_000, 3]
    assert packed.closed
    assert [len(rings) for rings in packed.rings] == [2, 2]
    assert [area(rings) for rings in packed.rings] == [100 + 200, 180 * 90 - 900]
    assert packed.rings[0][0] == [(210.0, 0.0), (210.0, 10.0), (200.0, 10.0), (200.0, 0.0)]


def test_points_are_rounded_to_one_grid_and_too_small_ones_are_a_step_wide() -> None:
    shapes = np.array([shapely.box(0, 0, 0.2, 0.2), shapely.box(10.4, 9.6, 20.4, 30), shapely.box(0, 0.3, 9, 0.4)])
    packed = block(pack_polygons(shapes, [0, 1, 2], step=1.0))
    assert [len(rings) for rings in packed.rings] == [1, 1, 1]
    assert [area(rings) for rings in packed.rings] == [1.0, 200.0, 1.0]
    assert sorted(packed.rings[1][0]) == [(10, 10), (10, 30), (20, 10), (20, 30)]


def test_polygons_that_are_packed_apart_share_their_border() -> None:
    left, right = shapely.box(-7.3, 0.2, 3.3, 8.8), shapely.box(3.3, 0.2, 11.1, 8.8)
    one, other = (block(pack_polygons(np.array([shape]), [0], step=0.7)) for shape in (left, right))
    shared = {(round(x, 6), round(y, 6)) for x, y in one.rings[0][0]} & {
        (round(x, 6), round(y, 6)) for x, y in other.rings[0][0]
    }
    assert len(shared) == 2


def test_nothing_packs_to_nothing() -> None:
    packed = block(pack_polygons(np.array([None, shapely.Polygon()], dtype=object), [0, 1]))
    assert (packed.rows, packed.rings) == ([], [])
    assert block(pack_borders(np.array([None], dtype=object), step=1.0)).rings == []


def test_a_border_between_two_is_one_line() -> None:
    boxes = np.array([shapely.box(10 * k, 0, 10 * k + 10, 10) for k in range(3)])
    packed = block(pack_borders(boxes, step=1.0))
    assert not packed.closed
    assert lines_of(packed) == 2 * 30 + 4 * 10
    outside = np.array([shapely.union_all(boxes)])
    # The corners of the parts are points of their union, as they are where tracts are dissolved.
    outside = shapely.segmentize(outside, 10.0)
    assert lines_of(block(pack_borders(boxes, step=1.0, without=outside))) == 20


def test_numbers_of_polygons_and_rows_are_equal() -> None:
    with pytest.raises(ValueError, match="1 polygons and 2 rows"):
        pack_polygons(np.array([shapely.box(0, 0, 1, 1)]), [1, 2])


@pytest.mark.real_data
def test_ohio_is_within_half_a_step(real_data: Path) -> None:
    tracts = gpd.read_parquet(real_data / "tracts" / "cb500k_2010_vintage.parquet").set_index("GEOID")
    ohio = tracts[tracts.index.str.startswith("39")]
    geometry, _, _ = arrange(ohio.geometry, ["39"] * len(ohio))
    bounds = shapely.total_bounds(geometry).tolist()
    simple, step = simplify_for_display(geometry, display_tolerance(bounds)), grid_step(bounds)
    packed_bytes = pack_polygons(simple, np.arange(len(ohio)))
    packed = block(packed_bytes)
    assert packed.rows == list(range(len(ohio)))
    assert packed.step == pytest.approx(step)
    # One coordinate is off by half a step at most: of the coordinates of a polygon the nearest are those it came from.
    for number in range(0, len(ohio), 97):
        before = shapely.get_coordinates(simple[number])
        after = np.concatenate([np.array(ring) for ring in packed.rings[number]])
        apart = np.abs(after[:, None, :] - before[None, :, :]).max(axis=2).min(axis=1)
        assert apart.max() <= step / 2 + 1e-6
    total = sum(area(rings) for rings in packed.rings)
    assert total == pytest.approx(shapely.area(simple).sum(), rel=1e-4)
    counties, shapes = dissolve(simple, [geoid[:5] for geoid in ohio.index])
    assert len(counties) == 88
    whole = block(pack_borders(shapes, step=step))
    _, state = dissolve(shapes, ["39"] * 88)
    inside = block(pack_borders(shapes, step=step, without=state))
    border = block(pack_borders(state, step=step))
    assert lines_of(whole) == pytest.approx(lines_of(inside) + lines_of(border), rel=1e-9)
    assert len(packed_bytes) < 250_000
