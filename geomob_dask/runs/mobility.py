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
from geomob_dask.models.catalog import MODELS, model_named
from geomob_dask.models.folds import FoldPlan
from geomob_dask.models.model_files import FittedModel, from_bytes
from geomob_dask.products.mobility_study import Universe
from geomob_dask.runs.plan import Output, Plan
from geomob_dask.store import Part, Provenance, Snapshot, Store
from geomob_dask.store.provenance import canonical_json, sha256, versions

CLASSES = (2, 4)
GRIDS = ("full", "small")
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
    def names(self) -> tuple[str, ...]:
        """Return the names of the models, each once.

        Raises
        ------
        InputError
            If one is not in the catalogue, or none is named.
        """
        if self.models == ("all",):
            return tuple(MODELS)
        if not self.models:
            raise InputError(f"--model: none named; expected all, or some of: {', '.join(MODELS)}")
        return tuple(dict.fromkeys(model_named(name).name for name in self.models))

    @property
    def plans(self) -> dict[str, FoldPlan]:
        """Return how units are held out, by the name of the kind."""
        if not self.folds:
            raise InputError("--folds: none named; expected some, such as stratified:5,states:5,contiguity:5:1")
        return {text: read_folds(text, self.repeats, self.seed) for text in self.folds}

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
    check(request)
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


def read_folds(text: str, repeats: int, seed: int) -> FoldPlan:
    """Return how units are held out.

    Parameters
    ----------
    text : str
        ``stratified:FOLDS``, ``states:FOLDS`` or ``contiguity:FOLDS:BUFFER``; five folds and a buffer of one step of
        the graph where they are not said.

    Raises
    ------
    InputError
        If it is none of these.

    Examples
    --------
    >>> read_folds("contiguity:4:2", 1, 0)
    FoldPlan(kind='contiguity', n_folds=4, n_repeats=1, seed=0, buffer=2)
    """
    kind, *numbers = text.split(":")
    if len(numbers) > (2 if kind == "contiguity" else 1) or not all(number.isdigit() for number in numbers):
        raise InputError(
            f"--folds {text}: expected stratified:FOLDS, states:FOLDS or contiguity:FOLDS:BUFFER, such as "
            "contiguity:5:1"
        )
    count, buffer = [int(number) for number in [*numbers, *("5", "1")[len(numbers) :]]]
    if count < 2:
        raise InputError(f"--folds {text}: found {count} folds, expected 2 or more")
    return FoldPlan(kind, count, repeats, seed, buffer)


def folds_title(plan: FoldPlan) -> str:
    """Return a kind of folds in words."""
    times = "" if plan.n_repeats == 1 else f", dealt out {plan.n_repeats} times"
    if plan.kind == "states":
        return f"states: {plan.n_folds} folds of whole states{times}"
    if plan.kind == "contiguity":
        steps = "step" if plan.buffer == 1 else "steps"
        return (
            f"contiguity: {plan.n_folds} folds of connected blocks, neighbours within {plan.buffer} {steps} left out"
            f"{times}"
        )
    return f"stratified: {plan.n_folds} random folds, classes in equal shares{times}"


def check(request: Request) -> None:
    """Raise InputError if an option is none that there is."""
    if request.grid not in GRIDS:
        raise InputError(f"--grid {request.grid}: expected one of: {', '.join(GRIDS)}")
    plans = request.plans
    for name in request.names:
        MODELS[name].build(request.classes if request.classes in CLASSES else 2, request.seed)
    if len(plans) != len(request.folds):
        raise InputError(f"--folds {','.join(request.folds)}: one is named twice; expected each once")
    if request.classes not in CLASSES:
        raise InputError(f"--classes {request.classes}: expected one of {', '.join(map(str, CLASSES))}")
    if request.repeats < 1 or request.seed < 0:
        raise InputError(
            f"--repeats {request.repeats} --seed {request.seed}: expected at least 1 repeat and a seed of 0 or more"
        )


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
