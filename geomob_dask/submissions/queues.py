"""Queues that take scripts: how each writes the directives of a driver, and its commands to submit and to end one.

Slurm and LSF give a job the variables of whoever submits it, and show them to nobody. PBS and SGE would show them to
every user (``qsub -V``): there a driver finds credentials where it runs, such as in ``~/.aws/credentials``.
"""

import math
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from dask.utils import parse_bytes

from geomob_dask.clusters.queue_commands import QUEUES
from geomob_dask.errors import GeomobError, InputError, RunError
from geomob_dask.messages import shown, shown_path
from geomob_dask.sections import Section
from geomob_dask.sections.driver import Driver
from geomob_dask.sections.quantities import clock_of
from geomob_dask.submissions.places import LISTED, OnThisMachine, Phase, State, asked_of_queue, command_of, shell
from geomob_dask.submissions.records import Asked

_FORGOTTEN = "is not found"


@dataclass(frozen=True)
class Queue(OnThisMachine):
    """A queue that takes scripts.

    Parameters
    ----------
    kind, title, directive : str
        Of its sections, what messages call its jobs, and what a directive in a script begins with.
    directives : callable
        Yields them.
    options : tuple of str
        Of the command that submits; the script is its input.
    number : str
        Pattern of the number in what it prints.
    named : callable
        Of a name: the command that lists the jobs of that name which wait or run, and the pattern of their numbers.
    charged : tuple of str
        The directives of a queue and of an account, where they are named.
    interrupt : tuple of str
        The command that asks a driver that runs to end in order, before its number; empty where the queue has none, and
        the driver sees the record in the store within seconds.
    job : str
        The variable that holds the number, inside of a job.
    unfit : str
        Characters that the path of a log cannot have: the queue reads them as something else, whatever the quotes.
    """

    kind: str
    title: str
    directive: str
    directives: Callable[[Asked, Driver], Iterator[str]]
    options: tuple[str, ...]
    number: str
    named: Callable[[str], tuple[list[str], str]]
    charged: tuple[str, str]
    interrupt: tuple[str, ...]
    job: str
    unfit: str

    def text(self, asked: Asked, driver: Driver, section: Section, arguments: Sequence[str]) -> str:
        """Return the script."""
        found = [one for one in self.unfit if one in asked.log]
        if found:
            raise InputError(
                f"log {shown_path(asked.log)}: found {' '.join(found)} in its path, which a {self.title} cannot have; "
                "expected another folder to submit from, or for the logs"
            )
        charged = zip(self.charged, (driver.queue, driver.account), strict=True)
        lines = [
            *self.directives(asked, driver),
            *(directive.format(name) for directive, name in charged if name),
            *driver.directives,
        ]
        return "\n".join(
            [
                "#!/usr/bin/env bash",
                *(f"{self.directive} {line}" for line in lines),
                *(driver.setup or ()),
                f"cd {shell([asked.folder])} || exit 1",
                # Until the driver listens: it knows the end of its wall time by the clock too.
                "trap '' USR1",
                # In place of the shell: a signal of the queue reaches it.
                f"exec {shell(command_of(asked.settings['GEOMOB_STORE'], asked.id))}",
                "",
            ]
        )

    def send(self, asked: Asked) -> str:
        """Submit the script."""
        command = QUEUES[self.kind].submit
        printed = asked_of_queue([command, *self.options], text=asked.script, folder=asked.folder)
        found = re.search(self.number, printed)
        if found is None:
            raise RunError(f"{command}: found {shown(printed)}, expected the number of a job")
        return found[1]

    def state(self, asked: Asked, number: str) -> State:
        """Return what the queue says."""
        commands = QUEUES[self.kind]
        try:
            states = commands.read(asked_of_queue(commands.listing(_name(asked), [number])))
        except GeomobError as error:
            # LSF tells by an error that it has forgotten a job; others list none.
            return State("unknown" if _FORGOTTEN in str(error) else "not asked", str(error))
        found = states.get(number.partition(".")[0])
        if found is None:
            return State("unknown", "the queue does not know it any more")
        phases: dict[str, Phase] = {"waits": "queued", "runs": "running", "ended": "ended"}
        return State(phases[found.kind], "" if found.reason == "None" else found.reason)

    def there(self, asked: Asked, known: Collection[str]) -> str:
        """Return the number of a job that the queue has taken without an answer: its name is the submission's."""
        command, pattern = self.named(_name(asked))
        try:
            listed = asked_of_queue(command, seconds=LISTED)
        except GeomobError as error:
            # LSF tells by an error that there is none.
            if _FORGOTTEN in str(error):
                return ""
            raise
        return next((one for one in re.findall(pattern, listed, re.MULTILINE) if one not in known), "")

    def end(self, asked: Asked, number: str, *, began: bool) -> None:
        """Take it out of the queue, or ask the driver to end."""
        if not began:
            asked_of_queue([QUEUES[self.kind].cancel, number])
        elif self.interrupt:
            asked_of_queue([*self.interrupt, number])

    def here(self) -> str:
        """Return the number of the job that this process runs in."""
        return os.environ.get(self.job, "")


def _mebibytes(size: str) -> int:
    return -(-int(parse_bytes(size)) // 2**20)


def _name(asked: Asked) -> str:
    return f"geomob-{asked.id}"


# Slurm -------------------------------------------------------------------------------------


def _slurm_directives(asked: Asked, driver: Driver) -> Iterator[str]:
    yield f"--job-name={_name(asked)}"
    # A percent sign would begin a part that Slurm fills in.
    yield f"--output={shell([asked.log.replace('%', '%%')])}"
    # A run that comes back goes on in the same file.
    yield "--open-mode=append"
    yield "--nodes=1 --ntasks=1"
    yield f"--cpus-per-task={driver.cores}"
    yield f"--mem={_mebibytes(driver.memory)}M"
    if asked.walltime:
        yield f"--time={clock_of(asked.walltime)}"
    if asked.resume != "never":
        yield f"--signal=B:USR1@{asked.margin:.0f}"
    # After a node failed, or another job took its place.
    yield "--requeue"


_SLURM = Queue(
    kind="slurm",
    title="Slurm job",
    directive="#SBATCH",
    directives=_slurm_directives,
    options=("--parsable",),
    number=r"^(\d+)",
    named=lambda name: (["squeue", "--noheader", "--format=%i", f"--name={name}"], r"^(\d+)"),
    charged=("--partition={}", "--account={}"),
    interrupt=("scancel", "--batch", "--signal=TERM"),
    job="SLURM_JOB_ID",
    unfit="\\",
)


# PBS ---------------------------------------------------------------------------------------


def _pbs_directives(asked: Asked, driver: Driver) -> Iterator[str]:
    yield f"-N {_name(asked)}"
    yield "-j oe"
    # Written while it runs, not copied at its end.
    yield "-k oed"
    yield f"-o {shell([asked.log])}"
    yield f"-l select=1:ncpus={driver.cores}:mem={_mebibytes(driver.memory)}mb"
    if asked.walltime:
        yield f"-l walltime={clock_of(asked.walltime)}"


_PBS = Queue(
    kind="pbs",
    title="PBS job",
    directive="#PBS",
    directives=_pbs_directives,
    options=(),
    number=r"^(\d+\S*)",
    named=lambda name: (["qselect", "-N", name], r"^(\d+\S*)"),
    charged=("-q {}", "-A {}"),
    interrupt=("qsig", "-s", "TERM"),
    job="PBS_JOBID",
    unfit="\\'\":,",
)


# LSF ---------------------------------------------------------------------------------------


def _lsf_directives(asked: Asked, driver: Driver) -> Iterator[str]:
    yield f"-J {_name(asked)}"
    yield f"-o {shell([asked.log])}"
    yield f"-n {driver.cores}"
    yield f"-M {_mebibytes(driver.memory)}MB"
    yield "-r"
    if asked.walltime:
        yield f"-W {clock_of(60 * math.ceil(asked.walltime / 60)).rpartition(':')[0]}"


_LSF = Queue(
    kind="lsf",
    title="LSF job",
    directive="#BSUB",
    directives=_lsf_directives,
    options=(),
    number=r"Job <(\d+)>",
    named=lambda name: (["bjobs", "-noheader", "-J", name, "-o", "jobid"], r"^(\d+)"),
    charged=("-q {}", "-P {}"),
    interrupt=("bkill", "-s", "TERM"),
    job="LSB_JOBID",
    unfit="\\'\"%",
)


# SGE ---------------------------------------------------------------------------------------


def _sge_directives(asked: Asked, driver: Driver) -> Iterator[str]:
    yield f"-N {_name(asked)}"
    yield "-j y"
    yield "-S /bin/bash"
    yield f"-o {shell([asked.log])}"
    if driver.parallel_environment:
        yield f"-pe {driver.parallel_environment} {driver.cores}"
    # Of each slot.
    yield f"-l h_vmem={math.ceil(_mebibytes(driver.memory) / driver.cores)}M"
    yield "-r y"
    if asked.walltime:
        yield f"-l h_rt={clock_of(asked.walltime)}"


_SGE = Queue(
    kind="sge",
    title="SGE job",
    directive="#$",
    directives=_sge_directives,
    options=("-terse",),
    number=r"^(\d+)",
    # Its table cuts names off.
    named=lambda name: (["qstat", "-r"], rf"^ *(\d+) .*\n +Full jobname: +{re.escape(name)}$"),
    charged=("-q {}", "-P {}"),
    interrupt=(),
    job="JOB_ID",
    # It drops quotes that stand within others, and takes hosts and variables from what is left.
    unfit="\\'\":,$",
)

PLACES = {"slurm": _SLURM, "pbs": _PBS, "lsf": _LSF, "sge": _SGE}

__all__ = ["PLACES", "Queue"]
