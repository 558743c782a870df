"""Mixing and segregation over partitions: totals and sums of regions that merge, and regions gathered where they must.

Two passes: the totals of every region, then the sums of all indices asked for, each once; both are exact, so neither
partitioning nor order changes a bit. What cannot be made of sums (sorted indices, distances, nesting, random draws) is
computed on *region blocks*: some whole regions in one task, whose units their states hand over.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.lift.halo import Band, Edges, band, neighborhood
from geomob_dask.metrics import segregation_draws as random
from geomob_dask.metrics.composition import relative_composition
from geomob_dask.metrics.counts import Floats, Integers
from geomob_dask.metrics.divergence import divergence, nested_divergence, scaled_divergence
from geomob_dask.metrics.entropy import entropy_index
from geomob_dask.metrics.location_quotient import location_quotient
from geomob_dask.metrics.segregation_catalog import SegregationIndex, terms_of
from geomob_dask.metrics.segregation_change import segregation_change
from geomob_dask.metrics.segregation_inference import (
    Evaluation,
    bootstrap_corrected,
    drawn_indices,
    evaluation,
    excess_over_evenness,
    interval,
    mean_of_draws,
    mutual_information_bias,
    p_value,
)
from geomob_dask.metrics.segregation_multi_group import information_theory, mutual_information
from geomob_dask.metrics.segregation_spatial import environment, neighborhood_weights
from geomob_dask.metrics.segregation_sums import RegionSums, Units, partial_sums
from geomob_dask.metrics.segregation_units import RegionUnits
from geomob_dask.metrics.wasserstein import (
    divergence_wasserstein_mixture,
    scaled_wasserstein,
    wasserstein,
    wasserstein_sign,
)
from geomob_dask.transforms.exact_sums import ExactSums

Names = NDArray[np.object_]
Values = dict[str, Floats]


@dataclass(frozen=True)
class Block:
    """Units that lie in a region, of one partition or of some regions: sorted by geoid, then by region.

    Attributes
    ----------
    geoids, region : shape (n_units,), text
        A tract that several regions share is a unit in each.
    counts : shape (n_units, n_groups)
        As many as live in the region.
    standard_errors : shape (n_units, n_groups), optional
    leaves : shape (n_units, n_leaves, n_groups), optional
        The finest parts of each unit.
    land : shape (n_units,), km², optional
        NaN where the unit has no polygon.
    points : shape (n_units, 2), degrees, optional
        Longitude and latitude of the centroid.
    levels : shape (n_units, n_levels), text, optional
        Areas between the region and the unit, from wide to narrow.
    edges : Edges, optional
        Neighbours of the units.
    """

    geoids: Names
    region: Names
    counts: Floats
    standard_errors: Floats | None = None
    leaves: Floats | None = None
    land: Floats | None = None
    points: Floats | None = None
    levels: Names | None = None
    edges: Edges | None = None

    def where(self, mask: NDArray[np.bool_]) -> "Block":
        """Return some of the units, with the edges that leave them."""
        kept: dict[str, Any] = {name: None if (rows := getattr(self, name)) is None else rows[mask] for name in _ROWS}
        edges = self.edges
        if edges is not None:
            edges = edges.where(np.isin(edges.focal, self.geoids[mask]))
        return Block(**kept, edges=edges)


_ROWS = ("geoids", "region", "counts", "standard_errors", "leaves", "land", "points", "levels")


def joined(blocks: Sequence[Block]) -> Block:
    """Return several blocks as one; in whatever order they come, its units stand in their own order."""
    rows = {name: [getattr(block, name) for block in blocks] for name in _ROWS}
    whole: dict[str, Any] = {name: None if parts[0] is None else np.concatenate(parts) for name, parts in rows.items()}
    order = np.lexsort((whole["region"].astype("U"), whole["geoids"].astype("U")))
    edges = None
    if blocks[0].edges is not None:
        pairs = [block.edges for block in blocks if block.edges is not None]
        edges = Edges(np.concatenate([one.focal for one in pairs]), np.concatenate([one.neighbor for one in pairs]))
    ordered: dict[str, Any] = {name: None if part is None else part[order] for name, part in whole.items()}
    return Block(**ordered, edges=edges)


# Totals and sums of regions ------------------------------------------------------------------


@dataclass(frozen=True)
class Tally:
    """What one partition adds to the totals of its regions.

    Attributes
    ----------
    regions : shape (n_regions,), text, sorted
    counts : ExactSums over these regions
    units : shape (n_regions,)
        How many units lie in each.
    """

    regions: Names
    counts: ExactSums
    units: Integers


@dataclass(frozen=True)
class Totals:
    """The totals of all regions.

    Attributes
    ----------
    regions : shape (n_regions,), text, sorted
    counts : shape (n_regions, n_groups)
    units : shape (n_regions,)
    """

    regions: Names
    counts: Floats
    units: Integers

    def codes(self, regions: Names) -> Integers:
        """Return the positions of regions, all of which must be among these."""
        return np.searchsorted(self.regions, regions).astype(np.int64)


# Sums of some regions, by the name of the sum: positions of the regions, and their sums.
PartialSums = tuple[Integers, dict[str, ExactSums]]


def tally(block: Block) -> Tally:
    """Add up the counts of one partition's regions."""
    regions, codes = _coded(block.region)
    return Tally(regions, ExactSums.of(block.counts, codes, len(regions)), np.bincount(codes, minlength=len(regions)))


def merge_tallies(tallies: Sequence[Tally]) -> Totals:
    """Add up the totals of all regions.

    Raises
    ------
    InputError
        If no unit lies in a region.
    """
    regions, _ = _coded(np.concatenate([one.regions for one in tallies]))
    if not len(regions):
        raise InputError("no tract lies in a region; expected regions of these tracts")
    places = [np.searchsorted(regions, one.regions) for one in tallies]
    counts = _placed(zip(places, (one.counts for one in tallies), strict=True), len(regions))
    units = np.zeros(len(regions), dtype=np.int64)
    for place, one in zip(places, tallies, strict=True):
        units[place] += one.units
    return Totals(regions, counts, units)


def partition_sums(block: Block, totals: Totals, indices: Sequence[SegregationIndex]) -> PartialSums:
    """Add up all terms of the indices over one partition's units."""
    codes, units = _units(block, totals)
    return codes, partial_sums(units, terms_of(indices))


@dataclass(frozen=True)
class Offer:
    """What a partition hands to those whose units have neighbours in it."""

    band: Band
    counts: Floats
    region: Floats


def offer(block: Block, totals: Totals) -> Offer:
    """Return the units near other partitions, with their counts and regions."""
    _one_region_a_unit(block)
    edges = _edges(block)
    near = band(pd.Index(block.geoids), edges)
    return Offer(near, block.counts[near.rows], totals.codes(block.region)[near.rows, None].astype(np.float64))


def environment_sums(
    block: Block, offers: Sequence[Offer], totals: Totals, indices: Sequence[SegregationIndex]
) -> PartialSums:
    """Add up the terms of spatial indices, with the people around each unit from its halo."""
    around = neighborhood(pd.Index(block.geoids), _edges(block), [one.band for one in offers])
    own_region = totals.codes(block.region)[:, None].astype(np.float64)
    counts = around.gather(block.counts, [(one.band.keys, one.counts) for one in offers])
    region = around.gather(own_region, [(one.band.keys, one.region) for one in offers])[:, 0].astype(np.int64)
    own = np.isin(np.arange(len(around.keys)), around.own)
    shares = environment(counts, neighborhood_weights(around.adjacency, region, own))
    codes, units = _units(block, totals)
    return codes, partial_sums(replace(units, environment=shares), terms_of(indices))


def evaluate_sums(totals: Totals, parts: Sequence[PartialSums], indices: Sequence[SegregationIndex]) -> Values:
    """Return indices of all regions from the sums of all partitions, each of shape (n_regions, …)."""
    gathered = {
        term.name: _placed(((codes, sums[term.name]) for codes, sums in parts), len(totals.regions))
        for term in terms_of(indices)
    }
    sums = RegionSums(totals.counts, sums=gathered)
    return {index.name: index.function(sums) for index in indices}


def _units(block: Block, totals: Totals) -> tuple[Integers, Units]:
    regions, local = _coded(block.region)
    codes = totals.codes(regions)
    return codes, Units(block.counts, local, totals.counts[codes])


def _coded(regions: Names) -> tuple[Names, Integers]:
    """Return the different regions, sorted, and the position of each unit's among them."""
    names, codes = np.unique(np.asarray(regions, dtype=object), return_inverse=True)
    return names, codes.astype(np.int64)


def _placed(parts: Iterable[tuple[Integers, ExactSums]], n_regions: int) -> Floats:
    """Merge sums over different regions into sums over all of them."""
    known = list(parts)
    lowest = min(sums.lowest for _, sums in known)
    highest = max(sums.lowest + sums.digits.shape[2] for _, sums in known)
    digits = np.zeros((n_regions, known[0][1].digits.shape[1], highest - lowest), dtype=np.int64)
    for places, sums in known:
        start = sums.lowest - lowest
        digits[places, :, start : start + sums.digits.shape[2]] += sums.digits
    return ExactSums(digits, lowest).rounded()


def _edges(block: Block) -> Edges:
    if block.edges is None:
        raise DefinitionError("spatial indices need the neighbours of the units, found none")
    return block.edges


def _one_region_a_unit(block: Block) -> None:
    twice = np.flatnonzero(block.geoids[1:] == block.geoids[:-1])
    if twice.size:
        first = twice[0]
        raise InputError(
            f"tract {block.geoids[first]} lies in the regions {block.region[first]} and {block.region[first + 1]}: "
            "spatial indices expect every tract in one region"
        )


# Mixing --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mixture:
    """What is asked of income mixing.

    Attributes
    ----------
    positions : shape (n_brackets,), optional
        Where the brackets lie; neighbours are 1 apart by default.
    cuts : quantiles of the region between low, middle and high.
    weight : of D in the mixture of D and W.
    paths : paths of the finest parts within a unit, one for each leaf; empty where units have no parts.
    """

    positions: Floats | None
    cuts: tuple[float, float]
    weight: float
    paths: tuple[tuple[str, ...], ...] = ()


def mixing(block: Block, totals: Totals, asked: Mixture) -> pd.DataFrame:
    """Return the measures of mixing of one partition's units, a row each."""
    codes = totals.codes(block.region)
    n_brackets = totals.counts.shape[1]
    reference = totals.counts[codes]
    D = divergence(block.counts, reference)
    W = wasserstein(block.counts, reference, asked.positions)
    composition = relative_composition(block.counts, totals.counts, codes, asked.cuts)
    scaled_D = scaled_divergence(D, n_brackets)
    scaled_W = scaled_wasserstein(W, n_brackets, asked.positions)
    people = block.counts.sum(axis=1)
    columns = {
        "region": pd.array(block.region, dtype="str"),
        "people": people,
        "divergence": D,
        **_parts(block, reference, asked.paths),
        "divergence_scaled": scaled_D,
        "entropy_index": entropy_index(block.counts, reference),
        "wasserstein": W,
        "wasserstein_signed": W * wasserstein_sign(block.counts, reference, asked.positions),
        "wasserstein_scaled": scaled_W,
        "mixture": divergence_wasserstein_mixture(scaled_D, scaled_W, asked.weight),
        "low": composition[:, 0],
        "middle": composition[:, 1],
        "high": composition[:, 2],
        "reason": pd.array(np.where(people > 0, "", EMPTY), dtype="str"),
    }
    return pd.DataFrame(columns, index=pd.Index(block.geoids, dtype="str", name="geoid"))


EMPTY = "nobody is counted here"


def _parts(block: Block, reference: Floats, paths: Sequence[tuple[str, ...]]) -> Values:
    """Return what each level of a unit's parts adds to D, and D of the finest parts."""
    if block.leaves is None:
        return {}
    n_units, n_leaves, n_brackets = block.leaves.shape
    depth = max(map(len, paths))
    # What is not divided further goes on as itself.
    padded = [(*path, *["/".join(path)] * (depth - len(path))) for path in paths]
    steps = np.stack([np.unique([path[level] for path in padded], return_inverse=True)[1] for level in range(depth)], 1)
    tract = np.repeat(np.arange(n_units), n_leaves)
    full = np.column_stack([tract, np.tile(steps, (n_units, 1))])
    parts = nested_divergence(block.leaves.reshape(-1, n_brackets), full, reference)
    names = [f"divergence_level_{level}" for level in range(1, depth + 1)]
    return {**dict(zip(names, parts[:, 1:].T, strict=True)), "divergence_nested": parts.sum(axis=1)}


def local_segregation(block: Block, totals: Totals, names: Sequence[str]) -> pd.DataFrame:
    """Return the local scores of one partition's units: divergence from the region, location quotients."""
    reference = totals.counts[totals.codes(block.region)]
    quotients = location_quotient(block.counts, reference)
    columns = {
        "region": pd.array(block.region, dtype="str"),
        "people": block.counts.sum(axis=1),
        "local_divergence": divergence(block.counts, reference),
        **{f"location_quotient_{name}": quotients[:, place] for place, name in enumerate(names)},
    }
    return pd.DataFrame(columns, index=pd.Index(block.geoids, dtype="str", name="geoid"))


# Region blocks -------------------------------------------------------------------------------


@dataclass(frozen=True)
class RegionBlock:
    """Some regions that one task computes together.

    Attributes
    ----------
    name : str
    regions : tuple of str, sorted
    states : tuple of str
        Partitions that hold their units.
    units : int
    """

    name: str
    regions: tuple[str, ...]
    states: tuple[str, ...]
    units: int


def region_blocks(tallies: Mapping[str, Tally], size: int) -> list[RegionBlock]:
    """Share regions out among blocks of about `size` units, those of one state together, the largest first.

    Which block a region is in changes none of its numbers.
    """
    states: dict[str, list[str]] = {}
    units: dict[str, int] = {}
    for state, one in tallies.items():
        for region, count in zip(one.regions.tolist(), one.units.tolist(), strict=True):
            states.setdefault(region, []).append(state)
            units[region] = units.get(region, 0) + count
    groups: list[list[str]] = []
    filled = size
    for region in sorted(states, key=lambda region: (states[region][0], region)):
        if filled + units[region] > size:
            groups.append([])
            filled = 0
        groups[-1].append(region)
        filled += units[region]
    blocks = [
        RegionBlock(
            f"{sorted(group)[0]}+{len(group) - 1}",
            tuple(sorted(group)),
            tuple(sorted({state for region in group for state in states[region]})),
            sum(units[region] for region in group),
        )
        for group in groups
    ]
    return sorted(blocks, key=lambda block: (-block.units, block.name))


def select(block: Block, regions: Sequence[str]) -> Block:
    """Return the units of some regions."""
    return block.where(np.isin(block.region, list(regions)))


@dataclass(frozen=True)
class Gathered:
    """All units of some regions, together in one task.

    Attributes
    ----------
    regions : tuple of str
    units : Block
    codes : shape (n_units,)
        Position of each unit's region.
    """

    regions: tuple[str, ...]
    units: Block
    codes: Integers


def gather(regions: Sequence[str], blocks: Sequence[Block]) -> Gathered:
    """Bring the units of some regions together."""
    units = joined(blocks)
    return Gathered(tuple(regions), units, np.searchsorted(list(regions), units.region.astype("U")).astype(np.int64))


def evaluate_gathered(gathered: Gathered, indices: Sequence[SegregationIndex], cutoff: float) -> Values:
    """Return indices that need all units of a region at once, each of shape (n_regions, …)."""
    units = _as_units(gathered.units, gathered.codes, len(gathered.regions), cutoff)
    return {index.name: index.of(units) for index in indices}


def _as_units(units: Block, codes: Integers, n_regions: int, cutoff: float = 15.0) -> RegionUnits:
    return RegionUnits(
        units.counts,
        codes,
        n_regions,
        land=units.land,
        points=units.points,
        levels=units.levels,
        adjacency=None if units.edges is None else _adjacency(units),
        standard_errors=units.standard_errors,
        cutoff=cutoff,
    )


# Inference -----------------------------------------------------------------------------------

NULLS: dict[str, Callable[[Block], random.Sampler]] = {
    "evenness": lambda units: random.evenness(units.counts),
    "units": lambda units: random.permuted_units(units.counts),
    "persons": lambda units: random.permuted_persons(units.counts),
}
INTERVALS: dict[str, Callable[[Block], random.Sampler]] = {
    "persons": lambda units: random.resampled_persons(units.counts),
    "units": lambda units: random.resampled_units(units.counts),
    "moe": lambda units: random.margin_of_error_draws(units.counts, _errors(units)),
}
# Counts held at a time while drawing: memory of a task is about ten times this.
_CELLS = 2_000_000
# Equal up to rounding counts as at least as large: sums over draws run in another order.
_TIE = 1e-12


def _errors(units: Block) -> Floats:
    if units.standard_errors is None:
        raise DefinitionError("draws from margins of error need them, found counts alone")
    return units.standard_errors


def can_be_drawn(index: SegregationIndex) -> bool:
    """Tell whether an index is computed over random draws."""
    return index.strategy.drawable


def is_spatial(index: SegregationIndex) -> bool:
    """Tell whether an index looks at where units lie: others are the same however units change places."""
    return index.strategy.spatial


@dataclass(frozen=True)
class Draws:
    """Which draws to make.

    Attributes
    ----------
    purpose : {"null", "interval"}
    kind : str
        A key of `NULLS` or `INTERVALS`.
    seed, year : int
    indices : sequence of SegregationIndex
    """

    purpose: str
    kind: str
    seed: int
    year: int
    indices: tuple[SegregationIndex, ...]

    def key(self, region: str) -> random.DrawKey:
        """Return the key of a region's draws: nulls and intervals have streams of their own."""
        return random.DrawKey(self.seed, region if self.purpose == "null" else f"{region}/{self.purpose}", self.year)


def draw(gathered: Gathered, asked: Draws, numbers: Sequence[int]) -> Values:
    """Return indices over some draws, each of shape (n_draws, n_regions, …)."""
    kinds = NULLS if asked.purpose == "null" else INTERVALS
    by_region = []
    for place, region in enumerate(gathered.regions):
        units = gathered.units.where(gathered.codes == place)
        sampler = kinds[asked.kind](units)
        by_region.append(
            drawn_indices(sampler, _evaluation(units, asked.indices), asked.key(region), numbers, cells=_CELLS)
        )
    return {index.name: np.stack([values[index.name] for values in by_region], axis=1) for index in asked.indices}


def _evaluation(units: Block, indices: Sequence[SegregationIndex]) -> Evaluation:
    """Return the evaluation of indices over draws of one region's units."""
    alone = _as_units(units, np.zeros(len(units.geoids), dtype=np.int64), 1)
    return evaluation({index.name: index.of for index in indices}, alone)


def _adjacency(units: Block) -> sparse.csr_array:
    keys, edges = pd.Index(units.geoids), _edges(units)
    focal, neighbor = keys.get_indexer(edges.focal), keys.get_indexer(edges.neighbor)
    inside = (focal >= 0) & (neighbor >= 0)
    shape = (len(keys), len(keys))
    return sparse.csr_array((np.ones(int(inside.sum())), (focal[inside], neighbor[inside])), shape=shape)


def infer(
    gathered: Gathered, null: Sequence[Values], around: Sequence[Values], indices: Sequence[SegregationIndex], kind: str
) -> dict[str, Values]:
    """Return what draws tell, by index: ``p``, ``null``, ``excess``, ``lower``, ``upper``, ``corrected``.

    Parameters
    ----------
    null, around : draws of the null, and of the interval (either may be empty), in parts
        The interval of 90 % is the basic one, ``2 · estimate − quantile`` (Davison & Hinkley 1997, §5.2).
    kind : of the null
    """
    observed = _observed(gathered, indices)
    found: dict[str, Values] = {}
    for index in indices:
        value, columns = observed[index.name], {}
        if null:
            drawn = np.concatenate([part[index.name] for part in null])
            columns["p"] = p_value(value - _TIE, drawn)
            columns["null"] = mean_of_draws(drawn)
            if kind == "evenness" and index.bounds == (0.0, 1.0):
                columns["excess"] = excess_over_evenness(value, drawn)
        if around:
            drawn = np.concatenate([part[index.name] for part in around])
            # Draws lie around the estimate as it does around what it estimates: their bias is turned round too.
            low, high = interval(drawn)
            columns["lower"], columns["upper"] = 2 * value - high, 2 * value - low
            columns["corrected"] = bootstrap_corrected(value, drawn)
        found[index.name] = columns
    return found


def _observed(gathered: Gathered, indices: Sequence[SegregationIndex]) -> Values:
    by_region = []
    for place in range(len(gathered.regions)):
        units = gathered.units.where(gathered.codes == place)
        by_region.append(_evaluation(units, indices)(units.counts[None]))
    return {index.name: np.concatenate([values[index.name] for values in by_region]) for index in indices}


def bias(gathered: Gathered) -> Floats:
    """Return the plug-in bias of M of each region, from margins of error where there are any."""
    units = gathered.units
    return mutual_information_bias(
        units.counts, gathered.codes, len(gathered.regions), standard_errors=units.standard_errors
    )


# Change over years ---------------------------------------------------------------------------


def change(regions: Sequence[str], first: Sequence[Block], second: Sequence[Block]) -> Values:
    """Return the parts of the change of M and H between two years, by the name of their column."""
    years = [joined(blocks) for blocks in (first, second)]
    keys = pd.MultiIndex.from_arrays(np.concatenate([[year.region, year.geoids] for year in years], axis=1)).unique()
    keys = keys.sort_values()
    tables = []
    for year in years:
        table = np.zeros((len(keys), year.counts.shape[1]))
        table[keys.get_indexer(pd.MultiIndex.from_arrays([year.region, year.geoids]))] = year.counts
        tables.append(table)
    codes = np.searchsorted(list(regions), keys.get_level_values(0).to_numpy(dtype="U")).astype(np.int64)
    columns: Values = {}
    for name, index in (("mutual_information", mutual_information), ("information_theory", information_theory)):
        found = segregation_change(tables[0], tables[1], codes, len(regions), index=index)
        columns[f"{name}_before"] = found.first
        columns[f"{name}_change"] = found.second - found.first
        for part in ("removals", "additions", "unit_marginal", "group_marginal", "structural"):
            columns[f"{name}_change_{part}"] = getattr(found, part)
    return columns
