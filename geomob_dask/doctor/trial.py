"""Small objects that a store is tried with: their names, what workers do with them, and their removal.

They are in one folder of a trial's own. Should one be left behind, `jobs/store.py clean` takes it for an object whose
writer did not finish, and removes it.
"""

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from geomob_dask.errors import GeomobError, StoreTimeoutError
from geomob_dask.messages import counted, reason, tell
from geomob_dask.runs.other_thread import in_other_thread
from geomob_dask.store.objects import Objects, concurrently

_T = TypeVar("_T")

FOLDER = "_doctor"
# Looks for what is left, and seconds between them: a worker may be in the middle of a write.
_LOOKS, _PAUSE = 4, 0.5


@dataclass
class Trial:
    """A folder of a store for one trial.

    Parameters
    ----------
    objects : Objects
    token : str
        Distinguishes it from other trials.

    Attributes
    ----------
    unsure : bool
        Whether a worker may still write.
    over : threading.Event
        Set when its objects are removed: threads of this process that an interrupt has left behind write no more.
    """

    objects: Objects
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    unsure: bool = False
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def folder(self) -> str:
        """Return the folder's key."""
        return f"{FOLDER}/{self.token}"

    def key(self, name: str) -> str:
        """Return the key of one of its objects."""
        return f"{self.folder}/.{name}.{self.token}"

    def remove(self, seconds: float) -> str:
        """Remove everything of the trial; return what is left and why, empty if nothing is."""
        try:
            left = in_other_thread(self._remove, 2 * seconds)
            why = "" if not left else f"{counted(left, 'object')}"
        except (GeomobError, OSError) as error:
            why = f"perhaps objects ({reason(error)})"
        if not why and self.unsure:
            why = "perhaps objects of a worker that did not answer"
        return why and f"left in {self.objects.url}/{self.folder}: {why}"

    def _remove(self) -> int:
        left = []
        for look in range(_LOOKS):
            left = self.objects.listing(self.folder)
            concurrently(lambda item: self.objects.delete(item.key), left)
            if not left and not (self.unsure and look < _LOOKS - 1):
                break
            if left and look == 0 and not self.unsure:
                continue
            time.sleep(_PAUSE)
        return len(left)


@contextlib.contextmanager
def trial_of(objects: Objects, seconds: float) -> Iterator[Trial]:
    """Yield a trial; remove its objects whatever happens, and say what is left."""
    trial = Trial(objects)
    absent = _first_absent(Path(objects.root)) if objects.local else None
    try:
        yield trial
    except BaseException:
        trial.unsure = True
        raise
    finally:
        trial.over.set()
        left = trial.remove(seconds)
        if objects.local:
            _remove_folders(Path(objects.path(trial.folder)), absent)
        if left:
            tell(f"{left}; jobs/store.py clean --store {objects.url} removes them when they are an hour old")


def _first_absent(folder: Path) -> Path | None:
    """Return the outermost folder of a path that does not exist yet; None if all do."""
    absent = None
    for one in (folder, *folder.parents):
        if one.exists():
            break
        absent = one
    return absent


def _remove_folders(folder: Path, absent: Path | None) -> None:
    """Remove the empty folders of a trial, and those that were not there before."""
    with contextlib.suppress(OSError):
        os.rmdir(folder)
        os.rmdir(folder.parent)
        store = folder.parent.parent
        while absent is not None and store.is_relative_to(absent):
            os.rmdir(store)
            store = store.parent


# What workers do ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """What came of an action: its value, or why there is none.

    Parameters
    ----------
    value : any
    error : str
        Empty if it succeeded.
    """

    value: Any = None
    error: str = ""


def tried(act: Callable[[], Any]) -> Done:
    """Return what an action returns, or why it failed; an error would fill the log of a worker."""
    try:
        return Done(act())
    except (GeomobError, OSError) as error:
        return Done(error=str(error))


def see_and_write(url: str, seconds: float, seen: str, own: str, data: bytes) -> Done:
    """Return whether an object has this content, seen from here; then write an object of one's own."""

    def act() -> bool:
        objects = Objects(url, seconds)
        if objects.find(seen) != data:
            # Another folder of the same name: nothing is written to it.
            return False
        objects.put(own, data)
        return True

    return tried(act)


def not_seen(url: str, seconds: float, keys: Sequence[str], data: bytes) -> Done:
    """Return which of these objects do not have this content, seen from here."""

    def act() -> list[str]:
        objects = Objects(url, seconds)
        found = concurrently(objects.find, keys)
        return [key for key, content in zip(keys, found, strict=True) if content != data]

    return tried(act)


def race(
    url: str,
    seconds: float,
    keys: Sequence[str],
    writers: int,
    begins: float,
    gap: float,
    name: str,
    over: threading.Event | None = None,
) -> Done:
    """Return, for each key, how many of several threads say that they created the object.

    Parameters
    ----------
    begins, gap : float
        When the first key is raced for, by the clock of this machine, and how many seconds lie between two keys.
    name : str
        Of this machine; each thread writes its own name.
    over : threading.Event, optional
        Ends the race once it is set.
    """
    over = over or threading.Event()

    def act() -> list[list[str]]:
        objects = Objects(url, seconds)
        won: list[list[str]] = [[] for _ in keys]
        errors: list[BaseException] = []
        together = threading.Barrier(writers)

        def write(own: str) -> None:
            try:
                for place, key in enumerate(keys):
                    together.wait(seconds)
                    if over.wait(max(0.0, min(begins + place * gap - time.time(), seconds))):
                        raise GeomobError(f"{url}: the trial is over")
                    if objects.create(key, own.encode()):
                        won[place].append(own)
            except BaseException as error:
                errors.append(error)
                together.abort()

        threads = [threading.Thread(target=write, args=(f"{name}-{number}",), daemon=True) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        first = next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), None)
        if errors:
            raise first or StoreTimeoutError(f"{url}: a writer was not done within {seconds:g} s; expected an answer")
        return won

    return tried(act)


def speed(url: str, seconds: float, large: str, small: str, size: int, times: int = 5) -> Done:
    """Return the seconds of a small read, and the seconds of writing and of reading an object of this size."""

    def act() -> tuple[float, float, float]:
        objects, data = Objects(url, seconds), os.urandom(size)
        waits = sorted(_timed(lambda: objects.get(small)) for _ in range(times))
        return waits[times // 2], _timed(lambda: objects.put(large, data)), _timed(lambda: objects.get(large))

    return tried(act)


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
