"""The opportunity index of a dataset and year."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from geomob_dask.definition import Definition
from geomob_dask.errors import InputError
from geomob_dask.frames.halo import near_partitions
from geomob_dask.frames.opportunity import check_columns, no_index, opportunity_index
from geomob_dask.frames.own_rows import no_value, own_rows, rows_of_values, value_of
from geomob_dask.frames.recipes import Moments, Norms
from geomob_dask.frames.reduction import reduced_rows
from geomob_dask.names import check_year
from geomob_dask.options import FILE
from geomob_dask.products.options import ByYear, Text, WithDefinition, states_named
from geomob_dask.products.product import ALL, Frames, Prepared, Product, Target
from geomob_dask.products.reader import Reader
from geomob_dask.sources.attributes import period_in
from geomob_dask.store import Part, Snapshot, Store
from geomob_dask.transforms.rank_exponential import Ranking

NORMS = "selected, state, nation or frozen:YEAR"
# Rows of norms in one part; more of them, of blocks say, go to parts of their own for each domain.
_ROWS_OF_NORMS = 2**21
_ROWS_OF_A_PART = 2**20
_NO_NORMS = pd.DataFrame(
    {"kind": [""], "number": [0], "first": [0.0], "last": [0.0], "upto": [0]}, index=pd.Index(["0"], name="row")
)[:0]


class Options(ByYear, WithDefinition):
    """Options of an index."""

    definition: Annotated[
        Definition, FILE, Field(description="A .yaml or .csv file, or the name of a shipped definition.")
    ]
    norm: Text = Field(
        "selected",
        description="Whose neighbors, moments and ranks count: those of the selected states together, of each state "
        f"by itself, of all states of the store, or the moments and ranks of a year already computed: {NORMS}.",
    )
    population: Text | None = Field(None, description="Population column, where the definition does not name it.")
    steps: bool = Field(False, description="Keep every step in the result: z-scores, sums, …")

    @property
    def frozen_year(self) -> int | None:
        """Return the reference year, None where the run has its own norms.

        Raises
        ------
        InputError
            If the norm is none that there is.
        """
        if self.norm in ("selected", "state", "nation"):
            return None
        kind, _, text = self.norm.partition(":")
        if kind != "frozen" or not re.fullmatch("[0-9]{1,8}", text):
            raise InputError(f"--norm {self.norm}: expected {NORMS}")
        return check_year(int(text), "--norm: year")

    def collection(self, kind: str = "results", *, by_state: bool = False, year: int | None = None) -> str:
        """Return the collection of the result, or that of its norms."""
        result = kind == "results"
        states = states_named(self.states, by_state and result)
        norm = self.norm.replace(":", "-") if result else "selected"
        steps = "-steps" if self.steps and result else ""
        name = f"{states}-{norm}{steps}"
        return f"{kind}/opportunity/{self.definition.name}/{self.dataset}/{year or self.year}/{name}"


class Opportunity(Product):
    """Compute the index of every tract, with its domains, imputed counts and reasons for missing values."""

    name = "opportunity"
    title = "Opportunity index: imputed, standardized, ranked and transformed domains of each tract."
    options = Options
    # Ranks and sums over all states are exchanged several times for tenths of a second of work.
    spreads = False

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        frozen = options.frozen_year
        measures = store.snapshot(options.measures)
        # A collection without rows has no columns to compare with.
        if columns := store.columns(measures):
            check_columns(columns, options.definition, options.measures)
        vintage = str(measures.attributes["vintage"])
        inputs = {"measures": measures}
        if options.definition.parameters.uses_neighbors:
            inputs = {
                "tracts": store.snapshot(f"tracts/{vintage}"),
                "edges": edges_of(store, vintage, options.measures),
            } | inputs
        by_tract = [inputs[role] for role in ("measures", "tracts") if role in inputs]
        states = selected = tuple(sorted({state for one in by_tract for state in one.parts}))
        if options.states is not None:
            selected = options.states
            for one in by_tract:
                store.chosen(one, selected)
        whole = {} if frozen is None else {"reference": _reference_of(store, options, frozen)}
        targets = {"result": Target(options.collection(by_state=by_state))}
        if options.norm == "selected" and options.definition.parameters.recipe == "opportunity":
            rows = sum(part.rows for name, part in measures.parts.items() if name in selected)
            parts = _parts_of_norms(rows, len(options.definition.domains))
            targets["norms"] = Target(options.collection("norms"), by_state=False, parts=parts)
        return Prepared(
            self.name,
            options,
            inputs,
            targets,
            states=states if options.norm == "nation" else selected,
            written=selected,
            attributes={"vintage": vintage, **period_in(measures.attributes, options.definition.columns)},
            whole=whole,
            by_state=by_state,
        )

    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Return the index by state and, where the run has its own, its norms."""
        options: Options = prepared.options
        definition = options.definition
        tracts, measures, edges = inputs_of(read, prepared)
        reach = prepared.inputs["edges"].attributes["reach"] if "edges" in prepared.inputs else {}
        near = near_partitions(reach, prepared.states)
        if options.norm == "state":
            meta = partial(no_index, definition, steps=options.steps)
            each = own_rows(each_state, tracts, measures, edges, meta=meta, definition=definition, steps=options.steps)
            return {"result": each}
        reference = _read_norms(read, options) if prepared.whole else None
        parts = prepared.targets["norms"].parts if "norms" in prepared.targets else ()
        index = opportunity_index(
            tracts,
            measures,
            edges,
            definition,
            steps=options.steps,
            reference=reference,
            near=near,
            pieces=len(parts) // len(definition.domains) or 1,
        )
        frames = {"result": index.table}
        if "norms" in prepared.targets:
            assert index.norms is not None
            frames["norms"] = _norms_by_part(index.norms, read, parts) if parts else _norms_of_all(index.norms)
        return frames

    def summarize(self, role: str, table: pd.DataFrame, prepared: Prepared) -> Mapping[str, Any]:
        """Return the counts of one state's rows; see `summary`."""
        return summary(table) if role == "result" else {}

    def scope_of_states(self, options: Options) -> bool:
        """Return whether each state has norms of its own."""
        return options.norm == "state"

    def scope_defaults(self, by_state: bool) -> dict[str, Any]:
        """Return the norm of each state by itself where there is an output per state."""
        return {"norm": "state"} if by_state else {}

    def check_scope(self, options: Options, by_state: bool) -> None:
        """Raise InputError if each state is to be computed by itself with the norms of several."""
        if by_state and options.norm != "state" and options.frozen_year is None:
            raise InputError(
                f"norm: found {options.norm}, which belongs to several states; expected state or frozen:YEAR, or the "
                "scope all"
            )


def inputs_of(read: Reader, prepared: Prepared, more: Sequence[str] = ()) -> tuple[Any, Any, Any]:
    """Return tracts, measures and edges of an index; `more`: further columns of the measures."""
    columns = [*prepared.options.definition.columns, *more]
    measures = read.frame("measures", list(dict.fromkeys(columns)))
    if "tracts" in prepared.inputs:
        return read.frame("tracts", ["aland"]), measures, read.frame("edges", ["neighbor", "rook"])
    return measures, measures, own_rows(_no_edges, measures, meta=_NO_EDGES)


def each_state(
    tracts: pd.DataFrame, measures: pd.DataFrame, edges: pd.DataFrame, *, definition: Definition, steps: bool
) -> pd.DataFrame:
    """Return the index of each state by itself, of one partition or of several states in memory."""
    states = sorted({*measures.index.str[:2], *tracts.index.str[:2]})
    tables = []
    for state in states:
        rows, own, pairs = (one[np.asarray(one.index.str[:2] == state)] for one in (tracts, measures, edges))
        tables.append(opportunity_index(rows, own, pairs, definition, steps=steps).table)
    return pd.concat(tables) if tables else no_index(definition, steps=steps)


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """Return the summary of an index.

    Returns
    -------
    mapping
        ``tracts`` and ``computed``: rows, and those with an index. ``empty``: tracts where nobody lives.
        ``imputed_direct``, ``imputed_once_removed``: cells filled from direct neighbors and from those once removed.
        ``filled``: tracts with a domain score that is their neighbors' mean. ``reasons``: why tracts have no index,
        how many, and the first of them. ``quartiles``: of the index, None where there is none.
    """

    def cells(column: str) -> int:
        filled = table[column][table[column] != ""]
        return int((filled.str.count(";") + 1).sum())

    missing = table["reason"][table["reason"] != ""]
    known = table["opportunity"].dropna()
    return {
        "tracts": len(table),
        "computed": len(known),
        "empty": int(table["population_zero"].sum()),
        "imputed_direct": cells("imputed_direct"),
        "imputed_once_removed": cells("imputed_once_removed"),
        "filled": int((table["filled_domains"] != "").sum()),
        "reasons": {str(why): [len(rows), rows.index[:3].tolist()] for why, rows in missing.groupby(missing)},
        "quartiles": np.quantile(known, [0.25, 0.5, 0.75]).tolist() if len(known) else None,
    }


# What is read ----------------------------------------------------------------------------------

_NO_EDGES = pd.DataFrame({"neighbor": [], "rook": []}, index=pd.Index([], dtype="str", name="focal"), dtype=object)


def _no_edges(measures: pd.DataFrame) -> pd.DataFrame:
    return _NO_EDGES


def edges_of(store: Store, vintage: str, needed_by: str) -> Snapshot:
    """Return the neighbors of a vintage.

    Raises
    ------
    InputError
        If there are none, or they were built from other polygons than those of the store.
    """
    tracts, edges = store.snapshot(f"tracts/{vintage}"), store.find(f"neighbors/{vintage}")
    command = f"jobs/neighbors.py --vintage {vintage}"
    if edges is None:
        raise InputError(
            f"store {store.url}: no neighbors of vintage {vintage}, which {needed_by} needs; expected them from: "
            f"{command}"
        )
    if edges.attributes["tracts"] != tracts.checksum():
        raise InputError(
            f"store {store.url}: the neighbors of vintage {vintage} were built from other polygons than those in the "
            f"store now; expected them built again: {command}"
        )
    return edges


def _reference_of(store: Store, options: Options, year: int) -> Snapshot:
    recipe = options.definition.parameters.recipe
    if recipe != "opportunity":
        raise InputError(f"--norm {options.norm}: found the recipe {recipe!r}, expected opportunity, which has norms")
    try:
        snapshot = store.snapshot(options.collection("norms", year=year))
    except InputError as error:
        raise InputError(
            f"--norm {options.norm}: {error}; the index of {year} by the same definition and states, with --norm "
            f"selected, leaves them: jobs/opportunity.py --dataset {options.dataset} --year {year}"
        ) from error
    kept = snapshot.runs[next(iter(snapshot.parts.values())).run]["options"]["definition"]
    now = options.definition.model_dump(mode="json")
    if kept != now:
        changed = [key for key in now if now[key] != kept.get(key)]
        raise InputError(
            f"{store.url}/{snapshot.collection}: the norms of {year} were computed with another definition of the same "
            f"name (it differs in {', '.join(changed)}); expected the same, or the index of {year} computed again"
        )
    return snapshot


# The norms of a year, as tables ----------------------------------------------------------------


def _parts_of_norms(rows: int, domains: int) -> tuple[str, ...]:
    """Return the names of the parts of norms of so many rows by domain, none where one part holds them."""
    if rows * domains <= _ROWS_OF_NORMS:
        return ()
    pieces = -(-rows // _ROWS_OF_A_PART)
    return tuple(_name(number, piece) for number in range(domains) for piece in range(pieces))


def _name(number: int, piece: int) -> str:
    return f"{number:03d}-{piece:03d}"


def _norms_of_all(norms: Norms) -> Any:
    """Return moments and rankings as one table."""
    return reduced_rows(_whole_table, norms.rankings, norms.moments, meta=_NO_NORMS)


def _whole_table(frames: Sequence[pd.DataFrame], moments: Moments) -> pd.DataFrame:
    return _table(moments, enumerate(ranks for frame in frames for ranks in frame["value"]))


def _norms_by_part(norms: Norms, read: Reader, parts: Sequence[str]) -> Any:
    """Return the table of each part, as values of a frame: the moments and a piece of a ranking."""
    numbers = read.values(_number_of, parts)
    return own_rows(_part_tables, norms.rankings, numbers, norms.moments, meta=no_value)


def _part_tables(rankings: pd.DataFrame, numbers: pd.DataFrame, moments: pd.DataFrame) -> pd.DataFrame:
    pairs = zip(numbers["value"], rankings["value"], strict=True)
    return rows_of_values([_table(value_of(moments), [pair]) for pair in pairs])


def _number_of(part: str) -> int:
    return int(part.partition("-")[0])


def _table(moments: Moments, rankings: Iterable[tuple[int, Ranking]]) -> pd.DataFrame:
    frames = [
        pd.DataFrame({"kind": kind, "number": 0, "first": values, "last": values, "upto": 0})
        for kind, values in (("mean", moments.mean), ("deviation", moments.deviation))
    ]
    frames += [
        pd.DataFrame(
            {"kind": "ranking", "number": number, "first": ranks.first, "last": ranks.last, "upto": ranks.upto}
        )
        for number, ranks in rankings
    ]
    table = pd.concat(frames, ignore_index=True)
    return table.set_index(pd.Index(table.index.astype(str), name="row"))


def _read_norms(read: Reader, options: Options) -> Norms:
    """Return the norms of a year, of which each task reads the piece that it needs."""
    snapshot, domains = read.whole["reference"], range(len(options.definition.domains))
    by_number: dict[int, list[Part]] = {number: [] for number in domains}
    for name, part in sorted(snapshot.parts.items()):
        for number in domains if name == ALL else [_number_of(name)]:
            by_number[number].append(part)
    pieces = [(number, part) for number in domains for part in by_number[number]]
    # In memory one table may hold the norms of all domains, and is read once.
    read_part = read.store.read if read.lazy else cache(read.store.read)
    moments = read.values(partial(_read_moments, read_part), [pieces[0][1]])
    return Norms(moments, read.values(partial(_read_ranking, read_part), pieces))


def _read_moments(read_part: Callable[[Part], pd.DataFrame], part: Part) -> Moments:
    table = read_part(part)
    return Moments(*(table["first"][table["kind"] == kind].to_numpy() for kind in ("mean", "deviation")))


def _read_ranking(read_part: Callable[[Part], pd.DataFrame], piece: tuple[int, Part]) -> Ranking:
    number, part = piece
    table = read_part(part)
    own = table[(table["kind"] == "ranking") & (table["number"] == number)]
    return Ranking(own["first"].to_numpy(), own["last"].to_numpy(), own["upto"].to_numpy())
