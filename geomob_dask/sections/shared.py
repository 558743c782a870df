"""What sections of several kinds have in common."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from geomob_dask.checked import Checked
from geomob_dask.sections.quantities import Count, Duration, Listening, MemoryLimit, Seconds, seconds_of
from geomob_dask.sections.secrets import Environment

PATIENCE = 90.0
SILENCE = 300.0
PROGRESS = 300.0
LOOPBACK_DASHBOARD = "127.0.0.1:8787"

Share = Annotated[float, Field(gt=0, le=1)]


class Titled(Checked):
    """A section, which knows its name and where it stands, for messages."""

    _name: str = PrivateAttr("")
    _file: str = PrivateAttr("")

    def stands_in(self, file: str, name: str) -> None:
        """Note the file of the section, and its name there."""
        self._file, self._name = file, name

    @property
    def title(self) -> str:
        """Return the name of the cluster in messages on a run; its kind where it has no name."""
        return f"cluster {self._name or getattr(self, 'kind', '')}"

    @property
    def where(self) -> str:
        """Return what messages on a setting begin with: the file and the section."""
        return f"{self._file}: clusters.{self._name}" if self._file else self.title


class Waits(Titled):
    """How long a run waits for its cluster, and what it spreads over it; the keys are those of a section.

    Parameters
    ----------
    spread_above : float
        Share of a worker's memory, for each of its threads: an output whose inputs are larger, in bytes as stored, is
        spread over the workers instead of being held by one of them. In memory, inputs take some ten times as much.
    patience : float
        Seconds that a run waits for a scheduler that does not answer, or for a worker if none is left; kinds that
        replace lost workers elsewhere wait for one for their `starts` seconds.
    silence : float
        Seconds that a run waits for workers of which none answers: they are stopped, or each in one long computation.
        A worker that is silent for as long is given up, and others compute its tasks.
    progress : float
        Seconds that a run waits while tasks wait, none is computed, and nothing changes.
    longest_task : float, optional
        Seconds that a worker may compute one task; a task that takes longer ends the run. No limit by default.
    """

    spread_above: Share = 0.03
    patience: Seconds = PATIENCE
    silence: Seconds = SILENCE
    progress: Seconds = PROGRESS
    longest_task: Seconds | None = None


class Tls(Checked):
    """TLS between client, scheduler and workers: files in PEM, never their content; or ``temporary``.

    Parameters
    ----------
    ca, certificate, key : str, optional
        Paths that are the same where client, scheduler and workers run.
    temporary : bool
        Whether a certificate is made for the run, instead of files: ``tls: temporary`` in cluster.yaml.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    temporary: bool = False

    @model_validator(mode="before")
    @classmethod
    def _word(cls, given: Any) -> Any:
        if given == "temporary":
            return {"temporary": True}
        if isinstance(given, (Mapping, Tls)):
            return given
        raise ValueError("expected temporary, or the files ca, certificate and key")

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        files = {"ca": self.ca, "certificate": self.certificate, "key": self.key}
        missing = [name for name, file in files.items() if not file]
        if self.temporary and len(missing) < len(files):
            raise ValueError("found temporary and files; expected one of them")
        if not self.temporary and missing:
            raise ValueError(f"found no {', '.join(missing)}; expected the files ca, certificate and key, or temporary")
        return self


class WorkerOptions(Waits):
    """What every worker is given that this package starts.

    Parameters
    ----------
    threads_per_worker : int
    memory_limit : str
        Memory of one worker (``"4GiB"``); ``auto`` is for the kind to decide.
    target, spill, pause, terminate : float
        Shares of that memory at which results are moved to disk, the process's own memory is spilled, no new
        task starts, and the worker is restarted.
    scratch : str, optional
        Folder for spilled results, where the worker runs; the system's temporary folder by default.
    dashboard : str
        Address of the dashboard, where the scheduler runs, such as ``0.0.0.0:8787`` for all interfaces; port 0 is any
        free port.
    tls : Tls, optional
        TLS with these files, or with a certificate made for the run; none by default.
    patience, silence : float
        See `Waits`.
    """

    threads_per_worker: Count = 1
    memory_limit: MemoryLimit = "auto"
    target: Share = 0.6
    spill: Share = 0.7
    pause: Share = 0.85
    terminate: Share = 0.95
    scratch: str | None = None
    dashboard: Listening = LOOPBACK_DASHBOARD
    tls: Tls | None = None

    @model_validator(mode="after")
    def _shares_in_order(self) -> Self:
        names = ("target", "spill", "pause", "terminate")
        shares = [getattr(self, name) for name in names]
        if shares != sorted(shares):
            found = ", ".join(f"{name} {share:g}" for name, share in zip(names, shares, strict=True))
            raise ValueError(
                f"found {found}; expected target, spill, pause and terminate in this order, none below the one before: "
                "a worker that pauses before it spills never starts a task again"
            )
        return self


class Adapt(Checked):
    """Bounds between which workers come and go with the work.

    Parameters
    ----------
    minimum, maximum : int
        Numbers of workers.
    """

    minimum: Annotated[int, Field(ge=0)] = 1
    maximum: Count

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self


class RemoteWorkers(WorkerOptions):
    """Workers on other machines, started for the run.

    Parameters
    ----------
    workers : int, optional
        A fixed number of them; lost ones are replaced.
    adapt : Adapt, optional
        Bounds, instead of a fixed number.
    environ : mapping of str to str
        Environment of the workers. Values that look like secrets are refused: those come from the site's own means.
    lifetime, lifetime_stagger : str, optional
        Time such as ``55 minutes`` or ``00:55:00`` after which a worker retires, give or take the stagger: before a
        queue kills it.
    starts : float
        Seconds to wait for the first worker, or for another if none is left.
    """

    workers: Count | None = None
    adapt: Adapt | None = None
    environ: Environment = Field(default_factory=dict)
    lifetime: Duration | None = None
    lifetime_stagger: Duration | None = None
    starts: Seconds = 300.0

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.workers is not None and self.adapt is not None:
            raise ValueError("both workers and adapt are given; expected one of them")
        return self

    @model_validator(mode="after")
    def _time_to_work(self) -> Self:
        if self.lifetime_stagger is not None and self.lifetime is None:
            raise ValueError("lifetime_stagger is given without lifetime; expected both")
        lifetime, stagger = (seconds_of(text or "1s") for text in (self.lifetime, self.lifetime_stagger))
        if self.lifetime_stagger is not None and stagger >= lifetime:
            raise ValueError(
                f"lifetime_stagger {self.lifetime_stagger} is not below lifetime {self.lifetime}: a worker could "
                "retire at once"
            )
        return self
