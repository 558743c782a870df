"""Which files and years one call of the ACS source reads: folders, patterns, and years in the names of files."""

from __future__ import annotations

import glob
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from geomob_dask.errors import InputError
from geomob_dask.messages import listed
from geomob_dask.sources.acs_files import describes
from geomob_dask.sources.text_tables import SUFFIXES

# Text beside tables is notes on them.
_SUFFIXES = (".json", *(suffix for suffix in SUFFIXES if suffix != ".txt"))
_YEAR = re.compile(r"(?<![0-9])(20[0-9]{2})(?![0-9])")
_TABLE = re.compile(r"(?<![A-Z0-9])((?:B|C|S)[0-9]{5}[A-Z]{0,3}|DP[0-9]{2})(?![A-Z0-9])")
_EXPECTED = ", ".join((*_SUFFIXES, ".zip"))
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class ChosenFile:
    """A file and the year that its numbers are of."""

    path: str
    year: int


def chosen_files(
    given: Sequence[str], years: Sequence[int], tables: Collection[str] = ()
) -> tuple[list[ChosenFile], list[str]]:
    """Return the files to read, and lines for the user about those left out and those whose names hold another year.

    Parameters
    ----------
    given : sequence of str
        Files, folders, and patterns such as ``tables/B*.csv.gz``. In a folder or pattern, files whose names are of
        other years or tables are left out.
    years : sequence of int
        Of one year alone, a file that is named may be called anything; otherwise its name holds its year.
    tables : collection of str
        Only these; all by default.

    Raises
    ------
    InputError
        If there is no such file or none of a year, a name does not tell which of several years it is of, or a file is
        named twice.
    """
    chosen: list[ChosenFile] = []
    left_out: list[str] = []
    alone = len(years) == 1 and len(given) == 1
    for name in given:
        found = _matching(name)
        for path in found or [name]:
            if found is not None and _is_other(path, years, tables):
                left_out.append(Path(path).name)
            else:
                chosen.append(ChosenFile(path, years[0] if alone and found is None else year_of_file(path, years)))
    if not chosen:
        raise InputError(
            f"--file {', '.join(given)}: found {listed(left_out)}, expected files of {listed(years)}"
            + (f" and table {', '.join(tables)}" if tables else "")
        )
    without = [year for year in years if all(one.year != year for one in chosen)]
    if without:
        names = listed([Path(one.path).name for one in chosen])
        raise InputError(
            f"--file {', '.join(given)}: no file of {listed(without)}; found {names}, expected some of each (--year)"
        )
    paths = [one.path for one in chosen]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise InputError(f"--file {listed(twice)}: given twice, expected once")
    lines = [f"files left out, they are of other years or tables: {listed(left_out)}"] if left_out else []
    return chosen, [*lines, *(line for one in chosen for line in _misnamed(one))]


def year_of_file(path: str, years: Sequence[int]) -> int:
    """Return which of some years a file is of: the only one, unless its name holds another.

    Examples
    --------
    >>> year_of_file("tables/ACSDT5Y2018.B02001-Data.csv", [2017, 2018])
    2018
    """
    named = _years_in(path)
    if not named and len(years) == 1:
        return years[0]
    known = sorted(named.intersection(years))
    if len(known) != 1:
        found = listed([str(year) for year in sorted(named)]) or "no year"
        raise InputError(f"{path}: found {found} in its name, expected one of the years {listed(years, 10)} (--year)")
    return known[0]


def _years_in(path: str) -> set[int]:
    return {int(year) for year in _YEAR.findall(Path(path).name)}


def _misnamed(file: ChosenFile) -> list[str]:
    named = sorted(_years_in(file.path))
    if not named or file.year in named:
        return []
    return [f"{Path(file.path).name} is read as numbers of {file.year} (--year), but its name holds {listed(named)}"]


def _is_other(path: str, years: Sequence[int], tables: Collection[str]) -> bool:
    named = _years_in(path)
    of_table = _TABLE.search(Path(path).name.upper())
    return bool(named and named.isdisjoint(years)) or bool(tables and of_table and of_table[1] not in tables)


def _matching(name: str) -> list[str] | None:
    """Return the files of a folder or pattern, sorted; None for the name of a file."""
    path = Path(name)
    if path.is_dir():
        found = [str(child) for child in path.iterdir() if child.is_file()]
    elif _PATTERN.search(name) and not path.exists():
        found = [match for match in glob.glob(name) if Path(match).is_file()]
    else:
        return None
    tables = sorted(match for match in found if _is_table(Path(match).name.lower()))
    if not tables:
        raise InputError(f"--file {name}: found no file, expected some of {_EXPECTED}")
    return tables


def _is_table(name: str) -> bool:
    return name.endswith(".zip") or (name.removesuffix(".gz").endswith(_SUFFIXES) and not describes(name))
