"""Special codes of the Census Bureau: one table, decoded where data are read and nowhere else.

The API writes a code in place of a number, data.census.gov an annotation; both appear in the same column of some
files. Every column of estimates or margins goes through `decode`, which returns plain numbers and a reason
for each that is missing, coded or controlled.

Reference: U.S. Census Bureau, "Notes on ACS Estimate and Annotation Values".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.sources.keys import MISSING_WORDS, is_missing
from geomob_dask.sources.sentinels import sentinel
from geomob_dask.sources.special_codes import SPECIAL_CODES, SPELLINGS, CodeReason

Floats = NDArray[np.float64]
Role = Literal["estimate", "moe"]
# Names a row in messages, from its place.
Unit = Callable[[int], str]


_BY_ANNOTATION = {special.annotation: special for special in SPECIAL_CODES}
# data.census.gov prints 250,000+ for a median in the highest interval; the API's number is 250001, and 2499 for 2,500-
# (but 0 for a year before 1939-).
_OPEN_ENDED = re.compile(r"([0-9][0-9,]*)(\.[0-9]+)?([+-])")
_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_THOUSANDS = re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
# How tables write that a number is a margin; the second is the first in UTF-8 read as Latin-1.
_PLUS_MINUS = re.compile(r"(\u00b1|\u00c2\u00b1|\+/-|\+-)\s*(?=[0-9*(N-])")
# Codes are nine times one digit; no estimate of a tract is that negative.
_LARGEST_CODE = -111111111


def decode(
    column: Sequence[object] | pd.Series,
    role: Role,
    name: str,
    annotations: Sequence[object] | pd.Series | None = None,
    unit: Unit = lambda row: f"row {row + 1}",
) -> tuple[Floats, NDArray[np.uint8]]:
    """Return the numbers of a column, and the reason for each that is missing, coded or controlled.

    Parameters
    ----------
    column : sequence of str, number or None
        As read: numbers, digits, codes, annotations, blanks.
    role : {"estimate", "moe"}
        What the column holds.
    name : str
        Column and file, for messages.
    annotations : sequence of str or None, optional
        Column of annotations (``…EA``, ``…MA``): an estimate in an open-ended interval has the number of its
        annotation. Without it a top-coded number looks like any other.
    unit : callable
        Names a row in messages, from its place.

    Returns
    -------
    values : float
        NaN for a blank, code or annotation without a value; 0 for the margin of a controlled estimate.
    reasons : uint8
        Values of `CodeReason`.

    Raises
    ------
    InputError
        If a text is neither a number nor an annotation, a number is a code that is not in the table or, as -999, stands
        for a missing one in tables of others, or a margin is negative: it names the column, the row and what was found.

    Examples
    --------
    >>> decode(["12", "-555555555", "**", None], "moe", "B01003_001M")[0]
    array([12.,  0., nan, nan])
    >>> values, reasons = decode(["250,000+"], "estimate", "B19113_001E")
    >>> float(values[0]), CodeReason(reasons[0]).words
    (250001.0, 'top-coded: this value or more')
    """
    series = pd.Series(column)
    if pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan).copy()
        reasons = np.where(np.isnan(values), np.uint8(CodeReason.NOT_GIVEN), np.uint8(0)).astype(np.uint8)
    else:
        values, reasons = _read_texts(series, role, name, unit)
    for special in SPECIAL_CODES:
        found = np.isin(values, SPELLINGS[special])
        values[found] = special.moe if role == "moe" else np.nan
        reasons[found] = special.reason
    _refuse_unknown(values, role, name, unit)
    _refuse_sentinels(values, name, unit)
    if annotations is not None:
        _annotate(values, reasons, pd.Series(annotations), role, f"{name}, annotation", unit)
    return values, reasons


@dataclass(frozen=True)
class Decoded:
    """A decoded table: plain numbers, and a long table of reasons.

    Attributes
    ----------
    table : DataFrame
        The given table, with estimates and margins as floats.
    reasons : DataFrame
        ``geoid``, ``column``, ``reason`` (words), one row for each number with a reason; in order of columns, rows.
    """

    table: pd.DataFrame
    reasons: pd.DataFrame


def decode_table(table: pd.DataFrame, roles: Mapping[str, Role], *, source: str, key: str = "geoid") -> Decoded:
    """Decode every column of estimates and margins of a table.

    Parameters
    ----------
    table : DataFrame
        With a column `key` and all columns named in `roles`. A column of annotations beside one of them (its name and
        an A) is read with it and dropped.
    roles : mapping of column to role
    source : str
        File or address, for messages.
    key : str
        Column of keys.
    """
    values = table.copy()
    what = "tract" if key == "geoid" else "area"

    def areas(row: int) -> str:
        return f"{what} {table[key].iloc[row]}"

    reasons = [pd.DataFrame({"geoid": [], "column": [], "reason": []}, dtype=str)]
    for column, role in roles.items():
        annotations = values.pop(f"{column}A") if f"{column}A" in values else None
        numbers, why = decode(table[column], role, f"{source}: column {column}", annotations, areas)
        values[column] = numbers
        rows = np.flatnonzero(why)
        if rows.size:
            words = [CodeReason(reason).words for reason in why[rows]]
            reasons.append(
                pd.DataFrame({"geoid": table[key].to_numpy()[rows], "column": column, "reason": words}, dtype=str)
            )
    return Decoded(values, pd.concat(reasons, ignore_index=True))


def _read_texts(series: pd.Series, role: Role, name: str, unit: Unit) -> tuple[Floats, NDArray[np.uint8]]:
    texts = _stripped(series)
    values = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64).copy()
    reasons = np.zeros(len(values), dtype=np.uint8)
    _read_rows(texts, np.flatnonzero(~np.isfinite(values)), values, reasons, role, name, unit)
    return values, reasons


def _annotate(
    values: Floats, reasons: NDArray[np.uint8], annotations: pd.Series, role: Role, name: str, unit: Unit
) -> None:
    texts = _stripped(annotations)
    open_to_it = np.isin(reasons, (CodeReason.NONE, CodeReason.NOT_GIVEN))
    rows = np.flatnonzero(open_to_it & ~is_missing(texts).to_numpy())
    _read_rows(texts, rows, values, reasons, role, name, unit)


def _read_rows(
    texts: pd.Series,
    rows: NDArray[np.int64],
    values: Floats,
    reasons: NDArray[np.uint8],
    role: Role,
    name: str,
    unit: Unit,
) -> None:
    """Put what the texts of some rows mean in its place."""
    # Many rows share few different texts.
    which, different = pd.factorize(texts.to_numpy()[rows])
    for number, text in enumerate(different):
        same = rows[which == number]
        values[same], reasons[same] = _read_text(text, role, f"{name}, {unit(int(same[0]))}")


def _stripped(series: pd.Series) -> pd.Series:
    return series.astype(object).where(series.notna(), "").astype(str).str.strip()


def _read_text(text: str, role: Role, where: str) -> tuple[float, CodeReason]:
    if text.lower() in MISSING_WORDS:
        return np.nan, CodeReason.NOT_GIVEN
    if role == "moe":
        text = _PLUS_MINUS.sub("", text, count=1) if _PLUS_MINUS.match(text) else text
    special = _BY_ANNOTATION.get(text)
    if special is not None:
        return (special.moe if role == "moe" else np.nan), special.reason
    open_ended = _OPEN_ENDED.fullmatch(text)
    if open_ended and role == "estimate":
        whole, decimals, side = open_ended.groups(default="")
        bound = Decimal(whole.replace(",", "") + decimals)
        step = Decimal(1).scaleb(int(bound.as_tuple().exponent))
        if side == "+":
            return float(bound + step), CodeReason.TOP_CODED
        return float(bound - step), CodeReason.BOTTOM_CODED
    if _THOUSANDS.fullmatch(text) or _PLAIN.fullmatch(text):
        return float(text.replace(",", "")), CodeReason.NONE
    known = ", ".join(_BY_ANNOTATION)
    raise InputError(f"{where}: found {text!r}, expected a number or one of the annotations {known}")


def _refuse_unknown(values: Floats, role: Role, name: str, unit: Unit) -> None:
    limit = 0.0 if role == "moe" else _LARGEST_CODE + 1.0
    wrong = (values < limit) | np.isinf(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        known = ", ".join(str(special.code) for special in SPECIAL_CODES)
        raise InputError(f"{name}, {unit(row)}: found {values[row]:.0f}, expected a number or one of the codes {known}")


def _refuse_sentinels(values: Floats, name: str, unit: Unit) -> None:
    """Refuse values such as -999, which somebody wrote in place of the Bureau's codes."""
    low = values[values < 0]
    value = sentinel(values[np.isfinite(values)]) if low.size else None
    if value is not None and value < 0:
        same = values == value
        known = ", ".join(str(special.code) for special in SPECIAL_CODES)
        raise InputError(
            f"{name}, {unit(int(np.argmax(same)))}: found {value:.0f} ({int(same.sum()):,} of {len(values):,} values), "
            f"far outside of all others; expected an empty cell or one of the codes {known} for a missing value, or "
            f"the table as measures (jobs/ingest.py measures --missing {value:.0f})"
        )
