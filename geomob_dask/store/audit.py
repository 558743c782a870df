"""What a store holds beside what it should: damaged, stale and unreferenced objects.

A store is judged from outside, by its objects alone. What a snapshot lists must be there byte for byte; what no
snapshot lists and no writer is about to commit may go. Objects of a form that is not known here are never touched::

    <collection>/_snapshots/00000001.json      a commit
    <collection>/_outputs/<name>.json          a receipt: an output that is whole and waits for its commit
    <collection>/<state>-<16 digits>.parquet   a part; a fitted model ends in .model, its card in .md
    <folder>/.<name>.<32 digits>               an object that its writer has not finished, in a folder
    cubes/…, backfills/…, anything else        kept
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow.lib
import pyarrow.parquet as pq

from geomob_dask.errors import NewerStoreError, StoreError
from geomob_dask.store.objects import Found, Objects
from geomob_dask.store.provenance import sha256
from geomob_dask.store.receipts import Receipt
from geomob_dask.store.snapshots import Part, Snapshot, newest

_T = TypeVar("_T")
_U = TypeVar("_U")

CUBES, JOURNALS = "cubes/", "backfills/"
_SNAPSHOT = re.compile(r"(.+)/_snapshots/(\d{8})\.json")
_RECEIPT = re.compile(r"(.+)/_outputs/[^/]+\.json")
_PART = re.compile(r"(.+)/[^/]+-[0-9a-f]{16}\.(?:parquet|model|md)")
_TEMPORARY = re.compile(r"(?:.+/)?\.[^/]+\.[0-9a-f]{32}")
# Storage far away answers slowly but many at a time.
_AT_ONCE = 16
# Seconds: a listing and an object's own header round its time differently.
_CLOCKS_APART = 2.0

MISSING, CHANGED, UNREADABLE, NEWER, STALE = "missing", "changed", "unreadable", "newer", "stale"
"""Kinds of findings; all but `STALE` are damage."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with one object.

    Parameters
    ----------
    kind : str
        One of `MISSING`, `CHANGED`, `UNREADABLE`, `NEWER`, `STALE`.
    key : str
        The object, or the collection of a stale result.
    what : str
        What was found and what was expected.
    states : tuple of str
        The states whose rows are concerned, where they are known.
    """

    kind: str
    key: str
    what: str
    states: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """Return the finding as text."""
        return f"{self.kind}: {self.key}: {self.what}"


# What there is --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contents:
    """The objects of a store by what they are.

    Attributes
    ----------
    snapshots : mapping of str to mapping of int to Found
        By collection and number.
    receipts, parts : mapping of str to list of Found
        By collection.
    temporary : list of Found
        Of writers that are not done.
    others : list of Found
        Everything else: cubes, journals of backfills, kept downloads.
    """

    snapshots: dict[str, dict[int, Found]] = field(default_factory=dict)
    receipts: dict[str, list[Found]] = field(default_factory=dict)
    parts: dict[str, list[Found]] = field(default_factory=dict)
    temporary: list[Found] = field(default_factory=list)
    others: list[Found] = field(default_factory=list)

    @property
    def keys(self) -> frozenset[str]:
        """Return the keys of all parts."""
        return frozenset(found.key for parts in self.parts.values() for found in parts)

    @property
    def cubes(self) -> dict[str, int]:
        """Return the bytes of every cube, by name."""
        sizes: dict[str, int] = {}
        for found in self.others:
            name, inside, _ = found.key.removeprefix(CUBES).partition("/")
            # A name that begins with a dot is the lock file of a writer.
            if found.key.startswith(CUBES) and inside and not name.startswith("."):
                sizes[name] = sizes.get(name, 0) + found.size
        return dict(sorted(sizes.items()))


def contents(objects: Objects, prefix: str = "") -> Contents:
    """Return what lies below a prefix, in one listing."""
    there = Contents()
    for found in objects.listing(prefix):
        if found.key.startswith(CUBES):
            there.others.append(found)
        elif _TEMPORARY.fullmatch(found.key):
            there.temporary.append(found)
        elif match := _SNAPSHOT.fullmatch(found.key):
            there.snapshots.setdefault(match[1], {})[int(match[2])] = found
        elif match := _RECEIPT.fullmatch(found.key):
            there.receipts.setdefault(match[1], []).append(found)
        elif (match := _PART.fullmatch(found.key)) and not found.key.startswith(JOURNALS):
            there.parts.setdefault(match[1], []).append(found)
        else:
            there.others.append(found)
    return there


# Is it as it was written ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Collection:
    """A collection as its snapshots tell it.

    Attributes
    ----------
    name : str
    newest : Snapshot, optional
        None where it cannot be read.
    older : mapping of int to mapping of str to int
        Of each older snapshot the keys of its parts, with their sizes.
    findings : tuple of Finding
    """

    name: str
    newest: Snapshot | None
    older: Mapping[int, Mapping[str, int]]
    findings: tuple[Finding, ...]


def read_collection(objects: Objects, name: str, numbers: Sequence[int]) -> Collection:
    """Read all snapshots of a collection.

    Parameters
    ----------
    numbers : sequence of int
        Of its snapshots.
    """
    findings = []
    readable: dict[int, Snapshot] = {}
    for number in sorted(numbers):
        key = snapshot_key(name, number)
        data = _get(objects, key)
        if data is None:
            continue
        try:
            readable[number] = _snapshot(objects, name, number, data)
        except StoreError as error:
            kind = NEWER if isinstance(error, NewerStoreError) else UNREADABLE
            findings.append(Finding(kind, key, str(error).removeprefix(f"{objects.url}/{key}: ")))
    last = max(numbers)
    for number in sorted(set(range(min(numbers), last)) - set(numbers)):
        found = f"found the commits before and after it (up to {last}), expected every one of them"
        findings.append(Finding(MISSING, snapshot_key(name, number), found))
    older = {
        number: {part.key: part.size for part in snapshot.parts.values()}
        for number, snapshot in readable.items()
        if number != last
    }
    return Collection(name, readable.get(last), older, tuple(findings))


def snapshot_key(collection: str, number: int) -> str:
    """Return the key of a commit."""
    return f"{collection}/_snapshots/{number:08d}.json"


def _snapshot(objects: Objects, collection: str, number: int, data: bytes) -> Snapshot:
    where = f"{objects.url}/{snapshot_key(collection, number)}"
    snapshot = Snapshot.from_bytes(data, where)
    if snapshot.collection != collection:
        raise StoreError(f"{where}: found a snapshot of {snapshot.collection}, expected one of {collection}")
    unknown = sorted({part.run for part in snapshot.parts.values()} - set(snapshot.runs))
    if unknown:
        raise StoreError(f"{where}: does not say what made the run {unknown[0]}; expected what a job committed")
    return snapshot


def check_part(objects: Objects, state: str, part: Part) -> list[Finding]:
    """Compare one part, byte for byte, with what its snapshot says."""

    def finding(kind: str, what: str) -> list[Finding]:
        return [Finding(kind, part.key, what, (state,))]

    data = _get(objects, part.key)
    if data is None:
        return finding(MISSING, f"found no object, expected {part.size:,} bytes")
    if len(data) != part.size:
        how = "cut off" if len(data) < part.size else "longer"
        return finding(CHANGED, f"found {len(data):,} bytes, expected {part.size:,} ({how})")
    checksum = sha256(data)
    if checksum != part.sha256:
        return finding(CHANGED, f"found the checksum {checksum[:16]}, expected {part.sha256[:16]}")
    if not part.key.endswith(".parquet"):
        # A fitted model or its card: not a table.
        return []
    try:
        found = _extent(data)
    except (pyarrow.lib.ArrowInvalid, OSError) as error:
        return finding(UNREADABLE, f"{' '.join(str(error).split())}; expected a Parquet file")
    expected = (part.rows, part.first, part.last)
    if found != expected:
        return finding(CHANGED, f"found rows, first and last key {found}, expected {expected}")
    return []


def _extent(data: bytes) -> tuple[int, str, str]:
    """Return rows, first and last key of a part."""
    file = pq.ParquetFile(io.BytesIO(data))
    rows = file.metadata.num_rows
    if not rows:
        return 0, "", ""
    about = json.loads((file.schema_arrow.metadata or {}).get(b"pandas", b"{}"))
    (index,) = about.get("index_columns") or [None]
    if not isinstance(index, str):
        # A range, of which only the ends are stored.
        start, step = (0, 1) if index is None else (index["start"], index["step"])
        return rows, str(start), str(start + step * (rows - 1))
    keys = file.read(columns=[index]).column(index)
    return rows, str(keys[0].as_py()), str(keys[-1].as_py())


def check_object(objects: Objects, key: str, checksum: str, of: str) -> list[Finding]:
    """Tell whether a kept file that a collection was made from still is what it was."""
    data = _get(objects, key)
    if data is None:
        return [Finding(STALE, of, f"its input {key} is gone")]
    return [] if sha256(data) == checksum else [Finding(STALE, of, f"its input {key} has changed since")]


def check_older(objects: Objects, collection: Collection, keys: frozenset[str]) -> list[Finding]:
    """Tell which parts of older snapshots are gone; their bytes are not read."""
    findings = []
    for number, parts in collection.older.items():
        # Written after the listing was made, a part is no less there.
        gone = [key for key in parts if key not in keys and not objects.exists(key)]
        if gone:
            listed = f"lists {len(gone)} parts that are gone, the first {gone[0]}; expected all of them"
            findings.append(Finding(MISSING, snapshot_key(collection.name, number), listed))
    return findings


@dataclass(frozen=True)
class Inputs:
    """The inputs of what a store holds.

    Attributes
    ----------
    stale : tuple of Finding
        Results whose input collections are no longer what they were.
    objects : tuple of (key, checksum, collection)
        Kept files of the store that collections were made from: to be compared by `check_object`.
    outside : int
        Files that never were in the store.
    """

    stale: tuple[Finding, ...]
    objects: tuple[tuple[str, str, str], ...]
    outside: int


def check_inputs(collections: Mapping[str, Snapshot], others: Iterable[str], unreadable: Iterable[str] = ()) -> Inputs:
    """Compare the inputs that each run noted with what the store holds now.

    Parameters
    ----------
    collections : mapping of str to Snapshot
        The newest of every collection.
    others : iterable of str
        Keys of objects that belong to no collection.
    unreadable : iterable of str
        Collections whose newest snapshot is damaged: nothing can be said of them as inputs.
    """
    checksums = _Checksums(collections)
    kept, damaged = frozenset(others), frozenset(unreadable)
    stale, objects, outside = [], set(), set()
    for name, snapshot in collections.items():
        for run, what in snapshot.runs.items():
            states = tuple(state for state, part in snapshot.parts.items() if part.run == run)
            for source, checksum in what["inputs"].items():
                if source in collections:
                    if not checksums.any_is(source, checksum, what, states):
                        stale.append(Finding(STALE, name, f"its input {source} has changed since", states))
                elif source in kept:
                    objects.add((source, checksum, name))
                elif "/" in source and source not in damaged:
                    stale.append(Finding(STALE, name, f"its input {source} is gone", states))
                elif "/" not in source:
                    outside.add((source, checksum))
    return Inputs(tuple(stale), tuple(sorted(objects)), len(outside))


class _Checksums:
    """Checksums of collections over some of their states, each computed once."""

    def __init__(self, collections: Mapping[str, Snapshot]) -> None:
        self._collections = collections
        self._known: dict[tuple[str, tuple[str, ...] | None], str] = {}

    def any_is(self, source: str, checksum: str, run: Mapping[str, Any], states: tuple[str, ...]) -> bool:
        """Tell whether a collection has a checksum over any of the sets of states that a run may have read.

        A run does not say which states of an input it read: all, those that it was asked for, those of its
        results, or those of another of its inputs. A checksum is never met by chance.
        """
        return any(self._of(source, chosen) == checksum for chosen in self._choices(run, states))

    def _choices(self, run: Mapping[str, Any], states: tuple[str, ...]) -> Iterator[tuple[str, ...] | None]:
        yield None
        asked = run["options"].get("states")
        if isinstance(asked, list):
            yield tuple(asked)
        elif isinstance(asked, str):
            yield (asked,)
        yield states
        for other in run["inputs"]:
            if other in self._collections:
                yield tuple(self._collections[other].parts)

    def _of(self, source: str, states: tuple[str, ...] | None) -> str:
        if (source, states) not in self._known:
            self._known[source, states] = self._collections[source].checksum(states)
        return self._known[source, states]


# Receipts -------------------------------------------------------------------------------------------


def _receipt(data: bytes, where: str) -> Receipt | None:
    """Return a receipt, None if it is none.

    Raises
    ------
    NewerStoreError
        If a newer version wrote it.
    """
    try:
        return Receipt.from_bytes(data, where)
    except NewerStoreError:
        raise
    except StoreError:
        return None


def _made(receipt: Receipt) -> set[tuple[str, str, Part]]:
    """Return collection, state and part of everything that a receipt waits to commit."""
    return {(commit.collection, state, part) for commit in receipt.commits for state, part in commit.made().items()}


def check_receipt(objects: Objects, key: str, keys: frozenset[str]) -> list[Finding]:
    """Tell whether a receipt can be read and its parts are there."""
    data = _get(objects, key)
    if data is None:
        return []
    try:
        receipt = _receipt(data, f"{objects.url}/{key}")
    except NewerStoreError as error:
        return [Finding(NEWER, key, str(error).removeprefix(f"{objects.url}/{key}: "))]
    if receipt is None:
        return [Finding(UNREADABLE, key, "no receipt of an output; expected what a worker of a backfill wrote")]
    # The commit of its output removes a receipt, its parts stay.
    parts = sorted(part.key for _, _, part in _made(receipt))
    gone = [part for part in parts if part not in keys and not objects.exists(part)]
    if not gone or not objects.exists(key):
        return []
    return [Finding(MISSING, key, f"names {len(gone)} parts that are gone, the first {gone[0]}; expected all of them")]


# What nothing refers to -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Unreferenced:
    """What may be removed, and what stays although no snapshot lists it.

    Attributes
    ----------
    snapshots, receipts, parts, temporary : tuple of Found
        To be removed: superseded commits, receipts that no run can use, orphans, unfinished objects.
    young : tuple of Found
        Unreferenced and kept: a running job may be about to commit them.
    future : tuple of Found
        Those of them that are newer than the storage's clock.
    waiting : tuple of Found
        Receipts of outputs that are whole and wait for the commit of their backfill: kept with their parts.
    """

    snapshots: tuple[Found, ...]
    receipts: tuple[Found, ...]
    parts: tuple[Found, ...]
    temporary: tuple[Found, ...]
    young: tuple[Found, ...]
    future: tuple[Found, ...]
    waiting: tuple[Found, ...]

    @property
    def removable(self) -> tuple[Found, ...]:
        """Return all that may be removed, in the order in which it must be: what refers to others first."""
        return (*self.snapshots, *self.receipts, *self.parts, *self.temporary)


def unreferenced(
    objects: Objects, *, older_than: float = 3600.0, history: bool = False, uncommitted: bool = False
) -> Unreferenced:
    """Return what nothing in a store refers to; nothing is removed.

    Parameters
    ----------
    older_than : float
        Seconds: younger objects are kept, because a running job may be about to commit them.
    history : bool
        Whether snapshots but the newest may go, and the parts that only they list. One that was the newest until
        `older_than` ago is kept: a running job may read its parts.
    uncommitted : bool
        Whether outputs that wait for the commit of a backfill may go too.

    Raises
    ------
    StoreError
        If a snapshot cannot be read: what it lists is not known. `NewerStoreError` if a newer version wrote it.
    """
    # The clock and the candidates come first: whatever is written or committed from here on stays.
    now = objects.clock()
    candidates = contents(objects)
    there = contents(objects)
    age = {found.key: now - found.modified for found in _all(candidates)}
    superseded = _superseded(there, age, older_than) if history else {}
    wanted: set[str] = set()
    committed: set[tuple[str, str, Part]] = set()
    asked = [(name, number) for name, numbers in there.snapshots.items() for number in sorted(numbers)]
    for (name, number), snapshot in zip(asked, each(lambda one: _known_snapshot(objects, *one), asked), strict=True):
        if snapshot is None:
            continue
        if number == max(there.snapshots[name]):
            committed |= {(name, state, part) for state, part in snapshot.parts.items()}
        if (name, number) not in superseded:
            wanted |= {part.key for part in snapshot.parts.values()}
    receipts = [found for name in there.receipts for found in there.receipts[name]]
    waiting = []
    named = each(lambda one: _waiting_for(objects, one, committed, there.keys), receipts)
    for found, parts in zip(receipts, named, strict=True):
        if parts is not None and not (uncommitted and age.get(found.key, 0.0) >= older_than):
            waiting.append(found)
            wanted |= parts
    kept = {found.key for found in waiting}
    loose_receipts = [found for found in receipts if found.key in age and found.key not in kept]
    loose_parts = [found for parts in candidates.parts.values() for found in parts if found.key not in wanted]
    loose = [*loose_receipts, *loose_parts, *candidates.temporary]

    def old(some: Iterable[Found]) -> tuple[Found, ...]:
        return tuple(found for found in some if age[found.key] >= older_than)

    return Unreferenced(
        snapshots=tuple(superseded.values()),
        receipts=old(loose_receipts),
        parts=old(loose_parts),
        temporary=old(candidates.temporary),
        young=tuple(found for found in loose if age[found.key] < older_than),
        future=tuple(found for found in _all(candidates) if age[found.key] < -_CLOCKS_APART),
        waiting=tuple(waiting),
    )


def _all(there: Contents) -> Iterator[Found]:
    for numbers in there.snapshots.values():
        yield from numbers.values()
    for by_collection in (there.receipts, there.parts):
        for some in by_collection.values():
            yield from some
    yield from there.temporary


def _superseded(there: Contents, age: Mapping[str, float], older_than: float) -> dict[tuple[str, int], Found]:
    """Return the snapshots that have not been the newest for a while, oldest first and without gaps."""
    found = {}
    for name, numbers in there.snapshots.items():
        ordered = sorted(numbers)
        for number, following in itertools.pairwise(ordered):
            # Times may be odd (copied objects): what follows one that stays, stays too, or a commit would be missing.
            if age.get(numbers[following].key, 0.0) < older_than:
                break
            found[name, number] = numbers[number]
    return found


def _known_snapshot(objects: Objects, collection: str, number: int) -> Snapshot | None:
    data = _get(objects, snapshot_key(collection, number))
    if data is None:
        # Another cleaning came first.
        return None
    try:
        return _snapshot(objects, collection, number, data)
    except NewerStoreError as error:
        raise NewerStoreError(f"{error}; nothing was removed") from error
    except StoreError as error:
        raise StoreError(f"{error}; nothing was removed, because what it lists is not known") from error


def _waiting_for(
    objects: Objects, found: Found, committed: set[tuple[str, str, Part]], there: frozenset[str]
) -> frozenset[str] | None:
    """Return the parts that a receipt keeps for a commit; None if no run can use it, or all are committed."""
    data = _get(objects, found.key)
    try:
        receipt = None if data is None else _receipt(data, f"{objects.url}/{found.key}")
    except NewerStoreError as error:
        raise NewerStoreError(f"{error}; nothing was removed") from error
    made = set() if receipt is None else _made(receipt)
    keys = frozenset(part.key for _, _, part in made)
    return keys if made - committed and keys <= there else None


def remove(
    objects: Objects, found: Unreferenced, *, progress: Callable[[Sequence[Found]], Iterable[Found]] = iter
) -> int:
    """Remove what nothing refers to; return how many objects are gone.

    An object that was written again since it was listed stays, as does a part that was committed since: writers put
    again what is there already. So a job that works on the same store finds all of its own.

    Parameters
    ----------
    progress : function, optional
        Hands on what it is given, and shows how far that is.
    """

    def remove_one(one: Found) -> bool:
        modified = objects.modified(one.key)
        if modified is None or modified - one.modified >= _CLOCKS_APART:
            return False
        objects.delete(one.key)
        return True

    def remove_in_order(some: Sequence[Found]) -> int:
        # One after the other, up to the first that stays: wherever this is stopped, no commit between two is missing.
        count = 0
        for one in some:
            removed = remove_one(one)
            if not removed and objects.modified(one.key) is not None:
                break
            count += removed
        return count

    shown = iter(progress(found.removable))

    def remove_all(some: Sequence[Found], wanted: Set[str] = frozenset()) -> int:
        unwanted = [one for one in itertools.islice(shown, len(some)) if one.key not in wanted]
        return sum(each(remove_one, unwanted))

    # What refers to others goes first: a cleaning that is stopped leaves nothing that refers to what is gone.
    by_collection = itertools.groupby(found.snapshots, lambda snapshot: snapshot.key.rsplit("/", 1)[0])
    numbered = [list(itertools.islice(shown, len(list(some)))) for _, some in by_collection]
    gone = sum(each(remove_in_order, numbered)) + remove_all(found.receipts)
    for name, parts in itertools.groupby(found.parts, lambda part: part.key.rsplit("/", 1)[0]):
        gone += remove_all(list(parts), _committed_now(objects, name))
    return gone + remove_all(found.temporary)


def _committed_now(objects: Objects, collection: str) -> set[str]:
    """Return the parts that the newest snapshot of a collection lists at this moment."""
    _, snapshot = newest(objects, collection)
    return set() if snapshot is None else {part.key for part in snapshot.parts.values()}


# What both share ------------------------------------------------------------------------------------


def each(function: Callable[[_T], _U], values: Sequence[_T]) -> list[_U]:
    """Return a function's values, several at a time: storage far away answers slowly."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(function, values))


def _get(objects: Objects, key: str) -> bytes | None:
    """Return the bytes of an object, None where there is none."""
    try:
        return objects.get(key)
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
