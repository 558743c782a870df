"""Permutation importance: how much of its score a fitted model loses when features are shuffled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.models.scores import interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scorer = Callable[[Any, Floats, Ints], float]


@dataclass(frozen=True)
class Importance:
    """Loss of a model's score when groups of features are shuffled.

    Parameters
    ----------
    names : tuple of str
        Groups, such as domains, from the most important to the least.
    loss, lower, upper : shape (n_groups,)
        Mean over repeats, and percentiles of single repeats: these measure the randomness of shuffles, not that of the
        held-out units (for that, repeat over folds).
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
    """Return the loss of a fitted model's score when each group of features is shuffled.

    Features of a domain replace each other (married adults and single mothers), so that shuffling one at a time
    underestimates them. Here all columns of a group are shuffled together.

    Parameters
    ----------
    model : estimator
        Fitted on other units than these.
    values, codes : shape (n_units, n_features), (n_units,)
        Held out.
    groups : mapping of str to columns
        Such as `Study.domains`, or one per feature.
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


def importance_rows(losses: Sequence[Mapping[str, float]], test_share: float, level: float = 0.95) -> pd.DataFrame:
    """Return the mean loss of each group over folds, and its interval; the most important first.

    Parameters
    ----------
    losses : sequence of mapping of str to float
        By fold: the loss of each group; see `permutation_importance`.
    test_share : float
        Held-out units of a fold as a share of those fitted on; see `scores.interval`.

    Returns
    -------
    DataFrame
        Index ``name``; ``value``, ``lower``, ``upper``.

    Raises
    ------
    InputError
        If there are no folds.
    """
    if not losses:
        raise InputError("importance: found no folds, expected one or more")
    table = pd.DataFrame(list(losses))
    rows = [interval(table[name].to_numpy(), test_share, level) for name in table]
    index = pd.Index([str(name) for name in table], dtype="str", name="name")
    found = pd.DataFrame(rows, index=index, columns=["value", "lower", "upper"])
    return found.sort_values("value", ascending=False, kind="stable")
