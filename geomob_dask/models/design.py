"""The design of a mobility study: classes, models, folds and the folds inside them, and how much is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from geomob_dask.errors import InputError
from geomob_dask.models.catalog import MODELS, base_name, model_named
from geomob_dask.models.fold_plans import FoldPlan, read_folds
from geomob_dask.models.folds import Fold, check_fold
from geomob_dask.models.labels import Labels, make_labels
from geomob_dask.models.search import Search
from geomob_dask.models.study import Study
from geomob_dask.models.study_tables import check_informative

CLASSES = (2, 4)
GRIDS = ("full", "small")
# For very many units, each random half and shuffle takes seconds, and fewer of them are as precise.
_MANY_UNITS = 5_000

# A few settings of each model, for a quick look and for very many units.
_SMALL_GRIDS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "unpenalized": {},
    "logistic": {"C": [0.1, 1.0]},
    "elastic_net": {"C": [0.001, 0.01, 0.1, 1.0, 10.0], "l1_ratio": [0.0, 0.5, 0.95]},
    "forest": {"min_samples_leaf": [0.005], "max_features": ["sqrt"]},
    "boosting": {"learning_rate": [0.1], "max_iter": [50], "max_leaf_nodes": [4, 12]},
    "ordinal": {"C": [0.1, 1.0]},
}

Place = tuple[str, int, int]
"""A fold: its kind, repeat and number."""


@dataclass(frozen=True)
class Effort:
    """The extent of searches and draws.

    Parameters
    ----------
    inner_folds : int
        Folds inside each fold, on which settings are compared.
    halves : int
        Random halves for intervals of mutual information.
    shuffles : int
        Shuffles of each group of features in each fold.
    splits : int
        Random splits on which the leaks of the published study are measured.
    """

    inner_folds: int
    halves: int
    shuffles: int
    splits: int

    @classmethod
    def of(cls, grid: str, n_units: int) -> Effort:
        """Return the effort of a grid of settings and a number of units."""
        if grid == "small":
            return cls(inner_folds=3, halves=4, shuffles=3, splits=5)
        many = n_units > _MANY_UNITS
        return cls(inner_folds=5, halves=4 if many else 50, shuffles=3 if many else 10, splits=30)


@dataclass(frozen=True)
class ModelOptions:
    """Which models are validated, and how.

    Parameters
    ----------
    models : tuple of str
        Names in the catalog, some with ``_clusters`` or ``_clusters6`` after them, or ``("all",)``.
    classes : {2, 4}
        Below and above the mean, or quartiles.
    folds : tuple of str
        Kinds of folds; see `fold_plans.read_folds`.
    repeats : int
        How often units are dealt to folds, each time differently.
    seed : int
        Of folds, models and draws.
    grid : {"full", "small"}
        Settings that are compared: all of the catalog, or a few.
    """

    models: tuple[str, ...]
    classes: int = 2
    folds: tuple[str, ...] = ("stratified:5",)
    repeats: int = 5
    seed: int = 0
    grid: str = "full"

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the models, each once.

        Raises
        ------
        InputError
            If a model is not in the catalog, or none is named.
        """
        if self.models == ("all",):
            return tuple(MODELS)
        if not self.models:
            raise InputError(f"models: none named; expected all, or some of: {', '.join(MODELS)}")
        return tuple(dict.fromkeys(model_named(name).name for name in self.models))

    @property
    def plans(self) -> dict[str, FoldPlan]:
        """Return the plans of folds, by kind.

        Raises
        ------
        InputError
            If there is no such kind, or none is named.
        """
        if not self.folds:
            raise InputError("folds: none named; expected some, such as stratified:5,states:5,contiguity:5:1")
        return {text: read_folds(text, self.repeats, self.seed) for text in self.folds}

    def check(self) -> None:
        """Raise InputError if an option has a value that is not possible."""
        if self.grid not in GRIDS:
            raise InputError(f"grid {self.grid!r}: expected one of: {', '.join(GRIDS)}")
        plans = self.plans
        for name in self.names:
            model_named(name).build(self.classes if self.classes in CLASSES else 2, self.seed)
        if len(plans) != len(self.folds):
            raise InputError(f"folds {','.join(self.folds)}: one is named twice; expected each once")
        if self.classes not in CLASSES:
            raise InputError(f"classes {self.classes}: expected one of {', '.join(map(str, CLASSES))}")
        if self.repeats < 1 or self.seed < 0:
            raise InputError(
                f"repeats {self.repeats}, seed {self.seed}: expected at least 1 repeat and a seed of 0 or more"
            )


@dataclass(frozen=True)
class Design:
    """A study with its classes and all folds.

    Parameters
    ----------
    study : Study
    labels : Labels
    options : ModelOptions
    folds : mapping of str to sequence of Fold
        By kind.
    inner : mapping of (kind, repeat, number) to tuple of Fold
        Folds inside each fold.
    final : tuple of Fold
        Folds of all units, on which the settings of the models fitted on all units are chosen.
    """

    study: Study
    labels: Labels
    options: ModelOptions
    folds: Mapping[str, Sequence[Fold]]
    inner: Mapping[Place, tuple[Fold, ...]]
    final: tuple[Fold, ...]

    @property
    def effort(self) -> Effort:
        """Return the extent of searches and draws."""
        return Effort.of(self.options.grid, len(self.study.keys))

    def searches(self) -> dict[str, Search]:
        """Return all searches by name: of each model inside every fold, and on all units."""
        searches = {}
        for name in self.options.names:
            grid = _SMALL_GRIDS[base_name(name)] if self.options.grid == "small" else None
            for kind, folds in self.folds.items():
                for fold in folds:
                    inner = self.inner[kind, fold.repeat, fold.number]
                    searches[search_name(name, kind, fold)] = Search(name, inner, grid)
            searches[search_name(name)] = Search(name, self.final, grid)
        return searches


def search_name(model: str, kind: str | None = None, fold: Fold | None = None) -> str:
    """Return the name of the search of a model inside a fold, or on all units."""
    return f"{model}, all units" if fold is None else f"{model}, {kind}, {fold.name}"


def make_design(study: Study, options: ModelOptions) -> Design:
    """Return a study with its classes and all folds; whatever cannot be fitted is refused here.

    Raises
    ------
    InputError
        If an option is not possible, the classes or the folds or those inside them cannot be made, or too few units
        have a feature.
    """
    options.check()
    labels = make_labels(study.outcome, options.classes)
    around = (labels.codes, study.states, study.pairs)
    plans = options.plans
    folds = {kind: plan.folds(*around) for kind, plan in plans.items()}
    most = Effort.of(options.grid, len(study.keys)).inner_folds
    inner: dict[Place, tuple[Fold, ...]] = {}
    for kind, plan in plans.items():
        for fold in folds[kind]:
            check_fold(fold, study.values, labels.codes, study.feature_names)
            # A fold of whole states may leave fewer states than folds inside it.
            count = max(min(most, len(set(study.states[fold.train]))), 2) if plan.kind == "states" else most
            inner[kind, fold.repeat, fold.number] = tuple(plan.inside(fold, *around, count))
            for one in inner[kind, fold.repeat, fold.number]:
                try:
                    check_fold(one, study.values, labels.codes, study.feature_names)
                except InputError as error:
                    raise InputError(f"{kind}, inside {fold.name}: {error}") from error
    check_informative(study, labels)
    first = next(iter(plans.values()))
    return Design(study, labels, options, folds, inner, tuple(replace(first, n_repeats=1).folds(*around)))
