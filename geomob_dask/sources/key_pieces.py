"""Keys of tracts and counties put together from the codes of state, county and tract.

A code that was read as a number has lost its leading zeros; a text with a leading zero has not. Tracts are written as
codes of six digits (``020100``), or as numbers of up to four with two decimals (``201``, ``0201.00``, ``201.02``):
which of the two a column holds is seen from all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import and_more
from geomob_dask.sources.keys import AROUND, exact_texts, is_missing

_STATE, _COUNTY, _TRACT = 2, 3, 6
_EXPECTED_TRACT = "expected a tract of six digits, such as 020100, or of four and two decimals, such as 0201.00"
_AS_CODE = 4


def keys_of_pieces(pieces: Mapping[str, Any], names: Sequence[str], *, file: str) -> pd.Series:
    """Return keys of tracts (11 digits) or counties (5) from the codes of their pieces.

    Parameters
    ----------
    pieces : mapping of str to sequence
        ``county``, perhaps ``state`` and ``tract``. A county is given by three digits, or by five with its state's; a
        tract as in `tract_codes`, or by its whole key. The index of a Series is the place of its rows in the file.
    names : sequence of str
        Of their columns, for messages.
    file : str
        For messages.

    Raises
    ------
    InputError
        If a code has another form, or pieces contradict each other: it names the column and the row.

    Examples
    --------
    >>> keys_of_pieces({"state": [1], "county": [3], "tract": ["0201.00"]}, ("s", "c", "t"), file="a.csv").tolist()
    ['01003020100']
    """
    where = dict(zip(pieces, (f"{file}: column {name}" for name in names), strict=True))
    texts = {piece: _texts(values, where[piece]) for piece, values in pieces.items()}
    county = _without_point(texts["county"])
    # A text that begins with a zero has all of its digits.
    wrong = ~county.str.fullmatch("[0-9]{1,5}") | county.str.fullmatch("0|0[0-9]|0[0-9]{3}")
    _refuse(wrong, county, where["county"], "a county of 3 digits, or of 5 with its state's")
    whole = county.str.len() > _COUNTY
    keys = county.where(~whole, county.str.zfill(_STATE + _COUNTY))
    if "state" in texts:
        state = _without_point(texts["state"])
        _refuse(~state.str.fullmatch("[0-9]{1,2}"), state, where["state"], "a state's code of 2 digits")
        state = state.str.zfill(_STATE)
        _refuse(whole & (keys.str[:_STATE] != state), county, where["county"], "a county of its row's state")
        keys = keys.where(whole, state + county.str.zfill(_COUNTY))
    else:
        _refuse(~whole, county, where["county"], "a county of 5 digits, as there is no column of states")
    return keys if "tract" not in texts else _with_tracts(keys, texts["tract"], where["tract"])


def tract_codes(values: Any, where: str) -> pd.Series:
    """Return the codes of tracts as six digits.

    Parameters
    ----------
    values : sequence of text or numbers
        All of six digits, or with two decimals; of four digits where the suffix 00 is left off; numbers that lost their
        leading zeros.
    where : str
        File and column, for messages.

    Raises
    ------
    InputError
        If a value has another form, or the column does not show which form its short numbers have (201: the tract
        000201 or 020100).

    Examples
    --------
    >>> tract_codes(["0201", "020102"], "a.csv: column tract").tolist()
    ['020100', '020102']
    >>> tract_codes([201.0, 201.02], "a.csv: column tract").tolist()
    ['020100', '020102']
    >>> tract_codes([20100, 100], "a.csv: column tract").tolist()
    ['020100', '000100']
    """
    texts = _without_points_of_floats(_texts(values, where))
    form = r"[0-9]{1,6}|[0-9]{1,4}\.[0-9]{1,2}"
    _refuse(~texts.str.fullmatch(form), texts, where, _EXPECTED_TRACT, lead="")
    decimals = texts.str.contains(".", regex=False)
    six = texts.str.len() == _TRACT
    if decimals.any():
        return _of_numbers(texts, ~decimals & six, where)
    # A single 0, the water of a county in some years, is written so by numbers too.
    if texts.str.fullmatch("0[0-9]+").any():
        # The column has kept its zeros: a short text has lost its end.
        _refuse(~six & (texts.str.len() != _AS_CODE), texts, where, _EXPECTED_TRACT, lead="")
        return texts.where(six, texts + "00")
    return _of_integers(texts, where)


def _of_numbers(texts: pd.Series, codes: pd.Series, where: str) -> pd.Series:
    """Return codes from tract numbers such as 201.02; those that are `codes` already stay."""
    parts = texts.str.partition(".")
    _refuse(~codes & (parts[0].str.len() > _AS_CODE), texts, where, _EXPECTED_TRACT, lead="")
    return texts.where(codes, parts[0].str.zfill(_AS_CODE) + parts[2].str.ljust(2, "0"))


def _of_integers(texts: pd.Series, where: str) -> pd.Series:
    """Return codes from integers: codes without their leading zeros, or tract numbers without decimals."""
    numbers = texts.astype(np.int64)
    if (texts.str.len() > _AS_CODE).any() or (numbers % 100 == 0).all():
        return texts.str.zfill(_TRACT)
    if numbers.between(1, 99).any():
        # But for 000000, no tract has a code below 000100.
        return texts.str.zfill(_AS_CODE) + "00"
    unclear = numbers % 100 != 0
    row = texts.index[int(np.argmax(unclear))]
    text = texts[row]
    raise InputError(
        f"{where}, row {row + 1}: found {text!r}, which may be tract {text.zfill(_TRACT)} or "
        f"{text.zfill(_AS_CODE)}00; {_EXPECTED_TRACT}{and_more(int(unclear.sum()))}"
    )


def _with_tracts(counties: pd.Series, tracts: pd.Series, where: str) -> pd.Series:
    plain = _without_point(tracts)
    if not plain.str.fullmatch("[0-9]{10,11}").all():
        return counties + tract_codes(tracts, where)
    keys = plain.str.zfill(_STATE + _COUNTY + _TRACT)
    _refuse(keys.str[: _STATE + _COUNTY] != counties, tracts, where, "a tract of its row's county")
    return keys


def _texts(values: Any, where: str) -> pd.Series:
    texts = exact_texts(values, where).str.strip(AROUND)
    if isinstance(values, pd.Series):
        texts = texts.set_axis(values.index)
    _refuse(is_missing(texts), texts, where, "a code")
    return texts


def _without_point(texts: pd.Series) -> pd.Series:
    return texts.str.replace(r"\.0*$", "", regex=True)


def _without_points_of_floats(texts: pd.Series) -> pd.Series:
    """Return codes of six digits that were read as floats (``20100.0``) without their point.

    Tract numbers have two decimals, or one that is not zero (``201.1`` was ``201.10``).
    """
    plain = _without_point(texts)
    codes = ((plain != texts) & (plain.str.len() > _AS_CODE)).any()
    numbers = texts.str.fullmatch(r"[0-9]+\.([1-9]|[0-9][1-9]|[1-9]0)" if codes else r"[0-9]+\.([1-9]|[0-9]{2})")
    return texts if numbers.any() else plain


def _refuse(wrong: pd.Series, texts: pd.Series, where: str, expected: str, lead: str = "expected ") -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        row = int(rows[0])
        raise InputError(
            f"{where}, row {texts.index[row] + 1}: found {texts.iloc[row]!r}, {lead}{expected}{and_more(rows.size)}"
        )
