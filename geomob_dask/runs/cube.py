"""A product's years from the store into its cube: only what changed is read and written, in one commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import distributed
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from geomob_dask.errors import InputError, RunError
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.execute import compute
from geomob_dask.sources.vintages import changed_states, differing_codes, registry
from geomob_dask.store import Part, Snapshot, Store
from geomob_dask.store.cube_arrays import BLOCK, RESERVED, Layout, State, finish, write_block
from geomob_dask.store.cube_form import Form, form_of, kinds_of, longer, reasons_of, values_of
from geomob_dask.store.cubes import Cube

_ATTEMPTS = 20
_TOLD = 3
# Digits of a tract's key.
_TRACT = 11


@dataclass(frozen=True)
class YearPlan:
    """What of one year is to be written.

    Parameters
    ----------
    collection : str
    parts : mapping of str to Part
        All of the year.
    changed, removed : tuple of str
        Parts that differ from what the cube holds, and parts that it holds and the year has no longer.
    """

    collection: str
    parts: Mapping[str, Part]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class CubePlan:
    """What a run would write.

    Parameters
    ----------
    name : str
    attributes : mapping
        Of the product: the same for all years.
    years : mapping of int to YearPlan
        All that were asked for, ascending.
    state : State, optional
        What the cube holds now; None where there is no cube.
    """

    name: str
    attributes: Mapping[str, Any]
    years: Mapping[int, YearPlan]
    state: State | None

    @property
    def todo(self) -> dict[int, YearPlan]:
        """Return the years of which anything is to be written."""
        return {year: plan for year, plan in self.years.items() if plan.changed or plan.removed}

    def lines(self) -> list[str]:
        """Return the plan as text."""
        todo = self.todo
        size = sum(plan.parts[name].size for plan in todo.values() for name in plan.changed)
        held = "none" if self.state is None else _spans(sorted(self.state.years)) or "none"
        lines = [
            f"cube {self.name} of {self.attributes['product']}: {len(todo)} of {len(self.years)} years to be written, "
            f"from {size / 2**20:.1f} MiB; years there now: {held}"
        ]
        for year, plan in self.years.items():
            what = "up to date" if year not in todo else f"{_counted(plan.changed, 'part')} to be written"
            gone = f", {_counted(plan.removed, 'part')} to be blanked" if plan.removed else ""
            lines.append(f"  {year}: {what}{gone}, from {plan.collection}")
        return lines


@dataclass(frozen=True)
class Written:
    """What a run did.

    Parameters
    ----------
    version : str, optional
        The commit; None where there was nothing to do.
    message : str
        What the commit says, or that there was nothing to do.
    tracts : int
        Tracts (or regions) in the cube.
    chunks : int
        Chunks of a year and block that were written.
    """

    version: str | None
    message: str
    tracts: int
    chunks: int


def collections_of(template: str, years: Sequence[int]) -> dict[int, str]:
    """Return the collection of each year.

    Raises
    ------
    InputError
        If the template does not say where the year stands.

    Examples
    --------
    >>> collections_of("measures/acs/{year}", [2020])
    {2020: 'measures/acs/2020'}
    """
    if "{year}" not in template:
        raise InputError(f"--results {template}: expected {{year}} in the place of the year")
    return {year: template.replace("{year}", str(year)).strip("/") for year in years}


def plan_cube(store: Store, name: str, results: Mapping[int, str]) -> CubePlan:
    """Return what `write_cube` would write; nothing is computed.

    Raises
    ------
    InputError
        If there is no year, a collection is not there, or the years are of different products, vintages or kinds of
        region, among themselves or with the cube.
    """
    if not results:
        raise InputError(f"cube {name!r}: found no year, expected at least one")
    snapshots = {year: store.snapshot(collection) for year, collection in sorted(results.items())}
    state = Cube(store, name).state()
    attributes = _attributes(store, name, snapshots, state)
    years = {}
    for year, snapshot in snapshots.items():
        held = {} if state is None else state.identities(year)
        now = {part: _identity(what) for part, what in snapshot.parts.items()}
        moved = state is not None and year in state.years and _collection(state, year) != snapshot.collection
        changed = tuple(part for part in now if moved or held.get(part) != now[part])
        removed = tuple(part for part in held if part not in now)
        years[year] = YearPlan(snapshot.collection, dict(snapshot.parts), changed, removed)
    return CubePlan(name, attributes, years, state)


def write_cube(
    store: Store,
    name: str,
    results: Mapping[int, str],
    client: distributed.Client | None,
    console: Console,
    *,
    block: int = BLOCK,
) -> Written:
    """Bring years of results or measures into a cube, in one commit; nothing is committed if nothing changed.

    Parameters
    ----------
    store : Store
    name : str
        Of the cube; it is made where there is none.
    results : mapping of int to str
        The collection of each year. Other years of the cube stay as they are.
    block : int
        Tracts in a chunk, of a cube that is made.

    Raises
    ------
    InputError
        As `plan_cube`; or if the tables of the years have not the same columns, or a tract or region twice.
    RunError
        If other writers of the same years were first, twenty times.
    """
    for _ in range(_ATTEMPTS):
        done = _attempt(store, name, plan_cube(store, name, results), client, console, block)
        if done is not None:
            return done
        console.print(f"cube {name}: another writer was first; looking again at what is to be written")
    raise RunError(
        f"cube {name!r}: {_ATTEMPTS} times another writer of the same years was first; nothing was lost and nothing "
        "written; expected one writer of a year at a time"
    )


def _attempt(
    store: Store, name: str, plan: CubePlan, client: distributed.Client | None, console: Console, block: int
) -> Written | None:
    """Write what a plan asks for; None where the cube moved on since it was made."""
    todo = plan.todo
    if not todo:
        tracts = 0 if plan.state is None else len(plan.state.keys)
        return Written(None, f"nothing to do: {_spans(list(plan.years))} up to date", tracts, 0)
    cube = Cube(store, name)
    run = Run("cube")
    unit = str(plan.attributes["unit"])
    seen = _look_at_all(store, plan, run, client, console)
    _check_codes_of_others(plan, seen)
    form = _one_form(plan, seen, unit)
    before = plan.state
    if before is None or not before.years:
        before = cube.create(form, plan.attributes, block)
        if before is None:
            return None
    state = _state_after(before, plan, seen)
    session = cube.session(before)
    if session is None:
        return None
    chunks, merges, layout = 0, {}, state.layout
    for year, what in todo.items():
        tasks = []
        for number in _blocks_to_write(state, before, year, what):
            rows = state.blocks[number]
            keys = state.keys[rows]
            parts = _overlapping(what.parts, keys)
            task = run.task(
                "write", f"{year}-{number}", _write_block, store, session.fork(), layout, year, rows, keys, parts
            )
            tasks.append(task)
        chunks += len(tasks)
        merges[str(year)] = run.task("merge", str(year), _merge, tasks)
    forks = compute(merges, client, console, token=run.token)
    session.merge(*(fork for fork in forks.values() if fork is not None))
    finish(session, before, state)
    message = _message(plan, before, state)
    version = cube.commit(session, message, _metadata(plan))
    return None if version is None else Written(version, message, len(state.keys), chunks)


# What is asked for --------------------------------------------------------------------------------


def _attributes(store: Store, name: str, snapshots: Mapping[int, Snapshot], state: State | None) -> dict[str, Any]:
    """Return what holds for all years, after comparing it between them and with the cube."""
    found: dict[str, Any] = {}
    whose = f"cube {name!r}" if state is not None and state.years else ""
    if state is not None and state.years:
        found = dict(state.attributes)
    for snapshot in snapshots.values():
        own = _own_attributes(store, snapshot)
        if not found:
            found, whose = own, snapshot.collection
        for key in sorted({*own, *found}):
            if own.get(key) != found.get(key):
                raise InputError(_differs(key, whose, found.get(key), snapshot.collection, own.get(key)))
    return found


def _own_attributes(store: Store, snapshot: Snapshot) -> dict[str, Any]:
    pieces = snapshot.collection.split("/")
    product = "/".join(pieces[:3] if pieces[0] == "results" else pieces[:2])
    first = next(iter(part for part in snapshot.parts.values() if part.rows), None)
    if first is None:
        raise InputError(f"{store.url}/{snapshot.collection}: holds no row, expected at least one")
    unit = "tract" if len(first.first) == 11 and first.first.isdigit() else "region"
    more = {key: value for key, value in snapshot.attributes.items() if key in ("vintage", "by", "mode", "dollars")}
    attributes = {"Conventions": "CF-1.11", "product": product, "unit": unit, **more}
    if unit == "tract" and "vintage" in more:
        attributes["geometry"] = f"tracts/{more['vintage']}"
    return attributes


def _differs(key: str, whose: str, found: Any, collection: str, own: Any) -> str:
    said = f"{whose} is of {key} {found!r}, {collection} of {key} {own!r}"
    if key in ("vintage", "geometry"):
        vintage = str(found).removeprefix("tracts/")
        other = str(own).removeprefix("tracts/")
        dataset, year = _dataset_and_year(collection)
        which = f"--dataset {dataset} --years {year} " if year else ""
        return (
            f"{whose} is on tracts of vintage {vintage}, {collection} on those of {other}; expected years of one "
            f"vintage: bring the measures to it with python jobs/harmonize.py {which}--to {vintage}, compute the "
            "result anew, or take another name"
        )
    if key == "product":
        return f"{said}; expected years of one product, or another name for the cube"
    return f"{said}; expected the same for all years of a cube"


def _dataset_and_year(collection: str) -> tuple[str, str]:
    """Return what stands before the year in a collection's name, and the year; empty where there is none."""
    pieces = collection.split("/")
    place = next((place for place, piece in enumerate(pieces) if piece.isdigit() and len(piece) == 4), 0)
    return (pieces[place - 1], pieces[place]) if place else ("", "")


def _identity(part: Part) -> tuple[int, int]:
    return int(part.sha256[:16], 16), int(part.run[:16] or "0", 16)


def _collection(state: State, year: int) -> str:
    return state.collections[state.years.index(year)]


# What the parts hold ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """What a task found in the parts of one name, over the years.

    Parameters
    ----------
    keys : shape (n,), text
        Of all years, sorted.
    kinds : mapping of str to str
        Columns of the first part, in order.
    source : str
        Where that is.
    reasons : frozenset of str
    """

    keys: NDArray[Any]
    kinds: Mapping[str, str]
    source: str
    reasons: frozenset[str]


def _look_at_all(
    store: Store, plan: CubePlan, run: Run, client: distributed.Client | None, console: Console
) -> dict[str, _Seen]:
    parts: dict[str, list[Part]] = {}
    for year in plan.todo.values():
        for name in year.changed:
            if year.parts[name].rows:
                parts.setdefault(name, []).append(year.parts[name])
    largest_first = sorted(parts, key=lambda name: (-sum(part.size for part in parts[name]), name))
    tasks = {name: run.task("look", name, _look, store, tuple(parts[name])) for name in largest_first}
    found = compute(tasks, client, console, token=run.token)
    return {name: found[name] for name in sorted(found)}


def _look(store: Store, parts: Sequence[Part]) -> _Seen:
    keys: list[NDArray[Any]] = []
    reasons: set[str] = set()
    first: _Seen | None = None
    for part in parts:
        table = store.read(part)
        where = f"{store.url}/{part.key}"
        if not table.index.is_unique:
            twice = table.index[table.index.duplicated()][0]
            raise InputError(
                f"{where}: {table.index.name} {twice!r} stands there more than once; expected one row each, as of "
                "regions that do not overlap"
            )
        kinds = kinds_of(table)
        if first is None:
            first = _Seen(np.array([], object), kinds, where, frozenset())
        _same_columns(first.source, first.kinds, where, kinds)
        reasons |= reasons_of(table, form_of(kinds, "tract"))
        for other, found in zip(parts, keys, strict=False):
            _same_codes(_collection_of(other), found, _collection_of(part), table.index)
        keys.append(table.index.to_numpy(object))
    assert first is not None  # a task is made for parts with rows only
    every = np.array(sorted(set(np.concatenate(keys).tolist())), object)
    return replace(first, keys=every, reasons=frozenset(reasons))


def _collection_of(part: Part) -> str:
    """Return the collection of a part: what its key begins with."""
    return part.key.rsplit("/", 1)[0]


def _check_codes_of_others(plan: CubePlan, seen: Mapping[str, _Seen]) -> None:
    """Refuse tracts that the years of the cube that stay have under another code."""
    held = plan.state
    if held is None or plan.attributes["unit"] != "tract":
        return
    for name, one in seen.items():
        moved = {year for year, what in plan.todo.items() if name in (*what.changed, *what.removed)}
        stay = [year for year in held.years if year not in moved and name in held.identities(year)]
        new = [what.collection for what in plan.todo.values() if name in what.changed]
        if stay and new:
            there = [key for key in held.keys.tolist() if key[:2] == name]
            _same_codes(_collection(held, stay[0]), np.array(there, object), new[0], pd.Index(one.keys))


def _same_codes(one: str, keys: NDArray[Any], other: str, found: pd.Index) -> None:
    """Refuse years with different codes for the same tracts: each would be two rows, and in every year one is empty."""
    if not len(keys) or str(keys[0])[:2] not in changed_states() or len(str(keys[0])) != _TRACT:
        return
    differing = differing_codes(keys.tolist(), found)
    if differing:
        first = differing[0]
        newer = max(first.left_vintage, first.right_vintage, key=list(registry().vintages).index)
        places = [_dataset_and_year(name) for name in (one, other)]
        years = ",".join(sorted({year for _, year in places if year}))
        which = f"--dataset {places[1][0]} --years {years} " if years else ""
        raise InputError(
            f"{first.line(one, other)}; expected one set of codes in all years of a cube, or each of these tracts "
            f"would be two rows: bring the measures of every year to one: python jobs/harmonize.py {which}--to {newer}"
        )


def _same_columns(one: str, columns: Mapping[str, str], other: str, found: Mapping[str, str]) -> None:
    if dict(columns) == dict(found):
        return
    absent = [name for name in columns if name not in found]
    more = [name for name in found if name not in columns]
    changed = [name for name in columns if name in found and columns[name] != found[name]]
    what = (
        f"has no column {absent[0]!r}"
        if absent
        else f"has a column {more[0]!r} more"
        if more
        else f"has {found[changed[0]]} in column {changed[0]!r} instead of {columns[changed[0]]}"
    )
    raise InputError(f"{other}: {what}, unlike {one}; expected the same columns in all years of a cube")


def _one_form(plan: CubePlan, seen: Mapping[str, _Seen], unit: str) -> Form:
    looked = list(seen.values())
    if not looked:
        # Parts were taken away and none changed.
        assert plan.state is not None
        return plan.state.form
    for other in looked[1:]:
        _same_columns(looked[0].source, looked[0].kinds, other.source, other.kinds)
    product = str(plan.attributes["product"])
    form = form_of(looked[0].kinds, unit, "1" if product.startswith("results/") else "")
    taken = sorted((RESERVED | {unit}) & set(form.texts))
    if taken:
        raise InputError(
            f"{looked[0].source}: the column of text {taken[0]!r} has a name that a cube needs for itself; expected "
            "another name"
        )
    held = plan.state
    if held is not None and held.years and held.form != form:
        _same_columns(f"cube {plan.name!r}", _columns(held.form), looked[0].source, _columns(form))
        raise InputError(
            f"{looked[0].source}: has the columns of cube {plan.name!r} in another order; expected the same order"
        )
    return form


def _columns(form: Form) -> dict[str, str]:
    numbers = {column: "number" for measure in form.measures for column in measure.columns.values()}
    return numbers | dict.fromkeys(form.texts, "text")


# What the cube is to hold ---------------------------------------------------------------------------


def _state_after(before: State, plan: CubePlan, seen: Mapping[str, _Seen]) -> State:
    todo = plan.todo
    known = set(before.keys.tolist())
    place_of: dict[str, str] = {}
    for name, one in seen.items():
        for key in one.keys.tolist():
            if key not in known:
                place_of.setdefault(key, name)
    new = sorted(place_of)
    keys = np.array([*before.keys.tolist(), *new], object)
    places = np.array([*before.places.tolist(), *(place_of[key] for key in new)], object)
    years = (*before.years, *(year for year in todo if year not in before.years))
    names = sorted({name for what in todo.values() for name in what.parts} - set(before.parts))
    parts = (*before.parts, *names)
    content, runs = np.zeros((len(years), len(parts)), np.uint64), np.zeros((len(years), len(parts)), np.uint64)
    rows, columns = before.content.shape
    content[:rows, :columns], runs[:rows, :columns] = before.content, before.runs
    collections = [*before.collections, *[""] * (len(years) - rows)]
    for year, what in todo.items():
        row = years.index(year)
        collections[row] = what.collection
        content[row], runs[row] = 0, 0
        for name, part in what.parts.items():
            content[row, parts.index(name)], runs[row, parts.index(name)] = _identity(part)
    reasons = longer(before.reasons, {reason for one in seen.values() for reason in one.reasons})
    return replace(
        before,
        reasons=reasons,
        years=years,
        keys=keys,
        places=places,
        collections=tuple(collections),
        parts=parts,
        content=content,
        runs=runs,
    )


def _blocks_to_write(state: State, before: State, year: int, what: YearPlan) -> list[int]:
    """Return the numbers of the blocks of a year that hold a row of a changed or removed part."""
    names = {*what.changed, *what.removed}
    text = state.keys.astype(str)
    touched = np.isin(text.astype("U2"), sorted(names)) | np.isin(state.places.astype(str), sorted(names))
    for part in (what.parts[name] for name in what.changed):
        touched |= (text >= part.first) & (text <= part.last) & (part.rows > 0)
    # A part that is no state may have held any key before.
    if year in before.years and any(len(name) != 2 for name in names):
        touched[:] = True
    return [number for number, rows in enumerate(state.blocks) if touched[rows].any()]


def _overlapping(parts: Mapping[str, Part], keys: NDArray[Any]) -> tuple[Part, ...]:
    first, last = min(keys), max(keys)
    return tuple(part for part in parts.values() if part.rows and part.first <= last and part.last >= first)


def _write_block(
    store: Store,
    fork: Any,
    layout: Layout,
    year: int,
    rows: slice,
    keys: NDArray[Any],
    parts: Sequence[Part],
) -> Any:
    """Read the parts that overlap a block, put their rows in its order, and write the chunk."""
    form = layout.form
    n = len(keys)
    values: dict[str, NDArray[Any]] = {
        variable.name: np.full((n, len(form.measures)), variable.fill, variable.dtype) for variable in form.variables
    }
    values |= {name: np.full(n, "", object) for name in form.texts}
    places = pd.Index(keys)
    taken: dict[int, str] = {}
    for part in parts:
        table = store.read(part)
        position = places.get_indexer(table.index)
        there = position >= 0
        position = position[there]
        for place in position.tolist():
            if place in taken:
                raise InputError(
                    f"{store.url}/{part.key}: {form.unit} {keys[place]!r} stands in {taken[place]} too; expected each "
                    "in one part of a year"
                )
            taken[place] = part.key
        for name, found in values_of(table[there], form, layout.reasons).items():
            values[name][position] = found
    return write_block(fork, layout, year, rows, values)


def _merge(forks: list[Any]) -> Any:
    """Return the first fork with what all of them wrote; None where there is none."""
    if not forks:
        return None
    forks[0].merge(*forks[1:])
    return forks[0]


def _metadata(plan: CubePlan) -> dict[str, Any]:
    return {
        "product": plan.attributes["product"],
        "years": {
            str(year): {"collection": what.collection, "written": list(what.changed), "blanked": list(what.removed)}
            for year, what in plan.todo.items()
        },
    }


def _message(plan: CubePlan, before: State, state: State) -> str:
    """Return what a commit changes, in one line."""
    pieces = []
    for year, what in plan.todo.items():
        verb = "rewritten" if year in before.years else "added"
        gone = f", {_counted(what.removed, 'part')} blanked" if what.removed else ""
        pieces.append(f"{year} {verb} ({_counted(what.changed, 'part')}{gone})")
    more = len(state.keys) - len(before.keys)
    if more and before.years:
        pieces.append(f"{more:,} {state.form.unit}s added at the end")
    return "; ".join(pieces)


def _counted(names: Sequence[str], what: str) -> str:
    if len(names) == 1:
        return f"1 {what}: {names[0]}"
    shown = ", ".join(names[:_TOLD]) + (", …" if len(names) > _TOLD else "")
    return f"{len(names)} {what}s: {shown}" if names else f"0 {what}s"


def _spans(years: Sequence[int]) -> str:
    """Return years as a reader counts them.

    Examples
    --------
    >>> _spans([2009, 2010, 2011, 2018])
    '2009-2011, 2018'
    """
    spans: list[list[int]] = []
    for year in years:
        if spans and year == spans[-1][1] + 1:
            spans[-1][1] = year
        else:
            spans.append([year, year])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
