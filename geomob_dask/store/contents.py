"""The objects of a store by kind, from their keys.

Keys::

<collection>/_snapshots/00000001.json      a commit
<collection>/_outputs/<name>.json          a receipt: a complete output that waits for its commit
<collection>/<state>-<16 digits>.parquet   a part; a fitted model ends in .model, its card in .md
<folder>/.<name>.<32 digits>               an object of a folder that its writer has not finished
cubes/…, backfills/…, anything else        other objects, which nothing here changes
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from geomob_dask.messages import listed, shown
from geomob_dask.names import NAME_RULE
from geomob_dask.store.objects import Objects, StoredObject
from geomob_dask.store.paths import is_collection, is_path

CUBES, JOURNALS = "cubes/", "backfills/"
_SNAPSHOT = re.compile(r"(.+)/_snapshots/(\d{8})\.json")
_RECEIPT = re.compile(r"(.+)/_outputs/[^/]+\.json")
_PART = re.compile(r"(.+)/[^/]+-[0-9a-f]{16}\.(?:parquet|model|md)")
_TEMPORARY = re.compile(r"(?:.+/)?\.[^/]+\.[0-9a-f]{32}")


@dataclass(frozen=True)
class Contents:
    """The objects of a store by kind.

    Attributes
    ----------
    snapshots : mapping of str to mapping of int to StoredObject
        By collection and number.
    receipts, parts : mapping of str to list of StoredObject
        By collection.
    temporary : list of StoredObject
        Objects that their writers have not finished.
    misplaced : list of StoredObject
        Objects of a bucket or folder with a path that no function of a store accepts, such as one with ``..`` in it.
    others : list of StoredObject
        Everything else: cubes, journals of backfills, kept downloads.
    """

    snapshots: dict[str, dict[int, StoredObject]] = field(default_factory=dict)
    receipts: dict[str, list[StoredObject]] = field(default_factory=dict)
    parts: dict[str, list[StoredObject]] = field(default_factory=dict)
    temporary: list[StoredObject] = field(default_factory=list)
    misplaced: list[StoredObject] = field(default_factory=list)
    others: list[StoredObject] = field(default_factory=list)

    @property
    def part_keys(self) -> frozenset[str]:
        """Return the keys of all parts."""
        return frozenset(part.key for parts in self.parts.values() for part in parts)

    @property
    def cubes(self) -> dict[str, int]:
        """Return the bytes of every cube, by name."""
        sizes: dict[str, int] = {}
        for item in self.others:
            name, inside, _ = item.key.removeprefix(CUBES).partition("/")
            # A name that begins with a dot is the lock file of a writer.
            if item.key.startswith(CUBES) and inside and not name.startswith("."):
                sizes[name] = sizes.get(name, 0) + item.size
        return dict(sorted(sizes.items()))

    def notes(self) -> tuple[str, ...]:
        """Return what a user should do about names that earlier versions accepted."""
        names = [*sorted(self.snapshots), *(CUBES + name for name in self.cubes)]
        refused = [name for name in names if not is_collection(name)]
        lines = []
        if refused:
            lines.append(
                f"names that jobs refuse: {listed(map(shown, refused))}; they are read and verified like others, but "
                f"ingest or compute them again under {NAME_RULE}, then delete these"
            )
        if self.misplaced:
            keys = sorted(item.key for item in self.misplaced)
            lines.append(
                f"paths that lead out of the store: {listed(map(shown, keys))}; not read and left as they are, delete "
                "them with the tools of the storage"
            )
        return tuple(lines)

    def of_collections(self) -> Iterator[StoredObject]:
        """Yield every object but the others."""
        for numbers in self.snapshots.values():
            yield from numbers.values()
        for by_collection in (self.receipts, self.parts):
            for items in by_collection.values():
                yield from items
        yield from self.temporary


def contents(objects: Objects, prefix: str = "") -> Contents:
    """Return the objects below a prefix by kind, from one listing."""
    present = Contents()
    for item in objects.listing(prefix):
        if not is_path(item.key):
            present.misplaced.append(item)
        elif item.key.startswith(CUBES):
            present.others.append(item)
        elif _TEMPORARY.fullmatch(item.key):
            present.temporary.append(item)
        elif match := _SNAPSHOT.fullmatch(item.key):
            present.snapshots.setdefault(match[1], {})[int(match[2])] = item
        elif match := _RECEIPT.fullmatch(item.key):
            present.receipts.setdefault(match[1], []).append(item)
        elif (match := _PART.fullmatch(item.key)) and not item.key.startswith(JOURNALS):
            present.parts.setdefault(match[1], []).append(item)
        else:
            present.others.append(item)
    return present


def committed(objects: Objects, prefix: str) -> list[str]:
    """Return the committed collections below a prefix, sorted; cubes are none, and nothing in them is looked at."""
    if f"{prefix}/".startswith(CUBES):
        return []
    folders = objects.folders(prefix)
    if "_snapshots" in folders:
        return [prefix]
    below = [f"{prefix}/{name}" if prefix else name for name in folders]
    return sorted(collection for path in below for collection in committed(objects, path))
