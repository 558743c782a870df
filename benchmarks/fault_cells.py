"""The cells of the matrix of faults, and their table."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

VICTIMS = ("driver", "worker", "workers", "scheduler", "nanny", "nobody", "two at once")
FAULTS = ("killed", "stopped", "memory", "none")
MOMENTS = ("start", "middle", "commit")
PLACES = ("folder", "bucket")
JOBS = (
    *("backfill", "cube", "mobility", "opportunity", "exposure", "neighbors", "segregation", "mixing"),
    *("location_quotients", "join", "verify"),
)
# Seconds: longer than a scheduler on a busy machine takes to import what a graph needs.
PATIENCE = 20


@dataclass(frozen=True)
class Cell:
    """One case of the matrix."""

    victim: str
    fault: str
    moment: str
    job: str
    place: str


@dataclass
class Seen:
    """What came of a cell.

    Attributes
    ----------
    hit : bool
        Whether the job still ran when its fault came.
    committed : bool
        Whether a snapshot of its results was there by then.
    code : int, optional
        Exit code; None if the job had not ended after four minutes.
    said : float, optional
        Seconds from the fault to the first line on standard error.
    ended : float
        Seconds from the fault to the end.
    line : str
        The last line on standard error.
    traceback : bool
        Whether the user saw one.
    again : int
        Exit code of the second run.
    equal : bool
        Whether the store then had the bytes, and its cubes the values, of an undisturbed run.
    load : float
        Of the machine, over the last minute.
    commit : str
        Of the code.
    """

    hit: bool
    committed: bool
    code: int | None
    said: float | None
    ended: float
    line: str
    traceback: bool
    again: int
    equal: bool
    load: float
    commit: str


def cells(place: str) -> Iterator[Cell]:
    """Yield the cells of a place, what differs most first."""
    faults = [
        *itertools.product(("driver", "worker", "workers", "scheduler", "nanny"), ("killed", "stopped")),
        *itertools.product(("driver", "worker"), ("memory",)),
    ]
    for moment, (victim, fault), name in itertools.product(("middle", "start", "commit"), faults, JOBS):
        # It commits nothing.
        if moment != "commit" or name != "verify":
            yield Cell(victim, fault, moment, name, place)
    for name, victim in itertools.product(JOBS, ("two at once", "nobody")):
        yield Cell(victim, "none", "middle", name, place)


def read_results(file: Path) -> dict[Cell, Seen]:
    """Return the cells that were run."""
    lines = file.read_text().splitlines() if file.exists() else []
    found = [json.loads(line) for line in lines]
    return {Cell(**plain["cell"]): Seen(**plain["seen"]) for plain in found}


def table(results: dict[Cell, Seen]) -> list[str]:
    """Return the results as a Markdown table, and the number of cells that were not run."""
    head = ["victim", "fault", "moment", "job", "place", "exit", "first line, s", "end, s", "second run", "last line"]
    rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for cell, seen in sorted(results.items(), key=lambda item: astuple(item[0])):
        exit_code = "none in 4 min" if seen.code is None else str(seen.code)
        said = "–" if seen.said is None else f"{seen.said:.1f}"
        again = f"{seen.again}, {'same' if seen.equal else 'OTHER'}"
        moment = f"{cell.moment}{', made' if seen.committed else ''}{'' if seen.hit else ' (ended before)'}"
        shown = ("TRACEBACK: " if seen.traceback else "") + seen.line.replace("|", "\\|")
        where = [cell.victim, cell.fault, moment, cell.job, cell.place]
        rows.append("| " + " | ".join([*where, exit_code, said, f"{seen.ended:.1f}", again, shown]) + " |")
    return [*_conditions(results), "", *rows]


def _conditions(results: dict[Cell, Seen]) -> list[str]:
    """Return under what conditions cells were run, and how many were not."""
    loads = [seen.load for seen in results.values()]
    commits = Counter(seen.commit for seen in results.values())
    every = {place: set(cells(place)) for place in PLACES}
    run = [f"{len(results.keys() & there)} of {len(there)} on a {place}" for place, there in every.items()]
    bad = [one for one in results.values() if one.traceback or one.again or not one.equal or one.code is None]
    return [
        f"- Code: {', '.join(f'commit {commit} ({count} cells)' for commit, count in commits.items())}.",
        f"- `patience: {PATIENCE}`, `silence: {PATIENCE}`, load of the machine {min(loads)} to {max(loads)} "
        f"on {os.cpu_count()} cores.",
        f"- Cells that were run: {', '.join(run)}; the others were not.",
        f"- Cells with a traceback, a run without an end, or a store that the second run did not mend: {len(bad)}.",
    ]


def write_table(file: Path, results: dict[Cell, Seen]) -> None:
    """Put the table below its mark in a page."""
    text = file.read_text(encoding="utf-8")
    start = text.index("<!-- table -->")
    file.write_text(text[:start] + "\n".join(["<!-- table -->", "", *table(results)]) + "\n", encoding="utf-8")
