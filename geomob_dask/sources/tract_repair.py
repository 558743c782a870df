"""One valid polygon or multipolygon per tract, repaired if that is safe, refused by name otherwise.

Any part of the rows that holds whole tracts can be repaired by itself, such as a state.
"""

from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geomob_dask.errors import GeometryError
from geomob_dask.messages import counted, listed
from geomob_dask.sources.keys import KeyReport

Geometries = NDArray[np.object_]

_SHOWN = 10
COLLECTION = shapely.GeometryType.GEOMETRYCOLLECTION
# Parts of one tract touch or lie apart; more common area than this, of the smaller, and they are two versions of it.
_COMMON_SHARE = 0.01


@dataclass(frozen=True)
class TractReport:
    """Report on polygons that were read and repaired; reports of parts add up.

    All tuples but `files` and `crs_given` hold keys of tracts. ``rows == tracts + len(keys.unknown) + len(empty) +
    len(duplicates) + len(merged)`` in a report of all files and all their parts.

    Parameters
    ----------
    files : tuple of str
        Files, or members of zip files, that were read.
    crs_given : tuple of str
        Files that state no coordinate system and were given one.
    rows : int
        Rows read.
    keys : KeyReport
    empty : tuple of str
        Tracts without a geometry, left out.
    tracts : int
        Tracts after the repair.
    repaired : tuple of str
        Tracts whose polygon was invalid.
    duplicates : tuple of str
        Rows dropped because another was equal.
    merged : tuple of str
        Rows united with another row of their tract.
    turned : tuple of str
        Rows whose rings were turned.
    flattened : tuple of str
        Rows whose vertices had a height or measure.
    """

    files: tuple[str, ...] = ()
    crs_given: tuple[str, ...] = ()
    rows: int = 0
    keys: KeyReport = field(default_factory=KeyReport)
    empty: tuple[str, ...] = ()
    tracts: int = 0
    repaired: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    turned: tuple[str, ...] = ()
    flattened: tuple[str, ...] = ()

    def __add__(self, other: "TractReport") -> "TractReport":
        return TractReport(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))

    def lines(self) -> list[str]:
        """Return lines for the user."""
        names = [PurePosixPath(file).name for file in self.files]
        lines = [f"{counted(self.rows, 'row')} read from {listed(names)}", *self.keys.lines()]
        for tracts, noun, what in (
            (self.crs_given, "file", "without a coordinate system, given one"),
            (self.empty, "tract", "left out, without a geometry"),
            (self.repaired, "invalid polygon", "repaired"),
            (self.duplicates, "row", "dropped, equal to another row of the tract"),
            (self.merged, "row", "united with another row of the tract"),
            (self.flattened, "polygon", "with heights, dropped"),
        ):
            if tracts:
                lines.append(f"{counted(len(tracts), noun)} {what}: {listed(tracts, _SHOWN)}")
        if self.turned:
            lines.append(f"{counted(len(self.turned), 'polygon')} with rings in the other direction, turned")
        return lines


def repair_tracts(raw: gpd.GeoDataFrame) -> tuple[gpd.GeoDataFrame, TractReport]:
    """Return one valid polygon or multipolygon per tract.

    Heights are dropped; an invalid polygon is made valid by the rule of even and odd (`shapely.make_valid`), by which
    a shell inside a shell is a hole: so it is where another tract lies there; rings are turned to run counter-clockwise
    outside and clockwise in holes; equal rows of a tract become one; different rows are united where they can be its
    parts.

    Parameters
    ----------
    raw : GeoDataFrame
        From `load_tracts`, or a part of it with all rows of its tracts.

    Returns
    -------
    tracts : GeoDataFrame
        As `read_tracts` returns it.
    report : TractReport
        Of the repair alone; `rows` is 0.

    Raises
    ------
    GeometryError
        If nothing with an area is left of a polygon, or rows of a tract contradict each other.
    """
    frame = raw.copy()
    shapes = polygons_of(frame)
    thick = shapely.has_z(shapes) | shapely.has_m(shapes)
    shapes[thick] = shapely.force_2d(shapes[thick])
    broken = ~shapely.is_valid(shapes) | (shapely.get_type_id(shapes) == COLLECTION)
    for row in np.flatnonzero(broken):
        shapes[row] = made_valid(shapes[row], f"{frame['file'].iloc[row]}: tract {frame.index[row]}")
    turned = ~shapely.equals_identical(shapes, shapely.orient_polygons(shapes)) & ~broken
    frame.geometry = shapely.orient_polygons(shapes)
    tracts, duplicates, merged = _one_row_a_tract(frame)
    report = TractReport(
        tracts=len(tracts),
        repaired=tuple(frame.index[broken]),
        duplicates=duplicates,
        merged=merged,
        turned=tuple(frame.index[turned]),
        flattened=tuple(frame.index[thick]),
    )
    return tracts.drop(columns="file").sort_index(), report


def made_valid(shape: Any, where: str) -> Any:
    """Return the polygons of an invalid geometry or a collection, by the rule of even and odd.

    Raises
    ------
    GeometryError
        If there are none.
    """
    polygons = [part for part in _parts(shapely.make_valid(shape)) if part.geom_type == "Polygon"]
    if not polygons and shapely.get_type_id(shape) == COLLECTION:
        raise GeometryError(f"{where}: found a {shape.geom_type} without polygons, expected a Polygon or MultiPolygon")
    if not polygons:
        reason = shapely.is_valid_reason(shape)
        raise GeometryError(f"{where}: invalid ({reason}), and no area is left when repaired; expected a polygon")
    return shapely.union_all(polygons) if len(polygons) > 1 else polygons[0]


def _parts(shape: Any) -> list[Any]:
    if not hasattr(shape, "geoms"):
        return [shape]
    return [part for inner in shape.geoms for part in _parts(inner)]


def _one_row_a_tract(frame: gpd.GeoDataFrame) -> tuple[gpd.GeoDataFrame, tuple[str, ...], tuple[str, ...]]:
    """Return one row per tract, and the keys of rows that were dropped and of rows that were united."""
    several = frame.index.duplicated(keep=False)
    if not several.any():
        return frame, (), ()
    rows = frame[several]
    # Equal whatever vertex their rings begin at.
    same = pd.DataFrame({"shape": shapely.to_wkb(shapely.normalize(polygons_of(rows)))}, index=rows.index)
    same[["aland", "awater"]] = rows[["aland", "awater"]]
    equal = same.reset_index().duplicated().to_numpy()
    left = rows[~equal]
    apart = left.index.duplicated(keep=False)
    united = [_united(tract, parts) for tract, parts in left[apart].groupby(level=0)]
    tracts = gpd.GeoDataFrame(pd.concat([frame[~several], left[~apart], *united]), geometry="geometry", crs=frame.crs)
    return tracts, tuple(rows.index[equal]), tuple(left.index[left.index.duplicated()])


def _united(tract: str, parts: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    where = f"{listed(list(parts['file'].unique()))}: tract {tract} has {len(parts)} different rows"
    for column in ("aland", "awater"):
        found = parts[column].unique()
        if len(found) > 1:
            raise GeometryError(f"{where}, with {column} {found[0]} and {found[1]}; expected parts of one tract")
    whole = shapely.union_all(polygons_of(parts))
    areas = shapely.area(polygons_of(parts))
    if areas.sum() - whole.area > _COMMON_SHARE * areas.min():
        raise GeometryError(f"{where}, which overlap; expected parts of one tract")
    row = parts.iloc[:1].copy()
    row.geometry = [shapely.orient_polygons(whole)]
    return row


def polygons_of(frame: gpd.GeoDataFrame) -> Geometries:
    """Return the geometries of a frame as an array of its own."""
    return np.array(frame.geometry.array, dtype=object)
