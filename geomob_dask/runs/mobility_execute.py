"""A run of mobility models: search, hold out, fit, explain, commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import distributed
import numpy as np
import pandas as pd
from dask.delayed import Delayed
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from geomob_dask.errors import InputError
from geomob_dask.lift import mobility as lift
from geomob_dask.lift.models import Sample, Search, Searched, StoredFits, stream
from geomob_dask.lift.tasks import Run
from geomob_dask.models.catalog import MODELS
from geomob_dask.models.folds import Fold, check_fold
from geomob_dask.models.labels import Labels, make_labels
from geomob_dask.models.model_card import model_card
from geomob_dask.models.model_files import FittedModel, checksum_of, to_bytes
from geomob_dask.models.scores import BASELINES, score_table
from geomob_dask.models.study import Study
from geomob_dask.products.mobility_study import Universe
from geomob_dask.runs.execute import compute
from geomob_dask.runs.mobility import CARD, MODEL, MobilityPlan, Request, as_pairs, folds_title
from geomob_dask.runs.mobility_apply import DatasetYear, check_target
from geomob_dask.store import Part, Snapshot, Store
from geomob_dask.store.provenance import sha256

# Of very many units, each random half and shuffle takes seconds, and tells as much in fewer of them.
_MANY_UNITS = 5_000


@dataclass(frozen=True)
class Effort:
    """How much is tried and drawn.

    Parameters
    ----------
    inner_folds : int
        On which settings are compared, inside a fold.
    halves : int
        Random halves for intervals of mutual information.
    shuffles : int
        Of each group of features in each fold.
    splits : int
        On which the source's leaks are measured.
    """

    inner_folds: int
    halves: int
    shuffles: int
    splits: int

    @classmethod
    def of(cls, request: Request, n_units: int) -> Effort:
        """Return what a request asks for."""
        if request.grid == "small":
            return cls(inner_folds=3, halves=4, shuffles=3, splits=5)
        many = n_units > _MANY_UNITS
        return cls(inner_folds=5, halves=4 if many else 50, shuffles=3 if many else 10, splits=30)


# A few settings of each model, for a quick look and for very many units.
_SMALL_GRIDS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "logistic": {"C": [0.1, 1.0]},
    "elastic_net": {"C": [0.001, 0.01, 0.1, 1.0, 10.0], "l1_ratio": [0.0, 0.5, 0.95]},
    "forest": {"min_samples_leaf": [0.005], "max_features": ["sqrt"]},
    "boosting": {"learning_rate": [0.1], "max_iter": [50], "max_leaf_nodes": [4, 12]},
    "ordinal": {"C": [0.1, 1.0]},
}

Studied = tuple[Study, Labels]


@dataclass(frozen=True)
class Settings:
    """What searches chose.

    Parameters
    ----------
    inside : mapping of (model, folds, repeat, fold) to settings
        Chosen from a fold's training rows alone.
    final : mapping of model to settings
        Chosen from all units.
    """

    inside: Mapping[tuple[str, str, int, int], Mapping[str, Any]]
    final: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Ready:
    """A study that has all that a run needs of it.

    Parameters
    ----------
    study : Study
    labels : Labels
    folds : mapping of str to sequence of Fold
        By kind.
    inner : mapping of (folds, repeat, fold) to tuple of Fold
        Inside each of them.
    final : tuple of Fold
        Of all units, to choose the settings of the model file on.
    """

    study: Study
    labels: Labels
    folds: Mapping[str, Sequence[Fold]]
    inner: Mapping[tuple[str, int, int], tuple[Fold, ...]]
    final: tuple[Fold, ...]


def ready(store: Store, request: Request, plan: MobilityPlan, target: DatasetYear | None = None) -> Ready:
    """Return the study of a request with its classes and all folds; whatever cannot be fitted is refused here.

    Parameters
    ----------
    target : (dataset, year), optional
        What the models will be applied to.

    Raises
    ------
    InputError
        If the study, its classes, its folds or those inside them cannot be made, a feature tells too few units, or
        the dataset that models will be applied to is not there or lacks a feature.
    """
    study = request.universe.read(store, plan.snapshots)
    labels = make_labels(study.outcome, request.classes)
    around = (labels.codes, study.states, study.pairs)
    folds = {text: how.folds(*around) for text, how in request.plans.items()}
    if target is not None:
        check_target(store, target, study.feature_names)
    most = Effort.of(request, len(study.keys)).inner_folds
    inner: dict[tuple[str, int, int], tuple[Fold, ...]] = {}
    for kind, how in request.plans.items():
        for fold in folds[kind]:
            check_fold(fold, study.values, labels.codes, study.feature_names)
            # A fold of whole states may leave fewer states than folds inside it.
            count = max(min(most, len(set(study.states[fold.train]))), 2) if how.kind == "states" else most
            inner[kind, fold.repeat, fold.number] = tuple(how.inside(fold, *around, count))
            for one in inner[kind, fold.repeat, fold.number]:
                try:
                    check_fold(one, study.values, labels.codes, study.feature_names)
                except InputError as error:
                    raise InputError(f"{kind}, inside {fold.name}: {error}") from error
    lift.check_informative(study, labels)
    first = next(iter(request.plans.values()))
    return Ready(study, labels, folds, inner, tuple(replace(first, n_repeats=1).folds(*around)))


def execute(
    store: Store,
    request: Request,
    plan: MobilityPlan,
    client: distributed.Client | None,
    console: Console,
    target: DatasetYear | None = None,
) -> None:
    """Search, validate, fit and explain, and commit it all at once.

    Parameters
    ----------
    target : (dataset, year), optional
        What the models will be applied to: checked before anything is fitted.

    Raises
    ------
    InputError
        As `ready`.
    """
    made = ready(store, request, plan, target)
    study, labels, folds = made.study, made.labels, made.folds
    settings = _searched(store, request, plan, made, client, console)
    with store.all_or_nothing(plan.collection):
        found = _explained(store, request, plan, study, folds, settings, client, console)
        about = _about(store, request, plan, study, labels, settings)
        tables = _tables(request, study, labels, folds, found)
        parts = {name: _put(store, plan.collection, name, table) for name, table in tables.items()}
        for name in request.names:
            parts |= _model_parts(store, request, plan, study, labels, name, found, about, tables)
        provenance = replace(plan.provenance, report=as_pairs(about))
        store.commit(plan.collection, parts, provenance, {"study": study.name})
    # Kept for a run that is broken off; this one has ended.
    kept = _fits(store, plan)
    for one in store.objects.listing(kept.prefix):
        store.objects.delete(one.key)


# Settings ------------------------------------------------------------------------------------


def _fits(store: Store, plan: MobilityPlan) -> StoredFits:
    """Return where finished fits of this run are kept until it ends: the same run takes them up again."""
    return StoredFits(store.objects, f"fits/mobility/{plan.provenance.identity}")


def _searched(
    store: Store,
    request: Request,
    plan: MobilityPlan,
    made: Ready,
    client: distributed.Client | None,
    console: Console,
) -> Settings:
    """Choose settings inside every fold, and on all units; say each as it is found."""
    study, labels = made.study, made.labels
    sample = Sample(study.values, labels.codes, len(labels.names), study.feature_names)
    searches: dict[str, Search] = {}
    places: dict[str, tuple[str, str, int, int]] = {}
    for name in request.names:
        grid = _SMALL_GRIDS[name] if request.grid == "small" else None
        for kind, some in made.folds.items():
            for fold in some:
                key = f"{name}, {kind}, {fold.name}"
                places[key] = (name, kind, fold.repeat, fold.number)
                searches[key] = Search(name, made.inner[kind, fold.repeat, fold.number], grid)
        searches[f"{name}, all units"] = Search(name, made.final, grid)
    found: dict[str, Searched] = {}
    with _bar(console) as bar:
        task = bar.add_task("search", total=len(searches))

        def progress(name: str, finished: int, everything: int) -> None:
            bar.update(task, description=f"{name}: {finished} of {everything} paths")

        for key, one in stream(
            sample, searches, client=client, seed=request.seed, fits=_fits(store, plan), progress=progress
        ):
            found[key] = one
            bar.update(task, advance=1, description=key)
            bar.console.print(f"  {key}: {_chosen(one)}", markup=False)
    inside = {place: found[key].best() for key, place in places.items()}
    return Settings(inside, {name: found[f"{name}, all units"].best() for name in request.names})


def _chosen(found: Searched) -> str:
    best = found.best()
    row = found.tried.index(best)
    loss, accuracy = found.losses[row].mean(), found.accuracies[row].mean()
    return f"{_in_words(best)}; inside: log loss {loss:.4f}, accuracy {accuracy:.4f}"


def _in_words(settings: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} = {value:.6g}" if isinstance(value, float) else f"{name} = {value}" for name, value in settings.items()
    )


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


# Fits and what they show ---------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What the tasks of a run gave.

    Parameters
    ----------
    held_out : sequence of HeldOut
    fitted : mapping of str to estimator
    ranking : sequence of mapping
        A feature each.
    naive : sequence of Naive
        What costs nothing says of held-out units, a fold each.
    clusters : DataFrame
    leaks : sequence of mapping
        A split each; none of tracts.
    """

    held_out: Sequence[lift.HeldOut]
    fitted: Mapping[str, Any]
    ranking: Sequence[Mapping[str, float]]
    naive: Sequence[lift.Naive]
    clusters: pd.DataFrame
    leaks: Sequence[Mapping[str, float]]


def _studied(store: Store, request: Request, snapshots: Mapping[str, Snapshot]) -> Studied:
    study = request.universe.read(store, snapshots)
    return study, make_labels(study.outcome, request.classes)


def _explained(
    store: Store,
    request: Request,
    plan: MobilityPlan,
    study: Study,
    folds: Mapping[str, Sequence[Fold]],
    settings: Settings,
    client: distributed.Client | None,
    console: Console,
) -> Found:
    """Fit each model in every fold and on all units, and look at features, clusters and leaks, all at once."""
    effort = Effort.of(request, len(study.keys))
    run, seed = Run("mobility"), request.seed
    # Read by a worker: it would weigh down the graph.
    studied = run.task("study", "all", _studied, store, request, dict(plan.snapshots))
    first = next(iter(folds))
    tasks: dict[str, Delayed] = {}
    for name in request.names:
        for kind, some in folds.items():
            for fold in some:
                shuffles = effort.shuffles if kind == first and fold.repeat == 0 else 0
                key = f"{name}, {kind}, {fold.name}"
                chosen = dict(settings.inside[name, kind, fold.repeat, fold.number])
                tasks[f"held {key}"] = run.task(
                    "hold-out", key, lift.hold_out, studied, name, kind, fold, chosen, seed, shuffles
                )
    for kind, some in folds.items():
        for fold in some:
            key = f"{kind}, {fold.name}"
            tasks[f"naive {key}"] = run.task("baselines", key, lift.naive, studied, kind, fold)
    for name in request.names:
        tasks[f"fit {name}"] = run.task("fit", name, lift.fit_all, studied, name, dict(settings.final[name]), seed)
    for number, feature in enumerate(study.feature_names):
        tasks[f"rank {number}"] = run.task("rank", feature, lift.feature_row, studied, number, seed, effort.halves)
    tasks["clusters"] = run.task("clusters", "all", lift.cluster_table, studied, seed)
    if study.name == "zones":
        # The source's leaks are of its zones; its model here is the first that is asked for.
        name = request.names[0]
        for split in range(effort.splits):
            chosen = dict(settings.final[name])
            tasks[f"leak {split}"] = run.task("leak", str(split), lift.split_leaks, studied, name, chosen, seed, split)
    results = compute(tasks, client, console, token=run.token)

    def of(what: str) -> list[Any]:
        return [value for name, value in results.items() if name.startswith(f"{what} ")]

    fitted = {name: results[f"fit {name}"] for name in request.names}
    return Found(of("held"), fitted, of("rank"), of("naive"), results["clusters"], of("leak"))


# Tables --------------------------------------------------------------------------------------


def _tables(
    request: Request, study: Study, labels: Labels, folds: Mapping[str, Sequence[Fold]], found: Found
) -> dict[str, pd.DataFrame]:
    """Return the tables of the result, by the name of their part."""
    histogram, cumulative = lift.distribution_tables(study.outcome)
    tables = {
        "units": lift.units_table(study, labels),
        "histogram": histogram,
        "cumulative": cumulative,
        "correlations": lift.correlation_table(study),
        "ranking": lift.ranking_table(study.feature_names, found.ranking),
        "clusters": found.clusters,
        "importance": _importance(request, study, folds, found.held_out),
        "settings": _settings_table(found.held_out),
        "scores": _scores(request, labels, folds, found),
    }
    if found.leaks:
        tables["leakage"] = lift.leakage_table(found.leaks)
    return tables | _of_pairs(request, study, labels, folds, found.held_out)


def _of_pairs(
    request: Request,
    study: Study,
    labels: Labels,
    folds: Mapping[str, Sequence[Fold]],
    held_out: Sequence[lift.HeldOut],
) -> dict[str, pd.DataFrame]:
    """Return predictions, calibration and confusion of each model under each kind of folds."""
    rows: dict[str, list[pd.DataFrame]] = {"predictions": [], "calibration": [], "confusion": []}
    for name in request.names:
        for kind in folds:
            parts = [(one.fold.test, one.shares) for one in held_out if (one.model, one.folds) == (name, kind)]
            shares = lift.mean_shares(parts, len(study.keys))
            found = {
                "predictions": lift.predictions_table(study, shares),
                "calibration": lift.calibration_rows(parts, labels.codes, labels.names, request.repeats),
                "confusion": lift.confusion_rows(parts, labels.codes, labels.names, request.repeats),
            }
            for what, table in found.items():
                rows[what].append(_named(table, name, kind))
    return {what: pd.concat(tables) for what, tables in rows.items()}


def _named(table: pd.DataFrame, model: str, folds: str) -> pd.DataFrame:
    table = table.copy()
    table.insert(0, "model", pd.array([model] * len(table), dtype="str"))
    table.insert(1, "folds", pd.array([folds] * len(table), dtype="str"))
    return table


def _importance(
    request: Request, study: Study, folds: Mapping[str, Sequence[Fold]], held_out: Sequence[lift.HeldOut]
) -> pd.DataFrame:
    titles = {feature.name: feature.title for feature in study.features}
    tables = []
    for name in request.names:
        losses = [one.losses for one in held_out if one.model == name and one.losses]
        some = folds[next(iter(folds))]
        share = float(np.mean([len(fold.test) / len(fold.train) for fold in some]))
        for kind in ("domain", "feature"):
            table = lift.importance_rows([loss[kind] for loss in losses], share).reset_index()
            table.insert(0, "kind", pd.array([kind] * len(table), dtype="str"))
            table["title"] = pd.array([titles.get(one, one) for one in table["name"]], dtype="str")
            tables.append(_named(table, name, next(iter(folds))))
    return pd.concat(tables, ignore_index=True)


def _scores(request: Request, labels: Labels, folds: Mapping[str, Sequence[Fold]], found: Found) -> pd.DataFrame:
    """Return all scores of models and naive rules, on units held out and (of models) on those fitted on."""
    tables = []
    for kind in folds:
        for name in request.names:
            some = [one for one in found.held_out if (one.model, one.folds) == (name, kind)]
            for sample in ("test", "train"):
                parts = [(one.fold, one.shares if sample == "test" else one.train) for one in some]
                tables.append(_score_rows(labels, parts, name, kind, sample))
        for name in BASELINES:
            parts = [(one.fold, one.shares[name]) for one in found.naive if one.folds == kind]
            tables.append(_score_rows(labels, parts, name, kind, "test"))
    return pd.concat(tables, ignore_index=True)


def _score_rows(
    labels: Labels, parts: Sequence[tuple[Fold, NDArray[np.float64]]], name: str, kind: str, sample: str
) -> pd.DataFrame:
    table = score_table(labels.codes, parts, sample=sample)[["value", "lower", "upper", "folds"]].reset_index()
    table = table.rename(columns={"folds": "scored_folds"})
    table["all_folds"] = len(parts)
    table.insert(0, "sample", pd.array([sample] * len(table), dtype="str"))
    return _named(table, name, kind)


def _settings_table(held_out: Sequence[lift.HeldOut]) -> pd.DataFrame:
    rows = [
        {
            "model": one.model,
            "folds": one.folds,
            "repeat": one.fold.repeat,
            "fold": one.fold.number,
            "train_units": len(one.fold.train),
            "test_units": len(one.fold.test),
            "settings": _in_words(one.settings),
        }
        for one in held_out
    ]
    return pd.DataFrame(rows)


# What the run says of itself -----------------------------------------------------------------


def _about(
    store: Store, request: Request, plan: MobilityPlan, study: Study, labels: Labels, settings: Settings
) -> dict[str, Any]:
    missing = np.isnan(study.values).mean(axis=0)
    return {
        "study": study.name,
        "outcome": study.outcome_title,
        "outcome_name": study.outcome_name,
        "as_published": request.universe == Universe("zones"),
        "units": len(study.keys),
        "classes": list(labels.names),
        "class_counts": dict(zip(labels.names, labels.counts.tolist(), strict=True)),
        "edges": labels.edges.tolist(),
        "ties": labels.ties,
        "features": [
            {**vars(feature), "missing": float(share)} for feature, share in zip(study.features, missing, strict=True)
        ],
        "models": {name: MODELS[name].title for name in request.names},
        "baselines": dict(BASELINES),
        "folds": {text: folds_title(how) for text, how in request.plans.items()},
        "settings": {name: dict(chosen) for name, chosen in settings.final.items()},
        "data": request.universe.lines(store, plan.snapshots, study),
        "seed": request.seed,
        "run": plan.provenance.identity,
        "inputs": dict(plan.provenance.inputs),
        "versions": dict(plan.provenance.versions),
    }


# Model files and cards -----------------------------------------------------------------------


def _model_parts(
    store: Store,
    request: Request,
    plan: MobilityPlan,
    study: Study,
    labels: Labels,
    name: str,
    found: Found,
    about: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
) -> dict[str, Part]:
    fitted = FittedModel(
        name=name,
        title=MODELS[name].title,
        estimator=found.fitted[name],
        features=study.features,
        classes=labels.names,
        edges=tuple(labels.edges.tolist()),
        study=study.name,
        outcome=study.outcome_name,
        study_checksum=checksum_of(study.keys, study.feature_names, study.values, study.outcome),
        run=plan.provenance.identity,
    )
    card = model_card(name, about, tables).encode()
    return {
        f"{MODEL}{name}": _put_bytes(store, plan.collection, f"{MODEL}{name}", "model", to_bytes(fitted), study),
        f"{CARD}{name}": _put_bytes(store, plan.collection, f"{CARD}{name}", "md", card, study),
    }


def _put(store: Store, collection: str, name: str, table: pd.DataFrame) -> Part:
    return store.put(collection, name, table)


def _put_bytes(store: Store, collection: str, name: str, suffix: str, data: bytes, study: Study) -> Part:
    """Write an object that is no table beside those that are."""
    checksum = sha256(data)
    key = f"{collection}/{name}-{checksum[:16]}.{suffix}"
    store.objects.put(key, data)
    return Part(key, checksum, len(data), len(study.keys), str(study.keys[0]), str(study.keys[-1]))
