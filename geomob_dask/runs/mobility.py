"""Mobility models, from the store to the store: scores, predictions, importance, fitted models and their cards.

``results/mobility/<study>/<name>`` is one collection whose parts are tables, model files and cards, so that one commit
shows all of them or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.models.design import ModelOptions
from geomob_dask.models.model_files import FittedModel, from_bytes
from geomob_dask.products.mobility_study import Universe
from geomob_dask.runs.plan import Output, Plan
from geomob_dask.store import Part, Provenance, Snapshot, Store
from geomob_dask.store.provenance import canonical_json, sha256, versions

# Further packages whose version can move a score or a fitted model.
_FITTED_WITH = ("dask-ml", "numba", "scikit-learn", "skops")
_IN_ORDER = ("baselines", "class_counts", "folds", "models")
MODEL, CARD = "model_", "card_"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Parameters
    ----------
    universe : Universe
    models : tuple of str
        Names of the catalogue.
    classes : {2, 4}
    folds : tuple of str
        Kinds of folds; see `read_folds`.
    repeats : int
        How often units are dealt out anew.
    seed : int
    """

    universe: Universe
    models: tuple[str, ...]
    classes: int = 2
    folds: tuple[str, ...] = ("stratified:5",)
    repeats: int = 5
    seed: int = 0
    grid: str = "full"

    @property
    def model_options(self) -> ModelOptions:
        """Return which models are validated, and how."""
        return ModelOptions(self.models, self.classes, self.folds, self.repeats, self.seed, self.grid)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the models, each once."""
        return self.model_options.names

    def options(self) -> dict[str, Any]:
        """Return everything that was chosen."""
        return {
            **self.universe.options(),
            "models": list(self.names),
            "classes": self.classes,
            "folds": list(self.folds),
            "repeats": self.repeats,
            "seed": self.seed,
            "grid": self.grid,
        }

    @property
    def collection(self) -> str:
        """Return where the result goes: the last part of the name stands for all options."""
        name = f"{self.classes}-classes-{sha256(canonical_json(self.options()))[:8]}"
        return f"results/mobility/{self.universe.study}/{name}"


@dataclass(frozen=True)
class Result:
    """What a run left in the store.

    Parameters
    ----------
    about : mapping
        What the run says of itself: ``study``, ``outcome`` (in words), ``outcome_name``, ``units``, ``classes`` (names
        from low to high), ``class_counts``, ``edges``, ``features`` (name, title, domain, unit, missing share),
        ``models``, ``baselines`` and ``folds`` (titles by name), ``settings`` (by model), ``data`` (lines), ``seed``,
        ``run``, ``inputs``, ``versions``.
    tables : mapping of str to DataFrame
        ``units``, ``predictions``, ``scores``, ``importance``, …
    models : mapping of str to Part
        Model files.
    cards : mapping of str to str
        Model cards, Markdown.
    """

    about: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    models: Mapping[str, Part]
    cards: Mapping[str, str]


@dataclass(frozen=True)
class MobilityPlan(Plan):
    """A plan with the snapshots that it was made from: a run computes from these, however the store has changed since.

    Parameters
    ----------
    snapshots : mapping of str to Snapshot
        By collection.
    """

    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)


def make_plan(store: Store, request: Request) -> MobilityPlan:
    """Return what a run would read and write; nothing is computed.

    Raises
    ------
    InputError
        If an option does not fit, or something is not in the store.
    """
    request.model_options.check()
    snapshots = request.universe.inputs(store)
    read = list(snapshots.values())
    inputs = {snapshot.collection: snapshot.checksum() for snapshot in read}
    used = versions() | {package: version(package) for package in _FITTED_WITH}
    provenance = Provenance("mobility", inputs, request.options(), versions=used)
    parts = [part for snapshot in read for part in snapshot.parts.values()]
    outputs = tuple(
        Output(model, tuple(snapshot.collection for snapshot in read), sum(part.size for part in parts))
        for model in request.names
    )
    existing = store.find(request.collection)
    done = existing is not None and {part.run for part in existing.parts.values()} == {provenance.identity}
    return MobilityPlan(request.collection, outputs, provenance, done, snapshots)


def result(store: Store, request: Request) -> Result:
    """Return a result in the store.

    Raises
    ------
    InputError
        If there is none.
    """
    snapshot = store.snapshot(request.collection)
    about = ordered(next(iter(snapshot.runs.values()))["report"])
    tables, models, cards = {}, {}, {}
    for name, part in snapshot.parts.items():
        if name.startswith(MODEL):
            models[name.removeprefix(MODEL)] = part
        elif name.startswith(CARD):
            cards[name.removeprefix(CARD)] = store.objects.get(part.key).decode()
        else:
            tables[name] = store.read(part)
    return Result(about, tables, models, cards)


def as_pairs(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run says of itself as JSON keeps it: mappings whose order means something as lists of pairs."""
    return {name: list(map(list, value.items())) if name in _IN_ORDER else value for name, value in about.items()}


def ordered(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mappings again; see `as_pairs`."""
    return {name: dict(value) if name in _IN_ORDER else value for name, value in about.items()}


def fitted_model(store: Store, request: Request, name: str) -> FittedModel:
    """Return a fitted model of a result in the store.

    Raises
    ------
    InputError
        If the result or the model is not there, or the file is of another version.
    """
    snapshot = store.snapshot(request.collection)
    part = snapshot.parts.get(f"{MODEL}{name}")
    if part is None:
        there = [one.removeprefix(MODEL) for one in snapshot.parts if one.startswith(MODEL)]
        raise InputError(f"{store.url}/{request.collection}: no model {name!r}; expected one of: {', '.join(there)}")
    return from_bytes(store.objects.get(part.key), f"{store.url}/{part.key}")
