"""A made-up nation of any number of cells, with the size and shape of blocks, written to a store.

Cells are bricks with bent borders, of 6 to 12 vertices, that share their vertices to the last bit: a cell inside has 6
neighbors. They come in partitions of unequal size, whose names (a state's two digits, a county's three) begin the keys
of their cells. Every number follows from the seed and the place of a cell: partitions are made one by one, anywhere.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import yaml
from numpy.typing import NDArray

from geomob_dask.sources.states import STATES
from geomob_dask.store import Part, Provenance, Store

Ints = NDArray[np.int64]
VINTAGE, DATASET, YEAR = "made", "made", 2020
MEASURES = tuple(f"measure_{number}" for number in range(1, 9))
GROUPS = ("owners", "renters")
CRS = "EPSG:5070"
# Meters between two corners along a row, and between rows; corners are moved by up to a fifth of the first.
_STEP, _ROW, _JITTER = 50.0, 100.0, 10.0
_MISSING = 0.01


@dataclass(frozen=True)
class Block:
    """A partition: its name, and the rows and columns of cells from the first to before the last."""

    name: str
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]


@dataclass(frozen=True)
class Nation:
    """A lattice of cells cut into partitions.

    Parameters
    ----------
    cells : int
        About how many.
    partitions : int
    seed : int
    """

    cells: int
    partitions: int
    seed: int = 12

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        rows = max(round(self.cells**0.5), 1)
        return rows, max(round(self.cells / rows), 1)

    def blocks(self) -> list[Block]:
        """Return the partitions: strips of columns, a state each, cut into counties of unequal height."""
        rng, (rows, columns) = np.random.default_rng(self.seed), self.shape
        strips = min(max(round(self.partitions**0.5), 1), 51, columns)
        counties = np.diff(np.round(np.linspace(0, self.partitions, strips + 1)).astype(int))
        states = list(STATES)[:strips]
        blocks = []
        for state, west, east, n in zip(states, *_cut(rng, columns, strips), counties.tolist(), strict=True):
            for number, (south, north) in enumerate(zip(*_cut(rng, rows, n), strict=True)):
                blocks.append(Block(f"{state}{2 * number + 1:03d}", (south, north), (west, east)))
        return blocks

    def pairs(self) -> int:
        """Return the number of pairs of neighbors: in the lattice, a brick meets two in the next row."""
        rows, columns = self.shape
        return rows * (columns - 1) + (rows - 1) * (2 * columns - 1)

    def polygons(self, block: Block) -> gpd.GeoDataFrame:
        """Return the polygons of a partition, in the order of their keys."""
        row, column = _places(block)
        west = 2 * column + row % 2
        corners = [(row, west), (row, west + 1), (row, west + 2), (row + 1, west + 2), (row + 1, west + 1)]
        corners.append((row + 1, west))
        ring = np.full((len(row), 12), np.nan + 0j)
        for number, (at, to) in enumerate(zip(corners, [*corners[1:], corners[0]], strict=True)):
            ring[:, 2 * number] = self._corner(*at)
            ring[:, 2 * number + 1] = self._bend(at, to)
        there = ~np.isnan(ring.real)
        cell = np.repeat(np.arange(len(row)), there.sum(axis=1))
        at = ring[there]
        shapes = shapely.polygons(shapely.linearrings(np.column_stack([at.real, at.imag]), indices=cell))
        area = shapely.area(shapes)
        return gpd.GeoDataFrame({"aland": area, "awater": 0.0}, geometry=shapes, index=_keys(block), crs=CRS)

    def measures(self, block: Block) -> pd.DataFrame:
        """Return people by group with margins of error, measures of which some are missing, and a metropolitan area."""
        rng = np.random.default_rng([self.seed, int(block.name)])
        row, column = _places(block)
        n = len(row)
        table = pd.DataFrame(index=_keys(block))
        # Smooth over the country, so that neighbors are alike, with noise.
        smooth = np.sin(row / 97.0) + np.cos(column / 61.0)
        for name in MEASURES:
            values = np.round(50 + 10 * smooth + rng.normal(0, 5, n), 1)
            values[rng.random(n) < _MISSING] = np.nan
            table[name] = values
        for name in GROUPS:
            table[name] = rng.integers(0, 60, n).astype(float)
        table["people"] = table[list(GROUPS)].sum(axis=1)
        for name in (*GROUPS, "people"):
            table[f"{name}_moe"] = np.round(3.0 + np.sqrt(table[name]), 1)
        # Areas of about 300 × 300 cells: they cross the borders of partitions and states.
        table["metro"] = pd.array(
            np.char.add(np.char.zfill((10 + row // 300).astype(str), 2), np.char.zfill((column // 300).astype(str), 3)),
            dtype="str",
        )
        return table

    def _corner(self, y: Ints, x: Ints) -> NDArray[np.complex128]:
        return _STEP * x + 1j * (_ROW * y) + self._jitter(y, x, 0)

    def _bend(self, one: tuple[Ints, Ints], other: tuple[Ints, Ints]) -> NDArray[np.complex128]:
        """Return the vertex in the middle of each edge, the same from both sides; NaN where an edge is straight."""
        y, x = np.minimum(one[0], other[0]), np.minimum(one[1], other[1])
        upright = np.int64(one[1] is other[1] or bool((one[1] == other[1]).all()))
        y_2, x_2 = np.maximum(one[0], other[0]), np.maximum(one[1], other[1])
        middle = (self._corner(y, x) + self._corner(y_2, x_2)) / 2 + self._jitter(y, x, 1 + upright) / 2
        middle[_hash(y, x, self.seed, 3 + int(upright)) % np.uint64(2) == 0] = np.nan
        return middle

    def _jitter(self, y: Ints, x: Ints, salt: int | np.int64) -> NDArray[np.complex128]:
        key = _hash(y, x, self.seed, int(salt))
        parts = [(key >> np.uint64(shift)).astype(np.uint32) / 2.0**32 - 0.5 for shift in (0, 32)]
        return 2 * _JITTER * (parts[0] + 1j * parts[1])


def _cut(rng: np.random.Generator, length: int, pieces: int) -> tuple[list[int], list[int]]:
    """Return the starts and ends of pieces of unequal length."""
    weight = rng.lognormal(0, 0.5, pieces)
    most = length - pieces
    ends = np.round(np.cumsum(weight) / weight.sum() * most).astype(int) + np.arange(1, pieces + 1)
    return [0, *ends[:-1].tolist()], ends.tolist()


def _places(block: Block) -> tuple[Ints, Ints]:
    rows, columns = block.shape
    row, column = np.divmod(np.arange(rows * columns), columns)
    return row + block.rows[0], column + block.columns[0]


def _keys(block: Block) -> pd.Index:
    rows, columns = block.shape
    if rows * columns > 10**6:
        raise SystemExit(
            f"{rows * columns:,} cells in partition {block.name}; expected a million at most: more partitions"
        )
    numbers = int(block.name) * 10**6 + np.arange(rows * columns)
    return pd.Index(np.char.zfill(numbers.astype(str), 11), name="geoid", dtype="str")


def _hash(y: Ints, x: Ints, seed: int, salt: int) -> NDArray[np.uint64]:
    key = y.astype(np.uint64) << np.uint64(32) | x.astype(np.uint64)
    key += np.uint64((seed * 8 + salt) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, odd in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = (key ^ (key >> np.uint64(shift))) * np.uint64(odd)
    return key ^ (key >> np.uint64(31))


# In a store --------------------------------------------------------------------------------------


def write(nation: Nation, url: str, processes: int = 0, years: int = 1) -> Store:
    """Return a store that holds the polygons and measures of a nation; by default written by this process."""
    store, blocks = Store(url), nation.blocks()
    with _mapping(processes) as each:
        polygons = dict(each(partial(_put_polygons, nation, url), blocks))
        store.commit(f"tracts/{VINTAGE}", polygons, Provenance("benchmark", {}), {"crs": CRS})
        for year in range(YEAR, YEAR + years):
            measures = dict(each(partial(_put_measures, nation, url, year), blocks))
            name = f"measures/{DATASET}/{year}"
            store.commit(name, measures, Provenance("benchmark", {}), {"vintage": VINTAGE})
    return store


@contextmanager
def _mapping(processes: int) -> Iterator[Callable[..., Iterable[tuple[str, Part]]]]:
    if not processes:
        yield map
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield pool.map


def _put_polygons(nation: Nation, url: str, block: Block) -> tuple[str, Part]:
    return block.name, Store(url).put(f"tracts/{VINTAGE}", block.name, nation.polygons(block))


def _put_measures(nation: Nation, url: str, year: int, block: Block) -> tuple[str, Part]:
    return block.name, Store(url).put(f"measures/{DATASET}/{year}", block.name, nation.measures(block))


def definition_file(folder: Path) -> Path:
    """Return the file of an index of eight measures in three domains."""
    domains = {f"domain_{number}": [{"measure": name} for name in MEASURES[number::3]] for number in range(3)}
    file = folder / "made.yaml"
    file.write_text(yaml.safe_dump({"name": "made", "population": "people", "domains": domains}))
    return file


def groups_file(folder: Path) -> Path:
    """Return the file of two groups."""
    groups = [{"name": name, "label": name, "parts": [[name, f"{name}_moe"]]} for name in GROUPS]
    edition = {"years": [None, None], "total": ["people", "people_moe"], "groups": groups}
    file = folder / "tenure.yaml"
    file.write_text(yaml.safe_dump({"name": "tenure", "title": "", "subgroup_type": "tenure", "editions": [edition]}))
    return file


def brackets_file(folder: Path) -> Path:
    """Return the file of the same two groups as brackets in order."""
    bounds = [{"column": name, "from": 50 * place, "to": 50 * (place + 1)} for place, name in enumerate(GROUPS[::-1])]
    file = folder / "halves.yaml"
    file.write_text(yaml.safe_dump({"name": "halves", "title": "Halves", "brackets": bounds}))
    return file
