"""Classes of income relative to the region: the most frequent one, and divergence over them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.brackets import equal_classes, merge_brackets
from geomob_dask.metrics.composition import QUINTILES, composition_divergence, modal_class, relative_composition
from geomob_dask.metrics.divergence import divergence


def classes_of(deciles: list[int]) -> list[Fraction]:
    """Return low, middle and high of a region that is even over its deciles, exactly."""
    people = sum(deciles)
    return [Fraction(sum(deciles[a:b]), people) for a, b in ((0, 3), (3, 7), (7, 10))]


@settings(max_examples=100)
@given(arrays(np.int64, (6, 10), elements=st.integers(0, 4)))
def test_the_most_frequent_class_is_that_of_exact_sums(deciles: np.ndarray) -> None:
    composition = relative_composition(deciles, np.full((1, 10), 100.0), np.zeros(6, np.int64))
    found = modal_class(composition)
    for own, place in zip(deciles.tolist(), found.tolist(), strict=True):
        if not sum(own):
            assert place == -1
            continue
        shares = classes_of(own)
        # The first of the largest: a tie goes to the lowest class.
        assert place == shares.index(max(shares))


def test_ties_and_missing_shares() -> None:
    shown = [[0.5, 0.0, 0.5], [0.3, 0.35, 0.35], [1 / 3, 1 / 3, 1 / 3], [0.1 + 0.2, 0.3, 0.4 - 1e-16], [np.nan] * 3]
    assert modal_class(shown).tolist() == [0, 1, 0, 2, -1]
    assert modal_class(np.zeros((0, 3))).tolist() == []
    # 0.1 + 0.2 is not 0.3 in floating point, and must not decide.
    assert modal_class([[0.3, 0.1 + 0.2, 0.0]]).tolist() == [0]


@settings(max_examples=100)
@given(
    arrays(np.int64, (5, 7), elements=st.one_of(st.just(0), st.integers(0, 60))),
    st.sampled_from([QUINTILES, (0.3, 0.7)]),
)
def test_fewer_classes_never_raise_the_divergence(counts: np.ndarray, cuts: tuple[float, ...]) -> None:
    region = counts.sum(axis=0)
    assume(region.any())
    composition = relative_composition(counts, region[None], np.zeros(5, np.int64), cuts)
    fine, coarse = divergence(counts, region), composition_divergence(composition, cuts)
    assert (np.isnan(fine) == np.isnan(coarse)).all()
    assert (coarse[~np.isnan(coarse)] <= fine[~np.isnan(fine)] + 1e-12).all()


@settings(max_examples=50)
@given(arrays(np.int64, (4, 10), elements=st.integers(0, 60)))
def test_of_deciles_it_is_the_divergence_of_merged_brackets(counts: np.ndarray) -> None:
    even = np.full(10, 7.0)
    composition = relative_composition(counts, even[None], np.zeros(4, np.int64), QUINTILES)
    merged = divergence(merge_brackets(counts, equal_classes(10, 5)), np.ones(5))
    np.testing.assert_allclose(composition_divergence(composition, QUINTILES), merged, rtol=0, atol=1e-12)


def test_classes_that_the_cuts_do_not_leave_are_refused() -> None:
    with pytest.raises(DefinitionError, match=r"shape \(1, 3\), expected 5 classes"):
        composition_divergence([[0.2, 0.3, 0.5]], QUINTILES)
