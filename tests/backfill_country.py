"""A small country of several years for backfills: all four products over it, and the bytes of what a store shows."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from income_country import STATES, counts, squares
from rich.console import Console
from stores import build_graph

from geomob_dask.runs.backfill.file import Backfill, read_backfill
from geomob_dask.runs.landing import ingest
from geomob_dask.store import Store

QUIET = Console(quiet=True)
ROOT = Path(__file__).parents[1]
PRODUCTS = {
    "index": {"job": "opportunity", "dataset": "made", "definition": "index.yaml", "scope": "state"},
    "nation": {"job": "opportunity", "dataset": "made", "definition": "nation.yaml"},
    "counties": {"job": "exposure", "dataset": "made", "groups": "tenure.yaml", "by": "county", "interactions": True},
    "areas": {"job": "exposure", "dataset": "made", "groups": "tenure.yaml", "by": "area"},
    "mixed": {"job": "mixing", "dataset": "made", "brackets": "deciles", "by": "county"},
    "apart": {
        "job": "segregation",
        "dataset": "made",
        "groups": "owners,renters",
        "by": "county",
        "indices": ["dissimilarity", "spatial_dissimilarity"],
    },
}


def measures_of(year: int, per_state: int):
    """Return the counts of a year, with margins of error."""
    table = counts(per_state, seed=year)
    table["people"] = table["owners"] + table["renters"]
    for name in ("owners", "renters", "people"):
        table[f"{name}_moe"] = 3.0 + np.sqrt(table[name])
    return table


def fill(
    url: str, folder: Path, *, years: tuple[int, ...] = (2019, 2020, 2021), per_state: int = 12, graph: bool = True
) -> Store:
    """Ingest the country: dataset made, vintage toy; three states."""
    store = Store(url)
    for year in years:
        ingest_year(store, folder, year, per_state)
    file = folder / "squares.parquet"
    squares(per_state).to_parquet(file)
    ingest(store, "tracts", files=[str(file)], vintage="toy")
    if graph:
        build_graph(store, vintage="toy")
    return store


def ingest_year(store: Store, folder: Path, year: int, per_state: int = 12, *, vintage: str = "toy", seed=None) -> None:
    """Ingest one year; another seed gives other numbers."""
    table = measures_of(year if seed is None else seed, per_state)
    file = folder / f"made_{year}_{seed}.parquet"
    table.reset_index().to_parquet(file)
    ingest(store, "measures", file=str(file), dataset="made", year=year, vintage=vintage, columns=list(table.columns))


def write_definitions(folder: Path) -> None:
    """Write the definitions that the products name."""
    for name in ("index", "nation"):
        domains = {
            "low": [{"measure": "decile_1"}, {"measure": "decile_2"}],
            "high": [{"measure": "decile_9", "direction": -1}, {"measure": "decile_10", "direction": -1}],
        }
        index = {"name": name, "population": "people", "domains": domains}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(index))
    groups = [{"name": name, "label": name, "parts": [[name, f"{name}_moe"]]} for name in ("owners", "renters")]
    edition = {"years": [None, None], "total": ["people", "people_moe"], "groups": groups}
    tenure = {"name": "tenure", "title": "Tenure", "subgroup_type": "tenure", "editions": [edition]}
    (folder / "tenure.yaml").write_text(yaml.safe_dump(tenure))


def write_file(folder: Path, *products: str, name: str = "night", **changes) -> str:
    """Write a backfill file of some products (all by default), and return its path; a change replaces keys."""
    write_definitions(folder)
    chosen = {}
    for product in products or PRODUCTS:
        entry = {**PRODUCTS[product], **changes.get(product, {})}
        for key in ("definition", "groups"):
            if str(entry.get(key, "")).endswith(".yaml"):
                entry[key] = str(folder / entry[key])
        chosen[product] = entry
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "products": chosen}, sort_keys=False))
    return str(path)


def backfill_of(folder: Path, *products: str, **options) -> Backfill:
    """Return a backfill of some products."""
    return read_backfill(write_file(folder, *products, **options))


def shown(store: Store) -> dict[str, str]:
    """Return what readers see: the newest snapshot of each collection, and the checksum of each part it lists."""
    found = {}
    for prefix in ("results", "norms"):
        for collection in store.collections(prefix):
            snapshot = store.snapshot(collection)
            found[collection] = hashlib.sha256(snapshot.to_bytes()).hexdigest()
            for part in snapshot.parts.values():
                found[part.key] = hashlib.sha256(store.objects.get(part.key)).hexdigest()
                assert found[part.key] == part.sha256
    return found


def receipts_in(store: Store) -> list[str]:
    """Return the keys of all receipts."""
    return [found.key for found in store.objects.listing() if re.search(r"/_outputs/[^.]", found.key)]


def command(file: str, store: str, *arguments: object, cluster: str = "serial") -> list[str]:
    """Return the command line of a backfill."""
    start = [sys.executable, str(ROOT / "jobs" / "backfill.py"), file, "--store", store, "--cluster", cluster]
    return [*start, *map(str, arguments)]


def run_command(line: list[str], **options) -> subprocess.CompletedProcess:
    """Run a command line to its end."""
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env={**os.environ}, **options)


__all__ = ["QUIET", "STATES", "backfill_of", "command", "fill", "run_command", "shown", "write_file"]
