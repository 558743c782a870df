"""A mobility study: units with features, an outcome, states and neighbors, as arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError

# A feature whose correlation with the outcome (Pearson's r) is higher is the outcome.
_TWIN = 0.9999


@dataclass(frozen=True)
class Feature:
    """An attribute of units.

    Parameters
    ----------
    name : str
        Name of its column, ending in the unit or kind, such as ``single_mothers_share``.
    title : str
        In words.
    domain : str
        Group of features that it belongs to, such as ``family structure``.
    unit : str
        ``share``, ``usd``, ``persons``, ``index``, …
    """

    name: str
    title: str
    domain: str
    unit: str


@dataclass(frozen=True)
class Study:
    """Units, their features and their outcome.

    Parameters
    ----------
    name : str
        Such as ``zones`` or ``tracts``.
    keys : shape (n_units,), text
        Commuting zones, tracts or other units; each once.
    labels : shape (n_units,), text
        Names of units for display, such as ``Johnson City, TN``.
    states : shape (n_units,), text
        The state of each unit (postal letters or code), empty where it is not known: folds by state keep a state whole.
    features : sequence of Feature
        The columns of `values`.
    values : shape (n_units, n_features), float64
        NaN where an attribute is missing: filled inside the folds, never before.
    outcome : shape (n_units,), float64
        Target, such as absolute upward mobility (mean rank, 0…100). Never NaN.
    outcome_name, outcome_title : str
        Its column, and in words.
    pairs : shape (n_pairs, 2), int64
        Nodes that are neighbors, both directions; empty if no graph is known. The node of a unit is its row; nodes
        n_units… are places around and between the units that are not studied (no outcome, not in the cohort): steps
        between units lead through them.
    points : shape (n_units, 2), float64, optional
        Longitude and latitude of each unit, NaN where it is not known: p-values and intervals of correlations are
        adjusted for the likeness of near units.
    """

    name: str
    keys: NDArray[np.object_]
    labels: NDArray[np.object_]
    states: NDArray[np.object_]
    features: tuple[Feature, ...]
    values: NDArray[np.float64]
    outcome: NDArray[np.float64]
    outcome_name: str
    outcome_title: str
    pairs: NDArray[np.int64]
    points: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n_units, names = len(self.keys), self.feature_names
        for name in ("labels", "states", "outcome", "values", "points"):
            if getattr(self, name) is not None and len(getattr(self, name)) != n_units:
                raise InputError(f"study {self.name}: found {len(getattr(self, name))} {name}, expected {n_units}")
        if self.values.shape[1] != len(names):
            raise InputError(
                f"study {self.name}: found {self.values.shape[1]} columns of values, expected {len(names)}"
            )
        if len(set(self.keys)) != n_units:
            twice = next(key for key, count in zip(*np.unique(self.keys, return_counts=True), strict=True) if count > 1)
            raise InputError(f"study {self.name}: found unit {twice} more than once, expected each once")
        if self.outcome_name in names:
            raise InputError(f"study {self.name}: the target {self.outcome_name!r} is among the features")
        if np.isnan(self.outcome).any():
            first = self.keys[np.isnan(self.outcome)][0]
            raise InputError(
                f"study {self.name}: unit {first} has no {self.outcome_name}; expected units with an outcome"
            )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the columns of `values`."""
        return tuple(feature.name for feature in self.features)

    @property
    def domains(self) -> dict[str, list[int]]:
        """Return the columns of each domain."""
        found: dict[str, list[int]] = {}
        for column, feature in enumerate(self.features):
            found.setdefault(feature.domain, []).append(column)
        return found

    @property
    def groups(self) -> dict[str, dict[str, list[int]]]:
        """Return the groups of columns that are shuffled together, by kind: each domain, and each feature alone."""
        alone = {name: [column] for column, name in enumerate(self.feature_names)}
        domains = {"domain": self.domains} if any(self.domains) else {}
        return {**domains, "feature": alone}

    def columns(self, names: Sequence[str]) -> Study:
        """Return the study with some features, in the order named.

        Raises
        ------
        InputError
            If a feature is not there.
        """
        absent = [name for name in names if name not in self.feature_names]
        if absent:
            raise InputError(
                f"study {self.name}: no feature {absent[0]!r}; expected some of: {', '.join(self.feature_names)}"
            )
        chosen = [self.feature_names.index(name) for name in names]
        return replace(self, features=tuple(self.features[column] for column in chosen), values=self.values[:, chosen])


def frame_study(
    frame: pd.DataFrame,
    outcome: str,
    features: Sequence[Feature],
    *,
    states: str | None = None,
    edges: pd.DataFrame | None = None,
    points: Sequence[str] = (),
    name: str = "units",
) -> Study:
    """Return the study of a frame's rows; rows without an outcome are left out.

    Parameters
    ----------
    frame : DataFrame
        One row per unit, each key once in its index.
    outcome : str
        Column of the outcome.
    features : sequence of Feature
        Columns of numbers.
    states : str, optional
        Column of the state of each unit.
    edges : DataFrame, optional
        Neighbors of units, indexed by focal key; column ``neighbor``, both directions.
    points : sequence of str, optional
        Columns of longitude and latitude.
    name : str
        Of the study.

    Raises
    ------
    InputError
        If a key is there twice, a value is infinite, or a feature is constant, missing everywhere or the outcome under
        another name.
    """
    target = frame[outcome].to_numpy(np.float64, na_value=np.nan)
    rows = frame[~np.isnan(target)]
    values = rows[[feature.name for feature in features]].to_numpy(np.float64, na_value=np.nan)
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, column = infinite[0]
        raise InputError(
            f"study {name}: feature {features[column].name!r}, unit {rows.index[row]}: found {values[row, column]}, "
            "expected a finite number or a missing one"
        )
    keys = rows.index.astype(str).to_numpy(object)
    none = np.full(len(rows), "", dtype=object)
    study = Study(
        name=name,
        keys=keys,
        labels=keys,
        states=none if states is None else rows[states].fillna("").astype(str).to_numpy(object),
        features=tuple(features),
        values=values,
        outcome=target[~np.isnan(target)],
        outcome_name=outcome,
        outcome_title=outcome,
        pairs=study_pairs(edges, rows.index),
        points=rows[list(points)].to_numpy(np.float64) if points else None,
    )
    refuse_twins(study)
    return check_features(study)


def check_features(study: Study) -> Study:
    """Return the study if every feature has different values.

    Raises
    ------
    InputError
        If a feature is constant or missing everywhere; it names it.
    """
    for column, feature in enumerate(study.features):
        values = study.values[:, column]
        known = values[~np.isnan(values)]
        if not len(known):
            raise InputError(f"study {study.name}: feature {feature.name!r} is missing everywhere; expected values")
        if known.min() == known.max():
            raise InputError(
                f"study {study.name}: feature {feature.name!r} is constant ({known[0]:g} in all {len(known)} units); "
                "expected one that differs between units"
            )
    return study


def check_once(features: Sequence[str]) -> list[str]:
    """Return the features, each of which must be named once.

    Raises
    ------
    InputError
        If not; it names them.
    """
    twice = sorted({name for name in features if list(features).count(name) > 1})
    if twice:
        raise InputError(f"features: {', '.join(twice)} named more than once; expected each once")
    if not features:
        raise InputError("features: none named; expected one or more")
    return list(features)


def refuse_twins(study: Study) -> None:
    """Refuse a feature that is the outcome under another name.

    Raises
    ------
    InputError
        If the absolute correlation of a feature with the outcome is above 0.9999; it names the feature.
    """
    for name, values in zip(study.feature_names, study.values.T, strict=True):
        known = ~np.isnan(values)
        x, y = values[known], study.outcome[known]
        if len(x) < 3 or not np.ptp(x) or not np.ptp(y):
            continue
        r = float(np.corrcoef(x, y)[0, 1])
        if abs(r) > _TWIN:
            raise InputError(
                f"feature {name!r}: its correlation with the target {study.outcome_name!r} is {r:.6f}; "
                f"expected at most {_TWIN}, as more is the target under another name"
            )


def study_pairs(edges: pd.DataFrame | None, keys: pd.Index) -> NDArray[np.int64]:
    """Return the edges of a graph as the pairs of a `Study`.

    Parameters
    ----------
    edges : DataFrame, optional
        Indexed by focal key; column ``neighbor``, both directions.
    keys : Index
        Units, in the order of the study.

    Returns
    -------
    shape (n_pairs, 2), int64
        Rows of `keys`, both directions, sorted; places that are no units are numbered after them, in the order of
        their keys. Empty without edges.

    Examples
    --------
    >>> edges = pd.DataFrame({"neighbor": ["b", "a", "c", "b"]}, index=["a", "b", "b", "c"])
    >>> study_pairs(edges, pd.Index(["a", "c"])).tolist()
    [[0, 2], [1, 2], [2, 0], [2, 1]]
    """
    if edges is None:
        return np.zeros((0, 2), dtype=np.int64)
    both = pd.Index(edges.index).append(pd.Index(edges["neighbor"]))
    nodes = keys.append(both.difference(keys).unique().sort_values())
    rows = np.column_stack([nodes.get_indexer(edges.index), nodes.get_indexer(edges["neighbor"])])
    # A graph of some states knows the edges into others from one side only.
    outward = rows[(rows >= len(keys)).any(axis=1)]
    return np.unique(np.vstack([rows, outward[:, ::-1]]), axis=0).astype(np.int64).reshape(-1, 2)
