"""Contiguity: which tracts are neighbours, by which rule, as queen and as rook.

Two cells are neighbours (*queen*) where one of these rules finds them:

- ``vertex``: a vertex of one lies within `snap` of a vertex of the other;
- ``intersects``: the closed polygons have a point in common;
- ``gap``: neither, but they lie within `gap` of each other, and one of them has an open edge (see below):
  across a gap, not across a narrow third cell.

*Rook* neighbours have a line or an area in common, or edges longer than `snap` with their ends within `snap`.
Islands, which no rule joins to anything, may be joined to their nearest tracts (``nearest``).

The graph is built by partition, in steps that are pure functions here: `match` the vertices inside a
partition, `join` the vertices that are still open over all partitions, let the open cells `travel` to
the partitions they reach, `check` them there with geometric predicates, `settle` what crosses partitions,
and write the `edges`. `examine` runs them on one machine, `geomob_dask.lift.contiguity` on Dask.

Why this finds every pair. An edge is *closed* if exactly one other cell has it, on its other side, and
*open* otherwise; a vertex is open if, in any cell, an edge at it is open; so is a cell with an open vertex.

1. Around a closed vertex cells follow each other across closed edges, and all of them have that vertex.
   They are found by it, corner contacts too: to have equal vertices (grid squares) is transitive.
2. Let A and B have a point in common but no vertex, and let x be such a point on the boundary of one.
   If A's edges at x are closed, A and its partners there cover all around x, and B lies over one of
   them. The same holds for B. If both are closed, two complete layers lie over each other at x: the
   exception below. Otherwise A or B has an open edge there, so the cell is open, and it is
   checked against all cells that its bounds reach.
3. Vertices within `snap` of each other may fall into two grid squares; then one of them is open, or
   there is a strip narrower than `snap` between two cells. Such strips are looked for (`crowded`) and their
   vertices taken for open. So are vertices that match without being equal: their cells may overlap or gap.
4. Two cells found by a vertex can overlap, or share a line that is no matched edge, only near an open
   edge of one of them, for the reason of step 2.

The exception: two layers, each complete, that lie over each other, such as one coverage given twice. Pairs deep
inside both without a vertex in common are missed; and if the layers lie in different partitions, those
with a vertex in common too. The outlines of the layers are open, so this does not go unnoticed: the report
counts the pairs that overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geomob_dask.errors import GeometryError, InputError, SettingsError
from geomob_dask.graph.neighborhoods import nearest
from geomob_dask.graph.pairs import (
    GAP,
    INTERSECTS,
    NEAR_MISS,
    NEAREST,
    NOTHING,
    OVERLAP,
    ROOK,
    VERTEX,
    Pairs,
    differences,
    table,
)
from geomob_dask.graph.vertices import Meetings, Vertices, as_floats, meet, radix_argsort, share_edge, vertices

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Flags = NDArray[np.uint8]
Geometries = NDArray[np.object_]

# Pairs named as a sample of each kind in the report.
_SAMPLE = 5


def default_snap(crs: Any) -> float:
    """Return the tolerance within which two vertices are one: about 0.1 mm, in map units.

    Parameters
    ----------
    crs : pyproj.CRS or None
        Coordinate reference system of the tracts.

    Raises
    ------
    GeometryError
        If there is none.

    Examples
    --------
    >>> default_snap(gpd.GeoSeries(crs=4269).crs), default_snap(gpd.GeoSeries(crs=5070).crs)
    (1e-09, 0.0001)
    """
    if crs is None:
        raise GeometryError("the tracts have no CRS; expected one, or a snap in their map units")
    return 1e-9 if crs.is_geographic else 1e-4


def nearest_count(islands: str) -> int:
    """Return how many tracts the policy for islands joins each to; 0 for none.

    Raises
    ------
    SettingsError
        If the policy is neither ``none`` nor ``nearest:K``.

    Examples
    --------
    >>> nearest_count("none"), nearest_count("nearest:3")
    (0, 3)
    """
    if islands == "none":
        return 0
    policy, _, k = islands.partition(":")
    if policy != "nearest" or not k.isdecimal() or int(k) < 1:
        raise SettingsError(f"islands: {islands!r}; expected 'none' or 'nearest:K' with K at least 1")
    return int(k)


def check_tolerances(snap: float, gap: float) -> None:
    """Raise SettingsError unless both tolerances are finite and not negative."""
    for name, value in (("snap", snap), ("gap", gap)):
        if not 0 <= value < np.inf:
            raise SettingsError(f"{name}: {value}; expected a number of map units, 0 or more")


@dataclass(frozen=True)
class Halo:
    """What the other partitions need of one: its open vertices.

    Parameters
    ----------
    names : tuple of str
        First and last geoid; empty for an empty partition.
    size : int
        Number of cells.
    bounds : shape (4,)
        Bounds of all cells; NaN where there is none.
    vertices : Vertices
        Open vertices, all occurrences of each; cells are numbered within the partition.
    geoid : pd.Series
        Geoid of each cell in `vertices`, by its number.
    """

    names: tuple[str, ...]
    size: int
    bounds: Floats
    vertices: Vertices
    geoid: "pd.Series[str]"


@dataclass(frozen=True)
class Matched:
    """Pairs inside a partition by their vertices, numbered within it, and its halo."""

    pairs: Pairs
    halo: Halo


def match(geoms: Geometries, geoid: pd.Index, snap: float) -> Matched:
    """Find the cells of one partition that share vertices, and the vertices that stay open.

    Parameters
    ----------
    geoms : shape (n_cells,)
        Polygons and multipolygons.
    geoid : shape (n_cells,)
        Their geoids, ascending.
    snap : float, map units
        Tolerance within which two vertices are one.

    Raises
    ------
    InputError
        If the geoids are not distinct and ascending.
    GeometryError
        If a geometry is neither a polygon nor a multipolygon.
    SettingsError
        If the tolerance is as large as the cells.
    """
    _check_geoids(geoid)
    _check_areal(geoms, geoid)
    met = meet(vertices(geoms), snap)
    halo = met.vertices.pick(np.flatnonzero(met.is_open))
    cells = np.unique(halo.cell)
    names = (str(geoid[0]), str(geoid[-1])) if len(geoid) else ()
    return Matched(
        _pairs_met(met),
        Halo(names, len(geoid), _total_bounds(geoms), halo, _names(geoid[cells], cells)),
    )


def _names(geoid: pd.Index, cell: Ints) -> "pd.Series[str]":
    return pd.Series(geoid.astype("str").array, index=cell)


def _total_bounds(geoms: Geometries) -> Floats:
    bounds = shapely.bounds(geoms[~(shapely.is_missing(geoms) | shapely.is_empty(geoms))])
    if not len(bounds):
        return np.full(4, np.nan)
    return np.concatenate([bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)])


def _check_geoids(geoid: pd.Index) -> None:
    repeated = geoid[geoid.duplicated()]
    if len(repeated):
        raise InputError(f"tract {repeated[0]} comes twice; expected one polygon a tract")
    if not geoid.is_monotonic_increasing:
        raise InputError(f"tracts {geoid[0]} … {geoid[-1]} are not sorted; expected ascending geoids")


def _check_areal(geoms: Geometries, geoid: pd.Index) -> None:
    areal = (shapely.GeometryType.MISSING, shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    wrong = np.flatnonzero(~np.isin(shapely.get_type_id(geoms), areal))
    if len(wrong):
        found = geoms[wrong[0]].geom_type
        raise GeometryError(f"tract {geoid[wrong[0]]} is a {found}; expected a Polygon or MultiPolygon")


def _pairs_met(met: Meetings, which: Bools | slice = slice(None)) -> Pairs:
    low, high = np.minimum(met.first_cell, met.second_cell), np.maximum(met.first_cell, met.second_cell)
    # Two cells meet at many vertices: one sort of small numbers drops nearly all of these meetings.
    n = int(high.max(initial=0)) + 1
    meeting = ((low * n + high) * 4 + met.edge * 2 + met.exact)[which]
    meeting = meeting[radix_argsort(meeting, range((4 * n * n).bit_length()))]
    meeting = meeting[np.diff(meeting, prepend=-1) > 0]
    low, high = np.divmod(meeting >> 2, n)
    flags = VERTEX | np.where(meeting & 2, ROOK, NOTHING) | np.where(meeting & 1, INTERSECTS, NOTHING)
    return Pairs.of(low, high, flags)


@dataclass(frozen=True)
class Joined:
    """What is known once the halos of all partitions are joined; cells are numbered over all of them.

    Parameters
    ----------
    offset : shape (n_partitions + 1,)
        Number of the first cell of each partition, and of all cells.
    bounds : shape (n_partitions, 4)
        Bounds of the partitions.
    pairs : Pairs
        Pairs across partitions, by their vertices.
    open_cells : shape (n_open,)
        Cells with a vertex that is still open, ascending.
    open_bounds : shape (n_open, 4)
        Bounds of the open part of each.
    open_uneven : shape (n_open,)
        Whether a vertex of theirs lies near another one without being equal to it.
    geoid : pd.Series
        Geoid of the cells in `pairs`, by number.
    """

    offset: Ints
    bounds: Floats
    pairs: Pairs
    open_cells: Ints
    open_bounds: Floats
    open_uneven: Bools
    geoid: "pd.Series[str]"

    def open_here(self, partition: int) -> Ints:
        """Return the open cells of one partition."""
        first, last = np.searchsorted(self.open_cells, self.offset[partition : partition + 2])
        return self.open_cells[first:last]

    def open_part(self, cell: Ints) -> Floats:
        """Return the bounds of the open part of each cell; NaN where nothing of it is open."""
        return np.vstack([self.open_bounds, np.full(4, np.nan)])[self._place(cell)]

    def is_uneven(self, cell: Ints) -> Bools:
        """Return which cells have a vertex near another one."""
        return np.append(self.open_uneven, False)[self._place(cell)]

    def _place(self, cell: Ints) -> Ints:
        place = np.searchsorted(self.open_cells, cell)
        return np.where(np.append(self.open_cells, -1)[place] == cell, place, len(self.open_cells))


def join(halos: Sequence[Halo], snap: float) -> Joined:
    """Match the open vertices of all partitions: pairs across them, and the cells that stay open.

    A vertex that is open in a partition comes with all its occurrences there, so its edges are counted
    anew over all partitions: what is open in the end is open wherever the partitions are cut. (A cell that
    lies over closed vertices of another partition has open edges itself.)

    Raises
    ------
    InputError
        If the partitions are not in the order of their geoids.
    """
    _check_order(halos)
    offset = np.cumsum([0, *(halo.size for halo in halos)])
    partition = np.repeat(np.arange(len(halos)), [len(halo.vertices.cell) for halo in halos])
    corners = Vertices.concatenate([halo.vertices for halo in halos])
    met = meet(replace(corners, cell=corners.cell + offset[partition]), snap)

    still = met.vertices.pick(np.flatnonzero(met.is_open))
    start = np.flatnonzero(np.diff(still.cell, prepend=-1))
    xy = as_floats(still.at)
    bounds, uneven = np.zeros((0, 4)), np.zeros(0, bool)
    if len(start):
        bounds = np.hstack([np.minimum.reduceat(xy, start), np.maximum.reduceat(xy, start)])
        uneven = np.logical_or.reduceat(still.uneven, start)

    pairs = _pairs_met(met, partition[met.first] != partition[met.second])
    names = [halo.geoid.set_axis(halo.geoid.index + at) for halo, at in zip(halos, offset, strict=False)]
    ends = np.union1d(pairs.low, pairs.high)
    return Joined(
        offset,
        np.stack([halo.bounds for halo in halos]),
        pairs,
        still.cell[start],
        bounds,
        uneven,
        pd.concat(names).loc[ends],
    )


def _check_order(halos: Sequence[Halo]) -> None:
    names = [name for halo in halos for name in halo.names]
    for last, name in zip(names[1:-1:2], names[2::2], strict=True):
        if last == name:
            raise InputError(f"tract {name} lies in two partitions; expected one polygon a tract")
        if last > name:
            raise InputError(f"a partition begins with tract {name} after {last}; expected partitions by geoid")


@dataclass(frozen=True)
class Travellers:
    """Open cells of one partition that reach another.

    Parameters
    ----------
    cell : shape (n_cells,)
        Their numbers.
    geoid : shape (n_cells,)
        Their geoids.
    bounds : shape (n_cells, 4)
        Their bounds.
    polygon : shape (n_cells,)
        Their polygons.
    """

    cell: Ints
    geoid: NDArray[np.object_]
    bounds: Floats
    polygon: Geometries

    @classmethod
    def reaching(cls, bounds: Floats, reach: float, parts: Sequence["Travellers"]) -> "Travellers":
        """Return those of all `parts` that come within `reach` of `bounds`."""
        found = [cls(np.zeros(0, np.int64), np.zeros(0, object), np.zeros((0, 4)), np.zeros(0, object))]
        for part in parts:
            near = bounds_meet(part.bounds, bounds, reach)
            if near.any():
                found.append(cls(part.cell[near], part.geoid[near], part.bounds[near], part.polygon[near]))
        return cls(*(np.concatenate([getattr(some, field.name) for some in found]) for field in fields(cls)))


def travel(partition: int, geoms: Geometries, geoid: pd.Index, joined: Joined, reach: float) -> Travellers:
    """Pick the open cells of one partition whose bounds reach into those of another.

    Parameters
    ----------
    partition : int
        Which one.
    geoms, geoid : shape (n_cells,)
        Its cells.
    joined : Joined
        Which cells are open, and the bounds of all partitions.
    reach : float, map units
        The larger tolerance.
    """
    cell = joined.open_here(partition)
    bounds = shapely.bounds(geoms[cell - joined.offset[partition]])
    others = np.delete(joined.bounds, partition, axis=0)
    leaves = bounds_meet(bounds[:, None], others[None], reach).any(axis=1)
    cell = cell[leaves]
    row = cell - joined.offset[partition]
    return Travellers(cell, geoid[row].to_numpy(object), bounds[leaves], geoms[row])


def bounds_meet(bounds: Floats, others: Floats, reach: float) -> Any:
    """Return whether bounds lie within `reach` of other bounds; NaN reaches nothing.

    Examples
    --------
    >>> bounds_meet(np.array([0, 0, 1, 1]), np.array([[1, 1, 2, 2], [3, 0, 4, 1]]), 0)
    array([ True, False])
    """
    low, high = bounds[..., :2], bounds[..., 2:]
    return np.all((low <= others[..., 2:] + reach) & (high >= others[..., :2] - reach), axis=-1)


def contact(
    first: Geometries, second: Geometries, known: Flags, near_open: Bools, uneven: Bools, snap: float, gap: float
) -> Flags:
    """Tell by which rules pairs of polygons are neighbours, and what kind of contact they have.

    Parameters
    ----------
    first, second : shape (n_pairs,)
        Polygons; it is quicker if the first are prepared.
    known : shape (n_pairs,)
        Flags of the pairs that the vertices have found; 0 for others.
    near_open : shape (n_pairs,)
        Whether an open part of one comes near the other. Pairs found by vertices can overlap, or share a
        line that is no matched edge, only there; elsewhere what is known of them is all.
    uneven : shape (n_pairs,)
        Whether both have a vertex near another one without being equal to it. Only then can two cells have
        edges whose ends match in the tolerance but not in the grid.
    snap, gap : float, map units
        Tolerances.

    Returns
    -------
    shape (n_pairs,)
        Flags; 0 where the polygons lie apart.
    """
    flags = known.copy()
    new = np.flatnonzero(known == NOTHING)
    reach = max(snap, gap)
    near = shapely.dwithin(first[new], second[new], reach) if reach else shapely.intersects(first[new], second[new])
    new = new[near]
    related = np.concatenate([new, np.flatnonzero((known > 0) & near_open)])
    flags[related] |= _relation(first[related], second[related])
    matching = new[shapely.dwithin(_corners(first[new]), _corners(second[new]), snap)]
    flags[matching] |= VERTEX
    maybe = np.concatenate([matching, np.flatnonzero((known > 0) & uneven)])
    for pair in maybe[flags[maybe] & ROOK == 0]:
        if share_edge(first[pair], second[pair], snap):
            flags[pair] |= ROOK

    apart = new[flags[new] == NOTHING]
    flags[apart] = NEAR_MISS
    if gap > 0:
        flags[apart[shapely.dwithin(first[apart], second[apart], gap)]] = GAP
    return flags


def _relation(first: Geometries, second: Geometries) -> Flags:
    """Return what the intersection of two polygons makes of them as neighbours (DE-9IM)."""
    matrix = shapely.relate(first, second).astype("S9").view("S1").reshape(-1, 9)
    area, line = matrix[:, 0] == b"2", matrix[:, 4] == b"1"
    meets = (matrix[:, [0, 1, 3, 4]] != b"F").any(axis=1)
    flags: Flags = np.where(meets, INTERSECTS, NOTHING)
    flags |= np.where(area | line, ROOK, NOTHING)
    flags |= np.where(area, OVERLAP, NOTHING)
    return flags


def _corners(polygons: Geometries) -> Geometries:
    """Return the vertices of each polygon as one multipoint."""
    xy, index = shapely.get_coordinates(polygons, return_index=True)
    corners: Geometries = shapely.multipoints(xy, indices=index, out=np.full(len(polygons), None))
    return corners


@dataclass(frozen=True)
class Checked:
    """What the predicates say of the open cells in one partition; small beside its pairs.

    Parameters
    ----------
    inside : Pairs
        Pairs of two cells of the partition, new ones and additions to known ones.
    across : Pairs
        Pairs with a cell of another partition.
    tally : dict of str to int
        Of the partition: tracts, and pairs inside it: queen, rook, interstate.
    differences : pd.DataFrame
        Pairs inside the partition on which the rules differ; see `differences`.
    alone : pd.Series
        Geoid, by number, of the cells without a neighbour inside the partition.
    geoid : pd.Series
        Geoid of the cells in `across`, by number.
    """

    inside: Pairs
    across: Pairs
    tally: dict[str, int]
    differences: pd.DataFrame
    alone: "pd.Series[str]"
    geoid: "pd.Series[str]"


def check(
    partition: int,
    geoms: Geometries,
    geoid: pd.Index,
    matched: Pairs,
    joined: Joined,
    travellers: Sequence[Travellers],
    snap: float,
    gap: float,
) -> Checked:
    """Check open cells, of this partition and those that reach it, against all cells of this partition.

    Parameters
    ----------
    partition : int
        Which one.
    geoms, geoid : shape (n_cells,)
        Its cells.
    matched : Pairs
        Its pairs by vertices, from `match`.
    joined : Joined
        Pairs across partitions, and which cells are open.
    travellers : sequence of Travellers
        Open cells of other partitions, at least those whose bounds reach this one's.
    snap, gap : float, map units
        Tolerances.
    """
    offset, reach = int(joined.offset[partition]), max(snap, gap)
    matched = matched.shifted(offset)
    home = joined.open_here(partition)
    foreign = Travellers.reaching(joined.bounds[partition], reach, travellers)
    visitor = np.concatenate([home, foreign.cell])
    polygon = np.concatenate([geoms[home - offset], foreign.polygon])
    box, bounds = shapely.bounds(polygon), shapely.bounds(geoms)
    k, row = shapely.STRtree(geoms).query(shapely.box(*(box + reach * np.array([-1, -1, 1, 1])).T))
    # Two open cells visit each other: once is enough, the lower the higher, wherever the partitions end.
    one, other = visitor[k], row + offset
    once = (one < other) | ((one > other) & ~np.isin(other, home))
    k, row, one, other = k[once], row[once], one[once], other[once]

    known = matched.known(one, other) | joined.pairs.known(one, other)
    near_open = bounds_meet(joined.open_part(one), bounds[row], reach)
    near_open |= bounds_meet(joined.open_part(other), box[k], reach)
    uneven = joined.is_uneven(one) & joined.is_uneven(other)
    # Copies, because they are prepared: another thread may be using the polygons of the frame.
    asked = np.unique(k[known == NOTHING])
    polygon[asked] = shapely.force_2d(polygon[asked])
    shapely.prepare(polygon[asked])
    found = Pairs.of(one, other, contact(polygon[k], geoms[row], known, near_open, uneven, snap, gap))
    found = found.where(found.flags > 0)
    is_inside = (found.low >= offset) & (found.high < offset + len(geoid))
    own = _names(geoid, offset + np.arange(len(geoid)))
    everyone = pd.concat([own, pd.Series(foreign.geoid, index=foreign.cell, dtype="str")])
    across = found.where(~is_inside)
    return _checked(own, matched, found.where(is_inside), across, everyone.loc[np.union1d(across.low, across.high)])


def _checked(own: "pd.Series[str]", matched: Pairs, inside: Pairs, across: Pairs, geoid: "pd.Series[str]") -> Checked:
    pairs = Pairs.union(matched, inside)
    joined = pairs.neighbors()
    offset = own.index[0] if len(own) else 0
    alone = np.ones(len(own), bool)
    alone[joined.low - offset] = alone[joined.high - offset] = False
    state = pd.factorize(own.str[:2])[0]
    return Checked(
        inside,
        across,
        {
            "tracts": len(own),
            "queen": len(joined.code),
            "rook": int(joined.has(ROOK).sum()),
            "interstate": int((state[joined.low - offset] != state[joined.high - offset]).sum()),
        },
        differences(pairs, own),
        own[alone],
        geoid,
    )


@dataclass(frozen=True)
class Centroids:
    """Centroid of each tract of one partition, in map units, and its geoid."""

    xy: Floats
    geoid: pd.Index


def centroids(geoms: Geometries, geoid: pd.Index) -> Centroids:
    """Return the centroids of one partition's tracts, NaN for empty ones."""
    points = shapely.centroid(geoms)
    return Centroids(np.column_stack([shapely.get_x(points), shapely.get_y(points)]), geoid)


@dataclass(frozen=True)
class Finding:
    """How many pairs there are of a kind, and the first few of them by name."""

    count: int
    sample: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Report:
    """What was found, and where the rules differ.

    Parameters
    ----------
    tracts, queen, rook : int
        Tracts, and pairs of neighbours by any rule (islands' nearest tracts left out).
    interstate : int
        Pairs whose geoids begin with different states.
    only_vertex, only_intersects, only_gap : Finding
        Pairs that only one rule finds.
    overlapping : Finding
        Pairs whose interiors intersect, which the predicate `touches` drops.
    near_misses : Finding
        Pairs within `snap` of each other that no rule finds: not joined.
    islands : tuple of str
        Tracts that no rule joins to another, by geoid.
    policy : str
        What was done with them: ``none`` or ``nearest:K``.
    snap, gap : float, map units
        Tolerances.
    """

    tracts: int
    queen: int
    rook: int
    interstate: int
    only_vertex: Finding
    only_intersects: Finding
    only_gap: Finding
    overlapping: Finding
    near_misses: Finding
    islands: tuple[str, ...]
    policy: str
    snap: float
    gap: float


@dataclass(frozen=True)
class Settled:
    """What crosses partitions, and the report.

    Parameters
    ----------
    offset : shape (n_partitions + 1,)
        Number of the first cell of each partition, and of all cells.
    pairs : Pairs
        Pairs across partitions, and those of islands with their nearest tracts.
    geoid : pd.Series
        Geoid of the cells in `pairs`, by number, in ascending order.
    differences : pd.DataFrame
        Pairs on which the rules differ; see `differences`.
    report : Report
    """

    offset: Ints
    pairs: Pairs
    geoid: "pd.Series[str]"
    differences: pd.DataFrame
    report: Report


def settle(
    joined: Joined,
    checked: Sequence[Checked],
    snap: float,
    gap: float,
    islands: str = "none",
    centroids: Sequence[Centroids] = (),
) -> Settled:
    """Bring together what all partitions found: pairs across them, islands, and the report.

    Parameters
    ----------
    joined : Joined
        Pairs across partitions by vertices.
    checked : sequence of Checked
        What the predicates found, by partition.
    snap, gap : float, map units
        Tolerances.
    islands : str
        Policy: ``none`` or ``nearest:K``.
    centroids : sequence of Centroids
        By partition; read only if islands are joined to their nearest tracts.
    """
    geoid = _all_names([joined.geoid, *(one.geoid for one in checked)])
    across = Pairs.union(joined.pairs, *(one.across for one in checked))
    pairs = across.neighbors()
    alone = pd.concat([one.alone for one in checked])
    alone = alone[~np.isin(alone.index, np.concatenate([pairs.low, pairs.high]))]

    differing = pd.concat([differences(across, geoid), *(one.differences for one in checked)])
    differing = differing.sort_values(["focal", "neighbor"], ignore_index=True)
    low, high = geoid.loc[pairs.low].str[:2].to_numpy(), geoid.loc[pairs.high].str[:2].to_numpy()
    tally = pd.DataFrame([one.tally for one in checked]).sum()
    report = Report(
        tracts=int(tally["tracts"]),
        queen=int(tally["queen"]) + len(pairs.code),
        rook=int(tally["rook"] + pairs.has(ROOK).sum()),
        interstate=int(tally["interstate"] + (low != high).sum()),
        only_vertex=_finding(differing, differing["rule"] == "vertex"),
        only_intersects=_finding(differing, differing["rule"] == "intersects"),
        only_gap=_finding(differing, differing["rule"] == "gap"),
        overlapping=_finding(differing, differing["overlap"]),
        near_misses=_finding(differing, differing["rule"] == "near miss"),
        islands=tuple(alone.sort_values()),
        policy=islands,
        snap=snap,
        gap=gap,
    )
    if k := nearest_count(islands):
        to_nearest, names = _join_islands(alone.index.to_numpy(), k, centroids)
        pairs = Pairs.union(pairs, to_nearest)
        geoid = _all_names([geoid, names])
    return Settled(joined.offset, pairs, geoid, differing, report)


def _all_names(parts: Sequence["pd.Series[str]"]) -> "pd.Series[str]":
    names = pd.concat(parts)
    return names[~names.index.duplicated()].sort_index()


def _finding(differing: pd.DataFrame, which: "pd.Series[bool]") -> Finding:
    pairs = differing.loc[which, ["focal", "neighbor"]]
    return Finding(len(pairs), tuple(pairs.head(_SAMPLE).itertuples(index=False, name=None)))


def _join_islands(islands: Ints, k: int, parts: Sequence[Centroids]) -> tuple[Pairs, "pd.Series[str]"]:
    """Return pairs of islands and their nearest tracts, and the geoids of both."""
    chosen = nearest(np.concatenate([part.xy for part in parts]), islands, k)
    island, rank = np.nonzero(chosen >= 0)
    pairs = Pairs.of(islands[island], chosen[island, rank], np.full(len(island), NEAREST))
    ends = np.union1d(pairs.low, pairs.high)
    everyone = parts[0].geoid.append([part.geoid for part in parts[1:]])
    return pairs, _names(everyone[ends], ends)


def edges(partition: int, geoid: pd.Index, matched: Pairs, checked: Checked, settled: Settled) -> pd.DataFrame:
    """Return the edges that leave the tracts of one partition.

    Returns
    -------
    pd.DataFrame
        Columns focal and neighbor (geoids; focal in this partition), rook, overlap (bool) and rule
        (categorical: vertex, intersects, vertex+intersects, gap or nearest); sorted by focal and neighbor.
    """
    first, last = settled.offset[partition : partition + 2]
    pairs = Pairs.union(matched.shifted(int(first)), checked.inside, settled.pairs).neighbors()
    focal = np.concatenate([pairs.low, pairs.high])
    neighbor = np.concatenate([pairs.high, pairs.low])
    flags = np.concatenate([pairs.flags, pairs.flags])
    here = np.flatnonzero((first <= focal) & (focal < last))
    # Cells are numbered in the order of their geoids.
    here = here[np.argsort(focal[here] << 32 | neighbor[here], kind="stable")]
    before, after = np.searchsorted(settled.geoid.index, [first, last])
    own = _names(geoid, np.arange(first, last))
    everyone = pd.concat([settled.geoid.iloc[:before], own, settled.geoid.iloc[after:]])
    return table(focal[here], neighbor[here], flags[here], everyone)


@dataclass(frozen=True)
class Examined:
    """The neighbours of all tracts, with the pairs on which the rules differ and the report."""

    edges: pd.DataFrame
    differences: pd.DataFrame
    report: Report


def examine(
    tracts: gpd.GeoDataFrame,
    *,
    snap: float | None = None,
    gap: float = 0.0,
    islands: str = "none",
    block: int = 2500,
) -> Examined:
    """Find the neighbours of all tracts of a frame on one machine.

    Parameters
    ----------
    tracts : GeoDataFrame, index geoid
        Polygons and multipolygons in one planar coordinate system.
    snap : float, map units, optional
        Tolerance within which two vertices are one; `default_snap` of the frame's CRS.
    gap : float, map units
        Tolerance across which open edges still make neighbours.
    islands : str
        ``none``, or ``nearest:K`` to join each island to the K tracts with the nearest centroids.
    block : int
        Tracts worked on at a time. It changes the memory needed, not the answer.

    Returns
    -------
    Examined

    Raises
    ------
    GeometryError
        If a geometry is neither a polygon nor a multipolygon, or there is no CRS and no `snap`.
    InputError
        If a tract comes twice.
    SettingsError
        If a tolerance or the policy for islands is out of its range.
    """
    snap = default_snap(tracts.crs) if snap is None else snap
    check_tolerances(snap, gap)
    k = nearest_count(islands)
    tracts = tracts.sort_index()
    starts = range(0, max(len(tracts), 1), block)
    geoms = [np.asarray(tracts.geometry.array[at : at + block]) for at in starts]
    geoid = [tracts.index[at : at + block] for at in starts]
    parts = range(len(geoms))

    matched = [match(geoms[p], geoid[p], snap) for p in parts]
    joined = join([one.halo for one in matched], snap)
    pairs = [one.pairs for one in matched]
    del matched  # the halos, which are large
    reach = max(snap, gap)
    travellers = [travel(p, geoms[p], geoid[p], joined, reach) for p in parts]
    checked = []
    for p in parts:
        near = np.flatnonzero(bounds_meet(joined.bounds, joined.bounds[p], reach))
        others = [travellers[q] for q in near if q != p]
        checked.append(check(p, geoms[p], geoid[p], pairs[p], joined, others, snap, gap))
    middles = [centroids(geoms[p], geoid[p]) for p in parts] if k else []
    settled = settle(joined, checked, snap, gap, islands, middles)
    every = [edges(p, geoid[p], pairs[p], checked[p], settled) for p in parts]
    return Examined(pd.concat(every, ignore_index=True), settled.differences, settled.report)


def neighbors(
    tracts: gpd.GeoDataFrame, *, snap: float | None = None, gap: float = 0.0, islands: str = "none"
) -> pd.DataFrame:
    """Return the edges between all tracts of a frame; see `examine` for the parameters.

    Returns
    -------
    pd.DataFrame
        Columns focal and neighbor (geoids, both directions), rook, overlap and rule; see `edges`.

    Examples
    --------
    Two squares with a common edge, and one that touches the corner between them:

    >>> squares = gpd.GeoSeries(
    ...     [shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1), shapely.box(2, 1, 3, 2)],
    ...     index=["a", "b", "c"], crs=5070)
    >>> neighbors(squares.to_frame("geometry"))
      focal neighbor   rook  overlap               rule
    0     a        b   True    False  vertex+intersects
    1     b        a   True    False  vertex+intersects
    2     b        c  False    False  vertex+intersects
    3     c        b  False    False  vertex+intersects
    """
    return examine(tracts, snap=snap, gap=gap, islands=islands).edges
