"""Made-up results by state and year, straight into a store: what a cube is written from."""

from collections.abc import Mapping
from pathlib import Path

import distributed
import numpy as np
import pandas as pd
from rich.console import Console

from geomob_dask.products.cube import Written
from geomob_dask.products.cube import write_cube as write_snapshots
from geomob_dask.runs.progress import Progress
from geomob_dask.store import Part, Provenance, Store
from geomob_dask.store.cube_arrays import BLOCK

QUIET = Console(quiet=True)
STATES = ("17", "18", "39")
PRODUCT = "results/opportunity/made/counts"


def geoids(state: str, n: int = 20) -> list[str]:
    return [f"{state}001{number:06d}" for number in range(1, n + 1)]


def scores(state: str, year: int, n: int = 20, seed: int = 0) -> pd.DataFrame:
    """Scores with margins, grades and reasons; the third tract has neither, the fourth a reason of its row."""
    random = np.random.default_rng([int(state), year, seed])
    keys = geoids(state, n)
    table = pd.DataFrame(index=pd.Index(keys, name="geoid"))
    table["score"] = random.normal(50, 10, n)
    table["score_moe"] = random.uniform(1, 5, n)
    table["rent_usd_2023"] = random.uniform(400, 2000, n)
    table["rent_usd_2023_lb"] = table["rent_usd_2023"] - 10
    table["rent_usd_2023_ub"] = table["rent_usd_2023"] + 10
    table["score_quality"] = random.integers(1, 4, n).astype(float)
    table["score_reason"] = ""
    table["households_count"] = random.integers(0, 900, n)
    table["region"] = [f"area {number % 3}" for number in range(n)]
    table["reason"] = ""
    table.loc[keys[2], ["score", "score_moe", "score_quality", "rent_usd_2023"]] = np.nan
    table.loc[keys[2], "score_reason"] = "suppressed"
    table.loc[keys[3], ["score", "rent_usd_2023"]] = np.nan
    table.loc[keys[3], "reason"] = "nobody lives here"
    return table


def put(store: Store, tables: dict[str, pd.DataFrame], collection: str, vintage: str = "2010", **options) -> str:
    """Commit tables by part as one collection."""
    parts: dict[str, Part] = {name: store.put(collection, name, table) for name, table in tables.items()}
    provenance = Provenance("opportunity", {"made": "up"}, {"collection": collection, **options})
    store.commit(collection, parts, provenance, {"vintage": vintage})
    return collection


def put_year(store: Store, year: int, states=STATES, n: int = 20, seed: int = 0, vintage: str = "2010") -> str:
    tables = {state: scores(state, year, n, seed) for state in states}
    return put(store, tables, f"{PRODUCT}/{year}/all-selected", vintage, seed=seed)


def write_cube(
    store: Store,
    name: str,
    results: Mapping[int, str],
    client: distributed.Client | None = None,
    console: Console = QUIET,
    *,
    block: int = BLOCK,
) -> Written:
    """Write the newest snapshots of collections, by year, to a cube."""
    snapshots = {year: store.snapshot(collection) for year, collection in results.items()}
    return write_snapshots(store, name, snapshots, client, Progress(console), block=block)


def whole(store: Store, collection: str) -> pd.DataFrame:
    snapshot = store.snapshot(collection)
    return pd.concat([store.read(part) for part in snapshot.parts.values()])


def objects(folder: Path) -> dict[str, bytes]:
    """Return the chunks of a cube in a folder, with their bytes."""
    return {file.name: file.read_bytes() for file in sorted((folder / "chunks").glob("*"))}
