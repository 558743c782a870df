"""Receipts: outputs that are whole, each written by one worker, and not yet committed.

A worker of a backfill puts the parts of its output and creates, last, one small object beside them that lists them with
their provenance. What has a receipt need not be computed again, whatever happens to the run; it becomes visible when
a later step commits it, together with others of its collection, and the receipt is removed then::

    <collection>/_outputs/<state>-<identity>.json
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from geomob_dask.errors import NewerStoreError, StoreError
from geomob_dask.store.objects import Objects
from geomob_dask.store.provenance import Provenance, canonical_json, sha256
from geomob_dask.store.snapshots import FORMAT, Part, made_by, part_of

FOLDER = "_outputs"


@dataclass(frozen=True)
class Commit:
    """What one run adds to one collection.

    Parameters
    ----------
    collection : str
    parts : mapping of str to Part
        By state.
    provenance : Provenance
    attributes : mapping
        Of the collection.
    """

    collection: str
    parts: Mapping[str, Part]
    provenance: Provenance
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def made(self) -> dict[str, Part]:
        """Return the parts, each with the run that made it."""
        run = self.provenance.identity
        return {state: made_by(part, run) for state, part in self.parts.items()}


@dataclass(frozen=True)
class Receipt:
    """A whole output.

    Parameters
    ----------
    state : str
        ``all`` for an output of all states.
    commits : sequence of Commit
        In the order in which they become visible; the last one is the output itself.
    """

    state: str
    commits: Sequence[Commit]

    def parts(self) -> set[tuple[str, str, Part]]:
        """Return collection, state and part of everything that is to be committed."""
        return {(commit.collection, state, part) for commit in self.commits for state, part in commit.made().items()}

    def to_bytes(self) -> bytes:
        """Return the bytes of the object."""
        plain = {
            "format": FORMAT,
            "state": self.state,
            "commits": [
                {
                    "collection": commit.collection,
                    "parts": {state: asdict(part) for state, part in sorted(commit.parts.items())},
                    "provenance": commit.provenance.plain(),
                    "attributes": dict(commit.attributes),
                }
                for commit in self.commits
            ],
        }
        as_read = json.loads(canonical_json(plain))
        return canonical_json({**as_read, "sha256": sha256(canonical_json(as_read))})

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> "Receipt":
        """Read a receipt.

        Raises
        ------
        StoreError
            If it is none.
        """
        try:
            plain = json.loads(data)
            if plain["format"] > FORMAT:
                raise NewerStoreError(
                    f"{where}: written in format {plain['format']} by a newer version; expected {FORMAT} or older"
                )
            if plain.pop("sha256") != sha256(canonical_json(plain)):
                raise StoreError(f"{where}: its content no longer has its checksum; expected what a worker wrote")
            commits = tuple(
                Commit(
                    one["collection"],
                    {state: part_of(part) for state, part in one["parts"].items()},
                    Provenance(**one["provenance"]),
                    one["attributes"],
                )
                for one in plain["commits"]
            )
            return cls(plain["state"], commits)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{where}: not a receipt ({error!r}); expected what a worker wrote") from error


def name_of(state: str, identity: str) -> str:
    """Return the name of a receipt."""
    return f"{state}-{identity}.json"


def key_of(collection: str, state: str, identity: str) -> str:
    """Return where the receipt of an output is."""
    return f"{collection}/{FOLDER}/{name_of(state, identity)}"


def names(objects: Objects, collection: str) -> list[str]:
    """Return the names of the receipts of a collection."""
    return objects.names(f"{collection}/{FOLDER}")


def read(objects: Objects, key: str) -> Receipt | None:
    """Return a receipt whose parts are all there; None where it or one of them is gone."""
    if not objects.exists(key):
        return None
    try:
        data = objects.get(key)
    except StoreError:
        # Another run may have committed and removed it in between.
        if not objects.exists(key):
            return None
        raise
    try:
        receipt = Receipt.from_bytes(data, f"{objects.url}/{key}")
    except NewerStoreError:
        raise
    except StoreError:
        # Damaged: the output is computed again.
        return None
    parts = [part for commit in receipt.commits for part in commit.parts.values()]
    return receipt if all(objects.exists(part.key) for part in parts) else None


def parts_of(objects: Objects, collection: str) -> set[str]:
    """Return the keys of all parts that receipts of a collection list."""
    found = (read(objects, f"{collection}/{FOLDER}/{name}") for name in names(objects, collection))
    return {part.key for receipt in found if receipt for commit in receipt.commits for part in commit.parts.values()}
