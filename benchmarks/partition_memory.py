"""Memory that a task of one state takes, as a multiple of the bytes of its inputs in the store.

`jobs/doctor.py` compares it with the memory of workers. Needs the real tables: GEOMOB_DATA. Each task runs in a process
of its own, which has done the same for a small state before: what is left is not the memory of imports.

    python benchmarks/partition_memory.py
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from rich.console import Console

from geomob_dask.definition import read_definition
from geomob_dask.products import exposure, neighbors, opportunity, segregation
from geomob_dask.runs.engine import run
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.sources.acs_files import read_file
from geomob_dask.store import Store

QUIET = Console(quiet=True)
INDEX = "opportunity_2018/definition.csv"
# Rhode Island and California as they are; 01 has all tracts of the country.
SMALL, MIDDLE, LARGE = "44", "06", "01"
TASKS = ("read tracts", "read measures", "neighbors", "opportunity", "exposure", "segregation")


def renumbered(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return tracts of all states as those of one large state, in 999 counties."""
    places = np.arange(len(table))
    keys = [f"{LARGE}{1 + place % 999:03d}{place:06d}" for place in places]
    return table.assign(**{key: keys})


def fill(store: Store, data: Path, folder: Path) -> None:
    """Bring three states into a store: polygons, measures, counts of groups, and their graph."""
    tracts = gpd.read_parquet(data / "tracts/cb500k_2010_vintage.parquet").sort_values("GEOID")
    index = pd.read_csv(data / "opportunity_2018/measures.csv.gz", dtype={"GEOID": str}).set_index("GEOID")
    races = read_file(data / "exposure/acs5_2018_B02001_all_states.zip").tracts.set_index("geoid")
    known = tracts["GEOID"].isin(index.index) & tracts["GEOID"].isin(races.index)
    tracts = tracts[known]
    of_state = tracts["GEOID"].str[:2]
    named = [tracts[of_state == state] for state in (SMALL, MIDDLE)]
    polygons = pd.concat([*named, renumbered(tracts, "GEOID")])
    for state in (SMALL, MIDDLE, LARGE):
        file = folder / f"{state}.parquet"
        polygons[polygons["GEOID"].str[:2] == state].to_parquet(file)
        ingest(store, "tracts", files=[str(file)], vintage=f"only{state}")
    polygons.to_parquet(folder / "tracts.parquet")
    ingest(store, "tracts", files=[str(folder / "tracts.parquet")], vintage="2010")
    before = [*(one["GEOID"] for one in named), tracts["GEOID"]]
    for name, table in (("index", index), ("races", races)):
        rows = table.loc[pd.concat(before)].reset_index(drop=True).assign(GEOID=polygons["GEOID"].to_numpy())
        rows.to_parquet(folder / f"{name}.parquet")
        file = str(folder / f"{name}.parquet")
        ingest(store, "measures", file=file, dataset=name, year=2018, vintage="2010")
    run(store, make_plan(store, [Request("neighbors", neighbors.Options(vintage="2010"))]), None, QUIET)


def requests(data: Path, state: str) -> dict[str, Request]:
    """Return the products of one state, by task."""
    index = read_definition(str(data / INDEX))
    by_state = {"by_state": True, "only": (state,)}
    shared = {"dataset": "races", "year": 2018, "by": "county", "groups": "b02001_races"}
    return {
        "neighbors": Request("neighbors", neighbors.Options(vintage=f"only{state}")),
        "opportunity": Request(
            "opportunity", opportunity.Options(definition=index, dataset="index", year=2018, norm="state"), **by_state
        ),
        "exposure": Request("exposure", exposure.Options(**shared), **by_state),
        "segregation": Request("segregation", segregation.Options(**shared, draws=100), **by_state),
    }


def task_of(name: str, store: Store, data: Path, state: str) -> tuple[int, Callable[[], object]]:
    """Return the bytes of the inputs of a task, and the task."""
    if name.startswith("read"):
        snapshot = store.snapshot("tracts/2010" if name == "read tracts" else "measures/index/2018")
        return snapshot.parts[state].size, lambda: store.read(snapshot.parts[state])
    plan = make_plan(store, [requests(data, state)[name]], reprocess="all")
    [group] = plan.groups
    return sum(group.sizes), lambda: run(store, plan, None, QUIET)


def peak() -> int:
    """Return the most memory that this process has had since `forget`, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def forget() -> int:
    """Forget the most memory that there was; return what there is now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return peak()


def measure(name: str, url: str, data: Path, state: str) -> None:
    """Print the bytes of the inputs of a task and the memory that it takes."""
    store = Store(url)
    task_of(name, store, data, SMALL)[1]()
    size, task = task_of(name, store, data, state)
    before = forget()
    kept = task()
    print(size, peak() - before, before, flush=True)
    del kept


def measured(name: str, url: str, state: str) -> tuple[float, float, float]:
    """Return what `measure` prints, in MiB, from a process of its own."""
    line = [sys.executable, __file__, "--one", name, url, state]
    done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
    size, memory, before = (float(word) / 2**20 for word in done.stdout.splitlines()[-1].split())
    return size, memory, before


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    data = Path(os.environ["GEOMOB_DATA"])
    if given.one:
        name, url, state = given.one
        return measure(name, url, data, state)
    with tempfile.TemporaryDirectory() as folder:
        url = f"{folder}/store"
        fill(Store(url), data, Path(folder))
        print("MiB                  California           the country          memory a byte")
        print("task                 inputs     memory    inputs     memory    of inputs more    before")
        for name in TASKS:
            (small, less, before), (large, more, _) = (measured(name, url, state) for state in (MIDDLE, LARGE))
            slope = (more - less) / (large - small)
            print(f"{name:<17}{small:>10.2f}{less:>11.1f}{large:>10.1f}{more:>11.1f}{slope:>18.1f}{before:>10.0f}")
    return None


if __name__ == "__main__":
    main()
