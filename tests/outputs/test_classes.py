"""Classes of maps: round bounds, texts with units, and values that are few, equal, missing or infinite."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geomob_dask.errors import InputError
from geomob_dask.outputs.classes import (
    METHODS,
    SAMPLE,
    Scale,
    categories,
    diverging,
    equal_steps,
    fixed,
    natural_breaks,
    quantiles,
)
from geomob_dask.outputs.palette import CHANGE, OPPORTUNITY

VALUES = np.random.default_rng(1).exponential(20, 4000)


def counts(scale: Scale, values: np.ndarray) -> np.ndarray:
    """Return the number of values in each class, as the map draws them."""
    place = np.searchsorted(scale.edges, values[~np.isnan(values)], side="right") - 1
    return np.bincount(np.clip(place, 0, len(scale.colors) - 1), minlength=len(scale.colors))


def test_quantiles_hold_about_as_many_and_have_round_bounds() -> None:
    scale = quantiles(VALUES, OPPORTUNITY, unit="%")
    assert scale.labels[0] == "less than 3%"
    assert scale.labels[-1] == "38% or more"
    assert len(scale.colors) == 7
    assert (abs(counts(scale, VALUES) - len(VALUES) / 7) < 0.04 * len(VALUES)).all()


def test_equal_steps_are_equal_and_round() -> None:
    scale = equal_steps(np.linspace(20, 90, 200), OPPORTUNITY)
    assert scale.edges[1:-1] == (30, 40, 50, 60, 70, 80)
    assert scale.labels[:2] == ("less than 30", "30 to 40")


def test_natural_breaks_part_what_is_apart() -> None:
    groups = [np.linspace(low, low + 1, 40) for low in (0, 10, 30)]
    scale = natural_breaks(np.concatenate(groups), OPPORTUNITY, classes=3)
    assert counts(scale, np.concatenate(groups)).tolist() == [40, 40, 40]


def test_natural_breaks_of_many_values_are_those_of_a_sample_with_both_ends() -> None:
    many = np.append(np.random.default_rng(2).normal(size=200 * SAMPLE), [-9.0, 9.0])
    scale = natural_breaks(many, OPPORTUNITY)
    assert (scale.edges[0], scale.edges[-1]) == (-9.0, 9.0)
    assert scale == natural_breaks(many[::-1], OPPORTUNITY)


@pytest.mark.parametrize("method", METHODS)
def test_few_values_have_a_class_each(method: str) -> None:
    make = METHODS[method]
    assert make([3.0, 1.0, np.nan, 1.0, 2.0], OPPORTUNITY).labels == ("1", "2", "3")
    assert make([5.5, 5.5], OPPORTUNITY, unit="USD").labels == ("$5.5",)
    nothing = make([np.nan, np.inf, -np.inf], OPPORTUNITY)
    assert nothing.labels == ("no value",)
    assert make([], OPPORTUNITY) == nothing


@pytest.mark.parametrize("method", METHODS)
def test_infinite_values_do_not_move_the_bounds(method: str) -> None:
    make = METHODS[method]
    assert make([*VALUES, np.inf, -np.inf], OPPORTUNITY) == make(VALUES, OPPORTUNITY)


def test_values_that_are_mostly_equal_have_a_class_of_their_own() -> None:
    values = np.where(np.arange(4000) % 3 > 0, 0.0, VALUES)
    scale = quantiles(values, OPPORTUNITY)
    assert counts(scale, values)[0] == pytest.approx((values == 0).sum(), abs=5)
    assert (counts(scale, values) > 0).all()


@given(arrays(np.float64, st.integers(0, 40), elements=st.floats(-1e9, 1e9, width=32)), st.sampled_from([*METHODS]))
def test_any_values_have_classes(values: np.ndarray, method: str) -> None:
    scale = METHODS[method](values, OPPORTUNITY)
    assert all(low < high for low, high in pairwise(scale.edges))
    assert counts(scale, values).sum() == len(values)
    assert len(set(scale.colors)) == len(scale.colors)


def test_units_are_written_with_their_numbers() -> None:
    assert fixed([0, 40_000, 1_200_000, 3e6], OPPORTUNITY, unit="USD of 2020").labels == (
        "less than $40,000",
        "$40,000 to $1,200,000",
        "$1,200,000 or more",
    )
    assert fixed([-2, -0.5, 0.25, 3], OPPORTUNITY, unit="standard deviations").labels[1] == "−0.5 to 0.25"


def test_changes_have_a_class_about_zero_and_as_many_on_both_sides() -> None:
    scale = diverging([-30.0, 5.0, 10.0, np.nan], CHANGE, unit="%", fell="fell by", rose="rose by", none="no change")
    assert scale.kind == "diverging"
    assert scale.edges == pytest.approx((-40, -20, -10, -2, 2, 10, 20, 40))
    assert counts(scale, np.array([-20, -10, -2, 0, 2, 10, 20.0])).tolist() == [1] * 7
    assert scale.labels[3] == "no change (less than 2%)"
    assert scale.labels[0] == "fell by 20% or more"
    assert scale.colors == CHANGE
    signed = diverging([-10.0, 10.0], CHANGE).labels
    assert signed == (
        "−10 or less",
        "−10 to −5",
        "−5 to −1",
        "about 0 (less than 1)",
        "+1 to 5",
        "+5 to 10",
        "+10 or more",
    )


@pytest.mark.parametrize("values", [[], [np.nan], [0.0, 0.0], [np.inf]])
def test_changes_that_are_none_have_their_classes(values: list[float]) -> None:
    assert diverging(values, CHANGE).labels[3] == "about 0 (less than 0.1)"


def test_categories_are_counted_from_zero() -> None:
    scale = categories(["#000000", "#ffffff"], ["low", "high"])
    assert scale.edges == (-0.5, 0.5, 1.5)


@pytest.mark.parametrize(
    ("edges", "message"), [([1.0], "two or more that ascend"), ([0.0, 2.0, 1.0], "ascend"), ([0.0, np.inf], "ascend")]
)
def test_bounds_that_are_none_are_told(edges: list[float], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        fixed(edges, OPPORTUNITY)


def test_one_class_is_none() -> None:
    with pytest.raises(InputError, match="found 1, expected two or more"):
        quantiles(VALUES, OPPORTUNITY, classes=1)
