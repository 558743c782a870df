"""Every model: a planted signal is recovered, a shuffled target is chance; the ordinal one against others."""

import numpy as np
import pytest
import scipy.optimize
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits

from geomob_dask.errors import InputError
from geomob_dask.models import ordinal
from geomob_dask.models.catalog import L1_RATIOS, MODELS, PENALTIES, model_named
from geomob_dask.models.elastic_net import ElasticNetLogistic
from geomob_dask.models.folds import stratified_folds
from geomob_dask.models.ordinal import OrdinalLogistic
from geomob_dask.models.scores import accuracy, interval

# Weaker than the defaults, so that trees cost seconds.
SETTINGS = {
    "logistic": {"C": 0.1},
    "elastic_net": {"C": 0.1, "l1_ratio": 0.5},
    "forest": {"n_estimators": 30, "min_samples_leaf": 0.01},
    "boosting": {"max_iter": 25, "max_leaf_nodes": 4},
    "ordinal": {"C": 0.1},
    "unpenalized": {},
}


def made_up(n, seed):
    """Units with a planted score: two features of ten, with gaps in all."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n, 10))
    score = 2 * values[:, 0] - values[:, 1] + 0.4 * rng.standard_normal(n)
    values[rng.random(values.shape) < 0.03] = np.nan
    return 50 + 10 * values, score


def held_out(name, n_classes, values, codes, n_repeats):
    scores = []
    # One thread: trees of so few units are faster for it.
    with threadpool_limits(1):
        for fold in stratified_folds(codes, 4, n_repeats):
            model = MODELS[name].build(n_classes, 0, **SETTINGS[name]).fit(values[fold.train], codes[fold.train])
            scores.append(accuracy(codes[fold.test], model.predict_proba(values[fold.test])))
    return interval(scores, 1 / 3)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", MODELS)
def test_a_planted_signal_is_recovered_and_a_shuffled_target_is_chance(name, n_classes):
    values, score = made_up(240, 1)
    codes = np.digitize(score, np.quantile(score, np.arange(1, n_classes) / n_classes))
    found, _, _ = held_out(name, n_classes, values, codes, 1)
    assert found > {2: 0.85, 4: 0.55}[n_classes]
    shuffled = np.random.default_rng(7).permutation(codes)
    mean, lower, upper = held_out(name, n_classes, values, shuffled, 1)
    assert lower <= 1 / n_classes <= upper
    assert abs(mean - 1 / n_classes) < 0.12


def test_the_grid_is_the_published_one():
    assert len(PENALTIES) == 50
    assert (PENALTIES[0], PENALTIES[-1]) == (1e-10, 1e10)
    assert tuple(np.round(np.arange(0, 1, 0.05), 2)) == L1_RATIOS
    assert MODELS["elastic_net"].search_grid == {
        "classifier__C": list(PENALTIES),
        "classifier__l1_ratio": list(L1_RATIOS),
    }
    for name, model in MODELS.items():
        assert model.name == name
        assert clone(model.build(4, 0)).set_params(**{key: values[0] for key, values in model.search_grid.items()})


def test_models_that_are_not_there():
    with pytest.raises(InputError, match="model 'svm': no such model; expected one of: logistic, elastic_net, forest"):
        model_named("svm")
    with pytest.raises(InputError, match="model forest: found 3 classes, expected 2 or 4"):
        MODELS["forest"].build(3, 0)


def test_fill_and_scale_learn_from_the_rows_they_are_given_only():
    values, score = made_up(100, 3)
    codes = (score > 0).astype(int)
    model = MODELS["logistic"].build(2, 0).fit(values[:60], codes[:60])
    other = values.copy()
    other[60:] += 1000
    again = MODELS["logistic"].build(2, 0).fit(other[:60], codes[:60])
    assert (model.predict_proba(values[60:]) == again.predict_proba(values[60:])).all()
    assert model.named_steps["fill"].statistics_ == pytest.approx(np.nanmedian(values[:60], axis=0))


# The ordinal model ---------------------------------------------------------------------------


def test_with_two_classes_it_is_logistic_regression():
    values, score = made_up(150, 4)
    values, codes = np.nan_to_num(values / 50 - 1), (score > 0).astype(int)
    for C in (0.01, 1.0, 50.0):
        ours = OrdinalLogistic(C).fit(values, codes)
        theirs = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12).fit(values, codes)
        np.testing.assert_allclose(ours.coef_, theirs.coef_[0], atol=1e-6)
        np.testing.assert_allclose(ours.thresholds_, -theirs.intercept_, atol=1e-6)


def test_its_gradient_is_that_of_its_objective():
    rng = np.random.default_rng(0)
    values, codes = rng.standard_normal((30, 3)), np.arange(30) % 4
    for seed in range(5):
        free = np.random.default_rng(seed).standard_normal(6)
        worst = scipy.optimize.check_grad(
            lambda point: ordinal._objective(point, values, codes, 5.0)[0],
            lambda point: ordinal._objective(point, values, codes, 5.0)[1],
            free,
        )
        assert worst < 1e-6


def test_it_finds_the_coefficients_that_made_the_classes():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((8_000, 3))
    score = values @ np.array([1.0, -2.0, 0.0]) + rng.logistic(size=8_000)
    model = OrdinalLogistic(C=100).fit(values, np.digitize(score, [-1.0, 0.5, 2.0]))
    np.testing.assert_allclose(model.coef_, [1, -2, 0], atol=0.08)
    np.testing.assert_allclose(model.thresholds_, [-1, 0.5, 2], atol=0.08)
    shares = model.predict_proba(values * 40)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-12)


def test_the_order_of_classes_counts_and_reverses():
    values, score = made_up(200, 5)
    values = np.nan_to_num(values / 50 - 1)
    codes = np.digitize(score, np.quantile(score, [0.25, 0.5, 0.75]))
    forward, backward = OrdinalLogistic(1.0).fit(values, codes), OrdinalLogistic(1.0).fit(values, 3 - codes)
    np.testing.assert_allclose(forward.coef_, -backward.coef_, atol=1e-6)
    np.testing.assert_allclose(forward.thresholds_, -backward.thresholds_[::-1], atol=1e-6)


def test_what_it_refuses():
    with pytest.raises(InputError, match="one class only, 1"):
        OrdinalLogistic().fit(np.ones((3, 1)), np.ones(3))
    with pytest.raises(InputError, match="found C 0"):
        OrdinalLogistic(C=0).fit(np.arange(4.0)[:, None], [0, 1, 0, 1])


@pytest.mark.parametrize("estimator", [OrdinalLogistic(), ElasticNetLogistic()])
def test_scikit_learn_takes_it_for_an_estimator(estimator):
    check_estimator(estimator, on_skip=None)
