"""Neighbors of tract polygons: own rows match vertices, a reduction joins them, open polygons travel in a halo.

The steps are those of `geomob_dask.graph.contiguity`. What all partitions share is small: open vertices, keys of
tracts, and pairs across partitions. Only polygons that stay open when vertices are joined are sent to other
partitions: to those that their bounds reach where the frame knows its spatial partitions, otherwise to all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask
import dask_geopandas
import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geomob_dask.errors import GeometryError, InputError, SettingsError
from geomob_dask.frames.dask_types import count_fields
from geomob_dask.frames.halo import halo
from geomob_dask.frames.keys import to_text
from geomob_dask.frames.neighbor_report import Report, report_of
from geomob_dask.frames.own_rows import is_lazy, own_rows, value_of
from geomob_dask.frames.reduction import partials, reduced
from geomob_dask.graph import sphere
from geomob_dask.graph.contact import bounds_meet
from geomob_dask.graph.contiguity import COUNTS, Settled, Summary, edges, settle, summarize
from geomob_dask.graph.islands import centroids
from geomob_dask.graph.matching import Joined, OpenVertices, join, match
from geomob_dask.graph.near_touch import Close
from geomob_dask.graph.pairs import OVERLAP, ROOK, RULES, Flags, Pairs, rule_number
from geomob_dask.graph.points import Floats, Ints
from geomob_dask.graph.residual import Checked, check, leaving
from geomob_dask.graph.vertices import Vertices
from geomob_dask.sources.coordinates import refuse_coordinates

_BLOCK = 2500
# Outlines this much further apart than vertices that are one, a meter or 1e-5 degrees, were meant to touch.
_HINT = 10_000
_RULE = pd.CategoricalDtype(list(RULES.values()))


def neighbors(
    tracts: Any, *, contiguity: str = "queen", snap: float | None = None, gap: float = 0.0, islands: str = "none"
) -> Any:
    """Return the neighbors of each tract.

    Parameters
    ----------
    tracts : GeoDataFrame or GeoSeries, in memory or on Dask
        Polygons and multipolygons in one planar coordinate system, indexed by text or integers, each tract once. On
        Dask sorted by the index; partitions are the result's.
    contiguity : {"queen", "rook"}
        Queen neighbors share a point, rook neighbors a line.
    snap : float, map units, optional
        Vertices closer than this are one; by default a tenth of a millimeter, or 0 without a CRS.
    gap : float, map units
        Tracts whose outlines come closer than this are neighbors too.
    islands : str
        Tracts without neighbors: ``none`` leaves them alone, ``nearest:K`` joins each to the K tracts with the nearest
        centroids: on the ground where coordinates are degrees, else in map units.

    Returns
    -------
    DataFrame, in memory or on Dask as `tracts`
        One row for each tract and neighbor, both directions, sorted. Index: focal, as in `tracts`. Columns: neighbor;
        rook, whether they share a line (bool); overlap, whether their interiors intersect (bool); rule (categorical:
        vertex, intersects, vertex+intersects, gap or nearest).

    Raises
    ------
    GeometryError
        If a geometry is neither a polygon nor a multipolygon, or coordinates are not those of their system.
    InputError
        If a tract comes twice, or a Dask frame is not sorted.
    SettingsError
        If an option is out of its range, or `snap` is as large as the tracts.

    Examples
    --------
    Two squares with a common edge, and one that touches the corner between them:

    >>> squares = gpd.GeoSeries(shapely.box([0, 1, 2], [0, 0, 1], [1, 2, 3], [1, 1, 2]), index=["a", "b", "c"])
    >>> neighbors(squares)
          neighbor   rook  overlap               rule
    focal
    a            b   True    False  vertex+intersects
    b            a   True    False  vertex+intersects
    b            c  False    False  vertex+intersects
    c            b  False    False  vertex+intersects
    """
    return neighbor_graph(tracts, contiguity=contiguity, snap=snap, gap=gap, islands=islands).edges


@dataclass(frozen=True)
class NeighborGraph:
    """Neighbors, and where the rules differ.

    Attributes
    ----------
    edges : DataFrame, in memory or on Dask
        See `neighbors`.
    differences : DataFrame, in memory or on Dask, one partition
        Pairs that only one rule finds, that overlap, or that are near misses (within `snap` of each other, by no rule);
        columns as `edges`, each pair once.
    report : DataFrame of one row, in memory or on Dask
        Its value is a `Report`.
    """

    edges: Any
    differences: Any
    report: Any


def neighbor_graph(
    tracts: Any, *, contiguity: str = "queen", snap: float | None = None, gap: float = 0.0, islands: str = "none"
) -> NeighborGraph:
    """Return the neighbors of each tract and where the rules differ; parameters as `neighbors`."""
    polygons = _polygons(tracts)
    if not is_lazy(polygons) and len(polygons) > _BLOCK:
        # Sorting vertices is twice as fast in blocks that fit the processor's cache, and needs less memory.
        blocks = dask_geopandas.from_geopandas(polygons, chunksize=_BLOCK)
        graph = neighbor_graph(blocks, contiguity=contiguity, snap=snap, gap=gap, islands=islands)
        return NeighborGraph(*dask.compute(graph.edges, graph.differences, graph.report, scheduler="synchronous"))
    snap = default_snap(polygons.crs) if snap is None else snap
    check_tolerances(snap, gap)
    if contiguity not in ("queen", "rook"):
        raise SettingsError(f"contiguity: {contiguity!r}; expected queen or rook")
    k, rook, reach = nearest_count(islands), contiguity == "rook", max(snap, gap)
    hint = _HINT * default_snap(polygons.crs)
    bounds = _known_bounds(polygons)
    near = None if bounds is None else _near(bounds, reach)

    parts = partials(_match, polygons, snap=snap)
    shared = reduced(
        _join, partials(_open_part, parts), snap=snap, near=hint if hint > reach else 0.0, known_bounds=bounds
    )
    open_polygons = own_rows(_leaving, polygons, shared, meta=lambda: _no_polygons(polygons), reach=reach)
    far = halo(open_polygons, near)
    checked = partials(_check, polygons, parts, shared, far, snap=snap, gap=gap, rook=rook)
    middles = [reduced(_join_centroids, partials(_centroids, polygons))] if k else []
    settled = reduced(_settle, checked, shared, *middles, k=k, rook=rook)
    return NeighborGraph(
        own_rows(_edges, parts, shared, checked, settled, meta=lambda: no_edges(polygons._meta.index), rook=rook),
        own_rows(_differences, shared, settled, meta=lambda: no_edges(polygons._meta.index)),
        partials(_report, shared, settled, policy=islands, snap=snap, gap=gap),
    )


# Options ---------------------------------------------------------------------------------------


def default_snap(crs: Any) -> float:
    """Return the tolerance within which two vertices are one: 0.1 mm in map units, 0 without a CRS.

    Parameters
    ----------
    crs : pyproj.CRS or None
        Coordinate reference system of the tracts.

    Examples
    --------
    >>> default_snap(gpd.GeoSeries(crs=4269).crs), default_snap(gpd.GeoSeries(crs=5070).crs), default_snap(None)
    (1e-09, 0.0001, 0.0)
    """
    if crs is None:
        return 0.0
    return 1e-9 if crs.is_geographic else 1e-4 / crs.axis_info[0].unit_conversion_factor


def nearest_count(islands: str) -> int:
    """Return the number of tracts that each island is joined to; 0 for none.

    Raises
    ------
    SettingsError
        If `islands` is neither ``none`` nor ``nearest:K``.

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


# Polygons and keys -----------------------------------------------------------------------------


def _polygons(tracts: Any) -> Any:
    """Return the geometry of tracts, in memory sorted by key."""
    kinds = (gpd.GeoDataFrame, gpd.GeoSeries, dask_geopandas.GeoDataFrame, dask_geopandas.GeoSeries)
    if not isinstance(tracts, kinds):
        raise InputError(f"tracts: found a {type(tracts).__name__}, expected a GeoDataFrame or GeoSeries")
    polygons = tracts.geometry
    if is_lazy(polygons) or polygons.index.is_monotonic_increasing:
        return polygons
    return polygons.sort_index()


def _known_bounds(polygons: Any) -> Floats | None:
    boxes = polygons.spatial_partitions if is_lazy(polygons) else None
    bounds: Floats | None = None if boxes is None else boxes.bounds.to_numpy()
    return bounds


def _near(bounds: Floats, reach: float) -> list[list[int]]:
    meets = bounds_meet(bounds[:, None], bounds[None], reach)
    np.fill_diagonal(meets, False)
    return [np.flatnonzero(row).tolist() for row in meets]


def _geoms(polygons: gpd.GeoSeries) -> NDArray[np.object_]:
    return np.asarray(polygons.array)


def _keys(index: pd.Index) -> pd.Index:
    """Return keys of one kind: text as ``str``, others as they are."""
    if isinstance(index, pd.MultiIndex):
        raise InputError(f"tracts: found an index of {index.nlevels} levels, expected one key a tract")
    is_text = index.dtype == object or pd.api.types.is_string_dtype(index.dtype)
    return index.astype("str") if is_text else pd.Index(index.to_numpy(), name=index.name)


def _all_keys(parts: Sequence[pd.Index]) -> pd.Index:
    """Return the keys of all partitions.

    Raises
    ------
    InputError
        If they are not ascending, or a tract comes twice.
    """
    filled = [keys for keys in parts if len(keys)] or list(parts[:1])
    keys = filled[0].append(filled[1:])
    if keys.is_monotonic_increasing and keys.is_unique:
        return keys
    if keys.has_duplicates:
        raise InputError(f"tract {keys[keys.duplicated()][0]}: found two polygons, expected one")
    later = next(number for number in range(1, len(keys)) if not keys[number - 1] < keys[number])
    raise InputError(
        f"tracts: found {keys[later]} after {keys[later - 1]}, expected them in ascending order (sort_index, set_index)"
    )


# Steps -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """One partition: its keys, its pairs by vertices, and the vertices that stay open."""

    keys: pd.Index
    pairs: Pairs
    open: OpenVertices


@dataclass(frozen=True)
class _Shared:
    """All partitions: keys of their tracts, the number of each one's state, and their open vertices joined."""

    keys: pd.Index
    state: Ints
    joined: Joined

    def first(self, keys: pd.Index) -> int:
        """Return the number of the first tract of a partition."""
        return int(self.keys.get_loc(_keys(keys[:1])[0])) if len(keys) else 0

    def nearly(self, close: Close) -> pd.DataFrame:
        """Return pairs that nearly touch, by their keys."""
        return pd.DataFrame(
            {"neighbor": self.keys.take(close.high), "distance": close.distance}, index=self.keys.take(close.low)
        )


def _match(polygons: gpd.GeoSeries, *, snap: float) -> _Part:
    geoms, areal = _geoms(polygons), (-1, shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    wrong = np.flatnonzero(~np.isin(shapely.get_type_id(geoms), areal))
    if len(wrong):
        found = geoms[wrong[0]].geom_type
        raise GeometryError(f"tract {polygons.index[wrong[0]]}: found a {found}, expected a Polygon or MultiPolygon")
    refuse_coordinates(geoms, polygons.index, polygons.crs, "tracts", "tract")
    matched = match(geoms, snap)
    return _Part(_keys(polygons.index), matched.pairs, matched.open)


def _open_part(part: pd.DataFrame) -> _Part:
    own: _Part = value_of(part)
    return replace(own, pairs=Pairs.none())


def _join(parts: Sequence[_Part], *, snap: float, near: float, known_bounds: Floats | None) -> _Shared:
    keys = _all_keys([part.keys for part in parts])
    if known_bounds is not None:
        _check_bounds(parts, known_bounds)
    state = pd.factorize(to_text(keys).str[:2])[0]
    return _Shared(keys, state, join([part.open for part in parts], snap, near))


def _check_bounds(parts: Sequence[_Part], known: Floats) -> None:
    for number, part in enumerate(parts):
        bounds = part.open.bounds
        if (bounds[:2] < known[number, :2]).any() or (bounds[2:] > known[number, 2:]).any():
            raise InputError(
                f"partition {number}, tracts {part.keys[0]} to {part.keys[-1]}: found polygons from {bounds.tolist()}, "
                f"expected them inside the partition's spatial_partitions, {known[number].tolist()}"
            )


def _leaving(polygons: gpd.GeoSeries, shared: pd.DataFrame, *, reach: float) -> gpd.GeoSeries:
    """Return the open polygons that reach other partitions, by number."""
    everyone: _Shared = value_of(shared)
    geoms, first = _geoms(polygons), everyone.first(polygons.index)
    cells = leaving(geoms, first, everyone.joined, reach)
    return gpd.GeoSeries(geoms[cells - first], index=pd.Index(cells), crs=polygons.crs)


def _check(
    polygons: gpd.GeoSeries,
    part: pd.DataFrame,
    shared: pd.DataFrame,
    far: gpd.GeoSeries,
    *,
    snap: float,
    gap: float,
    rook: bool,
) -> tuple[Checked, Summary]:
    everyone: _Shared = value_of(shared)
    geoms, first = _geoms(polygons), everyone.first(polygons.index)
    matched = value_of(part).pairs.shifted(first)
    far_cells = far.index.to_numpy(np.int64) if len(far) else np.zeros(0, np.int64)
    checked = check(geoms, first, matched, everyone.joined, far_cells, _geoms(far), snap, gap)
    return checked, summarize(matched, checked, everyone.joined.close, first, len(geoms), everyone.state, rook=rook)


def _centroids(polygons: gpd.GeoSeries) -> Floats:
    if polygons.crs is not None and polygons.crs.is_geographic:
        return sphere.on_sphere(sphere.centroids(_geoms(polygons)))
    return centroids(_geoms(polygons))


def _join_centroids(parts: Sequence[Floats]) -> Floats:
    return np.concatenate(parts)


def _settle(
    checked: Sequence[tuple[Checked, Summary]],
    shared: _Shared,
    middles: Floats | None = None,
    *,
    k: int,
    rook: bool,
) -> Settled:
    return settle(shared.joined, [summary for _, summary in checked], shared.state, k, middles, rook=rook)


def _edges(
    part: pd.DataFrame, shared: pd.DataFrame, checked: pd.DataFrame, settled: pd.DataFrame, *, rook: bool
) -> pd.DataFrame:
    own, everyone = value_of(part), value_of(shared)
    first = everyone.first(own.keys)
    inside, across = value_of(checked)[0].inside, value_of(settled).across
    return _table(everyone.keys, *edges(own.pairs.shifted(first), inside, across, first, len(own.keys), rook=rook))


def _differences(shared: pd.DataFrame, settled: pd.DataFrame) -> pd.DataFrame:
    pairs = value_of(settled).differing
    return _table(value_of(shared).keys, pairs.low, pairs.high, pairs.flags)


def _report(shared: pd.DataFrame, settled: pd.DataFrame, *, policy: str, snap: float, gap: float) -> Report:
    everything: Settled = value_of(settled)
    counts = dict(zip(COUNTS, everything.counts.tolist(), strict=True))
    islands = value_of(shared).keys.take(everything.islands)
    close = everything.close
    return report_of(
        counts,
        _differences(shared, settled),
        islands,
        nearly=value_of(shared).nearly(close),
        policy=policy,
        snap=snap,
        gap=gap,
    )


def _table(keys: pd.Index, focal: Ints, neighbor: Ints, flags: Flags) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "neighbor": keys.take(neighbor).array,
            "rook": (flags & ROOK) > 0,
            "overlap": (flags & OVERLAP) > 0,
            "rule": pd.Categorical.from_codes(rule_number(flags), dtype=_RULE),
        },
        index=keys.take(focal).rename("focal"),
    )


def no_edges(index: pd.Index) -> pd.DataFrame:
    """Return edges without rows: their columns and types, for an index of tracts."""
    nobody = np.zeros(0, np.int64)
    return _table(_keys(index), nobody, nobody, nobody.astype(np.uint8))


def _no_polygons(polygons: Any) -> gpd.GeoSeries:
    return gpd.GeoSeries([], index=pd.Index([], dtype=np.int64), crs=polygons.crs)


count_fields(_Part, _Shared, Close, Pairs, OpenVertices, Vertices, Joined, Checked, Summary, Settled)
