"""The opportunity index of frames: own rows, halo rows and small reductions.

What all partitions share is small: exact sums of each measure (twice), and the smallest and largest deprivation. The
column of each domain's sums is ranked by a task of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.definition import Definition
from geomob_dask.errors import DefinitionError
from geomob_dask.frames.align import aligned
from geomob_dask.frames.halo import Near, apart, halo
from geomob_dask.frames.keys import codes_like, has_text_keys, to_codes, to_text
from geomob_dask.frames.numbers import check_numbers
from geomob_dask.frames.own_rows import own_rows, value_of
from geomob_dask.frames.recipes import RECIPES, Norms, Scored, extremes_of
from geomob_dask.graph.bands import Neighborhood, band, neighborhood, rows_of
from geomob_dask.messages import listed
from geomob_dask.names import nearest
from geomob_dask.sources.vintages import check_same_codes
from geomob_dask.transforms import impute as imputation
from geomob_dask.transforms import opportunity as index

Floats = NDArray[np.float64]

NO_POLYGON = "no polygon in this vintage"
NO_MEASURES = "no row in the measures"
# Why rows take no part, by the number that travels with them; numbers cost less than text to send.
_EXCLUDED = np.array(["", NO_POLYGON, NO_MEASURES], dtype=object)
# The Social Vulnerability Index flags tracts in the 90th percentile and above.
_FLAGGED = 0.9
_TEXT = ("imputed_direct", "imputed_once_removed", "filled_domains", "reason", "flagged")
_HOW = "how "
# Of the rows, what is needed once the measures are imputed.
_MEMBERS = ["population ", "excluded "]


@dataclass(frozen=True)
class Index:
    """An index and what it was ranked among.

    Attributes
    ----------
    table : DataFrame, in memory or on Dask
    norms : Norms, optional
        None where the recipe has none.
    """

    table: Any
    norms: Norms | None


def opportunity(
    tracts: Any,
    measures: Any,
    edges: Any,
    definition: Definition,
    *,
    steps: bool = False,
    reference: Norms | None = None,
    near: Near | None = None,
) -> Any:
    """Return the opportunity index of all tracts together.

    Parameters
    ----------
    tracts : DataFrame, in memory or on Dask
        Tracts with a polygon, indexed by geoid; columns are not looked at. On Dask, its divisions must be known: they
        are the partitions of the result.
    measures : DataFrame
        One row per tract, indexed by geoid.
    edges : DataFrame
        Indexed by focal, with a column neighbor, as `neighbors` returns them.
    definition : Definition
        See `geomob_dask.definition`.
    steps : bool
        Whether the result also holds imputed values (``value_<measure>``), z-scores or percentile ranks
        (``standard_<measure>``), domain sums (``sum_<domain>``) and scores before filling (``before_<domain>``).
    reference : Norms, optional
        Moments and ranks of another year to use instead of those of these tracts; for the recipe ``opportunity``.
    near : sequence of sequence of int, optional
        For each partition, the numbers of those within two steps of the graph; all others by default.

    Returns
    -------
    DataFrame, in memory or on Dask as `tracts`
        One row for every tract with a polygon or a row of measures: one column per domain, ``deprivation``,
        ``opportunity`` and flags; see docs/opportunity.md. NaN where a score is missing, with its ``reason``.

    Raises
    ------
    DefinitionError
        If the definition names a column that is absent or not numeric, or a measure has no variance.
    InputError
        If the divisions of a Dask frame are not known.

    Examples
    --------
    Three tracts in a row; the second one's poverty is its neighbors' mean:

    >>> geoids = ["01001020100", "01001020200", "01001020300"]
    >>> measures = pd.DataFrame({"poverty": [10.0, np.nan, 30.0], "population": [900, 1100, 1000]}, index=geoids)
    >>> edges = pd.DataFrame({"neighbor": [geoids[1], geoids[0], geoids[2], geoids[1]]},
    ...                      index=[geoids[0], geoids[1], geoids[1], geoids[2]])
    >>> definition = Definition.model_validate({"name": "poor", "domains": {"income": [{"measure": "poverty"}]}})
    >>> opportunity(measures, measures, edges, definition)["opportunity"].round(1).tolist()
    [100.0, 84.4, 0.0]
    """
    return opportunity_index(tracts, measures, edges, definition, steps=steps, reference=reference, near=near).table


def opportunity_index(
    tracts: Any,
    measures: Any,
    edges: Any,
    definition: Definition,
    *,
    steps: bool = False,
    reference: Norms | None = None,
    near: Near | None = None,
    pieces: int = 1,
) -> Index:
    """Return the index with the moments and ranks behind it.

    Parameters
    ----------
    tracts, measures, edges, definition, steps, reference, near
        As `opportunity`.
    pieces : int
        Into how many the ranking of each domain is cut, which can be as long as there are tracts.
    """
    rows, pairs = rows_and_pairs(tracts, measures, edges, definition)
    text = has_text_keys(measures)
    return index_of(rows, pairs, definition, steps=steps, reference=reference, near=near, text_keys=text, pieces=pieces)


def rows_and_pairs(tracts: Any, measures: Any, edges: Any, definition: Definition) -> tuple[Any, Any]:
    """Return the tracts that take part, or why they do not, and the edges of those that do; both with integer keys."""
    check_columns(measures.columns, definition)
    tracts, measures, edges = aligned(tracts=tracts, measures=measures, edges=edges)
    # Names that a store's measures may lack: polygons and edges are read for their keys.
    rows = own_rows(_rows, measures, tracts, meta=lambda: _no_rows(definition), definition=definition)
    return rows, own_rows(_pairs, edges, rows, meta=_no_pairs, rook=definition.parameters.contiguity == "rook")


def index_of(
    rows: Any,
    pairs: Any,
    definition: Definition,
    *,
    steps: bool = False,
    reference: Norms | None = None,
    near: Near | None = None,
    text_keys: bool = True,
    pieces: int = 1,
) -> Index:
    """Return the index of what `rows_and_pairs` returns; `text_keys`: whether its keys are text again."""
    names = list(definition.measures)
    offered = own_rows(_offered, rows, pairs, meta=lambda: _no_offer(definition), definition=definition)
    imputed = own_rows(
        _imputed, rows, pairs, halo(offered, near), meta=lambda: _no_imputed(definition), definition=definition
    )
    scored = RECIPES[definition.parameters.recipe](imputed, definition, reference, pieces)
    scores, filled = scored.scores, scored.scores
    if definition.parameters.fills:
        # Few rows: all pairs, and values of the measures, need not stay in memory until the last rank is known.
        holes = apart(own_rows(_pairs_of_holes, pairs, imputed, meta=_no_pairs, names=names))
        keys = apart(own_rows(_keys, offered, meta=lambda: _keys(_no_offer(definition))))
        far_scores = halo(own_rows(_offered_scores, scores, keys, meta=lambda: _no_scores(definition)), near)
        filled = own_rows(_filled, scores, holes, far_scores, meta=lambda: _no_scores(definition))
    extremes = None
    if definition.parameters.reverse == "minmax":
        extremes = extremes_of(scored.overall if scored.overall is not None else filled)
    kept = [f"{_HOW}{name}" for name in names] + (names if steps else [])
    imputed = apart(own_rows(_columns, imputed, meta=lambda: _no_imputed(definition)[kept], names=kept))
    members = apart(own_rows(_columns, rows, meta=lambda: _no_rows(definition)[_MEMBERS], names=_MEMBERS))
    table = _joined(members, imputed, scored, filled, extremes, definition, steps, text_keys)
    return Index(table, scored.norms)


def check_columns(columns: Sequence[Any], definition: Definition, source: str = "the measures") -> None:
    """Raise DefinitionError if a column of the definition is not among those of the measures, called `source`."""
    absent = [name for name in definition.columns if name not in columns]
    if absent:
        close = nearest(absent[0], map(str, columns)) if len(absent) == 1 else None
        raise DefinitionError(
            f"definition {definition.name!r}: no column {', '.join(absent)} in {source}; "
            f"{'expected' if close is None else f'did you mean {close!r}? Expected'} one of: {listed(columns, 40)}"
        )


# Own rows ------------------------------------------------------------------------------------


def _rows(measures: pd.DataFrame, tracts: pd.DataFrame, *, definition: Definition) -> pd.DataFrame:
    """Return all tracts of a partition, with their coded measures, population, and why they are left out."""
    check_same_codes(measures.index, tracts.index)
    names = list(definition.measures)
    text = [name for name in definition.columns if not pd.api.types.is_numeric_dtype(measures[name])]
    if text and len(measures):
        raise DefinitionError(f"definition {definition.name!r}: column {', '.join(text)} holds text, expected numbers")
    if len(measures):
        people = [] if definition.population is None else [definition.population]
        check_numbers(measures, definition.columns, counts=people, name=f"definition {definition.name!r}")
    known, polygons = to_codes(measures.index), to_codes(tracts.index)
    # A union of equal indexes keeps their order; rows are looked up in sorted keys.
    keys = known.union(polygons).sort_values()
    without_polygon = ~keys.isin(polygons) & definition.parameters.uses_neighbors
    excluded = np.where(keys.isin(known), without_polygon, 2).astype(np.int8)
    values = measures.set_axis(known).reindex(keys)
    rows = pd.DataFrame(
        values[names].to_numpy(float) * np.array(definition.directions, dtype=float), index=keys, columns=names
    )
    population = np.ones(len(keys)) if definition.population is None else values[definition.population].to_numpy(float)
    rows["population "], rows["excluded "] = population, excluded
    return rows


def included(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the tracts that take part."""
    return rows[rows["excluded "].to_numpy() == 0]


def _pairs(edges: pd.DataFrame, rows: pd.DataFrame, *, rook: bool) -> pd.DataFrame:
    """Return the edges of the tracts that take part, with integer keys."""
    if rook and "rook" in edges:
        edges = edges[edges["rook"].astype(bool).to_numpy()]
    focal = to_codes(edges.index)
    # Frames without edges have no column either where a frame in memory is empty.
    neighbor = codes_like(edges["neighbor"], focal) if "neighbor" in edges else focal[:0].to_numpy()
    pairs = pd.DataFrame({"neighbor": neighbor}, index=focal.rename("focal"))
    return pairs[rows_of(included(rows).index.to_numpy(), focal.to_numpy()) >= 0]


def _offered(rows: pd.DataFrame, pairs: pd.DataFrame, *, definition: Definition) -> pd.DataFrame:
    """Return the rows near other partitions; those with a neighbor there list all their neighbors."""
    own = included(rows)
    keys, focal, neighbor = own.index.to_numpy(), pairs.index.to_numpy(), pairs["neighbor"].to_numpy()
    found = band(keys, focal, neighbor)
    offered = own.iloc[found.rows][list(definition.measures)].copy()
    offered["neighbors "] = _lists(offered.index.to_numpy(), focal[found.leaving], neighbor[found.leaving])
    return offered


def _lists(keys: NDArray[Any], focal: NDArray[Any], neighbor: NDArray[Any]) -> NDArray[np.object_]:
    """Return the neighbors of each key as one value: bytes of integers, which cost little to send; text as a list."""
    at = rows_of(keys, focal)
    order = np.argsort(at, kind="stable")
    cuts = np.searchsorted(at[order], np.arange(1, len(keys)))
    lists = np.empty(len(keys), dtype=object)
    parts = np.split(neighbor[order], cuts) if len(keys) else []
    lists[:] = [part.tobytes() if part.dtype.kind == "i" else part.tolist() for part in parts]
    return lists


def _edges_of_lists(keys: NDArray[Any], lists: Sequence[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return focal and neighbor of the edges that `_lists` holds."""
    if not lists:
        return keys[:0], keys[:0]
    if isinstance(lists[0], bytes):
        neighbor: NDArray[Any] = np.frombuffer(b"".join(lists), dtype=np.int64)
        counts = [len(one) // 8 for one in lists]
    else:
        neighbor = np.array([key for one in lists for key in one], dtype=object)
        counts = [len(one) for one in lists]
    return np.repeat(keys, counts), neighbor


def _neighborhood(own: pd.DataFrame, pairs: pd.DataFrame, far: pd.DataFrame) -> Neighborhood:
    far_keys = far.index.to_numpy()
    far_focal, far_neighbor = _edges_of_lists(far_keys, far["neighbors "].to_list())
    return neighborhood(
        own.index.to_numpy(), pairs.index.to_numpy(), pairs["neighbor"].to_numpy(), far_keys, far_focal, far_neighbor
    )


def _imputed(rows: pd.DataFrame, pairs: pd.DataFrame, far: pd.DataFrame, *, definition: Definition) -> pd.DataFrame:
    """Return the measures imputed from neighbors, tracts without people blanked; how each value was found."""
    own, names = included(rows), list(definition.measures)
    observed = own[names].to_numpy()
    if definition.parameters.imputes:
        around = _neighborhood(own, pairs, far)
        values = around.gather(observed, far.index.to_numpy(), far[names].to_numpy(np.float64))
        filled, how = imputation.impute(around.own, around.adjacency, values)
    else:
        filled = observed
        how = np.where(np.isnan(filled), imputation.MISSING, imputation.OBSERVED).astype(np.uint8)
    imputed = pd.DataFrame(index.blank_empty(filled, own["population "].to_numpy()), index=own.index, columns=names)
    imputed["population "] = own["population "].to_numpy()
    return pd.concat([imputed, pd.DataFrame(how, index=own.index, columns=[f"{_HOW}{name}" for name in names])], axis=1)


def _pairs_of_holes(pairs: pd.DataFrame, imputed: pd.DataFrame, *, names: Sequence[str]) -> pd.DataFrame:
    """Return the edges of the tracts that may lack a score: those with a missing measure."""
    holes = imputed.index.to_numpy()[np.isnan(imputed[list(names)].to_numpy()).any(axis=1)]
    return pairs[rows_of(holes, pairs.index.to_numpy()) >= 0]


def _offered_scores(scores: pd.DataFrame, offered: pd.DataFrame) -> pd.DataFrame:
    return scores.iloc[rows_of(scores.index.to_numpy(), offered.index.to_numpy())]


def _filled(scores: pd.DataFrame, pairs: pd.DataFrame, far_scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores, those that are missing filled with the neighbors' mean."""
    far, own = far_scores.index.to_numpy(), scores.to_numpy()
    around = neighborhood(
        scores.index.to_numpy(), pairs.index.to_numpy(), pairs["neighbor"].to_numpy(), far, far[:0], far[:0]
    )
    values = around.gather(own, far, far_scores.to_numpy())
    return scores.set_axis(scores.index).assign(
        **dict(zip(scores.columns, index.fill_holes(own, around.adjacency[around.own], values).T, strict=True))
    )


def _keys(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[[]]


def _columns(frame: pd.DataFrame, *, names: Sequence[str]) -> pd.DataFrame:
    return frame[list(names)]


# The table -----------------------------------------------------------------------------------


def _joined(
    rows: Any,
    imputed: Any,
    scored: Scored,
    filled: Any,
    extremes: Any,
    definition: Definition,
    steps: bool,
    text_keys: bool,
) -> Any:
    """Return the result from its pieces, of which a table without steps needs few."""
    pieces = {"rows": rows, "imputed": imputed, "before": scored.scores, "scores": filled, "overall": scored.overall}
    if steps or definition.parameters.recipe == "svi":
        pieces["standard"] = scored.standard
    if steps:
        pieces["sums"] = scored.sums
    pieces["extremes"] = extremes
    there = {name: piece for name, piece in pieces.items() if piece is not None}
    return own_rows(
        _index,
        *there.values(),
        meta=lambda: no_index(definition, steps=steps, text_keys=text_keys),
        pieces=tuple(there),
        definition=definition,
        steps=steps,
        text_keys=text_keys,
    )


def _index(
    *frames: pd.DataFrame, pieces: Sequence[str], definition: Definition, steps: bool, text_keys: bool
) -> pd.DataFrame:
    """Return the rows of one partition, those that took no part included."""
    piece = dict(zip(pieces, frames, strict=True))
    rows, imputed = piece["rows"], piece["imputed"]
    own = included(rows)
    domains, measures = list(definition.domains), list(definition.measures)
    before, scores = piece["before"].to_numpy(), piece["scores"].to_numpy()
    deprived = piece["overall"].to_numpy()[:, 0] if "overall" in piece else index.deprivation(scores)
    extremes = value_of(piece["extremes"]) if "extremes" in piece else None
    population = own["population "].to_numpy()
    how = imputed[[f"{_HOW}{name}" for name in measures]].to_numpy()
    columns: dict[str, Any] = {name: scores[:, number] for number, name in enumerate(domains)}
    columns["deprivation"] = deprived
    columns["opportunity"] = index.opportunity(deprived, extremes, top=definition.parameters.top)
    columns["population_zero"] = population == 0
    columns["imputed_direct"] = named(how == imputation.DIRECT, measures)
    columns["imputed_once_removed"] = named(how == imputation.ONCE_REMOVED, measures)
    columns["filled_domains"] = named(np.isnan(before) & ~np.isnan(scores), domains)
    columns["reason"] = _reasons(scores, deprived, population, domains)
    standard = piece["standard"].to_numpy() if "standard" in piece else None
    if definition.parameters.recipe == "svi" and standard is not None:
        columns["flagged"] = named(standard >= _FLAGGED, measures)
    if steps and standard is not None:
        columns |= {f"value_{name}": imputed[name].to_numpy() for name in measures}
        columns |= {f"standard_{name}": standard[:, k] for k, name in enumerate(measures)}
        columns |= {f"sum_{name}": piece["sums"].to_numpy()[:, k] for k, name in enumerate(domains)}
        columns |= {f"before_{name}": before[:, k] for k, name in enumerate(domains)}
    text = dict.fromkeys((name for name in _TEXT if name in columns), "str")
    table = pd.DataFrame(columns, index=own.index).astype(text).reindex(rows.index)
    excluded = rows["excluded "].to_numpy()
    table.loc[excluded > 0, "reason"] = _EXCLUDED[excluded[excluded > 0]]
    table[list(text)] = table[list(text)].fillna("").astype("str")
    table["population_zero"] = table["population_zero"].eq(True)
    return table.set_axis((to_text(rows.index) if text_keys else rows.index).rename("geoid"))


def named(flags: NDArray[np.bool_], names: Sequence[str]) -> list[str]:
    """Return, for each row, the names whose flag is set, separated by semicolons."""
    rows, columns = np.nonzero(flags)
    texts = [""] * len(flags)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        texts[row] += f"; {names[column]}" if texts[row] else names[column]
    return texts


def _reasons(scores: Floats, deprived: Floats, population: Floats, domains: Sequence[str]) -> list[str]:
    """Return why tracts have no index: which domains have no score."""
    lacking = named(np.isnan(scores), domains)
    return [
        f"{'nobody lives here; ' if empty else ''}no score in: {names}" if missing else ""
        for names, empty, missing in zip(lacking, population == 0, np.isnan(deprived), strict=True)
    ]


# Frames without rows ---------------------------------------------------------------------------


def _floats(names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: np.zeros(0) for name in names}, index=pd.Index(np.zeros(0, dtype=np.int64), name="geoid")
    )


def _no_rows(definition: Definition) -> pd.DataFrame:
    return _floats([*definition.measures, "population "]).assign(**{"excluded ": np.zeros(0, dtype=np.int8)})


def _no_pairs() -> pd.DataFrame:
    return pd.DataFrame({"neighbor": np.zeros(0, dtype=np.int64)}, index=pd.Index([], dtype=np.int64, name="focal"))


def _no_offer(definition: Definition) -> pd.DataFrame:
    return _floats(definition.measures).assign(**{"neighbors ": np.zeros(0, dtype=object)})


def _no_imputed(definition: Definition) -> pd.DataFrame:
    how = {f"{_HOW}{name}": np.zeros(0, dtype=np.uint8) for name in definition.measures}
    return _floats([*definition.measures, "population "]).assign(**how)


def _no_scores(definition: Definition) -> pd.DataFrame:
    return _floats(list(definition.domains))


def no_index(definition: Definition, *, steps: bool = False, text_keys: bool = True) -> pd.DataFrame:
    """Return a result without rows: its columns and their types."""
    domains = _no_scores(definition)
    pieces = {
        "rows": _no_rows(definition),
        "imputed": _no_imputed(definition),
        "before": domains,
        "scores": domains,
        "standard": _floats(definition.measures),
        "sums": domains,
    }
    return _index(*pieces.values(), pieces=tuple(pieces), definition=definition, steps=steps, text_keys=text_keys)
