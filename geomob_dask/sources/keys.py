"""Keys of tracts in any form that files have, brought to one: 11 digits, as text.

Two digits of the state, three of the county, six of the tract.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.messages import and_more, counted, listed
from geomob_dask.sources.states import STATES

DIGITS = 11
MISSING_WORDS = ("", "na", "nan", "null", "none", "n/a", "#n/a", "<na>", ".")
"""Words for a missing value, in lower case. A dash is not one of them: it is a code of the Census Bureau."""

_EXPECTED = "expected the 11 digits of a tract, such as 01001020100"
# A spreadsheet keeps zeros by writing '01001020100 or ="01001020100".
AROUND = " \t\r\n\"'=\ufeff\u00a0"
"""Characters around a code that are not part of it."""

_TRACT_PREFIX = r"^140[0-9A-Z]{0,6}US"
# NHGIS writes a zero behind the codes of state and county, and older tracts without the suffix 00.
_GISJOIN = r"^G([0-9]{2})0([0-9]{3})0([0-9]{4})([0-9]{2})?$"
# By length of the bare code: what lies within a tract.
_SMALLER = {12: "a block group", 15: "a block"}
_LEVELS = {
    "010": "the whole country",
    "040": "a state",
    "050": "a county",
    "060": "a county subdivision",
    "100": "a block",
    "150": "a block group",
    "160": "a place",
    "310": "a metropolitan area",
    "860": "a ZIP code area",
}


def _odd(last: int) -> frozenset[int]:
    return frozenset(range(1, last + 1, 2))


_MANY, _FEW = 50, 3
# Counties, past and present, of the states whose code begins with a zero: they distinguish a key that lost the zero
# (1001020100, Autauga County) from one that was cut short (1812701010 would lie in county 812 of Alabama).
_COUNTIES = {
    "01": _odd(133),
    "02": frozenset(range(10, 291)),
    "04": _odd(27) | {12},
    "05": _odd(149),
    "06": _odd(115),
    "08": _odd(125) | {14},
    "09": _odd(15) | frozenset(range(110, 191, 10)),
}


def is_missing(texts: pd.Series) -> pd.Series:
    """Return which texts are empty or a word for a missing value.

    Examples
    --------
    >>> is_missing(pd.Series(["NA", " ", "10000", "-"])).tolist()
    [True, True, False, False]
    """
    return texts.str.strip().str.lower().isin(MISSING_WORDS)


@dataclass(frozen=True)
class KeyReport:
    """Report on a column of keys.

    Parameters
    ----------
    rows : int
    padded : tuple of str
        Keys that had lost their leading zero, with it.
    unknown : tuple of str
        Keys of no known state, one per row; these rows are left out.
    """

    rows: int = 0
    padded: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __add__(self, other: "KeyReport") -> "KeyReport":
        return KeyReport(self.rows + other.rows, self.padded + other.padded, self.unknown + other.unknown)

    def lines(self) -> list[str]:
        """Return lines for the user; none where all keys were complete."""
        lines = []
        if self.padded:
            lines.append(
                f"{counted(len(self.padded), 'key')} without the leading zero, read as {listed(self.padded, 3)}"
            )
        if self.unknown:
            lines.append(f"{counted(len(self.unknown), 'row')} left out, of unknown state: {listed(self.unknown)}")
        return lines


def tract_geoids(values: object, *, file: str, column: str) -> tuple[pd.Series, KeyReport]:
    """Return keys as 11 characters.

    Parameters
    ----------
    values : one-dimensional array, Series or sequence
        Text (perhaps with blanks, quotes, a byte order mark, a prefix such as ``1400000US``, or in the form of NHGIS,
        ``G0100010020100``), integers, or whole floats that hold 11 digits exactly (float64). A key of ten digits has
        lost its leading zero if no key of the column begins with one, the county that results can exist, and it is not
        one of fewer than 3 keys of its state beside 50 or more of 11 digits.
    file, column : str
        For messages.

    Returns
    -------
    keys : Series of str
        In the given order, indexed by position; NaN where the state is unknown.
    report : KeyReport

    Raises
    ------
    InputError
        If a key is missing, has another form, or is rounded, as in float32, naming its row (the first after the header
        is 1); if every state is unknown.

    Examples
    --------
    >>> keys, report = tract_geoids([1001020100, 39001961400], file="a.csv", column="GEOID")
    >>> list(keys), report.padded
    (['01001020100', '39001961400'], ('01001020100',))
    """
    where = f"{file}: column {column}"
    found = exact_texts(values, where)
    texts = found.str.strip(AROUND)
    _refuse(texts.str.lower().isin(MISSING_WORDS), found, where, lambda _: f"no key; {_EXPECTED}")
    keys = _whole_numbers(_without_prefix(texts), found, where)
    digits = keys.str.fullmatch("[0-9]+")
    _refuse(~digits, found, where, lambda row: _explained(texts.iloc[row], row))
    lengths = keys.str.len()
    short = lengths == DIGITS - 1
    _refuse(
        (lengths != DIGITS) & ~short,
        found,
        where,
        lambda row: _other_level(repr(found.iloc[row]), _SMALLER.get(lengths.iloc[row])),
    )
    padded = _lost_zeros(keys, short, found, where)
    unknown = ~padded.str[:2].isin(list(STATES))
    if unknown.all() and len(padded):
        raise InputError(f"{where}: no key of a known state; found {listed(padded)}, {_EXPECTED}")
    report = KeyReport(len(padded), tuple(padded[short & ~unknown]), tuple(padded[unknown]))
    return padded.mask(unknown).rename("geoid"), report


def exact_texts(values: object, where: str) -> pd.Series:
    """Return codes as text, indexed by position: whole floats without a point, missing values as the empty text.

    Raises
    ------
    InputError
        If a float is so large that its type does not tell neighboring integers apart.

    Examples
    --------
    >>> exact_texts([10000.0, np.nan], "a.csv: column cbsa").tolist()
    ['10000', '']
    """
    given = pd.Series(values).reset_index(drop=True)
    if pd.api.types.is_float_dtype(given):
        numbers = given.to_numpy(dtype=np.float64, na_value=np.nan)
        _refuse_rounded(numbers, np.dtype(getattr(given.dtype, "numpy_dtype", given.dtype)), where)
        whole = np.isfinite(numbers) & (numbers == np.floor(numbers))
        texts = pd.Series(np.where(whole, numbers, 0).astype(np.int64)).astype("str")
        return texts.where(whole, pd.Series(numbers).astype("str")).where(~np.isnan(numbers), "")
    if given.dtype == object:
        for narrow in (np.float16, np.float32):
            numbers = np.array([value if isinstance(value, narrow) else np.nan for value in given], dtype=np.float64)
            _refuse_rounded(numbers, np.dtype(narrow), where)
    return given.astype(object).where(given.notna(), "").astype("str")


def _refuse_rounded(numbers: NDArray[np.float64], kind: np.dtype[Any], where: str) -> None:
    """Refuse integers beyond those that a type of floats tells apart, and what overflowed it."""
    largest = 2.0 ** min(np.finfo(kind).nmant + 1, 53)
    beyond = np.flatnonzero(np.abs(numbers) > largest)
    if beyond.size:
        number = numbers[beyond[0]]
        digits = f"{len(f'{abs(number):.0f}')} digits do" if np.isfinite(number) else "a number of so many digits does"
        raise InputError(
            f"{where}, row {beyond[0] + 1}: found {number:.0f}; {digits} not fit {kind.name}, which is exact up to "
            f"{largest:.0f}: the code is lost, expected it as text or as an integer{and_more(beyond.size)}"
        )


def _without_prefix(texts: pd.Series) -> pd.Series:
    plain = texts.str.replace(_TRACT_PREFIX, "", regex=True)
    of_nhgis = texts.str.startswith("G")
    if of_nhgis.any():
        pieces = texts[of_nhgis].str.extract(_GISJOIN)
        plain[of_nhgis] = (pieces[0] + pieces[1] + pieces[2] + pieces[3].fillna("00")).fillna(texts[of_nhgis])
    return plain


def _whole_numbers(texts: pd.Series, found: pd.Series, where: str) -> pd.Series:
    """Write 1001020100.0 and 1.0010201e9 as digits."""
    if texts.str.isdigit().all():
        return texts
    keys = texts.copy()
    decimal = texts.str.fullmatch(r"[0-9]+\.0*")
    keys[decimal] = texts[decimal].str.split(".").str[0]
    powers = texts.str.fullmatch(r"[0-9](\.[0-9]+)?[eE]\+?[0-9]{1,2}")
    keys[powers] = texts[powers].map(_expanded)
    # A spreadsheet that shows 1.001E+09 has rounded: different tracts then look alike.
    rounded = powers & keys.where(powers).duplicated(keep=False)
    _refuse(
        rounded, found, where, lambda row: f"found {found.iloc[row]!r} several times, a number rounded; {_EXPECTED}"
    )
    return keys


def _expanded(text: str) -> str:
    number = Decimal(text)
    return f"{number:.0f}" if number == number.to_integral_value() else text


def _lost_zeros(keys: pd.Series, short: pd.Series, found: pd.Series, where: str) -> pd.Series:
    if not short.any():
        return keys
    padded = keys.where(~short, "0" + keys)
    county = padded.str[2:5].astype(int)
    possible = pd.Series(False, index=keys.index)
    for state, counties in _COUNTIES.items():
        possible |= (padded.str[:2] == state) & county.isin(list(counties))
    # A column that was read as numbers has lost every leading zero, and states of a table have more than a few
    # tracts: one short key among hundreds is a mistake (8001030100 was 18001030100, not a tract of Colorado).
    kept = keys.str.startswith("0") & ~short
    if (~short).sum() >= _MANY:
        state = padded[short].str[:2]
        possible &= ~padded.str[:2].isin(list(state.value_counts().loc[lambda count: count < _FEW].index))
    _refuse(
        short & (~possible | kept.any()),
        found,
        where,
        lambda row: f"found {found.iloc[row]!r}, {DIGITS - 1} digits; {_EXPECTED}",
    )
    return padded


def _explained(text: str, row: int) -> str:
    # "id", "Geography", "Census tract 2010" and the like.
    if row == 0 and any(map(str.isalpha, text)) and sum(map(str.isdigit, text)) < len("0100000"):
        return (
            f"found {text!r}, which looks like a second header row as data.census.gov writes it: remove it; {_EXPECTED}"
        )
    prefix, has_prefix, _ = text.partition("US")
    level = _LEVELS.get(prefix[:3]) if has_prefix and prefix[:3].isdigit() else None
    return _other_level(repr(text), level)


def _other_level(found: str, level: str | None) -> str:
    if level is None:
        return f"found {found}; {_EXPECTED}"
    advice = (
        "sum such rows to tracts beforehand, by their first 11 digits" if level in _SMALLER.values() else "remove it"
    )
    return f"found {found}, the row of {level}: {advice}; {_EXPECTED}"


def _refuse(wrong: pd.Series, found: pd.Series, where: str, what: Callable[[int], str]) -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        raise InputError(f"{where}, row {rows[0] + 1}: {what(int(rows[0]))}{and_more(rows.size)}")
