"""Rankings of regions and models: each value in a row with its interval, and in words which differences are sure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomob_dask.outputs.palette import CATEGORIES

Floats = NDArray[np.float64]

# Digits that a page holds of a value; it shows fewer.
_DIGITS = 7
# Rows whose differences from all others are computed at once.
_BLOCK = 512
# Rows that are named in words.
_FIRST = 3


@dataclass(frozen=True)
class Estimates:
    """One estimate per row, such as of one year, with the interval that belongs to it.

    Parameters
    ----------
    value : shape (n_rows,)
        NaN: no value.
    lower, upper : shape (n_rows,), optional
        NaN: no interval.
    label : str
        What tells these estimates apart from others of the same rows, such as the year.
    raw : shape (n_rows,), optional
        A second value, drawn as a hollow dot, such as before a correction.
    flags : sequence of str
        The quality of each estimate, empty where nothing is known; no column where there are none.
    color : str
    """

    value: Floats
    lower: Floats | None = None
    upper: Floats | None = None
    label: str = ""
    raw: Floats | None = None
    flags: Sequence[str] = ()
    color: str = CATEGORIES[0]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return where there is a value with an interval."""
        if self.lower is None or self.upper is None:
            return np.zeros(len(self.value), dtype=bool)
        return ~(np.isnan(self.value) | np.isnan(self.lower) | np.isnan(self.upper))


@dataclass(frozen=True)
class Measure:
    """What rows are ranked by: the last of its estimates.

    Parameters
    ----------
    title : str
    estimates : sequence of Estimates
    about : str
        What the measure is, where the title does not tell.
    missing : sequence of str
        Why a row has no value; a row without value and reason is not listed.
    zero : bool
        Whether the axis has the value zero, as a line.
    compares : bool
        Whether rows are independent estimates, whose differences have margins.
    falling : bool
        Whether the highest value is first.
    by_size : bool
        Whether rows are ranked by the distance of their values from zero, such as correlations.
    """

    title: str
    estimates: Sequence[Estimates]
    about: str = ""
    missing: Sequence[str] = ()
    zero: bool = False
    compares: bool = True
    falling: bool = True
    by_size: bool = False


@dataclass(frozen=True)
class Ranking:
    """Rows with their estimates: ranked, found by name, and compared with one of them.

    Parameters
    ----------
    rows : (str, str)
        What one row and what several are called, such as ``county`` and ``counties``.
    names : sequence of str
    measures : sequence of Measure
        One is shown at a time.
    codes : sequence of str
        Beside the names, where there are any.
    label : str
        Of the list of measures.
    level : str
        Of the intervals, such as ``90%``.
    raw : str
        What hollow dots are.
    flag : str
        The title of the column of flags.
    places : int
        Decimal places.
    """

    rows: tuple[str, str]
    names: Sequence[str]
    measures: Sequence[Measure]
    codes: Sequence[str] = ()
    label: str = "Measure"
    level: str = "90%"
    raw: str = ""
    flag: str = "Quality"
    places: int = 3

    def data(self) -> dict[str, Any]:
        """Return what ``static/ranking.js`` shows, as plain data."""
        return {
            "rows": list(self.rows),
            "names": list(self.names),
            "codes": list(self.codes),
            "level": self.level,
            "raw": self.raw,
            "flag": self.flag,
            "places": self.places,
            "measures": [self._measure(one) for one in self.measures],
        }

    def _measure(self, one: Measure) -> dict[str, Any]:
        return {
            "about": one.about,
            "answer": answer(self, one),
            "missing": list(one.missing),
            "zero": one.zero,
            "falling": one.falling,
            "bySize": one.by_size,
            "compares": one.compares and bool(one.estimates[-1].known.sum() > 1),
            "estimates": [
                {
                    "label": each.label,
                    "color": each.color,
                    "flags": list(each.flags),
                    **{name: _plain(getattr(each, name)) for name in ("value", "lower", "upper", "raw")},
                }
                for each in one.estimates
            ],
        }


def answer(ranking: Ranking, measure: Measure) -> str:
    """Return the highest and the lowest row in words, with their intervals, and how many differences are sure.

    Differences are those of the last estimates; see `above`.
    """
    last = measure.estimates[-1]
    there = np.flatnonzero(~np.isnan(last.value))
    one, several = ranking.rows
    if not len(there):
        return f"No {one} has a value."

    def said(row: int) -> str:
        text = f"{ranking.names[row]}, {last.value[row]:.{ranking.places}f}"
        if last.lower is None or last.upper is None or not last.known[row]:
            return text
        bounds = f"{last.lower[row]:.{ranking.places}f} to {last.upper[row]:.{ranking.places}f}"
        return f"{text} ({ranking.level} interval {bounds})"

    if len(there) == 1:
        return f"One {one} has a value: {said(int(there[0]))}."
    if measure.by_size:
        return _largest(ranking, last, there, said)
    order = there[np.argsort(last.value[there], kind="stable")]
    lowest, highest = int(order[0]), int(order[-1])
    when = f" in {last.label}" if last.label and len(measure.estimates) > 1 else ""
    text = f"Highest of {len(there):,} {several}{when}: {said(highest)}. Lowest: {said(lowest)}."
    text += f" Median: {np.median(last.value[there]):.{ranking.places}f}."
    if not measure.compares or last.known.sum() < 2:
        return text
    ups, downs = above(last, highest), above(last, lowest)
    others = int(last.known.sum()) - 1
    share = sure_pairs(last)
    if last.known[highest] and last.known[lowest]:
        text += (
            f" By more than the margin of the difference, the highest is above {_of(int((ups == -1).sum()), others)}, "
            f"the lowest below {_of(int((downs == 1).sum()), others)};"
        )
    else:
        text += " By more than the margin of the difference,"
    return text + f" {_share(share)} of all pairs of {several} differ."


def _largest(ranking: Ranking, last: Estimates, there: NDArray[np.intp], said: Callable[[int], str]) -> str:
    """Return the rows whose values are farthest from zero, and how many intervals do not hold it."""
    first = there[np.argsort(-np.abs(last.value[there]), kind="stable")[:_FIRST]]
    text = f"Farthest from zero of {len(there):,} {ranking.rows[1]}: {'; '.join(said(int(row)) for row in first)}."
    if last.lower is None or last.upper is None or not last.known.any():
        return text
    apart = int(((last.lower > 0) | (last.upper < 0))[last.known].sum())
    return f"{text} The intervals of {apart:,} of {int(last.known.sum()):,} do not hold zero."


def _of(count: int, others: int) -> str:
    return f"all {others:,} others" if count == others else f"{count:,} of the {others:,} others"


def _share(share: float) -> str:
    if 0 < share < 0.005:
        return "less than 1%"
    return "all" if share == 1 else "more than 99%" if share >= 0.995 else f"{share:.0%}"


def above(estimates: Estimates, row: int) -> NDArray[np.int8]:
    """Return whether each row is above or below another by more than the margin of the difference.

    The margin of a difference of independent estimates is the root of the sum of the squares of the arms of their
    intervals that point to each other (Zou & Donner 2008); of symmetric intervals that of the usual formula. Each
    comparison is by itself: of many, some are sure by chance.

    Returns
    -------
    array of int8, shape (n_rows,)
        1 above, -1 below, 0 within the margin, or the row itself, or without an interval.
    """
    return np.asarray(_compared(estimates, np.array([row]))[0], dtype=np.int8)


def sure_pairs(estimates: Estimates) -> float:
    """Return the share of pairs of rows with intervals that differ by more than the margin of the difference."""
    rows = np.flatnonzero(estimates.known)
    pairs = len(rows) * (len(rows) - 1)
    if not pairs:
        return 0.0
    blocks = (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))
    return sum(int(np.count_nonzero(_compared(estimates, block))) for block in blocks) / pairs


def _compared(estimates: Estimates, rows: NDArray[np.intp]) -> NDArray[np.int8]:
    """Return the comparison of all rows with some, which are the first axis; see `above`."""
    value, known = estimates.value, estimates.known
    lower = value if estimates.lower is None else estimates.lower
    upper = value if estimates.upper is None else estimates.upper
    difference = value[None, :] - value[rows, None]
    up = np.hypot((value - lower)[None, :], (upper - value)[rows, None])
    down = np.hypot((upper - value)[None, :], (value - lower)[rows, None])
    with np.errstate(invalid="ignore"):
        found = (difference > up).astype(np.int8) - (difference < -down).astype(np.int8)
    found[:, ~known] = 0
    found[~known[rows]] = 0
    return found


def _plain(values: Floats | None) -> list[float | None] | None:
    if values is None or np.isnan(values).all():
        return None
    return [None if np.isnan(value) else float(f"{value:.{_DIGITS}g}") for value in values]
