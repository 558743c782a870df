"""Polygons of tracts from files: keys, areas, coordinate systems and kinds of geometry are checked as they are read.

`tract_repair` repairs the geometries. Every row that is read is a row that is returned or counted in a report.
"""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pydantic import Field
from pyproj import CRS

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.messages import and_more, counted, listed
from geomob_dask.names import Name
from geomob_dask.options import Options as BaseOptions
from geomob_dask.options import argument
from geomob_dask.sources.coordinates import refuse_coordinates
from geomob_dask.sources.key_columns import key_columns
from geomob_dask.sources.polygon_files import FORMATS, PolygonTable, naming, read_polygons, same_crs, short_name
from geomob_dask.sources.recoded import check_recoding, recoded
from geomob_dask.sources.tables import Tables, crs_name, split_by_state
from geomob_dask.sources.tract_repair import COLLECTION, TractReport, polygons_of, repair_tracts

# Square meters.
_EARTH = 5.101e14
_AREAS = {name: re.compile(f"{name}(00|10|20)?", re.IGNORECASE) for name in ("aland", "awater")}
_POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


class Options(BaseOptions):
    """Options of ``jobs/ingest.py tracts``."""

    files: tuple[str, ...] = argument(FORMATS)
    vintage: Name = Field(description="Name of the tract vintage, such as 2010, 2020 or 2022.")
    key_column: str | None = Field(
        None, description="Column of keys, or three of its pieces: STATE,COUNTY,TRACT. [default: GEOID, GEO_ID, …]"
    )
    crs: str | None = Field(None, description="Coordinate system of files that do not state theirs.")
    layer: str | None = Field(None, description="Layer of a file that has several, or member of a zip file.")
    recode_from: Name | None = Field(
        None, description="Vintage of the files' codes, where they are not those of --vintage: 2020 for 2022."
    )
    empty: Literal["refuse", "leave-out"] = Field("refuse", description="Rows without a polygon: refuse, or leave-out.")


def read(options: Options) -> Tables:
    """Return tract polygons by state; see `read_tracts`."""
    if options.recode_from is not None:
        check_recoding(options.recode_from, options.vintage)
    tracts, report = read_tracts(
        options.files, key_column=options.key_column, crs=options.crs, layer=options.layer, empty=options.empty
    )
    lines = report.lines()
    if options.recode_from is not None:
        tracts, found = recoded(tracts, options.recode_from, options.vintage)
        lines += found
    return Tables(
        collection=f"tracts/{options.vintage}",
        parts=split_by_state(tracts),
        attributes={"crs": crs_name(tracts.crs)},
        options=options.plain(),
        files=options.files,
        lines=lines,
    )


def read_tracts(
    files: Sequence[str | Path],
    *,
    key_column: str | None = None,
    crs: str | None = None,
    layer: str | None = None,
    empty: str = "refuse",
) -> tuple[gpd.GeoDataFrame, TractReport]:
    """Return polygons of tracts from files, valid and one per tract: `load_tracts`, then `repair_tracts` of each state.

    Returns
    -------
    tracts : GeoDataFrame
        Sorted by its index ``geoid``; ``geometry`` (valid polygons and multipolygons, outer rings counter-clockwise),
        ``aland`` and ``awater`` (m², NaN where the files do not say). In the coordinate system of the files.
    report : TractReport
    """
    raw, report = load_tracts(files, key_column=key_column, crs=crs, layer=layer, empty=empty)
    # Shapely's functions release the interpreter's lock: threads repair states at the same time.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        repaired = list(pool.map(repair_tracts, split_by_state(raw).values()))
    for _, done in repaired:
        report = report + done
    tracts = pd.concat([part for part, _ in repaired])
    return gpd.GeoDataFrame(tracts, geometry="geometry", crs=raw.crs), report


# Loading -----------------------------------------------------------------------------------------


def load_tracts(
    files: Sequence[str | Path],
    *,
    key_column: str | None = None,
    crs: str | None = None,
    layer: str | None = None,
    empty: str = "refuse",
) -> tuple[gpd.GeoDataFrame, TractReport]:
    """Return polygons of tracts as files have them.

    Parameters
    ----------
    files : sequence of str or Path
        See `read_polygons`.
    key_column : str, optional
        See `key_columns`.
    crs : str, optional
        The coordinate system of those files that state none.
    layer : str, optional
        Which layer of a file that has several, or which member of a zip file.
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
        If a file is missing, cannot be read, holds no table or no key column, a key has a wrong form, or an area is
        negative.
    GeometryError
        If a file has no coordinate system or another one than the first or than `crs`, a tract has no geometry or one
        that is no polygon, or coordinates are not those of their system.
    """
    if empty not in ("refuse", "leave-out"):
        raise InputError(f"empty: found {empty!r}, expected 'refuse' or 'leave-out'")
    if not files:
        raise InputError("no file of tracts given")
    parts: list[gpd.GeoDataFrame] = []
    report = TractReport()
    first: PolygonTable | None = None
    wanted = partial(_columns, named=key_column)
    for table in read_polygons(files, wanted, crs=crs, layer=layer):
        first = first or table
        _refuse_other_crs(table.label, table.crs, first.label, first.crs)
        with naming(table.layers):
            part, loaded = _checked(table._replace(crs=first.crs), empty, key_column)
        parts.append(part)
        report = report + loaded
    raw = gpd.GeoDataFrame(pd.concat(parts), geometry="geometry", crs=parts[0].crs)
    if raw.empty:
        raise GeometryError(
            f"{listed(report.files)}: none of {counted(report.rows, 'row')} has a geometry; expected polygons"
        )
    return raw, report


def _columns(names: Sequence[str], label: str, named: str | None) -> list[str]:
    """Return the columns that are read: of keys, and of land and water where they are there."""
    areas = [name for name in names if any(pattern.fullmatch(name) for pattern in _AREAS.values())]
    return list(dict.fromkeys([*key_columns(names, file=label, named=named).names, *areas]))


def _area(table: pd.DataFrame, what: str, keys: pd.Series, label: str) -> NDArray[np.float64]:
    """Return land or water, m²; NaN where there is no such column.

    Raises
    ------
    InputError
        If a value is no number, negative, or more than there is.
    """
    names = [name for name in table.columns if _AREAS[what].fullmatch(str(name))]
    if not names:
        return np.full(len(table), np.nan)
    found = table[names[0]]
    values: NDArray[np.float64] = pd.to_numeric(found, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = np.flatnonzero((np.isnan(values) & found.notna().to_numpy()) | (values < 0) | (values > _EARTH))
    if wrong.size:
        row = wrong[0]
        raise InputError(
            f"{label}: column {names[0]}, row {row + 1}, tract {keys.iloc[row]}: found {found.iloc[row]}, expected "
            f"a number of m², from 0 to the surface of the Earth{and_more(wrong.size)}"
        )
    return values


def _refuse_other_crs(label: str, crs: CRS, first_label: str, first_crs: CRS) -> None:
    if not same_crs(first_crs, crs):
        raise GeometryError(
            f"{label}: coordinate system {short_name(crs)}, but {first_label} has {short_name(first_crs)}; "
            "expected the same in all files"
        )


def _checked(table: PolygonTable, empty: str, named: str | None) -> tuple[gpd.GeoDataFrame, TractReport]:
    label = table.label
    columns = key_columns(list(table.table.columns), file=label, named=named)
    keys, key_report = columns.geoids(table.table, file=label)
    areas = {name: _area(table.table, name, keys, label) for name in _AREAS}
    part = gpd.GeoDataFrame({"geometry": table.shapes, **areas, "file": label}, geometry="geometry", crs=table.crs)
    part.index = pd.Index(keys, name="geoid")
    part = part[keys.notna().to_numpy()]
    nothing = shapely.is_missing(polygons_of(part)) | shapely.is_empty(polygons_of(part))
    if nothing.any() and empty == "refuse":
        raise GeometryError(
            f"{label}: {counted(nothing.sum(), 'tract')} without a geometry: {listed(list(part.index[nothing]))}; "
            f"expected polygons (or leave these tracts out)"
        )
    part, left_out = part[~nothing], tuple(part.index[nothing])
    _refuse_other_types(part, label)
    refuse_coordinates(polygons_of(part), list(part.index), table.crs, label, "tract", flag=table.crs_flag)
    given_to = (label,) if table.crs_given else ()
    return part, TractReport(files=(label,), crs_given=given_to, rows=len(table.table), keys=key_report, empty=left_out)


def _refuse_other_types(part: gpd.GeoDataFrame, label: str) -> None:
    # A collection may hold polygons: that is seen when it is repaired.
    other = ~np.isin(shapely.get_type_id(polygons_of(part)), (*_POLYGONAL, COLLECTION))
    if other.any():
        kind = part.geometry[other].iloc[0].geom_type
        raise GeometryError(
            f"{label}: tract {part.index[other][0]}: found a {kind}, expected a Polygon or MultiPolygon"
            f"{and_more(other.sum())}"
        )
