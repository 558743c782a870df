"""Receipts: complete outputs that are not committed yet, each written by one worker.

A worker writes the parts of its output and then a receipt, a small object that lists them with their provenance. An
output with a receipt need not be computed again, even if the run is killed. A later step commits it together with
others of its collection, and removes the receipt::

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
    """The parts that a run adds to a collection.

    Parameters
    ----------
    collection : str
    parts : mapping of str to Part
        By state.
    provenance : Provenance
    attributes : mapping
        Attributes of the collection.
    """

    collection: str
    parts: Mapping[str, Part]
    provenance: Provenance
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def made(self) -> dict[str, Part]:
        """Return the parts, each with the identity of the run."""
        run = self.provenance.identity
        return {state: made_by(part, run) for state, part in self.parts.items()}


@dataclass(frozen=True)
class Receipt:
    """A complete output.

    Parameters
    ----------
    state : str
        Its state, or ``all``.
    commits : sequence of Commit
        In the order of their commit; the last one holds the output itself.
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
        """Return the receipt that an object holds.

        Raises
        ------
        StoreError
            If it holds no receipt, or a changed one. `NewerStoreError` if a newer version wrote it.
        """
        try:
            plain = json.loads(data)
            if plain["format"] > FORMAT:
                raise NewerStoreError(
                    f"{where}: written in format {plain['format']} by a newer version; expected {FORMAT} or older"
                )
            if plain.pop("sha256") != sha256(canonical_json(plain)):
                raise StoreError(f"{where}: its content does not have its checksum; expected what a worker wrote")
            commits = tuple(
                Commit(
                    commit["collection"],
                    {state: part_of(part) for state, part in commit["parts"].items()},
                    Provenance(**commit["provenance"]),
                    commit["attributes"],
                )
                for commit in plain["commits"]
            )
            return cls(plain["state"], commits)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{where}: not a receipt ({error!r}); expected what a worker wrote") from error


def name_of(state: str, identity: str) -> str:
    """Return the name of a receipt."""
    return f"{state}-{identity}.json"


def key_of(collection: str, state: str, identity: str) -> str:
    """Return the key of the receipt of an output."""
    return f"{collection}/{FOLDER}/{name_of(state, identity)}"


def names(objects: Objects, collection: str) -> list[str]:
    """Return the names of the receipts of a collection."""
    return objects.names(f"{collection}/{FOLDER}")


def read(objects: Objects, key: str) -> Receipt | None:
    """Return a receipt whose parts all exist; None if it or one of them is gone, or if it is damaged."""
    data = objects.find(key)
    if data is None:
        return None
    try:
        receipt = Receipt.from_bytes(data, f"{objects.url}/{key}")
    except NewerStoreError:
        raise
    except StoreError:
        # The output is computed again.
        return None
    return receipt if all(objects.exists(part.key) for _, _, part in receipt.parts()) else None


def parts_of(objects: Objects, collection: str) -> set[str]:
    """Return the keys of all parts that receipts of a collection list."""
    known = (read(objects, f"{collection}/{FOLDER}/{name}") for name in names(objects, collection))
    return {part.key for receipt in known if receipt for _, _, part in receipt.parts()}
