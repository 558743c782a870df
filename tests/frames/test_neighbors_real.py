"""National graphs, pair for pair, against predicates on the whole frame."""

import geopandas as gpd
import numpy as np
import pytest
import scipy.sparse as sp
import shapely
from oracles_contiguity import computed, examined, pairs_by_predicates, partitioned
from scipy.spatial import KDTree

from geomob_dask.frames.neighbors import neighbor_graph

pytestmark = pytest.mark.real_data


def read(file):
    tracts = gpd.read_parquet(file, columns=["GEOID", "geometry"]).set_index("GEOID").sort_index()
    invalid = ~tracts.is_valid
    tracts.loc[invalid, "geometry"] = tracts.geometry[invalid].make_valid()
    return tracts


@pytest.fixture(scope="module")
def nation(real_data):
    return read(real_data / "tracts" / "cb500k_2010_vintage.parquet")


@pytest.fixture(scope="module")
def simplified(real_data):
    return read(real_data / "tracts" / "simplified_2010_all_states.parquet")


def by_query(tracts, predicate, **options):
    """Return codes of pairs i < j by a query of the whole frame."""
    polygons = np.asarray(tracts.geometry.array)
    i, j = shapely.STRtree(polygons).query(polygons, predicate=predicate, **options)
    return np.sort((i * len(tracts) + j)[i < j])


def by_edges(tracts, edges):
    i, j = (tracts.index.get_indexer(edges[end]) for end in ("focal", "neighbor"))
    return np.sort((i * len(tracts) + j)[i < j])


def states(tracts):
    state = tracts.index.str[:2]
    return np.flatnonzero(state[1:] != state[:-1]) + 1


@pytest.fixture(scope="module")
def queen_and_rook(nation):
    return pairs_by_predicates(np.asarray(nation.geometry.array))


@pytest.fixture(scope="module")
def intersecting(queen_and_rook):
    return queen_and_rook[0]


@pytest.fixture(scope="module")
def overlapping(nation, intersecting):
    i, j = np.divmod(intersecting, len(nation))
    polygons = np.asarray(nation.geometry.array)
    return intersecting[~shapely.touches(polygons[i], polygons[j])]


@pytest.mark.parametrize("n_partitions", [1, 2, 50])
def test_nation_equals_predicates_pair_for_pair(nation, queen_and_rook, overlapping, n_partitions):
    queen, rook = queen_and_rook
    cuts = np.linspace(0, len(nation), n_partitions + 1).astype(int)[1:-1]
    found = computed(neighbor_graph(partitioned(nation, cuts), snap=0.0))
    edges, report = found.edges, found.report
    assert np.array_equal(by_edges(nation, edges), queen)
    assert np.array_equal(by_edges(nation, edges[edges["rook"]]), rook)
    assert (report.queen, report.interstate, len(report.islands)) == (217_738, 3_382, 23)
    assert np.array_equal(by_edges(nation, edges[edges["overlap"]]), overlapping)
    assert found.differences["overlap"].sum() == report.overlapping.count == len(overlapping)


# The frame is in memory here; a store's is read by the workers.
@pytest.mark.filterwarnings("ignore:Sending large graph")
def test_nation_by_state_adds_pairs_and_edges_that_differ_by_rounding(nation, queen_and_rook):
    queen, rook = queen_and_rook
    lazy = partitioned(nation, states(nation))
    lazy.calculate_spatial_partitions()
    found = computed(neighbor_graph(lazy))
    edges, report = found.edges, found.report
    assert (report.queen, report.rook) == (217_739, 191_653)
    assert report.only_vertex.sample == (("35013001701", "48141001301"),)
    assert np.array_equal(by_edges(nation, edges[edges["rule"] != "vertex"]), queen)
    found_rook = by_edges(nation, edges[edges["rook"]])
    assert np.isin(rook, found_rook).all()
    more = np.setdiff1d(found_rook, rook)
    assert len(more) == 31 == interstate(nation, more)
    assert np.array_equal(by_edges(nation, edges), by_query(nation, "dwithin", distance=1e-10))


def by_vertices(tracts, snap):
    """Return codes of pairs with vertices within `snap`, from a tree of all vertices."""
    xy, cell = shapely.get_coordinates(np.asarray(tracts.geometry.array), return_index=True)
    distinct, row = np.unique(xy, axis=0, return_inverse=True)
    has = sp.csr_array((np.ones(len(cell), np.int32), (cell, row)), shape=(len(tracts), len(distinct)))
    one, other = KDTree(distinct).query_pairs(snap, output_type="ndarray").T
    near = sp.csr_array((np.ones(len(one), np.int32), (one, other)), shape=(len(distinct),) * 2)
    near = near + near.T + sp.eye_array(len(distinct), dtype=np.int32)
    pairs = (has @ near @ has.T).tocoo()
    above = pairs.row < pairs.col
    return np.sort(pairs.row[above].astype(np.int64) * len(tracts) + pairs.col[above])


def interstate(tracts, codes):
    state = tracts.index.str[:2]
    i, j = np.divmod(codes, len(tracts))
    return int((state[i] != state[j]).sum())


def test_simplified_states_touches_loses_interstate_neighbors_and_tolerances_recover_them(simplified):
    intersects = by_query(simplified, "intersects")
    assert interstate(simplified, by_query(simplified, "touches")) == 267
    assert interstate(simplified, intersects) == 3_330
    for snap, expected in ((1e-4, 3_330), (1.0, 3_422), (10.0, 3_523)):
        found = examined(simplified, snap=snap)
        pairs = np.union1d(intersects, by_vertices(simplified, snap))
        assert np.array_equal(by_edges(simplified, found.edges), pairs)
        assert found.report.interstate == interstate(simplified, pairs) == expected
    for gap, expected in ((1.0, 3_621), (10.0, 3_888)):
        found = examined(simplified, gap=gap)
        within = by_query(simplified, "dwithin", distance=gap)
        assert found.report.interstate == interstate(simplified, within) == expected
        # The others of `within` are corners of one state that do not meet, with a third tract between them.
        assert np.isin(by_edges(simplified, found.edges), within).all()


def test_workers_do_not_change_the_graph(client, nation):
    some = nation[nation.index.str[:2].isin(["18", "21", "26", "39", "54"])]
    graph = neighbor_graph(partitioned(some, states(some)))
    on_cluster, alone = computed(graph, scheduler=client), computed(graph)
    assert on_cluster.report == alone.report
    assert on_cluster.edges.equals(alone.edges)
