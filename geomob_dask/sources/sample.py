"""The sample country: made-up tracts and measures, so that everything runs without data.

It has about 900 tracts in six states, towns and countryside, an island with people and one without, a lake, empty
tracts and missing values. Its state codes, 91 to 96, belong to no real state, and its polygons lie in the open Gulf
of Mexico. Every call writes the same bytes.
"""

import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree, Voronoi
from scipy.special import expit

from geomob_dask.errors import StoreError, StoreFailedError
from geomob_dask.messages import reason

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

SEED = 2026
CRS = "EPSG:5070"
WIDTH_KM, HEIGHT_KM = 620.0, 400.0

# Position in km, people relative to the largest, and reach in km.
TOWNS = np.array(
    [
        [205.0, 165.0, 1.0, 27.0],
        [452.0, 215.0, 0.9, 24.0],
        [330.0, 110.0, 0.55, 13.0],
        [130.0, 265.0, 0.55, 13.0],
        [500.0, 150.0, 0.5, 11.0],
        [285.0, 300.0, 0.45, 10.0],
    ]
)
# Position of each state's capital, and a weight (km²) that sets the state's size. The second town straddles a state
# line.
CAPITALS = np.array(
    [
        [170.0, 120.0, 9000.0],
        [425.0, 285.0, 3000.0],
        [345.0, 75.0, 4000.0],
        [110.0, 290.0, 2500.0],
        [510.0, 150.0, 5500.0],
        [290.0, 255.0, 0.0],
    ]
)
STATES = np.array(["91", "92", "93", "94", "95", "96"])
LAKE = (245.0, 215.0, 14.0)
PEOPLED_ISLAND = (565.0, 45.0)
EMPTY_ISLAND = (55.0, 370.0)
TRACTS_A_COUNTY = 14
EMPTY_TRACTS = 11

# domain: measure: (direction, least, most, share of the common deprivation in it, decimals)
MEASURES: Mapping[str, Mapping[str, tuple[int, float, float, float, int]]] = {
    "income": {
        "poverty_pct": (1, 1.0, 58.0, 0.85, 1),
        "median_income_usd": (-1, 14000.0, 165000.0, 0.85, 0),
        "public_assistance_pct": (1, 0.0, 38.0, 0.75, 1),
    },
    "employment": {
        "unemployment_pct": (1, 0.5, 27.0, 0.7, 1),
        "out_of_labor_force_pct": (1, 18.0, 68.0, 0.5, 1),
        "minutes_to_work": (1, 9.0, 58.0, 0.15, 1),
    },
    "education": {
        "no_diploma_pct": (1, 0.5, 46.0, 0.75, 1),
        "bachelors_pct": (-1, 2.0, 82.0, 0.75, 1),
        "preschool_pct": (-1, 8.0, 90.0, 0.4, 1),
    },
    "health": {
        "uninsured_pct": (1, 1.0, 34.0, 0.65, 1),
        "life_expectancy_years": (-1, 66.0, 88.0, 0.7, 1),
        "minutes_to_hospital": (1, 2.0, 95.0, 0.1, 1),
        "minutes_to_pharmacy": (1, 0.5, 60.0, 0.1, 1),
    },
    "housing": {
        "vacant_pct": (1, 0.5, 44.0, 0.4, 1),
        "crowded_pct": (1, 0.0, 16.0, 0.55, 1),
        "rent_burden_pct": (1, 12.0, 72.0, 0.55, 1),
    },
}
# What only gets worse with the distance from a town.
REMOTE = ("minutes_to_hospital", "minutes_to_pharmacy", "minutes_to_work")
SCATTERED_MISSING = 0.024
# A measure is missing in all tracts within so many steps of the tract nearest to a place: with 1 step that tract is
# filled from neighbors once removed, with 2 its domain is a hole filled from its neighbors, with 3 it stays missing.
MISSING_AROUND = (
    ("unemployment_pct", (250.0, 110.0), 1),
    ("uninsured_pct", (455.0, 170.0), 1),
    ("preschool_pct", (120.0, 190.0), 2),
    ("rent_burden_pct", (400.0, 130.0), 3),
)


@dataclass(frozen=True)
class SamplePaths:
    """The files of the sample country: tract polygons, a table of measures and the definition of an index."""

    tracts: Path
    measures: Path
    definition: Path


class _Land(NamedTuple):
    """Cells of land among all cells, and what lies between cells.

    Parameters
    ----------
    points : shape (n_cells, 2), km
        One inside each cell, land or sea.
    land : shape (n_tracts,)
        The cells that are tracts, in order.
    ridges : shape (n_ridges, 2)
        The two cells on either side of each edge.
    ends : shape (n_ridges, 2, 2), km
        The two ends of each edge.
    """

    points: Floats
    land: Integers
    ridges: Integers
    ends: Floats


def write_sample(folder: str | Path) -> SamplePaths:
    """Write the sample country's files into a folder, which is made where it is not there.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    SamplePaths
        ``sample_tracts.parquet`` (GeoParquet in EPSG:5070; column GEOID), ``sample_measures.csv.gz`` (GEOID,
        population and 16 measures; an empty cell is missing) and ``sample_definition.yaml`` (5 domains).

    Raises
    ------
    StoreError
        If the folder or a file in it cannot be written.
    """
    tracts, measures = sample_country()
    folder = Path(folder)
    paths = SamplePaths(
        folder / "sample_tracts.parquet", folder / "sample_measures.csv.gz", folder / "sample_definition.yaml"
    )
    polygons = io.BytesIO()
    tracts.to_parquet(polygons)
    # gzip's own date would make every file another one.
    table = gzip.compress(measures.to_csv(index=False).encode(), mtime=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths.tracts.write_bytes(polygons.getvalue())
        paths.measures.write_bytes(table)
        paths.definition.write_text(sample_definition(), encoding="utf-8")
    except OSError as error:
        kind = StoreError if isinstance(error, (FileExistsError, NotADirectoryError)) else StoreFailedError
        raise kind(f"folder {folder}: the sample country cannot be written ({reason(error)})") from error
    return paths


def sample_country() -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    """Return the made-up tracts and their measures.

    Returns
    -------
    tracts : GeoDataFrame
        GEOID and geometry, sorted by GEOID; neighbors share their vertices exactly.
    measures : DataFrame
        GEOID, population (persons) and the measures; NaN where missing.
    """
    rng = np.random.default_rng(SEED)
    land = _land(rng)
    polygons = _polygons(rng, land)
    where = land.points[land.land]
    geoids = _geoids(where)
    adjacency = _adjacency(land)
    measures = _measures(rng, where, adjacency)
    measures.insert(0, "GEOID", geoids)
    order = np.argsort(geoids)
    tracts = gpd.GeoDataFrame({"GEOID": geoids[order]}, geometry=polygons[order], crs=CRS)
    return tracts, measures.iloc[order].reset_index(drop=True)


def sample_definition() -> str:
    """Return the definition of the sample country's index as YAML text."""
    lines = [
        "# Made up, like the country: it shows the form of a definition and means nothing.",
        "name: sample",
        "title: Opportunity index of the sample country (made up)",
        "population: population",
        "domains:",
    ]
    for domain, measures in MEASURES.items():
        lines.append(f"  {domain}:")
        lines += [f"    - {{measure: {name}, direction: {direction}}}" for name, (direction, *_) in measures.items()]
    return "\n".join(lines) + "\n"


def _smooth(rng: np.random.Generator, where: Floats, length_km: float) -> Floats:
    """Return a random smooth field of about unit variance: a sum of waves no shorter than some length."""
    waves = rng.normal(scale=1 / length_km, size=(2, 60))
    phases = rng.uniform(0, 2 * np.pi, 60)
    return np.asarray(np.cos(where @ waves + phases).sum(axis=1) / np.sqrt(30))


def _crowding(where: Floats) -> Floats:
    """Return the people around each place, about 1 in the middle of the largest town and near 0 far from all."""
    distances = np.hypot(*(where[:, None, :] - TOWNS[:, :2]).transpose(2, 0, 1))
    return np.asarray((TOWNS[:, 2] * np.exp(-((distances / TOWNS[:, 3]) ** 1.5))).max(axis=1))


def _scatter(rng: np.random.Generator) -> Floats:
    """Return points over land and sea, close together in towns and far apart elsewhere, in km."""
    candidates = rng.uniform((0, 0), (WIDTH_KM, HEIGHT_KM), size=(24000, 2))
    in_towns = rng.normal(
        loc=np.repeat(TOWNS[:, :2], 1500, axis=0), scale=np.repeat(TOWNS[:, 3], 1500)[:, None], size=(9000, 2)
    )
    candidates = np.concatenate([[PEOPLED_ISLAND, EMPTY_ISLAND], rng.permutation([*candidates, *in_towns])])
    gaps = 8.6 * (1 - _crowding(candidates)) ** 1.8 + 1.9
    kept = np.empty_like(candidates)
    count = 0
    for point, gap in zip(candidates, gaps, strict=True):
        if (((kept[:count] - point) ** 2).sum(axis=1) > gap**2).all():
            kept[count] = point
            count += 1
    return kept[:count]


def _land(rng: np.random.Generator) -> _Land:
    points = _scatter(rng)
    cells = Voronoi(points)
    ridges = np.asarray(cells.ridge_points, dtype=np.intp)
    ends = np.asarray(cells.ridge_vertices, dtype=np.intp)
    x, y = points.T
    from_middle = np.hypot((x - 310) / 250, (y - 195) / 150)
    above_water = from_middle + 0.13 * _smooth(rng, points, 40.0) < 1
    above_water &= np.hypot(x - LAKE[0], y - LAKE[1]) > LAKE[2]
    above_water &= (np.abs(points - (WIDTH_KM / 2, HEIGHT_KM / 2)) < (WIDTH_KM / 2 - 20, HEIGHT_KM / 2 - 20)).all(
        axis=1
    )
    both = above_water[ridges].all(axis=1)
    links = sparse.coo_array((np.ones(both.sum()), ridges[both].T), shape=(len(points), len(points)))
    _, piece = connected_components(links, directed=False)
    mainland = above_water & (piece == np.bincount(piece[above_water]).argmax())
    mainland[:2] = True  # the islands, whose points come first
    beside = mainland[ridges].any(axis=1)
    # Edges without an end lie at the rim of the sea, where no land is.
    return _Land(points, np.flatnonzero(mainland), ridges[beside], cells.vertices[ends[beside]])


def _polygons(rng: np.random.Generator, land: _Land) -> NDArray[np.object_]:
    """Return the tracts' polygons in meters; an edge is drawn once, so that both sides share it exactly."""
    edges = []
    for (one, other), (start, end) in zip(land.points[land.ridges], land.ends, strict=True):
        inner = max(1, int(np.hypot(*(end - start)) / 1.1))
        share = np.arange(1, inner + 1) / (inner + 1)
        # A point on the edge, moved part of the way to the cell on either side, is still inside the two triangles
        # of those cells over this edge: it never meets another edge.
        sway = np.clip(rng.normal(scale=0.1, size=inner), -0.25, 0.25) * np.sin(np.pi * share) ** 0.5
        straight = start + share[:, None] * (end - start)
        toward = np.where(sway[:, None] > 0, one, other)
        bent = straight + np.abs(sway)[:, None] * (toward - straight)
        edges.append(np.round(np.concatenate([[start], bent, [end]]) * 1000))
    lines = [shapely.linestrings(edge) for edge in edges if (edge[0] != edge[-1]).any()]
    faces = shapely.get_parts(shapely.polygonize(lines))
    of_tract, face = shapely.STRtree(faces).query(shapely.points(land.points[land.land] * 1000), predicate="within")
    return np.asarray(shapely.normalize(faces[face[np.argsort(of_tract)]]), dtype=object)


def _adjacency(land: _Land) -> sparse.csr_array:
    row = np.full(len(land.points), -1)
    row[land.land] = np.arange(len(land.land))
    pairs = row[land.ridges]
    pairs = pairs[(pairs >= 0).all(axis=1)]
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    return sparse.csr_array((np.ones(len(pairs)), pairs.T), shape=(len(land.land), len(land.land)))


def _geoids(where: Floats) -> NDArray[np.object_]:
    """Return state, county (odd numbers) and tract codes, from the place of each tract."""
    to_capital = ((where[:, None, :] - CAPITALS[:, :2]) ** 2).sum(axis=2) - CAPITALS[:, 2]
    state = to_capital.argmin(axis=1)
    geoids = np.empty(len(where), dtype=object)
    for number, code in enumerate(STATES):
        rows = np.flatnonzero(state == number)
        county = _split(where[rows], max(1, round(len(rows) / TRACTS_A_COUNTY)))
        for seat in np.unique(county):
            inside = rows[county == seat]
            inside = inside[np.lexsort((where[inside, 0], -where[inside, 1]))]
            for order, row in enumerate(inside, start=1):
                geoids[row] = f"{code}{2 * seat + 1:03d}{order * 100:06d}"
    return geoids


def _split(where: Floats, pieces: int) -> Integers:
    """Return which of several pieces of about equal size each place belongs to: halves of halves."""
    label = np.zeros(len(where), dtype=np.intp)
    if pieces < 2:
        return label
    axis = int(np.ptp(where[:, 1]) > np.ptp(where[:, 0]))
    order = np.argsort(where[:, axis], kind="stable")
    low = pieces // 2
    cut = len(where) * low // pieces
    label[order[:cut]] = _split(where[order[:cut]], low)
    label[order[cut:]] = low + _split(where[order[cut:]], pieces - low)
    return label


def _measures(rng: np.random.Generator, where: Floats, adjacency: sparse.csr_array) -> pd.DataFrame:
    crowding = _crowding(where)
    remoteness = np.log1p(KDTree(TOWNS[:, :2]).query(where)[0])
    remoteness = (remoteness - remoteness.mean()) / remoteness.std()
    common = 0.8 * _smooth(rng, where, 45.0) + 0.6 * _smooth(rng, where, 6.0) + 1.4 * (crowding - crowding.mean())
    common /= common.std()
    population = np.round(np.exp(rng.normal(loc=8.2, scale=0.35, size=len(where)))).astype(int)
    table = pd.DataFrame({"population": population})
    for measures in MEASURES.values():
        for name, (direction, least, most, share, decimals) in measures.items():
            rest = 0.7 * _smooth(rng, where, 30.0) + 0.7 * rng.normal(size=len(where))
            if name in REMOTE:
                rest = 1.6 * remoteness + 0.4 * rest
            level = direction * (share * common + np.sqrt(1 - share**2) * rest)
            # Shares and incomes lean to the low side, as real ones do.
            table[name] = np.round(least + (most - least) * expit(1.1 * level - 1.0), decimals)
    _leave_out(rng, table, where, adjacency)
    return table


def _leave_out(rng: np.random.Generator, table: pd.DataFrame, where: Floats, adjacency: sparse.csr_array) -> None:
    """Empty some tracts and blank some cells, in place."""
    empty = rng.choice(np.arange(2, len(where)), EMPTY_TRACTS - 1, replace=False)
    table.loc[[1, *empty], "population"] = 0  # row 1 is the island without people
    names = [name for measures in MEASURES.values() for name in measures]
    missing = rng.random((len(where), len(names))) < SCATTERED_MISSING
    missing[0] = False  # the island with people has no neighbor to be filled from
    for name, place, steps in MISSING_AROUND:
        reached = np.zeros(len(where))
        reached[KDTree(where).query(place)[1]] = 1
        for _ in range(steps):
            reached += adjacency @ reached
        missing[reached > 0, names.index(name)] = True
    table[names] = table[names].mask(missing)
