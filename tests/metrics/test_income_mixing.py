"""Income mixing of tracts: known values, loops beside kernels, what the measures must satisfy."""

import math

import numpy as np
import oracles_segregation as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import wasserstein_distance

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.metrics.brackets import bracket_positions, equal_classes, merge_brackets, quantile_classes
from geomob_dask.metrics.composition import relative_composition
from geomob_dask.metrics.counts import Floats, checked_counts
from geomob_dask.metrics.divergence import divergence, nested_divergence, scaled_divergence
from geomob_dask.metrics.entropy import entropy, entropy_index
from geomob_dask.metrics.location_quotient import location_quotient
from geomob_dask.metrics.wasserstein import (
    divergence_wasserstein_mixture,
    scaled_wasserstein,
    wasserstein,
    wasserstein_sign,
)

EVEN = np.ones(10)
MIDDLE = np.array([10, 10, 10, 10, 15, 5, 10, 10, 10, 10])
ENDS = np.array([15, 10, 10, 10, 10, 10, 10, 10, 10, 5])


@st.composite
def tables(draw: st.DrawFn, brackets: int | None = None) -> Floats:
    """Tracts of one region, some of them empty, some brackets too."""
    shape = draw(st.integers(1, 7)), brackets or draw(st.integers(1, 6))
    counts = draw(arrays(np.int64, shape, elements=st.one_of(st.just(0), st.integers(0, 90))))
    return counts.astype(float)


def test_two_scenarios_of_the_source() -> None:
    counts = np.stack([MIDDLE, ENDS])
    D = 0.15 * math.log(1.5) + 0.05 * math.log(0.5)
    np.testing.assert_allclose(divergence(counts, EVEN), [D, D], rtol=0, atol=1e-12)
    np.testing.assert_allclose(divergence(counts, EVEN), [0.0261624] * 2, rtol=0, atol=5e-8)
    np.testing.assert_allclose(entropy_index(counts, EVEN), np.array([D, D]) / math.log(10), rtol=0, atol=1e-12)
    np.testing.assert_allclose(wasserstein(counts, EVEN), [0.05, 0.45], rtol=0, atol=1e-12)
    # Both moved people down, so both are poorer than the region.
    np.testing.assert_array_equal(wasserstein_sign(counts, EVEN), [-1, -1])


def test_quintiles_hide_the_first_scenario_alone() -> None:
    quintiles = merge_brackets(np.stack([MIDDLE, ENDS]), equal_classes(10, 5))
    D = divergence(quintiles, np.ones(5))
    assert D[0] == 0.0
    assert D[1] > 0.01


@settings(max_examples=60)
@given(tables())
def test_measures_are_those_of_loops(counts: Floats) -> None:
    region = counts.sum(axis=0)
    positions = np.cumsum(np.arange(1.0, counts.shape[1] + 1))
    if not region.any():
        region = np.ones(counts.shape[1])
    expected = [[oracle.divergence(u, region), oracle.entropy_index(u, region)] for u in counts]
    measured = np.stack([divergence(counts, region), entropy_index(counts, region)], axis=1)
    np.testing.assert_allclose(measured, expected, rtol=1e-9, atol=1e-13)
    W = [oracle.transport(u, region, positions) for u in counts]
    np.testing.assert_allclose(wasserstein(counts, region, positions), W, rtol=1e-9, atol=1e-13)
    for u, w in zip(counts, wasserstein(counts, region), strict=True):
        if u.any():
            places = np.arange(len(u))
            assert w == pytest.approx(wasserstein_distance(places, places, u, region), abs=1e-12)


@settings(max_examples=60)
@given(tables(brackets=6), st.permutations(range(6)), st.sampled_from([1, 2, 3, 6]))
def test_identities(counts: Floats, order: list[int], n_classes: int) -> None:
    region = counts.sum(axis=0) + 1
    D, H, W = divergence(counts, region), entropy_index(counts, region), wasserstein(counts, region)
    here = ~np.isnan(D)
    np.testing.assert_array_equal(here, counts.any(axis=1))
    # Bounds.
    assert (D[here] >= 0).all()
    assert (D[here] <= -np.log((region / region.sum()).min()) + 1e-12).all()
    assert (H[here] <= 1 + 1e-12).all()
    assert ((W[here] >= 0) & (W[here] <= 5 + 1e-12)).all()
    # Merging never raises D.
    rule = equal_classes(6, n_classes)
    merged_D = divergence(merge_brackets(counts, rule), merge_brackets(region[None], rule)[0])
    assert (merged_D[here] <= D[here] + 1e-12).all()
    # Relabeling leaves D and H.
    np.testing.assert_allclose(divergence(counts[:, order], region[order]), D, atol=1e-12)
    np.testing.assert_allclose(entropy_index(counts[:, order], region[order]), H, atol=1e-12)
    # Turning the brackets round turns the sign and leaves W.
    np.testing.assert_allclose(wasserstein(counts[:, ::-1], region[::-1]), W, atol=1e-12)
    np.testing.assert_array_equal(
        wasserstein_sign(counts[:, ::-1], region[::-1]), -wasserstein_sign(counts, region) + 0.0
    )
    # The sign is that of the mean.
    mean_gap = (counts[here] / counts[here].sum(axis=1, keepdims=True) - region / region.sum()) @ np.arange(6)
    clear = np.abs(mean_gap) > 1e-9
    np.testing.assert_array_equal(wasserstein_sign(counts, region)[here][clear], np.sign(mean_gap[clear]))
    assert (W[here] >= np.abs(mean_gap) - 1e-12).all()


def test_relabelling_moves_wasserstein() -> None:
    order = [9, 1, 2, 3, 4, 5, 6, 7, 8, 0]
    swapped = np.array([MIDDLE])[:, [4, 1, 2, 3, 0, 9, 6, 7, 8, 5]]
    assert wasserstein(swapped, EVEN)[0] == pytest.approx(0.45)
    assert wasserstein(swapped[:, order], EVEN)[0] == pytest.approx(0.45)
    assert wasserstein_sign(swapped[:, order], EVEN)[0] == 1


def test_spread_alone_has_no_sign() -> None:
    apart = np.array([[3, 1, 1, 1, 3]])
    assert wasserstein(apart, np.ones(5))[0] > 0
    assert wasserstein_sign(apart, np.ones(5))[0] == 0


@st.composite
def nested(draw: st.DrawFn) -> tuple[Floats, np.ndarray]:
    depth, leaves = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    paths = draw(arrays(np.int64, (leaves, depth), elements=st.integers(0, 2)))
    counts = draw(arrays(np.int64, (leaves, 4), elements=st.one_of(st.just(0), st.integers(0, 40))))
    return counts.astype(float), paths


@settings(max_examples=80)
@given(nested())
def test_nested_parts_add_up_at_any_depth(leaves: tuple[Floats, np.ndarray]) -> None:
    counts, paths = leaves
    region = counts.sum(axis=0) + np.array([1, 2, 3, 4])
    parts = nested_divergence(counts, paths, region)
    # A leaf is a whole path: rows of one path are one building.
    for tract in range(len(parts)):
        buildings: dict[tuple[int, ...], Floats] = {}
        for path, row in zip(map(tuple, paths.tolist()), counts, strict=True):
            if path[0] == tract:
                buildings[path] = buildings.get(path, np.zeros(4)) + row
        expected = oracle.nested_divergence(list(buildings.items()), region) if buildings else np.nan
        np.testing.assert_allclose(parts[tract].sum(), expected, rtol=1e-9, atol=1e-12)
        own = counts[paths[:, 0] == tract].sum(axis=0)
        np.testing.assert_allclose(parts[tract, 0], oracle.divergence(own, region), rtol=1e-9, atol=1e-12)
    assert (np.nan_to_num(parts) >= 0).all()
    order = np.arange(len(counts))[::-1]
    np.testing.assert_array_equal(nested_divergence(counts[order], paths[order], region), parts)


def test_weight_of_buildings_is_their_share_of_the_tract() -> None:
    # A tract of 80 in houses and two towers of 10: the printed weights n_b/n_A would count towers fully.
    counts = np.array([[40, 40], [10, 0], [0, 10]])
    parts = nested_divergence(counts, np.array([[0, 0, 0], [0, 1, 0], [0, 1, 1]]), np.array([1, 1]))
    np.testing.assert_allclose(parts, [[0.0, 0.0, 0.2 * math.log(2)]], atol=1e-15)


def test_scales_and_mixture() -> None:
    counts = np.array([[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    D = scaled_divergence(divergence(counts, np.ones(4)), 4)
    W = scaled_wasserstein(wasserstein(counts, np.ones(4)), 4)
    np.testing.assert_allclose(D, [1.0, 0.0, np.nan])
    np.testing.assert_allclose(W, [0.5, 0.0, np.nan])
    np.testing.assert_allclose(divergence_wasserstein_mixture(D, W, 0.25), [0.625, 0.0, np.nan])
    with pytest.raises(DefinitionError, match=r"weight 1\.5"):
        divergence_wasserstein_mixture(D, W, 1.5)


def test_one_bracket_has_nothing_to_mix() -> None:
    counts = np.array([[5.0], [0.0]])
    np.testing.assert_array_equal(divergence(counts, np.ones(1)), [0, np.nan])
    np.testing.assert_array_equal(scaled_divergence(divergence(counts, np.ones(1)), 1), [np.nan, np.nan])
    np.testing.assert_array_equal(entropy_index(counts, np.ones(1)), [np.nan, np.nan])
    np.testing.assert_array_equal(wasserstein(counts, np.ones(1)), [0, np.nan])
    np.testing.assert_array_equal(scaled_wasserstein(wasserstein(counts, np.ones(1)), 1), [np.nan, np.nan])
    np.testing.assert_array_equal(wasserstein_sign(counts, np.ones(1)), [0, np.nan])


@settings(max_examples=60)
@given(tables(brackets=5), st.lists(st.floats(0.05, 0.95), min_size=1, max_size=3, unique=True))
def test_composition_of_the_region_is_that_of_the_cuts(counts: Floats, cuts: list[float]) -> None:
    cuts = sorted(cuts)
    region = counts.sum(axis=0)
    if np.min(np.diff([0, *cuts, 1])) < 1e-3 or not region.any():
        return
    composition = relative_composition(counts, region[None], np.zeros(len(counts), dtype=np.int64), cuts)
    here = counts.any(axis=1)
    np.testing.assert_allclose(composition[here].sum(axis=1), 1.0)
    assert np.isnan(composition[~here]).all()
    mean = counts[here].sum(axis=1) @ composition[here] / region.sum()
    np.testing.assert_allclose(mean, np.diff([0, *cuts, 1]), atol=1e-12)


def test_composition_on_deciles_is_addition() -> None:
    composition = relative_composition(np.stack([MIDDLE, ENDS]), EVEN[None], np.zeros(2, dtype=np.int64))
    np.testing.assert_allclose(composition, [[0.3, 0.4, 0.3], [0.35, 0.4, 0.25]], atol=1e-12)


def test_location_quotient() -> None:
    counts = np.array([[30.0, 70, 0], [0, 0, 0]])
    quotients = location_quotient(counts, [100, 900, 0])
    np.testing.assert_allclose(quotients, [[3.0, 0.7 / 0.9, np.nan], [np.nan] * 3])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([[1, 2], [3, np.nan]], "unit 1, group 1: found nan"),
        ([[1, 2], [-3, 1]], "unit 1, group 0: found -3"),
        ([[np.inf, 2]], "unit 0, group 0: found inf"),
        ([1, 2], r"shape \(2,\)"),
    ],
)
def test_counts_that_no_population_has(bad: list[float], message: str) -> None:
    for measure in (divergence, entropy_index, wasserstein, location_quotient):
        with pytest.raises(CountsError, match=message):
            measure(bad, [1, 1])
    with pytest.raises(CountsError, match=message):
        entropy(bad)


def test_fractions_are_refused_where_persons_are_drawn() -> None:
    assert checked_counts([[0.5, 1]]).tolist() == [[0.5, 1]]
    with pytest.raises(CountsError, match=r"unit 0, group 0: found 0\.5, expected a whole number"):
        checked_counts([[0.5, 1]], whole=True)


def test_region_must_contain_its_units() -> None:
    with pytest.raises(CountsError, match="unit 1, bracket 0: found 4 where its region has none"):
        divergence([[0, 3], [4, 5]], [0, 9])


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([0, 1, 2], "3 positions, expected one for each of 2"),
        ([1, 1], "rising"),
        ([2, 1], "rising"),
        ([0, np.nan], "rising"),
    ],
)
def test_positions_that_do_not_fit(positions: list[float], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        bracket_positions(2, positions)
    with pytest.raises(DefinitionError, match=message):
        wasserstein([[1, 2]], [1, 2], positions)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ([0, 1], "the rule has 2 brackets"),
        ([0, 2, 2], "out of order"),
        ([1, 1, 2], "out of order"),
        ([0, 1, 0], "out of order"),
    ],
)
def test_merging_rules_that_do_not_fit(rule: list[int], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        merge_brackets([[1, 2, 3]], rule)


def test_classes_and_cuts_that_do_not_fit() -> None:
    with pytest.raises(DefinitionError, match="16 brackets cannot be merged into 5"):
        equal_classes(16, 5)
    with pytest.raises(DefinitionError, match="rising strictly"):
        quantile_classes([[1, 2]], [0.7, 0.3])
