"""Neighbors of tract polygons: own rows match vertices; open vertices, open polygons and pairs travel in halos.

The steps are those of `geomob_dask.graph.contiguity`. A partition exchanges with those that its bounds reach, where the
frame knows its spatial partitions, otherwise with all: vertices on its outline, the few polygons that stay open when
these are matched, and the pairs that it finds with others. What all partitions share does not grow with the number of
tracts: where each begins, faults, and islands.
"""

from dataclasses import dataclass
from typing import Any

import dask
import dask_geopandas
import geopandas as gpd
import numpy as np
import shapely

from geomob_dask.errors import InputError, SettingsError
from geomob_dask.frames import neighbor_steps as steps
from geomob_dask.frames.halo import halo
from geomob_dask.frames.own_rows import empty_of, is_lazy, own_rows
from geomob_dask.frames.reduction import partials, reduced
from geomob_dask.graph.contact import bounds_meet
from geomob_dask.graph.matching import join_reach
from geomob_dask.graph.points import Floats

_BLOCK = 2500
# Outlines this much further apart than vertices that are one, a meter or 1e-5 degrees, were meant to touch.
_HINT = 10_000


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
    tracts: Any,
    *,
    contiguity: str = "queen",
    snap: float | None = None,
    gap: float = 0.0,
    islands: str = "none",
    again: Any = None,
) -> NeighborGraph:
    """Return the neighbors of each tract and where the rules differ; parameters as `neighbors`.

    Parameters
    ----------
    again : GeoDataFrame or GeoSeries on Dask, optional
        The same tracts, made by tasks of other names. Polygons are then made a second time where open tracts are
        checked, instead of being held by the workers until all partitions have exchanged.
    """
    polygons = _polygons(tracts)
    later = polygons if again is None else _polygons(again)
    if not is_lazy(polygons) and len(polygons) > _BLOCK:
        # Sorting vertices is twice as fast in blocks that fit the processor's cache, and needs less memory.
        graph = neighbor_graph(_in_blocks(polygons), contiguity=contiguity, snap=snap, gap=gap, islands=islands)
        return NeighborGraph(*dask.compute(graph.edges, graph.differences, graph.report, scheduler="synchronous"))
    snap = default_snap(polygons.crs) if snap is None else snap
    check_tolerances(snap, gap)
    if contiguity not in ("queen", "rook"):
        raise SettingsError(f"contiguity: {contiguity!r}; expected queen or rook")
    k, rook, reach = nearest_count(islands), contiguity == "rook", max(snap, gap)
    hint = _HINT * default_snap(polygons.crs)
    bounds = _known_bounds(polygons)
    # Tracts that nearly touch are looked for further away than contacts are.
    looks = hint if hint > reach else 0.0
    near = None if bounds is None else _near(bounds, max(reach, looks, join_reach(snap)))

    parts = partials(steps.match_own, polygons, snap=snap)
    layout = reduced(steps.layout, partials(steps.outline, parts), known_bounds=bounds)
    offered = halo(partials(steps.offered, parts, layout), near)
    joined = partials(steps.join_open, parts, layout, offered, snap=snap, reach=reach)
    far = halo(joined, near)
    distance = reduced(steps.near_distance, partials(steps.open_extents, joined), most=looks)
    close = reduced(steps.close_pairs, partials(steps.near_vertices, joined, far, distance))
    checked = partials(steps.check_open, later, parts, joined, far, snap=snap, gap=gap)
    settled = partials(steps.settle_own, parts, layout, checked, halo(checked, near), close, rook=rook)
    joined_islands = _joined_islands(polygons, parts, layout, settled, k) if k else []
    empty = steps.no_edges(empty_of(polygons).index)
    everything = reduced(steps.summarize, settled)
    return NeighborGraph(
        own_rows(steps.edges_of, parts, layout, checked, settled, *joined_islands, meta=empty, rook=rook),
        own_rows(steps.differences, everything, meta=empty),
        partials(steps.report, everything, policy=islands, snap=snap, gap=gap),
    )


def _joined_islands(polygons: Any, parts: Any, layout: Any, settled: Any, k: int) -> list[Any]:
    """Return the nearest cells of all islands."""
    middles = partials(steps.middles, polygons)
    islands = reduced(steps.all_islands, partials(steps.own_islands, parts, layout, settled, middles))
    return [reduced(steps.choose_nearest, partials(steps.own_candidates, parts, layout, middles, islands, k=k), k=k)]


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


def _in_blocks(polygons: gpd.GeoSeries) -> Any:
    """Return polygons in memory as a frame of partitions whose bounds are known."""
    blocks = dask_geopandas.from_geopandas(polygons, chunksize=_BLOCK)
    with dask.config.set(scheduler="synchronous"):
        boxes = blocks.map_partitions(_box, meta=polygons.iloc[:0]).compute()
    blocks.spatial_partitions = boxes.reset_index(drop=True)
    return blocks


def _box(polygons: gpd.GeoSeries) -> gpd.GeoSeries:
    return gpd.GeoSeries([shapely.box(*polygons.total_bounds)], crs=polygons.crs)


def _near(bounds: Floats, reach: float) -> list[list[int]]:
    meets = bounds_meet(bounds[:, None], bounds[None], reach)
    np.fill_diagonal(meets, False)
    return [np.flatnonzero(row).tolist() for row in meets]
