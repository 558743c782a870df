"""The neighbour graph on Dask: any partitions, names of tasks, what travels, and a real cluster."""

import dask
import dask_geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from dask.sizeof import sizeof
from oracles_contiguity import computed, country, frame, partitioned

from geomob_dask.errors import GeometryError, InputError, SettingsError
from geomob_dask.graph.contiguity import examine, match
from geomob_dask.lift.contiguity import contiguity
from geomob_dask.lift.tasks import Run


def assert_equal(found, expected):
    edges, differences, report = found
    pd.testing.assert_frame_equal(edges, expected.edges)
    pd.testing.assert_frame_equal(differences, expected.differences)
    assert report == expected.report


@pytest.fixture(scope="module")
def tracts():
    """Return a country of some sixty tracts with faults in it."""
    return country(7, 8, 8, faults=8, noise=1e-5).sort_index()


@pytest.fixture(scope="module")
def expected(tracts):
    found = examine(tracts, gap=0.01, islands="nearest:2")
    assert min(found.report.overlapping.count, found.report.interstate) > 3
    return found


@pytest.mark.parametrize("n_partitions", [1, 2, 50])
@pytest.mark.parametrize("known", [False, True])
def test_any_partitions_give_the_same_edges_and_report(tracts, expected, n_partitions, known):
    cuts = np.sort(np.random.default_rng(n_partitions).integers(0, len(tracts), n_partitions - 1))
    frame = partitioned(tracts, cuts)  # some partitions are empty
    if known:
        frame.calculate_spatial_partitions()
    graph = contiguity(frame, gap=0.01, islands="nearest:2")
    assert list(graph.edges) == [str(p) for p in range(n_partitions)]
    assert_equal(computed(graph, scheduler="sync"), expected)


def test_on_two_worker_processes(client, tracts, expected):
    graph = contiguity(partitioned(tracts, [10, 25, 40]), gap=0.01, islands="nearest:2")
    assert_equal(computed(graph, scheduler=client), expected)


def test_focal_tracts_are_those_of_the_partition(tracts):
    graph = contiguity(partitioned(tracts, [20]), partitions=["39", "42"])
    west, east = dask.compute(graph.edges["39"], graph.edges["42"], scheduler="sync")
    assert set(west["focal"]) <= set(tracts.index[:20])
    assert set(east["focal"]) <= set(tracts.index[20:])
    across = west[west["neighbor"].isin(tracts.index[20:])]
    back = east[east["neighbor"].isin(tracts.index[:20])]
    assert len(across) > 3
    assert set(zip(across["focal"], across["neighbor"], strict=True)) == set(
        zip(back["neighbor"], back["focal"], strict=True)
    )


def test_tasks_carry_stage_and_partition_and_are_few(tracts):
    graph = contiguity(partitioned(tracts, [20]), partitions=["39", "42"], run=Run("neighbors", "t"))
    keys = [key for edges in graph.edges.values() for key in edges.dask if isinstance(key, tuple)]
    named = {key for key in keys if key[0].startswith("neighbors-")}
    stages = {"match", "halo", "travel", "check", "edges"}
    assert named == {(f"neighbors-{stage}-t", name) for stage in stages for name in ("39", "42")} | {
        ("neighbors-join-t", "all"),
        ("neighbors-settle-t", "all"),
        ("neighbors-differences-t", "all"),
        ("neighbors-report-t", "all"),
    }


def test_nothing_is_computed_until_asked(tracts):
    def fail(part):
        raise AssertionError("computed")

    frame = partitioned(tracts, [20])
    lazy = frame.map_partitions(fail, meta=frame._meta)
    graph = contiguity(lazy)
    with pytest.raises(AssertionError, match="computed"):
        graph.report.compute(scheduler="sync")


def test_dask_knows_what_polygons_and_the_results_of_tasks_weigh(tracts):
    vertices = 16 * shapely.get_num_coordinates(np.asarray(tracts.geometry.array)).sum()
    assert vertices < sizeof(tracts.geometry) < sizeof(tracts.assign(area=1.0)) < 3 * vertices
    matched = match(np.asarray(tracts.geometry.array), tracts.index, 1e-4)
    arrays = [matched.pairs.code, matched.halo.vertices.at, matched.halo.vertices.ahead, matched.halo.vertices.behind]
    assert sizeof(matched) > sum(array.nbytes for array in arrays)


def test_only_open_cells_whose_bounds_reach_a_partition_travel_to_it(monkeypatch):
    from geomob_dask.graph import contiguity as module

    # Two blocks of nine cells side by side, the border between them in steps that do not match.
    west = [shapely.box(x, y, x + 1, y + 1) for x in range(3) for y in range(3)]
    east = [shapely.box(3 + x, y + 0.5, 4 + x, y + 1.5) for x in range(3) for y in range(3)]
    far = [shapely.box(50 + x, 0, 51 + x, 1) for x in range(3)]
    sent = []
    travel = module.travel

    def watched(*args):
        sent.append(travel(*args))
        return sent[-1]

    monkeypatch.setattr(module, "travel", watched)
    tracts = frame(west + east + far)
    found = computed(contiguity(partitioned(tracts, [9, 18])), scheduler="sync")
    assert [len(travellers.cell) for travellers in sent] == [3, 3, 0]
    assert_equal(found, examine(tracts))
    assert found[2].only_intersects.count == 5


def test_wrong_bounds_names_and_order_are_refused_by_name(tracts):
    known = partitioned(tracts, [20])
    known.calculate_spatial_partitions()
    known.spatial_partitions = known.spatial_partitions.scale(0.5, 0.5)
    with pytest.raises(InputError, match=r"partition (39|42): tract \d+ lies beyond the partition's known bounds"):
        contiguity(known, partitions=["39", "42"]).report.compute(scheduler="sync")
    with pytest.raises(InputError, match="partitions: 1 names; expected 2 different ones"):
        contiguity(known, partitions=["39"])
    first, last = tracts.index[[0, 20]]
    turned = dask_geopandas.from_geopandas(tracts, npartitions=1)
    turned = partitioned(pd.concat([tracts[20:], tracts[:20]]), [len(tracts) - 20])
    with pytest.raises(InputError, match=f"a partition begins with tract {first} after {tracts.index[-1]}"):
        contiguity(turned).report.compute(scheduler="sync")
    with pytest.raises(InputError, match=f"tracts {last} … .* are not sorted"):
        contiguity(partitioned(tracts.iloc[[20, 3, 5]], [])).report.compute(scheduler="sync")
    with pytest.raises(SettingsError, match="islands"):
        contiguity(known, islands="all")
    with pytest.raises(GeometryError, match="no CRS"):
        contiguity(partitioned(tracts.set_crs(None, allow_override=True), []))
