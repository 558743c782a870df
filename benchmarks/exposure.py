"""Exposure of four groups in every county and metropolitan area: kernels, what people write by hand, the whole job.

Needs the real tables: GEOMOB_DATA. Prints two tables; every figure comes from this run. The row of PySAL's
`segregation` needs that package (it is not one of the project's) and is left out, with a message, where it is absent.

    python benchmarks/exposure.py
    python benchmarks/exposure.py --years 1,5,15 --workers 1
"""

import argparse
import importlib
import os
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import distributed
import numpy as np
import pandas as pd
import psutil
from numpy.typing import NDArray
from rich.console import Console

from geomob_dask.clusters import connect
from geomob_dask.frames.groups import GroupCounts, group_counts
from geomob_dask.metrics.exposure import Exposures, Summing, exposure_by_region, plain_sums
from geomob_dask.metrics.exposure_terms import Mode
from geomob_dask.products.exposure import Options
from geomob_dask.runs.engine import run
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.sections import LocalSection
from geomob_dask.settings import Settings
from geomob_dask.sources.acs_files import read_file
from geomob_dask.sources.groups import Edition, Group
from geomob_dask.sources.regions import read_regions
from geomob_dask.store import Provenance, Store
from geomob_dask.transforms.exact_sums import region_sums

QUIET = Console(quiet=True)
FOUR = (("white", (2,)), ("black", (3,)), ("asian", (5,)), ("other", (4, 6, 7, 8)))
KERNELS = "kernels, with corrections, standard errors and flags"


def four_groups() -> Edition:
    """Return white, Black, Asian and all other people of table B02001."""
    groups = tuple(
        Group(name=name, label=name, parts=tuple((f"B02001_{line:03d}E", f"B02001_{line:03d}M") for line in lines))
        for name, lines in FOUR
    )
    return Edition(total=("B02001_001E", "B02001_001M"), groups=groups)


def best_of(repeats: int, act: Callable[[], Any]) -> tuple[float, Any]:
    """Return the least CPU seconds that a call took in this process, and its result."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = act()
        times.append(time.process_time() - start)
    return min(times), result


def by_kernel(groups: GroupCounts, regions: NDArray[np.int64], add: Summing, mode: Mode = Mode.CORRECTED) -> Exposures:
    """Exposure, its correction and standard error, counts and flags by the package's kernels."""
    n_regions = int(regions.max()) + 1
    return exposure_by_region(groups.counts, groups.moes, groups.total, regions, n_regions, mode=mode, add=add)


def by_groupby_apply(table: pd.DataFrame, n_groups: int) -> pd.DataFrame:
    """The same formulas, a region at a time: value, its standard error, count and its CV."""

    def region(rows: pd.DataFrame) -> pd.Series:
        total = rows["total"].to_numpy()
        found: dict[str, float] = {}
        for group in range(n_groups):
            x = rows[f"count{group}"].to_numpy()
            variance = (rows[f"moe{group}"].to_numpy() / 1.645) ** 2
            others = sum((rows[f"moe{other}"].to_numpy() / 1.645) ** 2 for other in range(n_groups) if other != group)
            people = x.sum()
            p = np.divide(x, total, out=np.zeros(len(x)), where=total > 0)
            isolation = (x * p).sum() / people if people else np.nan
            here = total > 0
            own = ((2 * p - p**2 - isolation) ** 2 * variance)[here].sum()
            found[f"value{group}"] = 1 - isolation if people > 30 else np.nan
            found[f"se{group}"] = np.sqrt(own + (p**4 * others)[here].sum()) / people if people > 30 else np.nan
            found[f"count{group}"] = people
            found[f"cv{group}"] = np.sqrt(variance.sum()) / people if people else np.nan
        return pd.Series(found)

    return table.groupby("region").apply(region)


def by_pysal(package: ModuleType, table: pd.DataFrame, n_groups: int) -> pd.DataFrame:
    """PySAL's isolation of each group in each region; it has no standard error."""
    return pd.DataFrame(
        {
            name: {
                f"isolation{group}": package.Isolation(
                    rows, group_pop_var=f"count{group}", total_pop_var="total"
                ).statistic
                for group in range(n_groups)
            }
            for name, rows in table.groupby("region")
        }
    ).T


def pysal() -> ModuleType | None:
    """Return PySAL's single-group indices, None where they are not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("segregation.singlegroup")
    except ImportError as error:
        print(f"PySAL's segregation is left out: {error}")
        return None


def compare(tracts: pd.DataFrame, data: Path, repeats: int) -> list[tuple[str, str, float, float]]:
    """Time kernels, pandas and PySAL on the same tracts, and check that they agree."""
    groups = group_counts(tracts, four_groups(), tracts.index)
    metro = read_regions(data / "income/county-to-cbsa_2023.json", "cbsa").rows["region"]
    county = pd.Series(tracts.index.str[:5], index=tracts.index)
    package = pysal()
    rows = [
        (name, what, seconds)
        for name, regions in (("county", county), ("metro", county.map(metro)))
        for what, seconds in _compare(groups, regions, package, repeats)
    ]
    for what in dict.fromkeys(what for _, what, _ in rows):
        rows.append(("both", what, sum(seconds for _, one, seconds in rows if one == what)))
    kernels = {name: seconds for name, what, seconds in rows if what == KERNELS}
    return [(name, what, seconds, seconds / kernels[name]) for name, what, seconds in rows]


def _compare(
    groups: GroupCounts, regions: pd.Series, package: ModuleType | None, repeats: int
) -> list[tuple[str, float]]:
    inside = regions.notna().to_numpy()
    counts, moes, total = groups.counts[inside], groups.moes[inside], groups.total[inside]
    chosen = GroupCounts(groups.names, groups.labels, counts, moes, total, groups.total_moe[inside])
    codes, _ = pd.factorize(regions[inside], sort=True)
    every = range(len(groups.names))
    columns = {"region": codes, "total": total}
    columns |= {f"count{group}": counts[:, group] for group in every}
    columns |= {f"moe{group}": moes[:, group] for group in every}
    table = pd.DataFrame(columns)
    kernel, found = best_of(repeats, lambda: by_kernel(chosen, codes, plain_sums))
    exact, _ = best_of(repeats, lambda: by_kernel(chosen, codes, region_sums))
    plain, other = best_of(repeats, lambda: by_groupby_apply(table, len(every)))
    # The formulas by hand have no correction for noise.
    as_published = by_kernel(chosen, codes, plain_sums, mode=Mode.PUBLISHED)
    for group in every:
        np.testing.assert_allclose(found.value[:, group], other[f"value{group}"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(as_published.se[:, group], other[f"se{group}"], rtol=1e-6, atol=1e-9)
    rows = [
        (KERNELS, kernel),
        ("kernels, sums the same in any order", exact),
        ("pandas groupby-apply, the same formulas", plain),
    ]
    if package is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seconds, isolation = best_of(1, lambda: by_pysal(package, table, len(every)))
        for group in every:
            known = ~np.isnan(found.isolation[:, group])
            theirs = isolation[f"isolation{group}"].to_numpy(float)
            np.testing.assert_allclose(found.isolation[known, group], theirs[known], rtol=0, atol=1e-9)
        rows.append(("PySAL segregation, isolation only", seconds))
    return rows


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def whole_job(store: Store, years: int, workers: int) -> tuple[float, float]:
    """Return seconds and the workers' largest memory of exposure by county and metro of the first years."""
    section = LocalSection(workers=workers, dashboard=":0")
    with connect(Settings(clusters={"local": section})) as client:
        assert isinstance(client, distributed.Client)
        client.wait_for_workers(workers)
        client.run(lambda: importlib.import_module("geomob_dask.products.exposure") and None)
        start = time.perf_counter()
        options = [
            Options(dataset="race", year=2009 + year, by=by) for year in range(years) for by in ("county", "cbsa")
        ]
        run(store, make_plan(store, [Request("exposure", one) for one in options]), client, QUIET)
        return time.perf_counter() - start, max(client.run(_peak_mib).values())


def fill(store: Store, tracts: pd.DataFrame, data: Path, years: int) -> None:
    """Store the table as that of several years, and the metropolitan areas."""
    for year in range(2009, 2009 + years):
        name = f"measures/race/{year}"
        parts = {str(state): store.put(name, str(state), rows) for state, rows in tracts.groupby(tracts.index.str[:2])}
        store.commit(name, parts, Provenance("benchmark", {}), {"vintage": "2010"})
    ingest(store, "regions", file=str(data / "income/county-to-cbsa_2023.json"), name="cbsa", vintage="2010")


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("GEOMOB_DATA"), help="folder of the real tables")
    parser.add_argument("--years", default="1,5,15", help="numbers of years at once, separated by commas")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the kernels; the fastest is shown")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("GEOMOB_DATA is not set: no real tables")
    data = Path(options.data)
    tracts = read_file(data / "exposure/acs5_2018_B02001_all_states.zip").tracts.set_index("geoid")
    # Areas of 2023 know Connecticut by its planning regions, counts of 2018 by its counties.
    tracts = tracts[tracts.index.str[:2] != "09"]
    years = [int(count) for count in options.years.split(",")]
    print(f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB; {len(tracts):,} tracts, 2018")
    rows = compare(tracts, data, options.repeats)
    print(
        pd.DataFrame(rows, columns=["by", "four groups", "CPU s", "times the kernels"]).round(3).to_string(index=False)
    )
    kernels = next(seconds for name, what, seconds, _ in rows if (name, what) == ("both", KERNELS))
    jobs = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/store")
        fill(store, tracts, data, max(years))
        for count in years:
            seconds, peak = whole_job(store, count, options.workers)
            jobs.append((count, seconds, seconds / count, seconds / count / kernels, peak))
            for collection in store.collections("results"):
                _forget(store, collection)
    columns = ["years", "job s", "s a year", "times the kernels", "worker peak MiB"]
    print(f"\nThe job, store to store, seven groups of B02001 by county and metro, {options.workers} workers")
    print(pd.DataFrame(jobs, columns=columns).round(2).to_string(index=False))


def _forget(store: Store, collection: str) -> None:
    for folder in (collection, f"{collection}/_snapshots"):
        for name in store.objects.names(folder):
            if "." in name:
                store.objects.delete(f"{folder}/{name}")


if __name__ == "__main__":
    main()
