"""Objects of a store that nothing refers to, and their removal while jobs run."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from geomob_dask.errors import NewerStoreError, StoreError
from geomob_dask.store.checks import read_snapshot
from geomob_dask.store.contents import Contents, contents
from geomob_dask.store.objects import Objects, StoredObject, concurrently
from geomob_dask.store.receipts import Receipt
from geomob_dask.store.snapshots import Part, Snapshot, newest

# Seconds by which the times of a listing and of an object's own header may differ by rounding.
_ROUNDING = 2.0


@dataclass(frozen=True)
class Unreferenced:
    """Objects that may be removed, and those that stay although no snapshot lists them.

    Attributes
    ----------
    snapshots, receipts, parts, temporary : tuple of StoredObject
        To be removed: superseded commits, receipts that no run can use, orphans, unfinished objects.
    young : tuple of StoredObject
        Unreferenced and kept: a running job may be about to commit them.
    future : tuple of StoredObject
        Objects that are newer than the storage's clock.
    waiting : tuple of StoredObject
        Receipts of complete outputs that wait for the commit of their backfill: kept with their parts.
    notes : tuple of str
        See `Contents.notes`.
    """

    snapshots: tuple[StoredObject, ...]
    receipts: tuple[StoredObject, ...]
    parts: tuple[StoredObject, ...]
    temporary: tuple[StoredObject, ...]
    young: tuple[StoredObject, ...]
    future: tuple[StoredObject, ...]
    waiting: tuple[StoredObject, ...]
    notes: tuple[str, ...] = ()

    @property
    def removable(self) -> tuple[StoredObject, ...]:
        """Return all that may be removed, in the order of removal: what refers to others first."""
        return (*self.snapshots, *self.receipts, *self.parts, *self.temporary)


def unreferenced(
    objects: Objects, *, older_than: float = 3600.0, history: bool = False, uncommitted: bool = False
) -> Unreferenced:
    """Return the objects of a store that nothing refers to; nothing is removed.

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
    present = contents(objects)
    age = {item.key: now - item.modified for item in candidates.of_collections()}
    superseded = _superseded(present, age, older_than) if history else {}
    referenced: set[str] = set()
    committed: set[tuple[str, str, Part]] = set()
    numbered = [(name, number) for name, numbers in present.snapshots.items() for number in sorted(numbers)]
    snapshots = concurrently(lambda place: _required_snapshot(objects, *place), numbered)
    for (name, number), snapshot in zip(numbered, snapshots, strict=True):
        if snapshot is None:
            # Another cleaning has removed it.
            continue
        if number == max(present.snapshots[name]):
            committed |= {(name, state, part) for state, part in snapshot.parts.items()}
        if (name, number) not in superseded:
            referenced |= {part.key for part in snapshot.parts.values()}
    receipts = [item for items in present.receipts.values() for item in items]
    part_keys = present.part_keys
    waiting = []
    awaited = concurrently(lambda item: _awaited_parts(objects, item.key, committed, part_keys), receipts)
    for item, parts in zip(receipts, awaited, strict=True):
        if parts is not None and not (uncommitted and age.get(item.key, 0.0) >= older_than):
            waiting.append(item)
            referenced |= parts
    kept = {item.key for item in waiting}
    loose_receipts = [item for item in receipts if item.key in age and item.key not in kept]
    loose_parts = [item for parts in candidates.parts.values() for item in parts if item.key not in referenced]
    loose = [*loose_receipts, *loose_parts, *candidates.temporary]

    def old(items: Iterable[StoredObject]) -> tuple[StoredObject, ...]:
        return tuple(item for item in items if age[item.key] >= older_than)

    return Unreferenced(
        snapshots=tuple(superseded.values()),
        receipts=old(loose_receipts),
        parts=old(loose_parts),
        temporary=old(candidates.temporary),
        young=tuple(item for item in loose if age[item.key] < older_than),
        future=tuple(item for item in candidates.of_collections() if age[item.key] < -_ROUNDING),
        waiting=tuple(waiting),
        notes=present.notes(),
    )


def _superseded(present: Contents, age: Mapping[str, float], older_than: float) -> dict[tuple[str, int], StoredObject]:
    """Return the snapshots that have not been the newest for a while, oldest first and without gaps."""
    superseded = {}
    for name, numbers in present.snapshots.items():
        for number, following in itertools.pairwise(sorted(numbers)):
            # Copied objects may have odd times: whatever follows a snapshot that stays, stays too.
            if age.get(numbers[following].key, 0.0) < older_than:
                break
            superseded[name, number] = numbers[number]
    return superseded


def _required_snapshot(objects: Objects, collection: str, number: int) -> Snapshot | None:
    try:
        return read_snapshot(objects, collection, number)
    except NewerStoreError as error:
        raise NewerStoreError(f"{error}; nothing was removed") from error
    except StoreError as error:
        raise StoreError(f"{error}; nothing was removed, because what it lists is not known") from error


def _awaited_parts(
    objects: Objects, key: str, committed: set[tuple[str, str, Part]], present: frozenset[str]
) -> frozenset[str] | None:
    """Return the parts that a receipt keeps for a commit; None if no run can use it, or all are committed."""
    data = objects.find(key)
    try:
        parts = set() if data is None else Receipt.from_bytes(data, f"{objects.url}/{key}").parts()
    except NewerStoreError as error:
        raise NewerStoreError(f"{error}; nothing was removed") from error
    except StoreError:
        return None
    keys = frozenset(part.key for _, _, part in parts)
    return keys if parts - committed and keys <= present else None


def remove(
    objects: Objects,
    unreferenced: Unreferenced,
    *,
    progress: Callable[[Sequence[StoredObject]], Iterable[StoredObject]] = iter,
) -> int:
    """Remove what nothing refers to; return how many objects were removed.

    An object that was written again since it was listed stays, and so does a part that was committed since: writers
    put again what is already there. A job that works on the same store keeps all of its own objects.

    Parameters
    ----------
    progress : function, optional
        Returns the objects that it is given and shows how many of them were handled.
    """

    def remove_one(item: StoredObject) -> bool:
        modified = objects.modified(item.key)
        if modified is None or modified - item.modified >= _ROUNDING:
            return False
        objects.delete(item.key)
        return True

    def remove_in_order(items: Sequence[StoredObject]) -> int:
        # Up to the first that stays: wherever this is stopped, no commit between two others is missing.
        count = 0
        for item in items:
            removed = remove_one(item)
            if not removed and objects.modified(item.key) is not None:
                break
            count += removed
        return count

    shown = iter(progress(unreferenced.removable))

    def remove_all(items: Sequence[StoredObject], keep: Set[str] = frozenset()) -> int:
        return sum(concurrently(remove_one, [item for item in _take(shown, items) if item.key not in keep]))

    # What refers to others goes first: a cleaning that is stopped leaves no reference to a removed object.
    count = sum(concurrently(remove_in_order, [_take(shown, items) for _, items in _by_folder(unreferenced.snapshots)]))
    count += remove_all(unreferenced.receipts)
    for collection, parts in _by_folder(unreferenced.parts):
        _, snapshot = newest(objects, collection)
        count += remove_all(parts, {part.key for part in snapshot.parts.values()} if snapshot else set())
    return count + remove_all(unreferenced.temporary)


def _by_folder(items: Iterable[StoredObject]) -> list[tuple[str, list[StoredObject]]]:
    groups = itertools.groupby(items, lambda item: item.key.rsplit("/", 1)[0])
    return [(folder, list(group)) for folder, group in groups]


def _take(shown: Iterable[StoredObject], items: Sequence[StoredObject]) -> list[StoredObject]:
    return list(itertools.islice(shown, len(items)))
