"""Vertices of polygons, equal points brought together, and edges matched from both sides."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import SettingsError
from geomob_dask.graph.contact import share_edge
from geomob_dask.graph.matching import meet
from geomob_dask.graph.points import as_floats, as_points, crowded, group, mix, radix_argsort, snapped
from geomob_dask.graph.vertices import Vertices, vertices


def left_of_every_edge(geoms):
    """Say for each edge whether the point just to its left lies inside the cell."""
    corners = vertices(geoms)
    left = (corners.at + corners.ahead) / 2 + 1e-6j * (corners.ahead - corners.at)
    return shapely.contains_xy(geoms[corners.cell], as_floats(left))


def test_inside_is_on_the_left_for_any_orientation_holes_parts_and_heights():
    hole = shapely.Polygon(shapely.box(0, 0, 9, 9).exterior, [shapely.box(2, 2, 4, 4).exterior])
    turned = shapely.Polygon(hole.exterior.coords[::-1], [hole.interiors[0].coords[::-1]])
    mixed = shapely.Polygon(hole.exterior.coords[::-1], [hole.interiors[0].coords])
    parts = shapely.MultiPolygon([turned, shapely.box(20, 0, 21, 1), shapely.force_3d(shapely.box(30, 0, 31, 1), 5)])
    geoms = np.array([hole, turned, mixed, parts, shapely.Polygon(), shapely.MultiPolygon(), None])
    corners = vertices(geoms)
    assert np.bincount(corners.cell).tolist() == [8, 8, 8, 16]
    assert left_of_every_edge(geoms).all()
    edges = {(cell, a, b) for cell, a, b in zip(corners.cell, corners.at, corners.ahead, strict=True)}
    assert edges == {(cell, b, a) for cell, a, b in zip(corners.cell, corners.at, corners.behind, strict=True)}
    assert len(edges) == 40


def test_far_from_the_origin_orientation_is_still_seen():
    small = np.array([shapely.box(1e7, 1e7, 1e7 + 1e-3, 1e7 + 1e-3)])
    walked = [set(zip(v.at, v.ahead, strict=True)) for v in (vertices(small), vertices(shapely.reverse(small)))]
    assert walked[0] == walked[1]


@pytest.mark.parametrize("geoms", [[], [shapely.Polygon()], [None, shapely.MultiPolygon()]])
def test_nothing_has_no_vertices(geoms):
    corners = vertices(np.array(geoms, dtype=object))
    assert len(corners.at) == len(corners.cell) == len(corners.ahead) == 0
    assert len(meet(corners, 1e-9).first) == 0


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=40))
def test_equal_points_come_together(places):
    points = as_points(np.array(places, float).reshape(-1, 2))
    squares = group(points)
    assert len(squares.start) == len(set(places))
    assert squares.size.sum() == len(places)
    label = squares.spread(np.arange(len(squares.start)))
    for i in range(len(places)):
        for j in range(len(places)):
            assert (label[i] == label[j]) == (places[i] == places[j])
    assert (label[squares.first] == np.arange(len(squares.start))).all()
    on_axis = points.real == 0
    other = points + 0.5 * (np.arange(len(points)) % 2)
    for g in range(len(squares.start)):
        assert squares.any(on_axis)[g] == any(on_axis[label == g])
        assert squares.differing(other)[g] == (len(set(other[label == g])) > 1)


def test_minus_zero_is_zero():
    assert len(group(snapped(as_points(np.array([[0.0, -0.0], [-0.0, 0.0]])), 0.0)).start) == 1


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-9, 1e-4, 0.3]), st.sampled_from([0.0, 180.0, 1e7]))
def test_points_of_one_square_lie_within_the_tolerance(seed, snap, far):
    rng = np.random.default_rng(seed)
    one = as_points(far + rng.uniform(-1, 1, (200, 2)))
    two = one + as_points(rng.uniform(-snap, snap, (200, 2)))
    same = snapped(one, snap) == snapped(two, snap)
    assert (np.abs(one - two)[same] <= snap).all()


def colliding_points():
    """Return two points of equal hash: the second y makes good in the sum what the other x changes."""
    mask, odd, factor = 2**64 - 1, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9

    def stirred(x):
        key = int(np.float64(x).view(np.uint64)) * odd & mask
        return key ^ key >> 29

    y = int(np.float64(1.0).view(np.uint64))
    for x in range(2, 1000):
        other = (y + (stirred(1.0) - stirred(x)) * pow(factor, -1, 2**64)) & mask
        value = float(np.uint64(other).view(np.float64))
        if np.isfinite(value):
            return as_points(np.array([[1.0, 1.0], [float(x), value]]))
    raise AssertionError("no finite point found")


def test_points_of_equal_hash_are_told_apart_by_another_salt():
    points = colliding_points()
    assert points[0] != points[1]
    assert mix(points, 0)[0] == mix(points, 0)[1]
    squares = group(points[[0, 1, 0, 1, 0]])
    label = squares.spread(np.arange(len(squares.start)))
    assert sorted(squares.size) == [2, 3]
    assert label[[0, 0, 1]].tolist() == label[[2, 4, 3]].tolist()


@given(st.lists(st.integers(0, 2**40), max_size=50))
def test_radix_sort_sorts(keys):
    key = np.array(keys, np.int64)
    assert (key[radix_argsort(key, range(48))] == np.sort(key)).all()


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-3, 0.1, 1.0, 100.0]))
def test_points_near_another_one(seed, radius):
    rng = np.random.default_rng(seed)
    points = np.unique(as_points(np.round(rng.uniform(0, 10, (40, 2)), rng.integers(0, 4))))
    distance = np.abs(points[:, None] - points[None])
    np.fill_diagonal(distance, np.inf)
    near, nearest = crowded(points, radius), distance.min(axis=1)
    assert near[(nearest <= radius) & (radius > 0)].all()
    # A tenth of a percent more is allowed: these vertices are only looked at again.
    assert not near[nearest > 1.0011 * radius].any()


def open_vertices(*cells, snap=0.0):
    corners = vertices(np.array(cells))
    met = meet(corners, snap)
    return [int(met.is_open[corners.cell == k].sum()) for k in range(len(cells))]


def test_an_edge_is_closed_by_exactly_one_cell_on_its_other_side():
    middle = shapely.box(0, 0, 1, 1)
    around = [
        shapely.Polygon([(-1, -1), (2, -1), (1, 0), (0, 0)]),
        shapely.Polygon([(2, -1), (2, 2), (1, 1), (1, 0)]),
        shapely.Polygon([(2, 2), (-1, 2), (0, 1), (1, 1)]),
        shapely.Polygon([(-1, 2), (-1, -1), (0, 0), (0, 1)]),
    ]
    # Only the outer vertices of the ring of four are open.
    assert open_vertices(middle, *around) == [0, 2, 2, 2, 2]
    # A second cell on the same side opens all edges of the middle; so does leaving out one of the four.
    assert open_vertices(middle, middle, *around)[:2] == [4, 4]
    assert open_vertices(middle, middle) == [4, 4]
    assert open_vertices(middle, *around[1:])[0] == 2


def test_edges_are_shared_where_both_ends_match():
    cells = np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1), shapely.box(2, 1, 3, 2)])
    met = meet(vertices(cells), 0.0)
    cell = met.vertices.cell
    found = {(cell[i], cell[j], bool(edge)) for i, j, edge in zip(met.first, met.second, met.edge, strict=True)}
    assert {(min(i, j), max(i, j), edge) for i, j, edge in found} == {(0, 1, True), (1, 2, False)}


def test_an_edge_no_longer_than_the_tolerance_matches_nothing():
    one = shapely.Polygon([(0, 0), (1, 0), (1, 1), (1 - 1e-6, 1)])
    two = shapely.Polygon([(1 - 1e-6, 1), (1, 1), (1, 2), (0, 2)])
    corners = vertices(np.array([one, two]))
    assert meet(corners, 0.0).edge.any()
    assert not meet(corners, 1e-5).edge.any()
    assert share_edge(one, two, 1e-7)
    assert not share_edge(one, two, 1e-5)


def test_vertices_that_nearly_match_are_uneven():
    ours = vertices(np.array([shapely.box(0, 0, 1, 1), shapely.box(1 + 2e-5, 0, 2, 1), shapely.box(5, 5, 6, 6)]))
    met = meet(ours, 1e-4)
    assert (met.vertices.uneven == (np.abs(ours.at.real - 1) < 0.1)).all()
    assert not meet(ours, 0.0).vertices.uneven.any()
    told = Vertices(ours.at, ours.ahead, ours.behind, ours.cell, ours.at == 6 + 6j)
    assert meet(told, 0.0).vertices.uneven.sum() == 1


def test_a_tolerance_as_large_as_the_cells_is_refused():
    angles = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    circle = shapely.Polygon(np.column_stack([np.cos(angles), np.sin(angles)]))
    with pytest.raises(SettingsError, match=r"snap: .* vertices fall into one square"):
        open_vertices(circle, snap=1000.0)
