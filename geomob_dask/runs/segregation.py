"""Segregation of regions, from the store to the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import distributed
import numpy as np
import pandas as pd
from dask.delayed import Delayed
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.lift import segregation as lift
from geomob_dask.lift.tasks import Run
from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.segregation_catalog import INDICES, SegregationIndex, chosen
from geomob_dask.runs.commits import commit_all
from geomob_dask.runs.execute import Carry, on
from geomob_dask.runs.people import Found, Seen, Universe, check_regions, find, load, look
from geomob_dask.runs.plan import EachState, Output, Plan
from geomob_dask.store import Commit, Part, Provenance, Snapshot, Store
from geomob_dask.store.provenance import canonical_json, sha256

LEVELS = ("state", "county")
# c = e^(−d): all pairs further apart than this add up to 5e-6 of the proximity of an even plain.
CUTOFF_KM = 15.0
# Pairs of groups make a column each: with more groups they are computed only where they are named.
_FEW_GROUPS = 6
# Units of a region block, and draws of a task: some seconds of work each.
_BLOCK_UNITS = 3000
_DRAWS_A_TASK = 100


@dataclass(frozen=True)
class Inference:
    """Which random draws are made.

    Parameters
    ----------
    draws : int
        Of the null, and as many for the intervals; 0: none.
    null : {"evenness", "units", "persons"}
        People drawn from the region's shares; units changing places; persons changing places.
    interval : {"persons", "units", "moe", "none"}
        What is resampled for intervals: persons, units, or counts from their margins of error.
    seed : int
    """

    draws: int = 0
    null: str = "evenness"
    interval: str = "persons"
    seed: int = 0

    def check(self) -> None:
        """Raise InputError if a choice is none of those above."""
        if self.draws < 0 or self.seed < 0:
            raise InputError(f"--draws {self.draws} --seed {self.seed}: expected 0 or more")
        if self.null not in lift.NULLS:
            raise InputError(f"--null {self.null}: expected one of {', '.join(lift.NULLS)}")
        if self.interval not in (*lift.INTERVALS, "none"):
            raise InputError(f"--interval {self.interval}: expected one of {', '.join(lift.INTERVALS)}, none")


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Parameters
    ----------
    universe : Universe
    indices : tuple of str
        Names of the catalogue, or ``all`` that the groups and the store allow.
    inference : Inference
    cutoff : float, km
        Pairs of units further apart are left out of spatial proximity.
    levels : tuple of str
        Areas between the region and the tract, from wide to narrow, for nested indices.
    since : int, optional
        A year whose change to this one is decomposed.
    each : bool
        Whether states are computed each by itself, with regions of its own tracts only, in runs of their own, and lie
        together as parts of one result.
    """

    universe: Universe
    indices: tuple[str, ...] = ("all",)
    inference: Inference = Inference()
    cutoff: float = CUTOFF_KM
    levels: tuple[str, ...] = LEVELS
    since: int | None = None
    each: bool = False

    def options(self) -> dict[str, Any]:
        """Return everything that was chosen."""
        drawn = self.inference.draws > 0
        return {
            **self.universe.plain(),
            "indices": list(self.indices),
            "draws": self.inference.draws,
            "null": self.inference.null if drawn else None,
            "interval": self.inference.interval if drawn else None,
            "seed": self.inference.seed if drawn else None,
            "cutoff_km": self.cutoff,
            "levels": list(self.levels),
            "since": self.since,
        }

    @property
    def collection(self) -> str:
        """Return where the result goes: the last part of the name stands for all options."""
        universe = self.universe
        options = self.options()
        if self.each:
            # The same name in every year.
            options.pop("year")
        name = f"{'each-' if self.each else ''}{universe.by}-{sha256(canonical_json(options))[:8]}"
        return f"results/segregation/{universe.categories.name}/{universe.dataset}/{universe.year}/{name}"

    @property
    def local(self) -> str:
        """Return where the scores of single units go."""
        return self.collection.replace("results/segregation/", "results/segregation-local/", 1)


@dataclass(frozen=True)
class Prepared:
    """A request and what it needs from the store.

    Attributes
    ----------
    request : Request
    found : Found
    indices : tuple of SegregationIndex
    left_out : mapping of str to str
        Why indices are not among ``all``.
    plan : Plan
    before : Found, optional
        Inputs of the year whose change is decomposed.
    """

    request: Request
    found: Found
    indices: tuple[SegregationIndex, ...]
    left_out: Mapping[str, str]
    plan: Plan
    before: Found | None = None

    @property
    def part(self) -> str:
        """Return the name of the one part of the result: its state where states are computed each by itself."""
        return self.plan.outputs[0].state

    @property
    def drawn(self) -> tuple[SegregationIndex, ...]:
        """Return the indices that are computed over draws."""
        inference = self.request.inference
        able = [index for index in self.indices if lift.can_be_drawn(index)]
        return tuple(able) if inference.draws else ()

    @property
    def drawn_under_null(self) -> tuple[SegregationIndex, ...]:
        """Return those among them that the null can change."""
        if self.request.inference.null != "units":
            return self.drawn
        return tuple(index for index in self.drawn if lift.is_spatial(index))


def prepare(store: Store, request: Request) -> Prepared:
    """Return what a run would read, compute and write; nothing is computed.

    Raises
    ------
    InputError
        If measures, columns, regions, polygons or neighbours are not there, or an option does not fit.
    DefinitionError
        If an index is unknown, or the groups do not suit it.
    """
    known = _known(store, request)
    inputs = known.found.inputs() | ({} if known.before is None else known.before.inputs())
    provenance = Provenance("segregation", inputs, known.request.options())
    parts = [part for state in known.found.states for part in known.found.parts(state)]
    output = Output("all", tuple(part.key for part in parts), sum(part.size for part in parts))
    existing = store.find(known.request.collection)
    done = existing is not None and {part.run for part in existing.parts.values()} == {provenance.identity}
    return replace(known, plan=Plan(known.request.collection, (output,), provenance, done))


@dataclass(frozen=True)
class Each:
    """The outputs of one year, each state by itself.

    Attributes
    ----------
    request : Request
    outputs : EachState
    """

    request: Request
    outputs: EachState
    _known: Prepared

    @property
    def collection(self) -> str:
        """Return where they go."""
        return self.request.collection

    def prepared(self, state: str) -> Prepared:
        """Return what the output of one state needs, and nothing of others."""
        known = self._known
        plan = Plan(self.request.collection, self.outputs.outputs([state]), self.outputs.provenance(state), False)
        before = None if known.before is None else known.before.of_states([state])
        return replace(known, found=known.found.of_states([state]), before=before, plan=plan)


def prepare_each(store: Store, request: Request) -> Each:
    """Return what a run of every state by itself would read and write; raises as `prepare`."""
    known = _known(store, replace(request, each=True))
    tables = [*known.found.tables(store), *([] if known.before is None else known.before.tables(store))]
    return Each(known.request, EachState("segregation", known.request.options(), tables), known)


# Until it is known what the run reads.
_NO_PLAN = Plan("", (), Provenance("segregation", {}, versions={}), False)


def _known(store: Store, request: Request) -> Prepared:
    """Return what the store says of a request, without a plan."""
    inference = request.inference
    inference.check()
    if not 0 < request.cutoff < np.inf:
        raise InputError(f"--cutoff {request.cutoff}: expected kilometres above 0")
    universe = replace(request.universe, margins=inference.draws > 0 and inference.interval == "moe")
    request = replace(request, universe=universe)
    found = find(store, universe)
    tracts, edges = store.find(f"tracts/{found.vintage}"), store.find(f"neighbors/{found.vintage}")
    indices, left_out = _chosen(request, found, tracts, edges)
    needs = {need for index in indices for need in index.strategy.inputs}
    found = replace(
        find(store, universe, levels=request.levels if "levels" in needs else ()),
        tracts=tracts if "polygons" in needs else None,
        edges=edges if "neighbors" in needs else None,
    )
    before = None
    if request.since is not None:
        before = find(store, replace(universe, year=request.since, margins=False))
        if before.vintage != found.vintage:
            raise InputError(
                f"--change: {request.since} is on tracts of {before.vintage}, {universe.year} on those of "
                f"{found.vintage}; expected years of one vintage"
            )
    prepared = Prepared(request, found, indices, left_out, _NO_PLAN, before)
    if inference.draws and inference.null == "units" and not prepared.drawn_under_null:
        raise InputError(
            "--null units: none of the indices looks at where units lie, so a change of places changes none; "
            "expected spatial indices, or --null evenness or persons"
        )
    return prepared


def _chosen(
    request: Request, found: Found, tracts: Snapshot | None, edges: Snapshot | None
) -> tuple[tuple[SegregationIndex, ...], dict[str, str]]:
    """Return the indices, and why others are left out of ``all``."""
    every = request.indices == ("all",)
    indices = tuple(INDICES.values()) if every else chosen(request.indices)
    why: dict[str, str] = {}
    for index in indices:
        reason = _unsuited(index, request.universe, found, tracts, edges)
        if reason is None and every and index.shape == "pair" and _n_groups(request.universe) > _FEW_GROUPS:
            reason = f"a column for each of {_n_groups(request.universe) ** 2} pairs of groups; name it"
        if reason is not None:
            why[index.name] = reason
    if why and not every:
        name = next(iter(why))
        raise InputError(f"--indices {name}: {why[name]}")
    kept = tuple(index for index in indices if index.name not in why)
    return kept, why


def _n_groups(universe: Universe) -> int:
    classes, plain = universe.classes, universe.categories.model_dump(mode="json")
    if classes is not None:
        return int(classes[-1]) + 1
    listed_groups = plain.get("brackets") or plain.get("groups") or plain["editions"][0]["groups"]
    return len(listed_groups)


def _unsuited(
    index: SegregationIndex, universe: Universe, found: Found, tracts: Snapshot | None, edges: Snapshot | None
) -> str | None:
    vintage = found.vintage
    if index.kind in ("ordinal", "rank-order") and not universe.categories.ordered:
        return f"needs ordered brackets; {universe.categories.name} has no order"
    if "polygons" in index.strategy.inputs and tracts is None:
        return f"needs polygons of vintage {vintage}: jobs/ingest.py tracts FILE --vintage {vintage}"
    if index.strategy.rows == "halo":
        if edges is None:
            return f"needs neighbours of vintage {vintage}: jobs/neighbors.py --vintage {vintage}"
        if found.regions is not None and found.regions.key == "tract":
            return f"needs every tract in one region; {universe.by} shares tracts out"
    return None


# Running -------------------------------------------------------------------------------------


def execute(
    store: Store,
    prepared: Prepared,
    client: distributed.Client | None,
    console: Console,
    *,
    local: bool = False,
    block_units: int = _BLOCK_UNITS,
    draws_a_task: int = _DRAWS_A_TASK,
) -> None:
    """Compute and commit the indices of all regions.

    Parameters
    ----------
    local : bool
        Whether scores of single units are kept too.
    block_units, draws_a_task : int
        How the work is shared out; neither changes a number.
    """
    collections = [prepared.plan.collection, *([prepared.request.local] if local else [])]
    with store.all_or_nothing(*collections):
        commits = produce(
            store,
            prepared,
            on(client, console),
            local=local,
            block_units=block_units,
            draws_a_task=draws_a_task,
        )
        commit_all(store, commits)


def produce(
    store: Store,
    prepared: Prepared,
    carry: Carry,
    *,
    local: bool = False,
    block_units: int = _BLOCK_UNITS,
    draws_a_task: int = _DRAWS_A_TASK,
) -> list[Commit]:
    """Compute and write the indices of all regions in two passes; return what is to be committed."""
    request, found = prepared.request, prepared.found
    seen = _look(store, found, carry)
    check_regions(list(seen.values()), request.universe)
    totals = lift.merge_tallies([one.tally for one in seen.values()])
    here = {state: one.tally for state, one in seen.items() if len(one.tally.regions)}
    if any(index.strategy.rows == "halo" for index in prepared.indices):
        _refuse_shared(seen, request.universe)
    before = None
    if prepared.before is not None:
        earlier = _look(store, prepared.before, carry)
        _same_groups(seen, earlier, request)
        before = _Earlier(prepared.before, {state: one.tally for state, one in earlier.items()})
    run = Run("segregation")
    graph = _Graph(store, prepared, run, totals, here, block_units, draws_a_task)
    tasks = graph.tasks(before)
    if local:
        tasks |= graph.local_tasks(request.local, next(iter(seen.values())).categories)
    results = carry(tasks, run)
    table = _table(prepared, seen, totals, graph.blocks, results)
    part = store.put(prepared.plan.collection, prepared.part, table)
    provenance = replace(prepared.plan.provenance, report=_report(prepared, seen, totals))
    attributes = {"vintage": found.vintage}
    result = Commit(prepared.plan.collection, {prepared.part: part}, provenance, attributes)
    if not local:
        return [result]
    parts = {name.removeprefix(_LOCAL): part for name, part in results.items() if name.startswith(_LOCAL)}
    return [Commit(request.local, parts, prepared.plan.provenance, attributes), result]


_LOCAL = "local "


def _look(store: Store, found: Found, carry: Carry) -> dict[str, Seen]:
    """Make the first pass: the totals of every state's regions."""
    run = Run("segregation-totals")
    plain = found.without_geography()
    tasks = {state: run.task("totals", state, _look_at, store, plain, state) for state in found.states}
    return carry(tasks, run)


def _look_at(store: Store, found: Found, state: str) -> Seen:
    return look(load(store, found, state))


@dataclass(frozen=True)
class _Earlier:
    found: Found
    tallies: Mapping[str, lift.Tally]


@dataclass
class _Graph:
    """The tasks of the second pass."""

    store: Store
    prepared: Prepared
    run: Run
    totals: lift.Totals
    tallies: Mapping[str, lift.Tally]
    block_units: int
    draws_a_task: int

    def __post_init__(self) -> None:
        largest_first = sorted(self.tallies, key=lambda state: (-int(self.tallies[state].units.sum()), state))
        self.loaded = {
            state: self.run.task("load", state, _block, self.store, self.prepared.found, state)
            for state in largest_first
        }
        self.shared_totals = self.run.task("totals", "all", _same, self.totals)
        self.blocks = lift.region_blocks(self.tallies, self.block_units)

    def tasks(self, before: _Earlier | None) -> dict[str, Delayed]:
        """Return the tasks whose results make the table, by name."""
        indices = self.prepared.indices
        of_sums = [index for index in indices if index.strategy.rows == "own"]
        of_neighbors = [index for index in indices if index.strategy.rows == "halo"]
        of_regions = [index for index in indices if index.strategy.rows == "regions"]
        tasks: dict[str, Delayed] = {}
        if of_sums:
            parts = {
                state: self.run.task("sums", state, lift.partition_sums, block, self.shared_totals, of_sums)
                for state, block in self.loaded.items()
            }
            tasks["sums"] = self._merge("merge-sums", parts, of_sums)
        if of_neighbors:
            tasks["neighbors"] = self._merge("merge-neighbors", self._environments(of_neighbors), of_neighbors)
        for place, block in enumerate(self.blocks):
            tasks |= self._of_block(place, block, of_regions)
            if before is not None:
                tasks[f"change {place}"] = self._change(block, before)
        return tasks

    def _merge(self, stage: str, parts: Mapping[str, Delayed], indices: Sequence[SegregationIndex]) -> Delayed:
        # In the order of the states: what is merged is exact, this only keeps the graph the same.
        ordered = [parts[state] for state in sorted(parts)]
        return self.run.task(stage, "all", lift.evaluate_sums, self.shared_totals, ordered, indices)

    def _environments(self, indices: Sequence[SegregationIndex]) -> dict[str, Delayed]:
        edges = self.prepared.found.edges
        reach = {} if edges is None else edges.attributes["reach"]
        offers = {
            state: self.run.task("border", state, lift.offer, block, self.shared_totals)
            for state, block in self.loaded.items()
        }
        return {
            state: self.run.task(
                "around",
                state,
                lift.environment_sums,
                block,
                [offers[other] for other in sorted(reach.get(state, ())) if other in offers],
                self.shared_totals,
                indices,
            )
            for state, block in self.loaded.items()
        }

    def _of_block(
        self, place: int, block: lift.RegionBlock, of_regions: Sequence[SegregationIndex]
    ) -> dict[str, Delayed]:
        drawn = self.prepared.drawn
        if not of_regions and not drawn:
            return {}
        run, request = self.run, self.prepared.request
        gathered = run.task("gather", block.name, lift.gather, block.regions, self._selected(block, self.loaded, ""))
        tasks: dict[str, Delayed] = {}
        if of_regions:
            tasks[f"regions {place}"] = run.task(
                "regions", block.name, lift.evaluate_gathered, gathered, of_regions, request.cutoff
            )
        if drawn:
            under_null = self.prepared.drawn_under_null
            null = self._draws(block, gathered, "null", request.inference.null, under_null)
            around = self._draws(block, gathered, "interval", request.inference.interval, drawn)
            tasks[f"infer {place}"] = run.task(
                "infer", block.name, _infer, gathered, null, around, under_null, drawn, request.inference.null
            )
            if any(index.name == "mutual_information" for index in drawn):
                tasks[f"bias {place}"] = run.task("bias", block.name, lift.bias, gathered)
        return tasks

    def _selected(self, block: lift.RegionBlock, loaded: Mapping[str, Delayed], which: str) -> list[Delayed]:
        return [
            self.run.task(f"select{which}", f"{state} {block.name}", lift.select, loaded[state], block.regions)
            for state in block.states
            if state in loaded
        ]

    def _draws(
        self, block: lift.RegionBlock, gathered: Delayed, purpose: str, kind: str, indices: tuple[SegregationIndex, ...]
    ) -> list[Delayed]:
        if kind == "none" or not indices:
            return []
        inference = self.prepared.request.inference
        asked = lift.Draws(purpose, kind, inference.seed, self.prepared.request.universe.year, indices)
        return [
            self.run.task(
                f"draw-{purpose}",
                f"{block.name} {first}",
                lift.draw,
                gathered,
                asked,
                range(first, min(first + self.draws_a_task, inference.draws)),
            )
            for first in range(0, inference.draws, self.draws_a_task)
        ]

    def _change(self, block: lift.RegionBlock, before: _Earlier) -> Delayed:
        earlier = {
            state: self.run.task("load-earlier", f"{state} {block.name}", _block, self.store, before.found, state)
            for state, one in before.tallies.items()
            if set(one.regions.tolist()) & set(block.regions)
        }
        years = [
            [
                self.run.task("select-earlier", f"{state} {block.name}", lift.select, part, block.regions)
                for state, part in sorted(earlier.items())
            ],
            self._selected(block, self.loaded, "-later"),
        ]
        return self.run.task("change", block.name, _change, block.regions, *years)

    def local_tasks(self, collection: str, names: Sequence[str]) -> dict[str, Delayed]:
        """Return the tasks that write the scores of single units, by state."""
        return {
            f"{_LOCAL}{state}": self.run.task(
                "local", state, _write_local, self.store, collection, state, block, self.shared_totals, names
            )
            for state, block in self.loaded.items()
        }


def _same(value: Any) -> Any:
    return value


def _block(store: Store, found: Found, state: str) -> lift.Block:
    return load(store, found, state).block


def _write_local(
    store: Store, collection: str, state: str, block: lift.Block, totals: lift.Totals, names: Sequence[str]
) -> Part:
    return store.put(collection, state, lift.local_segregation(block, totals, names))


def _infer(
    gathered: lift.Gathered,
    null: Sequence[lift.Values],
    around: Sequence[lift.Values],
    under_null: Sequence[SegregationIndex],
    drawn: Sequence[SegregationIndex],
    kind: str,
) -> dict[str, lift.Values]:
    found = lift.infer(gathered, null, [], under_null, kind)
    for name, columns in lift.infer(gathered, [], around, drawn, kind).items():
        found.setdefault(name, {}).update(columns)
    return found


def _change(regions: Sequence[str], first: Sequence[lift.Block], second: Sequence[lift.Block]) -> lift.Values:
    if not first:
        first = [second[0].where(np.zeros(len(second[0].geoids), dtype=bool))]
    return lift.change(regions, first, second)


# What is checked between the passes ----------------------------------------------------------


def _refuse_shared(seen: Mapping[str, Seen], universe: Universe) -> None:
    state = next((state for state, one in seen.items() if one.shared), None)
    if state is not None:
        raise InputError(
            f"--by {universe.by}: tracts of state {state} lie in several regions; spatial indices expect each in one"
        )


def _same_groups(now: Mapping[str, Seen], earlier: Mapping[str, Seen], request: Request) -> None:
    names = [next(iter(seen.values())).categories for seen in (earlier, now)]
    if names[0] != names[1]:
        raise InputError(
            f"--change: {request.since} has the groups {', '.join(names[0])}, {request.universe.year} "
            f"{', '.join(names[1])}; expected the same"
        )


def _report(prepared: Prepared, seen: Mapping[str, Seen], totals: lift.Totals) -> dict[str, Any]:
    unknown = [geoid for one in seen.values() for geoid in one.unknown]
    return {
        "nowhere": sum(one.nowhere for one in seen.values()),
        "unknown": len(unknown),
        "first_unknown": unknown[:3],
        "units": int(totals.units.sum()),
        "left_out": dict(prepared.left_out),
        "groups": list(next(iter(seen.values())).categories),
        "labels": list(next(iter(seen.values())).labels),
    }


# The table -----------------------------------------------------------------------------------


def _table(
    prepared: Prepared,
    seen: Mapping[str, Seen],
    totals: lift.Totals,
    blocks: Sequence[lift.RegionBlock],
    results: Mapping[str, Any],
) -> pd.DataFrame:
    """Return one row a region, one column an index (a group, a pair of groups, a level)."""
    groups = next(iter(seen.values())).categories
    names = {region: name for one in seen.values() for region, name in one.names.items()}
    levels = (*prepared.request.levels, "tract")
    of_all = {**results.get("sums", {}), **results.get("neighbors", {})}
    columns: dict[str, Any] = {
        "region_name": pd.array([names.get(region, "") for region in totals.regions], dtype="str"),
        "units": totals.units,
        "people": totals.counts.sum(axis=1),
        **{f"count_{group}": totals.counts[:, place] for place, group in enumerate(groups)},
    }
    assembled = _Assembled(totals, blocks, results)
    for index in prepared.indices:
        values = of_all.get(index.name)
        values = assembled.values("regions", index.name) if values is None else values
        columns |= spread_columns(index.name, values, groups, levels)
        for suffix, more in assembled.inference(index.name).items():
            wide = spread_columns(index.name, more, groups, levels)
            columns |= {f"{name}_{suffix}": column for name, column in wide.items()}
        if index.name == "mutual_information" and "bias 0" in results:
            columns["mutual_information_bias"] = assembled.placed([results[f"bias {p}"] for p in range(len(blocks))])
    if "change 0" in results:
        for name in results["change 0"]:
            columns[name] = assembled.values("change", name)
    return pd.DataFrame(columns, index=pd.Index(totals.regions, dtype="str", name="region"))


@dataclass(frozen=True)
class _Assembled:
    """Results of region blocks, brought into the order of all regions."""

    totals: lift.Totals
    blocks: Sequence[lift.RegionBlock]
    results: Mapping[str, Any]

    def values(self, stage: str, name: str) -> Floats:
        return self.placed([self.results[f"{stage} {place}"][name] for place in range(len(self.blocks))])

    def inference(self, name: str) -> lift.Values:
        if "infer 0" not in self.results or name not in self.results["infer 0"]:
            return {}
        parts = [self.results[f"infer {place}"][name] for place in range(len(self.blocks))]
        return {suffix: self.placed([part[suffix] for part in parts]) for suffix in parts[0]}

    def placed(self, parts: Sequence[Floats]) -> Floats:
        whole = np.full((len(self.totals.regions), *parts[0].shape[1:]), np.nan)
        for block, part in zip(self.blocks, parts, strict=True):
            whole[self.totals.codes(np.array(block.regions, dtype=object))] = part
        return whole


def spread_columns(name: str, values: Floats, groups: Sequence[str], levels: Sequence[str]) -> dict[str, Floats]:
    """Return the columns of an index: its name, with the group, the pair of groups or the level behind it.

    Parameters
    ----------
    values : shape (n_regions,), (n_regions, n_groups), (n_regions, n_groups, n_groups) or (n_regions, n_levels)
    """
    shape = INDICES[name].shape
    if shape == "region":
        return {name: values}
    if shape == "group":
        return {f"{name}_{group}": values[:, place] for place, group in enumerate(groups)}
    if shape == "level":
        return {f"{name}_{level}": values[:, place] for place, level in enumerate(levels)}
    return {
        f"{name}_{one}_{other}": values[:, first, second]
        for first, one in enumerate(groups)
        for second, other in enumerate(groups)
    }


def result(store: Store, request: Request) -> pd.DataFrame:
    """Return a result in the store as one frame, a row a region."""
    return store.read(store.snapshot(request.collection).parts["all"])


def local_result(store: Store, request: Request) -> pd.DataFrame:
    """Return the scores of single units, a row a tract and region."""
    snapshot = store.snapshot(request.local)
    return pd.concat([store.read(part) for part in snapshot.parts.values()])


def stored_report(store: Store, request: Request) -> dict[str, Any]:
    """Return what was found when the result was computed."""
    snapshot = store.snapshot(request.collection)
    return dict(snapshot.runs[snapshot.parts["all"].run]["report"])


def units_of(store: Store, request: Request, regions: Sequence[str]) -> dict[str, Floats]:
    """Return the counts of the units of some regions, by region: for their segregation curves."""
    found = find(store, replace(request.universe, regions=tuple(regions), margins=False))
    whole = lift.joined([load(store, found, state).block for state in found.states])
    return {region: lift.select(whole, [region]).counts for region in regions}


def has_local(store: Store, prepared: Prepared) -> bool:
    """Tell whether the store holds the scores of single units that belong to a result."""
    existing = store.find(prepared.request.local)
    identity = prepared.plan.provenance.identity
    return existing is not None and {part.run for part in existing.parts.values()} == {identity}
