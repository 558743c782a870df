"""Plans of folds: how units are held out, and the folds inside each fold on which settings are chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.models.folds import Fold, contiguity_folds, generator, state_folds, stratified_folds

Ints = NDArray[np.int64]

KINDS = ("stratified", "states", "contiguity")


@dataclass(frozen=True)
class FoldPlan:
    """The plan of folds, and of the folds inside each fold.

    Parameters
    ----------
    kind : {"stratified", "states", "contiguity"}
    n_folds, n_repeats : int
    seed : int
    buffer : int
        Of folds by contiguity: steps of the graph.

    Examples
    --------
    >>> plan = FoldPlan("states", n_folds=2)
    >>> folds = plan.folds(np.array([0, 1, 0, 1]), np.array(["IN", "IN", "OH", "OH"]), np.empty((0, 2), int))
    >>> sorted(fold.test.tolist() for fold in folds)
    [[0, 1], [2, 3]]
    """

    kind: str = "stratified"
    n_folds: int = 5
    n_repeats: int = 1
    seed: int = 0
    buffer: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"folds {self.kind!r}: no such folds; expected one of: {', '.join(KINDS)}")

    def folds(self, classes: Ints, states: NDArray[np.object_], pairs: Ints) -> list[Fold]:
        """Return the folds of units with these classes, states and neighbors."""
        if self.kind == "states":
            return state_folds(classes, states, self.n_folds, self.n_repeats, self.seed)
        if self.kind == "contiguity":
            return contiguity_folds(
                classes, pairs, self.n_folds, buffer=self.buffer, n_repeats=self.n_repeats, seed=self.seed
            )
        return stratified_folds(classes, self.n_folds, self.n_repeats, self.seed)

    def inside(self, fold: Fold, classes: Ints, states: NDArray[np.object_], pairs: Ints, n_folds: int) -> list[Fold]:
        """Return folds of the training rows of a fold, made in the same way and numbered as rows of the whole study.

        Raises
        ------
        InputError
            As the folds themselves, naming the outer fold.
        """
        seed = int(generator(self.seed, fold.repeat, fold.number, 1).integers(2**31))
        trained = np.zeros(len(classes), dtype=bool)
        trained[fold.train] = True
        cut = renumber(pairs, trained)
        plan = replace(self, n_folds=n_folds, n_repeats=1, seed=seed)
        try:
            folds = plan.folds(classes[fold.train], np.asarray(states)[fold.train], cut)
        except InputError as error:
            raise InputError(f"training rows of {fold.name}: {error}") from error
        return [Fold(fold.repeat, one.number, fold.train[one.train], fold.train[one.test]) for one in folds]


def renumber(pairs: Ints, kept: NDArray[np.bool_]) -> Ints:
    """Return the pairs of a graph without some units, which become nodes after the units that stay.

    Steps are still counted through them: two units on both sides of one that is left out are two steps apart.

    Parameters
    ----------
    pairs : shape (n_pairs, 2), int
        Rows of units, or n_units… for nodes outside.
    kept : shape (n_units,), bool

    Examples
    --------
    >>> renumber(np.array([[0, 1], [1, 0], [1, 2], [2, 1]]), np.array([True, False, True]))
    array([[0, 2],
           [2, 0],
           [2, 1],
           [1, 2]])
    """
    if not len(pairs):
        return pairs
    inside = np.zeros(max(len(kept), int(pairs.max()) + 1), dtype=bool)
    inside[: len(kept)] = kept
    place = np.where(inside, np.cumsum(inside) - 1, inside.sum() + np.cumsum(~inside) - 1)
    return np.asarray(place[pairs], dtype=np.int64)


def read_folds(text: str, repeats: int, seed: int) -> FoldPlan:
    """Return the plan of folds that a text describes.

    Parameters
    ----------
    text : str
        ``stratified:FOLDS``, ``states:FOLDS`` or ``contiguity:FOLDS:BUFFER``; by default five folds and a buffer of
        one step of the graph.

    Raises
    ------
    InputError
        If it is not of this form.

    Examples
    --------
    >>> read_folds("contiguity:4:2", 1, 0)
    FoldPlan(kind='contiguity', n_folds=4, n_repeats=1, seed=0, buffer=2)
    """
    kind, *numbers = text.split(":")
    if len(numbers) > (2 if kind == "contiguity" else 1) or not all(number.isdigit() for number in numbers):
        raise InputError(
            f"folds {text!r}: expected stratified:FOLDS, states:FOLDS or contiguity:FOLDS:BUFFER, such as "
            "contiguity:5:1"
        )
    count, buffer = [int(number) for number in [*numbers, *("5", "1")[len(numbers) :]]]
    if count < 2:
        raise InputError(f"folds {text!r}: found {count} folds, expected 2 or more")
    return FoldPlan(kind, count, repeats, seed, buffer)


def folds_title(plan: FoldPlan) -> str:
    """Return a kind of folds in words."""
    times = "" if plan.n_repeats == 1 else f", repeated {plan.n_repeats} times"
    if plan.kind == "states":
        return f"states: {plan.n_folds} folds of whole states{times}"
    if plan.kind == "contiguity":
        steps = "step" if plan.buffer == 1 else "steps"
        return (
            f"contiguity: {plan.n_folds} folds of connected blocks, units within {plan.buffer} {steps} left out{times}"
        )
    return f"stratified: {plan.n_folds} random folds, classes in equal shares{times}"
