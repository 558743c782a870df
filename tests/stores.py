"""Stores for tests: the sample country ingested, and the bytes of everything in a store."""

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import boto3
import pandas as pd
from rich.console import Console

from geomob_dask.definition import read_definition
from geomob_dask.frames.regions import regions_of
from geomob_dask.products import neighbors
from geomob_dask.products.opportunity import Options
from geomob_dask.products.regions import region_table
from geomob_dask.runs.engine import run
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.planning import Plan, Request, Standing, make_plan
from geomob_dask.sources.sample import write_sample
from geomob_dask.store import Store
from geomob_dask.store.paths import is_path
from geomob_dask.store.snapshots import snapshot_key

QUIET = Console(quiet=True)
DEFINITION = read_definition("sample")
INDEX = Options(definition=DEFINITION, dataset="sample", year=2020)


def ingest_sample(url: str, folder) -> Store:
    """Bring the sample country into a store."""
    store = Store(url)
    paths = write_sample(folder)
    ingest(store, "tracts", files=[str(paths.tracts)], vintage="sample")
    ingest(store, "measures", file=str(paths.measures), dataset="sample", year=2020, vintage="sample")
    return store


def build_graph(store: Store, client=None, vintage: str = "sample", **options) -> None:
    """Build the neighbor graph of a vintage."""
    run(store, plan_of(store, neighbors.Options(vintage=vintage, **options), "neighbors"), client, QUIET)


def plan_of(store: Store, options, product: str = "opportunity") -> Plan:
    """Return the plan of one product."""
    return make_plan(store, [Request(product, options)])


def make(store: Store, product: str, *options, client=None) -> Plan:
    """Compute results of a product; return the plan."""
    plan = make_plan(store, [Request(product, one) for one in options])
    run(store, plan, client, QUIET)
    return plan


def done(plan: Plan) -> bool:
    """Return whether everything of a plan is up to date."""
    return set(plan.counts()) == {Standing.DONE}


def build_index(store: Store, client=None, options: Options = INDEX) -> None:
    """Compute an index."""
    run(store, plan_of(store, options), client, QUIET)


def contents(store: Store, prefix: str = "") -> dict[str, str]:
    """Return the checksum of every object below a prefix, by key; hidden ones are left out."""
    keys = [item.key for item in store.objects.listing(prefix)]
    visible = [key for key in keys if not any(part.startswith(".") for part in key.split("/"))]
    return {key: hashlib.sha256(store.objects.get(key)).hexdigest() for key in visible}


def stored_regions(store: Store, by: str, vintage: str, state: str, measures: pd.DataFrame) -> pd.DataFrame:
    """Return the regions of the tracts of one state, from keys, a column, or a table in the store."""
    table = region_table(store, by, vintage, list(measures.columns))
    if table is None:
        return regions_of(measures, by)
    part = table.parts.get(state)
    return regions_of(measures, {by: store.empty(table) if part is None else store.read(part)})


def rename(store: Store, collection: str, name: str) -> None:
    """Give a collection of one commit a name, whatever it is: as if an earlier version had written it."""
    snapshot = store.snapshot(collection)
    data = {state: store.objects.get(part.key) for state, part in snapshot.parts.items()}
    for item in store.objects.listing(collection):
        store.objects.delete(item.key)
    if store.objects.local:
        shutil.rmtree(store.objects.path(collection))
    put = store.objects.put if is_path(name) else _put_anyway(store)
    parts = {state: replace(part, key=part.key.replace(collection, name, 1)) for state, part in snapshot.parts.items()}
    for state, part in parts.items():
        put(part.key, data[state])
    put(snapshot_key(name, 1), replace(snapshot, collection=name, parts=parts).to_bytes())


def _put_anyway(store: Store):
    def put(key: str, data: bytes) -> None:
        if store.objects.local:
            path = Path(os.path.normpath(f"{store.objects.root}/{key}"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        else:
            bucket, _, prefix = store.objects.root.partition("/")
            boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=data)

    return put


def with_processes(folder: Path) -> tuple[str, str]:
    """Return flags of a job whose local cluster is of processes, however small the work is."""
    file = folder / "processes.yaml"
    file.write_text("clusters: {local: {kind: local, processes: true}}\n")
    return "--config", str(file)
