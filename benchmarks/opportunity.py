"""National opportunity index: the distributed run beside the bare kernels on one array.

Needs the real tables (GEOMOB_DATA), or works on the sample country with --sample. Every figure is of this run.

    python benchmarks/opportunity.py
    python benchmarks/opportunity.py --sample --workers 1 --repeats 1
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
import psutil
from rich.console import Console

from geomob_dask.clusters import connect
from geomob_dask.definition import Definition, read_definition
from geomob_dask.graph.neighborhoods import adjacency
from geomob_dask.products import neighbors, opportunity
from geomob_dask.runs import engine, planning
from geomob_dask.runs.landing import ingest
from geomob_dask.sections import LocalSection
from geomob_dask.settings import Settings
from geomob_dask.sources.sample import write_sample
from geomob_dask.store import Store
from geomob_dask.transforms.opportunity import opportunity_index

QUIET = Console(quiet=True)


@dataclass(frozen=True)
class Case:
    """What is computed."""

    tracts: Path
    measures: Path
    definition: Definition
    vintage: str
    dataset: str
    year: int

    @property
    def request(self) -> planning.Request:
        """Return the index of all states together."""
        options = opportunity.Options(definition=self.definition, dataset=self.dataset, year=self.year)
        return planning.Request("opportunity", options)


@dataclass
class Times:
    """Wall and CPU seconds of each step, and the largest memory that a worker ever had, in MiB."""

    rows: list[tuple[str, float, float, float]] = field(default_factory=list)

    def run(self, name: str, act: Callable[[], Any], client: distributed.Client | None = None) -> Any:
        """Run `act` and keep its figures."""
        start, cpu = time.perf_counter(), _cpu_seconds(client)
        result = act()
        wall, used = time.perf_counter() - start, _cpu_seconds(client) - cpu
        peak = max(client.run(_peak_mib).values()) if client else np.nan
        self.rows.append((name, wall, used, peak))
        return result

    def table(self) -> pd.DataFrame:
        """Return the median of each step."""
        columns = ["step", "wall s", "CPU s", "worker peak MiB"]
        return pd.DataFrame(self.rows, columns=columns).groupby("step", sort=False).median().round(2)


def _cpu_seconds(client: distributed.Client | None) -> float:
    return time.process_time() + (sum(client.run(time.process_time).values()) if client else 0.0)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def on_cluster(times: Times, store: Store, case: Case, workers: int, repeats: int) -> None:
    """Time the start of a cluster, the graph, and the index with everything read from and written to the store."""
    name = f"{workers} worker{'s' if workers > 1 else ''}"
    start = time.perf_counter()
    with connect(Settings(clusters={"local": LocalSection(workers=workers, dashboard=":0")})) as client:
        assert client is not None
        client.wait_for_workers(workers)
        times.rows.append((f"{name}: start of the cluster", time.perf_counter() - start, np.nan, np.nan))
        request = planning.Request("neighbors", neighbors.Options(vintage=case.vintage))
        graph = partial(engine.run, store, planning.make_plan(store, [request], reprocess="all"), client, QUIET)
        for _ in range(repeats):
            times.run(f"{name}: neighbors, store to store", graph, client)
        index = partial(engine.run, store, planning.make_plan(store, [case.request], reprocess="all"), client, QUIET)
        for _ in range(repeats):
            times.run(f"{name}: index, store to store", index, client)


def on_one_array(times: Times, store: Store, case: Case, repeats: int) -> None:
    """Time the kernels on one array, everything in memory."""
    wanted = [*case.definition.measures, case.definition.population]
    tracts = store.frame(f"tracts/{case.vintage}", columns=["aland"]).compute(scheduler="threads").index
    table = store.frame(f"measures/{case.dataset}/{case.year}", columns=wanted).compute(scheduler="threads")
    edges = store.frame(f"neighbors/{case.vintage}").compute(scheduler="threads").reset_index()
    table = table[table.index.isin(tracts)]
    focal, neighbor = table.index.get_indexer(edges["focal"]), table.index.get_indexer(edges["neighbor"])
    known = (focal >= 0) & (neighbor >= 0)
    matrix = adjacency(focal[known], neighbor[known], len(table))
    values = table[list(case.definition.measures)].to_numpy() * np.array(case.definition.directions)
    kernels = partial(
        opportunity_index,
        values,
        table[case.definition.population].to_numpy(),
        matrix,
        measures=case.definition.measures,
        domain_of=case.definition.domain_of,
    )
    for _ in range(repeats):
        times.run(f"kernels on one array of {len(table):,} tracts", kernels)


def _case(sample: bool, data: str | None, folder: str) -> Case:
    if sample:
        paths = write_sample(folder)
        return Case(paths.tracts, paths.measures, read_definition("sample"), "sample", "sample", 2020)
    real = Path(data or "")
    definition = read_definition(str(real / "opportunity_2018/definition.csv"))
    tracts, measures = real / "tracts/cb500k_2010_vintage.parquet", real / "opportunity_2018/measures.csv.gz"
    return Case(tracts, measures, definition, "2010", "acs", 2018)


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("GEOMOB_DATA"), help="folder of the real tables")
    parser.add_argument("--sample", action="store_true", help="the made-up sample country instead")
    parser.add_argument("--workers", default="1,2", help="numbers of worker processes, separated by commas")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each step; the median is shown")
    options = parser.parse_args(arguments)
    if not options.data and not options.sample:
        parser.error("GEOMOB_DATA is not set: no real tables (or use --sample)")
    times = Times()
    with tempfile.TemporaryDirectory() as folder:
        case = _case(options.sample, options.data, folder)
        store = Store(f"{folder}/store")
        bring = partial(ingest, store, "tracts", files=[str(case.tracts)], vintage=case.vintage)
        times.run("ingest of polygons", bring)
        named = {"dataset": case.dataset, "year": case.year, "vintage": case.vintage}
        table = partial(ingest, store, "measures", file=str(case.measures), **named)
        times.run("ingest of measures", table)
        for workers in map(int, options.workers.split(",")):
            on_cluster(times, store, case, workers, options.repeats)
        on_one_array(times, store, case, options.repeats)
    print(
        f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB; median of {options.repeats} runs"
    )
    print(times.table().to_string(na_rep=""))


if __name__ == "__main__":
    main()
