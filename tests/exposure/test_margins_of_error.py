import numpy as np
import oracles_exposure as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geomob_dask.errors import CountsError
from geomob_dask.transforms import margins_of_error as moe

counts = hnp.arrays(float, (3, 4), elements=st.integers(0, 3000).map(float))
margins = hnp.arrays(float, (3, 4), elements=st.integers(0, 500).map(float))


@settings(max_examples=50)
@given(counts, margins)
def test_margin_of_a_sum_is_the_plain_loops(estimates, moes):
    found = moe.sum_moe(estimates, moes)
    expected = [oracle.sum_moe(*row) for row in zip(estimates, moes, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@settings(max_examples=50)
@given(counts, margins)
def test_a_sum_is_no_less_certain_than_with_every_zero_estimate(estimates, moes):
    assert (moe.sum_moe(estimates, moes) <= moe.difference_moe(*moes.T) * (1 + 1e-15)).all()


def test_order_of_parts_and_their_layout_leave_the_margin_of_a_sum_as_it_is():
    estimates, moes = np.array([[5.0, 0.0, 0.0, 1.0]]), np.array([[1.1, 9.3, 9.3, 0.7]])
    assert moe.sum_moe(np.asfortranarray(estimates), np.asfortranarray(moes)) == moe.sum_moe(estimates, moes)
    assert moe.sum_moe(estimates, moes) == pytest.approx(np.sqrt(1.1**2 + 9.3**2 + 0.7**2))


def test_a_missing_margin_or_estimate_makes_the_sum_unknown():
    found = moe.sum_moe([[1.0, 2.0], [np.nan, 2.0], [0.0, 0.0]], [[np.nan, 1.0], [1.0, 1.0], [np.nan, 5.0]])
    assert np.isnan(found).all()


def test_published_examples_of_the_bureau():
    # Handbook, chapter 8: 135,173 ± 3,860 and 43,104 ± 2,642 people; 4,634 (±989) of 31,713 (±601) householders.
    assert moe.sum_moe([135173, 43104], [3860, 2642]) == pytest.approx(4677.6, abs=0.1)
    assert moe.proportion_moe(4634, 989, 31713, 601) == pytest.approx(0.0311, abs=1e-4)
    assert moe.ratio_moe(4634, 989, 6440, 1328) == pytest.approx(0.2135, abs=1e-4)
    assert moe.product_moe(74506, 228, 0.824, 0.010) == pytest.approx(768.5, abs=0.5)


def test_a_proportion_falls_back_to_the_ratio_where_its_root_is_negative():
    assert moe.proportion_moe(9.0, 3.0, 10.0, 4.0) == moe.ratio_moe(9.0, 3.0, 10.0, 4.0)
    assert moe.proportion_moe(1.0, 3.0, 10.0, 4.0) < moe.ratio_moe(1.0, 3.0, 10.0, 4.0)


def test_uncertain_people_have_no_certain_share():
    # Of the ten-state table: 90 ± 106 Hispanics of 90 ± 106 people; the others are none, ± 12.
    assert moe.proportion_moe(90.0, 106.0, 90.0, 106.0) == pytest.approx(106 / 90)
    assert moe.proportion_moe(0.0, 12.0, 90.0, 106.0) == pytest.approx(12 / 90)
    # Of the part alone, whatever the margin of the whole is.
    assert moe.proportion_moe(90.0, 50.0, 90.0, 106.0) == moe.proportion_moe(90.0, 50.0, 90.0, 0.0) == 50 / 90
    # 9/10 of 10 is 9: nothing is left under the root, or a last bit.
    for scale in (1.0, 0.1, 1e-3):
        found = moe.proportion_moe(90 * scale, 9 * scale, 100 * scale, 10 * scale)
        assert found == pytest.approx(float(moe.ratio_moe(90.0, 9.0, 100.0, 10.0)))
    assert moe.proportion_moe(90.0, 0.0, 90.0, 0.0) == 0.0
    assert moe.proportion_moe(45.0, 0.0, 90.0, 0.0) == 0.0


def test_a_share_of_nothing_has_no_margin():
    for function in (moe.ratio_moe, moe.proportion_moe):
        assert np.isnan(function([0.0], [1.0], [0.0], [1.0])).all()
    assert np.isnan(moe.coefficient_of_variation([0.0], [1.0])).all()


def test_halving_weights_halves_a_weighted_sums_margin():
    moes = np.array([3.0, 4.0])
    assert moe.weighted_sum_moe([0.5, 0.5], moes) == moe.weighted_sum_moe([1, 1], moes) / 2 == 2.5


@pytest.mark.parametrize(
    "call",
    [
        lambda bad: moe.sum_moe([1.0, 1.0], bad),
        lambda bad: moe.difference_moe(*bad),
        lambda bad: moe.weighted_sum_moe([1.0, 1.0], bad),
        lambda bad: moe.standard_error(bad),
        lambda bad: moe.ratio_moe([1.0, 1.0], bad, [2.0, 2.0], [1.0, 1.0]),
        lambda bad: moe.proportion_moe([1.0, 1.0], [1.0, 1.0], [2.0, 2.0], bad),
        lambda bad: moe.product_moe([1.0, 1.0], bad, [2.0, 2.0], [1.0, 1.0]),
    ],
)
def test_a_special_code_in_a_formula_is_refused(call):
    with pytest.raises(CountsError, match=r"margin of error [01]: found -555555555, expected zero or more"):
        call(np.array([12.0, -555555555.0]))


def test_a_numerator_above_its_denominator_is_no_proportion():
    with pytest.raises(CountsError, match=r"row 1: found a part of 5 in a whole of 4"):
        moe.proportion_moe([1.0, 5.0], [1.0, 1.0], [4.0, 4.0], [1.0, 1.0])
