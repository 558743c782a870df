"""The steps of a mobility study, in this process or on a cluster: choose settings, then validate, explain and fit.

See `frames.futures` for why the steps are futures and not `map_partitions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import distributed
import pandas as pd

from geomob_dask.frames.futures import Call, completed
from geomob_dask.frames.model_search import Fits, stream
from geomob_dask.models.clusters import cluster_table
from geomob_dask.models.design import Design, Place, search_name
from geomob_dask.models.hold_out import baselines, fit_all, hold_out
from geomob_dask.models.labels import Labels
from geomob_dask.models.leakage import split_leaks
from geomob_dask.models.mobility_results import Findings
from geomob_dask.models.search import Sample, SearchResult
from geomob_dask.models.study import Study
from geomob_dask.models.study_tables import feature_row


class Watch(Protocol):
    """Methods that are called as steps proceed, such as those of a progress bar."""

    def path(self, name: str, finished: int, total: int) -> None:
        """Take note of the finished paths of one search."""

    def searched(self, name: str, result: SearchResult, finished: int, total: int) -> None:
        """Take note of a finished search."""

    def computed(self, stage: str, finished: int, total: int) -> None:
        """Take note of the finished tasks of a stage."""


class NoWatch:
    """Follows nothing."""

    def path(self, name: str, finished: int, total: int) -> None:
        """Do nothing."""

    def searched(self, name: str, result: SearchResult, finished: int, total: int) -> None:
        """Do nothing."""

    def computed(self, stage: str, finished: int, total: int) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Settings:
    """Settings chosen by searches.

    Parameters
    ----------
    inside : mapping of (model, (kind, repeat, number)) to settings
        Chosen from the training rows of a fold alone.
    final : mapping of model to settings
        Chosen from all units.
    """

    inside: Mapping[tuple[str, Place], Mapping[str, Any]]
    final: Mapping[str, Mapping[str, Any]]


def choose_settings(
    design: Design,
    *,
    client: distributed.Client | None = None,
    fits: Fits | None = None,
    watch: Watch | None = None,
) -> Settings:
    """Return the settings of each model, searched inside every fold and on all units.

    Parameters
    ----------
    client : Client, optional
        None: in this process.
    fits : Fits, optional
        Where finished fits are kept and read back; see `model_search.stream`.
    watch : Watch, optional

    Raises
    ------
    InputError, RunError
        As `model_search.stream`.
    """
    watch = watch or NoWatch()
    study, labels, options = design.study, design.labels, design.options
    sample = Sample(study.values, labels.codes, len(labels.names), study.feature_names)
    searches = design.searches()
    found: dict[str, SearchResult] = {}
    results = stream(sample, searches, client=client, seed=options.seed, fits=fits, progress=watch.path)
    for name, result in results:
        found[name] = result
        watch.searched(name, result, len(found), len(searches))
    inside = {
        (name, (kind, fold.repeat, fold.number)): found[search_name(name, kind, fold)].best()
        for name in options.names
        for kind, folds in design.folds.items()
        for fold in folds
    }
    return Settings(inside, {name: found[search_name(name)].best() for name in options.names})


def evaluate(
    design: Design,
    settings: Settings,
    *,
    leaks: bool = False,
    client: distributed.Client | None = None,
    watch: Watch | None = None,
) -> Findings:
    """Return held-out predictions, importance, rankings, clusters and the models fitted on all units.

    Parameters
    ----------
    settings : Settings
        From `choose_settings`.
    leaks : bool
        Whether the leaks of the published study are measured, with the first model.
    client : Client, optional
        None: in this process.
    watch : Watch, optional

    Raises
    ------
    GeomobError
        As raised by a task.
    RunError
        If a task failed otherwise, or its worker died repeatedly.
    """
    watch = watch or NoWatch()
    calls = _calls(design, settings, leaks=leaks)
    total = {stage: sum(call.stage == stage for call in calls) for stage in {call.stage: None for call in calls}}
    finished = dict.fromkeys(total, 0)
    results = {}
    for call, result in completed(calls, (design.study, design.labels), client):
        results[call.key] = result
        finished[call.stage] += 1
        watch.computed(call.stage, finished[call.stage], total[call.stage])

    def of(stage: str) -> list[Any]:
        return [results[call.key] for call in calls if call.stage == stage]

    return Findings(
        held_out=of("hold-out"),
        fitted=dict(zip(design.options.names, of("fit"), strict=True)),
        ranking=of("rank"),
        baselines=of("baselines"),
        clusters=of("clusters")[0],
        leaks=of("leak"),
    )


def _calls(design: Design, settings: Settings, *, leaks: bool) -> list[Call]:
    options, effort = design.options, design.effort
    seed, first = options.seed, next(iter(design.folds))
    calls = []
    for name in options.names:
        for kind, folds in design.folds.items():
            for fold in folds:
                chosen = dict(settings.inside[name, (kind, fold.repeat, fold.number)])
                shuffles = effort.shuffles if kind == first and fold.repeat == 0 else 0
                arguments = (name, kind, fold, chosen, seed, shuffles)
                calls.append(Call("hold-out", search_name(name, kind, fold), hold_out, arguments))
    for kind, folds in design.folds.items():
        calls += [Call("baselines", f"{kind}, {fold.name}", baselines, (kind, fold)) for fold in folds]
    calls += [Call("fit", name, fit_all, (name, dict(settings.final[name]), seed)) for name in options.names]
    calls += [
        Call("rank", feature, feature_row, (number, seed, effort.halves))
        for number, feature in enumerate(design.study.feature_names)
    ]
    calls.append(Call("clusters", "all units", _clusters, (seed,)))
    if leaks:
        name = options.names[0]
        chosen = dict(settings.final[name])
        calls += [
            Call("leak", f"split {split}", split_leaks, (name, chosen, seed, split)) for split in range(effort.splits)
        ]
    return calls


def _clusters(study: Study, _: Labels, seed: int) -> pd.DataFrame:
    return cluster_table(study.values, seed)
