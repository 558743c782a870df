"""The files that the README and the docs name, as small ones of made-up numbers, and a server of the Census API."""

import gzip
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from census_server import Handler
from documented import ROOT, yaml_blocks
from relationship_file import relationship

from geomob_dask.sources.vintages import recoding

GOLDEN = ROOT / "tests" / "golden" / "data"
CONNECTICUT = recoding("2022").query("source.str.startswith('09001') and kind == 'recode'").head(6)
# Where the tracts of each state stand, in degrees; Indiana and Ohio touch.
PLACES = {"06": -120.0, "08": -105.0, "13": -84.0, "17": -89.0, "18": -86.0, "39": -85.0, "47": -90.0, "53": -123.0}
PLACES |= {"09": -72.4, "44": -71.8}
AREAS = {"31080": "06", "41860": "06", "16980": "17", "12060": "13", "19740": "08", "32820": "47"}
RACES = ("003", "004", "005", "006", "007", "008", "009", "012")


def keys_of(state: str, vintage: str = "2020") -> list[str]:
    """Return the tracts of a state under the codes of a vintage."""
    if state == "09":
        return CONNECTICUT["target" if vintage == "2022" else "source"].tolist()
    if state == "44":
        return [f"440010{number:03d}00" for number in range(301, 307)]
    codes = ["000110", *(f"{number:04d}00" for number in range(2, 12)), "010200"]
    tracts = [f"{state}{county}{code}" for county in ("001", "049") for code in codes]
    return sorted(tracts)


def polygons_of(states: Sequence[str], vintage: str = "2020") -> gpd.GeoDataFrame:
    """Return squares of a tenth of a degree, ten in a row."""
    rows = [(key, state, number) for state in states for number, key in enumerate(keys_of(state, vintage))]
    boxes = [
        shapely.box(x := PLACES[state] + number % 10 / 10, y := 41 + number // 10 / 10, x + 0.1, y + 0.1)
        for _, state, number in rows
    ]
    return gpd.GeoDataFrame({"GEOID": [key for key, *_ in rows]}, geometry=boxes, crs=4269)


def polygon_file(file: Path, states: Sequence[str]) -> None:
    """Write a zipped shapefile of tracts."""
    polygons_of(states).to_file(file.with_suffix(".shp"))
    with zipfile.ZipFile(file, "w") as archive:
        for part in ("shp", "shx", "dbf", "prj"):
            archive.write(file.with_suffix(f".{part}"), f"{file.stem}.{part}")


def measures() -> pd.DataFrame:
    """Return measures of Indiana and Ohio: those of the README's definition, and income with its margin."""
    keys = [*keys_of("18"), *keys_of("39")]
    random = np.random.default_rng(1)
    table = pd.DataFrame({"GEOID": keys, "population": random.integers(900, 6000, len(keys))})
    table["poverty_pct"] = random.uniform(2, 40, len(keys)).round(1)
    table["median_income_usd"] = random.integers(20_000, 120_000, len(keys))
    table["uninsured_pct"] = random.uniform(1, 25, len(keys)).round(1)
    table["B19013_001E"] = table["median_income_usd"]
    table["B19013_001M"] = 4000
    return table


def households() -> pd.DataFrame:
    """Return households by income (B19001) of six areas, two of them in one state."""
    random = np.random.default_rng(2)
    areas = {key: area for area, state in AREAS.items() for key in _half(state, area)}
    counts = random.integers(20, 200, (len(areas), 16))
    table = pd.DataFrame(counts, columns=[f"B19001_{line:03d}E" for line in range(2, 18)])
    table.insert(0, "B19001_001E", counts.sum(axis=1))
    table.insert(0, "GEOID", list(areas))
    return table.assign(cbsa=list(areas.values()))


def _half(state: str, area: str) -> list[str]:
    keys = keys_of(state)
    return keys[: len(keys) // 2] if area == "31080" else keys[len(keys) // 2 :]


def zipped_brackets(file: Path) -> None:
    """Write households by income, a member an area."""
    with zipfile.ZipFile(file, "w") as archive:
        for area, table in households().groupby("cbsa"):
            archive.writestr(f"{area}.json", json.dumps(table.drop(columns="cbsa").to_numpy().tolist()))


def bureau_table(file: Path) -> None:
    """Write B02001 of two states as data.census.gov gives it: a second row of labels, and a row of the country."""
    random = np.random.default_rng(3)
    keys = [*keys_of("39"), *keys_of("53")]
    lines = [f"B02001_{number:03d}" for number in range(1, 9)]
    counts = random.integers(5, 900, (len(keys), 7))
    counts = np.column_stack([counts.sum(axis=1), counts])
    rows = [["GEO_ID", "NAME", *(f"{line}{kind}" for line in lines for kind in "EM")]]
    rows.append(["Geography", "Geographic Area Name", *(f"{line} {kind}" for line in lines for kind in "EM")])
    rows.append(["0100000US", "United States", *(text for total in counts.sum(axis=0) for text in (str(total), "10"))])
    for key, row in zip(keys, counts, strict=True):
        cells = [text for value in row for text in (str(value), "40")]
        rows.append([f"1400000US{key}", f"Census Tract {key[5:]}", *cells])
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("ACSDT5Y2018.B02001-Data.csv", "\n".join(",".join(row) for row in rows))


def copied(name: str, file: Path) -> None:
    """Copy a file of the golden runs, compressed where its new name says so."""
    data = (GOLDEN / name).read_bytes()
    file.write_bytes(gzip.compress(data, mtime=0) if file.suffix == ".gz" else data)


def text(content: str, file: Path) -> None:
    """Write text."""
    file.write_text(content, encoding="utf-8")


def relationship_2010(file: Path) -> None:
    """Write the Bureau's form of a table of tracts of 2010 and 2020, one to one."""
    keys = [*keys_of("39"), *keys_of("53")]
    relationship(file, [(key, key, 100, 0) for key in keys])


def from_page(page: str, name: str) -> str:
    """Return the block of YAML of a page that has a name."""
    return next(block for block in yaml_blocks(ROOT / page) if re.match(rf"name: {name}\b", block))


INDEX_OF_YEARS = """
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
NATION = """
name: nation
products:
  all: {job: opportunity, dataset: opportunity, definition: my_index.yaml, scope: all}
  each: {job: opportunity, dataset: opportunity, definition: my_index.yaml, scope: state}
"""
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: batch
contexts: [{name: batch, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {token: none}}]
"""
DEFINITION = "measure,domain,direction\npoverty_pct,income,1\nmedian_income_usd,income,-1\nuninsured_pct,health,1\n"
RACES_FILE = """
name: races
title: Three groups
subgroup_type: race
editions:
  - years: [2009, null]
    total: [B02001_001E, B02001_001M]
    groups:
      - {name: black, label: Black, parts: [[B02001_003E, B02001_003M]]}
      - {name: white, label: White, parts: [[B02001_002E, B02001_002M]]}
      - {name: other, label: Other, remainder: true}
"""
CITIES = "year,state,place,state_name,place_name,population\n" + "".join(
    f"{year},39,{place},Ohio,{name} city,250000\n"
    for year in (2021, 2022)
    for place, name in (("00010", "First"), ("00020", "Second"))
)
LABELS = "name,label,unit\npoverty_pct,Poverty rate,%\nB19013_001E,Median household income,USD\n"

FILES: dict[str, Callable[[Path], None]] = {
    "cb_2018_18_tract_500k.zip": partial(polygon_file, states=["18"]),
    "cb_2018_39_tract_500k.zip": partial(polygon_file, states=["39"]),
    "cb_2020_09_tract_500k.zip": partial(polygon_file, states=["09"]),
    "cb_2020_44_tract_500k.zip": partial(polygon_file, states=["44"]),
    "cb_2020_us_tract_500k.zip": partial(polygon_file, states=list(PLACES)),
    "measures.csv.gz": lambda file: measures().to_csv(file, index=False),
    "my_index.yaml": lambda file: text(from_page("README.md", "my_index"), file),
    "my_index.csv": partial(text, DEFINITION),
    "definition.csv": partial(text, DEFINITION),
    "labels.csv": partial(text, LABELS),
    "night.yaml": partial(text, NIGHT),
    "B19001_2023_by_cbsa_json.zip": zipped_brackets,
    "online_data_tables-8.xls": partial(copied, "zones.xlsx"),
    "cz_counties.csv": partial(copied, "county_zones.csv"),
    "race_2000.csv.gz": partial(copied, "cohort.csv"),
    "opportunity_atlas_cz_county_crosswalk.csv": partial(copied, "county_zones.csv"),
    "census_2000_race_counts.csv.gz": partial(copied, "cohort.csv"),
    "counties_2020_simplified.geojson": partial(copied, "counties.geojson"),
    "opportunity_atlas_tract_collapse.csv.gz": lambda file: atlas(file),
    "acs5_2018_B02001_all_states.zip": bureau_table,
    "races.yaml": partial(text, RACES_FILE),
    "place-populations.csv": partial(text, CITIES),
    "tab20_tract20_tract10_natl.txt": relationship_2010,
}


def atlas(file: Path) -> None:
    """Write outcomes of the tracts of the measures, with the parts of their keys as numbers."""
    keys = measures()["GEOID"]
    pieces = {"state": keys.str[:2], "county": keys.str[2:5], "tract": keys.str[5:]}
    outcome = np.random.default_rng(4).uniform(30, 60, len(keys)).round(4)
    table = pd.DataFrame({name: part.astype(int) for name, part in pieces.items()} | {"kir_pooled_p25": outcome})
    table.to_csv(file, index=False)


def lay(folder: Path, arguments: Sequence[str]) -> None:
    """Write the files that a command names and that are not there yet."""
    for name in arguments:
        if name in FILES and not (folder / name).exists():
            FILES[name](folder / name)


class Census(Handler):
    """Answers with counts of any table and year: Connecticut's counties to 2021, its planning regions from 2022 on."""

    def answer(self, server: object) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        state, year = query["in"].split("state:")[1][:2], int(re.search(r"/(20\d\d)/", parts.path)[1])
        keys = keys_of(state, "2022" if year >= 2022 else "2020")
        variables = query["get"].split(",")
        rows = [[*(cell(name, n, year) for name in variables), state, key[2:5], key[5:]] for n, key in enumerate(keys)]
        self.reply(200, json.dumps([[*variables, "state", "county", "tract"], *rows]).encode())


def cell(name: str, number: int, year: int) -> str | None:
    """Return an estimate (grows by tract and year, parts add up to their total), a margin, or no annotation."""
    table, line, kind = name[:-4].rstrip("_"), name[-4:-1], name[-1]
    if kind != "E":
        return {"M": "50"}.get(kind)
    typical = {"B01003": 4000, "B19113": 90_000, "B25077": 300_000}.get(table)
    if typical:
        return str(typical * (10 + number) // 10 + year - 2020)
    lines = RACES if table == "B03002" else [f"{part:03d}" for part in range(2, 18)]
    counts = dict(zip(lines, np.random.default_rng([number, year]).integers(40, 400, len(lines)), strict=True))
    if line == "001":
        return str(sum(counts.values()))
    return str(counts.get(line, 0))
