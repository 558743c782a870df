"""Polygons of any kind from files of any format: tracts, places, counties.

Every reader of polygons goes through `read_polygons`: layers of files and of members of zip files are found and chosen,
their coordinate systems compared with the one that is given, and their coordinates with their system.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd
from pyproj import CRS
from pyproj.exceptions import CRSError

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.messages import listed
from geomob_dask.settings import limits_in_use
from geomob_dask.sources.files import Archive, explained, read_bytes, regular_file, too_large
from geomob_dask.sources.polygon_formats import FORMS, Form, Geometries

_FORMS = {suffix: form for form in FORMS for suffix in form.suffixes}
_EXPECTED = f"expected one of {', '.join((*_FORMS, '.zip'))}"
_POLYGONS = "a table of polygons"
FORMATS = "GeoParquet, GeoPackage, shapefile, GeoJSON or FlatGeobuf, zipped too, or a zipped file geodatabase."
"""What options that take files of polygons say of them."""
# A path that GDAL would take for an address, or for one of its virtual file systems.
_ELSEWHERE = ("/vsi", "\\vsi")
# Files of other formats in the folder of a geodatabase would make another driver read it.
_OF_GEODATABASE = re.compile(r"a[0-9a-f]{8}\.(gdb\w+|spx|atx|freelist|horizon)|gdb|timestamps", re.IGNORECASE)


class PolygonTable(NamedTuple):
    """One layer as read.

    Attributes
    ----------
    label : str
        The file, and the member of a zip file.
    table : DataFrame
        The chosen columns, one row per row of the layer.
    shapes : array of geometries
        As the layer has them: they may be missing, empty, invalid, or no polygons.
    crs : CRS
    crs_given : bool
        Whether the layer states no coordinate system, and has the given one.
    crs_flag : str
        The flag that would give one, where the layer has the default of its format; otherwise empty.
    layers : tuple of str
        All layers of the file.
    """

    label: str
    table: pd.DataFrame
    shapes: Geometries
    crs: CRS
    crs_given: bool
    crs_flag: str = ""
    layers: tuple[str, ...] = ()


@contextmanager
def naming(layers: Sequence[str]) -> Iterator[None]:
    """Add the layers of a file to what is wrong with one of them, where it has several."""
    try:
        yield
    except InputError as error:
        if len(layers) < 2:
            raise
        raise type(error)(f"{error}; --layer chooses one of {listed(layers)}") from error


def read_polygons(
    files: Sequence[str | Path],
    choose: Callable[[Sequence[str], str], list[str]],
    *,
    crs: str | None = None,
    layer: str | None = None,
) -> Iterator[PolygonTable]:
    """Yield the layers of polygons of files.

    Parameters
    ----------
    files : sequence of str or Path
        GeoParquet, GeoPackage, shapefile, GeoJSON, FlatGeobuf, or zip files that hold any of these or a file
        geodatabase.
    choose : callable
        Names of columns and the label of a layer to the names of those that are read.
    crs : str, optional
        The coordinate system of those files that state none.
    layer : str, optional
        Which layer of a file that has several: its name, or the name of its file in a zip file.

    Raises
    ------
    InputError
        If a file is missing, damaged or of another format, has no such layer, or `choose` misses a column.
    GeometryError
        If a file has no coordinate system, or another one than `crs`.
    """
    given = None if crs is None else given_crs(crs)
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            label = str(file)
            if label.startswith(_ELSEWHERE) or "://" in label:
                raise InputError(f"{label}: an address; expected the path of a file on this machine")
            path = regular_file(file, _POLYGONS)
            layers = list(_layers(path, label, Path(folder), 0))
            names = tuple(dict.fromkeys(one.name for one in layers)) if layer is None else ()
            for one in _chosen(layers, layer, label):
                with naming(names):
                    table = _read(one, choose, given)
                yield table._replace(layers=names)


def given_crs(crs: str) -> CRS:
    """Return the coordinate system that a user names.

    Raises
    ------
    InputError
        If there is no such system.
    """
    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise InputError(f"crs: found {crs!r}, expected a coordinate system such as EPSG:4269") from error


# Layers of files ---------------------------------------------------------------------------------


class _Layer(NamedTuple):
    path: Path
    label: str
    name: str
    form: Form


def _layers(path: Path, label: str, folder: Path, depth: int) -> Iterator[_Layer]:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        yield from _members(path, label, folder, depth)
        return
    if suffix not in _FORMS:
        raise InputError(f"{label}: suffix {suffix!r}; {_EXPECTED}")
    if path.is_file() and path.stat().st_size > limits_in_use().bytes:
        raise too_large(label, "bytes", path.stat().st_size, limits_in_use())
    form = _FORMS[suffix]
    with explained(label, _POLYGONS):
        names = form.layers(path, label)
    if not names:
        raise InputError(f"{label}: no layer of geometries; expected {_POLYGONS}")
    for name in names:
        yield _Layer(path, label, name, form)


def _members(path: Path, label: str, folder: Path, depth: int) -> Iterator[_Layer]:
    """Yield the layers in a zip file: each table is unpacked with the files that belong to it."""
    if depth == limits_in_use().depth:
        raise too_large(label, "depth", depth + 1, limits_in_use())
    archive = Archive(label, read_bytes(path, expected="a zip file"), expected="a zip file")
    tables = _tables(archive.names)
    if not tables:
        raise InputError(f"{label}: holds {listed(archive.names) or 'nothing'}; {_EXPECTED}")
    for name, members in tables.items():
        # Each has a folder of its own: members of different folders may have one name.
        target = Path(tempfile.mkdtemp(dir=folder))
        if name.lower().endswith(".gdb"):
            target = target / PurePosixPath(name).name
            target.mkdir()
        archive.extract(members, target)
        found = target if target.suffix else target / PurePosixPath(name).name
        yield from _layers(found, f"{label}/{name}", folder, depth + 1)


def _tables(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the tables among the members of a zip file, each with its members; a geodatabase is a folder.

    Examples
    --------
    >>> _tables(["a/t.shp", "a/t.dbf", "t.dbf", "read.me", "x.gdb/a00000001.gdbtable"])
    {'a/t.shp': ['a/t.dbf', 'a/t.shp'], 'x.gdb': ['x.gdb/a00000001.gdbtable']}
    """
    tables: dict[str, list[str]] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.parent.suffix.lower() == ".gdb":
            if _OF_GEODATABASE.fullmatch(path.name):
                tables.setdefault(str(path.parent), []).append(name)
        elif path.suffix.lower() in (*_FORMS, ".zip"):
            # A shapefile is several files of one name.
            tables[name] = [other for other in sorted(names) if _belongs(other, path)]
    return tables


def _belongs(name: str, to: PurePosixPath) -> bool:
    path = PurePosixPath(name)
    if path == to:
        return True
    return to.suffix.lower() == ".shp" and path.parent == to.parent and path.name.startswith(f"{to.stem}.")


def _chosen(layers: Sequence[_Layer], layer: str | None, label: str) -> list[_Layer]:
    names = list(dict.fromkeys(one.name for one in layers))
    if layer is not None:
        found = [one for one in layers if layer in (one.name, PurePosixPath(one.label).stem)]
        if not found:
            raise InputError(f"{label}: no layer {layer!r} of polygons; expected one of {', '.join(names)}")
        return found
    for path in {one.path for one in layers}:
        of_file = [one.name for one in layers if one.path == path]
        if len(of_file) > 1:
            raise InputError(
                f"{label}: {len(of_file)} layers ({', '.join(of_file)}); expected one, or the name of the layer to "
                "read (--layer)"
            )
    return list(layers)


def _read(layer: _Layer, choose: Callable[[Sequence[str], str], list[str]], given: CRS | None) -> PolygonTable:
    label = layer.label
    with explained(label, _POLYGONS):
        content = layer.form.read(layer.path, layer.name, label, lambda names: choose(names, label))
    if not len(content.table):
        raise InputError(f"{label}: no rows; expected polygons")
    if content.stated is not None and given is not None and not same_crs(content.stated, given):
        raise GeometryError(
            f"{label}: coordinate system {short_name(content.stated)}, but {short_name(given)} is given (--crs); "
            "expected the one of the file, or none"
        )
    crs = content.stated or given or content.default
    if crs is None:
        raise GeometryError(
            f"{label}: no coordinate system; expected one in the file, or one given for it (--crs EPSG:4269)"
        )
    given_to = content.stated is None and given is not None
    flag = "--crs" if content.stated is None and given is None else ""
    return PolygonTable(label, content.table.reset_index(drop=True), content.shapes, crs, given_to, flag)


def same_crs(one: CRS, other: CRS) -> bool:
    """Return whether two systems are the same; coordinates are in the order x, y here, whatever a system defines."""
    return bool(one.equals(other, ignore_axis_order=True))


def short_name(crs: CRS) -> str:
    """Return the code of a coordinate system, or its name where it has none."""
    authority = crs.to_authority()
    return ":".join(authority) if authority else crs.name
