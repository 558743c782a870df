"""The neighbor graph over partitions: any partitions give the same graph, and few polygons travel."""

from collections import Counter
from dataclasses import replace

import dask
import dask.dataframe as dd
import dask_geopandas
import geopandas as gpd
import libpysal
import numpy as np
import pandas as pd
import pytest
import shapely
from dask.sizeof import sizeof
from oracles_contiguity import computed, country, examined, frame, partitioned

from geomob_dask.errors import InputError, SettingsError
from geomob_dask.frames.neighbors import neighbor_graph, neighbors
from geomob_dask.frames.own_rows import one_value
from geomob_dask.graph.matching import join, match
from geomob_dask.graph.residual import leaving
from geomob_dask.graph.vertices import Vertices


def assert_equal(found, expected):
    pd.testing.assert_frame_equal(found.edges, expected.edges)
    pd.testing.assert_frame_equal(found.differences, expected.differences)
    assert found.report == expected.report


@pytest.fixture(scope="module")
def tracts():
    """Return a country of some sixty tracts with faults in it."""
    return country(7, 8, 8, faults=8, noise=1e-5).sort_index()


@pytest.fixture(scope="module")
def expected(tracts):
    found = examined(tracts, gap=0.01, islands="nearest:2")
    assert min(found.report.overlapping.count, found.report.interstate) > 3
    return found


@pytest.mark.parametrize("n_partitions", [1, 2, 50])
@pytest.mark.parametrize("known", [False, True])
def test_any_partitions_give_the_same_edges_and_report(tracts, expected, n_partitions, known):
    cuts = np.sort(np.random.default_rng(n_partitions).integers(0, len(tracts), n_partitions - 1))
    lazy = partitioned(tracts, cuts)  # some partitions are empty
    if known:
        lazy.calculate_spatial_partitions()
    assert_equal(computed(neighbor_graph(lazy, gap=0.01, islands="nearest:2")), expected)


def test_polygons_that_are_made_twice_give_the_same(tracts, expected):
    graph = neighbor_graph(
        partitioned(tracts, [10, 25, 40]), gap=0.01, islands="nearest:2", again=partitioned(tracts, [10, 25, 40])
    )
    assert_equal(computed(graph), expected)


def test_on_two_worker_processes(client, tracts, expected):
    graph = neighbor_graph(partitioned(tracts, [10, 25, 40]), gap=0.01, islands="nearest:2")
    assert_equal(computed(graph, scheduler=client), expected)


@pytest.mark.parametrize("n_partitions", [1, 2, 50])
@pytest.mark.parametrize("contiguity", ["queen", "rook"])
def test_tracts_that_libpysal_ships_from_any_partitions(n_partitions, contiguity, client):
    albuquerque = gpd.read_file(libpysal.examples.get_path("10740.shp")).set_index("STFID").sort_index()
    expected = neighbors(albuquerque, contiguity=contiguity)
    lazy = dask_geopandas.from_geopandas(albuquerque, npartitions=n_partitions)
    edges = neighbors(lazy, contiguity=contiguity)
    assert isinstance(edges, dd.DataFrame)
    assert edges.divisions == lazy.divisions
    for scheduler in ("synchronous", client):
        pd.testing.assert_frame_equal(edges.compute(scheduler=scheduler), expected)


def test_focal_tracts_are_those_of_the_partition(tracts):
    edges = neighbors(partitioned(tracts, [20]))
    west, east = dask.compute(edges.partitions[0], edges.partitions[1], scheduler="synchronous")
    assert set(west.index) <= set(tracts.index[:20])
    assert set(east.index) <= set(tracts.index[20:])
    across = west[west["neighbor"].isin(tracts.index[20:])]
    back = east[east["neighbor"].isin(tracts.index[:20])]
    assert len(across) > 3
    assert set(across["neighbor"].items()) == {(focal, neighbor) for neighbor, focal in back["neighbor"].items()}


def test_stages_have_names_and_one_task_a_partition(tracts):
    edges = neighbors(partitioned(tracts, [20, 40]), islands="nearest:1")
    stages = Counter(key[0].rsplit("-", 1)[0] for key in edges.optimize().dask)
    (read,) = (name for name in stages if "lambda" in name)
    each = ("match-own", "outline", "offered", "join-open", "open-extents", "near-vertices", "check-open", "settle-own")
    each += ("middles", "own-islands", "own-candidates", "edges-of", read)
    small = ("layout", "near-distance", "close-pairs", "all-islands", "choose-nearest")
    assert stages == dict.fromkeys(each, 3) | {"halo": 9} | dict.fromkeys(small, 1)


def test_nothing_is_computed_until_asked(tracts):
    def fail(part):
        raise AssertionError("computed")

    lazy = partitioned(tracts, [20])
    graph = neighbor_graph(lazy.map_partitions(fail, meta=lazy._meta))
    for one in (graph.edges, graph.differences, graph.report):
        with pytest.raises(AssertionError, match="computed"):
            one.compute(scheduler="synchronous")


def test_dask_counts_the_bytes_of_polygons_and_of_results_of_tasks(tracts):
    vertices = 16 * shapely.get_num_coordinates(np.asarray(tracts.geometry.array)).sum()
    assert vertices < sizeof(tracts.geometry) < sizeof(tracts.assign(area=1.0)) < 3 * vertices
    matched = match(np.asarray(tracts.geometry.array), 1e-4)
    corners = matched.open.vertices
    size = sum(array.nbytes for array in (matched.pairs.code, corners.at, corners.ahead, corners.behind))
    (part,) = dask.compute(neighbor_graph(partitioned(tracts, [])).report, scheduler="synchronous")
    assert sizeof(part) > 0
    assert sizeof(one_value(matched.open)) > size / 2


def test_only_open_cells_whose_bounds_reach_a_partition_travel_to_it():
    # Two blocks of nine cells side by side, the border between them in steps that do not match.
    west = shapely.box(*np.array([(x, y, x + 1, y + 1) for x in range(3) for y in range(3)]).T)
    east = shapely.box(*np.array([(3 + x, y + 0.5, 4 + x, y + 1.5) for x in range(3) for y in range(3)]).T)
    far = shapely.box(*np.array([(50 + x, 0, 51 + x, 1) for x in range(3)]).T)
    parts = [west, east, far]
    firsts, bounds = [0, 9, 18], np.stack([shapely.total_bounds(part) for part in parts])
    opened = [match(part, 1e-4).open.vertices for part in parts]
    opened = [replace(own, cell=own.cell + first) for own, first in zip(opened, firsts, strict=True)]
    sent = []
    for place, (part, first) in enumerate(zip(parts, firsts, strict=True)):
        others = Vertices.concatenate([own for other, own in enumerate(opened) if other != place])
        joined = join(opened[place], others, first, len(part), 1e-4)
        goes = leaving(part[joined.open.number - first], bounds, 1e-4)
        sent.append(joined.open.where(goes).number.tolist())
    assert sent == [[6, 7, 8], [9, 10, 11], []]
    tracts = frame([*west, *east, *far])
    found = computed(neighbor_graph(partitioned(tracts, [9, 18])))
    assert_equal(found, examined(tracts))
    assert found.report.only_intersects.count == 5


def test_wrong_bounds_and_order_are_refused_by_name(tracts):
    known = partitioned(tracts, [20])
    known.calculate_spatial_partitions()
    known.spatial_partitions = known.spatial_partitions.scale(0.5, 0.5)
    with pytest.raises(InputError, match=f"partition 0, tracts {tracts.index[0]} to {tracts.index[19]}"):
        neighbors(known).compute(scheduler="synchronous")
    turned = partitioned(pd.concat([tracts[20:], tracts[:20]]), [len(tracts) - 20])
    with pytest.raises(InputError, match=f"{tracts.index[0]} after {tracts.index[-1]}"):
        neighbors(turned).compute(scheduler="synchronous")
    with pytest.raises(InputError, match=f"{tracts.index[3]} after {tracts.index[20]}"):
        neighbors(partitioned(tracts.iloc[[20, 3, 5]], [])).compute(scheduler="synchronous")
    with pytest.raises(SettingsError, match="islands"):
        neighbors(known, islands="all")
