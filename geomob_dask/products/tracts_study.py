"""The study of tracts: measures of one vintage joined with an outcome, from ``measures/<dataset>/<year>``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from geomob_dask.definition import Definition
from geomob_dask.errors import InputError
from geomob_dask.frames.centroids import POINT, points_of
from geomob_dask.messages import listed
from geomob_dask.models.study import Feature, Study, check_features, check_once, refuse_twins, study_pairs
from geomob_dask.sources.opportunity_insights import ATLAS, ATLAS_OUTCOME, ATLAS_YEAR
from geomob_dask.sources.states import STATES
from geomob_dask.store import Snapshot, Store

# Storage far away answers slowly but many requests at a time.
_DOWNLOADS = 8


def tracts_study(
    outcome: pd.Series,
    measures: Mapping[str, pd.DataFrame],
    *,
    outcome_at: str,
    edges: pd.DataFrame | None = None,
    points: pd.DataFrame | None = None,
    features: Sequence[str] | None = None,
    domains: Mapping[str, str] | None = None,
) -> Study:
    """Return the study of the tracts that have an outcome and measures.

    Parameters
    ----------
    outcome : Series
        Indexed by ``geoid``; its name is the outcome's. Tracts where it is missing are left out.
    measures : mapping of str to DataFrame
        Columns of numbers by ``geoid``, by collection.
    outcome_at : str
        Collection of the outcome, such as ``measures/opportunity_atlas/2018``.
    edges : DataFrame, optional
        Neighbors of tracts, indexed by ``focal``, both directions.
    points : DataFrame, optional
        ``longitude`` and ``latitude`` by ``geoid``.
    features : sequence of str, optional
        Columns of `measures`; all numbers by default.
    domains : mapping of str to str, optional
        Domain of each feature; by default the name of its dataset.

    Raises
    ------
    InputError
        If there are no measures, two tables share a column, a feature is not there, is constant or is the outcome
        under another name (a correlation beyond 0.9999), or the tables have no tract of a state in common.
    """
    name = str(outcome.name)
    of = _collection_of_each(measures, features, name)
    for collection, frame in measures.items():
        _refuse_other_codes(outcome.index, frame.index, outcome_at, collection)
    outcome = outcome.dropna()
    keys = outcome.index
    for frame in measures.values():
        keys = keys.intersection(frame.index)
    keys = keys.sort_values()
    letters = np.array([STATES[code].letters for code in keys.str[:2]], dtype=object)
    domains = domains or {}
    _, dataset, year = outcome_at.split("/")
    study = Study(
        name="tracts",
        keys=keys.to_numpy(object),
        labels=np.array([f"{key}, {state}" for key, state in zip(keys, letters, strict=True)], dtype=object),
        states=letters,
        features=tuple(
            Feature(column, column, domains.get(column, collection.split("/")[1]), "")
            for column, collection in of.items()
        ),
        values=np.column_stack(
            [measures[collection].loc[keys, column].to_numpy(np.float64) for column, collection in of.items()]
        ),
        outcome=outcome.loc[keys].to_numpy(np.float64),
        outcome_name=name,
        outcome_title=f"{name} ({dataset} {year})",
        pairs=study_pairs(edges, keys),
        points=None if points is None else points.reindex(keys)[list(POINT)].to_numpy(np.float64),
    )
    refuse_twins(study)
    return check_features(study)


def _collection_of_each(
    measures: Mapping[str, pd.DataFrame], features: Sequence[str] | None, outcome: str
) -> dict[str, str]:
    """Return the collection of each feature."""
    of: dict[str, str] = {}
    for collection, frame in measures.items():
        for name in frame.select_dtypes("number").columns:
            if name in of:
                raise InputError(f"measure {name!r} is in {of[name]} and {collection}; expected it in one")
            of[str(name)] = collection
    if features is None:
        if outcome in of:
            raise InputError(f"measures: the target {outcome!r} is among them; expected the features to be named")
        return of
    if outcome in features:
        raise InputError(f"feature {outcome!r}: the target is among the features; expected measures alone")
    for name in features:
        if name not in of:
            raise InputError(f"feature {name!r}: in none of the measures; expected some of: {', '.join(of)}")
    return {name: of[name] for name in check_once(features)}


def _refuse_other_codes(outcome: pd.Index, measures: pd.Index, outcome_at: str, measures_at: str) -> None:
    """Refuse tables of which a state's tracts have no code in common."""
    common = set(outcome.intersection(measures).str[:2])
    wrong = sorted((set(outcome.str[:2]) & set(measures.str[:2])) - common)
    if wrong or not common:
        state = wrong[0] if wrong else None
        where = "any state" if state is None else f"state {state}"
        raise InputError(
            f"{outcome_at} and {measures_at}: no tract in common in {where}; expected one code system "
            f"(found {_first(outcome, state)} and {_first(measures, state)})"
        )


def _first(keys: pd.Index, state: str | None) -> str:
    inside = keys if state is None else keys[keys.str[:2] == state]
    return str(inside[0]) if len(inside) else "none"


def read_tracts_study(
    store: Store,
    snapshots: Mapping[str, Snapshot],
    *,
    measures: Sequence[tuple[str, int]],
    outcome: str = ATLAS_OUTCOME,
    outcomes: tuple[str, int] = (ATLAS, ATLAS_YEAR),
    features: Sequence[str] | None = None,
    definition: Definition | None = None,
    states: Sequence[str] | None = None,
) -> Study:
    """Return the study of tracts from snapshots of their collections; see `tracts_study`.

    Parameters
    ----------
    snapshots : mapping of str to Snapshot
        From `tracts_inputs`.
    measures : sequence of (dataset, year)
        Where the features are.
    outcome : str
        Column of the outcome.
    outcomes : (dataset, year)
        Where it is.
    definition : Definition, optional
        Of an index: its measures are the features, with their domains.
    states : sequence of str, optional
        Codes of the states whose tracts are studied; all by default.

    Raises
    ------
    InputError
        As `tracts_study`, and if a column or state is not there, or the measures are of another vintage.
    """
    at = _collection(outcomes)
    source = snapshots[at]
    columns = store.columns(source, states)
    if outcome not in columns:
        raise InputError(f"outcome {outcome!r}: not in {at}; expected one of: {listed(columns, 40)}")
    frames = {}
    for name in map(_collection, measures):
        _refuse_other_vintage(snapshots[name], source)
        frames[name] = _rows(store, snapshots[name], states)
    if features is None and definition is not None:
        features = definition.measures
    edges = snapshots.get(f"neighbors/{source.attributes['vintage']}")
    tracts = snapshots.get(f"tracts/{source.attributes['vintage']}")
    return tracts_study(
        _rows(store, source, states, ["geoid", outcome])[outcome],
        frames,
        outcome_at=at,
        # Of all states: steps may lead through some that are not studied.
        edges=None if edges is None or not edges.parts else _rows(store, edges, None, ["focal", "neighbor"]),
        points=None if tracts is None else _points(store, tracts, states),
        features=features,
        domains=None if definition is None else _domains(definition),
    )


def tracts_inputs(
    store: Store, measures: Sequence[tuple[str, int]], outcomes: tuple[str, int] = (ATLAS, ATLAS_YEAR)
) -> dict[str, Snapshot]:
    """Return the snapshots that a study of tracts reads, by collection: outcome, measures, graph and polygons if any.

    Raises
    ------
    InputError
        If no measures are named, a collection is not in the store, or the outcome's is among the measures.
    """
    if not measures:
        raise InputError("--measures: none named; expected datasets and years, such as --measures opportunity:2018")
    at = _collection(outcomes)
    names = [_collection(pair) for pair in measures]
    found = {name: store.snapshot(name) for name in (at, *names)}
    if at in names:
        raise InputError(
            f"measures: {at} is where the target is; expected other measures, as another outcome of the same people "
            "would pass for a feature"
        )
    around = [store.find(f"{kind}/{found[at].attributes['vintage']}") for kind in ("neighbors", "tracts")]
    return found | {snapshot.collection: snapshot for snapshot in around if snapshot is not None}


def _collection(dataset_year: tuple[str, int]) -> str:
    return f"measures/{dataset_year[0]}/{dataset_year[1]}"


def _refuse_other_vintage(measures: Snapshot, outcome: Snapshot) -> None:
    found, expected = measures.attributes.get("vintage"), str(outcome.attributes["vintage"])
    if found != expected:
        raise InputError(
            f"{measures.collection} is on tracts of vintage {found}, {outcome.collection} on those of {expected}; "
            "expected one code system: measures of the same vintage"
        )


def _rows(
    store: Store, snapshot: Snapshot, states: Sequence[str] | None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    parts = [part for part in store.chosen(snapshot, states).values() if part.rows]
    if not parts:
        raise InputError(f"{store.url}/{snapshot.collection}: found no rows of these states, expected some")
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        return pd.concat(list(pool.map(lambda part: store.read(part, columns), parts)))


def _points(store: Store, tracts: Snapshot, states: Sequence[str] | None) -> pd.DataFrame | None:
    """Return the centroids of tracts; None if the store has no polygons of these states."""
    chosen = [state for state in tracts.parts if states is None or state in states]
    if not chosen:
        return None
    points: pd.DataFrame = points_of(store.aligned(tracts, chosen, ["geometry"])).compute(scheduler="threads")
    return points


def _domains(definition: Definition) -> dict[str, str]:
    return {member.measure: domain for domain, members in definition.domains.items() for member in members}
