"""Grid searches by dask-ml, and which of its estimators and searches are refused."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import dask
import distributed
import numpy as np
from dask_ml.model_selection import GridSearchCV
from numpy.typing import NDArray

from geomob_dask.errors import InputError, RunError
from geomob_dask.frames.deaths import death_of
from geomob_dask.frames.futures import ATTEMPTS, connected, lost, sent_once
from geomob_dask.models.catalog import pipeline_settings, plain_settings
from geomob_dask.models.scores import accuracy, log_loss
from geomob_dask.models.search import CHOSEN_BY, DIGITS, Sample, Search
from geomob_dask.models.threads import one_thread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The score of a fit that failed: no fit has it.
_FAILED = -1e9
# dask-ml 2025.1.0 on this distributed: these end with an error of the event loop, or never.
_BROKEN = ("IncrementalSearchCV", "HyperbandSearchCV", "SuccessiveHalvingSearchCV", "InverseDecaySearchCV")


def grid_scores(sample: Sample, search: Search, client: distributed.Client | None, seed: int) -> tuple[Floats, Floats]:
    """Return log loss and accuracy of every setting and fold.

    Parameters
    ----------
    client : Client, optional
        None: in this process.

    Returns
    -------
    losses, accuracies : shape (n_settings, n_folds)
        In the order of ``search.tried``.

    Raises
    ------
    InputError
        If dask-ml would answer wrongly.
    ClusterLostError
        If the scheduler was lost, and did not come back.
    RunError
        If a fit fails; it names model, fold and settings. If its worker died repeatedly; it names the model.
    """
    pipeline = search.entry.build(sample.n_classes, seed)
    refuse_wrong_answers(pipeline, sample.n_classes)
    grid = pipeline_settings(search.settings)
    options = {
        "scoring": {"log_loss": _log_loss_of, "accuracy": _accuracy_of},
        "cv": [(fold.train, fold.test) for fold in search.folds],
        # Means over folds as scikit-learn's; weighted by size otherwise.
        "iid": False,
        "refit": False,
        # Names model, fold and settings, which the error of a task does not.
        "error_score": _FAILED,
    }
    with one_thread():
        if client is None:
            found = GridSearchCV(pipeline, grid, scheduler="synchronous", **options)
            found.fit(sample.values, sample.codes)
        else:
            found = _searched(pipeline, grid, options, sample, client, search.model)
    tried = [plain_settings(settings) for settings in found.cv_results_["params"]]
    order = [tried.index(settings) for settings in search.tried]
    scores = [
        np.column_stack([found.cv_results_[f"split{fold}_test_{name}"] for fold in range(len(search.folds))])[order]
        for name in CHOSEN_BY
    ]
    failed = np.argwhere(scores[0] == _FAILED)
    if len(failed):
        setting, fold = failed[0]
        raise RunError(
            f"model {search.model}, {search.folds[fold].name}: the fit with {search.tried[setting]} failed; "
            "expected a fit (see the workers' log)"
        )
    # Arrays arrive at a worker at any address, and linear algebra rounds by address.
    return np.round(scores[0], DIGITS), np.round(scores[1], DIGITS)


def _searched(
    pipeline: Any, grid: Any, options: Mapping[str, Any], sample: Sample, client: distributed.Client, model: str
) -> GridSearchCV:
    """Return a search that ran on a cluster; one that is lost with its scheduler is submitted again a few times."""

    # Given the client itself, dask-ml would try tasks whose workers die, or whose scheduler is lost, again forever.
    def get(graph: Any, keys: Any, **_: Any) -> Any:
        return client.get(graph, keys)

    for _ in range(ATTEMPTS):
        with connected(client):
            # In the graph they would travel with every fit.
            sent = sent_once([sample.values, sample.codes], client, uuid.uuid4().hex)
            found = GridSearchCV(pipeline, grid, scheduler=get, **options)
            try:
                # dask-ml takes futures only as delayed values.
                return found.fit(*(dask.delayed(future) for future in sent))
            except distributed.KilledWorker as error:
                raise RunError(f"searches, model {model}, task {error.task}: {death_of(error)}") from error
    raise lost(client, f"searches, model {model}: lost with the scheduler {ATTEMPTS} times")


def _log_loss_of(estimator: Any, values: Floats, codes: Ints) -> float:
    return log_loss(codes, estimator.predict_proba(values))


def _accuracy_of(estimator: Any, values: Floats, codes: Ints) -> float:
    return accuracy(codes, estimator.predict_proba(values))


def refuse_wrong_answers(estimator: Any, n_classes: int) -> None:
    """Refuse what dask-ml 2025.1.0 answers wrongly, or never.

    Parameters
    ----------
    estimator : estimator or Pipeline
        All steps are checked.

    Raises
    ------
    InputError
        For dask-ml's LogisticRegression with more than two classes (it makes two of them, without a warning), and for
        its searches that end with an error on this version of distributed.
    """
    for step in [part for _, part in getattr(estimator, "steps", [("", estimator)])]:
        kind = type(step)
        if not kind.__module__.startswith("dask_ml"):
            continue
        if kind.__name__ in _BROKEN:
            raise InputError(f"dask-ml's {kind.__name__} does not run on this distributed; expected GridSearchCV")
        if kind.__name__ == "LogisticRegression" and n_classes > 2:
            raise InputError(
                f"dask-ml's LogisticRegression makes two classes of {n_classes} without a warning; "
                "expected scikit-learn's, or a model of the catalog"
            )
