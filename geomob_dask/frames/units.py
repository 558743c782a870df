"""Units: tracts, or parts of them, in regions, with counts of people by category; a frame aligned with measures.

A tract that several regions share is a unit in each, with as many people as its share there. Columns: ``region``,
``region_name``, ``count <category>``, and where they are needed ``error <category>`` (standard errors),
``sampled noise``, ``sampled spread``, ``sampled total`` (what margins say of the sample), ``sampled people``,
``leaf <number> <category>`` (the finest parts of a tract), ``land`` (km²), ``longitude``, ``latitude``,
``level <area>``, ``neighbors``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from geomob_dask.errors import CountsError, DefinitionError, GeometryError, InputError
from geomob_dask.frames.categories import CategoryCounts, category_counts, merge_categories, merge_classes
from geomob_dask.frames.centroids import centroids
from geomob_dask.frames.keys import codes_like, to_codes
from geomob_dask.frames.numbers import LARGEST
from geomob_dask.frames.own_rows import empty_of, own_rows
from geomob_dask.frames.sampling import COMPLETE, Sampling, sampling_of
from geomob_dask.graph.bands import rows_of
from geomob_dask.metrics.counts import Floats, Integers
from geomob_dask.metrics.effective_interviews import effective_interviews
from geomob_dask.metrics.segregation_units import RegionUnits
from geomob_dask.sources.brackets import Brackets, Categories
from geomob_dask.sources.coordinates import refuse_coordinates
from geomob_dask.transforms.projection import EQUAL_AREA

MISSING = ("refuse", "leave-out")
COUNT, ERROR, LEAF, LEVEL = "count ", "error ", "leaf ", "level "
# See `metrics.effective_interviews.composition_noise`; the people interviewed, where they are known.
NOISE, INTERVIEWS = ("sampled noise", "sampled spread", "sampled total"), "sampled people"
NOWHERE = "in no region"
UNKNOWN = "a count is missing"
EMPTY = "nobody is counted here"


@dataclass(frozen=True)
class People:
    """Who is counted.

    Parameters
    ----------
    categories : Brackets or groups
    year : int
        Selects the edition of groups of an ACS table.
    merge : str, optional
        A rule that merges brackets; see `frames.categories.merge_classes`.
    missing : {"refuse", "leave-out"}
        What to do with a tract without one of its counts.
    margins : bool
        Whether standard errors are computed from margins of error.
    regions : tuple of str, optional
        Only these regions; all by default.
    sampled : str
        How the counts were taken; see `frames.sampling.sampling_of`.
    """

    categories: Categories
    year: int = 0
    merge: str | None = None
    missing: str = "refuse"
    margins: bool = False
    regions: tuple[str, ...] | None = None
    sampled: str = COMPLETE

    def __post_init__(self) -> None:
        if self.missing not in MISSING:
            raise InputError(f"missing {self.missing!r}: expected {' or '.join(MISSING)}")
        if self.merge is not None and not isinstance(self.categories, Brackets):
            raise DefinitionError(f"merge {self.merge}: {self.categories.name} has no order, expected brackets")

    def columns(self, available: Sequence[str]) -> list[str]:
        """Return the columns of measures that hold counts, and margins of error where they are needed."""
        sampling = self.sampling(available)
        needed = self.categories.columns(available, self.year, margins=self.margins or sampling.kind == "margins")
        return [*needed, *([] if sampling.column is None or sampling.column in needed else [sampling.column])]

    def sampling(self, available: Sequence[str]) -> Sampling:
        """Return how the counts were taken."""
        return sampling_of(self.sampled, self.categories, available, self.year)

    def counts(self, table: pd.DataFrame) -> CategoryCounts:
        """Return the counts of each category in each tract."""
        noise = self.sampling(list(table.columns)).kind == "margins"
        people = category_counts(table, self.categories, self.year, margins=self.margins, noise=noise)
        if self.merge is None or not isinstance(self.categories, Brackets):
            return people
        return merge_categories(people, self.categories, merge_classes(self.categories, self.merge))

    def known(self, measures: pd.DataFrame) -> pd.DataFrame:
        """Return the tracts that are counted, with the columns of their counts."""
        table = pd.DataFrame(measures[self.columns(list(measures.columns))])
        return table[~self._lacking(table)] if self.missing == "leave-out" else table

    def unknown(self, measures: pd.DataFrame) -> pd.Index:
        """Return the tracts that are left out because a count is missing."""
        if self.missing != "leave-out":
            return measures.index[:0]
        return measures.index[self._lacking(measures[self.columns(list(measures.columns))])]

    def interviews(self, table: pd.DataFrame) -> Floats | None:
        """Return the people interviewed in each tract, where a column holds them.

        Raises
        ------
        CountsError
            If a number is missing or negative.
        """
        column = self.sampling(list(table.columns)).column
        if column is None:
            return None
        found = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        bad = ~((found >= 0) & (found <= LARGEST))
        if bad.any():
            row = int(np.argmax(bad))
            raise CountsError(
                f"tract {table.index[row]}, column {column}: found {table[column].iloc[row]}, expected a number of "
                "interviews, 0 or more"
            )
        return np.asarray(found)

    def _lacking(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        # A margin that is missing leaves a tract in, unless counts are drawn from it.
        counts = self.categories.columns(list(table.columns), self.year, margins=self.margins)
        return np.asarray(table[counts].isna().any(axis=1))


def units_of(
    measures: Any,
    where: Any,
    people: People,
    *,
    levels: Mapping[str, Any] | None = None,
    tracts: Any = None,
    edges: Any = None,
) -> Any:
    """Return the units of all partitions, sorted by key and region.

    Parameters
    ----------
    measures : DataFrame, in memory or on Dask
    where : DataFrame, aligned
        See `frames.regions.regions_of`.
    people : People
    levels : mapping of str to DataFrame, optional
        Areas between region and unit, each as `where`.
    tracts : GeoDataFrame, optional
        Polygons; a column ``aland`` holds land in m², where it is known.
    edges : DataFrame, optional
        Indexed by focal, with a column neighbor.

    Raises
    ------
    CountsError
        If a count is missing, negative or infinite, or categories do not add up.
    """
    others = {**{f"{LEVEL}{name}": level for name, level in (levels or {}).items()}, "tracts": tracts, "edges": edges}
    pieces = {name: frame for name, frame in others.items() if frame is not None}
    empty = [empty_of(frame) for frame in (measures, where, *pieces.values())]
    return own_rows(
        _units,
        measures,
        where,
        *pieces.values(),
        meta=lambda: _units(*empty, pieces=tuple(pieces), people=people),
        pieces=tuple(pieces),
        people=people,
    )


def _units(
    measures: pd.DataFrame, where: pd.DataFrame, *frames: pd.DataFrame, pieces: Sequence[str], people: People
) -> pd.DataFrame:
    """Return the units of one partition."""
    table = people.known(measures)
    keys, found = to_codes(table.index), people.counts(table)
    if not keys.is_unique:
        raise InputError(f"measures: found the key {keys[keys.duplicated()][0]!r} twice, expected one row per tract")
    if people.regions is not None:
        where = where[where["region"].isin(people.regions)]
    where = where[where["afact"] > 0].reset_index()
    where = where.assign(geoid=codes_like(where["geoid"], keys)).sort_values(["geoid", "region"])
    rows = keys.get_indexer(where["geoid"])
    where, rows = where[rows >= 0], rows[rows >= 0]
    geoids = pd.Index(where["geoid"].to_numpy(keys.dtype), name="geoid")
    share = where["afact"].to_numpy(dtype=np.float64)[:, None]
    columns = [where[["region", "region_name"]].set_axis(geoids)]

    def add(values: Floats, names: Sequence[str]) -> None:
        columns.append(pd.DataFrame(values, index=geoids, columns=list(names)))

    add(found.counts[rows] * share, [f"{COUNT}{name}" for name in found.names])
    if found.standard_errors is not None:
        add(found.standard_errors[rows] * share, [f"{ERROR}{name}" for name in found.names])
    if found.noise is not None:
        # Of a part of a tract: as many interviews, of fewer people.
        add(found.noise[rows] * share ** np.array([2.0, 1.0, 2.0]), NOISE)
    interviews = people.interviews(table)
    if interviews is not None:
        add(interviews[rows, None] * share, [INTERVIEWS])
    if found.leaves is not None:
        n_leaves = found.leaves.shape[1]
        names = [f"{LEAF}{number} {name}" for number in range(n_leaves) for name in found.names]
        add((found.leaves[rows] * share[..., None]).reshape(len(rows), len(names)), names)
    for name, frame in zip(pieces, frames, strict=True):
        if name == "tracts":
            add(_polygons(frame, geoids), ["land", "longitude", "latitude"])
        elif name == "edges":
            columns.append(pd.DataFrame({"neighbors": _neighbors(frame, geoids)}, index=geoids))
        else:
            columns.append(pd.DataFrame({name: _areas(frame, geoids)}, index=geoids))
    return pd.concat(columns, axis=1)


def left_out(measures: Any, where: Any, people: People) -> Any:
    """Return the tracts of all partitions that are no units, with the reason: in no region, or a count is missing."""
    empty = [empty_of(frame) for frame in (measures, where)]
    return own_rows(_left_out, measures, where, meta=lambda: _left_out(*empty, people=people), people=people)


def _left_out(measures: pd.DataFrame, where: pd.DataFrame, *, people: People) -> pd.DataFrame:
    unknown = people.unknown(measures)
    nowhere = measures.index.difference(unknown).difference(where.index)
    reasons = [NOWHERE] * len(nowhere) + [UNKNOWN] * len(unknown)
    return pd.DataFrame({"reason": reasons}, index=nowhere.append(unknown).rename("geoid")).astype({"reason": "str"})


def _areas(level: pd.DataFrame, geoids: pd.Index) -> NDArray[Any]:
    """Return the area of each unit; that of most of its people where several share it, its own where none holds it."""
    areas = level.sort_values("afact", kind="stable")["region"]
    areas = areas.set_axis(codes_like(pd.Series(areas.index), geoids))
    areas = areas[~areas.index.duplicated(keep="last")]
    return np.asarray(areas.reindex(geoids).fillna("").to_numpy(dtype=object))


def _polygons(tracts: pd.DataFrame, geoids: pd.Index) -> Floats:
    """Return land (km²) and centroids (degrees) of units, shape (n_units, 3); NaN where there is no polygon."""
    frame = gpd.GeoDataFrame(tracts).set_axis(to_codes(tracts.index)).reindex(geoids)
    if frame.crs is None:
        raise GeometryError("tracts: no coordinate system is given; expected one, for land and distances")
    refuse_coordinates(np.asarray(frame.geometry.array), frame.index, frame.crs, "tracts", "tract")
    land = np.full(len(geoids), np.nan)
    if "aland" in frame:
        land = frame["aland"].to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(land).any():
        land = np.where(np.isnan(land), frame.geometry.to_crs(EQUAL_AREA).area.to_numpy(), land)
    points = centroids(frame.geometry)
    there = ~np.isnan(points).any(axis=1)
    return np.column_stack([np.where(there, land / 1e6, np.nan), points])


def _neighbors(edges: pd.DataFrame, geoids: pd.Index) -> NDArray[Any]:
    """Return a list of neighbors for each unit, of whatever partition."""
    keys = geoids.to_numpy()
    focal = to_codes(edges.index)
    # Frames without edges have no column either where a frame in memory is empty.
    neighbor = codes_like(edges["neighbor"], focal) if "neighbor" in edges else focal.to_numpy()
    rows = rows_of(np.unique(keys), focal.to_numpy())
    order = np.argsort(rows, kind="stable")
    unit = rows_of(np.unique(keys), keys)
    first, last = (np.searchsorted(rows[order], unit, side=side) for side in ("left", "right"))
    lists = np.empty(len(keys), dtype=object)
    for place, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        lists[place] = neighbor[order[low:high]]
    return lists


# Arrays of units -------------------------------------------------------------------------------


def matrix(units: pd.DataFrame, prefix: str) -> Floats | None:
    """Return the columns of one kind, shape (n_units, n_columns); None where there are none."""
    names = [name for name in units.columns if str(name).startswith(prefix)]
    # One memory layout, so that sums along a row always add in one order.
    return np.ascontiguousarray(units[names].to_numpy(np.float64)) if names else None


def counts_of(units: pd.DataFrame) -> Floats:
    """Return the counts, shape (n_units, n_categories)."""
    counts = matrix(units, COUNT)
    if counts is None:
        raise DefinitionError("units: found no counts, expected a column for each category")
    return counts


def coded(regions: pd.Series) -> tuple[NDArray[Any], Integers]:
    """Return the different regions, sorted, and the position of each unit's among them."""
    codes, names = pd.factorize(regions.to_numpy(object), sort=True)
    return np.asarray(names, dtype=object), codes.astype(np.int64)


def edges_of(units: pd.DataFrame) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the edges of units: their keys, and those of their neighbors.

    Raises
    ------
    DefinitionError
        If neighbors are not known.
    """
    if "neighbors" not in units:
        raise DefinitionError("spatial indices need the neighbors of tracts (edges), found none")
    keys, lists = units.index.to_numpy(), units["neighbors"].to_list()
    focal = np.repeat(keys, [len(one) for one in lists])
    return focal, np.concatenate(lists) if lists else keys[:0]


def region_units(units: pd.DataFrame, **more: Any) -> tuple[NDArray[Any], RegionUnits]:
    """Return the regions of some units, sorted, and what kernels need of the units; `more` are further attributes."""
    regions, codes = coded(units["region"])
    given: dict[str, Any] = {"standard_errors": matrix(units, ERROR)}
    if INTERVIEWS in units:
        given["interviews"] = units[INTERVIEWS].to_numpy(np.float64)
    elif NOISE[0] in units:
        noise, spread, total = units[list(NOISE)].to_numpy(np.float64).T
        people = counts_of(units).sum(axis=1)
        given["interviews"] = effective_interviews(people, noise, spread, total, codes, len(regions))
        given["total_errors"] = np.sqrt(np.nan_to_num(total))
    if "land" in units:
        given |= {"land": units["land"].to_numpy(), "points": units[["longitude", "latitude"]].to_numpy()}
    levels = [name for name in units.columns if str(name).startswith(LEVEL)]
    if levels:
        given["levels"] = units[levels].to_numpy(object)
    if "neighbors" in units:
        one_region_each(units)
        at, to = (rows_of(units.index.to_numpy(), keys) for keys in edges_of(units))
        shape = (len(units), len(units))
        given["adjacency"] = sparse.csr_array((np.ones(int((to >= 0).sum())), (at[to >= 0], to[to >= 0])), shape=shape)
    return regions, RegionUnits(counts_of(units), codes, len(regions), **given, **more)


def one_region_each(units: pd.DataFrame) -> None:
    """Raise InputError if a tract lies in several regions."""
    twice = np.flatnonzero(units.index.duplicated())
    if twice.size:
        rows = units.iloc[[twice[0] - 1, twice[0]]]
        raise InputError(
            f"tract {rows.index[0]} lies in the regions {rows['region'].iloc[0]} and {rows['region'].iloc[1]}: "
            "spatial indices expect every tract in one region"
        )
