import math

import numpy as np
import oracles_exposure as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import CountsError, InputError, SettingsError
from geomob_dask.metrics import exposure as exp
from geomob_dask.metrics.checks_exposure import check_exposures
from geomob_dask.metrics.quality import Reason
from geomob_dask.transforms.exact_sums import ExactSums, merged
from geomob_dask.transforms.margins_of_error import proportion_moe

N_GROUPS = 3


@st.composite
def tables(draw):
    """Tracts of three regions, among them empty tracts, absent groups, sole groups and zero margins."""
    rows = draw(st.integers(1, 12))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    counts = random.choice([0.0, 1.0, 7.0, 40.0, 900.0, 2500.0], size=(rows, N_GROUPS))
    counts[random.random(rows) < 0.15] = 0.0
    moes = random.choice([0.0, 3.0, 12.0, 150.0], size=(rows, N_GROUPS))
    share = random.choice([0.0, 0.125, 0.3, 1.0], size=rows)
    region = random.integers(0, 3, size=rows)
    return counts, moes, counts.sum(axis=1), share, region


def found_for(table, **options):
    counts, moes, total, share, region = table
    return exp.exposure_by_region(counts, moes, total, region, 3, share=share, threshold=0, **options)


@settings(max_examples=80)
@given(tables())
def test_values_and_errors_as_published_are_those_of_plain_loops(table):
    counts, moes, total, share, region = table
    found = found_for(table)
    first = exp.exposure_from_sums(
        exp.region_sums(exp.exposure_terms(counts, moes, total, share=share), region, 3),
        N_GROUPS,
        mode="published",
        threshold=0,
    )
    for number in range(3):
        rows = oracle.region_rows(region, number)
        for group in range(N_GROUPS):
            value = oracle.exposure(counts, total, share, rows, group)
            np.testing.assert_allclose(found.value[number, group], value, rtol=1e-12, atol=1e-14)
            se = oracle.exposure_se(counts, moes, total, share, rows, group)
            np.testing.assert_allclose(first.se[number, group], se, rtol=1e-6, atol=1e-9)
            count_se = oracle.count_se(moes, share**2, rows, group)
            np.testing.assert_allclose(found.count_se[number, group], count_se, rtol=1e-12)


def close(found, expected):
    """The differences of differences of the oracle are right to four digits or so."""
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


@settings(max_examples=80)
@given(tables())
def test_corrections_and_their_errors_are_those_of_numeric_derivatives(table):
    counts, moes, total, share, region = table
    found = found_for(table)
    pairs = exp.interactions_by_region(counts, moes, total, region, 3, share=share, threshold=0)
    for number in range(3):
        rows = oracle.region_rows(region, number)
        for group in range(N_GROUPS):
            if not math.fsum(share[row] * counts[row][group] for row in rows):
                assert np.isnan([found.corrected[number, group], found.se[number, group]]).all()
                continue
            others = tuple(other for other in range(N_GROUPS) if other != group)
            value, second = oracle.corrected_interaction(counts, moes, total, share, rows, group, others)
            close(found.corrected[number, group], value)
            close(found.isolation_corrected[number, group], 1 - value)
            first = oracle.exposure_se(counts, moes, total, share, rows, group)
            close(found.se[number, group] ** 2, first**2 - min(second**2, first**2 / 2))
            for met in others:
                value, _ = oracle.corrected_interaction(counts, moes, total, share, rows, group, (met,))
                close(pairs.corrected[number, group, met], value)


@settings(max_examples=50)
@given(tables())
def test_a_group_meets_itself_and_all_others_and_nobody_else(table):
    counts, moes, total, share, region = table
    pairs = exp.interactions_by_region(counts, moes, total, region, 3, share=share, threshold=0)
    found = found_for(table)
    present = ~np.isnan(found.value)
    np.testing.assert_allclose(pairs.value.sum(axis=2)[present], 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(pairs.value, axis1=1, axis2=2), found.isolation, rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(pairs.se, axis1=1, axis2=2), found.se)
    np.testing.assert_array_equal(np.diagonal(pairs.corrected, axis1=1, axis2=2), found.isolation_corrected)
    # Corrections are shares that go from one group to another, unless one would leave 0 to 1.
    inside = present & ((pairs.corrected > 0) & (pairs.corrected < 1)).all(axis=2)
    np.testing.assert_allclose(pairs.corrected.sum(axis=2)[inside], 1.0, rtol=1e-12)
    for number in range(3):
        rows = oracle.region_rows(region, number)
        expected = [
            [oracle.interaction(counts, total, share, rows, g, h) for h in range(N_GROUPS)] for g in range(N_GROUPS)
        ]
        np.testing.assert_allclose(pairs.value[number], expected, rtol=1e-12, atol=1e-14)


@settings(max_examples=30)
@given(tables())
def test_two_groups_meet_as_they_are_exposed(table):
    counts, moes, _, share, region = table
    counts, moes = counts[:, :2], moes[:, :2]
    pairs = exp.interactions_by_region(counts, moes, counts.sum(axis=1), region, 3, share=share, threshold=0)
    found = exp.exposure_by_region(counts, moes, counts.sum(axis=1), region, 3, share=share, threshold=0)
    np.testing.assert_array_equal(pairs.value[:, [0, 1], [1, 0]], found.value)
    np.testing.assert_array_equal(pairs.corrected[:, [0, 1], [1, 0]], found.corrected)
    np.testing.assert_array_equal(pairs.se[:, [0, 1], [1, 0]], found.se)


@settings(max_examples=50)
@given(tables(), st.sampled_from(list(exp.Mode)))
def test_all_checks_hold_in_all_modes(table, mode):
    check_exposures(found_for(table, mode=mode), ["a", "b", "c"], ["x", "y", "z"], threshold=0)


@settings(max_examples=30)
@given(tables(), st.randoms(use_true_random=False))
def test_same_bytes_in_any_order_and_any_partitioning(table, random):
    counts, moes, total, share, region = table
    terms = exp.exposure_terms(counts, moes, total, share=share)
    rows = list(range(len(total)))
    random.shuffle(rows)
    cut = random.randrange(len(rows) + 1)
    parts = []
    for part in (rows[:cut], rows[cut:]):
        own = exp.exposure_terms(counts[part], moes[part], total[part], share=share[part])
        parts.append(ExactSums.of(own, region[part], 3))
    together = ExactSums.of(terms, region, 3).rounded()
    assert merged(parts).rounded().tobytes() == together.tobytes()
    scattered = exp.exposure_from_sums(merged(parts).rounded(), N_GROUPS, threshold=0)
    assert scattered.value.tobytes() == found_for(table).value.tobytes()
    assert scattered.corrected.tobytes() == found_for(table).corrected.tobytes()
    assert scattered.se.tobytes() == found_for(table).se.tobytes()


def worked_example():
    counts = np.array([[720.0, 80.0], [180.0, 180.0]])
    return counts, np.zeros((2, 2)), counts.sum(axis=1), np.array([0, 0]), 1


def test_the_sources_worked_example_gives_018():
    assert exp.exposure_by_region(*worked_example()).value[0, 0] == pytest.approx(0.18, abs=1e-15)


def test_all_modes_are_one_where_tracts_nest():
    counts, _, total, region, n = worked_example()
    moes = np.full((2, 2), 30.0)
    found = [exp.exposure_by_region(counts, moes, total, region, n, mode=mode) for mode in exp.Mode]
    for other in found[1:]:
        assert other.value.tobytes() == found[0].value.tobytes()
        assert other.corrected.tobytes() == found[0].corrected.tobytes()
        assert other.count_se.tobytes() == found[0].count_se.tobytes()
    # In the published modes errors and bounds are those of the counts as they are.
    assert found[0].se.tobytes() == found[1].se.tobytes() != found[2].se.tobytes()
    for one, point in zip(found, ("value", "value", "corrected"), strict=True):
        np.testing.assert_allclose((one.lower + one.upper) / 2, getattr(one, point), rtol=1e-12)
        np.testing.assert_allclose(one.upper - one.lower, 2 * 1.645 * one.se, rtol=1e-12)


def test_modes_differ_as_they_say_for_a_tract_half_in_the_place():
    counts, _, total, region, n = worked_example()
    moes = np.full((2, 2), 32.9)
    share = np.array([1.0, 0.5])
    by_mode = {
        mode: exp.exposure_by_region(counts, moes, total, region, n, share=share, mode=mode) for mode in exp.Mode
    }
    variance = {mode: (found.count_se[0, 0] / 20) ** 2 for mode, found in by_mode.items()}
    assert [found.count[0, 0] for found in by_mode.values()] == [900, 810, 810]
    assert list(variance.values()) == pytest.approx([2.0, 1.5, 1.25])
    assert by_mode["published"].value[0, 0] == by_mode["corrected"].value[0, 0] == pytest.approx(117 / 810)
    assert by_mode["published-2023"].value[0, 0] == pytest.approx(0.18)


def city():
    """Sixty tracts, two thirds of them only partly in the place."""
    random = np.random.default_rng(6)
    counts = np.round(random.uniform(300, 1500, size=(60, 4)))
    moes = np.round(counts * random.uniform(0.05, 0.2, size=counts.shape))
    share = np.where(np.arange(60) % 3 == 0, 1.0, random.uniform(0.05, 0.95, 60))
    return counts, moes, counts.sum(axis=1), share


def test_standard_error_is_that_of_20000_draws():
    counts, moes, total, share = city()
    found = exp.exposure_by_region(counts, moes, total, np.zeros(60, dtype=int), 1, share=share)
    pairs = exp.interactions_by_region(counts, moes, total, np.zeros(60, dtype=int), 1, share=share)
    draws = oracle.drawn(counts, moes, share, 20_000, seed=9)
    weights = share[:, None] * draws
    shares = draws / draws.sum(axis=2, keepdims=True)
    contacts = np.einsum("drg,drh->dgh", weights, shares) / weights.sum(axis=1)[:, :, None]
    simulated = contacts.std(axis=0, ddof=1)
    np.testing.assert_allclose(found.se[0], np.diagonal(simulated), rtol=0.02)
    np.testing.assert_allclose(pairs.se[0], simulated, rtol=0.02)


def test_a_places_corrected_count_error_is_that_of_draws_and_the_published_one_is_too_wide():
    counts, moes, total, share = city()
    region = np.zeros(60, dtype=int)
    corrected = exp.exposure_by_region(counts, moes, total, region, 1, share=share)
    published = exp.exposure_by_region(counts, moes, total, region, 1, share=share, mode="published")
    draws = oracle.drawn(counts, moes, share, 20_000, seed=10)
    simulated = (share[:, None] * draws).sum(axis=1).std(axis=0, ddof=1)
    np.testing.assert_allclose(corrected.count_se[0], simulated, rtol=0.02)
    assert (published.count_se[0] > 1.07 * simulated).all()


def rare_group():
    """Three hundred tracts of 4,000 people, 1 to 5 per cent of them of the first group, with a CV of a half or so."""
    random = np.random.default_rng(12)
    group = np.round(4000 * random.uniform(0.01, 0.05, 300))
    counts = np.column_stack([group, 4000 - group])
    moes = np.column_stack([1.645 * np.sqrt(30 * group), np.full(300, 400.0)])
    return counts, moes


def test_noise_lowers_the_exposure_and_the_correction_takes_it_off():
    counts, moes = rare_group()
    region = np.zeros(300, dtype=int)

    def of(table):
        return exp.exposure_by_region(table, moes, table.sum(axis=1), region, 1)

    truth = of(counts).value[0, 0]
    draws = np.maximum(oracle.drawn(counts, moes, np.ones(300), 400, seed=3), 0.0)
    found = [of(table) for table in draws]
    raw, corrected, se = (
        np.array([getattr(one, name)[0, 0] for one in found]) for name in ("value", "corrected", "se")
    )
    bias = raw.mean() - truth
    assert bias < -3 * raw.std()
    assert abs(corrected.mean() - truth) < 0.1 * abs(bias)
    assert se.mean() == pytest.approx(corrected.std(ddof=1), rel=0.1)
    lower, upper = (np.array([getattr(one, name)[0, 0] for one in found]) for name in ("lower", "upper"))
    assert 0.85 < ((lower <= truth) & (truth <= upper)).mean() < 0.95
    # As published, no interval holds the truth, and none is marked: the count is good.
    published = [exp.exposure_by_region(t, moes, t.sum(axis=1), region, 1, mode="published") for t in draws[:50]]
    assert all(one.upper[0, 0] < truth and one.quality[0, 0] == 1 for one in published)


def test_without_noise_nothing_is_corrected():
    counts, _ = rare_group()
    found = exp.exposure_by_region(counts, np.zeros((300, 2)), counts.sum(axis=1), np.arange(300) % 7, 7)
    assert found.corrected.tobytes() == found.value.tobytes()
    assert found.isolation_corrected.tobytes() == found.isolation.tobytes()
    assert (found.se == 0).all()
    assert (found.accuracy == 1).all()


def test_margins_far_above_the_counts_cannot_move_more_than_the_people():
    counts = np.array([[3.0, 5.0], [40.0, 3000.0], [0.0, 12.0]])
    moes = np.array([[900.0, 900.0], [60.0, 150.0], [12.0, 20.0]])
    found = exp.exposure_by_region(counts, moes, counts.sum(axis=1), np.array([0, 1, 2]), 3, threshold=0)
    # Eight people within 900: all of the group that was met may not have been.
    assert found.corrected[0].tolist() == [1.0, 1.0]
    assert found.accuracy[0].tolist() == [3.0, 3.0]
    # Of a single tract the exposure is a share of all, on which noise has next to no bias.
    assert abs(found.corrected[1, 0] - found.value[1, 0]) < 1e-3
    # Where nobody of the group was counted nobody is taken off; others have no error in their share.
    assert found.corrected[2, 1] == found.value[2, 1] == 0.0


def test_a_remainder_is_corrected_as_a_group_that_was_sampled_as_the_others():
    """Margins of a simple random sample, one in ten; that of a difference is far wider than the group's own."""
    counts = np.array([[600.0, 300.0, 100.0], [200.0, 700.0, 100.0], [0.0, 900.0, 100.0]])
    total = counts.sum(axis=1)
    variance = 9.0 * counts * (1 - counts / total[:, None])
    moes = 1.645 * np.sqrt(variance)
    region = np.zeros(3, dtype=np.int64)
    sampled = exp.exposure_by_region(counts, moes, total, region, 1)
    wide = moes.copy()
    wide[:, 2] = np.sqrt((moes[:, :2] ** 2).sum(axis=1) + 400.0**2)
    left = exp.exposure_by_region(counts, wide, total, region, 1, remainder=2)
    assert np.allclose(left.corrected, sampled.corrected, rtol=1e-12)
    assert np.array_equal(left.count_se, exp.exposure_by_region(counts, wide, total, region, 1).count_se)
    untold = exp.exposure_by_region(counts, wide, total, region, 1)
    assert untold.corrected[0, 2] - untold.value[0, 2] > 3 * (sampled.corrected[0, 2] - sampled.value[0, 2]) > 0
    narrow = moes.copy()
    narrow[:, 2] /= 2
    kept = exp.exposure_by_region(counts, narrow, total, region, 1, remainder=2)
    assert np.array_equal(kept.corrected, exp.exposure_by_region(counts, narrow, total, region, 1).corrected)
    pairs = [
        exp.interactions_by_region(counts, one, total, region, 1, remainder=place).corrected
        for one, place in ((wide, 2), (moes, None))
    ]
    assert np.allclose(*pairs, rtol=1e-12)


def test_people_spread_evenly_over_tracts_make_exposures_less_accurate():
    counts = np.tile([[600.0, 400.0]], (40, 1))
    moes = np.full((40, 2), 20.0)
    region = np.repeat([0, 1, 2], [10, 10, 20])
    share = np.where(region == 1, 0.5, 1.0)
    # A fortieth of the people of the last region live in a tract that lies there in part.
    share[20] = 0.5
    terms = exp.exposure_terms(counts, moes, counts.sum(axis=1), share=share)
    sums = exp.region_sums(terms, region, 3)
    by_people, by_area = (exp.exposure_from_sums(sums, 2, spread_evenly=spread) for spread in (False, True))
    np.testing.assert_allclose(by_people.shared, [0, 1, 0.5 / 19.5])
    assert by_people.accuracy.tolist() == [[1, 1]] * 3
    assert by_area.accuracy.tolist() == [[1, 1], [2, 2], [1, 1]]
    assert by_area.quality.tobytes() == by_people.quality.tobytes()


@pytest.mark.parametrize("share_of_group", [1e-3, 0.02, 0.5, 0.98, 0.999])
def test_no_digits_are_lost_where_every_tract_is_alike(share_of_group):
    """The square is small beside its three terms: the two-pass formula tells whether enough is left of it."""
    random = np.random.default_rng(4)
    group = np.round(3000 * share_of_group * random.uniform(0.999, 1.001, 400))
    counts = np.column_stack([group, 3000 - group])
    moes = np.column_stack([np.full(400, 40.0), np.zeros(400)])
    total = counts.sum(axis=1)
    found = exp.exposure_by_region(counts, moes, total, np.zeros(400, dtype=int), 1, mode="published")
    expected = oracle.exposure_se(counts, moes, total, np.ones(400), range(400), 0)
    assert found.se[0, 0] == pytest.approx(expected, rel=1e-10)


def test_digits_left_when_one_uncertain_tract_is_like_the_average():
    """The worst there is: nearly all the variance sits where its weight vanishes."""
    counts = np.array([[500.0, 500.0], [1.0, 1999.0], [999.0, 1.0]])
    moes = np.array([[0.01, 0.0], [1e4, 0.0], [0.01, 0.0]])
    total = counts.sum(axis=1)
    found = exp.exposure_by_region(counts, moes, total, np.zeros(3, dtype=int), 1, mode="published")
    expected = oracle.exposure_se(counts, moes, total, np.ones(3), range(3), 0)
    assert found.se[0, 0] == pytest.approx(expected, rel=1e-9)


def test_missing_is_explained():
    counts = np.array([[0.0, 500.0, 30.0], [0.0, 470.0, 31.0]])
    moes = np.full((2, 3), 10.0)
    found = exp.exposure_by_region(counts, moes, counts.sum(axis=1), np.array([0, 1]), 2)
    assert found.reason.tolist() == [
        [Reason.ABSENT, Reason.NONE, Reason.SUPPRESSED],
        [Reason.ABSENT, Reason.NONE, Reason.NONE],
    ]
    assert np.isnan(found.value).tolist() == [[True, False, True], [True, False, False]]
    assert np.isnan(found.quality).tolist() == np.isnan(found.value).tolist()
    assert found.count[0, 2] == 30


def test_a_missing_margin_leaves_the_value_and_takes_its_error():
    counts, moes, total, region, n = worked_example()
    moes = np.array([[np.nan, 5.0], [5.0, 5.0]])
    found = exp.exposure_by_region(counts, moes, total, region, n)
    assert found.value[0, 0] == pytest.approx(0.18)
    assert np.isnan([found.corrected[0], found.se[0], found.lower[0], found.accuracy[0]]).all()
    assert np.isnan(found.quality[0]).tolist() == [True, False]
    assert (found.reason == Reason.MOE_MISSING).all()


def test_a_missing_count_takes_the_region_of_its_group_and_no_other():
    counts = np.array([[np.nan, 500.0], [100.0, 400.0], [100.0, 400.0]])
    found = exp.exposure_by_region(counts, np.ones((3, 2)), np.array([800.0, 500, 500]), np.array([0, 0, 1]), 2)
    assert np.isnan(found.value).tolist() == [[True, False], [False, False]]
    assert found.reason[0].tolist() == [Reason.COUNT_MISSING, Reason.NONE]
    assert math.isnan(found.count[0, 0])


def test_an_empty_tract_adds_nothing_but_its_margin():
    counts, _, total, region, n = worked_example()
    moes = np.full((2, 2), 30.0)
    before = exp.exposure_by_region(counts, moes, total, region, n)
    after = exp.exposure_by_region(
        np.vstack([counts, [0, 0]]), np.vstack([moes, [12, 12]]), np.append(total, 0.0), np.zeros(3, dtype=int), n
    )
    assert after.value.tobytes() == before.value.tobytes()
    assert after.se.tobytes() == before.se.tobytes()
    assert after.tracts[0] == before.tracts[0] == 2
    np.testing.assert_allclose(after.count_se**2, before.count_se**2 + (12 / 1.645) ** 2)


def test_overlap_is_the_sum_of_products_and_missing_where_not_given():
    counts, moes, total, region, n = worked_example()
    found = exp.exposure_by_region(
        counts, moes, total, region, n, share=np.array([0.5, 1.0]), overlap=np.array([0.4, 0.6])
    )
    assert found.overlap[0] == pytest.approx(0.8)
    assert np.isnan(exp.exposure_by_region(counts, moes, total, region, n).overlap[0])


def test_a_tract_of_one_group_has_the_error_of_a_share_of_nobody():
    counts, moes = np.array([[90.0, 0.0]]), np.array([[106.0, 12.0]])
    given_ = (counts, moes, counts.sum(axis=1), np.array([0]), 1)
    found = exp.exposure_by_region(*given_, threshold=0, mode="published")
    assert (found.value[0, 0], found.isolation[0, 0]) == (0.0, 1.0)
    assert 1.645 * found.se[0, 0] == pytest.approx(float(proportion_moe(0.0, 12.0, 90.0, 106.0)))


def test_bounds_are_held_within_shares():
    counts = np.array([[900.0, 3.0], [40.0, 2000.0]])
    found = exp.exposure_by_region(counts, np.full((2, 2), 900.0), counts.sum(axis=1), np.array([0, 1]), 2)
    assert found.lower[0, 0] == 0
    assert found.upper[1, 0] == 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"counts": [[-1.0, 5.0], [1.0, 1.0]]}, CountsError, r"row 0, group 0: found -1 people"),
        ({"counts": [[1.0, 5.0], [1.0, 11.0]]}, CountsError, r"row 1, group 1: found 11 people in a tract of 10"),
        ({"moes": [[1.0, -555555555.0], [1.0, 1.0]]}, CountsError, r"found -555555555, expected zero or more"),
        ({"share": [0.5, 1.5]}, InputError, r"afact, row 1: found 1.5, expected a share from 0 to 1"),
        ({"share": [np.nan, 1.0]}, InputError, r"afact, row 0: found nan"),
        ({"overlap": [0.5, -0.5]}, InputError, r"afact2, row 1: found -0.5"),
        ({"mode": "as-published"}, SettingsError, r"mode 'as-published': expected one of published-2023, published,"),
        ({"threshold": -1.0}, SettingsError, r"suppression threshold: found -1.0"),
        ({"moes": [[1.0], [1.0]]}, InputError, r"found counts of shape \(2, 2\), margins of \(2, 1\)"),
    ],
)
def test_bad_input_is_named(change, error, message):
    given_ = {"counts": [[1.0, 5.0], [1.0, 1.0]], "moes": [[1.0, 1.0], [1.0, 1.0]], "total": [10.0, 10.0]} | change
    arrays = {name: np.array(value) if isinstance(value, list) else value for name, value in given_.items()}
    with pytest.raises(error, match=message):
        exp.exposure_by_region(region=np.array([0, 0]), n_regions=1, **arrays)


def test_sums_of_other_groups_are_refused():
    counts, moes, total, region, n = worked_example()
    sums = exp.region_sums(exp.exposure_terms(counts, moes, total), region, n)
    with pytest.raises(InputError, match=r"found sums of shape \(1, 34\), expected \(regions, 49\)"):
        exp.exposure_from_sums(sums, 3)
