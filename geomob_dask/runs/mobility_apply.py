"""A fitted mobility model applied to tracts of the store, over partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import distributed
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.lift.models import predict_partitions
from geomob_dask.lift.tasks import Run
from geomob_dask.models.model_files import FittedModel, from_bytes
from geomob_dask.runs.execute import compute
from geomob_dask.runs.mobility import Request, fitted_model
from geomob_dask.runs.plan import Output, Plan
from geomob_dask.store import Part, Provenance, Store
from geomob_dask.store.provenance import sha256

DatasetYear = tuple[str, int]


@dataclass(frozen=True)
class Given:
    """A model and where it comes from.

    Parameters
    ----------
    fitted : FittedModel
    checksum : str
        SHA-256 of its file.
    """

    fitted: FittedModel
    checksum: str


@dataclass(frozen=True)
class Applied:
    """Where predictions of a model for a dataset are.

    Parameters
    ----------
    collection : str
        A row a tract: ``predicted_class`` (empty where every feature is missing) and ``<class>_probability``.
    title, measures : str
        The model, and what it was applied to.
    """

    collection: str
    title: str
    measures: str


def dataset_year(text: str, option: str) -> DatasetYear:
    """Return a dataset and year from text such as ``opportunity:2018``.

    Raises
    ------
    InputError
        If it is none.
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
        If the file cannot be read, or is no model file of this version.
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
    there = store.frame(source.collection).columns
    absent = [name for name in features if name not in there]
    if absent:
        raise InputError(
            f"--apply {target[0]}:{target[1]}: {source.collection}: no column {absent[0]!r}, which the models are "
            f"fitted on ({len(absent)} of {len(features)} features are absent); expected all of them"
        )


def apply_plan(store: Store, given: Given, target: DatasetYear) -> Plan:
    """Return what `apply_model` would read and write; nothing is computed.

    Raises
    ------
    InputError
        As `apply_model`.
    """
    fitted = given.fitted
    source = store.snapshot(f"measures/{target[0]}/{target[1]}")
    # What is absent is told before a task starts.
    fitted.values(store.frame(source.collection)._meta, source.collection)
    collection = f"results/mobility-applied/{fitted.name}-{given.checksum[:8]}/{target[0]}/{target[1]}"
    options = {"model": fitted.name, "model_run": fitted.run}
    provenance = Provenance(
        "mobility", {source.collection: source.checksum(), f"model {fitted.name}": given.checksum}, options
    )
    outputs = tuple(Output(state, (part.key,), part.size) for state, part in source.parts.items() if part.rows)
    existing = store.find(collection)
    done = existing is not None and {part.run for part in existing.parts.values()} == {provenance.identity}
    return Plan(collection, outputs, provenance, done)


def apply_model(
    store: Store,
    given: Given,
    target: DatasetYear,
    client: distributed.Client | None,
    console: Console,
    *,
    force: bool = False,
) -> Applied:
    """Predict the class of every tract of a dataset, partition by partition, and commit it.

    Parameters
    ----------
    force : bool
        Predict even if the store holds just this result.

    Raises
    ------
    InputError
        If the dataset is not there or lacks a feature that the model was fitted on.
    """
    plan = apply_plan(store, given, target)
    fitted = given.fitted
    source = store.snapshot(f"measures/{target[0]}/{target[1]}")
    applied = Applied(plan.collection, fitted.title, source.collection)
    if plan.done and not force:
        return applied
    states = {state: part for state, part in source.parts.items() if part.rows}
    run = Run("mobility-apply")
    loaded = {
        state: run.task("load", state, _values, store, part, fitted, source.collection)
        for state, part in states.items()
    }
    shares = _shares(fitted, loaded, {state: part.rows for state, part in states.items()})
    tasks = {
        state: run.task("write", state, _write, store, applied.collection, state, part, fitted, block)
        for (state, part), block in zip(states.items(), shares.to_delayed()[:, 0], strict=True)
    }
    with store.all_or_nothing(applied.collection):
        parts = compute(tasks, client, console, token=run.token)
        store.commit(applied.collection, parts, plan.provenance, dict(source.attributes))
    return applied


def applied_table(store: Store, applied: Applied) -> pd.DataFrame:
    """Return what `apply_model` committed as one frame in memory."""
    snapshot = store.snapshot(applied.collection)
    return pd.concat([store.read(part) for part in snapshot.parts.values()])


def _shares(fitted: FittedModel, loaded: dict[str, object], rows: dict[str, int]) -> da.Array:
    """Return the probabilities of all classes, a block a state."""
    width = len(fitted.features)
    blocks = [da.from_delayed(loaded[state], (rows[state], width), dtype=np.float64) for state in loaded]
    return predict_partitions(fitted.estimator, da.concatenate(blocks, axis=0))


def _values(store: Store, part: Part, fitted: FittedModel, where: str) -> NDArray[np.float64]:
    return fitted.values(store.read(part, ["geoid", *fitted.feature_names]), where)


def _write(
    store: Store, collection: str, state: str, part: Part, fitted: FittedModel, shares: NDArray[np.float64]
) -> Part:
    keys = store.read(part, ["geoid", *fitted.feature_names])
    names = np.array(fitted.classes, dtype=object)
    # A row without any attribute would get the prediction of a made-up average place.
    empty = keys.isna().all(axis=1).to_numpy()
    predicted = np.where(empty, "", names[shares.argmax(axis=1)])
    shares = np.where(empty[:, None], np.nan, shares)
    table = pd.DataFrame(
        {
            "predicted_class": pd.array(predicted, dtype="str"),
            **{f"{name}_probability": shares[:, number] for number, name in enumerate(names)},
        },
        index=keys.index,
    )
    return store.put(collection, state, table)
