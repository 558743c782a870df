"""What is known of a submission: small objects in the store, each written once, and a sign of life.

::

    submissions/<id>/asked.json        what was asked for, by whom, from where, and the script that is submitted
                    /sent-<m>.json     it is handed to the queue for the m-th time, with what has changed of what was
                                       asked for; written before
                    /number-<m>.json   what the queue calls it; written after
                    /taken-<m>.json    which job runs the driver of the m-th time: the first that asks
                    /began-<k>.json    a driver began, the k-th: a queue may start the same script again
                    /ending-<k>.json   why it is interrupted
                    /ended-<k>.json    how it ended
                    /cancel-<m>.json   somebody wants it to end
                    /alive.json        what it last said; replaced every few seconds

None of it holds an environment. Removing ``submissions/<id>`` loses what is known of a submission, no result.
"""

import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from geomob_dask.errors import InputError, StoreError
from geomob_dask.messages import shown
from geomob_dask.names import did_you_mean
from geomob_dask.store.objects import Objects, concurrently

PREFIX = "submissions"

Outcome = Literal["done", "failed", "cancelled", "stopped", "continued"]
"""How a driver ended: it is to go on elsewhere if ``continued``; the queue ended it, and may start it again, if
``stopped``."""

_NUMBERED = re.compile(r"(sent|number|taken|began|ending|ended|cancel)-(\d+)\.json")


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Parameters
    ----------
    id, job : str
    command : tuple of str
        Of the driver: Python, the script and its arguments.
    place : str
        Where drivers run: a kind of queue, ``kubernetes``, or ``process``.
    settings : mapping of str to str
        Variables that fix store, section and file of the cluster for the driver, whatever its command leaves out.
    config : str
        The cluster file where it was submitted; empty where there is none.
    folder, log : str
        Where it runs, and the file that it writes to; empty where the place keeps what is printed.
    script : str
        What is submitted.
    walltime, margin : float
        Seconds until the queue ends it (0: not known), and before that to be interrupted.
    resume : str
        What it comes back from: see the section's `driver`.
    attempts : int
        Runs in a row that may end early without having completed an output.
    user, host : str
        Who asked, and where.
    asked : float
        When, in seconds since 1970.
    version : str
        Of this package.
    """

    id: str
    job: str
    command: tuple[str, ...]
    place: str
    settings: dict[str, str]
    config: str
    folder: str
    log: str
    script: str
    walltime: float
    margin: float
    resume: str
    attempts: int
    user: str
    host: str
    asked: float
    version: str

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Asked":
        """Return what a record says."""
        return cls(**{**plain, "command": tuple(plain["command"])})


@dataclass(frozen=True)
class Known:
    """All records of a submission.

    Parameters
    ----------
    asked : Asked
        With what has changed since.
    events : mapping of str to mapping of int to mapping
        Records by kind and number.
    life : mapping
        The sign of life, empty before the first one.
    age : float
        Seconds since the sign of life, by the storage's clock.
    """

    asked: Asked
    events: Mapping[str, Mapping[int, Mapping[str, Any]]]
    life: Mapping[str, Any] = field(default_factory=dict)
    age: float = float("inf")

    def of(self, kind: str) -> Mapping[int, Mapping[str, Any]]:
        """Return the records of a kind, by number."""
        return self.events.get(kind, {})

    def last(self, kind: str) -> int:
        """Return the highest number of a kind, 0 if there is none."""
        return max(self.of(kind), default=0)

    @property
    def number(self) -> str:
        """Return what the queue calls it; empty where it does not know it yet."""
        sent = self.last("sent")
        # A job that the queue has started again may have come before the one that was sent.
        noted = self.of("taken").get(sent) or self.of("number").get(sent) or {}
        return str(noted.get("number", ""))

    @property
    def sent_of_run(self) -> int:
        """Return as which of those that were sent the last driver began; 0 if none has."""
        return int(self.of("began").get(self.last("began"), {}).get("sent", 0))


class Records:
    """The records of one submission.

    Parameters
    ----------
    objects : Objects
        Of the store.
    id : str
    """

    def __init__(self, objects: Objects, id: str) -> None:
        self.objects, self.id = objects, id
        self._folder = f"{PREFIX}/{id}"
        self.where = f"{objects.url}/{self._folder}"
        # What is written once is read once, by whoever follows a submission for hours.
        self._asked: Asked | None = None
        self._read_before: dict[str, Mapping[str, Any]] = {}

    def ask(self, asked: Asked) -> bool:
        """Write down what is asked for; return whether the id was free."""
        return self.objects.create(f"{self._folder}/asked.json", _json(asdict(asked)))

    def asked(self) -> Asked:
        """Return what was asked for.

        Raises
        ------
        InputError
            If there is no such submission.
        """
        if self._asked is not None:
            return self._asked
        data = self.objects.find(f"{self._folder}/asked.json")
        if data is None:
            raise InputError(
                f"submission {shown(self.id)}: none in {self.objects.url}; "
                f"{did_you_mean(self.id, every_id(self.objects))}"
            )
        try:
            self._asked = Asked.of(json.loads(data))
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"{self.where}/asked.json: found {shown(str(error))}, expected what jobs/submit.py wrote"
            ) from error
        return self._asked

    def note(self, kind: str, place: int, /, **about: Any) -> bool:
        """Write a record; return whether it was the first one of its kind and number."""
        name, mark = f"{kind}-{place}.json", secrets.token_hex(8)
        data = _json({"time": time.time(), "mark": mark, **about})
        # A bucket whose first answer was lost says of the second attempt that the record is there.
        return self.objects.create(f"{self._folder}/{name}", data) or self._read(name).get("mark") == mark

    def begin(self, **about: Any) -> int:
        """Note that a driver begins; return its number."""
        number = 1
        while not self.note("began", number, **about):
            number += 1
        return number

    def take(self, sent: int, number: str) -> str:
        """Take the turn of what was sent; return the number of the job that has it: the first one that asked."""
        if self.note("taken", sent, number=number):
            return number
        return str(self._read(f"taken-{sent}.json").get("number", number))

    def is_cancelled(self, sent: int) -> bool:
        """Return whether somebody wants what was sent to end."""
        return self.objects.exists(f"{self._folder}/cancel-{sent}.json")

    def live(self, **about: Any) -> None:
        """Replace the sign of life."""
        self.objects.put(f"{self._folder}/alive.json", _json({"time": time.time(), **about}))

    def known(self) -> Known:
        """Return all records."""
        names = self.objects.names(self._folder)
        if "asked.json" not in names:
            # Somebody has removed it.
            self._asked = None
        asked = self.asked()
        matches = [match for match in map(_NUMBERED.fullmatch, names) if match]
        events: dict[str, dict[int, Mapping[str, Any]]] = {}
        for match, plain in zip(matches, concurrently(self._read, [match[0] for match in matches]), strict=True):
            events.setdefault(match[1], {})[int(match[2])] = plain
        life = self._plain("alive.json") if "alive.json" in names else {}
        modified = self.objects.modified(f"{self._folder}/alive.json") if life else None
        age = float("inf") if modified is None else max(0.0, self.objects.clock() - modified)
        for _, sent in sorted(events.get("sent", {}).items()):
            asked = replace(asked, **sent.get("asked", {}))
        return Known(asked, events, life, age)

    def forget(self) -> None:
        """Remove all records, of a submission that the queue refused."""
        for name in self.objects.names(self._folder):
            self.objects.delete(f"{self._folder}/{name}")

    def _read(self, name: str) -> Mapping[str, Any]:
        """Return a record that is written once."""
        found = self._read_before.get(name) or self._plain(name)
        self._read_before[name] = found
        return found

    def _plain(self, name: str) -> Mapping[str, Any]:
        try:
            plain = json.loads(self.objects.find(f"{self._folder}/{name}") or b"{}")
        except ValueError:
            # Half a note is no note.
            return {}
        return plain if isinstance(plain, dict) else {}


def new_id(job: str) -> str:
    """Return an id that no other submission has: of the job, the time and a random part."""
    return f"{job}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def every_id(objects: Objects) -> list[str]:
    """Return the ids of all submissions of a store."""
    return objects.folders(PREFIX)


def _json(plain: Mapping[str, Any]) -> bytes:
    return json.dumps(plain, indent=1, sort_keys=True).encode()
