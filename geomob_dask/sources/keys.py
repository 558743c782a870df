"""Keys of tracts in any form that files have, brought to one: 11 digits, as text.

Two digits of the state, three of the county, six of the tract.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.sources.states import STATES

KEY_COLUMNS = ("GEOID", "geoid", "GEO_ID", "GEOID10", "GEOID20", "FIPS")
"""Names of a column of keys, in order of preference."""

DIGITS = 11
MISSING_WORDS = ("", "na", "nan", "null", "none", "n/a", ".")
"""Words for a missing value, in lower case. A dash is not one of them: it is a code of the Census Bureau."""

_EXPECTED = "expected the 11 digits of a tract, such as 01001020100"
# A spreadsheet keeps zeros by writing '01001020100 or ="01001020100".
_AROUND = " \t\r\n\"'=\ufeff\u00a0"
_TRACT_PREFIX = r"^140[0-9A-Z]{0,6}US"
_LEVELS = {
    "010": "the whole country",
    "040": "a state",
    "050": "a county",
    "060": "a county subdivision",
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


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Return names separated by commas: the first of them, and their number where there are more.

    Examples
    --------
    >>> listed(["a", "b", "c"], limit=2)
    'a, b, … (3 in all)'
    """
    if len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[:limit])}, … ({len(names):,} in all)"


def and_more(count: int) -> str:
    """Return the number of further cases besides the one in a message; empty if there is none."""
    return f" (and {count - 1:,} more)" if count > 1 else ""


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
            lines.append(f"{len(self.padded):,} keys had lost their leading zero, read as {listed(self.padded, 3)}")
        if self.unknown:
            lines.append(f"{len(self.unknown):,} rows left out, their state is unknown: {listed(self.unknown)}")
        return lines


def key_column(columns: Sequence[str], *, file: str, named: str | None = None) -> str:
    """Return the name of the column of keys: `named`, else the first of `KEY_COLUMNS` that is there.

    Raises
    ------
    InputError
        If there is none.
    """
    expected = KEY_COLUMNS if named is None else (named,)
    for name in expected:
        if name in columns:
            return name
    raise InputError(
        f"{file}: no key column; found {listed([repr(str(name)) for name in columns], 12) or 'no column'}, "
        f"expected {'one of ' if named is None else ''}{', '.join(expected)}"
    )


def tract_geoids(values: object, *, file: str, column: str) -> tuple[pd.Series, KeyReport]:
    """Return keys as 11 characters.

    Parameters
    ----------
    values : one-dimensional array, Series or sequence
        Text (perhaps with blanks, quotes, a byte order mark, or a prefix such as ``1400000US``), integers, or whole
        floats. A key of ten digits has lost its leading zero if no key of the column begins with one, the county that
        results can exist, and it is not one of fewer than 3 keys of its state beside 50 or more of 11 digits.
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
        If a key is missing or has another form, naming its row (the first after the header is 1); if every state is
        unknown.

    Examples
    --------
    >>> keys, report = tract_geoids([1001020100, 39001961400], file="a.csv", column="GEOID")
    >>> list(keys), report.padded
    (['01001020100', '39001961400'], ('01001020100',))
    """
    found = _as_text(pd.Series(values).reset_index(drop=True))
    texts = found.str.strip(_AROUND)
    where = f"{file}: column {column}"
    _refuse(texts.str.lower().isin(MISSING_WORDS), found, where, lambda _: f"no key; {_EXPECTED}")
    keys = _whole_numbers(texts.str.replace(_TRACT_PREFIX, "", regex=True), found, where)
    digits = keys.str.fullmatch("[0-9]+")
    _refuse(~digits, found, where, lambda row: _explained(texts.iloc[row], row))
    lengths = keys.str.len()
    short = lengths == DIGITS - 1
    _refuse((lengths != DIGITS) & ~short, found, where, lambda row: f"found {found.iloc[row]!r}; {_EXPECTED}")
    padded = _lost_zeros(keys, short, found, where)
    unknown = ~padded.str[:2].isin(list(STATES))
    if unknown.all() and len(padded):
        raise InputError(f"{where}: no key of a known state; found {listed(list(padded))}, {_EXPECTED}")
    report = KeyReport(len(padded), tuple(padded[short & ~unknown]), tuple(padded[unknown]))
    return padded.mask(unknown).rename("geoid"), report


def _as_text(values: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(values):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        whole = np.isfinite(numbers) & (numbers == np.floor(numbers)) & (np.abs(numbers) < 2.0**53)
        texts = pd.Series(np.where(whole, numbers, 0).astype(np.int64)).astype("str")
        return texts.where(whole, pd.Series(numbers).astype("str")).fillna("")
    return values.astype(object).where(values.notna(), "").astype("str")


def _whole_numbers(texts: pd.Series, found: pd.Series, where: str) -> pd.Series:
    """Write 1001020100.0 and 1.0010201e9 as digits."""
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
    if level is not None:
        return f"found {text!r}, the row of {level}: remove it; {_EXPECTED}"
    return f"found {text!r}; {_EXPECTED}"


def _refuse(wrong: pd.Series, found: pd.Series, where: str, what: Callable[[int], str]) -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        raise InputError(f"{where}, row {rows[0] + 1}: {what(int(rows[0]))}{and_more(rows.size)}")
