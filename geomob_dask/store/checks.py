"""Checks of stored objects against their snapshots and receipts, and of results against newer inputs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.lib
import pyarrow.parquet as pq

from geomob_dask.errors import NewerStoreError, StoreError
from geomob_dask.messages import counted, one_line
from geomob_dask.store.objects import Objects
from geomob_dask.store.provenance import sha256
from geomob_dask.store.receipts import Receipt
from geomob_dask.store.snapshots import Part, Snapshot, snapshot_key

MISSING, CHANGED, UNREADABLE, NEWER, STALE = "missing", "changed", "unreadable", "newer", "stale"
"""Kinds of findings; all but `STALE` are damage."""


@dataclass(frozen=True)
class Finding:
    """The defect of one object.

    Parameters
    ----------
    kind : str
        One of `MISSING`, `CHANGED`, `UNREADABLE`, `NEWER`, `STALE`.
    key : str
        The object, or the collection of a stale result.
    what : str
        What was found and what was expected.
    states : tuple of str
        The states whose rows are affected, where they are known.
    """

    kind: str
    key: str
    what: str
    states: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """Return the finding as text."""
        return f"{self.kind}: {self.key}: {self.what}"


# Snapshots -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class History:
    """All snapshots of a collection.

    Attributes
    ----------
    collection : str
    newest : Snapshot, optional
        None if it cannot be read.
    older : mapping of int to tuple of str
        The keys of the parts of each older snapshot, by its number.
    findings : tuple of Finding
    """

    collection: str
    newest: Snapshot | None
    older: Mapping[int, tuple[str, ...]]
    findings: tuple[Finding, ...]


def read_history(objects: Objects, collection: str, numbers: Iterable[int]) -> History:
    """Read the snapshots of a collection that have these numbers."""
    numbers = sorted(numbers)
    first, last = numbers[0], numbers[-1]
    findings = []
    readable: dict[int, Snapshot] = {}
    for number in numbers:
        try:
            snapshot = read_snapshot(objects, collection, number)
        except StoreError as error:
            findings.append(_unreadable(objects, snapshot_key(collection, number), error))
        else:
            if snapshot is not None:
                readable[number] = snapshot
    for number in sorted(set(range(first, last)) - set(numbers)):
        what = f"found the commits before and after it (up to {last}), expected every one of them"
        findings.append(Finding(MISSING, snapshot_key(collection, number), what))
    older = {
        number: tuple(part.key for part in snapshot.parts.values())
        for number, snapshot in readable.items()
        if number != last
    }
    return History(collection, readable.get(last), older, tuple(findings))


def read_snapshot(objects: Objects, collection: str, number: int) -> Snapshot | None:
    """Return one snapshot of a collection, None if it is gone.

    Raises
    ------
    StoreError
        If it cannot be read, belongs to another collection or lacks the provenance of a part.
    """
    key = snapshot_key(collection, number)
    data = objects.find(key)
    if data is None:
        return None
    where = f"{objects.url}/{key}"
    snapshot = Snapshot.from_bytes(data, where)
    if snapshot.collection != collection:
        raise StoreError(f"{where}: found a snapshot of {snapshot.collection}, expected one of {collection}")
    unknown = sorted({part.run for part in snapshot.parts.values()} - set(snapshot.runs))
    if unknown:
        raise StoreError(f"{where}: no provenance of run {unknown[0]}; expected what a job committed")
    return snapshot


def _unreadable(objects: Objects, key: str, error: StoreError) -> Finding:
    kind = NEWER if isinstance(error, NewerStoreError) else UNREADABLE
    return Finding(kind, key, str(error).removeprefix(f"{objects.url}/{key}: "))


def check_older(objects: Objects, history: History, present: frozenset[str]) -> list[Finding]:
    """Return which older snapshots list parts that are gone; their bytes are not read.

    Parameters
    ----------
    present : frozenset of str
        Keys of the parts of a listing.
    """
    findings = []
    for number, parts in history.older.items():
        gone = _gone(objects, parts, present)
        if gone:
            findings.append(_lacking(snapshot_key(history.collection, number), gone))
    return findings


def _lacking(key: str, gone: Sequence[str]) -> Finding:
    what = f"lists {counted(len(gone), 'part')} without an object, the first {gone[0]}; expected all of them"
    return Finding(MISSING, key, what)


def _gone(objects: Objects, parts: Iterable[str], present: frozenset[str]) -> list[str]:
    # Parts that were written after the listing are looked for one by one.
    return [key for key in parts if key not in present and not objects.exists(key)]


# Parts ---------------------------------------------------------------------------------------------


def check_part(objects: Objects, state: str, part: Part) -> list[Finding]:
    """Compare one part, byte for byte, with its entry in the snapshot."""

    def finding(kind: str, what: str) -> list[Finding]:
        return [Finding(kind, part.key, what, (state,))]

    data = objects.find(part.key)
    if data is None:
        return finding(MISSING, f"found no object, expected {counted(part.size, 'byte')}")
    if len(data) != part.size:
        how = "cut off" if len(data) < part.size else "longer"
        return finding(CHANGED, f"found {counted(len(data), 'byte')}, expected {part.size:,} ({how})")
    checksum = sha256(data)
    if checksum != part.sha256:
        return finding(CHANGED, f"found the checksum {checksum[:16]}, expected {part.sha256[:16]}")
    if not part.key.endswith(".parquet"):
        # A fitted model or its card is no table.
        return []
    try:
        extent = _extent(data)
    except (pyarrow.lib.ArrowInvalid, OSError) as error:
        return finding(UNREADABLE, f"{one_line(error)}; expected a Parquet file")
    expected = (part.rows, part.first, part.last)
    if extent != expected:
        return finding(CHANGED, f"found rows, first and last key {extent}, expected {expected}")
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
        # Of a range only the ends are stored.
        start, step = (0, 1) if index is None else (index["start"], index["step"])
        return rows, str(start), str(start + step * (rows - 1))
    keys = file.read(columns=[index]).column(index)
    return rows, str(keys[0].as_py()), str(keys[-1].as_py())


# Inputs --------------------------------------------------------------------------------------------


def check_file(objects: Objects, key: str, checksum: str, collection: str) -> list[Finding]:
    """Return a finding if a file that the store keeps and a collection was made from has changed."""
    data = objects.find(key)
    if data is None:
        return [Finding(STALE, collection, f"its input {key} is gone")]
    return [] if sha256(data) == checksum else [Finding(STALE, collection, f"its input {key} has changed since")]


@dataclass(frozen=True)
class Inputs:
    """The inputs of what a store holds.

    Attributes
    ----------
    stale : tuple of Finding
        Results whose input collections have changed.
    files : tuple of (key, checksum, collection)
        Files that the store keeps and collections were made from, for `check_file`.
    outside : int
        Number of input files that the store does not keep.
    """

    stale: tuple[Finding, ...]
    files: tuple[tuple[str, str, str], ...]
    outside: int


def check_inputs(collections: Mapping[str, Snapshot], files: Iterable[str], unreadable: Iterable[str] = ()) -> Inputs:
    """Compare the recorded inputs of each run with what the store holds now.

    Parameters
    ----------
    collections : mapping of str to Snapshot
        The newest snapshot of every collection.
    files : iterable of str
        Keys of objects that belong to no collection.
    unreadable : iterable of str
        Collections whose newest snapshot is damaged: as inputs they cannot be compared.
    """
    checksums = _Checksums(collections)
    kept, damaged = frozenset(files), frozenset(unreadable)
    stale, to_check, outside = [], set(), set()
    for name, snapshot in collections.items():
        for run, provenance in snapshot.runs.items():
            states = tuple(state for state, part in snapshot.parts.items() if part.run == run)
            for source, checksum in provenance["inputs"].items():
                if source in collections:
                    if not checksums.match(source, checksum, provenance, states):
                        stale.append(Finding(STALE, name, f"its input {source} has changed since", states))
                elif source in kept:
                    to_check.add((source, checksum, name))
                elif "/" in source and source not in damaged:
                    stale.append(Finding(STALE, name, f"its input {source} is gone", states))
                elif "/" not in source:
                    outside.add((source, checksum))
    return Inputs(tuple(stale), tuple(sorted(to_check)), len(outside))


class _Checksums:
    """Checksums of collections over some of their states, each computed once."""

    def __init__(self, collections: Mapping[str, Snapshot]) -> None:
        self._collections = collections
        self._known: dict[tuple[str, tuple[str, ...] | None], str] = {}

    def match(self, source: str, checksum: str, run: Mapping[str, Any], states: tuple[str, ...]) -> bool:
        """Return whether a collection has a checksum over any set of states that a run may have read.

        A run does not record which states of an input it read: all, the requested ones, those of its results, or
        those of another of its inputs. Two sets of states never share a checksum by chance.
        """
        return any(self._of(source, chosen) == checksum for chosen in self._choices(run, states))

    def _choices(self, run: Mapping[str, Any], states: tuple[str, ...]) -> Iterator[tuple[str, ...] | None]:
        yield None
        requested = run["options"].get("states")
        if isinstance(requested, list):
            yield tuple(requested)
        elif isinstance(requested, str):
            yield (requested,)
        yield states
        for other in run["inputs"]:
            if other in self._collections:
                yield tuple(self._collections[other].parts)

    def _of(self, source: str, states: Sequence[str] | None) -> str:
        key = (source, None if states is None else tuple(states))
        if key not in self._known:
            self._known[key] = self._collections[source].checksum(states)
        return self._known[key]


# Receipts ------------------------------------------------------------------------------------------


def check_receipt(objects: Objects, key: str, present: frozenset[str]) -> list[Finding]:
    """Return a finding if a receipt cannot be read or lists parts that are gone; see `check_older`."""
    data = objects.find(key)
    if data is None:
        return []
    try:
        receipt = Receipt.from_bytes(data, f"{objects.url}/{key}")
    except StoreError as error:
        return [_unreadable(objects, key, error)]
    gone = _gone(objects, sorted(part.key for _, _, part in receipt.parts()), present)
    # The commit of its output removes a receipt and keeps the parts.
    if not gone or not objects.exists(key):
        return []
    return [_lacking(key, gone)]
