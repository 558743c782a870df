"""The findings of an examination, as text and as a table."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace

import pandas as pd

from geomob_dask.doctor.findings import Finding, Level
from geomob_dask.messages import counted, listed
from geomob_dask.outputs.tables import check_file, export, written_whole

SUFFIXES = (".json", ".csv")
_CHECKS, _LEVELS = 11, 7


def line_of(finding: Finding) -> str:
    """Return a finding in a line: how it ended, what was found and expected, and what to do.

    Examples
    --------
    >>> line_of(Finding("scratch", Level.WARNING, "0.1 GiB free", "2.0 GiB", "set scratch", "worker tcp://a"))
    'warning  scratch      worker tcp://a: 0.1 GiB free; expected 2.0 GiB; to do: set scratch'
    """
    where = f"{finding.where}: " if finding.where else ""
    parts = [f"{where}{finding.found}"]
    parts += [f"expected {finding.expected}"] if finding.expected else []
    parts += [f"to do: {finding.advice}"] if finding.advice else []
    return f"{finding.level:<{_LEVELS}}  {finding.check:<{_CHECKS}}  {'; '.join(parts)}"


def lines_of(findings: Sequence[Finding], *, verbose: bool = False) -> list[str]:
    """Return findings as lines; the same finding on several machines in one, unless `verbose`."""
    return [line_of(one) for one in (findings if verbose else _together(findings))]


def _together(findings: Sequence[Finding]) -> Iterator[Finding]:
    machines: dict[Finding, list[str]] = {}
    for one in findings:
        machines.setdefault(replace(one, where=""), []).append(one.where)
    for finding, names in machines.items():
        yield replace(finding, where=listed(names, 3)) if names != [""] else finding


def summary(findings: Sequence[Finding]) -> str:
    """Return how many findings there are of each level.

    Examples
    --------
    >>> summary([Finding("tls", Level.OK, "encrypted"), Finding("clocks", Level.WARNING, "60 s behind")])
    '1 warning, 0 wrong, 1 ok'
    """
    count = {level: sum(one.level is level for one in findings) for level in Level}
    skipped = f", {count[Level.SKIPPED]} skipped" if count[Level.SKIPPED] else ""
    return f"{counted(count[Level.WARNING], 'warning')}, {count[Level.WRONG]} wrong, {count[Level.OK]} ok{skipped}"


def check_export(file: str) -> None:
    """Raise InputError if findings cannot be written to a file."""
    check_file("--export", file, SUFFIXES)


def write(findings: Sequence[Finding], file: str) -> None:
    """Write findings to a .json or .csv file, whole; a row for each machine."""
    rows = [asdict(one) for one in findings]
    if file.endswith(".csv"):
        names = [field.name for field in fields(Finding)]
        export(pd.DataFrame(rows, columns=names).astype(str).set_index("check"), file)
        return
    with written_whole("--export", file, ".json") as path:
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
