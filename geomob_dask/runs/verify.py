"""Every object of a store compared with its snapshot: a frame of findings, one partition per batch of objects."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from functools import partial

import dask
import dask.dataframe as dd
import distributed
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, shown
from geomob_dask.names import did_you_mean
from geomob_dask.runs.computed import computed
from geomob_dask.store import Store, checks
from geomob_dask.store.checks import Finding, History
from geomob_dask.store.contents import Contents, contents
from geomob_dask.store.objects import Objects, concurrently

# A task costs milliseconds, a small object in a bucket about as much: a partition checks many of them.
_OBJECTS_PER_PARTITION = 64
_BYTES_PER_PARTITION = 64 * 2**20

Check = Callable[[Objects], list[Finding]]
"""A check of one object; it reads the object and returns what is wrong with it."""


@dataclass(frozen=True)
class Verified:
    """The result of a verification.

    Attributes
    ----------
    collections, snapshots, parts, receipts : int
        How many were read.
    size : int
        Bytes of the parts.
    damage, stale : tuple of Finding
        Stale results are intact: an input has changed since they were computed.
    outside : int
        Number of input files that the store does not keep, so that they cannot be compared.
    unlisted : int
        Parts that no snapshot lists: a writer is at work or was killed, or a snapshot is lost.
    cubes : tuple of str
        Cubes, which are not read: Icechunk keeps their history by itself.
    notes : tuple of str
        See `Contents.notes`.
    """

    collections: int
    snapshots: int
    parts: int
    receipts: int
    size: int
    damage: tuple[Finding, ...]
    stale: tuple[Finding, ...]
    outside: int
    unlisted: int
    cubes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the result as text, findings first."""
        lines = [finding.line for finding in (*self.damage, *self.stale)]
        lines.append(
            f"read {counted(self.parts, 'part')} ({self.size / 2**20:,.1f} MiB) of "
            f"{counted(self.collections, 'collection')}, "
            f"{counted(self.snapshots, 'snapshot')} and {counted(self.receipts, 'receipt')}: {len(self.damage)} "
            f"damaged, "
            f"{len(self.stale)} stale"
        )
        if self.outside:
            lines.append(f"not compared: {self.outside:,} input files that are not in the store")
        if self.unlisted:
            lines.append(f"parts that no snapshot lists: {self.unlisted:,}; clean --dry-run lists them")
        if self.cubes:
            lines.append(f"not read: {counted(len(self.cubes), 'cube')} ({', '.join(self.cubes)})")
        return [*lines, *self.notes]


def verify(store: Store, client: distributed.Client | None, console: Console, *, prefix: str = "") -> Verified:
    """Read a store and return what is damaged or stale.

    Every part that a newest snapshot lists is read and compared: bytes, rows, first and last key. The parts of older
    snapshots are looked for. The recorded inputs of each run are compared with what the store holds now.

    Parameters
    ----------
    prefix : str
        Only collections below it are verified; their inputs may be anywhere in the store.

    Raises
    ------
    InputError
        If nothing was committed, or nothing below the prefix.
    """
    present = contents(store.objects)
    if not present.snapshots:
        count = len(present.part_keys) + len(present.others)
        raise InputError(
            f"store {store.url}: found no commit among {counted(count, 'object')}; expected a store that a job "
            f"has written to"
        )
    histories = concurrently(
        lambda name: checks.read_history(store.objects, name, present.snapshots[name]), sorted(present.snapshots)
    )
    chosen = [history for history in histories if _is_below(history.collection, prefix)]
    if not chosen:
        raise InputError(
            f"store {store.url}: no collection below {shown(prefix)}; {did_you_mean(prefix, sorted(present.snapshots))}"
        )
    names = {history.collection for history in chosen}
    inputs = checks.check_inputs(
        {history.collection: history.newest for history in histories if history.newest is not None},
        [item.key for item in present.others],
        [history.collection for history in histories if history.newest is None],
    )
    snapshots = [history.newest for history in chosen if history.newest is not None]
    parts = [(state, part) for snapshot in snapshots for state, part in snapshot.parts.items()]
    receipts = [item.key for name, items in present.receipts.items() for item in items if not prefix or name in names]
    part_keys = present.part_keys
    sizes = {item.key: item.size for item in present.others}
    # A part of several states is read once.
    of_parts = {part.key: (partial(checks.check_part, state=state, part=part), part.size) for state, part in parts}
    of_files = [
        (partial(checks.check_file, key=key, checksum=checksum, collection=collection), sizes[key])
        for key, checksum, collection in inputs.files
        if collection in names
    ]
    findings = [
        *(finding for history in chosen for finding in history.findings),
        *_found(findings_frame(store, [*of_parts.values(), *of_files]), client, console),
        *(finding for history in chosen for finding in checks.check_older(store.objects, history, part_keys)),
        *_flat(concurrently(lambda key: checks.check_receipt(store.objects, key, part_keys), receipts)),
        *(finding for finding in inputs.stale if finding.key in names),
    ]
    # Several files may make one input stale: it is reported once.
    findings = list(dict.fromkeys(findings))
    return Verified(
        collections=len(chosen),
        snapshots=sum(len(present.snapshots[name]) for name in names),
        parts=len(parts),
        receipts=len(receipts),
        size=sum(part.size for _, part in parts),
        damage=tuple(finding for finding in findings if finding.kind != checks.STALE),
        stale=tuple(finding for finding in findings if finding.kind == checks.STALE),
        outside=inputs.outside,
        unlisted=len(_unlisted(present, chosen, prefix)),
        cubes=() if prefix else tuple(present.cubes),
        notes=present.notes(),
    )


def findings_frame(store: Store, sized: Sequence[tuple[Check, int]]) -> dd.DataFrame | None:
    """Return the findings of checks as a lazy frame, None without any check.

    Parameters
    ----------
    sized : sequence of (Check, int)
        Each check with the bytes that it reads; a partition reads about 64 MiB.

    Returns
    -------
    Dask DataFrame
        One finding per row, columns as the fields of `Finding`.
    """
    if not sized:
        return None
    batches, run = list(_batches(sized)), uuid.uuid4().hex
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_map(_check_batch, batches, objects=store.objects, run=run, meta=_table([]), label="verify")


def _check_batch(batch: Sequence[Check], *, objects: Objects, run: str) -> pd.DataFrame:
    # `run` keeps two verifications on one scheduler from sharing tasks: the store may change between them.
    return _table(_flat(check(objects) for check in batch))


def _table(findings: Sequence[Finding]) -> pd.DataFrame:
    rows = [astuple(finding) for finding in findings]
    return pd.DataFrame(rows, columns=[field.name for field in fields(Finding)], dtype=object)


def _found(frame: dd.DataFrame | None, client: distributed.Client | None, console: Console) -> list[Finding]:
    table = _table([]) if frame is None else computed(frame, client, console)
    return [Finding(*row) for row in table.itertuples(index=False)]


def _batches(sized: Iterable[tuple[Check, int]]) -> Iterator[list[Check]]:
    batch: list[Check] = []
    total = 0
    for check, size in sized:
        if batch and (len(batch) == _OBJECTS_PER_PARTITION or total + size > _BYTES_PER_PARTITION):
            yield batch
            batch, total = [], 0
        batch.append(check)
        total += size
    if batch:
        yield batch


def _flat(nested: Iterable[Iterable[Finding]]) -> list[Finding]:
    return [finding for findings in nested for finding in findings]


def _is_below(key: str, prefix: str) -> bool:
    return not prefix or f"{key}/".startswith(f"{prefix}/")


def _unlisted(present: Contents, histories: Sequence[History], prefix: str) -> set[str]:
    listed = {part.key for history in histories if history.newest for part in history.newest.parts.values()}
    listed |= {key for history in histories for keys in history.older.values() for key in keys}
    return {key for key in present.part_keys if _is_below(key, prefix)} - listed
