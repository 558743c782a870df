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
from geomob_dask.transforms.rank_exponential import Ranking, ranking
from geomob_dask.transforms.standardize import (
    Sums,
    column_sums,
    means,
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
        Tracts with a polygon and a row of measures, sorted.
    observed : shape (n_tracts, n_measures)
        Coded so that higher means more deprivation.
    population : shape (n_tracts,), persons
    edges : Edges
        Neighbours of these tracts, in any partition.
    left_out : Series
        The reason, by tract, for those without a polygon or without a row.
    """

    keys: pd.Index
    observed: Rows
    population: NDArray[np.float64]
    edges: Edges
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
    wanted = [*definition.measures, definition.population]
    absent = [name for name in wanted if name not in measures.columns]
    if absent:
        raise DefinitionError(
            f"definition {definition.name!r}: no column {', '.join(absent)} in the measures; "
            f"expected one of: {', '.join(map(str, measures.columns))}"
        )
    text = [name for name in wanted if not pd.api.types.is_numeric_dtype(measures[name])]
    if text:
        raise DefinitionError(f"definition {definition.name!r}: column {', '.join(text)} holds text, expected numbers")
    keys = tracts.intersection(measures.index).sort_values()
    rows = measures.loc[keys]
    left_out = pd.concat(
        [
            pd.Series(NO_POLYGON, index=measures.index.difference(tracts), dtype=object),
            pd.Series(NO_MEASURES, index=tracts.difference(measures.index), dtype=object),
        ]
    ).sort_index()
    return Block(
        keys=keys,
        observed=rows[list(definition.measures)].to_numpy(float) * np.array(definition.directions, dtype=float),
        population=rows[definition.population].to_numpy(float),
        edges=edges.where(keys.get_indexer(edges.focal) >= 0),
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
    """Delayed results by partition, and the reference that they were computed against."""

    results: Mapping[str, Delayed]
    reference: Delayed | Reference


def opportunity(
    blocks: Mapping[str, Delayed],
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
        Moments and ranks to use instead of those of these tracts.
    steps : bool
        Whether frames also hold z-scores (``z_<measure>``), domain sums (``sum_<domain>``), scores before
        filling (``before_<domain>``) and imputed values (``value_<measure>``).
    group : str
        Names the tasks that see all partitions.

    Returns
    -------
    Lifted
        Frames indexed by ``geoid`` with one column a domain, ``deprivation``, ``opportunity`` and flags.
    """
    run = run or Run("opportunity")

    def each(stage: str, function: Any, *inputs: Mapping[str, Delayed], **constants: Any) -> dict[str, Delayed]:
        return {
            name: run.task(stage, name, function, *(given[name] for given in inputs), **constants) for name in blocks
        }

    def received(offers: Mapping[str, Delayed], name: str) -> list[Delayed]:
        return [offers[other] for other in sorted(reach.get(name, ())) if other in blocks and other != name]

    bands = each("border", _offer, blocks)
    prepared = {name: run.task("impute", name, _prepare, blocks[name], received(bands, name)) for name in blocks}
    known: Delayed | Reference
    if reference is None:
        sums = each("sum", _sums, prepared)
        mean = run.task("mean", group, means, list(sums.values()))
        squares = each("deviate", _squares, prepared, mean=mean)
        deviation = run.task("deviation", group, standard_deviations, list(squares.values()), definition.measures)
    else:
        mean, deviation = reference.mean, reference.deviation
    domains = each(
        "standardize", _domain_sums, prepared, mean=mean, deviation=deviation, domain_of=definition.domain_of
    )
    if reference is None:
        rankings = run.task("rank", group, _rankings, list(domains.values()), definition.parameters.tie_tolerance)
        known = run.task("reference", group, Reference, mean, deviation, rankings)
    else:
        rankings, known = reference.rankings, reference
    scores = each("score", index.score, domains, among=rankings, scale=definition.parameters.scale)
    offered = each("border-scores", _offer_scores, bands, scores)
    filled = {
        name: run.task("fill", name, _fill, prepared[name], scores[name], received(offered, name)) for name in blocks
    }
    extremes = None
    if definition.parameters.reverse == "minmax":
        ranges = each("range", _range, filled)
        extremes = run.task("extremes", group, _extremes, list(ranges.values()))
    moments = {"mean": mean, "deviation": deviation} if steps else {}
    results = each(
        "index", _table, blocks, prepared, domains, scores, filled, extremes=extremes, definition=definition, **moments
    )
    return Lifted(results, known)


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
    filled, how = imputation.impute(around.own, around.adjacency, values)
    return Prepared(around, index.blank_empty(filled, own.population), how)


def _sums(own: Prepared) -> Sums:
    return column_sums(own.measured)


def _squares(own: Prepared, mean: NDArray[np.float64]) -> Sums:
    return squared_deviations(own.measured, mean)


def _domain_sums(
    own: Prepared, mean: NDArray[np.float64], deviation: NDArray[np.float64], domain_of: Sequence[int]
) -> Rows:
    return index.domain_sums(z_scores(own.measured, mean, deviation), domain_of)


def _rankings(domains: list[Rows], tolerance: float) -> tuple[Ranking, ...]:
    return tuple(ranking(column, tolerance) for column in np.concatenate(domains).T)


def _offer_scores(offer: _Offer, scores: Rows) -> tuple[pd.Index, Rows]:
    return offer.band.keys, scores[offer.band.rows]


def _fill(own: Prepared, scores: Rows, offers: list[tuple[pd.Index, Rows]]) -> Rows:
    around = own.around.gather(scores, offers)
    return index.fill_holes(scores, own.around.adjacency[own.around.own], around)


def _range(scores: Rows) -> tuple[float, float]:
    deprived = index.deprivation(scores)
    known = deprived[~np.isnan(deprived)]
    return (float(known.min()), float(known.max())) if len(known) else (np.inf, -np.inf)


def _extremes(ranges: list[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _table(
    own: Block,
    prepared: Prepared,
    sums: Rows,
    before: Rows,
    scores: Rows,
    *,
    extremes: tuple[float, float] | None,
    definition: Definition,
    mean: NDArray[np.float64] | None = None,
    deviation: NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """Return the rows of one partition, those that took no part included."""
    domains = list(definition.domains)
    deprived = index.deprivation(scores)
    columns: dict[str, Any] = {name: scores[:, number] for number, name in enumerate(domains)}
    columns["deprivation"] = deprived
    columns["opportunity"] = index.opportunity(deprived, extremes)
    columns["population_zero"] = own.population == 0
    columns["imputed_direct"] = _named(prepared.how == imputation.DIRECT, definition.measures)
    columns["imputed_once_removed"] = _named(prepared.how == imputation.ONCE_REMOVED, definition.measures)
    columns["filled_domains"] = _named(np.isnan(before) & ~np.isnan(scores), domains)
    columns["reason"] = _reasons(scores, own.population, domains)
    if mean is not None and deviation is not None:
        z = z_scores(prepared.measured, mean, deviation)
        columns |= {f"value_{name}": prepared.measured[:, k] for k, name in enumerate(definition.measures)}
        columns |= {f"z_{name}": z[:, k] for k, name in enumerate(definition.measures)}
        columns |= {f"sum_{name}": sums[:, k] for k, name in enumerate(domains)}
        columns |= {f"before_{name}": before[:, k] for k, name in enumerate(domains)}
    table = pd.DataFrame(columns, index=own.keys).reindex(own.keys.append(own.left_out.index).sort_values())
    table.loc[own.left_out.index, "reason"] = own.left_out
    text = ["imputed_direct", "imputed_once_removed", "filled_domains", "reason"]
    table[text] = table[text].fillna("").astype("str")
    table["population_zero"] = table["population_zero"].eq(True)
    return table.rename_axis("geoid")


def _named(flags: NDArray[np.bool_], names: Sequence[str]) -> list[str]:
    """Return, for each row, the names whose flag is set, separated by semicolons."""
    rows, columns = np.nonzero(flags)
    texts = [""] * len(flags)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        texts[row] += f"; {names[column]}" if texts[row] else names[column]
    return texts


def _reasons(scores: Rows, population: NDArray[np.float64], domains: Sequence[str]) -> list[str]:
    """Say why a tract has no index: which domains have no score."""
    lacking = _named(np.isnan(scores), domains)
    return [
        (f"{'nobody lives here and ' if empty else ''}no neighbour has a score in: {names}" if names else "")
        for names, empty in zip(lacking, population == 0, strict=True)
    ]
