"""Polygons of places and other regions from files, made valid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio.errors
import shapely

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.sources.keys import listed
from geomob_dask.sources.states import STATES

_KEYS = ("GEOID", "GEOID20", "GEOID10", "geoid", "region", "CBSAFP", "PLACEFP")
_NAMES = ("NAMELSAD", "NAME", "NAME20", "NAME10", "region_name", "name")
ALL = "all"
"""Name of the layer of regions that may cross states."""
# In square units of the map: a line or point that repair leaves over has none.
_AREAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


def read_areas(
    files: Sequence[str], *, key: str | None = None, crs: str | None = None
) -> tuple[gpd.GeoDataFrame, list[str]]:
    """Return polygons of regions.

    Parameters
    ----------
    files : sequence of str
        GeoParquet, GeoPackage, shapefile or GeoJSON, zipped too.
    key : str, optional
        Column of the regions' codes; GEOID and the like by default.
    crs : str, optional
        Of files that do not state theirs.

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
        If a file states no coordinate system, or a region has no polygon.
    """
    layers = [_read(file, key, crs) for file in files]
    areas = gpd.GeoDataFrame(pd.concat([layer.to_crs(layers[0].crs) for layer in layers]), crs=layers[0].crs)
    twice = areas.index.duplicated()
    if twice.any():
        raise InputError(f"{listed(files)}: region {areas.index[twice][0]} occurs twice, expected one polygon each")
    areas = areas.sort_index()
    invalid = ~areas.is_valid.to_numpy()
    if invalid.any():
        areas.loc[invalid, "geometry"] = [_areal(shapely.make_valid(one)) for one in areas.geometry[invalid]]
    lines = [f"{len(areas):,} regions from {len(files)} files"]
    if invalid.any():
        lines.append(f"{int(invalid.sum()):,} polygons repaired: {listed(list(areas.index[invalid]))}")
    return areas, lines


def areas_by_state(areas: gpd.GeoDataFrame, states: Sequence[str]) -> dict[str, gpd.GeoDataFrame]:
    """Return the places of each of these states; other regions, which may cross state lines, together as ``all``.

    Places are recognized by their codes: seven digits that begin with a state's. A place belongs to its own state, also
    where its outline leans over the state line.
    """
    codes = areas.index.astype("str")
    if not (codes.str.fullmatch("[0-9]{7}").all() and codes.str[:2].isin(list(STATES)).all()):
        return {ALL: areas}
    return {str(state): part for state, part in areas.groupby(codes.str[:2]) if state in states}


def _read(file: str, key: str | None, crs: str | None) -> gpd.GeoDataFrame:
    try:
        layer = gpd.read_parquet(file) if Path(file).suffix == ".parquet" else gpd.read_file(file)
    except (OSError, ValueError, pyogrio.errors.DataSourceError) as error:
        raise InputError(f"{file}: cannot be read ({' '.join(str(error).split())}); expected polygons") from error
    if not isinstance(layer, gpd.GeoDataFrame) or layer.empty:
        raise InputError(f"{file}: found no polygons")
    column = next((name for name in ([key] if key else _KEYS) if name in layer), None)
    if column is None:
        raise InputError(f"{file}: found the columns {', '.join(layer.columns)}, expected {key or ' or '.join(_KEYS)}")
    if crs is not None and layer.crs is None:
        layer = layer.set_crs(crs)
    if layer.crs is None:
        raise GeometryError(f"{file}: no coordinate system is given; expected one (or --crs)")
    polygons = layer.geometry.to_numpy()
    wrong = shapely.is_missing(polygons) | shapely.is_empty(polygons) | ~np.isin(shapely.get_type_id(polygons), _AREAL)
    if wrong.any():
        region = layer[column].iloc[int(np.argmax(wrong))]
        raise GeometryError(f"{file}: region {region}: found no polygon, expected one ({int(wrong.sum())} in all)")
    named = next((name for name in _NAMES if name in layer and name != column), None)
    return gpd.GeoDataFrame(
        {"region_name": layer[named].fillna("").astype("str").to_numpy() if named else ""},
        index=pd.Index(layer[column].astype("str"), name="region"),
        geometry=polygons,
        crs=layer.crs,
    ).astype({"region_name": "str"})


def _areal(geometry: shapely.Geometry) -> shapely.Geometry:
    """Return the polygons of a repaired geometry."""
    parts = shapely.get_parts(geometry)
    parts = parts[np.isin(shapely.get_type_id(parts), _AREAL)]
    return shapely.union_all(parts)
