"""Pairs of units that one measure holds for alike and another tells apart, beside all pairs."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.contrasts import contrasting_pairs
from geomob_dask.metrics.divergence import divergence
from geomob_dask.metrics.wasserstein import wasserstein


def all_pairs(
    alike: list[float], different: list[float], keys: list[str], tolerance: float, number: int
) -> list[list[int]]:
    """Look at every pair of every band."""
    order = [i for i in range(len(keys)) if np.isfinite(alike[i]) and np.isfinite(different[i])]
    order.sort(key=lambda i: (alike[i], keys[i]))
    found = []
    size, more = divmod(len(order), number)
    for band in range(number):
        start = band * size + min(band, more)
        own = order[start : start + size + (band < more)]
        best: tuple[float, int, int] | None = None
        for second, first in itertools.product(range(len(own)), repeat=2):
            if first >= second or not alike[own[first]] >= alike[own[second]] - tolerance:
                continue
            apart = abs(different[own[first]] - different[own[second]])
            if apart > 0 and (best is None or apart > best[0]):
                best = apart, own[first], own[second]
        if best is not None:
            found.append(sorted(best[1:], key=lambda i: different[i]))
    return found


@st.composite
def units(draw: st.DrawFn) -> tuple[list[float], list[float], list[str]]:
    """Few values, so that many are tied; some missing; keys in no order."""
    number = draw(st.integers(0, 25))
    value = st.one_of(st.sampled_from([0.0, 0.1, 0.2, 0.3, np.nan]), st.floats(0, 1))
    values = st.lists(value, min_size=number, max_size=number)
    keys = draw(st.permutations([f"{k:02d}" for k in range(number)]))
    return draw(values), draw(values), list(keys)


@settings(max_examples=150)
@given(units(), st.sampled_from([0.0, 0.1, 0.25, 2.0]), st.integers(1, 4))
def test_the_pairs_are_those_of_a_search_over_all(
    found: tuple[list[float], list[float], list[str]], tolerance: float, number: int
) -> None:
    alike, different, keys = found
    pairs = contrasting_pairs(alike, different, keys, tolerance, number)
    assert pairs.tolist() == all_pairs(alike, different, keys, tolerance, number)
    assert len(set(pairs.ravel().tolist())) == pairs.size, "no unit is in two pairs"


@settings(max_examples=50)
@given(units(), st.randoms(use_true_random=False))
def test_the_order_of_units_does_not_matter(found: tuple[list[float], list[float], list[str]], random) -> None:
    alike, different, keys = found
    order = list(range(len(keys)))
    random.shuffle(order)
    shuffled = [[values[i] for i in order] for values in (alike, different, keys)]
    named = [[keys[i] for i in pair] for pair in contrasting_pairs(alike, different, keys, 0.1)]
    assert named == [[shuffled[2][i] for i in pair] for pair in contrasting_pairs(*shuffled, 0.1)]


def test_the_two_scenarios_of_the_source_are_a_pair() -> None:
    middle = [10, 10, 10, 10, 15, 5, 10, 10, 10, 10]
    ends = [15, 10, 10, 10, 10, 10, 10, 10, 10, 5]
    even = np.ones(10)
    counts = np.array([ends, middle, even * 10])
    D, W = divergence(counts, even), wasserstein(counts, even)
    # D is the same but for the order in which its terms add up; W is 0.45 and 0.05.
    assert contrasting_pairs(D, W, ["ends", "middle", "even"], 1e-12, 1).tolist() == [[1, 0]]


@pytest.mark.parametrize(("tolerance", "number"), [(-0.1, 3), (np.nan, 3), (0.1, 0)])
def test_what_cannot_be_paired_is_refused(tolerance: float, number: int) -> None:
    with pytest.raises(DefinitionError, match="expected 0 or more, and a band"):
        contrasting_pairs([0.1], [0.1], ["a"], tolerance, number)
