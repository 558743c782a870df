"""Ordered brackets: where they lie, and how they are merged by a rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, quotient, shares


def bracket_positions(n_brackets: int, positions: ArrayLike | None = None) -> Floats:
    """Return the positions of ordered brackets: those given, or 0, 1, 2, … .

    Raises
    ------
    DefinitionError
        If there are not as many positions as brackets, or they do not rise.
    """
    if positions is None:
        return np.arange(n_brackets, dtype=np.float64)
    given = np.asarray(positions, dtype=np.float64)
    if given.shape != (n_brackets,):
        raise DefinitionError(f"found {given.size} positions, expected one for each of {n_brackets} brackets")
    falls = np.flatnonzero(~(np.diff(given) > 0))
    if falls.size or not np.isfinite(given).all():
        first = int(falls[0]) if falls.size else 0
        raise DefinitionError(f"positions {given[first : first + 2]} of bracket {first} on: expected rising numbers")
    return given


def equal_classes(n_brackets: int, n_classes: int) -> Integers:
    """Return the rule that merges brackets into classes of equally many: deciles to quintiles.

    Raises
    ------
    DefinitionError
        If the brackets cannot be shared out equally.

    Examples
    --------
    >>> equal_classes(10, 5)
    array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    """
    if n_classes < 1 or n_brackets % n_classes:
        raise DefinitionError(f"{n_brackets} brackets cannot be merged into {n_classes} equal classes")
    return np.repeat(np.arange(n_classes), n_brackets // n_classes)


def merge_brackets(counts: ArrayLike, classes: ArrayLike) -> Floats:
    """Add up the brackets of each class.

    Parameters
    ----------
    counts : shape (n_units, n_brackets)
    classes : shape (n_brackets,), integers
        The class of each bracket: 0, 0, 1, …, rising, without gaps, so that the order is kept.

    Returns
    -------
    shape (n_units, n_classes)

    Raises
    ------
    DefinitionError
        If the rule has another length than the brackets or is out of order.
    """
    table, rule = checked_counts(counts), np.asarray(classes)
    if rule.shape != table.shape[1:]:
        raise DefinitionError(f"the rule has {rule.size} brackets, the counts have {table.shape[1]}")
    steps = np.diff(rule)
    if rule.size == 0 or rule[0] != 0 or not np.isin(steps, (0, 1)).all():
        raise DefinitionError(
            f"the rule {rule.tolist()} is out of order: expected 0, …, each class after the one before"
        )
    return np.add.reduceat(table, np.flatnonzero(np.r_[1, steps]), axis=1)


def quantile_classes(region_counts: ArrayLike, cuts: ArrayLike) -> Floats:
    """Return how much of each bracket lies in each class cut at quantiles of the region.

    A bracket that straddles a cut is shared out in proportion, as if incomes were spread evenly
    within it, so that the region has the same composition by construction: cuts at 0.3 and 0.7
    give low, middle and high 30%, 40% and 30% of any region.

    Parameters
    ----------
    region_counts : shape (n_regions, n_brackets)
        Brackets from low to high.
    cuts : rising numbers between 0 and 1, shape (n_classes − 1,)

    Returns
    -------
    shape (n_regions, n_brackets, n_classes)
        Parts of each bracket, adding up to 1; NaN for a bracket that is empty in its region.

    Raises
    ------
    DefinitionError
        If the cuts do not rise strictly between 0 and 1.
    """
    edges = np.concatenate([[0.0], np.asarray(cuts, dtype=np.float64), [1.0]])
    if not (np.diff(edges) > 0).all():
        raise DefinitionError(f"found cuts {edges[1:-1].tolist()}, expected numbers rising strictly between 0 and 1")
    share = shares(checked_counts(region_counts))
    upper = np.cumsum(share, axis=1)
    lower = np.concatenate([np.zeros((len(share), 1)), upper[:, :-1]], axis=1)
    # Rounding must not leave the last bracket short of the last edge.
    edges[-1] = np.inf
    overlap = np.minimum(upper[..., None], edges[1:]) - np.maximum(lower[..., None], edges[:-1])
    overlap = np.maximum(overlap, 0.0)
    return quotient(overlap, overlap.sum(axis=2, keepdims=True))
