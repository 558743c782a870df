"""The neighbour graph over partitions: the steps of `geomob_dask.graph.contiguity` as Dask tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import dask_geopandas
import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from dask.delayed import Delayed
from dask.sizeof import sizeof

from geomob_dask.errors import InputError
from geomob_dask.graph import contiguity as graph
from geomob_dask.graph.pairs import Pairs
from geomob_dask.graph.vertices import Floats, Vertices
from geomob_dask.lift.tasks import Run


@dataclass(frozen=True)
class Contiguity:
    """A neighbour graph that is yet to be computed.

    Parameters
    ----------
    edges : dict of str to Delayed
        By partition: pd.DataFrame of the edges that leave its tracts. Columns focal and neighbor
        (geoids, sorted), rook and overlap (bool), rule (categorical).
    differences : Delayed
        pd.DataFrame of the pairs that only one rule finds, that overlap, or that just miss each other;
        columns as in `edges`, each pair once.
    report : Delayed
        `geomob_dask.graph.contiguity.Report`.
    """

    edges: dict[str, Delayed]
    differences: Delayed
    report: Delayed


def contiguity(
    tracts: dask_geopandas.GeoDataFrame,
    *,
    snap: float | None = None,
    gap: float = 0.0,
    islands: str = "none",
    partitions: Sequence[str] | None = None,
    run: Run | None = None,
) -> Contiguity:
    """Find the neighbours of all tracts, inside their partitions and across them. Computes nothing.

    One task does one step of one partition. Between partitions go the vertices that no two cells inside
    one share, the polygons that stay open when these are joined, and the pairs across partitions. If the
    frame knows its spatial partitions, open polygons go only where their partition's bounds reach.

    Parameters
    ----------
    tracts : dask_geopandas.GeoDataFrame, index geoid
        Polygons and multipolygons, sorted by geoid, in any partitions; columns but the geometry are not read.
    snap : float, map units, optional
        Tolerance within which two vertices are one; `default_snap` of the frame's CRS.
    gap : float, map units
        Tolerance across which open edges still make neighbours.
    islands : str
        ``none``, or ``nearest:K`` to join each island to the K tracts with the nearest centroids.
    partitions : sequence of str, optional
        Names of the partitions, such as states; by default "0", "1", ….
    run : Run, optional
        Names the tasks.

    Raises
    ------
    GeometryError
        If there is no CRS and no `snap`.
    SettingsError
        If a tolerance or the policy for islands is out of its range.
    InputError
        If there is not one name for each partition.
    """
    snap = graph.default_snap(tracts.crs) if snap is None else snap
    graph.check_tolerances(snap, gap)
    to_nearest = graph.nearest_count(islands) > 0
    names = [str(p) for p in range(tracts.npartitions)] if partitions is None else list(partitions)
    if len(names) != tracts.npartitions or len(set(names)) != len(names):
        raise InputError(f"partitions: {len(names)} names; expected {tracts.npartitions} different ones")
    run = run or Run("neighbors")
    reach = max(snap, gap)
    parts = dict(zip(names, tracts.geometry.to_delayed(), strict=True))
    bounds = None if tracts.spatial_partitions is None else tracts.spatial_partitions.bounds.to_numpy()
    sources = _sources(bounds, names, reach)

    matched = {
        name: run.task("match", name, _match, parts[name], name, None if bounds is None else bounds[p], snap)
        for p, name in enumerate(names)
    }
    halos = [run.task("halo", name, attrgetter("halo"), matched[name]) for name in names]
    joined = run.task("join", "all", graph.join, halos, snap)
    travellers = {
        name: run.task("travel", name, _travel, p, parts[name], joined, reach) for p, name in enumerate(names)
    }
    checked = {
        name: run.task(
            "check",
            name,
            _check,
            p,
            parts[name],
            matched[name],
            joined,
            [travellers[source] for source in sources[name]],
            snap,
            gap,
        )
        for p, name in enumerate(names)
    }
    middles = [run.task("centroids", name, _centroids, parts[name]) for name in names if to_nearest]
    settled = run.task("settle", "all", graph.settle, joined, list(checked.values()), snap, gap, islands, middles)
    edges = {
        name: run.task("edges", name, _edges, p, parts[name], matched[name], checked[name], settled)
        for p, name in enumerate(names)
    }
    return Contiguity(
        edges,
        run.task("differences", "all", attrgetter("differences"), settled),
        run.task("report", "all", attrgetter("report"), settled),
    )


def _sources(bounds: Floats | None, names: Sequence[str], reach: float) -> dict[str, list[str]]:
    """Return for each partition the others whose open polygons can reach it."""
    if bounds is None:
        return {name: [other for other in names if other != name] for name in names}
    near = graph.bounds_meet(bounds[:, None], bounds[None], reach)
    return {name: [names[q] for q in np.flatnonzero(near[p]).tolist() if q != p] for p, name in enumerate(names)}


def _polygons(part: gpd.GeoSeries) -> graph.Geometries:
    return np.asarray(part.array)


def _match(part: gpd.GeoSeries, name: str, bounds: Floats | None, snap: float) -> graph.Matched:
    polygons = _polygons(part)
    if bounds is not None:
        low, high = np.split(shapely.bounds(polygons), 2, axis=1)
        beyond = np.flatnonzero(((low < bounds[:2]) | (high > bounds[2:])).any(axis=1))
        if len(beyond):
            raise InputError(
                f"partition {name}: tract {part.index[beyond[0]]} lies beyond the partition's known bounds "
                f"{bounds.tolist()}; expected spatial partitions that hold their tracts"
            )
    return graph.match(polygons, part.index, snap)


def _travel(p: int, part: gpd.GeoSeries, joined: graph.Joined, reach: float) -> graph.Travellers:
    return graph.travel(p, _polygons(part), part.index, joined, reach)


def _check(
    p: int,
    part: gpd.GeoSeries,
    matched: graph.Matched,
    joined: graph.Joined,
    travellers: list[graph.Travellers],
    snap: float,
    gap: float,
) -> graph.Checked:
    return graph.check(p, _polygons(part), part.index, matched.pairs, joined, travellers, snap, gap)


def _centroids(part: gpd.GeoSeries) -> graph.Centroids:
    return graph.centroids(_polygons(part), part.index)


def _edges(
    p: int, part: gpd.GeoSeries, matched: graph.Matched, checked: graph.Checked, settled: graph.Settled
) -> pd.DataFrame:
    return graph.edges(p, part.index, matched.pairs, checked, settled)


def _size_of_polygons(polygons: gpd.GeoSeries) -> int:
    vertices = shapely.get_num_coordinates(_polygons(polygons)).sum()
    return int(16 * vertices + 200 * len(polygons) + sizeof(polygons.index))


def _size_of_tracts(tracts: gpd.GeoDataFrame) -> int:
    others = pd.DataFrame(tracts.drop(columns=tracts.active_geometry_name))
    return int(_size_of_polygons(tracts.geometry) + sizeof(others))


def _size_of_fields(value: Any) -> int:
    return int(sum(sizeof(getattr(value, field.name)) for field in fields(value)))


# Dask counts a polygon as a pointer and a dataclass as nothing: it would hold polygons for cheap to send, move
# partitions between workers without need, and not see where their memory goes.
sizeof.register(gpd.GeoSeries, _size_of_polygons)
sizeof.register(gpd.GeoDataFrame, _size_of_tracts)
_RESULTS = (graph.Matched, graph.Halo, graph.Joined, graph.Travellers, graph.Checked, graph.Centroids, graph.Settled)
for _kind in (Pairs, Vertices, *_RESULTS):
    sizeof.register(_kind, _size_of_fields)
