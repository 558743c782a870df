"""Measures of any year on the tracts of one vintage, in dollars of one year: from the store to the store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import distributed
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.frames.relations import link_shares
from geomob_dask.lift.harmonize import Conversion, Sums, added, convert
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.execute import compute
from geomob_dask.runs.plan import Output, Plan
from geomob_dask.sources.keys import listed
from geomob_dask.sources.kinds import Kind, kinds_of
from geomob_dask.sources.prices import SHIPPED, read_prices
from geomob_dask.sources.relationships import RelationColumns, plain_codes, read_relation
from geomob_dask.sources.tables import file_checksums
from geomob_dask.sources.vintages import recoding, vintage
from geomob_dask.store import Part, Provenance, Snapshot, Store
from geomob_dask.store.provenance import sha256
from geomob_dask.transforms.harmonize import Balance

# Shares of tracts and lines for the user, by file and options.
_Relations = dict[tuple[Any, ...], tuple[pd.DataFrame, tuple[str, ...]]]
# Of the sources of a state: more than this not in a table of relationships, and it is of other tracts.
_STRANGERS = 0.5


@dataclass(frozen=True)
class Request:
    """What is asked for: one dataset and year.

    Parameters
    ----------
    dataset, year : str, int
        Measures in the store.
    to : str
        Vintage of the result.
    new : str, optional
        Name of the result; the dataset's, the vintage and the dollars by default.
    source : str, optional
        Vintage of the measures, where the store says it wrongly.
    crosswalk : str, optional
        A table of relationships; needed where the tracts differ.
    columns : RelationColumns
        Of that table.
    least : float
        Links with a smaller share of their source are left out.
    kinds : mapping of str to Kind
        Of columns, from the user.
    dollars : int, optional
        Year in whose dollars money is stated.
    prices : str
        The shipped index of prices, or a .csv.
    lost : float
        Largest share of any count that may lie in no target.
    medians : {"refuse", "missing"}
        What to do where a median or an index would have to be split or merged.
    states : tuple of str, optional
        Of the targets.
    """

    dataset: str
    year: int
    to: str
    new: str | None = None
    source: str | None = None
    crosswalk: str | None = None
    columns: RelationColumns = field(default_factory=RelationColumns)
    least: float = 0.0
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    dollars: int | None = None
    prices: str = SHIPPED
    lost: float = 0.0
    medians: str = "refuse"
    states: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Return the name of the resulting dataset."""
        if self.new:
            return self.new
        return f"{self.dataset}_{self.to}" + (f"_usd_{self.dollars}" if self.dollars else "")


@dataclass(frozen=True)
class Prepared:
    """A request and all that it needs, found in the store.

    Attributes
    ----------
    request : Request
    source : str
        Vintage of the measures.
    how : Conversion
    links : DataFrame
        ``source``, ``target``, ``weight``.
    measures, reasons : mapping of state to Part
    targets : tuple of str
        States of the result.
    plan : Plan
    lines : tuple of str
        What was found in the table of relationships.
    attributes : mapping
        Of the result: its vintage, what it was converted from, and the dollars its money is in.
    """

    request: Request
    source: str
    how: Conversion
    links: pd.DataFrame
    measures: dict[str, Part]
    reasons: dict[str, Part]
    targets: tuple[str, ...]
    plan: Plan
    lines: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def told(self) -> str:
        """Return where the reasons go."""
        return self.plan.collection.replace("measures/", "reasons/", 1)


def prepare(store: Store, requests: Sequence[Request]) -> list[Prepared]:
    """Return what a run would read and write, for some years of a dataset; nothing is computed.

    Raises
    ------
    InputError
        If the measures are not there, a vintage is not known, its tracts differ and there is no table of relationships
        or one of other vintages, a column's kind is not known, or a year has no index of prices.
    """
    relations: _Relations = {}
    return [_prepared(store, request, relations) for request in requests]


def _prepared(store: Store, request: Request, relations: _Relations) -> Prepared:
    if not 0 <= request.lost < 1:
        raise InputError(f"--lost {request.lost}: expected a share from 0 to 1")
    if request.medians not in ("refuse", "missing"):
        raise InputError(f"--medians {request.medians}: expected refuse or missing")
    if request.name == request.dataset:
        raise InputError(f"--as {request.name}: is the dataset itself; expected another name")
    vintage(request.to)
    name = f"measures/{request.dataset}/{request.year}"
    measures = store.snapshot(name)
    source = request.source or measures.attributes["vintage"]
    same = vintage(source).tracts == vintage(request.to).tracts
    if request.crosswalk is None and not same:
        raise InputError(
            f"{name} is of vintage {source}, with other tracts than {request.to}: expected a table of relationships "
            "between them (--relationship or --crosswalk FILE)"
        )
    kinds = kinds_of(list(store.frame(name).columns), request.kinds)
    inputs = {name: measures.checksum()}
    links = recoding(request.to)[["source", "target", "weight"]]
    lines: tuple[str, ...] = ()
    inputs[f"codes of {request.to}"] = sha256(links.to_csv(index=False).encode())
    if request.crosswalk is not None:
        key = (request.crosswalk, source, request.to, request.columns, request.least)
        if key not in relations:
            relation = read_relation(request.crosswalk, source, request.to, columns=request.columns)
            relations[key] = link_shares(relation, least=request.least)
        given, lines = relations[key]
        # What the file does not name of the same tracts, the registry does.
        others = links[~links["source"].isin(given["source"])] if same else links.iloc[:0]
        links = pd.concat([given, others], ignore_index=True)
        inputs |= file_checksums([request.crosswalk])
    priced: dict[str, Any] = {}
    if request.dollars is not None:
        prices = read_prices(request.prices)
        years = _stated(name, kinds)
        priced = {
            "dollars": (prices.of(request.year), prices.of(request.dollars), request.dollars),
            "stated": {column: (year, prices.of(year)) for column, year in years.items()},
        }
        inputs[f"prices {prices.name}"] = prices.checksum
    reasons = store.find(f"reasons/{request.dataset}/{request.year}")
    if reasons is not None:
        inputs[reasons.collection] = reasons.checksum()
    targets = _targets(request, links, list(measures.parts), same)
    how = Conversion(kinds, same, vintage(source).tracts, frozenset(targets), **priced)
    _refuse_same_names(name, how)
    collection = f"measures/{request.name}/{request.year}"
    options = {
        "dataset": request.dataset,
        "year": request.year,
        "from": source,
        "to": request.to,
        "kinds": {column: kind.model_dump(mode="json") for column, kind in kinds.items()},
        "columns": vars(request.columns),
        "least": request.least,
        "dollars": request.dollars,
        "lost": request.lost,
        "medians": request.medians,
        "states": list(request.states or ()) or "all",
    }
    if how.stated:
        options["stated"] = {column: year for column, (year, _) in how.stated.items()}
    provenance = Provenance("harmonize", inputs, options)
    found = store.find(collection)
    done = found is not None and _all_of(found, targets if request.states else None, provenance.identity)
    by_state = _by_state(links, targets)
    reads = {state: _sources(by_state[state], state, measures.parts) for state in targets}
    outputs = tuple(
        Output(state, tuple(part.key for part in parts.values()), sum(part.size for part in parts.values()))
        for state, parts in reads.items()
    )
    plan = Plan(collection, outputs, provenance, done)
    told = dict(reasons.parts) if reasons is not None else {}
    attributes = {"vintage": request.to, "converted_from": source, **money_of(measures.attributes)}
    if request.dollars is not None:
        attributes |= {"dollars": request.dollars, "prices": request.prices}
    return Prepared(request, source, how, links, dict(measures.parts), told, targets, plan, lines, attributes)


_STATED = re.compile(r".*_usd_([0-9]{4})")


def money_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what measures say of the dollars that their money is in; nothing where each is in those of its year."""
    return {key: attributes[key] for key in ("dollars", "prices") if key in attributes}


def _stated(name: str, kinds: Mapping[str, Kind]) -> dict[str, int]:
    """Return the columns that are in dollars of one year already, which their names say, and that year."""
    found = {column: _STATED.fullmatch(column) for column in kinds}
    years = {column: int(match[1]) for column, match in found.items() if match}
    for column in years:
        kind = kinds[column]
        if (kinds[kind.of[0]] if kind.kind == "moe" else kind).unit != "usd":
            raise InputError(
                f"{name}: column {column}: named as dollars of {years[column]}, found a {kind.kind} without a unit; "
                "expected unit usd in the file of kinds (--kinds), or it would stay in those dollars"
            )
    return years


def _refuse_same_names(name: str, how: Conversion) -> None:
    """Refuse two columns that differ only in the year of their dollars."""
    whose: dict[str, str] = {}
    for column in how.kinds:
        other = whose.setdefault(how.name(column), column)
        if other != column:
            raise InputError(f"{name}: columns {other}, {column}: both would be {how.name(column)}; expected one")


def _all_of(found: Snapshot, states: Sequence[str] | None, run: str) -> bool:
    """Return whether a collection is of one run; of chosen states, whether they are: others are not its matter."""
    return {found.parts[state].run if state in found.parts else "" for state in states or found.parts} == {run}


def _targets(request: Request, links: pd.DataFrame, measured: Sequence[str], same: bool) -> tuple[str, ...]:
    """Return the states of the result: those in which a source that is measured lies."""
    if same:
        states = set(measured)
    else:
        rows = links[links["source"].str[:2].isin(measured) & (links["target"] != "")]
        # A neighbour that shares a sliver with a measured state, and is not measured itself, is no result.
        states = set(rows["target"].str[:2].unique()) & set(measured)
    if request.states is not None:
        absent = sorted(set(request.states) - states)
        if absent:
            raise InputError(f"--states {', '.join(absent)}: no measures there; found {', '.join(sorted(states))}")
        states = set(request.states)
    left = sorted(set(measured) - states)
    if states and left and request.states is None:
        raise InputError(
            f"measures/{request.dataset}/{request.year}: no tract of states {', '.join(left)} is in the table of "
            f"relationships; expected one with them, or --states {','.join(sorted(states))}"
        )
    if not states:
        raise InputError(
            f"measures/{request.dataset}/{request.year}: no tract of its states {listed(list(measured))} is in the "
            "table of relationships"
        )
    return tuple(sorted(states))


def _by_state(links: pd.DataFrame, states: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the links that end in a state or begin there."""
    begin, end = (links[side].str[:2].to_numpy() for side in ("source", "target"))
    return {state: links[(begin == state) | (end == state)] for state in states}


def _sources(links: pd.DataFrame, state: str, parts: Mapping[str, Part]) -> dict[str, Part]:
    """Return the parts whose rows a state's targets need, its own among them."""
    states = {state, *links["source"].str[:2].unique()}
    return {one: parts[one] for one in sorted(states) if one in parts}


@dataclass(frozen=True)
class _Done:
    table: Part
    reasons: Part
    sums: Sums


def execute(
    store: Store, prepared: Sequence[Prepared], client: distributed.Client | None, console: Console
) -> list[dict[str, Any]]:
    """Convert, check and commit: one task a year and state. After a failed check nothing is visible.

    Returns
    -------
    list of dict
        What was found, a year each; it is in the provenance too.

    Raises
    ------
    InputError
        If people are lost beyond what is tolerated, a median would have to be split or merged, or the table of
        relationships is of other tracts.
    """
    run = Run("harmonize")
    tasks = {}
    for item in prepared:
        by_state = _by_state(item.links, item.targets)
        for state in _largest_first(item):
            sources = _sources(by_state[state], state, item.measures)
            key = f"{item.request.name}-{item.request.year}-{state}"
            why = {one: item.reasons[one] for one in sources if one in item.reasons}
            where = (item.plan.collection, item.told)
            tasks[key] = run.task(
                "convert", key, _converted, store, state, sources, why, by_state[state], item.how, where
            )
    collections = [name for item in prepared for name in (item.plan.collection, item.told)]
    reports = []
    with store.all_or_nothing(*collections):
        done = compute(tasks, client, console, token=run.token)
        by_item = [
            {state: done[f"{item.request.name}-{item.request.year}-{state}"] for state in item.targets}
            for item in prepared
        ]
        reports = [_checked(item, found) for item, found in zip(prepared, by_item, strict=True)]
        for item, found, report in zip(prepared, by_item, reports, strict=True):
            provenance = replace(item.plan.provenance, report=report)
            told = {state: one.reasons for state, one in found.items()}
            tables = {state: one.table for state, one in found.items()}
            # Chosen states join what is there of others; all states are the whole result.
            some = item.request.states is not None
            store.commit(item.told, told, provenance, item.attributes, keep_others=some)
            store.commit(item.plan.collection, tables, provenance, item.attributes, keep_others=some)
    return reports


def _largest_first(item: Prepared) -> list[str]:
    return sorted(item.targets, key=lambda state: (-item.measures[state].size, state))


def _converted(
    store: Store,
    state: str,
    sources: Mapping[str, Part],
    why: Mapping[str, Part],
    links: pd.DataFrame,
    how: Conversion,
    where: tuple[str, str],
) -> _Done:
    table = pd.concat([store.read(part) for part in sources.values()])
    if not how.same_tracts:
        # Rows of other states are read for those of their tracts that touch this one.
        named = plain_codes(table.index, how.tracts).isin(links["source"])
        table = table[named | (table.index.str[:2] == state)]
    reasons = pd.concat([store.read(part) for part in why.values()]) if why else None
    frame, told, sums = convert(table, reasons, links, state, how)
    return _Done(store.put(where[0], state, frame), store.put(where[1], state, told), sums)


def _checked(item: Prepared, found: Mapping[str, _Done]) -> dict[str, Any]:
    """Return the report of a year, once nothing is lost that must not be."""
    what = f"measures/{item.request.dataset}/{item.request.year}"
    sums = [one.sums for one in found.values()]
    if not item.how.same_tracts:
        _check_tracts(item, what, found)
    before, lost, elsewhere, after, withheld = (
        added([getattr(one, name) for one in sums]) for name in ("before", "lost", "elsewhere", "after", "withheld")
    )
    balances = {}
    for column in before:
        losers = sorted((row for one in sums for row in one.losers if row[1] == column), reverse=True)
        balance = Balance(before[column] - elsewhere[column], after[column], lost[column], withheld[column])
        examples = listed([f"{geoid} ({amount:,.6g})" for amount, _, geoid in losers], 3) or "no tract"
        try:
            balance.check(column, item.request.lost, examples)
        except InputError as error:
            raise InputError(f"{what}: {error}") from error
        balances[column] = vars(balance)
    refused = {}
    for column in item.how.kinds:
        rows = [one.refused[column] for one in sums if column in one.refused]
        if rows:
            refused[column] = sum(count for count, _ in rows)
            if item.request.medians == "refuse":
                raise InputError(
                    f"{what}: column {column}: a {item.how.kinds[column].kind} cannot be split or merged, and "
                    f"{refused[column]:,} tracts of vintage {item.request.to} ({rows[0][1]}) are made of parts of "
                    "others; expected a share or mean of counts, or --medians missing to leave it out there"
                )
    absent = sorted({key for one in sums for key in one.absent})
    return {
        "sources": sum(one.sources for one in sums),
        "targets": sum(one.targets for one in sums),
        "balance": balances,
        "elsewhere": elsewhere,
        "refused": refused,
        "absent": [len(absent), absent[:5]],
        "unlisted": [sum(len(one.unlisted) for one in sums), [key for one in sums for key in one.unlisted][:5]],
    }


def _check_tracts(item: Prepared, what: str, found: Mapping[str, _Done]) -> None:
    for state, one in found.items():
        unlisted, sources = one.sums.unlisted, one.sums.sources
        if sources and len(unlisted) > _STRANGERS * sources:
            raise InputError(
                f"{what}, state {state}: {len(unlisted):,} of {sources:,} tracts ({listed(unlisted, 3)}) are not among "
                f"the sources of {item.request.crosswalk}; expected a table from tracts of {item.source}"
            )


def stored_report(store: Store, item: Prepared) -> dict[str, Any]:
    """Return what was found when a result in the store was computed."""
    snapshot = store.snapshot(item.plan.collection)
    return dict(snapshot.runs[snapshot.parts[item.targets[0]].run]["report"])
