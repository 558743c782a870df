"""The mobility study's data: files into the store, and studies of zones or tracts out of it.

``zones/<vintage>`` is one collection whose parts are tables, not states, so that one commit shows all of them:
``characteristics`` and ``outcomes`` (a row a zone), ``counties`` (the zone of each), and, where their files were given,
``cohort`` (tracts and minority tracts a zone), ``polygons`` and ``neighbors``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geomob_dask.definition import Definition
from geomob_dask.errors import InputError
from geomob_dask.graph.contiguity import neighbors
from geomob_dask.models.study import Feature, Study, check_features
from geomob_dask.runs.ingest import Ingested, crs_name, file_checksums, put_all
from geomob_dask.sources.areas import read_areas
from geomob_dask.sources.keys import listed
from geomob_dask.sources.measures import by_state
from geomob_dask.sources.opportunity_insights import (
    CHARACTERISTICS,
    UPWARD_MOBILITY,
    minority_tracts,
    read_atlas,
    read_county_zones,
    read_white_shares,
    read_workbook,
    zone_columns,
    zones_of_counties,
)
from geomob_dask.sources.states import STATES
from geomob_dask.store import Provenance, Snapshot, Store

ZONES = "zones"
ZONE_VINTAGE = "1990"
"""Commuting zones are made of the counties of 1990."""
TABLES = ("characteristics", "outcomes", "counties", "cohort", "polygons", "neighbors")

ATLAS, ATLAS_YEAR, ATLAS_VINTAGE, ATLAS_OUTCOME = "opportunity_atlas", 2018, "2010", "kir_pooled_p25"

_TWIN = 0.9999
# A feature closer to the target (Pearson's r) is the target.

Pairs = NDArray[np.int64]


# Zones into the store ----------------------------------------------------------------------------


def ingest_zones(
    store: Store,
    workbook: str,
    county_zones: str,
    *,
    cohort_counts: str | None = None,
    counties: str | None = None,
    vintage: str = ZONE_VINTAGE,
    dry_run: bool = False,
) -> Ingested:
    """Read and store the commuting zones of the study, all tables in one commit.

    Parameters
    ----------
    workbook : str
        Opportunity Insights' workbook; see `sources.opportunity_insights.read_workbook`.
    county_zones : str
        csv of the zone of each county.
    cohort_counts : str, optional
        Counts of 2000 by tract, for the cohort: see `read_white_shares`.
    counties : str, optional
        Polygons of counties of any year: dissolved, they are the zones' polygons, and tell which are neighbours.
    vintage : str
        Name of the zones.

    Returns
    -------
    Ingested
        `rows` by table, and what was found.

    Raises
    ------
    InputError, GeometryError
        If a file cannot be used. Nothing is written then.
    """
    book, table = read_workbook(workbook), read_county_zones(county_zones)
    known = book.characteristics.index
    lines = [*book.lines, *_zones_lines(known, table)]
    tables: dict[str, pd.DataFrame] = {
        "characteristics": book.characteristics,
        "outcomes": book.outcomes,
        "counties": table.to_frame(),
    }
    attributes: dict[str, Any] = {"kind": "commuting zones"}
    if cohort_counts is not None:
        tables["cohort"], mean, found = _cohort(cohort_counts, table, known)
        attributes["white_share_mean"] = mean
        lines += found
    if counties is not None:
        polygons, tables["neighbors"], found = _polygons(counties, table, book.characteristics)
        tables["polygons"], attributes["crs"] = polygons, crs_name(polygons.crs)
        lines += found
    collection = f"{ZONES}/{vintage}"
    if not dry_run:
        files = [file for file in (workbook, county_zones, cohort_counts, counties) if file is not None]
        provenance = Provenance("ingest", file_checksums(files), {"vintage": vintage}, {"lines": lines})
        with store.all_or_nothing(collection):
            store.commit(collection, put_all(store, collection, tables), provenance, attributes)
    return Ingested(collection, {name: len(tables[name]) for name in TABLES if name in tables}, tuple(lines))


def _zones_lines(known: pd.Index, county_zones: pd.Series) -> list[str]:
    lines = [f"{len(county_zones):,} counties in {county_zones.nunique():,} zones"]
    bare = known.difference(pd.Index(county_zones.unique()))
    if len(bare):
        lines.append(f"{len(bare):,} zones of the workbook without a county: {listed(_plain(bare))}")
    strange = pd.Index(county_zones.unique()).difference(known)
    if len(strange):
        lines.append(f"{len(strange):,} zones of the counties that the workbook lacks: {listed(_plain(strange))}")
    return lines


def _plain(zones: Iterable[str]) -> list[str]:
    return [str(int(zone)) for zone in zones]


def _cohort(file: str, county_zones: pd.Series, known: pd.Index) -> tuple[pd.DataFrame, float, list[str]]:
    """Return tracts and minority tracts of each zone, the mean share over tracts, and what was found."""
    shares = read_white_shares(file)
    minority = minority_tracts(shares.to_numpy(np.float64))
    counties = shares.index.str[:5]
    zones, reasons = zones_of_counties(counties, county_zones)
    tracts = pd.DataFrame({"zone": zones.reindex(counties).to_numpy(object), "minority": minority})
    by_zone = tracts.dropna(subset=["zone"]).groupby("zone")["minority"].agg(["size", "sum"]).reindex(known).fillna(0)
    cohort = by_zone.set_axis(["tracts_count", "minority_tracts_count"], axis=1).astype("int64").rename_axis("zone")
    mean = float(np.nanmean(shares.to_numpy(np.float64)))
    lines = [
        f"{len(shares):,} tracts of 2000, mean white share {mean:.4f}: {int(minority.sum()):,} minority tracts, "
        f"in {int((cohort['minority_tracts_count'] > 0).sum()):,} of {len(cohort):,} zones",
        *_county_lines("tracts of 2000", reasons, zones),
    ]
    if not cohort["minority_tracts_count"].any():
        raise InputError(f"{file}: no minority tract lies in a zone of the workbook; expected tracts of its counties")
    return cohort, mean, lines


def _county_lines(what: str, reasons: Mapping[str, str], zones: pd.Series) -> list[str]:
    mapped = [f"{county} {reason}" for county, reason in reasons.items() if county in zones.index]
    without = {county: reason for county, reason in reasons.items() if county not in zones.index}
    lines = [f"{what}: counties whose code changed: {listed(mapped, 12)}"] if mapped else []
    for state, codes in by_state(list(without)).items():
        name = STATES[state].name if state in STATES else "unknown state"
        lines.append(f"{what}: {len(codes)} counties without a zone in {state} {name}: {listed(codes)}")
    return lines


def _polygons(
    file: str, county_zones: pd.Series, characteristics: pd.DataFrame
) -> tuple[gpd.GeoDataFrame, pd.DataFrame, list[str]]:
    """Return the zones' polygons, their pairs (both directions), and what was found."""
    areas, found = read_areas([file])
    zones, reasons = zones_of_counties(areas.index, county_zones)
    areas = areas.loc[zones.index].assign(zone=zones.to_numpy(object))
    if areas.empty:
        raise InputError(f"{file}: no polygon is of a county of the zones; expected codes such as 47019")
    edges = _zone_pairs(areas)
    known = characteristics.index.intersection(pd.Index(areas["zone"].unique()))
    shapes = {zone: shapely.union_all(np.asarray(part.geometry.array)) for zone, part in areas.groupby("zone")}
    counts = areas.groupby("zone").size()
    polygons = gpd.GeoDataFrame(
        {
            "name": characteristics.loc[known, "name"],
            "state": characteristics.loc[known, "state"],
            "counties_count": counts.reindex(known).astype("int64"),
        },
        geometry=[shapes[zone] for zone in known],
        crs=areas.crs,
        index=known,
    )
    edges = edges[edges.index.isin(known) & edges["neighbor"].isin(known)]
    lines = [
        *found,
        f"{len(polygons):,} zones with a polygon, {len(edges) // 2:,} pairs of neighbours",
        *_county_lines("polygons", reasons, zones),
    ]
    bare = characteristics.index.difference(known)
    if len(bare):
        lines.append(f"{len(bare):,} zones without a polygon: {listed(_plain(bare))}")
    alone = known.difference(edges.index)
    if len(alone):
        lines.append(f"{len(alone):,} zones without a neighbour: {listed(_plain(alone))}")
    return polygons, edges, lines


def _zone_pairs(areas: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return zones that touch: a county of one touches a county of the other."""
    zone_of = areas["zone"]
    edges = neighbors(areas[["geometry"]])
    pairs = pd.DataFrame(
        {
            "focal": zone_of.loc[edges["focal"]].to_numpy(object),
            "neighbor": zone_of.loc[edges["neighbor"]].to_numpy(object),
            "rook": edges["rook"].to_numpy(bool),
        }
    ).astype({"focal": "str", "neighbor": "str"})
    pairs = pairs[pairs["focal"] != pairs["neighbor"]]
    return pairs.groupby(["focal", "neighbor"])["rook"].any().reset_index().set_index("focal")


# Tract outcomes into the store -------------------------------------------------------------------


def ingest_atlas(
    store: Store,
    file: str,
    *,
    dataset: str = ATLAS,
    year: int = ATLAS_YEAR,
    vintage: str = ATLAS_VINTAGE,
    columns: Sequence[str] | None = None,
    dry_run: bool = False,
) -> Ingested:
    """Read and store tract outcomes of the Opportunity Atlas as ``measures/<dataset>/<year>``.

    Parameters
    ----------
    file : str
        See `sources.opportunity_insights.read_atlas`.
    columns : sequence of str, optional
        All columns of numbers by default.
    """
    frame = read_atlas(file, columns)
    lines = [f"{len(frame):,} tracts, {len(frame.columns)} columns of numbers"]
    lines += [f"{name}: {int(count):,} missing" for name, count in frame.isna().sum().items() if count]
    collection = f"measures/{dataset}/{year}"
    parts_of = {str(state): part for state, part in frame.groupby(frame.index.str[:2])}
    if not dry_run:
        options = {"dataset": dataset, "year": year, "vintage": vintage}
        with store.all_or_nothing(collection):
            parts = put_all(store, collection, parts_of)
            store.commit(
                collection,
                parts,
                Provenance("ingest", file_checksums([file]), options),
                {"vintage": vintage},
                keep_others=True,
            )
    return Ingested(collection, {state: len(part) for state, part in parts_of.items()}, tuple(lines))


# Studies out of the store ------------------------------------------------------------------------


def zones_study(
    store: Store,
    *,
    vintage: str = ZONE_VINTAGE,
    cohort: bool = True,
    features: Sequence[str] | None = None,
    outcome: str = UPWARD_MOBILITY,
) -> Study:
    """Return the study of commuting zones.

    Parameters
    ----------
    cohort : bool
        Only zones with a minority tract; otherwise all.
    features : sequence of str, optional
        Columns of characteristics; by default the 36 of the published study.
    outcome : str
        Column of outcomes; zones without it are left out.

    Returns
    -------
    Study
        Neighbours where polygons were ingested.

    Raises
    ------
    InputError
        If the zones, the cohort or a column are not there, an outcome is named as a feature, or a feature is constant.
    """
    snapshot = store.snapshot(f"{ZONES}/{vintage}")
    outcomes = _table(store, snapshot, "outcomes")
    characteristics = _table(store, snapshot, "characteristics")
    described = {one.name: Feature(one.name, one.title, one.domain, one.unit) for one in zone_columns()}
    names = _feature_names(features, outcome, characteristics, outcomes)
    kept = outcomes.index[outcomes[outcome].notna()].intersection(characteristics.index)
    if cohort:
        counts = _table(store, snapshot, "cohort")["minority_tracts_count"]
        kept = kept.intersection(counts.index[counts > 0])
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
        pairs=_pairs(store, snapshot.parts.get("neighbors"), rows.index),
    )
    return check_features(study)


def _feature_names(
    features: Sequence[str] | None, outcome: str, characteristics: pd.DataFrame, outcomes: pd.DataFrame
) -> list[str]:
    possible = [name for name in outcomes if name not in ("name", "state")]
    if outcome not in possible:
        raise InputError(f"outcome {outcome!r}: not in the table of zones; expected one of: {', '.join(possible)}")
    if features is None:
        return [one.name for one in zone_columns(CHARACTERISTICS) if one.is_feature]
    there = [name for name in characteristics if name not in ("name", "state")]
    for name in features:
        if name == outcome:
            raise InputError(f"feature {name!r}: the target is among the features; expected characteristics alone")
        if name in possible:
            raise InputError(f"feature {name!r}: is an outcome; expected characteristics: {', '.join(there)}")
        if name not in there:
            raise InputError(f"feature {name!r}: not in the table of zones; expected some of: {', '.join(there)}")
    return _once(features)


def _once(features: Sequence[str]) -> list[str]:
    twice = sorted({name for name in features if list(features).count(name) > 1})
    if twice:
        raise InputError(f"features: {listed(twice)} named more than once; expected each once")
    if not features:
        raise InputError("features: none named; expected one or more")
    return list(features)


def _table(store: Store, snapshot: Snapshot, name: str) -> pd.DataFrame:
    if name not in snapshot.parts:
        option = {"cohort": "--cohort-counts", "polygons": "--counties", "neighbors": "--counties"}.get(name, "")
        raise InputError(
            f"{store.url}/{snapshot.collection}: no table {name!r}; expected zones ingested with {option} "
            f"(there are: {', '.join(snapshot.parts)})"
        )
    return store.read(snapshot.parts[name])


def _pairs(store: Store, part: Any, keys: pd.Index) -> Pairs:
    if part is None:
        return np.zeros((0, 2), dtype=np.int64)
    return _positions(store.read(part, ["focal", "neighbor"]), keys)


def _positions(edges: pd.DataFrame, keys: pd.Index) -> Pairs:
    """Return edges as rows of keys, both directions, in order; places that are not among keys follow, by their code."""
    both = pd.Index(edges.index).append(pd.Index(edges["neighbor"]))
    nodes = keys.append(both.difference(keys).unique().sort_values())
    rows = np.column_stack([nodes.get_indexer(edges.index), nodes.get_indexer(edges["neighbor"])])
    # A graph of some states knows the edges into others from one side only.
    outward = rows[(rows >= len(keys)).any(axis=1)]
    return np.unique(np.vstack([rows, outward[:, ::-1]]), axis=0).astype(np.int64).reshape(-1, 2)


def zones_polygons(store: Store, vintage: str = ZONE_VINTAGE) -> gpd.GeoDataFrame:
    """Return the zones' polygons: index ``zone``; ``name``, ``state``, ``counties_count`` and the geometry.

    Raises
    ------
    InputError
        If no zones, or no polygons of counties, were ingested.
    """
    return _table(store, store.snapshot(f"{ZONES}/{vintage}"), "polygons")


def zones_counts(store: Store, vintage: str = ZONE_VINTAGE, outcome: str = UPWARD_MOBILITY) -> dict[str, float]:
    """Return how many zones there are, have an outcome, a minority tract, and both; and the mean white share.

    Raises
    ------
    InputError
        If the zones or the cohort were not ingested.
    """
    snapshot = store.snapshot(f"{ZONES}/{vintage}")
    counts = _table(store, snapshot, "cohort")["minority_tracts_count"]
    cohort = counts.index[counts > 0]
    outcomes = _table(store, snapshot, "outcomes")
    if outcome not in outcomes:
        raise InputError(f"outcome {outcome!r}: not in the table of zones")
    there = outcomes.index[outcomes[outcome].notna()]
    return {
        "zones": len(counts),
        "zones_with_outcome": len(there),
        "cohort": len(cohort),
        "cohort_with_outcome": len(cohort.intersection(there)),
        "white_share_mean": float(snapshot.attributes["white_share_mean"]),
    }


def tracts_study(
    store: Store,
    measures: Sequence[tuple[str, int]],
    *,
    outcome_dataset: str = ATLAS,
    outcome_year: int = ATLAS_YEAR,
    outcome: str = ATLAS_OUTCOME,
    features: Sequence[str] | None = None,
    definition: Definition | None = None,
    states: Sequence[str] | None = None,
) -> Study:
    """Return the study of tracts: measures of the store joined with an outcome.

    Parameters
    ----------
    measures : sequence of (dataset, year)
        Whose columns are the features; all of one vintage, the outcome's.
    outcome_dataset, outcome_year, outcome : str, int, str
        Where the outcome is, such as ``kir_pooled_p25`` of the Opportunity Atlas; tracts without it are left out.
    features : sequence of str, optional
        Columns of measures; all numbers by default, or those of the definition.
    definition : Definition, optional
        Tells the domain of each measure; without one, the dataset's name is the domain.
    states : sequence of str, optional
        Codes of states; all by default.

    Returns
    -------
    Study
        Neighbours where the graph of the vintage is in the store.

    Raises
    ------
    InputError
        If a dataset or column is not there, two datasets share a column, the codes of tracts are of different vintages
        (or of one name and yet without a key in common in a state), a feature is
        constant, in the outcome's own collection, or the outcome under another name (a correlation beyond 0.9999).
    """
    outcome_at = f"measures/{outcome_dataset}/{outcome_year}"
    snapshot = store.snapshot(outcome_at)
    vintage = str(snapshot.attributes["vintage"])
    target = _column(store, outcome_at, outcome, states)
    if not measures:
        raise InputError("measures: none named; expected one dataset and year, or more")
    at = [f"measures/{dataset}/{year}" for dataset, year in measures]
    if outcome_at in at:
        raise InputError(
            f"measures: {outcome_at} is where the target {outcome!r} is; expected other measures, as another outcome "
            "of the same people would pass for a feature"
        )
    frames = {collection: _measures(store, collection, vintage, outcome_at, states) for collection in at}
    wanted = features if features is not None or definition is None else definition.measures
    chosen = _chosen_measures(frames, wanted, outcome)
    for collection, frame in frames.items():
        _refuse_other_codes(target.index, frame.index, outcome_at, collection)
    target = target.dropna()
    keys = target.index
    for frame in frames.values():
        keys = keys.intersection(frame.index)
    keys = keys.sort_values()
    codes = keys.str[:2].to_numpy(object)
    letters = np.array([STATES[code].letters for code in codes], dtype=object)
    domains = _domains(definition)
    study = Study(
        name="tracts",
        keys=keys.to_numpy(object),
        labels=np.array([f"{key}, {state}" for key, state in zip(keys, letters, strict=True)], dtype=object),
        states=letters,
        features=tuple(Feature(name, name, domains.get(name, of.split("/")[1]), "") for name, of in chosen.items()),
        values=np.column_stack([frames[of].loc[keys, name].to_numpy(np.float64) for name, of in chosen.items()]),
        outcome=target.loc[keys].to_numpy(np.float64),
        outcome_name=outcome,
        outcome_title=f"{outcome} ({outcome_dataset} {outcome_year})",
        pairs=_graph(store, vintage, keys),
    )
    _refuse_twins(study)
    return check_features(study)


def _refuse_twins(study: Study) -> None:
    """Refuse a feature that is the outcome under another name."""
    for name, values in zip(study.feature_names, study.values.T, strict=True):  # noqa: PD011
        known = ~np.isnan(values)
        one, other = values[known], study.outcome[known]
        if len(one) < 3 or not np.ptp(one) or not np.ptp(other):
            continue
        r = float(np.corrcoef(one, other)[0, 1])
        if abs(r) > _TWIN:
            raise InputError(
                f"feature {name!r}: its correlation with the target {study.outcome_name!r} is {r:.6f}; "
                f"expected at most {_TWIN}, as more is the target under another name"
            )


def _column(store: Store, collection: str, name: str, states: Sequence[str] | None) -> pd.Series:
    frame = store.frame(collection, states=states)
    if name not in frame.columns:
        raise InputError(
            f"outcome {name!r}: not in {collection}; expected one of: {', '.join(str(one) for one in frame.columns)}"
        )
    return store.frame(collection, states=states, columns=[name]).compute(scheduler="threads")[name]


def _measures(
    store: Store, collection: str, vintage: str, outcome_at: str, states: Sequence[str] | None
) -> pd.DataFrame:
    found = store.snapshot(collection).attributes.get("vintage")
    if found != vintage:
        raise InputError(
            f"{collection} is on tracts of vintage {found}, {outcome_at} on those of {vintage}; "
            "expected one code system: measures of the same vintage"
        )
    return store.frame(collection, states=states).compute(scheduler="threads")


def _chosen_measures(
    frames: Mapping[str, pd.DataFrame], features: Sequence[str] | None, outcome: str
) -> dict[str, str]:
    """Return the collection of each feature."""
    of: dict[str, str] = {}
    for collection, frame in frames.items():
        for name in frame.select_dtypes("number").columns:
            if name in of:
                raise InputError(f"measure {name!r} is in {of[name]} and {collection}; expected it in one")
            of[str(name)] = collection
    if outcome in of and features is None:
        raise InputError(f"measures: the target {outcome!r} is among them; expected the features to be named")
    if features is None:
        return of
    if outcome in features:
        raise InputError(f"feature {outcome!r}: the target is among the features; expected measures alone")
    for name in features:
        if name not in of:
            raise InputError(f"feature {name!r}: in none of the measures; expected some of: {', '.join(of)}")
    return {name: of[name] for name in _once(features)}


def _refuse_other_codes(outcome: pd.Index, measures: pd.Index, outcome_at: str, measures_at: str) -> None:
    """Refuse tables of which a state's tracts have no code in common."""
    common = set(outcome.intersection(measures).str[:2])
    wrong = sorted((set(outcome.str[:2]) & set(measures.str[:2])) - common)
    if wrong or not common:
        state = wrong[0] if wrong else "any"
        raise InputError(
            f"{outcome_at} and {measures_at}: no tract in common in state {state}; expected one code system "
            f"(found {_first(outcome, state)} and {_first(measures, state)})"
        )


def _first(keys: pd.Index, state: str) -> str:
    inside = keys if state == "any" else keys[keys.str[:2] == state]
    return str(inside[0]) if len(inside) else "none"


def _domains(definition: Definition | None) -> dict[str, str]:
    if definition is None:
        return {}
    return {one.measure: domain for domain, members in definition.domains.items() for one in members}


def _graph(store: Store, vintage: str, keys: pd.Index) -> Pairs:
    snapshot = store.find(f"neighbors/{vintage}")
    if snapshot is None:
        return np.zeros((0, 2), dtype=np.int64)
    # Steps may lead through states that are not studied.
    edges = [store.read(part, ["focal", "neighbor"]) for part in snapshot.parts.values()]
    return _positions(pd.concat(edges), keys) if edges else np.zeros((0, 2), dtype=np.int64)
