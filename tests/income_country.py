"""A small country of squares in three states, with a region across a state line, and jobs run as a user runs them."""

import runpy
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from rich.console import Console
from stores import build_graph

from geomob_dask.runs.landing import ingest
from geomob_dask.store import Store

JOBS = Path(__file__).parents[1] / "jobs"
QUIET = Console(quiet=True)
STATES = ("17", "18", "39")
SIDE, COLUMNS = 1500.0, 5


def geoids(per_state: int) -> list[str]:
    return [f"{state}001{number:06d}" for state in STATES for number in range(1, per_state + 1)]


def counts(per_state: int = 12, seed: int = 0) -> pd.DataFrame:
    """Deciles and two groups by tract; `area` crosses state lines, `alone` has a region of one tract, one is empty."""
    rng = np.random.default_rng(seed)
    keys = geoids(per_state)
    table = pd.DataFrame(
        rng.integers(0, 60, (len(keys), 10)).astype(float), columns=[f"decile_{k}" for k in range(1, 11)]
    )
    table.iloc[3] = 0.0
    table["owners"] = table[[f"decile_{k}" for k in range(5, 11)]].sum(axis=1)
    table["renters"] = table[[f"decile_{k}" for k in range(1, 5)]].sum(axis=1)
    table["area"] = np.where(np.arange(len(keys)) < 0.4 * len(keys), "west", "east")
    table["alone"] = ["single", *["rest"] * (len(keys) - 1)]
    return table.set_index(pd.Index(keys, name="geoid"))


def squares(per_state: int = 12) -> gpd.GeoDataFrame:
    """The states stand on top of each other, so that squares meet across state lines."""
    keys = geoids(per_state)
    boxes = [
        shapely.box(SIDE * (n % COLUMNS), SIDE * (n // COLUMNS), SIDE * (n % COLUMNS + 1), SIDE * (n // COLUMNS + 1))
        for n in range(len(keys))
    ]
    return gpd.GeoDataFrame({"GEOID": keys, "ALAND": SIDE**2, "AWATER": 0}, geometry=boxes, crs="EPSG:5070")


def fill(
    url: str, folder: Path, *, per_state: int = 12, years: tuple[int, ...] = (2020,), polygons: bool = True
) -> Store:
    """Ingest the country: dataset made, vintage toy."""
    store = Store(url)
    for year in years:
        file = folder / f"counts_{year}.parquet"
        counts(per_state, seed=year - 2020).reset_index().to_parquet(file)
        names = list(counts(2).columns)
        ingest(store, "measures", file=str(file), dataset="made", year=year, vintage="toy", columns=names)
    if polygons:
        file = folder / "squares.parquet"
        squares(per_state).to_parquet(file)
        ingest(store, "tracts", files=[str(file)], vintage="toy")
        build_graph(store, vintage="toy")
    return store


def run_job(monkeypatch, capsys, job: str, *arguments: str) -> tuple[int, str, str]:
    """Run a job's command line in this process; return its exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", [f"jobs/{job}.py", *arguments])
    code = 0
    try:
        runpy.run_path(str(JOBS / f"{job}.py"), run_name="__main__")
    except SystemExit as ended:
        code = int(ended.code or 0)
    found = capsys.readouterr()
    return code, found.out, found.err


def listing(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
