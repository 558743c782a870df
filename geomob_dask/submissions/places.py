"""Where drivers run: a queue, or a session of their own on this machine.

A place makes the text that is submitted, hands it over, and asks and cancels by the number that it got.
"""

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from geomob_dask.errors import RunError, SettingsError
from geomob_dask.messages import one_line, reason
from geomob_dask.sections import Section
from geomob_dask.sections.driver import Driver
from geomob_dask.submissions.records import Asked

Phase = Literal["queued", "running", "ended", "unknown", "not asked"]

# Seconds for an answer of a queue: a busy one takes its time; and for one that lists jobs.
_ANSWER, LISTED = 60.0, 20.0


# Options of Slurm that users have in variables: ``SBATCH_ACCOUNT`` and so on.
_USERS = {"account": "-A", "partition": "-p", "qos": "-q", "constraint": "-C", "reservation": "--reservation"}


class RefusedError(RunError):
    """A place that does not take what it is given, in its own words."""


@dataclass(frozen=True)
class State:
    """What a place says of a submission.

    Parameters
    ----------
    phase : str
        ``unknown`` where it does not know the number any more; ``not asked`` where it does not answer here.
    reason : str
        Why it waits, how it ended, or why it is not known.
    """

    phase: Phase
    reason: str = ""


class Place(Protocol):
    """Where drivers run."""

    title: str
    """What messages call it."""
    elsewhere: bool
    """Whether its files and folders are not those of this machine."""

    def command(self, job: str, script: Path, arguments: Sequence[str]) -> tuple[str, ...]:
        """Return the command of the driver."""
        ...

    def text(self, asked: Asked, driver: Driver, section: Section, arguments: Sequence[str]) -> str:
        """Return what is submitted: a script or manifests; again, if it has been before, without its arguments."""
        ...

    def send(self, asked: Asked) -> str:
        """Hand the text over; return what the place calls it.

        Raises
        ------
        RunError
            If it is refused.
        """
        ...

    def state(self, asked: Asked, number: str) -> State:
        """Return what the place says of it."""
        ...

    def there(self, asked: Asked, known: Collection[str]) -> str:
        """Return the number of a job of the submission that waits or runs and is not among the known ones; or none.

        Raises
        ------
        GeomobError
            If the place does not tell.
        """
        ...

    def end(self, asked: Asked, number: str, *, began: bool) -> None:
        """Have it end: take it out of the queue, or ask the driver to end in order where it began."""
        ...

    def here(self) -> str:
        """Return the number of what this process runs in."""
        ...


# The module of each; it is imported when its place is used.
_MODULES = {
    "process": "processes",
    "slurm": "queues",
    "pbs": "queues",
    "lsf": "queues",
    "sge": "queues",
    "kubernetes": "kubernetes_jobs",
}


def place_of(section: Section) -> str:
    """Return the name of the place where drivers of a section run."""
    driver = getattr(section, "driver", None)
    chosen = driver.kind if isinstance(driver, Driver) else None
    # Drivers of other kinds of sections run on this machine.
    return chosen or (section.kind if section.kind in _MODULES else "process")


def place_named(name: str) -> Place:
    """Return a place."""
    module = importlib.import_module(f"geomob_dask.submissions.{_MODULES[name]}")
    found: Place = module.PLACES[name]
    return found


class OnThisMachine:
    """What places have in common that see the files of this machine."""

    elsewhere = False

    def command(self, job: str, script: Path, arguments: Sequence[str]) -> tuple[str, ...]:
        """Return the command of the driver."""
        return (sys.executable, str(script), *arguments)


def command_of(store: str, id: str) -> list[str]:
    """Return the command that a place runs."""
    return [sys.executable, "-m", "geomob_dask.submissions.driver", store, id]


def shell(words: Sequence[str]) -> str:
    """Return a command as a line of a shell."""
    return " ".join(shlex.quote(word) for word in words)


def asked_of_queue(
    words: Sequence[str], *, text: str | None = None, folder: str | None = None, seconds: float = _ANSWER
) -> str:
    """Return what a command of a queue prints.

    Raises
    ------
    SettingsError
        If the command is not there.
    RefusedError
        If it fails; with what it said.
    RunError
        If it cannot be run, or does not answer.
    """
    try:
        done = subprocess.run(
            list(words),
            input=text,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=_environment(text or ""),
        )
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename == words[0]:
            raise SettingsError(
                f"{words[0]}: no such command here; expected a machine that submits to this queue"
            ) from error
        raise RunError(f"{error.filename or words[0]}: {reason(error)}") from error
    except subprocess.TimeoutExpired as error:
        raise RunError(f"{words[0]}: no answer within {seconds:.0f} s") from error
    if done.returncode:
        raise RefusedError(f"{words[0]}: {one_line(done.stderr or done.stdout) or f'exit code {done.returncode}'}")
    return done.stdout


def _environment(script: str) -> Mapping[str, str]:
    """Return the environment of a command of a queue.

    What Slurm gave the job that this process runs in would be given to the next one: its memory, its cores. Of what
    ``sbatch`` takes from variables rather than from the script, what is charged and where it runs is the user's own,
    where the script does not say it.
    """
    kept = {"SLURM_CONF", "SLURM_CONF_SERVER", "PBS_CONF_FILE", "PBS_DEFAULT", "PBS_SERVER"}
    kept |= {"LSB_DEFAULTPROJECT", "LSB_DEFAULTQUEUE", "LSB_DEFAULTGROUP"}
    said = {name for name, short in _USERS.items() if re.search(rf"^#SBATCH (--{name}|{short})", script, re.MULTILINE)}
    kept |= {f"SBATCH_{name.upper()}" for name in _USERS.keys() - said}
    own = ("SLURM_", "SLURMD_", "SBATCH_", "PBS_", "LSB_")
    return {name: value for name, value in os.environ.items() if name in kept or not name.startswith(own)}
