"""Runs the driver of a submission where it was sent to: ``python -m geomob_dask.submissions.driver STORE ID``.

It passes on what the driver prints, gives a sign of life in the store, and writes down how the driver ended. Before
the end of the wall time it interrupts the driver as Ctrl-C does, and submits it again.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

from geomob_dask.activity import COMPLETED
from geomob_dask.errors import GeomobError, RunError, SettingsError
from geomob_dask.messages import bounded, counted, printable, without_passwords
from geomob_dask.store.objects import Objects
from geomob_dask.submissions.places import Place, place_named, shell
from geomob_dask.submissions.records import Asked, Known, Outcome, Records

CANCELLED, CONTINUED = 130, 75
"""Exit codes of a driver that somebody cancelled, and of one that goes on in another job."""

# Seconds between two looks at the driver, two signs of life, and two looks for somebody who wants it to end.
_LOOK, _LIFE, _WANTED = 0.2, 15.0, 5.0
# Seconds after a sign of life for which its driver is taken to be there.
ALIVE = 60.0
# Seconds from the first interrupt to the second, which does not wait for what runs, and to the end.
_GRACE = {"cancelled": (30.0, 60.0), "stopped": (5.0, 20.0)}
# A queue whose controller is away for a moment is asked again, so often, after so many seconds and twice as long each
# time, while the job that asks has time left: at its wall time a part of its margin, otherwise these seconds.
_SENDS, _AGAIN, _LEFT, _STOPPED = 6, 2.0, 0.9, 7.0
# A console would color its lines for these.
_COLORS = ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE")

_REASONS: Mapping[str, str] = {
    "walltime": "its wall time is nearly over",
    "cancelled": "somebody cancelled it",
    "stopped": "the queue ends it",
}


class Signals:
    """What the queue has told this process."""

    def __init__(self) -> None:
        self.near_end = self.ended = False
        signal.signal(signal.SIGUSR1, self._note)
        signal.signal(signal.SIGTERM, self._note)
        # Sent to a whole session: the driver gets it too.
        signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            self.near_end = True
        else:
            self.ended = True


class Output:
    """What a driver prints, passed on line by line.

    Attributes
    ----------
    last, error : str
        The last line, and the last one that names an error.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.last = self.error = ""
        self._thread = threading.Thread(target=self._pass_on, args=(stream,), daemon=True)
        self._thread.start()

    def _pass_on(self, stream: IO[bytes]) -> None:
        for line in stream:
            with contextlib.suppress(OSError):
                os.write(1, line)
            text = bounded(without_passwords(printable(line.decode(errors="replace").strip())))
            self.last = text or self.last
            if text.startswith("error:"):
                self.error = text.removeprefix("error:").strip()

    def end(self) -> None:
        """Wait for the rest; a process that the driver left may keep the stream open."""
        self._thread.join(2.0)


class Run:
    """One run of the driver.

    Parameters
    ----------
    records : Records
    known : Known
        When it begins.
    place : Place
    signals : Signals
    before : float
        Seconds of the wall time that have passed before.
    """

    def __init__(self, records: Records, known: Known, place: Place, signals: Signals, *, before: float = 0.0) -> None:
        self.records, self.asked, self.place, self.signals = records, known.asked, place, signals
        self.sent = known.last("sent")
        self.fruitless = _fruitless(known)
        self.started = time.monotonic() - before
        self.number = records.begin(sent=self.sent, host=socket.gethostname(), pid=os.getpid(), number=place.here())
        self.reason, self.interrupted = "", self.started
        self._next_life = self._next_wanted = 0.0

    def carry_out(self) -> int:
        """Run the driver to its end; return the exit code of this process."""
        asked = self.asked
        where = f"{self.place.title} {self.place.here()} on {socket.gethostname()}"
        _say(f"{asked.id}: run {self.number}, {where}: {shell(asked.command)}")
        with tempfile.TemporaryDirectory(prefix="geomob-") as folder:
            completed = Path(folder, "completed")
            try:
                child = subprocess.Popen(
                    asked.command,
                    cwd=asked.folder or None,
                    env={**_environment(), **asked.settings, COMPLETED: str(completed)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    # What it started goes with it.
                    start_new_session=True,
                )
            except OSError as error:
                return self._ended("failed", 1, f"{asked.command[0]}: {error.strerror}", 0)
            assert child.stdout is not None
            output = Output(child.stdout)
            self._watch(child, output)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            output.end()
            done = completed.stat().st_size if completed.exists() else 0
        return self._conclude(child.returncode, output, done)

    def _watch(self, child: "subprocess.Popen[bytes]", output: Output) -> None:
        """Wait for the driver; interrupt it where it is to end."""
        steps: Iterator[tuple[float, int]] = iter(())
        following: tuple[float, int] | None = None
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_LOOK)
                return
            self._give_life(output)
            reason = self._why()
            if reason and reason != self.reason:
                self.reason, self.interrupted = reason, time.monotonic()
                _say(f"{self.asked.id}: {_REASONS[reason]}; the driver is interrupted")
                self._try(lambda: self.records.note("ending", self.number, reason=self.reason))
                steps = self._steps(time.monotonic())
                following = next(steps)
            while following is not None and time.monotonic() >= following[0]:
                _signal(child, following[1])
                following = next(steps, None)

    def _steps(self, now: float) -> Iterator[tuple[float, int]]:
        """Yield when the driver gets which signal: as an interrupt, a second one, and none that it could refuse."""
        margin = self.asked.margin
        second, last = _GRACE.get(self.reason, (margin / 2, margin * 5 / 6))
        yield now, signal.SIGTERM
        yield now + second, signal.SIGINT
        yield now + last, signal.SIGKILL

    def _why(self) -> str:
        """Return why the driver is to end; empty where it is not. What is known first stays, but for urgency."""
        if self.reason in ("cancelled", "stopped"):
            return self.reason
        now = time.monotonic()
        # One that is on its way to the next job is not asked about at every look: it is once it has ended.
        if self.signals.ended and not self.reason:
            if self._is_cancelled():
                return "cancelled"
            # The queue has told before that the wall time ends, or it is known to.
            return "walltime" if self._near_end(now) else "stopped"
        if self.reason:
            return self.reason
        if now >= self._next_wanted:
            self._next_wanted = now + _WANTED
            if self._is_cancelled():
                return "cancelled"
        return "walltime" if self.asked.resume != "never" and self._near_end(now) else ""

    def _near_end(self, now: float) -> bool:
        limit = self.asked.walltime - self.asked.margin
        return self.signals.near_end or (self.asked.walltime > 0 and now - self.started >= limit)

    def _is_cancelled(self) -> bool:
        try:
            return self.records.is_cancelled(self.sent)
        except GeomobError:
            # The storage does not answer: the driver will tell.
            return False

    def _give_life(self, output: Output) -> None:
        now = time.monotonic()
        if now >= self._next_life:
            self._next_life = now + _LIFE
            self._try(lambda: self.records.live(run=self.number, line=output.last))

    def _conclude(self, code: int, output: Output, done: int) -> int:
        """Write down how the driver ended, and submit it again where it is to go on."""
        asked = self.asked
        error = output.error or (f"killed by signal {-code}" if code < 0 else output.last)
        code = code if code >= 0 else 128 - code
        if code == 0:
            return self._ended("done", 0, "", done)
        if self.signals.ended and not self.reason:
            # The queue has told the driver too, which ended before it was looked at again.
            self.reason, self.interrupted = self._why(), time.monotonic()
        if self.reason == "cancelled" or (self.reason and self._is_cancelled()):
            return self._ended("cancelled", code, error, done)
        if not self.reason:
            return self._ended("failed", code, error, done)
        if asked.resume == "never" or (self.reason == "stopped" and asked.resume != "always"):
            return self._ended("stopped", code, error, done)
        fruitless = 0 if done else self.fruitless + 1
        if fruitless >= asked.attempts:
            why = (
                f"{counted(fruitless, 'run')} in a row ended without a completed output ({_REASONS[self.reason]}): "
                "walltime of driver in cluster.yaml is too short for one, or what ends it comes too often"
            )
            return self._ended("failed", code, why, done)
        try:
            left = self.interrupted + _LEFT * asked.margin - time.monotonic()
            seconds = left if self.reason == "walltime" else _STOPPED
            again = send(self.records, asked, self.place, self.sent + 1, seconds)
        except SentError:
            _say(f"{asked.id}: goes on: another run of it, or somebody, has submitted it again")
            return self._ended("continued", code, error, done)
        except UnansweredError as unknown:
            # A job that was taken begins; without one it counts as lost in a while.
            return self._ended("continued", code, str(unknown), done)
        except GeomobError as refused:
            return self._ended("failed", code, f"it could not be submitted again: {refused}", done)
        _say(f"{asked.id}: goes on as {self.place.title} {again}")
        return self._ended("continued", code, error, done)

    def _ended(self, outcome: Outcome, code: int, error: str, done: int) -> int:
        self._try(
            lambda: self.records.note(
                "ended", self.number, outcome=outcome, code=code, error=error, completed=done, reason=self.reason
            )
        )
        _say(f"{self.asked.id}: {outcome}{f', exit code {code}' if code else ''}{f': {error}' if error else ''}")
        return {"done": 0, "failed": code, "continued": CONTINUED}.get(outcome, CANCELLED)

    def _try(self, act: Callable[[], object]) -> None:
        """Act on the records: what cannot be written is said, and no reason to end."""
        try:
            act()
        except GeomobError as error:
            _say(f"{self.asked.id}: {error}")


class SentError(RunError):
    """A submission that another hands to its place at this moment."""


class UnansweredError(RunError):
    """A submission that its place may have taken.

    Attributes
    ----------
    number : str
        What the place calls it, where that is known.
    """

    def __init__(self, message: str, number: str = "") -> None:
        super().__init__(message)
        self.number = number


def send(
    records: Records,
    asked: Asked,
    place: Place,
    sent: int,
    seconds: float = 0.0,
    changed: Mapping[str, object] | None = None,
) -> str:
    """Hand a submission to its place; return what the place calls it.

    Parameters
    ----------
    sent : int
        How often it was sent, with this time.
    seconds : float
        For which a place is asked again that does not take it.
    changed : mapping of str to any, optional
        What is another in `asked` than it was before.

    Raises
    ------
    SentError
        If another has handed it over this time: two would run at once.
    UnansweredError
        If the place may have taken it.
    GeomobError
        If the place does not take it.
    """
    if not records.note("sent", sent, **({"asked": changed} if changed else {})):
        raise SentError(
            f"submission {records.id}: somebody else has just submitted it again; expected one at a time (--status)"
        )
    number = _handed_over(records, asked, place, seconds)
    try:
        records.note("number", sent, number=number)
    except GeomobError as error:
        raise UnansweredError(f"{place.title} {number}: {error}", number) from error
    return number


def _handed_over(records: Records, asked: Asked, place: Place, seconds: float) -> str:
    """Return what the place calls a submission that it takes, sooner or later.

    What it has not answered it may have taken all the same: before it is given another, it is asked what is there.
    """
    end, pause = time.monotonic() + seconds, _AGAIN
    refused: GeomobError | None = None
    for left in reversed(range(_SENDS)):
        try:
            return (_there(records, asked, place) if refused else "") or place.send(asked)
        except GeomobError as error:
            refused = error
        if not left or time.monotonic() + pause > end:
            break
        time.sleep(pause)
        pause *= 2
    assert refused is not None
    try:
        there = _there(records, asked, place)
    except GeomobError as unknown:
        if isinstance(refused, SettingsError):
            raise refused from unknown
        raise UnansweredError(f"{refused}; whether it was taken is not known: {unknown}") from refused
    if not there:
        raise refused
    return there


def _there(records: Records, asked: Asked, place: Place) -> str:
    """Return what the place calls a job of the submission that is not known of and not this one; empty if none."""
    numbers = {str(noted.get("number", "")) for noted in records.known().of("number").values()}
    return place.there(asked, {place.here(), *numbers})


def _fruitless(known: Known) -> int:
    """Return the number of runs, up to now, that ended early without having completed an output."""
    count = 0
    for number in sorted(known.of("ended"), reverse=True):
        ended = known.of("ended")[number]
        if ended.get("outcome") != "continued" or ended.get("completed"):
            break
        count += 1
    return count


def _lasted() -> float:
    """Return the seconds since this process began, as a shell that it took the place of: the job's time runs since."""
    return max(0.0, time.time() - float(psutil.Process().create_time()))


def _signal(child: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if number == signal.SIGKILL:
            os.killpg(child.pid, number)
        else:
            child.send_signal(number)


def _environment() -> Mapping[str, str]:
    """Return the environment of the driver: that of this process, without what asks for colors."""
    kept = {name: value for name, value in os.environ.items() if name not in _COLORS}
    return {**kept, "NO_COLOR": "1", "TERM": "dumb", "PYTHONUNBUFFERED": "1"}


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(1, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {printable(without_passwords(line))}\n".encode())


def _turn(records: Records, place: Place, signals: Signals) -> Known | int:
    """Return the records when this job is to run the driver; the exit code where another is, or none.

    A queue that displaced a job starts it again, which has submitted itself before: both come, and one runs. A queue
    that lost sight of a node starts the job again elsewhere; on that node it may still run.
    """
    here, told = place.here(), False
    while True:
        known = records.known()
        sent, run = known.last("sent"), known.last("began")
        ended = known.of("ended").get(run, {})
        if ended.get("outcome") in ("done", "failed", "cancelled") and sent == known.sent_of_run:
            _say(f"{records.id}: has ended before: {ended['outcome']}")
            return CANCELLED if ended["outcome"] == "cancelled" else int(ended.get("code", 0))
        if records.is_cancelled(sent):
            _say(f"{records.id}: was cancelled before it began")
            return CANCELLED
        # A Job of Kubernetes is there once, and its pod has another name when it is started again.
        holder = here if place.elsewhere else records.take(sent, here)
        if holder != here:
            _say(f"{records.id}: goes on as {place.title} {holder}")
            return CONTINUED
        if run in known.of("ended") or known.age >= ALIVE:
            return known
        if signals.ended:
            _say(f"{records.id}: the queue ends it before it began")
            return CANCELLED
        if not told:
            _say(f"{records.id}: run {run} may still be there; waiting until it gives no sign of life")
            told = True
        time.sleep(_WANTED)


def main(store: str, id: str) -> int:
    """Run the driver of a submission; return the exit code."""
    signals = Signals()
    try:
        records = Records(Objects(store), id)
        place = place_named(records.asked().place)
        known = _turn(records, place, signals)
        if isinstance(known, int):
            return known
        return Run(records, known, place, signals, before=_lasted()).carry_out()
    except GeomobError as error:
        _say(f"error: {error}")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
