"""The elastic-net path against scikit-learn at tight tolerance, and against what makes an optimum one."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from geomob_dask.errors import InputError
from geomob_dask.models.elastic_net import ElasticNetLogistic, logistic_path


def made_up(n, p, n_classes, seed, noise=1.0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n, p))
    values[:, 1] = values[:, 0] + 0.5 * rng.standard_normal(n)  # two features that say much the same
    score = values[:, :3] @ np.array([1.0, 0.5, -1.0]) + noise * rng.logistic(size=n)
    return values, np.digitize(score, np.quantile(score, np.arange(1, n_classes) / n_classes))


def by_scikit_learn(values, classes, C, l1_ratio, ridge="newton-cholesky"):
    """The same objective, solved by others: saga, or Newton's method where the penalty is smooth."""
    solver = "saga" if l1_ratio else ridge
    model = LogisticRegression(C=C, l1_ratio=l1_ratio, solver=solver, tol=1e-10, max_iter=200_000, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        return model.fit(values, classes)


def distance_from_optimum(values, classes, coefficients, intercepts, C, l1_ratio):
    """Say the optimality conditions again, plainly: one row of coefficients a class."""
    scores = values @ coefficients.T + intercepts
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    worst = 0.0
    for k in range(len(coefficients)):
        residual = (classes == k) - shares[:, k]
        worst = max(worst, abs(residual.sum()))
        for j in range(values.shape[1]):
            slope = C * (residual @ values[:, j]) - (1 - l1_ratio) * coefficients[k, j]
            w = coefficients[k, j]
            apart = max(abs(slope) - l1_ratio, 0) if w == 0 else abs(slope - l1_ratio * np.sign(w))
            worst = max(worst, apart / C)
    return worst


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 0.95])
def test_scores_are_those_of_scikit_learn_at_tight_tolerance(n_classes, l1_ratio):
    values, classes = made_up(160, 6, n_classes, 1)
    unseen, truth = made_up(120, 6, n_classes, 2)
    # saga stops before its intercepts have settled where the penalty leaves no coefficient: not compared there.
    penalties = [0.1, 0.5, 3.0] if l1_ratio else [1e-8, 1e-3, 0.03, 1.0, 30.0]
    path = logistic_path(values, classes, n_classes, penalties, l1_ratio)
    ours = [log_loss(truth, shares, labels=range(n_classes)) for shares in path.probabilities(unseen)]
    theirs = []
    for place, C in enumerate(penalties):
        model = by_scikit_learn(values, classes, C, l1_ratio)
        theirs.append(log_loss(truth, model.predict_proba(unseen)))
        np.testing.assert_allclose(path.coefficients[place], model.coef_, rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    n_classes=st.sampled_from([2, 3, 4]),
    l1_ratio=st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0]),
    p=st.integers(3, 9),
)
def test_every_fit_of_the_whole_published_path_is_an_optimum(seed, n_classes, l1_ratio, p):
    values, classes = made_up(60, p, n_classes, seed)
    penalties = np.logspace(-10, 10, 50)
    path = logistic_path(values, classes, n_classes, penalties, l1_ratio)
    assert path.optimality.max() < 1e-6
    for place in range(0, 50, 7):
        w, b = path.coefficients[place], path.intercepts[place]
        if n_classes == 2:
            # Two rows of which only one is penalized: the loss of softmax with a row of zeros.
            w, b = np.vstack([np.zeros_like(w), w]), np.array([0.0, b[0]])
            residual = (classes == 1) - path.probabilities(values)[place][:, 1]
            slope = residual @ values - (1 - l1_ratio) / penalties[place] * w[1]
            l1 = l1_ratio / penalties[place]
            apart = np.where(w[1] == 0, np.maximum(np.abs(slope) - l1, 0), np.abs(slope - l1 * np.sign(w[1])))
            assert max(apart.max(), abs(residual.sum())) < 1e-5
        else:
            assert distance_from_optimum(values, classes, w, b, penalties[place], l1_ratio) < 1e-5


def test_separable_classes_end_too():
    values = np.linspace(-1, 1, 40)[:, None] * np.array([[1.0, -0.5]])
    classes = (values[:, 0] > 0).astype(int)
    path = logistic_path(values, classes, 2, np.logspace(-10, 10, 50), 0.5)
    assert (path.probabilities(values)[-1].argmax(axis=1) == classes).all()
    assert (path.probabilities(values)[-1].max(axis=1) > 0.99).all()


def test_a_start_elsewhere_on_the_path_changes_nothing_that_counts():
    values, classes = made_up(150, 8, 4, 5)
    whole = logistic_path(values, classes, 4, np.logspace(-4, 2, 30), 0.5)
    alone = logistic_path(values, classes, 4, [1e2], 0.5)
    np.testing.assert_allclose(whole.probabilities(values)[-1], alone.probabilities(values)[0], rtol=0, atol=1e-5)


def test_the_strongest_penalty_leaves_the_shares_of_the_classes():
    values, classes = made_up(90, 4, 3, 0)
    shares = logistic_path(values, classes, 3, [1e-10], 0.5).probabilities(values)[0]
    np.testing.assert_allclose(shares, np.tile(np.bincount(classes) / 90, (90, 1)), atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_estimator_is_the_end_of_its_path(n_classes):
    values, classes = made_up(200, 5, n_classes, 3)
    names = np.array(["a", "b", "c", "d"])[classes]
    model = clone(ElasticNetLogistic(C=0.5, l1_ratio=0.7)).fit(values, names)
    theirs = by_scikit_learn(values, names, 0.5, 0.7)
    assert model.coef_.shape == theirs.coef_.shape
    np.testing.assert_allclose(model.predict_proba(values), theirs.predict_proba(values), atol=1e-5)
    assert (model.predict(values) == theirs.predict(values)).mean() > 0.99
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict_proba(values) == model.predict_proba(values)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.array([[1.0, np.nan]] * 4)}, "column 1 has missing"),
        ({"classes": np.zeros(4, int)}, "expected units in each of 2 classes"),
        ({"penalties": [1.0, 0.5]}, "rising order"),
        ({"penalties": [0.0]}, "above 0"),
        ({"l1_ratio": 1.5}, "expected 0…1"),
    ],
)
def test_bad_input_is_named(change, message):
    good = {"values": np.arange(8.0).reshape(4, 2), "classes": np.array([0, 1, 0, 1]), "penalties": [1.0]}
    good |= {"n_classes": 2, "l1_ratio": 0.5}
    with pytest.raises(InputError, match=message):
        logistic_path(**(good | change))
