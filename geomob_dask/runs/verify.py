"""Every object of a store compared with what its snapshot says, in tasks on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import distributed
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.execute import compute
from geomob_dask.store import Part, Store, audit
from geomob_dask.store.audit import Collection, Contents, Finding

# A task costs milliseconds, a small object in a bucket about as much: many of them stand in one task.
_COLLECTIONS_A_TASK = 32
_PARTS_A_TASK = 64
_BYTES_A_TASK = 64 * 2**20


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes
    ----------
    collections, snapshots, parts, receipts : int
        How many were read.
    size : int
        Bytes of the parts.
    damage, stale : tuple of Finding
        Stale results are whole: an input is no longer what it was when they were computed.
    outside : int
        Input files that never were in the store, so that nothing is known of them.
    unlisted : int
        Parts that no snapshot lists: of a writer that is at work or was killed, or of a snapshot that is lost.
    cubes : tuple of str
        Cubes, which are not read: Icechunk keeps their history by itself.
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

    def lines(self) -> list[str]:
        """Return the result as text: what is wrong first."""
        lines = [finding.line for finding in (*self.damage, *self.stale)]
        lines.append(
            f"read {self.parts:,} parts ({self.size / 2**20:,.1f} MiB) of {self.collections:,} collections, "
            f"{self.snapshots:,} snapshots and {self.receipts:,} receipts: {len(self.damage)} damaged, "
            f"{len(self.stale)} stale"
        )
        if self.outside:
            lines.append(f"not compared: {self.outside:,} input files that are not in the store")
        if self.unlisted:
            lines.append(f"no snapshot lists {self.unlisted:,} parts that are there; see: clean --dry-run")
        if self.cubes:
            lines.append(f"not read: {len(self.cubes)} cubes ({', '.join(self.cubes)})")
        return lines


def verify(store: Store, client: distributed.Client | None, console: Console, *, prefix: str = "") -> Verified:
    """Read a store and tell what is damaged or stale.

    Every part that a newest snapshot lists is read and compared: bytes, rows, first and last key. Of older snapshots
    the parts are looked for. Inputs that a run noted are compared with what the store holds now.

    Parameters
    ----------
    prefix : str
        Only collections below it are read; inputs are looked for everywhere.

    Raises
    ------
    InputError
        If nothing was committed, or nothing below the prefix.
    """
    there = audit.contents(store.objects)
    if not there.snapshots:
        raise InputError(
            f"store {store.url}: found no commit among {len(there.keys) + len(there.others):,} objects; expected a "
            "store that a job has written to"
        )
    names = [name for name in sorted(there.snapshots) if f"{name}/".startswith(f"{prefix}/" if prefix else "")]
    if prefix and not names:
        raise InputError(f"store {store.url}: no collection below {prefix}; found {', '.join(sorted(there.snapshots))}")
    known = _read(store, there, client, console)
    chosen = [known[name] for name in names]
    newest = {one.name: one.newest for one in known.values() if one.newest is not None}
    sources = audit.check_inputs(
        newest, [found.key for found in there.others], [one.name for one in known.values() if one.newest is None]
    )
    within = {one.name for one in chosen}
    kept = [one for one in sources.objects if one[2] in within]
    parts = [(state, part) for one in chosen if one.newest is not None for state, part in one.newest.parts.items()]
    receipts = [found.key for name, some in there.receipts.items() for found in some if not prefix or name in within]
    findings = [finding for one in chosen for finding in one.findings]
    findings += _checked(store, there, parts, chosen, receipts, kept, client, console)
    findings += [finding for finding in sources.stale if finding.key in within]
    # An input can be stale for several files; each is told once.
    findings = list(dict.fromkeys(findings))
    return Verified(
        collections=len(chosen),
        snapshots=sum(len(there.snapshots[one.name]) for one in chosen),
        parts=len(parts),
        receipts=len(receipts),
        size=sum(part.size for _, part in parts),
        damage=tuple(finding for finding in findings if finding.kind != audit.STALE),
        stale=tuple(finding for finding in findings if finding.kind == audit.STALE),
        outside=sources.outside,
        unlisted=len(_unlisted(there, chosen, prefix)),
        cubes=() if prefix else tuple(there.cubes),
    )


def _read(store: Store, there: Contents, client: distributed.Client | None, console: Console) -> dict[str, Collection]:
    names = sorted(there.snapshots)
    run = Run("verify")
    tasks = {}
    for start in range(0, len(names), _COLLECTIONS_A_TASK):
        some = names[start : start + _COLLECTIONS_A_TASK]
        numbers = {name: sorted(there.snapshots[name]) for name in some}
        tasks[some[0]] = run.task("snapshots", some[0], _read_some, store, numbers)
    found = compute(tasks, client, console, token=run.token)
    return {one.name: one for batch in found.values() for one in batch}


def _read_some(store: Store, numbers: Mapping[str, Sequence[int]]) -> list[Collection]:
    return [audit.read_collection(store.objects, name, some) for name, some in numbers.items()]


def _checked(
    store: Store,
    there: Contents,
    parts: Sequence[tuple[str, Part]],
    collections: Sequence[Collection],
    receipts: Sequence[str],
    kept: Sequence[tuple[str, str, str]],
    client: distributed.Client | None,
    console: Console,
) -> list[Finding]:
    run = Run("verify")
    tasks = {
        batch[0][1].key: run.task("parts", batch[0][1].key, _check_parts, store, batch) for batch in _batches(parts)
    }
    for start in range(0, len(kept), _PARTS_A_TASK):
        some = list(kept[start : start + _PARTS_A_TASK])
        tasks[f"inputs {start}"] = run.task("inputs", some[0][0], _check_kept, store, some)
    found = compute(tasks, client, console, token=run.token)
    findings = [finding for batch in found.values() for finding in batch]
    keys = there.keys
    for one in collections:
        findings += audit.check_older(store.objects, one, keys)
    for key in receipts:
        findings += audit.check_receipt(store.objects, key, keys)
    return findings


def _batches(parts: Sequence[tuple[str, Part]]) -> Iterator[list[tuple[str, Part]]]:
    """Return parts together that one task reads; the same part is not read twice."""
    batch: list[tuple[str, Part]] = []
    size = 0
    for state, part in {part.key: (state, part) for state, part in parts}.values():
        if batch and (len(batch) == _PARTS_A_TASK or size + part.size > _BYTES_A_TASK):
            yield batch
            batch, size = [], 0
        batch.append((state, part))
        size += part.size
    if batch:
        yield batch


def _check_parts(store: Store, parts: Sequence[tuple[str, Part]]) -> list[Finding]:
    return [finding for state, part in parts for finding in audit.check_part(store.objects, state, part)]


def _check_kept(store: Store, kept: Sequence[tuple[str, str, str]]) -> list[Finding]:
    return [finding for one in kept for finding in audit.check_object(store.objects, *one)]


def _unlisted(there: Contents, collections: Sequence[Collection], prefix: str) -> set[str]:
    listed = {part.key for one in collections if one.newest is not None for part in one.newest.parts.values()}
    listed |= {key for one in collections for parts in one.older.values() for key in parts}
    return {key for key in there.keys if key.startswith(f"{prefix}/" if prefix else "")} - listed
