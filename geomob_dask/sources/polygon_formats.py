"""Formats of polygon files, each read by its own driver: columns, geometries, and the coordinate system a file states.

A driver is fixed by the suffix and by the first bytes of a file. GDAL would choose by content, and some of its drivers
read other files or ask servers that the content names.
"""

from __future__ import annotations

import json
import mmap
import re
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.messages import listed
from geomob_dask.settings import limits_in_use
from geomob_dask.sources.files import too_large
from geomob_dask.sources.text_tables import plain

Geometries = NDArray[np.object_]
Choose = Callable[[Sequence[str]], list[str]]
"""Names of a table's columns to those that are read; raises InputError where one is missing."""

# Systems that the standards give to files that state none: WGS 84, longitude first.
_OF_GEOPARQUET, _OF_GEOJSON = CRS.from_user_input("OGC:CRS84"), CRS.from_user_input("EPSG:4326")


class Content(NamedTuple):
    """Content of one layer of a file.

    Attributes
    ----------
    table : DataFrame
        The chosen columns.
    shapes : array of geometries
    stated : CRS, optional
        Coordinate system that the file states.
    default : CRS, optional
        Coordinate system that the standard of the format gives to files that state none.
    """

    table: pd.DataFrame
    shapes: Geometries
    stated: CRS | None
    default: CRS | None = None


class Form(NamedTuple):
    """A format: the suffix of its files, how layers are listed, and how one of them is read."""

    suffixes: tuple[str, ...]
    layers: Callable[[Path, str], list[str]]
    read: Callable[[Path, str, str, Choose], Content]


def crs_of_text(text: Any, where: str) -> CRS:
    """Return the coordinate system of a code, a WKT text or a PROJJSON object.

    Raises
    ------
    GeometryError
        If there is no such system, or it names a file of grids: they would be read, or asked for.
    """
    try:
        if isinstance(text, str) and "init=" in text.lower():
            raise CRSError("the name of a file")
        crs = CRS.from_user_input(text)
    except (CRSError, TypeError, ValueError) as error:
        raise GeometryError(f"{where}: found the coordinate system {str(text)[:80]!r}; expected a known one") from error
    return without_grids(crs, where)


def without_grids(crs: CRS, where: str) -> CRS:
    """Return a coordinate system that names no file of grids; raise GeometryError for another one."""
    if "PARAMETERFILE" in crs.to_wkt():
        raise GeometryError(f"{where}: its coordinate system names a file of grids; expected one such as EPSG:4269")
    return crs


# GDAL --------------------------------------------------------------------------------------------


class _Driver(NamedTuple):
    """A driver of GDAL, the first bytes of its files, and the prefix that keeps other drivers away, if it has one."""

    name: str
    begins: bytes
    prefix: str = ""


_SHAPEFILE = _Driver("ESRI Shapefile", b"\x00\x00\x27\x0a")
_FLATGEOBUF = _Driver("FlatGeobuf", b"fgb\x03")
_GEOPACKAGE = _Driver("GPKG", b"SQLite format 3\x00", "GPKG:")
_GEOJSON = _Driver("GeoJSON", b"", "GeoJSON:")
_GEODATABASE = _Driver("OpenFileGDB", b"")


def _gdal_path(path: Path, driver: _Driver, label: str) -> str:
    where = path.resolve()
    if "!" in str(where):
        raise InputError(f"{label}: a path with '!'; expected one without, GDAL takes what follows for a member")
    if driver.begins:
        with where.open("rb") as stream:
            found = stream.read(len(driver.begins))
        if found != driver.begins:
            raise InputError(
                f"{label}: cannot be read (it begins with {found!r}); expected a file for the driver {driver.name}, "
                f"which begins with {driver.begins!r}"
            )
    return f"{driver.prefix}{where}"


def _gdal_layers(path: Path, label: str, driver: _Driver) -> list[str]:
    with _quiet(label):
        found = pyogrio.list_layers(_gdal_path(path, driver, label))
    return [str(name) for name, kind in found if kind is not None]


def _gdal_read(path: Path, layer: str, label: str, choose: Choose, driver: _Driver) -> Content:
    where = _gdal_path(path, driver, label)
    try:
        with _quiet(label):
            about = pyogrio.read_info(where, layer=layer)
    except UnboundLocalError as error:
        # So pyogrio fails on a system that GDAL can read and not write.
        raise GeometryError(f"{label}: its coordinate system cannot be read; expected one such as EPSG:4269") from error
    if about["driver"] != driver.name:
        raise InputError(f"{label}: found a file for the driver {about['driver']}, expected {driver.name}")
    refuse_rows(about["features"], label)
    columns = choose([str(name) for name in about["fields"]])
    # A geometry that cannot be built comes out as None: its row is refused where rows without polygons are.
    with _quiet(label):
        frame = pyogrio.read_dataframe(where, layer=layer, columns=columns, on_invalid="ignore")
    if not isinstance(frame, gpd.GeoDataFrame):
        raise InputError(f"{label}: a table without geometry; expected polygons")
    stated = None if frame.crs is None else without_grids(frame.crs, label)
    return Content(pd.DataFrame(frame[columns]), np.asarray(frame.geometry.array, dtype=object), stated)


# What GDAL warns of when it puts another value in the place of one that it cannot read.
_OTHER_VALUE = re.compile("parsed incompletely|overflow|out of range", re.IGNORECASE)


@contextmanager
def _quiet(label: str) -> Iterator[None]:
    """Keep GDAL's warnings about a file from the terminal; raise InputError for those about a value it changed."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
    for one in found:
        if not issubclass(one.category, (RuntimeWarning, UserWarning)):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        elif _OTHER_VALUE.search(str(one.message)):
            raise InputError(f"{label}: {one.message} Expected values of their column's type")


def refuse_rows(rows: int, label: str) -> None:
    """Raise InputError if a file claims more rows than the limit: a few bytes can claim billions."""
    if rows > limits_in_use().rows:
        raise too_large(label, "rows", rows, limits_in_use())


def _form_of_gdal(driver: _Driver, *suffixes: str) -> Form:
    """Return a format that its driver reads as it is."""
    return Form(suffixes, partial(_gdal_layers, driver=driver), partial(_gdal_read, driver=driver))


# GeoPackage --------------------------------------------------------------------------------------

_INDEX_MODULES = ("rtree", "fts3", "fts4", "fts5")


def _geopackage_layers(path: Path, label: str) -> list[str]:
    _gdal_path(path, _GEOPACKAGE, label)
    _refuse_programs(path, label)
    return _gdal_layers(path, label, _GEOPACKAGE)


def _refuse_programs(path: Path, label: str) -> None:
    """Raise InputError if reading a table would run what the file says: views, virtual tables, computed columns.

    GDAL has functions and virtual tables of SQL that open other files and ask servers.
    """
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as base:
        stored = base.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        views = _registered(base, [name for kind, name, _ in stored if kind == "view"])
    virtual = [name for kind, name, sql in stored if kind == "table" and _is_foreign(sql)]
    computed = [name for kind, name, sql in stored if kind == "table" and _is_computed(sql)]
    for found, what in ((views, "a view"), (virtual, "a virtual table"), (computed, "a table with computed columns")):
        if found:
            raise InputError(f"{label}: layer {found[0]} is {what}; expected tables of stored polygons")


def _registered(base: sqlite3.Connection, views: Sequence[str]) -> list[str]:
    """Return the views that the file lists as layers."""
    layers = {str(name).lower() for (name,) in base.execute("SELECT table_name FROM gpkg_contents")}
    return [name for name in views if name.lower() in layers]


def _is_foreign(sql: str) -> bool:
    module = re.match(r"\s*create\s+virtual\s+table\s.*?\susing\s+\"?(\w+)", sql, re.IGNORECASE | re.DOTALL)
    return module is not None and module[1].lower() not in _INDEX_MODULES


def _is_computed(sql: str) -> bool:
    return re.search(r"\bas\s*\(", sql, re.IGNORECASE) is not None


# GeoJSON -----------------------------------------------------------------------------------------

_CRS_MEMBER = re.compile(rb'"(?:c|\\u0063)(?:r|\\u0072)(?:s|\\u0073)"\s*:\s*')
_LONGEST_CRS = 4096


def _geojson_layers(path: Path, label: str) -> list[str]:
    _geojson_crs(path, label)
    return _gdal_layers(path, label, _GEOJSON)


def _read_geojson(path: Path, layer: str, label: str, choose: Choose) -> Content:
    content = _gdal_read(path, layer, label, choose, _GEOJSON)
    # GDAL takes a system that is absent, null or unknown for that of the standard.
    return content._replace(stated=_geojson_crs(path, label), default=_OF_GEOJSON)


def _geojson_crs(path: Path, label: str) -> CRS | None:
    """Return the coordinate system that a file names; None where it names none.

    Raises
    ------
    GeometryError
        If it gives the address of a system, which GDAL would ask for, an unknown name, or several.
    """
    names = set()
    for member in _crs_members(path):
        kind = str(member.get("type", "")).lower()
        if kind != "name":
            raise GeometryError(
                f"{label}: member crs of type {kind!r}; expected type 'name', such as urn:ogc:def:crs:EPSG::4269"
            )
        properties = member.get("properties")
        names.add(str(properties.get("name")) if isinstance(properties, dict) else "")
    if not names:
        return None
    if len(names) > 1:
        raise GeometryError(f"{label}: members crs {listed(sorted(names))}; expected one coordinate system")
    crs = crs_of_text(names.pop(), f"{label}: member crs")
    return _OF_GEOJSON if crs.equals(_OF_GEOJSON, ignore_axis_order=True) else crs


def _crs_members(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as stream:
        if not stream.read(1):
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for found in _CRS_MEMBER.finditer(content):
                text = content[found.end() : found.end() + _LONGEST_CRS]
                # A column of that name holds text or a number.
                if text[:1] != b"{":
                    continue
                yield json.JSONDecoder().raw_decode(text.decode(errors="ignore"))[0]


# Parquet -----------------------------------------------------------------------------------------

_GEOMETRY_NAMES = ("geometry", "geom", "wkb_geometry", "wkb", "shape", "the_geom", "geog")
_EXTENSION, _EXTENSION_METADATA = b"ARROW:extension:name", b"ARROW:extension:metadata"


def _parquet_layers(path: Path, label: str) -> list[str]:
    return [Path(label).stem]


def _read_parquet(path: Path, layer: str, label: str, choose: Choose) -> Content:
    with pq.ParquetFile(path) as file:
        refuse_rows(file.metadata.num_rows, label)
        _refuse_bytes(file.metadata, label)
        schema = file.schema_arrow
        columns = choose([name for name in schema.names if not pa.types.is_nested(schema.field(name).type)])
        table = file.read(columns=columns, use_pandas_metadata=False)
        geo = json.loads((schema.metadata or {}).get(b"geo", b"null"))
        found = _declared_geometry(path, file, geo, label) if geo else _undeclared_geometry(file, label)
    plain_columns = {name: _plain(table.column(name), f"{label}: column {name!r}") for name in columns}
    values = pd.DataFrame({name: column.to_pandas() for name, column in plain_columns.items()})
    return found._replace(table=values)


def _refuse_bytes(metadata: pq.FileMetaData, label: str) -> None:
    unpacked = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if unpacked > limits_in_use().bytes:
        raise too_large(label, "bytes", unpacked, limits_in_use())


def _declared_geometry(path: Path, file: pq.ParquetFile, geo: dict[str, Any], label: str) -> Content:
    name = geo["primary_column"]
    about = geo["columns"][name]
    stated = crs_of_text(about["crs"], label) if about.get("crs") is not None else None
    default = None if "crs" in about else _OF_GEOPARQUET
    if about.get("encoding", "WKB") == "WKB":
        shapes = _from_wkb(file, name)
    else:
        shapes = np.asarray(gpd.read_parquet(path, columns=[name]).geometry.array, dtype=object)
    return Content(pd.DataFrame(), shapes, stated, default)


def _undeclared_geometry(file: pq.ParquetFile, label: str) -> Content:
    """Return geometries of a table without the metadata of GeoParquet, as DuckDB, Arrow or pandas write it."""
    kinds = {column.path: column.logical_type for column in map(file.schema.column, range(len(file.schema)))}
    for field in file.schema_arrow:
        marks = field.metadata or {}
        if marks.get(_EXTENSION) in (b"geoarrow.wkb", b"ogc.wkb"):
            crs = json.loads(marks.get(_EXTENSION_METADATA, b"{}") or b"{}").get("crs")
            stated = None if crs is None else crs_of_text(crs, label)
            return Content(pd.DataFrame(), _from_wkb(file, field.name), stated)
        kind = str(kinds.get(field.name, ""))
        if kind.startswith(("Geometry(", "Geography(")):
            crs = re.search(r"crs=([^,)]*)", kind)
            text = crs[1].strip() if crs else ""
            stated = crs_of_text(text.replace("srid:", "EPSG:"), label) if text else None
            return Content(pd.DataFrame(), _from_wkb(file, field.name), stated, _OF_GEOPARQUET)
    binary = [field.name for field in file.schema_arrow if _is_bytes(field.type)]
    named = [name for name in binary if name.lower() in _GEOMETRY_NAMES]
    if len(named) != 1:
        raise InputError(
            f"{label}: a table without geometry, or without the metadata of GeoParquet that name its column; found "
            f"{listed(file.schema_arrow.names, 12)}, expected a binary column geometry, or a file written by GeoPandas "
            "(to_parquet) or ogr2ogr"
        )
    return Content(pd.DataFrame(), _from_wkb(file, named[0]), None)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _from_wkb(file: pq.ParquetFile, name: str) -> Geometries:
    column = file.read(columns=[name], use_pandas_metadata=False).column(name)
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    if pa.types.is_binary_view(column.type):
        column = column.cast(pa.large_binary())
    # A coordinate may be no number, which NumPy would warn of; geometries with such are refused with their keys.
    with np.errstate(invalid="ignore"):
        shapes: Geometries = shapely.from_wkb(column.to_numpy(zero_copy_only=False))
    return shapes


def _plain(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Return a column as text or numbers; floats stay as narrow as they are, which tells rounded keys."""
    return column if pa.types.is_floating(column.type) else plain(column, where)


FORMS = (
    Form((".parquet", ".geoparquet", ".pq"), _parquet_layers, _read_parquet),
    Form((".gpkg",), _geopackage_layers, partial(_gdal_read, driver=_GEOPACKAGE)),
    _form_of_gdal(_SHAPEFILE, ".shp"),
    Form((".json", ".geojson"), _geojson_layers, _read_geojson),
    _form_of_gdal(_FLATGEOBUF, ".fgb"),
    _form_of_gdal(_GEODATABASE, ".gdb"),
)
