"""What a check found: plain data, a line each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a check ended; `SKIPPED` where an earlier finding leaves nothing to check."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One finding of a check.

    Parameters
    ----------
    check : str
        Its subject, such as ``versions``.
    level : Level
    found : str
        What was found.
    expected, advice : str
        What was expected and what to do; empty where all is well.
    where : str
        The machine that it was found on, such as ``worker tcp://10.0.0.7:40001``; empty where it is of no single one.
    """

    check: str
    level: Level
    found: str
    expected: str = ""
    advice: str = ""
    where: str = ""


def well(check: str, found: str, where: str = "") -> Finding:
    """Return a finding that all is well."""
    return Finding(check, Level.OK, found, where=where)


def skipped(check: str, why: str) -> Finding:
    """Return a finding that there was nothing to check, and why."""
    return Finding(check, Level.SKIPPED, why)


def is_wrong(findings: Iterable[Finding]) -> bool:
    """Return whether a finding says that a job will fail."""
    return any(one.level is Level.WRONG for one in findings)


def unless_found(findings: Sequence[Finding], otherwise: Finding) -> list[Finding]:
    """Return the findings, or the one that all is well where there are none."""
    return list(findings) or [otherwise]
