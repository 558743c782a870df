"""What a user sees while a backfill runs: a bar a year, with failures and the states that run."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_STATES = 12


class Shown:
    """Bars on a terminal; elsewhere only the lines that are said.

    Parameters
    ----------
    console : Console
    """

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[red]{task.fields[failures]}[/red]{task.fields[states]}"),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._bars: dict[int, TaskID] = {}
        self._totals: dict[int, int] = {}
        self._failures: dict[int, int] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def expect(self, year: int, outputs: int) -> None:
        """Add outputs to a year."""
        if not outputs:
            return
        self._totals[year] = self._totals.get(year, 0) + outputs
        if year not in self._bars:
            self._bars[year] = self._progress.add_task(str(year), total=0, failures="", states="")
        self._progress.update(self._bars[year], total=self._totals[year])

    def done(self, year: int) -> None:
        """Count an output."""
        self._progress.advance(self._bars[year])

    def failed(self, year: int) -> None:
        """Count an output that failed."""
        self._failures[year] = self._failures.get(year, 0) + 1
        self._progress.update(self._bars[year], advance=1, failures=f"{self._failures[year]} failed ")

    def active(self, running: Sequence[tuple[int, str]]) -> None:
        """Show the states that run, by year."""
        for year, bar in self._bars.items():
            states = [state for one, state in running if one == year]
            more = " …" if len(states) > _STATES else ""
            self._progress.update(bar, states=" ".join(states[:_STATES]) + more)

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(line, markup=False)
