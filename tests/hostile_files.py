"""Files that name other files, ask servers, or lead out of their archive when they are read without care."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fuzz.samples import KEYS, MEASURES, layer, measures_workbook

SECRET = "18001009999"
TABLE = f"GEOID,poverty\n{SECRET},77\n"


def write_canary(folder: Path) -> Path:
    """Write the file that nobody may read, in the forms in which others could name it."""
    folder.mkdir()
    (folder / "canary.csv").write_text(TABLE)
    layer("GeoJSON")(folder / "plain.geojson")
    text = (folder / "plain.geojson").read_text().replace(KEYS[0], SECRET)
    (folder / "plain.geojson").unlink()
    (folder / "canary.geojson").write_text(text)
    return folder


def write_all(folder: Path, canary: Path, port: int) -> dict[str, list[str]]:
    """Write every hostile file; return the kind of ingest for each, as the beginning of a command line."""
    address = f"http://127.0.0.1:{port}/asked"
    other = canary / "canary.geojson"
    link = {"type": "link", "properties": {"href": f"{address}.prj", "type": "ogcwkt"}}
    referring = {"18001": {"$ref": address, "code": "10100"}, "$ref": other.as_uri()}
    files: dict[str, tuple[str, Callable[[Path], object]]] = {
        "absolute.zip": ("measures", _zip({"/tmp/escape_absolute.csv": TABLE})),
        "upwards.zip": ("measures", _zip({"../../escape_upwards.csv": TABLE})),
        "link.zip": ("measures", _linked("m.csv", canary / "canary.csv")),
        "link_of_polygons.zip": ("tracts", _linked("p.geojson", other)),
        "upwards_of_polygons.zip": ("tracts", _zip({"../../escape.geojson": other.read_text()})),
        "external.xlsx": ("measures", _workbook(_external(address))),
        "entity.xlsx": ("measures", _workbook(_entity((canary / "canary.csv").as_uri()))),
        "address.xlsx": ("measures", _workbook(_entity(address))),
        "laughs.xlsx": ("measures", _workbook(_laughs)),
        "vrt.geojson": ("tracts", _text(_vrt(str(other)))),
        "vrt_of_server.geojson": ("tracts", _text(_vrt(f"/vsicurl/{address}.geojson"))),
        "vrt.gpkg": ("tracts", _text(_vrt(str(other)))),
        "crs.geojson": ("tracts", _with_crs(link)),
        "crs_url.geojson": ("tracts", _with_crs({"type": "url", "properties": {"url": f"{address}.prj"}})),
        "crs_named.geojson": ("tracts", _with_crs({"type": "name", "properties": {"name": f"{address}.prj"}})),
        "virtual.gpkg": ("tracts", _virtual(f"VirtualOGR('{other}')")),
        "virtual_of_server.gpkg": ("tracts", _virtual(f"VirtualOGR('/vsicurl/{address}.geojson')")),
        "view.gpkg": ("tracts", _view(f"ogr_layer_Extent('{other}')")),
        "elsewhere.parquet": ("measures", _elsewhere(str(canary / "canary.csv"))),
        "regions.json": ("regions", _text(json.dumps(referring))),
    }  # fmt: skip
    for name, (_, write) in files.items():
        write(folder / name)
    return {str(folder / name): kind.split() for name, (kind, _) in files.items()}


def _text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def _zip(members: dict[str, str]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return write


def _linked(name: str, to: Path) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = 0o120777 << 16
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(info, str(to))

    return write


def _vrt(source: str) -> str:
    return (
        f'<OGRVRTDataSource><OGRVRTLayer name="tracts"><SrcDataSource>{source}</SrcDataSource>'
        "<SrcLayer>plain</SrcLayer></OGRVRTLayer></OGRVRTDataSource>"
    )


def _with_crs(crs: dict[str, object]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        layer("GeoJSON")(path)
        plain = json.loads(path.read_text())
        path.write_text(json.dumps({"type": plain["type"], "crs": crs, "features": plain["features"]}))

    return write


# Workbooks ---------------------------------------------------------------------------------------

Members = dict[str, bytes]


def _workbook(change: Callable[[Members], Members]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        measures_workbook(path)
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in change(members).items():
                archive.writestr(name, content)

    return write


_SHEET = "xl/worksheets/sheet1.xml"


def _external(address: str) -> Callable[[Members], Members]:
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    relation = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
        f'Type="{kinds}/externalLinkPath" Target="{address}.xlsx" TargetMode="External"/></Relationships>'
    )
    link = (
        '<externalLink xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><externalBook '
        f'xmlns:r="{kinds}" r:id="rId1"/></externalLink>'
    )
    return lambda members: {
        **members,
        "xl/externalLinks/externalLink1.xml": link.encode(),
        "xl/externalLinks/_rels/externalLink1.xml.rels": relation.encode(),
        "xl/_rels/workbook.xml.rels": members["xl/_rels/workbook.xml.rels"].replace(
            b"</Relationships>",
            f'<Relationship Id="rId99" Type="{kinds}/externalLink" Target="externalLinks/externalLink1.xml"/>'
            "</Relationships>".encode(),
        ),
        "xl/workbook.xml": members["xl/workbook.xml"].replace(
            b"</workbook>",
            f'<externalReferences><externalReference xmlns:r="{kinds}" r:id="rId99"/></externalReferences>'
            "</workbook>".encode(),
        ),
    }


def _entity(address: str) -> Callable[[Members], Members]:
    head = f'<?xml version="1.0"?><!DOCTYPE worksheet [<!ENTITY secret SYSTEM "{address}">]>'.encode()
    return lambda members: {**members, _SHEET: head + members[_SHEET].replace(b"<v>0.143</v>", b"<v>&secret;</v>")}


def _laughs(members: Members) -> Members:
    names = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(12))
    head = f'<?xml version="1.0"?><!DOCTYPE worksheet [<!ENTITY a0 "ha">{names}]>'.encode()
    return {**members, _SHEET: head + members[_SHEET].replace(b"<v>0.143</v>", b"<v>&a12;</v>")}


# Databases and Parquet ---------------------------------------------------------------------------


def _changed_base(path: Path, *statements: str) -> None:
    layer("GPKG")(path)
    with closing(sqlite3.connect(path)) as base:
        for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            base.execute(f'DROP TRIGGER "{name}"')
        base.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            base.execute(statement)
        base.commit()


def _virtual(module: str) -> Callable[[Path], object]:
    sql = f"CREATE VIRTUAL TABLE tracts USING {module}".replace("'", "''")
    statement = f"UPDATE sqlite_master SET sql = '{sql}', rootpage = 0 WHERE name = 'tracts'"
    return lambda path: _changed_base(path, statement)


def _view(call: str) -> Callable[[Path], object]:
    return lambda path: _changed_base(
        path,
        "ALTER TABLE tracts RENAME TO stored",
        f"CREATE VIEW tracts AS SELECT fid, {call} AS geom, GEOID FROM stored",
    )


def _elsewhere(other: str) -> Callable[[Path], object]:
    """Return how a Parquet file is written that says its columns are in another file."""

    def write(path: Path) -> None:
        header, *rows = (line.split(",") for line in MEASURES.splitlines())
        pq.write_table(pa.table(dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))), path)
        about = pq.read_metadata(path)
        about.set_file_path(other)
        about.write_metadata_file(path)

    return write
