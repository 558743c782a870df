r"""Size of a map's page, its heap in a browser, and seconds to the first picture and to change a layer.

Tracts of the nation (or of `--states`) with an index and eight of its measures, the index with an interval. Pages are
opened in headless Chromium, from a file, each in a browser of its own; times are medians of several runs. With
`--before`, a folder with an earlier version of the package, its page of the same values is measured in the same run
(without intervals, where it has none), and the ratio is printed.

    python benchmarks/maps.py
    python benchmarks/maps.py --states 39
    python benchmarks/maps.py --before ../earlier
"""

import argparse
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from playwright.sync_api import sync_playwright

_LAYERS = ["povP", "unempP", "pciE", "NoVehHHld", "InsuredPopP", "BbndInternetP", "vacantP", "minDisHosp"]
_HERE = Path(__file__).resolve().parents[1]
# Makes the page in a process of its own, with the version of the package in its folder.
_MAKE = """
import pickle, sys
from geomob_dask.outputs import maps
from geomob_dask.outputs.palette import DEPRIVATION
tracts, values = pickle.load(open(sys.argv[1], "rb"))
shown = [name for name in values.columns if name not in ("low", "high")]
texts = dict(title="Benchmark", subtitle="2018", missing_note="without a value", tolerance=0)
if hasattr(maps, "map_page"):
    from geomob_dask.outputs.classes import even
    scale = even(DEPRIVATION, 0, 100)
    ends = {shown[0]: ("low", "high")}
    layers = [maps.Layer(name, name, "0 to 100", scale, bounds=ends.get(name)) for name in shown]
    page = maps.map_page(tracts, values, layers, **texts)
else:
    layers = [maps.Layer(name, name, "0 to 100", DEPRIVATION, 0, 100) for name in shown]
    page = maps.index_map(tracts, values, layers, **texts)
open(sys.argv[2], "w", encoding="utf-8").write(page)
"""
# Until the browser has painted: a frame later.
_CHANGE = """
async (number) => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await painted();
  const before = performance.now();
  document.querySelectorAll("#layers input")[number].click();
  await painted();
  return performance.now() - before;
}
"""
_HEAP = "() => { if (window.gc) gc(); return performance.memory.usedJSHeapSize; }"


def inputs(data: Path, states: list[str]) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    """Return tracts as a store simplifies them for a map, and ranks of measures from 0 to 100."""
    from geomob_dask.frames.display import simplify
    from geomob_dask.transforms.display import display_tolerance

    tracts = gpd.read_parquet(data / "tracts" / "cb500k_2010_vintage.parquet").set_index("GEOID").sort_index()
    measures = pd.read_csv(data / "opportunity_2018" / "measures.csv.gz", dtype={"GEOID": str}).set_index("GEOID")
    if states:
        tracts = tracts[tracts.index.str[:2].isin(states)]
        measures = measures[measures.index.str[:2].isin(states)]
    tolerance = display_tolerance(tracts.to_crs(5070).total_bounds)
    parts = [simplify(part, tolerance=tolerance) for _, part in tracts.groupby(tracts.index.str[:2])]
    ranks = 100 * measures[_LAYERS].rank(pct=True)
    values = pd.concat([ranks.mean(axis=1, skipna=False).rename("index"), ranks], axis=1)
    half = np.random.default_rng(1).uniform(1, 9, len(values))
    values["low"], values["high"] = values["index"] - half, values["index"] + half
    return pd.concat(parts), values


def measured(page: Path, runs: int) -> dict[str, float]:
    """Return megabytes of a page and of its heap, and seconds."""
    found: dict[str, list[float]] = {"first picture, s": [], "layer change, s": [], "heap, MB": []}
    with sync_playwright() as playwright:
        for _ in range(runs):
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info", "--js-flags=--expose-gc"],
            )
            tab = browser.new_page(viewport={"width": 1280, "height": 800})
            tab.goto(page.as_uri())
            tab.wait_for_selector("body[data-ready=yes]", timeout=120_000)
            found["first picture, s"].append(tab.evaluate("performance.now()") / 1000)
            tab.wait_for_timeout(1500)
            found["heap, MB"].append(tab.evaluate(_HEAP) / 1e6)
            found["layer change, s"] += [tab.evaluate(_CHANGE, number % 4) / 1000 for number in range(1, 7)]
            browser.close()
    return {"page, MB": page.stat().st_size / 1e6, **{name: statistics.median(all_) for name, all_ in found.items()}}


def main() -> None:
    """Print what is measured, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("GEOMOB_DATA"), help="folder of the real data")
    parser.add_argument("--states", default="", help="two-digit codes separated by commas; by default all")
    parser.add_argument("--before", type=Path, help="folder with an earlier version of the package")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if options.data is None:
        parser.error("--data: expected the folder of the real data, or GEOMOB_DATA")
    tracts, values = inputs(options.data, [one for one in options.states.split(",") if one])
    versions: dict[str, Path | None] = {"now": None}
    if options.before:
        versions = {"before": options.before, **versions}
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder, "given.pickle")
        given.write_bytes(pickle.dumps((tracts, values)))
        for name, where in versions.items():
            page = Path(folder, f"{name}.html")
            # Python looks for the package where it starts.
            subprocess.run([sys.executable, "-c", _MAKE, given, page], cwd=(where or _HERE).absolute(), check=True)
            results[name] = measured(page, options.runs)
    print(f"{len(tracts):,} tracts, {len(values.columns) - 2} layers, medians of {options.runs} browsers")
    print(f"{'':18}" + "".join(f"{name:>10}" for name in results) + ("     ratio" if options.before else ""))
    for what in results["now"]:
        row = [results[name][what] for name in results]
        ratio = f"{row[0] / row[-1]:10.1f}" if options.before else ""
        print(f"{what:18}" + "".join(f"{one:10.2f}" for one in row) + ratio)


if __name__ == "__main__":
    main()
