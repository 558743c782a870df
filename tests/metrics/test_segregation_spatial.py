"""Segregation with land and neighbors: loops beside kernels, and the defects known elsewhere."""

import math

import numpy as np
import oracles_segregation as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.metrics.counts import Floats, Integers
from geomob_dask.metrics.segregation_concentration import absolute_concentration, delta, relative_concentration
from geomob_dask.metrics.segregation_multi_group import information_theory, multigroup_dissimilarity, relative_diversity
from geomob_dask.metrics.segregation_proximity import proximity_term, proximity_weights, spatial_proximity
from geomob_dask.metrics.segregation_spatial import (
    environment,
    neighborhood_weights,
    spatial_information_theory,
    spatial_relative_diversity,
)
from geomob_dask.metrics.segregation_sums import (
    ABSOLUTE_DEVIATION,
    ENTROPY,
    INTERACTION,
    RegionSums,
    Units,
    partial_sums,
)
from geomob_dask.metrics.segregation_two_group import interaction, theil

CLOSE = {"rtol": 1e-9, "atol": 1e-11}


@st.composite
def places(draw: st.DrawFn) -> tuple[Floats, Integers, Floats, Floats, set[tuple[int, int]]]:
    """Units of two regions with points, areas and neighbors, which may cross the border."""
    n = draw(st.integers(1, 9))
    counts = draw(arrays(np.int64, (n, 3), elements=st.one_of(st.just(0), st.integers(0, 30)))).astype(float)
    region = draw(arrays(np.int64, n, elements=st.integers(0, 1)))
    points = draw(arrays(np.int64, (n, 2), elements=st.integers(0, 6))) * 0.7
    areas = draw(arrays(np.int64, n, elements=st.integers(1, 5))) * 0.5
    pairs = draw(st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=15))
    return counts, region, points, areas, {(i, j) for i, j in pairs if i < j}


def graph(pairs: set[tuple[int, int]], n: int) -> csr_array:
    rows = [i for i, j in pairs] + [j for i, j in pairs]
    columns = [j for i, j in pairs] + [i for i, j in pairs]
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))


@settings(max_examples=60)
@given(places())
def test_concentration_is_that_of_listed_people(data: tuple) -> None:
    counts, region, _, areas, _ = data
    measured = [f(counts, areas, region, 2) for f in (delta, absolute_concentration, relative_concentration)]
    for r in range(2):
        table, land = counts[region == r].astype(int).tolist(), areas[region == r].tolist()
        for k in range(3):
            X = sum(unit[k] for unit in table)
            expected_delta = oracle.delta(table, land, k) if table else math.nan
            np.testing.assert_allclose(measured[0][r, k], expected_delta, **CLOSE)
            if not X:
                assert np.isnan([m[r, k] for m in measured]).all()
                continue
            own, others, smallest, largest = oracle.mean_areas(table, land, k)
            if largest == smallest:
                assert np.isnan(measured[1][r, k])
                continue
            np.testing.assert_allclose(measured[1][r, k], 1 - (own - smallest) / (largest - smallest), **CLOSE)
            np.testing.assert_allclose(measured[2][r, k], (own / others - 1) / (smallest / largest - 1), **CLOSE)
            assert -1e-12 <= measured[1][r, k] <= 1 + 1e-12


@settings(max_examples=30)
@given(places(), st.data())
def test_concentration_knows_no_order_of_units(data: tuple, draw: st.DataObject) -> None:
    counts, region, _, areas, _ = data
    order = draw.draw(st.permutations(range(len(counts))))
    for index in (delta, absolute_concentration, relative_concentration):
        turned = index(counts[order], areas[order], region[order], 2)
        np.testing.assert_allclose(turned, index(counts, areas, region, 2), **CLOSE)


def test_concentration_at_its_ends() -> None:
    # The group of 10 fills the smallest unit, or the largest.
    counts, areas = np.array([[10.0, 0], [0, 30], [0, 10]]), np.array([1.0, 2, 4])
    assert absolute_concentration(counts, areas)[0, 0] == pytest.approx(1.0)
    assert absolute_concentration(counts, areas[::-1])[0, 0] == pytest.approx(0.0)
    assert relative_concentration(counts, areas)[0, 0] > 0 > relative_concentration(counts, areas[::-1])[0, 0]
    assert delta(np.array([[3.0, 1], [6, 2]]), np.array([1.0, 2]))[0, 0] == 0.0


@pytest.mark.parametrize(
    ("areas", "message"), [([1.0], "1 areas for 2 units"), ([1.0, -2], "unit 1"), ([np.nan, 1], "unit 0")]
)
def test_areas_that_do_not_fit(areas: list[float], message: str) -> None:
    for index in (delta, absolute_concentration, relative_concentration):
        with pytest.raises(DefinitionError, match=message):
            index([[1, 2], [3, 4]], areas)


@settings(max_examples=60)
@given(places(), st.sampled_from([0.8, 2.0, 30.0]))
def test_proximity_is_that_of_all_pairs(data: tuple, cutoff: float) -> None:
    counts, region, points, areas, _ = data
    weights = proximity_weights(points, areas, region, cutoff)
    measured = spatial_proximity(RegionSums.of(counts, region, 2), proximity_term(weights, counts))
    for r in range(2):
        here = region == r
        for k in range(3):
            table = counts[here].tolist() or [[0, 0, 0]]
            expected = oracle.spatial_proximity(table, points[here].tolist(), areas[here].tolist(), k, cutoff)
            np.testing.assert_allclose(measured[r, k], expected, **CLOSE)


@pytest.mark.parametrize(("pattern", "expected"), [("halves", 1.865), ("checkerboard", 0.974)])
def test_proximity_falls_with_distance(pattern: str, expected: float) -> None:
    # 20 × 20 cells of 1 km and 1,000 people each.
    row, column = np.divmod(np.arange(400), 20)
    first = row < 10 if pattern == "halves" else (row + column) % 2 == 0
    counts = np.where(first[:, None], [1000.0, 0.0], [0.0, 1000.0])
    points = np.column_stack([column, row]).astype(float)
    weights = proximity_weights(points, np.ones(400), np.zeros(400, dtype=np.int64), cutoff=20.0)
    values = spatial_proximity(RegionSums.of(counts), proximity_term(weights, counts))[0]
    np.testing.assert_allclose(values, [expected, expected], rtol=0, atol=5e-4)


def test_groups_spread_alike_are_as_near_as_all() -> None:
    rng = np.random.default_rng(5)
    people = rng.integers(1, 9, 12)[:, None]
    counts = people * np.array([[2.0, 5.0]])
    weights = proximity_weights(rng.random((12, 2)) * 4, np.ones(12), np.zeros(12, dtype=np.int64), 10.0)
    np.testing.assert_allclose(spatial_proximity(RegionSums.of(counts), proximity_term(weights, counts)), 1.0)


@pytest.mark.parametrize("cutoff", [0.0, -1.0, math.inf, math.nan])
def test_proximity_needs_a_cutoff(cutoff: float) -> None:
    with pytest.raises(DefinitionError, match="cut-off"):
        proximity_weights(np.zeros((1, 2)), np.ones(1), np.zeros(1, dtype=np.int64), cutoff)


def test_proximity_needs_points_and_areas() -> None:
    with pytest.raises(DefinitionError, match="unit 1"):
        proximity_weights(np.array([[0, 0], [np.nan, 1]]), np.ones(2), np.zeros(2, dtype=np.int64), 1.0)
    with pytest.raises(DefinitionError, match="unit 0"):
        proximity_weights(np.zeros((2, 2)), np.array([-1.0, 1]), np.zeros(2, dtype=np.int64), 1.0)


@settings(max_examples=60)
@given(places())
def test_spatial_indices_are_those_of_loops(data: tuple) -> None:
    counts, region, _, _, pairs = data
    around = environment(counts, neighborhood_weights(graph(pairs, len(counts)), region))
    sums = RegionSums.of(counts, region, 2, environment=around)
    neighbors = [
        {j for j in range(len(counts)) if region[i] == region[j] and ((i, j) in pairs or (j, i) in pairs)}
        for i in range(len(counts))
    ]
    mixes = oracle.environments(counts.tolist(), neighbors)
    for r in range(2):
        here = np.flatnonzero(region == r)
        table, mix = counts[here].tolist() or [[0, 0, 0]], [mixes[i] for i in here] or [[0, 0, 0]]
        H = oracle.spatial_index(table, mix, oracle.entropy)
        R = oracle.spatial_index(table, mix, lambda p: sum(q * (1 - q) for q in p))
        np.testing.assert_allclose(spatial_information_theory(sums)[r], H, **CLOSE)
        np.testing.assert_allclose(spatial_relative_diversity(sums)[r], R, **CLOSE)
        np.testing.assert_allclose(multigroup_dissimilarity(sums)[r], oracle.spatial_dissimilarity(table, mix), **CLOSE)
        exposure = interaction(sums)[r]
        for k in range(3):
            if not sums.totals[r, k]:
                assert np.isnan(exposure[k]).all()
                continue
            for m in range(3):
                terms = [u[k] * e[m] / sum(e) for u, e in zip(table, mix, strict=True) if sum(u)]
                np.testing.assert_allclose(exposure[k, m], sum(terms) / sums.totals[r, k], **CLOSE)


@settings(max_examples=40)
@given(places(), st.data())
def test_halo_gives_the_bits_of_the_whole(data: tuple, draw: st.DataObject) -> None:
    counts, region, points, areas, pairs = data
    own = draw.draw(arrays(np.bool_, len(counts)))
    adjacency = graph(pairs, len(counts))
    whole = RegionSums.of(counts, region, 2, environment=environment(counts, neighborhood_weights(adjacency, region)))
    near = proximity_weights(points, areas, region, 2.0)
    plain = RegionSums.of(counts, region, 2)
    gathered, near_sums = [], []
    for part in (own, ~own):
        # The partition and its halo of one step, in the order of the units; others are not there.
        reach = part | (adjacency @ part.astype(float) > 0)
        seen = np.flatnonzero(reach)
        weights = neighborhood_weights(csr_array(adjacency[seen][:, seen]), region[seen], part[seen])
        around = environment(counts[seen], weights)
        units = Units(counts[part], region[part], whole.totals, around)
        gathered.append(partial_sums(units, [ENTROPY, INTERACTION, ABSOLUTE_DEVIATION]))
        term = proximity_term(proximity_weights(points, areas, region, 2.0, part), counts)
        near_sums.append(partial_sums(Units(counts[part], region[part], whole.totals), [term]))
    sums = RegionSums.merged(whole.totals, gathered)
    for index in (spatial_information_theory, spatial_relative_diversity, multigroup_dissimilarity):
        np.testing.assert_array_equal(index(sums), index(whole))
    merged_near = RegionSums.merged(whole.totals, near_sums)
    term = proximity_term(near, counts)
    np.testing.assert_array_equal(spatial_proximity(merged_near, term), spatial_proximity(plain, term))


def test_islands_make_spatial_indices_plain() -> None:
    counts = np.array([[5.0, 3, 0], [1, 1, 7], [0, 0, 0], [4, 4, 4]])
    weights = neighborhood_weights(csr_array((4, 4)), np.zeros(4, dtype=np.int64))
    sums, plain = RegionSums.of(counts, environment=environment(counts, weights)), RegionSums.of(counts)
    np.testing.assert_allclose(spatial_information_theory(sums), information_theory(plain), atol=1e-12)
    np.testing.assert_allclose(spatial_relative_diversity(sums), relative_diversity(plain), atol=1e-12)
    np.testing.assert_allclose(multigroup_dissimilarity(sums), multigroup_dissimilarity(plain), atol=1e-12)


def test_units_weigh_their_own_people() -> None:
    # A large unit of one group beside a small mixed one: weighed by environments both would count alike.
    counts = np.array([[900.0, 0], [50, 50]])
    weights = neighborhood_weights(csr_array(np.array([[0, 1], [0, 0]])), np.zeros(2, dtype=np.int64))
    sums = RegionSums.of(counts, environment=environment(counts, weights))
    apart = 0.95 * 0.05 * 2
    expected = 1 - (0.9 * apart + 0.1 * 0.5) / apart
    assert spatial_relative_diversity(sums)[0] == pytest.approx(expected)


def test_what_has_no_meaning_with_environments() -> None:
    counts = np.array([[1.0, 2], [3, 4]])
    sums = RegionSums.of(counts, environment=np.array([[0.4, 0.6], [0.4, 0.6]]))
    with pytest.raises(DefinitionError, match="no meaning with environments"):
        theil(sums)
    with pytest.raises(CountsError, match="found 2 units for weights of 3"):
        environment(counts, csr_array((1, 3)))
    with pytest.raises(DefinitionError, match=r"shape \(3, 3\), expected \(2, 2\)"):
        neighborhood_weights(csr_array((3, 3)), np.zeros(2, dtype=np.int64))


def whole_units(group: Floats, people: Floats, land: Floats) -> tuple[float, float]:
    """Return ACO and RCO as PySAL and OasisR read them: the unit that reaches the group's size counts whole."""
    order = sorted(range(len(land)), key=lambda unit: land[unit])
    ends = []
    for units in (order, order[::-1]):
        counted: list[int] = []
        while sum(people[unit] for unit in counted) < group.sum():
            counted.append(units[len(counted)])
        ends.append(sum(people[unit] * land[unit] for unit in counted) / sum(people[unit] for unit in counted))
    own, others = (float(some @ land / some.sum()) for some in (group, people - group))
    small, large = ends
    return 1 - (own - small) / (large - small), (own / others - 1) / (small / large - 1)


def test_the_other_reading_of_concentration_counts_units_whole() -> None:
    people, land = np.array([60.0, 50, 40]), np.array([1.0, 2, 4])
    group = np.array([30.0, 10, 20])
    counts = np.column_stack([group, people - group])
    found = absolute_concentration(counts, land)[0, 0], relative_concentration(counts, land)[0, 0]
    # The numbers of docs/segregation.md.
    np.testing.assert_allclose(found, (0.5, -0.0376), atol=5e-5)
    np.testing.assert_allclose(whole_units(group, people, land), (0.3824, -0.0402), atol=5e-5)
    # A group of as many people as the smallest and the largest unit: the paper's equality holds, and so do both.
    equal = np.array([20.0, 10, 30])
    sizes = np.array([60.0, 50, 60])
    counts = np.column_stack([equal, sizes - equal])
    found = absolute_concentration(counts, land)[0, 0], relative_concentration(counts, land)[0, 0]
    np.testing.assert_allclose(whole_units(equal, sizes, land), found)
