"""Neighbor graphs: this package beside libpysal and a bare STRtree query, on real tracts and on a mesh.

Every method runs in a process of its own: its CPU seconds (user and system, children included) and the
peak of its memory over what the polygons take. On Dask, wall seconds without the start of the cluster,
the partitions already with the workers, and the workers' CPU seconds.

    python benchmarks/neighbors.py                           # real tracts (GEOMOB_DATA) and 85k, 240k, 1M cells
    python benchmarks/neighbors.py --cells 85000 --no-real
    python benchmarks/neighbors.py --cells 500 --no-real     # a smoke test
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import psutil
import shapely

TILES = (5, 10)
REAL = "tracts/cb500k_2010_vintage.parquet"


def mesh(cells: int, bends: int = 10, seed: int = 20) -> gpd.GeoDataFrame:
    """Return a jittered mesh of about so many quadrilaterals with wiggly shared edges, 44 vertices each.

    They come in 50 square tiles, which are the partitions; geoids begin with the tile.
    """
    rng = np.random.default_rng(seed)
    side = max(round(np.sqrt(cells / np.prod(TILES))), 1)
    rows, columns = TILES[0] * side, TILES[1] * side
    node = np.stack(np.meshgrid(np.arange(columns + 1.0), np.arange(rows + 1.0)), axis=-1)
    node += rng.uniform(-0.25, 0.25, node.shape)

    def bent(start: np.ndarray, end: np.ndarray) -> np.ndarray:
        t = np.arange(bends + 1)[:, None] / (bends + 1)
        line = start[..., None, :] * (1 - t) + end[..., None, :] * t
        line[..., 1:, :] += rng.uniform(-0.02, 0.02, line[..., 1:, :].shape)
        return line

    def back(line: np.ndarray, end: np.ndarray) -> np.ndarray:
        return np.concatenate([end[..., None, :], line[..., :0:-1, :]], axis=-2)

    across, up = bent(node[:, :-1], node[:, 1:]), bent(node[:-1], node[1:])
    row, column = np.divmod(np.arange(rows * columns), columns)
    tile = row // side * TILES[1] + column // side
    order = np.lexsort([column, row, tile])
    row, column, tile = row[order], column[order], tile[order]
    ring = np.concatenate(
        [
            across[row, column],
            up[row, column + 1],
            back(across[row + 1, column], node[row + 1, column + 1]),
            back(up[row, column], node[row + 1, column]),
        ],
        axis=1,
    )
    geoid = np.char.add(np.char.zfill(tile.astype(str), 2), np.char.zfill(np.arange(len(ring)).astype(str), 9))
    # A kilometer wide: tolerances are in meters.
    polygons = shapely.polygons(1000 * np.concatenate([ring, ring[:, :1]], axis=1))
    return gpd.GeoDataFrame(geometry=polygons, index=pd.Index(geoid, name="geoid"), crs=5070)


def load(source: str) -> gpd.GeoDataFrame:
    """Return the mesh of so many cells, or the tracts of a file."""
    if source.isdecimal():
        return mesh(int(source))
    tracts = gpd.read_parquet(source, columns=["GEOID", "geometry"]).set_index("GEOID").sort_index()
    return tracts.rename_axis("geoid")


def ours(tracts: gpd.GeoDataFrame) -> int:
    from geomob_dask.frames.neighbors import neighbors

    return len(neighbors(tracts)) // 2


def strtree(tracts: gpd.GeoDataFrame) -> int:
    polygons = np.asarray(tracts.geometry.array)
    i, j = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    return int((i < j).sum())


def libpysal(tracts: gpd.GeoDataFrame) -> int:
    from libpysal.graph import Graph

    adjacency = Graph.build_contiguity(tracts, rook=False).adjacency
    focal, neighbor = (adjacency.index.get_level_values(end) for end in ("focal", "neighbor"))
    return int((focal < neighbor).sum())


METHODS = {"ours, queen and rook": ours, "STRtree intersects": strtree, "libpysal queen": libpysal}


def measure(method: str, source: str) -> dict[str, float]:
    """Run one method in this process."""
    tracts = load(source)
    # Modules are imported, and their threads started, before the clock is.
    METHODS[method](tracts.iloc[:50])
    before = resident()
    reset_peak()
    start, cpu = time.perf_counter(), sum(os.times()[:4])
    pairs = METHODS[method](tracts)
    return {
        "cells": len(tracts),
        "pairs": pairs,
        "wall_s": time.perf_counter() - start,
        "cpu_s": sum(os.times()[:4]) - cpu,
        "over_input_MB": (peak() - before) / 1e6,
    }


def resident() -> int:
    return psutil.Process().memory_info().rss


def reset_peak() -> None:
    """Forget how much memory loading took (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Return the most memory held since `reset_peak`, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def measure_on_dask(source: str, workers: int) -> dict[str, float]:
    """Run the lifted graph on a cluster of `workers` processes, one thread each."""
    import dask.dataframe
    import dask_geopandas  # noqa: F401  (frames of polygons)
    import distributed

    from geomob_dask.clusters import connect
    from geomob_dask.frames.neighbors import neighbors
    from geomob_dask.sections import LocalSection
    from geomob_dask.settings import Settings

    tracts = load(source)
    part = tracts.index.str[:2]
    names = sorted(set(part))
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            tracts[part == name].to_parquet(f"{folder}/{name}.parquet")
        cells = len(tracts)
        known = gpd.GeoSeries([shapely.box(*tracts[part == name].total_bounds) for name in names], crs=tracts.crs)
        empty = tracts.iloc[:0]
        del tracts
        settings = Settings(clusters={"local": LocalSection(workers=workers, dashboard=":0")})
        with connect(settings) as client:
            paths = [f"{folder}/{name}.parquet" for name in names]
            frame = dask.dataframe.from_map(gpd.read_parquet, paths, meta=empty).persist()
            frame.spatial_partitions = known
            distributed.wait(frame)
            client.run(warm_up)
            start, cpu = time.perf_counter(), sum(client.run(time.process_time).values())
            edges = neighbors(frame).persist()
            distributed.wait(edges)
            wall = time.perf_counter() - start
            cpu = sum(client.run(time.process_time).values()) - cpu
            return {"cells": cells, "pairs": len(edges) // 2, "wall_s": wall, "cpu_s": cpu}


def warm_up() -> None:
    """Import what the tasks need."""
    from geomob_dask.frames.neighbors import neighbors

    neighbors(mesh(50))


def in_own_process(*arguments: str) -> dict[str, float]:
    """Run this file again for one measurement."""
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="*", default=[85_000, 240_000, 1_000_000], help="sizes of the mesh")
    parser.add_argument("--real", action=argparse.BooleanOptionalAction, default=True, help="the real tracts too")
    parser.add_argument("--data", default=os.environ.get("GEOMOB_DATA"), help="folder of the real tables")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="worker processes on Dask")
    parser.add_argument("--libpysal-up-to", type=int, default=240_000, help="cells beyond which libpysal is left out")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each; the quickest is shown")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "SOURCE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        method, source = options.one
        found = measure_on_dask(source, int(method)) if method.isdecimal() else measure(method, source)
        print(json.dumps(found))
        return
    sources = {f"mesh of {cells:,}": str(cells) for cells in options.cells}
    if options.real:
        if not options.data:
            parser.error("GEOMOB_DATA is not set: give --data, or --no-real")
        sources = {"real tracts": str(Path(options.data) / REAL)} | sources

    rows = []
    for (name, source), method in product(sources.items(), [*METHODS, *map(str, options.workers)]):
        large = source.isdecimal() and int(source) > options.libpysal_up_to
        if method == "libpysal queen" and large:
            continue
        runs = [in_own_process("--one", method, source) for _ in range(options.repeats)]
        best = min(runs, key=lambda run: run["cpu_s"])
        label = f"ours on Dask, {method} worker{'s' * (method != '1')}" if method.isdecimal() else method
        rows.append({"input": name, "method": label, **best, "us_a_cell": best["cpu_s"] / best["cells"] * 1e6})
        print(f"{name}: {label}: {best}", file=sys.stderr)
    table = pd.DataFrame(rows).set_index(["input", "method"])
    print(f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB")
    print(table.round({"wall_s": 2, "cpu_s": 2, "over_input_MB": 0, "us_a_cell": 1}).to_string(na_rep=""))


if __name__ == "__main__":
    main()
