"""Polygons of places and other regions from files, made valid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.messages import and_more, counted, listed
from geomob_dask.sources.coordinates import refuse_coordinates, reprojected
from geomob_dask.sources.key_columns import first_column
from geomob_dask.sources.polygon_files import PolygonTable, naming, read_polygons
from geomob_dask.sources.region_codes import region_codes
from geomob_dask.sources.states import STATES
from geomob_dask.sources.tract_repair import COLLECTION, made_valid, polygons_of

_KEYS = ("GEOID", "GEOID20", "GEOID10", "GEOID00", "region", "CBSAFP", "PLACEFP")
_NAMES = ("NAMELSAD", "NAMELSAD20", "NAMELSAD10", "NAME", "NAME20", "NAME10", "region_name")
ALL = "all"
"""Name of the layer of regions that may cross states."""
_AREAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


def read_areas(
    files: Sequence[str], *, key: str | None = None, crs: str | None = None, layer: str | None = None
) -> tuple[gpd.GeoDataFrame, list[str]]:
    """Return polygons of regions.

    Parameters
    ----------
    files : sequence of str
        See `read_polygons`.
    key : str, optional
        Column of the regions' codes; GEOID and the like by default.
    crs : str, optional
        Of files that do not state theirs.
    layer : str, optional
        Which layer of a file that has several, or which member of a zip file.

    Returns
    -------
    areas : GeoDataFrame
        Index ``region``, sorted; ``region_name`` and the geometry, valid, in the first file's system.
    lines : list of str
        What was read and repaired, for the user.

    Raises
    ------
    InputError
        If a file cannot be read, has no such column, or a region is there twice.
    GeometryError
        If a file states no coordinate system, or another one than `crs`; if a region has no polygon, or coordinates
        are not those of their system.
    """
    layers, repaired = [], list[str]()
    for table in read_polygons(files, partial(_columns, key=key), crs=crs, layer=layer):
        with naming(table.layers):
            areas, invalid = _regions(table, key)
        layers.append(areas)
        repaired += invalid
    for areas in layers[1:]:
        areas.geometry = reprojected(areas.geometry, layers[0].crs, listed(files), "region")
    areas = gpd.GeoDataFrame(pd.concat(layers), crs=layers[0].crs)
    twice = areas.index.duplicated()
    if twice.any():
        raise InputError(f"{listed(files)}: region {areas.index[twice][0]} occurs twice, expected one polygon each")
    lines = [f"{counted(len(areas), 'region')} from {counted(len(files), 'file')}"]
    if repaired:
        lines.append(f"{counted(len(repaired), 'polygon')} repaired: {listed(sorted(repaired))}")
    return areas.sort_index(), lines


def areas_by_state(areas: gpd.GeoDataFrame, states: Sequence[str]) -> dict[str, gpd.GeoDataFrame]:
    """Return the places of each of these states; other regions, which may cross state lines, together as ``all``.

    Places are recognized by their codes: seven digits that begin with a state's. A place belongs to its own state, also
    where its outline leans over the state line.
    """
    codes = areas.index.astype("str")
    if not (codes.str.fullmatch("[0-9]{7}").all() and codes.str[:2].isin(list(STATES)).all()):
        return {ALL: areas}
    return {str(state): part for state, part in areas.groupby(codes.str[:2]) if state in states}


def _columns(names: Sequence[str], label: str, key: str | None) -> list[str]:
    """Return the column of codes, and that of names if there is one."""
    code = first_column(names, (key,) if key else _KEYS)
    if code is None:
        raise InputError(f"{label}: found the columns {listed(names, 12)}, expected {key or ' or '.join(_KEYS)}")
    name = first_column([other for other in names if other != code], _NAMES)
    return [code] if name is None else [code, name]


def _regions(table: PolygonTable, key: str | None) -> tuple[gpd.GeoDataFrame, list[str]]:
    """Return the regions of a layer, with valid polygons, and the codes of those that were invalid."""
    label, columns = table.label, list(table.table.columns)
    code = _columns(columns, label, key)[0]
    codes = region_codes(table.table[code], f"{label}: column {code}")
    none = np.flatnonzero(codes == "")
    if none.size:
        raise InputError(f"{label}: column {code}, row {none[0] + 1}: no code, expected one{and_more(none.size)}")
    regions = gpd.GeoDataFrame(
        {"region_name": table.table[columns[1]].fillna("").astype("str").to_numpy() if len(columns) > 1 else ""},
        index=pd.Index(codes, dtype="str", name="region"),
        geometry=table.shapes,
        crs=table.crs,
    ).astype({"region_name": "str"})
    shapes = polygons_of(regions)
    kinds = np.isin(shapely.get_type_id(shapes), (*_AREAL, COLLECTION))
    wrong = shapely.is_missing(shapes) | shapely.is_empty(shapes) | ~kinds
    if wrong.any():
        region = regions.index[int(np.argmax(wrong))]
        raise GeometryError(f"{label}: region {region}: found no polygon, expected one ({int(wrong.sum())} in all)")
    refuse_coordinates(shapes, list(regions.index), table.crs, label, "region", flag=table.crs_flag)
    shapes = shapely.force_2d(shapes)
    broken = ~shapely.is_valid(shapes) | (shapely.get_type_id(shapes) == COLLECTION)
    for row in np.flatnonzero(broken):
        shapes[row] = made_valid(shapes[row], f"{label}: region {regions.index[row]}")
    regions.geometry = shapes
    return regions, list(regions.index[broken])
