"""The logistic regression without a penalty: maximum likelihood, a search of one setting, and separated classes."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from geomob_dask.frames.model_search import search
from geomob_dask.models.catalog import MODELS
from geomob_dask.models.folds import Fold
from geomob_dask.models.search import Sample, Search


def planted(n=240, seed=3):
    draws = np.random.default_rng(seed)
    values = draws.normal(size=(n, 4))
    return values, (values @ [1.0, -0.5, 0.0, 0.0] + draws.logistic(size=n) > 0).astype(np.int64)


def test_it_has_the_largest_likelihood():
    values, codes = planted()
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    design = np.column_stack([np.ones(len(codes)), scaled])

    def loss(weights):
        return -np.where(codes == 1, np.log(expit(design @ weights)), np.log(expit(-design @ weights))).sum()

    best = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-9})
    fitted = MODELS["unpenalized"].build(2, 0).fit(values, codes)
    assert fitted[-1].coef_[0] == pytest.approx(best.x[1:], abs=1e-4)
    assert fitted[-1].intercept_[0] == pytest.approx(best.x[0], abs=1e-4)
    ridge = MODELS["logistic"].build(2, 0, C=0.01).fit(values, codes)
    assert np.abs(ridge[-1].coef_).sum() < 0.7 * np.abs(fitted[-1].coef_).sum()


def test_there_is_one_setting_to_try():
    assert Search("unpenalized", (), None).tried == [{}]
    assert Search("unpenalized", (), {}).tried == [{}]


def test_it_is_searched_like_the_others():
    values, codes = planted()
    rows = np.arange(len(codes))
    folds = tuple(Fold(0, part, rows[rows % 3 != part], rows[rows % 3 == part]) for part in range(3))
    sample = Sample(values, codes, 2, ("a", "b", "c", "d"))
    found = search(sample, {"all": Search("unpenalized", folds)})["all"]
    assert found.best() == {}
    assert found.accuracies.shape == (1, 3)
    assert found.accuracies.mean() > 0.6


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("classes", [2, 4])
def test_separated_classes_are_fitted_without_a_warning(classes):
    values, _ = planted()
    codes = np.digitize(values[:, 0], [0.0] if classes == 2 else [-0.7, 0.0, 0.7])
    fitted = MODELS["unpenalized"].build(classes, 0).fit(values, codes)
    assert fitted.score(values, codes) == 1.0
    assert np.isfinite(fitted.predict_proba(values)).all()
