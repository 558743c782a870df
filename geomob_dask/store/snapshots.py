"""Commits: a collection is what its newest numbered snapshot lists, and nothing else.

Parts are immutable objects named by their content. A snapshot is one small object under the next free number; if
several writers create it at once, one of them succeeds. A writer that is killed leaves parts that no snapshot lists,
and no reader sees them.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from geomob_dask.errors import ConflictError, NewerStoreError, StoreError
from geomob_dask.messages import listed
from geomob_dask.sources.attributes import otherwise, together
from geomob_dask.store.objects import Objects
from geomob_dask.store.paths import check_collection, settled
from geomob_dask.store.provenance import Provenance, canonical_json, sha256

FORMAT = 1
_ATTEMPTS = 50


@dataclass(frozen=True)
class Part:
    """One immutable object of a collection: the rows of one state.

    Parameters
    ----------
    key : str
        Its path relative to the store.
    sha256 : str
        Checksum of its bytes.
    size, rows : int
        Bytes and rows.
    first, last : str
        The smallest and largest key of its index.
    bounds : sequence of 4 floats, optional
        xmin, ymin, xmax, ymax of its polygons, in the units of the collection's CRS.
    run : str
        The identity of the run that wrote it; see `Provenance`.
    """

    key: str
    sha256: str
    size: int
    rows: int
    first: str
    last: str
    bounds: tuple[float, float, float, float] | None = None
    run: str = ""


@dataclass(frozen=True)
class Snapshot:
    """What a collection holds at one commit.

    Parameters
    ----------
    collection : str
        Its path below the store, such as ``tracts/2010``.
    parts : mapping of str to Part
        By state, sorted.
    runs : mapping of str to mapping
        The provenance of every run that a part names.
    attributes : mapping
        Properties of the whole collection, such as its CRS.
    """

    collection: str
    parts: Mapping[str, Part]
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def checksum(self, states: Sequence[str] | None = None) -> str:
        """Return the SHA-256 over the parts of some states (all by default), which identifies an input."""
        return self._checksum if states is None else self._checksum_of(states)

    @cached_property
    def _checksum(self) -> str:
        # Asked for again and again by readers of one snapshot.
        return self._checksum_of(self.parts)

    def _checksum_of(self, states: Collection[str]) -> str:
        chosen = {state: part.sha256 for state, part in self.parts.items() if state in states}
        return sha256(canonical_json([chosen, dict(self.attributes)]))

    def to_bytes(self) -> bytes:
        """Return the bytes under which a snapshot is committed."""
        used = {part.run for part in self.parts.values()}
        plain = {
            "format": FORMAT,
            "collection": self.collection,
            "attributes": dict(self.attributes),
            "parts": {state: asdict(part) for state, part in sorted(self.parts.items())},
            "runs": {run: dict(what) for run, what in self.runs.items() if run in used},
        }
        # As it will be read: JSON has no numbers as keys, and as text they sort differently.
        text = canonical_json(json.loads(json.dumps(plain, allow_nan=False)))
        return text.removesuffix(_END) + _checksum_line(sha256(text))

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> "Snapshot":
        """Read a committed snapshot."""
        try:
            plain = json.loads(data)
            number = plain["format"]
            if number > FORMAT:
                raise NewerStoreError(
                    f"{where}: written in format {number} by a newer version; expected {FORMAT} or older"
                )
            # The checksum of everything else in it; snapshots of the first versions have none.
            checksum = plain.pop("sha256", None)
            if checksum is not None and checksum != sha256(_without_checksum(data, checksum)):
                raise StoreError(f"{where}: its content does not have its checksum; expected what a job committed")
            parts = {state: part_of(part) for state, part in plain["parts"].items()}
            return cls(settled(plain["collection"]), parts, plain["runs"], plain["attributes"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{where}: not a snapshot of a store ({error!r}); expected what a job committed"
            ) from error


_END = b"\n}\n"


def _checksum_line(checksum: str) -> bytes:
    # The last key in sorted order.
    return f',\n "sha256": "{checksum}"'.encode() + _END


def _without_checksum(data: bytes, checksum: str) -> bytes:
    """Return the bytes that the checksum was computed from; empty if the checksum is not in its place."""
    line = _checksum_line(checksum)
    return data.removesuffix(line) + _END if data.endswith(line) else b""


def part_of(plain: Mapping[str, Any]) -> Part:
    """Return a part from plain data."""
    bounds = plain["bounds"]
    return Part(**{**plain, "key": settled(plain["key"]), "bounds": None if bounds is None else tuple(bounds)})


def snapshot_key(collection: str, number: int) -> str:
    """Return the key of a commit."""
    return f"{collection}/_snapshots/{number:08d}.json"


def newest(objects: Objects, collection: str) -> tuple[int, Snapshot | None]:
    """Return the number and the newest snapshot of a collection; (0, None) where nothing was committed."""
    numbers = [int(name[:8]) for name in objects.names(f"{collection}/_snapshots") if name.endswith(".json")]
    if not numbers:
        return 0, None
    number = max(numbers)
    key = snapshot_key(collection, number)
    return number, Snapshot.from_bytes(objects.get(key), f"{objects.url}/{key}")


def commit(
    objects: Objects,
    collection: str,
    parts: Mapping[str, Part],
    provenance: Provenance,
    attributes: Mapping[str, Any],
    *,
    keep_others: bool,
) -> Snapshot:
    """Make parts visible, all at once.

    Parameters
    ----------
    keep_others : bool
        Whether states that are not in `parts` stay (an ingest adds a state) or leave the collection (a result
        belongs to one run).

    Raises
    ------
    StoreError
        If the store cannot be written, or the attributes contradict those of the states that stay.
    """
    run = provenance.identity
    fresh = {state: made_by(part, run) for state, part in parts.items()}
    return commit_runs(objects, collection, fresh, {run: provenance.plain()}, attributes, keep_others=keep_others)


def made_by(part: Part, run: str) -> Part:
    """Return a part with the identity of the run that wrote it."""
    return replace(part, run=run)


def commit_runs(
    objects: Objects,
    collection: str,
    fresh: Mapping[str, Part],
    runs_of_fresh: Mapping[str, Mapping[str, Any]],
    attributes: Mapping[str, Any],
    *,
    keep_others: bool,
    expected: Mapping[str, str] | None = None,
    stale_may_go: bool = False,
) -> Snapshot:
    """Make parts of several runs visible, all at once; see `commit`.

    Parameters
    ----------
    fresh : mapping of str to Part
        By state; each names its run.
    runs_of_fresh : mapping of str to mapping
        The provenance of each of these runs.
    expected : mapping of str to str, optional
        The run of each state of the collection when this commit was planned. If yet another run has written a state
        since, the commit is refused. By default nothing is expected, and the last commit wins.
    stale_may_go : bool
        Whether states that would stay may leave the collection if their attributes contradict the new ones and the
        expected runs wrote them: results of the same name have other attributes once their inputs have changed.

    Raises
    ------
    StoreError
        As `commit`.
    ConflictError
        If another run has committed something else since the plan.
    """
    check_collection(collection)
    for _ in range(_ATTEMPTS):
        number, old = newest(objects, collection)
        kept: dict[str, Part] = {}
        runs: dict[str, Mapping[str, Any]] = {}
        if old is not None and expected is not None:
            _refuse_another_run(f"{objects.url}/{collection}", old, fresh, expected)
        if old is not None and keep_others:
            kept = {state: part for state, part in old.parts.items() if state not in fresh}
            runs = dict(old.runs)
            both = together(old.attributes, attributes)
            contradict = kept and both is None
            if kept and both is not None:
                attributes = both
            if contradict and stale_may_go and _as_expected(kept, expected or {}):
                kept = {}
            elif contradict:
                raise ConflictError(
                    f"{objects.url}/{collection}: holds states {listed(kept)} with "
                    f"{otherwise(old.attributes, attributes)}, found {otherwise(attributes, old.attributes)} for "
                    f"{listed(fresh)}; expected the same, or another name"
                )
        runs.update(runs_of_fresh)
        new = Snapshot(collection, dict(sorted({**kept, **fresh}.items())), runs, dict(attributes))
        data = new.to_bytes()
        if old is not None and old == Snapshot.from_bytes(data, collection):
            return old
        for part in fresh.values():
            if not objects.exists(part.key):
                raise StoreError(f"{objects.url}/{part.key}: removed before its commit; expected it to stay until then")
        if objects.create(snapshot_key(collection, number + 1), data):
            return new
    raise StoreError(
        f"{objects.url}/{collection}: {_ATTEMPTS} other commits came first; expected fewer writers at once"
    )


def refuse_another_run(
    objects: Objects, collection: str, fresh: Mapping[str, Part], expected: Mapping[str, str]
) -> None:
    """Raise the error of `commit_runs` if another run has committed since the plan; nothing is written.

    Raises
    ------
    ConflictError
        Naming both runs.
    """
    _, old = newest(objects, collection)
    if old is not None:
        _refuse_another_run(f"{objects.url}/{collection}", old, fresh, expected)


def _refuse_another_run(where: str, old: Snapshot, fresh: Mapping[str, Part], expected: Mapping[str, str]) -> None:
    for state, part in fresh.items():
        now = old.parts[state].run if state in old.parts else ""
        if now not in ("", part.run, expected.get(state, "")):
            raise ConflictError(
                f"{where}: {state} was committed by run {now} after this run was planned, found run {part.run} of "
                "another definition or other inputs under the same name; expected one of them, or another name"
            )


def _as_expected(parts: Mapping[str, Part], expected: Mapping[str, str]) -> bool:
    return all(part.run == expected.get(state) for state, part in parts.items())
