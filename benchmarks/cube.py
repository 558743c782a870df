"""Time and memory of a cube against its number of years: made-up results, written in this process without a cluster.

Each number of years runs in a process of its own, for the peak of its memory. Every figure comes from this run.

    python benchmarks/cube.py
    python benchmarks/cube.py --years 1,4,15 --tracts 85000 --measures 10
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from geomob_dask.products.cube import write_cube
from geomob_dask.runs.progress import Progress
from geomob_dask.store import Provenance, Snapshot, Store
from geomob_dask.store.cubes import open_cube

QUIET = Progress(Console(quiet=True))
STATES = 50


def results(store: Store, years: int, tracts: int, measures: int) -> dict[int, Snapshot]:
    """Commit random measures with margins: fifty states of equal size, another table a year."""
    random = np.random.default_rng(0)
    each = tracts // STATES
    found = {}
    for year in range(2001, 2001 + years):
        collection = f"results/opportunity/random/random/{year}/all-selected"
        parts = {}
        for state in (f"{number:02d}" for number in range(1, STATES + 1)):
            keys = [f"{state}001{number:06d}" for number in range(each)]
            columns = {}
            for number in range(measures):
                columns[f"m{number}"] = random.normal(size=each)
                columns[f"m{number}_moe"] = random.uniform(size=each)
            parts[state] = store.put(collection, state, pd.DataFrame(columns, pd.Index(keys, name="geoid")))
        found[year] = store.commit(collection, parts, Provenance("opportunity", {}), {"vintage": "2020"})
    return found


def cpu() -> float:
    """Return the seconds that this process computed."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(url: str, years: int, tracts: int, measures: int) -> dict[str, float]:
    """Return seconds of computing, peak memory and size of a cube, and seconds to find that nothing changed."""
    store = Store(url)
    made = results(store, years, tracts, measures)
    started = cpu()
    done = write_cube(store, "made", made, None, QUIET)
    written = cpu() - started
    started = time.perf_counter()
    if write_cube(store, "made", made, None, QUIET).version is not None:
        raise SystemExit("the second run wrote something")
    rerun = time.perf_counter() - started
    files = [file for file in Path(url, "cubes").rglob("*") if file.is_file()]
    return {
        "years": years,
        "tracts": int(open_cube(store, "made").sizes["tract"]),
        "chunks": done.chunks,
        "cpu_s": round(written, 1),
        "rerun_s": round(rerun, 2),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "cube_mib": round(sum(file.stat().st_size for file in files) / 2**20, 3),
    }


def main() -> None:
    """Measure each number of years in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", default="1,4,15", help="numbers of years, with commas")
    parser.add_argument("--tracts", type=int, default=85_000)
    parser.add_argument("--measures", type=int, default=10)
    parser.add_argument("--here", action="store_true", help="measure one number of years in this process")
    chosen = parser.parse_args()
    sizes = ["--tracts", str(chosen.tracts), "--measures", str(chosen.measures)]
    if chosen.here:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(folder, int(chosen.years), chosen.tracts, chosen.measures)))
        return
    rows = []
    for years in chosen.years.split(","):
        command = [sys.executable, __file__, "--here", "--years", years, *sizes]
        rows.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
