"""A driver in a session of its own on this machine, which outlives the terminal."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

import psutil

from geomob_dask.errors import RunError
from geomob_dask.messages import one_line
from geomob_dask.sections import Section
from geomob_dask.sections.driver import Driver
from geomob_dask.submissions.places import OnThisMachine, State, command_of, shell
from geomob_dask.submissions.records import Asked

# What two readings of when a process began may differ by.
_ROUNDING = 2.0
# The child of a shell that ends at once is no child of this process, which ends its own.
_DETACHED = '"$@" </dev/null >>"$0" 2>&1 & echo $!'


class Session(OnThisMachine):
    """Drivers as processes; what they are called is ``host:pid:when it began``."""

    title = "process"

    def text(self, asked: Asked, driver: Driver, section: Section, arguments: Sequence[str]) -> str:
        """Return the command."""
        return f"{shell(command_of(asked.settings['GEOMOB_STORE'], asked.id))}\n"

    def send(self, asked: Asked) -> str:
        """Start it."""
        command = ["sh", "-c", _DETACHED, asked.log, *command_of(asked.settings["GEOMOB_STORE"], asked.id)]
        try:
            Path(asked.log).parent.mkdir(parents=True, exist_ok=True)
            # The shell in the background fails without a word, and its number is printed all the same.
            open(asked.log, "ab").close()
            # No terminal, and a session that does not end with the one that it was started in.
            done = subprocess.run(
                command,
                cwd=asked.folder,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise RunError(f"{asked.log}: {error.strerror}; expected a file that can be written") from error
        if not done.stdout.strip().isdigit():
            raise RunError(f"{asked.log}: {one_line(done.stderr)}; expected a file that can be written")
        return _called(int(done.stdout))

    def state(self, asked: Asked, number: str) -> State:
        """Return whether the process is there, if it is of this machine."""
        host, pid, began = _parts(number)
        if host != socket.gethostname():
            return State("not asked", f"it runs on {host}")
        return State("running") if _is(pid, began) else State("ended", "the process is gone")

    def there(self, asked: Asked, known: Collection[str]) -> str:
        """Return none: a process has started or not."""
        return ""

    def end(self, asked: Asked, number: str, *, began: bool) -> None:
        """Ask it to end, if it is of this machine; elsewhere it finds the record in the store."""
        host, pid, start = _parts(number)
        if host == socket.gethostname() and _is(pid, start):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def here(self) -> str:
        """Return what this process is called."""
        return _called(os.getpid())


def _called(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{_began(pid):.0f}"


def _parts(number: str) -> tuple[str, int, float]:
    host, pid, began = number.rsplit(":", 2)
    return host, int(pid), float(began)


def _began(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def _is(pid: int, began: float) -> bool:
    """Return whether a process is there and the one that was meant: numbers are used again."""
    try:
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - began) <= _ROUNDING and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


PLACES = {"process": Session()}

__all__ = ["PLACES", "Session"]
