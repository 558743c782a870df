"""Steps of the neighbor graph, each of one partition or a small reduction; `neighbors.neighbor_graph` joins them.

They bring the kernels of `geomob_dask.graph` arrays, and keep the keys of the tracts that the arrays number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.frames.dask_types import count_fields
from geomob_dask.frames.keys import to_text
from geomob_dask.frames.neighbor_report import Report, report_of
from geomob_dask.frames.own_rows import value_of
from geomob_dask.graph import sphere
from geomob_dask.graph.contact import bounds_meet
from geomob_dask.graph.contiguity import COUNTS, Settled, edges, settle
from geomob_dask.graph.islands import Candidates, candidates, centroids, nearest
from geomob_dask.graph.matching import Joined, OpenCells, OpenVertices, join, join_reach, match
from geomob_dask.graph.near_touch import Close, close_cells, close_vertices, nearly
from geomob_dask.graph.pairs import OVERLAP, ROOK, RULES, Flags, Pairs, rule_number
from geomob_dask.graph.points import Floats, Ints, Points, as_floats
from geomob_dask.graph.residual import check, leaving
from geomob_dask.graph.vertices import Vertices
from geomob_dask.sources.coordinates import refuse_coordinates

_RULE = pd.CategoricalDtype(list(RULES.values()))


def _geoms(polygons: gpd.GeoSeries) -> NDArray[np.object_]:
    return np.asarray(polygons.array)


def _keys(index: pd.Index) -> pd.Index:
    """Return keys of one kind: text as ``str``, others as they are."""
    if isinstance(index, pd.MultiIndex):
        raise InputError(f"tracts: found an index of {index.nlevels} levels, expected one key a tract")
    is_text = index.dtype == object or pd.api.types.is_string_dtype(index.dtype)
    return index.astype("str") if is_text else pd.Index(index.to_numpy(), name=index.name)


def _stacked_keys(parts: Sequence[pd.Index]) -> pd.Index:
    filled = [keys for keys in parts if len(keys)] or list(parts[:1])
    return filled[0].append(filled[1:]) if filled else pd.Index([])


def _refuse_order(keys: pd.Index) -> None:
    """Raise InputError if keys are not ascending, or a tract comes twice."""
    if keys.is_monotonic_increasing and keys.is_unique:
        return
    if keys.has_duplicates:
        raise InputError(f"tract {keys[keys.duplicated()][0]}: found two polygons, expected one")
    later = next(number for number in range(1, len(keys)) if not keys[number - 1] < keys[number])
    raise InputError(
        f"tracts: found {keys[later]} after {keys[later - 1]}, expected them in ascending order (sort_index, set_index)"
    )


# Where partitions begin -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """One partition: its keys, its pairs by vertices, the vertices that stay open, and the polygons that have them.

    The polygons are indexed by number within the partition. All others are not held while partitions exchange.
    """

    keys: pd.Index
    pairs: Pairs
    open: OpenVertices
    polygons: gpd.GeoSeries


@dataclass(frozen=True)
class _Layout:
    """All partitions: their first keys, the numbers of their first cells, and bounds."""

    number: Mapping[Any, int]
    offset: Ints
    bounds: Floats

    def first(self, keys: pd.Index) -> int:
        """Return the number of the first tract of a partition."""
        return int(self.offset[self.number[keys[0]]]) if len(keys) else 0


@dataclass(frozen=True)
class _Named:
    """Tracts by number, ascending, and their keys."""

    number: Ints
    keys: pd.Index

    def of(self, number: Ints) -> pd.Index:
        """Return keys."""
        return self.keys.take(np.searchsorted(self.number, number))

    def some(self, number: Ints) -> "_Named":
        """Return the tracts with these numbers, each once."""
        number = np.unique(number)
        return _Named(number, self.of(number))

    @classmethod
    def together(cls, parts: Sequence["_Named"]) -> "_Named":
        """Return the tracts of all parts, each once."""
        number, place = np.unique(np.concatenate([part.number for part in parts]), return_index=True)
        return cls(number, _stacked_keys([part.keys for part in parts]).take(place))


def match_own(polygons: gpd.GeoSeries, *, snap: float) -> _Part:
    """Return the pairs of a partition by vertices."""
    geoms, areal = _geoms(polygons), (-1, shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    wrong = np.flatnonzero(~np.isin(shapely.get_type_id(geoms), areal))
    if len(wrong):
        found = geoms[wrong[0]].geom_type
        raise GeometryError(f"tract {polygons.index[wrong[0]]}: found a {found}, expected a Polygon or MultiPolygon")
    refuse_coordinates(geoms, polygons.index, polygons.crs, "tracts", "tract")
    keys = _keys(polygons.index)
    _refuse_order(keys)
    matched = match(geoms, snap)
    cells = np.unique(matched.open.vertices.cell)
    # Copies, that do not keep the whole array.
    bordering = gpd.GeoSeries(geoms[cells], index=pd.Index(cells), crs=polygons.crs)
    return _Part(keys, matched.pairs, matched.open, bordering)


def outline(part: pd.DataFrame) -> tuple[pd.Index, int, Floats]:
    """Return the first and last key of a partition, the number of its tracts, and their bounds."""
    own: _Part = value_of(part)
    return own.keys[[0, -1]] if len(own.keys) else own.keys, len(own.keys), own.open.bounds


def layout(parts: Sequence[tuple[pd.Index, int, Floats]], *, known_bounds: Floats | None) -> _Layout:
    """Return where partitions begin; refuse tracts out of order, and polygons outside of known bounds."""
    ends = [keys for keys, _, _ in parts]
    for number, (keys, _, bounds) in enumerate(parts if known_bounds is not None else ()):
        _check_bounds(number, keys, bounds, known_bounds)
    filled = [keys for keys in ends if len(keys)]
    # A partition of one tract has it at both ends.
    _refuse_order(_stacked_keys([keys[:1] if keys[0] == keys[1] else keys for keys in filled]))
    return _Layout(
        {keys[0]: number for number, keys in enumerate(ends) if len(keys)},
        np.cumsum([0, *(count for _, count, _ in parts)]),
        np.stack([bounds for _, _, bounds in parts]),
    )


def _check_bounds(number: int, keys: pd.Index, bounds: Floats, known: Any) -> None:
    if (bounds[:2] < known[number, :2]).any() or (bounds[2:] > known[number, 2:]).any():
        raise InputError(
            f"partition {number}, tracts {keys[0]} to {keys[-1]}: found polygons from {bounds.tolist()}, "
            f"expected them inside the partition's spatial_partitions, {known[number].tolist()}"
        )


@dataclass(frozen=True)
class _Offered:
    """The open vertices of one partition, numbered over all, and the keys of their tracts."""

    vertices: Vertices
    named: _Named


def offered(part: pd.DataFrame, layout: pd.DataFrame) -> _Offered:
    """Return what a partition sends others to join vertices with."""
    own: _Part = value_of(part)
    first = value_of(layout).first(own.keys)
    corners = own.open.vertices
    corners = replace(corners, cell=corners.cell + first)
    return _Offered(corners, _named(own.keys, first).some(corners.cell))


def _named(keys: pd.Index, first: int) -> _Named:
    return _Named(first + np.arange(len(keys)), keys)


@dataclass(frozen=True)
class _Across:
    """What one partition exchanges when vertices are joined.

    Attributes
    ----------
    first : int
        Number of its first tract.
    joined : Joined
    leaving : OpenCells
        Its open tracts that reach other partitions.
    polygons : GeoSeries
        Those of them.
    named : _Named
        Keys of open tracts, own and others', and of pairs across.
    """

    first: int
    joined: Joined
    leaving: OpenCells
    polygons: gpd.GeoSeries
    named: _Named


def join_open(
    part: pd.DataFrame,
    layout: pd.DataFrame,
    offered: pd.DataFrame,
    *,
    snap: float,
    reach: float,
) -> _Across:
    """Return the vertices of a partition joined with those that others offer."""
    own, everyone = value_of(part), value_of(layout)
    first = everyone.first(own.keys)
    others: list[_Offered] = offered["value"].tolist()
    corners = replace(own.open.vertices, cell=own.open.vertices.cell + first)
    far = Vertices.concatenate([corners.pick(np.zeros(0, np.int64)), *(other.vertices for other in others)])
    is_near = bounds_meet(own.open.bounds, np.hstack([as_floats(far.at)] * 2), join_reach(snap))
    joined = join(corners, far.pick(np.flatnonzero(is_near)), first, len(own.keys), snap)
    polygons = own.polygons.loc[joined.open.number - first]
    goes = leaving(_geoms(polygons), everyone.bounds, reach)
    known = _Named.together([_named(own.keys, first), *(other.named for other in others)])
    ends = np.concatenate([joined.open.number, joined.pairs.low, joined.pairs.high])
    return _Across(first, joined, joined.open.where(goes), polygons[goes], known.some(ends))


def open_extents(joined: pd.DataFrame) -> Floats:
    """Return the extents of the open tracts of a partition."""
    own: _Across = value_of(joined)
    return own.joined.open.extents()


def near_distance(extents: Sequence[Floats], *, most: float) -> float:
    """Return the distance within which tracts nearly touch."""
    return nearly(np.concatenate(extents), most)


@dataclass(frozen=True)
class _Crowd:
    """Vertices of one partition that lie near others', and the keys of their tracts."""

    at: Points
    cell: Ints
    named: _Named
    reach: float


def near_vertices(joined: pd.DataFrame, far: pd.DataFrame, reach: pd.DataFrame) -> _Crowd:
    """Return the open vertices of a partition that lie near others."""
    own: _Across = value_of(joined)
    others = np.concatenate([own.joined.still[:0], *(other.joined.still for other in far["value"])])
    distance: float = value_of(reach)
    rows = close_vertices(own.joined.still, others, distance)
    cell = own.joined.still_cell[rows]
    return _Crowd(own.joined.still[rows], cell, own.named.some(cell), distance)


@dataclass(frozen=True)
class _Nearly:
    """Pairs of tracts that nearly touch, and their keys."""

    close: Close
    named: _Named


def close_pairs(parts: Sequence[_Crowd]) -> _Nearly:
    """Return the pairs of tracts of all partitions that nearly touch."""
    at, cell = (np.concatenate([getattr(part, name) for part in parts]) for name in ("at", "cell"))
    return _Nearly(close_cells(at, cell, parts[0].reach), _Named.together([part.named for part in parts]))


@dataclass(frozen=True)
class _Found:
    """Pairs with an open tract, those with tracts of other partitions by vertices too, and the keys of these."""

    inside: Pairs
    across: Pairs
    named: _Named


def check_open(
    polygons: gpd.GeoSeries, part: pd.DataFrame, joined: pd.DataFrame, far: pd.DataFrame, *, snap: float, gap: float
) -> _Found:
    """Return the contacts of open tracts, own and received, with the tracts of a partition."""
    own: _Across = value_of(joined)
    keys, geoms, others = value_of(part).keys, _geoms(polygons), far["value"].tolist()
    matched = value_of(part).pairs.shifted(own.first)
    cells = OpenCells.concatenate([other.leaving for other in others])
    shapes = np.concatenate([geoms[:0], *(_geoms(other.polygons) for other in others)])
    checked = check(geoms, own.first, matched, own.joined, cells, shapes, snap, gap)
    across = Pairs.union(own.joined.pairs, checked.across)
    known = _Named.together([_named(keys, own.first), own.named, *(other.named for other in others)])
    return _Found(checked.inside, across, known.some(np.concatenate([across.low, across.high])))


@dataclass(frozen=True)
class _Settled:
    """What is known of the tracts of one partition, and keys of those that are among its pairs."""

    settled: Settled
    named: _Named
    differing: pd.DataFrame
    nearly: pd.DataFrame
    islands: pd.Index


def settle_own(
    part: pd.DataFrame,
    layout: pd.DataFrame,
    checked: pd.DataFrame,
    far: pd.DataFrame,
    close: pd.DataFrame,
    *,
    rook: bool,
) -> _Settled:
    """Return what is known of a partition's tracts, with the pairs that others have found."""
    own, found, near_misses = value_of(part), value_of(checked), value_of(close)
    first, others = value_of(layout).first(own.keys), far["value"].tolist()
    last = first + len(own.keys)
    everyone = Pairs.union(found.across, *(other.across for other in others))
    across = everyone.where(_between(everyone.low, first, last) | _between(everyone.high, first, last))
    named = _Named.together([_named(own.keys, first), found.named, *(other.named for other in others)])
    state = pd.factorize(to_text(named.keys).str[:2])[0]
    inside = Pairs.union(own.pairs.shifted(first), found.inside)
    settled = settle(inside, across, near_misses.close, first, len(own.keys), named.number, state, rook=rook)
    differing, apart = settled.differing, settled.close
    return _Settled(
        settled,
        named.some(np.concatenate([across.low, across.high])),
        _table(named, differing.low, differing.high, differing.flags),
        pd.DataFrame(
            {"neighbor": near_misses.named.of(apart.high), "distance": apart.distance},
            index=near_misses.named.of(apart.low),
        ),
        named.of(settled.islands),
    )


def _between(number: Ints, first: int, last: int) -> NDArray[np.bool_]:
    return (first <= number) & (number < last)


# Islands ---------------------------------------------------------------------------------------


def middles(polygons: gpd.GeoSeries) -> Floats:
    """Return the centroids of a partition's tracts, on the sphere where coordinates are degrees."""
    if polygons.crs is not None and polygons.crs.is_geographic:
        return sphere.on_sphere(sphere.centroids(_geoms(polygons)))
    return centroids(_geoms(polygons))


@dataclass(frozen=True)
class _Islands:
    """Islands, their centroids, and their keys."""

    number: Ints
    points: Floats
    keys: pd.Index


def own_islands(part: pd.DataFrame, layout: pd.DataFrame, settled: pd.DataFrame, middles: pd.DataFrame) -> _Islands:
    """Return the islands of a partition."""
    first, number, points = (
        value_of(layout).first(value_of(part).keys),
        value_of(settled).settled.islands,
        value_of(middles),
    )
    return _Islands(number, points[number - first], value_of(settled).islands)


def all_islands(parts: Sequence[_Islands]) -> _Islands:
    """Return the islands of all partitions."""
    number, points = (np.concatenate([getattr(part, name) for part in parts]) for name in ("number", "points"))
    return _Islands(number, points, _stacked_keys([part.keys for part in parts]))


@dataclass(frozen=True)
class _Nearest:
    """The nearest tracts of islands, and keys of both."""

    found: Candidates
    named: _Named


def own_candidates(
    part: pd.DataFrame, layout: pd.DataFrame, middles: pd.DataFrame, islands: pd.DataFrame, *, k: int
) -> _Nearest:
    """Return the tracts of a partition that are nearest to each island."""
    keys, every = value_of(part).keys, value_of(islands)
    first = value_of(layout).first(keys)
    found = candidates(every.number, every.points, k, first, value_of(middles))
    own = _named(keys, first).some(found.cell)
    return _Nearest(found, _Named.together([own, _Named(every.number, every.keys)]))


def choose_nearest(parts: Sequence[_Nearest], *, k: int) -> _Nearest:
    """Return the tracts of all partitions that are nearest to each island."""
    found = nearest(Candidates.concatenate([part.found for part in parts]), k)
    named = _Named.together([part.named for part in parts])
    return _Nearest(found, named.some(np.concatenate([found.island, found.cell])))


def edges_of(
    part: pd.DataFrame,
    layout: pd.DataFrame,
    checked: pd.DataFrame,
    settled: pd.DataFrame,
    islands: pd.DataFrame | None = None,
    *,
    rook: bool,
) -> pd.DataFrame:
    """Return the neighbors of a partition's tracts."""
    own, settlement = value_of(part), value_of(settled)
    first = value_of(layout).first(own.keys)
    across, named = settlement.settled.across, [_named(own.keys, first), settlement.named]
    if islands is not None:
        close = value_of(islands)
        across, named = Pairs.union(across, close.found.pairs), [*named, close.named]
    inside = Pairs.union(own.pairs.shifted(first), value_of(checked).inside)
    return _table(_Named.together(named), *edges(inside, across, first, len(own.keys), rook=rook))


# The report ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Summary:
    """What the report says of all partitions."""

    counts: Ints
    differing: pd.DataFrame
    nearly: pd.DataFrame
    islands: pd.Index


def summarize(parts: Sequence[_Settled]) -> _Summary:
    """Return what the report says of all partitions."""
    return _Summary(
        np.sum([part.settled.counts for part in parts], axis=0),
        _stacked([part.differing for part in parts]),
        _stacked([part.nearly for part in parts]),
        _stacked_keys([part.islands for part in parts]),
    )


def _stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    return pd.concat(filled) if filled else tables[0]


def differences(everything: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs on which rules differ."""
    differing: pd.DataFrame = value_of(everything).differing
    return differing


def report(everything: pd.DataFrame, *, policy: str, snap: float, gap: float) -> Report:
    """Return the report."""
    found: _Summary = value_of(everything)
    counts = dict(zip(COUNTS, found.counts.tolist(), strict=True))
    return report_of(counts, found.differing, found.islands, nearly=found.nearly, policy=policy, snap=snap, gap=gap)


def _table(named: _Named, focal: Ints, neighbor: Ints, flags: Flags) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "neighbor": named.of(neighbor).array,
            "rook": (flags & ROOK) > 0,
            "overlap": (flags & OVERLAP) > 0,
            "rule": pd.Categorical.from_codes(rule_number(flags), dtype=_RULE),
        },
        index=named.of(focal).rename("focal"),
    )


def no_edges(index: pd.Index) -> pd.DataFrame:
    """Return edges without rows: their columns and types, for an index of tracts."""
    nobody = np.zeros(0, np.int64)
    return _table(_Named(nobody, _keys(index)[:0]), nobody, nobody, nobody.astype(np.uint8))


count_fields(
    _Part, _Layout, _Named, _Offered, _Across, _Crowd, _Nearly, _Found, _Settled, _Islands, _Nearest, _Summary,
    Candidates, Close, Pairs, OpenVertices, OpenCells, Vertices, Joined, Settled,
)  # fmt: skip
