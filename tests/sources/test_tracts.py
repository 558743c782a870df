"""Polygons of tracts from files of every format: read whole, repaired where safe, refused by name."""

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.sources.tract_repair import TractReport, repair_tracts
from geomob_dask.sources.tracts import load_tracts, read_tracts

A, B, C, D = "18001030100", "39001961400", "39001961500", "39001961600"
CRS = "EPSG:5070"
FORMATS = (".parquet", ".gpkg", ".shp", ".geojson", ".json")


def square(column: int, row: int = 0) -> Any:
    return shapely.box(column, row, column + 1, row + 1)


def table(shapes: dict[str, Any] | list[tuple[str, Any]], crs: str | None = CRS, **columns: Any) -> gpd.GeoDataFrame:
    rows = list(shapes.items()) if isinstance(shapes, dict) else shapes
    keys, geometry = [key for key, _ in rows], [shape for _, shape in rows]
    return gpd.GeoDataFrame({"GEOID": keys, **columns}, geometry=geometry, crs=crs)


def save(frame: gpd.GeoDataFrame, file: Path) -> Path:
    frame.to_parquet(file) if file.suffix == ".parquet" else frame.to_file(file)
    return file


def pack(file: Path, *members: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for member in members:
            archive.write(member, f"inside/{member.name}")
    return file


PLAIN = table({C: square(2), A: square(0), B: square(1)}, ALAND=[30, 10, 20], AWATER=[3, None, 2], NAME=["c", "a", "b"])


def check_plain(tracts: gpd.GeoDataFrame, report: TractReport) -> None:
    assert list(tracts.index) == [A, B, C]
    assert tracts.index.name == "geoid"
    assert list(tracts.columns) == ["geometry", "aland", "awater"]
    assert (tracts[["aland", "awater"]].dtypes == np.float64).all()
    np.testing.assert_array_equal(tracts["aland"], [10, 20, 30])
    np.testing.assert_array_equal(tracts["awater"], [np.nan, 2, 3])
    assert shapely.equals(np.asarray(tracts.geometry), [square(0), square(1), square(2)]).all()
    check_form(tracts, report)


def check_form(tracts: gpd.GeoDataFrame, report: TractReport) -> None:
    """Say what holds after every repair: one valid flat polygon a tract, its rings in order, no row lost."""
    assert tracts.index.is_unique
    assert tracts.index.is_monotonic_increasing
    assert tracts.geometry.is_valid.all()
    assert not tracts.geometry.is_empty.any()
    assert tracts.geom_type.isin(["Polygon", "MultiPolygon"]).all()
    for polygon in tracts.geometry.explode():
        assert polygon.exterior.is_ccw
        assert not any(ring.is_ccw for ring in polygon.interiors)
        assert not polygon.has_z
    out = report.tracts + sum(map(len, (report.keys.unknown, report.empty, report.duplicates, report.merged)))
    assert report.tracts == len(tracts)
    assert report.rows == out


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_format(tmp_path: Path, suffix: str, zipped: bool) -> None:
    file = save(PLAIN, tmp_path / f"t{suffix}")
    if zipped:
        file = pack(tmp_path / "t.zip", *sorted(tmp_path.iterdir()))
    tracts, report = read_tracts([file])
    check_plain(tracts, report)
    assert tracts.crs.equals(PLAIN.crs)
    assert report.lines()[0].startswith(f"3 rows read from t{suffix}")


def test_several_members_and_files_are_all_read(tmp_path: Path) -> None:
    one = save(PLAIN[PLAIN["GEOID"] == A], tmp_path / "18.shp")
    other = save(PLAIN[PLAIN["GEOID"] == B], tmp_path / "39.geojson")
    third = save(PLAIN[PLAIN["GEOID"] == C], tmp_path / "39.parquet")
    (tmp_path / "readme.txt").write_text("no table")
    inner = pack(tmp_path / "inner.zip", *(one.with_suffix(end) for end in (".shp", ".shx", ".dbf", ".prj")))
    outer = pack(tmp_path / "outer.zip", inner, other, tmp_path / "readme.txt")
    tracts, report = read_tracts([str(outer), third])
    check_plain(tracts, report)
    assert [Path(name).name for name in report.files] == ["39.geojson", "18.shp", "39.parquet"]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("geoid", [39001961500, 18001030100, 39001961400]),
        ("GEO_ID", [f"1400000US{key}" for key in (C, A, B)]),
        ("GEOID10", [C, A, B]),
    ],
)
def test_keys_of_other_names_and_forms(tmp_path: Path, key: str, values: list[Any]) -> None:
    frame = PLAIN.drop(columns="GEOID").assign(**{key: values}).rename(columns={"ALAND": "ALAND10"})
    for suffix in FORMATS:
        check_plain(*read_tracts([save(frame, tmp_path / f"t{suffix}")]))


def test_a_table_of_ours_is_read_again(tmp_path: Path) -> None:
    tracts, _ = read_tracts([save(PLAIN, tmp_path / "t.gpkg")])
    tracts.rename_geometry("shape").to_parquet(tmp_path / "ours.parquet")
    check_plain(*read_tracts([tmp_path / "ours.parquet"]))


def test_areas_that_files_do_not_give_are_missing(tmp_path: Path) -> None:
    tracts, _ = read_tracts([save(PLAIN[["GEOID", "geometry"]], tmp_path / "t.gpkg")])
    assert tracts[["aland", "awater"]].isna().all(axis=None)


def test_rows_of_unknown_states_are_left_out(tmp_path: Path) -> None:
    frame = table({A: square(0), "99001000100": square(1)})
    tracts, report = read_tracts([save(frame, tmp_path / "t.gpkg")])
    assert list(tracts.index) == [A]
    assert report.keys.unknown == ("99001000100",)
    check_form(tracts, report)


# Coordinate systems ------------------------------------------------------------------------------


def test_no_coordinate_system_is_refused_unless_given(tmp_path: Path) -> None:
    file = save(table({A: square(0)}, crs=None), tmp_path / "t.parquet")
    with pytest.raises(GeometryError, match=r"t\.parquet: no coordinate system; expected one"):
        read_tracts([file])
    tracts, report = read_tracts([file], crs="EPSG:4269")
    assert tracts.crs == "EPSG:4269"
    assert report.crs_given == (str(file),)
    with pytest.raises(InputError, match="crs: found 'EPSG:nine', expected a coordinate system such as"):
        read_tracts([file], crs="EPSG:nine")


def test_a_given_coordinate_system_must_be_the_stated_one(tmp_path: Path) -> None:
    file = save(PLAIN, tmp_path / "t.gpkg")
    tracts, report = read_tracts([file], crs=CRS)
    assert tracts.crs == CRS
    assert not report.crs_given
    with pytest.raises(GeometryError, match=r"t\.gpkg: coordinate system EPSG:5070, but EPSG:4269 is given"):
        read_tracts([file], crs="EPSG:4269")


def test_files_of_different_coordinate_systems_are_refused(tmp_path: Path) -> None:
    one = save(table({A: square(0)}), tmp_path / "one.gpkg")
    other = save(table({B: square(1)}, crs="EPSG:4269"), tmp_path / "other.gpkg")
    with pytest.raises(GeometryError, match=r"other\.gpkg: .* EPSG:4269, but .*one\.gpkg has EPSG:5070; expected the"):
        read_tracts([one, other])


def test_the_order_of_axes_makes_no_other_system(tmp_path: Path) -> None:
    one = save(table({A: square(0)}, crs="OGC:CRS84"), tmp_path / "one.parquet")
    other = save(table({B: square(1)}, crs="EPSG:4326"), tmp_path / "other.geojson")
    assert len(read_tracts([one, other])[0]) == 2


# Repairs -----------------------------------------------------------------------------------------


def test_invalid_polygons_are_repaired_and_named(tmp_path: Path) -> None:
    bow = shapely.from_wkt("POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))")
    spike = shapely.from_wkt("POLYGON ((5 0, 6 0, 6 1, 6 3, 6 1, 5 1, 5 0))")
    tracts, report = read_tracts([save(table({B: bow, A: spike, C: square(3)}), tmp_path / "t.parquet")])
    assert report.repaired == (A, B)
    assert "2 invalid polygons repaired: 18001030100, 39001961400" in report.lines()
    assert tracts.geometry[B].area == pytest.approx(0.5)
    assert tracts.geometry[A].equals(square(5))
    check_form(tracts, report)


def test_a_shell_inside_a_shell_is_a_hole(tmp_path: Path) -> None:
    # So it is in the published polygons: another tract lies there.
    inner = shapely.box(1, 1, 2, 2)
    nested = shapely.multipolygons([shapely.box(0, 0, 4, 4), inner])
    tracts, report = read_tracts([save(table({A: nested, B: inner}), tmp_path / "t.parquet")])
    assert report.repaired == (A,)
    assert tracts.geometry[A].area == 15
    assert tracts.geometry[A].touches(tracts.geometry[B])


def test_a_collection_keeps_its_polygons(tmp_path: Path) -> None:
    mixed = shapely.geometrycollections([square(0), shapely.linestrings([[5, 5], [6, 6]]), square(1)])
    tracts, report = read_tracts([save(table({A: mixed}), tmp_path / "t.parquet")])
    assert report.repaired == (A,)
    assert tracts.geometry[A].equals(shapely.box(0, 0, 2, 1))


@pytest.mark.parametrize(
    ("wkt", "message"),
    [
        ("POLYGON ((0 0, 1 1, 0 0))", r"invalid \(.*no area is left"),
        ("GEOMETRYCOLLECTION (POINT (0 0))", "found a GeometryCollection without polygons, expected a Polygon"),
        ("GEOMETRYCOLLECTION (LINESTRING (0 0, 1 1), POINT (0 0))", "found a GeometryCollection without polygons"),
    ],
)
def test_what_has_no_area_is_refused(tmp_path: Path, wkt: str, message: str) -> None:
    frame = table({A: square(0), B: shapely.from_wkt(wkt)})
    with pytest.raises(GeometryError, match=rf"t\.parquet: tract {B}: {message}"):
        read_tracts([save(frame, tmp_path / "t.parquet")])


def test_a_coordinate_that_is_no_number_is_refused(tmp_path: Path) -> None:
    odd = shapely.polygons([[0, 0], [1, 0], [1, np.inf], [0, 0]])
    with pytest.raises(GeometryError, match=rf"t\.parquet: tract {B}: .* a coordinate that is no number"):
        read_tracts([save(table({A: square(0), B: odd}), tmp_path / "t.parquet")])


def test_rings_are_turned_and_heights_dropped(tmp_path: Path) -> None:
    ring = shapely.box(0, 0, 4, 4, ccw=False)
    holed = shapely.polygons(ring.exterior.coords, [shapely.box(1, 1, 2, 2).exterior.coords])
    high = shapely.force_3d(square(5), 9.0)
    tracts, report = read_tracts([save(table({A: holed, B: high, C: square(7)}), tmp_path / "t.parquet")])
    assert report.turned == (A,)
    assert report.flattened == (B,)
    assert tracts.geometry[A].area == 15
    check_form(tracts, report)
    assert "1 polygon with heights, dropped: 39001961400" in report.lines()


def test_vertices_of_a_valid_polygon_stay_as_they_are(tmp_path: Path) -> None:
    odd = shapely.polygons(np.array([[0.1, 0.2], [1 / 3, 0.2], [0.7, 0.9], [0.7, 1.1], [0.1, 0.2]]))
    tracts, report = read_tracts([save(table({A: odd}), tmp_path / "t.parquet")])
    assert shapely.get_coordinates(tracts.geometry[A]).tobytes() == shapely.get_coordinates(odd).tobytes()
    assert not report.turned


# Several rows a tract ----------------------------------------------------------------------------


def test_equal_rows_become_one(tmp_path: Path) -> None:
    begins_elsewhere = shapely.polygons([[1, 1], [0, 1], [0, 0], [1, 0], [1, 1]])
    frame = table([(A, square(0)), (B, square(1)), (A, begins_elsewhere), (A, shapely.reverse(square(0)))])
    tracts, report = read_tracts([save(frame, tmp_path / "t.gpkg")])
    assert report.duplicates == (A, A)
    assert not report.merged
    check_form(tracts, report)
    assert any("2 rows dropped" in line and A in line for line in report.lines())


def test_the_same_file_twice_changes_nothing(tmp_path: Path) -> None:
    file = save(PLAIN, tmp_path / "t.gpkg")
    tracts, report = read_tracts([file, file])
    check_plain(tracts, report)
    assert sorted(report.duplicates) == [A, B, C]


def test_parts_of_a_tract_are_united(tmp_path: Path) -> None:
    frame = table(
        [(A, square(0)), (B, square(9)), (A, square(1)), (A, square(5)), (A, square(5))], ALAND=[7, 1, 7, 7, 7]
    )
    tracts, report = read_tracts([save(frame, tmp_path / "t.gpkg")])
    assert report.merged == (A, A)
    assert report.duplicates == (A,)
    assert tracts.geometry[A].equals(shapely.multipolygons([shapely.box(0, 0, 2, 1), square(5)]))
    assert list(tracts["aland"]) == [7, 1]
    check_form(tracts, report)


def test_rows_of_a_tract_with_other_areas_are_refused(tmp_path: Path) -> None:
    frame = table([(A, square(0)), (A, square(1))], ALAND=[7.0, 8.0])
    with pytest.raises(GeometryError, match=rf"t\.gpkg: tract {A} has 2 different rows, with aland 7\.0 and 8\.0"):
        read_tracts([save(frame, tmp_path / "t.gpkg")])


def test_rows_of_a_tract_that_overlap_are_refused(tmp_path: Path) -> None:
    one = save(table({A: square(0)}), tmp_path / "one.gpkg")
    other = save(table({A: shapely.box(0, 0, 1.1, 1)}), tmp_path / "other.gpkg")
    with pytest.raises(
        GeometryError, match=rf"one\.gpkg, .*other\.gpkg: tract {A} has 2 different rows, which overlap"
    ):
        read_tracts([one, other])


# What is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "kind"), [(shapely.Point(0, 0), "Point"), (shapely.linestrings([[0, 0], [1, 1]]), "LineString")]
)
def test_points_and_lines_are_refused_by_name(tmp_path: Path, shape: Any, kind: str) -> None:
    frame = table({A: square(0), C: shape, B: shape})
    for suffix in (".parquet", ".geojson"):
        with pytest.raises(GeometryError, match=rf"t\{suffix}: tract {C}: found a {kind}, expected .*\(and 1 more\)"):
            read_tracts([save(frame, tmp_path / f"t{suffix}")])


@pytest.mark.parametrize("suffix", FORMATS)
def test_tracts_without_geometry(tmp_path: Path, suffix: str) -> None:
    keys = [f"390019614{number:02d}" for number in range(7)]
    shapes = [None, shapely.Polygon()] * 3 + [square(0)]
    file = save(table(list(zip(keys, shapes, strict=True))), tmp_path / f"t{suffix}")
    with pytest.raises(GeometryError, match=r"6 tracts without a geometry: 39001961400, .*, 39001961405; expected"):
        read_tracts([file])
    tracts, report = read_tracts([file], empty="leave-out")
    assert list(tracts.index) == keys[6:]
    assert report.empty == tuple(keys[:6])
    check_form(tracts, report)
    with pytest.raises(GeometryError, match="none of 1 row has a geometry"):
        read_tracts([save(table({A: None}), tmp_path / f"none{suffix}")], empty="leave-out")


@pytest.mark.filterwarnings("ignore:Non closed ring")  # GDAL's own words, besides ours
def test_a_ring_that_cannot_be_built_is_refused_with_its_tract(tmp_path: Path) -> None:
    file = save(table({A: square(0), B: square(1)}, crs="EPSG:4326"), tmp_path / "t.geojson")
    content = json.loads(file.read_text())
    ring = content["features"][1]["geometry"]["coordinates"][0]
    del ring[2:]
    file.write_text(json.dumps(content))
    with pytest.raises(GeometryError, match=rf"t\.geojson: .*{B}"):
        read_tracts([file])


def test_layers(tmp_path: Path) -> None:
    file = tmp_path / "t.gpkg"
    PLAIN.to_file(file, layer="tracts")
    pyogrio.write_dataframe(PLAIN[["NAME"]], file, layer="notes")
    check_plain(*read_tracts([file]))
    PLAIN.iloc[:1].to_file(file, layer="other")
    with pytest.raises(InputError, match=r"t\.gpkg: 2 layers \(tracts, other\); expected one, or the name"):
        read_tracts([file])
    check_plain(*read_tracts([file], layer="tracts"))
    with pytest.raises(InputError, match=r"t\.gpkg: no layer 'x' of polygons; expected one of tracts, other"):
        read_tracts([file], layer="x")


@pytest.mark.parametrize("suffix", [*FORMATS, ".zip"])
def test_files_that_are_something_else(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"t{suffix}"
    for content in (b"", b"GEOID,a\n39001961400,1\n", b"\x00\x01" * 100):
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"^[^\n]*t\{suffix}: cannot be read [^\n]*$"):
            read_tracts([file])


@pytest.mark.parametrize("suffix", [".parquet", ".gpkg", ".geojson", ".shp"])
def test_files_cut_short(tmp_path: Path, suffix: str) -> None:
    file = save(PLAIN, tmp_path / f"t{suffix}")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"t\{suffix}"):
        read_tracts([file])


def test_files_that_are_not_there_or_not_tracts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.gpkg: cannot be read \(No such file"):
        read_tracts([tmp_path / "x.gpkg"])
    with pytest.raises(InputError, match=r": cannot be read \(Is a directory\)"):
        read_tracts([tmp_path])
    (tmp_path / "t.kml").write_text("")
    with pytest.raises(InputError, match=r"t\.kml: suffix '\.kml'; expected one of .*\.gpkg, \.shp"):
        read_tracts([tmp_path / "t.kml"])
    with pytest.raises(InputError, match=r"t\.zip: holds inside/t\.kml; expected one of"):
        read_tracts([pack(tmp_path / "t.zip", tmp_path / "t.kml")])
    with pytest.raises(InputError, match="no file of tracts given"):
        read_tracts([])
    with pytest.raises(InputError, match="empty: found 'keep', expected 'refuse' or 'leave-out'"):
        read_tracts([save(PLAIN, tmp_path / "t.gpkg")], empty="keep")


def test_tables_without_what_is_needed(tmp_path: Path) -> None:
    for suffix in FORMATS:
        frame = PLAIN.rename(columns={"GEOID": "Key"})
        with pytest.raises(InputError, match=rf"t\{suffix}: no key column; found 'Key', 'ALAND'"):
            read_tracts([save(frame, tmp_path / f"t{suffix}")])
        with pytest.raises(InputError, match=rf"short\{suffix}: column GEOID, row 2: found '3900196140'"):
            read_tracts([save(table({A: square(0), B[:10]: square(1)}), tmp_path / f"short{suffix}")])
        with pytest.raises(InputError, match=rf"area\{suffix}: column ALAND, row 1, .*: found wide, expected a"):
            read_tracts([save(table({A: square(0)}, ALAND=["wide"]), tmp_path / f"area{suffix}")])
        for wrong in (-5.0, 6e14):
            with pytest.raises(InputError, match=rf"odd\{suffix}: column AWATER, row 2, tract {B}: found "):
                read_tracts([save(table({A: square(0), B: square(1)}, AWATER=[1.0, wrong]), tmp_path / f"odd{suffix}")])
    pq.write_table(pa.table({"GEOID": [A]}), tmp_path / "plain.parquet")
    with pytest.raises(InputError, match=r"plain\.parquet: a table without geometry, .*metadata of GeoParquet"):
        read_tracts([tmp_path / "plain.parquet"])
    with pytest.raises(InputError, match=r"empty\.parquet: no rows; expected polygons"):
        read_tracts([save(PLAIN.iloc[:0], tmp_path / "empty.parquet")])


# By parts ----------------------------------------------------------------------------------------


def test_repair_by_state_is_the_same_and_travels(tmp_path: Path) -> None:
    bow = shapely.from_wkt("POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))")
    frame = table([(C, square(2)), (A, bow), (B, square(3)), (B, square(4)), (C, square(2))])
    raw, report = load_tracts([save(frame, tmp_path / "t.parquet")])
    assert report.tracts == 0
    whole, whole_report = repair_tracts(raw)
    parts = [repair_tracts(pickle.loads(pickle.dumps(part))) for _, part in raw.groupby(raw.index.str[:2])]
    for _, part_report in parts:
        report = report + pickle.loads(pickle.dumps(part_report))
    assert whole.to_wkb().equals(pd.concat([part for part, _ in parts]).to_wkb())
    assert report == load_tracts([tmp_path / "t.parquet"])[1] + whole_report
    check_form(whole, report)
