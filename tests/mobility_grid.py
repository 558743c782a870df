"""A made-up country of 120 square zones in six states, with a planted signal, as `jobs/ingest.py zones` stores it."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from rich.console import Console

from geomob_dask.sources.opportunity_insights import CHARACTERISTICS, UPWARD_MOBILITY, zone_columns
from geomob_dask.store import Provenance, Store

QUIET = Console(quiet=True)
ACROSS, DOWN = 12, 10
STATES = ("OH", "IN", "IL", "KY", "TN", "GA")
FEATURES = ("single_mothers_share", "married_share", "black_share", "household_income_usd", "local_tax_rate")
SIDE = 60_000.0


def zones_tables(seed: int = 0) -> dict[str, pd.DataFrame]:
    """Return the tables of the collection: the outcome falls with single mothers and rises with household income."""
    draws = np.random.default_rng(seed)
    count = ACROSS * DOWN
    keys = pd.Index([f"{100 + number:05d}" for number in range(count)], dtype="str", name="zone")
    names = [column.name for column in zone_columns(CHARACTERISTICS)]
    characteristics = pd.DataFrame(draws.normal(size=(count, len(names))), index=keys, columns=names)
    characteristics["married_share"] = -0.8 * characteristics["single_mothers_share"] + draws.normal(0, 0.5, count)
    state = [STATES[(number % ACROSS) // 2] for number in range(count)]
    characteristics.insert(0, "name", [f"Town {number}" for number in range(count)])
    characteristics.insert(1, "state", state)
    signal = -2.0 * characteristics["single_mothers_share"] + 1.5 * characteristics["household_income_usd"]
    outcomes = pd.DataFrame({"name": characteristics["name"], "state": state}, index=keys)
    outcomes[UPWARD_MOBILITY] = 42.0 + signal + draws.normal(0, 0.8, count)
    outcomes.loc[keys[5], UPWARD_MOBILITY] = np.nan
    characteristics.loc[keys[::9], "household_income_usd"] = np.nan
    cohort = pd.DataFrame({"tracts_count": 4, "minority_tracts_count": 1}, index=keys)
    cohort.loc[keys[7], "minority_tracts_count"] = 0
    return {
        "characteristics": characteristics,
        "outcomes": outcomes,
        "cohort": cohort,
        "polygons": _polygons(keys, state),
        "neighbors": _neighbors(keys),
    }


def _polygons(keys: pd.Index, state: list[str]) -> gpd.GeoDataFrame:
    boxes = [
        shapely.box(SIDE * column, SIDE * row, SIDE * (column + 1), SIDE * (row + 1))
        for row in range(DOWN)
        for column in range(ACROSS)
    ]
    plain = {"name": [f"Town {number}" for number in range(len(keys))], "state": state, "counties_count": 1}
    return gpd.GeoDataFrame(plain, geometry=boxes, crs="EPSG:5070", index=keys)


def _neighbors(keys: pd.Index) -> pd.DataFrame:
    pairs = []
    for number in range(len(keys)):
        if number % ACROSS + 1 < ACROSS:
            pairs.append((number, number + 1))
        if number + ACROSS < len(keys):
            pairs.append((number, number + ACROSS))
    both = sorted([*pairs, *((other, one) for one, other in pairs)])
    edges = pd.DataFrame({"neighbor": [keys[other] for _, other in both], "rook": True})
    return edges.set_axis(pd.Index([keys[one] for one, _ in both], dtype="str", name="focal"))


def zones_store(url: str, tables: dict[str, pd.DataFrame] | None = None) -> Store:
    """Return a store with the zones committed as ``zones/1990``."""
    store = Store(url)
    tables = zones_tables() if tables is None else tables
    parts = {name: store.put("zones/1990", name, table) for name, table in tables.items()}
    attributes = {"kind": "commuting zones", "white_share_mean": 0.7, "crs": "EPSG:5070"}
    store.commit("zones/1990", parts, Provenance("ingest", {}), attributes)
    return store


def add_tracts(store: Store, per_state: int = 40, seed: int = 1) -> pd.DataFrame:
    """Add tracts of three states: two measures, an outcome that rises with the first, and a tract without measures."""
    draws = np.random.default_rng(seed)
    keys = [f"{state}001{number:06d}" for state in ("17", "18", "39") for number in range(per_state)]
    table = pd.DataFrame(draws.normal(size=(len(keys), 2)), index=pd.Index(keys, name="geoid"), columns=["jobs", "age"])
    outcome = pd.DataFrame({"kir_pooled_p25": 45 + 3 * table["jobs"] + draws.normal(0, 1, len(keys))})
    table.iloc[3] = np.nan
    for dataset, frame in (("made", table), ("opportunity_atlas", outcome)):
        collection = f"measures/{dataset}/2018"
        parts = {
            str(state): store.put(collection, str(state), part) for state, part in frame.groupby(frame.index.str[:2])
        }
        store.commit(collection, parts, Provenance("ingest", {}), {"vintage": "2010"})
    return table.join(outcome)
