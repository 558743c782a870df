"""Which features tell classes apart: mutual information, and what a fitted model loses without them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import NDArray
from sklearn.feature_selection import mutual_info_classif

from geomob_dask.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scorer = Callable[[Any, Floats, Ints], float]


@dataclass(frozen=True)
class MutualInformation:
    """Mutual information of each feature with the class.

    Parameters
    ----------
    nats, lower, upper : shape (n_features,)
        The estimate from all units that have the feature, and an interval from random halves of them.
    units : shape (n_features,)
        Units that have the feature.
    order : shape (n_features,)
        Features from the most informative to the least; ties in the order given.
    level : float
    repeats : int
        Random halves.
    """

    nats: Floats
    lower: Floats
    upper: Floats
    units: Ints
    order: Ints
    level: float
    repeats: int


def mutual_information(
    values: Floats,
    codes: Ints,
    *,
    names: Sequence[str] | None = None,
    repeats: int = 50,
    runs: int = 10,
    seed: int = 0,
    level: float = 0.95,
    nearest: int = 3,
) -> MutualInformation:
    """Estimate the mutual information of each feature with the class from nearest neighbours.

    Parameters
    ----------
    values : shape (n_units, n_features)
        NaN where missing: each feature is judged by the units that have it, nothing is filled.
    codes : shape (n_units,)
        Classes.
    names : sequence of str, optional
        Of the features, for messages and seeds: a named feature is judged the same alone and beside others, so that
        features can be shared out among workers and `joined`.
    repeats : int
        Random halves of the units, drawn without replacement within each class: a unit drawn twice would be its own
        neighbour. The deviation over halves estimates the standard error of the whole. 0: no interval (NaN).
    runs : int
        The estimate of a feature with ties is the mean of so many runs: scikit-learn breaks ties by noise, and where
        all units of a state share a value, one run differs from the next by a fifth.
    seed : int
        With the feature's name (its number, without names) and the run's or half's, it keys every draw.
    level : float
        Of the interval, which is cut at 0.
    nearest : int
        Neighbours.

    Raises
    ------
    InputError
        If a feature is known for too few units of a class, naming both.

    References
    ----------
    Ross (2014), "Mutual Information between Discrete and Continuous Data Sets"; Politis & Romano (1994) for
    subsampling.
    """
    if repeats == 1 or repeats < 0:
        raise InputError(f"repeats: found {repeats}, expected 0 (no interval) or 2 and more")
    if runs < 1:
        raise InputError(f"runs: found {runs}, expected 1 or more")
    _refuse_few(values, codes, names, least=2 * (nearest + 1))
    keys = range(values.shape[1]) if names is None else [zlib.crc32(name.encode()) for name in names]
    rows = [
        _of_feature(column, codes, key, repeats, runs, seed, nearest)
        for key, column in zip(keys, values.T, strict=True)
    ]
    nats, errors = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    reach = scipy.special.ndtri((1 + level) / 2) * errors
    return MutualInformation(
        nats=nats,
        lower=np.maximum(nats - reach, 0.0),
        upper=nats + reach,
        units=(~np.isnan(values)).sum(axis=0).astype(np.int64),
        order=np.argsort(-nats, kind="stable").astype(np.int64),
        level=level,
        repeats=repeats,
    )


def joined(parts: Sequence[MutualInformation]) -> MutualInformation:
    """Return what was found for features one by one as one finding, in the order of the parts.

    Raises
    ------
    InputError
        If there is no part, or they differ in level or repeats.
    """
    if len({(part.level, part.repeats) for part in parts}) != 1:
        raise InputError(f"parts: found {len(parts)} of several levels or repeats, expected one or more of one kind")
    nats = np.concatenate([part.nats for part in parts])
    return MutualInformation(
        nats=nats,
        lower=np.concatenate([part.lower for part in parts]),
        upper=np.concatenate([part.upper for part in parts]),
        units=np.concatenate([part.units for part in parts]),
        order=np.argsort(-nats, kind="stable").astype(np.int64),
        level=parts[0].level,
        repeats=parts[0].repeats,
    )


def _refuse_few(values: Floats, codes: Ints, names: Sequence[str] | None, *, least: int) -> None:
    for code in np.unique(codes):
        known = (~np.isnan(values[codes == code])).sum(axis=0)
        if (known < least).any():
            column = int(np.argmax(known < least))
            name = repr(names[column]) if names is not None else f"number {column}"
            raise InputError(
                f"feature {name}: found {known[column]} units of class {code} that have it, expected {least} or more"
            )


def _of_feature(
    column: Floats, codes: Ints, key: int, repeats: int, runs: int, seed: int, nearest: int
) -> tuple[float, float]:
    known = ~np.isnan(column)
    x, y = column[known], codes[known]
    members = [np.flatnonzero(y == code) for code in np.unique(codes)]
    tied = len(np.unique(x)) < len(x)
    whole = float(np.mean([_nats(x, y, _seed(seed, key, 0, run), nearest) for run in range(runs if tied else 1)]))
    if not repeats:
        return whole, float("nan")
    halves = np.empty(repeats)
    for repeat in range(repeats):
        draw = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, key, repeat + 1])))
        half = np.sort(np.concatenate([draw.permutation(rows)[: len(rows) // 2] for rows in members]))
        halves[repeat] = _nats(x[half], y[half], _seed(seed, key, repeat + 1), nearest)
    return whole, float(halves.std(ddof=1))


def _nats(x: Floats, y: Ints, seed: int, nearest: int) -> float:
    found = mutual_info_classif(x[:, None], y, discrete_features=False, n_neighbors=nearest, random_state=seed)
    return float(found[0])


def _seed(*key: int) -> int:
    return int(np.random.SeedSequence(key).generate_state(1)[0])


@dataclass(frozen=True)
class Importance:
    """What a model's score loses when a group of features is shuffled.

    Parameters
    ----------
    names : tuple of str
        Groups, such as domains, from the most important to the least.
    loss, lower, upper : shape (n_groups,)
        Mean over repeats, and the percentiles of single repeats: how much chance there is in a shuffle, not in the
        choice of held-out units (for that, repeat over folds).
    score : float
        Of the model on the units as they are.
    level : float
    repeats : int
    """

    names: tuple[str, ...]
    loss: Floats
    lower: Floats
    upper: Floats
    score: float
    level: float
    repeats: int


def permutation_importance(
    model: Any,
    values: Floats,
    codes: Ints,
    groups: Mapping[str, Sequence[int]],
    score: Scorer,
    *,
    repeats: int = 30,
    seed: int = 0,
    level: float = 0.95,
) -> Importance:
    """Measure what shuffling a group of features together costs a fitted model.

    Features of a domain stand in for each other (married adults for single mothers), so that shuffling one at a time
    shows too little. Here the units of a whole group of columns change places together.

    Parameters
    ----------
    model : estimator
        Fitted on other units than these.
    values, codes : shape (n_units, n_features), (n_units,)
        Held out.
    groups : mapping of str to columns
        Such as `Study.domains`, or one a feature.
    score : callable of (model, values, codes)
        Higher is better.
    repeats, seed : int
        The same shuffles are used for every group: keyed by the seed and the repeat.

    Raises
    ------
    InputError
        If a group has no column, or one that is not there.

    References
    ----------
    Breiman (2001), "Random Forests"; grouped as in Gregorutti, Michel & Saint-Pierre (2015).
    """
    if repeats < 1:
        raise InputError(f"repeats: found {repeats}, expected 1 or more")
    for name, columns in groups.items():
        if not len(columns) or not all(0 <= column < values.shape[1] for column in columns):
            raise InputError(f"group {name!r}: found columns {list(columns)}, expected some of 0…{values.shape[1] - 1}")
    whole = score(model, values, codes)
    losses = np.empty((repeats, len(groups)))
    for repeat in range(repeats):
        order = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, repeat]))).permutation(len(values))
        for place, columns in enumerate(groups.values()):
            shuffled = values.copy()
            shuffled[:, list(columns)] = values[order][:, list(columns)]
            losses[repeat, place] = whole - score(model, shuffled, codes)
    names, mean = list(groups), losses.mean(axis=0)
    ranked = np.argsort(-mean, kind="stable")
    lower, upper = np.quantile(losses, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Importance(
        tuple(names[place] for place in ranked), mean[ranked], lower[ranked], upper[ranked], whole, level, repeats
    )
