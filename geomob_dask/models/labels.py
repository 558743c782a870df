"""Classes of an outcome: below and above its mean, or between its quantiles.

A value on an edge belongs to the lower class. Edges are computed from all units of a study, those that a fold holds out
among them: they define the target, as in the published study, and are not learned by a model. `moved` says what
edges from the training units of a fold would change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import InputError

BINARY = ("below_mean", "above_mean")
QUARTILES = ("low", "medium", "high", "excellent")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """Units by class.

    Parameters
    ----------
    names : tuple of str
        Of the classes, from the lowest outcome to the highest.
    codes : shape (n_units,), int64
        0 … number of classes − 1.
    edges : shape (n_classes − 1,)
        Between the classes, in units of the outcome.
    ties : int
        Units whose outcome lies on an edge, and that therefore are in the lower class.
    """

    names: tuple[str, ...]
    codes: Ints
    edges: Floats
    ties: int

    @property
    def counts(self) -> Ints:
        """Return the number of units in each class."""
        return np.bincount(self.codes, minlength=len(self.names)).astype(np.int64)


def make_labels(outcome: Floats, classes: int) -> Labels:
    """Return two classes at the mean, or more at the quantiles.

    Examples
    --------
    >>> make_labels(np.array([1.0, 2.0, 3.0, 10.0]), 2).codes
    array([0, 0, 0, 1])
    """
    return binary_labels(outcome) if classes == 2 else quantile_labels(outcome, classes)


def binary_labels(outcome: Floats) -> Labels:
    """Return 1 where the outcome is above its mean, else 0.

    Parameters
    ----------
    outcome : shape (n_units,)
        Finite.

    Raises
    ------
    InputError
        If an outcome is missing, or all are equal.

    References
    ----------
    `sources/mobility_models.txt`: "split in half by its numeric mean for labels 1 and 0".
    """
    _refuse_missing(outcome)
    return labels_at(outcome, np.array([np.mean(outcome)]), BINARY)


def quantile_labels(outcome: Floats, classes: int = 4) -> Labels:
    """Return classes of nearly equal size.

    Parameters
    ----------
    outcome : shape (n_units,)
        Finite.
    classes : int
        2 or more; four are named low, medium, high and excellent.

    Raises
    ------
    InputError
        If an outcome is missing, or so many are equal that a class has no member; it names the class.

    Examples
    --------
    >>> quantile_labels(np.arange(478.0)).counts
    array([120, 119, 119, 120])
    """
    if classes < 2:
        raise InputError(f"classes: found {classes}, expected 2 or more")
    _refuse_missing(outcome)
    edges = _quantiles(np.sort(outcome), classes)
    names = QUARTILES if classes == len(QUARTILES) else tuple(f"quantile_{number + 1}" for number in range(classes))
    return labels_at(outcome, edges, names)


def _quantiles(ordered: Floats, classes: int) -> Floats:
    """Return the inner quantiles, linear between values; a position that is whole is met exactly, not to 1e-16."""
    whole, part = np.divmod(np.arange(1, classes) * (len(ordered) - 1), classes)
    above = ordered[np.minimum(whole + 1, len(ordered) - 1)]
    return np.asarray(ordered[whole] + part / classes * (above - ordered[whole]))


def labels_at(outcome: Floats, edges: Floats, names: Sequence[str]) -> Labels:
    """Return classes between given edges, such as those of another study.

    Raises
    ------
    InputError
        If a class has no members; it names the class and its edges.
    """
    codes = np.searchsorted(edges, outcome, side="left").astype(np.int64)
    counts = np.bincount(codes, minlength=len(names))
    if (counts == 0).any():
        empty = int(np.argmin(counts))
        below = "-∞" if empty == 0 else f"{edges[empty - 1]:g}"
        above = "∞" if empty == len(edges) else f"{edges[empty]:g}"
        raise InputError(
            f"class {names[empty]!r} (above {below}, up to {above}) has no members; expected at least one in each of "
            f"{len(names)} classes of {len(outcome)} units (fewer classes, or an outcome with fewer ties)"
        )
    return Labels(tuple(names), codes, edges, int(np.isin(outcome, edges).sum()))


def moved(outcome: Floats, labels: Labels, train: Ints, test: Ints) -> tuple[Floats, int]:
    """Return the edges that training units alone give, and how many tested units are in another class by them.

    Parameters
    ----------
    outcome : shape (n_units,)
    labels : Labels
        Of all units.
    train, test : shape (n,)
        Rows of a fold.

    Examples
    --------
    Without the highest value the mean is 2, and 3 is above it:

    >>> outcome = np.array([1.0, 2.0, 3.0, 10.0])
    >>> moved(outcome, make_labels(outcome, 2), np.array([0, 1, 2]), np.array([2, 3]))
    (array([2.]), 1)
    """
    known, classes = outcome[train], len(labels.names)
    # Edges alone: ties may leave one of these classes without a member, which is no reason to stop.
    edges = np.array([known.mean()]) if classes == 2 else _quantiles(np.sort(known), classes)
    codes = np.searchsorted(edges, outcome[test], side="left")
    return edges, int((codes != labels.codes[test]).sum())


def _refuse_missing(outcome: Floats) -> None:
    if not len(outcome) or not np.isfinite(outcome).all():
        found = "none" if not len(outcome) else f"{int((~np.isfinite(outcome)).sum())} that are missing or infinite"
        raise InputError(f"outcome: found {found} of {len(outcome)} values, expected finite numbers")
