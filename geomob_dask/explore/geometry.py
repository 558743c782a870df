"""Polygons of a vintage as the page draws them: simplified for some zoom levels, in packs that a browser asks for.

Collections ``display/UNIT/VINTAGE``, where units are tracts, counties, states, or the regions of a table of the store.
A part has a row per cell: one cell per state at the first level, a square of a grid within the state at others. The
columns of a level hold the polygons and borders of its cells; only those asked for are read. The part ``all`` holds
what a browser needs first: the first level of all states, where the cells of the others are, and the units. Rows of
packed polygons are places among the sorted codes of the vintage's units.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import distributed
import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.frames.own_rows import no_value, one_value, own_rows
from geomob_dask.frames.regions import tract_regions
from geomob_dask.messages import counted
from geomob_dask.names import is_name
from geomob_dask.outputs.names import RegionNames
from geomob_dask.outputs.polygons import (
    Placement,
    dissolve,
    pack_borders,
    pack_polygons,
    placed,
    placement,
    projected,
)
from geomob_dask.products.regions import PREFIX
from geomob_dask.runs.computed import computed
from geomob_dask.store import Part, Provenance, Snapshot, Store
from geomob_dask.store.objects import concurrently
from geomob_dask.transforms.display import Geometry, simplify_for_display

FOLDER = "display"
TRACT, COUNTY, STATE = "tract", "county", "state"
_DIGITS = {COUNTY: 5, STATE: 2}
# The part of all states, and its row that holds the codes and bounds of units.
ALL, UNITS = "all", "units"
_BOX = ["left", "bottom", "right", "top"]


@dataclass(frozen=True)
class Level:
    """A zoom level.

    Parameters
    ----------
    tolerance : float
        Meters that borders may move.
    side : float
        Of the squares that tracts are packed by, in meters; infinite where a state is one cell.
    """

    tolerance: float
    side: float

    @property
    def step(self) -> float:
        """Return the distance of the grid that points are rounded to, in meters."""
        return self.tolerance / 3


# A browser draws the first whose tolerance is less than a pixel: the nation, a state, a metro, a city.
LEVELS = (Level(1500.0, np.inf), Level(300.0, 300e3), Level(60.0, 80e3), Level(12.0, 25e3))


@dataclass(frozen=True)
class Units:
    """What is drawn: the regions that tracts belong to, or tracts themselves.

    Parameters
    ----------
    name : str
        ``tract``, ``county``, ``state``, or the name of a table of regions.
    codes : array of str
        Sorted, of the whole vintage.
    row_of : shape (n_tracts,), integers
        The place of each tract's unit among the codes, -1 for none.
    names : sequence of str
        Names that a table gives to its regions; empty where the package knows names, or none.
    inputs : mapping of str to str
        Collections that it is made from, with their checksums.
    """

    name: str
    codes: NDArray[Any]
    row_of: NDArray[np.int64]
    names: Sequence[str]
    inputs: Mapping[str, str]

    def provenance(self) -> Provenance:
        """Return the provenance of what is drawn of them."""
        levels = [[level.tolerance, level.side if np.isfinite(level.side) else None] for level in LEVELS]
        return Provenance("explore", self.inputs, {"units": self.name, "levels": levels, "format": 3})


def collection_of(unit: str, vintage: str) -> str:
    """Return the collection of the polygons of a kind of units."""
    return f"{FOLDER}/{unit}/{vintage}"


def prepare(
    store: Store, vintage: str, client: distributed.Client | None = None, console: Console | None = None
) -> list[str]:
    """Write the polygons of a vintage as the page draws them; what is up to date stays.

    Parameters
    ----------
    store : Store
    vintage : str
    client : distributed.Client, optional
        Without one, everything is computed in this process.
    console : Console, optional
        For progress; none by default.

    Returns
    -------
    list of str
        What was written, and which tables of regions cannot be drawn and why, one text per line.

    Raises
    ------
    InputError
        If the store has no polygons of the vintage.
    """
    console = console or Console(quiet=True)
    tracts = store.snapshot(f"tracts/{vintage}")
    frame = store.frame(tracts, columns=["geometry"])
    if not _stale_at_all(store, tracts, vintage):
        return [f"polygons of vintage {vintage} for the page: up to date"]
    bounds = computed(own_rows(tract_bounds, frame, meta=tract_bounds(frame._meta)), client, console)
    found, lines = units_of(store, tracts, vintage, bounds.index)
    todo = [one for one in found if not is_current(store, one, vintage)]
    if not todo:
        return [*lines, f"polygons of vintage {vintage} for the page: up to date"]
    where = placement(bounds.to_numpy(), _states(bounds.index))
    with store.all_or_nothing(*(collection_of(one.name, vintage) for one in todo)):
        writing = own_rows(
            _write,
            frame,
            meta=no_value(),
            store=store,
            units=tuple(todo),
            vintage=vintage,
            where=where,
            all_geoids=bounds.index,
        )
        written = [one for several in computed(writing, client, console)["value"] for one in several]
        for one in todo:
            own = [piece for piece in written if piece.unit == one.name]
            name = collection_of(one.name, vintage)
            parts = {piece.state: piece.part for piece in own if piece.part is not None}
            parts[ALL] = store.put(name, ALL, overview(one, own))
            store.commit(name, parts, one.provenance(), attributes_of(one, vintage, bounds, where, tracts))
    drawn = ", ".join(f"{counted(len(one.codes), one.name.replace('_', ' '))}" for one in todo)
    return [*lines, f"polygons of vintage {vintage} for the page: {drawn}, {counted(len(LEVELS), 'zoom level')}"]


def _stale_at_all(store: Store, tracts: Snapshot, vintage: str) -> bool:
    """Return whether anything may be out of date, from snapshots alone: what is there for the polygons and tables."""
    inputs = {tracts.collection: tracts.checksum()}
    kinds = [(TRACT, inputs), (COUNTY, inputs), (STATE, inputs)]
    for kind, table in {**columns_of(store, vintage), **tables_of(store, vintage)}.items():
        kinds.append((kind, {**inputs, table.collection: table.checksum()}))
    empty = np.array([], dtype=object), np.array([], dtype=np.int64)
    return not all(is_current(store, Units(name, *empty, (), needs), vintage) for name, needs in kinds)


def is_current(store: Store, units: Units, vintage: str) -> bool:
    """Return whether the store holds what is drawn of units, made from what it holds now."""
    there = store.find(collection_of(units.name, vintage))
    run = units.provenance().identity
    return there is not None and all(part.run == run for part in there.parts.values())


def tables_of(store: Store, vintage: str) -> dict[str, Snapshot]:
    """Return the tables of regions of a vintage, by name."""
    found = {}
    for collection in store.collections(PREFIX):
        name, _, of = collection.removeprefix(f"{PREFIX}/").partition("/")
        if of == vintage and name not in (TRACT, COUNTY, STATE):
            found[name] = store.snapshot(collection)
    return found


def columns_of(store: Store, vintage: str) -> dict[str, Snapshot]:
    """Return the measures whose columns name regions that results of a vintage are by; the newest of each column."""
    found: dict[str, Snapshot] = {}
    for snapshot in concurrently(store.find, store.collections("results")):
        if snapshot is None or snapshot.attributes.get("vintage") != vintage:
            continue
        options = next(iter(snapshot.runs.values()), {}).get("options", {})
        by, measures = options.get("by"), store.find(f"measures/{options.get('dataset')}/{options.get('year')}")
        if isinstance(by, str) and is_name(by) and measures is not None and by in store.columns(measures):
            known = found.get(by)
            if known is None or known.collection < measures.collection:
                found[by] = measures
    return {by: one for by, one in found.items() if by not in (TRACT, COUNTY, STATE)}


def units_of(
    store: Store, tracts: Snapshot, vintage: str, geoids: pd.Index, only: Collection[str] | None = None
) -> tuple[list[Units], list[str]]:
    """Return what can be drawn of a vintage: tracts, counties, states, and regions of tables and columns of the store.

    Parameters
    ----------
    geoids : Index
        Of the vintage's tracts, sorted.
    only : collection of str, optional
        Names of the units that are wanted; all by default.

    Returns
    -------
    units : list of Units
    lines : list of str
        Which tables cannot be drawn, and why.
    """
    inputs = {tracts.collection: tracts.checksum()}
    text = geoids.to_numpy(dtype=object)
    found = []
    if only is None or TRACT in only:
        found.append(Units(TRACT, text, np.arange(len(text)), (), inputs))
    for name, digits in _DIGITS.items():
        if only is None or name in only:
            codes, row_of = np.unique(geoids.str[:digits].to_numpy(dtype=object), return_inverse=True)
            found.append(Units(name, codes, row_of.astype(np.int64), (), inputs))
    lines: list[str] = []
    if only is not None and {*only} <= {TRACT, *_DIGITS}:
        # Tables are looked for among all results.
        return found, lines
    tables = tables_of(store, vintage)
    for name, table in {**columns_of(store, vintage), **tables}.items():
        if only is not None and name not in only:
            continue
        try:
            found.append(_units_of_table(store, name, table, geoids, inputs, is_column=name not in tables))
        except InputError as error:
            lines.append(f"regions {name} are not drawn: {error}")
    return found, lines


def _units_of_table(
    store: Store, name: str, table: Snapshot, geoids: pd.Index, inputs: Mapping[str, str], *, is_column: bool
) -> Units:
    columns = [name] if is_column else ["region", "region_name", "afact", "afact2"]
    parts = [store.read(part, columns) for part in table.parts.values() if part.rows]
    rows = pd.concat(parts) if parts else store.empty(table, columns)
    where = tract_regions(rows, by=name) if is_column else tract_regions(pd.DataFrame(index=geoids), rows, by=name)
    # A tract that several regions share is drawn in the one with most of its people.
    ordered = where.sort_values("afact", ascending=False, kind="stable")
    region = ordered.loc[~ordered.index.duplicated(), "region"].reindex(geoids)
    codes = np.unique(region.dropna().to_numpy(dtype=object))
    own = where[where["region_name"].fillna("") != ""].groupby("region")["region_name"].max().to_dict()
    names = RegionNames(name, {str(code): str(text) for code, text in own.items()})
    row_of = np.where(region.isna(), -1, np.searchsorted(codes.astype(str), region.fillna("").astype(str)))
    return Units(
        name,
        codes,
        row_of.astype(np.int64),
        [names.of(str(code)) for code in codes],
        {**inputs, table.collection: table.checksum()},
    )


def attributes_of(
    units: Units, vintage: str, bounds: pd.DataFrame, where: Placement, tracts: Snapshot
) -> dict[str, Any]:
    """Return what a reader of the polygons of units must know, as plain data; lengths in meters."""
    moved = placed_bounds(bounds.to_numpy(), _states(bounds.index), where)
    boxes = np.vstack([moved, *(np.array(inset[1:])[None, :] for inset in where.insets)])
    low, high = np.nanmin(boxes[:, :2], axis=0), np.nanmax(boxes[:, 2:], axis=0)
    return {
        "vintage": vintage,
        "tracts": tracts.checksum(),
        "units": len(units.codes),
        "tolerances": [level.tolerance for level in LEVELS],
        "extent": [round(float(value)) for value in (*low, *high)],
        "insets": [
            {"label": inset.label, "box": [round(float(value)) for value in inset[1:]]} for inset in where.insets
        ],
        "notes": where.notes,
    }


def placed_bounds(bounds: NDArray[np.float64], states: Sequence[str], where: Placement) -> NDArray[np.float64]:
    """Return bounds of polygons in their own projections as those on the map."""
    scale, x, y = np.array([where.moved.get(state, (1.0, 0.0, 0.0)) for state in states]).reshape(-1, 3).T
    shift = np.stack([x, y, x, y], axis=1)
    result: NDArray[np.float64] = bounds * scale[:, None] + shift
    return result


# Of a partition ---------------------------------------------------------------------------------


def _states(geoids: pd.Index) -> list[str]:
    return [str(geoid)[:2] for geoid in geoids]


def tract_bounds(tracts: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return the bounds of tracts in the projections of their areas, in meters; NaN where there is no polygon."""
    own = projected(tracts.geometry, _states(tracts.index)) if len(tracts) else np.empty(0, dtype=object)
    return pd.DataFrame(shapely.bounds(own).reshape(-1, 4), tracts.index, ["left", "bottom", "right", "top"])


@dataclass(frozen=True)
class Piece:
    """What is drawn of the units of one state.

    Attributes
    ----------
    unit, state : str
    cells : DataFrame, index cell
        ``level``, ``count`` (polygons), bounds in meters, and for each level ``polygons_L`` and, of regions,
        ``borders_L``: packed.
    rows : shape (n,), integers
        Places of its units among the codes of the vintage.
    boxes : shape (n, 4), float32, meters
        Bounds of the units; NaN where there is no polygon.
    part : Part, optional
        Where the polygons of levels but the first are, if they have been written.
    """

    unit: str
    state: str
    cells: pd.DataFrame
    rows: NDArray[np.int64]
    boxes: NDArray[np.float32]
    part: Part | None = None


def _write(
    tracts: gpd.GeoDataFrame,
    *,
    store: Store,
    units: Sequence[Units],
    vintage: str,
    where: Placement,
    all_geoids: pd.Index,
) -> pd.DataFrame:
    """Write the parts of the tracts of one partition, and return what the part of all states holds of them."""
    written: list[Piece] = []
    for piece in pieces_of(tracts, units, where, all_geoids) if len(tracts) else []:
        part = store.put(collection_of(piece.unit, vintage), piece.state, piece.cells[piece.cells["level"] > 0])
        first = [column for column in piece.cells if not column[-1].isdigit() or column.endswith("_0")]
        written.append(replace(piece, cells=piece.cells[first], part=part))
    return one_value(written)


def pieces_of(tracts: gpd.GeoDataFrame, units: Sequence[Units], where: Placement, all_geoids: pd.Index) -> list[Piece]:
    """Return what is drawn of the tracts of one state, by kind of units.

    Parameters
    ----------
    tracts : GeoDataFrame, index geoid
        One partition.
    units : sequence of Units
    where : Placement
    all_geoids : Index
        Of all tracts of the vintage, sorted: the rows that `Units.row_of` is of.
    """
    states = _states(tracts.index)
    finest = placed(projected(tracts.geometry, states), states, where)
    by_level: list[Geometry] = []
    for level in reversed(LEVELS):
        # Of the finer level: the same topology, and fewer points to look at.
        finest = simplify_for_display(finest, level.tolerance)
        by_level.insert(0, finest)
    rows = all_geoids.get_indexer(tracts.index)
    return [_piece(one, by_level, one.row_of[rows], states[0]) for one in units]


def _piece(units: Units, by_level: Sequence[Geometry], row_of: NDArray[np.int64], state: str) -> Piece:
    cells: list[dict[str, Any]] = []
    bounds, numbers = np.empty((0, 4)), row_of
    for place, (level, geometry) in enumerate(zip(LEVELS, by_level, strict=True)):
        shapes = geometry
        if units.name != TRACT:
            member = row_of >= 0
            keys, shapes = dissolve(geometry[member], row_of[member].tolist()) if member.any() else ([], geometry[:0])
            numbers = np.array(keys, dtype=np.int64)
        bounds = shapely.bounds(shapes).reshape(-1, 4)
        square = _squares(bounds, level.side if units.name == TRACT else np.inf)
        for number, cell in enumerate(np.unique(square[square != ""])):
            inside = square == cell
            around = (*bounds[inside, :2].min(axis=0), *bounds[inside, 2:].max(axis=0))
            packed: dict[str, Any] = {
                "cell": f"{state}-{place}-{number:04d}",
                "level": place,
                "count": int(inside.sum()),
                **dict(zip(_BOX, map(float, around), strict=True)),
                f"polygons_{place}": pack_polygons(shapes[inside], numbers[inside], step=level.step),
            }
            if units.name != TRACT:
                packed[f"borders_{place}"] = pack_borders(shapes[inside], step=level.step)
            cells.append(packed)
    return Piece(units.name, state, _table(cells), numbers, bounds.astype(np.float32))


def _table(cells: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    blobs = [f"{what}_{place}" for what in ("polygons", "borders") for place in range(len(LEVELS))]
    table = pd.DataFrame(cells, columns=["cell", "level", "count", *_BOX, *blobs])
    table[blobs] = table[blobs].astype(object).where(table[blobs].notna(), None)
    return table.set_index("cell").astype({"level": "int8", "count": "int32"}).sort_index()


def _squares(bounds: NDArray[np.float64], side: float) -> NDArray[Any]:
    """Return the square of a grid that the middle of each polygon lies in, as text; empty where there is none."""
    there = ~np.isnan(bounds).any(axis=1)
    result = np.full(len(bounds), "", dtype=object)
    if np.isinf(side):
        result[there] = "0"
        return result.astype(str)
    x, y = np.floor((bounds[there, :2] + bounds[there, 2:]) / 2 / side).astype(np.int64).T
    result[there] = [f"{row + 5000:05d}{column + 5000:05d}" for row, column in zip(y.tolist(), x.tolist(), strict=True)]
    return result.astype(str)


def overview(units: Units, pieces: Sequence[Piece]) -> pd.DataFrame:
    """Return the part of all states: where cells are, the polygons of the first level, and a row of the units.

    Returns
    -------
    DataFrame, index cell
        As `Piece.cells`; in the row `UNITS` ``codes`` (compressed JSON: codes and names) and ``boxes`` (compressed
        float32, a row of 4 per unit).
    """
    boxes = np.full((len(units.codes), 4), np.nan, dtype=np.float32)
    for piece in pieces:
        # A region on both sides of a state line has a part in each.
        boxes[piece.rows, :2] = np.fmin(boxes[piece.rows, :2], piece.boxes[:, :2])
        boxes[piece.rows, 2:] = np.fmax(boxes[piece.rows, 2:], piece.boxes[:, 2:])
    texts = {"codes": units.codes.tolist(), "names": list(units.names)}
    about = pd.DataFrame(
        {
            "level": np.array([-1], np.int8),
            "count": np.array([len(boxes)], np.int32),
            **{side: [0.0] for side in _BOX},
            "codes": [zlib.compress(json.dumps(texts, ensure_ascii=False).encode())],
            "boxes": [zlib.compress(boxes.astype("<f4").tobytes())],
        },
        index=pd.Index([UNITS], name="cell"),
    )
    table = pd.concat([*(piece.cells for piece in pieces), about]).sort_index()
    blobs = [column for column in table if table[column].dtype == object]
    table[blobs] = table[blobs].where(table[blobs].notna(), None)
    return table


def units_in(table: pd.DataFrame) -> tuple[NDArray[Any], list[str], NDArray[np.float32]]:
    """Return codes, names (empty where units have none of their own) and bounds from what `overview` returns."""
    row = table.loc[UNITS]
    texts = json.loads(zlib.decompress(row["codes"]))
    boxes = np.frombuffer(zlib.decompress(row["boxes"]), dtype="<f4").reshape(-1, 4).astype(np.float32)
    return np.array(texts["codes"], dtype=str), texts["names"], boxes
