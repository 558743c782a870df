"""Jobs of a batch queue: Slurm, PBS, LSF, SGE and HTCondor, by dask-jobqueue."""

import math
from typing import Annotated, Any, Literal, Self

from dask.utils import parse_bytes
from pydantic import BeforeValidator, Field, model_validator

from geomob_dask.sections.driver import Driver
from geomob_dask.sections.quantities import Count, Duration, Folder, Seconds, Size, Word, seconds_of
from geomob_dask.sections.secrets import ScriptLines
from geomob_dask.sections.shared import RemoteWorkers

# Seconds before the wall time by which workers begin to retire: another job is asked for, tasks end, and what the
# worker holds is handed over. A share of the wall time between two bounds.
_SLACK_SHARE, _SLACK = 0.1, (60.0, 600.0)
# Not all workers of a run retire at once.
_STAGGER_SHARE, _STAGGER = 0.05, 300.0
# Queues count in minutes.
_SHORTEST = 60.0
# Memory that a worker's nanny takes besides the worker, in bytes: 85 MiB measured.
_NANNY = 128 * 2**20


def _words(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class QueueSection(RemoteWorkers):
    """Jobs of a batch queue, each with one worker process or several.

    Parameters
    ----------
    cores, memory : int, str
        Of a job. Without `memory` it is what the workers' `memory_limit` needs.
    processes : int, optional
        Workers in a job, which share its cores and memory; one a core by default, or as `threads_per_worker` says.
    walltime : str
        Time after which the queue ends a job, such as ``2 hours`` or ``02:00:00``. Workers retire before it: after
        `lifetime`, by default most of the wall time, other jobs are asked for; when those have come, or shortly before
        the wall time, they end their tasks and hand over what they hold.
    modules : list of str
        Names for ``module load``, in the job.
    setup : list of str
        Further lines of the job's script, before the worker starts.
    directives : list of str
        Further options for the queue, as after ``#SBATCH``; for HTCondor ``key = value``.
    python : str, optional
        The Python of the workers; by default this one, or ``python`` in an image.
    image : str, optional
        Container image that holds it.
    container : str
        What runs the image: ``apptainer`` or ``singularity``.
    container_options : list of str
        Options of ``apptainer exec``.
    interface : str, optional
        Network interface of scheduler and workers, such as ``ib0``.
    host, port : str, int
        Where the scheduler listens, in the process that runs the job: an address of this machine that workers reach,
        and its port; any free port by default.
    logs : str
        Folder for the logs of jobs, which nodes see too.
    starts : float
        Seconds to wait for the first worker: a queue may be long.
    driver : Driver
        Of jobs/submit.py.
    **options
        See `RemoteWorkers`.
    """

    kind: str = ""
    cores: Annotated[int, Field(ge=1, le=4096)] = 1
    memory: Size | None = None
    processes: Count | None = None
    walltime: Duration = "01:00:00"
    modules: Annotated[tuple[Word, ...], BeforeValidator(_words)] = ()
    setup: ScriptLines = ()
    directives: ScriptLines = ()
    python: str | None = None
    image: str | None = None
    container: Literal["apptainer", "singularity"] = "apptainer"
    container_options: ScriptLines = ()
    interface: Word | None = None
    host: Word | None = None
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    logs: Folder = "geomob-logs"
    starts: Seconds = 3600.0
    driver: Driver = Driver()

    @model_validator(mode="after")
    def _workers_fit_their_job(self) -> Self:
        if self.workers is None and self.adapt is None:
            raise ValueError("found neither workers nor adapt; expected the number of workers, or its bounds")
        if self.processes is not None and self.cores % self.processes:
            raise ValueError(f"cores {self.cores} cannot be shared by {self.processes} processes; expected a multiple")
        if self.cores % self.threads:
            raise ValueError(f"cores {self.cores} is no multiple of threads_per_worker {self.threads}")
        if self.processes not in (None, self.cores // self.threads):
            raise ValueError(
                f"processes {self.processes} with threads_per_worker {self.threads}: expected cores "
                f"{self.processes * self.threads if self.processes else 0}, found {self.cores}"
            )
        if (self.memory is None) == (self.memory_limit == "auto"):
            raise ValueError("expected memory (of a job) or memory_limit (of a worker), one of them")
        if self.memory_limit == "0":
            raise ValueError("memory_limit 0: expected a size: a queue ends jobs that take more than they asked for")
        return self

    @model_validator(mode="after")
    def _retires_in_time(self) -> Self:
        if seconds_of(self.walltime) < _SHORTEST:
            raise ValueError(f"walltime {self.walltime}: expected a minute or more, which queues count in")
        if "\n" in "".join((*self.setup, *self.directives, *self.container_options)):
            raise ValueError("setup, directives and container_options: found several lines in one; expected a list")
        lifetime, stagger = self.retirement
        if lifetime + stagger >= seconds_of(self.walltime):
            raise ValueError(
                f"lifetime {lifetime:g} s and its stagger {stagger:g} s do not end before walltime {self.walltime}: "
                "the queue would kill workers before they retire"
            )
        return self

    @property
    def threads(self) -> int:
        """Return the number of threads of a worker."""
        if "threads_per_worker" not in self.model_fields_set and self.processes is not None:
            return self.cores // self.processes
        return self.threads_per_worker

    @property
    def workers_of_a_job(self) -> int:
        """Return the number of worker processes of a job."""
        return self.cores // self.threads

    @property
    def job_memory(self) -> int:
        """Return the bytes of a job."""
        if self.memory is not None:
            return int(parse_bytes(self.memory))
        return self.workers_of_a_job * (int(parse_bytes(self.memory_limit)) + _NANNY)

    @property
    def worker_memory(self) -> int:
        """Return the bytes of a worker: its share of its job's, without those of the process that looks after it."""
        if self.memory is None:
            return int(parse_bytes(self.memory_limit))
        return max(self.job_memory // self.workers_of_a_job - _NANNY, 0)

    @property
    def retirement(self) -> tuple[float, float]:
        """Return the seconds after which a worker retires, and how much earlier or later it may.

        Examples
        --------
        >>> QueueSection(workers=1, memory="4GiB", walltime="01:00:00").retirement
        (3060.0, 180.0)
        """
        wall, slack = seconds_of(self.walltime), self._slack
        if self.lifetime is None:
            stagger = float(math.floor(min(_STAGGER_SHARE * wall, _STAGGER)))
            return wall - slack - stagger, stagger
        lifetime = seconds_of(self.lifetime)
        if self.lifetime_stagger is not None:
            return lifetime, seconds_of(self.lifetime_stagger)
        return lifetime, max(min(_STAGGER_SHARE * lifetime, wall - slack - lifetime), 0.0)

    @property
    def last_call(self) -> float:
        """Return the seconds after which a worker leaves even if no other has taken its place."""
        return max(seconds_of(self.walltime) - self._slack / 3, sum(self.retirement))

    @property
    def _slack(self) -> float:
        wall = seconds_of(self.walltime)
        return min(max(_SLACK_SHARE * wall, _SLACK[0]), _SLACK[1], wall / 2)


class SlurmSection(QueueSection):
    """Jobs of Slurm.

    Parameters
    ----------
    partition : str, optional
        The site's default by default.
    account : str, optional
        Whom the time is charged to.
    **options
        See `QueueSection`.
    """

    kind: Literal["slurm"] = "slurm"
    partition: Word | None = None
    account: Word | None = None


class PbsSection(QueueSection):
    """Jobs of PBS.

    Parameters
    ----------
    queue, account : str, optional
    resources : str, optional
        Chunks instead of those that follow from cores and memory: ``select=1:ncpus=4:mem=8GB``.
    **options
        See `QueueSection`.
    """

    kind: Literal["pbs"] = "pbs"
    queue: Word | None = None
    account: Word | None = None
    resources: Word | None = None


class LsfSection(QueueSection):
    """Jobs of LSF.

    Parameters
    ----------
    queue, project : str, optional
    **options
        See `QueueSection`.
    """

    kind: Literal["lsf"] = "lsf"
    queue: Word | None = None
    project: Word | None = None


class SgeSection(QueueSection):
    """Jobs of Grid Engine.

    Parameters
    ----------
    queue, project : str, optional
    parallel_environment : str, optional
        The site's name for slots on one machine, such as ``smp``; needed for more than one core.
    resources : str, optional
        Memory in the site's own words, such as ``h_vmem=4G``: they differ.
    **options
        See `QueueSection`.
    """

    kind: Literal["sge"] = "sge"
    queue: Word | None = None
    project: Word | None = None
    parallel_environment: Word | None = None
    resources: Word | None = None

    @model_validator(mode="after")
    def _slots(self) -> Self:
        if self.cores > 1 and self.parallel_environment is None:
            raise ValueError(
                f"cores {self.cores} without parallel_environment; expected the site's, such as smp (qconf -spl)"
            )
        return self


class HtcondorSection(QueueSection):
    """Jobs of HTCondor.

    Parameters
    ----------
    disk : str
        Of a job.
    account : str, optional
        The accounting group.
    **options
        See `QueueSection`.
    """

    kind: Literal["htcondor"] = "htcondor"
    disk: Size = "4GiB"
    account: Word | None = None

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        wrong = [line for line in self.directives if "=" not in line]
        if wrong:
            raise ValueError(f"directives: {wrong[0]!r}: expected key = value")
        return self
