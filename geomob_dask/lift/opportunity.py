"""The opportunity index over partitions: own rows, halo rows and small reductions.

What goes through one task for all tracts is small: exact sums of each measure (twice), the columns of domain sums to
be ranked, and the smallest and largest deprivation. No task sees the rows of all partitions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from dask.delayed import Delayed
from numpy.typing import NDArray

from geomob_dask.definition import Definition
from geomob_dask.errors import DefinitionError
from geomob_dask.lift.halo import Band, Edges, Neighborhood, band, neighborhood
from geomob_dask.lift.tasks import Run
from geomob_dask.transforms import impute as imputation
from geomob_dask.transforms import opportunity as index
from geomob_dask.transforms.principal_component import correlations, cross_products, first_component
from geomob_dask.transforms.rank_exponential import Ranking, percentile_ranks, ranking
from geomob_dask.transforms.standardize import (
    Sums,
    column_sums,
    means,
    merge_sums,
    squared_deviations,
    standard_deviations,
    z_scores,
)

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """The tracts of one partition that take part, and those that cannot.

    Parameters
    ----------
    keys : Index
        Tracts with a row of measures and, where neighbours count, a polygon; sorted.
    observed : shape (n_tracts, n_measures)
        Coded so that higher means more deprivation.
    population : shape (n_tracts,), persons
    edges : Edges
        Neighbours of these tracts, in any partition.
    imputes : bool
        Whether missing values are to be filled from neighbours.
    left_out : Series
        The reason, by tract, for those without a polygon or without a row.
    """

    keys: pd.Index
    observed: Rows
    population: NDArray[np.float64]
    edges: Edges
    imputes: bool
    left_out: "pd.Series[str]"


NO_POLYGON = "no polygon in this vintage"
NO_MEASURES = "no row in the measures"


def block(tracts: pd.Index, measures: pd.DataFrame, edges: Edges, definition: Definition) -> Block:
    """Bring one partition's polygons, measures and edges together.

    Raises
    ------
    DefinitionError
        If the definition names a column that is absent or not numeric.
    """
    wanted = definition.columns
    absent = [name for name in wanted if name not in measures.columns]
    if absent:
        raise DefinitionError(
            f"definition {definition.name!r}: no column {', '.join(absent)} in the measures; "
            f"expected one of: {', '.join(map(str, measures.columns))}"
        )
    text = [name for name in wanted if not pd.api.types.is_numeric_dtype(measures[name])]
    if text:
        raise DefinitionError(f"definition {definition.name!r}: column {', '.join(text)} holds text, expected numbers")
    needs_polygon = definition.parameters.uses_neighbors
    keys = (tracts.intersection(measures.index) if needs_polygon else measures.index).sort_values()
    rows = measures.loc[keys]
    left_out = pd.concat(
        [
            pd.Series(NO_POLYGON, index=measures.index.difference(tracts.union(keys)), dtype=object),
            pd.Series(NO_MEASURES, index=tracts.difference(measures.index), dtype=object),
        ]
    ).sort_index()
    return Block(
        keys=keys,
        observed=rows[list(definition.measures)].to_numpy(float) * np.array(definition.directions, dtype=float),
        population=np.ones(len(rows)) if definition.population is None else rows[definition.population].to_numpy(float),
        edges=edges.where(keys.get_indexer(edges.focal) >= 0),
        imputes=definition.parameters.imputes,
        left_out=left_out,
    )


@dataclass(frozen=True)
class Prepared:
    """A block with its missing values imputed and its empty tracts blanked."""

    around: Neighborhood
    measured: Rows
    how: NDArray[np.uint8]


@dataclass(frozen=True)
class Reference:
    """What a run ranks against: moments of each measure and the sorted sums of each domain.

    Computed from the tracts of the run itself, or kept from a reference year.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    rankings: tuple[Ranking, ...]


@dataclass(frozen=True)
class Lifted:
    """Delayed results by partition, and the reference they were computed against (None: the recipe has none)."""

    results: Mapping[str, Delayed]
    reference: Delayed | Reference | None


Parts = Mapping[str, Delayed]


@dataclass(frozen=True)
class _Lifting:
    """Tasks over the partitions of one group of tracts."""

    blocks: Parts
    reach: Mapping[str, Sequence[str]]
    run: Run
    group: str

    def each(self, stage: str, function: Any, *inputs: Parts, **constants: Any) -> dict[str, Delayed]:
        """Apply a function to every partition."""
        return {
            name: self.run.task(stage, name, function, *(given[name] for given in inputs), **constants)
            for name in self.blocks
        }

    def each_with_halo(self, stage: str, function: Any, *inputs: Parts, offers: Parts) -> dict[str, Delayed]:
        """Apply a function to every partition and the list of what those within its reach offer."""
        return {
            name: self.run.task(stage, name, function, *(given[name] for given in inputs), self._near(offers, name))
            for name in self.blocks
        }

    def _near(self, offers: Parts, name: str) -> list[Delayed]:
        near = sorted(self.reach.get(name, ()))
        return [offers[other] for other in near if other in self.blocks and other != name]

    def reduce(self, stage: str, function: Any, parts: Parts, *constants: Any) -> Delayed:
        """Apply a function to the list of what all partitions contribute."""
        return self.run.task(stage, self.group, function, list(parts.values()), *constants)


def opportunity(
    blocks: Parts,
    reach: Mapping[str, Sequence[str]],
    definition: Definition,
    *,
    reference: Reference | None = None,
    steps: bool = False,
    run: Run | None = None,
    group: str = "all",
) -> Lifted:
    """Return the index of every partition, as delayed frames; nothing is computed yet.

    Parameters
    ----------
    blocks : mapping of str to delayed Block
        By partition: together they are the tracts whose neighbours, moments and ranks count.
    reach : mapping of str to sequence of str
        Partitions within two steps of each; others than `blocks` are ignored.
    reference : Reference, optional
        Moments and ranks to use instead of those of these tracts; for the recipe ``opportunity``.
    steps : bool
        Whether frames also hold imputed values (``value_<measure>``), z-scores or percentile ranks
        (``standard_<measure>``), domain sums (``sum_<domain>``) and scores before filling (``before_<domain>``).
    group : str
        Names the tasks that see all partitions.

    Returns
    -------
    Lifted
        Frames indexed by ``geoid`` with one column a domain, ``deprivation``, ``opportunity`` and flags.
    """
    lifting = _Lifting(blocks, reach, run or Run("opportunity"), group)
    chosen = definition.parameters
    bands = lifting.each("border", _offer, blocks)
    prepared = lifting.each_with_halo("impute", _prepare, blocks, offers=bands)
    scored = _RECIPES[chosen.recipe](lifting, prepared, definition, reference)
    filled = scored.scores
    if chosen.fills:
        offers = lifting.each("border-scores", _offer_scores, bands, scored.scores)
        filled = lifting.each_with_halo("fill", _fill, prepared, scored.scores, offers=offers)
    deprived = scored.overall or lifting.each("combine", index.deprivation, filled)
    extremes = None
    if chosen.reverse == "minmax":
        extremes = lifting.reduce("extremes", _extremes, lifting.each("range", _range, deprived))
    results = lifting.each(
        "index",
        _table,
        blocks,
        prepared,
        scored.standard,
        scored.sums,
        scored.scores,
        filled,
        deprived,
        extremes=extremes,
        definition=definition,
        steps=steps,
    )
    return Lifted(results, scored.reference)


@dataclass(frozen=True)
class _Scored:
    """What a recipe makes of the prepared measures, by partition.

    Parameters
    ----------
    standard : delayed arrays, shape (n_tracts, n_measures)
        z-scores or percentile ranks.
    sums, scores : delayed arrays, shape (n_tracts, n_domains)
        Sums over each domain's measures, and the domains' scores.
    overall : delayed arrays, shape (n_tracts,), optional
        Deprivation, where it is not the mean of the scores.
    """

    standard: Parts
    sums: Parts
    scores: Parts
    overall: Parts | None = None
    reference: Delayed | Reference | None = None


def _opportunity(lifting: _Lifting, prepared: Parts, definition: Definition, given: Reference | None) -> _Scored:
    """z-scores, summed by domain, ranked, transformed exponentially."""
    if given is None:
        mean, deviation = _moments(lifting, prepared, definition)
    else:
        mean, deviation = given.mean, given.deviation
    standard = lifting.each("standardize", _z_scores, prepared, mean=mean, deviation=deviation)
    sums = lifting.each("sum-domains", index.domain_sums, standard, domain_of=definition.domain_of)
    reference: Delayed | Reference
    if given is None:
        rankings = lifting.reduce("rank", _rankings, sums, definition.parameters.tie_tolerance)
        reference = lifting.run.task("reference", lifting.group, Reference, mean, deviation, rankings)
    else:
        rankings, reference = given.rankings, given
    scores = lifting.each("score", index.score, sums, among=rankings, scale=definition.parameters.scale)
    return _Scored(standard, sums, scores, reference=reference)


def _z_mean(lifting: _Lifting, prepared: Parts, definition: Definition, given: Reference | None) -> _Scored:
    """z-scores, averaged over each domain; the index is the mean of the domains."""
    mean, deviation = _moments(lifting, prepared, definition)
    standard = lifting.each("standardize", _z_scores, prepared, mean=mean, deviation=deviation)
    sums = lifting.each("sum-domains", index.domain_sums, standard, domain_of=definition.domain_of)
    return _Scored(standard, sums, lifting.each("score", _averages, sums, sizes=np.bincount(definition.domain_of)))


def _svi(lifting: _Lifting, prepared: Parts, definition: Definition, given: Reference | None) -> _Scored:
    """Percentile ranks of measures, of their sums by domain, and of the sum of those sums."""
    tolerance = definition.parameters.tie_tolerance
    measured = lifting.each("measured", _measured, prepared)
    ranks = lifting.reduce("rank-measures", _rankings, measured, tolerance)
    standard = lifting.each("standardize", _percentiles, measured, among=ranks)
    sums = lifting.each("sum-domains", index.domain_sums, standard, domain_of=definition.domain_of)
    scores = lifting.each("score", _percentiles, sums, among=lifting.reduce("rank", _rankings, sums, tolerance))
    totals = lifting.each("total", _total, sums)
    ranked = lifting.each(
        "rank-total", _percentiles, totals, among=lifting.reduce("rank-all", _rankings, totals, tolerance)
    )
    return _Scored(standard, sums, scores, overall=lifting.each("combine", np.ravel, ranked))


def _principal_component(
    lifting: _Lifting, prepared: Parts, definition: Definition, given: Reference | None
) -> _Scored:
    """First principal component of the complete rows, scaled to 0…1; a domain's score is its part of it."""
    by_people = definition.parameters.recipe == "weighted_principal_component"
    weights = lifting.each("weigh", _weights, lifting.blocks, prepared, by_people=by_people)
    mean = lifting.reduce("mean", _weighted_mean, lifting.each("sum", _weighted_sums, prepared, weights))
    products = lifting.each("cross", _cross_products, prepared, weights, mean=mean)
    component = lifting.reduce("component", _component, products, definition.measures)
    standard = lifting.each("standardize", _on_component, prepared, mean=mean, component=component)
    sums = lifting.each("sum-domains", index.domain_sums, standard, domain_of=definition.domain_of)
    totals = lifting.each("total", _total, sums)
    extremes = lifting.reduce("extremes-of-component", _extremes, lifting.each("range-of-component", _range, totals))
    return _Scored(standard, sums, sums, overall=lifting.each("combine", _unit_scale, totals, extremes=extremes))


_RECIPES = {
    "opportunity": _opportunity,
    "z_mean": _z_mean,
    "svi": _svi,
    "principal_component": _principal_component,
    "weighted_principal_component": _principal_component,
}


def _moments(lifting: _Lifting, prepared: Parts, definition: Definition) -> tuple[Delayed, Delayed]:
    mean = lifting.reduce("mean", means, lifting.each("sum", _sums, prepared))
    squares = lifting.each("deviate", _squares, prepared, mean=mean)
    return mean, lifting.reduce("deviation", standard_deviations, squares, definition.measures)


@dataclass(frozen=True)
class _Offer:
    band: Band
    observed: Rows


def _offer(own: Block) -> _Offer:
    offered = band(own.keys, own.edges)
    return _Offer(offered, own.observed[offered.rows])


def _prepare(own: Block, offers: list[_Offer]) -> Prepared:
    around = neighborhood(own.keys, own.edges, [offer.band for offer in offers])
    values = around.gather(own.observed, [(offer.band.keys, offer.observed) for offer in offers])
    if own.imputes:
        filled, how = imputation.impute(around.own, around.adjacency, values)
    else:
        filled = own.observed
        how = np.where(np.isnan(filled), imputation.MISSING, imputation.OBSERVED).astype(np.uint8)
    return Prepared(around, index.blank_empty(filled, own.population), how)


def _measured(own: Prepared) -> Rows:
    return own.measured


def _sums(own: Prepared) -> Sums:
    return column_sums(own.measured)


def _squares(own: Prepared, mean: NDArray[np.float64]) -> Sums:
    return squared_deviations(own.measured, mean)


def _z_scores(own: Prepared, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> Rows:
    return z_scores(own.measured, mean, deviation)


def _rankings(columns: list[Rows], tolerance: float) -> tuple[Ranking, ...]:
    return tuple(ranking(column, tolerance) for column in np.concatenate(columns).T)


def _percentiles(values: Rows, among: Sequence[Ranking]) -> Rows:
    columns = [percentile_ranks(column, groups) for column, groups in zip(values.T, among, strict=True)]
    return np.stack(columns, axis=1)


def _averages(sums: Rows, sizes: NDArray[np.int64]) -> Rows:
    return sums / sizes


def _total(sums: Rows) -> Rows:
    """Return the sum over domains as one column."""
    return index.domain_sums(sums, (0,) * sums.shape[1])


def _weights(own: Block, prepared: Prepared, *, by_people: bool) -> NDArray[np.float64]:
    """Return each row's weight: nothing for one with a missing value, else one or its people."""
    complete = np.logical_not(np.isnan(prepared.measured).any(axis=1))
    people = np.nan_to_num(own.population) if by_people else np.ones(len(complete))
    return np.where(complete, people, 0.0)


def _weighted_sums(own: Prepared, weights: NDArray[np.float64]) -> Sums:
    counted = weights > 0
    columns = np.column_stack([np.ones(len(weights)), own.measured])
    return column_sums(columns[counted] * weights[counted, np.newaxis])


def _weighted_mean(parts: list[Sums]) -> NDArray[np.float64]:
    _, sums = merge_sums(parts)
    if not sums[0] > 0:
        raise DefinitionError("no tract has all measures of the definition; expected some complete rows")
    return np.asarray(sums[1:] / sums[0])


def _cross_products(own: Prepared, weights: NDArray[np.float64], mean: NDArray[np.float64]) -> Sums:
    counted = weights > 0
    return column_sums(cross_products(own.measured[counted], mean, weights[counted]))


def _component(parts: list[Sums], measures: Sequence[str]) -> Rows:
    """Return loading over spread of each measure: what a centred value is multiplied with."""
    _, products = merge_sums(parts)
    correlation, spread = correlations(products, len(measures))
    flat = [name for name, width in zip(measures, spread, strict=True) if not width > 0]
    if flat:
        raise DefinitionError(
            f"measure without variance over the complete rows: {', '.join(flat)}; expected two values"
        )
    return first_component(correlation) / spread


def _on_component(own: Prepared, mean: NDArray[np.float64], component: NDArray[np.float64]) -> Rows:
    return (own.measured - mean) * component


def _unit_scale(totals: Rows, extremes: tuple[float, float]) -> NDArray[np.float64]:
    low, high = extremes
    return np.asarray((totals[:, 0] - low) / (high - low))


def _offer_scores(offer: _Offer, scores: Rows) -> tuple[pd.Index, Rows]:
    return offer.band.keys, scores[offer.band.rows]


def _fill(own: Prepared, scores: Rows, offers: list[tuple[pd.Index, Rows]]) -> Rows:
    around = own.around.gather(scores, offers)
    return index.fill_holes(scores, own.around.adjacency[own.around.own], around)


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    return (float(known.min()), float(known.max())) if len(known) else (np.inf, -np.inf)


def _extremes(ranges: list[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _table(
    own: Block,
    prepared: Prepared,
    standard: Rows,
    sums: Rows,
    before: Rows,
    scores: Rows,
    deprived: NDArray[np.float64],
    *,
    extremes: tuple[float, float] | None,
    definition: Definition,
    steps: bool,
) -> pd.DataFrame:
    """Return the rows of one partition, those that took no part included."""
    domains, measures = list(definition.domains), definition.measures
    columns: dict[str, Any] = {name: scores[:, number] for number, name in enumerate(domains)}
    columns["deprivation"] = deprived
    columns["opportunity"] = index.opportunity(deprived, extremes, top=definition.parameters.top)
    columns["population_zero"] = own.population == 0
    columns["imputed_direct"] = _named(prepared.how == imputation.DIRECT, measures)
    columns["imputed_once_removed"] = _named(prepared.how == imputation.ONCE_REMOVED, measures)
    columns["filled_domains"] = _named(np.isnan(before) & ~np.isnan(scores), domains)
    columns["reason"] = _reasons(scores, deprived, own.population, domains)
    if definition.parameters.recipe == "svi":
        columns["flagged"] = _named(standard >= _FLAGGED, measures)
    if steps:
        columns |= {f"value_{name}": prepared.measured[:, k] for k, name in enumerate(measures)}
        columns |= {f"standard_{name}": standard[:, k] for k, name in enumerate(measures)}
        columns |= {f"sum_{name}": sums[:, k] for k, name in enumerate(domains)}
        columns |= {f"before_{name}": before[:, k] for k, name in enumerate(domains)}
    text = dict.fromkeys((name for name in _TEXT if name in columns), "str")
    table = pd.DataFrame(columns, index=own.keys).astype(text)
    table = table.reindex(own.keys.append(own.left_out.index).sort_values())
    table.loc[own.left_out.index, "reason"] = own.left_out
    table[list(text)] = table[list(text)].fillna("")
    table["population_zero"] = table["population_zero"].eq(True)
    return table.rename_axis("geoid")


def no_rows(definition: Definition, *, steps: bool = False) -> pd.DataFrame:
    """Return a result without rows: its columns and their types."""
    keys, nobody = pd.Index([], dtype="str"), np.zeros(0, dtype=object)
    measured, domains = np.zeros((0, len(definition.measures))), np.zeros((0, len(definition.domains)))
    edges = Edges(nobody, nobody)
    empty = Block(
        keys, measured, np.zeros(0), edges, definition.parameters.imputes, pd.Series(dtype=object, index=keys)
    )
    prepared = Prepared(neighborhood(keys, edges, []), measured, measured.astype(np.uint8))
    return _table(
        empty,
        prepared,
        measured,
        domains,
        domains,
        domains,
        np.zeros(0),
        extremes=None,
        definition=definition,
        steps=steps,
    )


_TEXT = ("imputed_direct", "imputed_once_removed", "filled_domains", "reason", "flagged")
# The Social Vulnerability Index flags tracts in the 90th percentile and above.
_FLAGGED = 0.9


def _named(flags: NDArray[np.bool_], names: Sequence[str]) -> list[str]:
    """Return, for each row, the names whose flag is set, separated by semicolons."""
    rows, columns = np.nonzero(flags)
    texts = [""] * len(flags)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        texts[row] += f"; {names[column]}" if texts[row] else names[column]
    return texts


def _reasons(
    scores: Rows, deprived: NDArray[np.float64], population: NDArray[np.float64], domains: Sequence[str]
) -> list[str]:
    """Say why a tract has no index: which domains have no score."""
    lacking = _named(np.isnan(scores), domains)
    return [
        f"{'nobody lives here; ' if empty else ''}no score in: {names}" if missing else ""
        for names, empty, missing in zip(lacking, population == 0, np.isnan(deprived), strict=True)
    ]
