"""Progress of a run: a bar per year and per stage on a terminal, lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich import progress
from rich.console import Console

_STATES = 12
# Seconds between two lines without a terminal.
_EVERY = 10.0


class Progress:
    """Bars on a terminal; elsewhere a line every ten seconds while something runs.

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
        self._bars = progress.Progress(*columns, console=console, transient=True)
        self._ids: dict[str, progress.TaskID] = {}
        self._totals: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def expect(self, bar: str, outputs: int) -> None:
        """Add outputs to a bar."""
        if outputs:
            self._totals[bar] = self._totals.get(bar, 0) + outputs
            self._bars.update(self._id(bar), total=self._totals[bar])

    def done(self, bar: str) -> None:
        """Count an output."""
        self._bars.advance(self._id(bar))

    def failed(self, bar: str) -> None:
        """Count an output that failed."""
        self._failures[bar] = self._failures.get(bar, 0) + 1
        self._bars.update(self._id(bar), advance=1, failures=f"{self._failures[bar]} failed ")

    def active(self, running: Sequence[tuple[str, str]]) -> None:
        """Show the states that run, by bar."""
        for bar in self._totals:
            states = [state for name, state in running if name == bar]
            more = " …" if len(states) > _STATES else ""
            self._bars.update(self._id(bar), states=" ".join(states[:_STATES]) + more)
        self._line()

    def stages(self, counts: Mapping[str, tuple[int, int]]) -> None:
        """Show tasks done and in all, by stage."""
        for stage, (done, total) in counts.items():
            self._bars.update(self._id(stage), completed=done, total=total)
        self._line()

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self.console.print(line, markup=False)

    def committed(self, line: str) -> None:
        """Report a commit."""
        if not self._quiet:
            self.say(line)

    def _id(self, bar: str) -> progress.TaskID:
        if bar not in self._ids:
            self._ids[bar] = self._bars.add_task(bar, total=0, failures="", states="")
        return self._ids[bar]

    def _line(self) -> None:
        """Print the counts of all bars where there is no terminal, every ten seconds."""
        now = time.monotonic()
        if self.console.is_terminal or now - self._last_line < _EVERY:
            return
        self._last_line = now
        tasks = {task.id: task for task in self._bars.tasks}
        parts = [
            f"{name}: {tasks[number].completed:.0f} of {tasks[number].total or 0:.0f}"
            for name, number in self._ids.items()
        ]
        self.say("; ".join(parts))
