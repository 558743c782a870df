"""Exposure by regions, of one or more years of a dataset, from the store to the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import distributed
import pandas as pd
from dask.delayed import Delayed
from rich.console import Console

from geomob_dask.frames.exposure import Reported
from geomob_dask.frames.exposure_tables import exposure_summary, exposure_table, interaction_table
from geomob_dask.frames.groups import group_counts
from geomob_dask.lift import exposure as lift
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.commits import commit_all
from geomob_dask.runs.execute import Carry, on
from geomob_dask.runs.plan import EachState, Output, Plan
from geomob_dask.runs.regions import Regions, find_regions, region_tables
from geomob_dask.sources.groups import Edition, Grouping, find_edition, find_grouping, load_grouping
from geomob_dask.store import Commit, Part, Provenance, Snapshot, Store


@dataclass(frozen=True)
class Request:
    """What is asked for: one table.

    Parameters
    ----------
    dataset, year : str, int
        The measures.
    by : str
        ``county``, ``state``, regions in the store, or a column of the measures.
    states : tuple of str, optional
        State codes; all of the dataset by default.
    groups : str, optional
        A shipped grouping or a file; found from the dataset's columns by default.
    options : Options
    each : bool
        Whether states are computed each by itself, in runs of their own, and lie together as parts of one result.
    """

    dataset: str
    year: int
    by: str
    states: tuple[str, ...] | None = None
    groups: str | None = None
    options: lift.Options = field(default_factory=lift.Options)
    each: bool = False

    def collection(self, grouping: Grouping, product: str = "exposure") -> str:
        """Return where the result goes."""
        states = "each" if self.each else "-".join(self.states) if self.states else "all"
        name = f"{states}-{self.by}-{self.options.mode}-{self.options.threshold:g}"
        return f"results/{product}/{grouping.name}/{self.dataset}/{self.year}/{name}"


@dataclass(frozen=True)
class Prepared:
    """A request and all that it needs, found in the store.

    Attributes
    ----------
    request : Request
    grouping : Grouping
    edition : Edition
        The columns that the groups are made of in that year.
    regions : Regions
    measures : mapping of state to Part
    vintage : str
        Of the measures' tracts.
    plan : Plan
    """

    request: Request
    grouping: Grouping
    edition: Edition
    regions: Regions
    measures: dict[str, Part]
    vintage: str
    plan: Plan

    @property
    def interactions(self) -> str:
        """Return where the interactions go."""
        return self.request.collection(self.grouping, "interaction")

    @property
    def part(self) -> str:
        """Return the name of the one part of the result: its state where states are computed each by itself."""
        return self.plan.outputs[0].state if self.request.each else "all"


def prepare(store: Store, request: Request) -> Prepared:
    """Return what a run would read and write; nothing is computed.

    Raises
    ------
    InputError
        If the dataset, year, states or regions are not there.
    DefinitionError
        If no grouping fits the dataset's columns.
    """
    known = _look(store, request)
    parts = store.chosen(known.measures, request.states)
    inputs = {known.measures.collection: known.measures.checksum(list(parts))}
    if known.regions.collection:
        inputs[known.regions.collection] = known.regions.checksum
    states = {"states": list(request.states or ()) or "all"}
    provenance = Provenance("exposure", inputs, {**_options(request, known), **states})
    collection = request.collection(known.grouping)
    wanted = [collection]
    if request.options.interactions:
        wanted.append(request.collection(known.grouping, "interaction"))
    done = all(_runs(store, result) == {provenance.identity} for result in wanted)
    outputs = tuple(_output(state, part, known.regions) for state, part in parts.items())
    plan = Plan(collection, outputs, provenance, done)
    return Prepared(request, known.grouping, known.edition, known.regions, parts, known.vintage, plan)


@dataclass(frozen=True)
class _Known:
    """What the store says of a request."""

    measures: Snapshot
    grouping: Grouping
    edition: Edition
    regions: Regions

    @property
    def vintage(self) -> str:
        return str(self.measures.attributes["vintage"])


def _look(store: Store, request: Request) -> _Known:
    measures = store.snapshot(f"measures/{request.dataset}/{request.year}")
    states = list(store.chosen(measures, request.states))
    columns = store.columns(measures, states)
    if request.groups is None:
        grouping, edition = find_grouping(columns, request.year)
    else:
        grouping = load_grouping(request.groups)
        edition = find_edition(grouping, columns, request.year)
    regions = find_regions(store, request.by, str(measures.attributes["vintage"]), columns, states)
    return _Known(measures, grouping, edition, regions)


def _options(request: Request, known: _Known) -> dict[str, Any]:
    return {
        "dataset": request.dataset,
        "year": request.year,
        "by": request.by,
        "grouping": known.grouping.name,
        "edition": known.edition.model_dump(mode="json"),
        "mode": str(request.options.mode),
        "threshold": request.options.threshold,
    }


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
    _known: _Known

    @property
    def collection(self) -> str:
        """Return where they go."""
        return self.request.collection(self._known.grouping)

    @property
    def interactions(self) -> str:
        """Return where the interactions go."""
        return self.request.collection(self._known.grouping, "interaction")

    def prepared(self, state: str) -> Prepared:
        """Return what the output of one state needs, and nothing of others."""
        known, request = self._known, replace(self.request, states=(state,))
        plan = Plan(self.collection, self.outputs.outputs([state]), self.outputs.provenance(state), False)
        measures = {state: known.measures.parts[state]}
        regions = known.regions.of_states([state])
        return Prepared(request, known.grouping, known.edition, regions, measures, known.vintage, plan)


def prepare_each(store: Store, request: Request) -> Each:
    """Return what a run of every state by itself would read and write; raises as `prepare`."""
    request = replace(request, each=True)
    known = _look(store, request)
    by_state = [known.measures, *region_tables(store, known.regions)]
    return Each(request, EachState("exposure", _options(request, known), by_state), known)


def _runs(store: Store, collection: str) -> set[str]:
    found = store.find(collection)
    return {part.run for part in found.parts.values()} if found else set()


def _output(state: str, part: Part, regions: Regions) -> Output:
    read = [part, *([regions.parts[state]] if state in regions.parts else [])]
    return Output(state, tuple(one.key for one in read), sum(one.size for one in read))


def execute(
    store: Store,
    prepared: Sequence[Prepared],
    client: distributed.Client | None,
    console: Console,
    *,
    reported: Reported | None = None,
) -> None:
    """Compute, check and commit exposures: one task a year and state reads, groups and adds for all kinds of regions.

    A failed check fails the run, and nothing of it is visible in the store.

    Parameters
    ----------
    prepared : sequence of Prepared
        Any years and regions of any datasets.
    reported : Reported, optional
        Totals to compare with.
    """
    collections = [item.plan.collection for item in prepared]
    collections += [item.interactions for item in prepared if item.request.options.interactions]
    with store.all_or_nothing(*collections):
        commit_all(store, produce(store, prepared, on(client, console), reported=reported))


def produce(
    store: Store, prepared: Sequence[Prepared], carry: Carry, *, reported: Reported | None = None
) -> list[Commit]:
    """Compute, check and write exposures; return what is to be committed."""
    run = Run("exposure")
    written = carry(_work(store, prepared, run), run)
    if reported is not None:
        for one in written.values():
            reported.check(one.people)
    return [commit for item in prepared for commit in _settled(item, written[item.plan.collection])]


def _work(store: Store, prepared: Sequence[Prepared], run: Run) -> dict[str, Delayed]:
    """Return the tasks that write each result, by collection."""
    writes = {}
    for place, items in enumerate(_sharing_measures(prepared)):
        first = items[0]
        # Requests of one dataset and year that differ in states or columns read by themselves.
        apart = f"-{place + 1}" if place else ""
        largest_first = sorted(first.measures, key=lambda state: (-first.measures[state].size, state))
        partials = [
            run.task(
                "sums",
                f"{first.request.dataset}-{first.request.year}-{state}{apart}",
                _partials,
                store,
                state,
                first.measures[state],
                first.edition,
                tuple((item.regions, item.request.options) for item in items),
            )
            for state in largest_first
        ]
        for number, item in enumerate(items):
            collection = item.plan.collection
            writes[collection] = run.task("write", collection, _write, store, item, number, partials)
    return writes


def _settled(item: Prepared, one: _Written) -> list[Commit]:
    """Return what is committed of what the tasks wrote."""
    attributes = {"vintage": item.vintage, "by": item.request.by, "mode": str(item.request.options.mode)}
    provenance = replace(item.plan.provenance, report=one.report)
    result = Commit(item.plan.collection, {item.part: one.exposures}, provenance, attributes)
    if one.interactions is None:
        return [result]
    return [Commit(item.interactions, {item.part: one.interactions}, item.plan.provenance, attributes), result]


def _sharing_measures(prepared: Sequence[Prepared]) -> list[list[Prepared]]:
    """Return requests together that read the same columns of the same measures."""
    together: dict[tuple[Any, ...], list[Prepared]] = {}
    for item in prepared:
        parts = tuple((state, part.sha256) for state, part in item.measures.items())
        together.setdefault((item.request.dataset, item.request.year, item.edition, parts), []).append(item)
    return list(together.values())


def _partials(
    store: Store,
    state: str,
    measures: Part,
    edition: Edition,
    kinds: Sequence[tuple[Regions, lift.Options]],
) -> list[lift.Partial]:
    """Read one state and add its tracts up by every kind of region."""
    by_column = [regions.by for regions, _ in kinds if regions.of_column]
    table = store.read(measures, list(dict.fromkeys([*edition.columns, *by_column])))
    groups = group_counts(table, edition, table.index)
    return [lift.partial(groups, table.index, regions.of(store, state, table), options) for regions, options in kinds]


@dataclass(frozen=True)
class _Written:
    """What the task that writes a result tells: parts to commit, people by region, and what was found."""

    exposures: Part
    interactions: Part | None
    people: pd.Series
    report: Mapping[str, Any]


def _write(store: Store, item: Prepared, number: int, partials: Sequence[Sequence[lift.Partial]]) -> _Written:
    groups = tuple(group.name for group in item.edition.groups)
    found = lift.combine([by_state[number] for by_state in partials], groups, item.request.options)
    table = exposure_table(found.exposures, found.names, found.groups, item.request.options.mode)
    exposures = store.put(item.plan.collection, item.part, table)
    interactions = None
    if found.interactions is not None:
        pairs = interaction_table(found.interactions, found.names.index, groups)
        interactions = store.put(item.interactions, item.part, pairs)
    return _Written(exposures, interactions, table["people_count"], report(found))


def report(found: lift.Found) -> dict[str, Any]:
    """Return what an analyst wants to know of a result."""
    return {
        "regions": len(found.names),
        "tracts": found.tracts,
        "tracts_outside": found.tracts_outside,
        "people": found.people,
        "people_outside": found.outside,
        "groups": exposure_summary(found.exposures, found.names.index, found.groups),
    }


def result(store: Store, item: Prepared) -> pd.DataFrame:
    """Return a result in the store, index ``region``."""
    return store.read(store.snapshot(item.plan.collection).parts["all"])


def interactions(store: Store, item: Prepared) -> pd.DataFrame:
    """Return interactions in the store, index ``region``."""
    return store.read(store.snapshot(item.interactions).parts["all"])


def stored_report(store: Store, item: Prepared) -> dict[str, Any]:
    """Return what was found when a result in the store was computed; see `report`."""
    snapshot = store.snapshot(item.plan.collection)
    return dict(snapshot.runs[snapshot.parts["all"].run]["report"])
