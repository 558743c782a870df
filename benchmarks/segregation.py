"""Segregation of the 935 metropolitan and micropolitan areas: kernels, PySAL, the whole job, and random draws.

Needs the real tables: GEOMOB_DATA. PySAL's `segregation` is timed where an interpreter that has it is named;
it is no dependency of this project. Every figure comes from this run.

    python benchmarks/segregation.py
    python benchmarks/segregation.py --pysal /path/to/venv/bin/python --draws 1000
"""

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console

from geomob_dask.clusters import connect
from geomob_dask.metrics.segregation_catalog import INDICES
from geomob_dask.metrics.segregation_gini import gini
from geomob_dask.metrics.segregation_units import RegionUnits
from geomob_dask.products.segregation import Options
from geomob_dask.runs import engine
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.sections import LocalSection
from geomob_dask.settings import Settings
from geomob_dask.sources.income_tables import read_income
from geomob_dask.store import Store

QUIET = Console(quiet=True)
THREE = ("information_theory", "multigroup_dissimilarity", "relative_diversity")
PYSAL = {
    "MultiDissim": "multigroup_dissimilarity",
    "MultiInfoTheory": "information_theory",
    "MultiRelativeDiversity": "relative_diversity",
    "MultiNormExposure": "normalized_exposure",
    "MultiSquaredCoefVar": "squared_coefficient_of_variation",
    "MultiDiversity": "diversity",
    "SimpsonsInteraction": "simpson_interaction",
    "GlobalDistortion": "",
    "MultiGini": "multigroup_gini",
}
# PySAL's Gini holds a matrix of all pairs of units: these areas would need tens of GB.
LARGEST_LEFT_OUT = 6
_PYSAL_SCRIPT = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, pandas as pd
from segregation import multigroup
source = np.load(sys.argv[1])
counts, region, names, left_out = source["counts"], source["region"], sys.argv[2].split(","), int(sys.argv[3])
columns = [f"b{k}" for k in range(counts.shape[1])]
tables = [pd.DataFrame(counts[region == r], columns=columns) for r in range(region.max() + 1)]
largest = set(sorted(range(len(tables)), key=lambda r: -len(tables[r]))[:left_out])
for name in names:
    function = getattr(multigroup, name, None)
    if function is None:
        continue
    start = time.process_time()
    values = [None if name == "MultiGini" and r in largest else float(function(table, columns).statistic)
              for r, table in enumerate(tables)]
    print(json.dumps([name, time.process_time() - start, values]), flush=True)
"""


def cpu(act: Callable[[], object], repeats: int = 3) -> float:
    """Return the least CPU seconds of some runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        act()
        times.append(time.process_time() - start)
    return min(times)


def line(name: str, *figures: str) -> None:
    print(f"{name:<64} {'  '.join(figures)}", flush=True)


def kernels(counts: np.ndarray, region: np.ndarray) -> tuple[dict[bool, float], dict[str, np.ndarray]]:
    indices = [index for index in INDICES.values() if index.kind == "multi-group"]

    def all_of_them(exact: bool) -> dict[str, np.ndarray]:
        units = RegionUnits.of(counts, region, exact=exact)
        return {index.name: index.of(units) for index in indices}

    times = {exact: cpu(lambda: all_of_them(exact), 7) for exact in (True, False)}  # noqa: B023
    name = f"kernels, all {len(indices)} multi-group indices together"
    line(f"{name}, sums in order", f"{times[False]:.3f} CPU s")
    line(f"{name}, exact sums", f"{times[True]:.3f} CPU s")
    return times, all_of_them(True)


def pysal(interpreter: str | None, counts: np.ndarray, region: np.ndarray, own: dict, values: dict) -> None:
    if interpreter is None:
        line("PySAL segregation", "skipped: no interpreter that has it was named (--pysal)")
        return
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, counts=counts, region=region)
        file.flush()
        names = ",".join(name for name, ours in PYSAL.items() if ours)
        command = [interpreter, "-c", _PYSAL_SCRIPT, file.name, names, str(LARGEST_LEFT_OUT)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        line("PySAL segregation", f"skipped: {done.stderr.strip().splitlines()[-1]}")
        return
    total = 0.0
    for text in done.stdout.splitlines():
        name, seconds, found = json.loads(text)
        total += seconds
        ours = values[PYSAL[name]]
        theirs = np.array([np.nan if value is None else value for value in found])
        known = ~np.isnan(theirs) & ~np.isnan(ours)
        worst = np.abs(ours - theirs)[known].max()
        line(
            f"PySAL {name}, area by area",
            f"{seconds:.2f} CPU s",
            f"{known.sum()} areas agree within {worst:.1e}",
        )
    line(
        "PySAL, all of them",
        f"{total:.2f} CPU s",
        f"{total / own[False]:.0f} times the kernels, {total / own[True]:.0f} times those with exact sums",
    )


def gini_beside_a_sort(counts: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    two = np.column_stack([rng.integers(0, 2000, 85_000), rng.integers(0, 4000, 85_000)]).astype(float)
    share = two[:, 0] / two.sum(axis=1)
    sort = cpu(lambda: np.argsort(share), 15)
    index = cpu(lambda: gini(two), 15)
    line(
        "Gini of 85,000 units beside one sort of them",
        f"{1000 * index:.1f} ms",
        f"{1000 * sort:.1f} ms",
        f"{index / sort:.2f} times",
    )


def peak() -> float:
    """Return the largest resident memory this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(store: Store, options: Options, client) -> float:
    """Return the wall seconds of one run, forced."""
    plan = make_plan(store, [Request("segregation", options)], reprocess="all")
    start = time.perf_counter()
    engine.run(store, plan, client, QUIET)
    return time.perf_counter() - start


def jobs(store: Store, options: argparse.Namespace, own: dict) -> None:
    def request(names: tuple[str, ...], draws: int = 0, regions: tuple[str, ...] | None = None) -> Options:
        income = {"dataset": "income", "year": 2023, "by": "cbsa", "groups": "b19001"}
        return Options(**income, indices=names, regions=regions, draws=draws, interval="none", seed=1)

    multi = tuple(index.name for index in INDICES.values() if index.kind == "multi-group")
    start = time.process_time()
    wall = run(store, request(multi), None)
    spent = time.process_time() - start
    line(
        "whole job, the same indices, in one process",
        f"{wall:.2f} s",
        f"{spent:.2f} CPU s",
        f"{spent / own[True]:.1f} times the kernels",
    )
    few, more = options.few, options.draws
    areas = sorted(set(store.frame("measures/income/2023", columns=["cbsa"]).compute(scheduler="threads")["cbsa"]))
    half = tuple(areas[::2])
    times: dict[tuple[int, int], float] = {}
    for workers in (1, 2):
        settings = Settings(clusters={"local": LocalSection(workers=workers, dashboard=":0")})
        with connect(settings) as client:
            client.wait_for_workers(workers)
            run(store, request(THREE), client)
            base = min(run(store, request(THREE), client) for _ in range(2))
            line(f"whole job, three indices, {workers} worker(s), no draws", f"{base:.2f} s")
            for draws, regions in ((few, half), (few, None), (2 * few, None)):
                seconds = run(store, request(THREE, draws, regions), client)
                times[workers, draws if regions is None else -draws] = seconds
                what = "every other area" if regions else "all areas"
                line(
                    f"{draws} null draws, {what}, three indices, {workers} worker(s)",
                    f"{seconds:.1f} s",
                    f"worker peak {max(client.run(peak).values()):.0f} MiB",
                )
            if workers == 2 and more:
                seconds = run(store, request(THREE, more), client)
                line(
                    f"{more} null draws, all areas, three indices, 2 workers",
                    f"{seconds:.1f} s",
                    f"worker peak {max(client.run(peak).values()):.0f} MiB",
                )
    line("twice the draws take", f"{times[1, 2 * few] / times[1, few]:.2f} times as long (1 worker)")
    line("twice the areas take", f"{times[1, few] / times[1, -few]:.2f} times as long (1 worker)")
    line("two workers beside one", f"{times[1, 2 * few] / times[2, 2 * few]:.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("GEOMOB_DATA"), help="folder of the real tables")
    parser.add_argument("--pysal", help="a Python interpreter that has PySAL's `segregation`")
    parser.add_argument("--few", type=int, default=20, help="draws whose growth is measured")
    parser.add_argument("--draws", type=int, default=0, help="draws of the large run; 0: none")
    parser.add_argument("--skip-jobs", action="store_true", help="kernels and PySAL alone")
    options = parser.parse_args()
    if not options.data:
        parser.error("GEOMOB_DATA is not set: no real data")
    file = Path(options.data) / "income" / "B19001_2023_by_cbsa_json.zip"
    table = read_income(file, 2023).rows
    counts = np.ascontiguousarray(table.iloc[:, 1:17].to_numpy())
    region = np.unique(table["cbsa"], return_inverse=True)[1]
    print(
        f"{psutil.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {len(counts):,} tracts, {region.max() + 1} areas, "
        "16 brackets"
    )
    own, values = kernels(counts, region)
    gini_beside_a_sort(counts)
    pysal(options.pysal, counts, region, own, values)
    if not options.skip_jobs:
        with tempfile.TemporaryDirectory() as folder:
            store = Store(folder)
            ingest(store, "brackets", file=str(file), dataset="income", year=2023, vintage="2020")
            jobs(store, options, own)


if __name__ == "__main__":
    main()
