"""Follow a submission: its log as it grows, and why it waits."""

import time
from collections.abc import Callable
from pathlib import Path

from geomob_dask import activity
from geomob_dask.submissions.places import place_named
from geomob_dask.submissions.records import Records
from geomob_dask.submissions.standing import Standing, standing_now

# Seconds between two looks into the log, at the records, and for the last lines of a log on another machine.
_LOOK, _RECORDS, _REST = 0.3, 2.0, 1.0
# Seconds without a line in the log after which it is said how the submission stands.
_SILENT = 9.0


class Log:
    """A log that grows.

    Parameters
    ----------
    file : str
    """

    def __init__(self, file: str) -> None:
        self._file, self._place, self._rest = Path(file), 0, b""

    def lines(self) -> list[str]:
        """Return the whole lines that were added."""
        try:
            with open(self._file, "rb") as stream:
                stream.seek(self._place)
                added = stream.read()
        except OSError:
            return []
        self._place += len(added)
        *whole, self._rest = (self._rest + added).split(b"\n")
        return [line.decode(errors="replace") for line in whole]


def follow(records: Records, say: Callable[[str], None]) -> Standing:
    """Say what a submission prints until it has ended; return how it ended.

    Parameters
    ----------
    say : callable
        Prints a line.
    """
    asked = records.asked()
    log = Log(asked.log)
    place = place_named(asked.place)
    _, stands = standing_now(records, place)
    seen, told = 0.0, ""

    def waiting() -> list[str]:
        # What runs speaks for itself.
        if seen and time.monotonic() - seen < _SILENT:
            return []
        return [f"{asked.id}: {stands.words()}" + (f"; {stands.line}" if stands.line and not seen else "")]

    with activity.doing(waiting):
        looked = time.monotonic()
        while True:
            for line in log.lines():
                seen = time.monotonic()
                say(line)
            if not seen and stands.words() != told:
                told = stands.words()
                say(f"{asked.id}: {told}")
            if stands.is_final:
                break
            time.sleep(_LOOK)
            if time.monotonic() - looked > _RECORDS:
                _, stands = standing_now(records, place)
                looked = time.monotonic()
    # Storage that several machines share shows what was written a little later.
    time.sleep(_REST)
    for line in log.lines():
        say(line)
    return stands
