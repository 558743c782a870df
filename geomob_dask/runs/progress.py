"""Progress of a run: a bar per year and per stage on a terminal, lines with counts and the time left elsewhere."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich import progress
from rich.console import Console

from geomob_dask import activity

_STATES = 12
# An estimate from less is none: seconds that a bar has lasted, and what it has done meanwhile.
_LEAST_SECONDS, _LEAST_DONE = 3.0, 2


@dataclass
class _Count:
    """What a bar counts, of outputs of a year or tasks of a stage.

    Attributes
    ----------
    total, done, failed : int
    weight, ended : float
        Of all, and of those that have ended: bytes of inputs, by which the time left is estimated.
    found : float
        Weight of those that were found whole: they took no time.
    began : float, optional
        When it was first seen to run.
    states : list of str
        Running now.
    told : int
        How many were done when a line was last made.
    """

    noun: str
    total: int = 0
    done: int = 0
    failed: int = 0
    weight: float = 0.0
    ended: float = 0.0
    found: float = 0.0
    began: float | None = None
    states: list[str] = field(default_factory=list)
    told: int = -1

    def left(self, now: float) -> float | None:
        """Return the seconds until all is done, as long as what was done took; None if that is not known."""
        took = 0.0 if self.began is None else now - self.began
        computed = self.ended - self.found
        if self.done < _LEAST_DONE or took < _LEAST_SECONDS or computed <= 0:
            return None
        return took * (self.weight - self.ended) / computed

    def line(self, name: str, now: float) -> str:
        """Return the counts in words, with the time left where it is known."""
        parts = [f"{name}: {self.done:,} of {self.total:,} {self.noun}"]
        parts += [f"{self.failed:,} failed"] if self.failed else []
        left = self.left(now) if self.done < self.total else None
        if left is not None:
            parts.append(f"about {activity.about(left)} left")
        elif self.began is not None and self.done < self.total:
            parts.append(f"for {activity.about(now - self.began)}")
        parts += [f"running {' '.join(self.states)}"] if self.states and self.done < self.total else []
        return ", ".join(parts)


class Progress:
    """Bars on a terminal; elsewhere lines of `activity`, with counts, whenever nothing was printed for a while.

    Parameters
    ----------
    console : Console
    quiet : bool
        Whether commits are not reported.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        columns = (
            progress.TextColumn("{task.description:>28}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("[red]{task.fields[failures]}[/red]{task.fields[states]}"),
        )
        self.console = console
        self._quiet = quiet
        self._bars = progress.Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._ids: dict[str, progress.TaskID] = {}
        self._counts: dict[str, _Count] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._bars.start()
        self._open.enter_context(activity.doing(self.lines))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        self._bars.stop()

    def expect(self, bar: str, outputs: int, size: float = 0.0) -> None:
        """Add outputs to a bar.

        Parameters
        ----------
        size : float
            Bytes of their inputs, by which the time left is estimated.
        """
        if outputs:
            count = self._count(bar, "outputs")
            count.total += outputs
            count.weight += size
            self._bars.update(self._id(bar), total=count.total)

    def done(self, bar: str, size: float = 0.0, *, found: bool = False) -> None:
        """Count an output.

        Parameters
        ----------
        size : float
            As it was expected.
        found : bool
            Whether it was there already.
        """
        count = self._count(bar, "outputs")
        count.done += 1
        count.ended += size
        count.found += size if found else 0.0
        self._bars.advance(self._id(bar))

    def failed(self, bar: str, size: float = 0.0) -> None:
        """Count an output that failed."""
        count = self._count(bar, "outputs")
        # An output that was counted as done may fail to be committed.
        count.done = min(count.done + 1, count.total)
        count.failed += 1
        count.ended = min(count.ended + size, count.weight)
        self._bars.update(self._id(bar), advance=1, failures=f"{count.failed} failed ")

    def active(self, running: Sequence[tuple[str, str]]) -> None:
        """Show the states that run, by bar."""
        for bar, count in self._outputs().items():
            states = [state for name, state in running if name == bar]
            if states and count.began is None:
                count.began = time.monotonic()
            count.states = [*states[:_STATES], *(["…"] if len(states) > _STATES else [])]
            self._bars.update(self._id(bar), states=" ".join(count.states))

    def stages(self, counts: Mapping[str, tuple[int, int]]) -> None:
        """Show tasks done and in all, by stage."""
        for stage, (done, total) in counts.items():
            count = self._count(stage, "tasks")
            if count.began is None and (done or not self._begun_stage()):
                count.began = time.monotonic()
            # Tasks of a stage are taken to last as long as each other.
            count.done, count.total, count.ended, count.weight = done, total, float(done), float(total)
            self._bars.update(self._id(stage), completed=done, total=total)

    def lines(self) -> list[str]:
        """Return a line for each year and stage that runs, or has ended since the last time, with the time left."""
        now = time.monotonic()
        counts = list(self._counts.items())
        shown = [(name, count) for name, count in counts if _is_shown(count)]
        # A driver that computes by itself may be between two stages.
        shown = shown or [(name, count) for name, count in counts if count.done < count.total][:1]
        lines = [count.line(name, now) for name, count in shown]
        for _, count in shown:
            count.told = count.done
        years = [count for _, count in counts if count.noun == "outputs"]
        if len(years) > 1:
            lines.append(_all(years).line("in all", now))
        return lines

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self.console.print(line, markup=False)

    def committed(self, line: str) -> None:
        """Report a commit."""
        if not self._quiet:
            self.say(line)

    def _count(self, name: str, noun: str) -> _Count:
        return self._counts.setdefault(name, _Count(noun))

    def _outputs(self) -> dict[str, _Count]:
        return {name: count for name, count in self._counts.items() if count.noun == "outputs"}

    def _begun_stage(self) -> bool:
        return any(count.noun == "tasks" and count.done < count.total for count in self._counts.values() if count.began)

    def _id(self, bar: str) -> progress.TaskID:
        if bar not in self._ids:
            self._ids[bar] = self._bars.add_task(bar, total=0, failures="", states="")
        return self._ids[bar]


def _is_shown(count: _Count) -> bool:
    """Return whether a year or stage has begun, and has not ended before the last line about it."""
    return count.began is not None and (count.done < count.total or count.told < count.done)


def _all(years: Sequence[_Count]) -> _Count:
    """Return the sums of several years."""
    began = [count.began for count in years if count.began is not None]
    return _Count(
        "outputs",
        total=sum(count.total for count in years),
        done=sum(count.done for count in years),
        failed=sum(count.failed for count in years),
        weight=sum(count.weight for count in years),
        ended=sum(count.ended for count in years),
        found=sum(count.found for count in years),
        began=min(began, default=None),
    )
