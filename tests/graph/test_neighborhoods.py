"""Adjacency, once-removed neighbors and nearest tracts, against plain loops."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import InputError
from geomob_dask.graph.islands import Candidates, candidates, nearest
from geomob_dask.graph.neighborhoods import adjacency, once_removed

graphs = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        st.just(n), st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1]))
    )
)


def both_ways(pairs):
    focal, neighbor = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2).T
    return np.concatenate([focal, neighbor]), np.concatenate([neighbor, focal])


@settings(max_examples=60)
@given(graphs, st.randoms())
def test_adjacency_and_two_steps(graph, random):
    n, pairs = graph
    focal, neighbor = both_ways(pairs)
    order = list(range(len(focal))) * 2  # repeated edges count once
    random.shuffle(order)
    matrix = adjacency(focal[order], neighbor[order], n)
    near = {i: {b if a == i else a for a, b in pairs if i in (a, b)} for i in range(n)}
    assert [set(row.indices) for row in (matrix[[i]] for i in range(n))] == [near[i] for i in range(n)]
    assert matrix.has_sorted_indices
    assert (matrix.data == 1).all()
    twice = once_removed(matrix)
    for i in range(n):
        row = twice[[i]]
        assert row.indices.tolist() == sorted({k for j in near[i] for k in near[j]})
        assert (row.data == 1).all()
        assert (i in row.indices) == bool(near[i])


def test_edges_are_checked():
    with pytest.raises(InputError, match="row 2 is its own neighbor"):
        adjacency(np.array([0, 1, 2]), np.array([1, 0, 2]), 3)
    with pytest.raises(InputError, match="rows 1 and 2 are joined in one direction"):
        adjacency(np.array([0, 1, 1]), np.array([1, 0, 2]), 3)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12), st.integers(1, 12), st.data()
)
def test_nearest_with_ties_in_any_partitions(points, k, data):
    islands = data.draw(st.lists(st.integers(0, len(points) - 1), unique=True))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(points)), max_size=3)))
    found = nearest_of(np.array(points, float), islands, k, cuts)
    for i in islands:
        others = [j for j in range(len(points)) if j != i]
        x, y = points[i]
        assert found[i] == sorted(others, key=lambda j: ((points[j][0] - x) ** 2 + (points[j][1] - y) ** 2, j))[:k]


def test_nobody_is_near_a_place_that_is_not_known():
    points = np.array([[0.0, 0.0], [np.nan, np.nan], [2.0, 0.0]])
    assert nearest_of(points, [0, 1], 2, [1]) == {0: [2], 1: []}


def nearest_of(points, islands, k, cuts):
    """Return the nearest points of each island, found by partition."""
    islands = np.array(islands, np.int64)
    bounds = [0, *cuts, len(points)]
    parts = [candidates(islands, points[islands], k, a, points[a:b]) for a, b in pairwise(bounds)]
    found = nearest(Candidates.concatenate(parts), k)
    return {island: found.cell[found.island == island].tolist() for island in islands.tolist()}
