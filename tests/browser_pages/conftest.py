"""Every kind of page that jobs write, made once by their commands from the sample and small tables."""

import contextlib
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from golden.commands import SUITES

from geomob_dask.sources.sample import sample_country

TESTS = Path(__file__).parents[1]
JOBS = TESTS.parent / "jobs"
_MADE = [SUITES["made"][label] for label in ("ingest 2020", "ingest 2021", "ingest tracts")]
# Franklin County, Ohio, and Adams County beside it, drawn as a state of the sample.
_COUNTIES = {"001": "049", "003": "001"}
COMMANDS = f"""
ingest sample
neighbors --vintage sample
ingest measures sample_2021.csv.gz --dataset sample --year 2021 --vintage sample
opportunity --dataset sample --year 2020 --definition sample --map index.html
opportunity --dataset sample --year 2021 --definition sample
opportunity --dataset sample --year 2021 --definition sample --draws 5 --seed 1 --map intervals.html
cube write index --results results/opportunity/sample/sample/{{year}}/all-selected --years 2020,2021
cube change index --measure opportunity --years 2020,2021 --map change.html --layer after --title "What's new: <y>"
cube series index --measure opportunity --states 91,92 --page series.html
ingest tracts ohio.gpkg --vintage ohio
ingest measures ohio.csv --dataset ohio --year 2020 --vintage ohio
neighbors --vintage ohio
opportunity --dataset ohio --year 2020 --definition sample --map ohio.html --export ohio_index.csv
ingest measures race_2018.csv --dataset race --year 2018 --vintage 2010
ingest measures race_2019.csv --dataset race --year 2019 --vintage 2010
ingest tracts race_tracts.geojson --vintage 2010 --crs EPSG:5070
exposure --dataset race --year 2018 --by county --map exposure_map.html --report exposure.html --title "The city's"
segregation --dataset race --year 2018,2019 --by county --groups b03002_four --change --draws 5 --report apart.html
{_MADE[0]}
{_MADE[1]}
{_MADE[2]}
mixing --dataset made --year 2020,2021 --by area --brackets deciles --map mixing_map.html --report mixing.html
{SUITES["mobility"]["zones"]}
{SUITES["mobility"]["study in four classes"]} --report mobility.html --map mobility_map.html
"""
PAGES = sorted(word.removesuffix(".html") for word in COMMANDS.split() if word.endswith(".html"))


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the commands wrote their pages."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(TESTS / "golden" / "data", folder, dirs_exist_ok=True)
    tracts, measures = (_in_ohio(table) for table in sample_country())
    tracts.to_file(folder / "ohio.gpkg")
    measures.to_csv(folder / "ohio.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GEOMOB_STORE", str(folder / "store"))
        patch.setenv("GEOMOB_CLUSTER", "serial")
        for command in COMMANDS.strip().splitlines():
            name, *arguments = shlex.split(command)
            patch.setattr(sys, "argv", [f"jobs/{name}.py", *arguments])
            # A job that fails ends with a code that is not 0.
            with contextlib.suppress(SystemExit):
                runpy.run_path(str(JOBS / f"{name}.py"), run_name="__main__")
    missing = [page for page in PAGES if not (folder / f"{page}.html").exists()]
    assert not missing, missing
    return folder


def _in_ohio(table: pd.DataFrame) -> pd.DataFrame:
    table = table[table["GEOID"].str.startswith("91")]
    return table.assign(GEOID=["39" + _COUNTIES.get(key[2:5], key[2:5]) + key[5:] for key in table["GEOID"]])
