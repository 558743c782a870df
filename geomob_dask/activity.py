"""What a job is doing: lines every few seconds where there is no terminal to show it on.

Whatever may last says what it is while it does (`doing`); a thread repeats that when nothing else has been printed for
a while. So a log is never silent, whichever part of a job takes long.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from geomob_dask.errors import SettingsError
from geomob_dask.messages import shown

EVERY = 8.0
"""Seconds of silence after which a job says what it is doing; ``GEOMOB_PROGRESS`` wins, 0 for never."""

COMPLETED = "GEOMOB_COMPLETED"
"""The variable that names a file to which a job adds a byte for every output that it has completed."""

Lines = Callable[[], Sequence[str]]

_lock = threading.Lock()
_doing: list[Lines] = []
_spoke = time.monotonic()


@contextlib.contextmanager
def doing(what: str | Lines) -> Iterator[None]:
    """Have it said what this process is doing, while a block lasts.

    Parameters
    ----------
    what : str or callable
        In a few words; or a function that returns lines with counts, or none, called by another thread.
    """
    began = time.monotonic()

    def lasting() -> Sequence[str]:
        return [f"{what}, for {time.monotonic() - began:.0f} s"]

    said = lasting if isinstance(what, str) else what
    with _lock:
        _doing.append(said)
    try:
        yield
    finally:
        with _lock:
            _doing.remove(said)


def spoke() -> None:
    """Note that a line was printed."""
    global _spoke
    _spoke = time.monotonic()


@contextlib.contextmanager
def heard(say: Callable[[str], None], every: float | None = None) -> Iterator[None]:
    """Say what is being done whenever nothing was printed for a while, until the block ends; no line comes after.

    Parameters
    ----------
    say : callable
        Prints a line.
    every : float, optional
        Seconds of silence; by default as `EVERY` says.
    """
    seconds = _every() if every is None else every
    stopped = threading.Event()
    speaking = threading.Lock()

    def run() -> None:
        while not stopped.wait(max(0.01, _spoke + seconds - time.monotonic())):
            if time.monotonic() - _spoke < seconds:
                continue
            with _lock:
                said = _doing[-1] if _doing else _working
            lines = said()
            if not lines:
                # It is asked again soon.
                stopped.wait(min(seconds, 1.0))
                continue
            with speaking:
                if not stopped.is_set():
                    for line in lines:
                        say(line)
            spoke()

    spoke()
    if seconds > 0:
        threading.Thread(target=run, name="geomob-activity", daemon=True).start()
    try:
        yield
    finally:
        with speaking:
            stopped.set()


def completed() -> None:
    """Count an output that this job has completed, for whoever started it."""
    file = os.environ.get(COMPLETED)
    if file:
        with contextlib.suppress(OSError), open(file, "ab") as stream:
            stream.write(b".")


def about(seconds: float) -> str:
    """Return a duration as precise as an estimate is.

    Examples
    --------
    >>> about(0.4), about(42), about(200), about(9000)
    ('1 s', '42 s', '3 min', '2 h 30 min')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _working() -> Sequence[str]:
    return ["working"]


def _every() -> float:
    given = os.environ.get("GEOMOB_PROGRESS", "")
    try:
        seconds = float(given) if given else EVERY
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise SettingsError(f"GEOMOB_PROGRESS {shown(given)}: expected seconds between lines of progress, 0 for none")
    return seconds
