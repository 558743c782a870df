"""A fitted mobility model applied to tracts of the store, partition by partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import distributed
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.frames.mobility import predict
from geomob_dask.frames.own_rows import no_value, one_value, own_rows, value_of
from geomob_dask.models.model_files import FittedModel, from_bytes
from geomob_dask.runs.execute import compute
from geomob_dask.runs.mobility import MobilityPlan, Request, fitted_model
from geomob_dask.runs.plan import Output
from geomob_dask.store import Provenance, Store
from geomob_dask.store.provenance import sha256

DatasetYear = tuple[str, int]


@dataclass(frozen=True)
class Given:
    """A model and the checksum of its file.

    Parameters
    ----------
    fitted : FittedModel
    checksum : str
        SHA-256.
    """

    fitted: FittedModel
    checksum: str


@dataclass(frozen=True)
class Applied:
    """Where the predictions of a model for a dataset are.

    Parameters
    ----------
    collection : str
        One row per tract: ``predicted_class`` (empty where every feature is missing) and ``<class>_probability``.
    title, measures : str
        The model, and the collection that it was applied to.
    """

    collection: str
    title: str
    measures: str


def dataset_year(text: str, option: str) -> DatasetYear:
    """Return a dataset and year from text such as ``opportunity:2018``.

    Raises
    ------
    InputError
        If it is not of this form.
    """
    name, _, year = text.partition(":")
    if not name or not year.isdigit():
        raise InputError(f"{option} {text}: expected NAME:YEAR, such as opportunity:2018")
    return name, int(year)


def given_model(file: str) -> Given:
    """Return the model of a file.

    Raises
    ------
    InputError
        If the file cannot be read, or is not a model file of this version.
    """
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"--with-model {file}: cannot be read ({error.strerror}); expected a model file") from error
    return Given(from_bytes(data, file), sha256(data))


def stored_model(store: Store, request: Request, name: str) -> Given:
    """Return a model of a result in the store."""
    part = store.snapshot(request.collection).parts[f"model_{name}"]
    return Given(fitted_model(store, request, name), part.sha256)


def check_target(store: Store, target: DatasetYear, features: Sequence[str]) -> None:
    """Refuse a dataset that models of some features could not be applied to.

    Raises
    ------
    InputError
        If it is not in the store, or lacks a feature.
    """
    source = store.snapshot(f"measures/{target[0]}/{target[1]}")
    columns = store.columns(source)
    absent = [name for name in features if name not in columns]
    if absent:
        raise InputError(
            f"--apply {target[0]}:{target[1]}: {source.collection}: no column {absent[0]!r}, which the models are "
            f"fitted on ({len(absent)} of {len(features)} features are absent); expected all of them"
        )


def apply_plan(store: Store, given: Given, target: DatasetYear) -> MobilityPlan:
    """Return what `apply_model` would read and write; nothing is computed.

    Raises
    ------
    InputError
        If the dataset is not in the store, or lacks a feature that the model was fitted on.
    """
    fitted = given.fitted
    source = store.snapshot(f"measures/{target[0]}/{target[1]}")
    fitted.values(store.empty(source), source.collection)
    collection = f"results/mobility-applied/{fitted.name}-{given.checksum[:8]}/{target[0]}/{target[1]}"
    options = {"model": fitted.name, "model_run": fitted.run}
    provenance = Provenance(
        "mobility", {source.collection: source.checksum(), f"model {fitted.name}": given.checksum}, options
    )
    outputs = tuple(Output(state, (part.key,), part.size) for state, part in source.parts.items() if part.rows)
    existing = store.find(collection)
    done = existing is not None and {part.run for part in existing.parts.values()} == {provenance.identity}
    return MobilityPlan(collection, outputs, provenance, done, {source.collection: source})


def apply_model(
    store: Store,
    given: Given,
    plan: MobilityPlan,
    client: distributed.Client | None,
    console: Console,
    *,
    force: bool = False,
) -> Applied:
    """Predict the class of every tract of a dataset, partition by partition, and commit the predictions.

    Parameters
    ----------
    plan : MobilityPlan
        From `apply_plan`: its snapshot of the dataset is what the model is applied to.
    force : bool
        Whether to predict even if the store holds this result.
    """
    (source,) = plan.snapshots.values()
    applied = Applied(plan.collection, given.fitted.title, source.collection)
    if plan.done and not force:
        return applied
    states = [output.state for output in plan.outputs]
    measures = store.aligned(source, states, list(given.fitted.feature_names))
    written = own_rows(
        write_predictions, predict(measures, given.fitted), meta=no_value, store=store, collection=plan.collection
    )
    with store.all_or_nothing(plan.collection):
        tasks = dict(zip(states, written.to_delayed(), strict=True))
        frames = compute(tasks, client, console, token=written._name.rpartition("-")[2])
        parts = {state: value_of(frame) for state, frame in frames.items()}
        store.commit(plan.collection, parts, plan.provenance, dict(source.attributes))
    return applied


def write_predictions(rows: pd.DataFrame, *, store: Store, collection: str) -> pd.DataFrame:
    """Write the predictions for the tracts of one state, and return the part as the value of a frame."""
    return one_value(store.put(collection, str(rows.index[0])[:2], rows))


def applied_table(store: Store, applied: Applied) -> pd.DataFrame:
    """Return the predictions that `apply_model` committed, as one frame in memory."""
    snapshot = store.snapshot(applied.collection)
    return pd.concat([store.read(part) for part in snapshot.parts.values()])
