"""Indices of segregation made from counts: loops beside kernels, identities, partitions."""

import json
import math
import zipfile
from pathlib import Path

import numpy as np
import oracles_segregation as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.sparse import csr_array

from geomob_dask.errors import CountsError, DefinitionError, InputError
from geomob_dask.metrics.counts import Floats, Integers
from geomob_dask.metrics.divergence import divergence
from geomob_dask.metrics.segregation_catalog import INDICES, SegregationIndex, chosen, suited, terms_of
from geomob_dask.metrics.segregation_curve import segregation_curve
from geomob_dask.metrics.segregation_gini import gini, multigroup_gini, sums_before
from geomob_dask.metrics.segregation_local import group_mutual_information
from geomob_dask.metrics.segregation_multi_group import (
    diversity,
    information_theory,
    multigroup_dissimilarity,
    mutual_information,
    normalized_exposure,
    relative_diversity,
)
from geomob_dask.metrics.segregation_nested import nested_information_theory, nested_mutual_information
from geomob_dask.metrics.segregation_ordinal import (
    ordinal_absolute_difference,
    ordinal_information_theory,
    ordinal_square_root,
    ordinal_variation_ratio,
)
from geomob_dask.metrics.segregation_rank_order import (
    deviation_weights,
    entropy_weights,
    rank_order_information_theory,
    rank_order_square_root,
    rank_order_variance_ratio,
    variance_weights,
)
from geomob_dask.metrics.segregation_strategies import REGION, SUMS
from geomob_dask.metrics.segregation_sums import RegionSums, Units, partial_sums
from geomob_dask.metrics.segregation_two_group import (
    atkinson,
    correlation_ratio,
    dissimilarity,
    interaction,
    isolation,
    minimum_maximum,
    theil,
)
from geomob_dask.transforms.exact_sums import ExactSums, merged

FROM_COUNTS = [index for index in INDICES.values() if index.strategy in (SUMS, REGION)]
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


@st.composite
def regions(draw: st.DrawFn, groups: int | None = None) -> tuple[Floats, Integers]:
    """Units of three regions in mixed order; units, groups and whole regions may be empty."""
    shape = draw(st.integers(1, 14)), groups or draw(st.integers(1, 5))
    counts = draw(arrays(np.int64, shape, elements=st.one_of(st.just(0), st.integers(0, 60))))
    region = draw(arrays(np.int64, shape[0], elements=st.integers(0, 2)))
    return counts.astype(float), region


def evaluated(index: SegregationIndex, sums: RegionSums) -> Floats:
    """Return an index from sums, or from the units behind them where it sorts units."""
    if index.strategy is SUMS:
        return index.function(sums)
    return index.function(sums.units.counts, sums.units.region, len(sums.totals))


def by_region(counts: Floats, region: Integers) -> list[list[list[float]]]:
    return [counts[region == r].tolist() or [[0.0] * counts.shape[1]] for r in range(3)]


GROUP_ORACLES = {
    "dissimilarity": oracle.dissimilarity,
    "gini": oracle.gini,
    "isolation": oracle.isolation,
    "correlation_ratio": oracle.correlation_ratio,
    "theil": oracle.theil,
    "atkinson": lambda table, k: oracle.atkinson(table, k, 0.5),
    "minimum_maximum": oracle.minimum_maximum,
    "group_mutual_information": oracle.group_mutual_information,
}
REGION_ORACLES = {
    "multigroup_dissimilarity": oracle.multigroup_dissimilarity,
    "multigroup_gini": oracle.multigroup_gini,
    "mutual_information": oracle.mutual_information,
    "information_theory": oracle.information_theory,
    "relative_diversity": oracle.relative_diversity,
    "normalized_exposure": oracle.normalized_exposure,
    "squared_coefficient_of_variation": oracle.squared_coefficient_of_variation,
    "simpson_interaction": oracle.simpson,
    "diversity": oracle.diversity,
    "ordinal_information_theory": lambda table: oracle.ordinal(table, oracle.VARIATIONS["entropy"]),
    "ordinal_variation_ratio": lambda table: oracle.ordinal(table, oracle.VARIATIONS["variance"]),
    "ordinal_square_root": lambda table: oracle.ordinal(table, oracle.VARIATIONS["deviation"]),
    "ordinal_absolute_difference": lambda table: oracle.ordinal(table, oracle.VARIATIONS["difference"]),
}


@settings(max_examples=60)
@given(regions())
def test_indices_are_those_of_loops(data: tuple[Floats, Integers]) -> None:
    counts, region = data
    sums = RegionSums.of(counts, region, 3)
    tables, groups = by_region(counts, region), range(counts.shape[1])
    for name, of_group in GROUP_ORACLES.items():
        expected = [[of_group(table, k) for k in groups] for table in tables]
        np.testing.assert_allclose(evaluated(INDICES[name], sums), expected, err_msg=name, **CLOSE)
    for name, of_region in REGION_ORACLES.items():
        expected = [of_region(table) for table in tables]
        np.testing.assert_allclose(evaluated(INDICES[name], sums), expected, err_msg=name, **CLOSE)
    expected = [[[oracle.interaction(table, k, m) for m in groups] for k in groups] for table in tables]
    np.testing.assert_allclose(interaction(sums), expected, **CLOSE)


def test_every_index_from_counts_has_its_loops() -> None:
    proven_apart = {"interaction"} | {index.name for index in FROM_COUNTS if index.kind == "rank-order"}
    assert {index.name for index in FROM_COUNTS} == GROUP_ORACLES.keys() | REGION_ORACLES.keys() | proven_apart


@settings(max_examples=60)
@given(regions(), st.floats(0.05, 0.95))
def test_bounds_and_identities(data: tuple[Floats, Integers], b: float) -> None:
    counts, region = data
    sums = RegionSums.of(counts, region, 3)
    for index in FROM_COUNTS:
        value = evaluated(index, sums)
        value = value[~np.isnan(value)]
        assert ((value >= index.bounds[0] - 1e-12) & (value <= index.bounds[1] + 1e-12)).all(), index.name
    # Exposures of a group to all groups add up to one.
    pairs = interaction(sums)
    there = sums.totals > 0
    np.testing.assert_allclose(pairs.sum(axis=2)[there], 1.0)
    np.testing.assert_array_equal(np.einsum("rkk->rk", pairs), isolation(sums))
    # x exposes y as much as y exposes x.
    contacts = np.nan_to_num(pairs) * sums.totals[:, :, None]
    np.testing.assert_allclose(contacts, np.swapaxes(contacts, 1, 2), atol=1e-9)
    # M is the mean of its units, and of its groups, and H times E.
    M, people = mutual_information(sums), sums.people[:, 0]
    local = np.nan_to_num(divergence(counts, sums.totals[region])) * counts.sum(axis=1)
    np.testing.assert_allclose(np.bincount(region, local, 3), np.nan_to_num(M) * people, atol=1e-9)
    of_groups = np.nan_to_num(group_mutual_information(sums) * sums.share).sum(axis=1)
    np.testing.assert_allclose(of_groups, np.nan_to_num(M), atol=1e-12)
    H = information_theory(sums)
    mixed = ~np.isnan(H)
    np.testing.assert_allclose((H * diversity(sums))[mixed], M[mixed], atol=1e-12)
    assert (M[mixed] <= diversity(sums)[mixed] + 1e-12).all()
    # Normalized exposure and relative diversity are means of η².
    eta = correlation_ratio(sums)
    np.testing.assert_allclose(np.nansum(eta * sums.share, axis=1)[mixed], normalized_exposure(sums)[mixed], atol=1e-12)
    weights = sums.share * (1 - sums.share)
    mean = np.nansum(eta * weights, axis=1)[mixed] / weights.sum(axis=1)[mixed]
    np.testing.assert_allclose(mean, relative_diversity(sums)[mixed], atol=1e-12)
    # The Lorenz curve lies above its chord: D <= G; and Atkinson with b and 1 − b mirror the groups.
    D, G = dissimilarity(sums), gini(counts, region, 3)
    assert (D[~np.isnan(D)] <= G[~np.isnan(D)] + 1e-12).all()
    if counts.shape[1] == 2:
        left = (1 - atkinson(sums, b=b)[:, 0]) ** (1 - b)
        right = (1 - atkinson(sums, b=1 - b)[:, 1]) ** b
        np.testing.assert_allclose(left, right, atol=1e-9)


@settings(max_examples=40)
@given(regions(groups=2))
def test_two_groups_agree_across_families(data: tuple[Floats, Integers]) -> None:
    sums = RegionSums.of(*data, 3)
    pairs = [
        (dissimilarity(sums)[:, 0], multigroup_dissimilarity(sums)),
        (gini(*data, 3)[:, 0], multigroup_gini(*data, 3)),
        (gini(*data, 3)[:, 1], multigroup_gini(*data, 3)),
        (theil(sums)[:, 1], information_theory(sums)),
        (theil(sums)[:, 0], ordinal_information_theory(sums)),
        (correlation_ratio(sums)[:, 0], relative_diversity(sums)),
        (correlation_ratio(sums)[:, 1], ordinal_variation_ratio(sums)),
        (minimum_maximum(sums)[:, 0], minimum_maximum(sums)[:, 1]),
        # Reardon (2009): with two categories the square root index is Hutchens', 1 − √(1 − A(1/2)).
        (ordinal_square_root(sums), 1 - np.sqrt(1 - atkinson(sums, b=0.5)[:, 0])),
    ]
    for one, other in pairs:
        np.testing.assert_allclose(one, other, **CLOSE)


@settings(max_examples=40)
@given(regions(), st.data())
def test_empty_units_and_groups_change_nothing(data: tuple[Floats, Integers], draw: st.DataObject) -> None:
    counts, region = data
    unit = draw.draw(st.integers(0, len(counts)))
    group = draw.draw(st.integers(0, counts.shape[1]))
    wider = np.insert(np.insert(counts, unit, 0, axis=0), group, 0, axis=1)
    padded = RegionSums.of(wider, np.insert(region, unit, 1), 3)
    kept = np.delete(np.arange(wider.shape[1]), group)
    for index in FROM_COUNTS:
        # Of ordered categories only an empty one at the end changes nothing; rank order has its own test.
        if index.kind == "rank-order" or (index.kind == "ordinal" and 0 < group < counts.shape[1]):
            continue
        value, before = evaluated(index, padded), evaluated(index, RegionSums.of(*data, 3))
        if index.shape == "group":
            value = value[:, kept]
        elif index.shape == "pair":
            value = value[:, kept][:, :, kept]
        np.testing.assert_allclose(value, before, err_msg=index.name, **CLOSE)


@settings(max_examples=40)
@given(regions(), st.data())
def test_partitions_and_order_change_no_bit(data: tuple[Floats, Integers], draw: st.DataObject) -> None:
    counts, region = data
    fractions = counts * draw.draw(st.sampled_from([1.0, 0.1, math.pi]))
    partition = draw.draw(arrays(np.int64, len(counts), elements=st.integers(0, 3)))
    indices = chosen(index.name for index in FROM_COUNTS if index.strategy is SUMS)
    whole = RegionSums.of(fractions, region, 3)
    parts = [np.flatnonzero(partition == p) for p in draw.draw(st.permutations(range(4)))]
    totals = merged(ExactSums.of(fractions[rows], region[rows], 3) for rows in parts).rounded()
    gathered = [partial_sums(Units(fractions[rows], region[rows], totals), terms_of(indices)) for rows in parts]
    sums = RegionSums.merged(totals, gathered)
    for index in indices:
        np.testing.assert_array_equal(evaluated(index, sums), evaluated(index, whole), err_msg=index.name)
    order = draw.draw(st.permutations(range(len(counts))))
    np.testing.assert_array_equal(gini(counts[order], region[order], 3), gini(counts, region, 3))


@settings(max_examples=40)
@given(regions())
def test_sums_in_order_are_those_of_exact_ones(data: tuple[Floats, Integers]) -> None:
    for index in FROM_COUNTS:
        fast = evaluated(index, RegionSums.of(*data, 3, exact=False))
        np.testing.assert_allclose(fast, evaluated(index, RegionSums.of(*data, 3)), err_msg=index.name, **CLOSE)


@pytest.mark.parametrize("index", [i for i in FROM_COUNTS if i.kind != "rank-order"], ids=lambda index: index.name)
def test_even_and_apart(index: SegregationIndex) -> None:
    even = RegionSums.of([[8, 4, 4], [16, 8, 8], [0, 0, 0]])
    apart = RegionSums.of([[16, 0, 0], [0, 4, 0], [0, 0, 8]])
    P = np.array([0.5, 0.25, 0.25])
    E = -(P @ np.log(P))
    expected_even = {
        "isolation": P,
        "interaction": np.tile(P, (3, 1)),
        "simpson_interaction": 1 - P @ P,
        "diversity": E,
    }
    np.testing.assert_allclose(evaluated(index, even)[0], expected_even.get(index.name, 0.0), atol=1e-12)
    Q = np.array([16, 4, 8]) / 28
    expected_apart = {
        "interaction": np.eye(3),
        "simpson_interaction": 1 - Q @ Q,
        "diversity": -(Q @ np.log(Q)),
        "mutual_information": -(Q @ np.log(Q)),
        "group_mutual_information": -np.log(Q),
    }
    np.testing.assert_allclose(evaluated(index, apart)[0], expected_apart.get(index.name, 1.0), atol=1e-12)


@pytest.mark.parametrize("index", FROM_COUNTS, ids=lambda index: index.name)
def test_regions_with_little_in_them(index: SegregationIndex) -> None:
    one_unit = evaluated(index, RegionSums.of([[3, 2, 1, 1, 1, 1]]))
    if index.name in ("isolation", "interaction"):
        np.testing.assert_allclose(
            one_unit.reshape(-1)[:2], np.array([3, 2]) / 9 if index.shape == "pair" else [3 / 9, 2 / 9]
        )
    elif index.name not in ("simpson_interaction", "diversity"):
        np.testing.assert_allclose(one_unit, 0.0, atol=1e-12)
    assert np.isnan(evaluated(index, RegionSums.of(np.zeros((2, 3))))).all()
    assert evaluated(index, RegionSums.of(np.zeros((0, 3)), n_regions=2)).shape[0] == 2
    one_group = evaluated(index, RegionSums.of([[5, 0], [7, 0]]))
    defined = {"mutual_information": 0.0, "simpson_interaction": 0.0, "diversity": 0.0}
    if index.shape == "region":
        np.testing.assert_array_equal(one_group, defined.get(index.name, np.nan))
    elif index.name not in ("isolation", "interaction", "group_mutual_information"):
        assert np.isnan(one_group).all()


def test_atkinson_obeys_its_shape() -> None:
    counts = [[90, 10], [40, 60], [5, 95]]
    values = [atkinson(counts, b=b)[0, 0] for b in (0.1, 0.5, 0.9)]
    assert len({round(value, 6) for value in values}) == 3
    for value, b in zip(values, (0.1, 0.5, 0.9), strict=True):
        assert value == pytest.approx(oracle.atkinson(counts, 0, b), abs=1e-12)


@pytest.mark.parametrize("b", [0.0, 1.0, -1.0, math.nan])
def test_atkinson_refuses_other_shapes(b: float) -> None:
    with pytest.raises(DefinitionError, match="Atkinson"):
        atkinson([[1, 2]], b=b)


def test_gini_of_many_units_needs_no_pairs() -> None:
    # 200,000 units would make 40 billion pairs. A share that rises evenly has the Gini 2/3 of its parabola.
    n = 200_000
    group = np.arange(n, dtype=float)
    counts = np.column_stack([group, n - 1 - group])
    assert gini(counts)[0, 0] == pytest.approx(2 / 3, abs=1e-5)


def test_gini_of_fractions_is_the_same_beside_other_regions() -> None:
    # Few distinct shares among many units: ties, whose order fractions would show in the last bits.
    rng = np.random.default_rng(11)
    people = rng.random(400)[:, None]
    share = rng.integers(1, 4, 400)[:, None] / 4
    counts, region = np.hstack([people * share, people * (1 - share)]), rng.integers(0, 3, 400)
    together = gini(counts, region, 3)
    for r in range(3):
        np.testing.assert_array_equal(gini(counts[region == r])[0], together[r])


def test_running_sums_restart_in_each_region() -> None:
    region = np.array([0, 0, 0, 2, 2])
    for scale in (1.0, 0.1):
        values = np.array([1.0, 2, 3, 4, 5]) * scale
        np.testing.assert_allclose(sums_before(values, region), np.array([0, 1, 3, 0, 4]) * scale)
    assert sums_before(np.zeros(0), np.zeros(0, dtype=np.int64)).shape == (0,)


def test_missing_counts_are_never_zero() -> None:
    for counts in ([[np.nan, 1], [2, 3]], [[1.0, 1], [2, np.nan]]):
        with pytest.raises(CountsError, match="found nan"):
            RegionSums.of(counts)
        with pytest.raises(CountsError, match="found nan"):
            gini(counts)
        with pytest.raises(CountsError, match="found nan"):
            nested_mutual_information(counts, np.array([[0, 0], [0, 1]]))
    with pytest.raises(CountsError, match="unit 1, group 0: found -2"):
        RegionSums.of([[1, 1], [-2, 3]])


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ([0], "1 regions for 2 units"),
        ([0, -1], "unit 1: found the region -1"),
        ([0, 3], "unit 1: found the region 3, expected one of 0 to 2"),
        ([0.0, np.nan], "type float64, expected integer codes"),
    ],
)
def test_regions_that_do_not_fit(region: list[float], message: str) -> None:
    for index in (RegionSums.of, gini, multigroup_gini):
        with pytest.raises(CountsError, match=message):
            index([[1, 1], [2, 3]], np.array(region), 3)


def test_a_group_that_nobody_is_in_leaves_multigroup_indices_defined() -> None:
    sums = RegionSums.of([[5, 0, 3], [1, 0, 9]])
    assert information_theory(sums)[0] == pytest.approx(oracle.information_theory([[5, 3], [1, 9]]))


@settings(max_examples=40)
@given(regions())
def test_gini_and_dissimilarity_lie_under_the_curve(data: tuple[Floats, Integers]) -> None:
    counts = data[0]
    G, D = gini(counts)[0], dissimilarity(RegionSums.of(counts))[0]
    for k in range(counts.shape[1]):
        others, members = segregation_curve(counts, k)
        if np.isnan(G[k]):
            assert np.isnan(others[1:]).all() or np.isnan(members[1:]).all()
            continue
        assert (others[0], members[0], others[-1], members[-1]) == (0, 0, 1, 1)
        np.testing.assert_allclose(1 - 2 * np.trapezoid(members, others), G[k], atol=1e-12)
        np.testing.assert_allclose((others - members).max(), D[k], atol=1e-12)


def test_names_and_sums_that_are_not_there() -> None:
    with pytest.raises(DefinitionError, match="no index 'gimi'"):
        chosen(["gini", "gimi"])
    gathered = RegionSums.merged(np.ones((1, 2)), [])
    with pytest.raises(DefinitionError, match="'absolute_deviation' was not gathered"):
        dissimilarity(gathered)
    with pytest.raises(DefinitionError, match="units themselves"):
        evaluated(INDICES["gini"], gathered)


ARRAYS = {
    "land": [1.0, 3.0, 2.0, 1.0],
    "points": [[-80.0, 40.0], [-80.01, 40.0], [-79.0, 41.0], [-79.01, 41.0]],
    "levels": [["a"], ["a"], ["a"], ["b"]],
    "adjacency": csr_array(np.array([[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0]])),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=lambda index: index.name)
def test_every_index_is_called_with_plain_arrays(index: SegregationIndex) -> None:
    counts = [[30, 10, 5], [5, 20, 5], [8, 8, 8], [1, 2, 3]]
    given_names = {"polygons": ("land", "points"), "levels": ("levels",), "neighbors": ("adjacency",)}
    inputs = {name: ARRAYS[name] for need in index.strategy.inputs for name in given_names[need]}
    whole = index(counts, **inputs)
    columns = index.columns(["x", "y", "z"], ["county"])
    assert whole.reshape(1, -1).shape == (1, len(columns))
    by_region = index(counts, [1, 1, 0, 0], 3, **inputs)
    assert by_region.shape == (3 if index.shape != "level" else 2, *whole.shape[1:])
    alone = index(counts[:2], **{name: _rows(value, 2) for name, value in inputs.items()})
    np.testing.assert_allclose(by_region[1], alone[0], rtol=1e-12, atol=1e-15)
    if inputs and index.strategy.inputs != ("levels",):
        with pytest.raises(DefinitionError, match="found counts without"):
            index(counts)
    else:
        index(counts)


def _rows(value, n: int):
    return value[:n][:, :n] if isinstance(value, csr_array) else value[:n]


def test_kernels_take_counts_or_sums() -> None:
    counts, region = np.array([[30, 10], [5, 20], [8, 8.5]]), np.array([0, 0, 1])
    for index in FROM_COUNTS:
        np.testing.assert_array_equal(index.function(counts, region, 2), index(counts, region, 2), err_msg=index.name)


def test_what_does_not_suit_is_refused_or_left_out() -> None:
    lacking = {"polygons": "no polygons here"}
    kept, left_out = suited("all", ordered=False, n_groups=9, lacking=lacking)
    assert left_out["delta"] == "no polygons here"
    assert "81 pairs" in left_out["interaction"]
    assert {index.name for index in kept} | left_out.keys() == INDICES.keys()
    assert not any(index.ordered for index in kept)
    with pytest.raises(InputError, match="delta"):
        suited(["delta"], ordered=True, n_groups=2, lacking=lacking)
    assert [index.name for index in suited(["interaction"], ordered=True, n_groups=9, lacking={})[0]] == ["interaction"]


@pytest.mark.parametrize(
    ("weights", "variation"),
    [(entropy_weights, "entropy"), (variance_weights, "variance"), (deviation_weights, "deviation")],
)
def test_rank_order_weights_are_their_integrals(weights, variation: str) -> None:
    w = oracle.VARIATIONS[variation]
    whole = quad(w, 0, 1, epsabs=1e-13, epsrel=1e-13)[0]
    integrals = [quad(lambda p: w(p) * p**m, 0, 1, epsabs=1e-13, epsrel=1e-13)[0] / whole for m in range(11)]  # noqa: B023
    np.testing.assert_allclose(weights(10), integrals, rtol=0, atol=5e-9)


RANK_ORDER = [
    (rank_order_information_theory, "entropy"),
    (rank_order_variance_ratio, "variance"),
    (rank_order_square_root, "deviation"),
]


@settings(max_examples=30)
@given(regions(groups=8), st.integers(0, 3))
def test_rank_order_is_the_mean_of_a_fitted_curve(data: tuple[Floats, Integers], order: int) -> None:
    counts, region = data
    counts = counts + (np.arange(8) % 3 == 0)
    for index, name in RANK_ORDER:
        values = index(counts, region, 3, order=order)
        w = oracle.VARIATIONS[name]
        for r, table in enumerate(by_region(counts, region)):
            total = oracle.totals(table)
            if not sum(total):
                assert np.isnan(values[r])
                continue
            edges = [j for j in range(7) if total[j] and oracle.up_to(total, j) < 1]
            p = [oracle.up_to(total, j) for j in edges]
            curve = [oracle.threshold_index(table, j, w) for j in edges]
            if len(p) <= order:
                assert np.isnan(values[r])
                continue
            fit = np.polynomial.polynomial.polyfit(p, curve, order, w=[w(q) for q in p])
            mean = quad(lambda q: w(q) * np.polynomial.polynomial.polyval(q, fit), 0, 1, epsabs=1e-10)[0]  # noqa: B023
            assert values[r] == pytest.approx(mean / quad(w, 0, 1)[0], abs=1e-6)


def test_rank_order_of_units_alike_and_apart() -> None:
    alike = RegionSums.of([[1, 2, 3, 4, 5, 6, 7], [2, 4, 6, 8, 10, 12, 14]])
    apart = RegionSums.of(np.diag([3, 5, 2, 6, 1, 4, 7]))
    for index, _ in RANK_ORDER:
        np.testing.assert_allclose(index(alike), [0.0], atol=1e-12)
        np.testing.assert_allclose(index(apart), [1.0], atol=1e-10)
    with pytest.raises(DefinitionError, match="order -1"):
        rank_order_information_theory(alike, order=-1)


def test_rank_order_passes_over_empty_brackets() -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 50, (6, 8)).astype(float)
    with_gaps = np.insert(counts, [0, 3, 8], 0, axis=1)
    for index, _ in RANK_ORDER:
        np.testing.assert_allclose(index(RegionSums.of(with_gaps)), index(RegionSums.of(counts)), rtol=1e-12)


def test_ordinal_indices_know_the_order() -> None:
    near = RegionSums.of([[10, 0, 10, 0], [0, 10, 0, 10]])
    far = RegionSums.of([[10, 10, 0, 0], [0, 0, 10, 10]])
    for index in (
        ordinal_information_theory,
        ordinal_variation_ratio,
        ordinal_square_root,
        ordinal_absolute_difference,
    ):
        assert index(far)[0] > index(near)[0]
    assert information_theory(far)[0] == pytest.approx(information_theory(near)[0])


@settings(max_examples=60)
@given(st.data())
def test_nested_parts_add_up_to_the_whole(draw: st.DataObject) -> None:
    depth, n_units = draw.draw(st.integers(2, 5)), draw.draw(st.integers(1, 12))
    paths = draw.draw(arrays(np.int64, (n_units, depth), elements=st.integers(0, 2)))
    paths[:, -1] = np.arange(n_units)
    counts = draw.draw(arrays(np.int64, (n_units, 3), elements=st.one_of(st.just(0), st.integers(0, 40)))).astype(float)
    sums = RegionSums.of(counts, paths[:, 0])
    parts = nested_mutual_information(counts, paths)
    assert (np.nan_to_num(parts) >= 0).all()
    np.testing.assert_allclose(parts.sum(axis=1), mutual_information(sums), **CLOSE)
    np.testing.assert_allclose(nested_information_theory(counts, paths).sum(axis=1), information_theory(sums), **CLOSE)
    # Between the areas of a level, and within them: M of the areas as units, and the weighted M inside each.
    areas, area = np.unique(paths[:, :2], axis=0, return_inverse=True)
    area_sums = RegionSums.of(counts, area)
    between = mutual_information(RegionSums.of(area_sums.totals, areas[:, 0], len(parts)))
    inside = np.nan_to_num(mutual_information(area_sums)) * area_sums.people[:, 0]
    within = np.bincount(areas[:, 0], inside, len(parts))
    if depth > 2:
        np.testing.assert_allclose(parts[:, 0], between, **CLOSE)
        np.testing.assert_allclose(np.nan_to_num(parts[:, 1:].sum(axis=1)) * sums.people[:, 0], within, atol=1e-9)


def test_nesting_needs_two_levels() -> None:
    with pytest.raises(DefinitionError, match="at least one level"):
        nested_mutual_information([[1, 2]], np.array([[0]]))


@pytest.mark.real_data
def test_income_brackets_of_all_areas(real_data: Path) -> None:
    counts, region = [], []
    with zipfile.ZipFile(real_data / "income" / "B19001_2023_by_cbsa_json.zip") as archive:
        for code, name in enumerate(sorted(archive.namelist())):
            rows = json.loads(archive.read(name))
            counts += [row[2:] for row in rows]
            region += [code] * len(rows)
    table, codes = np.array(counts, dtype=float), np.array(region)
    assert (table.shape, codes[-1]) == ((78_142, 16), 934)
    sums = RegionSums.of(table, codes)
    plain = np.zeros((935, 16), dtype=np.int64)
    np.add.at(plain, codes, np.array(counts))
    np.testing.assert_array_equal(sums.totals, plain)
    # Every hundredth area against the loops.
    for r in range(0, 935, 100):
        area = table[codes == r].tolist()
        for name in ("multigroup_dissimilarity", "information_theory", "relative_diversity", "ordinal_variation_ratio"):
            expected = REGION_ORACLES[name](area)
            assert evaluated(INDICES[name], sums)[r] == pytest.approx(expected, rel=1e-9), name
    # Tracts dealt out to seven partitions give the same bits.
    partition = np.arange(len(table)) % 7
    indices = chosen(["mutual_information", "relative_diversity", "rank_order_information_theory"])
    parts = [
        partial_sums(Units(table[rows], codes[rows], sums.totals), terms_of(indices))
        for rows in (partition == p for p in range(7))
    ]
    for index in indices:
        np.testing.assert_array_equal(evaluated(index, RegionSums.merged(sums.totals, parts)), evaluated(index, sums))
