"""Scale: a made-up nation of any number of cells through the code of the jobs, on worker processes of this machine.

Every product is computed with everything read from and written to a store, on workers that were started for it: wall
and CPU seconds, the memory of the worker that needed most, tasks, and bytes. That results are right is for the tests.

    python benchmarks/scale.py --cells 1e6 --partitions 200
    python benchmarks/scale.py --cells 1e6 2e6 4e6 8e6 --partitions 300 --results scale.json
    python benchmarks/scale.py --requests --results scale.json     # requests to an object store, for each partition
    python benchmarks/scale.py --guide --results scale.json        # what a country takes, computed from these runs
"""

import argparse
import json
import logging
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import distributed
import pandas as pd
from distributed.utils import key_split
from guide import growth, guide, markdown
from nation import DATASET, VINTAGE, YEAR, Nation, brackets_file, definition_file, groups_file, write
from rich.console import Console

from geomob_dask.clusters import connect
from geomob_dask.products.catalog import product_named
from geomob_dask.runs.engine import execute
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.sections import LocalSection
from geomob_dask.settings import Settings
from geomob_dask.store import Store

QUIET = Console(quiet=True)
PRODUCTS = ("neighbors", "opportunity", "exposure", "segregation", "mixing")


@dataclass(frozen=True)
class Run:
    """What one product took."""

    product: str
    cells: int
    partitions: int
    workers: int
    wall_s: float
    cpu_s: float
    driver_cpu_s: float
    peak_mib: float
    driver_mib: float
    tasks: int
    read_mib: float
    written_mib: float
    stages: Mapping[str, Sequence[float]]


def request(product: str, folder: Path, year: int = YEAR) -> Request:
    """Return the request of a product of the whole nation."""
    of_year: dict[str, Any] = {"dataset": DATASET, "year": year}
    given: dict[str, dict[str, Any]] = {
        "neighbors": {"vintage": VINTAGE},
        "opportunity": {**of_year, "definition": str(definition_file(folder))},
        "exposure": {**of_year, "by": "metro", "groups": str(groups_file(folder))},
        "segregation": {
            **of_year,
            "by": "metro",
            "groups": str(groups_file(folder)),
            "indices": "dissimilarity,isolation,information_theory",
        },
        "mixing": {**of_year, "by": "metro", "brackets": str(brackets_file(folder))},
    }
    return Request(product, product_named(product).options.of(**given[product]))


@contextmanager
def cluster(workers: int, memory: str, threads: int = 1) -> Any:
    """Yield a client of workers that have imported what outputs need."""
    section = LocalSection(workers=workers, memory_limit=memory, threads_per_worker=threads, dashboard="127.0.0.1:0")
    with connect(Settings(clusters={"local": section})) as client:
        client.wait_for_workers(workers)
        client.run(_imports)
        yield client


def _imports() -> None:
    import geomob_dask.products.catalog
    import geomob_dask.runs.output  # noqa: F401


def measured(product: str, store: Store, nation: Nation, folder: Path, workers: int, memory: str) -> Run:
    """Compute one product on new workers; return what it took."""
    plan = make_plan(store, [request(product, folder)], reprocess="all")
    with cluster(workers, memory) as client:
        tasks = Tasks()
        client.register_plugin(tasks)
        start, cpu, own = time.perf_counter(), _cpu(client), time.process_time()
        result = execute(store, plan, client, QUIET, together=True)
        wall = time.perf_counter() - start
        if not result.fine:
            raise SystemExit(f"{product}: {result.failed or result.stopped}")
        used, driver = _cpu(client) - cpu, time.process_time() - own
        peak = max(client.run(_peak_mib).values())
        count, stages = client.run_on_scheduler(_counted)
    group = plan.groups[0]
    written = sum(part.size for name in group.collections for part in store.snapshot(name).parts.values())
    return Run(
        product,
        nation.shape[0] * nation.shape[1],
        nation.partitions,
        workers,
        round(wall, 2),
        round(used, 2),
        round(driver, 2),
        round(peak),
        round(_peak_mib()),
        count,
        round(sum(group.sizes) / 2**20, 1),
        round(written / 2**20, 1),
        {name: [round(value, 3) for value in values] for name, values in stages.items()},
    )


class Tasks(distributed.SchedulerPlugin):
    """Counts tasks that ended, and keeps by stage their number, seconds and bytes: in all, and of the largest."""

    name = "benchmark-tasks"

    def __init__(self) -> None:
        self.count = 0
        self.stages: dict[str, list[float]] = {}

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Note the end of a task."""
        if start != "processing" or finish != "memory":
            return
        self.count += 1
        took = sum(one["stop"] - one["start"] for one in kwargs.get("startstops", ()) if one["action"] == "compute")
        stage = self.stages.setdefault(key_split(key), [0, 0.0, 0.0, 0.0, 0.0])
        size = kwargs.get("nbytes", 0) / 2**20
        stage[0] += 1
        stage[1], stage[2] = stage[1] + took, max(stage[2], took)
        stage[3], stage[4] = stage[3] + size, max(stage[4], size)


def _counted(dask_scheduler: distributed.Scheduler) -> tuple[int, dict[str, list[float]]]:
    found: Tasks = dask_scheduler.plugins[Tasks.name]
    return found.count, found.stages


def _cpu(client: distributed.Client) -> float:
    return float(sum(client.run(time.process_time).values()))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def requests_by_product() -> dict[str, float]:
    """Return the requests of each product to an object store, for each further partition; the store is moto's."""
    counts: dict[int, dict[str, int]] = {}
    with bucket() as (url, seen):
        for partitions in (10, 20):
            nation = Nation(40 * partitions, partitions)
            with tempfile.TemporaryDirectory() as folder:
                store = write(nation, f"{url}/{partitions}")
                for product in PRODUCTS:
                    plan = make_plan(store, [request(product, Path(folder))], reprocess="all")
                    before = sum(seen.values())
                    result = execute(store, plan, None, QUIET, together=True)
                    assert result.fine, result.failed
                    counts.setdefault(partitions, {})[product] = sum(seen.values()) - before
    return {product: (counts[20][product] - counts[10][product]) / 10 for product in PRODUCTS}


@contextmanager
def bucket() -> Iterator[tuple[str, Counter[str]]]:
    """Yield the URL of an empty bucket on loopback, and a count of its requests by method."""
    import boto3
    from moto.server import ThreadedMotoServer

    seen: Counter[str] = Counter()

    class Count(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen[record.getMessage().partition('"')[2].partition(" ")[0]] += 1

    logger = logging.getLogger("werkzeug")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [Count()]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=True)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testkey",
        "AWS_SECRET_ACCESS_KEY": "testsecret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        boto3.client("s3").create_bucket(Bucket="scale")
        yield "s3://scale/nation", seen
    finally:
        server.stop()


def _results(file: Path | None) -> dict[str, Any]:
    if file is None or not file.exists():
        return {"runs": [], "requests": {}}
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def _keep(file: Path, runs: Sequence[Run]) -> None:
    """Add runs to a file of results; a run takes the place of an earlier one of the same product and size."""
    found = _results(file)
    rows = {}
    for row in (*found["runs"], *map(asdict, runs)):
        rows[row["product"], row["cells"], row["partitions"], row["workers"]] = row
    file.write_text(json.dumps(found | {"runs": list(rows.values())}, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=float, nargs="+", default=[1e5, 1e6], help="sizes of the nation")
    parser.add_argument("--partitions", type=int, default=200)
    parser.add_argument("--workers", type=int, nargs="+", default=[2], help="worker processes, one thread each")
    parser.add_argument("--memory", default="2GiB", help="limit of each worker")
    parser.add_argument("--products", nargs="+", default=list(PRODUCTS[:3]), choices=PRODUCTS)
    parser.add_argument("--folder", default="/tmp/scale", help="where stores are written")
    parser.add_argument("--keep", action="store_true", help="keep the stores")
    parser.add_argument("--stages", action="store_true", help="print what each stage took")
    parser.add_argument("--results", type=Path, help="a .json file that runs are added to")
    parser.add_argument("--requests", action="store_true", help="count requests to an object store instead")
    parser.add_argument("--guide", action="store_true", help="print what a country takes, from the results file")
    parser.add_argument("--core-hour", type=float, default=0.05, help="price of a core for an hour")
    parser.add_argument("--gib-month", type=float, default=0.023, help="price of a GiB stored for a month")
    parser.add_argument("--per-million", type=float, default=0.4, help="price of a million requests")
    options = parser.parse_args(arguments)
    if options.requests:
        found = _results(options.results) | {"requests": requests_by_product()}
        print(json.dumps(found["requests"]))
        if options.results:
            options.results.write_text(json.dumps(found, indent=1) + "\n")
        return
    if options.guide:
        found = _results(options.results)
        prices = {name: getattr(options, name) for name in ("core_hour", "gib_month", "per_million")}
        print(markdown(growth(found["runs"])), markdown(guide(found["runs"], found["requests"], **prices)), sep="\n\n")
        return
    runs = []
    for cells in map(int, options.cells):
        nation = Nation(cells, options.partitions)
        folder = Path(options.folder) / f"{cells}-{options.partitions}"
        folder.mkdir(parents=True, exist_ok=True)
        store = Store(str(folder / "store"))
        if store.find(f"measures/{DATASET}/{YEAR}") is None:
            start = time.perf_counter()
            write(nation, store.url, processes=2)
            print(f"{cells:,} cells written in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        for workers in options.workers:
            for product in options.products:
                run = measured(product, store, nation, folder, workers, options.memory)
                print(pd.Series(asdict(run)).drop("stages").to_dict(), file=sys.stderr)
                if options.stages:
                    columns = ["tasks", "s", "s of the longest", "MiB", "MiB of the largest"]
                    print(pd.DataFrame(run.stages, index=columns).T.to_string(), file=sys.stderr)
                runs.append(run)
                if options.results:
                    _keep(options.results, [run])
        if not options.keep:
            shutil.rmtree(folder)
    print(pd.DataFrame(map(asdict, runs)).drop(columns="stages").to_string(index=False))


if __name__ == "__main__":
    main()
