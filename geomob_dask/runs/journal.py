"""The journal of a backfill: failed outputs with their reasons, and durations of outputs.

None of it decides what an output is or whether it is up to date; removing ``backfills/<name>`` loses reasons and
estimates, no result.
"""

import json
from collections.abc import Mapping

from geomob_dask.errors import StoreError
from geomob_dask.store import Store
from geomob_dask.store.provenance import canonical_json

PREFIX = "backfills"
# By year and state: seconds, and bytes of the inputs.
Timings = dict[str, dict[str, tuple[float, int]]]


def name_of(product: str, year: int, state: str) -> str:
    """Return the name of an output in a journal."""
    return f"{product}-{year}-{state}"


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

    def _read(self, name: str) -> dict[str, dict[str, tuple[float, int]]]:
        key = f"{self._folder}/{name}"
        if not self._objects.exists(key):
            return {}
        try:
            plain = json.loads(self._objects.get(key))
        except (ValueError, StoreError):
            # Half a note is no note.
            return {}
        return plain if isinstance(plain, dict) else {}
