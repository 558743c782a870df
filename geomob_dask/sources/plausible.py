"""Values that no measure can have: codes of a missing value, numbers that overflow, negative counts."""

from __future__ import annotations

import re

import numpy as np

from geomob_dask.errors import InputError
from geomob_dask.messages import counted
from geomob_dask.sources.numbers import Floats, Unit, refuse_where
from geomob_dask.sources.sentinels import CODES, NEGATIVE, POSITIVE, sentinel

# The square of a larger number, summed over all tracts, is infinite.
LARGEST = 1e100
_LARGEST_SHARE, _LARGEST_PERCENT = 100.0, 10_000.0

_COUNT = re.compile(r"(^|_)(pop|population|people|persons|residents|households|count)(_?(19|20)?[0-9]{2})?$")
_SHARE = re.compile(r"(^|_)share$")
_PERCENT = re.compile(r"(^|_)(pct|percent|percentage)$")
_SIGNED = re.compile(r"(^|_)(change|diff|difference|growth|gain|loss|net|migration|balance|margin|moe|error)(_|$)")


def refuse_implausible(numbers: Floats, name: str, where: str, unit: Unit, *, sentinels: str = "refuse") -> list[str]:
    """Return lines about values of a measure that are odd, after refusing those that are impossible.

    Parameters
    ----------
    numbers : shape (n_tracts,)
        NaN where missing, and perhaps infinite values, which are not looked at.
    name : str
        Of the measure: ``population`` and ``…_count`` are not negative, a ``…_share`` is neither negative nor above
        100, a ``…_pct`` not above 10,000, unless they are of a change or an error.
    where : str
        For messages: the file and column.
    unit : callable
        Names the row.
    sentinels : {"refuse", "keep"}
        What to do with values such as -999 that lie far outside of the others.

    Raises
    ------
    InputError
        Naming the row, the value, how many there are, and what was expected.
    """
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return []
    lowest, highest = float(finite.min()), float(finite.max())
    if max(-lowest, highest) > LARGEST:
        wrong = np.isfinite(numbers) & (np.abs(numbers) > LARGEST)
        refuse_where(wrong, numbers, where, unit, f"a number of at most {LARGEST:g}: its square has to be finite")
    if lowest <= CODES.max():
        expected = "a number, not a code of the Census Bureau (--missing reads it as missing)"
        refuse_where(np.isin(numbers, CODES), numbers, where, unit, expected)
    if sentinels == "refuse" and (lowest <= NEGATIVE.max() or highest >= POSITIVE.min()):
        _refuse_sentinels(numbers, finite, where, unit)
    return _refuse_beyond(numbers, lowest, highest, name, where, unit)


def _refuse_sentinels(numbers: Floats, finite: Floats, where: str, unit: Unit) -> None:
    value = sentinel(finite)
    if value is not None:
        same = numbers == value
        found = f"{value:.17g} ({int(same.sum()):,} of {counted(len(numbers), 'value')})"
        raise InputError(
            f"{where}, {unit(int(np.argmax(same)))}: found {found}, far outside of all others; expected "
            f"--missing {value:.17g} if it stands for a missing value, or --sentinels keep"
        )


def _refuse_beyond(numbers: Floats, lowest: float, highest: float, name: str, where: str, unit: Unit) -> list[str]:
    plain = name.lower()
    if _SIGNED.search(plain):
        return []
    with np.errstate(invalid="ignore"):
        if lowest < 0 and (_COUNT.search(plain) or _SHARE.search(plain)):
            refuse_where(numbers < 0, numbers, where, unit, "0 or more, as its name says")
        most = _LARGEST_SHARE if _SHARE.search(plain) else _LARGEST_PERCENT if _PERCENT.search(plain) else np.inf
        if highest > most:
            refuse_where(numbers > most, numbers, where, unit, f"at most {most:,.0f}, as its name says")
        outside = (numbers < 0) | (numbers > 100)
        if _PERCENT.search(plain) and (lowest < 0 or highest > 100):
            row = int(np.argmax(np.where(outside, np.abs(numbers), 0.0)))
            found = f"{counted(int(outside.sum()), 'value')} outside of 0 to 100"
            return [f"{name}: {found}, such as {numbers[row]:g} in {unit(row)}"]
    return []
