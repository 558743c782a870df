"""Folds: at random, by state, or by contiguity with a buffer.

Neighboring units are similar: if some are trained on and others tested, a model scores well by remembering the place.
Folds by state keep states whole; folds by contiguity test connected blocks and leave the units within k steps of them
out of training.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.model_selection import StratifiedKFold

from geomob_dask.errors import InputError
from geomob_dask.graph.neighborhoods import adjacency

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Rows to train on and rows to test.

    Parameters
    ----------
    repeat, number : int
        Number of the repeat, and of the fold in it, from 0.
    train, test : shape (n,), int
        Rows, in rising order; rows in neither are the buffer.
    """

    repeat: int
    number: int
    train: Ints
    test: Ints

    @property
    def name(self) -> str:
        """Return its name in messages; both numbers from 1."""
        return f"fold {self.number + 1} of repeat {self.repeat + 1}"


def stratified_folds(classes: Ints, n_folds: int, n_repeats: int = 1, seed: int = 0) -> list[Fold]:
    """Return folds at random with the classes in equal shares; each unit is tested once per repeat.

    Parameters
    ----------
    classes : shape (n_units,), int
    n_folds, n_repeats : int
    seed : int
        The same seed gives the same folds; repeats differ.

    Raises
    ------
    InputError
        If a class has fewer members than folds.
    """
    _check(len(classes), n_folds, n_repeats)
    check_members(classes, n_folds)
    folds = []
    for repeat in range(n_repeats):
        state = int(generator(seed, repeat).integers(2**31))
        split = StratifiedKFold(n_folds, shuffle=True, random_state=state).split(np.zeros(len(classes)), classes)
        folds += [
            Fold(repeat, number, train.astype(np.int64), test.astype(np.int64))
            for number, (train, test) in enumerate(split)
        ]
    return folds


def state_folds(
    classes: Ints, states: NDArray[np.object_], n_folds: int, n_repeats: int = 1, seed: int = 0
) -> list[Fold]:
    """Return folds of whole states, with the classes as evenly distributed as whole states allow.

    Parameters
    ----------
    classes : shape (n_units,), int
    states : shape (n_units,), text

    Raises
    ------
    InputError
        If there are fewer states than folds, or a class has fewer members than folds.
    """
    _check(len(classes), n_folds, n_repeats)
    check_members(classes, n_folds)
    names, groups = np.unique(np.asarray(states, dtype=str), return_inverse=True)
    if len(names) < n_folds:
        raise InputError(f"folds by state: found {len(names)} states, expected at least as many as the {n_folds} folds")
    folds = []
    for repeat in range(n_repeats):
        folds += _by_group(classes, _dealt(classes, groups, n_folds, generator(seed, repeat)), repeat)
    return folds


def contiguity_folds(
    classes: Ints, pairs: Ints, n_folds: int, *, buffer: int = 1, n_repeats: int = 1, seed: int = 0, n_blocks: int = 0
) -> list[Fold]:
    """Return folds that test connected blocks and leave the units within some steps of them out of training.

    Blocks grow from random seeds; parts of the graph without a seed are blocks of their own. Whole blocks are assigned
    to folds.

    Parameters
    ----------
    classes : shape (n_units,), int
    pairs : shape (n_pairs, 2), int
        Nodes that are neighbors, both directions: units by their row, and n_units… for places that are no units.
        Those are in no fold, but steps lead through them. Blocks grow over units alone.
    buffer : int
        Steps k of the graph around the tested units that are left out of training; 0 leaves out none.
    n_blocks : int
        Blocks to grow; by default 4 per fold.

    Raises
    ------
    InputError
        If there are no pairs, the buffer is negative, or nothing is left to train on.
    """
    _check(len(classes), n_folds, n_repeats)
    check_members(classes, n_folds)
    if not len(pairs):
        raise InputError("folds by contiguity: the study has no neighbors; expected pairs of units (jobs/neighbors.py)")
    if buffer < 0:
        raise InputError(f"folds by contiguity: found a buffer of {buffer}, expected 0 steps or more")
    n_units = len(classes)
    whole = adjacency(pairs[:, 0], pairs[:, 1], max(n_units, int(pairs.max()) + 1))
    of_units = pairs[(pairs < n_units).all(axis=1)]
    graph = adjacency(of_units[:, 0], of_units[:, 1], n_units)
    folds = []
    for repeat in range(n_repeats):
        draw = generator(seed, repeat)
        blocks = grow_blocks(graph, n_blocks or 4 * n_folds, draw)
        for fold in _by_group(classes, _dealt(classes, blocks, n_folds, draw), repeat):
            near = within(whole, fold.test, buffer)[:n_units]
            kept = np.flatnonzero(~near).astype(np.int64)
            if not len(kept):
                raise InputError(
                    f"folds by contiguity: {fold.name}: nothing is left to train on with a buffer of {buffer}; "
                    "expected a smaller one, or more folds"
                )
            folds.append(Fold(repeat, fold.number, kept, fold.test))
    return folds


# Checks --------------------------------------------------------------------------------------


def check_members(classes: Ints, n_folds: int) -> None:
    """Refuse classes that are too small to be in every fold.

    Raises
    ------
    InputError
        If a class has fewer members than there are folds; it names it.
    """
    for code, members in enumerate(np.bincount(classes)):
        if members < n_folds:
            raise InputError(f"class {code}: found {members} units, expected at least as many as the {n_folds} folds")


def check_fold(fold: Fold, values: NDArray[np.float64], classes: Ints, names: Sequence[str]) -> None:
    """Refuse a fold whose training rows lack a class, or the values of a feature.

    Parameters
    ----------
    values : shape (n_units, n_features)
    names : sequence of str
        Features, for the message.

    Raises
    ------
    InputError
        If a feature is missing or constant in all training rows, or a class is absent from them; it names feature
        or class, and fold.
    """
    train = values[fold.train]
    known = ~np.isnan(train)
    empty = np.flatnonzero(~known.any(axis=0))
    if len(empty):
        raise InputError(
            f"{fold.name}: feature {names[empty[0]]!r} is missing in all {len(train)} training rows; "
            "expected some values (leave the feature out, or use fewer folds)"
        )
    low = np.where(known, train, np.inf).min(axis=0)
    high = np.where(known, train, -np.inf).max(axis=0)
    constant = np.flatnonzero(low == high)
    if len(constant):
        column = constant[0]
        raise InputError(
            f"{fold.name}: feature {names[column]!r} is constant ({low[column]:g}) in all {len(train)} training rows; "
            "expected one that differs (leave the feature out, or use fewer folds)"
        )
    absent = np.flatnonzero(np.bincount(classes[fold.train], minlength=classes.max() + 1) == 0)
    if len(absent):
        raise InputError(f"{fold.name}: class {absent[0]} has no unit among the training rows; expected units of each")


# Groups ------------------------------------------------------------------------------------------


def grow_blocks(graph: csr_array, n_blocks: int, draw: np.random.Generator) -> Ints:
    """Return connected blocks of a graph, grown from random seeds one unit at a time, the smallest block first.

    Parameters
    ----------
    graph : csr_array, shape (n, n)
        Adjacency, indices sorted in each row.
    n_blocks : int
        Seeds; every part of the graph that no seed fell into is a block as well.

    Returns
    -------
    shape (n,), int
        Block of each unit, 0…
    """
    n = graph.shape[0]
    block = np.full(n, -1, np.int64)
    order = draw.permutation(n)
    seeds = order[: min(n_blocks, n)]
    block[seeds] = np.arange(len(seeds))
    edge = {number: deque([int(seed)]) for number, seed in enumerate(seeds)}
    sizes = [(1, number) for number in edge]
    heapq.heapify(sizes)
    while sizes:
        size, number = heapq.heappop(sizes)
        taken = _next_unit(graph, block, edge[number])
        if taken >= 0:
            block[taken] = number
            edge[number].append(taken)
            heapq.heappush(sizes, (size + 1, number))
    count = len(seeds)
    for unit in order[block[order] < 0]:
        if block[unit] < 0:
            block[unit], waiting = count, deque([int(unit)])
            while (other := _next_unit(graph, block, waiting)) >= 0:
                block[other] = count
                waiting.append(other)
            count += 1
    return block


def _next_unit(graph: csr_array, block: Ints, edge: deque[int]) -> int:
    """Return a neighbor of a block that belongs to no block, −1 if there is none; units without one leave the edge."""
    while edge:
        near = graph.indices[graph.indptr[edge[0]] : graph.indptr[edge[0] + 1]]
        free = near[block[near] < 0]
        if len(free):
            return int(free[0])
        edge.popleft()
    return -1


def within(graph: csr_array, rows: Ints, steps: int) -> NDArray[np.bool_]:
    """Return which units lie within some steps of rows in the graph, the rows included.

    Examples
    --------
    >>> line = adjacency(np.array([0, 1, 1, 2, 2, 3]), np.array([1, 0, 2, 1, 3, 2]), 4)
    >>> within(line, np.array([0]), 2)
    array([ True,  True,  True, False])
    """
    reached = np.zeros(graph.shape[0], dtype=bool)
    reached[rows] = True
    for _ in range(steps):
        reached |= (graph @ reached.astype(np.float64)) > 0
    return reached


def _dealt(classes: Ints, groups: Ints, n_folds: int, draw: np.random.Generator) -> Ints:
    """Return the fold of each unit: whole groups, the larger first, are assigned where they even the classes out.

    Which of two groups of similar size comes first is random: strictly by size, groups of different sizes would make
    the same folds in every repeat, and intervals would count them as new evidence.
    """
    n_groups, n_classes = int(groups.max()) + 1, int(classes.max()) + 1
    counts = np.zeros((n_groups, n_classes))
    np.add.at(counts, (groups, classes), 1)
    share = np.maximum(counts.sum(axis=0), 1)
    order = np.argsort(-counts.sum(axis=1) * draw.lognormal(sigma=0.5, size=n_groups), kind="stable")
    held, fold_of = np.zeros((n_folds, n_classes)), np.zeros(n_groups, np.int64)
    for place, group in enumerate(order):
        filled = (held + counts[group]) / share
        # Deviation of each fold from an even share with the group, less that without it.
        cost = ((filled - 1 / n_folds) ** 2).sum(axis=1) - ((held / share - 1 / n_folds) ** 2).sum(axis=1)
        cost[held.sum(axis=1) > 0] += 0 if place >= n_folds else np.inf
        best = int(np.argmin(cost))
        held[best] += counts[group]
        fold_of[group] = best
    return fold_of[groups]


def _by_group(classes: Ints, fold_of: Ints, repeat: int) -> list[Fold]:
    every = range(int(fold_of.max()) + 1)
    return [
        Fold(repeat, number, np.flatnonzero(fold_of != number).astype(np.int64), np.flatnonzero(fold_of == number))
        for number in every
    ]


def _check(n_units: int, n_folds: int, n_repeats: int) -> None:
    if n_folds < 2 or n_repeats < 1:
        raise InputError(f"folds: found {n_folds} folds and {n_repeats} repeats, expected at least 2 and 1")
    if n_folds > n_units:
        raise InputError(f"folds: found {n_folds} folds of {n_units} units, expected at most as many as units")


def generator(seed: int, *place: int) -> np.random.Generator:
    """Return a random generator keyed by a seed and further numbers."""
    return np.random.default_rng([seed, *place])
