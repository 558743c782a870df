"""Columns of numbers: what is a number is read as it is, what is missing is NaN, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.messages import and_more
from geomob_dask.sources.keys import MISSING_WORDS
from geomob_dask.sources.special_codes import SPECIAL_CODES
from geomob_dask.sources.text_tables import is_text

Floats = NDArray[np.float64]
Unit = Callable[[int], str]
"""Names a row in messages, such as ``tract 39001961400``, from its place."""

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_INFINITE = r"^[+-]?inf(inity)?$"
# 1,100 and 5 % and $5100: a number to a person, and to nobody else before it is known how the table is written.
_DECORATED = r"^[+-]?[$€£]? ?[+-]?[0-9][0-9,.' ]*[0-9]* ?%?$"
_ANNOTATIONS = {special.annotation for special in SPECIAL_CODES}
# Beyond it, a float64 does not distinguish neighboring integers.
_LARGEST_INTEGER = 2.0**53
# A value in single precision is this close to the number that it stands for.
_SINGLE = 2.0**-24


@dataclass(frozen=True)
class Missing:
    """What stands for a missing value: the words of every table, and what is declared for one.

    Attributes
    ----------
    words : tuple of str
        In lower case.
    numbers : tuple of float
    """

    words: tuple[str, ...] = MISSING_WORDS
    numbers: tuple[float, ...] = ()

    @classmethod
    def declared(cls, values: Sequence[str]) -> Missing:
        """Return the words of every table and declared values: of those that are numbers, every form is missing.

        Examples
        --------
        >>> Missing.declared(["-999", "Suppressed"]).numbers
        (-999.0,)
        """
        numbers = [float(value) for value in values if pc.match_substring_regex(value.strip(), _NUMBER).as_py()]
        return cls((*MISSING_WORDS, *(value.strip().lower() for value in values)), tuple(numbers))

    def among(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return which of some stripped texts stand for a missing value."""
        return pc.is_in(pc.utf8_lower(texts), value_set=pa.array(self.words, texts.type))

    def without(self, numbers: Floats) -> Floats:
        """Return numbers, NaN in place of those that are declared missing."""
        for value in self.numbers:
            numbers = np.where(np.abs(numbers - value) <= abs(value) * _SINGLE, np.nan, numbers)
        return numbers


NO_MORE = Missing()
"""The words of every table alone."""


def floats(values: pa.ChunkedArray, where: str, unit: Unit, missing: Missing = NO_MORE) -> Floats | None:
    """Return a column as floats, NaN where missing; None where it holds text and no number.

    Parameters
    ----------
    values : ChunkedArray
        Of a plain type; see `text_tables.plain`.
    where : str
        For messages: the file and column.
    unit : callable
        Names the row.
    missing : Missing

    Raises
    ------
    InputError
        If there is text beside numbers, or numbers are written with signs of thousands, percent or currency; if an
        integer is beyond 2**53. It names the row and what was found.
    """
    kind = values.type
    if is_text(kind):
        return _of_text(values, where, unit, missing)
    if pa.types.is_null(kind) or pa.types.is_boolean(kind):
        return _array(values.cast(pa.int8()).cast(pa.float64()))
    numbers = missing.without(_array(values.cast(pa.float64(), safe=False)))
    if not pa.types.is_floating(kind):
        _refuse_large(numbers, np.ones(len(numbers), bool), where, unit)
    return numbers


def required_floats(values: pd.Series | pa.ChunkedArray, where: str, unit: Unit, missing: Missing = NO_MORE) -> Floats:
    """Return a column as finite floats, NaN where missing.

    Raises
    ------
    InputError
        As `floats`, and if it holds other text or an infinite value.
    """
    column = values if isinstance(values, pa.ChunkedArray) else _text_column(values)
    numbers = floats(column, where, unit, missing)
    if numbers is None:
        row = _first_text(column, missing)
        raise InputError(f"{where}, {unit(row)}: found {column[row].as_py()!r}, expected a number")
    refuse_where(np.isinf(numbers), numbers, where, unit, "a finite number")
    return numbers


def _text_column(values: pd.Series) -> pa.ChunkedArray:
    """Return a Series of text as a column."""
    return pa.chunked_array([pa.array(values.to_numpy(object), pa.string())])


def refuse_where(wrong: NDArray[np.bool_], numbers: Floats, where: str, unit: Unit, expected: str) -> None:
    """Raise InputError for the first number that is wrong, with how many more are."""
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{where}, {unit(row)}: found {numbers[row]:.17g}, expected {expected}{and_more(int(wrong.sum()))}"
        )


def _of_text(values: pa.ChunkedArray, where: str, unit: Unit, missing: Missing) -> Floats | None:
    texts = pc.utf8_trim_whitespace(pc.fill_null(values, ""))
    is_number = pc.match_substring_regex(texts, _NUMBER)
    is_infinite = pc.match_substring_regex(texts, _INFINITE, ignore_case=True)
    is_missing = missing.among(texts)
    is_value = pc.or_(is_number, is_infinite)
    other = pc.invert(pc.or_(is_value, is_missing)).to_numpy()
    if other.any():
        if not pc.any(is_value).as_py():
            _refuse_decorated(texts, other, where, unit)
            return None
        row = int(np.argmax(other))
        found = texts[row].as_py()
        also = ", an annotation of the Census Bureau" if found in _ANNOTATIONS else ""
        raise InputError(
            f"{where}, {unit(row)}: found {found!r}{also}, expected a number "
            f"(or other columns to read){and_more(int(other.sum()))}"
        )
    plain = pc.utf8_ltrim(texts, characters="+")
    numbers = _array(pc.if_else(is_value, plain, pa.scalar(None, texts.type)).cast(pa.float64()))
    if np.nanmax(np.abs(numbers), initial=0.0) > _LARGEST_INTEGER:
        _refuse_large(numbers, pc.match_substring_regex(texts, "^[+-]?[0-9]+$").to_numpy(), where, unit)
    return missing.without(numbers)


def _refuse_decorated(texts: pa.ChunkedArray, other: NDArray[np.bool_], where: str, unit: Unit) -> None:
    """Refuse a column whose values are numbers but for signs of thousands, percent or currency."""
    decorated = pc.match_substring_regex(texts, _DECORATED).to_numpy() & other
    if 2 * decorated.sum() > other.sum():
        row = int(np.argmax(decorated))
        raise InputError(
            f"{where}, {unit(row)}: found {texts[row].as_py()!r}, expected a number without signs of thousands, "
            f"percent or currency{and_more(int(decorated.sum()))}"
        )


def _first_text(column: pa.ChunkedArray, missing: Missing) -> int:
    texts = pc.utf8_trim_whitespace(pc.fill_null(column, ""))
    return int(pc.index(missing.among(texts), False).as_py())


def _array(values: Any) -> Floats:
    numbers: Floats = values.to_numpy().astype(np.float64)
    return numbers


def _refuse_large(numbers: Floats, integers: NDArray[np.bool_], where: str, unit: Unit) -> None:
    large = integers & (np.abs(numbers) > _LARGEST_INTEGER)
    refuse_where(large, numbers, where, unit, "an integer of at most 2**53")


# Text --------------------------------------------------------------------------------------------


def words(values: pa.ChunkedArray, missing: Missing = NO_MORE) -> pd.Series:
    """Return a column of text, stripped; NaN where missing."""
    texts = pc.utf8_trim_whitespace(values)
    is_missing = missing.among(texts)
    return pc.if_else(is_missing, pa.scalar(None, texts.type), texts).to_pandas().astype("str")


def is_annotated(texts: pd.Series) -> bool:
    """Return whether a column of text holds nothing but annotations of the Census Bureau, in place of its numbers."""
    return bool(texts.dropna().isin(_ANNOTATIONS).all())


def are_codes(values: pa.ChunkedArray, numbers: Floats) -> bool:
    """Return whether a column of digits holds codes: all of one width, some beginning with a zero, and repeated.

    Parameters
    ----------
    values : ChunkedArray
        Of a plain type.
    numbers : shape (n_rows,)
        The same as `floats`.

    Examples
    --------
    >>> county = pa.chunked_array([["001", "013", "001"]])
    >>> are_codes(county, np.array([1.0, 13.0, 1.0]))
    True
    """
    known = numbers[~np.isnan(numbers)]
    if not (is_text(values.type) and len(known) and np.all(known == np.floor(known))):
        return False
    texts = pc.utf8_trim_whitespace(values).filter(pa.array(~np.isnan(numbers)))
    widths = pc.min_max(pc.binary_length(texts))
    if widths["min"] != widths["max"] or not pc.any(pc.match_substring_regex(texts, "^0[0-9]+$")).as_py():
        return False
    return bool(pc.all(pc.match_substring_regex(texts, "^[0-9]+$")).as_py() and len(np.unique(known)) < len(known))
