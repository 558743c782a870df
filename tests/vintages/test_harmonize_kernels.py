"""Numbers of one set of tracts on another: against plain loops, and what must hold for any weights."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import InputError, RunError
from geomob_dask.transforms.crosswalk import Links
from geomob_dask.transforms.harmonize import (
    Balance,
    Converted,
    Why,
    carry_over,
    convert_counts,
    only_sources,
    recompute,
    weights_of,
    whole_weights,
)
from geomob_dask.transforms.prices import deflate


@st.composite
def tables(draw):
    """Return links of a few sources (some whole, some split), counts and margins, some missing."""
    n_sources, n_targets = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    pairs = draw(
        st.lists(
            st.tuples(st.integers(0, n_sources - 1), st.integers(0, n_targets - 1)),
            unique=True,
            min_size=1,
            max_size=12,
        )
    )
    source = np.array([pair[0] for pair in pairs], dtype=np.int64)
    target = np.array([pair[1] for pair in pairs], dtype=np.int64)
    amounts = np.array(draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, 7.5]), min_size=len(pairs), max_size=len(pairs))))
    weights, _ = weights_of(amounts, source, n_sources)
    numbers = st.sampled_from([0.0, 3.0, 250.0, 4000.5, math.nan])
    values = np.array(draw(st.lists(numbers, min_size=n_sources, max_size=n_sources)))
    moes = np.array(draw(st.lists(numbers, min_size=n_sources, max_size=n_sources)))
    return Links(source, target, weights), values, moes, n_targets


@given(tables())
@settings(max_examples=150)
def test_counts_by_plain_loops(table):
    links, values, moes, n_targets = table
    converted, withheld = convert_counts(values[:, None], moes[:, None], links, n_targets)
    hidden = 0.0
    for target in range(n_targets):
        parts = [
            (s, w) for s, t, w in zip(links.source, links.target, links.share, strict=True) if t == target and w > 0
        ]
        known = sum(w * values[s] for s, w in parts if not math.isnan(values[s]))
        value, moe, why = converted.values[target, 0], converted.moes[target, 0], converted.why[target, 0]
        if not parts:
            assert why == Why.NO_SOURCE
            assert math.isnan(value)
        elif any(math.isnan(values[s]) for s, _ in parts):
            assert why == Why.SOURCE_MISSING
            assert math.isnan(value)
            assert math.isnan(moe)
            hidden += known
        else:
            assert why == Why.KNOWN
            assert value == pytest.approx(known, rel=1e-12)
            squares = sum((w * moes[s]) ** 2 for s, w in parts)
            assert moe == pytest.approx(math.sqrt(squares), rel=1e-12, nan_ok=True)
    assert withheld[0] == pytest.approx(hidden, rel=1e-12, abs=1e-12)


@given(tables())
@settings(max_examples=100)
def test_nobody_is_lost(table):
    links, values, moes, n_targets = table
    converted, withheld = convert_counts(values[:, None], moes[:, None], links, n_targets)
    linked = np.unique(links.source)
    lost = np.nansum(np.delete(values, linked))
    after = np.nansum(converted.values)
    Balance(float(np.nansum(values)), float(after), float(lost), float(withheld[0])).check("people", 1.0, "")


@given(tables())
@settings(max_examples=100)
def test_medians_only_where_a_source_is_its_target(table):
    links, values, moes, n_targets = table
    converted, refused = carry_over(values[:, None], moes[:, None], links, n_targets)
    count = 0
    for target in range(n_targets):
        parts = [
            (s, w) for s, t, w in zip(links.source, links.target, links.share, strict=True) if t == target and w > 0
        ]
        alone = len(parts) == 1 and parts[0][1] == 1.0
        value = converted.values[target, 0]
        if alone:
            np.testing.assert_equal(value, values[parts[0][0]])
        else:
            assert math.isnan(value)
            count += any(not math.isnan(values[s]) for s, _ in parts)
    assert refused[0] == count


def test_new_codes_alone_change_no_bit():
    rng = np.random.default_rng(7)
    order = rng.permutation(50).astype(np.int64)
    links = Links(np.arange(50), order, np.ones(50))
    values, moes = rng.uniform(0, 9000, (50, 2)), rng.uniform(0, 300, (50, 2))
    converted, _ = convert_counts(values, moes, links, 50)
    np.testing.assert_array_equal(converted.values[order], values)
    np.testing.assert_array_equal(converted.moes[order], moes)
    np.testing.assert_array_equal(only_sources(links, 50)[order], np.arange(50))


def _column(values, moes, why=0):
    shape = (len(values), 1)
    return Converted(
        np.array(values, float).reshape(shape), np.array(moes, float).reshape(shape), np.full(shape, why, np.uint8)
    )


def test_shares_are_made_anew_from_their_counts():
    """A fifth of one tract and half of another are not the mean of their shares, 0.25 and 0.9."""
    links = Links(np.array([0, 1]), np.array([0, 0]), np.array([0.2, 0.5]))
    poor, _ = convert_counts(np.array([[100.0], [180.0]]), np.array([[30.0], [12.0]]), links, 1)
    people, _ = convert_counts(np.array([[400.0], [200.0]]), np.array([[5.0], [2.0]]), links, 1)
    share = recompute(poor, people, proportion=True, scale=100.0)
    assert share.values[0, 0] == pytest.approx(100 * (20 + 90) / (80 + 100))
    p, top, bottom = 110 / 180, math.hypot(6, 6), math.hypot(1, 1)
    assert share.moes[0, 0] == pytest.approx(100 * math.sqrt(top**2 - p**2 * bottom**2) / 180)
    mean = recompute(_column([900], [30]), _column([30], [4]), proportion=False)
    assert mean.values[0, 0] == 30
    assert mean.moes[0, 0] == pytest.approx(math.sqrt(30**2 + 30**2 * 4**2) / 30)


def test_a_share_of_nobody_is_not_defined():
    share = recompute(_column([0], [3]), _column([0], [3]), proportion=True)
    assert math.isnan(share.values[0, 0])
    assert share.why[0, 0] == Why.NOT_DEFINED


def test_sources_without_amounts_share_equally_and_are_counted():
    weights, divided = weights_of(np.array([0.0, np.nan, 0.0, 4.0]), np.array([0, 0, 1, 2]), 3)
    np.testing.assert_array_equal(weights, [0.5, 0.5, 1.0, 1.0])
    assert divided == 1


def test_rounded_weights_are_scaled_and_short_ones_told():
    source = np.array([0, 0, 0, 1])
    weights, short = whole_weights(np.array([0.3333, 0.3333, 0.3333, 0.8]), source, 2, ["a", "b"])
    assert weights[:3].sum() == pytest.approx(1.0, abs=1e-15)
    assert weights[3] == 0.8
    assert short == 1


@pytest.mark.parametrize("wrong", [[0.7, 0.7], [-0.1, 1.0], [1.2, 0.0], [math.nan, 1.0]])
def test_more_than_a_whole_source_is_refused(wrong):
    with pytest.raises(InputError, match="01001020100"):
        whole_weights(np.array(wrong), np.array([0, 0]), 1, ["01001020100"])


def test_a_negative_amount_is_refused():
    with pytest.raises(InputError, match="found -3"):
        weights_of(np.array([1.0, -3.0]), np.array([0, 0]), 1)


def test_a_balance_that_loses_people_names_where():
    with pytest.raises(InputError, match=r"column people: 5 of 100 \(5.000%\).*expected 1.000% at most.*in 0100102"):
        Balance(100.0, 95.0, 5.0, 0.0).check("people", 0.01, "0100102")
    with pytest.raises(RunError, match="do not add up"):
        Balance(100.0, 90.0, 5.0, 0.0).check("people", 0.1, "")


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=9), st.floats(50, 400), st.floats(50, 400))
def test_dollars_there_and_back_keep_their_order(values, here, there):
    money = np.array(values)
    moved = deflate(money, here, there)
    np.testing.assert_allclose(deflate(moved, there, here), money, rtol=1e-12)
    assert (np.diff(moved[np.argsort(money)]) >= 0).all()
