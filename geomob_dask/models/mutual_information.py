"""Mutual information of features with classes, from nearest neighbors."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import NDArray
from sklearn.feature_selection import mutual_info_classif

from geomob_dask.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
    """Estimate the mutual information of each feature with the class from nearest neighbors.

    Parameters
    ----------
    values : shape (n_units, n_features)
        NaN where missing: each feature is estimated from the units that have it, nothing is filled.
    codes : shape (n_units,)
        Classes.
    names : sequence of str, optional
        Of the features, for messages and seeds: the estimate of a named feature is the same alone and beside others,
        so that features can be computed by different workers.
    repeats : int
        Random halves of the units, drawn without replacement within each class: a unit drawn twice would be its own
        neighbor. The deviation over halves estimates the standard error of the whole. 0: no interval (NaN).
    runs : int
        The estimate of a feature with ties is the mean of this many runs: scikit-learn breaks ties by noise, and where
        all units of a state share a value, one run differs from the next by a fifth.
    seed : int
        With the feature's name (its number, without names) and the run's or half's, it keys every draw.
    level : float
        Of the interval, which is cut at 0.
    nearest : int
        Neighbors.

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
