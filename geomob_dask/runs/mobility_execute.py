"""A run of mobility models: read the study, search, hold out, fit, explain, commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import distributed
import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from geomob_dask.frames.mobility_steps import Settings, choose_settings, evaluate
from geomob_dask.models.catalog import MODELS
from geomob_dask.models.design import Design, make_design
from geomob_dask.models.fold_plans import folds_title
from geomob_dask.models.mobility_results import fitted_models, result_tables, settings_text
from geomob_dask.models.model_card import model_card
from geomob_dask.models.model_files import FittedModel, to_bytes
from geomob_dask.models.scores import BASELINES
from geomob_dask.models.search import SearchResult
from geomob_dask.models.study import Study
from geomob_dask.products.mobility_study import Universe
from geomob_dask.runs.mobility import CARD, MODEL, MobilityPlan, Request, as_pairs
from geomob_dask.runs.mobility_apply import DatasetYear, check_target
from geomob_dask.store import Part, Store
from geomob_dask.store.objects import Objects
from geomob_dask.store.provenance import sha256


@dataclass(frozen=True)
class StoredFits:
    """Finished fits as small objects of a store.

    Parameters
    ----------
    objects : Objects
    prefix : str
        Of their names.
    """

    objects: Objects
    prefix: str = "fits"

    def get(self, key: str) -> bytes | None:
        """Return what was put under a key, None if nothing was."""
        name = f"{self.prefix}/{key}.json"
        return self.objects.get(name) if self.objects.exists(name) else None

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a key, whole or not at all."""
        self.objects.put(f"{self.prefix}/{key}.json", data)

    def clear(self) -> None:
        """Delete all fits."""
        for one in self.objects.listing(self.prefix):
            self.objects.delete(one.key)


def read_design(store: Store, request: Request, plan: MobilityPlan, target: DatasetYear | None = None) -> Design:
    """Return the study of a plan with its classes and all folds; whatever cannot be fitted is refused here.

    Parameters
    ----------
    target : (dataset, year), optional
        What the models will be applied to.

    Raises
    ------
    InputError
        If the study, its classes, its folds or those inside them cannot be made, too few units have a feature, or the
        dataset that models will be applied to is not there or lacks a feature.
    """
    study = request.universe.read(store, plan.snapshots)
    if target is not None:
        check_target(store, target, study.feature_names)
    return make_design(study, request.model_options)


def execute(
    store: Store,
    request: Request,
    plan: MobilityPlan,
    client: distributed.Client | None,
    console: Console,
    target: DatasetYear | None = None,
) -> None:
    """Search, validate, fit and explain, and commit all results at once.

    Parameters
    ----------
    target : (dataset, year), optional
        What the models will be applied to: checked before anything is fitted.

    Raises
    ------
    InputError
        As `read_design`.
    """
    design = read_design(store, request, plan, target)
    # The same run reads them back after it was broken off.
    fits = StoredFits(store.objects, f"fits/mobility/{plan.provenance.identity}")
    with _Bars(console, "search") as bars:
        settings = choose_settings(design, client=client, fits=fits, watch=bars)
    with store.all_or_nothing(plan.collection):
        with _Bars(console) as bars:
            # The leaks are those of the published study of zones.
            found = evaluate(design, settings, leaks=design.study.name == "zones", client=client, watch=bars)
        about = _about(store, request, plan, design, settings)
        tables = result_tables(design, found)
        parts = {name: store.put(plan.collection, name, table) for name, table in tables.items()}
        for fitted in fitted_models(design, found.fitted, plan.provenance.identity).values():
            parts |= _model_parts(store, plan.collection, fitted, design.study, about, tables)
        provenance = replace(plan.provenance, report=as_pairs(about))
        store.commit(plan.collection, parts, provenance, {"study": design.study.name})
    fits.clear()


class _Bars:
    """Progress bars: of searches, whose settings are printed as they are chosen, or one for each stage."""

    def __init__(self, console: Console, *stages: str) -> None:
        columns = (TextColumn("{task.description:>28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, console=console, transient=True)
        self._tasks = {stage: self._bars.add_task(stage, total=None) for stage in stages}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def path(self, name: str, finished: int, total: int) -> None:
        self._bars.update(self._tasks["search"], description=f"{name}: {finished} of {total} paths")

    def searched(self, name: str, result: SearchResult, finished: int, total: int) -> None:
        self._bars.update(self._tasks["search"], completed=finished, total=total, description=name)
        self._bars.console.print(f"  {name}: {_chosen(result)}", markup=False)

    def computed(self, stage: str, finished: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage)
        self._bars.update(self._tasks[stage], completed=finished, total=total)


def _chosen(found: SearchResult) -> str:
    best = found.best()
    row = found.tried.index(best)
    loss, accuracy = found.losses[row].mean(), found.accuracies[row].mean()
    return f"{settings_text(best)}; inside: log loss {loss:.4f}, accuracy {accuracy:.4f}"


# What is written -----------------------------------------------------------------------------


def _about(store: Store, request: Request, plan: MobilityPlan, design: Design, settings: Settings) -> dict[str, Any]:
    study, labels = design.study, design.labels
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
        "folds": {text: folds_title(how) for text, how in design.options.plans.items()},
        "settings": {name: dict(chosen) for name, chosen in settings.final.items()},
        "data": request.universe.lines(store, plan.snapshots, study),
        "seed": request.seed,
        "run": plan.provenance.identity,
        "inputs": dict(plan.provenance.inputs),
        "versions": dict(plan.provenance.versions),
    }


def _model_parts(
    store: Store,
    collection: str,
    fitted: FittedModel,
    study: Study,
    about: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
) -> dict[str, Part]:
    """Write a model file and its card beside the tables."""
    model, card = f"{MODEL}{fitted.name}", f"{CARD}{fitted.name}"
    text = model_card(fitted.name, about, tables).encode()
    return {
        model: _put_bytes(store, f"{collection}/{model}", "model", to_bytes(fitted), study),
        card: _put_bytes(store, f"{collection}/{card}", "md", text, study),
    }


def _put_bytes(store: Store, name: str, suffix: str, data: bytes, study: Study) -> Part:
    checksum = sha256(data)
    key = f"{name}-{checksum[:16]}.{suffix}"
    store.objects.put(key, data)
    return Part(key, checksum, len(data), len(study.keys), str(study.keys[0]), str(study.keys[-1]))
