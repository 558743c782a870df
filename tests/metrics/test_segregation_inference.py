"""Random draws and what is made of them: keys, margins, moments, p-values, bias."""

import numpy as np
import oracles_segregation as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array
from scipy.stats import kstest

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.segregation_catalog import INDICES
from geomob_dask.metrics.segregation_draws import (
    DrawKey,
    Sampler,
    evenness,
    margin_of_error_draws,
    permuted_persons,
    permuted_units,
    resampled_persons,
    resampled_units,
    sampled_evenness,
    sampled_people,
)
from geomob_dask.metrics.segregation_inference import (
    bootstrap_corrected,
    drawn_indices,
    evaluation,
    excess_over_evenness,
    interval,
    mutual_information_bias,
    p_value,
)
from geomob_dask.metrics.segregation_multi_group import information_theory, mutual_information
from geomob_dask.metrics.segregation_spatial import environment, neighborhood_weights, spatial_information_theory
from geomob_dask.metrics.segregation_sums import RegionSums
from geomob_dask.metrics.segregation_two_group import dissimilarity
from geomob_dask.metrics.segregation_units import RegionUnits

COUNTS = np.array([[30.0, 10, 0], [5, 40, 0], [0, 0, 0], [25, 25, 0]])
KEY = DrawKey(seed=7, region="31080", year=2023)
UNITS = RegionUnits.of(COUNTS)


def of_sums(index):
    return lambda units: index(units.sums)


SAMPLERS = {
    "evenness": evenness,
    "persons": permuted_persons,
    "units": permuted_units,
    "resampled units": resampled_units,
    "resampled persons": resampled_persons,
    "normal": lambda counts: margin_of_error_draws(counts, 0.2 * np.asarray(counts)),
    "gamma": lambda counts: margin_of_error_draws(counts, 0.2 * np.asarray(counts), distribution="gamma"),
}
tables = arrays(
    np.int64,
    st.tuples(st.integers(1, 5), st.integers(1, 4)),
    elements=st.one_of(st.just(0), st.integers(0, 30)),
).map(lambda table: table.astype(float))


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_a_draw_is_its_own_whatever_is_drawn_beside_it(sampler) -> None:
    draw = sampler(COUNTS)
    evaluate = evaluation({"M": of_sums(mutual_information), "D": of_sums(dissimilarity)}, UNITS)
    whole = drawn_indices(draw, evaluate, KEY, range(20))
    one_by_one = drawn_indices(draw, evaluate, KEY, range(20), cells=1)
    part = drawn_indices(draw, evaluate, KEY, range(13, 20))
    for name in whole:
        np.testing.assert_array_equal(one_by_one[name], whole[name])
        np.testing.assert_array_equal(part[name], whole[name][13:])


def test_seed_region_year_and_draw_name_the_stream() -> None:
    streams = [
        DrawKey(seed, region, year).generator(draw).integers(0, 2**62, 4).tolist()
        for seed in (0, 1, 2**40)
        for region in ("31080", "31081", "3108")
        for year in (2022, 2023)
        for draw in (0, 1, 999)
    ]
    assert len({tuple(stream) for stream in streams}) == len(streams)
    # Pinned: a stored p-value can be made again.
    assert KEY.generator(3).integers(0, 1000, 5).tolist() == [972, 982, 414, 613, 782]


@settings(max_examples=40)
@given(tables)
def test_what_each_draw_keeps(counts: Floats) -> None:
    drawn = {name: sampler(counts)(KEY.generator(0)) for name, sampler in SAMPLERS.items()}
    people, groups = counts.sum(axis=1), counts.sum(axis=0)
    for name, table in drawn.items():
        assert table.shape == counts.shape
        assert (table >= 0).all()
        if name not in ("normal", "gamma"):
            np.testing.assert_array_equal(table, np.floor(table))
        assert not table[:, groups == 0].any()
    np.testing.assert_array_equal(drawn["evenness"].sum(axis=1), people)
    np.testing.assert_array_equal(drawn["persons"].sum(axis=1), people)
    np.testing.assert_array_equal(drawn["persons"].sum(axis=0), groups)
    assert sorted(drawn["units"].tolist()) == sorted(counts.tolist())
    assert all(row in counts.tolist() for row in drawn["resampled units"].tolist())
    assert drawn["resampled persons"].sum() == counts.sum()
    assert not drawn["resampled persons"][counts == 0].any()
    assert not drawn["gamma"][counts == 0].any()


def many(sampler: Sampler, draws: int = 4000) -> Floats:
    return np.stack([sampler(KEY.generator(draw)) for draw in range(draws)])


def test_permuted_persons_are_hypergeometric() -> None:
    drawn = many(permuted_persons(COUNTS))
    t, N, T = COUNTS.sum(axis=1), COUNTS.sum(axis=0), COUNTS.sum()
    mean = np.outer(t, N) / T
    variance = mean * (1 - N / T) * (T - t)[:, None] / (T - 1)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.25)
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.1, atol=0.01)


def test_evenness_is_multinomial() -> None:
    drawn = many(evenness(COUNTS))
    t, P = COUNTS.sum(axis=1)[:, None], COUNTS.sum(axis=0) / COUNTS.sum()
    np.testing.assert_allclose(drawn.mean(axis=0), t * P, atol=0.25)
    np.testing.assert_allclose(drawn.var(axis=0), t * P * (1 - P), rtol=0.1, atol=0.01)


def test_a_sample_has_the_moments_of_its_interviews() -> None:
    interviews, errors = np.array([10.0, 5, 0, 12.4]), np.array([8.0, 0, 0, 5])
    drawn = many(sampled_people(COUNTS, interviews, errors))
    people, number = COUNTS.sum(axis=1), np.array([10.0, 5, 1, 12])
    share = COUNTS / np.maximum(people, 1)[:, None]
    within = people[:, None] ** 2 * share * (1 - share) / number[:, None]
    # The people of a unit are drawn apart from their shares.
    variance = within * (1 + (errors / np.maximum(people, 1))[:, None] ** 2) + share**2 * errors[:, None] ** 2
    np.testing.assert_allclose(drawn.mean(axis=0), COUNTS, atol=0.6)
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.1, atol=0.01)
    even = many(sampled_evenness(COUNTS, interviews))
    P = COUNTS.sum(axis=0) / COUNTS.sum()
    np.testing.assert_allclose(even.sum(axis=2), np.broadcast_to(people, even.shape[:2]))
    np.testing.assert_allclose(even.mean(axis=0), people[:, None] * P, atol=0.6)
    np.testing.assert_allclose(even.var(axis=0), people[:, None] ** 2 * P * (1 - P) / number[:, None], rtol=0.1)


def test_resampled_persons_have_the_shares_of_the_cells() -> None:
    drawn = many(resampled_persons(COUNTS))
    np.testing.assert_allclose(drawn.mean(axis=0), COUNTS, atol=0.4)
    np.testing.assert_allclose(drawn.var(axis=0), COUNTS * (1 - COUNTS / COUNTS.sum()), rtol=0.1, atol=0.01)


def test_margins_of_error_are_kept_by_the_draws() -> None:
    errors = np.array([[6.0, 4, 0], [3, 9, 0], [0, 0, 0], [10, 0, 0]])
    gamma = many(margin_of_error_draws(COUNTS, errors, distribution="gamma"))
    np.testing.assert_allclose(gamma.mean(axis=0), COUNTS, atol=0.6)
    np.testing.assert_allclose(gamma.std(axis=0), errors, rtol=0.06)
    # Far from 0 the normal draws keep them too; a count of 0 with an error is drawn above it.
    normal = many(margin_of_error_draws(COUNTS + 100, errors))
    np.testing.assert_allclose(normal.mean(axis=0), COUNTS + 100, atol=0.6)
    np.testing.assert_allclose(normal.std(axis=0), errors, rtol=0.06)
    at_zero = many(margin_of_error_draws([[0.0]], [[10.0]]))
    assert at_zero.mean() == pytest.approx(10 / np.sqrt(2 * np.pi), rel=0.1)


def test_spatial_draws_move_environments_with_units() -> None:
    counts = np.array([[9.0, 1], [8, 2], [1, 9], [2, 8]])
    weights = neighborhood_weights(csr_array(np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)), np.zeros(4, dtype=int))
    adjacency = csr_array(np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1))
    units, indices = RegionUnits.of(counts, adjacency=adjacency), {"H": INDICES["spatial_information_theory"].of}
    values = drawn_indices(permuted_units(counts), evaluation(indices, units), KEY, range(12))["H"]
    for draw in range(12):
        table = permuted_units(counts)(KEY.generator(draw))
        alone = spatial_information_theory(RegionSums.of(table, environment=environment(table, weights)))[0]
        assert values[draw] == pytest.approx(alone, abs=1e-12)
    assert len(set(values.round(9).tolist())) > 2
    # Without neighbors a permutation of units changes nothing.
    plain = drawn_indices(permuted_units(counts), evaluation({"H": of_sums(information_theory)}, units), KEY, range(5))[
        "H"
    ]
    np.testing.assert_allclose(plain, np.full(5, information_theory(RegionSums.of(counts))[0]), atol=1e-12)


def test_draws_of_a_sorted_index() -> None:
    values = drawn_indices(evenness(COUNTS), evaluation({"G": INDICES["multigroup_gini"].of}, UNITS), KEY, range(4))[
        "G"
    ]
    expected = [oracle.multigroup_gini(evenness(COUNTS)(KEY.generator(draw)).tolist()) for draw in range(4)]
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_p_value_counts_draws_and_itself() -> None:
    null = np.array([[0.1, 0.5, np.nan], [0.2, 0.6, 0.1], [0.3, 0.7, 0.1]])
    np.testing.assert_allclose(p_value(np.array([0.25, 0.9, 0.5]), null), [0.5, 0.25, np.nan])
    assert np.isnan(p_value(np.array(np.nan), np.zeros(3)))


def test_segregated_regions_are_told_from_even_ones() -> None:
    evaluate = evaluation({"M": of_sums(mutual_information)}, UNITS)
    for counts, low, high in ((np.array([[80, 20], [20, 80]]), 0.0, 0.011), (np.array([[50, 50], [49, 51]]), 0.5, 1.0)):
        null = drawn_indices(permuted_persons(counts), evaluate, KEY, range(99))["M"]
        assert low <= p_value(mutual_information(RegionSums.of(counts))[0], null) <= high


def test_p_values_under_the_null_are_uniform() -> None:
    # Each region is itself a draw of evenness; its p-value should fall anywhere.
    rng = np.random.default_rng(1)
    p = []
    for region in range(120):
        counts = rng.multinomial([20] * 6, [0.5, 0.3, 0.2]).astype(float)
        null = drawn_indices(
            permuted_persons(counts),
            evaluation({"M": of_sums(mutual_information)}, UNITS),
            DrawKey(1, str(region), 0),
            range(39),
        )
        p.append(float(p_value(mutual_information(RegionSums.of(counts))[0], null["M"])))
    assert 0.4 < np.mean(p) < 0.6
    assert 0.01 < np.mean(np.array(p) <= 0.1) < 0.2


def test_p_values_of_a_sampled_even_world_are_uniform() -> None:
    # Even tracts, one person in ten interviewed, weighted up: what is taken for a full count is segregated for sure.
    rng = np.random.default_rng(2)
    evaluate = evaluation({"M": of_sums(mutual_information)}, UNITS)
    found = {"as sampled": [], "as a full count": []}
    for region in range(100):
        interviews = rng.integers(100, 300, 30)
        counts = rng.multinomial(interviews, [0.5, 0.3, 0.2]) * 10.0
        M, key = mutual_information(RegionSums.of(counts))[0], DrawKey(1, str(region), 0)
        for name, sampler in zip(found, (sampled_evenness(counts, interviews), evenness(counts)), strict=True):
            found[name].append(float(p_value(M, drawn_indices(sampler, evaluate, key, range(39))["M"])))
    assert kstest(found["as sampled"], "uniform").pvalue > 0.01
    assert 0.03 < np.mean(np.array(found["as sampled"]) <= 0.1) < 0.2
    assert set(found["as a full count"]) == {1 / 40}


def test_interval_and_correction() -> None:
    draws = np.arange(101.0)[:, None] / 100
    lower, upper = interval(draws, 0.9)
    np.testing.assert_allclose([lower[0], upper[0]], [0.05, 0.95])
    np.testing.assert_allclose(bootstrap_corrected(np.array([0.4]), draws), [0.3])


def test_excess_over_evenness() -> None:
    null = np.array([[0.1, 0.1, 0.1], [0.3, 0.3, 0.3]])
    np.testing.assert_allclose(excess_over_evenness(np.array([0.6, 0.2, 0.1]), null), [0.5, 0.0, -0.5])


@settings(max_examples=40)
@given(tables)
def test_bias_is_that_of_loops(counts: Floats) -> None:
    expected = oracle.mutual_information_bias(counts.tolist(), counts.tolist())
    np.testing.assert_allclose(mutual_information_bias(counts), expected, rtol=1e-9, atol=1e-12)


def test_bias_of_a_random_sample_is_that_of_miller_and_madow() -> None:
    counts = np.array([[10.0, 20, 30], [5, 5, 5], [40, 2, 3], [7, 7, 8]])
    np.testing.assert_allclose(mutual_information_bias(counts), (4 - 1) * (3 - 1) / (2 * counts.sum()))
    padded = np.pad(counts, ((0, 1), (0, 1)))
    np.testing.assert_allclose(mutual_information_bias(padded), mutual_information_bias(counts))


def test_bias_is_what_sampling_adds() -> None:
    truth = np.array([[300.0, 100, 50], [100, 250, 80], [60, 90, 200]])
    M = mutual_information(RegionSums.of(truth))[0]
    evaluate = evaluation({"M": of_sums(mutual_information)}, UNITS)
    sampled = drawn_indices(resampled_persons(truth), evaluate, KEY, range(6000))["M"].mean() - M
    assert mutual_information_bias(truth)[0] == pytest.approx(sampled, rel=0.15)


@pytest.mark.parametrize("interviews", [[200.0, 150, 180], [40.0, 60, 30], [6.0, 12, 9]])
def test_bias_is_what_few_interviews_add(interviews: list[float]) -> None:
    truth = np.array([[300.0, 100, 50], [100, 250, 80], [60, 90, 0]])
    M = mutual_information(RegionSums.of(truth))[0]
    evaluate = evaluation({"M": of_sums(mutual_information)}, UNITS)
    draw = sampled_people(truth, interviews)
    tables = np.stack([draw(KEY.generator(number)) for number in range(1500)])
    added = evaluate(tables)["M"].mean() - M
    # Of the estimates of a sample, as of the truth: their noise is taken off before the bias is told.
    told = np.mean([mutual_information_bias(table, interviews=interviews)[0] for table in tables[:150]])
    assert told == pytest.approx(added, rel=0.15)


def test_bias_where_margins_exceed_estimates() -> None:
    rng = np.random.default_rng(3)
    truth = np.column_stack([rng.integers(0, 40, 60), rng.integers(500, 4000, 60), rng.integers(0, 900, 60)]) * 1.0
    draw = sampled_people(truth, truth.sum(axis=1) / 40)
    samples = [draw(KEY.generator(number)) for number in range(60)]
    M = [mutual_information(RegionSums.of(table))[0] for table in (truth, *samples)]
    # One person with a weight of 40, of a margin of 98.
    errors = [np.sqrt(np.maximum(40 * table, 60.0**2)) for table in samples]
    assert np.mean([(of > table)[table > 0].any() for table, of in zip(samples, errors, strict=True)]) == 1
    told = [mutual_information_bias(table, standard_errors=of)[0] for table, of in zip(samples, errors, strict=True)]
    assert np.mean(told) == pytest.approx(np.mean(M[1:]) - M[0], rel=0.2)
    # A group without margins, the remainder of the others, is sampled as they are.
    for of in errors:
        of[:, 2] = np.nan
    told = [mutual_information_bias(table, standard_errors=of)[0] for table, of in zip(samples, errors, strict=True)]
    assert np.mean(told) == pytest.approx(np.mean(M[1:]) - M[0], rel=0.2)
    assert np.isnan(mutual_information_bias(truth, standard_errors=np.full(truth.shape, np.nan))[0])


def test_draws_that_cannot_be_made() -> None:
    for sampler in (evenness, permuted_persons, resampled_persons):
        with pytest.raises(CountsError, match=r"unit 0, group 1: found 0\.5, expected a whole number"):
            sampler([[1, 0.5]])
    for sampler in (evenness, permuted_persons, resampled_persons, permuted_units, resampled_units):
        with pytest.raises(CountsError, match="found nan"):
            sampler([[1, np.nan]])
    with pytest.raises(CountsError, match=r"standard errors have shape \(1, 1\)"):
        margin_of_error_draws([[1, 2]], [[1]])
    with pytest.raises(CountsError, match=r"standard errors have shape \(1, 1\)"):
        mutual_information_bias([[1, 2]], standard_errors=[[1]])
    with pytest.raises(CountsError, match=r"interviews have shape \(2,\)"):
        mutual_information_bias([[1, 2]], interviews=[1, 2])
    with pytest.raises(CountsError, match="found interviews of 2 units, expected 1"):
        sampled_people([[1, 2]], [1, 2])
    with pytest.raises(CountsError, match="found nan"):
        sampled_people([[1, 2]], [np.nan])
    with pytest.raises(CountsError, match="found -1"):
        margin_of_error_draws([[1, 2]], [[1, -1]])
    with pytest.raises(DefinitionError, match="'lognormal'"):
        margin_of_error_draws([[1, 2]], [[1, 1]], distribution="lognormal")
