"""Which units, features and outcome a mobility study has, and the collections it is read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import pandas as pd

from geomob_dask.definition import Definition
from geomob_dask.errors import InputError
from geomob_dask.messages import counted
from geomob_dask.models.study import Study
from geomob_dask.products.tracts_study import read_tracts_study, tracts_inputs
from geomob_dask.products.zones_study import read_zones_study, zones_counts, zones_polygons
from geomob_dask.sources.opportunity_insights import (
    ATLAS,
    ATLAS_OUTCOME,
    ATLAS_YEAR,
    CHARACTERISTICS,
    UPWARD_MOBILITY,
    ZONE_VINTAGE,
    ZONES,
    zone_columns,
)
from geomob_dask.store import Snapshot, Store

STUDIES = ("zones", "tracts")


@dataclass(frozen=True)
class Universe:
    """Which units, features and outcome are studied.

    Parameters
    ----------
    study : {"zones", "tracts"}
    outcome : str, optional
        Column of the outcome; the study's own by default.
    features : tuple of str, optional
        All by default.
    vintage : str
        Of the zones.
    cohort : bool
        Whether only zones with a minority tract are studied.
    measures : tuple of (dataset, year)
        Datasets of the features of tracts.
    outcomes : (dataset, year)
        Dataset of the outcome of tracts.
    definition : Definition, optional
        Of an index: the domain of each feature of tracts.
    states : tuple of str, optional
        Codes of the states whose tracts are studied; all by default.

    Examples
    --------
    The study of the zones in a store::

        Universe("zones").read(Store("store"))
    """

    study: str
    outcome: str | None = None
    features: tuple[str, ...] | None = None
    vintage: str = ZONE_VINTAGE
    cohort: bool = True
    measures: tuple[tuple[str, int], ...] = ()
    outcomes: tuple[str, int] = (ATLAS, ATLAS_YEAR)
    definition: Definition | None = None
    states: tuple[str, ...] | None = None

    def options(self) -> dict[str, Any]:
        """Return every choice, as plain data."""
        plain: dict[str, Any] = {
            "study": self.study,
            "features": None if self.features is None else list(self.features),
        }
        if self.study == "zones":
            return plain | {
                "outcome": self.outcome or UPWARD_MOBILITY,
                "vintage": self.vintage,
                "cohort": self.cohort,
            }
        return plain | {
            "outcome": self.outcome or ATLAS_OUTCOME,
            "measures": [f"{dataset}/{year}" for dataset, year in self.measures],
            "outcomes": "/".join(map(str, self.outcomes)),
            "definition": None if self.definition is None else self.definition.model_dump(mode="json"),
            "states": None if self.states is None else list(self.states),
        }

    def inputs(self, store: Store) -> dict[str, Snapshot]:
        """Return the newest snapshots of the collections that the study is read from, by collection.

        Raises
        ------
        InputError
            If the study is unknown, an option belongs to the other study, or a collection is not in the store.
        """
        if self.study == "zones":
            if self.measures or self.states:
                option = "--measures" if self.measures else "--states"
                raise InputError(f"{option}: found --study zones; expected --study tracts with it")
            snapshot = store.snapshot(f"{ZONES}/{self.vintage}")
            return {snapshot.collection: snapshot}
        if self.study != "tracts":
            raise InputError(f"--study {self.study}: expected one of: {', '.join(STUDIES)}")
        return tracts_inputs(store, self.measures, self.outcomes)

    def read(self, store: Store, inputs: Mapping[str, Snapshot] | None = None) -> Study:
        """Return the study.

        Parameters
        ----------
        inputs : mapping of str to Snapshot, optional
            What `inputs` returned, however the store has changed since; the newest snapshots by default.

        Raises
        ------
        InputError
            If a column or table is not there, or a feature cannot be used.
        """
        inputs = self.inputs(store) if inputs is None else inputs
        if self.study == "zones":
            return read_zones_study(
                store,
                inputs[f"{ZONES}/{self.vintage}"],
                cohort=self.cohort,
                features=self.features,
                outcome=self.outcome or UPWARD_MOBILITY,
            )
        return read_tracts_study(
            store,
            inputs,
            measures=self.measures,
            outcome=self.outcome or ATLAS_OUTCOME,
            outcomes=self.outcomes,
            features=self.features,
            definition=self.definition,
            states=self.states,
        )

    def feature_names(self, store: Store, inputs: Mapping[str, Snapshot]) -> list[str]:
        """Return the names of the features; no rows are read."""
        if self.features is not None:
            return list(self.features)
        if self.study == "zones":
            return [column.name for column in zone_columns(CHARACTERISTICS) if column.is_feature]
        if self.definition is not None:
            return list(self.definition.measures)
        tables = [store.empty(inputs[f"measures/{dataset}/{year}"]) for dataset, year in self.measures]
        return [str(name) for table in tables for name in table.select_dtypes("number")]

    def lines(self, store: Store, inputs: Mapping[str, Snapshot], study: Study) -> list[str]:
        """Return the number of studied units, out of all, as text."""
        units = len(study.keys)
        if self.study == "tracts":
            measures = ", ".join(f"{dataset} {year}" for dataset, year in self.measures)
            return [f"{counted(units, 'tract')} with measures of {measures} and the outcome ({study.outcome_name})"]
        if not self.cohort:
            return [f"{counted(units, 'commuting zone')} with the outcome ({study.outcome_name})"]
        counts = zones_counts(store, inputs[f"{ZONES}/{self.vintage}"], study.outcome_name)
        return [
            f"{counts['cohort']:,} of {counts['zones']:,} commuting zones have a minority tract (white share in 2000 "
            f"below {counts['white_share_mean']:.4f}), {units} of them the outcome ({study.outcome_name})"
        ]

    def has_polygons(self, store: Store) -> bool:
        """Return whether the store has polygons of the units; no rows are read."""
        if self.study == "zones":
            return "polygons" in store.snapshot(f"{ZONES}/{self.vintage}").parts
        outcomes = store.snapshot(f"measures/{self.outcomes[0]}/{self.outcomes[1]}")
        tracts = store.find(f"tracts/{outcomes.attributes['vintage']}")
        states = self.states or tuple(outcomes.parts)
        return tracts is not None and bool(set(states) & tracts.parts.keys())

    def polygons(self, store: Store, keys: Sequence[str]) -> gpd.GeoDataFrame | None:
        """Return polygons by unit, None if the store has none; those of zones outside the study too."""
        if self.study == "zones":
            snapshot = store.snapshot(f"{ZONES}/{self.vintage}")
            return zones_polygons(store, snapshot) if "polygons" in snapshot.parts else None
        name = f"measures/{self.outcomes[0]}/{self.outcomes[1]}"
        tracts = store.find(f"tracts/{store.snapshot(name).attributes['vintage']}")
        if tracts is None:
            return None
        wanted = {key[:2] for key in keys}
        states = [state for state in tracts.parts if state in wanted]
        if not states:
            return None
        shapes = pd.concat([store.read(tracts.parts[state], ["geoid", "geometry"]) for state in states])
        return gpd.GeoDataFrame(shapes[shapes.index.isin(keys)])
