"""Searches for the settings of a model: settings, folds and scores, and those of a path of elastic nets."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from geomob_dask.errors import InputError
from geomob_dask.models.catalog import Model, model_named
from geomob_dask.models.elastic_net import logistic_path
from geomob_dask.models.folds import Fold, check_fold
from geomob_dask.models.scores import accuracy, log_loss
from geomob_dask.models.threads import one_thread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHOSEN_BY = ("log_loss", "accuracy")
"""Scores that settings can be chosen by; both are computed for every setting and fold."""
DIGITS = 9
"""Decimals of scores that are compared: fits differ by less from one machine to another."""


@dataclass(frozen=True)
class Sample:
    """Units to fit models on.

    Parameters
    ----------
    values : shape (n_units, n_features)
        NaN where missing: filled inside each fold.
    codes : shape (n_units,), int
        Class of each unit, 0…n_classes − 1.
    n_classes : int
    names : sequence of str
        Features.
    """

    values: Floats
    codes: Ints
    n_classes: int
    names: tuple[str, ...]

    @functools.cached_property
    def checksum(self) -> str:
        """Return a SHA-256 of values, classes and features."""
        digest = _digest([list(self.names), self.n_classes])
        digest.update(np.where(np.isnan(self.values), np.nan, self.values).astype("<f8").tobytes())
        digest.update(self.codes.astype("<i8").tobytes())
        checksum: str = digest.hexdigest()
        return checksum


@dataclass(frozen=True)
class Search:
    """A model and the settings to compare.

    Parameters
    ----------
    model : str
        Name in the catalog.
    folds : sequence of Fold
        Settings are compared on their tested rows: all folds of the study, or those inside one of them.
    grid : mapping, optional
        Values to try for each setting, the model's own by default.
    """

    model: str
    folds: tuple[Fold, ...]
    grid: Mapping[str, Sequence[Any]] | None = None

    @property
    def entry(self) -> Model:
        """Return the model's entry in the catalog."""
        return model_named(self.model)

    @property
    def settings(self) -> dict[str, list[Any]]:
        """Return the values to try for each setting; C of an elastic net in rising order.

        Raises
        ------
        InputError
            If the grid has a setting that the model lacks, or one without values.
        """
        grid = {name: list(values) for name, values in (self.grid or self.entry.grid).items()}
        unknown = [name for name in grid if name not in self.entry.grid]
        if unknown or not all(grid.values()):
            raise InputError(
                f"model {self.model}: found the grid {grid}, expected values for: {', '.join(self.entry.grid)}"
            )
        if self.entry.path:
            grid = {"C": sorted(map(float, grid.get("C", [1.0]))), "l1_ratio": grid.get("l1_ratio", [0.5])}
        return grid

    @property
    def tried(self) -> list[dict[str, Any]]:
        """Return every combination of settings; of two with equal scores, the first is chosen."""
        grid = self.settings
        return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


@dataclass(frozen=True)
class SearchResult:
    """Scores of all settings of a model.

    Parameters
    ----------
    model : str
    tried : sequence of mapping
        Settings, in the order of the rows of `losses` and `accuracies`.
    losses, accuracies : shape (n_settings, n_folds)
        Log loss and accuracy on each fold's tested rows.
    """

    model: str
    tried: tuple[Mapping[str, Any], ...]
    losses: Floats
    accuracies: Floats

    def best(self, by: str = "log_loss") -> dict[str, Any]:
        """Return the settings with the best mean score over folds; of equal ones, the first.

        Raises
        ------
        InputError
            If settings cannot be chosen by this score.
        """
        if by not in CHOSEN_BY:
            raise InputError(f"settings chosen by {by!r}: expected one of: {', '.join(CHOSEN_BY)}")
        means = self.losses.mean(axis=1) if by == "log_loss" else -self.accuracies.mean(axis=1)
        # Rounding must not choose between equals.
        return dict(self.tried[int(np.argmin(np.round(means, DIGITS)))])


def check_search(sample: Sample, name: str, search: Search, seed: int) -> None:
    """Refuse a search that cannot be carried out.

    Raises
    ------
    InputError
        If the model is unknown or not for so many classes, its grid is wrong, or a fold lacks a class or the values of
        a feature; it names the search and the fold.
    """
    search.entry.build(sample.n_classes, seed)
    for fold in search.folds:
        try:
            check_fold(fold, sample.values, sample.codes, sample.names)
        except InputError as error:
            raise InputError(f"search {name}: {error}") from error


def search_key(sample: Sample, search: Search, seed: int) -> str:
    """Return a name for the result of a search, different for different data, folds, settings, seed or versions."""
    packages = [version("geomob-dask"), version("scikit-learn")]
    digest = _digest([sample.checksum, search.model, search.tried, seed, packages])
    for fold in search.folds:
        digest.update(json.dumps([len(fold.train), len(fold.test)]).encode())
        digest.update(fold.train.astype("<i8").tobytes() + fold.test.astype("<i8").tobytes())
    return f"{search.model}-{digest.hexdigest()[:32]}"


def _digest(plain: Any) -> Any:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode())


@dataclass(frozen=True)
class FoldData:
    """Features of one fold, filled and scaled by its training rows, and the classes.

    Parameters
    ----------
    train, test : shape (n, n_features)
    train_codes, test_codes : shape (n,)
    """

    train: Floats
    train_codes: Ints
    test: Floats
    test_codes: Ints


def fold_data(values: Floats, codes: Ints, fold: Fold) -> FoldData:
    """Return the features of a fold, filled by the median and scaled to unit deviation of its training rows."""
    with one_thread():
        fill = SimpleImputer(strategy="median").fit(values[fold.train])
        scale = StandardScaler().fit(fill.transform(values[fold.train]))
        train, test = (scale.transform(fill.transform(values[rows])) for rows in (fold.train, fold.test))
    return FoldData(train, codes[fold.train], test, codes[fold.test])


def path_scores(data: FoldData, n_classes: int, penalties: Sequence[float], l1_ratio: float) -> Floats:
    """Return log loss and accuracy on the tested rows of a fold along a path of elastic nets.

    Parameters
    ----------
    penalties, l1_ratio
        See `elastic_net.logistic_path`.

    Returns
    -------
    shape (2, n_penalties)
    """
    with one_thread():
        path = logistic_path(data.train, data.train_codes, n_classes, penalties, l1_ratio)
        shares = path.probabilities(data.test)
    return np.array([[score(data.test_codes, one) for one in shares] for score in (log_loss, accuracy)])
