"""The scheduler's share: CPU seconds of a scheduler of its own process, by output, by task, and by idle worker.

Workers are light: many in one process, a thread each, so that their number and not their work is what is measured.
Outputs are exposures by state of many small years, as a backfill hands them out; tasks are those of one index that is
spread. What is extrapolated to more workers follows from these figures, which are printed too.

    python benchmarks/scheduler.py
    python benchmarks/scheduler.py --workers 2 20 --outputs 60
"""

import argparse
import asyncio
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
from backfill import FIFTY_ONE, QUIET, country, spans
from distributed.scheduler import heartbeat_interval
from nation import DATASET, VINTAGE, YEAR, Nation, definition_file, groups_file, write

from geomob_dask.products.catalog import product_named
from geomob_dask.runs.carriers import OnCluster
from geomob_dask.runs.engine import execute
from geomob_dask.runs.output import frame_of
from geomob_dask.runs.planning import Plan, Request, make_plan
from geomob_dask.store import Store

FAR = (2, 100, 1000)


@contextmanager
def cluster(workers: int) -> Iterator[distributed.Client]:
    """Yield a client of a scheduler in its own process, and of workers in another one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        line = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
        line += ["--scheduler-file", str(file), "--no-dashboard"]
        scheduler = subprocess.Popen(line, stderr=subprocess.DEVNULL)
        crowd = multiprocessing.get_context("spawn").Process(target=_work, args=(str(file), workers))
        crowd.start()
        try:
            with distributed.Client(scheduler_file=str(file), timeout=120) as client:
                client.wait_for_workers(workers, timeout=600)
                yield client
        finally:
            for process in (crowd, scheduler):
                process.terminate()
            crowd.join()
            scheduler.wait()


def _work(file: str, workers: int) -> None:
    """Run so many workers in this process."""

    async def all_of_them() -> None:
        started = [
            distributed.Worker(scheduler_file=file, nthreads=1, dashboard=False, memory_limit=0) for _ in range(workers)
        ]
        await asyncio.gather(*started)
        await asyncio.gather(*(worker.finished() for worker in started))

    asyncio.run(all_of_them())


def used(client: distributed.Client) -> float:
    """Return the CPU seconds of the scheduler's process."""
    return float(client.run_on_scheduler(time.process_time))


def outputs_plan(folder: Path, outputs: int) -> tuple[Store, Plan]:
    """Return a plan of so many small outputs: exposures of a state and a year each."""
    states = FIFTY_ONE[: min(outputs, 50)]
    years = spans(-(-outputs // len(states)))
    store = country(str(folder / "store"), years, states, 4)
    groups = str(groups_file(folder))
    options = product_named("exposure").options
    asked = [
        Request("exposure", options.of(dataset="made", year=year, by="county", groups=groups), by_state=True)
        for year in years
    ]
    return store, make_plan(store, asked, reprocess="all")


def spread_plan(folder: Path, partitions: int) -> tuple[Store, Plan]:
    """Return a plan of one index of so many partitions."""
    store = write(Nation(20 * partitions, partitions), str(folder / "nation"))
    graph = make_plan(store, [Request("neighbors", product_named("neighbors").options.of(vintage=VINTAGE))])
    execute(store, graph, None, QUIET)
    options = product_named("opportunity").options.of(
        dataset=DATASET, year=YEAR, definition=str(definition_file(folder))
    )
    return store, make_plan(store, [Request("opportunity", options)], reprocess="all")


def measured(workers: int, outputs: int, partitions: int, idle: float) -> dict[str, float]:
    """Return what the scheduler took with so many workers."""
    found: dict[str, float] = {"workers": workers}
    with tempfile.TemporaryDirectory() as place, cluster(workers) as client:
        folder = Path(place)
        before = used(client)
        time.sleep(idle)
        found["idle_cpu_share"] = (used(client) - before) / idle

        store, plan = outputs_plan(folder, outputs)
        count = sum(plan.counts().values())
        # Once before: workers import what outputs need.
        assert execute(store, Plan(plan.groups[:1], "all"), client, QUIET).fine
        before, start = used(client), time.perf_counter()
        result = execute(store, plan, client, QUIET)
        assert result.fine, result.failed
        wall, cpu = time.perf_counter() - start, used(client) - before
        found |= {"outputs": count, "outputs_s": count / wall, "ms_an_output": 1000 * cpu / count}
        # What the workers alone would have cost meanwhile is not the outputs'.
        found["ms_an_output_net"] = 1000 * max(cpu - wall * found["idle_cpu_share"], 0.0) / count

        store, plan = spread_plan(folder, partitions)
        carrier = OnCluster(client)
        counted: list[int] = []
        before, start = used(client), time.perf_counter()
        _spread(store, plan, client, carrier, counted)
        wall, cpu = time.perf_counter() - start, used(client) - before
        found |= {"tasks": counted[0], "ms_a_task": 1000 * cpu / counted[0]}
        found["ms_a_task_net"] = 1000 * max(cpu - wall * found["idle_cpu_share"], 0.0) / counted[0]
    return found


def _spread(store: Store, plan: Plan, client: distributed.Client, carrier: OnCluster, counted: list[int]) -> None:
    (group,) = plan.groups
    prepared = group.output(0)
    build = partial(frame_of, store, prepared, group.identities[0], lazy=True)
    counted.append(len(build().optimize().__dask_graph__()))
    carrier.spread("output", ("index",), build)
    while True:
        for _, _, error in carrier.ended(1.0):
            if error is not None:
                raise error
            return


def extrapolated(rows: Sequence[dict[str, float]], seconds: Sequence[float]) -> pd.DataFrame:
    """Return the share of a core that the scheduler needs, by workers and by seconds of work an output."""
    output = rows[-1]["ms_an_output_net"] / 1000
    table = []
    for workers in FAR:
        signs = float(np.polyval(_signs(rows), _frequency(workers)))
        shares = {f"{one:g} s an output": signs + workers / one * output for one in seconds}
        table.append({"workers": workers, "idle": signs, **shares, "outputs/s at most": (1 - signs) / output})
    return pd.DataFrame(table)


def _signs(rows: Sequence[dict[str, float]]) -> Any:
    """Return the line of the idle scheduler's share by signs of life a second."""
    frequency = [_frequency(int(row["workers"])) for row in rows]
    return np.polyfit(frequency, [row["idle_cpu_share"] for row in rows], min(1, len(rows) - 1))


def _frequency(workers: int) -> float:
    """Return signs of life a second: each worker's come less often where there are many."""
    return workers / float(heartbeat_interval(workers))


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 20, 100])
    parser.add_argument("--outputs", type=int, default=200)
    parser.add_argument("--partitions", type=int, default=100, help="of the index that is spread")
    parser.add_argument("--idle", type=float, default=10.0, help="seconds without work")
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.5, 2.0, 10.0], help="of work an output")
    options = parser.parse_args(arguments)
    rows = []
    for workers in options.workers:
        rows.append(measured(workers, options.outputs, options.partitions, options.idle))
        print(rows[-1], file=sys.stderr)
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    print("\nshare of one core that the scheduler needs, extrapolated:")
    print(extrapolated(rows, options.seconds).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
