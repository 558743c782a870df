"""The README's sequence over several years, run as it is written, on small files of the names that it uses."""

import json
import re
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from census_server import Handler, serving

from geomob_dask.sources.vintages import recoding
from geomob_dask.store import Store

README = Path(__file__).parents[2] / "README.md"
CONNECTICUT = recoding("2022").query("source.str.startswith('09001') and kind == 'recode'").head(6)
RHODE_ISLAND = [f"440010{number:03d}00" for number in range(301, 307)]
VALUE = {"B01003": 4000, "B19113": 90_000, "B25077": 300_000}
DEFINITION = """
name: my_index
title: Index of Connecticut and Rhode Island
population: B01003_001E
domains:
  income: [{measure: B19113_001E_usd_2023, direction: -1}]
  housing: [{measure: B25077_001E_usd_2023, direction: -1}]
parameters: {reverse: complement}
"""
NIGHT = """
name: night
products:
  my_index: {job: opportunity, dataset: comparable, definition: my_index.yaml, scope: all}
"""


class ByYear(Handler):
    """Answers with Connecticut's counties to 2021, and its planning regions from 2022 on."""

    def answer(self, server) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        state, year = query["in"].split("state:")[1][:2], int(re.search(r"/(20\d\d)/", parts.path)[1])
        keys = RHODE_ISLAND if state == "44" else CONNECTICUT["target" if year >= 2022 else "source"]
        variables = query["get"].split(",")
        rows = [[*self.cells(variables, number, year), state, key[2:5], key[5:]] for number, key in enumerate(keys)]
        self.reply(200, json.dumps([[*variables, "state", "county", "tract"], *rows]).encode())

    @staticmethod
    def cells(variables: list[str], number: int, year: int) -> list[str | None]:
        kinds = {"M": "50", "A": None}
        values = [VALUE.get(name[:6], 0) * (10 + number) // 10 + (year - 2020) for name in variables]
        return [
            str(value) if name[-1] == "E" else kinds[name[-1]] for name, value in zip(variables, values, strict=True)
        ]


def polygons(file: Path, keys: list[str], left: float) -> None:
    """Write a zipped shapefile of tracts side by side."""
    shapes = [shapely.box(left + 0.1 * number, 41, left + 0.1 * (number + 1), 41.2) for number in range(len(keys))]
    gpd.GeoDataFrame({"GEOID": keys}, geometry=shapes, crs=4269).to_file(file.with_suffix(".shp"))
    with zipfile.ZipFile(file, "w") as archive:
        for part in ("shp", "shx", "dbf", "prj"):
            archive.write(file.with_suffix(f".{part}"), f"{file.stem}.{part}")


def commands(heading: str) -> list[list[str]]:
    """Return the commands of the block that follows a line of the README."""
    block = README.read_text(encoding="utf-8").split(heading, 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    lines = [line for line in block.splitlines() if line and not line.startswith("#")]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files that the README names."""
    polygons(tmp_path / "cb_2020_09_tract_500k.zip", CONNECTICUT["source"].tolist(), -72.4)
    polygons(tmp_path / "cb_2020_44_tract_500k.zip", RHODE_ISLAND, -71.8)
    (tmp_path / "my_index.yaml").write_text(DEFINITION)
    (tmp_path / "night.yaml").write_text(NIGHT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOB_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    return tmp_path


def test_years_made_comparable_as_the_readme_says(here: Path, job: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = commands("Years made comparable")
    assert [command[1].removeprefix("jobs/") for command in sequence][:3] == ["ingest.py", "neighbors.py", "ingest.py"]
    with serving() as server:
        server.RequestHandlerClass = ByYear
        monkeypatch.setenv("GEOMOB_CENSUS_URL", server.url)
        for program, script, *arguments in sequence:
            assert program == "python"
            done = job(Path(script).stem, *arguments)
            assert done.code == 0, f"{script} {shlex.join(arguments)}\n{done.out}\n{done.err}"
    store = Store(str(here / "store"))
    tracts = sorted([*CONNECTICUT["target"], *RHODE_ISLAND])
    assert store.frame("tracts/2022").compute(scheduler="threads").index.tolist() == tracts
    for year in range(2020, 2025):
        people = store.frame(f"measures/comparable/{year}").compute(scheduler="threads")["B01003_001E"]
        expected = {key: 4000 * (10 + number) // 10 + (year - 2020) for number, key in enumerate(CONNECTICUT["target"])}
        assert people[list(expected)].to_dict() == expected
        index = store.frame(f"results/opportunity/my_index/comparable/{year}/all-selected")
        assert index.compute(scheduler="threads")["opportunity"].notna().sum() == len(tracts)
    assert pd.Series(tracts).isin(re.findall(r"\b\d{11}\b", (here / "change.html").read_text())).all()
