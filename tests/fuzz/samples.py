"""Valid small files of every form that is read."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import shapely
from mobility_sample import sample_sheets
from relationship_file import relationship

KEYS = ("18001000100", "18001000200", "39001000100", "39003000100")


def text(content: str) -> Callable[[Path], Any]:
    """Return how a file of text is written, gzipped where its name says so."""

    def make(path: Path) -> None:
        data = content.encode()
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)

    return make


def zipped(members: Mapping[str, str | bytes]) -> Callable[[Path], Any]:
    """Return how a .zip is written, without the time of day in it."""

    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, content)

    return make


MEASURES = "GEOID,poverty,income,note\n" + "".join(
    f"{key},{number / 7:.3f},{number * 1000},a{number}\n" for number, key in enumerate(KEYS, 1)
)


def _frame() -> pd.DataFrame:
    return pd.read_csv(io.StringIO(MEASURES), dtype={"GEOID": str})


def cells() -> list[list[Any]]:
    return [list(_frame()), *_frame().to_numpy().tolist()]


def workbook(sheets: Mapping[str, Sequence[Sequence[Any]]]) -> Callable[[Path], Any]:
    """Return how an .xlsx is written, without the time of day in it."""

    def make(path: Path) -> None:
        book, buffer = openpyxl.Workbook(), io.BytesIO()
        book.remove(book.active)
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row in rows:
                sheet.append(list(row))
        book.save(buffer)
        with zipfile.ZipFile(buffer) as archive:
            zipped({name: archive.read(name) for name in archive.namelist() if "core.xml" not in name})(path)

    return make


def old_workbook(sheets: Mapping[str, Sequence[Sequence[Any]]]) -> Callable[[Path], Any]:
    """Return how an .xls is written: records of BIFF8 in one stream of a compound file; nothing here writes any."""

    def record(kind: int, body: bytes = b"") -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    def cell(row: int, place: int, value: Any) -> bytes:
        at = struct.pack("<HHH", row, place, 0)
        if isinstance(value, (int, float)):
            return record(0x203, at + struct.pack("<d", value))
        shown = "" if value is None else str(value)
        return record(0x204, at + struct.pack("<HB", len(shown), 1) + shown.encode("utf-16-le"))

    def make(path: Path) -> None:
        start, end = (record(0x809, struct.pack("<HHHHII", 0x600, kind, 0, 0, 0, 6)) for kind in (5, 16))
        bodies = [
            end + b"".join(cell(r, c, value) for r, row in enumerate(rows) for c, value in enumerate(row)) + record(0xA)
            for rows in sheets.values()
        ]
        names = [struct.pack("<HBB", 0, len(name), 1) + name.encode("utf-16-le") for name in sheets]
        place = len(start) + sum(8 + len(name) for name in names) + 4
        head = start
        for name, body in zip(names, bodies, strict=True):
            head += record(0x85, struct.pack("<I", place) + name)
            place += len(body)
        stream = (head + record(0xA) + b"".join(bodies)).ljust(4096, b"\0")
        path.write_bytes(_compound(stream))

    return make


def _compound(stream: bytes) -> bytes:
    """Return a compound file (OLE2) of one stream: header, table of sectors, folder, sectors."""
    size, last, free = 512, 0xFFFFFFFE, 0xFFFFFFFF
    count = -(-len(stream) // size)
    header = struct.pack(
        "<8s16sHHHHH6s", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE, 9, 6, bytes(6)
    )
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, last, 0, last, 0) + struct.pack("<I", 0)
    header += struct.pack("<I", free) * 108
    table = [0xFFFFFFFD, last, *range(3, 2 + count), last]
    assert len(table) <= size // 4, "one sector of the table is enough for a small stream"
    sectors = struct.pack(f"<{size // 4}I", *table, *[free] * (size // 4 - len(table)))

    def entry(name: str, kind: int, child: int, first: int, length: int) -> bytes:
        encoded = name.encode("utf-16-le")
        body = encoded.ljust(64, b"\0") + struct.pack(
            "<HBBIII", len(encoded) + 2 if name else 0, kind, 1, free, free, child
        )
        return body + bytes(36) + struct.pack("<IQ", first, length)

    folder = (
        entry("Root Entry", 5, 1, last, 0) + entry("Workbook", 2, free, 2, len(stream)) + entry("", 0, free, 0, 0) * 2
    )
    return header + sectors + folder + stream.ljust(count * size, b"\0")


def parquet(path: Path) -> None:
    _frame().to_parquet(path)


def squares() -> gpd.GeoDataFrame:
    shapes = [shapely.box(place, 40, place + 1, 41) for place in range(len(KEYS))]
    columns = {"GEOID": KEYS, "NAME": ["a", "b", "c", "d"], "ALAND": 5.0, "AWATER": 0.5}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4269")


def layer(driver: str) -> Callable[[Path], Any]:
    """Return how polygons of tracts are written."""

    def make(path: Path) -> None:
        squares().to_file(path, driver=driver, layer="tracts", engine="pyogrio")

    return make


def zipped_layer(driver: str, name: str) -> Callable[[Path], Any]:
    """Return how polygons are written in several files, which are zipped together."""

    def make(path: Path) -> None:
        folder = path.with_name(f"{path.stem}_files")
        folder.mkdir()
        layer(driver)(folder / name)
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        zipped({str(file.relative_to(folder)): file.read_bytes() for file in files})(path)

    return make


ACS_ROWS = [
    ["GEO_ID", "NAME", "B01003_001E", "B01003_001M"],
    *[[f"1400000US{key}", f"Census Tract {number}", 1000 + number, 50] for number, key in enumerate(KEYS)],
]
ACS = "\n".join(",".join(map(str, row)) for row in ACS_ROWS) + "\n"
BRACKETS = [[key, 136, *range(1, 17)] for key in KEYS]
METRO = "hh_18," + ",".join(
    f"I_{upper}000_18" for upper in (10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 75, 100, 125, 150, 200, 201)
)
METRO += ",FIPS\n" + "".join(f"136,{','.join(map(str, range(1, 17)))},{key}\n" for key in KEYS)
GEOCORR = "county,placefp,placenm,pop20,afact,AFACT2\n" + "".join(
    f"{key[:5]},{place},P{place},100,0.5,{0.25 + number / 8}\n"
    for number, key in enumerate(("18001", "39001", "39003"))
    for place in ("02000", "99999")
)
GEOCORR_TRACTS = "county,tract,place,afact\n" + "".join(f"{key[:5]},{key[5:9]}.{key[9:]},02000,0.5\n" for key in KEYS)
RELATIONS = [
    ("18001000101", "18001000100", 300, 0),
    ("18001000102", "18001000100", 100, 50),
    ("39001000200", "39001000200", 5, 0),
]
COUNTY_ZONES = "cz,state,county,czname\n" + "".join(f"{100 + n},{n},{n},Town\n" for n in (1, 18, 39))
WHITE = "GEOID,pop2000,nh.white\n" + "".join(f"{key},1000,{100 * n}\n" for n, key in enumerate(KEYS))
ATLAS = "state,county,tract,kir_pooled_p25\n" + "".join(
    f"{k[:2]},{k[2:5]},{k[5:]},4{n}.5\n" for n, k in enumerate(KEYS)
)

CLUSTER = """store: store
cluster: local
limits: {bytes: 2GiB, columns: 50000, rows: 50000000, depth: 3}
clusters:
  local: {kind: local, threads_per_worker: 1, memory_limit: auto, target: 0.6, spill: 0.7, dashboard: ":8787"}
  far: {kind: address, address: "tcp://127.0.0.1:8786", timeout: 30}
"""
INDEX = """name: sample
title: An index
population: population
domains:
  income:
    - {measure: poverty_pct, direction: 1}
    - {measure: median_income_usd, direction: -1}
  health:
    - {measure: uninsured_pct}
parameters: {recipe: opportunity}
"""
INDEX_TABLE = "measure,domain,direction\npoverty,income,1\nincome,income,-1\nuninsured,health,1\n"
GROUPS = """name: mine
title: Two groups
subgroup_type: race
editions:
  - years: [2009, null]
    total: [B_001E, B_001M]
    groups:
      - {name: black, label: Black, parts: [[B_002E, B_002M]]}
      - {name: other, label: Other, parts: [[B_003E, B_003M], [B_004E, B_004M]]}
"""
BRACKET_LIST = """name: thirds
title: Thirds
merges: {halves: 3}
brackets:
  - {column: low, from: 0, to: 30}
  - {column: middle, from: 30, to: 60}
  - {column: high, from: 60, to: 100}
"""
GROUP_LIST = """name: homes
title: Homes
groups:
  - {name: owners, columns: [owned_free, owned_mortgage]}
  - {name: renters, columns: [rented]}
"""
KINDS = "people: count\npoor_share: {kind: share, of: [poor, people]}\nincome: {kind: median, unit: usd}\npoor: count\n"
NIGHT = """name: night
years: 2009-2011
states: [IN, OH]
products:
  counties: {job: exposure, dataset: acs5_b03002, by: county, years: 2010}
  metros: {job: segregation, dataset: acs5_b19001, groups: b19001, by: cbsa, cube: metros}
  index: {job: opportunity, dataset: acs, definition: sample, scope: state}
"""


def model(path: Path) -> None:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from geomob_dask.models.model_files import FittedModel, to_bytes
    from geomob_dask.models.study import Feature

    values = np.arange(20.0).reshape(10, 2)
    estimator = make_pipeline(SimpleImputer(strategy="median"), LogisticRegression()).fit(values, np.arange(10) // 5)
    features = tuple(Feature(name, name, "a domain", "share") for name in ("one", "two"))
    model = FittedModel(
        "logistic", "L", estimator, features, ("low", "high"), (0.5,), "zones", "mobility", "f" * 64, "a" * 16
    )
    path.write_bytes(to_bytes(model))


def true_checksum(data: bytes) -> bytes:
    """Return a model file that states the checksum of the model in it, so that what is behind the check is reached."""

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        about = json.loads(members["about.json"])
        about["sha256"] = hashlib.sha256(members["model.skops"]).hexdigest()
        members["about.json"] = json.dumps(about).encode()
    except Exception:
        return data
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


# By name of the file ------------------------------------------------------------------------------

measures_workbook = workbook({"measures": cells()})
MEASURES_FILES: dict[str, Callable[[Path], Any]] = {
    "m.csv": text(MEASURES),
    "m.csv.gz": text(MEASURES),
    "m.tsv": text(MEASURES.replace(",", "\t")),
    "m.parquet": parquet,
    "m.xlsx": measures_workbook,
    "m.xls": old_workbook({"measures": cells()}),
    "m.zip": zipped({"f/m.csv": MEASURES}),
}
POLYGON_FILES: dict[str, Callable[[Path], Any]] = {
    "p.gpkg": layer("GPKG"),
    "p.geojson": layer("GeoJSON"),
    "p.fgb": layer("FlatGeobuf"),
    "p.parquet": lambda path: squares().to_parquet(path),
    "p.shp.zip": zipped_layer("ESRI Shapefile", "tracts.shp"),
    "p.gdb.zip": zipped_layer("OpenFileGDB", "p.gdb"),
}
ACS_FILES: dict[str, Callable[[Path], Any]] = {
    "a.csv": text(ACS),
    "a.json": text(json.dumps(ACS_ROWS)),
    "a.zip": zipped({"ACSDT5Y2020.B01003-Data.csv": ACS, "x-Metadata.csv": "a,b\n"}),
}
REGION_FILES: dict[str, Callable[[Path], Any]] = {
    "r.csv": text("GEOID,cbsa,name\n" + "".join(f"{key},10{key[:3]},Town\n" for key in KEYS)),
    "r.json": text(json.dumps({"18001": "10100", "39001": {"code": "10200", "name": "T"}})),
}
BRACKET_FILES: dict[str, Callable[[Path], Any]] = {
    "j.zip": zipped({"10100.json": json.dumps(BRACKETS[:2]), "10200.json": json.dumps(BRACKETS[2:])}),
    "c.zip": zipped({"Denvercensus_summ_2018.csv": METRO}),
}
ZONE_FILES: dict[str, Callable[[Path], Any]] = {
    "z.xlsx": workbook(sample_sheets()),
    "z.xls": old_workbook(sample_sheets()),
}
LINKS = text("source,target,weight\n" + "".join(f"{key},{key},0.5\n" for key in KEYS))
PRICES = text("year,index\n" + "".join(f"{year},{year / 9:.2f}\n" for year in range(2009, 2015)))
REPORTED = text("county,population\n" + "".join(f"{key[:5]},{number}\n" for number, key in enumerate(KEYS[1:])))


def relationship_file(path: Path) -> Any:
    """Write a relationship file of the Bureau's form."""
    return relationship(path, RELATIONS)
