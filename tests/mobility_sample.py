"""A made-up country of commuting zones: workbook, counties, counts of 2000, polygons and tract outcomes."""

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import shapely

from geomob_dask.sources.opportunity_insights import CHARACTERISTICS, OUTCOMES, zone_columns

# A row of five zones and one apart; zone 302 has two counties, one of them in another state.
COUNTIES = {"18001": 100, "18003": 200, "18005": 302, "39001": 302, "39003": 401, "39005": 5000, "39007": 6000}
ZONES = {100: "IN", 200: "IN", 302: "IN", 401: "OH", 5000: "OH", 6000: "OH"}
PLACES = {"18001": 0, "18003": 1, "18005": 2, "39001": 3, "39003": 4, "39005": 5, "39007": 9}
NO_OUTCOME = 5000
# White shares of each county's two tracts; their mean is 0.736, tracts below it lie in 100, 302, 401 and 5000.
SHARES = {
    "18001": (0.2, 0.9),
    "18003": (0.8, 0.9),
    "18005": (0.9, 0.9),
    "39001": (0.6, 0.9),
    "39003": (0.8, 0.7),
    "39005": (0.1, 0.8),
    "39007": (0.9, 0.9),
}


@dataclass(frozen=True)
class Files:
    workbook: Path
    county_zones: Path
    counts: Path
    counties: Path


def sheet_rows(sheet: str, seed: int = 5) -> list[list[object]]:
    """Return the cells of one sheet, as the published workbook lays them out."""
    draws = np.random.default_rng(seed)
    headings = [column.heading for column in zone_columns(sheet)]
    header = ["CZ", "CZ Name", "State", *headings]
    rows: list[list[object]] = [[f"{sheet} title"], [], ["CZ", "Commuting Zone ID"], [], header]
    rows.append([f"({number + 1})" for number in range(len(header))])
    if sheet == OUTCOMES:
        rows.append([])
    for zone, state in ZONES.items():
        values: list[object] = [float(value) for value in draws.uniform(0.1, 0.9, len(headings)).round(6)]
        if sheet == OUTCOMES and zone == NO_OUTCOME:
            values = [None] * len(values)
        if sheet == CHARACTERISTICS and zone == 200:
            values[headings.index("College Tuition")] = None
        rows.append([zone, f"Town {zone}", state, *values])
    return rows


def write_xlsx(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def sample_sheets() -> dict[str, list[list[object]]]:
    return {name: sheet_rows(name) for name in (OUTCOMES, CHARACTERISTICS)}


def write_files(folder: Path) -> Files:
    """Write all files of the made-up country."""
    files = Files(folder / "book.xlsx", folder / "cz.csv", folder / "counts.csv", folder / "counties.geojson")
    write_xlsx(files.workbook, sample_sheets())
    rows = [f"{zone},{int(county[:2])},{int(county[2:])},Ca\xf1on" for county, zone in COUNTIES.items()]
    files.county_zones.write_bytes("\n".join(["cz,state,county,czname", *rows]).encode("latin-1"))
    tracts = [
        (f"{county}00{part}000", share) for county, shares in SHARES.items() for part, share in enumerate(shares, 1)
    ]
    counts = pd.DataFrame(
        {
            "GEOID": [key for key, _ in tracts] + ["18001009900"],
            "pop2000": [1000.0] * len(tracts) + [0.0],
            "nh.white": [1000 * share for _, share in tracts] + [0.0],
        }
    )
    counts.to_csv(files.counts, index=False)
    shapes = [shapely.box(place, 40, place + 1, 41) for place in PLACES.values()]
    gpd.GeoDataFrame({"geoid": list(PLACES)}, geometry=shapes, crs="EPSG:4326").to_file(
        files.counties, driver="GeoJSON"
    )
    return files


def write_atlas(path: Path, keys: list[str], seed: int = 3) -> Path:
    """Write tract outcomes, with the parts of keys as numbers."""
    draws = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "state": [int(key[:2]) for key in keys],
            "county": [int(key[2:5]) for key in keys],
            "tract": [int(key[5:]) for key in keys],
            "kir_pooled_p25": draws.uniform(30, 60, len(keys)).round(4),
        }
    )
    frame.to_csv(path, index=False)
    return path
