"""Neighbors by slower routes: every pair of polygons and of vertices; predicates on a tree; and random countries."""

from dataclasses import dataclass
from itertools import combinations, pairwise, product

import dask
import dask.dataframe
import dask_geopandas  # noqa: F401 - frames of polygons
import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geomob_dask.frames.neighbor_report import Report
from geomob_dask.frames.neighbors import neighbor_graph
from geomob_dask.frames.own_rows import value_of


def edges_of(polygon):
    """Return the edges of all rings, as pairs of points."""
    rings = [
        ring
        for part in getattr(polygon, "geoms", [polygon])
        if not part.is_empty
        for ring in (part.exterior, *part.interiors)
    ]
    points = [[xyz[:2] for xyz in ring.coords] for ring in rings]
    return [edge for ring in points for edge in pairwise(ring)]


def distance(p, q):
    return np.hypot(p[0] - q[0], p[1] - q[1])


def matched_edge(one, two, snap):
    """Say whether an edge of each, longer than the tolerance, has its ends within the tolerance of the other's."""
    long_1, long_2 = ([(p, q) for p, q in edges_of(polygon) if distance(p, q) > snap] for polygon in (one, two))
    return any(
        (distance(p, r) <= snap and distance(q, s) <= snap) or (distance(p, s) <= snap and distance(q, r) <= snap)
        for (p, q), (r, s) in product(long_1, long_2)
    )


def dimension(geometry):
    """Return the dimension of an intersection; −1 where it is empty."""
    return max((shapely.get_dimensions(part) for part in shapely.get_parts(geometry) if not part.is_empty), default=-1)


def slow_pairs(tracts, snap=0.0, gap=0.0):
    """Return pairs by name: (rule, rook, overlap); the gap rule is asked of all pairs."""
    found = {}
    for (a, one), (b, two) in combinations(tracts.geometry.sort_index().items(), 2):
        if one.distance(two) > max(snap, gap):
            continue
        corners = [[start for start, _ in edges_of(polygon)] for polygon in (one, two)]
        vertex = any(distance(p, q) <= snap for p, q in product(*corners))
        intersects = one.intersects(two)
        rules = [name for name, holds in (("vertex", vertex), ("intersects", intersects)) if holds]
        if not rules and gap > 0 and one.distance(two) <= gap:
            rules = ["gap"]
        if not rules and one.distance(two) <= snap:
            rules = ["near miss"]
        if rules:
            rook = bool(dimension(one.intersection(two)) >= 1 or (vertex and matched_edge(one, two, snap)))
            found[a, b] = ("+".join(rules), rook, intersects and not one.touches(two))
    return found


def pairs_of(edges):
    """Return a frame of edges as `slow_pairs` does, having seen that it holds both directions, sorted."""
    rows = list(zip(*(edges[name] for name in ("focal", "neighbor", "rule", "rook", "overlap")), strict=True))
    assert [row[:2] for row in rows] == sorted({row[:2] for row in rows})
    found = {(a, b): (rule, rook, overlap) for a, b, rule, rook, overlap in rows}
    assert all(found[b, a] == what for (a, b), what in found.items())
    return {(a, b): what for (a, b), what in found.items() if a < b}


def frame(polygons, crs=5070):
    """Return polygons as tracts whose geoids change state half-way."""
    geoid = [f"{39 if i < (len(polygons) + 1) // 2 else 42}{i:09d}" for i in range(len(polygons))]
    return gpd.GeoDataFrame({"geometry": polygons}, index=pd.Index(geoid, name="geoid"), crs=crs)


def mesh(rng, rows, columns, jitter=0.3, bends=2):
    """Return quadrilaterals of a jittered mesh of unit cells, with shared bends along their edges."""
    node = np.stack(np.meshgrid(np.arange(columns + 1.0), np.arange(rows + 1.0)), axis=-1)
    node += rng.uniform(-jitter, jitter, node.shape)
    bent = {}

    def edge(p, q):
        low, high = min(p, q), max(p, q)
        if (low, high) not in bent:
            t = (np.arange(bends) + 1)[:, None] / (bends + 1)
            wiggle = rng.uniform(-0.03, 0.03, (bends, 2))
            bent[low, high] = node[low] * (1 - t) + node[high] * t + wiggle
        between = bent[low, high]
        return [node[p], *(between if p == low else between[::-1])]

    cells = []
    for i, j in product(range(rows), range(columns)):
        ring = [(i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j)]
        corners = [edge(p, q) for p, q in zip(ring, ring[1:] + ring[:1], strict=True)]
        cells.append(np.concatenate(corners))
    return cells


def country(seed, rows, columns, faults=0, noise=0.0):
    """Return a random country: merged, multipart, missing, reversed and 3-D cells, holes, and planted faults.

    Parameters
    ----------
    faults : int
        Cells to spoil: a vertex dropped (T-junctions), moved by 1e-3 (slivers, gaps), or the cell repeated,
        or a small one put inside it.
    noise : float
        Shift of every vertex of every cell by up to this much, each cell by itself.
    """
    rng = np.random.default_rng(seed)
    rings = mesh(rng, rows, columns)
    for _ in range(faults):
        k = rng.integers(len(rings))
        ring = rings[k].copy()
        at = rng.integers(len(ring))
        match rng.integers(4):
            case 0:
                rings[k] = np.delete(ring, at, axis=0)
            case 1:
                ring[at] += rng.uniform(-1e-3, 1e-3, 2)
                rings[k] = ring
            case 2:
                rings.append(ring)
            case 3:
                rings.append(ring.mean(axis=0) + (ring - ring.mean(axis=0)) / 4)
    rings = [ring + rng.uniform(-noise, noise, ring.shape) for ring in rings]
    cells = [shapely.Polygon(ring if rng.random() < 0.5 else ring[::-1]) for ring in rings]
    for _ in range(len(cells) // 6):
        # Neighbors become one cell with a longer outline, or ones far apart one of two parts.
        one, two = (cells.pop(rng.integers(len(cells))) for _ in range(2))
        merged = shapely.union(one, two)
        keep = merged.geom_type in ("Polygon", "MultiPolygon") and not one.overlaps(two)
        cells += [merged] if keep else [one, two]
    for _ in range(len(cells) // 8):
        cells.pop(rng.integers(len(cells)))
    cells = [shapely.force_3d(cell, 7.0) if rng.random() < 0.2 else cell for cell in cells]
    rng.shuffle(cells)
    return frame([cell for cell in cells if cell.is_valid])


def partitioned(tracts, cuts):
    """Return the frame cut before the rows `cuts`."""
    bounds = [0, *cuts, len(tracts)]
    parts = [tracts.iloc[a:b] for a, b in pairwise(bounds)]
    return dask.dataframe.from_map(lambda part: part, parts, meta=tracts.iloc[:0])


@dataclass(frozen=True)
class Examined:
    """A neighbor graph in memory, with columns focal and neighbor."""

    edges: pd.DataFrame
    differences: pd.DataFrame
    report: Report


def computed(graph, scheduler="synchronous"):
    """Return a lazy graph computed, having seen that its dtypes are those declared."""
    edges, differences, report = dask.compute(graph.edges, graph.differences, graph.report, scheduler=scheduler)
    pd.testing.assert_frame_equal(edges.iloc[:0], graph.edges._meta)
    return Examined(edges.reset_index(), differences.reset_index(), value_of(report))


def examined(tracts, block=None, **options):
    """Return the neighbor graph of tracts in memory, or of partitions of so many."""
    if block is None:
        graph = neighbor_graph(tracts, **options)
        return Examined(graph.edges.reset_index(), graph.differences.reset_index(), value_of(graph.report))
    return computed(neighbor_graph(partitioned(tracts.sort_index(), range(block, len(tracts), block)), **options))


def pairs_by_predicates(polygons):
    """Return codes i * n + j of queen and of rook pairs i < j: by a tree, equal edges, and relations."""
    i, j = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    i, j = i[i < j], j[i < j]
    queen = np.sort(i * len(polygons) + j)

    xy, ring = shapely.get_coordinates(polygons, return_index=True)
    ends = np.hstack([xy[:-1], xy[1:]])[ring[:-1] == ring[1:]]
    cell = ring[:-1][ring[:-1] == ring[1:]]
    turned = (ends[:, 0] > ends[:, 2]) | ((ends[:, 0] == ends[:, 2]) & (ends[:, 1] > ends[:, 3]))
    ends[turned] = ends[turned][:, [2, 3, 0, 1]]
    edges = pd.DataFrame(ends + 0.0, columns=list("abcd")).assign(cell=cell)
    edges = edges[(edges["a"] != edges["c"]) | (edges["b"] != edges["d"])]
    shared = edges.merge(edges, on=list("abcd"))
    shared = shared[shared["cell_x"] < shared["cell_y"]]
    rook = np.unique(shared["cell_x"] * len(polygons) + shared["cell_y"])

    other = queen[~np.isin(queen, rook)]
    one, two = np.divmod(other, len(polygons))
    matrix = shapely.relate(polygons[one], polygons[two]).astype("S9").view("S1").reshape(-1, 9)
    return queen, np.union1d(rook, other[(matrix[:, 0] == b"2") | (matrix[:, 4] == b"1")])
