"""Folds: every unit tested once a repeat, places kept apart, the same again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import InputError
from geomob_dask.models.fold_plans import FoldPlan, renumber
from geomob_dask.models.folds import Fold, check_fold, contiguity_folds, state_folds, stratified_folds


def mesh(rows, columns, islands=0):
    """Pairs of a grid of cells, both directions, and cells without neighbors."""
    place = np.arange(rows * columns).reshape(rows, columns)
    one_way = np.vstack(
        [
            np.column_stack([place[:, :-1].ravel(), place[:, 1:].ravel()]),
            np.column_stack([place[:-1].ravel(), place[1:].ravel()]),
        ]
    )
    return np.vstack([one_way, one_way[:, ::-1]]), rows * columns + islands


def steps_between(pairs, n):
    """Slow oracle: steps from every unit to every other, by walking."""
    near = [set() for _ in range(n)]
    for a, b in pairs:
        near[a].add(int(b))
    found = np.full((n, n), np.inf)
    for start in range(n):
        edge, steps = {start}, 0
        while edge:
            for unit in edge:
                found[start, unit] = steps
            steps += 1
            edge = {other for unit in edge for other in near[unit] if np.isinf(found[start, other])}
    return found


def classes_of(n, n_classes, seed):
    return np.random.default_rng(seed).permutation(np.arange(n) % n_classes)


def each_is_tested_once(folds, n, n_repeats):
    for repeat in range(n_repeats):
        tested = np.concatenate([fold.test for fold in folds if fold.repeat == repeat])
        assert sorted(tested) == list(range(n))
    for fold in folds:
        assert not np.isin(fold.train, fold.test).any()
        assert (np.diff(fold.train) > 0).all()
        assert (np.diff(fold.test) > 0).all()


@settings(max_examples=30)
@given(st.integers(40, 90), st.sampled_from([2, 4]), st.integers(2, 5), st.integers(1, 3), st.integers(0, 99))
def test_random_folds_have_the_classes_in_equal_shares(n, n_classes, n_folds, n_repeats, seed):
    classes = classes_of(n, n_classes, seed)
    folds = stratified_folds(classes, n_folds, n_repeats, seed)
    each_is_tested_once(folds, n, n_repeats)
    for fold in folds:
        assert len(fold.train) + len(fold.test) == n
        each = np.bincount(classes[fold.test], minlength=n_classes) * n_folds - np.bincount(classes)
        assert (np.abs(each) <= n_folds).all()
    again = stratified_folds(classes, n_folds, n_repeats, seed)
    assert all((one.test == other.test).all() for one, other in zip(folds, again, strict=True))
    if n_repeats > 1:
        assert any((folds[k].test.tolist() != folds[k + n_folds].test.tolist()) for k in range(n_folds))


@settings(max_examples=30)
@given(st.integers(5, 20), st.integers(2, 5), st.integers(0, 99))
def test_folds_by_state_keep_states_whole(n_states, n_folds, seed):
    rng = np.random.default_rng(seed)
    states = rng.permutation(np.repeat([f"S{k:02}" for k in range(n_states)], rng.integers(4, 20, n_states)))
    classes = classes_of(len(states), 2, seed)
    folds = state_folds(classes, states, n_folds, 2, seed)
    each_is_tested_once(folds, len(states), 2)
    for fold in folds:
        assert not set(states[fold.train]) & set(states[fold.test])
        assert len(fold.test)


def test_folds_by_state_even_the_classes_out():
    # 20 states of one class each: each fold of two gets five of both.
    states = np.repeat([f"S{k:02}" for k in range(20)], 3)
    classes = np.repeat(np.arange(20) % 2, 3)
    for fold in state_folds(classes, states, 2, 3):
        assert np.bincount(classes[fold.test]).tolist() == [15, 15]


@settings(max_examples=25)
@given(
    shape=st.tuples(st.integers(5, 8), st.integers(6, 9)),
    islands=st.integers(0, 3),
    buffer=st.integers(0, 2),
    n_folds=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_folds_by_contiguity_train_on_nothing_within_the_buffer(shape, islands, buffer, n_folds, seed):
    pairs, n = mesh(*shape, islands)
    classes = classes_of(n, 2, seed)
    try:
        folds = contiguity_folds(classes, pairs, n_folds, buffer=buffer, n_repeats=2, seed=seed)
    except InputError as error:
        assert buffer > 0
        assert "nothing is left to train on" in str(error)  # noqa: PT017
        return
    each_is_tested_once(folds, n, 2)
    steps = steps_between(pairs, n)
    for fold in folds:
        closest = steps[np.ix_(fold.train, fold.test)]
        assert closest.min() > buffer
        # Nothing is left out without need.
        out = np.setdiff1d(np.arange(n), np.concatenate([fold.train, fold.test]))
        assert (steps[np.ix_(out, fold.test)].min(axis=1) <= buffer).all()
    again = contiguity_folds(classes, pairs, n_folds, buffer=buffer, n_repeats=2, seed=seed)
    assert all((one.test == other.test).all() for one, other in zip(folds, again, strict=True))


def test_blocks_are_connected():
    pairs, n = mesh(12, 12)
    steps = steps_between(pairs, n)
    for fold in contiguity_folds(classes_of(n, 2, 0), pairs, 4, n_blocks=4, buffer=1):
        # One block a fold here: all its units reach each other inside it.
        inside = np.isin(pairs, fold.test).all(axis=1)
        place = {int(unit): row for row, unit in enumerate(fold.test)}
        own = np.array([[place[int(a)], place[int(b)]] for a, b in pairs[inside]])
        assert np.isfinite(steps_between(own, len(fold.test))).all()
    assert np.isfinite(steps).all()


@pytest.mark.parametrize("kind", ["stratified", "states", "contiguity"])
def test_folds_inside_a_fold_never_see_what_it_tests(kind):
    pairs, n = mesh(12, 12)
    classes, states = classes_of(n, 4, 1), np.repeat([f"S{k:02}" for k in range(12)], 12)
    plan = FoldPlan(kind, n_folds=4, n_repeats=2, seed=5)
    steps = steps_between(pairs, n)
    drawn = []
    for fold in plan.folds(classes, states, pairs):
        inside = plan.inside(fold, classes, states, pairs, 3)
        assert sorted(np.concatenate([one.test for one in inside])) == fold.train.tolist()
        drawn.append(inside[0].test.tolist())
        for one in inside:
            assert not np.isin(np.concatenate([one.train, one.test]), fold.test).any()
            if kind == "states":
                assert not set(states[one.train]) & set(states[one.test])
            if kind == "contiguity":
                assert steps[np.ix_(one.train, one.test)].min() > 1
    assert len({tuple(rows) for rows in drawn}) > 1


def test_folds_inside_a_fold_count_steps_through_what_it_left_out():
    pairs, n = mesh(24, 24)
    classes, states = classes_of(n, 2, 1), np.full(n, "IN")
    plan, steps = FoldPlan("contiguity", n_folds=4, seed=5, buffer=2), steps_between(pairs, n)
    for fold in plan.folds(classes, states, pairs):
        for one in plan.inside(fold, classes, states, pairs, 3):
            assert steps[np.ix_(one.train, one.test)].min() > 2


def test_steps_lead_through_places_outside_the_study():
    # Units 0…9 in a row, but between 4 and 5 lies node 10, no unit.
    line = [(k, k + 1) for k in range(9) if k != 4] + [(4, 10), (10, 5)]
    pairs = np.array(line + [(b, a) for a, b in line])
    classes = np.arange(10) % 2
    for buffer in (1, 2):
        for fold in contiguity_folds(classes, pairs, 5, buffer=buffer, seed=1):
            assert max(fold.train.max(), fold.test.max()) < 10
            assert (4 in fold.test and 5 in fold.train) <= (buffer < 2)
            assert (5 in fold.test and 4 in fold.train) <= (buffer < 2)
    # One step never leads through a place outside: the folds are those without it.
    without = contiguity_folds(classes, pairs[(pairs < 10).all(axis=1)], 5, seed=1)
    for one, other in zip(contiguity_folds(classes, pairs, 5, seed=1), without, strict=True):
        assert one.train.tolist() == other.train.tolist()
        assert one.test.tolist() == other.test.tolist()


def test_units_left_out_stay_in_the_graph():
    pairs, n = mesh(5, 5)
    kept = np.random.default_rng(0).random(n) < 0.6
    cut = renumber(pairs, kept)
    order = np.concatenate([np.flatnonzero(kept), np.flatnonzero(~kept)])
    assert (order[cut] == pairs).all()
    again = np.arange(kept.sum()) % 2 == 0
    twice = renumber(cut, again)
    before, after = steps_between(pairs, n), steps_between(twice, n)
    units = np.flatnonzero(kept)[again]
    assert (after[: len(units), : len(units)] == before[np.ix_(units, units)]).all()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: FoldPlan("random"), "no such folds; expected one of: stratified, states, contiguity"),
        (lambda: stratified_folds(np.array([0, 0, 0, 1, 1]), 3), "class 1: found 2 units, expected at least as many"),
        (lambda: stratified_folds(np.arange(6) % 2, 1), "found 1 folds"),
        (lambda: stratified_folds(np.arange(6) % 2, 7), "7 folds of 6 units"),
        (lambda: state_folds(np.arange(6) % 2, np.array(["IN"] * 6), 2), "found 1 states"),
        (lambda: contiguity_folds(np.arange(6) % 2, np.empty((0, 2), int), 2), "no neighbors"),
        (lambda: contiguity_folds(np.arange(16) % 2, mesh(4, 4)[0], 2, buffer=-1), "found a buffer of -1"),
        (lambda: contiguity_folds(np.arange(16) % 2, mesh(4, 4)[0], 2, buffer=6), "nothing is left to train on"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(act, message):
    with pytest.raises(InputError, match=message):
        act()


def test_a_fold_that_cannot_teach_is_named():
    values, classes = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 0, 1])
    fold = Fold(1, 2, np.array([0, 1, 2, 3]), np.array([4, 5]))
    check_fold(fold, values, classes, ["a", "b"])
    empty, constant = values.copy(), values.copy()
    empty[:4, 1] = np.nan
    constant[:4, 0] = 3
    constant[0, 0] = np.nan
    with pytest.raises(InputError, match="fold 3 of repeat 2: feature 'b' is missing in all 4 training rows"):
        check_fold(fold, empty, classes, ["a", "b"])
    with pytest.raises(InputError, match=r"fold 3 of repeat 2: feature 'a' is constant \(3\)"):
        check_fold(fold, constant, classes, ["a", "b"])
    with pytest.raises(InputError, match="fold 3 of repeat 2: class 1 has no unit"):
        check_fold(fold, values, np.array([0, 0, 0, 0, 1, 1]), ["a", "b"])


@pytest.mark.parametrize("seed", [0, 7])
def test_repeats_of_folds_of_states_are_other_folds_of_even_size(seed):
    rng = np.random.default_rng(3)
    states = np.repeat([f"{number:02d}" for number in range(50)], np.arange(5, 55)).astype(object)
    classes = rng.integers(0, 2, len(states))
    folds = state_folds(classes, states, 5, n_repeats=4, seed=seed)
    of_repeat = []
    for repeat in range(4):
        here = [fold for fold in folds if fold.repeat == repeat]
        assert sorted(np.concatenate([fold.test for fold in here])) == list(range(len(states)))
        sizes = [len(fold.test) for fold in here]
        assert max(sizes) < 1.5 * min(sizes)
        of_repeat.append({frozenset(states[fold.test]) for fold in here})
    assert all(one.isdisjoint(other) for place, one in enumerate(of_repeat) for other in of_repeat[:place])
