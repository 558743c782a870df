"""Classes of an outcome against pandas and exact fractions, and what ties do."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomob_dask.errors import InputError
from geomob_dask.models.labels import BINARY, QUARTILES, binary_labels, labels_at, make_labels, moved, quantile_labels

outcomes = st.lists(st.integers(-1000, 1000), min_size=8, max_size=60, unique=True).map(lambda v: np.array(v, float))


@given(outcomes, st.integers(2, 6))
def test_quantile_classes_in_exact_fractions(outcome, classes):
    """An edge lies at the position j(n - 1)/k of the sorted values; how many edges are below a value is its class."""
    labels = quantile_labels(outcome, classes)
    ordered = sorted(Fraction(int(value)) for value in outcome)
    edges = []
    for number in range(1, classes):
        place = Fraction(number * (len(ordered) - 1), classes)
        low = int(place)
        edges.append(ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]))
    assert labels.codes.tolist() == [sum(edge < int(value) for edge in edges) for value in outcome]
    assert labels.counts.sum() == len(outcome)


@pytest.mark.parametrize("units", [478, 481, 71914])
def test_quartiles_are_those_of_pandas(units):
    outcome = np.random.default_rng(units).normal(size=units)
    np.testing.assert_array_equal(quantile_labels(outcome).codes, pd.qcut(outcome, 4, labels=False))


@given(outcomes)
def test_two_classes_at_the_mean(outcome):
    labels = binary_labels(outcome)
    assert labels.names == BINARY
    np.testing.assert_array_equal(labels.codes, [value > np.mean(outcome) for value in outcome])
    np.testing.assert_array_equal(make_labels(outcome, 2).codes, labels.codes)


@given(outcomes, st.integers(2, 5), st.floats(0.5, 4), st.integers(-50, 50))
def test_higher_outcome_never_has_a_lower_class(outcome, classes, stretch, shift):
    codes = make_labels(outcome, classes).codes
    assert (np.diff(codes[np.argsort(outcome)]) >= 0).all()


def test_quartiles_have_their_names():
    assert make_labels(np.arange(8.0), 4).names == QUARTILES
    assert make_labels(np.arange(9.0), 3).names == ("quantile_1", "quantile_2", "quantile_3")


def test_a_tie_belongs_to_the_lower_class_and_is_told():
    labels = quantile_labels(np.array([1.0, 2.0, 2.0, 2.0, 3.0]), 2)
    assert labels.codes.tolist() == [0, 0, 0, 0, 1]
    assert labels.ties == 3
    assert binary_labels(np.array([1.0, 2.0, 3.0])).ties == 1


def test_a_class_without_members_is_named():
    with pytest.raises(InputError, match=r"class 'medium' .* has no members"):
        quantile_labels(np.array([1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0]), 4)
    with pytest.raises(InputError, match="class 'above_mean'"):
        binary_labels(np.full(5, 3.0))
    with pytest.raises(InputError, match="class 'a'"):
        labels_at(np.array([5.0, 6.0]), np.array([1.0]), ("a", "b"))


@pytest.mark.parametrize("outcome", [[], [1.0, np.nan], [1.0, np.inf]])
def test_outcomes_that_are_no_numbers(outcome):
    with pytest.raises(InputError, match="expected finite numbers"):
        binary_labels(np.array(outcome))


def test_one_class_is_none():
    with pytest.raises(InputError, match="classes: found 1"):
        quantile_labels(np.arange(4.0), 1)


@pytest.mark.parametrize("classes", [2, 4])
def test_units_that_another_cut_moves(classes):
    draws = np.random.default_rng(2)
    outcome = draws.normal(size=80) + np.arange(80) / 40
    labels = make_labels(outcome, classes)
    train, test = np.arange(50), np.arange(50, 80)
    edges, count = moved(outcome, labels, train, test)
    inside = make_labels(outcome[train], classes)
    np.testing.assert_array_equal(edges, inside.edges)
    expected = sum(int((outcome[unit] > edges).sum() != labels.codes[unit]) for unit in test)
    assert count == expected > 0
    assert moved(outcome, labels, np.arange(80), test)[1] == 0


def test_ties_among_training_units_stop_nothing():
    outcome = np.array([1.0, 1, 1, 1, 1, 1, 2, 3, 4, 5])
    labels = labels_at(outcome, np.array([1.5, 2.5, 3.5]), QUARTILES)
    edges, count = moved(outcome, labels, np.arange(7), np.arange(7, 10))
    assert edges.tolist() == [1.0, 1.0, 1.0]
    # Only 3 was in the third class; 4 and 5 stay in the fourth.
    assert count == 1
