"""The study of commuting zones: attributes and outcomes of the 1990 zones, from the tables of ``zones/<vintage>``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import geopandas as gpd
import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.centroids import points_of
from geomob_dask.models.study import Feature, Study, check_features, check_once, study_pairs
from geomob_dask.sources.opportunity_insights import CHARACTERISTICS, UPWARD_MOBILITY, zone_columns
from geomob_dask.store import Snapshot, Store

# The option of jobs/ingest.py zones that each optional table needs.
_NEEDS = {"cohort": "--cohort-counts", "polygons": "--counties", "neighbors": "--counties"}


def zones_study(
    characteristics: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    cohort: pd.DataFrame | None = None,
    edges: pd.DataFrame | None = None,
    polygons: gpd.GeoDataFrame | None = None,
    features: Sequence[str] | None = None,
    outcome: str = UPWARD_MOBILITY,
) -> Study:
    """Return the study of commuting zones.

    Parameters
    ----------
    characteristics, outcomes : DataFrame
        Indexed by ``zone``; ``name``, ``state`` and columns of numbers.
    cohort : DataFrame, optional
        ``minority_tracts_count`` by zone: only zones with a minority tract are studied; by default all are.
    edges : DataFrame, optional
        Neighbors of zones, indexed by ``focal``, both directions.
    polygons : GeoDataFrame, optional
        Polygons of zones, whose centroids are the points of the study.
    features : sequence of str, optional
        Columns of `characteristics`; by default the 36 of the published study.
    outcome : str
        Column of `outcomes`; zones without it are left out.

    Raises
    ------
    InputError
        If a column is not there, an outcome is named as a feature, or a feature is constant.
    """
    described = {
        column.name: Feature(column.name, column.title, column.domain, column.unit) for column in zone_columns()
    }
    names = _feature_names(features, outcome, characteristics, outcomes)
    kept = outcomes.index[outcomes[outcome].notna()].intersection(characteristics.index)
    if cohort is not None:
        kept = kept.intersection(_with_minority_tract(cohort))
    rows = characteristics.loc[kept.sort_values()]
    study = Study(
        name="zones",
        keys=rows.index.to_numpy(object),
        labels=(rows["name"] + ", " + rows["state"]).to_numpy(object),
        states=rows["state"].to_numpy(object),
        features=tuple(described[name] for name in names),
        values=rows[names].to_numpy(np.float64),
        outcome=outcomes.loc[rows.index, outcome].to_numpy(np.float64),
        outcome_name=outcome,
        outcome_title=described[outcome].title,
        pairs=study_pairs(edges, rows.index),
        points=None if polygons is None else points_of(polygons).reindex(rows.index).to_numpy(np.float64),
    )
    return check_features(study)


def _with_minority_tract(cohort: pd.DataFrame) -> pd.Index:
    return cohort.index[cohort["minority_tracts_count"] > 0]


def _feature_names(
    features: Sequence[str] | None, outcome: str, characteristics: pd.DataFrame, outcomes: pd.DataFrame
) -> list[str]:
    possible = [name for name in outcomes if name not in ("name", "state")]
    if outcome not in possible:
        raise InputError(f"outcome {outcome!r}: not in the table of zones; expected one of: {', '.join(possible)}")
    if features is None:
        return [column.name for column in zone_columns(CHARACTERISTICS) if column.is_feature]
    available = [name for name in characteristics if name not in ("name", "state")]
    for name in features:
        if name == outcome:
            raise InputError(f"feature {name!r}: the target is among the features; expected characteristics alone")
        if name in possible:
            raise InputError(f"feature {name!r}: is an outcome; expected characteristics: {', '.join(available)}")
        if name not in available:
            raise InputError(f"feature {name!r}: not in the table of zones; expected some of: {', '.join(available)}")
    return check_once(features)


def read_zones_study(
    store: Store,
    snapshot: Snapshot,
    *,
    cohort: bool = True,
    features: Sequence[str] | None = None,
    outcome: str = UPWARD_MOBILITY,
) -> Study:
    """Return the study of a snapshot of ``zones/<vintage>``; see `zones_study`.

    Parameters
    ----------
    cohort : bool
        Whether only zones with a minority tract are studied.

    Raises
    ------
    InputError
        As `zones_study`, and if a table that is needed was not ingested.
    """
    return zones_study(
        zones_table(store, snapshot, "characteristics"),
        zones_table(store, snapshot, "outcomes"),
        cohort=zones_table(store, snapshot, "cohort") if cohort else None,
        edges=zones_table(store, snapshot, "neighbors") if "neighbors" in snapshot.parts else None,
        polygons=zones_polygons(store, snapshot) if "polygons" in snapshot.parts else None,
        features=features,
        outcome=outcome,
    )


def zones_table(store: Store, snapshot: Snapshot, name: str) -> pd.DataFrame:
    """Return one table of a snapshot of ``zones/<vintage>``.

    Raises
    ------
    InputError
        If it was not ingested.
    """
    if name not in snapshot.parts:
        raise InputError(
            f"{store.url}/{snapshot.collection}: no table {name!r} (found: {', '.join(snapshot.parts)}); "
            f"expected zones ingested with {_NEEDS.get(name, name)}"
        )
    return store.read(snapshot.parts[name])


def zones_polygons(store: Store, snapshot: Snapshot) -> gpd.GeoDataFrame:
    """Return the polygons of zones: index ``zone``; ``name``, ``state``, ``counties_count`` and the geometry.

    Raises
    ------
    InputError
        If no polygons of counties were ingested.
    """
    return zones_table(store, snapshot, "polygons")


def zones_counts(store: Store, snapshot: Snapshot, outcome: str = UPWARD_MOBILITY) -> Mapping[str, float]:
    """Return the number of zones, of those with an outcome, in the cohort, and in both; and the mean white share.

    Raises
    ------
    InputError
        If the cohort was not ingested, or there is no such outcome.
    """
    counts = zones_table(store, snapshot, "cohort")
    cohort = _with_minority_tract(counts)
    outcomes = zones_table(store, snapshot, "outcomes")
    if outcome not in outcomes:
        raise InputError(f"outcome {outcome!r}: not in the table of zones")
    known = outcomes.index[outcomes[outcome].notna()]
    return {
        "zones": len(counts),
        "zones_with_outcome": len(known),
        "cohort": len(cohort),
        "cohort_with_outcome": len(cohort.intersection(known)),
        "white_share_mean": float(snapshot.attributes["white_share_mean"]),
    }
