"""The neighbor graph: contacts of every kind, and random countries against a slow oracle."""

from pathlib import Path

import geopandas as gpd
import libpysal
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles_contiguity import country, examined, frame, pairs_by_predicates, pairs_of, slow_pairs

from geomob_dask.errors import GeometryError, InputError, SettingsError
from geomob_dask.frames.neighbors import default_snap, nearest_count, neighbors
from geomob_dask.graph.neighborhoods import adjacency, once_removed

GRID = Path(__file__).parents[1] / "data" / "opportunity_grid"
BOTH = "vertex+intersects"


def box(x, y, width=1.0, height=1.0):
    return shapely.box(x, y, x + width, y + height)


def joined(slow):
    return {pair: what for pair, what in slow.items() if what[0] != "near miss"}


def contact_of(*polygons, **options):
    """Return what the oracle finds between two polygons, having compared it with any partitions."""
    tracts = frame(list(polygons))
    expected = slow_pairs(tracts, 1e-4, **options)
    for block in (1, 2):
        assert pairs_of(examined(tracts, block=block, **options).edges) == joined(expected)
    return expected.get(tuple(tracts.index))


@pytest.mark.parametrize(
    ("one", "two", "contact"),
    [
        (box(0, 0), box(1, 0), (BOTH, True, False)),
        (box(0, 0), box(1, 1), (BOTH, False, False)),
        (box(0, 0), box(3, 0), None),
        (box(0, 0), box(1, 0.5), ("intersects", True, False)),
        (box(0, 0, 3), box(1, 1, 1), ("intersects", True, False)),
        (box(0, 0, 3), shapely.Polygon([(1, 2), (1.5, 1), (2, 2)]), ("intersects", False, False)),
        (box(0, 0), box(0, 0), (BOTH, True, True)),
        (box(0, 0, 3, 3), box(1, 1), ("intersects", True, True)),
        (box(0, 0, 3, 3), box(0, 0), (BOTH, True, True)),
        (box(0, 0), box(0.999, 0), ("intersects", True, True)),
        (box(0, 0).difference(box(0.2, 0.2, 0.5, 0.5)), box(0.2, 0.2, 0.5, 0.5), (BOTH, True, False)),
        (box(0, 0).difference(box(0.2, 0.2, 0.5, 0.5)), box(0.3, 0.3, 0.1, 0.1), None),
        (box(0, 0), box(1.001, 0), None),
        (box(0, 0), box(1.00005, 0), ("vertex", True, False)),
        (box(0, 0), box(0.99995, 0), (BOTH, True, True)),
        (box(0, 0), box(1.00005, 1), ("vertex", False, False)),
        (box(0, 0), box(1.00005, 0.5), ("near miss", False, False)),
        (shapely.union(box(0, 0), box(5, 5)), box(6, 5), (BOTH, True, False)),
        (box(0, 0), shapely.force_3d(shapely.reverse(box(1, 0)), 3.0), (BOTH, True, False)),
    ],
    ids=[
        "edge", "corner", "apart", "half an edge", "T", "tip", "twice the same", "inside", "inside at a corner",
        "sliver", "hole", "in the hole", "gap of 1 mm", "snapped edge", "snapped sliver", "snapped corner",
        "near miss", "part", "heights and orientation",
    ],
)  # fmt: skip
def test_kinds_of_contact(one, two, contact):
    assert contact_of(one, two) == contact
    assert contact_of(two, one) == contact


def test_a_gap_is_joined_only_on_request():
    assert contact_of(box(0, 0), box(1.001, 0)) is None
    assert contact_of(box(0, 0), box(1.001, 0), gap=1e-3 + 1e-9) == ("gap", False, False)
    assert contact_of(box(0, 0), box(1.00005, 0.5), gap=1e-3) == ("gap", False, False)


def strip_between(shift, width):
    """Return two cells, the strip between them, and one around all three: every edge inside is closed."""
    left, right = 1 + shift, 1 + shift + width
    hole = [(shift, 0), (left, 0), (right, 0), (right + 1, 0), (right + 1, 1), (right, 1), (left, 1), (shift, 1)]
    around = shapely.Polygon([(-1, -1), (4, -1), (4, 3), (-1, 3)], [hole])
    return frame([box(shift, 0), box(right, 0), shapely.box(left, 0, right, 1), around])


def test_a_narrow_third_cell_is_no_gap():
    cells = strip_between(0, 0.001)
    found = pairs_of(examined(cells, gap=0.01).edges)
    assert len(found) == 5
    assert (cells.index[0], cells.index[1]) not in found


def test_a_strip_narrower_than_the_tolerance_joins_what_it_parts():
    # The vertices across the strip lie within the tolerance, in one grid square or in two.
    for shift in np.linspace(0, 1e-4, 7):
        cells = strip_between(shift, 0.9e-4)
        for block in (1, 2, 3, None):
            found = pairs_of(examined(cells, block=block).edges)
            assert found[cells.index[0], cells.index[1]] == ("vertex", True, False)


@pytest.mark.parametrize("snap", [0.0, 1e-9, 1e-4])
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 4), columns=st.integers(1, 4), faults=st.integers(0, 4))
def test_random_countries_equal_the_oracle(snap, seed, rows, columns, faults):
    tracts = country(seed, rows, columns, faults)
    expected = joined(slow_pairs(tracts, snap))
    for block in (1, 5, None):
        assert pairs_of(examined(tracts, snap=snap, block=block).edges) == expected


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), snap=st.sampled_from([1e-3, 0.02, 0.1]))
def test_countries_whose_cells_match_within_the_tolerance(seed, snap):
    tracts = country(seed, 3, 4, noise=snap / 4)
    expected = slow_pairs(tracts, snap)
    for block in (1, 5, None):
        found = examined(tracts, snap=snap, block=block)
        missed = found.differences[found.differences["rule"] == "near miss"]
        both = {(a, b) for a, b in zip(missed["focal"], missed["neighbor"], strict=True)}
        assert both == expected.keys() - joined(expected).keys()
        assert pairs_of(found.edges) == joined(expected)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_gaps_between_shrunken_cells(seed):
    tracts = country(seed, 3, 3)
    apart = tracts.set_geometry(tracts.buffer(-0.01))
    apart = apart[apart.geom_type == "Polygon"]
    expected = slow_pairs(apart, 1e-9, gap=0.03)
    for block in (1, None):
        assert pairs_of(examined(apart, snap=1e-9, gap=0.03, block=block).edges) == expected


def test_report_names_what_the_rules_differ_on():
    tracts = frame(
        [
            box(50, 0), box(0, 0), box(1, 0.5), box(10, 0), box(11.00005, 0), box(20, 0), box(20.999, 0),
            box(30, 0), box(31.001, 0), box(40, 0), box(41.00005, 0.5), box(60, 0),
        ]
    )  # fmt: skip
    name = tracts.index
    for block in (1, 3, None):
        found = examined(tracts, gap=0.002, block=block)
        report = found.report
        assert (report.tracts, report.queen, report.rook, report.interstate) == (12, 5, 3, 1)
        assert report.only_intersects.sample == ((name[1], name[2]), (name[5], name[6]))
        assert report.only_vertex.sample == ((name[3], name[4]),)
        assert report.only_gap.sample == ((name[7], name[8]), (name[9], name[10]))
        assert report.overlapping.sample == ((name[5], name[6]),)
        assert report.near_misses.count == 0
        assert report.islands == (name[0], name[11])
        assert (report.policy, report.snap, report.gap) == ("none", 1e-4, 0.002)
        assert found.differences["focal"].tolist() == [name[k] for k in (1, 3, 5, 7, 9)]
        without = examined(tracts, block=block)
        assert without.report.near_misses.sample == ((name[9], name[10]),)
        assert without.report.islands == (name[0], *name[7:])
        assert without.differences["rule"].tolist() == ["intersects", "vertex", "intersects", "near miss"]


def test_islands_are_joined_to_the_nearest_tracts_of_any_partition():
    # The second is as far from the fifth as from the first, whose geoid comes first.
    tracts = frame([box(0, 0), box(1, 0), box(8, 8), box(20, 0), box(0, 5), box(1, 5)])
    name = tracts.index
    for block in (1, 2, None):
        found = examined(tracts, islands="nearest:2", block=block)
        assert found.report.islands == (name[2], name[3])
        assert found.report.queen == 2
        edges = found.edges[found.edges["rule"] == "nearest"]
        assert not edges["rook"].any()
        assert {(a, b) for a, b in zip(edges["focal"], edges["neighbor"], strict=True) if a < b} == {
            (name[2], name[5]), (name[2], name[4]), (name[2], name[3]), (name[1], name[3]),
        }  # fmt: skip
        pairs_of(found.edges)


def test_an_island_whose_nearest_tract_it_just_misses_is_joined_to_it():
    edges = neighbors(frame([box(0, 0), box(1.00005, 0.5)]), islands="nearest:1")
    assert edges["rule"].tolist() == ["nearest", "nearest"]


def test_opportunity_grid_equals_its_file_once_overlaps_are_left_out():
    tracts = gpd.read_file(GRID / "ooi_tracts.gpkg").set_index("GEOID").sort_index()
    expected = pd.read_csv(GRID / "neighbours.csv", dtype=str, keep_default_na=False).set_index("GEOID")
    found = examined(tracts, block=30)
    assert found.report.overlapping.sample == (("39000000197", "39000000198"),)
    assert found.report.islands == ("39000000189", "39000000190", "39000000191", "39000000192", "39000000199",
                                    "39000000200")  # fmt: skip
    touching = found.edges[~found.edges["overlap"]]
    row = tracts.index.get_indexer
    near = adjacency(row(touching["focal"]), row(touching["neighbor"]), len(tracts))
    for column, matrix in (("near1", near), ("near2", once_removed(near))):
        names = [" ".join(tracts.index[matrix[[i]].indices]) for i in range(len(tracts))]
        assert names == expected.loc[tracts.index, column].tolist()


def test_invalid_and_empty_polygons_do_not_stop_it():
    bow_tie = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    spike = shapely.Polygon([(1, 0), (2, 0), (2, 1), (1, 1), (1, 5), (1, 1)])
    flat = shapely.Polygon([(5, 0), (6, 0), (5, 0)])
    twice = shapely.MultiPolygon([box(2, 0), box(2.5, 0)])
    cells = frame([bow_tie, spike, flat, shapely.Polygon(), twice, None, box(0, 1), shapely.MultiPolygon()])
    found = examined(cells)
    for block in (1, 3):
        pd.testing.assert_frame_equal(examined(cells, block=block).edges, found.edges)
    assert set(cells.index[[2, 3, 5, 7]]) <= set(found.report.islands)
    assert (cells.index[0], cells.index[1]) in pairs_of(found.edges)


def test_no_tracts_and_one_tract():
    for tracts in (frame([]), frame([box(0, 0)])):
        found = examined(tracts, islands="nearest:1")
        assert found.edges.dtypes.astype(str).to_dict() == {
            "focal": "str", "neighbor": "str", "rook": "bool", "overlap": "bool", "rule": "category",
        }  # fmt: skip
        assert len(found.edges) == 0
        assert (found.report.tracts, found.report.islands) == (len(tracts), tuple(tracts.index))


def test_an_unsorted_frame_gives_the_same_graph():
    tracts = country(1, 3, 3)
    pd.testing.assert_frame_equal(neighbors(tracts[::-1]), neighbors(tracts))


@pytest.mark.parametrize("seed", range(8))
def test_queen_and_rook_equal_predicates_on_a_tree(seed):
    tracts = country(seed, 8, 8).sort_index()
    polygons = shapely.force_2d(tracts.geometry.to_numpy())
    edges = neighbors(tracts, snap=0.0).reset_index()
    i, j = (tracts.index.get_indexer(edges[end]) for end in ("focal", "neighbor"))
    code, above = i * len(tracts) + j, i < j
    queen, rook = pairs_by_predicates(polygons)
    assert np.array_equal(np.sort(code[above]), queen)
    assert np.array_equal(np.sort(code[above & edges["rook"]]), rook)


def test_rook_leaves_out_corners_and_finds_its_own_islands():
    tracts = frame([box(0, 0), box(1, 0), box(2, 1), box(9, 9)])
    name = tracts.index
    queen, rook = neighbors(tracts), neighbors(tracts, contiguity="rook")
    assert list(queen["neighbor"].items()) == [(name[0], name[1]), (name[1], name[0]), (name[1], name[2]),
                                               (name[2], name[1])]  # fmt: skip
    pd.testing.assert_frame_equal(rook, queen[queen["rook"]])
    for block in (2, None):
        found = examined(tracts, block=block, contiguity="rook", islands="nearest:1")
        assert found.report.islands == (name[2], name[3])
        assert found.edges["rule"].tolist() == [BOTH, BOTH, "nearest", "nearest", "nearest", "nearest"]


@pytest.mark.parametrize(
    ("index", "dtype"),
    [
        (pd.Index(["b", "d", "a", "c"], name="zone"), "str"),
        (pd.Index(["b", "d", "a", "c"], dtype=object), "str"),
        (pd.Index([39, 18, 1, 7]), "int64"),
        (pd.RangeIndex(4), "int64"),
    ],
)
def test_keys_are_of_the_kind_of_the_index(index, dtype):
    squares = gpd.GeoSeries([box(x, 0) for x in range(4)], index=index)
    edges = neighbors(squares)
    assert edges.index.name == "focal"
    assert (edges.index.dtype, edges["neighbor"].dtype) == (dtype, dtype)
    assert set(edges["neighbor"].items()) == {
        (index[i], index[j]) for i in range(4) for j in range(4) if abs(i - j) == 1
    }
    assert edges.index.is_monotonic_increasing
    assert edges.dtypes[1:].astype(str).tolist() == ["bool", "bool", "category"]
    pd.testing.assert_frame_equal(neighbors(squares.to_frame("shape").set_geometry("shape")), edges)


def test_large_frames_are_cut_into_blocks():
    x, y = np.divmod(np.arange(70 * 50), 50)
    edges = neighbors(gpd.GeoSeries(shapely.box(x, y, x + 1, y + 1)))
    assert isinstance(edges, pd.DataFrame)
    assert len(edges) == 2 * (69 * 50 + 70 * 49 + 2 * 69 * 49)
    assert edges["rook"].sum() == 2 * (69 * 50 + 70 * 49)


@pytest.fixture(scope="module")
def albuquerque():
    """Return census tracts that libpysal ships."""
    tracts = gpd.read_file(libpysal.examples.get_path("10740.shp"))
    return tracts.set_index("STFID").sort_index()


@pytest.mark.parametrize("rook", [False, True])
def test_tracts_that_libpysal_ships_have_the_neighbors_that_libpysal_finds(albuquerque, rook):
    adjacency = libpysal.graph.Graph.build_contiguity(albuquerque, rook=rook).adjacency
    edges = neighbors(albuquerque, contiguity="rook" if rook else "queen")
    assert list(edges["neighbor"].items()) == sorted(adjacency[adjacency > 0].index)
    assert len(edges) > 900


def test_two_layers_deep_inside_each_other_are_the_exception_and_do_not_go_unnoticed():
    squares = [box(x, y) for x in range(5) for y in range(5)]
    shifted = [box(x + 0.5, y + 0.5) for x in range(5) for y in range(5)]
    tracts = frame(squares + shifted)
    expected = {(a, b) for (a, b), (_, _, overlap) in slow_pairs(tracts).items() if overlap}
    found = examined(tracts)
    overlaps = set(pairs_of(found.edges[found.edges["overlap"]]))
    assert overlaps < expected
    assert found.report.overlapping.count > len(expected) / 2


def test_bad_settings_and_frames_are_named():
    tracts = country(1, 2, 2)
    for options, message in (
        ({"snap": -1.0}, "snap: -1.0; expected"),
        ({"gap": float("nan")}, "gap: nan; expected"),
        ({"islands": "nearest:0"}, "islands: 'nearest:0'; expected"),
        ({"islands": "nearest"}, "islands: 'nearest'; expected"),
    ):
        with pytest.raises(SettingsError, match=message):
            examined(tracts, **options)
    with pytest.raises(SettingsError, match="contiguity: 'bishop'"):
        neighbors(tracts, contiguity="bishop")
    for block in (1, None):
        with pytest.raises(InputError, match=tracts.index[0]):
            examined(pd.concat([tracts, tracts[:1]]), block=block)
    with pytest.raises(InputError, match="DataFrame"):
        neighbors(pd.DataFrame(tracts))
    with pytest.raises(InputError, match="2 levels"):
        neighbors(tracts.set_index([tracts.index, tracts.index]))
    for wrong in (shapely.Point(0, 0), shapely.GeometryCollection([box(0, 0)])):
        spoiled = tracts.set_geometry([*tracts.geometry[:-1], wrong], crs=5070)
        name = spoiled.index[-1]
        with pytest.raises(GeometryError, match=f"tract {name}.* {wrong.geom_type}"):
            examined(spoiled)
    assert default_snap(tracts.crs) == 1e-4
    assert default_snap(tracts.to_crs(2263).crs) == pytest.approx(1e-4 / 0.3048, rel=1e-5)
    assert nearest_count("nearest:12") == 12
