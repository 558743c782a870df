"""The journal of a backfill: failed outputs with their reasons, durations of outputs, and signs of life of its runs.

None of it decides what an output is or whether it is up to date; removing ``backfills/<name>`` loses reasons and
estimates, no result.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geomob_dask.errors import StoreError
from geomob_dask.store import Store
from geomob_dask.store.objects import concurrently
from geomob_dask.store.provenance import canonical_json

PREFIX = "backfills"
# By year and state: seconds, and bytes of the inputs.
Timings = dict[str, dict[str, tuple[float, int]]]
# Runs of which notes are kept.
_RUNS = 20
# Seconds without a sign after which a run is not taken to be running any more: six signs.
SILENT = 90.0


@dataclass(frozen=True)
class Took:
    """How long an output took when it was last computed.

    Parameters
    ----------
    output : str
        Its name, after that of its backfill.
    seconds : float
    """

    output: str
    seconds: float


def longest(store: Store) -> Took | None:
    """Return the output of all backfills of a store that took longest; None where none has noted times."""
    found = []
    for name in store.objects.names(PREFIX):
        journal = Journal(store, name)
        for file in store.objects.names(f"{PREFIX}/{name}/timings"):
            product = file.removesuffix(".json")
            found += [
                Took(f"{name}: {name_of(product, int(year), state)}", seconds)
                for year, states in journal.timings(product).items()
                for state, (seconds, _) in states.items()
            ]
    return max(found, key=lambda took: took.seconds, default=None)


def name_of(product: str, year: int, state: str) -> str:
    """Return the name of an output in a journal."""
    return f"{product}-{year}-{state}"


@dataclass(frozen=True)
class RunNote:
    """What a run has last said of itself.

    Attributes
    ----------
    run : str
        Its name, which begins with when it began.
    began, ended : str
        UTC, by the clock of its driver; `ended` is empty while it has not.
    outcome : str
        How it ended.
    silent : float
        Seconds since its last sign, by the storage's clock.
    seconds : float
        From its beginning to its last sign.
    done, failed, left : int
        Outputs by what has become of them; `left` are to be computed or running.
    running : tuple of str
        Names of the outputs that were handed out to workers.
    """

    run: str
    began: str
    ended: str
    outcome: str
    silent: float
    seconds: float
    done: int
    failed: int
    left: int
    running: tuple[str, ...]

    @property
    def alive(self) -> bool:
        """Return whether it has not ended and has said something lately."""
        return not self.ended and self.silent <= SILENT


class Journal:
    """The journal of one backfill.

    Parameters
    ----------
    store : Store
    name : str
        Of the backfill.

    Attributes
    ----------
    where : str
        The folder of its objects.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._objects = store.objects
        self._folder = f"{PREFIX}/{name}"
        self.where = f"{store.url}/{self._folder}"

    def failed(self) -> set[str]:
        """Return the names of the outputs that failed and have not been computed since."""
        names = self._objects.names(f"{self._folder}/failed")
        return {name.removesuffix(".json") for name in names}

    def reason(self, name: str) -> str:
        """Return why an output failed."""
        return str(self._read(f"failed/{name}.json").get("reason", "not known"))

    def fail(self, name: str, identity: str, reason: str, attempts: int) -> None:
        """Write down that an output failed."""
        plain = {"output": name, "identity": identity, "reason": reason, "attempts": attempts}
        self._objects.put(f"{self._folder}/failed/{name}.json", canonical_json(plain))

    def succeed(self, name: str) -> None:
        """Remove the note of a failure."""
        self._objects.delete(f"{self._folder}/failed/{name}.json")

    def timings(self, product: str) -> Timings:
        """Return the durations of the outputs of a product when they were last computed."""
        return {
            year: {state: (float(seconds), int(size)) for state, (seconds, size) in states.items()}
            for year, states in self._read(f"timings/{product}.json").items()
        }

    def took(self, product: str, year: int, states: Mapping[str, tuple[float, int]]) -> None:
        """Write down how long outputs took: seconds, and bytes of their inputs."""
        known = self.timings(product)
        known[str(year)] = {**known.get(str(year), {}), **states}
        self._objects.put(f"{self._folder}/timings/{product}.json", canonical_json(known))

    def keep_plan(self, plan: Mapping[str, Any]) -> None:
        """Write down what the newest run planned."""
        self._objects.put(f"{self._folder}/plan.json", canonical_json(dict(plan)))

    def plan(self) -> dict[str, Any]:
        """Return what the newest run planned; empty if no run has written it down."""
        return self._read("plan.json")

    def note_run(self, run: str, note: Mapping[str, Any]) -> None:
        """Write down what a run says of itself."""
        self._objects.put(f"{self._folder}/runs/{run}.json", canonical_json(dict(note)))

    def forget_runs(self) -> None:
        """Remove the notes of all but the newest runs."""
        for name in sorted(self._objects.names(f"{self._folder}/runs"))[:-_RUNS]:
            self._objects.delete(f"{self._folder}/runs/{name}")

    def runs(self, most: int = _RUNS) -> list[RunNote]:
        """Return what the newest runs have last said of themselves, the newest first."""
        names = sorted(self._objects.names(f"{self._folder}/runs"), reverse=True)
        now = self._objects.clock()
        notes = concurrently(lambda name: self._run(name.removesuffix(".json"), now), names[:most])
        return [note for note in notes if note is not None]

    def _run(self, run: str, now: float) -> RunNote | None:
        name = f"runs/{run}.json"
        plain, written = self._read(name), self._objects.modified(f"{self._folder}/{name}")
        if not plain or written is None:
            return None
        numbers = {key: int(plain.get(key, 0)) for key in ("done", "failed", "left")}
        return RunNote(
            run,
            str(plain.get("began", "")),
            str(plain.get("ended", "")),
            str(plain.get("outcome", "")),
            silent=max(0.0, now - written),
            seconds=float(plain.get("seconds", 0.0)),
            running=tuple(map(str, plain.get("running", ()))),
            **numbers,
        )

    def _read(self, name: str) -> dict[str, Any]:
        key = f"{self._folder}/{name}"
        if not self._objects.exists(key):
            return {}
        try:
            plain = json.loads(self._objects.get(key))
        except (ValueError, StoreError):
            # Half a note is no note.
            return {}
        return plain if isinstance(plain, dict) else {}
