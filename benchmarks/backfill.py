"""What a backfill costs: reruns, dry runs and plans of many outputs, and what it adds to the work itself.

Everything is made up and small: a country of 51 states. Prints tables; every figure comes from this run.

    python benchmarks/backfill.py
    python benchmarks/backfill.py --part rerun
    python benchmarks/backfill.py --part plan --outputs 100000
    python benchmarks/backfill.py --part work --tracts 400 --years 4
"""

import argparse
import gc
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
import psutil
import yaml
from rich.console import Console

from geomob_dask.clusters import connect
from geomob_dask.runs.backfill.file import Backfill, read_backfill
from geomob_dask.runs.backfill.plan import Asked, plan_backfill
from geomob_dask.runs.carriers import OnCluster
from geomob_dask.runs.engine import execute
from geomob_dask.runs.output import frame_of
from geomob_dask.runs.planning import Plan, Standing
from geomob_dask.sections import LocalSection
from geomob_dask.settings import Settings
from geomob_dask.sources.states import STATES
from geomob_dask.store import Part, Provenance, Snapshot, Store

QUIET = Console(quiet=True)
FIFTY_ONE = tuple(code for code in STATES if code <= "56")
JOB = Path(__file__).parents[1] / "jobs" / "backfill.py"
DECILES = [f"decile_{number}" for number in range(1, 11)]


def products(names: Sequence[str], folder: Path) -> str:
    """Write a backfill file of five kinds of products, again and again under other names, and return its path."""
    domains = {"low": [{"measure": name} for name in DECILES[:3]], "high": [{"measure": name} for name in DECILES[7:]]}
    entries: dict[str, Any] = {}
    for number, name in enumerate(names):
        index = {"name": f"index{number}", "population": "people", "domains": domains}
        (folder / f"index{number}.yaml").write_text(yaml.safe_dump(index))
        groups = [{"name": one, "label": one, "parts": [[one, f"{one}_moe"]]} for one in ("owners", "renters")]
        edition = {"years": [None, None], "total": ["people", "people_moe"], "groups": groups}
        tenure = {"name": f"tenure{number}", "title": "", "subgroup_type": "tenure", "editions": [edition]}
        (folder / f"tenure{number}.yaml").write_text(yaml.safe_dump(tenure))
        brackets = yaml.safe_load(
            (Path(__file__).parents[1] / "geomob_dask" / "definitions" / "brackets" / "deciles.yaml").read_text()
        )
        brackets["name"] = f"deciles{number}"
        (folder / f"deciles{number}.yaml").write_text(yaml.safe_dump(brackets))
        given = {
            "index": {"job": "opportunity", "definition": str(folder / f"index{number}.yaml"), "scope": "state"},
            "counties": {"job": "exposure", "groups": str(folder / f"tenure{number}.yaml"), "by": "county"},
            "states": {"job": "exposure", "groups": str(folder / f"tenure{number}.yaml"), "by": "state"},
            "mixed": {"job": "mixing", "brackets": str(folder / f"deciles{number}.yaml"), "by": "county"},
            "apart": {
                "job": "segregation",
                "groups": str(folder / f"deciles{number}.yaml"),
                "by": "county",
                "indices": "multigroup_gini,information_theory,rank_order_information_theory",
            },
        }
        entries |= {f"{kind}{name}": {"dataset": "made", **entry} for kind, entry in given.items()}
    file = folder / "night.yaml"
    file.write_text(yaml.safe_dump({"name": "night", "products": entries}, sort_keys=False))
    return str(file)


def measures(states: Sequence[str], state: str, tracts: int, seed: int) -> pd.DataFrame:
    """Return counts of one state's tracts, of as many counties as there are fifties of tracts."""
    rng = np.random.default_rng([seed, states.index(state)])
    keys = [f"{state}{2 * (number // 50) + 1:03d}{number:06d}" for number in range(tracts)]
    table = pd.DataFrame(rng.integers(1, 60, (tracts, 10)).astype(float), columns=DECILES)
    table["owners"], table["renters"] = table[DECILES[4:]].sum(axis=1), table[DECILES[:4]].sum(axis=1)
    table["people"] = table["owners"] + table["renters"]
    for name in ("owners", "renters", "people"):
        table[f"{name}_moe"] = 3.0 + np.sqrt(table[name])
    return table.set_index(pd.Index(keys, name="geoid", dtype="str"))


def country(url: str, years: Sequence[int], states: Sequence[str], tracts: int) -> Store:
    """Return a store of made-up measures of all years, tracts in a row and their neighbors; vintage toy."""
    store = Store(url)
    attributes = {"vintage": "toy"}
    for year in years:
        name = f"measures/made/{year}"
        parts = {state: store.put(name, state, measures(states, state, tracts, year)) for state in states}
        store.commit(name, parts, Provenance("benchmark", {}), attributes)
    polygons, edges = {}, {}
    for state in states:
        keys = measures(states, state, tracts, 0).index
        polygons[state] = store.put("tracts/toy", state, pd.DataFrame({"aland": 1.0}, index=keys))
        pairs = pd.DataFrame({"neighbor": keys[1:], "rook": True}, index=keys[:-1])
        back = pd.DataFrame({"neighbor": keys[:-1], "rook": True}, index=keys[1:])
        edges[state] = store.put("neighbors/toy", state, pd.concat([pairs, back]).sort_index())
    found = store.commit("tracts/toy", polygons, Provenance("benchmark", {}), {"crs": "EPSG:5070"})
    reach = {state: [] for state in states}
    store.commit(
        "neighbors/toy", edges, Provenance("benchmark", {}), {"tracts": found.checksum(), "reach": reach, **attributes}
    )
    return store


def pretend_done(store: Store, plan: Plan) -> None:
    """Commit snapshots that say all outputs of a plan are there, without their parts: what a plan reads of results."""
    for group in plan.groups:
        parts, runs = {}, {}
        for place, (state, identity) in enumerate(zip(group.states, group.identities, strict=True)):
            parts[state] = Part(f"{group.collection}/{state}-x.parquet", "0" * 64, 9000, 90, "a", "b", None, identity)
            runs[identity] = group.output(place).provenance.plain()
        snapshot = Snapshot(group.collection, parts, runs, {"vintage": "toy"})
        store.objects.create(f"{group.collection}/_snapshots/00000001.json", snapshot.to_bytes())


def spans(years: int) -> tuple[int, ...]:
    """Return so many years, the last of them 2023."""
    return tuple(range(2024 - years, 2024))


# Reruns and dry runs ---------------------------------------------------------------------------


def rerun(years: int, states: int, repeats: int) -> dict[str, float]:
    """Return wall seconds of whole commands with nothing to do, the best of several."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        chosen = FIFTY_ONE[:states]
        store = country(str(where / "store"), spans(years), chosen, 4)
        file = products([""], where)
        plan = planned(store, read_backfill(file), years)
        line = [sys.executable, str(JOB), file, "--years", f"{spans(years)[0]}:2023", "--store", store.url]
        found = {"outputs": float(sum(plan.counts().values()))}
        found["dry run, all missing"] = best(repeats, lambda: command([*line, "--dry-run"]))
        pretend_done(store, plan)
        found["plan alone, all done"] = best(
            repeats, lambda: plan_backfill(store, read_backfill(file), Asked(years=spans(years)))
        )
        found["dry run, all done"] = best(repeats, lambda: command([*line, "--dry-run"]))
        found["rerun, nothing to do"] = best(repeats, lambda: command(line))
        return found


def command(line: Sequence[str]) -> None:
    """Run a command; it must end well."""
    subprocess.run(line, check=True, capture_output=True)


def best(repeats: int, act: Callable[[], Any]) -> float:
    """Return the least wall seconds of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return min(times)


# Plans -----------------------------------------------------------------------------------------


def plans(outputs: Sequence[int], years: int = 40, states: int = 50) -> list[dict[str, float]]:
    """Return CPU seconds and memory of plans of so many outputs: the same years and states, more and more products."""
    return [in_fresh_process("plan-of", outputs=count, years=years, states=states) for count in outputs]


def plan_of(outputs: int, n_years: int, n_states: int) -> dict[str, float]:
    """Return what one plan costs. Run it in a process of its own.

    To stop tracemalloc beside other threads that allocate crashes Python 3.11, so that it is never stopped.
    """
    states, years = FIFTY_ONE[:n_states], spans(n_years)
    names = [f"_{number}" for number in range(max(1, outputs // (n_years * n_states * 5)))]
    asked = Asked(years=tuple(years[: max(1, min(len(years), outputs // (5 * n_states)))]))
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        store = country(str(where / "store"), years, states, 2)
        backfill = read_backfill(products(names, where))
        gc.collect()
        start = time.process_time()
        plan = plan_backfill(store, backfill, asked)
        seconds = time.process_time() - start
        count = sum(plan.counts().values())
        tracemalloc.start()
        rounds = []
        # The least of several: other threads of the process may allocate meanwhile.
        for _ in range(3):
            del plan
            gc.collect()
            tracemalloc.clear_traces()
            plan = plan_backfill(store, backfill, asked)
            rounds.append(tracemalloc.get_traced_memory())
        held, peak = min(rounds)
        if plan.counts()[Standing.REFUSED]:
            raise SystemExit("outputs were refused")
        return {"outputs": count, "CPU s": seconds, "held MiB": held / 2**20, "peak MiB": peak / 2**20}


def in_fresh_process(part: str, **options: int) -> dict[str, Any]:
    """Return what a part of this benchmark measures when it has a process for itself."""
    line = [sys.executable, __file__, "--part", part]
    line += [f"--{name}={value}" for name, value in options.items()]
    shown = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = yaml.safe_load(shown.strip().splitlines()[-1])
    return found


# The work itself -------------------------------------------------------------------------------


def work(years: int, states: int, tracts: int, workers: Sequence[int]) -> list[dict[str, Any]]:
    """Return what backfills add to the sum of their outputs, and what a second worker gains."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        chosen = FIFTY_ONE[:states]
        file = products([""], where)
        rows = []
        store = country(str(where / "kernels"), spans(years), chosen, tracts)
        plan = planned(store, read_backfill(file), years)
        alone = cpu(lambda: every_output(store, plan))
        rows.append({"how": "outputs alone, one after the other", **alone})
        store = country(str(where / "serial"), spans(years), chosen, tracts)
        plan = planned(store, read_backfill(file), years)
        rows.append({"how": "backfill, in this process", **cpu(lambda: finished(store, plan, None))})
        for count in workers:
            store = country(str(where / f"workers{count}"), spans(years), chosen, tracts)
            plan = planned(store, read_backfill(file), years)
            rows.append({"how": f"backfill, workers: {count}", **on_cluster(store, plan, count)})
        return rows


def planned(store: Store, backfill: Backfill, years: int) -> Plan:
    """Return a plan of all outputs."""
    return plan_backfill(store, backfill, Asked(years=spans(years)))


def every_output(store: Store, plan: Plan) -> None:
    """Compute and write the outputs of a plan, and nothing around that."""
    for number, place in plan.due():
        group = plan.groups[number]
        frame_of(store, group.output(place), group.identities[place], lazy=False)


def finished(store: Store, plan: Plan, client: distributed.Client | None) -> None:
    """Run a backfill; it must end well."""
    result = execute(store, plan, client, QUIET)
    if not result.fine:
        raise SystemExit(f"{result.stopped} {result.failed}")


def cpu(act: Callable[[], Any]) -> dict[str, float]:
    """Return wall and CPU seconds of a call in this process, and the peak of its memory so far."""
    wall, start = time.perf_counter(), time.process_time()
    act()
    return {
        "wall s": time.perf_counter() - wall,
        "CPU s": time.process_time() - start,
        "driver MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def on_cluster(store: Store, plan: Plan, workers: int) -> dict[str, float]:
    """Return the cost of a backfill on worker processes that are warm: a first output has been computed on each."""
    section = LocalSection(workers=workers, memory_limit="2GiB", dashboard=":0")
    with connect(Settings(store=store.url, clusters={"local": section}, cluster="local")) as client:
        assert client is not None
        client.run(import_all)
        before = sum(client.run(cpu_seconds).values())
        found = cpu(lambda: finished(store, plan, client))
        found["CPU s"] += sum(client.run(cpu_seconds).values()) - before
        found["worker MiB"] = max(client.run(peak).values())
        return found


def import_all() -> None:
    """Import what outputs need."""
    import geomob_dask.runs.output  # noqa: F401


def cpu_seconds() -> float:
    """Return the CPU seconds of this worker."""
    times = psutil.Process(os.getpid()).cpu_times()
    return float(times.user + times.system)


def peak() -> float:
    """Return the peak of this worker's memory, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory(years: Sequence[int], states: int, tracts: int) -> list[dict[str, Any]]:
    """Return the memory of driver and worker by the number of years, each in a fresh process."""
    return [in_fresh_process("memory-of", years=count, states=states, tracts=tracts) for count in years]


def memory_of(years: int, states: int, tracts: int) -> dict[str, Any]:
    """Return the memory of driver and worker of one backfill."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        store = country(str(where / "store"), spans(years), FIFTY_ONE[:states], tracts)
        plan = planned(store, read_backfill(products([""], where)), years)
        found = on_cluster(store, plan, 1)
        outputs = sum(plan.counts().values())
        return {"years": years, "outputs": outputs, **{key: round(found[key], 1) for key in found if "MiB" in key}}


# Many workers ----------------------------------------------------------------------------------


def scale(workers: Sequence[int], seconds: float, rounds: int) -> list[dict[str, float]]:
    """Return how well many workers are kept busy by one driver.

    Scheduler, driver and workers are real and share this process, so that together they have about one core; an
    output is `seconds` of sleep. What the driver hands out in a second is its limit, whatever the number of workers.
    """
    rows = []
    for count in workers:
        options = {"processes": False, "memory_limit": 0, "dashboard_address": "127.0.0.1:0"}
        with (
            distributed.LocalCluster(n_workers=count, threads_per_worker=1, **options) as cluster,
            distributed.Client(cluster) as client,
        ):
            outputs = rounds * count
            found = cpu(lambda client=client, outputs=outputs: slept(OnCluster(client), outputs, seconds))
            rows.append(
                {
                    "workers": count,
                    "outputs": outputs,
                    "s an output": seconds,
                    "wall s": found["wall s"],
                    "CPU s": found["CPU s"],
                    "outputs a s": outputs / found["wall s"],
                    "busy": rounds * seconds / found["wall s"],
                }
            )
    return rows


def slept(carrier: OnCluster, outputs: int, seconds: float) -> None:
    """Hand outputs out and take them back as a backfill does."""
    waiting, active = iter(range(outputs)), 0
    while True:
        window = 3 * carrier.width()
        for number in itertools.islice(waiting, window - active):
            carrier.submit(number, ("sleep-0", str(number)), time.sleep, seconds)
            active += 1
        if not active:
            return
        ended = carrier.ended(0.25)
        if any(error is not None for _, _, error in ended):
            raise SystemExit("an output failed")
        active -= len(ended)


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table."""
    print(f"\n{title}")
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:,.2f}"))


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ["all", "rerun", "plan", "plan-of", "work", "memory", "memory-of", "scale"]
    parser.add_argument("--part", choices=parts, default="all")
    parser.add_argument("--outputs", type=int, default=100_000)
    parser.add_argument("--years", type=int, default=None, help="15 for rerun, 3 for work")
    parser.add_argument("--states", type=int, default=None, help="51 for rerun, 12 for work")
    parser.add_argument("--tracts", type=int, default=400, help="a state, for work")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1000], help="for scale")
    parser.add_argument("--seconds", type=float, default=5.0, help="of an output, for scale")
    asked = parser.parse_args()
    if asked.part == "memory-of":
        print(memory_of(asked.years or 3, asked.states or 12, asked.tracts))
        return
    if asked.part == "plan-of":
        print(plan_of(asked.outputs, asked.years or 40, asked.states or 50))
        return
    if asked.part in ("all", "rerun"):
        found = rerun(asked.years or 15, asked.states or 51, asked.repeats)
        show("whole commands, wall seconds, best of several", [found])
    if asked.part in ("all", "plan"):
        show("plans", plans([asked.outputs // 10, asked.outputs]))
    if asked.part in ("all", "work"):
        rows = work(asked.years or 3, asked.states or 12, asked.tracts, [1, 2])
        show("backfills, without the start of the cluster", rows)
    if asked.part in ("all", "scale"):
        show("many workers", scale(asked.workers, asked.seconds, 4))
    if asked.part in ("all", "memory"):
        first = asked.years or 3
        show("memory", memory([first, 2 * first, 4 * first], asked.states or 12, asked.tracts))


if __name__ == "__main__":
    main()
