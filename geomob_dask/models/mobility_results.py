"""Results of a mobility study: tables of scores, predictions, importance and settings, and the fitted models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.models.catalog import model_named
from geomob_dask.models.clusters import elbow_table
from geomob_dask.models.design import Design
from geomob_dask.models.folds import Fold
from geomob_dask.models.hold_out import Baselines, HeldOut
from geomob_dask.models.labels import moved
from geomob_dask.models.leakage import leakage_table
from geomob_dask.models.model_files import FittedModel, checksum_of
from geomob_dask.models.permutation_importance import importance_rows
from geomob_dask.models.predictions import calibration_rows, confusion_rows, mean_shares, predictions_table
from geomob_dask.models.scores import score_table
from geomob_dask.models.study_tables import (
    correlation_table,
    density_table,
    distribution_tables,
    ranking_table,
    units_table,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Findings:
    """Fits and descriptions of a study, from which its tables are made.

    Parameters
    ----------
    held_out : sequence of HeldOut
        By model and fold.
    fitted : mapping of str to estimator
        Models fitted on all units.
    ranking : sequence of mapping
        By feature; see `study_tables.feature_row`.
    baselines : sequence of Baselines
        By fold.
    clusters : DataFrame
        See `clusters.cluster_table`.
    leaks : sequence of mapping
        By random split; see `leakage.split_leaks`. Empty if not computed.
    """

    held_out: Sequence[HeldOut]
    fitted: Mapping[str, Any]
    ranking: Sequence[Mapping[str, float]]
    baselines: Sequence[Baselines]
    clusters: pd.DataFrame
    leaks: Sequence[Mapping[str, float]]


def result_tables(design: Design, found: Findings) -> dict[str, pd.DataFrame]:
    """Return the tables of a study by name.

    Returns
    -------
    mapping of str to DataFrame
        ``units``, ``histogram``, ``cumulative``, ``density``, ``correlations``, ``ranking``, ``clusters``, ``elbow``,
        ``cuts``, ``importance``, ``settings``, ``scores``, ``predictions``, ``calibration``, ``confusion``;
        ``impurity`` if a model has it, and ``leakage`` where leaks were measured.
    """
    study = design.study
    histogram, cumulative = distribution_tables(study.outcome)
    tables = {
        "units": units_table(study, design.labels),
        "histogram": histogram,
        "cumulative": cumulative,
        "density": density_table(study.outcome),
        "correlations": correlation_table(study),
        "ranking": ranking_table(study.feature_names, found.ranking),
        "clusters": found.clusters,
        "elbow": elbow_table(found.clusters),
        "cuts": _cuts(design),
        "importance": _importance(design, found.held_out),
        "settings": _settings(found.held_out),
        "scores": _scores(design, found),
    }
    if any(one.impurity for one in found.held_out):
        tables["impurity"] = _impurity(design, found.held_out)
    if found.leaks:
        tables["leakage"] = leakage_table(found.leaks)
    return tables | _predictions(design, found.held_out)


def _predictions(design: Design, held_out: Sequence[HeldOut]) -> dict[str, pd.DataFrame]:
    """Return predictions, calibration and confusion of each model under each kind of folds."""
    labels, repeats = design.labels, design.options.repeats
    rows: dict[str, list[pd.DataFrame]] = {"predictions": [], "calibration": [], "confusion": []}
    for name in design.options.names:
        for kind in design.folds:
            parts = [(one.fold.test, one.shares) for one in held_out if (one.model, one.folds) == (name, kind)]
            shares = mean_shares(parts, len(design.study.keys))
            tables = {
                "predictions": predictions_table(design.study, shares),
                "calibration": calibration_rows(parts, labels.codes, labels.names, repeats),
                "confusion": confusion_rows(parts, labels.codes, labels.names, repeats),
            }
            for table, found in tables.items():
                rows[table].append(_named(found, name, kind))
    return {table: pd.concat(tables) for table, tables in rows.items()}


def _named(table: pd.DataFrame, model: str, folds: str) -> pd.DataFrame:
    table = table.copy()
    table.insert(0, "model", pd.array([model] * len(table), dtype="str"))
    table.insert(1, "folds", pd.array([folds] * len(table), dtype="str"))
    return table


def _importance(design: Design, held_out: Sequence[HeldOut]) -> pd.DataFrame:
    titles = {feature.name: feature.title for feature in design.study.features}
    first = next(iter(design.folds))
    share = _test_share(design, first)
    tables = []
    for name in design.options.names:
        losses = [one.losses for one in held_out if one.model == name and one.losses]
        for kind in design.study.groups:
            table = importance_rows([loss[kind] for loss in losses], share).reset_index()
            table.insert(0, "kind", pd.array([kind] * len(table), dtype="str"))
            table["title"] = pd.array([titles.get(one, one) for one in table["name"]], dtype="str")
            tables.append(_named(table, name, first))
    return pd.concat(tables, ignore_index=True)


def _cuts(design: Design) -> pd.DataFrame:
    """Return, by fold, the edges of classes that its training units alone give, and the held-out units they move."""
    rows: list[dict[str, Any]] = []
    for kind, folds in design.folds.items():
        for fold in folds:
            edges, count = moved(design.study.outcome, design.labels, fold.train, fold.test)
            named = {f"edge_{number}": float(edge) for number, edge in enumerate(edges, 1)}
            place = {"folds": kind, "repeat": fold.repeat, "fold": fold.number}
            rows.append({**place, "test_units": len(fold.test), "moved_units": count, **named})
    return pd.DataFrame(rows)


def _impurity(design: Design, held_out: Sequence[HeldOut]) -> pd.DataFrame:
    titles = {feature.name: feature.title for feature in design.study.features}
    first = next(iter(design.folds))
    tables = []
    for name in design.options.names:
        shares = [one.impurity for one in held_out if one.model == name and one.impurity]
        if shares:
            table = importance_rows(shares, _test_share(design, first)).reset_index()
            table["title"] = pd.array([titles.get(one, _words(one)) for one in table["name"]], dtype="str")
            tables.append(_named(table, name, first))
    return pd.concat(tables, ignore_index=True)


def _words(name: str) -> str:
    """Return the title of a feature that the pipeline adds, such as ``cluster_0``."""
    return name.replace("_", " ").capitalize()


def _test_share(design: Design, kind: str) -> float:
    return float(np.mean([len(fold.test) / len(fold.train) for fold in design.folds[kind]]))


def _scores(design: Design, found: Findings) -> pd.DataFrame:
    """Return all scores of models and naive rules, on units held out and (of models) on those fitted on."""
    tables = []
    for kind in design.folds:
        for name in design.options.names:
            some = [one for one in found.held_out if (one.model, one.folds) == (name, kind)]
            for sample in ("test", "train"):
                parts = [(one.fold, one.shares if sample == "test" else one.train) for one in some]
                tables.append(_score_rows(design, parts, name, kind, sample))
        for name in found.baselines[0].shares:
            parts = [(one.fold, one.shares[name]) for one in found.baselines if one.folds == kind]
            tables.append(_score_rows(design, parts, name, kind, "test"))
    return pd.concat(tables, ignore_index=True)


def _score_rows(
    design: Design, parts: Sequence[tuple[Fold, Floats]], name: str, kind: str, sample: str
) -> pd.DataFrame:
    scores = score_table(design.labels.codes, parts, sample=sample)
    table = scores[["value", "lower", "upper", "folds"]].reset_index().rename(columns={"folds": "scored_folds"})
    table["all_folds"] = len(parts)
    table.insert(0, "sample", pd.array([sample] * len(table), dtype="str"))
    return _named(table, name, kind)


def _settings(held_out: Sequence[HeldOut]) -> pd.DataFrame:
    rows = [
        {
            "model": one.model,
            "folds": one.folds,
            "repeat": one.fold.repeat,
            "fold": one.fold.number,
            "train_units": len(one.fold.train),
            "test_units": len(one.fold.test),
            "settings": settings_text(one.settings),
        }
        for one in held_out
    ]
    return pd.DataFrame(rows)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return settings as text.

    Examples
    --------
    >>> settings_text({"C": 0.1, "max_iter": 50})
    'C = 0.1, max_iter = 50'
    """
    return ", ".join(
        f"{name} = {value:.6g}" if isinstance(value, float) else f"{name} = {value}" for name, value in settings.items()
    )


def fitted_models(design: Design, estimators: Mapping[str, Any], run: str = "") -> dict[str, FittedModel]:
    """Return the models fitted on all units, with all that is needed to use them.

    Parameters
    ----------
    estimators : mapping of str to estimator
        By name in the catalog.
    run : str
        Identity of the run that fitted them.
    """
    study, labels = design.study, design.labels
    checksum = checksum_of(study.keys, study.feature_names, study.values, study.outcome)
    return {
        name: FittedModel(
            name=name,
            title=model_named(name).title,
            estimator=estimator,
            features=study.features,
            classes=labels.names,
            edges=tuple(labels.edges.tolist()),
            study=study.name,
            outcome=study.outcome_name,
            study_checksum=checksum,
            run=run,
        )
        for name, estimator in estimators.items()
    }
