"""Polygons of tracts and places from any file: layers, coordinate systems, coordinates, and files that want more."""

import http.server
import json
import shutil
import sqlite3
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.settings import Limits, using_limits
from geomob_dask.sources.areas import read_areas
from geomob_dask.sources.tracts import read_tracts

A, B = "39001961400", "39001961500"
OHIO = [shapely.box(-83.0, 40.0, -82.9, 40.1), shapely.box(-82.9, 40.0, -82.8, 40.1)]


def frame(shapes: Any = OHIO, crs: str | None = "EPSG:4269", **columns: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"GEOID": [A, B][: len(shapes)], **columns}, geometry=list(shapes), crs=crs)


def tracts_of(file: Path, **options: Any) -> Any:
    return read_tracts([file], **options)[0]


def regions_of(file: Path, **options: Any) -> Any:
    return read_areas([str(file)], **options)[0]


READERS = pytest.mark.parametrize("read", [tracts_of, regions_of])
Read = Callable[..., gpd.GeoDataFrame]


def geojson(file: Path, shapes: Any = OHIO, **members: Any) -> Path:
    content = json.loads(frame(shapes, crs=None).to_json(drop_id=True))
    file.write_text(json.dumps({"type": "FeatureCollection", **members, "features": content["features"]}))
    return file


def zipped(file: Path, *members: Path) -> Path:
    """Write a zip file of shapefiles, with the files that belong to them, and of folders."""
    paths = [
        path
        for member in members
        for path in (sorted(member.parent.glob(f"{member.stem}.*")) if member.suffix == ".shp" else [member])
    ]
    with zipfile.ZipFile(file, "w") as archive:
        for path in paths:
            for one in sorted(path.iterdir()) if path.is_dir() else [path]:
                archive.write(one, one.relative_to(path.parent))
    return file


# Coordinates and their systems --------------------------------------------------------------------

ALBERS = [shapely.box(1.1e6, 1.96e6, 1.11e6, 1.97e6), shapely.box(1.11e6, 1.96e6, 1.12e6, 1.97e6)]


@READERS
def test_meters_are_no_degrees_and_the_given_system_is_honored(tmp_path: Path, read: Read) -> None:
    file = geojson(tmp_path / "meters.geojson", ALBERS)
    with pytest.raises(GeometryError, match=rf"meters\.geojson: .* {A}: found \(1110000, 1960000\), no degrees.*--crs"):
        read(file)
    read_again = read(file, crs="EPSG:5070")
    assert read_again.crs == "EPSG:5070"
    assert read_again.area.tolist() == [1e8, 1e8]


@READERS
def test_a_geojson_of_degrees_has_the_system_of_its_standard_or_the_given_one(tmp_path: Path, read: Read) -> None:
    file = geojson(tmp_path / "t.geojson")
    assert read(file).crs == "EPSG:4326"
    assert read(file, crs="EPSG:4269").crs == "EPSG:4269"
    with pytest.raises(GeometryError, match=r"t\.geojson: .* degrees, it seems"):
        read(file, crs="EPSG:5070")


@READERS
def test_a_stated_system_is_not_replaced(tmp_path: Path, read: Read) -> None:
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4269"}}
    file = geojson(tmp_path / "t.geojson", crs=named)
    frame().to_parquet(tmp_path / "t.parquet")
    for one in (file, tmp_path / "t.parquet"):
        assert read(one).crs == "EPSG:4269"
        assert read(one, crs="EPSG:4269").crs == "EPSG:4269"
        with pytest.raises(GeometryError, match=rf"{one.name}: .*EPSG:4269, but EPSG:5070 is given"):
            read(one, crs="EPSG:5070")


@READERS
def test_a_stated_system_of_meters_in_degrees_is_named_without_the_flag(tmp_path: Path, read: Read) -> None:
    # --crs gives a system to files without one: it is no help here.
    frame(ALBERS).set_crs(4326, allow_override=True).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(GeometryError, match=r"no degrees; expected .*, or another system than WGS 84") as caught:
        read(tmp_path / "t.parquet")
    assert "--crs" not in str(caught.value)


@READERS
@pytest.mark.parametrize("name", ["EPSG:99999", "/etc/passwd", "", "+proj=longlat +nadgrids=/etc/passwd"])
def test_an_unknown_system_is_not_taken_for_that_of_the_standard(tmp_path: Path, read: Read, name: str) -> None:
    file = geojson(tmp_path / "t.geojson", crs={"type": "name", "properties": {"name": name}})
    with pytest.raises(GeometryError, match=r"t\.geojson: member crs"):
        read(file)


@READERS
@pytest.mark.parametrize(
    ("moved", "reason"),
    [
        (lambda xy: xy[:, ::-1], "latitude before longitude"),
        (lambda xy: xy + np.array([-17.5, 460]), "no degrees"),
        (lambda xy: xy + np.array([360, 0]), "from 0 to 360.*subtract 360"),
        (lambda xy: xy * 1e306, "no degrees"),
    ],
)
def test_degrees_that_cannot_be(tmp_path: Path, read: Read, moved: Any, reason: str) -> None:
    shapes = [OHIO[0], shapely.transform(OHIO[1], moved)]
    if "360" in reason:
        shapes = [shapely.transform(shape, moved) for shape in OHIO]
    frame(shapes).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(GeometryError, match=rf"t\.parquet: (tract|region) {A if '360' in reason else B}: .*{reason}"):
        read(tmp_path / "t.parquet")


@READERS
def test_latitude_first_west_of_ninety_degrees(tmp_path: Path, read: Read) -> None:
    shapes = [shapely.box(47.0, -122.3, 47.1, -122.2), shapely.box(47.1, -122.3, 47.2, -122.2)]
    frame(shapes).to_file(tmp_path / "t.gpkg")
    with pytest.raises(GeometryError, match=rf"{A}: .*latitude before longitude"):
        read(tmp_path / "t.gpkg")


@READERS
def test_meters_further_away_than_the_earth_is_wide(tmp_path: Path, read: Read) -> None:
    frame([ALBERS[0], shapely.box(0, 0, 1e308, 1e308)], crs="EPSG:5070").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(GeometryError, match=rf"{B}: found \(1e\+308, 0\), further away than the earth"):
        read(tmp_path / "t.parquet")


def test_outlines_may_end_a_rounding_beyond_180(tmp_path: Path) -> None:
    frame([shapely.box(179.5, 51, 180.0000001, 52), OHIO[0]]).to_parquet(tmp_path / "t.parquet")
    assert tracts_of(tmp_path / "t.parquet").total_bounds[2] == 180.0000001


@pytest.mark.parametrize("value", [-5.0, np.inf])
def test_an_area_below_zero_or_without_end_is_refused(tmp_path: Path, value: float) -> None:
    frame(ALAND=[3.0, value]).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=rf"t\.parquet: column ALAND, row 2, tract {B}: found {value}"):
        tracts_of(tmp_path / "t.parquet")


# Layers and formats --------------------------------------------------------------------------------


@READERS
@pytest.mark.parametrize("suffix", [".fgb", ".gdb.zip", ".shp.zip"])
def test_flatgeobuf_and_zipped_geodatabase(tmp_path: Path, read: Read, suffix: str) -> None:
    file = tmp_path / f"t{suffix}"
    inner = tmp_path / "t" / file.name.removesuffix(".zip")
    inner.parent.mkdir()
    frame().to_file(inner, driver="OpenFileGDB" if inner.suffix == ".gdb" else None)
    file = zipped(file, inner) if suffix.endswith(".zip") else inner
    found = read(file)
    assert found.index.tolist() == [A, B]
    assert found.crs == "EPSG:4269"
    # A geodatabase keeps coordinates as whole numbers of a small unit.
    assert shapely.area(shapely.symmetric_difference(found.geometry.to_numpy(), OHIO)).max() < 1e-8


@READERS
def test_a_layer_of_every_container(tmp_path: Path, read: Read) -> None:
    counties = frame().assign(GEOID=["39001", "39003"])
    (tmp_path / "in").mkdir()
    for kind in ("gpkg", "gdb"):
        file = tmp_path / "in" / f"both.{kind}"
        driver = "OpenFileGDB" if kind == "gdb" else "GPKG"
        counties.to_file(file, layer="county", driver=driver)
        frame().to_file(file, layer="tract", driver=driver, mode="a")
    for name, table in (("county", counties), ("tract", frame())):
        table.to_file(tmp_path / "in" / f"{name}.shp")
    shapes = zipped(tmp_path / "shapes.zip", tmp_path / "in" / "county.shp", tmp_path / "in" / "tract.shp")
    nested = tmp_path / "nested.zip"
    with zipfile.ZipFile(nested, "w") as archive:
        archive.write(shapes, "deep/shapes.zip")
    geodatabase = zipped(tmp_path / "both.gdb.zip", tmp_path / "in" / "both.gdb")
    for file in (tmp_path / "in" / "both.gpkg", geodatabase, shapes, nested):
        assert read(file, layer="tract").index.tolist() == [A, B]
        with pytest.raises(InputError, match=rf"{file.name}: no layer 'tracts' of polygons; .*county, tract"):
            read(file, layer="tracts")
    for file in (tmp_path / "in" / "both.gpkg", geodatabase):
        with pytest.raises(InputError, match=rf"{file.name}.*2 layers \(county, tract\).*--layer"):
            read(file)


def test_a_layer_of_something_else_in_a_zip_names_the_option(tmp_path: Path) -> None:
    frame().assign(GEOID=["39001", "39003"]).to_file(tmp_path / "county.shp")
    frame().to_file(tmp_path / "tract.shp")
    file = zipped(tmp_path / "mixed.zip", tmp_path / "county.shp", tmp_path / "tract.shp")
    with pytest.raises(InputError, match=r"mixed\.zip/county\.shp: .*'39001'.*--layer chooses one of county, tract"):
        tracts_of(file)
    with pytest.raises(InputError, match=r"county\.shp: no key column.*--layer chooses one of county, tract"):
        tracts_of(file, key_column="KEY")


@pytest.mark.parametrize("suffix", [".parquet", ".geojson", ".fgb", ".shp"])
def test_a_layer_of_a_file_with_one(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"t{suffix}"
    frame().to_parquet(file) if suffix == ".parquet" else frame().to_file(file)
    assert len(tracts_of(file, layer="t")) == 2
    with pytest.raises(InputError, match=rf"t\{suffix}: no layer 'x' of polygons; expected one of t"):
        tracts_of(file, layer="x")


def test_the_column_of_keys_is_named(tmp_path: Path) -> None:
    frame().rename(columns={"GEOID": "code"}).assign(GEOID="x").to_file(tmp_path / "t.gpkg")
    assert tracts_of(tmp_path / "t.gpkg", key_column="code").index.tolist() == [A, B]
    with pytest.raises(InputError, match=r"t\.gpkg: no key column 'codes'.*'code'"):
        tracts_of(tmp_path / "t.gpkg", key_column="codes")


@READERS
@pytest.mark.parametrize("name", ["geometry", "geom", "WKB"])
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_parquet_without_the_metadata_of_geoparquet(tmp_path: Path, read: Read, name: str, kind: pa.DataType) -> None:
    keys = pa.array([A, B], pa.string_view())
    pq.write_table(pa.table({"GEOID": keys, name: pa.array(shapely.to_wkb(OHIO), kind)}), tmp_path / "t.parquet")
    with pytest.raises(GeometryError, match=r"t\.parquet: no coordinate system.*--crs"):
        read(tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet", crs="EPSG:4269")
    assert found.index.tolist() == [A, B]
    assert shapely.equals(found.geometry.to_numpy(), OHIO).all()


def test_parquet_whose_field_has_an_extension_of_arrow(tmp_path: Path) -> None:
    crs = json.dumps({"crs": "EPSG:5070"})
    marks = {"ARROW:extension:name": "geoarrow.wkb", "ARROW:extension:metadata": crs}
    field = pa.field("outline", pa.binary(), metadata=marks)
    schema = pa.schema([pa.field("GEOID", pa.string()), field])
    pq.write_table(pa.table([[A, B], list(shapely.to_wkb(ALBERS))], schema=schema), tmp_path / "t.parquet")
    assert tracts_of(tmp_path / "t.parquet").crs == "EPSG:5070"


def test_parquet_without_a_column_of_polygons_says_what_to_do(tmp_path: Path) -> None:
    pq.write_table(pa.table({"GEOID": [A], "outline": [b"\x01\x02"]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet: .*metadata of GeoParquet.*GEOID, outline.*to_parquet"):
        tracts_of(tmp_path / "t.parquet")


@READERS
def test_polygons_of_a_collection_and_heights(tmp_path: Path, read: Read) -> None:
    mixed = shapely.geometrycollections([OHIO[0], shapely.Point(0, 0)])
    frame([mixed, shapely.force_3d(OHIO[1], 7.0)]).to_parquet(tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet")
    assert shapely.equals(found.geometry.to_numpy(), OHIO).all()
    assert not found.has_z.any()


# Files that want more ------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """Serve nothing on loopback, and return the address and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Write no log."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}", asked
        listening.shutdown()


def _elsewhere(canary: Path, address: str) -> dict[str, str]:
    layer = "<OGRVRTLayer name='canary'><SrcDataSource>{}</SrcDataSource></OGRVRTLayer>"
    vrt = f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>"
    streamed = {"type": "gdal_streamed_alg", "command_line": f"gdal vector pipeline ! read {canary}"}
    features = json.loads(frame().to_json())["features"]
    linked = {"type": "FeatureCollection", "crs": {"type": "link", "properties": {"href": f"{address}/crs"}}}
    return {
        "virtual file": vrt.format(canary),
        "virtual address": vrt.format(f"/vsicurl/{address}/t.geojson"),
        "algorithm": json.dumps(streamed),
        "address": f"{address}/t.geojson",
        "linked crs": json.dumps({**linked, "features": features}),
        "escaped crs": json.dumps({**linked, "features": features}).replace('"crs": {', '"\\u0063rs": {'),
    }


@READERS
@pytest.mark.parametrize("suffix", [".geojson", ".json", ".gpkg", ".shp", ".fgb", ".parquet"])
def test_a_file_reads_no_other_file_and_sends_nothing(
    tmp_path: Path, server: tuple[str, list[str]], read: Read, suffix: str
) -> None:
    address, asked = server
    canary = tmp_path / "canary.gpkg"
    frame().to_file(canary)
    file = tmp_path / f"t{suffix}"
    for content in _elsewhere(canary, address).values():
        file.write_text(content)
        with pytest.raises(InputError, match=rf"t\{suffix}"):
            read(file)
    assert asked == []


@READERS
def test_addresses_and_virtual_files_are_refused(tmp_path: Path, server: tuple[str, list[str]], read: Read) -> None:
    address, asked = server
    for path in (f"/vsicurl/{address}/t.gpkg", f"{address}/t.gpkg", f"/vsizip/{tmp_path}/t.zip/t.shp"):
        with pytest.raises(InputError, match="an address; expected the path of a file"):
            read_tracts([path])
    assert asked == []


@READERS
@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("CREATE VIEW t AS SELECT fid, geom, GEOID FROM stored", "a view"),
        ("CREATE TABLE t (fid INTEGER PRIMARY KEY, geom BLOB, GEOID TEXT AS (upper('x')) STORED)", "computed columns"),
    ],
)
def test_a_geopackage_runs_no_sql(tmp_path: Path, read: Read, statement: str, what: str) -> None:
    file = tmp_path / "t.gpkg"
    frame().to_file(file, layer="t")
    with closing(sqlite3.connect(file)) as base:
        for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            base.execute(f'DROP TRIGGER "{name}"')
        base.execute("ALTER TABLE t RENAME TO stored")
        base.execute(statement)
        base.commit()
    with pytest.raises(InputError, match=rf"t\.gpkg: .* is a(.*){what.removeprefix('a ')}"):
        read(file)


def test_a_virtual_table_of_a_geopackage_is_refused(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "t.gpkg", layer="t")
    statement = f"CREATE VIRTUAL TABLE t USING VirtualOGR('{tmp_path / 'other.gpkg'}')"
    with closing(sqlite3.connect(tmp_path / "t.gpkg")) as base:
        for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            base.execute(f'DROP TRIGGER "{name}"')
        base.execute("PRAGMA writable_schema = ON")
        base.execute("UPDATE sqlite_master SET sql = ?, rootpage = 0 WHERE name = 't' AND type = 'table'", [statement])
        base.commit()
    with pytest.raises(InputError, match=r"t\.gpkg: layer t is a virtual table"):
        tracts_of(tmp_path / "t.gpkg")


@pytest.mark.parametrize("encoding", ["/etc/passwd", "UTF-7", "\x00" * 40, "x" * 5000])
def test_the_encoding_of_a_shapefile_is_a_name_alone(tmp_path: Path, encoding: str) -> None:
    frame().to_file(tmp_path / "t.shp")
    (tmp_path / "t.cpg").write_text(encoding)
    try:
        assert tracts_of(tmp_path / "t.shp").index.tolist() == [A, B]
    except InputError as error:
        assert "t.shp" in str(error)  # noqa: PT017


def test_members_of_a_geodatabase_of_another_format_are_not_unpacked(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "t.gdb", driver="OpenFileGDB")
    frame().iloc[:1].to_file(tmp_path / "one.shp")
    for part in tmp_path.glob("one.*"):
        shutil.copy(part, tmp_path / "t.gdb" / part.name)
    assert len(tracts_of(zipped(tmp_path / "t.gdb.zip", tmp_path / "t.gdb"))) == 2


def test_a_path_that_gdal_would_take_apart_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a!b").mkdir()
    frame().to_file(tmp_path / "t.gpkg")
    shutil.move(tmp_path / "t.gpkg", tmp_path / "a!b" / "t.gpkg")
    with pytest.raises(InputError, match="a path with '!'"):
        tracts_of(tmp_path / "a!b" / "t.gpkg")


# Damaged files, and limits -------------------------------------------------------------------------


@READERS
@pytest.mark.filterwarnings("ignore")  # GDAL's own words, besides ours
def test_whatever_a_driver_raises_names_the_file(tmp_path: Path, read: Read) -> None:
    rng, messages = np.random.default_rng(1), []
    (tmp_path / "in").mkdir()
    for suffix in (".parquet", ".gpkg", ".shp", ".geojson", ".fgb"):
        file = tmp_path / "in" / f"t{suffix}"
        frame().to_parquet(file) if suffix == ".parquet" else frame().to_file(file)
        whole = file.read_bytes()
        for place in rng.integers(0, len(whole), 25):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
            try:
                read(file)
            except InputError as error:
                messages.append(f"t{suffix}" in str(error))
    assert messages
    assert all(messages)


def test_a_projection_file_that_breaks_the_driver(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "t.shp")
    (tmp_path / "t.prj").write_text('GEOGCS["x",DATUM["D",SPHEROID["S",6378137.0,298.25]],PRIMEM["G",0.0],UNIT["D"')
    with pytest.raises(InputError, match=r"t\.shp"):
        tracts_of(tmp_path / "t.shp")


@READERS
def test_limits(tmp_path: Path, read: Read) -> None:
    frame().to_parquet(tmp_path / "t.parquet")
    frame().to_file(tmp_path / "t.gpkg")
    nested = tmp_path / "t.parquet"
    for depth in range(3):
        with zipfile.ZipFile(tmp_path / f"{depth}.zip", "w") as archive:
            archive.write(nested, nested.name)
        nested = tmp_path / f"{depth}.zip"
    assert len(read(nested)) == 2
    for limits, files in (
        (Limits(rows=1), ("t.parquet", "t.gpkg", "0.zip")),
        (Limits(bytes=100), ("t.parquet", "t.gpkg", "0.zip")),
        (Limits(depth=2), ("2.zip",)),
    ):
        for name in files:
            with using_limits(limits), pytest.raises(InputError, match=rf"{name}.*GEOMOB_LIMIT"):
                read(tmp_path / name)


def test_one_layer_of_notes_beside_the_polygons(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "t.gpkg", layer="tract")
    pyogrio.write_dataframe(frame()[["GEOID"]], tmp_path / "t.gpkg", layer="notes", append=True)
    assert len(tracts_of(tmp_path / "t.gpkg")) == 2


def test_a_value_that_gdal_would_change_is_refused_and_other_warnings_are_not_shown(tmp_path: Path) -> None:
    frame(ALAND=[12.5, 7.25], AWATER=0.5).to_file(tmp_path / "t.shp")
    table = tmp_path / "t.dbf"
    whole = table.read_bytes()
    table.write_bytes(whole.replace(b"12.500", b"12x500"))
    assert table.read_bytes() != whole
    with pytest.raises(InputError, match=r"t\.shp: .*ALAND"):
        tracts_of(tmp_path / "t.shp")
    # A column that is not read may hold anything.
    assert len(regions_of(tmp_path / "t.shp")) == 2
    frame().to_file(tmp_path / "t.gpkg", layer="t")
    with closing(sqlite3.connect(tmp_path / "t.gpkg")) as base:
        base.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = 'POINT'")
        base.commit()
    assert shapely.area(tracts_of(tmp_path / "t.gpkg").geometry.array).sum() == pytest.approx(0.02)


@READERS
def test_keys_of_bytes_are_text_or_refused_by_their_column(tmp_path: Path, read: Read) -> None:
    table = pa.table(frame().to_arrow())
    place = table.column_names.index("GEOID")
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    for keys, words in (([A.encode(), B.encode()], None), ([b"\xff", b"\xfe"], r"t\.parquet: column 'GEOID'")):
        one = table.set_column(place, "GEOID", pa.array(keys, pa.binary()))
        pq.write_table(one.replace_schema_metadata({"geo": json.dumps(geo)}), tmp_path / "t.parquet")
        if words is None:
            assert list(read(tmp_path / "t.parquet").index) == [A, B]
        else:
            with pytest.raises(InputError, match=words):
                read(tmp_path / "t.parquet")
