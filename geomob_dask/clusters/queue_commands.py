"""What the commands of a batch queue are asked: which jobs of a run wait, run or have ended."""

import asyncio
import contextlib
import os
import pwd
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from geomob_dask.messages import one_line, without_passwords

# Seconds that a command of the queue may take: one whose controller is away gives up after 9.
_ANSWERS = 20.0
_LONGEST_ANSWER = 300


@dataclass(frozen=True)
class JobState:
    """What a queue says of a job.

    Parameters
    ----------
    kind : str
        Whether it waits, runs or has ended.
    reason : str
        In the queue's words: why it waits, or how it ended.
    """

    kind: Literal["waits", "runs", "ended"]
    reason: str = ""


States = dict[str, JobState]


@dataclass(frozen=True)
class Queue:
    """The commands of one kind of queue.

    Parameters
    ----------
    cluster : str
        The class of dask-jobqueue.
    submit, cancel : str
    listing : callable
        Of the jobs' common name and their numbers: the command that lists them.
    read : callable
        Of its output: the states of jobs by number; those that are not named have ended.
    """

    cluster: str
    submit: str
    cancel: str
    listing: Callable[[str, Sequence[str]], list[str]]
    read: Callable[[str], States]


class QueueError(Exception):
    """A command of the queue failed; the text is its own answer."""


async def run(command: Sequence[str], seconds: float = _ANSWERS) -> str:
    """Return what a command prints.

    Raises
    ------
    QueueError
        With its own answer, if it fails or does not end in time.
    """
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    except OSError as error:
        raise QueueError(f"{command[0]}: {error.strerror}") from error
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if isinstance(error, TimeoutError):
            raise QueueError(f"{command[0]}: no answer within {seconds:g} s") from error
        raise
    if process.returncode:
        raise QueueError(answer(err.decode(errors="replace") or out.decode(errors="replace")))
    return out.decode(errors="replace")


def answer(text: str) -> str:
    r"""Return what a command said, in one line of bounded length.

    Examples
    --------
    >>> answer("sbatch: error: invalid account\nsbatch: error: Batch job submission failed\n")
    'sbatch: error: invalid account; sbatch: error: Batch job submission failed'
    """
    lines = [one_line(line) for line in text.splitlines() if line.strip()]
    return without_passwords("; ".join(lines))[-_LONGEST_ANSWER:] or "it said nothing"


_SLURM_WAITS = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
_SLURM_RUNS = {"RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"}


def read_squeue(text: str) -> States:
    r"""Return the states of Slurm's jobs.

    Examples
    --------
    >>> read_squeue("7|PENDING|Resources\n6|TIMEOUT|TimeLimit\n")["7"]
    JobState(kind='waits', reason='Resources')
    """
    found: States = {}
    for line in text.splitlines():
        number, state, reason = [*line.split("|", 2), "", ""][:3]
        if state in _SLURM_WAITS:
            found[number] = JobState("waits", reason)
        elif state in _SLURM_RUNS:
            found[number] = JobState("runs")
        else:
            found[number] = JobState("ended", state)
    return found


def _table(number: int, state: int, waits: str, runs: str) -> Callable[[str], States]:
    """Return a reader of tables whose columns have no names: those of a number and of a state, by its letters."""

    def read(text: str) -> States:
        found: States = {}
        for line in text.splitlines():
            cells = line.split()
            digits = re.match(r"\d+(\.\d+)?", cells[number]) if len(cells) > max(number, state) else None
            if digits is None:
                continue
            code = cells[state]
            kind: Literal["waits", "runs", "ended"] = (
                "waits" if re.fullmatch(waits, code) else "runs" if re.fullmatch(runs, code) else "ended"
            )
            found[digits[0]] = JobState(kind, "" if kind == "runs" else code)
        return found

    return read


def _user() -> str:
    # The variables that name the user may be missing where a job was started by another program.
    return pwd.getpwuid(os.getuid()).pw_name


QUEUES = {
    "slurm": Queue(
        "SLURMCluster",
        "sbatch",
        "scancel",
        lambda name, _: ["squeue", "--noheader", "--states=all", "--format=%i|%T|%r", f"--name={name}"],
        read_squeue,
    ),
    "pbs": Queue("PBSCluster", "qsub", "qdel", lambda *_: ["qstat"], _table(0, 4, "[QHWT]", "[RESBU]")),
    "lsf": Queue(
        "LSFCluster",
        "bsub",
        "bkill",
        lambda name, _: ["bjobs", "-noheader", "-a", "-J", name, "-o", "jobid stat"],
        _table(0, 1, "PEND|PSUSP|WAIT", "RUN|USUSP|SSUSP|UNKWN"),
    ),
    "sge": Queue(
        "SGECluster",
        "qsub",
        "qdel",
        lambda *_: ["qstat", "-u", _user()],
        _table(0, 4, ".*(q|w|E|h).*", "[rRtsSTd]+"),
    ),
    "htcondor": Queue(
        "HTCondorCluster",
        "condor_submit",
        "condor_rm",
        lambda _, numbers: [
            "condor_q",
            *numbers,
            "-format",
            "%d.",
            "ClusterId",
            "-format",
            "%d ",
            "ProcId",
            "-format",
            r"%d\n",
            "JobStatus",
        ],
        _table(0, 1, "[15]", "[267]"),
    ),
}
"""The commands of each kind; HTCondor's states are numbers: 1 idle, 2 running, 5 held, 6 and 7 on their way."""
