"""Polygons of tracts from files: keys, areas, coordinate systems and kinds of geometry are checked as they are read.

`tract_repair` repairs the geometries. Every row that is read is a row that is returned or counted in a report.
"""

import json
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.lib
import pyarrow.parquet as pq
import pyogrio
import shapely
from numpy.typing import NDArray
from pydantic import Field
from pyproj import CRS
from pyproj.exceptions import CRSError

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.names import Name
from geomob_dask.options import Options as BaseOptions
from geomob_dask.options import argument
from geomob_dask.sources.key_columns import key_column
from geomob_dask.sources.keys import and_more, listed, tract_geoids
from geomob_dask.sources.tables import Tables, crs_name, split_by_state
from geomob_dask.sources.tract_repair import COLLECTION, TractReport, polygons_of, repair_tracts

_PARQUET = (".parquet", ".geoparquet", ".pq")
_VECTOR = (".gpkg", ".shp", ".json", ".geojson")
_EXPECTED = f"expected one of {', '.join((*_PARQUET, *_VECTOR, '.zip'))}"
_AREAS = {"aland": re.compile("aland(10|20)?", re.IGNORECASE), "awater": re.compile("awater(10|20)?", re.IGNORECASE)}
_POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


class Options(BaseOptions):
    """Options of ``jobs/ingest.py tracts``."""

    files: tuple[str, ...] = argument("GeoParquet, GeoPackage, shapefile or GeoJSON, zipped too.")
    vintage: Name = Field(description="Name of the tract vintage, such as 2010, 2020 or 2022.")
    crs: str | None = Field(None, description="Coordinate system of files that do not state theirs.")
    layer: str | None = Field(None, description="Layer of a file that has several.")
    empty: Literal["refuse", "leave-out"] = Field("refuse", description="Rows without a polygon: refuse, or leave-out.")


def read(options: Options) -> Tables:
    """Return tract polygons by state; see `read_tracts`."""
    tracts, report = read_tracts(options.files, crs=options.crs, layer=options.layer, empty=options.empty)
    return Tables(
        collection=f"tracts/{options.vintage}",
        parts=split_by_state(tracts),
        attributes={"crs": crs_name(tracts.crs)},
        options=options.plain(),
        files=options.files,
        lines=report.lines(),
    )


def read_tracts(
    files: Sequence[str | Path], *, crs: str | None = None, layer: str | None = None, empty: str = "refuse"
) -> tuple[gpd.GeoDataFrame, TractReport]:
    """Return polygons of tracts from files, valid and one per tract: `load_tracts`, then `repair_tracts` of each state.

    Returns
    -------
    tracts : GeoDataFrame
        Sorted by its index ``geoid``; ``geometry`` (valid polygons and multipolygons, outer rings counter-clockwise),
        ``aland`` and ``awater`` (m², NaN where the files do not say). In the coordinate system of the files.
    report : TractReport
    """
    raw, report = load_tracts(files, crs=crs, layer=layer, empty=empty)
    # Shapely's functions release the interpreter's lock: threads repair states at the same time.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        repaired = list(pool.map(repair_tracts, split_by_state(raw).values()))
    for _, done in repaired:
        report = report + done
    tracts = pd.concat([part for part, _ in repaired])
    return gpd.GeoDataFrame(tracts, geometry="geometry", crs=raw.crs), report


# Loading -----------------------------------------------------------------------------------------


def load_tracts(
    files: Sequence[str | Path], *, crs: str | None = None, layer: str | None = None, empty: str = "refuse"
) -> tuple[gpd.GeoDataFrame, TractReport]:
    """Return polygons of tracts as files have them.

    Parameters
    ----------
    files : sequence of str or Path
        GeoParquet, GeoPackage, shapefile, GeoJSON, or zip files that hold any of these.
    crs : str, optional
        The coordinate system of those files that state none. (A GeoJSON always states one: that of its standard.)
    layer : str, optional
        Which layer of a GeoPackage with several.
    empty : {"refuse", "leave-out"}
        What to do with tracts that have no geometry.

    Returns
    -------
    raw : GeoDataFrame
        One row per row of the files, indexed by ``geoid``, with ``geometry``, ``aland``, ``awater`` and ``file``; rows
        of one tract can be apart. Any part of it that holds whole tracts can be repaired by itself.
    report : TractReport
        Of what was read; `tracts` is still 0.

    Raises
    ------
    InputError
        If a file is missing, cannot be read, holds no table or no key column, or a key has a wrong form.
    GeometryError
        If a file has no coordinate system or another one than the first, or a tract has no geometry or one that is no
        polygon.
    """
    if empty not in ("refuse", "leave-out"):
        raise InputError(f"empty: found {empty!r}, expected 'refuse' or 'leave-out'")
    if not files:
        raise InputError("no file of tracts given")
    given = None if crs is None else _stated_crs(crs)
    parts: list[gpd.GeoDataFrame] = []
    report = TractReport()
    first: tuple[str, CRS] | None = None
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            for table in _tables(Path(file), str(file), layer, Path(folder)):
                own = _crs_of(table, given)
                first = first or (table.label, own)
                _refuse_other_crs(table.label, own, *first)
                part, loaded = _checked(table, first[1], empty)
                parts.append(part)
                report = report + loaded
    raw = gpd.GeoDataFrame(pd.concat(parts), geometry="geometry", crs=parts[0].crs)
    if raw.empty:
        raise GeometryError(f"{listed(report.files)}: none of {report.rows:,} rows has a geometry; expected polygons")
    return raw, report


def _stated_crs(crs: str) -> CRS:
    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise InputError(f"crs: found {crs!r}, expected a coordinate system such as EPSG:4269") from error


class _Table(NamedTuple):
    """A file's table as read: ``key``, ``aland``, ``awater``, ``geometry``; its column of keys had the name `key`."""

    label: str
    key: str
    frame: gpd.GeoDataFrame


def _tables(path: Path, label: str, layer: str | None, folder: Path) -> Iterator[_Table]:
    """Yield the tables of a file: several if it is a zip file."""
    suffix = path.suffix.lower()
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise InputError(f"{label}: {what}; expected a file of tract polygons")
    if suffix == ".zip":
        yield from _members(path, label, layer, folder)
        return
    readers = {**dict.fromkeys(_PARQUET, _read_parquet), **dict.fromkeys(_VECTOR, _read_vector)}
    if suffix not in readers:
        raise InputError(f"{label}: suffix {suffix!r}; {_EXPECTED}")
    try:
        frame, key = readers[suffix](path, label, layer)
    # Drivers raise errors of many kinds: RuntimeError from GDAL, shapely's own, ArrowInvalid from parquet, ValueError
    # from metadata that do not fit.
    except (RuntimeError, ValueError, OSError, KeyError, TypeError, shapely.errors.ShapelyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{label}: cannot be read as a table of polygons ({_one_line(error)})") from error
    if not isinstance(frame, gpd.GeoDataFrame):
        raise InputError(f"{label}: a table without geometry; expected polygons of tracts")
    if frame.empty:
        raise InputError(f"{label}: no rows; expected polygons of tracts")
    areas = {name: _area(frame, pattern, label) for name, pattern in _AREAS.items()}
    columns = {"key": frame[key].to_numpy(), **areas, "geometry": frame.geometry.to_numpy()}
    yield _Table(label, key, gpd.GeoDataFrame(columns, geometry="geometry", crs=frame.crs))


def _members(path: Path, label: str, layer: str | None, folder: Path) -> Iterator[_Table]:
    """Unpack the tables of a zip file, with the files that belong to them, and yield each."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in sorted(archive.namelist()) if _is_member(name)]
            tables = [name for name in names if Path(name).suffix.lower() in (*_PARQUET, *_VECTOR, ".zip")]
            # A shapefile is several files of one name.
            stems = {PurePosixPath(name).with_suffix("") for name in tables}
            target = tempfile.mkdtemp(dir=folder)
            archive.extractall(target, [name for name in names if PurePosixPath(name).with_suffix("") in stems])
    except (zipfile.BadZipFile, RuntimeError, OSError, NotImplementedError) as error:
        raise InputError(f"{label}: cannot be unpacked ({_one_line(error)})") from error
    if not tables:
        raise InputError(f"{label}: holds {listed(names) or 'nothing'}; {_EXPECTED}")
    for name in tables:
        yield from _tables(Path(target, name), f"{label}/{name}", layer, folder)


def _is_member(name: str) -> bool:
    return not (name.endswith("/") or name.startswith("__MACOSX") or PurePosixPath(name).name.startswith("."))


def _read_parquet(path: Path, label: str, layer: str | None) -> tuple[gpd.GeoDataFrame, str]:
    schema = pq.read_schema(path)
    key = key_column(schema.names, file=label)
    geo = json.loads((schema.metadata or {}).get(b"geo", b"{}"))
    if not geo:
        raise InputError(f"{label}: a table without geometry; expected GeoParquet")
    frame = gpd.read_parquet(path, columns=[*_wanted(schema.names, key), geo["primary_column"]])
    return (frame if key in frame else frame.reset_index()), key


def _read_vector(path: Path, label: str, layer: str | None) -> tuple[gpd.GeoDataFrame, str]:
    layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if path.suffix.lower() == ".gpkg" and layer is not None:
        if layer not in layers:
            raise InputError(f"{label}: no layer {layer!r} of polygons; expected one of {', '.join(layers)}")
        layers = [layer]
    if len(layers) != 1:
        found = f"{len(layers)} layers ({', '.join(layers)})" if layers else "no layer of geometries"
        raise InputError(f"{label}: {found}; expected one, or the name of the layer to read")
    names = [str(name) for name in pyogrio.read_info(path, layer=layers[0])["fields"]]
    key = key_column(names, file=label)
    # A geometry that cannot be built comes out as None: it is refused below, with its tract's name.
    frame = pyogrio.read_dataframe(path, layer=layers[0], columns=_wanted(names, key), on_invalid="ignore")
    return frame, key


def _wanted(names: Sequence[str], key: str) -> list[str]:
    areas = [name for name in names if any(pattern.fullmatch(name) for pattern in _AREAS.values())]
    return list(dict.fromkeys([key, *areas]))


def _area(frame: pd.DataFrame, pattern: "re.Pattern[str]", label: str) -> NDArray[np.float64]:
    """Return the area of the column whose name fits, m²; NaN where there is no such column."""
    names = [name for name in frame.columns if pattern.fullmatch(str(name))]
    if not names:
        return np.full(len(frame), np.nan)
    values: NDArray[np.float64] = pd.to_numeric(frame[names[0]], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = np.flatnonzero(np.isnan(values) & frame[names[0]].notna().to_numpy())
    if wrong.size:
        found = frame[names[0]].iloc[wrong[0]]
        raise InputError(f"{label}: column {names[0]}, row {wrong[0] + 1}: found {found!r}, expected a number of m²")
    return values


def _crs_of(table: _Table, given: CRS | None) -> CRS:
    crs = table.frame.crs or given
    if crs is None:
        raise GeometryError(f"{table.label}: no coordinate system; expected one in the file, or one given for it")
    return crs


def _refuse_other_crs(label: str, crs: CRS, first_label: str, first_crs: CRS) -> None:
    # Coordinates are in the order x, y here, whatever order a system defines.
    if not first_crs.equals(crs, ignore_axis_order=True):
        raise GeometryError(
            f"{label}: coordinate system {_crs_name(crs)}, but {first_label} has {_crs_name(first_crs)}; "
            "expected the same in all files"
        )


def _crs_name(crs: CRS) -> str:
    authority = crs.to_authority()
    return ":".join(authority) if authority else crs.name


def _checked(table: _Table, crs: CRS, empty: str) -> tuple[gpd.GeoDataFrame, TractReport]:
    label, frame = table.label, table.frame
    keys, key_report = tract_geoids(frame["key"], file=label, column=table.key)
    part = gpd.GeoDataFrame(
        {"geometry": frame.geometry.to_numpy(), "aland": frame["aland"], "awater": frame["awater"], "file": label},
        geometry="geometry",
        crs=crs,
    )
    part.index = pd.Index(keys, name="geoid")
    part = part[keys.notna().to_numpy()]
    nothing = shapely.is_missing(polygons_of(part)) | shapely.is_empty(polygons_of(part))
    if nothing.any() and empty == "refuse":
        raise GeometryError(
            f"{label}: {nothing.sum():,} tracts without a geometry: {listed(list(part.index[nothing]))}; "
            f"expected polygons (or leave these tracts out)"
        )
    _refuse_other_types(part[~nothing], label)
    given_to = (label,) if frame.crs is None else ()
    return part[~nothing], TractReport(
        files=(label,), crs_given=given_to, rows=len(frame), keys=key_report, empty=tuple(part.index[nothing])
    )


def _refuse_other_types(part: gpd.GeoDataFrame, label: str) -> None:
    # A collection may hold polygons: that is seen when it is repaired.
    other = ~np.isin(shapely.get_type_id(polygons_of(part)), (*_POLYGONAL, COLLECTION))
    if other.any():
        kind = part.geometry[other].iloc[0].geom_type
        raise GeometryError(
            f"{label}: tract {part.index[other][0]}: found a {kind}, expected a Polygon or MultiPolygon"
            f"{and_more(other.sum())}"
        )


def _one_line(error: BaseException) -> str:
    if isinstance(error, pyarrow.lib.ArrowException) or not isinstance(error, OSError):
        return " ".join(str(error).split()) or type(error).__name__
    return error.strerror or " ".join(str(error).split())
