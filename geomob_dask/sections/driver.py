"""How the driver of a run is submitted: the part `driver` of a section."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from geomob_dask.checked import Checked
from geomob_dask.sections.quantities import Duration, Size, Word
from geomob_dask.sections.secrets import ScriptLines


class Driver(Checked):
    """The job in which jobs/submit.py has the driver of a run.

    Parameters
    ----------
    kind : str, optional
        The queue that takes it; by default that of the workers. With it, a driver whose workers are on its own machine
        is a job too.
    queue, account : str, optional
        Partition or queue, and account or project; by default those of the workers.
    walltime : str, optional
        Such as ``12h`` or ``1-00:00:00``; by default that of the workers.
    memory : str
    cores : int
    parallel_environment : str, optional
        Of SGE, the site's name for slots on one machine; needed for more than one core. By default that of the workers.
    setup : list of str, optional
        Lines of the script before the driver starts, such as ``module load python``; by default those of the workers.
    directives : list of str
        Further options for the queue, as after ``#SBATCH``.
    margin : str
        Time before the end of the wall time at which the driver is interrupted and submitted again.
    resume : str
        After what the driver comes back: ``always``, also after the queue has ended it, which a preemption and
        ``scancel`` do alike (``submit.py --cancel`` is what ends it); the end of its ``walltime`` alone; ``never``.
        What the queue itself starts again, such as a job whose node failed, goes on anyhow.
    attempts : int
        Runs in a row that end early without having completed an output; then it does not come back.
    """

    kind: Literal["slurm", "pbs", "lsf", "sge"] | None = None
    queue: Word | None = None
    account: Word | None = None
    walltime: Duration | None = None
    memory: Size = "4GiB"
    cores: Annotated[int, Field(ge=1, le=4096)] = 1
    parallel_environment: Word | None = None
    setup: ScriptLines | None = None
    directives: ScriptLines = ()
    margin: Duration = "2 minutes"
    resume: Literal["walltime", "always", "never"] = "always"
    attempts: Annotated[int, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _one_line_each(self) -> Self:
        if "\n" in "".join((*(self.setup or ()), *self.directives)):
            raise ValueError("setup and directives: found several lines in one; expected a list")
        return self


class OfOneMachine(Checked):
    """A section whose workers are where the driver is.

    Parameters
    ----------
    driver : Driver, optional
        The job that holds both, where a queue is to run them.
    """

    driver: Driver | None = None

    @model_validator(mode="after")
    def _of_a_queue(self) -> Self:
        if self.driver is not None and self.driver.kind is None:
            raise ValueError("driver: found no kind; expected the queue that takes it: slurm, pbs, lsf or sge")
        return self
